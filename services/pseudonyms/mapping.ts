import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { MapKeysRequest, MapKeysResponse, MappedKey } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { readPseudonym } from './pairwise.ts';
import { checkIdentify, FIRST, lookup } from './people.ts';
import { addKey } from './replacing.ts';
import { each } from './rows.ts';
import type { School, Shelf } from './shelf.ts';

/**
 * Keys of the administration that a school goes to, given beside the ECK iD: they lead to the learner who has it, from then on, and the key that
 * was shown first stays the one that is shown. Nobody is made, and no key of another learner is taken, so the same list may be given again.
 */
export function mapKeys(shelf: Shelf, { schoolOin, learners, apply }: MapKeysRequest): MapKeysResponse {
  const school = shelf.school(schoolOin, false);
  return { mapped: each(learners, (ref) => (school ? mapKey(shelf, school, ref, apply) : UNKNOWN)) };
}

const UNKNOWN: MappedKey = { outcome: 'unknown', tokens: [] };

function mapKey(shelf: Shelf, school: School, { eckId, lasKey }: LearnerRef, apply: boolean): MappedKey {
  // A pseudonym is a party's own name of somebody; no administration has it as a key.
  if (eckId === '' || lasKey === '' || readPseudonym(eckId) || readPseudonym(lasKey)) return UNKNOWN;
  // The same person in two sectors is two tokens, found by the same number.
  const hits = each([FIRST, ...school.sectors], (slot) => ({
    learner: lookup(shelf, school, 'learner', slot, 'eck_id', eckId).learner,
    next: lookup(shelf, school, 'learner', slot, 'las_key', lasKey),
  })).flatMap(({ learner, next }) => (learner ? [{ learner, next }] : []));
  if (hits.length === 0) return UNKNOWN;
  const tokens = hits.map(({ learner }) => learner.token);
  if (hits.some(({ learner, next }) => next.learner !== undefined && next.learner !== learner))
    return { outcome: 'taken', tokens };
  const free = hits.filter(({ next }) => next.learner === undefined);
  if (apply) each(free, ({ learner, next }) => addKey(shelf, school, learner, next));
  return { outcome: free.length > 0 ? 'maps' : 'known', tokens };
}

/** As what no door lets through is refused elsewhere: says where, never what. Faults: gateway.bug, wire.invalid, wire.pgn. */
export function checkMapKeys({ schoolOin, learners }: MapKeysRequest): void {
  const identities = learners.map(({ eckId, lasKey }) => ({
    kind: 'learner',
    eckId,
    lasKey,
    person: undefined,
    partyOin: '',
  }));
  checkIdentify({ schoolOin, sector: '', identities, create: false, saltFor: [] });
}
