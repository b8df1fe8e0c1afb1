import { GatewayError, type Networks, newId } from '#kernel';
import { Party, Role } from '#proto/eduk/core/v1/party';
import { CredentialDigests } from '#proto/eduk/events/v1/parties';
import { RenewSecretRequest, SetKeysRequest, SetSignInRequest } from '#proto/eduk/operator/v1/operator';
import { problemWithKeys } from '../assertions.ts';
import type { Door, Intake } from '../submission.ts';
import { event } from '../submission.ts';

/** By what a party proves itself, as the operator registers it. */

/** Longest that what was renewed may hold on, seconds. */
export const LONGEST_OVERLAP_S = 30 * 86_400;
const LARGEST_KEYS = 64 * 1024;

const submitted = (oin: string, credentials: Partial<CredentialDigests>) => [
  event(
    'PartySubmitted',
    {
      party: Party.fromPartial({ oin }),
      credentials: CredentialDigests.fromPartial(credentials),
      withoutEndpoints: [],
    },
    oin,
  ),
];

/** Faults: state.missing (no such party, or it was never registered by itself and has no secrets). */
async function isRegistered(oin: string, { chain }: Pick<Door, 'chain'>): Promise<void> {
  const has = () => chain.party(oin) !== undefined && (chain.credentials(oin)?.clientId ?? '') !== '';
  if (has()) return;
  await chain.refresh();
  if (has()) return;
  if (!chain.party(oin))
    throw new GatewayError('state.missing', 'No party is registered under this OIN.', { where: 'oin' });
  throw new GatewayError(
    'state.missing',
    'This party is known but has no secrets yet: register it with eduk party add, then ask again.',
    { where: 'oin' },
  );
}

/** New secrets of a party that is stopped would never work: it gets others when it goes on. Faults: state.conflict. */
function mustGoOn(oin: string, { chain }: Pick<Door, 'chain'>): void {
  if (chain.isStopped(oin))
    throw new GatewayError(
      'state.conflict',
      'This party is stopped: new secrets would not work. It gets new ones when it goes on: eduk party resume.',
      { where: 'oin' },
    );
}

/** `renewed`: digests of the new secret and key, or the salt of its webhooks, and until when what was before holds. */
export function renewSecret(renewed: Partial<CredentialDigests>): Intake<RenewSecretRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/RenewSecret',
    type: 'eduk.operator.v1.RenewSecretRequest',
    codec: RenewSecretRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => '',
    locate: async ({ oin }, door) => {
      await isRegistered(oin, door);
      mustGoOn(oin, door);
    },
    check: ({ overlapS }) => {
      if (overlapS > LONGEST_OVERLAP_S)
        throw new GatewayError('wire.invalid', 'Old secrets hold for thirty days at most.', { where: 'overlap_s' });
    },
    events: ({ oin }) => submitted(oin, renewed),
  };
}

export function setKeys(networks: Networks): Intake<SetKeysRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/SetKeys',
    type: 'eduk.operator.v1.SetKeysRequest',
    codec: SetKeysRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => '',
    locate: ({ oin }, door) => isRegistered(oin, door),
    check: ({ jwksUrl, jwks }) => {
      if ((jwksUrl === '') === (jwks.length === 0))
        throw new GatewayError('wire.invalid', 'Give the address of the keys, or the keys.', { where: 'jwks_url' });
      if (jwksUrl !== '') {
        const problem = networks.problemWith(jwksUrl);
        if (problem)
          throw new GatewayError('wire.invalid', `The address of the keys ${problem}.`, { where: 'jwks_url' });
        return;
      }
      if (jwks.length > LARGEST_KEYS)
        throw new GatewayError('wire.invalid', 'A set of keys holds 64 KiB at most.', { where: 'jwks' });
      const problem = problemWithKeys(jwks);
      if (problem) throw new GatewayError('wire.invalid', `The set of keys ${problem}.`, { where: 'jwks' });
    },
    events: ({ oin, jwksUrl, jwks }) => submitted(oin, { jwksUrl, jwks }),
  };
}

/** By which numbers persons sign in for a board or school; what they may be, the owner of the parties decides. */
export function setSignIn(): Intake<SetSignInRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/SetSignIn',
    type: 'eduk.operator.v1.SetSignInRequest',
    codec: SetSignInRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => '',
    locate: ({ oin }, door) => isRegistered(oin, door),
    events: ({ oin, numbers }) => submitted(oin, { signIn: { numbers } }),
  };
}
