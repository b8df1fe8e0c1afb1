import { type Codec, GatewayError, newId } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { ReplaySubmitted } from '#proto/eduk/events/v1/deliveries';
import { PreviewReplayRequest, RunReplayRequest, StopReplayRequest } from '#proto/eduk/operator/v1/operator';
import { events } from '#proto/events';
import { event, type Intake } from '../submission.ts';

/** Messages a second, and requests that may fail, where nothing is said of them. */
export const RATE = 50;
export const ERRORS = 10;
const MOST_RATE = 5_000;
const MOST_ERRORS = 100_000;

const invalid = (told: string, where: string): GatewayError => new GatewayError('wire.invalid', told, { where });

/** Faults: wire.invalid. */
export function checkPace(rate: number, mostErrors: number): void {
  if (rate > MOST_RATE) throw invalid('A rate is 1 to 5000 messages a second.', 'rate');
  if (mostErrors > MOST_ERRORS) throw invalid('At most 100000 requests may fail.', 'most_errors');
}

/** Faults: wire.invalid. */
export function checkKinds(kinds: readonly string[], where: string): void {
  if (kinds.some((kind) => !Object.hasOwn(events, kind)))
    throw invalid('No event is called so: docs/streams.md names them.', where);
}

/** Faults: wire.invalid. */
export function checkTimes({ fromMs, untilMs }: { fromMs: bigint; untilMs: bigint }, where: string): void {
  if (fromMs < 0n || untilMs < 0n || (untilMs > 0n && untilMs <= fromMs))
    throw invalid('It ends after it begins.', where);
}

/** What is asked of a replay is an event: whichever process has the mailboxes counts and sends, and goes on after a restart. An operator's only. */
const replay = <Req>(
  name: string,
  codec: Codec<Req>,
  partyOin: string,
  order: Partial<ReplaySubmitted>,
): Intake<Req> => {
  const reference = newId();
  return {
    method: `OperatorService/${name}`,
    type: `eduk.operator.v1.${name}Request`,
    codec,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => '',
    events: () => [event('ReplaySubmitted', ReplaySubmitted.fromPartial({ ...order, partyOin }), partyOin)],
  };
};

type Asked = Pick<ReplaySubmitted, 'jobId'> & Partial<ReplaySubmitted>;

export const previewReplay = (partyOin: string, order: Asked): Intake<PreviewReplayRequest> =>
  replay('PreviewReplay', PreviewReplayRequest, partyOin, { ...order, action: 'preview' });

export const runReplay = (partyOin: string, order: Asked): Intake<RunReplayRequest> =>
  replay('RunReplay', RunReplayRequest, partyOin, { ...order, action: 'run' });

export const stopReplay = (partyOin: string, order: Asked): Intake<StopReplayRequest> =>
  replay('StopReplay', StopReplayRequest, partyOin, { ...order, action: 'stop' });
