/** What a party does about its own dead letters, by events on the log: as far as an operator lets it, and of nobody else. */
import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { newId } from '#kernel';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { type Attempt, AttemptOutcome, DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { DeadLetterSelection, DeliveryCommandSubmitted } from '#proto/eduk/events/v1/deliveries';
import { delivery } from './index.ts';

const SCHOOL = '0000000700012AB00000';
const OTHER = '0000000700034CD00000';
const PLATFORM = '00000001000000000003';
const SELLER = '00000001000000000004';

/** Two parties with a webhook each; `seller` grants, so both are told of each grant of the other's platform. */
function chain(bench = testBench(delivery)) {
  const client = bench.client(DeliveryServiceDefinition);
  const owner = newId();
  let made = 0;
  const claim = async () =>
    (await client.claimAttempts({ owner, outcomes: [], attempts: 100, waitMs: 0n, alone: true })).attempts;
  const tell = (attempt: Attempt, status: number) =>
    client.reportOutcomes({
      owner,
      outcomes: [
        AttemptOutcome.fromPartial({
          attemptId: attempt.attemptId,
          partyOin: attempt.partyOin,
          standard: attempt.standard,
          number: attempt.number,
          result: 'answered',
          status,
        }),
      ],
    });
  return {
    bench,
    client,
    claim,
    tell,
    begin() {
      for (const [oin, url] of [
        [PLATFORM, 'https://a.example/hook'],
        [SELLER, 'https://b.example/hook'],
      ] as const) {
        const party = { oin, name: '', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'webhook', url }] };
        const more = { boardOin: '', sectors: [], attributes: [], requiresAcceptance: false };
        bench.submit('PartyRegistered', { party: { ...party, ...more } }, oin);
        for (const school of [SCHOOL, OTHER]) {
          const mandate = { mandateId: `m-${school}-${oin}`, schoolOin: school, partyOin: oin };
          const rest = { services: [Service.SERVICE_ENTITLEMENT], state: MandateState.MANDATE_STATE_ACTIVE };
          bench.submit('MandateChanged', { mandate: { ...mandate, ...rest } as never }, school);
        }
      }
    },
    grant(learner: string, { school = SCHOOL, platform = PLATFORM } = {}) {
      const entitlementId = `e${++made}`;
      const flowId = bench.submit(
        'EntitlementGranted',
        {
          terms: { entitlementId } as never,
          schoolOin: school,
          holder: { learner, group: '' },
          ...{ byOin: '', publisherOin: '', platformOin: platform },
        },
        learner,
        { school },
      );
      return { entitlementId, flowId };
    },
    /** Sends what is due until nothing is, each answered alike; what went out, by learner. */
    async drain(status = 200): Promise<string[]> {
      const went: string[] = [];
      for (let round = 0; round < 200; round++) {
        const started = await claim();
        if (started.length === 0) return went.sort();
        for (const attempt of started) {
          went.push(...attempt.rows.map(({ key }) => key));
          await tell(attempt, status);
        }
      }
      throw new Error('it does not end');
    },
    command(action: string, selection: Partial<DeadLetterSelection> = {}, partyOin = PLATFORM) {
      const given = DeadLetterSelection.fromPartial(selection);
      bench.submit(
        'DeliveryCommandSubmitted',
        DeliveryCommandSubmitted.fromPartial({ partyOin, action, selection: given }),
        partyOin,
      );
      const { keys, messages, more } = bench.events('DeliveryCommandDone').at(-1)!.value;
      return { keys, messages, more };
    },
    async letters(selection: Partial<DeadLetterSelection> = {}, partyOin = PLATFORM) {
      const given = DeadLetterSelection.fromPartial(selection);
      return (await client.listDeadLetters({ partyOin, selection: given, after: '', limit: 0 })).letters;
    },
    operator: (action: string) => client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', action }),
  };
}

const done = (keys: number, messages = BigInt(keys), more = false) => ({ keys, messages, more });

