/** What of a party's mail a change lets go or sends elsewhere: other endpoints, other mandates, or that it goes on after a stop. */
import { allOf, type EngineView } from '#bus';
import { NOT_SENT } from '#kernel';
import type { Endpoint, Service } from '#proto/eduk/core/v1/party';
import type {
  GoingMail,
  KeptMail,
  ListKeptRequest,
  ListKeptResponse,
  ListWithheldRequest,
  ListWithheldResponse,
} from '#proto/eduk/delivery/v1/delivery';
import { type AsIf, copyOf, mayHave } from './mandates.ts';
import { lastBefore } from './moves.ts';
import { isSent, MAILBOXES, standardFor, standardsOf, takenOver, takerOf } from './standards.ts';
import {
  attempts,
  bodies,
  endpoints,
  heads,
  mail,
  NEVER,
  parkedKeys,
  parkedMail,
  pushKeys,
  setAside,
  stoppedParties,
} from './tables.ts';

/** Rows and keys that are counted one by one; beyond, numbers tell about how many there are. */
const COUNTED = 5_000;
/** Keys that are withheld and looked at. */
const WITHHELD = 20_000;
/** Keys of which the first message is looked up, to say how old it is. */
const OLDEST_OF = 500;

export function listKept(engine: EngineView, { partyOin, roles, before, after }: ListKeptRequest): ListKeptResponse {
  const named = (among: readonly Endpoint[], service: number) => {
    const of = (standard: string) => among.find((one) => one.standard === standard);
    const standard = takerOf(
      service,
      (one) => of(one)?.url ?? '',
      () => roles,
    );
    const endpoint = standard === undefined ? undefined : of(standard)!;
    return endpoint?.url === NOT_SENT ? undefined : endpoint;
  };
  const kept: KeptMail[] = [];
  const going: GoingMail[] = [];
  for (const service of MAILBOXES) {
    const had = named(before, service);
    const has = named(after, service);
    if (has === undefined) continue;
    const { standard } = has;
    if (had === undefined) {
      const found = keptOf(engine, partyOin, service, Number(has.fromMs ?? 0n));
      if (found.messages > 0n) kept.push({ ...found, service, standard });
      continue;
    }
    // What is sent already goes on where it is; somebody is told where it goes, if that is not there.
    const isElsewhere = had.url !== has.url;
    // An endpoint that is named again is tried again.
    if (!isElsewhere && !engine.get(endpoints, partyOin, standard)?.gone) continue;
    const { messages, staying, more, oldestMs, bySchool } = standing(engine, partyOin, service);
    // What no mandate lets go waits there too, until its sender looks.
    const schools = [...Map.groupBy(bySchool(), ({ school }) => school)];
    const barred = sum(schools.flatMap(([school, of]) => (mayGo(engine, school, partyOin, service) ? [] : of)));
    const stays = isElsewhere ? staying + barred : 0;
    if (messages - barred + stays > 0)
      going.push({
        ...{ service, standard, more, schools: 0 },
        messages: BigInt(messages - barred),
        staying: BigInt(stays),
        oldestMs: BigInt(oldestMs),
      });
  }
  return { kept, going };
}

/** What is withheld from a party and would not be, as if it went on or had other mandates: by service. */
export function listWithheld(engine: EngineView, asked: ListWithheldRequest): ListWithheldResponse {
  const { partyOin: party, resumed } = asked;
  const asIf: AsIf = { resumed, mandates: asked.mandates.map(copyOf) };
  const going: GoingMail[] = [];
  for (const service of MAILBOXES) {
    const keys = engine.list(parkedKeys, { equals: [party, service], limit: WITHHELD });
    const would = new Map<string, boolean>();
    const isLet = ({ school }: { school: string }): boolean => {
      const known = would.get(school);
      if (known !== undefined) return known;
      const may = (as?: AsIf) => mayGo(engine, school, party, service, as);
      // What may go already is on its way, whatever is changed.
      const lets = !may() && may(asIf);
      would.set(school, lets);
      return lets;
    };
    // Of its own mandates a party is told whatever they say.
    const letGo = keys.filter((row) => (service === 0 ? resumed : isLet(row)));
    const isPushed = isSent(engine, party, service);
    // What waits at its endpoint, where nothing is sent while it is stopped, and what its sender has not looked at yet.
    const waits = isPushed ? standing(engine, party, service) : undefined;
    const there = waits?.bySchool().filter((one) => (service === 0 ? resumed : isLet(one))) ?? [];
    const messages = sum(letGo) + sum(there) + (resumed ? (waits?.behind ?? 0) : 0);
    if (messages === 0) continue;
    const oldest = [...letGo, ...there].reduce((first, { sinceMs }) => Math.min(first, sinceMs), NEVER);
    going.push({
      service,
      standard: isPushed ? standardFor(engine, party, service)! : '',
      messages: BigInt(messages),
      staying: 0n,
      more: keys.length === WITHHELD || (waits?.more ?? false),
      oldestMs: BigInt(oldest === NEVER ? 0 : oldest),
      schools: new Set([...letGo, ...there].map(({ school }) => school)).size,
    });
  }
  return { going };
}

