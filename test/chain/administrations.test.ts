/** Rosters that the gateway fetches from administrations: what comes in, what does not, and who is told. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { brinOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type LasFault, type LasPeer, openLas } from '../parties/las.ts';
import { testAuthority } from './authority.ts';
import { eckId, newOin, newSchool, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const YEAR =
  new Date().getUTCMonth() >= 7
    ? `${new Date().getUTCFullYear()}-${new Date().getUTCFullYear() + 1}`
    : `${new Date().getUTCFullYear() - 1}-${new Date().getUTCFullYear()}`;
let at: TestGateway;
let las: LasPeer;
let party: TestParty;
let reader: TestParty;
const folder = mkdtempSync(join(tmpdir(), 'eduk-administrations-'));
const school = newSchool();
const brin = brinOf(school)!;

function secret(name: string, text: string): string {
  mkdirSync(join(folder, 'geheim'), { recursive: true });
  writeFileSync(join(folder, 'geheim', name), `${text}\n`, { mode: 0o600 });
  return `geheim/${name}`;
}
const settings = (name: string, of: object): void => writeFileSync(join(folder, `${name}.json`), JSON.stringify(of));
const pupils = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    key: `k${i}`,
    eckId: eckId(9000 + i),
    name: `Els ${i}`,
    group: i % 2 ? 'g7' : 'g8',
    also: i === 0 ? ['viool'] : [],
  }));
const fill = (of: string, count = 30, made = '2026-11-20T03:15:00Z'): void =>
  void las.schools.set(of, {
    sleutel: `sleutel-van-${of}`,
    year: YEAR,
    made,
    groups: [
      { key: 'g7', name: 'Zeven' },
      { key: 'g8', name: 'Acht' },
      { key: 'viool', name: 'Viool', composite: true },
    ],
    pupils: [...pupils(count), { key: 'los', name: 'Den' }],
    staff: [{ key: 'm1', name: 'Berk', groups: ['g7'] }],
  });
const basic = (more: object = {}) => ({
  party: party.oin,
  klantcode: las.klant.klantcode,
  klantnaam: las.klant.klantnaam,
  leerlinggegevens: `${las.url}/leerlinggegevens`,
  getrapt: `${las.url}/getrapt`,
  everyMinutes: 0,
  schools: [{ school: brin, sleutel: secret(brin, `sleutel-van-${brin}`) }],
  ...more,
});
const pull = async (more: object = {}) => {
  const { rosters } = await at.operator.pullRoster([{ schoolOin: school, partyOin: party.oin, ...more }]);
  return rosters[0]!;
};
/** The school's clients; a gateway that was started anew has others. */
const own = () => at.as(`Bearer ${reader.apiKey}`);
const known = async (of = school): Promise<string[]> =>
  (await own().rosters.getRoster({ schoolOin: of })).roster!.learners.map(({ ref }) => ref!.lasKey).sort();

beforeAll(async () => {
  las = await openLas();
  at = await startTestGateway({ EDUK_ADMINISTRATIONS: folder });
  party = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  reader = await at.party('Schoolbord', [Role.ROLE_SCHOOL], school);
  await at.mandate(school, party.oin, [Service.SERVICE_ROSTER]);
  settings('leerlijst', basic());
});
afterAll(async () => {
  await at?.stop();
  await las?.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  las.fails = () => undefined;
  las.asked.length = 0;
});

