/**
 * How it goes with a party: what it sent and what of that was refused, how its endpoints took what was sent to them, and what of it
 * ends soon. Counts of two services, put together; nothing about anybody is in them.
 */
import { dutchDay, GatewayError, isDay, mergedSpread, quantileOf, type Spread } from '#kernel';
import { MandateState } from '#proto/eduk/core/v1/party';
import type { EndpointScoreRow, TimeClass } from '#proto/eduk/delivery/v1/delivery';
import type { CodeCount, SenderScoreRow } from '#proto/eduk/flows/v1/flows';
import type { Ending, Score, ScoreCount, Scorecard } from '#proto/eduk/gateway/v1/party';
import { keysIn } from '../assertions.ts';
import type { Gate } from '../gate.ts';

const DAY_MS = 86_400_000;
const USUAL_DAYS = 30;
const MOST_DAYS = 400;
/** What ends is told so long before, and so long after. */
const BEFORE_DAYS = 90;
const AFTER_DAYS = 30;
const MOST_ENDINGS = 200;
const MOST_SCHOOLS = 10;
/** Codes of one kind that one score names. */
const MOST_CODES = 50;

/** `oin`: of a party that is known. Faults: wire.invalid. */
export async function scorecard(
  { fromDay, untilDay }: { fromDay: string; untilDay: string },
  oin: string,
  gate: Gate,
): Promise<Scorecard> {
  const { clock, asked: of } = gate.door;
  const until = untilDay || dutchDay(clock.now());
  if (!isDay(until)) throw new GatewayError('wire.invalid', 'A day is YYYY-MM-DD.', { where: 'until_day' });
  const from = fromDay || dayAfter(until, 1 - USUAL_DAYS);
  if (!isDay(from)) throw new GatewayError('wire.invalid', 'A day is YYYY-MM-DD.', { where: 'from_day' });
  if (from > until) throw new GatewayError('wire.invalid', 'The first day is after the last.', { where: 'from_day' });
  if (from <= dayAfter(until, -MOST_DAYS))
    throw new GatewayError('wire.invalid', 'A scorecard is of 400 days at most.', { where: 'from_day' });
  const asked = { partyOin: oin, fromDay: from, untilDay: until };
  const [{ rows: sent }, { rows: taken }] = await Promise.all([
    of.flows.listScores(asked),
    of.delivery.listScores(asked),
  ]);
  const days = [...new Set([...sent, ...taken].map(({ day }) => day))].sort();
  const standards = [...new Set(taken.map(({ standard }) => standard))].sort();
  return {
    partyOin: oin,
    fromDay: from,
    untilDay: until,
    total: scoreOf(sent, taken),
    days: days.map((day) => ({
      day,
      score: scoreOf(
        sent.filter((row) => row.day === day),
        taken.filter((row) => row.day === day),
      ),
    })),
    endpoints: standards.map((standard) => ({
      standard,
      score: scoreOf(
        [],
        taken.filter((row) => row.standard === standard),
      ),
    })),
    endings: endingsOf(gate, oin),
    lastAcceptedMs: newest(sent),
    lastDeliveredMs: newest(taken),
  };
}

const dayAfter = (day: string, days: number): string =>
  new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);

const newest = (rows: readonly { lastMs: bigint }[]): bigint =>
  rows.reduce((last, { lastMs }) => (lastMs > last ? lastMs : last), 0n);

