import { hash } from 'node:crypto';
import { HmacKey } from '#kernel';

/** Leaves and roots of receipts (proto eduk.core.v1.Receipt). */

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** HMAC-SHA-256 of the message as read, under its salt. */
export const leafOf = (salt: Uint8Array, message: Uint8Array): Uint8Array => new HmacKey(salt).digest(message);

/** Merkle tree hash of RFC 6962 §2.1 over leaves. */
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return hash('sha256', '', 'buffer');
  if (leaves.length === 1) return hash('sha256', Buffer.concat([LEAF, leaves[0]!]), 'buffer');
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return hash(
    'sha256',
    Buffer.concat([NODE, merkleRoot(leaves.slice(0, split)), merkleRoot(leaves.slice(split))]),
    'buffer',
  );
}
