/** Record → decision → rows and events. */
import { type Consumer, decoded, emit, type LogRecord, type TimerRow, terms, type Unit } from '#bus';
import { freezeEnd } from '#kernel';
import { Freeze, HoldRule, Mandate, MandateReview, MandateState, Role } from '#proto/eduk/core/v1/party';
import {
  type FreezeSubmitted,
  type HoldRuleSubmitted,
  MandateChangeSubmitted,
  type MandateReviewSubmitted,
  type MandateSubmitted,
  type PartyStandingSubmitted,
  type PartySubmitted,
} from '#proto/eduk/events/v1/parties';
import { PartyRow } from '#proto/eduk/parties/v1/parties';
import { decideForgetting, decideHour, isOfForgetting } from './forgetting.ts';
import { decideFreeze, factOf } from './freeze.ts';
import { decideHoldRule, endOfRule } from './hold-rule.ts';
import {
  decideEnd,
  decideMandate,
  decideMandateChange,
  endOf,
  evolve,
  keyAfter,
  type MandateWorld,
  noPair,
  type Pair,
} from './mandate.ts';
import { decideParty, type PartyEvent } from './party.ts';
import { closedWith, decideReview, lapseOf, lapses } from './review.ts';
import { decideNames, decideStanding, isOfNames } from './standing.ts';
import {
  freezesTable,
  holdRulesTable,
  mandatesTable,
  pairsTable,
  partiesTable,
  reviewsTable,
  signInTable,
  versionTable,
} from './tables.ts';

/** Where each credential is looked up. */
const CREDENTIAL_INDEX = { clientId: 'by_client_id', klantcode: 'by_klantcode' } as const;

export const consumer: Consumer = {
  name: 'parties',
  streams: ['parties'],
  types: [
    'PartySubmitted',
    'PartyStandingSubmitted',
    'MandateSubmitted',
    'MandateChangeSubmitted',
    'MandateReviewSubmitted',
    'FreezeSubmitted',
    'HoldRuleSubmitted',
  ],
  handle(record, unit) {
    if (record.type === 'PartySubmitted') onParty(decoded(record, 'PartySubmitted'), record, unit);
    else if (record.type === 'PartyStandingSubmitted')
      onStanding(decoded(record, 'PartyStandingSubmitted'), record, unit);
    else if (record.type === 'MandateReviewSubmitted')
      onReview(decoded(record, 'MandateReviewSubmitted'), record, unit);
    else if (record.type === 'FreezeSubmitted') onFreeze(decoded(record, 'FreezeSubmitted'), record, unit);
    else if (record.type === 'HoldRuleSubmitted') onHoldRule(decoded(record, 'HoldRuleSubmitted'), record, unit);
    else if (record.type === 'MandateSubmitted') onMandate(decoded(record, 'MandateSubmitted'), record, unit);
    else onMandateChange(decoded(record, 'MandateChangeSubmitted'), record, unit);
  },
  onTimer(timer, unit) {
    if (timer.id.startsWith(REVIEW)) return onLapse(timer, unit);
    if (timer.id.startsWith(FORGET)) return onHour(timer, unit);
    if (timer.id.startsWith(FREEZE)) return unit.remove(freezesTable, timer.payload);
    if (timer.id.startsWith(RULE)) return unit.remove(holdRulesTable, timer.payload);
    const row = unit.get(mandatesTable, timer.key, timer.payload);
    if (!row) return;
    const pair = loadPair(unit, row.schoolOin, row.partyOin);
    if (Mandate.decode(row.mandate).state === MandateState.MANDATE_STATE_ENDED) {
      // It has rested long enough; the key goes with the last of its pair.
      unit.remove(mandatesTable, row.schoolOin, row.mandateId);
      unit.remove(reviewsTable, row.schoolOin, row.mandateId);
      if (pair.mandates.length === 1) unit.remove(pairsTable, row.schoolOin, row.partyOin);
    } else conclude(unit, pair, decideEnd(pair, row.mandateId, world(unit)), pair.keyDigest, timer);
  },
};

