/**
 * What a platform has beside what stands at a real gateway: differences that are planted at the receiver are found, whether it says by
 * itself what it has or is asked, and are mended by mail that is sent again; a comparison that stops halfway begins anew.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newOin, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { Receiver } from './receiver.ts';
import { refusedCall } from './told.ts';

const BOOK = '9789000000019';
const LEARNERS = 4;
const GRANTS = 24;
const PATIENT = { timeout: 60_000, interval: 50 };

interface Held {
  id: string;
  state: string;
  product: string;
}

let at: TestGateway;
let publisher: TestParty;
let receiver: Receiver;
let asked: Server;
let secret = '';
/** What the platform answers at its endpoint holdings: a status, or all that it has. */
let answer: (question: { school: string; after: string }) => number | { held: Held[]; last: boolean; asOf?: string };
const questions: { school: string; after: string }[] = [];
const [platform, school, other] = [newOin(), newSchool(), newSchool()];
let platformKey = '';
/** The platform's own book, as a receiver of webhooks keeps it. */
const book = new Map<string, Held>();

const held = (): Held[] => [...book.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
const PAGE = 7;

beforeAll(async () => {
  at = await startTestGateway({ EDUK_RECONCILE_HOURS: '0', EDUK_RECONCILE_SETTLE_S: '0' });
  receiver = await Receiver.open();
  asked = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts).toString('utf8');
    // The key of the endpoint proves who asks, by a library of others.
    const question = new Webhook(secret).verify(body, request.headers as Record<string, string>) as never;
    questions.push(question);
    const said = answer(question);
    if (typeof said === 'number') response.writeHead(said).end();
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said));
  });
  await new Promise<void>((resolve) => asked.listen(0, '127.0.0.1', resolve));
  answer = ({ after }) => {
    const rest = held().filter(({ id }) => id > after);
    return { held: rest.slice(0, PAGE), last: rest.length <= PAGE };
  };
  publisher = await at.party('Wilg', [Role.ROLE_PUBLISHER]);
  const added = await at.operator.addParty({
    party: {
      oin: platform,
      name: 'Leerplein',
      roles: [Role.ROLE_PLATFORM],
      endpoints: [
        { standard: 'webhook', url: receiver.url },
        { standard: 'holdings', url: `http://127.0.0.1:${(asked.address() as AddressInfo).port}/held` },
      ],
    },
  });
  receiver.secret = added.webhookSecret;
  secret = added.holdingsSecret;
  platformKey = added.apiKey;
  receiver.behaviour = ({ events }) => {
    for (const { data } of events) {
      const { terms, state } = data.entitlement;
      const gone = /WITHDRAWN|EXPIRED/.test(state ?? '');
      if (gone) book.delete(terms.entitlementId);
      else
        book.set(terms.entitlementId, {
          id: terms.entitlementId,
          state: /BLOCKED/.test(state ?? '') ? 'blocked' : 'open',
          product: terms.productId,
        });
    }
    return undefined;
  };
  for (const schoolOin of [school, other])
    for (const partyOin of [publisher.oin, platform])
      await at.mandate(schoolOin, partyOin, [Service.SERVICE_ENTITLEMENT]);
  await sendAll(publisher.catalogue.publishProducts(), [
    { reference: 'p', product: { productId: BOOK, title: 'Taal', platformOin: platform, licence: { licensed: true } } },
  ]);
  await sendAll(
    publisher.entitlements.grantEntitlements(),
    Array.from({ length: GRANTS + 1 }, (_, i) => ({
      reference: `g${i}`,
      schoolOin: i < GRANTS ? school : other,
      holder: { learner: { eckId: eckId(i % LEARNERS) } },
      terms: { entitlementId: `e${String(i).padStart(2, '0')}`, productId: BOOK },
    })),
  );
  await receiver.until(GRANTS + 1, 60_000);
  for (const [mode, entitlementIds] of [
    [2, ['e03']],
    [1, ['e05']],
  ] as const)
    await publisher.entitlements.withdrawEntitlements({
      reference: `w${mode}`,
      schoolOin: school,
      entitlementIds: [...entitlementIds],
      mode,
      reason: 'other',
      waitMs: 10_000n,
    });
  await receiver.until(GRANTS + 3, 60_000);
}, 120_000);
afterAll(async () => {
  await at?.stop();
  await receiver?.close();
  asked?.closeAllConnections();
  asked?.close();
});

