import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { hostOf, lookupIn, type Networks, NOT_ALLOWED } from './networks.ts';

/** What came of one request. Words of the receiver go no further: they could hold what we sent. */
export interface Answer {
  /** HTTP status; 0 = none came, and `cause` says why. */
  status: number;
  cause: '' | 'refused' | 'unknown_host' | 'address' | 'tls' | 'timeout' | 'reset' | 'stale' | 'expired';
  /** What the receiver asked for; 0 = nothing. */
  retryAfterS: number;
}

/** How long connecting and answering may take together. */
export const TIMEOUT_MS = 6_000;
/** What is read of an answer's body, so that the connection can be used again. */
const READ_BYTES = 64 * 1024;
const FREE_MS = 20_000;
const MOST_FREE = 8;

export interface Poster {
  /**
   * Sends a body once and follows nothing. `isMine` is asked when the connection stands, right before the first byte:
   * false = nothing is written, and the cause is `expired`.
   */
  post(url: string, headers: Record<string, string>, body: Uint8Array, isMine: () => boolean): Promise<Answer>;
  close(): void;
}

/** Requests over connections that are kept. `ca` is for tests: whose certificates are taken besides the system's. */
export function posterFor(networks: Networks, timeoutMs = TIMEOUT_MS, ca?: string | Buffer): Poster {
  const kept = { keepAlive: true, maxFreeSockets: MOST_FREE, scheduling: 'lifo' as const, timeout: FREE_MS };
  const agents = {
    'http:': new HttpAgent({ ...kept, lookup: lookupIn(networks, 'http:') }),
    'https:': new HttpsAgent({ ...kept, lookup: lookupIn(networks, 'https:'), ...(ca ? { ca } : {}) }),
  };
  return {
    post: (text, headers, body, isMine) =>
      new Promise((resolve) => {
        const url = new URL(text);
        const protocol = url.protocol as keyof typeof agents;
        const none = (cause: Answer['cause']) => resolve({ status: 0, cause, retryAfterS: 0 });
        const host = hostOf(url.hostname);
        if (!(protocol in agents) || (isIP(host) !== 0 && !networks.allows(host, protocol))) return none('address');
        const send = protocol === 'https:' ? httpsRequest : httpRequest;
        let isWritten = false;
        let isLate = false;
        const request = send(url, {
          method: 'POST',
          agent: agents[protocol],
          headers: { ...headers, 'content-length': body.length },
        });
        const timer = setTimeout(() => {
          isLate = true;
          request.destroy();
        }, timeoutMs);
        const write = () => {
          if (isMine()) {
            isWritten = true;
            request.end(body);
            return;
          }
          none('expired');
          request.destroy();
        };
        request.once('socket', (socket) => {
          if (!socket.connecting) write();
          else socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', write);
        });
        request.once('response', (response) => {
          resolve({ status: response.statusCode ?? 0, cause: '', retryAfterS: retryAfterOf(response) });
          drain(response, () => clearTimeout(timer));
        });
        request.once('error', (error: Error & { code?: string }) => {
          clearTimeout(timer);
          none(causeOf(error.code ?? '', isWritten, isLate, request.reusedSocket));
        });
        request.once('close', () => {
          clearTimeout(timer);
          none(causeOf('', isWritten, isLate, request.reusedSocket));
        });
      }),
    close() {
      agents['http:'].destroy();
      agents['https:'].destroy();
    },
  };
}

/** Reads a little of the body, and lets go of who sends more, or too slowly. */
function drain(response: IncomingMessage, done: () => void): void {
  let left = READ_BYTES;
  response.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) response.destroy();
  });
  response.once('close', done);
  response.once('error', done);
}

function causeOf(code: string, isWritten: boolean, isLate: boolean, isReused: boolean): Answer['cause'] {
  if (code === NOT_ALLOWED) return 'address';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'unknown_host';
  if (/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_)/.test(code)) return 'tls';
  if (!isWritten) return 'refused';
  if (isLate) return 'timeout';
  // A receiver closes what it kept too long just as we use it again.
  return isReused && (code === 'ECONNRESET' || code === 'EPIPE') ? 'stale' : 'reset';
}

/** Seconds of Retry-After: a number, or a moment (RFC 9110 §10.2.3). */
function retryAfterOf({ headers }: IncomingMessage): number {
  const text = headers['retry-after'];
  if (text === undefined) return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const at = Date.parse(text);
  return Number.isNaN(at) ? 0 : Math.max(0, Math.ceil((at - Date.now()) / 1000));
}
