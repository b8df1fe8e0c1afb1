/** A whole gateway's holdings from a folder into databases and back, backed up and restored: nothing lost, nothing that was taken back returns. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copying, type Engine, openDistributedEngine, openEngine, type Tally } from '#bus';
import { type Infrastructure, localInfrastructure } from '#deploy/local';
import { type Config, connect, dispatcher, encoded, logTo, readConfig, systemClock, uuid7 } from '#kernel';
import { LogServiceDefinition, Taken } from '#proto/eduk/bus/v1/bus';
import { MandateState } from '#proto/eduk/core/v1/party';
import { PartiesServiceDefinition } from '#proto/eduk/parties/v1/parties';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { events } from '#proto/events';
import { audit } from '#services/audit';
import { openPostgresVault, openVault, readMasterKey, vaultSqliteWays, vaultTables } from '#services/pseudonyms';
import { keeping } from '../../services/main.ts';
import { randomFrom } from '../parties/random.ts';
import { entriesOf } from '../sim/entries.ts';
import { inventMessages } from '../sim/messages.ts';
import { services as watched } from '../sim/watched.ts';
import { inventWorld } from '../sim/world.ts';

logTo(() => undefined);

/** All that a gateway runs: a move that left one out would lose its rows. */
const services = [...watched, audit];

let home: string;
let servers: Infrastructure;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'eduk-moving-'));
  servers = await localInfrastructure({ folder: home });
});
afterAll(async () => {
  await servers?.stop();
  rmSync(home, { recursive: true, force: true });
});

const NOW = Date.parse('2026-08-17T08:00:00Z');
const clock = { now: () => NOW };
let later = 0;
const now = () => NOW + 1000 * later++;
let made = 0;

async function sql(url: string, text: string, values: unknown[] = []): Promise<any[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return (await client.query(text, values).finally(() => client.end())).rows;
}

