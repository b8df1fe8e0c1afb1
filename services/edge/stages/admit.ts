import { GatewayError } from '#kernel';
import type { Door, Submission } from '../submission.ts';

/** Faults: gateway.stopping. Sizes are refused where bytes arrive (grpc/server.ts, http/server.ts). */
export function admit(batch: readonly Submission[], door: Door): void {
  if (door.open()) return;
  for (const submission of batch)
    submission.refused = new GatewayError('gateway.stopping', undefined, { retryAfterS: 5 });
}
