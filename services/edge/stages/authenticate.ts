import { GatewayError, isLoopback } from '#kernel';
import type { Party } from '#proto/eduk/core/v1/party';
import type { Caller, Peer } from '../caller.ts';
import { operator } from '../caller.ts';
import type { Chain } from '../chain.ts';
import type { Operators } from '../operators.ts';
import { type AccessTokens, digestOf, sameDigest, type TokenClaims } from '../secrets.ts';

/** What proves who calls. */
export interface Proofs {
  chain: Chain;
  tokens: AccessTokens;
  /** SHA-256 of the operator's key. */
  operatorKey: Uint8Array;
  /** Where operators sign in at a provider of their own. */
  operators: Operators | undefined;
  now(): number;
}

const unknown = (): GatewayError =>
  new GatewayError(
    'party.unknown',
    'Show a certificate with your OIN, or send authorization: Bearer and an access token, or on loopback an API key.',
  );
/** For one who sent what looks right: the same words whether it never was, or is no longer. */
const notOurs = (): GatewayError =>
  new GatewayError('party.unknown', 'This API key or access token is not known here, or no longer.');

/** Loopback is an address, not an identity: a key from the environment of one machine works on that machine only. */
const local = (peer: Peer): boolean => peer.listenerOnLoopback && isLoopback(peer.address) && !peer.proxied;

/** A signed token with three parts (RFC 7515), which ours never are. */
const SIGNED = /^Bearer (ey[\w-]{1,2048}\.[\w-]{1,8192}\.[\w-]{0,2048})$/i;

/** The same, with what a provider of operators has issued. Faults: also party.forbidden, peer.unavailable. */
export function signIn(authorization: string | undefined, peer: Peer, proofs: Proofs): Caller | Promise<Caller> {
  const token = proofs.operators && SIGNED.exec(authorization ?? '')?.[1];
  return token ? proofs.operators!.verify(token) : authenticate(authorization, peer, proofs);
}

/**
 * Who calls, from an `authorization` header, else from the certificate of the connection. Where both say who it is, they
 * must say the same. Faults: party.unknown.
 */
export function authenticate(
  authorization: string | undefined,
  peer: Peer,
  { chain, tokens, operatorKey, now }: Proofs,
): Caller {
  if (authorization === undefined && peer.certificate?.oin !== undefined) {
    const { oin } = peer.certificate;
    if (!chain.party(oin))
      throw new GatewayError('party.unknown', 'The OIN in this certificate is not that of a party here.');
    return partyCaller(chain, admitted(chain, oin));
  }
  const bearer = /^Bearer ([\x21-\x7e]{1,4096})$/i.exec(authorization ?? '')?.[1];
  if (!bearer) throw unknown();
  if (bearer.startsWith('eduk_operator_')) {
    if (!local(peer) || !sameDigest(digestOf(bearer), operatorKey)) throw unknown();
    return operator;
  }
  if (bearer.startsWith('eduk_key_')) {
    if (!local(peer))
      throw new GatewayError('party.unknown', 'API keys work on loopback only, without a proxy between.');
    return isItsOwn(peer, partyCaller(chain, admitted(chain, chain.byApiKey(digestOf(bearer)))));
  }
  if (bearer.startsWith('eduk_at_')) return callerOfToken(chain, tokens.verify(bearer, now()), peer);
  throw unknown();
}

function callerOfToken(chain: Chain, claims: TokenClaims | undefined, peer: Peer): Caller {
  const { oin, scopes, school, thumbprint, issuedMs = 0 } = claims ?? {};
  const whole = isItsOwn(peer, partyCaller(chain, admitted(chain, oin)));
  // Who was stopped meanwhile asks anew, with what it proves itself by since.
  if (oin !== undefined && issuedMs + 1000 <= Number(chain.standing(oin)?.tokensFromMs ?? 0n)) throw notOurs();
  if (thumbprint !== undefined && thumbprint !== peer.certificate?.thumbprint)
    throw new GatewayError('party.unknown', 'This token is for the holder of the certificate that it was asked with.');
  if (scopes === undefined && school === undefined) return whole;
  return { ...whole, scopes: scopes && new Set(scopes), school };
}

/**
 * Refuses a party that is stopped everywhere, whatever it proves itself by; gives back what it was given. Faults: party.unknown.
 */
export function admitted<T extends string | undefined>(chain: Chain, oin: T): T {
  if (oin !== undefined && chain.isStopped(oin))
    throw new GatewayError('party.unknown', 'This party is stopped here for the time being: ask the operator.');
  return oin;
}

/** Refuses a party whose connection shows another one's certificate; gives back what it was given. Faults: party.unknown. */
export function isItsOwn<T extends string | Caller>(peer: Peer, party: T): T {
  const shown = peer.certificate?.oin;
  if (shown !== undefined && shown !== (typeof party === 'string' ? party : party.oin))
    throw new GatewayError('party.unknown', 'The certificate of this connection is that of another party.');
  return party;
}

/** OAuth 2.0 client credentials (RFC 6749 §2.3.1) → OIN. */
export function clientOf(chain: Chain, clientId: string, clientSecret: string, nowMs: number): string {
  const oin = chain.byClientId(clientId);
  const known = oin ? chain.credentials(oin) : undefined;
  const given = digestOf(clientSecret);
  // Compared also for an unknown client, and with a secret that was not renewed, so that time tells nothing.
  const isNew = sameDigest(given, orNobody(known?.clientSecret));
  const isOld = sameDigest(given, orNobody(known?.clientSecretBefore)) && nowMs < Number(known?.beforeUntilMs ?? 0n);
  if (!oin || !(isNew || isOld)) throw new GatewayError('party.unknown', 'Client id or secret is wrong.');
  return oin;
}

/** Nobody has a secret with this digest. */
const nobody = new Uint8Array(32);
const orNobody = (digest: Uint8Array | undefined): Uint8Array => (digest && digest.length > 0 ? digest : nobody);

export function partyCaller(chain: Chain, oin: string | undefined): Caller {
  const party = oin === undefined ? undefined : chain.party(oin);
  if (!party) throw notOurs();
  let caller = callers.get(party);
  if (caller === undefined) {
    caller = { kind: 'party', oin: party.oin, roles: new Set(party.roles) };
    callers.set(party, caller);
  }
  return caller;
}
/** A party that changes is another object. */
const callers = new WeakMap<Party, Caller>();
