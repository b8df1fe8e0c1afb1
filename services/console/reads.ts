/**
 * What the pages show, made of the operator's reads. Only what is named here leaves: names of groups are a school's own words and stand on
 * no page. A group stands on the readiness board by the key that its school gave it, as on the command line.
 */
import {
  dutchMoment,
  endOfDutchDay,
  type Fault,
  faults,
  GatewayError,
  isBrin,
  isDay,
  isFault,
  remedies,
  schoolOin,
  startOfDutchDay,
} from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import { type Freeze, type Mandate, MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import type { EndpointStatus } from '#proto/eduk/delivery/v1/delivery';
import type { Blocker as GatewayBlocker, ReadinessCause, ReadinessCount } from '#proto/eduk/gateway/v1/flow';
import type { Score } from '#proto/eduk/gateway/v1/party';
import type {
  FrozenWork,
  ListAlertsResponse,
  ListedReconciliation,
  ListFlowsResponse,
  ListFreezesResponse,
  PartyName,
} from '#proto/eduk/operator/v1/operator';
import type { Ask } from './door.ts';
import { ruleAsked } from './rule.ts';
import { pageOf } from './shared.ts';
import type * as page from './types.ts';

type Query = URLSearchParams;

/** Texts that a colleague's link may hold. */
const LONGEST = 128;

/** One text of a query; no text is empty. Faults: wire.invalid. */
function textIn(query: Query, name: string): string {
  const text = (query.get(name) ?? '').trim();
  if (text.length > LONGEST) throw new GatewayError('wire.invalid', 'This text is too long.', { where: name });
  return text;
}

/** A day of a query as a moment; none = 0. Faults: wire.invalid. */
function momentOfDay(query: Query, name: string, of: (day: string) => number): bigint {
  const day = textIn(query, name);
  if (day !== '' && !isDay(day)) throw new GatewayError('wire.invalid', 'This is no day.', { where: name });
  return BigInt(day === '' ? 0 : of(day));
}

const numberOf = (one: bigint): number => Number(one);

const titles = (code: string): Record<page.Lang, string> => {
  const row = isFault(code) ? faults[code as Fault] : undefined;
  return { nl: row?.nl ?? '', en: row?.en ?? '' };
};

type Names = (oin: string) => page.Named;
const namesIn = (names: readonly PartyName[]): Names => {
  const known = new Map(names.map(({ oin, name }) => [oin, name]));
  return (oin) => ({ oin, name: known.get(oin) ?? '' });
};

const serviceWord = (service: Service): string =>
  (Object.entries(Service).find(([, value]) => value === service)?.[0] ?? '').replace(/^SERVICE_/, '').toLowerCase();

const endpointOf = (one: EndpointStatus): page.Endpoint => ({
  standard: one.standard,
  state: one.state,
  breaker: one.breaker,
  status: one.status,
  cause: one.cause,
  restUntil: numberOf(one.restUntilMs),
  oldest: numberOf(one.oldestMs),
  parkedKeys: one.parkedKeys,
});

/** Where more of an alert is to be seen; of the others the command tells. */
const pagesOf: Readonly<Record<string, string>> = {
  'launches.theirs': '/launches',
  'launches.ours': '/launches',
  'hold.pending': '/holds',
  'rule.ends': '/holds',
  'rule.used': '/holds',
  'endpoint.failing': '/dead',
  'endpoint.parked': '/dead',
  'holdings.differ': '/reconciled',
  'holdings.unanswered': '/reconciled',
  'consumer.parked': '/dead',
};
/** Of one kind that are named. */
const NAMED = 5;

function alertsIn({ alerts, names }: ListAlertsResponse): page.AlertView[] {
  const nameOf = namesIn(names);
  const kinds = Map.groupBy(alerts, ({ alert }) => alert!.code);
  return [...kinds].map(([code, some]) => ({
    code,
    grade: some.some(({ alert }) => alert!.grade === 'page') ? 'page' : 'warn',
    told: { nl: some[0]!.nl, en: some[0]!.en },
    who: some[0]!.who,
    to: pagesOf[code] ?? '',
    see: some[0]!.see,
    of: some.slice(0, NAMED).map(({ alert, openedMs }) => ({
      party: nameOf(alert!.partyOin),
      school: nameOf(alert!.schoolOin),
      subject: alert!.subject,
      count: numberOf(alert!.count),
      since: numberOf(alert!.sinceMs || openedMs),
    })),
    all: some.length,
  }));
}

/** A freeze that begins within so many days is shown. */
const COMING_MS = 7 * 86_400_000;

/** Of whom it is; neither is of all. */
const scopeOf = ({ schoolOin, partyOin }: Pick<Freeze, 'schoolOin' | 'partyOin'>, nameOf: Names) => ({
  ...(schoolOin === '' ? {} : { school: nameOf(schoolOin) }),
  ...(partyOin === '' ? {} : { party: nameOf(partyOin) }),
});

function freezesIn({ freezes, names }: ListFreezesResponse, now: number): page.FreezeLine[] {
  const nameOf = namesIn(names);
  return freezes
    .map(({ freeze, state }) => ({
      id: freeze!.freezeId,
      ...scopeOf(freeze!, nameOf),
      from: numberOf(freeze!.fromMs),
      until: numberOf(freeze!.untilMs),
      reason: freeze!.reason,
      holds: state === 'holds',
    }))
    .filter(({ from }) => from < now + COMING_MS);
}

/** Today, as the first page tells it. */
async function launchesIn(ask: Ask): Promise<page.Overview['launches']> {
  const { launches } = await ask('showLaunches', { asked: { day: '' }, partyOin: '' });
  const rows = launches?.rows ?? [];
  return {
    until: launches?.until ?? '',
    judged: rows.filter(({ state, usualKnown }) => state !== 'few' && usualKnown).length,
    short: rows
      .filter(({ state }) => state === 'low' || state === 'none')
      .slice(0, NAMED)
      .map(({ platformOin, platformName, publisherOin, publisherName, state, percent, whose }) => ({
        platform: { oin: platformOin, name: platformName },
        publisher: { oin: publisherOin, name: publisherName },
        state,
        percent,
        whose,
      })),
  };
}

/** A certificate that ends within so many days is shown. */
const SOON_MS = 45 * 86_400_000;

export async function overview(ask: Ask, _query: Query, now: number): Promise<page.Overview> {
  const [status, seen, parked, alerts, frozen, launched] = await Promise.all([
    ask('status', {}),
    ask('showOverview', {}),
    ask('listParked', {}),
    ask('listAlerts', {}),
    ask('listFreezes', {}),
    // The rest is told also while the service that counts launches is away.
    launchesIn(ask).catch(() => undefined),
  ]);
  const nameOf = namesIn([...seen.names, ...parked.names]);
  const methods = new Map<string, page.Overview['methods'][number]>();
  const method = (name: string) => {
    const known = methods.get(name) ?? { method: name, accepted: 0, refused: 0, last: 0 };
    methods.set(name, known);
    return known;
  };
  const parties = new Map<string, page.PartyHealth>();
  const party = (oin: string): page.PartyHealth => {
    const known = parties.get(oin) ?? { ...nameOf(oin), accepted: 0, last: 0, refused: 0, waiting: 0, endpoints: [] };
    parties.set(oin, known);
    return known;
  };
  for (const one of seen.counts) {
    const last = numberOf(one.lastMs);
    for (const sum of [method(one.method), party(one.partyOin)]) {
      sum.accepted += one.accepted;
      sum.last = Math.max(sum.last, last);
    }
  }
  for (const one of seen.refusals) {
    method(one.method).refused += one.times;
    // What an operator was refused is no party's.
    if (one.partyOin !== '' && one.partyOin !== 'operator') party(one.partyOin).refused += one.times;
  }
  for (const one of parked.rows) party(one.partyOin).waiting += numberOf(one.rows);
  const standards = new Map<string, page.Overview['standards'][number]>();
  for (const one of seen.endpoints) {
    party(one.partyOin).endpoints.push(endpointOf(one));
    const sum = standards.get(one.standard) ?? { standard: one.standard, up: 0, resting: 0, gone: 0, oldest: 0 };
    standards.set(one.standard, sum);
    if (one.state === 'up' || one.state === 'resting' || one.state === 'gone') sum[one.state] += 1;
    const oldest = numberOf(one.oldestMs);
    if (oldest > 0 && (sum.oldest === 0 || oldest < sum.oldest)) sum.oldest = oldest;
  }
  const services = new Map<string, page.Overview['services'][number]>();
  for (const { consumer, unread, oldestUnreadMs, parkedKeys, gap } of status.ages) {
    const sum = services.get(consumer) ?? { name: consumer, unread: 0, oldest: 0, parkedKeys: 0, gap: false };
    services.set(consumer, sum);
    sum.unread += numberOf(unread);
    sum.oldest = Math.max(sum.oldest, numberOf(oldestUnreadMs));
    sum.parkedKeys += parkedKeys;
    sum.gap ||= gap;
  }
  // First who needs somebody, then who does most.
  const ill = ({ endpoints, waiting }: page.PartyHealth): number =>
    (endpoints.some(({ state }) => state !== 'up') ? 2 : 0) + (waiting > 0 ? 1 : 0);
  return {
    at: now,
    alerts: alertsIn(alerts),
    freezes: freezesIn(frozen, now),
    version: status.version,
    devKey: status.devKey,
    events: numberOf(status.events),
    freeDisk: numberOf(status.freeDiskBytes),
    disks: status.disks.map(({ use, sinceMs, atMs, growsBytes, fullMs }) => ({
      place: use!.place,
      used: numberOf(use!.usedBytes),
      since: numberOf(sinceMs),
      at: numberOf(atMs),
      ...(growsBytes === undefined ? {} : { grows: numberOf(growsBytes) }),
      ...(fullMs === undefined ? {} : { full: numberOf(fullMs) }),
    })),
    holds: status.holds,
    ...(launched ? { launches: launched } : {}),
    dead: { keys: parked.keys.length, rows: parked.rows.reduce((sum, { rows }) => sum + numberOf(rows), 0) },
    pulls: status.pulls.length,
    turns: status.turnsTotal,
    minutes: seen.minutes.map(({ minuteMs, accepted }) => ({ at: numberOf(minuteMs), accepted })),
    coveredFrom: numberOf(seen.coveredFromMs),
    methods: [...methods.values()].sort((a, b) => b.accepted - a.accepted || b.refused - a.refused),
    standards: [...standards.values()].sort((a, b) => (a.standard < b.standard ? -1 : 1)),
    parties: [...parties.values()].sort((a, b) => ill(b) - ill(a) || b.accepted - a.accepted),
    services: [...services.values()],
    refusals: seen.refusals.slice(0, 50).map((one) => ({
      party: nameOf(one.partyOin),
      school: nameOf(one.schoolOin),
      method: one.method,
      code: one.code,
      title: titles(one.code),
      times: one.times,
      at: numberOf(one.atMs),
      order: one.orderId,
      product: one.productId,
      entitlement: one.entitlementId,
    })),
    certificates: status.certificates
      .filter(({ notAfterMs }) => numberOf(notAfterMs) < now + SOON_MS)
      .map(({ partyOin, partyName, notAfterMs }) => ({
        party: { oin: partyOin, name: partyName },
        until: numberOf(notAfterMs),
      })),
    bulk: status.bulkReveals.map(({ partyOin, partyName, hourMs, learners }) => ({
      party: { oin: partyOin, name: partyName },
      at: numberOf(hourMs),
      learners: numberOf(learners),
    })),
  };
}

/** BRIN or OIN. */
const schoolIn = (query: Query): string => {
  const text = textIn(query, 'school').toUpperCase();
  return isBrin(text) ? schoolOin(text) : text;
};

export async function flows(ask: Ask, query: Query): Promise<page.FlowList> {
  const asked = {
    text: textIn(query, 'q'),
    partyOin: textIn(query, 'party'),
    schoolOin: schoolIn(query),
    state: textIn(query, 'state'),
    limit: 50,
    ...timesIn((name) => textIn(query, name)),
    after: textIn(query, 'after'),
  };
  return flowsFound(await ask('listFlows', asked), asked.fromMs);
}

/** Messages about one learner, whom no address names: what is asked comes in the body of a request. */
export async function flowsOfLearner(ask: Ask, text: (name: string) => string): Promise<page.FlowList> {
  const of = (name: string): string => text(name).trim();
  const school = of('school').toUpperCase();
  const learner = of('learner');
  if (learner === '') throw new GatewayError('wire.invalid', 'Name the learner.', { where: 'learner' });
  const times = timesIn(of);
  return flowsFound(
    await ask('listFlows', {
      learner: refOf(learner),
      pseudonymOfOin: of('pseudonymOf'),
      schoolOin: isBrin(school) ? schoolOin(school) : school,
      partyOin: of('party'),
      state: of('state'),
      limit: 50,
      ...times,
      after: of('after'),
    }),
    times.fromMs,
  );
}

/** Since and up to when: days, or moments by Dutch clocks, with a space or a T. */
function timesIn(text: (name: string) => string): { fromMs: bigint; beforeMs: bigint } {
  const moment = (name: 'from' | 'until'): bigint => {
    const given = text(name).trim().replace(' ', 'T');
    if (given === '') return 0n;
    const isUntil = name === 'until';
    const ms = isDay(given) ? (isUntil ? endOfDutchDay : startOfDutchDay)(given) : dutchMoment(given, isUntil);
    if (ms === undefined) throw new GatewayError('wire.invalid', 'This is no day and no moment.', { where: name });
    return BigInt(ms);
  };
  return { fromMs: moment('from'), beforeMs: moment('until') };
}

/** An ECK iD is a URI, anything else a key of the administration, or a pseudonym. */
const refOf = (text: string): LearnerRef =>
  /^https?:/i.test(text) ? { eckId: text, lasKey: '' } : { eckId: '', lasKey: text };

function flowsFound(
  { flows, names, coveredFromMs, next, missing, deliveries, gone }: ListFlowsResponse,
  fromMs: bigint,
): page.FlowList {
  const nameOf = namesIn(names);
  return {
    flows: flows.map((one) => ({
      id: one.flowId,
      method: one.method,
      party: nameOf(one.partyOin),
      school: nameOf(one.schoolOin),
      subject: one.subject,
      state: one.state,
      code: one.code,
      at: numberOf(one.acceptedMs),
    })),
    coveredFrom: numberOf(coveredFromMs),
    next,
    isShort: next === '' && coveredFromMs > fromMs,
    missing,
    deliveries: deliveries.map(({ deliveryId, flowId, about, delivery }) => ({
      id: deliveryId,
      flow: flowId,
      to: nameOf(delivery!.partyOin),
      kind: delivery!.type,
      about,
      state: delivery!.state,
      attempts: delivery!.attempts,
      status: delivery!.status,
      at: numberOf(delivery!.atMs),
    })),
    gone,
  };
}

const blockerOf = (one: GatewayBlocker): page.Blocker => ({
  code: one.code,
  lastStep: one.lastStep,
  who: one.who,
  party: { oin: one.partyOin, name: one.partyName },
  title: titles(one.code),
  told: one.told,
  remedy: one.remedy,
  order: one.orderId,
  product: one.productId,
  entitlement: one.entitlementId,
  flow: one.flowId,
  since: numberOf(one.sinceMs),
  learners: one.learners,
});

/** States of a step beyond which a message did not come. */
const STOPS = new Set(['waiting', 'held', 'parked', 'refused']);

export async function flow(ask: Ask, query: Query): Promise<page.FlowView> {
  const { flow, partyOin, partyName } = await ask('showFlow', {
    flowId: textIn(query, 'id'),
    partyOin: textIn(query, 'party'),
    reference: textIn(query, 'reference'),
  });
  if (!flow) throw new GatewayError('state.missing', 'Nothing is known under this id.');
  const nameOf = await namesOf(ask, [
    flow.schoolOin,
    ...flow.steps.map(({ receiverOin }) => receiverOin),
    ...(partyName === '' ? [partyOin] : []),
  ]);
  const steps = flow.steps.map((one) => ({
    step: one.step,
    service: one.service,
    at: numberOf(one.atMs),
    state: one.state,
    code: one.code,
    told: one.told,
    receiver: nameOf(one.receiverOin),
  }));
  // A part that went on may be parked at a receiver while the rest is held: what the message is says which step it is.
  const stop =
    (STOPS.has(flow.state) && steps.findLast(({ state }) => state === flow.state)) ||
    steps.findLast(({ state }) => STOPS.has(state));
  const stopped =
    stop && (await whereItStopped(ask, flow, stop, { oin: partyOin, name: partyName }, nameOf(flow.schoolOin)));
  return {
    id: flow.flowId,
    reference: flow.reference,
    method: flow.method,
    party: { oin: partyOin, name: partyName },
    school: nameOf(flow.schoolOin),
    subject: flow.subject,
    state: flow.state,
    ended: flow.ended,
    changes: flow.changes,
    held: flow.held,
    heldAtLeast: flow.heldAtLeast,
    steps,
    ...(stopped ? { stopped } : {}),
  };
}

/** Why an order waits knows who must act better than its last step does; of other messages the step says it. */
async function whereItStopped(
  ask: Ask,
  flow: { flowId: string; method: string; subject: string; schoolOin: string },
  stop: page.StepView,
  sender: page.Named,
  school: page.Named,
): Promise<page.Blocker> {
  if (/^OrderService\/PlaceOrder$/.test(flow.method) && flow.subject !== '') {
    const { blockers } = await ask('whyBlocked', { schoolOin: flow.schoolOin, orderId: flow.subject });
    const found = blockers.find(({ flowId }) => flowId === flow.flowId) ?? blockers[0];
    if (found) return blockerOf(found);
  }
  const row = isFault(stop.code) ? faults[stop.code] : undefined;
  const nobody = { oin: '', name: '' };
  const party = { sender, school, receiver: stop.receiver, peer: stop.receiver, us: nobody }[row?.who ?? 'us'];
  return {
    code: stop.code,
    lastStep: stop.step,
    who: row?.who ?? 'us',
    party,
    title: titles(stop.code),
    told: stop.told,
    remedy: (isFault(stop.code) && remedies[stop.code]) || '',
    order: '',
    product: '',
    entitlement: '',
    flow: flow.flowId,
    since: stop.at,
    learners: 0,
  };
}

async function namesOf(ask: Ask, oins: readonly string[]): Promise<Names> {
  const wanted = [...new Set(oins)].filter((oin) => oin !== '');
  const found = await Promise.all(wanted.map((oin) => ask('listParties', { oin })));
  return namesIn(found.flatMap(({ parties }) => parties.map(({ oin, name }) => ({ oin, name }))));
}

/** `learner`: a key of the administration, or an ECK iD (a URL). It goes to the vault and nowhere else. */
export async function why(
  ask: Ask,
  asked: { school: string; order: string; product: string; learner: string; party: string },
): Promise<page.Why> {
  const school = asked.school.trim().toUpperCase();
  const learner = asked.learner.trim();
  const answer = await ask('whyBlocked', {
    schoolOin: isBrin(school) ? schoolOin(school) : school,
    orderId: asked.order.trim(),
    productId: asked.product.trim(),
    partyOin: asked.party.trim(),
    ...(learner === '' ? {} : { learner: refOf(learner) }),
  } as Parameters<typeof ask<'whyBlocked'>>[1]);
  return {
    told: answer.told,
    blockers: answer.blockers.map(blockerOf),
    earlier: answer.earlier.map(blockerOf),
    has: answer.has.map((one) => ({
      entitlement: one.entitlementId,
      product: one.productId,
      title: one.title,
      holder: one.holder,
      endsOn: one.endsOn,
      platform: { oin: one.platformOin, name: one.platformName },
      code: one.code,
    })),
    partial: answer.partial,
  };
}

export async function holds(ask: Ask, query: Query): Promise<page.Hold[]> {
  const { holds } = await ask('listHolds', { schoolOin: '', decided: query.get('decided') === 'yes' });
  const nameOf = await namesOf(
    ask,
    holds.map(({ byOin }) => byOin),
  );
  return holds.map((one) => ({
    id: one.holdId,
    school: { oin: one.schoolOin, name: one.schoolName },
    schoolYear: one.schoolYear,
    site: one.siteCode,
    administration: one.administration,
    reason: one.reason,
    state: one.state,
    since: numberOf(one.sinceMs),
    by: nameOf(one.byOin),
    flow: one.flowId,
    forgets: one.forgets,
    part: one.part,
    approvedOnce: one.approvedOnce,
    ...(one.ruling?.ruleId ? { rule: one.ruling.ruleId } : {}),
    ...(one.ruling?.nearRuleId ? { near: { rule: one.ruling.nearRuleId, why: one.ruling.nearWhy } } : {}),
    products: one.products.map(({ productId: id, ...of }) => ({
      ...{ id, title: of.title, entitlements: of.entitlements, learners: of.learners, atLeast: of.atLeast },
    })),
    groups: one.groups.map(({ group, yearGroup, joined, left, moved, renamed, loses }) => ({
      group,
      yearGroup,
      joined,
      left,
      moved,
      renamed,
      loses: loses.map(({ productId, learners, licences }) => ({
        product: productId,
        learners: countOf(learners),
        licences,
      })),
    })),
    ...(one.difference && one.forgets === 0 && one.merges === 0 ? { difference: { ...one.difference } } : {}),
  }));
}

/** What stands first, then what is to come or waits for a second person, by when it ends; what is over not. */
export async function holdRules(ask: Ask): Promise<page.HoldRule[]> {
  const { rules, names } = await ask('listHoldRules', {});
  const nameOf = namesIn(names);
  return rules.slice(0, MOST_RULES).map(({ rule, state, released, used, schools, endsSoon }) => ({
    id: rule!.ruleId,
    ...(rule!.schoolOin === '' ? {} : { school: nameOf(rule!.schoolOin) }),
    kinds: rule!.kinds,
    yearGroups: rule!.yearGroups,
    from: numberOf(rule!.fromMs),
    until: numberOf(rule!.untilMs),
    percent: rule!.mostPercent,
    count: rule!.mostCount,
    reason: rule!.reason,
    state,
    by: nameOf(rule!.byOin),
    person: rule!.byPerson.slice(0, 8),
    ended: numberOf(rule!.endedMs),
    released,
    used: used.map(({ schoolOin, kind, of, count, beside, most }) => ({
      ...{ kind, of, count, beside, most },
      school: nameOf(schoolOin),
    })),
    schools,
    endsSoon,
  }));
}
const MOST_RULES = 200;

/** Nothing is set: what a rule would let go. Faults: wire.invalid, state.missing. */
export async function rulePreview(ask: Ask, query: Query): Promise<page.RulePreview> {
  const text = (name: string): string => textIn(query, name);
  const asked = ruleAsked({ text, school: schoolIn(query), all: text('all') === 'yes', waiting: false });
  // Its name is not looked at, so it is in no address.
  const { waiting, decided } = await ask('previewHoldRule', { asked: { ...asked, reason: 'preview' } });
  const shown = (holds: typeof waiting): page.RuledHold[] =>
    holds.slice(-MOST_RULED).map(({ holdId, schoolOin, schoolName, state, sinceMs, asks, whyNot }) => ({
      id: holdId,
      school: { oin: schoolOin, name: schoolName },
      state,
      since: numberOf(sinceMs),
      asks: asks.map(({ kind, of, count, base }) => ({ kind, of, count, base })),
      why: whyNot,
    }));
  return { waiting: shown(waiting), decided: shown(decided) };
}
const MOST_RULED = 500;

export async function dead(ask: Ask, query: Query): Promise<page.Dead> {
  const { keys, rows, endpoints, dropped, names } = await ask('listParked', {
    partyOin: textIn(query, 'party'),
    schoolOin: schoolIn(query),
    code: textIn(query, 'code'),
    fromMs: momentOfDay(query, 'from', startOfDutchDay),
    untilMs: momentOfDay(query, 'until', endOfDutchDay),
  });
  const nameOf = namesIn(names);
  return {
    keys: keys.map((one) => ({
      consumer: one.consumer,
      stream: one.stream,
      key: one.key,
      code: one.code,
      title: titles(one.code),
      since: numberOf(one.sinceMs),
      events: one.events,
      flow: one.flowId,
    })),
    rows: rows.map((one) => ({
      party: nameOf(one.partyOin),
      school: nameOf(one.schoolOin),
      service: serviceWord(one.service),
      code: one.code,
      title: titles(one.code),
      rows: numberOf(one.rows),
      since: numberOf(one.sinceMs),
      standard: one.standard,
      key: one.key,
      attempts: one.attempts,
      status: one.status,
      stopped: one.stopped ?? false,
      next: numberOf(one.nextMs),
      flow: one.flowId ?? '',
    })),
    endpoints: endpoints.map((one) => ({ ...endpointOf(one), party: nameOf(one.partyOin) })),
    dropped: dropped.map((one) => ({
      party: nameOf(one.partyOin),
      school: nameOf(one.schoolOin),
      service: serviceWord(one.service),
      code: one.code,
      rows: numberOf(one.rows),
      from: numberOf(one.fromMs),
      until: numberOf(one.untilMs),
    })),
  };
}

/** Pairs of a party and a school, and differences of one pair, that a page shows. */
const RECONCILED = 200;

const reconciledOf = (
  { reconciliation, canBeAsked, dueMs }: ListedReconciliation,
  nameOf: Names,
): page.ReconciledLine => {
  const { partyOin, schoolOin, counts, lastMs, begunMs, failures, code, source } = reconciliation!;
  const [missing, surplus, differs] = [counts?.missing, counts?.surplus, counts?.differs].map((n) => numberOf(n ?? 0n));
  const state = (): string => {
    if (begunMs > 0n) return 'under_way';
    if (failures > 0) return 'unanswered';
    if (lastMs === 0n) return canBeAsked ? 'not_asked' : 'not_said';
    return missing! + surplus! + differs! === 0 ? 'equal' : 'differs';
  };
  return {
    party: nameOf(partyOin),
    school: nameOf(schoolOin),
    state: state(),
    code,
    title: titles(code),
    source,
    at: numberOf(lastMs),
    same: numberOf(counts?.same ?? 0n),
    missing: missing!,
    surplus: surplus!,
    differs: differs!,
    canBeAsked,
    due: numberOf(dueMs),
  };
};

export async function reconciled(ask: Ask, query: Query): Promise<page.ReconciledView> {
  const asked = { partyOin: textIn(query, 'party'), schoolOin: schoolIn(query) };
  const isOne = asked.partyOin !== '' && asked.schoolOin !== '';
  const [{ reconciliations, names }, found] = await Promise.all([
    ask('listReconciliations', { ...asked, differing: false }),
    isOne ? ask('listDifferences', { ...asked, limit: RECONCILED }) : { differences: [], more: false },
  ]);
  const nameOf = namesIn(names);
  // First what somebody must look at, then what was never compared.
  const rank = ({ state }: page.ReconciledLine): number =>
    ['differs', 'unanswered', 'under_way', 'not_asked', 'not_said', 'equal'].indexOf(state);
  const lines = reconciliations.map((one) => reconciledOf(one, nameOf)).sort((a, b) => rank(a) - rank(b));
  return {
    lines: lines.slice(0, RECONCILED),
    all: lines.length,
    differences: found.differences.map(({ key, what, ours, theirs, sinceMs }) => ({
      key,
      what,
      ours: ours.join(' '),
      theirs: theirs.join(' '),
      since: numberOf(sinceMs),
    })),
    more: found.more,
  };
}

/** Replays that a page shows. */
const REPLAYS = 25;

export async function replays(ask: Ask): Promise<page.ReplayView[]> {
  const { replays: all, names } = await ask('listReplays', {});
  const nameOf = namesIn(names);
  return all.slice(0, REPLAYS).map((one) => {
    const of = one.selection!;
    return {
      id: one.jobId,
      state: one.state,
      cause: one.cause,
      party: nameOf(of.partyOin),
      school: nameOf(of.schoolOin),
      service: of.service === Service.SERVICE_UNSPECIFIED ? '' : serviceWord(of.service),
      about: of.about,
      key: of.key,
      flow: of.flowId,
      events: of.types,
      from: numberOf(of.fromMs),
      until: numberOf(of.untilMs),
      again: of.again,
      outOfOrder: of.outOfOrder,
      keptFrom: numberOf(one.keptFromMs),
      looked: numberOf(one.looked),
      toLook: numberOf(one.toLook),
      selected: numberOf(one.selected),
      fresh: numberOf(one.fresh),
      had: numberOf(one.had),
      late: numberOf(one.outOfOrder),
      pending: numberOf(one.pending),
      forbidden: one.forbidden.map(({ reason, messages }) => ({ reason, messages: numberOf(messages) })),
      toSend: numberOf(one.toSend),
      rate: one.rate,
      mostErrors: one.mostErrors,
      errors: numberOf(one.errors),
      sent: numberOf(one.sent),
      untold: numberOf(one.untold),
      refused: numberOf(one.refused),
      withheld: numberOf(one.withheld),
      gone: numberOf(one.gone),
      leftOut: numberOf(one.leftOut),
      underWay: numberOf(one.underWay),
      setBack: numberOf(one.setBack),
      parked: numberOf(one.parked),
      made: numberOf(one.madeMs),
      began: numberOf(one.startedMs),
      ended: numberOf(one.endedMs),
    };
  });
}

const day = (query: Query, name: string): string => {
  const text = textIn(query, name);
  if (text !== '' && !isDay(text)) throw new GatewayError('wire.invalid', 'This is no day.', { where: name });
  return text;
};

export async function access(ask: Ask, query: Query): Promise<page.AccessList> {
  const schoolOin = schoolIn(query);
  if (schoolOin === '') return { school: { oin: '', name: '' }, rows: [] };
  const { rows, names } = await ask('listAccess', { schoolOin, fromDay: day(query, 'from'), toDay: day(query, 'to') });
  const nameOf = namesIn(names);
  const school = nameOf(schoolOin);
  // A slip in the number must not read as a school that nobody was shown.
  if (rows.length === 0 && school.name === '')
    throw new GatewayError('state.missing', 'No school is registered under this number.', { where: 'school' });
  return {
    school,
    rows: rows.map((one) => ({
      day: one.day,
      party: nameOf(one.partyOin),
      purpose: one.purpose,
      attributes: [...one.attributes],
      times: numberOf(one.times),
      people: numberOf(one.people),
      leaf: numberOf(one.lastIndex),
    })),
  };
}

const kindOf = (text: string): AuditKind => {
  if (text === '') return AuditKind.AUDIT_KIND_UNSPECIFIED;
  const kind = AuditKind[`AUDIT_KIND_${text.toUpperCase()}` as keyof typeof AuditKind];
  if (typeof kind !== 'number') throw new GatewayError('wire.invalid', 'There is no such kind.', { where: 'kind' });
  return kind;
};

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export async function audit(ask: Ask, query: Query): Promise<page.AuditList> {
  const before = textIn(query, 'before');
  if (!/^\d{0,15}$/.test(before)) throw new GatewayError('wire.invalid', 'This is no leaf.', { where: 'before' });
  const { found, names } = await ask('searchAuditLog', {
    asked: {
      fromDay: day(query, 'from'),
      toDay: day(query, 'to'),
      partyOin: textIn(query, 'party'),
      schoolOin: schoolIn(query),
      kind: kindOf(textIn(query, 'kind')),
      method: textIn(query, 'method'),
      limit: 0,
      before: before === '' ? undefined : BigInt(before),
    },
  });
  const nameOf = namesIn(names);
  const { rows, head, coveredFrom, coveredTo, coveredFromMs, coveredToMs, keptFromMs } = found!;
  return {
    rows: rows.map((one) => ({
      leaf: numberOf(one.index),
      at: numberOf(one.atMs),
      kind: wordOf(AuditKind, one.kind, 'AUDIT_KIND_'),
      party: nameOf(one.partyOin),
      actedBy: nameOf(one.actedBy),
      schools: one.schoolOins.map(nameOf),
      methods: [...one.methods],
      code: one.code,
      title: titles(one.code),
      purpose: one.purpose,
      attributes: [...one.attributes],
      times: numberOf(one.times),
      people: numberOf(one.people),
      flow: one.kind === AuditKind.AUDIT_KIND_ACCEPTED ? one.receiptId : '',
      signed: one.index < (head?.size ?? 0n),
    })),
    ...(coveredTo > coveredFrom
      ? {
          covered: {
            first: numberOf(coveredFrom),
            last: numberOf(coveredTo) - 1,
            from: numberOf(coveredFromMs),
            to: numberOf(coveredToMs),
          },
        }
      : {}),
    ...(found!.before === undefined ? {} : { before: numberOf(found!.before) }),
    keptFrom: numberOf(keptFromMs),
    ...(head
      ? {
          head: {
            size: numberOf(head.size),
            root: hexOf(head.root),
            key: hexOf(head.keyId),
            at: numberOf(head.timeMs),
          },
        }
      : {}),
  };
}

const wordOf = (of: Readonly<Record<string, number>>, value: number, prefix: string): string =>
  (Object.entries(of).find(([, one]) => one === value)?.[0] ?? '').slice(prefix.length).toLowerCase();
const rolesOf = (roles: readonly Role[]): string[] => roles.map((role) => wordOf(Role, role, 'ROLE_'));

/** Parties that one page names. */
const MOST_PARTIES = 100;
const MOST_MANDATES = 200;

export async function parties(ask: Ask, query: Query): Promise<page.PartyList> {
  const text = textIn(query, 'q').toLowerCase();
  const wanted = textIn(query, 'role').toUpperCase();
  const role = wanted === '' ? Role.ROLE_UNSPECIFIED : Role[`ROLE_${wanted}` as keyof typeof Role];
  if (role === undefined) throw new GatewayError('wire.invalid', 'There is no such role.', { where: 'role' });
  const { parties, stopped } = await ask('listParties', { role });
  const stops = new Map(stopped.map(({ oin, sinceMs }) => [oin, numberOf(sinceMs)]));
  const found = parties.filter(
    ({ oin, name }) => name.toLowerCase().includes(text) || oin.toLowerCase().includes(text),
  );
  // Schools are many; who serves them is looked for first.
  const rank = ({ roles }: (typeof found)[number]): number => (roles.includes(Role.ROLE_SCHOOL) ? 1 : 0);
  return {
    parties: found
      .sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
      .slice(0, MOST_PARTIES)
      .map(({ oin, name, roles }) => ({ oin, name, roles: rolesOf(roles), stopped: stops.get(oin) ?? 0 })),
    all: found.length,
  };
}

export async function links(ask: Ask): Promise<page.LinkView[]> {
  return (await ask('listLinks', {})).links.map(pageOf);
}

const scoreOf = (one: Score): page.Score => ({
  accepted: numberOf(one.accepted),
  refused: numberOf(one.refused),
  refusedAtDoor: numberOf(one.refusedAtDoor),
  schemaViolations: numberOf(one.schemaViolations),
  refusals: one.refusals.map(({ code, times }) => ({ code, title: titles(code), times: numberOf(times) })),
  requests: numberOf(one.requests),
  again: numberOf(one.again),
  failed: numberOf(one.failed),
  failures: one.failures.map(({ code, times }) => ({ code, times: numberOf(times) })),
  delivered: numberOf(one.delivered),
  ...(one.answerP50Ms === undefined ? {} : { answerP50: numberOf(one.answerP50Ms) }),
  ...(one.answerP99Ms === undefined ? {} : { answerP99: numberOf(one.answerP99Ms) }),
  ...(one.deliveryP50Ms === undefined ? {} : { deliveryP50: numberOf(one.deliveryP50Ms) }),
  ...(one.deliveryP99Ms === undefined ? {} : { deliveryP99: numberOf(one.deliveryP99Ms) }),
});

/** Of an address the host: behind it may stand what a party keeps to itself. */
const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : '');

