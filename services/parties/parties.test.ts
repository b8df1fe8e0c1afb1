import { describe, expect, test } from 'vitest';
import { MemoryStore, testBench } from '#bus';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import {
  MandateChangeSubmitted,
  MandateReviewSubmitted,
  MandateSubmitted,
  PartyStandingSubmitted,
  PartySubmitted,
} from '#proto/eduk/events/v1/parties';
import { PartiesServiceDefinition, RegisterRun } from '#proto/eduk/parties/v1/parties';
import { parties } from './index.ts';
import { IDLE_MS, LONGEST_LINK_MS, LONGEST_MS, MOST_LINKS } from './serve.ts';
import { assertionsTable, linksTable, sessionsTable } from './tables.ts';

const SCHOOL = '0000000700001AB00000';
const BOARD = '00000003444444440000';
const PARTY = '00000003222222220000';
const OTHER = '00000003333333330000';
const { MANDATE_STATE_ACTIVE: ACTIVE, MANDATE_STATE_RUN_OFF: RUN_OFF, MANDATE_STATE_ENDED: ENDED } = MandateState;
const digest = (n: number) => new Uint8Array(32).fill(n);

function start(store = new MemoryStore(), now?: number) {
  const bench = testBench(parties, { store, now: now ?? '2026-11-22T10:00:00Z' });
  const client = bench.client(PartiesServiceDefinition);
  return {
    bench,
    store,
    name: (oin: string, roles: Role[] = [Role.ROLE_PUBLISHER], credentials: object = {}) =>
      bench.submit(
        'PartySubmitted',
        PartySubmitted.fromPartial({ party: { oin, name: 'Naam', roles }, credentials }),
        oin,
      ),
    grant: (mandateId: string, more: object = {}, about: { key?: number; by?: string; confirm?: boolean } = {}) =>
      bench.submit(
        'MandateSubmitted',
        MandateSubmitted.fromPartial({
          mandate: {
            mandateId,
            schoolOin: SCHOOL,
            partyOin: PARTY,
            services: [Service.SERVICE_ROSTER],
            attributes: ['a'],
            ...more,
          },
          keyDigest: about.key ? digest(about.key) : new Uint8Array(),
          byOin: about.by ?? '',
          confirm: about.confirm ?? true,
        }),
        SCHOOL,
        { school: SCHOOL },
      ),
    change: (mandateId: string, change: string, more: object = {}) =>
      bench.submit(
        'MandateChangeSubmitted',
        MandateChangeSubmitted.fromPartial({ schoolOin: SCHOOL, mandateId, change, ...more }),
        SCHOOL,
        { school: SCHOOL },
      ),
    standing: (change: string, more: object = {}) =>
      bench.submit(
        'PartyStandingSubmitted',
        PartyStandingSubmitted.fromPartial({ oin: PARTY, change, reason: change === 'stop' ? 'case-1' : '', ...more }),
        PARTY,
      ),
    review: (mandateId: string, change: string, more: object = {}) =>
      bench.submit(
        'MandateReviewSubmitted',
        MandateReviewSubmitted.fromPartial({ schoolOin: SCHOOL, mandateId, change, byOin: SCHOOL, ...more }),
        SCHOOL,
        { school: SCHOOL },
      ),
    reviews: async (...schoolOins: string[]) => (await client.listReviews({ schoolOins })).reviews,
    snapshot: (since = 0n) => client.snapshot({ since }),
  };
}

