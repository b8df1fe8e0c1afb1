import { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { MergeTokensRequest, MergeTokensResponse } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { FIRST } from './people.ts';
import type { Learner, School, Shelf } from './shelf.ts';

const ASKED = { code: 'learner.unknown', changed: false };
const CONFLICT = { code: 'state.conflict', changed: false };

/**
 * Two tokens of one learner, of one school and sector: the numbers of the one lead to the other, which is shown. Nothing moves: rows, secret and
 * payloads of both stay their own, so it can be undone, and what is repeated changes nothing. Who leads elsewhere, or is led to, is none to be
 * merged into another: one step leads to the learner.
 */
export function mergeTokens(shelf: Shelf, request: MergeTokensRequest): MergeTokensResponse {
  const { schoolOin, winner: into, loser: from, undo, look } = request;
  const school = shelf.school(schoolOin, false);
  const winner = school && shelf.byToken(school, into);
  const loser = school && shelf.byToken(school, from);
  if (!winner || !loser) return ASKED;
  const isMerged = loser.mergedInto === winner.token;
  if (undo) {
    if (!isMerged) return { code: '', changed: false };
    if (!look) lead(shelf, school, winner, loser, false);
    return { code: '', changed: true };
  }
  if (isMerged) return { code: '', changed: false };
  const isFree = winner.mergedInto === undefined && loser.mergedInto === undefined && loser.merged.length === 0;
  if (winner === loser || !isFree || winner.kind !== 'learner' || loser.kind !== 'learner') return CONFLICT;
  if (slotOf(shelf, school, winner) !== slotOf(shelf, school, loser)) return CONFLICT;
  if (!look) lead(shelf, school, winner, loser, true);
  return { code: '', changed: true };
}

function lead(shelf: Shelf, school: School, winner: Learner, loser: Learner, on: boolean): void {
  shelf.rows.write.setMerged(school.id, loser.id, on ? winner.id : undefined);
  shelf.change(loser, { mergedInto: on ? winner.token : undefined });
  const others = winner.merged.filter((token) => token !== loser.token);
  shelf.change(winner, { merged: on ? [...others, loser.token].sort() : others });
}

/** The sector of a learner: the one under whose slot its numbers stand in the index. */
export function slotOf(shelf: Shelf, school: School, learner: Learner): string | undefined {
  const versions = [shelf.key(school, 'index').version, ...shelf.olderVersions(school, 'index')];
  for (const { ordinal, eckId, lasKey, sealed } of shelf.rows.numbers(school.id, learner.id)) {
    const ref = LearnerRef.decode(shelf.openFor(school, learner, 'numbers', ['ref', ordinal], sealed));
    for (const slot of [FIRST, ...school.sectors])
      for (const version of versions) {
        if (eckId !== undefined && shelf.hash(school, 'learner', slot, 'eck_id', ref.eckId, version) === eckId)
          return slot;
        if (lasKey !== undefined && shelf.hash(school, 'learner', slot, 'las_key', ref.lasKey, version) === lasKey)
          return slot;
      }
  }
  return undefined;
}
