/** What the distributed engine owes when its servers and its own replicas fail, on a broker and a database of this file's own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LocalKafka, type LocalPostgres, startKafka, startPostgres } from '#deploy/local';
import { asGatewayError, connect, dispatcher, GatewayError, implement, partitionOf, uuid7 } from '#kernel';
import { LogServiceDefinition, Taken } from '#proto/eduk/bus/v1/bus';
import { FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import { openDriver } from '../kafka/index.ts';
import { type MessageType, type ServiceModule, table, type Unit } from '../port.ts';
import { StoreFailure } from '../store.ts';
import { Database } from './connection.ts';
import type { DistributedEngine } from './index.ts';
import { type DatabasePlace, makePlace } from './places.ts';

const number: MessageType<number> & { decode(bytes: Uint8Array): number } = {
  encode: (value) => ({ finish: () => Buffer.from(String(value)) }),
  decode: (bytes) => Number(Buffer.from(bytes).toString()),
};
interface SumRow {
  key: string;
  count: number;
  last: number;
  inOrder: number;
}
const sums = (name: string) =>
  table<SumRow>({
    name,
    key: ['key'],
    columns: { key: 'text', count: 'int', last: 'int', inOrder: 'int' },
    retention: 'RETENTION_AUDIT',
  });
const asked = sums('adder_sums');
const heard = sums('hearer_sums');

const adding = (rows: typeof asked, type: string, tell: boolean): ServiceModule['consumers'][number] => ({
  name: tell ? 'adder' : 'hearer',
  streams: [tell ? 'asks' : 'sums'],
  types: [type],
  handle(record, unit) {
    const seq = number.decode(record.data);
    const row = unit.get(rows, record.key) ?? { key: record.key, count: 0, last: 0, inOrder: 1 };
    unit.put(rows, {
      key: record.key,
      count: row.count + 1,
      last: seq,
      inOrder: row.inOrder === 1 && seq === row.last + 1 ? 1 : 0,
    });
    if (tell) unit.append('sums', 'Added', number, row.count + 1, record.key);
  },
});
const modules: ServiceModule[] = [
  { name: 'adder', tables: [asked], consumers: [adding(asked, 'Asked', true)], serve: () => [] },
  { name: 'hearer', tables: [heard], consumers: [adding(heard, 'Added', false)], serve: () => [] },
];

let folder: string;
let kafka: LocalKafka;
let postgres: LocalPostgres;
let place: DatabasePlace;
let engines: DistributedEngine[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-faults-'));
  [kafka, postgres] = await Promise.all([startKafka({ folder }), startPostgres({ folder })]);
});
afterAll(async () => {
  await Promise.all([kafka?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  place = await makePlace({ brokers: kafka.brokers, databaseUrl: postgres.url }, 'platformatic');
  engines = [];
});
afterEach(async () => {
  for (const engine of engines) await engine.stop();
  await place.remove();
});

const open = async (of: readonly ServiceModule[] = modules): Promise<DistributedEngine> => {
  const engine = await place.open({ modules: of });
  engine.start();
  engines.push(engine);
  return engine;
};

const KEYS = 24;
const rest = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A sender that counts up by key, and repeats under the same references what got no answer. */
class Sender {
  readonly sent = new Map<string, number>();
  refused = 0;
  repeated = 0;
  #ended = false;
  #running: Promise<void> | undefined;

  start(engine: () => DistributedEngine): void {
    this.#running = (async () => {
      while (!this.#ended) {
        const entries = Array.from({ length: KEYS }, (_, i) => {
          const key = `key ${i}`;
          const seq = (this.sent.get(key) ?? 0) + 1;
          this.sent.set(key, seq);
          return entry(key, seq);
        });
        for (let tries = 0; ; tries++)
          try {
            const { outcomes } = await connect(LogServiceDefinition, dispatcher(engine().implementations)).accept({
              entries,
            });
            this.repeated += outcomes.filter(({ taken }) => taken === Taken.TAKEN_REPEATED).length;
            expect(outcomes.some(({ taken }) => taken === Taken.TAKEN_CONFLICT)).toBe(false);
            break;
          } catch (thrown) {
            this.refused += 1;
            expect(['gateway.unavailable', 'gateway.stopping', 'gateway.overloaded']).toContain(
              asGatewayError(thrown).fault,
            );
            if (tries > 300) throw thrown;
            await rest(100);
          }
        await rest(10);
      }
    })();
    this.#running.catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#running;
  }
}

