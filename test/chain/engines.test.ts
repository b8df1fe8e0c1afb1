/** The real services say the same on both engines: over PostgreSQL and Kafka, with replicas that come and go, as in memory. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DistributedEngine, type NewEntry, type Table, testBench } from '#bus';
import { type Infrastructure, localInfrastructure } from '#deploy/local';
import {
  type Client,
  connect,
  dispatcher,
  dutchDay,
  encoded,
  proofProblem,
  recordOf,
  type ServiceDefinition,
  succession,
  uuid7,
  uuidText,
} from '#kernel';
import { AccessServiceDefinition } from '#proto/eduk/access/v1/access';
import { AuditServiceDefinition } from '#proto/eduk/audit/v1/audit';
import { LogServiceDefinition, Taken } from '#proto/eduk/bus/v1/bus';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { AttemptOutcome, DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { EntitlementsServiceDefinition, ListEntitlementsRequest } from '#proto/eduk/entitlements/v1/entitlements';
import { AuditSubmitted } from '#proto/eduk/events/v1/audit';
import { LearnerEntry, RosterSubmitted } from '#proto/eduk/events/v1/rosters';
import { FindFlowsRequest, FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import { OrdersServiceDefinition } from '#proto/eduk/orders/v1/orders';
import { ResultsServiceDefinition } from '#proto/eduk/results/v1/results';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { type EventName, events } from '#proto/events';
import { auditWith } from '#services/audit';
import { entitlementsWith } from '#services/entitlements';
import { parties } from '#services/parties';
import { rosters } from '#services/rosters';
import { makePlace } from '../../services/bus/postgres/places.ts';
import { randomFrom } from '../parties/random.ts';
import { entriesOf } from '../sim/entries.ts';
import { inventMessages, type Message } from '../sim/messages.ts';
import { services } from '../sim/watched.ts';
import { inventWorld, type World } from '../sim/world.ts';

const NOW = Date.parse('2026-08-17T08:00:00Z');
const MOMENTS = ['atMs', 'changedMs', 'decidedMs', 'seenMs', 'sinceMs', 'timeMs'];
/** Columns that say which of several was first, or hold an id that is chance. */
const passing: Readonly<Record<string, readonly string[]>> = {
  parties_mandates: ['version'],
  parties_parties: ['version'],
  catalogue_products: ['change'],
  entitlements_entitlements: ['changed'],
  delivery_mail: ['number', 'first', 'eventId'],
  delivery_moved: ['number', 'first'],
  delivery_bodies: ['eventId'],
  delivery_heads: ['number', 'first'],
  // Whichever lane came last says it; their sum is of services/flows.
  flows_scores: ['refused'],
};

let folder: string;
let servers: Infrastructure;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-engines-'));
  servers = await localInfrastructure({ folder });
});
afterAll(async () => {
  await servers?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function lasting(table: Table, rows: readonly object[]): string[] {
  const left = [...(passing[table.name] ?? []), ...MOMENTS];
  return rows
    .filter((row) => table.name !== 'flows_scores' || (row as { accepted: number }).accepted > 0)
    .map((row) => {
      const kept: Record<string, unknown> = {};
      for (const column of Object.keys(table.columns).sort()) {
        const value = (row as Record<string, unknown>)[column];
        if (left.includes(column) || value === undefined || value === null) continue;
        if (value instanceof Uint8Array) kept[column] = Buffer.from(value).toString('base64');
        else if (table.name === 'delivery_bodies' && column === 'receivers')
          kept[column] = (value as string).split(' ').map((one) => one.slice(0, one.lastIndexOf('/')));
        else if (table.name === 'flows_flows' && column === 'steps')
          kept[column] = (value as { step: string; state: string }[])
            .map(({ step, state }) => `${step} ${state}`)
            .sort();
        else kept[column] = value;
      }
      return JSON.stringify(kept);
    })
    .sort();
}

async function rowsIn(url: string, service: string, table: Table): Promise<object[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(`SELECT * FROM "${service}"."${table.name}"`).finally(() => client.end());
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(table.columns).map(([column, type]) => [
        column,
        row[column] === null
          ? undefined
          : type === 'int'
            ? Number(row[column])
            : type === 'json'
              ? JSON.parse(row[column])
              : row[column],
      ]),
    ),
  );
}

