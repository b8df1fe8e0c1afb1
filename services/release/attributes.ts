/**
 * What a receiver may have of a person, by name. A mandate lists attributes; without a list the service's default applies.
 * Deny by default: what is not listed here, or not in the mandate, is not released. docs/attributes.md prints this table.
 */
import { Service } from '#proto/eduk/core/v1/party';

export interface Attribute {
  about: string;
  /** Table of the vault that holds it; `roster` = an open column of the roster. */
  from: 'numbers' | 'names' | 'contact' | 'roster' | 'text';
}

export const attributes = {
  eck_id: { about: 'Chain identifier of the learner.', from: 'numbers' },
  las_key: { about: 'Key in the administration.', from: 'numbers' },
  call_name: { about: 'The name one is called by.', from: 'names' },
  family_name: { about: 'Family name and its prefix.', from: 'names' },
  given_names: { about: 'Given names.', from: 'names' },
  initials: { about: 'Initials.', from: 'names' },
  birth_date: { about: 'Date of birth.', from: 'names' },
  gender: { about: 'Gender as registered.', from: 'names' },
  email: { about: 'E-mail address.', from: 'contact' },
  account_name: { about: 'Account name at school.', from: 'contact' },
  year_group: { about: 'Year group.', from: 'roster' },
  groups: { about: 'Keys and names of base and composite groups.', from: 'text' },
  sites: { about: 'Sites of the school.', from: 'text' },
  period: { about: 'First and last day at school.', from: 'roster' },
  staff: { about: 'Staff with names and groups.', from: 'names' },
} as const satisfies Record<string, Attribute>;

export type AttributeName = keyof typeof attributes;
export const knownAttributes: ReadonlySet<string> = new Set(Object.keys(attributes));

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

/** Attributes that a mandate releases for one service. */
export function released(mandateAttributes: readonly string[], service: Service): ReadonlySet<AttributeName> {
  const chosen =
    mandateAttributes.length > 0
      ? mandateAttributes.filter((name) => knownAttributes.has(name))
      : (defaults[service] ?? []);
  return new Set(chosen as AttributeName[]);
}

/** Everything: for the school itself and its operator's tests of a mandate. */
export const everything: ReadonlySet<AttributeName> = new Set(Object.keys(attributes) as AttributeName[]);
