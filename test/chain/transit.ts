/** A holder of keys as the documentation of the Transit engine (HashiCorp Vault, OpenBao) has it, with one key. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What it does when it is asked: it answers, says no (403), or is as when sealed (503). */
export type Mood = 'yes' | 'no' | 'away';

const TAG = 16;
const NONCE = 12;

/** One key: what it wraps opens only with the same words beside it. */
class Key {
  readonly #bytes = randomBytes(32);

  wrap(plain: Uint8Array, about: string): string {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', this.#bytes, nonce);
    cipher.setAAD(Buffer.from(about));
    const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return `vault:v1:${sealed.toString('base64')}`;
  }

  /** Undefined = it does not open. */
  unwrap(wrapped: string, about: string): Buffer | undefined {
    const sealed = Buffer.from(wrapped.replace(/^vault:v1:/, ''), 'base64');
    const decipher = createDecipheriv('aes-256-gcm', this.#bytes, sealed.subarray(0, NONCE));
    decipher.setAAD(Buffer.from(about));
    try {
      decipher.setAuthTag(sealed.subarray(-TAG));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()]);
    } catch {
      return undefined; // Too short, or a wrong tag: not this.
    }
  }
}

export interface TransitPeer {
  /** Address of its only key. */
  key: string;
  /** What it takes. */
  token: string;
  mood: Mood;
  /** Paths that were asked for. */
  asked: string[];
  /** Answers in its place; false = it answers itself. */
  answer: (request: IncomingMessage, response: ServerResponse) => boolean;
  close(): Promise<void>;
}

const read = async (request: IncomingMessage): Promise<Record<string, string>> => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString('utf8') || '{}') as Record<string, string>;
};

/** On a free port of loopback. */
export async function transitPeer(): Promise<TransitPeer> {
  const key = new Key();
  const server = createServer((request, response) => {
    const tell = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    peer.asked.push(request.url ?? '');
    if (peer.answer(request, response)) return;
    const answer = async () => {
      const body = await read(request);
      const about = Buffer.from(body['associated_data'] ?? '', 'base64').toString('utf8');
      if (peer.mood === 'away') return tell(503, { errors: ['Vault is sealed'] });
      if (peer.mood === 'no' || request.headers['x-vault-token'] !== peer.token)
        return tell(403, { errors: ['permission denied'] });
      if (request.method !== 'POST') return tell(405, { errors: [] });
      switch (request.url) {
        case '/v1/auth/token/renew-self':
          return tell(200, { auth: { renewable: true } });
        case '/v1/transit/encrypt/school': {
          const ciphertext = key.wrap(Buffer.from(body['plaintext'] ?? '', 'base64'), about);
          return tell(200, { data: { ciphertext, key_version: 1 } });
        }
        case '/v1/transit/decrypt/school': {
          const plain = key.unwrap(body['ciphertext'] ?? '', about);
          if (!plain) return tell(400, { errors: ['cipher: message authentication failed'] });
          return tell(200, { data: { plaintext: plain.toString('base64') } });
        }
        default:
          return tell(404, { errors: [] });
      }
    };
    void answer();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const peer: TransitPeer = {
    key: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/transit/keys/school`,
    token: 'let-me-in',
    mood: 'yes',
    asked: [],
    answer: () => false,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return peer;
}
