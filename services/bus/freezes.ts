/** A copy of the freezes of `parties`, for a service that must not take away or disturb what they guard. */
import { type FreezeAct, type FreezeFact, type Frozen, freezeEnd, frozen } from '#kernel';
import type { FreezeChanged } from '#proto/eduk/events/v1/parties';
import { type Reader, type Table, table, type Unit } from './port.ts';

export interface FreezeRow extends FreezeFact {
  /** Who set it, and when. */
  byOin: string;
  setMs: number;
}

export const freezesTable = (name: string): Table<FreezeRow> =>
  table<FreezeRow>({
    name,
    key: ['freezeId'],
    columns: {
      freezeId: 'text',
      schoolOin: 'text',
      partyOin: 'text',
      fromMs: 'int',
      untilMs: 'int',
      endedMs: 'int',
      reason: 'text',
      byOin: 'text',
      setMs: 'int',
    },
    retention: 'RETENTION_AUDIT',
  });

/** What is over so long asks nothing of anybody any more; `parties` keeps it. */
const KEPT_MS = 86_400_000;

export class Freezes {
  readonly #table: Table<FreezeRow>;

  constructor(rows: Table<FreezeRow>) {
    this.#table = rows;
  }

  /** Takes one over as it stands now; those that are over leave as others come. */
  take(unit: Pick<Unit, 'now' | 'list' | 'put' | 'remove'>, { freeze }: FreezeChanged): void {
    for (const old of unit.list(this.#table, { equals: [] }))
      if (freezeEnd(old) + KEPT_MS <= unit.now) unit.remove(this.#table, old.freezeId);
    if (!freeze) return;
    const { freezeId, schoolOin, partyOin, fromMs, untilMs, endedMs, reason, byOin, setMs } = freeze;
    unit.put(this.#table, {
      freezeId,
      schoolOin,
      partyOin,
      fromMs: Number(fromMs),
      untilMs: Number(untilMs),
      endedMs: Number(endedMs),
      reason,
      byOin,
      setMs: Number(setMs),
    });
  }

  /** Whether a freeze stands in the way of an act; undefined = it goes on. */
  of(reader: Reader, act: FreezeAct): Frozen<FreezeRow> | undefined {
    const rows = reader.list(this.#table, { equals: [] });
    return rows.length === 0 ? undefined : frozen(rows, act);
  }
}
