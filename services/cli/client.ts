/** The operator's side of the gateway, over gRPC with the operator's token. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  Client,
  type ClientOptions,
  type ClientWritableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import {
  type Config,
  isLoopback,
  type MethodDefinition,
  operatorAddress,
  parseAddress,
  settings,
  textOf,
} from '#kernel';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { Problem } from './problem.ts';

type Methods = typeof OperatorServiceDefinition.methods;
type Watched = { [K in keyof Methods]: Methods[K]['responseStream'] extends true ? K : never }[keyof Methods];
type Streamed = { [K in keyof Methods]: Methods[K]['requestStream'] extends true ? K : never }[keyof Methods];
type Unary = Exclude<keyof Methods, Streamed | Watched>;
type RequestOf<K extends keyof Methods> = ReturnType<Methods[K]['requestType']['decode']>;
type ResponseOf<K extends keyof Methods> = ReturnType<Methods[K]['responseType']['decode']>;

export interface Gateway {
  address: string;
  /** Fields that are absent are empty. Rejects with `Problem` or a `ServiceError` that `asProblem` reads. */
  ask<K extends Unary>(method: K, request: Partial<RequestOf<K>>, withinMs?: number): Promise<ResponseOf<K>>;
  /** Sends parts as fast as they are taken; the answer may come before the last. */
  send<K extends Streamed>(method: K, parts: AsyncIterable<Partial<RequestOf<K>>>): Promise<ResponseOf<K>>;
  /** What is told, one after the other, until it ends; whoever stops reading ends it. */
  watch<K extends Watched>(method: K, request: Partial<RequestOf<K>>): AsyncIterable<ResponseOf<K>>;
  close(): void;
}

/** An answer waits at most 10 s for a decision; a large file takes longer to read. Milliseconds. */
const ANSWER_MS = 30_000;
const FILE_MS = 10 * 60_000;

/** How a person starts one; part of every message that none is running. */
export const howToStart = 'Start one with `npm start` or `npx eduk start`.';

/** Where the gateway answers: the setting where it was given, else what a running gateway wrote, else the default. */
export function gatewayAddress(config: Config): string {
  const operator = operatorAddress(config);
  if (operator && operator.port !== 0) return textOf(operator);
  const given = parseAddress(config.EDUK_GRPC)?.port !== 0 && config.EDUK_GRPC !== settings.EDUK_GRPC.default;
  return given ? config.EDUK_GRPC : (writtenAddresses(config)?.['grpc'] ?? config.EDUK_GRPC);
}

/** What `eduk start` wrote; a gateway that was killed leaves its file behind. */
export function writtenAddresses(config: Config): Record<string, string> | undefined {
  try {
    const read: unknown = JSON.parse(readFileSync(join(config.EDUK_DATA, 'addresses.json'), 'utf8'));
    if (typeof read !== 'object' || read === null) return undefined;
    return Object.fromEntries(Object.entries(read).filter(([, value]) => typeof value === 'string'));
  } catch {
    return undefined; // None is running, or it is another gateway's folder: then EDUK_GRPC decides.
  }
}

export const tokenFile = (config: Config): string =>
  config.EDUK_TOKEN_FILE ?? config.EDUK_OPERATOR_KEY_FILE ?? join(config.EDUK_DATA, 'operator.key');

/** A token of the operators' provider: signed, in three parts. */
const OF_PROVIDER = /^ey[\w-]+\.[\w-]+\.[\w-]+$/;

