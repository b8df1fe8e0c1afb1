import fc from 'fast-check';
import { expect, test } from 'vitest';
import { testBench } from '#bus';
import { FindFlowsRequest, FlowsServiceDefinition, ReadNote } from '#proto/eduk/flows/v1/flows';
import { flows } from './index.ts';
import { noteReads, withNote } from './reads.ts';
import { counts, type ReadRow, reads } from './tables.ts';

const SCHOOL = '0000000700012AB00000';
const OTHER = '0000000700012AC00000';
const DAY = 86_400_000;
const start = Date.parse('2026-11-23T08:00:00Z');

let made = 0;
const note = (more: Partial<ReadNote> = {}): ReadNote => {
  const atMs = more.lastMs ?? BigInt(start);
  return ReadNote.fromPartial({
    flowId: `019ab000-0000-7000-8000-${String(++made).padStart(12, '0')}`,
    ...{ partyOin: 'party', method: 'uwlr/HaalLeerlinggegevens', schoolOin: SCHOOL, subject: '2026-2027' },
    ...{ form: 'UWLR 2.2 Smalle set', answered: 1, learners: 24, groups: 1, staff: 2 },
    ...{ firstMs: atMs, lastMs: atMs, gotMs: atMs },
    ...more,
  });
};
function setUp() {
  const bench = testBench([flows], { now: start });
  const client = bench.client(FlowsServiceDefinition);
  const find = async (asked: Partial<FindFlowsRequest>) => client.findFlows(FindFlowsRequest.fromPartial(asked));
  const get = async (flowId: string) =>
    (await client.getFlow({ flowId, partyOin: '', referenceKey: new Uint8Array(), method: '' })).flow;
  return { bench, client, find, get };
}

test('a read is a flow: found by party, school, year and state, and shown with what it had and what was lost', async () => {
  const { bench, client, find, get } = setUp();
  const losses = [{ element: 'leerling/voornamen', reason: 'minimised', count: 24 }];
  const one = note({ losses });
  await client.noteReads({ notes: [one, note({ schoolOin: OTHER, lastMs: BigInt(start + 1) })] });
  await client.noteReads({ notes: [note({ flowId: one.flowId, answered: 0, unchanged: 3, gotMs: 0n, learners: 0 })] });
  const seen = await get(one.flowId);
  expect(seen).toMatchObject({
    ...{ partyOin: 'party', schoolOin: SCHOOL, state: 'read', subject: '2026-2027', losses },
    steps: [
      {
        step: 'RosterRead',
        told: 'UWLR 2.2 Smalle set: once since 08:00 UTC; the last had 24 learners, 1 groups and 2 staff',
      },
      { step: 'RosterUnchanged', told: 'UWLR 2.2 Smalle set: 3 times since 08:00 UTC, nothing had changed' },
    ],
  });
  const ids = async (asked: Partial<FindFlowsRequest>) => (await find(asked)).flows.map(({ schoolOin }) => schoolOin);
  // A message too: lists hold both, the newest first.
  bench.submit('ProductSubmitted', { product: { productId: 'p' } as never, byOin: 'party' }, 'p');
  expect(await ids({ partyOin: 'party' })).toHaveLength(3);
  expect(await ids({ state: 'read' })).toEqual([OTHER, SCHOOL]);
  expect(await ids({ state: 'read', schoolOin: SCHOOL, partyOin: 'party' })).toEqual([SCHOOL]);
  expect(await ids({ state: 'read', partyOin: 'nobody' })).toEqual([]);
  expect(await ids({ subject: '2026-2027' })).toEqual([OTHER, SCHOOL]);
  expect(await ids({ state: 'refused' })).toEqual([]);
  expect(await ids({ key: 'p' })).toHaveLength(1);
});

test('pages go from the newest to the oldest without leaving one out', async () => {
  const { client, find } = setUp();
  await client.noteReads({
    notes: Array.from({ length: 25 }, (_, i) => note({ lastMs: BigInt(start + i), subject: `y${i}` })),
  });
  const seen: string[] = [];
  let beforeMs = 0n;
  for (;;) {
    const { flows: page, more } = await find({ state: 'read', limit: 10, beforeMs });
    seen.push(...page.map(({ subject }) => subject));
    if (!more) break;
    beforeMs = page.at(-1)!.acceptedMs;
  }
  expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => `y${24 - i}`));
});

test('doors may tell in any order: counts are added, and what was got is of the newest answer', () => {
  // A moment, Unix milliseconds; 0 says that nothing was got, and is none.
  const at = fc.integer({ min: 1, max: 1000 });
  const answer = fc.record({ at, answered: fc.nat(3), unchanged: fc.nat(3), learners: fc.nat(9) });
  fc.assert(
    fc.property(fc.uniqueArray(answer, { minLength: 1, maxLength: 6, selector: ({ at }) => at }), (list) => {
      const row = (order: typeof list) =>
        order.reduce<ReadRow | undefined>(
          (before, { at, ...it }) =>
            withNote(
              before,
              note({
                ...it,
                flowId: 'f',
                firstMs: BigInt(at),
                lastMs: BigInt(at),
                gotMs: BigInt(it.answered ? at : 0),
              }),
            ),
          undefined,
        )!;
      const { learners: _, gotMs, ...rest } = row(list);
      const { learners: __, gotMs: got, ...other } = row([...list].reverse());
      expect(other).toEqual(rest);
      expect(got).toBe(gotMs);
      const newest = list.filter(({ answered }) => answered > 0).sort((a, b) => b.at - a.at)[0];
      if (newest) expect([row(list).learners, row(list).gotMs]).toEqual([newest.learners, newest.at]);
    }),
  );
});

test('rows are bounded in number and in time', async () => {
  const { bench, client } = setUp();
  const rows = () => bench.list(reads, { equals: [] }).map(({ subject }) => subject);
  await client.noteReads({ notes: [note({ subject: 'old' })] });
  bench.advance(36 * DAY);
  await client.noteReads({ notes: [note({ subject: 'new', lastMs: BigInt(start + 36 * DAY) })] });
  expect(rows()).toEqual(['new']);
  const { view } = bench;
  noteReads(
    view,
    Array.from({ length: 8 }, (_, i) => note({ subject: `n${i}`, lastMs: BigInt(start + 37 * DAY + i) })),
    5,
  );
  expect(rows().sort()).toEqual(['n3', 'n4', 'n5', 'n6', 'n7']);
  expect(bench.list(counts, { equals: [] })).toEqual([{ name: 'reads', count: 5 }]);
});