describe('dead letters of a party', () => {
  test('say what the first message is about and why it waits, by every part of a selection, and nothing of another party', async () => {
    const it = chain();
    it.begin();
    await it.drain();
    const one = it.grant('a');
    const { entitlementId } = it.grant('b', { school: OTHER });
    it.grant('c', { platform: SELLER });
    await it.drain(422);
    const all = await it.letters();
    expect(all).toMatchObject([
      {
        schoolOin: SCHOOL,
        type: 'EntitlementGranted',
        about: one.entitlementId,
        flowId: one.flowId,
        ...{ code: 'peer.refused', state: 'parked', rows: 1n, attempts: 1, status: 422, standard: 'webhook' },
      },
      { schoolOin: OTHER, about: entitlementId },
    ]);
    expect(JSON.stringify(all, (_key, value) => String(value))).not.toMatch(/"[abc]"/);
    const now = BigInt(it.bench.now());
    for (const [selection, many] of [
      [{ schoolOin: OTHER }, 1],
      [{ about: entitlementId }, 1],
      [{ about: 'e-of-nobody' }, 0],
      [{ code: 'peer.refused' }, 2],
      [{ code: 'peer.unavailable' }, 0],
      [{ service: Service.SERVICE_ENTITLEMENT }, 2],
      [{ service: Service.SERVICE_ORDER }, 0],
      [{ fromMs: now + 1n }, 0],
      [{ untilMs: now + 1n }, 2],
    ] as const)
      expect([selection, (await it.letters(selection)).length]).toEqual([selection, many]);
    expect(await it.letters({}, SELLER)).toHaveLength(1);
  });

  test('come in pages, each once', async () => {
    const it = chain();
    it.begin();
    for (let i = 0; i < 7; i++) it.grant(`l${i}`);
    await it.drain(422);
    const found: string[] = [];
    for (let after = '', pages = 0; pages < 9; pages++) {
      const page = await it.client.listDeadLetters({ partyOin: PLATFORM, selection: undefined, after, limit: 3 });
      found.push(...page.letters.map(({ about }) => about));
      if (page.next === '') break;
      after = page.next;
    }
    expect(found.sort()).toEqual(Array.from({ length: 7 }, (_, i) => `e${i + 1}`));
  });

  test('tell of what may not be sent how much it is, and nothing of what', async () => {
    const it = chain();
    it.begin();
    await it.drain();
    it.grant('a');
    const [attempt] = await it.claim();
    const mandate = { mandateId: `m-${SCHOOL}-${PLATFORM}`, schoolOin: SCHOOL, partyOin: PLATFORM };
    const rest = { services: [Service.SERVICE_ENTITLEMENT], state: MandateState.MANDATE_STATE_ENDED };
    it.bench.submit('MandateChanged', { mandate: { ...mandate, ...rest } as never }, SCHOOL);
    await it.client.parkRows({
      partyOin: PLATFORM,
      service: Service.SERVICE_ENTITLEMENT,
      numbers: attempt!.rows.map((row) => row.number),
      code: 'mandate.ended',
    });
    const letters = await it.letters({ code: 'mandate.ended' });
    expect(letters).toMatchObject([{ state: 'withheld', type: '', about: '', flowId: '', rows: 1n, standard: '' }]);
  });
});

