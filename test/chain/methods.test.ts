/**
 * Every method of the public surface and of the operator's, over the wire: what it does, seen through another method,
 * and whom it refuses. A method without a case here fails.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientDuplexStream, ClientReadableStream } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MethodDefinition } from '#kernel';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Audience, EntitlementState, LineState, ResultKind } from '#proto/eduk/core/v1/ordering';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { publicServices } from '../../services/edge/grpc/services.ts';
import {
  type Clients,
  eckId,
  Fault,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';
import { type Listener, openListener } from './listener.ts';

const ALL_ROLES = [
  Role.ROLE_BOARD,
  Role.ROLE_SCHOOL,
  Role.ROLE_ADMINISTRATION,
  Role.ROLE_DISTRIBUTOR,
  Role.ROLE_PUBLISHER,
  Role.ROLE_PLATFORM,
  Role.ROLE_DASHBOARD,
];
const ALL_SERVICES = [
  Service.SERVICE_ROSTER,
  Service.SERVICE_ORDER,
  Service.SERVICE_ENTITLEMENT,
  Service.SERVICE_ACCESS,
  Service.SERVICE_RESULT,
  Service.SERVICE_PROGRESS,
  Service.SERVICE_USAGE,
];
const BOOK = '9789000000019';
const OTHER_BOOK = '9789000000026';
const YEAR = '2026-2027';
const WAIT = 5000n;

let at: TestGateway;
const school = newSchool();
const otherSchool = newSchool();
/** The school itself, which grants and sees without a mandate. */
let own: TestParty;
let las: TestParty;
let publisher: TestParty;
let platform: TestParty;
let distributor: TestParty;
let dashboard: TestParty;
/** With every service of the school, and a role that may do next to nothing. */
let federation: TestParty;
/** The same, where a federation may. */
let bookseller: TestParty;
/** With every role, and no mandate of the school. */
let stranger: TestParty;
/** A supplier of the same school with every service, which has nothing to do with what the others do. */
let colleague: TestParty;

let sequence = 0;
const fresh = (name: string): string => `${name}-${++sequence}`;

/** What came of a call: '' answered, a fault's code, or `nothing` where a list or watch had nothing in it. */
async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    const given = await answer;
    if (Array.isArray(given)) return given.length === 0 ? 'nothing' : '';
    return (given as { decision?: { code: string } })?.decision?.code ?? '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}

/** A bulk stream with these items: the code of the first refusal, if any, as a decision. */
async function bulk<Q>(call: ClientDuplexStream<Q, unknown>, ...items: Q[]) {
  const answers = (await sendAll(call, items)) as { refusals: { code: string; where: string }[]; through: bigint }[];
  expect(answers.at(-1)!.through).toBe(BigInt(items.length - 1));
  return { decision: { code: answers.flatMap(({ refusals }) => refusals)[0]?.code ?? '' } };
}

/** As long as a question and its answer take here and now, and a little more: on a busy machine moments are longer. */
async function moment(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 25));
  await las.parties.getParty({ oin: las.oin });
}

/** What a watch shows within some moments. */
async function glance<A>(call: ClientReadableStream<A>): Promise<A[]> {
  const seen: A[] = [];
  let over: { code?: number } | undefined;
  call.on('data', (message: A) => seen.push(message));
  call.on('error', (error) => {
    over = error as { code?: number };
  });
  for (let i = 0; i < 20 && !over; i++) await moment();
  call.cancel();
  if (over && over.code !== 1) throw new Fault(over as never);
  return seen;
}

