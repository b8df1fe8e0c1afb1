/** Accepting, for doors: claims and events of many callers in one transaction. */
import { asGatewayError, type Clock, GatewayError, log, partitionOf, uuid7, uuidText } from '#kernel';
import type { AcceptRequest, AcceptResponse, Entry } from '#proto/eduk/bus/v1/bus';
import { claimOf, type EntryOutcome } from '../core.ts';
import { checkEntry, gathered } from '../entries.ts';
import type { Wants } from '../ledger.ts';
import { AcceptQueue, type Part, senderOf } from '../queue.ts';
import { StoreFailure } from '../store.ts';
import { appendRecords, type Ground, type Unnumbered } from './append.ts';
import { arrayOf, type Element } from './arrays.ts';
import { type Database, type Session, statementName } from './connection.ts';
import { noteInLedger } from './ledger.ts';

/** Entries in one group. */
const GROUP = 200;
/** Entries that may wait for a group, over all callers. */
const QUEUE_MAX = 50_000;
/** Groups under way at once: while one waits for the disk the next is being claimed. */
const GROUPS = 3;
/** How often the size of what is not yet published or read is looked at while messages come, milliseconds. */
const LOOK_MS = 250;
/** Bulk is taken slower from the first age of the oldest unread event, and at a trickle from the second, milliseconds. */
const SLOWER_MS = 500;
const TRICKLE_MS = 2000;
const SLOW_GROUP = 64;

export interface Backlog {
  /** Events that some consumer has not taken yet. */
  unread: number;
  /** Age of the oldest of them, milliseconds. */
  oldestMs: number;
}

/**
 * Several groups may be under way, each a transaction; of one sender and class only one, because the second could be
 * committed first, and streams send their groups without waiting for answers. A message and its repeat in another group are
 * told apart by the database: the second claim waits for the first.
 */
export class Acceptor {
  readonly #database: Database;
  readonly #ground: Ground;
  readonly #clock: Clock;
  readonly #outboxMax: number;
  readonly #backlog: () => Promise<Backlog>;
  readonly #accepted: () => void;
  readonly #remembers: Wants | undefined;
  readonly #queue = new AcceptQueue();
  #open = 0;
  /** Senders with entries in a group that is under way. */
  readonly #busy = new Set<string>();
  #looking = false;
  /** Something came since the last look. */
  #asked = false;
  #scheduled = false;
  #closed = false;
  #unread = 0;
  /** Events of this process, ever. */
  #appended = 0;
  #oldestMs = 0;
  #trickledAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  /** `accepted` is called after each commit. */
  constructor(options: {
    database: Database;
    ground: Ground;
    clock: Clock;
    outboxMax: number;
    backlog: () => Promise<Backlog>;
    accepted: () => void;
    /** Records that also stand in the list beside the log. */
    remembers?: Wants | undefined;
  }) {
    this.#remembers = options.remembers;
    this.#database = options.database;
    this.#ground = options.ground;
    this.#clock = options.clock;
    this.#outboxMax = options.outboxMax;
    this.#backlog = options.backlog;
    this.#accepted = options.accepted;
  }

