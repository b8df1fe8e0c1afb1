/**
 * The cases for an educational application (EA): what its calls must be. It is answered as an administration would, liberally, so
 * that it comes on; its calls are judged strictly. What one case looks at, no other does.
 */
import type { XmlElement } from '#adapters/xml';
import { child } from '#adapters/xml';
import { GatewayError, isSchoolYear } from '#kernel';
import { type Version, versions } from '../versions.ts';
import { type Autorisatie, NS, type Operation, refusePersonalNumbers, rosterOperations } from '../wire.ts';
import { actionOf } from './asks.ts';
import { BOTH, type Case, type Found, type Part } from './case.ts';
import { headerBreaks, questionBreaks, resultsBreaks } from './form.ts';

/** One call, as far as it could be read. */
export interface Call {
  method: string;
  contentType: string;
  /** As sent; undefined = there is no such header. */
  action: string | undefined;
  /** Which of the two addresses was called. */
  service: 'leerlinggegevens' | 'leerresultaten';
  root: XmlElement | undefined;
  /** The block autorisatie, by its name. */
  header: XmlElement | undefined;
  /** Where the body holds a request of the standard. */
  request: { operation: Operation; element: XmlElement; version: Version | undefined } | undefined;
}

/** What the application was given, and what it did before. */
export interface Past {
  given: Autorisatie & { brincode: string };
  /** Milliseconds since 1970. */
  now: number;
  /** Operations that were answered with data. */
  answered: Set<Operation>;
  groups: ReadonlySet<string>;
  /** Groups whose pupils were asked. */
  asked: Set<string>;
  /** Pupils that were given: key → ECK iD, empty where there is none. */
  pupils: ReadonlyMap<string, string>;
  /** What each key of a result stands for. */
  results: Map<string, string>;
}

export interface EaCase extends Case {
  /** Undefined: it is not about this call. */
  judge: (call: Call, past: Past) => Found[] | undefined;
  /** What is found at the end of it all; undefined: nothing to judge. */
  end?: (past: Past) => Found[] | undefined;
}

const EA = 'The application:';
const fine = (isFine: boolean, told: string, where?: string): Found[] => (isFine ? [] : [{ told, where }]);

const textIn = (element: XmlElement | undefined, name: string): string =>
  (element && child(element, name)?.text.trim()) ?? '';
const every = (element: XmlElement | undefined, container: string, name: string): XmlElement[] =>
  ((element && child(element, container)?.children) ?? []).filter((it) => it.name === name);

/** Where a request names school, year and version. */
const named = ({ request }: Call): XmlElement | undefined =>
  request?.operation === 'BrengLeerresultaten' ? child(request.element, 'school') : request?.element;
const place = ({ request }: Call, name: string): string =>
  `${request!.element.name}${request!.operation === 'BrengLeerresultaten' ? '/school' : ''}/${name}`;

const groupsIn = ({ request }: Call): string[] =>
  (child(request!.element, 'groepen')?.children ?? []).map((it) => (it.attrs['key'] ?? '').trim());

interface OneResult {
  element: XmlElement;
  path: string;
  leerlingid: string;
}
const resultsIn = ({ request }: Call): OneResult[] =>
  every(request!.element, 'toetsafnames', 'toetsafname').flatMap((afname, i) =>
    every(afname, 'resultaten', 'resultaat').map((element, j) => ({
      element,
      path: `toetsafname[${i + 1}]/resultaten/resultaat[${j + 1}]`,
      leerlingid: textIn(afname, 'leerlingid'),
    })),
  );

const isPost = ({ method }: Call): boolean => method === 'POST';
type Judge = EaCase['judge'];
const ofRequest =
  (part: Part | undefined, judge: (call: Call, past: Past) => Found[] | undefined): Judge =>
  (call, past) => {
    if (!call.request) return undefined;
    const { operation } = call.request;
    const is: Part =
      operation === 'BrengLeerresultaten' ? 'results' : operation === 'HaalLeerlinggegevens' ? 'roster' : 'staged';
    return part === undefined || part === is ? judge(call, past) : undefined;
  };
