import { type Codec, newId } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { ReplaySubmitted } from '#proto/eduk/events/v1/deliveries';
import { PreviewReplayRequest, RunReplayRequest, StopReplayRequest } from '#proto/eduk/operator/v1/operator';
import { event, type Intake } from '../submission.ts';

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
