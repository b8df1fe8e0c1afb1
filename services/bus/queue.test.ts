import { expect, test } from 'vitest';
import type { NewEntry } from './core.ts';
import { AcceptQueue } from './queue.ts';

const part = (party: string, isBulk: boolean, entries: number) => ({
  party,
  isBulk,
  entries: Array.from({ length: entries }, () => ({}) as NewEntry),
  done: () => undefined,
  failed: () => undefined,
});
const names = (parts: { party: string; isBulk: boolean }[]) =>
  parts.map(({ party, isBulk }) => `${party}${isBulk ? ' bulk' : ''}`);

test('a group takes one part of each party in turn, interactive before bulk', () => {
  const queue = new AcceptQueue();
  for (let i = 0; i < 3; i++) queue.add(part('a', true, 10));
  queue.add(part('b', true, 10));
  queue.add(part('a', false, 1));
  queue.add(part('c', false, 1));
  expect(queue.size).toBe(42);
  expect(names(queue.take(22, 100))).toEqual(['a', 'c', 'a bulk', 'b bulk']);
  expect(names(queue.take(100, 100))).toEqual(['a bulk', 'a bulk']);
  expect(queue.size).toBe(0);
});

test('what nobody waits for any more is not taken, and does not stand before others', () => {
  const queue = new AcceptQueue();
  const failed: unknown[] = [];
  for (let i = 0; i < 3; i++)
    queue.add({ ...part('a', false, 10), isLate: () => true, failed: (error) => failed.push(error) });
  queue.add(part('a', false, 1));
  queue.add({ ...part('b', true, 1), isLate: () => false });
  expect(names(queue.take(5, 5))).toEqual(['a', 'b bulk']);
  expect(failed).toHaveLength(3);
  expect(failed[0]).toMatchObject({ fault: 'gateway.late' });
  expect(queue.size).toBe(0);
});

test('the party that was served is last the next time', () => {
  const queue = new AcceptQueue();
  for (const party of ['a', 'a', 'b', 'b']) queue.add(part(party, true, 5));
  expect([queue.take(5, 5), queue.take(5, 5), queue.take(5, 5)].map(names)).toEqual([
    ['a bulk'],
    ['b bulk'],
    ['a bulk'],
  ]);
});

test('without room for bulk only interactive entries are taken', () => {
  const queue = new AcceptQueue();
  queue.add(part('a', true, 5));
  queue.add(part('b', false, 5));
  expect(names(queue.take(100, 0))).toEqual(['b']);
  expect(queue.hasInteractive).toBe(false);
});

test('who is busy keeps its parts, the others are served', () => {
  const queue = new AcceptQueue();
  for (const party of ['a', 'a', 'b', 'b', 'c']) queue.add(part(party, true, 5));
  queue.add(part('a', false, 1));
  expect(names(queue.take(100, 10, new Set(['ba', 'bc'])))).toEqual(['a', 'b bulk', 'b bulk']);
  expect(names(queue.take(100, 100))).toEqual(['a bulk', 'c bulk', 'a bulk']);
  expect(queue.size).toBe(0);
});