const ofResults = (judge: (call: Call, past: Past) => Found[] | undefined): Judge => ofRequest('results', judge);

/** Cases that have part and occasion in common; of both versions where they say nothing else. */
const casesOf = (
  common: Pick<EaCase, 'part' | 'sends'>,
  list: readonly (Omit<EaCase, 'part' | 'sends' | 'versions'> & { versions?: readonly Version[] })[],
): EaCase[] => list.map((one) => ({ versions: BOTH, ...one, ...common }));

const transport = casesOf({ part: 'calls', sends: 'Any call' }, [
  {
    id: 'ea.http.post',
    rule: 'soap.post',
    severity: 'must',
    must: 'It is a POST; descriptions are read with GET, at ?wsdl and ?xsd.',
    remedy: `${EA} send requests with POST.`,
    judge: (call) => fine(isPost(call), 'It is another method.'),
  },
  {
    id: 'ea.http.type',
    rule: 'soap.post',
    severity: 'must',
    must: 'Its content type is text/xml.',
    remedy: `${EA} send text/xml; application/soap+xml is SOAP 1.2.`,
    judge: (call) =>
      isPost(call) ? fine(/^text\/xml\s*(;|$)/i.test(call.contentType), 'It is another, or none.') : undefined,
  },
  {
    id: 'ea.soap.envelope',
    rule: 'soap.envelope',
    severity: 'must',
    must: 'It is XML, an Envelope of SOAP 1.1 with one element in its Body, without a DOCTYPE.',
    remedy: `${EA} send SOAP 1.1.`,
    judge: (call) => (isPost(call) ? fine(call.root !== undefined, 'It is not.') : undefined),
  },
  {
    id: 'ea.soap.operation',
    rule: 'uwlr.services',
    severity: 'must',
    must: 'The element in the Body is one of the five requests, in its namespace.',
    remedy: `${EA} call an operation of UWLR 2.2 or 2.3; 1.0 has other namespaces.`,
    judge: (call) => (call.root ? fine(call.request !== undefined, 'It is another element.') : undefined),
  },
  {
    id: 'ea.soap.address',
    rule: 'uwlr.services',
    severity: 'should',
    must: 'It comes to the address of its service: leerlinggegevens or leerresultaten.',
    remedy: `${EA} keep an address for each of the two services.`,
    judge: ofRequest(undefined, ({ request, service }) =>
      fine(
        (request!.operation === 'BrengLeerresultaten') === (service === 'leerresultaten'),
        'It came to the address of the other service.',
      ),
    ),
  },
  {
    id: 'ea.action.present',
    rule: 'soap.action',
    severity: 'must',
    must: 'The header SOAPAction is there.',
    remedy: `${EA} send SOAPAction; servers may dispatch on it.`,
    judge: (call) => (isPost(call) ? fine(call.action !== undefined, 'It is missing.') : undefined),
  },
  {
    id: 'ea.action.quoted',
    rule: 'soap.action',
    severity: 'should',
    must: 'SOAPAction stands between quotation marks.',
    remedy: `${EA} put quotation marks around it; strict servers refuse it without.`,
    judge: ({ action }) => (action === undefined ? undefined : fine(/^".*"$/.test(action), 'It does not.')),
  },
  {
    id: 'ea.action.value',
    rule: 'uwlr.services',
    severity: 'should',
    must: 'SOAPAction is that of the operation.',
    remedy: `${EA} send the SOAPAction that the description gives the operation.`,
    judge: ofRequest(undefined, ({ request, action }) =>
      action === undefined
        ? undefined
        : fine(action.replace(/^"(.*)"$/, '$1') === actionOf(request!.operation), 'It is another.'),
    ),
  },
]);

const VALUES = ['autorisatiesleutel', 'klantcode', 'klantnaam'] as const;
const isFilled = (header: XmlElement | undefined): boolean => VALUES.every((name) => textIn(header, name) !== '');

