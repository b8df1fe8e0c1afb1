import { HmacKey, sha256 } from '#kernel';

/** Leaves and roots of receipts (proto eduk.core.v1.Receipt). */

const LEAF = 0;
const NODE = 1;
const DIGEST = 32;
/** Where what is digested is put together: its kind, then one digest or two. */
const desk = Buffer.alloc(1 + 2 * DIGEST);

/** HMAC-SHA-256 of the message as read, under its salt. */
export const leafOf = (salt: Uint8Array, message: Uint8Array): Uint8Array => new HmacKey(salt).digest(message);

/** Merkle tree hash of RFC 6962 §2.1 over leaves. */
export const merkleRoot = (leaves: readonly Uint8Array[]): Uint8Array =>
  Buffer.from(leaves.length === 0 ? sha256('') : rootOf(leaves, 0, leaves.length), 'latin1');

/** Of the leaves from `from` up to `to`, as 32 Latin-1 characters. */
function rootOf(leaves: readonly Uint8Array[], from: number, to: number): string {
  if (to - from === 1) {
    const leaf = leaves[from]!;
    desk[0] = LEAF;
    desk.set(leaf, 1);
    return sha256(desk.subarray(0, 1 + leaf.length));
  }
  let split = 1;
  while (split * 2 < to - from) split *= 2;
  const left = rootOf(leaves, from, from + split);
  const right = rootOf(leaves, from + split, to);
  desk[0] = NODE;
  desk.write(left, 1, 'latin1');
  desk.write(right, 1 + DIGEST, 'latin1');
  return sha256(desk);
}
