/**
 * Tokens → what one receiver may have. The list of stages is: mandate (judged by the caller of this module, at the moment
 * of sending) → attributes → reveal (vault) → write. Inbound answers, watches and pushes pass it alike.
 */
import { Clear, type Client } from '#kernel';
import type { LearnerRef, Person, Roster, RosterGroup, RosterLearner, RosterStaff } from '#proto/eduk/core/v1/learner';
import type { Service } from '#proto/eduk/core/v1/party';
import type { GroupEntry, LearnerEntry, SiteEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import type { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { type AttributeName, attributes } from './attributes.ts';

export interface Purpose {
  school: string;
  /** Receiver. */
  party: string;
  service: Service;
  released: ReadonlySet<AttributeName>;
}

type Vault = Client<typeof VaultServiceDefinition>;

export interface Revealed {
  ref: LearnerRef;
  person: Person | undefined;
}

const purposeName = (service: Service): string => `service_${service}`;

const wants = (released: ReadonlySet<AttributeName>, table: 'numbers' | 'names' | 'contact'): boolean => {
  for (const name of released) if (attributes[name].from === table) return true;
  return false;
};

export const noRef: LearnerRef = { eckId: '', lasKey: '' };

/** A key that says only "the same learner as before" to this receiver is a pairwise pseudonym; it comes with issue C's agreements. */
function reduceRef(ref: LearnerRef | undefined, released: ReadonlySet<AttributeName>): LearnerRef {
  return {
    eckId: released.has('eck_id') ? (ref?.eckId ?? '') : '',
    lasKey: released.has('las_key') ? (ref?.lasKey ?? '') : '',
  };
}

function reducePerson(
  person: Person | undefined,
  released: ReadonlySet<AttributeName>,
  staff: boolean,
): Person | undefined {
  if (!person) return undefined;
  const may = (name: AttributeName) =>
    released.has(name) || (staff && released.has('staff') && (name === 'family_name' || name === 'call_name'));
  const reduced: Person = {
    familyName: may('family_name') ? person.familyName : '',
    familyNamePrefix: may('family_name') ? person.familyNamePrefix : '',
    givenNames: may('given_names') ? person.givenNames : '',
    initials: may('initials') ? person.initials : '',
    callName: may('call_name') ? person.callName : '',
    birthDate: may('birth_date') && !staff ? person.birthDate : '',
    gender: may('gender') && !staff ? person.gender : '',
    email: may('email') ? person.email : '',
    accountName: may('account_name') ? person.accountName : '',
  };
  return Object.values(reduced).some((value) => value !== '') ? reduced : undefined;
}

/** In the order asked; undefined where the vault knows nobody any more (forgotten). */
export async function revealPeople(
  vault: Vault,
  purpose: Purpose,
  wanted: readonly { token: string; nameMark?: Uint8Array }[],
  staff = false,
): Promise<Clear<(Revealed | undefined)[]>> {
  const { released } = purpose;
  if (wanted.length === 0) return new Clear([]);
  const { revealed } = await vault.reveal({
    schoolOin: purpose.school,
    wanted: wanted.map(({ token, nameMark }) => ({ token, nameMark: nameMark ?? new Uint8Array(0) })),
    numbers: wants(released, 'numbers'),
    names: wants(released, 'names'),
    contact: wants(released, 'contact'),
    partyOin: purpose.party,
    purpose: purposeName(purpose.service),
  });
  return new Clear(
    revealed.map((one) =>
      one.known ? { ref: reduceRef(one.ref, released), person: reducePerson(one.person, released, staff) } : undefined,
    ),
  );
}

/** Token → text, for those the receiver may have. */
export async function revealTexts(
  vault: Vault,
  purpose: Purpose,
  tokens: Iterable<string>,
): Promise<Clear<Map<string, string>>> {
  const wanted = [...new Set(tokens)].filter((token) => token !== '');
  if (wanted.length === 0 || !(purpose.released.has('groups') || purpose.released.has('sites')))
    return new Clear(new Map());
  const { texts } = await vault.openTexts({ schoolOin: purpose.school, tokens: wanted });
  return new Clear(new Map(wanted.map((token, i) => [token, texts[i]!])));
}

export interface RosterEntries {
  sites: readonly SiteEntry[];
  groups: readonly GroupEntry[];
  learners: readonly LearnerEntry[];
  staff: readonly StaffEntry[];
}

/** A roster as one receiver may have it. Learners whom the vault no longer knows are left out. */
export async function revealRoster(
  vault: Vault,
  purpose: Purpose,
  about: { schoolYear: string; asOf: string; madeAt: string; siteCode?: string },
  entries: RosterEntries,
): Promise<Clear<Roster>> {
  const { released } = purpose;
  const tokens = new Set<string>();
  if (released.has('groups')) {
    for (const group of entries.groups) tokens.add(group.group).add(group.name).add(group.description);
    for (const learner of entries.learners) {
      tokens.add(learner.group);
      for (const group of learner.compositeGroups) tokens.add(group);
    }
    for (const staff of entries.staff) for (const group of staff.groups) tokens.add(group.group);
  }
  if (released.has('sites')) {
    for (const site of entries.sites) tokens.add(site.site).add(site.name).add(site.description);
    for (const learner of entries.learners) tokens.add(learner.site);
  }
  const shownStaff = released.has('staff') ? entries.staff : [];
  const [texts, people, staffPeople] = await Promise.all([
    revealTexts(vault, purpose, tokens),
    revealPeople(
      vault,
      purpose,
      entries.learners.map(({ learner, nameMark }) => ({ token: learner, nameMark })),
    ),
    revealPeople(
      vault,
      purpose,
      shownStaff.map(({ staff, nameMark }) => ({ token: staff, nameMark })),
      true,
    ),
  ]);
  return new Clear(
    texts.reveal((text) =>
      people.reveal((learners) =>
        staffPeople.reveal((staff) => {
          const words = (token: string, name: 'groups' | 'sites') =>
            released.has(name) ? (text.get(token) ?? '') : '';
          return {
            schoolOin: purpose.school,
            schoolYear: about.schoolYear,
            asOf: about.asOf,
            madeAt: about.madeAt,
            siteCode: about.siteCode ?? '',
            administration: '',
            sites: released.has('sites')
              ? entries.sites.map((site) => ({
                  key: words(site.site, 'sites'),
                  name: words(site.name, 'sites'),
                  description: words(site.description, 'sites'),
                }))
              : [],
            groups: released.has('groups')
              ? entries.groups.map(
                  (group): RosterGroup => ({
                    key: words(group.group, 'groups'),
                    name: words(group.name, 'groups'),
                    description: words(group.description, 'groups'),
                    yearGroup: group.yearGroup,
                    composite: group.composite,
                  }),
                )
              : [],
            learners: entries.learners.flatMap((entry, i): RosterLearner[] => {
              const known = learners[i];
              return known ? [{ ref: known.ref, person: known.person, ...reduceEntry(entry, released, words) }] : [];
            }),
            staff: shownStaff.flatMap((entry, i): RosterStaff[] => {
              const known = staff[i];
              // A school knows its staff by key; the mandate's attribute `staff` covers it.
              return known
                ? [
                    {
                      ref: known.ref,
                      person: known.person,
                      groups: released.has('groups')
                        ? entry.groups.map((group) => ({ key: words(group.group, 'groups'), duties: group.duties }))
                        : [],
                      duties: entry.duties,
                    },
                  ]
                : [];
            }),
          } satisfies Roster;
        }),
      ),
    ),
  );
}

function reduceEntry(
  entry: LearnerEntry,
  released: ReadonlySet<AttributeName>,
  words: (token: string, name: 'groups' | 'sites') => string,
): Omit<RosterLearner, 'ref' | 'person'> {
  return {
    yearGroup: released.has('year_group') ? entry.yearGroup : '',
    groupKey: words(entry.group, 'groups'),
    compositeGroupKeys: released.has('groups') ? entry.compositeGroups.map((group) => words(group, 'groups')) : [],
    siteKey: words(entry.site, 'sites'),
    entersOn: released.has('period') ? entry.entersOn : '',
    leavesOn: released.has('period') ? entry.leavesOn : '',
    siteCodes: released.has('sites') ? entry.siteCodes : [],
  };
}
