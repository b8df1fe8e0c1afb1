import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rowsToTell, tellRest, tellRow } from './small-counts.ts';

const rowOf = (counts: readonly number[]) => new Map(counts.map((n, i) => [`c${i}`, n]));

describe('a row outside the school', () => {
  test('tells no count under ten, nor the one from which it would follow', () => {
    const row = tellRow(
      new Map([
        ['opened', 22],
        ['confirmed', 2],
        ['ordered', 0],
      ]),
      false,
    );
    expect(row.total).toEqual({ count: 24, underTen: false, hidden: false });
    expect(row.cells.get('confirmed')).toEqual({ count: 0, underTen: true, hidden: false });
    expect(row.cells.get('opened')).toEqual({ count: 0, underTen: false, hidden: true });
    expect(row.cells.get('ordered')).toEqual({ count: 0, underTen: false, hidden: false });
    expect(row.sum(new Set(['opened', 'confirmed']))).toMatchObject({ count: 24 });
    expect(row.sum(new Set(['opened']))).toMatchObject({ count: 0, hidden: true });
    expect(tellRow(new Map([['opened', 9]]), false).total).toMatchObject({ count: 0, underTen: true });
    expect(tellRow(new Map([['opened', 9]]), true).total).toMatchObject({ count: 9 });
  });

  test('leaves at least two cells open whose sum is all that is known, and it is ten or more', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(40), { minLength: 1, maxLength: 7 }),
        fc.array(fc.array(fc.nat(6), { maxLength: 7 }), { maxLength: 6 }),
        (counts, asked) => {
          const row = tellRow(rowOf(counts), false);
          const open = counts.flatMap((n, i) => {
            const cell = row.cells.get(`c${i}`)!;
            if (n > 0 && n < 10) expect(cell).toEqual({ count: 0, underTen: true, hidden: false });
            return cell.underTen || cell.hidden ? [i] : [];
          });
          const total = counts.reduce((sum, n) => sum + n, 0);
          if (total < 10) {
            expect(row.total.count).toBe(0);
          } else if (open.length > 0) {
            expect(open.length).toBeGreaterThan(1);
            expect(open.reduce((sum, i) => sum + counts[i]!, 0)).toBeGreaterThanOrEqual(10);
          }
          // What is said of a sum holds all of the open cells or none: it adds nothing to what is known of one.
          for (const some of asked) {
            const names = new Set(some.map((i) => `c${i}`));
            const sum = row.sum(names);
            const inside = open.filter((i) => names.has(`c${i}`));
            if (!sum.underTen && !sum.hidden) expect([0, open.length]).toContain(inside.length);
            if (!sum.underTen && !sum.hidden && inside.length > 0) expect(total).toBeGreaterThanOrEqual(10);
          }
        },
      ),
    );
  });
});

test('whichever cells go, and in whatever order: what was hidden beside them is never told, nor a sum of more than what is told', () => {
  const gone = fc.array(fc.nat(6), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 7 }), gone, (counts, order) => {
      const left = rowOf(counts);
      const before = tellRow(left, false);
      const hidden = [...before.cells].flatMap(([name, { underTen, hidden }]) => (underTen || hidden ? [name] : []));
      for (const i of order) {
        left.delete(`c${i}`);
        const { told, cells } = tellRest(left);
        const shown = [...cells].filter(([, { underTen, hidden }]) => !underTen && !hidden);
        expect(shown.map(([name]) => name).filter((name) => hidden.includes(name))).toEqual([]);
        expect(told).toBe(shown.reduce((sum, [name]) => sum + left.get(name)!, 0));
        // Of what is left one is open: how much went cannot be reckoned from what was known before.
        if (left.size > 0) expect(shown.length).toBeLessThan(left.size);
      }
    }),
  );
});

test('rows that are told leave no small count in what all the others hold together', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(40), { minLength: 3, maxLength: 3 }), { maxLength: 8 }), (all) => {
      const rows = new Map(all.map((counts, i) => [i, rowOf(counts)]));
      const told = rowsToTell(rows);
      const others = all.filter((_, i) => !told.has(i));
      for (const i of told) for (const n of all[i]!) expect(n === 0 || n >= 10).toBe(true);
      expect(told.size === 0 || others.length !== 1).toBe(true);
      if (told.size > 0)
        for (const cell of [0, 1, 2]) {
          const left = others.reduce((sum, counts) => sum + counts[cell]!, 0);
          expect(left === 0 || left >= 10).toBe(true);
        }
      if (all.every((counts) => counts.every((n) => n === 0 || n >= 10))) expect(told.size).toBe(all.length);
    }),
  );
});
