/** A change of supplier: what it touches, and that it is made once. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { dutchDay } from '#kernel';
import { LineState, Ownership, Renewal } from '#proto/eduk/core/v1/ordering';
import { Mandate, MandateState, ProcessingPurpose, Role, Service } from '#proto/eduk/core/v1/party';
import type { SwitchLine } from '#proto/eduk/operator/v1/operator';
import {
  eckId,
  type Fault,
  newOin,
  newSchool,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

const { SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_ROSTER, SERVICE_RESULT } = Service;
const {
  MANDATE_STATE_ACTIVE: ACTIVE,
  MANDATE_STATE_RUN_OFF: RUN_OFF,
  MANDATE_STATE_UNCONFIRMED: UNCONFIRMED,
} = MandateState;
const SUPPLY = ProcessingPurpose.PROCESSING_PURPOSE_SUPPLY;
const ofOld = [SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT];
const day = (days: number): string => dutchDay(Date.now() + days * 86_400_000);
const ON = day(14);
const YEAR_END = day(250);

let at: TestGateway;
let las: TestParty;
let old: TestParty;
let next: TestParty;
const school = newSchool();

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  old = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM]);
  next = await at.party('Boekenberg', [Role.ROLE_DISTRIBUTOR, Role.ROLE_PLATFORM]);
  await at.mandate(school, las.oin, [SERVICE_ROSTER, SERVICE_ORDER]);
  await at.mandate(school, old.oin, ofOld, { attributes: ['eck_id'] });
  await at.mandate(school, next.oin, [SERVICE_ENTITLEMENT, SERVICE_ACCESS]);
  const product = (productId: string, title: string, more: object = {}) => ({
    reference: productId,
    product: { productId, title, accessUrl: 'https://wilg.example/', licence: { licensed: true }, ...more },
  });
  await sendAll(old.catalogue.publishProducts(), [
    product('9789000000019', 'Rekenen voor reuzen', { followupProductId: '9789000000026' }),
    product('9789000000033', 'Rouwen', { sensitive: true }),
  ]);
  const line = (lineId: string, n: number, more: object = {}) => ({
    terms: { lineId, productId: '9789000000019', quantity: 1, ...more },
    learner: { eckId: eckId(n) },
  });
  const placed = await las.orders.placeOrder({
    reference: 'o1',
    orderId: 'order-1',
    schoolOin: school,
    lines: [
      line('1', 1),
      line('2', 2),
      line('3', 3, { renewal: Renewal.RENEWAL_RENEWS, noticeBy: day(30) }),
      line('4', 4, { ownership: Ownership.OWNERSHIP_RENT, returnBy: day(200) }),
    ],
    waitMs: 10_000n,
  });
  expect(placed.decision).toMatchObject({ outcome: 'OrderPlaced' });
  const { LINE_STATE_CONFIRMED, LINE_STATE_DELIVERED } = LineState;
  for (const [reference, lineIds, state] of [
    ['c1', ['2', '3', '4'], LINE_STATE_CONFIRMED],
    ['c1b', ['4'], LINE_STATE_DELIVERED],
  ] as const) {
    const outcomes = lineIds.map((lineId) => ({ lineId, state }));
    const said = await old.orders.confirmOrder({ reference, orderId: 'order-1', outcomes, waitMs: 10_000n });
    expect(said.decision!.code).toBe('');
  }
  const grant = (entitlementId: string, n: number, productId = '9789000000019', endsOn = YEAR_END) => ({
    reference: entitlementId,
    terms: { entitlementId, productId, endsOn },
    schoolOin: school,
    holder: { learner: { eckId: eckId(n) } },
  });
  await sendAll(old.entitlements.grantEntitlements(), [
    grant('e1', 1),
    grant('e2', 2),
    grant('e3', 3, '9789000000019', day(7)),
    grant('e4', 4, '9789000000033'),
  ]);
  await sendAll(next.entitlements.grantEntitlements(), [grant('n1', 1)]);
  await vi.waitFor(
    async () => {
      expect((await next.entitlements.listEntitlements({ schoolOin: school })).entitlements).toHaveLength(1);
      expect((await old.entitlements.listEntitlements({ schoolOin: school })).entitlements).toHaveLength(5);
    },
    { timeout: 60_000, interval: 50 },
  );
});
afterAll(() => at?.stop());

const change = (more: object = {}) => ({ schoolOin: school, fromOin: old.oin, toOin: next.oin, day: ON, ...more });
const codeOf = async (answer: Promise<unknown>): Promise<string> => {
  try {
    await answer;
    return '';
  } catch (thrown) {
    return (thrown as Fault).code;
  }
};
const find = (lines: readonly SwitchLine[], part: string, what: string, service?: Service) =>
  lines.filter((one) => one.part === part && one.what === what && (service === undefined || one.service === service));

describe('a preview', () => {
  test('says what is left running, done twice and dropped, in counts and with who must act', async () => {
    const { lines, services, runOffUntil } = await at.operator.previewSwitch(change());
    expect([services, runOffUntil]).toEqual([[...ofOld].sort((a, b) => a - b), ON]);
    expect(find(lines, 'running', 'licences')).toMatchObject([
      { count: 1n, until: day(7), who: '' },
      { count: 3n, until: YEAR_END, who: 'school' },
    ]);
    expect(find(lines, 'running', 'orders')).toMatchObject([{ count: 1n, who: 'from' }]);
    expect(find(lines, 'running', 'deliveries')).toMatchObject([{ count: 2n, who: 'from' }]);
    expect(find(lines, 'running', 'returns')).toMatchObject([{ count: 1n, until: day(200), who: 'school' }]);
    expect(find(lines, 'twice', 'licences')).toMatchObject([{ count: 1n, who: 'school' }]);
    expect(find(lines, 'twice', 'renewals')).toMatchObject([{ count: 1n, until: day(30), who: 'school' }]);
    expect(find(lines, 'twice', 'overlap').map(({ service }) => service)).toEqual([
      SERVICE_ENTITLEMENT,
      SERVICE_ACCESS,
    ]);
    expect(find(lines, 'dropped', 'new_business', SERVICE_ORDER)).toMatchObject([{ count: 14n, who: 'us' }]);
    expect(find(lines, 'dropped', 'product')).toMatchObject([
      {
        count: 2n,
        productId: '9789000000019',
        title: 'Rekenen voor reuzen',
        told: expect.stringContaining('9789000000026'),
      },
      // Of a sensitive title neither the name nor the number is told.
      { count: 1n, productId: '', title: '' },
    ]);
    // One of three has something of the new party.
    expect(find(lines, 'dropped', 'learners')).toMatchObject([{ count: 2n, who: 'school' }]);
    expect(JSON.stringify(lines, (_, one) => (typeof one === 'bigint' ? Number(one) : one))).not.toMatch(
      /ketenid|Rouwen/,
    );
  });

  test('of days on which nobody has it', async () => {
    const { lines } = await at.operator.previewSwitch(change({ runOffUntil: day(9) }));
    expect(find(lines, 'dropped', 'gap', SERVICE_RESULT)).toMatchObject([{ count: 4n, until: day(13), who: 'us' }]);
    expect(find(lines, 'dropped', 'gap', SERVICE_ENTITLEMENT)).toEqual([]);
  });

  test('changes nothing, and refuses what is no change', async () => {
    expect((await at.operator.listMandates({ schoolOin: school, partyOin: old.oin })).mandates).toMatchObject([
      { state: ACTIVE },
    ]);
    expect(await codeOf(at.operator.previewSwitch(change({ day: day(-1) })))).toBe('wire.invalid');
    expect(await codeOf(at.operator.previewSwitch(change({ toOin: old.oin })))).toBe('wire.invalid');
    expect(await codeOf(at.operator.previewSwitch(change({ fromOin: newOin() })))).toBe('state.missing');
  });
});

describe('a change that is made', () => {
  test('refuses to end what is to stay', async () => {
    const asked = change({ services: [SERVICE_ORDER] });
    expect(await codeOf(at.operator.applySwitch({ change: asked, confirm: true }))).toBe('state.conflict');
    const { lines } = await at.operator.previewSwitch(asked);
    expect(find(lines, 'mandate', 'more_services')).toMatchObject([{ count: 3n, who: 'us' }]);
  });

  test('gives the new party no more than the old one had: its sites, and for what', async () => {
    const other = newSchool();
    const limits = { services: ofOld, siteCodes: ['01'], purposes: [SUPPLY] };
    const mandate = Mandate.fromPartial({ schoolOin: other, partyOin: old.oin, ...limits });
    await at.operator.grantMandate({ mandate, confirm: true });
    const { steps } = await at.operator.applySwitch({ change: change({ schoolOin: other }), confirm: true });
    expect(steps[0]).toMatchObject({ step: 'grant', mandate: { siteCodes: ['01'], purposes: [SUPPLY] } });
  });

  test('gives the new party what the old one had, lets the old run off, and does so once', async () => {
    const first = await at.operator.applySwitch({ change: change(), confirm: false });
    expect(first.steps).toMatchObject([
      { step: 'grant', mandate: { partyOin: next.oin, state: UNCONFIRMED, validFrom: ON, attributes: ['eck_id'] } },
      { step: 'run_off', mandate: { partyOin: old.oin, state: RUN_OFF, runOffUntil: ON } },
    ]);
    const given = first.steps[0]!.mandate!.mandateId;
    const count = async () => (await at.operator.listMandates({ schoolOin: school })).mandates.length;
    const before = await count();
    // Again, and confirmed: the same mandate.
    const again = await at.operator.applySwitch({ change: change(), confirm: true });
    expect(again.steps[0]).toMatchObject({
      mandate: { mandateId: given, state: ACTIVE, services: first.steps[0]!.mandate!.services },
    });
    const third = await at.operator.applySwitch({ change: change(), confirm: true });
    expect(third.steps.map(({ flowId }) => flowId)).toEqual(['', '']);
    expect(await count()).toBe(before);
    // The old party takes nothing new, and still confirms what was ordered.
    const late = {
      reference: 'late',
      terms: { entitlementId: 'late', productId: '9789000000019', endsOn: YEAR_END },
      schoolOin: school,
      holder: { learner: { eckId: eckId(9) } },
    };
    const [refused] = await sendAll(old.entitlements.grantEntitlements(), [late]);
    expect(refused!.refusals).toMatchObject([{ code: 'mandate.ended' }]);
    const outcomes = [{ lineId: '1', state: LineState.LINE_STATE_CONFIRMED }];
    expect(
      (await old.orders.confirmOrder({ reference: 'c2', orderId: 'order-1', outcomes, waitMs: 10_000n })).decision!
        .code,
    ).toBe('');
  });
});
