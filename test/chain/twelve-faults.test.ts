/**
 * Twelve planted faults, each as an operator meets it: somebody calls about an order or a pupil. From the console’s first page the
 * cause, the party that must act and the remedy are three clicks away at most, and `eduk flow why` says the same in one command.
 * What can be mended there is mended from there.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dutchDay, type Fault, makeConsoleLink } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { keyOf } from './console.ts';
import { edexml } from './files.ts';
import { eckId, newOin, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { Receiver } from './receiver.ts';

/** From Debian's packages; .ci/run installs it. */
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const runs = describe.runIf(CHROMIUM !== undefined);
if (CHROMIUM === undefined)
  process.stderr.write(
    '\nNo Chromium: the twelve faults are NOT TESTED in the console. Install Debian’s package chromium.\n\n',
  );

const { SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_ROSTER } = Service;
const SELLING: Service[] = [SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS];
const day = (offset: number): string => dutchDay(Date.now() + offset * 86_400_000);

let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let stopped: TestParty;
let sick: { oin: string; hook: Receiver };
let picky: { oin: string; hook: Receiver };
let browser: Browser;
let page: Page;
let clicks = 0;

/** A school of its own for each fault, so that no cause stands beside another. */
interface Case {
  n: number;
  school: string;
  product: string;
  order: string;
  seller: TestParty;
  eckId: string;
}

interface Planted {
  fault: string;
  code: Fault;
  /** Name of the party that must act; `us` where it is the operator. */
  party: (of: Case) => string;
  plant: (of: Case) => Promise<unknown>;
  /** Where the pupil is asked for, and not the order. */
  byLearner?: true;
  /** What is mended from the page that tells of it; afterwards nothing blocks. */
  mend?: (of: Case) => Promise<void>;
}

const title = (n: number): string => `Basisschool ${n}`;
const school = ({ n }: Case): string => title(n);
const reference = (of: Case, what: string): string => `${what}-${of.n}`;

const publish = (of: Case, platformOin = '') =>
  sendAll(of.seller.catalogue.publishProducts(), [
    {
      reference: reference(of, 'product'),
      product: { productId: of.product, title: 'Rekenen', licence: { licensed: true }, platformOin },
    },
  ]);
const mandate = (of: Case, services = SELLING, confirm = true) =>
  at.mandate(of.school, of.seller.oin, services, { confirm });
const place = (of: Case) =>
  las.orders.placeOrder({
    reference: of.order,
    orderId: of.order,
    schoolOin: of.school,
    lines: [
      {
        terms: { lineId: '1', productId: of.product, quantity: 1 },
        learner: { eckId: of.eckId },
        sellerOin: of.seller.oin,
      },
    ],
    waitMs: 5_000n,
  });
const confirm = (of: Case) =>
  of.seller.orders.confirmOrder({
    reference: reference(of, 'confirm'),
    orderId: of.order,
    outcomes: [{ lineId: '1', state: 2 }],
    waitMs: 5_000n,
  });
const grant = (of: Case, terms: object = {}, id = reference(of, 'right'), ref = { eckId: of.eckId }) =>
  sendAll(of.seller.entitlements.grantEntitlements(), [
    {
      reference: id,
      schoolOin: of.school,
      holder: { learner: ref },
      terms: { entitlementId: id, productId: of.product, orderId: of.order, lineId: '1', ...terms },
    },
  ]);
const pool = (of: Case, count: number) =>
  sendAll(of.seller.entitlements.grantEntitlements(), [
    {
      reference: reference(of, 'pool'),
      schoolOin: of.school,
      terms: { entitlementId: reference(of, 'pool'), productId: of.product, count },
    },
  ]);
const whole = async (of: Case, platformOin = ''): Promise<void> => {
  await publish(of, platformOin);
  await mandate(of);
  await place(of);
  await confirm(of);
};
const roster = (of: Case, asOf: string, pupils: number) =>
  at.operator.importRoster([
    {
      chunk: Buffer.from(
        edexml({
          school: of.school,
          asOf,
          pupils: Array.from({ length: pupils }, (_, i) => ({
            key: `L-${i}`,
            eckId: i === 0 ? of.eckId : eckId(40_000 + of.n * 100 + i),
          })),
        }),
      ),
    },
  ]);
const platformFor = async (of: Case, { oin }: { oin: string }): Promise<void> => {
  await at.mandate(of.school, oin, [SERVICE_ENTITLEMENT, SERVICE_ACCESS]);
  await whole(of, oin);
  await grant(of);
};

