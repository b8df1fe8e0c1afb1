/** What doors refused, counted: so many kinds of refusal are kept, the newest. */
import type { EngineView, ListOptions, Unit } from '#bus';
import type { ListRefusalsRequest, RefusalNote } from '#proto/eduk/flows/v1/flows';
import { scoreAtDoor } from './scores.ts';
import { counts, type RefusalRow, refusals } from './tables.ts';

/** Kinds kept at most. */
export const MOST_REFUSALS = 50_000;
const KEPT_MS = 30 * 86_400_000;
/** Old ones removed with each note, beyond those that make room. */
const REMOVED_AT_ONCE = 100;
const DEFAULT_LIMIT = 50;
const MOST_LISTED = 1000;
/** Rows looked at for one list that filters. */
const LOOKED_AT = 5000;

type Writer = Pick<Unit, 'get' | 'list' | 'put' | 'remove' | 'now'>;

/** `most`: kinds kept; smaller in tests. */
export function noteRefusals(engine: EngineView, notes: readonly RefusalNote[], most = MOST_REFUSALS): void {
  if (notes.length === 0) return;
  engine.note((unit) => {
    let count = unit.get(counts, 'refusals')?.count ?? 0;
    for (const note of notes) if (add(unit, note)) count += 1;
    unit.put(counts, { name: 'refusals', count });
  });
  // Apart, because a list does not see what its own note has written.
  engine.note((unit) => {
    let count = unit.get(counts, 'refusals')?.count ?? 0;
    const tooMany = Math.max(0, count - most);
    for (const [i, row] of unit
      .list(refusals, { index: 'by_last', equals: [], limit: tooMany + REMOVED_AT_ONCE })
      .entries()) {
      if (i >= tooMany && row.lastMs > unit.now - KEPT_MS) break;
      const { school, party, method, code, orderId, productId, entitlementId } = row;
      unit.remove(refusals, school, party, method, code, orderId, productId, entitlementId);
      count -= 1;
    }
    unit.put(counts, { name: 'refusals', count });
  });
}

function add(unit: Writer, note: RefusalNote): boolean {
  const { partyOin: party, method, schoolOin: school, code, orderId, productId, entitlementId } = note;
  const before = unit.get(refusals, school, party, method, code, orderId, productId, entitlementId);
  const lastMs = Math.max(Number(note.atMs), before?.lastMs ?? 0);
  const times = (before?.times ?? 0) + Math.max(1, note.times);
  unit.put(refusals, { school, party, method, code, orderId, productId, entitlementId, times, lastMs });
  scoreAtDoor(unit, party, code, Number(note.atMs), Math.max(1, note.times));
  return before === undefined;
}

/** Newest first. What is asked must all fit; an empty filter fits anything. */
export function listRefusals(engine: EngineView, asked: ListRefusalsRequest): RefusalNote[] {
  const { schoolOin, orderId, productId } = asked;
  const where: Pick<ListOptions, 'index' | 'equals'> =
    orderId !== ''
      ? { index: 'by_order', equals: [orderId] }
      : productId !== ''
        ? { index: 'by_product', equals: [productId] }
        : schoolOin !== ''
          ? { index: 'by_school', equals: [schoolOin] }
          : { index: 'by_last', equals: [] };
  const since = engine.now() - KEPT_MS;
  return engine
    .list(refusals, { ...where, descending: true, limit: LOOKED_AT })
    .filter(
      (row) =>
        row.lastMs > since &&
        (schoolOin === '' || row.school === schoolOin) &&
        (orderId === '' || row.orderId === orderId) &&
        (productId === '' || row.productId === productId),
    )
    .slice(0, Math.min(asked.limit || DEFAULT_LIMIT, MOST_LISTED))
    .map(noteOf);
}

const noteOf = (row: Readonly<RefusalRow>): RefusalNote => ({
  partyOin: row.party,
  method: row.method,
  schoolOin: row.school,
  code: row.code,
  orderId: row.orderId,
  productId: row.productId,
  entitlementId: row.entitlementId,
  times: row.times,
  atMs: BigInt(row.lastMs),
});
