import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Table, testBench } from '#bus';
import { logTo, newId, quantileOf, UWLR, uuidText } from '#kernel';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { type Attempt, AttemptOutcome, DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { FIRST_WIDTH, LONGEST_TRY_MS, MOST_FAILURES, MOST_REPEATS, SCHOOL_WAIT_MS } from './endpoint.ts';
import { delivery } from './index.ts';
import { LEASE_MS, leaseMsOf, partsOf } from './push.ts';
import { MAILBOXES, STANDARDS, standardsOf } from './standards.ts';
import { attempts, endpoints, NEVER, outcomes, pushKeys, pushMoves, pushSchools, setAside } from './tables.ts';

const SCHOOL = '0000000700012AB00000';
const OTHER_SCHOOL = '0000000700034CD00000';
const SELLER = '00000001000000000002';
const PLATFORM = '00000001000000000003';
const { SERVICE_ENTITLEMENT } = Service;
const { MANDATE_STATE_ACTIVE, MANDATE_STATE_ENDED } = MandateState;

type Bench = ReturnType<typeof testBench>;

/** A chain with an endpoint, and a sender that does what the test says. */
function pushed(bench: Bench = testBench(delivery)) {
  const client = bench.client(DeliveryServiceDefinition);
  const endpoint = (oin: string, url = 'https://a.example/hook') =>
    name(oin, url === '' ? [] : [{ standard: 'webhook', url }]);
  const name = (oin: string, endpoints: { standard: string; url: string; fromMs?: bigint }[]) =>
    bench.submit(
      'PartyRegistered',
      {
        party: {
          oin,
          name: '',
          roles: [Role.ROLE_PLATFORM],
          endpoints,
          boardOin: '',
          sectors: [],
          attributes: [],
          requiresAcceptance: false,
        },
      },
      oin,
    );
  const mandate = (state: MandateState, partyOin = PLATFORM) =>
    bench.submit(
      'MandateChanged',
      { mandate: { mandateId: 'm', schoolOin: SCHOOL, partyOin, services: [SERVICE_ENTITLEMENT], state } as never },
      SCHOOL,
    );
  let made = 0;
  const grant = (
    learner: string,
    more: { school?: string; platform?: string; run?: boolean; flowId?: string } = {},
  ) => {
    const school = more.school ?? SCHOOL;
    const entitlementId = `e${++made}`;
    const of = more.run === false ? bench.append : bench.submit;
    const flowId = of(
      'EntitlementGranted',
      {
        terms: { entitlementId } as never,
        schoolOin: school,
        holder: { learner, group: '' },
        byOin: '',
        publisherOin: '',
        platformOin: more.platform ?? PLATFORM,
      },
      learner,
      { school, ...(more.flowId ? { flowId: more.flowId } : {}) },
    );
    return { entitlementId, flowId };
  };
  let owner = newId();
  const claim = async (most = 100, told: readonly AttemptOutcome[] = []) =>
    (await client.claimAttempts({ owner, outcomes: [...told], attempts: most, waitMs: 0n, alone: false })).attempts;
  const outcome = (attempt: Attempt, result: string, more: Partial<AttemptOutcome> = {}) =>
    AttemptOutcome.fromPartial({
      attemptId: attempt.attemptId,
      partyOin: attempt.partyOin,
      standard: attempt.standard,
      number: attempt.number,
      result,
      ...more,
    });
  const answered = (attempt: Attempt, status: number, more: Partial<AttemptOutcome> = {}) =>
    outcome(attempt, 'answered', { status, ...more });
  const tell = (...told: AttemptOutcome[]) => client.reportOutcomes({ owner, outcomes: told });
  /** Sends until nothing is left to send now; answers the keys in the order of their sending. */
  const drain = async (status: (attempt: Attempt) => number = () => 200) => {
    const sent: string[] = [];
    for (let round = 0; round < 1000; round++) {
      const started = await claim();
      if (started.length === 0) return sent;
      for (const attempt of started) {
        sent.push(...attempt.rows.map(({ key }) => key));
        await tell(answered(attempt, status(attempt)));
      }
    }
    throw new Error('it does not end');
  };
  return {
    bench,
    client,
    endpoint,
    name,
    mandate,
    grant,
    claim,
    outcome,
    answered,
    tell,
    drain,
    restart: () => {
      owner = newId();
    },
    rowsOf: async (table: Table) => bench.list(table, { equals: [] }),
  };
}

test('what becomes of an endpoint is a line in the log each, and says nothing of its address', async () => {
  const lines: Record<string, unknown>[] = [];
  logTo((line) => void lines.push(JSON.parse(line)));
  try {
    const it = pushed();
    it.endpoint(PLATFORM, 'https://a.example/hook?token=geheim');
    it.mandate(MANDATE_STATE_ACTIVE);
    it.grant('a');
    const [first] = await it.claim();
    await it.tell(it.answered(first!, 503));
    it.bench.advance(5_000);
    const [again] = await it.claim();
    await it.tell(it.answered(again!, 200));
    it.grant('b');
    const [refused] = await it.claim();
    await it.tell(it.answered(refused!, 422));
  } finally {
    logTo((line) => void process.stderr.write(`${line}\n`), 'info');
  }
  const ours = lines.filter(({ event }) => String(event).startsWith('endpoint_'));
  expect(ours).toMatchObject([
    { event: 'endpoint_resting', party_oin: PLATFORM, standard: 'webhook', status: 503 },
    { event: 'endpoint_recovered', party_oin: PLATFORM },
    { event: 'endpoint_keys_parked', party_oin: PLATFORM, keys: 1, code: 'peer.refused', status: 422 },
  ]);
  expect(JSON.stringify(ours)).not.toMatch(/example|geheim/);
});

describe('the score of an endpoint', () => {
  const days = async (it: ReturnType<typeof pushed>, fromDay: string, untilDay: string) =>
    (await it.client.listScores({ partyOin: PLATFORM, fromDay, untilDay })).rows;

  test('counts requests, what came again and why, and how long answers and messages took', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.mandate(MANDATE_STATE_ACTIVE);
    it.grant('a');
    const [first] = await it.claim();
    await it.tell(it.answered(first!, 503, { tookMs: 700 }));
    // Told twice it counts once.
    await it.tell(it.answered(first!, 503, { tookMs: 700 }));
    it.bench.advance(5_000);
    const [again] = await it.claim();
    await it.tell(it.answered(again!, 200, { tookMs: 30 }));
    it.grant('b');
    const [untold] = await it.claim();
    await it.tell(it.answered(untold!, 204, { untold: untold!.rows.map(({ number }) => number) }));
    const rows = await days(it, '2000-01-01', '2100-01-01');
    expect(rows).toMatchObject([
      { standard: 'webhook', requests: 2n, again: 1n, failed: 1n, failures: [{ cause: '503', times: 1n }] },
    ]);
    expect(rows[0]!.delivered).toBe(BigInt(again!.rows.length));
    expect(rows[0]!.answers.map(({ times }) => times)).toEqual([1n, 1n]);
    const ages = Object.fromEntries(rows[0]!.ages.map((one) => [one.class, Number(one.times)]));
    expect(quantileOf(ages, 0.5)! / 5_000).toBeCloseTo(1, 0);
  });

  test('days become months after two months, with the same sums, and a receiver makes no more causes than there is room for', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.mandate(MANDATE_STATE_ACTIVE);
    await it.drain();
    let status = 500;
    let requests = 0n;
    for (let day = 0; day < 120; day++) {
      it.bench.advance(86_400_000);
      it.grant(`l${day}`);
      for (const attempt of await it.claim()) {
        requests += 1n;
        await it.tell(it.answered(attempt, day % 2 === 0 ? 200 : status++, { tookMs: 5 }));
      }
    }
    const rows = await days(it, '2000-01-01', '2100-01-01');
    const isMonth = ({ day }: { day: string }) => day.length === 7;
    expect(rows.filter(isMonth).length).toBeGreaterThanOrEqual(2);
    expect(rows.filter((row) => !isMonth(row)).length).toBeLessThanOrEqual(63);
    expect(rows.reduce((sum, row) => sum + row.requests, 0n)).toBeGreaterThanOrEqual(requests);
    for (const { failures } of rows) expect(failures.length).toBeLessThanOrEqual(41);
    // Asked of one day of a month that is kept as a whole, it is told as the month.
    const old = rows.find(isMonth)!;
    expect(await days(it, `${old.day}-05`, `${old.day}-05`)).toEqual([old]);
  });
});

const keys = (attempt: Attempt | undefined) => attempt?.rows.map(({ key }) => key);

