import { LearnerRef, Person } from '#proto/eduk/core/v1/learner';
import type { HeldPerson, Pseudonymous } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { namesOf, particularsOf } from './people.ts';
import { each } from './rows.ts';
import type { Learner, School, Shelf } from './shelf.ts';

/** All that is held of people of one school, for the school itself: every number, the newest names, and what receivers know them by. */
export function peopleHeld(
  shelf: Shelf,
  schoolOin: string,
  tokens: readonly string[],
  receivers: readonly Pseudonymous[],
): HeldPerson[] {
  const school = shelf.school(schoolOin, false);
  return each(tokens, (token) => {
    const learner = school && shelf.byToken(school, token);
    // Destroyed since the page was read.
    return learner ? [personHeld(shelf, school, learner, receivers)] : [];
  }).flat();
}

function personHeld(shelf: Shelf, school: School, learner: Learner, receivers: readonly Pseudonymous[]): HeldPerson {
  const { token, kind, mark, mergedInto = '' } = learner;
  // Routes of who waits to be forgotten are closed, that to the school too.
  if (learner.waitsMs !== undefined)
    return { token, kind, refs: [], person: undefined, forgetting: true, pseudonyms: [], mergedInto };
  const { birthDate, gender } = particularsOf(shelf, school, learner, 'birth');
  const { email, accountName } = particularsOf(shelf, school, learner, 'contact');
  return {
    token,
    kind,
    refs: each(shelf.rows.numbers(school.id, learner.id), ({ ordinal, sealed }) =>
      LearnerRef.decode(shelf.openFor(school, learner, 'numbers', ['ref', ordinal], sealed)),
    ),
    person: Person.fromPartial({ ...namesOf(shelf, school, learner, mark), birthDate, gender, email, accountName }),
    forgetting: false,
    pseudonyms: receivers.map(({ partyOin, pseudonyms }) =>
      shelf.pseudonyms(school, partyOin, kind, pseudonyms).of(token),
    ),
    mergedInto,
  };
}
