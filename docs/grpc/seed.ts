/**
 * Makes a running gateway ready for the bodies in this folder: registers the callers of bodies.json and gives them their
 * mandates for one invented school. `eval "$(npx node docs/grpc/seed.ts)"` leaves each caller's API key in the shell.
 * A gateway shows a key once: a party that was there before keeps the key it has.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { readConfig } from '#kernel';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import {
  AddPartyRequest,
  AddPartyResponse,
  GrantMandateRequest,
  GrantMandateResponse,
  ListMandatesRequest,
  ListMandatesResponse,
} from '#proto/eduk/operator/v1/operator';

export const school = '0000000700099ZZ00000';

interface SeedParty {
  /** As `caller` in bodies.json. */
  caller: string;
  oin: string;
  name: string;
  roles: Role[];
  services: Service[];
  /** Where it has its mail sent to; absent = nowhere. */
  webhook?: string;
}

export const parties: readonly SeedParty[] = [
  { caller: 'school', oin: school, name: 'De Wilgenhof', roles: [Role.ROLE_SCHOOL], services: [] },
  {
    caller: 'administration',
    oin: '00000099100000001000',
    name: 'De Leerlijst',
    roles: [Role.ROLE_ADMINISTRATION],
    services: [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_RESULT],
  },
  {
    caller: 'distributor',
    oin: '00000099100000002000',
    name: 'Boekenberg',
    roles: [Role.ROLE_DISTRIBUTOR],
    services: [Service.SERVICE_ENTITLEMENT],
  },
  {
    caller: 'publisher',
    oin: '00000099100000003000',
    name: 'Uitgeverij Wilg',
    roles: [Role.ROLE_PUBLISHER],
    services: [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT],
  },
  {
    caller: 'dashboard',
    oin: '00000099100000004000',
    name: 'Zicht op Leren',
    roles: [Role.ROLE_DASHBOARD],
    services: [Service.SERVICE_PROGRESS],
  },
  {
    caller: 'platform',
    oin: '00000099100000005000',
    name: 'Leerplein',
    roles: [Role.ROLE_PLATFORM],
    services: [
      Service.SERVICE_ROSTER,
      Service.SERVICE_ENTITLEMENT,
      Service.SERVICE_ACCESS,
      Service.SERVICE_RESULT,
      Service.SERVICE_USAGE,
    ],
    // Nobody listens there: what does not arrive is what DeliveryService tells of.
    webhook: 'http://127.0.0.1:9/webhook',
  },
];

/** Name of the shell variable with a caller's key. Not EDUK_…: those are settings. */
export const variableOf = (caller: string): string => `KEY_${caller.toUpperCase()}`;

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

function connect(): { ask<Q, A>(method: string, of: Codec<Q>, to: Codec<A>, request: Q): Promise<A>; close(): void } {
  const { EDUK_DATA: folder, EDUK_TOKEN_FILE: token } = readConfig(process.env);
  const addresses = join(folder, 'addresses.json');
  if (!existsSync(addresses)) {
    console.error(`No gateway runs on ${folder}: start one with \`npm start\`, or name its folder with EDUK_DATA.`);
    process.exit(1);
  }
  const { grpc } = JSON.parse(readFileSync(addresses, 'utf8')) as { grpc: string };
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${readFileSync(token ?? join(folder, 'operator.key'), 'utf8').trim()}`);
  const client = new Client(grpc, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
  return {
    ask: (method, of, to, request) =>
      new Promise((resolve, reject) =>
        client.makeUnaryRequest(
          `/eduk.operator.v1.OperatorService/${method}`,
          (message: typeof request) => Buffer.from(of.encode(message).finish()),
          (bytes: Buffer) => to.decode(bytes),
          request,
          metadata,
          (error, answer) => (error ? reject(error) : resolve(answer!)),
        ),
      ),
    close: () => client.close(),
  };
}

async function main(): Promise<void> {
  const gateway = connect();
  for (const { caller, oin, name, roles, services, webhook } of parties) {
    const endpoints = webhook === undefined ? [] : [{ standard: 'webhook', url: webhook }];
    const added = await gateway.ask(
      'AddParty',
      AddPartyRequest,
      AddPartyResponse,
      AddPartyRequest.fromPartial({ party: { oin, name, roles, endpoints } }),
    );
    if (added.apiKey) console.log(`export ${variableOf(caller)}=${added.apiKey}`);
    else
      console.error(
        `${caller} (${oin}) was registered before; its key was shown then. To begin anew: docs/grpc/README.md`,
      );
    if (services.length === 0) continue;
    const { mandates } = await gateway.ask(
      'ListMandates',
      ListMandatesRequest,
      ListMandatesResponse,
      ListMandatesRequest.fromPartial({ schoolOin: school, partyOin: oin }),
    );
    const given = mandates.some(
      (mandate) =>
        mandate.state === MandateState.MANDATE_STATE_ACTIVE &&
        services.every((service) => mandate.services.includes(service)),
    );
    if (!given)
      await gateway.ask(
        'GrantMandate',
        GrantMandateRequest,
        GrantMandateResponse,
        GrantMandateRequest.fromPartial({ mandate: { schoolOin: school, partyOin: oin, services }, confirm: true }),
      );
  }
  gateway.close();
}

if (import.meta.main) await main();
