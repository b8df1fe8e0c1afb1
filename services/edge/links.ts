/**
 * Links to one page of the operators' console, for who does not sign in: which pages, what such a page may ask of the operator's side,
 * and what of the answers stays inside. The row is in `parties`; which page it is for is sealed, and its secret is nowhere but in the link.
 */
import { createHash, randomBytes } from 'node:crypto';
import { GatewayError, Seals } from '#kernel';
import type * as op from '#proto/eduk/operator/v1/operator';
import { StatusResponse } from '#proto/eduk/operator/v1/operator';
import type { LinkRow } from '#proto/eduk/parties/v1/parties';
import { FEWEST_LEARNERS } from '#release';
import type { Caller } from './caller.ts';
import { holdsPgn } from './pgn.ts';
import type { Services } from './submission.ts';

/** Metadata of gRPC: as who has this link. Only the operator's key may say so, and it then may less. */
export const LINK = 'eduk-link';

/**
 * A page that may be shared: the parts of its query, and what it asks. Lists of everybody, and what is decided, are not. The parts are those
 * that the console's page has, but `by`: the search for a learner, and classes, are for who signs in.
 */
interface Shared {
  query: readonly string[];
  asks: readonly string[];
}
export const sharedPages: Readonly<Record<string, Shared>> = {
  '/flow': { query: ['id', 'party', 'reference'], asks: ['showFlow', 'whyBlocked', 'listParties'] },
  '/flows': { query: ['q', 'school', 'party', 'state', 'from', 'until', 'after'], asks: ['listFlows'] },
  '/readiness': { query: ['school', 'first', 'party', 'cursor', 'product'], asks: ['showReadiness'] },
  '/preflight': { query: ['school', 'day', 'party', 'cursor'], asks: ['showPreflight'] },
  '/launches': { query: ['day'], asks: ['showLaunches'] },
  '/party': {
    query: ['oin', 'from', 'to'],
    asks: ['listParties', 'showScorecard', 'listMandates', 'listParked', 'status'],
  },
};
const USUAL_HOURS = 24;
const MOST_HOURS = 14 * 24;
const HOUR_MS = 3_600_000;
const ID = /^[\w-]{16}$/;
const SECRET = /^[\w-]{43}$/;

/** Other words than those of sessions, which are rows beside these. */
const digestOf = (secret: string): Uint8Array => createHash('sha256').update(`link|${secret}`).digest();
const NONE = new Uint8Array();

interface Place {
  page: string;
  query: op.PageQuery[];
}

/** The same whether it never was, is over, or is opened with another secret. */
const over = (): GatewayError =>
  new GatewayError('party.unknown', 'This link is over, or never was: ask for another.', { where: 'link' });

/** Faults: wire.invalid. */
function checkPlace({ page, query }: Place): void {
  const known = Object.hasOwn(sharedPages, page) ? sharedPages[page] : undefined;
  if (!known)
    throw new GatewayError(
      'wire.invalid',
      'This page is not shared: only messages, searches, readiness, the pre-flight, launches and parties are.',
      { where: 'page' },
    );
  const names = query.map(({ name }) => name);
  if (new Set(names).size < names.length || names.some((name) => !known.query.includes(name)))
    throw new GatewayError('wire.invalid', 'In a link this page takes no such part of a query, or each once.', {
      where: 'query',
    });
  // It is shown to whoever has the link, and in the list of links: an id has a digit, a word that somebody typed seldom has.
  for (const { name, value } of query)
    if (holdsPgn(value, true) || (name === 'q' && value !== '' && !/\d/.test(value)))
      throw new GatewayError(
        'wire.invalid',
        'A link carries ids, days and states: no words, and no number of a person.',
        {
          where: `query.${name}`,
        },
      );
}

export class Links {
  readonly #parties: Services['parties'];
  readonly #seals: Seals;
  readonly #now: () => number;

  constructor(parties: Services['parties'], operatorKey: string, now: () => number) {
    this.#parties = parties;
    this.#seals = new Seals(operatorKey);
    this.#now = now;
  }

