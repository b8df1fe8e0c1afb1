import { Service } from '#proto/eduk/core/v1/party';
import type { EntitlementRow } from '#proto/eduk/entitlements/v1/entitlements';
import type { Entitlement } from '#proto/eduk/gateway/v1/entitlement';
import type { Caller } from '../caller.ts';
import { purposeFor } from '../purpose.ts';
import { actsForSchool } from '../stages/authorise.ts';
import type { Door } from '../submission.ts';
import { facesOf, hereOf } from './faces.ts';

const outcomeNames: Record<string, string> = { granted: 'EntitlementGranted', refused: 'GrantRefused' };
const utf8 = new TextDecoder();

/** Entitlements of one school as the caller may see them, without those it may not. Throws mandate.*. */
export const showEntitlements = async (...of: Parameters<typeof entitlementsShown>): Promise<Entitlement[]> =>
  (await entitlementsShown(...of)).filter((one) => one !== undefined);

/**
 * The same, in the order of the rows; undefined for one of a learner of a site that the mandate is not about. Throws mandate.*.
 */
export async function entitlementsShown(
  door: Door,
  caller: Caller,
  school: string,
  given: readonly EntitlementRow[],
  service: Service = Service.SERVICE_ENTITLEMENT,
): Promise<(Entitlement | undefined)[]> {
  const purpose = purposeFor(door, caller, school, service);
  const isHere = await hereOf(
    purpose,
    given.map(({ holder }) => holder?.learner ?? ''),
  );
  const rows = given.filter(({ holder }) => isHere(holder?.learner ?? ''));
  const maySeeCode = (row: EntitlementRow) =>
    row.platformOin === caller.oin ||
    row.publisherOin === caller.oin ||
    row.grantedByOin === caller.oin ||
    actsForSchool(door, caller, school);
  const sealed = rows.map((row) => (row.activationCode.length > 0 && maySeeCode(row) ? row.activationCode : undefined));
  const [faces, codes] = await Promise.all([
    facesOf(
      door,
      purpose,
      rows.map((row) => row.holder?.learner ?? ''),
      rows.map((row) => row.holder?.group ?? ''),
    ),
    sealed.some((code) => code)
      ? door.services.vault.openPayloads({
          schoolOin: school,
          sealed: sealed.flatMap((code) => (code ? [{ token: '', sealed: code, context: 'activation_code' }] : [])),
          partyOin: caller.oin,
          purpose: `service_${service}`,
        })
      : undefined,
  ]);
  let next = 0;
  const shown = faces.reveal(({ ref, text }) =>
    rows.map(
      (row, i): Entitlement => ({
        terms: row.terms,
        schoolOin: row.schoolOin,
        holder: { learner: ref(row.holder?.learner ?? ''), groupKey: text(row.holder?.group ?? '') },
        state: row.state,
        taken: row.taken,
        activationCode: sealed[i] ? utf8.decode(codes!.data[next++]) : '',
        grantedByOin: row.grantedByOin,
        decision: { outcome: outcomeNames[row.outcome] ?? '', code: row.code, told: row.told },
        flowId: row.grantedByOin === caller.oin || caller.kind === 'operator' ? row.flowId : '',
        firstUsedOn: row.firstUsedOn,
      }),
    ),
  );
  const byRow = new Map(rows.map((row, i) => [row, shown[i]]));
  return given.map((row) => byRow.get(row));
}

/** Whether a row concerns the caller at all; otherwise it does not exist for it. */
export const concerns = (door: Door, caller: Caller, row: EntitlementRow): boolean =>
  caller.kind === 'operator' ||
  [row.grantedByOin, row.publisherOin, row.platformOin].includes(caller.oin) ||
  actsForSchool(door, caller, row.schoolOin);
