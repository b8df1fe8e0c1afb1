/** A school takes all of it along: what is in its export, what is not, who may make one, and what the log says of it. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { read, toCore } from '#adapters/edexml';
import { Fund, Payer, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import {
  eckId,
  Fault,
  newSchool,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
  wire,
} from './gateway.ts';
import { startProvider } from './provider.ts';

const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT } = Service;
const YEAR = '2026-2027';
const BOOK = 'rekenen-7';
const school = newSchool();
const other = newSchool();
let provider: Awaited<ReturnType<typeof startProvider>>;
let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let platform: TestParty;
let folder: string;
let references = 0;
const fresh = (what: string) => `${what}-${++references}`;

async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}
async function eventually<T>(ask: () => Promise<T>, enough: (value: T) => boolean): Promise<T> {
  for (const until = Date.now() + 60_000; ; ) {
    const value = await ask();
    if (enough(value)) return value;
    if (Date.now() > until) throw new Error(`not in time: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const pupil = (mark: string, n: number) => ({
  ref: { eckId: eckId(n), lasKey: `${mark}-${n}` },
  person: {
    familyName: `Achter${mark}${n}, "Jr"`,
    callName: `Roep${mark}${n}`,
    birthDate: '2015-03-04',
    email: `${mark}${n}@leerling.example`,
  },
  yearGroup: '7',
  groupKey: `${mark}7a`,
});
const push = (schoolOin: string, mark: string, from: number) =>
  sendAll(las.rosters.pushRoster(), [
    {
      reference: fresh('roster'),
      rosterId: fresh('roster-id'),
      last: true,
      roster: {
        schoolOin,
        schoolYear: YEAR,
        asOf: '2026-10-01',
        groups: [{ key: `${mark}7a`, name: `Groep ${mark} 7A`, yearGroup: '7' }],
        learners: [1, 2, 3].map((n) => pupil(mark, from + n)),
        staff: [
          {
            ref: { lasKey: `${mark}-juf` },
            person: { familyName: `Juf${mark}`, email: `juf@${mark}.example` },
            groups: [{ key: `${mark}7a`, duties: ['LRK'] }],
          },
        ],
      },
    },
  ]);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-export-'));
  provider = await startProvider();
  at = await startTestGateway({
    EDUK_OIDC_ISSUER: provider.issuer,
    EDUK_OIDC_AUDIENCE: 'eduk',
    EDUK_OIDC_ROLES: 'operator=admins,privacy=officers,read=helpdesk',
    EDUK_OIDC_ROLE_CLAIM: 'roles',
  });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM], undefined, ['eck_id', 'las_key', 'call_name', 'groups']);
  for (const schoolOin of [school, other]) {
    await at.mandate(schoolOin, las.oin, [SERVICE_ROSTER, SERVICE_ORDER]);
    await at.mandate(schoolOin, publisher.oin, [SERVICE_ENTITLEMENT]);
    const services = [SERVICE_ROSTER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT];
    const attributes = ['eck_id', 'las_key', 'call_name', 'groups'];
    await at.operator.grantMandate({
      mandate: { schoolOin, partyOin: platform.oin, services, attributes, pairwise: true },
      confirm: true,
    });
  }
  await sendAll(publisher.catalogue.publishProducts(), [
    {
      reference: fresh('product'),
      product: {
        productId: BOOK,
        title: 'Rekenen',
        accessUrl: 'https://wilg.example/r',
        licence: { licensed: true },
        platformOin: platform.oin,
      },
    },
  ]);
  await push(school, 'eigen', 100);
  await push(other, 'ander', 200);
  for (const schoolOin of [school, other])
    await eventually(
      () => codeOf(platform.rosters.getRoster({ schoolOin, schoolYear: YEAR })),
      (code) => code === '',
    );
  for (const [schoolOin, n] of [
    [school, 101],
    [other, 201],
  ] as const) {
    const term = (lineId: string, payer: Payer) => ({
      terms: { lineId, productId: BOOK, quantity: 1, fund: Fund.FUND_IBF, payer },
      learner: { eckId: eckId(n) },
    });
    const orderId = `bestelling-${n}`;
    await las.orders.placeOrder({
      reference: orderId,
      orderId,
      schoolOin,
      lines: [term('1', Payer.PAYER_SCHOOL), term('ouders', Payer.PAYER_CUSTOMER)],
      waitMs: 2000n,
    });
    await sendAll(publisher.entitlements.grantEntitlements(), [
      {
        reference: fresh('grant'),
        schoolOin,
        holder: { learner: { eckId: eckId(n) } },
        terms: { entitlementId: `recht-${n}`, productId: BOOK, orderId, lineId: 'ouders', startsOn: '2026-08-01' },
        activationCode: `CODE-${n}`,
      },
    ]);
    await eventually(
      async () =>
        (
          await platform.access.createLaunch({
            reference: fresh('launch'),
            schoolOin,
            learner: { eckId: eckId(n) },
            productId: BOOK,
            waitMs: 2000n,
          })
        ).decision?.code,
      (code) => code === '',
    );
    await sendAll(platform.results.returnResults(), [
      {
        reference: fresh('result'),
        schoolOin,
        result: {
          resultId: `resultaat-${n}`,
          learner: { eckId: eckId(n) },
          productId: BOOK,
          kind: ResultKind.RESULT_KIND_FINAL,
          payload: { activityId: 'toets-1', score: 7.5, scoreMax: 10, grade: `=cijfer;"${n}"` },
        },
      },
    ]);
  }
  // One who waits to be forgotten: its routes are closed, this one too.
  await at.operator.forgetLearner({ schoolOin: school, learner: { eckId: eckId(103) } });
  await eventually(
    () => platform.rosters.getRoster({ schoolOin: school, schoolYear: YEAR }),
    ({ roster }) => roster!.learners.length === 2,
  );
  for (const schoolOin of [school, other])
    await eventually(
      () => platform.results.listResults({ schoolOin }),
      ({ results }) => results.length === 1,
    );
  await new Promise((resolve) => setTimeout(resolve, 1_500));
});
afterAll(async () => {
  await at?.stop();
  provider?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** RFC 4180, as a reader that is not ours would read it. */