describe('a roster that is fetched', () => {
  test('comes in as one that was sent, and what did not change is not fetched again', async () => {
    fill(brin);
    const first = await pull();
    expect(first.pull).toMatchObject({
      outcome: 'applied',
      learners: 31,
      code: '',
      failures: 0,
      since: '2026-11-20T03:15:00Z',
    });
    expect(first.pull!.flowId).not.toBe('');
    expect(await known()).toHaveLength(31);
    expect(las.asked).toEqual([
      { operation: 'leerlinggegevens', brin, since: '', action: '"HaalLeerlinggegevens"', schooljaar: YEAR },
    ]);
    const { flow } = await at.operator.showFlow({ flowId: first.pull!.flowId });
    expect(flow!.steps.map(({ step }) => step)).toContain('RosterApplied');

    expect((await pull()).pull).toMatchObject({ outcome: 'unchanged', since: '2026-11-20T03:15:00Z' });
    expect(las.asked.at(-1)).toMatchObject({ since: '2026-11-20T03:15:00Z' });
    // What the next asks since is kept, also where the gateway was stopped.
    await at.restart();
    expect((await pull()).pull).toMatchObject({ outcome: 'unchanged' });
    expect((await pull({ whole: true })).pull).toMatchObject({ outcome: 'applied' });
    expect(las.asked.at(-1)).toMatchObject({ since: '' });
  });

  test('is fetched in stages, and in one question means the same', async () => {
    fill(brin, 31, '2026-11-20T04:00:00Z');
    const staged = await pull({ protocol: 'getrapt' });
    expect(staged.pull).toMatchObject({ outcome: 'applied', learners: 32 });
    expect(las.asked.map(({ operation }) => operation)).toEqual(['structuur', 'leerlingen', 'leerkrachten']);
    expect(las.asked[1]!.action).toBe(
      '"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens/leerlingen_verzoek"',
    );
    const { learners } = (await own().rosters.getRoster({ schoolOin: school })).roster!;
    expect(learners).toHaveLength(32);
    expect(learners.find(({ ref }) => ref!.lasKey === 'k0')).toMatchObject({
      groupKey: 'g8',
      compositeGroupKeys: ['viool'],
    });
    // In one question there is nothing new then.
    expect((await pull({ whole: true })).difference).toBeUndefined();
    las.asked.length = 0;
    expect((await pull({ protocol: 'getrapt' })).pull).toMatchObject({ outcome: 'unchanged' });
    expect(las.asked.map(({ operation, since }) => [operation, since !== ''])).toEqual([
      ['structuur', true],
      ['structuur', false],
      ['leerlingen', true],
      ['leerkrachten', true],
    ]);
  });

  test('that would empty the school is held, and fetched as a whole until somebody decides', async () => {
    fill(brin, 4, '2026-11-21T03:00:00Z');
    const held = await pull();
    expect(held.pull).toMatchObject({
      outcome: 'held',
      code: 'hold.pending',
      who: 'school',
      since: '2026-11-20T04:00:00Z',
    });
    expect(held.holdId).not.toBe('');
    expect(held.difference).toMatchObject({ before: 32, after: 5, left: 27 });
    expect(await known()).toHaveLength(32);
    expect((await at.operator.status({})).pulls).toMatchObject([{ schoolOin: school, outcome: 'held' }]);
    fill(brin, 31, '2026-11-21T04:00:00Z');
    expect((await pull()).pull).toMatchObject({ outcome: 'applied' });
  });
});

