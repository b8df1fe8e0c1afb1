import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { type Table, testBench } from '#bus';
import {
  ConfigError,
  encoded,
  HmacKey,
  headDigest,
  isSignedBy,
  leafHash,
  merkleRoot,
  Peaks,
  proofProblem,
  readConfig,
  receiptsIn,
  recordLeaf,
  recordOf,
  Sketch,
  succession,
} from '#kernel';
import { AuditServiceDefinition } from '#proto/eduk/audit/v1/audit';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { MandateState } from '#proto/eduk/core/v1/party';
import type { AuditItem } from '#proto/eduk/events/v1/audit';
import { HEAD_MS } from './consume.ts';
import { audit, auditWith, logKey } from './index.ts';
import { daysTable, headsTable, keysTable, leavesTable, logTable, marksTable, receiptsTable } from './tables.ts';
import { TILE } from './tree.ts';

const PARTY = '00000099000000001000';
const SCHOOL = '00000007000099AA00000';
const DAY_MS = 86_400_000;
const newKey = () => generateKeyPairSync('ed25519').privateKey;
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

let made = 0;
function item(more: Partial<AuditRecord> = {}, reached: Partial<AuditItem> = {}): AuditItem {
  made += 1;
  const record = AuditRecord.fromPartial({
    kind: AuditKind.AUDIT_KIND_ACCEPTED,
    atMs: BigInt(Date.parse('2026-08-17T08:00:00Z')),
    partyOin: PARTY,
    method: 'OrderService/PlaceOrder',
    receiptId: `r-${made}`,
    content: Buffer.alloc(32, made % 256),
    times: 1n,
    ...more,
  });
  return {
    salt: Buffer.alloc(16, made % 251),
    record: encoded(AuditRecord, record),
    ...reached,
  };
}
const items = (count: number): AuditItem[] => Array.from({ length: count }, () => item());

function opened(key = newKey()) {
  const bench = testBench(auditWith({ key: () => key }));
  const call = bench.client(AuditServiceDefinition);
  return {
    bench,
    call,
    add: (some: AuditItem[]) => bench.submit('AuditSubmitted', { items: some }, PARTY),
    head: async () => (await call.getHead({})).head!,
    proof: async (receiptId: string, partyOin = '') => (await call.getProof({ receiptId, partyOin, waitMs: 0n })).proof,
  };
}

