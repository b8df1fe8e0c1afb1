/** A gateway of a test's own, in this process on free ports, and clients that speak to it over the wire. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { type ServiceDefinition, schoolOin } from '#kernel';
import type { Role, Service } from '#proto/eduk/core/v1/party';
import { AccessServiceDefinition } from '#proto/eduk/gateway/v1/access';
import { AuditServiceDefinition } from '#proto/eduk/gateway/v1/audit';
import { CatalogueServiceDefinition } from '#proto/eduk/gateway/v1/catalogue';
import { DeliveryServiceDefinition } from '#proto/eduk/gateway/v1/delivery';
import { EntitlementServiceDefinition } from '#proto/eduk/gateway/v1/entitlement';
import { FlowServiceDefinition } from '#proto/eduk/gateway/v1/flow';
import { IdentityServiceDefinition } from '#proto/eduk/gateway/v1/identity';
import { OrderServiceDefinition } from '#proto/eduk/gateway/v1/order';
import { PartyServiceDefinition } from '#proto/eduk/gateway/v1/party';
import { ResultServiceDefinition } from '#proto/eduk/gateway/v1/result';
import { RosterServiceDefinition } from '#proto/eduk/gateway/v1/roster';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { type Gateway, startGateway } from '../../services/main.ts';

type RequestOf<M> = M extends { requestType: { fromPartial(object: infer T): unknown } } ? T : never;
type ResponseOf<M> = M extends { responseType: { decode(bytes: Uint8Array): infer T } } ? T : never;

/** Unary methods answer; watches and bulk streams give the call. */
export type WireClient<D extends ServiceDefinition> = {
  [K in keyof D['methods']]: D['methods'][K] extends { responseStream: false; requestStream: false }
    ? (request?: RequestOf<D['methods'][K]>) => Promise<ResponseOf<D['methods'][K]>>
    : D['methods'][K] extends { requestStream: true; responseStream: true }
      ? () => ClientDuplexStream<RequestOf<D['methods'][K]>, ResponseOf<D['methods'][K]>>
      : D['methods'][K] extends { responseStream: true }
        ? (request?: RequestOf<D['methods'][K]>) => ClientReadableStream<ResponseOf<D['methods'][K]>>
        : (requests: Iterable<RequestOf<D['methods'][K]>>) => Promise<ResponseOf<D['methods'][K]>>;
};

/** What a caller sees of a fault. */
export class Fault extends Error {
  readonly code: string;
  readonly grpcCode: number;
  readonly details: string;
  readonly metadata: Metadata;
  constructor(error: ServiceError) {
    super(error.details);
    this.code = error.metadata?.get('eduk-fault')[0]?.toString() ?? '';
    this.grpcCode = error.code;
    this.details = error.details;
    this.metadata = error.metadata ?? new Metadata();
  }
}

export function wire<D extends ServiceDefinition>(
  definition: D,
  client: GrpcClient,
  authorization?: string,
  more: Readonly<Record<string, string>> = {},
): WireClient<D> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(more)) metadata.set(name, value);
  if (authorization) metadata.set('authorization', authorization);
  const result: Record<string, unknown> = {};
  for (const [key, method] of Object.entries(definition.methods)) {
    const path = `/${definition.fullName}/${method.name}`;
    const write = (message: unknown) =>
      Buffer.from(
        method.requestType
          .encode((method.requestType as never as { fromPartial(o: unknown): unknown }).fromPartial(message ?? {}))
          .finish(),
      );
    const read = (bytes: Buffer) => method.responseType.decode(bytes);
    if (method.requestStream && method.responseStream)
      result[key] = () => client.makeBidiStreamRequest(path, write, read, metadata);
    else if (method.responseStream)
      result[key] = (request: unknown) => client.makeServerStreamRequest(path, write, read, request, metadata);
    else if (method.requestStream)
      result[key] = (requests: Iterable<unknown>) =>
        new Promise((resolve, reject) => {
          const call = client.makeClientStreamRequest(path, write, read, metadata, (error, message) =>
            error ? reject(new Fault(error)) : resolve(message),
          );
          for (const request of requests) call.write(request);
          call.end();
        });
    else
      result[key] = (request: unknown) =>
        new Promise((resolve, reject) =>
          client.makeUnaryRequest(path, write, read, request, metadata, (error, message) =>
            error ? reject(new Fault(error)) : resolve(message),
          ),
        );
  }
  return result as WireClient<D>;
}

/** All services as one party calls them. `more`: other metadata of each call. */
export function clientsOf(
  client: GrpcClient,
  authorization: string | undefined,
  more: Readonly<Record<string, string>> = {},
) {
  return {
    parties: wire(PartyServiceDefinition, client, authorization, more),
    catalogue: wire(CatalogueServiceDefinition, client, authorization, more),
    rosters: wire(RosterServiceDefinition, client, authorization, more),
    orders: wire(OrderServiceDefinition, client, authorization, more),
    entitlements: wire(EntitlementServiceDefinition, client, authorization, more),
    access: wire(AccessServiceDefinition, client, authorization, more),
    results: wire(ResultServiceDefinition, client, authorization, more),
    identity: wire(IdentityServiceDefinition, client, authorization, more),
    deliveries: wire(DeliveryServiceDefinition, client, authorization, more),
    flows: wire(FlowServiceDefinition, client, authorization, more),
    audit: wire(AuditServiceDefinition, client, authorization, more),
  };
}

export type Clients = ReturnType<typeof clientsOf>;

