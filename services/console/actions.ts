/** What the pages do, by path: the operator's own calls, one for each. */
import { endOfDutchDay, GatewayError, isBrin, isDay, isFault, schoolOin, startOfDutchDay } from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import type { Decision } from '#proto/eduk/core/v1/receipt';
import type { Ask } from './door.ts';
import { ruleAsked } from './rule.ts';
import type { Done } from './types.ts';

type Given = Record<string, unknown>;
type Action = (ask: Ask, text: (name: string) => string, given: Given) => Promise<Done>;

const done: Done = { flow: '', decided: true, keys: 0, rows: 0 };

/** Faults: wire.invalid. */
function wordsIn(given: Given, name: string): string[] {
  const words = given[name] ?? [];
  if (!Array.isArray(words) || !words.every((word) => typeof word === 'string'))
    throw new GatewayError('wire.invalid', 'These are words.', { where: name });
  return words;
}

export const actions: Readonly<Record<string, Action>> = {
  '/api/holds/decide': async (ask, text, given) => {
    if (typeof given['approve'] !== 'boolean')
      throw new GatewayError('wire.invalid', 'Say whether it is approved.', { where: 'approve' });
    const { flowId, decision } = await ask('decideHold', {
      holdId: text('hold'),
      approve: given['approve'],
      kinds: wordsIn(given, 'kinds'),
      groups: wordsIn(given, 'groups'),
      productIds: wordsIn(given, 'products'),
      confirm: given['second'] === true,
    });
    // One of two approved it: that is done, and the other is waited for.
    if (given['approve'] && decision?.code === 'hold.pending') return { ...done, flow: flowId, waits: true };
    // The door decides, or says why not; what takes longer is still decided, and its flow says so.
    if (decision && decision.code !== '') throw refusal(decision.code, decision.told);
    return { ...done, flow: flowId, decided: decision !== undefined };
  },
  '/api/holds/rules/set': async (ask, text, given) => {
    const named = text('school').toUpperCase();
    const school = isBrin(named) ? schoolOin(named) : named;
    const asked = ruleAsked({ text, school, all: given['all'] === true, waiting: given['waiting'] === true });
    const { flowId, decision, rule, unchanged } = await ask('setHoldRule', asked);
    const came = { ...decidedOf(flowId, decision), waits: rule?.approvedMs === 0n };
    return { ...came, ...(unchanged ? { stood: true } : {}) };
  },
  '/api/holds/rules/approve': async (ask, text, given) => {
    const asked = { ruleId: text('rule'), confirm: given['second'] === true };
    const { flowId, decision } = await ask('approveHoldRule', asked);
    return decidedOf(flowId, decision);
  },
  '/api/holds/rules/end': async (ask, text) => {
    const { flowId, decision } = await ask('endHoldRule', { ruleId: text('rule') });
    return decidedOf(flowId, decision);
  },
  '/api/dead/retry': (ask, text) => resolve(ask, text, 'retry'),
  '/api/dead/drop': (ask, text) => resolve(ask, text, 'drop'),
  '/api/dead/stop': (ask, text) => resolve(ask, text, 'stop'),
  /** A key that a service could not handle: nothing of it is ever dropped. */
  '/api/dead/take-up': async (ask, text) => {
    const { found } = await ask('retryParked', {
      consumer: text('consumer'),
      stream: text('stream'),
      key: text('key'),
    });
    if (!found) throw new GatewayError('state.missing', 'This key is not parked any more.');
    return { ...done, keys: 1 };
  },
  '/api/replays/preview': async (ask, text, given) => {
    const service = text('service');
    const number = Service[`SERVICE_${service.toUpperCase()}` as keyof typeof Service];
    if (service !== '' && number === undefined)
      throw new GatewayError('wire.invalid', 'There is no such service.', { where: 'service' });
    const school = text('school').toUpperCase();
    const { flowId, decision } = await ask('previewReplay', {
      selection: {
        partyOin: text('party'),
        service: number ?? Service.SERVICE_UNSPECIFIED,
        schoolOin: isBrin(school) ? schoolOin(school) : school,
        key: text('key'),
        about: text('about'),
        flowId: '',
        types: text('event') === '' ? [] : [text('event')],
        fromMs: dayIn(text, 'from', startOfDutchDay),
        untilMs: dayIn(text, 'until', endOfDutchDay),
        again: given['again'] === true,
        outOfOrder: given['outOfOrder'] === true,
        reconciled: text('reconciled'),
      },
    });
    return decidedOf(flowId, decision);
  },
  '/api/replays/run': async (ask, text, given) => {
    const errors = text('errors');
    const { flowId, decision, replay } = await ask('runReplay', {
      jobId: text('replay'),
      rate: numberIn(text, 'rate'),
      ...(errors === '' ? {} : { mostErrors: numberIn(text, 'errors') }),
      confirm: given['second'] === true,
    });
    return { ...decidedOf(flowId, decision), waits: replay?.state === 'asked' };
  },
  '/api/replays/stop': async (ask, text) => {
    const { flowId, decision } = await ask('stopReplay', { jobId: text('replay') });
    return decidedOf(flowId, decision);
  },
  '/api/reconciled/ask': async (ask, text) => {
    await ask('reconcile', { partyOin: text('party'), schoolOin: text('school') });
    return done;
  },
  '/api/freezes/set': async (ask, text, given) => {
    const school = text('school').toUpperCase();
    const { flowId, decision, unchanged } = await ask('setFreeze', {
      schoolOin: isBrin(school) ? schoolOin(school) : school,
      partyOin: text('party'),
      all: given['all'] === true,
      from: text('from'),
      until: text('until'),
      reason: text('reason'),
    });
    return { ...decidedOf(flowId, decision), ...(unchanged ? { stood: true } : {}) };
  },
  '/api/freezes/end': async (ask, text, given) => {
    const { flowId, decision, freeze } = await ask('endFreeze', {
      freezeId: text('freeze'),
      confirm: given['second'] === true,
    });
    const came = decidedOf(flowId, decision);
    return { ...came, waits: freeze?.endedMs === 0n && freeze.endAskedBy !== '' };
  },
  '/api/links/make': async (ask, text) => {
    const { link, secret } = await ask('makeLink', { ...placeIn(text('to')), hours: numberIn(text, 'hours') });
    // Behind the #: it comes in no log and in no address that another page is told.
    return { ...done, link: `/shared?link=${link!.linkId}#${secret}` };
  },
  '/api/links/end': async (ask, text) => {
    await ask('endLink', { linkId: text('link') });
    return done;
  },
};

