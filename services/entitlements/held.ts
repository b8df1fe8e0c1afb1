/** Changes that wait for approval, as rows: put aside in the order in which they came, and decided again in that order. */
import { createHash } from 'node:crypto';
import { decoded, emit, Freezes, HoldRules, type LogRecord, type Unit } from '#bus';
import { changeHoldId, dutchMinute, FIRST_OF_TWO, isSeconded, type RuleAsk, uuidText } from '#kernel';
import type { HoldRule } from '#proto/eduk/core/v1/party';
import type { FreezeChanged, HoldRuleChanged } from '#proto/eduk/events/v1/parties';
import { isLive } from './entitlement.ts';
import { type HoldReason, judge, type Limits, nothingTaken } from './hold.ts';
import {
  type Entitlement,
  entitlements,
  freezes,
  type HeldRow,
  type HoldRow,
  held,
  holdRules,
  holds,
  ruleSpent,
  taken,
} from './tables.ts';

/** Messages under one hold: a decision about it is one transaction. More begin another one. */
export const MOST_HELD = 5_000;
/** Rows looked at to count what stands at a school; a school with more counts as one with so many. */
const COUNTED = 20_000;
const PAGE = 500;
/** A hold that was decided is shown so long. */
const SHOWN_MS = 30 * 86_400_000;

/** Decides a message that waited, as if it came now. `waited`: under so many holds. */
export type Decide = (record: LogRecord, unit: Unit, waited: number) => void;

/** Why a change that would take something away must wait; counts it where it need not. */
export function mustWait(
  record: LogRecord,
  unit: Unit,
  {
    school,
    by,
    ofMessage,
    existing,
    frozen,
  }: { school: string; by: string; ofMessage: number; existing: Entitlement; frozen?: boolean },
  limits: Limits,
): HoldReason | undefined {
  const row = unit.get(taken, school, by);
  const { reason, window } = judge(
    row ?? nothingTaken,
    {
      now: record.timeMs,
      flow: record.flowId,
      ofMessage,
      spared: existing.more.spared === 1,
      standing: () => standingOf(unit, school, by),
      frozen,
    },
    limits,
  );
  unit.put(taken, { school, by, ...window });
  return reason === 'withdraws_many' &&
    isReleased(record, unit, { existing, by, ofMessage, standing: window.standing! })
    ? undefined
    : reason;
}

/** What one party gave at a school, or published there, that still stands. */
function standingOf(unit: Unit, school: string, by: string): number {
  let [count, looked] = [0, 0];
  for (let after: string | undefined; looked < COUNTED; ) {
    const page = unit.list(entitlements, {
      equals: [school],
      ...(after === undefined ? {} : { after: [after] }),
      limit: PAGE,
    });
    count += page.filter((row) => isLive(row.state) && (row.granter === by || row.publisher === by)).length;
    looked += page.length;
    if (page.length < PAGE) break;
    after = page.at(-1)!.id;
  }
  return count;
}

/** Whether a message about it waits. */
export const isHeld = (unit: Unit, row: Readonly<Entitlement> | undefined): row is Readonly<Entitlement> =>
  row?.more.held !== undefined && unit.get(holds, row.school, row.more.held)?.state === 'waiting';

/**
 * A hold is known by its first message, and by how often that waits: a message that waits again begins another hold, and what was decided
 * about the one before stays with that. The log taken once more gives the same ids.
 */
const holdIdOf = ({ id }: LogRecord, waited: number): string =>
  changeHoldId(waited === 0 ? uuidText(id) : `${uuidText(id)}-${waited + 1}`);

/**
 * Puts a message under a hold; what comes later about the same entitlement goes behind it. `why` of what does: `behind`. `waited`: under so
 * many holds before.
 */
