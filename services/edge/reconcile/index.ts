/**
 * Compares with parties what they have of a school: as they say it by themselves, and as they are asked, by an operator or when it is
 * time. It changes nothing anywhere; what differs is noted in rows of delivery, from which it is mended by sending mail again.
 */
import { asGatewayError, describeError, GatewayError, log, newId } from '#kernel';
import { type ReconciledCounts, Reconciliation } from '#proto/eduk/delivery/v1/delivery';
import type { CompareEntitlementsRequest, CompareEntitlementsResponse } from '#proto/eduk/gateway/v1/entitlement';
import type { ListedReconciliation } from '#proto/eduk/operator/v1/operator';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { HOLDINGS, webhookKeys } from '../out/sign.ts';
import { partyCaller } from '../stages/authenticate.ts';
import { compareStretch, type Expected, type Stretch, stretches } from './compare.ts';
import { type Hours, lastDue, nextDue } from './due.ts';
import { ENTITLEMENT, kinds } from './kinds.ts';
import { askedAt, pageOf } from './stated.ts';

export { ENTITLEMENT, kinds } from './kinds.ts';

export interface ReconcileSettings {
  /** When parties are asked by themselves. */
  hours: Hours;
  /** How old a change must be to count as a difference, milliseconds. */
  settleMs: number;
}

/** Between two pages of a party, or of an answer: who is silent for longer has ended it. */
const LEASE_MS = 120_000;
const LOOK_MS = 60_000;
const FIRST_LOOK_MS = 4_000;
/** Schools in a row that a party does not answer about, after which it is asked no more for a while. */
const SILENT = 3;
const REST_MS = 3_600_000;

interface Pair {
  party: string;
  school: string;
  kind: string;
}

const named = ({ party, school, kind }: Pair) => ({ partyOin: party, schoolOin: school, kind });

const overtaken = (): GatewayError =>
  new GatewayError('state.conflict', 'Another comparison began meanwhile, or a page was left out: begin anew.', {
    where: 'comparison_id',
  });

export class Reconciler {
  readonly #gate: Gate;
  readonly #settings: ReconcileSettings;
  readonly #stopping = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  /** One round of a party at a time; others do not wait for it. */
  readonly #rounds = new Map<string, Promise<void>>();
  readonly #rests = new Map<string, number>();

  constructor(gate: Gate, settings: ReconcileSettings) {
    this.#gate = gate;
    this.#settings = settings;
  }

