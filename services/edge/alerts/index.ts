/**
 * Looks at the gateway every few seconds, and tells an operator what is new: opened, worse, still there after a day, over. What was
 * told stands in rows of delivery, so that of several doors one tells it, once, also after a restart: docs/alerts.md.
 */
import { asGatewayError, describeError, dutchDay, type Fault, log, newId } from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import { Alert, type NoteDisksResponse } from '#proto/eduk/delivery/v1/delivery';
import { judgeOne } from '../chain.ts';
import type { Gate } from '../gate.ts';
import { launchesOf } from '../reads/launches.ts';
import { kinds } from '../reconcile/kinds.ts';
import { type AlertSettings, type Channel, channelsFor, type Tried } from './channels.ts';
import { endingMandates } from './ending.ts';
import { judge, type Looked } from './judge.ts';
import { RuleWatch } from './rules.ts';
import { alertKinds } from './words.ts';

export type { AlertSettings } from './channels.ts';
export { type AlertCode, alertKinds, isAlertCode } from './words.ts';

const LOOK_MS = 15_000;
const FIRST_LOOK_MS = 5_000;

/** Delivery, which keeps what was told, gives no answer: what this door tells by itself meanwhile. By name of the alert. */
interface Lost {
  /** When each was first seen, of those that still are. Unix milliseconds. */
  seen: Map<string, number>;
  told: Map<string, Alert>;
}

export class Alerts {
  readonly #gate: Gate;
  readonly #missing: () => Promise<readonly string[]>;
  readonly channels: readonly Channel[];
  readonly #teller = newId();
  readonly #rules = new RuleWatch();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #lost: Lost | undefined;
  #stopped = false;

  constructor(gate: Gate, settings: AlertSettings, missing: () => Promise<readonly string[]>) {
    this.#gate = gate;
    this.#missing = missing;
    this.channels = channelsFor(settings, gate.door.dialler, gate.door.clock);
  }

