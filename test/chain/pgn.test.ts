/**
 * Personal numbers are refused where they stand, and never taken for one where they stand by chance: 100,000 random order
 * numbers pass the door. What was refused rests nowhere: not in a file of the data folder, not in a log.
 */
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stripPgn } from '#adapters/edexml';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { passesElevenTest } from '../../services/edge/pgn.ts';
import { edexml, type UwlrAsk, uwlrQuestion, uwlrResults } from './files.ts';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { captureLogs, logged } from './logs.ts';
import { expectTold, refusedCall, toldOver } from './told.ts';

captureLogs();

let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let school: string;
let ask: UwlrAsk;

/** Numbers that pass the eleven test, invented, each planted once. They must be found nowhere. */
const planted: string[] = [];
function bsn(): string {
  for (;;) {
    const number = String(randomInt(100_000_000, 1_000_000_000));
    if (!passesElevenTest(number) || planted.includes(number)) continue;
    planted.push(number);
    return number;
  }
}

beforeAll(async () => {
  at = await startTestGateway();
  school = newSchool();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
  const { autorisatiesleutel } = await at.mandate(school, publisher.oin, [
    Service.SERVICE_ROSTER,
    Service.SERVICE_ORDER,
    Service.SERVICE_ENTITLEMENT,
    Service.SERVICE_ACCESS,
    Service.SERVICE_RESULT,
  ]);
  ask = { sleutel: autorisatiesleutel, klantcode: publisher.klantcode, klantnaam: publisher.klantnaam, school };
  await sendAll(publisher.catalogue.publishProducts(), [
    { reference: 'p', product: { productId: '9789000000019', title: 'Rekenen', licence: { licensed: true } } },
  ]);
});
afterAll(() => at?.stop());

const postXml = (path: string, body: string) =>
  fetch(`${at.http}${path}`, { method: 'POST', body, headers: { 'content-type': 'text/xml' } });
const postEdexml = (body: string | Buffer) =>
  fetch(`${at.http}/edexml`, { method: 'POST', body, headers: { authorization: `Bearer ${las.apiKey}` } });

