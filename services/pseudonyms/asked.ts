/** Who learners are, outside of any delivery: one person asks, another decides, and the first is told once. */
import { type Clock, describeError, GatewayError, log, newId } from '#kernel';
import type {
  AskedReveal,
  AskRevealRequest,
  DecideRevealRequest,
  Revealed,
  RevealRequest,
  TakeRevealRequest,
  TakeRevealResponse,
} from '#proto/eduk/pseudonyms/v1/pseudonyms';

/** A request at rest. Persons are keyed digests in hexadecimal; '' = nobody, and of moments 0 = never. */
export interface AskedRow {
  requestId: string;
  school: string;
  reason: string;
  /** Names of attributes, and tables that hold them, with commas. */
  attributes: string;
  tables: string;
  /** With commas; empty once it has ended. */
  tokens: string;
  flowId: string;
  learners: number;
  state: 'asked' | 'approved' | 'refused' | 'taken' | 'expired';
  askedBy: string;
  askedMs: number;
  decidedBy: string;
  decidedMs: number;
  untilMs: number;
  takenMs: number;
  shown: number;
}

/** Where requests rest, for all processes of the vault together. Each change is one step that happens once, or not at all. */
export interface AskedStore {
  /** Adds it, unless this person asked for so many learners since then that they would be more than `most`; says whether it did. */
  add(row: AskedRow, sinceMs: number, most: number): Promise<boolean>;
  get(requestId: string): Promise<AskedRow | undefined>;
  /** Newest first; '' = of all schools. */
  list(school: string): Promise<AskedRow[]>;
  /** From `asked`, where that still holds and `by` is another person than who asked; says whether it did. */
  decide(requestId: string, by: string, approve: boolean, now: number, untilMs: number): Promise<boolean>;
  /** From `approved`, where that still holds, for the person who asked; says whether it did. */
  take(requestId: string, by: string, now: number, shown: number): Promise<boolean>;
  /** Ends what nobody decided or fetched in time, and forgets requests of before. */
  sweep(now: number, beforeMs: number): Promise<void>;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** How long a request waits for another person, and then for its own: of who asked today and forgot, nothing is open next week. */
export const DECIDE_MS = DAY_MS;
export const FETCH_MS = HOUR_MS;
/** How long it is told that there was a request. What was done stands in the log of what was done, for longer. */
const KEPT_MS = 30 * DAY_MS;
const SWEEP_MS = 60_000;
/** Learners of one request: more is a delivery, which has a mandate. */
export const MOST_LEARNERS = 50;
/** Learners for whom one person may ask in 24 hours. */
export const MOST_A_DAY = 200;

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const listOf = (text: string): string[] => (text === '' ? [] : text.split(','));

/** As it is told: what nobody decided or fetched in time has ended, also before somebody noticed. */
function told(row: AskedRow, now: number): AskedReveal {
  const isOpen = (row.state === 'asked' || row.state === 'approved') && row.untilMs > now;
  const hasExpired = !isOpen && (row.state === 'asked' || row.state === 'approved');
  return {
    requestId: row.requestId,
    schoolOin: row.school,
    reason: row.reason,
    attributes: listOf(row.attributes),
    tokens: isOpen ? listOf(row.tokens) : [],
    flowId: row.flowId,
    learners: row.learners,
    state: hasExpired ? 'expired' : row.state,
    askedBy: bytesOf(row.askedBy),
    askedMs: BigInt(row.askedMs),
    decidedBy: bytesOf(row.decidedBy),
    decidedMs: BigInt(row.decidedMs),
    untilMs: isOpen ? BigInt(row.untilMs) : 0n,
    takenMs: BigInt(row.takenMs),
    shown: row.shown,
  };
}

/** What the request needs of the vault itself. */
export interface Known {
  /** How many of these the school has. Faults: state.missing for a school nobody knows, school.closed. */
  count(school: string, tokens: readonly string[]): Promise<number>;
  open(request: RevealRequest): Promise<Revealed[]>;
}

/** Requests to be told who learners are. The vault itself holds that two persons are needed, whatever door asks. */
export class AskedReveals {
  readonly #store: AskedStore;
  readonly #clock: Clock;
  #sweptMs = 0;

