import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError, keyIdOf } from '#kernel';
import { type Caller, whoCalls } from '../caller.ts';
import type { Heads } from '../heads.ts';
import { sendJson } from './exchange.ts';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const time = (ms: bigint): string | null => (ms === 0n ? null : new Date(Number(ms)).toISOString());

/**
 * `/.well-known/eduk-log-keys`: which keys sign, and signed, heads of the log of what was done, and the newest head. Public: it says
 * nothing of anybody.
 */
export function serveLogKeys(request: IncomingMessage, response: ServerResponse, heads: Heads): void {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    throw new GatewayError('wire.invalid', 'Read the keys with GET.', { where: 'method' });
  const head = heads.newest;
  sendJson(response, 200, {
    logId: head ? hex(head.logId) : null,
    keys: heads.keys.map(({ publicKey, fromMs, untilMs }) => ({
      keyId: hex(keyIdOf(publicKey)),
      algorithm: 'Ed25519',
      publicKey: base64(publicKey),
      from: time(fromMs),
      until: time(untilMs),
    })),
    head: head
      ? {
          size: Number(head.size),
          root: base64(head.root),
          time: time(head.timeMs),
          previous: base64(head.previous),
          keyId: hex(head.keyId),
          signature: base64(head.signature),
        }
      : null,
  });
}

/** A head that this party has not got yet, to go with its answer. */
export function giveHead(response: ServerResponse, heads: Heads, caller: Caller): void {
  const head = caller.kind === 'party' ? heads.newFor(whoCalls(caller)) : undefined;
  if (head) response.setHeader('eduk-log-head', head.toString('base64'));
}
