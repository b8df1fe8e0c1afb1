import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { newId } from '#kernel';
import { Mandate, MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { type Attempt, AttemptOutcome, DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { PartyStandingChanged } from '#proto/eduk/events/v1/parties';
import { delivery } from './index.ts';

const SCHOOL = '0000000700012AB00000';
const OTHER = '0000000700034CD00000';
const PLATFORM = '00000001000000000003';
const HOOK = { standard: 'webhook', url: 'https://a.example/hook' };
const ELSEWHERE = { standard: 'webhook', url: 'https://b.example/hook' };
const { SERVICE_ENTITLEMENT } = Service;
const { MANDATE_STATE_ACTIVE, MANDATE_STATE_ENDED } = MandateState;

/** A platform with an endpoint, and two schools that grant. */
function chain() {
  const bench = testBench(delivery);
  const client = bench.client(DeliveryServiceDefinition);
  const name = (endpoints: { standard: string; url: string }[]) =>
    bench.submit(
      'PartyRegistered',
      { party: { oin: PLATFORM, roles: [Role.ROLE_PLATFORM], endpoints, boardOin: '' } as never },
      PLATFORM,
    );
  const mandateOf = (state: MandateState, schoolOin = SCHOOL, validFrom = '') =>
    Mandate.fromPartial({
      ...{ mandateId: `m-${schoolOin}`, schoolOin, partyOin: PLATFORM, state, validFrom },
      services: [SERVICE_ENTITLEMENT],
    });
  const mandate = (state: MandateState, school = SCHOOL) =>
    bench.submit('MandateChanged', { mandate: mandateOf(state, school) }, school);
  let made = 0;
  const grant = (learner: string, school = SCHOOL) => {
    bench.submit(
      'EntitlementGranted',
      {
        terms: { entitlementId: `e${++made}` } as never,
        ...{ schoolOin: school, holder: { learner, group: '' }, byOin: '', publisherOin: '', platformOin: PLATFORM },
      },
      learner,
      { school },
    );
  };
  const stand = (stoppedMs: bigint) =>
    bench.submit(
      'PartyStandingChanged',
      PartyStandingChanged.fromPartial({ oin: PLATFORM, standing: { stoppedMs } }),
      PLATFORM,
    );
  const owner = newId();
  const claim = async () =>
    (await client.claimAttempts({ owner, outcomes: [], attempts: 100, waitMs: 0n, alone: false })).attempts;
  const tell = (attempt: Attempt, result: string, more: Partial<AttemptOutcome> = {}) => {
    const { attemptId, partyOin, standard, number } = attempt;
    const outcome = AttemptOutcome.fromPartial({ attemptId, partyOin, standard, number, result, ...more });
    return client.reportOutcomes({ owner, outcomes: [outcome] });
  };
  /** Sends what may be sent; what may not is withheld, as its sender does. Answers how many were taken. */
  const drain = async (code = '') => {
    let taken = 0;
    for (let round = 0; round < 100; round++) {
      const started = await claim();
      if (started.length === 0) return taken;
      for (const attempt of started) {
        if (code === '') taken += attempt.rows.length;
        await tell(attempt, code === '' ? 'answered' : 'withheld', code === '' ? { status: 200 } : { code });
      }
    }
    throw new Error('it does not end');
  };
  const going = async (after: { standard: string; url: string }[], before = [HOOK]) =>
    (await client.listKept({ partyOin: PLATFORM, roles: [], before, after })).going;
  const withheld = async (asked: { resumed?: boolean; mandates?: Mandate[] }) =>
    (await client.listWithheld({ partyOin: PLATFORM, resumed: false, mandates: [], ...asked })).going;
  mandate(MANDATE_STATE_ACTIVE);
  mandate(MANDATE_STATE_ACTIVE, OTHER);
  name([HOOK]);
  return { bench, client, name, mandate, mandateOf, grant, stand, claim, tell, drain, going, withheld };
}

describe('another address of a mailbox', () => {
  test('is told what waits for it, what is under way and what was stopped, and since when', async () => {
    const it = chain();
    expect(await it.going([ELSEWHERE])).toEqual([]);
    const first = BigInt(it.bench.now());
    it.grant('a');
    const [attempt] = await it.claim();
    it.bench.advance(1000);
    it.grant('b');
    const of = { service: SERVICE_ENTITLEMENT, standard: 'webhook', more: false, oldestMs: first };
    expect(await it.going([ELSEWHERE])).toMatchObject([{ ...of, messages: 2n, staying: 0n }]);
    await it.tell(attempt!, 'answered', { status: 500 });
    await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: SCHOOL, key: 'a', action: 'stop' } as never);
    expect(await it.going([ELSEWHERE])).toMatchObject([{ ...of, messages: 1n, staying: 1n }]);
    // By another standard it is another address as well; of another service, or the same, it is not.
    const own = { standard: 'webhook-entitlement', url: ELSEWHERE.url };
    expect(await it.going([HOOK, own])).toMatchObject([{ standard: 'webhook-entitlement', messages: 1n, staying: 1n }]);
    expect(await it.going([HOOK, { ...own, url: HOOK.url }])).toEqual([]);
    expect(await it.going([HOOK, { ...own, standard: 'webhook-order' }])).toEqual([]);
    expect(await it.going([{ ...HOOK, url: 'none' }])).toEqual([]);
    it.name([ELSEWHERE]);
    expect(await it.drain()).toBe(1);
  });

  test('gets only what a mandate lets go; the rest stays until one does', async () => {
    const it = chain();
    it.grant('a');
    it.grant('b', OTHER);
    it.mandate(MANDATE_STATE_ENDED, OTHER);
    expect(await it.going([ELSEWHERE])).toMatchObject([{ messages: 1n, staying: 1n }]);
    it.mandate(MANDATE_STATE_ENDED);
    expect(await it.going([ELSEWHERE])).toMatchObject([{ messages: 0n, staying: 2n }]);
    it.name([ELSEWHERE]);
    expect(await it.drain('mandate.ended')).toBe(0);
  });

  test('is that of an endpoint that said that it is gone, once it is named again', async () => {
    const it = chain();
    it.grant('a');
    const [attempt] = await it.claim();
    expect(await it.going([HOOK])).toEqual([]);
    await it.tell(attempt!, 'answered', { status: 410 });
    expect(await it.drain()).toBe(0);
    expect(await it.going([HOOK])).toMatchObject([{ messages: 1n, staying: 0n }]);
    it.name([HOOK]);
    expect(await it.drain()).toBe(1);
  });
});

