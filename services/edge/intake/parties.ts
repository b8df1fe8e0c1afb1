import { createHash } from 'node:crypto';
import { GatewayError, isPartyOin, isSchoolOin, newId } from '#kernel';
import { type Mandate, MandateState, type Party, Role, Service } from '#proto/eduk/core/v1/party';
import type { CredentialDigests } from '#proto/eduk/events/v1/parties';
import { GrantMandateRequest, WithdrawMandateRequest } from '#proto/eduk/gateway/v1/party';
import {
  AddPartyRequest,
  ChangeMandateRequest,
  GrantMandateRequest as OperatorGrantMandateRequest,
} from '#proto/eduk/operator/v1/operator';
import { knownAttributes } from '#release';
import { digestOf } from '../secrets.ts';
import type { Door, Intake } from '../submission.ts';
import { event } from '../submission.ts';

export function checkMandate(
  mandate: Pick<Mandate, 'schoolOin' | 'partyOin' | 'services' | 'attributes' | 'validFrom' | 'validUntil'>,
  /** Path of the mandate in its message, with a dot. */
  at = '',
): void {
  if (!isSchoolOin(mandate.schoolOin))
    throw new GatewayError(
      'wire.invalid',
      'A mandate is of one school (00000007000, BRIN, five digits); a board gives it school by school.',
      { where: `${at}school_oin` },
    );
  if (!isPartyOin(mandate.partyOin))
    throw new GatewayError('wire.invalid', 'party_oin is not an OIN.', { where: `${at}party_oin` });
  if (
    mandate.services.length === 0 ||
    mandate.services.some((service) => service <= 0 || service > Service.SERVICE_STAFF)
  )
    throw new GatewayError(
      'wire.invalid',
      'Name at least one service: roster, order, entitlement, access, result, progress, usage, staff.',
      { where: `${at}services` },
    );
  for (const [i, attribute] of mandate.attributes.entries())
    if (!knownAttributes.has(attribute))
      throw new GatewayError('wire.invalid', `This attribute is not one of: ${[...knownAttributes].join(', ')}.`, {
        where: `${at}attributes[${i}]`,
      });
  if (mandate.validFrom && mandate.validUntil && mandate.validUntil < mandate.validFrom)
    throw new GatewayError('wire.invalid', 'valid_until is before valid_from.', { where: `${at}valid_until` });
}

/** The autorisatiesleutel that a grant made, which belongs to its (school, party). */
export const sleutelOf = (door: Pick<Door, 'derive'>, flowId: string): string =>
  door.derive('autorisatiesleutel', flowId);

const firstKeyDigest = (door: Door, school: string, party: string, flowId: string): Uint8Array =>
  door.chain.hasKey(school, party) ? new Uint8Array(0) : digestOf(sleutelOf(door, flowId));