describe('parties', () => {
  test('are registered and merged, and the snapshot has their credentials', async () => {
    const { bench, name, snapshot } = start();
    const flow = name(PARTY, [Role.ROLE_PUBLISHER], { clientId: 'c1', apiKey: digest(1) });
    name(PARTY, [Role.ROLE_PLATFORM]);
    expect(bench.events().map(({ name, key }) => [name, key])).toEqual([
      ['PartyRegistered', PARTY],
      ['PartyRegistered', PARTY],
    ]);
    expect(bench.events()[0]!.flowId).toBe(flow);
    expect((await snapshot()).parties).toMatchObject([
      {
        party: { oin: PARTY, roles: [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM] },
        credentials: { clientId: 'c1', apiKey: digest(1) },
      },
    ]);
  });

  test('have credentials of their own', () => {
    const { bench, name } = start();
    name(PARTY, [Role.ROLE_PUBLISHER], { clientId: 'c1', klantcode: 'k1' });
    name(OTHER, [Role.ROLE_PUBLISHER], { clientId: 'c1' });
    name(OTHER, [Role.ROLE_PUBLISHER], { klantcode: 'k1' });
    expect(bench.events('PartyChangeRefused').map(({ value }) => value.code)).toEqual([
      'state.conflict',
      'state.conflict',
    ]);
  });
});

describe('a party that is stopped', () => {
  test('is so from one event on, keeps its mandates, and is not forgotten when it is named again', async () => {
    const { bench, name, grant, standing, snapshot, store } = start();
    name(PARTY, [Role.ROLE_PUBLISHER], { clientId: 'c1', apiKey: digest(1) });
    grant('m');
    const { version } = await snapshot();
    standing('stop');
    standing('stop');
    name(PARTY, [Role.ROLE_PLATFORM]);
    const changed = await snapshot(version);
    expect(changed.mandates).toEqual([]);
    expect(changed.parties).toMatchObject([{ standing: { stoppedMs: BigInt(bench.now()), pseudonyms: 1 } }]);
    // After a restart it stands so.
    const again = start(store, bench.now());
    expect((await again.snapshot()).parties).toMatchObject([{ standing: { reason: 'case-1' } }]);
    again.standing('resume', { credentials: { apiKey: digest(2) } });
    const { parties: rows, mandates } = await again.snapshot();
    expect(rows).toMatchObject([{ standing: { stoppedMs: 0n, pseudonyms: 1 }, credentials: { apiKey: digest(2) } }]);
    expect(mandates).toMatchObject([{ mandate: { mandateId: 'm', state: ACTIVE } }]);
    expect(bench.events('PartyStandingChanged').map(({ value }) => value.unchanged)).toEqual([false, true]);
  });
});

describe('questions about mandates', () => {
  test('stay open for as long as nobody answers, and end nothing', async () => {
    const { bench, grant, review, reviews, snapshot } = start();
    grant('m');
    review('m', 'open', { lastUsedOn: '2026-03-01' });
    bench.advance(400 * 86_400_000);
    expect(await reviews(SCHOOL)).toMatchObject([{ mandateId: 'm', state: 'open', lastUsedOn: '2026-03-01' }]);
    expect(await reviews()).toHaveLength(1);
    expect(await reviews(BOARD)).toEqual([]);
    expect((await snapshot()).mandates).toMatchObject([{ mandate: { state: ACTIVE } }]);
  });

  test('end the mandate after the last day that was set, unless there was an answer', async () => {
    const { bench, grant, review, reviews, snapshot } = start();
    for (const mandateId of ['silent', 'answered']) {
      grant(mandateId);
      review(mandateId, 'open', { endsOn: '2026-12-31' });
    }
    review('answered', 'keep');
    bench.advance(Date.parse('2026-12-31T22:59:59Z') - bench.now());
    expect((await reviews()).map(({ state }) => state).sort()).toEqual(['kept', 'open']);
    bench.advance(1000);
    expect((await reviews()).map(({ mandateId, state }) => [mandateId, state]).sort()).toEqual([
      ['answered', 'kept'],
      ['silent', 'lapsed'],
    ]);
    const states = (await snapshot()).mandates.map(({ mandate }) => [mandate!.mandateId, mandate!.state]);
    expect(states.sort()).toEqual([
      ['answered', ACTIVE],
      ['silent', ENDED],
    ]);
    const [last] = bench.events('MandateChanged').slice(-1);
    expect(last!.value).toMatchObject({ change: 'ended', byOin: SCHOOL, reason: 'review_unanswered' });
  });

  test('are closed with a mandate that ends otherwise, and answered before what follows', async () => {
    const { grant, review, change, reviews, bench } = start();
    for (const mandateId of ['a', 'b']) {
      grant(mandateId);
      review(mandateId, 'open');
    }
    change('a', 'stop');
    review('b', 'end');
    change('b', 'stop');
    expect((await reviews()).map(({ mandateId, state }) => [mandateId, state])).toEqual([
      ['a', 'closed'],
      ['b', 'ended'],
    ]);
    // What ends says so first.
    expect(
      bench
        .events()
        .slice(-4)
        .map(({ name }) => name),
    ).toEqual(['MandateChanged', 'MandateReviewed', 'MandateReviewed', 'MandateChanged']);
  });
});

