import { addressIn } from '#kernel';
import { limits } from './limits.ts';

/**
 * Slows who guesses: failures are counted by whoever is asked for and from where, and by where alone. In each door's own
 * memory, of bounded size: secrets have 256 bits, so this keeps guessing cheap to refuse, not secrets safe. What is being looked at counts as
 * if it had failed already: guesses that come at once get no further than those that come one after the other.
 */

/** Failures that one place may have at once for one name, and how often one more, ms. */
const OF_NAME = { most: limits.failures.at, everyMs: 6_000 };
/** The same for one place, whatever it asks for: many parties may come from one address. */
const OF_PLACE = { most: limits.failuresOfPlace.at, everyMs: 600 };
/** What came at once counts so far beyond, so that the longest wait is a minute. */
const OVER = 9;
/** Attempts that wait at most until those before them are looked at, of one name or place. */
const MOST_WAITING = 100;
/** Names and places that are remembered; those unseen for longest are forgotten. */
const MOST_KEPT = 10_000;

interface Bucket {
  /** Failures that count still, at `atMs`. */
  full: number;
  atMs: number;
}

/** One that is being looked at. */
export interface Attempt {
  failed(): void;
  succeeded(): void;
  /** It is looked at no more, whatever came of it; without a word of what came of it nothing is counted. */
  ended(): void;
}

export class Attempts {
  readonly #now: () => number;
  /** Seen since the last turn of generations, and before: to forget one by one would cost more than to count. */
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();
  /** What is being looked at, and who waits for that. */
  readonly #open = new Map<string, { count: number; waiting: (() => void)[] }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Milliseconds that this one must wait; 0 = it may try. */
  waitMs(name: string, address: string): number {
    return Math.max(
      ...both(name, address).map(([key, { most, everyMs }]) => {
        const over = this.#full(key, everyMs) - most + 1;
        return over <= 0 ? 0 : Math.ceil(over * everyMs);
      }),
    );
  }

  /**
   * Begins an attempt, once so few are being looked at that all of them may fail; whoever is right waits for them no longer than that.
   * Gives the milliseconds to wait where it may not try.
   */
  async begin(name: string, address: string): Promise<Attempt | number> {
    const keys = both(name, address);
    for (;;) {
      const waitMs = this.waitMs(name, address);
      if (waitMs > 0) return waitMs;
      const busy = keys.find(([key, { most, everyMs }]) => {
        const open = this.#open.get(key)?.count ?? 0;
        return open > 0 && this.#full(key, everyMs) + open >= most;
      });
      if (busy === undefined) break;
      const { waiting } = this.#open.get(busy[0])!;
      if (waiting.length >= MOST_WAITING) return busy[1].everyMs;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    for (const [key] of keys) {
      const open = this.#open.get(key);
      if (open) open.count += 1;
      else this.#open.set(key, { count: 1, waiting: [] });
    }
    return {
      failed: () => this.failed(name, address),
      succeeded: () => this.succeeded(name, address),
      ended: () => {
        for (const [key] of keys) this.#ended(key);
      },
    };
  }

  #ended(key: string): void {
    const open = this.#open.get(key)!;
    open.count -= 1;
    if (open.count === 0) this.#open.delete(key);
    for (const go of open.waiting.splice(0)) go();
  }

  failed(name: string, address: string): void {
    for (const [key, { most, everyMs }] of both(name, address)) {
      const full = Math.min(this.#full(key, everyMs) + 1, most + OVER);
      this.#old.delete(key);
      this.#young.set(key, { full, atMs: this.#now() });
      if (this.#young.size < MOST_KEPT / 2) continue;
      this.#old = this.#young;
      this.#young = new Map();
    }
  }

  /** Who has shown that it knows may err again. */
  succeeded(name: string, address: string): void {
    const [[key]] = both(name, address);
    this.#young.delete(key);
    this.#old.delete(key);
  }

  /** How many names and places are remembered. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  #full(key: string, everyMs: number): number {
    const bucket = this.#young.get(key) ?? this.#old.get(key);
    return bucket === undefined ? 0 : Math.max(0, bucket.full - (this.#now() - bucket.atMs) / everyMs);
  }
}

function both(name: string, address: string) {
  const place = placeOf(address);
  return [
    [`${name.slice(0, 128)}|${place}`, OF_NAME],
    [place, OF_PLACE],
  ] as const;
}

/** Of IPv6 the network that one customer has: within it addresses cost nothing. */
function placeOf(address: string): string {
  const plain = addressIn(address) ?? address;
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const behind = (tail ?? '').split(':').filter((group) => group !== '');
  while (tail !== undefined && groups.length + behind.length < 8) groups.push('0');
  return `${[...groups, ...behind].slice(0, 4).join(':')}::/64`;
}
