/**
 * UWLR towards an administration: what we ask it (UWLR 2.2 §3.2). How one
 * administration differs from another is data (`Dialect`), never code.
 */
import { writeEnvelope, type XmlObject } from '#adapters/xml';
import type { Clear } from '#kernel';
import { type Autorisatie, NS } from './wire.ts';

/** What an administration wants otherwise than others. */
export interface Dialect {
  version: '2.2' | '2.3';
  /** How a school year is asked: written out, or left empty where it is the running one. */
  schooljaar: 'jaar' | 'leeg';
  /** SOAPAction between quotation marks, as SOAP 1.1 has it, or bare. */
  soapAction: 'quoted' | 'bare';
  /** Name of the set of fields that is asked for; empty = none is named. */
  gegevenssetid: string;
}

export type Asking = 'HaalLeerlinggegevens' | 'HaalStructuur' | 'HaalLeerlingen' | 'HaalLeerkrachten';

/** Elements and SOAPActions of the operations (UWLR 2.2 §3). */
const STAGED = `${NS.leerlinggegevens}/`;
export const operations = {
  HaalLeerlinggegevens: { element: 'leerlinggegevens', action: 'HaalLeerlinggegevens' },
  HaalStructuur: { element: 'structuur', action: `${STAGED}structuur_verzoek` },
  HaalLeerlingen: { element: 'leerlingen', action: `${STAGED}leerlingen_verzoek` },
  HaalLeerkrachten: { element: 'leerkrachten', action: `${STAGED}leerkrachten_verzoek` },
  BrengLeerresultaten: { element: 'leerresultaten', action: 'BrengLeerresultaten' },
} as const;

/** The school as this administration knows it: by BRIN and site, or by a key of its own. */
export interface AskedSchool {
  brincode: string;
  /** Two digits; empty = the whole school. */
  dependancecode: string;
  /** Instead of the brincode, where it is not empty. */
  schoolkey: string;
}

export interface Question {
  school: AskedSchool;
  /** `2026-2027`. */
  schooljaar: string;
  /** Whether that is the running one, which some want left empty. */
  isRunning: boolean;
  /** Moment of what we received last, RFC 3339; empty = everything is asked. */
  since: string;
}

/** A group whose people are asked; an empty key asks for those in no group at all. */
export interface WantedGroup {
  key: string;
  samengesteld: boolean;
}

/** HTTP headers of a request, without those that an administration wants besides. */
export const headersOf = (operation: keyof typeof operations, { soapAction }: Dialect): Record<string, string> => {
  const { action } = operations[operation];
  return {
    'content-type': 'text/xml; charset=utf-8',
    accept: 'text/xml',
    soapaction: soapAction === 'bare' ? action : `"${action}"`,
  };
};

const given = (text: string): string | undefined => (text === '' ? undefined : text);

const autorisatie = (header: Clear<Autorisatie>): XmlObject =>
  header.reveal(({ autorisatiesleutel, klantcode, klantnaam }) => ({
    autorisatie: { '@xmlns': NS.autorisatie, autorisatiesleutel, klantcode, klantnaam },
  }));

/** Brincode with site, or schoolkey: never both, since the schema has them as a choice. */
const named = ({ brincode, dependancecode, schoolkey }: AskedSchool): XmlObject =>
  schoolkey === '' ? { brincode, dependancecode: given(dependancecode) } : { schoolkey };

/** A question for a roster, or a part of one. `groups` only where people of groups are asked. */
export function writeQuestion(
  operation: Asking,
  { school, schooljaar, isRunning, since }: Question,
  groups: readonly WantedGroup[],
  header: Clear<Autorisatie>,
  dialect: Dialect,
): string {
  const keyed = (samengesteld: boolean): XmlObject[] =>
    groups.filter((one) => one.samengesteld === samengesteld).map(({ key }) => (key === '' ? {} : { '@key': key }));
  const filled = (list: XmlObject[]) => (list.length > 0 ? list : undefined);
  return writeEnvelope(
    {
      [`${operations[operation].element}_verzoek`]: {
        '@xmlns': NS.leerlinggegevens,
        // An empty element stands for the running year with those who want it so.
        schooljaar: isRunning && dialect.schooljaar === 'leeg' ? {} : schooljaar,
        ...named(school),
        xsdversie: dialect.version,
        gegevenssetid: given(dialect.gegevenssetid),
        laatstontvangengegevens: given(since),
        groepen:
          groups.length > 0 ? { groep: filled(keyed(false)), samengestelde_groep: filled(keyed(true)) } : undefined,
      },
    },
    autorisatie(header),
  );
}
