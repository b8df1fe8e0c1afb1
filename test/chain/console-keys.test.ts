/** The console by keyboard alone: each action of messages, holds and stranded mail is reached, seen, and leaves the focus where one goes on. */
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { makeConsoleLink } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { keyOf } from './console.ts';
import { edexml } from './files.ts';
import { eckId, newOin, newSchool, sendAll, startTestGateway, type TestGateway } from './gateway.ts';
import { Receiver } from './receiver.ts';

/** From Debian's packages; .ci/run installs it. */
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const runs = describe.runIf(CHROMIUM !== undefined);
if (CHROMIUM === undefined)
  process.stderr.write('\nNo Chromium: the console is NOT TESTED by keyboard. Install Debian’s package chromium.\n\n');

let at: TestGateway;
let hook: Receiver;
let platform = '';
let browser: Browser;
let page: Page;
let origin = '';
const school = newSchool();
const learners = [eckId(7301), eckId(7302)];
const roster = (count: number, asOf: string) => {
  const pupils = Array.from({ length: count }, (_, i) => ({ key: `k${i}`, eckId: eckId(7300 + i) }));
  return at.operator.importRoster([{ schoolOin: school, chunk: Buffer.from(edexml({ school, asOf, pupils })) }]);
};

/** What has the focus: its name as it is heard, else its text; whether it is seen to have it. */
const focused = () =>
  page.evaluate(() => {
    const it = (globalThis as any).document.activeElement;
    const style = (globalThis as any).getComputedStyle(it);
    return {
      id: it.id as string,
      name: ((it.getAttribute('aria-label') ?? it.labels?.[0]?.innerText ?? it.innerText) as string).trim(),
      isSeen:
        it.matches(':focus-visible') && style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2,
    };
  });

/** By Tab alone, from where the focus is; each stop on the way is seen. */
async function tabTo(name: RegExp): Promise<void> {
  for (let stops = 0; stops < 80; stops += 1) {
    await page.keyboard.press('Tab');
    const now = await focused();
    if (name.test(now.name)) return expect(now).toMatchObject({ isSeen: true });
  }
  throw new Error(`no ${name} within 80 stops`);
}

const go = async (path: string, heading: string): Promise<void> => {
  await page.goto(`${origin}${path}`);
  await page.getByRole('heading', { level: 1, name: heading }).waitFor();
  await page.locator('.loading').waitFor({ state: 'detached' });
};
/** The note of what was done has the focus; whoever closes it is where they were, or at the beginning of the page. */
const note = () => page.locator('.note.well[role=status]');

