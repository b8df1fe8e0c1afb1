import { GatewayError } from '#kernel';
import { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { ReplaceRequest, ReplaceResponse } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { checkIdentify, FIRST, type Lookup, lookup } from './people.ts';
import { each } from './rows.ts';
import type { Learner, NumberColumn, School, Shelf } from './shelf.ts';

/**
 * A number takes the place of another: one person, the same token. Both lead to it from then on. Of ECK iDs the new one is shown; of
 * keys the one that was shown first stays, so that a receiver goes on knowing the learner by it. Replacing back
 * shows the ECK iD of before again; a key that was given leads to the learner for good.
 */
export function replace(shelf: Shelf, request: ReplaceRequest): ReplaceResponse {
  const { schoolOin, kind, before, after } = request;
  const column = kind as NumberColumn;
  checkReplace(request);
  const school = shelf.school(schoolOin, false);
  if (!school) return { code: 'learner.unknown', changed: false };
  // The same person in two sectors is two tokens, found by the same number.
  const found = each([FIRST, ...school.sectors], (slot) => ({
    old: lookup(shelf, school, 'learner', slot, column, before),
    next: lookup(shelf, school, 'learner', slot, column, after),
  }));
  const hits = found.filter(({ old }) => old.learner !== undefined);
  if (hits.length === 0) return { code: 'learner.unknown', changed: false };
  if (hits.some(({ old, next }) => next.learner !== undefined && next.learner !== old.learner))
    return { code: 'state.conflict', changed: false };
  const changes = each(hits, ({ old, next }) =>
    column === 'eck_id'
      ? showEckId(shelf, school, showing(shelf, school, old.learner!), next)
      : addKey(shelf, school, old.learner!, next),
  );
  return { code: '', changed: changes.includes(true) };
}

/** As what no door lets through is refused elsewhere: says where, never what. */
function checkReplace({ schoolOin, kind, before, after }: ReplaceRequest): void {
  if (kind !== 'eck_id' && kind !== 'las_key')
    throw new GatewayError('gateway.bug', 'A number is an ECK iD or a key.', { where: 'kind' });
  if (before === '' || after === '')
    throw new GatewayError('gateway.bug', 'A number takes the place of another.', { where: 'after' });
  const identities = [before, after].map((number) => ({
    kind: 'learner',
    eckId: kind === 'eck_id' ? number : '',
    lasKey: kind === 'las_key' ? number : '',
    person: undefined,
    partyOin: '',
  }));
  checkIdentify({ schoolOin, sector: '', identities, create: false, saltFor: [] });
}

function lead(shelf: Shelf, school: School, learner: Learner, { learner: known, hash }: Lookup): void {
  if (!known) shelf.addLookup(school, hash, learner, shelf.key(school, 'index').version);
}

/** A key that nobody has leads to the learner too; false where it did. */
export function addKey(shelf: Shelf, school: School, learner: Learner, next: Lookup): boolean {
  if (next.learner) return false;
  lead(shelf, school, learner, next);
  put(shelf, school, learner, shelf.rows.numbers(school.id, learner.id).length, {
    lasKey: { hash: next.hash, number: next.number },
  });
  return true;
}

/** Under which of its tokens the ECK iD stands that is shown of a learner. */
const showing = (shelf: Shelf, school: School, learner: Learner): Learner =>
  shelf.parts(school, learner).find(({ hasEckId }) => hasEckId) ?? learner;

/** What is shown is the first ECK iD of the rows: the new one goes there, and what stood there where the new one was, or behind. */
function showEckId(shelf: Shelf, school: School, learner: Learner, next: Lookup): boolean {
  const rows = each(shelf.rows.numbers(school.id, learner.id), (row) => ({
    ...row,
    ref: LearnerRef.decode(shelf.openFor(school, learner, 'numbers', ['ref', row.ordinal], row.sealed)),
  }));
  const shown = rows.find(({ eckId }) => eckId !== undefined);
  // Not there: rows that were not read yet, and the run counts for nothing.
  if (shown === undefined || shown.ref.eckId === next.number) return false;
  lead(shelf, school, learner, next);
  const was = rows.find(({ ref }) => ref.eckId === next.number);
  const keyOf = (row: (typeof rows)[number] | undefined) =>
    row?.lasKey === undefined ? {} : { lasKey: { hash: row.lasKey, number: row.ref.lasKey } };
  put(shelf, school, learner, shown.ordinal, {
    eckId: { hash: was?.eckId ?? next.hash, number: next.number },
    ...keyOf(shown),
  });
  put(shelf, school, learner, was?.ordinal ?? rows.length, {
    eckId: { hash: shown.eckId!, number: shown.ref.eckId },
    ...keyOf(was),
  });
  return true;
}

interface Numbers {
  eckId?: { hash: string; number: string };
  lasKey?: { hash: string; number: string };
}

function put(shelf: Shelf, school: School, learner: Learner, ordinal: number, { eckId, lasKey }: Numbers): void {
  const ref = LearnerRef.encode({ eckId: eckId?.number ?? '', lasKey: lasKey?.number ?? '' }).finish();
  shelf.rows.write.putNumbers(school.id, learner.id, {
    ordinal,
    eckId: eckId?.hash,
    lasKey: lasKey?.hash,
    sealed: shelf.sealFor(school, learner, 'numbers', ['ref', ordinal], ref),
  });
}
