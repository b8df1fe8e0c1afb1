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

/** Results of one school as the caller may see them; those of forgotten learners, and of other sites, are left out. Throws mandate.*. */
export async function showResults(
  door: Door,
  caller: Caller,
  school: string,
  given: readonly ResultEntry[],
): Promise<ResultRecord[]> {
  const purpose = purposeFor(door, caller, school, Service.SERVICE_RESULT);
  const isHere = await hereOf(
    purpose,
    given.map(({ learner }) => learner),
  );
  const entries = given.filter(({ learner }) => isHere(learner));
  const [faces, payloads] = await Promise.all([
    facesOf(
      door,
      purpose,
      entries.map(({ learner }) => learner),
      entries.map(({ group }) => group),
    ),
    openPayloads(door, purpose, entries),
  ]);
  return faces.reveal(({ ref, text }) =>
    entries.flatMap((entry, i): ResultRecord[] =>
      payloads[i] === undefined
        ? []
        : [
            {
              schoolOin: school,
              fromOin: entry.byOin,
              result: {
                resultId: entry.resultId,
                learner: ref(entry.learner),
                productId: entry.productId,
                groupKey: text(entry.group),
                kind: entry.kind,
                payload: payloads[i],
              },
            },
          ],
    ),
  );
}