describe('attempts', () => {
  test('hold mail of one school and service, with ids and numbers of the mailbox; who has no endpoint gets none', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    it.grant('b');
    it.grant('a');
    it.grant('c', { school: OTHER_SCHOOL });
    it.grant('d', { platform: SELLER });
    const [first, second, ...more] = await it.claim();
    expect(more).toEqual([]);
    expect(first).toMatchObject({
      partyOin: PLATFORM,
      url: 'https://a.example/hook',
      schoolOin: SCHOOL,
      service: SERVICE_ENTITLEMENT,
      number: 1,
    });
    expect(first?.rows.map(({ key, keyNumber }) => [key, keyNumber])).toEqual([
      ['a', 1n],
      ['b', 2n],
      ['a', 3n],
    ]);
    expect(keys(second)).toEqual(['c']);
    await it.tell(it.answered(first!, 200), it.answered(second!, 204));
    expect(await it.claim()).toEqual([]);
    for (const table of [attempts, pushKeys, setAside])
      expect(it.bench.list(table as Table, { equals: [] })).toEqual([]);
    expect(it.bench.list(outcomes, { equals: [] })).toHaveLength(4);
  });

  test('are committed before they are told: who asks again gets others, until the lease is over', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    const [first] = await it.claim();
    it.grant('a');
    it.grant('b');
    expect((await it.claim()).map(keys)).toEqual([['b']]);
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    it.restart();
    it.bench.advance(LEASE_MS - 1);
    expect(await it.claim()).toEqual([]);
    it.bench.advance(1);
    // This process still knows, by the monotonic clock, that the lease runs: only another one may take it over.
    expect(await it.claim()).toEqual([]);
    const other = pushed(it.bench.restart());
    it.bench.advance(1000);
    other.bench.advance(LEASE_MS + 1000);
    const again = await other.claim();
    expect(again.map(keys).sort()).toEqual([['a'], ['b']]);
    expect(again.find(({ attemptId }) => attemptId === first!.attemptId)).toMatchObject({
      number: 2,
      rows: [{ eventId: first!.rows[0]!.eventId, keyNumber: 1n }],
    });
    // Who comes too late with its answer changes nothing.
    await it.tell(it.answered(first!, 200));
    expect(it.bench.list(attempts, { equals: [] })).toHaveLength(2);
    await other.tell(...again.map((attempt) => other.answered(attempt, 200)));
    expect((await other.claim()).map(keys)).toEqual([['a']]);
  });

  test('of an owner that is gone are free at once where there is only one sender', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    await it.claim();
    const other = pushed(it.bench.restart());
    const ask = { owner: newId(), outcomes: [], attempts: 10, waitMs: 0n };
    expect((await other.client.claimAttempts({ ...ask, alone: false })).attempts).toEqual([]);
    other.grant('b'); // Something must be due, or nobody looks.
    expect((await other.client.claimAttempts({ ...ask, alone: true })).attempts.map(keys)).toEqual([['a'], ['b']]);
  });

  test('are not more than an endpoint may have', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    for (let i = 0; i < 1200; i++) it.grant(`l${i}`, { run: false });
    it.bench.run();
    const started: Attempt[] = [];
    for (;;) {
      const more = await it.claim();
      if (more.length === 0) break;
      started.push(...more);
    }
    expect(started.map(({ rows }) => rows.length)).toEqual(Array(FIRST_WIDTH).fill(100));
    expect((await it.claim(10, [it.answered(started[0]!, 200)])).map(({ rows }) => rows.length)).toEqual([100]);
    // It took two at full width: one more than before.
    expect(await it.claim(10, [it.answered(started[1]!, 200)])).toHaveLength(2);
  });

  test('of many schools, whose mail comes in turns, are still of many rows each', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    const schools = Array.from({ length: 40 }, (_, i) => `00000007000${10 + i}AB00000`);
    for (let i = 0; i < 1600; i++) it.grant(`l${i % 800}`, { school: schools[i % 40]!, run: false });
    it.bench.run();
    const seen: string[] = [];
    let requests = 0;
    for (let started = await it.claim(); started.length > 0; started = await it.claim()) {
      for (const attempt of started) {
        expect(new Set(attempt.rows.map(({ schoolOin }) => schoolOin)).size).toBe(1);
        requests += 1;
        seen.push(...attempt.rows.map(({ key, keyNumber }) => `${key}/${String(keyNumber).padStart(4, '0')}`));
      }
      await it.tell(...started.map((attempt) => it.answered(attempt, 200)));
    }
    expect(seen).toHaveLength(1600);
    expect(requests).toBeLessThan(250);
    for (let key = 0; key < 800; key++) {
      const of = seen.filter((one) => one.startsWith(`l${key}/`));
      expect(of).toEqual([...of].sort());
    }
  });

  test('wait for mail', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    const asked = it.client.claimAttempts({ owner: 'o', outcomes: [], attempts: 1, waitMs: 30_000n, alone: false });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const since = performance.now();
    it.grant('a');
    expect((await asked).attempts.map(keys)).toEqual([['a']]);
    expect(performance.now() - since).toBeLessThan(25_000);
  });
});

