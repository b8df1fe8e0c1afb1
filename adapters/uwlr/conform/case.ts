/** What a conformance case is, and the rules that cases test. Data alone: the engines are `las-run.ts` and `ea-run.ts`. */
import type { Version } from '../versions.ts';

/** `must`: who does otherwise does not follow the standard. `should`: others stumble, or the standard only advises. */
export type Severity = 'must' | 'should';

/** Which of the party's services a case is about; a run may leave some out. */
export const parts = ['description', 'roster', 'staged', 'results'] as const;
/** `calls`: any call of who calls, which no run leaves out. */
export type Part = (typeof parts)[number] | 'calls';

export interface Rule {
  /** Standard and section, as this project numbers them everywhere. */
  at: string;
  /** Where that is published. */
  source: string;
  says: string;
}

const LL_XSD = 'UWLR_Leerlinggegevens_v2p2.xsd';
const LR_XSD = 'UWLR_Leerresultaten_v2p2.xsd';

export const rules = {
  'soap.post': {
    at: 'SOAP 1.1 §6',
    source: 'W3C note SOAP 1.1',
    says: 'SOAP over HTTP is a POST with content type text/xml.',
  },
  'soap.envelope': {
    at: 'SOAP 1.1 §3, §4',
    source: 'W3C note SOAP 1.1',
    says: 'A message is an Envelope with at most one Header and one Body, and holds no DTD.',
  },
  'soap.header': {
    at: 'SOAP 1.1 §4.2',
    source: 'W3C note SOAP 1.1',
    says: 'A header block that need not be understood may be passed over.',
  },
  'soap.action': {
    at: 'SOAP 1.1 §6.1.1',
    source: 'W3C note SOAP 1.1',
    says: 'A client sends the header SOAPAction; its value is a URI between quotation marks.',
  },
  'soap.fault': {
    at: 'SOAP 1.1 §4.4, §6.2',
    source: 'W3C note SOAP 1.1',
    says: 'What was not done is told by a Fault with unqualified faultcode and faultstring, sent with HTTP 500.',
  },
  'xml.names': {
    at: 'Namespaces in XML §2',
    source: 'W3C recommendation',
    says: 'A prefix is a short name; what counts is the namespace that it stands for.',
  },
  'uwlr.services': {
    at: 'UWLR 2.2 §3',
    source: 'UWLR_Leerlinggegevens_v2p2.wsdl, UWLR_Leerresultaten_v2p2.wsdl',
    says: 'Two services, five operations, document/literal over SOAP 1.1; each operation has its element and SOAPAction.',
  },
  'uwlr.header': {
    at: 'UWLR 2.2 §3.1',
    source: 'UWLR_Autorisatie_v2p2.xsd; viewer, protocol Systeemautorisatie',
    says: 'The header autorisatie holds autorisatiesleutel, klantcode and klantnaam, in this order, each 1 to 64 characters.',
  },
  'uwlr.authorisation': {
    at: 'UWLR 2.2 §3.1',
    source: 'viewer, protocol Systeemautorisatie',
    says: 'klantcode and klantnaam say which system calls; autorisatiesleutel says that the school lets it.',
  },
  'uwlr.question': {
    at: 'UWLR 2.2 §3.2',
    source: LL_XSD,
    says: 'A question has schooljaar, brincode with dependancecode or schoolkey, xsdversie, and may have gegevenssetid and laatstontvangengegevens.',
  },
  'uwlr.since': {
    at: 'UWLR 2.2 §3.2',
    source: LL_XSD,
    says: 'laatstontvangengegevens is the moment of the data that were received last; without it there are always data.',
  },
  'uwlr.groups': {
    at: 'UWLR 2.2 §3.2',
    source: LL_XSD,
    says: 'leerlingen_verzoek and leerkrachten_verzoek name groups; one without a key stands for who is in none.',
  },
  'uwlr.answer': {
    at: 'UWLR 2.2 §3.3',
    source: LL_XSD,
    says: 'An answer is data, geenwijzigingen or geengegevens, in the form and order of the schema.',
  },
  'uwlr.school': {
    at: 'UWLR 2.2 §3.3',
    source: LL_XSD,
    says: 'An answer says which school, site, year and version it is of: those that were asked.',
  },
  'uwlr.keys': {
    at: 'UWLR 2.2 §3.3',
    source: `${LL_XSD}, whose own constraints select nothing`,
    says: 'A key or ECK iD names one person or group of the answer, and what is referred to is there.',
  },
  'uwlr.profile': {
    at: 'UWLR 2.2 §3.4',
    source: 'viewer, profiles Smalle set and LVS-set',
    says: 'A profile names the fields that are exchanged; what it does not name is left out.',
  },
  'uwlr.numbers': {
    at: 'UWLR 2.2 §3.5',
    source: 'viewer, profiles Smalle set and LVS-set',
    says: 'Neither profile has a bsn, sofinummer, onderwijsnummer or rijksregisternummer.',
  },
  'uwlr.eckid': {
    at: 'UWLR 2.3, changes since 2.2.1 (heenweg)',
    source: 'edustandaard.nl, page of UWLR 2.3',
    says: 'A pupil with an ECK iD is identified by it; only one without may have the key of the administration alone.',
  },
  'uwlr.bsn4': {
    at: 'UWLR 2.3, changes since 2.2.1 (LVS-set)',
    source: 'edustandaard.nl, page of UWLR 2.3',
    says: 'The last four digits of a number have left the LVS-set.',
  },
  'uwlr.results': {
    at: 'UWLR 2.2 §3.6',
    source: LR_XSD,
    says: 'leerresultaten_verzoek has school, toetsafnames and toetsen, in the form and order of the schema.',
  },
  'uwlr.results.keys': {
    at: 'UWLR 2.2 §3.6',
    source: `${LR_XSD}, keys resultaat and toets`,
    says: 'A key of a result, and a toetscode in toetsen, stand once in a message; each result names a test of the message.',
  },
  'uwlr.confirmation': {
    at: 'UWLR 2.2 §3.6',
    source: LR_XSD,
    says: 'What was taken is confirmed by an empty leerresultaten_bevestiging, for the whole message.',
  },
  'uwlr.faults': {
    at: 'UWLR 2.2 §3.8',
    source:
      'viewer, Structuur voor foutafhandeling SOAP-verkeer; codes as the published library of the agreement has them',
    says: 'A fault has one of the codes of the agreement, without a prefix.',
  },
  'edexml.jaargroep': {
    at: 'UWLR 2.2 §3.4; EDEXML 2.1',
    source: 'EDEXML 2.1 handleiding; viewer, profile Smalle set',
    says: 'Each pupil has a jaargroep.',
  },
  'practice.clients': {
    at: 'UWLR 2.2 §4',
    source: 'clients that are in use',
    says: 'Read liberally, write strictly: clients that work elsewhere need it.',
  },
} as const satisfies Record<string, Rule>;
export type RuleName = keyof typeof rules;

/** What every case says of itself; reports and docs/conformance.md print it. */
export interface Case {
  id: string;
  versions: readonly Version[];
  part: Part;
  rule: RuleName;
  severity: Severity;
  /** What is sent, or awaited. */
  sends: string;
  /** What must come of it. */
  must: string;
  /** Who must do what when it does not. */
  remedy: string;
}

export const BOTH: readonly Version[] = ['2.2', '2.3'];

/** Something that is otherwise than it must be. Words of ours, paths, counts and codes of the standard; never a value of the message. */
export interface Found {
  told: string;
  /** Where in the message. */
  where?: string;
}

/** A group, as questions name it. */
export interface GroupOf {
  key: string;
  samengesteld: boolean;
}