describe('the tree', () => {
  test('has a leaf for each record in its order, and the root that RFC 9162 gives it', async () => {
    const on = opened();
    const all = items(700);
    on.add(all.slice(0, 1));
    on.add(all.slice(1, 300));
    on.add(all.slice(300));
    on.bench.advance(HEAD_MS);
    const head = await on.head();
    expect(head.size).toBe(700n);
    expect(Buffer.from(head.root)).toEqual(merkleRoot(all.map(({ salt, record }) => new HmacKey(salt).digest(record))));
    const { leaves } = await on.call.listLeaves({ from: 0n, limit: 2000 });
    expect(leaves.map(({ record }) => Buffer.from(record))).toEqual(all.map(({ record }) => Buffer.from(record)));
  });
  test('gives inclusion and consistency of any size, as whoever has only the answer checks them', async () => {
    const on = opened();
    const heads = [];
    const all: AuditItem[] = [];
    for (const count of [1, 2, 5, 248, 1, 300, 513]) {
      const some = items(count);
      all.push(...some);
      on.add(some);
      on.bench.advance(HEAD_MS);
      heads.push(await on.head());
    }
    const last = heads.at(-1)!;
    for (const earlier of heads) {
      const { path } = await on.call.getConsistency({ fromSize: earlier.size, toSize: last.size });
      expect(succession(earlier, last, path)).toBe(earlier === last ? 'same' : 'grown');
    }
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: all.length - 1 }), async (n) => {
        const proof = (await on.proof(AuditRecord.decode(all[n]!.record).receiptId))!;
        expect(proof.index).toBe(BigInt(n));
        expect(proofProblem(proof)).toBeUndefined();
        expect(recordOf(proof)).toEqual(AuditRecord.decode(all[n]!.record));
        // Another record, place or root is not proven.
        const other = all[(n + 1) % all.length]!;
        expect(proofProblem({ ...proof, record: other.record })).toBe('path');
        expect(proofProblem({ ...proof, recordSalt: Buffer.alloc(16, 255) })).toBe('path');
        expect(proofProblem({ ...proof, index: proof.index + 1n })).toBe('path');
        expect(proofProblem({ ...proof, head: { ...proof.head!, root: leafHash(other.salt) } })).toBe('signature');
        expect(proofProblem({ ...proof, head: undefined })).toBe('incomplete');
      }),
      { numRuns: 25 },
    );
  });
  test('is the same however its events come in groups, and after a restart', async () => {
    const key = newKey();
    const one = testBench(auditWith({ key: () => key }));
    const other = testBench(auditWith({ key: () => key }));
    const some = items(20);
    one.submit('AuditSubmitted', { items: some.slice(0, 10) }, PARTY);
    one.submit('AuditSubmitted', { items: some.slice(10) }, PARTY);
    other.append('AuditSubmitted', { items: some.slice(0, 10) }, PARTY);
    other.append('AuditSubmitted', { items: some.slice(10) }, PARTY);
    other.run();
    const [a, b] = [one.restart(), other.restart()];
    for (const bench of [a, b]) bench.advance(HEAD_MS);
    const heads = [a, b].map((bench) => bench.get(headsTable, 20)!);
    expect(heads[0]!.root).toEqual(heads[1]!.root);
    expect(Buffer.from(heads[0]!.signature)).toEqual(Buffer.from(heads[1]!.signature));
  });
  test('takes mandates in from the log of parties', async () => {
    const on = opened();
    on.bench.submit(
      'MandateChanged',
      {
        mandate: {
          mandateId: 'm-1',
          schoolOin: SCHOOL,
          partyOin: PARTY,
          services: [1],
          attributes: ['eck_id'],
          state: MandateState.MANDATE_STATE_ENDED,
          validFrom: '',
          validUntil: '',
          runOffUntil: '',
          agreement: '',
          boardOin: '',
          boardMandateId: '',
          narrowed: [],
          enteredBy: 'operator',
          pairwise: false,
          agreementVersion: '',
          purposes: [1, 5],
          siteCodes: [],
          requiresAcceptance: false,
          confirmedBy: '',
          acceptedBy: '',
          endedBy: 'operator',
          source: '',
          sourceService: '',
          endpoints: [],
        },
        byOin: 'operator',
        unchanged: false,
      },
      SCHOOL,
    );
    const { leaves } = await on.call.listLeaves({ from: 0n, limit: 10 });
    expect(leaves).toHaveLength(1);
    expect(AuditRecord.decode(leaves[0]!.record)).toMatchObject({
      kind: AuditKind.AUDIT_KIND_MANDATE,
      purpose: 'teaching,results',
      actedBy: 'operator',
      schoolOin: SCHOOL,
      partyOin: PARTY,
      code: 'ended',
      attributes: ['eck_id'],
    });
  });
});

