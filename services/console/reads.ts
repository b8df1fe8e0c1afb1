/**
 * What the pages show, made of the operator's reads. Only what is named here leaves: names of groups, which the command line shows, are
 * a school's own words and stand on no page.
 */
import { type Fault, faults, GatewayError, isBrin, isFault, schoolOin } from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import type { EndpointStatus } from '#proto/eduk/delivery/v1/delivery';
import type { Blocker as GatewayBlocker } from '#proto/eduk/gateway/v1/flow';
import type { PartyName } from '#proto/eduk/operator/v1/operator';
import type { Ask } from './door.ts';
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
  status: one.status,
  cause: one.cause,
  restUntil: numberOf(one.restUntilMs),
  oldest: numberOf(one.oldestMs),
  parkedKeys: one.parkedKeys,
});

/** A certificate that ends within so many days is shown. */
const SOON_MS = 45 * 86_400_000;

export async function overview(ask: Ask, _query: Query, now: number): Promise<page.Overview> {
  const [status, seen, parked] = await Promise.all([ask('status', {}), ask('showOverview', {}), ask('listParked', {})]);
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
    if (one.partyOin !== '') party(one.partyOin).refused += one.times;
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
    version: status.version,
    devKey: status.devKey,
    events: numberOf(status.events),
    freeDisk: numberOf(status.freeDiskBytes),
    holds: status.holds,
    dead: { keys: parked.keys.length, rows: parked.rows.reduce((sum, { rows }) => sum + numberOf(rows), 0) },
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
  const before = Number(query.get('before') ?? 0);
  const { flows, names, coveredFromMs, more } = await ask('listFlows', {
    text: textIn(query, 'q'),
    partyOin: textIn(query, 'party'),
    schoolOin: schoolIn(query),
    state: textIn(query, 'state'),
    limit: 50,
    beforeMs: BigInt(Number.isSafeInteger(before) && before > 0 ? before : 0),
  });
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
    more,
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
  const stop = [...steps].reverse().find(({ state }) => STOPS.has(state));
  const stopped = stop && (await whereItStopped(ask, flow, stop, { oin: partyOin, name: partyName }));
  return {
    id: flow.flowId,
    reference: flow.reference,
    method: flow.method,
    party: { oin: partyOin, name: partyName },
    school: nameOf(flow.schoolOin),
    subject: flow.subject,
    state: flow.state,
    ended: flow.ended,
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
): Promise<page.Blocker> {
  if (/^OrderService\/PlaceOrder$/.test(flow.method) && flow.subject !== '') {
    const { blockers } = await ask('whyBlocked', { schoolOin: flow.schoolOin, orderId: flow.subject });
    const found = blockers.find(({ flowId }) => flowId === flow.flowId) ?? blockers[0];
    if (found) return blockerOf(found);
  }
  const row = isFault(stop.code) ? faults[stop.code] : undefined;
  const party = row?.who === 'sender' ? sender : stop.receiver;
  return {
    code: stop.code,
    lastStep: stop.step,
    who: row?.who ?? 'us',
    party,
    title: titles(stop.code),
    told: stop.told,
    remedy: '',
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
  asked: { school: string; order: string; product: string; learner: string },
): Promise<page.Why> {
  const school = asked.school.trim().toUpperCase();
  const learner = asked.learner.trim();
  const answer = await ask('whyBlocked', {
    schoolOin: isBrin(school) ? schoolOin(school) : school,
    orderId: asked.order.trim(),
    productId: asked.product.trim(),
    ...(learner === ''
      ? {}
      : { learner: /^https?:/i.test(learner) ? { eckId: learner, lasKey: '' } : { eckId: '', lasKey: learner } }),
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
    ...(one.difference && one.forgets === 0 ? { difference: { ...one.difference } } : {}),
  }));
}

export async function dead(ask: Ask): Promise<page.Dead> {
  const { keys, rows, endpoints, dropped, names } = await ask('listParked', {});
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
