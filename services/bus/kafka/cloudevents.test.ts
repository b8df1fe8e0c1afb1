import fc from 'fast-check';
import { expect, test } from 'vitest';
import { newId, uuid7 } from '#kernel';
import { events } from '#proto/events';
import type { LogRecord } from '../port.ts';
import { fromLog, streamOf, toLog, topicOf } from './cloudevents.ts';
import { type FetchedRecord, KafkaError } from './port.ts';

const school = fc.constantFrom('', '00000003123456780000', '0000000700001AA00000');
const traceparent = fc.constantFrom('', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
const name = fc.constantFrom(...(Object.keys(events) as (keyof typeof events)[]));

const record: fc.Arbitrary<LogRecord> = fc
  .record({
    type: name,
    partition: fc.integer({ min: 0, max: 15 }),
    number: fc.oneof(fc.integer({ min: 1, max: 1_000_000 }), fc.constant(Number.MAX_SAFE_INTEGER)),
    id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    key: fc.string({ unit: 'binary', maxLength: 80 }),
    school,
    traceparent,
    timeMs: fc.integer({ min: 0, max: 4_102_444_800_000 }),
    data: fc.uint8Array({ maxLength: 300 }),
  })
  .map((fields) => ({ ...fields, flowId: newId(), stream: events[fields.type].stream }));

const fetched = (written: ReturnType<typeof fromLog>, offset = 0n): FetchedRecord => ({
  ...written,
  timestampMs: 1,
  offset,
});
const one: LogRecord = {
  stream: 'orders',
  partition: 3,
  number: 7,
  id: uuid7(),
  key: 'learner-1',
  type: 'OrderSubmitted',
  flowId: newId(),
  school: '0000000700001AA00000',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  timeMs: Date.parse('2026-08-17T08:00:00.250Z'),
  data: new Uint8Array([1, 2, 3]),
};

test('every event comes back as it was', () => {
  fc.assert(
    fc.property(record, (record) => {
      const lane = { topic: topicOf('eduk', record.stream), partition: record.partition };
      expect(toLog(lane, fetched(fromLog(record)))).toEqual(record);
    }),
    { numRuns: 500 },
  );
});

test('headers are those of the CloudEvents Kafka binding, in binary mode', () => {
  const { headers, key, value, timestampMs } = fromLog(one);
  expect(Object.fromEntries(headers.map(([name, value]) => [name, Buffer.from(value).toString()]))).toEqual({
    ce_specversion: '1.0',
    ce_id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/),
    ce_source: '/eduk-gateway',
    ce_type: 'eduk.orders.v1.OrderSubmitted',
    ce_subject: 'learner-1',
    ce_time: '2026-08-17T08:00:00.250Z',
    'content-type': 'application/protobuf',
    ce_flowid: one.flowId,
    ce_school: one.school,
    ce_traceparent: one.traceparent,
    'eduk-number': '7',
  });
  expect({ key: String(key), value, timestampMs }).toEqual({
    key: 'learner-1',
    value: one.data,
    timestampMs: one.timeMs,
  });
});

test('what has no value is left out', () => {
  const names = fromLog({ ...one, school: '', traceparent: '', key: '' }).headers.map(([name]) => name);
  expect(names).not.toContain('ce_school');
  expect(names).not.toContain('ce_traceparent');
  expect(names).not.toContain('ce_subject');
});

test('a record that is not ours is refused by the name of what is wrong, and quotes nothing', () => {
  const lane = { topic: 'eduk.orders.v1', partition: 3 };
  const written = fromLog(one);
  const without = (gone: string) => written.headers.filter(([name]) => name !== gone);
  const set = (name: string, value: string) => [...without(name), [name, Buffer.from(value)] as const];
  const broken: [string, Partial<FetchedRecord>][] = [
    ['ce_id', { headers: without('ce_id') }],
    ['ce_id', { headers: set('ce_id', '0190f3a0-0000-7000-8000-00000000000x') }],
    ['ce_id', { headers: set('ce_id', '0190f3a000007000800000000000000000000000') }],
    ['ce_type', { headers: without('ce_type') }],
    ['ce_type', { headers: set('ce_type', 'secret.v1') }],
    ['eduk-number', { headers: without('eduk-number') }],
    ['eduk-number', { headers: set('eduk-number', '0') }],
    ['eduk-number', { headers: set('eduk-number', '12a') }],
    ['eduk-number', { headers: set('eduk-number', '9007199254740992') }],
    ['ce_time', { headers: without('ce_time') }],
    ['ce_time', { headers: set('ce_time', '17 Aug 2026 08:00:00 GMT') }],
    ['ce_flowid', { headers: without('ce_flowid') }],
    ['ce_specversion', { headers: set('ce_specversion', '0.3') }],
    ['key', { key: null }],
    ['value', { value: null }],
  ];
  for (const [what, change] of broken) {
    let error: unknown;
    try {
      toLog(lane, { ...fetched(written, 41n), ...change });
    } catch (caught) {
      error = caught;
    }
    expect(error, what).toBeInstanceOf(KafkaError);
    expect(error).toMatchObject({ code: 'NOT_OURS', retriable: false });
    expect((error as Error).message).toBe(`eduk.orders.v1/3 at 41: ${what} is not as we write it`);
  }
});

test('a stream is known by its topic, of its prefix only', () => {
  expect(topicOf('eduk', 'orders')).toBe('eduk.orders.v1');
  expect(streamOf('eduk', 'eduk.orders.v1')).toBe('orders');
  expect(streamOf('eduk-test', 'eduk.orders.v1')).toBeUndefined();
  expect(streamOf('eduk', 'eduk.orders.v2')).toBeUndefined();
  expect(streamOf('eduk', 'eduk..v1')).toBeUndefined();
});

test('costs less than 5 µs to write and to read', () => {
  const lane = { topic: 'eduk.orders.v1', partition: 3 };
  const records = Array.from({ length: 2000 }, (_, at) => ({ ...one, number: at + 1, timeMs: one.timeMs + (at >> 4) }));
  const each = (work: () => void): number => {
    let best = Infinity;
    for (let round = 0; round < 20; round++) {
      const from = process.cpuUsage();
      work();
      const { user, system } = process.cpuUsage(from);
      best = Math.min(best, (user + system) / records.length);
    }
    return best;
  };
  let written = records.map((record) => fetched(fromLog(record)));
  const toWrite = each(() => {
    written = records.map((record) => fetched(fromLog(record)));
  });
  const toRead = each(() => {
    for (const record of written) toLog(lane, record);
  });
  console.log(`CloudEvents: ${toWrite.toFixed(2)} µs to write, ${toRead.toFixed(2)} µs to read`);
  expect(toWrite).toBeLessThan(5);
  expect(toRead).toBeLessThan(5);
});
