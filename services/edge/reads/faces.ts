import { Clear } from '#kernel';
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import { noRef, type Purpose, revealPeople, revealTexts } from '#release';
import type { Door } from '../submission.ts';

/** How learners and groups of one school look to one receiver. Opened at once, where an answer is written. */
export interface Faces {
  ref(token: string): LearnerRef | undefined;
  text(token: string): string;
}

/** Whether a receiver may be told of a learner, or of nobody in particular: of mandates for some sites only who is there. */
export async function hereOf(purpose: Purpose, learners: readonly string[]): Promise<(token: string) => boolean> {
  const tokens = [...new Set(learners)].filter((token) => token !== '');
  if (purpose.within === undefined || tokens.length === 0) return () => true;
  const here = await purpose.within(tokens);
  return (token) => token === '' || here.has(token);
}

/** One call of the vault for everything that an answer names. */
export async function facesOf(
  door: Door,
  purpose: Purpose,
  learners: Iterable<string>,
  /** Keys of groups. */
  texts: Iterable<string>,
): Promise<Clear<Faces>> {
  const tokens = [...new Set(learners)].filter((token) => token !== '');
  const [people, words] = await Promise.all([
    revealPeople(
      door.services.vault,
      purpose,
      tokens.map((token) => ({ token })),
    ),
    revealTexts(door.services.vault, purpose, { keys: texts }),
  ]);
  return new Clear(
    people.reveal((list) =>
      words.reveal((text) => {
        const refs = new Map(tokens.map((token, i) => [token, list[i]?.ref ?? noRef]));
        return {
          ref: (token: string) => (token === '' ? undefined : refs.get(token)),
          text: (token: string) =>
            token === '' || !purpose.released.has('groups') ? '' : (text.keys.get(token) ?? ''),
        };
      }),
    ),
  );
}