function scoreOf(sent: readonly SenderScoreRow[], taken: readonly EndpointScoreRow[]): Score {
  const refused = sent.flatMap((row) => row.refused);
  const atDoor = sent.flatMap((row) => row.refusedAtDoor);
  const answers = mergedSpread(...taken.map((row) => spreadOf(row.answers)));
  const ages = mergedSpread(...taken.map((row) => spreadOf(row.ages)));
  return {
    accepted: added(sent.map((row) => row.accepted)),
    refused: timesOf(refused),
    refusedAtDoor: timesOf(atDoor),
    schemaViolations: timesOf([...refused, ...atDoor].filter(({ code }) => code.startsWith('wire.'))),
    refusals: counted([...refused, ...atDoor]),
    requests: added(taken.map((row) => row.requests)),
    again: added(taken.map((row) => row.again)),
    failed: added(taken.map((row) => row.failed)),
    failures: counted(taken.flatMap((row) => row.failures.map(({ cause, times }) => ({ code: cause, times })))),
    delivered: added(taken.map((row) => row.delivered)),
    answerP50Ms: within(answers, 0.5),
    answerP99Ms: within(answers, 0.99),
    deliveryP50Ms: within(ages, 0.5),
    deliveryP99Ms: within(ages, 0.99),
  };
}

const added = (all: readonly bigint[]): bigint => all.reduce((sum, one) => sum + one, 0n);
const timesOf = (counts: readonly CodeCount[]): bigint => added(counts.map(({ times }) => times));

const spreadOf = (classes: readonly TimeClass[]): Spread =>
  Object.fromEntries(classes.map((one) => [one.class, Number(one.times)]));

function within(spread: Spread, q: number): bigint | undefined {
  const ms = quantileOf(spread, q);
  return ms === undefined ? undefined : BigInt(ms);
}

/** The same code once, most first. */
function counted(counts: readonly CodeCount[]): ScoreCount[] {
  const sums = new Map<string, bigint>();
  for (const { code, times } of counts) sums.set(code, (sums.get(code) ?? 0n) + times);
  return [...sums]
    .filter(([, times]) => times > 0n)
    .map(([code, times]) => ({ code, times }))
    .sort((a, b) => (a.times === b.times ? (a.code < b.code ? -1 : 1) : a.times > b.times ? -1 : 1))
    .slice(0, MOST_CODES);
}

/** What of a party ends within 90 days, or ended less than 30 days ago, by day; mandates of one agreement together. */
function endingsOf(gate: Gate, oin: string): Ending[] {
  const { chain, clock } = gate.door;
  const today = dutchDay(clock.now());
  const [first, last] = [dayAfter(today, -AFTER_DAYS), dayAfter(today, BEFORE_DAYS)];
  const found = new Map<string, Ending>();
  const add = (what: string, subject: string, day: string, school = ''): void => {
    if (day === '' || day < first || day > last) return;
    const name = `${what}|${day}|${subject}`;
    const ending = found.get(name) ?? { what, subject, day, count: 0, schoolOins: [] };
    ending.count += 1;
    if (school !== '' && ending.schoolOins.length < MOST_SCHOOLS) ending.schoolOins.push(school);
    found.set(name, ending);
  };
  const certificate = gate.certificates?.seen().get(oin);
  if (certificate !== undefined) add('certificate', '', dutchDay(certificate));
  const proofs = chain.credentials(oin);
  if (proofs && proofs.clientSecretBefore.length > 0) add('secret', '', dutchDay(Number(proofs.beforeUntilMs)));
  for (const { kid, untilMs } of proofs ? keysIn(proofs.jwks) : [])
    if (untilMs > 0n) add('key', kid, dutchDay(Number(untilMs)));
  for (const { standard } of chain.party(oin)?.endpoints ?? [])
    add('version', standard, gate.versionEnds?.get(standard) ?? '');
  for (const mandate of chain.mandates()) {
    if (mandate.partyOin !== oin) continue;
    const { state, agreement, agreementVersion, schoolOin } = mandate;
    const subject = [agreement, agreementVersion].filter(Boolean).join(' ');
    if (state === MandateState.MANDATE_STATE_ENDED) continue;
    if (mandate.runOffUntil !== '') add('run_off', subject, mandate.runOffUntil, schoolOin);
    else add('mandate', subject, mandate.validUntil, schoolOin);
  }
  return [...found.values()]
    .sort((a, b) => (a.day === b.day ? (a.what < b.what ? -1 : 1) : a.day < b.day ? -1 : 1))
    .slice(0, MOST_ENDINGS);
}