export interface TestParty extends Clients {
  oin: string;
  apiKey: string;
  clientId: string;
  clientSecret: string;
  klantcode: string;
  klantnaam: string;
}

export interface TestGateway {
  gateway: Gateway;
  folder: string;
  http: string;
  operator: WireClient<typeof OperatorServiceDefinition>;
  channel: GrpcClient;
  /** Registers a party and gives its clients. `attributes`: what it declares that it needs. */
  party(name: string, roles: Role[], oin?: string, attributes?: readonly string[]): Promise<TestParty>;
  /** Grants and confirms; gives mandate id and key. */
  mandate(
    school: string,
    party: string,
    services: Service[],
    more?: { confirm?: boolean; attributes?: string[] },
  ): Promise<{ mandateId: string; autorisatiesleutel: string }>;
  anonymous: Clients;
  as(authorization: string): Clients;
  /** Stops and starts on the same folder; `between` runs while it is stopped, and `more` settings hold from then on. */
  restart(between?: () => void, more?: Record<string, string>): Promise<void>;
  stop(): Promise<void>;
}

let nextOin = 1;
/** A test OIN: prefix 00000099. */
export const newOin = (): string => `00000099${String(nextOin++).padStart(9, '0')}000`;

export async function startTestGateway(env: Record<string, string> = {}): Promise<TestGateway> {
  const parent = mkdtempSync(join(tmpdir(), 'eduk-gateway-'));
  const folder = join(parent, 'data');
  const settings = { EDUK_DATA: folder, EDUK_GRPC: '127.0.0.1:0', EDUK_HTTP: '127.0.0.1:0', EDUK_LOG: 'error', ...env };
  const self = {} as TestGateway;
  const open = async () => {
    self.gateway = await startGateway(settings);
    self.http = `http://${self.gateway.addresses.http}`;
    self.channel = new GrpcClient(self.gateway.addresses.grpc, credentials.createInsecure());
    self.operator = wire(
      OperatorServiceDefinition,
      self.channel,
      `Bearer ${readFileSync(join(folder, 'operator.key'), 'utf8').trim()}`,
    );
    self.anonymous = clientsOf(self.channel, undefined);
  };
  Object.assign(self, {
    folder,
    as: (authorization: string) => clientsOf(self.channel, authorization),
    party: async (name: string, roles: Role[], oin = newOin(), attributes: readonly string[] = []) => {
      const added = await self.operator.addParty({ party: { oin, name, roles, attributes: [...attributes] } });
      return {
        oin,
        apiKey: added.apiKey,
        clientId: added.clientId,
        clientSecret: added.clientSecret,
        klantcode: added.klantcode,
        klantnaam: added.klantnaam,
        ...self.as(`Bearer ${added.apiKey}`),
      };
    },
    mandate: async (
      school: string,
      party: string,
      services: Service[],
      more: { confirm?: boolean; attributes?: string[] } = {},
    ) => {
      const { mandateId, autorisatiesleutel } = await self.operator.grantMandate({
        mandate: { schoolOin: school, partyOin: party, services, attributes: more.attributes ?? [] },
        confirm: more.confirm ?? true,
      });
      return { mandateId, autorisatiesleutel };
    },
    restart: async (between?: () => void, more: Record<string, string> = {}) => {
      self.channel.close();
      await self.gateway.stop();
      between?.();
      Object.assign(settings, more);
      await open();
    },
    stop: async () => {
      self.channel.close();
      await self.gateway.stop();
      rmSync(parent, { recursive: true, force: true });
    },
  });
  await open();
  return self;
}

/** Sends items over a bulk stream and gives the answers; resolves when the stream ended. */
export function sendAll<Q, A>(call: ClientDuplexStream<Q, A>, items: Iterable<Q>): Promise<A[]> {
  return new Promise((resolve, reject) => {
    const answers: A[] = [];
    call.on('data', (answer: A) => answers.push(answer));
    call.on('error', (error) => reject(new Fault(error as ServiceError)));
    call.on('end', () => resolve(answers));
    for (const item of items) call.write(item);
    call.end();
  });
}

/** Reads a watch until `enough` says so, then cancels it. Fails after `ms`. */
export function readUntil<A>(call: ClientReadableStream<A>, enough: (seen: A[]) => boolean, ms = 60_000): Promise<A[]> {
  return new Promise((resolve, reject) => {
    const seen: A[] = [];
    const timer = setTimeout(() => {
      call.cancel();
      reject(new Error(`a watch saw ${seen.length} messages in ${ms} ms, which was not enough`));
    }, ms);
    call.on('data', (message: A) => {
      seen.push(message);
      if (!enough(seen)) return;
      clearTimeout(timer);
      call.cancel();
      resolve(seen);
    });
    call.on('error', (error) => {
      clearTimeout(timer);
      if (!enough(seen)) reject(new Fault(error as ServiceError));
    });
    call.on('end', () => {
      clearTimeout(timer);
      resolve(seen);
    });
  });
}

/** Invented schools: BRINs that start with 99. */
let nextSchool = 0;
export const newSchool = (): string =>
  schoolOin(
    `99${String.fromCharCode(65 + Math.floor(nextSchool / 26))}${String.fromCharCode(65 + (nextSchool++ % 26))}`,
  );

/** An invented ECK iD under the pilot's address. */
export const eckId = (n: number): string => `https://ketenid.nl/pilot/${n.toString(16).padStart(128, '0')}`;
