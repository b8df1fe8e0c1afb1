import type { Health } from '#kernel';
import type { AdministrationPulls } from './administrations/index.ts';
import type { KeySets } from './assertions.ts';
import type { Attempts } from './attempts.ts';
import type { Certificates } from './certificates.ts';
import type { Cursors } from './cursor.ts';
import type { Heads } from './heads.ts';
import type { ProcessingSettings } from './processing.ts';
import type { TrustedProxy } from './proxy.ts';
import type { RefusalNotes } from './refusals.ts';
import type { Register } from './register/index.ts';
import type { Schools } from './signin/serve.ts';
import type { Proofs } from './stages/authenticate.ts';
import type { Door } from './submission.ts';
import type { Turns } from './turns.ts';
import type { Unfinished } from './unfinished.ts';

/** Everything a transport of the inbound door needs. */
export interface Gate {
  door: Door;
  proofs: Proofs;
  cursors: Cursors;
  notes: RefusalNotes;
  /** TLS of the doors; undefined = they have none. */
  certificates: Certificates | undefined;
  heads: Heads;
  proxy: TrustedProxy;
  /** Public keys of clients. */
  keys: KeySets;
  /** Who failed to prove itself, and how often. */
  attempts: Attempts;
  /** Whether the master key is a development key. */
  devKey: boolean;
  version: string;
  /** What papers tell of the operator; undefined = it said nothing. */
  processing?: ProcessingSettings | undefined;
  /** Copies the gateway's files into a folder; undefined = it has none. */
  backup: ((folder: string) => Promise<void>) | undefined;
  /** What this process says of itself at /healthz, /readyz and /metrics. */
  health: Health;
  /** Whose call is answered next. */
  turns: Turns;
  /** Where boards and schools sign in; undefined = nowhere. */
  schools: Schools | undefined;
  /** What is not whole yet, of all senders. */
  unfinished: Unfinished;
  /** Mandates of OSR; undefined = it is not set where that is. */
  register: Register | undefined;
  /** Rosters that administrations are asked for; undefined = it is not set which. */
  administrations?: AdministrationPulls | undefined;
}
