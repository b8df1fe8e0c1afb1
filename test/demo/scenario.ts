/** The school start, step by step. What it prints is for someone who never saw the gateway. */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { inventRekenlist, inventTaallist, writeSru } from '../parties/catalogue.ts';
import { writeEdexml } from '../parties/edexml.ts';
import { type Expected, expectedFigures, oinsOf, type PartyName, planStart, type Report } from '../parties/plan.ts';
import { inventSchool, type Pupil } from '../parties/school.ts';
import { type Children, type Party, PartyRefused, type Said } from './children.ts';
import type { Row } from './table.ts';

export interface Scenario {
  pupils: number;
  seed: number;
  /** What goes wrong on purpose; see `plants`. */
  plant: string | undefined;
  /** A folder of the demo's own. */
  folder: string;
  /** The gateway's data folder. */
  data: string;
  /** Given: this gateway runs already, on Kafka and PostgreSQL, and goes on afterwards. */
  running: { grpc: string; http: string } | undefined;
  today: string;
}

/** Faults that can be planted, and the program that makes them. */
export const plants: Record<string, PartyName> = {
  'lost-grant': 'distributor',
  'lost-confirmation': 'wilgenblad',
  'lost-result': 'zilvermeeuw',
};

interface Member {
  title: string;
  /** Its name on the command line and the file of its program. */
  role: string;
  roles: string;
  services: string;
}

const members: Record<PartyName, Member> = {
  administration: {
    title: 'Leerlingbeheer, the school’s administration',
    role: 'administration',
    roles: 'administration',
    services: 'roster,order,result,access',
  },
  distributor: {
    title: 'Boekenhuis, a distributor',
    role: 'distributor',
    roles: 'distributor',
    services: 'order,entitlement',
  },
  wilgenblad: {
    title: 'Wilgenblad, a publisher of arithmetic',
    role: 'publisher',
    roles: 'publisher',
    services: 'order,entitlement',
  },
  zilvermeeuw: {
    title: 'Zilvermeeuw, a publisher of language with a site of its own',
    role: 'publisher',
    roles: 'publisher,platform',
    services: 'order,entitlement,access,result',
  },
  platform: {
    title: 'Leerplein, a learning platform',
    role: 'platform',
    roles: 'platform',
    services: 'roster,entitlement,access,result',
  },
  dashboard: {
    title: 'Kijkglas, a dashboard',
    role: 'dashboard',
    roles: 'dashboard',
    services: 'roster,progress,result',
  },
};
const names = Object.keys(members) as PartyName[];
/** Of UWLR, where a party speaks it: not all of the chain go on to a new one on the same day. */
const versions: Partial<Record<PartyName, '2.2' | '2.3'>> = {
  administration: '2.3',
  platform: '2.3',
  dashboard: '2.2',
};
/** `Leerlingbeheer, the …` → `Leerlingbeheer`. */
const shortName = (name: PartyName): string => members[name].title.split(',')[0]!;

/** What stands in the table, per column of a ledger. */
const columnWords: Record<string, string> = {
  placed: 'orders placed',
  confirmed: 'order lines confirmed',
  results: 'results, each with its score',
  ordered: 'order lines to deliver',
  granted: 'licences granted',
  refused: 'licence refused: the count is used up',
  ready: 'licences made ready',
  sent: 'the same, told to its webhook',
  used: 'licences first used',
  withdrawn: 'licences withdrawn',
  opened: 'pupils let in, with name',
  groups: 'groups over UWLR',
  'in groups': 'pupils in groups over UWLR',
  brought: 'results that came over UWLR',
  pupils: 'pupils',
  'fields of pupils': 'fields per pupil, and no other',
  progress: 'progress per pupil and supplier',
};

const number = (n: number): string => n.toLocaleString('en-US');
const many = (n: number, one: string, more = `${one}s`): string => `${number(n)} ${n === 1 ? one : more}`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** A stopped mandate closes its route within this time. */
const STOP_MS = 5_000;
/** SIGTERM ends a gateway within this time. */
const END_MS = 10_000;
/** When nothing has come in for so long, more waiting is no use. Longer where a role of the gateway may be started again. */
const QUIET_MS = { own: 30_000, running: 60_000 };
/** With a planted fault it is known that something does not come. */
const PLANTED_QUIET_MS = 3_000;

