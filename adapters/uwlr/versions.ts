/**
 * What differs between the versions of UWLR that are spoken here, and between the sets of fields of an answer: as tables, so
 * that reading, mapping, writing and the schemas have one list. 2.2.1 changed words of the agreement only; on the wire it is 2.2.
 */
import { yearGroupCodes } from '#kernel';

export type Version = '2.2' | '2.3';

export interface VersionFacts {
  /** What a caller writes in `xsdversie`. */
  spoken: readonly string[];
  /** Whether a pupil needs a `@key`; where not, a pupil with an ECK iD may come without (UWLR 2.3, heenweg). */
  pupilKey: 'required' | 'optional';
  /** Codes of `rol`. */
  rollen: ReadonlySet<string>;
}

const ROLLEN_2_2 = 'ADJ ADM CON DIR ICT IB KLA LRK LOS LOC OWA OUD RT SMW STA VAK'.split(' ');

export const versions: Readonly<Record<Version, VersionFacts>> = {
  '2.2': { spoken: ['2.2', '2.2.1'], pupilKey: 'required', rollen: new Set(ROLLEN_2_2) },
  '2.3': { spoken: ['2.3'], pupilKey: 'optional', rollen: new Set([...ROLLEN_2_2, 'TAL']) },
};

export const isVersion = (text: string | undefined): text is Version =>
  text !== undefined && Object.hasOwn(versions, text);

/** Spoken by a caller who names no version: what it reads is what all versions of the last ten years have. */
export const UNNAMED: Version = '2.2';

/** Versions that are recognised, and not spoken. Their callers are told so by name. */
export const outdated: readonly string[] = ['1.0', '2.0', '2.1'];

/** The version that a caller names; undefined for one that is not spoken. */
export const versionOf = (xsdversie: string | undefined): Version | undefined =>
  xsdversie === undefined
    ? UNNAMED
    : (Object.keys(versions) as Version[]).find((version) => versions[version].spoken.includes(xsdversie));

/** Codes of jaargroep (UWLR 2.2 §3.3). */
export const JAARGROEPEN = yearGroupCodes;

/**
 * Which fields an answer may have. `smalle` and `lvs` are the profiles of the agreement (§3.4), the LVS-set without the part of
 * a personal number that it has in 2.2; `whole` is every field that there is a place for here. Of these, what the receiver may
 * have is written, and nothing else.
 */
export type FieldSet = 'smalle' | 'lvs' | 'whole';

/** A field that not every set of every version has: by which it is had. */
type Had = Readonly<Record<Version, readonly FieldSet[]>>;
const both = (...sets: FieldSet[]): Had => ({ '2.2': sets, '2.3': sets });
const WHOLE = both('whole');

/** Fields by where they stand; those that are not here are in every set. */
export const fields = {
  'vestigingen/vestiging': WHOLE,
  'groep/omschrijving': WHOLE,
  'leerling/voornamen': WHOLE,
  'leerling/voorletters-1': { '2.2': ['lvs', 'whole'], '2.3': ['whole'] },
  'leerling/geboortedatum': { '2.2': ['smalle', 'lvs', 'whole'], '2.3': ['lvs', 'whole'] },
  'leerling/geslacht': both('lvs', 'whole'),
  'leerling/vestiging': WHOLE,
  'leerling/gebruikersnaam': WHOLE,
  'leerling/emailadres': WHOLE,
  'leerling/instroomdatum': WHOLE,
  'leerling/uitstroomdatum': WHOLE,
  'leerkracht/voornamen': WHOLE,
  'leerkracht/voorletters-1': WHOLE,
  'leerkracht/gebruikersnaam': WHOLE,
  'leerkracht/emailadres': both('smalle', 'whole'),
  'leerkracht/rol': WHOLE,
} as const satisfies Record<string, Had>;

export type Field = keyof typeof fields;

/** Version and set of an answer. */
export interface AnswerForm {
  version: Version;
  fields: FieldSet;
}

/** Whether an answer of this form has a field. */
export const has = ({ version, fields: set }: AnswerForm, field: Field): boolean =>
  (fields[field][version] as readonly FieldSet[]).includes(set);

/** The set that a `gegevenssetid` names, of which no list is published; real callers write such as `Smalle-set-VO`. */
export function fieldSetOf(gegevenssetid: string): FieldSet | undefined {
  if (/smalle/i.test(gegevenssetid)) return 'smalle';
  return /\blvs/i.test(gegevenssetid) ? 'lvs' : undefined;
}
