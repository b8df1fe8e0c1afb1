/** What parties have beside what stands here, for operators: compared now, listed, looked into. */
import { GatewayError } from '#kernel';
import type * as op from '#proto/eduk/operator/v1/operator';
import type { Gate } from '../gate.ts';
import { requireKnown } from '../reads/known.ts';
import { ENTITLEMENT, kinds } from '../reconcile/index.ts';

const needs = (oin: string, where: string): void => {
  if (oin === '') throw new GatewayError('wire.invalid', 'Name the party and the school.', { where });
};

export const reconcileUnary = {
  reconcile: async ({ partyOin, schoolOin }: op.ReconcileRequest, gate: Gate): Promise<op.ReconcileResponse> => {
    needs(partyOin, 'party_oin');
    needs(schoolOin, 'school_oin');
    await requireKnown(gate, { partyOin, schoolOin });
    return { reconciliation: await gate.reconciler!.ask(partyOin, schoolOin) };
  },
  listReconciliations: async (
    request: op.ListReconciliationsRequest,
    { door, reconciler }: Gate,
  ): Promise<op.ListReconciliationsResponse> => {
    const reconciliations = await reconciler!.list(request);
    if (reconciliations.length === 0) await requireKnown({ door }, request);
    const named = new Set(reconciliations.flatMap(({ reconciliation: one }) => [one!.partyOin, one!.schoolOin]));
    const names = [...named].flatMap((oin) => {
      const name = door.chain.party(oin)?.name;
      return name ? [{ oin, name }] : [];
    });
    return { reconciliations, names };
  },
  listDifferences: async (request: op.ListDifferencesRequest, { door }: Gate): Promise<op.ListDifferencesResponse> => {
    needs(request.partyOin, 'party_oin');
    needs(request.schoolOin, 'school_oin');
    const kind = request.kind || ENTITLEMENT;
    if (!Object.hasOwn(kinds, kind))
      throw new GatewayError('wire.invalid', 'Nothing of this kind is compared.', { where: 'kind' });
    return door.services.delivery.listDifferences({ ...request, kind });
  },
};
