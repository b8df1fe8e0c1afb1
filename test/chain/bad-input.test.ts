/**
 * What the doors refuse, over the wire: the code, who must act, where it stands; never a value of the message, in the answer
 * or in the log. After all of it one order still goes its whole way.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Client as GrpcClient,
  Metadata,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isPartyOin } from '#kernel';
import type { Roster } from '#proto/eduk/core/v1/learner';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { GrantEntitlementsRequest, GrantEntitlementsResponse } from '#proto/eduk/gateway/v1/entitlement';
import { edexml, type UwlrAsk, unreadableForms, uwlrQuestion, uwlrResults } from './files.ts';
import {
  clientsOf,
  eckId,
  newOin,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';
import { captureLogs, logged } from './logs.ts';
import { expectNone, expectTold, refusedCall, type Told, toldOver } from './told.ts';

captureLogs();

let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let distributor: TestParty;
let stranger: TestParty;
let school: string;
let ask: UwlrAsk;
const all = [
  Service.SERVICE_ROSTER,
  Service.SERVICE_ORDER,
  Service.SERVICE_ENTITLEMENT,
  Service.SERVICE_ACCESS,
  Service.SERVICE_RESULT,
  Service.SERVICE_PROGRESS,
  Service.SERVICE_USAGE,
];

/** Stand in what is refused, in every field that holds words or numbers, and nowhere else. */
const planted = {
  name: 'Kwikzilverstaart',
  key: 'LAS-PLANT-77315',
  eckId: 'https://ketenid.nl/pilot/p1a2n3t4e5d6',
  group: 'Plantgroep-Zwaluw',
  mail: 'plantzoe@zwaluw.example',
  id: 'PLANT-ID-90817',
};
const values = Object.values(planted);
const plantedPerson = { familyName: planted.name, email: planted.mail };

beforeAll(async () => {
  at = await startTestGateway();
  school = newSchool();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM]);
  distributor = await at.party('Boekenberg', [Role.ROLE_DISTRIBUTOR]);
  stranger = await at.party('Vreemd', [
    Role.ROLE_ADMINISTRATION,
    Role.ROLE_PUBLISHER,
    Role.ROLE_PLATFORM,
    Role.ROLE_DISTRIBUTOR,
  ]);
  await at.mandate(school, las.oin, all);
  const { autorisatiesleutel } = await at.mandate(school, publisher.oin, all);
  await at.mandate(school, distributor.oin, all);
  ask = { sleutel: autorisatiesleutel, klantcode: publisher.klantcode, klantnaam: publisher.klantnaam, school };
  await sendAll(publisher.catalogue.publishProducts(), [
    { reference: 'p', product: { productId: '9789000000019', title: 'Rekenen', licence: { licensed: true } } },
  ]);
});
afterAll(() => at?.stop());

const post = (path: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${at.http}${path}`, { method: 'POST', body, headers });
const postEdexml = (body: string | Buffer, of: TestParty = las, query = ''): Promise<Response> =>
  post(`/edexml${query}`, body, { authorization: `Bearer ${of.apiKey}` });
const pull = '/soap/uwlr/v2/leerlinggegevens';
const push = '/soap/uwlr/v2/leerresultaten';
const xml = { 'content-type': 'text/xml' };

const pupils = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({ key: `L-${from + i}`, eckId: eckId(from + i + 1) }));
const plantedFile = () =>
  edexml({
    school,
    groupName: planted.group,
    pupils: [{ key: planted.key, eckId: planted.eckId, name: planted.name }],
  });
const plantedResults = () => uwlrResults(ask, [{ key: planted.id, leerlingid: planted.key }]);
/** A question holds no identity but the key of the school; that must not come back either. */
const plantedQuestion = () => uwlrQuestion(ask);

const importFile = (bytes: Uint8Array, more: { schoolOin?: string; schoolYear?: string } = {}) =>
  at.operator.importRoster([{ ...more, chunk: bytes }]);

describe('what is no message', () => {
  for (const { how, bytes, code } of unreadableForms(
    edexml({
      school: '0000000700099ZZ00000',
      groupName: planted.group,
      pupils: [{ key: planted.key, eckId: planted.eckId, name: planted.name }],
    }),
  )) {
    test(`POST /edexml, ${how}`, async () => {
      const told = await toldOver(await postEdexml(bytes));
      expectTold(told, code, values);
      expect(told.status).toBe(400);
    });
    test(`the operator's import of a roster, ${how}`, async () => {
      expectTold(await refusedCall(importFile(bytes)), code, values);
    });
    test(`the operator's import of a catalogue, ${how}`, async () => {
      expectTold(
        await refusedCall(at.operator.importCatalogue([{ partyOin: publisher.oin, chunk: bytes }])),
        code,
        values,
      );
    });
  }
  for (const [path, document] of [
    [pull, plantedQuestion],
    [push, plantedResults],
  ] as const)
    test(`SOAP ${path}, in each form`, async () => {
      for (const { how, bytes, code } of unreadableForms(document())) {
        const told = await toldOver(await post(path, bytes, xml));
        expect(told.status, how).toBe(500);
        expectTold(told, code, [...values, ask.sleutel]);
      }
    });
  test('gRPC: bytes that are no message', async () => {
    const raw = (path: string, bytes: Buffer) =>
      new Promise<string>((resolve) => {
        at.channel.makeUnaryRequest(
          path,
          (it: Buffer) => it,
          (it: Buffer) => it,
          bytes,
          metadataOf(las),
          (error) => resolve(error?.metadata.get('eduk-fault')[0]?.toString() ?? ''),
        );
      });
    expect(
      await raw('/eduk.gateway.v1.OrderService/PlaceOrder', Buffer.from(`${planted.name}\xff\xff\xff`, 'latin1')),
    ).toBe('wire.unreadable');
    // In a bulk stream it is one refused item, and the next is taken.
    const call = at.channel.makeBidiStreamRequest(
      '/eduk.gateway.v1.CatalogueService/PublishProducts',
      (it: Buffer) => it,
      (it: Buffer) => it,
      metadataOf(publisher),
    );
    const answer = await new Promise<Buffer>((resolve, reject) => {
      call.on('data', resolve);
      call.on('error', reject);
      call.write(Buffer.from(`\xff\xff${planted.name}`, 'latin1'));
      call.end();
    });
    expect(answer.toString('latin1')).toContain('wire.unreadable');
    expectNone(answer.toString('latin1'), values);
  });
  test('wrong methods, paths and hosts are told, not dropped', async () => {
    expectTold(
      await toldOver(await fetch(`${at.http}/edexml`, { method: 'DELETE', headers: { authorization: 'Bearer x' } })),
      'wire.invalid',
      [],
    );
    expect((await fetch(`${at.http}/${planted.name}`)).status).toBe(404);
    expectNone(await (await fetch(`${at.http}/${planted.name}`)).text(), values);
  });
});

