/**
 * What a whole gateway holds, from one place to another: `eduk move`, `eduk backup`, `eduk restore`. A place is a data folder
 * (the embedded engine) or two databases (the distributed one). The log, all rows and the vault's sealed rows go over; keys
 * never do. How and why: docs/decisions/0022.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import {
  copying,
  openDistributedEngine,
  openEngine,
  type Remembered,
  type ServiceModule,
  type Standing,
  type Survival,
  setStandingOfDatabase,
  setStandingOfFolder,
  standingOfDatabase,
  standingOfFolder,
  standingRefusal,
  stateFile,
  survival,
  type Tally,
} from '#bus';
import { type Config, ConfigError, databaseUrl, GatewayError, makeFolders } from '#kernel';
import {
  forgottenInDatabase,
  forgottenInFile,
  makeVaultFile,
  makeVaultTables,
  VAULT_DROPPED,
  VAULT_SETTLED,
  VAULT_THERE,
  vaultPostgresWays,
  vaultSqliteWays,
  vaultTables,
} from '#services/pseudonyms';
import { makeFolder, packageVersion } from './data.ts';
import { kafkaSecurity } from './distributed.ts';
import { modulesOf, services } from './roles.ts';
import { takesBack } from './withdrawn.ts';

type Copying = Awaited<ReturnType<typeof copying>>;
type Place = Awaited<ReturnType<Copying['openStateDatabase']>>;
type FilePlace = ReturnType<Copying['openStateFile']>;

export { makeKeyFile } from './held-keys.ts';

/** Hears what is going on. */
export interface Hears {
  /** A sentence for the operator. */
  say(words: string): void;
  /** What begins now, in words behind a count ("rows copied"), and of how many where that is known; `wait`: nothing of it is counted. */
  stage(stage: { words: string; all?: number; unit?: 'bytes'; isWait?: boolean }): void;
  /** So many more of it are done. */
  add(more: number): void;
  /** So many of it are done, of so many. */
  set(done: number, all?: number): void;
}

/** Hears nothing. */
const deaf: Hears = { say: () => undefined, stage: () => undefined, add: () => undefined, set: () => undefined };

/** Tells how many more were gone through, and lets whoever wants the process to end have a turn. */
const step =
  (hears: Hears) =>
  async (more: number): Promise<void> => {
    hears.add(more);
    await new Promise((done) => setImmediate(done));
  };

/** Tells how large files become while somebody else writes them. What cannot be looked at is not told of. */
async function growing<T>(hears: Hears, paths: readonly string[], write: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => {
    hears.set(paths.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0));
  }, LOOK_MS);
  try {
    return await write();
  } finally {
    clearInterval(timer);
  }
}
/** How often it is looked how large a file became. Milliseconds. */
const LOOK_MS = 250;

/** Rows that go over in a second, read, written and verified: less than was measured on a machine that was busy (docs/moving.md). */
const ROWS_PER_S = 5_000;
/** What a move takes whatever it carries, milliseconds. */
const LEAST_MS = 2_000;
const VAULT = 'vault.db';
const STATE = 'state.db';
/** Where something is written until it is whole. */
const PART = '.part';
/** Before the name of a folder in which a backup is made ready. */
const RESTORING = 'restoring-';

export interface Copied {
  rows: number;
  /** From the moment in which nothing was taken in any more, milliseconds. */
  ms: number;
  tallies: { state: Tally[]; vault: Tally[] };
}

const rowsOf = (...tallies: readonly (readonly Tally[])[]): number =>
  tallies.flat().reduce((sum, { rows }) => sum + rows, 0);

const pauseMs = (rows: number): number => LEAST_MS + Math.ceil((rows / ROWS_PER_S) * 1000);