/** Asks until the answer is right; what is accepted takes a moment to be decided. */
async function eventually<T>(ask: () => Promise<T>, right: (value: T) => boolean, ms = 60_000): Promise<T> {
  for (const until = Date.now() + ms; ; ) {
    const value = await ask();
    if (right(value) || Date.now() > until) {
      expect(right(value), `within ${ms} ms`).toBe(true);
      return value;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const learner = (n: number) => ({ eckId: eckId(n) });
const product = (productId: string, more: object = {}) => ({
  productId,
  title: 'Rekenen voor reuzen',
  subjects: ['rekenen'],
  accessUrl: 'https://wilg.example/reuzen',
  licence: { licensed: true },
  platformOin: platform.oin,
  ...more,
});
const grant = (entitlementId: string, n: number, more: object = {}) => ({
  reference: fresh('grant'),
  schoolOin: school,
  holder: { learner: learner(n) },
  terms: { entitlementId, productId: BOOK, startsOn: '2026-08-01', endsOn: '2036-07-31' },
  ...more,
});
const order = (orderId: string, more: object = {}) => ({
  reference: fresh('order'),
  orderId,
  schoolOin: school,
  lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner: learner(1) }],
  waitMs: WAIT,
  ...more,
});
const result = (resultId: string, n: number, score = 8) => ({
  reference: fresh('result'),
  schoolOin: school,
  result: {
    resultId,
    learner: learner(n),
    productId: BOOK,
    kind: ResultKind.RESULT_KIND_FINAL,
    payload: { activityId: 'toets-1', donePercent: 100, score, scoreMax: 10, takenAt: '2026-11-20' },
  },
});
const pupil = (n: number, groupKey = '7a') => ({
  ref: { eckId: eckId(n), lasKey: `key-${n}` },
  person: { callName: `Noor${n}`, familyName: 'Beuk', birthDate: '2015-02-11', gender: '2', email: `n${n}@x.example` },
  yearGroup: '7',
  groupKey,
});
const roster = (pupils: ReturnType<typeof pupil>[], more: object = {}) => ({
  reference: fresh('roster'),
  rosterId: fresh('roster-id'),
  last: true,
  roster: {
    schoolOin: school,
    schoolYear: YEAR,
    groups: [
      { key: '7a', name: 'Groep 7A', yearGroup: '7' },
      { key: '7b', name: 'Groep 7B', yearGroup: '7' },
    ],
    learners: pupils,
    staff: [{ ref: { lasKey: 'm1' }, person: { callName: 'Wil', familyName: 'Wilg' }, groups: [{ key: '7a' }] }],
  },
  ...more,
});
const rosterOf = async (as: Clients) =>
  (await as.rosters.getRoster({ schoolOin: school, schoolYear: YEAR, limit: 1000 })).roster!;
/** Pupils of the school; a case that adds one adds it here too, so that no roster takes another's away. */
const pupils = [pupil(1), pupil(2), pupil(3)];

const entitlement = async (as: Clients, entitlementId: string) =>
  (await as.entitlements.getEntitlement({ schoolOin: school, entitlementId })).entitlement!;
const granted = async (entitlementId: string, n: number, more: object = {}) => {
  expect(await bulk(publisher.entitlements.grantEntitlements(), grant(entitlementId, n, more))).toMatchObject({
    decision: { code: '' },
  });
  return eventually(
    () => entitlement(publisher, entitlementId),
    ({ decision }) => decision!.outcome !== '',
  );
};
const launched = () =>
  platform.access.createLaunch({
    reference: fresh('launch'),
    schoolOin: school,
    learner: learner(1),
    entitlementId: 'ent-1',
  });

beforeAll(async () => {
  at = await startTestGateway();
  own = await at.party('De Wilgenhof', [Role.ROLE_SCHOOL], school);
  await at.party('De Beukenhof', [Role.ROLE_SCHOOL], otherSchool);
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  distributor = await at.party('Boekenberg', [Role.ROLE_DISTRIBUTOR]);
  dashboard = await at.party('Zicht', [Role.ROLE_DASHBOARD]);
  federation = await at.party('Sleutelbos', [Role.ROLE_FEDERATION]);
  bookseller = await at.party('Uitgeverij Eik', [Role.ROLE_PUBLISHER]);
  stranger = await at.party('Alleskunner', ALL_ROLES);
  colleague = await at.party('Andere Leverancier', [
    Role.ROLE_DISTRIBUTOR,
    Role.ROLE_PUBLISHER,
    Role.ROLE_PLATFORM,
    Role.ROLE_DASHBOARD,
  ]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_RESULT]);
  await at.mandate(school, publisher.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
  await at.mandate(school, platform.oin, [
    Service.SERVICE_ROSTER,
    Service.SERVICE_ENTITLEMENT,
    Service.SERVICE_ACCESS,
    Service.SERVICE_RESULT,
    Service.SERVICE_USAGE,
  ]);
  await at.mandate(school, distributor.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
  await at.mandate(school, dashboard.oin, [Service.SERVICE_PROGRESS]);
  for (const party of [federation, bookseller, colleague]) {
    const { mandateId } = await at.mandate(school, party.oin, ALL_SERVICES);
    if (party !== colleague)
      await own.parties.answerReview({ reference: fresh('review'), schoolOin: school, mandateId, answer: 'keep' });
  }
  await at.mandate(otherSchool, stranger.oin, ALL_SERVICES);
  await bulk(
    publisher.catalogue.publishProducts(),
    { reference: fresh('product'), product: product(BOOK) },
    { reference: fresh('product'), product: product(OTHER_BOOK, { title: 'Taal op reis', subjects: ['taal'] }) },
  );
  await bulk(las.rosters.pushRoster(), roster(pupils));
  await eventually(
    () => rosterOf(own).catch(() => undefined),
    (known) => known !== undefined,
  );
  for (const id of ['o-1', 'o-2'])
    expect(await las.orders.placeOrder(order(id))).toMatchObject({ decision: { code: '' } });
  await granted('ent-1', 1);
  await granted('ent-2', 2);
  await bulk(platform.results.returnResults(), result('res-1', 1), result('res-2', 2));
  await eventually(
    () => las.results.listResults({ schoolOin: school }),
    ({ results }) => results.length === 2,
  );
});
afterAll(async () => {
  await (await openingListener)?.hook.close();
  await at?.stop();
});

/** Who else calls, and what they are told. */
interface Others {
  /** The call as a rightful party would make it. A list is given as array, so that an empty one counts as nothing. */
  call(as: Clients): Promise<unknown>;
  /** A party of the school whose role does not include it; absent = the method asks no role. */
  roleless?: () => TestParty;
  stranger: string;
  colleague?: string;
}

interface Case extends Others {
  effect(): Promise<void>;
  /** For methods with a cursor: the rightful caller's request from a cursor on. */
  from?(as: Clients, cursor: string, limit: number): Promise<{ ids: string[]; cursor: string }>;
  rightful?: () => TestParty;
}

const everyone = () => federation;

const cases: Record<string, Case> = {
  'PartyService.GetParty': {
    call: (as) => as.parties.getParty({ oin: publisher.oin }),
    stranger: 'state.missing',
    effect: async () => {
      const added = await at.party('Nieuwkomer', [Role.ROLE_PLATFORM]);
      expect(await codeOf(las.parties.getParty({ oin: added.oin }))).toBe('state.missing');
      await at.mandate(school, added.oin, [Service.SERVICE_ACCESS]);
      expect((await las.parties.getParty({ oin: added.oin })).party).toMatchObject({ name: 'Nieuwkomer' });
    },
  },
  'PartyService.ListParties': {
    call: async (as) =>
      (await as.parties.listParties({ role: Role.ROLE_PUBLISHER })).parties.filter(({ oin }) => oin === publisher.oin),
    stranger: 'nothing',
    rightful: () => las,
    from: async (as, cursor, limit) => {
      const { parties, cursor: next } = await as.parties.listParties({ limit, cursor });
      return { ids: parties.map(({ oin }) => oin), cursor: next };
    },
    effect: async () => {
      const added = await at.party('Nieuwkomer', [Role.ROLE_PLATFORM]);
      const listed = async () => (await las.parties.listParties({})).parties.some(({ oin }) => oin === added.oin);
      expect(await listed()).toBe(false);
      await at.mandate(school, added.oin, [Service.SERVICE_ACCESS]);
      expect(await listed()).toBe(true);
    },
  },
  'PartyService.GrantMandate': {
    call: (as) =>
      as.parties.grantMandate({
        reference: fresh('mandate'),
        schoolOin: school,
        partyOin: colleague.oin,
        services: [Service.SERVICE_STAFF],
      }),
    roleless: everyone,
    stranger: 'state.missing',
    colleague: 'party.forbidden',
    effect: async () => {
      const added = await at.party('Nieuwkomer', [Role.ROLE_PLATFORM]);
      const ask = () => codeOf(added.rosters.getRoster({ schoolOin: school, schoolYear: YEAR }));
      expect(await ask()).toBe('mandate.missing');
      const given = await own.parties.grantMandate({
        reference: fresh('mandate'),
        schoolOin: school,
        partyOin: added.oin,
        services: [Service.SERVICE_ROSTER],
      });
      expect(given).toMatchObject({ decision: { outcome: 'MandateChanged', code: '' } });
      expect(given.autorisatiesleutel.length).toBeGreaterThan(20);
      expect(await ask()).toBe('');
    },
  },
  'PartyService.WithdrawMandate': {
    call: async (as) =>
      as.parties.withdrawMandate({
        reference: fresh('withdraw'),
        schoolOin: school,
        mandateId: (await own.parties.listMandates({ partyOin: colleague.oin })).mandates[0]!.mandateId,
      }),
    roleless: everyone,
    stranger: 'state.missing',
    colleague: 'party.forbidden',
    effect: async () => {
      const added = await at.party('Vertrekker', [Role.ROLE_PLATFORM]);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER]);
      expect(await codeOf(rosterOf(added))).toBe('');
      expect(
        await own.parties.withdrawMandate({ reference: fresh('withdraw'), schoolOin: school, mandateId }),
      ).toMatchObject({ decision: { code: '' } });
      expect(await codeOf(rosterOf(added))).toBe('mandate.ended');
    },
  },
  'PartyService.ConfirmMandate': {
    call: async (as) =>
      as.parties.confirmMandate({
        reference: fresh('confirm'),
        schoolOin: school,
        mandateId: (await own.parties.listMandates({ partyOin: colleague.oin })).mandates[0]!.mandateId,
      }),
    roleless: everyone,
    stranger: 'state.missing',
    colleague: 'party.forbidden',
    effect: async () => {
      const added = await at.party('Wachtende', [Role.ROLE_PLATFORM]);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER], { confirm: false });
      expect(await codeOf(rosterOf(added))).toBe('mandate.unconfirmed');
      const sent = { reference: fresh('confirm'), schoolOin: school, mandateId };
      const given = await own.parties.confirmMandate(sent);
      expect(given).toMatchObject({ decision: { code: '' }, state: MandateState.MANDATE_STATE_ACTIVE });
      expect(await codeOf(rosterOf(added))).toBe('');
      expect((await own.parties.confirmMandate(sent)).flowId).toBe(given.flowId);
    },
  },
  'PartyService.AcceptMandate': {
    call: async (as) =>
      as.parties.acceptMandate({
        reference: fresh('accept'),
        mandateId: (await own.parties.listMandates({ partyOin: publisher.oin })).mandates[0]!.mandateId,
      }),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const added = await at.party('Aanvaarder', [Role.ROLE_PLATFORM]);
      const { mandateId } = await own.parties.grantMandate({
        reference: fresh('mandate'),
        schoolOin: school,
        partyOin: added.oin,
        services: [Service.SERVICE_ROSTER],
        requiresAcceptance: true,
      });
      expect(await codeOf(rosterOf(added))).toBe('mandate.unaccepted');
      expect(await added.parties.acceptMandate({ reference: fresh('accept'), mandateId })).toMatchObject({
        decision: { code: '' },
        state: MandateState.MANDATE_STATE_ACTIVE,
      });
      expect(await codeOf(rosterOf(added))).toBe('');
    },
  },
  'PartyService.RefuseMandate': {
    call: async (as) =>
      as.parties.refuseMandate({
        reference: fresh('refuse'),
        mandateId: (await own.parties.listMandates({ partyOin: publisher.oin })).mandates[0]!.mandateId,
      }),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const added = await at.party('Weigeraar', [Role.ROLE_PLATFORM]);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER]);
      expect(await codeOf(rosterOf(added))).toBe('');
      expect(await added.parties.refuseMandate({ reference: fresh('refuse'), mandateId })).toMatchObject({
        decision: { code: '' },
        state: MandateState.MANDATE_STATE_ENDED,
      });
      expect(await codeOf(rosterOf(added))).toBe('mandate.ended');
      expect((await own.parties.listMandates({ partyOin: added.oin })).mandates).toMatchObject([
        { mandateId, endedBy: added.oin },
      ]);
    },
  },
  'PartyService.WatchMandates': {
    call: (as) => glance(as.parties.watchMandates({ schoolOin: school })),
    stranger: 'nothing',
    rightful: () => own,
    from: async (as, cursor, limit) =>
      watched(as.parties.watchMandates({ cursor }), limit, ({ cursor: _, ...rest }) => JSON.stringify(rest)),
    effect: async () => {
      const added = await at.party('Volger', [Role.ROLE_PLATFORM]);
      const seeing = readUntil(added.parties.watchMandates({}), (all) => all.length === 2);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER]);
      await own.parties.withdrawMandate({ reference: fresh('withdraw'), schoolOin: school, mandateId });
      expect(await seeing).toMatchObject([
        { change: 'entered', byOin: 'operator', mandate: { mandateId, schoolOin: school } },
        { change: 'ended', byOin: school, mandate: { mandateId, state: MandateState.MANDATE_STATE_ENDED } },
      ]);
    },
  },
  'PartyService.AnswerReview': {
    call: async (as) =>
      as.parties.answerReview({
        reference: fresh('review'),
        schoolOin: school,
        mandateId: (await own.parties.listMandates({ partyOin: colleague.oin })).mandates[0]!.mandateId,
        answer: 'keep',
      }),
    roleless: everyone,
    stranger: 'state.missing',
    colleague: 'party.forbidden',
    effect: async () => {
      const added = await at.party('Bevraagde', [Role.ROLE_PLATFORM]);
      const services = [Service.SERVICE_ROSTER, Service.SERVICE_RESULT];
      const { mandateId } = await at.mandate(school, added.oin, services, { attributes: ['eck_id', 'call_name'] });
      const asked = { schoolOin: school, mandateId };
      const answer = (more: object) => own.parties.answerReview({ reference: fresh('review'), ...asked, ...more });
      expect(await codeOf(answer({ answer: 'keep' }))).toBe('');
      // Narrower is less, and never more.
      expect(await codeOf(answer({ answer: 'narrow', attributes: ['email'] }))).toBe('wire.invalid');
      expect(await codeOf(answer({ answer: 'narrow', services: [Service.SERVICE_ORDER] }))).toBe('wire.invalid');
      expect(await codeOf(answer({ answer: 'narrow' }))).toBe('wire.invalid');
      const narrow = { reference: fresh('review'), ...asked, answer: 'narrow', attributes: ['eck_id'] };
      const first = await own.parties.answerReview(narrow);
      expect(first.decision!.code).toBe('');
      const { mandateId: instead } = first;
      const { mandates } = await added.parties.listMandates({});
      expect(mandates.find((one) => one.mandateId === instead)).toMatchObject({
        state: MandateState.MANDATE_STATE_ACTIVE,
        attributes: ['eck_id'],
        services,
      });
      expect(mandates.find((one) => one.mandateId === mandateId)!.state).toBe(MandateState.MANDATE_STATE_ENDED);
      expect(await codeOf(rosterOf(added))).toBe('');
      // The same again is one answer; another for what has ended is none.
      expect(await own.parties.answerReview(narrow)).toMatchObject({ mandateId: instead, receipt: first.receipt! });
      expect(await codeOf(answer({ answer: 'narrow', services: [Service.SERVICE_ROSTER] }))).toBe('mandate.ended');
      expect(await codeOf(answer({ mandateId: instead, answer: 'end' }))).toBe('');
      expect(await codeOf(rosterOf(added))).toBe('mandate.ended');
    },
  },
  'PartyService.ListReviews': {
    call: async (as) => (await as.parties.listReviews({ schoolOin: school })).reviews,
    stranger: 'nothing',
    rightful: () => own,
    from: async (as, cursor, limit) => {
      const { reviews, cursor: next } = await as.parties.listReviews({ limit, cursor });
      return { ids: reviews.map(({ mandateId }) => mandateId), cursor: next };
    },
    effect: async () => {
      const added = await at.party('Gevraagde', [Role.ROLE_PLATFORM]);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER]);
      await own.parties.answerReview({ reference: fresh('review'), schoolOin: school, mandateId, answer: 'keep' });
      const { reviews } = await own.parties.listReviews({ schoolOin: school });
      expect(reviews).toContainEqual(expect.objectContaining({ mandateId, state: 'kept', byOin: school }));
      expect((await own.parties.listReviews({ open: true })).reviews).toEqual([]);
    },
  },
  'PartyService.GetScorecard': {
    call: async (as) => (await as.parties.getScorecard({})).scorecard,
    // Whoever asks gets their own, and can name nobody else's.
    stranger: '',
    effect: async () => {
      const added = await at.party('Afzender', [Role.ROLE_DISTRIBUTOR]);
      const card = async () => (await added.parties.getScorecard({})).scorecard!;
      expect(await card()).toMatchObject({ partyOin: added.oin, total: { accepted: 0n }, days: [] });
      expect(await codeOf(added.parties.getScorecard({ fromDay: 'gisteren' }))).toBe('wire.invalid');
      // What it asked for and was refused at the door is counted with the notes of the doors.
      expect(await codeOf(added.orders.placeOrder(order('score-1')))).toBe('mandate.missing');
      await expect.poll(async () => (await card()).total!.refusedAtDoor).toBe(1n);
      expect((await card()).total!.refusals).toEqual([{ code: 'mandate.missing', times: 1n }]);
    },
  },
  'PartyService.ListMandates': {
    call: async (as) => (await as.parties.listMandates({ schoolOin: school })).mandates,
    stranger: 'nothing',
    rightful: () => own,
    from: async (as, cursor, limit) => {
      const { mandates, cursor: next } = await as.parties.listMandates({ limit, cursor });
      return { ids: mandates.map(({ mandateId }) => mandateId), cursor: next };
    },
    effect: async () => {
      const added = await at.party('Getekende', [Role.ROLE_PLATFORM]);
      const { mandateId } = await at.mandate(school, added.oin, [Service.SERVICE_ROSTER], { confirm: false });
      const [mandate] = (await added.parties.listMandates({})).mandates;
      expect(mandate).toMatchObject({ mandateId, state: MandateState.MANDATE_STATE_UNCONFIRMED, schoolOin: school });
    },
  },
  'CatalogueService.PublishProducts': {
    call: (as) =>
      bulk(as.catalogue.publishProducts(), { reference: fresh('product'), product: product(fresh('title')) }),
    roleless: everyone,
    stranger: '', // Public: every publisher publishes, its own.
    effect: async () => {
      const id = fresh('boek');
      expect(await codeOf(las.catalogue.getProduct({ productId: id }))).toBe('product.unknown');
      await bulk(publisher.catalogue.publishProducts(), { reference: fresh('product'), product: product(id) });
      const shown = await eventually(
        () => las.catalogue.getProduct({ productId: id }).catch(() => undefined),
        (known) => known !== undefined,
      );
      expect(shown!.product).toMatchObject({ title: 'Rekenen voor reuzen', publisherOin: publisher.oin });
      // Another publisher's title stays its own.
      const reference = fresh('product');
      await bulk(stranger.catalogue.publishProducts(), { reference, product: product(id, { title: 'Gekaapt' }) });
      const { flow } = await stranger.flows.getFlow({ reference, waitMs: WAIT });
      expect(flow).toMatchObject({ state: 'refused' });
      expect((await las.catalogue.getProduct({ productId: id })).product!.title).toBe('Rekenen voor reuzen');
    },
  },
  'CatalogueService.GetProduct': {
    call: (as) => as.catalogue.getProduct({ productId: BOOK }),
    stranger: '',
    effect: async () => {
      await bulk(publisher.catalogue.publishProducts(), {
        reference: fresh('product'),
        product: product(OTHER_BOOK, { title: 'Taal op reis, tweede druk', subjects: ['taal'] }),
      });
      await eventually(
        () => las.catalogue.getProduct({ productId: OTHER_BOOK }),
        (answer) => answer.product!.title === 'Taal op reis, tweede druk',
      );
    },
  },
  'CatalogueService.SearchProducts': {
    call: async (as) => (await as.catalogue.searchProducts({ words: 'reuzen' })).products,
    stranger: '',
    rightful: () => las,
    from: async (as, cursor, limit) => {
      const { products, cursor: next } = await as.catalogue.searchProducts({ limit, cursor });
      return { ids: products.map(({ productId }) => productId), cursor: next };
    },
    effect: async () => {
      const word = `zoekwoord${++sequence}`;
      const find = async () =>
        (await las.catalogue.searchProducts({ words: word, subject: 'aardrijkskunde' })).products;
      expect(await find()).toEqual([]);
      const id = fresh('boek');
      await bulk(publisher.catalogue.publishProducts(), {
        reference: fresh('product'),
        product: product(id, { title: `De wereld, ${word}`, subjects: ['aardrijkskunde'] }),
      });
      const [found] = await eventually(find, (list) => list.length === 1);
      expect(found!.productId).toBe(id);
    },
  },
  'CatalogueService.WatchProducts': {
    call: (as) => glance(as.catalogue.watchProducts({})),
    stranger: '',
    rightful: () => las,
    from: async (as, cursor, limit) => watched(as.catalogue.watchProducts({ cursor }), limit, (m) => m.product!.title),
    effect: async () => {
      const id = fresh('boek');
      const seeing = readUntil(las.catalogue.watchProducts({}), (all) => all.at(-1)!.product!.productId === id);
      await bulk(publisher.catalogue.publishProducts(), { reference: fresh('product'), product: product(id) });
      expect((await seeing).at(-1)!.product!.title).toBe('Rekenen voor reuzen');
    },
  },
  'RosterService.PushRoster': {
    call: (as) => bulk(as.rosters.pushRoster(), roster(pupils)),
    roleless: everyone,
    stranger: 'mandate.missing',
    effect: async () => {
      pupils.push(pupil(4, '7b'));
      await bulk(las.rosters.pushRoster(), roster(pupils));
      const { learners } = await eventually(
        () => rosterOf(platform),
        (known) => known.learners.length === pupils.length,
      );
      expect(learners.find(({ ref }) => ref!.lasKey === 'key-4')).toMatchObject({ groupKey: '7b' });
    },
  },
  'RosterService.GetRoster': {
    call: (as) => as.rosters.getRoster({ schoolOin: school, schoolYear: YEAR }),
    stranger: 'mandate.missing',
    rightful: () => platform,
    from: async (as, cursor, limit) => {
      const { roster, cursor: next } = await as.rosters.getRoster({
        schoolOin: school,
        schoolYear: YEAR,
        limit,
        cursor,
      });
      return { ids: roster!.learners.map(({ ref }) => ref!.eckId), cursor: next };
    },
    effect: async () => {
      pupils[0] = pupil(1, '7b');
      await bulk(las.rosters.pushRoster(), roster(pupils));
      await eventually(
        () => rosterOf(platform),
        ({ learners }) => learners.some(({ ref, groupKey }) => ref!.lasKey === 'key-1' && groupKey === '7b'),
      );
    },
  },
  'RosterService.WatchRosters': {
    call: (as) => glance(as.rosters.watchRosters({})),
    stranger: 'nothing',
    rightful: () => platform,
    from: async (as, cursor, limit) =>
      watched(as.rosters.watchRosters({ cursor }), limit, ({ cursor: _, ...rest }) => JSON.stringify(rest)),
    effect: async () => {
      const joined = pupil(5);
      pupils.push(joined);
      const seeing = readUntil(platform.rosters.watchRosters({ schoolOin: school }), (all) =>
        all.some(({ change, learner: one }) => change === 'learner_joined' && one!.ref!.eckId === eckId(5)),
      );
      await bulk(las.rosters.pushRoster(), roster(pupils));
      expect((await seeing).at(-1)).toMatchObject({ schoolOin: school, schoolYear: YEAR });
    },
  },
  'OrderService.PlaceOrder': {
    call: (as) => as.orders.placeOrder(order(fresh('o'))),
    roleless: everyone,
    stranger: 'mandate.missing',
    effect: async () => {
      const id = fresh('o');
      await las.orders.placeOrder(order(id));
      expect((await publisher.orders.getOrder({ orderId: id })).order).toMatchObject({
        buyerOin: las.oin,
        lines: [{ state: LineState.LINE_STATE_PLACED, line: { learner: learner(1) } }],
      });
    },
  },
  'OrderService.ConfirmOrder': {
    call: (as) =>
      as.orders.confirmOrder({
        reference: fresh('confirm'),
        orderId: 'o-1',
        outcomes: [{ lineId: '1', state: LineState.LINE_STATE_CONFIRMED }],
        waitMs: WAIT,
      }),
    roleless: everyone,
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      await publisher.orders.confirmOrder({
        reference: fresh('confirm'),
        orderId: 'o-1',
        outcomes: [{ lineId: '1', state: LineState.LINE_STATE_CONFIRMED }],
        waitMs: WAIT,
      });
      const { order } = await las.orders.getOrder({ orderId: 'o-1' });
      expect(order!.lines[0]!.state).toBe(LineState.LINE_STATE_CONFIRMED);
    },
  },
  'OrderService.CancelOrder': {
    call: (as) => as.orders.cancelOrder({ reference: fresh('cancel'), orderId: 'o-2', waitMs: WAIT }),
    roleless: everyone,
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const id = fresh('o');
      await las.orders.placeOrder(order(id));
      await las.orders.cancelOrder({ reference: fresh('cancel'), orderId: id, waitMs: WAIT });
      const { order: shown } = await publisher.orders.getOrder({ orderId: id });
      expect(shown!.lines[0]!.state).toBe(LineState.LINE_STATE_CANCELLED);
      // A seller cannot take back what it did not buy.
      expect(
        await codeOf(distributor.orders.cancelOrder({ reference: fresh('cancel'), orderId: 'o-2', waitMs: WAIT })),
      ).toBe('state.missing');
    },
  },
  'OrderService.GetOrder': {
    call: (as) => as.orders.getOrder({ orderId: 'o-1' }),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const sent = order(fresh('o'), { waitMs: 0n });
      const { flowId } = await las.orders.placeOrder(sent);
      const shown = await las.orders.getOrder({ reference: sent.reference });
      expect(shown.order).toMatchObject({ orderId: sent.orderId, flowId });
    },
  },
  'OrderService.ListOrders': {
    call: async (as) => (await as.orders.listOrders({})).orders,
    stranger: 'nothing',
    colleague: 'nothing',
    rightful: () => las,
    from: async (as, cursor, limit) => {
      const { orders, cursor: next } = await as.orders.listOrders({ limit, cursor });
      return { ids: orders.map(({ orderId }) => orderId), cursor: next };
    },
    effect: async () => {
      const id = fresh('o');
      await las.orders.placeOrder(order(id));
      const { orders } = await publisher.orders.listOrders({ schoolOin: school, limit: 1000 });
      expect(orders.map(({ orderId }) => orderId)).toContain(id);
    },
  },
  'OrderService.WatchOrders': {
    call: (as) => glance(as.orders.watchOrders({})),
    stranger: 'nothing',
    colleague: 'nothing',
    rightful: () => publisher,
    from: async (as, cursor, limit) =>
      watched(as.orders.watchOrders({ cursor }), limit, ({ change, order }) => `${change} ${order!.orderId}`),
    effect: async () => {
      const id = fresh('o');
      const seeing = readUntil(publisher.orders.watchOrders({}), (all) => all.at(-1)!.order!.orderId === id);
      await las.orders.placeOrder(order(id));
      expect((await seeing).at(-1)).toMatchObject({ change: 'placed' });
    },
  },
  'EntitlementService.GrantEntitlements': {
    call: (as) => bulk(as.entitlements.grantEntitlements(), grant(fresh('e'), 1)),
    roleless: everyone,
    stranger: 'mandate.missing',
    effect: async () => {
      const id = fresh('e');
      await granted(id, 3);
      const { entitlements } = await platform.entitlements.listEntitlements({ schoolOin: school, learner: learner(3) });
      expect(entitlements.find(({ terms }) => terms!.entitlementId === id)).toMatchObject({
        holder: { learner: learner(3) },
        state: EntitlementState.ENTITLEMENT_STATE_GRANTED,
      });
    },
  },
  'EntitlementService.WithdrawEntitlements': {
    call: (as) =>
      as.entitlements.withdrawEntitlements({
        reference: fresh('take-back'),
        schoolOin: school,
        entitlementIds: ['ent-2'],
        waitMs: WAIT,
      }),
    roleless: everyone,
    stranger: 'mandate.missing',
    colleague: 'state.missing',
    effect: async () => {
      const id = fresh('e');
      await granted(id, 3);
      await publisher.entitlements.withdrawEntitlements({
        reference: fresh('take-back'),
        schoolOin: school,
        entitlementIds: [id],
        waitMs: WAIT,
      });
      expect((await entitlement(platform, id)).state).toBe(EntitlementState.ENTITLEMENT_STATE_WITHDRAWN);
    },
  },
  'EntitlementService.GetEntitlement': {
    call: (as) => as.entitlements.getEntitlement({ schoolOin: school, entitlementId: 'ent-1' }),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const sent = grant(fresh('e'), 3, { activationCode: 'GEHEIM-1' });
      await bulk(publisher.entitlements.grantEntitlements(), sent);
      const shown = await publisher.entitlements.getEntitlement({ schoolOin: school, reference: sent.reference });
      expect(shown.entitlement!.terms!.entitlementId).toBe(sent.terms.entitlementId);
      await eventually(
        () => entitlement(platform, sent.terms.entitlementId),
        ({ activationCode }) => activationCode === 'GEHEIM-1',
      );
    },
  },
  'EntitlementService.ListEntitlements': {
    call: async (as) => (await as.entitlements.listEntitlements({ schoolOin: school })).entitlements,
    stranger: 'mandate.missing',
    colleague: 'nothing',
    rightful: () => publisher,
    from: async (as, cursor, limit) => {
      const { entitlements, cursor: next } = await as.entitlements.listEntitlements({
        schoolOin: school,
        limit,
        cursor,
      });
      return { ids: entitlements.map(({ terms }) => terms!.entitlementId), cursor: next };
    },
    effect: async () => {
      const id = fresh('e');
      await granted(id, 2);
      const { entitlements } = await own.entitlements.listEntitlements({
        schoolOin: school,
        productId: BOOK,
        limit: 1000,
      });
      expect(entitlements.map(({ terms }) => terms!.entitlementId)).toContain(id);
    },
  },
  'EntitlementService.CompareEntitlements': {
    call: async (as) => {
      const { differences, moving } = await as.entitlements.compareEntitlements({ schoolOin: school, last: true });
      return [...differences, ...Array.from({ length: Number(moving) })];
    },
    stranger: 'mandate.missing',
    colleague: 'nothing',
    effect: async () => {
      const held = [{ entitlementId: fresh('nobodys'), state: 'open', productId: BOOK }];
      const said = await platform.entitlements.compareEntitlements({ schoolOin: school, held, last: true });
      expect(said).toMatchObject({ done: true, surplus: 1n });
      expect(said.differences).toMatchObject([{ entitlementId: held[0]!.entitlementId, difference: 'surplus' }]);
    },
  },
  'EntitlementService.WatchEntitlements': {
    // What the caller asked itself and was refused is told to it.
    call: async (as) =>
      (await glance(as.entitlements.watchEntitlements({}))).filter(({ change }) => !change.endsWith('refused')),
    stranger: 'nothing',
    colleague: 'nothing',
    rightful: () => platform,
    from: async (as, cursor, limit) =>
      watched(
        as.entitlements.watchEntitlements({ cursor }),
        limit,
        ({ change, cause, entitlement }) => `${change} ${cause} ${entitlement!.terms!.entitlementId}`,
      ),
    effect: async () => {
      const id = fresh('e');
      const seeing = readUntil(platform.entitlements.watchEntitlements({}), (all) =>
        all.some(({ change, entitlement }) => change === 'changed' && entitlement!.terms!.entitlementId === id),
      );
      await granted(id, 3);
      await publisher.entitlements.withdrawEntitlements({
        reference: fresh('take-back'),
        schoolOin: school,
        entitlementIds: [id],
      });
      const about = (await seeing).filter(({ entitlement }) => entitlement!.terms!.entitlementId === id);
      expect(about.map(({ change }) => change)).toEqual(['granted', 'changed']);
    },
  },
  'EntitlementService.ReportUsage': {
    call: (as) =>
      as.entitlements.reportUsage({
        reference: fresh('use'),
        schoolOin: school,
        entitlementId: 'ent-2',
        day: '2026-11-20',
        waitMs: WAIT,
      }),
    roleless: everyone,
    stranger: 'mandate.missing',
    colleague: 'state.missing',
    effect: async () => {
      const id = fresh('e');
      await granted(id, 2);
      await platform.entitlements.reportUsage({
        reference: fresh('use'),
        schoolOin: school,
        entitlementId: id,
        day: '2026-11-20',
        waitMs: WAIT,
      });
      expect(await entitlement(publisher, id)).toMatchObject({
        state: EntitlementState.ENTITLEMENT_STATE_USED,
        firstUsedOn: '2026-11-20',
      });
    },
  },
  'AccessService.ProvisionAccess': {
    call: (as) =>
      as.access.provisionAccess({ reference: fresh('ready'), schoolOin: school, entitlementId: 'ent-2', waitMs: WAIT }),
    roleless: everyone,
    stranger: 'mandate.missing',
    colleague: 'state.missing',
    effect: async () => {
      const id = fresh('e');
      await granted(id, 2);
      await platform.access.provisionAccess({
        reference: fresh('ready'),
        schoolOin: school,
        entitlementId: id,
        waitMs: WAIT,
      });
      await eventually(
        () => entitlement(publisher, id),
        ({ state }) => state === EntitlementState.ENTITLEMENT_STATE_PROVISIONED,
      );
    },
  },
  'AccessService.RevokeAccess': {
    call: (as) =>
      as.access.revokeAccess({ reference: fresh('gone'), schoolOin: school, entitlementId: 'ent-2', waitMs: WAIT }),
    roleless: everyone,
    stranger: 'mandate.missing',
    colleague: 'state.missing',
    effect: async () => {
      const id = fresh('e');
      await granted(id, 2);
      const about = { schoolOin: school, entitlementId: id, waitMs: WAIT };
      await platform.access.provisionAccess({ reference: fresh('ready'), ...about });
      await platform.access.revokeAccess({ reference: fresh('gone'), ...about });
      await eventually(
        () => entitlement(publisher, id),
        ({ state }) => state === EntitlementState.ENTITLEMENT_STATE_GRANTED,
      );
    },
  },
  'AccessService.CreateLaunch': {
    call: (as) =>
      as.access.createLaunch({ reference: fresh('launch'), schoolOin: school, learner: learner(1), productId: BOOK }),
    roleless: () => bookseller,
    stranger: 'mandate.missing',
    effect: async () => {
      const launch = await launched();
      expect(launch.launchUrl).toContain('https://wilg.example/reuzen#ticket=');
      const redeemed = await platform.access.redeemLaunch({ reference: fresh('redeem'), ticket: launch.ticket });
      expect(redeemed).toMatchObject({ schoolOin: school, entitlementId: 'ent-1', learner: learner(1) });
    },
  },
  'AccessService.RedeemLaunch': {
    call: async (as) => as.access.redeemLaunch({ reference: fresh('redeem'), ticket: (await launched()).ticket }),
    roleless: everyone,
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const id = fresh('e');
      await granted(id, 3);
      const launch = await platform.access.createLaunch({
        reference: fresh('launch'),
        schoolOin: school,
        learner: learner(3),
        entitlementId: id,
      });
      await platform.access.redeemLaunch({ reference: fresh('redeem'), ticket: launch.ticket });
      await eventually(
        () => entitlement(publisher, id),
        ({ state }) => state === EntitlementState.ENTITLEMENT_STATE_USED,
      );
      expect(await codeOf(platform.access.redeemLaunch({ reference: fresh('redeem'), ticket: launch.ticket }))).toBe(
        'launch.spent',
      );
    },
  },
  'ResultService.ReturnResults': {
    call: (as) => bulk(as.results.returnResults(), result(fresh('r'), 1)),
    roleless: everyone,
    stranger: 'mandate.missing',
    effect: async () => {
      const id = fresh('r');
      await bulk(platform.results.returnResults(), result(id, 2, 9));
      const { results } = await eventually(
        () => las.results.listResults({ schoolOin: school, limit: 1000 }),
        (list) => list.results.some((one) => one.result!.resultId === id),
      );
      expect(results.find((one) => one.result!.resultId === id)).toMatchObject({
        fromOin: platform.oin,
        result: { learner: learner(2), payload: { score: 9 } },
      });
    },
  },
  'ResultService.ListResults': {
    call: async (as) => (await as.results.listResults({ schoolOin: school })).results,
    stranger: 'mandate.missing',
    colleague: 'nothing',
    rightful: () => las,
    from: async (as, cursor, limit) => {
      const { results, cursor: next } = await as.results.listResults({ schoolOin: school, limit, cursor });
      return { ids: results.map(({ result }) => result!.resultId), cursor: next };
    },
    effect: async () => {
      const id = fresh('r');
      await bulk(platform.results.returnResults(), result(id, 1, 7));
      await bulk(platform.results.returnResults(), { ...result(id, 1, 6), reference: fresh('result') });
      await eventually(
        () => las.results.listResults({ schoolOin: school, learner: learner(1), limit: 1000 }),
        ({ results }) =>
          results
            .filter((one) => one.result!.resultId === id)
            .map((one) => one.result!.payload!.score)
            .join() === '6',
      );
    },
  },
  'ResultService.GetProgress': {
    call: (as) =>
      as.results.getProgress({ schoolOin: school, audience: Audience.AUDIENCE_TEACHER, learner: learner(1) }),
    stranger: 'mandate.missing',
    effect: async () => {
      await bulk(platform.results.returnResults(), result(fresh('r'), 3, 5));
      const { learners } = await eventually(
        () =>
          dashboard.results.getProgress({
            schoolOin: school,
            audience: Audience.AUDIENCE_TEACHER,
            learner: learner(3),
          }),
        (answer) => answer.learners.length === 1,
      );
      expect(learners[0]).toMatchObject({ productId: BOOK, fromOin: platform.oin, latest: { score: 5 } });
    },
  },
  'ResultService.WatchResults': {
    call: (as) => glance(as.results.watchResults({})),
    stranger: 'nothing',
    colleague: 'nothing',
    rightful: () => las,
    from: async (as, cursor, limit) =>
      watched(as.results.watchResults({ cursor }), limit, ({ record }) => record!.result!.resultId),
    effect: async () => {
      const id = fresh('r');
      const seeing = readUntil(las.results.watchResults({}), (all) => all.at(-1)!.record!.result!.resultId === id);
      await bulk(platform.results.returnResults(), result(id, 1));
      expect((await seeing).at(-1)!.record).toMatchObject({ fromOin: platform.oin });
    },
  },
  'IdentityService.RegisterLearners': {
    call: (as) =>
      as.identity.registerLearners({
        reference: fresh('learners'),
        schoolOin: school,
        schoolYear: YEAR,
        learners: [pupil(6)],
        waitMs: WAIT,
      }),
    roleless: everyone,
    stranger: 'mandate.missing',
    effect: async () => {
      const named = order(fresh('o'), {
        lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner: { lasKey: 'key-7' } }],
      });
      expect(await codeOf(las.orders.placeOrder(named))).toBe('learner.unknown');
      pupils.push(pupil(7));
      expect(
        await las.identity.registerLearners({
          reference: fresh('learners'),
          schoolOin: school,
          schoolYear: YEAR,
          learners: [pupil(7)],
          waitMs: WAIT,
        }),
      ).toMatchObject({ decision: { code: '' }, refusals: [] });
      expect(await codeOf(las.orders.placeOrder({ ...named, reference: fresh('order') }))).toBe('');
      const shown = (await publisher.orders.getOrder({ orderId: named.orderId })).order!;
      expect(shown.lines[0]!.line!.learner!.eckId).toBe(eckId(7));
    },
  },
  'IdentityService.ForgetLearner': {
    call: (as) =>
      as.identity.forgetLearner({ reference: fresh('forget'), schoolOin: school, learner: learner(2), waitMs: WAIT }),
    roleless: everyone,
    stranger: 'mandate.missing',
    effect: async () => {
      await las.identity.registerLearners({
        reference: fresh('learners'),
        schoolOin: school,
        schoolYear: YEAR,
        learners: [pupil(8)],
        waitMs: WAIT,
      });
      const id = fresh('e');
      await granted(id, 8);
      const asked = { reference: fresh('forget'), schoolOin: school, learner: learner(8), waitMs: WAIT };
      const forgotten = await las.identity.forgetLearner(asked);
      expect(Number(forgotten.destroyedMs - forgotten.receipt!.acceptedMs)).toBe(72 * 3_600_000);
      await eventually(
        () => entitlement(publisher, id),
        ({ state }) => state === EntitlementState.ENTITLEMENT_STATE_WITHDRAWN,
      );
      expect((await rosterOf(platform)).learners.map(({ ref }) => ref!.eckId)).not.toContain(eckId(8));
      expect(
        await codeOf(
          platform.access.createLaunch({
            reference: fresh('launch'),
            schoolOin: school,
            learner: learner(8),
            productId: BOOK,
          }),
        ),
      ).not.toBe('');
      expect(await las.identity.forgetLearner(asked)).toMatchObject({
        flowId: forgotten.flowId,
        destroyedMs: forgotten.destroyedMs,
      });
    },
  },
  'FlowService.GetFlow': {
    call: async (as) => as.flows.getFlow({ flowId: (await las.orders.getOrder({ orderId: 'o-1' })).order!.flowId }),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const sent = order(fresh('o'));
      const { flowId } = await las.orders.placeOrder(sent);
      for (const asked of [{ flowId }, { reference: sent.reference }])
        expect((await las.flows.getFlow(asked)).flow).toMatchObject({
          flowId,
          method: 'OrderService/PlaceOrder',
          subject: sent.orderId,
          schoolOin: school,
        });
      expect(await codeOf(colleague.flows.getFlow({ reference: sent.reference }))).toBe('state.missing');
    },
  },
  'FlowService.SearchFlows': {
    call: async (as) => (await as.flows.searchFlows({ text: 'o-1' })).flows,
    stranger: 'nothing',
    colleague: 'nothing',
    effect: async () => {
      const sent = order(fresh('o'));
      const { flowId } = await las.orders.placeOrder(sent);
      const found = async (asked: object) => {
        const { flows, coveredFromMs, more } = await las.flows.searchFlows(asked);
        expect(more).toBe(false);
        return { ids: flows.map((flow) => flow.flowId), coveredFromMs, flows };
      };
      const own = await eventually(
        () => found({ text: sent.orderId }),
        ({ ids }) => ids.length > 0,
      );
      expect(own.flows).toMatchObject([
        { flowId, method: 'OrderService/PlaceOrder', schoolOin: school, subject: sent.orderId },
      ]);
      expect(own.coveredFromMs).toBe(0n);
      const at = own.flows[0]!.acceptedMs;
      // By flow, by its own reference, by school; by time.
      for (const text of [flowId, sent.reference]) expect((await found({ text })).ids).toEqual([flowId]);
      expect((await found({ text: sent.orderId, schoolOin: otherSchool })).ids).toEqual([]);
      expect((await found({ text: sent.orderId, fromMs: at, beforeMs: at + 1n })).ids).toEqual([flowId]);
      expect(await found({ text: sent.orderId, fromMs: at + 1n })).toMatchObject({ ids: [], coveredFromMs: at + 1n });
      expect((await found({ text: sent.orderId, beforeMs: at })).ids).toEqual([]);
      const { next } = await las.flows.searchFlows({ limit: 1 });
      const { flows: older } = await las.flows.searchFlows({ limit: 200, after: next });
      expect(older.map((flow) => flow.flowId)).not.toContain(next);
      // What another sent is found by none of these.
      for (const text of [flowId, sent.reference, sent.orderId])
        expect((await colleague.flows.searchFlows({ text, schoolOin: school })).flows).toEqual([]);
    },
  },
  'DeliveryService.ListDeadLetters': {
    call: async (as) => (await as.deliveries.listDeadLetters({})).letters,
    stranger: 'nothing',
    colleague: 'nothing',
    rightful: () => listened!,
    from: async (as, cursor, limit) => {
      const selection = { code: 'peer.refused' };
      const { letters, cursor: next } = await as.deliveries.listDeadLetters({ selection, limit, cursor });
      return { ids: letters.map(({ about }) => about), cursor: next };
    },
    effect: async () => {
      listened = (await listening()) as unknown as TestParty;
      const { letters } = await listened.deliveries.listDeadLetters({ selection: { about: 'lost-2' } });
      expect(letters).toMatchObject([{ about: 'lost-2', code: 'peer.refused', state: 'parked', messages: 1n }]);
    },
  },
  'DeliveryService.Hold': {
    call: (as) => as.deliveries.hold({ reference: fresh('hold'), selection: {} }),
    stranger: '',
    effect: async () => {
      const { listener, about } = await away();
      await listener.deliveries.hold({ reference: fresh('hold'), selection: { about } });
      await listener.letters('held', about);
    },
  },
  'DeliveryService.Release': {
    call: (as) => as.deliveries.release({ reference: fresh('release'), selection: {} }),
    stranger: '',
    effect: async () => {
      const { listener, about } = await away();
      await listener.deliveries.hold({ reference: fresh('hold'), selection: { about } });
      listener.hook.behaviour = () => undefined;
      await listener.deliveries.release({ reference: fresh('release'), selection: { about } });
      await eventually(
        async () => listener.hook.first,
        (first) => first.some(({ data }) => JSON.stringify(data).includes(about)),
      );
    },
  },
  'DeliveryService.Retry': {
    call: (as) => as.deliveries.retry({ reference: fresh('retry'), selection: {} }),
    stranger: '',
    effect: async () => {
      const { listener, about } = await away();
      listener.hook.behaviour = () => undefined;
      await listener.deliveries.retry({ reference: fresh('retry'), selection: { about } });
      await eventually(
        async () => listener.hook.first,
        (first) => first.some(({ data }) => JSON.stringify(data).includes(about)),
      );
    },
  },
  'DeliveryService.PreviewReplay': {
    call: (as) => as.deliveries.previewReplay({ reference: fresh('preview'), selection: {} }),
    // It has no endpoint.
    stranger: 'state.missing',
    effect: async () => {
      const listener = await listening();
      const { replay } = await listener.deliveries.previewReplay({
        reference: fresh('preview'),
        selection: { about: 'lost-1' },
      });
      expect(replay).toMatchObject({ state: 'counted', selected: 1n, toSend: 0n });
    },
  },
  'DeliveryService.Replay': {
    call: (as) => as.deliveries.replay({ reference: fresh('replay'), previewReference: 'preview-of-nobody' }),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const listener = await listening();
      listener.hook.behaviour = () => undefined;
      const about = fresh('again');
      await listener.told(about, 6);
      const times = () => listener.hook.requests.filter(({ body }) => body.includes(`"${about}"`)).length;
      await eventually(
        async () => times(),
        (n) => n === 1,
      );
      const previewReference = fresh('preview');
      const asked = { reference: previewReference, selection: { about, again: true } };
      expect((await listener.deliveries.previewReplay(asked)).replay).toMatchObject({ had: 1n, toSend: 1n });
      await listener.deliveries.replay({ reference: fresh('replay'), previewReference });
      await eventually(
        async () => times(),
        (n) => n === 2,
      );
      await eventually(
        async () => (await listener.deliveries.previewReplay(asked)).replay!.state,
        (state) => state === 'done',
      );
    },
  },
  'DeliveryService.StopReplay': {
    call: (as) => as.deliveries.stopReplay({ reference: fresh('stop'), previewReference: 'preview-of-nobody' }),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const listener = await listening();
      const previewReference = fresh('preview');
      const asked = { reference: previewReference, selection: { about: 'lost-1' } };
      expect((await listener.deliveries.previewReplay(asked)).replay!.state).toBe('counted');
      const stopped = await listener.deliveries.stopReplay({ reference: fresh('stop'), previewReference });
      expect(stopped).toMatchObject({ decision: { code: '' }, replay: { state: 'stopped', cause: 'party' } });
    },
  },
  'AuditService.GetReceipt': {
    call: async (as) =>
      as.audit.getReceipt({ receiptId: (await las.orders.getOrder({ orderId: 'o-1' })).order!.flowId }),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      // What a proof proves, and that it does without the gateway: audit.test.ts.
      const sent = order(fresh('o'));
      const { receipt, flowId } = await las.orders.placeOrder(sent);
      expect(receipt!.receiptId).toBe(flowId);
      const { proof } = await las.audit.getReceipt({ receiptId: flowId, waitMs: 20_000n });
      expect(AuditRecord.decode(proof!.record)).toMatchObject({
        receiptId: flowId,
        partyOin: las.oin,
        schoolOin: school,
      });
      const { proof: same } = await las.audit.getReceipt({ reference: sent.reference });
      expect(same!.index).toBe(proof!.index);
      expect(await codeOf(colleague.audit.getReceipt({ reference: sent.reference }))).toBe('state.missing');
      expect(await codeOf(las.audit.getReceipt({}))).toBe('wire.invalid');
      expect(await codeOf(las.audit.getReceipt({ receiptId: flowId, waitMs: 30_001n }))).toBe('wire.invalid');
    },
  },
  'AuditService.GetLogHead': {
    call: (as) => as.audit.getLogHead({}),
    stranger: '',
    effect: async () => {
      const { flowId } = await las.orders.placeOrder(order(fresh('o')));
      const { proof } = await las.audit.getReceipt({ receiptId: flowId, waitMs: 20_000n });
      const { head, keys } = await stranger.audit.getLogHead({});
      expect(head!.size).toBeGreaterThanOrEqual(proof!.head!.size);
      expect(keys).toHaveLength(1);
    },
  },
  'AuditService.GetLogConsistency': {
    call: (as) => as.audit.getLogConsistency({ fromSize: 0n }),
    stranger: '',
    effect: async () => {
      const { head } = await las.audit.getLogHead({});
      const answer = await las.audit.getLogConsistency({ fromSize: 1n });
      expect(answer.path.length).toBeGreaterThan(0);
      expect(answer.head!.size).toBeGreaterThanOrEqual(head!.size);
      expect(await codeOf(las.audit.getLogConsistency({ fromSize: 2n, toSize: 1n }))).toBe('wire.invalid');
      expect(await codeOf(las.audit.getLogConsistency({ fromSize: 1n, toSize: 1_000_000_000n }))).toBe('wire.invalid');
    },
  },
  'FlowService.WatchFlow': {
    call: async (as) =>
      readUntil(
        as.flows.watchFlow({ flowId: (await las.orders.getOrder({ orderId: 'o-1' })).order!.flowId }),
        (all) => all.length > 0,
      ),
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const id = fresh('boek');
      const sent = order(fresh('o'), { waitMs: 0n, lines: [{ terms: { lineId: '1', productId: id, quantity: 1 } }] });
      await las.orders.placeOrder(sent);
      const seeing = readUntil(las.flows.watchFlow({ reference: sent.reference }), () => false);
      await eventually(
        () => las.flows.getFlow({ reference: sent.reference }),
        ({ flow }) => flow!.state === 'waiting',
      );
      await bulk(publisher.catalogue.publishProducts(), { reference: fresh('product'), product: product(id) });
      const states = (await seeing).map(({ flow }) => flow!.state);
      expect(states.at(-1)).toBe('decided');
      expect(states.length).toBeGreaterThan(1);
    },
  },
  'FlowService.WhyBlocked': {
    call: async (as) => (await as.flows.whyBlocked({ schoolOin: school, orderId: 'o-2' })).blockers,
    stranger: 'state.missing',
    colleague: 'state.missing',
    effect: async () => {
      const id = fresh('o');
      await las.orders.placeOrder(order(id));
      const why = async () =>
        (await las.flows.whyBlocked({ schoolOin: school, orderId: id })).blockers.map(({ code }) => code);
      expect(await why()).toContain('order.unconfirmed');
      await publisher.orders.confirmOrder({
        reference: fresh('confirm'),
        orderId: id,
        outcomes: [{ lineId: '1', state: LineState.LINE_STATE_CONFIRMED }],
        waitMs: WAIT,
      });
      expect(await why()).toEqual(['entitlement.missing']);
    },
  },
  'FlowService.Preflight': {
    call: async (as) => (await as.flows.preflight({ schoolOin: school })).lines,
    stranger: 'mandate.missing',
    colleague: 'nothing',
    rightful: () => las,
    from: async (as, cursor, limit) => {
      wantsLines ??= wantLinkless();
      await wantsLines;
      const { lines, cursor: next } = await as.flows.preflight({ schoolOin: school, limit, cursor });
      // What waits for its product is told beside the first page; lines that stand follow page by page.
      return {
        ids: lines.filter(({ code }) => code === 'product.no_link').map(({ orderId }) => orderId),
        cursor: next,
      };
    },
    effect: async () => {
      const id = fresh('o');
      const lines = [{ terms: { lineId: '1', productId: id, quantity: 1 }, learner: learner(1) }];
      await las.orders.placeOrder({ ...order(id), lines });
      const { lines: failing, messages } = await las.flows.preflight({ schoolOin: school, limit: 1000 });
      expect(failing).toContainEqual(
        expect.objectContaining({ orderId: id, code: 'product.unknown', partyOin: las.oin }),
      );
      expect(messages.find(({ partyOin }) => partyOin === las.oin)!.body).toContain(id);
    },
  },
  'FlowService.Launches': {
    call: async (as) => (await as.flows.launches({})).rows,
    roleless: () => las,
    stranger: 'nothing',
    effect: async () => {
      const asked = async () => {
        const { rows } = await platform.flows.launches({});
        return rows
          .filter(({ platformOin }) => platformOin === platform.oin)
          .reduce((sum, { quarters }) => sum + quarters.length, 0);
      };
      await platform.access.redeemLaunch({ reference: fresh('redeem'), ticket: (await launched()).ticket });
      await eventually(asked, (quarters) => quarters > 0);
      const { rows, behindMs } = await platform.flows.launches({});
      expect(behindMs).toBe(0n);
      for (const { platformOin, publisherOin, quarters } of rows) {
        expect([platformOin, publisherOin]).toContain(platform.oin);
        // Fewer than ten: that it is so, and no number.
        for (const { asked: all, opened } of quarters)
          for (const one of [all!, opened!]) expect(one.count === 0 || one.count >= 10).toBe(true);
      }
    },
  },
  'FlowService.Readiness': {
    call: async (as) => (await as.flows.readiness({ schoolOin: school })).rows,
    stranger: 'mandate.missing',
    colleague: 'nothing',
    rightful: () => las,
    from: async (as, cursor, limit) => {
      wantsThree ??= wantThree();
      await wantsThree;
      const { rows, cursor: next } = await as.flows.readiness({ schoolOin: school, limit, cursor });
      return { ids: rows.map(({ productId }) => productId), cursor: next };
    },
    effect: async () => {
      const id = fresh('o');
      const lines = [{ terms: { lineId: '1', productId: id, quantity: 1 }, learner: learner(1) }];
      await las.orders.placeOrder({ ...order(id), lines });
      await eventually(
        async () => (await las.flows.readiness({ schoolOin: school, limit: 200 })).rows,
        (rows) => rows.some(({ productId, causes }) => productId === id && causes[0]?.code === 'product.unknown'),
      );
    },
  },
};

