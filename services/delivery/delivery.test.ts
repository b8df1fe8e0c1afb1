import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { LineState } from '#proto/eduk/core/v1/ordering';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { PartyStandingChanged } from '#proto/eduk/events/v1/parties';
import { type EventName, events } from '#proto/events';
import { delivery } from './index.ts';
import { routesPage } from './page.ts';
import { routes, untold } from './routes.ts';
import { bodies, heads, mail, parkedKeys, parkedMail } from './tables.ts';

const SCHOOL = '0000000700012AB00000';
const BOARD = '00000001000000000009';
const ADMIN = '00000001000000000001';
const SELLER = '00000001000000000002';
const PLATFORM = '00000001000000000003';
const OTHER = '00000001000000000004';
const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_RESULT } = Service;
const { MANDATE_STATE_ACTIVE, MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ENDED } = MandateState;
const DAY = 86_400_000;

function chain() {
  const bench = testBench(delivery);
  const client = bench.client(DeliveryServiceDefinition);
  const party = (oin: string, role: Role | Role[], boardOin = '') =>
    bench.submit(
      'PartyRegistered',
      {
        party: {
          oin,
          name: '',
          roles: [role].flat(),
          endpoints: [],
          boardOin,
          sectors: [],
          attributes: [],
          requiresAcceptance: false,
        },
      },
      oin,
    );
  const mandate = (
    partyOin: string,
    services: Service[],
    state: MandateState = MANDATE_STATE_ACTIVE,
    more: { schoolOin?: string; mandateId?: string; validFrom?: string } = {},
  ) =>
    bench.submit(
      'MandateChanged',
      {
        mandate: {
          mandateId: `${partyOin}-${services.join('-')}`,
          schoolOin: SCHOOL,
          partyOin,
          services,
          attributes: [],
          state,
          validFrom: '',
          validUntil: '',
          runOffUntil: '',
          agreement: '',
          boardOin: '',
          boardMandateId: '',
          narrowed: [],
          enteredBy: '',
          pairwise: false,
          agreementVersion: '',
          purposes: [],
          siteCodes: [],
          requiresAcceptance: false,
          confirmedBy: '',
          acceptedBy: '',
          source: '',
          sourceService: '',
          endpoints: [],
          endedBy: '',
          ...more,
        },
      },
      SCHOOL,
    );
  party(ADMIN, Role.ROLE_ADMINISTRATION);
  party(SELLER, Role.ROLE_PUBLISHER);
  party(PLATFORM, Role.ROLE_PLATFORM);
  const read = (
    partyOin: string,
    service: Service,
    more: { after?: bigint; limit?: number; waitMs?: bigint; catalogue?: boolean } = {},
  ) => client.readMailbox({ partyOin, service, catalogue: false, after: 0n, limit: 0, waitMs: 0n, ...more });
  const joined = (learner: string, options: { flowId?: string } = {}) =>
    bench.submit(
      'LearnerJoined',
      { schoolOin: SCHOOL, schoolYear: '2026-2027', learner: { learner } as never },
      learner,
      { school: SCHOOL, ...options },
    );
  const granted = (entitlementId: string, learner: string, more: { unchanged?: boolean } = {}) =>
    bench.submit(
      'EntitlementGranted',
      {
        terms: { entitlementId } as never,
        schoolOin: SCHOOL,
        holder: { learner, group: '' },
        byOin: SELLER,
        publisherOin: SELLER,
        platformOin: PLATFORM,
        ...more,
      },
      learner,
      { school: SCHOOL },
    );
  const park = (partyOin: string, service: Service, numbers: readonly bigint[], code = 'mandate.unconfirmed') =>
    client.parkRows({ partyOin, service, numbers: [...numbers], code });
  return { bench, client, party, mandate, read, joined, granted, park };
}
type Chain = ReturnType<typeof chain>;

const learners = async ({ read }: Chain, after = 0n) =>
  (await read(PLATFORM, SERVICE_ROSTER, { after })).rows.map(({ key }) => key);

