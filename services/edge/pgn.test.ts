import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ColumnMemory, findPgn, holdsPgn, passesElevenTest } from './pgn.ts';

/** A number that passes, made from eight digits; undefined where none exists. */
function passing(eight: string): string | undefined {
  for (let last = 0; last < 10; last++) if (passesElevenTest(`${eight}${last}`)) return `${eight}${last}`;
  return undefined;
}
const number = fc
  .integer({ min: 10_000_000, max: 99_999_999 })
  .map((n) => passing(String(n)))
  .filter((n): n is string => n !== undefined);

const roster = (learners: { lasKey: string; eckId?: string }[], group = 'Groep 7') => ({
  type: 'eduk.gateway.v1.PushRosterRequest',
  school: 's',
  sender: 'p',
  message: {
    reference: 'r',
    rosterId: 'r',
    roster: {
      schoolOin: 's',
      groups: [{ key: '7', name: group }],
      learners: learners.map(({ lasKey, eckId = '' }) => ({ ref: { lasKey, eckId } })),
    },
  },
});

describe('the eleven test', () => {
  test('weighs nine digits, the last one negatively', () => {
    expect(passesElevenTest('111222333')).toBe(true);
    expect(passesElevenTest('111222334')).toBe(false);
    expect(passesElevenTest('000000000')).toBe(false);
    expect(passesElevenTest('12345')).toBe(false);
  });

  test('about one number of eleven passes, so passing alone means little', () => {
    let passed = 0;
    for (let n = 100_000_000; n < 100_110_000; n++) if (passesElevenTest(String(n))) passed++;
    expect(passed / 110_000).toBeGreaterThan(0.08);
  });
});

describe('what is refused', () => {
  test('a number in words that a school wrote, and its path is told, not its value', () => {
    fc.assert(
      fc.property(number, (n) => {
        const [error] = findPgn([roster([], `Groep 7 ${n}`)]);
        expect(error?.fault).toBe('wire.pgn');
        expect(error?.where[0]?.path).toBe('roster.groups[0].name');
        expect(JSON.stringify([error?.told, error?.where, error?.message])).not.toContain(n);
      }),
    );
  });

  test('a number after a word that announces one, in any field that is read', () => {
    expect(holdsPgn('bsn: 111222333', false)).toBe(true);
    expect(holdsPgn('leerling_bsn=111222333', false)).toBe(true);
    expect(holdsPgn('bsn111222333@school.example', false)).toBe(true);
    expect(holdsPgn('BSN_111222333', false)).toBe(true);
    expect(holdsPgn('order 111222333', false)).toBe(false);
  });

  test.each([
    ['another width', '１１１２２２３３３'],
    ['another script', '١١١٢٢٢٣٣٣'],
    ['mathematical digits', '𝟏𝟏𝟏𝟐𝟐𝟐𝟑𝟑𝟑'],
    ['spaces that do not break', '111\u00a0222\u00a0333'],
    ['what cannot be seen in between', '111\u200b222\u00ad333'],
  ])('a number in %s is one', (_, n) => {
    expect([holdsPgn(`Groep é ${n}`, true), holdsPgn(`bsn ${n}`, false)]).toEqual([true, true]);
    expect(holdsPgn(`Groep é ${n.replace(/.$/u, '')}`, true)).toBe(false);
  });

  test('a column of keys that are written with points or in another width', () => {
    const keys = fc.sample(number, 12);
    for (const write of [
      (n: string) => n.replace(/^(....)(..)(...)$/, '$1.$2.$3'),
      (n: string) => n.replace(/./g, (c) => String.fromCharCode(c.charCodeAt(0) + 0xfee0)),
    ])
      expect(findPgn([roster(keys.map((n) => ({ lasKey: write(n) })))])[0]?.where).toHaveLength(12);
  });

  test('a column of keys of which more than half pass, beside a column of ECK iDs too', () => {
    const keys = fc.sample(number, 12);
    const [error] = findPgn([roster(keys.map((lasKey, i) => ({ lasKey, eckId: `https://ketenid.nl/pilot/${i}` })))]);
    expect(error?.fault).toBe('wire.pgn');
    expect(error?.where).toHaveLength(12);
  });

  test('the same column spread over messages of one school', () => {
    const batch = fc.sample(number, 12).map((lasKey) => ({
      type: 'eduk.gateway.v1.GrantEntitlementsRequest',
      school: 's',
      sender: 'p',
      message: { reference: 'r', holder: { learner: { lasKey, eckId: '' } } },
    }));
    expect(findPgn(batch).every((error) => error?.fault === 'wire.pgn')).toBe(true);
  });
});

describe('a column that comes one key at a time', () => {
  const one = (lasKey: string) => ({
    type: 'eduk.gateway.v1.PushRosterRequest',
    school: 's',
    sender: 'p',
    message: { reference: 'r', roster: { learners: [{ ref: { lasKey, eckId: '' } }] } },
  });

  test('is seen from the eighth key on, and is forgotten slowly', () => {
    const memory = new ColumnMemory();
    const found = fc.sample(number, 30).map((lasKey) => findPgn([one(lasKey)], memory)[0]?.fault);
    expect(found.slice(0, 7)).toEqual(Array(7).fill(undefined));
    expect(found.slice(7)).toEqual(Array(23).fill('wire.pgn'));
    expect(findPgn([{ ...one(fc.sample(number, 1)[0]!), sender: 'another' }], memory)[0]).toBeUndefined();
    for (let i = 0; i < 400; i++) findPgn([one(`L${i}`)], memory);
    expect(findPgn([one(fc.sample(number, 1)[0]!)], memory)[0]).toBeUndefined();
  });

  test('random keys are never taken for one', () => {
    const memory = new ColumnMemory();
    for (let i = 0; i < 20_000; i++)
      expect(findPgn([one(String(100_000_000 + ((i * 7_919_737) % 900_000_000)))], memory)[0]).toBeUndefined();
  });
});

describe('what is not refused', () => {
  test('order numbers, references and product ids that pass by chance', () => {
    for (const n of fc.sample(number, 1000)) {
      const [error] = findPgn([
        {
          type: 'eduk.gateway.v1.PlaceOrderRequest',
          school: 's',
          sender: 'p',
          message: { reference: n, orderId: n, lines: [{ terms: { lineId: '1', productId: n } }] },
        },
      ]);
      expect(error).toBeUndefined();
    }
  });

  test('random keys of a whole school', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 100_000_000, max: 999_999_999 }).map(String), { minLength: 100, maxLength: 300 }),
        (keys) => {
          expect(findPgn([roster(keys.map((lasKey) => ({ lasKey })))])[0]).toBeUndefined();
        },
      ),
      { numRuns: 50 },
    );
  });
});
