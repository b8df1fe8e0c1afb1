/** What a gateway says of itself → what somebody should know. Pure; texts and times to wait are in words.ts. */
import type { Age } from '#proto/eduk/bus/v1/bus';
import { Alert, type DiskForecast, type EndpointStatus, type Reconciliation } from '#proto/eduk/delivery/v1/delivery';
import type { RegisterRun } from '#proto/eduk/parties/v1/parties';
import type { ShowKeysResponse, ShowRevealsResponse } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import type { Hold, Pull } from '#proto/eduk/rosters/v1/rosters';
import type { RuleToWatch } from './rules.ts';
import { type AlertCode, alertKinds } from './words.ts';

/** Answers as they came; what is undefined could not be found out. */
export interface Looked {
  nowMs: number;
  /** What stands by delivery's rows. */
  standing?: readonly Alert[] | undefined;
  /** Names of parts that do not answer. */
  missing?: readonly string[] | undefined;
  log?: { ages: readonly Age[]; freeDiskBytes: number; parkedKeys: number } | undefined;
  /** How places for data grow. */
  disks?: readonly DiskForecast[] | undefined;
  endpoints?: readonly EndpointStatus[] | undefined;
  holds?: readonly (Pick<Hold, 'holdId' | 'schoolOin' | 'sinceMs'> & Partial<Pick<Hold, 'reason'>>)[] | undefined;
  /** Rules of holds that end or are nearly used up, while something still comes. */
  rules?: readonly RuleToWatch[] | undefined;
  reveals?: Pick<ShowRevealsResponse, 'tooMany'> | undefined;
  keys?: Pick<ShowKeysResponse, 'masterClosed' | 'masterAwayMs' | 'held'> | undefined;
  /** When the certificate of a party, by OIN, or one of the gateway's own, by its name, ends. */
  certificates?: readonly { partyOin: string; name: string; notAfterMs: number }[] | undefined;
  /** By party: schools whose last mandate with it ends soon. */
  ending?: ReadonlyMap<string, bigint> | undefined;
  registers?: readonly RegisterRun[] | undefined;
  pulls?: readonly Pull[] | undefined;
  /** Of parties and schools between which a mandate holds: those that differed, or gave no answer. */
  reconciliations?: readonly Reconciliation[] | undefined;
  silent?: readonly { partyOin: string; method: string }[] | undefined;
  /** Platforms and publishers where far fewer get in than usual. */
  launches?:
    | readonly { platform: string; publisher: string; state: string; whose: string; party: string }[]
    | undefined;
}

/** Which codes rest on which answer: without it they are unknown, and not over. */
export const restsOn: Readonly<Record<AlertCode, Exclude<keyof Looked, 'nowMs' | 'standing'>>> = {
  'part.missing': 'missing',
  'log.gap': 'log',
  'consumer.behind': 'log',
  'consumer.parked': 'log',
  'disk.little': 'log',
  'disk.filling': 'disks',
  'endpoint.failing': 'endpoints',
  'endpoint.parked': 'endpoints',
  'hold.pending': 'holds',
  'rule.ends': 'rules',
  'rule.used': 'rules',
  'reveals.many': 'reveals',
  'vault.closed': 'keys',
  'certificate.ends': 'certificates',
  'mandate.ends': 'ending',
  'register.failing': 'registers',
  'roster.unanswered': 'pulls',
  'holdings.differ': 'reconciliations',
  'holdings.unanswered': 'reconciliations',
  'traffic.silent': 'silent',
  'launches.theirs': 'launches',
  'launches.ours': 'launches',
};

/** A consumer that has left something unread this long is behind. */
const BEHIND_MS = 60_000;
const LITTLE_DISK = 2_000_000_000;
const NO_DISK = 200_000_000;
const DAY_MS = 86_400_000;
/** A disk that is full within so many days at this rate, and from when on somebody is called. */
const FILLING_DAYS = 7;
const FULL_SOON_DAYS = 1;
const CERTIFICATE_DAYS = 30;
/** From then on it is a matter of today. */
const CERTIFICATE_SOON_DAYS = 3;