const mandateOf = (one: Mandate, nameOf: Names): page.MandateView => ({
  id: one.mandateId,
  school: nameOf(one.schoolOin),
  party: nameOf(one.partyOin),
  services: one.services.map(serviceWord),
  state: wordOf(MandateState, one.state, 'MANDATE_STATE_'),
  from: one.validFrom,
  until: one.validUntil,
  runOff: one.runOffUntil,
  agreement: [one.agreement, one.agreementVersion].filter(Boolean).join(' '),
});

export async function party(ask: Ask, query: Query): Promise<page.PartyView> {
  const text = textIn(query, 'oin').toUpperCase();
  const oin = isBrin(text) ? schoolOin(text) : text;
  if (oin === '') throw new GatewayError('wire.invalid', 'Name the party.', { where: 'oin' });
  const { parties, stopped } = await ask('listParties', { oin });
  const party = parties[0];
  if (!party) throw new GatewayError('state.missing', 'No party is registered under this number.', { where: 'oin' });
  const [{ scorecard, endpoints }, got, gave, parked, { certificates }] = await Promise.all([
    ask('showScorecard', { partyOin: oin, fromDay: day(query, 'from'), untilDay: day(query, 'to') }),
    ask('listMandates', { partyOin: oin }),
    ask('listMandates', { schoolOin: oin }),
    ask('listParked', {}),
    ask('status', {}),
  ]);
  const nameOf = namesIn([...got.names, ...gave.names, ...parked.names]);
  const card = scorecard!;
  const mandates = [...got.mandates, ...gave.mandates.filter(({ partyOin }) => partyOin !== oin)];
  const lives = ({ state }: Mandate): number => (state === MandateState.MANDATE_STATE_ENDED ? 1 : 0);
  const nameBySchool = await namesOf(
    ask,
    card.endings.flatMap(({ schoolOins }) => schoolOins).filter((school) => nameOf(school).name === ''),
  );
  return {
    oin,
    name: party.name,
    roles: rolesOf(party.roles),
    board: party.boardOin === '' ? { oin: '', name: '' } : (await namesOf(ask, [party.boardOin]))(party.boardOin),
    attributes: [...party.attributes],
    stopped: numberOf(stopped.find((one) => one.oin === oin)?.sinceMs ?? 0n),
    from: card.fromDay,
    until: card.untilDay,
    score: scoreOf(card.total!),
    days: card.days.map((one) => ({ day: one.day, score: scoreOf(one.score!) })),
    endpoints: party.endpoints.map(({ standard, url }) => {
      const now = endpoints.find((one) => one.standard === standard);
      const score = card.endpoints.find((one) => one.standard === standard)?.score;
      return {
        ...(now
          ? endpointOf(now)
          : { standard, state: '', breaker: '', status: 0, cause: '', restUntil: 0, oldest: 0, parkedKeys: 0 }),
        host: hostOf(url),
        ...(score ? { score: scoreOf(score) } : {}),
      };
    }),
    endings: card.endings.map(({ what, subject, day, count, schoolOins }) => ({
      what,
      subject,
      day,
      count,
      schools: schoolOins.map((school) => (nameOf(school).name === '' ? nameBySchool(school) : nameOf(school))),
    })),
    lastAccepted: numberOf(card.lastAcceptedMs),
    lastDelivered: numberOf(card.lastDeliveredMs),
    waiting: parked.rows.reduce((sum, { rows, partyOin }) => sum + (partyOin === oin ? numberOf(rows) : 0), 0),
    certificate: numberOf(certificates.find(({ partyOin }) => partyOin === oin)?.notAfterMs ?? 0n),
    mandates: mandates
      .sort((a, b) => lives(a) - lives(b) || (a.schoolOin < b.schoolOin ? -1 : 1))
      .slice(0, MOST_MANDATES)
      .map((one) => mandateOf(one, nameOf)),
    mandatesAll: mandates.length,
  };
}

