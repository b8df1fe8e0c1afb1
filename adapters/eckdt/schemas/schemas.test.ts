/**
 * Our schemas against the reconstruction in `../shared/standards`, which somebody else made from the same facts: over all
 * samples and a thousand broken forms, what one refuses the other refuses, but for the differences that we want.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compileSchema, elementToXml, readXml, type Schema, withPaths, type XmlElement } from '#adapters/xml';
import { GatewayError } from '#kernel';
import { catalogueOf } from '../wire.ts';
import { entryFields, type Field, type Fields, namespaceStart, type Version } from './entry.ts';
import { catalogServiceXsd } from './xsd.ts';

const originals = join(import.meta.dirname, '../../../../shared/standards/eckdt');
const present = existsSync(originals);
if (!present) console.warn('SKIPPED: ../shared/standards is absent, so the ECK DT schemas are compared with nothing.');

/** Versions of which there is an original. The others have the fields of a neighbour. */
const compared = ['2.1.1', '2.2', '2.3', '2.5.2'] as const satisfies Version[];
const SEED = 20261122;
const MUTATIONS = 1000;

interface Wanted {
  what: string;
  because: string;
  ours: 'accepts' | 'refuses';
  is: (result: XmlElement) => boolean;
}

const all = (root: XmlElement, ...names: string[]): XmlElement[] =>
  [...withPaths(root)].map((it) => it.element).filter((it) => names.includes(it.name));

const wanted: readonly Wanted[] = [
  {
    what: 'a ProductId, Publisher or Title of blanks only',
    because: 'It names nothing. The reconstruction counts blanks as characters.',
    ours: 'refuses',
    is: (it) => all(it, 'ProductId', 'Publisher', 'Title').some(({ text }) => text !== '' && text.trim() === ''),
  },
  {
    what: 'a LicenseDuration below nothing',
    because: 'No licence runs backwards. The reconstruction takes any xs:duration.',
    ours: 'refuses',
    is: (it) => all(it, 'LicenseDuration').some(({ text }) => text.trim().startsWith('-')),
  },
  {
    what: 'Prices without a Price',
    because: 'ECK DT §1.5: one or more. The reconstruction lets them be absent.',
    ours: 'refuses',
    is: (it) => all(it, 'Prices').some(({ children }) => !children.some(({ name }) => name === 'Price')),
  },
];

/** mulberry32: small, seeded, the same everywhere. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const element = (name: string, ns: string, text: string, children: XmlElement[] = []): XmlElement => ({
  name,
  ns,
  attrs: {},
  text,
  children,
  line: 1,
});
const inNamespace = (it: XmlElement, ns: string): XmlElement => ({
  ...it,
  ns,
  attrs: {},
  children: it.children.map((c) => inNamespace(c, ns)),
});

/** Every record at hand, as a ReadCatalogResult of `version`. */
function samples(version: Version): XmlElement[] {
  const kind = version === '2.5.2' ? '2.5.2' : version === '2.3' ? '2.3' : '2.1.1';
  const of: Record<string, RegExp> = { '2.5.2': /2\.5\.2/, '2.3': /2\.3/, '2.1.1': /2\.1\.1|04-bare/ };
  const folders = [join(originals, 'samples'), join(import.meta.dirname, '../examples')];
  const ns = namespaceStart + version;
  return folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((it) => it.endsWith('.xml') && of[kind]!.test(it))
      .flatMap((it) => all(readXml(readFileSync(join(folder, it))).root, 'Entry'))
      .map((it) =>
        element('ReadCatalogResult', ns, '', [
          element('Entries', ns, '', [inNamespace(it, ns)]),
          element('numEntries', ns, '1'),
          element('firstEntry', ns, '1'),
        ]),
      ),
  );
}

