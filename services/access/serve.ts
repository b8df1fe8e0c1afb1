/** Answers from the rows. */
import type { EngineView } from '#bus';
import { type Implementation, implement } from '#kernel';
import { AccessServiceDefinition, type LaunchRow } from '#proto/eduk/access/v1/access';
import { launches } from './tables.ts';

export const serve = (engine: EngineView): readonly Implementation[] => [
  implement(AccessServiceDefinition, { getLaunch: ({ launchId }) => ({ launch: getLaunch(engine, launchId) }) }),
];

function getLaunch(engine: EngineView, launchId: string): LaunchRow | undefined {
  const row = engine.get(launches, launchId);
  if (!row) return undefined;
  return {
    launchId,
    schoolOin: row.school,
    learner: row.learner,
    entitlementId: row.entitlement,
    productId: row.product,
    expiresMs: BigInt(row.expires),
    outcome: row.state,
    code: row.code,
    redeemedByOin: row.redeemer,
  };
}