describe('fan-out', () => {
  test('a grant reaches publisher, platform and who granted it, once each, over one stored body', async () => {
    const { bench, read, granted } = chain();
    granted('e1', 'learner-1');
    for (const party of [SELLER, PLATFORM]) {
      const { rows, head, oldest } = await read(party, SERVICE_ENTITLEMENT);
      expect(rows).toMatchObject([
        { number: 1n, key: 'learner-1', schoolOin: SCHOOL, type: 'EntitlementGranted', keyNumber: 1n },
      ]);
      expect([head, oldest]).toEqual([1n, 1n]);
      expect(events.EntitlementGranted.codec.decode(rows[0]!.data).terms?.entitlementId).toBe('e1');
    }
    expect(bench.list(bodies, { equals: [] })).toHaveLength(1);
  });

  test('what changed nothing is told to nobody', async () => {
    const { bench, granted } = chain();
    granted('e1', 'learner-1', { unchanged: true });
    bench.submit('ProductPublished', { unchanged: true }, 'p');
    bench.submit('OrderLinesChanged', { buyerOin: ADMIN, sellerOin: SELLER, outcomes: [], unchanged: true }, SCHOOL);
    expect(bench.list(bodies, { equals: [] })).toEqual([]);
    expect(bench.list(heads, { equals: [] })).toEqual([]);
  });

  test('a product stands once, in the mailbox that everyone has', async () => {
    const { bench, read } = chain();
    bench.submit('ProductPublished', { product: { productId: 'p' } as never }, 'p');
    for (const party of [SELLER, OTHER])
      expect((await read(party, 0, { catalogue: true })).rows.map(({ key }) => key)).toEqual(['p']);
    expect(bench.list(mail, { equals: [] })).toHaveLength(1);
  });

  test('a roster goes to those who have a mandate for it, confirmed or not, and no administration', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_UNCONFIRMED);
    it.mandate(ADMIN, [SERVICE_ROSTER]);
    it.mandate(SELLER, [SERVICE_ORDER]);
    it.mandate(OTHER, [SERVICE_ROSTER]); // Not registered yet.
    it.joined('learner-1');
    const receivers = it.bench
      .list(heads, { equals: [] })
      // Beside those that have news of their mandates.
      .filter(({ service }) => service !== Service.SERVICE_UNSPECIFIED)
      .map(({ party, service }) => `${party}/${service}`);
    expect(receivers.sort()).toEqual([`${PLATFORM}/${SERVICE_ROSTER}`, `${OTHER}/${SERVICE_ROSTER}`].sort());
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ENDED);
    it.joined('learner-2');
    expect(await learners(it)).toEqual(['learner-1']);
  });

  test('a mandate of the board counts for its schools', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ACTIVE, { schoolOin: BOARD });
    it.joined('learner-1');
    it.party(SCHOOL, Role.ROLE_SCHOOL, BOARD);
    it.joined('learner-2');
    expect(await learners(it)).toEqual(['learner-2']);
  });

  test('orders go to sellers and buyer; what a seller said to the buyer; what a buyer cancelled to both', async () => {
    const { bench, read } = chain();
    const about = { orderId: 'o', schoolOin: SCHOOL, buyerOin: ADMIN };
    const changed = (state: LineState) =>
      bench.submit(
        'OrderLinesChanged',
        { ...about, sellerOin: SELLER, outcomes: [{ lineId: '1', state, reason: '', day: '' }] },
        SCHOOL,
      );
    bench.submit(
      'OrderPlaced',
      {
        ...about,
        lines: [{ sellerOin: SELLER } as never, { sellerOin: OTHER } as never, { sellerOin: SELLER } as never],
      },
      SCHOOL,
    );
    changed(LineState.LINE_STATE_CONFIRMED);
    changed(LineState.LINE_STATE_CANCELLED);
    const types = async (party: string) => (await read(party, SERVICE_ORDER)).rows.map(({ type }) => type);
    expect(await types(ADMIN)).toEqual(['OrderPlaced', 'OrderLinesChanged', 'OrderLinesChanged']);
    expect(await types(SELLER)).toEqual(['OrderPlaced', 'OrderLinesChanged']);
    expect(await types(OTHER)).toEqual(['OrderPlaced']);
  });

  test('results go to the administration with a mandate, not to who sent them nor to another platform', async () => {
    const { bench, read, mandate } = chain();
    for (const party of [ADMIN, PLATFORM, OTHER]) mandate(party, [SERVICE_RESULT]);
    bench.submit(
      'ResultRecorded',
      { result: { resultId: 'r', schoolOin: SCHOOL, learner: 'l', byOin: PLATFORM } as never },
      'l',
    );
    bench.submit('ResultRefused', { resultId: 'r', byOin: PLATFORM, code: 'learner.unknown' }, 'l');
    expect((await read(ADMIN, SERVICE_RESULT)).rows.map(({ type }) => type)).toEqual(['ResultRecorded']);
    expect((await read(PLATFORM, SERVICE_RESULT)).rows.map(({ type }) => type)).toEqual(['ResultRefused']);
    expect((await read(OTHER, SERVICE_RESULT)).rows).toEqual([]);
  });

  test('results go to a dashboard with a mandate, not to one that is a supplier too', async () => {
    const { bench, read, mandate, party } = chain();
    const [dashboard, both] = ['00000001000000000021', '00000001000000000022'];
    party(dashboard!, Role.ROLE_DASHBOARD);
    party(both!, [Role.ROLE_DASHBOARD, Role.ROLE_PLATFORM]);
    for (const oin of [dashboard!, both!]) mandate(oin, [SERVICE_RESULT]);
    const result = { resultId: 'r', schoolOin: SCHOOL, learner: 'l', byOin: PLATFORM } as never;
    bench.submit('ResultRecorded', { result }, 'l');
    expect((await read(dashboard!, SERVICE_RESULT)).rows.map(({ type }) => type)).toEqual(['ResultRecorded']);
    expect((await read(both!, SERVICE_RESULT)).rows).toEqual([]);
  });

  test('numbers of a mailbox have no gaps, over all lanes', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER]);
    for (let i = 0; i < 50; i++) it.joined(`learner-${i % 9}`);
    const { rows } = await it.read(PLATFORM, SERVICE_ROSTER);
    expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, i) => BigInt(i + 1)));
  });
});

