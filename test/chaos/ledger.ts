/**
 * What senders were told beside what receivers got. It knows only the outside of the gateway: what was offered, what was
 * answered, and each arrival with its delivery id. The judge of the chaos runs, and itself tried on made-up faults.
 */

/** Something that was offered to the gateway. */
export interface Item {
  /** Unlike any other's of the run. */
  id: string;
  /** Order holds within it. */
  key: string;
  /** 1, 2, 3, … within the key. */
  seq: number;
  /** Who must get it. */
  receivers: readonly string[];
}

export interface Arrival {
  receiver: string;
  /** `Item.id`. */
  item: string;
  /** The id by which the receiver tells a repeat; empty where the way there has none: a watch that goes on at its cursor. */
  delivery: string;
  /** The set of deliveries that came together; of an attempt that is made again it is the same. Of a watch the connection. */
  request: string;
  /** Of what was told, so that a repeat can be seen to say the same. */
  digest: string;
}

export interface Verdict {
  offered: number;
  accepted: number;
  /** First arrivals, over all receivers. */
  arrived: number;
  /** Accepted, and a receiver never got it. */
  lost: number;
  /** First arrivals after a later one of their key. */
  outOfOrder: number;
  /** Arrivals of what had arrived. */
  repeats: number;
  /** Repeats of what had been answered, in an attempt that did not have it before, or more than were started. */
  unexplained: number;
  /** The same item under another delivery id, or the same id with another content: a receiver that honours ids would act twice. */
  secondEffects: number;
  /** Arrivals of what nobody offered, or for somebody else. */
  strange: number;
  /** The first of each kind, in words; ids only. */
  examples: string[];
}

/** How long messages of a span took, from their offering until everybody who is well had them, milliseconds. */
export interface Timing {
  /** The span is over; what was offered in it and is under way still counts when it has arrived. */
  end(): void;
  /** Whether something of the span is still under way. */
  readonly isOpen: boolean;
  readonly tookMs: readonly number[];
  /** What was waited for last, of those that took longer than this: a receiver or the sender's `answer`, and how often. */
  lastOf(longerThanMs: number): Map<string, number>;
}

interface Span {
  from: number;
  to: number;
  tookMs: number[];
  /** Beside each time, what came last. */
  last: string[];
}

interface Open extends Item {
  /** Monotonic milliseconds. */
  offeredAt: number;
  isAccepted: boolean;
  missing: Set<string>;
  /** Its time was taken. */
  isTimed: boolean;
}

interface Delivered {
  receiver: string;
  item: string;
  digest: string;
  times: number;
  /** Requests that were answered with it, and when the last was. */
  answered: Set<string>;
  answeredAt: number;
}

const MOST_EXAMPLES = 5;
/** How long the gateway waits for an answer, and a little. */
const REQUEST_MS = 7_000;