const planted: Planted[] = [
  {
    fault: 'the school has not confirmed the mandate',
    code: 'mandate.unconfirmed',
    party: school,
    async plant(of) {
      await publish(of);
      await mandate(of, SELLING, false);
      await place(of);
    },
  },
  {
    fault: 'the mandate has ended',
    code: 'mandate.ended',
    party: school,
    async plant(of) {
      await publish(of);
      const { mandateId } = await mandate(of);
      await place(of);
      await confirm(of);
      await grant(of);
      await at.operator.changeMandate({ mandateId, change: 'stop' });
    },
  },
  {
    fault: 'the mandate is for another service',
    code: 'mandate.missing',
    party: school,
    async plant(of) {
      await publish(of);
      await mandate(of, [SERVICE_ORDER]);
      await place(of);
      await confirm(of);
      await grant(of);
    },
  },
  {
    fault: 'the operator has stopped the seller',
    code: 'mandate.suspended',
    party: () => 'us',
    async plant(of) {
      of.seller = stopped;
      await whole(of);
      await grant(of);
      await at.operator.stopParty({ oin: stopped.oin, reason: 'breach-1' });
    },
  },
  {
    fault: 'nobody has published the product',
    code: 'product.unknown',
    party: () => 'De Leerlijst',
    async plant(of) {
      await mandate(of);
      await place(of);
    },
  },
  {
    fault: 'the count is used up',
    code: 'count.used_up',
    party: () => 'Uitgeverij Wilg',
    async plant(of) {
      await whole(of);
      await pool(of, 1);
      const taken = { fromEntitlementId: reference(of, 'pool') };
      await grant(of, { ...taken, orderId: '', lineId: '' }, reference(of, 'first'), { eckId: eckId(39_000 + of.n) });
      await grant(of, taken);
    },
  },
  {
    fault: 'a roster is held',
    code: 'hold.pending',
    party: school,
    async plant(of) {
      await roster(of, '2026-10-01', 40);
      await whole(of);
      await grant(of);
      await roster(of, '2026-10-02', 5);
    },
    async mend() {
      await click(page.getByRole('link', { name: 'Daar is het te verhelpen' }));
      await page.getByRole('button', { name: /^Afwijzen/ }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Doorgaan' }).click();
      await page.getByText('Afgewezen.').waitFor();
    },
  },
  {
    fault: 'the right waits for what it is taken from',
    code: 'state.missing',
    party: () => 'Uitgeverij Wilg',
    async plant(of) {
      await whole(of);
      await grant(of, { fromEntitlementId: reference(of, 'never') });
    },
  },
  {
    fault: 'the right has expired',
    code: 'entitlement.expired',
    party: () => 'Uitgeverij Wilg',
    async plant(of) {
      await whole(of);
      await grant(of, { startsOn: day(-30), endsOn: day(-2) });
    },
    byLearner: true,
  },
  {
    fault: 'the right has not begun',
    code: 'entitlement.not_started',
    party: () => 'Uitgeverij Wilg',
    async plant(of) {
      await whole(of);
      await grant(of, { startsOn: day(20), endsOn: day(200) });
    },
    byLearner: true,
  },
  {
    fault: 'the endpoint of the platform is down',
    code: 'peer.unavailable',
    party: () => 'Ziek Leerplein',
    plant: (of) => platformFor(of, sick),
  },
  {
    fault: 'the platform refuses a message',
    code: 'peer.refused',
    party: () => 'Kieskeurig Leerplein',
    plant: (of) => platformFor(of, picky),
    async mend() {
      picky.hook.behaviour = () => undefined;
      await click(page.getByRole('link', { name: 'Daar is het te verhelpen' }).first());
      const row = page.getByRole('region', { name: 'Bij ontvangers' }).getByRole('row', { name: /Kieskeurig/ });
      await row.getByRole('button', { name: /^Opnieuw/ }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Doorgaan' }).click();
      await page.getByText(/Opgepakt: \d+ bericht/).waitFor();
    },
  },
];

const cases = planted.map((one, i) => ({
  ...one,
  of: {
    n: i + 1,
    school: newSchool(),
    product: `978900000${2000 + i}`,
    order: `bestelling-${i + 1}`,
    eckId: eckId(30_000 + i),
  } as Case,
}));

const platform = async (name: string, behaviour: number): Promise<{ oin: string; hook: Receiver }> => {
  const hook = await Receiver.open();
  hook.behaviour = () => behaviour;
  const oin = newOin();
  const { webhookSecret } = await at.operator.addParty({
    party: { oin, name, roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'webhook', url: hook.url }] },
  });
  hook.secret = webhookSecret;
  return { oin, hook };
};

