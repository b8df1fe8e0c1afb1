/**
 * What a receiver may have of a person, by name, and who has which of it. Deny by default: an attribute is released when the
 * receiver declares that it needs it, the policy for its roles allows it and the school's agreement names it.
 * docs/attributes.md prints the tables.
 */
import type { Fault } from '#kernel';
import { type ProcessingPurpose, Role, Service } from '#proto/eduk/core/v1/party';

export interface Attribute {
  about: string;
  /** The same in Dutch. */
  nl: string;
  /** Table of the vault that holds it; `roster` = an open column of the roster. */
  from: 'numbers' | 'names' | 'contact' | 'roster' | 'text';
}

export const attributes = {
  eck_id: { about: 'Chain identifier of the learner.', nl: 'Ketenidentificatie van de leerling.', from: 'numbers' },
  las_key: { about: 'Key in the administration.', nl: 'Sleutel in de administratie.', from: 'numbers' },
  call_name: { about: 'The name one is called by.', nl: 'Roepnaam.', from: 'names' },
  family_name: { about: 'Family name and its prefix.', nl: 'Achternaam met voorvoegsel.', from: 'names' },
  given_names: { about: 'Given names.', nl: 'Voornamen.', from: 'names' },
  initials: { about: 'Initials.', nl: 'Voorletters.', from: 'names' },
  birth_date: { about: 'Date of birth.', nl: 'Geboortedatum.', from: 'names' },
  gender: { about: 'Gender as registered.', nl: 'Geslacht zoals geregistreerd.', from: 'names' },
  email: { about: 'E-mail address.', nl: 'E-mailadres.', from: 'contact' },
  account_name: { about: 'Account name at school.', nl: 'Accountnaam op school.', from: 'contact' },
  year_group: { about: 'Year group.', nl: 'Jaargroep.', from: 'roster' },
  groups: {
    about: 'Keys and names of base and composite groups.',
    nl: 'Sleutels en namen van stamgroepen en samengestelde groepen.',
    from: 'text',
  },
  sites: { about: 'Sites of the school.', nl: 'Vestigingen van de school.', from: 'text' },
  period: { about: 'First and last day at school.', nl: 'Eerste en laatste dag op school.', from: 'roster' },
  staff: { about: 'Staff with names and groups.', nl: 'Medewerkers met namen en groepen.', from: 'names' },
} as const satisfies Record<string, Attribute>;

export type AttributeName = keyof typeof attributes;
const names = Object.keys(attributes) as AttributeName[];
export const knownAttributes: ReadonlySet<string> = new Set(names);
/** Everything: what the school itself sees, and the operator who acts for it. */
export const everything: ReadonlySet<AttributeName> = new Set(names);

/** UWLR profile Smalle set. */
const SMALLE_SET: readonly AttributeName[] = [
  'eck_id',
  'las_key',
  'call_name',
  'family_name',
  'birth_date',
  'year_group',
  'groups',
  'staff',
];
const KEYS: readonly AttributeName[] = ['eck_id'];

/**
 * Sets by name: a mandate, or a party that declares what it needs, may name one instead of each attribute. They are the profiles
 * of UWLR; the LVS-set is without the last digits of a personal number, which nobody has here.
 */
export const attributeSets = {
  'smalle-set': SMALLE_SET,
  'lvs-set': [...SMALLE_SET, 'initials', 'gender'],
} as const satisfies Record<string, readonly AttributeName[]>;

export const knownSets: ReadonlySet<string> = new Set(Object.keys(attributeSets));

/** Names of attributes and of sets → names of attributes, each once, in the order given. */
export const attributesNamed = (list: readonly string[]): string[] => [
  ...new Set(
    list.flatMap((name): readonly string[] =>
      Object.hasOwn(attributeSets, name) ? attributeSets[name as keyof typeof attributeSets] : [name],
    ),
  ),
];

