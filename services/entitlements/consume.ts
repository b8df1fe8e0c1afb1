/**
 * Records in, rows and events out. Reads what a decision needs, asks `entitlement.ts`, writes what it says. Repeating a
 * record from the same rows gives the same, so a unit that is decided again after a crash changes nothing.
 */
import {
  type Consumer,
  decoded,
  emit,
  ForgottenLearners,
  type LogRecord,
  MergedLearners,
  SetAside,
  type TimerRow,
  type Unit,
} from '#bus';
import { endOfDutchDay, startOfDutchDay } from '#kernel';
import type { EventOf } from '#proto/events';
import * as decide from './entitlement.ts';
import {
  decideHold,
  dropHold,
  frozenKind,
  frozenUntil,
  isHeld,
  lookByRule,
  mustWait,
  onFreeze,
  onRule,
  put,
  putFrozen,
  releaseEnded,
  thaw,
} from './held.ts';
import type { Limits } from './hold.ts';
import {
  aside,
  type Entitlement,
  entitlements,
  forgotten,
  fulfilments,
  lastDays,
  merged,
  productSchools,
  products,
} from './tables.ts';

const gone = new ForgottenLearners(forgotten);
const kept = new SetAside(aside);
export const same = new MergedLearners(merged);
const PRODUCT_WAIT_MS = 24 * 3_600_000;
const ENTITLEMENT_WAIT_MS = 60_000;
/** What is read late, or stood behind another, still gets this long: what it lacks may be as late. */
const GRACE_MS = 10_000;
const deadline = (record: LogRecord, unit: Unit, waitMs: number): number =>
  Math.max(record.timeMs + waitMs, unit.now + GRACE_MS);
/** Rows one firing of a timer looks at, so that the end of a school year does not stop a lane. */
const EXPIRY_PAGE = 500;
const PAGE = 200;

/** Names in `wait` and `wake`. */
export const productWanted = (product: string): string => `product:${product}`;
export const entitlementWanted = (school: string, id: string): string => `entitlement:${school}/${id}`;

/** Scope of a grant, for finding one that waits. */
export const grantScope = (school: string, id: string): string => `${school}/${id}`;

/** What the consumer is known by. */
export const NAME = 'entitlements';

export const consumer = (limits: Limits): Consumer => ({
  name: NAME,
  streams: ['entitlements', 'catalogue', 'rosters', 'access', 'parties'],
  types: [
    'GrantSubmitted',
    'WithdrawSubmitted',
    'UsageSubmitted',
    'EntitlementHoldDecisionSubmitted',
    'ProductPublished',
    'LearnerJoined',
    'LearnerLeft',
    'LearnerForgotten',
    'LearnerKept',
    'LearnersMerged',
    'LearnersMergeUndone',
    'AccessProvisioned',
    'AccessRevoked',
    'LaunchRedeemed',
    'FreezeChanged',
    'HoldRuleChanged',
  ],
  handle: (record, unit) => settle(record, unit, false, limits),
  onDeadline: (record, _what, unit) => settle(record, unit, true, limits),
  onTimer: (timer, unit) => onTimer(timer, unit, limits),
  /**
   * A grant that waits for its product holds up nothing but repeats of itself; other grants of the learner go on. A
   * change has a scope of its own: behind a change that waits for its grant, that grant must not wait.
   */
  scope(record) {
    switch (record.type) {
      case 'GrantSubmitted': {
        const { schoolOin, terms } = decoded(record, 'GrantSubmitted');
        return grantScope(schoolOin, terms?.entitlementId ?? '');
      }
      case 'WithdrawSubmitted':
      case 'UsageSubmitted': {
        const { schoolOin, entitlementId } =
          record.type === 'WithdrawSubmitted'
            ? decoded(record, 'WithdrawSubmitted')
            : decoded(record, 'UsageSubmitted');
        return `change:${schoolOin}/${entitlementId}`;
      }
      default:
        return record.key;
    }
  },
});

