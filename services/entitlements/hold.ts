/**
 * Whether a withdrawal or block waits until somebody has looked: many of one sender at one school within a day do. Pure. What goes by
 * itself is never asked here: swaps before first use, repeats, refusals, and what ends on its own last day anyway.
 */

/** Why changes wait. */
export type HoldReason = 'withdraws_many' | 'said_again' | 'freeze';

const HOUR_MS = 3_600_000;
/** How far back is counted, at least: hours of the clock are counted whole, so up to an hour more. */
export const WINDOW_MS = 24 * HOUR_MS;

export interface Limits {
  /** So many go through, however large a share. 0 = any number. */
  withdrawals: number;
  /** And this share, in percent, of what stands there of the sender. */
  percent: number;
  /** Two persons approve what waits. */
  byTwo?: boolean;
}

/** What one sender took away at one school lately. */
export interface Window {
  /** By hour of the clock since 1970: how many. */
  hours: readonly (readonly [hour: number, count: number])[];
  /** The last message of which some went through, and how many of it. */
  flow: string;
  ofFlow: number;
  /** What stood when it was counted, with what was taken away in the window before that; absent = not counted. */
  standing?: number | undefined;
  /** In which hour it was counted; absent = not known, and it is counted anew. */
  counted?: number | undefined;
}

export interface Taking {
  now: number;
  flow: string;
  /** How many the sender's message names; a message waits whole or not at all. */
  ofMessage: number;
  /** One of it waited before and was rejected. */
  spared: boolean;
  /** How many entitlements of the sender stand at the school. */
  standing: () => number;
  /** Nothing may be taken away there at the moment: it waits however little it is, and counts for nothing. */
  frozen?: boolean | undefined;
}

export const nothingTaken: Window = { hours: [], flow: '', ofFlow: 0 };

const sum = (hours: Window['hours']): number => hours.reduce((all, [, count]) => all + count, 0);

/** Absent reason = it goes through, and counts. */
export function judge(
  before: Window,
  { now, flow, ofMessage, spared, standing, frozen }: Taking,
  limits: Limits,
): { reason?: HoldReason; window: Window } {
  const first = Math.floor((now - WINDOW_MS) / HOUR_MS);
  const hours = before.hours.filter(([hour]) => hour >= first);
  // Who goes slowly never has an empty window: the count ends by its own age too.
  const isOld = hours.length === 0 || (before.counted ?? Number.NEGATIVE_INFINITY) < first;
  const window: Window = { ...before, hours, ...(isOld ? { standing: undefined, counted: undefined } : {}) };
  if (frozen) return { reason: 'freeze', window };
  if (spared) return { reason: 'said_again', window };
  const ofFlow = flow === before.flow ? before.ofFlow : 0;
  const passed = sum(hours);
  const passes = (of: Window): { window: Window } => {
    const hour = Math.floor(now / HOUR_MS);
    const count = hours.find(([one]) => one === hour)?.[1] ?? 0;
    const others = hours.filter(([one]) => one !== hour);
    return { window: { ...of, hours: [...others, [hour, count + 1]], flow, ofFlow: ofFlow + 1 } };
  };
  const asked = passed - Math.min(ofFlow, passed) + Math.max(1, ofMessage, ofFlow + 1);
  if (limits.withdrawals === 0 || asked <= limits.withdrawals) return passes(window);
  // Counted once a window: it does not get so much smaller by what goes through.
  const whole = window.standing ?? standing() + passed;
  const counted: Window = { ...window, standing: whole, counted: window.counted ?? Math.floor(now / HOUR_MS) };
  return asked * 100 > whole * limits.percent ? { reason: 'withdraws_many', window: counted } : passes(counted);
}
