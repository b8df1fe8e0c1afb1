/** Who may open what, now. Pure: what is known and a command in, a decision out. */
import { type Fault, schoolYearOf } from '#kernel';
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import type { Enrolment, Launch, Learner, ProductCopy, Right } from './tables.ts';

const {
  ENTITLEMENT_STATE_WITHDRAWN,
  ENTITLEMENT_STATE_GRANTED,
  ENTITLEMENT_STATE_PROVISIONED,
  ENTITLEMENT_STATE_USED,
  ENTITLEMENT_STATE_EXPIRED,
} = EntitlementState;

/** How long a launch may be redeemed. */
export const LAUNCH_MS = 5 * 60_000;

export interface Refusal {
  type: 'Refused';
  code: Fault;
  told: string;
}

const refused = (code: Fault, told: string): Refusal => ({ type: 'Refused', code, told });

export const missing = {
  entitlement: refused('state.missing', 'No entitlement of yours is known under this id at this school.'),
  right: refused('state.missing', 'The learner holds no entitlement for this, not by group or school either.'),
  launch: refused('state.missing', 'No launch of yours is known under this ticket.'),
};

export const learnerHolder = (learner: string): string => `l:${learner}`;
export const groupHolder = (group: string): string => `g:${group}`;
/** Whose right it is; empty where it is a group's or the school's. */
export const learnerOf = ({ holder }: Pick<Right, 'holder'>): string =>
  holder.startsWith('l:') ? holder.slice(2) : '';

/** What a group of a year gives ends after its last day, 31 July, and as many days more as one may be late by. */
const endOfGroups = (year: string): string => `${year.slice(5)}-08-14`;

/**
 * Groups of a learner today; undefined when not at this school today, by roster. `turned`: the year that the school is in, where it
 * was told; until then that of the calendar.
 */
export function groupsToday(
  learner: Pick<Learner, 'years'> | undefined,
  now: number,
  today: string,
  turned?: string,
): readonly string[] | undefined {
  if (!learner) return undefined;
  if (turned !== undefined) {
    // A school that turned early takes nothing away before the year before has ended.
    const there = Object.entries(learner.years).filter(
      ([year, { until }]) =>
        year <= turned && !(until && until <= today) && (year === turned || today <= endOfGroups(year)),
    );
    return there.length === 0 ? undefined : [...new Set(there.flatMap(([, { groups }]) => groups))];
  }
  const running = schoolYearOf(now);
  let best: [string, Enrolment] | undefined;
  // A school may turn its year later than 1 August: until then the groups of the year before stand.
  for (const [year, enrolment] of Object.entries(learner.years)) {
    if (year > running || (enrolment.until && enrolment.until <= today)) continue;
    if (!best || year > best[0]) best = [year, enrolment];
  }
  return best?.[1].groups;
}

/** Whether the learner is in a roster of this school, of this year or the next. */
export const isEnrolled = (learner: Pick<Learner, 'years'> | undefined, today: string, turned?: string): boolean =>
  learner !== undefined &&
  Object.entries(learner.years).some(
    ([year, { until }]) =>
      (!until || until > today) && (turned === undefined || year >= turned || today <= endOfGroups(year)),
  );

/** Whether the right lets its holder in on a day; otherwise why not. */
export function closed(right: Pick<Right, 'state' | 'starts' | 'ends'>, today: string): Fault | undefined {
  const { state } = right;
  if (state === ENTITLEMENT_STATE_EXPIRED || right.ends < today) return 'entitlement.expired';
  const stands =
    state === ENTITLEMENT_STATE_GRANTED || state === ENTITLEMENT_STATE_PROVISIONED || state === ENTITLEMENT_STATE_USED;
  if (!stands) return 'entitlement.blocked';
  return today < right.starts ? 'entitlement.not_started' : undefined;
}

const told: Partial<Record<Fault, string>> = {
  'entitlement.blocked': 'The entitlement is withdrawn or blocked; its seller can say why.',
  'entitlement.not_started': 'The entitlement has not started yet.',
  'entitlement.expired': 'The entitlement has expired.',
};

/** Of several rights that are all closed, the reason that helps most: what can be lifted, then what will come. */
const helpful: readonly Fault[] = ['entitlement.blocked', 'entitlement.not_started', 'entitlement.expired'];

export interface LaunchState {
  now: number;
  today: string;
  /** What stands under the launch id. */
  existing: Launch | undefined;
  learner: Learner | undefined;
  /** The school year that the school is in, where it was told; absent = that of the calendar. */
  turned?: string | undefined;
  /** Rights that bear on it, of any holder. */
  rights: readonly Right[];
  product: ProductCopy | undefined;
}

export interface LaunchCommand {
  launch: string;
  school: string;
  learner: string;
  /** Either this or the product; both must agree. */
  entitlement: string;
  product: string;
  /** Hex. */
  digest: string;
}

export type LaunchDecision = { type: 'Created'; launch: Launch } | Refusal;

