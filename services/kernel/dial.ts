import { type ClientRequest, Agent as HttpAgent, type IncomingHttpHeaders, request as plainRequest } from 'node:http';
import { Agent as HttpsAgent, request as tlsRequest } from 'node:https';
import { connect as connectTo, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Address } from './config.ts';
import { GatewayError } from './errors.ts';
import { hostOf, lookupIn, type Networks, NOT_ALLOWED, notAllowed, type Resolve } from './networks.ts';

/**
 * The one way out: every request that the gateway makes to somebody else's address goes through here, and a test refuses
 * any other. Where it may go is judged at each connect, on the address that is connected to; a redirect is an answer.
 */

/** Why there is no answer. */
export type DialCause =
  | 'refused'
  | 'unknown_host'
  | 'address'
  | 'tls'
  | 'timeout'
  | 'reset'
  | 'too_large'
  | 'unreadable';

/** No answer, or none that can be read. It names neither address nor words of who was asked. */
export class DialError extends GatewayError {
  readonly reason: DialCause;
  constructor(reason: DialCause, cause?: unknown) {
    super('peer.unavailable', `No usable answer: ${reason}.`, { cause });
    this.name = 'DialError';
    this.reason = reason;
  }
}

export interface Ask {
  /** Default: GET. */
  method?: string;
  headers?: Readonly<Record<string, string>>;
  body?: Uint8Array | string | undefined;
  /** Milliseconds for resolving, connecting and the whole answer together; default 10,000. */
  timeoutMs?: number;
  /** Largest body of an answer, bytes; default 1 MiB. */
  mostBytes?: number;
  signal?: AbortSignal | undefined;
}

export interface DialAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Dialler {
  /** Where it may go. */
  readonly networks: Networks;
  /** A request whose events the caller handles itself; what may not be reached is an error event of code NOT_ALLOWED. */
  open(url: URL, method: string, headers: Readonly<Record<string, string | number>>): ClientRequest;
  /** One request and its whole answer, of any status; redirects are not followed. Throws `DialError`. */
  dial(url: string | URL, ask?: Ask): Promise<DialAnswer>;
  /** JSON of an answer of status 200, read as `unknown`. Throws `DialError`. */
  fetchJson(url: string | URL, ask?: Ask): Promise<unknown>;
  /** In the form of `fetch`, for libraries that take one (jose, openid-client). Redirects are answered, not followed. */
  fetch(url: string | URL, init?: RequestInit): Promise<Response>;
  close(): void;
}

export interface DiallerOptions {
  /** Authorities (PEM) whose certificates are taken instead of the system's. */
  ca?: string | Buffer | undefined;
  /** What is shown to who asks for a certificate (PEM). */
  client?: { cert: string | Buffer; key: string | Buffer } | undefined;
  /** For tests: what resolves names. */
  resolve?: Resolve;
}

/** How long a connection is kept that nobody uses, ms, and how many of one receiver. */
const FREE_MS = 20_000;
const MOST_FREE = 8;
const TIMEOUT_MS = 10_000;
const MOST_BYTES = 1 << 20;
/** Largest headers of an answer, bytes. */
const HEADERS = 16 * 1024;

type Made = ((error: Error | null, stream: Duplex) => void) | undefined;
interface Target {
  host?: string | null | undefined;
}

/** A host that is an address is never resolved, so it is judged here. */
const isRefused = (networks: Networks, protocol: string, { host }: Target): boolean =>
  isIP(hostOf(host ?? '')) !== 0 && !networks.allows(hostOf(host ?? ''), protocol);

/** Looks once more at where the connection went, whatever resolved the name. */
function watched<S extends Duplex | null | undefined>(socket: S, networks: Networks, protocol: string): S {
  const connection = socket as unknown as Socket | null | undefined;
  connection?.once('connect', () => {
    if (!networks.allows(connection.remoteAddress ?? '', protocol)) connection.destroy(notAllowed());
  });
  return socket;
}