const header = casesOf({ part: 'calls', sends: 'Any request' }, [
  {
    id: 'ea.header.present',
    rule: 'uwlr.header',
    severity: 'must',
    must: 'The header autorisatie is there, with three filled values.',
    remedy: `${EA} send autorisatiesleutel, klantcode and klantnaam with each call.`,
    judge: ofRequest(undefined, ({ header: it }) => fine(isFilled(it), 'It is missing or incomplete.')),
  },
  {
    id: 'ea.header.namespace',
    rule: 'uwlr.header',
    severity: 'must',
    must: 'The block and its values are in the namespace of autorisatie.',
    remedy: `${EA} qualify the values too; a strict reader does not find them otherwise.`,
    judge: ofRequest(undefined, ({ header: it }) =>
      isFilled(it)
        ? [it!, ...it!.children]
            .filter(({ ns }) => ns !== NS.autorisatie)
            .map(() => ({ told: 'A name is in another namespace, or in none.', where: 'Header/autorisatie' }))
        : undefined,
    ),
  },
  {
    id: 'ea.header.form',
    rule: 'uwlr.header',
    severity: 'must',
    must: 'The values stand in their order, each of 1 to 64 characters.',
    remedy: `${EA} keep the order of the schema.`,
    judge: ofRequest(undefined, ({ header: it }) =>
      isFilled(it) ? headerBreaks({ ...it!, ns: NS.autorisatie, children: qualified(it!) }) : undefined,
    ),
  },
  {
    id: 'ea.header.values',
    rule: 'uwlr.authorisation',
    severity: 'must',
    must: 'The values are those that were handed out.',
    remedy: `${EA} send the values as they were handed out for this school.`,
    judge: ofRequest(undefined, ({ header: it }, { given }) =>
      isFilled(it)
        ? VALUES.filter((name) => textIn(it, name) !== given[name]).map((name) => ({
            told: 'It is another than was handed out.',
            where: `Header/autorisatie/${name}`,
          }))
        : undefined,
    ),
  },
]);

const qualified = ({ children }: XmlElement): XmlElement[] => children.map((it) => ({ ...it, ns: NS.autorisatie }));

const anyRequest = casesOf({ part: 'calls', sends: 'Any request' }, [
  {
    id: 'ea.numbers',
    rule: 'uwlr.numbers',
    severity: 'must',
    must: 'It holds no personal number, whole or in part, anywhere.',
    remedy: `${EA} never send a personal number over UWLR.`,
    judge: ofRequest(undefined, ({ root }) => {
      try {
        refusePersonalNumbers(root!);
        return [];
      } catch (thrown) {
        if (!(thrown instanceof GatewayError) || thrown.fault !== 'wire.pgn') throw thrown;
        return thrown.where.map(({ path }) => ({ told: 'There is one.', where: path }));
      }
    }),
  },
  {
    id: 'ea.version',
    rule: 'uwlr.question',
    severity: 'must',
    must: 'xsdversie is 2.2 or 2.3; 2.2.1 is 2.2 on the wire.',
    remedy: `${EA} say which version it speaks.`,
    judge: ofRequest(undefined, (call) =>
      fine(
        Object.hasOwn(versions, textIn(named(call), 'xsdversie')),
        'It is another, or missing.',
        place(call, 'xsdversie'),
      ),
    ),
  },
  {
    id: 'ea.year',
    rule: 'uwlr.question',
    severity: 'must',
    must: 'schooljaar is two years that follow each other, such as 2026-2027.',
    remedy: `${EA} write the school year out; not every administration takes an empty one for the running year.`,
    judge: ofRequest(undefined, (call) =>
      fine(isSchoolYear(textIn(named(call), 'schooljaar')), 'It is not.', place(call, 'schooljaar')),
    ),
  },
  {
    id: 'ea.school.choice',
    rule: 'uwlr.question',
    severity: 'must',
    must: 'The school is named by brincode or by schoolkey, not by both and not by none.',
    remedy: `${EA} name the school in one way.`,
    judge: ofRequest(undefined, (call) => {
      const it = named(call);
      const both = ['brincode', 'schoolkey'].filter((name) => textIn(it, name) !== '').length;
      return fine(both === 1, both === 0 ? 'Neither is there.' : 'Both are there.', place(call, 'brincode'));
    }),
  },
  {
    id: 'ea.school.own',
    rule: 'uwlr.authorisation',
    severity: 'must',
    must: 'The school is the one that the autorisatiesleutel is of.',
    remedy: `${EA} keep the key of each school with that school.`,
    judge: ofRequest(undefined, (call, { given }) => {
      const brincode = textIn(named(call), 'brincode');
      return brincode === ''
        ? undefined
        : fine(brincode === given.brincode, 'It is another school.', place(call, 'brincode'));
    }),
  },
  {
    id: 'ea.question.form',
    rule: 'uwlr.question',
    severity: 'must',
    must: 'A question for a roster passes the schema, but for what other cases judge.',
    remedy: `${EA} write the question in the order and form of the schema, and leave out what is empty.`,
    judge: (call) =>
      call.request && call.request.operation !== 'BrengLeerresultaten'
        ? questionBreaks(call.request.element)
        : undefined,
  },
]);

