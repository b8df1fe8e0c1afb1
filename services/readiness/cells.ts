/** From rows of one product to what is shown of it: who was given a licence out of a count is counted once. Pure. */
import type { NeedDay } from '#proto/eduk/readiness/v1/readiness';
import { reached, withoutDrawn } from './need.ts';
import type { Cell, Tally } from './tables.ts';

export interface CountedCell {
  group: string;
  buyer: string;
  seller: string;
  /** By `state code`. */
  counts: Record<string, number>;
}

interface Open {
  group: string;
  buyer: string;
  seller: string;
  own: Record<string, number>;
  counted: Record<string, number>;
  drawn: number;
}

/** `l state code`, `c state code` and `d` apart. */
function opened({ counts }: { counts: Tally }): Pick<Open, 'own' | 'counted' | 'drawn'> {
  const own: Record<string, number> = {};
  const counted: Record<string, number> = {};
  for (const [name, n] of Object.entries(counts))
    if (name.startsWith('l ')) own[name.slice(2)] = n;
    else if (name.startsWith('c ')) counted[name.slice(2)] = n;
  return { own, counted, drawn: counts['d'] ?? 0 };
}

function add(to: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [name, n] of Object.entries(from)) to[name] = (to[name] ?? 0) + n;
}

/**
 * Cells of one product with what learners took from counts taken out of these: of their own group first, then of the school, of the
 * same seller first. So each licence that is wanted is counted once, in the furthest state it is known in.
 */
export function countedCells(
  rows: readonly Pick<Cell, 'group' | 'buyer' | 'seller' | 'counts'>[],
  byGroup: boolean,
): CountedCell[] {
  const open: Open[] = rows.map(({ group, buyer, seller, counts }) => ({
    group,
    buyer,
    seller,
    ...opened({ counts }),
  }));
  for (const scope of ['group', 'school'] as const)
    for (const sameSeller of [true, false])
      for (const taker of open)
        for (const pool of open) {
          if (taker.drawn === 0) break;
          if (pool.group !== (scope === 'group' ? taker.group : '')) continue;
          if (sameSeller && pool.seller !== taker.seller) continue;
          const { left, over } = withoutDrawn(pool.counted, taker.drawn);
          pool.counted = left;
          taker.drawn = over;
        }
  const shown = new Map<string, CountedCell>();
  for (const { group: of, buyer, seller, own, counted } of open) {
    const group = byGroup ? of : '';
    const name = `${group} ${buyer} ${seller}`;
    const cell = shown.get(name) ?? { group, buyer, seller, counts: {} };
    add(cell.counts, own);
    add(cell.counts, counted);
    if (Object.keys(cell.counts).length > 0) shown.set(name, cell);
  }
  return [...shown.values()];
}

/** Days of one product by `buyer seller`: each day on which anything of it changed, with how everything stood at its end. */
export function daysOf(
  rows: readonly { buyer: string; seller: string; days: readonly (readonly [day: string, counts: Tally])[] }[],
): Map<string, NeedDay[]> {
  const all = [...new Set(rows.flatMap(({ days }) => days.map(([day]) => day)))].sort();
  const shown = new Map<string, NeedDay[]>();
  for (const day of all) {
    const stood = rows.flatMap(({ buyer, seller, days }) => {
      const last = days.filter(([one]) => one <= day).at(-1);
      return last ? [{ group: '', buyer, seller, counts: last[1] }] : [];
    });
    for (const { buyer, seller, counts } of countedCells(stood, false)) {
      const [wanted = 0, confirmed = 0, granted = 0, provisioned = 0, opened = 0] = reached(counts);
      const name = `${buyer} ${seller}`;
      const days = shown.get(name) ?? [];
      days.push({ day, wanted, confirmed, granted, provisioned, opened });
      shown.set(name, days);
    }
  }
  return shown;
}
