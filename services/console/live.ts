/** What changes, told as it changes (server-sent events): the same read as the page’s own, twice a second, where it says something new. */
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { asGatewayError, GatewayError } from '#kernel';
import { problemOf } from './problem.ts';

const EVERY_MS = 500;
/** Where nothing changes, who stands between is told that the stream lives. */
const ALIVE_MS = 15_000;
const MOST = 200;

export class Live {
  readonly #stopping = new AbortController();
  #open = 0;

  stop(): void {
    this.#stopping.abort();
  }

  /** Resolves when the stream ends: with the browser, what `holds` (session, link) or the gateway. Faults: gateway.overloaded. */
  async open(response: ServerResponse, holds: () => Promise<boolean>, read: () => Promise<unknown>): Promise<void> {
    if (this.#open >= MOST)
      throw new GatewayError('gateway.overloaded', 'Too many pages are open.', { retryAfterS: 5 });
    this.#open += 1;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const over = AbortSignal.any([gone.signal, this.#stopping.signal]);
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    const say = (name: string, text: string): boolean => response.write(`event: ${name}\ndata: ${text}\n\n`);
    let last = '';
    let saidMs = performance.now();
    try {
      while (!over.aborted) {
        const began = performance.now();
        let name = 'now';
        let text: string;
        try {
          if (!(await holds())) {
            say('ended', '{}');
            break;
          }
          text = JSON.stringify(await read());
        } catch (thrown) {
          name = 'fault';
          text = JSON.stringify(problemOf(asGatewayError(thrown)));
        }
        // Of what was read a moment ago only the time may differ.
        const compared = `${name}${text.replace(/^\{"at":\d+,/, '{')}`;
        if (over.aborted) break;
        if (compared !== last || began - saidMs > ALIVE_MS) {
          last = compared;
          saidMs = began;
          // Who reads slower than it changes gets the newest afterwards, not all that was between.
          if (!say(name, text)) await drained(response, over);
        }
        await sleep(EVERY_MS, undefined, { signal: over }).catch(() => undefined);
      }
    } finally {
      this.#open -= 1;
      response.end();
    }
  }
}

const drained = (response: ServerResponse, over: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    response.once('drain', resolve);
    over.addEventListener('abort', () => resolve(), { once: true });
  });