/** Plays it all, and adds to `rows` as it goes. Throws when a step cannot be done at all; what was seen till then stands. */
export async function play(
  { pupils, seed: wanted, plant, folder, data, running, today }: Scenario,
  children: Children,
  rows: Row[],
  say: (line: string) => void,
): Promise<void> {
  const madeAt = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  /** One thing, in words. */
  const proves = (party: string, what: string, should: string | number, has: string | number): void =>
    void rows.push({ party, what, should: String(should), has: String(has) });
  /** Many things, each by itself. */
  const provesAll = (party: string, what: string, should: readonly string[], has: readonly string[]): void =>
    void rows.push({ party, what, should, has });

  let count = 0;
  async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
    say('');
    say(`${String(++count).padStart(2)}. ${title}`);
    const started = performance.now();
    const result = await work();
    say(`    done in ${seconds(performance.now() - started)}`);
    return result;
  }
  const tell = (line: string): void => say(`    ${line}`);

  /** A command of the operator that must succeed. */
  async function eduk(args: string[], input?: string): Promise<any> {
    const said: Said = await children.eduk(args, input);
    if (said.exit !== 0)
      throw new Error(
        `eduk ${args.slice(0, 2).join(' ')} ended with ${said.exit}: ${said.json?.error?.message ?? said.words}`,
      );
    return said.json;
  }

  const { grpc, http } = running
    ? await step('Find the gateway that runs', async () => {
        tell(`Its roles are processes, on Kafka and PostgreSQL. gRPC is at ${running.grpc}, HTTP at ${running.http}.`);
        return running;
      })
    : await step('Start a gateway', async () => {
        const addresses = await children.startGateway(join(folder, 'administrations'));
        tell(
          `It runs in one process, needs no other software, and answers gRPC at ${addresses.grpc} and HTTP at ${addresses.http}.`,
        );
        return addresses;
      });
  const { run, seed } = running ? await unused(eduk, { seed: wanted, today }) : { run: 0, seed: wanted };
  if (seed !== wanted)
    say(`    Seed ${wanted} has invented a school that is known there; this is the school of seed ${seed}.`);
  const administrations = running ? join(data, 'administrations') : join(folder, 'administrations');
  const oins = oinsOf(run);
  const school = inventSchool({ pupils, seed, today });
  const reken = inventRekenlist(seed, run);
  const taal = inventTaallist(seed, run);
  const plan = planStart(school, reken, taal, today, oins);
  const expected = expectedFigures(school, plan, { reken, taal }, oins);

  const secrets = await step(
    'Register six parties; the school agrees to what each may have (a mandate each)',
    async () => {
      const found = new Map<PartyName, any>();
      for (const name of names) {
        const { title, roles, services } = members[name];
        const added = await eduk(['party', 'add', '--oin', oins[name], '--name', shortName(name), '--role', roles]);
        const mandate = await eduk([
          'mandate',
          'grant',
          '--school',
          school.oin,
          '--party',
          oins[name],
          '--service',
          services,
          '--confirm',
        ]);
        found.set(name, { ...added, ...mandate });
        tell(`${title}: ${services.replaceAll(',', ', ')}`);
      }
      return found;
    },
  );

  const parties = await step('Start each party as a program of its own', async () => {
    const started = await Promise.all(
      names.map(async (name) => {
        const { apiKey, uwlr, autorisatiesleutel } = secrets.get(name);
        const party = await children.startParty(members[name].role, {
          grpc,
          http: `http://${http}`,
          oin: oins[name],
          apiKey,
          school: school.oin,
          uwlr: { ...uwlr, autorisatiesleutel, version: versions[name] ?? '2.2' },
          ...(plant !== undefined && plants[plant] === name ? { plant } : {}),
        });
        if (name !== 'dashboard') await party.tell('watch', { ownSite: name === 'zilvermeeuw' });
        return [name, party] as const;
      }),
    );
    tell('They know the gateway’s address, their key and the published contracts, and share no code with it.');
    return Object.fromEntries(started) as Record<PartyName, Party>;
  });

  await step('The platform wants its mail sent as well, to a webhook', async () => {
    const { url } = await parties.platform.tell('listen');
    const { oin, title, roles } = { oin: oins.platform, ...members.platform };
    const endpoint = ['--endpoint', `webhook=${url}`];
    const { webhookSecret } = await eduk([
      ...['party', 'add', '--oin', oin, '--name', title.split(',')[0]!, '--role', roles],
      ...endpoint,
    ]);
    await parties.platform.tell('trust', { secret: webhookSecret });
    tell('Each message is signed with a secret that was printed this once (Standard Webhooks).');
  });

  await step('The administration and the dashboard want results sent, over UWLR', async () => {
    await mkdir(administrations, { recursive: true, mode: 0o700 });
    for (const name of ['administration', 'dashboard'] as const) {
      const key = randomBytes(24).toString('base64url');
      const { url } = await parties[name].tell('receive', { key });
      const secret = join(administrations, `${oins[name]}.sleutel`);
      await writeFile(secret, key, { mode: 0o600 });
      await writeFile(
        join(administrations, `${oins[name]}.json`),
        JSON.stringify({
          party: oins[name],
          klantcode: 'GW',
          klantnaam: 'Schakel',
          version: versions[name],
          schools: [{ school: school.brin, sleutel: secret }],
        }),
      );
      const { roles } = members[name];
      await eduk([
        ...['party', 'add', '--oin', oins[name], '--name', shortName(name), '--role', roles],
        ...['--endpoint', `uwlr=${url}`],
      ]);
      tell(`${shortName(name)} speaks ${versions[name]}; how it is spoken to is one file.`);
    }
  });

  const counts = async (name: PartyName): Promise<Record<string, number>> => parties[name].tell('counts');
  /** Waits until these columns hold as many items as they should, or nothing comes any more. */
  async function reached(wanted: [PartyName, string, number?][]): Promise<void> {
    let seen = -1;
    let changed = performance.now();
    let told = performance.now();
    for (;;) {
      const involved = [...new Set(wanted.map(([name]) => name))];
      const held = new Map(await Promise.all(involved.map(async (name) => [name, await counts(name)] as const)));
      const has = wanted.map(([name, column]) => held.get(name)![column] ?? 0);
      const should = wanted.map(([name, column, n]) => n ?? expected[name][column]!.length);
      if (has.every((n, i) => n >= should[i]!)) return;
      const now = performance.now();
      const total = has.reduce((sum, n) => sum + n, 0);
      if (total !== seen) changed = now;
      seen = total;
      const slowest = should.map((n, i) => [has[i]! / n, i] as const).sort(([a], [b]) => a - b)[0]![1];
      const [name, column] = wanted[slowest]!;
      const line = `${shortName(name)} has ${number(has[slowest]!)} of ${number(should[slowest]!)} ${columnWords[column] ?? column}`;
      if (now - changed > (plant !== undefined ? PLANTED_QUIET_MS : running ? QUIET_MS.running : QUIET_MS.own)) {
        tell(`Nothing more comes: ${line}.`);
        return;
      }
      if (now - told > 1_500) {
        told = now;
        tell(`… ${line}`);
      }
      await wait(100);
    }
  }

  await step(
    'The administration sends the school (EDEXML 2.1, a file of all pupils, groups and teachers)',
    async () => {
      const file = join(folder, 'school.xml');
      await writeFile(file, writeEdexml(school, { madeAt, asOf: today }));
      const taken = await parties.administration.tell('import', { file });
      tell(`${school.name} (${school.brin}, invented), ${school.schoolYear}. The gateway read`);
      tell(
        `${many(taken.learners, 'pupil')}, ${many(taken.groups, 'group')} and ${many(taken.staff, 'member')} of staff.`,
      );
      tell('From here on pupils are tokens inside the gateway; names and numbers rest in its vault.');
      proves('Gateway', 'pupils read from the file', school.pupils.length, taken.learners);
      proves('Gateway', 'groups read from the file', school.groups.length, taken.groups);
      proves('Gateway', 'staff read from the file', school.staff.length, taken.staff);
    },
  );

  await step('Two publishers offer their titles', async () => {
    const answered = await parties.wilgenblad.tell('publish', { list: reken, platformOin: oins.platform });
    tell(`Wilgenblad sent ${many(answered.answered, 'title')} in one gRPC stream.`);
    proves('Wilgenblad', 'titles published', reken.titles.length, answered.answered - answered.refusals.length);
    const file = join(folder, 'catalogue.xml');
    await writeFile(file, writeSru(taal, madeAt));
    const imported = await eduk(['catalogue', 'import', file, '--party', oins.zilvermeeuw]);
    tell(`Zilvermeeuw’s ${many(imported.published, 'title')} came as ECKCS records in a file: eduk catalogue import.`);
    proves('Zilvermeeuw', 'titles published', taal.titles.length, imported.published);
  });

  await step('The administration orders, and the sellers confirm each line', async () => {
    const lines = plan.orders.reduce((sum, order) => sum + order.lines.length, 0);
    tell(
      `${many(plan.orders.length, 'order')}, ${many(lines, 'line')}: arithmetic per pupil, language per group, typing for the school.`,
    );
    await parties.administration.tell('order', { orders: plan.orders });
    await reached([
      ['administration', 'confirmed'],
      ['wilgenblad', 'ordered'],
      ['zilvermeeuw', 'ordered'],
      ['distributor', 'ordered'],
    ]);
  });

  await step('The distributor grants the licences in bulk, and the platforms make places ready', async () => {
    const started = performance.now();
    const bulk = await parties.distributor.tell('grant', { grants: [...plan.grants, plan.pool] });
    tell(
      `${many(bulk.answered, 'licence')} in one stream, ${many(bulk.groups, 'receipt')}, durable after ${seconds(performance.now() - started)}.`,
    );
    await parties.distributor.tell('grant', { grants: plan.draws });
    const isDraw = plan.draws.length;
    await reached([['distributor', 'granted']]);
    tell(
      `The school’s licence for typing counts ${number(plan.pool.count!)}: ${many(isDraw, 'pupil')} took one, and one more pupil asks.`,
    );
    await parties.distributor.tell('grant', { grants: [plan.tooLate] });
    await reached([
      ['distributor', 'refused'],
      ['distributor', 'ready'],
      ['wilgenblad', 'ready'],
      ['zilvermeeuw', 'ready'],
      ['platform', 'ready'],
      ['platform', 'sent'],
    ]);
    const { refused = 0, ready = 0 } = await counts('distributor');
    tell(`${many(refused, 'licence')} refused, since the count is used up; ${number(ready)} are ready to be opened.`);
  });

  await step('The platform fetches the groups (UWLR 2.3, a SOAP standard), the dashboard does (UWLR 2.2)', async () => {
    const pulled = await parties.platform.tell('pull', { schoolYear: school.schoolYear });
    tell(`${many(pulled.groups, 'group')} and ${many(pulled.pupils, 'pupil')}. Of a pupil it gets at most:`);
    tell(`${pulled.fields.join(', ')}.`);
    tell('The school’s file has e-mail, account and gender too; the mandate does not name them.');
    const also = await parties.dashboard.tell('pull', { schoolYear: school.schoolYear });
    tell(`In 2.2 the dashboard is told of ${many(also.groups, 'group')} and ${many(also.pupils, 'pupil')}.`);
  });

  await step('First lesson: pupils open their books', async () => {
    const open = async (launches: typeof plan.platformLaunches, at: PartyName) => {
      const { tickets, refused } = await parties.administration.tell('launch', { launches });
      if (refused.length > 0) tell(`Refused: ${many(refused.length, 'pupil')} (${refused[0]}).`);
      await parties[at].tell('open', { tickets });
      tell(`${many(tickets.length, 'pupil')} on the site of ${shortName(at)}, each with a ticket that works once.`);
    };
    await open(plan.platformLaunches, 'platform');
    await open(plan.siteLaunches, 'zilvermeeuw');
    const without = school.pupils.at(-1)!;
    const [refused = 'let in'] = (
      await parties.administration.tell('launch', {
        launches: [{ eckId: without.eckId, productId: plan.pool.productId, callName: without.callName }],
      })
    ).refused;
    tell(`A pupil without a licence for typing asks too: ${refused}.`);
    proves('Leerlingbeheer', 'a launch without a licence is refused', 'state.missing', refused);
    await reached([
      ['platform', 'used'],
      ['zilvermeeuw', 'used'],
      ['distributor', 'used'],
      ['wilgenblad', 'used'],
    ]);
  });

  await step('Results come back', async () => {
    const began = performance.now();
    await parties.platform.tell('bring', { tests: plan.tests, madeAt, schoolYear: school.schoolYear });
    tell(
      `Leerplein: a test of ${many(pupils, 'pupil')} over UWLR 2.3 (BrengLeerresultaten), ` +
        `${many(plan.tests.length, 'message')} in ${seconds(performance.now() - began)}.`,
    );
    for (const [name, reports] of [
      ['platform', plan.platformReports],
      ['zilvermeeuw', plan.siteReports],
    ] as [PartyName, Report[]][]) {
      const began = performance.now();
      const { answered } = await parties[name].tell('report', { reports });
      tell(
        `${shortName(name)}: progress of ${many(answered, 'pupil')} over gRPC, one stream in ${seconds(performance.now() - began)}.`,
      );
    }
    await reached([
      ['administration', 'results'],
      ['administration', 'brought'],
      ['dashboard', 'brought'],
    ]);
    const { brought: taken = 0 } = await counts('dashboard');
    tell(
      `${many(taken, 'result')} went on to Leerlingbeheer in UWLR 2.3 and to Kijkglas in 2.2, by BrengLeerresultaten.`,
    );
  });

  await step('The dashboard asks the progress of every pupil, over both suppliers', async () => {
    await parties.dashboard.tell('look', { schoolYear: school.schoolYear });
    const { progress } = await parties.dashboard.tell('ledger');
    const [pupil] = school.pupils;
    for (const line of (progress as string[]).filter((one) => one.startsWith(pupil!.eckId))) {
      const [, productId, from, done, spent, score] = line.split(' ');
      const supplier = names.find((name) => oins[name] === from);
      const title = [...reken.titles, ...taal.titles].find(({ ean }) => ean === productId);
      tell(
        `${pupil!.callName}, ${title?.title ?? productId} (${supplier ? shortName(supplier) : from}): ${done} % done, ${spent} s, score ${score}`,
      );
    }
    const { groupKey } = pupil!;
    const inGroup = new Set(school.pupils.filter((one) => one.groupKey === groupKey).map(({ eckId }) => eckId));
    const ofGroup: string[] = await parties.dashboard.tell('group', { groupKey });
    tell(`The teacher of ${groupKey} sees ${many(ofGroup.length, 'such line')}, of ${many(inGroup.size, 'pupil')}.`);
    provesAll(
      'Kijkglas',
      'progress of one group, for its teacher',
      expected.dashboard['progress']!.filter((item) => inGroup.has(item.split(' ')[0]!)),
      ofGroup,
    );
  });

  await step('The platform restored an old copy of itself: its mail is counted, and sent again', async () => {
    const before: string[] = await parties.platform.tell('arrived', { from: 0 });
    const counted = await eduk(['replay', 'preview', '--party', oins.platform, '--school', school.oin, '--again']);
    tell(`${many(counted.had, 'message')} that it said it took, ${number(counted.toSend)} to send.`);
    const began = performance.now();
    const ran = await eduk(['replay', 'run', counted.jobId, '--rate', '5000']);
    tell(`${number(ran.sent)} sent again in ${seconds(performance.now() - began)}, each under the id it had.`);
    // Counted as sent is what was answered, so all of it is here.
    const again: string[] = await parties.platform.tell('arrived', { from: before.length });
    proves('Leerplein', 'messages that are sent again', counted.toSend, ran.sent);
    provesAll('Leerplein', 'mail that came once more, by its id', [...new Set(before)].sort(), [...again].sort());
  });

  const ledgers = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await parties[name].tell('ledger')] as const)),
  ) as Expected;
  // One speaks 2.3, the other 2.2: what one has, the other must have.
  provesAll(
    'Kijkglas, 2.2',
    'pupils in groups as Leerplein has them, 2.3',
    (ledgers.platform['pupils'] ?? []).map((item) => `${item.split(' ')[0]} ${item.split(' ')[2]}`),
    ledgers.dashboard['in groups'] ?? [],
  );
  provesAll(
    'Kijkglas, 2.2',
    'results as Leerlingbeheer has them, 2.3',
    ledgers.administration['brought'] ?? [],
    ledgers.dashboard['brought'] ?? [],
  );
  for (const name of names)
    for (const [column, should] of Object.entries(expected[name]))
      provesAll(shortName(name), columnWords[column] ?? column, should, ledgers[name][column] ?? []);

  await step('The school stops the platform’s mandate', async () => {
    const { mandateId } = secrets.get('platform');
    const withdrawn = performance.now();
    await eduk(['mandate', 'withdraw', mandateId]);
    let refused = '';
    while (refused === '' && performance.now() - withdrawn < STOP_MS + 1_000) {
      refused = await refusalOf(parties.platform.tell('ask'));
      if (refused === '') await wait(50);
    }
    const took = performance.now() - withdrawn;
    tell(
      `Its next question is refused (${refused || 'not at all'}), ${seconds(took)} after the school began to say stop.`,
    );
    proves(
      'Leerplein',
      'route closed within 5 s',
      'within 5 s',
      refused && took <= STOP_MS ? 'within 5 s' : seconds(took),
    );
    proves('Leerplein', 'question after the stop', 'mandate.ended', refused);
    const overUwlr = await refusalOf(parties.platform.tell('pull', { schoolYear: school.schoolYear }));
    const late = await parties.platform.tell('report', {
      reports: [{ ...plan.platformReports[0]!, resultId: 'after-the-stop' }],
    });
    const overStream = late.refusals[0]?.code ?? '';
    tell(`Groups over UWLR: ${overUwlr || 'given'}. A result over gRPC: ${overStream || 'taken'}.`);
    proves('Leerplein', 'groups over UWLR after the stop', 'mandate.ended', overUwlr);
    proves('Leerplein', 'a result after the stop', 'mandate.ended', overStream);
    await parties.distributor.tell('grant', { grants: [plan.afterStop] });
    await reached([['wilgenblad', 'granted', expected.wilgenblad['granted']!.length + 1]]);
    // What would have come to the platform comes at about the same moment; a second is plenty.
    await wait(1_000);
    const heard = async (name: PartyName) =>
      ((await parties[name].tell('ledger'))['granted'] as string[]).some((item) =>
        item.startsWith(`${plan.afterStop.entitlementId} `),
      )
        ? 'told'
        : 'not told';
    const [publisher, platform] = [await heard('wilgenblad'), await heard('platform')];
    tell(`A licence granted now: its publisher is ${publisher}, the platform is ${platform}.`);
    proves('Wilgenblad', 'a licence granted after the stop', 'told', publisher);
    proves('Leerplein', 'a licence granted after the stop', 'not told', platform);
  });

  const { forgotten } = plan;
  await step('A pupil is forgotten, at once', async () => {
    const [licence] = plan.forgottenEntitlements;
    const before = await parties.distributor.tell('holder', { entitlementId: licence });
    tell(
      `Until now the licence ${licence} shows its holder: ${before.eckId === forgotten.eckId ? 'the pupil' : 'nobody'}.`,
    );
    proves(
      'Boekenhuis',
      'holder of the licence before',
      'the pupil',
      before.eckId === forgotten.eckId ? 'the pupil' : 'nobody',
    );
    await eduk(['learner', 'forget', '--school', school.oin, '--now'], `${forgotten.eckId}\n`);
    tell('The identifier went to the command on standard input, so that it stands in no list of processes.');
    const deadline = performance.now() + STOP_MS;
    let after = await parties.distributor.tell('holder', { entitlementId: licence });
    while ((after.eckId !== '' || !/WITHDRAWN/.test(after.state)) && performance.now() < deadline) {
      await wait(100);
      after = await parties.distributor.tell('holder', { entitlementId: licence });
    }
    proves('Boekenhuis', 'holder of the licence after', 'nobody', after.eckId === '' ? 'nobody' : 'someone');
    proves(
      'Boekenhuis',
      'state of the licence after',
      'withdrawn',
      after.state.replace('ENTITLEMENT_STATE_', '').toLowerCase(),
    );
    const [, fromCount] = plan.forgottenEntitlements;
    const withdrawn: [PartyName, string[]][] = [
      ['distributor', plan.forgottenEntitlements],
      ['wilgenblad', [licence!]],
      ['zilvermeeuw', [fromCount!]],
    ];
    await reached(withdrawn.map(([name, ids]) => [name, 'withdrawn', ids.length]));
    for (const [name, ids] of withdrawn)
      provesAll(
        shortName(name),
        columnWords['withdrawn']!,
        ids,
        (await parties[name].tell('ledger'))['withdrawn'] ?? [],
      );
    tell(
      `Its ${many(plan.forgottenEntitlements.length, 'licence')} are withdrawn; who granted or sold them is told so.`,
    );
    const refusals: [PartyName, string, () => Promise<unknown>][] = [
      [
        'distributor',
        'licences of the forgotten pupil',
        () => parties.distributor.tell('list', { eckId: forgotten.eckId }),
      ],
      [
        'administration',
        'results of the forgotten pupil',
        () => parties.administration.tell('results', { eckId: forgotten.eckId }),
      ],
      [
        'dashboard',
        'progress of the forgotten pupil',
        () => parties.dashboard.tell('progress', { eckId: forgotten.eckId }),
      ],
    ];
    for (const [name, what, asked] of refusals) {
      const refused = await refusalOf(asked());
      tell(`${shortName(name)} asks the ${what}: ${refused || 'answered'}.`);
      proves(shortName(name), what, 'learner.unknown', refused);
    }
    const others = school.pupils.filter(({ eckId }) => eckId !== forgotten.eckId).map(({ eckId }) => eckId);
    const here: string[] = await parties.dashboard.tell('pupils', { schoolYear: school.schoolYear });
    provesAll('Kijkglas', 'pupils after forgetting one', others, here);
    const results: string[] = await parties.administration.tell('results', {});
    provesAll(
      'Leerlingbeheer',
      'results after forgetting one',
      others.flatMap((eckId) => [eckId, eckId, eckId]),
      results,
    );
    tell(`Of the school, ${many(here.length, 'pupil')} and ${many(results.length, 'result')} are left.`);
  });

  if (running) {
    await step('Pupils are looked for in what Kafka and the database of the state keep', async () => {
      const servers = await serversOf(data);
      if (servers === undefined) {
        tell('Not looked at: their addresses are not known here, only where npm run start:distributed runs them.');
        return;
      }
      const looked = await children.run(
        join(import.meta.dirname, 'look-inside.ts'),
        [],
        // Not as arguments, which every user of the machine may read: there is a password in them.
        [servers, school.oin, ...school.pupils.slice(0, 50).flatMap(identities)].join('\n'),
      );
      if (looked.exit !== 0) throw new Error(`Kafka and the database could not be looked into.\n${looked.words}`);
      const { records, rows, kafka, database } = looked.json;
      tell(
        `Of 50 pupils, ECK iD, key, e-mail and account are looked for in the bytes of ${many(records, 'record')} of Kafka`,
      );
      tell(`and of ${many(rows, 'row')} of the database, with their keys and headers.`);
      for (const [where, texts] of [
        ['Kafka', kafka],
        ['State', database],
      ] as [string, number[]][]) {
        proves(where, 'what is found of pupils in clear', 'nothing', inWords(texts));
        proves(where, 'the school’s public number in clear', 'found', texts.includes(0) ? 'found' : 'not found');
      }
    });
    return;
  }
  await step('The gateway stops; someone else opens a copy of its folder, with its key', async () => {
    const told = performance.now();
    const exit = await children.stopGateway();
    const took = performance.now() - told;
    tell(`It ended ${seconds(took)} after SIGTERM.`);
    proves('Gateway', 'exit code when told to stop', 0, exit);
    proves('Gateway', 'stops within 10 s', 'within 10 s', took <= END_MS ? 'within 10 s' : seconds(took));
    const copy = join(folder, 'copy');
    await mkdir(copy);
    await cp(data, copy, {
      recursive: true,
      // The list of the forgotten stays behind: without it, a vault that only hides what it still has would show it.
      filter: (source) => !source.endsWith('.forgotten'),
    });
    const looked = await children.run(
      join(import.meta.dirname, 'open-payloads.ts'),
      [copy, `${data}.dev.key`, school.oin],
      // The school's own number is public and must be found: otherwise the search proves nothing.
      [school.oin, ...school.pupils.slice(0, 50).flatMap(identities)].join('\n'),
    );
    if (looked.exit !== 0) throw new Error(`The copy could not be looked into.\n${looked.words}`);
    const { payloads, opened, pupils: found, shutPupils, unknownPupils, texts } = looked.json;
    tell(
      `${many(payloads, 'result')} of ${many(found, 'pupil')} are in it: ${number(opened)} open, ${number(payloads - opened)} do not, all of one pupil.`,
    );
    proves('A second process', 'results of the other pupils it opens', 3 * (pupils - 1), opened);
    proves('A second process', 'results of the forgotten pupil it finds', '3', payloads - 3 * (pupils - 1));
    proves('A second process', 'pupils whose results stay shut', '1', shutPupils);
    proves('A second process', 'tokens that lead to nobody', '1', unknownPupils);
    tell('Of 50 pupils, ECK iD, key, e-mail and account are looked for in the bytes of all files.');
    proves('A second process', 'what it finds of pupils in clear', 'nothing', inWords(texts));
    proves(
      'A second process',
      'the school’s public number in clear',
      'found',
      texts.includes(0) ? 'found' : 'not found',
    );
  });
}