describe('what fails', () => {
  test('an attempt that nobody takes is sent again as it was, and nothing else meanwhile', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    it.grant('b');
    const [first] = await it.claim();
    await it.tell(it.answered(first!, 503));
    it.grant('c');
    expect(await it.claim()).toEqual([]);
    it.bench.advance(1000);
    const [again, ...more] = await it.claim();
    expect(more).toEqual([]);
    expect(again).toMatchObject({ attemptId: first!.attemptId, number: 2 });
    expect(keys(again)).toEqual(['a', 'b']);
    await it.tell(it.answered(again!, 200));
    expect(await it.drain()).toEqual(['c']);
  });

  test('one message that is refused parks its key alone, whatever it was sent with', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    for (let i = 0; i < 250; i++) it.grant(`l${i}`, { run: false });
    it.grant('l77', { run: false });
    it.bench.run();
    const taken = new Set<string>();
    await it.drain((attempt) => {
      if (attempt.rows.some(({ key }) => key === 'l77')) return 422;
      for (const { key } of attempt.rows) taken.add(key);
      return 200;
    });
    expect(taken.size).toBe(249);
    expect(it.bench.list(pushKeys, { equals: [] })).toMatchObject([
      { key: 'l77', rows: 2, parked: 1, status: 422, code: 'peer.refused', failures: 1 },
    ]);
    const { parked } = await it.client.listParkedRows({ schoolOin: '', partyOin: '' });
    expect(parked).toMatchObject([{ key: 'l77', standard: 'webhook', status: 422, rows: 2n, code: 'peer.refused' }]);
    // Later mail of it stays behind; after a retry all of it goes, in order.
    it.grant('l77');
    expect(await it.drain()).toEqual([]);
    expect(await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: 'l77', action: 'retry' })).toEqual({
      keys: 1,
      rows: 3n,
    });
    expect(await it.drain()).toEqual(['l77', 'l77', 'l77']);
    expect(it.bench.list(setAside, { equals: [] })).toEqual([]);
  });

  test('a message that never gets an answer parks after its attempts; others do not wait for it', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('sick');
    let tried = 0;
    const parked = () => it.bench.list(pushKeys, { equals: [] }).some((row) => row.parked);
    for (let i = 0; i < 2000 && !parked(); i++) {
      it.grant(`well${i}`);
      for (
        let started = await it.claim(), first = true;
        started.length > 0;
        started = await it.claim(), first = false
      ) {
        // Those that are well are under way at once, whatever became of the sick one.
        if (first) expect(started.flatMap((attempt) => keys(attempt))).toContain(`well${i}`);
        for (const attempt of started) {
          const isSick = keys(attempt)!.includes('sick');
          if (isSick && attempt.rows.length === 1) tried += 1;
          await it.tell(isSick ? it.outcome(attempt, 'unanswered', { cause: 'timeout' }) : it.answered(attempt, 200));
        }
      }
      it.bench.advance(2_000);
    }
    expect(tried).toBeGreaterThanOrEqual(MOST_FAILURES - 1);
    expect(tried).toBeLessThanOrEqual(MOST_FAILURES + 1);
    expect((await it.client.listParkedRows({ schoolOin: '', partyOin: '' })).parked).toMatchObject([
      { key: 'sick', code: 'peer.unknown_outcome' },
    ]);
  });

  test('while an endpoint takes nothing its keys do not park, for days', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    it.grant('b');
    for (let ms = 0; ms < LONGEST_TRY_MS / 2; ms += 600_000) {
      for (const attempt of await it.claim()) await it.tell(it.answered(attempt, 500));
      it.bench.advance(600_000);
    }
    expect(it.bench.list(pushKeys, { equals: [] }).filter(({ parked }) => parked)).toEqual([]);
    it.bench.advance(600_000);
    expect((await it.drain()).sort()).toEqual(['a', 'b']);
  });

  test('a sick endpoint holds up no other', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.endpoint(SELLER, 'https://b.example/hook');
    for (let i = 0; i < 20; i++) {
      it.grant(`l${i}`);
      it.grant(`m${i}`, { platform: SELLER });
      const started = await it.claim();
      expect(started.filter(({ partyOin }) => partyOin === SELLER)).toHaveLength(1);
      await it.tell(...started.map((attempt) => it.answered(attempt, attempt.partyOin === SELLER ? 200 : 503)));
    }
  });

  test('an endpoint that is gone gets nothing until it is named again', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    expect(await it.drain(() => 410)).toEqual(['a']);
    it.grant('b');
    it.bench.advance(86_400_000);
    expect(await it.claim()).toEqual([]);
    expect((await it.client.listEndpoints({ idle: false, partyOin: '' })).endpoints).toMatchObject([
      { state: 'gone', status: 410, oldestMs: expect.any(BigInt) },
    ]);
    it.endpoint(PLATFORM, 'https://b.example/other');
    const started = await it.claim();
    expect(started.map(keys)).toEqual([['a'], ['b']]);
    expect(started[0]!.url).toBe('https://b.example/other');
  });

  test('an endpoint that was taken away gets nothing, shows no trouble, and has what waited once there is one again', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    const [underWay] = await it.claim();
    it.endpoint(PLATFORM, '');
    await it.tell(it.answered(underWay!, 503));
    const { flowId } = it.grant('b');
    it.bench.advance(86_400_000);
    await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', action: 'retry' });
    expect(await it.claim()).toEqual([]);
    for (const partyOin of ['', PLATFORM])
      expect((await it.client.listEndpoints({ idle: true, partyOin })).endpoints).toEqual([]);
    const mailbox = {
      partyOin: PLATFORM,
      service: SERVICE_ENTITLEMENT,
      catalogue: false,
      after: 0n,
      limit: 0,
      waitMs: 0n,
    };
    expect((await it.client.readMailbox(mailbox)).rows.map((row) => row.flowId)).toContain(flowId);
    it.endpoint(PLATFORM);
    expect((await it.drain()).sort()).toEqual(['a', 'b']);
  });

  test('repeats of keys that failed are few at once', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    for (let i = 0; i < 30; i++) {
      it.grant(`sick${i}`);
      for (const attempt of await it.claim()) await it.tell(it.answered(attempt, 500));
      it.grant(`well${i}`);
      for (const attempt of await it.claim()) await it.tell(it.answered(attempt, 200));
    }
    expect(it.bench.list(pushKeys, { equals: [] }).length).toBeGreaterThan(10);
    it.bench.advance(120_000);
    const started = await it.claim();
    expect(started.length).toBeLessThanOrEqual(MOST_REPEATS);
    expect(started.length).toBeGreaterThan(0);
  });

  test('repeats that are stopped stop at once, and stay stopped over a restart and a success, until they are taken up', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    it.grant('b', { school: OTHER_SCHOOL });
    for (const attempt of await it.claim()) await it.tell(it.answered(attempt, 503));
    const stop = (which: { schoolOin?: string; key?: string }) =>
      it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', ...which, action: 'stop' });
    expect(await stop({ schoolOin: SCHOOL })).toEqual({ keys: 1, rows: 1n });
    expect(await stop({ schoolOin: SCHOOL })).toEqual({ keys: 0, rows: 0n });
    expect((await it.client.listParkedRows({ schoolOin: '', partyOin: '' })).parked).toMatchObject([
      { key: 'a', schoolOin: SCHOOL, code: 'peer.unavailable', status: 503, attempts: 1, stopped: true },
    ]);
    const other = pushed(it.bench.restart());
    other.bench.advance(60_000);
    // What is of the other school goes on; later mail of the key waits behind what was stopped.
    expect(await other.drain()).toEqual(['b']);
    other.grant('a');
    other.endpoint(PLATFORM);
    other.bench.advance(86_400_000);
    expect(await other.drain()).toEqual([]);
    expect(await other.client.resolveKeys({ partyOin: '', schoolOin: '', key: 'a', action: 'retry' })).toEqual({
      keys: 1,
      rows: 2n,
    });
    expect(await other.drain()).toEqual(['a', 'a']);
  });

  test('repeats are stopped, taken up and dropped by fault and by since when, and by nothing else', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.endpoint(SELLER, 'https://b.example/hook');
    const resolve = (action: string, more: { code?: string; fromMs?: bigint; untilMs?: bigint }) =>
      it.client.resolveKeys({ partyOin: '', schoolOin: '', key: '', action, ...more });
    const parkedKeys = async (more: { code?: string; fromMs?: bigint; untilMs?: bigint } = {}) =>
      (await it.client.listParkedRows({ schoolOin: '', partyOin: '', ...more })).parked.map(({ key }) => key).sort();
    // Refused, each by itself: the first before, the others after a moment.
    it.grant('early');
    expect(await it.drain(() => 422)).toEqual(['early']);
    it.bench.advance(60_000);
    const after = BigInt(it.bench.now());
    const { flowId } = it.grant('late', { school: OTHER_SCHOOL });
    expect(await it.drain(() => 422)).toEqual(['late']);
    // Not taken: repeated as long as nobody stops it.
    it.grant('away', { platform: SELLER });
    for (const attempt of await it.claim()) await it.tell(it.answered(attempt, 503));
    expect(await parkedKeys()).toEqual(['early', 'late']);
    expect(await parkedKeys({ fromMs: after })).toEqual(['late']);
    expect(await parkedKeys({ untilMs: after })).toEqual(['early']);
    expect(await parkedKeys({ code: 'peer.unavailable' })).toEqual([]);
    const { parked } = await it.client.listParkedRows({ schoolOin: OTHER_SCHOOL, partyOin: '' });
    expect(parked).toMatchObject([{ key: 'late', flowId }]);
    expect(await resolve('stop', { code: 'peer.unknown_outcome' })).toEqual({ keys: 0, rows: 0n });
    expect(await resolve('stop', { untilMs: after })).toEqual({ keys: 0, rows: 0n });
    expect(await resolve('stop', { code: 'peer.unavailable' })).toEqual({ keys: 1, rows: 1n });
    it.bench.advance(86_400_000);
    expect(await it.drain()).toEqual([]);
    expect(await parkedKeys({ code: 'peer.unavailable' })).toEqual(['away']);
    expect(await resolve('drop', { code: 'peer.refused', untilMs: after })).toEqual({ keys: 1, rows: 1n });
    expect(await resolve('retry', { code: 'peer.refused' })).toEqual({ keys: 1, rows: 1n });
    expect(await it.drain()).toEqual(['late']);
    expect(await parkedKeys()).toEqual(['away']);
    // A first attempt that is under way has failed nobody yet.
    it.grant('new');
    const [attempt] = await it.claim();
    expect(await resolve('stop', { code: 'peer.unavailable', fromMs: 1n })).toEqual({ keys: 0, rows: 0n });
    await it.tell(it.answered(attempt!, 200));
  });

  test('what was taken up again fails since no moment: no choice by time is about it', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    const resolve = (action: string, more: { fromMs?: bigint; untilMs?: bigint } = {}) =>
      it.client.resolveKeys({ partyOin: '', schoolOin: '', key: '', action, ...more });
    it.grant('again');
    expect(await it.drain(() => 422)).toEqual(['again']);
    expect(await resolve('retry')).toEqual({ keys: 1, rows: 1n });
    // Long before it came.
    for (const action of ['drop', 'stop'])
      expect(await resolve(action, { untilMs: 1n }), action).toEqual({ keys: 0, rows: 0n });
    expect(await it.drain()).toEqual(['again']);
  });

  test('by fault or time nothing is given up that no list shows', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    const resolve = (action: string, more: { code?: string; untilMs?: bigint } = {}) =>
      it.client.resolveKeys({ partyOin: '', schoolOin: '', key: '', action, ...more });
    for (const key of ['a', 'b']) it.grant(key);
    // Each by itself after the first: of the one it does not get through, and sends it again.
    for (let i = 0; i < 3; i++)
      for (const attempt of await it.claim())
        await it.tell(it.answered(attempt, attempt.rows.some(({ key }) => key === 'b') ? 500 : 200));
    expect(it.bench.list(pushKeys, { equals: [] })).toMatchObject([{ key: 'b', code: 'peer.unavailable', parked: 0 }]);
    const which = { code: 'peer.unavailable', untilMs: BigInt(it.bench.now() + 1) };
    const listed = async () => (await it.client.listParkedRows({ schoolOin: '', partyOin: '', ...which })).parked;
    expect(await listed()).toEqual([]);
    expect(await resolve('drop', which)).toEqual({ keys: 0, rows: 0n });
    // Once it is stopped it is shown.
    expect(await resolve('stop', which)).toEqual({ keys: 1, rows: 1n });
    expect(await listed()).toMatchObject([{ key: 'b' }]);
    expect(await resolve('drop', which)).toEqual({ keys: 1, rows: 1n });
  });

  test('what was taken up again and waits for its turn is stopped too; and it is not shown as given up while it waits', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    for (let i = 0; i < 300; i++) it.grant(`l${i}`);
    const resolve = (action: string) => it.client.resolveKeys({ partyOin: '', schoolOin: '', key: '', action });
    const claimed: Attempt[] = [];
    for (let i = 0; i < 3; i++) claimed.push(...(await it.claim(1)));
    expect(claimed.flatMap(({ rows }) => rows)).toHaveLength(300);
    await it.tell(...claimed.map((attempt) => it.answered(attempt, 503)));
    expect(await resolve('stop')).toEqual({ keys: 300, rows: 300n });
    expect(await resolve('retry')).toEqual({ keys: 300, rows: 300n });
    expect((await it.client.listParkedRows({ schoolOin: '', partyOin: '' })).parked).toEqual([]);
    const [one, ...more] = await it.claim(1);
    expect([one!.rows.length, more]).toEqual([100, []]);
    // What is being tried again is not taken up twice.
    expect(await resolve('retry')).toEqual({ keys: 0, rows: 0n });
    expect(await resolve('stop')).toEqual({ keys: 300, rows: 300n });
    await it.tell(it.answered(one!, 503));
    it.bench.advance(600_000);
    expect(await it.drain()).toEqual([]);
    const { parked } = await it.client.listParkedRows({ schoolOin: '', partyOin: '' });
    expect(new Set(parked.map(({ code, stopped }) => `${code} ${stopped}`))).toEqual(
      new Set(['peer.unavailable true']),
    );
    expect(await resolve('retry')).toEqual({ keys: 300, rows: 300n });
    expect(await it.drain()).toHaveLength(300);
    it.grant('l0');
    expect(await resolve('stop')).toEqual({ keys: 0, rows: 0n });
    expect(await it.drain()).toEqual(['l0']);
  });

  test('what waits behind a stopped message of its key, and was sent with it before, stays when that is taken', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    for (let i = 0; i < 3; i++) it.grant('a');
    const [all] = await it.claim();
    expect(keys(all!)).toEqual(['a', 'a', 'a']);
    await it.tell(it.answered(all!, 500));
    const [first] = await it.claim();
    expect(keys(first!)).toEqual(['a']);
    const resolve = (action: string) => it.client.resolveKeys({ partyOin: '', schoolOin: '', key: 'a', action });
    expect(await resolve('stop')).toEqual({ keys: 1, rows: 3n });
    await it.tell(it.answered(first!, 200));
    it.bench.advance(600_000);
    expect(await it.drain()).toEqual([]);
    expect(await resolve('retry')).toEqual({ keys: 1, rows: 2n });
    expect(await it.drain()).toEqual(['a', 'a']);
  });

  test('what waits behind a message whose learner was forgotten goes, though the rest of its attempt is sent again', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    it.grant('b');
    const [first] = await it.claim();
    it.bench.advance(10);
    it.bench.submit('LearnerForgotten', { schoolOin: SCHOOL, learner: 'a' }, 'a', { school: SCHOOL });
    it.bench.advance(10);
    it.grant('a');
    await it.claim();
    await it.tell(it.answered(first!, 503));
    it.bench.advance(60_000);
    expect(await it.drain()).toEqual(['b', 'a']);
    expect(it.bench.list(setAside, { equals: [] })).toEqual([]);
  });

  test('what is under way when its repeats are stopped is not sent again if it fails, by key; and its success is one', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    for (const key of ['a', 'b', 'c']) it.grant(key);
    const stop = (key: string) => it.client.resolveKeys({ partyOin: '', schoolOin: '', key, action: 'stop' });
    const [first] = await it.claim();
    expect(await stop('b')).toEqual({ keys: 1, rows: 1n });
    await it.tell(it.outcome(first!, 'unanswered', { cause: 'timeout' }));
    it.bench.advance(60_000);
    expect((await it.drain()).sort()).toEqual(['a', 'c']);
    expect(it.bench.list(pushKeys, { equals: [] })).toMatchObject([
      { key: 'b', code: 'peer.unknown_outcome', rows: 1 },
    ]);
    await it.client.resolveKeys({ partyOin: '', schoolOin: '', key: 'b', action: 'retry' });
    const [again] = await it.claim();
    await stop('b');
    await it.tell(it.answered(again!, 200));
    for (const table of [attempts, pushKeys, setAside])
      expect(it.bench.list(table as Table, { equals: [] })).toEqual([]);
    // Whose sender dies meanwhile is not sent again either: whether it was taken nobody knows.
    it.grant('d');
    await it.claim();
    await stop('d');
    const other = pushed(it.bench.restart());
    other.bench.advance(LEASE_MS * 2);
    expect(await other.drain()).toEqual([]);
    expect(other.bench.list(pushKeys, { equals: [] })).toMatchObject([{ key: 'd', code: 'peer.unknown_outcome' }]);
  });

  test('attempts are counted over all: also before it was taken up again, and while it was sent with others', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    const { flowId } = it.grant('bad', { run: false });
    it.grant('good', { run: false });
    it.grant('bad');
    /** What its flow, the operator's list and its party's say. */
    const counted = async () => {
      const { parked } = await it.client.listParkedRows({ schoolOin: '', partyOin: PLATFORM });
      const { letters } = await it.client.listDeadLetters({ partyOin: PLATFORM, after: '', limit: 0 } as never);
      const { deliveries } = await it.client.flowRows({ flowId });
      return [deliveries[0]!.attempts, ...[...parked, ...letters].map(({ attempts }) => attempts)];
    };
    let sent = 0;
    const tell = async (attempt: Attempt, status: number) => {
      if (attempt.rows.some((row) => row.flowId === flowId)) sent += 1;
      await it.tell(it.answered(attempt, status));
      it.bench.advance(100_000);
    };
    // Three times with others, the last of them by its own fault; then by itself.
    for (const status of [503, 503, 422]) await tell((await it.claim(1))[0]!, status);
    const refuse = async () => {
      for (let started = await it.claim(); started.length > 0; started = await it.claim())
        for (const one of started) await tell(one, keys(one)!.includes('bad') ? 422 : 200);
    };
    await refuse();
    expect(sent).toBe(5);
    expect(await counted()).toEqual([5, 5, 5]);
    const retry = () => it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', action: 'retry' });
    await retry();
    expect((await counted())[0]).toBe(5);
    await refuse();
    expect(await counted()).toEqual([7, 7, 7]);
    await retry();
    await tell((await it.claim())[0]!, 503);
    expect((await counted())[0]).toBe(8);
    expect(await it.drain()).toEqual(['bad', 'bad']);
    expect([sent, ...(await counted())]).toEqual([8, 9]);
  });

  test('attempts before it was taken up again count for what is stopped, dropped, and waits with its school', async () => {
    const it = reported();
    const flow = it.record('a');
    const attemptsOf = async () => (await it.rowOf(flow)).attempts;
    const which = { partyOin: DASHBOARD, schoolOin: '', key: '' };
    await it.tell(it.answered((await it.claim())[0]!, 500, { reach: 'school', cause: 'Client.AutorisatieOngeldig' }));
    expect(await attemptsOf()).toBe(1);
    await it.client.resolveKeys({ ...which, action: 'retry' });
    const [second] = await it.claim();
    await it.client.resolveKeys({ ...which, action: 'stop' });
    await it.tell(it.answered(second!, 500, { reach: 'message', cause: '' }));
    expect(await attemptsOf()).toBe(2);
    await it.client.resolveKeys({ ...which, action: 'retry' });
    await it.tell(it.answered((await it.claim())[0]!, 500, { reach: 'message', cause: '' }));
    await it.client.resolveKeys({ ...which, action: 'drop' });
    expect(await it.rowOf(flow)).toMatchObject({ state: 'dropped', attempts: 3 });
  });

  test('what is dropped is gone, and its flow says so', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    const { flowId } = it.grant('a');
    await it.drain(() => 400);
    expect((await it.client.flowRows({ flowId })).deliveries).toMatchObject([
      { state: 'parked', code: 'peer.refused', status: 400, attempts: 1, standard: 'webhook' },
    ]);
    expect(await it.client.resolveKeys({ partyOin: '', schoolOin: SCHOOL, key: '', action: 'drop' })).toEqual({
      keys: 1,
      rows: 1n,
    });
    expect((await it.client.flowRows({ flowId })).deliveries).toMatchObject([{ state: 'dropped', status: 400 }]);
    it.grant('a');
    expect(await it.drain()).toEqual(['a']);
    await expect(it.client.resolveKeys({ partyOin: '', schoolOin: '', key: '', action: 'no' })).rejects.toMatchObject({
      fault: 'wire.invalid',
    });
  });
});

