/** Answers what operators ask about replays. */
import type { EngineView } from '#bus';
import type { Service } from '#proto/eduk/core/v1/party';
import type { ListReplaysRequest, ListReplaysResponse, ReplayJob } from '#proto/eduk/delivery/v1/delivery';
import { parkedOf, settledOf, toSend } from './replay.ts';
import { STANDARDS } from './standards.ts';
import { attempts, type ReplayRow, replays } from './tables.ts';

/** Replays that one answer names. */
const SHOWN = 500;

export const replaysServed = (engine: EngineView) => ({
  listReplays({ partyOin, jobId }: ListReplaysRequest): ListReplaysResponse {
    const rows = engine
      .list(replays, { equals: partyOin === '' ? [] : [partyOin], limit: 100_000 })
      .filter((row) => jobId === '' || row.jobId === jobId)
      .sort((a, b) => b.madeMs - a.madeMs || (a.jobId < b.jobId ? 1 : -1))
      .slice(0, SHOWN);
    return { replays: rows.map((row) => jobOf(engine, row)) };
  },
});

function jobOf(engine: EngineView, row: Readonly<ReplayRow>): ReplayJob {
  const { party, jobId, state, cause, selection, bounds, counts, forbidden } = row;
  const n = (count: number): bigint => BigInt(Math.max(0, count));
  const open = counts.released - settledOf(row);
  const underWay = open === 0 ? 0 : underWayOf(engine, party, jobId);
  const parked = open === 0 || underWay > 0 ? 0 : parkedOf(engine, row);
  // Nothing but an operator moves it.
  const isWaiting = parked > 0 && parked === open;
  return {
    jobId,
    selection: {
      partyOin: party,
      service: selection.service as Service,
      schoolOin: selection.school,
      key: selection.key,
      about: selection.about,
      flowId: selection.flowId,
      types: selection.types,
      fromMs: BigInt(selection.fromMs),
      untilMs: BigInt(selection.untilMs),
      again: selection.again,
      outOfOrder: selection.outOfOrder,
      reconciled: selection.reconciled ?? '',
    },
    state: isWaiting ? 'waiting' : state,
    cause: isWaiting ? 'parked' : cause,
    looked: n(row.looked),
    toLook: n(bounds.reduce((sum, { from, through }) => sum + through - from, 0)),
    keptFromMs: BigInt(row.keptFromMs),
    selected: n(counts.selected),
    fresh: n(counts.fresh),
    had: n(counts.had),
    outOfOrder: n(counts.outOfOrder),
    pending: n(counts.pending),
    forbidden: Object.entries(forbidden)
      .map(([reason, messages]) => ({ reason, messages: n(messages) }))
      .sort((a, b) => (a.reason < b.reason ? -1 : 1)),
    toSend: n(toSend(row)),
    rate: row.rate,
    mostErrors: row.mostErrors,
    errors: n(counts.errors),
    released: n(counts.released),
    sent: n(counts.sent),
    untold: n(counts.untold),
    refused: n(counts.refused),
    withheld: n(counts.withheld),
    gone: n(counts.gone),
    underWay: n(underWay),
    leftOut: n(isWaiting && row.at >= bounds.length ? toSend(row) - counts.released : counts.leftOut),
    setBack: state === 'stopped' ? n(open - underWay) : 0n,
    parked: n(parked),
    madeMs: BigInt(row.madeMs),
    startedMs: BigInt(row.startedMs),
    endedMs: BigInt(row.endedMs),
  };
}

/** Messages of a replay that may have left, without an answer. */
const underWayOf = (engine: EngineView, party: string, jobId: string): number =>
  STANDARDS.flatMap((standard) => engine.list(attempts, { equals: [party, standard] }))
    .filter(({ started }) => started)
    .reduce((sum, { members }) => sum + members.filter(({ job }) => job === jobId).length, 0);