/** What owners have of a learner, and the messages about it. */
async function aboutLearner(
  at: <D extends ServiceDefinition>(definition: D) => Client<D>,
  schoolOin: string,
  learner: string,
) {
  const of = { schoolOin, learner };
  const { subjects: held, learners } = await at(EntitlementsServiceDefinition).listSubjects(of);
  const others = await Promise.all([
    at(OrdersServiceDefinition).listSubjects(of),
    at(AccessServiceDefinition).listSubjects(of),
    at(ResultsServiceDefinition).listSubjects(of),
  ]);
  const subjects = [...held, ...others.flatMap((one) => one.subjects)];
  const asked = FindFlowsRequest.fromPartial({ schoolOin, learners, subjects, limit: 1000 });
  const { flows } = await at(FlowsServiceDefinition).findFlows(asked);
  return { learners: learners.sort(), flows: flows.map(({ flowId }) => flowId) };
}

/**
 * A party is stopped and goes on, another stays stopped, a school answers what it is asked about a mandate, and of its learners two become one;
 * two others do too, and are two again.
 */
function whatOperatorsDo(world: World, before: readonly Message[]): Message[] {
  const [one, other] = world.parties;
  const grant = before.flatMap(({ events }) => events).find(({ name }) => name === 'MandateSubmitted')!;
  const { mandateId, schoolOin } = (grant.value as { mandate: { mandateId: string; schoolOin: string } }).mandate;
  const standing = (oin: string, change: string) => ({
    name: 'PartyStandingSubmitted',
    key: oin,
    value: { oin, change, reason: change === 'stop' ? 'case-1' : '' },
  });
  const review = (change: string, byOin: string) => ({
    name: 'MandateReviewSubmitted',
    key: schoolOin,
    value: { schoolOin, mandateId, change, lastUsedOn: '2026-03-01', endsOn: '', byOin },
  });
  const n = 1 + Math.max(...before.map((message) => message.n));
  const school = world.schools[0]!;
  const [first, second, third, fourth, ...others] = school.learners;
  const two = (winner: string, loser: string) => ({ schoolOin: school.oin, winner, loser, byOin: 'operator' });
  const merge = (winner: string, loser: string) => ({
    name: 'LearnersMergeSubmitted',
    key: school.oin,
    value: { ...two(winner, loser), byPerson: 'a' },
  });
  const approve = (asked: number) => ({
    name: 'HoldDecisionSubmitted',
    key: school.oin,
    value: { schoolOin: school.oin, holdId: `$flow:${n + asked}`, approve: true, byOin: 'operator', byPerson: 'b' },
  });
  const part = { name: 'LearnersMergeUndoSubmitted', key: school.oin, value: two(third!, fourth!) };
  const elsewhere = {
    name: 'SchoolChangeSubmitted',
    key: school.oin,
    value: {
      schoolOin: school.oin,
      toSchoolOin: world.schools[1]!.oin,
      onDay: dutchDay(NOW),
      learners: others,
      byOin: 'operator',
      byPerson: 'a',
    },
  };
  const crossed = {
    name: 'SchoolCrossingSubmitted',
    key: school.oin,
    value: { schoolOin: school.oin, changeId: `$flow:${n + 10}`, went: others, byOin: 'operator' },
  };
  return [
    standing(one!.oin, 'stop'),
    standing(one!.oin, 'resume'),
    standing(other!.oin, 'stop'),
    review('open', 'operator'),
    review('keep', schoolOin),
    merge(first!, second!),
    approve(5),
    merge(third!, fourth!),
    approve(7),
    part,
    elsewhere,
    approve(10),
    crossed,
  ].map((event, i) => ({
    ...before[0]!,
    n: n + i,
    party: 'operator',
    method: `OperatorService/${event.name}`,
    school: '',
    events: [event],
  }));
}

