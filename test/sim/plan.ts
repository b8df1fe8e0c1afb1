/** What happens in one simulation, as data that one seed decides: so that a failing one can be made shorter by leaving steps out. */
import { type Random, randomFrom } from '../parties/random.ts';
import { inventMessages, type Message } from './messages.ts';
import { inventWorld, type World } from './world.ts';

export interface Fault {
  /**
   * `crash`: the process ends, what was not committed is gone. `fails`: the store says that it cannot, and is well again.
   * `commitFails`: it says so at the commit. `crashCommitted`: the process ends after the commit, before any answer.
   */
  kind: 'crash' | 'fails' | 'commitFails' | 'crashCommitted';
  /** Calls of the store before it happens. */
  after: number;
}

export type Step =
  /** One transaction: messages sent for the first time, again, or under a known reference with other content; and work. */
  | {
      do: 'group';
      send: number[];
      repeat: number[];
      conflict: number[];
      /** Whether those without an answer try again. */
      resend: boolean;
      /** As `GroupPlan.budget`; null = nothing is decided. */
      budget: number | null;
      /** The answers are lost on their way. */
      lost: boolean;
      fault?: Fault;
    }
  /** The process ends between two groups and starts again, perhaps without some of its services. */
  | { do: 'restart'; absent: string[] }
  /** Time passes while it runs: what is due happens at its time. */
  | { do: 'wait'; ms: number }
  /** Time passes while it does not run. */
  | { do: 'leap'; ms: number }
  /** Somebody reads a mailbox; `lost`: and dies before it notes how far. `old`: judged by mandates as of the last look. */
  | { do: 'read'; mailbox: number; limit: number; lost: boolean; old: boolean; fault?: Fault }
  | { do: 'clean' }
  /** The release that runs cannot handle events of these messages in one service. */
  | { do: 'poison'; messages: number[]; service: string }
  /** Somebody has the first parked key taken up again. */
  | { do: 'retry' }
  | { do: 'full' }
  | { do: 'room' }
  /** Everything is decided, and whoever has no answer gets one, with nothing breaking. */
  | { do: 'settle' };

export interface Plan {
  seed: number;
  /** Only messages whose outcome does not hang on who was first: the end is compared with that of a run in order. */
  calm: boolean;
  /** The run that all is compared with opens its engine anew for each group. */
  forgetful: boolean;
  /** Turns the list of services, so that lanes come in another order. */
  turned: number;
  world: World;
  messages: Message[];
  steps: Step[];
}

export const START_MS = Date.parse('2026-08-17T08:00:00Z');
const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
/** After a longer leap references may be forgotten: whoever has no answer gets one before. */
export const LONG_MS = 20 * DAY;

export const SERVICES = [
  'parties',
  'catalogue',
  'rosters',
  'orders',
  'entitlements',
  'access',
  'results',
  'delivery',
  'flows',
] as const;

/** How often each thing happens in this simulation; some do not happen at all, so that others are seen alone. */
interface Weather {
  fault: number;
  lost: number;
  restart: number;
  absent: number;
  wait: number;
  leap: number;
  long: number;
  poison: number;
  full: number;
  read: number;
  repeat: number;
  largest: number;
}

function weather(random: Random, calm: boolean): Weather {
  const some = (share: number, most: number): number => (random.chance(share) ? most * random.between(1, 10) * 0.1 : 0);
  return {
    fault: some(0.8, 0.35),
    lost: some(0.7, 0.4),
    restart: some(0.5, 0.15),
    absent: some(0.5, 1),
    wait: some(0.8, 0.4),
    leap: calm ? 0 : some(0.5, 0.05),
    long: some(0.3, 0.5),
    poison: some(0.35, 0.12),
    full: some(0.3, 0.1),
    read: some(0.8, 0.4),
    repeat: some(0.7, 0.3),
    largest: random.pick([1, 4, 16]),
  };
}

