/** Freezes on the console: seen, looked at beforehand, set, and ended by two, from where one meets them. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { dutchDay } from '#kernel';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role } from '#proto/eduk/core/v1/party';
import { axeOf, CHROMIUM, launch, linkOf, originOf, pageIn, shoot } from './chromium.ts';
import { edexml } from './files.ts';
import { eckId, newSchool, startTestGateway, type TestGateway } from './gateway.ts';

const LONG = { timeout: 60_000, interval: 100 };
const school = newSchool();
const brin = school.slice(11, 15);
const inDays = (days: number): string => dutchDay(Date.now() + days * 86_400_000);

const runs = describe.runIf(CHROMIUM !== undefined);
if (CHROMIUM === undefined)
  process.stderr.write('\nNo Chromium: freezes are NOT TESTED on the console. Install Debian’s package chromium.\n\n');

runs('freezes on the console', { timeout: 180_000 }, () => {
  let at: TestGateway;
  let browser: Browser;
  let page: Page;
  const go = async (path: string, heading: string): Promise<void> => {
    await page.goto(`${originOf(at)}${path}`);
    await page.getByRole('heading', { level: 1, name: heading }).waitFor();
    await page.locator('.loading').waitFor({ state: 'detached' });
  };
  const roster = (count: number, asOf: string) => {
    const pupils = Array.from({ length: count }, (_, i) => ({ key: `k${i}`, eckId: eckId(7000 + i) }));
    return at.operator.importRoster([{ schoolOin: school, chunk: Buffer.from(edexml({ school, asOf, pupils })) }]);
  };
  const form = () => page.getByRole('region', { name: 'Een bevriezing zetten' });
  const wouldBe = () => page.getByRole('region', { name: 'Dit zou de bevriezing doen' });
  const fill = async (given: { school?: string; from?: string; until: string; reason: string }) => {
    await form()
      .getByLabel('School (BRIN of OIN)')
      .fill(given.school ?? '');
    await form()
      .getByLabel(/^Vanaf/)
      .fill(given.from ?? '');
    await form()
      .getByLabel(/^Tot en met/)
      .fill(given.until);
    await form().getByLabel(/^Naam/).fill(given.reason);
    await form().getByRole('button', { name: 'Bekijk wat het tegenhoudt' }).click();
  };

  beforeAll(async () => {
    at = await startTestGateway({ EDUK_FREEZE_SECOND: 'yes' });
    await at.party('De Vorst', [Role.ROLE_SCHOOL], school);
    expect((await roster(30, '2026-10-01')).decision?.outcome).toBe('RosterApplied');
    browser = await launch();
    page = await pageIn(browser);
    await page.goto(linkOf(at));
    await page.getByRole('heading', { level: 1, name: 'Overzicht' }).waitFor();
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await at?.stop();
  });

  test('where nothing is frozen that is said; what cannot be is refused before it is set', async () => {
    await page.keyboard.press('g');
    await page.keyboard.press('z');
    await page.waitForURL('**/freezes');
    await page.getByText('Niets is bevroren').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'freezes-empty');
    await fill({ school: brin, from: inDays(9), until: inDays(5), reason: 'exams-2027' });
    await form().getByRole('alert').getByText('wire.invalid').waitFor();
    expect(await wouldBe().count()).toBe(0);
    await go(`/freezes?school=${'x'.repeat(129)}`, 'Bevriezingen');
    await page.getByRole('alert').getByText('wire.invalid').waitFor();
  });

  test('it is looked at first, and set after a yes; the first page tells of it and leads there', async () => {
    await go('/freezes', 'Bevriezingen');
    await fill({ school: brin, until: inDays(10), reason: 'exams-2027' });
    await wouldBe().getByText('licenties intrekken').waitFor();
    await wouldBe()
      .getByRole('link', { name: /De Vorst/ })
      .waitFor();
    await wouldBe()
      .getByText(/\(1[01] dagen\)/)
      .waitFor();
    expect(page.url()).toBe(`${originOf(at)}/freezes`);
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'freezes-preview');
    // What is written anew is looked at anew.
    await form().getByLabel(/^Naam/).fill('two words');
    await wouldBe().waitFor({ state: 'detached' });
    await form().getByRole('button', { name: 'Bekijk wat het tegenhoudt' }).click();
    const dialog = page.getByRole('dialog');
    const set = wouldBe().getByRole('button', { name: /^Zet de bevriezing/ });
    await set.click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await dialog.getByText('wire.invalid').waitFor();
    await page.keyboard.press('Escape');
    expect((await at.operator.listFreezes({})).freezes).toEqual([]);
    await form().getByLabel(/^Naam/).fill('exams-2027');
    await form().getByRole('button', { name: 'Bekijk wat het tegenhoudt' }).click();
    await set.click();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'freezes-sure');
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText('De bevriezing is gezet.').waitFor();
    const card = page.getByRole('listitem').filter({ hasText: 'exams-2027' });
    await card.getByText('geldt nu').waitFor();
    await card.getByText('de beheerder van de gateway').waitFor();
    await shoot(page, 'freezes');
    await go('/', 'Overzicht');
    await page.getByRole('link', { name: 'Naar de bevriezingen' }).click();
    await page.waitForURL('**/freezes');
    await go(`/freezes?school=${newSchool()}`, 'Bevriezingen');
    await page.getByRole('alert').getByText('state.missing').waitFor();
    const other = newSchool();
    await at.party('De Dooi', [Role.ROLE_SCHOOL], other);
    await go(`/freezes?school=${other}`, 'Bevriezingen');
    await page.getByText('Hiervan is niets bevroren.').waitFor();
  });

  test('what it holds leads to it; two end it, and what waited goes on', async () => {
    expect((await roster(29, '2026-10-02')).decision).toMatchObject({ code: 'freeze.holds' });
    await go('/holds', 'Vastgehouden');
    await page.getByRole('link', { name: 'Naar de bevriezingen' }).waitFor();
    await go('/why', 'Waarom niet');
    await page.getByText('Leerling van een school').click();
    await page.getByLabel(/Sleutel van de leerling/).fill('k29');
    await page.getByLabel('School (BRIN of OIN)').fill(brin);
    await page.getByRole('button', { name: 'Vraag' }).click();
    const blocker = page.getByRole('article').filter({ hasText: 'freeze.holds' });
    await blocker.getByText('op de pagina Bevriezingen').waitFor();
    await blocker.getByRole('link', { name: 'Daar is het te verhelpen' }).click();
    await page.waitForURL('**/freezes');
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: /^Beëindig: exams-2027: De Vorst/ }).click();
    // What it lets go stands beside the question.
    await dialog.getByText('Dit wacht nu op deze bevriezing').waitFor();
    await dialog.getByText(/Leerlinglijst.*, 1 die weggaat/).waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'freezes-end');
    await dialog.getByRole('button', { name: 'Niet doen' }).click();
    expect((await at.operator.listFreezes({})).freezes[0]).toMatchObject({ freeze: { endAskedBy: '' } });
    await page.getByRole('button', { name: /^Beëindig: exams-2027: De Vorst/ }).click();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText('het geldt tot een ander dat ook doet').first().waitFor();
    await page.getByRole('button', { name: /^Beëindig, als tweede persoon/ }).click();
    await dialog.getByText('staat u in voor een tweede persoon').waitFor();
    await dialog.getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText('De bevriezing is beëindigd.').waitFor();
    await page.getByText('Niets is bevroren').waitFor();
    await vi.waitFor(async () => expect((await at.operator.listHolds({ schoolOin: school })).holds).toEqual([]), LONG);
    await page.getByLabel('Ook wat voorbij is').check();
    await page.waitForURL('**/freezes?past=yes');
    await page.getByText('eerder beëindigd').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'freezes-past');
    await vi.waitFor(async () => {
      const { leaves } = await at.operator.readAuditLog({ limit: 5_000 });
      const methods = leaves.map(({ record }) => AuditRecord.decode(record).method);
      expect(methods).toEqual(expect.arrayContaining(['OperatorService/SetFreeze', 'OperatorService/EndFreeze']));
    }, LONG);
  });

  test('it fits a phone, in the dark, in English; another freeze of the same time is named beforehand', async () => {
    await at.operator.setFreeze({ all: true, from: inDays(3), until: inDays(20), reason: 'first-week' });
    const small = await pageIn(browser, {
      locale: 'en-GB',
      colorScheme: 'dark',
      viewport: { width: 390, height: 800 },
    });
    await small.goto(linkOf(at));
    await small.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    await small.goto(`${originOf(at)}/freezes?past=yes`);
    await small.getByText('all schools and parties').first().waitFor();
    await small.getByText('ended early').waitFor();
    const set = small.getByRole('region', { name: 'Set a freeze' });
    await set.getByLabel(/^School/).fill(brin);
    await set.getByLabel(/^Until/).fill(inDays(5));
    await set.getByLabel(/^Name/).fill('exams-2027');
    await set.getByRole('button', { name: 'See what it would stop' }).click();
    await small.getByText('What waits goes on only at').waitFor();
    expect(await axeOf(small)).toEqual([]);
    expect(await small.evaluate('document.documentElement.scrollWidth')).toBe(390);
    await shoot(small, 'freezes-phone-dark');
    await small.getByRole('button', { name: /^End: first-week/ }).click();
    await small.getByRole('dialog').getByText('Nothing waits for it now').waitFor();
    expect(await axeOf(small)).toEqual([]);
    await shoot(small, 'freezes-end-phone-dark');
    await small.context().close();
  });
});