export function put(
  record: LogRecord,
  unit: Unit,
  existing: Readonly<Entitlement>,
  { by, why, takes, waited }: { by: string; why: HoldReason | 'behind'; takes: boolean; waited: number },
): void {
  const { school, id: entitlement, product, holder } = existing;
  const before = why === 'behind' ? unit.get(holds, school, existing.more.held!)! : waitingOf(unit, school, by, why);
  const hold: HoldRow = before ?? {
    school,
    holdId: holdIdOf(record, waited),
    by,
    reason: why,
    state: 'waiting',
    sinceMs: unit.now,
    flow: record.flowId,
    lastNth: 0,
    products: [],
    part: 0,
    standing: why === 'withdraws_many' ? unit.get(taken, school, by)?.standing : undefined,
  };
  if (!before) begin(unit, hold);
  const { holdId } = hold;
  const nth = hold.lastNth + 1;
  const item: HeldRow = {
    school,
    holdId,
    nth,
    entitlement,
    product,
    takes: takes ? 1 : 0,
    ofLearner: holder.startsWith('l:') ? 1 : 0,
    type: record.type,
    record: Buffer.from(record.id).toString('hex'),
    flow: record.flowId,
    timeMs: record.timeMs,
    body: record.data,
    waited,
  };
  unit.put(held, item);
  // Who approved it as the first of two did not see what takes more away.
  const approval = takes ? undefined : hold.approval;
  unit.put(holds, { ...hold, lastNth: nth, products: counted(hold.products, item, 1), approval });
  if (existing.more.held !== holdId) unit.put(entitlements, { ...existing, more: { ...existing.more, held: holdId } });
  const value = { entitlementId: entitlement, productId: product, schoolOin: school, byOin: by, holdId, reason: why };
  const key = holder.startsWith('l:') ? holder.slice(2) : school;
  emit(unit, 'EntitlementChangeHeld', value, key, { flowId: record.flowId, school });
}

/** Holds that one unit of work began, which a list does not show yet: what a freeze lets go is many messages in one. */
const begun = new WeakMap<Unit, Map<string, string>>();
const BEGUN_AT_MOST = 1_000;

const begin = (unit: Unit, { school, by, reason, holdId }: HoldRow): void => {
  const known = begun.get(unit) ?? new Map<string, string>();
  if (known.size >= BEGUN_AT_MOST) known.clear();
  begun.set(unit, known.set(`${school} ${by} ${reason}`, holdId));
};

const waitingOf = (unit: Unit, school: string, by: string, reason: string): Readonly<HoldRow> | undefined => {
  const own = begun.get(unit)?.get(`${school} ${by} ${reason}`);
  const row = own === undefined ? undefined : unit.get(holds, school, own);
  return row && takesMore(row, reason) ? row : listedOf(unit, school, by, reason);
};

const listedOf = (unit: Unit, school: string, by: string, reason: string): Readonly<HoldRow> | undefined =>
  unit
    .list(holds, { index: 'waiting', equals: ['waiting', school, by, reason] })
    .map(({ holdId }) => unit.get(holds, school, holdId)!)
    .find((row) => takesMore(row, reason));

const takesMore = (row: Readonly<HoldRow>, reason: string): boolean =>
  row.state === 'waiting' && row.reason === reason && row.lastNth < MOST_HELD;

function counted(
  products: HoldRow['products'],
  { product, takes, ofLearner }: Pick<HeldRow, 'product' | 'takes' | 'ofLearner'>,
  by: 1 | -1,
): HoldRow['products'] {
  const of = products.find((one) => one.product === product) ?? { product, entitlements: 0, learners: 0, messages: 0 };
  const next = {
    product,
    entitlements: of.entitlements + by * takes,
    learners: of.learners + by * takes * ofLearner,
    messages: of.messages + by,
  };
  const others = products.filter((one) => one !== of);
  return next.messages === 0 ? others : [...others, next].sort((a, b) => (a.product < b.product ? -1 : 1));
}

type Decision = ReturnType<typeof decoded<'EntitlementHoldDecisionSubmitted'>>;

