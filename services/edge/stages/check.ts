import { GatewayError } from '#kernel';
import { limits } from '../limits.ts';
import { leafOf } from '../receipts.ts';
import type { Submission } from '../submission.ts';
import { each } from './each.ts';

/** Items of a bulk stream and other messages: the largest that is taken, bytes. */
export const LARGEST = { bulk: limits.item.at, unary: limits.message.at };

export const tooLarge = (): GatewayError =>
  new GatewayError(
    'wire.too_large',
    `An item may hold ${LARGEST.bulk / 1024} kB, another message ${LARGEST.unary / 1024 / 1024} MiB.`,
  );

/** Size, and the leaf of the receipt. Faults: wire.too_large. */
export function check(batch: readonly Submission[]): void {
  each(batch, (submission) => {
    const bytes = submission.bytes!;
    if (bytes.length > (submission.bulk ? LARGEST.bulk : LARGEST.unary)) throw tooLarge();
    submission.leaf = leafOf(submission.salt!, bytes);
  });
}