/** Clocks differ. */
const LEEWAY_MS = 5 * 60_000;

const roster: readonly EaCase[] = [
  {
    id: 'ea.since.named',
    versions: BOTH,
    part: 'roster',
    rule: 'uwlr.since',
    severity: 'should',
    sends: 'HaalLeerlinggegevens by who had data before',
    must: 'It names laatstontvangengegevens.',
    remedy: `${EA} name the moment of what it received last, so that nothing is sent that did not change.`,
    judge: ofRequest('roster', (call, { answered }) =>
      answered.has('HaalLeerlinggegevens')
        ? fine(
            textIn(call.request!.element, 'laatstontvangengegevens') !== '',
            'It is missing.',
            'leerlinggegevens_verzoek/laatstontvangengegevens',
          )
        : undefined,
    ),
  },
  {
    id: 'ea.since.received',
    versions: BOTH,
    part: 'roster',
    rule: 'uwlr.since',
    severity: 'must',
    sends: 'A question with laatstontvangengegevens',
    must: 'It is not in the future: changes until then would never be told.',
    remedy: `${EA} name aanmaakdatum of the answer that it received last.`,
    judge: ofRequest('roster', (call, { now }) => {
      const at = Date.parse(textIn(call.request!.element, 'laatstontvangengegevens'));
      return Number.isNaN(at)
        ? undefined
        : fine(at <= now + LEEWAY_MS, 'It is in the future.', 'leerlinggegevens_verzoek/laatstontvangengegevens');
    }),
  },
  {
    id: 'ea.staged.first',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.groups',
    severity: 'should',
    sends: 'HaalLeerlingen or HaalLeerkrachten',
    must: 'HaalStructuur was called before.',
    remedy: `${EA} ask for the structure first: it says which groups there are.`,
    judge: ofRequest('staged', ({ request }, { answered }) =>
      request!.operation === 'HaalStructuur'
        ? undefined
        : fine(answered.has('HaalStructuur') || answered.has('HaalLeerlinggegevens'), 'It was not.'),
    ),
  },
  {
    id: 'ea.staged.groups',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.groups',
    severity: 'must',
    sends: 'HaalLeerlingen or HaalLeerkrachten',
    must: 'Groups are named by the keys that they have in the structure.',
    remedy: `${EA} use the keys of the administration as they are.`,
    judge: ofRequest('staged', (call, { groups }) =>
      call.request!.operation === 'HaalStructuur'
        ? undefined
        : groupsIn(call)
            .filter((key) => key !== '' && !groups.has(key))
            .map(() => ({
              told: 'A group is named that does not exist.',
              where: `${call.request!.element.name}/groepen`,
            })),
    ),
  },
  {
    id: 'ea.staged.all',
    versions: BOTH,
    part: 'staged',
    rule: 'uwlr.groups',
    severity: 'should',
    sends: 'HaalLeerlingen, all calls together',
    must: 'The pupils of each group were asked, and those in no group.',
    remedy: `${EA} ask for a groep without a key too, or pupils without a group are never had.`,
    judge: () => undefined,
    end: ({ asked, groups }) => {
      if (asked.size === 0) return undefined;
      const missing = [...groups].filter((key) => !asked.has(key)).length;
      return [
        ...fine(missing === 0, `${missing} of ${groups.size} groups were not asked.`),
        ...fine(asked.has(''), 'Pupils in no group were not asked.'),
      ];
    },
  },
];

