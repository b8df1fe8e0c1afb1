/**
 * What may happen to an entitlement. Pure: state and command in, events out; each event carries the row as it stands
 * after it. `README.md` draws the states.
 */
import { dutchDay, type Fault, isDay, schoolYearOf } from '#kernel';
import { EntitlementState, type EntitlementTerms } from '#proto/eduk/core/v1/ordering';
import type { Details, Entitlement, ProductCopy } from './tables.ts';

export const {
  ENTITLEMENT_STATE_UNSPECIFIED: REFUSED,
  ENTITLEMENT_STATE_GRANTED: GRANTED,
  ENTITLEMENT_STATE_PROVISIONED: PROVISIONED,
} = EntitlementState;
export const { ENTITLEMENT_STATE_USED: USED, ENTITLEMENT_STATE_EXPIRED: EXPIRED } = EntitlementState;
export const { ENTITLEMENT_STATE_WITHDRAWN: WITHDRAWN, ENTITLEMENT_STATE_BLOCKED: BLOCKED } = EntitlementState;

/** Days after the end within which use may still be told. */
export const LATE_USAGE_DAYS = 7;

export type Cause =
  | 'withdrawn'
  | 'blocked'
  | 'unblocked'
  | 'swapped'
  | 'provisioned'
  | 'revoked'
  | 'first_used'
  | 'used'
  | 'expired'
  | 'left'
  | 'forgotten'
  | 'kept'
  | 'school_changed';

/** What a decision lacks. The shell waits for it; when it does not come, `lacking` says the refusal. */
export type Need = 'product' | 'pool' | 'entitlement';

export type EntitlementEvent =
  | { type: 'Granted'; entitlement: Entitlement }
  /** The same grant came again. */
  | { type: 'GrantRepeated'; entitlement: Entitlement }
  | { type: 'GrantRefused'; code: Fault; told: string }
  | { type: 'Changed'; cause: Cause; entitlement: Entitlement; day?: string }
  /** What was asked stood already, or was later use. */
  | { type: 'ChangeRepeated'; cause: Cause; entitlement: Entitlement }
  | { type: 'ChangeRefused'; code: Fault; told: string }
  /** The row is other than before; nobody needs to be told. Of a pool: how many are taken. */
  | { type: 'Noted'; entitlement: Entitlement }
  | { type: 'Needs'; need: Need };

export interface GrantCommand {
  terms: EntitlementTerms;
  school: string;
  learner: string;
  group: string;
  granter: string;
  /** Activation code, sealed, base64; empty = none. */
  sealed: string;
  flow: string;
  /** The granter may give only what it publishes or opens itself. */
  ownProducts?: boolean;
}

export interface GrantState {
  now: number;
  /** What stands under the id. */
  existing: Entitlement | undefined;
  product: ProductCopy | undefined;
  /** The counted entitlement named by `from_entitlement_id`. */
  pool: Entitlement | undefined;
  /** Whether the learner was forgotten since the grant was sent. */
  forgotten: boolean;
}

const NOT_OWN = 'Only a distributor gives what another party publishes.';
const isOf = (product: ProductCopy, party: string): boolean =>
  product.publisher === party || product.platform === party;

export const learnerHolder = (learner: string): string => `l:${learner}`;
export const groupHolder = (group: string): string => `g:${group}`;
export const FORGOTTEN_HOLDER = 'x';
export const holderOf = (learner: string, group: string): string =>
  learner ? learnerHolder(learner) : group ? groupHolder(group) : '';

const NO_DETAILS: Details = {};

// Formatting a day takes microseconds and a unit has one `now`: remembering the last answer changes no outcome.
let lastNow = -1;
let lastToday = '';
export function today(now: number): string {
  if (now !== lastNow) {
    lastToday = dutchDay(now);
    lastNow = now;
  }
  return lastToday;
}

// Of the days that bulk grants name there are few.
const knownDays = new Set<string>();
function isKnownDay(text: string): boolean {
  if (knownDays.has(text)) return true;
  if (!isDay(text)) return false;
  if (knownDays.size > 4000) knownDays.clear();
  knownDays.add(text);
  return true;
}

/** 31 July of the school year that a day falls in. */
export function endOfSchoolYear(day: string): string {
  const year = Number(day.slice(0, 4));
  return `${Number(day.slice(5, 7)) >= 8 ? year + 1 : year}-07-31`;
}