  async make({ page, query, hours }: op.MakeLinkRequest): Promise<op.MakeLinkResponse> {
    checkPlace({ page, query });
    if (hours > MOST_HOURS)
      throw new GatewayError('wire.invalid', 'A link holds 336 hours at most, which is fourteen days.', {
        where: 'hours',
      });
    const linkId = randomBytes(12).toString('base64url');
    const secret = randomBytes(32).toString('base64url');
    const { link: row } = await this.#parties.keepLink({
      linkId,
      digest: digestOf(secret),
      sealed: this.#seals.seal('link', linkId, { page, query } satisfies Place),
      endsMs: BigInt(this.#now() + (hours || USUAL_HOURS) * HOUR_MS),
    });
    if (!row) throw new GatewayError('gateway.overloaded', 'There are as many links as may be: end some.');
    return { link: this.#shown(row), secret };
  }

  /** Of those that another operator's key made nothing is known but that they are there. */
  async list(): Promise<op.ListLinksResponse> {
    const { links } = await this.#parties.listLinks({});
    return { links: links.map((row) => this.#shown(row) ?? { ...row, page: '', query: [] }) };
  }

  async end(linkId: string): Promise<void> {
    const { ended } = await this.#parties.endLink({ linkId });
    if (!ended) throw new GatewayError('state.missing', 'No link has this id, or it is over.', { where: 'link_id' });
  }

  async open({ linkId, secret }: op.OpenLinkRequest): Promise<op.OpenLinkResponse> {
    if (!ID.test(linkId) || !SECRET.test(secret)) throw over();
    const { link: row } = await this.#parties.findLink({ linkId, digest: digestOf(secret) });
    const link = row && this.#shown(row);
    if (!link) throw over();
    return { link };
  }

  /** The operator's key, as who has a link: it looks, at what that page asks. Faults: party.unknown, party.forbidden. */
  async narrowed(caller: Caller, linkId: string | undefined): Promise<Caller> {
    if (linkId === undefined || linkId === '') return caller;
    // Somebody who signed in is somebody, and not who has a link.
    if (caller.kind !== 'operator' || caller.person !== undefined)
      throw new GatewayError('party.forbidden', 'Only the console reads for who has a link.', { where: LINK });
    const row = ID.test(linkId) ? (await this.#parties.findLink({ linkId, digest: NONE })).link : undefined;
    const link = row && this.#shown(row);
    if (!link) throw over();
    return { ...caller, duty: 'read', link: { id: linkId, asks: new Set(sharedPages[link.page]?.asks) } };
  }

  /** Undefined = it is not of this operator's key. */
  #shown({ linkId, sealed, madeMs, endsMs, openedMs }: LinkRow): op.PageLink | undefined {
    const place = this.#seals.open('link', linkId, sealed) as Place | undefined;
    return place && { linkId, ...place, madeMs, endsMs, openedMs };
  }
}

/** How many learners, as somebody outside may know it: nothing under ten. */
const outside = (learners: number): number => (learners < FEWEST_LEARNERS ? 0 : learners);
const lessLearners = <T extends { learners: number }>(all: readonly T[]): T[] =>
  all.map((one) => ({ ...one, learners: outside(one.learners) }));

/** What of an answer is not for outside; counts of readiness and launches are told to the operator as to anybody outside a school. */
const answers: Readonly<Record<string, (answer: any) => unknown>> = {
  whyBlocked: ({ blockers, earlier, told, partial }: op.WhyBlockedResponse): op.WhyBlockedResponse => ({
    blockers: lessLearners(blockers),
    earlier: lessLearners(earlier),
    told,
    partial,
    has: [],
  }),
  // By what a party proves itself, and who signs in for it.
  listParties: (answer: op.ListPartiesResponse): op.ListPartiesResponse => ({
    ...answer,
    signIns: [],
    proofs: undefined,
  }),
  // Only the certificate of a party is told on a page that is shared.
  status: ({ certificates }: op.StatusResponse): op.StatusResponse => StatusResponse.fromPartial({ certificates }),
};

/** An answer as the caller may know it. */
export const asSeenBy = ({ link }: Caller, key: string, answer: unknown): unknown =>
  link === undefined ? answer : (answers[key]?.(answer) ?? answer);
