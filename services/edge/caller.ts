import type { Role } from '#proto/eduk/core/v1/party';
import type { ClientCertificate } from './certificates.ts';

/** Who is at the door, after authentication. */
export interface Caller {
  kind: 'party' | 'operator';
  /** OIN of the party; `operator` for the operator. */
  oin: string;
  roles: ReadonlySet<Role>;
}

export const operator: Caller = { kind: 'operator', oin: 'operator', roles: new Set() };

/** What a listener knows of a connection, for the rules about addresses. */
export interface Peer {
  /** Address of the peer as the socket says. */
  address: string;
  /** Whether the listener itself is bound to loopback. */
  listenerOnLoopback: boolean;
  /** Whether a header says that someone stands between: Forwarded, Via, X-Forwarded-*. */
  proxied: boolean;
  /** What it showed, where it showed a certificate that is good. */
  certificate?: ClientCertificate | undefined;
}