test.each([11, 23, 37])(
  'of world %i',
  async (seed) => {
    const random = randomFrom(seed);
    const world = inventWorld(random);
    const invented = inventMessages(world, random, true);
    const messages = [...invented, ...whatOperatorsDo(world, invented)];
    const entries = entriesOf(messages, NOW);

    const bench = testBench(services, { now: NOW });
    for (const entry of entries) {
      bench.accept([entry]);
      bench.run();
    }

    const place = await makePlace(servers, 'platformatic');
    const clock = { now: () => NOW };
    const replicas: DistributedEngine[] = [];
    const join = async (): Promise<void> => {
      const replica = await place.open({ modules: services, clock });
      replica.start();
      replicas.push(replica);
    };
    try {
      await join();
      const accept = async (of: readonly NewEntry[]): Promise<void> => {
        const log = connect(LogServiceDefinition, dispatcher(replicas.at(-1)!.implementations));
        for (let at = 0; at < of.length; at += 20) {
          const asked = of.slice(at, at + 20).map((entry) => ({ ...entry, events: [...entry.events], bulk: false }));
          const { outcomes } = await log.accept({ entries: asked as never });
          expect(outcomes.every(({ taken }) => taken === Taken.TAKEN_ACCEPTED)).toBe(true);
        }
      };
      // Who is who and what is sold is known before the first order, as in the list that memory went through.
      const settled = 1 + messages.findLastIndex(({ method }) => method.includes('GrantMandate'));
      await accept(entries.slice(0, settled));
      await replicas[0]!.runToIdle();
      // Those who change school cross once their day has come.
      const rest = entries.slice(settled, -1);
      await accept(rest.slice(0, rest.length / 3));
      // One comes, then the first goes, while events are under way.
      await join();
      await accept(rest.slice(rest.length / 3, (2 * rest.length) / 3));
      await replicas.shift()!.stop();
      await accept(rest.slice((2 * rest.length) / 3));
      await replicas[0]!.runToIdle();
      await accept(entries.slice(-1));
      await replicas[0]!.runToIdle();
      for (const { name, tables } of services)
        for (const table of tables)
          expect(lasting(table, await rowsIn(place.url, name, table)), table.name).toEqual(
            lasting(table, bench.list(table, { equals: [] })),
          );
      expect(await place.query('SELECT * FROM bus.troubles')).toEqual([]);
      const replica = dispatcher(replicas[0]!.implementations);
      let found = 0;
      for (const { oin, learners } of world.schools)
        for (const learner of learners) {
          const here = await aboutLearner((definition) => bench.client(definition), oin, learner);
          expect(await aboutLearner((definition) => connect(definition, replica), oin, learner)).toEqual(here);
          found += here.flows.length;
        }
      expect(found).toBeGreaterThan(0);
      const merges = services
        .find(({ name }) => name === 'rosters')!
        .tables.find(({ name }) => name === 'rosters_merges')!;
      expect(
        bench
          .list(merges, { equals: [] })
          .map((row) => (row as { undone: number }).undone)
          .sort(),
      ).toEqual([0, 1]);
      expect(bench.events('SchoolCrossed').filter(({ value }) => value.went > 0)).toHaveLength(1);
    } finally {
      for (const replica of replicas) await replica.stop();
      await place.remove();
    }
  },
  240_000,
);

