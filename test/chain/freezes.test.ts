/** A school in its exam days, through the doors: what would take away or disturb waits and is told of, everything else goes on. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { dutchDay, startOfDutchDay } from '#kernel';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { edexml } from './files.ts';
import { eckId, Fault, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const LONG = { timeout: 60_000, interval: 100 };
const school = newSchool();
const BOOK = 'freeze-book-1';
let at: TestGateway;
let publisher: TestParty;
let freezeId = '';
let held = '';
const WAIT = 5_000n;

const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => '',
    (thrown: unknown) => {
      if (thrown instanceof Fault) return thrown.code;
      throw thrown;
    },
  );
const importRoster = (count: number, asOf: string) => {
  const pupils = Array.from({ length: count }, (_, i) => ({ key: `k${i}`, eckId: eckId(7000 + i) }));
  return at.operator.importRoster([{ schoolOin: school, chunk: Buffer.from(edexml({ school, asOf, pupils })) }]);
};
const learner = { eckId: eckId(7001) };

beforeAll(async () => {
  at = await startTestGateway();
  publisher = await at.party('Uitgeverij Bevroren', [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM]);
  const { SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT } = Service;
  await at.mandate(school, publisher.oin, [SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT]);
  await sendAll(publisher.catalogue.publishProducts(), [
    { reference: BOOK, product: { productId: BOOK, title: 'Rekenen', licence: { licensed: true } } },
  ]);
  expect((await importRoster(30, '2026-10-01')).decision?.outcome).toBe('RosterApplied');
  const until = dutchDay(Date.now() + 2 * 86_400_000);
  const set = await at.operator.setFreeze({ schoolOin: school, until, reason: 'exams-2027' });
  freezeId = set.freeze!.freezeId;
}, 120_000);
afterAll(() => at?.stop());

test('grants and launches pass', async () => {
  const granted = await sendAll(publisher.entitlements.grantEntitlements(), [
    { reference: 'g-1', schoolOin: school, holder: { learner }, terms: { entitlementId: 'e-1', productId: BOOK } },
  ]);
  expect(granted.flatMap(({ refusals }) => refusals)).toEqual([]);
  await vi.waitFor(async () => {
    const launch = { reference: crypto.randomUUID(), schoolOin: school, learner, productId: BOOK, waitMs: 5_000n };
    const { ticket } = await publisher.access.createLaunch(launch);
    const redeemed = await publisher.access.redeemLaunch({ reference: crypto.randomUUID(), ticket });
    expect(redeemed).toBeDefined();
  }, LONG);
}, 90_000);

test('a roster that lacks a pupil waits; why says which freeze, who set it, and until when', async () => {
  const held = await importRoster(29, '2026-10-02');
  expect(held.decision).toMatchObject({ outcome: 'RosterHeld', code: 'freeze.holds' });
  const { holds } = await at.operator.listHolds({ schoolOin: school });
  expect(holds).toMatchObject([{ reason: 'freeze', difference: { left: 1 } }]);
  const refused = await at.operator.decideHold({ holdId: holds[0]!.holdId, approve: true });
  expect(refused.decision).toMatchObject({ code: 'freeze.holds' });
  const { blockers } = await at.operator.whyBlocked({ schoolOin: school, learner: { eckId: eckId(7029) } });
  const blocker = blockers.find(({ code }) => code === 'freeze.holds');
  expect(blocker?.told).toMatch(/exams-2027, set by operator on .* holds until/);
}, 90_000);

test('a withdrawal waits, its flow says for what, and it happens when that ends', async () => {
  await sendAll(publisher.entitlements.grantEntitlements(), [
    { reference: 'g-2', schoolOin: school, holder: { learner }, terms: { entitlementId: 'e-2', productId: BOOK } },
  ]);
  const asked = { reference: 'w-1', schoolOin: school, entitlementIds: ['e-2'], waitMs: WAIT };
  held = (await publisher.entitlements.withdrawEntitlements(asked)).flowId;
  await vi.waitFor(async () => {
    const { flow } = await at.operator.showFlow({ flowId: held });
    expect(flow).toMatchObject({ state: 'held' });
    expect(flow!.steps.map(({ code }) => code)).toContain('freeze.holds');
  }, LONG);
  await vi.waitFor(async () => {
    const { blockers } = await at.operator.whyBlocked({ schoolOin: school, productId: BOOK });
    const blocker = blockers.find(({ lastStep }) => lastStep === 'EntitlementChangeHeld');
    expect(blocker).toMatchObject({ code: 'freeze.holds', who: 'us' });
    expect(blocker!.told).toMatch(/^Withdrawals of 1 entitlement wait: freeze exams-2027, .* holds until/);
  }, LONG);
}, 90_000);

test('a transfer and new keys are refused; an emergency is not, and stands in the log of what was done', async () => {
  const board = await at.party('Bestuur', [Role.ROLE_BOARD]);
  await at.party('De Vorst', [Role.ROLE_SCHOOL], school);
  const transfer = { schoolOin: school, boardOin: board.oin };
  expect(await codeOf(at.operator.transferSchool(transfer))).toBe('');
  expect(await codeOf(at.operator.transferSchool({ ...transfer, apply: true }))).toBe('freeze.holds');
  // Of all schools it would be of this one too; of another one it is not.
  const kinds = ['data'];
  for (const schoolOin of [school, ''])
    expect(await codeOf(at.operator.rotateKeys({ kinds, schoolOin }))).toBe('freeze.holds');
  expect(await codeOf(at.operator.rotateKeys({ kinds, schoolOin: school, emergency: 'leak-1' }))).toBe('');
  await vi.waitFor(async () => {
    const { leaves } = await at.operator.readAuditLog({ limit: 5_000 });
    const codes = leaves.flatMap(({ record }) => {
      const { method, code, schoolOin } = AuditRecord.decode(record);
      return method === 'FreezeChanged' && schoolOin === school ? [code] : [];
    });
    expect(codes).toEqual(['set']);
  }, LONG);
}, 120_000);

test('before it ends early it is told what goes on; ended, that does by itself', async () => {
  const { works, freeze: stands } = await at.operator.previewFreeze({ freezeId });
  expect(stands).toMatchObject({ endedMs: 0n });
  expect(works).toMatchObject([
    { kind: 'roster', schoolOin: school, count: 1n, waitsOn: false },
    { kind: 'withdrawal', partyOin: publisher.oin, count: 1n, waitsOn: false, about: false },
  ]);
  const { freeze } = await at.operator.endFreeze({ freezeId });
  expect(freeze!.endedMs).toBeGreaterThan(0n);
  await vi.waitFor(async () => expect((await at.operator.listHolds({ schoolOin: school })).holds).toEqual([]), LONG);
  await vi.waitFor(async () => {
    const { flow } = await at.operator.showFlow({ flowId: held });
    expect(flow!.state).not.toBe('held');
  }, LONG);
  expect(await codeOf(at.operator.rotateKeys({ kinds: ['data'], schoolOin: school }))).toBe('');
}, 90_000);

test('a freeze ends at a moment of a day, by Dutch clocks', async () => {
  const other = newSchool();
  await at.party('De Linde', [Role.ROLE_SCHOOL], other);
  const day = dutchDay(Date.now() + 3 * 86_400_000);
  const set = await at.operator.setFreeze({ schoolOin: other, until: `${day}T18:00`, reason: 'first-week' });
  expect(Number(set.freeze!.untilMs)).toBe(startOfDutchDay(day) + 18 * 3_600_000);
  for (const until of [`${day}T25:00`, `${day}T18:60`, `${day}T18:00:00`, `${day}T18:00Z`, '2027-02-30T18:00'])
    expect(await codeOf(at.operator.setFreeze({ schoolOin: other, until, reason: 'first-week' }))).toBe('wire.invalid');
  await at.operator.endFreeze({ freezeId: set.freeze!.freezeId });
});

test.each([true, false])(
  'what was refused while it held is decided afterwards: approve=%s',
  async (approve) => {
    const oin = newSchool();
    const send = (count: number, asOf: string) =>
      at.operator.importRoster([
        {
          schoolOin: oin,
          chunk: Buffer.from(
            edexml({ school: oin, asOf, pupils: Array.from({ length: count }, (_, i) => ({ key: `k${i}` })) }),
          ),
        },
      ]);
    await send(30, '2026-10-01');
    await send(5, '2026-10-02');
    const holds = async () => (await at.operator.listHolds({ schoolOin: oin })).holds;
    const [{ holdId } = { holdId: '' }] = await holds();
    const until = dutchDay(Date.now() + 2 * 86_400_000);
    const { freeze } = await at.operator.setFreeze({ schoolOin: oin, until, reason: 'exams-2027' });
    await vi.waitFor(
      async () =>
        expect((await at.operator.decideHold({ holdId, approve: true })).decision).toMatchObject({
          code: 'freeze.holds',
        }),
      LONG,
    );
    await at.operator.endFreeze({ freezeId: freeze!.freezeId });
    await vi.waitFor(
      async () => expect((await at.operator.decideHold({ holdId, approve })).decision).toMatchObject({ code: '' }),
      LONG,
    );
    expect(await holds()).toEqual([]);
    expect(await codeOf(at.operator.decideHold({ holdId, approve }))).toBe('state.conflict');
  },
  90_000,
);
