import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * A link by which an operator signs in to the console of this machine, once and within five minutes. Who has the operator's key can
 * make one, so nothing has to be kept before it is used: `nonce(16) | until(6) | HMAC-SHA-256 under that key`, in base64url.
 */

const HOLDS_MS = 5 * 60_000;
const NONCE = 16;
const TIME = 6;
const PURPOSE = 'eduk console link 1|';

const proofOf = (operatorKey: string, said: Uint8Array): Buffer =>
  createHmac('sha256', operatorKey).update(PURPOSE).update(said).digest();

/** What a link carries behind its `#`. */
export function makeConsoleLink(operatorKey: string, nowMs: number): string {
  const said = Buffer.alloc(NONCE + TIME);
  randomBytes(NONCE).copy(said);
  said.writeUIntBE(nowMs + HOLDS_MS, NONCE, TIME);
  return Buffer.concat([said, proofOf(operatorKey, said)]).toString('base64url');
}

/** Undefined = nobody with the key made it, or it is over. Whether it was used before is for the caller to know, by `nonce` until `untilMs`. */
export function readConsoleLink(
  operatorKey: string,
  text: string,
  nowMs: number,
): { nonce: string; untilMs: number } | undefined {
  if (!/^[\w-]{72}$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  const said = bytes.subarray(0, NONCE + TIME);
  if (!timingSafeEqual(proofOf(operatorKey, said), bytes.subarray(NONCE + TIME))) return undefined;
  const untilMs = said.readUIntBE(NONCE, TIME);
  // One that holds longer than any is of a clock that was set back since.
  if (untilMs <= nowMs || untilMs > nowMs + HOLDS_MS) return undefined;
  return { nonce: said.subarray(0, NONCE).toString('base64url'), untilMs };
}