class PlainAgent extends HttpAgent {
  #networks: Networks;
  constructor(networks: Networks, options: ConstructorParameters<typeof HttpAgent>[0]) {
    super(options);
    this.#networks = networks;
  }
  override createConnection(options: Parameters<HttpAgent['createConnection']>[0], made?: Made) {
    if (!isRefused(this.#networks, 'http:', options))
      return watched(super.createConnection(options, made), this.#networks, 'http:');
    made?.(notAllowed(), undefined as never);
    return undefined;
  }
}

class TlsAgent extends HttpsAgent {
  #networks: Networks;
  constructor(networks: Networks, options: ConstructorParameters<typeof HttpsAgent>[0]) {
    super(options);
    this.#networks = networks;
  }
  override createConnection(options: Parameters<HttpsAgent['createConnection']>[0], made?: Made) {
    if (!isRefused(this.#networks, 'https:', options))
      return watched(super.createConnection(options, made), this.#networks, 'https:');
    made?.(notAllowed(), undefined as never);
    return undefined;
  }
}

/** A dialler over connections that are kept. Close it when its owner stops. */
export function diallerFor(networks: Networks, { ca, client, resolve }: DiallerOptions = {}): Dialler {
  const kept = { keepAlive: true, maxFreeSockets: MOST_FREE, scheduling: 'lifo' as const, timeout: FREE_MS };
  const plain = new PlainAgent(networks, { ...kept, lookup: lookupIn(networks, 'http:', resolve) });
  const tls = new TlsAgent(networks, {
    ...kept,
    lookup: lookupIn(networks, 'https:', resolve),
    ...(ca ? { ca } : {}),
    ...client,
  });
  const open: Dialler['open'] = (url, method, headers) => {
    const how = { method, headers, maxHeaderSize: HEADERS };
    if (url.protocol === 'https:') return tlsRequest(url, { ...how, agent: tls });
    if (url.protocol === 'http:') return plainRequest(url, { ...how, agent: plain });
    throw notAllowed();
  };
  const dial: Dialler['dial'] = (to, ask = {}) =>
    new Promise((resolve, reject) => {
      const { method = 'GET', headers = {}, body, timeoutMs = TIMEOUT_MS, mostBytes = MOST_BYTES, signal } = ask;
      const bytes = body === undefined ? undefined : Buffer.from(body as Uint8Array);
      let request: ClientRequest;
      try {
        const length: Record<string, number> = bytes ? { 'content-length': bytes.length } : {};
        request = open(new URL(to), method, { 'accept-encoding': 'identity', ...headers, ...length });
      } catch (thrown) {
        return reject(new DialError('address', thrown));
      }
      let isSettled = false;
      const settle = (then: () => void) => {
        if (isSettled) return;
        isSettled = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', gone);
        then();
      };
      const fail = (reason: DialCause, cause?: unknown) =>
        settle(() => {
          reject(new DialError(reason, cause));
          request.destroy();
        });
      const gone = () => fail('reset');
      const timer = setTimeout(() => fail('timeout'), timeoutMs);
      request.on('error', (error: Error & { code?: string }) => fail(dialCauseOf(error.code ?? '') ?? 'reset', error));
      request.once('close', () => fail('reset'));
      signal?.addEventListener('abort', gone, { once: true });
      request.once('response', (response) => {
        // Nothing was said of compression; who compresses nevertheless could make much of little.
        if ((response.headers['content-encoding'] ?? 'identity') !== 'identity') return fail('unreadable');
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > mostBytes) fail('too_large');
          else chunks.push(chunk);
        });
        response.once('end', () =>
          settle(() =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
          ),
        );
        response.once('close', () => fail('reset'));
      });
      if (signal?.aborted) return gone();
      request.end(bytes);
    });
  return {
    networks,
    open,
    dial,
    async fetchJson(url, ask = {}) {
      const { status, body } = await dial(url, { ...ask, headers: { accept: 'application/json', ...ask.headers } });
      if (status !== 200) throw new DialError('unreadable');
      try {
        return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
      } catch {
        // What cannot be parsed stands in the parser's message.
        throw new DialError('unreadable');
      }
    },
    async fetch(url, init = {}) {
      const request = new Request(url, { ...init, redirect: 'manual' });
      const body = request.body ? new Uint8Array(await request.arrayBuffer()) : undefined;
      const answer = await dial(url, {
        method: request.method,
        headers: Object.fromEntries(request.headers),
        body,
        signal: init.signal ?? undefined,
      });
      const headers = new Headers();
      for (const [name, value] of Object.entries(answer.headers))
        for (const one of [value ?? []].flat()) headers.append(name, one);
      const hasBody = answer.status !== 204 && answer.status !== 205 && answer.status !== 304;
      return new Response(hasBody ? new Uint8Array(answer.body) : null, { status: answer.status, headers });
    },
    close() {
      plain.destroy();
      tls.destroy();
    },
  };
}

/** What an error's code says of the cause; undefined = it depends on what was sent by then. */
export function dialCauseOf(code: string): 'address' | 'unknown_host' | 'refused' | 'tls' | undefined {
  if (code === NOT_ALLOWED) return 'address';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'unknown_host';
  if (code === 'ECONNREFUSED') return 'refused';
  if (/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_)/.test(code)) return 'tls';
  return undefined;
}

/**
 * A connection to an address of the settings, for a library that speaks another protocol over it; judged as every other. TLS is
 * the library's. Throws `DialError`.
 */
export const openSocket = (networks: Networks, { host, port }: Address, timeoutMs: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const fail = (reason: DialCause, cause?: unknown) => {
      clearTimeout(timer);
      reject(new DialError(reason, cause));
    };
    if (isRefused(networks, 'https:', { host })) {
      reject(new DialError('address'));
      return;
    }
    const socket = watched(connectTo({ host, port, lookup: lookupIn(networks, 'https:') }), networks, 'https:');
    const timer = setTimeout(() => {
      socket.destroy();
      fail('timeout');
    }, timeoutMs);
    socket.once('error', (error: Error & { code?: string }) => fail(dialCauseOf(error.code ?? '') ?? 'reset', error));
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
  });
