/**
 * The cases for an administration (LAS): what is asked of it, and what its answer must be. One list: `eduk conform uwlr --las` runs
 * it, and our own server is tested by it. Cases are apart from each other: what one looks at, no other does.
 */
import type { XmlElement, XmlObject } from '#adapters/xml';
import { child, SOAP11, withPaths } from '#adapters/xml';
import { fields as inSets, type Version } from '../versions.ts';
import { NS, type RosterOperation, rosterOperations } from '../wire.ts';
import { type Ask, actionOf, groepen, type LasAccess, type OnePupil, results, type Service } from './asks.ts';
import { BOTH, type Case, type Found, type GroupOf } from './case.ts';
import { answerBreaks, confirmationBreaks } from './form.ts';

/** An answer, as far as it could be read. */
export interface Seen {
  url: string;
  status: number;
  contentType: string;
  /** The whole of it. */
  text: string;
  root: XmlElement | undefined;
  /** The one element of a SOAP body. */
  body: XmlElement | undefined;
  fault: { faultcode: string; element: XmlElement } | undefined;
}

/** A person of a roster, by key or else ECK iD; held while a run lasts and never told. */
interface Person {
  id: string;
  groups: string[];
  composites: string[];
}

export interface Whole {
  made: string;
  groups: GroupOf[];
  pupils: Person[];
  teachers: Person[];
  pupil: OnePupil | undefined;
}

/** What a run knows by the time that a case is asked. */
export interface Known {
  access: LasAccess;
  /** Out of the answer to the first question; undefined where that has no data. */
  whole: Whole | undefined;
}

export interface LasCase extends Case {
  /** A string: why it cannot be asked. */
  ask: (known: Known) => Ask | string;
  /** Asked besides, because of the answer. */
  more?: (seen: Seen) => Ask[];
  /** A string: why it cannot be judged. */
  judge: (seen: Seen, known: Known, more: readonly Seen[]) => Found[] | string;
}

// --- Reading answers ----------------------------------------------------------------------------------------------------

/** Every element below one, of a name. */
export function* below(element: XmlElement, name: string): Generator<XmlElement> {
  for (const it of element.children) {
    if (it.name === name) yield it;
    yield* below(it, name);
  }
}

const antwoord = (operation: RosterOperation) => rosterOperations[operation].antwoord;

/** The data in an answer to an operation; undefined where it is none, or has none. */
export function dataIn({ body }: Seen, operation: RosterOperation): XmlElement | undefined {
  if (body?.name !== antwoord(operation) || body.ns !== NS.leerlinggegevens) return undefined;
  return child(body, rosterOperations[operation].gegevens);
}

const isEmpty = ({ body }: Seen, operation: RosterOperation, why: 'geenwijzigingen' | 'geengegevens'): boolean =>
  body?.name === antwoord(operation) && child(body, why) !== undefined;

const keyOf = (it: XmlElement): string => (it.attrs['key'] ?? '').trim();
const eckOf = (it: XmlElement): string => (it.attrs['eckid'] ?? '').trim();
const listOf = (data: XmlElement, container: string): XmlElement[] => child(data, container)?.children ?? [];

const personOf = (it: XmlElement): Person => {
  const within = (name: string, container: string) => [
    ...it.children.filter((one) => one.name === name),
    ...listOf(it, container).filter((one) => one.name === name),
  ];
  return {
    id: keyOf(it) || eckOf(it),
    groups: within('groep', 'groepen').map(keyOf),
    composites: [...within('samengestelde_groep', 'groepen'), ...listOf(it, 'samengestelde_groepen')].map(keyOf),
  };
};

export function wholeOf(data: XmlElement): Whole {
  const pupils = listOf(data, 'leerlingen');
  const [first] = pupils.filter((it) => keyOf(it) || eckOf(it));
  return {
    made: child(child(data, 'school') ?? data, 'aanmaakdatum')?.text.trim() ?? '',
    groups: listOf(data, 'groepen').map((it) => ({
      key: keyOf(it),
      samengesteld: it.name === 'samengestelde_groep',
    })),
    pupils: pupils.map(personOf),
    teachers: listOf(data, 'leerkrachten').map(personOf),
    pupil: first && { leerlingid: keyOf(first) || `#${eckOf(first)}`, eckid: eckOf(first) },
  };
}

// --- Words that judges share --------------------------------------------------------------------------------------------

export const FAULTCODES: readonly string[] = [
  'Server.InterneFout',
  'Server.TijdelijkNietBeschikbaar',
  'Client.OngeldigBericht',
  'Client.OngeldigeKlantIdentificatie',
  'Client.AutorisatieOngeldig',
  'Client.VocabulaireTermOngeldig',
  'Client.XsdVersieOngeldig',
  'Client.LeerlingOngeldig',
  'Client.ToetsNormeringOngeldig',
  'Client.ScoreOngeldig',
  'Client.EldResultaatOngeldig',
];

const bare = (faultcode: string): string => faultcode.trim().replace(/^[^:]*:/, '');

/** A code that is of the standard; any other may be anything, so it is not repeated. */
const shownCode = (faultcode: string): string =>
  FAULTCODES.includes(bare(faultcode)) ? bare(faultcode) : 'a code that is not of the agreement';

/** What came instead of what was awaited. */
export function whatCame(seen: Seen): string {
  if (seen.fault) return `a fault with ${shownCode(seen.fault.faultcode)}`;
  if (!seen.root) return `something that is not XML, with HTTP ${seen.status}`;
  if (!seen.body) return `XML that is no SOAP 1.1, with HTTP ${seen.status}`;
  if (seen.body.name === 'leerresultaten_bevestiging') return 'a confirmation';
  for (const operation of Object.keys(rosterOperations) as RosterOperation[])
    if (seen.body.name === antwoord(operation)) {
      if (isEmpty(seen, operation, 'geenwijzigingen')) return `${antwoord(operation)} with geenwijzigingen`;
      if (isEmpty(seen, operation, 'geengegevens')) return `${antwoord(operation)} with geengegevens`;
      return dataIn(seen, operation) ? `${antwoord(operation)} with data` : `${antwoord(operation)} with neither`;
    }
  return `another element, with HTTP ${seen.status}`;
}

const instead = (seen: Seen): Found[] => [{ told: `There came ${whatCame(seen)}.` }];

/** What is there of a list that another has not: counted. */
function differs(is: readonly string[], should: readonly string[], what: string): Found[] {
  const [has, wanted] = [new Set(is), new Set(should)];
  const missing = should.filter((id) => id !== '' && !has.has(id)).length;
  const extra = is.filter((id) => id !== '' && !wanted.has(id)).length;
  return [
    ...(missing > 0 ? [{ told: `${missing} of ${should.length} ${what} are missing.` }] : []),
    ...(extra > 0 ? [{ told: `${extra} ${what} are there that should not be.` }] : []),
  ];
}