const results = casesOf({ part: 'results', sends: 'BrengLeerresultaten' }, [
  {
    id: 'ea.results.form',
    rule: 'uwlr.results',
    severity: 'must',
    must: 'It passes the schema, but for what other cases judge.',
    remedy: `${EA} write the message in the order and form of the schema.`,
    judge: ofResults(({ request }) => resultsBreaks(request!.element)),
  },
  {
    id: 'ea.results.made',
    rule: 'uwlr.results',
    severity: 'must',
    must: 'school/aanmaakdatum is there, a moment.',
    remedy: `${EA} say when the message was made.`,
    judge: ofResults((call) =>
      fine(
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(textIn(named(call), 'aanmaakdatum')),
        'It is missing, or no moment.',
        place(call, 'aanmaakdatum'),
      ),
    ),
  },
  {
    id: 'ea.results.pupil',
    rule: 'uwlr.results',
    severity: 'must',
    must: 'leerlingid is the key of a pupil in the administration, as it was given.',
    remedy: `${EA} name pupils by the key that the administration gave.`,
    judge: ofResults(({ request }, { pupils }) =>
      every(request!.element, 'toetsafnames', 'toetsafname').flatMap((it, i) => {
        const leerlingid = textIn(it, 'leerlingid');
        return fine(
          pupils.has(leerlingid),
          leerlingid === '' ? 'It is missing.' : 'No pupil has this key.',
          `toetsafname[${i + 1}]/leerlingid`,
        );
      }),
    ),
  },
  {
    id: 'ea.results.eckid',
    versions: ['2.3'],
    rule: 'uwlr.eckid',
    severity: 'should',
    must: 'eckid is there where the pupil has one.',
    remedy: `${EA} name pupils by ECK iD too.`,
    judge: ofResults(({ request }, { pupils }) =>
      request!.version === '2.3'
        ? every(request!.element, 'toetsafnames', 'toetsafname').flatMap((it, i) =>
            fine(
              !pupils.get(textIn(it, 'leerlingid')) || textIn(it, 'eckid') !== '',
              'It is missing.',
              `toetsafname[${i + 1}]/eckid`,
            ),
          )
        : undefined,
    ),
  },
  {
    id: 'ea.results.same',
    rule: 'uwlr.eckid',
    severity: 'must',
    must: 'leerlingid and eckid, where both are there, are of one pupil.',
    remedy: `${EA} keep the two numbers of a pupil together.`,
    judge: ofResults(({ request }, { pupils }) => {
      const both = every(request!.element, 'toetsafnames', 'toetsafname').flatMap((it, i) => {
        const known = pupils.get(textIn(it, 'leerlingid'));
        const eckid = textIn(it, 'eckid');
        return known && eckid ? [{ isSame: known === eckid, i }] : [];
      });
      return both.length === 0
        ? undefined
        : both.flatMap(({ isSame, i }) => fine(isSame, 'It is of another pupil.', `toetsafname[${i + 1}]/eckid`));
    }),
  },
  {
    id: 'ea.results.keys',
    rule: 'uwlr.results.keys',
    severity: 'must',
    must: 'No key of a result stands twice in a message.',
    remedy: `${EA} give each result a key of its own.`,
    judge: ofResults((call) => {
      const seen = new Set<string>();
      return resultsIn(call).flatMap(({ element, path }) => {
        const key = (element.attrs['key'] ?? '').trim();
        if (key === '' || !seen.has(key)) {
          seen.add(key);
          return [];
        }
        return [{ told: 'It stands twice.', where: `${path}/@key` }];
      });
    }),
  },
  {
    id: 'ea.results.tests',
    rule: 'uwlr.results.keys',
    severity: 'must',
    must: 'Each toetscode of a result is in toetsen, and none stands there twice.',
    remedy: `${EA} describe each test of the message once.`,
    judge: ofResults((call) => {
      const codes = every(call.request!.element, 'toetsen', 'toets').map((it) => textIn(it, 'toetscode'));
      return [
        ...fine(new Set(codes).size === codes.length, 'A test is described twice.', 'toetsen/toets/toetscode'),
        ...resultsIn(call).flatMap(({ element, path }) =>
          fine(codes.includes(textIn(element, 'toetscode')), 'The test is not described.', `${path}/toetscode`),
        ),
      ];
    }),
  },
  {
    id: 'ea.results.parts',
    rule: 'uwlr.results',
    severity: 'should',
    must: 'Each toetsonderdeelcode of a result is a part of its test.',
    remedy: `${EA} describe the parts that results are of.`,
    judge: ofResults((call) => {
      const tests = every(call.request!.element, 'toetsen', 'toets');
      return resultsIn(call).flatMap(({ element, path }) => {
        const part = textIn(element, 'toetsonderdeelcode');
        const test = tests.find((it) => textIn(it, 'toetscode') === textIn(element, 'toetscode'));
        if (part === '' || !test) return [];
        const parts = every(test, 'toetsonderdelen', 'toetsonderdeel').map((it) => textIn(it, 'toetsonderdeelcode'));
        return fine(parts.includes(part), 'The test has no such part.', `${path}/toetsonderdeelcode`);
      });
    }),
  },
  {
    id: 'ea.results.score',
    rule: 'uwlr.results',
    severity: 'must',
    must: 'A score is a whole number from 0 on.',
    remedy: `${EA} send whole numbers; a word or a mark with decimals belongs in anderresultaat or the norms.`,
    judge: ofResults((call) =>
      resultsIn(call).flatMap(({ element, path }) => {
        const score = child(element, 'score');
        return score ? fine(/^\s*\+?\d+\s*$/.test(score.text), 'It is not.', `${path}/score`) : [];
      }),
    ),
  },
  {
    id: 'ea.results.repeat',
    rule: 'practice.clients',
    severity: 'should',
    must: 'A key that came before stands for the same pupil and test as then.',
    remedy: `${EA} never use the key of a result for another one: receivers know a repeat by it.`,
    judge: ofResults((call, past) =>
      resultsIn(call).flatMap(({ element, path, leerlingid }) => {
        const before = past.results.get((element.attrs['key'] ?? '').trim());
        return before === undefined
          ? []
          : fine(before === standsFor(element, leerlingid), 'It stands for another.', path);
      }),
    ),
  },
]);

