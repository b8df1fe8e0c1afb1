/**
 * The decider of the turn of the year: which school year a school is in, and when it goes on to another. Pure: state and
 * command in, events out; time is part of the command. Why it is so: docs/decisions/0046-a-school-turns-its-year-once.md.
 */
import { dutchDay, type Fault, isDay, isSchoolYear, schoolYearOf } from '#kernel';
import type { TurnDifference } from '#proto/eduk/events/v1/rosters';
import type { EventName, EventOf } from '#proto/events';
import { FEWEST_PUPILS } from './roster.ts';

/** A day that was chosen for the turn to a year. */
export interface Plan {
  year: string;
  /** Dutch day, YYYY-MM-DD. */
  day: string;
}

/** Which year a school is in. */
export interface Standing {
  running: string;
  /** The year it was in before, where the turn can be taken back; empty = it cannot. */
  before: string;
  plan?: Plan | undefined;
}

/** A school between two years. */
export interface TurnState extends Standing {
  /** Learners in the roster of the year to go to; undefined = no roster came. */
  size: number | undefined;
  difference: TurnDifference;
  /** By site of which a roster stands: how many learners it names in both years. Empty = not by site. */
  sites: readonly TurnSite[];
  /** Rosters of the year to go to that wait for approval. */
  waiting: number;
}

export interface TurnSite {
  siteCode: string;
  before: number;
  after: number;
}

export type TurnCommand =
  /** `onDay` empty = now. */
  | { type: 'AskTurn'; schoolOin: string; schoolYear: string; onDay: string; now: number }
  /** The day may have come, or what stood in its way may have gone. */
  | { type: 'DayCame'; schoolOin: string; schoolYear: string; now: number };

type Writes = 'SchoolYearTurned' | 'SchoolYearTurnPlanned' | 'SchoolYearTurnRefused';
export type TurnEvent = { [N in EventName & Writes]: { name: N; value: EventOf<N> } }[EventName & Writes];

const firstOf = (year: string): string => year.slice(0, 4);
/** `2027-2028` after `2026-2027`. */
export const yearAfter = (year: string): string => `${Number(firstOf(year)) + 1}-${Number(firstOf(year)) + 2}`;
const yearBefore = (year: string): string => `${Number(firstOf(year)) - 1}-${firstOf(year)}`;

/** From this day on two years stand side by side. */
const earliest = (year: string): string => `${firstOf(year)}-05-01`;
/** A turn is not put off for longer. */
const latest = (year: string): string => `${firstOf(year)}-10-31`;
/** The last day of a year: until then its turn can be taken back. */
export const lastDay = (year: string): string => `${year.slice(5)}-07-31`;

/** On which day a school goes on to a year by itself. */
export const dueDay = ({ plan }: Pick<Standing, 'plan'>, year: string): string =>
  plan?.year === year ? plan.day : `${firstOf(year)}-08-01`;

/** Which year a school is in of which nothing was said: that of the calendar, or the one before while only that has a roster. */
export function firstStanding(sizes: ReadonlyMap<string, number>, now: number): Standing {
  const year = schoolYearOf(now);
  const has = (one: string) => (sizes.get(one) ?? 0) > 0;
  return { running: !has(year) && has(yearBefore(year)) ? yearBefore(year) : year, before: '' };
}

/** Why a turn that is asked is refused; undefined = it is not. */
export function whyNot(
  state: Pick<TurnState, 'running' | 'before' | 'size' | 'waiting'>,
  { schoolYear, onDay, now }: { schoolYear: string; onDay: string; now: number },
): { code: Fault; told: string } | undefined {
  const no = (code: Fault, told: string) => ({ code, told });
  const today = dutchDay(now);
  if (!isSchoolYear(schoolYear)) return no('wire.invalid', 'The school year must be two years that follow each other.');
  if (schoolYear === state.running) return no('state.conflict', 'The school is in this school year.');
  if (schoolYear < state.running) {
    if (schoolYear !== state.before)
      return no('state.conflict', 'The school has been in a later school year for longer.');
    if (onDay !== '') return no('wire.invalid', 'A turn is taken back at once, or not.');
    if (today > lastDay(schoolYear)) return no('state.conflict', 'A turn can be taken back until 31 July.');
    return undefined;
  }
  if (onDay !== '') {
    if (!isDay(onDay)) return no('wire.invalid', 'This day does not exist.');
    if (onDay <= today) return no('wire.invalid', 'Name a day to come, or none.');
    if (onDay < earliest(schoolYear) || onDay > latest(schoolYear))
      return no('wire.invalid', 'A school goes on to a school year between 1 May and 31 October.');
    return undefined;
  }
  if (today < earliest(schoolYear)) return no('state.conflict', 'A school goes on to a school year from 1 May on.');
  if (!state.size) return no('state.missing', 'There is no roster of this school and year yet.');
  if (state.waiting > 0)
    return no('hold.pending', 'A roster of this school year waits for approval: decide about it first.');
  return undefined;
}

/** Why a turn does not come by itself, though somebody may ask for it; undefined = nothing is in its way. */
export function whyWait({ difference, sites }: Pick<TurnState, 'difference' | 'sites'>): string | undefined {
  const { learnersBefore, learnersAfter } = difference;
  if (sites.some(({ before, after }) => before > 0 && after === 0)) return 'leaves_out_site';
  // As with a roster: below so many pupils a share says nothing.
  return learnersBefore >= FEWEST_PUPILS && learnersAfter * 2 < learnersBefore ? 'cut_off' : undefined;
}

/** Why a turn whose day has come was not made; undefined = nothing is in its way. */
export function whyLate(
  state: Pick<TurnState, 'size' | 'waiting'>,
  looks: () => Pick<TurnState, 'difference' | 'sites'>,
): string | undefined {
  if (!state.size) return 'no_roster';
  return state.waiting > 0 ? 'held' : whyWait(looks());
}

export function decideTurn(state: TurnState, command: TurnCommand): TurnEvent[] {
  const { schoolOin, schoolYear, now } = command;
  const turned = (cause: string): TurnEvent[] => [
    {
      name: 'SchoolYearTurned',
      value: { schoolOin, schoolYear, yearBefore: state.running, difference: state.difference, cause },
    },
  ];
  if (command.type === 'DayCame') {
    if (schoolYear <= state.running || dueDay(state, schoolYear) > dutchDay(now)) return [];
    if (whyNot(state, { schoolYear, onDay: '', now }) || whyWait(state)) return [];
    return turned('day');
  }
  const { onDay } = command;
  const refusal = whyNot(state, { schoolYear, onDay, now });
  if (refusal) return [{ name: 'SchoolYearTurnRefused', value: { schoolOin, schoolYear, ...refusal } }];
  if (onDay === '') return turned(schoolYear < state.running ? 'back' : 'asked');
  return [{ name: 'SchoolYearTurnPlanned', value: { schoolOin, schoolYear, yearBefore: state.running, onDay } }];
}

/** How a school stands after what was decided. */
export function standingAfter(state: Standing, events: readonly TurnEvent[]): Standing {
  let stands = state;
  for (const { name, value } of events)
    if (name === 'SchoolYearTurned')
      // What was taken back can be asked again, and comes by itself on its day.
      stands = { running: value.schoolYear, before: value.cause === 'back' ? '' : value.yearBefore };
    else if (name === 'SchoolYearTurnPlanned')
      stands = { ...stands, plan: { year: value.schoolYear, day: value.onDay } };
  return stands;
}