test('what a party does about its dead letters is the same on both engines, whoever of the replicas does it', async () => {
  const [school, party, rival] = ['0000000700012AB00000', '00000001000000000003', '00000001000000000004'];
  const modules = services.filter(({ name }) => name === 'delivery' || name === 'flows');
  const none = new Uint8Array(0);
  const entryOf = <N extends EventName>(name: N, value: object, key: string): NewEntry => {
    const { stream, codec } = events[name];
    const data = encoded(codec as never, (codec as unknown as { fromPartial(o: object): never }).fromPartial(value));
    return {
      ...{ flowId: uuid7(), partyOin: party, method: 'x/y', referenceKey: none, digest: none, digestVersion: 1 },
      ...{ rememberDays: 35, answer: none, schoolOin: school, traceparent: '' },
      events: [{ stream, type: name, key, data }],
    } as unknown as NewEntry;
  };
  interface Side {
    accept(entry: NewEntry): Promise<void>;
    client(): Client<typeof DeliveryServiceDefinition>;
    flows(): Client<typeof FlowsServiceDefinition>;
    later(ms: number): Promise<void>;
    /** Another replica goes on. */
    change(): Promise<void>;
  }
  async function story({ accept, client, flows, later, change }: Side): Promise<unknown[]> {
    const said: unknown[] = [];
    const owner = 'one';
    const put = <N extends EventName>(name: N, value: object, key: string) => accept(entryOf(name, value, key));
    const drain = async (status: number) => {
      for (let round = 0; round < 50; round++) {
        const ask = { owner, outcomes: [], attempts: 50, waitMs: 0n, alone: true };
        const { attempts } = await client().claimAttempts(ask);
        if (attempts.length === 0) return;
        said.push(attempts.map(({ rows, partyOin }) => [partyOin, ...rows.map(({ key }) => key)]).sort());
        const outcomes = attempts.map(({ attemptId, partyOin, standard, number }) =>
          AttemptOutcome.fromPartial({ attemptId, partyOin, standard, number, result: 'answered', status }),
        );
        await client().reportOutcomes({ owner, outcomes });
        for (const { attemptId, partyOin, rows } of attempts) {
          const id = rows.length === 1 ? uuidText(rows[0]!.eventId) : attemptId;
          for (const of of [partyOin, '']) {
            const found = await client().findDelivered({ id, partyOin: of });
            expect([...new Set(found.rows.map(({ flowId }) => flowId))].sort()).toEqual(
              rows.map(({ flowId }) => flowId).sort(),
            );
            expect([found.gone, found.partial]).toEqual([0, false]);
          }
        }
      }
    };
    const look = async () => {
      const all = { selection: undefined, after: '', limit: 0 };
      for (const partyOin of [party, rival]) {
        const { letters } = await client().listDeadLetters({ partyOin, ...all });
        said.push(
          letters.map(({ about, state, code, rows, type }) => [about, state, code, Number(rows), type].join(' ')),
        );
      }
    };
    const command = async (action: string, selection: object = {}, partyOin = party) => {
      const entry = entryOf('DeliveryCommandSubmitted', { partyOin, action, selection }, partyOin);
      await accept(entry);
      const flowId = uuidText(entry.flowId);
      const asked = { flowId, partyOin: '', referenceKey: none, method: '' };
      const { flow } = await flows().getFlow(asked);
      said.push([action, flow?.outcome, flow?.told]);
    };
    for (const oin of [party, rival]) {
      const endpoints = [{ standard: 'webhook', url: `https://${oin}.example/hook` }];
      await put('PartyRegistered', { party: { oin, roles: [Role.ROLE_PLATFORM], endpoints } }, oin);
      const state = MandateState.MANDATE_STATE_ACTIVE;
      const mandate = {
        mandateId: `m-${oin}`,
        schoolOin: school,
        partyOin: oin,
        services: [Service.SERVICE_ENTITLEMENT],
      };
      await put('MandateChanged', { mandate: { ...mandate, state } }, school);
    }
    await drain(200);
    const grant = (entitlementId: string, learner: string, platformOin = party) =>
      put(
        'EntitlementGranted',
        { terms: { entitlementId }, schoolOin: school, holder: { learner }, platformOin },
        learner,
      );
    await grant('e1', 'a');
    await grant('e2', 'b');
    await grant('e3', 'c', rival);
    await drain(422);
    await look();
    await change();
    await command('retry', { about: 'e1' });
    await drain(200);
    await grant('e4', 'd');
    const ask = { owner, outcomes: [], attempts: 50, waitMs: 0n, alone: true };
    const { attempts } = await client().claimAttempts(ask);
    await command('hold', {}, rival);
    await command('hold', { service: Service.SERVICE_ENTITLEMENT });
    await client().reportOutcomes({
      owner,
      outcomes: attempts.map(({ attemptId, partyOin, standard, number }) =>
        AttemptOutcome.fromPartial({ attemptId, partyOin, standard, number, result: 'answered', status: 503 }),
      ),
    });
    await later(3_600_000);
    await drain(200);
    await look();
    await change();
    await command('release', {}, rival);
    await command('release');
    await drain(200);
    await look();
    await later(1);
    const selection = { partyOin: party, schoolOin: school, again: true };
    await put('ReplaySubmitted', { partyOin: party, byOin: party, jobId: 'j', action: 'preview', selection }, party);
    await later(0);
    const run = { partyOin: party, byOin: party, jobId: 'j', action: 'run', rate: 1_000, mostErrors: 1 };
    await put('ReplaySubmitted', { ...run, secondAbove: 1 }, party);
    for (const order of [undefined, run]) {
      if (order) await put('ReplaySubmitted', order, party);
      for (let i = 0; i < 5; i++) {
        await later(200);
        await drain(200);
      }
      const { replays } = await client().listReplays({ partyOin: party, jobId: 'j' });
      said.push(replays.map(({ state, had, pending, toSend, sent }) => [state, had, pending, toSend, sent].join(' ')));
    }
    return said;
  }

  const bench = testBench(modules, { now: NOW });
  const memory = await story({
    accept: async (entry) => {
      bench.accept([entry]);
      bench.run();
    },
    client: () => bench.client(DeliveryServiceDefinition),
    flows: () => bench.client(FlowsServiceDefinition),
    later: async (ms) => {
      bench.advance(ms);
      bench.run();
    },
    change: async () => undefined,
  });
  expect(memory).toContainEqual(['hold', 'DeliveryCommandDone', '0 messages in 0 orders of delivery.']);
  expect(memory).toContainEqual(['hold', 'DeliveryCommandDone', '1 message in 1 order of delivery.']);
  expect([memory.at(-3), memory.at(-1)]).toEqual([['counted 2 1 2 0'], ['done 2 1 2 2']]);

  const place = await makePlace(servers, 'platformatic');
  let now = NOW;
  const replicas: DistributedEngine[] = [];
  const join = async (): Promise<void> => {
    const replica = await place.open({ modules, clock: { now: () => now } });
    replica.start();
    replicas.push(replica);
  };
  const last = () => dispatcher(replicas.at(-1)!.implementations);
  const idle = () => replicas.at(-1)!.runToIdle();
  try {
    await join();
    const apart = await story({
      async accept(entry) {
        const asked = { ...entry, events: [...entry.events], bulk: false };
        await connect(LogServiceDefinition, last()).accept({ entries: [asked as never] });
        await idle();
      },
      client: () => connect(DeliveryServiceDefinition, last()),
      flows: () => connect(FlowsServiceDefinition, last()),
      async later(ms) {
        now += ms;
        await idle();
      },
      async change() {
        await join();
        await replicas.shift()!.stop();
        await idle();
      },
    });
    expect(apart).toEqual(memory);
  } finally {
    for (const replica of replicas) await replica.stop();
    await place.remove();
  }
}, 240_000);