/**
 * What a decision is about. Classes are known to rosters only: the door says which messages were theirs when it was decided, and what
 * came since is not among them. All that waits about one entitlement goes together, so that nothing overtakes.
 */
function meantBy({ productIds, messages }: Decision, all: readonly Readonly<HeldRow>[]): readonly Readonly<HeldRow>[] {
  if (productIds.length === 0 && messages.length === 0) return all;
  const [ofProducts, ofGroups] = [new Set(productIds), new Set(messages)];
  const isNamed = ({ product, nth }: Readonly<HeldRow>): boolean =>
    (ofProducts.size === 0 || ofProducts.has(product)) && (ofGroups.size === 0 || ofGroups.has(nth));
  const named = new Set(all.filter(isNamed).map(({ entitlement }) => entitlement));
  return all.filter(({ entitlement }) => named.has(entitlement));
}

/** Two persons approve the same part, in whatever order they name it; of classes only where the same would be lost. */
function partWord({ productIds, groups }: Decision, meant: readonly Readonly<HeldRow>[]): string {
  const of = [...productIds].sort().join(' ');
  if (groups.length === 0) return of;
  const lost = meant.flatMap(({ takes, nth }) => (takes === 1 ? [nth] : []));
  return [of, [...groups].sort().join(' '), createHash('sha256').update(lost.join(' ')).digest('hex')].join('|');
}

/** Someone looked at a hold, or at some products or classes of it. */
export function decideHold(record: LogRecord, unit: Unit, byTwo: boolean, decide: Decide): void {
  const decision = decoded(record, 'EntitlementHoldDecisionSubmitted');
  const { schoolOin: school, holdId, approve, byPerson, confirmed } = decision;
  const hold = unit.get(holds, school, holdId);
  const all = hold ? unit.list(held, { equals: [school, holdId] }) : [];
  const meant = meantBy(decision, all);
  const frozen = approve ? Math.max(...endsOf(unit, meant).map((untilMs) => untilMs ?? 0), 0) : 0;
  const refusal = !hold
    ? { code: 'state.missing', told: 'Nothing is held under this id.' }
    : hold.state !== 'waiting'
      ? { code: 'state.conflict', told: 'This was decided before.' }
      : frozen > 0
        ? {
            code: 'freeze.holds',
            told: `A freeze holds until ${dutchMinute(frozen)}: approve it after that, or end the freeze first.`,
          }
        : { code: 'state.missing', told: 'Nothing of what was named waits under this hold.' };
  if (hold?.state !== 'waiting' || frozen > 0 || meant.length === 0) {
    emit(unit, 'EntitlementHoldRefused', { holdId, schoolOin: school, ...refusal }, school);
    return;
  }
  const approval = { byPerson, part: partWord(decision, meant) };
  if (approve && byTwo && !isSeconded(hold.approval, { ...approval, confirmed })) {
    if (hold.approval?.part !== approval.part) unit.put(holds, { ...hold, approval });
    emit(
      unit,
      'EntitlementHoldRefused',
      { holdId, schoolOin: school, code: 'hold.pending', told: FIRST_OF_TWO },
      school,
    );
    return;
  }
  const waiting = all.length - meant.length;
  const left = meant.reduce((products, item) => counted(products, item, -1), hold.products);
  const state = waiting > 0 ? 'waiting' : approve ? 'approved' : 'rejected';
  const part = Math.max(hold.part, decision.groups.length > 0 ? 2 : 1);
  const rest = { products: waiting > 0 ? left : hold.products, part: waiting > 0 ? part : hold.part };
  unit.put(holds, { ...hold, state, ...rest, approval: undefined });
  if (waiting === 0) watch(unit, school, holdId);
  emit(
    unit,
    'EntitlementHoldDecided',
    { holdId, schoolOin: school, approved: approve, items: meant.length, waiting },
    school,
  );
  for (const item of meant) release(unit, item, approve ? 'approved' : 'rejected', decide);
}