describe('what a party asks', () => {
  test('is of its own keys: another party takes nothing up, holds nothing and releases nothing of it', async () => {
    const it = chain();
    it.begin();
    await it.drain();
    it.grant('a');
    await it.drain(422);
    for (const action of ['retry', 'hold', 'release']) expect(it.command(action, {}, SELLER)).toEqual(done(0));
    expect(await it.drain()).toEqual([]);
    expect(it.command('retry')).toEqual(done(1));
    expect(await it.drain()).toEqual(['a']);
  });

  test('is held at once, stays so over a restart, and goes when it is released; a retry does not let it go', async () => {
    const first = chain();
    first.begin();
    await first.drain();
    first.grant('a');
    const { entitlementId } = first.grant('b', { school: OTHER });
    for (const attempt of await first.claim()) await first.tell(attempt, 503);
    expect((await first.letters()).map(({ state, code }) => `${state} ${code}`)).toEqual([
      'repeated peer.unavailable',
      'repeated peer.unavailable',
    ]);
    expect(first.command('hold', { about: entitlementId })).toEqual(done(1));
    expect(first.command('hold', { about: entitlementId })).toEqual(done(0));
    const it = chain(first.bench.restart());
    it.bench.advance(3_600_000);
    expect(await it.drain()).toEqual(['a']);
    it.grant('b', { school: OTHER });
    it.bench.advance(86_400_000);
    expect(await it.drain()).toEqual([]);
    expect(await it.letters()).toMatchObject([{ state: 'held', about: entitlementId, rows: 2n, nextMs: 0n }]);
    expect(it.command('retry')).toEqual(done(0));
    expect(await it.drain()).toEqual([]);
    expect(it.command('release', { schoolOin: SCHOOL })).toEqual(done(0));
    expect(it.command('release', { schoolOin: OTHER })).toEqual(done(1, 2n));
    expect(await it.drain()).toEqual(['b', 'b']);
  });

  test('stops what is under way too, by what it is about, and its release before it fails lets it be repeated', async () => {
    const it = chain();
    it.begin();
    await it.drain();
    const { entitlementId } = it.grant('a');
    it.grant('b');
    const [attempt] = await it.claim();
    expect(it.command('hold', { about: entitlementId })).toEqual(done(1));
    expect(it.command('release', { about: entitlementId }).keys).toBe(1);
    expect(it.command('hold', { about: entitlementId })).toEqual(done(1));
    await it.tell(attempt!, 503);
    it.bench.advance(3_600_000);
    expect(await it.drain()).toEqual(['b']);
    expect(await it.letters()).toMatchObject([{ state: 'held', about: entitlementId, code: 'peer.unavailable' }]);
  });

  test('lets nothing go that an operator stopped, also where the party held it before', async () => {
    const it = chain();
    it.begin();
    await it.drain();
    it.grant('a');
    it.grant('b', { school: OTHER });
    for (const attempt of await it.claim()) await it.tell(attempt, 503);
    expect(it.command('hold', { schoolOin: SCHOOL })).toEqual(done(1));
    expect(await it.operator('stop')).toEqual({ keys: 2, rows: 2n });
    expect((await it.letters()).map(({ state }) => state)).toEqual(['stopped', 'stopped']);
    expect(it.command('release')).toEqual(done(0));
    expect(it.command('retry')).toEqual(done(0));
    it.bench.advance(86_400_000);
    expect(await it.drain()).toEqual([]);
    expect(await it.operator('retry')).toEqual({ keys: 2, rows: 2n });
    expect(await it.drain()).toEqual(['a', 'b']);
    // Of what is under way the same.
    it.grant('c');
    const [attempt] = await it.claim();
    expect(it.command('hold')).toEqual(done(1));
    await it.operator('stop');
    expect(it.command('release').keys).toBe(0);
    await it.tell(attempt!, 503);
    it.bench.advance(86_400_000);
    expect(await it.drain()).toEqual([]);
    expect((await it.letters()).map(({ state }) => state)).toEqual(['stopped']);
  });

  test('holds one that waits by itself for another try, and of one request each key by whose word stopped it', async () => {
    const it = chain();
    it.begin();
    await it.drain();
    const { entitlementId } = it.grant('a');
    const [alone] = await it.claim();
    await it.tell(alone!, 500);
    expect(await it.letters()).toMatchObject([{ state: 'repeated', attempts: 1, status: 500, about: entitlementId }]);
    expect(it.command('hold')).toEqual(done(1));
    it.bench.advance(86_400_000);
    expect(await it.drain()).toEqual([]);
    it.command('release');
    expect(await it.drain()).toEqual(['a']);

    const held = it.grant('b');
    it.grant('c');
    const [both] = await it.claim();
    expect(it.command('hold', { about: held.entitlementId })).toEqual(done(1));
    await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: 'c', action: 'stop' });
    await it.tell(both!, 503);
    it.bench.advance(86_400_000);
    expect(await it.drain()).toEqual([]);
    expect(it.command('release')).toEqual(done(1));
    expect(await it.drain()).toEqual(['b']);
    expect((await it.letters()).map(({ state }) => state)).toEqual(['stopped']);
  });

  test('need not wait for the rest of an endpoint that is well again', async () => {
    const it = chain();
    it.begin();
    await it.drain();
    it.grant('a');
    for (let i = 0; i < 8; i++) {
      for (const attempt of await it.claim()) await it.tell(attempt, 503);
      it.bench.advance(i < 7 ? 3_600_000 : 0);
    }
    expect(await it.drain()).toEqual([]);
    expect((await it.letters())[0]).toMatchObject({ state: 'repeated', nextMs: expect.any(BigInt) });
    expect(it.command('retry', { schoolOin: OTHER })).toEqual(done(0));
    expect(await it.drain()).toEqual([]);
    expect(it.command('retry')).toEqual(done(1));
    expect(await it.drain()).toEqual(['a']);
  });

  test.each([
    ['of a party', { partyOin: PLATFORM }],
    ['of a school', { schoolOin: SCHOOL }],
    ['of a key', { key: 'a' }],
    ['of a fault', { code: 'peer.unavailable' }],
    ['all', {}],
  ])('nor need an operator who retries %s, once, and of nothing else', async (_, which) => {
    const it = chain();
    it.begin();
    await it.drain();
    it.grant('a');
    for (let i = 0; i < 8; i++) {
      for (const attempt of await it.claim()) await it.tell(attempt, 503);
      it.bench.advance(i < 7 ? 3_600_000 : 0);
    }
    expect(await it.drain()).toEqual([]);
    const retry = (of: object) =>
      it.client.resolveKeys({ partyOin: '', schoolOin: '', key: '', action: 'retry', ...of });
    for (const other of [{ partyOin: SELLER }, { schoolOin: OTHER }, { key: 'b' }, { code: 'peer.refused' }])
      expect(await retry(other)).toEqual({ keys: 0, rows: 0n });
    expect(await it.drain()).toEqual([]);
    expect(await retry(which)).toEqual({ keys: 1, rows: 1n });
    // What was woken is counted once: who asks until nothing is left comes to an end.
    expect(await retry(which)).toEqual({ keys: 0, rows: 0n });
    expect(await it.drain()).toEqual(['a']);
  });
});
