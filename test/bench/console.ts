/** The console while the gateway works: how soon a page is painted, and how soon it shows what has just happened. */
import { existsSync } from 'node:fs';
import { Client, credentials } from '@grpc/grpc-js';
import { chromium } from 'playwright-core';
import { makeConsoleLink } from '#kernel';
import { OrderServiceDefinition } from '#proto/eduk/gateway/v1/order';
import { wire } from '../chain/gateway.ts';

export interface ConsoleFigures {
  /** Milliseconds from asking for the page to its first content, each of the loads. */
  paints: number[];
  /** Milliseconds from the answer to a message until an open page that lists its order shows it. */
  updates: number[];
  /** Events a second that the log took meanwhile. */
  perSecond: number;
}

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
/** An order makes two events at least: that it was asked for, and what was decided. */
const EVENTS_OF_AN_ORDER = 2;
const STEP_MS = 20;

/** Orders at a steady pace until `stop`; says how many were taken. */
function pace(place: (n: number) => Promise<unknown>, perSecond: number): { stop(): Promise<number> } {
  let [sent, taken, due] = [0, 0, 0];
  const underWay = new Set<Promise<unknown>>();
  const timer = setInterval(() => {
    due += (perSecond * STEP_MS) / 1000;
    for (; sent < due && underWay.size < 512; sent++) {
      const one = place(sent).then(() => {
        taken += 1;
        underWay.delete(one);
      });
      underWay.add(one);
    }
  }, STEP_MS);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(underWay);
      return taken;
    },
  };
}

/** Undefined = there is no browser here. `events` a second come in meanwhile. */
export async function consoleFigures(
  at: { grpc: string; console: string; operatorKey: string },
  by: { school: string; apiKey: string; product: string },
  { loads, changes, events }: { loads: number; changes: number; events: number },
): Promise<ConsoleFigures | undefined> {
  if (CHROMIUM === undefined) return undefined;
  const channel = new Client(at.grpc, credentials.createInsecure());
  const orders = wire(OrderServiceDefinition, channel, `Bearer ${by.apiKey}`);
  const place = (orderId: string) =>
    orders.placeOrder({
      reference: orderId,
      orderId,
      schoolOin: by.school,
      lines: [{ terms: { lineId: '1', productId: by.product, quantity: 1 } }],
    });
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-gpu'],
  });
  try {
    const context = await browser.newContext({ locale: 'nl-NL' });
    const page = await context.newPage();
    const origin = `http://${at.console}`;
    await page.goto(`${origin}/sign-in#${makeConsoleLink(at.operatorKey, Date.now())}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    const began = performance.now();
    const pacing = pace((n) => place(`pace-${n}`), events / EVENTS_OF_AN_ORDER);
    const paints: number[] = [];
    for (let i = 0; i < loads; i++) {
      await page.goto(origin);
      await page.getByRole('heading', { level: 1, name: 'Overzicht' }).waitFor();
      const painted = await page.evaluate(
        () => (globalThis as any).performance.getEntriesByName('first-contentful-paint')[0]?.startTime as number,
      );
      paints.push(painted);
    }
    const updates: number[] = [];
    for (let i = 0; i < changes; i++) {
      await place(`seen-${i}`);
      await page.goto(`${origin}/flows?q=seen-${i}`);
      await page.locator('main').getByText('OrderService/PlaceOrder').first().waitFor();
      // Some moment within the time between two looks.
      await page.waitForTimeout(Math.random() * 1_000);
      // Asked of the page itself: who asks from outside does so at steps of its own.
      const shown = page.evaluate(
        () =>
          new Promise<number>((resolve) => {
            const { document, MutationObserver } = globalThis as any;
            new MutationObserver(() => {
              if (document.body.textContent.includes('CancelOrder')) resolve(Date.now());
            }).observe(document.body, { subtree: true, childList: true, characterData: true });
          }),
      );
      await orders.cancelOrder({ reference: `not-${i}`, orderId: `seen-${i}` });
      const answered = Date.now();
      updates.push((await shown) - answered);
    }
    const taken = await pacing.stop();
    return { paints, updates, perSecond: (taken * EVENTS_OF_AN_ORDER * 1000) / (performance.now() - began) };
  } finally {
    await browser.close();
    channel.close();
  }
}