const countOf = (one: ReadinessCount | undefined): page.ToldCount =>
  one?.underTen
    ? { count: 0, kind: 'under_ten' }
    : one?.hidden
      ? { count: 0, kind: 'hidden' }
      : { count: one?.count ?? 0, kind: one?.atLeast ? 'at_least' : 'told' };

export async function launches(ask: Ask, query: Query): Promise<page.LaunchesView> {
  const { launches: seen } = await ask('showLaunches', { asked: { day: day(query, 'day') }, partyOin: '' });
  return {
    day: seen?.day ?? '',
    until: seen?.until ?? '',
    beside: [...(seen?.beside ?? [])],
    rows: (seen?.rows ?? []).map((one) => ({
      platform: { oin: one.platformOin, name: one.platformName },
      publisher: { oin: one.publisherOin, name: one.publisherName },
      state: one.state,
      percent: one.percent,
      usual: one.usualPercent,
      usualKnown: one.usualKnown,
      whose: one.whose,
      code: one.code,
      title: titles(one.code),
      party: { oin: one.partyOin, name: one.partyName },
      who: one.who,
      because: one.because,
      told: one.told,
      remedy: one.remedy,
      quarters: one.quarters.map((quarter) => ({
        at: quarter.at,
        asked: countOf(quarter.asked),
        opened: countOf(quarter.opened),
        unopened: countOf(quarter.unopened),
        refused: countOf(quarter.refused),
        usual: quarter.usual,
      })),
    })),
  };
}

