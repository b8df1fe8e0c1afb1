/**
 * What somebody should know, kept so that it is told once, by one door of several, also after a restart: opened, worse, again
 * after a day, ended.
 */
import type { EngineView, Unit } from '#bus';
import type {
  Alert,
  AlertNews,
  ListAlertsResponse,
  NoteToldRequest,
  NoteTrafficRequest,
  NoteTrafficResponse,
  Traffic,
  WeighAlertsRequest,
  WeighAlertsResponse,
} from '#proto/eduk/delivery/v1/delivery';
import { type AlertRow, alerts, usualTraffic } from './tables.ts';

/** What no door has seen for so long is over. Longer than several looks: doors do not all see the same. */
export const ENDS_MS = 90_000;
/** What a door sees only when its party comes stands for so long: who was started anew has seen nobody yet. */
const LASTS_MS = 7 * 86_400_000;
/** What stands is told again after so long. */
export const AGAIN_MS = 86_400_000;
/** Who tells has so long; then another may. */
export const TELLING_MS = 60_000;
/** More than so many times what was told is worse. */
const WORSE = 10;
/** After a failure to tell it is tried again after so long, twice as long each time. */
const RETRY_MS = 30_000;
const LONGEST_RETRY_MS = 15 * 60_000;
/** Alerts that stand at once; what comes more is not kept. A gateway with so many has one trouble, and that is told. */
export const MOST = 2_000;

type Writes = Pick<Unit, 'get' | 'list' | 'put' | 'remove'>;

/** One look of one door. Committed before anything is told. */
export function weigh(
  unit: Writes,
  now: number,
  { alerts: seen, unknown, teller, over }: WeighAlertsRequest,
): AlertNews[] {
  const before = new Map(
    unit.list(alerts, { equals: [], limit: MOST }).map((row) => [nameOf(row), notAhead(row, now)]),
  );
  let kept = before.size;
  const rows: AlertRow[] = [];
  const names = new Set<string>();
  for (const alert of seen) {
    const name = nameOfAlert(alert);
    if (names.has(name)) continue;
    names.add(name);
    const known = before.get(name);
    if (known) {
      before.delete(name);
      rows.push({ ...known, ...said(alert), seenMs: now });
    } else if (kept < MOST) {
      kept++;
      rows.push({ ...fresh(alert, now), seenMs: now });
    }
  }
  const unclear = new Set(unknown);
  for (const row of before.values()) rows.push(unclear.has(row.code) ? { ...row, seenMs: now } : { ...row });
  const ended = new Set(over.map(nameOfAlert));
  const news: AlertNews[] = [];
  for (const row of rows) {
    const what = newsOf(row, now, ended.has(nameOf(row)) ? ENDS_MS : endsMs(row));
    // Nobody was told of it, or nobody is told of anything any more: it may go unsaid.
    const isUnsaid = row.toldMs === 0 || (teller === '' && now - row.seenMs > AGAIN_MS);
    if (what === 'ended' && isUnsaid && row.tellingMs <= now) {
      unit.remove(alerts, row.code, row.party, row.school, row.subject);
      continue;
    }
    if (what !== undefined && teller !== '' && row.tellingMs <= now) {
      Object.assign(row, { teller, telling: what, tellingMs: now + TELLING_MS });
      news.push({ alert: alertOf(row), what, openedMs: BigInt(row.openedMs) });
    }
    unit.put(alerts, row);
  }
  return news;
}

/** Of before the clock was set back: what it was to wait for would never come. */
const notAhead = (row: Readonly<AlertRow>, now: number): AlertRow => ({
  ...row,
  openedMs: Math.min(row.openedMs, now),
  seenMs: Math.min(row.seenMs, now),
  toldMs: Math.min(row.toldMs, now),
  tellingMs: Math.min(row.tellingMs, now + (row.telling === '' ? LONGEST_RETRY_MS : TELLING_MS)),
});

/** What came of telling. */
export function noteTold(unit: Writes, now: number, { teller, told }: NoteToldRequest): void {
  for (const row of unit.list(alerts, { equals: [], limit: MOST })) {
    // A lease that is over may be another's by now; then the other says what came of it.
    if (row.teller !== teller || row.telling === '') continue;
    if (!told) {
      const failures = row.failures + 1;
      const tellingMs = now + Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(failures - 1, 10));
      unit.put(alerts, { ...row, teller: '', telling: '', tellingMs, failures });
    } else if (row.telling === 'ended') unit.remove(alerts, row.code, row.party, row.school, row.subject);
    else
      unit.put(alerts, {
        ...row,
        toldMs: now,
        toldGrade: row.grade,
        toldCount: row.count,
        teller: '',
        telling: '',
        tellingMs: 0,
        failures: 0,
      });
  }
}

/** How long it stands unseen. */
const endsMs = ({ code, party }: Readonly<AlertRow>): number =>
  code === 'certificate.ends' && party !== '' ? LASTS_MS : ENDS_MS;

/** Undefined = nothing is new. `lasts`: how long it stands unseen. */
function newsOf(row: AlertRow, now: number, lasts: number): 'opened' | 'worse' | 'stands' | 'ended' | undefined {
  if (now - row.seenMs > lasts) return 'ended';
  if (row.toldMs === 0) return now - row.openedMs >= row.patienceMs ? 'opened' : undefined;
  if ((row.grade === 'page' && row.toldGrade !== 'page') || (row.toldCount > 0 && row.count >= row.toldCount * WORSE))
    return 'worse';
  return now - row.toldMs >= AGAIN_MS ? 'stands' : undefined;
}

