import { GatewayError, schoolYearOf } from '#kernel';
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { MapKeysRequest, MapKeysResponse } from '#proto/eduk/operator/v1/operator';
import { operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { findPgn } from '../pgn.ts';

const TYPE = 'eduk.operator.v1.MapKeysRequest';
/** More is no school. */
const MOST = 10_000;
/** Of one call to the vault, which is one transaction. */
const LOT = 500;
const PAGE = 5_000;

/** A school goes to another administration: whom its keys name, and whom they do not. */
export async function mapKeysAnswer(request: MapKeysRequest, { door }: Gate): Promise<MapKeysResponse> {
  const { schoolOin, learners, apply } = request;
  check(request);
  const [pgn] = findPgn([{ type: TYPE, message: { ...request }, sender: operator.oin, school: schoolOin }]);
  if (pgn) throw pgn;
  const doubtful = twice(learners);
  const [firm, unsure] = [[...learners.keys()].filter((i) => !doubtful.has(i)), [...doubtful]];
  const outcomes: string[] = Array(learners.length).fill('');
  const named = new Set<string>();
  const map = async (those: readonly number[], isApplied: boolean) => {
    for (let at = 0; at < those.length; at += LOT) {
      const lot = those.slice(at, at + LOT);
      const { mapped } = await door.services.vault.mapKeys({
        schoolOin,
        learners: lot.map((i) => learners[i]!),
        apply: isApplied,
      });
      for (const [n, { outcome, tokens }] of mapped.entries()) {
        outcomes[lot[n]!] = outcome;
        for (const token of tokens) named.add(token);
      }
    }
  };
  await map(firm, apply);
  // Whose they are cannot be said of a number that stands twice; that they are named can.
  await map(unsure, false);
  for (const i of unsure) if (outcomes[i] !== 'unknown') outcomes[i] = 'taken';
  const count = (outcome: string): number => outcomes.filter((one) => one === outcome).length;
  return {
    outcomes,
    maps: count('maps'),
    known: count('known'),
    unknown: count('unknown'),
    taken: count('taken'),
    ...(await unnamedAt(schoolOin, named, door)),
  };
}

function check({ schoolOin, learners }: MapKeysRequest): void {
  if (schoolOin === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  if (learners.length === 0 || learners.length > MOST)
    throw new GatewayError('wire.invalid', 'Name 1 to 10,000 learners.', { where: 'learners' });
  for (const [i, { eckId, lasKey }] of learners.entries())
    if (eckId === '' || lasKey === '')
      throw new GatewayError('wire.invalid', 'A learner is named by ECK iD, with the key beside it.', {
        where: `learners[${i}]`,
      });
}

/** Places of numbers that stand twice in a list. */
function twice(learners: readonly LearnerRef[]): Set<number> {
  const places = new Set<number>();
  for (const column of ['eckId', 'lasKey'] as const) {
    const first = new Map<string, number>();
    for (const [i, { [column]: number }] of learners.entries()) {
      const before = first.get(number);
      if (before === undefined) first.set(number, i);
      else places.add(before).add(i);
    }
  }
  return places;
}

/** Learners of this school year and later that were not named, each counted once, in the year group of the first year. */
async function unnamedAt(
  schoolOin: string,
  named: ReadonlySet<string>,
  { services, clock }: Gate['door'],
): Promise<Pick<MapKeysResponse, 'unnamed' | 'unnamedByYearGroup'>> {
  const { rosters } = await services.rosters.listSchools({ schoolOin });
  const years = rosters
    .map(({ schoolYear }) => schoolYear)
    .filter((year) => year >= schoolYearOf(clock.now()))
    .sort();
  const seen = new Set<string>();
  const counts = new Map<string, number>();
  for (const schoolYear of years)
    for (let after = ''; ; ) {
      const page = await services.rosters.getRoster({ schoolOin, schoolYear, limit: PAGE, after, siteCode: '' });
      for (const { learner, yearGroup } of page.learners) {
        if (named.has(learner) || seen.has(learner)) continue;
        seen.add(learner);
        counts.set(yearGroup, (counts.get(yearGroup) ?? 0) + 1);
      }
      if (page.next === '') break;
      after = page.next;
    }
  return {
    unnamed: seen.size,
    unnamedByYearGroup: [...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([yearGroup, learners]) => ({ yearGroup, learners })),
  };
}
