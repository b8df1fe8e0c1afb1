import { Buffer } from 'node:buffer';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Clock, connect, dispatcher, Gone, partitionOf, uuid7, uuidText, within } from '#kernel';
import { LogServiceDefinition, Taken } from '#proto/eduk/bus/v1/bus';
import type { Engine } from './engine.ts';
import { type LogRecord, type MessageType, type ServiceModule, table, type Unit } from './port.ts';

/**
 * What every engine owes a service, whatever carries its log. An engine's own test file gives a factory and shrinks to
 * that.
 */
export interface Place {
  /** Opens an engine on this place; after `stop`, the next one finds what the last one left. */
  open(options: { modules: readonly ServiceModule[]; clock: Clock; outboxMax?: number }): Promise<Engine>;
  /** Damages the log of a stopped engine: takes one record away. */
  lose(stream: string, partition: number, number: number): void | Promise<void>;
  remove(): void | Promise<void>;
}

const DAY = 86_400_000;

interface Ask {
  /** Counts up by one within a key. */
  seq: number;
  need?: string;
  know?: string;
  /** Wakes without making it known. */
  wake?: string;
  within?: number;
  scope?: string;
  poison?: boolean;
  timerIn?: number;
  cancel?: boolean;
}
const ask: MessageType<Ask> & { decode(bytes: Uint8Array): Ask } = {
  encode: (value) => ({ finish: () => Buffer.from(JSON.stringify(value)) }),
  decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as Ask,
};

interface CountRow {
  key: string;
  count: number;
  lastSeq: number;
  inOrder: number;
  fired: number;
  late: number;
}
const counts = table<CountRow>({
  name: 'probe_counts',
  key: ['key'],
  columns: { key: 'text', count: 'int', lastSeq: 'int', inOrder: 'int', fired: 'int', late: 'int' },
  indexes: { count: ['count'] },
  retention: 'RETENTION_AUDIT',
});
const known = table<{ what: string }>({
  name: 'probe_known',
  key: ['what'],
  columns: { what: 'text' },
  retention: 'RETENTION_AUDIT',
});
const seen = table<{ lane: string; number: number; key: string; id: string }>({
  name: 'probe_seen',
  key: ['lane', 'number'],
  columns: { lane: 'text', number: 'int', key: 'text', id: 'text' },
  retention: 'RETENTION_AUDIT',
});
const totals = table<{ key: string; counted: number; last: number; inOrder: number }>({
  name: 'probe_totals',
  key: ['key'],
  columns: { key: 'text', counted: 'int', last: 'int', inOrder: 'int' },
  retention: 'RETENTION_AUDIT',
});

/** Ills that a test switches on and off, as a release does. */
const ills = { sick: true };

function count(record: Pick<LogRecord, 'key'>, seq: number, unit: Unit): void {
  const row = unit.get(counts, record.key) ?? { key: record.key, count: 0, lastSeq: 0, inOrder: 1, fired: 0, late: 0 };
  const next = { ...row, count: row.count + 1, lastSeq: seq, inOrder: row.inOrder === 1 && seq > row.lastSeq ? 1 : 0 };
  unit.put(counts, next);
  unit.append('counted', 'Counted', ask, { seq: next.count }, record.key);
}

