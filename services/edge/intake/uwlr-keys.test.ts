import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HmacKey, MOST_OF_KEY, resultIdUnder, senderKeyOf } from '#kernel';
import { Result } from '#proto/eduk/core/v1/result';
import type { ResultKeys } from '../administrations/settings.ts';
import { keysOfMessage, uwlrResultId } from './uwlr-keys.ts';

const digestKey = new HmacKey(Buffer.alloc(32, 7));
const schoolOin = '0000000700099XX00000';

/** A result as it stands in a message. Pupils are known by a number of their own here; the message names them by key or ECK iD. */
interface Sent {
  key: string;
  pupil: number;
  test: string;
  part?: string;
  day?: string;
  score: number;
  byEckId?: boolean;
}
const resultOf = ({ key, pupil, test: activityId, part = '', day = '2026-11-02', score, byEckId }: Sent): Result =>
  Result.fromPartial({
    resultId: key,
    learner: byEckId ? { eckId: `https://ketenid.nl/pilot/${pupil}` } : { lasKey: `L${pupil}` },
    payload: { activityId, partId: part, takenAt: day, score },
  });
const idsOf = (habit: ResultKeys, message: readonly Sent[], partyOin = '00000099100000009000'): string[] => {
  const by = { habit, digestKey, partyOin };
  const results = message.map(resultOf);
  return keysOfMessage(results, by).map((key, i) =>
    uwlrResultId(key, { schoolOin, result: results[i]! }, `tok_${message[i]!.pupil}`, by),
  );
};
/** What results keeps of messages, one after the other: the newest content under an id. */
function kept(habit: ResultKeys, messages: readonly (readonly Sent[])[]): Map<string, Sent> {
  const rows = new Map<string, Sent>();
  for (const message of messages)
    for (const [i, id] of idsOf(habit, message).entries()) {
      const before = rows.get(id);
      // The owner refuses it, visibly: whose a result is never changes.
      if (before && before.pupil !== message[i]!.pupil) throw new Error('refused');
      rows.set(id, message[i]!);
    }
  return rows;
}
const uuid = (n: number): string => `0198f2aa-0000-4000-8000-${String(n).padStart(12, '0')}`;
const first: Sent = { key: '1', pupil: 1, test: 'T1', score: 5 };

