import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { exportJWK, SignJWT } from 'jose';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DialError, type Dialler, diallerFor, networksOf } from '#kernel';
import { KeySets, verifyAssertion } from './assertions.ts';
import { Operators } from './operators.ts';

/** Keys by address: kept, renewed, and asked for no more often than they may be. */

const at = 'https://keys.example/jwks.json';
const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = async (key: KeyObject, kid: string) => ({ ...(await exportJWK(key)), kid, alg: 'ES256' });

let answer: () => Promise<Response>;
let asked: number;
let sets: KeySets;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  asked = 0;
  const fetch = (url: string | URL) => {
    expect(String(url)).toBe(at);
    asked++;
    return answer();
  };
  sets = new KeySets({ fetch } as unknown as Dialler);
});
afterEach(() => vi.useRealTimers());
const gives = (...keys: object[]) => {
  answer = () => Promise.resolve(new Response(JSON.stringify({ keys })));
};

async function verified(key: KeyObject, kid: string): Promise<string> {
  const nowMs = Date.now();
  const assertion = await new SignJWT({
    iss: 'client',
    sub: 'client',
    aud: 'us',
    jti: 'one',
    exp: Math.floor(nowMs / 1000) + 60,
  })
    .setProtectedHeader({ alg: 'ES256', kid })
    .sign(key);
  return verifyAssertion(assertion, sets.at(at), { clientId: 'client', audience: ['us'], nowMs }).then(
    () => 'good',
    ({ fault }) => fault,
  );
}

test('keys are fetched once in ten minutes', async () => {
  const own = pair();
  gives(await jwk(own.publicKey, 'a'));
  for (let i = 0; i < 3; i++) expect(await verified(own.privateKey, 'a')).toBe('good');
  expect(asked).toBe(1);
  vi.advanceTimersByTime(600_001);
  expect(await verified(own.privateKey, 'a')).toBe('good');
  expect(asked).toBe(2);
});

test('a key that is renewed is found by its name, at most every 30 s; one that is taken away goes', async () => {
  const [first, second] = [pair(), pair()];
  gives(await jwk(first.publicKey, 'a'));
  expect(await verified(first.privateKey, 'a')).toBe('good');
  gives(await jwk(second.publicKey, 'b'));
  expect(await verified(second.privateKey, 'b')).toBe('party.unknown');
  expect(asked).toBe(1);
  vi.advanceTimersByTime(30_001);
  expect(await verified(second.privateKey, 'b')).toBe('good');
  expect(asked).toBe(2);
  expect(await verified(first.privateKey, 'a')).toBe('party.unknown');
  for (let i = 0; i < 50; i++) expect(await verified(first.privateKey, `c${i}`)).toBe('party.unknown');
  expect(asked).toBe(2);
});

test.each<[string, () => Promise<Response>]>([
  ['does not answer', () => Promise.reject(new DialError('timeout'))],
  ['answers with an error', () => Promise.resolve(new Response('', { status: 500 }))],
  ['leads elsewhere', () => Promise.resolve(new Response(null, { status: 302, headers: { location: at } }))],
  ['holds no keys', () => Promise.resolve(new Response('{"keys":1}'))],
  ['holds no JSON', () => Promise.resolve(new Response('keys'))],
])('an address that %s is said to, and is not asked again at once', async (_what, broken) => {
  const own = pair();
  answer = broken;
  for (let i = 0; i < 50; i++) expect(await verified(own.privateKey, 'a')).toBe('peer.unavailable');
  expect(asked).toBe(1);
  vi.advanceTimersByTime(5_001);
  gives(await jwk(own.publicKey, 'a'));
  expect(await verified(own.privateKey, 'a')).toBe('good');
});

