/**
 * One way to call a service, whatever carries it: a message port in one process, gRPC between processes. Definitions are
 * what ts-proto writes (`generic-definitions`); errors travel as fault, words and paths.
 */
import { type Decoder, decodedWith, type Encoder, encoded } from './codec.ts';
import { callerGone, Gone, timeLeft, tooLate, within } from './deadline.ts';
import { asGatewayError, type Fault, GatewayError, isFault, type Where } from './errors.ts';

export interface Codec<T> extends Encoder<T>, Decoder<T> {}

export interface MethodDefinition {
  name: string;
  requestType: Codec<any>;
  requestStream: boolean;
  responseType: Codec<any>;
  responseStream: boolean;
}

export interface ServiceDefinition {
  name: string;
  fullName: string;
  methods: Record<string, MethodDefinition>;
}

type RequestOf<M> = M extends { requestType: Codec<infer T> } ? T : never;
type ResponseOf<M> = M extends { responseType: Codec<infer T> } ? T : never;

/** What a service must provide: one function per method. */
export type Handlers<D extends ServiceDefinition> = {
  [K in keyof D['methods']]: (
    request: RequestOf<D['methods'][K]>,
  ) => ResponseOf<D['methods'][K]> | Promise<ResponseOf<D['methods'][K]>>;
};

/** What a caller gets: the same functions, always asynchronous. */
export type Client<D extends ServiceDefinition> = {
  [K in keyof D['methods']]: (request: RequestOf<D['methods'][K]>) => Promise<ResponseOf<D['methods'][K]>>;
};

/** Carries encoded calls. `call` rejects with a `GatewayError`. */
export interface Transport {
  call(service: string, method: string, request: Uint8Array): Promise<Uint8Array>;
}

export interface Implementation {
  definition: ServiceDefinition;
  handlers: Record<string, (request: any) => unknown>;
}

export const implement = <D extends ServiceDefinition>(definition: D, handlers: Handlers<D>): Implementation => ({
  definition,
  handlers: handlers as Record<string, (request: any) => unknown>,
});

export function connect<D extends ServiceDefinition>(definition: D, transport: Transport): Client<D> {
  const client: Record<string, (request: unknown) => Promise<unknown>> = {};
  for (const [key, method] of Object.entries(definition.methods))
    client[key] = async (request) =>
      decodedWith(
        method.responseType,
        await transport.call(definition.fullName, key, encoded(method.requestType, request)),
      );
  return client as Client<D>;
}

/** Finds the method among implementations, decodes, calls, encodes. */
export function dispatcher(implementations: readonly Implementation[]): Transport {
  const methods = new Map<string, { method: MethodDefinition; handler: (request: unknown) => unknown }>();
  for (const { definition, handlers } of implementations)
    for (const [key, method] of Object.entries(definition.methods)) {
      const handler = handlers[key];
      if (!handler) throw new Error(`${definition.fullName}.${key} has no handler`);
      methods.set(`${definition.fullName}/${key}`, { method, handler });
    }
  return {
    async call(service, key, request) {
      const found = methods.get(`${service}/${key}`);
      if (!found) throw new GatewayError('gateway.bug', `No service answers ${service}/${key}.`);
      return encoded(found.method.responseType, await found.handler(decodedWith(found.method.requestType, request)));
    },
  };
}

/** A port as `node:worker_threads` and tests have it. */
export interface Port {
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  on(event: 'message', listener: (message: any) => void): unknown;
}

/** One call as it crosses. */
export interface Call {
  id: number;
  service: string;
  method: string;
  bytes: Uint8Array;
  /** How long the caller waits from now on, milliseconds; absent = not said. */
  timeoutMs?: number | undefined;
}
/** What came of it: bytes, or an error. */
export interface Answer {
  id: number;
  bytes?: Uint8Array;
  error?: { fault: string; told: string; where: readonly Where[]; retryAfterS?: number | undefined };
}

export interface PortTransport extends Transport {
  /** As `Transport.call`. The other side is told how long the caller waits (by default what it said), and when it leaves. */
  call(service: string, method: string, request: Uint8Array, timeoutMs?: number): Promise<Uint8Array>;
  /** The other side is gone: everything under way and to come fails so. */
  fail(error: GatewayError): void;
  /** Fails what was called with `timeoutMs` and has waited longer. To be asked now and then: a timer for each call would cost more than the call. */
  expire(error: () => GatewayError): void;
  /** Calls without an answer. */
  readonly underWay: number;
}

/** Ids of calls stay below this, so that any form carries them. */
const IDS = 2 ** 31;

