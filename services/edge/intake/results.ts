import { dutchDay, GatewayError, type HmacKey } from '#kernel';
import { ResultPayload } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { ReturnResultsRequest } from '#proto/eduk/gateway/v1/result';
import type { Intake } from '../submission.ts';
import { event } from '../submission.ts';
import { hasRef, namedLearner } from './people.ts';

/** What one result may say, so that sums over a school's year stay within the fields that carry them. */
const MOST_POINTS = 1e9;
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
    if (!result.payload) throw new GatewayError('wire.invalid', 'A result has a payload.', { where: 'result.payload' });
    const { donePercent, score, scoreMax, exercisesDone, exercisesTotal, secondsSpent } = result.payload;
    if (donePercent !== undefined && !(donePercent >= 0 && donePercent <= 100))
      throw new GatewayError('wire.invalid', 'A share of work is 0 to 100.', { where: 'result.payload.done_percent' });
    for (const [name, value] of [
      ['score', score],
      ['score_max', scoreMax],
    ] as const)
      if (value !== undefined && !(Math.abs(value) <= MOST_POINTS))
        throw new GatewayError('wire.invalid', 'A score is a number, at most 1,000,000,000.', {
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
  payloads: ({ result }) => [{ person: 0, data: ResultPayload.encode(result!.payload!).finish(), context: 'result' }],
  events: ({ result, schoolOin }, found, { caller, nowMs, door }) => {
    const { resultId, productId, groupKey, kind, payload } = result!;
    const taken = payload!.takenAt
      ? payload!.takenAt.length === 10
        ? payload!.takenAt
        : dutchDay(Date.parse(payload!.takenAt))
      : dutchDay(nowMs);
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
            payload: found.sealed[0]!,
            byOin: caller.oin,
            digest: contentDigest(door.digestKey, ResultPayload.encode(payload!).finish()),
          },
        },
        found.tokens[0]!,
      ),
    ];
  },
  about: ({ result }) => ({ productId: result?.productId ?? '' }),
};

/** To see whether a repeat differs; keyed, so that nobody tries scores against it. */
function contentDigest(key: HmacKey, payload: Uint8Array): Uint8Array {
  return key.digest('result|', payload).subarray(0, 16);
}
