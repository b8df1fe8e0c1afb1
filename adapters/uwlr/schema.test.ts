/** Our schemas against the published ones, wherever those are present. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import {
  XmlBufferInputProvider,
  XmlDocument,
  XmlValidateError,
  XsdValidator,
  xmlCleanupInputProvider,
  xmlRegisterInputProvider,
} from 'libxml2-wasm';
import { afterAll, describe, expect, test } from 'vitest';
import { elementToXml, readEnvelope, withPaths, type XmlElement } from '#adapters/xml';
import { Clear } from '#kernel';
import { differences } from './differences.ts';
import uwlr, { readRequest, rosterAnswer, writeAnswer } from './index.ts';
import { roster } from './testing.ts';
import { schemaText } from './wsdl.ts';

const published = fileURLToPath(new URL('../../../shared/standards/uwlr/v2.2/', import.meta.url));
const present = existsSync(`${published}Schemas/UWLR_Leerlinggegevens_v2p2.xsd`);
if (!present)
  console.warn(`SKIPPED: the published UWLR 2.2 schemas are not at ${published}; ours are not compared with them.`);

const validators: XsdValidator[] = [];
afterAll(() => {
  for (const it of validators) it.dispose();
});

function compiled(files: Record<string, string>, main: string): XsdValidator {
  xmlRegisterInputProvider(
    new XmlBufferInputProvider(Object.fromEntries(Object.entries(files).map(([n, t]) => [n, Buffer.from(t)]))),
  );
  try {
    using doc = XmlDocument.fromBuffer(Buffer.from(files[main]!), { url: main });
    const it = XsdValidator.fromDoc(doc);
    validators.push(it);
    return it;
  } finally {
    xmlCleanupInputProvider();
  }
}

const reconstructed = fileURLToPath(new URL('../../../shared/standards/uwlr/v2.3-reconstructed/', import.meta.url));
const present23 = existsSync(`${reconstructed}UWLR_Leerlinggegevens.xsd`);
if (!present23)
  console.warn(
    `SKIPPED: the reconstructed UWLR 2.3 schemas are not at ${reconstructed}; ours are not compared with them.`,
  );

/** What a validator says of a document: nothing, or every complaint. */
function complaints(validator: XsdValidator, xml: string): string[] {
  using doc = XmlDocument.fromString(xml);
  try {
    validator.validate(doc);
    return [];
  } catch (error) {
    if (!(error instanceof XmlValidateError)) throw error;
    return error.details.map((d) => d.message);
  }
}

const ourFiles = (): Record<string, string> =>
  Object.fromEntries(
    ['leerlinggegevens', 'leerlinggegevens-2.3', 'leerresultaten', 'autorisatie', 'oso'].map((n) => [
      `${n}.xsd`,
      schemaText(n),
    ]),
  );
type Three = Record<'leerlinggegevens' | 'leerresultaten' | 'autorisatie', XsdValidator>;
const ours = (files: Record<string, string> = ourFiles()): Three => ({
  leerlinggegevens: compiled(files, 'leerlinggegevens.xsd'),
  leerresultaten: compiled(files, 'leerresultaten.xsd'),
  autorisatie: compiled(files, 'autorisatie.xsd'),
});
function theirs(): Three {
  const folder = `${published}Schemas/`;
  const files = Object.fromEntries(
    readdirSync(folder)
      .filter((n) => n.endsWith('.xsd'))
      .map((n) => [n, readFileSync(folder + n, 'utf8')]),
  );
  return {
    leerlinggegevens: compiled(files, 'UWLR_Leerlinggegevens_v2p2.xsd'),
    leerresultaten: compiled(files, 'UWLR_Leerresultaten_v2p2.xsd'),
    autorisatie: compiled(files, 'UWLR_Autorisatie_v2p2.xsd'),
  };
}

// --- Samples: the parts of envelopes, each with the schema it belongs to ------------------------------------------------

interface Sample {
  name: string;
  schema: keyof Three;
  root: XmlElement;
}