describe('reading', () => {
  test('goes on after a number, in pages', async () => {
    const { read, granted } = chain();
    for (let i = 1; i <= 5; i++) granted(`e${i}`, 'l');
    const first = await read(SELLER, SERVICE_ENTITLEMENT, { limit: 2 });
    expect(first.rows.map(({ number }) => number)).toEqual([1n, 2n]);
    const next = await read(SELLER, SERVICE_ENTITLEMENT, { limit: 2, after: first.through });
    expect(next.rows.map(({ number }) => number)).toEqual([3n, 4n]);
    expect(next.head).toBe(5n);
  });

  test('waits for mail of that mailbox, and only so long', async () => {
    const { read, granted } = chain();
    const waited = read(PLATFORM, SERVICE_ENTITLEMENT, { waitMs: 5000n });
    const inVain = read(OTHER, SERVICE_ENTITLEMENT, { waitMs: 30n });
    await Promise.resolve();
    granted('e1', 'l');
    expect((await waited).rows).toHaveLength(1);
    expect((await inVain).rows).toEqual([]);
  });

  test('what a learner was told of before being forgotten is passed over; the forgetting is delivered', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER]);
    const flowId = it.joined('learner-1');
    it.joined('learner-2');
    it.bench.advance(1000);
    it.bench.submit('LearnerForgotten', { schoolOin: SCHOOL, learner: 'learner-1' }, 'learner-1', { school: SCHOOL });
    const { rows, through } = await it.read(PLATFORM, SERVICE_ROSTER);
    expect(rows.map(({ key, type }) => `${key} ${type}`)).toEqual([
      'learner-2 LearnerJoined',
      'learner-1 LearnerForgotten',
    ]);
    expect(through).toBe(3n);
    const { deliveries } = await it.client.flowRows({ flowId });
    expect(deliveries).toMatchObject([{ partyOin: PLATFORM, state: 'forgotten' }]);
  });

  test('what waited is delivered when the forgetting was taken back', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER]);
    it.joined('learner-1');
    it.bench.advance(1000);
    const about = { schoolOin: SCHOOL, learner: 'learner-1' };
    it.bench.submit('LearnerForgotten', about, 'learner-1', { school: SCHOOL });
    it.bench.submit('LearnerKept', about, 'learner-1', { school: SCHOOL });
    const { rows } = await it.read(PLATFORM, SERVICE_ROSTER);
    expect(rows.map(({ type }) => type)).toEqual(['LearnerJoined', 'LearnerForgotten']);
  });

  test('mail leaves after thirty days, with its body, and the lowest number says so', async () => {
    const { bench, read, granted } = chain();
    granted('e1', 'l');
    bench.advance(20 * DAY);
    granted('e2', 'l');
    bench.advance(12 * DAY);
    const { rows, oldest, head } = await read(SELLER, SERVICE_ENTITLEMENT);
    expect(rows.map(({ number }) => number)).toEqual([2n]);
    expect([oldest, head]).toEqual([2n, 2n]);
    expect(bench.list(bodies, { equals: [] })).toHaveLength(1);
    bench.advance(25 * DAY);
    expect(bench.list(bodies, { equals: [] })).toEqual([]);
    expect(await read(SELLER, SERVICE_ENTITLEMENT)).toMatchObject({ rows: [], oldest: 3n, head: 2n });
  });
});

