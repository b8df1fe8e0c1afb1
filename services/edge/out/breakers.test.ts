import { afterEach, expect, test, vi } from 'vitest';
import { Breakers, type Circuit } from './breakers.ts';

const to = (partyOin: string, trial = false): Circuit => ({ partyOin, standard: 'webhook', trial });
const A = to('a');

let breakers = new Breakers();
afterEach(() => {
  vi.useRealTimers();
  breakers.close();
  breakers = new Breakers();
});

const answers = (status: number, cause = '') => vi.fn(async () => ({ status, cause }));

test.each([
  [503, ''],
  [0, 'refused'],
  [0, 'unknown_host'],
])(
  'after %i %s nothing that was claimed before is sent to that endpoint; others know nothing of it',
  async (status, cause) => {
    for (const one of [A, A, to('b')]) breakers.enter(one);
    expect(await breakers.through(A, answers(200))).toMatchObject({ status: 200 });
    expect(await breakers.through(A, answers(status, cause))).toEqual({ status, cause });
    const kept = answers(200);
    expect(await breakers.through(A, kept)).toBeUndefined();
    expect(kept).not.toHaveBeenCalled();
    expect(await breakers.through(to('b'), answers(200))).toMatchObject({ status: 200 });
  },
);

test.each([
  [500, ''],
  [429, ''],
  [422, ''],
  [404, ''],
  [0, 'timeout'],
  [0, 'reset'],
])('%i %s may be of one message, or of how many there are: the row decides', async (status, cause) => {
  breakers.enter(A);
  for (let i = 0; i < 5; i++) expect(await breakers.through(A, answers(status, cause))).toEqual({ status, cause });
});

test('what a standard says of the endpoint counts, and what it says of a school does not', async () => {
  breakers.enter(A);
  const says = (reach: string) => breakers.through(A, async () => ({ status: 500, cause: 'Server', reach }));
  expect(await says('school')).toBeDefined();
  expect(await says('message')).toBeDefined();
  expect(await says('endpoint')).toBeDefined();
  expect(await says('message')).toBeUndefined();
});

test('one request tries what rested: others are kept back until it was taken', async () => {
  const trial = to('a', true);
  for (const one of [trial, A]) breakers.enter(one);
  let answer = (_: { status: number }): void => undefined;
  const tried = breakers.through(trial, () => new Promise<{ status: number }>((resolve) => (answer = resolve)));
  expect(await breakers.through(A, answers(200))).toBeUndefined();
  answer({ status: 200 });
  expect(await tried).toEqual({ status: 200 });
  expect(await breakers.through(A, answers(200))).toMatchObject({ status: 200 });
});

test('what rested and still takes nothing is closed again; the next try is the row’s to give', async () => {
  breakers.enter(to('a', true));
  expect(await breakers.through(A, answers(503))).toMatchObject({ status: 503 });
  expect(await breakers.through(A, answers(200))).toBeUndefined();
  breakers.enter(to('a', true));
  expect(await breakers.through(A, answers(200))).toMatchObject({ status: 200 });
});

test('our own fault says nothing of the endpoint', async () => {
  breakers.enter(A);
  const fault = new Error('ours');
  await expect(breakers.through(A, () => Promise.reject(fault))).rejects.toBe(fault);
  expect(await breakers.through(A, answers(200))).toMatchObject({ status: 200 });
});

test('a breaker is there while something is under way, or kept back, and no longer', async () => {
  vi.useFakeTimers();
  const leave = Array.from({ length: 1_000 }, (_, i) => breakers.enter(to(`p${i}`)));
  expect(breakers.size).toBe(1_000);
  await breakers.through(to('p0'), answers(503));
  for (const one of leave) one();
  expect(breakers.size).toBe(1);
  await vi.advanceTimersByTimeAsync(1_001);
  expect(breakers.size).toBe(0);
  // Whatever is left of it runs no timers.
  breakers.close();
  expect(vi.getTimerCount()).toBe(0);
});