/** What made some holds of a school wait is over: all under them is decided as if it came now, each hold in its order. */
export function releaseWhere(
  unit: Unit,
  school: string,
  isOver: (hold: Readonly<HoldRow>) => boolean,
  decide: Decide,
): void {
  const waiting = unit.list(holds, { index: 'waiting', equals: ['waiting', school] });
  for (const hold of [...waiting].filter(isOver).sort((a, b) => a.sinceMs - b.sinceMs)) {
    unit.put(holds, { ...hold, state: 'ended' });
    watch(unit, school, hold.holdId);
    for (const item of unit.list(held, { equals: [school, hold.holdId] })) release(unit, item, 'over', decide);
  }
}

/** What waits about an entitlement that ended meanwhile is decided: nothing that it asks can happen any more. */
export function releaseEnded(unit: Unit, { school, id }: Readonly<Entitlement>, decide: Decide): void {
  const items = unit.list(held, { index: 'of', equals: [school, id] });
  for (const item of items) {
    const hold = unit.get(holds, school, item.holdId);
    if (hold?.state !== 'waiting') continue;
    const products = counted(hold.products, item, -1);
    const isOver = products.length === 0;
    unit.put(holds, { ...hold, products, ...(isOver ? { state: 'ended' } : {}) });
    if (isOver) watch(unit, school, hold.holdId);
  }
  for (const item of items) release(unit, item, 'over', decide);
}

function release(unit: Unit, item: Readonly<HeldRow>, why: 'approved' | 'rejected' | 'over', decide: Decide): void {
  const { school, holdId, nth, entitlement, flow: flowId } = item;
  if (!unit.get(held, school, holdId, nth)) return;
  unit.remove(held, school, holdId, nth);
  const row = unit.get(entitlements, school, entitlement);
  if (row?.more.held === holdId) {
    const { held: _, spared, ...rest } = row.more;
    const isSpared = why === 'rejected' || (why === 'over' && spared === 1);
    unit.put(entitlements, { ...row, more: isSpared ? { ...rest, spared: 1 } : rest });
  }
  const record = recordOf(item);
  if (why !== 'rejected' || item.takes === 0) {
    decide(record, unit, (item.waited ?? 0) + 1);
    return;
  }
  const { byOin } = decoded(record, 'WithdrawSubmitted');
  const told = 'It waited for approval and was rejected.';
  emit(
    unit,
    'EntitlementChangeRefused',
    { entitlementId: entitlement, schoolOin: school, byOin, code: 'hold.pending', told },
    school,
    { flowId, school },
  );
}

/** The record that was put aside. Its place on the log is passed. */
const recordOf = ({ school, type, record, flow, timeMs, body }: Readonly<HeldRow>): LogRecord => ({
  stream: 'entitlements',
  partition: 0,
  number: 0,
  id: Buffer.from(record, 'hex'),
  key: school,
  type,
  flowId: flow,
  school,
  traceparent: '',
  timeMs,
  data: body,
});

const watch = (unit: Unit, school: string, holdId: string): void =>
  unit.setTimer({
    id: `hold:${school}:${holdId}`,
    atMs: unit.now + SHOWN_MS,
    key: school,
    payload: ['hold', school, holdId].join('|'),
  });

/** A hold that was decided has been shown long enough. One that waits ends by no age, whoever asks. */
export function dropHold(unit: Unit, school: string, holdId: string): void {
  if (unit.get(holds, school, holdId)?.state !== 'waiting') unit.remove(holds, school, holdId);
}

// ---- rules

export const rulesKnown = new HoldRules(holdRules, ruleSpent);
/** The word of timers that look at what waited before a rule stood. */
const RULE = 'rule';

/** What a rule is asked about a hold; undefined in rows of before there were rules. */
export function asksOf({ reason, products, standing, ofMessage }: Readonly<HoldRow>): RuleAsk[] | undefined {
  if (reason !== 'withdraws_many') return [{ kind: reason, of: '', count: 0, base: 0, yearGroups: [] }];
  if (standing === undefined) return undefined;
  const count = ofMessage ?? products.reduce((sum, { entitlements: some }) => sum + some, 0);
  return [{ kind: 'withdrawals', of: 'entitlements', count, base: standing, yearGroups: [] }];
}

