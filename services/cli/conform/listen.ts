/** A listener for as long as a party is tried: bounded, and gone when the command ends. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Pair } from './settings.ts';

export interface Asked {
  method: string;
  /** Path and query. */
  url: string;
  /** As the caller wrote it, so that a description leads back here. */
  origin: string;
  contentType: string;
  soapAction: string | undefined;
  body: Uint8Array;
}

export interface Said {
  status: number;
  contentType: string;
  body: string;
}

export interface Listening {
  /** `http://127.0.0.1:8090` */
  origin: string;
  close(): Promise<void>;
}

/** One application is tried at a time; more connections than it needs are not taken. */
const CONNECTIONS = 64;
const HEADERS_MS = 10_000;
const REQUEST_MS = 60_000;

/** Listens at `host` and `port` (0 = a free one). Rejects with the system's error. */
export async function listen(
  { host, port, tls, mostBytes }: { host: string; port: number; tls: Pair | undefined; mostBytes: number },
  answer: (asked: Asked) => Said,
): Promise<Listening> {
  const scheme = tls ? 'https' : 'http';
  let own = '';
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const say = ({ status, contentType, body }: Said, close = false): void => {
      response.writeHead(status, { 'content-type': contentType, ...(close ? { connection: 'close' } : {}) }).end(body);
    };
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= mostBytes) chunks.push(chunk);
      else {
        request.removeAllListeners('data').removeAllListeners('end').resume();
        say({ status: 413, contentType: 'text/plain', body: 'Too large.\n' }, true);
      }
    });
    request.on('end', () => {
      const named = request.headers.host ?? '';
      const action = request.headers['soapaction'];
      try {
        say(
          answer({
            method: request.method ?? '',
            url: request.url ?? '/',
            origin: /^(?:[\w.-]{1,253}|\[[\da-f:.]{2,45}\])(?::\d{1,5})?$/i.test(named) ? `${scheme}://${named}` : own,
            contentType: request.headers['content-type'] ?? '',
            soapAction: action === undefined ? undefined : String(action),
            body: Buffer.concat(chunks),
          }),
        );
      } catch {
        // An error of ours, whose words may quote the message; who calls sees that it is not its own.
        if (!response.headersSent)
          say({ status: 500, contentType: 'text/plain', body: 'An error of the check itself.\n' });
      }
    });
  };
  const bounds = {
    maxHeaderSize: 16 * 1024,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: 2_000,
  };
  const server = tls
    ? createTlsServer({ ...bounds, ...tls, handshakeTimeout: HEADERS_MS }, handle)
    : createServer(bounds, handle);
  server.maxConnections = CONNECTIONS;
  await new Promise<void>((done, failed) => {
    server.once('error', failed);
    server.listen(port, host, done);
  });
  const bound = (server.address() as AddressInfo).port;
  own = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${bound}`;
  return {
    origin: own,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
