/**
 * What a school and a party agree, over the whole gateway: both sides say yes and hear of each change, a mandate for some
 * sites is about nobody else, and who acts for a school does so by a mandate that says it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { LineState, ResultKind } from '#proto/eduk/core/v1/ordering';
import { type Mandate, MandateState, ProcessingPurpose, Role, Service } from '#proto/eduk/core/v1/party';
import {
  clientsOf,
  eckId,
  Fault,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT, SERVICE_ACT } = Service;
const { MANDATE_STATE_ACTIVE, MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ENDED } = MandateState;
const YEAR = '2026-2027';
const BOOK = '9789000000019';
const school = newSchool();
const WAIT = 20_000n;
let at: TestGateway;
let own: TestParty;
let las: TestParty;
let shop: TestParty;

let sequence = 0;
const fresh = (name: string): string => `${name}-${++sequence}`;
const codeOf = async (answer: Promise<unknown>): Promise<string> => {
  try {
    return ((await answer) as { decision?: { code: string } })?.decision?.code ?? '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
};
const give = (party: TestParty, services: Service[], more: Partial<Mandate> = {}) =>
  at.operator.grantMandate({ mandate: { schoolOin: school, partyOin: party.oin, services, ...more }, confirm: true });
const rosterOf = (party: TestParty, more: object = {}) =>
  party.rosters.getRoster({ schoolOin: school, schoolYear: YEAR, ...more });
const push = (siteCode: string, ...pupils: number[]) =>
  sendAll(las.rosters.pushRoster(), [
    {
      reference: fresh('roster'),
      rosterId: fresh('roster-id'),
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: YEAR,
        siteCode,
        groups: [{ key: `g${siteCode}`, name: `Groep van ${siteCode}`, yearGroup: '7' }],
        learners: pupils.map((n) => ({
          ref: { eckId: eckId(n), lasKey: `key-${n}` },
          person: { callName: `Noor${n}`, familyName: 'Beuk' },
          groupKey: `g${siteCode}`,
        })),
      },
    },
  ]);
/** Until it is so, at most 20 s: what is accepted takes a moment to be decided. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await isSo()); ) {
    if (Date.now() > end) throw new Error('it did not come to be so within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const named = (list: readonly { ref?: { eckId: string } | undefined }[]): string[] =>
  list.map(({ ref }) => ref!.eckId.slice(-1)).sort();

beforeAll(async () => {
  at = await startTestGateway();
  own = await at.party('De Wilgenhof', [Role.ROLE_SCHOOL], school);
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  shop = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR]);
  await give(las, [SERVICE_ROSTER, SERVICE_ORDER, SERVICE_RESULT]);
  const platform = await at.party('Platform van Wilg', [Role.ROLE_PLATFORM]);
  await give(platform, [SERVICE_ENTITLEMENT, SERVICE_ACCESS]);
  await sendAll(shop.catalogue.publishProducts(), [
    {
      reference: fresh('product'),
      product: {
        productId: BOOK,
        title: 'Rekenen voor reuzen',
        subjects: ['rekenen'],
        accessUrl: 'https://wilg.example/reuzen',
        licence: { licensed: true },
        platformOin: platform.oin,
      },
    },
  ]);
  // Two sites, and one pupil whom no roster of a site names.
  await push('01', 1, 2);
  await push('02', 3);
  await las.identity.registerLearners({
    reference: fresh('register'),
    schoolOin: school,
    learners: [{ ref: { eckId: eckId(4), lasKey: 'key-4' } }],
    waitMs: WAIT,
  });
  await until(async () => ((await rosterOf(own).catch(() => undefined))?.roster?.learners.length ?? 0) > 2);
});
afterAll(() => at?.stop());

describe('consent of two sides', () => {
  test('a mandate holds once the party has accepted it; both hear of each change', async () => {
    const app = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
    const { watchCursor } = await app.parties.listMandates({});
    const { watchCursor: ofSchool } = await own.parties.listMandates({});
    const { mandateId } = await own.parties.grantMandate({
      reference: fresh('mandate'),
      schoolOin: school,
      partyOin: app.oin,
      services: [SERVICE_ROSTER],
      agreement: 'VO-2026-7',
      agreementVersion: '3',
      purposes: [ProcessingPurpose.PROCESSING_PURPOSE_TEACHING],
      requiresAcceptance: true,
    });
    expect(await codeOf(rosterOf(app))).toBe('mandate.unaccepted');
    expect(await codeOf(shop.parties.acceptMandate({ reference: fresh('accept'), mandateId }))).toBe('state.missing');
    expect(await app.parties.acceptMandate({ reference: fresh('accept'), mandateId })).toMatchObject({
      state: MANDATE_STATE_ACTIVE,
      decision: { code: '' },
    });
    expect(await codeOf(rosterOf(app))).toBe('');
    expect((await app.parties.listMandates({})).mandates).toMatchObject([
      { mandateId, agreement: 'VO-2026-7', agreementVersion: '3', confirmedBy: school, acceptedBy: app.oin },
    ]);

    expect(await app.parties.refuseMandate({ reference: fresh('refuse'), mandateId })).toMatchObject({
      state: MANDATE_STATE_ENDED,
    });
    expect(await codeOf(rosterOf(app))).toBe('mandate.ended');
    const changes = ['entered', 'accepted', 'ended'];
    for (const [side, cursor] of [
      [app, watchCursor],
      [own, ofSchool],
    ] as const) {
      const told = await readUntil(side.parties.watchMandates({ cursor }), (all) => all.length >= 3);
      expect(told.map(({ change, mandate }) => [change, mandate!.mandateId])).toEqual(
        changes.map((change) => [change, mandateId]),
      );
      expect(told.map(({ byOin }) => byOin)).toEqual([school, app.oin, app.oin]);
    }
  });

  test('what an operator entered waits for both where the party asks for it; who must act is told', async () => {
    const app = await at.party('Leeshoek', [Role.ROLE_PLATFORM]);
    await at.operator.addParty({
      party: { oin: app.oin, name: 'Leeshoek', roles: [Role.ROLE_PLATFORM], requiresAcceptance: true },
    });
    const productId = fresh('boek');
    await sendAll(shop.catalogue.publishProducts(), [
      {
        reference: fresh('product'),
        product: { productId, title: 'Lezen', accessUrl: 'https://wilg.example/lezen', platformOin: app.oin },
      },
    ]);
    const { mandateId, state } = await at.operator.grantMandate({
      mandate: { schoolOin: school, partyOin: app.oin, services: [SERVICE_ENTITLEMENT, SERVICE_ACCESS] },
    });
    expect(state).toBe(MANDATE_STATE_UNCONFIRMED);
    const why = async () => (await own.flows.whyBlocked({ schoolOin: school, productId })).blockers;
    const ofApp = (blockers: Awaited<ReturnType<typeof why>>) =>
      blockers.filter(({ told }) => told.includes('Leeshoek'));
    await expect.poll(async () => ofApp(await why()).map(({ code }) => code)).toContain('mandate.unconfirmed');
    expect(
      await own.parties.confirmMandate({ reference: fresh('confirm'), schoolOin: school, mandateId }),
    ).toMatchObject({ state: MANDATE_STATE_UNCONFIRMED, decision: { code: '' } });
    expect(ofApp(await why())).toMatchObject([
      { code: 'mandate.unaccepted', who: 'peer', partyOin: app.oin, partyName: 'Leeshoek' },
      { code: 'mandate.unaccepted' },
    ]);
    expect(ofApp(await why())[0]!.remedy).toContain('AcceptMandate');
    expect(await at.operator.changeMandate({ mandateId, change: 'accept' })).toMatchObject({
      state: MANDATE_STATE_ACTIVE,
    });
    expect(ofApp(await why())).toEqual([]);
  });
});

describe('a mandate for some sites', () => {
  let app: TestParty;
  beforeAll(async () => {
    app = await at.party('Zicht op Noord', [Role.ROLE_PLATFORM, Role.ROLE_ADMINISTRATION]);
    await give(app, [SERVICE_ROSTER, SERVICE_RESULT], { siteCodes: ['01'] });
  });

  test('shows their learners and groups, and no others', async () => {
    const { roster } = await rosterOf(app);
    expect(named(roster!.learners)).toEqual(['1', '2']);
    expect(roster!.groups.map(({ key }) => key)).toEqual(['g01']);
    expect(named((await rosterOf(app, { siteCode: '01' })).roster!.learners)).toEqual(['1', '2']);
    expect(await codeOf(rosterOf(app, { siteCode: '02' }))).toBe('mandate.missing');
    expect(await codeOf(rosterOf(app, { siteCode: '00' }))).toBe('mandate.missing');
  });

  test('tells of who comes and goes there', async () => {
    const { watchCursor } = await rosterOf(app);
    await push('02', 3, 5); // Another site's affair.
    await push('01', 1, 2, 6);
    const [first] = await readUntil(
      app.rosters.watchRosters({ cursor: watchCursor, schoolOin: school }),
      (all) => all.length > 0,
    );
    expect(first).toMatchObject({ change: 'learner_joined', learner: { ref: { eckId: eckId(6) } } });
  });

  test('takes messages about them, and no others', async () => {
    const send = async (n: number) => {
      const [answer] = await sendAll(app.results.returnResults(), [
        {
          reference: fresh('result'),
          schoolOin: school,
          result: {
            resultId: fresh('result-id'),
            learner: { eckId: eckId(n) },
            productId: BOOK,
            kind: ResultKind.RESULT_KIND_FINAL,
            payload: { activityId: 'toets-1', donePercent: 100, score: 7, scoreMax: 10, takenAt: '2026-11-20' },
          },
        },
      ]);
      return answer!.refusals[0]?.code ?? '';
    };
    expect(await send(1)).toBe('');
    expect(await send(3)).toBe('mandate.missing');
    // At a site is whom a roster of it names.
    expect(await send(4)).toBe('mandate.missing');
    const pushed = await sendAll(app.rosters.pushRoster(), [
      { reference: fresh('roster'), rosterId: 'r', last: true, roster: { schoolOin: school, schoolYear: YEAR } },
    ]);
    expect(pushed[0]!.refusals[0]?.code).toBe('mandate.missing');
    // What another sent of another site's learner it does not see.
    const [other] = await sendAll(las.results.returnResults(), []);
    expect(other).toBeUndefined();
    await expect
      .poll(async () =>
        named(
          (await app.results.listResults({ schoolOin: school })).results.map(({ result }) => ({
            ref: result!.learner,
          })),
        ),
      )
      .toEqual(['1']);
  });

  test('refused for its site, a message changes nothing of anybody', async () => {
    const small = await at.party('Kleine Lijst', [Role.ROLE_ADMINISTRATION]);
    await give(small, [SERVICE_ROSTER], { siteCodes: ['01'] });
    const others = { callName: 'Anders', familyName: 'Anders', birthDate: '1999-01-01', email: 'anders@x.example' };
    const registered = (ref: object) =>
      codeOf(
        small.identity.registerLearners({
          reference: fresh('register'),
          schoolOin: school,
          learners: [{ ref, person: others }],
          waitMs: WAIT,
        }),
      );
    expect(await registered({ eckId: eckId(3), lasKey: 'key-of-another' })).toBe('mandate.missing');
    expect(await registered({ eckId: eckId(77) })).toBe('mandate.missing');
    const [pushed] = await sendAll(small.rosters.pushRoster(), [
      {
        reference: fresh('roster'),
        rosterId: fresh('roster-id'),
        last: true,
        roster: {
          schoolOin: school,
          schoolYear: YEAR,
          siteCode: '02',
          learners: [{ ref: { eckId: eckId(3) }, person: others }],
        },
      },
    ]);
    expect(pushed!.refusals[0]?.code).toBe('mandate.missing');
    const { roster } = await rosterOf(own, { siteCode: '02' });
    expect(roster!.learners.find(({ ref }) => ref!.eckId === eckId(3))).toMatchObject({
      ref: { lasKey: 'key-3' },
      person: { callName: 'Noor3', birthDate: '', email: '' },
    });
    // Neither is led to by a number that it was given.
    const known = async (ref: object) => codeOf(own.results.listResults({ schoolOin: school, learner: ref }));
    expect(await known({ lasKey: 'key-of-another' })).toBe('learner.unknown');
    expect(await known({ eckId: eckId(77) })).toBe('learner.unknown');
  });

  test('of a seller shows its lines for them', async () => {
    const seller = await at.party('Boekenberg', [Role.ROLE_DISTRIBUTOR]);
    await give(seller, [SERVICE_ORDER], { siteCodes: ['02'] });
    const orderId = fresh('order');
    await las.orders.placeOrder({
      reference: orderId,
      orderId,
      schoolOin: school,
      lines: [1, 3].map((n) => ({
        terms: { lineId: String(n), productId: BOOK, quantity: 1 },
        learner: { eckId: eckId(n) },
        sellerOin: seller.oin,
      })),
      waitMs: WAIT,
    });
    const { order } = await seller.orders.getOrder({ orderId });
    expect(order!.lines.map(({ line }) => line!.terms!.lineId)).toEqual(['3']);
    // One for nobody of its sites is not there, by whatever it asks.
    const others = fresh('order');
    const line = { terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner: { eckId: eckId(1) } };
    await las.orders.placeOrder({
      reference: others,
      orderId: others,
      schoolOin: school,
      lines: [{ ...line, sellerOin: seller.oin }],
      waitMs: WAIT,
    });
    expect((await seller.orders.listOrders({ schoolOin: school })).orders.map((one) => one.orderId)).toEqual([orderId]);
    expect(await codeOf(seller.orders.getOrder({ orderId: others }))).toBe('state.missing');
    expect(await codeOf(seller.flows.whyBlocked({ schoolOin: school, orderId: others }))).toBe('state.missing');
    const why = (n: number) => seller.flows.whyBlocked({ schoolOin: school, learner: { eckId: eckId(n) } });
    expect((await why(3)).blockers.map(({ code }) => code)).toContain('order.unconfirmed');
    // Nor is who is elsewhere told apart from who is nowhere.
    expect(await why(1)).toEqual(await why(99));
    const product = await seller.flows.whyBlocked({ schoolOin: school, productId: BOOK });
    expect(product.blockers.map(({ orderId }) => orderId)).not.toContain(others);
    expect((await las.orders.getOrder({ orderId })).order!.lines).toHaveLength(2);
  });

  test('says so in the preview, with agreement and purpose, in Dutch', async () => {
    const party = await at.party('Wijzer', [Role.ROLE_PLATFORM]);
    await give(party, [SERVICE_ROSTER], {
      siteCodes: ['02'],
      agreement: 'VO-9',
      agreementVersion: '2',
      purposes: [ProcessingPurpose.PROCESSING_PURPOSE_GUIDANCE],
    });
    const { services } = await at.operator.previewRelease({ partyOin: party.oin, schoolOin: school, lang: 'nl' });
    expect(services[0]!.told).toContain('Verwerkersovereenkomst: VO-9, versie 2.');
    expect(services[0]!.told).toContain('Doel: leerlingen begeleiden en ondersteunen.');
    expect(services[0]!.told).toContain('Alleen leerlingen van vestiging 02.');
    expect(await codeOf(give(party, [SERVICE_ROSTER], { siteCodes: ['2'] }))).toBe('wire.invalid');
  });
});

describe('who acts for a school', () => {
  test('does so by a mandate that says it, and the log says who it was', async () => {
    const supplier = await at.party('Schoolhulp', [Role.ROLE_ADMINISTRATION]);
    const acting = clientsOf(at.channel, `Bearer ${supplier.apiKey}`, { 'eduk-from': school });
    const place = (as: Pick<TestParty, 'orders'>) => {
      const orderId = fresh('order');
      return as.orders.placeOrder({
        reference: orderId,
        orderId,
        schoolOin: school,
        lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner: { eckId: eckId(1) } }],
        waitMs: WAIT,
      });
    };
    expect(await codeOf(place(acting))).toBe('mandate.missing');
    const { mandateId } = await give(supplier, [SERVICE_ACT, SERVICE_ORDER]);
    const { flowId } = await place(acting);
    expect((await at.operator.showFlow({ flowId })).partyOin).toBe(school);
    expect((await acting.flows.getFlow({ flowId })).flow!.flowId).toBe(flowId);

    // Only what the mandate names, only that school, and nothing that agrees to anything or shows data of it.
    const grant = {
      reference: fresh('mandate'),
      schoolOin: school,
      partyOin: supplier.oin,
      services: [SERVICE_RESULT],
    };
    expect(await codeOf(acting.parties.grantMandate(grant))).toBe('party.forbidden');
    expect(await codeOf(rosterOf({ ...supplier, ...acting }))).toBe('party.forbidden');
    expect(await codeOf(acting.flows.whyBlocked({ schoolOin: school, productId: BOOK }))).toBe('party.forbidden');
    const registered = { reference: fresh('register'), schoolOin: school, learners: [{ ref: { eckId: eckId(1) } }] };
    expect(await codeOf(acting.identity.registerLearners(registered))).toBe('mandate.missing');
    expect(await codeOf(place(clientsOf(at.channel, `Bearer ${supplier.apiKey}`, { 'eduk-from': newSchool() })))).toBe(
      'mandate.missing',
    );
    expect(
      await codeOf(place(clientsOf(at.channel, `Bearer ${supplier.apiKey}`, { 'eduk-from': 'De Wilgenhof' }))),
    ).toBe('wire.invalid');
    expect(await codeOf(give(supplier, [SERVICE_ACT]))).toBe('wire.invalid');

    const records = async () =>
      (await at.operator.readAuditLog({ limit: 2000 })).leaves.map(({ record }) => AuditRecord.decode(record));
    await expect
      .poll(
        async () =>
          (await records()).filter(
            ({ actedBy, kind }) => actedBy === supplier.oin && kind === AuditKind.AUDIT_KIND_REFUSED,
          ).length,
      )
      .toBeGreaterThan(0);
    await expect.poll(records).toContainEqual(
      expect.objectContaining({
        kind: AuditKind.AUDIT_KIND_ACCEPTED,
        partyOin: school,
        actedBy: supplier.oin,
        method: 'OrderService/PlaceOrder',
      }),
    );

    await own.parties.withdrawMandate({ reference: fresh('withdraw'), schoolOin: school, mandateId });
    expect(await codeOf(place(acting))).toBe('mandate.ended');
  });
});

describe('stop', () => {
  test('closes the route at once, parks what was under way, and giving it back releases it in order', async () => {
    const seller = await at.party('Eikenboek', [Role.ROLE_DISTRIBUTOR]);
    const { mandateId } = await give(seller, [SERVICE_ORDER]);
    const orders = [fresh('order'), fresh('order')];
    const place = (orderId: string) =>
      las.orders.placeOrder({
        reference: orderId,
        orderId,
        schoolOin: school,
        lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 }, sellerOin: seller.oin }],
        waitMs: WAIT,
      });
    const { watchCursor } = await seller.orders.listOrders({});
    for (const orderId of orders) await place(orderId);
    const stopped = performance.now();
    await own.parties.withdrawMandate({ reference: fresh('withdraw'), schoolOin: school, mandateId });
    const confirm = () =>
      codeOf(
        seller.orders.confirmOrder({
          reference: fresh('confirm'),
          orderId: orders[0]!,
          buyerOin: las.oin,
          outcomes: [{ lineId: '1', state: LineState.LINE_STATE_CONFIRMED }],
        }),
      );
    expect(await confirm()).toBe('mandate.ended');
    expect(performance.now() - stopped).toBeLessThan(5_000);

    const watch = seller.orders.watchOrders({ cursor: watchCursor });
    const seen: unknown[] = [];
    watch.on('data', (one) => seen.push(one));
    watch.on('error', () => undefined);
    const parked = async () =>
      (await at.operator.listParked({ schoolOin: school })).rows.filter(({ partyOin }) => partyOin === seller.oin);
    await expect.poll(parked).toMatchObject([{ code: 'mandate.ended', rows: 2n, service: SERVICE_ORDER }]);
    expect(seen).toEqual([]);
    watch.cancel();

    await give(seller, [SERVICE_ORDER]);
    const told = await readUntil(seller.orders.watchOrders({ cursor: watchCursor }), (all) => all.length >= 2);
    expect(told.map(({ order }) => order!.orderId)).toEqual(orders);
    expect(await parked()).toEqual([]);
    expect(await confirm()).toBe('');
  });
});
