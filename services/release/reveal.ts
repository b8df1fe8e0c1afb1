/**
 * Tokens → what one receiver may have. The list of stages is: mandate (judged by the caller of this module, at the moment
 * of sending) → attributes → reveal (vault) → write. Inbound answers, watches and pushes pass it alike.
 */
import { Clear, type Client } from '#kernel';
import type { LearnerRef, Person, Roster, RosterGroup, RosterLearner, RosterStaff } from '#proto/eduk/core/v1/learner';
import type { Service } from '#proto/eduk/core/v1/party';
import type { GroupEntry, LearnerEntry, SiteEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import type { AskedReveal, VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { type AttributeName, attributes } from './attributes.ts';

export interface Purpose {
  school: string;
  /** Receiver. */
  party: string;
  service: Service;
  released: ReadonlySet<AttributeName>;
  /** Whether the receiver gets pseudonyms of its own instead of numbers, keys and account names. */
  pairwise: boolean;
  /** Of mandates for some sites only: their codes. */
  sites?: ReadonlySet<string> | undefined;
  /** The same: those of these learners who are at one of them. Nobody else is revealed. */
  within?: ((tokens: readonly string[]) => Promise<ReadonlySet<string>>) | undefined;
  /** How often the pseudonyms of this receiver were renewed; absent = never. */
  pseudonyms?: number | undefined;
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

/**
 * In the order asked; undefined where the vault knows nobody any more (forgotten), and for a learner of a site that the
 * mandate is not about.
 */
export async function revealPeople(
  vault: Vault,
  purpose: Purpose,
  wanted: readonly { token: string; nameMark?: Uint8Array }[],
): Promise<Clear<(Revealed | undefined)[]>> {
  if (purpose.within === undefined || wanted.length === 0) return reveal(vault, purpose, wanted);
  const here = await purpose.within(wanted.map(({ token }) => token));
  const known = wanted.filter(({ token }) => here.has(token));
  const shown = await reveal(vault, purpose, known);
  return new Clear(
    shown.reveal((list) => {
      const byToken = new Map(known.map(({ token }, i) => [token, list[i]]));
      return wanted.map(({ token }) => byToken.get(token));
    }),
  );
}

/** People of whom it is known that they may be shown. */
async function reveal(
  vault: Vault,
  purpose: Purpose,
  wanted: readonly { token: string; nameMark?: Uint8Array }[],
  staff = false,
  formerly = false,
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
    pairwise: purpose.pairwise,
    pseudonyms: purpose.pseudonyms,
    attributes: [...released].join(','),
    formerly,
  });
  return new Clear(
    revealed.map((one) =>
      one.known ? { ref: reduceRef(one.ref, released), person: reducePerson(one.person, released, staff) } : undefined,
    ),
  );
}

/** Under which purpose it is counted and told that a privacy officer was told who learners are. */
export const REVEAL = 'reveal';

/** What an officer may ask of learners: what the vault holds of each of them. */
export const askable: ReadonlySet<AttributeName> = new Set(
  (Object.keys(attributes) as AttributeName[]).filter(
    (name) => name !== 'staff' && ['numbers', 'names', 'contact'].includes(attributes[name].from),
  ),
);

/** Tables of the vault that hold any of these. */
export const tablesOf = (asked: ReadonlySet<AttributeName>): Record<'numbers' | 'names' | 'contact', boolean> => ({
  numbers: wants(asked, 'numbers'),
  names: wants(asked, 'names'),
  contact: wants(asked, 'contact'),
});

/**
 * Who the learners of a request are that another person has approved, in the order asked; told once. No mandate is judged, since no party
 * receives anything: what was asked and approved stands in its place, attribute by attribute.
 */
export async function revealAsked(
  vault: Vault,
  who: { requestId: string; askedBy: Uint8Array; party: string },
): Promise<{ asked: AskedReveal; people: Clear<(Revealed | undefined)[]> }> {
  const { asked, revealed } = await vault.takeReveal({
    requestId: who.requestId,
    askedBy: who.askedBy,
    partyOin: who.party,
    purpose: REVEAL,
  });
  const released = new Set(asked!.attributes.filter((name) => askable.has(name as AttributeName)) as AttributeName[]);
  const people = revealed.map((one) =>
    one.known ? { ref: reduceRef(one.ref, released), person: reducePerson(one.person, released, false) } : undefined,
  );
  return { asked: asked!, people: new Clear(people) };
}

/** Texts of a school as a receiver may have them: keys, by which it names groups and sites, and words. By token. */
export interface Texts {
  keys: ReadonlyMap<string, string>;
  words: ReadonlyMap<string, string>;
}

/** Keys and words, for those the receiver may have. */
export async function revealTexts(
  vault: Vault,
  purpose: Purpose,
  tokens: { keys: Iterable<string>; words?: Iterable<string> },
): Promise<Clear<Texts>> {
  const distinct = (some: Iterable<string>) => [...new Set(some)].filter((token) => token !== '');
  const [keys, words] = [distinct(tokens.keys), distinct(tokens.words ?? [])];
  if (keys.length + words.length === 0 || !(purpose.released.has('groups') || purpose.released.has('sites')))
    return new Clear({ keys: new Map(), words: new Map() });
  const asked = purpose.pairwise ? { tokens: words, keys } : { tokens: distinct([...keys, ...words]), keys: [] };
  const told = await vault.openTexts({
    schoolOin: purpose.school,
    partyOin: purpose.party,
    pseudonyms: purpose.pseudonyms,
    ...asked,
  });
  const opened = new Map(asked.tokens.map((token, i) => [token, told.texts[i]!]));
  const pseudonyms = new Map(asked.keys.map((token, i) => [token, told.keys[i]!]));
  return new Clear({ keys: purpose.pairwise ? pseudonyms : opened, words: opened });
}

export interface RosterEntries {
  sites: readonly SiteEntry[];
  groups: readonly GroupEntry[];
  learners: readonly LearnerEntry[];
  staff: readonly StaffEntry[];
}

/**
 * Who and what rosters of these sites name. A list of the school's sites says nothing of a learner, but it is of the whole
 * school, so it is left out.
 */
function atSites(entries: RosterEntries, sites: ReadonlySet<string> | undefined): RosterEntries {
  if (sites === undefined) return entries;
  const isHere = ({ siteCodes }: { siteCodes: readonly string[] }) => siteCodes.some((code) => sites.has(code));
  return {
    sites: [],
    groups: entries.groups.filter(isHere),
    learners: entries.learners.filter(isHere),
    staff: entries.staff.filter(isHere),
  };
}

/** A roster as one receiver may have it. Learners whom the vault no longer knows are left out. */
export async function revealRoster(
  vault: Vault,
  purpose: Purpose,
  about: {
    schoolYear: string;
    asOf: string;
    madeAt: string;
    siteCode?: string;
    /** As they were shown before they were merged with others. */
    formerly?: boolean;
  },
  given: RosterEntries,
): Promise<Clear<Roster>> {
  const { released } = purpose;
  const entries = atSites(given, purpose.sites);
  const [keys, words] = [new Set<string>(), new Set<string>()];
  if (released.has('groups')) {
    for (const group of entries.groups) {
      keys.add(group.group);
      words.add(group.name).add(group.description);
    }
    for (const learner of entries.learners) {
      keys.add(learner.group);
      for (const group of learner.compositeGroups) keys.add(group);
    }
    for (const staff of entries.staff) for (const group of staff.groups) keys.add(group.group);
  }
  if (released.has('sites')) {
    for (const site of entries.sites) {
      keys.add(site.site);
      words.add(site.name).add(site.description);
    }
    for (const learner of entries.learners) keys.add(learner.site);
  }
  const shownStaff = released.has('staff') ? entries.staff : [];
  const [texts, people, staffPeople] = await Promise.all([
    revealTexts(vault, purpose, { keys, words }),
    reveal(
      vault,
      purpose,
      entries.learners.map(({ learner, nameMark }) => ({ token: learner, nameMark })),
      false,
      about.formerly,
    ),
    reveal(
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
          const shown = (from: ReadonlyMap<string, string>) => (token: string, name: 'groups' | 'sites') =>
            released.has(name) ? (from.get(token) ?? '') : '';
          const [key, word] = [shown(text.keys), shown(text.words)];
          return {
            schoolOin: purpose.school,
            schoolYear: about.schoolYear,
            asOf: about.asOf,
            madeAt: about.madeAt,
            siteCode: about.siteCode ?? '',
            administration: '',
            sites: released.has('sites')
              ? entries.sites.map((site) => ({
                  key: key(site.site, 'sites'),
                  name: word(site.name, 'sites'),
                  description: word(site.description, 'sites'),
                }))
              : [],
            groups: released.has('groups')
              ? entries.groups.map(
                  (group): RosterGroup => ({
                    key: key(group.group, 'groups'),
                    name: word(group.name, 'groups'),
                    description: word(group.description, 'groups'),
                    yearGroup: group.yearGroup,
                    composite: group.composite,
                  }),
                )
              : [],
            learners: entries.learners.flatMap((entry, i): RosterLearner[] => {
              const known = learners[i];
              return known ? [{ ref: known.ref, person: known.person, ...reduceEntry(entry, released, key) }] : [];
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
                        ? entry.groups.map((group) => ({ key: key(group.group, 'groups'), duties: group.duties }))
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
  key: (token: string, name: 'groups' | 'sites') => string,
): Omit<RosterLearner, 'ref' | 'person'> {
  return {
    yearGroup: released.has('year_group') ? entry.yearGroup : '',
    groupKey: key(entry.group, 'groups'),
    compositeGroupKeys: released.has('groups') ? entry.compositeGroups.map((group) => key(group, 'groups')) : [],
    siteKey: key(entry.site, 'sites'),
    entersOn: released.has('period') ? entry.entersOn : '',
    leavesOn: released.has('period') ? entry.leavesOn : '',
    siteCodes: released.has('sites') ? entry.siteCodes : [],
  };
}
