import type { Health } from '#kernel';
import type { DiskUse } from '#proto/eduk/delivery/v1/delivery';
import type { AdministrationPulls } from './administrations/index.ts';
import type { AskedNames } from './administrations/names.ts';
import type { SettingsOnHand } from './administrations/settings.ts';
import type { Alerts } from './alerts/index.ts';
import type { KeySets } from './assertions.ts';
import type { Attempts } from './attempts.ts';
import type { Certificates } from './certificates.ts';
import type { Crossing } from './crossing.ts';
import type { Cursors } from './cursor.ts';
import type { Untold } from './forgetting.ts';
import type { Heads } from './heads.ts';
import type { Links } from './links.ts';
import type { ProcessingSettings } from './processing.ts';
import type { TrustedProxy } from './proxy.ts';
import type { Reconciler } from './reconcile/index.ts';
import type { RefusalNotes } from './refusals.ts';
import type { Register } from './register/index.ts';
import type { RosterReads } from './roster-reads.ts';
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
  /** Links to pages of the console. */
  links: Links;
  /** What was read of rosters. */
  reads: RosterReads;
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
  /** Until which day a standard is spoken to endpoints in its version of now, YYYY-MM-DD by standard. */
  versionEnds?: ReadonlyMap<string, string> | undefined;
  /** Of which schools the vault could not be told whose names go. */
  untoldNames(): Untold;
  /** Tells the vault now whose names go. */
  tellNames(): Promise<void>;
  /** Names of schools that keep none here. */
  names: Pick<AskedNames, 'administrationsOf'>;
  /** Copies the gateway's files into a folder; undefined = it has none. */
  backup: ((folder: string) => Promise<void>) | undefined;
  /** What this process says of itself at /healthz, /readyz and /metrics. */
  health: Health;
  /** How much each place for data holds; undefined = this process cannot see it. */
  disk?: (() => Promise<readonly DiskUse[]>) | undefined;
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
  /** How parties differ that speak UWLR, by their files. */
  settings: SettingsOnHand;
  /** Above so many messages a second person begins a replay; 0 = nobody has to. */
  replaySecondAbove: number;
  /** A second person approves what is held, and a rule that lets it go. */
  holdSecond: boolean;
  /** A second person ends a freeze early too. */
  freezeSecond: boolean;
  /** Learners who go on at another school; undefined only before the doors are open. */
  crossing?: Crossing | undefined;
  /** What parties say that they have; undefined only before the doors are open. */
  reconciler?: Reconciler | undefined;
  /** What an operator is told of; undefined only before the doors are open. */
  alerts?: Alerts | undefined;
}
