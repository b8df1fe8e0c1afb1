/**
 * The outbound door: asks delivery for attempts, releases what is in them, sends, and tells what came of it. It remembers
 * nothing that counts: what is under way is in delivery's rows, under a lease that this sender watches.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  asGatewayError,
  type Dialler,
  describeError,
  type Fault,
  GatewayError,
  Gone,
  log,
  logSeldom,
  newId,
  UWLR,
  uuidText,
  within,
} from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import { type Attempt, AttemptOutcome } from '#proto/eduk/delivery/v1/delivery';
import type { Gate } from '../gate.ts';
import { isClosingWord, ofAgreements, tryPurpose } from '../purpose.ts';
import { partyCaller } from '../stages/authenticate.ts';
import { bodyOf, CONTENT_TYPE } from './body.ts';
import { Breakers } from './breakers.ts';
import { posterFor, TIMEOUT_MS } from './post.ts';
import { CLOSED, UNNAMED } from './reopening.ts';
import type { ResultsOverUwlr } from './results.ts';
import { signed, webhookKeys } from './sign.ts';

export interface SenderOptions {
  /** What requests go through; closed when the sender stops. */
  dialler: Dialler;
  /** How results go to endpoints that take UWLR; closed when the sender stops. */
  uwlr?: Pick<ResultsOverUwlr, 'send' | 'close'> | undefined;
  /** There is no other sender: what another run of it left is free at once. */
  alone: boolean;
  /** Mail was withheld because its school is closed. */
  onClosed?(): void;
}

export interface Sender {
  /** Takes no more; waits for answers that are under way, for `graceMs` at most. What has none then is sent again later. */
  stop(graceMs: number): Promise<void>;
}

/** Requests under way at once, to all endpoints together. */
const MOST_UNDER_WAY = 256;
/** Those that wait longer for their answer take nobody's place: endpoints that hang hold up no others. */
const SLOW_MS = 500;
/** With those, so many at most. */
const MOST_OPEN = 1_024;
/** How long one question for work waits. */
const POLL_MS = 1_000;
const FAILED_WAIT_MS = 500;
/** How long outcomes wait for others while requests are under way. */
const GATHER_MS = 2;
/** Of several rows; one alone may be as large as it is. */
const MOST_BODY_BYTES = 2 * 1024 * 1024;

/** Its endpoint showed a moment ago that it takes nothing. */
const KEPT_BACK: Partial<AttemptOutcome> = { result: 'unsent', code: 'peer.unavailable' satisfies Fault };