const idsIn = (data: XmlElement, container: 'leerlingen' | 'leerkrachten'): string[] =>
  listOf(data, container).map((it) => keyOf(it) || eckOf(it));

const whole = (run: (whole: Whole, known: Known) => Ask | string) => (known: Known) =>
  known.whole ? run(known.whole, known) : 'the first question was not answered with data';

const ROSTER: Ask = { to: 'leerlinggegevens', operation: 'HaalLeerlinggegevens' };

/** A case about the answer to the first question. */
const ofAnswer = (
  one: Omit<LasCase, 'ask' | 'judge' | 'part' | 'sends' | 'versions'> & {
    versions?: readonly Version[];
    judge: (data: XmlElement, known: Known, seen: Seen) => Found[] | string;
  },
): LasCase => ({
  versions: BOTH,
  ...one,
  part: 'roster',
  sends: 'HaalLeerlinggegevens, a sound question',
  ask: () => ROSTER,
  judge: (seen, known) => {
    const data = dataIn(seen, 'HaalLeerlinggegevens');
    return data ? one.judge(data, known, seen) : 'there are no data in the answer';
  },
});

const LAS = 'The administration:';

// --- Description --------------------------------------------------------------------------------------------------------

const WSDL = 'http://schemas.xmlsoap.org/wsdl/';

const isDescription = ({ status, root }: Seen): boolean =>
  status === 200 && root?.name === 'definitions' && root.ns === WSDL;

/** Operations of a description that we know, with the SOAPAction it gives them. */
const actionsIn = (root: XmlElement): Map<string, string> =>
  new Map(
    [...below(root, 'binding')].flatMap((binding) =>
      binding.children
        .filter(({ name, ns }) => name === 'operation' && ns === WSDL)
        .map((it): [string, string] => [
          it.attrs['name'] ?? '',
          it.children.find(({ name, ns }) => name === 'operation' && ns !== WSDL)?.attrs['soapAction'] ?? '',
        ]),
    ),
  );

const description = (to: Service, operation: 'HaalLeerlinggegevens' | 'BrengLeerresultaten'): LasCase[] => {
  const id = to === 'leerresultaten' ? 'las.wsdl.results' : 'las.wsdl';
  const common = {
    versions: BOTH,
    part: 'description',
    severity: 'should',
    sends: `GET of the address of ${operation} with ?wsdl`,
    ask: () => ({ to, get: 'wsdl' }),
  } as const;
  return [
    {
      ...common,
      id,
      rule: 'practice.clients',
      must: 'A WSDL 1.1, with HTTP 200.',
      remedy: `${LAS} serve the description at the address itself; toolkits such as PHP's look there.`,
      judge: (seen) => (isDescription(seen) ? [] : [{ told: `There came no description, but HTTP ${seen.status}.` }]),
    },
    {
      ...common,
      id: `${id}.actions`,
      rule: 'uwlr.services',
      must: `It has the operation ${operation}; each operation of UWLR in it has its SOAPAction.`,
      remedy: `${LAS} describe the operations by the names and SOAPActions of the published description.`,
      judge: (seen) => {
        if (!isDescription(seen)) return 'there is no description';
        const actions = actionsIn(seen.root!);
        const wrong = Object.keys({ ...rosterOperations, BrengLeerresultaten: 1 }).filter(
          (name) => actions.has(name) && actions.get(name) !== actionOf(name as RosterOperation),
        );
        return [
          ...(actions.has(operation) ? [] : [{ told: `There is no operation ${operation}.` }]),
          ...wrong.map((name) => ({ told: `${name} has another SOAPAction.` })),
        ];
      },
    },
    {
      ...common,
      id: `${id}.schemas`,
      rule: 'practice.clients',
      must: 'Each schema that it names at the same host is served there.',
      remedy: `${LAS} serve the schemas beside the description, by addresses that resolve against it.`,
      more: (seen) => (isDescription(seen) ? schemasOf(seen).map((get) => ({ to, get })) : []),
      judge: (seen, _, more) => {
        if (!isDescription(seen)) return 'there is no description';
        const wrong = more.filter(({ status, root }) => status !== 200 || root?.name !== 'schema').length;
        return wrong === 0 ? [] : [{ told: `${wrong} of ${more.length} schemas are not served.` }];
      },
    },
  ];
};

/** Schemas that are followed of one description. */
const MOST_SCHEMAS = 20;

/** Addresses of schemas, as far as they are at the host that was asked: nobody else is asked anything. */
function schemasOf({ root, url }: Seen): string[] {
  const found = new Set<string>();
  for (const { element } of withPaths(root!)) {
    const location = element.attrs['schemaLocation'];
    if (location === undefined || !['import', 'include'].includes(element.name) || !URL.canParse(location, url))
      continue;
    const at = new URL(location, url);
    if (at.origin === new URL(url).origin) found.add(at.href);
  }
  return [...found].slice(0, MOST_SCHEMAS);
}

// --- The answer ---------------------------------------------------------------------------------------------------------

/** Something that stands twice, by its place. */
function twice(list: readonly XmlElement[], read: (it: XmlElement) => string, place: string): Found[] {
  const seen = new Set<string>();
  return list.flatMap((it, i) => {
    const value = read(it);
    if (value === '' || !seen.has(value)) {
      seen.add(value);
      return [];
    }
    return [{ told: 'It stands twice.', where: place.replace('[]', `[${i + 1}]`) }];
  });
}

const NUMBERS: readonly string[] = ['bsn', 'sofinummer', 'onderwijsnummer', 'rijksregisternummer'];

/** By name alone: a path may hold a name that the sender made up. */
function filledIn(root: XmlElement, names: Iterable<string>): Found[] {
  const found: Found[] = [];
  for (const name of names)
    for (const it of below(root, name))
      if (it.text.trim() !== '') found.push({ told: `${name} is filled in.`, where: name });
  return found;
}