/** `final`: what it lacks did not come, so that it must be decided as it is. */
function settle(record: LogRecord, unit: Unit, final: boolean, limits: Limits): void {
  switch (record.type) {
    case 'GrantSubmitted':
      onGrant(record, unit, { final, waited: 0 });
      break;
    case 'WithdrawSubmitted':
      onWithdraw(record, unit, { final, waited: 0 }, limits);
      break;
    case 'EntitlementHoldDecisionSubmitted':
      decideHold(record, unit, limits.byTwo === true, again);
      break;
    case 'FreezeChanged':
      onFreeze(decoded(record, 'FreezeChanged'), unit);
      break;
    case 'HoldRuleChanged':
      onRule(decoded(record, 'HoldRuleChanged'), unit);
      break;
    case 'UsageSubmitted':
      onUsage(record, unit, final);
      break;
    case 'ProductPublished':
      onProduct(decoded(record, 'ProductPublished'), unit);
      break;
    case 'LearnerJoined': {
      const { schoolOin, learner } = decoded(record, 'LearnerJoined');
      unit.cancelTimer(leavingTimer(schoolOin, learner?.learner ?? ''));
      // A forgetting that was undone shows as a learner who is there again.
      gone.remove(unit, schoolOin, learner?.learner ?? '');
      break;
    }
    case 'LearnerLeft':
      onLeft(decoded(record, 'LearnerLeft'), unit);
      break;
    case 'LearnerForgotten':
      onForgotten(decoded(record, 'LearnerForgotten'), unit);
      break;
    case 'LearnerKept':
      onKept(decoded(record, 'LearnerKept'), unit);
      break;
    case 'LearnersMerged':
      same.add(unit, decoded(record, 'LearnersMerged'));
      break;
    case 'LearnersMergeUndone':
      same.remove(unit, decoded(record, 'LearnersMergeUndone'));
      break;
    case 'AccessProvisioned':
    case 'AccessRevoked': {
      const { schoolOin, entitlementId, byOin } =
        record.type === 'AccessProvisioned' ? decoded(record, 'AccessProvisioned') : decoded(record, 'AccessRevoked');
      const existing = unit.get(entitlements, schoolOin, entitlementId);
      tell(unit, existing, decide.provision({ existing, now: unit.now }, byOin, record.type === 'AccessRevoked'));
      break;
    }
    case 'LaunchRedeemed': {
      const { schoolOin, entitlementId, day } = decoded(record, 'LaunchRedeemed');
      // Free material is opened without an entitlement.
      if (!entitlementId) break;
      const existing = unit.get(entitlements, schoolOin, entitlementId);
      tell(unit, existing, decide.useByLaunch({ existing, now: unit.now }, day));
      break;
    }
  }
}

/** What waited, as if it came now: what it lacked then is there, or will not come any more. Without `limits` somebody looked at it. */
function again(record: LogRecord, unit: Unit, waited: number, limits?: Limits): void {
  if (record.type === 'WithdrawSubmitted') onWithdraw(record, unit, { final: true, waited }, limits);
  else onGrant(record, unit, { final: true, waited });
}

/** `final`: see `settle`. `waited`: under so many holds before. */
interface How {
  final: boolean;
  waited: number;
}

