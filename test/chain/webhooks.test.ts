import { hash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newOin, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { type Behaviour, Receiver } from './receiver.ts';

const BOOK = '9789000000019';
let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let school: string;
let hook: Receiver;
/** A platform whose mail is sent to `hook`. */
let platform: { oin: string; secret: string; apiKey: string };
let made = 0;
/** In a month. */
const versionEnds = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);

async function receiverFor(roles: Role[] = [Role.ROLE_PLATFORM], oin = newOin()) {
  const receiver = await Receiver.open();
  const added = await at.operator.addParty({
    party: { oin, name: 'Leerplein', roles, endpoints: [{ standard: 'webhook', url: receiver.url }] },
  });
  receiver.secret = added.webhookSecret;
  return { receiver, oin, secret: added.webhookSecret, apiKey: added.apiKey };
}

const grantTo = (learner: number, entitlementId: string) => ({
  reference: entitlementId,
  schoolOin: school,
  holder: { learner: { eckId: eckId(learner) } },
  terms: { entitlementId, productId: product },
});
let product = '';

/** Grants of `count` learners, one of each; answers their ids. */
async function grant(count: number, learner = (i: number) => i): Promise<string[]> {
  const ids = Array.from({ length: count }, () => `ent-${++made}`);
  const answers = await sendAll(
    publisher.entitlements.grantEntitlements(),
    ids.map((id, i) => grantTo(learner(i), id)),
  );
  for (const { refusals } of answers) expect(refusals).toEqual([]);
  return ids;
}

const flowOfGrant = async (reference: string) => {
  const { flow } = await at.operator.showFlow({ partyOin: publisher.oin, reference });
  return flow!;
};
const stepTo = async (reference: string, oin: string) =>
  (await flowOfGrant(reference)).steps.find(({ receiverOin }) => receiverOin === oin);

