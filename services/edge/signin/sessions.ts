import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Role } from '#proto/eduk/core/v1/party';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { digestOf, sameDigest } from '../secrets.ts';
import { partyCaller } from '../stages/authenticate.ts';
import type { Begun } from './provider.ts';

/**
 * Sessions of authorised persons. A browser has an opaque id; whose it is, is a row of the service parties, which every door asks.
 * Of the person nothing is kept anywhere.
 */

/** Cookies that only this very host can have set, over TLS (or on loopback), and that no script reads. */
const SESSION = '__Host-eduk-session';
const PENDING = '__Host-eduk-sign-in';
/** How long a person may be at the provider, seconds. */
const PENDING_S = 600;

const cookie = (name: string, value: string, maxAgeS?: number, sameSite = 'Lax'): string =>
  `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=${sameSite}${maxAgeS === undefined ? '' : `; Max-Age=${maxAgeS}`}`;

/** One cookie of ours; undefined = none, or more than one: then nobody can say which is ours. */
function cookieIn(request: IncomingMessage, name: string): string | undefined {
  const found = (request.headers.cookie ?? '').split(';').flatMap((one) => {
    const [key, value] = one.trim().split('=', 2);
    return key === name && value !== undefined ? [value] : [];
  });
  return found.length === 1 ? found[0] : undefined;
}

export interface Session {
  caller: Caller;
  /** What its forms carry, so that no page of another can have made them. */
  token: string;
}

const ID = /^[\w-]{43}$/;
const idIn = (request: IncomingMessage): string | undefined => {
  const id = cookieIn(request, SESSION);
  return id !== undefined && ID.test(id) ? id : undefined;
};

/** Begins one; gives the cookie. It is always a new one: an id that a browser brought along is never taken over. */
export async function openSession(gate: Gate, partyOin: string, number: string): Promise<string> {
  const id = randomBytes(32).toString('base64url');
  await gate.door.services.parties.openSession({
    digest: digestOf(id),
    partyOin,
    number,
    sealed: new Uint8Array(),
    endsMs: 0n,
  });
  return cookie(SESSION, id);
}

/** Whose page is asked for; undefined = nobody's whom we know, or who may sign in no longer. */
export async function sessionOf(request: IncomingMessage, gate: Gate): Promise<Session | undefined> {
  const id = idIn(request);
  if (id === undefined) return undefined;
  const { partyOin, number } = await gate.door.services.parties.findSession({ digest: digestOf(id), look: false });
  const caller = partyOin === '' ? undefined : callerBy(gate, number);
  if (caller?.oin !== partyOin) return undefined;
  return { caller, token: gate.door.derive('form', id) };
}

/** Ends the one that a browser has; gives the cookie that takes its own away. */
export async function endSession(request: IncomingMessage, gate: Gate): Promise<string> {
  const id = idIn(request);
  if (id !== undefined) await gate.door.services.parties.endSession({ digest: digestOf(id) });
  return cookie(SESSION, '', 0);
}

/** The board or school for which persons sign in by a number of theirs; of one that is stopped everywhere nobody does. */
export function callerBy(gate: Gate, number: string): Caller | undefined {
  const { chain } = gate.door;
  const oin = chain.byNumber(number);
  if (oin === undefined || !chain.party(oin) || chain.isStopped(oin)) return undefined;
  const caller = partyCaller(chain, oin);
  return caller.roles.has(Role.ROLE_BOARD) || caller.roles.has(Role.ROLE_SCHOOL) ? caller : undefined;
}

/** Whether a form was made for this session. */
export const isOwnForm = ({ token }: Session, form: URLSearchParams): boolean =>
  sameDigest(digestOf(form.get('token') ?? ''), digestOf(token));

/**
 * A cookie with what a browser keeps while its person is at the provider: sealed, so that it says nothing. `crossSite`: it must come
 * along with a form of the provider's page.
 */
export const pendingCookie = (gate: Gate, pending: Begun, crossSite: boolean): string =>
  cookie(
    PENDING,
    gate.cursors.seal('sign-in', 'pending', JSON.stringify({ ...pending, untilMs: now(gate) + PENDING_S * 1000 })),
    PENDING_S,
    crossSite ? 'None' : 'Lax',
  );
export const noPendingCookie = (): string => cookie(PENDING, '', 0);

/** What it kept, where that is ours and not too old. */
export function pendingOf<T extends Begun>(
  request: IncomingMessage,
  gate: Gate,
): (T & { untilMs: number }) | undefined {
  const sealed = cookieIn(request, PENDING);
  if (!sealed) return undefined;
  try {
    const pending = JSON.parse(gate.cursors.open('sign-in', 'pending', sealed)) as T & { untilMs: number };
    return pending.untilMs > now(gate) ? pending : undefined;
  } catch {
    // Of another gateway, or made up: as if there were none.
    return undefined;
  }
}

const now = (gate: Gate): number => gate.door.clock.now();
