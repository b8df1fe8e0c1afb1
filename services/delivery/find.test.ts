import fc from 'fast-check';
import { expect, test } from 'vitest';
import { testBench } from '#bus';
import { newId, uuid7, uuidText } from '#kernel';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { type Attempt, AttemptOutcome, DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { delivery } from './index.ts';
import { madeMs, packed, unpacked } from './sets.ts';
import { bodies, mail, moved, sets } from './tables.ts';

const SCHOOL = '0000000700012AB00000';
const OTHER_SCHOOL = '0000000700034CD00000';
const PUBLISHER = '00000001000000000002';
const PLATFORM = '00000001000000000003';
const DAY_MS = 86_400_000;
const { SERVICE_ENTITLEMENT } = Service;
const { MANDATE_STATE_ACTIVE, MANDATE_STATE_ENDED } = MandateState;

/** Two receivers with an endpoint each, and of every request that one of them got its id and the flows in it. */
function pushed() {
  // Ids never go back, also when another test was far ahead.
  const bench = testBench(delivery, { now: new Date(madeMs(newId())!).toISOString() });
  const client = bench.client(DeliveryServiceDefinition);
  for (const oin of [PLATFORM, PUBLISHER])
    bench.submit(
      'PartyRegistered',
      {
        party: {
          ...{ oin, name: '', roles: [Role.ROLE_PLATFORM], boardOin: '', sectors: [], attributes: [] },
          ...{ endpoints: [{ standard: 'webhook', url: 'https://a.example/hook' }], requiresAcceptance: false },
        },
      },
      oin,
    );
  const mandate = (state: MandateState, partyOin = PLATFORM, schoolOin = SCHOOL) =>
    bench.submit(
      'MandateChanged',
      {
        mandate: {
          ...{ mandateId: `${schoolOin}/${partyOin}`, schoolOin, partyOin },
          ...{ services: [SERVICE_ENTITLEMENT], state },
        } as never,
      },
      schoolOin,
    );
  for (const school of [SCHOOL, OTHER_SCHOOL])
    for (const oin of [PLATFORM, PUBLISHER]) mandate(MANDATE_STATE_ACTIVE, oin, school);
  let made = 0;
  const grant = (learner: string, school = SCHOOL, more: { flowId?: string } = {}) =>
    bench.append(
      'EntitlementGranted',
      {
        terms: { entitlementId: `e${++made}` } as never,
        ...{ schoolOin: school, holder: { learner, group: '' }, byOin: '' },
        ...{ publisherOin: PUBLISHER, platformOin: PLATFORM },
      },
      learner,
      { school, ...more },
    );
  const owner = newId();
  const claim = async () =>
    (await client.claimAttempts({ owner, outcomes: [], attempts: 100, waitMs: 0n, alone: false })).attempts;
  const tell = (attempt: Attempt, result: string, more: Partial<AttemptOutcome> = {}) => {
    const { attemptId, partyOin, standard, number } = attempt;
    const outcome = AttemptOutcome.fromPartial({ attemptId, partyOin, standard, number, result, ...more });
    return client.reportOutcomes({ owner, outcomes: [outcome] });
  };
  /** By receiver and id. */
  const seen = new Map<string, { oin: string; id: string; flows: Set<string> }>();
  const saw = ({ partyOin: oin, attemptId, rows }: Attempt, untold: readonly bigint[] = []) => {
    const id = rows.length === 1 ? uuidText(rows[0]!.eventId) : attemptId;
    const known = seen.get(`${oin}/${id}`) ?? { oin, id, flows: new Set<string>() };
    for (const { flowId, number } of rows) if (!untold.includes(number)) known.flows.add(flowId);
    seen.set(`${oin}/${id}`, known);
  };
  const found = async (id: string, partyOin = '') => {
    const { rows, gone, partial } = await client.findDelivered({ id, partyOin });
    return { flows: rows.map(({ flowId }) => flowId).sort(), rows, gone, partial };
  };
  const eventsOf = (flowId: string) => bench.list(bodies, { equals: [flowId] });
  return { eventsOf, bench, client, mandate, grant, claim, tell, seen, saw, found };
}

test('numbers are written short, and read as they were', () => {
  expect(packed([7, 8, 9, 12])).toBe('7+2.3');
  expect(packed(Array.from({ length: 100 }, (_, i) => 1_000_000 + i)).length).toBeLessThan(9);
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 40 }), { minLength: 1 }), (numbers) => {
      expect(unpacked(packed(numbers))).toEqual([...numbers].sort((a, b) => a - b));
    }),
  );
});

const STATUSES = [200, 200, 500, 503, 422, 429];

