import { GatewayError } from '#kernel';
import type { Person } from '#proto/eduk/core/v1/learner';
import { type EnrolAtRequest, type Enrolee, RevealRequest } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { slotOf } from './merging.ts';
import { FIRST, identify, reveal, type Touched } from './people.ts';
import { each } from './rows.ts';
import type { Shelf } from './shelf.ts';

/**
 * Learners of one school become learners of another. A token stands for one enrolment, so they have other tokens there, under that school's keys,
 * and nothing is kept that says which was which; nor does the answer. They are found by ECK iD, also where the other school has them already, so
 * the same lot may be given again. A key is its school's own and does not go along: two administrations may give one key to two pupils.
 */

const MOST = 500;

/** One who goes, in memory, between the two schools. */
interface Leaving {
  eckId: string;
  person: Person;
  sector: string;
  tag: number;
  /** At the school that they leave. */
  token: string;
}

/** Faults: wire.invalid. */
export function checkEnrolAt({ fromSchoolOin, toSchoolOin, learners }: EnrolAtRequest): void {
  if (fromSchoolOin === '' || toSchoolOin === '' || fromSchoolOin === toSchoolOin)
    throw new GatewayError('gateway.bug', 'Two schools are named.', { where: 'to_school_oin' });
  if (learners.length > MOST)
    throw new GatewayError('wire.invalid', 'At most 500 learners at once.', { where: 'learners' });
}

/** At the school that they leave; who cannot go is in `staying`. */
export function leaving(
  shelf: Shelf,
  { fromSchoolOin: schoolOin, learners }: EnrolAtRequest,
  touched: Touched,
): { going: Leaving[]; staying: string[] } {
  const school = shelf.school(schoolOin, false);
  const wanted = learners.map(({ token, nameMark }) => ({ token, nameMark }));
  const shown = reveal(shelf, RevealRequest.fromPartial({ schoolOin, wanted, numbers: true, names: true }), touched);
  const going: Leaving[] = [];
  const staying: string[] = [];
  each(learners, ({ token, tag }, i) => {
    const { known, forgetting, ref, person } = shown[i]!;
    const told = school && shelf.byToken(school, token);
    if (!known || forgetting || !told || told.kind !== 'learner' || !ref?.eckId) {
      staying.push(token);
      return;
    }
    const slot = slotOf(shelf, school, told) ?? FIRST;
    const sector = slot === FIRST ? (school.firstSector ?? '') : slot;
    going.push({ eckId: ref.eckId, person: person!, sector, tag, token });
  });
  return { going, staying };
}

/** At the school where they go on; whom it may not have stays. */
export function arrive(
  shelf: Shelf,
  { toSchoolOin: schoolOin, look }: EnrolAtRequest,
  going: readonly Leaving[],
): { enrolled: Enrolee[]; staying: string[] } {
  const enrolled: Enrolee[] = [];
  const staying: string[] = [];
  for (const sector of new Set(going.map((one) => one.sector))) {
    const places = [...going.keys()].filter((i) => going[i]!.sector === sector);
    const identities = places.map((i) => {
      const { eckId, person } = going[i]!;
      return { kind: 'learner', eckId, lasKey: '', person, partyOin: '' };
    });
    const { identified } = identify(shelf, { schoolOin, sector, identities, create: !look, saltFor: [] });
    const school = shelf.school(schoolOin, false);
    each(identified, ({ token, nameMark, code }, n) => {
      const place = places[n]!;
      const there = school && token !== '' ? shelf.byToken(school, token) : undefined;
      // Who is to be forgotten there is not brought back by this.
      const isOpen = code === '' && there !== undefined && there.waitsMs === undefined;
      if (isOpen) enrolled.push({ token, nameMark, tag: going[place]!.tag });
      else if (!look || there !== undefined) staying.push(going[place]!.token);
    });
  }
  return { enrolled: enrolled.sort((a, b) => (a.token < b.token ? -1 : 1)), staying };
}