describe('heads', () => {
  test('follow each other, each signed and naming the one before', async () => {
    const on = opened();
    for (let i = 0; i < 4; i++) {
      on.add(items(3));
      on.bench.advance(HEAD_MS);
    }
    const { heads } = await on.call.listHeads({ aboveSize: 0n, limit: 0 });
    const { keys } = await on.call.getHead({});
    expect(heads.map(({ size }) => size)).toEqual([3n, 6n, 9n, 12n]);
    expect(keys).toHaveLength(1);
    let previous: Uint8Array = new Uint8Array(32);
    for (const head of heads) {
      expect(isSignedBy(head, keys[0]!.publicKey)).toBe(true);
      expect(isSignedBy({ ...head, timeMs: head.timeMs + 1n }, keys[0]!.publicKey)).toBe(false);
      expect(Buffer.from(head.previous)).toEqual(Buffer.from(previous));
      previous = headDigest(head);
    }
  });
  test('are signed within 5 s of the first leaf, and not again while nothing is added', async () => {
    const on = opened();
    on.add(items(1));
    on.bench.advance(HEAD_MS - 1);
    expect(await on.head()).toBeUndefined();
    expect(await on.proof(`r-${made}`)).toBeUndefined();
    on.bench.advance(1);
    expect((await on.head()).size).toBe(1n);
    expect(await on.proof(`r-${made}`)).toBeDefined();
    on.bench.advance(10 * HEAD_MS);
    expect((await on.call.listHeads({ aboveSize: 0n, limit: 0 })).heads).toHaveLength(1);
  });
  test('of another key go on in the same log, and the history says from when', async () => {
    const first = opened();
    first.add(items(2));
    first.bench.advance(HEAD_MS);
    const before = await first.head();
    const store = first.bench;
    const rows = store.list(logTable, { equals: [] });
    expect(rows).toHaveLength(1);
    const second = newKey();
    // The same rows, under a service with another key.
    const key = signerOfRows(first.bench, second);
    key.add(items(1));
    key.bench.advance(HEAD_MS);
    const after = await key.head();
    expect(Buffer.from(after.logId)).toEqual(Buffer.from(before.logId));
    expect(Buffer.from(after.previous)).toEqual(headDigest(before));
    const { keys } = await key.call.getHead({});
    expect(keys.map(({ untilMs }) => untilMs > 0n)).toEqual([true, false]);
    expect(keys[0]!.untilMs).toBe(keys[1]!.fromMs);
    expect(isSignedBy(before, keys[0]!.publicKey)).toBe(true);
    expect(isSignedBy(after, keys[1]!.publicKey)).toBe(true);
    expect(isSignedBy(after, keys[0]!.publicKey)).toBe(false);
  });
  test('without a key there are none, and leaves all the same', async () => {
    const bench = testBench(audit);
    bench.submit('AuditSubmitted', { items: items(2) }, PARTY);
    bench.advance(HEAD_MS);
    expect(bench.list(leavesTable, { equals: [] })).toHaveLength(2);
    expect((await bench.client(AuditServiceDefinition).getHead({})).head).toBeUndefined();
  });
});

/** What `bench` holds, as another release or machine opens it: with another key. */
function signerOfRows(bench: ReturnType<typeof opened>['bench'], key: ReturnType<typeof newKey>) {
  const restarted = testBench(auditWith({ key: () => key }), { now: bench.now() });
  restarted.view.note((unit) => {
    for (const table of [logTable, leavesTable, headsTable, keysTable] as readonly Table[])
      for (const row of bench.list(table, { equals: [] })) unit.put(table, row);
  });
  const call = restarted.client(AuditServiceDefinition);
  return {
    bench: restarted,
    call,
    add: (some: AuditItem[]) => restarted.submit('AuditSubmitted', { items: some }, PARTY),
    head: async () => (await call.getHead({})).head!,
  };
}

describe('receipts', () => {
  test('of another party are as if they were not there', async () => {
    const on = opened();
    on.add([item({ receiptId: 'mine' })]);
    on.bench.advance(HEAD_MS);
    expect(await on.proof('mine', PARTY)).toBeDefined();
    expect(await on.proof('mine', '00000099000000002000')).toBeUndefined();
    expect(await on.proof('nobody', PARTY)).toBeUndefined();
  });
  const together = (receiptIds: readonly string[], more: Partial<AuditRecord> = {}): AuditItem =>
    item({
      receiptId: '',
      content: Buffer.alloc(0),
      times: BigInt(receiptIds.length),
      messages: receiptIds.map((receiptId) => ({
        receiptId,
        content: Buffer.alloc(32, receiptId),
        schoolOin: '',
        method: '',
      })),
      ...more,
    });
  test('of messages that were accepted together are each found in the one leaf', async () => {
    const on = opened();
    on.add([together(['m-1', 'm-2', 'm-3']), together(['m-4', 'm-5'])]);
    on.bench.advance(HEAD_MS);
    expect((await on.head()).size).toBe(2n);
    for (const [receiptId, index] of [
      ['m-1', 0n],
      ['m-3', 0n],
      ['m-4', 1n],
    ] as const) {
      const proof = (await on.proof(receiptId, PARTY))!;
      expect([proof.index, proofProblem(proof)]).toEqual([index, undefined]);
      expect(receiptsIn(recordOf(proof)).find((one) => one.receiptId === receiptId)).toEqual({
        receiptId,
        content: new Uint8Array(Buffer.alloc(32, receiptId)),
        schoolOin: '',
        method: 'OrderService/PlaceOrder',
        times: 1n,
      });
    }
  });
  test('of a group that was not wholly new are found in the record that stands for the first', async () => {
    const on = opened();
    on.add([together(['n-1', 'n-2', 'n-3'])]);
    on.add([together(['n-1', 'n-3'], { replaces: 'n-1' })]);
    on.bench.advance(HEAD_MS);
    expect((await on.proof('n-1'))!.index).toBe(1n);
    expect((await on.proof('n-3'))!.index).toBe(1n);
  });
  test('are only of what was accepted', async () => {
    const on = opened();
    on.add([item({ receiptId: 'flow', kind: AuditKind.AUDIT_KIND_REFUSED }), item({ receiptId: 'flow', method: 'x' })]);
    on.bench.advance(HEAD_MS);
    expect(recordOf((await on.proof('flow'))!).method).toBe('x');
  });
});

