/**
 * Who is signed in: an opaque id in a cookie, and here what stands for it. Kept in this process alone: who restarts it signs in again,
 * and nothing of a session is ever on a disk.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Without a request for so long a session is over, and after so long in any case. Milliseconds. */
const IDLE_MS = 30 * 60_000;
const LONGEST_MS = 12 * 3_600_000;
const MOST = 1_000;
const ID = /^[\w-]{43}$/;

export interface Session {
  /** With which the door is called. */
  bearer: string;
  /** What every request carries that changes something. */
  token: string;
  /** Signed in by a link of this machine: it is good on this machine only. */
  isLocal: boolean;
  untilMs: number;
  seenMs: number;
}

const digestOf = (id: string): string => createHash('sha256').update(id).digest('base64url');
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
  readonly #sessions = new Map<string, Session>();
  readonly #name: string;
  readonly #now: () => number;

  /** `port`: two gateways on one machine share cookies, and must not take each other's. */
  constructor(port: number, now: () => number) {
    this.#name = `__Host-eduk-console-${port}`;
    this.#now = now;
  }

  /** Begins one; gives the cookie. It is always a new one: an id that a browser brought along is never taken over, and ends. */
  open(request: IncomingMessage, bearer: string, isLocal: boolean, untilMs: number): string {
    this.end(request);
    const now = this.#now();
    const id = random();
    for (const [digest, one] of this.#sessions) if (this.#isOver(one)) this.#sessions.delete(digest);
    // The oldest goes first: a map keeps its order.
    for (const digest of this.#sessions.keys()) {
      if (this.#sessions.size < MOST) break;
      this.#sessions.delete(digest);
    }
    this.#sessions.set(digestOf(id), {
      bearer,
      token: random(),
      isLocal,
      untilMs: Math.min(untilMs, now + LONGEST_MS),
      seenMs: now,
    });
    return cookie(this.#name, id, 'Strict');
  }

  /** `isLocal`: whether the request comes from this machine, with nobody between. */
  of(request: IncomingMessage, isLocal: boolean): Session | undefined {
    const id = this.#idIn(request);
    const session = id === undefined ? undefined : this.#sessions.get(digestOf(id));
    if (!session || this.#isOver(session) || (session.isLocal && !isLocal)) return undefined;
    session.seenMs = this.#now();
    return session;
  }

  /** Whether it still holds; looking does not make it hold longer. */
  holds(session: Session): boolean {
    return !this.#isOver(session) && [...this.#sessions.values()].includes(session);
  }

  /** Ends the one that a browser has; gives the cookie that takes its own away. */
  end(request: IncomingMessage): string {
    const id = this.#idIn(request);
    if (id !== undefined) this.#sessions.delete(digestOf(id));
    return cookie(this.#name, '', 'Strict', 0);
  }

  #idIn(request: IncomingMessage): string | undefined {
    const id = cookieIn(request, this.#name);
    return id !== undefined && ID.test(id) ? id : undefined;
  }

  #isOver({ untilMs, seenMs }: Session): boolean {
    const now = this.#now();
    return now >= untilMs || now >= seenMs + IDLE_MS;
  }
}
