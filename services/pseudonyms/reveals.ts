import { type Clock, describeError, log } from '#kernel';
import type { BulkReveal, ShowRevealsResponse } from '#proto/eduk/pseudonyms/v1/pseudonyms';

/** How many learners a party was shown in one hour of the clock. */
export interface RevealHour {
  hourMs: number;
  partyOin: string;
  learners: number;
}

/** Where the hours rest, for all processes of the vault together. */
export interface RevealStore {
  /** Adds to the hours; gives them as they are then. */
  add(hours: readonly RevealHour[]): Promise<RevealHour[]>;
  since(hourMs: number): Promise<RevealHour[]>;
  /** Forgets those before. */
  sweep(hourMs: number): Promise<void>;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** As technical logs. */
const KEPT_MS = 90 * DAY_MS;
/** How long a count may be known in one process only. */
const SAVE_MS = 5_000;
/** Learners a party may be shown in an hour before somebody is paged, unless settings say otherwise. */
export const REVEALS_PER_HOUR = 100_000;

/** Counts who is shown how many learners, and pages somebody when it is too many. Nothing is kept back: that is for people. */
export class RevealWatch {
  readonly #store: RevealStore;
  readonly #clock: Clock;
  readonly #perHour: number;
  #unsaved = new Map<string, RevealHour>();
  #savedMs = 0;
  #sweptMs = 0;
  #saving: Promise<void> | undefined;

  /** `perHour`: 0 = nobody is paged. */
  constructor(store: RevealStore, clock: Clock, perHour: number) {
    this.#store = store;
    this.#clock = clock;
    this.#perHour = perHour;
  }

  note(partyOin: string, learners: number): void {
    if (learners === 0) return;
    const now = this.#clock.now();
    const hourMs = now - (now % HOUR_MS);
    const key = `${hourMs} ${partyOin}`;
    const row = this.#unsaved.get(key);
    if (row) row.learners += learners;
    else this.#unsaved.set(key, { hourMs, partyOin, learners });
  }

  /** Each second: saves now and then, and looks whether it was too many. */
  async tick(): Promise<void> {
    const now = this.#clock.now();
    if (now - this.#savedMs < SAVE_MS) return;
    this.#savedMs = now;
    await this.save();
    if (now - this.#sweptMs < HOUR_MS) return;
    this.#sweptMs = now;
    await this.#store.sweep(now - KEPT_MS);
  }

  save(): Promise<void> {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  async #save(): Promise<void> {
    if (this.#unsaved.size === 0) return;
    const taken = this.#unsaved;
    this.#unsaved = new Map();
    let sums: RevealHour[];
    try {
      sums = await this.#store.add([...taken.values()]);
    } catch (thrown) {
      // Counted again next time; what was counted meanwhile too.
      for (const [key, { learners, ...hour }] of taken)
        this.#unsaved.set(key, { ...hour, learners: learners + (this.#unsaved.get(key)?.learners ?? 0) });
      log('warn', 'vault.reveals_not_saved', describeError(thrown));
      return;
    }
    if (this.#perHour === 0) return;
    for (const { hourMs, partyOin, learners } of sums) {
      const added = taken.get(`${hourMs} ${partyOin}`)?.learners ?? 0;
      if (learners > this.#perHour && learners - added <= this.#perHour)
        log('error', 'vault.bulk_reveal', { party_oin: partyOin, learners, per_hour: this.#perHour });
    }
  }

  /** This hour of each party, and the hours of the last day in which it was too many. */
  async state(): Promise<ShowRevealsResponse> {
    await this.save();
    const now = this.#clock.now();
    const hours = await this.#store.since(now - DAY_MS);
    const told = ({ hourMs, partyOin, learners }: RevealHour): BulkReveal => ({
      partyOin,
      hourMs: BigInt(hourMs),
      learners: BigInt(learners),
    });
    return {
      perHour: BigInt(this.#perHour),
      thisHour: hours.filter(({ hourMs }) => hourMs === now - (now % HOUR_MS)).map(told),
      tooMany: this.#perHour === 0 ? [] : hours.filter(({ learners }) => learners > this.#perHour).map(told),
    };
  }
}
