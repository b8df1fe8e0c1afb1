import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { randomFrom } from '../parties/random.ts';
import { clientsOf, eckId, newOin, newSchool } from './gateway.ts';
import { KilledGateway } from './killed.ts';
import { Receiver } from './receiver.ts';

const SEED = Number(process.env['EDUK_CRASH_SEED'] ?? Date.now() % 1e6);
const ROUNDS = Number(process.env['EDUK_CRASH_ROUNDS'] ?? 6);
const PER_ROUND = 250;
const LEARNERS = 40;
const BOOK = '9789000000019';

const { next } = randomFrom(SEED);

const gateway = new KilledGateway('webhook-crash');
let receiver: Receiver | undefined;

afterAll(async () => {
  await receiver?.close();
  await gateway.close();
});

const operator = () => gateway.operator;

/** Sends grants until all are acknowledged, or the gateway goes; answers how many were. */
function grant(apiKey: string, school: string, from: number, to: number): Promise<number> {
  return new Promise((resolve) => {
    let acknowledged = from;
    const call = clientsOf(gateway.channel, `Bearer ${apiKey}`).entitlements.grantEntitlements();
    call.on('data', (answer: { through: bigint; refusals: unknown[] }) => {
      expect(answer.refusals).toEqual([]);
      acknowledged = from + Number(answer.through) + 1;
    });
    call.on('error', () => resolve(acknowledged));
    call.on('end', () => resolve(acknowledged));
    for (let i = from; i < to; i++)
      call.write({
        reference: `g${i}`,
        schoolOin: school,
        holder: { learner: { eckId: eckId(i % LEARNERS) } },
        terms: { entitlementId: `e${i}`, productId: BOOK },
      });
    call.end();
  });
}

test('killed while it sends, it loses nothing, and sends nothing of a key before what came earlier', async () => {
  console.log(`seed ${SEED}`);
  await gateway.start();
  receiver = await Receiver.open();
  const [publisher, platform, school] = [newOin(), newOin(), newSchool()];
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
  for (const partyOin of [publisher, platform])
    await operator().grantMandate({
      mandate: { schoolOin: school, partyOin, services: [Service.SERVICE_ENTITLEMENT], attributes: [] },
      confirm: true,
    });
  const product = { productId: BOOK, title: 'Taal', platformOin: platform, licence: { licensed: true } };
  const publish = clientsOf(gateway.channel, `Bearer ${apiKey}`).catalogue.publishProducts();
  publish.write({ reference: 'p', product });
  publish.end();
  for await (const _ of publish);
  receiver.behaviour = async () => {
    await sleep(next() * 30);
    const draw = next();
    return draw < 0.04 ? 503 : draw < 0.08 ? 500 : undefined;
  };
  let acknowledged = 0;
  let kills = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const sending = grant(apiKey, school, acknowledged, round * PER_ROUND);
    const seen = receiver.first.length;
    const most = Date.now() + 60_000;
    // Somewhere in the middle of sending.
    const enough = seen + 10 + next() * PER_ROUND * 0.5;
    while (receiver.first.length < enough && Date.now() < most) await sleep(5);
    await sleep(next() * 50);
    await gateway.kill();
    kills += 1;
    acknowledged = await sending;
    await gateway.start();
  }
  while (acknowledged < ROUNDS * PER_ROUND)
    acknowledged = await grant(apiKey, school, acknowledged, ROUNDS * PER_ROUND);
  receiver.behaviour = () => undefined;
  // What single keys still wait for may take as long as their last failures told.
  await operator().resolveDeliveries({ action: 'retry' });
  await receiver.until(ROUNDS * PER_ROUND, 60_000);
  await sleep(500);

  expect(receiver.problems).toEqual([]);
  const ids = new Set(receiver.first.map(({ data }) => data.entitlement.terms.entitlementId as string));
  expect(ids.size).toBe(ROUNDS * PER_ROUND);
  expect(receiver.first).toHaveLength(ROUNDS * PER_ROUND);
  // Within a learner, in the order in which the sender gave them: the numbers of its ids rise.
  const last = new Map<string, number>();
  for (const { partitionkey, data } of receiver.first) {
    const number = Number(data.entitlement.terms.entitlementId.slice(1));
    expect(number).toBeGreaterThan(last.get(partitionkey) ?? -1);
    last.set(partitionkey, number);
  }
  // What was answered comes again only for what was under way at a kill: 8 requests of 100 at most.
  expect(receiver.repeatsAfterAnswer).toBeLessThanOrEqual(kills * 800);
  console.log(`${kills} kills, ${receiver.requests.length} requests, ${receiver.repeats} repeats`);
  const { rows, endpoints } = await operator().listParked({});
  expect([rows, endpoints]).toEqual([[], []]);
}, 300_000);