const HOUR_MS = 3_600_000;
const WEEK_HOURS = 168;
/** Slot of 1 January 1970, a Thursday. */
const FIRST_SLOT = 72;
/** Fewer in an hour are no traffic that can be missed. */
const USUAL = 20;
/** In fewer weeks nothing is usual. */
const WEEKS = 2;
/** A party that sent nothing in so many weeks is not waited for. */
const FORGOTTEN_WEEKS = 5;
/** Parties and methods of one hour that are remembered. */
const MOST_TRAFFIC = 20_000;

/**
 * The last hour, kept at the first look of each hour of the clock, and what is missing in it. Weeks without anything pull what is
 * usual down too, so that a holiday is missed once and a party that left is forgotten.
 */
export function noteTraffic(unit: Writes, now: number, traffic: readonly Traffic[]): Traffic[] {
  const came = new Map(traffic.map((one) => [JSON.stringify([one.partyOin, one.method]), Number(one.accepted)]));
  const passed = Math.floor(now / HOUR_MS) - 1;
  // Most of the sixty minutes lie in this hour.
  const hour = Math.floor((now - HOUR_MS / 2) / HOUR_MS);
  const usualIn = (of: number) =>
    unit.list(usualTraffic, { equals: [(of + FIRST_SLOT) % WEEK_HOURS], limit: MOST_TRAFFIC });
  const keepsNow = now % HOUR_MS < HOUR_MS / 12;
  if (keepsNow) {
    const slot = (passed + FIRST_SLOT) % WEEK_HOURS;
    const rows = usualIn(passed);
    const known = new Set(rows.map(({ party, method }) => JSON.stringify([party, method])));
    for (const row of rows) {
      if (row.hour === passed) continue;
      const count = came.get(JSON.stringify([row.party, row.method])) ?? 0;
      const usual = (row.usual + count) / 2;
      if (usual < 1 && row.weeks >= FORGOTTEN_WEEKS) unit.remove(usualTraffic, slot, row.party, row.method);
      else unit.put(usualTraffic, { ...row, usual, before: row.usual, weeks: row.weeks + 1, hour: passed });
    }
    for (const { partyOin, method, accepted } of traffic.slice(0, MOST_TRAFFIC - rows.length))
      if (accepted > 0n && !known.has(JSON.stringify([partyOin, method])))
        unit.put(usualTraffic, {
          slot,
          party: partyOin,
          method,
          usual: Number(accepted),
          before: 0,
          weeks: 1,
          hour: passed,
        });
  }
  return usualIn(hour)
    .map((row) => (row.hour === hour ? { ...row, usual: row.before, weeks: row.weeks - 1 } : row))
    .filter(({ weeks, usual }) => weeks >= WEEKS && usual >= USUAL)
    .filter(({ party, method }) => (came.get(JSON.stringify([party, method])) ?? 0) === 0)
    .map(({ party, method, usual }) => ({ partyOin: party, method, accepted: BigInt(Math.round(usual)) }));
}

/** By the clock itself: the time of the log stands still while a clock that was set back catches up, and alerts do not. */
export const alertsServed = (engine: EngineView) => ({
  async weighAlerts(request: WeighAlertsRequest): Promise<WeighAlertsResponse> {
    let news: AlertNews[] = [];
    await engine.note((unit) => {
      news = weigh(unit, engine.now(), request);
    });
    return { news };
  },
  async noteTold(request: NoteToldRequest) {
    await engine.note((unit) => noteTold(unit, engine.now(), request));
    return {};
  },
  async noteTraffic({ traffic }: NoteTrafficRequest): Promise<NoteTrafficResponse> {
    let silent: Traffic[] = [];
    await engine.note((unit) => {
      silent = noteTraffic(unit, engine.now(), traffic);
    });
    return { silent };
  },
  listAlerts(): ListAlertsResponse {
    const grade = (row: Readonly<AlertRow>): number => (row.grade === 'page' ? 0 : 1);
    const now = engine.now();
    return {
      // What is over and still to be told stands no more.
      alerts: engine
        .list(alerts, { equals: [], limit: MOST })
        .filter((row) => now - row.seenMs <= endsMs(row))
        .sort((a, b) => grade(a) - grade(b) || a.openedMs - b.openedMs)
        .map((row) => ({
          alert: alertOf(row),
          openedMs: BigInt(row.openedMs),
          toldMs: BigInt(row.toldMs),
          failures: row.failures,
        })),
    };
  },
});

const nameOf = ({ code, party, school, subject }: Pick<AlertRow, 'code' | 'party' | 'school' | 'subject'>): string =>
  JSON.stringify([code, party, school, subject]);

const nameOfAlert = ({ code, partyOin: party, schoolOin: school, subject }: Alert): string =>
  nameOf({ code, party, school, subject });

const said = ({ grade, count, sinceMs, patienceMs }: Alert) => ({
  grade,
  count: Number(count),
  sinceMs: Number(sinceMs),
  patienceMs: Number(patienceMs),
});

const fresh = (alert: Alert, now: number): AlertRow => ({
  code: alert.code,
  party: alert.partyOin,
  school: alert.schoolOin,
  subject: alert.subject,
  ...said(alert),
  openedMs: now,
  seenMs: now,
  toldMs: 0,
  toldGrade: '',
  toldCount: 0,
  teller: '',
  telling: '',
  tellingMs: 0,
  failures: 0,
});

const alertOf = (row: Readonly<AlertRow>): Alert => ({
  code: row.code,
  partyOin: row.party,
  schoolOin: row.school,
  subject: row.subject,
  grade: row.grade,
  count: BigInt(row.count),
  sinceMs: BigInt(row.sinceMs),
  patienceMs: BigInt(row.patienceMs),
});
