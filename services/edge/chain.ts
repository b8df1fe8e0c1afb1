import {
  type Client,
  type Clock,
  dutchDay,
  type Fault,
  FORGOTTEN_CLOSED_MS,
  type FreezeAct,
  type FreezeFact,
  type Frozen,
  frozen,
  GatewayError,
  log,
  unhurried,
} from '#kernel';
import {
  type Freeze,
  type HoldRule,
  type Mandate,
  MandateState,
  type Party,
  Role,
  type SchoolForgetting,
  Service,
} from '#proto/eduk/core/v1/party';
import type { PartiesServiceDefinition, PartyRow } from '#proto/eduk/parties/v1/parties';
import { sameDigest } from './secrets.ts';

export type Parties = Pick<Client<typeof PartiesServiceDefinition>, 'snapshot'>;

/** Whom changes are asked of, and what of that is under way. */
interface Way {
  readonly parties: Parties;
  running?: Promise<void> | undefined;
  next?: Promise<void> | undefined;
}

/**
 * The doors' copy of who is in the chain and what schools agreed to. Refreshed several times a second; a copy older than
 * 5 s is not judged by: the door then says `gateway.overloaded` instead of guessing.
 */
export class Chain {
  readonly #byState: Way;
  readonly #beside: Way;
  readonly #clock: Clock;
  #version = 0n;
  #freshMs = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #byOin = new Map<string, PartyRow>();
  readonly #byApiKey = new Map<string, string>();
  readonly #byClientId = new Map<string, string>();
  readonly #byKlantcode = new Map<string, string>();
  readonly #byNumber = new Map<string, string>();
  readonly #mandates = new Map<string, Mandate>();
  /** Ids of the mandates of one grant of a board for all its schools. */
  readonly #parts = new Map<string, Set<string>>();
  /** Mandates by `school|party`. */
  readonly #pairs = new Map<string, Map<string, Mandate>>();
  /** OIN of the pair's school and party by digest of the autorisatiesleutel. */
  readonly #byKey = new Map<string, { school: string; party: string }>();
  readonly #keyOfPair = new Map<string, string>();
  readonly #schools = new Set<string>();
  /** Ids of mandates for some sites of their school that have not ended. */
  readonly #bySite = new Set<string>();

  readonly #freezes = new Map<string, Freeze>();
  readonly #holdRules = new Map<string, HoldRule>();

  /** `beside`: answers persons, who wait for nothing that is being decided; default: the same. */
  constructor(parties: Parties, clock: Clock, beside: Parties = parties) {
    this.#byState = { parties };
    this.#beside = beside === parties ? this.#byState : { parties: beside };
    this.#clock = clock;
  }

