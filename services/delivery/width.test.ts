/**
 * How many requests endpoints have at once, by simulated receivers and a clock that the test moves. Nothing is drawn but from
 * seeds, so each run is the same.
 */
import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { Role } from '#proto/eduk/core/v1/party';
import { type Attempt, AttemptOutcome, DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import {
  afterAnswer,
  breakerOf,
  drawn,
  MOST_DOUBTS,
  MOST_WIDTH,
  MOST_WIDTH_UWLR,
  newEndpoint,
  pace,
  roomOf,
  widthOf,
} from './endpoint.ts';
import { delivery } from './index.ts';

const PARTY = '00000001000000000003';
const SCHOOL = '0000000700012AB00000';
/** What a sender needs to write a request, and what a commit needs to take its outcome in. */
const OWN_MS = 3;

interface Receiver {
  answer(at: { now: number; inFlight: number; asked: number }): {
    status: number;
    afterMs: number;
    retryAfterS?: number;
  };
}

/** Takes so many at once, each for about so long; whatever comes above that is refused at once. */
const takes = (most: number, ms: number): Receiver => ({
  answer: ({ inFlight, asked }) =>
    inFlight > most ? { status: 429, afterMs: 1 } : { status: 200, afterMs: ms * (0.7 + 0.6 * drawn(`${asked}`)) },
});

interface Request {
  endpoint: string;
  attempt: Attempt;
  fromMs: number;
  untilMs: number;
  status: number;
  retryAfterS: number;
}

type Limits = Record<string, { maxInFlight?: number; maxPerSecond?: number }>;

/** A sender with so many places, its receivers, and a clock. */
function chain(receivers: Record<string, Receiver>, named: Limits = {}, places = 256) {
  const bench = testBench(delivery);
  let client = bench.client(DeliveryServiceDefinition);
  const schoolNames = Array.from({ length: 1_000 }, (_, i) => `00000007${String(10_000 + i)}AB00000`);
  for (const oin of Object.keys(receivers))
    bench.submit(
      'PartyRegistered',
      {
        party: {
          oin,
          name: '',
          roles: [Role.ROLE_PLATFORM],
          endpoints: [{ standard: 'webhook', url: `https://${oin}.example/`, ...named[oin] }],
          boardOin: '',
          sectors: [],
          attributes: [],
          requiresAcceptance: false,
        },
      },
      oin,
    );
  let made = 0;
  /** Every row of its own school, so that each is a request. */
  const feed = (oin: string, rows: number, school = '') => {
    for (let i = 0; i < rows; i++)
      bench.append(
        'EntitlementGranted',
        {
          terms: { entitlementId: `e${++made}` } as never,
          schoolOin: school,
          holder: { learner: `l${made}`, group: '' },
          byOin: '',
          publisherOin: '',
          platformOin: oin,
        },
        `l${made}`,
        { school: school || schoolNames[made % schoolNames.length]! },
      );
    bench.run();
  };
  let now = 0;
  let under: Request[] = [];
  const done: Request[] = [];
  let asked = 0;
  /** Runs until then; `each` is called before each step with the time. */
  async function run(untilMs: number, each: (now: number) => void = () => undefined): Promise<void> {
    while (now < untilMs) {
      each(now);
      const over = under.filter((one) => one.untilMs <= now);
      under = under.filter((one) => one.untilMs > now);
      done.push(...over);
      const outcomes = over.map(({ attempt, status, retryAfterS }) =>
        AttemptOutcome.fromPartial({
          attemptId: attempt.attemptId,
          partyOin: attempt.partyOin,
          standard: attempt.standard,
          number: attempt.number,
          result: 'answered',
          status,
          retryAfterS,
        }),
      );
      const { attempts } = await client.claimAttempts({
        owner: 'o',
        outcomes,
        attempts: places - under.length,
        waitMs: 0n,
        alone: false,
      });
      for (const attempt of attempts) {
        const inFlight =
          under.filter(({ endpoint, status }) => endpoint === attempt.partyOin && status === 200).length + 1;
        const {
          status,
          afterMs,
          retryAfterS = 0,
        } = receivers[attempt.partyOin]!.answer({ now, inFlight, asked: ++asked });
        under.push({
          endpoint: attempt.partyOin,
          attempt,
          fromMs: now,
          untilMs: now + OWN_MS + Math.round(afterMs),
          status,
          retryAfterS,
        });
      }
      now += OWN_MS;
      bench.advance(OWN_MS);
    }
  }
  const statusOf = async (oin: string) => (await client.listEndpoints({ idle: true, partyOin: oin })).endpoints[0]!;
  const inFlight = (oin: string) => under.filter((one) => one.endpoint === oin && one.status === 200).length;
  /** Another replica goes on with what the rows say. */
  const restart = () => {
    client = bench.restart().client(DeliveryServiceDefinition);
  };
  return { feed, run, done, statusOf, inFlight, restart };
}

describe('a receiver that takes so many at once', () => {
  test.each([
    [2, 60],
    [8, 120],
    [32, 300],
  ])('%i: has about so many after half a minute, and refuses under 2 %%', async (most, ms) => {
    const it = chain({ [PARTY]: takes(most, ms) });
    let rows = 0;
    const seen: number[] = [];
    await it.run(40_000, (now) => {
      if (rows < it.done.length + 200) {
        it.feed(PARTY, 200);
        rows += 200;
      }
      if (now >= 30_000) seen.push(it.inFlight(PARTY));
    });
    const mean = seen.reduce((sum, one) => sum + one, 0) / seen.length;
    expect(mean).toBeGreaterThan(most * 0.75);
    expect(mean).toBeLessThanOrEqual(most);
    const refused = it.done.filter(({ status }) => status === 429).length;
    expect(refused / it.done.length).toBeLessThan(0.02);
    // What was found out is in the row: another replica, or this one after a restart, goes on with it.
    it.restart();
    expect((await it.statusOf(PARTY)).width).toBeGreaterThan(most * 0.75);
    expect((await it.statusOf(PARTY)).width).toBeLessThanOrEqual(most + 2);
  });
});

describe('what a party says of its endpoint', () => {
  test('so many at once is never more', async () => {
    const it = chain({ [PARTY]: takes(100, 60) }, { [PARTY]: { maxInFlight: 6 } });
    it.feed(PARTY, 600);
    let most = 0;
    await it.run(5_000, () => {
      most = Math.max(most, it.inFlight(PARTY));
    });
    expect(most).toBe(6);
    expect(await it.statusOf(PARTY)).toMatchObject({ maxInFlight: 6, maxPerSecond: 0, breaker: 'closed' });
  });

  test.each([5, 50])('so many a second (%i) is never more, and no less while there is mail', async (perSecond) => {
    const it = chain({ [PARTY]: takes(100, 30) }, { [PARTY]: { maxPerSecond: perSecond } });
    it.feed(PARTY, 700);
    await it.run(10_000);
    const starts = it.done.map(({ fromMs }) => fromMs);
    expect(starts.length).toBeGreaterThan(perSecond * 9);
    for (const from of starts)
      expect(starts.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(perSecond * 1.1 + 1);
  });

  test('a pace that another clock noted far ahead holds up nothing', () => {
    const now = 1_800_000_000_000;
    const row = {
      ...newEndpoint(PARTY, 'webhook', 'https://a.example/', { mostAtOnce: 0, perSecond: 1 }),
      paceMs: now + 9e9,
    };
    expect(roomOf(row, 0, now)).toBe(1);
    const once = pace(row, 1, now);
    expect(roomOf(once.row, 0, now)).toBe(0);
    expect(once.nextMs).toBe(now + 1_000);
    expect(roomOf(once.row, 0, once.nextMs!)).toBe(1);
  });
});

test('who comes back under load is met by one request, and then by few more each time it took them', async () => {
  const BACK_MS = 8_000;
  const it = chain({
    [PARTY]: {
      answer: ({ now }) => (now < BACK_MS && now > 500 ? { status: 503, afterMs: 1 } : { status: 200, afterMs: 100 }),
    },
  });
  let rows = 0;
  const feed = () => {
    if (rows >= it.done.length + 300) return;
    it.feed(PARTY, 200);
    rows += 200;
  };
  await it.run(BACK_MS, feed);
  const away = it.done.filter(({ fromMs }) => fromMs > 2_000);
  // While it is away it is tried now and then, one request at a time.
  expect(away.length).toBeLessThan(40);
  for (const one of away)
    expect(away.some((other) => other !== one && other.fromMs >= one.fromMs && other.fromMs < one.untilMs)).toBe(false);
  const before = it.done.length;
  const took = () => it.done.slice(before).filter(({ status }) => status === 200);
  // How long it rests is drawn by lot.
  let ranMs = BACK_MS;
  while (took().length === 0 && ranMs < 600_000) await it.run((ranMs += 1_000), feed);
  await it.run(ranMs + 15_000, feed);
  const taken = took();
  const first = taken[0]!.fromMs;
  const round = (i: number) =>
    taken.filter(({ fromMs }) => fromMs >= first + i * 102 && fromMs < first + (i + 1) * 102).length;
  expect(round(0)).toBe(1);
  for (let i = 1; i < 8; i++) expect(round(i)).toBeLessThanOrEqual(Math.max(2, round(i - 1) * 2));
  expect((await it.statusOf(PARTY)).width).toBeGreaterThan(8);
});

describe('of fifty endpoints', () => {
  const oinOf = (i: number): string => `0000000100000001${String(1000 + i)}`;
  const SLOW = oinOf(47);
  const AWAY = oinOf(48);
  const BUSY = oinOf(49);
  const sick: Record<string, Receiver> = {
    [SLOW]: { answer: () => ({ status: 200, afterMs: 2_000 }) },
    [AWAY]: { answer: ({ now }) => (now < 60_000 ? { status: 503, afterMs: 5 } : { status: 200, afterMs: 20 }) },
    [BUSY]: { answer: () => ({ status: 429, afterMs: 5, retryAfterS: 7 }) },
  };

  /** How many deliveries to those that are well began later than at the first question for work after their mail was there. */
  async function waits(untilMs: number, places?: number): Promise<{ began: number; late: number }> {
    const well = Array.from({ length: 47 }, (_, i) => oinOf(i));
    const of = Object.fromEntries(well.map((oin, i) => [oin, takes(100, 10 + i)]));
    const it = chain({ ...of, ...sick }, {}, places);
    for (const oin of Object.keys(sick)) it.feed(oin, 400);
    let step = 0;
    const fed: number[] = [];
    await it.run(untilMs, (now) => {
      // Each in its turn, several at once: about 100 deliveries a second.
      if (step++ % 7 === 0)
        for (const i of [0, 1]) {
          it.feed(well[(fed.length + i) % well.length]!, 1, SCHOOL);
          fed.push(now);
        }
    });
    const began = it.done.filter(({ endpoint }) => well.includes(endpoint)).sort((a, b) => a.fromMs - b.fromMs);
    return { began: began.length, late: began.filter(({ fromMs }, i) => fromMs > fed[i]!).length };
  }

  test('a delivery to one that is well waits for one that is slow, away or busy zero times', async () => {
    const { began, late } = await waits(62_000);
    expect(began).toBeGreaterThan(5_000);
    expect(late).toBe(0);
  });

  test('such a wait would be found: a sender with no more places than the slow one takes', async () => {
    expect((await waits(10_000, 6)).late).toBeGreaterThan(0);
  });
});

test('an administration is widened to less than others, and no endpoint to more than its party says', () => {
  const widest = (standard: string, mostAtOnce: number) =>
    widthOf({ ...newEndpoint(PARTY, standard, ''), mostAtOnce, width: 1_000 });
  expect([widest('webhook', 0), widest('uwlr', 0)]).toEqual([MOST_WIDTH, MOST_WIDTH_UWLR]);
  expect([widest('webhook', 3), widest('uwlr', 20)]).toEqual([3, 20]);
});

test('one that goes on giving no answer in time comes back half as wide, and not to one', () => {
  const row = { ...newEndpoint(PARTY, 'webhook', 'https://a.example/'), width: 16, doubts: MOST_DOUBTS };
  const silent = { verdict: 'doubt', status: 0, cause: 'timeout', retryAfterS: 0, first: true } as const;
  const more = { isFull: true, others: 0 };
  const once = afterAnswer(row, { ...silent, ...more, startedMs: 1_000, seed: 'a' }, 1_000);
  expect(once).toMatchObject({ rests: 1, width: 1, narrowed: 8 });
  const twice = afterAnswer(once, { ...silent, ...more, startedMs: 2_000, seed: 'b' }, 2_000);
  expect(twice).toMatchObject({ rests: 2, width: 1, narrowed: 8 });
  // One that says so of the only request it has is found out anew, one by one.
  const busy = { ...silent, ...more, verdict: 'busy', status: 429, cause: '', startedMs: 1_000, seed: 'c' } as const;
  expect(afterAnswer(row, busy, 1_000)).toMatchObject({ rests: 1, width: 1, narrowed: 1 });
});

test('the breaker is open while it rests, half open while it is tried, and closed again', () => {
  const row = newEndpoint(PARTY, 'webhook', 'https://a.example/');
  expect(breakerOf(row, 1_000)).toBe('closed');
  expect(breakerOf({ ...row, rests: 1, restUntilMs: 2_000 }, 1_000)).toBe('open');
  expect(breakerOf({ ...row, rests: 1, restUntilMs: 2_000 }, 2_000)).toBe('half_open');
  expect(breakerOf({ ...row, gone: 1 }, 1_000)).toBe('open');
  // What an earlier release wrote has no width.
  expect(widthOf({ ...row, width: undefined as never })).toBe(4);
  expect(widthOf({ ...row, width: 1e9 })).toBe(MOST_WIDTH);
});
