/** The console in a browser: every page and what is done there, in both languages, by keys, on a phone, in the dark, with hostile names. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeConsoleLink } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { WithdrawMode } from '#proto/eduk/gateway/v1/entitlement';
import { keyOf } from './console.ts';
import { edexml } from './files.ts';
import { eckId, newOin, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { Receiver } from './receiver.ts';

/** From Debian's packages; .ci/run installs it. */
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
/** Set = pictures of every page are made there, to be looked at. */
const SHOTS = process.env['CONSOLE_SHOTS'];

const HOSTILE = '"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>{{7*7}}';
const HOSTILE_ID = "x'onload=window.pwned=1,(<".replace('<', '@');

let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let hook: Receiver;
let platformKey = '';
let platform = '';
let browser: Browser;
let page: Page;
let origin = '';
/** What went elsewhere, or was refused by the policy: nothing should. */
const elsewhere: string[] = [];
const wrong: string[] = [];
const school = newSchool();
const pupils = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `k${i}`, eckId: eckId(7000 + i), name: 'Zevenboom' }));
const roster = (count: number, asOf: string) =>
  at.operator.importRoster([
    {
      schoolOin: school,
      chunk: Buffer.from(edexml({ school, asOf, groupName: 'Geheimgroep', pupils: pupils(count) })),
    },
  ]);
const place = (orderId: string, productId: string) =>
  las.orders.placeOrder({
    reference: `ref-${orderId}`,
    orderId,
    schoolOin: school,
    lines: [{ terms: { lineId: '1', productId, quantity: 1 } }],
    waitMs: 2_000n,
  });
/** What this learner is granted, the platform refuses. */
const refused = eckId(7003);
let granted = 0;
const grant = async (learner: string): Promise<void> => {
  const entitlementId = `ent-${++granted}`;
  await sendAll(publisher.entitlements.grantEntitlements(), [
    {
      reference: entitlementId,
      schoolOin: school,
      holder: { learner: { eckId: learner } },
      terms: { entitlementId, productId: 'boek' },
    },
  ]);
};

async function within<T>(look: () => Promise<T | undefined | false>, ms = 60_000): Promise<T> {
  for (const end = Date.now() + ms; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${ms} ms`);
  }
}

const runs = describe.runIf(CHROMIUM !== undefined);
if (CHROMIUM === undefined)
  process.stderr.write(
    '\nNo Chromium: the pages of the console are NOT TESTED. Install Debian’s package chromium.\n\n',
  );

async function openPage(options: Parameters<Browser['newContext']>[0] = {}): Promise<[BrowserContext, Page]> {
  const made = await browser.newContext({ locale: 'nl-NL', viewport: { width: 1280, height: 900 }, ...options });
  made.setDefaultTimeout(60_000);
  const one = await made.newPage();
  one.on('request', (request) => {
    if (!request.url().startsWith(origin)) elsewhere.push(request.url());
  });
  one.on('console', (message) => {
    // Refusals are answers, also that a gateway on a machine that stalled is asked again later: pages say so.
    if (message.type() === 'error' && !/status of 4(0[0-9]|29)/.test(message.text())) wrong.push(message.text());
  });
  one.on('pageerror', (error) => wrong.push(String(error)));
  return [made, one];
}

const link = () => `${origin}/sign-in#${makeConsoleLink(keyOf(at), Date.now())}`;
async function enter(one: Page): Promise<void> {
  await one.goto(link());
  await one.getByRole('heading', { level: 1, name: /Overzicht|Overview/ }).waitFor();
}

/** WCAG 2.2 AA as far as a program can see it. */
async function axeOf(one: Page): Promise<string[]> {
  await one.evaluate(axe.source);
  const { violations } = await one.evaluate(() =>
    (globalThis as any).axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }),
  );
  return violations.map((one: any) => `${one.id}: ${one.nodes.map((node: any) => node.html).join(' | ')}`);
}