describe('parking', () => {
  test('parked mail and what comes behind it rest; other keys go on; a confirmed mandate lets all go under fresh numbers', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_UNCONFIRMED);
    const flowId = it.joined('learner-1');
    it.joined('learner-2');
    it.joined('learner-1'); // 3: in the mailbox already, behind it.
    expect(await it.park(PLATFORM, SERVICE_ROSTER, [1n])).toEqual({ again: false });
    it.bench.advance(1_000);
    const later = it.joined('learner-1'); // 4: comes later.
    expect(await it.read(PLATFORM, SERVICE_ROSTER)).toMatchObject({ rows: [{ number: 2n }], through: 3n, head: 4n });
    expect((await it.client.listParkedRows({ schoolOin: SCHOOL, partyOin: '' })).parked).toMatchObject([
      { partyOin: PLATFORM, schoolOin: SCHOOL, service: SERVICE_ROSTER, code: 'mandate.unconfirmed', rows: 3n },
    ]);
    expect((await it.client.flowRows({ flowId })).deliveries).toMatchObject([
      { state: 'parked', code: 'mandate.unconfirmed' },
    ]);
    // It waits since it came, however long its key did before.
    const { deliveries } = await it.client.flowRows({ flowId: later });
    expect(deliveries).toMatchObject([{ state: 'parked', atMs: BigInt(it.bench.now()) }]);

    const waited = it.read(PLATFORM, SERVICE_ROSTER, { after: 4n, waitMs: 5000n });
    await Promise.resolve();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ACTIVE);
    const { rows, oldest } = await waited;
    expect(rows.map(({ number, keyNumber }) => [number, keyNumber])).toEqual([
      [5n, 1n],
      [6n, 3n],
      [7n, 4n],
    ]);
    expect(oldest).toBe(1n); // Nothing was lost, so no cursor has expired.
    expect((await it.client.flowRows({ flowId })).deliveries).toMatchObject([{ state: 'ready', code: '' }]);
    expect(it.bench.list(parkedKeys, { equals: [] })).toEqual([]);
    expect(it.bench.list(parkedMail, { equals: [] })).toEqual([]);
  });

  test('what was parked for a closed school comes back when it is said to be open, in order, as often as it takes', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER]);
    const park = async () => {
      const { rows } = await it.read(PLATFORM, SERVICE_ROSTER);
      await it.park(PLATFORM, SERVICE_ROSTER, rows.map(({ number }) => number).slice(0, 1), 'school.closed');
    };
    it.joined('learner-1');
    it.joined('learner-2');
    it.joined('learner-1');
    await park();
    it.joined('learner-1');
    expect(await learners(it)).toEqual(['learner-2']);
    const release = (schoolOin: string, code: string) => it.client.releaseRows({ schoolOin, code });
    await release('0000000700034CD00000', 'school.closed');
    await release(SCHOOL, 'mandate.ended');
    expect(await learners(it)).toEqual(['learner-2']);

    const waited = it.read(PLATFORM, SERVICE_ROSTER, { after: 4n, waitMs: 5000n });
    await release(SCHOOL, 'school.closed');
    expect((await waited).rows.map(({ keyNumber }) => keyNumber)).toEqual([1n, 3n, 4n]);
    expect(it.bench.list(parkedKeys, { equals: [] })).toEqual([]);
    // Closed again before it was read, and once more.
    await park();
    await park();
    await release(SCHOOL, 'school.closed');
    await release(SCHOOL, 'school.closed');
    const { rows } = await it.read(PLATFORM, SERVICE_ROSTER);
    const ofOne = rows.filter(({ key }) => key === 'learner-1').map(({ keyNumber }) => keyNumber);
    expect([ofOne, rows.length]).toEqual([[1n, 3n, 4n], 4]);
    expect(it.bench.list(parkedMail, { equals: [] })).toEqual([]);
  });

  test('another school, service or party is not let go', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_UNCONFIRMED);
    it.joined('learner-1');
    await it.park(PLATFORM, SERVICE_ROSTER, [1n]);
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ACTIVE, { schoolOin: '0000000700034CD00000', mandateId: 'x' });
    it.mandate(PLATFORM, [SERVICE_ORDER], MANDATE_STATE_ACTIVE, { mandateId: 'y' });
    it.mandate(SELLER, [SERVICE_ROSTER]);
    expect(await learners(it)).toEqual([]);
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ENDED);
    expect(await learners(it)).toEqual([]);
  });

  test('a door that judged by an older copy is told to look again', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ACTIVE);
    it.joined('learner-1');
    expect(await it.park(PLATFORM, SERVICE_ROSTER, [1n])).toEqual({ again: true });
    expect(await learners(it)).toEqual(['learner-1']);
  });

  test('a mandate that begins later lets go on its first day', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ACTIVE, { validFrom: '2026-08-20' });
    it.joined('learner-1');
    expect(await it.park(PLATFORM, SERVICE_ROSTER, [1n])).toEqual({ again: false });
    it.bench.advance(2 * DAY);
    expect(await learners(it)).toEqual([]);
    it.bench.advance(DAY);
    expect(await learners(it)).toEqual(['learner-1']);
  });

  test('survives a restart, and more than one unit of work can move', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_UNCONFIRMED);
    for (let i = 0; i < 2500; i++)
      it.bench.append(
        'LearnerJoined',
        { schoolOin: SCHOOL, learner: { learner: `learner-${i % 800}` } as never },
        `learner-${i % 800}`,
        { school: SCHOOL },
      );
    it.bench.run();
    let after = 0n;
    for (;;) {
      const { rows } = await it.read(PLATFORM, SERVICE_ROSTER, { after, limit: 200 });
      if (rows.length === 0) break;
      await it.park(
        PLATFORM,
        SERVICE_ROSTER,
        rows.map(({ number }) => number),
      );
      after = rows.at(-1)!.number;
      if (after > 1000n) break; // The rest lies behind, unread.
    }
    const again = it.bench.restart();
    again.submit(
      'MandateChanged',
      {
        mandate: {
          mandateId: `${PLATFORM}-${SERVICE_ROSTER}`,
          schoolOin: SCHOOL,
          partyOin: PLATFORM,
          services: [SERVICE_ROSTER],
          state: MANDATE_STATE_ACTIVE,
        } as never,
      },
      SCHOOL,
    );
    const { rows } = await again.client(DeliveryServiceDefinition).readMailbox({
      partyOin: PLATFORM,
      service: SERVICE_ROSTER,
      catalogue: false,
      after: 0n,
      limit: 1000,
      waitMs: 0n,
    });
    expect(rows).toHaveLength(1000);
    const left = again.list(mail, { equals: [PLATFORM, SERVICE_ROSTER] });
    expect(left).toHaveLength(2500);
    const seen = new Map<string, number>();
    for (const { first, flowId, eventId } of left) {
      const { key } = again.get(bodies, flowId, eventId)!;
      expect(first).toBeGreaterThan(seen.get(key) ?? 0);
      seen.set(key, first);
    }
  });

  test('parked mail leaves after thirty days', async () => {
    const it = chain();
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_UNCONFIRMED);
    it.joined('learner-1');
    await it.park(PLATFORM, SERVICE_ROSTER, [1n]);
    it.bench.advance(20 * DAY);
    it.joined('learner-1');
    it.bench.advance(12 * DAY);
    expect(it.bench.list(parkedMail, { equals: [] })).toMatchObject([{ first: 2 }]);
    it.bench.advance(20 * DAY);
    expect(it.bench.list(parkedMail, { equals: [] })).toEqual([]);
    expect(it.bench.list(parkedKeys, { equals: [] })).toEqual([]);
    expect(it.bench.list(bodies, { equals: [] })).toEqual([]);
    expect(it.bench.get(heads, PLATFORM, SERVICE_ROSTER)).toMatchObject({ parkedKeys: 0 });
    // How much that was, and why, is told on; of another school it says nothing.
    expect(await it.client.listParkedRows({ schoolOin: SCHOOL, partyOin: PLATFORM })).toMatchObject({
      parked: [],
      dropped: [
        { partyOin: PLATFORM, schoolOin: SCHOOL, service: SERVICE_ROSTER, code: 'mandate.unconfirmed', rows: 2n },
      ],
    });
    expect((await it.client.listParkedRows({ schoolOin: '', partyOin: SELLER })).dropped).toEqual([]);
    // A mailbox without mail is looked after once in thirty days.
    it.bench.advance((3 * 366 + 31) * DAY);
    expect((await it.client.listParkedRows({ schoolOin: '', partyOin: '' })).dropped).toEqual([]);
  });

  test('of a stopped mandate it is dropped after thirty days with a count; given back in time, it goes in order', async () => {
    const [kept, lost] = [chain(), chain()];
    for (const it of [kept, lost]) {
      it.mandate(PLATFORM, [SERVICE_ROSTER]);
      for (const learner of ['learner-1', 'learner-2', 'learner-1']) it.joined(learner);
      it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ENDED);
      await it.park(PLATFORM, SERVICE_ROSTER, [1n, 2n, 3n], 'mandate.ended');
      expect(await learners(it)).toEqual([]);
      it.bench.advance(29 * DAY);
    }
    // Another mandate, as a new one has another id.
    kept.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ACTIVE, { mandateId: 'again' });
    expect((await learners(kept)).filter((one) => one === 'learner-1')).toHaveLength(2);
    const { rows } = await kept.read(PLATFORM, SERVICE_ROSTER);
    expect(rows.map(({ key, keyNumber }) => [key, keyNumber])).toEqual([
      ['learner-1', 1n],
      ['learner-1', 3n],
      ['learner-2', 2n],
    ]);
    lost.bench.advance(3 * DAY);
    lost.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ACTIVE, { mandateId: 'again' });
    expect(await learners(lost)).toEqual([]);
    expect((await lost.client.listParkedRows({ schoolOin: SCHOOL, partyOin: '' })).dropped).toMatchObject([
      { code: 'mandate.ended', rows: 3n },
    ]);
  });
});