const texts = [
  '',
  ' ',
  '-1',
  '0',
  '1',
  '+7',
  '12.50',
  '9.0',
  '100',
  '100.01',
  '-0',
  'true',
  'TRUE',
  '0 1',
  'abc',
  '2026-02-28',
  '2026-02-30',
  '2026-12-31T23:59:59Z',
  '2026-12-31T24:00:01',
  '31-12-2026',
  'P1Y',
  '-P1Y',
  'P',
  '1 jaar',
  'https://zilvermeeuw.example/a b',
  'é €',
  '99999999999',
];
const names = Object.keys(entryFields).concat(
  'Author',
  'Price',
  'Amount',
  'VAT',
  'Consumerprice',
  'Sector',
  'Level',
  'DEPSector',
  'ActivationBeforeDays',
  'ActivationBeforeDate',
  'Unknown',
);

/** One thing wrong, or only different, somewhere in a copy of `sample`. */
function mutated(sample: XmlElement, next: () => number): XmlElement {
  const root = structuredClone(sample);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!;
  const parents = [...withPaths(root)].map((it) => it.element).filter((it) => it.children.length > 0);
  // Every element is as likely as any other.
  const places = parents.flatMap((parent) => parent.children.map((_, at) => ({ parent, at })));
  const { parent, at } = pick(places);
  const it = parent.children[at]!;
  switch (
    pick([
      'drop',
      'drop',
      'twice',
      'swap',
      'text',
      'text',
      'text',
      'rename',
      'insert',
      'insert',
      'attribute',
      'namespace',
      'nest',
      'empty',
      'rare',
    ])
  ) {
    case 'drop':
      parent.children.splice(at, 1);
      break;
    case 'twice':
      parent.children.splice(Math.floor(next() * (parent.children.length + 1)), 0, structuredClone(it));
      break;
    case 'swap': {
      const other = Math.floor(next() * parent.children.length);
      parent.children[at] = parent.children[other]!;
      parent.children[other] = it;
      break;
    }
    case 'text':
      if (it.children.length > 0) it.children = [];
      it.text = pick(texts);
      break;
    case 'rename':
      it.name = pick(names);
      break;
    case 'insert':
      parent.children.splice(at, 0, element(pick(names), it.ns, pick(texts)));
      break;
    case 'attribute':
      it.attrs = { shelf: '1' };
      break;
    case 'namespace':
      parent.children[at] = inNamespace(it, pick(['', 'urn:other', `${namespaceStart}2.2`]));
      break;
    case 'nest':
      it.children = [element(it.name, it.ns, it.text)];
      it.text = '';
      break;
    case 'empty':
      it.children = [];
      it.text = '';
      break;
    case 'rare':
      // Few records have these, and they have most of the rules.
      for (const it of all(root, 'LicenseDuration')) it.text = pick(['P6M', '-P6M', 'P', '6 maanden']);
      for (const it of all(root, 'ActivationBeforeDays', 'ActivationBeforeDate')) it.text = pick(texts);
      for (const prices of all(root, 'Prices')) {
        const within = pick(prices.children);
        if (next() < 0.5) prices.children.splice(prices.children.indexOf(within), 1);
        else if (within.children.length > 0) pick(within.children).text = pick(texts);
        else within.text = pick(texts);
      }
  }
  return root;
}

const schemaOf = (text: string): Schema => compileSchema({ xsd: text }, 'xsd');
function accepts(schema: Schema, document: Buffer): boolean {
  try {
    readXml(document, { schema });
    return true;
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.fault === 'wire.invalid') return false;
    throw thrown;
  }
}

interface Case {
  version: Version;
  result: XmlElement;
  document: Buffer;
  theirs: boolean;
}

const original = (version: Version): Schema =>
  schemaOf(readFileSync(join(originals, 'xsd', `eck-catalogservice-v${version}.reconstructed.xsd`), 'utf8'));
const caseOf = (version: Version, theirs: Schema, result: XmlElement): Case => {
  const document = Buffer.from(elementToXml(result), 'utf8');
  return { version, result, document, theirs: accepts(theirs, document) };
};

