import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { partitionOf, uuid7, uuidBytes, uuidText } from './ids.ts';

test('an id as text is its digits in five groups, and comes back the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (id) => {
      const text = uuidText(id);
      const hex = Buffer.from(id).toString('hex');
      expect(text).toBe(
        [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-'),
      );
      expect(uuidBytes(text)).toEqual(id);
      expect(uuidBytes(text.toUpperCase())).toEqual(id);
    }),
  );
});

test('a text that is no UUID has no bytes', () => {
  const text = uuidText(uuid7());
  for (const wrong of [
    '',
    text.slice(1),
    `${text}0`,
    text.replaceAll('-', '0'),
    `${text.slice(0, 8)}0${text.slice(9)}`,
    ...['g', '-', ' ', 'é', '€', '\0', '/', ':', '@', '`'].flatMap((mark) => [
      mark + text.slice(1),
      text.slice(0, 35) + mark,
    ]),
  ])
    expect(uuidBytes(wrong), wrong).toBeUndefined();
});

test('ids of one thread rise', () => {
  const made = Array.from({ length: 10_000 }, () => uuidText(uuid7()));
  expect(made).toEqual([...made].sort());
});

test('a key has the lane that its digest says', () => {
  // First four bytes of SHA-256, big-endian, modulo 16: e3b0c442, 2cf24dba, 9f86d081.
  expect(['', 'hello', 'test'].map(partitionOf)).toEqual([2, 10, 1]);
});
