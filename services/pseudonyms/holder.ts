/**
 * Keys that somebody else holds: a key management service of the operator, or of a school or its vendor. What it holds never
 * comes here. It wraps secrets of 32 bytes and unwraps them, for as long as it lets us; everything else follows from those.
 */
import { type DialAnswer, type Dialler, GatewayError } from '#kernel';
import { isProgram, problemWithProgram, program, type Refused } from './program.ts';

/**
 * One key at one holder. A holder that gives no answer is `peer.unavailable`, one that says no `peer.refused`; neither error
 * names a secret or repeats words of the holder.
 */
export interface KeyHolder {
  /** Where the key is, for people. */
  readonly at: string;
  /** Seals a secret. `about` must be the same when it is opened: what was sealed for one school opens for no other. */
  wrap(secret: Uint8Array, about: string): Promise<string>;
  /** The secret, which the caller wipes. */
  unwrap(wrapped: string, about: string): Promise<Buffer>;
  /** Keeps our right to ask alive, where it ends by itself; for a holder of which it does not, nothing happens. */
  stay(): Promise<void>;
}

/** How holders are reached; tests give their own. */
export interface Holders {
  /** The key at an address. `token` is asked for at each call, so that it may change. Throws `wire.invalid`. */
  at(address: string, token: () => string): KeyHolder;
  /** The same for the operator's own key, which a program of this machine may open too. Never with an address that came over the wire. */
  own(address: string, token: () => string): KeyHolder;
  close(): void;
}

/** Longest wait for a holder, ms: calls of a school that is not open wait for it. */
const TIMEOUT_MS = 4_000;
const MOST_BYTES = 64 * 1024;
/** `…/v1/transit/keys/NAME`, as the Transit engine of HashiCorp Vault and OpenBao names a key; it may be mounted elsewhere. */
const KEY = /^(\/v1\/(?:[\w-]+\/)+)keys\/([\w.-]{1,128})$/;
const VERSIONED = /^[\w:+/=-]{1,4096}$/;

/** Holders over HTTP. Closes the dialler with them. */
export const holdersOver = (dialler: Dialler): Holders => {
  const refused: Refused = new Map();
  return {
    at: (address, token) => transit(address, token, dialler),
    own(address, token) {
      if (!isProgram(address)) return transit(address, token, dialler);
      const problem = problemWithProgram(address);
      if (problem) throw new GatewayError('wire.invalid', `This ${problem}.`, { where: 'at' });
      return program(address, token, refused);
    },
    close: () => dialler.close(),
  };
};

/** What is wrong with where the operator's own key is held; undefined = nothing that shows. */
export const problemWithOwnAddress = (address: string): string | undefined =>
  isProgram(address) ? problemWithProgram(address) : problemWithKeyAddress(address);

/** What is wrong with an address of a key; undefined = nothing that shows. */
export function problemWithKeyAddress(address: string): string | undefined {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (!url || !['https:', 'http:'].includes(url.protocol) || !KEY.test(url.pathname))
    return 'is no address of a key: https://HOST/v1/transit/keys/NAME';
  if (url.username || url.password || url.search || url.hash) return 'holds more than an address';
  return undefined;
}

/** A key of the Transit engine: `encrypt` and `decrypt` with associated data, which a type like aes256-gcm96 takes. */
function transit(address: string, token: () => string, dialler: Dialler): KeyHolder {
  const problem = problemWithKeyAddress(address);
  if (problem) throw new GatewayError('wire.invalid', `This ${problem}.`, { where: 'at' });
  const url = new URL(address);
  const [, mount, name] = KEY.exec(url.pathname)!;
  const post = async (path: string, body: object): Promise<unknown> => {
    const answer = await dialler.dial(`${url.origin}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-vault-token': token(),
        // Agents of it that stand between refuse requests without: so a page in a browser cannot make one.
        'x-vault-request': 'true',
      },
      body: JSON.stringify(body),
      timeoutMs: TIMEOUT_MS,
      mostBytes: MOST_BYTES,
    });
    return read(answer);
  };
  const data = async (verb: string, body: object, field: 'ciphertext' | 'plaintext'): Promise<string> => {
    const { data } = ((await post(`${mount}${verb}/${name}`, body)) ?? {}) as { data?: Record<string, unknown> };
    const value = data?.[field];
    if (typeof value !== 'string' || !VERSIONED.test(value)) throw unreadable();
    return value;
  };
  const bound = (about: string) => ({ associated_data: Buffer.from(about).toString('base64') });
  return {
    at: address,
    wrap: (secret, about) =>
      data('encrypt', { plaintext: Buffer.from(secret).toString('base64'), ...bound(about) }, 'ciphertext'),
    async unwrap(wrapped, about) {
      return Buffer.from(await data('decrypt', { ciphertext: wrapped, ...bound(about) }, 'plaintext'), 'base64');
    },
    async stay() {
      await post('/v1/auth/token/renew-self', {});
    },
  };
}

function read({ status, body }: DialAnswer): unknown {
  // Sealed, starting, a standby that sends us elsewhere, or asked too often: that passes.
  if (status >= 500 || (status >= 300 && status < 400) || status === 429 || status === 472 || status === 473)
    throw new GatewayError('peer.unavailable', 'The holder of the key does not answer as it should.');
  if (status < 200 || status >= 300) throw new GatewayError('peer.refused', 'The holder of the key says no.');
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw unreadable(cause);
  }
}

const unreadable = (cause?: unknown): GatewayError =>
  new GatewayError('peer.unavailable', 'The holder of the key gives no answer that can be read.', { cause });