/** Sealed by the door, and longer than what somebody types. */
const LONGEST_CURSOR = 1_024;
function cursorIn(query: Query): string {
  const cursor = query.get('cursor') ?? '';
  if (cursor.length > LONGEST_CURSOR) throw new GatewayError('wire.invalid', undefined, { where: 'cursor' });
  return cursor;
}

const causeOf = (one: ReadinessCause): page.CauseView => ({
  code: one.code,
  title: titles(one.code),
  state: one.state,
  count: countOf(one.count),
  who: one.who,
  party: { oin: one.partyOin, name: one.partyName },
  remedy: one.remedy,
});

/** By class: of one school; each group by its key. Faults: wire.invalid. */
export async function readiness(ask: Ask, query: Query): Promise<page.ReadinessView> {
  const by = textIn(query, 'by');
  if (by !== '' && by !== 'class') throw new GatewayError('wire.invalid', 'It is told by class.', { where: 'by' });
  const { readiness: seen } = await ask('showReadiness', {
    asked: {
      schoolOin: schoolIn(query),
      schoolYear: '',
      firstDay: day(query, 'first'),
      byGroup: by === 'class',
      productId: textIn(query, 'product'),
      limit: 0,
      cursor: cursorIn(query),
    },
    partyOin: textIn(query, 'party'),
  });
  return {
    year: seen?.schoolYear ?? '',
    daysLeft: seen?.daysLeft ?? 0,
    rows: (seen?.rows ?? []).map((row) => ({
      school: { oin: row.schoolOin, name: row.schoolName },
      product: row.productId,
      title: row.title,
      group: row.groupKey,
      steps: [row.wanted, row.confirmed, row.granted, row.provisioned, row.opened].map(countOf),
      causes: row.causes.map(causeOf),
    })),
    chase: (seen?.chase ?? []).map(causeOf),
    days: (seen?.days ?? []).map(({ day, wanted, confirmed, granted, provisioned, opened }) => ({
      day,
      wanted,
      confirmed,
      granted,
      provisioned,
      opened,
    })),
    cursor: seen?.cursor ?? '',
  };
}

