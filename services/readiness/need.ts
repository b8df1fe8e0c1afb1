/**
 * What one holder needs of one product, and how far it came: pure. A need is what is known of it, order lines and entitlements;
 * its state follows from that alone, so that the order in which streams are read makes no difference.
 */
import type { LineCell, RightCell } from './tables.ts';

/** How far a licence came, or what stopped it. The first that is true of its facts, from the end of the list. */
export const STATES = [
  'waiting',
  'refused',
  'ordered',
  'declined',
  'confirmed',
  'not_granted',
  'blocked',
  'expired',
  'unassigned',
  'granted',
  'provisioned',
  'opened',
] as const;
export type State = (typeof STATES)[number];

/** Which step of the way a state has reached: 0 wanted, 1 confirmed, 2 granted, 3 provisioned, 4 opened. */
export const STEP: Readonly<Record<State, number>> = {
  waiting: 0,
  refused: 0,
  ordered: 0,
  declined: 0,
  confirmed: 1,
  not_granted: 1,
  blocked: 1,
  expired: 1,
  unassigned: 2,
  granted: 2,
  provisioned: 3,
  opened: 4,
};
export const STEPS = 5;

export interface Facts {
  lines: ReadonlyMap<string, LineCell>;
  rights: ReadonlyMap<string, RightCell>;
}

/** Licences in one state of one cell. */
export interface Share {
  year: string;
  buyer: string;
  seller: string;
  state: State;
  /** Fault of a refusal; empty = none. */
  code: string;
  count: number;
  /** By count, for a group or the school: those who take one of their own take it from here. */
  counted: boolean;
  /** A learner's own that nobody ordered for this learner: it takes one of those. */
  drawn: boolean;
}

const LINE_STATE: Readonly<Record<LineCell['s'], State | undefined>> = {
  waiting: 'waiting',
  refused: 'refused',
  placed: 'ordered',
  declined: 'declined',
  confirmed: 'confirmed',
  gone: undefined,
};
const rank = (state: State): number => STATES.indexOf(state);

/** A refusal says no days: it is of the years for which something was ordered. */
const covers = (right: RightCell, year: string): boolean =>
  right.s === 'not_granted' || (right.y <= year && year <= right.z);

/** A line without days is of the year of the entitlement that names it, else of the one in which it was ordered. */
function yearOf(id: string, line: LineCell, rights: readonly RightCell[]): string {
  if (line.d) return line.y;
  return rights.find(({ l }) => l !== undefined && id.endsWith(` ${l}`))?.y ?? line.y;
}

/** Names of the fullest first, so that two of the same state give the same one whatever came first. */
const byName = <T>(cells: ReadonlyMap<string, T>): [string, T][] =>
  cells.size < 2 ? [...cells] : [...cells].sort(([a], [b]) => (a < b ? -1 : 1));

/** What a need counts for, by school year. `isLearner`: of one person, so that it is one licence however often it was ordered. */
export function sharesOf({ lines, rights }: Facts, isLearner: boolean): Share[] {
  const named = byName(rights).map(([, right]) => right);
  // Of one person, what is alike says nothing more; it is one object where it is kept once.
  const all = isLearner && named.length > 1 ? [...new Set(named)] : named;
  const dated = byName(lines).map(([id, line]) => ({
    line,
    year: yearOf(id, line, all),
    state: LINE_STATE[line.s],
  }));
  const isDated = ({ s }: RightCell): boolean => s !== 'not_granted' || dated.length === 0;
  const years = new Set(dated.map(({ year }) => year));
  for (const right of all) if (isDated(right)) years.add(right.y);
  return [...years].sort().flatMap((year) => {
    const ofYear = dated.flatMap(({ line, state, year: of }) =>
      of === year && state !== undefined ? [{ line, state }] : [],
    );
    const held = all.filter((right) => covers(right, year));
    return isLearner ? ofLearner(year, ofYear, held) : ofMany(year, ofYear, held);
  });
}

interface OpenLine {
  line: LineCell;
  state: State;
}