const answer: readonly LasCase[] = [
  {
    id: 'las.roster.answered',
    versions: BOTH,
    part: 'roster',
    rule: 'uwlr.answer',
    severity: 'must',
    sends: 'HaalLeerlinggegevens, a sound question',
    must: 'leerlinggegevens_antwoord with data, and HTTP 200.',
    remedy: `${LAS} answer the question; whoever runs this check: use a school that has pupils this year.`,
    ask: () => ROSTER,
    judge: (seen) => (dataIn(seen, 'HaalLeerlinggegevens') && seen.status === 200 ? [] : instead(seen)),
  },
  ofAnswer({
    id: 'las.roster.type',
    rule: 'soap.post',
    severity: 'must',
    must: 'Its content type is text/xml.',
    remedy: `${LAS} send answers as text/xml; application/soap+xml is SOAP 1.2.`,
    judge: (_, __, { contentType }) =>
      /^text\/xml\s*(;|$)/i.test(contentType) ? [] : [{ told: 'The content type is another, or none.' }],
  }),
  ofAnswer({
    id: 'las.roster.prefixes',
    rule: 'practice.clients',
    severity: 'should',
    must: 'The payload has no prefix.',
    remedy: `${LAS} write the payload in a default namespace, as WCF does; some clients look for the bare names.`,
    judge: (_, __, { text }) =>
      text.includes('<leerlinggegevens_antwoord') ? [] : [{ told: 'leerlinggegevens_antwoord has a prefix.' }],
  }),
  ofAnswer({
    id: 'las.roster.schema',
    rule: 'uwlr.answer',
    severity: 'must',
    must: 'It passes the schema of its version. Fields that only the whole schema has, and keys, are judged apart.',
    remedy: `${LAS} write the answer in the order and form of the schema, and leave out what is empty.`,
    judge: (_, { access }, { body }) => answerBreaks(body!, access.version),
  }),
  ofAnswer({
    id: 'las.roster.school',
    rule: 'uwlr.school',
    severity: 'must',
    must: 'brincode, dependancecode and schoolkey are those that were asked.',
    remedy: `${LAS} answer about the school and site that were asked, and no other.`,
    judge: (data, { access }) => schoolOf(data, access),
  }),
  ofAnswer({
    id: 'las.roster.year',
    rule: 'uwlr.school',
    severity: 'must',
    must: 'schooljaar is the one that was asked.',
    remedy: `${LAS} answer about the school year that was asked.`,
    judge: (data, { access }) =>
      child(child(data, 'school') ?? data, 'schooljaar')?.text.trim() === access.schooljaar
        ? []
        : [{ told: 'It is another, or missing.', where: 'leerlinggegevens/school/schooljaar' }],
  }),
  ofAnswer({
    id: 'las.roster.version',
    rule: 'uwlr.school',
    severity: 'should',
    must: 'xsdversie is the version that was asked; 2.2.1 is 2.2 on the wire.',
    remedy: `${LAS} say in xsdversie which version the answer is of.`,
    judge: (data, { access }) =>
      child(child(data, 'school') ?? data, 'xsdversie')?.text.trim() === access.version
        ? []
        : [{ told: 'It is another, or missing.', where: 'leerlinggegevens/school/xsdversie' }],
  }),
  ofAnswer({
    id: 'las.roster.made',
    rule: 'uwlr.profile',
    severity: 'should',
    must: 'aanmaakdatum is there: a client needs it for laatstontvangengegevens.',
    remedy: `${LAS} give aanmaakdatum.`,
    judge: (data) =>
      child(child(data, 'school') ?? data, 'aanmaakdatum')
        ? []
        : [{ told: 'It is missing.', where: 'leerlinggegevens/school/aanmaakdatum' }],
  }),
  ofAnswer({
    id: 'las.roster.keys',
    rule: 'uwlr.keys',
    severity: 'must',
    must: 'No key or ECK iD of a pupil, teacher, group or site stands twice.',
    remedy: `${LAS} give each person, group and site a key of its own, and never the same again.`,
    judge: (data) => [
      ...(['leerling', 'leerkracht'] as const).flatMap((name) =>
        [keyOf, eckOf].flatMap((read, i) =>
          twice(listOf(data, `${name}en`), read, `${name}en/${name}[]/@${i === 0 ? 'key' : 'eckid'}`),
        ),
      ),
      ...twice(listOf(data, 'groepen'), keyOf, 'groepen/*[]/@key'),
      ...twice(listOf(data, 'vestigingen'), keyOf, 'vestigingen/vestiging[]/@key'),
    ],
  }),
  ofAnswer({
    id: 'las.roster.references',
    rule: 'uwlr.keys',
    severity: 'must',
    must: 'Groups and sites that people refer to are in the answer.',
    remedy: `${LAS} send each group and site that a pupil or teacher refers to.`,
    judge: (data) => {
      const keys = (container: string, name: string) =>
        new Set(
          listOf(data, container)
            .filter((it) => it.name === name)
            .map(keyOf),
        );
      const base = keys('groepen', 'groep');
      const composite = keys('groepen', 'samengestelde_groep');
      const sites = keys('vestigingen', 'vestiging');
      return (['leerling', 'leerkracht'] as const).flatMap((name) =>
        listOf(data, `${name}en`).flatMap((it, i) => {
          const { groups, composites } = personOf(it);
          const site = child(it, 'vestiging');
          const dangling = (of: string) => ({
            told: 'It refers to nothing.',
            where: `${name}en/${name}[${i + 1}]/${of}`,
          });
          return [
            ...groups.filter((key) => !base.has(key)).map(() => dangling('groep')),
            ...composites.filter((key) => !composite.has(key)).map(() => dangling('samengestelde_groep')),
            // Sites are left out by both profiles, and a pupil's with them.
            ...(site && sites.size > 0 && !sites.has(keyOf(site)) ? [dangling('vestiging')] : []),
          ];
        }),
      );
    },
  }),
  ofAnswer({
    id: 'las.roster.identified',
    versions: ['2.3'],
    rule: 'uwlr.eckid',
    severity: 'must',
    must: 'Each pupil has an ECK iD, or else a key.',
    remedy: `${LAS} give each pupil's ECK iD, and the key of who has none.`,
    judge: (data) =>
      listOf(data, 'leerlingen').flatMap((it, i) =>
        keyOf(it) || eckOf(it) ? [] : [{ told: 'There is neither.', where: `leerlingen/leerling[${i + 1}]` }],
      ),
  }),
  ofAnswer({
    id: 'las.roster.numbers',
    rule: 'uwlr.numbers',
    severity: 'must',
    must: 'It holds no bsn, sofinummer, onderwijsnummer or rijksregisternummer.',
    remedy: `${LAS} never send a personal number over UWLR.`,
    judge: (data) => filledIn(data, NUMBERS),
  }),
  ofAnswer({
    id: 'las.roster.bsn4',
    versions: ['2.3'],
    rule: 'uwlr.bsn4',
    severity: 'should',
    must: 'It holds no bsn_ondwnr-4.',
    remedy: `${LAS} leave the last four digits out of answers of 2.3.`,
    judge: (data) => filledIn(data, ['bsn_ondwnr-4']),
  }),
  ofAnswer({
    id: 'las.roster.jaargroep',
    rule: 'edexml.jaargroep',
    severity: 'should',
    must: 'Each pupil has a jaargroep.',
    remedy: `${LAS} give each pupil's jaargroep; the school: fill it in.`,
    judge: (data) =>
      listOf(data, 'leerlingen').flatMap((it, i) =>
        child(it, 'jaargroep') ? [] : [{ told: 'It is missing.', where: `leerlingen/leerling[${i + 1}]/jaargroep` }],
      ),
  }),
];