describe('what is too large', () => {
  /** Speaks HTTP by hand: what the gateway reads is what the socket takes. */
  async function sendLarge(path: string, headers: string[], bytes: number, chunked: boolean) {
    const { hostname, port } = new URL(at.http);
    const socket = connect(Number(port), hostname);
    let answer = '';
    let closed = false;
    socket.on('data', (data) => {
      answer += data.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      closed = true;
    });
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(
      [
        `POST ${path} HTTP/1.1`,
        `Host: ${hostname}:${port}`,
        `Authorization: Bearer ${las.apiKey}`,
        chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`,
        ...headers,
        '',
        '',
      ].join('\r\n'),
    );
    const part = Buffer.alloc(1 << 20, 'a');
    const frame = chunked ? Buffer.concat([Buffer.from('100000\r\n'), part, Buffer.from('\r\n')]) : part;
    let sent = 0;
    // As clients do: send until an answer comes.
    while (sent < bytes && answer === '' && !closed) {
      const room = socket.write(frame);
      sent += part.length;
      if (!room) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), sleep(2_000)]);
      else await sleep(0);
    }
    for (let i = 0; i < 1_500 && !(answer.includes('\r\n\r\n') && closed); i++) await sleep(20);
    socket.destroy();
    return { answer, sent, closed };
  }

  test('a body of 100 MB is refused from its head', async () => {
    const { answer, sent, closed } = await sendLarge('/edexml', [], 100 << 20, false);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('"code":"wire.too_large"');
    expect(sent).toBeLessThan(12 << 20);
    expect(closed).toBe(true);
  });
  test('one that does not say how long it is, once it is', async () => {
    const { answer, sent, closed } = await sendLarge('/edexml', [], 100 << 20, true);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('"code":"wire.too_large"');
    expect(sent).toBeLessThan(48 << 20);
    expect(closed).toBe(true);
  });
  test('one that asks first is told before it sends', async () => {
    const { answer } = await sendLarge('/edexml', ['Expect: 100-continue'], 100 << 20, false);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });
  test('SOAP says it as a fault', async () => {
    const { answer, sent, closed } = await sendLarge(push, ['Content-Type: text/xml'], 100 << 20, false);
    expect(answer).toMatch(/^HTTP\/1\.1 500 /);
    expect(answer).toContain('wire.too_large');
    expect(sent).toBeLessThan(12 << 20);
    expect(closed).toBe(true);
  });
  test('a client that asks first and is small enough is served', async () => {
    const { hostname, port } = new URL(at.http);
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.on('data', (data) => {
      answer += data.toString('latin1');
    });
    socket.write(
      `POST /edexml HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${las.apiKey}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
    );
    for (let i = 0; i < 1_500 && !answer.includes('100 Continue'); i++) await sleep(20);
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue/);
    socket.write('hello');
    for (let i = 0; i < 1_500 && !answer.includes('wire.unreadable'); i++) await sleep(20);
    expect(answer).toContain('wire.unreadable');
    socket.destroy();
  });
  test('gRPC: a message and an item of a stream', async () => {
    const long = Array.from({ length: 40_000 }, (_, i) => `${planted.id}-${i}`.padEnd(120, 'x'));
    await expect(
      publisher.entitlements.withdrawEntitlements({ reference: 'big', schoolOin: school, entitlementIds: long }),
    ).rejects.toMatchObject({ grpcCode: 8 });
    const [ack] = await sendAll(las.rosters.pushRoster(), [
      {
        reference: 'big-item',
        rosterId: 'big',
        last: true,
        roster: rosterOf(
          school,
          Array.from({ length: 3_000 }, (_, i) => ({
            ref: { lasKey: `${planted.key}-${i}`, eckId: '' },
            person: { ...plantedPerson, givenNames: 'x'.repeat(100) },
          })),
        ),
      },
    ]);
    expect(ack!.refusals).toMatchObject([{ index: 0n, code: 'wire.too_large' }]);
    expectNone(JSON.stringify(ack!.refusals, big), values);
  });
});

