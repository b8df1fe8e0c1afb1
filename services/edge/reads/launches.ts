/** How learners got in today, by platform and publisher: counts of services/access, judged, and cut to what the caller may know. */
import { dutchDay, dutchQuarter, endOfDutchDay, faults, GatewayError, isDay, remedies, startOfDutchDay } from '#kernel';
import type { LaunchCount } from '#proto/eduk/access/v1/access';
import { Role } from '#proto/eduk/core/v1/party';
import type {
  LaunchesRequest,
  LaunchesResponse,
  LaunchQuarter,
  LaunchRow,
  ReadinessCount,
} from '#proto/eduk/gateway/v1/flow';
import { type TellableCount, tellRow } from '#release';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { requireRole } from '../stages/authorise.ts';
import { type Because, type Figures, type JudgedLaunches, judgeLaunches } from './launches-judge.ts';

const WEEKS = 4;
const DAY_MS = 86_400_000;
const MOST_BACK = 7;
const CONSUMER = 'access';

/** Why it is them, or us. */
const toldOf: Readonly<Record<Because, string>> = {
  behind: 'It is us: the part of the gateway that decides launches is behind.',
  everywhere: 'It is us, or the net between: on every platform far fewer get in than usual.',
  nowhere: 'Nobody launches anything, anywhere: a day without school, or nobody reaches us.',
  ours: 'It is us: the gateway refuses what it would take on another day.',
  endpoint: 'It is them: tickets are handed out and not shown, and the platform takes nothing of what we send it.',
  unopened: 'It is them: tickets are handed out as usual, and the platform does not show them.',
  shown: 'It is them: the platform shows tickets that do not count any more, or of what was ended.',
  refused: 'It is them: launches are refused, most of them for this cause, and what they lack is not ours to give.',
  silent: 'It is them: other launches come in, and of this platform hardly any.',
};
const remedyOf: Readonly<Partial<Record<Because, string>>> = {
  behind: 'We look at what is behind: eduk doctor.',
  everywhere: 'We look at our own doors and at the net: eduk doctor; then call one platform and ask what it sees.',
  nowhere: 'We look whether our doors can be reached from outside: eduk doctor.',
  endpoint: 'Call the platform, and say that its endpoint rests: eduk dead list.',
  unopened: 'Call the platform: learners come to it with a ticket that it does not redeem.',
  shown: 'Call the platform: it redeems tickets twice, or later than five minutes after they were made.',
  silent: 'Call the platform, and whoever starts its launches: its link or its portal may be gone.',
};

/** `HH:MM` at which a quarter begins; 96 = 24:00. */
const clockOf = (quarter: number): string =>
  `${String(Math.floor(quarter / 4)).padStart(2, '0')}:${String((quarter % 4) * 15).padStart(2, '0')}`;

/** Days that are over change no more. */
const pasts = new WeakMap<object, { of: string; counts: LaunchCount[] }>();

/** Everything of a day, judged, with the days beside it. */
export async function launchesOf(
  { door }: Gate,
  day = dutchDay(door.clock.now()),
): Promise<{ judged: JudgedLaunches[]; quarter: number; beside: string[]; behindMs: number }> {
  const now = door.clock.now();
  const isToday = day === dutchDay(now);
  const noon = startOfDutchDay(day) + DAY_MS / 2;
  const beside = Array.from({ length: WEEKS }, (_, i) => dutchDay(noon - (i + 1) * 7 * DAY_MS));
  const { access, log, delivery } = door.services;
  const of = beside.join();
  let past = pasts.get(door);
  if (past?.of !== of) {
    past = { of, counts: (await access.countLaunches({ days: beside, partyOin: '' })).counts };
    pasts.set(door, past);
  }
  const [{ counts }, { ages }, { endpoints }] = await Promise.all([
    access.countLaunches({ days: [day], partyOin: '' }),
    log.ages({}),
    delivery.listEndpoints({ idle: false, partyOin: '' }),
  ]);
  const behindMs = isToday
    ? Math.max(0, ...ages.map(({ consumer, oldestUnreadMs }) => (consumer === CONSUMER ? Number(oldestUnreadMs) : 0)))
    : 0;
  const sick = new Set(isToday ? endpoints.flatMap(({ state, partyOin }) => (state === 'up' ? [] : [partyOin])) : []);
  const quarter = isToday ? dutchQuarter(now) : 96;
  const judged = judgeLaunches([...past.counts, ...counts], { day, beside, quarter, behindMs, sick });
  return { judged, quarter, beside, behindMs };
}

const count = ({ count, underTen, hidden }: TellableCount): ReadinessCount => ({
  count,
  underTen,
  hidden,
  atLeast: false,
});

function quarterOf({ quarter, now, usual }: { quarter: number; now: Figures; usual: number }): LaunchQuarter {
  const { opened, unopened, refused } = now;
  const row = tellRow(new Map(Object.entries({ opened, unopened, refused })), false);
  const cell = (name: string): ReadinessCount => count(row.cells.get(name)!);
  return {
    at: clockOf(quarter),
    asked: count(row.total),
    opened: cell('opened'),
    unopened: cell('unopened'),
    refused: cell('refused'),
    usual: Math.round(usual / 10) * 10,
  };
}

/** Percent in steps of five: of a share as it is, a small count would follow. */
const stepped = (share: number): number => Math.floor(share * 20 + 1e-9) * 5;

/** Faults: wire.invalid, party.forbidden. */
export async function launches(asked: LaunchesRequest, caller: Caller, gate: Gate): Promise<LaunchesResponse> {
  requireRole(caller, [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER]);
  const { chain, clock } = gate.door;
  const today = dutchDay(clock.now());
  const day = asked.day || today;
  if (!isDay(day) || day > today || endOfDutchDay(day) < clock.now() - MOST_BACK * DAY_MS)
    throw new GatewayError('wire.invalid', 'The day is today or one of the seven before, YYYY-MM-DD.', {
      where: 'day',
    });
  const { judged, quarter, beside, behindMs } = await launchesOf(gate, day);
  const nameOf = (oin: string): string => chain.party(oin)?.name ?? '';
  const { kind, oin } = caller;
  const rows = judged
    .filter(({ platform, publisher }) => kind === 'operator' || platform === oin || publisher === oin)
    .filter(({ quarters }) => quarters.length > 0)
    .map((one): LaunchRow => {
      const { platform, publisher, state, share, usualShare, usualKnown, whose, code, party, because } = one;
      return {
        platformOin: platform,
        platformName: nameOf(platform),
        publisherOin: publisher,
        publisherName: nameOf(publisher),
        quarters: one.quarters.filter(({ now, usual }) => now.asked > 0 || usual >= 5).map(quarterOf),
        state,
        percent: stepped(share),
        usualPercent: stepped(usualShare),
        usualKnown,
        whose,
        code,
        partyOin: party,
        partyName: nameOf(party),
        who: code === '' ? '' : faults[code].who,
        because,
        told: because === '' ? '' : toldOf[because],
        remedy: because === '' ? '' : (remedyOf[because] ?? (code === '' ? '' : (remedies[code] ?? faults[code].en))),
      };
    });
  // How far a part of ours is behind is for who runs it.
  return {
    day,
    until: clockOf(Math.min(quarter + 1, 96)),
    beside,
    rows,
    behindMs: BigInt(kind === 'operator' ? behindMs : 0),
  };
}
