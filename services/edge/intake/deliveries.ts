/** What a party wants of what the gateway sends to it. Deciders of delivery do it, as they do what an operator asks. */
import { createHash } from 'node:crypto';
import { GatewayError, isFault } from '#kernel';
import { type Role, Service } from '#proto/eduk/core/v1/party';
import { DeliveryCommandSubmitted, ReplaySelection, ReplaySubmitted } from '#proto/eduk/events/v1/deliveries';
import {
  type DeadLetterSelection,
  HoldRequest,
  PreviewReplayRequest,
  ReleaseRequest,
  ReplayRequest,
  RetryRequest,
  StopReplayRequest,
} from '#proto/eduk/gateway/v1/delivery';
import { settle } from '../settle.ts';
import { type Door, event, type Intake } from '../submission.ts';
import { checkKinds, checkPace, checkTimes, ERRORS, RATE } from './replays.ts';

/** Whoever may be told something has a mailbox. */
const RECEIVERS: readonly Role[] = [];

const invalid = (told: string, where: string): GatewayError => new GatewayError('wire.invalid', told, { where });

/** Faults: wire.invalid. */
export function checkSelection({ service, code, ...times }: DeadLetterSelection): void {
  checkService(service);
  if (code !== '' && !isFault(code))
    throw invalid('No fault is called so: docs/faults.md names them.', 'selection.code');
  checkTimes(times, 'selection.until_ms');
}

function checkService(service: Service): void {
  if (service < 0 || !Object.values(Service).includes(service))
    throw invalid('No service has this number.', 'selection.service');
}

type Command = RetryRequest | HoldRequest | ReleaseRequest;

const command = (action: string) => ({
  roles: RECEIVERS,
  remember: 35 as const,
  reference: ({ reference }: Command) => reference,
  school: ({ selection }: Command) => selection?.schoolOin ?? '',
  check: ({ selection }: Command) => {
    if (selection === undefined) throw invalid('Say which: an empty selection is all of yours.', 'selection');
    checkSelection(selection);
  },
  events: ({ selection }: Command, _found: unknown, { caller }: { caller: { oin: string } }) => [
    event(
      'DeliveryCommandSubmitted',
      DeliveryCommandSubmitted.fromPartial({ partyOin: caller.oin, action, selection: selection! }),
      caller.oin,
    ),
  ],
});

export const retry: Intake<RetryRequest> = {
  method: 'DeliveryService/Retry',
  type: 'eduk.gateway.v1.RetryRequest',
  codec: RetryRequest,
  ...command('retry'),
};

export const hold: Intake<HoldRequest> = {
  method: 'DeliveryService/Hold',
  type: 'eduk.gateway.v1.HoldRequest',
  codec: HoldRequest,
  ...command('hold'),
};

export const release: Intake<ReleaseRequest> = {
  method: 'DeliveryService/Release',
  type: 'eduk.gateway.v1.ReleaseRequest',
  codec: ReleaseRequest,
  ...command('release'),
};

/**
 * A replay is named after who asked for it and under which reference: a repeat names the same one, and nobody can name
 * another's. Of both: 32 hexadecimal digits of SHA-256.
 */
export const replayIdOf = (party: string, reference: string): string =>
  `r-${createHash('sha256').update(`replay|${party}|${reference}`).digest('hex').slice(0, 32)}`;

export const previewOwnReplay: Intake<PreviewReplayRequest> = {
  method: 'DeliveryService/PreviewReplay',
  type: 'eduk.gateway.v1.PreviewReplayRequest',
  codec: PreviewReplayRequest,
  roles: RECEIVERS,
  remember: 35,
  reference: ({ reference }) => reference,
  school: ({ selection }) => selection?.schoolOin ?? '',
  check: ({ selection }) => {
    if (selection === undefined) throw invalid('Say which: an empty selection is all of yours.', 'selection');
    checkService(selection.service);
    checkKinds(selection.kinds, 'selection.kinds');
    checkTimes(selection, 'selection.until_ms');
  },
  events: ({ reference, selection }, _found, { caller: { oin } }) => {
    const { kinds: types, ...rest } = selection!;
    const order = {
      partyOin: oin,
      byOin: oin,
      jobId: replayIdOf(oin, reference),
      action: 'preview',
      selection: ReplaySelection.fromPartial({ ...rest, types, partyOin: oin }),
    };
    return [event('ReplaySubmitted', ReplaySubmitted.fromPartial(order), oin)];
  },
};

/** The school of its selection: who may call for one school only begins and stops no replay of others. Faults: state.missing. */
async function schoolOfReplay(
  { previewReference }: { previewReference: string },
  door: Door,
  { oin }: { oin: string },
): Promise<string> {
  const jobId = replayIdOf(oin, previewReference);
  const job = await settle(
    door,
    async () => (await door.services.delivery.listReplays({ partyOin: oin, jobId })).replays[0],
  );
  if (!job)
    throw new GatewayError('state.missing', 'No replay of yours was counted under this reference.', {
      where: 'preview_reference',
    });
  return job.selection!.schoolOin;
}

export const stopOwnReplay: Intake<StopReplayRequest> = {
  method: 'DeliveryService/StopReplay',
  type: 'eduk.gateway.v1.StopReplayRequest',
  codec: StopReplayRequest,
  roles: RECEIVERS,
  remember: 35,
  reference: ({ reference }) => reference,
  school: (_request, located) => located as string,
  locate: schoolOfReplay,
  events: ({ previewReference }, _found, { caller: { oin } }) => {
    const order = { partyOin: oin, byOin: oin, jobId: replayIdOf(oin, previewReference), action: 'stop' };
    return [event('ReplaySubmitted', ReplaySubmitted.fromPartial(order), oin)];
  },
};

export const runOwnReplay: Intake<ReplayRequest> = {
  method: 'DeliveryService/Replay',
  type: 'eduk.gateway.v1.ReplayRequest',
  codec: ReplayRequest,
  roles: RECEIVERS,
  remember: 35,
  reference: ({ reference }) => reference,
  school: (_request, located) => located as string,
  locate: schoolOfReplay,
  check: ({ rate, mostErrors = ERRORS }) => checkPace(rate, mostErrors),
  events: ({ previewReference, rate, mostErrors = ERRORS }, _found, { caller: { oin }, door }) => {
    const order = {
      partyOin: oin,
      byOin: oin,
      jobId: replayIdOf(oin, previewReference),
      action: 'run',
      rate: rate || RATE,
      mostErrors,
      secondAbove: door.replaySecondAbove ?? 0,
    };
    return [event('ReplaySubmitted', ReplaySubmitted.fromPartial(order), oin)];
  },
};