  /** Begins to ask by itself. */
  start(lookMs = LOOK_MS, firstMs = FIRST_LOOK_MS): void {
    if (this.#settings.hours.over === 0) return;
    const look = (): void => {
      const { chain, clock } = this.#gate.door;
      for (const { oin, endpoints } of chain.parties())
        if (
          endpoints.some(({ standard }) => standard === HOLDINGS) &&
          !chain.isStopped(oin) &&
          !this.#rounds.has(oin) &&
          (this.#rests.get(oin) ?? 0) <= clock.now()
        )
          this.#rounds.set(
            oin,
            this.#round(oin)
              .catch((thrown: unknown) => {
                if (!this.#stopping.signal.aborted)
                  log('warn', 'reconciliations_failed', describeError(asGatewayError(thrown)));
              })
              .finally(() => this.#rounds.delete(oin)),
          );
    };
    this.#timers.push(setTimeout(look, firstMs).unref(), setInterval(look, lookMs).unref());
  }

  /** What is under way stops where it is; it begins anew the next time. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#rounds.values());
  }

  /** Schools that a party may be asked about now. */
  #schoolsOf(party: string, kind: string): string[] {
    const { chain } = this.#gate.door;
    const { service } = kinds[kind]!;
    return chain
      .schoolsOf(party)
      .filter((school) => chain.judge(school, party, service).fault === undefined)
      .sort();
  }

  /** Every school of a party that is due, one after the other. */
  async #round(party: string): Promise<void> {
    const { chain, clock, services } = this.#gate.door;
    const { hours } = this.#settings;
    const schools = await chain.afresh(() => this.#schoolsOf(party, ENTITLEMENT));
    const { reconciliations } = await services.delivery.listReconciliations({
      partyOin: party,
      schoolOin: '',
      differing: false,
    });
    const lasts = new Map(
      reconciliations.map(({ schoolOin, lastMs, failedMs }) => [schoolOin, Math.max(Number(lastMs), Number(failedMs))]),
    );
    let silent = 0;
    for (const school of schools) {
      if (this.#stopping.signal.aborted) return;
      const since = lastDue(clock.now(), party, school, hours);
      if ((lasts.get(school) ?? 0) >= since) continue;
      try {
        await this.#ask({ party, school, kind: ENTITLEMENT }, since);
        silent = 0;
      } catch (thrown) {
        if (this.#stopping.signal.aborted) return;
        const { fault } = asGatewayError(thrown);
        log('warn', 'reconciliation_failed', { party_oin: party, code: fault });
        silent = fault.startsWith('peer.') ? silent + 1 : 0;
        if (silent < SILENT) continue;
        this.#rests.set(party, clock.now() + REST_MS);
        return;
      }
    }
  }

  /** Asks a party about a school, now. Throws state.missing, mandate.*, peer.*, state.conflict. */
  async ask(party: string, school: string): Promise<Reconciliation> {
    const done = await this.#ask({ party, school, kind: ENTITLEMENT }, 0);
    return done!;
  }

  /** `since`: not where one is under way, or was through since then; 0 = in any case. Undefined = it was so. */
  async #ask(pair: Pair, since: number): Promise<Reconciliation | undefined> {
    const { door } = this.#gate;
    const { chain, clock, dialler, services } = door;
    const url = chain.party(pair.party)?.endpoints.find(({ standard }) => standard === HOLDINGS)?.url;
    if (url === undefined)
      throw new GatewayError(
        'state.missing',
        'This party cannot be asked: it has no endpoint holdings. It may say by itself what it has: CompareEntitlements.',
      );
    const expected = this.#expected(pair, partyCaller(chain, pair.party));
    const id = newId();
    const { taken } = await services.delivery.beginReconciliation({
      ...named(pair),
      id,
      source: 'asked',
      leaseMs: BigInt(LEASE_MS),
      unlessSinceMs: BigInt(since),
    });
    if (!taken) return undefined;
    try {
      const keys = webhookKeys(door, pair.party, url);
      const stated = askedAt({ ...pair, url, keys, id }, dialler, () => clock.now(), this.#stopping.signal);
      let last: Reconciliation | undefined;
      for await (const stretch of stretches(expected, stated, this.#settings.settleMs))
        last = (await this.#note(pair, id, stretch)).reconciliation;
      return last;
    } catch (thrown) {
      const { fault } = asGatewayError(thrown);
      if (fault !== 'state.conflict' && !this.#stopping.signal.aborted)
        await services.delivery.failReconciliation({ ...named(pair), id, code: fault });
      throw thrown;
    }
  }

  /** One page of what a party says by itself. Throws wire.*, mandate.*, state.conflict. */
  async page(request: CompareEntitlementsRequest, caller: Caller): Promise<CompareEntitlementsResponse> {
    const { clock, services } = this.#gate.door;
    const { schoolOin: school, comparisonId, after, last } = request;
    if (school === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
    if ((comparisonId === '') !== (after === ''))
      throw new GatewayError('wire.invalid', 'Only a first page has no comparison_id and no after.', {
        where: 'comparison_id',
      });
    const pair = { party: caller.oin, school, kind: ENTITLEMENT };
    const theirs = pageOf(request, caller.oin, clock.now());
    const ours = await this.#expected(pair, caller)(after);
    const stretch = compareStretch(after, ours, { ...theirs, isLast: last }, theirs.asOfMs - this.#settings.settleMs);
    const id = comparisonId || newId();
    if (comparisonId === '')
      await services.delivery.beginReconciliation({
        ...named(pair),
        id,
        source: 'stated',
        leaseMs: BigInt(LEASE_MS),
        unlessSinceMs: 0n,
      });
    const { counts } = await this.#note(pair, id, stretch);
    const { same, moving, missing, surplus, differs } = counts;
    return {
      comparisonId: id,
      through: stretch.through,
      done: stretch.isLast,
      differences: stretch.differences.map(({ key, what, ours: here }) => ({
        entitlementId: key,
        difference: what,
        state: here[0] ?? '',
        productId: here[1] ?? '',
      })),
      ...{ same, moving, missing, surplus, differs },
    };
  }

  #expected({ school, kind }: Pair, caller: Caller): Expected {
    const { door } = this.#gate;
    const look = kinds[kind]!.expected(door, caller, school);
    return (after) => door.chain.afresh(() => look(after));
  }

  async #note(
    pair: Pair,
    id: string,
    { after, through, isLast, counts, differences }: Stretch,
  ): Promise<{ reconciliation: Reconciliation; counts: ReconciledCounts }> {
    const big = Object.fromEntries(Object.entries(counts).map(([name, n]) => [name, BigInt(n)]));
    const {
      taken,
      reconciliation,
      counts: all,
    } = await this.#gate.door.services.delivery.noteReconciled({
      ...named(pair),
      ...{ id, after, through, isLast },
      counts: big as unknown as ReconciledCounts,
      differences: differences.map((one) => ({ ...one, sinceMs: 0n })),
      leaseMs: BigInt(LEASE_MS),
    });
    if (!taken) throw overtaken();
    return { reconciliation: reconciliation!, counts: all! };
  }

  /** Pairs that were compared, and those that can be asked and never were. */
  async list(of: { partyOin: string; schoolOin: string; differing: boolean }): Promise<ListedReconciliation[]> {
    const { chain, clock, services } = this.#gate.door;
    const { hours } = this.#settings;
    const { reconciliations } = await services.delivery.listReconciliations(of);
    const asked = new Set(
      chain
        .parties()
        .filter(
          ({ oin, endpoints }) =>
            (of.partyOin === '' || of.partyOin === oin) &&
            !chain.isStopped(oin) &&
            endpoints.some(({ standard }) => standard === HOLDINGS),
        )
        .flatMap(({ oin }) => this.#schoolsOf(oin, ENTITLEMENT).map((school) => `${oin}/${school}/${ENTITLEMENT}`)),
    );
    const all = new Map(reconciliations.map((one) => [`${one.partyOin}/${one.schoolOin}/${one.kind}`, one]));
    if (!of.differing)
      for (const name of asked) {
        const [partyOin, schoolOin, kind] = name.split('/') as [string, string, string];
        if (all.has(name) || (of.schoolOin !== '' && of.schoolOin !== schoolOin)) continue;
        all.set(name, Reconciliation.fromPartial({ partyOin, schoolOin, kind }));
      }
    const now = clock.now();
    return [...all]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, reconciliation]) => {
        const { partyOin, schoolOin, lastMs, failedMs } = reconciliation;
        const canBeAsked = asked.has(name);
        const isAsked = canBeAsked && hours.over > 0;
        const due = isAsked ? lastDue(now, partyOin, schoolOin, hours) : 0;
        const isDone = Math.max(Number(lastMs), Number(failedMs)) >= due;
        const dueMs = isAsked ? (isDone ? nextDue(now, partyOin, schoolOin, hours) : now) : 0;
        return { reconciliation, canBeAsked, dueMs: BigInt(dueMs) };
      });
  }
}
