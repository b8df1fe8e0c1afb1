/** How the form of a message is judged: by our schemas, as far as the published ones go, with what other cases look at made sound. */
import { compileSchema, type Schema, validateElement, type XmlElement } from '#adapters/xml';
import { GatewayError } from '#kernel';
import type { Version } from '../versions.ts';
import { NS } from '../wire.ts';
import { schemaText } from '../wsdl.ts';
import type { Found } from './case.ts';

/** The published keys and references select nothing in rosters; in results they do. Both have cases of their own. */
const withoutKeys = (text: string): string => text.replace(/<xs:(key|unique|keyref)\b[^>]*>[\s\S]*?<\/xs:\1>/g, '');

const schemas: Readonly<Record<'rooster' | 'rooster-2.3' | 'resultaten' | 'kop', Schema>> = {
  rooster: compileSchema({ 'a.xsd': withoutKeys(schemaText('leerlinggegevens')) }, 'a.xsd'),
  'rooster-2.3': compileSchema({ 'a.xsd': withoutKeys(schemaText('leerlinggegevens-2.3')) }, 'a.xsd'),
  resultaten: compileSchema(
    { 'a.xsd': withoutKeys(schemaText('leerresultaten')), 'oso.xsd': schemaText('oso') },
    'a.xsd',
  ),
  kop: compileSchema({ 'a.xsd': schemaText('autorisatie') }, 'a.xsd'),
};

/** What the published schemas have a place for and ours, on purpose, have not: it breaks no form. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'bsn',
  'sofinummer',
  'onderwijsnummer',
  'rijksregisternummer',
  'bsn_ondwnr-4',
  'fotourl',
  'etniciteit',
  'land',
  'land_vader',
  'land_moeder',
  'gewicht',
  'gewicht_nieuw',
  'postcodenl',
  'postnummerbe',
  'postcodeoverig',
  'toevoegingen',
]);

/** Places that a report names of one finding. */
export const PLACES = 5;

function breaks(element: XmlElement, schema: Schema): Found[] {
  try {
    validateElement(element, schema);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof GatewayError) || thrown.fault !== 'wire.invalid') throw thrown;
    // What is told is the place and a kind of ours; a name that the schema does not have shows as `*`.
    const kind = /: ([^:]*?)\.(?: Places in all: \d+\.)?$/.exec(thrown.told)?.[1] ?? 'it breaks the schema';
    return thrown.where.map(({ path }) => ({ told: `Against the schema: ${kind}.`, where: path }));
  }
}

const without = (element: XmlElement): XmlElement => ({
  ...element,
  children: element.children.filter(({ name }) => !ELSEWHERE.has(name)).map(without),
});

/** What breaks the form of an answer with a roster, or part of one. */
export const answerBreaks = (body: XmlElement, version: Version): Found[] =>
  breaks(without(body), version === '2.3' ? schemas['rooster-2.3'] : schemas.rooster);

/** What breaks the form of a confirmation. */
export const confirmationBreaks = (body: XmlElement): Found[] => breaks(body, schemas.resultaten);

/** What breaks the form of the header, but for namespaces left out. */
export const headerBreaks = (block: XmlElement): Found[] =>
  breaks({ ...block, children: block.children.map((it) => ({ ...it, ns: it.ns || block.ns })) }, schemas.kop);

const text = (name: string, ns: string, value: string): XmlElement => ({
  name,
  ns,
  attrs: {},
  text: value,
  children: [],
  line: 0,
});

/** With the child of a name replaced, or put behind the last of those that may stand before it. */
function placed(element: XmlElement, child: XmlElement, after: readonly string[]): void {
  const at = element.children.findIndex(({ name }) => name === child.name);
  if (at >= 0) element.children[at] = child;
  else element.children.splice(element.children.findLastIndex(({ name }) => after.includes(name)) + 1, 0, child);
}

const NAMED = ['schooljaar', 'brincode', 'dependancecode', 'schoolkey'];

/** Year, school and version have cases of their own. */
function soundSchool(element: XmlElement, isResults: boolean): void {
  const { ns } = element;
  const has = (name: string) => element.children.some((it) => it.name === name);
  placed(element, text('schooljaar', ns, '2026-2027'), []);
  if (has('brincode')) element.children = element.children.filter(({ name }) => name !== 'schoolkey');
  else if (!has('schoolkey')) placed(element, text('brincode', ns, '99XX'), ['schooljaar']);
  if (isResults) placed(element, text('aanmaakdatum', ns, '2026-11-20T08:00:00Z'), NAMED);
  placed(element, text('xsdversie', ns, '2.2'), isResults ? [...NAMED, 'aanmaakdatum', 'auteur'] : NAMED);
}

/** What breaks the form of a question for a roster, but for what other cases judge. */
export function questionBreaks(body: XmlElement): Found[] {
  const it = structuredClone(body);
  soundSchool(it, false);
  return breaks(without(it), schemas.rooster);
}

/** The same of a message with results. */
export function resultsBreaks(body: XmlElement): Found[] {
  const it = structuredClone(body);
  const school = it.children.find(({ name }) => name === 'school');
  if (school) soundSchool(school, true);
  for (const { children } of it.children.filter(({ name }) => name === 'toetsafnames'))
    for (const afname of children) {
      placed(afname, text('leerlingid', afname.ns, 'x'), []);
      // A kind of the sender's own needs a schema of the sender's own.
      for (const resultaten of afname.children.filter(({ name }) => name === 'resultaten'))
        for (const resultaat of resultaten.children)
          resultaat.children = resultaat.children.map((one) =>
            one.name === 'score' || one.name === 'anderresultaat' ? text('score', NS.leerresultaten, '1') : one,
          );
    }
  return breaks(without(it), schemas.resultaten);
}
