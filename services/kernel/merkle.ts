/**
 * The Merkle tree of RFC 9162 §2.1 (as RFC 6962): a leaf is SHA-256(0x00 ‖ commitment), a node SHA-256(0x01 ‖ left ‖ right).
 * Digests are 32 bytes, sizes and indexes whole numbers below 2^53.
 */
import { sha256 } from './hmac.ts';

const LEAF = 0;
const NODE = 1;
export const DIGEST = 32;
/** Where what is digested is put together: its kind, then one digest or two. */
const desk = Buffer.alloc(1 + 2 * DIGEST);

const asBytes = (digest: string): Buffer => Buffer.from(digest, 'latin1');

/** Hash of a tree without leaves. */
export const emptyRoot = (): Buffer => asBytes(sha256(''));

/** Hash of a leaf; a commitment is 32 bytes here, other lengths are hashed too. */
export function leafHash(commitment: Uint8Array): Buffer {
  const on = commitment.length < desk.length ? desk : Buffer.alloc(1 + commitment.length);
  on[0] = LEAF;
  on.set(commitment, 1);
  return asBytes(sha256(on.subarray(0, 1 + commitment.length)));
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  desk[0] = NODE;
  desk.set(left, 1);
  desk.set(right, 1 + DIGEST);
  return asBytes(sha256(desk.subarray(0, 1 + left.length + right.length)));
}

/** The largest power of two below `size`, which is 2 at least. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** Root of the tree over commitments. */
export const merkleRoot = (commitments: readonly Uint8Array[]): Buffer =>
  commitments.length === 0 ? emptyRoot() : asBytes(rootOf(commitments, 0, commitments.length));

/** Of the commitments from `from` up to `to`, as 32 Latin-1 characters: bytes for each node would be garbage. */
function rootOf(commitments: readonly Uint8Array[], from: number, to: number): string {
  if (to - from === 1) {
    const commitment = commitments[from]!;
    const on = commitment.length < desk.length ? desk : Buffer.alloc(1 + commitment.length);
    on[0] = LEAF;
    on.set(commitment, 1);
    return sha256(on.subarray(0, 1 + commitment.length));
  }
  const split = splitOf(to - from);
  const left = rootOf(commitments, from, from + split);
  const right = rootOf(commitments, from + split, to);
  desk[0] = NODE;
  desk.write(left, 1, 'latin1');
  desk.write(right, 1 + DIGEST, 'latin1');
  return sha256(desk);
}

/** Called for each perfect subtree of 2^`level` leaves that begins at leaf `index` · 2^`level`, once it is whole. */
export type Whole = (level: number, index: number, hash: Uint8Array) => void;

/**
 * A tree that only grows, as the hashes of its largest perfect subtrees from left to right: at most 53 digests, from which
 * the root follows.
 */
export class Peaks {
  #size: number;
  readonly #hashes: Buffer[];

  /** `hashes`: as `bytes` gave them, for that size. Throws where they are not as many as the size has. */
  constructor(size = 0, hashes: Uint8Array = new Uint8Array(0)) {
    if (hashes.length !== DIGEST * peaksOf(size))
      throw new RangeError('These are not the peaks of a tree of this size.');
    this.#size = size;
    this.#hashes = [];
    for (let at = 0; at < hashes.length; at += DIGEST) this.#hashes.push(Buffer.from(hashes.subarray(at, at + DIGEST)));
  }

  get size(): number {
    return this.#size;
  }

