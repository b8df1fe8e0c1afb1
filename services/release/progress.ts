/**
 * What an audience may see of results whose payloads were opened. Pure: opening them, restricting whose results these
 * are and naming the learners is the caller's work.
 *
 * A result id is one piece of work: a supplier that reports a running total sends it again under the same id. So work and
 * time of several results add up; the share done and the score are the latest.
 */
import { GatewayError } from '#kernel';
import { Audience, ResultKind, ResultPayload } from '#proto/eduk/core/v1/ordering';
import type { LearnerProgress, ProductProgress } from '#proto/eduk/gateway/v1/result';

/** A result with its payload open. */
export interface OpenedResult {
  /** Token of the learner. */
  learner: string;
  /** Token of the group in which it was done; empty where not known. */
  group: string;
  productId: string;
  /** OIN of the supplier. */
  fromOin: string;
  /** YYYY-MM-DD. */
  day: string;
  kind: ResultKind;
  payload: ResultPayload;
}

/** What an audience sees of one learner (ours). */
export interface Sight {
  /** How long was worked. Towards a parent that is watching over a shoulder, not progress. */
  time: boolean;
  /** The latest interim or final score. */
  scores: boolean;
  /** Beside the name of the test and its score: codes, parts, and the work within it. */
  details: boolean;
}

/** Who sees what of one learner. An audience that is not here sees no learner. */
export const sights: ReadonlyMap<Audience, Sight> = new Map([
  [Audience.AUDIENCE_LEARNER, { time: true, scores: true, details: true }],
  [Audience.AUDIENCE_TEACHER, { time: true, scores: true, details: true }],
  [Audience.AUDIENCE_MENTOR, { time: true, scores: true, details: false }],
  [Audience.AUDIENCE_PARENT, { time: false, scores: true, details: false }],
]);

/** Below this many learners a number says something of each. */
export const FEWEST_LEARNERS = 10;

/** Progress of one learner in one product of one supplier; the token stands where the caller puts the learner. */
export interface TokenProgress {
  learner: string;
  progress: LearnerProgress;
}

/**
 * Progress per learner, product and supplier, in that order.
 *
 * @throws GatewayError `wire.invalid` when no audience is named, or one that sees totals only.
 */
export function learnerProgress(results: readonly OpenedResult[], audience: Audience): TokenProgress[] {
  const sight = sights.get(audience);
  if (!sight) throw new GatewayError('wire.invalid', 'This audience sees no single learner.', { where: 'audience' });
  return grouped(results, ({ learner, productId, fromOin }) => `${learner} ${productId} ${fromOin}`).map((all) => {
    const { learner, productId, fromOin } = all[0]!;
    const latest = sight.scores ? latestScored(all) : undefined;
    const progress: LearnerProgress = {
      learner: undefined,
      productId,
      fromOin,
      donePercent: latestDone(all) ?? 0,
      secondsSpent: sight.time ? total(all, ({ secondsSpent }) => secondsSpent) : 0n,
      exercisesDone: Number(
        total(all, ({ exercisesDone }) => (exercisesDone === undefined ? undefined : BigInt(exercisesDone))),
      ),
      results: all.length,
      latest: latest && shown(latest.payload, sight),
      lastDay: all
        .map(({ day }) => day)
        .sort()
        .at(-1)!,
    };
    return { learner, progress };
  });
}

/** What is counted in totals. */
export interface TotalsOptions {
  /** Totals of this group only; absent = the whole school. */
  group?: string;
  /** Only this product. */
  productId?: string;
}

/**
 * Totals per product and supplier. `results` must be those of the whole school, also when a group is asked: whether its
 * number may be shown depends on the other groups, since whoever asks for all of them and for the school could subtract.
 * A hidden row has no numbers; a mean is 0 where too few learners have what it is the mean of.
 */
export function schoolProgress(results: readonly OpenedResult[], options: TotalsOptions = {}): ProductProgress[] {
  const wanted =
    options.productId === undefined ? results : results.filter(({ productId }) => productId === options.productId);
  return grouped(wanted, ({ productId, fromOin }) => `${productId} ${fromOin}`).flatMap<ProductProgress>((all) => {
    const { productId, fromOin } = all[0]!;
    const counted = options.group === undefined ? all : all.filter(({ group }) => group === options.group);
    if (counted.length === 0) return [];
    const learners = countLearners(counted);
    if (isHidden(all, options.group))
      return [{ productId, fromOin, learners: 0, hidden: true, meanDonePercent: 0, meanScorePercent: 0 }];
    const mean = (of: (results: readonly OpenedResult[]) => number | undefined): number => {
      if (options.group !== undefined && isHidden(havingSome(all, of), options.group)) return 0;
      const values = grouped(counted, ({ learner }) => learner)
        .map(of)
        .filter((value) => value !== undefined);
      if (values.length < FEWEST_LEARNERS) return 0;
      return Math.round((values.reduce((sum, value) => sum + value, 0) / values.length) * 10) / 10;
    };
    return [
      {
        productId,
        fromOin,
        learners,
        hidden: false,
        meanDonePercent: mean(latestDone),
        meanScorePercent: mean(latestScorePercent),
      },
    ];
  });
}

/**
 * Results of those who have a value, per group: a mean of three among thirty must not show, nor follow from the means of
 * other groups.
 */