test('an assertion of an unknown client is verified like any other', async () => {
  const own = pair();
  const known = { jwksUrl: '', jwks: Buffer.from(JSON.stringify({ keys: [await exportJWK(own.publicKey)] })) };
  const assertion = await new SignJWT({ iss: 'client', sub: 'client', aud: 'us', jti: 'one', exp: 60 })
    .setProtectedHeader({ alg: 'ES256' })
    .sign(pair().privateKey);
  /** What finds the keys, and in which words it ends. */
  const work = async (client: typeof known | undefined): Promise<unknown[]> => {
    const keys = sets.ofClient(client);
    const found: string[] = [];
    const refused = await verifyAssertion(
      assertion,
      async (...asked) => {
        const key = await keys(...asked);
        found.push((key as { type: string }).type);
        return key;
      },
      { clientId: 'client', audience: ['us'], nowMs: 0 },
    ).catch(({ fault, told }) => [fault, told]);
    return [found, refused];
  };
  const right = await work(known);
  expect(right[0]).toEqual(['public']);
  expect(await work(undefined)).toEqual(right);
  expect(await work({ jwksUrl: '', jwks: Buffer.alloc(0) })).toEqual(right);
});

const inside = [
  'https://169.254.169.254/keys',
  'https://[::ffff:10.0.0.1]/keys',
  'https://keys.example/',
  'http://127.0.0.1/',
];
/** The gateway's own, of one that is not on loopback: every name leads inside. */
const wayOut = () => {
  const resolved: string[] = [];
  const dialler = diallerFor(networksOf([], false), {
    resolve: (name, _options, done) => {
      resolved.push(name);
      done(null, [{ address: '10.0.0.1', family: 4 }]);
    },
  });
  return { dialler, resolved };
};

test('SSRF through jwks_uri: keys are fetched over the one way out, which leads nowhere inside', async () => {
  vi.useRealTimers();
  const { dialler, resolved } = wayOut();
  sets = new KeySets(dialler);
  for (const address of inside) {
    const keys = sets.at(address);
    await expect(keys({ alg: 'ES256', kid: 'a' }, { payload: '', signature: '' })).rejects.toMatchObject({
      fault: 'peer.unavailable',
      reason: 'address',
    });
  }
  expect(resolved).toEqual(['keys.example']);
  dialler.close();
});

test('nor do the keys of a provider of operators, wherever it says that they are', async () => {
  vi.useRealTimers();
  const { dialler } = wayOut();
  const issuer = 'https://login.example';
  for (const jwks_uri of inside) {
    const asks = { ...dialler, fetchJson: () => Promise.resolve({ issuer, jwks_uri }) };
    const given = { issuer, audience: 'eduk', jwksUrl: undefined, roleClaim: 'roles', duties: new Map() };
    const operators = new Operators(given, new KeySets(dialler), asks, Date.now, () => new Uint8Array(32));
    const token = await new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'a' }).sign(pair().privateKey);
    await expect(operators.verify(token)).rejects.toMatchObject({ fault: 'peer.unavailable' });
  }
  dialler.close();
});

test('a provider that describes itself as another, or does not answer, is not asked again at once', async () => {
  for (const says of [{ issuer: 'https://elsewhere.example', jwks_uri: at }, null]) {
    let discovered = 0;
    const asks = {
      fetchJson: () => {
        discovered++;
        return Promise.resolve(says);
      },
    } as unknown as Dialler;
    const given = {
      issuer: 'https://login.example',
      audience: 'eduk',
      jwksUrl: undefined,
      roleClaim: 'roles',
      duties: new Map(),
    };
    vi.advanceTimersByTime(60_000);
    const operators = new Operators(given, sets, asks, Date.now, () => new Uint8Array(32));
    for (let i = 0; i < 5; i++)
      await expect(operators.verify('a.b.c')).rejects.toMatchObject({ fault: 'peer.unavailable' });
    expect(discovered).toBe(1);
    vi.advanceTimersByTime(5_001);
    await operators.verify('a.b.c').catch(() => undefined);
    expect(discovered).toBe(2);
  }
});