let made: Case[] | undefined;
/** The broken forms, spread over the versions, with what the originals say of them. */
function cases(): Case[] {
  if (made) return made;
  const next = random(SEED);
  made = compared.flatMap((version) => {
    const theirs = original(version);
    const from = samples(version);
    return Array.from({ length: MUTATIONS / compared.length }, (_, i) =>
      caseOf(version, theirs, mutated(from[i % from.length]!, next)),
    );
  });
  return made;
}

/** Where ours and theirs differ, and which of the wanted differences each is. */
function differences(fields: Fields = entryFields): { unwanted: number; seen: Set<Wanted> } {
  const ours = new Map(compared.map((version) => [version as Version, schemaOf(catalogServiceXsd(version, fields))]));
  const seen = new Set<Wanted>();
  let unwanted = 0;
  for (const { version, result, document, theirs } of cases()) {
    const we = accepts(ours.get(version)!, document);
    if (we === theirs) continue;
    const why = wanted.find((it) => (it.ours === 'accepts') === we && it.is(result));
    if (why) seen.add(why);
    else unwanted++;
  }
  return { unwanted, seen };
}

describe.skipIf(!present)('our schemas and the originals', () => {
  for (const version of compared)
    test(`${version}: both take every sample`, () => {
      const ours = schemaOf(catalogServiceXsd(version));
      const theirs = original(version);
      const found = samples(version).map((it) => caseOf(version, theirs, it));
      expect(found.length).toBeGreaterThan(1);
      expect(found.map((it) => [accepts(ours, it.document), it.theirs])).toEqual(found.map(() => [true, true]));
    });

  test(`over ${MUTATIONS} broken forms (seed ${SEED}) they differ only where we want it`, () => {
    const { unwanted, seen } = differences();
    expect(unwanted).toBe(0);
    // A wanted difference that never shows is no difference.
    expect([...seen].map((it) => it.what).sort()).toEqual(wanted.map((it) => it.what).sort());
    // Neither all refused nor all taken, or the comparison would say little.
    const refused = cases().filter((it) => !it.theirs).length;
    expect(refused).toBeGreaterThan(MUTATIONS / 4);
    expect(refused).toBeLessThan(MUTATIONS * 0.9);
  });

  const without = (name: keyof typeof entryFields, change: (field: Field) => Field | undefined): Fields => {
    const { [name]: field, ...others } = entryFields as Fields;
    const changed = change(field!);
    return changed === undefined ? others : { ...others, [name]: changed };
  };
  const weakened: [string, Fields][] = [
    ['a title is needed', without('Title', ({ required: _, ...field }) => field)],
    ['whether it is licensed is needed', without('IsLicensed', ({ required: _, ...field }) => field)],
    ['a size is a count', without('SaleUnitSize', (field) => ({ ...field, kind: 'text' }))],
    ['a sign is true or false', without('PriceIsIndicative', (field) => ({ ...field, kind: 'text' }))],
    ['the old lists end with 2.4', without('Courses', ({ until: _, ...field }) => field)],
    ['a state may be told', without('ProductState', () => undefined)],
    [
      'prices are amounts with a rate',
      without('Prices', (field) => ({
        ...field,
        fields: { ...field.fields, Price: { kind: 'text', many: true, required: true } },
      })),
    ],
  ];
  for (const [rule, fields] of weakened)
    test(`without the rule that ${rule}, the comparison fails`, () => {
      expect(differences(fields).unwanted).toBeGreaterThan(0);
    });

  test('what our schema takes, the reader takes', () => {
    let taken = 0;
    for (const { version, result, document } of cases()) {
      if (!accepts(schemaOf(catalogServiceXsd(version)), document)) continue;
      const { records } = catalogueOf(result);
      expect(records.map((it) => it.problems)).toEqual(records.map(() => []));
      taken++;
    }
    expect(taken).toBeGreaterThan(100);
  });
});