const standsFor = (element: XmlElement, leerlingid: string): string =>
  [leerlingid, textIn(element, 'toetscode'), textIn(element, 'toetsonderdeelcode')].join('\n');

/** Keys that are remembered of one run. */
const MOST_KEYS = 10_000;

/** Remembers what a call did, after it was judged. */
export function remember(call: Call, past: Past): void {
  if (!call.request) return;
  const { operation } = call.request;
  if (operation === 'HaalLeerlingen')
    for (const key of groupsIn(call)) if (key === '' || past.groups.has(key)) past.asked.add(key);
  if (operation === 'BrengLeerresultaten')
    for (const { element, leerlingid } of resultsIn(call)) {
      const key = (element.attrs['key'] ?? '').trim();
      if (!past.results.has(key) && past.results.size < MOST_KEYS)
        past.results.set(key, standsFor(element, leerlingid));
    }
}

/** The request in a body, and the version it names. */
export function requestIn(element: XmlElement): Call['request'] {
  const { name, ns } = element;
  const operation: Operation | undefined =
    ns === NS.leerresultaten && name === 'leerresultaten_verzoek'
      ? 'BrengLeerresultaten'
      : ns === NS.leerlinggegevens
        ? (Object.keys(rosterOperations) as (keyof typeof rosterOperations)[]).find(
            (one) => rosterOperations[one].verzoek === name,
          )
        : undefined;
  if (!operation) return undefined;
  const version = textIn(operation === 'BrengLeerresultaten' ? child(element, 'school') : element, 'xsdversie');
  return { operation, element, version: Object.hasOwn(versions, version) ? (version as Version) : undefined };
}

/** Every case for an educational application. */
export const eaCases: readonly EaCase[] = [...transport, ...header, ...anyRequest, ...roster, ...results];
