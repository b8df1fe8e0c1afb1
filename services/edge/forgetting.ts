import { log } from '#kernel';
import type { Services } from './submission.ts';

/** How far back a missed word to the vault is looked for. */
const WEEK_MS = 7 * 86_400_000;
const PAGE = 1000;
/** What the vault is told instead of an hour: not after all. */
export const KEPT = -1n;

/**
 * Tells the vault whom to destroy and when, and whom to keep after all. The log decides that a learner is forgotten; the vault reads no log, so the
 * doors pass it on, and once a minute and at start everything of the last week again: a gateway that was killed between
 * the decision and the vault loses nothing. Telling twice changes nothing.
 */
export class ForgetWatch {
  readonly #services: Pick<Services, 'rosters' | 'vault'>;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;

  constructor(services: Pick<Services, 'rosters' | 'vault'>, now: () => number) {
    this.#services = services;
    this.#now = now;
  }

  async start(everyMs = 60_000): Promise<void> {
    await this.tell();
    this.#timer = setInterval(() => void this.tell().catch(() => log('error', 'forgetting_not_told')), everyMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async tell(): Promise<void> {
    const { rosters, vault } = this.#services;
    let sinceMs = BigInt(this.#now() - WEEK_MS);
    for (;;) {
      const { forgetting } = await rosters.listForgetting({ sinceMs, limit: PAGE });
      await Promise.all(
        forgetting.map(({ schoolOin, learner, destroyAtMs, kept }) =>
          vault.forget({ schoolOin, token: learner, atMs: kept ? KEPT : destroyAtMs }),
        ),
      );
      const last = forgetting.at(-1)?.destroyAtMs;
      if (forgetting.length < PAGE || last === undefined) return;
      // A page holds all of its last hour, however many there are.
      sinceMs = last + 1n;
    }
  }
}