/** Begins to send. */
export function startSender(
  gate: Pick<Gate, 'door'>,
  version: string,
  { dialler, uwlr, alone, onClosed }: SenderOptions,
): Sender {
  const { door } = gate;
  const { delivery } = door.services;
  const owner = newId();
  const poster = posterFor(dialler);
  const breakers = new Breakers();
  const underWay = new Set<Promise<void>>();
  let asked = 0;
  let slow = 0;
  let outcomes: AttemptOutcome[] = [];
  let isFlushing = false;
  let isStopping = false;
  /** Its connections were cut: what comes of them now says nothing of the receivers. */
  let isCut = false;
  let freed: (() => void) | undefined;
  /** Left at the stop by who waits for work. What it was given just then is free at once where no other sends. */
  const waiter = alone ? new Gone() : undefined;
  const tellSeldom = logSeldom();
  const failed = (thrown: unknown): void => tellSeldom('warn', 'sender_failed', describeError(asGatewayError(thrown)));

  const free = (): number => Math.min(MOST_UNDER_WAY - (underWay.size - slow), MOST_OPEN - underWay.size) - asked;

  /** Tells what there is to tell and starts what there is to start. */
  async function exchange(told: AttemptOutcome[], waitMs: number): Promise<void> {
    // Who polls leaves half to those who tell: what an outcome frees is started with the commit that takes it in.
    const most = isStopping ? 0 : told.length > 0 ? Math.max(0, free()) : Math.ceil(free() / 2);
    asked += most;
    // Before the call: the lease begins no earlier than that, and ends no earlier than here reckoned.
    const since = performance.now();
    try {
      const claim = () =>
        delivery.claimAttempts({ owner, outcomes: told, attempts: most, waitMs: BigInt(waitMs), alone });
      const { attempts, leaseMs } = await within(undefined, claim, waitMs > 0 ? waiter : undefined);
      for (const attempt of attempts)
        if (isStopping) tell(attempt, { result: 'unsent', code: 'gateway.stopping' });
        else start(attempt, since + Number(attempt.leaseMs || leaseMs));
    } finally {
      asked -= most;
      // Who polls may wait for what this call had taken for itself, with nothing under way that would end.
      freed?.();
    }
  }

  function start(attempt: Attempt, untilMs: number): void {
    const beganMs = door.clock.now();
    let isSlow = false;
    const leave = breakers.enter(attempt);
    const waiting = setTimeout(() => {
      isSlow = true;
      slow += 1;
      freed?.();
    }, SLOW_MS).unref();
    const run = send(attempt, untilMs)
      .catch((thrown): Partial<AttemptOutcome> => {
        const { fault } = asGatewayError(thrown);
        if (fault.startsWith('mandate.')) return { result: 'withheld', code: fault };
        if (fault === CLOSED || (fault === UNNAMED && door.chain.isOnDemand(attempt.schoolOin))) {
          onClosed?.();
          return { result: 'withheld', code: fault };
        }
        if (fault === 'gateway.bug') log('error', 'push_bug', describeError(asGatewayError(thrown)));
        return { result: 'unsent', code: fault };
      })
      .then((outcome) => {
        clearTimeout(waiting);
        leave();
        if (isSlow) slow -= 1;
        underWay.delete(run);
        freed?.();
        door.telemetry?.sent(attempt, outcome, beganMs);
        if (!isCut) tell(attempt, outcome);
      });
    underWay.add(run);
  }

  function tell({ attemptId, partyOin, standard, number }: Attempt, outcome: Partial<AttemptOutcome>): void {
    outcomes.push(AttemptOutcome.fromPartial({ attemptId, partyOin, standard, number, ...outcome }));
    flush();
  }

  /** Also of one whom nothing but its own mandate is needed for, as a school. */
  async function staysStopped(oin: string): Promise<boolean> {
    // It goes on since a moment ago, perhaps.
    await door.chain.refresh();
    return door.chain.isStopped(oin);
  }

  async function send(attempt: Attempt, untilMs: number): Promise<Partial<AttemptOutcome>> {
    const isMine = () => performance.now() + TIMEOUT_MS <= untilMs;
    if (door.chain.isStopped(attempt.partyOin) && (await staysStopped(attempt.partyOin)))
      return { result: 'withheld', code: 'mandate.suspended' };
    const caller = partyCaller(door.chain, attempt.partyOin);
    const judge = () => {
      const { schoolOin, service, rows } = attempt;
      // News of mandates needs none.
      if (service === Service.SERVICE_UNSPECIFIED) return { purpose: ofAgreements(schoolOin, caller.oin) };
      return tryPurpose(door, caller, schoolOin, service, door.chain.isClosed(schoolOin) && rows.every(isClosingWord));
    };
    let judged = judge();
    if ('fault' in judged) {
      // Confirmed a moment ago, perhaps; and what is withheld says why until it is released.
      await door.chain.refresh();
      judged = judge();
    }
    if ('fault' in judged) return { result: 'withheld', code: judged.fault };
    if (attempt.standard === UWLR && uwlr) {
      const mayTake = (ms: number) => performance.now() + ms <= untilMs;
      return (await breakers.through(attempt, () => uwlr.send(attempt, caller, mayTake))) ?? KEPT_BACK;
    }
    const { bytes, untold } = await bodyOf(attempt, judged.purpose, caller, gate);
    if (bytes === undefined) return { result: 'answered', status: 204, untold };
    if (bytes.length > MOST_BODY_BYTES && attempt.rows.length > 1) return { result: 'unsent', code: 'wire.too_large' };
    const { attemptId, partyOin, rows, url } = attempt;
    const id = rows.length === 1 ? uuidText(rows[0]!.eventId) : attemptId;
    const seconds = Math.floor(door.clock.now() / 1000);
    const [key, ...before] = webhookKeys(door, partyOin, url);
    const headers = {
      'content-type': CONTENT_TYPE,
      'user-agent': `eduk-gateway/${version}`,
      ...signed(key, id, seconds, bytes, before),
    };
    const answer = await breakers.through(attempt, () => poster.post(url, headers, bytes, isMine));
    if (answer === undefined) return KEPT_BACK;
    const { status, cause, retryAfterS, tookMs } = answer;
    if (cause === 'expired') return { result: 'unsent', code: 'gateway.overloaded' };
    return { result: status === 0 ? 'unanswered' : 'answered', status, cause, retryAfterS, tookMs, untold };
  }

  /** Outcomes that come shortly after each other go together: each commit waits for the disk. */
  function flush(): void {
    if (isFlushing || outcomes.length === 0) return;
    isFlushing = true;
    const go = async () => {
      while (outcomes.length > 0) {
        const told = outcomes;
        outcomes = [];
        try {
          await exchange(told, 0);
        } catch (thrown) {
          failed(thrown);
          if (isStopping) break;
          outcomes = [...told, ...outcomes];
          await sleep(FAILED_WAIT_MS);
        }
      }
      isFlushing = false;
    };
    if (underWay.size > 0) setTimeout(go, GATHER_MS);
    else setImmediate(go);
  }

  const polling = (async () => {
    while (!isStopping) {
      try {
        if (free() <= 0)
          await new Promise<void>((resolve) => {
            freed = resolve;
          });
        else await exchange([], POLL_MS);
      } catch (thrown) {
        if (isStopping || (thrown instanceof GatewayError && thrown.fault === 'gateway.stopping')) break;
        failed(thrown);
        await sleep(FAILED_WAIT_MS);
      }
    }
  })();

  return {
    async stop(graceMs) {
      isStopping = true;
      freed?.();
      waiter?.leave();
      const until = performance.now() + graceMs;
      const isBusy = () => underWay.size > 0 || asked > 0 || isFlushing || outcomes.length > 0;
      while (isBusy() && performance.now() < until) await sleep(5);
      isCut = true;
      dialler.close();
      breakers.close();
      uwlr?.close();
      await Promise.race([polling, sleep(Math.max(0, until - performance.now()), undefined, { ref: false })]);
    },
  };
}