/** Calls over a port. Those made in one turn of the event loop cross together. */
export function portTransport(port: Port): PortTransport {
  let next = 1;
  let outgoing: Call[] = [];
  let cancels: number[] = [];
  const send = (): void => {
    const [calls, left] = [outgoing, cancels];
    [outgoing, cancels] = [[], []];
    port.postMessage(left.length > 0 ? { calls, cancels: left } : { calls }, transferable(calls));
  };
  const waiting = new Map<
    number,
    { resolve(bytes: Uint8Array): void; reject(error: unknown): void; untilMs: number | undefined }
  >();
  let failed: GatewayError | undefined;
  port.on('message', (message: { answers?: Answer[] }) => {
    for (const answer of message.answers ?? []) {
      const caller = waiting.get(answer.id);
      waiting.delete(answer.id);
      if (answer.bytes) caller?.resolve(answer.bytes);
      else caller?.reject(fromWire(answer.error!));
    }
  });
  return {
    call(service, method, bytes, timeoutMs = timeLeft()) {
      if (failed) return Promise.reject(failed);
      const gone = callerGone();
      if (gone?.isGone) return Promise.reject(tooLate());
      return new Promise((resolve, reject) => {
        const id = next;
        next = (next + 1) % IDS;
        const stays = gone?.onGone(() => {
          if (!waiting.delete(id)) return;
          if (outgoing.length + cancels.length === 0) queueMicrotask(send);
          cancels.push(id);
          reject(tooLate());
        });
        waiting.set(id, {
          resolve(result) {
            stays?.();
            resolve(result);
          },
          reject(error) {
            stays?.();
            reject(error);
          },
          untilMs: timeoutMs === undefined ? undefined : performance.now() + timeoutMs,
        });
        if (outgoing.length + cancels.length === 0) queueMicrotask(send);
        outgoing.push({ id, service, method, bytes, timeoutMs });
      });
    },
    fail(error) {
      failed = error;
      for (const caller of waiting.values()) caller.reject(error);
      waiting.clear();
    },
    expire(error) {
      const now = performance.now();
      for (const [id, { untilMs, reject }] of waiting)
        if (untilMs !== undefined && untilMs < now) {
          waiting.delete(id);
          reject(error());
        }
    },
    get underWay() {
      return waiting.size;
    },
  };
}

/** Answers calls that arrive on a port. */
export function serveOnPort(port: Port, target: Transport): void {
  let outgoing: Answer[] = [];
  const answer = (a: Answer) => {
    if (outgoing.push(a) === 1)
      queueMicrotask(() => {
        const answers = outgoing;
        outgoing = [];
        port.postMessage({ answers }, transferable(answers));
      });
  };
  /** Callers that wait for an answer. */
  const callers = new Map<number, Gone>();
  port.on('message', (message: { calls?: Call[]; cancels?: number[] }) => {
    for (const { id, service, method, bytes, timeoutMs } of message.calls ?? []) {
      const gone = new Gone();
      callers.set(id, gone);
      within(timeoutMs, () => target.call(service, method, bytes), gone).then(
        (result) => {
          callers.delete(id);
          answer({ id, bytes: result });
        },
        (thrown) => {
          callers.delete(id);
          const error = asGatewayError(thrown);
          if (error.fault === 'gateway.bug') onBug?.(error, service, method);
          answer({
            id,
            error: { fault: error.fault, told: error.told, where: error.where, retryAfterS: error.retryAfterS },
          });
        },
      );
    }
    for (const id of message.cancels ?? []) callers.get(id)?.leave();
  });
}

let onBug: ((error: GatewayError, service: string, method: string) => void) | undefined;
/** Where bugs that cross a port are recorded. */
export const recordBugs = (record: (error: GatewayError, service: string, method: string) => void): void => {
  onBug = record;
};

function fromWire(error: NonNullable<Answer['error']>): GatewayError {
  const fault: Fault = isFault(error.fault) ? error.fault : 'gateway.bug';
  return new GatewayError(fault, error.told, {
    where: error.where,
    ...(error.retryAfterS === undefined ? {} : { retryAfterS: error.retryAfterS }),
  });
}

/** Buffers that own their whole memory can move; slices of a pool are copied. */
function transferable(items: readonly { bytes?: Uint8Array }[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { bytes } of items)
    if (
      bytes &&
      bytes.buffer instanceof ArrayBuffer &&
      bytes.byteLength === bytes.buffer.byteLength &&
      bytes.byteLength > 4096
    )
      buffers.add(bytes.buffer);
  return [...buffers];
}