const entry = (key: string, seq: number) => ({
  flowId: Buffer.from(uuid7()),
  partyOin: '00000001800000000000',
  method: 'Probe/Ask',
  referenceKey: Buffer.from(`${key}/${seq}`.padEnd(16)),
  digest: Buffer.from(String(seq).padEnd(32)),
  digestVersion: 1,
  rememberDays: 35,
  events: [{ stream: 'asks', type: 'Asked', key, data: Buffer.from(String(seq)) }],
  answer: Buffer.from('answer'),
  schoolOin: '',
  traceparent: '',
  bulk: false,
});

/** Everything that was sent was added once and in order, and told once and in order; numbers have no gaps. */
async function expectClean(sender: Sender): Promise<void> {
  for (const [service, rows] of [
    ['adder', 'adder_sums'],
    ['hearer', 'hearer_sums'],
  ]) {
    const found = await place.query(
      `SELECT key, count::int, last::int, "inOrder"::int FROM ${service}.${rows} ORDER BY key`,
    );
    expect(found, service).toEqual(
      [...sender.sent]
        .map(([key, count]) => ({ key, count, last: count, inOrder: 1 }))
        .sort((a, b) => (a.key < b.key ? -1 : 1)),
    );
  }
  expect(
    await place.query(
      'SELECT stream, partition FROM bus.outbox GROUP BY stream, partition HAVING count(*) <> max(number) OR min(number) <> 1',
    ),
  ).toEqual([]);
  expect(await place.query('SELECT * FROM bus.troubles')).toEqual([]);
}

test('an owner whose lease went to another writes nothing more', async () => {
  const sender = new Sender();
  const first = await open();
  sender.start(() => first);
  await rest(700);
  await open();
  for (let round = 0; round < 6; round++) {
    // As if it had slept: the lease is over, and whoever looks first has it.
    await place.query("UPDATE bus.owners SET until = '-infinity', epoch = epoch + 1, owner = ''");
    await rest(700);
  }
  await sender.end();
  await engines.pop()!.stop();
  await first.runToIdle();
  await expectClean(sender);
});

test('a relay that sends again what was sent makes no second effect', async () => {
  const sender = new Sender();
  const engine = await open();
  sender.start(() => engine);
  for (let round = 0; round < 8; round++) {
    await rest(250);
    await place.query('UPDATE bus.published SET number = greatest(0, number - 40)');
  }
  await sender.end();
  await engine.runToIdle();
  await expectClean(sender);
});

test('what the broker lost is taken from the log itself', async () => {
  const sender = new Sender();
  const engine = await open();
  sender.start(() => engine);
  await rest(500);
  await sender.end();
  await engine.runToIdle();
  await engine.stop();
  engines = [];
  // Told to be on Kafka, and never there; and an offset that Kafka never had.
  const next = await place.open({ modules });
  engines.push(next);
  const log = connect(LogServiceDefinition, dispatcher(next.implementations));
  const more = Array.from({ length: KEYS }, (_, i) => {
    const key = `key ${i}`;
    const seq = sender.sent.get(key)! + 1;
    sender.sent.set(key, seq);
    return entry(key, seq);
  });
  await log.accept({ entries: more });
  await place.query(
    'UPDATE bus.published p SET number = l.head FROM bus.lanes l WHERE l.stream = p.stream AND l.partition = p.partition AND l.stream = $1',
    ['asks'],
  );
  await place.query('UPDATE bus.offsets SET kafka_offset = kafka_offset + 1000 WHERE partition = $1', [
    partitionOf('key 0'),
  ]);
  await next.runToIdle();
  await expectClean(sender);
});

test('a broker that dies and comes back holds up deciding, never accepting', async () => {
  const sender = new Sender();
  const engine = await open();
  sender.start(() => engine);
  await rest(500);
  const node = kafka.nodes[0]!;
  await node.stop('SIGKILL');
  const before = sender.sent.get('key 0')!;
  await rest(2000);
  expect(sender.refused).toBe(0);
  expect(sender.sent.get('key 0')!).toBeGreaterThan(before + 5);
  await node.start();
  await rest(500);
  await sender.end();
  await engine.runToIdle();
  await expectClean(sender);
});