describe('news of mandates', () => {
  test('goes to school, board and party, who need no mandate for it; not what stood already', async () => {
    const it = chain();
    it.party(SCHOOL, Role.ROLE_SCHOOL, BOARD);
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_UNCONFIRMED);
    it.mandate(PLATFORM, [SERVICE_ROSTER], MANDATE_STATE_ACTIVE);
    const of = (party: string) => it.read(party, Service.SERVICE_UNSPECIFIED);
    for (const party of [SCHOOL, BOARD, PLATFORM])
      expect((await of(party)).rows.map(({ schoolOin, type }) => [schoolOin, type])).toEqual([
        [SCHOOL, 'MandateChanged'],
        [SCHOOL, 'MandateChanged'],
      ]);
    expect((await of(SELLER)).rows).toEqual([]);
    it.bench.submit(
      'MandateChanged',
      { mandate: { schoolOin: SCHOOL, partyOin: PLATFORM, mandateId: 'm' } as never, unchanged: true },
      SCHOOL,
    );
    expect((await of(PLATFORM)).head).toBe(2n);
  });
});

describe('whatever happens', () => {
  type Move =
    | { do: 'join'; learner: number }
    | { do: 'confirm' | 'unconfirm' | 'restart' }
    | { do: 'read'; reader: number; limit: number };
  const moves = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('join' as const), learner: fc.nat(2) }) },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('read' as const),
          reader: fc.nat(1),
          limit: fc.integer({ min: 1, max: 3 }),
        }),
      },
      { weight: 1, arbitrary: fc.constant({ do: 'confirm' as const }) },
      { weight: 1, arbitrary: fc.constant({ do: 'unconfirm' as const }) },
      { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
    ),
    { maxLength: 60 },
  );

  test('no reader gets anything of a key before what came earlier, and each gets everything', async () => {
    await fc.assert(
      fc.asyncProperty(moves, async (script: Move[]) => {
        const it = chain();
        let bench = it.bench;
        let client = it.client;
        let mayHave = false;
        const setMandate = (state: MandateState) => {
          mayHave = state === MANDATE_STATE_ACTIVE;
          bench.submit(
            'MandateChanged',
            {
              mandate: {
                mandateId: 'm',
                schoolOin: SCHOOL,
                partyOin: PLATFORM,
                services: [SERVICE_ROSTER],
                state,
              } as never,
            },
            SCHOOL,
          );
        };
        setMandate(MANDATE_STATE_UNCONFIRMED);
        const came = new Map<string, string[]>();
        const readers = [0, 1].map(() => ({
          after: 0n,
          got: new Map<string, string[]>(),
          first: new Map<string, bigint>(),
        }));
        const read = async (reader: (typeof readers)[number], limit: number) => {
          const { rows, through } = await client.readMailbox({
            partyOin: PLATFORM,
            service: SERVICE_ROSTER,
            catalogue: false,
            after: reader.after,
            limit,
            waitMs: 0n,
          });
          if (!mayHave && rows.length > 0)
            await client.parkRows({
              partyOin: PLATFORM,
              service: SERVICE_ROSTER,
              numbers: rows.map(({ number }) => number),
              code: 'mandate.unconfirmed',
            });
          else
            for (const { key, flowId, keyNumber } of rows) {
              const got = reader.got.get(key) ?? [];
              // At least once: what was got before may come again, and its number per key tells so.
              if (keyNumber > (reader.first.get(key) ?? 0n)) got.push(flowId);
              reader.first.set(key, keyNumber > (reader.first.get(key) ?? 0n) ? keyNumber : reader.first.get(key)!);
              reader.got.set(key, got);
            }
          reader.after = through;
          return rows.length;
        };
        for (const move of script) {
          if (move.do === 'join') {
            const key = `learner-${move.learner}`;
            const flowId = bench.submit(
              'LearnerJoined',
              { schoolOin: SCHOOL, learner: { learner: key } as never },
              key,
              { school: SCHOOL },
            );
            came.set(key, [...(came.get(key) ?? []), flowId]);
          } else if (move.do === 'read') await read(readers[move.reader]!, move.limit);
          else if (move.do === 'confirm') setMandate(MANDATE_STATE_ACTIVE);
          else if (move.do === 'unconfirm') setMandate(MANDATE_STATE_UNCONFIRMED);
          else {
            bench = bench.restart();
            client = bench.client(DeliveryServiceDefinition);
          }
        }
        setMandate(MANDATE_STATE_ACTIVE);
        for (const reader of readers) {
          while ((await read(reader, 2)) > 0);
          expect(Object.fromEntries(reader.got)).toEqual(Object.fromEntries(came));
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('the table of routes', () => {
  test('names every event that the contract has delivery read', async () => {
    const { readFileSync } = await import('node:fs');
    const page = readFileSync(new URL('../../docs/streams.md', import.meta.url), 'utf8');
    const readByDelivery = [...page.matchAll(/^\| `(\w+)` \| \w+ \| \w+ \| ([\w, ]+) \|/gm)]
      .filter(([, , readers]) => readers!.split(', ').includes('delivery'))
      .map(([, name]) => name as EventName);
    expect(Object.keys({ ...routes, ...untold }).sort()).toEqual(readByDelivery.sort());
  });

  test('is printed in docs/routes.md', async () => {
    const { readFileSync } = await import('node:fs');
    expect(readFileSync(new URL('../../docs/routes.md', import.meta.url), 'utf8')).toBe(routesPage());
  });
});

describe('a party that is stopped everywhere', () => {
  const standing = ({ bench }: Chain, oin: string, stoppedMs: number, unchanged = false) =>
    bench.submit(
      'PartyStandingChanged',
      PartyStandingChanged.fromPartial({ oin, standing: { stoppedMs: BigInt(stoppedMs), pseudonyms: 1 }, unchanged }),
      oin,
    );

  test('keeps its mail parked whatever its mandates say, and gets it in order when it goes on', async () => {
    const at = chain();
    at.mandate(PLATFORM, [SERVICE_ROSTER, SERVICE_ENTITLEMENT]);
    at.joined('learner-1');
    standing(at, PLATFORM, 5);
    at.joined('learner-2');
    const { rows } = await at.read(PLATFORM, SERVICE_ROSTER);
    const numbers = rows.map(({ number }) => number);
    expect((await at.park(PLATFORM, SERVICE_ROSTER, numbers, 'mandate.ended')).again).toBe(false);
    at.joined('learner-1');
    expect(await learners(at)).toEqual([]);
    // A mandate that is confirmed meanwhile releases it, and it parks again: nothing of it is lost.
    at.mandate(PLATFORM, [SERVICE_ROSTER]);
    at.bench.run();
    const looked = (await at.read(PLATFORM, SERVICE_ROSTER)).rows.map(({ number }) => number);
    expect((await at.park(PLATFORM, SERVICE_ROSTER, looked, 'mandate.ended')).again).toBe(false);
    standing(at, PLATFORM, 0);
    at.bench.run();
    expect([...(await learners(at))].sort()).toEqual(['learner-1', 'learner-1', 'learner-2']);
    expect(at.bench.list(parkedKeys, { equals: [] })).toEqual([]);
  });

  test('goes on once, whatever is said twice, and nobody else notices', async () => {
    const at = chain();
    at.mandate(SELLER, [SERVICE_ROSTER]);
    standing(at, PLATFORM, 5);
    standing(at, PLATFORM, 5, true);
    at.joined('learner-1');
    expect((await at.read(SELLER, SERVICE_ROSTER)).rows).toHaveLength(1);
    standing(at, PLATFORM, 0);
    standing(at, PLATFORM, 0, true);
    at.bench.run();
    expect((await at.read(SELLER, SERVICE_ROSTER)).rows).toHaveLength(1);
  });
});

describe('a school that is forgotten', () => {
  const HOUR = 72 * 3_600_000;
  const change = ({ bench }: Chain, state: string, atMs = bench.now() + HOUR, what = state) =>
    bench.submit(
      'PartyStandingChanged',
      PartyStandingChanged.fromPartial({
        oin: SCHOOL,
        change: what,
        standing: {
          forgetting: {
            schoolOin: SCHOOL,
            state,
            destroyAtMs: BigInt(atMs),
            receivers: [{ partyOin: PLATFORM }, { partyOin: SELLER }],
          },
        },
      }),
      SCHOOL,
      { school: SCHOOL },
    );
  const forgotten = ({ bench }: Chain, learner: string) =>
    bench.submit('LearnerForgotten', { schoolOin: SCHOOL, learner, destroyAtMs: BigInt(bench.now() + HOUR) }, learner, {
      school: SCHOOL,
    });

  test('parks what is read of it, lets the word of a learner by, and goes on in order when it is kept', async () => {
    const at = chain();
    at.mandate(PLATFORM, [SERVICE_ROSTER]);
    at.joined('learner-1');
    at.joined('learner-2');
    change(at, 'waits');
    const { rows } = await at.read(PLATFORM, SERVICE_ROSTER);
    const numbers = rows.map(({ number }) => number);
    // As long as it waits there is nothing to read again: a mandate that stands does not count.
    expect((await at.park(PLATFORM, SERVICE_ROSTER, numbers, 'mandate.ended')).again).toBe(false);
    at.bench.advance(1);
    forgotten(at, 'learner-1');
    const left = (await at.read(PLATFORM, SERVICE_ROSTER)).rows;
    expect(left.map(({ type, key }) => [type, key])).toEqual([['LearnerForgotten', 'learner-1']]);
    change(at, 'kept');
    at.bench.run();
    const kept = (await at.read(PLATFORM, SERVICE_ROSTER)).rows;
    expect(kept.map(({ type, key }) => [type, key])).toEqual([
      ['LearnerForgotten', 'learner-1'],
      ['LearnerJoined', 'learner-2'],
    ]);
    expect(at.bench.list(parkedKeys, { equals: [] })).toEqual([]);
    expect(at.bench.list(parkedMail, { equals: [] })).toEqual([]);
  });

  test('is news for who had its data, for itself, and for nobody else; a confirmation is news for nobody', async () => {
    const at = chain();
    change(at, 'waits');
    change(at, 'waits', at.bench.now() + HOUR, 'confirmed');
    change(at, 'kept');
    const news = async (oin: string) =>
      (await at.read(oin, Service.SERVICE_UNSPECIFIED)).rows.map(({ type, schoolOin }) => [type, schoolOin]);
    for (const oin of [PLATFORM, SELLER, SCHOOL])
      expect(await news(oin)).toEqual([
        ['PartyStandingChanged', SCHOOL],
        ['PartyStandingChanged', SCHOOL],
      ]);
    expect(await news(OTHER)).toEqual([]);
  });

  test('is closed an hour longer than it exists, and may come again then', async () => {
    const at = chain();
    change(at, 'waits');
    change(at, 'destroyed', at.bench.now());
    at.mandate(PLATFORM, [SERVICE_ROSTER]);
    at.joined('learner-1');
    const numbers = (await at.read(PLATFORM, SERVICE_ROSTER)).rows.map(({ number }) => number);
    expect((await at.park(PLATFORM, SERVICE_ROSTER, numbers, 'mandate.ended')).again).toBe(false);
    at.bench.advance(3_600_000);
    at.joined('learner-2');
    const later = (await at.read(PLATFORM, SERVICE_ROSTER)).rows.map(({ number }) => number);
    expect((await at.park(PLATFORM, SERVICE_ROSTER, later, 'mandate.ended')).again).toBe(true);
  });
});