test('who was given what is counted by school, party, purpose, day and attributes', async () => {
  const on = opened();
  const released = (more: Partial<AuditRecord>) =>
    item({
      kind: AuditKind.AUDIT_KIND_RELEASED,
      receiptId: '',
      method: '',
      schoolOin: SCHOOL,
      purpose: 'roster',
      attributes: ['groups', 'eck_id'],
      people: 24n,
      ...more,
    });
  on.add([
    released({}),
    released({ people: 6n, times: 2n }),
    released({ partyOin: 'other' }),
    released({ schoolOin: 'x' }),
  ]);
  on.add([released({ atMs: BigInt(Date.parse('2026-08-18T08:00:00Z')) })]);
  const { rows } = await on.call.listAccess({ schoolOin: SCHOOL, fromDay: '', toDay: '2026-08-17' });
  expect(
    rows.map(({ partyOin, day, times, people, attributes, lastIndex }) => [
      partyOin,
      day,
      times,
      people,
      attributes,
      lastIndex,
    ]),
  ).toEqual([
    [PARTY, '2026-08-17', 3n, 30n, ['eck_id', 'groups'], 1n],
    ['other', '2026-08-17', 1n, 24n, ['eck_id', 'groups'], 2n],
  ]);
  expect((await on.call.listAccess({ schoolOin: SCHOOL, fromDay: '', toDay: '' })).rows).toHaveLength(3);
});

test('of a school with many rows the newest are told too, or that they are too many', async () => {
  const on = opened();
  const first = Date.parse('2026-01-01T11:00:00Z');
  const some: AuditItem[] = [];
  for (let day = 0; day < 51; day++)
    for (let n = 0; n < 200; n++)
      some.push(
        item({
          kind: AuditKind.AUDIT_KIND_RELEASED,
          receiptId: '',
          schoolOin: SCHOOL,
          partyOin: String(n),
          purpose: 'roster',
          atMs: BigInt(first + day * DAY_MS),
        }),
      );
  on.add(some);
  const rows = async (fromDay: string, toDay: string) =>
    (await on.call.listAccess({ schoolOin: SCHOOL, fromDay, toDay })).rows.map(({ day }) => day);
  expect((await rows('2026-02-20', '')).length).toBe(200);
  expect(new Set(await rows('2026-02-19', '2026-02-19'))).toEqual(new Set(['2026-02-19']));
  expect((await rows('', '2026-02-19')).length).toBe(50 * 200);
  // What is too much for one answer is not cut off.
  await expect(rows('', '')).rejects.toMatchObject({ fault: 'wire.invalid' });
});