function rowsIn(text: string): Record<string, string>[] {
  const cells: string[][] = [[]];
  let cell = '';
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (isQuoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[++i];
      else isQuoted = false;
    } else if (c === '"') isQuoted = true;
    else if (c === ',' || c === '\r') {
      cells.at(-1)!.push(cell);
      cell = '';
      if (c === '\r') {
        cells.push([]);
        i++;
      }
    } else cell += c;
  }
  const [head, ...rows] = cells.filter((row) => row.length > 0);
  return rows.map((row) => Object.fromEntries(head!.map((name, i) => [name, row[i]!])));
}

const exported = async (schoolOin = school) => {
  const out = join(folder, fresh('export'));
  const answer = await at.operator.exportSchool([{ schoolOin, folder: out }]);
  const files = Object.fromEntries(readdirSync(out).map((name) => [name, readFileSync(join(out, name), 'utf8')]));
  const table = (name: string) => rowsIn(files[name]!);
  return { out, answer, files, table, all: Object.values(files).join('\n') };
};

describe('what a school takes along', () => {
  test('everything of it: roster, keys, pseudonyms, results, rights, orders, launches, and where it went', async () => {
    const { files, table } = await exported();
    const roster = unveiled(toCore(read(Buffer.from(files[`edexml-${YEAR}.xml`]!))));
    expect(roster).toMatchObject({ schoolOin: school, schoolYear: YEAR, asOf: '2026-10-01' });
    // In the order of tokens, which are drawn.
    const learners = roster.learners.toSorted((a, b) => (a.ref!.lasKey < b.ref!.lasKey ? -1 : 1));
    expect(learners.map(({ ref, person, groupKey }) => [ref, person!.familyName, groupKey])).toEqual([
      [{ eckId: eckId(101), lasKey: 'eigen-101' }, 'Achtereigen101, "Jr"', 'eigen7a'],
      [{ eckId: eckId(102), lasKey: 'eigen-102' }, 'Achtereigen102, "Jr"', 'eigen7a'],
    ]);
    expect(roster.staff).toMatchObject([
      { ref: { lasKey: 'eigen-juf' }, groups: [{ key: 'eigen7a', duties: ['LRK'] }] },
    ]);
    const people = table('personen.csv');
    expect(people.map(({ soort, roepnaam, achternaam }) => [soort, roepnaam || achternaam]).sort()).toEqual([
      ['leerling', 'Roepeigen101'],
      ['leerling', 'Roepeigen102'],
      ['medewerker', 'Jufeigen'],
    ]);
    const { kenmerk } = people.find(({ roepnaam }) => roepnaam === 'Roepeigen101')!;
    expect(table('sleutels.csv')).toContainEqual({ kenmerk, volgorde: '1', eck_id: eckId(101), sleutel: 'eigen-101' });
    // As the receiver itself is told.
    const theirs = (await platform.rosters.getRoster({ schoolOin: school, schoolYear: YEAR })).roster!;
    const told = theirs.learners.find(({ person }) => person!.callName === 'Roepeigen101')!.ref!;
    const receiver = { ontvanger_oin: platform.oin, ontvanger: 'Leerplein' };
    expect(table('sleutels-per-ontvanger.csv')).toContainEqual({ kenmerk, ...receiver, pseudoniem: told.lasKey });
    expect(table('groepssleutels-per-ontvanger.csv')).toEqual([
      { sleutel: 'eigen7a', ...receiver, pseudoniem: theirs.groups[0]!.key },
    ]);
    expect(table('inschrijvingen.csv')).toHaveLength(2);
    expect(table('aanstellingen.csv')).toMatchObject([{ groep: 'eigen7a', rollen: 'LRK' }]);
    expect(table('resultaten.csv')).toMatchObject([
      {
        resultaat: 'resultaat-101',
        kenmerk,
        soort: 'final',
        score: '7.5',
        beoordeling: '=cijfer;"101"',
        van: 'Leerplein',
      },
    ]);
    expect(table('toegang.csv')).toContainEqual(
      expect.objectContaining({ kenmerk, product: BOOK, uitkomst: 'created' }),
    );
    expect(
      table('afspraken.csv')
        .map(({ partij, stand }) => [partij, stand])
        .sort(),
    ).toEqual([
      ['De Leerlijst', 'active'],
      ['Leerplein', 'active'],
      ['Uitgeverij Wilg', 'active'],
    ]);
    expect(table('verstrekkingen.csv')).toContainEqual(
      expect.objectContaining({
        ontvanger: 'Leerplein',
        doel: 'roster',
        gegevens: expect.stringContaining('call_name'),
      }),
    );
    expect(table('schoolteksten.csv').map(({ tekst }) => tekst)).toEqual(
      expect.arrayContaining(['eigen7a', 'Groep eigen 7A']),
    );
  });

  test('but not who bought what himself, nor who waits to be forgotten, nor anything of another school', async () => {
    const { table, all, answer } = await exported();
    expect(table('bestellingen.csv')).toMatchObject([{ bestelling: 'bestelling-101', regel: '1', betaler: 'school' }]);
    // The right is the pupil's, whoever paid; that it was bought is not said.
    expect(table('licenties.csv')).toMatchObject([
      { licentie: 'recht-101', bestelling: '', regel: '', activeringscode: 'CODE-101', stand: 'granted' },
    ]);
    expect(all).not.toContain('ouders');
    expect(all).not.toMatch(/eigen-?103|Roepeigen103/);
    expect(all).not.toContain(eckId(103));
    expect(answer.forgetting).toBe(1n);
    expect(all).not.toMatch(/ander-|ander7a|(Roep|Achter|Juf)ander|(recht|bestelling|resultaat|CODE)-20/);
    expect(all).not.toContain(other);
    for (const n of [201, 202, 203]) expect(all).not.toContain(eckId(n));
    // The same the other way round: the search finds what is there.
    expect((await exported(other)).all).toMatch(/Roepander201[\s\S]*CODE-201/);
  });

  test('it is described, whole and for one user only; the answer names nobody', async () => {
    const { out, answer, files } = await exported();
    expect(statSync(out).mode & 0o777).toBe(0o700);
    for (const name of Object.keys(files)) expect(statSync(join(out, name)).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
    expect(answer.files.map(({ name }) => name).sort()).toEqual(Object.keys(files).sort());
    for (const line of files['SHA256SUMS']!.trim().split('\n')) {
      const [sum, name] = line.split('  ');
      expect(createHash('sha256').update(files[name!]!).digest('hex'), name).toBe(sum);
    }
    const { tables } = JSON.parse(files['beschrijving.json']!) as {
      tables: { url: string; tableSchema: { columns: { name: string }[] } }[];
    };
    expect(tables.map(({ url }) => url).sort()).toEqual(
      Object.keys(files)
        .filter((name) => name.endsWith('.csv'))
        .sort(),
    );
    for (const { url, tableSchema } of tables) {
      expect(files[url]!.split('\r\n')[0], url).toBe(tableSchema.columns.map(({ name }) => name).join(','));
      expect(files['LEESMIJ.txt'], url).toContain(url);
    }
    expect(files['LEESMIJ.txt']).not.toMatch(/Roep|Achter|Juf/);
    const told = JSON.stringify(answer, (_key, value) => (typeof value === 'bigint' ? Number(value) : value));
    expect(told).not.toMatch(/eigen|Roep|Achter|Juf|ketenid|CODE/);
  });

  test('the log of what was done says that it was released to the school', async () => {
    await exported();
    const { rows } = await eventually(
      () => at.operator.listAccess({ schoolOin: school }),
      ({ rows }) => rows.some(({ purpose }) => purpose === 'school_export'),
    );
    const own = rows.filter(({ purpose }) => purpose === 'school_export');
    expect(own.map(({ partyOin }) => partyOin)).toEqual(own.map(() => school));
    expect(own.flatMap(({ attributes }) => attributes)).toEqual(
      expect.arrayContaining(['eck_id', 'family_name', 'email', 'result']),
    );
  });
});

describe('who may, and where', () => {
  const signed = async (role: string) =>
    wire(
      OperatorServiceDefinition,
      at.channel,
      `Bearer ${await provider.signed({
        iss: provider.issuer,
        aud: 'eduk',
        sub: 'somebody',
        exp: Math.floor(Date.now() / 1000) + 300,
        roles: [role],
      })}`,
    );

  test('who guards privacy, and the key of the machine itself; not who runs the gateway, nor a party', async () => {
    for (const role of ['admins', 'helpdesk']) {
      const out = join(folder, fresh('refused'));
      expect(await codeOf((await signed(role)).exportSchool([{ schoolOin: school, folder: out }]))).toBe(
        'party.forbidden',
      );
      expect(existsSync(out)).toBe(false);
    }
    const out = join(folder, fresh('officer'));
    expect(await codeOf((await signed('officers')).exportSchool([{ schoolOin: school, folder: out }]))).toBe('');
    expect(existsSync(join(out, 'LEESMIJ.txt'))).toBe(true);
    const party = wire(OperatorServiceDefinition, at.channel, `Bearer ${las.apiKey}`);
    expect(await codeOf(party.exportSchool([{ schoolOin: school, folder: join(folder, 'no') }]))).toBe(
      'party.forbidden',
    );
  });

  test('nothing is written over, and nothing for a school that nobody knows', async () => {
    const { out } = await exported();
    const before = readFileSync(join(out, 'personen.csv'), 'utf8');
    const ask = (schoolOin: string, to: string) => codeOf(at.operator.exportSchool([{ schoolOin, folder: to }]));
    expect(await ask(school, out)).toBe('state.conflict');
    expect(await ask(school, join(folder, 'nowhere', 'deep'))).toBe('state.conflict');
    expect(await ask(school, 'here')).toBe('wire.invalid');
    expect(await ask('00000099000000001000', join(folder, 'x'))).toBe('wire.invalid');
    expect(await ask(newSchool(), join(folder, 'x'))).toBe('state.missing');
    expect(await codeOf(at.operator.exportSchool([]))).toBe('wire.unreadable');
    expect(readFileSync(join(out, 'personen.csv'), 'utf8')).toBe(before);
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });

  test('eduk school export, with the BRIN and a folder that is named from where one is', async () => {
    const { exit, json } = await new Promise<{ exit: number; json: any }>((resolve) => {
      execFile(
        process.execPath,
        [
          join(import.meta.dirname, '../../services/cli/eduk.js'),
          ...['school', 'export', '--school', school.slice(11, 15), '--out', 'mee', '--json'],
        ],
        { cwd: folder, env: { PATH: process.env['PATH'], EDUK_DATA: at.folder, EDUK_GRPC: at.gateway.addresses.grpc } },
        (error, stdout) => resolve({ exit: error ? Number(error.code) : 0, json: JSON.parse(stdout) }),
      );
    });
    expect([exit, json.schoolOin, json.folder, json.leftOut.forgetting]).toEqual([0, school, join(folder, 'mee'), 1]);
    expect(json.files.find(({ name }: { name: string }) => name === 'personen.csv')).toMatchObject({ rows: 3 });
    expect(existsSync(join(folder, 'mee', 'LEESMIJ.txt'))).toBe(true);
  });
});