function schoolOf(data: XmlElement, { brincode, dependancecode, schoolkey }: LasAccess): Found[] {
  const school = child(data, 'school');
  const text = (name: string) => (school && child(school, name)?.text.trim()) ?? '';
  const found: string[] = [];
  if (brincode !== '' && text('brincode') !== brincode) found.push('brincode');
  // 00 is the main site, and means none where there is no other.
  if (brincode !== '' && (text('dependancecode') || '00') !== (dependancecode || '00')) found.push('dependancecode');
  if (brincode === '' && text('schoolkey') !== schoolkey) found.push('schoolkey');
  return found.map((name) => ({ told: 'It is another, or missing.', where: `school/${name}` }));
}

// --- Sound questions in other forms -------------------------------------------------------------------------------------

const otherForms: readonly (Pick<LasCase, 'id' | 'rule' | 'severity' | 'sends' | 'remedy'> & {
  ask: (known: Known) => Omit<Ask, 'to' | 'operation'> | string;
})[] = [
  {
    id: 'las.reads.prefixes',
    rule: 'xml.names',
    severity: 'must',
    sends: 'The question with other prefixes, declared on the Envelope, and an attribute xsi:schemaLocation there',
    remedy: `${LAS} read by namespaces, not by prefixes.`,
    ask: () => ({
      spoilt: (text) =>
        text
          .replace(/<(\/?)s:/g, '<$1soapenv:')
          .replace(
            ` xmlns:s="${SOAP11}"`,
            ` xmlns:soapenv="${SOAP11}" xmlns:q="${NS.leerlinggegevens}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="${NS.leerlinggegevens} leerlinggegevens.xsd"`,
          )
          .replace(/<leerlinggegevens_verzoek [\s\S]*<\/leerlinggegevens_verzoek>/, (within) =>
            within.replace(` xmlns="${NS.leerlinggegevens}"`, '').replace(/<(\/?)(?=\w)/g, '<$1q:'),
          ),
    }),
  },
  {
    id: 'las.reads.headers',
    rule: 'soap.header',
    severity: 'must',
    sends: 'The question with a further header block, which need not be understood',
    remedy: `${LAS} pass over header blocks that it does not know.`,
    ask: () => ({
      spoilt: (text) => text.replace('<s:Header>', '<s:Header><spoor xmlns="urn:eduk:conform">1</spoor>'),
    }),
  },
  {
    id: 'las.reads.unqualified',
    rule: 'practice.clients',
    severity: 'should',
    sends: 'The question with the three values of autorisatie without a namespace',
    remedy: `${LAS} take them so too: clients in use send them so.`,
    ask: () => ({ header: 'unqualified' }),
  },
  {
    id: 'las.reads.action',
    rule: 'practice.clients',
    severity: 'should',
    sends: 'The question with SOAPAction without quotation marks',
    remedy: `${LAS} find the operation by the element in the body.`,
    ask: () => ({ action: actionOf('HaalLeerlinggegevens') }),
  },
  {
    id: 'las.reads.type',
    rule: 'practice.clients',
    severity: 'should',
    sends: 'The question as text/xml without charset',
    remedy: `${LAS} read the encoding from the document.`,
    ask: () => ({ contentType: 'text/xml' }),
  },
  {
    id: 'las.reads.year',
    rule: 'practice.clients',
    severity: 'should',
    sends: 'The question with an empty schooljaar, for the running year',
    remedy: `${LAS} take an empty schooljaar as the running one: clients in use send it so.`,
    ask: ({ access }) =>
      access.isRunning ? { fields: { schooljaar: {} } } : 'the school year that is asked is not the running one',
  },
];

const inOtherForms: readonly LasCase[] = otherForms.map((one) => ({
  ...one,
  versions: BOTH,
  part: 'roster',
  must: 'It is answered as the sound question was, with the same pupils.',
  ask: whole((_, known) => {
    const asked = one.ask(known);
    return typeof asked === 'string' ? asked : { ...ROSTER, ...asked };
  }),
  judge: (seen, known) => {
    const data = dataIn(seen, 'HaalLeerlinggegevens');
    if (!data) return instead(seen);
    return differs(
      idsIn(data, 'leerlingen'),
      known.whole!.pupils.map(({ id }) => id),
      'pupils',
    );
  },
}));

// --- Since when, which year, which set ----------------------------------------------------------------------------------

const LONG_AGO = '2000-01-01T00:00:00Z';

/** The Smalle set, by the fields that not every set has (and those that none has here). */
const notInSmalle = (version: Version): ReadonlySet<string> =>
  new Set([
    ...Object.entries(inSets)
      .filter(([, sets]) => !(sets[version] as readonly string[]).includes('smalle'))
      .map(([path]) => path),
    ...[
      'vestigingen',
      'toevoegingen',
      'fotourl',
      'etniciteit',
      'land',
      'land_vader',
      'land_moeder',
      'bsn_ondwnr-4',
    ].map((name) => `leerling/${name}`),
  ]);

