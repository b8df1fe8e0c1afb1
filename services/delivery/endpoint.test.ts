import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Answered,
  afterAnswer,
  drawn,
  FIRST_WIDTH,
  keyWaitMs,
  LONGEST_TRY_MS,
  MOST_DOUBTS,
  MOST_FAILURES,
  MOST_WIDTH,
  newEndpoint,
  parksKey,
  restMs,
  roomOf,
  spend,
  type Verdict,
  verdictOf,
} from './endpoint.ts';

const NOW = 1_800_000_000_000;
const fresh = () => newEndpoint('00000001000000000001', 'webhook', 'https://a.example/');
const answer = (verdict: Verdict, more: Partial<Answered> = {}): Answered => ({
  verdict,
  status: 500,
  cause: '',
  retryAfterS: 0,
  startedMs: NOW,
  first: true,
  isFull: false,
  others: 0,
  seed: 'seed',
  ...more,
});

describe('what an answer says', () => {
  test.each<[string, number, string, Verdict]>([
    ['taken', 200, '', 'taken'],
    ['taken, nothing to say', 204, '', 'taken'],
    ['moved: never followed', 301, '', 'endpoint'],
    ['wrong form', 400, '', 'message'],
    ['who are you', 401, '', 'endpoint'],
    ['nothing is there, which a release may mend', 404, '', 'endpoint'],
    ['conflict', 409, '', 'message'],
    ['gone', 410, '', 'gone'],
    ['too large', 413, '', 'message'],
    ['breaks a rule', 422, '', 'message'],
    ['too many', 429, '', 'busy'],
    ['a fault, of whom nobody knows', 500, '', 'doubt'],
    ['not there', 503, '', 'endpoint'],
    ['no connection', 0, 'refused', 'endpoint'],
    ['no such name', 0, 'unknown_host', 'endpoint'],
    ['no answer', 0, 'timeout', 'doubt'],
    ['cut', 0, 'reset', 'doubt'],
  ])('%s', (_, status, cause, verdict) => expect(verdictOf(status, cause)).toBe(verdict));
});

describe('waiting', () => {
  test('grows, has a limit, is drawn from the whole range, and is the same for the same seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.string(), (times, seed) => {
        for (const wait of [keyWaitMs, restMs]) {
          expect(wait(times, seed)).toBe(wait(times, seed));
          expect(wait(times, seed)).toBeGreaterThanOrEqual(100);
          expect(wait(times, seed)).toBeLessThanOrEqual(600_000);
        }
        expect(restMs(times, seed)).toBeLessThanOrEqual(60_000);
        // Of the same draw a later wait is no shorter.
        expect(keyWaitMs(times + 1, seed)).toBeGreaterThanOrEqual(keyWaitMs(times, seed));
      }),
    );
    const draws = Array.from({ length: 1000 }, (_, i) => drawn(`${i}`));
    expect(Math.min(...draws)).toBeLessThan(0.01);
    expect(Math.max(...draws)).toBeGreaterThan(0.99);
  });
});

