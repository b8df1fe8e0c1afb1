/**
 * A party's side of gRPC: the published contracts, read by a library that the gateway does not use for its own. Names are
 * the JSON names of the contracts, enums are their words, whole numbers are numbers.
 */
import { join } from 'node:path';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const contracts = join(import.meta.dirname, '../../proto');
const files = ['access', 'catalogue', 'entitlement', 'identity', 'order', 'party', 'result', 'roster'];

/** A message as JSON has it. Simulated parties look only at fields that the contracts name. */
export type Message = Record<string, any>;

/** The gateway's refusal of a call: its stable code and its words. */
export class Refused extends Error {
  readonly code: string;
  constructor(code: string, told: string) {
    super(told);
    this.code = code;
  }
}

const asRefused = (error: ServiceError): Refused =>
  new Refused(error.metadata?.get('eduk-fault')[0]?.toString() ?? status[error.code] ?? 'unknown', error.details);

export interface BulkOutcome {
  /** Items answered, whether taken or refused. */
  answered: number;
  refusals: { index: number; code: string }[];
  /** Answers, one a committed group. */
  groups: number;
}

export interface Wire {
  /** `method` as `OrderService/PlaceOrder`. Rejects with `Refused`. */
  call(method: string, request: Message): Promise<Message>;
  /** Sends all items; resolves once each has been answered. Rejects with `Refused` when the stream itself is. */
  bulk(method: string, items: Iterable<Message>): Promise<BulkOutcome>;
  /** Follows a mailbox until the program ends, from the last cursor when the stream breaks. `told` gets each message once or again. */
  watch(method: string, told: (message: Message) => void, ended: (refused: Refused) => void): void;
  close(): void;
}

interface Method {
  path: string;
  requestSerialize(message: Message): Buffer;
  responseDeserialize(bytes: Buffer): Message;
}

const RETRY_MS = 500;
const CALL_MS = 30_000;

/** `address` is host:port on loopback, where an API key will do. */
export function wireTo(address: string, apiKey: string): Wire {
  const definition = loadSync(
    files.map((file) => join(contracts, `eduk/gateway/v1/${file}.proto`)),
    { includeDirs: [contracts], longs: Number, enums: String, defaults: true, arrays: true },
  );
  const services = (loadPackageDefinition(definition) as Message)['eduk'].gateway.v1;
  const methods = new Map<string, Method>();
  for (const [service, { service: described }] of Object.entries<Message>(services))
    for (const [name, method] of Object.entries<Message>(described ?? {}))
      methods.set(`${service}/${name}`, method as Method);
  const methodOf = (name: string): Method => {
    const method = methods.get(name);
    if (!method) throw new Error(`The contracts have no method ${name}.`);
    return method;
  };
  const client = new Client(address, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${apiKey}`);
  let closed = false;

  return {
    call(name, request) {
      const { path, requestSerialize, responseDeserialize } = methodOf(name);
      return new Promise((resolve, reject) => {
        const deadline = Date.now() + CALL_MS;
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
          { deadline },
          (error, answer) => (error ? reject(asRefused(error)) : resolve(answer!)),
        );
      });
    },

    bulk(name, items) {
      const { path, requestSerialize, responseDeserialize } = methodOf(name);
      const stream: ClientDuplexStream<Message, Message> = client.makeBidiStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        metadata,
      );
      const outcome: BulkOutcome = { answered: 0, refusals: [], groups: 0 };
      return new Promise((resolve, reject) => {
        stream.on('data', ({ through, refusals }: Message) => {
          outcome.answered = through + 1;
          outcome.groups++;
          for (const { index, code } of refusals) outcome.refusals.push({ index, code });
        });
        stream.on('error', (error: ServiceError) => reject(asRefused(error)));
        stream.on('end', () => resolve(outcome));
        const send = async (): Promise<void> => {
          for (const item of items)
            if (!stream.write(item)) await new Promise((drained) => stream.once('drain', () => drained(undefined)));
          stream.end();
        };
        send().catch(reject);
      });
    },

    watch(name, told, ended) {
      const { path, requestSerialize, responseDeserialize } = methodOf(name);
      let cursor = '';
      const follow = (): void => {
        const stream: ClientReadableStream<Message> = client.makeServerStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          { cursor },
          metadata,
        );
        stream.on('data', (message: Message) => {
          cursor = message['cursor'];
          told(message);
        });
        stream.on('error', (error: ServiceError) => {
          if (closed) return;
          if (error.code === status.PERMISSION_DENIED || error.code === status.UNAUTHENTICATED)
            return ended(asRefused(error));
          setTimeout(follow, RETRY_MS).unref();
        });
      };
      follow();
    },

    close() {
      closed = true;
      client.close();
    },
  };
}

/** Runs `work` on every item, at most `atOnce` at a time; rejects with the first that failed. */
export async function inTurns<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) await work(items[index]!, index);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}
