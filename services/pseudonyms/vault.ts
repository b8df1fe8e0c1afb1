import { type Clock, ConfigError, describeError, GatewayError, type Implementation, log } from '#kernel';
import { AskedReveals } from './asked.ts';
import { type Call, type Desk, type RevealCount, serveVault } from './calls.ts';
import { Custody, LEASE_MS, type MasterSource } from './custody.ts';
import { Forgetting } from './forgetting.ts';
import type { Holders } from './holder.ts';
import { type MasterRing, masterKeys } from './keys.ts';
import { openLedger, schoolToken } from './ledger.ts';
import { OLD_NAMES_MS, type Touched } from './people.ts';
import { REVEALS_PER_HOUR, RevealWatch } from './reveals.ts';
import { type NextKey, openRing } from './ring.ts';
import { KeyRotation } from './rotation.ts';
import { random } from './seal.ts';
import { Shelf } from './shelf.ts';
import { FORM, openSqliteFile, type SqliteFile } from './sqlite.ts';
import { sqliteAsked } from './sqlite-asked.ts';
import { sqliteReveals } from './sqlite-reveals.ts';
import { sqliteRotation } from './sqlite-rotation.ts';

export interface VaultOptions {
  /** The database, made when absent; `<file>.forgotten` is the ledger beside it. */
  file: string;
  /** 32 bytes. */
  masterKey: Uint8Array;
  /** Where a master key that is to follow this one is found. */
  nextKey?: NextKey;
  clock: Clock;
  /** Whether the key is a development key; remembered by a vault that is made now. */
  devKey?: boolean;
  /** How many learners stay in memory, with their secrets and without numbers or names; under 1 kB each. */
  maxCached?: number;
  /** How many learners a party may be shown in an hour before somebody is paged; 0 = any. */
  revealsPerHour?: number;
  /** Where the master key comes from, to be asked again where somebody else holds it. */
  source?: MasterSource | undefined;
  /** How holders of keys are reached; without them no school can hold its own. */
  holders?: Holders | undefined;
  /** How long what a holder has opened stays in memory after its last answer, milliseconds. */
  leaseMs?: number;
  /** Milliseconds that went by since some moment, by no clock that is set; tests give their own. */
  elapsed?: (() => number) | undefined;
}

export interface Vault {
  readonly implementations: readonly Implementation[];
  /** Whether the vault was made under a development key; such data listens on loopback only. */
  readonly devKey: boolean;
  /** Begins to run what is due: forgetting, old names, wiping. Every second, until `stop`. */
  start(): void;
  /** What `start` does each second, once; of renewing keys one lot. */
  tick(): Promise<void>;
  /** Answers what was asked, then closes the file. Later calls are refused with gateway.stopping. */
  stop(): Promise<void>;
  reveals(): readonly RevealCount[];
}