/** The same seed makes the same plan. */
export function planOf(seed: number): Plan {
  const random = randomFrom(seed);
  const calm = random.chance(0.34);
  const world = inventWorld(random);
  const messages = inventMessages(world, random, calm);
  const steps: Step[] = [];
  const often = weather(random, calm);
  const fault = (): { fault?: Fault } =>
    random.chance(often.fault)
      ? {
          fault: {
            kind: random.pick(['crash', 'fails', 'commitFails', 'crashCommitted'] as const),
            after: random.chance(0.5) ? random.between(0, 20) : random.between(0, 300),
          },
        }
      : {};
  const group = (send: number[], work: boolean): Step => ({
    do: 'group',
    send,
    repeat: [],
    conflict: [],
    resend: random.chance(0.3),
    budget: work ? (random.chance(0.15) ? 500 : random.between(0, 30)) : null,
    lost: random.chance(often.lost),
    ...fault(),
  });
  let full = false;
  const between = (sent: number): void => {
    const others = (share: number): boolean => random.chance(share);
    for (let more = random.between(0, 2); more > 0; more--) steps.push(group([], true));
    if (sent > 0 && others(often.repeat)) {
      const again: Step = { ...(group([], random.chance(0.5)) as Step & { do: 'group' }) };
      again.repeat = [random.between(0, sent - 1)];
      if (random.chance(0.3)) again.conflict = [random.between(0, sent - 1)];
      steps.push(again);
    }
    if (others(often.read))
      steps.push({
        do: 'read',
        mailbox: random.between(0, 999),
        limit: random.between(1, 12),
        lost: random.chance(0.2),
        old: random.chance(0.3),
        ...fault(),
      });
    if (others(often.wait))
      steps.push({
        do: 'wait',
        ms: calm ? random.between(0, 40) : random.pick([1, 500, 7000, 70_000, 20 * MINUTE, HOUR]),
      });
    if (others(often.leap))
      steps.push({
        do: 'leap',
        ms: random.chance(often.long)
          ? random.pick([35 * DAY, 80 * DAY, 360 * DAY])
          : random.pick([MINUTE, 10 * MINUTE, 13 * HOUR, 26 * HOUR, 4 * DAY]),
      });
    if (others(often.restart))
      steps.push({
        do: 'restart',
        absent: random.chance(often.absent) ? SERVICES.filter(() => random.chance(0.25)) : [],
      });
    if (sent > 0 && others(often.poison))
      steps.push({
        do: 'poison',
        // Many at once stop a stream.
        messages: Array.from(
          { length: random.chance(0.2) ? 12 : random.between(1, 2) },
          (_, i) => sent + i * random.between(1, 3),
        ),
        service: random.chance(0.5) ? random.pick(['delivery', 'flows'] as const) : random.pick(SERVICES),
      });
    if (others(often.poison)) steps.push({ do: 'retry' });
    if (full ? random.chance(0.5) : others(often.full)) {
      full = !full;
      steps.push({ do: full ? 'full' : 'room' });
    }
    if (!calm && others(0.03)) steps.push({ do: 'clean' });
  };
  const first = messages.filter(({ method }) => calm && isFirst(method)).length;
  for (let n = 0; n < messages.length; ) {
    if (calm && n === first) steps.push({ do: 'settle' });
    const size = Math.min(random.between(1, often.largest), messages.length - n, n < first ? first - n : Infinity);
    steps.push(
      group(
        Array.from({ length: size }, (_, i) => n + i),
        random.chance(0.6),
      ),
    );
    n += size;
    between(n);
  }
  for (let more = random.between(0, 10); more > 0; more--) between(messages.length);
  return {
    seed,
    calm,
    forgetful: random.chance(0.25),
    turned: random.between(0, SERVICES.length - 1),
    world,
    messages,
    steps,
  };
}

/** Who is in the chain and who may have what: decided before anything else in a calm plan. */
const isFirst = (method: string): boolean =>
  method === 'OperatorService/AddParty' || method === 'PartyService/GrantMandate';