/** Some of what waits to be sent: of which school, and since when. */
interface Waiting {
  school: string;
  rows: number;
  sinceMs: number;
}

/** Whether the sender would let it go: a school has its own by no mandate, and news of mandates is told whatever they say. */
const mayGo = (engine: EngineView, school: string, party: string, service: Service, as?: AsIf): boolean =>
  service === 0 || school === party
    ? as?.resumed === true || engine.get(stoppedParties, party) === undefined
    : mayHave(engine, school, party, service, engine.now(), as);

/** What stands in a mailbox: `messages` that wait to be sent by themselves, `staying` that somebody has to let go. */
function standing(engine: EngineView, party: string, service: Service) {
  const head = engine.get(heads, party, service);
  if (head === undefined)
    return {
      ...{ messages: 0, staying: 0, more: false, oldestMs: 0, waits: 0, parked: 0, rows: [], behind: 0 },
      bySchool: (): Waiting[] => [],
    };
  const had = standardFor(engine, party, service);
  const taken = had === undefined ? undefined : takenOver(engine, party, had, service);
  const after = taken ?? head.first - 1;
  const rows = engine.list(mail, { equals: [party, service], after: [after], limit: COUNTED });
  const last = rows.at(-1);
  const isMore = rows.length === COUNTED && last!.number < head.number;
  // Numbers have no gaps but those of what was parked.
  const behind = isMore ? head.number - last!.number : 0;
  const of = standardsOf(service);
  const keys = of.map((standard) => engine.list(pushKeys, { equals: [party, standard, service], limit: COUNTED }));
  const stopped = keys.flat().filter((row) => row.parked);
  const waiting = keys.flat().filter((row) => !row.parked);
  const again = of.flatMap((standard) =>
    engine
      .list(attempts, { equals: [party, standard] })
      .filter((attempt) => attempt.service === service)
      .flatMap(({ school, members }) => members.map((member) => ({ ...member, school }))),
  );
  const withheld = engine.list(parkedKeys, { equals: [party, service], limit: COUNTED });
  const waits = sum(waiting) + again.length;
  // Of a key the first is the oldest.
  const aside = keys
    .flat()
    .slice(0, OLDEST_OF)
    .flatMap((row) => engine.list(setAside, { equals: [party, row.standard, service, row.school, row.key], limit: 1 }));
  /** What waits to be sent, of whom it is. What lies behind what was counted is of nobody. */
  const bySchool = (): Waiting[] => {
    const ofRows = allOf(rows, ({ flowId, eventId, atMs }) => {
      const body = engine.get(bodies, flowId, eventId);
      return { school: body?.school || party, rows: 1, sinceMs: atMs };
    });
    const sent = again.map(({ school, atMs }) => ({ school, rows: 1, sinceMs: atMs }));
    const ofKeys = waiting.map(({ school, standard, key, rows: some }, i) => {
      const asked = { equals: [party, standard, service, school, key], limit: 1 };
      const first = i < OLDEST_OF ? engine.list(setAside, asked)[0] : undefined;
      return { school, rows: some, sinceMs: first?.atMs ?? NEVER };
    });
    return [...ofRows, ...sent, ...ofKeys];
  };
  const times = [...rows.slice(0, 1), ...again, ...aside].map(({ atMs }) => atMs);
  const oldestMs = [...times, ...withheld.map(({ sinceMs }) => sinceMs)].reduce((a, b) => Math.min(a, b), NEVER);
  return {
    messages: rows.length + behind + waits,
    staying: sum(stopped) + sum(withheld),
    more: isMore || withheld.length === COUNTED || keys.some(({ length }) => length === COUNTED),
    oldestMs: oldestMs === NEVER ? 0 : oldestMs,
    ...{ waits, parked: sum(withheld), rows, behind, bySchool },
  };
}

function keptOf(
  engine: EngineView,
  party: string,
  service: Service,
  fromMs: number,
): Omit<KeptMail, 'service' | 'standard'> {
  const { messages, waits, parked, rows, behind, more, oldestMs } = standing(engine, party, service);
  const head = engine.get(heads, party, service);
  const begin =
    fromMs === 0 || head === undefined
      ? 0
      : lastBefore(
          { get: (...key) => engine.get(...key), list: (...of) => engine.list(...of), now: engine.now() },
          head,
          fromMs,
        );
  // What was taken over lies before what was not, so it is left where any of that is.
  const withheld = begin === 0 ? [] : engine.list(parkedMail, { equals: [party, service], limit: COUNTED });
  const left =
    rows.filter(({ first }) => first <= begin).length +
    withheld.filter(({ first }) => first <= begin).length +
    (begin > 0 ? waits : 0);
  return {
    messages: BigInt(messages + parked),
    left: BigInt(left + (begin > 0 && behind > 0 ? Math.max(0, begin - rows.at(-1)!.number) : 0)),
    more,
    oldestMs: BigInt(oldestMs),
  };
}

const sum = (rows: readonly { rows: number }[]): number => rows.reduce((all, { rows: some }) => all + some, 0);