/** A vault in a file. */
export interface FileVault extends Vault {
  /** Writes all that is committed at one moment into a new file, while calls are answered. */
  backup(file: string): Promise<void>;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Up to this size the file is written anew as soon as someone was forgotten; above it once a day. */
const VACUUM_AT_ONCE_BYTES = 64 * 1024 * 1024;
/**
 * Opens the vault, or makes it where the file does not exist. A wrong master key, a newer form, a damaged file or one in
 * use is a `ConfigError`; nothing is changed then. Before it returns, the ledger is applied and what is due is destroyed.
 */
export function openVault({
  file,
  masterKey,
  nextKey = () => undefined,
  clock,
  devKey = false,
  maxCached = 30_000,
  revealsPerHour = REVEALS_PER_HOUR,
  source,
  holders,
  leaseMs = LEASE_MS,
  elapsed,
}: VaultOptions): FileVault {
  if (masterKey.length !== 32) throw new ConfigError(['a master key has 32 bytes']);
  const rows = openSqliteFile(file);
  try {
    if (rows.fresh) {
      const vaultId = random(16);
      rows.setMeta('form', FORM);
      rows.setMeta('vault_id', vaultId);
      rows.setMeta('check', masterKeys(masterKey, vaultId).check);
      rows.setMeta('dev_key', devKey ? 1 : 0);
      rows.commit();
    }
    const ring = openRing(rows.metas(), masterKey, nextKey, file);
    return vaultOn(rows, ring, { file, nextKey, clock, maxCached, revealsPerHour, source, holders, leaseMs, elapsed });
  } catch (error) {
    rows.rollback();
    rows.close();
    throw error;
  }
}

function vaultOn(
  rows: SqliteFile,
  ring: MasterRing,
  given: Required<Pick<VaultOptions, 'file' | 'nextKey' | 'clock' | 'maxCached' | 'revealsPerHour' | 'leaseMs'>> &
    Pick<VaultOptions, 'source' | 'holders' | 'elapsed'>,
): FileVault {
  const { file, nextKey, clock, maxCached, source, holders, leaseMs, elapsed } = given;
  // What it wraps by is looked for only when the first school is read.
  const held = { lease: (name: string) => custody.lease(name) };
  const shelf = new Shelf(rows, ring, clock, maxCached, held);
  const ledger = openLedger(`${file}.forgotten`);
  const forgetting = new Forgetting(shelf);
  const desk: Desk = { shelf, forgetting };
  const touched: Touched = new Map();
  const devKey = rows.meta('dev_key') === 1;

  /** Runs `work` in one transaction, if it writes; all of it counts or none. */
  function together<T>(work: () => T): T {
    try {
      const result = work();
      // Should the commit then fail, the ledger is right all the same: this was asked for.
      ledger.append(forgetting.takeDecided());
      rows.commit();
      shelf.settle();
      return result;
    } catch (error) {
      // What is cached may come from the transaction that is taken back, so all of it goes.
      shelf.clear();
      forgetting.takeDecided();
      rows.rollback();
      throw error;
    }
  }

  // Calls that arrive in one turn of the event loop share one transaction, for it is the wait for the disk that costs.
  let queue: Call[] = [];
  let stopping: Promise<void> | undefined;
  const flush = (): void => {
    const calls = queue;
    queue = [];
    if (calls.length === 0) return;
    try {
      const answers = together(() => calls.map(({ run }) => run(desk)));
      for (const [i, { resolve }] of calls.entries()) resolve(answers[i]);
    } catch (error) {
      if (calls.length === 1) calls[0]!.reject(error);
      // One of them is to blame. Each for itself, so that only that one fails.
      else
        for (const { run, resolve, reject } of calls)
          try {
            resolve(together(() => run(desk)));
          } catch (alone) {
            reject(alone);
          }
    }
  };
  const enqueue = <T>(_school: string, run: (desk: Desk) => T): Promise<T> =>
    new Promise((resolve, reject) => {
      if (queue.push({ run, resolve: resolve as (answer: unknown) => void, reject }) === 1) setImmediate(flush);
    });
  const grouped: typeof enqueue = (school, run) =>
    stopping ? Promise.reject(new GatewayError('gateway.stopping')) : enqueue(school, run);
  const store = sqliteRotation(rows, (school, run) => custody.opening(school, () => enqueue(school, run)), together);
  const custody: Custody = new Custody({
    ring,
    store,
    clock,
    holders,
    source,
    leaseMs,
    elapsed,
    where: file,
    drop: async () => shelf.dropClosed(),
  });
  const watch = new RevealWatch(sqliteReveals(rows, together), clock, given.revealsPerHour);
  const asked = new AskedReveals(sqliteAsked(rows, together), clock);
  const rotation = new KeyRotation({
    store,
    ring,
    clock,
    nextKey,
    othersMs: 0,
    prepareNext: async () => source?.prepareNext(),
    reseal: () => custody.reseal(),
  });
  const { implementation, reveals } = serveVault({
    doors: ring.doors,
    devKey,
    touched,
    grouped,
    rotation,
    watch,
    asked,
    custody,
    store,
    clock,
  });

  let sweptMs = 0;
  function runChores(): void {
    const now = clock.now();
    const destroyed = together(() => runDue(now));
    if (destroyed > 0) log('info', 'vault.forgot', { learners: destroyed });
    if (now - sweptMs >= HOUR_MS) {
      sweptMs = now;
      saveTouched();
      const swept = together(() => rows.write.sweepNames(now - OLD_NAMES_MS));
      if (swept > 0) log('info', 'vault.old_names', { rows: swept });
    }
    vacuumWhenDue(now);
  }

  const runDue = (now: number): number =>
    rows.due(now).filter(({ oin, token }) => forgetting.destroyDue(oin, token)).length;

  /** After a backup came back: what the ledger says and the vault does not know is decided again. */
  function catchUp(): number {
    let changed = 0;
    const oins = new Map(
      rows.ask<{ oin: string }>('SELECT oin FROM schools').map(({ oin }) => [schoolToken(oin), oin]),
    );
    for (const line of ledger.read().values()) {
      const whole = oins.get(line.token);
      if (whole !== undefined) {
        if (forgetting.isSchoolDone(whole, line.atMs)) continue;
        // Its people have lines of their own, and its keys are renewed when the doors say it again.
        changed += forgetting.destroyOfSchool(whole, [], textsOf(whole)).texts;
        continue;
      }
      const school = rows.schoolOfToken(line.token);
      if (school !== undefined && forgetting.decideAgain({ ...line, school })) changed++;
    }
    return changed;
  }

  const textsOf = (oin: string): string[] =>
    rows
      .ask<{ token: string }>('SELECT t.token FROM texts t JOIN schools s ON s.id = t.school WHERE s.oin = ?', oin)
      .map(({ token }) => token);

  function saveTouched(): void {
    if (touched.size === 0) return;
    together(() => {
      for (const { learner, mark, atMs } of touched.values()) rows.write.touchNames(learner, mark, atMs);
    });
    touched.clear();
  }

  /** Deleting overwrites a row; copies that SQLite made while it moved rows about go when the file is written anew. */
  function vacuumWhenDue(now: number): void {
    const count = (name: string) => Number(rows.meta(name) ?? 0);
    if (count('unvacuumed') === 0) return;
    if (rows.bytes() > VACUUM_AT_ONCE_BYTES && now - count('vacuumed_ms') < DAY_MS) return;
    rows.vacuum();
    together(() => {
      rows.write.setMeta('unvacuumed', 0);
      rows.write.setMeta('vacuumed_ms', now);
    });
    rows.checkpoint();
  }

  // A process that died just after a destruction left it in the write-ahead log.
  rows.checkpoint();
  const reapplied = together(catchUp);
  if (reapplied > 0) log('warn', 'vault.ledger_applied', { decisions: reapplied });
  together(() => runDue(clock.now()));

  let timer: NodeJS.Timeout | undefined;
  let renewing: Promise<void> | undefined;
  const failed = (error: unknown) => log('error', 'vault.tick_failed', describeError(error));
  return {
    implementations: [implementation],
    devKey,
    backup: (copy) => rows.backup(copy),
    start() {
      timer ??= setInterval(() => {
        try {
          runChores();
        } catch (error) {
          // A full disk must not end the vault: what is due is tried again in a second.
          failed(error);
        }
        // By itself: renewing goes on for hours, and a holder is asked in time.
        custody.tick().catch(failed);
        renewing ??= watch
          .tick()
          .then(() => asked.tick())
          .then(() => rotation.run())
          .catch(failed)
          .finally(() => {
            renewing = undefined;
          });
      }, 1000).unref();
    },
    async tick() {
      runChores();
      await custody.tick();
      await watch.tick();
      await asked.tick();
      await rotation.step();
    },
    stop() {
      stopping ??= (async () => {
        rotation.stop();
        clearInterval(timer);
        // A lot that is under way still needs the file.
        await renewing;
        await custody.stop();
        flush();
        await watch.save();
        saveTouched();
        rows.checkpoint();
        rows.close();
        ledger.close();
      })();
      return stopping;
    },
    reveals,
  };
}