test('the log of what was done has each record once, under one head after the other, whoever of the replicas has it', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const place = await makePlace(servers, 'platformatic');
  let now = NOW;
  const replicas: DistributedEngine[] = [];
  const join = async (): Promise<void> => {
    const modules = [auditWith({ key: () => privateKey })];
    const replica = await place.open({ modules, clock: { now: () => now } });
    replica.start();
    replicas.push(replica);
  };
  const none = new Uint8Array(0);
  const entry = (n: number) => {
    const record = AuditRecord.fromPartial({
      kind: AuditKind.AUDIT_KIND_ACCEPTED,
      receiptId: `r-${n}`,
      partyOin: 'p',
      times: 1n,
    });
    const items = [{ salt: Buffer.alloc(16, n % 256), record: encoded(AuditRecord, record) }];
    return {
      flowId: uuid7(),
      partyOin: 'p',
      method: 'Audit/Note',
      referenceKey: none,
      digest: none,
      digestVersion: 1,
      rememberDays: 35,
      events: [{ stream: 'audit', type: 'AuditSubmitted', key: `k${n}`, data: encoded(AuditSubmitted, { items }) }],
      answer: none,
      schoolOin: '',
      traceparent: '',
      bulk: false,
    };
  };
  const call = () => connect(AuditServiceDefinition, dispatcher(replicas.at(-1)!.implementations));
  const add = async (from: number, to: number): Promise<void> => {
    const log = connect(LogServiceDefinition, dispatcher(replicas.at(-1)!.implementations));
    await log.accept({ entries: Array.from({ length: to - from }, (_, i) => entry(from + i)) });
  };
  const head = async (size: bigint) => {
    await replicas[0]!.runToIdle();
    now += 5_000;
    const { head: found } = await expect
      .poll(async () => call().getHead({}))
      .toMatchObject({ head: { size } })
      .then(() => call().getHead({}));
    return found!;
  };
  try {
    await join();
    await add(0, 300);
    const first = await head(300n);
    await join();
    await add(300, 500);
    await replicas.shift()!.stop();
    await add(500, 520);
    const second = await head(520n);
    const { path } = await call().getConsistency({ fromSize: first.size, toSize: second.size });
    expect(succession(first, second, path)).toBe('grown');
    const { leaves } = await call().listLeaves({ from: 0n, limit: 2000 });
    const ids = leaves.map(({ record }) => AuditRecord.decode(record).receiptId);
    expect(ids).toHaveLength(520);
    expect(new Set(ids).size).toBe(520);
    for (const id of ['r-0', 'r-255', 'r-256', 'r-299', 'r-519']) {
      const { proof } = await call().getProof({ receiptId: id, partyOin: 'p', waitMs: 1000n });
      expect([proofProblem(proof!), recordOf(proof!).receiptId]).toEqual([undefined, id]);
    }
    expect((await call().getHead({})).keys).toHaveLength(1);
  } finally {
    for (const replica of replicas) await replica.stop();
    await place.remove();
  }
});

