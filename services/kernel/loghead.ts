/** Heads of the log of what was done: the bytes that are signed, signing, and what whoever holds one can check with it alone. */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { AuditKind, AuditRecord, type LogHead, type LogProof } from '#proto/eduk/core/v1/audit';
import { HmacKey, sha256 } from './hmac.ts';
import { DIGEST, leafHash, provesConsistency, provesInclusion } from './merkle.ts';

const LABEL = Buffer.from('eduk log head 1\0', 'latin1');

/** What is signed of a head. All digests have 32 bytes. */
export function headBytes(head: Omit<LogHead, 'signature'>): Buffer {
  const bytes = Buffer.alloc(LABEL.length + 4 * DIGEST + 16);
  let at = LABEL.copy(bytes);
  const digest = (value: Uint8Array): void => {
    if (value.length !== DIGEST) throw new RangeError('A digest of a head has 32 bytes.');
    bytes.set(value, at);
    at += DIGEST;
  };
  digest(head.logId);
  at = bytes.writeBigUInt64BE(head.size, at);
  digest(head.root);
  at = bytes.writeBigInt64BE(head.timeMs, at);
  digest(head.previous);
  digest(head.keyId);
  return bytes;
}

const digestOf = (bytes: Uint8Array): Buffer => Buffer.from(sha256(bytes), 'latin1');

/** By which the next head names this one. */
export const headDigest = (head: LogHead): Buffer => digestOf(headBytes(head));

/** A public key as it is handed out: SubjectPublicKeyInfo, DER. */
export const publicKeyBytes = (key: KeyObject): Buffer =>
  (key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' });

export const keyIdOf = (publicKey: Uint8Array): Buffer => digestOf(publicKey);

/** Ed25519 gives the same signature each time. */
export const signHead = (head: Omit<LogHead, 'signature'>, key: KeyObject): LogHead => ({
  ...head,
  signature: sign(null, headBytes(head), key),
});

/** Whether a head was signed with this key (SubjectPublicKeyInfo, DER). */
export function isSignedBy(head: LogHead, publicKey: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    return (
      key.asymmetricKeyType === 'ed25519' &&
      same(head.keyId, keyIdOf(publicKey)) &&
      verify(null, headBytes(head), key, head.signature)
    );
  } catch {
    return false; // Bytes that are no key, or a head that lacks something, sign nothing.
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** Hash of the leaf of a record (encoded) under its salt. */
export const recordLeaf = (salt: Uint8Array, record: Uint8Array): Buffer => leafHash(new HmacKey(salt).digest(record));

/** What is wrong with a proof, by one of these names; undefined = it proves its record. The key still has to be believed. */
export type ProofProblem = 'incomplete' | 'signature' | 'path';

export function proofProblem({ record, recordSalt, index, path, head, key }: LogProof): ProofProblem | undefined {
  if (!head || !key || record.length === 0 || recordSalt.length !== 16) return 'incomplete';
  if (!isSignedBy(head, key.publicKey)) return 'signature';
  const leaf = recordLeaf(recordSalt, record);
  return provesInclusion(leaf, Number(index), Number(head.size), path, head.root) ? undefined : 'path';
}

/** The record in a proof. Throws what the codec throws. */
export const recordOf = ({ record }: Pick<LogProof, 'record'>): AuditRecord => AuditRecord.decode(record);

/** What a record says of one thing that has a receipt. */
export type OfReceipt = Pick<AuditRecord, 'receiptId' | 'content' | 'schoolOin' | 'method' | 'times'>;

/**
 * What stands in a record under receipts: itself (a message, or a group of a stream), or each message that was accepted together
 * with others. Nothing, of what nobody has a receipt of.
 */
export function receiptsIn(record: AuditRecord): OfReceipt[] {
  const { kind, receiptId, content, schoolOin, method, times, messages } = record;
  if (kind !== AuditKind.AUDIT_KIND_ACCEPTED) return [];
  const own = receiptId === '' ? [] : [{ receiptId, content, schoolOin, method, times }];
  return [
    ...own,
    ...messages.map((message) => ({
      receiptId: message.receiptId,
      content: message.content,
      schoolOin: schoolOin || message.schoolOin,
      method: method || message.method,
      times: 1n,
    })),
  ];
}

/**
 * How a later head stands to an earlier one of the same log: `same`, `grown` (proven by the path), `truncated` (fewer leaves), `forked`
 * (other leaves in the beginning), or `other` (another log).
 */
export type Succession = 'same' | 'grown' | 'truncated' | 'forked' | 'other';

export function succession(earlier: LogHead, later: LogHead, path: readonly Uint8Array[]): Succession {
  if (!same(earlier.logId, later.logId)) return 'other';
  if (later.size < earlier.size) return 'truncated';
  const proven = provesConsistency(
    Number(earlier.size),
    earlier.root,
    Number(later.size),
    later.root,
    earlier.size === later.size ? [] : path,
  );
  if (!proven) return 'forked';
  return earlier.size === later.size ? 'same' : 'grown';
}
