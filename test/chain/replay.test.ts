import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { ReplayJob } from '#proto/eduk/delivery/v1/delivery';
import { clientsOf, eckId, newOin, newSchool, sendAll } from './gateway.ts';
import { KilledGateway } from './killed.ts';
import { Receiver } from './receiver.ts';

const BOOK = '9789000000019';
const LEARNERS = 30;
const MESSAGES = 300;
const gateway = new KilledGateway('replay');
const [publisher, platform, school, other] = [newOin(), newOin(), newSchool(), newSchool()];
let receiver: Receiver | undefined;

const operator = () => gateway.operator;

/** All that is told of a replay until it rests. */
async function followed(jobId: string): Promise<ReplayJob[]> {
  const told: ReplayJob[] = [];
  for await (const { replay } of operator().watchReplay({ jobId })) told.push(replay!);
  return told;
}

async function counted(selection: object): Promise<ReplayJob> {
  const { jobId, decision } = await operator().previewReplay({
    selection: { partyOin: platform, ...selection } as never,
  });
  expect(decision).toMatchObject({ code: '' });
  const job = (await followed(jobId)).at(-1)!;
  expect(job.state).toBe('counted');
  return job;
}

const arrivals: { id: string; school: string; partitionkey: string; sequence: string }[] = [];

beforeAll(async () => {
  await gateway.start();
  receiver = await Receiver.open();
  const { apiKey } = await operator().addParty({
    party: { oin: publisher, name: 'Wilg', roles: [Role.ROLE_PUBLISHER] },
  });
  const { webhookSecret } = await operator().addParty({
    party: {
      oin: platform,
      name: 'Leerplein',
      roles: [Role.ROLE_PLATFORM],
      endpoints: [{ standard: 'webhook', url: receiver.url }],
    },
  });
  receiver.secret = webhookSecret;
  for (const schoolOin of [school, other])
    for (const partyOin of [publisher, platform])
      await operator().grantMandate({
        mandate: { schoolOin, partyOin, services: [Service.SERVICE_ENTITLEMENT], attributes: [] },
        confirm: true,
      });
  const sender = clientsOf(gateway.channel, `Bearer ${apiKey}`);
  const product = { productId: BOOK, title: 'Taal', platformOin: platform, licence: { licensed: true } };
  await sendAll(sender.catalogue.publishProducts(), [{ reference: 'p', product }]);
  await sendAll(
    sender.entitlements.grantEntitlements(),
    Array.from({ length: MESSAGES + LEARNERS }, (_, i) => ({
      reference: `g${i}`,
      schoolOin: i < MESSAGES ? school : other,
      holder: { learner: { eckId: eckId(i % LEARNERS) } },
      terms: { entitlementId: `e${i}`, productId: BOOK },
    })),
  );
  await receiver.until(MESSAGES + LEARNERS, 60_000);
  receiver.behaviour = ({ events }) => {
    arrivals.push(...events);
    return undefined;
  };
});
afterAll(async () => {
  await receiver?.close();
  await gateway.close();
});

test('killed while it sends, it sends all that was selected, in the order of each key, and nothing else', async () => {
  const first = await counted({ schoolOin: school });
  expect(first).toMatchObject({ selected: 300n, had: 300n, fresh: 0n, toSend: 0n });
  const { jobId, toSend } = await counted({ schoolOin: school, again: true });
  expect(toSend).toBe(300n);
  arrivals.length = 0;
  const { replay, decision } = await operator().runReplay({ jobId, rate: 100 });
  expect([decision!.code, replay!.state, replay!.rate]).toEqual(['', 'running', 100]);
  await expect.poll(() => arrivals.length, { interval: 20 }).toBeGreaterThan(60);
  await gateway.kill();
  const before = arrivals.length;
  expect(before).toBeLessThan(MESSAGES);
  await gateway.start();
  const told = await followed(jobId);
  expect(told.at(-1)).toMatchObject({ state: 'done', released: 300n, sent: 300n, leftOut: 0n });
  // Progress was told of as it went.
  expect(new Set(told.map(({ sent }) => sent)).size).toBeGreaterThan(2);
  const meant = receiver!.first.filter(({ school: of }) => of === school);
  const once = new Map(arrivals.map((one) => [one.id, one]));
  expect([...once.keys()].sort()).toEqual(meant.map(({ id }) => id).sort());
  // What came twice was under way when it was killed: 8 requests at most, of what the window holds.
  expect(arrivals.length - once.size).toBeLessThanOrEqual(200);
  const last = new Map<string, string>();
  for (const { partitionkey, sequence } of once.values()) {
    expect(sequence > (last.get(partitionkey) ?? '')).toBe(true);
    last.set(partitionkey, sequence);
  }
  expect(receiver!.problems).toEqual([]);
});

test('stopped, nothing more leaves; and what fails too often stops by itself', async () => {
  const { jobId } = await counted({ schoolOin: school, again: true });
  arrivals.length = 0;
  await operator().runReplay({ jobId, rate: 50 });
  await expect.poll(() => arrivals.length, { interval: 20 }).toBeGreaterThan(10);
  const other = await operator().previewReplay({ selection: { partyOin: platform } as never });
  expect(other.decision).toMatchObject({ code: 'state.conflict' });
  const { decision } = await operator().stopReplay({ jobId });
  expect(decision!.code).toBe('');
  const stopped = (await followed(jobId)).at(-1)!;
  expect(stopped).toMatchObject({ state: 'stopped', cause: 'operator', underWay: 0n });
  expect(stopped.sent + stopped.setBack).toBe(stopped.released);
  expect(stopped.sent).toBe(BigInt(arrivals.length));
  await sleep(500);
  expect(stopped.sent).toBe(BigInt(arrivals.length));

  const next = await counted({ schoolOin: school, again: true });
  receiver!.behaviour = () => 503;
  await operator().runReplay({ jobId: next.jobId, rate: 100, mostErrors: 1 });
  const failed = (await followed(next.jobId)).at(-1)!;
  expect(failed).toMatchObject({ state: 'stopped', cause: 'errors', errors: 2n, sent: 0n });
  const { replays, names } = await operator().listReplays({ partyOin: platform });
  expect(replays.map(({ state }) => state)).toEqual(['stopped', 'stopped', 'done', 'replaced']);
  expect(names).toContainEqual({ oin: platform, name: 'Leerplein' });
});