/** What a service needs by its standard: what a mandate without a list releases, and a receiver that declared nothing declares. */
export const defaults: Readonly<Record<number, readonly AttributeName[]>> = {
  [Service.SERVICE_ROSTER]: SMALLE_SET,
  [Service.SERVICE_ORDER]: ['eck_id', 'groups'],
  [Service.SERVICE_ENTITLEMENT]: ['eck_id', 'groups'],
  [Service.SERVICE_ACCESS]: ['eck_id', 'call_name', 'groups'],
  [Service.SERVICE_RESULT]: ['eck_id', 'las_key', 'groups'],
  [Service.SERVICE_PROGRESS]: ['eck_id', 'groups'],
  [Service.SERVICE_USAGE]: KEYS,
  [Service.SERVICE_STAFF]: ['las_key', 'staff', 'groups'],
};

/**
 * What a role may have at most, whatever a mandate names (ours). A party with several roles may have what any of them may; a
 * role that is not here may have nothing of a person.
 */
export const rolePolicy: Readonly<Record<number, readonly AttributeName[]>> = {
  [Role.ROLE_BOARD]: names,
  [Role.ROLE_SCHOOL]: names,
  [Role.ROLE_ADMINISTRATION]: names,
  // Who sells and delivers needs to know for whom, not who they are.
  [Role.ROLE_DISTRIBUTOR]: [
    'eck_id',
    'las_key',
    'call_name',
    'family_name',
    'initials',
    'year_group',
    'groups',
    'sites',
    'period',
  ],
  [Role.ROLE_PUBLISHER]: ['eck_id', 'las_key', 'call_name', 'year_group', 'groups', 'sites', 'period'],
  [Role.ROLE_PLATFORM]: names,
  // Who shows how a group does has no use for how old somebody is, or for a way to write to them.
  [Role.ROLE_DASHBOARD]: [
    'eck_id',
    'las_key',
    'call_name',
    'family_name',
    'initials',
    'account_name',
    'year_group',
    'groups',
    'sites',
    'period',
    'staff',
  ],
  [Role.ROLE_FEDERATION]: [
    'eck_id',
    'las_key',
    'call_name',
    'family_name',
    'initials',
    'email',
    'account_name',
    'year_group',
    'groups',
    'sites',
    'staff',
  ],
};

/** Who is to receive. */
export interface Receiver {
  roles: Iterable<Role>;
  /** What it declares that it needs; empty = the default of each service. */
  declared: readonly string[];
}

/** What release needs to know of a mandate. */
export interface Agreed {
  mandateId: string;
  attributes: readonly string[];
  /** Codes of the sites whose learners it is about; none = the whole school. */
  siteCodes?: readonly string[];
  purposes?: readonly ProcessingPurpose[];
  agreement?: string;
  agreementVersion?: string;
}

/** What a school agreed to about one service: its mandates, and the fault where none of them holds. */
export interface Agreement {
  /** Those that hold for the service now; with a fault, the one that comes nearest to it, if any. */
  mandates: readonly Agreed[];
  fault?: Fault | undefined;
  /** The receiver is the school itself, or acts for it: it needs no mandate. */
  own?: boolean;
}

/**
 * Why an attribute is given: `own`, or named by the `mandate`, or the `default` of a mandate without a list. Why it is not:
 * `not_declared`, `role`, `not_in_mandate`, or the fault of the mandate.
 */
export type Reason = 'own' | 'mandate' | 'default' | 'not_declared' | 'role' | 'not_in_mandate' | Fault;

/** What becomes of one attribute. */
export interface Verdict {
  name: AttributeName;
  given: boolean;
  /** All that stand in its way, the agreement first; or the one why it is given. */
  reasons: readonly Reason[];
}

/** What an agreement or a declaration without a list means for a service. */
const listed = (list: readonly string[], service: Service): readonly string[] =>
  list.length > 0 ? list : (defaults[service] ?? []);

/**
 * The evaluation: declared ∩ role policy ∩ agreement, for one receiver, school and service. What is released and what a
 * preview says are both this. Pure.
 */