const module: ServiceModule = {
  name: 'probe',
  tables: [counts, known, seen, totals],
  consumers: [
    {
      name: 'counter',
      streams: ['probe'],
      types: ['Asked'],
      scope: (record) => ask.decode(record.data).scope ?? record.key,
      handle(record, unit) {
        const { seq, need, know, wake, within, poison, timerIn, cancel } = ask.decode(record.data);
        unit.put(known, { what: 'never kept by a record that fails' });
        if (poison && ills.sick) throw new Error('poison');
        if (need !== undefined && !unit.get(known, need)) unit.wait(need, unit.now + (within ?? DAY));
        unit.remove(known, 'never kept by a record that fails');
        if (know !== undefined) {
          unit.put(known, { what: know });
          unit.wake(know);
        }
        if (wake !== undefined) unit.wake(wake);
        if (timerIn !== undefined)
          unit.setTimer({ id: `of ${record.key}`, atMs: unit.now + timerIn, key: record.key, payload: String(seq) });
        if (cancel) unit.cancelTimer(`of ${record.key}`);
        count(record, seq, unit);
      },
      onTimer(timer, unit) {
        const row = unit.get(counts, timer.key)!;
        unit.put(counts, { ...row, fired: row.fired + 1 });
        unit.append('counted', 'Counted', ask, { seq: 1000 + Number(timer.payload) }, timer.key, {
          flowId: timer.flowId,
        });
      },
      onDeadline(record, _what, unit) {
        const row = unit.get(counts, record.key) ?? {
          key: record.key,
          count: 0,
          lastSeq: 0,
          inOrder: 1,
          fired: 0,
          late: 0,
        };
        unit.put(counts, { ...row, late: row.late + 1 });
      },
    },
    {
      name: 'reader',
      streams: ['probe', 'counted'],
      types: ['Asked', 'Counted'],
      handle(record, unit) {
        unit.put(seen, {
          lane: `${record.stream}/${record.partition}`,
          number: record.number,
          key: record.key,
          id: uuidText(record.id),
        });
        if (record.type !== 'Counted') return;
        const { seq } = ask.decode(record.data);
        const row = unit.get(totals, record.key) ?? { key: record.key, counted: 0, last: 0, inOrder: 1 };
        unit.put(totals, {
          key: record.key,
          counted: row.counted + 1,
          last: seq,
          inOrder: row.inOrder === 1 && seq > row.last ? 1 : 0,
        });
      },
    },
  ],
  serve: () => [],
};

interface EntryOptions {
  party?: string;
  digest?: string;
  digestVersion?: number;
  days?: number;
  type?: string;
  bulk?: boolean;
}
let nextReference = 0;
/** An entry with one event; the same `reference` is the same reference. */
export function entry(key: string, value: Ask, reference: string = `r${nextReference++}`, more: EntryOptions = {}) {
  return {
    flowId: Buffer.from(uuid7()),
    partyOin: more.party ?? '00000001800000000000',
    method: 'Probe/Ask',
    referenceKey: Buffer.from(reference.padEnd(16, '.')),
    digest: Buffer.from((more.digest ?? JSON.stringify(value)).padEnd(32, '.')),
    digestVersion: more.digestVersion ?? 1,
    rememberDays: more.days ?? 35,
    events: [{ stream: 'probe', type: more.type ?? 'Asked', key, data: Buffer.from(ask.encode(value).finish()) }],
    answer: Buffer.from(`answer to ${reference}`),
    schoolOin: '',
    traceparent: '',
    bulk: more.bulk ?? false,
  };
}

