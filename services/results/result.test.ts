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
  test('of two that say when they were said the later said one holds, whatever their days', () => {
    const at = (statedMs: bigint, day: string, mark: number) =>
      result({ statedMs, day, digest: Uint8Array.of(mark), payload: Uint8Array.of(mark) });
    const first = at(100n, '2026-11-20', 1);
    const corrected = at(200n, '2026-11-02', 2);
    given(recorded(first))
      .when(corrected)
      .toEqual(recorded(corrected, { replaces: true }));
    given(recorded(first), recorded(corrected, { replaces: true }))
      .when(first)
      .toMatchObject({ name: 'ResultRefused', value: { code: 'state.conflict' } });
    // Where one does not say, the day decides as before.
    given(recorded(result()))
      .when(corrected)
      .toMatchObject({ name: 'ResultRefused', value: { code: 'state.conflict' } });
  });
  test('that is said again holds since then: what was said in between and comes late does not take its place', () => {
    const said = (statedMs: bigint, mark: number) =>
      result({ statedMs, digest: Uint8Array.of(mark), payload: Uint8Array.of(mark) });
    const again = recorded({ ...said(300n, 1), payload: new Uint8Array(0) }, { unchanged: true });
    given(recorded(said(100n, 1)))
      .when(said(300n, 1))
      .toEqual(again);
    given(recorded(said(100n, 1)), again)
      .when(said(200n, 2))
      .toMatchObject({ name: 'ResultRefused', value: { code: 'state.conflict' } });
    // An old repeat moves nothing back.
    given(recorded(said(300n, 1)), recorded({ ...said(100n, 1), payload: new Uint8Array(0) }, { unchanged: true }))
      .when(said(200n, 2))
      .toMatchObject({ name: 'ResultRefused', value: { code: 'state.conflict' } });
  });
  test('is taken back: what stood there goes, with where it stood, and nothing comes under its id again', () => {
    const back = result({ withdrawn: true, productId: '', kind: 0, day: '2026-11-22', payload: new Uint8Array(0) });
    const gone = recorded(result({ withdrawn: true, payload: new Uint8Array(0), digest: new Uint8Array(0) }), {
      replaces: true,
    });
    given(recorded()).when(back).toEqual(gone);
    given(recorded(), gone)
      .when(back)
      .toMatchObject({ value: { unchanged: true } });
    given(recorded(), gone)
      .when(result({ day: '2026-11-21', digest: Uint8Array.of(7) }))
      .toMatchObject({ name: 'ResultRefused', value: { code: 'state.conflict' } });
    given()
      .when(back)
      .toMatchObject({ name: 'ResultRefused', value: { code: 'state.missing' } });
    given(recorded())
      .when(result({ ...back, learner: 'B' }))
      .toMatchObject({ name: 'ResultRefused', value: { code: 'state.conflict' } });
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
