/**
 * What an audience may see of results whose payloads were opened. Pure: opening them, restricting whose results these
 * are and naming the learners is the caller's work.
 *
 * Numbers are averaged only over one scale: points of one version of one test of one supplier, an ability on one named scale of one
 * supplier, shares of one and the same work. Words never are. Scores on different scales stand beside each other as what they are.
 *
 * A result id is one piece of work: a supplier that reports a running total sends it again under the same id. So work and
 * time of several results add up; the share done and the score are the latest.
 */
import { GatewayError } from '#kernel';
import { Audience, ResultKind, ResultPayload } from '#proto/eduk/core/v1/ordering';
import type { ListedTerm } from '#proto/eduk/core/v1/test';
import {
  type LearnerProgress,
  type ProductProgress,
  ProgressBy,
  type ScaledScore,
  ScaleKind,
  type ScoreMean,
  type ScoreScale,
  type WorkShare,
} from '#proto/eduk/gateway/v1/result';

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

/** What rows are of, and of which results. */
export interface RowsOptions {
  /** Absent = per product and supplier. */
  by?: ProgressBy;
  /** Only results of this subject, and for this goal, by its word. */
  subject?: string;
  goal?: string;
}

/** Results of one row, and what it is of. */
interface Row {
  productId: string;
  fromOin: string;
  subject: ListedTerm | undefined;
  goal: ListedTerm | undefined;
  results: readonly OpenedResult[];
}

/** A word of one list is another than the same word of another list. */
const termName = (term: ListedTerm | undefined): string =>
  term === undefined ? '' : JSON.stringify([term.value, term.vocabulary]);

/** Puts results into rows, in the order of their names. For several goals a result is in the row of each. */
function rowsOf(all: readonly OpenedResult[], { by, subject, goal }: RowsOptions): Row[] {
  const wanted = all.filter(
    ({ payload }) =>
      (!subject || payload.subject?.value === subject) && (!goal || payload.goals.some(({ value }) => value === goal)),
  );
  const none = { productId: '', fromOin: '', subject: undefined, goal: undefined };
  if (by === ProgressBy.PROGRESS_BY_SUBJECT)
    return grouped(wanted, ({ payload }) => termName(payload.subject)).map((results) => ({
      ...none,
      subject: results[0]!.payload.subject,
      results,
    }));
  if (by === ProgressBy.PROGRESS_BY_GOAL) {
    const goals = new Map<string, Row & { results: OpenedResult[] }>();
    for (const result of wanted) {
      const own = new Map(result.payload.goals.map((one) => [termName(one), one]));
      for (const [name, one] of own.size > 0 ? own : ([['', undefined]] as const)) {
        if (goal && one?.value !== goal) continue;
        const row = goals.get(name) ?? { ...none, goal: one, results: [] };
        row.results.push(result);
        goals.set(name, row);
      }
    }
    return [...goals].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }
  return grouped(wanted, ({ productId, fromOin }) => `${productId} ${fromOin}`).map((results) => ({
    ...none,
    productId: results[0]!.productId,
    fromOin: results[0]!.fromOin,
    results,
  }));
}

/**
 * Progress per learner, and per product and supplier, or as `by` says, in that order.
 *
 * @throws GatewayError `wire.invalid` when no audience is named, or one that sees totals only.
 */
export function learnerProgress(
  results: readonly OpenedResult[],
  audience: Audience,
  options: RowsOptions = {},
): TokenProgress[] {
  const sight = sights.get(audience);
  if (!sight) throw new GatewayError('wire.invalid', 'This audience sees no single learner.', { where: 'audience' });
  return grouped(results, ({ learner }) => learner).flatMap((own) =>
    rowsOf(own, options).map(({ results: all, ...of }) => {
      const latest = sight.scores ? latestScored(all) : undefined;
      const shares = sharesOf(all);
      const progress: LearnerProgress = {
        ...of,
        learner: undefined,
        donePercent: shares.length === 1 ? shares[0]!.donePercent : 0,
        secondsSpent: sight.time ? secondsOf(all) : 0n,
        exercisesDone: exercisesOf(all),
        results: all.length,
        latest: latest && shown(latest.payload, sight),
        lastDay: all
          .map(({ day }) => day)
          .sort()
          .at(-1)!,
        scores: sight.scores ? scoresOf(all, sight) : [],
        shares,
      };
      return { learner: own[0]!.learner, progress };
    }),
  );
}

/** Of different products or suppliers seconds and exercises add up: codes of activities are each one's own. */
const eachSource = (results: readonly OpenedResult[]): OpenedResult[][] =>
  grouped(results, ({ productId, fromOin }) => `${productId} ${fromOin}`);

const secondsOf = (results: readonly OpenedResult[]): bigint =>
  eachSource(results).reduce((sum, own) => sum + total(own, ({ secondsSpent }) => secondsSpent), 0n);