const havingSome = (
  all: readonly OpenedResult[],
  of: (results: readonly OpenedResult[]) => number | undefined,
): OpenedResult[] =>
  grouped(all, ({ group, learner }) => `${group} ${learner}`)
    .filter((own) => of(own) !== undefined)
    .flat();

/**
 * Whether a number of learners must not show: one under ten, and for a group also one without which an other group's
 * would follow from the school's total.
 */
function isHidden(all: readonly OpenedResult[], group: string | undefined): boolean {
  if (group === undefined) return countLearners(all) < FEWEST_LEARNERS;
  const cells = grouped(all, (result) => result.group).map((of) => ({
    name: of[0]!.group,
    count: countLearners(of),
  }));
  return suppressed(cells, FEWEST_LEARNERS).has(group) || !cells.some(({ name }) => name === group);
}

/**
 * Which of cells that add up to a known total must be hidden: the small ones, and as many of the smallest others as it
 * takes to leave at least two hidden that hold no fewer than `fewest` together. None where none is small.
 */
export function suppressed(cells: readonly { name: string; count: number }[], fewest: number): ReadonlySet<string> {
  const bySize = cells.filter(({ count }) => count > 0).sort((a, b) => a.count - b.count || (a.name < b.name ? -1 : 1));
  const hidden = new Set<string>();
  let together = 0;
  for (const { name, count } of bySize) {
    const isSmall = count < fewest;
    if (!isSmall && (hidden.size === 0 || (hidden.size >= 2 && together >= fewest))) break;
    hidden.add(name);
    together += count;
  }
  return hidden;
}

const countLearners = (results: readonly OpenedResult[]): number => new Set(results.map(({ learner }) => learner)).size;

/** Results that share a name, in the order of names. Tokens, ids and OINs hold no space, so that one may stand between. */
function grouped(results: readonly OpenedResult[], nameOf: (result: OpenedResult) => string): OpenedResult[][] {
  const groups = new Map<string, OpenedResult[]>();
  for (const result of results) {
    const name = nameOf(result);
    const group = groups.get(name);
    if (group) group.push(result);
    else groups.set(name, [result]);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
}

const momentOf = ({ payload, day }: OpenedResult): number => Date.parse(payload.takenAt) || Date.parse(day) || 0;

const isWhole = ({ payload }: OpenedResult): boolean => payload.partId === '';

/**
 * The latest by day; of one day the weightiest, then by the moment that the supplier gave, then the one that came later.
 */
function latestOf(results: readonly OpenedResult[], weigh: (result: OpenedResult) => number): OpenedResult | undefined {
  let latest: OpenedResult | undefined;
  for (const result of results) {
    if (latest === undefined || result.day > latest.day) latest = result;
    else if (result.day === latest.day) {
      const more = weigh(result) - weigh(latest);
      if (more > 0 || (more === 0 && momentOf(result) >= momentOf(latest))) latest = result;
    }
  }
  return latest;
}

/** The latest share of the work done, 0 to 100; of whole activities where there are any. */
function latestDone(results: readonly OpenedResult[]): number | undefined {
  const reported = results.filter(({ payload }) => payload.donePercent !== undefined);
  const whole = reported.filter(isWhole);
  const latest = latestOf(whole.length > 0 ? whole : reported, () => 0);
  return latest && Math.min(100, Math.max(0, latest.payload.donePercent!));
}

const isScored = ({ kind, payload }: OpenedResult): boolean =>
  (kind === ResultKind.RESULT_KIND_INTERIM || kind === ResultKind.RESULT_KIND_FINAL) &&
  (payload.score !== undefined || payload.grade !== '');

/** The latest interim or final score. Of one day the final one goes first, then the whole before its parts. */
const latestScored = (results: readonly OpenedResult[]): OpenedResult | undefined =>
  latestOf(
    results.filter(isScored),
    (result) => (result.kind === ResultKind.RESULT_KIND_FINAL ? 2 : 0) + (isWhole(result) ? 1 : 0),
  );

/** The latest score as a share of what could be scored. */
function latestScorePercent(results: readonly OpenedResult[]): number | undefined {
  const latest = latestScored(
    results.filter(({ payload }) => payload.score !== undefined && (payload.scoreMax ?? 0) > 0),
  );
  return latest && Math.min(100, Math.max(0, (latest.payload.score! / latest.payload.scoreMax!) * 100));
}

/** Adds up; where an activity is reported as a whole, its parts are in it already. */
function total(results: readonly OpenedResult[], of: (payload: ResultPayload) => bigint | undefined): bigint {
  const activities = new Map<string, { whole?: bigint; parts: bigint }>();
  for (const result of results) {
    const value = of(result.payload);
    if (value === undefined) continue;
    const { activityId } = result.payload;
    const activity = activities.get(activityId) ?? { parts: 0n };
    activities.set(activityId, activity);
    if (isWhole(result)) activity.whole = (activity.whole ?? 0n) + value;
    else activity.parts += value;
  }
  let sum = 0n;
  for (const { whole, parts } of activities.values()) sum += whole ?? parts;
  return sum;
}

/** The part of a payload that an audience may see. */
function shown(payload: ResultPayload, sight: Sight): ResultPayload {
  const { score, scoreMax, grade, takenAt, activityName } = payload;
  if (!sight.details) return ResultPayload.fromPartial({ score, scoreMax, grade, takenAt, activityName });
  return sight.time ? payload : { ...payload, secondsSpent: undefined };
}
