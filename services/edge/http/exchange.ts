import type { IncomingMessage, ServerResponse } from 'node:http';
import { asGatewayError, faults, GatewayError } from '#kernel';
import type { Peer } from '../caller.ts';

/** One request as the HTTP door sees it, and its answer. */

/** Largest body, bytes. */
export const LARGEST_BODY = 32 * 1024 * 1024;

/** Reads a body up to the limit; a longer one is refused before it is read whole. */
export async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const tooLarge = () => new GatewayError('wire.too_large', 'A body may hold 32 MiB.');
  if (Number(request.headers['content-length'] ?? 0) > LARGEST_BODY) throw tooLarge();
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new GatewayError('wire.unreadable', 'Send the body without compression.', { where: 'Content-Encoding' });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_BODY) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function peerOfRequest(request: IncomingMessage, listenerOnLoopback: boolean): Peer {
  const names = Object.keys(request.headers);
  return {
    address: request.socket.remoteAddress ?? '',
    listenerOnLoopback,
    proxied: names.some((name) => name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-')),
  };
}

/**
 * `Host` must be one this listener was configured for: the host of EDUK_PUBLIC_URL, or a loopback name with the bound
 * port. A request that can change something must not come from a page of another origin.
 */
export function checkOrigin(request: IncomingMessage, publicUrl: string, port: number): void {
  const host = request.headers.host ?? '';
  const own = new URL(publicUrl);
  const loopback = /^(localhost|127\.0\.0\.1|\[::1\])(?::(\d+))?$/.exec(host);
  const known = host === own.host || (loopback !== null && Number(loopback[2] ?? 80) === port);
  if (!known) throw new GatewayError('party.forbidden', 'This host name is not configured here.', { where: 'Host' });
  const { origin } = request.headers;
  if (
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
  response.writeHead(status, {
    'content-type': type,
    'content-length': bytes.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(bytes);
}

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