export class Ledger {
  /** Not yet with everybody, in the order in which they were offered. */
  readonly #open = new Map<string, Open>();
  readonly #items = new Map<string, Item>();
  readonly #deliveries = new Map<string, Delivered>();
  /** Receiver and item → delivery id. */
  readonly #byItem = new Map<string, string>();
  readonly #highest = new Map<string, number>();
  readonly #counts = {
    accepted: 0,
    arrived: 0,
    outOfOrder: 0,
    repeats: 0,
    unexplained: 0,
    secondEffects: 0,
    strange: 0,
  };
  readonly #examples = new Map<string, string[]>();
  readonly #excuses: { from: number; to: number }[] = [];
  readonly #spans: Span[] = [];
  /** Delivery and request. */
  readonly #asked = new Set<string>();
  readonly #ill: ReadonlySet<string>;

  /** `ill`: receivers that hang, refuse and go away by themselves. What they make late is not counted as late. */
  constructor(ill: readonly string[] = []) {
    this.#ill = new Set(ill);
  }

  /** At its first offering; a repeat under the same reference is no other item. */
  offered(item: Item, at = performance.now()): void {
    this.#items.set(item.id, item);
    this.#open.set(item.id, {
      ...item,
      offeredAt: at,
      isAccepted: false,
      missing: new Set(item.receivers),
      isTimed: false,
    });
  }

  /** The sender was told that it is taken. */
  accepted(id: string): void {
    const open = this.#open.get(id);
    // It may have arrived everywhere before the answer did, but it is open as long as it is not answered.
    if (open === undefined || open.isAccepted) return;
    open.isAccepted = true;
    this.#counts.accepted += 1;
    this.#close(open, 'answer');
  }

  /** True where it is the first arrival: then the receiver acts on it. */
  arrived({ receiver, item: id, delivery, request, digest }: Arrival): boolean {
    const item = this.#items.get(id);
    if (item === undefined || !item.receivers.includes(receiver)) {
      this.#note('strange', `${receiver} got ${id}, which nobody sent to it`);
      return false;
    }
    const name = `${receiver}/${delivery || id}`;
    const before = this.#deliveries.get(name);
    if (before !== undefined) {
      before.times += 1;
      this.#counts.repeats += 1;
      if (before.item !== id || before.digest !== digest)
        this.#note('secondEffects', `${receiver} got ${id} under the id of ${before.item}, or with another content`);
      // Judged when it was asked, where that is known: what was begun before an answer may come after it.
      if (!this.#asked.has(`${name} ${request}`)) this.#begun(before, request);
      return false;
    }
    this.#deliveries.set(name, { receiver, item: id, digest, times: 1, answered: new Set(), answeredAt: 0 });
    const mine = `${receiver}/${id}`;
    if (this.#byItem.has(mine)) {
      this.#note('secondEffects', `${receiver} got ${id} under two ids`);
      return true;
    }
    this.#byItem.set(mine, delivery);
    this.#counts.arrived += 1;
    const lane = `${receiver}/${item.key}`;
    const highest = this.#highest.get(lane) ?? 0;
    if (item.seq < highest) this.#note('outOfOrder', `${receiver} got ${id} (${item.seq}) after ${highest} of its key`);
    else this.#highest.set(lane, item.seq);
    const open = this.#open.get(id);
    open?.missing.delete(receiver);
    if (open) this.#close(open, receiver);
    return true;
  }

  /**
   * The receiver is asked in this request, which it may take much later, or never. If it had answered the same request, its
   * sender did not see that answer, and what comes of it now counts, be it a division.
   */
  asked(receiver: string, delivery: string, request: string): void {
    const name = `${receiver}/${delivery}`;
    this.#asked.add(`${name} ${request}`);
    const before = this.#deliveries.get(name);
    if (before !== undefined) this.#begun(before, request);
  }

  /** An attempt to tell what had come before. */
  #begun(delivered: Delivered, request: string): void {
    const { answered, item } = delivered;
    if (answered.size > 0 && !answered.has(request) && !this.#isExcused(delivered))
      this.#note('unexplained', `${delivered.receiver} had answered ${item} and got it again in another attempt`);
    // The same attempt once more: its sender did not see that answer. What comes of it now counts.
    answered.delete(request);
  }

  /** The receiver answered that it has it, and its answer left. */
  answered(receiver: string, delivery: string, request: string): void {
    const delivered = this.#deliveries.get(`${receiver}/${delivery}`);
    delivered?.answered.add(request);
    if (delivered) delivered.answeredAt = performance.now();
  }

  /**
   * From now until the answer is called, a sender of the gateway cannot read answers in their time: it knows no outcome of
   * what was answered then, or just before, and may divide it anew.
   */
  excuse(): () => void {
    const window = { from: performance.now() - REQUEST_MS, to: Number.POSITIVE_INFINITY };
    this.#excuses.push(window);
    return () => {
      window.to = performance.now() + REQUEST_MS;
    };
  }

  #isExcused({ answeredAt }: Delivered): boolean {
    return this.#excuses.some(({ from, to }) => answeredAt >= from && answeredAt <= to);
  }

  /** Deliveries of a receiver that came more than once, and how often. */
  repeated(receiver: string): Map<string, number> {
    const some = new Map<string, number>();
    for (const [name, { times }] of this.#deliveries)
      if (times > 1 && name.startsWith(`${receiver}/`)) some.set(name.slice(receiver.length + 1), times);
    return some;
  }

  /** How often the gateway says that it began to send what came more than once. */
  started(receiver: string, starts: ReadonlyMap<string, number>): void {
    for (const [delivery, times] of this.repeated(receiver)) {
      const begun = starts.get(delivery) ?? 0;
      if (begun < times && !this.#isExcused(this.#deliveries.get(`${receiver}/${delivery}`)!))
        this.#note('unexplained', `${receiver} got ${delivery} ${times} times; ${begun} were begun`);
    }
  }

  /** Measures what is offered from now until its end. */
  time(): Timing {
    const span: Span = { from: performance.now(), to: Number.POSITIVE_INFINITY, tookMs: [], last: [] };
    this.#spans.push(span);
    const isOpen = (): boolean =>
      [...this.#open.values()].some(
        (open) => this.#isLate(open) && open.offeredAt >= span.from && open.offeredAt <= span.to,
      );
    return {
      end() {
        span.to = Math.min(span.to, performance.now());
      },
      get isOpen() {
        return isOpen();
      },
      tookMs: span.tookMs,
      lastOf(longerThanMs) {
        const counted = new Map<string, number>();
        for (const [i, ms] of span.tookMs.entries())
          if (ms > longerThanMs) counted.set(span.last[i]!, (counted.get(span.last[i]!) ?? 0) + 1);
        return counted;
      },
    };
  }

  /** Age of the oldest that is not with everybody yet who is well, since it was offered; 0 = none. Milliseconds. */
  age(now = performance.now()): number {
    for (const open of this.#open.values()) if (this.#isLate(open)) return now - open.offeredAt;
    return 0;
  }

  /** Not answered, or not with somebody who takes what comes. */
  #isLate({ isAccepted, missing }: Open): boolean {
    if (!isAccepted) return true;
    for (const receiver of missing) if (!this.#ill.has(receiver)) return true;
    return false;
  }

  /** How many are not yet with everybody, or not answered. */
  get open(): number {
    return this.#open.size;
  }

  /** Of the oldest that is open: for whoever looks why it is. */
  oldest(): string {
    const [open] = this.#open.values();
    return open === undefined
      ? ''
      : `${open.id} of ${open.key}${open.isAccepted ? '' : ', not answered'}; missing at ${[...open.missing].join(', ') || 'nobody'}`;
  }

  verdict(): Verdict {
    let lost = 0;
    const examples = [...this.#examples.values()].flat();
    for (const { id, isAccepted, missing } of this.#open.values()) {
      if (!isAccepted || missing.size === 0) continue;
      lost += missing.size;
      if (lost <= MOST_EXAMPLES) examples.push(`lost: ${id} at ${[...missing].join(', ')}`);
    }
    return { offered: this.#items.size, ...this.#counts, lost, examples };
  }

  #close(open: Open, by: string): void {
    if (!open.isTimed && !this.#isLate(open)) {
      open.isTimed = true;
      for (const { from, to, tookMs, last } of this.#spans)
        if (open.offeredAt >= from && open.offeredAt <= to) {
          tookMs.push(performance.now() - open.offeredAt);
          last.push(by);
        }
    }
    if (open.isAccepted && open.missing.size === 0) this.#open.delete(open.id);
  }

  #note(kind: 'outOfOrder' | 'unexplained' | 'secondEffects' | 'strange', what: string): void {
    this.#counts[kind] += 1;
    const some = this.#examples.get(kind) ?? [];
    this.#examples.set(kind, some);
    if (some.length < MOST_EXAMPLES) some.push(`${kind}: ${what}`);
  }
}

/** What a clean run has none of. */
export const faultsOf = ({ lost, outOfOrder, unexplained, secondEffects, strange }: Verdict): number =>
  lost + outOfOrder + unexplained + secondEffects + strange;

/** The value that this share of them stays under; 0 of none. */
export const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