  async start(everyMs = 250): Promise<void> {
    await this.refresh();
    this.#timer = setInterval(() => {
      // One that is still under way need not be followed by another for each turn it takes.
      if (this.#byState.running) return;
      void this.refresh().catch(() => log('warn', 'chain_copy_stale', { age_ms: this.#clock.now() - this.#freshMs }));
    }, everyMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Takes in what changed. A refresh that starts after a decision was told sees that decision; those who ask while one is
   * under way share the next.
   */
  refresh(): Promise<void> {
    return this.#refresh(this.#byState);
  }

  /** The same for a person, who waits for nothing that is being decided. */
  refreshBeside(): Promise<void> {
    return this.#refresh(this.#beside);
  }

  #refresh(way: Way): Promise<void> {
    if (!way.running) return this.#begin(way);
    way.next ??= way.running
      .catch(() => undefined)
      .then(() => {
        way.next = undefined;
        return this.#begin(way);
      });
    return way.next;
  }

  #begin(way: Way): Promise<void> {
    const running = unhurried(() => this.#take(way)).finally(() => {
      way.running = undefined;
    });
    way.running = running;
    return running;
  }

  /**
   * Runs `work`. When that refuses for what another door may have taken in a moment ago (a party, a mandate), it runs again
   * on a fresh copy, so that a party may use any door. `work` changes nothing before it refuses.
   */
  async afresh<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      if (!mayBeStale(thrown) || !(await this.caughtUp())) throw thrown;
      return work();
    }
  }

  /** Takes in what changed; whether anything had. */
  async caughtUp(): Promise<boolean> {
    const before = this.#version;
    // Where that cannot be found out, what stands is answered by.
    await this.refresh().catch(() => undefined);
    return this.#version !== before;
  }

  async #take({ parties: by }: Way): Promise<void> {
    const asked = this.#clock.now();
    const { version, parties, mandates, freezes, holdRules } = await by.snapshot({ since: this.#version });
    // The other way was quicker, and brought more: what this one says is older.
    if (version < this.#version) return;
    for (const row of parties) this.#takeParty(row);
    for (const { mandate, keyDigest } of mandates) if (mandate) this.#takeMandate(mandate, keyDigest);
    for (const freeze of freezes) this.#freezes.set(freeze.freezeId, freeze);
    for (const rule of holdRules) this.#holdRules.set(rule.ruleId, rule);
    this.#version = version;
    this.#freshMs = Math.max(this.#freshMs, asked);
  }

  #takeParty(row: PartyRow): void {
    const party = row.party!;
    const before = this.#byOin.get(party.oin)?.credentials;
    for (const digest of [before?.apiKey, before?.apiKeyBefore]) if (digest) this.#byApiKey.delete(nameOf(digest));
    for (const number of before?.signIn?.numbers ?? [])
      if (this.#byNumber.get(number) === party.oin) this.#byNumber.delete(number);
    this.#byOin.set(party.oin, row);
    if (party.roles.includes(Role.ROLE_SCHOOL)) this.#schools.add(party.oin);
    const c = row.credentials;
    if (!c) return;
    for (const digest of [c.apiKey, c.apiKeyBefore])
      if (digest.length > 0) this.#byApiKey.set(nameOf(digest), party.oin);
    if (c.clientId) this.#byClientId.set(c.clientId, party.oin);
    if (c.klantcode) this.#byKlantcode.set(c.klantcode, party.oin);
    for (const number of c.signIn?.numbers ?? []) this.#byNumber.set(number, party.oin);
  }

  #takeMandate(mandate: Mandate, keyDigest: Uint8Array): void {
    this.#mandates.set(mandate.mandateId, mandate);
    if (mandate.siteCodes.length > 0 && mandate.state !== MandateState.MANDATE_STATE_ENDED)
      this.#bySite.add(mandate.mandateId);
    else this.#bySite.delete(mandate.mandateId);
    const pair = `${mandate.schoolOin}|${mandate.partyOin}`;
    const of = this.#pairs.get(pair) ?? new Map<string, Mandate>();
    of.set(mandate.mandateId, mandate);
    this.#pairs.set(pair, of);
    if (mandate.boardMandateId) {
      const parts = this.#parts.get(mandate.boardMandateId) ?? new Set<string>();
      this.#parts.set(mandate.boardMandateId, parts.add(mandate.mandateId));
    }
    this.#schools.add(mandate.schoolOin);
    if (keyDigest.length === 0) return;
    const digest = Buffer.from(keyDigest).toString('base64');
    const earlier = this.#keyOfPair.get(pair);
    if (earlier === digest) return;
    if (earlier) this.#byKey.delete(earlier);
    this.#keyOfPair.set(pair, digest);
    this.#byKey.set(digest, { school: mandate.schoolOin, party: mandate.partyOin });
  }

  party(oin: string): Party | undefined {
    return this.#byOin.get(oin)?.party;
  }

  credentials(oin: string): PartyRow['credentials'] {
    return this.#byOin.get(oin)?.credentials;
  }

  /** Since when and why a party is stopped everywhere, and how often its pseudonyms were renewed; undefined = it never was. */
  standing(oin: string): PartyRow['standing'] {
    return this.#byOin.get(oin)?.standing;
  }

  isStopped(oin: string): boolean {
    return (this.standing(oin)?.stoppedMs ?? 0n) > 0n;
  }

  freeze(freezeId: string): Freeze | undefined {
    return this.#freezes.get(freezeId);
  }

  /** Freezes of these three years, by when they begin. */
  freezes(): Freeze[] {
    return [...this.#freezes.values()].sort((a, b) =>
      a.fromMs === b.fromMs ? (a.freezeId < b.freezeId ? -1 : 1) : a.fromMs < b.fromMs ? -1 : 1,
    );
  }

  holdRule(ruleId: string): HoldRule | undefined {
    return this.#holdRules.get(ruleId);
  }

  /** Rules that let go what would wait for approval, of these three years, by when they end. */
  holdRules(): HoldRule[] {
    return [...this.#holdRules.values()].sort((a, b) =>
      a.untilMs === b.untilMs ? (a.ruleId < b.ruleId ? -1 : 1) : a.untilMs < b.untilMs ? -1 : 1,
    );
  }

  /** Whether a freeze stands in the way of an act now; undefined = it goes on. */
  frozen(act: Omit<FreezeAct, 'atMs'>): Frozen<FrozenBy> | undefined {
    if (this.#freezes.size === 0) return undefined;
    const facts = [...this.#freezes.values()].map((freeze) => ({
      ...freeze,
      fromMs: Number(freeze.fromMs),
      untilMs: Number(freeze.untilMs),
      endedMs: Number(freeze.endedMs),
    }));
    return frozen(facts, { ...act, atMs: this.#clock.now() });
  }

  /** How the forgetting of a school stands; undefined = nobody asked. */
  forgetting(school: string): SchoolForgetting | undefined {
    return this.standing(school)?.forgetting;
  }

  /** Whether names, birth dates and contact of a school's people are asked of its administration when they are needed. */
  isOnDemand(school: string): boolean {
    return this.standing(school)?.identity === 'on-demand';
  }

  /** Schools of which that is so, and since when. */
  onDemand(): { schoolOin: string; sinceMs: number }[] {
    return [...this.#byOin.values()].flatMap(({ party, standing }) =>
      standing?.identity === 'on-demand' ? [{ schoolOin: party!.oin, sinceMs: Number(standing.identityMs ?? 0n) }] : [],
    );
  }

  forgettings(): SchoolForgetting[] {
    return [...this.#byOin.values()].flatMap(({ standing }) => standing?.forgetting ?? []);
  }

  /**
   * Whether a school is closed because it is forgotten: while it waits for its hour, and one hour longer, for what was on its way
   * to it. Then it may come again, as one of which nothing is known.
   */
  isClosed(school: string): boolean {
    const forgetting = this.forgetting(school);
    if (!forgetting || forgetting.state === 'kept') return false;
    return forgetting.state === 'waits' || this.#clock.now() < Number(forgetting.destroyAtMs) + FORGOTTEN_CLOSED_MS;
  }

  /** A mandate as it is shown: that it holds means nothing while its party is stopped. */
  shown(mandate: Mandate): Mandate {
    return this.isStopped(mandate.partyOin) ? { ...mandate, partyStopped: true } : mandate;
  }

  parties(): Party[] {
    return [...this.#byOin.values()].map((row) => row.party!);
  }

  mandates(): Mandate[] {
    return [...this.#mandates.values()];
  }

  mandate(id: string): Mandate | undefined {
    return this.#mandates.get(id);
  }

  /** The mandates of one grant of a board for all its schools, by school; none = there is no such grant. */
  partsOf(boardMandateId: string): Mandate[] {
    return [...(this.#parts.get(boardMandateId) ?? [])]
      .map((id) => this.#mandates.get(id)!)
      .sort((a, b) => (a.schoolOin < b.schoolOin ? -1 : 1));
  }

  isBoard(oin: string): boolean {
    return this.party(oin)?.roles.includes(Role.ROLE_BOARD) === true;
  }

  /** The registered schools that a board has now, by OIN. A board that is a school too has itself. */
  schoolsOfBoard(board: string): string[] {
    return this.parties()
      .filter(({ oin, roles, boardOin }) => roles.includes(Role.ROLE_SCHOOL) && (boardOin === board || oin === board))
      .map(({ oin }) => oin)
      .sort();
  }

  byApiKey(digest: Uint8Array): string | undefined {
    const oin = this.#byApiKey.get(nameOf(digest));
    if (oin === undefined) return undefined;
    const { apiKey, apiKeyBefore, beforeUntilMs } = this.credentials(oin)!;
    const isOld = !sameDigest(digest, apiKey) && sameDigest(digest, apiKeyBefore);
    return isOld && this.#clock.now() >= Number(beforeUntilMs) ? undefined : oin;
  }

  byClientId(clientId: string): string | undefined {
    return this.#byClientId.get(clientId);
  }

  byKlantcode(klantcode: string): string | undefined {
    return this.#byKlantcode.get(klantcode);
  }

  /** OIN of the board or school for which persons sign in by this number. */
  byNumber(number: string): string | undefined {
    return this.#byNumber.get(number);
  }

  /** School and party that an autorisatiesleutel belongs to. */
  byAutorisatiesleutel(digest: Uint8Array): { school: string; party: string } | undefined {
    return this.#byKey.get(Buffer.from(digest).toString('base64'));
  }

  /** Whether the pair has its autorisatiesleutel already. */
  hasKey(school: string, party: string): boolean {
    return this.#keyOfPair.has(`${school}|${party}`);
  }

  /** Whether a school is registered, or named in a mandate. */
  knowsSchool(oin: string): boolean {
    return this.#schools.has(oin);
  }

  /** Mandates of one party for one school. What a board gives for all its schools stands here too, as one of each school. */
  between(school: string, party: string): Mandate[] {
    return [...(this.#pairs.get(`${school}|${party}`)?.values() ?? [])];
  }

  /**
   * Whether a party gets pseudonyms of its own of this school: while any mandate of the two that holds says so, for all
   * services, since those of one would mean nothing beside the numbers of another.
   */
  isPairwise(school: string, party: string): boolean {
    const today = dutchDay(this.#clock.now());
    return this.between(school, party).some(
      (mandate) => mandate.pairwise && judgeOne(mandate, today, false) === undefined,
    );
  }

  /** Schools for which a party has any mandate. */
  schoolsOf(party: string): string[] {
    const schools = new Set<string>();
    for (const mandate of this.#mandates.values()) if (mandate.partyOin === party) schools.add(mandate.schoolOin);
    return [...schools];
  }

  /**
   * Whether `party` may have `service` for `school` now. `fresh` = new orders and grants, which a run-off refuses.
   * Gives the mandates that allow it, by id, or the fault that says why not with the mandate that comes nearest. `closing`: as
   * if the school were not closed, to tell who had its data what is forgotten.
   */
  judge(
    school: string,
    party: string,
    service: Service,
    fresh = false,
    closing = false,
  ): { mandates: Mandate[]; fault?: Fault } {
    this.#mustBeFresh();
    const of = this.between(school, party).filter(
      ({ services, narrowed }) => services.includes(service) || narrowed.includes(service),
    );
    // Not ended: the school has nothing to do.
    if (this.isStopped(party)) return { mandates: of, fault: 'mandate.suspended' };
    if (!closing && of.length > 0 && this.isClosed(school)) return { mandates: of, fault: 'mandate.ended' };
    const today = dutchDay(this.#clock.now());
    const holding: Mandate[] = [];
    let best: { mandate: Mandate; fault: Fault } | undefined;
    for (const mandate of of) {
      const names = mandate.services.includes(service);
      // Of a board's, what the school took out has ended there, whatever became of the rest.
      const fault = names ? judgeOne(mandate, today, fresh) : 'mandate.ended';
      if (fault === undefined) holding.push(mandate);
      else if (!best || rank(fault) > rank(best.fault)) best = { mandate, fault };
    }
    // What stands adds up, whichever of it this door heard of first.
    if (holding.length > 0) return { mandates: holding.sort((a, b) => (a.mandateId < b.mandateId ? -1 : 1)) };
    return best ? { mandates: [best.mandate], fault: best.fault } : { mandates: [], fault: 'mandate.missing' };
  }

  /**
   * Whether `party` may send messages of `service` in the name of `school` now: a mandate that holds names `act` and the
   * service. Without a service: whether it may for any.
   */
  judgeActing(school: string, party: string, service?: Service, fresh = false): { mandates: Mandate[]; fault?: Fault } {
    const { mandates, fault } = this.judge(school, party, Service.SERVICE_ACT);
    if (fault !== undefined) return { mandates, fault };
    if (service === undefined) return { mandates };
    const today = dutchDay(this.#clock.now());
    const naming = mandates.filter((mandate) => mandate.services.includes(service));
    const holding = naming.filter((mandate) => judgeOne(mandate, today, fresh) === undefined);
    if (holding.length > 0) return { mandates: holding };
    return { mandates: naming, fault: naming.length > 0 ? 'mandate.ended' : 'mandate.missing' };
  }

  /** Whether any mandate is for some sites of its school only: where none is, nobody has to ask. */
  get namesSites(): boolean {
    return this.#bySite.size > 0;
  }

  #mustBeFresh(): void {
    if (this.#clock.now() - this.#freshMs > 5_000)
      throw new GatewayError('gateway.overloaded', 'The copy of the mandates is too old to judge by.', {
        retryAfterS: 1,
      });
  }
}

/** A freeze with who set it, and when. */
export type FrozenBy = FreezeFact & Pick<Freeze, 'byOin' | 'setMs'>;

/** What only the party's word is wanting to is confirmed by its school. */
export const awaitsParty = ({ state, confirmedBy, requiresAcceptance, acceptedBy }: Mandate): boolean =>
  state === MandateState.MANDATE_STATE_UNCONFIRMED && confirmedBy !== '' && requiresAcceptance && acceptedBy === '';

const nameOf = (digest: Uint8Array): string => Buffer.from(digest).toString('base64');

/** What names a thing of this copy. */
const copied: ReadonlySet<string> = new Set(['school_oin', 'party_oin', 'mandate_id', 'oin']);
/** Whether a refusal may only be that this copy is a quarter of a second old. */
export function mayBeStale(thrown: unknown): boolean {
  if (!(thrown instanceof GatewayError)) return false;
  const { fault, where } = thrown;
  if (fault === 'state.missing') return copied.has(where[0]?.path ?? '');
  return fault === 'party.unknown' || fault === 'party.forbidden' || fault.startsWith('mandate.');
}

const ranks: readonly Fault[] = ['mandate.missing', 'mandate.ended', 'mandate.unconfirmed', 'mandate.unaccepted'];
const rank = (fault: Fault): number => ranks.indexOf(fault);

/** The fault of one mandate on a Dutch day; undefined = it holds. */
export function judgeOne(mandate: Mandate, today: string, fresh: boolean): Fault | undefined {
  if (mandate.state === MandateState.MANDATE_STATE_UNCONFIRMED)
    return awaitsParty(mandate) ? 'mandate.unaccepted' : 'mandate.unconfirmed';
  if (mandate.state === MandateState.MANDATE_STATE_ENDED) return 'mandate.ended';
  if (mandate.validUntil && today > mandate.validUntil) return 'mandate.ended';
  if (mandate.validFrom && today < mandate.validFrom) return 'mandate.unconfirmed';
  if (mandate.state === MandateState.MANDATE_STATE_RUN_OFF && (fresh || today > mandate.runOffUntil))
    return 'mandate.ended';
  return undefined;
}
