import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asUri, type Pseudonymous, Pseudonyms, readPseudonym } from './pairwise.ts';
import { base32, bytesOfBase32, keyOf } from './seal.ts';

const [SCHOOL, PARTY] = ['0000000700099ZX00000', '00000099100000009000'];
const bytes = randomBytes(32);
const key = () => keyOf(bytes);
const block = fc.uint8Array({ minLength: 16, maxLength: 16 });

test('26 characters and 16 bytes are two forms of one value', () => {
  fc.assert(
    fc.property(block, (value) => {
      expect(bytesOfBase32(base32(value))).toEqual(Buffer.from(value));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
      const read = bytesOfBase32(text);
      if (read) expect(base32(read)).toBe(text);
    }),
  );
  expect(bytesOfBase32(`${'a'.repeat(25)}b`)).toBeUndefined(); // More bits than 16 bytes have.
  expect(bytesOfBase32(`${'a'.repeat(25)}A`)).toBeUndefined();
});

test('a pseudonym leads back to its token, and two of anything have nothing in common', () => {
  const kinds: [Pseudonymous, string][] = [
    ['learner', 'lt_'],
    ['staff', 'st_'],
    ['text', 'tx_'],
  ];
  fc.assert(
    fc.property(block, fc.constantFrom(...kinds), ([...value], [kind, prefix]) => {
      const characters = base32(Uint8Array.from(value));
      const token = prefix + characters;
      const mine = new Pseudonyms(key(), 1, SCHOOL, PARTY, kind);
      const pseudonym = mine.of(token);
      const read = readPseudonym(pseudonym)!;
      expect(read).toEqual({ version: 1, renewed: 0, characters: pseudonym.slice(4) });
      expect(readPseudonym(asUri(pseudonym))).toEqual(read);
      expect(mine.tokenOf(read.characters)).toBe(token);
      // The same from the same key, whoever makes it, in whatever order.
      expect(new Pseudonyms(key(), 1, SCHOOL, PARTY, kind).of(token)).toBe(pseudonym);
      expect(mine.of(token)).toBe(pseudonym);
      const others = [
        new Pseudonyms(key(), 1, SCHOOL, `${PARTY.slice(0, -1)}1`, kind).of(token),
        new Pseudonyms(key(), 1, SCHOOL.replace('ZX', 'ZY'), PARTY, kind).of(token),
        new Pseudonyms(keyOf(randomBytes(32)), 1, SCHOOL, PARTY, kind).of(token),
        ...kinds
          .filter(([other]) => other !== kind)
          .map(([other, its]) => new Pseudonyms(key(), 1, SCHOOL, PARTY, other).of(its + characters)),
      ].map((one) => one.slice(4));
      expect(new Set([...others, read.characters, characters]).size).toBe(others.length + 2);
    }),
    { numRuns: 50 },
  );
});

test('what has another form is no pseudonym', () => {
  const characters = base32(randomBytes(16));
  for (const text of [
    '',
    characters,
    `pw-${characters}`,
    `pw0-${characters}`,
    `pw1-${characters}a`,
    ` pw1-${characters}`,
  ])
    expect(readPseudonym(text)).toBeUndefined();
  const mine = new Pseudonyms(key(), 1, SCHOOL, PARTY, 'learner');
  expect(() => mine.of(`st_${characters}`)).toThrow('no token');
  expect(mine.tokenOf('a')).toBeUndefined();
});

test('renewed for one receiver they are others, and say so; what was told before still leads back', () => {
  const token = `lt_${base32(bytes.subarray(0, 16))}`;
  const [before, after] = [0, 1].map((renewed) => new Pseudonyms(key(), 3, SCHOOL, PARTY, 'learner', renewed));
  const [old, fresh] = [before!.of(token), after!.of(token)];
  expect(old).toMatch(/^pw3-[a-z2-7]{26}$/);
  expect(fresh).toMatch(/^pw3r1-[a-z2-7]{26}$/);
  expect(fresh.slice(-26)).not.toBe(old.slice(-26));
  expect(readPseudonym(asUri(fresh))).toEqual({ version: 3, renewed: 1, characters: fresh.slice(-26) });
  expect(readPseudonym(old)!.renewed).toBe(0);
  expect(after!.tokenOf(fresh.slice(-26))).toBe(token);
  expect(after!.tokenOf(old.slice(-26))).not.toBe(token);
  expect(before!.tokenOf(old.slice(-26))).toBe(token);
});