const special: readonly LasCase[] = [
  {
    id: 'las.since.unchanged',
    versions: BOTH,
    part: 'roster',
    rule: 'uwlr.since',
    severity: 'should',
    sends: 'The question with laatstontvangengegevens: the aanmaakdatum of the answer just before',
    must: 'geenwijzigingen.',
    remedy: `${LAS} say geenwijzigingen when nothing changed since; whoever runs this check: run it while nobody changes anything.`,
    ask: whole(({ made }) =>
      made === '' ? 'the answer has no aanmaakdatum' : { ...ROSTER, fields: { laatstontvangengegevens: made } },
    ),
    judge: (seen) => (isEmpty(seen, 'HaalLeerlinggegevens', 'geenwijzigingen') ? [] : instead(seen)),
  },
  {
    id: 'las.since.long-ago',
    versions: BOTH,
    part: 'roster',
    rule: 'uwlr.since',
    severity: 'must',
    sends: `The question with laatstontvangengegevens ${LONG_AGO}`,
    must: 'Data.',
    remedy: `${LAS} give data when anything changed since that moment.`,
    ask: whole(() => ({ ...ROSTER, fields: { laatstontvangengegevens: LONG_AGO } })),
    judge: (seen) => (dataIn(seen, 'HaalLeerlinggegevens') ? [] : instead(seen)),
  },
  {
    id: 'las.year.other',
    versions: BOTH,
    part: 'roster',
    rule: 'uwlr.school',
    severity: 'must',
    sends: 'The question for schooljaar 1991-1992',
    must: 'No data of another year: geengegevens, or a fault.',
    remedy: `${LAS} say geengegevens for a year that it has nothing of.`,
    ask: () => ({ ...ROSTER, fields: { schooljaar: '1991-1992' } }),
    judge: (seen) => {
      const data = dataIn(seen, 'HaalLeerlinggegevens');
      if (!data) return isEmpty(seen, 'HaalLeerlinggegevens', 'geengegevens') || seen.fault ? [] : instead(seen);
      const year = child(child(data, 'school') ?? data, 'schooljaar')?.text.trim();
      return year === '1991-1992' ? [] : [{ told: 'There came data of another year.' }];
    },
  },
  {
    id: 'las.set.smalle',
    versions: BOTH,
    part: 'roster',
    rule: 'uwlr.profile',
    severity: 'should',
    sends: 'The question with gegevenssetid Smalle-set',
    must: 'No field that the Smalle set does not have.',
    remedy: `${LAS} answer with the set of fields that is asked for; what the set does not name stays at home.`,
    ask: whole(() => ({ ...ROSTER, fields: { gegevenssetid: 'Smalle-set' } })),
    judge: (seen, { access }) => {
      const data = dataIn(seen, 'HaalLeerlinggegevens');
      if (!data) return instead(seen);
      const out = notInSmalle(access.version);
      const found = new Map<string, number>();
      for (const name of ['leerling', 'leerkracht', 'groep', 'samengestelde_groep'])
        for (const container of ['leerlingen', 'leerkrachten', 'groepen'])
          for (const it of listOf(data, container).filter((one) => one.name === name))
            for (const { name: field } of it.children) {
              const path = `${name}/${field}`;
              if (out.has(path)) found.set(path, (found.get(path) ?? 0) + 1);
            }
      return [...found].map(([path, count]) => ({ told: `${path} is there, ${count} times.` }));
    },
  },
];

// --- What must be refused -----------------------------------------------------------------------------------------------

interface Refusal extends Pick<Case, 'id' | 'part' | 'rule' | 'sends' | 'remedy'> {
  /** What the fault may say. */
  codes: readonly string[];
  ask: LasCase['ask'];
}

const PLAIN = { ...ROSTER } satisfies Ask;
const CODE_OF_MESSAGE = ['Client.OngeldigBericht'];
const fields =
  (over: XmlObject): LasCase['ask'] =>
  () => ({ ...PLAIN, fields: over });
const spoilt =
  (how: (text: string) => string): LasCase['ask'] =>
  () => ({ ...PLAIN, spoilt: how });
const otherBrin = ({ access }: Known): string => (access.brincode === '99ZZ' ? '99ZY' : '99ZZ');

/** What a wrong key is; not a secret. */
const WRONG = 'eduk-conform-onjuist';

const refusedQuestions: readonly Refusal[] = [
  {
    id: 'las.auth.header',
    part: 'roster',
    rule: 'uwlr.header',
    sends: 'The question without a header',
    remedy: `${LAS} give nothing to who does not say who it is.`,
    codes: ['Client.AutorisatieOngeldig'],
    ask: () => ({ ...PLAIN, header: 'none' }),
  },
  {
    id: 'las.auth.empty',
    part: 'roster',
    rule: 'uwlr.header',
    sends: 'The question with an empty autorisatiesleutel',
    remedy: `${LAS} give nothing to who has no autorisatiesleutel.`,
    codes: ['Client.AutorisatieOngeldig'],
    ask: () => ({ ...PLAIN, header: { autorisatiesleutel: '' } }),
  },
  {
    id: 'las.auth.key',
    part: 'roster',
    rule: 'uwlr.authorisation',
    sends: 'The question with another autorisatiesleutel',
    remedy: `${LAS} give nothing by a key that the school did not hand out.`,
    codes: ['Client.AutorisatieOngeldig'],
    ask: () => ({ ...PLAIN, header: { autorisatiesleutel: WRONG } }),
  },
  {
    id: 'las.auth.klantcode',
    part: 'roster',
    rule: 'uwlr.authorisation',
    sends: 'The question with another klantcode',
    remedy: `${LAS} give nothing to a system that it does not know.`,
    codes: ['Client.OngeldigeKlantIdentificatie'],
    ask: () => ({ ...PLAIN, header: { klantcode: WRONG } }),
  },
  {
    id: 'las.auth.klantnaam',
    part: 'roster',
    rule: 'uwlr.authorisation',
    sends: 'The question with another klantnaam',
    remedy: `${LAS} give nothing where klantcode and klantnaam do not belong together.`,
    codes: ['Client.OngeldigeKlantIdentificatie'],
    ask: () => ({ ...PLAIN, header: { klantnaam: WRONG } }),
  },
  {
    id: 'las.auth.school',
    part: 'roster',
    rule: 'uwlr.authorisation',
    sends: 'The question for another school, by the key of this one',
    remedy: `${LAS} give by the key of a school data of that school alone.`,
    codes: ['Client.AutorisatieOngeldig', 'Client.OngeldigeKlantIdentificatie'],
    ask: (known) => ({
      ...PLAIN,
      fields: { brincode: otherBrin(known), dependancecode: undefined, schoolkey: undefined },
    }),
  },
  {
    id: 'las.version.unknown',
    part: 'roster',
    rule: 'uwlr.faults',
    sends: 'The question with xsdversie 9.9',
    remedy: `${LAS} refuse a version that it does not speak, so that nobody misreads the answer.`,
    codes: ['Client.XsdVersieOngeldig'],
    ask: fields({ xsdversie: '9.9' }),
  },
  {
    id: 'las.message.not-xml',
    part: 'roster',
    rule: 'soap.envelope',
    sends: 'Text that is no XML',
    remedy: `${LAS} answer with a fault, not with an error page.`,
    codes: CODE_OF_MESSAGE,
    ask: spoilt(() => 'Dit is geen XML.'),
  },
  {
    id: 'las.message.cut',
    part: 'roster',
    rule: 'soap.envelope',
    sends: 'The question without its last 40 characters',
    remedy: `${LAS} do nothing with half a message.`,
    codes: CODE_OF_MESSAGE,
    ask: spoilt((text) => text.slice(0, -40)),
  },
  {
    id: 'las.message.doctype',
    part: 'roster',
    rule: 'soap.envelope',
    sends: 'The question with a DOCTYPE that declares an entity',
    remedy: `${LAS} refuse a DOCTYPE: by it a reader is made to open files or to run out of memory.`,
    codes: CODE_OF_MESSAGE,
    ask: spoilt((text) => text.replace('?>', '?><!DOCTYPE Envelope [<!ENTITY conform "x">]>')),
  },
  {
    id: 'las.message.element',
    part: 'roster',
    rule: 'uwlr.services',
    sends: 'An element in the body that is of no operation',
    remedy: `${LAS} refuse what it does not know.`,
    codes: CODE_OF_MESSAGE,
    ask: spoilt((text) => text.replaceAll('leerlinggegevens_verzoek', 'leerlingfoto_verzoek')),
  },
  {
    id: 'las.message.school',
    part: 'roster',
    rule: 'uwlr.question',
    sends: 'The question without brincode and schoolkey',
    remedy: `${LAS} refuse a question about no school.`,
    codes: CODE_OF_MESSAGE,
    ask: fields({ brincode: undefined, dependancecode: undefined, schoolkey: undefined }),
  },
  {
    id: 'las.message.brincode',
    part: 'roster',
    rule: 'uwlr.question',
    sends: 'The question with a brincode that is none (9XX9)',
    remedy: `${LAS} refuse a brincode that breaks its form.`,
    codes: CODE_OF_MESSAGE,
    ask: fields({ brincode: '9XX9', dependancecode: undefined, schoolkey: undefined }),
  },
  {
    id: 'las.message.year',
    part: 'roster',
    rule: 'uwlr.question',
    sends: 'The question with schooljaar 26/27',
    remedy: `${LAS} refuse a schooljaar that breaks its form.`,
    codes: CODE_OF_MESSAGE,
    ask: fields({ schooljaar: '26/27' }),
  },
  {
    id: 'las.message.moment',
    part: 'roster',
    rule: 'uwlr.question',
    sends: 'The question with laatstontvangengegevens that is no moment (gisteren)',
    remedy: `${LAS} refuse a moment that breaks its form.`,
    codes: CODE_OF_MESSAGE,
    ask: fields({ laatstontvangengegevens: 'gisteren' }),
  },
  {
    id: 'las.message.groups',
    part: 'staged',
    rule: 'uwlr.groups',
    sends: 'HaalLeerlingen without groepen',
    remedy: `${LAS} refuse a question for nobody.`,
    codes: CODE_OF_MESSAGE,
    ask: () => ({ to: 'getrapt', operation: 'HaalLeerlingen' }),
  },
];

