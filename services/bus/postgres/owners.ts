/**
 * Who runs what. A service's rows are written by one process at a time, the owner of its lease; every transaction checks
 * the lease's epoch first, so that an owner that slept through its time changes nothing. Time is the database's alone.
 *
 * Every replica says once a tick that it is there. A name belongs to the replica that stands first in an order drawn from
 * both names; when another joins that stands before the owner, the owner lets go after the group it is in.
 */
import { hash } from 'node:crypto';
import type { QueryConfig } from 'pg';
import { log, logSeldom } from '#kernel';
import type { Database } from './connection.ts';

/** How long a lease lasts when it is not renewed. */
export const LEASE_S = 5;
const TICK_MS = 500;
/** A replica that was not heard of for so long counts as gone, seconds. */
const GONE_S = 3;

export interface Lease {
  name: string;
  epoch: number;
}

export interface Holder {
  /** Called once for each lease; the promise ends when the work has ended. It must end soon after the signal aborts. */
  hold(lease: Lease, lost: AbortSignal): Promise<void>;
}

interface Held {
  epoch: number;
  abort: AbortController;
  ended: Promise<void>;
  /** When the database last said that it is ours, monotonic milliseconds. */
  confirmedAt: number;
}

export class Owners {
  readonly #database: Database;
  readonly #replica: string;
  readonly #address: string;
  readonly #holders: ReadonlyMap<string, Holder>;
  readonly #held = new Map<string, Held>();
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;
  #stopping = false;
  /** Whether each name has its row. */
  #named = false;
  readonly #tell = logSeldom();
  /** Versions of names as of the last tick: who reads without owning sees by them that something changed. */
  #versions = new Map<string, number>();
  readonly #onVersion: (name: string) => void;
  /** Addresses of the owners as of the last tick. */
  readonly #addresses = new Map<string, string>();

  /** `address`: where other processes may call this one; `onVersion` is told of names that somebody else changed. */
  constructor(options: {
    database: Database;
    replica: string;
    address: string;
    holders: ReadonlyMap<string, Holder>;
    onVersion?: (name: string) => void;
  }) {
    this.#database = options.database;
    this.#replica = options.replica;
    this.#address = options.address;
    this.#holders = options.holders;
    this.#onVersion = options.onVersion ?? (() => undefined);
  }

  /** Also where the database is away at this moment: it is looked again. */
  async start(): Promise<void> {
    await this.#tick();
    this.#timer = setInterval(() => void this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  owns(name: string): boolean {
    const held = this.#held.get(name);
    return held !== undefined && !held.abort.signal.aborted && performance.now() - held.confirmedAt < LEASE_S * 1000;
  }

  /** Where the owner of a name is; empty = unknown, or nobody. */
  addressOf(name: string): string {
    return this.#addresses.get(name) ?? '';
  }

  /** Looks again now. */
  async tick(): Promise<void> {
    await this.#tick();
  }

  #tick(): Promise<void> {
    this.#ticking ??= this.#look()
      .catch((thrown: unknown) => {
        this.#tell('error', 'leases_not_renewed', { cause: thrown instanceof Error ? thrown.name : typeof thrown });
        for (const [name, held] of this.#held)
          if (performance.now() - held.confirmedAt > LEASE_S * 1000) this.#drop(name, held);
      })
      .finally(() => {
        this.#ticking = undefined;
      });
    return this.#ticking;
  }