describe('mandates', () => {
  test('are given, run off and end after the Dutch day', async () => {
    const { bench, grant, change, snapshot } = start();
    grant('m', { validUntil: '2027-07-31' });
    change('m', 'run_off', { runOffUntil: '2026-12-31' });
    expect((await snapshot()).mandates).toMatchObject([{ mandate: { state: RUN_OFF } }]);
    bench.advance(Date.parse('2026-12-31T22:59:59Z') - bench.now());
    expect((await snapshot()).mandates).toMatchObject([{ mandate: { state: RUN_OFF } }]);
    bench.advance(1000);
    expect((await snapshot()).mandates).toMatchObject([{ mandate: { state: ENDED } }]);
    expect(bench.events('MandateChanged').map(({ value, key }) => [value.mandate!.state, key])).toEqual([
      [ACTIVE, SCHOOL],
      [RUN_OFF, SCHOOL],
      [ENDED, SCHOOL],
    ]);
    change('m', 'confirm');
    expect(bench.events('PartyChangeRefused').map(({ value }) => [value.subject, value.code])).toEqual([
      ['m', 'mandate.ended'],
    ]);
  });

  test('a moved run-off moves its end; a stop takes the timer away', () => {
    const { bench, grant, change } = start();
    grant('m');
    change('m', 'run_off', { runOffUntil: '2026-11-30' });
    change('m', 'run_off', { runOffUntil: '2027-07-31' });
    bench.advance(Date.parse('2026-12-15T00:00:00Z') - bench.now());
    expect(bench.events('MandateChanged').at(-1)!.value.mandate!.state).toBe(RUN_OFF);
    change('m', 'stop');
    bench.clear();
    bench.advance(300 * 86_400_000);
    expect(bench.events()).toEqual([]);
  });

  test('leave three years after they ended, and the key with the last of a pair', async () => {
    const { bench, grant, change, snapshot } = start();
    grant('m1', {}, { key: 1 });
    grant('m2');
    change('m1', 'stop');
    bench.advance(100 * 86_400_000);
    change('m2', 'stop');
    bench.advance(1000 * 86_400_000);
    expect((await snapshot()).mandates.map(({ mandate }) => mandate!.mandateId)).toEqual(['m2']);
    expect((await snapshot()).mandates[0]!.keyDigest).toEqual(digest(1));
    bench.advance(100 * 86_400_000);
    expect((await snapshot()).mandates).toEqual([]);
    grant('m3', {}, { key: 3 });
    expect((await snapshot()).mandates[0]!.keyDigest).toEqual(digest(3));
  });

  test('of one pair share the first key until it is renewed', async () => {
    const { grant, change, snapshot } = start();
    grant('m1', {}, { key: 1 });
    grant('m2', {}, { key: 2 });
    grant('m3', { partyOin: OTHER }, { key: 3 });
    const keys = async () =>
      Object.fromEntries(
        (await snapshot()).mandates.map(({ mandate, keyDigest }) => [mandate!.mandateId, keyDigest[0]]),
      );
    expect(await keys()).toEqual({ m1: 1, m2: 1, m3: 3 });
    const { version } = await snapshot();
    change('m2', 'key', { keyDigest: digest(9) });
    expect(await keys()).toEqual({ m1: 9, m2: 9, m3: 3 });
    // Doors hear of the new key on every mandate of the pair.
    expect((await snapshot(version)).mandates.map(({ mandate }) => mandate!.mandateId).sort()).toEqual(['m1', 'm2']);
  });

  test('a refused grant leaves no key', async () => {
    const { grant, snapshot } = start();
    grant('m0', { services: [] }, { key: 1 });
    grant('m1');
    grant('m0', { services: [] }, { key: 1 });
    grant('m2', {}, { key: 2 });
    expect((await snapshot()).mandates.map(({ keyDigest }) => keyDigest[0])).toEqual([2, 2]);
  });

  test('an id belongs to one party of a school', () => {
    const { bench, grant } = start();
    grant('m');
    grant('m', { partyOin: OTHER });
    expect(bench.events('PartyChangeRefused').map(({ value }) => value.code)).toEqual(['state.conflict']);
  });

  test('a school narrows what a registered board gave', async () => {
    const { name, grant, snapshot } = start();
    name(BOARD, [Role.ROLE_BOARD]);
    grant('b', { attributes: ['a', 'b'] }, { by: BOARD });
    grant('s', { attributes: ['b', 'c'] }, { by: SCHOOL });
    const { mandates } = await snapshot();
    expect(
      Object.fromEntries(
        mandates.map(({ mandate }) => [mandate!.mandateId, [mandate!.services.length, mandate!.attributes]]),
      ),
    ).toEqual({ b: [0, ['a', 'b']], s: [1, ['b']] });
  });
});