/** The entitlement that says most, or none. */
function best(held: readonly RightCell[]): { right: RightCell; state: State } | undefined {
  let found: { right: RightCell; state: State } | undefined;
  for (const right of held) {
    if (right.s === 'moved' || right.s === 'withdrawn') continue;
    if (!found || rank(right.s) > rank(found.state)) found = { right, state: right.s };
  }
  return found;
}

const live = (state: State): boolean => STEP[state] >= 2;

function ofLearner(year: string, lines: readonly OpenLine[], held: readonly RightCell[]): Share[] {
  const lead = [...lines].sort((a, b) => rank(b.state) - rank(a.state))[0];
  const right = best(held);
  const from = {
    year,
    buyer: lead?.line.b ?? '',
    seller: lead?.line.e || (right?.right.g ?? held[0]?.g ?? ''),
    count: 1,
    counted: false,
  };
  const of = (state: State, code = ''): Share[] => [{ ...from, state, code, drawn: lead === undefined && live(state) }];
  if (right && live(right.state)) return of(right.state);
  // It went to another product, another school or nobody: nothing is missing here.
  if (held.some(({ s }) => s === 'moved')) return [];
  if (right) return of(right.state, right.right.c ?? '');
  if (!lead) return [];
  if (held.some(({ s }) => s === 'withdrawn')) return of('blocked');
  return of(lead.state, lead.line.c ?? '');
}

/** Of a group or the school: as many as were ordered, or as the entitlements count. */
function ofMany(year: string, lines: readonly OpenLine[], held: readonly RightCell[]): Share[] {
  const shares: Share[] = [];
  const right = best(held);
  const share = (state: State, count: number, buyer: string, seller: string, code = ''): void => {
    if (count > 0) shares.push({ year, buyer, seller, state, code, count, counted: true, drawn: false });
  };
  const pools = held.filter(({ s, n }) => (n ?? 0) > 0 && s !== 'moved' && s !== 'withdrawn' && live(s));
  const whole = held.find(({ s, n }) => !n && s !== 'moved' && s !== 'withdrawn' && live(s));
  const lead = lines[0]?.line;
  if (whole && right) {
    const ordered = lines.reduce((sum, { line }) => sum + line.q, 0);
    share(right.state, Math.max(1, ordered), lead?.b ?? '', lead?.e || whole.g);
    return shares;
  }
  let given = 0;
  for (const { n, g } of pools) {
    given += n!;
    share('unassigned', n!, lead?.b ?? '', lead?.e || g);
  }
  // What was given out of the counts was ordered by the lines that came furthest.
  for (const { line, state } of [...lines].sort((a, b) => rank(b.state) - rank(a.state))) {
    const met = Math.min(given, line.q);
    given -= met;
    share(state, line.q - met, line.b, line.e, line.c ?? '');
  }
  if (shares.length === 0 && right)
    share(right.state, Math.max(1, right.right.n ?? 1), '', right.right.g, right.right.c ?? '');
  return shares;
}

/** How many are in each state, by `state code`. */
export type Counts = Readonly<Record<string, number>>;

/** From these a learner's own is taken first: what was granted by count, then what was confirmed, and so on. */
const DRAWN_FROM: readonly State[] = [
  'unassigned',
  'confirmed',
  'ordered',
  'waiting',
  'not_granted',
  'blocked',
  'expired',
  'declined',
  'refused',
];

/** Takes `drawn` from counts; gives what is left of them, and how many found nothing to be taken from. */
export function withoutDrawn(counted: Counts, drawn: number): { left: Record<string, number>; over: number } {
  const left = { ...counted };
  let over = drawn;
  for (const state of DRAWN_FROM)
    for (const name of Object.keys(left).sort()) {
      if (over === 0) break;
      if (name.split(' ')[0] !== state) continue;
      const met = Math.min(over, left[name]!);
      over -= met;
      left[name]! -= met;
      if (left[name] === 0) delete left[name];
    }
  return { left, over };
}

/** How many have reached each step. */
export function reached(counts: Counts): number[] {
  const steps = Array.from({ length: STEPS }, () => 0);
  for (const [name, count] of Object.entries(counts)) {
    const step = STEP[name.split(' ')[0] as State];
    for (let i = 0; i <= step; i++) steps[i]! += count;
  }
  return steps;
}
