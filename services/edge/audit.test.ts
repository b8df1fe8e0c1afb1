import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { GatewayError } from '#kernel';
import type { AcceptRequest } from '#proto/eduk/bus/v1/bus';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { AuditSubmitted } from '#proto/eduk/events/v1/audit';
import { AuditNotes, audited } from './audit.ts';

/** What is gathered while the log is away takes the place of its kinds, not of the time that it is away. */

afterEach(() => vi.useRealTimers());

test('while the log takes nothing in, what is noted is counted with what waits already', async () => {
  vi.useFakeTimers({ toFake: ['setInterval'] });
  let isAway = true;
  const records: AuditRecord[] = [];
  const log = {
    accept({ entries }: AcceptRequest) {
      if (isAway) return Promise.reject(new GatewayError('gateway.unavailable'));
      for (const { events } of entries)
        for (const { data } of events)
          records.push(...AuditSubmitted.decode(data).items.map(({ record }) => AuditRecord.decode(record)));
      return Promise.resolve({ outcomes: [] });
    },
  };
  const notes = new AuditNotes(log as never, { now: Date.now } as never);
  const refused = (method: string) =>
    notes.note({ kind: AuditKind.AUDIT_KIND_REFUSED, partyOin: '', method, code: 'party.unknown' });
  for (let second = 0; second < 100; second++) {
    for (let n = 0; n < 20; n++) refused(`m-${n}`);
    await notes.flush();
  }
  isAway = false;
  await notes.flush();
  await notes.stop();
  expect(records.reduce((sum, { times }) => sum + times, 0n)).toBe(2_000n);
  // Those of the first second were made already; the others are one record of each kind.
  expect(records.length).toBe(40);
});

test('a note whose answer is lost is taken once: it is sent again as it was, under one reference', async () => {
  const asked: AcceptRequest[] = [];
  let isLost = true;
  const log = {
    // Takes it, and cannot say so.
    accept(request: AcceptRequest) {
      asked.push(structuredClone(request));
      return isLost ? Promise.reject(new GatewayError('gateway.unavailable')) : Promise.resolve({ outcomes: [] });
    },
  };
  const notes = new AuditNotes(log as never, { now: Date.now } as never);
  const released = (partyOin: string) =>
    notes.note({ kind: AuditKind.AUDIT_KIND_RELEASED, partyOin, schoolOin: '', people: 1 });
  released('a');
  await notes.flush();
  released('a');
  await notes.flush();
  isLost = false;
  await notes.flush();
  await notes.stop();
  const entries = asked.flatMap((request) => request.entries);
  // Three times the first, then what came since.
  expect(entries.length).toBe(4);
  expect(entries[1]).toEqual(entries[0]);
  expect(entries[2]).toEqual(entries[0]);
  expect(entries[0]!.referenceKey.length).toBe(16);
  expect(entries[0]!.digest.length).toBe(16);
  expect(Buffer.from(entries[3]!.referenceKey)).not.toEqual(Buffer.from(entries[0]!.referenceKey));
  const people = new Map(
    entries.map(({ referenceKey, events }) => [
      Buffer.from(referenceKey).toString('hex'),
      AuditSubmitted.decode(events[0]!.data).items.map(({ record }) => AuditRecord.decode(record).people),
    ]),
  );
  expect([...people.values()].flat()).toEqual([1n, 1n]);
});

test('where the log takes nothing in, nobody is told who learners are', async () => {
  const log = { accept: async () => Promise.reject(new Error('away')) };
  const notes = new AuditNotes(log as never, { now: Date.now } as never);
  const asked = { schoolOin: 's', attributes: [], tokens: ['lt_a'], learners: 1, reason: 'x', decidedMs: 1n };
  const vault = { takeReveal: async () => ({ asked, revealed: [{ known: true }] }) };
  await expect(
    audited(vault as never, notes, 'operator').takeReveal({
      requestId: 'r',
      askedBy: new Uint8Array(32),
      partyOin: 'operator',
      purpose: 'reveal',
    }),
  ).rejects.toThrow('away');
  await notes.stop();
});

describe('what is read again and again', () => {
  const started = () => {
    const records: AuditRecord[] = [];
    const log = {
      accept({ entries }: AcceptRequest) {
        for (const { events } of entries)
          for (const { data } of events)
            records.push(...AuditSubmitted.decode(data).items.map(({ record }) => AuditRecord.decode(record)));
        return Promise.resolve({ outcomes: [] });
      },
    };
    let now = 1_000_000;
    const notes = new AuditNotes(log as never, { now: () => now } as never);
    onTestFinished(() => notes.stop());
    const read = (method: string, actedBy = '') =>
      notes.read({ kind: AuditKind.AUDIT_KIND_OPERATOR, partyOin: 'o', method, actedBy });
    /** So many seconds pass; `each` happens in every one. */
    const pass = async (seconds: number, each = () => {}) => {
      for (let second = 0; second < seconds; second++) {
        each();
        now += 1_000;
        await notes.flush();
      }
    };
    const told = (method: string) =>
      records.filter((one) => one.method === method).map(({ times, actedBy }) => [Number(times), actedBy]);
    return { notes, read, pass, told, turnBack: (ms: number) => (now -= ms) };
  };

  test('is a record at once, and then one a minute with how often: an open page of six reads, twice a second', async () => {
    const { read, pass, told, notes } = started();
    const page = ['a', 'b', 'c', 'd', 'e', 'f'];
    const readAll = () => {
      for (const one of page) read(one);
    };
    await pass(1, readAll);
    for (const one of page) expect(told(one)).toEqual([[1, '']]);
    await pass(299, () => {
      readAll();
      readAll();
    });
    await notes.stop();
    for (const one of page) {
      expect(told(one).reduce((sum, [times]) => sum + (times as number), 0)).toBe(1 + 2 * 299);
      expect(told(one).length).toBeLessThanOrEqual(6);
    }
  });

  test('is told apart by who has which link, and is news again after a minute without', async () => {
    const { read, pass, told } = started();
    read('a');
    read('a', 'link:1');
    await pass(1);
    expect(told('a')).toEqual([
      [1, ''],
      [1, 'link:1'],
    ]);
    await pass(61);
    read('a');
    await pass(1);
    expect(told('a')).toHaveLength(3);
  });

  test('waits no longer than a minute, also where the clock went back', async () => {
    const { read, pass, told, turnBack } = started();
    read('a');
    await pass(1);
    read('a');
    turnBack(3_600_000);
    await pass(1);
    expect(told('a')).toHaveLength(2);
  });
});
