/**
 * Rosters that the gateway fetches: asks administrations over UWLR, when it is time or when somebody wants it, and hands what
 * comes to the intake by which every roster comes in. Which are due, and what came of the last, is in the rows of rosters.
 */
import { randomBytes } from 'node:crypto';
import { lossCounts, PeerFault } from '#adapters/uwlr';
import {
  asGatewayError,
  ConfigError,
  DialError,
  type Dialler,
  describeError,
  diallerFor,
  GatewayError,
  isSchoolYear,
  log,
  type Networks,
  schoolYearOf,
  type Who,
} from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import type { RosterDifference } from '#proto/eduk/events/v1/rosters';
import type { PulledRoster as PulledLine, PullLoss } from '#proto/eduk/operator/v1/operator';
import { Pull } from '#proto/eduk/rosters/v1/rosters';
import type { Gate } from '../gate.ts';
import { importRoster, pulledRosters } from '../imports.ts';
import { submit } from '../pipeline.ts';
import { partyCaller } from '../stages/authenticate.ts';
import { requireMandate } from '../stages/authorise.ts';
import { asPeers, pullFrom } from './client.ts';
import {
  type AdministrationSettings,
  autorisatieFor,
  type Protocol,
  readAdministrations,
  type SchoolAt,
  secretIn,
  tlsOf,
} from './settings.ts';

export { type AdministrationSettings, readAdministrations } from './settings.ts';

/** Which roster is wanted. */
export interface Wanted {
  /** Empty = every school of the administration. */
  schoolOin: string;
  /** Empty = the one that has the school. */
  partyOin: string;
  /** Empty = the running one. */
  schoolYear: string;
  whole: boolean;
  /** Empty = as the settings say. */
  protocol: string;
}

const LOOK_MS = 60_000;
const FIRST_LOOK_MS = 3_000;
/** One pull of one school, and how long its right lasts. */
const PULL_MS = 10 * 60_000;
const LEASE_MS = 11 * 60_000;
const DECIDE_MS = 10_000;
/** After a failure it is asked again after so long, twice as long each time, to the time between two pulls at most. */
const AGAIN_MS = 60_000;
/** Where a person must act, there is no use in asking often. */
const ACT_MS = 3_600_000;
/** Schools of one administration in a row that fail by it, after which it rests. */
const SILENT = 3;
/** Most schools that one request names. */
const MOST = 2_000;

export class AdministrationPulls {
  readonly #gate: Gate;
  readonly #folder: string;
  readonly #networks: Networks;
  readonly #stopping = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #diallers = new Map<string, { of: string; dialler: Dialler }>();
  /** One round of an administration at a time; others do not wait for it. */
  readonly #rounds = new Map<string, Promise<void>>();
  #told = '';

  constructor(gate: Gate, folder: string, networks: Networks) {
    this.#gate = gate;
    this.#folder = folder;
    this.#networks = networks;
  }

  /** Begins to ask by itself. */
  start(lookMs = LOOK_MS, firstMs = FIRST_LOOK_MS): void {
    const look = (): void => {
      const { list } = this.read();
      for (const settings of list)
        if (settings.everyMs > 0 && !this.#rounds.has(settings.name))
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
    for (const { dialler } of this.#diallers.values()) dialler.close();
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
    for (const schoolYear of this.#years(settings))
      for (const school of settings.schools) {
        if (this.#stopping.signal.aborted) return;
        const named = pullOf(settings, school, schoolYear);
        if (Number(known.get(nameOf(named))?.dueMs ?? 0n) > clock.now()) continue;
        const done = await this.#pull(settings, school, {
          schoolYear,
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
      .filter(({ partyOin }) => wanted.partyOin === '' || partyOin === wanted.partyOin)
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
    const schoolYear = wanted.schoolYear || schoolYearOf(this.#gate.door.clock.now());
    const lines: PulledLine[] = [];
    for (const { settings, school } of found) {
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
    const { clock, services } = this.#gate.door;
    const claim = randomBytes(16);
    const named = pullOf(settings, school, how.schoolYear);
    const { taken, pull: before } = await services.rosters.claimPull({
      pull: named,
      claim,
      leaseMs: BigInt(LEASE_MS),
      now: how.now,
    });
    if (!taken) return undefined;
    const stands = before ?? named;
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
    const due = fails
      ? waitMs(failures, settings.everyMs, done.pull!.who !== 'peer')
      : settings.everyMs || 365 * 86_400_000;
    const pull: Pull = { ...done.pull!, failures, lastMs: BigInt(now), dueMs: BigInt(now + due) };
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
    const answer = await pullFrom(settings, this.#dialler(settings), {
      school,
      schoolYear,
      isRunning,
      since: whole ? '' : stands.since,
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
        // What waits, or was refused, is asked for again as a whole.
        since: outcome === 'applied' || outcome === 'sent' ? answer.madeAt : stands.since,
      }),
      told: decision.told,
      holdId,
      difference,
      losses,
    };
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

  /** Connections of one administration; made anew when its settings are others. */
  #dialler(settings: AdministrationSettings): Dialler {
    const { ca, client } = tlsOf(settings);
    const of = [ca, client?.cert, client?.key].map((one) => one?.toString('base64') ?? '').join('|');
    const known = this.#diallers.get(settings.name);
    if (known?.of === of) return known.dialler;
    known?.dialler.close();
    const dialler = diallerFor(this.#networks, { ca, client });
    this.#diallers.set(settings.name, { of, dialler });
    return dialler;
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