describe('a key of UWLR', () => {
  test.each<[string, ResultKeys, Sent, Partial<Sent>, number]>([
    ['the same message again', 'message', first, {}, 1],
    ['another score', 'message', first, { score: 7 }, 1],
    ['another pupil', 'message', first, { pupil: 2 }, 2],
    ['another test', 'message', first, { test: 'T2' }, 2],
    ['another part', 'message', first, { part: 'b' }, 2],
    ['another day', 'message', first, { day: '2026-11-09' }, 2],
    [
      'the moment written otherwise',
      'message',
      { ...first, day: '2026-11-03T00:30:00+01:00' },
      { day: '2026-11-02T23:30:00Z' },
      1,
    ],
    ['the pupil by the other number', 'message', first, { byEckId: true }, 1],
    ['another key for the same work', 'message', first, { key: '2' }, 2],
    ['a UUID, another score', 'message', { ...first, key: uuid(1) }, { score: 7 }, 1],
    ['a UUID, another day', 'message', { ...first, key: uuid(1) }, { day: '2026-11-09' }, 1],
    ['a UUID, another test', 'message', { ...first, key: uuid(1) }, { test: 'T2' }, 1],
    ['a UUID, another pupil', 'message', { ...first, key: uuid(1) }, { pupil: 2 }, 2],
    ['keys that last, another day', 'lasting', first, { day: '2026-11-09' }, 1],
    ['keys that last, another test', 'lasting', first, { test: 'T2' }, 1],
    ['fresh keys, the same work', 'fresh', first, { key: '2', score: 7 }, 1],
    ['fresh keys, another day', 'fresh', first, { key: '2', day: '2026-11-09' }, 2],
    ['fresh keys, another pupil', 'fresh', first, { pupil: 2 }, 2],
  ])('%s: %s', (_, habit, one, change, rows) => {
    const found = kept(habit, [[one], [{ ...one, ...change }]]);
    expect([...found.values()].sort((a, b) => a.score - b.score)).toEqual(
      rows === 1 ? [{ ...one, ...change }] : expect.arrayContaining([one, { ...one, ...change }]),
    );
    expect(found.size).toBe(rows);
  });

  test('of another sender is another result', () => {
    expect(idsOf('message', [first])).not.toEqual(idsOf('message', [first], '00000099100000009001'));
  });

  test('fresh keys: the same work of another day is counted by itself, also where only that comes again', () => {
    const [monday, tuesday] = [first, { ...first, key: '2', day: '2026-11-03' }];
    expect(kept('fresh', [[monday, tuesday], [{ ...tuesday, key: '1' }]]).size).toBe(2);
  });

  test('a key that lasts is no other pupil’s: the owner refuses it, so that nobody gets what is not theirs', () => {
    expect(() => kept('lasting', [[first], [{ ...first, pupil: 2 }]])).toThrow('refused');
  });

  test('fresh keys: a second result of the same work in one message stands beside the first', () => {
    const twice = [first, { ...first, key: '2', score: 8 }];
    expect(kept('fresh', [twice, twice]).size).toBe(2);
  });

  test('the key stays to be read, and ids are ids, whatever the key', () => {
    const [id] = idsOf('message', [first]);
    expect(id).toMatch(/^1~[\w-]{24}$/);
    expect(senderKeyOf(id!)).toBe('1');
    expect(resultIdUnder(id!, 'tok_1')).toBe(id);
    expect(resultIdUnder(id!, 'tok_2')).toBe(idsOf('message', [{ ...first, pupil: 2 }])[0]);
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ minLength: 1, maxLength: 256 }), fc.constantFrom('1~', '~', 'a~b', 'x'.repeat(64))),
        fc.constantFrom<ResultKeys>('message', 'lasting', 'fresh'),
        (key, habit) => {
          const [id] = idsOf(habit, [{ ...first, key }]);
          expect(id).toMatch(/^[\w.:/+#=~@-]{1,64}$/);
          if (habit === 'message' && /^[\w.-]+$/.test(key) && key.length <= MOST_OF_KEY)
            expect(senderKeyOf(id!)).toBe(key);
        },
      ),
    );
    // Two long keys that begin alike are two.
    expect(new Set(['a', 'b'].flatMap((end) => idsOf('message', [{ ...first, key: 'x'.repeat(64) + end }]))).size).toBe(
      2,
    );
  });

  test('two results of one pupil, or of two in one work, do not look alike', () => {
    const ids = idsOf('message', [first, { ...first, key: '2' }, { ...first, key: '3', pupil: 2 }]);
    const ends = ids.map((id) => id.split('~')[1]!.slice(0, 10));
    expect(new Set(ends).size).toBe(3);
  });

  const sent = (key: fc.Arbitrary<string>) =>
    fc.record({
      key,
      pupil: fc.nat(3),
      test: fc.constantFrom('T1', 'T2'),
      part: fc.constantFrom('', 'a'),
      day: fc.constantFrom('2026-11-02', '2026-11-03'),
      score: fc.nat(10),
      byEckId: fc.boolean(),
    });
  /** Messages of new work, and earlier ones again: as they were, or with other scores. */
  const story = fc.array(
    fc.oneof(
      fc.record({ new: fc.array(sent(fc.constant('')), { minLength: 1, maxLength: 5 }) }),
      fc.record({ again: fc.nat(9), by: fc.constantFrom(0, 3) }),
    ),
    { minLength: 1, maxLength: 12 },
  );

  test('who counts keys in each message loses nothing; a repeat does nothing, and a correction corrects', () => {
    fc.assert(
      fc.property(story, (steps) => {
        const messages: Sent[][] = [];
        for (const step of steps)
          if ('new' in step) messages.push(step.new.map((one, i) => ({ ...one, key: String(i + 1) })));
          else if (messages.length > 0)
            messages.push(
              messages[step.again % messages.length]!.map((one) => ({ ...one, score: one.score + step.by })),
            );
        const wanted = new Map<string, number>();
        for (const { key, pupil, test: code, part, day, score } of messages.flat())
          wanted.set([key, pupil, code, part, day].join(), score);
        const found = [...kept('message', messages).values()];
        expect(found).toHaveLength(wanted.size);
        for (const { key, pupil, test: code, part, day, score } of found)
          expect(wanted.get([key, pupil, code, part, day].join())).toBe(score);
      }),
    );
  });

  test('who gives each result a key of its own for good has each once, as it was said last', () => {
    const lasting = (habit: ResultKeys, keyOf: (n: number) => string) =>
      fc.assert(
        fc.property(
          fc.array(fc.record({ n: fc.nat(5), as: sent(fc.constant('')) }), { minLength: 1, maxLength: 20 }),
          (all) => {
            // Whose it is stays.
            const messages = all.map(({ n, as }) => [{ ...as, key: keyOf(n), pupil: n % 3 }]);
            const wanted = new Map(messages.map(([one]) => [one!.key, one]));
            expect([...kept(habit, messages).values()].sort((a, b) => (a.key < b.key ? -1 : 1))).toEqual(
              [...wanted.values()].sort((a, b) => (a!.key < b!.key ? -1 : 1)),
            );
          },
        ),
      );
    lasting('lasting', (n) => `r${n}`);
    lasting('message', uuid);
  });
});