describe('what an administration answers otherwise', () => {
  const cases: [LasFault, { outcome?: string; code: string; who: string; faultcode?: string }][] = [
    ['slow', { code: 'peer.unavailable', who: 'peer' }],
    ['huge', { code: 'peer.unavailable', who: 'peer' }],
    ['half', { code: 'peer.unavailable', who: 'peer' }],
    ['garbage', { code: 'peer.unavailable', who: 'peer' }],
    ['empty', { code: 'peer.unavailable', who: 'peer' }],
    ['error', { code: 'peer.unavailable', who: 'peer' }],
    ['busy', { code: 'peer.unavailable', who: 'peer' }],
    ['silent', { code: 'peer.unavailable', who: 'peer' }],
    ['refuse', { code: 'peer.refused', who: 'us' }],
    ['elsewhere', { code: 'peer.refused', who: 'us' }],
    ['other school', { code: 'peer.unavailable', who: 'peer' }],
    ['other year', { code: 'peer.unavailable', who: 'peer' }],
    ['unchanged', { code: 'peer.unavailable', who: 'peer' }],
    ['nothing', { outcome: 'nothing', code: '', who: 'school' }],
    ['no pupils', { outcome: 'nothing', code: '', who: 'school' }],
    [
      { faultcode: 'Client.AutorisatieOngeldig', faultstring: 'Els 3 mag niet' },
      { code: 'peer.refused', who: 'school', faultcode: 'Client.AutorisatieOngeldig' },
    ],
    [
      { faultcode: 'soap:Client.XsdVersieOngeldig', faultstring: 'Els 3' },
      { code: 'peer.refused', who: 'us', faultcode: 'Client.XsdVersieOngeldig' },
    ],
    [
      { faultcode: 'Server.TijdelijkNietBeschikbaar', faultstring: 'Els 3' },
      { code: 'peer.unavailable', who: 'peer', faultcode: 'Server.TijdelijkNietBeschikbaar' },
    ],
    [
      { faultcode: 'ns0:Els.Drie', faultstring: 'Els 3' },
      { code: 'peer.unavailable', who: 'peer', faultcode: 'Server' },
    ],
  ];
  test.each(cases)(
    '%j changes nothing, and says who must act',
    async (fault, expected) => {
      const before = await known();
      settings('leerlijst', basic({ timeoutSeconds: 1, mostMegabytes: 2 }));
      las.fails = () => fault;
      const { told, pull: of } = await pull({ whole: true });
      expect(of).toMatchObject({ outcome: 'failed', faultcode: '', ...expected });
      expect(told).not.toBe('');
      expect(JSON.stringify([told, { ...of, dueMs: 0, lastMs: 0, answeredMs: 0 }])).not.toMatch(/Els|Drie/);
      expect(await known()).toEqual(before);
      if (of!.outcome === 'failed') {
        expect(of!.failures).toBeGreaterThan(0);
        expect(of!.dueMs).toBeGreaterThan(of!.lastMs);
      }
    },
    60_000,
  );

  test('a personal number is refused with its place', async () => {
    const here = las.schools.get(brin)!;
    here.pupils[3]!.extra = '<bsn>123456782</bsn>';
    const line = await pull({ whole: true });
    expect(line.pull).toMatchObject({ outcome: 'failed', code: 'wire.pgn', who: 'peer' });
    expect(line.where.join()).toMatch(/leerling\[4\]\/bsn/);
    expect(JSON.stringify([line.told, line.where])).not.toContain('123456782');
    delete here.pupils[3]!.extra;
    here.pupils[3]!.extra = '<bsn_ondwnr-4>6782</bsn_ondwnr-4>';
    expect((await pull({ whole: true })).losses).toMatchObject([{ field: 'bsn_ondwnr-4', count: 1 }]);
    delete here.pupils[3]!.extra;
  });

  test('without a mandate nothing is asked', async () => {
    const other = newSchool();
    settings('leerlijst', basic({ schools: [{ school: other, sleutel: secret('ander', 'x') }] }));
    const { rosters } = await at.operator.pullRoster([{ schoolOin: other }]);
    expect(rosters[0]!.pull).toMatchObject({ outcome: 'failed', code: 'state.missing' });
    await at.party('Andere school', [Role.ROLE_SCHOOL], other);
    const again = await at.operator.pullRoster([{ schoolOin: other }]);
    expect(again.rosters[0]!.pull).toMatchObject({ outcome: 'failed', code: 'mandate.missing', who: 'school' });
    expect(las.asked).toEqual([]);
    settings('leerlijst', basic());
  });
});