function onParty(submitted: PartySubmitted, record: LogRecord, unit: Unit): void {
  const oin = submitted.party?.oin ?? '';
  const row = unit.get(partiesTable, oin);
  const before = row ? PartyRow.decode(row.row) : undefined;
  const standing =
    before?.party && before.credentials ? { party: before.party, credentials: before.credentials } : undefined;
  const { event, standing: next } = decideParty(standing, submitted, (credential, value) =>
    credential === 'signIn'
      ? (unit.get(signInTable, value)?.oin ?? oin) !== oin
      : unit
          .list(partiesTable, { index: CREDENTIAL_INDEX[credential], equals: [value], limit: 2 })
          .some((other) => other.oin !== oin),
  );
  if (next) {
    const bytes = PartyRow.encode({ ...next, standing: before?.standing }).finish();
    if (!row || Buffer.compare(row.row, bytes) !== 0) {
      const { clientId, klantcode } = next.credentials;
      unit.put(partiesTable, { oin, clientId, klantcode, version: nextVersion(unit), row: bytes });
      const numbers = new Set(next.credentials.signIn?.numbers);
      for (const number of before?.credentials?.signIn?.numbers ?? [])
        if (!numbers.has(number)) unit.remove(signInTable, number);
      for (const number of numbers) unit.put(signInTable, { number, oin });
    }
  }
  say(unit, event, record.key);
}

function onStanding(submitted: PartyStandingSubmitted, record: LogRecord, unit: Unit): void {
  const row = unit.get(partiesTable, submitted.oin);
  const before = row && PartyRow.decode(row.row);
  if (isOfForgetting(submitted.change)) {
    const times = { askedMs: record.timeMs, nowMs: unit.now };
    concludeForgetting(unit, decideForgetting(before, submitted, times), record.key);
    return;
  }
  if (isOfNames(submitted.change)) {
    const { event, next } = decideNames(before, submitted, unit.now);
    const { oin } = submitted;
    const { clientId = '', klantcode = '' } = row ?? {};
    if (next)
      unit.put(partiesTable, {
        oin,
        clientId,
        klantcode,
        version: nextVersion(unit),
        row: PartyRow.encode(next).finish(),
      });
    say(unit, event, record.key);
    return;
  }
  const { event, next } = decideStanding(before, submitted, unit.now);
  if (row && next) unit.put(partiesTable, { ...row, version: nextVersion(unit), row: PartyRow.encode(next).finish() });
  say(unit, event, record.key);
}

/** Timers of schools that are to be forgotten. */
const FORGET = 'forget:';

function concludeForgetting(unit: Unit, { event, next }: ReturnType<typeof decideForgetting>, key: string): void {
  const { oin = '' } = next?.party ?? {};
  if (next) {
    const row = unit.get(partiesTable, oin) ?? { oin, clientId: '', klantcode: '' };
    unit.put(partiesTable, { ...row, version: nextVersion(unit), row: PartyRow.encode(next).finish() });
    const { state, destroyAtMs = 0n } = next.standing?.forgetting ?? {};
    const timer = `${FORGET}${oin}`;
    if (state === 'waits') unit.setTimer({ id: timer, atMs: Number(destroyAtMs), key: oin, payload: oin });
    else unit.cancelTimer(timer);
  }
  say(unit, event, key);
}

/** The school's hour: what it agreed to ends with it. */
function onHour(timer: TimerRow, unit: Unit): void {
  const oin = timer.payload;
  const row = unit.get(partiesTable, oin);
  const decided = decideHour(row && PartyRow.decode(row.row), unit.now);
  if (!decided) return;
  concludeForgetting(unit, decided, timer.key);
  const parties = new Set(unit.list(mandatesTable, { equals: [oin] }).map(({ partyOin }) => partyOin));
  for (const partyOin of parties) {
    const before = loadPair(unit, oin, partyOin);
    let pair = before;
    const events: PartyEvent[] = [];
    for (const { mandate } of before.mandates) {
      const now = pair.mandates.find((one) => one.mandate.mandateId === mandate.mandateId)!.mandate;
      if (now.state === MandateState.MANDATE_STATE_ENDED) continue;
      const { mandateId } = mandate;
      const asked = MandateChangeSubmitted.fromPartial({ schoolOin: oin, mandateId, change: 'stop', byOin: oin });
      const ends = because('school_forgotten', decideMandateChange(pair, asked, world(unit)));
      pair = ends.reduce(evolve, pair);
      events.push(...ends);
    }
    conclude(unit, before, events, before.keyDigest, timer);
  }
}

/** Timers of freezes that are over for longer than they are kept. */
const FREEZE = 'freeze:';

const freezesIn = (unit: Unit): Freeze[] =>
  unit.list(freezesTable, { equals: [] }).map(({ freeze }) => Freeze.decode(freeze));