const click = async (what: Locator): Promise<void> => {
  clicks += 1;
  await what.click();
};

/** As somebody does who is called: from the first page, by what the caller knows. */
async function ask(of: Case, byLearner: boolean): Promise<Locator> {
  const origin = `http://${at.gateway.addresses.console}`;
  await page.goto(origin);
  await page.getByRole('heading', { level: 1, name: 'Overzicht' }).waitFor();
  clicks = 0;
  await click(page.getByRole('navigation').getByRole('link', { name: 'Waarom niet?' }));
  if (byLearner) {
    await click(page.getByText('Leerling van een school'));
    await page.getByLabel(/Sleutel van de leerling/).fill(of.eckId);
    await page.getByLabel('School (BRIN of OIN)').fill(of.school);
  } else await page.getByLabel('Nummer van de bestelling').fill(of.order);
  await click(page.getByRole('button', { name: 'Vraag' }));
  await page.getByRole('heading', { name: /Dit blokkeert|Niets blokkeert/ }).waitFor();
  return page.locator('main');
}

/** `eduk flow why`, in a process of its own. */
const why = (of: Case, byLearner: boolean): Promise<any> =>
  new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [
        join(import.meta.dirname, '../../services/cli/eduk.js'),
        ...(byLearner ? ['flow', 'why', '--learner', '--school', of.school] : ['flow', 'why', '--order', of.order]),
        '--json',
      ],
      { env: { PATH: process.env['PATH'], EDUK_DATA: at.folder, EDUK_GRPC: at.gateway.addresses.grpc } },
      (error, stdout) => (error && stdout === '' ? reject(error) : resolve(JSON.parse(stdout))),
    );
    child.stdin!.end(byLearner ? `${of.eckId}\n` : '');
  });

async function eventually(look: () => Promise<void>, ms = 60_000): Promise<void> {
  for (const end = Date.now() + ms; ; await new Promise((resolve) => setTimeout(resolve, 300))) {
    try {
      return await look();
    } catch (thrown) {
      if (Date.now() > end) throw thrown;
    }
  }
}

runs('twelve faults', { timeout: 240_000 }, () => {
  beforeAll(async () => {
    at = await startTestGateway();
    las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
    publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
    stopped = await at.party('Uitgeverij Stil', [Role.ROLE_PUBLISHER]);
    sick = await platform('Ziek Leerplein', 503);
    picky = await platform('Kieskeurig Leerplein', 422);
    for (const { of, plant } of cases) {
      of.seller = publisher;
      await at.party(title(of.n), [Role.ROLE_SCHOOL], of.school);
      await at.mandate(of.school, las.oin, [SERVICE_ROSTER, SERVICE_ORDER]);
      await plant(of);
    }
    browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-gpu'],
    });
    const context = await browser.newContext({ locale: 'nl-NL', viewport: { width: 1280, height: 900 } });
    context.setDefaultTimeout(60_000);
    page = await context.newPage();
    await page.goto(`http://${at.gateway.addresses.console}/sign-in#${makeConsoleLink(keyOf(at), Date.now())}`);
    await page.getByRole('heading', { level: 1, name: 'Overzicht' }).waitFor();
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await sick?.hook.close();
    await picky?.hook.close();
    await at?.stop();
  });

  test.each(cases)('$fault', async ({ of, code, party, byLearner = false, mend }) => {
    const who = party(of);
    await eventually(async () => {
      const { blockers } = await why(of, byLearner);
      expect(blockers.map((one: any) => one.code)).toContain(code);
      const found = blockers.find((one: any) => one.code === code);
      expect({ who: found.who === 'us' ? 'us' : found.partyName, first: blockers[0].code }).toEqual({
        who,
        first: code,
      });
      expect(found.remedy.length).toBeGreaterThan(10);
    });
    const blocker = (await ask(of, byLearner)).locator('.blocker').first();
    await blocker.getByText(code).waitFor();
    await blocker
      .getByText(who === 'us' ? 'de beheerder van de gateway' : who, { exact: false })
      .first()
      .waitFor();
    // In the reader’s language, all of it.
    expect(await page.locator('main [lang=en]').count()).toBe(0);
    expect((await blocker.locator('dt:text-is("Wat helpt") + dd[lang=nl]').innerText()).length).toBeGreaterThan(10);
    expect(clicks).toBeLessThanOrEqual(3);
    if (!mend) return;
    await mend(of);
    await eventually(async () => {
      expect((await why(of, byLearner)).blockers.map((one: any) => one.code)).not.toContain(code);
    });
  });
});