let listened: TestParty | undefined;
let openingListener: Promise<Listener> | undefined;
/** A platform of which the webhook refused three messages, about `lost-…`. */
const listening = (): Promise<Listener> => {
  openingListener ??= (async () => {
    const listener = await openListener(at, publisher, school);
    listener.hook.behaviour = () => 422;
    for (const n of [1, 2, 3]) await listener.told(`lost-${n}`, n);
    await listener.letters('parked', 'lost-1', 'lost-2', 'lost-3');
    return listener;
  })();
  return openingListener;
};
/** A message to it that its webhook does not take for now. */
async function away(): Promise<{ listener: Listener; about: string }> {
  const listener = await listening();
  const about = fresh('away');
  listener.hook.behaviour = ({ body }) => (body.includes(about) ? 503 : undefined);
  // Of a learner of its own: what is held of one has what comes behind it wait too.
  await listener.told(about, 100 + sequence);
  await listener.letters('repeated', about);
  return { listener, about };
}
let wantsLines: Promise<unknown> | undefined;
let wantsThree: Promise<unknown> | undefined;
/** Has two orders stand whose product nobody can open. */
async function wantLinkless(): Promise<void> {
  const productId = fresh('linkless');
  await bulk(publisher.catalogue.publishProducts(), {
    reference: fresh('product'),
    product: product(productId, { accessUrl: '' }),
  });
  const lines = [{ terms: { lineId: '1', productId, quantity: 1 }, learner: learner(1) }];
  for (const id of [fresh('o'), fresh('o')]) await las.orders.placeOrder({ ...order(id), lines });
}
/** Has something be wanted of three products. */
async function wantThree(): Promise<unknown> {
  const lines = ['a', 'b', 'c'].map((id) => ({
    terms: { lineId: id, productId: `wanted-${id}`, quantity: 1 },
    learner: learner(1),
  }));
  await las.orders.placeOrder({ ...order(fresh('o')), lines });
  return eventually(
    async () => (await las.flows.readiness({ schoolOin: school, limit: 1000 })).rows,
    (rows) => rows.filter(({ productId }) => productId.startsWith('wanted-')).length === 3,
  );
}

