/**
 * Answers with a roster as they stand on the wire: strict, in the order of the schema, nothing empty, in WCF's form. An answer is
 * written in pieces (what it begins with, pupils as they come, teachers and the end), so that a large school is never in memory
 * as a document; the pieces together are the document.
 */
import { LossTally } from '#adapters/contract';
import { writeEnvelope, writeFragment, type XmlObject, type XmlValue } from '#adapters/xml';
import type { Clear } from '#kernel';
import type { Roster } from '#proto/eduk/core/v1/learner';
import { RosterParts } from './mapping.ts';
import type { AnswerForm } from './versions.ts';
import {
  type Antwoord,
  type AntwoordSchool,
  type Kop,
  type Leerkracht,
  type Leerling,
  type Leerlinggegevens,
  type LeerlinggegevensAntwoord,
  type Naam,
  NS,
  type Rollen,
  type RosterOperation,
  rosterOperations,
  type SamengesteldeGroep,
  type Taak,
} from './wire.ts';

/** An answer to one operation, written while the pages of a roster come: `open`, then `learners` for each page, then `close`. */
export class RosterWriter {
  readonly #parts: RosterParts;
  readonly #pieces: Pieces;

  readonly #hasStructure: boolean;

  constructor(operation: RosterOperation, form: AnswerForm, schoolKey = '') {
    this.#parts = new RosterParts(form, schoolKey);
    this.#pieces = piecesOf(operation);
    this.#hasStructure = (rosterOperations[operation].has as readonly string[]).includes('groepen');
  }

  /** What of the pieces so far had no place in the answer. */
  get losses(): LossTally {
    return this.#parts.losses;
  }

