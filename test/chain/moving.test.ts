/** A whole gateway's holdings from a folder into databases and back, backed up and restored: nothing lost, nothing that was taken back returns. */
import { createHash, randomBytes } from 'node:crypto';
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
import { openPostgresVault, openVault, readMasterKey, vaultSqliteWays, vaultTables } from '#services/pseudonyms';
import { keeping } from '../../services/main.ts';
import { randomFrom } from '../parties/random.ts';
import { entriesOf } from '../sim/entries.ts';
import { inventMessages } from '../sim/messages.ts';
import { services } from '../sim/watched.ts';
import { inventWorld } from '../sim/world.ts';

logTo(() => undefined);

let home: string;
let servers: Infrastructure;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'eduk-moving-'));
  servers = await localInfrastructure({ folder: home });
}, 180_000);
afterAll(async () => {
  await servers?.stop();
  rmSync(home, { recursive: true, force: true });
}, 30_000);

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
const identity = (lasKey: string) => ({ kind: 'learner', eckId: '', lasKey, person: undefined });
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

  const said: string[] = [];
  const moved = await move(config, 'kafka', (words) => said.push(words), now);
  expect(moved).toMatchObject({ to: 'kafka', rows: before.reduce((sum, { rows }) => sum + rows, 0) });
  expect(said[0]).toMatch(/rows are to be moved.*about \d+ s/);
  // The source stays as it is, and nobody starts it.
  expect(await tallies(folder)).toEqual(before);
  await expect(move(config, 'kafka', () => undefined, now)).rejects.toThrow('was moved to databases');

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
  await move(
    kafka.EDUK_DATA === config.EDUK_DATA ? kafka : { ...kafka, EDUK_DATA: folder },
    'embedded',
    () => undefined,
    now,
  );
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
}, 180_000);
