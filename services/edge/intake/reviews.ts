import { GatewayError, isDay, newId } from '#kernel';
import { type Mandate, type MandateReview, MandateState, Role, type Service } from '#proto/eduk/core/v1/party';
import { AnswerReviewRequest } from '#proto/eduk/gateway/v1/party';
import {
  OpenReviewsRequest as OpenReviews,
  type OpenReviewsRequest,
  AnswerReviewRequest as OperatorAnswerReviewRequest,
} from '#proto/eduk/operator/v1/operator';
import { defaults } from '#release';
import type { Caller } from '../caller.ts';
import type { Door, Intake, OutEvent } from '../submission.ts';
import { event } from '../submission.ts';
import { changes, gives, grants, mandateIdOf } from './parties.ts';

/** Questions to schools about mandates that were not used, and the answers: keep, narrow or end. */

interface Answer {
  mandateId: string;
  answer: string;
  services: readonly Service[];
  attributes: readonly string[];
  runOffUntil: string;
}

const answers: ReadonlySet<string> = new Set(['keep', 'narrow', 'end']);

function checkAnswer({ answer, services, attributes, runOffUntil }: Answer): void {
  if (!answers.has(answer))
    throw new GatewayError('wire.invalid', 'An answer is keep, narrow or end.', { where: 'answer' });
  if (answer !== 'narrow' && services.length + attributes.length > 0)
    throw new GatewayError('wire.invalid', 'Services and attributes are named where a mandate is narrowed.', {
      where: services.length > 0 ? 'services' : 'attributes',
    });
  if (answer === 'narrow' && services.length + attributes.length === 0)
    throw new GatewayError('wire.invalid', 'Name the services or the attributes that stay.', { where: 'services' });
  if (runOffUntil !== '' && (answer !== 'end' || !isDay(runOffUntil)))
    throw new GatewayError('wire.invalid', 'A run-off is a day, YYYY-MM-DD, of a mandate that ends.', {
      where: 'run_off_until',
    });
}

/**
 * What stands in the way of narrowing is told before anything of it is accepted, for nothing must end where nothing stands instead.
 * `instead`: id of the mandate that does; where it is there already, this is a repeat.
 */
function located(
  asked: Answer,
  mandate: Mandate | undefined,
  instead: string,
  { chain }: Pick<Door, 'chain'>,
): Mandate {
  if (!mandate) throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
  if (asked.answer !== 'narrow' || chain.mandate(instead)) return mandate;
  narrower(mandate, asked);
  if (mandate.state === MandateState.MANDATE_STATE_ENDED)
    throw new GatewayError('mandate.ended', 'An ended mandate is not narrowed; give a new one.', {
      where: 'mandate_id',
    });
  if (mandate.state !== MandateState.MANDATE_STATE_ACTIVE)
    throw new GatewayError('state.conflict', 'This mandate runs off, or was never confirmed.', { where: 'mandate_id' });
  return mandate;
}

/** The mandate with fewer services or attributes. Faults: wire.invalid, where it is not narrower. */
function narrower(mandate: Mandate, { services, attributes }: Answer): Mandate {
  const of = [...new Set([...mandate.services, ...mandate.narrowed])];
  const left = services.length > 0 ? [...new Set(services)] : of;
  for (const [i, service] of left.entries())
    if (!of.includes(service))
      throw new GatewayError('wire.invalid', 'The mandate does not name this service.', { where: `services[${i}]` });
  // A mandate without a list means the default of each service.
  const may = new Set<string>(
    mandate.attributes.length > 0 ? mandate.attributes : left.flatMap((service) => defaults[service] ?? []),
  );
  for (const [i, attribute] of attributes.entries())
    if (!may.has(attribute))
      throw new GatewayError('wire.invalid', 'The mandate does not give this attribute.', {
        where: `attributes[${i}]`,
      });
  const narrow = {
    ...mandate,
    services: left,
    attributes: attributes.length > 0 ? [...new Set(attributes)] : mandate.attributes,
  };
  if (left.length === of.length && (attributes.length === 0 || new Set(attributes).size === may.size))
    throw new GatewayError('wire.invalid', 'This is all of the mandate: keep it, or name less.', {
      where: 'services',
    });
  return narrow;
}