function readToken(config: Config): string | undefined {
  const file = tokenFile(config);
  if (config.EDUK_TOKEN_FILE === undefined && !existsSync(file)) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Problem(
      'party.unknown',
      `The operator's token ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
    );
  }
  const token = text
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line.startsWith('eduk_operator_') || OF_PROVIDER.test(line));
  if (token === undefined)
    throw new Problem(
      'party.unknown',
      `${file} holds no operator's token: a line that starts with eduk_operator_, or a token of the operators' provider.`,
    );
  return token;
}

/** The operator's key itself, for what is proved with it. Throws `Problem`. */
export function operatorKeyOf(config: Config): string {
  const token = readToken(config);
  if (token !== undefined) return token;
  throw new Problem('party.unknown', `${tokenFile(config)} is not there.`);
}

/** Connects at the first question. Throws `Problem` when the token may not travel to that address. */
export function connectGateway(config: Config): Gateway {
  const address = gatewayAddress(config);
  const place = parseAddress(address);
  if (!place || place.port === 0)
    throw new Problem('peer.unavailable', `No gateway runs on ${config.EDUK_DATA}. ${howToStart}`, { who: 'us' });
  if (!isLoopback(place.host))
    throw new Problem(
      'party.forbidden',
      `${address} is not on this machine: without TLS the operator's token does not leave it.`,
    );
  const token = readToken(config);
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  // A proxy of the environment has no business between a command and its own machine.
  const options: ClientOptions = { 'grpc.enable_http_proxy': 0 };
  const client = new Client(address, credentials.createInsecure(), options);

  const plain = (thrown: unknown): unknown => {
    const error = thrown as ServiceError;
    const silent = (error.metadata?.get('eduk-fault') ?? []).length === 0;
    if (error.code === status.UNAVAILABLE && silent)
      return OTHER_TONGUE.test(error.details) ? notTheDoor(address) : notRunning(address);
    if (error.code === status.UNAUTHENTICATED && token === undefined)
      return new Problem(
        'party.unknown',
        `${tokenFile(config)} is not there. Was the gateway started in another folder, or with another EDUK_DATA? Else name the operator's token with EDUK_TOKEN_FILE.`,
      );
    if (error.code === status.UNAUTHENTICATED)
      return new Problem(
        'party.unknown',
        OF_PROVIDER.test(token ?? '')
          ? `The gateway at ${address} does not take the token in ${tokenFile(config)}: sign in again, or ask whether it takes tokens of this provider (EDUK_OIDC_ISSUER).`
          : `The gateway at ${address} does not know the token in ${tokenFile(config)}: does it run on another data folder (EDUK_DATA)?`,
      );
    return thrown;
  };
  const method = (key: keyof Methods) => {
    const definition: MethodDefinition = OperatorServiceDefinition.methods[key];
    const { fromPartial } = definition.requestType as unknown as { fromPartial(request: unknown): unknown };
    return {
      path: `/${OperatorServiceDefinition.fullName}/${definition.name}`,
      encode: (message: unknown): Buffer => Buffer.from(definition.requestType.encode(fromPartial(message)).finish()),
      decode: (bytes: Buffer): never => definition.responseType.decode(bytes) as never,
    };
  };

  return {
    address,
    ask: (key, request, withinMs = ANSWER_MS) =>
      new Promise((resolve, reject) => {
        const { path, encode, decode } = method(key);
        client.makeUnaryRequest(
          path,
          encode,
          decode,
          request as unknown,
          metadata,
          { deadline: Date.now() + withinMs },
          (error, answer) => (error ? reject(plain(error)) : resolve(answer!)),
        );
      }),
    send: async (key, parts) => {
      const { path, encode, decode } = method(key);
      let call: ClientWritableStream<unknown> | undefined;
      let answered = false;
      let wake = () => {};
      const answer = new Promise<never>((resolve, reject) => {
        const done = (settle: () => void) => {
          answered = true;
          wake();
          settle();
        };
        call = client.makeClientStreamRequest<unknown, never>(
          path,
          encode,
          decode,
          metadata,
          { deadline: Date.now() + FILE_MS },
          (error, message) => done(() => (error ? reject(plain(error)) : resolve(message!))),
        );
      });
      answer.catch(() => undefined); // Awaited below, after the parts.
      try {
        for await (const part of parts) {
          if (answered) break;
          if (!call!.write(part))
            await new Promise<void>((resolve) => {
              wake = resolve;
              if (answered) resolve();
              call!.once('drain', resolve);
            });
        }
      } catch (error) {
        call!.cancel();
        throw error;
      }
      call!.end();
      return answer;
    },
    watch: async function* (key, request) {
      const { path, encode, decode } = method(key);
      const call = client.makeServerStreamRequest<unknown, never>(path, encode, decode, request as unknown, metadata);
      try {
        for await (const message of call) yield message as never;
      } catch (error) {
        throw plain(error);
      } finally {
        call.cancel();
      }
    },
    close: () => client.close(),
  };
}

const notRunning = (address: string): Problem =>
  new Problem('peer.unavailable', `No gateway answers at ${address}. ${howToStart}`, { who: 'us' });

/** What the gRPC client says of a server that speaks no HTTP/2. */
const OTHER_TONGUE = /Protocol error/;

const notTheDoor = (address: string): Problem =>
  new Problem(
    'peer.refused',
    `What answers at ${address} is not a gateway's gRPC door: perhaps its pages, or another program. EDUK_GRPC is to name the address that stands after grpc= in the line that the gateway starts with.`,
    { who: 'us' },
  );
