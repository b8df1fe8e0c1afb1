import { dutchDay, GatewayError, type HmacKey } from '#kernel';
import { ResultPayload } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { ReturnResultsRequest } from '#proto/eduk/gateway/v1/result';
import type { Intake } from '../submission.ts';
import { event } from '../submission.ts';
import { hasRef, namedLearner } from './people.ts';

/** Numbers below it, of fifteen digits before the point, are held as they were written. Standards bound none. */
const MOST_POINTS = 1e15;
/** What one result may say, so that sums over a school's year stay within the fields that carry them. */
const MOST_SECONDS = 366n * 86_400n;
const MOST_EXERCISES = 1_000_000;

export const returnResults: Intake<ReturnResultsRequest> = {
  method: 'ResultService/ReturnResults',
  type: 'eduk.gateway.v1.ReturnResultsRequest',
  codec: ReturnResultsRequest,
  roles: [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER],
  service: Service.SERVICE_RESULT,
  remember: 35,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    const { result } = request;
    if (!request.schoolOin)
      throw new GatewayError('wire.invalid', 'A result names its school.', { where: 'school_oin' });
    if (!result?.resultId)
      throw new GatewayError('wire.invalid', 'A result needs an id.', { where: 'result.result_id' });
    if (!hasRef(result.learner))
      throw new GatewayError('wire.invalid', 'A result names its learner by ECK iD or key.', {
        where: 'result.learner',
      });
    if (result.withdrawn) {
      if (result.payload)
        throw new GatewayError('wire.invalid', 'A result that is taken back has no payload.', {
          where: 'result.payload',
        });
      return;
    }
    if (!result.payload) throw new GatewayError('wire.invalid', 'A result has a payload.', { where: 'result.payload' });
    checkDescription(result.payload);
    const { donePercent, score, scoreMax, exercisesDone, exercisesTotal, secondsSpent } = result.payload;
    if (donePercent !== undefined && !(donePercent >= 0 && donePercent <= 100))
      throw new GatewayError('wire.invalid', 'A share of work is 0 to 100.', { where: 'result.payload.done_percent' });
    for (const [name, value] of [
      ['score', score],
      ['score_max', scoreMax],
    ] as const)
      if (value !== undefined && !(Math.abs(value) < MOST_POINTS))
        throw new GatewayError('wire.invalid', 'A score is a number of at most 15 digits before the point.', {
          where: `result.payload.${name}`,
        });
    if (secondsSpent !== undefined && secondsSpent > MOST_SECONDS)
      throw new GatewayError('wire.invalid', 'No piece of work takes longer than a year.', {
        where: 'result.payload.seconds_spent',
      });
    for (const [name, value] of [
      ['exercises_done', exercisesDone],
      ['exercises_total', exercisesTotal],
    ] as const)
      if (value !== undefined && value > MOST_EXERCISES)
        throw new GatewayError('wire.invalid', 'A piece of work has at most 1,000,000 exercises.', {
          where: `result.payload.${name}`,
        });
    if (score !== undefined && scoreMax !== undefined && score > scoreMax)
      throw new GatewayError('wire.invalid', 'A score is above its maximum.', { where: 'result.payload.score' });
    if (exercisesDone !== undefined && exercisesTotal !== undefined && exercisesDone > exercisesTotal)
      throw new GatewayError('wire.invalid', 'More exercises are done than there are.', {
        where: 'result.payload.exercises_done',
      });
  },
  people: ({ result }) => [namedLearner(result!.learner!, 'result.learner', false)],
  texts: ({ result }) => (result?.groupKey ? [result.groupKey] : []),
  payloads: ({ result }) =>
    result!.payload ? [{ person: 0, data: ResultPayload.encode(result!.payload).finish(), context: 'result' }] : [],
  events: ({ result, schoolOin }, found, { caller, nowMs, door }) => {
    const { resultId, productId, groupKey, kind, payload, statedAt, withdrawn } = result!;
    const takenAt = payload?.takenAt ?? '';
    const taken = takenAt === '' ? dutchDay(nowMs) : takenAt.length === 10 ? takenAt : dutchDay(Date.parse(takenAt));
    return [
      event(
        'ResultSubmitted',
        {
          result: {
            resultId,
            schoolOin,
            learner: found.tokens[0]!,
            productId,
            group: groupKey ? found.texts.get(groupKey)! : '',
            day: taken,
            kind,
            payload: payload ? found.sealed[0]! : new Uint8Array(0),
            byOin: caller.oin,
            digest: payload ? contentDigest(door.digestKey, ResultPayload.encode(payload).finish()) : new Uint8Array(0),
            withdrawn,
            // A clock that runs ahead must not shut out what is said tomorrow.
            statedMs: BigInt(Math.max(0, Math.min(Date.parse(statedAt) || 0, nowMs))),
          },
          losses: [], // A message of ours loses nothing.
        },
        found.tokens[0]!,
      ),
    ];
  },
  about: ({ result }) => ({ productId: result?.productId ?? '' }),
};

