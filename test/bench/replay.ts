/** How well a replay keeps the pace that was asked for, as its receiver sees it. */
import { Client, credentials } from '@grpc/grpc-js';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { EntitlementServiceDefinition } from '#proto/eduk/gateway/v1/entitlement';
import type { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { eckId, newOin, newSchool, sendAll, type WireClient, wire } from '../chain/gateway.ts';

export interface ReplayFigures {
  /** Until it was counted. */
  countedMs: number;
  /** Messages a second, from the first to the last that arrived. */
  rate: number;
  arrived: number;
  /** Messages that came after a later one of their learner. */
  disorder: number;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** `sink`: address of a running sink.ts. Grants `count` licences of `product`, waits for them there, and has them sent again. */
export async function replayFigures(
  at: { grpc: string; operator: WireClient<typeof OperatorServiceDefinition> },
  {
    sink,
    product,
    count,
    learners,
    rate,
  }: { sink: string; product: string; count: number; learners: number; rate: number },
): Promise<ReplayFigures> {
  const [seller, school] = [newOin(), newSchool()];
  const seen = async () => (await (await fetch(`${sink}/seen`)).json()) as { distinct: number; disorder: number };
  const forget = () => fetch(`${sink}/forget?learners=${learners}`, { method: 'POST' });
  const arrived = async () => {
    for (const until = Date.now() + 600_000; (await seen()).distinct < count; await sleep(100))
      if (Date.now() > until) throw new Error('not all arrived');
  };
  await forget();
  const { apiKey } = await at.operator.addParty({
    party: {
      oin: seller,
      name: 'Nogmaals',
      roles: [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM, Role.ROLE_DISTRIBUTOR],
      endpoints: [{ standard: 'webhook', url: `${sink}/hook` }],
    },
  });
  await at.operator.grantMandate({
    mandate: { schoolOin: school, partyOin: seller, services: [Service.SERVICE_ENTITLEMENT] },
    confirm: true,
  });
  const channel = new Client(at.grpc, credentials.createInsecure());
  await sendAll(
    wire(EntitlementServiceDefinition, channel, `Bearer ${apiKey}`).grantEntitlements(),
    Array.from({ length: count }, (_, i) => {
      const id = `m-${String(i).padStart(8, '0')}`;
      return {
        reference: id,
        schoolOin: school,
        holder: { learner: { eckId: eckId(i % learners) } },
        terms: { entitlementId: id, productId: product },
      } as never;
    }),
  );
  channel.close();
  await arrived();
  const selection = { partyOin: seller, service: Service.SERVICE_ENTITLEMENT, again: true };
  const began = performance.now();
  const { jobId } = await at.operator.previewReplay({ selection: selection as never });
  for await (const _ of at.operator.watchReplay({ jobId }));
  const countedMs = performance.now() - began;
  await forget();
  await at.operator.runReplay({ jobId, rate });
  let state = '';
  for await (const { replay } of at.operator.watchReplay({ jobId })) state = replay!.state;
  if (state !== 'done') throw new Error(`the replay ended as ${state}`);
  const times = ((await (await fetch(`${sink}/times`)).json()) as (number | null)[]).filter((time) => time !== null);
  const [first, last] = [times.reduce((a, b) => Math.min(a, b)), times.reduce((a, b) => Math.max(a, b))];
  const { distinct, disorder } = await seen();
  return { countedMs, rate: (times.length / (last - first)) * 1000, arrived: distinct, disorder };
}