describe('the snapshot', () => {
  test('tells only what is newer, and nothing when nothing changed', async () => {
    const { bench, name, grant, change, snapshot } = start();
    name(PARTY);
    name(OTHER);
    grant('m');
    const first = await snapshot();
    expect([first.parties.length, first.mandates.length, first.version]).toEqual([2, 1, 3n]);
    expect(await snapshot(first.version)).toEqual({
      version: first.version,
      parties: [],
      mandates: [],
      freezes: [],
      holdRules: [],
    });
    grant('m'); // The same again,
    name(PARTY);
    change('m', 'confirm'); // and what stood already.
    expect((await snapshot(first.version)).version).toBe(first.version);
    change('m', 'stop');
    const next = await snapshot(first.version);
    expect(next.version).toBeGreaterThan(first.version);
    expect([next.parties.length, next.mandates.map(({ mandate }) => mandate!.state)]).toEqual([0, [ENDED]]);
    expect(bench.events('MandateChanged').map(({ value }) => value.unchanged)).toEqual([false, true, true, false]);
  });

  test('is the same after a restart, and timers still fire', async () => {
    const one = start();
    one.name(PARTY);
    one.grant('m', { validUntil: '2026-12-31' });
    const before = await one.snapshot();
    const two = start(one.store, one.bench.now());
    expect(await two.snapshot()).toEqual(before);
    two.bench.advance(60 * 86_400_000);
    expect((await two.snapshot(before.version)).mandates).toMatchObject([{ mandate: { state: ENDED } }]);
  });
});

describe('an assertion', () => {
  const take = async (bench: ReturnType<typeof testBench>, n: number, claim: number, party = PARTY) => {
    const asked = { partyOin: party, digest: digest(n), expiresMs: BigInt(bench.now() + 60_000), claim: digest(claim) };
    return (await bench.client(PartiesServiceDefinition).claimAssertion(asked)).taken;
  };

  test('is taken once, of each party, also after a restart; the same call made again is no second one', async () => {
    const { bench } = start();
    expect(await take(bench, 1, 1)).toBe(true);
    expect(await take(bench, 1, 1)).toBe(true);
    expect(await take(bench, 1, 2)).toBe(false);
    expect(await take(bench, 1, 3, OTHER)).toBe(true);
    expect(await take(bench.restart(), 1, 4)).toBe(false);
  });

  test('rests until its own times refuse it, by any clock of a door, and then leaves as others come', async () => {
    const { bench } = start();
    for (let n = 1; n <= 30; n++) await take(bench, n, n);
    bench.advance(60_000 + 599_000);
    expect(await take(bench, 1, 99)).toBe(false);
    bench.advance(2_000);
    await take(bench, 31, 31);
    await take(bench, 32, 32);
    expect(bench.list(assertionsTable, { equals: [] })).toHaveLength(2);
  });
});