describe('the endpoint', () => {
  test('rests after one answer that speaks of it, is then tried with one request, and is well after a success', () => {
    const resting = afterAnswer(fresh(), answer('endpoint', { status: 503 }), NOW);
    expect(resting).toMatchObject({ rests: 1, status: 503 });
    expect(roomOf(resting, 0, NOW)).toBe(0);
    expect(roomOf(resting, 0, resting.restUntilMs)).toBe(1);
    expect(roomOf(resting, 1, resting.restUntilMs)).toBe(0);
    const well = afterAnswer(resting, answer('taken', { status: 200 }), resting.restUntilMs);
    expect(well).toMatchObject({ rests: 0, doubts: 0, restUntilMs: 0 });
    expect(roomOf(well, 0, NOW)).toBe(1);
  });

  test('rests after some doubtful answers; those of a key that failed before do not count', () => {
    let row = fresh();
    for (let i = 1; i < MOST_DOUBTS; i++) {
      row = afterAnswer(row, answer('doubt', { startedMs: NOW + i }), NOW + i);
      expect(roomOf(row, 0, NOW + i)).toBe(FIRST_WIDTH);
    }
    for (let i = 0; i < 50; i++)
      row = afterAnswer(row, answer('doubt', { startedMs: NOW + 50, first: false }), NOW + 50);
    expect(roomOf(row, 0, NOW + 50)).toBe(FIRST_WIDTH);
    row = afterAnswer(row, answer('doubt', { startedMs: NOW + 60 }), NOW + 60);
    expect(roomOf(row, 0, NOW + 60)).toBe(0);
  });

  test('requests that fail together count once', () => {
    let row = fresh();
    for (let i = 0; i < FIRST_WIDTH; i++)
      row = afterAnswer(row, answer('endpoint', { startedMs: NOW - 100, seed: `${i}` }), NOW + i);
    expect(row.rests).toBe(1);
  });

  test('comes back when it asked to, a little later, and no later than in an hour or so', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.string(), (retryAfterS, seed) => {
        const row = afterAnswer(fresh(), answer('endpoint', { status: 429, retryAfterS, seed }), NOW);
        const asked = Math.min(retryAfterS, 3600) * 1000;
        expect(row.restUntilMs - NOW).toBeGreaterThanOrEqual(asked);
        expect(row.restUntilMs - NOW).toBeLessThanOrEqual(asked * 1.1 + 1000);
      }),
    );
  });

  test('that is gone gets nothing', () => {
    const row = afterAnswer(fresh(), answer('gone', { status: 410 }), NOW);
    expect(roomOf(row, 0, NOW + 1e12)).toBe(0);
  });

  test('always has a way back: whatever it answered, there is room within the longest rest', () => {
    const verdicts = fc.constantFrom<Verdict>('taken', 'endpoint', 'busy', 'doubt', 'message');
    fc.assert(
      fc.property(fc.array(fc.tuple(verdicts, fc.nat(100_000), fc.nat(120), fc.boolean(), fc.nat(70))), (answers) => {
        let now = NOW;
        let row = fresh();
        for (const [i, [verdict, ms, retryAfterS, first, others]] of answers.entries()) {
          row = afterAnswer(
            row,
            answer(verdict, { startedMs: now, retryAfterS, first, others, isFull: first, seed: `${i}` }),
            now + ms,
          );
          now += ms;
          expect(roomOf(row, 0, now + 132_001)).toBeGreaterThan(0);
          expect(roomOf(row, 0, now + 132_001)).toBeLessThanOrEqual(MOST_WIDTH);
        }
      }),
    );
  });
});

describe('a key', () => {
  test('parks after its attempts where the endpoint took others meanwhile', () => {
    expect(parksKey(MOST_FAILURES, NOW, { succeededMs: NOW + 1 }, NOW + 2)).toBe(true);
    expect(parksKey(MOST_FAILURES - 1, NOW, { succeededMs: NOW + 1 }, NOW + 2)).toBe(false);
  });
  test('does not while the endpoint takes nothing, but for days', () => {
    expect(parksKey(1000, NOW, { succeededMs: NOW - 1 }, NOW + 3_600_000)).toBe(false);
    expect(parksKey(1000, NOW, { succeededMs: NOW - 1 }, NOW + LONGEST_TRY_MS + 1)).toBe(true);
  });
});

test('the budget gives no more repeats than it has, over any stretch of time', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1000, max: 5000 }), { maxLength: 200 }), (steps) => {
      let row = fresh();
      let now = NOW;
      let forward = 0;
      let spent = 0;
      for (const ms of steps) {
        now += ms;
        forward += Math.max(0, ms);
        const got = spend(row, now);
        if ('row' in got) {
          row = got.row;
          spent += 1;
        } else expect(got.atMs).toBeGreaterThan(now);
      }
      expect(spent).toBeLessThanOrEqual(20 + (forward / 1000) * 2 + 1);
    }),
  );
});
