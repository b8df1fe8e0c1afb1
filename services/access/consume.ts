/** Records in, rows and events out: keeps the copies, asks `access.ts`, writes what it says. */
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
import { dutchDay, endOfDutchDay, startOfDutchDay } from '#kernel';
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import type { EventOf } from '#proto/events';
import * as decide from './access.ts';
import {
  aside,
  endings,
  forgotten,
  type Launch,
  type Learner,
  launchDays,
  launches,
  learners,
  merged,
  products,
  type Right,
  rights,
  turns,
} from './tables.ts';
import { count, forget, type Parties } from './tally.ts';

const gone = new ForgottenLearners(forgotten);
const kept = new SetAside(aside);
export const same = new MergedLearners(merged);
const ENTITLEMENT_WAIT_MS = 60_000;
const LAUNCH_WAIT_MS = 5_000;
/** A launch that names an entitlement nobody has told of yet: its grant may be decided in this moment. A pupil is waiting. */
const RIGHT_WAIT_MS = 2_000;
/** What is read late still gets this long: what it lacks may be as late. */
const GRACE_MS = 5_000;
const deadline = (record: LogRecord, unit: Unit, waitMs: number): number =>
  Math.max(record.timeMs + waitMs, unit.now + GRACE_MS);
/** Times of launches are exact for this long. */
const EXACT_MS = 30 * 86_400_000;
const PAGE = 200;

const entitlementWanted = (school: string, id: string): string => `entitlement:${school}/${id}`;
const launchWanted = (launch: string): string => `launch:${launch}`;

export const consumer: Consumer = {
  name: 'access',
  streams: ['access', 'entitlements', 'rosters', 'catalogue'],
  types: [
    'ProvisionSubmitted',
    'LaunchSubmitted',
    'RedeemSubmitted',
    'EntitlementGranted',
    'EntitlementChanged',
    'LearnerJoined',
    'LearnerMoved',
    'LearnerLeft',
    'LearnerForgotten',
    'LearnerKept',
    'SchoolYearTurned',
    'SchoolYearTurnPlanned',
    'LearnersMerged',
    'LearnersMergeUndone',
    'ProductPublished',
  ],
  handle: (record, unit) => settle(record, unit, false),
  onDeadline: (record, _what, unit) => settle(record, unit, true),
  onTimer,
  /** What waits for an entitlement or a launch must not hold up the event that brings it. */
  scope(record) {
    if (record.type === 'ProvisionSubmitted') {
      const { schoolOin, entitlementId } = decoded(record, 'ProvisionSubmitted');
      return `provision:${schoolOin}/${entitlementId}`;
    }
    if (record.type === 'LaunchSubmitted') return `launch:${decoded(record, 'LaunchSubmitted').launchId}`;
    if (record.type === 'RedeemSubmitted') return `redeem:${decoded(record, 'RedeemSubmitted').launchId}`;
    return record.key;
  },
};

