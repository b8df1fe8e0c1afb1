/** Answers what learners did, from rows as of the last commit. Payloads stay sealed. */
import { allOf, type EngineView, type KeyValue } from '#bus';
import { dutchDay, GatewayError, type Handlers, type Implementation, implement } from '#kernel';
import {
  type ListResultsRequest,
  type ListSubjectsRequest,
  type ListSubjectsResponse,
  ResultsServiceDefinition,
} from '#proto/eduk/results/v1/results';
import { resultEntry, same } from './consume.ts';
import { type ResultRow, readable, results } from './tables.ts';

/** Results on a page where the caller names no number, and the most it may name. */
const PAGE = 100;
const LARGEST_PAGE = 5_000;
/** Rows looked at for one answer: a filter that fits few is answered in several short pages instead of one long one. */
const LOOKED_AT = 20_000;

export function serve(engine: EngineView): readonly Implementation[] {
  const handlers: Handlers<typeof ResultsServiceDefinition> = {
    listSubjects: (request) => listSubjects(engine, request),
    listResults(request) {
      const isReadable = readableNow(engine);
      const tokens = same.tokensOf(engine, request.schoolOin, request.learner);
      const places = tokens.map((learner) => placeOf({ ...request, learner }));
      const size = Math.min(request.limit || PAGE, LARGEST_PAGE);
      const found: ResultRow[] = [];
      let after = request.after;
      for (let seen = 0; seen < LOOKED_AT; ) {
        const rows = allOf(places, (place) =>
          engine.list(results, { ...place, limit: size + 1, ...(after === '' ? {} : { after: [after] }) }),
        )
          .flat()
          .sort((a, b) => (places.length === 1 ? 0 : a.id < b.id ? -1 : 1))
          .slice(0, size + 1);
        allOf(rows, (row) => fits(row, request, tokens) && isReadable(row));
        for (const row of rows) {
          // One more than the page fits, so there is a next one.
          if (found.length === size) return { results: found.map(resultEntry), next: after };
          after = row.id;
          if (fits(row, request, tokens) && isReadable(row)) found.push(row);
        }
        seen += rows.length;
        if (rows.length <= size) return { results: found.map(resultEntry), next: '' };
      }
      return { results: found.map(resultEntry), next: after };
    },
  };
  return [implement(ResultsServiceDefinition, handlers)];
}

/** Results of one learner that are told, the newest. */
const MOST_TOLD = 1_000;

function listSubjects(engine: EngineView, { schoolOin, learner }: ListSubjectsRequest): ListSubjectsResponse {
  const rows = allOf(same.tokensOf(engine, schoolOin, learner), (token) =>
    engine.list(results, { index: 'byLearner', equals: [token], descending: true, limit: MOST_TOLD + 1 }),
  )
    .flat()
    .sort((a, b) => (a.id < b.id ? 1 : -1));
  return {
    subjects: rows
      .slice(0, MOST_TOLD)
      .map(({ resultId, byOin }) => ({ subject: resultId, partyOins: [byOin], services: [] })),
    coveredFromMs: rows.length > MOST_TOLD ? BigInt(beganMs(rows[MOST_TOLD]!.id) + 1) : 0n,
  };
}

/** When the event came whose id this is, Unix milliseconds. */
const beganMs = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);

/** The index that leaves fewest rows to look at. */
function placeOf({ schoolOin, learner, group, productId, fromOin }: ListResultsRequest): {
  index: string;
  equals: KeyValue[];
} {
  if (learner !== '') return { index: 'byLearner', equals: [learner] };
  if (schoolOin !== '' && group !== '') return { index: 'byGroup', equals: [schoolOin, group] };
  if (schoolOin !== '' && productId !== '') return { index: 'byProduct', equals: [schoolOin, productId] };
  if (schoolOin !== '') return { index: 'bySchool', equals: [schoolOin] };
  if (fromOin !== '') return { index: 'bySupplier', equals: [fromOin] };
  throw new GatewayError('wire.invalid', 'Name a school, a learner or a supplier.');
}

const isAny = (wanted: string, value: string): boolean => wanted === '' || wanted === value;

const fits = (row: ResultRow, wanted: ListResultsRequest, tokens: readonly string[]): boolean =>
  row.withdrawn !== 1 &&
  isAny(wanted.schoolOin, row.school) &&
  (wanted.learner === '' || tokens.includes(row.learner)) &&
  isAny(wanted.group, row.groupToken) &&
  isAny(wanted.productId, row.productId) &&
  isAny(wanted.fromOin, row.byOin);

/** Until when results may be read, by their entitlements; a product that nobody granted is readable while it is kept. */
function readableNow(engine: EngineView): (row: ResultRow) => boolean {
  const today = dutchDay(engine.now());
  const known = new Map<string, boolean>();
  return ({ school, productId, learner }) => {
    const id = `${school} ${productId} ${learner}`;
    let answer = known.get(id);
    if (answer === undefined) {
      const until = [...same.tokensOf(engine, school, learner), '']
        .map((token) => engine.get(readable, school, productId, token)?.until)
        .filter((day) => day !== undefined);
      answer = until.length === 0 || until.some((day) => day >= today);
      known.set(id, answer);
    }
    return answer;
  };
}
