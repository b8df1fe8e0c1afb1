/**
 * Our faults in the words of UWLR 2.2 §3.8. The faultcode is the standard's, unprefixed, as its toolkits surface it; the
 * faultstring is a short Dutch sentence from our own table; the detail carries our code, who must act, whether a repeat
 * helps, and the places. No value of a message is in any of them. Sent with HTTP 500, as SOAP 1.1 §6.2 has it.
 */
import { faultDetail, writeFault } from '#adapters/xml';
import { type Fault, faults, type GatewayError } from '#kernel';

export type Faultcode =
  | 'Client.OngeldigBericht'
  | 'Client.AutorisatieOngeldig'
  | 'Client.OngeldigeKlantIdentificatie'
  | 'Client.XsdVersieOngeldig'
  | 'Client.LeerlingOngeldig'
  | 'Client.ScoreOngeldig'
  | 'Client.EldResultaatOngeldig'
  | 'Client.VocabulaireTermOngeldig'
  | 'Client.ToetsNormeringOngeldig'
  | 'Server.TijdelijkNietBeschikbaar'
  | 'Server.InterneFout';

/** Faults with a faultcode of their own. The others follow from who must act: see `faultcode`. */
export const faultcodes: Partial<Record<Fault, Faultcode>> = {
  'wire.version': 'Client.XsdVersieOngeldig',
  'party.unknown': 'Client.OngeldigeKlantIdentificatie',
  'party.forbidden': 'Client.AutorisatieOngeldig',
  'mandate.missing': 'Client.AutorisatieOngeldig',
  'mandate.unconfirmed': 'Client.AutorisatieOngeldig',
  'mandate.unaccepted': 'Client.AutorisatieOngeldig',
  'mandate.ended': 'Client.AutorisatieOngeldig',
  'mandate.suspended': 'Client.AutorisatieOngeldig',
  'learner.unknown': 'Client.LeerlingOngeldig',
  'state.missing': 'Client.OngeldigeKlantIdentificatie',
  'hold.pending': 'Server.TijdelijkNietBeschikbaar',
};

/** Faults whose faultcode follows from the place, when all places agree. */
export const faultcodesByPlace: readonly {
  fault: Fault;
  place: RegExp;
  words: string;
  code: Faultcode;
  /** Instead of the fault's own sentence, where that would send its reader to the wrong place. */
  nl?: string;
}[] = [
  {
    fault: 'party.unknown',
    place: /^Envelope\/Header\/autorisatie\/autorisatiesleutel$/,
    words: 'when the `autorisatiesleutel` is missing, or is not the one that this caller was given',
    code: 'Client.AutorisatieOngeldig',
    nl: 'De autorisatiesleutel ontbreekt of is niet die van deze afzender.',
  },
  {
    fault: 'party.unknown',
    place: /^Envelope\/Header\/autorisatie/,
    words: 'when the header is missing or incomplete',
    code: 'Client.AutorisatieOngeldig',
  },
  {
    fault: 'wire.version',
    place: /^Envelope\/Body\//,
    words: 'when the namespace is that of 1.0',
    code: 'Client.XsdVersieOngeldig',
    nl: 'UWLR 1.0 wordt hier niet meer gesproken; 2.2 en 2.3 wel.',
  },
  {
    fault: 'wire.version',
    place: /\/xsdversie$/,
    words: 'when `xsdversie` is 2.1 or another that is not spoken',
    code: 'Client.XsdVersieOngeldig',
    nl: 'Deze xsdversie wordt hier niet gesproken; 2.2 en 2.3 wel.',
  },
  {
    fault: 'wire.invalid',
    place: /\/osoresultaat(\/|$)/,
    words: 'when every place is in an `osoresultaat`',
    code: 'Client.EldResultaatOngeldig',
  },
  {
    fault: 'wire.invalid',
    place: /\/resultaat(\[\d+\])?\/score$/,
    words: 'when every place is a `score`',
    code: 'Client.ScoreOngeldig',
  },
  {
    fault: 'wire.invalid',
    place:
      /\/((versie|leerjaar|vakgebied|toetscategorie|toetsniveau)(\[2\])?|ingang(\[\d+\])?|@vocabulaire|@vocabulairelocatie)$/,
    words: 'when every place is a word that may be from a list, or names a list',
    code: 'Client.VocabulaireTermOngeldig',
    nl: 'Een term, of de naam van een vocabulaire, is geen geldige.',
  },
  {
    fault: 'wire.invalid',
    place: /\/toets(onderdeel)?normering(\[2\])?(\/|$)/,
    words: 'when every place is in a `toetsnormering` or `toetsonderdeelnormering`',
    code: 'Client.ToetsNormeringOngeldig',
  },
  {
    fault: 'wire.invalid',
    place: /\/toetsafname(\[\d+\])?\/(leerlingid|eckid)(\[2\])?$/,
    words: 'when every place is a `leerlingid` or `eckid` of a result',
    code: 'Client.LeerlingOngeldig',
  },
];

const byPlace = ({ fault, where }: GatewayError) =>
  where.length === 0
    ? undefined
    : faultcodesByPlace.find((one) => one.fault === fault && where.every(({ path }) => one.place.test(path)));

/** The standard's faultcode of an error of ours (UWLR 2.2 §3.8). */
export function faultcode(error: GatewayError): Faultcode {
  const placed = byPlace(error);
  if (placed) return placed.code;
  const own = faultcodes[error.fault];
  if (own) return own;
  const { who, retry } = error.row;
  if (who === 'us' || who === 'peer')
    return retry === 'never' ? 'Server.InterneFout' : 'Server.TijdelijkNietBeschikbaar';
  return 'Client.OngeldigBericht';
}

/** The whole SOAP document that answers an error. */
export const sayFault = (error: GatewayError): string =>
  writeFault({
    faultcode: faultcode(error),
    faultstring: byPlace(error)?.nl ?? faults[error.fault].nl,
    detail: faultDetail(error),
  });