  async start(): Promise<void> {
    await this.look();
    this.#timer = setInterval(() => {
      // One at a time: a database that is slow must not have its connections taken by looks. Where nothing is accepted, as in
      // all roles but the doors, nobody needs to know.
      if (this.#looking || !(this.#asked || this.#queue.size > 0)) return;
      this.#looking = true;
      void this.look()
        .catch(() => undefined)
        .finally(() => {
          this.#looking = false;
        });
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** Looks now how far the readers are behind. */
  async look(): Promise<void> {
    this.#asked = false;
    const before = this.#appended;
    const { unread, oldestMs } = await this.#backlog();
    // What was committed meanwhile may not be in it.
    this.#unread = unread + this.#appended - before;
    this.#oldestMs = oldestMs;
    if (this.#queue.size > 0) this.#kick();
  }

  accept({ entries }: AcceptRequest): Promise<AcceptResponse> {
    if (this.#closed) throw new GatewayError('gateway.stopping', undefined, { retryAfterS: 5 });
    this.#asked = true;
    if (this.#unread > this.#outboxMax || this.#queue.size + entries.length > QUEUE_MAX)
      throw new GatewayError('gateway.overloaded', undefined, { retryAfterS: 2 });
    for (const [i, entry] of entries.entries()) checkEntry(entry, `entries[${i}]`);
    return gathered(entries, this.#queue, () => this.#kick());
  }

  #kick(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Calls that arrive together are gathered before the group.
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#open < GROUPS && this.#queue.size > 0) {
        const parts = this.#queue.take(GROUP, this.#bulkLimit(), this.#busy);
        if (parts.length === 0) break;
        this.#open += 1;
        const senders = new Set(parts.map(senderOf));
        for (const sender of senders) this.#busy.add(sender);
        void this.#group(parts).finally(() => {
          this.#open -= 1;
          for (const sender of senders) this.#busy.delete(sender);
          if (this.#queue.size > 0) this.#kick();
          else if (this.#open === 0) for (const done of this.#idle.splice(0)) done();
        });
      }
    });
  }

  #bulkLimit(): number {
    if (this.#oldestMs < SLOWER_MS) return GROUP;
    if (this.#oldestMs < TRICKLE_MS) return SLOW_GROUP;
    const now = performance.now();
    if (now - this.#trickledAt < LOOK_MS) return 0;
    this.#trickledAt = now;
    return 1;
  }

  async #group(parts: readonly Part[]): Promise<void> {
    try {
      const { outcomes, appended } = await this.#take(parts.flatMap(({ entries }) => entries as readonly Entry[]));
      this.#unread += appended;
      this.#appended += appended;
      let at = 0;
      for (const part of parts) part.done(outcomes.slice(at, (at += part.entries.length)));
      this.#accepted();
    } catch (thrown) {
      const error = thrown instanceof StoreFailure ? asGatewayError(thrown.cause) : asGatewayError(thrown);
      if (error.fault === 'gateway.bug') log('error', 'accept_failed', { entries: parts.length });
      for (const part of parts) part.failed(error);
    }
  }

  async #take(entries: readonly Entry[]): Promise<{ outcomes: EntryOutcome[]; appended: number }> {
    const now = this.#clock.now();
    await this.#ground.have(
      entries.flatMap(({ events }) => events.map(({ stream }) => stream)),
      now,
    );
    const claims = entries.map(({ partyOin, method, referenceKey }) =>
      referenceKey.length > 0 ? claimOf(partyOin, method, referenceKey) : undefined,
    );
    // Of one reference in this group the first entry claims; the others are its repeats.
    const firsts = new Map<string, number>();
    for (const [i, claim] of claims.entries()) {
      const id = claim && hexOf(claim);
      if (id !== undefined && !firsts.has(id)) firsts.set(id, i);
    }
    return this.#database.transaction(async (session, send) => {
      const standing = await claimAll(session, entries, claims, [...firsts.values()], now);
      const outcomes: EntryOutcome[] = [];
      const records: Unnumbered[] = [];
      for (const [i, entry] of entries.entries()) {
        const claim = claims[i];
        const id = claim && hexOf(claim);
        const stands =
          id === undefined
            ? undefined
            : (standing.get(id) ?? (firsts.get(id) === i ? undefined : standingOf(entries[firsts.get(id)!]!)));
        if (stands !== undefined) {
          const conflict =
            stands.digestVersion === entry.digestVersion && !Buffer.from(stands.digest).equals(entry.digest);
          outcomes.push({ taken: conflict ? 'conflict' : 'repeated', answer: stands.answer, flowId: stands.flowId });
          continue;
        }
        records.push(...recordsOf(entry, claim, now));
        outcomes.push({ taken: 'accepted', answer: entry.answer, flowId: entry.flowId });
      }
      if (this.#remembers) await noteInLedger(session, records.filter(this.#remembers));
      if (records.length > 0) appendRecords(send, records);
      return { outcomes, appended: records.length };
    });
  }

  /** No more is taken in; what waits is answered. */
  async stop(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    if (this.#open > 0 || this.#queue.size > 0)
      await Promise.race([
        new Promise<void>((resolve) => this.#idle.push(resolve)),
        new Promise((resolve) => setTimeout(resolve, 3000).unref()),
      ]);
    for (const part of this.#queue.take(Infinity, Infinity)) part.failed(new GatewayError('gateway.stopping'));
  }
}

const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

type Standing = Pick<Entry, 'digest' | 'digestVersion' | 'answer' | 'flowId'>;
const standingOf = (entry: Entry): Standing => entry;

const CLAIM =
  'SELECT claim, digest, digest_version, answer, flow FROM bus.claim_1($1::bytea[], $2::bytea[], $3::int[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint)';

/** Claims what entries at these places ask for; answers what stood there before, by claim. */
async function claimAll(
  session: Session,
  entries: readonly Entry[],
  claims: readonly (Uint8Array | undefined)[],
  places: readonly number[],
  now: number,
): Promise<Map<string, Standing>> {
  if (places.length === 0) return new Map();
  const of = (element: Element, value: (entry: Entry, i: number) => number | Uint8Array) =>
    arrayOf(
      element,
      places.map((i) => value(entries[i]!, i)),
    );
  const { rows } = await session.query<{
    claim: Buffer;
    digest: Buffer;
    digest_version: number;
    answer: Buffer;
    flow: Buffer;
  }>({
    name: statementName(CLAIM),
    text: CLAIM,
    values: [
      of('bytea', (_, i) => claims[i]!),
      of('bytea', ({ digest }) => digest),
      of('int', ({ digestVersion }) => digestVersion),
      of('bytea', ({ answer }) => answer),
      of('bytea', ({ flowId }) => flowId),
      of('bigint', ({ rememberDays }) => now + rememberDays * 86_400_000),
      now,
    ],
  });
  return new Map(
    rows.map(({ claim, digest, digest_version, answer, flow }) => [
      hexOf(claim),
      { digest, digestVersion: digest_version, answer, flowId: flow },
    ]),
  );
}

function recordsOf(entry: Entry, claim: Uint8Array | undefined, now: number): Unnumbered[] {
  const flow = uuidText(entry.flowId);
  return entry.events.map(({ stream, type, key, data }, index) => ({
    stream,
    partition: partitionOf(key),
    id: index === 0 ? entry.flowId : uuid7(now),
    key,
    type,
    flowId: flow,
    school: entry.schoolOin,
    traceparent: entry.traceparent,
    timeMs: now,
    data,
    origin:
      index === 0 && claim !== undefined ? { claim, digest: entry.digest, digestVersion: entry.digestVersion } : null,
  }));
}
