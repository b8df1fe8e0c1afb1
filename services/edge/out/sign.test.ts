import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { keyId, signed, webhookKey, webhookKeys, webhookSecret } from './sign.ts';

const door = {
  derive: (purpose: string, id: string) => createHash('sha256').update(`${purpose}|${id}`).digest('base64url'),
};
const key = webhookKey(door, '1', 'https://a.example/');
const other = webhookKey(door, '2', 'https://a.example/');
const body = Buffer.from('[{"id":"é"}]');
const now = 1_800_000_000;

type EventsOf = (headers: Record<string, string>, body: string | Buffer, secrets: string[], now?: number) => unknown;
let eventsOf: EventsOf;
const folder = mkdtempSync(join(tmpdir(), 'eduk-webhook-'));
beforeAll(async () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/webhooks.md'), 'utf8');
  const example = /```js\n([\s\S]+?)```/.exec(page)![1]!;
  writeFileSync(join(folder, 'example.mjs'), example);
  ({ eventsOf } = (await import(pathToFileURL(join(folder, 'example.mjs')).href)) as { eventsOf: EventsOf });
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a signature is what the standard says: its own example', () => {
  // From the specification of Standard Webhooks 1.0.
  const secret = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
  const text = Buffer.from('{"test": 2432232314}');
  const headers = signed(secret, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, text);
  expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

describe.each([
  [
    'the library',
    (headers: Record<string, string>, text: Buffer) => new Webhook(webhookSecret(key)).verify(text, headers),
  ],
  [
    'the example of the page',
    (headers: Record<string, string>, text: Buffer) => eventsOf(headers, text, [webhookSecret(key)]),
  ],
])('%s', (_, verify) => {
  const seconds = 1_795_000_000;
  // What is a second too far ahead is not, a second later.
  beforeEach(() => void vi.useFakeTimers({ now: seconds * 1000, toFake: ['Date'] }));
  afterEach(() => void vi.useRealTimers());
  const refused = (headers: Record<string, string>, text = body) => {
    try {
      return verify(headers, text) === undefined;
    } catch {
      return true;
    }
  };

  test('takes what we signed', () => {
    expect(verify(signed(key, 'a', seconds, body), body)).toEqual([{ id: 'é' }]);
  });

  test('refuses another body, id, time or key, and what is old', () => {
    const headers = signed(key, 'a', seconds, body);
    expect(refused(headers, Buffer.from('[{"id":"e"}]'))).toBe(true);
    expect(refused({ ...headers, 'webhook-id': 'b' })).toBe(true);
    expect(refused({ ...headers, 'webhook-timestamp': String(seconds - 1) })).toBe(true);
    expect(refused({ ...headers, 'webhook-signature': 'v1,AAAA' })).toBe(true);
    expect(refused(signed(other, 'a', seconds, body))).toBe(true);
    expect(refused(signed(key, 'a', seconds - 301, body))).toBe(true);
    expect(refused(signed(key, 'a', seconds + 301, body))).toBe(true);
    expect(refused({})).toBe(true);
  });

  test('takes one of several signatures, as while a key is renewed', () => {
    const both = signed(other, 'a', seconds, body, [key]);
    expect(both['webhook-signature']!.split(' ')).toHaveLength(2);
    expect(both['eduk-key-id']).toBe(keyId(other));
    expect(refused(both)).toBe(false);
    expect(refused(signed(other, 'a', seconds, body))).toBe(true);
  });
});

test('the example takes two secrets, as while one is renewed', () => {
  const secrets = [webhookSecret(key), webhookSecret(other)];
  expect(eventsOf(signed(other, 'a', now, body), body, secrets, now)).toEqual([{ id: 'é' }]);
});

test('a key is of a party and an address, and its name tells nothing of it', () => {
  const keys = [key, other, webhookKey(door, '1', 'https://b.example/')];
  expect(new Set(keys.map((one) => one.toString('hex'))).size).toBe(3);
  expect(key).toHaveLength(32);
  expect(keyId(key)).toMatch(/^[0-9a-f]{16}$/);
  expect(webhookSecret(key)).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
});

test('a key that was renewed is another; the one of before signs too until its moment, and one that leaked does not', () => {
  const url = 'https://a.example/';
  const keysOf = (credentials: object, now = 1_000) =>
    webhookKeys(
      {
        ...door,
        clock: { now: () => now },
        chain: { standing: () => undefined, credentials: () => credentials },
      } as never,
      '1',
      url,
    ).map((one) => one.toString('base64'));
  const first = key.toString('base64');
  expect(keysOf({})).toEqual([first]);
  const renewed = { webhookSalt: 'one', webhookSaltBefore: '', webhookBeforeUntilMs: 1_001n };
  const [second, before] = keysOf(renewed);
  expect([second === first, before]).toEqual([false, first]);
  expect(keysOf(renewed, 1_001)).toEqual([second]);
  const twice = { webhookSalt: 'two', webhookSaltBefore: 'one', webhookBeforeUntilMs: 1_001n };
  expect(keysOf(twice)).toEqual([keysOf({ webhookSalt: 'two' })[0], second]);
});
