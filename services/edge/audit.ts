/**
 * What the doors add to the log of what was done. What is accepted says so in its own transaction; refusals, releases and what
 * the operator does are gathered for a second and taken in together.
 */
import { randomFillSync } from 'node:crypto';
import { setTimeout as rest } from 'node:timers/promises';
import {
  type Client,
  type Clock,
  describeError,
  type Encoder,
  encoded,
  log,
  Sketch,
  sha256,
  shared,
  uuid7,
} from '#kernel';
import type { Entry, LogServiceDefinition, Event as NewEvent } from '#proto/eduk/bus/v1/bus';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { Service } from '#proto/eduk/core/v1/party';
import type { AuditItem } from '#proto/eduk/events/v1/audit';
import type { AskedReveal, VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { events } from '#proto/events';
import { attributes, everything } from '#release';
import { event } from './submission.ts';

/** A receipt promises that what it is for stands in a signed head by then, milliseconds after it was accepted. */
export const MERGE_MS = 60_000;
/** How long things are gathered, milliseconds. */
const GATHER_MS = 1000;
/** What is read again within so long is counted, and is one record at its end, milliseconds. */
const AGAIN_MS = 60_000;
/** How long the end of a process waits for the last of them, milliseconds. */
const STOP_MS = 2000;
/** Kinds that are gathered at once; at more they are taken in right away. */
const MOST_KINDS = 2000;
/** Records in one event. */
const MOST_ITEMS = 200;
/** How long the log remembers that it took one: until its answer comes, or the process that asks has died. */
const REMEMBER_DAYS = 1;
const NONE = new Uint8Array(0);
const SALT = 16;

const pool = Buffer.alloc(256 * SALT);
let used = pool.length;
/** 16 random bytes: whoever has the leaf of a record cannot try what was in it. */
function newSalt(): Uint8Array {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const salt = new Uint8Array(SALT);
  for (let i = 0; i < SALT; i++) salt[i] = pool[used++]!;
  return salt;
}

/** `reached`: whom it was about, to be counted. */
export const itemOf = (record: AuditRecord, reached?: Reached): AuditItem => ({
  salt: newSalt(),
  record: encoded(AuditRecord, record),
  ...(reached ? { learners: reached.learners.bytes(), staff: reached.staff.bytes() } : {}),
});

/** Whom a kind of releases was about: how many different people, not which. */
interface Reached {
  learners: Sketch;
  staff: Sketch;
}

/** Tokens of staff begin so. */
const STAFF = 'st_';

function reachedBy(
  tokens: Iterable<string>,
  reached: Reached = { learners: new Sketch(), staff: new Sketch() },
): Reached {
  for (const token of tokens) (token.startsWith(STAFF) ? reached.staff : reached.learners).add(token);
  return reached;
}

/** Records as an event to accept. Its key keeps those of one party in their order. */
export function auditEvent(items: AuditItem[], party: string): NewEvent {
  const { name, value, key } = event('AuditSubmitted', { items }, party || 'nobody');
  const { stream, codec } = events[name];
  return { stream, type: name, key, data: encoded(codec as Encoder<unknown>, value) };
}

const nothing: AuditRecord = AuditRecord.fromPartial({});
export const recordOf = (of: Partial<AuditRecord> & Pick<AuditRecord, 'kind'>): AuditRecord => ({ ...nothing, ...of });

/** What is gathered: everything that tells one kind from another, and how much of it. */
export interface Done {
  kind: AuditKind;
  /** Who asked or received; empty = nobody we know. */
  partyOin: string;
  schoolOin?: string;
  method?: string;
  code?: string;
  purpose?: string;
  attributes?: readonly string[];
  people?: number;
  /** Who acted for it. */
  actedBy?: string;
  /** Tokens of the people, to be counted and not kept. */
  tokens?: Iterable<string>;
}

/** What is the same of two kinds is counted together. */
const kindOf = (done: Done): string => {
  const { kind, partyOin, schoolOin = '', method = '', code = '', purpose = '', attributes = [], actedBy = '' } = done;
  return [kind, partyOin, schoolOin, method, code, purpose, attributes.join(','), actedBy].join('|');
};

type Log = Pick<Client<typeof LogServiceDefinition>, 'accept'>;

/**
 * Counts what was done, by kind, and has the log accept it once a second. What cannot be accepted stays and is tried again, under the
 * reference that it had: where only the answer was lost, nothing is counted twice. A process that dies loses its last second.
 */
export class AuditNotes {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #timer: NodeJS.Timeout;
  #kinds = new Map<string, AuditRecord>();
  /** Of those that are about people, by the same names. */
  #reached = new Map<string, Reached>();
  /** What the log was asked, or is to be asked, and has not answered: the same entries until it does. */
  #made: { entry: Entry; records: number }[] = [];
  /** Kinds that were read, until when what is the same is counted, and how often it was. */
  #read = new Map<string, { untilMs: number; again?: AuditRecord }>();
  readonly #flushing = shared(() => this.#flush());
  #told = false;

  constructor(services: Log, clock: Clock) {
    this.#log = services;
    this.#clock = clock;
    this.#timer = setInterval(() => void this.flush(), GATHER_MS);
    this.#timer.unref();
  }

  now(): number {
    return this.#clock.now();
  }

  note(done: Done): void {
    const key = kindOf(done);
    if (done.tokens !== undefined) this.#reach(key, done.tokens);
    this.#add(key, this.#recordOf(done));
  }

  /**
   * As `note`, of what was only read. The first time it is noted at once; what is the same within a minute is counted, and noted at its end:
   * a page that stays open asks twice a second.
   */
  read(done: Done): void {
    const key = kindOf(done);
    const known = this.#read.get(key);
    if (known?.again) known.again.times += 1n;
    else if (known) known.again = this.#recordOf(done);
    else {
      if (this.#read.size < MOST_KINDS) this.#read.set(key, { untilMs: this.#clock.now() + AGAIN_MS });
      this.note(done);
    }
  }

  #recordOf({ kind, partyOin, schoolOin, method, code, purpose, attributes = [], people = 0, actedBy }: Done) {
    return recordOf({
      kind,
      atMs: BigInt(this.#clock.now()),
      partyOin,
      schoolOin: schoolOin ?? '',
      method: method ?? '',
      code: code ?? '',
      purpose: purpose ?? '',
      attributes: [...attributes],
      times: 1n,
      people: BigInt(people),
      actedBy: actedBy ?? '',
    });
  }

  #add(key: string, record: AuditRecord): void {
    const known = this.#kinds.get(key);
    if (known) {
      known.times += record.times;
      known.people += record.people;
      return;
    }
    this.#kinds.set(key, record);
    // Once: where the log takes nothing in, each more would ask it again.
    if (this.#kinds.size === MOST_KINDS) void this.flush();
  }

  /** Has the log accept one record now. Throws where it does not: then what it is about must not happen. */
  async record(record: AuditRecord, tokens?: Iterable<string>): Promise<void> {
    const reached = tokens === undefined ? undefined : reachedBy(tokens);
    const { entry } = noted([{ item: itemOf(record, reached), party: record.partyOin }], this.#clock.now());
    await this.#log.accept({ entries: [entry] });
  }

  /** A record of its own, of what has happened: taken in before this answers, or as soon as the log takes in anything. */
  async keep(record: AuditRecord): Promise<void> {
    this.#made.push(noted([{ item: itemOf(record), party: record.partyOin }], this.#clock.now()));
    await this.flush();
  }

  /** Notes what was read again, where its minute is over or, at the end of the process, whenever that is. */
  #settle(isLast: boolean): void {
    const now = this.#clock.now();
    for (const [key, { untilMs, again }] of this.#read) {
      // A clock that went back holds nothing up.
      if (!isLast && untilMs > now && untilMs <= now + AGAIN_MS) continue;
      if (again) {
        this.#read.set(key, { untilMs: now + AGAIN_MS });
        this.#add(key, again);
      } else this.#read.delete(key);
    }
  }

  #reach(key: string, tokens: Iterable<string>): void {
    let reached = this.#reached.get(key);
    if (!reached) {
      reached = { learners: new Sketch(), staff: new Sketch() };
      this.#reached.set(key, reached);
    }
    reachedBy(tokens, reached);
  }

  /** Answers when all that was noted before is accepted, or could not be. */
  async flush(): Promise<void> {
    await this.#flushing.idle();
    return this.#flushing();
  }

  async #flush(): Promise<void> {
    try {
      // What was made before goes first: until that is accepted, what came since is counted by its kind.
      await this.#send();
      this.#settle(false);
      const items = [...this.#kinds].map(([key, record]) => ({
        item: itemOf(record, this.#reached.get(key)),
        party: record.partyOin,
      }));
      this.#kinds = new Map();
      this.#reached = new Map();
      for (let from = 0; from < items.length; from += MOST_ITEMS)
        this.#made.push(noted(items.slice(from, from + MOST_ITEMS), this.#clock.now()));
      await this.#send();
      this.#told = false;
    } catch (thrown) {
      // Tried again in a second, and told once until it works again.
      const waiting = this.#made.reduce((sum, { records }) => sum + records, 0);
      if (!this.#told) log('warn', 'audit_waits', { records: waiting, ...describeError(thrown) });
      this.#told = true;
    }
  }

  async #send(): Promise<void> {
    for (let first = this.#made[0]; first !== undefined; first = this.#made[0]) {
      await this.#log.accept({ entries: [first.entry] });
      this.#made.shift();
    }
  }

  /** After the last note. A log that does not answer holds nobody up for long. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#settle(true);
    const given = new AbortController();
    await Promise.race([this.flush(), rest(STOP_MS, undefined, { signal: given.signal }).catch(() => undefined)]);
    given.abort();
  }
}

/** Records as what the log takes once, however often it is asked. */
function noted(items: readonly { item: AuditItem; party: string }[], now: number): { entry: Entry; records: number } {
  const flowId = uuid7(now);
  const said = auditEvent(
    items.map(({ item }) => item),
    items[0]!.party,
  );
  return {
    records: items.length,
    entry: {
      flowId,
      partyOin: 'audit',
      method: 'Audit/Note',
      // No sender names these; their own id does as well, and is as hard to guess.
      referenceKey: flowId,
      digest: Buffer.from(sha256(said.data), 'latin1').subarray(0, 16),
      digestVersion: 1,
      rememberDays: REMEMBER_DAYS,
      events: [said],
      answer: NONE,
      schoolOin: '',
      traceparent: '',
      bulk: false,
    },
  };
}