  /** The digests one after the other. */
  bytes(): Buffer {
    return Buffer.concat(this.#hashes);
  }

  /** Adds a leaf by its hash. */
  add(leaf: Uint8Array, whole?: Whole): void {
    this.addWhole(0, leaf, whole);
  }

  /** Adds a perfect subtree of 2^`level` leaves by its hash. Throws where the tree is not at a multiple of that. */
  addWhole(level: number, subtree: Uint8Array, whole?: Whole): void {
    let index = this.#size / 2 ** level;
    if (!Number.isInteger(index)) throw new RangeError('A subtree of this size cannot begin here.');
    let hash = subtree;
    let at = level;
    whole?.(at, index, hash);
    while (index % 2 === 1) {
      hash = nodeHash(this.#hashes.pop()!, hash);
      index = (index - 1) / 2;
      at += 1;
      whole?.(at, index, hash);
    }
    this.#hashes.push(Buffer.from(hash));
    this.#size += 2 ** level;
  }

  root(): Buffer {
    if (this.#hashes.length === 0) return emptyRoot();
    let root = this.#hashes.at(-1)!;
    for (let at = this.#hashes.length - 2; at >= 0; at--) root = nodeHash(this.#hashes[at]!, root);
    return root;
  }
}

/** How many perfect subtrees a tree of this size has at least. */
function peaksOf(size: number): number {
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}

/** Hash of the perfect subtree of 2^`level` leaves that begins at leaf `index` · 2^`level`. */
export type Subtree = (level: number, index: number) => Uint8Array;

/** Hash of the leaves from `from` up to `to`, at least one, where they begin at a multiple of the power of two that they need. */
function rangeHash(from: number, to: number, subtree: Subtree): Uint8Array {
  const length = to - from;
  let level = 0;
  let width = 1;
  while (width < length) {
    width *= 2;
    level += 1;
  }
  if (width === length) return subtree(level, from / width);
  return nodeHash(rangeHash(from, from + width / 2, subtree), rangeHash(from + width / 2, to, subtree));
}

/** Root of the first `size` leaves. */
export const rootAt = (size: number, subtree: Subtree): Uint8Array =>
  size === 0 ? emptyRoot() : rangeHash(0, size, subtree);

/** RFC 9162 §2.1.3.1: what proves that leaf `index` stands in the tree of `size` leaves. Throws `RangeError` where it does not. */
export function inclusionPath(index: number, size: number, subtree: Subtree): Uint8Array[] {
  if (!(index >= 0 && index < size)) throw new RangeError('This leaf is not in a tree of this size.');
  const path: Uint8Array[] = [];
  let from = 0;
  let to = size;
  while (to - from > 1) {
    const split = from + splitOf(to - from);
    if (index < split) {
      path.push(rangeHash(split, to, subtree));
      to = split;
    } else {
      path.push(rangeHash(from, split, subtree));
      from = split;
    }
  }
  return path.reverse();
}

/** RFC 9162 §2.1.4.1: what proves that the tree of `earlier` leaves is the beginning of that of `size`. Throws `RangeError`. */
export function consistencyPath(earlier: number, size: number, subtree: Subtree): Uint8Array[] {
  if (!(earlier >= 0 && earlier <= size)) throw new RangeError('The earlier tree is the larger one.');
  if (earlier === 0 || earlier === size) return [];
  const path: Uint8Array[] = [];
  let from = 0;
  let to = size;
  /** Whether what is left of the earlier tree is known to whoever has its root. */
  let isKnown = true;
  while (to !== earlier) {
    const split = from + splitOf(to - from);
    if (earlier <= split) {
      path.push(rangeHash(split, to, subtree));
      to = split;
    } else {
      path.push(rangeHash(from, split, subtree));
      from = split;
      isKnown = false;
    }
  }
  if (!isKnown) path.push(rangeHash(from, to, subtree));
  return path.reverse();
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
const isWhole = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;

/** RFC 9162 §2.1.3.2: whether a leaf (its hash) is proven to stand at `index` of the tree with this size and root. */
export function provesInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!isWhole(index) || !isWhole(size) || index >= size || path.some(({ length }) => length !== DIGEST)) return false;
  let fn = index;
  let sn = size - 1;
  let hash = leaf;
  for (const step of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(step, hash);
      while (fn % 2 === 0 && fn !== 0) {
        fn /= 2;
        sn = Math.floor(sn / 2);
      }
    } else hash = nodeHash(hash, step);
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && same(hash, root);
}

/** RFC 9162 §2.1.4.2: whether the tree with `size` and `root` is proven to begin with the earlier one. */
export function provesConsistency(
  earlier: number,
  earlierRoot: Uint8Array,
  size: number,
  root: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  if (!isWhole(earlier) || !isWhole(size) || earlier > size || path.some(({ length }) => length !== DIGEST))
    return false;
  if (earlier === size) return path.length === 0 && same(earlierRoot, root);
  if (earlier === 0) return path.length === 0 && same(earlierRoot, emptyRoot());
  if (path.length === 0) return false;
  let isPower = earlier;
  while (isPower % 2 === 0) isPower /= 2;
  const steps = isPower === 1 ? [earlierRoot, ...path] : path;
  let fn = earlier - 1;
  let sn = size - 1;
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  let fr = steps[0]!;
  let sr = steps[0]!;
  for (const step of steps.slice(1)) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(step, fr);
      sr = nodeHash(step, sr);
      while (fn % 2 === 0 && fn !== 0) {
        fn /= 2;
        sn = Math.floor(sn / 2);
      }
    } else sr = nodeHash(sr, step);
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && same(fr, earlierRoot) && same(sr, root);
}
