import type { IncomingMessage, ServerResponse } from 'node:http';
import { asGatewayError, faults, GatewayError } from '#kernel';
import type { Peer } from '../caller.ts';
import type { Guard } from '../certificates.ts';
import { limits } from '../limits.ts';
import { isOfProxy, type TrustedProxy } from '../proxy.ts';
import type { Unfinished } from '../unfinished.ts';

/** One request as the HTTP door sees it, and its answer. */

/** Largest body, bytes. */
export const LARGEST_BODY = limits.body.at;

/**
 * Reads a body up to the limit; a longer one is refused before it is read whole. Of many slow senders the slowest is cut
 * off. Faults: wire.too_large, wire.unreadable, gateway.overloaded.
 */
export function bodyOf(request: IncomingMessage, unfinished: Unfinished): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const tooLarge = () => new GatewayError('wire.too_large', 'A body may hold 32 MiB.');
    if (isTooLong(request)) return reject(tooLarge());
    if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
      return reject(
        new GatewayError('wire.unreadable', 'Send the body without compression.', { where: 'Content-Encoding' }),
      );
    const chunks: Buffer[] = [];
    let size = 0;
    // Events instead of `for await`, which would close the connection under the answer of a refusal.
    const arriving = unfinished.begin(() => stop(() => reject(tooSlow())));
    const stop = (then: () => void) => {
      arriving.end();
      request.off('data', take).off('end', end).off('close', cut).off('error', cut);
      then();
    };
    const take = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      arriving.grow(chunk.length);
      if (size > LARGEST_BODY) stop(() => reject(tooLarge()));
    };
    const end = () => stop(() => resolve(Buffer.concat(chunks)));
    const cut = () => stop(() => reject(new GatewayError('wire.unreadable', 'The body ended before its end.')));
    request.on('data', take).on('end', end).on('close', cut).on('error', cut);
  });
}

const tooSlow = (): GatewayError =>
  new GatewayError('gateway.overloaded', 'Too much is on its way, and this came slowest.', { retryAfterS: 5 });

/** Whether a request says beforehand that its body is too large. */
export const isTooLong = (request: IncomingMessage): boolean =>
  Number(request.headers['content-length'] ?? 0) > LARGEST_BODY;

/** A refused body is read on for so long and so far, because a sender may look for the answer only after it has sent. */
const LINGER_MS = 1_000;
const LINGER_BYTES = 4 * 1024 * 1024;

function linger(request: IncomingMessage, done: () => void): void {
  let left = LINGER_BYTES;
  const timer = setTimeout(done, LINGER_MS);
  const finish = () => {
    clearTimeout(timer);
    done();
  };
  request.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.pause();
  });
  request.once('end', finish).once('close', finish);
  request.resume();
}

const hasUnreadBody = ({ req }: ServerResponse): boolean =>
  !req.complete && (Number(req.headers['content-length'] ?? 0) > 0 || req.headers['transfer-encoding'] !== undefined);

export function peerOfRequest(
  request: IncomingMessage,
  listenerOnLoopback: boolean,
  proxy: TrustedProxy,
  guard?: Guard,
): Peer {
  const { headers, socket } = request;
  const names = Object.keys(headers);
  const address = socket.remoteAddress ?? '';
  const text = (name: string): string | undefined => (headers[name] === undefined ? undefined : String(headers[name]));
  const proxied = names.some(isOfProxy);
  const said = { certificate: text('client-cert'), chain: text('client-cert-chain'), proxied };
  return {
    address: proxy.cameFrom(address, text('x-forwarded-for')),
    listenerOnLoopback,
    proxied,
    certificate: proxy.shownTo(address, said, guard?.clientAt(address, socket.remotePort)),
  };
}

/**
 * `Host` must be one this listener was configured for: the host of EDUK_PUBLIC_URL, or a loopback name with the bound
 * port. A request that can change something must not come from a page of another origin.
 */
export function checkOrigin(request: IncomingMessage, publicUrl: string, port: number, fromElsewhere = false): void {
  // Node answers by the first of several; who stands before us may have looked at another.
  if (request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length > 1)
    throw new GatewayError('wire.unreadable', 'A request has one Host.', { where: 'Host' });
  const host = request.headers.host ?? '';
  const own = new URL(publicUrl);
  const loopback = /^(localhost|127\.0\.0\.1|\[::1\])(?::(\d+))?$/.exec(host);
  const known = host === own.host || (loopback !== null && Number(loopback[2] ?? 80) === port);
  if (!known) throw new GatewayError('party.forbidden', 'This host name is not configured here.', { where: 'Host' });
  const { origin } = request.headers;
  if (
    !fromElsewhere &&
    origin !== undefined &&
    origin !== own.origin &&
    origin !== `http://${host}` &&
    request.method !== 'GET' &&
    request.method !== 'HEAD'
  )
    throw new GatewayError('party.forbidden', 'This request comes from a page of another origin.', { where: 'Origin' });
}

export function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  // What was not read to its end cannot be followed by another request on this connection.
  const unread = hasUnreadBody(response);
  response.writeHead(status, {
    'content-type': type,
    'content-length': bytes.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
    ...(unread ? { connection: 'close' } : {}),
  });
  if (!unread) return void response.end(bytes);
  response.write(bytes);
  linger(response.req, () => response.end());
}

/** A reader that takes nothing for so long is let go of. */
const STALLED_MS = 60_000;

/** An answer that is made while it is sent, no faster than it is taken. Rejects with what making it failed by. */
export async function sendPieces(
  response: ServerResponse,
  type: string,
  first: string,
  rest: AsyncIterable<string>,
): Promise<void> {
  response.writeHead(200, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  if (!response.write(first)) await taken(response);
  for await (const piece of rest) {
    if (response.destroyed) return;
    if (!response.write(piece)) await taken(response);
  }
  response.end();
}

const taken = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      response.off('drain', done).off('close', done);
      resolve();
    };
    const timer = setTimeout(() => response.destroy(), STALLED_MS);
    response.on('drain', done).on('close', done);
    if (response.destroyed) done();
  });

export const sendJson = (
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void => send(response, status, 'application/json', JSON.stringify(value), headers);

/** A fault as problem+json (RFC 9457), with our code, who must act, and paths. */
export function sendProblem(response: ServerResponse, thrown: unknown, language = 'en'): GatewayError {
  const error = asGatewayError(thrown);
  const row = faults[error.fault];
  const headers: Record<string, string> = {};
  if (row.http === 401) headers['www-authenticate'] = 'Bearer realm="eduk"';
  if (error.retryAfterS !== undefined) headers['retry-after'] = String(error.retryAfterS);
  send(
    response,
    row.http,
    'application/problem+json',
    JSON.stringify({
      type: `urn:eduk:fault:${error.fault}`,
      title: language === 'nl' ? row.nl : row.en,
      status: row.http,
      detail: error.told,
      code: error.fault,
      who: row.who,
      retry: row.retry,
      where: error.where.slice(0, 100),
    }),
    headers,
  );
  return error;
}

export const languageOf = (request: IncomingMessage): string =>
  /^\s*nl\b/i.test(request.headers['accept-language'] ?? '') ? 'nl' : 'en';