/** `final`: what it lacks did not come, so that it must be decided as it is. */
function settle(record: LogRecord, unit: Unit, final: boolean): void {
  switch (record.type) {
    case 'ProvisionSubmitted':
      onProvision(record, decoded(record, 'ProvisionSubmitted'), unit, final);
      break;
    case 'LaunchSubmitted':
      onLaunch(decoded(record, 'LaunchSubmitted'), unit, final);
      break;
    case 'RedeemSubmitted':
      onRedeem(record, decoded(record, 'RedeemSubmitted'), unit, final);
      break;
    case 'EntitlementGranted':
      onGranted(decoded(record, 'EntitlementGranted'), unit);
      break;
    case 'EntitlementChanged':
      onChanged(decoded(record, 'EntitlementChanged'), unit);
      break;
    case 'LearnerJoined':
      onEnrolled(decoded(record, 'LearnerJoined'), unit);
      break;
    case 'LearnerMoved':
      onEnrolled(decoded(record, 'LearnerMoved'), unit);
      break;
    case 'LearnerLeft':
      onLeft(decoded(record, 'LearnerLeft'), unit);
      break;
    case 'LearnerForgotten':
      onForgotten(decoded(record, 'LearnerForgotten'), unit);
      break;
    case 'LearnerKept':
      onKept(decoded(record, 'LearnerKept'), unit);
      break;
    case 'SchoolYearTurned': {
      const { schoolOin, schoolYear } = decoded(record, 'SchoolYearTurned');
      unit.put(turns, { school: schoolOin, running: schoolYear });
      break;
    }
    case 'SchoolYearTurnPlanned': {
      // The calendar would turn it before the day that the school chose.
      const { schoolOin, yearBefore } = decoded(record, 'SchoolYearTurnPlanned');
      unit.put(turns, { school: schoolOin, running: yearBefore });
      break;
    }
    case 'LearnersMerged':
      same.add(unit, decoded(record, 'LearnersMerged'));
      break;
    case 'LearnersMergeUndone':
      same.remove(unit, decoded(record, 'LearnersMergeUndone'));
      break;
    case 'ProductPublished': {
      const { product, unchanged } = decoded(record, 'ProductPublished');
      if (!product || (unchanged && unit.get(products, product.productId))) break;
      const { productId, publisherOin, platformOin, licence } = product;
      // Where the publisher says nothing of licences, one is needed.
      unit.put(products, {
        product: productId,
        publisher: publisherOin,
        platform: platformOin || publisherOin,
        licensed: (licence?.licensed ?? true) ? 1 : 0,
      });
      break;
    }
  }
}

function onProvision(
  record: LogRecord,
  { schoolOin, entitlementId, revoke, byOin }: EventOf<'ProvisionSubmitted'>,
  unit: Unit,
  final: boolean,
): void {
  const right = unit.get(rights, schoolOin, entitlementId);
  const decision = decide.provision(right, dutchDay(unit.now), { by: byOin, revoke });
  if (decision.type === 'Needs' && !final)
    unit.wait(entitlementWanted(schoolOin, entitlementId), deadline(record, unit, ENTITLEMENT_WAIT_MS));
  if (decision.type === 'Needs' || decision.type === 'Refused') {
    refuse(
      unit,
      decision.type === 'Needs' ? decide.missing.entitlement : decision,
      entitlementId,
      schoolOin,
      byOin,
      schoolOin,
    );
    return;
  }
  emit(
    unit,
    decision.type === 'Revoked' ? 'AccessRevoked' : 'AccessProvisioned',
    { schoolOin, entitlementId, byOin },
    keyOf(right!),
  );
}

