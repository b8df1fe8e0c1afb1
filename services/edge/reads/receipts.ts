/** Answers about the log of what was done, for parties: each sees the proof of its own receipts, and the log as a whole only by its heads. */
import { GatewayError } from '#kernel';
import type { GetLogConsistencyRequest, GetReceiptRequest } from '#proto/eduk/gateway/v1/audit';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { MAX_WAIT_MS } from '../grpc/decision.ts';
import { flowOf } from './flows.ts';

/** Proof of one's own receipt, absent while no head holds it. Throws state.missing for another's, and for what there is not. */
export async function getReceipt(request: GetReceiptRequest, caller: Caller, gate: Gate) {
  const { receiptId, waitMs, reference, method } = request;
  if (waitMs < 0n || waitMs > BigInt(MAX_WAIT_MS))
    throw new GatewayError('wire.invalid', 'wait_ms is 0 to 30,000.', { where: 'wait_ms' });
  if (receiptId === '' && reference === '')
    throw new GatewayError('wire.invalid', 'Name a receipt, or the reference of a message.', { where: 'receipt_id' });
  const partyOin = caller.kind === 'operator' ? '' : caller.oin;
  const { audit } = gate.door.services;
  const ask = (id: string, ms: bigint) => audit.getProof({ receiptId: id, partyOin, waitMs: ms });
  const now = receiptId === '' ? undefined : await ask(receiptId, 0n);
  if (now?.proof) return { proof: now.proof, receiptId };
  // Whose it is comes first: nobody waits for another's.
  let id = receiptId;
  if (!now?.known)
    try {
      id = (await flowOf(gate, caller, { flowId: receiptId, reference, method })).flowId;
    } catch (thrown) {
      // A group has no flow; the log may have taken it in meanwhile.
      if (receiptId === '') throw thrown;
      if (!(await ask(receiptId, 0n)).known)
        throw thrown instanceof GatewayError && thrown.fault === 'state.missing'
          ? new GatewayError('state.missing', undefined, { where: 'receipt_id' })
          : thrown;
    }
  const { proof } = await ask(id, waitMs);
  return { proof, receiptId: id };
}

export const getLogHead = (_request: unknown, _caller: Caller, { door }: Gate) => door.services.audit.getHead({});

export async function getLogConsistency(
  { fromSize, toSize }: GetLogConsistencyRequest,
  _caller: Caller,
  { door }: Gate,
) {
  const head = toSize === 0n ? (await door.services.audit.getHead({})).head : undefined;
  const size = head?.size ?? toSize;
  return { ...(await door.services.audit.getConsistency({ fromSize, toSize: size })), head };
}
