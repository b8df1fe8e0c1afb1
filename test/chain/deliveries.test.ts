/** What a party does about the mail that is sent to it, with its own client; and what nobody else can do about it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dutchDay } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type Clients, type Fault, newSchool, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { type Listener, openListener } from './listener.ts';

const school = newSchool();
let at: TestGateway;
let publisher: TestParty;
let listener: Listener;
let rival: Listener;
let sequence = 0;
const fresh = (name = 'r'): string => `${name}-${++sequence}`;

const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    (given) => (given as { decision?: { code: string } }).decision?.code ?? '',
    (thrown: Fault) => thrown.code,
  );
const took = async (entitlementId: string) =>
  expect
    .poll(() => listener.hook.first.some(({ data }) => JSON.stringify(data).includes(`"${entitlementId}"`)), {
      timeout: 30_000,
      interval: 20,
    })
    .toBe(true);

beforeAll(async () => {
  at = await startTestGateway({ EDUK_REPLAY_SECOND_ABOVE: '3' });
  await at.party('De Wilgenhof', [Role.ROLE_SCHOOL], school);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  await at.mandate(school, publisher.oin, [Service.SERVICE_ENTITLEMENT]);
  listener = await openListener(at, publisher, school);
  rival = await openListener(at, publisher, school);
});
afterAll(async () => {
  await listener?.hook.close();
  await rival?.hook.close();
  await at?.stop();
});

test('what was refused is listed with what it is about and why, and tried again; to others there is nothing of it', async () => {
  listener.hook.behaviour = () => 422;
  await listener.told('lost-1', 1);
  await listener.told('lost-2', 2);
  const [one] = await listener.letters('parked', 'lost-1', 'lost-2');
  expect(one).toMatchObject({
    ...{ service: Service.SERVICE_ENTITLEMENT, schoolOin: school, kind: 'EntitlementGranted', code: 'peer.refused' },
    ...{ messages: 1n, attempts: 1, status: 422, standard: 'webhook', nextMs: 0n },
    // The publisher sent it.
    flowId: '',
  });
  // No token, whatever of it.
  expect(Object.keys(one!)).not.toContain('key');
  for (const other of [rival, publisher] as Clients[])
    expect((await other.deliveries.listDeadLetters({})).letters).toEqual([]);
  listener.hook.behaviour = () => undefined;
  for (const other of [rival, publisher] as Clients[]) {
    const { decision } = await other.deliveries.retry({ reference: fresh(), selection: { about: 'lost-1' } });
    expect(decision).toMatchObject({ outcome: 'DeliveryCommandDone', told: '0 messages in 0 orders of delivery.' });
  }
  const asked = { reference: fresh(), selection: { about: 'lost-1' } };
  const first = await listener.deliveries.retry(asked);
  expect(first.decision).toMatchObject({
    ...{ outcome: 'DeliveryCommandDone', code: '' },
    told: '1 message in 1 order of delivery.',
  });
  await took('lost-1');
  await listener.letters('parked', 'lost-2');
  // The same again is the same, and other content no command.
  expect((await listener.deliveries.retry(asked)).flowId).toBe(first.flowId);
  expect(await codeOf(listener.deliveries.retry({ ...asked, selection: {} }))).toBe('state.conflict');
  await listener.letters('parked', 'lost-2');
  const { flow } = await listener.flows.getFlow({ reference: asked.reference, method: 'DeliveryService/Retry' });
  expect(flow).toMatchObject({ flowId: first.flowId, state: 'done', method: 'DeliveryService/Retry' });
  expect(await codeOf(rival.flows.getFlow({ flowId: first.flowId }))).toBe('state.missing');
  await listener.deliveries.retry({ reference: fresh(), selection: {} });
  await took('lost-2');
  expect((await listener.deliveries.listDeadLetters({})).letters).toEqual([]);
});

test('what is held is not repeated, by nobody’s word but its own; and a mandate that ends is not stood over', async () => {
  listener.hook.behaviour = () => 503;
  await listener.told('held-1', 1);
  await listener.letters('repeated', 'held-1');
  const selection = { about: 'held-1' };
  expect(await codeOf(listener.deliveries.hold({ reference: fresh(), selection }))).toBe('');
  await listener.letters('held', 'held-1');
  listener.hook.behaviour = () => undefined;
  for (const ask of [
    () => listener.deliveries.retry({ reference: fresh(), selection }),
    () => rival.deliveries.release({ reference: fresh(), selection: {} }),
  ])
    expect(await codeOf(ask())).toBe('');
  const { requests } = listener.hook;
  const before = requests.length;
  // What came later of another learner goes on meanwhile.
  await listener.told('other-1', 2);
  await took('other-1');
  expect(requests.slice(before).some(({ body }) => body.includes('held-1'))).toBe(false);
  await listener.letters('held', 'held-1');
  const released = await listener.deliveries.release({ reference: fresh(), selection });
  expect(released.receipt!.receiptId).toBe(released.flowId);
  await took('held-1');

  listener.hook.behaviour = () => 422;
  await listener.told('ended-1', 1);
  await listener.letters('parked', 'ended-1');
  const { mandates } = await at.operator.listMandates({ schoolOin: school, partyOin: listener.oin });
  await at.operator.changeMandate({ mandateId: mandates[0]!.mandateId, change: 'stop' });
  const left = async () => (await listener.deliveries.listDeadLetters({})).letters;
  // What a message is about is not told of a school that agrees no more.
  await expect.poll(async () => (await left()).map(({ about, kind }) => about + kind), { interval: 20 }).toEqual(['']);
  // Its sender knows so a moment later.
  const retried = async () => {
    await listener.deliveries.retry({ reference: fresh(), selection: {} });
    return (await left()).map(({ state }) => state);
  };
  await expect.poll(retried, { timeout: 30_000, interval: 50 }).toEqual(['withheld']);
  listener.hook.behaviour = () => undefined;
  expect(listener.hook.first.some(({ data }) => JSON.stringify(data).includes('ended-1'))).toBe(false);
  await at.mandate(school, listener.oin, [Service.SERVICE_ENTITLEMENT]);
  await took('ended-1');
});

test('what it took is counted, and sent to it again once; nobody else counts or begins it, and much of it an operator begins', async () => {
  listener.hook.behaviour = () => undefined;
  await listener.told('again-1', 3);
  await took('again-1');
  const all = { schoolOin: school, again: true };
  const counted = async (selection: object) => {
    const reference = fresh('preview');
    const answer = await listener.deliveries.previewReplay({ reference, selection });
    expect(answer.decision).toMatchObject({ code: '' });
    expect(answer.replay!.state).toBe('counted');
    return { reference, replay: answer.replay!, answer };
  };
  const nothing = await counted({ schoolOin: school });
  expect(nothing.replay.toSend).toBe(0n);
  expect(nothing.replay.had).toBeGreaterThan(3n);
  const much = await counted(all);
  const refused = await listener.deliveries.replay({ reference: fresh(), previewReference: much.reference });
  expect(refused.decision).toMatchObject({ outcome: 'ReplayRefused', code: 'hold.operator' });
  expect(refused.decision!.told).toContain('an operator of the gateway begins it');
  const { reference, replay } = await counted({ about: 'again-1', again: true });
  expect(replay).toMatchObject({ selected: 1n, had: 1n, toSend: 1n, forbidden: [] });
  // What operators see of replays has it too.
  expect((await at.operator.listReplays({ partyOin: listener.oin })).replays[0]!.jobId).toBe(replay.replayId);
  for (const other of [rival, publisher] as Clients[])
    expect(await codeOf(other.deliveries.replay({ reference: fresh(), previewReference: reference }))).toBe(
      'state.missing',
    );
  const theirs = (await rival.deliveries.previewReplay({ reference, selection: all })).replay!;
  expect([theirs.had, theirs.replayId === replay.replayId]).toEqual([0n, false]);
  const times = () => Math.max(...listener.hook.times.values());
  expect(times()).toBe(1);
  const asked = { reference: fresh(), previewReference: reference, rate: 100 };
  const begun = await listener.deliveries.replay(asked);
  expect(begun.decision).toMatchObject({ outcome: 'ReplayChanged', code: '' });
  const how = async () =>
    (await listener.deliveries.previewReplay({ reference, selection: { about: 'again-1', again: true } })).replay!;
  await expect.poll(async () => (await how()).state, { timeout: 30_000, interval: 20 }).toBe('done');
  expect(await how()).toMatchObject({ sent: 1n, refused: 0n, errors: 0n });
  expect((await listener.deliveries.replay(asked)).flowId).toBe(begun.flowId);
  expect(times()).toBe(2);
  expect(await codeOf(listener.deliveries.replay({ ...asked, rate: 7 }))).toBe('state.conflict');
  expect(await codeOf(listener.deliveries.previewReplay({ reference, selection: all }))).toBe('state.conflict');
  // One that is over is not stopped, nor another's; one that was only counted does not begin any more.
  const over = await listener.deliveries.stopReplay({ reference: fresh(), previewReference: reference });
  expect(over.decision).toMatchObject({ outcome: 'ReplayRefused', code: 'state.conflict' });
  const { reference: slow } = await counted({ about: 'again-1', again: true });
  const stop = { reference: fresh(), previewReference: slow };
  expect(await codeOf(rival.deliveries.stopReplay(stop))).toBe('state.missing');
  const stopped = await listener.deliveries.stopReplay(stop);
  expect(stopped).toMatchObject({
    decision: { outcome: 'ReplayChanged' },
    replay: { state: 'stopped', cause: 'party' },
  });
  expect((await listener.deliveries.stopReplay(stop)).flowId).toBe(stopped.flowId);
  const late = await listener.deliveries.replay({ reference: fresh(), previewReference: slow });
  expect(late.decision).toMatchObject({ outcome: 'ReplayRefused' });
  expect(times()).toBe(2);
  // A freeze of the party holds for its own too.
  const { reference: frozen } = await counted({ about: 'again-1', again: true });
  const until = dutchDay(Date.now() + 86_400_000);
  await at.operator.setFreeze({ partyOin: listener.oin, until, reason: 'exams-2026' });
  expect(await codeOf(listener.deliveries.replay({ reference: fresh(), previewReference: frozen }))).toBe(
    'freeze.holds',
  );
  expect(times()).toBe(2);
});

test('what has no form is refused, and so is a school that nobody knows', async () => {
  for (const [ask, where] of [
    [listener.deliveries.retry({ reference: fresh() }), 'no selection'],
    [listener.deliveries.hold({ selection: {} }), 'no reference'],
    [listener.deliveries.release({ reference: fresh(), selection: { fromMs: 2n, untilMs: 1n } }), 'times'],
    [listener.deliveries.retry({ reference: fresh(), selection: { code: 'peer.odd' } }), 'code'],
    [listener.deliveries.retry({ reference: fresh(), selection: { service: 77 as Service } }), 'service'],
    [listener.deliveries.previewReplay({ reference: fresh(), selection: { kinds: ['Odd'] } }), 'kind'],
    [listener.deliveries.listDeadLetters({ cursor: 'odd' }), 'cursor'],
  ] as const)
    expect([where, await codeOf(ask)]).toEqual([where, 'wire.invalid']);
  const { reference } = { reference: fresh('preview') };
  await listener.deliveries.previewReplay({ reference, selection: {} });
  const fast = { reference: fresh(), previewReference: reference, rate: 5_001 };
  expect(await codeOf(listener.deliveries.replay(fast))).toBe('wire.invalid');
  expect(await codeOf(listener.deliveries.retry({ reference: fresh(), selection: { schoolOin: newSchool() } }))).toBe(
    'state.missing',
  );
});