runs('the console by keyboard', { timeout: 240_000 }, () => {
  beforeAll(async () => {
    at = await startTestGateway();
    origin = `http://${at.gateway.addresses.console}`;
    const publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
    hook = await Receiver.open();
    platform = newOin();
    const { webhookSecret } = await at.operator.addParty({
      party: {
        oin: platform,
        name: 'Leerplein',
        roles: [Role.ROLE_PLATFORM],
        endpoints: [{ standard: 'webhook', url: hook.url, fromMs: 0n }],
      },
    });
    hook.secret = webhookSecret;
    hook.behaviour = () => 422;
    await at.mandate(school, publisher.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
    await at.mandate(school, platform, [Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS]);
    await sendAll(publisher.catalogue.publishProducts(), [
      {
        reference: 'p',
        product: { productId: 'boek', title: 'Rekenen', licence: { licensed: true }, platformOin: platform },
      },
    ]);
    await roster(30, '2026-09-02');
    await roster(5, '2026-09-03');
    for (const [i, learner] of learners.entries())
      await sendAll(publisher.entitlements.grantEntitlements(), [
        {
          reference: `r-${i}`,
          schoolOin: school,
          holder: { learner: { eckId: learner } },
          terms: { entitlementId: `r-${i}`, productId: 'boek' },
        },
      ]);
    await vi.waitFor(
      async () => {
        const { rows } = await at.operator.listParked({});
        expect(rows.filter(({ code }) => code === 'peer.refused')).toHaveLength(2);
      },
      { timeout: 60_000, interval: 200 },
    );
    browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-gpu'],
    });
    const context = await browser.newContext({ locale: 'nl-NL', viewport: { width: 1280, height: 900 } });
    context.setDefaultTimeout(60_000);
    page = await context.newPage();
    await page.goto(`${origin}/sign-in#${makeConsoleLink(keyOf(at), Date.now())}`);
    await page.getByRole('heading', { level: 1, name: 'Overzicht' }).waitFor();
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await hook?.close();
    await at?.stop();
  });

  test('messages are searched and opened, and back leads to the beginning of the page', async () => {
    await go('/flows', 'Berichten');
    await page.keyboard.press('/');
    expect(await focused()).toMatchObject({ name: expect.stringMatching(/^Bericht, bestelling/), isSeen: true });
    await page.keyboard.type('r-0');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/flows?q=r-0');
    await page.getByText('Doorzocht: alles wat er is.').waitFor();
    expect(await focused()).toMatchObject({ id: 'main' });
    await tabTo(/^\d+ \w+ \d{4}/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Bericht' }).waitFor();
    expect(await focused()).toMatchObject({ id: 'main' });
    await tabTo(/^Berichten$|^Kenmerk|^Stappen$/);
    await page.goBack();
    await page.getByRole('heading', { level: 1, name: 'Berichten' }).waitFor();
    expect(await focused()).toMatchObject({ id: 'main' });
  });

  test('what is about a learner is asked, and the focus stays on the page', async () => {
    await go('/flows?by=learner', 'Berichten');
    await tabTo(/^School \(BRIN of OIN\)/);
    await page.keyboard.type(school);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.type('k1');
    await page.keyboard.press('Enter');
    await page.getByText('Doorzocht: alles wat er is.').waitFor();
    expect(await focused()).toMatchObject({ id: 'main' });
  });

  test('what is asked about is chosen by arrows, and keeps the focus', async () => {
    await go('/why', 'Waarom niet?');
    await tabTo(/^Bestelling$/);
    for (const next of ['Product bij een school', 'Leerling van een school']) {
      await page.keyboard.press('ArrowDown');
      await expect.poll(focused).toMatchObject({ name: next, isSeen: true });
    }
  });

  test('a choice of holds keeps the focus; a question is left by Escape, and keys of pages wait for its answer', async () => {
    await go('/holds', 'Vastgehouden');
    await tabTo(/^Ook wat beslist is$/);
    await page.keyboard.press('Space');
    await page.waitForURL('**/holds?decided=yes');
    expect(await focused()).toMatchObject({ name: 'Ook wat beslist is', isSeen: true });
    await page.keyboard.press('Space');
    await page.waitForURL(`${origin}/holds`);
    await tabTo(/^Alleen een deel beslissen$/);
    await tabTo(/^Goedkeuren: /);
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Goedkeuren' });
    await dialog.waitFor();
    expect(await focused()).toMatchObject({ name: 'Doorgaan', isSeen: true });
    await page.keyboard.press('g');
    await page.keyboard.press('d');
    expect([page.url(), await dialog.isVisible()]).toEqual([`${origin}/holds`, true]);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect((await focused()).name).toMatch(/^Goedkeuren: /);
    // It is gone once it is decided; what came of it has the focus, and then the page.
    await tabTo(/^Afwijzen: /);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await note().waitFor();
    await page.getByText('Niets wordt vastgehouden.').waitFor();
    await expect.poll(() => note().evaluate((it) => it === it.ownerDocument.activeElement)).toBe(true);
    await tabTo(/^Sluiten$/);
    await page.keyboard.press('Enter');
    await note().waitFor({ state: 'detached' });
    expect(await focused()).toMatchObject({ id: 'main' });
  });

  test('the same is done to stranded mail twice, is told twice, and who closes that is where they were', async () => {
    await go('/dead', 'Gestrand');
    await page
      .getByRole('row', { name: /Leerplein/ })
      .nth(1)
      .waitFor();
    for (const _ of [1, 2]) {
      await tabTo(/^Opnieuw: /);
      const { name } = await focused();
      await page.keyboard.press('Enter');
      expect(await focused()).toMatchObject({ name: 'Doorgaan', isSeen: true });
      await page.keyboard.press('Enter');
      await expect.poll(() => note().evaluate((it) => it === it.ownerDocument.activeElement)).toBe(true);
      expect(await note().innerText()).toContain('Opgepakt: 1 bericht, 1 sleutel.');
      await tabTo(/^Sluiten$/);
      await page.keyboard.press('Enter');
      await note().waitFor({ state: 'detached' });
      const now = await focused();
      expect(now.id === 'main' || now.name === name).toBe(true);
      await page
        .getByRole('row', { name: /Leerplein/ })
        .nth(1)
        .waitFor();
    }
    await tabTo(/^Ontvanger \(OIN\)$/);
    await page.keyboard.type(platform);
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/dead?party=${platform}`);
    expect(await focused()).toMatchObject({ id: 'main' });
    await tabTo(/^Opgeven: /);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Opgeven' }).waitFor();
    // Somebody else is first: what is asked about is gone, and its question with it.
    await at.operator.resolveDeliveries({ partyOin: platform, action: 'drop' });
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await expect.poll(focused).toMatchObject({ id: 'main' });
  });
});