/** The first messages of a watch, by id, and the cursor of the last. */
async function watched<A extends { cursor: string }>(
  call: ClientReadableStream<A>,
  limit: number,
  id: (message: A) => string,
): Promise<{ ids: string[]; cursor: string }> {
  const seen: A[] = [];
  let over: unknown;
  call.on('data', (message: A) => seen.push(message));
  call.on('error', (error) => {
    over = error;
  });
  for (
    let quiet = 0, before = 0;
    // The first takes longest: a door may be busy with others.
    seen.length < limit && quiet < (seen.length > 0 ? 12 : 40) && !over;
    quiet = seen.length === before ? quiet + 1 : 0
  ) {
    before = seen.length;
    await moment();
  }
  call.cancel();
  if (over && (over as { code?: number }).code !== 1) throw new Fault(over as never);
  const shown = seen.slice(0, limit);
  return { ids: shown.map(id), cursor: shown.length < limit ? '' : shown.at(-1)!.cursor };
}

const methods = publicServices.flatMap((definition) =>
  Object.values(definition.methods as Record<string, MethodDefinition>).map((method) => ({
    name: `${definition.name}.${method.name}`,
    method,
  })),
);

test('every method has a case, and every case a method', () => {
  expect(Object.keys(cases).sort()).toEqual(methods.map(({ name }) => name).sort());
});

