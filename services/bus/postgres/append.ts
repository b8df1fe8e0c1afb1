/** Puts records on the log, as the last statement of a transaction; the database gives the numbers. */
import { describeError, log } from '#kernel';
import { type AppendedRecord, StoreFailure } from '../store.ts';
import { arrayOf, type Element } from './arrays.ts';
import { type Database, type Send, statementName } from './connection.ts';
import { dayOf, makeDays, makeLanes } from './schema.ts';

export type Unnumbered = Omit<AppendedRecord, 'number'>;

export const APPEND =
  'SELECT bus.append_1($1::text[], $2::int[], $3::int[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bytea[], $12::bytea[], $13::bytea[], $14::int[])';

/** The lanes must be there. */
export function appendRecords(send: Send, records: readonly Unnumbered[]): void {
  const of = (element: Element, value: (record: Unnumbered) => string | number | Uint8Array | null) =>
    arrayOf(element, records.map(value));
  send({
    name: statementName(APPEND),
    text: APPEND,
    values: [
      of('text', ({ stream }) => stream),
      of('int', ({ partition }) => partition),
      of('int', ({ timeMs }) => dayOf(timeMs)),
      of('bytea', ({ id }) => id),
      of('text', ({ key }) => key),
      of('text', ({ type }) => type),
      of('text', ({ flowId }) => flowId),
      of('text', ({ school }) => school),
      of('text', ({ traceparent }) => traceparent),
      of('bigint', ({ timeMs }) => timeMs),
      of('bytea', ({ data }) => data),
      of('bytea', ({ origin }) => origin?.claim ?? null),
      of('bytea', ({ origin }) => origin?.digest ?? null),
      of('int', ({ origin }) => origin?.digestVersion ?? null),
    ],
  });
}

/** A day that could not be made is tried again after this, milliseconds. */
const DAY_AGAIN_MS = 30_000;

/** Lanes and days of the log, made before the first record of one is appended. */
export class Ground {
  readonly #database: Database;
  readonly #streams: Set<string>;
  readonly #days = new Set<number>();
  #making: Promise<void> | undefined;
  #notBefore = Number.NEGATIVE_INFINITY;

  /** `streams`: those whose lanes are there. */
  constructor(database: Database, streams: Iterable<string>) {
    this.#database = database;
    this.#streams = new Set(streams);
  }

  /** Makes what is missing for records of these streams and this moment. Costs nothing when it is there. */
  async have(streams: Iterable<string>, ms: number): Promise<void> {
    const missing = new Set<string>();
    for (const stream of streams) if (!this.#streams.has(stream)) missing.add(stream);
    if (missing.size > 0) {
      await this.#database.transaction((session) => makeLanes(session, [...missing]));
      for (const stream of missing) this.#streams.add(stream);
    }
    const day = dayOf(ms);
    if (this.#days.has(day) || performance.now() < this.#notBefore) return;
    this.#making ??= this.#make(day).finally(() => {
      this.#making = undefined;
    });
    await this.#making;
  }

  /** Those to come as well, so that midnight finds them made. Without its day a record goes to the rest, which is as good. */
  async #make(day: number): Promise<void> {
    try {
      await makeDays(this.#database, [day, day + 1, day + 2]);
      this.#days.add(day);
    } catch (thrown) {
      this.#notBefore = performance.now() + DAY_AGAIN_MS;
      log('warn', 'day_not_made', { day, ...describeError(thrown instanceof StoreFailure ? thrown.cause : thrown) });
    }
  }
}