describe('a comparison with a register', () => {
  const claim = (n: number) => new Uint8Array(16).fill(n);
  const begin = (store = new MemoryStore(), now?: number) => {
    const bench = testBench(parties, { store, now: now ?? '2026-11-22T10:00:00Z' });
    const client = bench.client(PartiesServiceDefinition);
    const take = async (n: number, everyMs = 0) =>
      (await client.claimRegister({ register: 'osr', claim: claim(n), leaseMs: 60_000n, everyMs: BigInt(everyMs) }))
        .taken;
    return { store, client, take };
  };
  const MORNING = Date.parse('2026-11-22T10:00:00Z');
  const run = RegisterRun.fromPartial({ register: 'osr', atMs: BigInt(MORNING), outcome: 'done' });

  test('is made by one at a time, until its lease is over', async () => {
    const { store, take } = begin();
    expect([await take(1), await take(2), await take(1)]).toEqual([true, false, true]);
    const later = begin(store, MORNING + 61_000);
    expect([await later.take(2), await later.take(1)]).toEqual([true, false]);
  });

  test('says what came of it, and comes again when it is due', async () => {
    const { store, client, take } = begin();
    await take(1);
    // Of who lost the right nothing is noted.
    await client.noteRegister({ register: 'osr', claim: claim(2), run: { ...run, outcome: 'failed' } });
    expect((await client.listRegisters({})).runs).toEqual([]);
    await client.noteRegister({ register: 'osr', claim: claim(1), run });
    expect((await client.listRegisters({})).runs).toMatchObject([{ register: 'osr', outcome: 'done' }]);
    expect([await take(3, 3_600_000), await take(4, 0)]).toEqual([false, true]);
    await client.noteRegister({ register: 'osr', claim: claim(4), run: undefined });
    expect(await begin(store, MORNING + 3_600_001).take(5, 3_600_000)).toBe(true);
  });
});

describe('a number to sign in by', () => {
  test('is one party’s until that has others, also after a restart', async () => {
    const { bench, store, name, snapshot } = start();
    const numbers = (...of: string[]) => ({ signIn: { numbers: of } });
    name(BOARD, [Role.ROLE_BOARD], numbers('kvk:12345678', 'kvk:87654321'));
    name(SCHOOL, [Role.ROLE_SCHOOL], numbers('kvk:12345678'));
    expect(bench.events('PartyChangeRefused').map(({ value }) => value.code)).toEqual(['state.conflict']);
    name(BOARD, [], numbers('kvk:87654321'));
    const two = start(store, bench.now());
    two.name(SCHOOL, [Role.ROLE_SCHOOL], numbers('kvk:12345678'));
    two.name(BOARD, [], numbers('kvk:87654321', 'kvk:12345678'));
    expect(two.bench.events('PartyChangeRefused').map(({ value }) => value.code)).toContain('state.conflict');
    const { parties: rows } = await snapshot();
    const of = (oin: string) => rows.find(({ party }) => party!.oin === oin)!.credentials!.signIn!.numbers;
    expect([of(BOARD), of(SCHOOL)]).toEqual([['kvk:87654321'], ['kvk:12345678']]);
  });
});

