/** What the pages do, by path: the operator's own calls, one for each. */
import { GatewayError, isFault } from '#kernel';
import type { Ask } from './door.ts';
import type { Done } from './types.ts';

type Given = Record<string, unknown>;
type Action = (ask: Ask, text: (name: string) => string, given: Given) => Promise<Done>;

const done: Done = { flow: '', decided: true, keys: 0, rows: 0 };

export const actions: Readonly<Record<string, Action>> = {
  '/api/holds/decide': async (ask, text, given) => {
    if (typeof given['approve'] !== 'boolean')
      throw new GatewayError('wire.invalid', 'Say whether it is approved.', { where: 'approve' });
    const { flowId, decision } = await ask('decideHold', { holdId: text('hold'), approve: given['approve'] });
    // The door decides, or says why not; what takes longer is still decided, and its flow says so.
    if (decision && decision.code !== '') throw refusal(decision.code, decision.told);
    return { ...done, flow: flowId, decided: decision !== undefined };
  },
  '/api/dead/retry': (ask, text) => resolve(ask, text, 'retry'),
  '/api/dead/drop': (ask, text) => resolve(ask, text, 'drop'),
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
};

async function resolve(ask: Ask, text: (name: string) => string, action: 'retry' | 'drop'): Promise<Done> {
  const named = { partyOin: text('party'), schoolOin: text('school'), key: text('key') };
  // An empty filter is any: a page never means all there is.
  if (named.partyOin === '') throw new GatewayError('wire.invalid', 'Name the party.', { where: 'party' });
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