describe('what may not be sent', () => {
  test('leaves the mailbox until it may, and comes back in order', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.mandate(MANDATE_STATE_ENDED);
    it.grant('a');
    it.grant('b');
    const [first] = await it.claim();
    it.grant('a');
    await it.claim(); // Sets the third aside.
    await it.tell(it.outcome(first!, 'withheld', { code: 'mandate.ended' }));
    it.grant('b');
    expect(await it.claim()).toEqual([]);
    for (const table of [attempts, pushKeys, setAside])
      expect(it.bench.list(table as Table, { equals: [] })).toEqual([]);
    it.mandate(MANDATE_STATE_ACTIVE);
    const [again] = await it.claim();
    expect(again?.rows.map(({ key, keyNumber }) => [key, keyNumber])).toEqual([
      ['a', 1n],
      ['a', 3n],
      ['b', 2n],
      ['b', 4n],
    ]);
    await it.tell(it.answered(again!, 200));
    expect(await it.drain()).toEqual([]);
  });

  test('is tried again shortly where a door judged by an older copy', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.mandate(MANDATE_STATE_ACTIVE);
    it.grant('a');
    const [first] = await it.claim();
    await it.tell(it.outcome(first!, 'withheld', { code: 'mandate.unconfirmed' }));
    expect(await it.claim()).toEqual([]);
    it.bench.advance(300);
    const [again] = await it.claim();
    expect(again).toMatchObject({ attemptId: first!.attemptId, number: 2 });
    await it.tell(it.answered(again!, 204));
    // The receiver saw one.
    expect(it.bench.list(outcomes, { equals: [] })).toMatchObject([{ state: 'delivered', attempts: 1 }]);
  });

  test('what could not be prepared is no attempt at its receiver', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    const [first] = await it.claim();
    await it.tell(it.outcome(first!, 'unsent', { code: 'gateway.overloaded' }));
    it.bench.advance(2_000);
    const [second] = await it.claim();
    await it.tell(it.answered(second!, 503));
    it.bench.advance(600_000);
    const [third] = await it.claim();
    await it.tell(it.answered(third!, 204));
    expect(it.bench.list(outcomes, { equals: [] })).toMatchObject([{ state: 'delivered', attempts: 2 }]);
  });

  test('of a forgotten learner ends as forgotten, also between two attempts', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    const { flowId } = it.grant('a');
    it.grant('b');
    const [first] = await it.claim();
    await it.tell(it.answered(first!, 503));
    it.bench.advance(1000);
    it.bench.submit('LearnerForgotten', { learner: 'a', schoolOin: SCHOOL }, 'a', { school: SCHOOL });
    expect((await it.claim()).map(keys)).toEqual([['b']]);
    expect((await it.client.flowRows({ flowId })).deliveries).toMatchObject([{ state: 'forgotten' }]);
  });

  test('what there was nothing to tell of is over, and its flow says so', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    const { flowId } = it.grant('a');
    const [first] = await it.claim();
    await it.tell(it.answered(first!, 200, { untold: [first!.rows[0]!.number] }));
    expect((await it.client.flowRows({ flowId })).deliveries).toMatchObject([{ state: 'untold' }]);
  });

  test('our own fault with one message parks its key only', async () => {
    const it = pushed();
    it.endpoint(PLATFORM);
    it.grant('a');
    it.grant('b');
    for (let i = 0; i < 300; i++) {
      for (const attempt of await it.claim())
        await it.tell(
          keys(attempt)!.includes('a')
            ? it.outcome(attempt, 'unsent', { code: 'gateway.bug' })
            : it.answered(attempt, 200),
        );
      it.bench.advance(60_000);
    }
    expect(it.bench.list(pushKeys, { equals: [] })).toMatchObject([{ key: 'a', parked: 1, code: 'gateway.bug' }]);
  });
});

test('a flow says how far its deliveries are', async () => {
  const it = pushed();
  it.endpoint(PLATFORM);
  const { flowId } = it.grant('a');
  const state = async () => (await it.client.flowRows({ flowId })).deliveries[0];
  expect(await state()).toMatchObject({ state: 'waiting', standard: 'webhook', attempts: 0 });
  const [first] = await it.claim();
  expect(await state()).toMatchObject({ state: 'sending', attempts: 1 });
  await it.tell(it.outcome(first!, 'unanswered', { cause: 'timeout' }));
  expect(await state()).toMatchObject({ state: 'failing', attempts: 1, code: 'peer.unknown_outcome' });
  it.bench.advance(5_000);
  const [again] = await it.claim();
  await it.tell(it.answered(again!, 200));
  expect(await state()).toMatchObject({ state: 'delivered', attempts: 2, status: 200 });
});

test('mail leaves after thirty days, and with it what became of it', async () => {
  const it = pushed();
  it.endpoint(PLATFORM);
  it.grant('a');
  await it.drain();
  it.grant('b');
  await it.drain(() => 400);
  it.bench.advance(62 * 86_400_000);
  for (const table of [outcomes, pushKeys, setAside]) expect(it.bench.list(table as Table, { equals: [] })).toEqual([]);
});