describe('a session', () => {
  const clientOf = (bench: ReturnType<typeof testBench>) => bench.client(PartiesServiceDefinition);
  const open = (bench: ReturnType<typeof testBench>, n: number) =>
    clientOf(bench).openSession({
      digest: digest(n),
      partyOin: BOARD,
      number: 'kvk:12345678',
      sealed: new Uint8Array(),
      endsMs: 0n,
    });
  const find = async (bench: ReturnType<typeof testBench>, n: number) =>
    (await clientOf(bench).findSession({ digest: digest(n), look: false })).partyOin;

  test('is found by its digest alone, also after a restart, until it is ended', async () => {
    const { bench } = start();
    await open(bench, 1);
    expect(await clientOf(bench).findSession({ digest: digest(1), look: false })).toEqual({
      partyOin: BOARD,
      number: 'kvk:12345678',
      sealed: new Uint8Array(),
    });
    expect(await find(bench, 2)).toBe('');
    const again = bench.restart();
    expect(await find(again, 1)).toBe(BOARD);
    await clientOf(again).endSession({ digest: digest(1) });
    await clientOf(again).endSession({ digest: digest(1) });
    expect(await find(again, 1)).toBe('');
  });

  test('of the console gives back what was sealed; a look makes it hold no longer, and it says itself when it ends', async () => {
    const { bench } = start();
    const client = clientOf(bench);
    const sealed = new Uint8Array([1, 2, 3]);
    const begin = (n: number, endsMs: number) =>
      client.openSession({ digest: digest(n), partyOin: '', number: '', sealed, endsMs: BigInt(endsMs) });
    const seen = async (n: number, look: boolean) =>
      (await client.findSession({ digest: digest(n), look })).sealed.length > 0;
    await begin(1, bench.now() + 60_000);
    await begin(2, bench.now() + 100 * 3_600_000);
    // To the pages of schools it is nobody.
    expect((await client.findSession({ digest: digest(1), look: false })).partyOin).toBe('');
    bench.advance(IDLE_MS / 2);
    expect([await seen(1, false), await seen(2, true)]).toEqual([false, true]);
    bench.advance(IDLE_MS / 2);
    expect(await seen(2, true)).toBe(false);
    await begin(3, bench.now() + 100 * 3_600_000);
    for (let hours = 0; hours < 12 * 4; hours++) {
      expect(await seen(3, false)).toBe(true);
      bench.advance(15 * 60_000);
    }
    expect(await seen(3, false)).toBe(false);
  });

  test('is over half an hour after it was last asked for, and after eight hours in any case', async () => {
    const { bench } = start();
    await open(bench, 1);
    bench.advance(IDLE_MS - 1);
    expect(await find(bench, 1)).toBe(BOARD);
    bench.advance(IDLE_MS - 1);
    expect(await find(bench, 1)).toBe(BOARD);
    bench.advance(IDLE_MS);
    expect(await find(bench, 1)).toBe('');
    await open(bench, 2);
    for (let ms = 0; ms < LONGEST_MS; ms += IDLE_MS / 2) {
      expect(await find(bench, 2)).toBe(BOARD);
      bench.advance(IDLE_MS / 2);
    }
    expect(await find(bench, 2)).toBe('');
  });

  test('that is over leaves as others come', async () => {
    const { bench } = start();
    for (let n = 1; n <= 15; n++) await open(bench, n);
    bench.advance(IDLE_MS);
    await open(bench, 16);
    expect(bench.list(sessionsTable, { equals: [] })).toHaveLength(1);
  });
});