/** Runs the contract over places that `make` makes, each empty at first. */
export function busContract(name: string, make: () => Place | Promise<Place>): void {
  describe(`an engine ${name}`, () => {
    let place: Place;
    let engine: Engine;
    let now: number;
    const clock: Clock = { now: () => now };
    const open = async (outboxMax?: number): Promise<void> => {
      engine = await place.open({ modules: [module], clock, ...(outboxMax === undefined ? {} : { outboxMax }) });
    };
    const restart = async (): Promise<void> => {
      await engine.stop();
      await open();
    };
    const logService = () => connect(LogServiceDefinition, dispatcher(engine.implementations));
    const accept = async (...entries: ReturnType<typeof entry>[]) => (await logService().accept({ entries })).outcomes;
    const say = async (key: string, value: Ask, more?: EntryOptions): Promise<void> => {
      await accept(entry(key, value, undefined, more));
      await engine.runToIdle();
    };
    const row = (key: string) => engine.ask(() => engine.view.get(counts, key));
    /** What `look` finds in the view. */
    const view = <T>(look: (view: Engine['view']) => T) => engine.ask(() => look(engine.view));

    beforeEach(async () => {
      place = await make();
      now = Date.parse('2026-08-17T08:00:00Z');
      ills.sick = true;
      await open();
    });
    afterEach(async () => {
      await engine.stop();
      await place.remove();
    });

    describe('accepts', () => {
      test('a message once, and answers a repeat like the first', async () => {
        const first = entry('a', { seq: 1 }, 'ref');
        const again = { ...entry('a', { seq: 1 }, 'ref'), answer: Buffer.from('other') };
        expect((await accept(first)).map((o) => o.taken)).toEqual([Taken.TAKEN_ACCEPTED]);
        await engine.runToIdle();
        await restart();
        const [repeat] = await accept(again);
        expect(repeat!.taken).toBe(Taken.TAKEN_REPEATED);
        expect(
          Buffer.from(repeat!.answer).equals(first.answer) && Buffer.from(repeat!.flowId).equals(first.flowId),
        ).toBe(true);
        await engine.runToIdle();
        expect((await row('a'))?.count).toBe(1);
      });

      test('no other content under the same reference', async () => {
        await accept(entry('a', { seq: 1 }, 'ref'));
        const [other] = await accept(entry('a', { seq: 2 }, 'ref'));
        expect(other!.taken).toBe(Taken.TAKEN_CONFLICT);
        await engine.runToIdle();
        expect((await row('a'))?.count).toBe(1);
      });

      test('never calls it a conflict when the digest is of another version', async () => {
        await accept(entry('a', { seq: 1 }, 'ref'));
        const [other] = await accept(entry('a', { seq: 2 }, 'ref', { digestVersion: 2 }));
        expect(other!.taken).toBe(Taken.TAKEN_REPEATED);
      });

      test('the same reference of two parties as two', async () => {
        const outcomes = await accept(
          entry('a', { seq: 1 }, 'ref', { party: 'one' }),
          entry('a', { seq: 2 }, 'ref', { party: 'two' }),
        );
        expect(outcomes.map((o) => o.taken)).toEqual([Taken.TAKEN_ACCEPTED, Taken.TAKEN_ACCEPTED]);
      });

      test('a reference once within one group too, and answers in order', async () => {
        const outcomes = await accept(
          entry('a', { seq: 1 }, 'ref'),
          entry('b', { seq: 1 }, 'b', { bulk: true }),
          entry('a', { seq: 1 }, 'ref'),
          entry('a', { seq: 9 }, 'ref'),
          entry('c', { seq: 1 }, 'c', { party: 'other' }),
        );
        expect(outcomes.map((o) => o.taken)).toEqual([
          Taken.TAKEN_ACCEPTED,
          Taken.TAKEN_ACCEPTED,
          Taken.TAKEN_REPEATED,
          Taken.TAKEN_CONFLICT,
          Taken.TAKEN_ACCEPTED,
        ]);
        await engine.runToIdle();
        expect((await row('a'))?.count).toBe(1);
      });

      test('a reference anew when it is no longer remembered', async () => {
        await accept(entry('a', { seq: 1 }, 'ref', { days: 35 }));
        now += 36 * DAY;
        expect((await accept(entry('a', { seq: 2 }, 'ref', { days: 35 })))[0]!.taken).toBe(Taken.TAKEN_ACCEPTED);
        expect((await accept(entry('a', { seq: 2 }, 'ref', { days: 35 })))[0]!.taken).toBe(Taken.TAKEN_REPEATED);
      });

      test('nothing of a caller who left before its turn, and all of those behind it', async () => {
        const gone = new Gone();
        const left = within(undefined, () => accept(entry('a', { seq: 1 }, 'ref')), gone);
        const stays = accept(entry('b', { seq: 1 }, 'other'));
        gone.leave();
        await expect(left).rejects.toMatchObject({ fault: 'gateway.late' });
        expect((await stays).map((o) => o.taken)).toEqual([Taken.TAKEN_ACCEPTED]);
        // Nothing was claimed for it: it may come again.
        expect((await accept(entry('a', { seq: 1 }, 'ref'))).map((o) => o.taken)).toEqual([Taken.TAKEN_ACCEPTED]);
      });

      test('nothing above the stated number of unread events', async () => {
        await engine.stop();
        await place.remove();
        place = await make();
        await open(3);
        // Without `start` nothing is read.
        for (let i = 0; i < 4; i++) await accept(entry('a', { seq: i + 1 }));
        await expect(accept(entry('a', { seq: 9 }))).rejects.toMatchObject({ fault: 'gateway.overloaded' });
        await engine.runToIdle();
        await accept(entry('a', { seq: 9 }));
      });

      test('nothing that a door made wrongly', async () => {
        await expect(accept({ ...entry('a', { seq: 1 }), events: [] })).rejects.toMatchObject({ fault: 'gateway.bug' });
        await expect(accept({ ...entry('a', { seq: 1 }), flowId: Buffer.alloc(3) })).rejects.toMatchObject({
          fault: 'gateway.bug',
        });
      });
    });

    describe('keeps', () => {
      test('numbers without gaps in every lane, keys in their order, each record once, over any restart', async () => {
        const keys = Array.from({ length: 40 }, (_, i) => `key ${i}`);
        const next = new Map(keys.map((key) => [key, 1]));
        for (let round = 0; round < 12; round++) {
          const entries = keys
            .filter((_, i) => (i + round) % 3 !== 0)
            .map((key) => entry(key, { seq: next.get(key)! }));
          for (const { events } of entries) next.set(events[0]!.key, next.get(events[0]!.key)! + 1);
          await accept(...entries);
          if (round % 4 === 1) await engine.runToIdle();
          if (round % 3 === 2) await restart();
        }
        await engine.runToIdle();
        for (const key of keys) {
          const asked = next.get(key)! - 1;
          expect(await row(key)).toMatchObject({ count: asked, lastSeq: asked, inOrder: 1 });
          expect(await view((of) => of.get(totals, key))).toEqual({ key, counted: asked, last: asked, inOrder: 1 });
        }
        const lanes = new Map<string, number[]>();
        for (const { lane, number, key } of await view((of) => of.list(seen, { equals: [] }))) {
          expect(lane.endsWith(`/${partitionOf(key)}`)).toBe(true);
          lanes.set(lane, [...(lanes.get(lane) ?? []), number]);
        }
        for (const numbers of lanes.values()) expect(numbers).toEqual(numbers.map((_, i) => i + 1));
        expect(
          (await view((of) => of.ages())).every(
            ({ unread, oldestUnreadMs, gap }) => unread === 0 && oldestUnreadMs === 0 && !gap,
          ),
        ).toBe(true);
      });

      test('rows in the order of key and index', async () => {
        for (const [key, times] of [
          ['b', 2],
          ['a', 2],
          ['c', 1],
        ] as const)
          for (let i = 1; i <= times; i++) await say(key, { seq: i });
        const keys = (rows: readonly Readonly<CountRow>[]) => rows.map(({ key }) => key);
        expect(keys(await view((of) => of.list(counts, { equals: [] })))).toEqual(['a', 'b', 'c']);
        expect(keys(await view((of) => of.list(counts, { index: 'count', equals: [] })))).toEqual(['c', 'a', 'b']);
        expect(keys(await view((of) => of.list(counts, { index: 'count', equals: [2], after: ['a'] })))).toEqual(['b']);
        expect(keys(await view((of) => of.list(counts, { equals: [], descending: true, limit: 2 })))).toEqual([
          'c',
          'b',
        ]);
        expect(keys(await view((of) => of.list(counts, { equals: [], descending: true, after: ['b'] })))).toEqual([
          'a',
        ]);
      });

      test('notes, and tells of what changed', async () => {
        const told: string[] = [];
        engine.view.onCommit((touched) => told.push(...touched));
        await view((of) => of.note((unit) => unit.put(known, { what: 'noted' })));
        expect(told).toEqual(['probe_known']);
        await expect(
          view((of) =>
            of.note((unit) => {
              unit.put(known, { what: 'lost' });
              throw new Error('changed my mind');
            }),
          ),
        ).rejects.toThrow('changed my mind');
        await restart();
        expect(await view((of) => of.get(known, 'noted'))).toEqual({ what: 'noted' });
        expect(await view((of) => of.get(known, 'lost'))).toBeUndefined();
      });
    });

    describe('lets a record wait', () => {
      test('with what follows in its scope behind it, others passing, until it is woken', async () => {
        await say('a', { seq: 1, need: 'x', scope: 'order 1' });
        await say('a', { seq: 2, scope: 'order 2' });
        await say('a', { seq: 3, scope: 'order 1' });
        await say('b', { seq: 1 });
        expect(await row('a')).toMatchObject({ count: 1, lastSeq: 2 });
        expect((await row('b'))?.count).toBe(1);
        expect((await view((of) => of.waiting({}))).map(({ what, scope }) => [what, scope])).toEqual([
          ['x', 'order 1'],
          ['', 'order 1'],
        ]);
        expect(await view((of) => of.get(known, 'never kept by a record that fails'))).toBeUndefined();
        await restart();
        await say('k', { seq: 1, know: 'x' });
        expect(await view((of) => of.waiting({}))).toEqual([]);
        expect((await row('a'))?.count).toBe(3);
      });

      test('for one thing after another', async () => {
        await say('a', { seq: 1, need: 'x' });
        await say('a', { seq: 2, need: 'y' });
        await say('a', { seq: 3 });
        await say('k', { seq: 1, know: 'x' });
        expect((await row('a'))?.count).toBe(1);
        expect(await view((of) => of.waiting({ consumer: 'counter', what: 'y' }))).toHaveLength(1);
        await say('k', { seq: 2, know: 'y' });
        expect(await row('a')).toMatchObject({ count: 3, inOrder: 1 });
      });

      test('many of them for one thing', async () => {
        await accept(...Array.from({ length: 300 }, (_, i) => entry(`m${i}`, { seq: 1, need: 'x' })));
        await engine.runToIdle();
        expect(await view((of) => of.waiting({ what: 'x', limit: 1000 }))).toHaveLength(300);
        await say('k', { seq: 1, know: 'x' });
        expect(await view((of) => of.waiting({ limit: 1000 }))).toEqual([]);
        for (let i = 0; i < 300; i++) expect((await row(`m${i}`))?.count).toBe(1);
      });

      test('with more behind it than is taken up in one go', async () => {
        await say('a', { seq: 1, need: 'x' });
        await accept(...Array.from({ length: 200 }, (_, i) => entry('a', { seq: i + 2 })));
        await engine.runToIdle();
        expect(await row('a')).toBeUndefined();
        // What comes while they are taken up stays behind them.
        await accept(
          entry('k', { seq: 1, know: 'x' }),
          ...Array.from({ length: 100 }, (_, i) => entry('a', { seq: i + 202 })),
        );
        await engine.runToIdle();
        expect(await row('a')).toMatchObject({ count: 301, lastSeq: 301, inOrder: 1 });
        expect(await view((of) => of.waiting({}))).toEqual([]);
      });

      test('until its deadline, over a restart, and then goes on behind it', async () => {
        await say('a', { seq: 1, need: 'x', within: 1000 });
        await say('a', { seq: 2 });
        now += 999;
        await engine.runToIdle();
        expect(await row('a')).toBeUndefined();
        await restart();
        now += 1;
        await engine.runToIdle();
        expect(await row('a')).toMatchObject({ late: 1, count: 1, lastSeq: 2 });
        expect(await view((of) => of.waiting({}))).toEqual([]);
      });

      test('no longer because it is asked again for the same', async () => {
        await say('a', { seq: 1, need: 'x', within: 1000 });
        now += 900;
        // A wake that brings nothing: the record is decided again and waits on.
        await say('k', { seq: 1, wake: 'x' });
        expect(await view((of) => of.waiting({}))).toHaveLength(1);
        now += 100;
        await engine.runToIdle();
        expect(await row('a')).toMatchObject({ count: 0, late: 1 });
      });
    });

    describe('fires timers', () => {
      test('when they are due, once, with the flow that set them', async () => {
        await say('a', { seq: 1, timerIn: 500 });
        now += 499;
        await engine.runToIdle();
        expect((await row('a'))?.fired).toBe(0);
        await restart();
        now += 1;
        await engine.runToIdle();
        await engine.runToIdle();
        await restart();
        now += 10_000;
        await engine.runToIdle();
        expect((await row('a'))?.fired).toBe(1);
        expect(await view((of) => of.get(totals, 'a'))).toMatchObject({ counted: 2, last: 1001 });
      });

      test('at the last time they were set for, and not when cancelled', async () => {
        await say('a', { seq: 1, timerIn: 500 });
        await say('a', { seq: 2, timerIn: 1500 });
        await say('b', { seq: 1, timerIn: 500 });
        await say('b', { seq: 2, cancel: true });
        now += 1000;
        await engine.runToIdle();
        expect([(await row('a'))?.fired, (await row('b'))?.fired]).toEqual([0, 0]);
        now += 500;
        await engine.runToIdle();
        expect([(await row('a'))?.fired, (await row('b'))?.fired]).toEqual([1, 0]);
      });
    });

    describe('parks', () => {
      test('the key of a record that cannot be handled, and takes it up again when told', async () => {
        await say('a', { seq: 1 });
        await say('a', { seq: 2, poison: true, timerIn: 10 });
        await say('a', { seq: 3, timerIn: 10 });
        await say('b', { seq: 1 });
        expect((await row('a'))?.count).toBe(1);
        expect((await row('b'))?.count).toBe(1);
        expect(await view((of) => of.get(known, 'never kept by a record that fails'))).toBeUndefined();
        await restart();
        expect((await logService().listParked({ limit: 10 })).parked).toMatchObject([
          { consumer: 'counter', stream: 'probe', key: 'a', code: 'gateway.bug', events: 2 },
        ]);
        expect((await view((of) => of.ages())).find(({ consumer }) => consumer === 'counter')?.parkedKeys).toBe(1);
        expect(await logService().retryParked({ consumer: 'counter', stream: 'probe', key: 'a' })).toEqual({
          found: true,
        });
        await engine.runToIdle();
        expect(await view((of) => of.parked())).toHaveLength(1);
        ills.sick = false;
        await logService().retryParked({ consumer: 'counter', stream: 'probe', key: 'a' });
        await engine.runToIdle();
        expect(await view((of) => of.parked())).toEqual([]);
        expect(await row('a')).toMatchObject({ count: 3, inOrder: 1 });
        expect(await logService().retryParked({ consumer: 'counter', stream: 'probe', key: 'a' })).toEqual({
          found: false,
        });
      });

      test('as many as there are, and takes them up in order, some of them waiting again', async () => {
        await say('a', { seq: 1, poison: true });
        await accept(
          ...Array.from({ length: 150 }, (_, i) => entry('a', { seq: i + 2, ...(i === 99 ? { need: 'x' } : {}) })),
        );
        await engine.runToIdle();
        expect(await view((of) => of.parked())).toMatchObject([{ key: 'a', events: 151 }]);
        ills.sick = false;
        await logService().retryParked({ consumer: 'counter', stream: 'probe', key: 'a' });
        await engine.runToIdle();
        expect(await view((of) => of.parked())).toEqual([]);
        expect(await row('a')).toMatchObject({ count: 100, inOrder: 1 });
        await say('k', { seq: 1, know: 'x' });
        expect(await row('a')).toMatchObject({ count: 151, lastSeq: 151, inOrder: 1 });
      });

      test('a timer behind its key', async () => {
        await say('a', { seq: 1, timerIn: 100 });
        await say('a', { seq: 2, poison: true });
        now += 100;
        await engine.runToIdle();
        expect((await row('a'))?.fired).toBe(0);
        expect(await view((of) => of.parked())).toMatchObject([{ key: 'a', events: 2 }]);
        ills.sick = false;
        await restart();
        await logService().retryParked({ consumer: 'counter', stream: 'probe', key: 'a' });
        await engine.runToIdle();
        expect(await row('a')).toMatchObject({ count: 2, fired: 1 });
      });

      test('what stands in a scope behind a record that fails when it is taken up', async () => {
        await say('a', { seq: 1, need: 'x' });
        await say('a', { seq: 2, poison: true });
        await say('a', { seq: 3 });
        await say('k', { seq: 1, know: 'x' });
        expect((await row('a'))?.count).toBe(1);
        expect(await view((of) => of.waiting({}))).toEqual([]);
        expect(await view((of) => of.parked())).toMatchObject([{ key: 'a', events: 2 }]);
        ills.sick = false;
        await logService().retryParked({ consumer: 'counter', stream: 'probe', key: 'a' });
        await engine.runToIdle();
        expect(await row('a')).toMatchObject({ count: 3, inOrder: 1 });
      });

      test('a type that nobody knows', async () => {
        await say('a', { seq: 1 }, { type: 'OfAReleaseToCome' });
        await say('a', { seq: 2 });
        expect((await view((of) => of.parked())).map(({ consumer, key, code }) => [consumer, key, code])).toEqual([
          ['counter', 'a', 'wire.version'],
          ['reader', 'a', 'wire.version'],
        ]);
        expect(await row('a')).toBeUndefined();
      });

      test('the stream when five keys are parked within a minute', async () => {
        for (let i = 0; i < 5; i++) await say(`sick ${i}`, { seq: 1, poison: true });
        await say('well', { seq: 1 });
        expect(await row('well')).toBeUndefined();
        expect((await view((of) => of.ages())).find(({ consumer }) => consumer === 'counter')).toMatchObject({
          stopped: true,
          unread: 1,
        });
        expect(await view((of) => of.get(seen, `probe/${partitionOf('well')}`, 1))).toBeDefined();
        ills.sick = false;
        await logService().retryParked({ consumer: 'counter', stream: 'probe', key: 'sick 0' });
        await engine.runToIdle();
        expect((await row('well'))?.count).toBe(1);
      });

      test('no stream when the keys are parked over a longer time', async () => {
        for (let i = 0; i < 6; i++) {
          await say(`sick ${i}`, { seq: 1, poison: true });
          now += 20_000;
        }
        await say('well', { seq: 1 });
        expect((await row('well'))?.count).toBe(1);
      });
    });

    test('stops a lane in which a number is missing, and only that lane', async () => {
      for (let i = 1; i <= 3; i++) await accept(entry('a', { seq: i }));
      await engine.stop();
      await place.lose('probe', partitionOf('a'), 2);
      await open();
      const other = Array.from({ length: 100 }, (_, i) => `k${i}`).find(
        (key) => partitionOf(key) !== partitionOf('a'),
      )!;
      await say(other, { seq: 1 });
      expect((await row('a'))?.count).toBe(1);
      expect((await row(other))?.count).toBe(1);
      expect((await logService().ages({})).ages.find(({ consumer }) => consumer === 'counter')).toMatchObject({
        gap: true,
        unread: 2n,
      });
    });

    test('says what a consumer took of each lane, and gives it once more', async () => {
      for (let seq = 1; seq <= 40; seq++) await accept(entry('a', { seq }));
      await say('b', { seq: 1 });
      const lanes = (await view((of) => of.lanes('counter'))).filter(({ taken }) => taken > 0);
      const at = partitionOf('a');
      expect(lanes).toContainEqual({
        stream: 'probe',
        partition: at,
        first: 1,
        taken: partitionOf('b') === at ? 41 : 40,
      });
      const of = [{ stream: 'probe', partition: at, after: 3, through: 39 }];
      const again = await view((engine) => engine.log(of, { most: 100, bytes: 1 << 20 }));
      expect(again.map(({ number }) => number)).toEqual(Array.from({ length: 36 }, (_, i) => i + 4));
      expect(again.map(({ data }) => ask.decode(data).seq)).toEqual(again.map(({ number }) => number));
      expect(await view((engine) => engine.log(of, { most: 20, bytes: 1 << 20 }))).toHaveLength(20);
      const [first] = await view((engine) => engine.log(of, { most: 1, bytes: 1 }));
      expect(first).toMatchObject({ number: 4, key: 'a', type: 'Asked', flowId: again[0]!.flowId });
      now += 3 * DAY;
      await engine.clean();
      expect((await view((engine) => engine.lanes('counter'))).find(({ partition }) => partition === at)?.first).toBe(
        lanes.find(({ partition }) => partition === at)!.taken + 1,
      );
      expect(await view((engine) => engine.log(of, { most: 100, bytes: 1 << 20 }))).toEqual([]);
    });

    test('cleans what everybody has taken and what is no longer remembered, and nothing else', async () => {
      await say('a', { seq: 1 }, { days: 35 });
      expect(await engine.clean()).toBe(0);
      now += 3 * DAY;
      await accept(entry('a', { seq: 2 }));
      await engine.stop();
      await open();
      expect(await engine.clean()).toBe(2); // The question and what was counted; the second question is unread.
      await engine.runToIdle();
      expect(await row('a')).toMatchObject({ count: 2, inOrder: 1 });
      now += 40 * DAY;
      expect(await engine.clean()).toBe(4); // Two more records, two references.
      expect(await engine.clean()).toBe(0);
      await restart();
      await say('a', { seq: 3 });
      expect(await row('a')).toMatchObject({ count: 3, inOrder: 1 });
      expect((await view((of) => of.ages())).some(({ gap }) => gap)).toBe(false);
    });

    test('lets a consumer that is new begin with the oldest record there is', async () => {
      await say('a', { seq: 1 });
      now += 3 * DAY;
      await engine.clean();
      await say('a', { seq: 2 });
      await engine.stop();
      const heard: number[] = [];
      const late: ServiceModule = {
        name: 'late',
        tables: [],
        consumers: [
          {
            name: 'late',
            streams: ['probe'],
            types: ['Asked'],
            handle: (record) => void heard.push(ask.decode(record.data).seq),
          },
        ],
        serve: () => [],
      };
      engine = await place.open({ modules: [module, late], clock });
      await engine.runToIdle();
      expect(heard).toEqual([2]);
      expect((await view((of) => of.ages())).some(({ gap }) => gap)).toBe(false);
    });

    test('takes what was appended to a stream that comes first before anything else', async () => {
      await engine.stop();
      const heard: string[] = [];
      const judge: ServiceModule = {
        name: 'judge',
        tables: [],
        consumers: [
          {
            name: 'judge',
            streams: ['probe', 'rules'],
            first: ['rules'],
            types: ['Asked', 'Ruled'],
            handle: (record) => void heard.push(record.type),
          },
        ],
        serve: () => [],
      };
      engine = await place.open({ modules: [module, judge], clock });
      const rule = (key: string) => {
        const made = entry(key, { seq: 1 });
        return { ...made, events: [{ ...made.events[0]!, stream: 'rules', type: 'Ruled' }] };
      };
      for (let i = 0; i < 40; i++) await accept(entry(`k${i}`, { seq: 1 }));
      await accept(...Array.from({ length: 40 }, (_, i) => rule(`r${i}`)));
      await engine.runToIdle();
      expect(heard.slice(0, 40).every((type) => type === 'Ruled')).toBe(true);
      expect(heard).toHaveLength(80);
    });

    test('hands over what records gathered once a group, without those that failed or wait, over any restart', async () => {
      await engine.stop();
      const sums = table<{ name: string; sum: number; writes: number }>({
        name: 'adder_sums',
        key: ['name'],
        columns: { name: 'text', sum: 'int', writes: 'int' },
        retention: 'RETENTION_AUDIT',
      });
      const adding: ServiceModule = {
        ...module,
        tables: [...module.tables, sums],
        consumers: [
          ...module.consumers,
          {
            name: 'adder',
            streams: ['probe'],
            types: ['Asked'],
            handle(record, unit) {
              const { seq, poison, need } = ask.decode(record.data);
              unit.gather('all', 1);
              unit.gather(record.key, seq);
              unit.gather(record.key, -1);
              if (record.key === 'ill') unit.gather('ill', 1);
              if (poison) throw new Error('poison');
              if (need !== undefined) unit.wait(need, unit.now + DAY);
            },
            settle(gathered, unit) {
              if (gathered.has('ill')) throw new Error('cannot be settled');
              for (const [name, n] of gathered) {
                const { sum, writes } = unit.get(sums, name) ?? { sum: 0, writes: 0 };
                unit.put(sums, { name, sum: sum + n, writes: writes + 1 });
              }
            },
          },
        ],
      };
      const again = async () => {
        engine = await place.open({ modules: [adding], clock });
      };
      const told = (name: string) => engine.ask(() => engine.view.get(sums, name));
      await again();
      await accept(
        entry('k0', { seq: 9, poison: true }),
        entry('k1', { seq: 9, need: 'never' }),
        ...Array.from({ length: 60 }, (_, i) => entry('k2', { seq: i + 1 })),
      );
      await engine.runToIdle();
      expect(await told('all')).toMatchObject({ sum: 60 });
      expect(await told('k2')).toMatchObject({ sum: 1770 });
      expect(await told('k0')).toBeUndefined();
      expect(await told('k1')).toBeUndefined();
      // As many as there were groups, which is not for a test to say.
      expect((await told('k2'))!.writes).toBeLessThan(60);
      await engine.stop();
      await again();
      await say('k2', { seq: 31 });
      expect(await told('all')).toMatchObject({ sum: 61 });
      expect(await told('k2')).toMatchObject({ sum: 1800 });
      // What cannot be settled parks its key, and nobody else's.
      await accept(...['k2', 'ill', 'k3'].map((key) => entry(key, { seq: 2 })));
      await vi.waitFor(
        async () => expect((await view((of) => of.parked())).map(({ key }) => key)).toContain('ill'),
        30_000,
      );
      await engine.runToIdle();
      expect(await told('all')).toMatchObject({ sum: 63 });
      expect(await told('k3')).toMatchObject({ sum: 1 });
      expect(await told('ill')).toBeUndefined();
    });

    test('refuses a table whose class of retention nobody knows', async () => {
      const odd = table<{ id: string }>({
        name: 'odd_things',
        key: ['id'],
        columns: { id: 'text' },
        retention: 'RETENTION_FOREVER',
      });
      await engine.stop();
      await expect(
        place.open({ modules: [module, { name: 'odd', tables: [odd], consumers: [], serve: () => [] }], clock }),
      ).rejects.toThrow('odd_things');
      await open();
    });
  });
}
