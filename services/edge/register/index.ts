/**
 * Keeps mandates as OSR has them: asks it, compares, has what would end too much approved, and applies the rest through the
 * intakes that every mandate comes in by. One process does so at a time, by a lease in the rows of the parties.
 */
import { randomBytes } from 'node:crypto';
import {
  asGatewayError,
  type Dialler,
  describeError,
  diallerFor,
  dutchDay,
  GatewayError,
  isPartyOin,
  isSchoolOin,
  log,
  type Networks,
  shared,
} from '#kernel';
import { Mandate, MandateState, Role, type Service } from '#proto/eduk/core/v1/party';
import type { RegisterLine, SyncRegisterRequest, SyncRegisterResponse } from '#proto/eduk/operator/v1/operator';
import { RegisterRun } from '#proto/eduk/parties/v1/parties';
import { operator } from '../caller.ts';
import { registerChange, registerGrant, registerMandateId } from '../intake/register.ts';
import { pass, submit } from '../pipeline.ts';
import type { Door, Intake } from '../submission.ts';
import { type Osr, type OsrAddress, osrAt } from './client.ts';
import {
  changing,
  compare,
  type Difference,
  ending,
  heldBecause,
  holdIdOf,
  isUnanswered,
  OSR,
  type Said,
  type Unanswered,
} from './difference.ts';

export { OSR } from './difference.ts';

export interface RegisterOptions {
  address: OsrAddress;
  /** Authorities of OSR (PEM), and what is shown to it. */
  ca: Buffer | undefined;
  client: { cert: Buffer; key: Buffer } | undefined;
  /** Services of a mandate, by the name that OSR gives one of its own. */
  services: ReadonlyMap<string, readonly Service[]>;
  /** Between two comparisons; 0 = none but those that are asked for. */
  everyMs: number;
  thresholdPercent: number;
  runOffDays: number;
}

/** What a comparison is asked to do. */
export type Asked = Pick<SyncRegisterRequest, 'schoolOins' | 'partyOins' | 'date' | 'dryRun' | 'approve'>;
/** What comes of it, without the names around it. */
type Done = Omit<SyncRegisterResponse, 'names'>;

/** Questions, and changes, under way at once. */
const AT_ONCE = 4;
/** Questions in a row without an answer after which no others are asked. */
const SILENT = 8;
const LEASE_MS = 60_000;
const LOOK_MS = 60_000;
const FIRST_LOOK_MS = 2_000;
/** Longest that one change waits for its decision. */
const DECIDE_MS = 10_000;
const DAY_MS = 86_400_000;

/** Who may be mandated in OSR. */
const suppliers: readonly Role[] = [
  Role.ROLE_ADMINISTRATION,
  Role.ROLE_DISTRIBUTOR,
  Role.ROLE_PUBLISHER,
  Role.ROLE_PLATFORM,
  Role.ROLE_DASHBOARD,
];

export class Register {
  readonly #door: Door;
  readonly #options: RegisterOptions;
  readonly #dialler: Dialler;
  readonly #stopping = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #looking = shared(() => this.#scheduled());

  constructor(door: Door, networks: Networks, options: RegisterOptions) {
    this.#door = door;
    this.#options = options;
    this.#dialler = diallerFor(networks, { ca: options.ca, client: options.client });
  }