describe('a link to a page of the console', () => {
  const keep = (client: ReturnType<ReturnType<typeof start>['bench']['client']>, n: number, endsMs: number) =>
    (client as any).keepLink({
      linkId: `link-${n}`,
      digest: digest(n % 256),
      sealed: digest(9),
      endsMs: BigInt(endsMs),
    });

  test('is found until it ends, is opened by its secret alone, and holds fourteen days at most', async () => {
    const { bench } = start();
    const client = bench.client(PartiesServiceDefinition);
    const find = async (n: number, by?: number) =>
      (await client.findLink({ linkId: `link-${n}`, digest: by === undefined ? new Uint8Array() : digest(by) })).link;
    expect(await keep(client, 1, bench.now() + 100 * 86_400_000)).toMatchObject({ link: {} });
    await keep(client, 2, bench.now() + 3_600_000);
    const madeMs = BigInt(bench.now());
    expect(await find(1)).toMatchObject({ madeMs, endsMs: madeMs + BigInt(LONGEST_LINK_MS), openedMs: 0n });
    expect([await find(2, 1), await find(3)]).toEqual([undefined, undefined]);
    expect((await find(1))!.openedMs).toBe(0n);
    bench.advance(1_000);
    expect(await find(1, 1)).toMatchObject({ openedMs: madeMs + 1_000n });
    // The same again, as a door asks that had no answer: it is the same link.
    await keep(client, 1, bench.now() + 1);
    expect(await find(1)).toMatchObject({ endsMs: madeMs + BigInt(LONGEST_LINK_MS) });
    bench.advance(3_600_000);
    expect([await find(2), (await client.listLinks({})).links.map(({ linkId }) => linkId)]).toEqual([
      undefined,
      ['link-1'],
    ]);
    const again = bench.restart().client(PartiesServiceDefinition);
    expect([await again.endLink({ linkId: 'link-1' }), await again.endLink({ linkId: 'link-1' })]).toEqual([
      { ended: true },
      { ended: false },
    ]);
    expect((await again.findLink({ linkId: 'link-1', digest: new Uint8Array() })).link).toBeUndefined();
  });

  test('is one of five hundred at most; those that are over leave as others come', async () => {
    const { bench } = start();
    const client = bench.client(PartiesServiceDefinition);
    for (let n = 0; n < MOST_LINKS; n++)
      expect(await keep(client, n, bench.now() + 60_000)).toMatchObject({ link: {} });
    expect(await keep(client, MOST_LINKS, bench.now() + 60_000)).toEqual({ link: undefined });
    bench.advance(60_000);
    expect(await keep(client, MOST_LINKS, bench.now() + 60_000)).toMatchObject({ link: {} });
    expect(bench.list(linksTable, { equals: [] })).toHaveLength(1);
  });
});

