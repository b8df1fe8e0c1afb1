/** Runs a plan: first while things break, then mended, and gathers what the checks look at. */
import { hash } from 'node:crypto';
import type { EngineView, EntryOutcome, LogRecord, MemoryStore, NewEntry } from '#bus';
import { type Codec, encoded, uuidText } from '#kernel';
import { Mandate, MandateState, type Service } from '#proto/eduk/core/v1/party';
import {
  DeliveryServiceDefinition,
  type MailboxRow,
  type ParkRowsRequest,
  type ParkRowsResponse,
  type ReadMailboxRequest,
  type ReadMailboxResponse,
} from '#proto/eduk/delivery/v1/delivery';
import { events } from '#proto/events';
import { delivery } from '#services/delivery';
import type { EngineKind, SimEngine } from './engine.ts';
import { FUTURE_STREAM, type Message } from './messages.ts';
import { type Fault, LONG_MS, type Plan, START_MS, type Step } from './plan.ts';
import { FaultyStore, type Plant, plants } from './store.ts';
import { type Handled, type Release, watched } from './watched.ts';

const DAY_MS = 86_400_000;
const LOG_WINDOW_MS = 2 * DAY_MS;
/** Groups after which it is said that work never ends. */
const MOST_GROUPS = 500;

/** A message as its sender remembers it. */
export interface Sent {
  message: Message;
  /** One for each time it was sent: the flow a door named it by, and the bytes of its events. */
  attempts: { flowId: string; events: { type: string; key: string; data: Uint8Array }[] }[];
  answer?: { flowId: string; bytes: string; atMs: number };
  /** The door did not take it: it names what the door does not know. */
  refused: boolean;
}

/** What was committed, in its order: done again without any fault it must give the same. */
export type Done =
  | { what: 'open'; release: Release; poisons: ReadonlySet<string> }
  | {
      what: 'group';
      nowMs: number;
      entries: NewEntry[];
      retries: [string, string, string][];
      budget: number | undefined;
      turn: number;
    }
  /** A mailbox was read, or rows parked, and that left something behind. */
  | { what: 'mailbox'; nowMs: number; call: MailboxCall }
  | { what: 'clean'; nowMs: number };

export type MailboxCall = { read: ReadMailboxRequest } | { park: ParkRowsRequest };

export interface Accepted {
  entry: NewEntry;
  nowMs: number;
}

/** One handling of a record, in the order of commits. */
export interface Traced extends Handled {
  at: number;
}

export interface Delivered {
  atMs: number;
  /** Mandates as the door knew them. */
  allowed: boolean;
  row: MailboxRow;
}

/** A reader of one mailbox. */
export interface Mailbox {
  party: string;
  service: Service;
  catalogue: boolean;
  cursor: bigint;
  delivered: Delivered[];
}

export class Run {
  readonly plan: Plan;
  readonly problems: string[] = [];
  readonly sent = new Map<number, Sent>();
  readonly trace: Traced[] = [];
  readonly done: Done[] = [];
  readonly mailboxes: Mailbox[] = [];
  /** Records that retention took off the log. */
  archive: LogRecord[] = [];
  nowMs = START_MS;
  groups = 0;
  crashes = 0;
  failures = 0;
  leapt = 0;

  /** Messages that were accepted, in the order of their commits. */
  readonly accepted: Accepted[] = [];

  readonly #kind: EngineKind;
  readonly #beside: unknown;
  readonly #entries = new Map<string, NewEntry>();
  readonly #inner: MemoryStore;
  #store!: FaultyStore;
  #engine!: SimEngine;
  #release: Release = { absent: [], isNewer: false };
  #poisons: ReadonlySet<string> = new Set();
  readonly #messageOf = new Map<string, number>();
  #open: Handled[] = [];
  #view!: EngineView;
  #mailboxService!: MailboxService;
  #calling: MailboxCall | undefined;
  /** The doors' copy of the mandates. */
  #mandates: Mandate[] = [];

  constructor(plan: Plan, kind: EngineKind, plant: Plant) {
    this.plan = plan;
    this.#kind = kind;
    this.#beside = kind.beside();
    this.#inner = plants[plant]();
    for (const { oin, services } of plan.world.parties)
      for (const service of services)
        this.mailboxes.push({ party: oin, service, catalogue: false, cursor: 0n, delivered: [] });
    this.mailboxes.push({ party: '*', service: 0, catalogue: true, cursor: 0n, delivered: [] });
    this.#start();
  }