test('who left loses names after a month and numbers on 1 October, as in memory; replicas that come and go lose nobody', async () => {
  const start = Date.parse('2026-11-23T10:00:00Z');
  const school = '0000000700099XX00000';
  let sent = 0;
  const roster = (schoolYear: string, count: number): NewEntry => {
    const learners = Array.from({ length: count }, (_, i) =>
      LearnerEntry.fromPartial({ learner: `lt_${String(i).padStart(4, '0')}`, yearGroup: '5' }),
    );
    const value = { rosterId: `r${++sent}`, schoolOin: school, schoolYear, byOin: 'x', part: 0, last: true, learners };
    const none = new Uint8Array(0);
    const data = encoded(RosterSubmitted, RosterSubmitted.fromPartial(value));
    return {
      flowId: uuid7(),
      partyOin: 'x',
      method: 'RosterService/PushRoster',
      referenceKey: none,
      digest: none,
      digestVersion: 1,
      rememberDays: 35,
      events: [{ stream: 'rosters', type: 'RosterSubmitted', key: school, data }],
      answer: none,
      schoolOin: school,
      traceparent: '',
    };
  };
  const steps: [string, NewEntry | undefined][] = [
    ['2026-11-23T10:00:00Z', roster('2026-2027', 300)],
    ['2026-11-24T10:00:00Z', roster('2026-2027', 290)],
    ['2026-12-26T10:00:00Z', undefined],
    ['2027-06-01T10:00:00Z', roster('2027-2028', 160)],
    ['2027-08-02T10:00:00Z', undefined],
    ['2027-09-02T10:00:00Z', undefined],
    ['2027-09-28T10:00:00Z', roster('2027-2028', 165)],
    ['2027-10-02T10:00:00Z', undefined],
  ];
  const bench = testBench(rosters, { now: start });
  const place = await makePlace(servers, 'platformatic');
  let now = start;
  const replicas: DistributedEngine[] = [];
  const join = async (): Promise<void> => {
    const replica = await place.open({ modules: [rosters], clock: { now: () => now } });
    replica.start();
    replicas.push(replica);
  };
  const ask = { sinceMs: 0n, limit: 0 };
  try {
    await join();
    for (const [moment, entry] of steps) {
      bench.advance(Date.parse(moment) - bench.now());
      now = Date.parse(moment);
      if (entry) {
        bench.accept([entry]);
        bench.run();
        const log = connect(LogServiceDefinition, dispatcher(replicas.at(-1)!.implementations));
        await log.accept({ entries: [{ ...entry, events: [...entry.events], bulk: false }] as never });
      }
      await join();
      await replicas.shift()!.stop();
      const there = connect(RostersServiceDefinition, dispatcher(replicas[0]!.implementations));
      const here = bench.client(RostersServiceDefinition);
      const seen = async (of: typeof there) => ({
        ended: (await of.listNamesEnded(ask)).people.map(({ person }) => person).sort(),
        forgetting: (await of.listForgetting(ask)).forgetting.map(({ learner, kept }) => `${learner} ${kept}`).sort(),
        years: (await of.listSchools({ schoolOin: '' })).rosters.map((one) => [
          one.schoolYear,
          one.learners,
          one.running,
        ]),
        overdue: (await of.countOverdue({})).people,
      });
      await expect
        .poll(
          async () => {
            await replicas[0]!.runToIdle();
            return seen(there);
          },
          { timeout: 200_000, interval: 500 },
        )
        .toEqual(await seen(here as typeof there));
    }
    const { forgetting } = await bench.client(RostersServiceDefinition).listForgetting(ask);
    expect([forgetting.length, forgetting.filter(({ kept }) => kept).length]).toEqual([140, 5]);
    expect(await place.query('SELECT * FROM bus.troubles')).toEqual([]);
  } finally {
    for (const replica of replicas) await replica.stop();
    await place.remove();
  }
}, 240_000);

