import { asideTable, mergedTable, type Table, table } from '#bus';

/** What results keeps: open columns, and a payload that only the vault can open. */

const retention = 'RETENTION_RESULT';

/** The newest content under a result's id. */
export interface ResultRow {
  school: string;
  byOin: string;
  /** The sender's; unique for sender and school. */
  resultId: string;
  /** Ours: of the event that first brought it, so that pages follow the order of coming. */
  id: string;
  learner: string;
  productId: string;
  groupToken: string;
  /** YYYY-MM-DD. */
  day: string;
  kind: number;
  payload: Uint8Array;
  /** In hexadecimal. */
  digest: string;
  /** 1 = taken back by its sender; the row stays, empty, so that a late repeat does not bring it back. */
  withdrawn: number | null;
  /** When the sender said so; 0 = not said. */
  statedMs: number | null;
}

/** Results of a learner in a product may be read until this day; learner empty = of all learners of the school. */
export interface ReadableRow {
  school: string;
  productId: string;
  learner: string;
  /** YYYY-MM-DD. */
  until: string;
}

/** A school year of which something is kept, and whose end therefore has a timer. */
export interface YearRow {
  school: string;
  year: string;
}

/** No result of this learner is taken any more. */
export interface ForgottenRow {
  learner: string;
  school: string;
  year: string;
}

export const results: Table<ResultRow> = table<ResultRow>({
  name: 'results_results',
  key: ['school', 'byOin', 'resultId'],
  columns: {
    school: 'text',
    byOin: 'text',
    resultId: 'text',
    id: 'text',
    learner: 'text',
    productId: 'text',
    groupToken: 'text',
    day: 'text',
    kind: 'int',
    payload: 'blob',
    digest: 'text',
    withdrawn: 'int',
    statedMs: 'int',
  },
  indexes: {
    bySchool: ['school', 'id'],
    byLearner: ['learner', 'id'],
    byGroup: ['school', 'groupToken', 'id'],
    byProduct: ['school', 'productId', 'id'],
    bySupplier: ['byOin', 'id'],
  },
  retention,
});

export const readable: Table<ReadableRow> = table<ReadableRow>({
  name: 'results_readable',
  key: ['school', 'productId', 'learner'],
  columns: { school: 'text', productId: 'text', learner: 'text', until: 'text' },
  retention,
});

export const years: Table<YearRow> = table<YearRow>({
  name: 'results_years',
  key: ['school', 'year'],
  columns: { school: 'text', year: 'text' },
  retention,
});

export const forgotten: Table<ForgottenRow> = table<ForgottenRow>({
  name: 'results_forgotten',
  key: ['learner'],
  columns: { learner: 'text', school: 'text', year: 'text' },
  indexes: { ofYear: ['school', 'year'] },
  retention,
});

/** Results of a learner who waits to be forgotten, by sender and id: a `ResultRow` with its payload in base64. */
export const aside = asideTable('results_aside', retention);

/** Whose results stand under another token of theirs. */
export const merged = mergedTable('results_merged');

export const tables: readonly Table[] = [results, readable, years, forgotten, aside, merged];
