/**
 * Rosters that the gateway fetches: asks administrations over UWLR, when it is time or when somebody wants it, and hands what
 * comes to the intake by which every roster comes in. Which are due, and what came of the last, is in the rows of rosters.
 */
import { randomBytes } from 'node:crypto';
import { lossCounts, momentOf, PeerFault } from '#adapters/uwlr';
import {
  asGatewayError,
  ConfigError,
  DialError,
  describeError,
  GatewayError,
  isSchoolYear,
  log,
  type Networks,
  schoolYearOf,
  type Who,
} from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import type { RosterDifference } from '#proto/eduk/events/v1/rosters';
import type { ListedPull, PulledRoster as PulledLine, PullLoss } from '#proto/eduk/operator/v1/operator';
import { Pull } from '#proto/eduk/rosters/v1/rosters';
import type { Gate } from '../gate.ts';
import { importRoster, pulledRosters } from '../imports.ts';
import { submit } from '../pipeline.ts';
import { partyCaller } from '../stages/authenticate.ts';
import { requireMandate } from '../stages/authorise.ts';
import { addressed, isAsked } from './address.ts';
import { asPeers, pullFrom } from './client.ts';
import { Diallers } from './diallers.ts';
import {
  type AdministrationSettings,
  autorisatieFor,
  type Protocol,
  readAdministrations,
  type SchoolAt,
  secretIn,
} from './settings.ts';

export { type AdministrationSettings, readAdministrations } from './settings.ts';

/** Which roster is wanted. */
export interface Wanted {
  /** Empty = every school of the administration. */
  schoolOin: string;
  /** Empty = the one that has the school. */
  partyOin: string;
  /** Empty = the one that the school is in, or that of the calendar where that is later. */
  schoolYear: string;
  whole: boolean;
  /** Empty = as the settings say. */
  protocol: string;
}

const LOOK_MS = 60_000;
const FIRST_LOOK_MS = 3_000;
/** One pull of one school. */
const PULL_MS = 10 * 60_000;
/** Short, so that a process that was killed keeps nobody waiting; who is still at it says so in between. */
const LEASE_MS = 90_000;
const RENEW_MS = 30_000;
const DECIDE_MS = 10_000;
/** After a failure it is asked again after so long, twice as long each time, to the time between two pulls at most. */
const AGAIN_MS = 60_000;
/** Where a person must act, there is no use in asking often. */
const ACT_MS = 3_600_000;
/** A moment that is further ahead of our clock is none that an administration could have known. */
const AHEAD_MS = 5 * 60_000;
/** Schools of one administration in a row that fail by it, after which it rests. */
const SILENT = 3;
/** In place of a year: the one that each school turned to before August. */
const TURNED = 'turned';
/** Most schools that one request names. */
const MOST = 2_000;

export class AdministrationPulls {
  readonly #gate: Gate;
  readonly #folder: string;
  readonly #stopping = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #diallers: Diallers;
  /** One round of an administration at a time; others do not wait for it. */
  readonly #rounds = new Map<string, Promise<void>>();
  #told = '';

  constructor(gate: Gate, folder: string, networks: Networks) {
    this.#gate = gate;
    this.#folder = folder;
    this.#diallers = new Diallers(networks);
  }

