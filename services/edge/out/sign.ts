import { createHash, createHmac } from 'node:crypto';
import type { Door } from '../submission.ts';

/** Where a party is asked what it has: docs/reconciliation.md. Nothing is sent there. */
export const HOLDINGS = 'holdings';

/**
 * Signatures as Standard Webhooks 1.0 has them (symmetric, `v1`): receivers check them with its libraries, or in ten
 * lines: docs/webhooks.md.
 */

/**
 * The key of an address of a party: another address has another key, and whoever knows one knows no other. A party that was
 * stopped and goes on has another too (`renewed`: how often), and so has one whose secrets were renewed (`salt`). 32 bytes.
 */
export const webhookKey = (door: Pick<Door, 'derive'>, party: string, url: string, renewed = 0, salt = ''): Buffer =>
  Buffer.from(
    door.derive('webhook', [party, url, ...(renewed > 0 ? [renewed] : []), ...(salt === '' ? [] : [salt])].join('|')),
    'base64url',
  );

/** Keys by which is signed what goes to an address now: first the one that its party was told last, then that of before, while it holds. */
export function webhookKeys(
  door: Pick<Door, 'derive' | 'chain' | 'clock'>,
  party: string,
  url: string,
): [Buffer, ...Buffer[]] {
  const renewed = door.chain.standing(party)?.pseudonyms;
  const { webhookSalt, webhookSaltBefore, webhookBeforeUntilMs = 0n } = door.chain.credentials(party) ?? {};
  const key = (salt?: string): Buffer => webhookKey(door, party, url, renewed, salt);
  const isBoth = Number(webhookBeforeUntilMs) > door.clock.now();
  return isBoth ? [key(webhookSalt), key(webhookSaltBefore)] : [key(webhookSalt)];
}

/** The key as the receiver is given it. */
export const webhookSecret = (key: Uint8Array): string => `whsec_${Buffer.from(key).toString('base64')}`;

/** Names a key without telling it, so that a receiver which has two knows which one was used. */
export const keyId = (key: Uint8Array): string => createHash('sha256').update(key).digest('hex').slice(0, 16);

/**
 * Headers of one request. `seconds`: Unix time of this attempt; receivers refuse what is older than some minutes. `before`: keys whose
 * receivers may not have the new one yet.
 */
export function signed(
  key: Uint8Array,
  id: string,
  seconds: number,
  body: Uint8Array,
  before: readonly Uint8Array[] = [],
): Record<string, string> {
  const signature = (by: Uint8Array): string =>
    `v1,${createHmac('sha256', by).update(`${id}.${seconds}.`).update(body).digest('base64')}`;
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': [key, ...before].map(signature).join(' '),
    'eduk-key-id': keyId(key),
  };
}
