import type { Clear, Client, Clock, Codec, Dialler, GatewayError, HmacKey } from '#kernel';
import type { AccessServiceDefinition } from '#proto/eduk/access/v1/access';
import type { AuditServiceDefinition } from '#proto/eduk/audit/v1/audit';
import type { LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import type { CatalogueServiceDefinition } from '#proto/eduk/catalogue/v1/catalogue';
import type { Role, Service } from '#proto/eduk/core/v1/party';
import type { DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import type { EntitlementsServiceDefinition } from '#proto/eduk/entitlements/v1/entitlements';
import type { FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import type { OrdersServiceDefinition } from '#proto/eduk/orders/v1/orders';
import type { PartiesServiceDefinition } from '#proto/eduk/parties/v1/parties';
import type { Identity, VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import type { ReadinessServiceDefinition } from '#proto/eduk/readiness/v1/readiness';
import type { ResultsServiceDefinition } from '#proto/eduk/results/v1/results';
import type { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import type { EventName, EventOf } from '#proto/events';
import type { AuditNotes } from './audit.ts';
import type { Caller } from './caller.ts';
import type { Chain } from './chain.ts';
import type { Made } from './stages/accept.ts';
import type { Telemetry } from './telemetry/index.ts';
import type { Together } from './together.ts';

/** The services behind the doors, by their protos. */
export interface Services {
  log: Client<typeof LogServiceDefinition>;
  parties: Client<typeof PartiesServiceDefinition>;
  catalogue: Client<typeof CatalogueServiceDefinition>;
  rosters: Client<typeof RostersServiceDefinition>;
  orders: Client<typeof OrdersServiceDefinition>;
  entitlements: Client<typeof EntitlementsServiceDefinition>;
  access: Client<typeof AccessServiceDefinition>;
  results: Client<typeof ResultsServiceDefinition>;
  flows: Client<typeof FlowsServiceDefinition>;
  readiness: Client<typeof ReadinessServiceDefinition>;
  delivery: Client<typeof DeliveryServiceDefinition>;
  audit: Client<typeof AuditServiceDefinition>;
  vault: Client<typeof VaultServiceDefinition>;
}

/** What the stages share. */
export interface Door {
  services: Services;
  /** What persons ask of some of them, who wait for nothing that comes in meanwhile: `questions` of `services/roles.ts`. */
  asked: Omit<Services, 'log' | 'vault'>;
  chain: Chain;
  clock: Clock;
  /** Key of content digests and reference keys. */
  digestKey: HmacKey;
  /** The way out, to whatever others gave as their address; `dialler.networks` says where that may lead. */
  dialler: Dialler;
  /** What is done here that no accepted message says. */
  audit: AuditNotes;
  /** Messages that come alone, on their way to the log. */
  together: Together<Made>;
  /** Where it is told what became of messages, if anywhere. */
  telemetry?: Telemetry | undefined;
  /** Whether the gateway takes messages in; false once it stops. */
  open(): boolean;
  /** Aborts once it stops: what waits for news ends then. */
  closing: AbortSignal;
  publicUrl(): string;
  /** Above so many messages an operator begins a replay that a party asks for; 0 or absent = nobody has to. */
  replaySecondAbove?: number | undefined;
  /**
   * A secret that belongs to an id, 43 characters: made anew from the door's key whenever asked, so that a repeated
   * message has the same answer and nothing is stored.
   */
  derive(purpose: 'ticket' | 'autorisatiesleutel' | 'webhook' | 'webhook key' | 'form', id: string): string;
}

/** One identity in a message, and where it stands. */
export interface PersonAsk {
  /** Who names them so, `identify` says. */
  identity: Omit<Identity, 'partyOin'>;
  /** Whether an unknown one gets a token. */
  create: boolean;
  path: string;
}

/** One payload that leaves the door sealed. */
export interface PayloadAsk {
  /** Index in `people` of whose key seals it; -1 = the school's. */
  person: number;
  data: Uint8Array;
  context: string;
}

/** What the vault gave for a message. */
export interface Found {
  /** In the order of `people`. */
  tokens: readonly string[];
  marks: readonly Uint8Array[];
  /** Text → token. */
  texts: ReadonlyMap<string, string>;
  sealed: readonly Uint8Array[];
}

/** An event to append, by its name. */
export type OutEvent = { [N in EventName]: { name: N; value: EventOf<N>; key: string } }[EventName];
export const event = <N extends EventName>(name: N, value: EventOf<N>, key: string): OutEvent =>
  ({ name, value, key }) as OutEvent;

export interface IntakeContext {
  caller: Caller;
  nowMs: number;
  /** Where `locate` left what it found. */
  located: unknown;
  flowId: string;
  door: Door;
}

/** How one kind of message becomes events: data and pure functions, one per write method or standard's exchange. */
export interface Intake<Req = any> {
  /** `OrderService/PlaceOrder`, or the standard's operation. */
  method: string;
  /** Full name of the request message, for its labels. */
  type: string;
  codec: Codec<Req>;
  /** Who may call; the operator always may. */
  roles: readonly Role[];
  /** Mandate the caller needs at the school; absent = none. */
  service?: Service;
  /** Code of the site that all of it is about; empty = the whole school. Absent = it is about the people that it names. */
  site?(request: Req): string;
  /** Where that stands. */
  siteAt?: string;
  /** New business, which a run-off refuses. */
  fresh?: boolean;
  remember: 400 | 35;
  reference(request: Req): string;
  /** School it concerns; empty = none. */
  school(request: Req, located: unknown): string;
  /** What the log must be asked before school and key are known. Throws state.missing for what the caller may not know of. */
  locate?(request: Req, door: Door, caller: Caller): Promise<unknown>;
  /** Form beyond the labels. Throws wire.invalid with paths. */
  check?(request: Req, caller: Caller): void;
  people?(request: Req): PersonAsk[];
  texts?(request: Req): string[];
  payloads?(request: Req): PayloadAsk[];
  events(request: Req, found: Found, context: IntakeContext): OutEvent[];
  /** For the note of a refusal: what it was about. */
  about?(request: Req): { orderId?: string; productId?: string; entitlementId?: string };
}

/** A message on its way through the inbound door. */
export interface Submission<Req = any> {
  intake: Intake<Req>;
  caller: Caller;
  /** As read. Opened only by the stages listed in README.md. */
  message: Clear<Req>;
  /** Of a bulk stream. */
  bulk: boolean;
  traceparent: string;
  /** UUIDv7, 16 bytes and text. */
  flow: Uint8Array;
  flowId: string;

  // What stages leave behind.
  /** Set once refused; later stages pass it over. */
  refused?: GatewayError;
  school?: string;
  located?: unknown;
  /** The message as digested: encoded without transport fields. */
  bytes?: Uint8Array;
  found?: Found;
  salt?: Uint8Array;
  leaf?: Uint8Array;
  acceptedMs?: number;
  /** Accepted in a group: its receipt, and the root over the leaves of all that it holds. */
  group?: { receiptId: string; root: Uint8Array; atMs: number };
  /** Of a repeat in a stream: which group it was accepted in. */
  before?: Buffer;
  /** True when the reference was known with the same content. */
  repeated?: boolean;
}