  /** Begins to ask by itself. */
  start(lookMs = LOOK_MS, firstMs = FIRST_LOOK_MS): void {
    const look = (): void => {
      const { list } = this.read();
      for (const settings of list)
        if (settings.everyMs > 0 && isAsked(settings) && !this.#rounds.has(settings.name))
          this.#rounds.set(
            settings.name,
            this.#round(settings)
              .catch((thrown: unknown) => {
                if (!this.#stopping.signal.aborted) log('warn', 'pulls_failed', describeError(asGatewayError(thrown)));
              })
              .finally(() => this.#rounds.delete(settings.name)),
          );
    };
    this.#timers.push(setTimeout(look, firstMs).unref(), setInterval(look, lookMs).unref());
  }

  /** What is under way stops where it is; it is due again at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#rounds.values());
    this.#diallers.close();
  }

  /** The settings as they stand now: a file that was put there a moment ago counts. */
  read(): ReturnType<typeof readAdministrations> {
    const found = readAdministrations(this.#folder);
    const said = found.problems.join('\n');
    if (said !== this.#told) {
      this.#told = said;
      if (said !== '') log('warn', 'administrations_wrong', { problems: found.problems.length });
    }
    return found;
  }

  /** Names of what the settings as they are now have asked: administrations, and their rosters; and whether by itself. */
  #wanted(): Map<string, { pull: Pull; byItself: boolean }> {
    const names = new Map<string, { pull: Pull; byItself: boolean }>();
    for (const settings of this.read().list) {
      const byItself = settings.everyMs > 0;
      const own = Pull.fromPartial({ partyOin: settings.partyOin });
      names.set(nameOf(own), { pull: own, byItself });
      for (const schoolYear of this.#years(settings))
        for (const school of settings.schools) {
          const pull = pullOf(settings, school, schoolYear);
          names.set(nameOf(pull), { pull, byItself });
        }
    }
    return names;
  }

  /** Those of some pulls that the settings still ask for: another year, asked once by hand, is over with its answer. */
  stillWanted(pulls: readonly Pull[]): Pull[] {
    const wanted = this.#wanted();
    return pulls.filter((pull) => wanted.has(nameOf(pull)));
  }

  /** What came of each roster that was asked, and those that are to be asked and never were. */
  async list(of: { schoolOin: string; partyOin: string; failing: boolean }): Promise<ListedPull[]> {
    const wanted = this.#wanted();
    const { partyOin, schoolOin, failing } = of;
    const { pulls } = await this.#gate.door.services.rosters.listPulls({ partyOin, failing, limit: 10_000 });
    const all = new Map(pulls.map((pull) => [nameOf(pull), pull]));
    if (!failing) for (const [name, { pull }] of wanted) if (!all.has(name)) all.set(name, pull);
    return (
      [...all]
        .filter(([, pull]) => partyOin === '' || pull.partyOin === partyOin)
        // An administration that answers is no roster.
        .filter(([, pull]) =>
          schoolOin === '' ? pull.schoolOin !== '' || pull.failures > 0 : pull.schoolOin === schoolOin,
        )
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, pull]) => ({ pull, scheduled: wanted.get(name)?.byItself ?? false }))
    );
  }

  /** Everything of one administration that is due, one school after the other. */
  async #round(settings: AdministrationSettings): Promise<void> {
    const { door } = this.#gate;
    const { clock } = door;
    if (door.chain.party(settings.partyOin) === undefined || door.chain.isStopped(settings.partyOin)) return;
    const { pulls } = await door.services.rosters.listPulls({
      partyOin: settings.partyOin,
      failing: false,
      limit: 10_000,
    });
    const known = new Map(pulls.map((pull) => [nameOf(pull), pull]));
    const own = known.get(nameOf(Pull.fromPartial({ partyOin: settings.partyOin })));
    if (own && own.failures > 0 && Number(own.dueMs) > clock.now()) return;
    let silent = 0;
    for (const schoolYear of [...this.#years(settings), TURNED])
      for (const school of settings.schools) {
        if (this.#stopping.signal.aborted) return;
        const year = schoolYear === TURNED ? await this.#turnedAhead(settings, school) : schoolYear;
        if (year === '') continue;
        const named = pullOf(settings, school, year);
        if (dueOf(known.get(nameOf(named)), settings) > clock.now()) continue;
        const done = await this.#pull(settings, school, {
          schoolYear: year,
          whole: false,
          protocol: settings.protocol,
          now: false,
        });
        if (!done) continue;
        const isSilent = done.pull!.code === 'peer.unavailable' || done.reach === 'administration';
        silent = isSilent ? silent + 1 : 0;
        if (!isSilent) {
          if (own && own.failures > 0) await this.#noteOwn(settings, undefined);
          if (own) own.failures = 0;
        } else if (silent >= SILENT || done.reach === 'administration' || (own?.failures ?? 0) > 0) {
          // The others of this administration would be told the same; other administrations know nothing of it.
          await this.#noteOwn(settings, { before: own?.failures ?? 0, of: done });
          return;
        }
      }
  }

