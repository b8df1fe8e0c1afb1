import { expect, test } from 'vitest';
import { checkGrammar } from './labels.ts';

const learners = (leavesOn: string) => ({ learners: [{ ref: { lasKey: 'L1', eckId: '' }, leavesOn }] });
const wrong = (type: string, message: Record<string, unknown>): string[] => {
  try {
    checkGrammar(type, message);
    return [];
  } catch (thrown) {
    return (thrown as { where: { path: string }[] }).where.map(({ path }) => path);
  }
};

test('a day is a day: a school year or a moment in its place would stop whoever reckons with it', () => {
  const type = 'eduk.gateway.v1.RegisterLearnersRequest';
  expect(wrong(type, learners('2027-07-31'))).toEqual([]);
  for (const no of ['2026-2027', '2026-11-22T10:00:00Z', '2026-02-30', 'morgen'])
    expect(wrong(type, learners(no))).toEqual(['learners[0].leaves_on']);
  expect(wrong(type, { schoolYear: '2026-2027' })).toEqual([]);
  for (const no of ['2026-2028', '2026-07-31']) expect(wrong(type, { schoolYear: no })).toEqual(['school_year']);
});

test('a moment may be a day', () => {
  const type = 'eduk.core.v1.ResultPayload';
  for (const yes of ['2026-11-22', '2026-11-22T10:00:00+01:00']) expect(wrong(type, { takenAt: yes })).toEqual([]);
  for (const no of ['2026-2027', '22-11-2026', '2026-11-22Tgisteren'])
    expect(wrong(type, { takenAt: no })).toEqual(['taken_at']);
});

test('a gender is one of the four of the standards, or absent: other text in its place is refused by its path, not repeated', () => {
  const type = 'eduk.gateway.v1.RegisterLearnersRequest';
  const of = (gender: string) => ({
    learners: [{ ref: { lasKey: 'L1', eckId: '' }, person: { callName: 'x', gender } }],
  });
  for (const yes of ['', '0', '1', '2', '9']) expect(wrong(type, of(yes))).toEqual([]);
  for (const no of ['3', '01', 'M', 'meisje', ' 1', '1\n', 'Noor Beuk', '١'])
    expect(wrong(type, of(no))).toEqual(['learners[0].person.gender']);
  expect(() => checkGrammar(type, of('Noor Beuk'))).not.toThrow(/Noor/);
});