const withPupil = (run: (pupil: OnePupil, known: Known) => XmlObject, more: Partial<Ask> = {}): LasCase['ask'] =>
  whole(({ pupil }, known) => {
    if (!known.access.write) return 'results are delivered only with --write';
    if (!pupil) return 'there is no pupil to name';
    return { to: 'leerresultaten', operation: 'BrengLeerresultaten', fields: run(pupil, known), ...more };
  });

const refusedResults: readonly Refusal[] = [
  {
    id: 'las.results.auth',
    part: 'results',
    rule: 'uwlr.authorisation',
    sends: 'Results with another autorisatiesleutel',
    remedy: `${LAS} take nothing by a key that the school did not hand out.`,
    codes: ['Client.AutorisatieOngeldig'],
    ask: withPupil((pupil, { access }) => results(access, pupil, 'auth'), { header: { autorisatiesleutel: WRONG } }),
  },
  {
    id: 'las.results.version',
    part: 'results',
    rule: 'uwlr.faults',
    sends: 'Results with xsdversie 9.9',
    remedy: `${LAS} refuse a version that it does not speak.`,
    codes: ['Client.XsdVersieOngeldig'],
    ask: withPupil((pupil, { access }) => results(access, pupil, 'version', { school: { xsdversie: '9.9' } })),
  },
  {
    id: 'las.results.pupil',
    part: 'results',
    rule: 'uwlr.faults',
    sends: 'A result of a pupil that nobody knows',
    remedy: `${LAS} confirm only what it could put away; a result of an unknown pupil is not.`,
    codes: ['Client.LeerlingOngeldig'],
    ask: withPupil((_, { access }) =>
      results(access, { leerlingid: `eduk-conform-${access.run}`, eckid: '' }, 'pupil'),
    ),
  },
  {
    id: 'las.results.test',
    part: 'results',
    rule: 'uwlr.results.keys',
    sends: 'A result whose toetscode is not in toetsen',
    remedy: `${LAS} refuse a result of a test that the message does not describe.`,
    codes: CODE_OF_MESSAGE,
    ask: withPupil((pupil, { access }) => results(access, pupil, 'test', { test: 'EDUK-ANDERS' })),
  },
  {
    id: 'las.results.twice',
    part: 'results',
    rule: 'uwlr.results.keys',
    sends: 'A message with one key of a result twice',
    remedy: `${LAS} refuse it: which of the two was meant cannot be known.`,
    codes: CODE_OF_MESSAGE,
    ask: withPupil((pupil, { access }) => results(access, pupil, 'twice', { twice: true })),
  },
  {
    id: 'las.results.score',
    part: 'results',
    rule: 'uwlr.results',
    sends: 'A result with the score -1',
    remedy: `${LAS} refuse a score that is no whole number from 0 on.`,
    codes: ['Client.ScoreOngeldig', 'Client.OngeldigBericht'],
    ask: withPupil((pupil, { access }) => results(access, pupil, 'score', { result: { score: -1 } })),
  },
  {
    id: 'las.results.none',
    part: 'results',
    rule: 'uwlr.results',
    sends: 'A result with neither score nor osoresultaat',
    remedy: `${LAS} refuse a result without a value.`,
    codes: ['Client.OngeldigBericht', 'Client.ScoreOngeldig'],
    ask: withPupil((pupil, { access }) => results(access, pupil, 'none', { result: { score: undefined } })),
  },
];

/** Whether there came what may not be given: data, or a confirmation. With whatever status. */
const isGiven = (seen: Seen): boolean =>
  seen.body?.name === 'leerresultaten_bevestiging' ||
  (Object.keys(rosterOperations) as RosterOperation[]).some((operation) => dataIn(seen, operation) !== undefined);

/** Of each refusal two cases: that it is refused at all, and that the code says why. */
const refusals: readonly LasCase[] = [...refusedQuestions, ...refusedResults].flatMap(
  ({ codes, ...one }): LasCase[] => [
    {
      ...one,
      versions: BOTH,
      severity: 'must',
      must: one.part === 'results' ? 'No confirmation.' : 'No data.',
      judge: (seen) => (isGiven(seen) ? [{ told: `It was not refused: there came ${whatCame(seen)}.` }] : []),
    },
    {
      ...one,
      id: `${one.id}.code`,
      rule: 'uwlr.faults',
      versions: BOTH,
      severity: 'should',
      must: `A fault with ${codes.join(' or ')}.`,
      remedy: `${LAS} word the fault by the code of the agreement: who calls decides by it who must act.`,
      judge: (seen) => {
        if (isGiven(seen)) return 'it was not refused';
        if (!seen.fault) return instead(seen);
        return codes.includes(bare(seen.fault.faultcode)) ? [] : instead(seen);
      },
    },
  ],
);

