/** Answers from the rows. */
import { allOf, type EngineView } from '#bus';
import { type Implementation, implement } from '#kernel';
import {
  AccessServiceDefinition,
  type CountLaunchesRequest,
  type CountLaunchesResponse,
  type LaunchRow,
  type ListLaunchesRequest,
  type ListLaunchesResponse,
  type ListSubjectsRequest,
  type ListSubjectsResponse,
} from '#proto/eduk/access/v1/access';
import { same } from './consume.ts';
import { type Launch, launches, type Tally, tallies } from './tables.ts';

/** Launches on a page where the caller names no number, and the most it may name. */
const PAGE = 100;
const LARGEST_PAGE = 1_000;

export const serve = (engine: EngineView): readonly Implementation[] => [
  implement(AccessServiceDefinition, {
    getLaunch: ({ launchId }) => ({ launch: getLaunch(engine, launchId) }),
    listLaunches: (request) => listLaunches(engine, request),
    listSubjects: (request) => listSubjects(engine, request),
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

/** Longer than messages about launches are remembered. */
const REMEMBERED_MS = 36 * 86_400_000;
/** Launches of one learner that are looked at, and that are told. */
const LOOKED_AT = 5_000;
const MOST_TOLD = 1_000;

function listSubjects(engine: EngineView, { schoolOin, learner }: ListSubjectsRequest): ListSubjectsResponse {
  const tokens = same.tokensOf(engine, schoolOin, learner);
  const lists = allOf(tokens, (token) =>
    engine.list(launches, { index: 'learner', equals: [schoolOin, token], limit: LOOKED_AT }),
  );
  const since = engine.now() - REMEMBERED_MS;
  const found = lists
    .flat()
    .filter(({ created }) => created > since)
    .sort((a, b) => b.created - a.created);
  // In the order of their ids: of those behind the last it is not known when they came.
  const isCut = lists.some(({ length }) => length === LOOKED_AT);
  return {
    subjects: found.slice(0, MOST_TOLD).map(({ launch }) => ({ subject: launch, partyOins: [], services: [] })),
    coveredFromMs: BigInt(isCut ? engine.now() : found.length > MOST_TOLD ? found[MOST_TOLD]!.created + 1 : 0),
  };
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
