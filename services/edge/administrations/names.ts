/**
 * Names of schools that keep none here: asked of their administrations when a receiver may have them, for the whole school in one question,
 * and in memory for minutes. Nothing of it is written anywhere.
 */
import { PeerFault } from '#adapters/uwlr';
import {
  asGatewayError,
  Clear,
  ConfigError,
  describeError,
  GatewayError,
  isOtherMark,
  log,
  type Networks,
  schoolYearOf,
  unhurried,
} from '#kernel';
import type { Person, Roster } from '#proto/eduk/core/v1/learner';
import { Service } from '#proto/eduk/core/v1/party';
import { rosterPeople } from '../intake/rosters.ts';
import { checkGrammar } from '../labels.ts';
import { findPgn } from '../pgn.ts';
import type { Door } from '../submission.ts';
import { addressed, isAsked } from './address.ts';
import { asPeers, pullFrom } from './client.ts';
import { Diallers } from './diallers.ts';
import {
  type AdministrationSettings,
  autorisatieFor,
  readAdministrations,
  type SchoolAt,
  secretIn,
} from './settings.ts';

/** Names stay in memory no longer than this, whatever is set. */
const HELD_MOST_MS = 15 * 60_000;
/** People of all schools together in memory; the school that was asked first goes first. */
const MOST_PEOPLE = 100_000;
/** One question to one administration, in however many stages. */
const ASK_MS = 2 * 60_000;
/** After a failure a school is asked again after so long, twice as long each time. */
const [AGAIN_MS, AGAIN_MOST_MS] = [2_000, 30_000];
/** Who asks while somebody waited for the same in vain already. */
const LATE_WAIT_MS = 100;
/** People whom the vault is asked to recognise at once. */
const LOT = 500;
const PAGE = 5_000;
/** What is remembered of a school at most that would not be other if it were asked again. */
const MOST_SETTLED = 20_000;
const ROSTER = 'eduk.core.v1.Roster';
/** More renames than this share of a school, in percent, are a slip of the administration; below so many people no share is counted. */
const [RENAMES_PERCENT, FEWEST] = [10, 20];

/** Somebody as the administration has them now, with the mark that a roster of that would leave. */
interface Known {
  person: Person;
  mark: Uint8Array;
}

/** What an administration said of a school and year. */
interface Held {
  /** By token. */
  people: Clear<ReadonlyMap<string, Known>>;
  count: number;
  /** What was known of rosters before it was asked, and differs: asking again would say the same. */
  settled: Set<string>;
  untilMs: number;
}

/** Whom to name; the mark of the names that a roster gave says whether what is in memory is older than that. */
export interface Asked {
  token: string;
  nameMark: Uint8Array;
}

export interface NamesOptions {
  /** EDUK_ADMINISTRATIONS. */
  folder: string | undefined;
  networks: Networks;
  /** How long who asks waits for an answer; it goes on coming afterwards, for who asks again. */
  waitMs: number;
  /** How long names stay in memory, 15 minutes at most. */
  heldMs: number;
}

type Needs = Pick<Door, 'chain' | 'clock'> & { services: Pick<Door['services'], 'vault' | 'rosters'> };

export class AskedNames {
  readonly #needs: Needs;
  readonly #options: NamesOptions;
  readonly #diallers: Diallers;
  readonly #closing = new AbortController();
  readonly #held = new Map<string, Held>();
  readonly #asking = new Map<string, Promise<Held>>();
  /** Questions for which somebody waited in vain, and that are still under way. */
  readonly #late = new Set<string>();
  readonly #failed = new Map<string, { error: GatewayError; times: number; untilMs: number }>();
  readonly #timer: NodeJS.Timeout;

  /** `needs.services.vault`: the vault itself, not what fills its answers from here. */
  constructor(needs: Needs, options: NamesOptions) {
    this.#needs = needs;
    this.#options = options;
    this.#diallers = new Diallers(options.networks);
    this.#timer = setInterval(() => this.#drop(), 10_000).unref();
  }