test.each([
  ['25P03', "SET LOCAL idle_in_transaction_session_timeout = '50ms'", 'SELECT 1'],
  ['25006', 'SET LOCAL transaction_read_only = on', 'CREATE TABLE bus.never (a int)'],
])('what the server says of itself and not of a statement (%s) is no bug, and goes by', async (code, before, after) => {
  const database = new Database({ url: place.url, application: 'test' });
  try {
    const failed = await database
      .transaction(async (session) => {
        await session.query(before);
        // Kept from running, not waiting: what the server says meanwhile is read as the answer to what is asked next.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
        await session.query(after);
      })
      .catch((thrown: unknown) => thrown);
    const told = asGatewayError((failed as Error).cause);
    expect([told.fault, (told.cause as { code?: string } | undefined)?.code]).toEqual(['gateway.unavailable', code]);
  } finally {
    await database.close();
  }
});

test('a database that dies and comes back loses nothing that was answered', async () => {
  const sender = new Sender();
  const engine = await open();
  await open();
  sender.start(() => engine);
  for (const mode of ['kill', 'immediate'] as const) {
    await rest(700);
    await postgres.stop(mode);
    await rest(300);
    await postgres.start();
  }
  await rest(1000);
  await sender.end();
  expect(sender.refused).toBeGreaterThan(0);
  await engines.pop()!.stop();
  await engine.runToIdle();
  await expectClean(sender);
});

test('the broker speaks of the same records as the log, in their order', async () => {
  const sender = new Sender();
  const engine = await open();
  sender.start(() => engine);
  await rest(500);
  await sender.end();
  await engine.runToIdle();
  const driver = await openDriver('platformatic', { brokers: kafka.brokers, clientId: 'looks' });
  const admin = driver.admin();
  const lanes = Array.from({ length: 16 }, (_, partition) => ({ topic: `${place.topicPrefix}.asks.v1`, partition }));
  const ends = (await admin.ranges(lanes)).reduce((sum, { end }) => sum + Number(end), 0);
  expect(ends).toBe([...sender.sent.values()].reduce((sum, one) => sum + one, 0));
  await driver.close();
});

/** The release after: a column and an index more, and an event that the one before does not write. */
const newer: ServiceModule[] = (() => {
  const wider = table<SumRow & { seenBy?: string | undefined }>({
    ...asked,
    columns: { ...asked.columns, seenBy: 'text' },
    indexes: { seen: ['seenBy'] },
  });
  const [adder, hearer] = modules as [ServiceModule, ServiceModule];
  return [
    {
      ...adder,
      tables: [wider],
      consumers: [
        {
          ...adder.consumers[0]!,
          handle(record, unit) {
            adder.consumers[0]!.handle(record, {
              ...bound(unit),
              put: (_, row) => unit.put(wider, { ...row, seenBy: 'newer' } as never),
            });
          },
        },
      ],
    },
    hearer,
  ];
})();
const bound = (unit: Unit): Unit => ({
  now: unit.now,
  get: unit.get.bind(unit),
  list: unit.list.bind(unit),
  put: unit.put.bind(unit),
  remove: unit.remove.bind(unit),
  append: unit.append.bind(unit),
  wait: unit.wait.bind(unit),
  wake: unit.wake.bind(unit),
  setTimer: unit.setTimer.bind(unit),
  cancelTimer: unit.cancelTimer.bind(unit),
  gather: unit.gather.bind(unit),
});

test('a release and the one after it run on one database under load, and the step can be taken back', async () => {
  const sender = new Sender();
  let door = await open();
  sender.start(() => door);
  await rest(500);
  const after = await open(newer);
  await rest(1500);
  // The older ones leave, as in a rolling restart.
  door = after;
  await engines[0]!.stop();
  await rest(1500);
  const seen = async () =>
    (await place.query('SELECT count(*)::int AS n FROM adder.adder_sums WHERE "seenBy" = $1', ['newer']))[0].n;
  expect(await seen()).toBe(KEYS);
  // And back: what the newer one added stays where it is.
  const back = await open();
  await rest(500);
  door = back;
  await after.stop();
  await rest(1500);
  await sender.end();
  engines = [back];
  await back.runToIdle();
  await expectClean(sender);
  expect(await seen()).toBe(KEYS);
});

