/** Lines of orders that will fail in August, over the wire: each planted cause is found, with the party to call and a message that names nobody. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { PreflightLine } from '#proto/eduk/gateway/v1/flow';
import { edexml } from './files.ts';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { refusedCall } from './told.ts';

let at: TestGateway;
let school: TestParty;
let las: TestParty;
let seller: TestParty;
let platform: TestParty;
let unheard: TestParty;
let ending: TestParty;
const oin = newSchool();
const DAY = '2027-08-01';
const { SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_ROSTER } = Service;
const all = [SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS];

const product = (id: string, more: object = {}) => ({
  reference: `p-${id}`,
  product: {
    productId: id,
    title: `Boek ${id}`,
    licence: { licensed: true },
    platformOin: platform.oin,
    accessUrl: `https://leerplein.example/${id}`,
    ...more,
  },
});
const place = (id: string, learner: object, waitMs = 10_000n) =>
  las.orders.placeOrder({
    reference: `o-${id}`,
    orderId: `o-${id}`,
    schoolOin: oin,
    lines: [{ terms: { lineId: '1', productId: id.split('.')[0]!, quantity: 1 }, learner, sellerOin: seller.oin }],
    waitMs,
  } as never);
const told = (lines: readonly PreflightLine[]): string[] =>
  lines.map(({ orderId, code, partyName }) => `${orderId} ${code} ${partyName}`).sort();

beforeAll(async () => {
  at = await startTestGateway();
  school = await at.party('Basisschool De Es', [Role.ROLE_SCHOOL], oin);
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  seller = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER, Role.ROLE_DISTRIBUTOR]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  unheard = await at.party('Ver Plein', [Role.ROLE_PLATFORM]);
  ending = await at.party('Klein Plein', [Role.ROLE_PLATFORM]);
  await at.mandate(oin, las.oin, [SERVICE_ROSTER, SERVICE_ORDER]);
  await at.mandate(oin, seller.oin, all);
  await at.mandate(oin, platform.oin, all);
  await at.operator.grantMandate({
    mandate: { schoolOin: oin, partyOin: ending.oin, services: all, validUntil: '2027-07-31' },
    confirm: true,
  });
  await at.operator.importRoster([
    { chunk: Buffer.from(edexml({ school: oin, pupils: [{ key: 'L-1', eckId: eckId(1) }, { key: 'L-2' }] })) },
  ]);
  await sendAll(seller.catalogue.publishProducts(), [
    product('fine'),
    product('ended', { availableUntil: '2027-07-31', followupProductId: 'fine' }),
    product('linkless', { accessUrl: '' }),
    product('unmandated', { platformOin: unheard.oin }),
    product('ending', { platformOin: ending.oin }),
  ]);
  for (const id of ['fine', 'ended', 'linkless', 'unmandated', 'ending']) await place(id, { eckId: eckId(1) });
  await place('fine.numberless', { lasKey: 'L-2' });
  await place('unknown', { eckId: eckId(1) }, 0n);
});
afterAll(() => at?.stop());

const planted = [
  'o-ended product.ended De Leerlijst',
  'o-ending mandate.ended Basisschool De Es',
  'o-fine.numberless learner.no_eck_id De Leerlijst',
  'o-linkless product.no_link Uitgeverij Wilg',
  'o-unknown product.unknown De Leerlijst',
  'o-unmandated mandate.missing Basisschool De Es',
];

test('each cause is found with whom to call, by the buyer, the seller and the school; nothing is said of what will work', async () => {
  for (const as of [las, seller, school]) {
    await expect
      .poll(async () => told((await as.flows.preflight({ schoolOin: oin, day: DAY })).lines))
      .toEqual(planted);
    const { lookedAt, lines } = await as.flows.preflight({ schoolOin: oin, day: DAY });
    expect(lookedAt).toBe(7);
    for (const { remedy, who } of lines) expect([remedy === '', who === '']).toEqual([false, false]);
    expect(lines.find(({ code }) => code === 'product.ended')).toMatchObject({ followupProductId: 'fine' });
  }
  expect(told((await at.operator.showPreflight({ asked: { schoolOin: oin, day: DAY } })).preflight!.lines)).toEqual(
    planted,
  );
  // Before that day the mandate stands and the edition is sold.
  const { lines } = await las.flows.preflight({ schoolOin: oin, day: '2027-07-01' });
  expect(told(lines)).toEqual(planted.filter((one) => !/ended/.test(one)));
});

test('a message to each party, in Dutch or English, names orders and products, and nobody', async () => {
  const { messages, lines } = await las.flows.preflight({ schoolOin: oin, day: DAY });
  expect(messages.map(({ partyName }) => partyName).sort()).toEqual([
    'Basisschool De Es',
    'De Leerlijst',
    'Uitgeverij Wilg',
  ]);
  const toSchool = messages.find(({ partyOin }) => partyOin === oin)!;
  expect(toSchool.subject).toBe('2 bestelregels die op 2027-08-01 mislopen');
  for (const text of ['o-unmandated', 'o-ending', 'Boek ending', 'Het mandaat is beëindigd.'])
    expect(toSchool.body).toContain(text);
  const everything = JSON.stringify({ messages, lines });
  for (const text of ['L-1', 'L-2', eckId(1), 'lt_', 'Zoë', 'Plooistra']) expect(everything).not.toContain(text);
  const { messages: english } = await las.flows.preflight({ schoolOin: oin, day: DAY, lang: 'en' });
  expect(english.find(({ partyOin }) => partyOin === seller.oin)!.body).toMatch(
    /^Dear Uitgeverij Wilg,[\s\S]*product\.no_link[\s\S]*- school Basisschool De Es, .*; order o-linkless; line 1; product linkless, Boek linkless/,
  );
});

test('lines for who left are not looked at', async () => {
  const roster = edexml({ school: oin, asOf: '2026-10-02', pupils: [{ key: 'L-1', eckId: eckId(1) }] });
  const imported = await at.operator.importRoster([{ chunk: Buffer.from(roster) }]);
  if (imported.holdId !== '') await at.operator.decideHold({ holdId: imported.holdId, approve: true });
  await expect
    .poll(async () => told((await las.flows.preflight({ schoolOin: oin, day: DAY })).lines), { timeout: 30_000 })
    .toEqual(planted.filter((one) => !one.includes('numberless')));
});

test('which care title a line is for is told to who bought and who sells it, and not to who runs the gateway', async () => {
  await sendAll(seller.catalogue.publishProducts(), [
    product('zorg', { sensitive: true, availableUntil: '2027-07-31', followupProductId: 'fine' }),
  ]);
  await place('zorg', { eckId: eckId(1) });
  const of = async (lines: Promise<readonly PreflightLine[]>) =>
    (await lines).find(({ orderId }) => orderId === 'o-zorg');
  const asked = { schoolOin: oin, day: DAY };
  for (const as of [las, seller, school])
    await expect
      .poll(() => of(as.flows.preflight(asked).then(({ lines }) => lines)))
      .toMatchObject({ productId: 'zorg', title: 'Boek zorg', code: 'product.ended', followupProductId: 'fine' });
  const { preflight } = await at.operator.showPreflight({ asked });
  expect(await of(Promise.resolve(preflight!.lines))).toMatchObject({
    ...{ productId: '', title: '', code: 'product.ended', followupProductId: '' },
  });
  // Nor is it in what the operator could send.
  expect(JSON.stringify(preflight!.messages)).not.toContain('zorg,');
  expect(JSON.stringify(preflight!.messages)).not.toContain('Boek zorg');
});

test('who has no part in it sees nothing, and a wrong question is told', async () => {
  expect((await unheard.flows.preflight({ day: DAY })).lines).toEqual([]);
  expect((await platform.flows.preflight({ schoolOin: oin, day: DAY })).lookedAt).toBe(0);
  expect(await refusedCall(unheard.flows.preflight({ schoolOin: oin }))).toMatchObject({ code: 'mandate.missing' });
  for (const [asked, where] of [
    [{ day: '2027-02-30' }, 'day'],
    [{ lang: 'fr' }, 'lang'],
    [{ limit: 1001 }, 'limit'],
    [{ cursor: 'x' }, 'cursor'],
  ] as const)
    expect(await refusedCall(las.flows.preflight(asked))).toMatchObject({ code: 'wire.invalid', where: [where] });
});
