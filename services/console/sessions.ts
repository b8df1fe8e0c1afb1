/**
 * Who is signed in: an opaque id in a cookie, and a row that every door asks. What the row says is sealed under the operator's key and
 * that id, which is nowhere but in the browser: who reads the rows reads nothing.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Seals } from '#kernel';

/** After so long a session is over in any case, milliseconds. Without a request it is after half an hour: the rows see to that. */
const LONGEST_MS = 12 * 3_600_000;
const ID = /^[\w-]{43}$/;

/** Where sessions are kept, so that all doors know the same. */
export interface SessionRows {
  open(digest: Uint8Array, sealed: Uint8Array, endsMs: number): Promise<void>;
  /** What was sealed; empty = there is none, or it is over. `look`: it holds no longer for being asked for. */
  find(digest: Uint8Array, look: boolean): Promise<Uint8Array>;
  end(digest: Uint8Array): Promise<void>;
  /** True = nobody took this name before, at any door; it is remembered until then, Unix ms. */
  once(name: string, untilMs: number): Promise<boolean>;
}

export interface Session {
  /** With which the door is called. */
  bearer: string;
  /** What every request carries that changes something. */
  token: string;
  /** Signed in by a link of this machine: it is good on this machine only. */
  isLocal: boolean;
  untilMs: number;
  /** SHA-256 of its id. */
  digest: Uint8Array;
}

type Kept = Omit<Session, 'digest'>;

/** Other words than those of the sessions of schools, which are rows beside these. */
const digestOf = (id: string): Uint8Array => createHash('sha256').update(`console|${id}`).digest();
const random = (): string => randomBytes(32).toString('base64url');

/** One cookie; undefined = none, or more than one: then nobody can say which is ours. */
export function cookieIn(request: IncomingMessage, name: string): string | undefined {
  const found = (request.headers.cookie ?? '').split(';').flatMap((one) => {
    const [key, value] = one.trim().split('=', 2);
    return key === name && value !== undefined ? [value] : [];
  });
  return found.length === 1 ? found[0] : undefined;
}

/** Only this very host can have set it, over TLS or on loopback, and no script reads it. */
export const cookie = (name: string, value: string, sameSite: 'Strict' | 'Lax', maxAgeS?: number): string =>
  `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=${sameSite}${maxAgeS === undefined ? '' : `; Max-Age=${maxAgeS}`}`;

export class Sessions {
  readonly #rows: SessionRows;
  readonly #seals: Seals;
  readonly #name: string;
  readonly #now: () => number;

  /** `port`: two gateways on one machine share cookies, and must not take each other's. */
  constructor(rows: SessionRows, seals: Seals, port: number, now: () => number) {
    this.#rows = rows;
    this.#seals = seals;
    this.#name = `__Host-eduk-console-${port}`;
    this.#now = now;
  }

  /** Begins one; gives the cookie. It is always a new one: an id that a browser brought along is never taken over, and ends. */
  async open(request: IncomingMessage, bearer: string, isLocal: boolean, untilMs: number): Promise<string> {
    await this.end(request);
    const id = random();
    const kept: Kept = {
      bearer,
      token: random(),
      isLocal,
      untilMs: Math.min(untilMs, this.#now() + LONGEST_MS),
    };
    await this.#rows.open(digestOf(id), this.#seals.seal('session', id, kept), kept.untilMs);
    return cookie(this.#name, id, 'Strict');
  }

  /** `isLocal`: whether the request comes from this machine, with nobody between. Faults: those of the rows. */
  async of(request: IncomingMessage, isLocal: boolean): Promise<Session | undefined> {
    const id = this.#idIn(request);
    if (id === undefined) return undefined;
    const digest = digestOf(id);
    const kept = this.#seals.open('session', id, await this.#rows.find(digest, false)) as Kept | undefined;
    if (!kept || this.#now() >= kept.untilMs || (kept.isLocal && !isLocal)) return undefined;
    return { ...kept, digest };
  }

  /** Whether it still holds; looking does not make it hold longer. */
  async holds({ digest, untilMs }: Session): Promise<boolean> {
    return this.#now() < untilMs && (await this.#rows.find(digest, true)).length > 0;
  }

  /** Ends the one that a browser has, at all doors; gives the cookie that takes its own away. */
  async end(request: IncomingMessage): Promise<string> {
    const id = this.#idIn(request);
    if (id !== undefined) await this.#rows.end(digestOf(id));
    return cookie(this.#name, '', 'Strict', 0);
  }

  #idIn(request: IncomingMessage): string | undefined {
    const id = cookieIn(request, this.#name);
    return id !== undefined && ID.test(id) ? id : undefined;
  }
}
