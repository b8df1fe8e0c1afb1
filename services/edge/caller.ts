import type { Role } from '#proto/eduk/core/v1/party';
import type { ClientCertificate } from './certificates.ts';

/** What an operator is there for: everything, learners' and schools' rights, or looking. */
export type Duty = 'operator' | 'privacy' | 'read';

/** Who is at the door, after authentication. */
export interface Caller {
  kind: 'party' | 'operator';
  /** OIN of the party; `operator` for the operator. */
  oin: string;
  roles: ReadonlySet<Role>;
  /** Of its token: the services that it may call; undefined = each. */
  scopes?: ReadonlySet<string> | undefined;
  /** Of its token: OIN of the only school that it may act for or read of; undefined = each. */
  school?: string | undefined;
  /** OIN of the party that calls in the name of `oin`; undefined = it calls itself. */
  actor?: string | undefined;
  /** Of an operator; undefined = everything. */
  duty?: Duty;
  /** Of an operator who signed in: which person it is. The operator's key is nobody in particular. */
  person?: Person;
  /** Of who has a link to one page of the console; undefined = it is somebody who proved itself. */
  link?: { id: string; asks: ReadonlySet<string> };
}

/** A person who signed in at the operators' provider. */
export interface Person {
  /** Keyed digest, 32 bytes, of who it is there: the same at each sign-in, and says nobody's name. */
  id: Uint8Array;
  /** All that its roles give. */
  duties: ReadonlySet<Duty>;
}

/** OIN of who is at the other end: whose turn, whose streams and whose news of the log it is. */
export const whoCalls = ({ oin, actor }: Caller): string => actor ?? oin;

export const operator: Caller = { kind: 'operator', oin: 'operator', roles: new Set() };

/** What a listener knows of a connection, for the rules about addresses. */
export interface Peer {
  /** Address of the peer as the socket says; behind a trusted proxy, as that says. */
  address: string;
  /** Whether the listener itself is bound to loopback. */
  listenerOnLoopback: boolean;
  /** Whether a header says that someone stands between: Forwarded, Via, X-Forwarded-*. */
  proxied: boolean;
  /** What it showed, where it showed a certificate that is good. */
  certificate?: ClientCertificate | undefined;
}