/** `over`: what stands unseen for longer, and was seen to be well. */
export function judge(looked: Looked): { alerts: Alert[]; unknown: AlertCode[]; over: Alert[] } {
  const { nowMs } = looked;
  const alerts: Alert[] = [];
  const add = (code: AlertCode, about: Partial<Alert>): void => {
    const { grade, patienceMs } = alertKinds[code];
    alerts.push(Alert.fromPartial({ grade, patienceMs: BigInt(patienceMs), ...about, code }));
  };
  for (const part of looked.missing ?? []) add('part.missing', { subject: part });
  if (looked.log) {
    const { ages, freeDiskBytes, parkedKeys } = looked.log;
    for (const { consumer, stream, gap, oldestUnreadMs, unread } of ages) {
      const subject = `${consumer}/${stream}`;
      if (gap) add('log.gap', { subject });
      else if (Number(oldestUnreadMs) > BEHIND_MS)
        add('consumer.behind', { subject, count: unread, sinceMs: BigInt(nowMs) - oldestUnreadMs });
    }
    if (parkedKeys > 0) add('consumer.parked', { count: BigInt(parkedKeys) });
    // 0 = who answers has no disk of its own.
    if (freeDiskBytes > 0 && freeDiskBytes < LITTLE_DISK)
      add('disk.little', { grade: freeDiskBytes < NO_DISK ? 'page' : 'warn' });
  }
  const filling = Map.groupBy(looked.disks ?? [], ({ use }) => use!.disk);
  for (const [disk, places] of filling) {
    const full = places.map(({ fullMs }) => fullMs).find((one) => one !== undefined);
    const days = full === undefined ? Infinity : (Number(full) - nowMs) / DAY_MS;
    if (days < FILLING_DAYS)
      add('disk.filling', {
        subject: disk,
        grade: days < FULL_SOON_DAYS ? 'page' : 'warn',
        count: BigInt(Math.max(0, Math.floor(days))),
      });
  }
  for (const { partyOin, standard, state, parkedKeys, oldestMs } of looked.endpoints ?? []) {
    if (state !== 'up') add('endpoint.failing', { partyOin, subject: standard, sinceMs: oldestMs });
    if (parkedKeys > 0) add('endpoint.parked', { partyOin, subject: standard, count: BigInt(parkedKeys) });
  }
  for (const { holdId, schoolOin, sinceMs, reason } of looked.holds ?? []) {
    // It goes on by itself.
    if (reason === 'freeze') continue;
    add('hold.pending', { schoolOin, subject: holdId, sinceMs });
  }
  for (const { ruleId, schoolOin, endsInDays, fullAt } of looked.rules ?? []) {
    if (endsInDays !== undefined) add('rule.ends', { schoolOin, subject: ruleId, count: BigInt(endsInDays) });
    if (fullAt > 0) add('rule.used', { schoolOin, subject: ruleId, count: BigInt(fullAt) });
  }
  const revealed = Map.groupBy(looked.reveals?.tooMany ?? [], ({ partyOin }) => partyOin);
  for (const [partyOin, hours] of revealed) {
    const worst = hours.reduce((most, { learners }) => (learners > most ? learners : most), 0n);
    add('reveals.many', { partyOin, count: worst });
  }
  if (looked.keys) {
    const { masterClosed, masterAwayMs, held } = looked.keys;
    if (masterClosed) add('vault.closed', { subject: 'master', sinceMs: masterAwayMs });
    else if (masterAwayMs > 0n) add('vault.closed', { subject: 'master', grade: 'warn', sinceMs: masterAwayMs });
    for (const { schoolOin, open } of held) if (!open) add('vault.closed', { schoolOin, grade: 'warn' });
  }
  for (const { partyOin, name, notAfterMs } of looked.certificates ?? []) {
    const days = Math.ceil((notAfterMs - nowMs) / DAY_MS);
    if (days <= CERTIFICATE_DAYS)
      add('certificate.ends', {
        partyOin,
        subject: name,
        grade: days <= CERTIFICATE_SOON_DAYS ? 'page' : 'warn',
        count: BigInt(Math.max(0, days)),
      });
  }
  for (const [partyOin, count] of looked.ending ?? []) add('mandate.ends', { partyOin, count });
  for (const { register, outcome, atMs } of looked.registers ?? [])
    if (outcome === 'failed' || outcome === 'held') add('register.failing', { subject: register, sinceMs: atMs });
  const unanswered = Map.groupBy(looked.pulls ?? [], ({ partyOin }) => partyOin);
  for (const [partyOin, pulls] of unanswered) {
    const schools = pulls.filter(({ schoolOin, outcome }) => schoolOin !== '' && outcome === 'failed').length;
    if (pulls.some(({ outcome }) => outcome === 'failed'))
      add('roster.unanswered', { partyOin, count: BigInt(schools) });
  }
  for (const [partyOin, all] of Map.groupBy(looked.reconciliations ?? [], ({ partyOin }) => partyOin)) {
    const differing = all.reduce(
      (sum, { counts }) => sum + (counts ? counts.missing + counts.surplus + counts.differs : 0n),
      0n,
    );
    if (differing > 0n) add('holdings.differ', { partyOin, count: differing });
    const unanswered = all.filter(({ failures }) => failures > 0).length;
    if (unanswered > 0) add('holdings.unanswered', { partyOin, count: BigInt(unanswered) });
  }
  for (const { partyOin, method } of looked.silent ?? []) add('traffic.silent', { partyOin, subject: method });
  const isLow = looked.launches?.filter(({ state }) => state === 'low' || state === 'none') ?? [];
  if (isLow.some(({ whose }) => whose === 'us'))
    add('launches.ours', { count: BigInt(isLow.filter(({ whose }) => whose === 'us').length) });
  for (const { platform, publisher, whose, party } of isLow)
    if (whose === 'them') add('launches.theirs', { partyOin: party || platform, subject: `${platform}/${publisher}` });
  const unknown = (Object.keys(restsOn) as AlertCode[]).filter((code) => looked[restsOn[code]] === undefined);
  const shown = new Set(looked.certificates?.map(({ partyOin }) => partyOin));
  const ends = new Set(alerts.flatMap(({ code, partyOin }) => (code === 'certificate.ends' ? [partyOin] : [])));
  const over = (looked.standing ?? []).filter(
    ({ code, partyOin }) =>
      code === 'certificate.ends' && partyOin !== '' && shown.has(partyOin) && !ends.has(partyOin),
  );
  return { alerts, unknown, over };
}
