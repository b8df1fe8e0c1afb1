/** What is sent to an administration: a question or message that is sound, and what a case makes of it. */
import { writeEnvelope, type XmlObject, type XmlValue } from '#adapters/xml';
import type { Clear } from '#kernel';
import type { Version } from '../versions.ts';
import { type Autorisatie, NS, type Operation, rosterOperations } from '../wire.ts';
import type { GroupOf, Part } from './case.ts';

/** What a party tells of itself so that it can be asked. */
export interface LasAccess {
  version: Version;
  /** One of brincode and schoolkey; the others empty. */
  brincode: string;
  dependancecode: string;
  schoolkey: string;
  schooljaar: string;
  /** Name of the set of fields that is asked for; empty = none is named. */
  gegevenssetid: string;
  /** Whether the school year is the running one, so that it may be left out. */
  isRunning: boolean;
  header: Clear<Autorisatie>;
  /** Further headers of every request. */
  headers: Readonly<Record<string, string>>;
  /** Absolute; empty = the party has no such service. */
  addresses: Readonly<Record<Service, string>>;
  parts: ReadonlySet<Part>;
  /** Whether results may be delivered: they stay at the party. */
  write: boolean;
  /** Keys of results begin with it, so that runs do not meet. At most 32 characters. */
  run: string;
  /** RFC 3339. */
  now: string;
}

export type Service = 'leerlinggegevens' | 'getrapt' | 'leerresultaten';

/** What a case sends, by what it has otherwise than a sound one. */
export interface Ask {
  to: Service;
  /** Query of a GET instead, such as `wsdl`; or a whole address. */
  get?: string;
  operation?: Operation;
  /** Over the fields of a sound question; `undefined` leaves one out. */
  fields?: XmlObject;
  header?: Partial<Autorisatie> | 'none' | 'unqualified';
  /** Instead of the standard's, between quotation marks. */
  action?: string;
  contentType?: string;
  /** What becomes of the message as text. */
  spoilt?: (text: string) => string;
  /** Sent although the same was sent before. */
  again?: boolean;
}

export interface Sent {
  /** The case that asks first. Not on the wire. */
  of: string;
  url: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body: string | undefined;
}

const ACTION: Readonly<Record<Operation, string>> = {
  HaalLeerlinggegevens: 'HaalLeerlinggegevens',
  HaalStructuur: `${NS.leerlinggegevens}/${rosterOperations.HaalStructuur.verzoek}`,
  HaalLeerlingen: `${NS.leerlinggegevens}/${rosterOperations.HaalLeerlingen.verzoek}`,
  HaalLeerkrachten: `${NS.leerlinggegevens}/${rosterOperations.HaalLeerkrachten.verzoek}`,
  BrengLeerresultaten: 'BrengLeerresultaten',
};
export const actionOf = (operation: Operation): string => ACTION[operation];

/** How a school is named, in the order of the schema. */
export const named = ({ brincode, dependancecode, schoolkey }: LasAccess): Record<string, XmlValue> => ({
  brincode: brincode || undefined,
  dependancecode: brincode === '' ? undefined : dependancecode || undefined,
  schoolkey: brincode === '' ? schoolkey : undefined,
});

function header(access: LasAccess, of: Ask['header']): XmlObject | undefined {
  if (of === 'none') return undefined;
  const given = access.header.reveal((it) => ({ ...it, ...(of === 'unqualified' ? {} : of) }));
  const { autorisatiesleutel, klantcode, klantnaam } = given;
  const values = { autorisatiesleutel, klantcode, klantnaam };
  return of === 'unqualified'
    ? { 'a:autorisatie': { '@xmlns:a': NS.autorisatie, ...values } }
    : { autorisatie: { '@xmlns': NS.autorisatie, ...values } };
}