  /** Begins to compare by itself, where it was set to. */
  start(lookMs = LOOK_MS, firstMs = FIRST_LOOK_MS): void {
    if (this.#options.everyMs === 0) return;
    const look = (): void => void this.#looking();
    this.#timers.push(setTimeout(look, firstMs).unref(), setInterval(look, lookMs).unref());
  }

  /** What is under way stops where it is; the next comparison finds what it left. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#looking.idle();
    this.#dialler.close();
  }

  async #scheduled(): Promise<void> {
    try {
      await this.#door.chain.refresh();
      const asked = { schoolOins: [], partyOins: [], date: '', dryRun: false, approve: '' };
      await this.#alone(this.#options.everyMs, (signal) => this.#sync(asked, signal));
    } catch (thrown) {
      // That another process does it is why there is a lease.
      const { fault } = asGatewayError(thrown);
      if (fault !== 'state.conflict' && !this.#stopping.signal.aborted)
        log('warn', 'register_failed', describeError(thrown));
    }
  }

  /**
   * Compares, and unless it is a dry run applies. Faults: wire.invalid, state.conflict (another is under way, or what was
   * approved is no longer the difference), peer.unavailable and peer.refused (OSR).
   */
  async sync(asked: Asked): Promise<Done> {
    this.#check(asked);
    if (asked.dryRun) return this.#sync(asked, this.#stopping.signal);
    return this.#alone(0, (signal) => this.#sync(asked, signal));
  }

  #check({ schoolOins, partyOins, date, dryRun, approve }: Asked): void {
    if (!schoolOins.every(isSchoolOin))
      throw new GatewayError('wire.invalid', 'OSR knows schools: 00000007000, the BRIN and five digits.', {
        where: 'school_oins',
      });
    if (!partyOins.every(isPartyOin))
      throw new GatewayError('wire.invalid', 'A party is named by its OIN.', { where: 'party_oins' });
    if (dryRun && approve !== '')
      throw new GatewayError('wire.invalid', 'What is only looked at needs no approval.', { where: 'approve' });
    if (date !== '' && date !== dutchDay(this.#door.clock.now()) && !dryRun)
      throw new GatewayError('wire.invalid', 'Another day than today is only looked at: ask it with dry_run.', {
        where: 'date',
      });
  }

  /** Runs `work` while no other process compares, and notes what came of it. */
  async #alone(everyMs: number, work: (signal: AbortSignal) => Promise<Done>): Promise<Done> {
    const { parties } = this.#door.services;
    const claim = randomBytes(16);
    const ask = (every: number) =>
      parties.claimRegister({ register: OSR, claim, leaseMs: BigInt(LEASE_MS), everyMs: BigInt(every) });
    const { taken } = await ask(everyMs);
    if (!taken) throw new GatewayError('state.conflict', 'Another comparison with OSR is under way.');
    const lost = new AbortController();
    const keep = setInterval(() => {
      ask(0).then(
        (again) => {
          if (!again.taken) lost.abort();
        },
        // It is asked again before the lease is over; an owner that stays away ends it.
        () => undefined,
      );
    }, LEASE_MS / 3).unref();
    let run: RegisterRun | undefined;
    try {
      const done = await work(AbortSignal.any([this.#stopping.signal, lost.signal]));
      run = done.run;
      return done;
    } catch (thrown) {
      const { fault } = asGatewayError(thrown);
      // Who approved something else did not compare, nor who was told to stop.
      if (fault !== 'state.conflict' && !this.#stopping.signal.aborted)
        run = RegisterRun.fromPartial({
          register: OSR,
          atMs: BigInt(this.#door.clock.now()),
          outcome: 'failed',
          code: fault,
        });
      throw thrown;
    } finally {
      clearInterval(keep);
      await parties
        .noteRegister({ register: OSR, claim, run })
        .catch((thrown: unknown) => log('warn', 'register_not_noted', describeError(thrown)));
    }
  }

  async #sync(asked: Asked, signal: AbortSignal): Promise<Done> {
    const { thresholdPercent, runOffDays, services } = this.#options;
    const { chain, clock, dialler } = this.#door;
    const today = dutchDay(clock.now());
    const day = asked.date || today;
    const osr = osrAt(this.#options.address, this.#dialler, { signal });
    const said = await this.#ask(osr, asked, day, signal);
    const difference = compare(said, {
      between: (school, party) => chain.between(school, party),
      problemWith: (url) => dialler.networks.problemWith(url),
      day,
      runOffUntil: dutchDay(clock.now() + runOffDays * DAY_MS),
      services,
    });
    const why = heldBecause(difference, thresholdPercent);
    const holdId = why ? holdIdOf(difference) : '';
    if (asked.approve !== '' && holdIdOf(difference) !== asked.approve)
      throw new GatewayError('state.conflict', 'OSR says something else now than what was approved: look again.', {
        where: 'approve',
      });
    const isHeld = why !== undefined && asked.approve === '';
    if (!asked.dryRun && !isHeld) await this.#apply(difference, signal);
    const run = this.#runOf(difference, said, isHeld ? holdId : '');
    if (!asked.dryRun) tellOf(run);
    return { lines: difference.lines, run, date: day, unchanged: difference.unchanged };
  }

  /** Asks about every school and service; who answers a few times in a row nothing is asked no more. */
  async #ask(osr: Osr, { schoolOins, partyOins }: Asked, day: string, signal: AbortSignal): Promise<Said[]> {
    const { chain } = this.#door;
    const standing = chain
      .mandates()
      .filter(({ source, state }) => source === OSR && state !== MandateState.MANDATE_STATE_ENDED);
    const schools =
      schoolOins.length > 0
        ? schoolOins
        : [
            ...chain.parties().flatMap(({ oin, roles }) => (roles.includes(Role.ROLE_SCHOOL) ? [oin] : [])),
            ...standing.map(({ schoolOin }) => schoolOin),
          ].filter(isSchoolOin);
    const parties =
      partyOins.length > 0
        ? partyOins
        : [
            ...chain
              .parties()
              .flatMap(({ oin, roles }) => (roles.some((role) => suppliers.includes(role)) ? [oin] : [])),
            ...standing.map(({ partyOin }) => partyOin),
          ];
    let silent = 0;
    const answer = async <T>(ask: () => Promise<T>): Promise<T | Unanswered> => {
      try {
        const given = await ask();
        silent = 0;
        return given;
      } catch (thrown) {
        const error = asGatewayError(thrown);
        // Who does not let us in does so for all.
        if (error.fault !== 'peer.unavailable' || ++silent >= SILENT) throw error;
        return { fault: error.fault, told: error.told };
      }
    };
    const asked = [...new Set(schools)]
      .sort()
      .flatMap((school) => [...this.#options.services.keys()].map((namespace) => ({ school, namespace })));
    const who = [...new Set(parties)].sort();
    return severally(asked, AT_ONCE, async ({ school, namespace }) => {
      if (signal.aborted) throw new GatewayError('gateway.stopping');
      const found = new Map<string, Awaited<ReturnType<Osr['mandate']>> | Unanswered>();
      for (const supplier of who)
        found.set(supplier, await answer(() => osr.mandate({ school, supplier, namespace, day })));
      const endpoints = await answer(() => osr.endpoints({ school, namespace, day }));
      const isThere = [...found.values()].some((one) => !isUnanswered(one) && one.holds);
      const known = isThere ? undefined : await answer(async () => (await osr.school(school)) !== undefined);
      return { school, namespace, known, suppliers: found, endpoints };
    });
  }

  /** New mandates first: where one takes the place of another, there is no moment without. */
  async #apply({ lines }: Difference, signal: AbortSignal): Promise<void> {
    const inOrder = [lines.filter(({ kind }) => kind === 'add'), lines.filter(({ kind }) => kind === 'change')];
    for (const some of [...inOrder, lines.filter(({ kind }) => ending.has(kind))])
      await severally(some, AT_ONCE, async (line) => {
        if (signal.aborted) throw new GatewayError('gateway.stopping');
        await this.#applyOne(line);
      });
    await this.#door.chain.refresh();
  }

  async #applyOne(line: RegisterLine): Promise<void> {
    const { chain } = this.#door;
    let flowId: string;
    if (line.kind === 'add') {
      const { schoolOin, partyOin, services, sourceService, validFrom, validUntil, endpoints } = line;
      let turn = 0;
      const nextId = () => registerMandateId(line, turn);
      while (chain.mandate(nextId())?.state === MandateState.MANDATE_STATE_ENDED) turn++;
      const mandateId = nextId();
      const mandate = Mandate.fromPartial({
        mandateId,
        schoolOin,
        partyOin,
        services,
        validFrom,
        validUntil,
        source: OSR,
        sourceService,
        endpoints,
      });
      line.mandateId = mandateId;
      flowId = await this.#take(registerGrant(mandate), { mandate, confirm: true });
    } else {
      const mandate = chain.mandate(line.mandateId);
      if (!mandate) return;
      const { mandateId, runOffUntil, kind } = line;
      flowId = await this.#take(registerChange(mandate, line), { mandateId, change: kind, runOffUntil });
    }
    const { flow } = await this.#door.services.flows.awaitDecision({ flowId, waitMs: BigInt(DECIDE_MS) });
    if (!flow?.code) {
      line.applied = true;
      return;
    }
    // Such as a board that gave less: the school's board must speak, and the rest is applied.
    line.code = flow.code;
    line.told = flow.told;
    line.who = 'school';
    line.kind = 'refused';
  }

  async #take<Req>(intake: Intake<Req>, request: Req): Promise<string> {
    const submission = submit(intake, request, operator, {});
    await pass([submission], this.#door);
    if (submission.refused) throw submission.refused;
    return submission.flowId;
  }

  #runOf({ lines }: Difference, said: readonly Said[], holdId: string): RegisterRun {
    const count = (...kinds: string[]): number => lines.filter(({ kind }) => kinds.includes(kind)).length;
    return {
      register: OSR,
      atMs: BigInt(this.#door.clock.now()),
      outcome: holdId ? 'held' : 'done',
      code: holdId ? 'hold.pending' : '',
      holdId,
      schools: new Set(said.map(({ school }) => school)).size,
      added: count('add'),
      changed: count('change'),
      ended: count(...ending),
      unmatched: lines.filter(({ kind, who }) => !changing.has(kind) && kind !== 'unanswered' && who !== '').length,
      unanswered: count('unanswered'),
    };
  }
}

/** What a person who reads the log is told; counts only. */
function tellOf({ outcome, schools, added, changed, ended, unmatched, unanswered }: RegisterRun): void {
  const isHeld = outcome === 'held';
  log(isHeld || unanswered > 0 ? 'warn' : 'info', isHeld ? 'register_held' : 'register_synced', {
    schools,
    added,
    changed,
    ended,
    unmatched,
    unanswered,
  });
}

/** Runs `work` on each, some at a time; the results are in the order of `list`. The first failure ends it. */
async function severally<T, R>(list: readonly T[], atOnce: number, work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let hasFailed = false;
  const run = async (): Promise<void> => {
    while (next < list.length && !hasFailed) {
      const i = next++;
      try {
        results[i] = await work(list[i]!);
      } catch (thrown) {
        hasFailed = true;
        throw thrown;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, list.length) }, run));
  return results;
}