function onGrant(record: LogRecord, unit: Unit, { final, waited }: How): void {
  const submitted = decoded(record, 'GrantSubmitted');
  const { schoolOin: school, holder, byOin, activationCode } = submitted;
  const terms = submitted.terms!;
  const group = holder?.group ?? '';
  const existing = unit.get(entitlements, school, terms.entitlementId);
  if (existing?.granter === byOin && isHeld(unit, existing)) {
    put(record, unit, existing, { by: byOin, why: 'behind', takes: false, waited });
    return;
  }
  const learner = heldAs(unit, existing, school, holder?.learner ?? '');
  const isForgotten = learner !== '' && gone.has(unit, school, learner);
  const events = decide.grant(
    {
      now: unit.now,
      existing,
      product: unit.get(products, terms.productId),
      pool: terms.fromEntitlementId ? unit.get(entitlements, school, terms.fromEntitlementId) : undefined,
      forgotten: isForgotten,
    },
    {
      terms,
      school,
      learner,
      group,
      granter: byOin,
      ownProducts: submitted.ownProducts,
      sealed: activationCode.length > 0 ? Buffer.from(activationCode).toString('base64') : '',
      flow: record.flowId,
    },
  );
  const first = events[0]!;
  const need = first.type === 'Needs' ? first.need : undefined;
  if (need === 'product' && !final) unit.wait(productWanted(terms.productId), deadline(record, unit, PRODUCT_WAIT_MS));
  if (need && !final)
    unit.wait(entitlementWanted(school, terms.fromEntitlementId), deadline(record, unit, ENTITLEMENT_WAIT_MS));
  const refusal = need ? decide.lacking[need] : first.type === 'GrantRefused' ? first : undefined;
  if (!refusal) {
    tell(unit, existing, events, record.flowId);
    return;
  }

  const { code, told } = refusal;
  // A refusal is kept where nothing stands, so that asking for the id has an answer.
  if (!existing || existing.state === decide.REFUSED) {
    const refused: Entitlement = {
      school,
      id: terms.entitlementId,
      holder: isForgotten ? decide.FORGOTTEN_HOLDER : decide.holderOf(learner, group),
      product: terms.productId,
      state: decide.REFUSED,
      starts: terms.startsOn,
      // Kept as long as what is granted today.
      ends: decide.endOfSchoolYear(decide.today(unit.now)),
      granter: byOin,
      publisher: '',
      platform: '',
      flow: record.flowId,
      changed: unit.now,
      more: { ...(terms.orderId && { order: terms.orderId }), ...(terms.lineId && { line: terms.lineId }), code, told },
    };
    noteSchool(refused, unit);
    unit.put(entitlements, refused);
    watchLastDay(refused, unit);
  }
  if (terms.orderId && !existing) unit.put(fulfilments, { order_id: terms.orderId, school, id: terms.entitlementId });
  emit(
    unit,
    'GrantRefused',
    { entitlementId: terms.entitlementId, productId: terms.productId, schoolOin: school, holder, byOin, code, told },
    learner || school,
    { flowId: record.flowId, school },
  );
}

/** Whose it is may stand under another token of the same learner; a repeat of the grant is about that one. */
function heldAs(unit: Unit, existing: Readonly<Entitlement> | undefined, school: string, learner: string): string {
  const before = holderMessage(existing?.holder ?? '')?.learner ?? '';
  if (learner === '' || before === '' || before === learner) return learner;
  return same.winnerOf(unit, school, before) === same.winnerOf(unit, school, learner) ? before : learner;
}

/** A freeze stops a swap too: who has the one title loses it for another. */
const TAKEN: ReadonlySet<string> = new Set(['withdrawn', 'swapped', 'blocked']);
const isTaken = (event: decide.EntitlementEvent): boolean => event.type === 'Changed' && TAKEN.has(event.cause);

/** Without `limits` it was looked at before. */
function onWithdraw(record: LogRecord, unit: Unit, { final, waited }: How, limits?: Limits): void {
  const {
    schoolOin: school,
    entitlementId: id,
    mode,
    byOin: by,
    swapToProductId,
    swapToEntitlementId,
    ownProducts,
    ofMessage,
  } = decoded(record, 'WithdrawSubmitted');
  const existing = unit.get(entitlements, school, id);
  const isOf = existing?.granter === by || existing?.publisher === by;
  if (isOf && isHeld(unit, existing)) {
    put(record, unit, existing, { by, why: 'behind', takes: mode !== 'unblock', waited });
    return;
  }
  const events = decide.change(
    {
      now: unit.now,
      existing,
      pool: poolOf(unit, existing),
      product: swapToProductId ? unit.get(products, swapToProductId) : undefined,
      target: swapToEntitlementId ? unit.get(entitlements, school, swapToEntitlementId) : undefined,
    },
    { mode, by, ownProducts, swapToProduct: swapToProductId, swapTo: swapToEntitlementId, flow: record.flowId },
  );
  if (existing && events.some(isTaken)) {
    const parties = [by, existing.publisher, existing.platform];
    const untilMs = frozenUntil(unit, school, parties, frozenKind(mode));
    if (untilMs !== undefined) {
      putFrozen(record, unit, existing, { by, untilMs, waited });
      return;
    }
  }
  if (limits && existing && decide.takesAway(events, existing, unit.now)) {
    const why = mustWait(record, unit, { school, by, ofMessage, existing }, limits);
    if (why !== undefined) {
      put(record, unit, existing, { by, why, takes: true, waited });
      return;
    }
  }
  answerChange(record, unit, final, events, { existing, school, id, by, product: swapToProductId });
}

