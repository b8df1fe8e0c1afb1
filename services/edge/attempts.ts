import { limits } from './limits.ts';

/**
 * Slows who guesses: failures are counted by whoever is asked for and from where, and by where alone. In each door's own
 * memory, of bounded size: secrets have 256 bits, so this keeps guessing cheap to refuse, not secrets safe.
 */

/** Failures that one place may have at once for one name, and how often one more, ms. */
const OF_NAME = { most: limits.failures.at, everyMs: 6_000 };
/** The same for one place, whatever it asks for: many parties may come from one address. */
const OF_PLACE = { most: limits.failuresOfPlace.at, everyMs: 600 };
/** What came at once counts so far beyond, so that the longest wait is a minute. */
const OVER = 9;
/** Names and places that are remembered; those unseen for longest are forgotten. */
const MOST_KEPT = 10_000;

interface Bucket {
  /** Failures that count still, at `atMs`. */
  full: number;
  atMs: number;
}

export class Attempts {
  readonly #now: () => number;
  /** Seen since the last turn of generations, and before: to forget one by one would cost more than to count. */
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();

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
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const behind = (tail ?? '').split(':').filter((group) => group !== '');
  while (tail !== undefined && groups.length + behind.length < 8) groups.push('0');
  return `${[...groups, ...behind].slice(0, 4).join(':')}::/64`;
}
