import { GatewayError } from '#kernel';
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';

/** Token of a learner whom the caller names, by a pseudonym of its own too; learner.unknown where the vault knows nobody so. */
export const tokenOf = (gate: Gate, caller: Caller, school: string, ref: LearnerRef): Promise<string> =>
  tokenFor(gate, partyOf(caller), school, ref);

/** The same, as this party may name the learner; empty = by no pseudonym. */
export async function tokenFor(gate: Gate, partyOin: string, school: string, ref: LearnerRef): Promise<string> {
  const { identified } = await gate.door.services.vault.identify({
    schoolOin: school,
    sector: '',
    identities: [
      {
        kind: 'learner',
        eckId: ref.eckId,
        lasKey: ref.eckId ? '' : ref.lasKey,
        person: undefined,
        partyOin,
      },
    ],
    create: false,
    saltFor: [],
  });
  const token = identified[0]?.token;
  if (!token) throw new GatewayError('learner.unknown', undefined, { where: 'learner' });
  return token;
}

/**
 * Token of a group that the caller names by its key in the administration, or by its own pseudonym. The same text gives the
 * same token; a text nobody knows finds nothing. state.missing for a pseudonym that stands for no text here.
 */
export async function groupToken(gate: Gate, caller: Caller, school: string, key: string): Promise<string> {
  const asked = { schoolOin: school, texts: [key], partyOin: partyOf(caller) };
  const { tokens } = await gate.door.services.vault.sealTexts(asked);
  if (!tokens[0]) throw new GatewayError('state.missing', 'No group has this key here.', { where: 'group_key' });
  return tokens[0];
}

const partyOf = (caller: Caller): string => (caller.kind === 'operator' ? '' : caller.oin);

/** Groups of a learner in the school year that the school is in. */
export async function groupsOf({ door }: Gate, school: string, learner: string): Promise<string[]> {
  const { learners } = await door.services.rosters.getLearners({
    schoolOin: school,
    schoolYear: '',
    learners: [learner],
  });
  const entry = learners[0];
  return entry ? [entry.group, ...entry.compositeGroups].filter((group) => group !== '') : [];
}
