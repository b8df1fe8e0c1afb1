import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  consistencyPath,
  inclusionPath,
  leafHash,
  merkleRoot,
  nodeHash,
  Peaks,
  provesConsistency,
  provesInclusion,
  rootAt,
  type Subtree,
} from './merkle.ts';

const sha = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const byte = (value: number): Buffer => Buffer.from([value]);

/** RFC 9162 §2.1.1, word for word. */
function naive(leaves: readonly Uint8Array[]): Buffer {
  if (leaves.length === 0) return sha();
  if (leaves.length === 1) return sha(byte(0), leaves[0]!);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha(byte(1), naive(leaves.slice(0, k)), naive(leaves.slice(k)));
}
/** §2.1.3.1. */
function naivePath(m: number, leaves: readonly Uint8Array[]): Buffer[] {
  if (leaves.length === 1) return [];
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return m < k
    ? [...naivePath(m, leaves.slice(0, k)), naive(leaves.slice(k))]
    : [...naivePath(m - k, leaves.slice(k)), naive(leaves.slice(0, k))];
}
/** §2.1.4.1. */
function naiveProof(m: number, leaves: readonly Uint8Array[], b = true): Buffer[] {
  if (m === leaves.length) return b ? [] : [naive(leaves)];
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return m <= k
    ? [...naiveProof(m, leaves.slice(0, k), b), naive(leaves.slice(k))]
    : [...naiveProof(m - k, leaves.slice(k), false), naive(leaves.slice(0, k))];
}

const subtreeOf =
  (leaves: readonly Uint8Array[]): Subtree =>
  (level, index) =>
    naive(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level));
const commitments = (count: number): Buffer[] => Array.from({ length: count }, (_, i) => sha(Buffer.from(`leaf ${i}`)));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('vectors', () => {
  // Five inputs of different lengths; their roots were put together with sha256sum on a command line.
  const inputs = ['61', '626f656b', '', '6c6573', '0001ff'].map((text) => Buffer.from(text, 'hex'));
  test.each([
    [0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    [1, '022a6979e6dab7aa5ae4c3e5e45f7e977112a7e63593820dbec1ec738a24f93c'],
    [2, 'e9dff58830184e68d4db17dcb7b457bdc1a027c6df2e897438cd1ac1408aa640'],
    [3, '75d638c518f0b3a769b39b6074656d1852fb50997e61d5fa5b0a008c09cdf7c0'],
    [4, '57be51b39d20307646424c922d6792a174be7acacd15cca4d220989bb11f7d3d'],
    [5, '83971c910c6f4ff588474ff54b0bb865b144d31b407861463778f071774e4a54'],
  ])('root of %i leaves', (count, root) => {
    expect(hex(merkleRoot(inputs.slice(0, count)))).toBe(root);
    const peaks = new Peaks();
    for (const input of inputs.slice(0, count)) peaks.add(leafHash(input));
    expect(hex(peaks.root())).toBe(root);
  });
  test('a leaf cannot pass for a node', () => {
    const [a, b] = commitments(2);
    expect(leafHash(Buffer.concat([leafHash(a!), leafHash(b!)]))).not.toEqual(nodeHash(leafHash(a!), leafHash(b!)));
  });
});

const sizes = fc.integer({ min: 1, max: 200 });

describe('as the naive tree', () => {
  test('roots, by peaks and by subtrees, however it was stored in between', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 200 }), (size, stop) => {
        const leaves = commitments(size);
        let peaks = new Peaks();
        const whole = new Map<string, string>();
        for (const [i, leaf] of leaves.entries()) {
          if (i === stop) peaks = new Peaks(peaks.size, peaks.bytes());
          peaks.add(leafHash(leaf), (level, index, hash) => whole.set(`${level}/${index}`, hex(hash)));
        }
        expect(hex(peaks.root())).toBe(hex(naive(leaves)));
        expect(hex(merkleRoot(leaves))).toBe(hex(naive(leaves)));
        expect(hex(rootAt(size, subtreeOf(leaves)))).toBe(hex(naive(leaves)));
        for (const [place, hash] of whole) {
          const [level, index] = place.split('/').map(Number) as [number, number];
          expect(hash).toBe(hex(subtreeOf(leaves)(level, index)));
        }
        for (let level = 0; 2 ** level <= size; level++)
          for (let index = 0; (index + 1) * 2 ** level <= size; index++)
            expect(whole.has(`${level}/${index}`)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
  test('inclusion: the same path, which proves its leaf, place, size and root, and no other', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (size, at, other) => {
        const leaves = commitments(size);
        const index = at % size;
        const path = inclusionPath(index, size, subtreeOf(leaves));
        expect(path.map(hex)).toEqual(naivePath(index, leaves).map(hex));
        const leaf = leafHash(leaves[index]!);
        const root = naive(leaves);
        expect(provesInclusion(leaf, index, size, path, root)).toBe(true);
        expect(provesInclusion(leafHash(sha(leaf)), index, size, path, root)).toBe(false);
        expect(provesInclusion(leaf, index, size, path, sha(root))).toBe(false);
        const wrong = other % size;
        if (wrong !== index) expect(provesInclusion(leaf, wrong, size, path, root)).toBe(false);
        expect(provesInclusion(leaf, size, size, path, root)).toBe(false);
        expect(provesInclusion(leaf, index, size, [...path, root], root)).toBe(false);
        if (path.length > 0) {
          expect(provesInclusion(leaf, index, size, path.slice(1), root)).toBe(false);
          const bent = path.map((step, i) => (i === other % path.length ? sha(step) : step));
          expect(provesInclusion(leaf, index, size, bent, root)).toBe(false);
        }
      }),
      { numRuns: 100 },
    );
  });
  test('consistency: the same path, which proves the two trees, and no others', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (size, at, other) => {
        const leaves = commitments(size);
        const earlier = 1 + (at % size);
        const path = consistencyPath(earlier, size, subtreeOf(leaves));
        expect(path.map(hex)).toEqual(naiveProof(earlier, leaves).map(hex));
        const before = naive(leaves.slice(0, earlier));
        const now = naive(leaves);
        expect(provesConsistency(earlier, before, size, now, path)).toBe(true);
        const changed = naive(leaves.map((leaf, i) => (i === other % earlier ? sha(leaf) : leaf)));
        expect(provesConsistency(earlier, before, size, changed, path)).toBe(false);
        expect(provesConsistency(earlier, sha(before), size, now, path)).toBe(false);
        if (path.length > 0) {
          expect(provesConsistency(earlier, before, size, now, path.slice(1))).toBe(false);
          const bent = path.map((step, i) => (i === other % path.length ? sha(step) : step));
          expect(provesConsistency(earlier, before, size, now, bent)).toBe(false);
        }
      }),
      { numRuns: 100 },
    );
  });
  test('what is out of range is refused', () => {
    const subtree = subtreeOf(commitments(4));
    expect(() => inclusionPath(4, 4, subtree)).toThrow(RangeError);
    expect(() => consistencyPath(5, 4, subtree)).toThrow(RangeError);
    expect(() => new Peaks(3, new Uint8Array(32))).toThrow(RangeError);
    expect(provesConsistency(5, sha(), 4, sha(), [])).toBe(false);
    expect(provesInclusion(sha(), 0.5, 4, [], sha())).toBe(false);
  });
});
