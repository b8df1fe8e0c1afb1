import { standingOfDatabase, standingRefusal } from '#bus';
import { type Clock, ConfigError, describeError, GatewayError, log, logSeldom } from '#kernel';
import { AskedReveals } from '../asked.ts';
import { serveVault } from '../calls.ts';
import { Custody, LEASE_MS, type MasterSource } from '../custody.ts';
import type { Holders } from '../holder.ts';
import { type MasterRing, masterKeys, type SchoolLease } from '../keys.ts';
import { schoolToken } from '../ledger.ts';
import { OLD_NAMES_MS, type Touched } from '../people.ts';
import { REVEALS_PER_HOUR, RevealWatch } from '../reveals.ts';
import { type NextKey, openRing } from '../ring.ts';
import { KeyRotation } from '../rotation.ts';
import { bytesOf, random } from '../seal.ts';
import type { Vault } from '../vault.ts';
import { postgresAsked } from './asked.ts';
import { Connection } from './connection.ts';
import { Lane } from './lane.ts';
import { PostgresLedger } from './ledger.ts';
import { postgresReveals } from './reveals.ts';
import { PostgresRotation } from './rotation.ts';
import { migrate } from './schema.ts';
import { markUnwiped } from './statements.ts';

export interface PostgresVaultOptions {
  /** `postgres://…` of the vault's own database; the role may make schemas in it. Never printed: it may hold a password. */
  url: string;
  /** 32 bytes; the same for all replicas. */
  masterKey: Uint8Array;
  /** Where a master key that is to follow this one is found. */
  nextKey?: NextKey;
  clock: Clock;
  /** Whether the key is a development key; remembered by a vault that is made now. */
  devKey?: boolean;
  /** How many learners stay in memory, with their secrets and without numbers or names; under 1 kB each. */
  maxCached?: number;
  /** Where the list of who was forgotten is kept; default: in the same database. Elsewhere if that is backed up as a whole. */
  ledgerUrl?: string;
  /** Where its tables stand, and the list under this name with `_ledger`. Lower-case letters, digits and `_`. */
  schema?: string;
  /** How many learners a party may be shown in an hour before somebody is paged; 0 = any. */
  revealsPerHour?: number;
  /** As in `VaultOptions`. */
  source?: MasterSource | undefined;
  holders?: Holders | undefined;
  leaseMs?: number;
  elapsed?: (() => number) | undefined;
  /** Groups of calls that are answered at the same time, each with a connection of its own. */
  lanes?: number;
}

/** While the database is away every second fails. */
const tell = logSeldom();
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Up to this size the parts are written anew as soon as someone was forgotten; above it once a day. */
const WIPE_AT_ONCE_BYTES = 64 * 1024 * 1024;
/** How long a replica may keep in memory, unused, what another has changed or destroyed. */
const REFRESH_MS = 10_000;
/** Within this time every replica has read that the master key is being replaced, and has said so if it lacks the new one. */
const OTHERS_MS = 10_000;
/** Rows that one statement of the tick deals with. */
const DUE = 500;

/**
 * Opens the vault in PostgreSQL, or makes it in an empty schema. Any number of replicas may work on one database. A wrong
 * master key, a newer form or a role that is not let in is a `ConfigError`; nothing is changed then. A database that does
 * not answer is `gateway.unavailable`, then and in every later call: repeating helps as soon as it is back. Before this
 * resolves, the list of who was forgotten is applied and what is due is destroyed.
 */
export async function openPostgresVault({
  url,
  masterKey,
  nextKey = () => undefined,
  clock,
  devKey = false,
  maxCached = 30_000,
  ledgerUrl = url,
  schema = 'vault',
  lanes: count = 4,
  revealsPerHour = REVEALS_PER_HOUR,
  source,
  holders,
  leaseMs = LEASE_MS,
  elapsed,
}: PostgresVaultOptions): Promise<Vault> {
  if (masterKey.length !== 32) throw new ConfigError(['a master key has 32 bytes']);
  await refuseMoved(url, schema);
  await migrate(url, schema);
  const { ring, ...made } = await keysOf(url, schema, masterKey, nextKey, devKey);
  const ledger = new PostgresLedger(ledgerUrl, `${schema}_ledger`);
  // What a school is wrapped by is looked for only when the first call comes.
  const held = { lease: (name: string): SchoolLease | undefined => vault.custody.lease(name) };
  const lanes = Array.from(
    { length: count },
    () => new Lane({ url, schema, master: ring, held, clock, maxCached: Math.ceil(maxCached / count), ledger }),
  );
  const vault: PostgresVault = new PostgresVault({
    url,
    schema,
    clock,
    ring,
    nextKey,
    ledger,
    lanes,
    devKey: made.devKey,
    revealsPerHour,
    source,
    holders,
    leaseMs,
    elapsed,
  });
  try {
    await ledger.prepare();
    await vault.catchUp();
    await vault.runDue();
    return vault;
  } catch (error) {
    await vault.stop();
    throw error;
  }
}

