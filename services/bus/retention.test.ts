import { expect, test } from 'vitest';
import { startOfDutchDay } from '#kernel';
import { Retention } from '#proto/eduk/core/v1/labels';
import { table } from './port.ts';
import { CLEAN_CHUNK, LOG_WINDOW_MS, leavesOn, terms, unclassed } from './retention.ts';
import { engineTables } from './tables.ts';

test('every class of the contract has its term', () => {
  const classes = Object.keys(Retention).filter((name) => name !== 'RETENTION_UNSPECIFIED' && name !== 'UNRECOGNIZED');
  expect(classes.filter((name) => !Object.hasOwn(terms, name))).toEqual([]);
});

test('a table without a known class is found', () => {
  const odd = (retention: string) =>
    table<{ id: string }>({ name: 'odd', key: ['id'], columns: { id: 'text' }, retention });
  expect(unclassed([odd('RETENTION_ORDER'), odd('RETENTION_UNSPECIFIED'), odd('toString')])).toEqual(['odd', 'odd']);
  expect(unclassed(engineTables)).toEqual([]);
});

test('terms end on the days that the contract says', () => {
  const inAugust = Date.parse('2026-08-17T08:00:00Z');
  const inMay = Date.parse('2027-05-17T08:00:00Z');
  expect(leavesOn('RETENTION_RESULT', inAugust)).toBe('2027-10-01');
  expect(leavesOn('RETENTION_RESULT', inMay)).toBe('2027-10-01');
  expect(leavesOn('RETENTION_ROSTER', inMay)).toBe('2028-08-01');
  expect(leavesOn('RETENTION_ACCESS', inMay)).toBe('2027-06-16');
  expect(leavesOn('RETENTION_PUBLIC', inMay)).toBeUndefined();
});

test('a school year that nobody lives in has an end too: what says it parks nobody', () => {
  for (const year of ['0000', '0501', '0999', '1000', '9998', '9999'])
    for (const { end } of Object.values(terms))
      expect(end(startOfDutchDay(`${year}-08-01`)), year).toBeGreaterThan(startOfDutchDay(`${year}-08-01`) - 1);
});

test('the log is kept at least a day, and cleaned in small steps', () => {
  expect(LOG_WINDOW_MS).toBeGreaterThanOrEqual(24 * 3_600_000);
  expect(CLEAN_CHUNK).toBeLessThanOrEqual(5000);
});