async function shoot(one: Page, name: string): Promise<void> {
  if (SHOTS === undefined) return;
  mkdirSync(SHOTS, { recursive: true });
  await one.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

const toldNobody = async (one: Page): Promise<void> => {
  expect(await one.evaluate(() => (globalThis as any).pwned)).toBeUndefined();
  const html = await one.content();
  for (const identity of ['Zevenboom', 'Geheimgroep', eckId(7003)]) expect(html).not.toContain(identity);
};

const go = async (path: string, heading: RegExp): Promise<void> => {
  await page.goto(`${origin}${path}`);
  await page.getByRole('heading', { level: 1, name: heading }).waitFor();
  await page.locator('.loading').waitFor({ state: 'detached' });
};

runs('the console in a browser', { timeout: 240_000 }, () => {
  beforeAll(async () => {
    at = await startTestGateway({ EDUK_REPLAY_SECOND_ABOVE: '30', EDUK_RECONCILE_SETTLE_S: '0' });
    origin = `http://${at.gateway.addresses.console}`;
    las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
    publisher = await at.party(HOSTILE, [Role.ROLE_PUBLISHER]);
    hook = await Receiver.open();
    platform = newOin();
    const added = await at.operator.addParty({
      party: {
        oin: platform,
        name: 'Leerplein',
        roles: [Role.ROLE_PLATFORM],
        endpoints: [{ standard: 'webhook', url: hook.url, fromMs: 0n }],
      },
    });
    hook.secret = added.webhookSecret;
    platformKey = added.apiKey;
    await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_ACCESS]);
    await at.mandate(school, publisher.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
    await at.mandate(school, platform, [Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS]);
    await sendAll(publisher.catalogue.publishProducts(), [
      {
        reference: 'p',
        product: { productId: 'boek', title: HOSTILE, licence: { licensed: true }, platformOin: platform },
      } as never,
    ]);
    await roster(30, '2026-09-02');
    await roster(5, '2026-09-03');
    await place('order-1', 'nog-niet-gepubliceerd');
    await place(HOSTILE_ID, 'boek');
    hook.behaviour = ({ events }) =>
      events.some(({ data }) => data.entitlement?.holder?.learner?.eckId === refused) ? 422 : undefined;
    await grant(refused);
    await within(async () => {
      const { rows } = await at.operator.listParked({});
      return rows.some(({ standard }) => standard === 'webhook');
    });
    browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-gpu'],
    });
    [, page] = await openPage();
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await hook?.close();
    await at?.stop();
  });

  test('nobody sees anything before signing in', async () => {
    await page.goto(`${origin}/dead`);
    await page.getByRole('heading', { name: 'Aanmelden' }).waitFor();
    await page.getByText('npx eduk console').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'sign-in');
    await page.goto(`${origin}/sign-in#${'x'.repeat(72)}`);
    await page.getByRole('alert').waitFor();
    await shoot(page, 'sign-in-wrong');
    expect(page.url()).toBe(`${origin}/sign-in`);
  });

  test('the link signs in, once, and is gone from the address', async () => {
    const once = link();
    await page.goto(once);
    // To the page that was asked for before.
    await page.getByRole('heading', { level: 1, name: 'Gestrand' }).waitFor();
    expect(page.url()).toBe(`${origin}/dead`);
    const [other, late] = await openPage();
    await late.goto(once);
    await late.getByRole('alert').waitFor();
    await late.getByText('Deze link is al gebruikt of verlopen').waitFor();
    // Where the session that it gave goes on, it leads there.
    await page.goto(once);
    await page.getByRole('heading', { level: 1, name: /Overzicht/ }).waitFor();
    await page.goto(`${origin}/nergens`);
    await page.getByRole('heading', { level: 1, name: 'Deze pagina bestaat niet' }).waitFor();
    expect(await page.title()).toMatch(/^Deze pagina bestaat niet/);
    await page.goto(origin);
    await other.close();
  });

  test('the overview says how much comes in, how everybody is, and what waits for somebody', async () => {
    await go('/', /Overzicht/);
    await page.getByRole('img', { name: /Berichten per minuut/ }).waitFor();
    await page.getByRole('link', { name: '1 vastgehouden' }).waitFor();
    await page.getByRole('link', { name: /1 bericht niet afgeleverd/ }).waitFor();
    // What stands in the way is told within two looks: what it is, who must act, and the page on which to do it.
    const alert = page.getByRole('listitem').filter({ hasText: 'hold.pending' });
    await alert.waitFor({ timeout: 60_000 });
    await alert.getByText('Wie iets moet doen: de school.').waitFor();
    await alert.getByRole('link', { name: 'Bekijk ze' }).click();
    await page.getByRole('heading', { level: 1, name: /Vastgehouden|Wacht/ }).waitFor();
    await go('/', /Overzicht/);
    await page.getByRole('cell', { name: /Leerplein/ }).waitFor();
    await page.getByText('OrderService/PlaceOrder').first().waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'overview');
  });

  test('the overview says how long there is room on the disk, and that it does not know yet', async () => {
    // The first look of the gateway at itself is a few seconds after its start.
    const row = page.getByRole('row', { name: /logboek en stand/ });
    await row.getByText('nog geen uur gemeten').waitFor();
    await page.getByRole('row', { name: /kluis/ }).waitFor();
  });

  test('who was given what of a school’s people is found, by day; a school that there is not is said', async () => {
    await go('/access', /Wie zag wat/);
    await page.getByLabel(/BRIN/).fill(school);
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/access?school=${school}`);
    await page.getByRole('cell', { name: 'Leerplein' }).first().waitFor({ timeout: 60_000 });
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'access');
    await go('/access?school=99QQ', /Wie zag wat/);
    await page.getByText('state.missing').waitFor();
  });

  test('what was done is searched by day, school and kind, with how far was looked and what is signed', async () => {
    await go('/', /Overzicht/);
    await page.getByRole('navigation').getByRole('link', { name: 'Logboek' }).click();
    await page.waitForURL('**/audit');
    const rows = page.locator('tbody tr');
    await rows.first().waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'audit');
    await page.getByLabel(/BRIN/).fill(school);
    await page.getByLabel('Soort').selectOption('released');
    await page.keyboard.press('Tab');
    await page.getByLabel('Methode').press('Enter');
    await page.waitForURL(`**/audit?school=${school}&kind=released`);
    await page.getByRole('cell', { name: 'Leerplein' }).first().waitFor();
    expect(await rows.count()).toBe(await rows.filter({ hasText: 'gegevens gegeven' }).count());
    await page.getByText('Dat is alles wat gevraagd is.').waitFor();
    await page.getByText('Ondertekend tot en met blad').waitFor();
    await go('/audit?from=2001-01-01&to=2001-01-02', /Logboek/);
    await page.getByText('Hier staat niets van in het logboek.').waitFor();
    await go('/audit?kind=nothing', /Logboek/);
    await page.getByText('wire.invalid').waitFor();
    await go('/audit?before=1', /Logboek/);
    await page.getByText('Doorzocht: blad 0 tot en met 0').waitFor();
  });

  test('a party is found by its name, and its page says how it goes, where it answers and what it may have', async () => {
    await go('/', /Overzicht/);
    await page
      .getByRole('link', { name: /Leerplein/ })
      .first()
      .click();
    await page.waitForURL('**/party?oin=*');
    await page.getByRole('heading', { level: 1, name: 'Leerplein' }).waitFor();
    await page.getByRole('img', { name: /Verzoeken aan deze partij: \d+ gelukt, [1-9]\d* mislukt/ }).waitFor();
    await page.getByText(/\d× HTTP 422|\d × HTTP 422/).waitFor();
    const endpoint = page.getByRole('region', { name: 'Adressen' }).getByRole('row', { name: /webhook/ });
    await endpoint.getByText(new URL(hook.url).host).waitFor();
    // Behind the host may stand what is theirs.
    expect(await page.content()).not.toContain(`${new URL(hook.url).host}/`);
    await page.getByRole('region', { name: 'Mandaten' }).getByText('licenties').waitFor();
    await page.getByText('Per dag, in cijfers').click();
    await page.getByRole('region', { name: 'Per dag, in cijfers' }).getByRole('row').nth(1).waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'party');
    await go('/parties', /Partijen/);
    await page.keyboard.press('/');
    await page.keyboard.type('leerlijst');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/parties?q=leerlijst');
    await page.getByRole('link', { name: /De Leerlijst/ }).waitFor();
    await expect.poll(() => page.locator('tbody tr').count()).toBe(1);
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'parties');
    await go(`/party?oin=${publisher.oin}`, /img src=x/);
    await toldNobody(page);
    await page.getByRole('img', { name: /Berichten van deze partij: [1-9]/ }).waitFor();
    await shoot(page, 'party-sender');
    await go('/party?oin=00000001999999999999', /Partij/);
    await page.getByRole('alert').waitFor();
    await go('/party', /Partij/);
    await page.getByText('Zoek een partij').waitFor();
  });

  test('who gets in is told by platform and publisher, with whose it is where they do not, and whom to call', async () => {
    await go('/launches', /Binnenkomen/);
    await page.getByText('Nog niemand opende iets.').waitFor();
    await Promise.all(
      Array.from({ length: 25 }, (_, i) =>
        las.access
          .createLaunch({
            reference: `launch-${i}`,
            schoolOin: school,
            learner: { eckId: eckId(7001), lasKey: '' },
            productId: 'boek',
          })
          .catch(() => undefined),
      ),
    );
    // It is told without being loaded anew.
    const verdict = page.locator('.cards > li.bad');
    await verdict.getByText('Het ligt aan hen').waitFor({ timeout: 60_000 });
    await verdict.getByText('entitlement.missing').waitFor();
    await page.getByRole('cell', { name: 'veel minder dan gewoonlijk' }).waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'launches');
  });

  test('how ready schools are is told by school and product, with whom to ask, and no small count', async () => {
    await go('/readiness', /Klaar voor school/);
    await page.locator(`a[href*="school=${school}"]`).click();
    await page.waitForURL('**/readiness?school=*');
    const row = page.getByRole('row', { name: /nog-niet-gepubliceerd/ });
    await row.getByText('<10').first().waitFor();
    await row.getByText('product.unknown').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'readiness');
  });

  test('what will fail in August is told by line, with a message that can be sent', async () => {
    await go('/preflight', /Proefvlucht/);
    await page
      .getByRole('row', { name: /order-1/ })
      .getByText('product.unknown')
      .waitFor();
    await page.locator('pre').first().waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'preflight');
  });

  test('settings are shown, and no secret with them', async () => {
    await go('/settings', /Instellingen/);
    await page
      .getByRole('row', { name: /EDUK_DATA/ })
      .getByText(at.folder)
      .waitFor();
    await page
      .getByRole('row', { name: /EDUK_HOLD_THRESHOLD_PERCENT/ })
      .getByText('standaard')
      .waitFor();
    // What each is, is said in the reader's language.
    await page.getByText('Laagste niveau dat gelogd wordt.').waitFor();
    expect(await page.getByText('Least level that is logged.').count()).toBe(0);
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'settings');
    await page.getByRole('button', { name: 'English' }).click();
    await page.getByText('Least level that is logged.').waitFor();
    await page.getByRole('button', { name: 'Nederlands' }).click();
  });

  test('it is told as it changes, without being loaded anew', async () => {
    await go('/flows', /Berichten/);
    const before = await page.locator('tbody tr').count();
    await place('order-live', 'nog-niet-gepubliceerd');
    await page.getByRole('cell', { name: 'order-live' }).waitFor();
    expect(await page.locator('tbody tr').count()).toBeGreaterThan(before);
  });

  test('a message is found by what is known of it, and its page shows where it stopped and who must act', async () => {
    await go('/flows', /Berichten/);
    await page.keyboard.press('/');
    await page.keyboard.type('order-1');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/flows?q=order-1');
    await page.getByText('Doorzocht: alles wat er is.').waitFor();
    expect(await page.locator('tbody tr').count()).toBe(1);
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'flows');
    await page.locator('tbody tr a').first().click();
    await page.getByRole('heading', { name: 'Hier stopte het' }).waitFor();
    await page.getByText('De uitgever publiceert het product').waitFor();
    await page.getByText('Wacht op het product, dat nog geen uitgever publiceerde.').waitFor();
    await page.getByRole('img', { name: /De Leerlijst: OrderSubmitted/ }).waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'flow');
    // A colleague opens the same.
    const [other, late] = await openPage({ locale: 'en-GB' });
    await enter(late);
    await late.goto(page.url());
    await late.getByRole('heading', { name: 'This is where it stopped' }).waitFor();
    await late.getByText('It waits for its product').waitFor();
    await shoot(late, 'flow-en');
    await other.close();
    // By time, of which the address tells a colleague.
    await go('/flows?q=order-1', /Berichten/);
    await page.getByLabel('Vanaf').fill('2999-01-01 08:30');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/flows?q=order-1&from=2999-01-01+08%3A30');
    await page.getByText('Niets gevonden').waitFor();
    await page.getByText('Doorzocht: alles sinds').waitFor();
    expect(await page.getByText('Wat ouder is vindt u').count()).toBe(0);
    await shoot(page, 'flows-time');
    await go('/flows?q=niets-van-dien-aard', /Berichten/);
    await page.getByText('Niets gevonden').waitFor();
    await shoot(page, 'flows-empty');
    await go('/flow?id=niets', /Bericht/);
    await page.getByRole('alert').waitFor();
    await shoot(page, 'flow-missing');
  });

  test('a key searches from any page, and what is typed next is written', async () => {
    await go('/', /Overzicht/);
    await page.keyboard.press('/');
    await page.keyboard.type('order-1');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/flows?q=order-1');
    await page.getByText('Doorzocht: alles wat er is.').waitFor();
  });

  test('messages about a learner are found, and whom they are about stands in no address', async () => {
    const asked: string[] = [];
    const note = (request: { url(): string }) => asked.push(request.url());
    page.on('request', note);
    for (const somebody of ['pw1-iemand', eckId(7003)]) {
      await go('/flows', /Berichten/);
      await page.getByRole('searchbox').fill(somebody);
      await page.getByRole('button', { name: 'Zoek' }).click();
      await page.getByText('Stel hierboven een vraag.').waitFor();
      expect(page.url()).toBe(`${origin}/flows?by=learner`);
    }
    await go('/flows?q=order-1', /Berichten/);
    await page.getByRole('link', { name: 'Zoek wat over één leerling gaat.' }).click();
    await page.getByText('Stel hierboven een vraag.').waitFor();
    expect(await axeOf(page)).toEqual([]);
    const learner = page.getByLabel(/ECK iD van de leerling/);
    // By keyboard alone.
    await learner.focus();
    await page.keyboard.type('k3');
    await page.keyboard.press('Tab');
    await page.keyboard.type(school.slice(11, 15));
    await page.keyboard.press('Enter');
    await page.getByRole('cell', { name: 'EntitlementService/GrantEntitlements' }).first().waitFor();
    await page.getByText('Doorzocht: alles wat er is.').waitFor();
    expect(await learner.inputValue()).toBe('');
    expect(await page.getByLabel('School (BRIN of OIN)').inputValue()).toBe(school.slice(11, 15));
    expect(page.url()).toBe(`${origin}/flows?by=learner`);
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'flows-learner');
    // What the address says is no question that a link could hold.
    expect(await page.getByRole('button', { name: 'Deel deze pagina' }).count()).toBe(0);
    // Older ones are of the same learner, who is asked for anew.
    const bodies: unknown[] = [];
    await page.route('**/api/flows/of-learner', (route) => {
      const body = route.request().postDataJSON();
      bodies.push(body);
      const flow = { ...{ id: 'f', method: 'm', party: { oin: '', name: '' }, school: { oin: '', name: '' } } };
      const list = {
        flows: [{ ...flow, subject: `van ${body.after || 'het begin'}`, state: 'done', code: '', at: 5 }],
      };
      return route.fulfill({
        json: { ...list, coveredFrom: 4, next: 'hier', isShort: false, missing: [], deliveries: [], gone: 0 },
      });
    });
    await learner.fill('pw1-abc');
    await page.getByLabel('Pseudoniem van (OIN)').fill(las.oin);
    await page.getByRole('button', { name: 'Zoek' }).click();
    await page.getByRole('cell', { name: 'van het begin' }).waitFor();
    await page.getByRole('button', { name: 'Oudere' }).click();
    await page.getByRole('cell', { name: 'van hier' }).waitFor();
    await page.getByRole('button', { name: 'Nieuwste' }).click();
    await page.getByRole('cell', { name: 'van het begin' }).waitFor();
    const of = { learner: 'pw1-abc', pseudonymOf: las.oin, school: school.slice(11, 15), party: '', state: '' };
    const whenever = { from: '', until: '' };
    expect(bodies).toEqual(['', 'hier', ''].map((after) => ({ ...of, ...whenever, after })));
    await page.unroute('**/api/flows/of-learner');
    await learner.fill('iemand-anders');
    await page.getByRole('button', { name: 'Zoek' }).click();
    await page.locator('main').getByRole('alert').getByText('learner.unknown').waitFor();
    await shoot(page, 'flows-learner-unknown');
    page.off('request', note);
    expect(asked.filter((url) => /k3|pw1|iemand|ketenid/.test(url))).toEqual([]);
    // Neither is it there for who goes back.
    await page.getByRole('link', { name: 'Zoek op nummer, afzender of school.' }).click();
    await page.getByRole('searchbox').waitFor();
    await page.goBack();
    await page.getByText('Stel hierboven een vraag.').waitFor();
    expect(await learner.inputValue()).toBe('');
  });

  test('why: by order, product and learner; of a learner nothing stays', async () => {
    await go('/why', /Waarom niet/);
    await page.getByLabel('Nummer van de bestelling').fill('order-1');
    await page.getByRole('button', { name: 'Vraag' }).click();
    await page.getByRole('heading', { name: 'Dit blokkeert' }).waitFor();
    expect(page.url()).toContain('?order=order-1');
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'why');
    await page.getByText('Product bij een school').click();
    await page.getByLabel('Nummer van het product').fill('nog-niet-gepubliceerd');
    await page.getByLabel('School (BRIN of OIN)').fill(school);
    const answered = page.waitForResponse((response) => response.url().endsWith('/api/why'));
    await page.getByRole('button', { name: 'Vraag' }).click();
    await answered;
    await page.waitForURL(/product=/);
    await page.getByRole('heading', { name: 'Dit blokkeert' }).waitFor();
    await page.getByText('Partij', { exact: true }).click();
    await page.getByLabel('Partij (OIN)').fill(platform);
    await page.getByRole('button', { name: 'Vraag' }).click();
    await page.waitForURL(/\/why\?party=/);
    await page.getByText('peer.refused').first().waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'why-party');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.getByText('Leerling van een school').click();
    await page.getByLabel(/Sleutel van de leerling/).fill('k3');
    await page.getByLabel('School (BRIN of OIN)').fill(school.slice(11, 15));
    await page.getByRole('button', { name: 'Vraag' }).click();
    await page.getByText('peer.refused').first().waitFor();
    await page.getByText('Leerplein').first().waitFor();
    expect(await page.getByLabel(/Sleutel van de leerling/).inputValue()).toBe('');
    expect(page.url()).toBe(`${origin}/why`);
    expect(asked.filter((url) => url.includes('k3'))).toEqual([]);
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'why-learner');
    await page.getByLabel(/Sleutel van de leerling/).fill('iemand-anders');
    await page.getByLabel('School (BRIN of OIN)').fill('99ZZ');
    await page.getByRole('button', { name: 'Vraag' }).click();
    await page
      .locator('main')
      .getByText(/learner.unknown|state.missing/)
      .first()
      .waitFor();
  });

  test('an answer is never shown under an address that asks something else', async () => {
    await go('/flows', /Berichten/);
    await page.getByText('Doorzocht: alles wat er is.').waitFor();
    const drawn = await page.evaluate(async () => {
      const at = globalThis as any;
      at.history.pushState(null, '', '/flows?q=order-1');
      at.dispatchEvent(new at.PopStateEvent('popstate'));
      for (let i = 0; i < 10; i++) await Promise.resolve();
      return [at.document.querySelector('input[name=q]').value, at.document.querySelectorAll('tbody tr').length];
    });
    expect(drawn).toEqual(['order-1', 0]);
    await page.getByText('Doorzocht: alles wat er is.').waitFor();
    expect(await page.locator('tbody tr').count()).toBe(1);
  });

  test('why: what is chosen stays chosen, however soon; the same is asked again after something else', async () => {
    await go('/why', /Waarom niet/);
    // Someone chooses as soon as the page of another address is drawn.
    await page.evaluate(async () => {
      const at = globalThis as any;
      at.history.pushState(null, '', '/why?order=order-1');
      at.dispatchEvent(new at.PopStateEvent('popstate'));
      for (let i = 0; i < 10; i++) await Promise.resolve();
      at.document.querySelector('input[value=learner]').click();
    });
    await page.getByRole('heading', { name: 'Dit blokkeert' }).waitFor();
    const learner = page.getByLabel(/Sleutel van de leerling/);
    expect(await learner.count()).toBe(1);
    await learner.fill('k3');
    await page.getByLabel('School (BRIN of OIN)').fill(school);
    await page.getByRole('button', { name: 'Vraag' }).click();
    await page.getByText('peer.refused').first().waitFor();
    await page.getByText('Bestelling', { exact: true }).click();
    await page.getByLabel('Nummer van de bestelling').fill('order-1');
    await page.getByRole('button', { name: 'Vraag' }).click();
    await page.getByRole('heading', { name: 'Dit blokkeert' }).waitFor();
    expect(page.url()).toContain('?order=order-1');
    // Who writes as soon as a field is drawn, as a paste or a browser that fills in does, loses nothing of it.
    const [written, otherSchool] = await page.evaluate(async () => {
      const at = globalThis as any;
      at.document.querySelector('input[value=product]').click();
      for (let i = 0; i < 10; i++) await Promise.resolve();
      for (const name of ['product', 'school']) {
        const field = at.document.querySelector(`input[name=${name}]`);
        field.value = `soon-${name}`;
        field.dispatchEvent(new at.Event('input', { bubbles: true }));
      }
      await new Promise((done) => setTimeout(done, 300));
      return ['product', 'school'].map((name) => at.document.querySelector(`input[name=${name}]`).value as string);
    });
    expect([written, otherSchool]).toEqual(['soon-product', 'soon-school']);
    // Without a question there is no answer.
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: 'Waarom niet' }).click();
    await page.getByRole('heading', { name: 'Dit blokkeert' }).waitFor({ state: 'detached' });
  });

  test('a licence is told by class, from its row on the board, with whom to ask', async () => {
    await go(`/readiness?school=${school}`, /Klaar voor school/);
    const row = page.getByRole('row', { name: /nog-niet-gepubliceerd/ });
    // By class, from its row: what was ordered for the school as a whole is of no class, and too few to tell.
    await row.getByRole('link', { name: 'Per klas' }).click();
    await page.waitForURL('**/readiness?school=*&by=class&product=nog-niet-gepubliceerd');
    await page
      .getByRole('row', { name: /van geen klas/ })
      .getByText('<10')
      .first()
      .waitFor();
    // A class of which there is enough to tell, by the key that its school gave it, with whom to ask.
    await las.orders.placeOrder({
      reference: 'ref-class',
      orderId: 'order-class',
      schoolOin: school,
      lines: pupils(30).map(({ eckId: own }, i) => ({
        terms: { lineId: `${i}`, productId: 'klassenset', quantity: 1 },
        learner: { eckId: own },
      })),
    });
    const ofClass = page.getByRole('row', { name: /^g7/ });
    await expect
      .poll(
        async () => {
          await go(`/readiness?school=${school}&by=class&product=klassenset`, /Klaar voor school/);
          return (await ofClass.count()) > 0 ? ofClass.innerText() : '';
        },
        { timeout: 60_000 },
      )
      .toMatch(/g7\s+30\s[\s\S]*product\.unknown/);
    await page.getByRole('row', { name: /^30/ }).getByText('De Leerlijst').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    expect(await page.getByRole('button', { name: 'Deel deze pagina' }).count()).toBe(0);
    await shoot(page, 'readiness-class');
    await page.getByRole('link', { name: /^Alle licenties/ }).click();
    await row.waitFor();
  });

  test('hostile names and ids are words and nothing else', async () => {
    for (const [path, heading] of [
      ['/', /Overzicht/],
      ['/flows', /Berichten/],
      [`/flows?q=${encodeURIComponent(HOSTILE_ID)}`, /Berichten/],
      [`/why?order=${encodeURIComponent(HOSTILE_ID)}`, /Waarom/],
      [`/flows?q=${encodeURIComponent(HOSTILE)}`, /Berichten/],
      [`/flow?id=${encodeURIComponent(HOSTILE)}`, /Bericht/],
      [`/flow?id=x#${HOSTILE}`, /Bericht/],
    ] as const) {
      await go(path, heading);
      await toldNobody(page);
      expect(await page.locator('main img, main script, main iframe').count()).toBe(0);
    }
    await go('/', /Overzicht/);
    await page.getByText('<img src=x onerror').first().waitFor();
    await page.getByText('{{7*7}}').first().waitFor();
    const { flows } = await at.operator.listFlows({ text: HOSTILE_ID });
    await go(`/flow?id=${flows[0]!.flowId}`, /Bericht/);
    await toldNobody(page);
  });

  test('what is given up or tried again is so at once', async () => {
    await go('/dead', /Gestrand/);
    const section = page.getByRole('region', { name: 'Bij ontvangers' });
    await section.getByText('HTTP 422').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'dead');
    await section.getByRole('button', { name: /^Opnieuw/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'dead-sure');
    // Not sure after all.
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    hook.behaviour = () => undefined;
    await section.getByRole('button', { name: /^Opnieuw/ }).click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText(/Opgepakt: 1 bericht, 1 sleutel/).waitFor();
    await page.getByText('Niets is gestrand.').waitFor();
    await shoot(page, 'dead-empty');
    hook.behaviour = () => 422;
    await grant(refused);
    await section.getByRole('button', { name: /^Opgeven/ }).click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText(/Opgegeven: (1 bericht|\d+ berichten), 1 sleutel/).waitFor();
    const parked = async () => (await at.operator.listParked({})).rows.filter(({ standard }) => standard === 'webhook');
    expect(await parked()).toEqual([]);
    // All that is chosen at once; an address that a colleague can open.
    await grant(refused);
    await section.getByText('HTTP 422').waitFor();
    await go('/dead?code=peer.unavailable', /Gestrand/);
    await page.getByText('Niets gevonden').waitFor();
    await page.getByLabel('Code').fill('peer.refused');
    await page.getByLabel('Ontvanger (OIN)').fill(platform);
    await page.getByRole('button', { name: 'Zoek' }).click();
    await page.waitForURL(/party=.*code=peer\.refused/);
    await section.getByText('HTTP 422').waitFor();
    await section.getByRole('link', { name: 'Bekijk het bericht' }).waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'dead-chosen');
    await page.getByRole('button', { name: /^Alles opgeven/ }).click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText(/Opgegeven: (1 bericht|\d+ berichten), 1 sleutel/).waitFor();
    expect(await parked()).toEqual([]);
    await go('/dead', /Gestrand/);
    // What fails for now is tried again by itself, until somebody has that stopped.
    hook.behaviour = () => 503;
    await grant(eckId(7050));
    const sick = page.getByRole('region', { name: 'Adressen die niet antwoorden' });
    await sick.getByText('HTTP 503').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'dead-sick');
    await sick.getByRole('button', { name: /^Niet meer herhalen/ }).click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText(/Wordt niet meer herhaald: \d+ bericht(en)?, \d+ sleutels?\./).waitFor();
    await section.getByText('niet herhaald').waitFor();
    hook.behaviour = () => undefined;
    await section.getByRole('button', { name: /^Opnieuw/ }).click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await within(async () => (await parked()).length === 0);
  });

  test('a held roster shows what would change, and is rejected or approved', async () => {
    await go('/holds', /Vastgehouden/);
    await page.getByText('de lijst afgebroken lijkt').waitFor();
    await page.getByRole('img', { name: /30, 5/ }).waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'holds');
    await page.getByRole('button', { name: /^Afwijzen/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText('Afgewezen.').waitFor();
    await page.getByText('Niets wordt vastgehouden.').waitFor();
    await shoot(page, 'holds-empty');
    await roster(4, '2026-09-04');
    await page.getByRole('button', { name: /^Goedkeuren/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText('Goedgekeurd.').waitFor();
    await page.getByLabel('Ook wat beslist is').check();
    await page
      .getByText(/· (goedgekeurd|afgewezen)/)
      .first()
      .waitFor();
    await shoot(page, 'holds-decided');
  });

  test('held withdrawals show which class loses what, without its name, and a class is decided by itself', async () => {
    const other = newSchool();
    await at.mandate(other, publisher.oin, [Service.SERVICE_ENTITLEMENT]);
    const all = Array.from({ length: 27 }, (_, i) => eckId(7200 + i));
    await at.operator.importRoster([
      {
        schoolOin: other,
        chunk: Buffer.from(
          edexml({
            school: other,
            groups: ['g7', 'g8'],
            groupName: 'Geheimgroep',
            pupils: all.slice(0, 24).map((id, i) => ({ key: `K-${i}`, eckId: id, group: i < 12 ? 'g7' : 'g8' })),
          }),
        ),
      },
    ]);
    await sendAll(
      publisher.entitlements.grantEntitlements(),
      all.map((id, i) => ({
        reference: `class-${i}`,
        schoolOin: other,
        holder: { learner: { eckId: id } },
        terms: { entitlementId: `class-${i}`, productId: 'boek' },
      })),
    );
    await publisher.entitlements.withdrawEntitlements({
      reference: 'classes',
      schoolOin: other,
      entitlementIds: all.map((_, i) => `class-${i}`),
      mode: WithdrawMode.WITHDRAW_MODE_WITHDRAW,
      waitMs: 20_000n,
    });
    const left = async () =>
      (await at.operator.listHolds({ schoolOin: other })).holds[0]?.products.map(({ entitlements }) => entitlements);
    await within(async () => (await left())?.[0] === 27);
    await go('/holds', /Vastgehouden/);
    const heading = page.getByRole('heading', { name: 'Wie het verliest, per groep' });
    const card = page.locator('.cards > li').filter({ has: heading });
    await card.locator('li', { hasText: /^Zonder groep: <10/ }).waitFor();
    await card.getByText('Alleen een deel beslissen').click();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'holds-classes');
    await page.setViewportSize({ width: 390, height: 844 });
    await shoot(page, 'holds-classes-phone');
    await page.emulateMedia({ colorScheme: 'dark' });
    await shoot(page, 'holds-classes-dark');
    await page.emulateMedia({ colorScheme: null });
    await page.setViewportSize({ width: 1280, height: 900 });
    // Of two classes of one year, the one whose count is told: three without class would follow from both.
    await card.getByRole('checkbox', { name: /^Groep in leerjaar 7 \(….{4}\): 12 / }).check();
    await card.getByRole('button', { name: /^Goedkeuren.*\(12 licenties/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText('Goedgekeurd.').waitFor();
    // Of the other class and of who is in none nothing is told: how much less it is would tell the three.
    await within(async () => (await left())?.[0] === 0);
    await card.getByText('Een deel is beslist; dit is de rest.').waitFor();
    await card.getByText('staat er als minstens zo veel').waitFor();
    await shoot(page, 'holds-rest');
    await card.getByRole('link', { name: 'Bekijk het bericht' }).click();
    await page.getByText('1+ van 27 wijzigingen van licenties wachten op goedkeuring').waitFor();
    await shoot(page, 'flow-held');
    await go('/holds', /Vastgehouden/);
    await card.getByRole('button', { name: /^Afwijzen/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Doorgaan' }).click();
    await card.waitFor({ state: 'detached' });
  });

  test('mail is sent again: counted, begun, followed as it goes, and stopped', async () => {
    hook.behaviour = () => undefined;
    for (let i = 0; i < 40; i++) await grant(eckId(7100 + i));
    const seen = () => hook.first.filter(({ type }) => type.endsWith('EntitlementGranted')).length;
    await within(async () => seen() >= 40);
    await go('/replay', /Opnieuw sturen/);
    await page.getByText('niets opnieuw gestuurd').waitFor();
    await shoot(page, 'replay-empty');
    const count = async (again: boolean) => {
      await page.getByLabel('Partij (OIN)').fill(platform);
      await page.getByLabel('Dienst').selectOption('entitlement');
      await page.getByLabel('Ook wat de ontvanger al heeft').setChecked(again);
      await page.getByRole('button', { name: 'Tel', exact: true }).click();
    };
    await page.getByLabel('Partij (OIN)').fill('niemand');
    await page.getByRole('button', { name: 'Tel', exact: true }).click();
    await page.getByRole('alert').getByText('wire.invalid').waitFor();
    await count(true);
    const section = page.locator('main > section').first();
    await section.getByRole('button', { name: /^Stuur/ }).waitFor();
    await section.getByText('de ontvanger heeft het: het zou niets veranderen').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'replay-counted');
    await section.getByLabel('Berichten per seconde').fill('5');
    await section.getByRole('button', { name: /^Stuur/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('kan niet ongedaan gemaakt worden').waitFor();
    await shoot(page, 'replay-sure');
    const before = hook.requests.length;
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    // It is so much that it takes two; on this machine one may stand in for the second, and says so.
    await page.getByText('Nu laat een tweede persoon het ook beginnen.').waitFor();
    await section.getByText('een tweede persoon').first().waitFor();
    await shoot(page, 'replay-second');
    await section.getByRole('button', { name: /^Stuur, als tweede persoon/ }).click();
    await dialog.getByText('staat u in voor een tweede persoon').waitFor();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    // It goes on by itself, as it is sent.
    await section.getByRole('progressbar').waitFor();
    await within(async () => Number(await section.getByRole('progressbar').getAttribute('value')) > 3);
    expect(hook.requests.length).toBeGreaterThan(before);
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'replay-running');
    await section.getByRole('button', { name: /^Stop/ }).click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await section.getByText('gestopt').waitFor();
    await section.getByText('gestuurd, niet ongedaan te maken').waitFor();
    await section.getByText('door een beheerder').waitFor();
    await toldNobody(page);
    await shoot(page, 'replay-stopped');
    const { replays } = await at.operator.listReplays({});
    expect(replays[0]).toMatchObject({ state: 'stopped', rate: 5, mostErrors: 10 });
    expect(replays[0]!.sent).toBeLessThan(replays[0]!.toSend);
    // As it would say where all that is left of it was stopped at its keys.
    const [first] = (await page.evaluate(async () => (await fetch('/api/replays')).json())) as object[];
    const waits = { ...first, state: 'waiting', cause: 'parked', parked: 3, setBack: 0 };
    await page.route('**/api/live?of=replays', (route) =>
      route.fulfill({ contentType: 'text/event-stream', body: `event: now\ndata: ${JSON.stringify([waits])}\n\n` }),
    );
    await go('/replay', /Opnieuw sturen/);
    await section.getByText('staat bij sleutels die gestrand zijn').waitFor();
    await section.getByText('bij gestrande sleutels, wacht op u').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'replay-waiting');
    await page.setViewportSize({ width: 390, height: 844 });
    await page.emulateMedia({ colorScheme: 'dark' });
    await shoot(page, 'replay-waiting-phone');
    await page.emulateMedia({ colorScheme: null });
    await page.setViewportSize({ width: 1280, height: 900 });
    await section.getByRole('link', { name: 'Gestrand' }).click();
    await page.getByRole('heading', { level: 1, name: 'Gestrand' }).waitFor();
    await page.unroute('**/api/live?of=replays');
  });

  test('what a party says that it has is told beside what stands here, and mended from there', async () => {
    await go('/reconciled', /Vergeleken/);
    await page.getByText('Er is nog niets vergeleken').waitFor();
    const { done } = await at.as(`Bearer ${platformKey}`).entitlements.compareEntitlements({
      schoolOin: school,
      held: [{ entitlementId: '0-nobodys', state: 'open', productId: 'boek' }],
      last: true,
    });
    expect(done).toBe(true);
    // It is told as it changes.
    await page.getByText('verschilt').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await page.goto(`${origin}/reconciled?party=${platform}&school=${school}`);
    const section = page.getByRole('region', { name: 'Verschillen' });
    await section.getByText('Alleen daar').waitFor();
    await section.getByText('0-nobodys').waitFor();
    await section.getByText('Ontbreekt daar').first().waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'reconciled');
    await page.getByRole('button', { name: /^Herstel/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Doorgaan' }).click();
    await page.waitForURL('**/replay');
    const { reconciliations } = await at.operator.listReconciliations({});
    const { missing } = reconciliations[0]!.reconciliation!.counts!;
    expect(missing).toBeGreaterThan(0n);
    await page.getByText('geteld').first().waitFor();
    await within(async () => ((await at.operator.listReplays({})).replays[0]!.toSend ?? 0n) >= missing);
  });

  test('a page is shared with who does not sign in: it alone, to read, until it is taken back', async () => {
    await go('/flows?q=order-1', /Berichten/);
    await page.getByRole('button', { name: 'Deel deze pagina' }).click();
    const dialog = page.getByRole('dialog', { name: 'Deel deze pagina' });
    await dialog.getByRole('button', { name: 'Maak de link' }).click();
    const field = dialog.getByRole('textbox');
    await field.waitFor();
    const given = await field.inputValue();
    expect(given).toMatch(/\/shared\?link=[\w-]{16}#[\w-]{43}$/);
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'share');
    const [other, theirs] = await openPage({ colorScheme: 'dark', viewport: { width: 390, height: 800 } });
    await theirs.goto(given);
    await theirs.getByRole('heading', { level: 1, name: 'Berichten' }).waitFor();
    await theirs.getByRole('cell', { name: 'order-1' }).first().waitFor();
    // Its secret is gone from the address; there is no other page, and nothing to do.
    expect(theirs.url()).toBe(given.split('#')[0]);
    expect(await theirs.locator('main a, nav, form:visible, main button:visible').count()).toBe(0);
    expect(await axeOf(theirs)).toEqual([]);
    await toldNobody(theirs);
    await shoot(theirs, 'shared-phone-dark');
    await theirs.reload();
    await theirs.getByRole('cell', { name: 'order-1' }).first().waitFor();
    await theirs.goto(`${origin}/flows`);
    await theirs.getByRole('heading', { level: 1, name: 'Aanmelden' }).waitFor();
    await theirs.goto(given.split('#')[0]!);
    await theirs.getByRole('cell', { name: 'order-1' }).first().waitFor();
    await go('/links', /Gedeeld/);
    const row = page.getByRole('row', { name: /\/flows\?q=order-1/ });
    await row.waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'links');
    await row.getByRole('button', { name: /^Intrekken/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Doorgaan' }).click();
    await row.waitFor({ state: 'detached' });
    // Whoever has it open sees it no more.
    await theirs.getByText('verlopen of ingetrokken').waitFor();
    await shoot(theirs, 'shared-over');
    await other.close();
  });

  test('keys lead everywhere, and what has the focus is seen', async () => {
    await go('/', /Overzicht/);
    for (const [key, path] of [
      ['l', '/launches'],
      ['k', '/readiness'],
      ['j', '/preflight'],
      ['f', '/flows'],
      ['w', '/why'],
      ['h', '/holds'],
      ['d', '/dead'],
      ['p', '/parties'],
      ['u', '/audit'],
      ['r', '/replay'],
      ['o', '/'],
    ] as const) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.waitForURL(`${origin}${path}`);
    }
    await page.goto(`${origin}/`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
  });

  test('it fits a phone, in the dark, in English', async () => {
    const [other, small] = await openPage({
      locale: 'en-GB',
      colorScheme: 'dark',
      viewport: { width: 390, height: 800 },
      reducedMotion: 'reduce',
    });
    await enter(small);
    for (const path of [
      '/',
      '/launches',
      '/readiness',
      '/preflight',
      '/flows',
      '/flows?by=learner',
      '/parties',
      `/party?oin=${las.oin}`,
      '/why?order=order-1',
      '/holds?decided=yes',
      '/replay',
      '/audit',
      `/readiness?school=${school}&by=class&product=klassenset`,
      '/dead',
    ]) {
      await small.goto(`${origin}${path}`);
      await small.getByRole('heading', { level: 1 }).waitFor();
      await small.locator('.loading').waitFor({ state: 'detached' });
      expect([path, await axeOf(small)]).toEqual([path, []]);
      // Only what is meant to scroll sideways does.
      expect([path, await small.evaluate('document.documentElement.scrollWidth')]).toEqual([path, 390]);
      await shoot(small, `phone${path.replace(/\W+/g, '-')}`);
    }
    expect(await small.locator('html').getAttribute('lang')).toBe('en');
    await small.getByRole('button', { name: 'Nederlands' }).click();
    await small.getByRole('heading', { level: 1, name: 'Gestrand' }).waitFor();
    await other.close();
  });

  test('no page of another shows it in a frame, or acts in its name', async () => {
    const [other, evil] = await openPage();
    evil.removeAllListeners();
    await enter(evil);
    const [{ cookies }] = [await other.storageState()];
    expect(cookies).toMatchObject([{ httpOnly: true, secure: true, sameSite: 'Strict' }]);
    expect(await evil.evaluate('document.cookie')).toBe('');
    // Of the same browser, at another origin.
    await evil.route('http://evil.example/', (route) =>
      route.fulfill({ contentType: 'text/html', body: `<iframe src="${origin}/"></iframe>` }),
    );
    await evil.goto('http://evil.example/');
    await evil.waitForTimeout(500);
    expect(await evil.frames()[1]!.evaluate('document.body.innerText')).not.toMatch(/Overzicht|Aanmelden/);
    const tried = await evil.evaluate(
      async (to) =>
        Promise.all(
          ['/api/overview', '/api/holds/decide', '/api/sign-out'].map((path) =>
            fetch(`${to}${path}`, {
              method: path === '/api/overview' ? 'GET' : 'POST',
              mode: 'no-cors',
              credentials: 'include',
              ...(path === '/api/overview' ? {} : { body: '{}' }),
            }).then(
              ({ type, status }) => `${type} ${status}`,
              () => 'refused',
            ),
          ),
        ),
      origin,
    );
    // Nothing of an answer is read, and the session is still there.
    for (const one of tried) expect(one).toMatch(/^(opaque 0|refused)$/);
    await evil.goto(`${origin}/`);
    await evil.getByRole('heading', { level: 1, name: 'Overzicht' }).waitFor();
    await other.close();
  });

  test('who signs out sees nothing any more', async () => {
    await go('/', /Overzicht/);
    await page.getByRole('button', { name: 'Afmelden' }).click();
    await page.getByRole('heading', { name: 'Aanmelden' }).waitFor();
    await page.goto(`${origin}/holds`);
    await page.getByRole('heading', { name: 'Aanmelden' }).waitFor();
  });

  test('nothing was asked of anybody else, and the policy refused nothing', () => {
    expect(elsewhere).toEqual([]);
    expect(wrong).toEqual([]);
  });
});