describe.each(methods)('$name', ({ name, method }) => {
  const one = cases[name]!;
  const hasCursor = 'cursor' in (method.requestType.decode(new Uint8Array(0)) as object);

  test('does what it says, seen through another method', () => one.effect());

  test('without credentials, with wrong ones, and as operator: refused', async () => {
    expect(await codeOf(one.call(at.anonymous))).toBe('party.unknown');
    expect(await codeOf(one.call(at.as('Bearer eduk_key_nobody')))).toBe('party.unknown');
    expect(await codeOf(one.call(at.as(operatorToken())))).toBe('party.forbidden');
  });

  if (one.roleless)
    test('to a party whose role does not include it: party.forbidden', async () => {
      expect(await codeOf(one.call(one.roleless!()))).toBe('party.forbidden');
    });

  test(`to a party without a mandate: ${one.stranger || 'public'}`, async () => {
    expect(await codeOf(one.call(stranger))).toBe(one.stranger);
  });

  if (one.colleague !== undefined)
    test(`to another party of the same school: ${one.colleague}`, async () => {
      expect(await codeOf(one.call(colleague))).toBe(one.colleague);
    });

  if (hasCursor && one.from) {
    test('pages and watches go on where a cursor says, without loss or repeat', async () => {
      const whole = (await one.from!(one.rightful!(), '', 1000)).ids;
      expect(whole.length).toBeGreaterThan(1);
      const pieces: string[] = [];
      for (let cursor = ''; pieces.length < 2 * whole.length; ) {
        const part = await one.from!(one.rightful!(), cursor, Math.ceil(whole.length / 3));
        pieces.push(...part.ids);
        cursor = part.cursor;
        if (cursor === '') break;
      }
      expect(pieces).toEqual(whole);
    });

    test("a forged cursor, and another party's: wire.invalid", async () => {
      const { cursor } = await one.from!(one.rightful!(), '', 1);
      expect(cursor).not.toBe('');
      const forged = `${cursor.slice(0, -6)}${cursor.at(-6) === 'A' ? 'B' : 'A'}${cursor.slice(-5)}`;
      for (const wrong of ['nonsense', forged])
        expect(await codeOf(one.from!(one.rightful!(), wrong, 1))).toBe('wire.invalid');
      expect(await codeOf(one.from!(colleague, cursor, 1))).toBe('wire.invalid');
    });
  } else if (hasCursor) expect(name).toBe('ResultService.GetProgress');
});

const operatorToken = (): string => `Bearer ${readFileSync(join(at.folder, 'operator.key'), 'utf8').trim()}`;
