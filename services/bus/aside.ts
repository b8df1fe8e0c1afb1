/**
 * What a service had of a learner who waits to be forgotten, out of the way of everything that it does: nobody reads it but
 * whoever takes the forgetting back. At its hour it goes for good.
 */
import { type Table, type TimerRow, table, type Unit } from './port.ts';

/** The row without a part says until when the learner's parts are kept. */
export interface AsideRow {
  school: string;
  learner: string;
  /** Chosen by the service. */
  part: string;
  /** In JSON. */
  held: object;
}

export const asideTable = (name: string, retention: string): Table<AsideRow> =>
  table<AsideRow>({
    name,
    key: ['school', 'learner', 'part'],
    columns: { school: 'text', learner: 'text', part: 'text', held: 'json' },
    retention,
  });

const KIND = 'aside';

type Parts = Pick<Unit, 'now' | 'get' | 'list' | 'put' | 'remove' | 'setTimer' | 'cancelTimer'>;

export class SetAside {
  readonly #table: Table<AsideRow>;

  constructor(rows: Table<AsideRow>) {
    this.#table = rows;
  }

  /** Parts may be put until this hour, Unix milliseconds; one that has passed throws away what there is. */
  open(unit: Parts, school: string, learner: string, untilMs: number): void {
    if (untilMs <= unit.now) {
      this.drop(unit, school, learner);
      return;
    }
    unit.put(this.#table, { school, learner, part: '', held: {} });
    unit.setTimer({
      id: idOf(school, learner),
      atMs: untilMs,
      key: learner,
      payload: [KIND, school, learner].join('|'),
    });
  }

  isOpen(unit: Pick<Parts, 'get'>, school: string, learner: string): boolean {
    return unit.get(this.#table, school, learner, '') !== undefined;
  }

  /** Nothing where the learner's parts are not kept. */
  put(unit: Parts, school: string, learner: string, part: string, held: object): void {
    if (this.isOpen(unit, school, learner)) unit.put(this.#table, { school, learner, part, held });
  }

  get<Held>(unit: Pick<Parts, 'get'>, school: string, learner: string, part: string): Held | undefined {
    return unit.get(this.#table, school, learner, part)?.held as Held | undefined;
  }

  /** All parts, in the order of their names; they are the caller's from now on. */
  take<Held>(unit: Parts, school: string, learner: string): { part: string; held: Held }[] {
    const rows = unit.list(this.#table, { equals: [school, learner] });
    this.drop(unit, school, learner);
    return rows.filter(({ part }) => part !== '').map(({ part, held }) => ({ part, held: held as Held }));
  }

  drop(unit: Parts, school: string, learner: string): void {
    for (const { part } of unit.list(this.#table, { equals: [school, learner] }))
      unit.remove(this.#table, school, learner, part);
    unit.cancelTimer(idOf(school, learner));
  }

  /** True where the timer was one of these. */
  onTimer(timer: Pick<TimerRow, 'payload'>, unit: Parts): boolean {
    const [kind, school = '', learner = ''] = timer.payload.split('|');
    if (kind !== KIND) return false;
    this.drop(unit, school, learner);
    return true;
  }
}

const idOf = (school: string, learner: string): string => `${KIND}:${school}:${learner}`;