const big = (_key: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value);
function metadataOf(party: TestParty) {
  // A fresh one: grpc-js keeps what it is given.
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${party.apiKey}`);
  return metadata;
}

type LearnerOf = {
  ref?: { lasKey?: string; eckId?: string };
  person?: object;
  groupKey?: string;
  compositeGroupKeys?: string[];
};
function rosterOf(of: string, learners: LearnerOf[], more: Partial<Roster> = {}) {
  return {
    schoolOin: of,
    schoolYear: '2026-2027',
    asOf: '2026-10-01',
    groups: [{ key: 'g7', name: 'Zeven', yearGroup: '7' }],
    learners: learners.map((learner) => ({ yearGroup: '7', groupKey: 'g7', ...learner })) as Roster['learners'],
    ...more,
  };
}

const pushOne = async (
  of: TestParty,
  roster: object,
  rosterId: string,
  more: { last?: boolean; part?: number } = {},
) => {
  const acks = await sendAll(of.rosters.pushRoster(), [
    {
      reference: `${rosterId}.${more.part ?? 0}`,
      rosterId,
      part: more.part ?? 0,
      last: more.last ?? true,
      roster,
    } as never,
  ]);
  return acks.flatMap(({ refusals }) => refusals);
};

const plantedLearner = { ref: { eckId: planted.eckId, lasKey: '' } };
const order = (of: string, more: object = {}) => ({
  reference: planted.id,
  orderId: planted.id,
  schoolOin: of,
  lines: [{ terms: { lineId: '1', productId: '9789000000019', quantity: 1 }, learner: { eckId: planted.eckId } }],
  ...more,
});
const grant = (of: string, id: string, more: object = {}) => ({
  reference: id,
  schoolOin: of,
  holder: { learner: { eckId: planted.eckId } },
  terms: { entitlementId: id, productId: '9789000000019' },
  ...more,
});

describe('who, and for which school', () => {
  test('a caller that is not known', async () => {
    for (const authorization of [
      undefined,
      `Bearer ${planted.id}`,
      'Bearer eduk_key_wrong',
      'Bearer eduk_operator_wrong',
      'Basic eA==',
    ])
      expectTold(
        await refusedCall(at.as(authorization ?? '').orders.placeOrder(order(school))),
        'party.unknown',
        values,
      );
    const wrongKey = await refusedCall(at.as('Bearer eduk_key_wrong').orders.placeOrder(order(school)));
    expect(wrongKey.all).toContain('This API key or access token is not known here, or no longer.');
    const noKey = await refusedCall(at.as('').orders.placeOrder(order(school)));
    expect(noKey.all).toContain('send authorization: Bearer and an access token, or on loopback an API key');
    expectTold(await toldOver(await post('/edexml', plantedFile())), 'party.unknown', values);
    for (const wrong of [
      { ...ask, klantcode: planted.id },
      { ...ask, klantnaam: planted.name },
    ]) {
      expectTold(await toldOver(await post(pull, uwlrQuestion(wrong), xml)), 'party.unknown', [...values, ask.sleutel]);
    }
    const otherKey = await toldOver(await post(pull, uwlrQuestion({ ...ask, sleutel: planted.key }), xml));
    expectTold(otherKey, 'party.unknown', values);
    expect(otherKey.all).toContain('This autorisatiesleutel was not given to this caller');
    expect(otherKey.all).toContain('De autorisatiesleutel ontbreekt of is niet die van deze afzender.');
  });
  test('a party without the role', async () => {
    expectTold(await refusedCall(publisher.orders.placeOrder(order(school))), 'party.forbidden', values);
    expectTold(await toldOver(await postEdexml(plantedFile(), publisher)), 'party.forbidden', values);
    await expect(sendAll(las.entitlements.grantEntitlements(), [grant(school, planted.id)])).resolves.toMatchObject([
      { refusals: [{ code: 'party.forbidden' }] },
    ]);
  });
  test('a school that nobody knows', async () => {
    const unknown = newSchool();
    expectTold(await refusedCall(las.orders.placeOrder(order(unknown))), 'state.missing', values, 'school_oin');
    expectTold(
      await toldOver(await postEdexml(plantedFile().replace(brin(school), brin(unknown)))),
      'state.missing',
      values,
      'school_oin',
    );
    expectTold(await toldOver(await post(pull, uwlrQuestion({ ...ask, school: unknown }), xml)), 'state.missing', [
      ...values,
      ask.sleutel,
    ]);
    expectTold(
      await refusedCall(las.rosters.getRoster({ schoolOin: unknown, schoolYear: '2026-2027' })),
      'state.missing',
      values,
    );
  });
  test('a party that nobody knows', async () => {
    expectTold(
      await refusedCall(at.operator.importCatalogue([{ partyOin: newOin(), chunk: Buffer.from('<x/>') }])),
      'state.missing',
      values,
      'party_oin',
    );
    expectTold(await refusedCall(las.parties.getParty({ oin: newOin() })), 'state.missing', values);
  });
  test('a product that nobody published waits, and its order says so', async () => {
    const placed = await las.orders.placeOrder(
      order(school, {
        reference: 'unknown-product',
        orderId: 'unknown-product',
        lines: [{ terms: { lineId: '1', productId: '9789000999999', quantity: 1 } }],
      }),
    );
    const { told, blockers } = await las.flows.whyBlocked({ orderId: 'unknown-product' });
    expect(blockers[0]).toMatchObject({
      code: 'product.unknown',
      productId: '9789000999999',
      partyName: 'De Leerlijst',
    });
    expect(told).not.toBe('');
    expect(placed.flowId).not.toBe('');
    expectTold(await refusedCall(las.catalogue.getProduct({ productId: planted.id })), 'product.unknown', values);
  });

  const states: {
    how: string;
    code: 'mandate.missing' | 'mandate.unconfirmed' | 'mandate.ended';
    make(of: string): Promise<unknown>;
  }[] = [
    { how: 'not given', code: 'mandate.missing', make: (of) => at.mandate(of, distributor.oin, all) },
    {
      how: 'given and not confirmed',
      code: 'mandate.unconfirmed',
      make: (of) => at.mandate(of, stranger.oin, all, { confirm: false }),
    },
    {
      how: 'ended',
      code: 'mandate.ended',
      make: async (of) => {
        const { mandateId } = await at.mandate(of, stranger.oin, all);
        await at.operator.changeMandate({ mandateId, change: 'stop' });
      },
    },
    {
      how: 'for another service',
      code: 'mandate.missing',
      make: (of) => at.mandate(of, stranger.oin, [Service.SERVICE_STAFF]),
    },
    {
      how: 'for another school',
      code: 'mandate.missing',
      make: async (of) => {
        await at.mandate(newSchool(), stranger.oin, all);
        await at.mandate(of, distributor.oin, all);
      },
    },
  ];
  for (const { how, code, make } of states)
    test(`a mandate ${how}: nothing of that school, in or out`, async () => {
      const of = newSchool();
      await make(of);
      const calls: (() => Promise<unknown>)[] = [
        () => stranger.orders.placeOrder(order(of)),
        () =>
          stranger.access.provisionAccess({ reference: planted.id, schoolOin: of, entitlementId: planted.id } as never),
        () =>
          stranger.entitlements.reportUsage({
            reference: 'u',
            schoolOin: of,
            entitlementId: planted.id,
            day: '2026-11-20',
          }),
        () =>
          stranger.identity.registerLearners({ reference: 'r', schoolOin: of, learners: [plantedLearner as never] }),
        () => stranger.identity.forgetLearner({ reference: 'f', schoolOin: of, learner: { eckId: planted.eckId } }),
        () => stranger.rosters.getRoster({ schoolOin: of, schoolYear: '2026-2027' }),
        () => stranger.orders.listOrders({ schoolOin: of }),
        () => stranger.entitlements.listEntitlements({ schoolOin: of }),
        () => stranger.results.listResults({ schoolOin: of }),
        () => stranger.results.getProgress({ schoolOin: of, audience: 5 }),
      ];
      for (const call of calls) expectTold(await refusedCall(call()), code, values);
      for (const refusal of [
        await pushOne(stranger, rosterOf(of, [{ ref: { lasKey: planted.key }, person: plantedPerson }]), `m-${of}`),
        (await sendAll(stranger.entitlements.grantEntitlements(), [grant(of, planted.id)])).flatMap(
          (ack) => ack.refusals,
        ),
        (
          await sendAll(stranger.results.returnResults(), [
            {
              reference: planted.id,
              schoolOin: of,
              result: { resultId: planted.id, learner: { eckId: planted.eckId }, payload: { score: 8 } },
            },
          ])
        ).flatMap((ack) => ack.refusals),
      ]) {
        expect(refusal).toMatchObject([{ index: 0n, code, where: 'school_oin' }]);
        expectNone(JSON.stringify(refusal, big), values);
      }
      const file = edexml({ school: of, groupName: planted.group, pupils: [{ key: planted.key, name: planted.name }] });
      expectTold(await toldOver(await postEdexml(file, stranger)), code, values);
    });
  test('UWLR: a key of a mandate that is not confirmed, was stopped, is for another service or another school', async () => {
    for (const [make, code] of [
      [{ confirm: false }, 'mandate.unconfirmed'],
      [{ stop: true }, 'mandate.ended'],
      [{ services: [Service.SERVICE_STAFF] }, 'mandate.missing'],
    ] as const) {
      const of = newSchool();
      const { mandateId, autorisatiesleutel } = await at.mandate(
        of,
        publisher.oin,
        'services' in make ? [...make.services] : all,
        {
          confirm: !('confirm' in make),
        },
      );
      if ('stop' in make) await at.operator.changeMandate({ mandateId, change: 'stop' });
      const its = { ...ask, school: of, sleutel: autorisatiesleutel };
      expectTold(await toldOver(await post(pull, uwlrQuestion(its), xml)), code, [...values, autorisatiesleutel]);
      expectTold(
        await toldOver(await post(push, uwlrResults(its, [{ key: planted.id, leerlingid: planted.key }]), xml)),
        code,
        [...values, autorisatiesleutel],
      );
      const other = await toldOver(await post(pull, uwlrQuestion({ ...its, school }), xml));
      expectTold(other, 'mandate.missing', [...values, autorisatiesleutel]);
    }
  });
});

const brin = (of: string): string => of.slice(11, 15);

test('a reference used twice with other content is refused; with the same it is the same answer', async () => {
  const first = await las.orders.placeOrder(order(school, { reference: 'twice', orderId: 'twice-1' }));
  const again = await las.orders.placeOrder(order(school, { reference: 'twice', orderId: 'twice-1', waitMs: 100n }));
  expect({ ...again, decision: undefined }).toEqual({ ...first, decision: undefined });
  expectTold(
    await refusedCall(las.orders.placeOrder(order(school, { reference: 'twice', orderId: planted.id }))),
    'state.conflict',
    values,
    'reference',
  );
  expectTold(await refusedCall(las.orders.getOrder({ orderId: planted.id })), 'state.missing', values);
  // In a stream it is that item only.
  const acks = await sendAll(publisher.entitlements.grantEntitlements(), [
    grant(school, 'twice-a'),
    grant(school, 'twice-a', { terms: { entitlementId: planted.id, productId: '9789000000019' } }),
    grant(school, 'twice-b'),
  ]);
  expect(acks.flatMap((ack) => ack.refusals)).toMatchObject([
    { index: 1n, code: 'state.conflict', where: 'reference' },
  ]);
});

describe('what has the wrong form', () => {
  const refusesOrder = async (more: object, path: string) =>
    expectTold(await refusedCall(las.orders.placeOrder(order(school, more))), 'wire.invalid', values, path);
  const line = (terms: object) => ({
    lines: [{ terms: { lineId: '1', productId: '9789000000019', quantity: 1, ...terms } }],
  });

  test('dates', async () => {
    for (const day of ['2026-02-30', '2026-13-01', '20-11-2026', '2026-1-1', 'morgen', '2026-11-20 ', '0000-00-00']) {
      await refusesOrder(line({ startsOn: day }), 'lines[0].terms.starts_on');
      expectTold(
        await refusedCall(
          publisher.entitlements.reportUsage({ reference: 'd', schoolOin: school, entitlementId: 'e', day }),
        ),
        'wire.invalid',
        values,
        'day',
      );
    }
    await refusesOrder(line({ startsOn: '2027-01-02', endsOn: '2027-01-01' }), 'lines[0].terms.ends_on');
    for (const asOf of ['2026-02-30', 'gisteren'])
      expectTold(
        await toldOver(await postEdexml(edexml({ school, asOf, pupils: [{ key: planted.key, name: planted.name }] }))),
        'wire.invalid',
        values,
        /peildatum$/,
      );
    expectTold(
      await toldOver(
        await post(push, uwlrResults(ask, [{ key: planted.id, leerlingid: planted.key, day: '2026-02-30' }]), xml),
      ),
      'wire.invalid',
      values,
      /afnamedatum$/,
    );
  });
  test('school years', async () => {
    for (const year of ['2026-2028', '2026', '26-27', '2026/2027', '2027-2026', '']) {
      expectTold(
        await toldOver(await postEdexml(edexml({ school, year, pupils: [{ key: planted.key, name: planted.name }] }))),
        'wire.invalid',
        values,
        /schooljaar|school_year/,
      );
      // Some clients leave it empty; then it is the running one.
      if (year !== '')
        expectTold(
          await toldOver(
            await post(push, uwlrResults({ ...ask, year }, [{ key: planted.id, leerlingid: planted.key }]), xml),
          ),
          'wire.invalid',
          values,
          /schooljaar/,
        );
      if (year !== '')
        expectTold(
          await toldOver(await post(pull, uwlrQuestion({ ...ask, year }), xml)),
          'wire.invalid',
          values,
          /schooljaar/,
        );
      const [refusal] = await pushOne(
        las,
        rosterOf(school, [{ ref: { lasKey: planted.key } }], { schoolYear: year }),
        `year-${year.length}`,
      );
      expect(refusal).toMatchObject({ code: 'wire.invalid', where: 'roster.school_year' });
      if (year !== '')
        expectTold(
          await refusedCall(las.rosters.getRoster({ schoolOin: school, schoolYear: year })),
          'wire.invalid',
          values,
          'school_year',
        );
    }
    expectTold(
      await toldOver(await postEdexml(plantedFile(), las, '?schooljaar=2026-2028')),
      'wire.invalid',
      values,
      'schooljaar',
    );
  });
  test('BRIN and OIN', async () => {
    for (const wrong of ['9ZX', '99zx!', '1234', 'ABCD', '99ZXX'])
      expectTold(
        await toldOver(
          await postEdexml(edexml({ school, brin: wrong, pupils: [{ key: planted.key, name: planted.name }] })),
        ),
        'wire.invalid',
        values,
        /brincode$/,
      );
    expectTold(
      await toldOver(await post(pull, uwlrQuestion({ ...ask, brin: '9ZX' }), xml)),
      'wire.invalid',
      values,
      /brincode$/,
    );
    for (const wrong of ['123', '00000007000999900000', 'school van de hoek', `${school}0`]) {
      const [refusal] = await pushOne(las, rosterOf(wrong, [{ ref: { lasKey: planted.key } }]), 'oin');
      expect(refusal).toMatchObject({ code: 'wire.invalid', where: 'roster.school_oin' });
      if (!isPartyOin(wrong))
        expectTold(
          await refusedCall(
            at.operator.addParty({ party: { oin: wrong, name: planted.name, roles: [Role.ROLE_PUBLISHER] } }),
          ),
          'wire.invalid',
          values,
          'party.oin',
        );
      expectTold(
        await refusedCall(
          at.operator.grantMandate({ mandate: { schoolOin: wrong, partyOin: las.oin, services: all } }),
        ),
        'wire.invalid',
        values,
        'mandate.school_oin',
      );
    }
    expectTold(
      await toldOver(await postEdexml(plantedFile(), las, `?school=${planted.id}`)),
      'wire.invalid',
      values,
      'school',
    );
    expectTold(
      await toldOver(await postEdexml(plantedFile(), las, `?school=${newSchool()}`)),
      'wire.invalid',
      values,
      /brincode$/,
    );
  });
  test('ids; an EAN with a wrong check digit is an id like any other', async () => {
    for (const id of ['with space', 'é', 'x'.repeat(65), 'tab\t', '<a>', '']) {
      await refusesOrder({ orderId: id }, 'order_id');
      await refusesOrder({ reference: id }, 'reference');
      await refusesOrder(line({ productId: id }), 'lines[0].terms.product_id');
    }
    await refusesOrder({ lines: [] }, 'lines');
    await refusesOrder(line({ quantity: 0 }), 'lines[0].terms.quantity');
    const acks = await sendAll(publisher.catalogue.publishProducts(), [
      {
        reference: 'ean',
        product: { productId: '9789000000011', title: 'Verkeerd cijfer', licence: { licensed: true } },
      },
    ]);
    expect(acks.flatMap(({ refusals }) => refusals)).toEqual([]);
    const placed = await las.orders.placeOrder(
      order(school, { reference: 'ean', orderId: 'ean', waitMs: 5_000n, ...line({ productId: '9789000000011' }) }),
    );
    expect(placed.decision).toMatchObject({ outcome: 'OrderPlaced' });
  });
});

describe('a roster that contradicts itself', () => {
  const twice = [
    { key: planted.key, name: planted.name },
    { key: planted.key, name: planted.name },
  ];
  test('EDEXML: keys twice, groups that are not there', async () => {
    for (const [file, path] of [
      [edexml({ school, pupils: twice }), /leerling|learners/],
      [edexml({ school, groups: ['g7', 'g7'], pupils: [twice[0]!] }), /groep|groups/],
      [edexml({ school, pupils: [{ ...twice[0]!, group: planted.group }] }), /groep|group_key|^EDEX$/],
      [
        edexml({
          school,
          pupils: [
            { ...twice[0]!, eckId: planted.eckId },
            { ...twice[1]!, key: 'other', eckId: planted.eckId },
          ],
        }),
        /leerling|learners/,
      ],
    ] as const) {
      expectTold(await toldOver(await postEdexml(file)), 'wire.invalid', values, path);
      expectTold(await refusedCall(importFile(Buffer.from(file))), 'wire.invalid', values, path);
    }
  });
  test('gRPC: in one message, and over the parts of one roster', async () => {
    for (const [roster, path] of [
      [
        rosterOf(school, [{ ref: { lasKey: planted.key } }, { ref: { lasKey: planted.key } }]),
        'roster.learners[1].ref.las_key',
      ],
      [
        rosterOf(school, [{ ref: { eckId: planted.eckId } }, { ref: { eckId: planted.eckId } }]),
        'roster.learners[1].ref.eck_id',
      ],
      [rosterOf(school, [{ ref: { lasKey: planted.key }, groupKey: planted.group }]), 'roster.learners[0].group_key'],
      [
        rosterOf(school, [{ ref: { lasKey: planted.key }, compositeGroupKeys: [planted.group] }]),
        'roster.learners[0].composite_group_keys[0]',
      ],
      [rosterOf(school, [{ person: plantedPerson }]), 'roster.learners[0].ref'],
      [
        rosterOf(school, [], { groups: [{ key: planted.group }, { key: planted.group }] as never }),
        'roster.groups[1].key',
      ],
    ] as const) {
      const refusals = await pushOne(las, roster, 'contradicts');
      expect(refusals).toMatchObject([{ code: 'wire.invalid' }]);
      expect(refusals[0]!.where).toContain(path);
      expectNone(JSON.stringify(refusals, big), values);
    }
    // Each part is well-formed; the whole is not. The owner refuses it, and the flow says so.
    const of = newSchool();
    await at.mandate(of, las.oin, all);
    const acks = await sendAll(las.rosters.pushRoster(), [
      {
        reference: 'pt.0',
        rosterId: 'pt',
        part: 0,
        last: false,
        roster: rosterOf(of, [{ ref: { lasKey: planted.key } }]),
      },
      {
        reference: 'pt.1',
        rosterId: 'pt',
        part: 1,
        last: true,
        roster: rosterOf(of, [{ ref: { lasKey: 'b' }, groupKey: planted.group }], { groups: [] }),
      },
    ]);
    expect(acks.flatMap(({ refusals }) => refusals)).toEqual([]);
    const flow = await settled(async () => {
      const { flow } = await las.flows.getFlow({ reference: 'pt.1', method: 'RosterService/PushRoster' });
      return flow?.state === 'refused' ? flow : undefined;
    });
    expect(flow.steps.at(-1)).toMatchObject({ step: 'RosterRefused', state: 'refused', code: 'wire.invalid' });
    expectNone(JSON.stringify(flow, big), values);
    expectTold(
      await refusedCall(las.rosters.getRoster({ schoolOin: of, schoolYear: '2026-2027' })),
      'state.missing',
      values,
    );
  });
  test('UWLR: keys of results twice', async () => {
    const of = newSchool();
    const { autorisatiesleutel } = await at.mandate(of, publisher.oin, all);
    await at.operator.importRoster([{ chunk: Buffer.from(edexml({ school: of, pupils: pupils(3) })) }]);
    const its = { ...ask, school: of, sleutel: autorisatiesleutel };
    const told = await toldOver(
      await post(
        push,
        uwlrResults(its, [
          { key: planted.id, leerlingid: 'L-0' },
          { key: planted.id, leerlingid: 'L-1' },
        ]),
        xml,
      ),
    );
    expectTold(told, 'wire.invalid', values, /resultaat/);
    // A toetscode that no toets explains: UWLR's own schema lets it pass.
    const dangling = uwlrResults(its, [{ key: planted.id, leerlingid: 'L-0', toetscode: planted.id }]).replace(
      `<r:toets><r:toetscode>${planted.id}</r:toetscode></r:toets>`,
      '<r:toets><r:toetscode>iets-anders</r:toetscode></r:toets>',
    );
    const answer = await post(push, dangling, xml);
    expectNone(await answer.text(), values);
    expectTold(
      await toldOver(await post(push, uwlrResults(its, [{ key: planted.id, leerlingid: planted.key }]), xml)),
      'learner.unknown',
      values,
      /toetsafname\[1\]\/leerlingid$/,
    );
  });
});

async function settled<T>(ask: () => Promise<T | undefined>, ms = 60_000): Promise<T> {
  for (const until = Date.now() + ms; ; await sleep(20)) {
    const known = await ask();
    if (known !== undefined) return known;
    if (Date.now() > until) throw new Error('it did not come about in time');
  }
}

describe('a roster that would empty a school is held', () => {
  const year = '2026-2027';
  let of: string;
  const whole = () => las.rosters.getRoster({ schoolOin: of, schoolYear: year, limit: 1000 });
  beforeAll(async () => {
    of = newSchool();
    await at.mandate(of, las.oin, all);
    const taken = await toldlessPost(edexml({ school: of, pupils: pupils(60) }));
    expect(taken.status).toBe(202);
    expect((await whole()).roster!.learners).toHaveLength(60);
  });
  const toldlessPost = (file: string) => postEdexml(file);

  for (const [how, file] of [
    ['with one pupil', () => edexml({ school: of, asOf: '2026-10-02', pupils: pupils(1) })],
    ['cut off after a third of its pupils', () => edexml({ school: of, asOf: '2026-10-03', pupils: pupils(20) })],
    [
      'with every pupil renamed',
      () =>
        edexml({ school: of, asOf: '2026-10-04', pupils: pupils(60).map((pupil) => ({ ...pupil, name: 'Anders' })) }),
    ],
  ] as const)
    test(`${how}: held, shown, rejected, and the school is as it was`, async () => {
      const before = (await whole()).roster!;
      const answer = await toldlessPost(file());
      expect(answer.status).toBe(409);
      const held = (await answer.json()) as { code: string; holdId: string; difference: Record<string, number> };
      expect(held.code).toBe('hold.pending');
      const { holds } = await at.operator.listHolds({ schoolOin: of, decided: false });
      expect(holds).toMatchObject([{ holdId: held.holdId, schoolOin: of }]);
      expectNone(JSON.stringify(holds, big), ['Plooistra', 'L-0', eckId(1)]);
      expect((await whole()).roster!.learners).toEqual(before.learners);
      const { blockers } = await at.operator.whyBlocked({ schoolOin: of, productId: '9789000000019' });
      // Whom was asked about the standing roster has, so what they lack otherwise comes first.
      expect(blockers.find(({ code }) => code === 'hold.pending')).toMatchObject({
        code: 'hold.pending',
        who: 'school',
        partyOin: of,
      });
      await at.operator.decideHold({ holdId: held.holdId, approve: false });
      expect((await whole()).roster!.learners).toEqual(before.learners);
      expect((await at.operator.listHolds({ schoolOin: of, decided: false })).holds).toEqual([]);
      // Decided is decided.
      expectTold(
        await refusedCall(at.operator.decideHold({ holdId: held.holdId, approve: true })),
        'state.conflict',
        values,
      );
    });
  test('EDEXML knows no roster without pupils: refused, and the school is as it was', async () => {
    const before = (await whole()).roster!;
    const file = edexml({ school: of, asOf: '2026-10-04', pupils: [] });
    expectTold(await toldOver(await postEdexml(file)), 'wire.invalid', values, 'EDEX/leerlingen');
    expect((await whole()).roster!.learners).toEqual(before.learners);
  });
  test('one that is approved is applied', async () => {
    const answer = await toldlessPost(edexml({ school: of, asOf: '2026-10-05', pupils: pupils(40) }));
    const { holdId } = (await answer.json()) as { holdId: string };
    await at.operator.decideHold({ holdId, approve: true });
    await settled(async () => ((await whole()).roster!.learners.length === 40 ? true : undefined));
  });
  test('over gRPC too; and one whose last part never comes changes nothing', async () => {
    const before = (await whole()).roster!;
    expect(await pushOne(las, rosterOf(of, [], { asOf: '2026-10-06' }), 'grpc-empty')).toEqual([]);
    const { flow } = await las.flows.getFlow({ reference: 'grpc-empty.0', method: 'RosterService/PushRoster' });
    const state = await settled(async () => {
      const { flow } = await las.flows.getFlow({ reference: 'grpc-empty.0', method: 'RosterService/PushRoster' });
      return flow!.state === 'held' ? flow : undefined;
    });
    expect(flow).toBeDefined();
    expect(state.steps.some(({ state }) => state === 'held')).toBe(true);
    const { holds } = await at.operator.listHolds({ schoolOin: of, decided: false });
    await at.operator.decideHold({ holdId: holds[0]!.holdId, approve: false });
    expect(
      await pushOne(las, rosterOf(of, [{ ref: { lasKey: 'L-0' } }], { asOf: '2026-10-07' }), 'grpc-cut', {
        last: false,
      }),
    ).toEqual([]);
    await sleep(200);
    expect((await whole()).roster!.learners).toEqual(before.learners);
  });
  test('a hold that nobody knows', async () => {
    expectTold(
      await refusedCall(at.operator.decideHold({ holdId: planted.id, approve: true })),
      'state.missing',
      values,
      'hold_id',
    );
  });
});

test('a stream cut halfway: what was acknowledged stays, what is sent again has no second effect', async () => {
  const of = newSchool();
  await at.mandate(of, publisher.oin, all);
  const items = Array.from({ length: 3_000 }, (_, i) => ({
    reference: `cut-${i}`,
    schoolOin: of,
    terms: { entitlementId: `cut-${i}`, productId: '9789000000019' },
  }));
  for (let round = 0; round < 3; round++) {
    // A connection of its own, which is broken off while the stream runs.
    const channel = new GrpcClient(at.gateway.addresses.grpc, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    const call = clientsOf(channel, `Bearer ${publisher.apiKey}`).entitlements.grantEntitlements();
    const through = await cutAfter(call, items, 400 + 600 * round);
    channel.close();
    expect(through).toBeGreaterThanOrEqual(199);
    for (const i of [0, through >> 1, through]) await known(of, `cut-${i}`);
  }
  const acks = await sendAll(publisher.entitlements.grantEntitlements(), items);
  expect(acks.flatMap(({ refusals }) => refusals)).toEqual([]);
  expect(acks.at(-1)!.through).toBe(2_999n);
  await known(of, 'cut-2999');
  // Counted where they live, and in the mailbox of a receiver: each once.
  const ids = new Set<string>();
  let rows = 0;
  for (let cursor = ''; ; ) {
    const page = await publisher.entitlements.listEntitlements({ schoolOin: of, limit: 1000, cursor });
    rows += page.entitlements.length;
    for (const { entitlement } of page.entitlements.map((it) => ({ entitlement: it })))
      ids.add(entitlement.terms!.entitlementId);
    cursor = page.cursor;
    if (!cursor) break;
  }
  expect({ rows, ids: ids.size }).toEqual({ rows: 3_000, ids: 3_000 });
  const told = await readUntil(publisher.entitlements.watchEntitlements({}), (seen) =>
    seen.some(({ entitlement }) => entitlement!.terms!.entitlementId === 'cut-2999'),
  );
  const mine = told.filter(({ entitlement }) => entitlement!.schoolOin === of);
  expect(mine.length).toBe(3_000);
});

const known = (of: string, entitlementId: string) =>
  settled(async () => {
    const { entitlement } = await publisher.entitlements.getEntitlement({ schoolOin: of, entitlementId });
    return entitlement;
  });

/** Breaks the stream off once so many are acknowledged; gives the last index acknowledged. */
function cutAfter(
  call: ClientDuplexStream<Partial<GrantEntitlementsRequest>, GrantEntitlementsResponse>,
  items: object[],
  enough: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let through = -1;
    call.on('data', (ack: GrantEntitlementsResponse) => {
      through = Number(ack.through);
      if (through + 1 >= enough) call.cancel();
    });
    call.on('error', (error: { code?: number }) => (error.code === 1 ? resolve(through) : reject(error)));
    call.on('end', () => resolve(through));
    for (const item of items) call.write(item);
  });
}

describe("another party's ids and cursors", () => {
  const missing: [string, () => Promise<unknown>][] = [
    ['an order', () => stranger.orders.getOrder({ orderId: 'theirs' })],
    [
      'an order to confirm',
      () => stranger.orders.confirmOrder({ reference: 'c', orderId: 'theirs', outcomes: [{ lineId: '1', state: 2 }] }),
    ],
    ['an order to cancel', () => stranger.orders.cancelOrder({ reference: 'c2', orderId: 'theirs' })],
    ['a flow by reference', () => stranger.flows.getFlow({ reference: 'theirs', method: 'OrderService/PlaceOrder' })],
    ['why an order is blocked', () => stranger.flows.whyBlocked({ orderId: 'theirs', schoolOin: school })],
    ['a launch ticket', () => stranger.access.redeemLaunch({ reference: 'rl', ticket })],
    ['a mandate', () => otherSchool.parties.withdrawMandate({ reference: 'wm', mandateId })],
  ];
  let mandateId = '';
  let flowId = '';
  let ticket = '';
  let otherSchool: TestParty;
  beforeAll(async () => {
    const placed = await las.orders.placeOrder(
      order(school, { reference: 'theirs', orderId: 'theirs', waitMs: 5_000n }),
    );
    flowId = placed.flowId;
    otherSchool = await at.party('Een andere school', [Role.ROLE_SCHOOL], newSchool());
    await sendAll(publisher.entitlements.grantEntitlements(), [
      {
        reference: 'theirs',
        schoolOin: school,
        holder: { learner: { eckId: eckId(400) } },
        terms: { entitlementId: 'theirs', productId: '9789000000019' },
      },
    ]);
    const launch = await publisher.access.createLaunch({
      reference: 'theirs',
      schoolOin: school,
      learner: { eckId: eckId(400) },
      productId: '9789000000019',
    });
    expect(launch.decision).toMatchObject({ outcome: 'LaunchCreated', code: '' });
    ticket = launch.ticket;
    mandateId = (await at.operator.listMandates({ schoolOin: school })).mandates[0]!.mandateId;
  });
  for (const [what, ask] of missing)
    test(`${what}: missing, as if it were not there`, async () => {
      expect(ticket).not.toBe('');
      expectTold(await refusedCall(ask()), 'state.missing', [...values, 'theirs', ticket, mandateId]);
    });
  test('a flow, an entitlement, a roster', async () => {
    expectTold(await refusedCall(stranger.flows.getFlow({ flowId })), 'state.missing', [...values, flowId]);
    expectTold(await refusedCall(watchEnd(stranger.flows.watchFlow({ flowId }))), 'state.missing', [...values, flowId]);
    expectTold(
      await refusedCall(stranger.entitlements.getEntitlement({ schoolOin: school, entitlementId: 'twice-a' })),
      'state.missing',
      [...values, 'twice-a'],
    );
  });
  test('cursors: of another party, of another list, cut, forged', async () => {
    for (let i = 0; i < 3; i++)
      await las.orders.placeOrder(order(school, { reference: `page-${i}`, orderId: `page-${i}`, waitMs: 5_000n }));
    const { cursor } = await las.orders.listOrders({ schoolOin: school, limit: 1 });
    expect(cursor).not.toBe('');
    const [seen] = await readUntil(publisher.orders.watchOrders({}), (all) => all.length === 1);
    const bad = [
      cursor.slice(0, -2),
      `${cursor.slice(0, 20)}AAAA${cursor.slice(24)}`,
      planted.id,
      Buffer.from(planted.name).toString('base64url'),
    ];
    await at.mandate(school, stranger.oin, all);
    const refused: Promise<Told>[] = [
      refusedCall(stranger.orders.listOrders({ schoolOin: school, cursor })),
      refusedCall(las.entitlements.listEntitlements({ schoolOin: school, cursor })),
      refusedCall(watchEnd(distributor.orders.watchOrders({ cursor: seen!.cursor }))),
      refusedCall(watchEnd(publisher.entitlements.watchEntitlements({ cursor: seen!.cursor }))),
      refusedCall(watchEnd(publisher.orders.watchOrders({ cursor }))),
      ...bad.map((one) => refusedCall(las.orders.listOrders({ schoolOin: school, cursor: one }))),
      ...bad.map((one) => refusedCall(watchEnd(publisher.orders.watchOrders({ cursor: one })))),
    ];
    for (const told of await Promise.all(refused))
      expectTold(told, 'wire.invalid', [...values, cursor, seen!.cursor], 'cursor');
  });
});

/** A watch that should be refused: resolves with what it saw when it was not. */
const watchEnd = async <A>(call: ClientReadableStream<A>): Promise<A[]> => readUntil(call, () => false, 3_000);

test('after all of it one order goes its way, and no value stands in the log', async () => {
  const placed = await las.orders.placeOrder({
    reference: 'last',
    orderId: 'last',
    schoolOin: school,
    lines: [{ terms: { lineId: '1', productId: '9789000000019', quantity: 1 }, learner: { eckId: eckId(500) } }],
    waitMs: 5_000n,
  });
  expect(placed.decision).toMatchObject({ outcome: 'OrderPlaced' });
  await readUntil(publisher.orders.watchOrders({}), (seen) => seen.some(({ order }) => order?.orderId === 'last'));
  await publisher.orders.confirmOrder({
    reference: 'last-c',
    orderId: 'last',
    outcomes: [{ lineId: '1', state: 2 }],
    waitMs: 5_000n,
  });
  await sendAll(publisher.entitlements.grantEntitlements(), [
    {
      reference: 'last-g',
      schoolOin: school,
      holder: { learner: { eckId: eckId(500) } },
      terms: { entitlementId: 'last-e', productId: '9789000000019', orderId: 'last', lineId: '1' },
    },
  ]);
  const launch = await publisher.access.createLaunch({
    reference: 'last-l',
    schoolOin: school,
    learner: { eckId: eckId(500) },
    productId: '9789000000019',
  });
  expect(launch.decision).toMatchObject({ outcome: 'LaunchCreated' });
  const redeemed = await publisher.access.redeemLaunch({ reference: 'last-r', ticket: launch.ticket });
  expect(redeemed.learner).toMatchObject({ eckId: eckId(500) });
  expectNone(logged(), [...values, ask.sleutel, 'Plooistra']);
  expect(logged()).not.toMatch(/_bug"|gateway\.bug/);
});
