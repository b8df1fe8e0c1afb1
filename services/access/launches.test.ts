import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type TestBench, testBench, type Unit } from '#bus';
import { dutchQuarter } from '#kernel';
import { AccessServiceDefinition } from '#proto/eduk/access/v1/access';
import { EntitlementState, EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import { Product } from '#proto/eduk/core/v1/product';
import { LearnerEntry } from '#proto/eduk/events/v1/rosters';
import { access } from './index.ts';
import * as tables from './tables.ts';
import { forget } from './tally.ts';

const school = '0000000700001AB00000';
const publisher = '00000001000000000002';
const platform = '00000001000000000003';
const las = '00000001000000000004';
const other = '00000001000000000009';
const DAY = 86_400_000;
const digest = (ticket: string): Buffer => createHash('sha256').update(ticket).digest();

const open = (): TestBench => testBench(access, { now: '2026-11-22T11:00:00Z' });
const granted = (
  bench: TestBench,
  entitlementId = 'e-1',
  more: { learner?: string; group?: string; unchanged?: boolean; count?: number } = {},
): string =>
  bench.submit(
    'EntitlementGranted',
    {
      terms: EntitlementTerms.fromPartial({
        entitlementId,
        productId: 'maths-1',
        startsOn: '2026-08-01',
        endsOn: '2027-07-31',
        count: more.count ?? 0,
      }),
      schoolOin: school,
      holder: { learner: more.learner ?? 'anna', group: more.group ?? '' },
      publisherOin: publisher,
      platformOin: platform,
      unchanged: more.unchanged ?? false,
    },
    more.learner ?? 'anna',
  );
const changed = (
  bench: TestBench,
  state: EntitlementState,
  cause: string,
  more: { unchanged?: boolean } = {},
): string =>
  bench.submit(
    'EntitlementChanged',
    { schoolOin: school, entitlementId: 'e-1', holder: { learner: 'anna', group: '' }, state, cause, ...more },
    'anna',
  );
const joined = (bench: TestBench, learner = 'anna', group = '4h2', schoolYear = '2026-2027'): string =>
  bench.submit(
    'LearnerJoined',
    {
      schoolOin: school,
      schoolYear,
      learner: LearnerEntry.fromPartial({ learner, group, compositeGroups: ['wisb1'] }),
    },
    learner,
  );
const create = (
  bench: TestBench,
  launchId = 'l-1',
  more: { learner?: string; entitlementId?: string; productId?: string } = {},
): string =>
  bench.submit(
    'LaunchSubmitted',
    {
      launchId,
      schoolOin: school,
      learner: 'anna',
      entitlementId: '',
      productId: 'maths-1',
      ticketDigest: digest('ticket'),
      byOin: las,
      ...more,
    },
    more.learner ?? 'anna',
    { school },
  );
const redeem = (bench: TestBench, launchId = 'l-1', ticket = 'ticket', byOin = platform): string =>
  bench.submit('RedeemSubmitted', { launchId, ticketDigest: digest(ticket), byOin }, byOin);
const provision = (bench: TestBench, more: { revoke?: boolean; byOin?: string } = {}): string =>
  bench.submit(
    'ProvisionSubmitted',
    { schoolOin: school, entitlementId: 'e-1', revoke: false, byOin: platform, ...more },
    school,
    { school },
  );
const publish = (bench: TestBench, licence: Partial<{ licensed: boolean }> | undefined): string =>
  bench.submit(
    'ProductPublished',
    { product: Product.fromPartial({ productId: 'maths-1', publisherOin: publisher, ...(licence && { licence }) }) },
    'maths-1',
  );

/** The only event since the last look. */
function only(bench: TestBench) {
  const found = bench.events();
  bench.clear();
  expect(found.map(({ name }) => name)).toHaveLength(1);
  return found[0]!;
}
const get = async (bench: TestBench, launchId = 'l-1') =>
  (await bench.client(AccessServiceDefinition).getLaunch({ launchId })).launch;

describe('from the right to the open book', () => {
  test('a launch is made, redeemed once, and told by its day', async () => {
    const bench = open();
    granted(bench);
    const flowId = create(bench);
    expect(only(bench)).toMatchObject({
      name: 'LaunchCreated',
      key: 'anna',
      flowId,
      value: {
        launchId: 'l-1',
        learner: 'anna',
        entitlementId: 'e-1',
        productId: 'maths-1',
        expiresMs: BigInt(bench.now() + 300_000),
      },
    });
    expect(await get(bench)).toMatchObject({ outcome: 'created', learner: 'anna', entitlementId: 'e-1' });
    const redeeming = redeem(bench);
    expect(only(bench)).toMatchObject({
      name: 'LaunchRedeemed',
      key: 'anna',
      flowId: redeeming,
      school,
      value: { entitlementId: 'e-1', learner: 'anna', day: '2026-11-22', byOin: platform, schoolOin: school },
    });
    expect(await get(bench)).toMatchObject({ outcome: 'redeemed', redeemedByOin: platform });
    redeem(bench);
    expect(only(bench)).toMatchObject({ name: 'AccessRefused', value: { code: 'launch.spent', subject: 'l-1' } });
  });
  test('of who has two tokens: by what stands under either, let in as the one that stays, until they are two again', async () => {
    const bench = open();
    granted(bench, 'own', { learner: 'second' });
    const two = { schoolOin: school, winner: 'anna', loser: 'second' };
    create(bench, 'l-0');
    expect(only(bench)).toMatchObject({ name: 'AccessRefused' });
    bench.submit('LearnersMerged', two, 'second', { school });
    // Also what was under way by the token that is no more.
    for (const learner of ['anna', 'second']) {
      create(bench, `l-${learner}`, { learner });
      expect(only(bench)).toMatchObject({ name: 'LaunchCreated', value: { learner: 'anna', entitlementId: 'own' } });
      create(bench, `n-${learner}`, { learner, entitlementId: 'own' });
      expect(only(bench)).toMatchObject({ name: 'LaunchCreated', value: { learner: 'anna', entitlementId: 'own' } });
    }
    const about = async () => {
      const asked = { schoolOin: school, learner: 'second' };
      const { subjects } = await bench.client(AccessServiceDefinition).listSubjects(asked);
      return subjects.map(({ subject }) => subject).sort();
    };
    expect(await about()).toEqual(['l-anna', 'l-second', 'n-anna', 'n-second']);
    bench.submit('LearnersMergeUndone', two, 'second', { school });
    create(bench, 'l-1');
    expect(only(bench)).toMatchObject({ name: 'AccessRefused' });
    create(bench, 'l-2', { learner: 'second' });
    expect(only(bench)).toMatchObject({ name: 'LaunchCreated', value: { learner: 'second' } });
  });
  test('by group of today, by school, never by a count', async () => {
    const bench = open();
    joined(bench);
    granted(bench, 'count', { learner: '', group: '', count: 30 });
    create(bench, 'l-0');
    expect(only(bench)).toMatchObject({ name: 'AccessRefused', value: { code: 'state.missing' } });
    granted(bench, 'class', { learner: '', group: 'wisb1' });
    create(bench, 'l-1');
    expect(only(bench)).toMatchObject({ name: 'LaunchCreated', value: { entitlementId: 'class' } });
    bench.submit(
      'LearnerMoved',
      {
        schoolOin: school,
        schoolYear: '2026-2027',
        learner: LearnerEntry.fromPartial({ learner: 'anna', group: '4h3' }),
      },
      'anna',
    );
    create(bench, 'l-2');
    expect(only(bench)).toMatchObject({ name: 'AccessRefused', value: { code: 'state.missing' } });
    expect(await get(bench, 'l-2')).toMatchObject({ outcome: 'refused', code: 'state.missing' });
    granted(bench, 'all', { learner: '' });
    create(bench, 'l-3', { entitlementId: 'all', productId: '' });
    expect(only(bench)).toMatchObject({ value: { entitlementId: 'all', productId: 'maths-1' } });
  });
  test('the platform that shows the ticket before we knew of it waits five seconds', () => {
    const bench = open();
    granted(bench);
    redeem(bench);
    expect(bench.events()).toEqual([]);
    create(bench);
    expect(bench.events().map(({ name }) => name)).toEqual(['LaunchCreated', 'LaunchRedeemed']);
    bench.clear();
    redeem(bench, 'l-9');
    bench.advance(5_000);
    expect(only(bench)).toMatchObject({
      name: 'AccessRefused',
      key: platform,
      value: { code: 'state.missing', schoolOin: '' },
    });
  });
  test('a launch in the same moment as its grant waits for it; one for what never comes is told after two seconds', () => {
    const bench = open();
    joined(bench);
    create(bench, 'l-1', { entitlementId: 'e-1', productId: '' });
    create(bench, 'l-2', { entitlementId: 'e-never', productId: '' });
    redeem(bench, 'l-1');
    expect(bench.events('LaunchCreated')).toEqual([]);
    expect(bench.events('AccessRefused')).toEqual([]);
    // The grant is not held up by what waits for it, and neither are other launches of the learner.
    granted(bench, 'e-0');
    create(bench, 'l-0', { entitlementId: 'e-0', productId: '' });
    granted(bench);
    expect(bench.events('LaunchCreated').map(({ value }) => value.launchId)).toEqual(['l-0', 'l-1']);
    expect(bench.events('LaunchRedeemed').map(({ value }) => value.launchId)).toEqual(['l-1']);
    bench.advance(2_001);
    expect(bench.events('AccessRefused').map(({ value }) => [value.subject, value.code])).toEqual([
      ['l-2', 'state.missing'],
    ]);
  });

  test('another party and another ticket find nothing', () => {
    const bench = open();
    granted(bench);
    create(bench);
    bench.clear();
    redeem(bench, 'l-1', 'ticket', other);
    expect(only(bench)).toMatchObject({ name: 'AccessRefused', value: { code: 'state.missing', schoolOin: '' } });
    redeem(bench, 'l-1', 'guess');
    expect(only(bench)).toMatchObject({ name: 'AccessRefused', value: { code: 'state.missing', schoolOin: '' } });
    redeem(bench);
    expect(only(bench)).toMatchObject({ name: 'LaunchRedeemed' });
  });
  test('after five minutes the ticket is spent', () => {
    const bench = open();
    granted(bench);
    create(bench);
    bench.clear();
    bench.advance(300_000);
    redeem(bench);
    expect(only(bench)).toMatchObject({ value: { code: 'launch.spent' } });
  });
  test('what was blocked since does not open', () => {
    const bench = open();
    granted(bench);
    create(bench);
    changed(bench, EntitlementState.ENTITLEMENT_STATE_BLOCKED, 'blocked');
    bench.clear();
    redeem(bench);
    expect(only(bench)).toMatchObject({ value: { code: 'entitlement.blocked' } });
    create(bench, 'l-2');
    expect(only(bench)).toMatchObject({ value: { code: 'entitlement.blocked' } });
    changed(bench, EntitlementState.ENTITLEMENT_STATE_GRANTED, 'unblocked');
    // A repeat tells how it stood then; here it is out of date.
    changed(bench, EntitlementState.ENTITLEMENT_STATE_BLOCKED, 'blocked', { unchanged: true });
    granted(bench, 'e-1', { unchanged: true, learner: 'ben' });
    redeem(bench);
    expect(only(bench)).toMatchObject({ name: 'LaunchRedeemed' });
  });
  test('free material opens for every pupil of the school', () => {
    const bench = open();
    publish(bench, { licensed: false });
    create(bench, 'l-1');
    expect(only(bench)).toMatchObject({ value: { code: 'learner.unknown' } });
    joined(bench);
    create(bench, 'l-2');
    expect(only(bench)).toMatchObject({ name: 'LaunchCreated', value: { entitlementId: '', productId: 'maths-1' } });
    redeem(bench, 'l-2', 'ticket', publisher);
    expect(only(bench)).toMatchObject({ name: 'LaunchRedeemed', value: { entitlementId: '' } });
  });
  test('material whose publisher says nothing of licences needs one', () => {
    const bench = open();
    joined(bench);
    publish(bench, undefined);
    create(bench);
    expect(only(bench)).toMatchObject({ value: { code: 'state.missing' } });
  });
});

describe('leaving', () => {
  const leave = (bench: TestBench, leftOn: string) =>
    bench.submit('LearnerLeft', { schoolOin: school, schoolYear: '2026-2027', learner: 'anna', leftOn }, 'anna');
  test("closes the school's material from that day; what is personal stays", () => {
    const bench = open();
    joined(bench);
    granted(bench, 'all', { learner: '' });
    leave(bench, '2026-11-24');
    create(bench, 'l-1');
    expect(only(bench)).toMatchObject({ name: 'LaunchCreated' });
    bench.advance(2 * DAY);
    create(bench, 'l-2');
    expect(only(bench)).toMatchObject({ value: { code: 'learner.unknown' } });
    granted(bench);
    create(bench, 'l-3');
    expect(only(bench)).toMatchObject({ name: 'LaunchCreated', value: { entitlementId: 'e-1' } });
  });
  test('today is at once, and coming back opens again', () => {
    const bench = open();
    joined(bench);
    granted(bench, 'all', { learner: '' });
    leave(bench, '2026-11-22');
    expect(bench.get(tables.learners, school, 'anna')).toBeUndefined();
    joined(bench);
    create(bench);
    expect(only(bench)).toMatchObject({ name: 'LaunchCreated' });
  });
});

describe('forgetting', () => {
  test('leaves no token, and no way in', () => {
    const bench = open();
    joined(bench);
    granted(bench);
    granted(bench, 'e-2');
    create(bench, 'l-1');
    create(bench, 'l-2', { entitlementId: 'e-9' });
    bench.clear();
    bench.submit('LearnerForgotten', { schoolOin: school, learner: 'anna' }, 'anna');
    for (const table of access.tables.filter((one) => one !== tables.forgotten))
      expect(JSON.stringify(bench.list(table, { equals: [] }))).not.toContain('anna');
    redeem(bench);
    expect(only(bench)).toMatchObject({ value: { code: 'state.missing' } });
    changed(bench, EntitlementState.ENTITLEMENT_STATE_WITHDRAWN, 'forgotten');
    create(bench, 'l-3');
    expect(only(bench)).toMatchObject({ value: { code: 'learner.unknown' } });
  });

  test('leaves no token of a grant that was told after it, nor of a launch of that (simulation, seeds 11980 and 21441)', () => {
    const bench = open();
    bench.submit('LearnerForgotten', { schoolOin: school, learner: 'anna' }, 'anna');
    granted(bench);
    create(bench);
    expect(only(bench)).toMatchObject({ value: { code: 'learner.unknown' } });
    changed(bench, EntitlementState.ENTITLEMENT_STATE_WITHDRAWN, 'withdrawn');
    for (const table of access.tables.filter((one) => one !== tables.forgotten))
      expect(JSON.stringify(bench.list(table, { equals: [] }))).not.toContain('anna');
    // After days nothing names her; who comes back is known as before.
    bench.advance(4 * 86_400_000);
    expect(bench.list(tables.forgotten, { equals: [] })).toEqual([]);
    bench.submit('LearnerForgotten', { schoolOin: school, learner: 'anna' }, 'anna');
    joined(bench);
    granted(bench, 'e-3');
    bench.clear();
    create(bench, 'l-3');
    expect(only(bench)).toMatchObject({ name: 'LaunchCreated', value: { entitlementId: 'e-3' } });
  });
});

describe('a forgetting that is taken back', () => {
  const waits = (bench: TestBench) =>
    bench.submit(
      'LearnerForgotten',
      { schoolOin: school, learner: 'anna', destroyAtMs: BigInt(bench.now() + 72 * 3_600_000) },
      'anna',
    );
  const keep = (bench: TestBench) => bench.submit('LearnerKept', { schoolOin: school, learner: 'anna' }, 'anna');
  const rowsOf = (bench: TestBench) =>
    [tables.rights, tables.learners, tables.launches].map((table) =>
      bench.list<object>(table as never, { equals: [] }),
    );

  test('leaves everything as it was', () => {
    const bench = open();
    joined(bench);
    granted(bench);
    create(bench, 'l-1');
    const before = rowsOf(bench);
    waits(bench);
    expect(JSON.stringify(rowsOf(bench))).not.toContain('anna');
    keep(bench);
    expect(rowsOf(bench)).toEqual(before);
    expect(bench.list(tables.aside, { equals: [] })).toEqual([]);
    bench.clear();
    create(bench, 'l-2');
    expect(only(bench)).toMatchObject({ name: 'LaunchCreated' });
  });
  test('in whatever order the two streams come', () => {
    const bench = open();
    joined(bench);
    granted(bench);
    changed(bench, EntitlementState.ENTITLEMENT_STATE_WITHDRAWN, 'forgotten');
    waits(bench);
    granted(bench);
    changed(bench, EntitlementState.ENTITLEMENT_STATE_USED, 'kept');
    expect(JSON.stringify(rowsOf(bench))).not.toContain('anna');
    keep(bench);
    expect(bench.list(tables.rights, { equals: [] })).toMatchObject([
      { holder: 'l:anna', state: EntitlementState.ENTITLEMENT_STATE_USED },
    ]);
  });
  test('after its hour nothing is left', () => {
    const bench = open();
    joined(bench);
    granted(bench);
    waits(bench);
    bench.advance(73 * 3_600_000);
    for (const table of access.tables) expect(JSON.stringify(bench.list(table, { equals: [] }))).not.toContain('anna');
  });
});

describe('provisioning', () => {
  test('is told under the learner; a repeat is decided too', () => {
    const bench = open();
    granted(bench);
    for (const flowId of [provision(bench), provision(bench)])
      expect(bench.events('AccessProvisioned').find((event) => event.flowId === flowId)).toMatchObject({
        key: 'anna',
        value: { entitlementId: 'e-1', byOin: platform },
      });
    bench.clear();
    provision(bench, { revoke: true });
    expect(only(bench)).toMatchObject({ name: 'AccessRevoked' });
    provision(bench, { byOin: other });
    expect(only(bench)).toMatchObject({
      name: 'AccessRefused',
      value: { code: 'state.missing', subject: 'e-1', byOin: other },
    });
  });
  test('waits a minute for its entitlement', () => {
    const bench = open();
    provision(bench);
    expect(bench.events()).toEqual([]);
    granted(bench);
    expect(only(bench)).toMatchObject({ name: 'AccessProvisioned' });
    const late = open();
    provision(late);
    late.advance(60_000);
    expect(only(late)).toMatchObject({ name: 'AccessRefused', key: school, value: { code: 'state.missing' } });
  });
});

test('after thirty days only the day of a launch is left', async () => {
  const bench = open();
  granted(bench);
  for (let i = 0; i < 450; i++)
    bench.append(
      'LaunchSubmitted',
      {
        launchId: `l-${i}`,
        schoolOin: school,
        learner: 'anna',
        productId: 'maths-1',
        ticketDigest: digest('ticket'),
        byOin: las,
      },
      'anna',
    );
  bench.run();
  redeem(bench, 'l-7');
  const exact = bench.get(tables.launches, 'l-7')!;
  bench.advance(30 * DAY);
  expect(bench.get(tables.launches, 'l-7')).toEqual(exact);
  bench.advance(DAY);
  const start = Date.parse('2026-11-21T23:00:00Z');
  for (const row of bench.list(tables.launches, { equals: [] }))
    expect(row).toMatchObject({ day: '2026-11-22', created: start, expires: start, digest: '' });
  expect(bench.get(tables.launches, 'l-7')).toMatchObject({ redeemed: start, state: 'redeemed' });
  expect(bench.get(tables.launches, 'l-8')).toMatchObject({ redeemed: 0 });
  expect(await get(bench, 'nothing')).toBeUndefined();
});

test('after the school year neither launches nor ended rights are kept', () => {
  const bench = open();
  granted(bench);
  granted(bench, 'e-2');
  create(bench);
  changed(bench, EntitlementState.ENTITLEMENT_STATE_EXPIRED, 'expired');
  bench.advance(Date.parse('2027-09-30T21:59:59Z') - bench.now());
  expect(bench.list(tables.launches, { equals: [] })).toHaveLength(1);
  expect(bench.list(tables.rights, { equals: [] })).toHaveLength(2);
  bench.advance(1000);
  expect(bench.list(tables.launches, { equals: [] })).toEqual([]);
  expect(bench.list(tables.launchDays, { equals: [] })).toEqual([]);
  expect(bench.list(tables.endings, { equals: [] })).toEqual([]);
  expect(bench.list(tables.rights, { equals: [] })).toMatchObject([{ id: 'e-2' }]);
});

describe('launches of a school', () => {
  test('come in pages, and no other school’s', async () => {
    const bench = open();
    joined(bench);
    joined(bench, 'ben');
    granted(bench);
    for (const [i, learner] of ['anna', 'ben', 'anna', 'ben', 'anna'].entries())
      bench.submit(
        'LaunchSubmitted',
        {
          launchId: `l-${i}`,
          schoolOin: i === 4 ? '0000000700001CD00000' : school,
          learner,
          productId: 'maths-1',
          ticketDigest: digest(`ticket-${i}`),
          byOin: las,
        },
        learner,
      );
    const ids: string[] = [];
    let pages = 0;
    for (let after = ''; ; ) {
      const { launches, next } = await bench
        .client(AccessServiceDefinition)
        .listLaunches({ schoolOin: school, limit: 3, after });
      ids.push(...launches.map(({ launchId }) => launchId));
      expect(launches.every(({ schoolOin, createdMs }) => schoolOin === school && createdMs > 0n)).toBe(true);
      pages++;
      if (next === '') break;
      after = next;
    }
    // By learner, whose tokens come in any order, and of a learner by launch.
    const [one, other] = [
      ['l-0', 'l-2'],
      ['l-1', 'l-3'],
    ];
    expect([
      [...one, ...other],
      [...other, ...one],
    ]).toContainEqual(ids);
    expect(pages).toBe(2);
  });
});

describe('how many there were', () => {
  const counted = async (bench: TestBench, day = '2026-11-22', partyOin = '') =>
    (await bench.client(AccessServiceDefinition).countLaunches({ days: [day], partyOin })).counts;

  test('by quarter, platform and publisher: made, opened, refused, shown in vain; once for each launch', async () => {
    const bench = open();
    granted(bench);
    publish(bench, undefined);
    create(bench);
    redeem(bench);
    redeem(bench);
    create(bench);
    create(bench, 'l-2');
    changed(bench, EntitlementState.ENTITLEMENT_STATE_BLOCKED, 'blocked');
    bench.clear();
    create(bench, 'l-3');
    // What is refused says what was to be opened, and whose that is.
    expect(only(bench)).toMatchObject({
      name: 'AccessRefused',
      value: { productId: 'maths-1', platformOin: publisher, publisherOin: publisher },
    });
    create(bench, 'l-4', { productId: 'nobody-knows' });
    const at = { day: '2026-11-22', quarter: 48 };
    expect(await counted(bench)).toEqual([
      {
        ...at,
        platformOin: '',
        publisherOin: '',
        created: 0,
        redeemed: 0,
        refused: [{ code: 'learner.unknown', count: 1, shown: false }],
      },
      {
        ...at,
        platformOin: publisher,
        publisherOin: publisher,
        created: 0,
        redeemed: 0,
        refused: [{ code: 'entitlement.blocked', count: 1, shown: false }],
      },
      {
        ...at,
        platformOin: platform,
        publisherOin: publisher,
        created: 2,
        redeemed: 1,
        refused: [{ code: 'launch.spent', count: 1, shown: true }],
      },
    ]);
    expect(await counted(bench, '2026-11-22', platform)).toHaveLength(1);
    expect(await counted(bench, '2026-11-21')).toEqual([]);
  });

  test('a launch is of the quarter in which it was asked for, in Dutch time on either side of the change of clocks', async () => {
    const bench = open();
    granted(bench);
    bench.advance(14 * 60_000);
    create(bench);
    bench.advance(2 * 60_000);
    redeem(bench);
    expect(await counted(bench)).toMatchObject([{ quarter: 48, created: 1, redeemed: 1 }]);
    expect([
      dutchQuarter(Date.parse('2026-11-23T07:30:00Z')),
      dutchQuarter(Date.parse('2026-08-24T06:30:00Z')),
    ]).toEqual([34, 34]);
  });

  test('of more than are removed at once, the rest is removed too', () => {
    const rows = new Set(Array.from({ length: 450 }, (_, i) => i));
    let due = 0;
    const unit = {
      now: 0,
      list: (_: unknown, { limit }: { limit: number }) => [...rows].slice(0, limit).map((quarter) => ({ quarter })),
      remove: (_: unknown, _day: string, quarter: number) => void rows.delete(quarter),
      setTimer: () => {
        due += 1;
      },
    } as unknown as Unit;
    for (let fired = 0; fired <= due; fired++) forget({ payload: 'tally|2026-08-24' }, unit);
    expect(rows.size).toBe(0);
  });

  test('and is gone after five weeks', () => {
    const bench = open();
    granted(bench);
    create(bench);
    expect(bench.list(tables.tallies, { equals: [] })).toHaveLength(1);
    bench.advance(34 * DAY);
    expect(bench.list(tables.tallies, { equals: [] })).toHaveLength(1);
    bench.advance(3 * DAY);
    expect(bench.list(tables.tallies, { equals: [] })).toEqual([]);
  });
});