const own = () => at.as(`Bearer ${platformKey}`).entitlements;
const differences = async () =>
  (await at.operator.listDifferences({ partyOin: platform, schoolOin: school })).differences.map(({ key, what }) => [
    key,
    what,
  ]);

/** Says all that the book holds of a school, a page at a time, as a platform would. */
async function say(schoolOin: string, of: Held[], size = 5) {
  let [comparisonId, after] = ['', ''];
  const told: [string, string][] = [];
  for (;;) {
    const rest = of.filter(({ id }) => id > after);
    const page = rest.slice(0, size);
    const said = await own().compareEntitlements({
      schoolOin,
      comparisonId,
      after,
      held: page.map(({ id, state, product }) => ({ entitlementId: id, state, productId: product })),
      last: rest.length <= size,
    });
    for (const { entitlementId, difference } of said.differences) told.push([entitlementId, difference]);
    ({ comparisonId } = said);
    after = said.through;
    if (said.done) return { ...said, told };
  }
}

const mine = () => held().filter(({ id }) => id !== `e${GRANTS}`);

test('who says what it has is told what differs; equal books differ nowhere', async () => {
  const fine = await say(school, mine());
  expect(fine).toMatchObject({ same: BigInt(GRANTS), missing: 0n, surplus: 0n, differs: 0n, moving: 0n, told: [] });
  const { reconciliations } = await at.operator.listReconciliations({ partyOin: platform, schoolOin: school });
  expect(reconciliations.length).toBe(1);
  const { reconciliation } = reconciliations[0]!;
  expect(reconciliation).toMatchObject({ source: 'stated', kept: 0n, begunMs: 0n, code: '' });
  // What it names of another school is nothing of this one, and nothing is said of where it stands.
  const mixed = await say(school, held());
  expect(mixed.told).toEqual([[`e${GRANTS}`, 'surplus']]);
  expect(await differences()).toEqual([[`e${GRANTS}`, 'surplus']]);
});

test('a page that is not in order, of an unknown state, or behind another comparison is refused', async () => {
  const page = (of: object) => own().compareEntitlements({ schoolOin: school, last: true, ...of });
  const one = { entitlementId: 'e01', state: 'open', productId: '' };
  await expect(page({ held: [one, { ...one, entitlementId: 'e00' }] })).rejects.toMatchObject({ code: 'wire.invalid' });
  await expect(page({ held: [{ ...one, state: 'lost' }] })).rejects.toMatchObject({ code: 'wire.invalid' });
  await expect(page({ held: [], last: false })).rejects.toMatchObject({ code: 'wire.invalid' });
  await expect(page({ after: 'e01', held: [] })).rejects.toMatchObject({ code: 'wire.invalid' });
  await expect(page({ schoolOin: newSchool(), held: [] })).rejects.toMatchObject({ code: 'state.missing' });
  // Numbers that pass the eleven test, a column of them: nobody's ids.
  const passing = Array.from({ length: 400 }, (_, i) => String(100_000_000 + i)).filter(
    (text) => [...text].reduce((sum, digit, i) => sum + Number(digit) * (i === 8 ? -1 : 9 - i), 0) % 11 === 0,
  );
  await expect(page({ held: passing.map((entitlementId) => ({ ...one, entitlementId })) })).rejects.toMatchObject({
    code: 'wire.pgn',
  });
  const first = await own().compareEntitlements({ schoolOin: school, held: [one], last: false });
  expect(first).toMatchObject({ done: false, through: 'e01' });
  const begun = await own().compareEntitlements({ schoolOin: school, held: [one], last: false });
  const next = { comparisonId: first.comparisonId, after: 'e01', held: [] };
  await expect(page(next)).rejects.toMatchObject({ code: 'state.conflict' });
  // A page that was answered and is sent again is the same page.
  const ended = await page({ ...next, comparisonId: begun.comparisonId });
  expect(await page({ ...next, comparisonId: begun.comparisonId })).toEqual(ended);
});

