/**
 * The decider of results: what one more result means for what stands under its id. Pure. An id is the sender's own and
 * unique for sender and school; it names one piece of work, whose content may be sent again as the work goes on.
 */
import { type Fault, isDay } from '#kernel';
import type { ResultEntry, ResultRecorded, ResultRefused } from '#proto/eduk/events/v1/results';

/** What is known under the id, and of the learner. */
export interface ResultState {
  /** Absent = nothing yet. */
  recorded?: Pick<ResultEntry, 'learner' | 'productId' | 'group' | 'day' | 'kind' | 'withdrawn' | 'statedMs'> & {
    digest: Uint8Array;
  };
  isForgotten: boolean;
}

export interface ResultCommand {
  type: 'RecordResult';
  result: ResultEntry;
}

export type ResultEvent =
  | { name: 'ResultRecorded'; value: ResultRecorded }
  | { name: 'ResultRefused'; value: ResultRefused };

/** Exactly one event for each command, so that every flow has its outcome. */
export function decide(state: ResultState, { result }: ResultCommand): ResultEvent {
  const { resultId, schoolOin, learner, byOin } = result;
  const refused = (code: Fault, told: string): ResultEvent => ({
    name: 'ResultRefused',
    value: { resultId, schoolOin, learner, byOin, code, told },
  });
  // UWLR names no product: its test code stands in the payload.
  if (resultId === '' || learner === '' || (result.kind === 0 && !result.withdrawn))
    return refused('wire.invalid', 'The result lacks an id, learner or kind.');
  if (!isDay(result.day)) return refused('wire.invalid', 'The day of the result does not exist.');
  if (state.isForgotten) return refused('learner.unknown', 'The school had this learner forgotten.');
  const before = state.recorded;
  if (!before) {
    if (result.withdrawn) return refused('state.missing', 'No result of this sender stands under this id.');
    return { name: 'ResultRecorded', value: { result, replaces: false, unchanged: false } };
  }
  // Whose result it is never changes: the other learner must not come to see it, and learners have no common order.
  if (before.learner !== learner) return refused('state.conflict', 'This id was used for a result of another learner.');
  if (result.withdrawn) {
    // Where it stood, so that those who have it find it.
    const { productId, group, day, kind } = before;
    const nothing = { payload: new Uint8Array(0), digest: new Uint8Array(0) };
    const gone = { ...result, productId, group, day, kind, ...nothing };
    return { name: 'ResultRecorded', value: { result: gone, replaces: true, unchanged: before.withdrawn } };
  }
  // A repeat of what was sent before it was taken back must not bring it back.
  if (before.withdrawn) return refused('state.conflict', 'The sender took back what stood under this id.');
  if (isSame(before, result))
    return {
      name: 'ResultRecorded',
      value: { result: { ...result, payload: new Uint8Array(0) }, replaces: false, unchanged: true },
    };
  if (isEarlier(before, result))
    return refused('state.conflict', 'What was recorded under this id is of a later day, or was said later.');
  return { name: 'ResultRecorded', value: { result, replaces: true, unchanged: false } };
}

/** What an event leaves under the id. */
export function evolve(state: ResultState, event: ResultEvent): ResultState {
  if (event.name === 'ResultRefused') return state;
  const { result, unchanged } = event.value;
  const before = state.recorded;
  if (!unchanged || !before) return { ...state, recorded: result! };
  // Said again it holds since then: what was said in between, and comes late, does not take its place.
  return before.withdrawn || before.statedMs >= result!.statedMs
    ? state
    : { ...state, recorded: { ...before, statedMs: result!.statedMs } };
}

/** Where both say when they were said that decides, so that a day itself can be corrected; else the day of the work. */
const isEarlier = (before: NonNullable<ResultState['recorded']>, result: ResultEntry): boolean =>
  before.statedMs > 0n && result.statedMs > 0n ? result.statedMs < before.statedMs : result.day < before.day;

const isSame = (before: NonNullable<ResultState['recorded']>, result: ResultEntry): boolean =>
  before.digest.length > 0 &&
  Buffer.compare(before.digest, result.digest) === 0 &&
  before.productId === result.productId &&
  before.group === result.group &&
  before.day === result.day &&
  before.kind === result.kind;
