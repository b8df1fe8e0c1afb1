/** Events that older releases wrote are read by this one, and lead to what they led to then. */
import { expect, test } from 'vitest';
import { type NewEntry, testBench } from '#bus';
import { type Codec, uuidBytes } from '#kernel';
import { events } from '#proto/events';
import { services } from '../sim/watched.ts';
import { NOW, type Recorded, recordingOf, releases } from './recording.ts';

type Json = Codec<unknown> & { toJSON(value: unknown): unknown };
const codecOf = (type: string): Json | undefined =>
  (events as Record<string, { codec: unknown }>)[type]?.codec as Json | undefined;

/** What the newer release reads holds all that the older one read: names and values may be added, none may go or change. */
function lost(before: unknown, after: unknown, path: string): string[] {
  if (Array.isArray(before)) {
    if (!Array.isArray(after) || after.length !== before.length) return [path];
    return before.flatMap((item, i) => lost(item, after[i], `${path}[${i}]`));
  }
  if (before !== null && typeof before === 'object')
    return Object.entries(before).flatMap(([name, value]) =>
      lost(value, (after as Record<string, unknown> | null)?.[name], `${path}.${name}`),
    );
  return before === after ? [] : [path];
}

const count = (types: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const type of [...types].sort()) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
};

test.each(releases())('release %s', (release) => {
  const recorded = recordingOf(release);
  expect(recorded.length).toBeGreaterThan(100);
  const unread = recorded.flatMap(({ type, data, json }) => {
    const codec = codecOf(type);
    return codec === undefined
      ? [`${type}: no such event any more`]
      : lost(json, codec.toJSON(codec.decode(Buffer.from(data, 'base64'))), type);
  });
  expect([...new Set(unread)]).toEqual([]);

  for (const seed of new Set(recorded.map((one) => one.seed))) {
    const mine = recorded.filter((one) => one.seed === seed);
    const bench = testBench(services, { now: NOW });
    for (const entry of entriesFrom(mine.filter(({ submitted }) => submitted))) {
      bench.accept([entry]);
      bench.run();
    }
    bench.advance(40 * 86_400_000);
    expect(bench.parked()).toEqual([]);
    const decided = count(bench.events().map(({ name }) => name));
    const before = count(mine.filter(({ submitted }) => !submitted).map(({ type }) => type));
    for (const [type, times] of Object.entries(before)) expect(decided[type], `${type} of seed ${seed}`).toBe(times);
  }
});

test('a field that is gone is found', () => {
  expect(lost({ a: 1, b: [{ c: 'x' }] }, { a: 1, b: [{ c: 'x', d: 2 }], e: 3 }, 'X')).toEqual([]);
  expect(lost({ a: 1, b: [{ c: 'x' }] }, { b: [{ c: 'y' }] }, 'X')).toEqual(['X.a', 'X.b[0].c']);
});

function entriesFrom(submitted: readonly Recorded[]): NewEntry[] {
  const flows = new Map<string, Recorded[]>();
  for (const one of submitted) flows.set(one.flowId, [...(flows.get(one.flowId) ?? []), one]);
  return [...flows].map(([flowId, of]) => ({
    flowId: uuidBytes(flowId)!,
    partyOin: '',
    method: 'Recorded/Submit',
    referenceKey: new Uint8Array(0),
    digest: new Uint8Array(32),
    digestVersion: 1,
    rememberDays: 400,
    events: of.map(({ stream, type, key, data }) => ({ stream, type, key, data: Buffer.from(data, 'base64') })),
    answer: new Uint8Array(0),
    schoolOin: of[0]!.school,
    traceparent: '',
  }));
}