/** Of the numbers of texts that were found, without the first, which is public. */
const inWords = (texts: readonly number[]): string => {
  const found = texts.filter((text) => text > 0).length;
  return found === 0 ? 'nothing' : `${found} texts`;
};

/** Addresses of the servers behind a gateway, as JSON; undefined where they are not written down. */
const serversOf = (data: string): Promise<string | undefined> =>
  readFile(join(data, 'servers.json'), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );

/** Schools that can be invented differ by two letters; with so many there are few left. */
const MOST_SCHOOLS = 2_000;
const MOST_RUNS = 4_500;

/** The first run of which a gateway knows no party, and the first seed from this one on of which it knows no school. */
async function unused(
  eduk: (args: string[]) => Promise<any>,
  { seed, today }: { seed: number; today: string },
): Promise<{ run: number; seed: number }> {
  const parties = new Set((await eduk(['party', 'list'])).map(({ oin }: { oin: string }) => oin));
  const schools = new Set((await eduk(['mandate', 'list'])).map(({ schoolOin }: { schoolOin: string }) => schoolOin));
  let run = 0;
  while (run <= MOST_RUNS && Object.values(oinsOf(run)).some((oin) => parties.has(oin))) run++;
  const from = seed;
  while (seed < from + MOST_SCHOOLS && schools.has(inventSchool({ pupils: 16, seed, today }).oin)) seed++;
  if (run > MOST_RUNS || seed === from + MOST_SCHOOLS)
    throw new Error('This gateway has seen the demo so often that no school is left. Give it another data folder.');
  return { run, seed };
}

/** What tells who a pupil is, and is long enough not to stand somewhere by chance. */
const identities = ({ eckId, lasKey, email, accountName }: Pupil): string[] => [
  eckId.slice(-128),
  lasKey,
  email,
  accountName,
];

/** The code with which it was refused; empty when it was not. */
async function refusalOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return '';
  } catch (thrown) {
    if (thrown instanceof PartyRefused && thrown.code !== 'party.failed') return thrown.code;
    throw thrown;
  }
}