test('a rule lets the same go on both engines, of rosters and of withdrawals, whoever of the replicas decides', async () => {
  const start = Date.parse('2027-07-05T06:00:00Z');
  const [school, seller] = ['0000000700099XY00000', '00000001000000000001'];
  const modules = [parties, rosters, entitlementsWith({ withdrawals: 5, percent: 10 })];
  const none = new Uint8Array(0);
  const entry = (...said: { type: EventName; value: object; key?: string }[]): NewEntry => ({
    ...{ flowId: uuid7(), partyOin: seller, method: 'x', referenceKey: none, digest: none, digestVersion: 1 },
    ...{ rememberDays: 35, answer: none, schoolOin: school, traceparent: '' },
    events: said.map(({ type, value, key = school }) => {
      const { stream, codec } = events[type];
      const of = codec as unknown as {
        fromPartial(value: object): never;
        encode(value: never): { finish(): Uint8Array };
      };
      return { stream, type, key, data: of.encode(of.fromPartial(value)).finish() };
    }),
  });
  const roster = (count: number): NewEntry => {
    const learners = Array.from({ length: count }, (_, i) =>
      LearnerEntry.fromPartial({ learner: `lt_${i}`, yearGroup: '8' }),
    );
    const of = { schoolOin: school, schoolYear: '2026-2027', byOin: 'x', part: 0, last: true, learners };
    return entry({ type: 'RosterSubmitted', value: { rosterId: `r${count}`, ...of } });
  };
  const ids = Array.from({ length: 30 }, (_, i) => `e${String(i).padStart(2, '0')}`);
  const granted = ids.map((entitlementId, i) => ({
    type: 'GrantSubmitted' as const,
    key: `lt_${i}`,
    value: {
      terms: { entitlementId, productId: 'maths', endsOn: '2028-07-31' },
      ...{ schoolOin: school, holder: { learner: `lt_${i}` }, byOin: seller },
    },
  }));
  const withdraw = (from: number, until: number): NewEntry =>
    entry(
      ...ids.slice(from, until).map((entitlementId) => ({
        type: 'WithdrawSubmitted' as const,
        value: { schoolOin: school, entitlementId, mode: 'withdraw', byOin: seller, ofMessage: until - from },
      })),
    );
  // They stand together, so what the first let go counts for the second too.
  const rule = (ruleId: string, mostPercent: number, waiting: boolean): NewEntry => {
    const of = { schoolOin: school, kinds: ['leavers', 'withdrawals'], mostPercent, reason: ruleId, waiting };
    const untilMs = BigInt(Date.parse('2027-07-31T22:00:00Z'));
    return entry({
      type: 'HoldRuleSubmitted',
      value: { rule: { ruleId, untilMs, ...of }, change: 'set', byOin: 'operator' },
    });
  };
  const product = { productId: 'maths', publisherOin: seller };
  const steps: NewEntry[][] = [
    [roster(40), entry({ type: 'ProductPublished', value: { product }, key: 'maths' })],
    granted.map((one) => entry(one)),
    [rule('first', 35, false)],
    [roster(34), withdraw(0, 6)],
    [roster(27), withdraw(6, 13)],
    [roster(21)],
    [rule('second', 50, true)],
  ];
  const bench = testBench(modules, { now: start });
  const place = await makePlace(servers, 'platformatic');
  let now = start;
  const replicas: DistributedEngine[] = [];
  const join = async (): Promise<void> => {
    const replica = await place.open({ modules, clock: { now: () => now } });
    replica.start();
    replicas.push(replica);
  };
  const seen = async (at: <D extends ServiceDefinition>(definition: D) => Client<D>) => {
    const asked = { schoolOin: school, decided: true };
    const [{ holds }, changes, { learners }, all] = await Promise.all([
      at(RostersServiceDefinition).listHolds(asked),
      at(EntitlementsServiceDefinition).listChangeHolds(asked),
      at(RostersServiceDefinition).getRoster({
        schoolOin: school,
        schoolYear: '2026-2027',
        limit: 0,
        after: '',
        siteCode: '',
      }),
      at(EntitlementsServiceDefinition).listEntitlements(
        ListEntitlementsRequest.fromPartial({ schoolOin: school, limit: 100 }),
      ),
    ]);
    return {
      rosters: holds.map(({ state, ruling }) => ({ state, ruling })),
      changes: changes.holds.map(({ state, ruling, products }) => ({ state, ruling, products })),
      learners: learners.length,
      standing: all.entitlements.map(({ terms, state }) => `${terms?.entitlementId} ${state}`).sort(),
    };
  };
  try {
    await join();
    for (const entries of steps) {
      bench.advance(3_600_000);
      now += 3_600_000;
      bench.accept(entries);
      bench.run();
      bench.advance(1);
      const log = connect(LogServiceDefinition, dispatcher(replicas.at(-1)!.implementations));
      await log.accept({ entries: entries.map((one) => ({ ...one, events: [...one.events], bulk: false })) as never });
      now += 1;
      await join();
      await replicas.shift()!.stop();
      const there = dispatcher(replicas[0]!.implementations);
      await expect
        .poll(
          async () => {
            await replicas[0]!.runToIdle();
            return seen((definition) => connect(definition, there));
          },
          { timeout: 100_000, interval: 300 },
        )
        .toEqual(await seen((definition) => bench.client(definition)));
    }
    const { rosters: ofRosters, changes, learners } = await seen((definition) => bench.client(definition));
    expect(learners).toBe(21);
    expect(ofRosters.map(({ ruling }) => ruling?.ruleId)).toEqual(expect.arrayContaining(['first', 'first', 'second']));
    expect(changes.map(({ state, ruling }) => `${state} ${ruling?.ruleId}`).sort()).toEqual([
      'approved first',
      'approved second',
    ]);
    expect(await place.query('SELECT * FROM bus.troubles')).toEqual([]);
  } finally {
    for (const replica of replicas) await replica.stop();
    await place.remove();
  }
}, 240_000);
