import { expect, test } from 'vitest';
import type { UseRow } from '#proto/eduk/audit/v1/audit';
import { Mandate, MandateReview, MandateState, Service } from '#proto/eduk/core/v1/party';
import { unused, useOf, usesOf } from './reviews.ts';

const [SCHOOL, OTHER] = ['0000000700099ZZ00000', '0000000700099ZY00000'];
const PARTY = '00000003123456780000';
const NOW = Date.UTC(2026, 10, 22, 12);
const DAY_MS = 86_400_000;
const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_RESULT } = Service;
const row = (schoolOin: string, what: string, lastDay: string, firstDay = '2026-03-01'): UseRow => ({
  schoolOin,
  partyOin: PARTY,
  what,
  firstDay,
  lastDay,
  days: 2,
});
/** Pages of two, as the service would give them. */
const uses = (rows: readonly UseRow[], schoolOin = '', countedSince = '2026-01-01') => {
  const place = (school: string, what: string) => `${school} ${what}`;
  const placeOf = (one: UseRow) => place(one.schoolOin, one.what);
  const sorted = [...rows].sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
  return usesOf(
    {
      services: {
        audit: {
          async listUse({ schoolOin: of, afterSchool, afterWhat }: Record<string, string>) {
            const left = sorted.filter(
              (one) =>
                (of === '' || one.schoolOin === of) &&
                (afterWhat === '' || placeOf(one) > place(afterSchool!, afterWhat!)),
            );
            const page = left.slice(0, 2);
            const last = left.length > 2 ? page.at(-1)! : undefined;
            return {
              rows: page,
              afterSchool: last?.schoolOin ?? '',
              afterParty: last?.partyOin ?? '',
              afterWhat: last?.what ?? '',
              countedSince,
            };
          },
        },
      } as never,
    },
    schoolOin,
  );
};
const mandate = (more: Partial<Mandate> = {}): Mandate =>
  Mandate.fromPartial({
    mandateId: 'm-1',
    schoolOin: SCHOOL,
    partyOin: PARTY,
    services: [SERVICE_ROSTER, SERVICE_RESULT],
    state: MandateState.MANDATE_STATE_ACTIVE,
    ...more,
  });
const due = async (
  rows: readonly UseRow[],
  more: { mandate?: Partial<Mandate>; review?: Partial<MandateReview>; days?: number; since?: string } = {},
) =>
  unused(
    [mandate(more.mandate)],
    await uses(rows, '', more.since),
    more.review ? [MandateReview.fromPartial({ mandateId: 'm-1', schoolOin: SCHOOL, ...more.review })] : [],
    NOW,
    more.days ?? 90,
  ).map(({ lastUsedOn }) => lastUsedOn);

test('a mandate is asked about that nobody used or changed for so long, with the last day', async () => {
  expect(await due([row(SCHOOL, 'roster', '2026-08-01'), row(SCHOOL, 'mandate', '2026-03-01')])).toEqual([
    '2026-08-01',
  ]);
  expect(await due([row(SCHOOL, 'roster', '2026-08-30')])).toEqual([]);
  expect(await due([row(SCHOOL, 'roster', '2026-08-30')], { days: 30 })).toEqual(['2026-08-30']);
  expect(await due([row(SCHOOL, 'mandate', '2026-10-01')])).toEqual([]);
  expect(await due([])).toEqual(['']);
});

test('what was sent is use too, by the service of its method; what may have been use was', async () => {
  expect(await due([row(SCHOOL, 'ResultService/ReturnResults', '2026-11-01')])).toEqual([]);
  // Of another service, or without any.
  expect(await due([row(SCHOOL, 'OrderService/PlaceOrder', '2026-11-01')])).toEqual(['']);
  expect(await due([row('', 'CatalogueService/PublishProducts', '2026-11-01')])).toEqual(['']);
  // About several schools, or by a method that only an adapter knows.
  expect(await due([row('', 'ResultService/ReturnResults', '2026-11-01')])).toEqual([]);
  expect(await due([row(SCHOOL, 'uwlr/BrengLeerresultaten', '2026-11-01')])).toEqual([]);
  expect(await due([row(OTHER, 'roster', '2026-11-01')])).toEqual(['']);
});

test('before uses were counted for so long, nothing is called unused', async () => {
  expect(await due([], { since: '2026-09-30' })).toEqual([]);
  expect(await due([], { since: '' })).toEqual([]);
});

test('only what holds now and began long enough ago is asked about', async () => {
  expect(await due([], { mandate: { state: MandateState.MANDATE_STATE_UNCONFIRMED } })).toEqual([]);
  expect(await due([], { mandate: { state: MandateState.MANDATE_STATE_RUN_OFF, runOffUntil: '2027-01-01' } })).toEqual(
    [],
  );
  expect(await due([], { mandate: { validUntil: '2026-11-01' } })).toEqual([]);
  expect(await due([], { mandate: { validFrom: '2026-11-01' } })).toEqual([]);
  expect(await due([], { mandate: { validFrom: '2026-02-01' } })).toEqual(['']);
});

test('who was asked is not asked twice, and after an answer not for a year', async () => {
  expect(await due([], { review: { state: 'open', openedMs: BigInt(NOW - 500 * DAY_MS) } })).toEqual([]);
  expect(await due([], { review: { state: 'kept', answeredMs: BigInt(NOW - 364 * DAY_MS) } })).toEqual([]);
  expect(await due([], { review: { state: 'kept', answeredMs: BigInt(NOW - 366 * DAY_MS) } })).toEqual(['']);
});

test('all pages are read, also those of one school, which has what is about several besides', async () => {
  const rows = [
    row('', 'ResultService/ReturnResults', '2026-10-01'),
    row(SCHOOL, 'roster', '2026-10-02'),
    row(SCHOOL, 'order', '2026-10-03'),
    row(SCHOOL, 'mandate', '2026-10-04'),
    row(OTHER, 'roster', '2026-10-05'),
  ];
  const [whole, one] = [await uses(rows), await uses(rows, SCHOOL)];
  for (const found of [whole, one]) {
    expect(useOf(found, SCHOOL, PARTY, SERVICE_ROSTER)).toEqual({ first: '2026-03-01', last: '2026-10-02' });
    expect(useOf(found, SCHOOL, PARTY, SERVICE_ORDER)!.last).toBe('2026-10-03');
    expect(useOf(found, SCHOOL, PARTY, SERVICE_RESULT)!.last).toBe('2026-10-01');
  }
  expect(useOf(whole, OTHER, PARTY, SERVICE_ROSTER)!.last).toBe('2026-10-05');
  expect(useOf(one, OTHER, PARTY, SERVICE_ROSTER)).toBeUndefined();
});
