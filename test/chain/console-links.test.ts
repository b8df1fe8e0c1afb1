/** Links to the console: where signing in leads, and what is left of a page that was shared when its link is taken back. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Role } from '#proto/eduk/core/v1/party';
import { axeOf, CHROMIUM, launch, linkOf, originOf, pageIn, shoot } from './chromium.ts';
import { startTestGateway, type TestGateway } from './gateway.ts';

const runs = describe.runIf(CHROMIUM !== undefined);
if (CHROMIUM === undefined)
  process.stderr.write('\nNo Chromium: links are NOT TESTED on the console. Install Debian’s package chromium.\n\n');

runs('links to the console', { timeout: 180_000 }, () => {
  let at: TestGateway;
  let browser: Browser;
  let oin = '';
  const fresh = async (options: Parameters<typeof pageIn>[1] = {}): Promise<Page> => {
    const page = await pageIn(browser, options);
    onTestFinished(() => page.context().close());
    return page;
  };
  const isAt = async (page: Page, path: string, heading: string | RegExp): Promise<void> => {
    await page.getByRole('heading', { level: 1, name: heading }).waitFor();
    expect(page.url()).toBe(`${originOf(at)}${path}`);
  };

  beforeAll(async () => {
    at = await startTestGateway();
    ({ oin } = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]));
    browser = await launch();
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await at?.stop();
  });

  test('who opens the address of a colleague, and then a link in the same tab, is where they were going', async () => {
    const page = await fresh();
    const path = `/party?oin=${oin}`;
    await page.goto(`${originOf(at)}${path}`);
    await isAt(page, path, 'Aanmelden');
    // The command that leads there from a new tab too.
    await page.getByText(`npx eduk console --to '${path}'`).waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'sign-in-asked');
    await page.goto(linkOf(at));
    await isAt(page, path, 'De Leerlijst');
    // That was once: who signs in anew without having asked for a page is at the first one.
    await page.goto(linkOf(at));
    await isAt(page, '/', 'Overzicht');
    // Whose session ends is led back to the page that was open.
    await page.goto(`${originOf(at)}/flows?q=order-1`);
    await isAt(page, '/flows?q=order-1', 'Berichten');
    await page.getByRole('button', { name: 'Afmelden' }).click();
    await isAt(page, '/flows?q=order-1', 'Aanmelden');
    await page.goto(linkOf(at));
    await isAt(page, '/flows?q=order-1', 'Berichten');
  });

  test('a link names the page to which it leads, once, and never one of another', async () => {
    const path = `/party?oin=${oin}`;
    const once = linkOf(at, path);
    const page = await fresh();
    await page.goto(once);
    await isAt(page, path, 'De Leerlijst');
    const late = await fresh();
    await late.goto(once);
    await late.getByText('Deze link is al gebruikt of verlopen').waitFor();
    expect(await late.content()).not.toContain('De Leerlijst');
    for (const to of ['//evil.example/', '/\\evil.example/', 'https://evil.example/']) {
      const one = await fresh();
      const elsewhere: string[] = [];
      one.on('request', (request) => {
        if (!request.url().startsWith(originOf(at))) elsewhere.push(request.url());
      });
      await one.goto(linkOf(at, to));
      await isAt(one, '/', 'Overzicht');
      expect(elsewhere).toEqual([]);
    }
  });

  test('who signs in in another tab is in here too', async () => {
    const page = await fresh();
    const path = `/party?oin=${oin}`;
    await page.goto(`${originOf(at)}${path}`);
    await isAt(page, path, 'Aanmelden');
    const other = await page.context().newPage();
    await other.goto(linkOf(at));
    await isAt(other, '/', 'Overzicht');
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    await isAt(page, path, 'De Leerlijst');
  });

  test.each([
    ['that follows what happens', '/flows?party=OIN', /Berichten/],
    ['that is read once', '/readiness?school=99ZX', /Klaar voor school/],
  ])(
    'a page %s is over in each browser that has it open as soon as its link is taken back',
    async (_which, path, name) => {
      const to = path.replace('OIN', oin);
      const operator = await fresh();
      await operator.goto(linkOf(at, to));
      await operator.getByRole('heading', { level: 1, name }).waitFor();
      await operator.getByRole('button', { name: 'Deel deze pagina' }).click();
      const dialog = operator.getByRole('dialog', { name: 'Deel deze pagina' });
      await dialog.getByRole('button', { name: 'Maak de link' }).click();
      const given = await dialog.getByRole('textbox').inputValue();
      const theirs = await fresh();
      const [told, asked]: [string[], string[]] = [[], []];
      theirs.on(
        'response',
        (response) =>
          void response.text().then(
            (text) => told.push(text),
            () => undefined,
          ),
      );
      theirs.on('request', (request) => asked.push(request.url()));
      await theirs.goto(given);
      await theirs.getByRole('heading', { level: 1, name }).waitFor();
      await theirs.getByText('Met u gedeeld').waitFor();
      expect((await theirs.context().cookies()).length).toBe(1);
      await at.operator.endLink({ linkId: new URL(given).searchParams.get('link')! });
      await theirs.getByRole('heading', { level: 1, name: 'Deze link is voorbij' }).waitFor();
      expect(await theirs.getByRole('heading', { level: 1 }).count()).toBe(1);
      expect(await axeOf(theirs)).toEqual([]);
      await expect.poll(async () => (await theirs.context().cookies()).length, { timeout: 60_000 }).toBe(0);
      // Nothing of the page before, here nor when it is loaded anew, in any answer to it.
      const ofBefore = new RegExp(`${oin}|99ZX|/flows|/readiness`);
      for (const again of [() => theirs.reload(), () => theirs.goto(given.split('#')[0]!), () => theirs.goto(given)]) {
        told.length = 0;
        await again();
        await theirs.getByRole('heading', { level: 1, name: 'Deze link is voorbij' }).waitFor();
        expect(await theirs.locator('main').innerText()).not.toMatch(ofBefore);
        expect(told.filter((text) => text.startsWith('{') && ofBefore.test(text))).toEqual([]);
      }
      expect(asked.filter((url) => ofBefore.test(url))).toEqual([]);
      await shoot(theirs, 'shared-over');
      const small = await fresh({ locale: 'en-GB', colorScheme: 'dark', viewport: { width: 390, height: 800 } });
      await small.goto(given);
      await small.getByRole('heading', { level: 1, name: 'This link is over' }).waitFor();
      expect(await axeOf(small)).toEqual([]);
      await shoot(small, 'shared-over-phone-dark');
    },
  );
});
