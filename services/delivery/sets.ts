/** What went out together, by the id under which it did. */
import { KEPT_MS, type Writer } from './mailbox.ts';
import { type AttemptRow, sets } from './tables.ts';

const DAY_MS = 86_400_000;
/** Rows that one unit removes. */
const CLEANED_AT_ONCE = 500;

/** Numbers as text, runs of neighbours as one: `a4+9.2` = 10·36 + 4 and the nine behind it, and the second behind those. In the order of numbers. */
export function packed(numbers: readonly number[]): string {
  const runs: string[] = [];
  let last = 0;
  const sorted = [...numbers].sort((a, b) => a - b);
  for (let at = 0; at < sorted.length; ) {
    const from = sorted[at]!;
    let behind = 0;
    while (sorted[at + behind + 1] === from + behind + 1) behind += 1;
    runs.push((from - last).toString(36) + (behind === 0 ? '' : `+${behind.toString(36)}`));
    last = from + behind;
    at += behind + 1;
  }
  return runs.join('.');
}

export function unpacked(text: string): number[] {
  const numbers: number[] = [];
  let last = 0;
  for (const run of text.split('.')) {
    const [gap, behind = '0'] = run.split('+') as [string, string?];
    const from = last + Number.parseInt(gap, 36);
    last = from + Number.parseInt(behind, 36);
    for (let number = from; number <= last; number++) numbers.push(number);
  }
  return numbers;
}

/** An attempt goes out under an id of its own for the first time; what is left of it later goes out under the same. */
export function noteSet(unit: Writer, { party, attemptId: setId, service, members }: AttemptRow): void {
  unit.put(sets, { party, setId, service, firsts: packed(members.map(({ first }) => first)) });
}

/** There was nothing to tell of some when it was sent: they were not in the request; or not before, and now they were. */
export function noteTold(unit: Writer, attempt: AttemptRow, untold: readonly bigint[]): void {
  if (attempt.number === 1 && untold.length === 0) return;
  const { party, attemptId: setId, service, members, number: times } = attempt;
  const before = times === 1 ? '' : (unit.get(sets, party, setId)?.firsts ?? '');
  const told = new Set(before === '' ? [] : unpacked(before));
  for (const { first, number } of members) if (!untold.includes(BigInt(number))) told.add(first);
  const firsts = packed([...told]);
  if (firsts === '') unit.remove(sets, party, setId);
  else if (firsts !== before) unit.put(sets, { party, setId, service, firsts });
}

/** When an id was made, Unix milliseconds; undefined = it is none of ours. */
export function madeMs(id: string): number | undefined {
  const ms = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Removes what was sent longer ago than mail is kept, a chunk of it. Answers when to come again, Unix milliseconds; undefined = nothing is left. */
export function cleanSets(unit: Writer, party: string): number | undefined {
  const before = unit.now - KEPT_MS;
  // Ids rise with time.
  const rows = unit.list(sets, { equals: [party], limit: CLEANED_AT_ONCE + 1 });
  for (const { setId } of rows.slice(0, CLEANED_AT_ONCE)) {
    const sentMs = madeMs(setId) ?? 0;
    if (sentMs > before) return Math.max(sentMs + KEPT_MS, unit.now + DAY_MS);
    unit.remove(sets, party, setId);
  }
  return rows.length > CLEANED_AT_ONCE ? unit.now + 1 : undefined;
}