/** A database that was moved elsewhere, or a copy that did not come to its end, is left alone. */
async function refuseMoved(url: string, schema: string): Promise<void> {
  const connection = await Connection.open(url, schema, 'standing');
  try {
    const query = async (text: string) => ({ rows: (await connection.send([{ text }]))[0]! });
    const words = standingRefusal(await standingOfDatabase({ query } as never), 'the vault’s database');
    if (words !== undefined) throw new ConfigError([words]);
  } finally {
    connection.close();
  }
}

/** The vault's id and the proof of its key; a new vault gets both, from whichever replica is first. */
async function keysOf(
  url: string,
  schema: string,
  masterKey: Uint8Array,
  nextKey: NextKey,
  devKey: boolean,
): Promise<{ ring: MasterRing; devKey: boolean }> {
  const connection = await Connection.open(url, schema);
  try {
    const fresh = random(16);
    const [, , rows] = await connection.send([
      { text: 'BEGIN' },
      // Whoever is second waits here, and sees what the first has written.
      { text: 'LOCK TABLE meta IN SHARE ROW EXCLUSIVE MODE' },
      { text: 'SELECT name, number, bytes FROM meta' },
    ]);
    const meta = new Map(
      (rows as { name: string; number: number | null; bytes: Uint8Array | null }[]).map(({ name, number, bytes }) => [
        name,
        (bytes ?? number)!,
      ]),
    );
    if (!meta.has('vault_id')) {
      const { check } = masterKeys(masterKey, fresh);
      await connection.send([
        {
          text: "INSERT INTO meta (name, number, bytes) VALUES ('vault_id', NULL, $1), ('check', NULL, $2), ('dev_key', $3, NULL)",
          values: [fresh, check, devKey ? 1 : 0],
        },
        { text: 'COMMIT' },
      ]);
      meta
        .set('vault_id', fresh)
        .set('check', check)
        .set('dev_key', devKey ? 1 : 0);
    }
    return {
      ring: openRing(meta, masterKey, nextKey, 'the vault’s database'),
      devKey: meta.get('dev_key') === 1,
    };
  } finally {
    connection.close();
  }
}

class PostgresVault implements Vault {
  readonly implementations: Vault['implementations'];
  readonly reveals: Vault['reveals'];
  readonly devKey: boolean;
  readonly custody: Custody;
  readonly #url: string;
  readonly #schema: string;
  readonly #clock: Clock;
  readonly #ledger: PostgresLedger;
  readonly #lanes: readonly Lane[];
  readonly #touched: Touched = new Map();
  readonly #store: PostgresRotation;
  readonly #rotation: KeyRotation;
  readonly #watch: RevealWatch;
  readonly #asked: AskedReveals;
  #renewing: Promise<void> | undefined;
  /** Of what is done now and then, beside the lanes. */
  #connection: Connection | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;
  #refreshedMs = 0;
  #sweptMs = 0;
  #stopped = false;

  constructor(given: {
    url: string;
    schema: string;
    clock: Clock;
    ring: MasterRing;
    nextKey: NextKey;
    ledger: PostgresLedger;
    lanes: readonly Lane[];
    devKey: boolean;
    revealsPerHour: number;
    source: MasterSource | undefined;
    holders: Holders | undefined;
    leaseMs: number;
    elapsed: (() => number) | undefined;
  }) {
    const { url, schema, clock, ring, nextKey, ledger, lanes, devKey, source, holders, leaseMs, elapsed } = given;
    this.#url = url;
    this.#schema = schema;
    this.#clock = clock;
    this.#ledger = ledger;
    this.#lanes = lanes;
    this.devKey = devKey;
    this.#store = new PostgresRotation(url, schema, (school, run) =>
      this.custody.opening(school, () => this.#laneOf(school).submit(run)),
    );
    const custody = new Custody({
      ring,
      store: this.#store,
      clock,
      holders,
      source,
      leaseMs,
      elapsed,
      where: 'the vault’s database',
      drop: async () => {
        await Promise.all(lanes.map((lane) => lane.dropClosed()));
      },
    });
    this.custody = custody;
    const rotation = new KeyRotation({
      store: this.#store,
      ring,
      clock,
      nextKey,
      othersMs: OTHERS_MS,
      prepareNext: async () => source?.prepareNext(),
      reseal: () => custody.reseal(),
    });
    this.#rotation = rotation;
    this.#watch = new RevealWatch(
      postgresReveals((...statements) => this.#store.send(...statements)),
      clock,
      given.revealsPerHour,
    );
    this.#asked = new AskedReveals(
      postgresAsked((...statements) => this.#store.send(...statements)),
      clock,
    );
    const { implementation, reveals } = serveVault({
      doors: ring.doors,
      devKey,
      touched: this.#touched,
      rotation,
      watch: this.#watch,
      asked: this.#asked,
      custody,
      store: this.#store,
      clock,
      grouped: (school, run) =>
        this.#stopped ? Promise.reject(new GatewayError('gateway.stopping')) : this.#laneOf(school).submit(run),
    });
    this.implementations = [implementation];
    this.reveals = reveals;
  }