/** What a rule let go of one message is a hold that was never waiting: known by its flow, and shown as long. */
const releasedId = (flowId: string): string => changeHoldId(`${flowId}-rule`);

/** Whether a rule lets a change go that would wait. It is asked once a message, for all that the message names. */
function isReleased(
  record: LogRecord,
  unit: Unit,
  {
    existing: { school, product, holder },
    by,
    ofMessage,
    standing,
  }: { existing: Entitlement; by: string; ofMessage: number; standing: number },
): boolean {
  const holdId = releasedId(record.flowId);
  const item = { product, takes: 1, ofLearner: holder.startsWith('l:') ? 1 : 0 };
  const before = unit.get(holds, school, holdId);
  if (before?.by === by && before.lastNth < (before.ofMessage ?? 0)) {
    unit.put(holds, { ...before, lastNth: before.lastNth + 1, products: counted(before.products, item, 1) });
    return true;
  }
  // A message that was let go whole names no more than it said.
  if (before) return false;
  const hold: HoldRow = {
    ...{ school, holdId, by, reason: 'withdraws_many', state: 'approved', sinceMs: unit.now, flow: record.flowId },
    ...{ lastNth: 1, products: counted([], item, 1), part: 0, standing, ofMessage: Math.max(1, ofMessage) },
  };
  const asks = asksOf(hold)!;
  const rule = rulesKnown.release(unit, { school, asks, atMs: record.timeMs });
  if (!rule) return false;
  unit.put(holds, { ...hold, ruled: { ruleId: rule.ruleId } });
  watch(unit, school, holdId);
  tellReleased(unit, hold, { rule, asks, waited: false });
  return true;
}

function tellReleased(
  unit: Unit,
  { school, holdId, by, flow }: Readonly<HoldRow>,
  of: { rule: HoldRule; asks: RuleAsk[]; waited: boolean },
): void {
  const asks = of.asks.map((ask) => ({ ...ask, yearGroups: [...ask.yearGroups] }));
  emit(unit, 'EntitlementsReleased', { holdId, schoolOin: school, byOin: by, ...of, asks }, school, {
    flowId: flow,
    school,
  });
}

/** A rule as it stands now. What waits is looked at where whoever set it said so, each in the lane of its school. */
export function onRule(changed: HoldRuleChanged, unit: Unit): void {
  rulesKnown.take(unit, changed);
  const { rule, change, unchanged } = changed;
  if (!rule?.waiting || unchanged || (change !== 'set' && change !== 'approved')) return;
  const equals = rule.schoolOin === '' ? ['waiting'] : ['waiting', rule.schoolOin];
  const atMs = Math.max(unit.now, Number(rule.fromMs));
  for (const { school, holdId } of unit.list(holds, { index: 'waiting', equals }))
    unit.setTimer({
      id: `${RULE}:${school}:${holdId}:${rule.ruleId}`,
      atMs,
      key: school,
      payload: [RULE, school, holdId, rule.ruleId].join('|'),
    });
}

/** A hold that waits is decided whole where this rule lets it go, as if somebody had approved it. Where a freeze holds it waits on. */
export function lookByRule(unit: Unit, school: string, holdId: string, ruleId: string, decide: Decide): void {
  const hold = unit.get(holds, school, holdId);
  if (hold?.state !== 'waiting' || hold.part > 0) return;
  const asks = asksOf(hold);
  const all = unit.list(held, { equals: [school, holdId] });
  if (!asks || all.length === 0 || endsOf(unit, all).some((untilMs) => untilMs !== undefined)) return;
  const rule = rulesKnown.release(unit, { school, asks, atMs: unit.now }, ruleId);
  if (!rule) return;
  unit.put(holds, { ...hold, state: 'approved', approval: undefined, ruled: { ruleId: rule.ruleId } });
  watch(unit, school, holdId);
  tellReleased(unit, hold, { rule, asks, waited: true });
  for (const item of all) release(unit, item, 'approved', decide);
}

