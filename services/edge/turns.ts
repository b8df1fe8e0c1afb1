import { GatewayError } from '#kernel';
import { limits } from './limits.ts';

/** How much of each a party may have; the defaults are the table of limits. */
export interface Pace {
  /** Calls a second. */
  calls: number;
  /** Items of bulk streams a second. */
  items: number;
  atOnce: number;
  waiting: number;
  turn: number;
}

/** As much as no machine does. */
const UNLIMITED = 1e9;

/** `calls` and `items` a second; 0 = without limit. */
export const paceOf = (calls: number, items: number): Pace => ({
  calls: calls || UNLIMITED,
  items: items || UNLIMITED,
  atOnce: limits.atOnce.at,
  waiting: limits.waiting.at,
  turn: limits.turn.at,
});

/** Rests so many seconds' worth of calls and items; a burst of that size is let through. */
const BURST_S = 2;
/** Streams do not wait for single items: what a stream owes is less than this, s. */
const OWES_S = 0.02;

interface Party {
  running: number;
  waiting: (() => void)[];
  calls: Bucket;
  items: Bucket;
}

/** So much a second, and so much at once. It may be overdrawn by what cannot be parted. */
class Bucket {
  readonly #perS: number;
  readonly #now: () => number;
  #left: number;
  #at: number;

  constructor(perS: number, now: () => number) {
    this.#perS = perS;
    this.#now = now;
    this.#left = perS * BURST_S;
    this.#at = now();
  }

  /** Seconds until there is something to take; 0 = now. */
  lack(): number {
    const now = this.#now();
    this.#left = Math.min(this.#perS * BURST_S, this.#left + ((now - this.#at) / 1000) * this.#perS);
    this.#at = now;
    return this.#left >= 1 ? 0 : (1 - this.#left) / this.#perS;
  }

  take(count: number): void {
    this.#left -= count;
  }
}

/**
 * Whose call is answered next. Each party has its own queue, rate and number at once; of those that may, one call each in
 * turn is begun, so that a party that sends thousands delays others by no more than their share.
 */
export class Turns {
  readonly #pace: Pace;
  readonly #now: () => number;
  /** In the order of their turn: who was served is put at the end. Callers are known, so there are no more than parties. */
  readonly #parties = new Map<string, Party>();
  #begun = 0;
  #isPumping = false;
  #refused = 0;

  constructor(pace: Pace, now: () => number = () => performance.now()) {
    this.#pace = pace;
    this.#now = now;
  }

  /** Parties that it remembers, calls that wait, and calls it refused since the start. */
  counts(): { parties: number; waiting: number; refused: number } {
    let waiting = 0;
    for (const party of this.#parties.values()) waiting += party.waiting.length;
    return { parties: this.#parties.size, waiting, refused: this.#refused };
  }

  /** Does `work` when it is the party's turn. Faults: gateway.overloaded, with the seconds after which to come back. */
  async call<T>(oin: string, work: () => T | Promise<T>): Promise<T> {
    const party = this.#party(oin);
    const lack = party.calls.lack();
    if (lack > 0) throw this.#tooMany('Too many calls of this party in a second.', lack);
    if (party.waiting.length >= this.#pace.waiting)
      throw this.#tooMany('Too many calls of this party wait already.', party.waiting.length / this.#pace.calls);
    party.calls.take(1);
    if (this.#begun >= this.#pace.turn || party.running >= this.#pace.atOnce || party.waiting.length > 0)
      await new Promise<void>((resolve) => {
        party.waiting.push(resolve);
        this.#pump();
      });
    else this.#begin(oin, party);
    try {
      return await work();
    } finally {
      party.running--;
      if (party.waiting.length > 0) this.#pump();
    }
  }

  /** Notes items of a stream; milliseconds until it should be read on, 0 = at once. */
  items(oin: string, count: number): number {
    const party = this.#party(oin);
    party.items.take(count);
    const lack = party.items.lack();
    return lack > OWES_S ? Math.ceil(lack * 1000) : 0;
  }

  #party(oin: string): Party {
    let party = this.#parties.get(oin);
    if (!party) {
      const { calls, items } = this.#pace;
      party = { running: 0, waiting: [], calls: new Bucket(calls, this.#now), items: new Bucket(items, this.#now) };
      this.#parties.set(oin, party);
    }
    return party;
  }

  #begin(oin: string, party: Party): void {
    party.running++;
    this.#begun++;
    this.#parties.delete(oin);
    this.#parties.set(oin, party);
    this.#pump();
  }

  /** In the next turn of the event loop: begins what may, one of each party in turn. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      this.#begun = 0;
      for (const [oin, party] of this.#parties) {
        if (this.#begun >= this.#pace.turn) break;
        if (party.waiting.length === 0 || party.running >= this.#pace.atOnce) continue;
        const next = party.waiting.shift()!;
        // Put at the end, it comes again in this very walk if there is room.
        this.#begin(oin, party);
        next();
      }
    });
  }

  #tooMany(told: string, lackS: number): GatewayError {
    this.#refused++;
    return new GatewayError('gateway.overloaded', told, { retryAfterS: Math.max(1, Math.ceil(lackS)) });
  }
}
