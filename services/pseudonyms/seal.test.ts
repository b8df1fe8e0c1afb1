import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HmacKey } from '#kernel';
import { base32, keyOf, mac, open, random, SEAL_OVERHEAD, seal, shortMac, textOf, versionsOf } from './seal.ts';

describe('sealed values', () => {
  const key = keyOf(randomBytes(32));
  const place = fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 4 });
  const versions = fc.record({
    school: fc.integer({ min: 0, max: 65535 }),
    learner: fc.integer({ min: 0, max: 65535 }),
  });

  test('open with the key, place and versions they were sealed with, and with no other', () => {
    fc.assert(
      fc.property(fc.uint8Array(), place, place, versions, fc.nat(), (value, at, elsewhere, of, where) => {
        const sealed = seal(key, of, at, value);
        expect(sealed).toHaveLength(value.length + SEAL_OVERHEAD);
        expect(versionsOf(sealed)).toEqual(of);
        expect(open(key, at, sealed)).toEqual(Buffer.from(value));
        expect(open(keyOf(randomBytes(32)), at, sealed)).toBeUndefined();
        if (JSON.stringify(at) !== JSON.stringify(elsewhere)) expect(open(key, elsewhere, sealed)).toBeUndefined();
        // One bit anywhere, versions and form included.
        sealed[where % sealed.length]! ^= 1 << (where % 8);
        expect(open(key, at, sealed)).toBeUndefined();
      }),
    );
  });

  test('the same value is sealed differently each time', () => {
    const of = { school: 1, learner: 0 };
    const all = Array.from({ length: 2000 }, () => seal(key, of, ['x'], 'value').toString('hex'));
    expect(new Set(all.map((sealed) => sealed.slice(10, 34))).size).toBe(2000);
  });
});

describe('marks and tokens', () => {
  test('mac is HMAC-SHA-256 over label, zero byte, value', () => {
    const bytes = randomBytes(32);
    const expected = createHmac('sha256', bytes).update('label\0value').digest();
    expect(mac(new HmacKey(bytes), 'label', 'value')).toEqual(expected);
    expect(shortMac(new HmacKey(bytes), 'label', 'value')).toBe(textOf(expected.subarray(0, 16)));
  });

  test('base32 is that of RFC 4648, in lower case', () => {
    expect(base32(Buffer.from('foobarfoobarfoob'))).toBe('mzxw6ytbojtg633cmfzgm33pmi');
    const all = new Set(Array.from({ length: 1000 }, () => base32(random(16))));
    expect(all.size).toBe(1000);
    for (const text of all) expect(text).toMatch(/^[a-z2-7]{26}$/);
  });
});