const aFault: Pick<LasCase, 'versions' | 'part' | 'sends' | 'ask'> = {
  versions: BOTH,
  part: 'roster',
  sends: 'The question with another autorisatiesleutel, once more',
  ask: () => ({ ...PLAIN, header: { autorisatiesleutel: `${WRONG}-2` } }),
};

const ofFault = (judge: (fault: { faultcode: string; element: XmlElement }, seen: Seen) => Found[]) => (seen: Seen) =>
  seen.fault ? judge(seen.fault, seen) : 'no fault came';

const faultForm: readonly LasCase[] = [
  {
    ...aFault,
    id: 'las.fault.status',
    rule: 'soap.fault',
    severity: 'must',
    must: 'The fault comes with HTTP 500.',
    remedy: `${LAS} send faults with HTTP 500; toolkits look at it.`,
    judge: ofFault((_, { status }) => (status === 500 ? [] : [{ told: `It came with HTTP ${status}.` }])),
  },
  {
    ...aFault,
    id: 'las.fault.form',
    rule: 'soap.fault',
    severity: 'must',
    must: 'faultcode and a filled faultstring are there, without a namespace.',
    remedy: `${LAS} write faults as SOAP 1.1 has them.`,
    judge: ofFault(({ element }) =>
      ['faultcode', 'faultstring'].flatMap((name) => {
        const it = element.children.find((one) => one.name === name);
        if (!it || it.text.trim() === '') return [{ told: 'It is missing or empty.', where: `Fault/${name}` }];
        return it.ns === '' ? [] : [{ told: 'It has a namespace.', where: `Fault/${name}` }];
      }),
    ),
  },
  {
    ...aFault,
    id: 'las.fault.prefix',
    rule: 'uwlr.faults',
    severity: 'should',
    must: 'faultcode has no prefix.',
    remedy: `${LAS} write the codes of the agreement as they are.`,
    judge: ofFault(({ faultcode }) =>
      faultcode.includes(':') ? [{ told: 'It has a prefix.', where: 'Fault/faultcode' }] : [],
    ),
  },
  {
    ...aFault,
    id: 'las.fault.secret',
    rule: 'practice.clients',
    severity: 'should',
    must: 'The autorisatiesleutel that was sent is not repeated in it.',
    remedy: `${LAS} leave keys out of faults: they end up in logs.`,
    judge: ofFault((_, { text }) => (text.includes(`${WRONG}-2`) ? [{ told: 'It is repeated.' }] : [])),
  },
];

// --- The staged way -----------------------------------------------------------------------------------------------------

const STRUCTURE: Ask = { to: 'getrapt', operation: 'HaalStructuur' };

/** The group whose people are asked: one with pupils, and with teachers where there is such. */
function groupWith({ groups, pupils, teachers }: Whole): GroupOf | undefined {
  const used = (people: readonly Person[]) => [
    new Set(people.flatMap((it) => it.groups)),
    new Set(people.flatMap((it) => it.composites)),
  ];
  const [ofPupils, ofTeachers] = [used(pupils), used(teachers)];
  const filled = groups.filter(({ key, samengesteld }) => ofPupils[samengesteld ? 1 : 0]!.has(key));
  return filled.find(({ key, samengesteld }) => ofTeachers[samengesteld ? 1 : 0]!.has(key)) ?? filled[0];
}

const isIn =
  ({ key, samengesteld }: GroupOf) =>
  (it: Person): boolean =>
    (samengesteld ? it.composites : it.groups).includes(key);

const ofGroup = (operation: 'HaalLeerlingen' | 'HaalLeerkrachten'): LasCase['ask'] =>
  whole((all) => {
    const group = groupWith(all);
    return group
      ? { to: 'getrapt', operation, fields: { groepen: groepen([group]) } }
      : 'the school has no group with pupils';
  });

const stagedPeople = (
  operation: 'HaalLeerlingen' | 'HaalLeerkrachten',
  id: 'las.pupils' | 'las.teachers',
): readonly LasCase[] => {
  const [container, what] =
    id === 'las.pupils' ? (['leerlingen', 'pupils'] as const) : (['leerkrachten', 'teachers'] as const);
  const common = {
    versions: BOTH,
    part: 'staged',
    severity: 'must',
    sends: `${operation} for one group`,
    ask: ofGroup(operation),
  } as const;
  const peopleOf = (all: Whole) => all[what].filter(isIn(groupWith(all)!)).map((it) => it.id);
  return [
    {
      ...common,
      id: `${id}.answered`,
      rule: 'uwlr.services',
      must: `${antwoord(operation)} with data; geengegevens where nobody is in the group.`,
      remedy: `${LAS} answer ${operation}.`,
      judge: (seen, { whole: all }) => {
        if (dataIn(seen, operation)) return seen.status === 200 ? [] : instead(seen);
        return isEmpty(seen, operation, 'geengegevens') && peopleOf(all!).length === 0 ? [] : instead(seen);
      },
    },
    {
      ...common,
      id: `${id}.schema`,
      rule: 'uwlr.answer',
      must: 'It passes the schema of its version.',
      remedy: `${LAS} write the answer in the order and form of the schema.`,
      judge: (seen, { access }) =>
        dataIn(seen, operation) ? answerBreaks(seen.body!, access.version) : 'there are no data in the answer',
    },
    {
      ...common,
      id: `${id}.group`,
      rule: 'uwlr.groups',
      must: `The ${what} of that group, as HaalLeerlinggegevens has them, and no others.`,
      remedy: `${LAS} answer with the people of the groups that are asked.`,
      judge: (seen, { whole: all }) => {
        const data = dataIn(seen, operation);
        return data ? differs(idsIn(data, container), peopleOf(all!), what) : 'there are no data in the answer';
      },
    },
  ];
};