/** An empty data folder and two empty databases. */
async function newPlace(): Promise<{ config: Config; kafka: Config; folder: string }> {
  const name = `m${process.pid}_${made++}_${randomBytes(3).toString('hex')}`;
  const folder = join(home, name);
  mkdirSync(folder);
  const keyFile = join(home, 'master.key');
  if (!existsSync(keyFile)) writeFileSync(keyFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  const url = (which: string): string => {
    const made = new URL(servers.databaseUrl);
    made.pathname = `/${name}_${which}`;
    return made.href;
  };
  for (const which of ['state', 'vault']) await sql(servers.databaseUrl, `CREATE DATABASE ${name}_${which}`);
  const env = {
    EDUK_DATA: folder,
    EDUK_DATABASE_URL: url('state'),
    EDUK_VAULT_DATABASE_URL: url('vault'),
    EDUK_KAFKA_BROKERS: servers.brokers.join(','),
    EDUK_MASTER_KEY_FILE: keyFile,
  };
  return {
    folder,
    config: readConfig(env),
    kafka: readConfig({ ...env, EDUK_ENGINE: 'kafka', EDUK_DATA: `${folder}-of-roles` }),
  };
}

/** Keeps what it is told; `stages` with what was said to be there and what was done of it. */
function hearing() {
  const said: string[] = [];
  const stages: { words: string; all: number | undefined; done: number }[] = [];
  return {
    said,
    stages,
    say: (words: string) => void said.push(words),
    stage: ({ words, all }: { words: string; all?: number }) => void stages.push({ words, all, done: 0 }),
    add: (more: number) => {
      stages.at(-1)!.done += more;
    },
    set: (done: number, all?: number) => {
      Object.assign(stages.at(-1)!, { done }, all === undefined ? {} : { all });
    },
    /** Of whose rows it was said how many there are, and how many that were. */
    rows: () => stages.filter(({ words, all }) => words.startsWith('rows ') && all !== undefined),
  };
}
const quiet = hearing();

const stateOf = (folder: string): string => join(folder, 'state.db');
const openFolder = (folder: string) =>
  openEngine({ file: stateOf(folder), modules: services, clock, remembers: wants });
const wants = ({ type }: { type: string }): boolean =>
  type === 'LearnerForgetSubmitted' || type === 'MandateChangeSubmitted';
const openDatabases = ({ EDUK_DATABASE_URL, EDUK_KAFKA_BROKERS }: Config) =>
  openDistributedEngine({
    databaseUrl: EDUK_DATABASE_URL!,
    kafka: { brokers: EDUK_KAFKA_BROKERS!.split(','), clientId: 'moving' },
    modules: services,
    clock,
    replica: `r${made++}`,
    remembers: wants,
  });

const logOf = (engine: Engine) => connect(LogServiceDefinition, dispatcher(engine.implementations));
type Entries = ReturnType<typeof entriesOf>;

async function accept(engine: Engine, entries: Entries): Promise<{ taken: Taken; answer: string }[]> {
  const said: { taken: Taken; answer: string }[] = [];
  for (let at = 0; at < entries.length; at += 20) {
    const { outcomes } = await logOf(engine).accept({
      entries: entries
        .slice(at, at + 20)
        .map((entry) => ({ ...entry, events: [...entry.events], bulk: false })) as never,
    });
    for (const { taken, answer } of outcomes) said.push({ taken, answer: Buffer.from(answer).toString() });
  }
  await engine.runToIdle();
  return said;
}

const invent = (seed: number): Entries => {
  const random = randomFrom(seed);
  return entriesOf(inventMessages(inventWorld(random), random, true), NOW);
};

const SCHOOL = '0000000700099ZX00000';
const identity = (lasKey: string) => ({ kind: 'learner', eckId: '', lasKey, person: undefined, partyOin: '' });
const ask = (keys: readonly string[], create = true) => ({
  schoolOin: SCHOOL,
  sector: '',
  create,
  saltFor: [],
  identities: keys.map(identity),
});
const vaultAt = (folder: string, config: Config) =>
  openVault({
    file: join(folder, 'vault.db'),
    masterKey: readMasterKey(config.EDUK_MASTER_KEY_FILE!),
    clock: systemClock,
  });

/** A folder in which a world has happened, and some of its learners are known. */
async function seeded(place: Awaited<ReturnType<typeof newPlace>>, seed: number) {
  const entries = invent(seed);
  const engine = openFolder(place.folder);
  const half = Math.floor(entries.length / 2);
  const answers = await accept(engine, entries.slice(0, half));
  await engine.stop();
  const vault = vaultAt(place.folder, place.config);
  const { identified } = await connect(VaultServiceDefinition, dispatcher(vault.implementations)).identify(
    ask(['a', 'b', 'c']),
  );
  await vault.stop();
  return { entries, half, answers, tokens: identified.map(({ token }) => token) };
}

async function tallies(folder: string): Promise<Tally[]> {
  const copy = await copying();
  const state = copy.openStateFile(stateOf(folder), services, 'source');
  const vault = new copy.SqlitePlace(join(folder, 'vault.db'), 'source', vaultSqliteWays);
  try {
    return [...(await copy.tallyOf(state, copy.stateTables(services))), ...(await copy.tallyOf(vault, vaultTables))];
  } finally {
    state.close();
    vault.close();
  }
}

/** Numbers of every lane are whole from the first that is kept to the head. */
async function gapsIn(url: string): Promise<any[]> {
  return sql(
    url,
    'SELECT l.stream, l.partition FROM bus.lanes l WHERE (SELECT count(*) FROM bus.outbox o WHERE o.stream = l.stream AND o.partition = l.partition) <> l.head - l.first + 1',
  );
}

test('there and back: the same rows, the same answers, no number missing or given twice', async () => {
  const place = await newPlace();
  const { config, kafka, folder } = place;
  const { entries, half, answers, tokens } = await seeded(place, 11);
  const { move } = await keeping();
  const before = await tallies(folder);
  expect(before.reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThan(300);

  const heard = hearing();
  const { said } = heard;
  const moved = await move(config, 'kafka', heard, now);
  expect(moved).toMatchObject({ to: 'kafka', rows: before.reduce((sum, { rows }) => sum + rows, 0) });
  expect(said[0]).toMatch(/rows are to be moved.*about \d+ s/);
  expect(heard.rows().map(({ words }) => words)).toEqual(
    ['the vault', 'the state'].flatMap((what) => [`rows of ${what} copied`, `rows of ${what} compared`]),
  );
  for (const { words, all, done } of heard.rows()) expect([words, done]).toEqual([words, all]);
  // The source stays as it is, and nobody starts it.
  expect(await tallies(folder)).toEqual(before);
  await expect(move(config, 'kafka', quiet, now)).rejects.toThrow('was moved to databases');

  const engine = await openDatabases(config);
  try {
    engine.start();
    // What was accepted before is answered as it was.
    const again = await accept(engine, entries.slice(0, half));
    expect(again).toEqual(answers.map(({ answer }) => ({ taken: Taken.TAKEN_REPEATED, answer })));
    const rest = await accept(engine, entries.slice(half));
    expect(rest.every(({ taken }) => taken === Taken.TAKEN_ACCEPTED)).toBe(true);
  } finally {
    await engine.stop();
  }
  expect(await gapsIn(config.EDUK_DATABASE_URL!)).toEqual([]);
  expect(await sql(config.EDUK_DATABASE_URL!, 'SELECT * FROM bus.troubles')).toEqual([]);
  const vault = await openPostgresVault({
    url: config.EDUK_VAULT_DATABASE_URL!,
    masterKey: readMasterKey(config.EDUK_MASTER_KEY_FILE!),
    clock: systemClock,
  });
  const vaultService = connect(VaultServiceDefinition, dispatcher(vault.implementations));
  expect((await vaultService.identify(ask(['a', 'b', 'c'], false))).identified.map(({ token }) => token)).toEqual(
    tokens,
  );
  const { identified: more } = await vaultService.identify(ask(['d']));
  await vault.stop();

  // Back into the same folder, which was left; and the world ends as one that never moved.
  await move(kafka.EDUK_DATA === config.EDUK_DATA ? kafka : { ...kafka, EDUK_DATA: folder }, 'embedded', quiet, now);
  await expect(openDatabases(config)).rejects.toThrow('was moved to');
  const back = openFolder(folder);
  try {
    const repeated = await accept(back, entries);
    expect(repeated.every(({ taken }) => taken === Taken.TAKEN_REPEATED)).toBe(true);
  } finally {
    await back.stop();
  }
  const home = vaultAt(folder, config);
  const known = await connect(VaultServiceDefinition, dispatcher(home.implementations)).identify(
    ask(['a', 'b', 'c', 'd'], false),
  );
  await home.stop();
  expect(known.identified.map(({ token }) => token)).toEqual([...tokens, more[0]!.token]);
});

/** A mandate that stands, of the school that has most. */
const mandatesAt = async (engine: Engine) =>
  (await connect(PartiesServiceDefinition, dispatcher(engine.implementations)).snapshot({ since: 0n })).mandates
    .map(({ mandate }) => mandate!)
    .sort((a, b) => (a.mandateId < b.mandateId ? -1 : 1));
const stateAt = async (engine: Engine, id: string) =>
  (await mandatesAt(engine)).find(({ mandateId }) => mandateId === id)?.state;

const entryOf = (name: 'MandateChangeSubmitted', school: string, value: object): Entries[number] => ({
  flowId: uuid7(NOW),
  partyOin: school,
  method: 'Test',
  referenceKey: randomBytes(16),
  digest: randomBytes(32),
  digestVersion: 1,
  rememberDays: 35,
  events: [
    {
      stream: events[name].stream,
      type: name,
      key: school,
      data: encoded(events[name].codec as never, (events[name].codec as any).fromPartial(value)),
    },
  ],
  answer: new Uint8Array(),
  schoolOin: school,
  traceparent: '',
});

async function stopOne(engine: Engine): Promise<string> {
  const standing = (await mandatesAt(engine)).find(({ state }) => state === MandateState.MANDATE_STATE_ACTIVE)!;
  const { schoolOin, mandateId } = standing;
  await accept(engine, [
    entryOf('MandateChangeSubmitted', schoolOin, { schoolOin, mandateId, change: 'stop', byOin: schoolOin }),
  ]);
  expect(await stateAt(engine, mandateId)).toBe(MandateState.MANDATE_STATE_ENDED);
  return mandateId;
}

test('a restore into a folder brings back neither who was forgotten nor what was withdrawn', async () => {
  const place = await newPlace();
  const { config, folder } = place;
  const { tokens } = await seeded(place, 23);
  const { backup, restore, drill } = await keeping();
  const to = `${folder}.backups`;
  const heard = hearing();
  const made = await backup(config, to, undefined, heard, now);
  expect(heard.rows()).toEqual([{ words: 'rows read back', all: made.rows, done: made.rows }]);
  expect(readdirSync(made.folder).sort()).toEqual(['manifest.json', 'state.db', 'vault.db']);

  const engine = openFolder(folder);
  const ended = await stopOne(engine);
  await engine.stop();
  const vault = vaultAt(folder, config);
  const service = connect(VaultServiceDefinition, dispatcher(vault.implementations));
  await service.forget({ schoolOin: SCHOOL, token: tokens[0]!, atMs: 0n });
  await vault.stop();

  const after = await newPlace();
  const restoring = { ...config, EDUK_DATA: after.folder };
  await expect(restore(restoring, made.folder, {}, quiet, now)).rejects.toThrow('there is no list');
  await expect(restore(config, made.folder, {}, quiet, now)).rejects.toThrow('is there already');
  const told = hearing();
  const done = await restore(restoring, made.folder, { lists: folder }, told, now);
  for (const { all, done: gone } of told.rows()) expect(gone).toBe(all);
  expect(told.rows()[0]).toMatchObject({ words: 'rows read back', all: made.rows });
  expect(done).toMatchObject({ engine: 'embedded', reapplied: 1, rows: made.rows, retaken: 0 });
  const restored = openFolder(after.folder);
  expect(await stateAt(restored, ended)).toBe(MandateState.MANDATE_STATE_ENDED);
  await restored.stop();
  const back = vaultAt(after.folder, config);
  const found = await connect(VaultServiceDefinition, dispatcher(back.implementations)).identify(
    ask(['a', 'b', 'c'], false),
  );
  await back.stop();
  expect(found.identified.map(({ token }) => token)).toEqual(['', tokens[1], tokens[2]]);

  // The drill finds it whole; one changed cell, one lost row, one cut file are told.
  expect(await drill(config, to, now)).toMatchObject({ backup: made.folder, rows: made.rows });
  const planted = (what: string, statement: string) => {
    const file = new DatabaseSync(join(made.folder, what));
    expect(Number(file.prepare(statement).run().changes)).toBe(1);
    file.close();
  };
  planted(
    'state.db',
    'UPDATE parties_parties SET version = version + 1 WHERE oin = (SELECT min(oin) FROM parties_parties)',
  );
  await expect(drill(config, to, now)).rejects.toThrow('damaged: other rows than it was made with in parties_parties');
  planted(
    'state.db',
    'UPDATE parties_parties SET version = version - 1 WHERE oin = (SELECT min(oin) FROM parties_parties)',
  );
  await drill(config, to, now);
  planted('vault.db', 'DELETE FROM lookups WHERE hash = (SELECT min(hash) FROM lookups)');
  await expect(drill(config, to, now)).rejects.toThrow('in lookups');
  await expect(
    restore({ ...config, EDUK_DATA: `${after.folder}-2` }, made.folder, { lists: folder }, quiet, now),
  ).rejects.toThrow('damaged');
  writeFileSync(join(made.folder, 'state.db'), randomBytes(5000));
  await expect(drill(config, to, now)).rejects.toThrow(/damaged|no data file/);
});

test('a restore into databases takes in again what Kafka holds, and brings nothing back that was taken back', async () => {
  const place = await newPlace();
  const { config, kafka } = place;
  const { entries, half, tokens } = await seeded(place, 37);
  const { backup, move, restore } = await keeping();
  await move(config, 'kafka', quiet, now);
  const made = await backup(kafka, `${kafka.EDUK_DATA}.backups`, undefined, quiet, now);
  const forget = async (url: string, token?: string) => {
    const vault = await openPostgresVault({
      url,
      masterKey: readMasterKey(config.EDUK_MASTER_KEY_FILE!),
      clock: systemClock,
    });
    const service = connect(VaultServiceDefinition, dispatcher(vault.implementations));
    if (token) await service.forget({ schoolOin: SCHOOL, token, atMs: 0n });
    const { identified } = await service.identify(ask(['a', 'b', 'c'], false));
    await vault.stop();
    return identified.map(({ token }) => token);
  };
  expect(await forget(config.EDUK_VAULT_DATABASE_URL!, tokens[1])).toEqual([tokens[0], '', tokens[2]]);
  const engine = await openDatabases(config);
  engine.start();
  await accept(engine, entries.slice(half));
  const ended = await stopOne(engine);
  const before = await mandatesAt(engine);
  await engine.stop();

  // Both databases are lost but for the lists; what is on Kafka is there.
  const lists = { state: config.EDUK_DATABASE_URL!, vault: config.EDUK_VAULT_DATABASE_URL! };
  await expect(restore(kafka, made.folder, {}, quiet, now)).rejects.toThrow('hold a gateway already');
  for (const name of ['bus', 'moving', ...services.map(({ name }) => name)])
    await sql(lists.state, `DROP SCHEMA IF EXISTS "${name}" CASCADE`);
  for (const name of ['vault', 'moving']) await sql(lists.vault, `DROP SCHEMA IF EXISTS ${name} CASCADE`);
  const done = await restore(kafka, made.folder, {}, quiet, now);
  expect(done).toMatchObject({ engine: 'kafka', rows: made.rows, lost: [] });
  expect(done.retaken).toBeGreaterThan(entries.length - half);
  expect(done.reapplied).toBeGreaterThan(0);
  expect(await forget(lists.vault)).toEqual([tokens[0], '', tokens[2]]);
  const restored = await openDatabases(config);
  try {
    restored.start();
    expect(await stateAt(restored, ended)).toBe(MandateState.MANDATE_STATE_ENDED);
    expect((await mandatesAt(restored)).map(({ mandateId, state }) => [mandateId, state])).toEqual(
      before.map(({ mandateId, state }) => [mandateId, state]),
    );
    // It goes on, and what lies on Kafka of the time that was lost is nobody's news.
    await accept(restored, invent(5));
    expect(await sql(lists.state, 'SELECT * FROM bus.troubles')).toEqual([]);
    expect(await sql(lists.state, 'SELECT * FROM bus.bus_parked_keys')).toEqual([]);
  } finally {
    await restored.stop();
  }
});

test('a planted fault is found before anybody works on the copy, and the source stays as it is', async () => {
  const place = await newPlace();
  const { config, folder } = place;
  await seeded(place, 11);
  const { move } = await keeping();
  // The database changes a cell, then loses a row, behind the copy's back.
  const faults = {
    orders_orders:
      "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.leaves := NEW.leaves || 'x'; RETURN NEW; END $$",
    flows_flows: 'CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
  };
  const url = config.EDUK_DATABASE_URL!;
  for (const [name, fault] of Object.entries(faults)) {
    await sql(url, 'CREATE SCHEMA IF NOT EXISTS planted');
    await sql(url, fault.replace('fault()', 'planted.fault()'));
    await sql(
      url,
      `CREATE FUNCTION planted.arm() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF to_regclass('${name.split('_')[0]}.${name}') IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'planted') THEN
          CREATE TRIGGER planted BEFORE INSERT ON "${name.split('_')[0]}"."${name}" FOR EACH ROW EXECUTE FUNCTION planted.fault();
        END IF; END $$`,
    );
    await sql(
      url,
      "CREATE EVENT TRIGGER arming ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION planted.arm()",
    );
    await expect(move(config, 'kafka', quiet, now)).rejects.toThrow(`differs from its source in: ${name}`);
    // Nothing starts on half a copy; the source goes on.
    await expect(openDatabases(config)).rejects.toThrow('did not come to its end');
    const engine = openFolder(folder);
    await accept(engine, invent(made).slice(0, 3));
    await engine.stop();
    await sql(url, 'DROP EVENT TRIGGER arming');
    await sql(url, 'DROP SCHEMA planted CASCADE');
  }
  await move(config, 'kafka', quiet, now);
});

test('killed in the middle, the source goes on and the target does not; taken back, the other side does not', async () => {
  const place = await newPlace();
  const { config, kafka, folder } = place;
  await seeded(place, 23);
  const { move, resume } = await keeping();
  const before = await tallies(folder);
  const killed = async (to: 'kafka' | 'embedded', env: Config, when: () => Promise<boolean>) => {
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, '../../services/cli/eduk.js'), 'move', '--to', to],
      {
        env: {
          PATH: process.env['PATH'],
          ...Object.fromEntries(Object.entries(env).filter(([name]) => SETTINGS.includes(name))),
        } as never,
        stdio: 'ignore',
      },
    );
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    while (child.exitCode === null && !(await when())) await new Promise((resolve) => setTimeout(resolve, 2));
    child.kill('SIGKILL');
    await ended;
    return child.signalCode;
  };
  const copying = (url: string) => async () =>
    (await sql(url, "SELECT to_regclass('vault.meta') IS NOT NULL AS made").catch(() => []))[0]?.made === true;
  expect(await killed('kafka', config, copying(config.EDUK_VAULT_DATABASE_URL!))).toBe('SIGKILL');
  await expect(openDatabases(config)).rejects.toThrow('did not come to its end');
  expect((await tallies(folder)).filter(({ table }) => table !== 'bus_timers')).toHaveLength(before.length - 1);
  const engine = openFolder(folder);
  await engine.runToIdle();
  await engine.stop();

  // Begun again it comes to its end; taken back at once, the folder goes on and the databases do not.
  await move(config, 'kafka', quiet, now);
  await expect(
    resume({ ...config, EDUK_DATABASE_URL: config.EDUK_DATABASE_URL!.replace(/:\d+\//, ':1/') }, false, now),
  ).rejects.toThrow('--force');
  expect(await resume(config, false, now)).toEqual({ engine: 'embedded', asked: true });
  await expect(openDatabases(config)).rejects.toThrow('was moved to');
  await expect(resume(config, false, now)).rejects.toThrow('nothing to take back');

  // Once the other side accepted something, it is not taken back any more.
  await move(config, 'kafka', quiet, now);
  const there = await openDatabases(config);
  there.start();
  await accept(there, invent(23).slice(-4));
  await expect(resume(config, false, now)).rejects.toThrow('a gateway is connected');
  await there.stop();
  await expect(resume(config, false, now)).rejects.toThrow('has taken in messages since');

  // The way back is killed as well: the databases go on, the folder does not.
  const away = { ...kafka, EDUK_DATA: folder, EDUK_ENGINE: 'kafka' } as Config;
  expect(await killed('embedded', away, async () => existsSync(join(folder, 'vault.db.part')))).toBe('SIGKILL');
  const { startGateway } = await import('../../services/main.ts');
  await expect(startGateway({ EDUK_DATA: folder })).rejects.toThrow('did not come to its end');
  const again = await openDatabases(config);
  await again.runToIdle();
  await again.stop();
  await move(away, 'embedded', quiet, now);
  expect(await resume(away, false, now)).toEqual({ engine: 'kafka', asked: true });
  await expect(startGateway({ EDUK_DATA: folder })).rejects.toThrow('was moved to');
}, 240_000);

const SETTINGS = [
  'EDUK_DATA',
  'EDUK_ENGINE',
  'EDUK_DATABASE_URL',
  'EDUK_VAULT_DATABASE_URL',
  'EDUK_KAFKA_BROKERS',
  'EDUK_MASTER_KEY_FILE',
];