test('planted differences are found when the party is asked, mended by sending again, and gone', async () => {
  // e01 is lost, e02 goes by another product, e03 was blocked and is open, e05 was withdrawn and is open, x1 is nobody's.
  book.delete(`e${GRANTS}`);
  book.delete('e01');
  book.set('e02', { id: 'e02', state: 'open', product: '9789000000026' });
  book.set('e03', { id: 'e03', state: 'open', product: BOOK });
  book.set('e05', { id: 'e05', state: 'open', product: BOOK });
  book.set('x1', { id: 'x1', state: 'open', product: BOOK });
  questions.length = 0;
  const { reconciliation } = await at.operator.reconcile({ partyOin: platform, schoolOin: school });
  expect(reconciliation).toMatchObject({
    source: 'asked',
    kept: 5n,
    counts: { missing: 1n, surplus: 1n, differs: 3n, moving: 0n, same: BigInt(GRANTS - 4) },
  });
  expect(questions.length).toBe(Math.ceil(book.size / PAGE));
  expect(await differences()).toEqual([
    ['e01', 'missing'],
    ['e02', 'differs'],
    ['e03', 'differs'],
    ['e05', 'differs'],
    ['x1', 'surplus'],
  ]);

  const before = receiver.requests.length;
  const { jobId, decision } = await at.operator.previewReplay({
    selection: { partyOin: platform, schoolOin: school, reconciled: 'entitlement' },
  });
  expect(decision).toMatchObject({ code: '' });
  const job = async () => (await at.operator.listReplays({ jobId })).replays[0]!;
  await vi.waitFor(async () => expect((await job()).state).toBe('counted'), PATIENT);
  // Grants of e01, e02, e03 and e05, the block of e03 and the withdrawal of e05; nothing is out of order, though later mail of the
  // same learners about other entitlements was taken.
  expect(await job()).toMatchObject({ selected: 6n, had: 6n, outOfOrder: 0n, toSend: 6n });
  await at.operator.runReplay({ jobId, rate: 1000 });
  await vi.waitFor(async () => expect((await job()).state).toBe('done'), PATIENT);
  expect(await job()).toMatchObject({ sent: 6n, leftOut: 0n });
  const ids = receiver.requests
    .slice(before)
    .flatMap(({ events }) => events.map(({ data }) => data.entitlement.terms.entitlementId));
  expect(ids.sort()).toEqual(['e01', 'e02', 'e03', 'e03', 'e05', 'e05']);

  const after = await at.operator.reconcile({ partyOin: platform, schoolOin: school });
  expect(after.reconciliation).toMatchObject({ kept: 1n, counts: { missing: 0n, surplus: 1n, differs: 0n } });
  expect(await differences()).toEqual([['x1', 'surplus']]);
  book.delete('x1');
});