test('parts are whole keys in their order; of one key the first row goes alone', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 2, maxLength: 60 }), (list) => {
      const members = list.map((key, i) => ({ key, first: i, number: i, flowId: '', eventId: '', atMs: 0 }));
      const parts = partsOf(members);
      expect(parts.flatMap(({ rows, behind }) => [...rows, ...behind]).sort((a, b) => a.first - b.first)).toEqual(
        members,
      );
      for (const { rows } of parts) expect(rows.length).toBeLessThan(members.length);
      for (const key of new Set(list)) {
        expect(parts.filter(({ rows }) => rows.some((row) => row.key === key))).toHaveLength(1);
        const firsts = parts
          .flatMap(({ rows, behind }) => [...rows, ...behind])
          .flatMap((row) => (row.key === key ? row.first : []));
        expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
      }
    }),
  );
});

const { SERVICE_RESULT } = Service;
const DASHBOARD = '00000001000000000021';

/** A dashboard that has results over UWLR, and whatever endpoints it has besides. */
function reported(endpoints = [{ standard: UWLR, url: 'https://d.example/uwlr' }]) {
  const it = pushed();
  const register = (named: typeof endpoints) =>
    it.bench.submit(
      'PartyRegistered',
      {
        party: {
          oin: DASHBOARD,
          name: '',
          roles: [Role.ROLE_DASHBOARD],
          endpoints: named,
          boardOin: '',
          sectors: [],
          attributes: [],
          requiresAcceptance: false,
        },
      },
      DASHBOARD,
    );
  register(endpoints);
  for (const schoolOin of [SCHOOL, OTHER_SCHOOL])
    it.bench.submit(
      'MandateChanged',
      {
        mandate: {
          mandateId: 'm',
          schoolOin,
          partyOin: DASHBOARD,
          services: [SERVICE_RESULT],
          state: MANDATE_STATE_ACTIVE,
        } as never,
      },
      schoolOin,
    );
  let made = 0;
  const record = (learner: string, schoolOin = SCHOOL) =>
    it.bench.submit(
      'ResultRecorded',
      { result: { resultId: `r${++made}`, schoolOin, learner, byOin: PLATFORM } as never },
      learner,
      { school: schoolOin },
    );
  const rowOf = async (flowId: string) => (await it.client.flowRows({ flowId })).deliveries[0]!;
  return { ...it, register, record, rowOf };
}

describe('results over UWLR', () => {
  test('go to that endpoint under a longer lease, and everything else to the webhook', async () => {
    const it = reported();
    it.record('a');
    const [attempt, ...more] = await it.claim();
    expect(more).toEqual([]);
    expect(attempt).toMatchObject({ standard: UWLR, url: 'https://d.example/uwlr', service: SERVICE_RESULT });
    expect(attempt!.leaseMs).toBe(35_000n);
    expect(leaseMsOf('webhook')).toBe(LEASE_MS);
    it.record('a');
    // Another process takes it over after that lease, and not before.
    const other = pushed(it.bench.restart());
    other.bench.advance(LEASE_MS + 1_000);
    expect(await other.claim()).toEqual([]);
    other.bench.advance(35_000 - LEASE_MS);
    expect((await other.claim()).map(({ attemptId, number }) => [attemptId, number])).toEqual([
      [attempt!.attemptId, 2],
    ]);
  });

  test('are taken from a webhook that the party has as well, and given back when the endpoint goes', async () => {
    const hook = { standard: 'webhook', url: 'https://d.example/hook' };
    const it = reported([hook]);
    const first = it.record('a');
    await it.tell(...(await it.claim()).map((attempt) => it.answered(attempt, 200)));
    it.register([hook, { standard: UWLR, url: 'https://d.example/uwlr' }]);
    it.record('b');
    await it.claim();
    const [both] = await it.claim();
    // What the webhook brought is not brought again.
    expect([both!.standard, keys(both)]).toEqual([UWLR, ['b']]);
    await it.tell(it.answered(both!, 200));
    expect(await it.rowOf(first)).toMatchObject({ state: 'delivered', standard: 'webhook' });
    it.register([hook]);
    it.record('c');
    await it.claim();
    const [back] = await it.claim();
    expect([back!.standard, keys(back)]).toEqual(['webhook', ['c']]);
  });

  test('of a school that is refused wait together, those of others go on; both are shown', async () => {
    const it = reported();
    const flow = it.record('a');
    it.record('b', OTHER_SCHOOL);
    const started = await it.claim();
    const [refused, other] = [SCHOOL, OTHER_SCHOOL].map((one) => started.find(({ schoolOin }) => schoolOin === one)!);
    const cause = 'Client.AutorisatieOngeldig';
    await it.tell(it.answered(refused!, 500, { reach: 'school', cause }), it.answered(other!, 200));
    // What comes of it later is not sent either, what comes of another school is.
    it.record('c');
    it.record('d', OTHER_SCHOOL);
    const next = await it.claim();
    expect(next.map(keys)).toEqual([['d']]);
    await it.tell(it.answered(next[0]!, 200));
    expect(await it.rowOf(flow)).toMatchObject({ state: 'failing', code: 'peer.refused', cause, status: 500 });
    const { parked } = await it.client.listParkedRows({ schoolOin: SCHOOL, partyOin: '' });
    expect(parked).toMatchObject([
      { schoolOin: SCHOOL, standard: UWLR, key: '', rows: 2n, code: 'peer.refused', cause },
    ]);
    expect(Number(parked[0]!.nextMs) - it.bench.now()).toBe(SCHOOL_WAIT_MS);
    // It rests across restarts, then all of it goes in one message.
    const later = pushed(it.bench.restart());
    later.bench.advance(SCHOOL_WAIT_MS - 1);
    expect(await later.claim()).toEqual([]);
    later.bench.advance(1);
    const again = await later.claim();
    expect(again.map((attempt) => keys(attempt)!.sort())).toEqual([['a', 'c']]);
    await later.tell(later.answered(again[0]!, 200));
    for (const table of [attempts, pushKeys, pushSchools, setAside])
      expect(later.bench.list(table as Table, { equals: [] })).toEqual([]);
  });

  test.each([1, 2])(
    'of a school that was refused and is taken meanwhile wait no longer (told in %d calls)',
    async (calls) => {
      const it = reported();
      it.record('a');
      const [first] = await it.claim();
      it.record('b');
      const [second] = await it.claim();
      const refusal = it.answered(first!, 500, { reach: 'school', cause: 'Client.AutorisatieOngeldig' });
      const success = it.answered(second!, 200);
      if (calls === 1) await it.tell(refusal, success);
      else {
        await it.tell(refusal);
        await it.tell(success);
      }
      expect((await it.claim()).map(keys)).toEqual([['a']]);
      expect((await it.client.listParkedRows({ schoolOin: '', partyOin: '' })).parked).toEqual([]);
    },
  );

  test('of a refused school go at once when an operator says so', async () => {
    const it = reported();
    it.record('a');
    const [first] = await it.claim();
    await it.tell(it.outcome(first!, 'unsent', { reach: 'school', code: 'gateway.unavailable', cause: 'settings' }));
    expect(await it.claim()).toEqual([]);
    await it.client.resolveKeys({ partyOin: '', schoolOin: SCHOOL, key: '', action: 'retry' });
    expect((await it.claim()).map(keys)).toEqual([['a']]);
  });

  test('of a refused school is given up by its fault too, as it is shown', async () => {
    const it = reported();
    it.record('a');
    const [first] = await it.claim();
    await it.tell(it.outcome(first!, 'unsent', { reach: 'school', code: 'gateway.unavailable', cause: 'settings' }));
    const which = { partyOin: '', schoolOin: '', code: 'gateway.unavailable' };
    expect((await it.client.listParkedRows(which)).parked).toMatchObject([{ key: '', rows: 1n }]);
    expect(await it.client.resolveKeys({ ...which, key: '', action: 'drop' })).toEqual({ keys: 1, rows: 1n });
  });

  test('a message that is refused is found among others, and parks its key with the word of the standard', async () => {
    const it = reported();
    for (const learner of ['a', 'b', 'c']) it.record(learner);
    const cause = 'Client.LeerlingOngeldig';
    for (let round = 0; round < 4; round++)
      for (const attempt of await it.claim()) {
        const isBad = attempt.rows.some(({ key }) => key === 'b');
        await it.tell(isBad ? it.answered(attempt, 500, { reach: 'message', cause }) : it.answered(attempt, 200));
      }
    const { parked } = await it.client.listParkedRows({ schoolOin: '', partyOin: DASHBOARD });
    expect(parked).toMatchObject([{ key: 'b', rows: 1n, code: 'peer.refused', cause, status: 500, nextMs: 0n }]);
    expect(it.bench.list(outcomes, { equals: [] })).toHaveLength(2);
  });

  test('that did not fit go in another message, of a key all or none; what had no place is shown', async () => {
    const it = reported();
    const flow = it.record('a');
    it.record('b');
    it.record('b');
    it.record('c');
    const [first] = await it.claim();
    const [a, b] = first!.rows;
    const losses = [{ number: a!.number, losses: [{ element: 'goals', reason: 'no_place', count: 2 }] }];
    // One row of b names its key.
    const next = await it.claim(10, [it.answered(first!, 200, { rest: [b!.number], losses })]);
    expect(next.map(keys)).toEqual([['b', 'b']]);
    expect(await it.rowOf(flow)).toMatchObject({
      state: 'delivered',
      losses: [{ element: 'goals', reason: 'no_place', count: 2 }],
    });
    await it.tell(it.answered(next[0]!, 200));
    expect(it.bench.list(outcomes, { equals: [] })).toHaveLength(4);
    expect(it.bench.list(attempts, { equals: [] })).toEqual([]);
  });
});

