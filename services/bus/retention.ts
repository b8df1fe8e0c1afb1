import { dutchDay, endOfDutchDay, schoolYearOf } from '#kernel';
import type { Table } from './port.ts';

/**
 * How long things rest, by class. `docs/streams.md` prints the same terms beside the events; the owner of a table applies
 * them to its rows, the engine to its log and references.
 */
export interface Term {
  /** In words, for people. */
  about: string;
  /** When a fact of the moment `ms` has had its time; Infinity = only when it is replaced. Unix milliseconds. */
  end(ms: number): number;
}

const YEAR_MS = 366 * 86_400_000;
/** A day of the year in which the school year of a moment ends, or so many later. Four digits is all that a day has. */
const dayAfter = (ms: number, day: string, years = 0): string =>
  `${String(Math.min(9999, Number(schoolYearOf(ms).split('-')[1]) + years)).padStart(4, '0')}-${day}`;

export const terms: Readonly<Record<string, Term>> = {
  RETENTION_PUBLIC: { about: 'Public facts about material and parties: until replaced.', end: () => Infinity },
  RETENTION_ROSTER: {
    about: 'The current and the previous school year.',
    end: (ms) => endOfDutchDay(dayAfter(ms, '07-31', 1)),
  },
  RETENTION_ORDER: {
    about: 'Seven years; the learner token is removed after the school year.',
    end: (ms) => ms + 7 * YEAR_MS,
  },
  RETENTION_RESULT: {
    about: 'Until 1 October after the school year.',
    end: (ms) => endOfDutchDay(dayAfter(ms, '09-30')),
  },
  RETENTION_ACCESS: { about: 'Thirty days exact, then the day only.', end: (ms) => ms + 30 * 86_400_000 },
  RETENTION_AUDIT: { about: 'Three years.', end: (ms) => ms + 3 * YEAR_MS },
  RETENTION_DELIVERY: { about: 'Mail, waiting or not: thirty days.', end: (ms) => ms + 30 * 86_400_000 },
  RETENTION_FLOW: {
    about: 'As long as references: 400 days for orders, entitlements and mandates, 35 for the rest.',
    end: (ms) => ms + 400 * 86_400_000,
  },
  RETENTION_ENGINE: {
    about: "The engine's own rows: they leave with the work that they describe.",
    end: () => Infinity,
  },
};

/** The Dutch day on which a fact of `ms` leaves, YYYY-MM-DD; undefined = when it is replaced. */
export const leavesOn = (retention: string, ms: number): string | undefined => {
  const end = terms[retention]?.end(ms) ?? Infinity;
  return end === Infinity ? undefined : dutchDay(end);
};

/** Names of tables whose class is not in the list. */
export const unclassed = (tables: readonly Table[]): string[] =>
  tables.filter(({ retention }) => !Object.hasOwn(terms, retention)).map(({ name }) => name);

/** Events that every consumer has taken stay on the log this long, so that what was lost elsewhere can be sent again. At least 24 h. */
export const LOG_WINDOW_MS = 48 * 3_600_000;
/**
 * Kafka drops what is older, read or not: long enough for a weekend and a repair. The alarm comes at half of it, doors refuse at
 * three quarters. It counts from the append, so that an outbox that was held up is not old when it arrives.
 */
export const TOPIC_RETENTION_MS = 7 * 86_400_000;
/** Records or references removed in one transaction. */
export const CLEAN_CHUNK = 2000;