const seconds = (ms: number): string => (ms < 120_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`);

/** The settings of both databases, and of Kafka. Throws `ConfigError` for those that are missing. */
function databasesOf(config: Config, kafka: 'needed' | 'where set') {
  const needed = [
    'EDUK_DATABASE_URL',
    'EDUK_VAULT_DATABASE_URL',
    ...(kafka === 'needed' ? ['EDUK_KAFKA_BROKERS'] : []),
  ];
  const missing = needed.filter((name) => config[name as keyof Config] === undefined);
  if (missing.length > 0)
    throw new ConfigError(missing.map((name) => `${name} is needed: it says where the other side is`));
  return {
    state: databaseUrl(config, 'EDUK_DATABASE'),
    vault: databaseUrl(config, 'EDUK_VAULT_DATABASE'),
    topics: config.EDUK_KAFKA_BROKERS === undefined ? undefined : topicsOf(config),
  };
}

const topicsOf = (config: Config) => ({
  kafka: {
    brokers: config.EDUK_KAFKA_BROKERS!.split(',').map((broker) => broker.trim()),
    clientId: 'eduk',
    ...kafkaSecurity(config),
  },
  kafkaClient: config.EDUK_KAFKA_CLIENT as 'kafkajs' | 'platformatic' | undefined,
});

interface Moving {
  config: Config;
  hears: Hears;
  modules: readonly ServiceModule[];
  copy: Copying;
  now: () => number;
}

const begin = async (config: Config, hears: Hears, now: () => number): Promise<Moving> => ({
  now,
  config,
  hears,
  modules: await modulesOf(services, config),
  copy: await copying(),
});

const vaultFile = (folder: string): string => join(folder, VAULT);

/** Everything that was taken in is decided, where nobody holds that up. */
async function runToHead(file: string, { modules, now, hears }: Moving): Promise<void> {
  hears.stage({ words: 'What was taken in is decided', isWait: true });
  const engine = openEngine({ file, modules, clock: { now }, remembers: takesBack });
  try {
    await engine.runToIdle();
  } finally {
    await engine.stop();
  }
}

/** Copies and looks at what arrived. Throws where the two differ. */
async function copied(
  { copy, hears }: Moving,
  what: string,
  from: Place | FilePlace,
  to: Place | FilePlace,
  tables: Parameters<Copying['copyTables']>[2],
): Promise<Tally[]> {
  hears.stage({ words: `rows of ${what} copied`, all: await countOf(from, tables) });
  const tallies = await copy.copyTables(from, to, tables, step(hears));
  hears.stage({ words: `rows of ${what} compared`, all: rowsOf(tallies) });
  const differ = copy.differences(tallies, await copy.tallyOf(to, tables, step(hears)));
  if (differ.length > 0)
    throw new GatewayError(
      'gateway.bug',
      `The copy differs from its source in: ${differ.join(', ')}. Nothing was changed at the source.`,
    );
  return tallies;
}

const countOf = async (place: Place | FilePlace, tables: Parameters<Copying['tallyOf']>[1]): Promise<number> => {
  let sum = 0;
  for (const table of tables) sum += await place.count(table);
  return sum;
};

function files(folder: string): { state: string; vault: string } {
  const found = { state: stateFile(folder), vault: vaultFile(folder) };
  for (const file of Object.values(found))
    if (!existsSync(file)) throw new ConfigError([`${file} is not there: EDUK_DATA names no folder of a gateway`]);
  return found;
}

const vaultIdOf = (bytes: unknown): string => (bytes instanceof Uint8Array ? Buffer.from(bytes).toString('hex') : '');

/** The two databases, each with a connection for what concerns more than rows. */
async function openDatabases({ copy }: Moving, urls: { state: string; vault: string }) {
  const state = await copy.connectForCopy(urls.state, 'EDUK_DATABASE_URL');
  const vault = await copy.connectForCopy(urls.vault, 'EDUK_VAULT_DATABASE_URL').catch(async (thrown) => {
    await state.end();
    throw thrown;
  });
  const close = async () => {
    // Ends the lock too.
    await Promise.all([state.end(), vault.end()].map((ended) => ended.catch(() => undefined)));
  };
  await alone(state).catch(async (thrown) => {
    await close();
    throw thrown;
  });
  const nobodyThere = async () => {
    const names = [...(await copy.connectedTo(state)), ...(await copy.connectedTo(vault))];
    if (names.length > 0)
      throw new ConfigError([
        `a gateway is connected to the databases (${[...new Set(names)].join(', ')}); stop it first`,
      ]);
  };
  const vaultId = async (): Promise<string> => {
    const { rows } = await vault.query(VAULT_THERE);
    if (!(rows[0] as { there: boolean }).there) return '';
    const found = await vault.query("SELECT bytes FROM vault.meta WHERE name = 'vault_id'");
    return vaultIdOf((found.rows[0] as { bytes?: unknown } | undefined)?.bytes);
  };
  return { state, vault, close, nobodyThere, vaultId };
}
type Databases = Awaited<ReturnType<typeof openDatabases>>;

/** Key of the lock under which one move or restore at a time works on a database. */
const MOVING = 0x65_64_6d_76;
/** How long the server may take to notice that one which was killed is gone, milliseconds. */
const GONE_MS = 10_000;

async function alone(client: Databases['state']): Promise<void> {
  for (const until = performance.now() + GONE_MS; ; ) {
    const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS ours', [MOVING]);
    if ((rows[0] as { ours: boolean }).ours) return;
    if (performance.now() > until)
      throw new ConfigError(['another eduk move or restore works on these databases; let it come to its end']);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Makes the databases ready to take a copy of the vault with this id. Throws `ConfigError` where another gateway's rows are there. */
async function clearDatabases({ copy, modules }: Moving, to: Databases, id: string, standing: Standing): Promise<void> {
  await mayTake(copy, to, id);
  await setStandingOfDatabase(to.state, standing);
  await setStandingOfDatabase(to.vault, standing);
  await copy.dropState(to.state, modules);
  await to.vault.query(VAULT_DROPPED);
}

/** Throws `ConfigError` unless the databases are empty, hold half a copy, or, with `id`, what this same gateway left there. */
async function mayTake(copy: Copying, to: Databases, id: string): Promise<void> {
  await to.nobodyThere();
  const before = await standingOfDatabase(to.state);
  const vaultBefore = await standingOfDatabase(to.vault);
  const held = await to.vaultId();
  const used = held !== '' || (await copy.holdsState(to.state));
  const leftover = before?.is === 'copying' || vaultBefore?.is === 'copying';
  const left = before?.is === 'moved' && id !== '' && held === id;
  if (used && !leftover && !left)
    throw new ConfigError([
      'the databases hold a gateway already; name empty ones, or drop what is there if it is not needed any more',
    ]);
}

interface FromFiles {
  state: FilePlace;
  vault: FilePlace;
  vaultId: string;
}

function openFiles({ copy, modules }: Moving, at: { state: string; vault: string }): FromFiles {
  const vault = new copy.SqlitePlace(at.vault, 'source', vaultSqliteWays);
  try {
    const row = vault.db.prepare("SELECT value FROM meta WHERE name = 'vault_id'").get() as
      | { value: unknown }
      | undefined;
    return { state: copy.openStateFile(at.state, modules, 'source'), vault, vaultId: vaultIdOf(row?.value) };
  } catch (thrown) {
    vault.close();
    throw thrown;
  }
}

/**
 * From files into databases, whole or not at all. `leave`, in a move, is called when everything is there and verified, before
 * anybody may work on it: from then on the source does not start.
 */
async function filesToDatabases(
  moving: Moving,
  from: FromFiles,
  urls: ReturnType<typeof databasesOf>,
  lists: {
    forgotten: Awaited<ReturnType<ReturnType<typeof forgottenInFile>['read']>>;
    withdrawn: readonly Remembered[];
  },
  standing: Standing,
  leave: ((lanes: { stream: string; partition: number; head: number }[]) => void) | undefined,
): Promise<Copied> {
  const mayReplace = leave !== undefined;
  const { copy, modules, hears } = moving;
  const began = performance.now();
  const to = await openDatabases(moving, urls);
  let state: Place | undefined;
  let vault: Place | undefined;
  try {
    await clearDatabases(moving, to, mayReplace ? from.vaultId : '', { ...standing, is: 'copying' });
    const topics = urls.topics ? await copy.readTopics(urls.topics, 'end') : [];
    await makeVaultTables(urls.vault);
    await copy.makeStateTables(urls.state, modules);
    vault = await copy.PostgresPlace.open(
      await copy.connectForCopy(urls.vault, 'EDUK_VAULT_DATABASE_URL'),
      'target',
      vaultPostgresWays,
    );
    const vaultTallies = await copied(moving, 'the vault', from.vault, vault, vaultTables);
    await vault.query(VAULT_SETTLED);
    await vault.finish();
    // Before the state can be used: from then on nobody who was forgotten may be found.
    const schools = new Map(
      (
        from.vault.db.prepare('SELECT l.token, s.oin FROM learners l JOIN schools s ON s.id = l.school').all() as any[]
      ).map(({ token, oin }) => [token as string, oin as string]),
    );
    const known = new Set((await forgottenInDatabase(urls.vault).read()).map(listed));
    await forgottenInDatabase(urls.vault).add(
      lists.forgotten.filter((line) => !known.has(listed(line))),
      (token) => schools.get(token),
      standing.atMs,
    );
    state = await copy.openStateDatabase(urls.state, modules, 'target');
    const stateTallies = await copied(moving, 'the state', from.state, state, copy.stateTables(modules));
    const lanes = await copy.settleDatabase(state, modules, topics, Math.floor(standing.atMs / 1000));
    const noted = new Set((await copy.readLedgerIn(to.state)).map(({ id }) => Buffer.from(id).toString('hex')));
    await copy.noteInLedger(
      to.state,
      lists.withdrawn.filter(({ id }) => !noted.has(Buffer.from(id).toString('hex'))),
    );
    await state.finish();
    const tallies = { state: stateTallies, vault: vaultTallies };
    leave?.(copy.lanesOf(from.state));
    const arrived: Standing = { ...standing, is: 'arrived', lanes, tallies: [...stateTallies, ...vaultTallies] };
    await setStandingOfDatabase(to.vault, arrived);
    await setStandingOfDatabase(to.state, arrived);
    const rows = rowsOf(stateTallies, vaultTallies);
    hears.say(`${rows} rows are there, and the same by their digests.`);
    return { rows, ms: performance.now() - began, tallies };
  } finally {
    await Promise.all([state?.close(), vault?.close(), to.close()]);
  }
}

const listed = ({ token, decision, atMs }: { token: string; decision: string; atMs: number }): string =>
  `${token} ${decision} ${atMs}`;
const idOf = ({ id }: Remembered): string => Buffer.from(id).toString('hex');

/** From databases into files of a folder, which are whole and on disk when this resolves, under a name that nobody opens. */
async function databasesToFiles(
  moving: Moving,
  urls: ReturnType<typeof databasesOf>,
  to: { state: string; vault: string },
): Promise<Copied & { lanes: { stream: string; partition: number; head: number }[] }> {
  const { copy, modules } = moving;
  const began = performance.now();
  // The state first, then the vault: it knows every token of the state, and more does no harm.
  const state = await copy.openStateDatabase(urls.state, modules, 'source');
  let vault: Place | undefined;
  let stateFiles: FilePlace | undefined;
  let vaultFiles: FilePlace | undefined;
  try {
    const lanes = (await state.query('SELECT stream, partition, head FROM bus.lanes WHERE head > 0')) as any[];
    stateFiles = copy.openStateFile(to.state, modules, 'target');
    const stateTallies = await copied(moving, 'the state', state, stateFiles, copy.stateTables(modules));
    stateFiles.finish();
    vault = await copy.PostgresPlace.open(
      await copy.connectForCopy(urls.vault, 'EDUK_VAULT_DATABASE_URL'),
      'source',
      vaultPostgresWays,
    );
    makeVaultFile(to.vault);
    vaultFiles = new copy.SqlitePlace(to.vault, 'target', vaultSqliteWays);
    const vaultTallies = await copied(moving, 'the vault', vault, vaultFiles, vaultTables);
    vaultFiles.finish();
    const tallies = { state: stateTallies, vault: vaultTallies };
    return { rows: rowsOf(stateTallies, vaultTallies), ms: performance.now() - began, tallies, lanes };
  } finally {
    stateFiles?.close();
    vaultFiles?.close();
    await Promise.all([state.close(), vault?.close()]);
  }
}

/** Lists beside a folder's files. */
const listsOf = async (copy: Copying, folder: string) => ({
  forgotten: await forgottenInFile(`${vaultFile(folder)}.forgotten`).read(),
  withdrawn: copy.readLedger(copy.ledgerOf(stateFile(folder))),
});

/** How many rows are to be moved, and how long that is going to take. */
export interface Forecast {
  rows: number;
  pauseMs: number;
}

const foretell = (hears: Hears, rows: number): Forecast => {
  const pause = pauseMs(rows);
  hears.say(`${rows} rows are to be moved. Messages are not taken in for about ${seconds(pause)}.`);
  return { rows, pauseMs: pause };
};

export interface Moved extends Forecast {
  to: 'kafka' | 'embedded';
  /** What it took, milliseconds. */
  tookMs: number;
  tables: number;
}

/**
 * Moves what a data folder holds into the databases that the settings name, or back. The gateway must be stopped. The source
 * stays as it is and refuses to start. Throws `ConfigError` where something stands in the way; the source is usable then.
 */
export async function move(config: Config, to: 'kafka' | 'embedded', hears: Hears, now: () => number): Promise<Moved> {
  const moving = await begin(config, hears, now);
  return to === 'kafka' ? toDatabases(moving) : toFolder(moving);
}

async function toDatabases(moving: Moving): Promise<Moved> {
  const { config, modules, copy, now } = moving;
  const folder = config.EDUK_DATA;
  const urls = databasesOf(config, 'needed');
  mayLeave(standingOfFolder(folder), folder);
  const at = files(folder);
  const looked = openFiles(moving, at);
  const rows = (await countOf(looked.state, copy.stateTables(modules))) + (await countOf(looked.vault, vaultTables));
  looked.state.close();
  looked.vault.close();
  const forecast = foretell(moving.hears, rows);
  const began = performance.now();
  await runToHead(at.state, moving);
  const from = openFiles(moving, at);
  try {
    const standing: Standing = { is: 'arrived', atMs: now(), other: resolve(folder), engine: 'embedded' };
    const { tallies, rows: sent } = await filesToDatabases(
      moving,
      from,
      urls,
      await listsOf(copy, folder),
      standing,
      (lanes) => setStandingOfFolder(folder, { is: 'moved', atMs: now(), other: 'databases', engine: 'kafka', lanes }),
    );
    const tables = tallies.state.length + tallies.vault.length;
    return { to: 'kafka', ...forecast, rows: sent, tookMs: Math.round(performance.now() - began), tables };
  } finally {
    from.state.close();
    from.vault.close();
  }
}

function mayLeave(standing: Standing | undefined, place: string): void {
  const words = standingRefusal(standing, place);
  if (words !== undefined) throw new ConfigError([words]);
}

/** Files that a copy left half done go; what is whole and in use stays. Throws `ConfigError` where a gateway's files are. */
function clearFolder(folder: string, mayReplace: boolean): void {
  makeFolder(folder);
  for (const name of readdirSync(folder))
    if (name.startsWith(RESTORING)) rmSync(join(folder, name), { recursive: true, force: true });
  for (const name of [STATE, VAULT]) {
    for (const part of ['', '-wal', '-shm', '-journal']) rmSync(join(folder, `${name}${PART}${part}`), { force: true });
    if (!existsSync(join(folder, name))) continue;
    if (!mayReplace)
      throw new ConfigError([
        `${join(folder, name)} is there already: EDUK_DATA must name an empty folder, or one that was moved from`,
      ]);
  }
}

/** Puts what is whole in its place. The state is last: without it nothing starts, because `standing.json` says so. */
function installFiles(folder: string, from: { state: string; vault: string }): void {
  for (const [name, file] of [
    [VAULT, from.vault],
    [STATE, from.state],
  ] as const) {
    for (const part of ['-wal', '-shm']) rmSync(join(folder, `${name}${part}`), { force: true });
    renameSync(file, join(folder, name));
  }
  const descriptor = openSync(folder, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

async function toFolder(moving: Moving): Promise<Moved> {
  const { config, modules, copy, hears, now } = moving;
  const folder = config.EDUK_DATA;
  const urls = databasesOf(config, 'where set');
  const from = await openDatabases(moving, urls);
  try {
    const before = await standingOfDatabase(from.state);
    mayLeave(before, 'the database of EDUK_DATABASE_URL');
    await from.nobodyThere();
    const id = await from.vaultId();
    if (id === '' || !(await copy.holdsState(from.state)))
      throw new ConfigError(['EDUK_DATABASE_URL and EDUK_VAULT_DATABASE_URL name no databases of a gateway']);
    const standing = standingOfFolder(folder);
    clearFolder(folder, standing?.is === 'copying' || standing?.is === 'moved');
    if (existsSync(vaultFile(folder))) {
      const old = new copy.SqlitePlace(vaultFile(folder), 'source', vaultSqliteWays);
      const row = old.db.prepare("SELECT value FROM meta WHERE name = 'vault_id'").get() as
        | { value: unknown }
        | undefined;
      old.close();
      if (vaultIdOf(row?.value) !== id)
        throw new ConfigError([
          `${folder} holds what another gateway left; EDUK_DATA must name an empty folder, or its own`,
        ]);
    }
    const looked = await copy.openStateDatabase(urls.state, modules, 'source');
    const rows = await countOf(looked, copy.stateTables(modules));
    await looked.close();
    const forecast = foretell(hears, rows);
    const began = performance.now();
    await decideRest(moving, urls);
    // Nobody appends or identifies from here on, also not one who starts a gateway now.
    await from.state.query('BEGIN');
    await from.state.query('LOCK TABLE bus.lanes, bus.owners IN EXCLUSIVE MODE');
    await from.vault.query('BEGIN');
    await from.vault.query('LOCK TABLE vault.schools IN EXCLUSIVE MODE');
    setStandingOfFolder(folder, { is: 'copying', atMs: now(), other: 'databases', engine: 'kafka' });
    const parts = { state: join(folder, STATE + PART), vault: join(folder, VAULT + PART) };
    const { tallies, lanes, rows: sent } = await databasesToFiles(moving, urls, parts);
    await takeLists(copy, folder, await forgottenInDatabase(urls.vault).read(), await copy.readLedgerIn(from.state));
    await from.vault.query('COMMIT');
    const left: Standing = { is: 'moved', atMs: now(), other: resolve(folder), engine: 'embedded', lanes };
    await setStandingOfDatabase(from.state, left);
    await from.state.query('COMMIT');
    await setStandingOfDatabase(from.vault, left);
    installFiles(folder, parts);
    setStandingOfFolder(folder, { is: 'arrived', atMs: now(), other: 'databases', engine: 'kafka', lanes });
    const tables = tallies.state.length + tallies.vault.length;
    return { to: 'embedded', ...forecast, rows: sent, tookMs: Math.round(performance.now() - began), tables };
  } finally {
    await from.close();
  }
}

/** Adds to the lists of a folder what they do not hold yet. */
async function takeLists(
  copy: Copying,
  folder: string,
  forgotten: Awaited<ReturnType<ReturnType<typeof forgottenInFile>['read']>>,
  withdrawn: readonly Remembered[],
): Promise<void> {
  const own = await listsOf(copy, folder);
  const known = new Set(own.forgotten.map(listed));
  await forgottenInFile(`${vaultFile(folder)}.forgotten`).add(
    forgotten.filter((line) => !known.has(listed(line))),
    () => undefined,
    0,
  );
  const noted = new Set(own.withdrawn.map(idOf));
  copy.appendToLedger(
    copy.ledgerOf(stateFile(folder)),
    withdrawn.filter((record) => !noted.has(idOf(record))),
  );
}

/** What the databases hold undecided is decided there, where Kafka can be reached; else it is decided after the move. */
async function decideRest(
  { config, modules, hears, copy, now }: Moving,
  urls: ReturnType<typeof databasesOf>,
): Promise<void> {
  const client = await copy.connectForCopy(urls.state, 'EDUK_DATABASE_URL');
  const { rows } = await client
    .query(
      `SELECT EXISTS (SELECT 1 FROM bus.consumers c JOIN bus.lanes l ON l.stream = c.stream
         LEFT JOIN bus.bus_positions q ON q.consumer = c.consumer AND q.stream = c.stream AND q.partition = l.partition
         WHERE coalesce(q.number, l.first - 1) < l.head) AS behind`,
    )
    .finally(() => client.end());
  if (!(rows[0] as { behind: boolean }).behind) return;
  if (urls.topics === undefined || config.EDUK_KAFKA_BROKERS === undefined) {
    hears.say('Some messages are not decided yet; they are decided where they arrive.');
    return;
  }
  hears.say('What was taken in is decided first.');
  hears.stage({ words: 'What was taken in is decided', isWait: true });
  const engine = await openDistributedEngine({
    modules,
    databaseUrl: urls.state,
    ...urls.topics,
    replica: `move-${process.pid}-${Date.now()}`,
    clock: { now },
    remembers: takesBack,
  });
  try {
    await Promise.race([engine.runToIdle(), new Promise((done) => setTimeout(done, DECIDING_MS).unref())]);
  } finally {
    await engine.stop();
  }
}
/** How long a source may still decide before its copy is made; the rest is decided after it. */
const DECIDING_MS = 60_000;

export interface Resumed {
  engine: 'embedded' | 'kafka';
  /** Whether the other side was asked. */
  asked: boolean;
}

/**
 * Takes a move back: the source may be started again, and the other side may not. Refused as soon as the other side has
 * accepted anything, and, unless `force`, when it cannot be asked.
 */
export async function resume(config: Config, force: boolean, now: () => number): Promise<Resumed> {
  const moving = await begin(config, deaf, now);
  const folder = config.EDUK_DATA;
  const ofFolder = existsSync(folder) ? standingOfFolder(folder) : undefined;
  if (config.EDUK_ENGINE === 'embedded' && ofFolder?.is === 'moved') {
    const asked = await leaveDatabases(moving, ofFolder, force, now);
    setStandingOfFolder(folder, undefined);
    return { engine: 'embedded', asked };
  }
  if (config.EDUK_ENGINE !== 'embedded') {
    const urls = databasesOf(config, 'where set');
    const here = await openDatabases(moving, urls);
    try {
      const standing = await standingOfDatabase(here.state);
      if (standing?.is === 'moved') {
        const asked = await leaveFolder(moving, standing, force, now);
        await setStandingOfDatabase(here.vault, undefined);
        await setStandingOfDatabase(here.state, undefined);
        return { engine: 'kafka', asked };
      }
    } finally {
      await here.close();
    }
  }
  throw new ConfigError(['nothing was moved from here: there is nothing to take back']);
}

const FORCE =
  'if it surely took in nothing, or is gone for good, say --force: what was accepted there is not here then';
const ACCEPTED =
  'the other side has taken in messages since the move; they would be lost: move them back with eduk move --to';

async function leaveDatabases(moving: Moving, left: Standing, force: boolean, now: () => number): Promise<boolean> {
  let there: Databases;
  try {
    there = await openDatabases(moving, databasesOf(moving.config, 'where set'));
  } catch (thrown) {
    if (force) return false;
    const why = thrown instanceof ConfigError ? thrown.problems : ['the other side does not answer'];
    throw new ConfigError([...why, FORCE]);
  }
  try {
    await there.nobodyThere();
    const standing = await standingOfDatabase(there.state);
    if (standing?.is === 'arrived') {
      const { rows } = await there.state.query('SELECT stream, partition, head, first FROM bus.lanes WHERE head > 0');
      for (const lane of rows as { stream: string; partition: number; head: number; first: number }[]) {
        const head =
          standing.lanes?.find(({ stream, partition }) => stream === lane.stream && partition === lane.partition)
            ?.head ?? 0;
        if (lane.head <= head) continue;
        const found = await there.state.query(
          `SELECT count(*) AS there, count(*) FILTER (WHERE type LIKE '%Submitted') AS accepted FROM bus.outbox WHERE stream = $1 AND partition = $2 AND number > $3`,
          [lane.stream, lane.partition, head],
        );
        const { there: kept, accepted } = found.rows[0] as { there: number; accepted: number };
        // What the log dropped meanwhile cannot be looked at any more.
        if (accepted > 0 || kept < lane.head - head) throw new ConfigError([ACCEPTED]);
      }
    } else if (standing?.is === 'moved') throw new ConfigError([ACCEPTED]);
    const taken: Standing = { is: 'moved', atMs: now(), other: resolve(moving.config.EDUK_DATA), engine: left.engine };
    await setStandingOfDatabase(there.state, taken);
    await setStandingOfDatabase(there.vault, taken);
    return true;
  } finally {
    await there.close();
  }
}

async function leaveFolder(moving: Moving, left: Standing, force: boolean, now: () => number): Promise<boolean> {
  const folder = left.other;
  const file = stateFile(folder);
  const standing = existsSync(folder) ? standingOfFolder(folder) : undefined;
  const taken: Standing = { is: 'moved', atMs: now(), other: 'databases', engine: 'kafka' };
  if (standing?.is === 'copying') {
    setStandingOfFolder(folder, taken);
    return true;
  }
  if (!existsSync(file)) {
    if (force) return false;
    throw new ConfigError([`${folder} is not on this machine`, FORCE]);
  }
  if (standing?.is === 'moved') throw new ConfigError([ACCEPTED]);
  const state = moving.copy.openStateFile(file, moving.modules, 'source');
  try {
    for (const { stream, partition, head, first } of moving.copy.lanesOf(state)) {
      const before = left.lanes?.find((lane) => lane.stream === stream && lane.partition === partition)?.head ?? 0;
      if (head <= before) continue;
      if (first > before + 1 || moving.copy.acceptedSince(state, stream, partition, before))
        throw new ConfigError([ACCEPTED]);
    }
  } finally {
    state.close();
  }
  setStandingOfFolder(folder, taken);
  return true;
}

// ---- backups

/** What stands beside a backup's two files: enough to know that they are whole, and how old. Never a key. */
export interface Manifest {
  format: 1;
  /** Of the gateway that made it. */
  version: string;
  engine: 'embedded' | 'kafka';
  /** RFC 3339: everything accepted before it is in the backup. */
  takenAt: string;
  state: Tally[];
  vault: Tally[];
}

/** Where backups go and are looked for: the setting, else beside the data folder. */
export const backupsFolder = (config: Config): string =>
  config.EDUK_BACKUPS ?? `${config.EDUK_DATA.replace(/[/\\]+$/, '')}.backups`;

export interface BackedUp {
  folder: string;
  takenAt: string;
  rows: number;
  bytes: number;
  tookMs: number;
}

/**
 * Makes a backup in a new folder within `to`. Of a running embedded gateway `ask` makes the two files; undefined = it is stopped.
 * Throws `ConfigError` when there is nothing to back up.
 */
export async function backup(
  config: Config,
  to: string,
  ask: ((folder: string) => Promise<void>) | undefined,
  hears: Hears,
  now: () => number,
): Promise<BackedUp> {
  const moving = await begin(config, hears, now);
  const began = performance.now();
  const takenAt = new Date(now()).toISOString();
  const folder = join(to, `eduk-${takenAt.replaceAll(/[-:]/g, '').replace(/\.\d+/, '')}`);
  if (existsSync(folder)) throw new ConfigError([`${folder} is there already`]);
  const part = resolve(folder + PART);
  try {
    makeFolders(to, 0o700);
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { mode: 0o700 });
  } catch (thrown) {
    throw new ConfigError([`${to} cannot hold a backup (${(thrown as NodeJS.ErrnoException).code ?? 'unknown'})`]);
  }
  const made = { state: join(part, STATE), vault: join(part, VAULT) };
  const isEmbedded = config.EDUK_ENGINE === 'embedded';
  try {
    let tallies: Pick<Manifest, 'state' | 'vault'>;
    if (isEmbedded) {
      if (ask) {
        hears.stage({ words: 'written by the gateway', unit: 'bytes' });
        await growing(hears, Object.values(made), () => ask(part));
      } else await backupFiles(moving, made);
      tallies = await talliesOf(moving, made, undefined);
    } else ({ tallies } = await databasesToFiles(moving, databasesOf(config, 'where set'), made));
    const manifest: Manifest = {
      format: 1,
      version: packageVersion,
      engine: isEmbedded ? 'embedded' : 'kafka',
      takenAt,
      ...tallies,
    };
    writeFileSync(join(part, MANIFEST), `${JSON.stringify(manifest, undefined, 1)}\n`, { mode: 0o600 });
    for (const name of [STATE, VAULT, MANIFEST, '']) synced(join(part, name));
    renameSync(part, folder);
    synced(to);
    const bytes = [STATE, VAULT].reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    return {
      folder,
      takenAt,
      rows: rowsOf(tallies.state, tallies.vault),
      bytes,
      tookMs: Math.round(performance.now() - began),
    };
  } catch (thrown) {
    rmSync(part, { recursive: true, force: true });
    throw thrown;
  }
}

const MANIFEST = 'manifest.json';

function synced(path: string): void {
  const descriptor = openSync(path, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

/** Of a gateway that is stopped. */
async function backupFiles(moving: Moving, to: { state: string; vault: string }): Promise<void> {
  const { hears } = moving;
  const from = openFiles(moving, files(moving.config.EDUK_DATA));
  try {
    for (const [what, place, file] of [
      ['the state', from.state, to.state],
      ['the vault', from.vault, to.vault],
    ] as const) {
      closeSync(openSync(file, 'wx', 0o600));
      hears.stage({ words: `of ${what} written`, unit: 'bytes' });
      await place.backup(file, (bytes, all) => hears.set(bytes, all));
    }
  } finally {
    from.state.close();
    from.vault.close();
  }
}

/** Rows and digests of what two files hold. `all`: how many rows that are, where it is known; else they are counted first. */
async function talliesOf(
  moving: Moving,
  at: { state: string; vault: string },
  all: number | undefined,
): Promise<Pick<Manifest, 'state' | 'vault'>> {
  const { copy, modules, hears } = moving;
  const from = openFiles(moving, at);
  try {
    const tables = copy.stateTables(modules);
    const rows = all ?? (await countOf(from.state, tables)) + (await countOf(from.vault, vaultTables));
    hears.stage({ words: 'rows read back', all: rows });
    return {
      state: await copy.tallyOf(from.state, tables, step(hears)),
      vault: await copy.tallyOf(from.vault, vaultTables, step(hears)),
    };
  } finally {
    from.state.close();
    from.vault.close();
  }
}

function manifestOf(folder: string): Manifest {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(readFileSync(join(folder, MANIFEST), 'utf8')) as Manifest;
  } catch {
    throw new ConfigError([`${folder} is no backup: it has no ${MANIFEST} that can be read`]);
  }
  if (manifest.format !== 1)
    throw new ConfigError([
      `${folder} was made by a newer version of the gateway (${manifest.version}); restore it with that one`,
    ]);
  return manifest;
}

/** Copies a backup's files and compares them with what the backup says of itself. Throws `ConfigError` where they differ. */
async function unpacked(
  moving: Moving,
  from: string,
  to: { state: string; vault: string },
): Promise<{ manifest: Manifest; tallies: Pick<Manifest, 'state' | 'vault'> }> {
  const { hears } = moving;
  const manifest = manifestOf(from);
  for (const [name, file] of [
    [STATE, to.state],
    [VAULT, to.vault],
  ] as const)
    try {
      const source = join(from, name);
      hears.stage({ words: `of ${name} copied`, unit: 'bytes', all: statSync(source).size });
      await growing(hears, [file], () => copyFile(source, file));
    } catch (thrown) {
      throw new ConfigError([
        `${join(from, name)} cannot be copied (${(thrown as NodeJS.ErrnoException).code ?? 'unknown'})`,
      ]);
    }
  let tallies: Pick<Manifest, 'state' | 'vault'>;
  try {
    tallies = await talliesOf(moving, to, rowsOf(manifest.state, manifest.vault));
  } catch (thrown) {
    // SQLite's own words for a file that was cut or overwritten.
    if ((thrown as { code?: string }).code !== 'ERR_SQLITE_ERROR') throw thrown;
    throw new ConfigError([`the backup ${from} is damaged: its files are no databases of this gateway`]);
  }
  // A newer release may have tables that the backup's had not.
  const known = (of: readonly Tally[], than: readonly Tally[]) =>
    of.filter(({ table, rows }) => rows > 0 || than.some((other) => other.table === table));
  const differ = [
    ...moving.copy.differences(manifest.state, known(tallies.state, manifest.state)),
    ...moving.copy.differences(manifest.vault, known(tallies.vault, manifest.vault)),
  ];
  if (differ.length > 0)
    throw new ConfigError([`the backup ${from} is damaged: other rows than it was made with in ${differ.join(', ')}`]);
  return { manifest, tallies };
}

export interface RestoreOptions {
  /** A data folder, or copies of its two lists, whose decisions since the backup are taken over. */
  lists?: string | undefined;
  /** There are no lists: nothing was withdrawn and nobody forgotten since, or it is accepted that they come back. */
  withoutLists?: boolean | undefined;
}

export interface Restored {
  engine: 'embedded' | 'kafka';
  takenAt: string;
  rows: number;
  /** Withdrawals and forgets since the backup, of the state. */
  reapplied: number;
  /** Messages that were found on Kafka only. */
  retaken: number;
  /** Numbers that are nowhere any more. */
  lost: { stream: string; partition: number; from: number; through: number }[];
  tookMs: number;
}

/** How much clocks of doors may differ from the one that dated the backup, milliseconds. */
const SLACK_MS = 10 * 60_000;
/** What receivers may have read of mail that is not in the backup: numbers of mailboxes go on above it. */
const MAIL_LIFT = 1_000_000;

/**
 * Restores a backup into an empty place: what the settings say, a folder or two databases. What a school took back and who was
 * forgotten since, by the lists that are kept outside backups, is so again before anything can be asked. With Kafka, what
 * was accepted since and is found there is taken in again.
 */
export async function restore(
  config: Config,
  from: string,
  options: RestoreOptions,
  hears: Hears,
  now: () => number,
): Promise<Restored> {
  const moving = await begin(config, hears, now);
  const { copy, modules } = moving;
  const began = performance.now();
  const folder = config.EDUK_DATA;
  const isEmbedded = config.EDUK_ENGINE === 'embedded';
  const urls = isEmbedded ? undefined : databasesOf(config, 'where set');
  manifestOf(from);
  if (isEmbedded) {
    clearFolder(folder, standingOfFolder0(folder)?.is === 'copying');
  } else makeFolder(folder);
  if (urls !== undefined) {
    const there = await openDatabases(moving, urls);
    await mayTake(copy, there, '').finally(there.close);
  }
  const lists = await listsFor(moving, urls, options);
  const work = mkdtempSync(join(folder, RESTORING));
  try {
    const at = { state: join(work, STATE), vault: join(work, VAULT) };
    const { manifest, tallies } = await unpacked(moving, from, at);
    const heads = copy.headsIn(at.state, modules);
    const found: Remembered[] = [];
    const seen = new Map<string, number>();
    const lost: Restored['lost'] = [];
    if (urls?.topics) {
      hears.say('Looking on Kafka for what was accepted since.');
      hears.stage({ words: 'messages read from Kafka' });
      await copy.readTopics(urls.topics, 'all', (record) => {
        hears.add(1);
        const lane = `${record.stream}/${record.partition}`;
        const before = seen.get(lane) ?? heads.get(lane) ?? 0;
        if (record.number <= before) return;
        if (record.number > before + 1)
          lost.push({
            stream: record.stream,
            partition: record.partition,
            from: before + 1,
            through: record.number - 1,
          });
        seen.set(lane, record.number);
        if (record.type.endsWith('Submitted')) found.push(record);
      });
    }
    const since = Date.parse(manifest.takenAt) - SLACK_MS;
    const again = copy.newTo(at.state, modules, found, since);
    const known = new Set(again.map(idOf));
    const withdrawn = copy
      .newTo(
        at.state,
        modules,
        lists.withdrawn.filter(({ timeMs }) => timeMs >= since),
        since,
      )
      .filter((record) => !known.has(idOf(record)));
    copy.liftMail(at.state, MAIL_LIFT);
    copy.takeInAgain(at.state, modules, [...again, ...withdrawn]);
    await runToHead(at.state, moving);
    const standing: Standing = { is: 'copying', atMs: now(), other: basename(from), engine: manifest.engine };
    if (urls === undefined) {
      setStandingOfFolder(folder, standing);
      await takeLists(copy, folder, lists.forgotten, lists.withdrawn);
      const settled = await talliesOf(moving, at, undefined);
      for (const file of Object.values(at)) synced(file);
      installFiles(folder, at);
      setStandingOfFolder(folder, { ...standing, is: 'arrived', tallies: [...settled.state, ...settled.vault] });
    } else {
      const files = openFiles(moving, at);
      try {
        await filesToDatabases(moving, files, urls, lists, standing, undefined);
      } finally {
        files.state.close();
        files.vault.close();
      }
    }
    return {
      engine: isEmbedded ? 'embedded' : 'kafka',
      takenAt: manifest.takenAt,
      rows: rowsOf(tallies.state, tallies.vault),
      reapplied: withdrawn.length + again.filter(takesBack).length,
      retaken: again.length,
      lost,
      tookMs: Math.round(performance.now() - began),
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const standingOfFolder0 = (folder: string): Standing | undefined =>
  existsSync(folder) ? standingOfFolder(folder) : undefined;

/** The lists of the place that is restored into, and of the folder that was named. Throws `ConfigError` where there are none. */
async function listsFor(
  { copy, config }: Moving,
  urls: ReturnType<typeof databasesOf> | undefined,
  { lists, withoutLists }: RestoreOptions,
) {
  const found = { forgotten: [] as Awaited<ReturnType<typeof listsOf>>['forgotten'], withdrawn: [] as Remembered[] };
  let any = false;
  for (const folder of [config.EDUK_DATA, ...(lists === undefined ? [] : [lists])]) {
    const has = [`${vaultFile(folder)}.forgotten`, copy.ledgerOf(stateFile(folder))].some((file) => existsSync(file));
    if (!has && folder === lists)
      throw new ConfigError([
        `${folder} holds no lists (${VAULT}.forgotten, ${STATE}.withdrawn): name the folder that does with --lists, or say --without-lists when they are lost or were never begun`,
      ]);
    any ||= has;
    const read = await listsOf(copy, folder);
    found.forgotten.push(...read.forgotten);
    found.withdrawn.push(...read.withdrawn);
  }
  if (urls !== undefined) {
    const client = await copy.connectForCopy(urls.state, 'EDUK_DATABASE_URL');
    const withdrawn = await copy.readLedgerIn(client).finally(() => client.end());
    const forgotten = await forgottenInDatabase(urls.vault).read();
    any ||= withdrawn.length > 0 || forgotten.length > 0;
    found.withdrawn.push(...withdrawn);
    found.forgotten.push(...forgotten);
  }
  if (!any && !withoutLists)
    throw new ConfigError([
      `there is no list of what was withdrawn and who was forgotten since the backup: name the folder that holds it with --lists, or say --without-lists when it is lost or was never begun`,
    ]);
  const ids = new Set<string>();
  found.withdrawn = found.withdrawn.filter((record) => !ids.has(idOf(record)) && ids.add(idOf(record)));
  return found;
}

export interface Drilled {
  backup: string;
  takenAt: string;
  ageMs: number;
  rows: number;
  tookMs: number;
}

/**
 * Restores the newest backup aside, compares it with what it says of itself, and lets the services go on in it; then throws
 * the copy away. Throws `ConfigError` when there is no backup or it is damaged.
 */
export async function drill(config: Config, folder: string, now: () => number, hears: Hears = deaf): Promise<Drilled> {
  const moving = await begin(config, hears, now);
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => existsSync(join(folder, name, MANIFEST)) && !name.endsWith(PART))
    : [];
  const newest = names
    .map((name) => ({ name, takenAt: manifestOf(join(folder, name)).takenAt }))
    .sort((a, b) => (a.takenAt < b.takenAt ? 1 : -1))[0];
  if (newest === undefined) throw new ConfigError([`${folder} holds no backup; eduk backup makes one`]);
  const began = performance.now();
  const work = mkdtempSync(join(folder, '.drill-'));
  try {
    const at = { state: join(work, STATE), vault: join(work, VAULT) };
    const { tallies } = await unpacked(moving, join(folder, newest.name), at);
    await runToHead(at.state, moving);
    return {
      backup: join(folder, newest.name),
      takenAt: newest.takenAt,
      ageMs: now() - Date.parse(newest.takenAt),
      rows: rowsOf(tallies.state, tallies.vault),
      tookMs: Math.round(performance.now() - began),
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What databases and brokers of the settings say of themselves; undefined where a setting is missing. */
export async function survivalOf(config: Config): Promise<Survival | undefined> {
  if (config.EDUK_DATABASE_URL === undefined || config.EDUK_KAFKA_BROKERS === undefined) return undefined;
  const { survivalOf: ask } = await survival();
  return ask({
    databaseUrl: databaseUrl(config, 'EDUK_DATABASE'),
    vaultUrl: config.EDUK_VAULT_DATABASE_URL === undefined ? undefined : databaseUrl(config, 'EDUK_VAULT_DATABASE'),
    ...topicsOf(config),
  });
}