test('after three years whole tiles, heads and counts leave; what stands is still proven, and heads of then still are the beginning', async () => {
  const on = opened();
  const old = [item({ receiptId: 'twice' }), ...items(TILE + 9)];
  on.add(old);
  on.bench.advance(HEAD_MS);
  const early = await on.head();
  on.bench.advance(3 * 366 * DAY_MS - 10 * DAY_MS);
  const late = BigInt(on.bench.now());
  const young = [item({ atMs: late, receiptId: 'twice' }), ...Array.from({ length: 299 }, () => item({ atMs: late }))];
  on.add(young);
  on.bench.advance(20 * DAY_MS);
  expect(on.bench.get(logTable, 'log')!.firstKept).toBe(TILE);
  expect(on.bench.list(leavesTable, { equals: [] })[0]!.n).toBe(TILE);
  const head = await on.head();
  const { path } = await on.call.getConsistency({ fromSize: BigInt(TILE), toSize: head.size });
  expect(path.length).toBeGreaterThan(0);
  const exact = await on.call.getConsistency({ fromSize: early.size, toSize: head.size });
  expect(succession(early, head, exact.path)).toBe('grown');
  expect(proofProblem((await on.proof(AuditRecord.decode(young[5]!.record).receiptId))!)).toBeUndefined();
  expect(await on.proof(AuditRecord.decode(old[5]!.record).receiptId)).toBeUndefined();
  // What stands in a leaf that is kept too is found there; of the others there is no trace.
  expect((await on.proof('twice'))!.index).toBe(BigInt(old.length));
  expect(on.bench.list(receiptsTable, { equals: [] })).toHaveLength(10 + young.length);
  // The tree is made anew from trunks and leaves.
  const { trunks } = await on.call.listLeaves({ from: 0n, limit: 0 });
  const { leaves } = await on.call.listLeaves({ from: BigInt(TILE), limit: 2000 });
  expect(trunks).toHaveLength(1);
  const peaks = new Peaks();
  peaks.addWhole(trunks[0]!.level, trunks[0]!.hash);
  for (const { salt, record } of leaves) peaks.add(recordLeaf(salt, record));
  expect(peaks.root()).toEqual(Buffer.from(head.root));
});