describe('a school that is forgotten', () => {
  const HOURS = 72 * 3_600_000;
  const ask = (bench: ReturnType<typeof start>['bench'], change: string, more: object = {}) =>
    bench.submit(
      'PartyStandingSubmitted',
      PartyStandingSubmitted.fromPartial({ oin: SCHOOL, change, ...more }),
      SCHOOL,
      { school: SCHOOL },
    );
  const forget = (bench: ReturnType<typeof start>['bench'], afterMs = HOURS, ...partyOins: string[]) =>
    ask(bench, 'forget', {
      destroyAtMs: BigInt(bench.now() + afterMs),
      receivers: partyOins.map((partyOin) => ({ partyOin, mustConfirm: true })),
    });
  const states = (bench: ReturnType<typeof start>['bench']) =>
    bench.events('PartyStandingChanged').map(({ value }) => value.change);

  test('is known to every door at once, keeps its mandates until its hour, and loses them then', async () => {
    const { bench, grant, snapshot, store } = start();
    grant('m');
    grant('n', { services: [Service.SERVICE_RESULT] });
    grant('o', { partyOin: OTHER });
    const { version } = await snapshot();
    forget(bench, HOURS, PARTY);
    const changed = await snapshot(version);
    // It was never registered: from now on it is, by no more than its OIN.
    expect(changed.parties).toMatchObject([
      {
        party: { oin: SCHOOL, name: 'School 01AB', roles: [Role.ROLE_SCHOOL] },
        standing: { forgetting: { state: 'waits', destroyAtMs: BigInt(bench.now() + HOURS) } },
      },
    ]);
    expect(changed.mandates).toEqual([]);
    // After a restart the hour still comes.
    const again = start(store, bench.now());
    again.bench.advance(HOURS - 1);
    expect(states(again.bench)).toEqual(['waits']);
    again.bench.advance(1);
    expect(states(again.bench)).toEqual(['waits', 'destroyed']);
    const { parties: rows, mandates } = await again.snapshot();
    expect(rows).toMatchObject([{ standing: { forgetting: { state: 'destroyed' } } }]);
    expect(mandates.map(({ mandate }) => [mandate!.mandateId, mandate!.state])).toEqual([
      ['m', ENDED],
      ['n', ENDED],
      ['o', ENDED],
    ]);
    expect(again.bench.events('MandateChanged').slice(-1)[0]!.value).toMatchObject({ reason: 'school_forgotten' });
    expect(
      again.bench
        .events('MandateChanged')
        .map(({ value }) => value.change)
        .slice(3),
    ).toEqual(['ended', 'ended', 'ended']);
    again.bench.advance(HOURS);
    expect(states(again.bench)).toEqual(['waits', 'destroyed']);
  });

  test('asked again is destroyed no later, by nobody left out; and may be kept until five minutes before', async () => {
    const { bench, grant, snapshot } = start();
    grant('m');
    ask(bench, 'keep');
    forget(bench, HOURS, PARTY);
    forget(bench, HOURS, PARTY);
    bench.advance(1000);
    forget(bench, HOURS, OTHER);
    const [{ standing }] = (await snapshot()).parties as unknown as [{ standing: { forgetting: object } }];
    expect(standing.forgetting).toMatchObject({
      destroyAtMs: BigInt(bench.now() - 1000 + HOURS),
      receivers: [{ partyOin: PARTY }, { partyOin: OTHER }],
    });
    expect(bench.events('PartyStandingChanged').map(({ value }) => value.unchanged)).toEqual([false, true, false]);
    bench.advance(HOURS - 1000 - 5 * 60_000);
    ask(bench, 'keep');
    bench.advance(HOURS);
    expect(states(bench).at(-1)).toBe('kept');
    expect((await snapshot()).mandates).toMatchObject([{ mandate: { state: ACTIVE } }]);
    ask(bench, 'confirm', { partyOin: PARTY });
    expect(bench.events('PartyChangeRefused').map(({ value }) => value.code)).toEqual([
      'state.missing',
      'state.missing',
    ]);
    // Forgotten another time, and too late this time.
    forget(bench, HOURS);
    bench.advance(HOURS - 5 * 60_000 + 1);
    ask(bench, 'keep');
    expect(bench.events('PartyChangeRefused').at(-1)!.value.code).toBe('state.conflict');
    bench.advance(HOURS);
    expect(states(bench).at(-1)).toBe('destroyed');
    ask(bench, 'keep');
    expect(bench.events('PartyChangeRefused').at(-1)!.value.code).toBe('state.missing');
  });

  test('has receivers that confirm, once each, also after its hour; nobody else has anything to confirm', async () => {
    const { bench, snapshot } = start();
    forget(bench, HOURS, PARTY, OTHER);
    ask(bench, 'confirm', { partyOin: PARTY });
    ask(bench, 'confirm', { partyOin: PARTY });
    bench.advance(2 * HOURS);
    ask(bench, 'confirm', { partyOin: OTHER });
    ask(bench, 'confirm', { partyOin: BOARD });
    const [{ standing }] = (await snapshot()).parties as unknown as [
      { standing: { forgetting: { receivers: object[] } } },
    ];
    const at = BigInt(bench.now());
    expect(standing.forgetting.receivers).toMatchObject([
      { partyOin: PARTY, confirmedMs: at - 2n * BigInt(HOURS) },
      { partyOin: OTHER, confirmedMs: at },
    ]);
    expect(bench.events('PartyStandingChanged').map(({ value }) => [value.change, value.unchanged])).toEqual([
      ['waits', false],
      ['confirmed', false],
      ['confirmed', true],
      ['destroyed', false],
      ['confirmed', false],
    ]);
    expect(bench.events('PartyChangeRefused').map(({ value }) => value.code)).toEqual(['state.missing']);
  });

  test('is taken in again by a restore long after its hour, and so is that it was kept', () => {
    const late = start();
    ask(late.bench, 'forget', { destroyAtMs: BigInt(late.bench.now() - HOURS) });
    late.bench.advance(59_999);
    expect(states(late.bench)).toEqual(['waits']);
    late.bench.advance(1);
    expect(states(late.bench)).toEqual(['waits', 'destroyed']);
    ask(late.bench, 'stop');
    expect(late.bench.events('PartyChangeRefused').map(({ value }) => value.code)).toEqual(['wire.invalid']);
  });

  test('is a school', () => {
    const { bench } = start();
    ask(bench, 'forget', { oin: PARTY, destroyAtMs: BigInt(bench.now() + HOURS) });
    expect(bench.events('PartyChangeRefused').map(({ value }) => value.code)).toEqual(['wire.invalid']);
  });
});
