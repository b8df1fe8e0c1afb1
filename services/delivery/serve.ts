/** Answers eduk.delivery.v1 from rows as of the last commit. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { allOf, callBegan, type EngineView } from '#bus';
import { type Handlers, type Implementation, implement, uuidBytes, type Waiters } from '#kernel';
import type { Service } from '#proto/eduk/core/v1/party';
import {
  DeliveryServiceDefinition,
  type DroppedRows,
  type MailboxRow,
  type ReadMailboxResponse,
} from '#proto/eduk/delivery/v1/delivery';
import { alertsServed } from './alerts.ts';
import { mailboxName, SENDERS } from './consume.ts';
import { deadLettersServed } from './dead.ts';
import { disksServed } from './disk.ts';
import { deliveriesOf, findDelivered } from './find.ts';
import { listKept, listWithheld } from './kept.ts';
import {
  type Address,
  beginRelease,
  gather,
  headOf,
  isForgotten,
  park,
  send,
  standsBehind,
  type Way,
} from './mailbox.ts';
import { mayHave } from './mandates.ts';
import { failing, firstOf, meant, refusedSchools, wake } from './push.ts';
import { reconciledServed } from './reconciled.ts';
import { listScores } from './scores.ts';
import { pushing } from './serve-push.ts';
import { replaysServed } from './serve-replays.ts';
import {
  type BodyRow,
  bodies,
  dropped,
  EVERYONE,
  forgotten,
  type MailRow,
  mail,
  type ParkedKeyRow,
  parkedKeys,
  STOPPED,
} from './tables.ts';

const PAGE = 200;
const LARGEST_PAGE = 1000;
const LONGEST_WAIT_MS = 30_000;
/** Parked keys counted for one list. */
const COUNTED = 100_000;
/** Keys parked at endpoints that one list names. */
const SHOWN_KEYS = 1000;
/** Of these so many name the message that waits first: each is looked up. */
const SHOWN_FLOWS = 100;

