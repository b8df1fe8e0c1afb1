import { ResultPayload } from '#proto/eduk/core/v1/ordering';
import { Service } from '#proto/eduk/core/v1/party';
import type { ResultEntry } from '#proto/eduk/events/v1/results';
import type { ResultRecord } from '#proto/eduk/gateway/v1/result';
import type { Purpose } from '#release';
import type { Caller } from '../caller.ts';
import { purposeFor } from '../purpose.ts';
import type { Door } from '../submission.ts';
import { facesOf, hereOf } from './faces.ts';

/** Opens payloads; undefined where the learner is forgotten. */
export async function openPayloads(
  door: Door,
  purpose: Purpose,
  entries: readonly ResultEntry[],
): Promise<(ResultPayload | undefined)[]> {
  if (entries.length === 0) return [];
  const { data } = await door.services.vault.openPayloads({
    schoolOin: purpose.school,
    sealed: entries.map(({ learner, payload }) => ({ token: learner, sealed: payload, context: 'result' })),
    partyOin: purpose.party,
    purpose: `service_${purpose.service}`,
  });
  return data.map((bytes) => (bytes.length === 0 ? undefined : ResultPayload.decode(bytes)));
}

/**
 * Results of one school as the caller may see them, each at the place of its entry; undefined where the learner is forgotten or of
 * another site. Throws mandate.*.
 */
export async function showResults(
  door: Door,
  caller: Caller,
  school: string,
  given: readonly ResultEntry[],
): Promise<(ResultRecord | undefined)[]> {
  const purpose = purposeFor(door, caller, school, Service.SERVICE_RESULT);
  const isHere = await hereOf(
    purpose,
    given.map(({ learner }) => learner),
  );
  const entries = given.filter(({ learner }) => isHere(learner));
  // What was taken back has no payload.
  const sealed = entries.filter(({ withdrawn }) => !withdrawn);
  const [faces, opened] = await Promise.all([
    facesOf(
      door,
      purpose,
      entries.map(({ learner }) => learner),
      entries.map(({ group }) => group),
    ),
    openPayloads(door, purpose, sealed),
  ]);
  const payloads = new Map(sealed.map((entry, i) => [entry, opened[i]]));
  return faces.reveal(({ ref, text }) =>
    given.map((entry): ResultRecord | undefined => {
      const payload = payloads.get(entry);
      if (!isHere(entry.learner) || (payload === undefined && !entry.withdrawn)) return undefined;
      return {
        schoolOin: school,
        fromOin: entry.byOin,
        result: {
          resultId: entry.resultId,
          learner: ref(entry.learner),
          productId: entry.productId,
          groupKey: text(entry.group),
          kind: entry.kind,
          payload,
          statedAt: entry.statedMs > 0n ? new Date(Number(entry.statedMs)).toISOString() : '',
          withdrawn: entry.withdrawn,
        },
      };
    }),
  );
}