function onFreeze(asked: FreezeSubmitted, record: LogRecord, unit: Unit): void {
  const freezeId = asked.freeze?.freezeId ?? '';
  const row = unit.get(freezesTable, freezeId);
  const { event, next } = decideFreeze(row && Freeze.decode(row.freeze), freezesIn(unit), asked, unit.now);
  if (next) {
    unit.put(freezesTable, { freezeId, version: nextVersion(unit), freeze: Freeze.encode(next).finish() });
    const atMs = terms[freezesTable.retention]!.end(freezeEnd(factOf(next)));
    unit.setTimer({ id: `${FREEZE}${freezeId}`, atMs, key: record.key, payload: freezeId });
  }
  say(unit, event, record.key);
}

/** Timers of rules that are over for longer than they are kept. */
const RULE = 'rule:';

const rulesIn = (unit: Unit): HoldRule[] =>
  unit.list(holdRulesTable, { equals: [] }).map(({ rule }) => HoldRule.decode(rule));

function onHoldRule(asked: HoldRuleSubmitted, record: LogRecord, unit: Unit): void {
  const ruleId = asked.rule?.ruleId ?? '';
  const row = unit.get(holdRulesTable, ruleId);
  const { event, next } = decideHoldRule(row && HoldRule.decode(row.rule), rulesIn(unit), asked, unit.now);
  if (next) {
    unit.put(holdRulesTable, { ruleId, version: nextVersion(unit), rule: HoldRule.encode(next).finish() });
    const atMs = terms[holdRulesTable.retention]!.end(endOfRule(next));
    unit.setTimer({ id: `${RULE}${ruleId}`, atMs, key: record.key, payload: ruleId });
  }
  say(unit, event, record.key);
}

/** Timers of questions; those of mandates have another name. */
const REVIEW = 'review:';

const reviewOf = (unit: Unit, school: string, mandateId: string): MandateReview | undefined => {
  const row = unit.get(reviewsTable, school, mandateId);
  return row && MandateReview.decode(row.review);
};

function onReview(submitted: MandateReviewSubmitted, record: LogRecord, unit: Unit): void {
  const { schoolOin, mandateId } = submitted;
  const row = unit.get(mandatesTable, schoolOin, mandateId);
  const event = decideReview(
    reviewOf(unit, schoolOin, mandateId),
    row && Mandate.decode(row.mandate),
    submitted,
    unit.now,
  );
  concludeReview(unit, event, record.key);
}

/** Writes what the event says of a question, and sets the timer of its end. */
function concludeReview(unit: Unit, event: PartyEvent, key: string): void {
  if (event.type === 'MandateReviewed' && !event.value.unchanged) {
    const review = event.value.review!;
    const { schoolOin, mandateId } = review;
    unit.put(reviewsTable, { schoolOin, mandateId, review: MandateReview.encode(review).finish() });
    const timer = `${REVIEW}${schoolOin}/${mandateId}`;
    const atMs = lapseOf(review);
    if (atMs === undefined) unit.cancelTimer(timer);
    else unit.setTimer({ id: timer, atMs, key: schoolOin, payload: mandateId });
  }
  say(unit, event, key);
}

/** Nobody answered, and it was said that the mandate ends then. */
function onLapse(timer: TimerRow, unit: Unit): void {
  const review = reviewOf(unit, timer.key, timer.payload);
  const row = unit.get(mandatesTable, timer.key, timer.payload);
  if (!review || !row || !lapses(review, unit.now)) return;
  const { schoolOin, mandateId, partyOin } = row;
  concludeReview(unit, closedWith(review, unit.now, 'lapsed'), timer.key);
  const pair = loadPair(unit, schoolOin, partyOin);
  // The school was asked and was told what its silence means: it ends as if the school had ended it.
  const asked = MandateChangeSubmitted.fromPartial({ schoolOin, mandateId, change: 'stop', byOin: schoolOin });
  if (Mandate.decode(row.mandate).state === MandateState.MANDATE_STATE_ENDED) return;
  const ends = because('review_unanswered', decideMandateChange(pair, asked, world(unit)));
  conclude(unit, pair, ends, pair.keyDigest, timer);
}

/** What both sides are told besides, where the school itself did not speak. */
const because = (reason: string, events: readonly PartyEvent[]): PartyEvent[] =>
  events.map((event) => (event.type === 'MandateChanged' ? { ...event, value: { ...event.value, reason } } : event));

