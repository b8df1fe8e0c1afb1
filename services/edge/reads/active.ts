/** What a learner may use today, and whether it opens: what an operator wants to know before what does not. */
import { Service } from '#proto/eduk/core/v1/party';
import type { Product } from '#proto/eduk/core/v1/product';
import type { EntitlementRow } from '#proto/eduk/entitlements/v1/entitlements';
import type { ActiveLicence } from '#proto/eduk/gateway/v1/flow';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { actsForSchool } from '../stages/authorise.ts';

/** Where a learner is in the school year that the school is in. */
export interface Enrolment {
  groups: string[];
  /** Whether the roster of this year has the learner. */
  enrolled: boolean;
}

export async function enrolmentOf({ door }: Gate, school: string, learner: string): Promise<Enrolment> {
  const { learners } = await door.services.rosters.getLearners({
    schoolOin: school,
    schoolYear: '',
    learners: [learner],
  });
  const entry = learners[0];
  const groups = entry ? [entry.group, ...entry.compositeGroups].filter((group) => group !== '') : [];
  return { groups, enrolled: entry !== undefined };
}

/**
 * Active licences as the caller may see them. A licence of a group or the school opens for who is in its roster; a count
 * opens nothing itself, learners are given one from it. A sensitive product is named to the school, and to who gave it.
 */
export function activeLicences(
  { door }: Gate,
  caller: Caller,
  school: string,
  active: readonly EntitlementRow[],
  products: ReadonlyMap<string, Product>,
  { enrolled }: Enrolment,
): ActiveLicence[] {
  const sees = actsForSchool(door, caller, school);
  return active
    .filter(({ terms }) => terms!.count === 0)
    .map((row) => {
      const { entitlementId, productId, endsOn } = row.terms!;
      const product = products.get(productId);
      const hidden = product?.sensitive === true && !sees && ![row.grantedByOin, row.publisherOin].includes(caller.oin);
      const platformOin = row.platformOin || row.publisherOin;
      const mandate = door.chain.judge(school, platformOin, Service.SERVICE_ACCESS);
      const holder = row.holder?.learner ? 'learner' : row.holder?.group ? 'group' : 'school';
      return {
        entitlementId: hidden ? '' : entitlementId,
        productId: hidden ? '' : productId,
        title: hidden ? '' : (product?.title ?? ''),
        holder,
        endsOn,
        platformOin: hidden ? '' : platformOin,
        platformName: hidden ? '' : (door.chain.party(platformOin)?.name ?? ''),
        code: mandate.fault ?? (holder !== 'learner' && !enrolled ? 'learner.unknown' : ''),
      };
    })
    .sort((a, b) => Number(a.code !== '') - Number(b.code !== '') || (a.title < b.title ? -1 : 1));
}