type Vault = Client<typeof VaultServiceDefinition>;

/** All that the vault holds of a person, by the names of attributes. */
const held: readonly string[] = [...everything].filter((name) =>
  ['numbers', 'names', 'contact'].includes(attributes[name].from),
);

/** As the vault is told a purpose, and as people know it. */
export const serviceNames: ReadonlyMap<string, string> = new Map(
  Object.entries(Service).map(([name, number]) => [`service_${number}`, name.replace('SERVICE_', '').toLowerCase()]),
);

/** The vault, with what it is asked to reveal noted: there is no other way to it from a door, so none is forgotten. */
export function audited(vault: Vault, notes: AuditNotes, operatorOin: string): Vault {
  const revealed = (
    partyOin: string,
    schoolOin: string,
    purpose: string,
    attributes: readonly string[],
    tokens: readonly string[],
  ) =>
    notes.note({
      kind: partyOin === operatorOin ? AuditKind.AUDIT_KIND_REVEALED : AuditKind.AUDIT_KIND_RELEASED,
      partyOin,
      schoolOin,
      purpose: serviceNames.get(purpose) ?? purpose,
      attributes,
      people: tokens.length,
      tokens,
    });
  /** A step of a request to be told who learners are, with the persons who took it. */
  const ofAsked = (asked: AskedReveal, method: string, code: string): AuditRecord =>
    recordOf({
      kind: AuditKind.AUDIT_KIND_OPERATOR,
      atMs: BigInt(notes.now()),
      partyOin: operatorOin,
      schoolOin: asked.schoolOin,
      method: `OperatorService/${method}`,
      code,
      attributes: [...asked.attributes],
      times: 1n,
      people: BigInt(asked.learners),
      askedBy: asked.askedBy,
      reason: asked.reason,
      ...(asked.decidedMs > 0n ? { decidedBy: asked.decidedBy } : {}),
    });
  return {
    ...vault,
    async reveal(request) {
      const answer = await vault.reveal({ ...request });
      const people = request.wanted.flatMap(({ token }, i) => (answer.revealed[i]!.known ? [token] : []));
      const tables = (['numbers', 'names', 'contact'] as const).filter((name) => request[name]);
      // Of a person of whom nothing is shown, nothing was revealed.
      if (people.length > 0 && tables.length > 0)
        revealed(
          request.partyOin,
          request.schoolOin,
          request.purpose,
          request.attributes?.split(',') ?? tables,
          people,
        );
      return answer;
    },
    async showPeople(request) {
      const answer = await vault.showPeople(request);
      const people = answer.people.flatMap(({ token, forgetting }) => (forgetting ? [] : [token]));
      if (people.length > 0) revealed(request.partyOin, request.schoolOin, request.purpose, held, people);
      return answer;
    },
    async askReveal(request) {
      const answer = await vault.askReveal(request);
      await notes.keep(ofAsked(answer.asked!, 'AskReveal', ''));
      return answer;
    },
    async decideReveal(request) {
      const answer = await vault.decideReveal(request);
      await notes.keep(ofAsked(answer.asked!, 'DecideReveal', answer.asked!.state));
      return answer;
    },
    async takeReveal(request) {
      const answer = await vault.takeReveal(request);
      const asked = answer.asked!;
      const tokens = asked.tokens.filter((_, i) => answer.revealed[i]!.known);
      // Nobody is told who they are before the log has taken in that somebody is.
      await notes.record(
        {
          ...ofAsked(asked, 'FetchReveal', ''),
          kind: AuditKind.AUDIT_KIND_REVEALED,
          purpose: request.purpose,
          people: BigInt(tokens.length),
        },
        tokens,
      );
      return answer;
    },
    async openPayloads(request) {
      const answer = await vault.openPayloads(request);
      // What is sealed under the school's key is about nobody.
      const theirs = request.sealed.filter(({ token }, i) => token !== '' && answer.data[i]!.length > 0);
      const what = [...new Set(theirs.map(({ context }) => context))];
      const tokens = theirs.map(({ token }) => token);
      if (theirs.length > 0) revealed(request.partyOin, request.schoolOin, request.purpose, what, tokens);
      return answer;
    },
  };
}
