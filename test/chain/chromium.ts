/** A browser with which pages of the console are looked at, and what every page is held to. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { makeConsoleLink } from '#kernel';
import { keyOf } from './console.ts';
import type { TestGateway } from './gateway.ts';

/** From Debian's packages; .ci/run installs it. Undefined = there is none, and who needs it says so and tests nothing. */
export const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
/** Set = pictures of every page are made there, to be looked at. */
const SHOTS = process.env['CONSOLE_SHOTS'];

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM!,
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-gpu'],
  });

export async function pageIn(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
  const made = await browser.newContext({ locale: 'nl-NL', viewport: { width: 1280, height: 900 }, ...options });
  made.setDefaultTimeout(60_000);
  return made.newPage();
}

export const originOf = (at: TestGateway): string => `http://${at.gateway.addresses.console}`;

/** By a link of this machine, as `eduk console` prints it. */
export const linkOf = (at: TestGateway, to = ''): string =>
  `${originOf(at)}/sign-in${to === '' ? '' : `?to=${encodeURIComponent(to)}`}#${makeConsoleLink(keyOf(at), Date.now())}`;

/** WCAG 2.2 AA as far as a program can see it: what is wrong. */
export async function axeOf(one: Page): Promise<string[]> {
  await one.evaluate(axe.source);
  const { violations } = await one.evaluate(() =>
    (globalThis as any).axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }),
  );
  return violations.map((one: any) => `${one.id}: ${one.nodes.map((node: any) => node.html).join(' | ')}`);
}

export async function shoot(one: Page, name: string): Promise<void> {
  if (SHOTS === undefined) return;
  mkdirSync(SHOTS, { recursive: true });
  await one.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}