function onUsage(record: LogRecord, unit: Unit, final: boolean): void {
  const { schoolOin: school, entitlementId: id, day, times, byOin: by } = decoded(record, 'UsageSubmitted');
  const existing = unit.get(entitlements, school, id);
  answerChange(record, unit, final, decide.use({ existing, now: unit.now }, { day, times, by }), {
    existing,
    school,
    id,
    by,
    product: '',
  });
}

function answerChange(
  record: LogRecord,
  unit: Unit,
  final: boolean,
  events: decide.EntitlementEvent[],
  about: { existing: Readonly<Entitlement> | undefined; school: string; id: string; by: string; product: string },
): void {
  const first = events[0]!;
  const need = first.type === 'Needs' ? first.need : undefined;
  if (need === 'product' && !final) unit.wait(productWanted(about.product), deadline(record, unit, PRODUCT_WAIT_MS));
  if (need && !final) unit.wait(entitlementWanted(about.school, about.id), deadline(record, unit, ENTITLEMENT_WAIT_MS));
  const refusal = need ? decide.lacking[need] : first.type === 'ChangeRefused' ? first : undefined;
  if (!refusal) {
    tell(unit, about.existing, events, record.flowId);
    return;
  }
  emit(
    unit,
    'EntitlementChangeRefused',
    { entitlementId: about.id, schoolOin: about.school, byOin: about.by, code: refusal.code, told: refusal.told },
    about.school,
    { flowId: record.flowId, school: about.school },
  );
}

function onProduct({ product, unchanged }: EventOf<'ProductPublished'>, unit: Unit): void {
  if (!product) return;
  const { productId, publisherOin, platformOin } = product;
  if (!unchanged || !unit.get(products, productId))
    unit.put(products, { product: productId, publisher: publisherOin, platform: platformOin || publisherOin });
  unit.wake(productWanted(productId));
}

function onLeft(
  { schoolOin: school, learner, schoolYear, leftOn, mergedInto, movedToSchoolOin }: EventOf<'LearnerLeft'>,
  unit: Unit,
): void {
  if (mergedInto !== '') return;
  if (leftOn > decide.today(unit.now)) {
    unit.setTimer({
      id: leavingTimer(school, learner),
      atMs: startOfDutchDay(leftOn),
      key: learner,
      payload: ['left', school, learner, schoolYear, leftOn].join('|'),
    });
    return;
  }
  takeAllBack(school, learner, schoolYear, leftOn, unit, movedToSchoolOin);
}

const leavingTimer = (school: string, learner: string): string => `left:${school}:${learner}`;

function takeAllBack(
  school: string,
  learner: string,
  schoolYear: string,
  leftOn: string,
  unit: Unit,
  movedTo = '',
): void {
  const tokens = same.tokensOf(unit, school, learner);
  // Who it is has not left, or says so by itself.
  if (tokens[0] !== learner) return;
  for (const existing of tokens.flatMap((token) => [...heldBy(unit, school, token)])) {
    tell(unit, existing, decide.leave({ existing, pool: poolOf(unit, existing), now: unit.now }, schoolYear, leftOn));
    if (movedTo !== '') tell(unit, existing, decide.goOn({ existing, now: unit.now }, movedTo));
  }
}

function onForgotten({ schoolOin: school, learner, destroyAtMs }: EventOf<'LearnerForgotten'>, unit: Unit): void {
  unit.cancelTimer(leavingTimer(school, learner));
  gone.add(unit, school, learner);
  kept.open(unit, school, learner, Number(destroyAtMs));
  // Rows no longer name the learner, but the event must: those who were told of the entitlement know it by the token.
  for (const existing of heldBy(unit, school, learner)) {
    // What waits about it is decided now, and waits no more when the learner is kept.
    const { held: _, ...more } = existing.more;
    kept.put(unit, school, learner, existing.id, { ...existing, more });
    tell(unit, existing, decide.forget({ existing, pool: poolOf(unit, existing), now: unit.now }), undefined, learner);
  }
}

