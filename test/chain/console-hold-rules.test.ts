/** Rules of holds on the console: looked at beforehand, set, approved by a second person, seen beside holds, and ended. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { dutchDay } from '#kernel';
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
  process.stderr.write('\nNo Chromium: rules are NOT TESTED on the console. Install Debian’s package chromium.\n\n');

runs('rules of holds on the console', { timeout: 180_000 }, () => {
  let at: TestGateway;
  let browser: Browser;
  let page: Page;
  const go = async (path: string): Promise<void> => {
    await page.goto(`${originOf(at)}${path}`);
    await page.getByRole('heading', { level: 1, name: 'Vastgehouden' }).waitFor();
    await page.locator('.loading').first().waitFor({ state: 'detached' });
  };
  const roster = (count: number, asOf: string) => {
    const pupils = Array.from({ length: count }, (_, i) => ({ key: `k${i}`, eckId: eckId(8000 + i) }));
    return at.operator.importRoster([{ schoolOin: school, chunk: Buffer.from(edexml({ school, asOf, pupils })) }]);
  };
  const form = () => page.getByRole('region', { name: 'Een regel zetten' });
  const would = () => page.getByRole('region', { name: 'Dit zou de regel doorlaten' });
  const dialog = () => page.getByRole('dialog');
  const fill = async (percent: string, waiting = false) => {
    await form().getByLabel('School (BRIN of OIN)').fill(brin);
    await form().getByLabel('vertrekkende leerlingen').check();
    await form()
      .getByLabel(/in procenten/)
      .fill(percent);
    await form()
      .getByLabel(/^Tot en met/)
      .fill(inDays(20));
    await form().getByLabel(/^Naam/).fill('year-end-2027');
    await form().getByLabel('Laat ook door wat nu al wacht').setChecked(waiting);
    await form().getByRole('button', { name: 'Bekijk wat het doorlaat' }).click();
  };

  beforeAll(async () => {
    at = await startTestGateway({ EDUK_HOLD_SECOND_PERSON: 'yes' });
    await at.party('De Vorst', [Role.ROLE_SCHOOL], school);
    expect((await roster(40, '2026-10-01')).decision?.outcome).toBe('RosterApplied');
    expect((await roster(34, '2026-10-02')).decision?.code).toBe('hold.pending');
    browser = await launch();
    page = await pageIn(browser);
    await page.goto(linkOf(at));
    await page.getByRole('heading', { level: 1, name: 'Overzicht' }).waitFor();
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await at?.stop();
  });

  test('without rules that is said; what it would let go is seen before it is set', async () => {
    await go('/holds');
    await page.getByText('Er staat geen regel').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await fill('60');
    await form().getByRole('alert').getByText('wire.invalid').waitFor();
    await fill('10');
    await would().getByText('Van wat nu wacht: 0 van 1').waitFor();
    await would().getByText('vertrekkende leerlingen: 6 van 40').waitFor();
    await would().getByText('het is meer dan zijn deel van de school').waitFor();
    await fill('20', true);
    await would().getByText('Van wat nu wacht: 1 van 1').waitFor();
    expect(page.url()).toBe(`${originOf(at)}/holds`);
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'rules-preview');
    expect((await at.operator.listHoldRules({ past: true })).rules).toEqual([]);
  });

  test('set, it waits for a second person, and the hold says so; approved, what waits goes on', async () => {
    await would()
      .getByRole('button', { name: /^Zet de regel/ })
      .click();
    await dialog().getByRole('button', { name: 'Doorgaan' }).click();
    const rule = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: /year-end-2027/ }) });
    await rule.getByText('wacht op een tweede persoon').waitFor();
    await page.getByText('een tweede persoon heeft hem niet goedgekeurd').waitFor();
    expect((await at.operator.listHolds({ schoolOin: school })).holds).toHaveLength(1);
    await shoot(page, 'rules-asked');
    await rule.getByRole('button', { name: /^Keur goed, als tweede persoon/ }).click();
    await dialog().getByText('staat u in voor een tweede persoon').waitFor();
    await dialog().getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText('De regel geldt.').waitFor();
    await page.getByText('Niets wordt vastgehouden.').waitFor();
    await page.getByLabel('Ook wat beslist is').check();
    await page.getByText('Vrijgegeven door regel').waitFor();
    await rule.getByText('geldt nu').waitFor();
    expect(await axeOf(page)).toEqual([]);
    await shoot(page, 'rules');
    await vi.waitFor(async () => expect((await at.operator.listHolds({ schoolOin: school })).holds).toEqual([]), LONG);
  });

  test('beyond it a hold says why; ended, the rule lets nothing go', async () => {
    expect((await roster(30, '2026-10-03')).decision?.code).toBe('hold.pending');
    await go('/holds');
    await page.getByText('het is meer dan zijn deel van de school').waitFor();
    await page.getByText('6 van 8 leerlingen').waitFor();
    await shoot(page, 'rules-used');
    await page.getByRole('button', { name: /^Beëindig de regel: year-end-2027: De Vorst/ }).click();
    await dialog().getByRole('button', { name: 'Niet doen' }).click();
    expect((await at.operator.listHoldRules({})).rules).toHaveLength(1);
    await page.getByRole('button', { name: /^Beëindig de regel: year-end-2027: De Vorst/ }).click();
    await dialog().getByRole('button', { name: 'Doorgaan' }).click();
    await page.getByText('De regel is beëindigd.').waitFor();
    await page.getByText('Er staat geen regel').waitFor();
    await page.getByText('hij is beëindigd').waitFor();
  });

  test('it fits a phone, in the dark, in English', async () => {
    const more = { all: true, kinds: ['renames', 'groups'], mostPercent: 30, mostCount: 20, until: inDays(9) };
    await at.operator.setHoldRule({ ...more, reason: 'regrouping' });
    expect((await roster(29, '2026-10-04')).decision?.code).toBe('hold.pending');
    const asked = { ...more, kinds: ['leavers'], reason: 'leavers', waiting: true };
    const { rule } = await at.operator.setHoldRule(asked);
    await at.operator.approveHoldRule({ ruleId: rule!.ruleId, confirm: true });
    await vi.waitFor(async () => expect((await at.operator.listHolds({ schoolOin: school })).holds).toEqual([]), LONG);
    expect((await roster(20, '2026-10-05')).decision?.code).toBe('hold.pending');
    const small = await pageIn(browser, {
      locale: 'en-GB',
      colorScheme: 'dark',
      viewport: { width: 390, height: 800 },
    });
    await small.goto(linkOf(at));
    await small.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    await small.goto(`${originOf(at)}/holds?decided=yes`);
    await small.getByText('all schools').first().waitFor();
    await small.getByText('Released by rule').first().waitFor();
    await small.getByText('5 of 10 learners').waitFor();
    const set = small.getByRole('region', { name: 'Set a rule' });
    await set.getByLabel(/^School/).fill(brin);
    await set.getByLabel('learners who leave').check();
    await set.getByLabel(/in percent/).fill('40');
    await set.getByLabel(/^Until/).fill(inDays(5));
    await set.getByLabel(/^Name/).fill('year-end');
    await set.getByRole('button', { name: 'See what it would let go' }).click();
    await small.getByText('What waits now waits on').waitFor();
    expect(await axeOf(small)).toEqual([]);
    expect(await small.evaluate('document.documentElement.scrollWidth')).toBe(390);
    await shoot(small, 'rules-phone-dark');
    await small.context().close();
  });
});