test('a gap is told as long as there is one, and what was missing is taken when it is back', async () => {
  const sender = new Sender();
  let engine = await open();
  sender.start(() => engine);
  await rest(600);
  await sender.end();
  await engine.runToIdle();
  await engine.stop();
  // On Kafka and in the log alike one record of a lane is missing, with others behind it.
  const partition = partitionOf('key 0');
  const [lane] = await place.query("SELECT head::int FROM bus.lanes WHERE stream = 'asks' AND partition = $1", [
    partition,
  ]);
  const doors = await place.open({ modules: [], replica: 'door' });
  engines.push(doors);
  const send = async (count: number) => {
    const entries = Array.from({ length: count }, () => {
      const seq = (sender.sent.get('key 0') ?? 0) + 1;
      sender.sent.set('key 0', seq);
      return entry('key 0', seq);
    });
    await connect(LogServiceDefinition, dispatcher(doors.implementations)).accept({ entries });
  };
  await send(3);
  const [lost] = await place.query(
    "DELETE FROM bus.outbox WHERE stream = 'asks' AND partition = $1 AND number = $2 RETURNING *",
    [partition, lane.head + 1],
  );
  engine = await open();
  const troubles = () => place.query('SELECT stream, partition, kind FROM bus.troubles');
  for (let tries = 0; (await troubles()).length === 0 && tries < 200; tries++) await rest(100);
  expect(await troubles()).toEqual([{ stream: 'asks', partition, kind: 'gap' }]);
  const names = Object.keys(lost);
  await place.query(
    `INSERT INTO bus.outbox (${names.join(', ')}) VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')})`,
    Object.values(lost),
  );
  for (let tries = 0; (await troubles()).length > 0 && tries < 200; tries++) await rest(100);
  await engine.runToIdle();
  await expectClean(sender);
});

test('whoever waits for a group is told when the database fails right before it', async () => {
  const counted = sums('hearer_sums');
  const notes = { ...FlowsServiceDefinition, methods: { noteRefusals: FlowsServiceDefinition.methods.noteRefusals } };
  let within: { note(work: (unit: Unit) => void): unknown } | undefined;
  const hearer: ServiceModule = {
    name: 'hearer',
    tables: [counted],
    // It asks how far a lane reaches before each group.
    consumers: [{ ...adding(counted, 'Asked', false), streams: ['asks'], first: ['asks'] }],
    serve: (engine) => {
      within = engine as never;
      const noteRefusals = async () => {
        await within!.note((unit) => unit.put(counted, { key: 'note', count: 1, last: 0, inOrder: 1 }));
        return {};
      };
      return [implement(notes, { noteRefusals } as never)];
    },
  };
  const engine = await open([hearer]);
  const services = dispatcher(engine.implementations);
  const log = connect(LogServiceDefinition, services);
  const flows = connect(notes, services);
  let seq = 0;
  const say = () => log.accept({ entries: [entry('key', ++seq)] });
  await say();
  await engine.runToIdle();
  await flows.noteRefusals({ notes: [] });

  const query = Database.prototype.query;
  let heads = 0;
  let goOn = () => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  Database.prototype.query = async function (this: Database, text: string, values?: readonly unknown[]) {
    if (text.startsWith('SELECT stream, partition, head FROM bus.lanes')) {
      heads += 1;
      if (heads === 1) await held;
      if (heads === 2) throw new StoreFailure(new GatewayError('gateway.unavailable'));
    }
    return query.call(this, text, values) as never;
  };
  try {
    await say();
    while (heads === 0) await rest(5);
    // A call and more work: both are there when the next group begins.
    const note = flows.noteRefusals({ notes: [] }).then(
      () => 'noted',
      (thrown) => asGatewayError(thrown).fault,
    );
    await say();
    await rest(1_500);
    goOn();
    while (heads < 2) await rest(5);
    expect(await Promise.race([note, rest(5_000).then(() => 'nothing')])).toMatch(/^(noted|gateway.unavailable)$/);
  } finally {
    Database.prototype.query = query;
  }
});