function onMandate(submitted: MandateSubmitted, record: LogRecord, unit: Unit): void {
  const { schoolOin, partyOin, mandateId } = submitted.mandate ?? Mandate.fromPartial({});
  const pair = loadPair(unit, schoolOin, partyOin);
  const holder = unit.get(mandatesTable, schoolOin, mandateId);
  const idTaken = holder !== undefined && holder.partyOin !== partyOin;
  const events = decideMandate(pair, submitted, idTaken, world(unit));
  conclude(unit, pair, events, keyAfter(pair, submitted.keyDigest, false), record);
}

function onMandateChange(asked: MandateChangeSubmitted, record: LogRecord, unit: Unit): void {
  const row = unit.get(mandatesTable, asked.schoolOin, asked.mandateId);
  const pair = row ? loadPair(unit, row.schoolOin, row.partyOin) : noPair;
  const events = decideMandateChange(pair, asked, world(unit));
  conclude(unit, pair, events, asked.change === 'key' ? keyAfter(pair, asked.keyDigest, true) : pair.keyDigest, record);
}

function world(unit: Unit): MandateWorld {
  const party = (oin: string) => {
    const row = unit.get(partiesTable, oin);
    return row && PartyRow.decode(row.row).party;
  };
  return {
    now: unit.now,
    isBoard: (oin) => party(oin)?.roles.includes(Role.ROLE_BOARD) === true,
    requiresAcceptance: (oin) => party(oin)?.requiresAcceptance === true,
  };
}

function loadPair(unit: Unit, school: string, party: string): Pair {
  return {
    mandates: unit.list(mandatesTable, { index: 'by_pair', equals: [school, party] }).map((row) => ({
      mandate: Mandate.decode(row.mandate),
      byOin: row.byOin,
      given: Mandate.decode(row.given),
    })),
    keyDigest: unit.get(pairsTable, school, party)?.keyDigest ?? noPair.keyDigest,
  };
}

/** Writes what the events changed, sets the timers of ends, and says the events. A refusal leaves no row, and no key. */
function conclude(
  unit: Unit,
  before: Pair,
  events: readonly PartyEvent[],
  keyDigest: Uint8Array,
  cause: Pick<LogRecord | TimerRow, 'key'>,
): void {
  const after = events.reduce(evolve, before);
  /** Questions about mandates that end by these events. */
  const closing: MandateReview[] = [];
  const taken = events.some((event) => event.type === 'MandateChanged');
  const newKey = taken && Buffer.compare(keyDigest, before.keyDigest) !== 0;
  for (const standing of after.mandates) {
    const old = before.mandates.find((m) => m.mandate.mandateId === standing.mandate.mandateId);
    if (old?.mandate === standing.mandate && !newKey) continue;
    const bytes = Mandate.encode(standing.mandate).finish();
    if (old && !newKey && Buffer.compare(Mandate.encode(old.mandate).finish(), bytes) === 0) continue;
    const { schoolOin, mandateId, partyOin } = standing.mandate;
    unit.put(mandatesTable, {
      schoolOin,
      mandateId,
      partyOin,
      byOin: standing.byOin,
      version: nextVersion(unit),
      mandate: bytes,
      given: Mandate.encode(standing.given).finish(),
    });
    if (old?.mandate === standing.mandate) continue; // Only its key is new.
    const timer = `end:${schoolOin}/${mandateId}`;
    const ended = standing.mandate.state === MandateState.MANDATE_STATE_ENDED;
    const review = ended ? reviewOf(unit, schoolOin, mandateId) : undefined;
    if (review?.state === 'open') closing.push(review);
    const atMs = ended ? terms[mandatesTable.retention]!.end(unit.now) : endOf(standing.mandate);
    if (atMs === undefined) unit.cancelTimer(timer);
    else unit.setTimer({ id: timer, atMs, key: schoolOin, payload: mandateId });
  }
  const first = after.mandates[0]?.mandate;
  if (newKey && first) unit.put(pairsTable, { schoolOin: first.schoolOin, partyOin: first.partyOin, keyDigest });
  for (const event of events) say(unit, event, cause.key);
  for (const review of closing) concludeReview(unit, closedWith(review, unit.now, 'closed'), cause.key);
}

function nextVersion(unit: Unit): number {
  const version = (unit.get(versionTable, 'newest')?.version ?? 0) + 1;
  unit.put(versionTable, { id: 'newest', version });
  return version;
}

/** Each answer stands on the lane of its question, so that order holds between them. */
function say(unit: Unit, event: PartyEvent, key: string): void {
  emit<PartyEvent['type']>(unit, event.type, event.value, key);
}
