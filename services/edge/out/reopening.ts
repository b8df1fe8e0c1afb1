/** Mail that waits because the key of its school is held elsewhere, where nobody lets us use it, or because nobody tells its names. */
import { asGatewayError, describeError, type Fault, logSeldom } from '#kernel';
import type { Door } from '../submission.ts';

/** Under which mail of a closed school is parked. */
export const CLOSED: Fault = 'school.closed';

/** Under which mail is parked of a school that keeps no names here, while its administration does not tell them. */
export const UNNAMED: Fault = 'peer.unavailable';

/** How names of schools are asked that keep none here. */
export interface AskedOf {
  isOnDemand(school: string): boolean;
  /** Whether its names are in memory; begins to ask for them where they are not. */
  ready(school: string): Promise<boolean>;
}

/** How often it is looked whether schools are open again: while some are known to be closed, and otherwise. Milliseconds. */
const SOON_MS = 1_000;
const SELDOM_MS = 5_000;
/** It rests so many times as long as a look took, for what is parked for other reasons is looked at too. */
const REST = 50;

/**
 * Lets go of what is parked for closed schools, as soon as each is open again, and of what waits for names as soon as they can be had. What is parked says which schools to ask for, so
 * that nothing is forgotten with a process; several processes may do the same.
 */
export function startReopening(
  { delivery, vault }: Pick<Door['services'], 'delivery' | 'vault'>,
  names: AskedOf,
): {
  /** Some school was closed a moment ago. */
  look(): void;
  stop(): Promise<void>;
} {
  const tell = logSeldom();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let isStopping = false;
  let dueMs = Number.POSITIVE_INFINITY;

  async function lookAtAll(): Promise<boolean> {
    const { parked } = await delivery.listParkedRows({ schoolOin: '', partyOin: '' });
    const schools = new Set(parked.filter(({ code }) => code === CLOSED).map(({ schoolOin }) => schoolOin));
    let isAny = false;
    // What waits at an endpoint waits for that.
    const unnamed = parked.filter(({ code, standard }) => code === UNNAMED && standard === '');
    for (const schoolOin of new Set(unnamed.map((row) => row.schoolOin))) {
      if (!names.isOnDemand(schoolOin) || (await names.ready(schoolOin)))
        await delivery.releaseRows({ schoolOin, code: UNNAMED });
      else isAny = true;
    }
    for (const schoolOin of schools) {
      const { held } = await vault.showHolds({ schoolOin });
      if (held.every(({ open }) => open)) await delivery.releaseRows({ schoolOin, code: CLOSED });
      else isAny = true;
    }
    return isAny;
  }

  function plan(ms: number): void {
    const at = performance.now() + ms;
    if (isStopping || (timer !== undefined && dueMs <= at)) return;
    clearTimeout(timer);
    dueMs = at;
    timer = setTimeout(() => {
      timer = undefined;
      dueMs = Number.POSITIVE_INFINITY;
      const began = performance.now();
      looking ??= lookAtAll()
        .catch((thrown: unknown) => {
          // Whoever could not be asked is asked again.
          tell('warn', 'reopening_failed', describeError(asGatewayError(thrown)));
          return true;
        })
        .then((isAny) => {
          looking = undefined;
          plan(Math.max(isAny ? SOON_MS : SELDOM_MS, (performance.now() - began) * REST));
        });
    }, ms).unref();
  }

  plan(SOON_MS);
  return {
    look: () => plan(SOON_MS),
    async stop() {
      isStopping = true;
      clearTimeout(timer);
      await looking;
    },
  };
}