describe('an administration', () => {
  test('is added by a file alone: certificate, header, bare SOAPAction, year left empty, 2.3', async () => {
    const authority = testAuthority('Ander LAS');
    const { cert, key } = authority.issue({}, { names: ['localhost'] });
    const own = authority.issue({ serialNumber: newOin() });
    const other = await openLas({
      tls: { cert, key, ca: authority.ca },
      header: { name: 'Hub-Sleutel', value: 'hub-geheim' },
    });
    try {
      const there = newSchool();
      other.schools.set(brinOf(there)!, { ...las.schools.get(brin)!, sleutel: 'anders' });
      const second = await at.party('Hub', [Role.ROLE_ADMINISTRATION]);
      await at.party('School daar', [Role.ROLE_SCHOOL], there);
      await at.mandate(there, second.oin, [Service.SERVICE_ROSTER]);
      secret('tls.pem', own.cert);
      secret('tls.key', own.key);
      secret('ca.pem', authority.ca);
      const file = {
        party: second.oin,
        version: '2.3',
        schooljaar: 'leeg',
        soapAction: 'bare',
        gegevenssetid: 'Smalle-set-VO',
        klantcode: 'GW-7',
        klantnaam: 'Schakel',
        leerlinggegevens: `${other.url}/leerlinggegevens`,
        headers: { 'Hub-Sleutel': secret('hub', 'hub-geheim') },
        certificate: 'geheim/tls.pem',
        key: 'geheim/tls.key',
        ca: 'geheim/ca.pem',
        everyMinutes: 0,
        schools: [{ school: there, dependancecode: '01', sleutel: secret('daar', 'anders') }],
      };
      settings('hub', file);
      const { rosters } = await at.operator.pullRoster([{ partyOin: second.oin }]);
      expect(rosters[0]!.pull).toMatchObject({ outcome: 'applied', siteCode: '01' });
      expect(other.asked).toMatchObject([{ action: 'HaalLeerlinggegevens', schooljaar: '' }]);
      // Without its certificate, or with another authority, or another header it is not let in.
      for (const wrong of [{ certificate: '', key: '' }, { ca: '' }, { headers: {} }]) {
        settings('hub', { ...file, ...wrong });
        const { rosters: none } = await at.operator.pullRoster([{ partyOin: second.oin }]);
        expect(none[0]!.pull).toMatchObject({ outcome: 'failed', who: 'us' });
      }
    } finally {
      await other.close();
      rmSync(join(folder, 'hub.json'), { force: true });
    }
  });

  test('whose file is wrong is left out, with what is wrong, and the others go on', async () => {
    settings('fout', {
      party: 'x',
      klantcode: '',
      everyMinutes: -1,
      wachtwoord: 'Els 3',
      schools: [{ school: 'nee' }],
    });
    writeFileSync(join(folder, 'stuk.json'), '{"party": Els 3');
    const { administrationProblems } = await at.operator.status({});
    expect(administrationProblems).toEqual([
      'fout.json: party must be the OIN of the administration',
      'fout.json: klantcode must be text of at most 64 characters',
      'fout.json: klantnaam must be text of at most 64 characters',
      'fout.json: everyMinutes must be a whole number from 0 to 525600',
      'fout.json: schools[0].school must be a BRIN or OIN',
      'fout.json: schools[0].sleutel must be the name of a file',
      expect.stringMatching(/^fout\.json: it has 1 field that nobody knows; known are party, version/),
      'stuk.json: is not JSON',
    ]);
    expect((await pull()).pull).toMatchObject({ outcome: 'unchanged' });
    rmSync(join(folder, 'fout.json'));
    rmSync(join(folder, 'stuk.json'));
    // A secret that others can read is not used.
    writeFileSync(join(folder, 'geheim', 'open'), 'x', { mode: 0o644 });
    settings('leerlijst', basic({ schools: [{ school, sleutel: 'geheim/open' }] }));
    const line = await pull();
    expect(line.pull).toMatchObject({ outcome: 'failed', code: 'gateway.unavailable', who: 'us' });
    expect(line.told).toMatch(/0600/);
    settings('leerlijst', basic());
  });

  test('an unknown school, and one of two administrations without saying which', async () => {
    await expect(at.operator.pullRoster([{ schoolOin: newSchool() }])).rejects.toThrow(/has this school/);
    await expect(at.operator.pullRoster([{ schoolOin: school, schoolYear: '2026' }])).rejects.toThrow();
    await expect(at.operator.pullRoster([{ schoolOin: school, protocol: 'anders' }])).rejects.toThrow(
      /alles-in-een or getrapt/,
    );
  });

  test('is asked by itself; one that is away rests with all its schools, and keeps nobody else waiting', async () => {
    const away = await openLas();
    try {
      const third = await at.party('Weg', [Role.ROLE_ADMINISTRATION]);
      const schools = Array.from({ length: 6 }, newSchool);
      for (const oin of schools) {
        await at.party('School', [Role.ROLE_SCHOOL], oin);
        await at.mandate(oin, third.oin, [Service.SERVICE_ROSTER]);
      }
      away.fails = () => 'garbage';
      settings('weg', {
        ...basic({ everyMinutes: 60, leerlinggegevens: away.url, getrapt: '' }),
        party: third.oin,
        schools: schools.map((oin) => ({ school: brinOf(oin), sleutel: secret('weg', 'x') })),
      });
      fill(brin, 31, '2026-11-21T05:00:00Z');
      settings('leerlijst', basic({ everyMinutes: 60 }));
      // What somebody asked for a moment ago is not due; another year of it is.
      await at.restart(() => {
        const { schools: own, ...rest } = basic({ everyMinutes: 60 });
        settings('leerlijst', { ...rest, schools: own.map((one) => ({ ...one, dependancecode: '02' })) });
      });
      const asked = async (enough: () => boolean) => {
        for (let i = 0; i < 300 && !enough(); i++) await new Promise((done) => setTimeout(done, 100));
      };
      await asked(() => away.asked.length >= 3 && las.asked.length > 0);
      expect(las.asked).toMatchObject([{ operation: 'leerlinggegevens', brin }]);
      const resting = () =>
        at.operator
          .status({})
          .then(({ pulls }) => pulls.find((one) => one.partyOin === third.oin && one.schoolOin === ''));
      for (let i = 0; i < 300 && !(await resting()); i++) await new Promise((done) => setTimeout(done, 100));
      // Three in a row are enough to know; it is asked again later, also by a gateway that was started anew.
      expect(away.asked).toHaveLength(3);
      expect(await resting()).toMatchObject({ outcome: 'failed', code: 'peer.unavailable', who: 'peer', failures: 1 });
      await at.restart();
      await new Promise((done) => setTimeout(done, 3_500));
      expect(away.asked).toHaveLength(3);
      expect(las.asked).toHaveLength(1);
    } finally {
      await away.close();
      rmSync(join(folder, 'weg.json'), { force: true });
      settings('leerlijst', basic());
    }
  });
});

test('a moment in days to come is nobody’s: everything is asked again, and what comes after it is taken', async () => {
  const ahead = newSchool();
  const own = brinOf(ahead)!;
  settings('leerlijst', basic({ schools: [{ school: own, sleutel: secret('voor', `sleutel-van-${own}`) }] }));
  try {
    await at.party('School met een klok', [Role.ROLE_SCHOOL], ahead);
    await at.mandate(ahead, party.oin, [Service.SERVICE_ROSTER]);
    fill(own, 30, '2036-01-01T00:00:00Z');
    expect((await pull({ schoolOin: ahead })).pull).toMatchObject({ outcome: 'applied', since: '' });
    // A clock may be a little ahead.
    const soon = new Date(Date.now() + 60_000).toISOString();
    fill(own, 31, soon);
    expect((await pull({ schoolOin: ahead })).pull).toMatchObject({ outcome: 'applied', learners: 32, since: soon });
    expect(las.asked.map(({ since }) => since)).toEqual(['', '']);
    expect((await pull({ schoolOin: ahead })).pull).toMatchObject({ outcome: 'unchanged' });
  } finally {
    settings('leerlijst', basic());
  }
});
