/**
 * Learners who were forgotten in the last days, for a service that may still read what was accepted or told before: it must
 * not write their token again. One table and one timer a learner; `ForgottenLearners` is used within a group.
 */
import { type Table, type TimerRow, table, type Unit } from './port.ts';

/** The row without a learner counts those of the school: most schools have none, and who asks looks no further. */
export interface ForgottenRow {
  school: string;
  learner: string;
  learners: number;
}

export const forgottenTable = (name: string, retention: string): Table<ForgottenRow> =>
  table<ForgottenRow>({
    name,
    key: ['school', 'learner'],
    columns: { school: 'text', learner: 'text', learners: 'int' },
    retention,
  });

/** Longer than any message waits, with those that wait behind it. */
const KEPT_MS = 3 * 24 * 3_600_000;
/** A timer that fires later than this says that the gateway was away. */
const AWAY_MS = 3_600_000;
const KIND = 'forgotten';

type Marks = Pick<Unit, 'now' | 'get' | 'put' | 'remove' | 'setTimer' | 'cancelTimer'>;

export class ForgottenLearners {
  readonly #table: Table<ForgottenRow>;

  constructor(rows: Table<ForgottenRow>) {
    this.#table = rows;
  }

  has(unit: Pick<Marks, 'get'>, school: string, learner: string): boolean {
    return unit.get(this.#table, school, '') !== undefined && unit.get(this.#table, school, learner) !== undefined;
  }

  add(unit: Marks, school: string, learner: string): void {
    this.#keep(unit, school, learner);
    if (this.has(unit, school, learner)) return;
    unit.put(this.#table, { school, learner: '', learners: (unit.get(this.#table, school, '')?.learners ?? 0) + 1 });
    unit.put(this.#table, { school, learner, learners: 1 });
  }

  /** Their time is over, or the forgetting was undone. */
  remove(unit: Marks, school: string, learner: string): void {
    if (!this.has(unit, school, learner)) return;
    const { learners } = unit.get(this.#table, school, '')!;
    unit.cancelTimer(idOf(school, learner));
    unit.remove(this.#table, school, learner);
    if (learners > 1) unit.put(this.#table, { school, learner: '', learners: learners - 1 });
    else unit.remove(this.#table, school, '');
  }

  /** True where the timer was one of these. */
  onTimer(timer: TimerRow, unit: Marks): boolean {
    const [kind, school = '', learner = ''] = timer.payload.split('|');
    if (kind !== KIND) return false;
    // What was accepted before the gateway went away is decided only now.
    if (unit.now - timer.atMs > AWAY_MS) this.#keep(unit, school, learner);
    else this.remove(unit, school, learner);
    return true;
  }

  #keep(unit: Marks, school: string, learner: string): void {
    unit.setTimer({
      id: idOf(school, learner),
      atMs: unit.now + KEPT_MS,
      key: learner,
      payload: [KIND, school, learner].join('|'),
    });
  }
}

const idOf = (school: string, learner: string): string => `${KIND}:${school}:${learner}`;
