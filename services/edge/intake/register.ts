import { createHash } from 'node:crypto';
import { newId } from '#kernel';
import { type Mandate, MandateState, Role } from '#proto/eduk/core/v1/party';
import { ChangeMandateRequest, GrantMandateRequest, type RegisterLine } from '#proto/eduk/operator/v1/operator';
import { OSR } from '../register/difference.ts';
import { digestOf } from '../secrets.ts';
import type { Intake } from '../submission.ts';
import { event } from '../submission.ts';
import { checkMandate, defaultsOf, sleutelOf } from './parties.ts';

/** What OSR says of mandates, as messages: the school's word, which it gave there. */

const METHOD = 'OperatorService/SyncRegister';

/** A mandate is named after who it is between and for what; `turn`: an ended one of the same comes before it. */
export const registerMandateId = (
  { schoolOin, partyOin, sourceService }: Pick<Mandate, 'schoolOin' | 'partyOin' | 'sourceService'>,
  turn: number,
): string =>
  `m-${createHash('sha256').update([OSR, schoolOin, partyOin, sourceService, turn].join('|')).digest('hex').slice(0, 24)}`;

/** Enters a mandate that OSR has. It counts as confirmed by the school. */
export function registerGrant(mandate: Mandate): Intake<GrantMandateRequest> {
  const reference = newId();
  return {
    method: METHOD,
    type: 'eduk.operator.v1.GrantMandateRequest',
    codec: GrantMandateRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => mandate.schoolOin,
    check: () => checkMandate(mandate, 'mandate.'),
    events: (_request, _found, { flowId, door }) => [
      event(
        'MandateSubmitted',
        {
          mandate: { ...mandate, state: MandateState.MANDATE_STATE_UNSPECIFIED, enteredBy: OSR, source: OSR },
          keyDigest: door.chain.hasKey(mandate.schoolOin, mandate.partyOin)
            ? new Uint8Array(0)
            : digestOf(sleutelOf(door, flowId)),
          confirm: true,
          byOin: OSR,
          defaults: defaultsOf(mandate.services),
        },
        mandate.schoolOin,
      ),
    ],
  };
}

/** Changes a mandate that was taken from OSR, or lets it end. */
export function registerChange(mandate: Mandate, line: RegisterLine): Intake<ChangeMandateRequest> {
  const reference = newId();
  const { schoolOin, mandateId, services, narrowed } = mandate;
  const { kind, validFrom, validUntil, endpoints, runOffUntil } = line;
  return {
    method: METHOD,
    type: 'eduk.operator.v1.ChangeMandateRequest',
    codec: ChangeMandateRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => schoolOin,
    events: () => [
      event(
        'MandateChangeSubmitted',
        {
          schoolOin,
          mandateId,
          change: kind === 'change' ? 'register' : kind,
          runOffUntil,
          keyDigest: new Uint8Array(0),
          byOin: OSR,
          boardOin: '',
          defaults: kind === 'change' ? defaultsOf([...services, ...narrowed]) : [],
          registered: kind === 'change' ? { ...mandate, validFrom, validUntil, endpoints } : undefined,
        },
        schoolOin,
      ),
    ],
  };
}