export async function preflight(ask: Ask, query: Query): Promise<page.PreflightView> {
  const lang = textIn(query, 'lang') === 'en' ? 'en' : 'nl';
  const { preflight: seen } = await ask('showPreflight', {
    asked: { schoolOin: schoolIn(query), day: day(query, 'day'), lang, limit: 0, cursor: cursorIn(query) },
    partyOin: textIn(query, 'party'),
  });
  return {
    day: seen?.day ?? '',
    lookedAt: seen?.lookedAt ?? 0,
    lines: (seen?.lines ?? []).map((one) => ({
      school: { oin: one.schoolOin, name: one.schoolName },
      order: one.orderId,
      line: one.lineId,
      product: one.productId,
      title: one.title,
      code: one.code,
      fault: titles(one.code),
      party: { oin: one.partyOin, name: one.partyName },
    })),
    messages: (seen?.messages ?? []).map((one) => ({
      party: { oin: one.partyOin, name: one.partyName },
      subject: one.subject,
      body: one.body,
    })),
    cursor: seen?.cursor ?? '',
  };
}

const freezeOf = ({ freeze, state }: ListFreezesResponse['freezes'][number], nameOf: Names): page.FreezeView => ({
  id: freeze!.freezeId,
  ...scopeOf(freeze!, nameOf),
  from: numberOf(freeze!.fromMs),
  until: numberOf(freeze!.untilMs),
  reason: freeze!.reason,
  state,
  by: nameOf(freeze!.byOin),
  person: freeze!.byPerson.slice(0, 8),
  set: numberOf(freeze!.setMs),
  ended: numberOf(freeze!.endedMs),
  endAsked: freeze!.endAskedBy !== '' && freeze!.endedMs === 0n,
});