export const grantMandate: Intake<GrantMandateRequest> = {
  method: 'PartyService/GrantMandate',
  type: 'eduk.gateway.v1.GrantMandateRequest',
  codec: GrantMandateRequest,
  roles: [Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  locate: async (request, door, caller) => {
    if (
      caller.kind === 'party' &&
      caller.oin !== request.schoolOin &&
      door.chain.party(request.schoolOin)?.boardOin !== caller.oin
    )
      throw new GatewayError('state.missing', 'This is not a school of yours.', { where: 'school_oin' });
    return undefined;
  },
  check: (request) => checkMandate(request),
  events: (request, _found, { caller, flowId, door }) => {
    return [
      event(
        'MandateSubmitted',
        {
          mandate: {
            mandateId: mandateIdOf(caller.oin, request.reference),
            schoolOin: request.schoolOin,
            partyOin: request.partyOin,
            services: request.services,
            attributes: request.attributes,
            state: MandateState.MANDATE_STATE_UNSPECIFIED,
            validFrom: request.validFrom,
            validUntil: request.validUntil,
            runOffUntil: '',
            agreement: request.agreement,
          },
          keyDigest: firstKeyDigest(door, request.schoolOin, request.partyOin, flowId),
          confirm: true,
          byOin: caller.oin,
        },
        request.schoolOin,
      ),
    ];
  },
};

/**
 * A mandate is named after who gave it and under which reference: a repeat names the same one, and a granter can say the
 * name before it has the answer. Of both: 24 hexadecimal digits of SHA-256.
 */
export const mandateIdOf = (granter: string, reference: string): string =>
  `m-${createHash('sha256').update(`${granter}|${reference}`).digest('hex').slice(0, 24)}`;

export const withdrawMandate: Intake<WithdrawMandateRequest> = {
  method: 'PartyService/WithdrawMandate',
  type: 'eduk.gateway.v1.WithdrawMandateRequest',
  codec: WithdrawMandateRequest,
  roles: [Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  locate: async (request, door, caller) => {
    const mandate = door.chain.mandate(request.mandateId);
    const own =
      mandate && (mandate.schoolOin === caller.oin || door.chain.party(mandate.schoolOin)?.boardOin === caller.oin);
    if (!own || mandate.schoolOin !== request.schoolOin)
      throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
    return undefined;
  },
  events: (request, _found, { caller }) => [
    event(
      'MandateChangeSubmitted',
      {
        schoolOin: request.schoolOin,
        mandateId: request.mandateId,
        change: request.runOffUntil ? 'run_off' : 'stop',
        runOffUntil: request.runOffUntil,
        keyDigest: new Uint8Array(0),
        byOin: caller.oin,
      },
      request.schoolOin,
    ),
  ],
};

/** The operator's own messages have a reference made here: each call is its own. */
export function addParty(party: Party, credentials: CredentialDigests | undefined): Intake<AddPartyRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/AddParty',
    type: 'eduk.operator.v1.AddPartyRequest',
    codec: AddPartyRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => (party.roles.includes(Role.ROLE_SCHOOL) ? party.oin : ''),
    check: () => {
      if (!isPartyOin(party.oin))
        throw new GatewayError(
          'wire.invalid',
          'An OIN has twenty digits, or is the OIN of a school: 00000007000, the BRIN and five digits.',
          { where: 'party.oin' },
        );
      if (!party.name.trim()) throw new GatewayError('wire.invalid', 'A party needs a name.', { where: 'party.name' });
      if (party.roles.length === 0)
        throw new GatewayError('wire.invalid', 'A party needs a role.', { where: 'party.roles' });
    },
    events: () => [event('PartySubmitted', { party, credentials }, party.oin)],
  };
}

export function operatorGrant(mandate: Mandate, confirm: boolean): Intake<OperatorGrantMandateRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/GrantMandate',
    type: 'eduk.operator.v1.GrantMandateRequest',
    codec: OperatorGrantMandateRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => mandate.schoolOin,
    check: () => checkMandate(mandate, 'mandate.'),
    events: (_request, _found, { flowId, door }) => [
      event(
        'MandateSubmitted',
        {
          mandate: { ...mandate, mandateId: mandateIdOf('operator', reference) },
          keyDigest: firstKeyDigest(door, mandate.schoolOin, mandate.partyOin, flowId),
          confirm,
          byOin: 'operator',
        },
        mandate.schoolOin,
      ),
    ],
  };
}

export function operatorChange(mandate: Mandate): Intake<ChangeMandateRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/ChangeMandate',
    type: 'eduk.operator.v1.ChangeMandateRequest',
    codec: ChangeMandateRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => mandate.schoolOin,
    check: (request) => {
      if (!['confirm', 'run_off', 'stop', 'key'].includes(request.change))
        throw new GatewayError('wire.invalid', 'A change is confirm, run_off, stop or key.', { where: 'change' });
      if (request.change === 'run_off' && !request.runOffUntil)
        throw new GatewayError('wire.invalid', 'A run-off needs its last day.', { where: 'run_off_until' });
    },
    events: (request, _found, { flowId, door }) => [
      event(
        'MandateChangeSubmitted',
        {
          schoolOin: mandate.schoolOin,
          mandateId: mandate.mandateId,
          change: request.change,
          runOffUntil: request.runOffUntil,
          keyDigest: request.change === 'key' ? digestOf(sleutelOf(door, flowId)) : new Uint8Array(0),
          byOin: 'operator',
        },
        mandate.schoolOin,
      ),
    ],
  };
}
