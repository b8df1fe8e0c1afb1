import { expect, test } from 'vitest';
import { type Ask, DialError, newId, uuid7, uuidText } from '#kernel';
import { Attempt } from '#proto/eduk/delivery/v1/delivery';
import type { Submission } from '../submission.ts';
import { Telemetry, type TelemetrySettings } from './index.ts';
import { readPage } from './metrics.ts';
import { type Attributes, allowed, isSampled, ofAttempt } from './spans.ts';

const settings: TelemetrySettings = {
  traces: 'http://127.0.0.1:1/v1/traces',
  metrics: undefined,
  protocol: 'http/json',
  headers: {},
  service: 'poort',
  share: 1,
  metricsEveryMs: 1_000,
};
const clock = { now: () => Date.now() };
const attempt = (rows = 1): Attempt =>
  Attempt.fromPartial({
    attemptId: newId(),
    partyOin: '00000099000000001000',
    schoolOin: '00000099000000002000',
    standard: 'webhook',
    number: 1,
    rows: Array.from({ length: rows }, () => ({ flowId: uuidText(uuid7()), eventId: uuid7(), type: 'Changed' })),
  });

test('a span says ids and words of ours, and no text of any other form', () => {
  const given = {
    'eduk.flow_id': '01a206c1-34fa-7390-b2d2-d638c27b94b6',
    'eduk.method': 'Zevenboom, Anna',
    'eduk.event': 'a'.repeat(97),
    'eduk.attempt': 2,
    naam: 'Anna',
  } as Attributes;
  expect(allowed(given)).toEqual({ 'eduk.flow_id': given['eduk.flow_id'], 'eduk.attempt': 2 });
});

test('of a flow all is told or nothing, and of many flows about the share', () => {
  const flows = Array.from({ length: 4_000 }, newId);
  expect(flows.filter((flow) => isSampled(flow, 1))).toHaveLength(4_000);
  expect(flows.filter((flow) => isSampled(flow, 0))).toEqual([]);
  const some = flows.filter((flow) => isSampled(flow, 0.25));
  expect(some.length).toBeGreaterThan(800);
  expect(some.length).toBeLessThan(1_200);
  expect(some.every((flow) => isSampled(flow, 0.5))).toBe(true);
});

test('of a share of nothing, nothing waits for the collector', async () => {
  const asked: Ask[] = [];
  const dialler = {
    dial: async (_url: string | URL, ask: Ask = {}) => {
      asked.push(ask);
      return { status: 200, headers: {}, body: Buffer.alloc(0) };
    },
  };
  const none = new Telemetry({ ...settings, share: 0 }, { dialler, clock, version: '1', role: 'test' });
  none.passed({ flowId: newId() } as Submission);
  none.sent(attempt(), { result: 'answered', status: 204 }, Date.now());
  await none.stop();
  expect(asked).toEqual([]);
});

test('the same request is the same span in every process, and another attempt another one', () => {
  const one = attempt();
  const spans = (of: Attempt) => ofAttempt(of, { result: 'answered', status: 204 }, 5, 9, () => true);
  expect(spans(one)).toEqual(spans(one));
  const ids = [...spans(one), ...spans({ ...one, number: 2 })].map(({ spanId }) => spanId);
  expect(new Set(ids).size).toBe(3);
  expect(ofAttempt(one, { result: 'unsent' }, 5, 9, () => true)).toEqual([]);
});

test('what waits is bounded, and what does not fit is counted', async () => {
  const asked: Ask[] = [];
  const away = {
    dial(_url: string | URL, ask: Ask = {}): Promise<never> {
      asked.push(ask);
      return Promise.reject(new DialError('refused'));
    },
  };
  const telemetry = new Telemetry(settings, { dialler: away, clock, version: '1', role: 'test' });
  for (let i = 0; i < 100; i++) telemetry.sent(attempt(50), { result: 'answered', status: 204 }, Date.now());
  await expect.poll(() => asked.length).toBe(1);
  // 10,000 spans; 8,192 wait, and nobody is asked again at once.
  expect(telemetry.lines().filter((line) => !line.startsWith('#'))).toEqual([
    'eduk_spans_told_total 0',
    'eduk_spans_lost_total 1808',
  ]);
  await telemetry.stop();
  expect(asked).toHaveLength(1);
});

test('what a collector does not take for good is gone, and the rest goes on', async () => {
  const answers = [400, 200];
  const wrong = { dial: async () => ({ status: answers.shift() ?? 200, headers: {}, body: Buffer.alloc(0) }) };
  const telemetry = new Telemetry(settings, { dialler: wrong, clock, version: '1', role: 'test' });
  for (let i = 0; i < 8; i++) telemetry.sent(attempt(64), { result: 'answered', status: 204 }, Date.now());
  await expect
    .poll(() => telemetry.lines().filter((line) => !line.startsWith('#')))
    .toEqual(['eduk_spans_told_total 512', 'eduk_spans_lost_total 512']);
  await telemetry.stop();
});

test('a page of metrics is read as it is written', () => {
  const page = [
    '# HELP a_b What it is.',
    '# TYPE a_b counter',
    'a_b{party="1",word="x\\"y"} 3',
    'c 1.5',
    'no line at all',
    'd NaN',
    '',
  ];
  expect([...readPage(page.join('\n'))]).toEqual([
    [
      'a_b',
      { about: 'What it is.', type: 'counter', points: [{ attributes: { party: '1', word: 'x\\"y' }, value: 3 }] },
    ],
    ['c', { about: '', type: 'gauge', points: [{ attributes: {}, value: 1.5 }] }],
  ]);
});