test('each id that a receiver saw finds the flows that went out under it, and no others, whatever became of them', async () => {
  const learner = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
  const deed = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ grants: fc.array(fc.tuple(learner, fc.boolean()), { minLength: 1, maxLength: 12 }) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ answers: fc.array(fc.constantFrom(...STATUSES), { minLength: 1, maxLength: 6 }) }),
    },
    { weight: 1, arbitrary: fc.record({ untold: fc.constantFrom(...STATUSES) }) },
    { weight: 1, arbitrary: fc.constant({ mandate: MANDATE_STATE_ENDED }) },
    { weight: 2, arbitrary: fc.constant({ mandate: MANDATE_STATE_ACTIVE }) },
    { weight: 1, arbitrary: fc.constant({ retry: true }) },
    { weight: 2, arbitrary: fc.record({ later: fc.constantFrom(300, 5_000, 3_600_000) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { minLength: 4, maxLength: 25 }), async (deeds) => {
      const it = pushed();
      let isAllowed = true;
      const send = async (statusOf: () => number, isUntold = false) => {
        for (const attempt of await it.claim()) {
          if (!isAllowed && attempt.partyOin === PLATFORM && attempt.schoolOin === SCHOOL) {
            await it.tell(attempt, 'withheld', { code: 'mandate.ended' });
            continue;
          }
          const status = statusOf();
          const untold = isUntold && attempt.rows.length > 2 ? [attempt.rows[0]!.number] : [];
          it.saw(attempt, untold);
          await it.tell(attempt, 'answered', { status, untold });
        }
      };
      for (const one of deeds) {
        if ('grants' in one) {
          for (const [learner, isOther] of one.grants)
            it.grant(isOther ? `${learner}2` : learner, isOther ? OTHER_SCHOOL : SCHOOL);
          it.bench.run();
        } else if ('answers' in one) {
          let nth = 0;
          await send(() => one.answers[nth++ % one.answers.length]!);
        } else if ('untold' in one) await send(() => one.untold, true);
        else if ('mandate' in one) {
          it.mandate(one.mandate);
          isAllowed = one.mandate === MANDATE_STATE_ACTIVE;
        } else if ('retry' in one)
          await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', action: 'retry' });
        else it.bench.advance(one.later);
      }
      for (const { oin, id, flows } of it.seen.values()) {
        const told = [...flows].sort();
        const own = await it.found(id, oin);
        expect({ flows: own.flows, gone: own.gone }).toEqual({ flows: told, gone: 0 });
        expect(own.rows.every(({ delivery }) => delivery!.partyOin === oin)).toBe(true);
        expect([...new Set((await it.found(id)).flows)]).toEqual(told);
      }
    }),
    { numRuns: 60 },
  );
});

test('an event is found at its own time, also of a message that began long before and among much other mail', async () => {
  const it = pushed();
  // As of a roster or withdrawals that waited for approval.
  const flowId = `01000000${newId().slice(8)}`;
  for (let i = 0; i < 300; i++) {
    it.grant(`before-${i}`);
    it.bench.advance(1_000);
  }
  it.grant('a', SCHOOL, { flowId });
  it.bench.run();
  for (let i = 0; i < 1_500; i++) it.grant(`l${i}`);
  it.bench.run();
  const { eventId } = it.eventsOf(flowId)[0]!;
  const states = async (oin = '') => {
    const { rows, partial } = await it.found(eventId, oin);
    return [
      rows
        .map((row) => `${row.delivery!.partyOin === PLATFORM ? 'platform' : 'publisher'} ${row.delivery!.state}`)
        .sort(),
      rows[0]?.flowId,
      partial,
    ];
  };
  expect(await states()).toEqual([['platform waiting', 'publisher waiting'], flowId, false]);
  expect(await states(PLATFORM)).toEqual([['platform waiting'], flowId, false]);
  expect(await states('00000001000000000009')).toEqual([[], undefined, false]);
  // Parked at its receiver, and come back behind all others.
  it.mandate(MANDATE_STATE_ENDED);
  const numbers = it.bench
    .list(mail, { equals: [PLATFORM] })
    .filter((row) => row.flowId === flowId)
    .map(({ number }) => BigInt(number));
  await it.client.parkRows({ partyOin: PLATFORM, service: SERVICE_ENTITLEMENT, numbers, code: 'mandate.ended' });
  expect(await states(PLATFORM)).toEqual([['platform parked'], flowId, false]);
  it.mandate(MANDATE_STATE_ACTIVE);
  it.bench.advance(3_600_000);
  expect(await states(PLATFORM)).toEqual([['platform waiting'], flowId, false]);
  expect(it.bench.list(moved, { equals: [] }).length).toBe(1);
  // An id that nobody has, and what is none.
  expect(await it.found(newId())).toMatchObject({ rows: [], partial: false });
  for (const id of ['', 'order-1', 'zzzzzzzz-zzzz-7000-8000-000000000000', `ffffffff${newId().slice(8)}`])
    expect(await it.found(id)).toMatchObject({ rows: [], gone: 0, partial: false });
});

test('what went out together is found as long as its mail is kept, and leaves with it; of who is forgotten nothing is told', async () => {
  const it = pushed();
  for (const learner of ['a', 'b', 'c']) it.grant(learner);
  it.bench.run();
  // Sent a while after it came: it is kept for as much longer than the mail.
  it.bench.advance(5);
  uuid7(it.bench.now());
  for (const attempt of await it.claim()) {
    it.saw(attempt);
    await it.tell(attempt, 'answered', { status: 200 });
  }
  const ids = [...it.seen.values()];
  expect(ids.map(({ flows }) => flows.size)).toEqual([3, 3]);
  it.bench.advance(29 * DAY_MS);
  for (const { oin, id } of ids) expect((await it.found(id, oin)).flows.length).toBe(3);
  for (const { oin, id } of ids)
    expect((await it.found(id, oin === PLATFORM ? PUBLISHER : PLATFORM)).flows).toEqual([]);
  it.bench.submit('LearnerForgotten', { schoolOin: SCHOOL, learner: 'a' }, 'a', { school: SCHOOL });
  for (const { id } of ids) expect(await it.found(id)).toMatchObject({ rows: [{}, {}], gone: 1 });
  it.bench.advance(3 * DAY_MS);
  expect(it.bench.list(sets, { equals: [] })).toEqual([]);
});