describe('what is withheld', () => {
  test('is told of the mandate that would let it go, and goes with it', async () => {
    const it = chain();
    it.mandate(MANDATE_STATE_ENDED);
    it.mandate(MANDATE_STATE_ENDED, OTHER);
    const since = BigInt(it.bench.now());
    for (const learner of ['a', 'b', 'b']) it.grant(learner);
    it.grant('c', OTHER);
    expect(await it.drain('mandate.ended')).toBe(0);
    expect(await it.withheld({})).toEqual([]);
    const active = it.mandateOf(MANDATE_STATE_ACTIVE);
    expect(await it.withheld({ mandates: [active] })).toEqual([
      {
        ...{ service: SERVICE_ENTITLEMENT, standard: 'webhook', messages: 3n, staying: 0n, more: false, schools: 1 },
        oldestMs: since,
      },
    ]);
    expect(await it.withheld({ mandates: [{ ...active, services: [Service.SERVICE_ORDER] }] })).toEqual([]);
    expect(await it.withheld({ mandates: [it.mandateOf(MANDATE_STATE_ACTIVE, SCHOOL, '2999-08-01')] })).toEqual([]);
    expect(await it.withheld({ mandates: [active, it.mandateOf(MANDATE_STATE_ACTIVE, OTHER)] })).toMatchObject([
      { messages: 4n, schools: 2 },
    ]);
    it.mandate(MANDATE_STATE_ACTIVE);
    // By what is known it may go already: nothing that is asked here lets it.
    expect(await it.withheld({ mandates: [active] })).toEqual([]);
    it.bench.advance(1);
    expect(await it.drain()).toBe(3);
  });

  test('is told before its sender looked at it, as at an endpoint that rests', async () => {
    const it = chain();
    it.mandate(MANDATE_STATE_ENDED);
    const since = BigInt(it.bench.now());
    it.grant('a');
    it.grant('b', OTHER);
    const active = it.mandateOf(MANDATE_STATE_ACTIVE);
    expect(await it.withheld({ mandates: [active] })).toMatchObject([{ messages: 1n, schools: 1, oldestMs: since }]);
    expect(await it.withheld({ mandates: [it.mandateOf(MANDATE_STATE_ACTIVE, OTHER)] })).toEqual([]);
    it.stand(since);
    expect(await it.withheld({ mandates: [active] })).toEqual([]);
    expect(await it.withheld({ resumed: true })).toMatchObject([{ messages: 1n, schools: 1, oldestMs: since }]);
  });

  test('for another reason than a mandate is not let go by one', async () => {
    const it = chain();
    it.grant('a');
    const asked = { partyOin: PLATFORM, service: SERVICE_ENTITLEMENT, numbers: [1n], code: 'peer.unavailable' };
    await it.client.parkRows(asked);
    expect(await it.withheld({ mandates: [it.mandateOf(MANDATE_STATE_ACTIVE)] })).toEqual([]);
  });

  test('from a party that is stopped is told of where mandates let it have that', async () => {
    const it = chain();
    it.stand(BigInt(it.bench.now()));
    it.mandate(MANDATE_STATE_ENDED, OTHER);
    it.grant('a');
    it.grant('b');
    it.grant('c', OTHER);
    expect(await it.drain('party.stopped')).toBe(0);
    expect(await it.withheld({ mandates: [it.mandateOf(MANDATE_STATE_ACTIVE, OTHER)] })).toEqual([]);
    expect(await it.withheld({ resumed: true })).toMatchObject([{ messages: 2n, schools: 1, standard: 'webhook' }]);
    it.stand(0n);
    expect(await it.drain()).toBe(3);
  });
});
