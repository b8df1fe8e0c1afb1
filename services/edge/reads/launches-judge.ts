/**
 * How learners get in, beside the same weekday of the weeks before: which platform and publisher lets far fewer in than usual, whether
 * that is them or us, and who is to be called. Pure.
 */
import { type Fault, faults, isFault } from '#kernel';
import type { LaunchCount } from '#proto/eduk/access/v1/access';

/** Launches below which nothing is said of how many got in. */
const ENOUGH = 20;
/** Quarters of an hour that are judged together where one has too few launches. */
const QUARTERS = 4;
/** So much of all launches fewer than usual is far fewer. */
const FAR = 0.1;
/** What is taken for usual where nothing is known. */
const ORDINARY = 0.95;
/** Launches usual in the judged time from which on hardly any is strange, and how few of them hardly any are. */
const BUSY = 50;
const HARDLY = 0.1;
/** Platforms that must all fail before it is nobody's in particular. */
const EVERYWHERE = 3;
/** The part that decides launches is behind when it has left something for so long. */
const BEHIND_MS = 5_000;

export type Because =
  | 'behind'
  | 'everywhere'
  | 'nowhere'
  | 'ours'
  | 'endpoint'
  | 'unopened'
  | 'shown'
  | 'refused'
  | 'silent';

export interface Figures {
  asked: number;
  opened: number;
  unopened: number;
  refused: number;
  /** `refused CODE`, `shown CODE` and `unopened`. */
  causes: Map<string, number>;
}

export interface JudgedLaunches {
  platform: string;
  publisher: string;
  quarters: { quarter: number; now: Figures; usual: number }[];
  state: 'usual' | 'low' | 'none' | 'few';
  /** Shares from 0 to 1. */
  share: number;
  usualShare: number;
  usualKnown: boolean;
  whose: '' | 'them' | 'us';
  code: Fault | '';
  /** Empty = see the fault. */
  party: string;
  because: Because | '';
}

export interface Circumstances {
  day: string;
  /** Days of which the usual is made. */
  beside: readonly string[];
  /** The quarter that runs, 0 to 95; 96 = the day is over. */
  quarter: number;
  /** How far the part that decides launches is behind. */
  behindMs: number;
  /** Parties whose endpoints take nothing. */
  sick: ReadonlySet<string>;
}

const nothing = (): Figures => ({ asked: 0, opened: 0, unopened: 0, refused: 0, causes: new Map() });

function add(to: Figures, { created, redeemed, refused }: LaunchCount): void {
  let turned = 0;
  let shown = 0;
  const more = (name: string, n: number) => n > 0 && to.causes.set(name, (to.causes.get(name) ?? 0) + n);
  for (const { code, count, shown: isShown } of refused) {
    if (isShown) shown += count;
    else turned += count;
    more(`${isShown ? 'shown' : 'refused'} ${code}`, count);
  }
  const unopened = Math.max(0, created - redeemed);
  to.asked += created + turned;
  to.opened += redeemed;
  to.unopened += unopened;
  to.refused += turned;
  // A ticket that was shown and refused is one of those that opened nothing.
  more('unopened', Math.max(0, unopened - shown));
}

function sumOf(all: readonly Figures[]): Figures {
  const sum = nothing();
  for (const { asked, opened, unopened, refused, causes } of all) {
    sum.asked += asked;
    sum.opened += opened;
    sum.unopened += unopened;
    sum.refused += refused;
    for (const [name, n] of causes) sum.causes.set(name, (sum.causes.get(name) ?? 0) + n);
  }
  return sum;
}

/** By platform and publisher; what is not usual comes first, then the most launches. */
export function judgeLaunches(counts: readonly LaunchCount[], about: Circumstances): JudgedLaunches[] {
  const pairs = Map.groupBy(counts, ({ platformOin, publisherOin }) => `${platformOin} ${publisherOin}`);
  const judged = [...pairs.values()].map((some) => judgeOne(some, about));
  const platforms = (state: JudgedLaunches['state'], of = judged): Set<string> =>
    new Set(of.flatMap((one) => (one.state === state ? [one.platform] : [])));
  const low = judged.filter(({ state, because }) => state === 'low' && because === 'unopened');
  const well = platforms('usual');
  const silent = platforms('none');
  // What fails everywhere at once, and works nowhere, is not one of theirs.
  const isEverywhere = platforms('low', low).size >= EVERYWHERE && [...well].every((one) => platforms('low').has(one));
  const isNowhere = silent.size > 1 && well.size + platforms('low').size === 0;
  const rows = judged.map((one): JudgedLaunches => {
    if (isEverywhere && low.includes(one))
      return { ...one, whose: 'us', code: 'gateway.unavailable', party: '', because: 'everywhere' };
    if (isNowhere && one.state === 'none')
      return { ...one, whose: 'us', code: 'gateway.unavailable', party: '', because: 'nowhere' };
    return one;
  });
  const rank = { low: 0, none: 1, usual: 2, few: 2 } as const;
  const asked = ({ quarters }: JudgedLaunches): number => quarters.reduce((sum, { now }) => sum + now.asked, 0);
  const name = ({ platform, publisher }: JudgedLaunches): string => `${platform} ${publisher}`;
  return rows.sort((a, b) => rank[a.state] - rank[b.state] || asked(b) - asked(a) || (name(a) < name(b) ? -1 : 1));
}