/** What holds first, then what is to come, then what is over; of one state by when it begins. */
const FREEZE_STATES = ['holds', 'to_come', 'ended', 'over'];
const MOST_FREEZES = 200;

export async function freezes(ask: Ask, query: Query): Promise<page.FreezeView[]> {
  const asked = { schoolOin: schoolIn(query), partyOin: textIn(query, 'party'), past: query.get('past') === 'yes' };
  const { freezes: all, names } = await ask('listFreezes', asked);
  const nameOf = namesIn(names);
  const rank = ({ state }: page.FreezeView): number => Math.min(2, FREEZE_STATES.indexOf(state));
  return all
    .map((one) => freezeOf(one, nameOf))
    .sort((a, b) => rank(a) - rank(b) || (rank(a) === 2 ? b.from - a.from : a.from - b.from))
    .slice(0, MOST_FREEZES);
}

/** Nothing is set: what a freeze would come to, of what stands now. Faults: wire.invalid, state.missing. */
export async function freezePreview(ask: Ask, query: Query): Promise<page.FreezePreview> {
  const asked = {
    ...{ schoolOin: schoolIn(query), partyOin: textIn(query, 'party'), all: query.get('all') === 'yes' },
    ...{ from: textIn(query, 'from'), until: textIn(query, 'until'), reason: '' },
  };
  const { freeze, goesOnMs, beside, works, names } = await ask('previewFreeze', { asked });
  const nameOf = namesIn(names);
  return {
    ...scopeOf(freeze!, nameOf),
    from: numberOf(freeze!.fromMs),
    until: numberOf(freeze!.untilMs),
    goesOn: numberOf(goesOnMs),
    beside: beside.map((one) => freezeOf(one, nameOf)),
    works: works.map(workOf(nameOf)),
  };
}

/** Nothing is ended: what waits for a freeze now, and would go on or wait on. Faults: state.missing. */
export async function freezeEndPreview(ask: Ask, query: Query): Promise<page.FrozenView[]> {
  const { works, names } = await ask('previewFreeze', { freezeId: textIn(query, 'freeze') });
  return works.map(workOf(namesIn(names)));
}

const workOf =
  (nameOf: Names) =>
  (work: FrozenWork): page.FrozenView => ({
    ...{ kind: work.kind, id: work.id, day: work.onDay, waitsOn: work.waitsOn, about: work.about },
    ...(work.schoolOin ? { school: nameOf(work.schoolOin) } : {}),
    ...(work.toSchoolOin ? { to: nameOf(work.toSchoolOin) } : {}),
    ...(work.partyOin ? { party: nameOf(work.partyOin) } : {}),
    count: numberOf(work.count),
    since: numberOf(work.sinceMs),
  });