/** The answer as it is noted, and what follows from it: a narrower mandate in the place of this one, or its end. */
function events(
  asked: Answer,
  mandate: Mandate,
  from: { byOin: string; boardOin: string; mandateId: string; flowId: string; door: Door },
): OutEvent[] {
  const { byOin, boardOin, mandateId, flowId, door } = from;
  const { schoolOin } = mandate;
  const change = asked.answer;
  const noted = event(
    'MandateReviewSubmitted',
    { schoolOin, mandateId: mandate.mandateId, change, lastUsedOn: '', endsOn: asked.runOffUntil, byOin },
    schoolOin,
  );
  if (change === 'keep') return [noted];
  const ended = (runOffUntil: string) =>
    changes([mandate], { change: runOffUntil ? 'run_off' : 'stop', runOffUntil, byOin, boardOin });
  if (change === 'end') return [noted, ...ended(asked.runOffUntil)];
  // First what stands instead: nothing is let go of between the two.
  const instead = grants(
    narrower(mandate, asked),
    { board: '', schools: [schoolOin] },
    {
      mandateId,
      confirm: true,
      byOin,
      boardOin,
      flowId,
      door,
    },
  );
  return [noted, ...instead, ...ended('')];
}

export const answerReview: Intake<AnswerReviewRequest> = {
  method: 'PartyService/AnswerReview',
  type: 'eduk.gateway.v1.AnswerReviewRequest',
  codec: AnswerReviewRequest,
  roles: [Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  locate: async (request, door, caller) => {
    checkAnswer(request);
    const mandate = door.chain.mandate(request.mandateId);
    const isTheirs = mandate && gives(door, caller, mandate) && mandate.schoolOin === request.schoolOin;
    return located(request, isTheirs ? mandate : undefined, narrowedId(caller.oin, request.reference), door);
  },
  events: (request, _found, { caller, flowId, door, located: mandate }) =>
    events(request, mandate as Mandate, {
      byOin: caller.oin,
      boardOin: caller.oin === request.schoolOin ? '' : boardOf(caller),
      mandateId: narrowedId(caller.oin, request.reference),
      flowId,
      door,
    }),
};

const boardOf = (caller: Caller): string => (caller.roles.has(Role.ROLE_BOARD) ? caller.oin : '');

/** For the school, by the operator. */
export function operatorAnswer(mandate: Mandate): Intake<OperatorAnswerReviewRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/AnswerReview',
    type: 'eduk.operator.v1.AnswerReviewRequest',
    codec: OperatorAnswerReviewRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 400,
    reference: () => reference,
    school: () => mandate.schoolOin,
    locate: async (request, door) => {
      checkAnswer(request);
      return located(request, mandate, narrowedId('operator', reference), door);
    },
    events: (request, _found, { flowId, door }) =>
      events(request, mandate, {
        byOin: 'operator',
        boardOin: '',
        mandateId: narrowedId('operator', reference),
        flowId,
        door,
      }),
  };
}

/** What the narrower mandate of an answer is called by. */
export const narrowedId = (by: string, reference: string): string => mandateIdOf(by, `review ${reference}`);

/** Asks the schools of these mandates; one message for those of one school, so that each is a flow of its own. */
export function openReviews(due: readonly MandateReview[]): Intake<OpenReviewsRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/OpenReviews',
    type: 'eduk.operator.v1.OpenReviewsRequest',
    codec: OpenReviews,
    roles: [Role.ROLE_OPERATOR],
    remember: 400,
    reference: () => reference,
    school: () => due[0]!.schoolOin,
    events: ({ endsOn }) =>
      due.map(({ schoolOin, mandateId, lastUsedOn }) =>
        event(
          'MandateReviewSubmitted',
          { schoolOin, mandateId, change: 'open', lastUsedOn, endsOn, byOin: 'operator' },
          schoolOin,
        ),
      ),
  };
}