function samplesOf(file: string, bytes: Uint8Array): Sample[] {
  const { header, body } = readEnvelope(bytes);
  return [...header, body].flatMap((root) => {
    const schema = (['leerlinggegevens', 'leerresultaten', 'autorisatie'] as const).find((n) =>
      root.ns.endsWith(`/2/${n}`),
    );
    return schema ? [{ name: basename(file), schema, root }] : [];
  });
}
function samples(): Sample[] {
  const folders = [fileURLToPath(new URL('./examples/', import.meta.url)), `${published}examples/`];
  const found = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((n) => n.endsWith('.xml'))
      .sort()
      .flatMap((n) => samplesOf(n, readFileSync(folder + n))),
  );
  const every = everyField();
  const bare = structuredClone(every);
  const whole = bare.children[0]!;
  // The least an answer may hold.
  whole.children = whole.children.filter((it) => it.name === 'school' || it.name === 'leerlingen');
  whole.children[0]!.children.length = 1;
  whole.children[1]!.children = whole.children[1]!.children.slice(1);
  return [
    ...found,
    { name: 'every field', schema: 'leerlinggegevens', root: every },
    { name: 'bare', schema: 'leerlinggegevens', root: bare },
    {
      name: 'structure',
      schema: 'leerlinggegevens',
      root: partOf(every, 'structuur', 'structuur', ['vestigingen', 'groepen']),
    },
    { name: 'pupils', schema: 'leerlinggegevens', root: partOf(every, 'leerlingen', 'leerlingen', ['leerlingen']) },
    {
      name: 'teachers',
      schema: 'leerlinggegevens',
      root: partOf(every, 'leerkrachten', 'leerkrachten', ['leerkrachten']),
    },
  ];
}

/** A whole answer as one of the staged way. */
function partOf(whole: XmlElement, answer: string, data: string, parts: readonly string[]): XmlElement {
  const root = structuredClone(whole);
  root.name = `${answer}_antwoord`;
  const [within] = root.children;
  within!.name = `leerlinggegevens-${data}`;
  within!.children = within!.children.filter(({ name }) => name === 'school' || parts.includes(name));
  return root;
}

/** Elements of a pupil and so on that no example has, so that every rule is met. */
function everyField(): XmlElement {
  const ns = 'http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens';
  const el = (name: string, text: string | XmlElement[], attrs: Record<string, string> = {}): XmlElement => ({
    name,
    ns,
    attrs,
    line: 1,
    text: typeof text === 'string' ? text : '',
    children: typeof text === 'string' ? [] : text,
  });
  const at = '2024-09-30T08:00:00Z';
  const names = [
    el('achternaam', 'Oever'),
    el('voorvoegsel', "in 't"),
    el('voornamen', 'Pia'),
    el('voorletters-1', 'P.'),
    el('roepnaam', 'Pia'),
  ];
  return el('leerlinggegevens_antwoord', [
    el('leerlinggegevens', [
      el('school', [
        el('schooljaar', '2024-2025'),
        el('peildatum', '2024-09-30'),
        el('instellingsnummer', '4321'),
        el('schoolkey', 'k'),
        el('aanmaakdatum', at),
        el('auteur', 'a'),
        el('xsdversie', '2.2'),
        el('commentaar', 'c'),
      ]),
      el('vestigingen', [
        el('vestiging', [el('naam', 'Oost'), el('omschrijving', 'o'), el('mutatiedatum', at)], { key: 'v1' }),
      ]),
      el('groepen', [
        el('samengestelde_groep', [el('naam', 'plus'), el('omschrijving', 'o'), el('mutatiedatum', at)], { key: 's1' }),
        el('groep', [el('naam', '7'), el('jaargroep', '7'), el('omschrijving', 'o'), el('mutatiedatum', at)], {
          key: 'g1',
        }),
      ]),
      el('leerlingen', [
        el(
          'leerling',
          [
            ...names,
            el('geboortedatum', '2014-01-02'),
            el('geslacht', '2'),
            el('start_ondw_jgr3', '2020-08-01'),
            el('jaargroep', '7'),
            el('groep', [], { key: 'g1' }),
            el('samengestelde_groepen', [el('samengestelde_groep', [], { key: 's1' })]),
            el('vestiging', [], { key: 'v1' }),
            el('gebruikersnaam', 'pia'),
            el('emailadres', 'p@oever.example'),
            el('instroomdatum', '2020-08-01'),
            el('uitstroomdatum', '2025-07-31'),
            el('mutatiedatum', at),
          ],
          { key: 'l1', eckid: 'https://ketenid.nl/pilot/1' },
        ),
        el('leerling', [el('roepnaam', 'Otis')], { key: 'l2', eckid: 'https://ketenid.nl/pilot/2' }),
      ]),
      el('leerkrachten', [
        el(
          'leerkracht',
          [
            ...names,
            el('gebruikersnaam', 'x'),
            el('emailadres', 'x@oever.example'),
            el('rol', 'IB'),
            el('rolomschrijving', 'coach'),
            el('groepen', [
              el('groep', [el('rol', 'LRK'), el('rolomschrijving', 'mentor')], { key: 'g1' }),
              el('samengestelde_groep', [], { key: 's1' }),
            ]),
            el('mutatiedatum', at),
          ],
          { key: 'm1', eckid: 'https://ketenid.nl/pilot/3' },
        ),
        el('leerkracht', [el('roepnaam', 'Wil')], { key: 'm2' }),
      ]),
    ]),
  ]);
}

