/** What of one party's mail does not arrive, for the party itself; and what it wants of that, as an operator would. */
import { allOf, type EngineView } from '#bus';
import type { Service } from '#proto/eduk/core/v1/party';
import type { DeadLetterRow, ListDeadLettersRequest, ListDeadLettersResponse } from '#proto/eduk/delivery/v1/delivery';
import { DeadLetterSelection, type DeliveryCommandSubmitted } from '#proto/eduk/events/v1/deliveries';
import { subjectOf } from './about.ts';
import { isForgotten, type Writer } from './mailbox.ts';
import { allTimes, chosen, failingAttempts, firstOf, meant, resolve, type Selection } from './push.ts';
import {
  bodies,
  endpoints,
  HELD,
  type Member,
  NEVER,
  type ParkedKeyRow,
  type PushKeyRow,
  parkedKeys,
  STOPPED,
} from './tables.ts';

/** Keys that one command of a party changes. */
export const MOST_KEYS = 5_000;
const PAGE = 100;
const LARGEST_PAGE = 200;
/** Keys counted that may not be sent. */
const COUNTED = 100_000;

/** What each word of a party is among those of operators. */
const ACTIONS: Readonly<Record<string, string>> = { retry: 'retry', hold: 'stop', release: 'release' };

const selected = (party: string, given: DeadLetterSelection | undefined): Selection => {
  const { service, schoolOin: school, code, about, fromMs, untilMs } = given ?? DeadLetterSelection.fromPartial({});
  return { party, school, key: '', service, code, about, fromMs: Number(fromMs), untilMs: Number(untilMs) };
};

/** Does what a party wants of its dead letters. `more`: it was as many keys as one command changes. */
export function command(
  unit: Writer,
  { partyOin, action, selection }: Pick<DeliveryCommandSubmitted, 'partyOin' | 'action' | 'selection'>,
): { keys: number; rows: number; more: boolean } {
  const how = ACTIONS[action];
  if (how === undefined) return { keys: 0, rows: 0, more: false };
  const done = resolve(unit, { ...selected(partyOin, selection), byParty: true }, how, MOST_KEYS);
  return { ...done, more: done.keys >= MOST_KEYS };
}

export const deadLettersServed = (engine: EngineView) => ({
  listDeadLetters({ partyOin, selection, after, limit }: ListDeadLettersRequest): ListDeadLettersResponse {
    const which = selected(partyOin, selection);
    const most = Math.min(limit || PAGE, LARGEST_PAGE);
    const all = [...withheld(engine, which), ...failed(engine, which), ...repeated(engine, which)]
      .filter(({ name }) => name > after)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const shown = all.slice(0, most);
    return {
      letters: allOf(shown, ({ letter }) => letter()),
      next: all.length > most ? shown.at(-1)!.name : '',
    };
  },
});

/** `name`: by which it has its place in the list. */
interface Listed {
  name: string;
  letter(): DeadLetterRow;
}

/** What the party may not be sent, by school, service and reason. What it is about is not told, nor chosen by. */
function withheld(engine: EngineView, which: Selection): Listed[] {
  if (which.about) return [];
  const groups = new Map<string, Pick<ParkedKeyRow, 'service' | 'school' | 'code' | 'rows' | 'sinceMs'>>();
  for (const row of engine.list(parkedKeys, { equals: [which.party], limit: COUNTED })) {
    const { service, school, code, rows, sinceMs } = row;
    if (which.service && service !== which.service) continue;
    if ((which.school !== '' && school !== which.school) || !meant(which, row)) continue;
    const name = `a|${service}|${school}|${code}`;
    const of = groups.get(name) ?? { service, school, code, rows: 0, sinceMs };
    groups.set(name, { ...of, rows: of.rows + rows, sinceMs: Math.min(of.sinceMs, sinceMs) });
  }
  return [...groups].map(([name, { service, school, code, rows, sinceMs }]) => ({
    name,
    letter: () => ({
      ...NOTHING,
      service: service as Service,
      schoolOin: school,
      code,
      state: 'withheld',
      rows: BigInt(rows),
      sinceMs: BigInt(sinceMs),
    }),
  }));
}

const NOTHING = {
  type: '',
  about: '',
  flowId: '',
  attempts: 0,
  status: 0,
  cause: '',
  nextMs: 0n,
  standard: '',
} as const;

/** What failed at its endpoints and waits; not what is being tried again. */
const failed = (engine: EngineView, which: Selection): Listed[] =>
  chosen(engine, which)
    .filter((row) => row.code !== '')
    .map((row) => ({
      name: `k|${row.standard}|${row.service}|${row.school}|${row.key}`,
      letter: () => letterOf(engine, row),
    }));

/** What waits as a whole because its endpoint took nothing: of each key by itself. */
const repeated = (engine: EngineView, which: Selection): Listed[] =>
  failingAttempts(engine, which).flatMap(({ attempt, keys, why }) =>
    keys.map((key) => {
      const { party, standard, service, school } = attempt;
      const members = attempt.members.filter((member) => member.key === key);
      return {
        name: `k|${standard}|${service}|${school}|${key}|${attempt.attemptId}`,
        letter: () => ({
          service: service as Service,
          schoolOin: school,
          ...told(engine, service, members[0]),
          ...{ code: why.code, status: why.status, cause: why.cause },
          state: 'repeated',
          rows: BigInt(members.length),
          attempts: allTimes(attempt, members[0]),
          sinceMs: BigInt(attempt.sinceMs || attempt.startedMs),
          nextMs: BigInt(engine.get(endpoints, party, standard)?.restUntilMs ?? 0),
          standard,
        }),
      };
    }),
  );

/** What is told of the first message that waits. */
function told(engine: EngineView, service: number, first: Pick<Member, 'flowId' | 'eventId'> | undefined) {
  const body = first && engine.get(bodies, first.flowId, first.eventId);
  // Of who is forgotten nothing is told that leads there.
  const about = body === undefined || isForgotten(engine, body) ? '' : subjectOf(service, body);
  return { type: body?.type ?? '', about, flowId: first?.flowId ?? '' };
}

const stateOf = ({ parked }: PushKeyRow): string =>
  parked === HELD ? 'held' : parked === STOPPED ? 'stopped' : parked ? 'parked' : 'repeated';

function letterOf(engine: EngineView, row: Readonly<PushKeyRow>): DeadLetterRow {
  const { standard, service, school } = row;
  const first = firstOf(engine, row);
  return {
    service: service as Service,
    schoolOin: school,
    ...told(engine, service, first),
    code: row.code,
    state: stateOf(row),
    rows: BigInt(row.rows),
    attempts: row.failures + (first?.before || 0),
    status: row.status,
    cause: row.cause || '',
    sinceMs: BigInt(row.sinceMs),
    nextMs: BigInt(row.parked || row.dueMs === NEVER ? 0 : row.dueMs),
    standard,
  };
}
