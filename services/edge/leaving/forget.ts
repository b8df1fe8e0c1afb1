/** What forgetting a whole school comes to, and who must know. Why it is so: docs/decisions/0039. */
import { createHash } from 'node:crypto';
import { GatewayError, isSchoolOin, NOT_SENT, WEBHOOK, webhookOf } from '#kernel';
import { type ForgetReceiver, MandateState, Service } from '#proto/eduk/core/v1/party';
import type { PreviewSchoolForgetResponse } from '#proto/eduk/operator/v1/operator';
import type { Door } from '../submission.ts';

const PAGE = 1000;

/** What would go, by numbers. Faults: wire.invalid, state.missing (a school nobody knows). */
export async function previewForget(
  schoolOin: string,
  door: Pick<Door, 'chain' | 'services'>,
): Promise<Omit<PreviewSchoolForgetResponse, 'names'>> {
  if (!isSchoolOin(schoolOin)) throw new GatewayError('wire.invalid', 'This is no school.', { where: 'school_oin' });
  const { chain, services } = door;
  const { rosters } = await services.rosters.listSchools({ schoolOin });
  if (!chain.knowsSchool(schoolOin) && rosters.length === 0)
    throw new GatewayError('state.missing', 'No school is known under this OIN.', { where: 'school_oin' });
  const [held, results, entitlements, orders, receivers] = await Promise.all([
    services.vault.countHeld({ schoolOin }),
    counted(async (after) => {
      const asked = { schoolOin, learner: '', group: '', productId: '', fromOin: '', limit: PAGE, after };
      const { results: rows, next } = await services.results.listResults(asked);
      return { rows: rows.length, next };
    }),
    counted(async (after) => {
      const asked = { schoolOin, learner: '', groups: [], productId: '', partyOin: '', orderId: '', waiting: true };
      const { entitlements: rows, next } = await services.entitlements.listEntitlements({
        ...asked,
        limit: PAGE,
        after,
      });
      return { rows: rows.length, next };
    }),
    counted(async (after) => {
      const asked = { partyOin: '', schoolOin, productId: '', learner: '', limit: PAGE, after, waiting: true };
      const { orders: rows, next } = await services.orders.listOrders(asked);
      return { rows: rows.length, next };
    }),
    receiversOf(schoolOin, door),
  ]);
  const mandates = chain
    .mandates()
    .filter((one) => one.schoolOin === schoolOin && one.state !== MandateState.MANDATE_STATE_ENDED).length;
  const { learners, staff, texts } = held;
  const seen = { learners, staff, texts, results, entitlements, orders, mandates };
  const years = rosters.map(({ schoolYear, learners: of, groups }) => [schoolYear, of, groups]);
  return {
    rosters,
    ...seen,
    receivers,
    check: checkOf([schoolOin, ...Object.values(seen), years, receivers.map(({ partyOin }) => partyOin)]),
    forgetting: chain.forgetting(schoolOin),
  };
}

/** Not secret: it says that whoever types it has seen these numbers, and that they still stand. */
export function checkOf(seen: readonly unknown[]): string {
  const text = JSON.stringify(seen, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 4)}-${hex.slice(4, 8)}`;
}

async function counted(page: (after: string) => Promise<{ rows: number; next: string }>): Promise<bigint> {
  let sum = 0n;
  for (let after = ''; ; ) {
    const { rows, next } = await page(after);
    sum += BigInt(rows);
    if (next === '') return sum;
    after = next;
  }
}

/**
 * Whoever was shown people of the school, also long ago, and whoever has or had a mandate, by OIN; not the school itself. A webhook of
 * one that may have its rosters tells it each learner; whatever else it reads, only somebody who asks can know that it deleted.
 */
async function receiversOf(
  schoolOin: string,
  { chain, services }: Pick<Door, 'chain' | 'services'>,
): Promise<ForgetReceiver[]> {
  const { rows } = await services.audit.listAccess({ schoolOin, fromDay: '', toDay: '' });
  const shown = new Set(rows.map(({ partyOin }) => partyOin));
  const agreed = chain.mandates().filter((mandate) => mandate.schoolOin === schoolOin);
  return [...new Set([...shown, ...agreed.map(({ partyOin }) => partyOin)])]
    .filter((oin) => oin !== schoolOin && chain.party(oin) !== undefined)
    .sort()
    .map((partyOin) => {
      const { endpoints } = chain.party(partyOin)!;
      const named = (one: string) => endpoints.find(({ standard }) => standard === one)?.url;
      const hasWebhook = (named(webhookOf('roster')) ?? named(WEBHOOK) ?? NOT_SENT) !== NOT_SENT;
      const mayHave = chain.judge(schoolOin, partyOin, Service.SERVICE_ROSTER, false, true).fault === undefined;
      return { partyOin, mustConfirm: shown.has(partyOin) && !(hasWebhook && mayHave), confirmedMs: 0n };
    });
}