// --- Mutations: seeded, so that a failure can be shown again ------------------------------------------------------------

/** Mulberry32: small, and the same everywhere. */
function random(seed: number): (below: number) => number {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const lengths = [1, 2, 6, 7, 10, 11, 32, 33, 64, 65, 128, 129, 200, 201, 256, 257];
const values = [
  '',
  ' ',
  '0',
  '-1',
  '1',
  '007',
  '9',
  '11',
  '16',
  '17',
  '255',
  '256',
  '0.5',
  '1.01',
  '10.00',
  '10.1',
  '1e3',
  'C',
  'H',
  'X',
  '?',
  'LRK',
  'TAL',
  '88QP',
  '88qp',
  '٨٨QP',
  '88ÄÖ',
  '00',
  '1',
  '٠١',
  '123',
  '1234567',
  '2023-2024',
  '2025-2026',
  '1990-1991',
  '3024-3025',
  '2024/2025',
  '٢٠٢٤-2025',
  '2024-02-29',
  '2023-02-29',
  '2024-09-30Z',
  '2024-09-30T08:00:00',
  '2024-09-30T08:00:00+01:00',
  '2024-09-30T24:00:01Z',
  'a b',
  'http://x.example/a',
  '4',
  'S',
];
/** Values that matter for an element, so that each rule on it is met soon. */
const valuesFor: Record<string, string[]> = {
  schooljaar: ['1990-1991', '1991-1992', '2023-2024', '2025-2026', '2026-2027', '3024-3025', '2024-25', '٢٠٢٤-2025'],
  jaargroep: [
    'B',
    'D',
    '0',
    '1',
    '2',
    '3',
    '4',
    '5',
    '6',
    '7',
    '8',
    '9',
    '10',
    '11',
    '12',
    '13',
    '14',
    '15',
    '16',
    '17',
    'S',
    'V',
    'C',
    'N',
    'H',
    'h',
  ],
  rol: [
    'ADJ',
    'ADM',
    'CON',
    'DIR',
    'ICT',
    'IB',
    'KLA',
    'LRK',
    'LOS',
    'LOC',
    'OWA',
    'OUD',
    'RT',
    'SMW',
    'STA',
    'VAK',
    'TAL',
    'lrk',
  ],
  geslacht: ['0', '1', '2', '3', '9', '01', '19', '-0'],
  brincode: ['88QP', '88qp', '٨٨QP', '88ÄÖ', '888P', '88QPX'],
  dependancecode: ['00', '1', '99', '٠١', '001'],
  instellingsnummer: ['1', '12', '123456', '1234567', '٠١'],
  transparantie: ['0', '1', '1.00', '1.01', '-0.01'],
  schoolcijfer_vanaf: ['0.99', '1', '10', '10.01', '5,5'],
  schoolcijfer_totenmet: ['0.99', '1', '10', '10.01', '5,5'],
  rood_code: ['0', '255', '256', '-1'],
  groen_code: ['0', '255', '256', '-1'],
  blauw_code: ['0', '255', '256', '-1'],
  score: ['0', '+3', '-1', '1.0', 'X', '007'],
};

const strange = [
  'bsn',
  'bsn_ondwnr-4',
  'sofinummer',
  'fotourl',
  'etniciteit',
  'land',
  'gewicht',
  'postcodenl',
  'postcodeoverig',
  'toevoegingen',
  'onbekend',
];
const strangeText: Record<string, string> = {
  bsn: '000000000',
  'bsn_ondwnr-4': '0000',
  sofinummer: '000000000',
  etniciteit: '9',
  land: 'NL',
  gewicht: '0.25',
  postcodenl: '1234AB',
};

function mutate(root: XmlElement, pick: (below: number) => number): XmlElement {
  const copy = structuredClone(root);
  const all: { it: XmlElement; parent: XmlElement | undefined }[] = [];
  const list = (it: XmlElement, parent?: XmlElement) => {
    all.push({ it, parent });
    for (const part of it.children) list(part, it);
  };
  list(copy);
  const { it, parent } = all[pick(all.length)]!;
  const leaf = it.children.length === 0;
  const value = (of = '') => {
    const list = valuesFor[of];
    return list && pick(3) > 0 ? list[pick(list.length)]! : anyValue();
  };
  const anyValue = () => (pick(3) === 0 ? 'x'.repeat(lengths[pick(lengths.length)]!) : values[pick(values.length)]!);
  const attributes = Object.keys(it.attrs);
  const telling = all.filter(({ it }) => valuesFor[it.name] && it.children.length === 0);
  if (telling.length > 0 && pick(3) === 0) {
    // A name first, so that the many pupils do not crowd out the one school year.
    const names = [...new Set(telling.map(({ it }) => it.name))];
    const name = names[pick(names.length)]!;
    const of = telling.filter(({ it }) => it.name === name);
    of[pick(of.length)]!.it.text = value(name);
    return copy;
  }
  switch (pick(leaf ? 9 : 7)) {
    case 0:
      if (parent) parent.children.splice(parent.children.indexOf(it), 1);
      break;
    case 1:
      if (parent) parent.children.splice(parent.children.indexOf(it), 0, structuredClone(it));
      break;
    case 2: {
      const at = parent?.children.indexOf(it) ?? 0;
      if (parent && at > 0) parent.children.splice(at - 1, 2, it, parent.children[at - 1]!);
      break;
    }
    case 3: {
      const name = attributes[pick(attributes.length)];
      if (name !== undefined) delete it.attrs[name];
      break;
    }
    case 4: {
      const name = attributes[pick(attributes.length)] ?? ['key', 'eckid', 'vocabulaire', 'niveau', 'vreemd'][pick(5)]!;
      it.attrs[name] = value();
      break;
    }
    case 5: {
      const name = strange[pick(strange.length)]!;
      const put: XmlElement = { name, ns: it.ns, attrs: {}, text: strangeText[name] ?? 'x', children: [], line: 1 };
      const pupils = all.filter(({ it }) => it.name === 'leerling');
      const pupil = pupils[pick(pupils.length)]?.it;
      // Half of them where the published schema has its place for such a field: before the days of entry and leaving.
      if (pupil && pick(2) === 0) {
        const before = pupil.children.findIndex((c) => /^(instroomdatum|uitstroomdatum|mutatiedatum)$/.test(c.name));
        pupil.children.splice(before < 0 ? pupil.children.length : before, 0, put);
      } else it.children.splice(pick(it.children.length + 1), 0, put);
      break;
    }
    case 6: {
      const other = all[pick(all.length)]!.it;
      if (pick(2) === 0) it.name = other.name;
      else it.ns = other.ns === it.ns ? 'urn:x' : other.ns;
      break;
    }
    default:
      it.text = value(it.name);
  }
  return copy;
}

/** Whether two sets of complaints agree, and if not, whether every one is among the differences we want. */
function verdict(a: readonly string[], b: readonly string[]) {
  if ((a.length === 0) === (b.length === 0)) return { agree: true, unexplained: false, reasons: [] };
  const refusedBy = a.length > 0 ? 'ours' : 'published';
  const said = a.length > 0 ? a : b;
  const reasons = said.map((words) => differences.find((d) => d.refusedBy === refusedBy && d.says.test(words)));
  // Words on the type follow the words on its facet, so one explained complaint an element is enough.
  const left = said.filter(
    (words, i) => !reasons[i] && !/is not a valid value of the (local )?atomic type/.test(words),
  );
  return {
    agree: false,
    unexplained: left.length > 0 || !reasons.some(Boolean),
    reasons: reasons.filter((r) => r !== undefined),
  };
}

/** What both say of every document; a disagreement that no difference in the table explains is returned. */
function compare(mine: Three, published: Three, documents: readonly Sample[]) {
  const unexplained: string[] = [];
  const met = new Set<string>();
  let accepted = 0;
  let refused = 0;
  for (const { name, schema, root } of documents) {
    const xml = elementToXml(root);
    const a = complaints(mine[schema], xml);
    const b = complaints(published[schema], xml);
    const it = verdict(a, b);
    for (const reason of it.reasons) met.add(reason.name);
    if (it.unexplained)
      unexplained.push(`${name}: ours ${a.join(' | ') || 'accepts'}; published ${b.join(' | ') || 'accepts'}`);
    else if (it.agree && a.length === 0) accepted++;
    else if (it.agree) refused++;
  }
  return { unexplained, met, accepted, refused };
}

/**
 * Every element and attribute of the richest samples, each changed in every way that a rule on it can tell: gone, twice,
 * empty, of every length on the edge, of every telling value. No chance in it.
 */
function boundaries(): Sample[] {
  const found: Sample[] = [];
  const rich = samples().filter((s) =>
    [
      'every field',
      'bare',
      '01-question.xml',
      '03-question-by-schoolkey.xml',
      '05-learners-of-groups.xml',
      '06-staff-of-groups.xml',
      'structure',
      'pupils',
      'teachers',
      '10-results.xml',
      '20-answer.xml',
    ].includes(s.name),
  );
  for (const { name, schema, root } of rich) {
    const copy = structuredClone(root);
    const keep = (how: string) => found.push({ name: `${name}, ${how}`, schema, root: structuredClone(copy) });
    const seen = new Set<string>();
    const visit = (it: XmlElement, parent: XmlElement | undefined, at: string): void => {
      const path = `${at}/${it.name}`;
      if (parent && !(seen.has(path) && it.children.length === 0 && Object.keys(it.attrs).length === 0)) {
        const index = parent.children.indexOf(it);
        parent.children.splice(index, 1);
        keep(`${path} gone`);
        parent.children.splice(index, 0, it, it);
        keep(`${path} twice`);
        parent.children.splice(index, 1);
        const { text } = it;
        if (it.children.length === 0 && text !== '')
          for (const value of [
            '',
            ...lengths.map((n) => 'x'.repeat(n)),
            ...lengths.map((n) => '9'.repeat(n)),
            '-1',
            '1.5',
            ' 7 ',
            ...(valuesFor[it.name] ?? []),
          ]) {
            it.text = value;
            keep(`${path} is ${value.length > 12 ? value.length : value}`);
          }
        it.text = text;
        for (const [key, value] of Object.entries(it.attrs)) {
          delete it.attrs[key];
          keep(`${path}/@${key} gone`);
          for (const put of ['', 'x', 'a b', '%', 'x'.repeat(256), 'x'.repeat(257)]) {
            it.attrs[key] = put;
            keep(`${path}/@${key} is ${put.length}`);
          }
          it.attrs[key] = value;
        }
      }
      seen.add(path);
      for (const part of [...it.children]) visit(part, it, path);
    };
    visit(copy, undefined, '');
  }
  return found;
}

const SEED = 20170515;
/** Tried in `npm test`; `npm run differential` tries more. */
const MUTATIONS = Number(process.env['EDUK_MUTATIONS'] ?? 1000);
function mutations(count: number): Sample[] {
  const pick = random(SEED);
  const from = samples();
  // Headers are small and few rules apply to them; every tenth mutation is one.
  const heads = from.filter((s) => s.schema === 'autorisatie');
  const bodies = from.filter((s) => s.schema !== 'autorisatie');
  const rich = bodies.filter((s) => JSON.stringify(s.root).length > 2000);
  return Array.from({ length: count }, (_, i) => {
    const pool = i % 10 === 0 ? heads : i % 5 === 1 ? bodies : rich;
    const { schema, root, name } = pool[pick(pool.length)]!;
    return { name: `${name}, mutation ${i}`, schema, root: mutate(root, pick) };
  });
}

test('our schemas compile by themselves', () => {
  expect(Object.keys(ours())).toHaveLength(3);
});

describe.skipIf(!present)('ours and the published schemas', () => {
  test(`agree on the samples and on ${MUTATIONS} mutations, but for the differences we want`, () => {
    const mine = ours();
    const official = theirs();
    const onSamples = compare(mine, official, samples());
    expect(onSamples.unexplained).toEqual([]);
    expect(onSamples.accepted).toBeGreaterThan(20);
    expect(compare(mine, official, boundaries()).unexplained).toEqual([]);
    const { unexplained, met, accepted, refused } = compare(mine, official, mutations(MUTATIONS));
    expect(unexplained).toEqual([]);
    expect(accepted).toBeGreaterThan(MUTATIONS * 0.15);
    expect(refused).toBeGreaterThan(MUTATIONS * 0.4);
    // A difference that never occurs is not one.
    expect(differences.map((d) => d.name).filter((n) => !met.has(n))).toEqual([]);
  }, 600_000);

  test('a schema of ours that lacks any one facet, bound, type or requirement is found out', () => {
    const official = theirs();
    const documents = [...samples(), ...boundaries()].map((it) => {
      const xml = elementToXml(it.root);
      return { schema: it.schema, xml, official: complaints(official[it.schema], xml) };
    });
    const foundOut = (mine: Three, of: readonly (keyof Three)[]) =>
      documents.some(
        (d) => of.includes(d.schema) && verdict(complaints(mine[d.schema], d.xml), d.official).unexplained,
      );
    expect(foundOut(ours(), ['leerlinggegevens', 'leerresultaten', 'autorisatie'])).toBe(false);

    const rule =
      /<xs:(enumeration|minLength|maxLength|pattern|minInclusive|maxInclusive)[^>]*\/>| minOccurs="0"| maxOccurs="unbounded"| use="required"|<xs:unique .*?<\/xs:unique>|<xs:keyref .*?<\/xs:keyref>| type="xs:(?!string)\w+"/gs;
    const missed: string[] = [];
    let removed = 0;
    for (const [name, schema] of Object.entries({
      leerlinggegevens: 'leerlinggegevens',
      leerresultaten: 'leerresultaten',
      oso: 'leerresultaten',
      autorisatie: 'autorisatie',
    } as const)) {
      const text = schemaText(name);
      for (const it of text.matchAll(rule)) {
        // What an xs:key selects must have its attribute anyway; references are not selected by one.
        const before = text.slice(0, it.index);
        const type = before.slice(before.lastIndexOf('<xs:complexType name="'));
        if (
          it[0] === ' use="required"' &&
          /name="key"/.test(before.slice(-50)) &&
          !/^.{22}(Verwijzing|Taak)"/.test(type)
        )
          continue;
        // Rules on keys and references of a roster are a difference we want: they can be seen in ours only.
        if (name === 'leerlinggegevens' && /^<xs:(unique|keyref)/.test(it[0])) continue;
        const files = ourFiles();
        files[`${name}.xsd`] =
          text.slice(0, it.index) +
          (it[0].startsWith(' type') ? ' type="xs:string"' : '') +
          text.slice(it.index + it[0].length);
        const without = compiled(files, `${schema}.xsd`);
        removed++;
        if (!foundOut({ leerlinggegevens: without, leerresultaten: without, autorisatie: without }, [schema]))
          missed.push(`${name}: ${text.slice(Math.max(0, it.index - 60), it.index + it[0].length)}`);
      }
    }
    expect(missed).toEqual([]);
    expect(removed).toBeGreaterThan(200);
  }, 300_000);

  test('requests that toolkits put on the wire, and the published set of examples, are read', () => {
    const own = fileURLToPath(new URL('./examples/', import.meta.url));
    let read = 0;
    for (const folder of [`${published}client-captures/`, `${published}examples/`, own])
      for (const n of readdirSync(folder)) {
        if (!n.endsWith('.xml')) continue;
        const bytes = readFileSync(folder + n);
        if (!/_verzoek/.test(bytes.toString())) continue;
        expect(readRequest(bytes).operation).toMatch(/^(Haal|Breng)/);
        read++;
      }
    expect(read).toBeGreaterThan(15);
  });

  test('every answer we write passes the published schema and its Smalle set', () => {
    const folder = `${published}Schemas/`;
    const files: Record<string, string> = {};
    for (const n of readdirSync(folder)) if (n.endsWith('.xsd')) files[n] = readFileSync(folder + n, 'utf8');
    for (const n of readdirSync(`${folder}profiel-smalle-set`))
      files[n] = readFileSync(`${folder}profiel-smalle-set/${n}`, 'utf8').replaceAll(
        'schemaLocation="../',
        'schemaLocation="',
      );
    const smalleSet = compiled(files, 'Profiel_Smalle_set_UWLR_Leerlinggegevens_v2p2.xsd');
    const whole = theirs().leerlinggegevens;
    const check = (written: string) => {
      const xml = elementToXml(readEnvelope(Buffer.from(written)).body);
      expect(complaints(whole, xml)).toEqual([]);
      expect(complaints(smalleSet, xml)).toEqual([]);
    };
    const { write } = uwlr.exchanges.leerlinggegevens;
    fc.assert(
      fc.property(roster(fc.constantFrom('1991-1992', '2024-2025')), (it) =>
        check(write(rosterAnswer({ kind: 'roster', roster: new Clear(it) }))),
      ),
      { numRuns: 300, seed: SEED },
    );
    check(write(rosterAnswer({ kind: 'nothing' })));
    check(write(rosterAnswer({ kind: 'unchanged' })));
    expect(
      complaints(
        theirs().leerresultaten,
        elementToXml(readEnvelope(Buffer.from(uwlr.exchanges.leerresultaten.write())).body),
      ),
    ).toEqual([]);
  });
});

describe.skipIf(!present || !present23)('ours of 2.3 and the reconstructed ones', () => {
  test('agree on samples without key or with the new duty, and on mutations', () => {
    const mine = compiled(ourFiles(), 'leerlinggegevens-2.3.xsd');
    const files = Object.fromEntries(
      readdirSync(reconstructed)
        .filter((n) => n.endsWith('.xsd'))
        .map((n) => [n, readFileSync(reconstructed + n, 'utf8')]),
    );
    const theirs = compiled(files, 'UWLR_Leerlinggegevens.xsd');
    const both = (it: XsdValidator): Three => ({ leerlinggegevens: it, leerresultaten: it, autorisatie: it });
    const only = (list: Sample[]) => list.filter(({ schema }) => schema === 'leerlinggegevens');
    const fresh = structuredClone(samples().find(({ name }) => name === 'every field')!);
    const all = withPaths(fresh.root);
    for (const { element } of all) {
      if (element.name === 'rol') element.text = 'TAL';
      if (element.name === 'leerling') delete element.attrs['key'];
    }
    const onSamples = compare(both(mine), both(theirs), [...only(samples()), { ...fresh, name: 'as in 2.3' }]);
    expect(onSamples.unexplained).toEqual([]);
    expect(complaints(mine, elementToXml(fresh.root))).toEqual([]);
    expect(complaints(ours().leerlinggegevens, elementToXml(fresh.root))).not.toEqual([]);
    expect(compare(both(mine), both(theirs), only(boundaries())).unexplained).toEqual([]);
    const { unexplained, accepted, refused } = compare(both(mine), both(theirs), only(mutations(MUTATIONS)));
    expect(unexplained).toEqual([]);
    expect(accepted).toBeGreaterThan(MUTATIONS * 0.05);
    expect(refused).toBeGreaterThan(MUTATIONS * 0.2);
  }, 600_000);

  test('every answer we write passes them, and the profile of its set', () => {
    const top = Object.fromEntries(
      readdirSync(reconstructed)
        .filter((n) => n.endsWith('.xsd'))
        .map((n) => [n, readFileSync(reconstructed + n, 'utf8')]),
    );
    const of = {
      whole: compiled(top, 'UWLR_Leerlinggegevens.xsd'),
      smalle: compiled(top, 'Profiel_Smalle_set_UWLR_Leerlinggegevens.xsd'),
    };
    fc.assert(
      fc.property(
        roster(fc.constantFrom('2026-2027')),
        fc.constantFrom('whole' as const, 'smalle' as const),
        (it, set) => {
          const wire = rosterAnswer({ kind: 'roster', roster: new Clear(it) }, { version: '2.3', fields: set });
          const xml = elementToXml(readEnvelope(Buffer.from(writeAnswer('HaalLeerlinggegevens', wire))).body);
          expect(complaints(of[set], xml)).toEqual([]);
        },
      ),
      { numRuns: 200, seed: SEED },
    );
  });
});
