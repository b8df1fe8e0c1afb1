import { expect, test } from 'vitest';
import type { ReadNote } from '#proto/eduk/flows/v1/flows';
import { type ReadOutcome, type RosterRead, RosterReads } from './roster-reads.ts';

const MINUTE = 60_000;
const start = Date.parse('2026-11-23T07:30:00Z');
const read: RosterRead = {
  partyOin: '00000099100000009000',
  method: 'uwlr/HaalLeerlinggegevens',
  schoolOin: '0000000700099XX00000',
  schoolYear: '2026-2027',
  siteCode: '',
  form: 'UWLR 2.2 Smalle set',
};
const roster = (learners: number): ReadOutcome => ({
  kind: 'roster',
  learners,
  groups: 2,
  staff: 1,
  losses: [{ element: 'leerling/voornamen', reason: 'minimised', count: learners }],
});

/** Notes as they were told, and a clock that is moved by hand. */
function counting() {
  const told: ReadNote[][] = [];
  let now = start;
  let fails = false;
  const reads = new RosterReads(
    {
      noteReads: async ({ notes }: { notes: ReadNote[] }) => {
        if (fails) throw new Error('away');
        told.push(notes);
        return {};
      },
    } as never,
    () => now,
  );
  reads.stop();
  return {
    reads,
    told,
    pass: (ms: number) => {
      now += ms;
    },
    fail: (is: boolean) => {
      fails = is;
    },
  };
}

test('the first read of a day is told at once; what follows in a minute is added up, with the newest answer', async () => {
  const { reads, told, pass } = counting();
  reads.note(read, roster(24));
  await reads.flush();
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject([
    {
      partyOin: read.partyOin,
      method: read.method,
      subject: '2026-2027',
      answered: 1,
      learners: 24,
      groups: 2,
      staff: 1,
    },
  ]);
  pass(10_000);
  reads.note(read, roster(25));
  pass(10_000);
  reads.note(read, roster(23));
  reads.note(read, { kind: 'unchanged' });
  await reads.flush();
  expect(told).toHaveLength(1);
  pass(MINUTE);
  await reads.flush();
  expect(told[1]).toMatchObject([
    {
      ...{ flowId: told[0]![0]!.flowId, answered: 2, unchanged: 1, nothing: 0, learners: 23 },
      ...{ firstMs: BigInt(start + 10_000), lastMs: BigInt(start + 20_000), gotMs: BigInt(start + 20_000) },
      losses: [{ element: 'leerling/voornamen', reason: 'minimised', count: 23 }],
    },
  ]);
});

test('10,000 applications that ask each minute whether anything changed are a write of each in five minutes', async () => {
  const { reads, told, pass } = counting();
  for (let minute = 0; minute < 60; minute++) {
    for (let i = 0; i < 10_000; i++) reads.note({ ...read, partyOin: `app-${i}` }, { kind: 'unchanged' });
    for (let second = 0; second < 60; second++) {
      await reads.flush();
      pass(1_000);
    }
  }
  await reads.flush(true);
  const notes = told.flat();
  expect(notes.length).toBeLessThanOrEqual(10_000 * 13);
  expect(notes.reduce((sum, { unchanged }) => sum + unchanged, 0)).toBe(600_000);
  expect(new Set(notes.map(({ flowId }) => flowId)).size).toBe(10_000);
});

test('another day, form, school, site or party is another flow; another door names it the same', async () => {
  const { reads, told, pass } = counting();
  const others: Partial<RosterRead>[] = [
    {},
    { form: 'UWLR 2.3 Smalle set' },
    { schoolOin: '0000000700099YY00000' },
    { siteCode: '01' },
    { partyOin: '00000099100000009001' },
    { method: 'edexml/export' },
    { schoolYear: '2027-2028' },
  ];
  for (const other of others) reads.note({ ...read, ...other }, { kind: 'nothing' });
  await reads.flush();
  // The Dutch day ends at 23:00 UTC in winter.
  pass(Date.parse('2026-11-23T23:00:00Z') - start);
  reads.note(read, { kind: 'nothing' });
  await reads.flush(true);
  const ids = told.flat().map(({ flowId }) => flowId);
  expect(new Set(ids).size).toBe(others.length + 1);
  expect(told.flat()[3]!.subject).toBe('2026-2027.01');
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const elsewhere = counting();
  elsewhere.pass(5 * MINUTE);
  elsewhere.reads.note(read, roster(3));
  await elsewhere.reads.flush(true);
  expect(elsewhere.told[0]![0]!.flowId).toBe(ids[0]);
});

test('flows that are away cost counts only: who read has its answer', async () => {
  const { reads, told, pass, fail } = counting();
  fail(true);
  reads.note(read, roster(24));
  await reads.flush();
  fail(false);
  pass(MINUTE);
  reads.note(read, roster(24));
  await reads.flush();
  expect(told).toMatchObject([[{ answered: 1 }]]);
});