function onKept({ schoolOin: school, learner }: EventOf<'LearnerKept'>, unit: Unit): void {
  gone.remove(unit, school, learner);
  for (const { held } of kept.take<Entitlement>(unit, school, learner)) {
    const existing = unit.get(entitlements, school, held.id);
    tell(unit, existing, decide.keep({ existing, pool: poolOf(unit, held), now: unit.now }, held));
  }
}

function onTimer(timer: TimerRow, unit: Unit, limits: Limits): void {
  if (gone.onTimer(timer, unit) || kept.onTimer(timer, unit) || same.onTimer(timer, unit)) return;
  const [what, school = '', ...rest] = timer.payload.split('|');
  if (what === 'left') {
    const [learner = '', schoolYear = '', leftOn = ''] = rest;
    takeAllBack(school, learner, schoolYear, leftOn, unit);
    return;
  }
  if (what === 'thaw') {
    // As if it came now: it may wait for approval after all.
    thaw(unit, school, rest[0] ?? '', (record, of, waited) => again(record, of, waited, limits));
    return;
  }
  if (what === 'rule') {
    lookByRule(unit, school, rest[0] ?? '', rest[1] ?? '', again);
    return;
  }
  if (what === 'hold') {
    dropHold(unit, school, rest[0] ?? '');
    return;
  }
  const [day = '', after] = rest;
  onDayEnded(what as Pass, school, day, after, unit);
}

/** What happens to the entitlements of a school that end on one day, one pass after the other. */
type Pass = 'expire' | 'anonymise' | 'remove';

function onDayEnded(pass: Pass, school: string, day: string, after: string | undefined, unit: Unit): void {
  if (after === undefined && pass === 'expire') {
    // From here on a grant that ends on this day, or ended before, needs a new timer.
    unit.remove(lastDays, school, day);
    setPass('anonymise', school, day, startOfDutchDay(decide.anonymousFrom(day)), unit);
    setPass('remove', school, day, startOfDutchDay(decide.goneFrom(day)), unit);
  }
  const page = unit.list(entitlements, {
    equals: [school],
    ...(after === undefined ? {} : { after: [after] }),
    limit: EXPIRY_PAGE,
  });
  for (const row of page) if (row.ends === day) passOver(pass, row, unit);
  const next = page.at(-1)?.id;
  if (next !== undefined && page.length === EXPIRY_PAGE)
    unit.setTimer({
      id: `${pass}:${school}:${day}:${next}`,
      atMs: unit.now,
      key: school,
      payload: [pass, school, day, next].join('|'),
    });
}

function passOver(pass: Pass, row: Readonly<Entitlement>, unit: Unit): void {
  if (pass === 'expire') {
    // Each is told in the flow of its own grant, not of the one that happened to set the timer.
    tell(unit, row, decide.expire({ existing: row, now: unit.now }), row.flow);
  } else if (pass === 'anonymise') {
    const nobodys = decide.anonymise(row, decide.today(unit.now));
    if (nobodys) unit.put(entitlements, nobodys);
    // Results that stay readable longer need to know whose they are.
    else if (row.holder.startsWith('l:'))
      setPass('anonymise', row.school, row.ends, endOfDutchDay(row.more.readable!), unit);
  } else {
    unit.remove(entitlements, row.school, row.id);
    unit.remove(productSchools, row.product, row.school, row.ends);
    if (row.more.order) unit.remove(fulfilments, row.more.order, row.school, row.id);
  }
}

function setPass(pass: Pass, school: string, day: string, atMs: number, unit: Unit): void {
  unit.setTimer({ id: `${pass}:${school}:${day}`, atMs, key: school, payload: [pass, school, day].join('|') });
}

/** One look for most grants: a school's entitlements end on few days. */
function watchLastDay({ school, ends: day }: Entitlement, unit: Unit): void {
  if (unit.get(lastDays, school, day)) return;
  unit.put(lastDays, { school, day });
  setPass('expire', school, day, endOfDutchDay(day), unit);
}

