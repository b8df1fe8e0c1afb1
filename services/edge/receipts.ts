import { createHash, createHmac } from 'node:crypto';

/** Leaves and roots of receipts (proto eduk.core.v1.Receipt). */

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** HMAC-SHA-256 of the message as read, under its salt. */
export const leafOf = (salt: Uint8Array, message: Uint8Array): Uint8Array =>
  createHmac('sha256', salt).update(message).digest();

/** Merkle tree hash of RFC 6962 §2.1 over leaves. */
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return createHash('sha256').digest();
  if (leaves.length === 1) return createHash('sha256').update(LEAF).update(leaves[0]!).digest();
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return createHash('sha256')
    .update(NODE)
    .update(merkleRoot(leaves.slice(0, split)))
    .update(merkleRoot(leaves.slice(split)))
    .digest();
}
