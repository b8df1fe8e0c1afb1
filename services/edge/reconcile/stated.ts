/** What a party says that it has: by itself, a page a call, or asked at its endpoint `holdings`. Both are read and judged alike. */
import { type Dialler, GatewayError } from '#kernel';
import { CompareEntitlementsRequest } from '#proto/eduk/gateway/v1/entitlement';
import { checkGrammar } from '../labels.ts';
import { signed } from '../out/sign.ts';
import { findPgn, passesElevenTest } from '../pgn.ts';
import type { Stated, StatedPage } from './compare.ts';

const TYPE = 'eduk.gateway.v1.CompareEntitlementsRequest';
const MOST = 1_000;
const STATES: ReadonlySet<string> = new Set(['open', 'blocked', 'closed']);
/** Fewer ids say nothing. */
const COLUMN = 8;
/** For one page, and how much of it is read. */
const ANSWER_MS = 20_000;
const MOST_BYTES = 1 << 20;
/** Pages of one answer; of those that are not the last so many may be short, and what counts as short. */
const MOST_PAGES = 1_000;
const MOST_SHORT = 10;
const SHORT = 100;
/** How old a list may be: what changed here since it was made is no difference. */
const OLDEST_MS = 86_400_000;

const invalid = (told: string, where: string): GatewayError => new GatewayError('wire.invalid', told, { where });

/** A page as it was said. Throws wire.invalid, wire.pgn. */
export function pageOf(said: CompareEntitlementsRequest, party: string, now: number): StatedPage {
  const { held, after, last, asOfMs } = said;
  if (held.length > MOST) throw invalid('A page names at most 1000.', 'held');
  if (held.length === 0 && !last) throw invalid('A page that is not the last names something.', 'held');
  let before = after;
  for (const [i, { entitlementId, state }] of held.entries()) {
    if (entitlementId === '' || entitlementId <= before)
      throw invalid('Ids rise, by their bytes, and are above `after`.', `held[${i}].entitlement_id`);
    if (!STATES.has(state)) throw invalid('A state is open, blocked or closed.', `held[${i}].state`);
    before = entitlementId;
  }
  if (asOfMs < 0n || asOfMs > BigInt(now) + 86_400_000n) throw invalid('A list is of a moment that was.', 'as_of_ms');
  if (asOfMs > 0n && asOfMs < BigInt(now - OLDEST_MS)) throw invalid('A list is of the last 24 hours.', 'as_of_ms');
  const [refused] = findPgn([
    { type: TYPE, message: said as unknown as Record<string, unknown>, sender: party, school: said.schoolOin },
  ]);
  if (refused) throw refused;
  // Ids of entitlements are judged one by one elsewhere; here a whole book of them is shown, and what is nobody's here is kept.
  const passing = held.filter(({ entitlementId }) => passesElevenTest(entitlementId)).length;
  if (held.length >= COLUMN && passing * 2 > held.length)
    throw new GatewayError(
      'wire.pgn',
      'These ids look like personal numbers: name entitlements by the ids of their grants.',
      {
        where: 'held',
      },
    );
  return {
    things: held.map(({ entitlementId, state, productId }) => ({ key: entitlementId, says: [state, productId] })),
    through: before,
    isLast: last,
    asOfMs: Math.min(now, Number(asOfMs) || now),
  };
}

/** Who is asked, and about what. */
export interface AskedOf {
  party: string;
  school: string;
  kind: string;
  url: string;
  /** Of the endpoint: the question is signed with it. */
  /** The first is the newest. */
  keys: readonly [Uint8Array, ...Uint8Array[]];
  /** Of the reconciliation. */
  id: string;
}

/** Asks a party at its endpoint. Throws peer.unavailable, peer.refused, wire.pgn. */
export function askedAt(of: AskedOf, dialler: Dialler, now: () => number, signal: AbortSignal): Stated {
  const { party, school, kind, url, keys, id } = of;
  const [key, ...before] = keys;
  let [pages, short] = [0, 0];
  return async (after) => {
    const question = Buffer.from(JSON.stringify({ question: 'holdings', kind, school, after, limit: MOST }));
    const { status, body } = await dialler.dial(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...signed(key, id, Math.floor(now() / 1000), question, before) },
      body: question,
      timeoutMs: ANSWER_MS,
      mostBytes: MOST_BYTES,
      signal,
    });
    if (status >= 400 && status < 500 && status !== 408 && status !== 429)
      throw new GatewayError('peer.refused', 'The party refuses to say what it has.');
    if (status !== 200) throw new GatewayError('peer.unavailable', 'The party did not say what it has.');
    const page = answered(body, { school, after, party }, now());
    pages += 1;
    if (!page.isLast && page.things.length < SHORT) short += 1;
    // An answer ends.
    if (pages > MOST_PAGES || short > MOST_SHORT) throw unusable();
    return page;
  };
}

const unusable = (cause?: unknown): GatewayError =>
  new GatewayError(
    'peer.unavailable',
    'What the party answered is not of the form that was asked: docs/reconciliation.md.',
    {
      cause,
    },
  );

/** Words of the party go nowhere: an answer that breaks a rule is none. */
function answered(body: Uint8Array, of: { school: string; after: string; party: string }, now: number): StatedPage {
  let said: CompareEntitlementsRequest;
  try {
    const json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as Record<string, unknown>;
    const text = (value: unknown): string => {
      if (value !== undefined && typeof value !== 'string') throw new TypeError('not a text');
      return value ?? '';
    };
    const held = (json['held'] as Record<string, unknown>[]).map((one) => ({
      entitlementId: text(one['id']),
      state: text(one['state']),
      productId: text(one['product']),
    }));
    if (typeof json['last'] !== 'boolean') throw new TypeError('it does not say whether that is all');
    const asOf = text(json['asOf']);
    const asOfMs = asOf === '' ? 0 : Date.parse(asOf);
    if (Number.isNaN(asOfMs)) throw new TypeError('not a moment');
    said = CompareEntitlementsRequest.fromPartial({
      schoolOin: of.school,
      after: of.after,
      held,
      last: json['last'],
      asOfMs: BigInt(asOfMs),
    });
    checkGrammar(TYPE, said as unknown as Record<string, unknown>);
  } catch (cause) {
    throw unusable(cause instanceof GatewayError ? undefined : new TypeError('unreadable'));
  }
  try {
    return pageOf(said, of.party, now);
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.fault === 'wire.invalid') throw unusable();
    throw thrown;
  }
}