describe('a mailbox that changes its endpoint', () => {
  const HOOK = { standard: 'webhook', url: 'https://a.example/hook' };
  const OWN = { standard: 'webhook-entitlement', url: 'https://a.example/own' };

  /** Claims three times: what moves does so in calls of its own. */
  const claimed = async (it: ReturnType<typeof pushed>) => [
    ...(await it.claim()),
    ...(await it.claim()),
    ...(await it.claim()),
  ];
  const where = (started: readonly Attempt[]) =>
    started
      .flatMap(({ standard, url, rows }) => rows.map(({ key }) => `${key} ${standard} ${new URL(url).pathname}`))
      .sort();

  test('there is a standard for each mailbox, and only one of its own service or all takes it', () => {
    expect(new Set(MAILBOXES.flatMap(standardsOf))).toEqual(new Set(STANDARDS));
    expect(standardsOf(SERVICE_ENTITLEMENT)).toEqual(['webhook-entitlement', 'webhook']);
    expect(standardsOf(Service.SERVICE_RESULT)).toEqual([UWLR, 'webhook-result', 'webhook']);
    expect(standardsOf(Service.SERVICE_UNSPECIFIED)).toEqual(['webhook-mandates']);
  });

  test('goes where its party says, service by service: elsewhere, by the webhook of all, or nowhere', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, [HOOK, OWN, { standard: 'webhook-roster', url: 'none' }]);
    const order = () =>
      it.bench.submit('OrderPlaced', { lines: [{ sellerOin: PLATFORM }], buyerOin: '' } as never, SCHOOL, {
        school: SCHOOL,
      });
    it.grant('a');
    order();
    expect(where(await it.claim())).toEqual([`${SCHOOL} webhook /hook`, 'a webhook-entitlement /own']);
    // Of its own to the one, and the other is not sent: it lies there for who watches it.
    it.name(PLATFORM, [{ standard: 'webhook-order', url: 'https://a.example/orders' }]);
    const { flowId } = it.grant('b');
    order();
    it.bench.advance(LEASE_MS);
    expect(where(await claimed(it))).toContain(`${SCHOOL} webhook-order /orders`);
    expect((await it.client.flowRows({ flowId })).deliveries).toMatchObject([{ state: 'ready', standard: '' }]);
    it.name(PLATFORM, [HOOK, { ...OWN, url: 'none' }]);
    expect(where(await claimed(it)).filter((one) => one.startsWith('b'))).toEqual([]);
    expect((await it.client.flowRows({ flowId })).deliveries).toMatchObject([{ state: 'ready', standard: '' }]);
    it.name(PLATFORM, [HOOK]);
    expect(where(await claimed(it))).toContain('b webhook /hook');
  });

  test.each([
    ['to one of its own', [HOOK], [HOOK, OWN], '/own'],
    ['back to the webhook of all', [HOOK, OWN], [HOOK], '/hook'],
    ['to one of its own, when the other is gone', [HOOK], [OWN], '/own'],
  ])('%s takes along what waits, is parked, is stopped and is under way', async (_, from, to, path) => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, from);
    const status: Record<string, number> = { waits: 500, parked: 422, stopped: 500 };
    for (const learner of Object.keys(status)) {
      it.grant(learner);
      const [attempt] = await it.claim(1);
      await it.tell(it.answered(attempt!, status[learner]!));
      // Between them one goes well, so that its endpoint does not rest.
      it.grant('well');
      for (const one of await it.claim(1)) await it.tell(it.answered(one, 200));
    }
    await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: 'stopped', action: 'stop' });
    it.grant('sent');
    const [underWay] = await it.claim(1);
    it.grant('sent');
    it.grant('waits');
    it.name(PLATFORM, to);
    it.grant('new');
    // Of this mailbox nothing begins before what is under way has ended.
    expect(await claimed(it)).toEqual([]);
    await it.tell(it.answered(underWay!, 200));
    const sent: string[] = [];
    for (let round = 0; round < 8; round++)
      for (const attempt of await it.claim()) {
        sent.push(...where([attempt]));
        await it.tell(it.answered(attempt, 200));
      }
    const standard = path === '/own' ? 'webhook-entitlement' : 'webhook';
    const there = (learner: string) => `${learner} ${standard} ${path}`;
    expect(sent.sort()).toEqual([there('new'), there('sent'), there('waits'), there('waits')]);
    const { parked } = await it.client.listParkedRows({ schoolOin: '', partyOin: PLATFORM });
    expect(parked.map((row) => [row.key, row.standard, row.stopped ?? false]).sort()).toEqual([
      ['parked', standard, false],
      ['stopped', standard, true],
    ]);
    await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', action: 'retry' });
    expect(where(await it.claim())).toEqual([there('parked'), there('stopped')]);
  });

  test('takes over, under its ids, what nobody knows of whether it was taken', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, [HOOK]);
    it.grant('a');
    const [first] = await it.claim();
    it.name(PLATFORM, [HOOK, OWN]);
    expect(await claimed(it)).toEqual([]);
    it.restart();
    it.bench.advance(LEASE_MS);
    const [again] = await claimed(it);
    expect(again).toMatchObject({ attemptId: first!.attemptId, number: 2, url: OWN.url, standard: OWN.standard });
    // What the first one says now is late.
    await it.tell(it.answered(first!, 422));
    expect(await it.rowsOf(pushKeys)).toEqual([]);
  });

  test.each([
    ['is sent nowhere now', [{ ...OWN, url: 'none' }]],
    ['is sent nowhere now, by the same name', [{ ...HOOK, url: 'none' }]],
    ['has no endpoint any more', []],
  ])('and %s lets go of what a dead sender had once its lease is over, though nobody comes by', async (_, to) => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, [HOOK]);
    const { flowId } = it.grant('a');
    const [first] = await it.claim();
    const stateOf = async () => (await it.client.flowRows({ flowId })).deliveries[0]!.state;
    it.name(PLATFORM, to);
    it.restart();
    expect(await claimed(it)).toEqual([]);
    expect(await stateOf()).toBe('sending');
    it.bench.advance(LEASE_MS);
    expect(await claimed(it)).toEqual([]);
    expect(await it.rowsOf(pushMoves)).toEqual([]);
    expect(await it.rowsOf(attempts)).toMatchObject([{ attemptId: first!.attemptId, started: 0 }]);
    expect(await stateOf()).toBe('waiting');
    // And nobody comes by again for nothing.
    for (const { dueMs } of await it.rowsOf(endpoints)) expect(dueMs).toBe(NEVER);
    it.name(PLATFORM, [HOOK]);
    expect(await claimed(it)).toMatchObject([{ attemptId: first!.attemptId, number: 2, url: HOOK.url }]);
  });

  test('hears what became of it in the call in which it would move, also when its lease has passed', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, [HOOK]);
    it.grant('a');
    const [first] = await it.claim();
    it.name(PLATFORM, [HOOK, OWN]);
    it.bench.advance(LEASE_MS);
    expect(await it.claim(100, [it.answered(first!, 200)])).toEqual([]);
    expect(await claimed(it)).toEqual([]);
  });

  test('of many keys moves them a part at a time, and may change its mind meanwhile', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, [HOOK]);
    const learners = Array.from({ length: 450 }, (_, i) => `l${i}`);
    for (const learner of learners) it.grant(learner);
    // They find no place.
    const first = await it.claim(1);
    it.name(PLATFORM, [HOOK, OWN]);
    await it.tell(...first.map((one) => it.answered(one, 200)));
    await it.claim();
    expect((await it.rowsOf(pushMoves)).length).toBe(1);
    it.name(PLATFORM, [HOOK]);
    await it.claim();
    it.name(PLATFORM, [HOOK, OWN]);
    const sent: string[] = [];
    for (let round = 0; round < 30; round++)
      for (const attempt of await it.claim()) {
        expect(attempt.url).toBe(OWN.url);
        sent.push(...attempt.rows.map(({ key }) => key));
        await it.tell(it.answered(attempt, 200));
      }
    expect([...first[0]!.rows.map(({ key }) => key), ...sent].sort()).toEqual([...learners].sort());
    for (const table of [attempts, pushKeys, pushMoves, setAside]) expect(await it.rowsOf(table as Table)).toEqual([]);
  });

  test('of a school that the one of before refused, its mail goes at once', async () => {
    const hook = { standard: 'webhook-result', url: 'https://d.example/results' };
    const it = reported();
    it.record('a');
    const [refused] = await it.claim();
    await it.tell(it.answered(refused!, 500, { reach: 'school', cause: 'Client.AutorisatieOngeldig' }));
    it.record('b');
    it.register([hook]);
    const [taken] = await claimed(it);
    expect([taken!.standard, keys(taken)!.sort()]).toEqual(['webhook-result', ['a', 'b']]);
    await it.tell(it.answered(taken!, 200));
    // Back at the one that refused it, it still does.
    it.register([hook, { standard: UWLR, url: 'https://d.example/uwlr' }]);
    it.record('c');
    expect(await claimed(it)).toEqual([]);
    it.bench.advance(SCHOOL_WAIT_MS);
    expect((await claimed(it)).map((one) => [one.standard, keys(one)])).toEqual([[UWLR, ['c']]]);
  });

  test('is found by the id of a request that went out over UWLR first, where nothing was known by it', async () => {
    const it = reported();
    const flows: string[] = [];
    it.record('first');
    const [first] = await it.claim(1);
    for (const learner of ['a', 'b']) flows.push(it.record(learner));
    await it.tell(it.answered(first!, 200));
    const [over] = await it.claim();
    it.register([{ standard: 'webhook-result', url: 'https://d.example/results' }]);
    it.restart();
    it.bench.advance(leaseMsOf(UWLR));
    const [again] = await claimed(it);
    expect(again).toMatchObject({ attemptId: over!.attemptId, standard: 'webhook-result' });
    const { rows } = await it.client.findDelivered({ id: again!.attemptId, partyOin: DASHBOARD });
    expect(rows.map(({ flowId }) => flowId).sort()).toEqual(flows.sort());
  });

  test('that a mandate gives back later does not bring again what the other one brought', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, [HOOK]);
    it.grant('a');
    expect(await it.drain()).toEqual(['a']);
    // Another reader takes the row out, and it comes back under a fresh number.
    await it.client.parkRows({
      partyOin: PLATFORM,
      service: SERVICE_ENTITLEMENT,
      numbers: [1n],
      code: 'mandate.ended',
    });
    it.mandate(MANDATE_STATE_ENDED);
    await it.client.parkRows({
      partyOin: PLATFORM,
      service: SERVICE_ENTITLEMENT,
      numbers: [1n],
      code: 'mandate.ended',
    });
    it.name(PLATFORM, [HOOK, OWN]);
    it.mandate(MANDATE_STATE_ACTIVE);
    it.grant('b');
    await it.claim();
    expect(await it.drain()).toEqual(['b']);
  });
});