export function launch(state: LaunchState, command: LaunchCommand): LaunchDecision {
  const { now, today, product } = state;
  if (state.existing) return refused('state.conflict', 'This launch was decided before.');
  if (!command.entitlement && !command.product) return refused('wire.invalid', 'Name an entitlement or a product.');

  const groups = groupsToday(state.learner, now, today, state.turned);
  const reach = (right: Right): number => {
    if (right.counted) return 0;
    if (right.holder === learnerHolder(command.learner)) return 3;
    if (groups === undefined) return 0;
    if (right.holder === '') return 1;
    return groups.some((group) => right.holder === groupHolder(group)) ? 2 : 0;
  };
  const held = state.rights
    .filter(
      (right) =>
        reach(right) > 0 &&
        (!command.entitlement || right.id === command.entitlement) &&
        (!command.product || right.product === command.product),
    )
    // Own before group before school, so that use is counted where it belongs.
    .sort((a, b) => reach(b) - reach(a));
  const open = held.find((right) => closed(right, today) === undefined);
  if (open) return created(state, command, open.id, open);
  if (!command.entitlement && product && !product.licensed && isEnrolled(state.learner, today, state.turned))
    return created(state, command, '', product);
  if (held.length > 0) {
    const reasons = new Set(held.map((right) => closed(right, today)));
    const code = helpful.find((reason) => reasons.has(reason))!;
    return refused(code, told[code]!);
  }
  if (!isEnrolled(state.learner, today, state.turned))
    return refused('learner.unknown', 'The learner is in no roster of this school and holds nothing here.');
  return missing.right;
}

function created(
  { now, today }: LaunchState,
  command: LaunchCommand,
  entitlement: string,
  at: Pick<Right, 'product' | 'publisher' | 'platform'>,
): LaunchDecision {
  const { launch, school, learner, digest } = command;
  const { product, publisher, platform } = at;
  return {
    type: 'Created',
    launch: {
      launch,
      school,
      learner,
      entitlement,
      product,
      publisher,
      platform,
      digest,
      day: today,
      created: now,
      expires: now + LAUNCH_MS,
      redeemed: 0,
      redeemer: '',
      state: 'created',
      code: '',
    },
  };
}

export interface RedeemState {
  /** When the ticket was shown. */
  shownMs: number;
  today: string;
  launch: Launch | undefined;
  /** The right the launch stands on. */
  right: Right | undefined;
}

export interface RedeemCommand {
  by: string;
  /** Hex. */
  digest: string;
}

export type RedeemDecision = { type: 'Redeemed'; launch: Launch } | { type: 'Needs'; need: 'launch' } | Refusal;

/** Once, in time, by the platform or publisher of the product, with the ticket. */
export function redeem({ shownMs, today, launch, right }: RedeemState, { by, digest }: RedeemCommand): RedeemDecision {
  if (!launch) return { type: 'Needs', need: 'launch' };
  // A wrong ticket and a wrong party learn nothing, not even that the launch exists.
  if (
    launch.state === 'refused' ||
    !digest ||
    launch.digest !== digest ||
    (by !== launch.platform && by !== launch.publisher)
  )
    return missing.launch;
  if (launch.state === 'redeemed' || shownMs >= launch.expires)
    return refused('launch.spent', 'The ticket was used before or is older than five minutes.');
  if (launch.entitlement) {
    const code = right ? closed(right, today) : 'entitlement.blocked';
    if (code) return refused(code, told[code]!);
  }
  return { type: 'Redeemed', launch: { ...launch, state: 'redeemed', redeemed: shownMs, redeemer: by } };
}

export type ProvisionDecision =
  | { type: 'Provisioned' }
  | { type: 'Revoked' }
  | { type: 'Needs'; need: 'entitlement' }
  | Refusal;

/** A platform or publisher says that it is ready for the holder, also before the first day; or that it took the place away. */
export function provision(
  right: Right | undefined,
  today: string,
  { by, revoke }: { by: string; revoke: boolean },
): ProvisionDecision {
  if (!right) return { type: 'Needs', need: 'entitlement' };
  if (by !== right.platform && by !== right.publisher) return missing.entitlement;
  if (revoke) return { type: 'Revoked' };
  const code = closed(right, today);
  return code && code !== 'entitlement.not_started' ? refused(code, told[code]!) : { type: 'Provisioned' };
}

/** The launch as it may rest longer than thirty days: the day, and no ticket. */
export function coarse(launch: Launch, startOfDayMs: number): Launch {
  return {
    ...launch,
    digest: '',
    created: startOfDayMs,
    expires: startOfDayMs,
    redeemed: launch.redeemed > 0 ? startOfDayMs : 0,
  };
}

/** The launch of a learner who is forgotten: it can no longer be redeemed. */
export const nobodys = (launch: Launch): Launch => ({ ...launch, learner: '', digest: '', entitlement: '' });

/** First day on which nothing is kept of a launch of a day, or of a right that ended on it: 1 October after its school year. */
export function goneFrom(day: string): string {
  const year = Number(day.slice(0, 4));
  return `${Number(day.slice(5, 7)) >= 8 ? year + 1 : year}-10-01`;
}

/** Whether a right can open nothing any more, whatever the day. */
export const hasEnded = ({ state }: Pick<Right, 'state'>): boolean =>
  state === ENTITLEMENT_STATE_EXPIRED || state === ENTITLEMENT_STATE_WITHDRAWN;
