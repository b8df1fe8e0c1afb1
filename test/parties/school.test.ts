import { expect, test } from 'vitest';
import { inventRekenlist, inventTaallist } from './catalogue.ts';
import { writeEdexml } from './edexml.ts';
import { expectedFigures, oinsOf, planStart } from './plan.ts';
import { inventSchool } from './school.ts';

const settings = { pupils: 1_200, seed: 5, today: '2026-11-22' };
const made = { madeAt: '2026-11-22T08:00:00Z', asOf: '2026-11-22' };

test('one seed invents one school', () => {
  expect(writeEdexml(inventSchool(settings), made)).toBe(writeEdexml(inventSchool(settings), made));
  expect(inventSchool({ ...settings, seed: 6 }).pupils[0]!.eckId).not.toBe(inventSchool(settings).pupils[0]!.eckId);
});

test('everyone has numbers of their own, and a group that there is', () => {
  const { pupils, staff, groups, brin } = inventSchool(settings);
  const people = [...pupils, ...staff];
  expect(pupils).toHaveLength(1_200);
  expect(new Set(people.map(({ lasKey }) => lasKey)).size).toBe(people.length);
  expect(new Set(people.map(({ eckId }) => eckId)).size).toBe(people.length);
  const keys = new Set(groups.map(({ key }) => key));
  expect(keys.size).toBe(groups.length);
  for (const { groupKey, compositeGroupKeys, eckId } of pupils) {
    expect([groupKey, ...compositeGroupKeys].every((key) => keys.has(key))).toBe(true);
    expect(eckId).toMatch(/^https:\/\/ketenid\.nl\/pilot\/[0-9a-f]{128}$/);
  }
  for (const { groupKeys } of staff) expect(groupKeys.every((key) => keys.has(key))).toBe(true);
  expect(brin).toMatch(/^99[A-Z]{2}$/);
});

test('the school year turns on 1 August', () => {
  expect(inventSchool({ ...settings, today: '2026-07-31' }).schoolYear).toBe('2025-2026');
  expect(inventSchool({ ...settings, today: '2026-08-01' }).schoolYear).toBe('2026-2027');
});

test('every title has an EAN of its own with a right check digit', () => {
  const eans = [...inventRekenlist(5).titles, ...inventTaallist(5).titles].map(({ ean }) => ean);
  expect(new Set(eans).size).toBe(80);
  for (const ean of eans) {
    const sum = [...ean].reduce((total, digit, i) => total + Number(digit) * (i % 2 === 0 ? 1 : 3), 0);
    expect(ean).toMatch(/^\d{13}$/);
    expect(sum % 10).toBe(0);
  }
});

test('another run has other parties and other titles', () => {
  const of = (run: number) => [
    ...Object.values(oinsOf(run)),
    ...[...inventRekenlist(5, run).titles, ...inventTaallist(5, run).titles].map(({ ean }) => ean),
  ];
  const runs = [0, 1, 2, 4_500];
  expect(new Set(runs.flatMap(of)).size).toBe(runs.length * 86);
  for (const oin of Object.values(oinsOf(4_500))) expect(oin).toMatch(/^\d{20}$/);
});

test('what must be there follows from the school, and nothing is expected twice', () => {
  const school = inventSchool(settings);
  const list = { reken: inventRekenlist(5), taal: inventTaallist(5) };
  const plan = planStart(school, list.reken, list.taal, settings.today, oinsOf(0));
  const expected = expectedFigures(school, plan, list, oinsOf(0));
  expect(expected.platform['granted']).toHaveLength(1_200);
  expect(expected.administration['results']).toHaveLength(3_600);
  expect(expected.administration['confirmed']).toHaveLength(1_200 + 48 + 1);
  expect(expected.dashboard['progress']).toHaveLength(2_400);
  expect(plan.draws).toHaveLength(plan.pool.count!);
  for (const columns of Object.values(expected))
    for (const items of Object.values(columns)) {
      expect(items.length).toBeGreaterThan(0);
      expect(new Set(items).size).toBe(items.length);
    }
});

test('no id that travels holds what identifies a pupil', () => {
  const school = inventSchool({ ...settings, pupils: 100 });
  const list = { reken: inventRekenlist(5), taal: inventTaallist(5) };
  const plan = planStart(school, list.reken, list.taal, settings.today, oinsOf(0));
  const ids = JSON.stringify([
    plan.orders.map(({ orderId, lines }) => [orderId, lines.map(({ lineId }) => lineId)]),
    [...plan.grants, ...plan.draws, plan.tooLate].map(({ entitlementId }) => entitlementId),
    [...plan.platformReports, ...plan.siteReports].map(({ resultId }) => resultId),
    plan.tests.map(({ results }) => results.map(({ key }) => key)),
  ]);
  for (const { lasKey, eckId, accountName } of school.pupils)
    for (const identity of [lasKey, eckId.slice(-32), accountName]) expect(ids).not.toContain(identity);
});