export function serve(engine: EngineView, waiters: Waiters): readonly Implementation[] {
  engine.onCommit((_touched, elsewhere) => waiters.settled(elsewhere));

  /** As a release by a timer does it (`consume.ts`), step by step: what is parked meanwhile belongs to the next one. */
  async function releaseNow(way: Way): Promise<void> {
    let round = 0;
    await engine.note((unit) => {
      round = beginRelease(unit, way);
    });
    for (let after: number | undefined, isGathered = false; !isGathered; await nextTurn()) {
      let next: number | undefined;
      await engine.note((unit) => {
        next = gather(unit, way, after);
      });
      isGathered = next === undefined;
      after = next;
    }
    for (let more = true; more; await nextTurn())
      await engine.note((unit) => {
        ({ more } = send(unit, way, round));
        waiters.hint(mailboxName(way));
        if (wake(unit, way.party, way.service)) waiters.hint(SENDERS);
      });
  }

  const handlers: Omit<
    Handlers<typeof DeliveryServiceDefinition>,
    | keyof ReturnType<typeof pushing>
    | keyof ReturnType<typeof alertsServed>
    | keyof ReturnType<typeof disksServed>
    | keyof ReturnType<typeof replaysServed>
    | keyof ReturnType<typeof deadLettersServed>
    | keyof ReturnType<typeof reconciledServed>
  > = {
    listScores: (asked) => ({ rows: listScores(engine, asked) }),
    listKept: (asked) => listKept(engine, asked),
    listWithheld: (asked) => listWithheld(engine, asked),
    async readMailbox({ partyOin, service, catalogue, after, limit, waitMs }) {
      const address: Address = catalogue ? { party: EVERYONE, service: 0 } : { party: partyOin, service };
      const size = Math.min(limit || PAGE, LARGEST_PAGE);
      const until = callBegan() + Math.min(Number(waitMs), LONGEST_WAIT_MS);
      let through = Number(after);
      for (;;) {
        const page = readPage(engine, address, through, size);
        through = page.through;
        const head = headOf(engine, address);
        if (page.rows.length > 0) return answer(page.rows, through, head);
        if (through < head.number) {
          await nextTurn();
          continue;
        }
        engine.mayWait();
        const moved = await waiters.until(mailboxName(address), until - performance.now(), () =>
          headOf(engine, address).number > through ? true : undefined,
        );
        if (!moved) return answer([], through, headOf(engine, address));
      }
    },
    parkRows({ partyOin, service, numbers, code }) {
      let again = false;
      engine.note((unit) => {
        const rows = allOf(numbers, (number) => unit.get(mail, partyOin, service, Number(number)));
        const found = allOf(rows, (row) => ({ row, body: row && unit.get(bodies, row.flowId, row.eventId) }));
        for (const { row, body } of found) {
          if (!row || !body) continue;
          // Confirmed meanwhile: what is parked now would not be released any more.
          if (code.startsWith('mandate.') && mayHave(unit, body.school, partyOin, service, unit.now)) again = true;
          else park(unit, row, body, code);
        }
      });
      return { again };
    },
    async releaseRows({ schoolOin, code }) {
      const ways = new Map<string, Way>();
      for (const { party, service, school, code: parkedFor } of engine.list(parkedKeys, { equals: [], limit: COUNTED }))
        if (school === schoolOin && parkedFor === code) ways.set(`${party}/${service}`, { party, service, school });
      for (const way of ways.values()) await releaseNow(way);
      return {};
    },
    flowRows({ flowId }) {
      const told = engine.list(bodies, { equals: [flowId], limit: LARGEST_PAGE });
      return { deliveries: told.flatMap((body) => deliveriesOf(engine, body)) };
    },
    findDelivered: (asked) => findDelivered(engine, asked),
    listParkedRows({ schoolOin, partyOin, code, ...times }) {
      const how = { code, fromMs: Number(times.fromMs ?? 0n), untilMs: Number(times.untilMs ?? 0n) };
      const groups = new Map<string, { row: Readonly<ParkedKeyRow>; rows: number; sinceMs: number }>();
      for (const row of engine.list(parkedKeys, { equals: partyOin === '' ? [] : [partyOin], limit: COUNTED })) {
        if ((schoolOin !== '' && row.school !== schoolOin) || !meant(how, row)) continue;
        const name = [row.party, row.school, row.service, row.code].join('|');
        const group = groups.get(name);
        if (group === undefined) groups.set(name, { row, rows: row.rows, sinceMs: row.sinceMs });
        else {
          group.rows += row.rows;
          group.sinceMs = Math.min(group.sinceMs, row.sinceMs);
        }
      }
      return {
        dropped: droppedOf(engine, partyOin, schoolOin),
        parked: [...groups.values()]
          .map(({ row, rows, sinceMs }) => ({
            partyOin: row.party,
            schoolOin: row.school,
            service: row.service as Service,
            code: row.code,
            rows: BigInt(rows),
            sinceMs: BigInt(sinceMs),
            standard: '',
            key: '',
            attempts: 0,
            status: 0,
            cause: '',
            nextMs: 0n,
            who: '',
            told: '',
          }))
          .concat(
            refusedSchools(engine, { party: partyOin, school: schoolOin })
              .filter(({ row }) => meant(how, row))
              .map(({ row, rows, service }) => ({
                partyOin: row.party,
                schoolOin: row.school,
                service: service as Service,
                code: row.code,
                rows: BigInt(rows),
                sinceMs: BigInt(row.sinceMs),
                standard: row.standard,
                key: '',
                attempts: 0,
                status: row.status,
                cause: row.cause,
                nextMs: BigInt(row.untilMs),
                who: '',
                told: '',
              })),
          )
          .concat(
            allOf(
              failing(engine, { party: partyOin, school: schoolOin, key: '', ...how })
                .filter(({ parked }) => parked)
                .slice(0, SHOWN_KEYS)
                .map((row, i) => ({ row, first: firstOf(engine, row), isNamed: i < SHOWN_FLOWS })),
              ({ row, first, isNamed }) => ({
                partyOin: row.party,
                schoolOin: row.school,
                service: row.service as Service,
                code: row.code,
                rows: BigInt(row.rows),
                sinceMs: BigInt(row.sinceMs),
                standard: row.standard,
                key: row.key,
                attempts: row.failures + (first?.before || 0),
                status: row.status,
                cause: row.cause || '',
                nextMs: 0n,
                who: '',
                told: '',
                stopped: row.parked >= STOPPED,
                flowId: isNamed ? first?.flowId : undefined,
              }),
            ),
          ),
      };
    },
  };
  const others = {
    ...pushing(engine, waiters),
    ...alertsServed(engine),
    ...disksServed(engine),
    ...replaysServed(engine),
    ...deadLettersServed(engine),
    ...reconciledServed(engine),
  };
  return [implement(DeliveryServiceDefinition, { ...handlers, ...others })];
}