  start(everyMs = LOOK_MS, firstMs = FIRST_LOOK_MS): void {
    const next = (ms: number): void => {
      this.#timer = setTimeout(() => {
        this.#looking = this.look()
          .catch((thrown: unknown) => {
            if (!this.#stopped) log('warn', 'alerts_failed', describeError(asGatewayError(thrown)));
          })
          .finally(() => {
            if (!this.#stopped) next(everyMs);
          });
      }, ms).unref();
    };
    next(firstMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Looks once, and tells what is new. */
  async look(): Promise<void> {
    const { delivery } = this.#gate.door.services;
    const { alerts, unknown, over } = judge(await this.#looked());
    // Where nobody is to be told, what stands is kept for who asks.
    const teller = this.channels.length > 0 ? this.#teller : '';
    const { news } = await delivery.weighAlerts({ alerts, unknown, teller, over }).catch(async (thrown: unknown) => {
      await this.#tellAlone(alerts, asGatewayError(thrown).fault);
      throw thrown;
    });
    await this.#tellBack(alerts);
    if (news.length === 0) return;
    await delivery.noteTold({ teller, told: await this.#isTold(news) });
  }

  /** That delivery is away, and what pages besides, each when it has stood for its time, and once. */
  async #tellAlone(alerts: readonly Alert[], why: Fault): Promise<void> {
    if (this.channels.length === 0) return;
    this.#lost ??= { seen: new Map(), told: new Map() };
    const { seen, told } = this.#lost;
    const now = this.#gate.door.clock.now();
    const { grade, patienceMs } = alertKinds['part.missing'];
    const away = Alert.fromPartial({
      code: 'part.missing',
      subject: 'delivery',
      grade,
      patienceMs: BigInt(patienceMs),
    });
    const standing = new Map(
      // A full disk takes no note; that is told by its own name.
      [...(why === 'gateway.disk_full' ? [] : [away]), ...alerts.filter((one) => one.grade === 'page')].map((one) => [
        nameOf(one),
        one,
      ]),
    );
    for (const name of seen.keys()) if (!standing.has(name)) seen.delete(name);
    // A clock that was set back begins anew.
    for (const name of standing.keys()) seen.set(name, Math.min(seen.get(name) ?? now, now));
    const fresh = [...standing].flatMap(([name, alert]) => {
      const since = seen.get(name)!;
      const isDue = !told.has(name) && now - since >= Number(alert.patienceMs);
      return isDue ? [{ name, alert: { ...alert, sinceMs: alert.sinceMs || BigInt(since) } }] : [];
    });
    if (fresh.length === 0) return;
    const news = fresh.map(({ alert }) => ({ alert, what: 'opened', openedMs: alert.sinceMs }));
    if (await this.#isTold(news)) for (const { name, alert } of fresh) told.set(name, alert);
  }

  /** Delivery answers again: what this door told by itself and stands no more, is over. What still stands, the rows tell. */
  async #tellBack(alerts: readonly Alert[]): Promise<void> {
    const lost = this.#lost;
    this.#lost = undefined;
    const standing = new Set(alerts.map(nameOf));
    const over = [...(lost?.told ?? [])].filter(([name]) => !standing.has(name));
    if (over.length > 0)
      await this.#isTold(over.map(([, alert]) => ({ alert, what: 'ended', openedMs: alert.sinceMs })));
  }

  /** Tells it, and says whether anybody took it. */
  async #isTold(news: Parameters<Channel['tell']>[0]['news']): Promise<boolean> {
    const tried = await this.#tell(news);
    // Told somewhere is told: to say it twice in one place for another's failure would teach people to look away.
    const told = tried.some(({ code }) => code === '');
    for (const { channel, code, status } of tried)
      if (code !== '') log('warn', 'alert_not_told', { channel, code, status });
    if (told) log('info', 'alerts_told', { alerts: news.length });
    return told;
  }

  /** A trial message through each channel. */
  trial(): Promise<Tried[]> {
    return this.#tell([]);
  }

  #tell(news: Parameters<Channel['tell']>[0]['news']): Promise<Tried[]> {
    const { door } = this.#gate;
    const nameOf = (oin: string) => door.chain.party(oin)?.name ?? '';
    return Promise.all(this.channels.map((channel) => channel.tell({ gateway: door.publicUrl(), news, nameOf })));
  }

  async #looked(): Promise<Looked> {
    const gate = this.#gate;
    const { services, chain, clock } = gate.door;
    const maybe = <T>(asked: Promise<T>): Promise<T | undefined> => asked.catch(() => undefined);
    const seen = [...(gate.certificates?.seen() ?? [])].filter(([oin]) => chain.party(oin) !== undefined);
    const [
      ending,
      standing,
      missing,
      ages,
      disks,
      parked,
      endpoints,
      held,
      changes,
      reveals,
      keys,
      registers,
      pulls,
      compared,
      silent,
      launched,
    ] = await Promise.all([
      endingMandates(chain.mandates(), clock.now()),
      // Only certificates that were seen say that something is over.
      seen.length > 0 ? maybe(services.delivery.listAlerts({})) : undefined,
      maybe(this.#missing()),
      maybe(services.log.ages({})),
      maybe(this.#disks()),
      maybe(services.log.listParked({ limit: 1_000 })),
      maybe(services.delivery.listEndpoints({ idle: false, partyOin: '' })),
      maybe(services.rosters.listHolds({ schoolOin: '', decided: false })),
      maybe(services.entitlements.listChangeHolds({ schoolOin: '', decided: false })),
      maybe(services.vault.showReveals({})),
      maybe(services.vault.showKeys({})),
      maybe(services.parties.listRegisters({})),
      maybe(services.rosters.listPulls({ partyOin: '', failing: true, limit: 1_000 })),
      maybe(services.delivery.listReconciliations({ partyOin: '', schoolOin: '', differing: true })),
      maybe(this.#silent()),
      maybe(launchesOf(gate)),
    ]);
    const holds = held && changes && [...held.holds, ...changes.holds];
    return {
      nowMs: clock.now(),
      standing: standing?.alerts.map(({ alert }) => alert!),
      missing,
      log: ages &&
        parked && { ages: ages.ages, freeDiskBytes: Number(ages.freeDiskBytes), parkedKeys: parked.parked.length },
      disks: disks?.disks,
      endpoints: endpoints?.endpoints,
      holds,
      rules: holds && (await maybe(this.#rules.look(gate.door, holds))),
      reveals,
      keys,
      certificates: [
        ...seen.map(([partyOin, notAfterMs]) => ({ partyOin, name: '', notAfterMs })),
        ...(gate.certificates?.own() ?? []).map(({ name, notAfterMs }) => ({ partyOin: '', name, notAfterMs })),
      ],
      ending: new Map([...ending].filter(([partyOin]) => !chain.isStopped(partyOin))),
      registers: registers?.runs,
      pulls: pulls?.pulls,
      // What is no more agreed is nobody's to mend. By the copy as it is: an old one must not keep the others from being told.
      reconciliations: compared?.reconciliations.filter(({ partyOin, schoolOin, kind }) =>
        chain
          .between(schoolOin, partyOin)
          .some(
            (mandate) =>
              mandate.services.includes(kinds[kind]?.service ?? Service.SERVICE_UNSPECIFIED) &&
              judgeOne(mandate, dutchDay(clock.now()), false) === undefined,
          ),
      ),
      silent,
      launches: launched?.judged,
    };
  }

  /** Each door measures what it sees; where none can, nothing is known. */
  async #disks(): Promise<NoteDisksResponse> {
    const { disk, door } = this.#gate;
    return door.services.delivery.noteDisks({ uses: [...((await disk?.()) ?? [])] });
  }

  async #silent(): Promise<{ partyOin: string; method: string }[] | undefined> {
    const { services, clock } = this.#gate.door;
    const { counts, coveredFromMs } = await services.flows.countFlows({});
    // Where not the whole hour was counted, nobody can be called silent.
    if (Number(coveredFromMs) > clock.now() - 59 * 60_000) return undefined;
    const { silent } = await services.delivery.noteTraffic({
      traffic: counts.map(({ partyOin, method, accepted }) => ({ partyOin, method, accepted: BigInt(accepted) })),
    });
    return silent;
  }
}

const nameOf = ({ code, partyOin, schoolOin, subject }: Alert): string =>
  JSON.stringify([code, partyOin, schoolOin, subject]);