// ---- freezes

/** Why a change is held that a freeze keeps waiting. */
const FREEZE = 'freeze';
/** The word of its timers. */
const THAW = 'thaw';
const freezesKnown = new Freezes(freezes);

/** When no freeze holds any more what one of these would do at a school; undefined = none does now. */
export const frozenUntil = (
  unit: Unit,
  school: string,
  parties: readonly string[],
  kind: 'withdraw' | 'deactivate',
): number | undefined => freezesKnown.of(unit, { kind, schools: [school], parties, atMs: unit.now })?.untilMs;

/** When no freeze holds any more what each of these would take away, of all whom a change asks about; undefined = none does now. */
function endsOf(unit: Unit, items: readonly Readonly<HeldRow>[]): (number | undefined)[] {
  const known = new Map<string, number | undefined>();
  return items
    .filter(({ takes }) => takes === 1)
    .map((item) => {
      const { school, entitlement } = item;
      const { byOin, mode } = decoded(recordOf(item), 'WithdrawSubmitted');
      const row = unit.get(entitlements, school, entitlement);
      const parties = [byOin, row?.publisher ?? '', row?.platform ?? ''];
      const kind = frozenKind(mode);
      const key = [kind, ...parties].join(' ');
      if (!known.has(key)) known.set(key, frozenUntil(unit, school, parties, kind));
      return known.get(key);
    });
}

/** What a freeze is asked of a change. */
export const frozenKind = (mode: string): 'withdraw' | 'deactivate' => (mode === 'block' ? 'deactivate' : 'withdraw');

/** What waits for a freeze goes on by itself: its hold is looked at when a freeze of any of it ends. */
export function putFrozen(
  record: LogRecord,
  unit: Unit,
  existing: Readonly<Entitlement>,
  { by, untilMs, waited }: { by: string; untilMs: number; waited: number },
): void {
  const { school, id } = existing;
  put(record, unit, existing, { by, why: FREEZE, takes: true, waited });
  awaitThaw(unit, school, unit.get(entitlements, school, id)!.more.held!, untilMs);
}

/** One for each moment: what of a hold waits for the one freeze does not wait for another. */
const awaitThaw = (unit: Unit, school: string, holdId: string, atMs: number): void =>
  unit.setTimer({
    id: `${THAW}:${school}:${holdId}:${atMs}`,
    atMs,
    key: school,
    payload: [THAW, school, holdId].join('|'),
  });

/** What waits for a freeze that was ended early is looked at now, each in the lane of its school. */
export function onFreeze(changed: FreezeChanged, unit: Unit): void {
  freezesKnown.take(unit, changed);
  if (changed.change !== 'ended' || changed.unchanged) return;
  for (const { school, holdId, reason } of unit.list(holds, { index: 'waiting', equals: ['waiting'] }))
    if (reason === FREEZE) awaitThaw(unit, school, holdId, unit.now);
}

/**
 * A freeze has ended: what waited for it is decided as if it came now, in its order. What another one still guards waits on: under the same
 * hold where that is all of it, else under one of its own.
 */
export function thaw(unit: Unit, school: string, holdId: string, decide: Decide): void {
  const hold = unit.get(holds, school, holdId);
  if (hold?.state !== 'waiting' || hold.reason !== FREEZE) return;
  const ends = endsOf(unit, unit.list(held, { equals: [school, holdId] }));
  const still = ends.filter((untilMs) => untilMs !== undefined);
  if (still.length > 0 && still.length === ends.length) {
    awaitThaw(unit, school, holdId, Math.min(...still));
    return;
  }
  releaseWhere(unit, school, (one) => one.holdId === holdId, decide);
}
