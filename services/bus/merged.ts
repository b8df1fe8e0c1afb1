/**
 * Second tokens of learners, for a service that has rows by learner. Nothing is moved: whoever looks for what a learner has looks under each of its
 * tokens, and who compares two learners compares who they are. So a merge holds for what is under way too, and undoing it leaves no trace.
 */
import { type Reader, type Table, type TimerRow, table, type Unit } from './port.ts';

/** The row without a learner says that the school has some: most have none, and who asks looks no further. */
export interface MergedRow {
  school: string;
  learner: string;
  /** Whose token it is. */
  winner: string;
}

export const mergedTable = (name: string): Table<MergedRow> =>
  table<MergedRow>({
    name,
    key: ['school', 'learner'],
    columns: { school: 'text', learner: 'text', winner: 'text' },
    indexes: { winner: ['school', 'winner'] },
    retention: 'RETENTION_ORDER',
  });

/** As long as anything is kept that may name the token. */
const KEPT_MS = 7 * 366 * 86_400_000;
const KIND = 'merged';

type Marks = Pick<Unit, 'now' | 'put' | 'remove' | 'setTimer' | 'cancelTimer'>;

export class MergedLearners {
  readonly #table: Table<MergedRow>;

  constructor(rows: Table<MergedRow>) {
    this.#table = rows;
  }

  add(unit: Marks, { schoolOin: school, winner, loser }: { schoolOin: string; winner: string; loser: string }): void {
    unit.put(this.#table, { school, learner: '', winner: '' });
    unit.put(this.#table, { school, learner: loser, winner });
    unit.setTimer({
      id: idOf(school, loser),
      atMs: unit.now + KEPT_MS,
      key: loser,
      payload: [KIND, school, loser].join('|'),
    });
  }

  remove(unit: Marks, { schoolOin: school, loser }: { schoolOin: string; loser: string }): void {
    unit.remove(this.#table, school, loser);
    unit.cancelTimer(idOf(school, loser));
  }

  /** Who it is; itself where it was not merged. */
  winnerOf(unit: Reader, school: string, learner: string): string {
    if (learner === '' || unit.get(this.#table, school, '') === undefined) return learner;
    return unit.get(this.#table, school, learner)?.winner ?? learner;
  }

  /** All tokens of the learner, first the one that stays. */
  tokensOf(unit: Reader, school: string, learner: string): string[] {
    if (learner === '' || unit.get(this.#table, school, '') === undefined) return [learner];
    const winner = this.winnerOf(unit, school, learner);
    const others = unit.list(this.#table, { index: 'winner', equals: [school, winner] });
    return [winner, ...others.map((row) => row.learner)];
  }

  /** True where the timer was one of these. */
  onTimer(timer: Pick<TimerRow, 'payload'>, unit: Marks): boolean {
    const [kind, school = '', learner = ''] = timer.payload.split('|');
    if (kind !== KIND) return false;
    unit.remove(this.#table, school, learner);
    return true;
  }
}

const idOf = (school: string, learner: string): string => `${KIND}:${school}:${learner}`;