export function judgeAttributes(receiver: Receiver, agreement: Agreement, service: Service): Verdict[] {
  if (agreement.own) return names.map((name) => ({ name, given: true, reasons: ['own'] }));
  const { fault, mandates } = agreement;
  const declared = new Set(listed(receiver.declared, service));
  const allowed = new Set<string>([...receiver.roles].flatMap((role) => rolePolicy[role] ?? []));
  const byList = new Set(mandates.flatMap((mandate) => mandate.attributes));
  const agreed = agreedEverywhere(mandates, service);
  return names.map((name) => {
    const against: Reason[] = [];
    if (fault !== undefined) against.push(fault);
    if (mandates.length > 0 && !agreed.has(name)) against.push('not_in_mandate');
    if (!declared.has(name)) against.push('not_declared');
    if (!allowed.has(name)) against.push('role');
    const given = against.length === 0 && agreed.has(name);
    return { name, given, reasons: given ? [byList.has(name) ? 'mandate' : 'default'] : against };
  });
}

/** Sites that mandates are about together; undefined = the whole school. */
export const sitesOf = (mandates: readonly Pick<Agreed, 'siteCodes'>[]): ReadonlySet<string> | undefined =>
  mandates.length === 0 || mandates.some(({ siteCodes = [] }) => siteCodes.length === 0)
    ? undefined
    : new Set(mandates.flatMap(({ siteCodes = [] }) => siteCodes));

/**
 * What mandates give of every place that they are about. They add up; but what one gives of one site only is not given of the
 * others, so that of mandates for different sites what is left is what all of these places have in common.
 */
function agreedEverywhere(mandates: readonly Agreed[], service: Service): ReadonlySet<string> {
  const places = new Set(mandates.flatMap(({ siteCodes = [] }) => (siteCodes.length > 0 ? siteCodes : [''])));
  const of = (place: string): Set<string> =>
    new Set(
      mandates
        .filter(({ siteCodes = [] }) => siteCodes.length === 0 || siteCodes.includes(place))
        .flatMap((mandate) => listed(mandate.attributes, service)),
    );
  const [first = new Set<string>(), ...others] = [...places].map(of);
  return new Set([...first].filter((name) => others.every((other) => other.has(name))));
}

/** What one attribute says to two receivers that compare what they have, where both get pseudonyms. */
type Link =
  /** One value is enough to say that two pupils are one. */
  | 'alone'
  /** Not by itself, but with others of its kind. */
  | 'together'
  /** It is a pseudonym itself. */
  | 'no';
const links: Readonly<Record<AttributeName, Link>> = {
  eck_id: 'no',
  las_key: 'no',
  account_name: 'no',
  email: 'alone',
  family_name: 'alone',
  given_names: 'alone',
  birth_date: 'alone',
  call_name: 'together',
  initials: 'together',
  gender: 'together',
  year_group: 'together',
  // Their keys are pseudonyms, their names are not.
  groups: 'together',
  sites: 'together',
  period: 'together',
  staff: 'no',
};
/** Told as pseudonyms to a receiver that has them; of groups and sites their keys. */
export const pseudonymous: ReadonlySet<AttributeName> = new Set([
  'eck_id',
  'las_key',
  'account_name',
  'groups',
  'sites',
]);

/** Ids in the messages of a service that are the same for whoever else gets them. */
const sharedIds: Readonly<Record<number, readonly string[]>> = {
  [Service.SERVICE_ORDER]: ['order_id'],
  [Service.SERVICE_ENTITLEMENT]: ['entitlement_id', 'order_id'],
  [Service.SERVICE_ACCESS]: ['entitlement_id'],
  [Service.SERVICE_USAGE]: ['entitlement_id'],
  [Service.SERVICE_RESULT]: ['result_id'],
};

/**
 * By what a receiver's pseudonyms can be linked with what others have, among what one service gives: attributes, ids, and
 * `earlier` where it may have had the numbers themselves before.
 */
export function linkableBy(verdicts: readonly Verdict[], service: Service, earlier: boolean): string[] {
  const given = [...givenOf(verdicts)];
  if (given.length === 0) return [];
  const of = (link: Link) => given.filter((name) => links[name] === link);
  const together = of('together');
  return [
    ...of('alone'),
    // One alone says little; with another, or beside what says who it is, it adds to it.
    ...(together.length > 1 ? together : []),
    ...(sharedIds[service] ?? []),
    ...(earlier ? ['earlier'] : []),
  ];
}

/** Those that are given. */
export const givenOf = (verdicts: readonly Verdict[]): ReadonlySet<AttributeName> =>
  new Set(verdicts.filter(({ given }) => given).map(({ name }) => name));
