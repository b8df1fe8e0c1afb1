import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { LONGEST_FREEZE_MS } from '#kernel';
import { Freeze } from '#proto/eduk/core/v1/party';
import { FreezeSubmitted } from '#proto/eduk/events/v1/parties';
import { PartiesServiceDefinition } from '#proto/eduk/parties/v1/parties';
import { decideFreeze } from './freeze.ts';
import { parties } from './index.ts';

const SCHOOL = '0000000700001AB00000';
const PARTY = '00000003222222220000';
const NOW = Date.parse('2027-05-01T10:00:00Z');
const HOUR = 3_600_000;

const freeze = (given: Partial<Freeze> = {}): Freeze =>
  Freeze.fromPartial({
    freezeId: 'f1',
    schoolOin: SCHOOL,
    fromMs: BigInt(NOW + HOUR),
    untilMs: BigInt(NOW + 2 * HOUR),
    reason: 'exams-2027',
    ...given,
  });
const asked = (given: Partial<FreezeSubmitted> = {}, of: Partial<Freeze> = {}): FreezeSubmitted =>
  FreezeSubmitted.fromPartial({ change: 'set', byOin: 'operator', ...given, freeze: freeze(of) });
const outcome = ({ event }: ReturnType<typeof decideFreeze>) =>
  event.type === 'PartyChangeRefused' ? event.value.code : event.type === 'FreezeChanged' ? event.value.change : '';

describe('a freeze is set', () => {
  test('as it is asked, and never in the past', () => {
    const { next } = decideFreeze(undefined, [], asked({ byPerson: 'ab' }, { fromMs: 5n }), NOW);
    expect(next).toMatchObject({ fromMs: BigInt(NOW), setMs: BigInt(NOW), byOin: 'operator', byPerson: 'ab' });
  });

  test.each<[string, Partial<Freeze>]>([
    ['without a word', { reason: '' }],
    ['of no school', { schoolOin: '12' }],
    ['of no party', { partyOin: 'x' }],
    ['that ends as it begins', { untilMs: BigInt(NOW + HOUR) }],
    ['that is over', { fromMs: 0n, untilMs: BigInt(NOW) }],
    ['that lasts', { untilMs: BigInt(NOW + HOUR + LONGEST_FREEZE_MS + 1) }],
  ])('but none %s', (_how, of) => {
    const decided = decideFreeze(undefined, [], asked({}, of), NOW);
    expect([outcome(decided), decided.next]).toEqual(['wire.invalid', undefined]);
  });

  test('the same once; another beside it', () => {
    const { next } = decideFreeze(undefined, [], asked(), NOW);
    const again = decideFreeze(undefined, [next!], asked({}, { freezeId: 'f2' }), NOW + 5);
    expect(again.event).toMatchObject({ value: { unchanged: true, freeze: { freezeId: 'f1' } } });
    for (const other of [{ reason: 'week-1' }, { partyOin: PARTY }, { untilMs: BigInt(NOW + 3 * HOUR) }])
      expect(decideFreeze(undefined, [next!], asked({}, { freezeId: 'f2', ...other }), NOW).next).toBeDefined();
    const ended = { ...next!, endedMs: BigInt(NOW + 1) };
    expect(decideFreeze(undefined, [ended], asked({}, { freezeId: 'f2' }), NOW + 5).next).toBeDefined();
  });
});

describe('a freeze is ended early', () => {
  const standing = freeze({ fromMs: BigInt(NOW) });
  const end = (given: Partial<FreezeSubmitted> = {}, of: Freeze | undefined = standing, now = NOW + 5) =>
    decideFreeze(of, [], asked({ change: 'end', ...given }), now);

  test('by one, at once', () => {
    expect(end().next).toMatchObject({ endedMs: BigInt(NOW + 5) });
    expect(outcome(end({}, freeze({ endedMs: 7n })))).toBe('ended');
    expect(end({}, standing, NOW + 2 * HOUR)).toMatchObject({ event: { value: { unchanged: true } } });
    expect(outcome(decideFreeze(undefined, [], asked({ change: 'end' }), NOW))).toBe('state.missing');
    expect(outcome(decideFreeze(standing, [], asked({ change: 'thaw' }), NOW))).toBe('wire.invalid');
  });

  test('where two must: by another than who asked first', () => {
    const first = end({ second: true, byPerson: 'ab' });
    expect([outcome(first), first.next!.endedMs, first.next!.endAskedBy]).toEqual(['end_asked', 0n, 'ab']);
    const then = (given: Partial<FreezeSubmitted>) => outcome(end({ second: true, ...given }, first.next));
    expect(then({ byPerson: 'ab' })).toBe('hold.pending');
    // The key is nobody in particular, and must say that it stands in.
    expect(then({})).toBe('hold.pending');
    expect(then({ confirmed: true })).toBe('ended');
    expect(then({ byPerson: 'cd' })).toBe('ended');
    // A person does not stand in for another.
    expect(then({ byPerson: 'ab', confirmed: true })).toBe('hold.pending');
  });
});

test('doors hear of it, and it leaves when its time is over', async () => {
  const bench = testBench(parties, { now: NOW });
  const { snapshot } = bench.client(PartiesServiceDefinition);
  const submit = (of: FreezeSubmitted) => bench.submit('FreezeSubmitted', of, SCHOOL, { school: SCHOOL });
  submit(asked());
  const before = await snapshot({ since: 0n });
  expect(before.freezes).toMatchObject([{ freezeId: 'f1', endedMs: 0n }]);
  submit(asked({ change: 'end' }));
  const after = await snapshot({ since: before.version });
  expect(after.freezes).toMatchObject([{ freezeId: 'f1', endedMs: BigInt(NOW) }]);
  expect(bench.events('FreezeChanged').map(({ value }) => value.change)).toEqual(['set', 'ended']);
  bench.advance(4 * 366 * 24 * HOUR);
  expect((await snapshot({ since: 0n })).freezes).toEqual([]);
});