describe('an endpoint of a mailbox that was not sent', () => {
  const HOOK = { standard: 'webhook', url: 'https://a.example/hook' };
  type Named = { standard: string; url: string; fromMs?: bigint };
  const kept = async (it: ReturnType<typeof pushed>, after: Named[], before: Named[] = []) =>
    (await it.client.listKept({ partyOin: PLATFORM, roles: [], before, after })).kept;
  const sent = async (it: ReturnType<typeof pushed>) => {
    const keys: string[] = [];
    for (let round = 0; round < 5; round++) keys.push(...(await it.drain()));
    return keys;
  };

  test('is told of before: how much, of which service, since when, and what of it is before a moment', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, []);
    expect(await kept(it, [HOOK])).toEqual([]);
    const first = it.bench.now();
    it.grant('a');
    it.bench.advance(60_000);
    const later = BigInt(it.bench.now());
    it.grant('b');
    it.grant('b');
    const of = { service: SERVICE_ENTITLEMENT, oldestMs: BigInt(first), more: false };
    expect(await kept(it, [HOOK])).toEqual([{ ...of, standard: 'webhook', messages: 3n, left: 0n }]);
    expect(await kept(it, [{ ...HOOK, fromMs: later }])).toMatchObject([{ messages: 3n, left: 1n }]);
    const own = { ...HOOK, standard: 'webhook-entitlement' };
    expect(await kept(it, [HOOK, own])).toMatchObject([{ standard: 'webhook-entitlement', messages: 3n }]);
    // Neither what goes elsewhere, nor what is sent already, nor what will not be.
    expect(await kept(it, [{ ...HOOK, standard: 'webhook-order' }])).toEqual([]);
    expect(await kept(it, [HOOK, own], [HOOK])).toEqual([]);
    expect(await kept(it, [HOOK, { ...own, url: 'none' }])).toEqual([]);
    expect(await kept(it, [HOOK], [HOOK, { ...own, url: 'none' }])).toMatchObject([{ messages: 3n }]);
  });

  test.each([
    ['all that is kept', () => 0n, ['a', 'b', 'c', 'd']],
    ['what came since a moment', (moment: bigint) => moment, ['c', 'd']],
    ['what comes from now on', (_: bigint, now: bigint) => now, ['d']],
  ])('begins with %s, and says of the rest that it lies there', async (_, fromOf, expected) => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, []);
    const flows = new Map(['a', 'b'].map((learner) => [learner, it.grant(learner).flowId]));
    it.bench.advance(300_000);
    const moment = BigInt(it.bench.now());
    flows.set('c', it.grant('c').flowId);
    it.bench.advance(300_000);
    const fromMs = fromOf(moment, BigInt(it.bench.now()));
    it.name(PLATFORM, [{ ...HOOK, fromMs }]);
    flows.set('d', it.grant('d').flowId);
    expect(await sent(it)).toEqual(expected);
    // Named again for another reason, and after a restart, nothing of it changes.
    const again = pushed(it.bench.restart());
    again.name(PLATFORM, [{ ...HOOK, fromMs }]);
    expect(await sent(again)).toEqual([]);
    for (const [learner, flowId] of flows)
      expect((await again.client.flowRows({ flowId })).deliveries).toMatchObject([
        { state: expected.includes(learner) ? 'delivered' : 'ready' },
      ]);
    // Who watches sees all.
    const address = { partyOin: PLATFORM, service: SERVICE_ENTITLEMENT, catalogue: false };
    const { rows } = await again.client.readMailbox({ ...address, after: 0n, limit: 10, waitMs: 0n });
    expect(rows.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('leaves from now on what waited at the one that was taken away; what is parked or stopped stays with who parked it', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, [HOOK]);
    for (const [learner, status] of [
      ['waits', 500],
      ['parked', 422],
    ] as const) {
      it.grant(learner);
      const [attempt] = await it.claim(1);
      await it.tell(it.answered(attempt!, status));
    }
    it.grant('unknown');
    it.grant('behind');
    const [unknown] = await it.claim(1);
    expect(keys(unknown)).toContain('unknown');
    it.grant('unknown');
    it.name(PLATFORM, []);
    it.bench.advance(300_000);
    it.restart();
    const now = BigInt(it.bench.now());
    expect(await kept(it, [{ ...HOOK, fromMs: now }])).toMatchObject([{ messages: 4n, left: 4n }]);
    it.name(PLATFORM, [{ ...HOOK, fromMs: now }]);
    it.grant('waits');
    it.grant('parked');
    expect(await sent(it)).toEqual(['waits']);
    await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', action: 'retry' });
    expect(await sent(it)).toEqual(['parked', 'parked']);
    for (const table of [attempts, pushKeys, pushMoves, setAside]) expect(await it.rowsOf(table as Table)).toEqual([]);
  });

  test('sends what waits behind a message that is left', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.name(PLATFORM, [HOOK]);
    const { flowId } = it.grant('a');
    await it.claim();
    it.bench.advance(LEASE_MS / 3);
    const fromMs = BigInt(it.bench.now());
    const behind = it.grant('a').flowId;
    await it.claim();
    it.name(PLATFORM, []);
    it.restart();
    it.bench.advance(300_000);
    it.name(PLATFORM, [{ ...HOOK, fromMs }]);
    expect(await sent(it)).toEqual(['a']);
    const stateOf = async (id: string) => (await it.client.flowRows({ flowId: id })).deliveries[0]!.state;
    expect([await stateOf(flowId), await stateOf(behind)]).toEqual(['ready', 'delivered']);
  });

  test('leaves what a mandate gives back later, where that came before', async () => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ENDED);
    it.name(PLATFORM, []);
    it.grant('a');
    await it.client.parkRows({
      partyOin: PLATFORM,
      service: SERVICE_ENTITLEMENT,
      numbers: [1n],
      code: 'mandate.ended',
    });
    const now = BigInt(it.bench.now() + 1);
    it.bench.advance(1);
    it.name(PLATFORM, [{ ...HOOK, fromMs: now }]);
    it.mandate(MANDATE_STATE_ACTIVE);
    it.grant('b');
    expect(await sent(it)).toEqual(['b']);
  });

  /** A mailbox that is not sent, and of which a mandate withholds all. */
  const withheld = async (learners: readonly string[]) => {
    const it = pushed();
    it.mandate(MANDATE_STATE_ENDED);
    it.name(PLATFORM, []);
    for (const learner of learners) it.grant(learner);
    const numbers = learners.map((_, i) => BigInt(i + 1));
    await it.client.parkRows({ partyOin: PLATFORM, service: SERVICE_ENTITLEMENT, numbers, code: 'mandate.ended' });
    it.bench.advance(300_000);
    return { ...it, nowMs: () => BigInt(it.bench.now()) };
  };

  test('counts what a mandate withholds among what is left, from now on and from a moment', async () => {
    for (const isNow of [true, false]) {
      const it = await withheld(['a', 'b']);
      const fromMs = it.nowMs();
      if (!isNow) {
        it.bench.advance(300_000);
        it.grant('c');
      }
      const messages = isNow ? 2n : 3n;
      expect(await kept(it, [{ ...HOOK, fromMs }])).toMatchObject([{ messages, left: 2n }]);
      it.name(PLATFORM, [{ ...HOOK, fromMs }]);
      it.mandate(MANDATE_STATE_ACTIVE);
      expect(await sent(it)).toEqual(isNow ? [] : ['c']);
    }
  });

  test('sends what it was to leave once, and a mandate gives back, when it is named again with all that is kept', async () => {
    const it = await withheld(['a']);
    it.name(PLATFORM, [{ ...HOOK, fromMs: it.nowMs() }]);
    await it.claim();
    it.name(PLATFORM, []);
    const all = { ...HOOK, fromMs: 0n };
    expect(await kept(it, [all])).toMatchObject([{ messages: 1n, left: 0n }]);
    it.name(PLATFORM, [all]);
    it.mandate(MANDATE_STATE_ACTIVE);
    expect(await sent(it)).toEqual(['a']);
  });
});

/** What a receiver saw, and what is known of each sending. */
class Ledger {
  readonly #seen = new Set<string>();
  readonly #last = new Map<string, bigint>();
  /** Attempts of an event that had a success told: it must not come again. */
  readonly #sure = new Set<string>();
  repeats = 0;