const later = (a: string, b: string): string => (a > b ? a : b);
const earlier = (a: string, b: string): string => (a < b ? a : b);

export const plusDays = (day: string, days: number): string =>
  new Date(Date.parse(`${day}T12:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);

/** States in which an entitlement can still be withdrawn, blocked, or end. */
export const isLive = (state: EntitlementState): boolean =>
  state === GRANTED || state === PROVISIONED || state === USED || state === BLOCKED;

const refusedGrant = (code: Fault, told: string): EntitlementEvent[] => [{ type: 'GrantRefused', code, told }];
const refusedChange = (code: Fault, told: string): EntitlementEvent[] => [{ type: 'ChangeRefused', code, told }];

/** What is said when what a decision lacked did not come. */
export const lacking: Record<Need, { code: Fault; told: string }> = {
  product: {
    code: 'product.unknown',
    told: 'No publisher has published this product; publish it, then send this again under a new reference.',
  },
  pool: {
    code: 'state.missing',
    told: 'No counted entitlement of yours is known under from_entitlement_id at this school.',
  },
  entitlement: { code: 'state.missing', told: 'No entitlement of yours is known under this id at this school.' },
};

export function grant(state: GrantState, command: GrantCommand): EntitlementEvent[] {
  const { existing, product, now } = state;
  const { terms } = command;
  const holder = holderOf(command.learner, command.group);
  if (state.forgotten) return refusedGrant('learner.unknown', 'This learner is no longer known at this school.');
  if (existing && existing.state !== REFUSED) {
    if (!sameGrant(existing, command, holder))
      return refusedGrant('state.conflict', 'This entitlement_id stands for another grant at this school.');
    // Told as it is: answering "granted" would promise what was taken back.
    if (existing.state === WITHDRAWN)
      return refusedGrant(
        'entitlement.blocked',
        'This entitlement was withdrawn; grant again under a new entitlement_id.',
      );
    return [{ type: 'GrantRepeated', entitlement: existing }];
  }

  if (command.learner && command.group) return refusedGrant('wire.invalid', 'Name a learner or a group, not both.');
  if (command.learner && terms.count > 0)
    return refusedGrant('wire.invalid', 'A count belongs to a school or a group, not to a learner.');
  if (!command.learner && terms.fromEntitlementId)
    return refusedGrant('wire.invalid', 'Only a learner can take from a counted entitlement.');
  if (terms.fromEntitlementId && terms.fromEntitlementId === terms.entitlementId)
    return refusedGrant('wire.invalid', 'An entitlement cannot be taken from itself.');
  if (
    (terms.startsOn && !isKnownDay(terms.startsOn)) ||
    (terms.endsOn && !isKnownDay(terms.endsOn)) ||
    (terms.resultsReadableUntil && !isKnownDay(terms.resultsReadableUntil))
  )
    return refusedGrant('wire.invalid', 'A date is not a day in the form YYYY-MM-DD.');
  if (!product) return [{ type: 'Needs', need: 'product' }];
  if (command.ownProducts && !isOf(product, command.granter)) return refusedGrant('party.forbidden', NOT_OWN);

  let { pool } = state;
  if (!terms.fromEntitlementId) pool = undefined;
  else if (!pool || pool.state === REFUSED) return [{ type: 'Needs', need: 'pool' }];

  const day = today(now);
  let starts = terms.startsOn || day;
  let ends = terms.endsOn || later(endOfSchoolYear(day), endOfSchoolYear(starts));
  if (pool) {
    // A draw that names no dates fits in its pool.
    if (!terms.startsOn) starts = later(starts, pool.starts);
    if (!terms.endsOn) ends = earlier(ends, pool.ends);
  }
  if (ends < starts) return refusedGrant('wire.invalid', 'The last day of use is before the first.');
  if (terms.resultsReadableUntil && terms.resultsReadableUntil < ends)
    return refusedGrant('wire.invalid', 'Results must stay readable at least until the last day of use.');

  const events: EntitlementEvent[] = [];
  if (pool) {
    const refusal = refuseDraw(pool, command, day, starts, ends);
    if (refusal) return refusal;
    events.push({ type: 'Noted', entitlement: { ...pool, more: { ...pool.more, taken: (pool.more.taken ?? 0) + 1 } } });
  }
  const filled = (terms.startsOn ? 0 : 1) | (terms.endsOn ? 0 : 2);
  let more = NO_DETAILS;
  if (terms.orderId || terms.lineId || terms.resultsReadableUntil || terms.count || pool || filled || command.sealed) {
    more = {};
    if (terms.orderId) more.order = terms.orderId;
    if (terms.lineId) more.line = terms.lineId;
    if (terms.resultsReadableUntil) more.readable = terms.resultsReadableUntil;
    if (terms.count) more.count = terms.count;
    if (pool) more.from = pool.id;
    if (filled) more.filled = filled;
    if (command.sealed) more.sealed = command.sealed;
  }
  const entitlement: Entitlement = {
    school: command.school,
    id: terms.entitlementId,
    holder,
    product: terms.productId,
    state: GRANTED,
    starts,
    ends,
    granter: command.granter,
    publisher: product.publisher,
    platform: product.platform,
    flow: command.flow,
    changed: now,
    more,
  };
  // The grant's own event leads: it is what its flow shows as the decision.
  events.unshift({ type: 'Granted', entitlement });
  return events;
}

function refuseDraw(
  pool: Entitlement,
  command: GrantCommand,
  day: string,
  starts: string,
  ends: string,
): EntitlementEvent[] | undefined {
  const { granter } = command;
  const mayDraw =
    granter === pool.granter || granter === pool.publisher || granter === pool.platform || granter === pool.school;
  if (!mayDraw) return refusedGrant(lacking.pool.code, lacking.pool.told);
  if (!pool.more.count || pool.product !== command.terms.productId)
    return refusedGrant('state.conflict', 'The entitlement to take from is not counted, or is for another product.');
  if (pool.state === WITHDRAWN || pool.state === BLOCKED)
    return refusedGrant('entitlement.blocked', 'The counted entitlement is withdrawn or blocked.');
  if (pool.state === EXPIRED || pool.ends < day)
    return refusedGrant('entitlement.expired', 'The counted entitlement has expired.');
  if (starts < pool.starts || ends > pool.ends)
    return refusedGrant('wire.invalid', 'The days of use lie outside those of the counted entitlement.');
  if ((pool.more.taken ?? 0) >= pool.more.count)
    return refusedGrant('count.used_up', 'All licences of the counted entitlement are taken.');
  return undefined;
}

/**
 * Whether a grant says what stands. Activation codes are not compared: sealing the same code twice gives different bytes.
 */
function sameGrant(row: Entitlement, { terms, granter }: GrantCommand, holder: string): boolean {
  const { more } = row;
  const filled = more.filled ?? 0;
  return (
    row.holder === holder &&
    row.product === terms.productId &&
    row.granter === granter &&
    (filled & 1 ? terms.startsOn === '' : terms.startsOn === row.starts) &&
    (filled & 2 ? terms.endsOn === '' : terms.endsOn === row.ends) &&
    (more.order ?? '') === terms.orderId &&
    (more.line ?? '') === terms.lineId &&
    (more.readable ?? '') === terms.resultsReadableUntil &&
    (more.count ?? 0) === terms.count &&
    (more.from ?? '') === terms.fromEntitlementId
  );
}

export interface ChangeState {
  now: number;
  existing: Entitlement | undefined;
  /** The counted entitlement that `existing` is taken from. */
  pool: Entitlement | undefined;
}

export interface ChangeCommand {
  mode: string;
  by: string;
  swapToProduct: string;
  swapTo: string;
  flow: string;
  /** The sender may give only what it publishes or opens itself. */
  ownProducts?: boolean;
}

export interface SwapState extends ChangeState {
  /** The product to swap to, where one is named. */
  product: ProductCopy | undefined;
  /** What stands under the id of the new entitlement. */
  target: Entitlement | undefined;
}

/** Withdraw, block, unblock, swap. */
export function change(state: SwapState, command: ChangeCommand): EntitlementEvent[] {
  const { existing: row, now } = state;
  if (command.mode !== 'withdraw' && command.mode !== 'block' && command.mode !== 'unblock')
    return refusedChange('wire.invalid', 'The mode is none of withdraw, block and unblock.');
  const swaps = command.swapToProduct !== '' || command.swapTo !== '';
  if (swaps && (command.mode !== 'withdraw' || !command.swapToProduct || !command.swapTo))
    return refusedChange(
      'wire.invalid',
      'A swap is a withdrawal that names the new product and the new entitlement_id.',
    );
  if (!row || row.state === REFUSED) return [{ type: 'Needs', need: 'entitlement' }];
  if (command.by !== row.granter && command.by !== row.publisher)
    return refusedChange(lacking.entitlement.code, lacking.entitlement.told);

  if (command.mode === 'withdraw') return swaps ? swap(state, row, command) : withdraw(state, row);
  if (row.state === WITHDRAWN) return refusedChange('entitlement.blocked', 'The entitlement is withdrawn.');
  if (row.state === EXPIRED) return refusedChange('entitlement.expired', 'The entitlement has expired.');
  if (command.mode === 'block') {
    if (row.state === BLOCKED) return [{ type: 'ChangeRepeated', cause: 'blocked', entitlement: row }];
    return [
      {
        type: 'Changed',
        cause: 'blocked',
        entitlement: { ...row, state: BLOCKED, changed: now, more: { ...row.more, before: row.state } },
      },
    ];
  }
  if (row.state !== BLOCKED) return [{ type: 'ChangeRepeated', cause: 'unblocked', entitlement: row }];
  const { before, ...more } = row.more;
  return [
    { type: 'Changed', cause: 'unblocked', entitlement: { ...row, state: before ?? GRANTED, changed: now, more } },
  ];
}

/** Whether a change takes something away from who has it now. A swap gives something for it, and its last day ends it anyway. */
export const takesAway = (events: readonly EntitlementEvent[], row: Entitlement, now: number): boolean =>
  row.ends > today(now) &&
  events.some((event) => event.type === 'Changed' && (event.cause === 'withdrawn' || event.cause === 'blocked'));

/** Why what stands can no longer be undone, if so. */
function refuseUndo(row: Entitlement): EntitlementEvent[] | undefined {
  if (row.more.used)
    return refusedChange('state.conflict', 'It has been used; this can no longer be undone. Block it, or let it end.');
  if (row.state === EXPIRED) return refusedChange('entitlement.expired', 'The entitlement has expired.');
  if ((row.more.taken ?? 0) > 0)
    return refusedChange('state.conflict', 'Learners have licences taken from it; withdraw those first.');
  return undefined;
}

function withdraw(state: ChangeState, row: Entitlement): EntitlementEvent[] {
  if (row.state === WITHDRAWN) return [{ type: 'ChangeRepeated', cause: 'withdrawn', entitlement: row }];
  return refuseUndo(row) ?? takeBack(row, state.pool, 'withdrawn', state.now);
}

function swap(
  state: SwapState,
  row: Entitlement,
  { swapTo, swapToProduct, flow, by, ownProducts }: ChangeCommand,
): EntitlementEvent[] {
  const { product, target, now } = state;
  if (row.state === WITHDRAWN)
    return row.more.swappedTo === swapTo && target?.product === swapToProduct
      ? [{ type: 'ChangeRepeated', cause: 'swapped', entitlement: row }]
      : refusedChange('entitlement.blocked', 'The entitlement is withdrawn.');
  if (row.state === BLOCKED)
    return refusedChange('entitlement.blocked', 'The entitlement is blocked; unblock it before a swap.');
  const refusal = refuseUndo(row);
  if (refusal) return refusal;
  if (target && target.state !== REFUSED)
    return refusedChange('state.conflict', 'The new entitlement_id is in use at this school.');
  if (!product) return [{ type: 'Needs', need: 'product' }];
  if (ownProducts && !isOf(product, by)) return refusedChange('party.forbidden', NOT_OWN);
  // The new one is not taken from the pool: that counts licences of the old product.
  const { order, line, readable, count } = row.more;
  const more: Details = {
    ...(order && { order }),
    ...(line && { line }),
    ...(readable && { readable }),
    ...(count && { count }),
  };
  const fresh: Entitlement = {
    ...row,
    id: swapTo,
    product: swapToProduct,
    state: GRANTED,
    publisher: product.publisher,
    platform: product.platform,
    flow,
    changed: now,
    more,
  };
  return [
    ...takeBack({ ...row, more: { ...row.more, swappedTo: swapTo } }, state.pool, 'swapped', now),
    { type: 'Granted', entitlement: fresh },
  ];
}

/** Ends it; a licence taken from a count returns there. */
function takeBack(
  row: Entitlement,
  pool: Entitlement | undefined,
  cause: NonNullable<Details['cause']>,
  now: number,
): EntitlementEvent[] {
  const more: Details = { ...row.more, cause };
  const events: EntitlementEvent[] = [
    { type: 'Changed', cause, entitlement: { ...row, state: WITHDRAWN, changed: now, more } },
  ];
  if (row.more.from && pool)
    events.push({
      type: 'Noted',
      entitlement: { ...pool, more: { ...pool.more, taken: Math.max(0, (pool.more.taken ?? 0) - 1) } },
    });
  return events;
}

export interface UsageCommand {
  day: string;
  /** 0 = 1. */
  times: number;
  by: string;
}

/** A platform or publisher told of use. */
export function use(
  { existing: row, now }: Pick<ChangeState, 'existing' | 'now'>,
  command: UsageCommand,
): EntitlementEvent[] {
  const day = today(now);
  if (!isKnownDay(command.day)) return refusedChange('wire.invalid', 'The day is not in the form YYYY-MM-DD.');
  // Clocks of two parties may differ around midnight; more than a day is a mistake.
  if (command.day > plusDays(day, 1)) return refusedChange('wire.invalid', 'The day has yet to come.');
  if (!row || row.state === REFUSED) return [{ type: 'Needs', need: 'entitlement' }];
  if (command.by !== row.platform && command.by !== row.publisher)
    return refusedChange(lacking.entitlement.code, lacking.entitlement.told);
  if (row.state === WITHDRAWN || row.state === BLOCKED)
    return refusedChange('entitlement.blocked', 'The entitlement is withdrawn or blocked.');
  if (command.day < row.starts)
    return refusedChange('entitlement.not_started', 'The entitlement had not started on that day.');
  if (later(command.day, day) > plusDays(row.ends, LATE_USAGE_DAYS))
    return refusedChange('entitlement.expired', `The entitlement ended more than ${LATE_USAGE_DAYS} days ago.`);
  return used(row, command.day, Math.max(1, command.times), now);
}

/** A launch was redeemed: use that needs no permission any more. Nothing when it may no longer be counted. */
export function useByLaunch(
  { existing: row, now }: Pick<ChangeState, 'existing' | 'now'>,
  day: string,
): EntitlementEvent[] {
  if (!row || !isLive(row.state) || row.state === BLOCKED) return [];
  return used(row, day, 1, now).map((event) =>
    event.type === 'ChangeRepeated' ? { type: 'Noted', entitlement: event.entitlement } : event,
  );
}

function used(row: Entitlement, day: string, times: number, now: number): EntitlementEvent[] {
  const uses = (row.more.uses ?? 0) + times;
  if (row.more.used)
    return [{ type: 'ChangeRepeated', cause: 'used', entitlement: { ...row, more: { ...row.more, uses } } }];
  // Use told late leaves an entitlement that has ended as it is.
  const state = row.state === EXPIRED ? EXPIRED : USED;
  return [
    {
      type: 'Changed',
      cause: 'first_used',
      day,
      entitlement: { ...row, state, changed: now, more: { ...row.more, used: day, uses } },
    },
  ];
}

/** A platform is ready, or no longer. */
export function provision(
  { existing: row, now }: Pick<ChangeState, 'existing' | 'now'>,
  by: string,
  revoke: boolean,
): EntitlementEvent[] {
  if (!row || !isLive(row.state)) return [];
  const ready = new Set(row.more.ready);
  if (ready.has(by) !== revoke) return [];
  if (revoke) ready.delete(by);
  else ready.add(by);
  const more: Details = { ...row.more, ready: [...ready] };
  if (ready.size === 0) delete more.ready;
  const settled = (state: EntitlementState): EntitlementState =>
    state === GRANTED || state === PROVISIONED ? (ready.size > 0 ? PROVISIONED : GRANTED) : state;
  if (row.state === BLOCKED)
    return [{ type: 'Noted', entitlement: { ...row, more: { ...more, before: settled(row.more.before ?? GRANTED) } } }];
  const state = settled(row.state);
  if (state === row.state) return [{ type: 'Noted', entitlement: { ...row, more } }];
  return [
    { type: 'Changed', cause: revoke ? 'revoked' : 'provisioned', entitlement: { ...row, state, changed: now, more } },
  ];
}

/** Its last day has passed. */
export function expire({ existing: row, now }: Pick<ChangeState, 'existing' | 'now'>): EntitlementEvent[] {
  if (!row || !isLive(row.state) || row.ends >= today(now)) return [];
  const { before, ...more } = row.more;
  return [{ type: 'Changed', cause: 'expired', entitlement: { ...row, state: EXPIRED, changed: now, more } }];
}

/**
 * The learner left the school in a school year, on a day. A personal licence goes along; one that was taken from a
 * count returns there, used or not, when its period at the school falls in the year that was left: a correction of next
 * year's roster takes nothing away today.
 */
export function leave(
  { existing: row, pool, now }: ChangeState,
  schoolYear: string,
  leftOn: string,
): EntitlementEvent[] {
  if (!row?.more.from || !isLive(row.state)) return [];
  const from = later(row.starts, leftOn || today(now));
  if (schoolYear && schoolYearOf(Date.parse(`${from}T12:00:00Z`)) !== schoolYear) return [];
  return takeBack(row, pool, 'left', now);
}

/** The learner goes on at another school: whoever gave a personal licence is told once, to give it anew there. It stands as it stood. */
export function goOn(
  { existing: row, now }: Pick<ChangeState, 'existing' | 'now'>,
  movedTo: string,
): EntitlementEvent[] {
  if (!row || row.more.from || !isLive(row.state) || row.more.movedTo === movedTo) return [];
  const more = { ...row.more, movedTo };
  return [{ type: 'Changed', cause: 'school_changed', entitlement: { ...row, changed: now, more } }];
}

/** The learner is forgotten: the right ends and the row no longer says whose it was. */
export function forget({ existing: row, pool, now }: ChangeState): EntitlementEvent[] {
  if (!row) return [];
  const { sealed, ...more } = row.more;
  const nobodys: Entitlement = { ...row, holder: FORGOTTEN_HOLDER, more };
  return isLive(row.state) ? takeBack(nobodys, pool, 'forgotten', now) : [{ type: 'Noted', entitlement: nobodys }];
}

/**
 * The forgetting was taken back: it stands as it stood, `was`, and who was told of its end is told of it as of a new one. Who had
 * opened it must open it again. What was taken from a count is taken again, though all may be taken meanwhile: the learner had it.
 */
export function keep({ existing, pool, now }: ChangeState, was: Entitlement): EntitlementEvent[] {
  // Another hand was on it since, or its time is over.
  if (existing?.holder !== FORGOTTEN_HOLDER) return [];
  if (!isLive(was.state)) return [{ type: 'Noted', entitlement: was }];
  const { ready: _, ...more } = was.more;
  const draw: EntitlementEvent[] =
    was.more.from && pool
      ? [{ type: 'Noted', entitlement: { ...pool, more: { ...pool.more, taken: (pool.more.taken ?? 0) + 1 } } }]
      : [];
  const granted: Entitlement = { ...was, state: GRANTED, changed: now, more };
  if (was.ends < today(now)) {
    const { before: _before, ...ended } = more;
    return [{ type: 'Changed', cause: 'expired', entitlement: { ...granted, state: EXPIRED, more: ended } }, ...draw];
  }
  const events: EntitlementEvent[] = [{ type: 'Granted', entitlement: granted }, ...draw];
  if (was.state === USED || was.state === BLOCKED) {
    const before = was.more.before === PROVISIONED ? GRANTED : was.more.before;
    events.push({
      type: 'Changed',
      cause: 'kept',
      entitlement: { ...granted, state: was.state, more: before === undefined ? more : { ...more, before } },
    });
  }
  return events;
}

/** First day on which an ended entitlement no longer says whose it was: 1 October after its school year. */
export const anonymousFrom = (ends: string): string => `${endOfSchoolYear(ends).slice(0, 4)}-10-01`;

/** First day on which nothing of it is kept: seven years after that. */
export const goneFrom = (ends: string): string => `${Number(endOfSchoolYear(ends).slice(0, 4)) + 7}-10-01`;

/** The row without its learner; undefined while results must stay readable, and where it names none. */
export function anonymise(row: Entitlement, day: string): Entitlement | undefined {
  if (!row.holder.startsWith('l:') || (row.more.readable ?? '') >= day) return undefined;
  const { sealed, ...more } = row.more;
  return { ...row, holder: FORGOTTEN_HOLDER, more };
}