test('of a party or school that nobody knows, and without a mandate, it says so: nobody is asked, and nothing is noted', async () => {
  questions.length = 0;
  const [nobody, unregistered, foreign] = [newOin(), newSchool(), newSchool()];
  await at.party('Basisschool De Olm', [Role.ROLE_SCHOOL], foreign);
  const { reconcile, listReconciliations } = at.operator;
  const list = (partyOin: string, schoolOin: string) => listReconciliations({ partyOin, schoolOin });
  const refusal = async (call: Promise<unknown>) => {
    const { code, who, where } = await refusedCall(call);
    return [code, who, ...where];
  };
  const noParty = ['state.missing', 'sender', 'party_oin'];
  const noSchool = ['state.missing', 'sender', 'school_oin'];
  for (const call of [reconcile, listReconciliations] as const) {
    expect(await refusal(call({ partyOin: nobody, schoolOin: school }))).toEqual(noParty);
    for (const partyOin of [platform, publisher.oin])
      expect(await refusal(call({ partyOin, schoolOin: unregistered }))).toEqual(noSchool);
  }
  expect(await refusal(list(nobody, ''))).toEqual(noParty);
  expect(await refusal(list('', unregistered))).toEqual(noSchool);
  // The school must act, and not the party.
  expect(await refusal(reconcile({ partyOin: platform, schoolOin: foreign }))).toEqual([
    'mandate.missing',
    'school',
    'school_oin',
  ]);
  expect((await refusedCall(reconcile({ partyOin: publisher.oin, schoolOin: school }))).all).toContain('holdings');
  const stopped = newOin();
  const url = `http://127.0.0.1:${(asked.address() as AddressInfo).port}/held`;
  await at.operator.addParty({
    party: { oin: stopped, name: 'Gestopt', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'holdings', url }] },
  });
  await at.mandate(school, stopped, [Service.SERVICE_ENTITLEMENT]);
  await at.operator.stopParty({ oin: stopped, reason: 'intruder' });
  expect((await refusal(reconcile({ partyOin: stopped, schoolOin: school })))[0]).toBe('mandate.suspended');
  expect((await list(platform, '')).reconciliations.map(({ reconciliation }) => reconciliation!.schoolOin)).toEqual(
    [school, other].sort(),
  );
  expect([questions, (await list('', foreign)).reconciliations]).toEqual([[], []]);
});

test('one that stops halfway leaves no wrong word, and the next begins anew', async () => {
  book.delete('e00');
  book.delete('e20');
  let pages = 0;
  const whole = answer;
  answer = (question) => (++pages > 1 ? 503 : whole(question));
  await expect(at.operator.reconcile({ partyOin: platform, schoolOin: school })).rejects.toMatchObject({
    code: 'peer.unavailable',
  });
  expect(await differences()).toEqual([
    ['e00', 'missing'],
    ['x1', 'surplus'],
  ]);
  const listed = async () =>
    (await at.operator.listReconciliations({ partyOin: platform, schoolOin: school, differing: true }))
      .reconciliations[0]!;
  expect((await listed()).reconciliation).toMatchObject({ code: 'peer.unavailable', failures: 1, begunMs: 0n });
  answer = whole;
  await at.operator.reconcile({ partyOin: platform, schoolOin: school });
  expect(await differences()).toEqual([
    ['e00', 'missing'],
    ['e20', 'missing'],
  ]);
  expect((await listed()).reconciliation).toMatchObject({ code: '', failures: 0 });
  for (const [said, code] of [
    [403, 'peer.refused'],
    [{ held: [{ id: 'e 1', state: 'open', product: '' }], last: true }, 'peer.unavailable'],
    [{ held: [{ id: 'e1', state: 'lost', product: '' }], last: true }, 'peer.unavailable'],
    [{ held: [] as Held[] } as never, 'peer.unavailable'],
  ] as const) {
    answer = () => said as never;
    await expect(at.operator.reconcile({ partyOin: platform, schoolOin: school })).rejects.toMatchObject({ code });
  }
  answer = whole;
});

test('by itself each school is asked once a day, and it survives a restart', async () => {
  questions.length = 0;
  await at.restart(undefined, { EDUK_RECONCILE_FROM: '0', EDUK_RECONCILE_HOURS: '24' });
  const listed = async () => (await at.operator.listReconciliations({ partyOin: platform })).reconciliations;
  // What was found before the restart is there; the school that never was compared is due.
  const before = (await listed()).find(({ reconciliation: one }) => one!.schoolOin === school)!;
  expect(before).toMatchObject({ canBeAsked: true, reconciliation: { source: 'asked', kept: 2n } });
  await vi.waitFor(async () => {
    const one = (await listed()).find(({ reconciliation }) => reconciliation!.schoolOin === other)!;
    expect(one.reconciliation).toMatchObject({ source: 'asked', begunMs: 0n });
    expect(one.dueMs).toBeGreaterThanOrEqual(one.reconciliation!.lastMs);
  }, PATIENT);
  expect(questions.map((one) => one.school)).toContain(other);
});