/** What was dropped, the last first. */
const droppedOf = (engine: EngineView, party: string, school: string): DroppedRows[] =>
  engine
    .list(dropped, { equals: party === '' ? [] : [party], limit: COUNTED })
    .filter((row) => school === '' || row.school === school)
    .sort((a, b) => b.untilMs - a.untilMs)
    .map((row) => ({
      partyOin: row.party,
      schoolOin: row.school,
      service: row.service as Service,
      code: row.code,
      rows: BigInt(row.rows),
      fromMs: BigInt(row.fromMs),
      untilMs: BigInt(row.untilMs),
    }));

const answer = (rows: MailboxRow[], through: number, head: { number: number; first: number }): ReadMailboxResponse => ({
  rows,
  head: BigInt(head.number),
  oldest: BigInt(head.first),
  through: BigInt(through),
});

/**
 * Rows after a number that may be read. What stands behind parked mail of its key is taken out of the mailbox on the way;
 * what is older than its learner's forgetting, or than its body, is passed over.
 */
function readPage(
  engine: EngineView,
  address: Address,
  after: number,
  size: number,
): { rows: MailboxRow[]; through: number } {
  const { party, service } = address;
  const page = engine.list(mail, { equals: [party, service], after: [after], limit: size });
  const anyParked = headOf(engine, address).parkedKeys > 0;
  const anyForgotten = engine.list(forgotten, { equals: [], limit: 1 }).length > 0;
  const found = allOf(page, (row) => {
    const body = engine.get(bodies, row.flowId, row.eventId);
    return body && { row, body };
  });
  const told = allOf(found, (one) => (one && !(anyForgotten && isForgotten(engine, one.body)) ? [one] : [])).flat();
  const judged = allOf(told, (one) => ({ ...one, isBehind: anyParked && standsBehind(engine, one.row, one.body) }));
  const rows = judged.flatMap(({ row, body, isBehind }) => (isBehind ? [] : [mailboxRow(row, body)]));
  const behind = judged.filter(({ isBehind }) => isBehind);
  if (behind.length > 0)
    engine.note((unit) => {
      for (const { row, body } of behind) {
        const parked = standsBehind(unit, row, body);
        if (parked && unit.get(mail, party, service, row.number)) park(unit, row, body, parked.code);
      }
    });
  return { rows, through: page.at(-1)?.number ?? Math.max(after, headOf(engine, address).number) };
}

const mailboxRow = (row: Pick<MailRow, 'number' | 'first'>, body: Readonly<BodyRow>): MailboxRow => ({
  number: BigInt(row.number),
  key: body.key,
  schoolOin: body.school,
  type: body.type,
  data: body.data,
  eventId: uuidBytes(body.eventId)!,
  flowId: body.flowId,
  atMs: BigInt(body.timeMs),
  keyNumber: BigInt(row.first),
});