function onLaunch(submitted: EventOf<'LaunchSubmitted'>, unit: Unit, final: boolean): void {
  const { launchId, schoolOin, entitlementId, productId, ticketDigest, byOin } = submitted;
  const tokens = same.tokensOf(unit, schoolOin, submitted.learner);
  // Who was merged while it was under way is let in as who it is.
  const learner = tokens[0]!;
  const known = unit.get(learners, schoolOin, learner);
  const today = dutchDay(unit.now);
  const turned = unit.get(turns, schoolOin)?.running;
  const groups = decide.groupsToday(known, unit.now, today, turned) ?? [];
  const named = entitlementId ? unit.get(rights, schoolOin, entitlementId) : undefined;
  if (entitlementId && !named && !final && !unit.get(launches, launchId))
    unit.wait(entitlementWanted(schoolOin, entitlementId), unit.now + RIGHT_WAIT_MS);
  const decision = decide.launch(
    {
      now: unit.now,
      today,
      existing: unit.get(launches, launchId),
      learner: known,
      turned,
      rights: (entitlementId
        ? named
          ? [named]
          : []
        : heldFor(
            unit,
            schoolOin,
            [...tokens.map(decide.learnerHolder), ...groups.map(decide.groupHolder), ''],
            productId,
          )
      ).map((right) =>
        tokens.includes(decide.learnerOf(right)) ? { ...right, holder: decide.learnerHolder(learner) } : right,
      ),
      product: productId ? unit.get(products, productId) : undefined,
    },
    {
      launch: launchId,
      school: schoolOin,
      learner,
      entitlement: entitlementId,
      product: productId,
      digest: Buffer.from(ticketDigest).toString('hex'),
    },
  );
  if (decision.type === 'Refused') {
    const wanted = named ?? (productId ? unit.get(products, productId) : undefined);
    // What was decided before under this id stays what it is.
    if (decision.code !== 'state.conflict') {
      count(unit, unit.now, wanted ?? nowhere, `refused ${decision.code}`);
      unit.put(launches, {
        launch: launchId,
        school: schoolOin,
        // Who was turned away is the flow's to know; here it would only have to be forgotten.
        learner: '',
        entitlement: entitlementId,
        product: productId,
        publisher: '',
        platform: '',
        digest: '',
        day: today,
        created: unit.now,
        expires: 0,
        redeemed: 0,
        redeemer: '',
        state: 'refused',
        code: decision.code,
      });
    }
    refuse(unit, decision, launchId, schoolOin, byOin, learner || schoolOin, wanted);
  } else {
    const { launch } = decision;
    unit.put(launches, launch);
    count(unit, launch.created, launch, 'created');
    emit(
      unit,
      'LaunchCreated',
      {
        launchId,
        schoolOin,
        learner,
        entitlementId: launch.entitlement,
        productId: launch.product,
        expiresMs: BigInt(launch.expires),
      },
      learner || schoolOin,
    );
  }
  if (!unit.get(launchDays, today)) {
    unit.put(launchDays, { day: today });
    unit.setTimer({
      id: `coarse:${today}`,
      atMs: endOfDutchDay(today) + EXACT_MS,
      key: 'launches',
      payload: `coarse|${today}`,
    });
    unit.setTimer({
      id: `gone:${today}`,
      atMs: startOfDutchDay(decide.goneFrom(today)),
      key: 'launches',
      payload: `gone|${today}`,
    });
  }
  unit.wake(launchWanted(launchId));
}

function heldFor(unit: Unit, school: string, holders: readonly string[], product: string): Readonly<Right>[] {
  return holders.flatMap((holder) =>
    unit.list(rights, { index: 'holder', equals: [school, holder, product], limit: PAGE }),
  );
}

function onRedeem(
  record: LogRecord,
  { launchId, ticketDigest, byOin }: EventOf<'RedeemSubmitted'>,
  unit: Unit,
  final: boolean,
): void {
  const launch = unit.get(launches, launchId);
  const right = launch?.entitlement ? unit.get(rights, launch.school, launch.entitlement) : undefined;
  // The moment that counts is when the ticket was shown, not when we came to it.
  const decision = decide.redeem(
    { shownMs: record.timeMs, today: dutchDay(record.timeMs), launch, right },
    { by: byOin, digest: Buffer.from(ticketDigest).toString('hex') },
  );
  if (decision.type === 'Needs' && !final) unit.wait(launchWanted(launchId), deadline(record, unit, LAUNCH_WAIT_MS));
  if (decision.type === 'Needs' || decision.type === 'Refused') {
    const refusal = decision.type === 'Needs' ? decide.missing.launch : decision;
    // Whose school it is, is only told to those who may redeem.
    const isTheirs = refusal !== decide.missing.launch;
    if (isTheirs) count(unit, launch!.created, launch!, `shown ${refusal.code}`);
    refuse(unit, refusal, launchId, isTheirs ? launch!.school : '', byOin, record.key, isTheirs ? launch : undefined);
    return;
  }
  const { school, learner, entitlement, product } = decision.launch;
  unit.put(launches, decision.launch);
  count(unit, decision.launch.created, decision.launch, 'redeemed');
  emit(
    unit,
    'LaunchRedeemed',
    {
      launchId,
      schoolOin: school,
      learner,
      entitlementId: entitlement,
      productId: product,
      day: dutchDay(record.timeMs),
      byOin,
    },
    learner || school,
    { school },
  );
}

function refuse(
  unit: Unit,
  { code, told }: decide.Refusal,
  subject: string,
  schoolOin: string,
  byOin: string,
  key: string,
  wanted: Wanted = nowhere,
): void {
  const { product: productId, platform: platformOin, publisher: publisherOin } = wanted;
  emit(unit, 'AccessRefused', { subject, schoolOin, byOin, code, told, productId, platformOin, publisherOin }, key);
}

