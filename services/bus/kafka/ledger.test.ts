import { expect, test } from 'vitest';
import { Ledger } from './ledger.ts';

const lane = { topic: 't', partition: 3 };
const ledger = (acknowledged: number, arrived: number[]): Ledger => {
  const ledger = new Ledger();
  ledger.acknowledge(lane, acknowledged);
  for (const number of arrived) ledger.arrive(lane, number);
  return ledger;
};

test('all there, in order, some twice: nothing is wrong', () => {
  const { wrong, repeats } = ledger(4, [1, 2, 1, 2, 3, 4, 5]);
  expect([wrong, repeats]).toEqual([[], 2]);
  expect(ledger(4, [1, 2, 1, 2, 3, 4, 5]).missing()).toEqual([]);
});

test('finds what is planted: a lost record, a first arrival out of order, a lane that never came', () => {
  expect(ledger(4, [1, 2, 3]).missing()).toEqual(['t/3: 3 of 4']);
  expect(ledger(4, [1, 2, 4]).wrong).toEqual(['t/3: 4 after 2']);
  expect(ledger(4, [2, 1, 3, 4]).wrong).toEqual(['t/3: 2 after 0']);
  expect(ledger(1, []).missing()).toEqual(['t/3: 0 of 1']);
});

test('a lane whose first answer comes only after the marks goes on like the others, and one that stands still is named', () => {
  const found = ledger(40, [1]);
  const other = { topic: 't', partition: 4 };
  found.arrive(other, 1);
  const since = found.marks();
  expect([...since]).toEqual([
    ['t/3 written', 40],
    ['t/3 read', 1],
    ['t/4 read', 1],
  ]);
  expect(found.behind(since)).toEqual(['t/3 written: 40, now 40', 't/3 read: 1, now 1', 't/4 read: 1, now 1']);
  found.acknowledge(lane, 100);
  found.acknowledge(other, 60);
  for (let number = 2; number <= 60; number++) found.arrive(lane, number);
  expect(found.behind(since)).toEqual(['t/4 read: 1, now 1']);
  for (let number = 2; number <= 60; number++) found.arrive(other, number);
  expect(found.behind(since)).toEqual([]);
});