  get engine(): SimEngine {
    return this.#engine;
  }

  problem(text: string): void {
    if (this.problems.length < 50) this.problems.push(text);
  }

  isPoison(poisons: ReadonlySet<string>, consumer: string, record: LogRecord): boolean {
    if (poisons.size === 0) return false;
    const n = this.#messageOf.get(record.flowId);
    return n !== undefined && poisons.has(`${consumer} ${n}`);
  }

  /** Everything that the plan says, then mended. */
  async whole(): Promise<void> {
    for (const step of this.plan.steps) await this.step(step);
    this.mend();
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case 'group':
        return this.#groupStep(step);
      case 'restart':
        this.#release = { ...this.#release, absent: step.absent };
        return this.#restart();
      case 'wait':
        return this.wait(step.ms);
      case 'leap':
        if (step.ms > LONG_MS) this.mend();
        this.nowMs += step.ms;
        this.leapt += step.ms;
        return;
      case 'read':
        return this.read(this.mailboxes[step.mailbox % this.mailboxes.length]!, step);
      case 'clean':
        return this.#clean();
      case 'poison':
        this.#poisons = new Set([...this.#poisons, ...step.messages.map((n) => `${step.service} ${n}`)]);
        return this.#restart();
      case 'retry': {
        const [row] = this.#view.parked(1);
        if (row) this.#group([], [[row.consumer, row.stream, row.key]], 5, undefined);
        return;
      }
      case 'full':
        this.#store.full = true;
        return;
      case 'room':
        this.#store.full = false;
        return;
      case 'settle':
        this.mend();
    }
  }

  // ---- processes

  #start(): void {
    const store = new FaultyStore(this.#inner);
    store.onEnd = (committed) => this.#ended(committed);
    this.#store = store;
    this.done.push({ what: 'open', release: this.#release, poisons: this.#poisons });
    const poisons = this.#poisons;
    const modules = watched(this.plan.turned, this.#release, {
      handled: (handled) => this.#open.push(handled),
      isPoison: (consumer, record) => this.isPoison(poisons, consumer, record),
    });
    const clock = { now: () => this.nowMs };
    this.#engine = this.#kind.open({ store: this.#store, beside: this.#beside, modules, clock });
    this.#view = this.#engine.view;
    this.#mailboxService = mailboxService(this.#view, (write) => {
      try {
        this.#view.note(write);
      } finally {
        if (this.#store.committed) this.done.push({ what: 'mailbox', nowMs: this.nowMs, call: this.#calling! });
      }
    });
  }

  /** The process is over, by a crash or not; the next one finds what was committed. */
  #restart(): void {
    const { full } = this.#store;
    this.#store.end();
    this.#open = [];
    this.#start();
    this.#store.full = full;
  }

  /** One transaction. Undefined where it failed; its senders have no answer. */
  #group(
    entries: NewEntry[],
    retries: [string, string, string][],
    budget: number | undefined,
    fault: Fault | undefined,
  ): EntryOutcome[] | undefined {
    const { turn } = this.#engine;
    const done: Done = { what: 'group', nowMs: this.nowMs, entries, retries, budget, turn };
    this.groups += 1;
    this.#store.arm(fault);
    this.#open = [];
    let outcomes: EntryOutcome[] | undefined;
    try {
      outcomes = this.#engine.group({ entries, retries, budget });
    } catch (thrown) {
      if (fault === undefined && !this.#store.full) throw thrown;
      this.failures += 1;
    }
    if (this.#store.committed) this.done.push(done);
    this.#store.arm(undefined);
    if (this.#store.dead) this.#crashed();
    return outcomes;
  }

  /** A transaction is over: what was handled in it counts, or does not. */
  #ended(committed: boolean): void {
    if (committed) {
      for (const handled of this.#open) this.trace.push({ ...handled, at: this.trace.length });
      for (const { id } of this.#store.appended) {
        const entry = this.#entries.get(uuidText(id));
        if (entry) this.accepted.push({ entry, nowMs: this.nowMs });
      }
    }
    this.#open = [];
  }

  #crashed(): void {
    this.crashes += 1;
    this.#restart();
  }

  // ---- senders

  #groupStep(step: Step & { do: 'group' }): void {
    const list: { n: number; other: boolean }[] = step.send.map((n) => ({ n, other: false }));
    if (step.resend) for (const n of this.#unanswered()) if (!step.send.includes(n)) list.push({ n, other: false });
    for (const n of step.repeat) if (this.#isRemembered(n)) list.push({ n, other: false });
    for (const n of step.conflict) if (this.#isRemembered(n)) list.push({ n, other: true });
    this.#transmit(list, step.budget ?? undefined, step.lost, step.fault);
  }

  #unanswered(): number[] {
    return [...this.sent].filter(([, { answer, refused }]) => !answer && !refused).map(([n]) => n);
  }

  #isRemembered(n: number): boolean {
    const sent = this.sent.get(n);
    return sent?.answer !== undefined && this.nowMs < sent.answer.atMs + (sent.message.remember - 1) * DAY_MS;
  }

  #transmit(
    list: { n: number; other: boolean }[],
    budget: number | undefined,
    lost: boolean,
    fault: Fault | undefined,
  ): void {
    const attempts = list.flatMap(({ n, other }) => {
      const entry = this.#entry(n, other);
      return entry ? [{ n, other, entry }] : [];
    });
    const outcomes = this.#group(
      attempts.map(({ entry }) => entry),
      [],
      budget,
      fault,
    );
    if (outcomes === undefined || lost) return;
    for (const [i, { n, other }] of attempts.entries()) this.#answered(n, other, outcomes[i]!);
  }

  /** The message as a door makes it an entry; each time it comes it has another flow. Undefined: the door refuses it. */
  #entry(n: number, other: boolean): NewEntry | undefined {
    const message = this.plan.messages[n];
    if (message === undefined) return undefined;
    let sent = this.sent.get(n);
    if (sent === undefined) {
      sent = { message, attempts: [], refused: false };
      this.sent.set(n, sent);
    }
    const flow = flowFrom(this.nowMs, n, sent.attempts.length);
    const flowId = uuidText(flow);
    const told = this.#resolve(message, flowId);
    if (told === undefined || this.#isGone(message)) {
      if (sent.attempts.length === 0) sent.refused = true;
      if (sent.refused) return undefined;
    }
    const made = (told ?? []).map(({ name, key, value }) => {
      const known = events[name as keyof typeof events];
      if (!known) return { stream: FUTURE_STREAM, type: name, key, data: new Uint8Array() };
      const codec = known.codec as unknown as Codec<unknown> & { fromJSON(value: unknown): unknown };
      return { stream: known.stream, type: name, key, data: encoded(codec, codec.fromJSON(value)) };
    });
    if (made.length === 0) return undefined;
    if (!other) {
      sent.attempts.push({ flowId, events: made });
      this.#messageOf.set(flowId, n);
    }
    const entry: NewEntry = {
      flowId: flow,
      partyOin: message.party,
      method: message.method,
      referenceKey: digest(`reference ${n}`),
      digest: digest(other ? 'other content' : `content ${n}`),
      digestVersion: 1,
      rememberDays: message.remember,
      events: made,
      answer: Buffer.from(`receipt of ${flowId}`),
      schoolOin: message.school,
      traceparent: '',
    };
    if (!other) this.#entries.set(flowId, entry);
    return entry;
  }

  /** With the ids that only a door knows; undefined where one of them is of a message that nobody was told of. */
  #resolve(message: Message, flowId: string): Message['events'] | undefined {
    let isKnown = true;
    const flowOf = (name: string): string => {
      if (name === '$flow') return flowId;
      const found = this.sent.get(Number(name.slice('$flow:'.length)))?.answer?.flowId;
      if (found === undefined) isKnown = false;
      return found ?? '';
    };
    const text = JSON.stringify(message.events)
      .replaceAll(/\$ticket:(\$flow(:\d+)?)/g, (_, flow: string) => digest(`ticket ${flowOf(flow)}`).toString('base64'))
      .replaceAll(/\$flow(:\d+)?/g, (flow) => flowOf(flow));
    return isKnown ? (JSON.parse(text) as Message['events']) : undefined;
  }

  /** The vault has no token any more for whom it forgot days ago. */
  #isGone({ events: told, method }: Message): boolean {
    if (method === 'IdentityService/ForgetLearner') return false;
    const text = JSON.stringify(told);
    for (const { message, answer } of this.sent.values())
      if (
        message.method === 'IdentityService/ForgetLearner' &&
        answer !== undefined &&
        this.nowMs > answer.atMs + 3_600_000 &&
        text.includes(`"${message.events[0]!.key}"`)
      )
        return true;
    return false;
  }

  #answered(n: number, other: boolean, { taken, flowId, answer }: EntryOutcome): void {
    const sent = this.sent.get(n)!;
    const about = `message ${n} (${sent.message.method})`;
    if (other) {
      if (taken !== 'conflict') this.problem(`${about}: other content under its reference was ${taken}`);
      return;
    }
    const flow = uuidText(flowId);
    const bytes = Buffer.from(answer).toString();
    if (taken === 'conflict') this.problem(`${about}: a conflict with itself`);
    if (!sent.attempts.some((attempt) => attempt.flowId === flow) || bytes !== `receipt of ${flow}`)
      this.problem(`${about}: an answer that belongs to none of its attempts`);
    if (sent.answer === undefined) sent.answer = { flowId: flow, bytes, atMs: this.nowMs };
    else if (sent.answer.flowId !== flow || sent.answer.bytes !== bytes)
      this.problem(`${about}: a repeat was answered otherwise`);
    else if (taken !== 'repeated') this.problem(`${about}: taken in again`);
  }

  // ---- time

  /** Runs until nothing is left to do now. */
  idle(): void {
    for (let groups = 0; this.#engine.hasWork(); groups++) {
      if (groups > MOST_GROUPS) {
        this.problem('work never ends');
        return;
      }
      if (this.#group([], [], 200, undefined) === undefined) return;
    }
  }

  /** Time passes, and what is due happens at its time. */
  wait(ms: number): void {
    const end = this.nowMs + ms;
    for (let steps = 0; steps < MOST_GROUPS; steps++) {
      this.idle();
      const due = this.#engine.nextDueMs();
      if (due > end || this.#store.full) break;
      this.nowMs = Math.max(this.nowMs, due);
    }
    this.nowMs = end;
    this.idle();
  }

  #clean(): void {
    // A service that is away has not read what would be cleaned.
    if (this.#release.absent.length > 0 || this.#store.full) return;
    const before = new Map(this.#engine.records().map((record) => [placeOf(record), record]));
    this.#engine.clean(this.nowMs - LOG_WINDOW_MS, this.nowMs);
    for (const record of this.#engine.records()) before.delete(placeOf(record));
    this.archive.push(...before.values());
    this.done.push({ what: 'clean', nowMs: this.nowMs });
  }

  /** Nothing breaks any more, the release is well, and every sender has its answer. */
  mend(): void {
    this.#store.full = false;
    this.#poisons = new Set();
    this.#release = { absent: [], isNewer: true };
    this.#restart();
    for (const n of this.#unanswered()) this.#transmit([{ n, other: false }], 20, false, undefined);
    for (let round = 0; round < 20; round++) {
      this.idle();
      const parked = this.#view.parked(1000);
      if (parked.length === 0) return;
      this.#group(
        [],
        parked.map(({ consumer, stream, key }) => [consumer, stream, key]),
        200,
        undefined,
      );
    }
    for (const { consumer, stream, code } of this.#view.parked(5))
      this.problem(`${consumer} still cannot handle a key of ${stream}: ${code}`);
  }

  // ---- receivers

  /** As a door reads a mailbox for a watch: what the mandate does not allow now is parked. */
  async read(
    mailbox: Mailbox,
    { limit, lost, old, fault }: { limit: number; lost: boolean; old: boolean; fault?: Fault },
  ): Promise<void> {
    if (this.#release.absent.includes('delivery')) return;
    if (!old) this.#look();
    this.#store.arm(fault);
    const { cursor } = mailbox;
    try {
      const read: ReadMailboxRequest = {
        partyOin: mailbox.party,
        service: mailbox.service,
        catalogue: mailbox.catalogue,
        after: cursor,
        limit,
        waitMs: 0n,
      };
      this.#calling = { read };
      const { rows, through } = await this.#mailboxService.readMailbox(read);
      mailbox.cursor = through;
      for (const row of rows) {
        const code = mailbox.catalogue ? '' : this.#judge(row.schoolOin, mailbox.party, mailbox.service);
        if (code !== '') {
          const park = { partyOin: mailbox.party, service: mailbox.service, numbers: [row.number], code };
          this.#calling = { park };
          const { again } = this.#mailboxService.parkRows(park);
          if (!again) continue;
          // Confirmed a moment ago, and this door does not know it yet.
          mailbox.cursor = row.number - 1n;
          break;
        }
        mailbox.delivered.push({ atMs: this.nowMs, allowed: true, row });
      }
      if (lost) mailbox.cursor = cursor;
    } catch (thrown) {
      if (fault === undefined && !this.#store.full) throw thrown;
      mailbox.cursor = cursor;
    }
    this.#store.arm(undefined);
    if (this.#store.dead) this.#crashed();
  }

  /** Every mailbox to its end, by those who know every mandate. */
  async readAll(): Promise<void> {
    for (const mailbox of this.mailboxes)
      for (let reads = 0; reads < MOST_GROUPS; reads++) {
        const { cursor } = mailbox;
        await this.read(mailbox, { limit: 1000, lost: false, old: false });
        this.idle();
        if (mailbox.cursor === cursor) break;
      }
  }

  /** Whether the party may have this of the school now. */
  mayHave(school: string, party: string, service: Service): boolean {
    return this.#judge(school, party, service) === '';
  }

  /** What the doors know of mandates. */
  #look(): void {
    if (this.#release.absent.includes('parties')) return;
    const rows = this.#engine.rows('parties_mandates') as { mandate: Uint8Array }[];
    this.#mandates = rows.map(({ mandate }) => Mandate.decode(mandate));
  }

  /** Empty = it may have it now. */
  #judge(school: string, party: string, service: Service): string {
    const today = new Date(this.nowMs + 2 * 3_600_000).toISOString().slice(0, 10);
    const of = this.#mandates.filter(
      (mandate) => mandate.schoolOin === school && mandate.partyOin === party && mandate.services.includes(service),
    );
    if (of.some((mandate) => holds(mandate, today))) return '';
    return of.length === 0 ? 'mandate.missing' : 'mandate.ended';
  }
}

interface MailboxService {
  readMailbox(request: ReadMailboxRequest): Promise<ReadMailboxResponse>;
  parkRows(request: ParkRowsRequest): ParkRowsResponse;
}

/** Delivery's own answers over an engine; `note` stands in for the engine's, whose notes are small transactions of their own. */
export function mailboxService(view: EngineView, note: EngineView['note']): MailboxService {
  const noting = new Proxy(view, {
    get(of, name) {
      if (name === 'note') return note;
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
  const [served] = delivery.serve(noting);
  if (served?.definition !== DeliveryServiceDefinition) throw new Error('delivery serves its mailboxes');
  return served.handlers as unknown as MailboxService;
}

const holds = ({ state, validFrom, validUntil, runOffUntil }: Mandate, today: string): boolean =>
  (validFrom === '' || validFrom <= today) &&
  (validUntil === '' || today <= validUntil) &&
  (state === MandateState.MANDATE_STATE_ACTIVE ||
    (state === MandateState.MANDATE_STATE_RUN_OFF && today <= runOffUntil));

export const placeOf = ({ stream, partition, number }: LogRecord): string => `${stream}/${partition}/${number}`;

const digest = (text: string): Buffer => hash('sha256', text, 'buffer').subarray(0, 16) as Buffer;

/** A UUIDv7 whose random bits are the message and the attempt. */
function flowFrom(ms: number, n: number, attempt: number): Uint8Array {
  const id = new Uint8Array(digest(`flow ${n} ${attempt}`));
  const view = new DataView(id.buffer);
  view.setUint32(0, Math.floor(ms / 2 ** 16));
  view.setUint16(4, ms % 2 ** 16);
  id[6] = 0x70 | (id[6]! & 0x0f);
  id[8] = 0x80 | (id[8]! & 0x3f);
  return id;
}
