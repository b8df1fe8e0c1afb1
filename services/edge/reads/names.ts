import { GatewayError, schoolYearOf } from '#kernel';
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { Gate } from '../gate.ts';

/** Token of a learner whom the caller names; learner.unknown where the vault knows nobody so. */
export async function tokenOf(gate: Gate, school: string, ref: LearnerRef, where = 'learner'): Promise<string> {
  const { identified } = await gate.door.services.vault.identify({
    schoolOin: school,
    sector: '',
    identities: [{ kind: 'learner', eckId: ref.eckId, lasKey: ref.eckId ? '' : ref.lasKey, person: undefined }],
    create: false,
    saltFor: [],
  });
  const token = identified[0]?.token;
  if (!token) throw new GatewayError('learner.unknown', undefined, { where });
  return token;
}

/** Token of a group named by its key in the administration. The same text gives the same token; a text nobody knows finds nothing. */
export async function groupToken(gate: Gate, school: string, key: string): Promise<string> {
  const { tokens } = await gate.door.services.vault.sealTexts({ schoolOin: school, texts: [key] });
  return tokens[0]!;
}

/** Groups of a learner in the running school year. */
export async function groupsOf({ door }: Gate, school: string, learner: string): Promise<string[]> {
  const { learners } = await door.services.rosters.getLearners({
    schoolOin: school,
    schoolYear: schoolYearOf(door.clock.now()),
    learners: [learner],
  });
  const entry = learners[0];
  return entry ? [entry.group, ...entry.compositeGroups].filter((group) => group !== '') : [];
}
