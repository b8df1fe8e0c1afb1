/** What of a party's mail is kept and was not sent, and would be if it had other endpoints. */
import type { EngineView } from '#bus';
import { NOT_SENT } from '#kernel';
import type { Endpoint } from '#proto/eduk/core/v1/party';
import type { KeptMail, ListKeptRequest, ListKeptResponse } from '#proto/eduk/delivery/v1/delivery';
import { lastBefore } from './moves.ts';
import { MAILBOXES, standardFor, standardsOf, takenOver, takerOf } from './standards.ts';
import { attempts, heads, mail, parkedKeys, parkedMail, pushKeys } from './tables.ts';

/** Rows and keys that are counted one by one; beyond, numbers tell about how many there are. */
const COUNTED = 5_000;

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
  return {
    kept: MAILBOXES.flatMap((service) => {
      const endpoint = named(after, service);
      // What is sent already goes on where it is.
      if (endpoint === undefined || named(before, service) !== undefined) return [];
      const found = keptOf(engine, partyOin, service, Number(endpoint.fromMs ?? 0n));
      return found.messages === 0n ? [] : [{ ...found, service, standard: endpoint.standard }];
    }),
  };
}

function keptOf(
  engine: EngineView,
  party: string,
  service: number,
  fromMs: number,
): Omit<KeptMail, 'service' | 'standard'> {
  const head = engine.get(heads, party, service);
  if (head === undefined) return { messages: 0n, left: 0n, more: false, oldestMs: 0n };
  const had = standardFor(engine, party, service);
  const taken = had === undefined ? undefined : takenOver(engine, party, had, service);
  const after = taken ?? head.first - 1;
  const rows = engine.list(mail, { equals: [party, service], after: [after], limit: COUNTED });
  const last = rows.at(-1);
  const isMore = rows.length === COUNTED && last!.number < head.number;
  // Numbers have no gaps but those of what was parked.
  const behind = isMore ? head.number - last!.number : 0;
  const begin =
    fromMs === 0
      ? 0
      : lastBefore(
          { get: (...key) => engine.get(...key), list: (...of) => engine.list(...of), now: engine.now() },
          head,
          fromMs,
        );
  const waiting = standardsOf(service).flatMap((standard) =>
    engine.list(pushKeys, { equals: [party, standard, service], limit: COUNTED }).filter(({ parked }) => !parked),
  );
  const again = standardsOf(service).flatMap((standard) =>
    engine
      .list(attempts, { equals: [party, standard] })
      .filter((attempt) => attempt.service === service)
      .flatMap(({ members }) => members),
  );
  const parked = engine.list(parkedKeys, { equals: [party, service], limit: COUNTED });
  const waits = sum(waiting) + again.length;
  // What was taken over lies before what was not, so it is left where any of that is.
  const withheld = begin === 0 ? [] : engine.list(parkedMail, { equals: [party, service], limit: COUNTED });
  const left =
    rows.filter(({ first }) => first <= begin).length +
    withheld.filter(({ first }) => first <= begin).length +
    (begin > 0 ? waits : 0);
  const oldest = [rows[0]?.atMs, ...again.map(({ atMs }) => atMs), ...parked.map(({ sinceMs }) => sinceMs)];
  const times = oldest.filter((ms) => ms !== undefined);
  return {
    messages: BigInt(rows.length + behind + waits + sum(parked)),
    left: BigInt(left + (begin > 0 && isMore ? Math.max(0, begin - last!.number) : 0)),
    more: isMore || parked.length === COUNTED || waiting.length === COUNTED,
    oldestMs: BigInt(times.length === 0 ? 0 : Math.min(...times)),
  };
}

const sum = (rows: readonly { rows: number }[]): number => rows.reduce((all, { rows: some }) => all + some, 0);
