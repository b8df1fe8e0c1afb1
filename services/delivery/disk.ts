/** How places for data grow, and when their disks are full: rows of a week, and what follows from them. The forecast is pure. */
import type { EngineView, Unit } from '#bus';
import type { DiskForecast, DiskUse, ListDisksResponse, NoteDisksRequest } from '#proto/eduk/delivery/v1/delivery';
import { type DiskRow, diskUse } from './tables.ts';

type Writes = Pick<Unit, 'list' | 'put' | 'remove'>;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** One measurement of each half hour is kept, for a week. */
const SLOT_MS = HOUR_MS / 2;
const KEPT_MS = 7 * DAY_MS;
/** The newest of a half hour takes the place of one this old. */
const AGAIN_MS = 5 * 60_000;
/** From less nothing is foretold. */
const LEAST_MS = HOUR_MS;
/** Beyond that it is no forecast. */
const FARTHEST_MS = 10 * 365 * DAY_MS;
const MOST_PLACES = 10;
const MOST_ROWS = KEPT_MS / SLOT_MS + 2;

export interface Measured {
  atMs: number;
  used: number;
}

/** Bytes a day between the first and the last of some measurements, oldest first; undefined = they are of less than an hour. */
function rateOf(measured: readonly Measured[]): number | undefined {
  const [first, last] = [measured[0], measured.at(-1)];
  if (!first || !last || last.atMs - first.atMs < LEAST_MS) return undefined;
  return ((last.used - first.used) / (last.atMs - first.atMs)) * DAY_MS;
}

/** Of one place, oldest first: over the last day or over all, whichever is more, so that neither a sudden nor a slow growth hides. */
export function growthOf(measured: readonly Measured[]): number | undefined {
  const last = measured.at(-1);
  const lately = rateOf(measured.filter(({ atMs }) => last !== undefined && last.atMs - atMs <= DAY_MS));
  const whole = rateOf(measured);
  return lately === undefined ? whole : Math.max(lately, whole ?? lately);
}

/** When a disk with so much room is full, as it grows; undefined = it does not, or not in ten years. */
export function fullAt(atMs: number, freeBytes: number, growsBytes: number): number | undefined {
  const ms = growsBytes <= 0 ? Infinity : (freeBytes / growsBytes) * DAY_MS;
  return ms > FARTHEST_MS ? undefined : Math.round(atMs + ms);
}

export function forecast(rows: readonly Readonly<DiskRow>[]): DiskForecast[] {
  const places = [...Map.groupBy(rows, ({ place }) => place)].map(([place, some]) => {
    const measured = some.toSorted((a, b) => a.atMs - b.atMs);
    return { place, first: measured[0]!, last: measured.at(-1)!, grows: growthOf(measured) };
  });
  return places.map(({ place, first, last, grows }) => {
    const together = places.filter((one) => one.last.disk === last.disk);
    const all = together.reduce((sum, one) => sum + Math.max(0, one.grows ?? 0), 0);
    const full = last.free > 0 && grows !== undefined ? fullAt(last.atMs, last.free, all) : undefined;
    return {
      use: { place, disk: last.disk, usedBytes: BigInt(last.used), freeBytes: BigInt(last.free) },
      sinceMs: BigInt(first.atMs),
      atMs: BigInt(last.atMs),
      growsBytes: grows === undefined ? undefined : BigInt(Math.round(grows)),
      fullMs: full === undefined ? undefined : BigInt(full),
    };
  });
}

/** Keeps one measurement of each place and half hour; those of before a week leave, and places that are no more with them. */
export function noteDisks(unit: Writes, now: number, uses: readonly DiskUse[]): DiskRow[] {
  const slot = Math.floor(now / SLOT_MS);
  const kept: DiskRow[] = [];
  // A clock that was set back begins anew.
  for (const row of unit.list(diskUse, { equals: [], limit: MOST_PLACES * MOST_ROWS }))
    if (now - row.atMs > KEPT_MS || row.atMs > now) unit.remove(diskUse, row.place, row.slot);
    else kept.push(row);
  const others = new Set(kept.map(({ place }) => place));
  for (const { place, disk, usedBytes, freeBytes } of uses.slice(0, MOST_PLACES)) {
    if (!others.has(place) && others.size >= MOST_PLACES) continue;
    others.add(place);
    const before = kept.findIndex((row) => row.place === place && row.slot === slot);
    if (before >= 0 && now - kept[before]!.atMs < AGAIN_MS) continue;
    // The first that there is stays, as of the half hour before: what it grew since then counts.
    if (before >= 0 && kept.every((row) => row.place !== place || row.slot >= slot)) {
      const first = { ...kept[before]!, slot: slot - 1 };
      unit.put(diskUse, first);
      kept.push(first);
    }
    const row = { place, slot, disk, atMs: now, used: Number(usedBytes), free: Number(freeBytes) };
    unit.put(diskUse, row);
    if (before >= 0) kept[before] = row;
    else kept.push(row);
  }
  return kept;
}

/** By the clock itself, as alerts are. */
export const disksServed = (engine: EngineView) => ({
  async noteDisks({ uses }: NoteDisksRequest): Promise<ListDisksResponse> {
    let rows: DiskRow[] = [];
    await engine.note((unit) => {
      rows = noteDisks(unit, engine.now(), uses);
    });
    return { disks: forecast(rows) };
  },
  listDisks: (): ListDisksResponse => ({
    disks: forecast(engine.list(diskUse, { equals: [], limit: MOST_PLACES * MOST_ROWS })),
  }),
});