/** Of an address of these pages: the page, and its query. Faults: wire.invalid. */
function placeIn(to: string): { page: string; query: { name: string; value: string }[] } {
  if (!to.startsWith('/') || to.startsWith('//') || !URL.canParse(to, 'http://here'))
    throw new GatewayError('wire.invalid', 'This is no page.', { where: 'to' });
  const { pathname, searchParams } = new URL(to, 'http://here');
  const query = [...searchParams].map(([name, value]) => ({ name, value: value.trim() }));
  return { page: pathname, query: query.filter(({ value }) => value !== '') };
}

function decidedOf(flow: string, decision: Decision | undefined): Done {
  if (decision && decision.code !== '') throw refusal(decision.code, decision.told);
  return { ...done, flow, decided: decision !== undefined };
}

/** A day as a moment; empty = 0. Faults: wire.invalid. */
function dayIn(text: (name: string) => string, name: string, of: (day: string) => number): bigint {
  const day = text(name);
  if (day === '') return 0n;
  if (!isDay(day)) throw new GatewayError('wire.invalid', 'This is no day.', { where: name });
  return BigInt(of(day));
}

/** Empty = 0. Faults: wire.invalid. */
function numberIn(text: (name: string) => string, name: string): number {
  const number = text(name);
  if (!/^\d{0,6}$/.test(number)) throw new GatewayError('wire.invalid', 'This is no whole number.', { where: name });
  return Number(number);
}

async function resolve(ask: Ask, text: (name: string) => string, action: 'retry' | 'drop' | 'stop'): Promise<Done> {
  const school = text('school').toUpperCase();
  const named = {
    partyOin: text('party'),
    schoolOin: isBrin(school) ? schoolOin(school) : school,
    key: text('key'),
    code: text('code'),
    fromMs: dayIn(text, 'from', startOfDutchDay),
    untilMs: dayIn(text, 'until', endOfDutchDay),
  };
  // An empty filter is any: a page never means all there is.
  if (named.partyOin === '' && named.schoolOin === '' && named.code === '')
    throw new GatewayError('wire.invalid', 'Name a party, a school or a code.', { where: 'party' });
  const { keys, rows } = await ask('resolveDeliveries', { ...named, action });
  return { ...done, keys, rows: Number(rows) };
}

const refusal = (code: string, told: string): GatewayError =>
  new GatewayError(isFault(code) ? code : 'gateway.bug', told);

/** Faults: those of the door, and wire.invalid. */
export const act = (action: Action, ask: Ask, given: Given): Promise<Done> =>
  action(ask, (name) => textIn(given, name), given);

/** A text of a request; none is empty. Faults: wire.invalid. */
export function textIn(given: Given, name: string): string {
  const value = Object.hasOwn(given, name) ? given[name] : '';
  if (typeof value !== 'string' || value.length > 512)
    throw new GatewayError('wire.invalid', 'This is no short text.', { where: name });
  return value;
}