  /** Calls about one school go through one lane, so that one cache serves them and they do not wait for each other's locks. */
  #laneOf(school: string): Lane {
    let sum = 0;
    for (let i = 0; i < school.length; i++) sum = (sum * 31 + school.charCodeAt(i)) | 0;
    return this.#lanes[Math.abs(sum) % this.#lanes.length]!;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      // A database that is away must not end the vault: what is due is tried again in a second.
      const failed = (error: unknown) => tell('error', 'vault.tick_failed', describeError(error));
      this.#ticking ??= this.#chores()
        .catch(failed)
        .finally(() => {
          this.#ticking = undefined;
        });
      // By itself: renewing goes on for hours, and a holder is asked in time.
      this.custody.tick().catch(failed);
      this.#renewing ??= this.#watch
        .tick()
        .then(() => this.#asked.tick())
        .then(() => this.#rotation.run())
        .catch(failed)
        .finally(() => {
          this.#renewing = undefined;
        });
    }, 1000).unref();
  }

  async tick(): Promise<void> {
    await this.#chores();
    await this.custody.tick();
    await this.#watch.tick();
    await this.#asked.tick();
    await this.#rotation.step();
  }

  async #chores(): Promise<void> {
    const now = this.#clock.now();
    await this.runDue();
    if (now - this.#refreshedMs >= REFRESH_MS) {
      await Promise.all(this.#lanes.map((lane) => lane.refresh()));
      this.#refreshedMs = now;
    }
    if (now - this.#sweptMs >= HOUR_MS) {
      await this.catchUp();
      await this.#saveTouched();
      const swept = await this.#sweepNames(now - OLD_NAMES_MS);
      if (swept > 0) log('info', 'vault.old_names', { rows: swept });
      this.#sweptMs = now;
    }
    await this.#wipeWhenDue(now);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#rotation.stop();
    clearInterval(this.#timer);
    await Promise.all([this.#ticking, this.#renewing]);
    await this.custody.stop();
    await Promise.all(this.#lanes.map((lane) => lane.idle()));
    // What cannot be saved now only makes names go a day earlier.
    await this.#saveTouched().catch((error) => tell('warn', 'vault.touched_lost', describeError(error)));
    await this.#watch.save();
    for (const lane of this.#lanes) lane.close();
    this.#connection?.close();
    this.#store.close();
    await this.#ledger.close();
  }

  async #send(...statements: Parameters<Connection['send']>[0]): Promise<any[][]> {
    if (!this.#connection?.usable) {
      this.#connection?.close();
      this.#connection = await Connection.open(this.#url, this.#schema, 'tick', true);
    }
    return this.#connection.send(statements);
  }

  /** Destroys whose time has come; other replicas may be at it too. */
  async runDue(): Promise<void> {
    for (;;) {
      const [due] = (await this.#send({
        text: `SELECT l.token, s.oin FROM forgetting f JOIN learners l ON l.id = f.learner JOIN schools s ON s.id = l.school
          WHERE f.at_ms <= $1 ORDER BY f.at_ms LIMIT ${DUE}`,
        values: [this.#clock.now()],
      })) as [{ token: string; oin: string }[]];
      const destroyed = await Promise.all(
        due.map(({ token, oin }) => this.#laneOf(oin).submit(({ forgetting }) => forgetting.destroyDue(oin, token))),
      );
      const learners = destroyed.filter(Boolean).length;
      if (learners > 0) log('info', 'vault.forgot', { learners });
      if (due.length < DUE) return;
    }
  }

  /**
   * What the list says and the vault does not know is decided again: after a backup came back, and for what was noted and
   * then not committed. The vault remembers up to where it has looked; a backup remembers less.
   */
  async catchUp(): Promise<void> {
    const now = this.#clock.now();
    const [[seen]] = (await this.#send({ text: "SELECT number FROM meta WHERE name = 'ledger_seen_ms'" })) as [
      [{ number: number }?],
    ];
    // What was noted and not yet committed when it last looked, and clocks that differ.
    const lines = await this.#ledger.since((seen?.number ?? 0) - HOUR_MS);
    let decisions = 0;
    for (const { school, token, atMs } of lines)
      if (token === schoolToken(school)) decisions += await this.#dropTextsAgain(school, atMs);
    for (let from = 0; from < lines.length; from += DUE) {
      const changed = await Promise.all(
        lines
          .slice(from, from + DUE)
          .map((line) => this.#laneOf(line.school).submit(({ forgetting }) => forgetting.decideAgain(line))),
      );
      decisions += changed.filter(Boolean).length;
    }
    if (decisions > 0) log('warn', 'vault.ledger_applied', { decisions });
    await this.#send({
      text: `INSERT INTO meta (name, number) VALUES ('ledger_seen_ms', $1)
        ON CONFLICT (name) DO UPDATE SET number = greatest(meta.number, excluded.number)`,
      values: [now],
    });
  }

  /** Its people have lines of their own, and its keys are renewed when the doors say it again. */
  async #dropTextsAgain(school: string, atMs: number): Promise<number> {
    const lane = this.#laneOf(school);
    if (await lane.submit(({ forgetting }) => forgetting.isSchoolDone(school, atMs))) return 0;
    for (let dropped = 0; ; ) {
      const texts = await this.#store.textsAfter(school, '', DUE);
      if (texts.length === 0) return dropped;
      dropped += (await lane.submit(({ forgetting }) => forgetting.destroyOfSchool(school, [], texts))).texts;
    }
  }

  async #saveTouched(): Promise<void> {
    if (this.#touched.size === 0) return;
    const all = [...this.#touched.values()];
    this.#touched.clear();
    await this.#send({
      text: `UPDATE names SET touched_ms = greatest(names.touched_ms, w.at_ms)
        FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS w(learner, mark, at_ms)
        WHERE names.learner = w.learner AND names.mark = w.mark`,
      values: [all.map(({ learner }) => learner), all.map(({ mark }) => bytesOf(mark)), all.map(({ atMs }) => atMs)],
    });
  }

  /** Names that are not the newest and were not asked for since. */
  async #sweepNames(beforeMs: number): Promise<number> {
    const [[swept]] = (await this.#send({
      text: `WITH gone AS (
          DELETE FROM names WHERE touched_ms < $1
            AND rank < (SELECT max(o.rank) FROM names o WHERE o.learner = names.learner) RETURNING names.tableoid),
        marked AS (${markUnwiped('gone', '$2')})
        SELECT count(*) AS rows FROM gone`,
      values: [beforeMs, this.#clock.now()],
    })) as [[{ rows: number }]];
    return swept.rows;
  }

  /**
   * Deleting only marks a row as gone; its bytes go when the part of the table is written anew. That keeps others from the
   * part for as long as it takes, so one replica does it, a part at a time.
   */
  async #wipeWhenDue(now: number): Promise<void> {
    const [parts] = (await this.#send({
      text: `SELECT part, marks, since_ms AS "sinceMs", pg_total_relation_size(part::regclass) AS bytes FROM unwiped ORDER BY part`,
    })) as [{ part: string; marks: number; sinceMs: number; bytes: number }[]];
    if (parts.length === 0) return;
    const [[lock]] = (await this.#send({
      text: "SELECT pg_try_advisory_lock(hashtext($1 || ' wipe')) AS mine",
      values: [this.#schema],
    })) as [[{ mine: boolean }]];
    if (!lock.mine) return;
    try {
      const small = parts.reduce((sum, { bytes }) => sum + bytes, 0) <= WIPE_AT_ONCE_BYTES;
      for (const { part, marks, sinceMs } of parts) {
        if (!small && now - sinceMs < DAY_MS) continue;
        await this.#send({ text: `VACUUM (FULL, ANALYZE) ${part}` });
        // Unless something was deleted meanwhile.
        await this.#send({ text: 'DELETE FROM unwiped WHERE part = $1 AND marks = $2', values: [part, marks] });
      }
    } finally {
      await this.#send({ text: "SELECT pg_advisory_unlock(hashtext($1 || ' wipe'))", values: [this.#schema] });
    }
  }
}