  /** What it is, its groups and its sites. */
  open(head: Clear<Roster>): string {
    // Of groups that are not in the answer nothing is lost.
    const losses = this.#hasStructure ? this.losses : new LossTally();
    return head.reveal((it) => this.#pieces.open(this.#parts.head(it, losses)));
  }

  learners(page: Clear<Roster>): string {
    return page.reveal((it) => this.#pieces.leerlingen(this.#parts.learners(it.learners)));
  }

  close(staff: Clear<Roster>): string {
    return staff.reveal((it) => this.#pieces.close(this.#parts.staff(it.staff)));
  }
}

export interface Pieces {
  open(kop: Kop): string;
  leerlingen(list: readonly Leerling[]): string;
  close(leerkrachten: readonly Leerkracht[]): string;
}

const MARK = 'PIECES';

/** The pieces of the answer to one operation (UWLR §3.3). Of what the operation does not have, nothing is written. */
export function piecesOf(operation: RosterOperation): Pieces {
  const { antwoord, gegevens, has } = rosterOperations[operation];
  const parts: readonly string[] = has;
  const whole = writeEnvelope({ [antwoord]: { '@xmlns': NS.leerlinggegevens, [gegevens]: MARK } });
  const [before = '', after = ''] = whole.split(MARK);
  const pupils = parts.includes('leerlingen');
  return {
    open: ({ school, vestigingen, groepen }) => {
      const structure: XmlObject = parts.includes('groepen')
        ? { vestigingen: within('vestiging', vestigingen.map(thing)), groepen: groups(groepen) }
        : {};
      return `${before}${writeFragment({ school: head(school), ...structure })}${pupils ? '<leerlingen>' : ''}`;
    },
    leerlingen: (list) => (pupils && list.length > 0 ? writeFragment({ leerling: list.map(leerling) }) : ''),
    close: (leerkrachten) => {
      const staff = parts.includes('leerkrachten') ? within('leerkracht', leerkrachten.map(leerkracht)) : undefined;
      return `${pupils ? '</leerlingen>' : ''}${staff ? writeFragment({ leerkrachten: staff }) : ''}${after}`;
    },
  };
}

/** Why there is no roster in an answer: nothing changed, or there is nothing. */
export const writeEmpty = (operation: RosterOperation, why: 'geenwijzigingen' | 'geengegevens'): string =>
  writeEnvelope({ [rosterOperations[operation].antwoord]: { '@xmlns': NS.leerlinggegevens, [why]: {} } });

/** A whole answer to one operation at once. */
export function writeAnswer(
  operation: RosterOperation,
  wire: Antwoord<{ leerlinggegevens: Leerlinggegevens }>,
): string {
  if (!('leerlinggegevens' in wire))
    return writeEmpty(operation, 'geenwijzigingen' in wire ? 'geenwijzigingen' : 'geengegevens');
  const { open, leerlingen, close } = piecesOf(operation);
  const { leerlinggegevens: it } = wire;
  return open(it) + leerlingen(it.leerlingen) + close(it.leerkrachten);
}

/** The answer to HaalLeerlinggegevens (UWLR §3.3). */
export const writeLeerlinggegevens = (wire: LeerlinggegevensAntwoord): string =>
  writeAnswer('HaalLeerlinggegevens', wire);

const filled = <T>(list: readonly T[]): readonly T[] | undefined => (list.length === 0 ? undefined : list);

const within = (name: string, list: readonly XmlObject[]): XmlObject | undefined =>
  list.length === 0 ? undefined : { [name]: list };

const head = (s: AntwoordSchool): XmlObject => ({
  schooljaar: s.schooljaar,
  peildatum: s.peildatum,
  brincode: s.brincode,
  dependancecode: s.dependancecode,
  schoolkey: s.schoolkey,
  aanmaakdatum: s.aanmaakdatum,
  xsdversie: s.xsdversie,
});

const thing = ({ key, naam, omschrijving }: SamengesteldeGroep): XmlObject => ({ '@key': key, naam, omschrijving });

function groups({ groep, samengestelde_groep }: Kop['groepen']): XmlObject | undefined {
  if (groep.length + samengestelde_groep.length === 0) return undefined;
  return {
    groep: filled(
      groep.map(({ key, naam, jaargroep, omschrijving }) => ({ '@key': key, naam, jaargroep, omschrijving })),
    ),
    samengestelde_groep: filled(samengestelde_groep.map(thing)),
  };
}

const named = (it: Naam): Record<string, XmlValue> => ({
  achternaam: it.achternaam,
  voorvoegsel: it.voorvoegsel,
  voornamen: it.voornamen,
  'voorletters-1': it['voorletters-1'],
  roepnaam: it.roepnaam,
});

const leerling = (l: Leerling): XmlObject => ({
  '@key': l.key,
  '@eckid': l.eckid,
  ...named(l),
  geboortedatum: l.geboortedatum,
  geslacht: l.geslacht,
  jaargroep: l.jaargroep,
  groep: l.groep && { '@key': l.groep.key },
  samengestelde_groepen: within(
    'samengestelde_groep',
    l.samengestelde_groepen.map(({ key }) => ({ '@key': key })),
  ),
  vestiging: l.vestiging && { '@key': l.vestiging.key },
  gebruikersnaam: l.gebruikersnaam,
  emailadres: l.emailadres,
  instroomdatum: l.instroomdatum,
  uitstroomdatum: l.uitstroomdatum,
});

const rollen = (it: Rollen): XmlObject => ({ rol: filled(it.rol), rolomschrijving: filled(it.rolomschrijving) });
const taak = (t: Taak): XmlObject => ({ '@key': t.key, ...rollen(t) });

const leerkracht = (l: Leerkracht): XmlObject => ({
  '@key': l.key,
  '@eckid': l.eckid,
  ...named(l),
  gebruikersnaam: l.gebruikersnaam,
  emailadres: l.emailadres,
  ...rollen(l),
  groepen:
    l.groepen.groep.length + l.groepen.samengestelde_groep.length === 0
      ? undefined
      : {
          groep: filled(l.groepen.groep.map(taak)),
          samengestelde_groep: filled(l.groepen.samengestelde_groep.map(taak)),
        },
});