describe('refused', () => {
  const roster = (more: object) => ({
    schoolOin: school,
    schoolYear: '2026-2027',
    asOf: '2026-10-01',
    groups: [{ key: 'g7', name: 'Zeven' }],
    learners: [{ ref: { lasKey: 'L-1' }, groupKey: 'g7' }],
    ...more,
  });
  const pushes = async (more: object, path: string, id: string) => {
    const acks = await sendAll(las.rosters.pushRoster(), [
      { reference: id, rosterId: id, last: true, roster: roster(more) as never },
    ]);
    const refusals = acks.flatMap((ack) => ack.refusals);
    expect(refusals).toMatchObject([{ index: 0n, code: 'wire.pgn' }]);
    expect(refusals[0]!.where.split(' ')).toContain(path);
    const text = JSON.stringify(refusals, (_key, value) => (typeof value === 'bigint' ? `${value}` : value));
    for (const number of planted) expect(text.includes(number)).toBe(false);
  };

  test('a column of keys that are numbers of persons', async () => {
    const learners = (field: 'lasKey' | 'eckId') =>
      Array.from({ length: 12 }, () => ({ ref: { [field]: bsn() }, groupKey: 'g7' }));
    await pushes({ learners: learners('lasKey') }, 'roster.learners[0].ref.las_key', 'column-las');
    await pushes({ learners: learners('eckId') }, 'roster.learners[11].ref.eck_id', 'column-eck');
    await pushes(
      { staff: Array.from({ length: 12 }, () => ({ ref: { lasKey: bsn() } })) },
      'roster.staff[3].ref.las_key',
      'column-staff',
    );
    expectTold(
      await refusedCall(
        las.identity.registerLearners({ reference: 'reg', schoolOin: school, learners: learners('lasKey') as never }),
      ),
      'wire.pgn',
      planted,
      'learners[0].ref.las_key',
    );
    // Spread over the messages of a stream it is the same column.
    const acks = await sendAll(
      publisher.entitlements.grantEntitlements(),
      Array.from({ length: 30 }, (_, i) => ({
        reference: `col-${i}`,
        schoolOin: school,
        holder: { learner: { lasKey: bsn() } },
        terms: { entitlementId: `col-${i}`, productId: '9789000000019' },
      })),
    );
    const refusals = acks.flatMap((ack) => ack.refusals);
    expect(refusals).toHaveLength(30);
    expect(refusals.filter(({ code }) => code === 'wire.pgn').length).toBeGreaterThan(8);
  });
  test('a number in the name of a group, a site, a pupil; after a word that announces it; in an order line', async () => {
    await pushes({ groups: [{ key: 'g7', name: `Groep ${bsn()}` }] }, 'roster.groups[0].name', 'group');
    await pushes(
      { groups: [{ key: 'g7', name: 'Zeven', description: `bsn: ${bsn()}` }] },
      'roster.groups[0].description',
      'descr',
    );
    await pushes({ sites: [{ key: 's', name: bsn() }] }, 'roster.sites[0].name', 'site');
    await pushes(
      { learners: [{ ref: { lasKey: 'L-1' }, groupKey: 'g7', person: { familyName: `Plooi ${bsn()}` } }] },
      'roster.learners[0].person.family_name',
      'name',
    );
    await pushes(
      { learners: [{ ref: { lasKey: 'L-1' }, groupKey: 'g7', person: { email: `bsn${bsn()}@x.example` } }] },
      'roster.learners[0].person.email',
      'mail',
    );
    const spaced = bsn().replace(/(\d{4})(\d{2})(\d{3})/, '$1.$2.$3');
    planted.push(spaced);
    await pushes({ groups: [{ key: 'g7', name: `sofinummer ${spaced}` }] }, 'roster.groups[0].name', 'dots');
    expectTold(
      await refusedCall(
        las.orders.placeOrder({
          reference: 'line',
          orderId: 'line',
          schoolOin: school,
          lines: [{ terms: { lineId: '1', productId: '9789000000019', quantity: 1 }, groupKey: `groep ${bsn()}` }],
        }),
      ),
      'wire.pgn',
      planted,
      'lines[0].group_key',
    );
  });
  test('EDEXML: an element that holds one, by each door; --strip-pgn makes such a file importable', async () => {
    for (const element of ['bsn', 'sofinummer', 'onderwijsnummer']) {
      const file = edexml({
        school,
        pupils: [
          { key: 'L-1', eckId: eckId(1), extra: `<${element}>${bsn()}</${element}>` },
          { key: 'L-2', eckId: eckId(2) },
        ],
      });
      const told = await toldOver(await postEdexml(file));
      expectTold(told, 'wire.pgn', planted, /leerling/);
      expectTold(
        await refusedCall(at.operator.importRoster([{ chunk: Buffer.from(file) }])),
        'wire.pgn',
        planted,
        /leerling/,
      );
      const stripped = Buffer.from(stripPgn(Buffer.from(file)));
      for (const number of planted) expect(stripped.includes(number)).toBe(false);
      const taken = await at.operator.importRoster([{ chunk: stripped }]);
      expect(taken).toMatchObject({ learners: 2, schoolOin: school });
      expect(['RosterApplied', 'RosterUnchanged', '']).toContain(taken.decision!.outcome);
    }
    const column = edexml({ school, pupils: Array.from({ length: 12 }, () => ({ key: bsn() })) });
    expectTold(await toldOver(await postEdexml(column)), 'wire.pgn', planted, /las_key/);
    expectTold(
      await toldOver(await postEdexml(edexml({ school, groupName: `Groep ${bsn()}`, pupils: [{ key: 'L-1' }] }))),
      'wire.pgn',
      planted,
      /groups/,
    );
  });
  test('UWLR: an element that holds one, and a column of leerlingid', async () => {
    const one = await toldOver(
      await postXml(
        '/soap/uwlr/v2/leerresultaten',
        uwlrResults(ask, [{ key: 'r-1', leerlingid: 'L-1', extra: `<r:bsn>${bsn()}</r:bsn>` }]),
      ),
    );
    expect(['wire.pgn', 'wire.invalid']).toContain(one.code);
    for (const number of planted) expect(one.all.includes(number)).toBe(false);
    const column = await toldOver(
      await postXml(
        '/soap/uwlr/v2/leerresultaten',
        uwlrResults(
          ask,
          Array.from({ length: 12 }, (_, i) => ({ key: `r-${i}`, leerlingid: bsn() })),
        ),
      ),
    );
    expectTold(column, 'wire.pgn', planted, /toetsafname\[1\]\/leerlingid$/);
    const question = await toldOver(
      await postXml('/soap/uwlr/v2/leerlinggegevens', uwlrQuestion(ask, `<q:bsn>${bsn()}</q:bsn>`)),
    );
    expect(['wire.pgn', 'wire.invalid']).toContain(question.code);
    for (const number of planted) expect(question.all.includes(number)).toBe(false);
  });
});

