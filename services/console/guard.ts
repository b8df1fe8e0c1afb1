/** What a request must be before anything is done for it, and what a browser may do with an answer. */
import type { IncomingMessage } from 'node:http';
import { GatewayError, isLoopback } from '#kernel';
import type { Session } from './sessions.ts';

/** Pages run what this server sent, talk to this server, and are shown in no other's frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

export const headers: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

export interface Place {
  /** Where browsers reach the console, without a path. */
  origin: string;
  /** Bound. */
  port: number;
  onLoopback: boolean;
}

const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(?::(\d+))?$/;
const isLoopbackHost = (host: string, port: number): boolean => {
  const m = LOOPBACK.exec(host);
  return m !== null && Number(m[2] ?? 80) === port;
};

/** `Host` must be one that was configured, or loopback with the bound port. Faults: party.forbidden, wire.unreadable. */
export function checkHost(request: IncomingMessage, { origin, port, onLoopback }: Place): void {
  if (request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length > 1)
    throw new GatewayError('wire.unreadable', 'A request has one Host.', { where: 'Host' });
  const host = request.headers.host ?? '';
  if (host !== new URL(origin).host && !(onLoopback && isLoopbackHost(host, port)))
    throw new GatewayError('party.forbidden', 'This host name is not configured here.', { where: 'Host' });
}

/** No page of another origin reads our data, though its browser would send the cookie along. Faults: party.forbidden. */
export function checkSite(request: IncomingMessage): void {
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new GatewayError('party.forbidden', 'This request comes from a page of another origin.', { where: 'Origin' });
}

/** Of what changes something: from a page of ours, as such a page sends it. Faults: party.forbidden, wire.invalid. */
export function checkChange(request: IncomingMessage, { origin, port, onLoopback }: Place): void {
  checkSite(request);
  const { origin: from, host = '' } = request.headers;
  const own = from === origin || (onLoopback && isLoopbackHost(host, port) && from === `http://${host}`);
  if (!own)
    throw new GatewayError('party.forbidden', 'This request comes from a page of another origin.', { where: 'Origin' });
  // A form of another page cannot say this.
  if ((request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase() !== 'application/json')
    throw new GatewayError('wire.invalid', 'Send JSON.', { where: 'Content-Type' });
}

/** What a page of this session knows, and no other. Faults: party.forbidden. */
export function checkToken(request: IncomingMessage, session: Session): void {
  if (request.headers['x-eduk-token'] !== session.token)
    throw new GatewayError('party.forbidden', 'This request was not made by a page of this session.', {
      where: 'X-Eduk-Token',
    });
}

const BETWEEN = /^(forwarded|via|client-cert.*|x-forwarded-.*|x-real-ip)$/;

/** From this machine, to this machine, with nobody between who says so. */
export const isLocal = (request: IncomingMessage, { port, onLoopback }: Place): boolean =>
  onLoopback &&
  isLoopback(request.socket.remoteAddress ?? '') &&
  isLoopbackHost(request.headers.host ?? '', port) &&
  !Object.keys(request.headers).some((name) => BETWEEN.test(name));
