import { describeError, log } from '#kernel';
import type { SchoolForgetting } from '#proto/eduk/core/v1/party';
import type { Services } from './submission.ts';

/** How far back a missed word to the vault is looked for. */
const WEEK_MS = 7 * 86_400_000;
const PAGE = 1000;
/** What the vault is told instead of an hour: not after all. */
export const KEPT = -1n;

/** The schools that are forgotten or to be, and who is told what went of one. */
export interface Schools {
  forgettings(): readonly SchoolForgetting[];
  destroyed(schoolOin: string, gone: { people: number; texts: number }): void;
}

/**
 * Tells the vault whom to destroy and when, and whom to keep after all. The log decides that a learner is forgotten; the vault reads no log, so the
 * doors pass it on, and once a minute and at start everything of the last week again: a gateway that was killed between
 * the decision and the vault loses nothing. Telling twice changes nothing. Of a school whose hour has passed it is told for as
 * long as the school is known, so that the vault of an older backup is told too.
 */
export class ForgetWatch {
  readonly #services: Pick<Services, 'rosters' | 'vault'>;
  readonly #now: () => number;
  readonly #schools: Schools | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(services: Pick<Services, 'rosters' | 'vault'>, now: () => number, schools?: Schools) {
    this.#services = services;
    this.#now = now;
    this.#schools = schools;
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
    await this.#tellLearners();
    for (const { schoolOin, state, destroyAtMs } of this.#schools?.forgettings() ?? [])
      if (state === 'destroyed')
        // A school that holds its keys and has closed them is told again in a minute; others do not wait for it.
        await this.#tellSchool(schoolOin, destroyAtMs).catch((error: unknown) =>
          log('warn', 'school_not_destroyed', describeError(error)),
        );
  }

  async #tellSchool(schoolOin: string, atMs: bigint): Promise<void> {
    for (let done = false; !done; ) {
      const gone = await this.#services.vault.forgetSchool({ schoolOin, atMs });
      ({ done } = gone);
      if (gone.people + gone.texts > 0 || gone.renewed) this.#schools?.destroyed(schoolOin, gone);
    }
  }

  async #tellLearners(): Promise<void> {
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
