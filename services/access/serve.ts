/** Answers from the rows. */
import type { EngineView } from '#bus';
import { type Implementation, implement } from '#kernel';
import {
  AccessServiceDefinition,
  type LaunchRow,
  type ListLaunchesRequest,
  type ListLaunchesResponse,
} from '#proto/eduk/access/v1/access';
import { type Launch, launches } from './tables.ts';

/** Launches on a page where the caller names no number, and the most it may name. */
const PAGE = 100;
const LARGEST_PAGE = 1_000;

export const serve = (engine: EngineView): readonly Implementation[] => [
  implement(AccessServiceDefinition, {
    getLaunch: ({ launchId }) => ({ launch: getLaunch(engine, launchId) }),
    listLaunches: (request) => listLaunches(engine, request),
  }),
];

function getLaunch(engine: EngineView, launchId: string): LaunchRow | undefined {
  const row = engine.get(launches, launchId);
  return row && message(row);
}

function listLaunches(engine: EngineView, { schoolOin, limit, after }: ListLaunchesRequest): ListLaunchesResponse {
  const size = Math.min(limit || PAGE, LARGEST_PAGE);
  const [learner = '', launch = ''] = after.split('/');
  const rows = engine.list(launches, {
    index: 'learner',
    equals: [schoolOin],
    ...(after === '' ? {} : { after: [learner, launch] }),
    limit: size,
  });
  const last = rows.length < size ? undefined : rows.at(-1);
  return { launches: rows.map(message), next: last ? `${last.learner}/${last.launch}` : '' };
}

const message = (row: Readonly<Launch>): LaunchRow => ({
  launchId: row.launch,
  schoolOin: row.school,
  learner: row.learner,
  entitlementId: row.entitlement,
  productId: row.product,
  expiresMs: BigInt(row.expires),
  outcome: row.state,
  code: row.code,
  redeemedByOin: row.redeemer,
  createdMs: BigInt(row.created),
  platformOin: row.platform,
});
