import fc from 'fast-check';
import { expect, test } from 'vitest';
import { age, bytes, dutchTime, isoTime, list, table, WIDTH, wrap } from './print.ts';

test('a table of ordinary rows stands in columns', () => {
  expect(
    table(
      ['oin', 'name'],
      [
        ['1', 'Aap'],
        ['22', 'Noot\nMies'],
      ],
    ),
  ).toBe('OIN  NAME\n1    Aap\n22   Noot\n     Mies');
});

test('tables and lists fit the width, whatever they hold', () => {
  const cell = fc.oneof(fc.string({ maxLength: 300 }), fc.lorem({ maxCount: 30 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell, cell, cell), { minLength: 1, maxLength: 5 }), (rows) => {
      for (const line of table(['a', 'b', 'c', 'd'], rows).split('\n'))
        expect([...line].length).toBeLessThanOrEqual(WIDTH);
      for (const line of list(rows.map(([, value]) => ['name', value] as const)).split('\n'))
        expect([...line].length).toBeLessThanOrEqual(WIDTH);
    }),
  );
});

test('an id stays whole while other columns can give way, so that it can be copied', () => {
  const flow = '01a2025b-a467-7780-b00c-1cabbb960c77';
  const words =
    'The publisher publishes the product, or the buyer corrects the product id; after 24 hours it is refused.';
  const printed = table(
    ['what blocks', 'since', 'who', 'remedy'],
    [[`${words}\nflow\n${flow}`, '11 min', flow.slice(0, 20), words]],
  );
  expect(printed.split('\n').filter((line) => line.startsWith(flow))).toHaveLength(1);
  for (const line of printed.split('\n')) expect([...line].length).toBeLessThanOrEqual(WIDTH);
  // An autorisatiesleutel is shown once: 32 bytes in base64.
  const key = 'A'.repeat(43);
  const row = [`0000000700011AB00000\nm-20e02e718b4a72702e994921`, 'roster, order, entitlement', 'unconfirmed', key];
  expect(table(['school', 'services', 'state', 'autorisatiesleutel'], [row])).toContain(key);
});

test('an id in the first column stays whole, whatever stands beside it', () => {
  const id = '01a206e7-fe49-72dd-9a63-0f92d265dea4';
  const [, line] = table(['flow', 'about', 'by', 'state'], [[id, 'x'.repeat(36), 'y'.repeat(40), 'waiting']]).split(
    '\n',
  );
  expect(line).toMatch(new RegExp(`^${id} `));
});

test('nothing a terminal would obey is printed', () => {
  expect(table(['a'], [['x\u001b[2Jy\u0007']])).toBe('A\nx [2Jy');
  expect(list([['a', '\u009b31m']])).not.toMatch(/\u009b/);
});

test('wrapping keeps words whole, and cuts a path after a slash', () => {
  expect(wrap('een twee drie', 8)).toEqual(['een twee', 'drie']);
  expect(wrap('aaaa/bbbb/cccc', 11)).toEqual(['aaaa/bbbb/', 'cccc']);
  expect(wrap('', 8)).toEqual(['']);
});

test('times are Dutch, ages in words', () => {
  expect(dutchTime(Date.UTC(2026, 10, 22, 7, 30))).toBe('2026-11-22 08:30:00');
  expect(dutchTime(Date.UTC(2026, 6, 1, 7, 30))).toBe('2026-07-01 09:30:00');
  expect(isoTime(0n)).toBeNull();
  const now = 1_800_000_000_000;
  const seconds = (n: number) => age(now - n * 1000, now);
  expect([0.2, 45, 200, 7300, 500_000].map(seconds)).toEqual(['< 1 s', '45 s', '3 min', '2 h', '5 d']);
  expect(age(0, now)).toBe('');
  expect([bytes(12), bytes(4_200), bytes(83_000_000_000)]).toEqual(['12 B', '4.2 kB', '83 GB']);
});
