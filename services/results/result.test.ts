import { describe, expect, test } from 'vitest';
import { ResultEntry } from '#proto/eduk/events/v1/results';
import { decide, evolve, type ResultEvent, type ResultState } from './result.ts';

const result = (more: Partial<ResultEntry> = {}): ResultEntry =>
  ResultEntry.fromPartial({
    resultId: 'r1',
    schoolOin: '0000000700099XX00000',
    learner: 'A',
    productId: '9789000000001',
    day: '2026-11-20',
    kind: 3,
    payload: Uint8Array.of(1),
    byOin: '00000001000000000001',
    digest: Uint8Array.of(1),
    ...more,
  });

const nothing: ResultState = { isForgotten: false };
const recorded = (
  entry: ResultEntry = result(),
  more: { replaces?: boolean; unchanged?: boolean } = {},
): ResultEvent => ({
  name: 'ResultRecorded',
  value: { result: entry, replaces: false, unchanged: false, ...more },
});
const given = (...events: ResultEvent[]) => {
  const state = events.reduce(evolve, nothing);
  return { when: (entry: ResultEntry) => expect(decide(state, { type: 'RecordResult', result: entry })) };
};

describe('a result', () => {
  test('is recorded', () => {
    given().when(result()).toEqual(recorded());
  });
  test('with the same content again is recorded once: the repeat closes its flow, without payload', () => {
    given(recorded())
      .when(result({ payload: Uint8Array.of(9) })) // Sealed again, so that the bytes differ.
      .toEqual(recorded(result({ payload: new Uint8Array(0) }), { unchanged: true }));
  });
  test('with other content replaces, on the same or a later day', () => {
    const other = result({ digest: Uint8Array.of(2), payload: Uint8Array.of(2) });
    given(recorded())
      .when(other)
      .toEqual(recorded(other, { replaces: true }));
    const later = result({ day: '2026-11-21' });
    given(recorded())
      .when(later)
      .toEqual(recorded(later, { replaces: true }));
    given(recorded(), recorded(other, { replaces: true }))
      .when(result())
      .toEqual(recorded(result(), { replaces: true }));
  });
  test('with other content of an earlier day is refused', () => {
    given(recorded())
      .when(result({ day: '2026-11-19' }))
      .toMatchObject({ name: 'ResultRefused', value: { code: 'state.conflict', resultId: 'r1', learner: 'A' } });
  });
  test('without a digest is never the same', () => {
    const bare = result({ digest: new Uint8Array(0) });
    given(recorded(bare))
      .when(bare)
      .toEqual(recorded(bare, { replaces: true }));
  });
  test('of another learner under the same id is refused', () => {
    given(recorded())
      .when(result({ learner: 'B' }))
      .toMatchObject({ value: { code: 'state.conflict' } });
  });
  test('of a forgotten learner is refused', () => {
    expect(decide({ isForgotten: true }, { type: 'RecordResult', result: result() })).toMatchObject({
      name: 'ResultRefused',
      value: { code: 'learner.unknown' },
    });
  });
  test.each([
    ['id', { resultId: '' }],
    ['learner', { learner: '' }],
    ['kind', { kind: 0 as const }],
    ['day', { day: '2026-02-30' }],
  ])('without a good %s is refused', (_, more) => {
    given()
      .when(result(more))
      .toMatchObject({ name: 'ResultRefused', value: { code: 'wire.invalid' } });
  });
});
