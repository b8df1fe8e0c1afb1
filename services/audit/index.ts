import type { KeyObject } from 'node:crypto';
import type { ServiceModule } from '#bus';
import { Waiters } from '#kernel';
import { consumer, type Signer, signerOf } from './consume.ts';
import { HEADS, serve } from './serve.ts';
import { tables } from './tables.ts';

export { logKey } from './key.ts';

/** Callers that may wait for a head at once. */
const MOST_WAITING = 10_000;

/**
 * The log of what was done, whose heads are signed with this key (Ed25519, private), which is asked for when the first is; without one
 * none is signed.
 */
export function auditWith({ key }: { key?: (() => KeyObject) | undefined }): ServiceModule {
  const waiters = new Waiters(MOST_WAITING);
  let signer: Signer | undefined;
  const signerNow = key && (() => (signer ??= signerOf(key())));
  return {
    name: 'audit',
    tables,
    consumers: [consumer(signerNow, () => waiters.hint(HEADS))],
    serve: (engine) => serve(engine, waiters),
  };
}

/** Without a key: leaves, and no heads. */
export const audit: ServiceModule = auditWith({});