function body(access: LasAccess, { operation = 'HaalLeerlinggegevens', fields = {} }: Ask): XmlObject {
  if (operation === 'BrengLeerresultaten')
    return { leerresultaten_verzoek: { '@xmlns': NS.leerresultaten, '@xmlns:oso': NS.oso, ...fields } };
  return {
    [rosterOperations[operation].verzoek]: {
      '@xmlns': NS.leerlinggegevens,
      schooljaar: access.schooljaar,
      ...named(access),
      xsdversie: access.version,
      // Places of what is given by a case alone, in the order of the schema.
      gegevenssetid: access.gegevenssetid || undefined,
      laatstontvangengegevens: undefined,
      groepen: undefined,
      ...fields,
    },
  };
}

/** The request as it stands on the wire. */
export function requestOf(ask: Ask, access: LasAccess, of: string): Sent {
  const address = access.addresses[ask.to];
  if (ask.get !== undefined) {
    const url = URL.canParse(ask.get) ? ask.get : `${address}${address.includes('?') ? '&' : '?'}${ask.get}`;
    return { of, url, method: 'GET', headers: { ...access.headers }, body: undefined };
  }
  const text = writeEnvelope(body(access, ask), header(access, ask.header));
  return {
    of,
    url: address,
    method: 'POST',
    headers: {
      'content-type': ask.contentType ?? 'text/xml; charset=utf-8',
      accept: 'text/xml',
      soapaction: ask.action ?? `"${actionOf(ask.operation ?? 'HaalLeerlinggegevens')}"`,
      ...access.headers,
    },
    body: ask.spoilt ? ask.spoilt(text) : text,
  };
}

/** Groups as a question names them; an empty key asks for who is in none. */
export const groepen = (list: readonly GroupOf[]): XmlObject => {
  const keyed = (samengesteld: boolean) =>
    list.filter((one) => one.samengesteld === samengesteld).map(({ key }): XmlObject => (key ? { '@key': key } : {}));
  const filled = (some: XmlObject[]) => (some.length > 0 ? some : undefined);
  return { groep: filled(keyed(false)), samengestelde_groep: filled(keyed(true)) };
};

export interface OnePupil {
  leerlingid: string;
  eckid: string;
}

/** Fields of a sound message with results of one pupil; `n` tells messages of a run apart. */
export function results(access: LasAccess, pupil: OnePupil, n: string, change: ResultChange = {}): XmlObject {
  const result = (i: number, rest: XmlObject): XmlObject => ({
    '@key': `${access.run}-${n}-${i}`,
    afnamedatum: access.now.slice(0, 10),
    toetscode: 'EDUK-CONFORM',
    ...rest,
  });
  const list = change.full
    ? [
        result(1, { toetsonderdeelcode: 'a', score: 7 }),
        result(2, {
          osoresultaat: {
            'oso:toetsscore': { 'oso:aantalopgaven': 20, 'oso:aantalgoed': 15, 'oso:vaardigheidsscore': '131.2' },
          },
        }),
      ]
    : [result(1, { score: 7, ...change.result })];
  return {
    school: {
      schooljaar: access.schooljaar,
      ...named(access),
      aanmaakdatum: access.now,
      auteur: 'eduk conform',
      xsdversie: access.version,
      ...change.school,
    },
    toetsafnames: {
      toetsafname: {
        leerlingid: pupil.leerlingid,
        eckid: pupil.eckid || undefined,
        resultaten: { resultaat: change.twice ? [...list, ...list] : list },
      },
    },
    toetsen: {
      toets: {
        toetscode: change.test ?? 'EDUK-CONFORM',
        toetsnaam: 'Conformiteitstoets',
        ...(change.full && {
          toetsnormering: { norm: { term: 'goed', beginnormwaarde: 5, eindnormwaarde: 10 } },
          toetsonderdelen: { toetsonderdeel: { toetsonderdeelvolgnummer: 1, toetsonderdeelcode: 'a' } },
        }),
      },
    },
  };
}

export interface ResultChange {
  result?: XmlObject;
  school?: XmlObject;
  /** Code in toetsen, where results name another. */
  test?: string;
  twice?: boolean;
  full?: boolean;
}