function judgeOne(some: readonly LaunchCount[], about: Circumstances): JudgedLaunches {
  const { day, beside, quarter: running } = about;
  const { platformOin: platform, publisherOin: publisher } = some[0]!;
  const today = new Map<number, Figures>();
  const before = new Map<number, Figures>();
  for (const count of some) {
    const of = count.day === day ? today : beside.includes(count.day) ? before : undefined;
    if (!of) continue;
    let figures = of.get(count.quarter);
    if (!figures) of.set(count.quarter, (figures = nothing()));
    add(figures, count);
  }
  const usual = (quarter: number): number => (before.get(quarter)?.asked ?? 0) / Math.max(1, beside.length);
  const last = Math.min(running, 95);
  const quarters = [...new Set([...today.keys(), ...before.keys()])]
    .filter((quarter) => quarter <= last)
    .sort((a, b) => a - b)
    .map((quarter) => ({ quarter, now: today.get(quarter) ?? nothing(), usual: usual(quarter) }));
  const at = (from: Map<number, Figures>, window: readonly number[]): Figures =>
    sumOf(window.flatMap((quarter) => from.get(quarter) ?? []));
  // The last quarters, as many as it takes.
  const window: number[] = [];
  for (let quarter = last; quarter > last - QUARTERS && quarter >= 0; quarter--) {
    window.push(quarter);
    if (at(today, window).asked >= ENOUGH) break;
  }
  const now = at(today, window);
  const then = at(before, window);
  const usualKnown = then.asked >= ENOUGH;
  const usualShare = usualKnown ? then.opened / then.asked : ORDINARY;
  const one = { platform, publisher, quarters, usualShare, usualKnown };
  const quiet = { whose: '', code: '', party: '', because: '' } as const;
  if (now.asked < ENOUGH) {
    // Of whole quarters only: of the one that runs nobody knows what is still to come.
    const whole = window.filter((quarter) => quarter < running);
    const expected = whole.reduce((sum, quarter) => sum + usual(quarter), 0);
    if (expected < BUSY || now.asked >= expected * HARDLY) return { ...one, ...quiet, state: 'few', share: 0 };
    const silent = { ...one, state: 'none', share: 0, code: 'peer.unavailable' } as const;
    if (about.behindMs > BEHIND_MS)
      return { ...silent, whose: 'us', code: 'gateway.late', party: '', because: 'behind' };
    return { ...silent, whose: 'them', party: platform, because: 'silent' };
  }
  const share = now.opened / now.asked;
  if (share >= usualShare - FAR) return { ...one, ...quiet, state: 'usual', share };
  return { ...one, state: 'low', share, ...blame(now, then, { platform, publisher }, about) };
}

/** Of a launch, what a code of every kind of message means. */
const saysMore: Readonly<Partial<Record<Fault, Fault>>> = { 'state.missing': 'entitlement.missing' };

/** What there is more of than usual, and whose that is. */
function blame(
  now: Figures,
  then: Figures,
  { platform, publisher }: { platform: string; publisher: string },
  { behindMs, sick }: Circumstances,
): Pick<JudgedLaunches, 'whose' | 'code' | 'party' | 'because'> {
  const more = [...now.causes]
    .map(([name, n]) => ({ name, more: n - (now.asked * (then.causes.get(name) ?? 0)) / Math.max(1, then.asked) }))
    .sort((a, b) => b.more - a.more || (a.name < b.name ? -1 : 1));
  const [what = '', told = ''] = (more[0]?.name ?? 'unopened').split(' ');
  const code: Fault =
    what === 'unopened' ? 'peer.unavailable' : isFault(told) ? (saysMore[told] ?? told) : 'state.conflict';
  if (faults[code].who === 'us') return { whose: 'us', code, party: '', because: 'ours' };
  // What was granted or enrolled a moment ago is not known yet to a part that is behind.
  if (behindMs > BEHIND_MS) return { whose: 'us', code: 'gateway.late', party: '', because: 'behind' };
  if (what === 'unopened')
    return { whose: 'them', code, party: platform, because: sick.has(platform) ? 'endpoint' : 'unopened' };
  if (code === 'launch.spent') return { whose: 'them', code, party: platform, because: 'shown' };
  // A roster is each school's own: there is no one to call but whoever asks for the launches.
  return {
    whose: 'them',
    code,
    party: code === 'learner.unknown' ? '' : publisher,
    because: what === 'shown' ? 'shown' : 'refused',
  };
}