const exercisesOf = (results: readonly OpenedResult[]): number =>
  eachSource(results).reduce(
    (sum, own) =>
      sum +
      Number(total(own, ({ exercisesDone }) => (exercisesDone === undefined ? undefined : BigInt(exercisesDone)))),
    0,
  );

const sharesOf = (results: readonly OpenedResult[]): WorkShare[] =>
  eachSource(results).flatMap((own) => {
    const donePercent = latestDone(own)?.share;
    const { productId, fromOin } = own[0]!;
    return donePercent === undefined ? [] : [{ productId, fromOin, donePercent }];
  });

/** On what a score is measured; its `code` is empty where its sender does not say, and then it compares with nothing. */
export function scaleOf({ payload, productId, fromOin }: OpenedResult): ScoreScale {
  const { monitor, score, scoreMax, partId, activityName: name } = payload;
  const test = {
    fromOin,
    productId,
    code: payload.definition || payload.activityId,
    partId,
    name,
    max: undefined,
  };
  if (monitor?.ability !== undefined) {
    const kind = ScaleKind.SCALE_KIND_ABILITY;
    if (monitor.abilityScale === '') return { ...test, kind };
    return { kind, fromOin, productId: '', code: monitor.abilityScale, partId: '', name: '', max: undefined };
  }
  if (score !== undefined) return { ...test, kind: ScaleKind.SCALE_KIND_POINTS, max: scoreMax };
  return { ...test, kind: ScaleKind.SCALE_KIND_WORDS };
}

const scaleName = ({ kind, fromOin, productId, code, partId, max }: ScoreScale): string =>
  JSON.stringify([kind, fromOin, productId, code, partId, max ?? '']);

const scoreIn = ({ payload }: OpenedResult): number | undefined => payload.monitor?.ability ?? payload.score;

/** The latest interim and final score on every scale. Without details: of whole tests, by name. */
function scoresOf(results: readonly OpenedResult[], sight: Sight): ScaledScore[] {
  const scored = results.filter(isScored).filter((result) => sight.details || isWhole(result));
  return grouped(scored, (result) => `${scaleName(scaleOf(result))} ${result.kind}`).map((all) => {
    const latest = latestOf(all, () => 0)!;
    const scale = scaleOf(latest);
    return {
      scale: sight.details ? scale : { ...scale, code: '', partId: '' },
      kind: latest.kind,
      value: scoreIn(latest),
      grade: latest.payload.grade,
      day: latest.day,
      references: sight.details ? (latest.payload.monitor?.references ?? []) : [],
    };
  });
}

/** What is counted in totals. */
export interface TotalsOptions extends RowsOptions {
  /** Totals of this group only; absent = the whole school. */
  group?: string;
  /** Only this product. */
  productId?: string;
}

/**
 * Totals per product and supplier, or as `by` says. `results` must be those of the whole school, also when a group is asked:
 * whether its number may be shown depends on the other groups, since whoever asks for all of them and for the school could
 * subtract. A hidden row has no numbers; a mean is 0 where too few learners have what it is the mean of, or where what they
 * have does not compare.
 */
export function schoolProgress(results: readonly OpenedResult[], options: TotalsOptions = {}): ProductProgress[] {
  const { group, productId, by, subject, goal } = options;
  const isOfProducts = by !== ProgressBy.PROGRESS_BY_SUBJECT && by !== ProgressBy.PROGRESS_BY_GOAL;
  // Part of a row, taken from the row, would tell the rest of it.
  if (isOfProducts ? subject || goal : productId || (by === ProgressBy.PROGRESS_BY_SUBJECT ? goal : subject))
    throw new GatewayError('wire.invalid', 'Totals are narrowed only by what their rows are of.', { where: 'by' });
  const wanted = productId === undefined ? results : results.filter((result) => result.productId === productId);
  const inGroup = (all: readonly OpenedResult[]) =>
    group === undefined ? all : all.filter((result) => result.group === group);
  // Work of all subjects is the work in all products: where one of either is hidden, sums of the others would tell it.
  const maySum =
    isOfProducts ||
    [...rowsOf(results, {}), ...rowsOf(results, { by })].every(
      ({ results: all }) => inGroup(all).length === 0 || !isHidden(all, group),
    );
  return rowsOf(wanted, options).flatMap<ProductProgress>(({ results: all, ...of }) => {
    const counted = inGroup(all);
    if (counted.length === 0) return [];
    const row: ProductProgress = {
      ...of,
      learners: 0,
      hidden: true,
      meanDonePercent: 0,
      meanScorePercent: 0,
      scores: [],
      secondsSpent: 0n,
      exercisesDone: 0,
    };
    if (isHidden(all, group)) return [row];
    /** What the learners have of something, where enough have it for a number to be shown. */
    const enough = <T>(of: (results: readonly OpenedResult[]) => T | undefined): T[] => {
      if (group !== undefined && isHidden(havingSome(all, of), group)) return [];
      const values = grouped(counted, ({ learner }) => learner)
        .map(of)
        .filter((value) => value !== undefined);
      return values.length < FEWEST_LEARNERS ? [] : values;
    };
    return [
      {
        ...row,
        learners: countLearners(counted),
        hidden: false,
        meanDonePercent: meanOfOne(enough(latestDoneOfOne)),
        meanScorePercent: meanOfOne(enough(latestScorePercent)),
        scores: means(counted, enough),
        secondsSpent: (maySum ? enough((own) => secondsOf(own) || undefined) : []).reduce((sum, n) => sum + n, 0n),
        exercisesDone: (maySum ? enough((own) => exercisesOf(own) || undefined) : []).reduce((sum, n) => sum + n, 0),
      },
    ];
  });
}

