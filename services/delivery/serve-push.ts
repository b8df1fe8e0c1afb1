/** Answers what senders and operators ask about endpoints. */
import { allOf, callBegan, type EngineView } from '#bus';
import { GatewayError, newId, uuidBytes, type Waiters } from '#kernel';
import type { Service } from '#proto/eduk/core/v1/party';
import type {
  Attempt,
  AttemptOutcome,
  ClaimAttemptsRequest,
  ClaimAttemptsResponse,
  ListEndpointsRequest,
  ListEndpointsResponse,
  ReportOutcomesRequest,
  ResolveKeysRequest,
  ResolveKeysResponse,
} from '#proto/eduk/delivery/v1/delivery';
import { SENDERS } from './consume.ts';
import { breakerOf, widthOf } from './endpoint.ts';
import { EndpointLines, type Seen } from './lines.ts';
import { type Ask, exchange, failing, LEASE_MS, leaseMsOf, nextDue, oldestOf, resolve, type Started } from './push.ts';
import { attempts, type EndpointRow, endpoints, NEVER } from './tables.ts';

const LONGEST_WAIT_MS = 30_000;
const MOST_ATTEMPTS = 1000;
/** After so long a transaction is committed, or was not. */
const SETTLED_MS = 1_000;
/** Endpoints that one answer names. */
const SHOWN = 10_000;

export function pushing(engine: EngineView, waiters: Waiters) {
  /** Attempts that were given out here, and until when by the monotonic clock: a jump of the other frees none of them. */
  const held = new Map<string, { until: number; leaseMs: number }>();
  const lines = new EndpointLines();

  /** One transaction. Its function may be run again, and draws nothing. */
  async function committed(told: readonly AttemptOutcome[], ask: Omit<Ask, 'ids' | 'isHeld' | 'saw'>, most: number) {
    const ids = Array.from({ length: most }, newId);
    const now = performance.now();
    for (const { attemptId } of told) held.delete(attemptId);
    for (const [id, { until }] of held) if (until <= now) held.delete(id);
    // What was given out just now may be undone and asked anew; until then the lease by the other clock is enough.
    const isHeld = (id: string) => {
      const known = held.get(id);
      return known !== undefined && known.until <= now + known.leaseMs - SETTLED_MS;
    };
    let started: Started[] = [];
    let seen: Seen[] = [];
    await engine.note((unit) => {
      seen = [];
      started = exchange(unit, told, { ...ask, ids, isHeld, saw: (one) => seen.push(one) });
      // Others who wait for work look whether any is left.
      waiters.hint(SENDERS);
    });
    lines.saw(seen);
    for (const { attempt } of started) {
      const leaseMs = leaseMsOf(attempt.standard);
      held.set(attempt.attemptId, { until: performance.now() + leaseMs, leaseMs });
    }
    return started;
  }

  return {
    async claimAttempts(request: ClaimAttemptsRequest): Promise<ClaimAttemptsResponse> {
      const { owner, outcomes } = request;
      if (owner === '') throw new GatewayError('gateway.bug', 'a sender has no name');
      const most = Math.min(request.attempts, MOST_ATTEMPTS);
      const until = callBegan() + Math.min(Number(request.waitMs), LONGEST_WAIT_MS);
      const ask = { owner, isAlone: request.alone };
      let told: readonly AttemptOutcome[] = outcomes;
      for (let isWoken = false; ; ) {
        if (told.length > 0 || isWoken || (most === 0 ? NEVER : nextDue(engine)) <= engine.now()) {
          const started = await committed(told, ask, most);
          told = [];
          if (started.length > 0) return { attempts: started.map(attemptOf), leaseMs: BigInt(LEASE_MS) };
        }
        const left = until - performance.now();
        if (left <= 0) return { attempts: [], leaseMs: BigInt(LEASE_MS) };
        const rests = Math.min(left, Math.max(1, nextDue(engine) - engine.now()));
        engine.mayWait();
        const isDue = (): true | undefined => (nextDue(engine) <= engine.now() ? true : undefined);
        const look = (isNews: boolean) => {
          try {
            return isDue();
          } catch (thrown) {
            // Where the row is not at hand, news is taken to be work: the question goes to where the rows are.
            if (isNews) return true;
            throw thrown;
          }
        };
        isWoken = (await waiters.until(SENDERS, rests, look)) === true;
      }
    },
    async reportOutcomes({ owner, outcomes }: ReportOutcomesRequest): Promise<Record<string, never>> {
      if (outcomes.length > 0) await committed(outcomes, { owner, isAlone: false }, 0);
      return {};
    },
    listEndpoints({ idle, partyOin }: ListEndpointsRequest): ListEndpointsResponse {
      const equals = partyOin === '' ? [] : [partyOin];
      // Those with something to do come first in the order of their time.
      const all =
        idle || partyOin !== ''
          ? engine.list(endpoints, { equals, limit: SHOWN })
          : engine.list(endpoints, { index: 'by_due', equals: [], limit: SHOWN });
      return {
        endpoints: allOf(
          all.filter((row) => row.url !== '' && (idle || partyOin !== '' || row.dueMs < NEVER || row.full || row.gone)),
          (row) => statusOf(engine, row),
        ),
      };
    },
    async resolveKeys({ partyOin, schoolOin, key, action, ...how }: ResolveKeysRequest): Promise<ResolveKeysResponse> {
      if (action !== 'retry' && action !== 'drop' && action !== 'stop')
        throw new GatewayError('wire.invalid', 'An action is retry, drop or stop.', { where: 'action' });
      let done = { keys: 0, rows: 0 };
      const { code, fromMs, untilMs } = how;
      const times = { fromMs: Number(fromMs ?? 0n), untilMs: Number(untilMs ?? 0n) };
      const which = { party: partyOin, school: schoolOin, key, code, ...times };
      await engine.note((unit) => {
        done = resolve(unit, which, action);
      });
      return { keys: done.keys, rows: BigInt(done.rows) };
    },
  };
}

const attemptOf = ({ attempt, url, isTrial, rows }: Started): Attempt => ({
  attemptId: attempt.attemptId,
  partyOin: attempt.party,
  standard: attempt.standard,
  url,
  service: attempt.service as Service,
  schoolOin: attempt.school,
  number: attempt.number,
  leaseMs: BigInt(leaseMsOf(attempt.standard)),
  trial: isTrial,
  rows: rows.map(({ member, body }) => ({
    number: BigInt(member.number),
    key: body.key,
    schoolOin: body.school,
    type: body.type,
    data: body.data,
    eventId: uuidBytes(body.eventId)!,
    flowId: body.flowId,
    atMs: BigInt(body.timeMs),
    keyNumber: BigInt(member.first),
  })),
});

function statusOf(engine: EngineView, row: Readonly<EndpointRow>) {
  const { party, standard, status, cause, restUntilMs } = row;
  return {
    partyOin: party,
    standard,
    state: row.gone ? 'gone' : row.rests > 0 ? 'resting' : 'up',
    status,
    cause,
    failures: row.rests,
    restUntilMs: BigInt(restUntilMs),
    oldestMs: BigInt(oldestOf(engine, row)),
    parkedKeys: failing(engine, { party, school: '', key: '' }).filter(({ parked }) => parked).length,
    underWay: engine.list(attempts, { equals: [party, standard] }).filter(({ started }) => started).length,
    breaker: breakerOf(row, engine.now()),
    width: widthOf(row),
    maxInFlight: row.mostAtOnce || 0,
    maxPerSecond: row.perSecond || 0,
  };
}