describe('what one party was given', () => {
  const OTHER = '00000007000099AB00000';
  const sketch = (from: number, to: number, prefix = 'lt_'): Uint8Array => {
    const of = new Sketch();
    for (let i = from; i < to; i++) of.add(`${prefix}${i}`);
    return of.bytes();
  };
  const given = (day: string, more: Partial<AuditRecord>, reached: Partial<AuditItem> = {}) =>
    item(
      {
        kind: AuditKind.AUDIT_KIND_RELEASED,
        atMs: BigInt(Date.parse(`${day}T08:00:00Z`)),
        schoolOin: SCHOOL,
        purpose: 'roster',
        attributes: ['eck_id'],
        people: 10n,
        method: '',
        receiptId: '',
        ...more,
      },
      reached,
    );
  const ask = { partyOin: PARTY, fromDay: '', toDay: '', schoolOin: '', afterSchool: '', afterDay: '' };

  test('is told by school, with different people counted once over days, purposes and processes', async () => {
    const on = opened();
    on.add([
      given('2026-03-01', {}, { learners: sketch(0, 10) }),
      given('2026-03-01', { purpose: 'access', attributes: ['call_name', 'eck_id'] }, { learners: sketch(5, 12) }),
      given('2026-03-02', { partyOin: 'somebody else' }, { learners: sketch(50, 90) }),
    ]);
    on.add([
      given('2026-04-01', {}, { learners: sketch(0, 12), staff: sketch(0, 3, 'st_') }),
      // From before it was counted by whom it was about.
      given('2026-04-02', {}),
      given('2026-04-01', { schoolOin: OTHER }, { learners: sketch(0, 4) }),
    ]);
    const { rows, afterSchool, keptFrom } = await on.call.listReach(ask);
    expect([afterSchool, keptFrom]).toEqual(['', '2026-03-01']);
    const counted = rows.map(({ learners, staff, ...row }) => ({
      ...row,
      learners: new Sketch().merge(learners).count(),
      staff: new Sketch().merge(staff).count(),
    }));
    expect(counted).toEqual([
      {
        schoolOin: SCHOOL,
        firstDay: '2026-03-01',
        lastDay: '2026-04-02',
        days: 3,
        times: 4n,
        people: 40n,
        purposes: ['access', 'roster'],
        attributes: ['call_name', 'eck_id'],
        uncountedDays: 1,
        uncountedUntil: '2026-04-02',
        learners: 12,
        staff: 3,
      },
      expect.objectContaining({ schoolOin: OTHER, learners: 4, days: 1 }),
    ]);
    const march = await on.call.listReach({ ...ask, schoolOin: SCHOOL, fromDay: '2026-03-01', toDay: '2026-03-31' });
    expect(march.rows).toMatchObject([{ days: 1, firstDay: '2026-03-01', lastDay: '2026-03-01' }]);
    const later = await on.call.listReach({ ...ask, schoolOin: SCHOOL, fromDay: '2026-04-02' });
    expect(later.rows).toMatchObject([{ days: 1, firstDay: '2026-04-02', uncountedDays: 1 }]);
    await expect(on.call.listReach({ ...ask, partyOin: '' })).rejects.toThrow(/Name the party/);
  });

  test('comes in pages that break no day, and comes to the same', async () => {
    const on = opened();
    const all: AuditItem[] = [];
    const schools = Array.from({ length: 24 }, (_, i) => `00000007000099${String.fromCharCode(65 + i)}Z00000`);
    for (const schoolOin of schools)
      for (let day = 1; day <= 28; day++)
        for (let kind = 0; kind < 12; kind++)
          all.push(
            given(
              `2026-02-${String(day).padStart(2, '0')}`,
              { schoolOin, purpose: `service-${kind}` },
              { learners: sketch(day, day + 2) },
            ),
          );
    for (let from = 0; from < all.length; from += 500) on.add(all.slice(from, from + 500));
    const sums = new Map<string, { days: number; times: bigint; learners: Sketch }>();
    let pages = 0;
    for (let at = { afterSchool: '', afterDay: '' }; ; pages++) {
      const page = await on.call.listReach({ ...ask, ...at });
      for (const row of page.rows) {
        const sum = sums.get(row.schoolOin) ?? { days: 0, times: 0n, learners: new Sketch() };
        sum.days += row.days;
        sum.times += row.times;
        sum.learners.merge(row.learners);
        sums.set(row.schoolOin, sum);
      }
      if (page.afterSchool === '') break;
      at = page;
    }
    expect(pages).toBeGreaterThan(0);
    expect([...sums.keys()].sort()).toEqual(schools);
    for (const { days, times, learners } of sums.values())
      expect([days, times, learners.count()]).toEqual([28, 336n, 29]);
  });

  test('uses are by what was given, sent and agreed, once a day, and leave after three years', async () => {
    const on = opened();
    on.add([
      given('2026-03-01', {}),
      given('2026-03-01', {}),
      given('2026-03-05', {}),
      // Late: it makes it no older.
      given('2026-03-04', {}),
      item({ schoolOin: SCHOOL }),
      item({ kind: AuditKind.AUDIT_KIND_REFUSED, schoolOin: SCHOOL }),
      item({ method: 'ResultService/ReturnResults', schoolOin: '' }),
    ]);
    const { rows, countedSince } = await on.call.listUse({
      schoolOin: '',
      afterSchool: '',
      afterParty: '',
      afterWhat: '',
    });
    expect(
      rows.map(({ schoolOin, what, firstDay, lastDay, days }) => [schoolOin, what, firstDay, lastDay, days]),
    ).toEqual([
      ['', 'ResultService/ReturnResults', '2026-08-17', '2026-08-17', 1],
      [SCHOOL, 'OrderService/PlaceOrder', '2026-08-17', '2026-08-17', 1],
      [SCHOOL, 'roster', '2026-03-01', '2026-03-05', 2],
    ]);
    expect(countedSince).toMatch(/^\d{4}-\d\d-\d\d$/);
    on.bench.advance(4 * 366 * DAY_MS);
    const left = await on.call.listUse({ schoolOin: '', afterSchool: '', afterParty: '', afterWhat: '' });
    expect(left).toMatchObject({ rows: [], countedSince });
    expect((await on.call.listReach(ask)).rows).toEqual([]);
  });
});