/** Before the row is written; with each message about it, so that those of before there was such a table come in by their next. */
function noteSchool({ product, school, ends }: Entitlement, unit: Unit): void {
  if (unit.get(productSchools, product, school, ends)) return;
  if (!unit.get(productSchools, '', '', '')) {
    const isFirst = unit.list(entitlements, { equals: [], limit: 1 }).length === 0;
    unit.put(productSchools, { product: '', school: '', ends: '', sinceMs: isFirst ? 0 : unit.now });
  }
  unit.put(productSchools, { product, school, ends, sinceMs: 0 });
}

function poolOf(unit: Unit, row: Readonly<Entitlement> | undefined): Readonly<Entitlement> | undefined {
  return row?.more.from ? unit.get(entitlements, row.school, row.more.from) : undefined;
}

function* heldBy(unit: Unit, school: string, learner: string): Generator<Readonly<Entitlement>> {
  const holder = decide.learnerHolder(learner);
  for (let after: string | undefined; ; ) {
    const page = unit.list(entitlements, {
      index: 'holder',
      equals: [school, holder],
      ...(after === undefined ? {} : { after: [after] }),
      limit: PAGE,
    });
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)!.id;
  }
}

/** Writes what was decided. `formerLearner` stands in where the row no longer names its holder. */
function tell(
  unit: Unit,
  before: Readonly<Entitlement> | undefined,
  events: readonly decide.EntitlementEvent[],
  flowId?: string,
  formerLearner?: string,
): void {
  for (const event of events) {
    if (!('entitlement' in event)) throw new Error(`${event.type} is answered by its caller`);
    const { entitlement: row } = event;
    noteSchool(row, unit);
    if (event.type !== 'GrantRepeated' && row !== before) unit.put(entitlements, row);
    if (event.type === 'Noted') continue;
    const holder = formerLearner ? { learner: formerLearner, group: '' } : holderMessage(row.holder);
    const key = holder?.learner || row.school;
    const options = flowId === undefined ? undefined : { flowId, school: row.school };
    if (event.type === 'Granted' || event.type === 'GrantRepeated') {
      const repeated = event.type === 'GrantRepeated';
      emit(
        unit,
        'EntitlementGranted',
        {
          terms: termsMessage(row),
          schoolOin: row.school,
          holder,
          byOin: row.granter,
          activationCode: Buffer.from(row.more.sealed ?? '', 'base64'),
          publisherOin: row.publisher,
          platformOin: row.platform,
          unchanged: repeated,
        },
        key,
        options,
      );
      if (!repeated) stand(unit, row);
    } else
      emit(
        unit,
        'EntitlementChanged',
        {
          entitlementId: row.id,
          productId: row.product,
          schoolOin: row.school,
          holder,
          state: row.state,
          cause: event.cause,
          day: event.type === 'Changed' ? (event.day ?? '') : '',
          publisherOin: row.publisher,
          platformOin: row.platform,
          grantedByOin: row.granter,
          unchanged: event.type === 'ChangeRepeated',
          toSchoolOin: event.cause === 'school_changed' ? (row.more.movedTo ?? '') : '',
        },
        key,
        options,
      );
    if (row.more.held !== undefined && !decide.isLive(row.state)) releaseEnded(unit, row, again);
  }
}

/** What else a new entitlement brings: its order, its end, and those who waited for it. */
function stand(unit: Unit, row: Entitlement): void {
  if (row.more.order) unit.put(fulfilments, { order_id: row.more.order, school: row.school, id: row.id });
  watchLastDay(row, unit);
  unit.wake(entitlementWanted(row.school, row.id));
}

/** Absent where the learner is forgotten: an empty one would say the whole school. */
export function holderMessage(holder: string): { learner: string; group: string } | undefined {
  if (holder === decide.FORGOTTEN_HOLDER) return undefined;
  return {
    learner: holder.startsWith('l:') ? holder.slice(2) : '',
    group: holder.startsWith('g:') ? holder.slice(2) : '',
  };
}

/** Terms as they stand, with the dates that were filled in. */
export function termsMessage({ id, product, starts, ends, more }: Readonly<Entitlement>) {
  return {
    entitlementId: id,
    productId: product,
    orderId: more.order ?? '',
    lineId: more.line ?? '',
    startsOn: starts,
    endsOn: ends,
    resultsReadableUntil: more.readable ?? ends,
    count: more.count ?? 0,
    fromEntitlementId: more.from ?? '',
  };
}