  close(): void {
    this.#closing.abort();
    clearInterval(this.#timer);
    this.#held.clear();
    this.#diallers.close();
  }

  /**
   * Who these people of a school are, by token; of whom its administration does not know there is nothing. Whoever came or was named
   * otherwise since it was asked has it asked again. Faults: peer.unavailable (it could not be asked, or gave no answer that can be used).
   */
  async of(schoolOin: string, asked: readonly Asked[]): Promise<Clear<ReadonlyMap<string, Person>>> {
    const found = new Map<string, Person>();
    for (const [i, year] of (await this.#years(schoolOin)).entries()) {
      const key = keyOf(schoolOin, year);
      const left = asked.filter(({ token }) => !found.has(token));
      if (left.length === 0) break;
      let held = await this.#waited(key, this.#people(schoolOin, year, i === 0));
      const news = newsIn(held, left);
      if (news.length > 0) {
        held = await this.#waited(key, this.#anew(schoolOin, year, i === 0));
        for (const one of newsIn(held, left)) held.settled.add(one);
      }
      held.people.reveal((known) => {
        for (const { token } of left) {
          const one = known.get(token);
          if (one) found.set(token, one.person);
        }
      });
    }
    return new Clear(found);
  }

  /** Whether all that can be asked of a school is in memory; begins to ask for it where it is not. */
  async ready(schoolOin: string): Promise<boolean> {
    let isReady = true;
    for (const [i, year] of (await this.#years(schoolOin)).entries()) {
      if (this.#inMemory(keyOf(schoolOin, year))) continue;
      isReady = false;
      this.#people(schoolOin, year, i === 0).catch(() => undefined);
    }
    return isReady;
  }

  /** OINs of the administrations that are asked for a school. */
  administrationsOf(schoolOin: string): string[] {
    return this.#places(schoolOin).map(({ settings }) => settings.partyOin);
  }

  /** The year that the school is in, and later ones of which there is a roster. */
  async #years(schoolOin: string): Promise<string[]> {
    const { services, clock } = this.#needs;
    const { rosters } = await services.rosters.listSchools({ schoolOin });
    const calendar = schoolYearOf(clock.now());
    const running = rosters.find((one) => one.running)?.schoolYear || calendar;
    const later = rosters.map(({ schoolYear }) => schoolYear).filter((year) => year > running);
    return [running, ...new Set([...later, ...(calendar > running ? [calendar] : [])])].sort();
  }

  /** What is in memory, what is on its way, or a question. */
  #people(schoolOin: string, year: string, isFirst: boolean): Promise<Held> {
    const key = keyOf(schoolOin, year);
    const held = this.#inMemory(key);
    if (held) return Promise.resolve(held);
    const failed = this.#failed.get(key);
    if (failed && performance.now() < failed.untilMs) return Promise.reject(failed.error);
    const asking = this.#asking.get(key);
    if (asking) return asking;
    // Others share it: who was first to ask may wait shorter than they do.
    const begun = unhurried(() => this.#ask(schoolOin, year, isFirst))
      .then(
        (held) => {
          this.#failed.delete(key);
          this.#hold(key, held);
          return held;
        },
        (thrown: unknown) => {
          const error = asUnavailable(thrown);
          const times = (failed?.times ?? 0) + 1;
          const restMs = Math.min(AGAIN_MOST_MS, AGAIN_MS * 2 ** Math.min(times - 1, 10));
          this.#failed.set(key, { error, times, untilMs: performance.now() + restMs });
          if (!this.#closing.signal.aborted)
            log('warn', 'names_not_had', { school_oin: schoolOin, ...describeError(asGatewayError(thrown)) });
          throw error;
        },
      )
      .finally(() => {
        this.#asking.delete(key);
        this.#late.delete(key);
      });
    // Who asked may have gone before it fails.
    begun.catch(() => undefined);
    this.#asking.set(key, begun);
    return begun;
  }

  /** An answer to a question that begins after this. */
  async #anew(schoolOin: string, year: string, isFirst: boolean): Promise<Held> {
    const key = keyOf(schoolOin, year);
    const before = this.#held.get(key);
    // One that is under way may have been answered by what was before.
    await this.#asking.get(key)?.catch(() => undefined);
    if (this.#held.get(key) === before) this.#held.delete(key);
    const held = await this.#people(schoolOin, year, isFirst);
    if (before && before.settled.size < MOST_SETTLED) for (const one of before.settled) held.settled.add(one);
    return held;
  }

  #inMemory(key: string): Held | undefined {
    const held = this.#held.get(key);
    return held && performance.now() < held.untilMs ? held : undefined;
  }

  #waited(key: string, asked: Promise<Held>): Promise<Held> {
    return new Promise((resolve, reject) => {
      const waitMs = this.#late.has(key) ? LATE_WAIT_MS : this.#options.waitMs;
      const timer = setTimeout(() => {
        if (this.#asking.has(key)) this.#late.add(key);
        reject(unavailable('late', 5));
      }, waitMs).unref();
      asked.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  #hold(key: string, held: Held): void {
    this.#held.delete(key);
    this.#held.set(key, held);
    let all = [...this.#held.values()].reduce((sum, one) => sum + one.count, 0);
    for (const [oldest, one] of this.#held) {
      if (all <= MOST_PEOPLE || oldest === key) break;
      this.#held.delete(oldest);
      all -= one.count;
    }
  }

  #drop(): void {
    const now = performance.now();
    for (const [key, { untilMs }] of this.#held) if (untilMs <= now) this.#held.delete(key);
    for (const [key, { untilMs }] of this.#failed) if (untilMs + AGAIN_MOST_MS <= now) this.#failed.delete(key);
  }

  #places(schoolOin: string): { settings: AdministrationSettings; at: SchoolAt }[] {
    if (this.#options.folder === undefined) return [];
    return readAdministrations(this.#options.folder)
      .list.filter(isAsked)
      .flatMap((settings) =>
        settings.schools.filter((at) => at.schoolOin === schoolOin).map((at) => ({ settings, at })),
      );
  }

  async #ask(schoolOin: string, year: string, isFirst: boolean): Promise<Held> {
    const { chain } = this.#needs;
    const places = this.#places(schoolOin);
    if (places.length === 0) throw unavailable('unset');
    const before = await this.#marksOf(schoolOin, year);
    const all = new Map<string, Known>();
    for (const { settings, at } of places) {
      // What may not be taken in is not asked for.
      const judge = () => chain.judge(schoolOin, settings.partyOin, Service.SERVICE_ROSTER);
      if (judge().fault !== undefined && (await chain.caughtUp())) judge();
      if (judge().fault !== undefined) throw unavailable('unmandated');
      const answer = await pullFrom(
        addressed(this.#needs, settings, at, settings.protocol),
        this.#diallers.of(settings),
        {
          school: at,
          schoolYear: year,
          isRunning: year === schoolYearOf(this.#needs.clock.now()),
          since: '',
          protocol: settings.protocol,
          header: autorisatieFor(settings, at),
          headers: Object.fromEntries(
            [...settings.headers].map(([name, file]) => [name, secretIn(file, `the header ${name}`)]),
          ),
          signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ASK_MS)]),
        },
      ).catch((thrown: unknown): { kind: 'nothing' } => {
        // Of a year to come it may say that it has none yet.
        if (isFirst || !(thrown instanceof PeerFault)) throw thrown;
        return { kind: 'nothing' };
      });
      if (answer.kind === 'roster') await this.#recognise(schoolOin, settings.partyOin, answer.roster, all);
      // Of the year that the school is in it has somebody; who has nobody answers something else than was asked.
      else if (isFirst) throw unavailable('empty');
    }
    refuseRenames(before, all);
    const people = new Clear(all);
    const untilMs = performance.now() + Math.min(this.#options.heldMs, HELD_MOST_MS);
    const held: Held = { people, count: all.size, settled: new Set(), untilMs };
    for (const one of newsIn(held, before)) held.settled.add(one);
    return held;
  }

  /** Whom the vault knows of a roster, under each token that they have. */
  async #recognise(schoolOin: string, partyOin: string, roster: Clear<Roster>, all: Map<string, Known>): Promise<void> {
    const people = roster.reveal((given) => {
      const message: Record<string, unknown> = { ...given };
      const [pgn] = findPgn([{ type: ROSTER, message, sender: partyOin, school: schoolOin }]);
      if (pgn) throw pgn;
      checkGrammar(ROSTER, message);
      return rosterPeople(given);
    });
    for (let from = 0; from < people.length; from += LOT) {
      const lot = people.slice(from, from + LOT);
      const { identified } = await this.#needs.services.vault.identify({
        schoolOin,
        sector: '',
        identities: lot.map(({ identity }) => ({ ...identity, partyOin })),
        create: false,
        saltFor: [],
        fleeting: true,
      });
      for (const [i, { token, merged, nameMark }] of identified.entries()) {
        const { person } = lot[i]!.identity;
        if (person === undefined || token === '') continue;
        const known = { person, mark: nameMark };
        all.set(token, known);
        if (merged) all.set(merged, known);
      }
    }
  }

  /** What rosters of the school and year say by now of whom. */
  async #marksOf(schoolOin: string, schoolYear: string): Promise<Asked[]> {
    const marks: Asked[] = [];
    for (let after = ''; ; ) {
      const asked = { schoolOin, schoolYear, limit: PAGE, after, siteCode: '' };
      const page = await this.#needs.services.rosters.getRoster(asked);
      for (const { learner: token, nameMark } of page.learners) marks.push({ token, nameMark });
      for (const { staff: token, nameMark } of page.staff) marks.push({ token, nameMark });
      if (page.next === '') return marks;
      after = page.next;
    }
  }
}

/** Of whom a roster says something that an answer does not know: that they are there, or what they are called. */
function newsIn({ people, settled }: Held, asked: readonly Asked[]): string[] {
  return people.reveal((known) =>
    asked.flatMap(({ token, nameMark }) => {
      const one = known.get(token);
      if (one && (nameMark.length === 0 || Buffer.compare(one.mark, nameMark) === 0)) return [];
      const news = `${token} ${one ? Buffer.from(nameMark).toString('base64') : '-'}`;
      return settled.has(news) ? [] : [news];
    }),
  );
}

/** Names that moved on by one row are nobody's: where many are others than the roster's, somebody looks first. */
function refuseRenames(before: readonly Asked[], all: ReadonlyMap<string, Known>): void {
  let [compared, renamed] = [0, 0];
  for (const { token, nameMark } of before) {
    const mark = all.get(token)?.mark;
    if (mark === undefined) continue;
    compared++;
    if (isOtherMark(nameMark, mark)) renamed++;
  }
  if (compared >= FEWEST && renamed * 100 > compared * RENAMES_PERCENT) throw unavailable('renames');
}

const keyOf = (schoolOin: string, year: string): string => `${schoolOin} ${year}`;

/** What an administration does, in our words. */
const does = {
  late: 'has not answered yet',
  unset: 'stands in no file of EDUK_ADMINISTRATIONS',
  unmandated: 'has no mandate of the school for rosters that holds',
  empty: 'has no pupils of this school and year',
  wrong: 'has settings here that cannot be used',
  pgn: 'sends what looks like personal numbers',
  refuses: 'refuses',
  unusable: 'gives no answer that can be used',
  unasked: 'cannot be asked now',
  renames:
    'has other names for many people than its last roster: that is fetched again and somebody looks at it (eduk roster pull, eduk hold list)',
} as const;

function unavailable(what: keyof typeof does, retryAfterS = 30): GatewayError {
  const told = does[what];
  return new GatewayError(
    'peer.unavailable',
    `Names of this school are not kept here but asked of its administration, which ${told}.`,
    { retryAfterS },
  );
}

/** What came between is told as one thing: no name can be told now. Words of the administration go nowhere. */
function asUnavailable(thrown: unknown): GatewayError {
  if (thrown instanceof ConfigError) return unavailable('wrong');
  const { fault, told } = asGatewayError(asPeers(thrown));
  if (thrown instanceof GatewayError && fault === 'peer.unavailable' && told.startsWith('Names of this school'))
    return thrown;
  // The school's own no is not the administration's.
  if (fault === 'school.closed') return new GatewayError(fault);
  if (fault === 'wire.pgn') return unavailable('pgn');
  if (fault === 'peer.refused') return unavailable('refuses');
  return unavailable(fault === 'peer.unavailable' ? 'unusable' : 'unasked');
}