describe('the key', () => {
  const config = (more: Record<string, string> = {}) => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-log-'));
    folders.push(folder);
    return { folder, config: readConfig({ EDUK_DATA: folder, ...more }) };
  };
  test('is made at the first start, readable by its owner only, and found again', () => {
    const { folder, config: settings } = config();
    const first = logKey(settings);
    const file = join(folder, 'log.key');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain('PRIVATE KEY');
    expect(logKey(settings).equals(first)).toBe(true);
    expect(logKey(config().config).equals(first)).toBe(false);
  });
  test('of a file that is named, or none', () => {
    const { folder } = config();
    const file = join(folder, 'other.key');
    const named = config({ EDUK_LOG_KEY_FILE: file }).config;
    expect(() => logKey(named)).toThrow(ConfigError);
    writeFileSync(file, 'nothing of the kind', { mode: 0o600 });
    expect(() => logKey(named)).toThrow(/Ed25519/);
    const key = newKey();
    writeFileSync(file, key.export({ type: 'pkcs8', format: 'pem' }));
    expect(logKey(named).equals(key)).toBe(true);
    writeFileSync(
      file,
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
    );
    expect(() => logKey(named)).toThrow(/Ed25519/);
  });
});

describe('a search', () => {
  const OTHER = '00000007000099AB00000';
  const ask = {
    fromDay: '',
    toDay: '',
    partyOin: '',
    schoolOin: '',
    kind: AuditKind.AUDIT_KIND_UNSPECIFIED,
    method: '',
    limit: 0,
  };
  const onDay = (day: string, more: Partial<AuditRecord> = {}) =>
    item({ atMs: BigInt(Date.parse(`${day}T08:00:00Z`)), schoolOin: SCHOOL, ...more });
  type On = ReturnType<typeof opened>;
  const found = async (on: On, more: object) =>
    (await on.call.searchLog({ ...ask, ...more })).rows.map(({ index }) => Number(index));
  /** Through all pages. */
  async function all(on: On, more: object) {
    const rows: number[] = [];
    for (let before: bigint | undefined, pages = 1; ; pages++) {
      const page = await on.call.searchLog({ ...ask, ...more, ...(before === undefined ? {} : { before }) });
      if (before !== undefined) expect(page.coveredTo).toBeLessThanOrEqual(before);
      rows.push(...page.rows.map(({ index }) => Number(index)));
      if (page.before === undefined) return { rows, pages, page };
      expect(page.before).toBe(page.coveredFrom);
      before = page.before;
    }
  }

  test('finds by day, party, school, kind and method, also in messages that came together, newest first', async () => {
    const on = opened();
    on.add([
      onDay('2026-03-01'),
      onDay('2026-03-02', { partyOin: 'other', schoolOin: OTHER }),
      onDay('2026-03-02', { kind: AuditKind.AUDIT_KIND_REFUSED, code: 'mandate.missing' }),
      onDay('2026-03-03', { partyOin: 'other', actedBy: PARTY, method: 'RosterService/PutRoster' }),
      onDay('2026-03-03', {
        schoolOin: '',
        method: '',
        receiptId: '',
        messages: [OTHER, SCHOOL].map((schoolOin, i) => ({
          receiptId: `together-${i}`,
          content: Buffer.alloc(32),
          schoolOin,
          method: 'ResultService/ReturnResults',
        })),
      }),
    ]);
    // Done late at night, taken after the next day began.
    on.add([onDay('2026-03-02')]);
    on.bench.advance(HEAD_MS);
    expect(await found(on, {})).toEqual([5, 4, 3, 2, 1, 0]);
    expect(await found(on, { partyOin: 'other' })).toEqual([3, 1]);
    expect(await found(on, { partyOin: PARTY })).toEqual([5, 4, 3, 2, 0]);
    expect(await found(on, { schoolOin: OTHER })).toEqual([4, 1]);
    expect(await found(on, { kind: AuditKind.AUDIT_KIND_REFUSED })).toEqual([2]);
    expect(await found(on, { method: 'ResultService/ReturnResults' })).toEqual([4]);
    expect(await found(on, { fromDay: '2026-03-02', toDay: '2026-03-02' })).toEqual([5, 2, 1]);
    expect(await found(on, { fromDay: '2026-03-03' })).toEqual([4, 3]);
    expect(await found(on, { toDay: '2026-03-01', schoolOin: SCHOOL })).toEqual([0]);
    const { rows, head, size, ...page } = await on.call.searchLog({ ...ask, limit: 1, schoolOin: OTHER });
    expect(rows).toMatchObject([{ schoolOins: [OTHER, SCHOOL], methods: ['ResultService/ReturnResults'] }]);
    expect(page).toEqual({
      coveredFrom: 4n,
      coveredTo: 6n,
      coveredFromMs: BigInt(Date.parse('2026-03-03T08:00:00Z')),
      coveredToMs: BigInt(Date.parse('2026-03-02T08:00:00Z')),
      before: 4n,
      keptFromMs: BigInt(Date.parse('2026-03-01T08:00:00Z')),
    });
    expect([head!.size, size]).toEqual([6n, 6n]);
    const none = await on.call.searchLog({ ...ask, fromDay: '2026-05-01' });
    expect([none.rows, none.before, none.coveredFromMs]).toEqual([[], undefined, 0n]);
    for (const wrong of [{ fromDay: 'May' }, { fromDay: '2026-03-03', toDay: '2026-03-02' }])
      await expect(found(on, wrong)).rejects.toMatchObject({ fault: 'wire.invalid' });
  });

  test('reads a bounded part of the log, says which, and goes on there; tiles without it are passed over', async () => {
    const on = opened();
    const days = ['2026-03-01', '2026-03-02', '2026-03-03'];
    const rare = [3, TILE * 9 + 7, TILE * 40 + 255];
    const some = Array.from({ length: TILE * 42 + 9 }, (_, n) =>
      onDay(days[Math.floor(n / (TILE * 15))]!, rare.includes(n) ? { schoolOin: OTHER } : {}),
    );
    for (let from = 0; from < some.length; from += 999) on.add(some.slice(from, from + 999));
    const marked = await all(on, { schoolOin: OTHER });
    expect([marked.rows, marked.pages]).toEqual([rare.toReversed(), 1]);
    expect((await all(on, { schoolOin: OTHER, limit: 1 })).rows).toEqual(rare.toReversed());
    expect((await all(on, { fromDay: days[0]!, toDay: days[0]!, schoolOin: OTHER })).rows).toEqual([rare[1], rare[0]]);
    // What marks do not tell is read leaf by leaf, and not all of it at once.
    const one = await on.call.searchLog({ ...ask, partyOin: PARTY, schoolOin: SCHOOL, toDay: days[0]!, limit: 200 });
    expect([one.rows.length, one.coveredTo, one.coveredFrom]).toEqual([
      200,
      BigInt(TILE * 15),
      BigInt(TILE * 15 - 200),
    ]);
    const every = await all(on, { limit: 200 });
    expect(every.rows).toEqual(some.map((_, n) => some.length - 1 - n));
  });

  test('looks at leaves of before days and marks were kept too, a part at a time', async () => {
    const on = opened();
    const some = Array.from({ length: TILE * 20 }, (_, n) => onDay('2026-03-01', n === 5 ? { schoolOin: OTHER } : {}));
    on.add(some);
    on.bench.view.note((unit) => {
      for (const { day } of unit.list(daysTable, { equals: [] })) unit.remove(daysTable, day);
      for (const { n } of unit.list(marksTable, { equals: [] })) unit.remove(marksTable, n);
    });
    on.add([onDay('2026-03-04'), onDay('2026-03-05')]);
    const { rows, pages } = await all(on, { fromDay: '2026-03-01', toDay: '2026-03-01', schoolOin: OTHER });
    expect([rows, pages]).toEqual([[5], 2]);
    expect((await all(on, { fromDay: '2026-03-04', toDay: '2026-03-04' })).rows).toEqual([TILE * 20]);
  });

  test('finds nothing of leaves that are no longer kept, and says from when they are', async () => {
    const on = opened();
    on.add(items(TILE + 10));
    on.bench.advance(HEAD_MS);
    on.bench.advance(3 * 366 * DAY_MS - 10 * DAY_MS);
    const late = BigInt(on.bench.now());
    on.add(Array.from({ length: TILE }, () => item({ atMs: late })));
    on.bench.advance(20 * DAY_MS);
    const { rows, page } = await all(on, { limit: 200 });
    expect([rows.length, rows.at(-1), page.coveredFrom]).toEqual([TILE + 10, TILE, BigInt(TILE)]);
    expect(on.bench.list(marksTable, { equals: [] }).map(({ n }) => n)).toEqual([1]);
    expect((await all(on, { toDay: '2026-08-17', limit: 200 })).rows).toHaveLength(10);
  });
});
