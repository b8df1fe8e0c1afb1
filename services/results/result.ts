/**
 * The decider of results: what one more result means for what stands under its id. Pure. An id is the sender's own and
 * unique for sender and school; it names one piece of work, whose content may be sent again as the work goes on.
 */
import { type Fault, isDay } from '#kernel';
import type { ResultEntry, ResultRecorded, ResultRefused } from '#proto/eduk/events/v1/results';

/** What is known under the id, and of the learner. */
export interface ResultState {
  /** Absent = nothing yet. */
  recorded?: Pick<ResultEntry, 'learner' | 'productId' | 'group' | 'day' | 'kind'> & { digest: Uint8Array };
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
  if (resultId === '' || learner === '' || result.kind === 0)
    return refused('wire.invalid', 'The result lacks an id, learner or kind.');
  if (!isDay(result.day)) return refused('wire.invalid', 'The day of the result does not exist.');
  if (state.isForgotten) return refused('learner.unknown', 'The school had this learner forgotten.');
  const before = state.recorded;
  if (!before) return { name: 'ResultRecorded', value: { result, replaces: false, unchanged: false } };
  // Whose result it is never changes: the other learner must not come to see it, and learners have no common order.
  if (before.learner !== learner) return refused('state.conflict', 'This id was used for a result of another learner.');
  if (isSame(before, result))
    return {
      name: 'ResultRecorded',
      value: { result: { ...result, payload: new Uint8Array(0) }, replaces: false, unchanged: true },
    };
  if (result.day < before.day) return refused('state.conflict', 'A result of a later day was recorded under this id.');
  return { name: 'ResultRecorded', value: { result, replaces: true, unchanged: false } };
}

/** What an event leaves under the id. */
export function evolve(state: ResultState, event: ResultEvent): ResultState {
  if (event.name === 'ResultRefused' || event.value.unchanged) return state;
  return { ...state, recorded: event.value.result! };
}

const isSame = (before: NonNullable<ResultState['recorded']>, result: ResultEntry): boolean =>
  before.digest.length > 0 &&
  Buffer.compare(before.digest, result.digest) === 0 &&
  before.productId === result.productId &&
  before.group === result.group &&
  before.day === result.day &&
  before.kind === result.kind;