const staged: readonly LasCase[] = [
  {
    id: 'las.structure.answered',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.services',
    severity: 'must',
    sends: 'HaalStructuur, a sound question',
    must: 'structuur_antwoord with data.',
    remedy: `${LAS} answer HaalStructuur.`,
    ask: () => STRUCTURE,
    judge: (seen) => (dataIn(seen, 'HaalStructuur') && seen.status === 200 ? [] : instead(seen)),
  },
  {
    id: 'las.structure.schema',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.answer',
    severity: 'must',
    sends: 'HaalStructuur, a sound question',
    must: 'It passes the schema of its version.',
    remedy: `${LAS} write the answer in the order and form of the schema.`,
    ask: () => STRUCTURE,
    judge: (seen, { access }) =>
      dataIn(seen, 'HaalStructuur') ? answerBreaks(seen.body!, access.version) : 'there are no data in the answer',
  },
  {
    id: 'las.structure.school',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.school',
    severity: 'must',
    sends: 'HaalStructuur, a sound question',
    must: 'brincode, dependancecode and schoolkey are those that were asked.',
    remedy: `${LAS} answer about the school and site that were asked, and no other.`,
    ask: () => STRUCTURE,
    judge: (seen, { access }) => {
      const data = dataIn(seen, 'HaalStructuur');
      return data ? schoolOf(data, access) : 'there are no data in the answer';
    },
  },
  {
    id: 'las.structure.groups',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.groups',
    severity: 'must',
    sends: 'HaalStructuur, a sound question',
    must: 'The same groups as in HaalLeerlinggegevens.',
    remedy: `${LAS} give the same groups both ways.`,
    ask: whole(() => STRUCTURE),
    judge: (seen, { whole: all }) => {
      const data = dataIn(seen, 'HaalStructuur');
      if (!data) return 'there are no data in the answer';
      const of = (key: string, samengesteld: boolean) => `${samengesteld ? 's' : 'g'} ${key}`;
      return differs(
        listOf(data, 'groepen').map((it) => of(keyOf(it), it.name === 'samengestelde_groep')),
        all!.groups.map(({ key, samengesteld }) => of(key, samengesteld)),
        'groups',
      );
    },
  },
  ...stagedPeople('HaalLeerlingen', 'las.pupils'),
  ...stagedPeople('HaalLeerkrachten', 'las.teachers'),
  {
    id: 'las.pupils.none',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.groups',
    severity: 'should',
    sends: 'HaalLeerlingen for a groep without a key',
    must: 'Who is in no group at all, and nobody who is in a groep.',
    remedy: `${LAS} answer with the pupils who are in no group: else nobody learns of them.`,
    ask: whole(() => ({
      to: 'getrapt',
      operation: 'HaalLeerlingen',
      fields: { groepen: groepen([{ key: '', samengesteld: false }]) },
    })),
    judge: (seen, { whole: all }) => {
      const data = dataIn(seen, 'HaalLeerlingen');
      if (!data && !isEmpty(seen, 'HaalLeerlingen', 'geengegevens')) return instead(seen);
      const is = data ? idsIn(data, 'leerlingen') : [];
      const ids = (people: readonly Person[]) => people.map(({ id }) => id);
      const free = ids(all!.pupils.filter(({ groups, composites }) => groups.length + composites.length === 0));
      // Who is in a composite group alone may be meant or not: the text can be read both ways.
      const allowed = new Set(ids(all!.pupils.filter(({ groups }) => groups.length === 0)));
      const isFree = new Set(free);
      const missing = differs(
        is.filter((id) => isFree.has(id)),
        free,
        'pupils',
      );
      const extra = is.filter((id) => !allowed.has(id)).length;
      return [...missing, ...(extra > 0 ? [{ told: `${extra} pupils are there who are in a groep.` }] : [])];
    },
  },
  {
    id: 'las.pupils.unknown',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.groups',
    severity: 'must',
    sends: 'HaalLeerlingen for a group that nobody has',
    must: 'No pupils: geengegevens, or a fault.',
    remedy: `${LAS} answer nobody where the group is not known.`,
    ask: () => ({
      to: 'getrapt',
      operation: 'HaalLeerlingen',
      fields: { groepen: groepen([{ key: 'eduk-conform-geen-groep', samengesteld: false }]) },
    }),
    judge: (seen) => {
      const data = dataIn(seen, 'HaalLeerlingen');
      if (data) return [{ told: `There came ${listOf(data, 'leerlingen').length} pupils.` }];
      return isEmpty(seen, 'HaalLeerlingen', 'geengegevens') || seen.fault ? [] : instead(seen);
    },
  },
];

// --- Results ------------------------------------------------------------------------------------------------------------

const isConfirmed = ({ status, body }: Seen): boolean =>
  status === 200 && body?.name === 'leerresultaten_bevestiging' && body.ns === NS.leerresultaten;

const resultsIn: readonly LasCase[] = [
  {
    id: 'las.results.confirmed',
    versions: BOTH,
    part: 'results',
    rule: 'uwlr.confirmation',
    severity: 'must',
    sends: 'One result of a pupil whom the administration gave',
    must: 'leerresultaten_bevestiging, with HTTP 200.',
    remedy: `${LAS} take a sound result of a pupil of its own.`,
    ask: withPupil((pupil, { access }) => results(access, pupil, 'one')),
    judge: (seen) => (isConfirmed(seen) ? [] : instead(seen)),
  },
  {
    id: 'las.results.empty',
    versions: BOTH,
    part: 'results',
    rule: 'uwlr.confirmation',
    severity: 'must',
    sends: 'One result of a pupil whom the administration gave',
    must: 'The confirmation is empty.',
    remedy: `${LAS} confirm with an empty element.`,
    ask: withPupil((pupil, { access }) => results(access, pupil, 'one')),
    judge: (seen) => (isConfirmed(seen) ? confirmationBreaks(seen.body!) : 'it was not confirmed'),
  },
  {
    id: 'las.results.again',
    versions: BOTH,
    part: 'results',
    rule: 'practice.clients',
    severity: 'should',
    sends: 'The same message a second time',
    must: 'It is confirmed again, without a second effect.',
    remedy: `${LAS} know a result by its key: who got no confirmation must send it again.`,
    ask: withPupil((pupil, { access }) => results(access, pupil, 'one'), { again: true }),
    judge: (seen) => (isConfirmed(seen) ? [] : instead(seen)),
  },
  {
    id: 'las.results.full',
    versions: BOTH,
    part: 'results',
    rule: 'uwlr.results',
    severity: 'must',
    sends: 'A result of a part of a test, and an osoresultaat; the test with parts and norms',
    must: 'leerresultaten_bevestiging, with HTTP 200.',
    remedy: `${LAS} take all kinds of results that the schema has.`,
    ask: withPupil((pupil, { access }) => results(access, pupil, 'full', { full: true })),
    judge: (seen) => (isConfirmed(seen) ? [] : instead(seen)),
  },
];

/** Every case for an administration, in the order in which they are run. */
export const lasCases: readonly LasCase[] = [
  ...answer,
  ...description('leerlinggegevens', 'HaalLeerlinggegevens'),
  ...inOtherForms,
  ...special,
  ...refusals.filter(({ part }) => part === 'roster'),
  ...faultForm,
  ...staged,
  ...refusals.filter(({ part }) => part === 'staged'),
  ...description('leerresultaten', 'BrengLeerresultaten'),
  ...resultsIn,
  ...refusals.filter(({ part }) => part === 'results'),
];
