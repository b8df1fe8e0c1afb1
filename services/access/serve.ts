/** Answers from the rows. */
import type { EngineView } from '#bus';
import { type Implementation, implement } from '#kernel';
import {
  AccessServiceDefinition,
  type CountLaunchesRequest,
  type CountLaunchesResponse,
  type LaunchRow,
  type ListLaunchesRequest,
  type ListLaunchesResponse,
} from '#proto/eduk/access/v1/access';
import { type Launch, launches, type Tally, tallies } from './tables.ts';

/** Launches on a page where the caller names no number, and the most it may name. */
const PAGE = 100;
const LARGEST_PAGE = 1_000;

export const serve = (engine: EngineView): readonly Implementation[] => [
  implement(AccessServiceDefinition, {
    getLaunch: ({ launchId }) => ({ launch: getLaunch(engine, launchId) }),
    listLaunches: (request) => listLaunches(engine, request),
    countLaunches: (request) => countLaunches(engine, request),
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

/** Days of one question, and rows read at once. */
const MOST_DAYS = 35;
const ROWS = 1_000;

function countLaunches(engine: EngineView, { days, partyOin }: CountLaunchesRequest): CountLaunchesResponse {
  const counts: CountLaunchesResponse['counts'] = [];
  for (const day of [...new Set(days)].sort().slice(0, MOST_DAYS))
    for (let after: (string | number)[] | undefined; ; ) {
      const page = engine.list(tallies, { equals: [day], ...(after ? { after } : {}), limit: ROWS });
      for (const row of page)
        if (partyOin === '' || row.platform === partyOin || row.publisher === partyOin) counts.push(countOf(row));
      const last = page.at(-1);
      if (!last || page.length < ROWS) break;
      after = [last.quarter, last.platform, last.publisher];
    }
  return { counts };
}

function countOf({
  day,
  quarter,
  platform,
  publisher,
  counts,
}: Readonly<Tally>): CountLaunchesResponse['counts'][number] {
  return {
    day,
    quarter,
    platformOin: platform,
    publisherOin: publisher,
    created: counts['created'] ?? 0,
    redeemed: counts['redeemed'] ?? 0,
    refused: Object.entries(counts).flatMap(([name, count]) => {
      const [what, code] = name.split(' ');
      return code === undefined ? [] : [{ code, count, shown: what === 'shown' }];
    }),
  };
}