  async #look(): Promise<void> {
    const names = [...this.#holders.keys()];
    if (!this.#named) {
      // Only those that lack: to conflict with a row would be to wait for whoever changes it.
      await this.#database.query(
        'INSERT INTO bus.owners (name) SELECT n FROM unnest($1::text[]) n WHERE NOT EXISTS (SELECT 1 FROM bus.owners o WHERE o.name = n) ON CONFLICT DO NOTHING',
        [names],
      );
      this.#named = true;
    }
    if (!this.#stopping)
      await this.#database.query(
        'INSERT INTO bus.replicas (name, replica, seen) SELECT n, $2, now() FROM unnest($1::text[]) n ORDER BY n ON CONFLICT (name, replica) DO UPDATE SET seen = excluded.seen',
        [names, this.#replica],
      );
    const asked = performance.now();
    const owned = [...this.#held.keys()];
    if (owned.length > 0) {
      // A row that is locked is one that its transaction has just renewed, or somebody takes: not waited for, because one
      // transaction that hangs would hold up the leases of all.
      await this.#database.query(
        `UPDATE bus.owners SET until = greatest(until, now() + interval '${LEASE_S} s') WHERE name IN
           (SELECT name FROM bus.owners WHERE owner = $2 AND name = ANY($1::text[]) FOR UPDATE SKIP LOCKED)`,
        [owned, this.#replica],
      );
    }
    const rows = await this.#database.query<{
      name: string;
      owner: string;
      address: string;
      epoch: number;
      version: number;
      is_free: boolean;
      is_long_free: boolean;
      replicas: string[] | null;
    }>(
      `SELECT o.name, o.owner, o.address, o.epoch, o.version, o.until < now() AS is_free, o.until < now() - interval '1 s' AS is_long_free,
         (SELECT array_agg(r.replica) FROM bus.replicas r WHERE r.name = o.name AND r.seen > now() - interval '${GONE_S} s') AS replicas
       FROM bus.owners o WHERE o.name = ANY($1::text[])`,
      [names],
    );
    for (const row of rows) {
      this.#addresses.set(row.name, row.is_free ? '' : row.address);
      const held = this.#held.get(row.name);
      if (held !== undefined) {
        if (row.owner === this.#replica && row.epoch === held.epoch) held.confirmedAt = asked;
        else this.#drop(row.name, held);
      }
      const before = this.#versions.get(row.name);
      this.#versions.set(row.name, row.version);
      if (before !== undefined && before !== row.version && !this.#held.has(row.name)) this.#onVersion(row.name);
      if (this.#stopping) continue;
      const first = firstOf(row.name, row.replicas ?? []);
      if (held !== undefined) {
        // Another that stands before us has joined.
        if (first !== this.#replica && first !== undefined) this.#drop(row.name, held);
      } else if (row.is_free && (first === this.#replica || row.is_long_free)) await this.#take(row.name);
    }
  }

  async #take(name: string): Promise<void> {
    const asked = performance.now();
    const [taken] = await this.#database.query<{ epoch: number }>(
      `UPDATE bus.owners SET owner = $2, address = $3, epoch = epoch + 1, until = now() + interval '${LEASE_S} s'
       WHERE name IN (SELECT name FROM bus.owners WHERE name = $1 AND until < now() FOR UPDATE SKIP LOCKED) RETURNING epoch`,
      [name, this.#replica, this.#address],
    );
    if (taken === undefined) return;
    // Otherwise calls would go to the owner before us, and come back from there.
    this.#addresses.set(name, this.#address);
    const abort = new AbortController();
    const held: Held = { epoch: taken.epoch, abort, confirmedAt: asked, ended: Promise.resolve() };
    this.#held.set(name, held);
    held.ended = this.#holders
      .get(name)!
      .hold({ name, epoch: taken.epoch }, abort.signal)
      .catch((thrown: unknown) =>
        log('error', 'owner_failed', { name, cause: thrown instanceof Error ? thrown.name : typeof thrown }),
      )
      .then(() => this.#release(name, held));
  }

  /** Its work ends; then the lease is given back. */
  #drop(_name: string, held: Held): void {
    held.abort.abort();
  }

  async #release(name: string, held: Held): Promise<void> {
    if (this.#held.get(name) === held) this.#held.delete(name);
    await this.#database
      .query("UPDATE bus.owners SET owner = '', address = '', until = '-infinity' WHERE name = $1 AND epoch = $2", [
        name,
        held.epoch,
      ])
      // Then it runs out by itself.
      .catch(() => undefined);
  }

  /** Ends what is held, gives it back, and says goodbye. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    await this.#ticking;
    const open = [...this.#held.values()];
    for (const held of open) held.abort.abort();
    await Promise.all(open.map(({ ended }) => ended));
    await this.#database.query('DELETE FROM bus.replicas WHERE replica = $1', [this.#replica]).catch(() => undefined);
  }
}

function firstOf(name: string, replicas: readonly string[]): string | undefined {
  let first: string | undefined;
  let best = '';
  for (const replica of replicas) {
    const rank = hash('sha256', `${name}\0${replica}`, 'hex');
    if (rank > best) {
      best = rank;
      first = replica;
    }
  }
  return first;
}

/** What the statement below fails with where another has taken over. */
export const NOT_OWNER = '22012';

/**
 * First statement of an owner's transaction: locks its row, checks that it is still the owner, renews the lease and counts
 * the change. It fails when another has taken over (a division by the number of rows it found), and what is sent behind it
 * is undone with it: so it needs no answer before the commit is sent.
 */
export const confirming = ({ name, epoch }: Lease): QueryConfig => ({
  name: 'confirm owner',
  text: `WITH mine AS (UPDATE bus.owners SET version = version + 1, until = greatest(until, now() + interval '${LEASE_S} s') WHERE name = $1 AND epoch = $2 RETURNING 1)
    SELECT 1 / count(*) FROM mine`,
  values: [name, epoch],
});
