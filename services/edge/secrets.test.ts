import { expect, test } from 'vitest';
import { AccessTokens } from './secrets.ts';

const key = Buffer.alloc(32, 7);
const at = (publicUrl: string, own = key) => new AccessTokens(own, () => publicUrl);
const ours = at('https://gateway.example');
const claims = { oin: '00000099000000001000', scopes: ['order', 'flow'], school: '0000000700099ZX00000' };

test('a token says what it was issued for, for ten minutes', () => {
  const { token, expiresInS } = ours.issue({ ...claims, thumbprint: 'abc' }, 1_000_000);
  expect(expiresInS).toBe(600);
  expect(ours.verify(token, 1_000_000 + 599_999)).toEqual({ ...claims, issuedMs: 1_000_000, thumbprint: 'abc' });
  expect(ours.verify(token, 1_000_000 + 600_000)).toBeUndefined();
});

test('wrong audience: a token of a gateway with another address is none here, though one key signed both', () => {
  const { token } = at('https://elsewhere.example').issue(claims, 0);
  expect(ours.verify(token, 1)).toBeUndefined();
  expect(at('https://elsewhere.example').verify(token, 1)).toEqual({ ...claims, issuedMs: 0, thumbprint: undefined });
  // Every door of one gateway has this address and this key.
  expect(at('https://gateway.example').verify(ours.issue(claims, 0).token, 1)).toMatchObject(claims);
});

test('one that another key signed, or that was changed, cut or signed by nobody, is none', () => {
  const { token } = ours.issue(claims, 0);
  expect(at('https://gateway.example', Buffer.alloc(32, 8)).verify(token, 1)).toBeUndefined();
  const [head, signature] = token.slice('eduk_at_'.length).split('.') as [string, string];
  const payload = JSON.parse(Buffer.from(head, 'base64url').toString()) as object;
  const changed = Buffer.from(JSON.stringify({ ...payload, school: undefined })).toString('base64url');
  const none = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
  for (const forged of [
    `eduk_at_${changed}.${signature}`,
    `eduk_at_${head}.`,
    `eduk_at_${head}`,
    `eduk_at_${head}.${signature.slice(1)}`,
    `${none}.${head}.`,
  ])
    expect(ours.verify(forged, 1)).toBeUndefined();
});
