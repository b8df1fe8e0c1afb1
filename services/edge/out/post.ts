import type { IncomingMessage } from 'node:http';
import { type DialCause, type Dialler, dialCauseOf } from '#kernel';

/** What came of one request. Words of the receiver go no further: they could hold what we sent. */
export interface Answer {
  /** HTTP status; 0 = none came, and `cause` says why. */
  status: number;
  cause: '' | Exclude<DialCause, 'too_large' | 'unreadable'> | 'stale' | 'expired';
  /** What the receiver asked for; 0 = nothing. */
  retryAfterS: number;
  /** Where it is kept; undefined = it is not, or it is longer. */
  body?: Buffer | undefined;
  /** From asking for a connection until the answer, or until none was waited for: whole milliseconds, 1 at least. */
  tookMs: number;
}

export interface PostOptions {
  timeoutMs?: number;
  /** Bytes of an answer's body that are kept; 0 = none, and the answer is there with its status. */
  keepBytes?: number;
}

/** How long connecting and answering may take together. */
export const TIMEOUT_MS = 6_000;
/** What is read of an answer's body, so that the connection can be used again. */
const READ_BYTES = 64 * 1024;

export interface Poster {
  /**
   * Sends a body once and follows nothing. `isMine` is asked when the connection stands, right before the first byte:
   * false = nothing is written, and the cause is `expired`.
   */
  post(url: string, headers: Record<string, string>, body: Uint8Array, isMine: () => boolean): Promise<Answer>;
}

/** Requests over the connections that a dialler keeps. */
export function posterFor(dialler: Dialler, { timeoutMs = TIMEOUT_MS, keepBytes = 0 }: PostOptions = {}): Poster {
  return {
    post: (text, headers, body, isMine) =>
      new Promise((settled) => {
        const began = performance.now();
        const resolve = (answer: Omit<Answer, 'tookMs'>): void =>
          settled({ ...answer, tookMs: Math.max(1, Math.round(performance.now() - began)) });
        const url = new URL(text);
        const none = (cause: Answer['cause']) => resolve({ status: 0, cause, retryAfterS: 0 });
        if (url.protocol !== 'https:' && url.protocol !== 'http:') return none('address');
        let isWritten = false;
        let isLate = false;
        const request = dialler.open(url, 'POST', { ...headers, 'content-length': body.length });
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
          else socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', write);
        });
        request.once('response', (response) => {
          const head = { status: response.statusCode ?? 0, cause: '', retryAfterS: retryAfterOf(response) } as const;
          if (keepBytes === 0) {
            resolve(head);
            drain(response, () => clearTimeout(timer));
            return;
          }
          const parts: Buffer[] = [];
          let size = 0;
          response.on('data', (part: Buffer) => {
            size += part.length;
            if (size <= keepBytes) parts.push(part);
            else {
              // Whoever says so much says nothing that is understood here.
              resolve(head);
              response.destroy();
            }
          });
          response.once('end', () => resolve({ ...head, body: Buffer.concat(parts) }));
          response.once('error', () => none(isLate ? 'timeout' : 'reset'));
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
  const said = dialCauseOf(code);
  if (said !== undefined) return said;
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
