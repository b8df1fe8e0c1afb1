import { describeError, log, shared } from '#kernel';
import type { SchoolForgetting } from '#proto/eduk/core/v1/party';
import type { Services } from './submission.ts';

/** How far back a missed word to the vault is looked for. */
const WEEK_MS = 7 * 86_400_000;
/** As long as two tokens may be parted again, which tells the vault before the log. */
const PARTING_MS = 31 * 86_400_000;
const PAGE = 1000;
/** What the vault is told instead of an hour: not after all. */
export const KEPT = -1n;

/** Names of the same hour may be decided a little after they were listed. */
const OVERLAP_MS = 10 * 60_000;

/** So long after it was decided that names of a school are not kept, some that were on their way may have come to rest still. */
const STRAYS_MS = 120_000;

/** The schools that are forgotten or to be, and who is told what went of one. */
export interface Schools {
  forgettings(): readonly SchoolForgetting[];
  destroyed(schoolOin: string, gone: { people: number; texts: number }): void;
  /** Names and contact of people who left, or of a school that keeps none. */
  namesEnded(schoolOin: string, people: number): void;
  /** Schools whose names are not kept, and since when. */
  onDemand?(): readonly { schoolOin: string; sinceMs: number }[];
}

/** Schools of which the vault could not be told whose names go. */
export interface Untold {
  schools: number;
  /** Unix milliseconds; 0 = none. */
  sinceMs: number;
}

/**
 * Tells the vault whom to destroy and when, whom to keep after all, and which tokens are of one learner. The log decides that; the vault reads no log, so
 * the doors pass it on, and once a minute and at start everything of the last week again (of merges, of a month): a gateway that was killed between
 * the decision and the vault loses nothing. Telling twice changes nothing. Of a school whose hour has passed it is told for as
 * long as the school is known, so that the vault of an older backup is told too.
 */
export class ForgetWatch {
  readonly #services: Pick<Services, 'rosters' | 'vault'>;
  readonly #now: () => number;
  readonly #schools: Schools | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Up to when the vault was told whose names go; from the beginning after each start, for its file may be an older one. */
  #namesMs = 0;
  #untold: Untold = { schools: 0, sinceMs: 0 };
  /** Schools whose names are not kept: when this process last saw to it that none are. */
  readonly #swept = new Map<string, number>();

  constructor(services: Pick<Services, 'rosters' | 'vault'>, now: () => number, schools?: Schools) {
    this.#services = services;
    this.#now = now;
    this.#schools = schools;
  }

  async start(everyMs = 60_000): Promise<void> {
    await this.tell();
    // Of all who left since October: no door waits for that.
    const names = () => void this.tellNames().catch((error) => log('error', 'names_not_told', describeError(error)));
    names();
    this.#timer = setInterval(() => {
      void this.tell().catch(() => log('error', 'forgetting_not_told'));
      names();
    }, everyMs);
    this.#timer.unref();
  }

  untold(): Untold {
    return this.#untold;
  }

  /** Tells the vault whose names and contact go, each time what was decided since; what is told twice changes nothing. */
  readonly tellNames = shared(() => this.#tellNames());

  async #tellNames(): Promise<void> {
    const { rosters, vault } = this.#services;
    const failed = new Set<string>();
    let sinceMs = BigInt(this.#namesMs);
    for (;;) {
      const { people } = await rosters.listNamesEnded({ sinceMs, limit: PAGE });
      for (const [schoolOin, some] of Map.groupBy(people, (one) => one.schoolOin))
        try {
          const ended = await vault.endNames({ schoolOin, tokens: some.map(({ person }) => person) });
          if (ended.people > 0) this.#schools?.namesEnded(schoolOin, ended.people);
        } catch (error) {
          // Others do not wait for it; all are told again in a minute.
          failed.add(schoolOin);
          log('warn', 'names_not_ended', describeError(error));
        }
      const last = people.at(-1)?.endedMs;
      if (last !== undefined) sinceMs = last + 1n;
      if (people.length < PAGE || last === undefined) break;
    }
    for (const { schoolOin, sinceMs: decidedMs } of this.#schools?.onDemand?.() ?? []) {
      const sweptMs = this.#swept.get(schoolOin);
      if (sweptMs !== undefined && sweptMs > decidedMs + STRAYS_MS) continue;
      try {
        const began = this.#now();
        await this.#endAllNames(schoolOin);
        this.#swept.set(schoolOin, began);
      } catch (error) {
        failed.add(schoolOin);
        log('warn', 'names_not_ended', describeError(error));
      }
    }
    this.#untold = {
      schools: failed.size,
      sinceMs: failed.size === 0 ? 0 : this.#untold.sinceMs || this.#now(),
    };
    if (failed.size === 0) this.#namesMs = Math.max(0, Number(sinceMs) - OVERLAP_MS);
  }

  /** Nothing of names is held of this school; what was is counted in the log of what was done. */
  async #endAllNames(schoolOin: string): Promise<void> {
    let people = 0;
    try {
      for (let after: bigint | undefined = 0n; after !== undefined; ) {
        const asked = { schoolOin, tokens: [], everyone: true, after };
        const ended: { people: number; next?: bigint | undefined } = await this.#services.vault.endNames(asked);
        people += ended.people;
        after = ended.next;
      }
    } finally {
      // What went before it failed went.
      if (people > 0) this.#schools?.namesEnded(schoolOin, people);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async tell(): Promise<void> {
    await this.#tellLearners();
    await tellMerges(this.#services, this.#now() - PARTING_MS);
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

/** Every token of a learner is forgotten, or kept, with the one that is named. */
export async function forgetTokens(
  { rosters, vault }: Pick<Services, 'rosters' | 'vault'>,
  { schoolOin, token: learner, atMs }: { schoolOin: string; token: string; atMs: bigint },
): Promise<void> {
  const { merges } = await rosters.listMerges({ sinceMs: 0n, limit: 0, schoolOin, learner });
  const tokens = [learner, ...merges.flatMap(({ loser, undone }) => (undone ? [] : [loser]))];
  for (const token of tokens) await vault.forget({ schoolOin, token, atMs });
}

/** Tells the vault which tokens stand for another, and which no longer, of what was decided since. Telling twice changes nothing. */
export async function tellMerges(
  { rosters, vault }: Pick<Services, 'rosters' | 'vault'>,
  sinceMs: number,
): Promise<void> {
  for (let since = BigInt(sinceMs); ; ) {
    const { merges } = await rosters.listMerges({ sinceMs: since, limit: PAGE, schoolOin: '', learner: '' });
    // A school that has closed its keys keeps no other from it.
    for (const { schoolOin, winner, loser, undone: undo } of merges)
      await vault
        .mergeTokens({ schoolOin, winner, loser, undo, look: false })
        .catch((error: unknown) => log('warn', 'merge_not_told', describeError(error)));
    const last = merges.at(-1)?.atMs;
    if (merges.length < PAGE || last === undefined) return;
    // Not one later: others may have been decided in the same millisecond.
    since = last > since ? last : last + 1n;
  }
}