/** A number, and the name of what it is measured on. */
interface Measured {
  of: string;
  share: number;
}

const rounded = (value: number): number => Math.round(value * 10) / 10;
const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The mean where all are measured on the same; else 0, because there is none. */
function meanOfOne(values: readonly Measured[]): number {
  if (values.length === 0 || values.some(({ of }) => of !== values[0]!.of)) return 0;
  return rounded(meanOf(values.map(({ share }) => share)));
}

/** Means by scale, of the latest score of each learner on it. */
function means(
  counted: readonly OpenedResult[],
  enough: <T>(of: (results: readonly OpenedResult[]) => T | undefined) => T[],
): ScoreMean[] {
  const measured = counted.filter((result) => isScored(result) && scoreIn(result) !== undefined);
  const scales = new Map(measured.map((result) => [scaleName(scaleOf(result)), scaleOf(result)]));
  return [...scales]
    .filter(([, { code }]) => code !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, scale]) => {
      const values = enough((own) => {
        const latest = latestScored(own.filter((one) => scaleName(scaleOf(one)) === name));
        return latest && scoreIn(latest);
      });
      return values.length === 0 ? [] : [{ scale, learners: values.length, mean: rounded(meanOf(values)) }];
    });
}

/**
 * Results of those who have a value, per group: a mean of three among thirty must not show, nor follow from the means of
 * other groups.
 */
const havingSome = (all: readonly OpenedResult[], of: (results: readonly OpenedResult[]) => unknown): OpenedResult[] =>
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
function latestDone(results: readonly OpenedResult[]): Measured | undefined {
  const reported = results.filter(({ payload }) => payload.donePercent !== undefined);
  const whole = reported.filter(isWhole);
  const latest = latestOf(whole.length > 0 ? whole : reported, () => 0);
  if (latest === undefined) return undefined;
  const { productId, fromOin, payload } = latest;
  return {
    of: JSON.stringify([fromOin, productId, payload.definition || payload.activityId, payload.partId]),
    share: Math.min(100, Math.max(0, payload.donePercent!)),
  };
}

/** The same where all is of one product of one supplier. */
const latestDoneOfOne = (results: readonly OpenedResult[]): Measured | undefined =>
  eachSource(results).length === 1 ? latestDone(results) : undefined;

const isScored = ({ kind, payload }: OpenedResult): boolean =>
  (kind === ResultKind.RESULT_KIND_INTERIM || kind === ResultKind.RESULT_KIND_FINAL) &&
  (payload.score !== undefined || payload.grade !== '' || payload.monitor?.ability !== undefined);

/** The latest interim or final score. Of one day the final one goes first, then the whole before its parts. */
const latestScored = (results: readonly OpenedResult[]): OpenedResult | undefined =>
  latestOf(
    results.filter(isScored),
    (result) => (result.kind === ResultKind.RESULT_KIND_FINAL ? 2 : 0) + (isWhole(result) ? 1 : 0),
  );

/** The latest score as a share of what could be scored. A score of which nobody says what it is of, is its own alone. */
function latestScorePercent(results: readonly OpenedResult[]): Measured | undefined {
  const latest = latestScored(
    results.filter((result) => {
      const { kind, max } = scaleOf(result);
      return kind === ScaleKind.SCALE_KIND_POINTS && (max ?? 0) > 0;
    }),
  );
  if (latest === undefined) return undefined;
  const scale = scaleOf(latest);
  return {
    of: scale.code === '' ? `${latest.learner} ${scaleName(scale)}` : scaleName(scale),
    share: Math.min(100, Math.max(0, (latest.payload.score! / scale.max!) * 100)),
  };
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
  const { score, scoreMax, grade, takenAt, activityName, monitor } = payload;
  if (!sight.details) return ResultPayload.fromPartial({ score, scoreMax, grade, takenAt, activityName });
  if (sight.time) return payload;
  return { ...payload, secondsSpent: undefined, monitor: monitor && { ...monitor, time: undefined } };
}