  /**
   * The year that a school goes to, or is in, by the calendar or because it turned before: the later one, since of a year that is to
   * come the roster is waited for.
   */
  async #latestOf(schoolOin: string): Promise<string> {
    const { door } = this.#gate;
    const { rosters } = await door.services.rosters.listSchools({ schoolOin });
    const running = rosters.find((one) => one.running)?.schoolYear ?? '';
    const calendar = schoolYearOf(door.clock.now());
    return running > calendar ? running : calendar;
  }

  /** The year of a school that went on to it before August, which everybody then reads; empty = it did not, or that is asked anyway. */
  async #turnedAhead(settings: AdministrationSettings, { schoolOin }: SchoolAt): Promise<string> {
    const month = new Date(this.#gate.door.clock.now()).getUTCMonth() + 1;
    if (month < 5 || month > 7 || settings.nextYear) return '';
    const year = await this.#latestOf(schoolOin);
    return this.#years(settings).includes(year) ? '' : year;
  }

  /** The running year; and the next one where it is wanted, from May on. */
  #years({ nextYear }: AdministrationSettings): string[] {
    const now = this.#gate.door.clock.now();
    const running = schoolYearOf(now);
    const month = new Date(now).getUTCMonth() + 1;
    const next = Number(running.slice(5));
    return nextYear && month >= 5 && month <= 7 ? [running, `${next}-${next + 1}`] : [running];
  }

  async #noteOwn(settings: AdministrationSettings, failed: { before: number; of: Done } | undefined): Promise<void> {
    const { clock, services } = this.#gate.door;
    const { pull } = failed?.of ?? {};
    const failures = failed ? failed.before + 1 : 0;
    await services.rosters.notePull({
      pull: Pull.fromPartial({
        partyOin: settings.partyOin,
        lastMs: BigInt(clock.now()),
        dueMs: BigInt(clock.now() + (failed ? waitMs(failures, settings.everyMs, false) : 0)),
        outcome: failed ? 'failed' : 'answered',
        code: pull?.code ?? '',
        faultcode: pull?.faultcode ?? '',
        who: pull?.who ?? '',
        told: failed?.of.told ?? '',
        failures,
      }),
      claim: new Uint8Array(),
    });
    if (failed) log('warn', 'administration_rests', { party_oin: settings.partyOin, code: pull!.code, failures });
  }

  /**
   * Fetches what somebody wants, now. Faults: wire.invalid, state.missing (nobody has it), state.conflict (another is under
   * way); what an administration answers is in the lines.
   */
  async pull(wanted: Wanted): Promise<PulledLine[]> {
    const { list, problems } = this.read();
    if (wanted.schoolYear !== '' && !isSchoolYear(wanted.schoolYear))
      throw new GatewayError('wire.invalid', 'A school year is two years that follow each other.', {
        where: 'school_year',
      });
    if (!['', 'alles-in-een', 'getrapt'].includes(wanted.protocol))
      throw new GatewayError('wire.invalid', 'A protocol is alles-in-een or getrapt.', { where: 'protocol' });
    const found = list
      .filter((settings) => isAsked(settings) && (wanted.partyOin === '' || settings.partyOin === wanted.partyOin))
      .flatMap((settings) =>
        settings.schools
          .filter(({ schoolOin }) => wanted.schoolOin === '' || schoolOin === wanted.schoolOin)
          .map((school) => ({ settings, school })),
      );
    if (found.length === 0 && problems.length > 0)
      throw new GatewayError(
        'state.missing',
        'No administration in EDUK_ADMINISTRATIONS has this school; some that stand there cannot be used: see eduk doctor.',
      );
    if (found.length === 0)
      throw new GatewayError('state.missing', 'No administration in EDUK_ADMINISTRATIONS has this school.');
    if (wanted.partyOin === '' && new Set(found.map(({ settings }) => settings.partyOin)).size > 1)
      throw new GatewayError('wire.invalid', 'Several administrations have this: name one.', { where: 'party_oin' });
    if (found.length > MOST) throw new GatewayError('wire.too_large', 'Name a school: these are too many at once.');
    const lines: PulledLine[] = [];
    for (const { settings, school } of found) {
      const schoolYear = wanted.schoolYear || (await this.#latestOf(school.schoolOin));
      const protocol = (wanted.protocol || settings.protocol) as Protocol;
      const done = await this.#pull(settings, school, { schoolYear, whole: wanted.whole, protocol, now: true });
      if (!done) {
        if (found.length === 1) throw new GatewayError('state.conflict', 'This roster is being asked for already.');
        continue;
      }
      const { reach: _, ...line } = done;
      lines.push(line);
      if (this.#stopping.signal.aborted) throw new GatewayError('gateway.stopping');
    }
    return lines;
  }

  /** Asks, takes in, and notes what came of it. Undefined: it is not due, or somebody else asks. */
  async #pull(
    settings: AdministrationSettings,
    school: SchoolAt,
    how: { schoolYear: string; whole: boolean; protocol: Protocol; now: boolean },
  ): Promise<Done | undefined> {
    const { services } = this.#gate.door;
    const claim = randomBytes(16);
    const named = pullOf(settings, school, how.schoolYear);
    const { taken, pull: before } = await services.rosters.claimPull({
      pull: named,
      claim,
      leaseMs: BigInt(LEASE_MS),
      now: how.now,
    });
    if (!taken) return undefined;
    const renewing = setInterval(() => {
      // Only what is still its own: it is not due any more once it was noted. Where this cannot be said, the lease ends.
      void services.rosters
        .claimPull({ pull: named, claim, leaseMs: BigInt(LEASE_MS), now: false })
        .catch(() => undefined);
    }, RENEW_MS).unref();
    try {
      return await this.#pullAs(settings, school, how, { claim, stands: before ?? named });
    } finally {
      clearInterval(renewing);
    }
  }

  /** As the one that has the right to. */
  async #pullAs(
    settings: AdministrationSettings,
    school: SchoolAt,
    how: { schoolYear: string; whole: boolean; protocol: Protocol },
    { claim, stands }: { claim: Uint8Array; stands: Pull },
  ): Promise<Done> {
    const { clock, services } = this.#gate.door;
    let done: Done;
    try {
      done = await this.#ask(settings, school, how, stands);
    } catch (thrown) {
      if (this.#stopping.signal.aborted) {
        // Nothing came of it: it is due as it was.
        await services.rosters.notePull({ pull: stands, claim });
        throw new GatewayError('gateway.stopping');
      }
      done = this.#failed(settings, school, stands, thrown);
    }
    const now = clock.now();
    const fails = done.pull!.outcome === 'failed' || done.pull!.outcome === 'refused';
    const failures = fails ? stands.failures + 1 : 0;
    // One that is asked only when somebody wants it has no time at which it is due.
    const due = fails
      ? now + waitMs(failures, settings.everyMs, done.pull!.who !== 'peer')
      : settings.everyMs && now + settings.everyMs;
    const pull: Pull = { ...done.pull!, told: done.told, failures, lastMs: BigInt(now), dueMs: BigInt(due) };
    await services.rosters.notePull({ pull, claim });
    tellOf(pull);
    return { ...done, pull };
  }

  async #ask(
    settings: AdministrationSettings,
    school: SchoolAt,
    { schoolYear, whole, protocol }: { schoolYear: string; whole: boolean; protocol: Protocol },
    stands: Pull,
  ): Promise<Done> {
    const gate = this.#gate;
    const { door } = gate;
    const caller = partyCaller(door.chain, settings.partyOin);
    // What may not be taken in is not asked for.
    await door.chain.afresh(() => requireMandate(door, caller, school.schoolOin, Service.SERVICE_ROSTER));
    const isRunning = schoolYear === schoolYearOf(door.clock.now());
    const answer = await pullFrom(addressed(door, settings, school, protocol), this.#diallers.of(settings), {
      school,
      schoolYear,
      isRunning,
      since: whole || this.#lacksNames(stands) || !(await this.#isHeld(stands)) ? '' : stands.since,
      protocol,
      header: autorisatieFor(settings, school),
      headers: Object.fromEntries(
        [...settings.headers].map(([name, file]) => [name, secretIn(file, `the header ${name}`)]),
      ),
      signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(PULL_MS)]),
    });
    const answered = { ...stands, answeredMs: BigInt(door.clock.now()), faultcode: '', code: '', who: '', flowId: '' };
    if (answer.kind === 'unchanged') return lineOf({ ...answered, outcome: 'unchanged' });
    // An administration that has nobody empties no school: what is known stands, and somebody looks.
    if (answer.kind === 'nothing')
      return {
        ...lineOf({ ...answered, outcome: 'nothing', who: 'school' }),
        told: 'The administration has no pupils of this school and year; what is known of it stands.',
      };
    const losses: PullLoss[] = answer.losses;
    const taken = await importRoster(
      gate,
      caller,
      {
        roster: answer.roster,
        warnings: [],
        losses: lossCounts(answer.losses),
        lines: { learners: [], groups: [], staff: [], sites: [] },
      },
      { schoolOin: '', schoolYear: '', siteCode: '', intake: pulledRosters },
      DECIDE_MS,
    );
    const { flowId, decision, holdId, difference } = taken;
    const outcome =
      decision.outcome === 'RosterApplied'
        ? 'applied'
        : decision.outcome === 'RosterHeld'
          ? 'held'
          : decision.outcome === ''
            ? 'sent'
            : 'refused';
    return {
      ...lineOf({
        ...answered,
        outcome,
        flowId,
        learners: answer.learners,
        code: outcome === 'held' ? 'hold.pending' : decision.code,
        who: outcome === 'held' ? 'school' : outcome === 'refused' ? 'peer' : '',
        // What waits, was refused, or is not decided yet is asked for again.
        since: outcome === 'applied' ? this.#sinceAfter(answer.madeAt) : stands.since,
      }),
      told: decision.told,
      holdId,
      difference,
      losses,
    };
  }

  /** Names of the school are kept since a while, and what was had before came without them. */
  #lacksNames({ schoolOin, answeredMs }: Pull): boolean {
    const { chain } = this.#gate.door;
    return !chain.isOnDemand(schoolOin) && (chain.standing(schoolOin)?.identityMs ?? 0n) > answeredMs;
  }

  /**
   * Whether a roster of it stands here. One that went, of a school that was forgotten and comes again, is asked for whole: nothing of
   * it changed at the administration.
   */
  async #isHeld({ schoolOin, schoolYear, siteCode, administration }: Pull): Promise<boolean> {
    const { rosters } = await this.#gate.door.services.rosters.listSchools({ schoolOin });
    const known = rosters.find((one) => one.schoolYear === schoolYear);
    if (!known) return false;
    // A year of before scopes were kept has none.
    return (
      known.sites.length === 0 ||
      known.sites.some((one) => one.siteCode === siteCode && one.administration === administration)
    );
  }

  /** What the next question asks since. Since a day to come nothing would have changed until then, so everything is asked. */
  #sinceAfter(madeAt: string): string {
    return madeAt !== '' && Date.parse(momentOf(madeAt)) > this.#gate.door.clock.now() + AHEAD_MS ? '' : madeAt;
  }

  #failed(settings: AdministrationSettings, school: SchoolAt, stands: Pull, thrown: unknown): Done {
    const error = asGatewayError(
      thrown instanceof ConfigError ? new GatewayError('gateway.unavailable', thrown.problems[0]) : asPeers(thrown),
    );
    const of = error instanceof PeerFault ? error.of : undefined;
    if (error.fault === 'gateway.bug') log('error', 'pull_bug', describeError(error));
    const caller =
      this.#gate.door.chain.party(settings.partyOin) && partyCaller(this.#gate.door.chain, settings.partyOin);
    if (caller) {
      const refused = submit(pulledRosters([]), {} as never, caller);
      refused.school = school.schoolOin;
      this.#gate.notes.note(refused, error);
    }
    return {
      ...lineOf({
        ...stands,
        outcome: 'failed',
        code: error.fault,
        faultcode: of?.faultcode ?? '',
        who: of?.who ?? whoActs(error),
        flowId: '',
      }),
      told: error.told,
      where: error.where.slice(0, 100).map(({ path, line }) => (line === undefined ? path : `${path}, line ${line}`)),
      reach: of?.reach ?? (error instanceof DialError ? 'peer' : ''),
    };
  }
}