test('100,000 random order numbers pass, in each place where a number may stand', async () => {
  const number = (): string => {
    const one = String(randomInt(100_000_000, 1_000_000_000));
    return planted.includes(one) ? number() : one;
  };
  const used = new Set<string>();
  const fresh = (): string => {
    for (;;) {
      const one = number();
      if (used.has(one)) continue;
      used.add(one);
      return one;
    }
  };
  // A seller of its own: the column that was planted above speaks of the sender that planted it.
  const seller = await at.party('Boekenberg', [Role.ROLE_DISTRIBUTOR]);
  await at.mandate(school, seller.oin, [Service.SERVICE_ENTITLEMENT]);
  const total = 100_000;
  let refusals: { code: string }[] = [];
  let through = -1n;
  const call = seller.entitlements.grantEntitlements() as ClientDuplexStream<
    object,
    { through: bigint; refusals: { code: string }[] }
  >;
  const ended = new Promise<void>((resolve, reject) => {
    call.on('data', (ack) => {
      through = ack.through;
      refusals = refusals.concat(ack.refusals);
    });
    call.on('end', resolve);
    call.on('error', reject);
  });
  for (let i = 0; i < total; i++) {
    const id = fresh();
    // The order number as reference and entitlement id, as the order's and its line's, and now and then as key of a pupil.
    const holder =
      i % 4 === 0
        ? { learner: { eckId: `https://ketenid.nl/pilot/${id}` } }
        : i % 4 === 1
          ? { learner: { lasKey: number() } }
          : undefined;
    const room = call.write({
      reference: id,
      schoolOin: school,
      ...(holder ? { holder } : {}),
      terms: {
        entitlementId: id,
        productId: i % 100 === 0 ? number() : '9789000000019',
        orderId: number(),
        lineId: number(),
      },
    });
    if (!room) await new Promise((resolve) => call.once('drain', resolve));
  }
  call.end();
  await ended;
  expect(through).toBe(BigInt(total - 1));
  expect(refusals.filter(({ code }) => code === 'wire.pgn')).toEqual([]);
  // A key of the administration means nothing before its roster came: the only other refusal.
  expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(['learner.unknown']));
  const passing = [...used].filter(passesElevenTest).length;
  expect(passing / total).toBeGreaterThan(0.05);
});

test('the numbers that were refused rest nowhere', async () => {
  await sleep(1_500); // Notes of refusals are written once a second.
  const numbers = new Set(planted);
  const found: string[] = [];
  const look = () => {
    for (const name of readdirSync(at.folder, { recursive: true, withFileTypes: true })) {
      if (!name.isFile()) continue;
      const bytes = readFileSync(join(name.parentPath, name.name));
      const chunk = 16 << 20;
      for (let from = 0; from < bytes.length; from += chunk)
        for (const [run] of bytes
          .toString('latin1', from, from + chunk + 32)
          .matchAll(/(?<![\da-f])\d[\d.]{8,13}(?![\da-f])/g))
          for (let i = 0; i + 9 <= run.length; i++)
            if (numbers.has(run.slice(i, i + 9)) || numbers.has(run.slice(i, i + 11))) found.push(name.name);
    }
  };
  look();
  expect(readdirSync(at.folder).filter((name) => name.endsWith('.db')).length).toBeGreaterThanOrEqual(2);
  expect(found).toEqual([]);
  const log = logged();
  expect(planted.filter((one) => log.includes(one))).toEqual([]);
});