  constructor(store: AskedStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Faults: wire.invalid, wire.too_large, learner.unknown, state.missing, gateway.overloaded. */
  async ask(request: AskRevealRequest, known: Pick<Known, 'count'>): Promise<AskedReveal> {
    const { schoolOin, reason, attributes, flowId } = request;
    const askedBy = personOf(request.askedBy, 'asked_by');
    const tokens = [...new Set(request.tokens)];
    const tables = (['numbers', 'names', 'contact'] as const).filter((name) => request[name]);
    if (reason === '') throw new GatewayError('wire.invalid', 'Say which case it is for.', { where: 'reason' });
    if (attributes.length === 0 || tables.length === 0)
      throw new GatewayError('wire.invalid', 'Say what of the learners is asked.', { where: 'attributes' });
    if (tokens.length === 0 || tokens.some((token) => !/^lt_[a-z2-7]+$/.test(token)))
      throw new GatewayError('wire.invalid', 'Name learners by their tokens.', { where: 'tokens' });
    if (tokens.length > MOST_LEARNERS)
      throw new GatewayError('wire.too_large', `One request is about ${MOST_LEARNERS} learners at most.`, {
        where: 'tokens',
      });
    if ((await known.count(schoolOin, tokens)) === 0)
      throw new GatewayError('learner.unknown', 'None of these is a learner of this school.', { where: 'tokens' });
    const now = this.#clock.now();
    const row: AskedRow = {
      requestId: newId(),
      school: schoolOin,
      reason,
      attributes: attributes.join(','),
      tables: tables.join(','),
      tokens: tokens.join(','),
      flowId,
      learners: tokens.length,
      state: 'asked',
      askedBy,
      askedMs: now,
      decidedBy: '',
      decidedMs: 0,
      untilMs: now + DECIDE_MS,
      takenMs: 0,
      shown: 0,
    };
    if (!(await this.#store.add(row, now - DAY_MS, MOST_A_DAY)))
      throw new GatewayError('gateway.overloaded', `One person may ask for ${MOST_A_DAY} learners in 24 hours.`);
    return told(row, now);
  }

  async list(school: string): Promise<AskedReveal[]> {
    const now = this.#clock.now();
    return (await this.#store.list(school)).map((row) => told(row, now));
  }

  /** Faults: state.missing, state.conflict where it waits for no decision, party.forbidden for who asked. */
  async decide({ requestId, approve, decidedBy }: DecideRevealRequest): Promise<AskedReveal> {
    const by = personOf(decidedBy, 'decided_by');
    const row = await this.#known(requestId);
    if (row.askedBy === by)
      throw new GatewayError('party.forbidden', 'Another person than the one who asked decides.', {
        where: 'request_id',
      });
    const now = this.#clock.now();
    if (!(await this.#store.decide(requestId, by, approve, now, now + FETCH_MS)))
      throw new GatewayError('state.conflict', 'This request does not wait for a decision, or no longer.', {
        where: 'request_id',
      });
    return told(await this.#known(requestId), now);
  }

  /**
   * `count` is told how many are shown, once it is certain. Faults: state.missing, party.forbidden for others than who asked,
   * state.conflict where it cannot be fetched, school.closed.
   */
  async take(
    { requestId, askedBy, partyOin, purpose }: TakeRevealRequest,
    known: Pick<Known, 'open'>,
    count: (request: RevealRequest, shown: number) => void,
  ): Promise<TakeRevealResponse> {
    const by = personOf(askedBy, 'asked_by');
    const row = await this.#known(requestId);
    if (row.askedBy !== by)
      throw new GatewayError('party.forbidden', 'Only the person who asked is told.', { where: 'request_id' });
    const now = this.#clock.now();
    const asked = told(row, now);
    if (asked.state !== 'approved') throw notNow(asked.state);
    const tables = new Set(listOf(row.tables));
    const request: RevealRequest = {
      schoolOin: row.school,
      wanted: asked.tokens.map((token) => ({ token, nameMark: new Uint8Array(0) })),
      numbers: tables.has('numbers'),
      names: tables.has('names'),
      contact: tables.has('contact'),
      partyOin,
      purpose,
      pairwise: false,
    };
    const opened = await known.open(request);
    // All ways to whoever is to be forgotten are closed at once: this one too.
    const revealed = opened.map((one) => (one.forgetting ? NOBODY : one));
    const shown = revealed.filter((one) => one.known).length;
    // Nothing has left yet. Of two that come this far, here or in another process, one goes on.
    if (!(await this.#store.take(requestId, by, now, shown))) throw notNow('taken');
    count(request, shown);
    const taken: AskedRow = { ...row, state: 'taken', takenMs: now, untilMs: 0, shown };
    return { asked: { ...told(taken, now), tokens: asked.tokens }, revealed };
  }

  /** Each second: what has had its time ends. */
  async tick(): Promise<void> {
    const now = this.#clock.now();
    if (now - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = now;
    await this.#store
      .sweep(now, now - KEPT_MS)
      .catch((thrown: unknown) => log('warn', 'vault.asked_not_swept', describeError(thrown)));
  }

  async #known(requestId: string): Promise<AskedRow> {
    const row = requestId === '' ? undefined : await this.#store.get(requestId);
    if (!row) throw new GatewayError('state.missing', 'There is no such request.', { where: 'request_id' });
    return row;
  }
}

const NOBODY: Revealed = { known: false, ref: undefined, person: undefined, forgetting: false };

/** What was asked was asked by somebody; a door that does not know by whom may not ask. */
function personOf(digest: Uint8Array, where: 'asked_by' | 'decided_by'): string {
  if (digest.length < 16) throw new GatewayError('gateway.bug', 'A person asks, and a person decides.', { where });
  return hexOf(digest);
}

const WHY: Readonly<Record<string, string>> = {
  asked: 'Nobody has approved it yet.',
  refused: 'It was refused.',
  taken: 'It was fetched before, which is possible once: ask anew.',
  expired: 'Its time is over: ask anew.',
};
const notNow = (state: string): GatewayError => {
  const problem = WHY[state];
  return new GatewayError('state.conflict', problem, { where: 'request_id' });
};
