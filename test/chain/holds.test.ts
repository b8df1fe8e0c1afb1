/** What waits until somebody has looked, on the wire: a roster and withdrawals, decided in parts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { WithdrawMode } from '#proto/eduk/gateway/v1/entitlement';
import { edexml } from './files.ts';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { refusedCall } from './told.ts';

let at: TestGateway;
let seller: TestParty;
const oin = newSchool();
const book = (n: number): string => `97890000031${10 + n}`;
const everyone = Array.from({ length: 30 }, (_, i) => i + 1);

async function until<T>(ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> {
  for (const end = Date.now() + 60_000; ; await sleep(50)) {
    const answer = await ask();
    if (holds(answer) || Date.now() > end) return answer;
  }
}
const roster = (asOf: string, pupils: readonly number[]) =>
  at.operator.importRoster([
    {
      chunk: Buffer.from(
        edexml({ school: oin, asOf, pupils: pupils.map((n) => ({ key: `L-${n}`, eckId: eckId(n) })) }),
      ),
    },
  ]);
const holdsNow = async () => (await at.operator.listHolds({ schoolOin: oin, decided: false })).holds;
const stateOf = async (reference: string) =>
  (await seller.flows.getFlow({ reference, method: 'EntitlementService/WithdrawEntitlements' })).flow!;
const standing = async () => {
  const { entitlements } = await seller.entitlements.listEntitlements({ schoolOin: oin, limit: 100 } as never);
  return entitlements.filter(({ state }) => state === EntitlementState.ENTITLEMENT_STATE_GRANTED).length;
};

beforeAll(async () => {
  at = await startTestGateway();
  await at.party('Basisschool De Linde', [Role.ROLE_SCHOOL], oin);
  seller = await at.party('Uitgeverij Els', [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR]);
  await at.mandate(oin, seller.oin, [Service.SERVICE_ENTITLEMENT]);
  await sendAll(
    seller.catalogue.publishProducts(),
    [0, 1].map((n) => ({
      reference: `p-${n}`,
      product: { productId: book(n), title: `Boek ${n}`, licence: { licensed: true } },
    })),
  );
  await roster('2026-10-01', everyone);
});
afterAll(() => at?.stop());

test('of a held roster those who join are approved; those who leave are kept, and held again', async () => {
  const tonight = [...everyone.slice(0, 20), 40];
  const { holdId } = await roster('2026-10-02', tonight);
  expect(await holdsNow()).toMatchObject([
    { holdId, part: false, difference: { joined: 1, left: 10 }, groups: [{ name: 'Zeven', joined: 1, left: 10 }] },
  ]);
  expect((await refusedCall(at.operator.decideHold({ holdId, approve: true, kinds: ['pupils'] }))).code).toBeDefined();
  const part = await at.operator.decideHold({ holdId, approve: true, kinds: ['joined'] });
  expect(part.decision).toMatchObject({ outcome: 'HoldDecided' });
  expect(await holdsNow()).toMatchObject([{ holdId, part: true, difference: { before: 31, joined: 0, left: 10 } }]);
  await at.operator.decideHold({ holdId, approve: false });
  expect(await holdsNow()).toEqual([]);
  // Two of them: few, and not approved.
  await roster('2026-10-03', [...everyone.slice(0, 28), 40]);
  const [again] = await holdsNow();
  expect(again).toMatchObject({ reason: 'said_again', difference: { left: 2 } });
  await at.operator.decideHold({ holdId: again!.holdId, approve: true });
  expect(await holdsNow()).toEqual([]);
});

test('withdrawals beyond the threshold wait: who loses what is shown, a part goes on, the rest is told that it does not', async () => {
  const ids = everyone.slice(0, 24).map((n) => `e-${n}`);
  await sendAll(
    seller.entitlements.grantEntitlements(),
    ids.map((id, i) => ({
      reference: id,
      schoolOin: oin,
      holder: { learner: { eckId: eckId(i + 1) } },
      terms: { entitlementId: id, productId: book(i < 14 ? 0 : 1) },
    })),
  );
  await until(standing, (count) => count === 24);
  const answer = await seller.entitlements.withdrawEntitlements({
    reference: 'mistake',
    schoolOin: oin,
    entitlementIds: ids,
    mode: WithdrawMode.WITHDRAW_MODE_WITHDRAW,
    waitMs: 10_000n,
  });
  // Taken, and not refused: it waits.
  expect(answer.decision).toMatchObject({ outcome: 'EntitlementChangeHeld', code: 'hold.pending' });
  const held = await until(
    () => stateOf('mistake'),
    ({ state }) => state === 'held',
  );
  expect(held.state).toBe('held');
  const [hold] = await until(holdsNow, ([first]) => first?.products.length === 2);
  expect(hold).toMatchObject({
    reason: 'withdraws_many',
    byOin: seller.oin,
    products: [
      { productId: book(0), title: 'Boek 0', entitlements: 14, learners: 14 },
      { productId: book(1), title: 'Boek 1', entitlements: 10, learners: 10 },
    ],
  });
  expect(await standing()).toBe(24);
  expect((await at.operator.status({})).holds).toBe(1);
  const { blockers } = await at.operator.whyBlocked({ schoolOin: oin, productId: book(0) });
  expect(blockers.find(({ code }) => code === 'hold.pending')).toMatchObject({ who: 'school', partyOin: oin });
  const { holdId } = hold!;
  await at.operator.decideHold({ holdId, approve: true, productIds: [book(0)] });
  await until(standing, (count) => count === 10);
  const part = await until(
    () => stateOf('mistake'),
    (flow) => flow.held === 10,
  );
  expect(part).toMatchObject({ state: 'held', ended: false, changes: 24, held: 10 });
  await at.operator.decideHold({ holdId, approve: false });
  const decided = await until(
    () => stateOf('mistake'),
    ({ state }) => state !== 'held',
  );
  expect(decided.state).toBe('decided');
  expect([await standing(), await holdsNow()]).toEqual([10, []]);
});

test('withdrawals are shown and decided by class: who is in it now; small counts are not told, and the rest waits on', async () => {
  const school = newSchool();
  await at.party('Basisschool De Iep', [Role.ROLE_SCHOOL], school);
  await at.mandate(school, seller.oin, [Service.SERVICE_ENTITLEMENT]);
  const classes = async (asOf: string, seven: number, eight: number) => {
    const pupils = [
      ...Array.from({ length: seven }, (_, i) => ({ key: `L-${i + 1}`, eckId: eckId(100 + i), group: 'g7' })),
      ...Array.from({ length: eight }, (_, i) => ({
        key: `L-${seven + i + 1}`,
        eckId: eckId(100 + seven + i),
        group: 'g8',
      })),
    ];
    const file = edexml({ school, asOf, groups: ['g7', 'g8'], pupils }).replace(
      '<groep key="g8"><naam>Zeven',
      '<groep key="g8"><naam>Acht',
    );
    await at.operator.importRoster([{ chunk: Buffer.from(file) }]);
  };
  await classes('2026-10-01', 13, 11);
  // Two of them are in no roster.
  const grants: { id: string; product: number; holder: object; count?: number }[] = [
    ...Array.from({ length: 26 }, (_, i) => ({
      id: `c0-${i}`,
      product: 0,
      holder: { learner: { eckId: eckId(100 + i) } },
    })),
    ...[0, 1, 12, 13, 14].map((i) => ({ id: `c1-${i}`, product: 1, holder: { learner: { eckId: eckId(100 + i) } } })),
    { id: 'c-count', product: 1, holder: {}, count: 5 },
  ];
  await sendAll(
    seller.entitlements.grantEntitlements(),
    grants.map(({ id, product, holder, count }) => ({
      reference: id,
      schoolOin: school,
      holder,
      terms: { entitlementId: id, productId: book(product), count: count ?? 0 },
    })),
  );
  const here = async () => {
    const { entitlements } = await seller.entitlements.listEntitlements({ schoolOin: school, limit: 100 } as never);
    return entitlements.filter(({ state }) => state === EntitlementState.ENTITLEMENT_STATE_GRANTED).length;
  };
  await until(here, (count) => count === grants.length);
  await seller.entitlements.withdrawEntitlements({
    reference: 'classes',
    schoolOin: school,
    entitlementIds: grants.map(({ id }) => id),
    mode: WithdrawMode.WITHDRAW_MODE_WITHDRAW,
    waitMs: 10_000n,
  });
  const holds = async () => (await at.operator.listHolds({ schoolOin: school, decided: true })).holds;
  const [hold] = await until(holds, ([first]) => first?.products.reduce((n, one) => n + one.entitlements, 0) === 32);
  const told = ({ name, group, loses }: NonNullable<typeof hold>['groups'][number]) => [
    name || group,
    ...loses.map(({ productId, learners, licences }) => {
      const { count, underTen, hidden } = learners!;
      return `${productId === book(0) ? 0 : 1}: ${underTen ? '<10' : hidden ? '-' : count}+${licences}`;
    }),
  ];
  // Two without class follow from the others, so that one of those is not told either.
  expect(hold!.groups.map(told)).toEqual([
    ['Acht', '0: -+0', '1: <10+0'],
    ['Zeven', '0: 13+0', '1: <10+0'],
    ['without-class', '0: <10+0', '1: 0+1'],
  ]);
  const { holdId } = hold!;
  const [eight, seven] = hold!.groups.map(({ group }) => group);
  expect((await refusedCall(at.operator.decideHold({ holdId, approve: true, groups: ['g9'] }))).code).toBe(
    'state.missing',
  );
  expect(
    (
      await refusedCall(
        at.operator.decideHold({ holdId, approve: true, groups: ['without-class'], productIds: [book(9)] }),
      )
    ).code,
  ).toBe('state.missing');
  // One pupil goes from eight to seven before it is decided: of the class that it is in now.
  await classes('2026-10-02', 14, 10);
  await at.operator.decideHold({ holdId, approve: true, groups: [eight!] });
  await until(here, (count) => count === grants.length - 11);
  const [rest] = await holds();
  // How much less it is would tell how many of eight were small: of what is left only what is told is in the totals.
  const totals = [
    { entitlements: 0, learners: 0, atLeast: true },
    { entitlements: 1, learners: 0, atLeast: true },
  ];
  expect(rest).toMatchObject({ state: 'waiting', part: true, products: totals, ruling: { asks: [] } });
  expect(rest!.groups.map(told)).toEqual([
    ['Zeven', '0: -+0', '1: <10+0'],
    ['without-class', '0: <10+0', '1: 0+1'],
  ]);
  // Nor does the message tell it to an operator, by a number or by its steps; the sender knows what became of each.
  const ofSender = await until(
    () => stateOf('classes'),
    ({ held }) => held === 21,
  );
  expect(ofSender).toMatchObject({ changes: 32, held: 21, heldAtLeast: false });
  const { flow } = await at.operator.showFlow({ flowId: hold!.flowId });
  expect(flow).toMatchObject({ changes: 32, held: 1, heldAtLeast: true });
  const steps = flow!.steps.map(({ step, service, receiverOin, state, code }) =>
    [step, service, receiverOin, state, code].join(' '),
  );
  expect(steps).toEqual([...new Set(steps)]);
  await at.operator.decideHold({ holdId, approve: false, groups: [seven!], productIds: [book(1)] });
  await at.operator.decideHold({ holdId, approve: false, groups: ['without-class'] });
  await at.operator.decideHold({ holdId, approve: true, groups: [seven!] });
  await until(here, (count) => count === 7);
  // What stays: of the other product all of seven, and what is without class.
  expect([await here(), (await holds())[0]!.state, (await holds())[0]!.groups]).toEqual([7, 'approved', []]);
  expect((await holds())[0]!.products.every(({ atLeast, entitlements }) => atLeast && entitlements === 0)).toBe(true);
});