/** What somebody wanted to open: of the right, the launch or the catalogue. */
type Wanted = Readonly<Parties & { product: string }>;
const nowhere: Wanted = { product: '', platform: '', publisher: '' };

const keyOf = (right: Right): string => decide.learnerOf(right) || right.school;

function onGranted(
  { terms, schoolOin, holder, publisherOin, platformOin, unchanged }: EventOf<'EntitlementGranted'>,
  unit: Unit,
): void {
  if (!terms || unchanged) return;
  // Granted before, and told after it: what ended before the forgetting is not told as forgotten.
  const isGone = holder?.learner !== undefined && holder.learner !== '' && gone.has(unit, schoolOin, holder.learner);
  const right: Right = {
    school: schoolOin,
    id: terms.entitlementId,
    holder: holder?.learner
      ? decide.learnerHolder(holder.learner)
      : holder?.group
        ? decide.groupHolder(holder.group)
        : '',
    product: terms.productId,
    state: EntitlementState.ENTITLEMENT_STATE_GRANTED,
    starts: terms.startsOn,
    ends: terms.endsOn,
    publisher: publisherOin,
    platform: platformOin,
    counted: terms.count > 0 ? 1 : 0,
  };
  // The two streams are in no order with each other: it may be told before it is told that the learner is kept.
  if (isGone) kept.put(unit, schoolOin, holder!.learner, `right ${right.id}`, right);
  else unit.put(rights, right);
  unit.wake(entitlementWanted(schoolOin, terms.entitlementId));
}

function onChanged(
  { schoolOin, entitlementId, holder, state, cause, unchanged }: EventOf<'EntitlementChanged'>,
  unit: Unit,
): void {
  if (unchanged) return;
  const right = unit.get(rights, schoolOin, entitlementId);
  if (!right) {
    const learner = holder?.learner ?? '';
    const held =
      learner && cause !== 'forgotten' && kept.get<Right>(unit, schoolOin, learner, `right ${entitlementId}`);
    if (held) kept.put(unit, schoolOin, learner, `right ${entitlementId}`, { ...held, state });
    return;
  }
  if (cause === 'forgotten') unit.remove(rights, schoolOin, entitlementId);
  else if (right.state !== state) unit.put(rights, { ...right, state });
  if (!decide.hasEnded({ state }) || unit.get(endings, schoolOin, right.ends)) return;
  unit.put(endings, { school: schoolOin, day: right.ends });
  unit.setTimer({
    id: `rights:${schoolOin}:${right.ends}`,
    atMs: startOfDutchDay(decide.goneFrom(right.ends)),
    key: schoolOin,
    payload: ['rights', right.ends, schoolOin].join('|'),
  });
}

function onEnrolled({ schoolOin, schoolYear, learner }: EventOf<'LearnerJoined' | 'LearnerMoved'>, unit: Unit): void {
  if (!learner) return;
  // A forgetting that was undone shows as a learner who is there again.
  gone.remove(unit, schoolOin, learner.learner);
  const years = { ...unit.get(learners, schoolOin, learner.learner)?.years };
  // Two years stand side by side at most; what is older has no say.
  for (const year of Object.keys(years))
    if (Number(year.slice(0, 4)) < Number(schoolYear.slice(0, 4)) - 1) delete years[year];
  years[schoolYear] = { groups: [...(learner.group ? [learner.group] : []), ...learner.compositeGroups] };
  unit.put(learners, { school: schoolOin, learner: learner.learner, years });
}

function onLeft({ schoolOin, schoolYear, learner, leftOn }: EventOf<'LearnerLeft'>, unit: Unit): void {
  const row = unit.get(learners, schoolOin, learner);
  const enrolment = row?.years[schoolYear];
  if (!row || !enrolment) return;
  const { [schoolYear]: _left, ...years } = row.years;
  if (leftOn > dutchDay(unit.now)) years[schoolYear] = { ...enrolment, until: leftOn };
  if (Object.keys(years).length > 0) unit.put(learners, { ...row, years });
  else unit.remove(learners, schoolOin, learner);
}