/** Goals that one piece of work may be for, and what a test may have of parts, levels and norms. */
const MOST_GOALS = 50;
const MOST_LISTED = 500;

/** What a test and its scale may say in numbers, so that every receiver can write them. */
function checkDescription({ goals, test, monitor }: ResultPayload): void {
  const invalid = (told: string, path: string) =>
    new GatewayError('wire.invalid', told, { where: `result.payload.${path}` });
  if (goals.length > MOST_GOALS) throw invalid(`A result is for at most ${MOST_GOALS} goals.`, 'goals');
  const amount = (value: number | undefined, path: string): void => {
    if (value !== undefined && !(Math.abs(value) < MOST_POINTS))
      throw invalid('A number of a result has at most 15 digits before the point.', path);
  };
  if (monitor) {
    const { references, abilityScale: _, ...numbers } = monitor;
    for (const [name, value] of Object.entries(numbers)) amount(value, `monitor.${snake(name)}`);
    if (references.length > MOST_LISTED) throw invalid('That many reference scores say nothing.', 'monitor.references');
  }
  if (!test) return;
  if (test.parts.length > MOST_LISTED) throw invalid(`A test has at most ${MOST_LISTED} parts.`, 'test.parts');
  if (test.hierarchy.length > MOST_LISTED) throw invalid(`A test has at most ${MOST_LISTED} levels.`, 'test.hierarchy');
  const scales = [
    { scale: test.norming, path: 'test.norming' },
    ...test.parts.map(({ norming }, i) => ({ scale: norming, path: `test.parts[${i}].norming` })),
  ];
  for (const { scale, path } of scales) {
    if (!scale) continue;
    if (scale.norms.length > MOST_LISTED) throw invalid(`A scale has at most ${MOST_LISTED} norms.`, `${path}.norms`);
    amount(scale.weight, `${path}.weight`);
    for (const [i, { from, to, colour, markFrom, markTo }] of scale.norms.entries()) {
      const at = `${path}.norms[${i}]`;
      // Some senders write their largest number for no bound.
      for (const bound of [from, to])
        if (bound !== undefined && !Number.isFinite(bound)) throw invalid('A bound is a number.', at);
      for (const mark of [markFrom, markTo])
        if (mark !== undefined && !(mark >= 1 && mark <= 10)) throw invalid('A school mark is 1 to 10.', at);
      if (!colour) continue;
      if (Math.max(colour.red, colour.green, colour.blue) > 255 || !(colour.opacity >= 0 && colour.opacity <= 1))
        throw invalid('A colour has three numbers to 255 and an opacity from 0 to 1.', `${at}.colour`);
    }
  }
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** To see whether a repeat differs; keyed, so that nobody tries scores against it. */
function contentDigest(key: HmacKey, payload: Uint8Array): Uint8Array {
  return key.digest('result|', payload).subarray(0, 16);
}