async function until<T>(look: () => Promise<T | undefined | false>, ms = 60_000): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${ms} ms`);
    await sleep(20);
  }
}

beforeAll(async () => {
  at = await startTestGateway({ EDUK_VERSION_ENDS: `webhook=${versionEnds}` });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
});
afterAll(() => at?.stop());

beforeEach(async () => {
  school = newSchool();
  const { receiver, oin, secret, apiKey } = await receiverFor();
  hook = receiver;
  platform = { oin, secret, apiKey };
  const both = [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT];
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
  await at.mandate(school, publisher.oin, both);
  await at.mandate(school, oin, [...both, Service.SERVICE_ACCESS, Service.SERVICE_ROSTER]);
  product = `${BOOK.slice(0, 9)}${String(++made).padStart(4, '0')}`;
  const [ack] = await sendAll(publisher.catalogue.publishProducts(), [
    {
      reference: product,
      product: { productId: product, title: 'Taal', platformOin: oin, licence: { licensed: true } },
    },
  ]);
  expect(ack!.refusals).toEqual([]);
});
afterEach(async () => {
  expect(hook.problems).toEqual([]);
  await hook.close();
});

test('a grant reaches a webhook as its watch would tell it, signed so that the library takes it', async () => {
  expect(platform.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const [id] = await grant(1);
  await hook.until(1);
  const [{ webhookId, events, body }] = hook.requests as [Receiver['requests'][0]];
  expect(events).toMatchObject([
    {
      id: webhookId,
      specversion: '1.0',
      source: 'urn:eduk:gateway',
      type: 'eduk.entitlements.v1.EntitlementGranted',
      school,
      sequence: expect.stringMatching(/^\d{16}$/),
      partitionkey: expect.stringMatching(/^[\w-]{22}$/),
      data: {
        change: 'granted',
        entitlement: { schoolOin: school, terms: { entitlementId: id }, holder: { learner: { eckId: eckId(0) } } },
      },
    },
  ]);
  expect(body).not.toContain('cursor');
  const step = await until(async () => {
    const now = await stepTo(id!, platform.oin);
    return now?.state === 'done' && now;
  });
  expect(step.told).toBe('webhook: attempt 1 was answered 204');
  const { scorecard, endpoints } = await at.operator.showScorecard({ partyOin: platform.oin });
  expect(scorecard).toMatchObject({
    endpoints: [{ standard: 'webhook', score: { failed: 0n, again: 0n, failures: [] } }],
    days: [{ score: { accepted: 0n } }],
    endings: [{ what: 'version', subject: 'webhook', day: versionEnds, count: 1, schoolOins: [] }],
  });
  const { delivered, answerP99Ms, deliveryP50Ms } = scorecard!.total!;
  expect([delivered >= 1n, answerP99Ms! >= 1n, deliveryP50Ms !== undefined]).toEqual([true, true, true]);
  expect(scorecard!.lastDeliveredMs).toBeGreaterThan(0n);
  expect(endpoints).toMatchObject([{ standard: 'webhook', state: 'up' }]);
});

test('while its secret is renewed both sign, so that no message is lost; then the new one alone is enough', async () => {
  const { webhookSecret, mandatesWebhookSecret, apiKey } = await at.operator.renewSecret({
    oin: platform.oin,
    overlapS: 3_600,
    webhooks: true,
  });
  expect(webhookSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(webhookSecret).not.toBe(platform.secret);
  expect([mandatesWebhookSecret, apiKey]).toEqual(['', '']);
  const newId = hash('sha256', Buffer.from(webhookSecret.slice(6), 'base64')).slice(0, 16);
  const byNew = (one: Receiver['requests'][0]) => one.keyId === newId;
  // The receiver still has the one of before: it finds each signature of ours, and refuses what has none.
  let sent = 0;
  await until(async () => {
    await grant(1);
    sent += 1;
    await hook.until(sent);
    return hook.requests.some(byNew);
  });
  hook.secret = webhookSecret;
  await grant(1);
  await hook.until(sent + 1);
  expect(hook.problems).toEqual([]);
  // Other words about the party leave it as it is.
  const endpoints = [{ standard: 'webhook', url: hook.url, maxInFlight: 0, maxPerSecond: 0 }];
  const again = await at.operator.addParty({
    party: { oin: platform.oin, name: 'Leerplein', roles: [Role.ROLE_PLATFORM], endpoints },
  });
  expect(again.webhookSecret).toBe('');
  await grant(1);
  await hook.until(sent + 2);
  await expect(at.operator.renewSecret({ oin: las.oin, overlapS: 0, webhooks: true })).rejects.toMatchObject({
    code: 'state.missing',
  });
});

test('many go together, each learner in order, once each', async () => {
  const ids = await grant(600, (i) => i % 40);
  await hook.until(600);
  expect(hook.first.map(({ data }) => data.entitlement.terms.entitlementId).sort()).toEqual([...ids].sort());
  expect(hook.requests.length).toBeLessThan(200);
  expect(hook.repeats).toBe(0);
  expect(new Set(hook.first.map(({ partitionkey }) => partitionkey)).size).toBe(40);
});

test('by the id of a request its receiver and the operator find what was in it, also where it was refused; nobody else does', async () => {
  const own = at.as(`Bearer ${platform.apiKey}`);
  // What comes while nothing is taken goes together.
  let isOpen = false;
  let refused = 2;
  hook.behaviour = ({ events }) => (!isOpen ? 503 : events.length > 1 && refused-- > 0 ? 500 : undefined);
  const ids = await grant(60, (i) => i % 20);
  isOpen = true;
  await until(async () => hook.first.length === 60 && hook.repeatsAfterAnswer === 0 && refused < 2);
  await until(async () =>
    (await Promise.all(ids.map((id) => stepTo(id, platform.oin)))).every((step) => step?.state === 'done'),
  );
  const flowOf = new Map(await Promise.all(ids.map(async (id) => [id, (await flowOfGrant(id)).flowId] as const)));
  const sets = hook.requests.filter(({ events }) => events.length > 1);
  expect(sets.length).toBeGreaterThan(0);
  for (const { webhookId, events } of [...sets, ...hook.requests.slice(-1)]) {
    const about = events.map(({ data }) => data.entitlement.terms.entitlementId as string).sort();
    const byOperator = await at.operator.listFlows({ text: webhookId });
    expect(byOperator.flows.map(({ subject }) => subject).sort()).toEqual(about);
    expect(byOperator.missing).toEqual([]);
    const toPlatform = byOperator.deliveries.filter(({ delivery }) => delivery!.partyOin === platform.oin);
    expect(toPlatform.map(({ flowId }) => flowId).sort()).toEqual(about.map((id) => flowOf.get(id)).sort());
    const found = await own.flows.searchFlows({ text: webhookId });
    expect(found.deliveries.map((one) => one.about).sort()).toEqual(about);
    expect(found).toMatchObject({ flows: [], gone: 0, partial: false });
    // Whose message it was is not told to who did not send it.
    expect(found.deliveries.every(({ flowId, kind }) => flowId === '' && kind === 'EntitlementGranted')).toBe(true);
    expect((await own.flows.searchFlows({ text: webhookId, schoolOin: newSchool() })).deliveries).toEqual([]);
    expect((await las.flows.searchFlows({ text: webhookId })).deliveries).toEqual([]);
  }
  // By the product, without its school.
  const ofProduct = await at.operator.listFlows({ text: product, limit: 200 });
  expect(ofProduct.flows.map((flow) => flow.subject).sort()).toEqual([...ids, product].sort());
  expect([ofProduct.missing, ofProduct.coveredFromMs]).toEqual([[], 0n]);
  // By the id of one event: its receivers; who sent the message has its flow too.
  const [event] = hook.first;
  const subject = event!.data.entitlement.terms.entitlementId;
  const { flows, deliveries } = await at.operator.listFlows({ text: event!.id });
  expect([flows.map((flow) => flow.subject), deliveries.length]).toEqual([[subject], 2]);
  expect(await publisher.flows.searchFlows({ text: event!.id })).toMatchObject({
    flows: [{ flowId: flowOf.get(subject) }],
    deliveries: [{ deliveryId: event!.id, flowId: flowOf.get(subject), state: 'ready' }],
  });
});

test('the secret is told when an address is new, and only then; another address has another', async () => {
  const party = (url: string) =>
    at.operator.addParty({
      party: {
        oin: platform.oin,
        name: 'Leerplein',
        roles: [Role.ROLE_PLATFORM],
        endpoints: [{ standard: 'webhook', url }],
      },
    });
  expect((await party(hook.url)).webhookSecret).toBe('');
  const other = await party(`${hook.url}/other`);
  expect(other.webhookSecret).toMatch(/^whsec_/);
  expect(other.webhookSecret).not.toBe(platform.secret);
  hook.secret = other.webhookSecret;
  await grant(1);
  await hook.until(1);
});

describe('an address that could reach what is behind us is refused', () => {
  test.each([
    ['plain http elsewhere', 'http://a.example/hook'],
    ['a private network', 'https://10.1.2.3/hook'],
    ['the metadata of a cloud', 'https://169.254.169.254/latest'],
    ['a private network of IPv6', 'https://[fd00::1]/hook'],
    ['IPv4 in IPv6', 'https://[::ffff:10.1.2.3]/hook'],
    ['another way to write it', 'https://0x0a010203/hook'],
    ['a name and password', 'https://me:secret@a.example/hook'],
  ])('%s', async (_, url) => {
    await expect(
      at.operator.addParty({
        party: { oin: newOin(), name: 'X', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'webhook', url }] },
      }),
    ).rejects.toMatchObject({ code: 'wire.invalid' });
  });
});

describe('without a mandate nothing is sent', () => {
  test('and what was withheld comes in order once there is one', async () => {
    const other = newSchool();
    await at.mandate(other, publisher.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
    const { mandateId } = await at.mandate(other, platform.oin, [Service.SERVICE_ENTITLEMENT], { confirm: false });
    school = other;
    const ids = await grant(5, () => 1);
    const parked = await until(async () => {
      const step = await stepTo(ids[0]!, platform.oin);
      return step?.state === 'parked' && step;
    });
    expect(parked.code).toBe('mandate.unconfirmed');
    expect(hook.requests).toEqual([]);
    const { going } = await until(async () => {
      const preview = await at.operator.previewWithheld({ mandateId, change: 'confirm' });
      return preview.going[0]?.messages === 5n && preview;
    });
    expect(going).toMatchObject([{ standard: 'webhook', schools: 1, more: false }]);
    const confirmed = await at.operator.changeMandate({ mandateId, change: 'confirm' });
    expect(confirmed.going).toEqual(going);
    expect((await at.operator.previewWithheld({ mandateId, change: 'confirm' })).going).toEqual([]);
    await hook.until(5);
    expect(hook.first.map(({ data }) => data.entitlement.terms.entitlementId)).toEqual(ids);
  });

  test('a mandate that stops, stops the route within 5 s, also for what waits already', async () => {
    const { mandates } = await at.operator.listMandates({ partyOin: platform.oin });
    let isDown = true;
    let askedLast = 0;
    hook.behaviour = () => {
      askedLast = performance.now();
      return isDown ? 503 : undefined;
    };
    const ids = await grant(3);
    await until(async () => hook.requests.length > 0);
    await at.operator.changeMandate({ mandateId: mandates[0]!.mandateId, change: 'stop' });
    const stopped = performance.now();
    // The door has it once it withholds one: from then on the endpoint may be well again.
    const isParked = async (id: string) => (await stepTo(id, platform.oin))?.state === 'parked';
    await until(async () => (await Promise.all(ids.map(isParked))).includes(true));
    isDown = false;
    for (const id of ids) await until(() => isParked(id));
    // Whatever its own time was, by now it would have come.
    await sleep(Math.max(0, stopped + 1_500 - performance.now()));
    expect(hook.first).toEqual([]);
    expect(askedLast - stopped).toBeLessThan(5_000);
  });
});

test('what waits for a forgotten learner ends as forgotten', async () => {
  let isDown = true;
  hook.behaviour = () => (isDown ? 503 : undefined);
  const [lost, kept] = await grant(2);
  await until(async () => hook.requests.length > 0);
  await at.operator.forgetLearner({ schoolOin: school, learner: { eckId: eckId(0) }, now: true });
  isDown = false;
  await hook.until(1);
  const step = await until(async () => {
    const now = await stepTo(lost!, platform.oin);
    return now?.state === 'forgotten' && now;
  });
  expect(step.state).toBe('forgotten');
  await until(async () => hook.first.some(({ data }) => data.entitlement?.terms.entitlementId === kept));
  expect(
    hook.first.filter(({ data }) => data.change === 'granted').map(({ data }) => data.entitlement.terms.entitlementId),
  ).toEqual([kept]);
});

describe('a receiver that misbehaves', () => {
  const answer = (response: ServerResponse, status: number, headers: Record<string, string>) => {
    response.writeHead(status, headers).end();
    return 'handled' as const;
  };
  const cut = (socket: Socket, last?: string) => {
    if (last === undefined) socket.destroy();
    else socket.end(last);
    return 'handled' as const;
  };

  /** Does something wrong for the first requests, then takes all. */
  const first = (times: number, wrong: Behaviour): Behaviour => {
    let left = times;
    return (request, response, socket) => (left-- > 0 ? wrong(request, response, socket) : undefined);
  };

  test.each<[string, number, Behaviour]>([
    ['is down', 2, () => 503],
    ['fails', 2, () => 500],
    ['asks for patience', 1, (_, response) => answer(response, 429, { 'retry-after': '1' })],
    ['does not know us', 2, () => 401],
    ['redirects', 2, (_, response) => answer(response, 307, { location: 'http://169.254.169.254/' })],
    ['cuts the connection', 2, (_request, _response, socket) => cut(socket)],
    ['answers no HTTP', 2, (_request, _response, socket) => cut(socket, 'what?\r\n\r\n')],
    ['cuts after half an answer', 1, (_request, _response, socket) => cut(socket, 'HTTP/1.1 5')],
  ])(
    'that %s gets the same again, with the same ids',
    async (_, times, wrong) => {
      hook.behaviour = first(times, wrong);
      const ids = await grant(20, (i) => i % 5);
      await hook.until(20, 60_000);
      expect(hook.first.map(({ data }) => data.entitlement.terms.entitlementId).sort()).toEqual([...ids].sort());
      expect(hook.repeatsAfterAnswer).toBe(0);
      const seen = new Map<string, string>();
      for (const { events } of hook.requests)
        for (const { id, sequence } of events) {
          expect(seen.get(id) ?? sequence).toBe(sequence);
          seen.set(id, sequence);
        }
      expect(seen.size).toBe(20);
    },
    60_000,
  );

  // Whether it took it or not, the gateway sees the same: no answer.
  test('that hangs, after it took it, is told the same ids again once the time for an answer is over', async () => {
    hook.behaviour = first(1, (request) => {
      hook.arrived(request);
      return 'handled';
    });
    await grant(1);
    await until(async () => hook.repeats === 1);
    expect(hook.first).toHaveLength(1);
    expect(hook.requests[0]!.webhookId).toBe(hook.requests[1]!.webhookId);
  });

  test('that sends an endless answer is let go of, and what it took is taken', async () => {
    hook.behaviour = first(1, (request, response) => {
      hook.arrived(request);
      response.writeHead(200);
      const more = () => {
        if (!response.destroyed && response.write('x'.repeat(60_000))) setImmediate(more);
        else response.once('drain', more);
      };
      more();
      return 'handled';
    });
    const [id] = await grant(1);
    await until(async () => (await stepTo(id!, platform.oin))?.state === 'done');
    expect(hook.repeats).toBe(0);
  });

  test('one message that is refused parks its key; retried or dropped by an operator it goes on', async () => {
    let isPicky = true;
    hook.behaviour = ({ events }) =>
      isPicky && events.some(({ data }) => data.entitlement.holder.learner.eckId === eckId(7)) ? 422 : undefined;
    const ids = await grant(30, (i) => i % 10);
    await hook.until(27);
    const parked = await until(async () => {
      const { rows } = await at.operator.listParked({ schoolOin: school });
      return rows.find(({ standard, rows }) => standard === 'webhook' && rows === 3n);
    });
    expect(parked).toMatchObject({ partyOin: platform.oin, code: 'peer.refused', status: 422 });
    const why = await at.operator.whyBlocked({ schoolOin: school, learner: { eckId: eckId(7) } });
    expect(why.blockers).toMatchObject([{ code: 'peer.refused', partyOin: platform.oin }]);
    expect(why.told).toContain('answered 422');
    isPicky = false;
    expect(await at.operator.resolveDeliveries({ partyOin: platform.oin, action: 'retry' })).toEqual({
      keys: 1,
      rows: 3n,
    });
    await hook.until(30);
    const sevens = hook.first.filter(({ data }) => data.entitlement.holder.learner.eckId === eckId(7));
    expect(sevens.map(({ data }) => data.entitlement.terms.entitlementId)).toEqual([ids[7], ids[17], ids[27]]);
    isPicky = true;
    const [given] = await grant(1, () => 7);
    await until(async () => (await stepTo(given!, platform.oin))?.state === 'parked');
    expect(await at.operator.resolveDeliveries({ partyOin: platform.oin, action: 'drop' })).toEqual({
      keys: 1,
      rows: 1n,
    });
    expect(await stepTo(given!, platform.oin)).toMatchObject({
      state: 'dropped',
      told: 'webhook: dropped by an operator after 1 attempt',
    });
  });

  test('of one that takes two at once no more than its party said are asked, and each message arrives once', async () => {
    let now = 0;
    let most = 0;
    let refused = 0;
    hook.behaviour = async () => {
      now += 1;
      most = Math.max(most, now);
      const isTooMany = now > 2;
      if (isTooMany) refused += 1;
      else await sleep(30);
      now -= 1;
      return isTooMany ? 429 : undefined;
    };
    const endpoints = [{ standard: 'webhook', url: hook.url, maxInFlight: 3 }];
    await at.operator.addParty({
      party: { oin: platform.oin, name: 'Leerplein', roles: [Role.ROLE_PLATFORM], endpoints },
    });
    await grant(2_000);
    await hook.until(2_000, 60_000);
    expect(hook.repeats).toBe(0);
    expect(most).toBeLessThanOrEqual(3);
    expect(hook.requests.length).toBeGreaterThan(15);
    const { parties } = await at.operator.listParties({ oin: platform.oin });
    expect(parties[0]!.endpoints).toMatchObject([{ maxInFlight: 3 }]);
    // Where it was refused, it was not for long.
    expect(refused).toBeLessThan(5);
    expect(hook.problems).toEqual([]);
  });

  test('a service has an address of its own, with a secret of its own, and goes back when that is taken away', async () => {
    const own = await Receiver.open();
    try {
      const { oin } = platform;
      const named = (url: string) =>
        at.operator.addParty({
          party: {
            ...{ oin, name: 'Leerplein', roles: [Role.ROLE_PLATFORM] },
            endpoints: [{ standard: 'webhook-entitlement', url }],
          },
        });
      const before = await grant(1);
      await hook.until(1);
      const { serviceWebhookSecrets: told, webhookSecret } = await named(own.url);
      expect(told).toMatchObject([{ standard: 'webhook-entitlement', secret: expect.stringMatching(/^whsec_/) }]);
      expect(webhookSecret).toBe('');
      own.secret = told[0]!.secret;
      expect((await named(own.url)).serviceWebhookSecrets).toEqual([]);
      const [id] = await grant(1);
      await own.until(1);
      // Nothing of before comes again, and nothing goes to both.
      expect([own.first.length, hook.requests.length]).toEqual([1, 1]);
      expect(await stepTo(id!, oin)).toMatchObject({ told: 'webhook-entitlement: attempt 1 was answered 204' });
      expect(await stepTo(before[0]!, oin)).toMatchObject({ told: 'webhook: attempt 1 was answered 204' });
      await at.operator.removeEndpoint({ oin, standard: 'webhook-entitlement' });
      await grant(1);
      await hook.until(2);
      expect([own.problems, hook.problems, own.requests.length]).toEqual([[], [], 1]);
    } finally {
      await own.close();
    }
  });

  test('mail of before is told of, and sent where somebody says so: else nothing is changed', async () => {
    const { oin } = platform;
    const party = (fromMs?: bigint) => ({
      ...{ oin, name: 'Leerplein', roles: [Role.ROLE_PLATFORM] },
      endpoints: [{ standard: 'webhook', url: hook.url, ...(fromMs === undefined ? {} : { fromMs }) }],
    });
    await at.operator.removeEndpoint({ oin, standard: 'webhook' });
    const [left] = await grant(2);
    const { kept, nowMs } = await until(async () => {
      const preview = await at.operator.previewEndpoints({ party: party() });
      return preview.kept[0]?.messages === 2n && preview;
    });
    expect(kept).toMatchObject([{ service: Service.SERVICE_ENTITLEMENT, standard: 'webhook', left: 0n, more: false }]);
    await expect(at.operator.addParty({ party: party() })).rejects.toMatchObject({ code: 'wire.invalid' });
    const hours = BigInt(Date.now() + 3_600_000);
    await expect(at.operator.addParty({ party: party(hours) })).rejects.toMatchObject({ code: 'wire.invalid' });
    expect((await at.operator.listParties({ oin })).parties[0]!.endpoints).toEqual([]);
    await at.operator.addParty({ party: party(nowMs) });
    expect((await at.operator.previewEndpoints({ party: party() })).kept).toEqual([]);
    // Of another learner: behind it nothing of before would come out of order.
    const [id] = await grant(1, () => 9);
    await hook.until(1);
    expect(await stepTo(id!, oin)).toMatchObject({ told: 'webhook: attempt 1 was answered 204' });
    expect((await stepTo(left!, oin))!.told).not.toContain('attempt');
    expect(hook.first).toHaveLength(1);
    // It can be sent after all, as it was counted.
    const { jobId } = await at.operator.previewReplay({ selection: { partyOin: oin } as never });
    await until(async () => {
      const { replays } = await at.operator.listReplays({ partyOin: oin });
      return replays.some((one) => one.jobId === jobId && one.state === 'counted' && one.fresh === 2n);
    });
  });

  test('what waits goes to another address: it is told before and afterwards how much', async () => {
    const { oin } = platform;
    const other = await Receiver.open();
    const party = (url: string) => ({
      ...{ oin, name: 'Leerplein', roles: [Role.ROLE_PLATFORM] },
      endpoints: [{ standard: 'webhook', url }],
    });
    try {
      hook.behaviour = () => 503;
      await grant(2);
      const { going } = await until(async () => {
        const preview = await at.operator.previewEndpoints({ party: party(other.url) });
        return preview.going[0]?.messages === 2n && preview;
      });
      expect(going).toMatchObject([{ service: Service.SERVICE_ENTITLEMENT, standard: 'webhook', more: false }]);
      expect((await at.operator.previewEndpoints({ party: party(hook.url) })).going).toEqual([]);
      const added = await at.operator.addParty({ party: party(other.url) });
      expect(added.going).toMatchObject([{ messages: 2n, staying: 0n }]);
      other.secret = added.webhookSecret;
      await other.until(2);
      expect(other.problems).toEqual([]);
    } finally {
      await other.close();
    }
  });

  test('repeats that an operator stopped stay stopped when the endpoint is back, until they are taken up', async () => {
    let isDown = true;
    hook.behaviour = () => (isDown ? 503 : undefined);
    const [stopped] = await grant(1, () => 7);
    await until(async () => (await stepTo(stopped!, platform.oin))?.state === 'failing' || hook.requests.length > 1);
    await until(async () =>
      (await at.operator.listParked({ schoolOin: school })).endpoints.some(
        ({ partyOin, state }) => partyOin === platform.oin && state === 'resting',
      ),
    );
    const stop = () => at.operator.resolveDeliveries({ partyOin: platform.oin, schoolOin: school, action: 'stop' });
    expect(await stop()).toEqual({ keys: 1, rows: 1n });
    await until(async () => (await stepTo(stopped!, platform.oin))?.state === 'parked');
    const { rows } = await at.operator.listParked({ schoolOin: school });
    expect(rows).toMatchObject([{ standard: 'webhook', stopped: true, rows: 1n }]);
    isDown = false;
    await grant(1, () => 8);
    await hook.until(1, 60_000);
    expect(hook.first.map(({ data }) => data.entitlement.holder.learner.eckId)).toEqual([eckId(8)]);
    expect(await at.operator.resolveDeliveries({ partyOin: platform.oin, action: 'retry' })).toEqual({
      keys: 1,
      rows: 1n,
    });
    await hook.until(2, 60_000);
    const metrics = await (await fetch(`${at.http}/metrics`)).text();
    expect(metrics).toMatch(/# TYPE eduk_endpoint_breaker gauge/);
    expect(metrics).toMatch(/# TYPE eduk_endpoint_width gauge/);
  });

  test('a message that hangs does not hold up others', async () => {
    let hangs: Socket | undefined;
    hook.behaviour = ({ events }, _, socket) => {
      if (!events.some(({ data }) => data.entitlement.holder.learner.eckId === eckId(7))) return undefined;
      hangs ??= socket;
      return 'handled';
    };
    await grant(1, () => 7);
    await until(async () => hook.requests.length === 1);
    await grant(50, (i) => 100 + i);
    await hook.until(50);
    // They did not wait until it was given up.
    expect(hangs!.destroyed).toBe(false);
  });

  test('an endpoint that hangs or is gone does not hold up others', async () => {
    const sick = await receiverFor([Role.ROLE_DISTRIBUTOR]);
    let hangs: Socket | undefined;
    sick.receiver.behaviour = (_request, _response, socket) => {
      hangs = socket;
      return 'handled';
    };
    await at.mandate(school, sick.oin, [Service.SERVICE_ROSTER]);
    await sendAll(las.rosters.pushRoster(), [
      {
        reference: `r-${school}`,
        rosterId: `r-${school}`,
        last: true,
        roster: {
          schoolOin: school,
          schoolYear: '2026-2027',
          learners: Array.from({ length: 40 }, (_, i) => ({ ref: { eckId: eckId(i), lasKey: `k${i}` } })),
        },
      },
    ]);
    await until(async () => hangs?.destroyed === false && hook.first.length >= 40);
    const hanging = hangs!;
    await grant(50, (i) => i);
    await hook.until(90);
    // They did not wait until it was given up.
    expect(hanging.destroyed).toBe(false);
    const metrics = await (await fetch(`${at.http}/metrics`)).text();
    const age = new RegExp(`eduk_undelivered_seconds\\{party="${sick.oin}",standard="webhook"\\} ([\\d.]+)`).exec(
      metrics,
    );
    expect(Number(age?.[1])).toBeGreaterThan(0);
    await sick.receiver.close();
  });

  test('one that says 410 gets nothing more until it is named again', async () => {
    hook.behaviour = () => 410;
    await grant(1);
    await until(async () =>
      (await at.operator.listParked({})).endpoints.some((one) => one.partyOin === platform.oin && one.state === 'gone'),
    );
    hook.behaviour = () => undefined;
    await grant(1);
    await sleep(500);
    expect(hook.requests).toHaveLength(1);
    await at.operator.addParty({
      party: {
        oin: platform.oin,
        name: 'Leerplein',
        roles: [Role.ROLE_PLATFORM],
        endpoints: [{ standard: 'webhook', url: hook.url }],
      },
    });
    await hook.until(2);
  });

  test('a port where nobody listens is tried until somebody does', async () => {
    const { url } = hook;
    const { port } = new URL(url);
    await hook.close();
    const ids = await grant(3);
    const step = await until(async () => {
      const now = await stepTo(ids[0]!, platform.oin);
      return now?.code === 'peer.unavailable' && now.told.includes('next') && now;
    });
    expect(step.told).toMatch(/^webhook: attempt \d+ had no answer, the next after /);
    const why = await at.operator.whyBlocked({ schoolOin: school, productId: product });
    expect(why.blockers.map(({ code }) => code)).toContain('peer.unavailable');
    const again = await Receiver.open(Number(port));
    again.secret = platform.secret;
    hook = again;
    await again.until(3);
  });
});

test('after a stop in the middle everything arrives, and what was answered does not come again', async () => {
  hook.behaviour = async () => {
    await sleep(20);
    return undefined;
  };
  const ids = await grant(400, (i) => i % 60);
  await until(async () => hook.first.length > 20);
  await at.restart();
  publisher = { ...publisher, ...at.as(`Bearer ${publisher.apiKey}`) };
  las = { ...las, ...at.as(`Bearer ${las.apiKey}`) };
  await hook.until(400, 60_000);
  expect(hook.first.map(({ data }) => data.entitlement.terms.entitlementId).sort()).toEqual([...ids].sort());
  expect(hook.repeats).toBe(0);
});