  receive(attempt: Attempt): void {
    for (const { eventId, key, keyNumber, schoolOin } of attempt.rows) {
      const id = Buffer.from(eventId).toString('hex');
      if (this.#sure.has(id)) throw new Error('sent again after its success was known');
      if (this.#seen.has(id)) {
        this.repeats += 1;
        continue;
      }
      this.#seen.add(id);
      const lane = `${attempt.partyOin}/${schoolOin}/${key}`;
      if ((this.#last.get(lane) ?? 0n) >= keyNumber) throw new Error('a first arrival out of order');
      this.#last.set(lane, keyNumber);
    }
  }

  known(attempt: Attempt): void {
    for (const { eventId } of attempt.rows) this.#sure.add(Buffer.from(eventId).toString('hex'));
  }

  get size(): number {
    return this.#seen.size;
  }
}

type Step =
  | { do: 'grant'; key: number; school: number; party: number }
  | { do: 'claim'; most: number }
  | { do: 'answer'; which: number; how: number }
  | { do: 'crash' }
  | { do: 'mandate'; active: boolean }
  | { do: 'name'; which: number }
  | { do: 'stop' | 'retry'; school: number; key: number }
  | { do: 'wait'; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('grant' as const), key: fc.nat(5), school: fc.nat(1), party: fc.nat(1) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('claim' as const), most: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('answer' as const), which: fc.nat(7), how: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mandate' as const), active: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('name' as const), which: fc.nat(4) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('stop' as const, 'stop' as const, 'retry' as const),
      school: fc.nat(1),
      key: fc.integer({ min: -1, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(20_000) }) },
);

/** What a party may have named: from all to its webhook to nothing at all. */
const ALL = { standard: 'webhook', url: 'https://a.example/hook' };
const OWN = { standard: 'webhook-entitlement', url: 'https://a.example/own' };
const NAMED = [[ALL], [ALL, OWN], [OWN], [], [ALL, { ...OWN, url: 'none' }]];

/** Runs steps against the rows, with a receiver that takes what it was sent whatever answer came of it. */
async function run(steps: readonly Step[], plant?: (it: ReturnType<typeof pushed>) => void): Promise<Ledger> {
  let it = pushed();
  it.endpoint(PLATFORM);
  it.endpoint(SELLER);
  it.mandate(MANDATE_STATE_ACTIVE);
  const parties = [PLATFORM, SELLER];
  const schools = [SCHOOL, OTHER_SCHOOL];
  const ledger = new Ledger();
  let granted = 0;
  let live: Attempt[] = [];
  let isActive = true;
  /** When each was first seen here, by the clock of the bench. */
  const since = new Map<Attempt, number>();
  /** What left once, by its event; and of that, what an operator stopped since. */
  type Lane = Pick<Attempt, 'partyOin' | 'schoolOin'> & { key: string };
  const left = new Map<string, Lane>();
  const stopped = new Map<string, Lane>();
  const leaves = (attempt: Attempt) => {
    for (const row of attempt.rows) {
      const id = uuidText(row.eventId);
      if (stopped.has(id)) throw new Error('sent again after its repeats were stopped');
      left.set(id, { partyOin: attempt.partyOin, schoolOin: row.schoolOin, key: row.key });
    }
  };
  const isOver = (attempt: Attempt, ms: number) => it.bench.now() + ms >= (since.get(attempt) ?? 0) + LEASE_MS;
  const held = () => {
    for (const attempt of live)
      if (!since.has(attempt)) {
        since.set(attempt, it.bench.now());
        leaves(attempt);
      }
    const all = live.flatMap(({ partyOin, rows }) => [
      ...new Set(rows.map(({ key, schoolOin }) => `${partyOin}/${schoolOin}/${key}`)),
    ]);
    if (new Set(all).size !== all.length) throw new Error('a key is in two attempts');
  };
  const answer = async (attempt: Attempt, how: number) => {
    live = live.filter((one) => one !== attempt);
    const told: AttemptOutcome[] = [];
    outcomeOf(attempt, how, told);
    // Now and then outcomes and a question for more go in one call.
    if (granted % 2) await it.tell(...told);
    else live.push(...(await it.claim(how % 4, told)));
    held();
  };
  const outcomeOf = (attempt: Attempt, how: number, told: AttemptOutcome[]) => {
    const isEnded = !isActive && attempt.partyOin === PLATFORM && attempt.schoolOin === SCHOOL;
    if (isEnded) {
      // It leaves the mailbox with all of its keys, and comes back as new.
      const out = new Set(attempt.rows.map(({ key }) => key));
      for (const [id, { partyOin, schoolOin, key }] of left)
        if (partyOin === PLATFORM && schoolOin === SCHOOL && out.has(key)) {
          left.delete(id);
          stopped.delete(id);
        }
      return told.push(it.outcome(attempt, 'withheld', { code: 'mandate.ended' }));
    }
    if (how === 0) return told.push(it.outcome(attempt, 'unsent', { code: 'gateway.overloaded' }));
    if (how === 1) return told.push(it.outcome(attempt, 'unanswered', { cause: 'refused' }));
    if (how === 12) return told.push(it.outcome(attempt, 'unsent', { code: 'gateway.unavailable', reach: 'school' }));
    if (how === 13) return told.push(it.outcome(attempt, 'unsent', { code: 'gateway.unavailable', reach: 'endpoint' }));
    if (how === 14) {
      // Some keys did not fit in the request.
      const apart = new Set(attempt.rows.map(({ key }) => key).slice(1));
      const sent = { ...attempt, rows: attempt.rows.filter(({ key }) => !apart.has(key)) };
      const whole = sent.rows.length === 0 ? attempt : sent;
      ledger.receive(whole);
      ledger.known(whole);
      const rest = attempt.rows.filter(({ key }) => apart.has(key)).map(({ number }) => number);
      return told.push(it.answered(attempt, 200, { rest }));
    }
    ledger.receive(attempt);
    if (how === 15)
      return told.push(it.answered(attempt, 500, { reach: 'school', cause: 'Client.AutorisatieOngeldig' }));
    if (how === 2) return told.push(it.outcome(attempt, 'unanswered', { cause: 'timeout' }));
    if (how === 3) return told.push(it.outcome(attempt, 'unanswered', { cause: 'stale' }));
    const status = [500, 503, 422, 429][how - 4] ?? 200;
    if (status === 200) ledger.known(attempt);
    return told.push(it.answered(attempt, status));
  };
  for (const one of steps) {
    plant?.(it);
    switch (one.do) {
      case 'grant':
        it.grant(`l${one.key}`, { school: schools[one.school]!, platform: parties[one.party]! });
        granted += 1;
        break;
      case 'claim':
        live.push(...(await it.claim(one.most)));
        held();
        break;
      case 'answer': {
        const attempt = live[one.which % Math.max(1, live.length)];
        if (attempt) await answer(attempt, one.how);
        break;
      }
      case 'crash': {
        // Half of what was under way had reached its receiver.
        for (const [i, attempt] of live.entries()) if (i % 2) ledger.receive(attempt);
        live = [];
        it = pushed(it.bench.restart());
        it.bench.advance(LEASE_MS);
        break;
      }
      case 'mandate':
        isActive = one.active;
        it.mandate(isActive ? MANDATE_STATE_ACTIVE : MANDATE_STATE_ENDED);
        break;
      case 'name':
        it.name(PLATFORM, NAMED[one.which]!);
        break;
      case 'stop':
      case 'retry': {
        const [schoolOin, key] = [schools[one.school]!, one.key < 0 ? '' : `l${one.key}`];
        await it.client.resolveKeys({ partyOin: '', schoolOin, key, action: one.do });
        for (const [id, row] of left) {
          if (row.schoolOin !== schoolOin || (key !== '' && row.key !== key)) continue;
          if (one.do === 'stop') stopped.set(id, row);
          else stopped.delete(id);
        }
        break;
      }
      case 'wait':
        // A sender drops what its lease does not cover any more; some of it had reached its receiver.
        for (const [i, attempt] of live.entries()) if (i % 2 && isOver(attempt, one.ms)) ledger.receive(attempt);
        live = live.filter((attempt) => !isOver(attempt, one.ms));
        it.bench.advance(one.ms);
    }
  }
  // All is mended: everything arrives.
  isActive = true;
  it.mandate(MANDATE_STATE_ACTIVE);
  it.name(PLATFORM, NAMED[1 + (granted % 2)]!);
  while (live.length > 0) await answer(live[0]!, 9);
  await it.client.resolveKeys({ partyOin: '', schoolOin: '', key: '', action: 'retry' });
  stopped.clear();
  for (let round = 0; round < 200; round++) {
    live.push(...(await it.claim()));
    held();
    while (live.length > 0) await answer(live[0]!, 9);
    it.bench.advance(5_000);
  }
  if (ledger.size !== granted) throw new Error(`${granted - ledger.size} of ${granted} never arrived`);
  for (const table of [attempts, pushKeys, pushMoves, setAside])
    expect(it.bench.list(table as Table, { equals: [] })).toEqual([]);
  for (const row of it.bench.list(endpoints, { equals: [] })) if (!row.gone) expect(row.full).toBe(0);
  return ledger;
}

describe('whatever happens', () => {
  test('nothing is lost, nothing of a key overtakes, and nothing comes again after its success is known', async () => {
    let repeats = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 120 }), async (steps) => {
        repeats += (await run(steps)).repeats;
      }),
      { numRuns: 150 },
    );
    // The runs were hard enough to make some.
    expect(repeats).toBeGreaterThan(0);
  });

  test('what an operator stopped is not sent again before it is taken up, however the two follow each other', async () => {
    const resolving = fc.record({
      do: fc.constantFrom('stop' as const, 'retry' as const),
      school: fc.nat(1),
      key: fc.constantFrom(-1, -1, 0, 1),
    });
    const hard: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('grant' as const),
          key: fc.nat(1),
          school: fc.nat(1),
          party: fc.constant(0),
        }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('claim' as const), most: fc.integer({ min: 1, max: 3 }) }) },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('answer' as const),
          which: fc.nat(3),
          how: fc.constantFrom(2, 4, 4, 5, 6, 9, 12, 14, 15),
        }),
      },
      { weight: 4, arbitrary: resolving },
      { weight: 1, arbitrary: step },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(hard, { minLength: 10, maxLength: 80 }), async (steps) => {
        await run(steps);
      }),
      { numRuns: 150 },
    );
  });

  test('a row that is lost is found', async () => {
    const steps: Step[] = [
      { do: 'grant', key: 1, school: 0, party: 0 },
      { do: 'claim', most: 1 },
      { do: 'grant', key: 1, school: 0, party: 0 },
      { do: 'claim', most: 1 },
      { do: 'wait', ms: 1 },
    ];
    const lose = (it: ReturnType<typeof pushed>) =>
      it.bench.view.note((unit) => {
        for (const row of unit.list(setAside, { equals: [] })) {
          unit.remove(setAside, row.party, row.standard, row.service, row.school, row.key, row.first);
          unit.remove(pushKeys, row.party, row.standard, row.service, row.school, row.key);
        }
      });
    await expect(run(steps, lose)).rejects.toThrow('never arrived');
  });

  test('a key that is forgotten to be busy is found', async () => {
    const steps: Step[] = [
      { do: 'grant', key: 1, school: 0, party: 0 },
      { do: 'claim', most: 1 },
      { do: 'grant', key: 1, school: 0, party: 0 },
      { do: 'claim', most: 1 },
    ];
    const forget = (it: ReturnType<typeof pushed>) =>
      it.bench.view.note((unit) => {
        for (const row of unit.list(attempts, { equals: [] }))
          unit.put(attempts, { ...row, members: row.members.map((member) => ({ ...member, key: 'another' })) });
      });
    await expect(run(steps, forget)).rejects.toThrow('a key is in two attempts');
  });
});
