/**
 * A key that a program of the operator's opens: what speaks to a PKCS#11 module, or to a service whose words we do not know. The
 * program keeps nothing and says nothing but its answer; what it is told and answers stands in docs/keys.md.
 */
import { spawn } from 'node:child_process';
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { ConfigError, GatewayError } from '#kernel';
import type { KeyHolder } from './holder.ts';

const SCHEME = 'exec:';
/** A module in a network may have to find its way; calls wait for it as for any holder. Milliseconds. */
const TIMEOUT_MS = 10_000;
const MOST_BYTES = 8 * 1024;
/** With which the program says no to us (EX_NOPERM of sysexits), and to what it is given (EX_DATAERR). Any other end than 0 is no answer. */
const SAYS_NO = 77;
const IS_NOT_MINE = 65;
const PREFIX = 'p1:';
const WORD = /^[\w:+/=.-]{1,4096}$/;
const SECRET_BYTES = 32;

export const isProgram = (address: string): boolean => address.startsWith(SCHEME);

/** What is wrong with the address of a program; undefined = nothing that shows. */
export function problemWithProgram(address: string): string | undefined {
  const path = address.slice(SCHEME.length);
  return isAbsolute(path) && /^[\w/.:\\-]{1,512}$/.test(path) ? undefined : 'is no program: exec:/PATH';
}

/**
 * Says of each program what was refused last: a module counts wrong PINs and locks, so the same is not tried twice. Keyed by address;
 * a digest.
 */
export type Refused = Map<string, string>;

/** `address`: `exec:` and the whole path. Throws `ConfigError` when it is asked, where others may write the program. */
export function program(address: string, token: () => string, refused: Refused): KeyHolder {
  const path = address.slice(SCHEME.length);
  const ask = async (verb: 'wrap' | 'unwrap', given: string): Promise<string> => {
    mustBeOurs(path);
    const pin = token();
    const tried = createHash('sha256').update(pin).digest('hex');
    if (refused.get(address) === tried) throw refusal();
    const { code, out } = await run(path, verb, `${pin}\n${given}\n`);
    if (code === SAYS_NO) refused.set(address, tried);
    if (code === SAYS_NO || code === IS_NOT_MINE) throw refusal();
    const answer = out.trim();
    if (code !== 0 || !WORD.test(answer)) throw away();
    return answer;
  };
  return {
    at: address,
    async wrap(secret, about) {
      // Bound to what it is for, whatever the program's way of wrapping is.
      const bound = Buffer.concat([secret, bindingOf(secret, about)]);
      try {
        return `${PREFIX}${await ask('wrap', bound.toString('base64'))}`;
      } finally {
        bound.fill(0);
      }
    },
    async unwrap(wrapped, about) {
      if (!wrapped.startsWith(PREFIX)) throw refusal();
      const bound = Buffer.from(await ask('unwrap', wrapped.slice(PREFIX.length)), 'base64');
      const secret = Buffer.from(bound.subarray(0, SECRET_BYTES));
      const is =
        bound.length === 2 * SECRET_BYTES && timingSafeEqual(bound.subarray(SECRET_BYTES), bindingOf(secret, about));
      bound.fill(0);
      if (is) return secret;
      secret.fill(0);
      throw refusal();
    },
    stay: async () => undefined,
  };
}

const bindingOf = (secret: Uint8Array, about: string): Buffer => createHmac('sha256', secret).update(about).digest();

/** Whoever can change the program has the master key. */
function mustBeOurs(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile()) throw new ConfigError([`${path}, which opens the master key, is not there`]);
  // Windows has no such mode; there the folder's rights decide.
  if (process.platform === 'win32') return;
  const isOurs = (found.mode & 0o022) === 0 && (found.uid === 0 || found.uid === process.getuid!());
  if (!isOurs || [path, realpathSync(path)].some(liesInTheOpen))
    throw new ConfigError([
      `${path}, which opens the master key, can be changed by others; it must be root's or ours, and writable by nobody else`,
    ]);
  if ((found.mode & 0o111) === 0)
    throw new ConfigError([`${path}, which opens the master key, may not be executed; chmod 755 it`]);
}

/** Whether its folder lets everybody put something else in its place; where it is sticky nobody takes away what is another's. */
function liesInTheOpen(path: string): boolean {
  const { mode } = statSync(dirname(path));
  return (mode & 0o002) !== 0 && (mode & 0o1000) === 0;
}

/** No shell, none of our settings, nothing in arguments that is secret; ended with all that it began when its time is over. */
function run(path: string, verb: string, input: string): Promise<{ code: number | null; out: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, [verb], {
      env: { PATH: process.env['PATH'] ?? '', LANG: 'C' },
      // Its words about errors are not ours to repeat.
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: process.platform !== 'win32',
    });
    let out = '';
    let size = 0;
    const end = () => {
      try {
        if (process.platform === 'win32') child.kill('SIGKILL');
        else if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    };
    const timer = setTimeout(end, TIMEOUT_MS);
    child.stdout.setEncoding('latin1');
    child.stdout.on('data', (text: string) => {
      size += text.length;
      if (size > MOST_BYTES) end();
      else out += text;
    });
    // It may end before it has read what it is told.
    child.stdin.on('error', () => undefined);
    child.once('error', (cause) => {
      clearTimeout(timer);
      reject(away(cause));
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, out });
    });
    child.stdin.end(input);
  });
}

const away = (cause?: unknown): GatewayError =>
  new GatewayError('peer.unavailable', 'The program that opens the key gives no answer.', { cause });
const refusal = (): GatewayError => new GatewayError('peer.refused', 'The program that opens the key says no.');
