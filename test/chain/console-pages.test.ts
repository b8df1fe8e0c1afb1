/** The console in a browser: every page and what is done there, in both languages, by keys, on a phone, in the dark, with hostile names. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeConsoleLink } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
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

async function within<T>(look: () => Promise<T | undefined | false>, ms = 30_000): Promise<T> {
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
    if (message.type() === 'error' && !/status of 40[0-9]/.test(message.text())) wrong.push(message.text());
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
    at = await startTestGateway();
    origin = `http://${at.gateway.addresses.console}`;
    las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
    publisher = await at.party(HOSTILE, [Role.ROLE_PUBLISHER]);
    hook = await Receiver.open();
    const platform = newOin();
    hook.secret = (
      await at.operator.addParty({
        party: {
          oin: platform,
          name: 'Leerplein',
          roles: [Role.ROLE_PLATFORM],
          endpoints: [{ standard: 'webhook', url: hook.url }],
        },
      })
    ).webhookSecret;
    await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
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
    await page.getByRole('heading', { level: 1, name: 'Overzicht' }).waitFor();
    expect(page.url()).toBe(`${origin}/`);
    const [other, late] = await openPage();
    await late.goto(once);
    await late.getByRole('alert').waitFor();
    await other.close();
  });

  test('the overview says how much comes in, how everybody is, and what waits for somebody', async () => {
    await go('/', /Overzicht/);
    await page.getByRole('img', { name: /Berichten per minuut/ }).waitFor();
    await page.getByRole('link', { name: '1 vastgehouden' }).waitFor();
    await page.getByRole('link', { name: /1 berichten niet afgeleverd/ }).waitFor();
    await page.getByRole('cell', { name: /Leerplein/ }).waitFor();
    await page.getByText('OrderService/PlaceOrder').first().waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'overview');
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
    await page.getByRole('img', { name: /De Leerlijst: OrderSubmitted/ }).waitFor();
    expect(await axeOf(page)).toEqual([]);
    await toldNobody(page);
    await shoot(page, 'flow');
    // A colleague opens the same.
    const [other, late] = await openPage({ locale: 'en-GB' });
    await enter(late);
    await late.goto(page.url());
    await late.getByRole('heading', { name: 'This is where it stopped' }).waitFor();
    await shoot(late, 'flow-en');
    await other.close();
    await go('/flows?q=niets-van-dien-aard', /Berichten/);
    await page.getByText('Niets gevonden').waitFor();
    await shoot(page, 'flows-empty');
    await go('/flow?id=niets', /Bericht/);
    await page.getByRole('alert').waitFor();
    await shoot(page, 'flow-missing');
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
    await page.getByText(/Opgepakt: 1 berichten, 1 sleutels/).waitFor();
    await page.getByText('Niets is gestrand.').waitFor();
    await shoot(page, 'dead-empty');
    hook.behaviour = () => 422;
    await grant(refused);
    await section.getByRole('button', { name: /^Opgeven/ }).click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText(/Opgegeven: \d+ berichten, 1 sleutels/).waitFor();
    const { rows } = await at.operator.listParked({});
    expect(rows.filter(({ standard }) => standard === 'webhook')).toEqual([]);
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

  test('keys lead everywhere, and what has the focus is seen', async () => {
    await go('/', /Overzicht/);
    for (const [key, path] of [
      ['f', '/flows'],
      ['w', '/why'],
      ['h', '/holds'],
      ['d', '/dead'],
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
    for (const path of ['/', '/flows', '/why?order=order-1', '/holds?decided=yes', '/dead']) {
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