function onForgotten({ schoolOin, learner, destroyAtMs }: EventOf<'LearnerForgotten'>, unit: Unit): void {
  gone.add(unit, schoolOin, learner);
  kept.open(unit, schoolOin, learner, Number(destroyAtMs));
  const known = unit.get(learners, schoolOin, learner);
  if (known) kept.put(unit, schoolOin, learner, 'groups', known);
  unit.remove(learners, schoolOin, learner);
  const holder = decide.learnerHolder(learner);
  for (const right of allOf(
    (after) => unit.list(rights, { index: 'holder', equals: [schoolOin, holder], after, limit: PAGE }),
    ({ product, id }) => [product, id],
  )) {
    kept.put(unit, schoolOin, learner, `right ${right.id}`, right);
    unit.remove(rights, schoolOin, right.id);
  }
  for (const launch of allOf(
    (after) => unit.list(launches, { index: 'learner', equals: [schoolOin, learner], after, limit: PAGE }),
    ({ launch }) => [launch],
  )) {
    const { digest, entitlement } = launch;
    kept.put(unit, schoolOin, learner, `launch ${launch.launch}`, { digest, entitlement });
    unit.put(launches, decide.nobodys(launch));
  }
}

/** Rows are as they were; what came of the rights meanwhile is told by `entitlements`. */
function onKept({ schoolOin: school, learner }: EventOf<'LearnerKept'>, unit: Unit): void {
  gone.remove(unit, school, learner);
  for (const { part, held } of kept.take<Learner | Right | Pick<Launch, 'digest' | 'entitlement'>>(
    unit,
    school,
    learner,
  )) {
    const [what, id = ''] = part.split(' ');
    if (what === 'groups') {
      const joined = unit.get(learners, school, learner);
      unit.put(learners, { ...(held as Learner), years: { ...(held as Learner).years, ...joined?.years } });
    } else if (what === 'right') {
      if (!unit.get(rights, school, id)) unit.put(rights, held as Right);
    } else {
      const launch = unit.get(launches, id);
      if (launch?.learner === '') unit.put(launches, { ...launch, ...(held as Launch), learner });
    }
  }
}

function* allOf<Row>(
  list: (after: string[] | undefined) => readonly Row[],
  placeOf: (row: Row) => string[],
): Generator<Row> {
  for (let after: string[] | undefined; ; ) {
    const page = list(after);
    yield* page;
    if (page.length < PAGE) return;
    after = placeOf(page.at(-1)!);
  }
}

/** Retention, a page a firing: launches of a day become coarse and then go; ended rights go. */
function onTimer(timer: TimerRow, unit: Unit): void {
  if (gone.onTimer(timer, unit) || kept.onTimer(timer, unit) || same.onTimer(timer, unit) || forget(timer, unit))
    return;
  const [what, day = '', school = '', from] = timer.payload.split('|');
  const after = from === undefined ? {} : { after: [from] };
  let next: string | undefined;
  if (what === 'rights') {
    if (from === undefined) unit.remove(endings, school, day);
    const page = unit.list(rights, { equals: [school], ...after, limit: PAGE });
    for (const right of page) if (right.ends === day && decide.hasEnded(right)) unit.remove(rights, school, right.id);
    next = page.length === PAGE ? page.at(-1)!.id : undefined;
  } else {
    const page = unit.list(launches, { index: 'day', equals: [day], ...after, limit: PAGE });
    const start = startOfDutchDay(day);
    for (const launch of page)
      if (what === 'coarse') unit.put(launches, decide.coarse(launch, start));
      else unit.remove(launches, launch.launch);
    next = page.length === PAGE ? page.at(-1)!.launch : undefined;
    if (what === 'gone' && next === undefined) unit.remove(launchDays, day);
  }
  if (next !== undefined)
    unit.setTimer({
      id: `${what}:${school}:${day}:${next}`,
      atMs: unit.now,
      key: timer.key,
      payload: [what, day, school, next].join('|'),
    });
}