type Done = PulledLine & { reach: string };

const lineOf = (pull: Pull): Done => ({
  pull,
  told: '',
  where: [],
  holdId: '',
  difference: undefined as RosterDifference | undefined,
  losses: [],
  reach: '',
});

const pullOf = ({ partyOin }: AdministrationSettings, school: SchoolAt, schoolYear: string): Pull =>
  Pull.fromPartial({
    partyOin,
    schoolOin: school.schoolOin,
    schoolYear,
    siteCode: school.siteCode,
    administration: school.administration,
  });

/** When it is asked by itself; one that was asked only when somebody wanted it follows what its settings say now. */
const dueOf = (pull: Pull | undefined, { everyMs }: AdministrationSettings): number =>
  pull === undefined ? 0 : Number(pull.dueMs) || Number(pull.lastMs) + everyMs;

const nameOf = ({ partyOin, schoolOin, schoolYear, siteCode, administration }: Pull): string =>
  [partyOin, schoolOin, schoolYear, siteCode, administration].join('|');

/** The table's, but for what the administration sent: then it is the one who must act. */
function whoActs(error: GatewayError): Who {
  if (error.fault.startsWith('wire.')) return 'peer';
  if (
    error instanceof DialError &&
    (error.reason === 'address' || error.reason === 'tls' || error.reason === 'unknown_host')
  )
    return 'us';
  return error.fault === 'peer.refused' ? 'us' : error.row.who;
}

/** How long is waited after so many failures in a row. Never longer than between two pulls, nor than a day. */
function waitMs(failures: number, everyMs: number, mustAct: boolean): number {
  const most = Math.min(everyMs || 86_400_000, 86_400_000);
  const wait = (mustAct ? ACT_MS : AGAIN_MS) * 2 ** Math.min(failures - 1, 12);
  return Math.round(Math.min(most, wait) * (1 + Math.random() / 10));
}

/** What a person who reads the log is told. */
function tellOf({ partyOin, schoolOin, outcome, code, faultcode, who, failures, learners }: Pull): void {
  const isWrong = outcome === 'failed' || outcome === 'refused' || outcome === 'held' || outcome === 'nothing';
  log(isWrong ? 'warn' : 'info', isWrong ? 'pull_failed' : 'pulled', {
    party_oin: partyOin,
    school_oin: schoolOin,
    outcome,
    learners,
    ...(isWrong ? { code, faultcode, who, failures } : {}),
  });
}
