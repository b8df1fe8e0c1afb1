/** The inbound door as a whole: what `services/main.ts` starts. */

import { setMaxListeners } from 'node:events';
import { type Address, type Clock, connect, HmacKey, type Transport } from '#kernel';
import { AccessServiceDefinition } from '#proto/eduk/access/v1/access';
import { LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import { CatalogueServiceDefinition } from '#proto/eduk/catalogue/v1/catalogue';
import { DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { EntitlementsServiceDefinition } from '#proto/eduk/entitlements/v1/entitlements';
import { FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import { OrdersServiceDefinition } from '#proto/eduk/orders/v1/orders';
import { PartiesServiceDefinition } from '#proto/eduk/parties/v1/parties';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { ResultsServiceDefinition } from '#proto/eduk/results/v1/results';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { Chain } from './chain.ts';
import { Cursors } from './cursor.ts';
import { ForgetWatch } from './forgetting.ts';
import type { Gate } from './gate.ts';
import { startGrpc } from './grpc/server.ts';
import { startHttp } from './http/server.ts';
import { RefusalNotes } from './refusals.ts';
import { AccessTokens, digestOf } from './secrets.ts';
import type { Door, Services } from './submission.ts';

export interface DoorOptions {
  grpc: Address;
  http: Address;
  internal: Address | undefined;
  /** Default: http:// and the bound HTTP address. */
  publicUrl: string | undefined;
  state: Transport;
  vault: Transport;
  clock: Clock;
  /** The operator's secret; only its digest is kept. */
  operatorKey: string;
  devKey: boolean;
  version: string;
}

export interface Doors {
  grpc: string;
  http: string;
  /** No new messages; answers under way still leave. */
  close(): void;
  stop(graceMs: number): Promise<void>;
}

export async function startDoors(options: DoorOptions): Promise<Doors> {
  const { state, vault, clock } = options;
  const services: Services = {
    log: connect(LogServiceDefinition, state),
    parties: connect(PartiesServiceDefinition, state),
    catalogue: connect(CatalogueServiceDefinition, state),
    rosters: connect(RostersServiceDefinition, state),
    orders: connect(OrdersServiceDefinition, state),
    entitlements: connect(EntitlementsServiceDefinition, state),
    access: connect(AccessServiceDefinition, state),
    results: connect(ResultsServiceDefinition, state),
    flows: connect(FlowsServiceDefinition, state),
    delivery: connect(DeliveryServiceDefinition, state),
    vault: connect(VaultServiceDefinition, vault),
  };
  const { digestKey, cursorKey, tokenKey } = await services.vault.doorKeys({});
  const secrets = new HmacKey(tokenKey);
  const chain = new Chain(services.parties, clock);
  await chain.start();
  const forgetting = new ForgetWatch(services, () => clock.now());
  await forgetting.start();
  const closing = new AbortController();
  setMaxListeners(0, closing.signal); // One for each open watch.
  let publicUrl = options.publicUrl ?? '';
  const door: Door = {
    services,
    chain,
    clock,
    digestKey: new HmacKey(digestKey),
    open: () => !closing.signal.aborted,
    closing: closing.signal,
    publicUrl: () => publicUrl,
    derive: (purpose, id) => secrets.digest(`${purpose}|${id}`).toString('base64url'),
  };
  const notes = new RefusalNotes(services.flows);
  const gate: Gate = {
    door,
    proofs: {
      chain,
      tokens: new AccessTokens(tokenKey, () => publicUrl),
      operatorKey: digestOf(options.operatorKey),
      now: () => clock.now(),
    },
    cursors: new Cursors(cursorKey),
    notes,
    devKey: options.devKey,
    version: options.version,
  };
  // HTTP first: the bound port is part of the public address.
  publicUrl ||= urlOf(options.http);
  const http = await startHttp(options.http, gate, { public: true, internal: options.internal === undefined });
  if (!options.publicUrl) publicUrl = urlOf({ ...options.http, port: http.port });
  const internal = options.internal
    ? await startHttp(options.internal, gate, { public: false, internal: true })
    : undefined;
  const grpc = await startGrpc(options.grpc, gate);
  return {
    grpc: addressOf({ ...options.grpc, port: grpc.port }),
    http: addressOf({ ...options.http, port: http.port }),
    close: () => closing.abort(),
    async stop(graceMs) {
      closing.abort();
      await Promise.all([grpc.stop(graceMs), http.stop(graceMs), internal?.stop(graceMs)]);
      await notes.flush();
      notes.stop();
      chain.stop();
      forgetting.stop();
    },
  };
}

const addressOf = ({ host, port }: Address): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
const urlOf = (address: Address): string => `http://${addressOf(address)}`;
