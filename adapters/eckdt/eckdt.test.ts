import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileSchema, openDocuments, readXml, validateElement, withPaths } from '#adapters/xml';
import { GatewayError } from '#kernel';
import { Product } from '#proto/eduk/core/v1/product';
import eckdt, { catalogServiceXsd, outcomes, readCatalogue, toCore, type Version, versions } from './index.ts';
import { leftOut, licenceTable, notes, productTable } from './mapping.ts';
import { entryFields } from './schemas/entry.ts';

const here = import.meta.dirname;
const example = (file: string): Buffer => readFileSync(join(here, 'examples', file));
const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8');

/** Time that this thread had of a processor, milliseconds: what else the machine does is not counted. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

function caught(run: () => unknown): GatewayError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was thrown');
}

/** A record that is taken without a remark. */
const fields: Record<string, string> = {
  ProductId: '9789099990010',
  Publisher: 'Uitgeverij Zilvermeeuw',
  PublisherThumbnailLocation: 'https://www.zilvermeeuw.example/merk.svg',
  Title: 'Getij Aardrijkskunde',
  Authors: '<Author>Wouter Duinker</Author>',
  IntendedEndUserRole: 'Onderwijsvolger',
  Medium: 'Boek',
  IsConsumptionProduct: 'true',
  Sectors: '<Sector>VO</Sector>',
  Courses: '<Course>Aardrijkskunde</Course>',
  Levels: '<Level>HAVO</Level>',
  SaleUnitSize: '1',
  PriceIsIndicative: 'false',
  IsLicensed: 'true',
};
function entry(more: Record<string, string | undefined> = {}, attributes = ''): string {
  const inside = Object.entries({ ...fields, ...more }).map(([name, value]) =>
    value === undefined ? '' : `<${name}>${value}</${name}>`,
  );
  return `<Entry${attributes}>${inside.join('\n')}</Entry>`;
}
const result = (...entries: string[]): string =>
  `<ReadCatalogResult xmlns="http://dt2.eck.nl/schema/catalogservice/v2.3"><firstEntry>1</firstEntry><numEntries>${entries.length}</numEntries><Entries>${entries.join('')}</Entries></ReadCatalogResult>`;
const read = (more: Record<string, string | undefined>) => toCore(readCatalogue(utf8(result(entry(more)))));
/** The last steps of the paths at which the one record is refused. */
function refusedAt(more: Record<string, string | undefined>): string[] {
  const { products, refusals } = read(more);
  expect(products).toEqual([]);
  expect(refusals).toHaveLength(1);
  expect(refusals[0]).toMatchObject({ index: 0, code: 'wire.invalid' });
  return refusals[0]!.where.map((it) => it.path.replace('ReadCatalogResult/Entries/Entry[1]/', ''));
}
const taken = (more: Record<string, string | undefined> = {}): Product => {
  const { products, refusals } = read(more);
  expect(refusals).toEqual([]);
  return products[0]!;
};
const notesOf = (more: Record<string, string | undefined>): string[] => read(more).notes.map((it) => it.note);

describe('examples', () => {
  for (const { file, shows } of eckdt.exchanges.catalogue.examples)
    test(`${shows}: means what the example says`, () => {
      const means = toCore(readCatalogue(example(file)));
      const says = JSON.parse(example(file.replace('.xml', '.core.json')).toString());
      expect({ ...means, products: means.products.map((it) => Product.toJSON(it)) }).toEqual(says);
      expect(means.products).toEqual(says.products.map((it: unknown) => Product.fromJSON(it)));
    });

  test('every example is listed', () => {
    const listed = eckdt.exchanges.catalogue.examples.map((it) => it.file);
    expect(readdirSync(join(here, 'examples')).filter((it) => it.endsWith('.xml'))).toEqual(listed);
  });

  test('records that are taken without a remark pass the schema of their version', () => {
    let checked = 0;
    for (const { file } of eckdt.exchanges.catalogue.examples) {
      const catalogue = readCatalogue(example(file));
      const clean = [...outcomes(catalogue)]
        .filter((it) => it.product && it.notes.length === 0)
        .map((it) => catalogue.records[it.index]!);
      for (const { version, path } of clean) {
        if (version === undefined) continue;
        const found = [...withPaths(readXml(example(file)).root)].find(
          (it) => it.path === path || `${it.path}[1]` === path,
        )!;
        validateElement(found.element, compileSchema({ xsd: catalogServiceXsd(version) }, 'xsd'));
        checked++;
      }
    }
    expect(checked).toBe(5);
  });
});

describe('what is read', () => {
  test('every version, by its namespace', () => {
    for (const version of versions) {
      const { records } = readCatalogue(utf8(result(entry()).replace('v2.3', `v${version}`)));
      expect(records[0]).toMatchObject({ version, problems: [] });
    }
  });

  test('counts of the page, in any order, and none at all', () => {
    expect(readCatalogue(example('02-result-2.3.xml'))).toMatchObject({
      form: 'ReadCatalogResult',
      numEntries: 2,
      firstEntry: 1,
    });
    expect(readCatalogue(example('03-soap-2.1.1.xml'))).toMatchObject({
      form: 'ReadCatalogResult',
      numEntries: 1,
      firstEntry: 1,
    });
    expect(readCatalogue(example('01-sru-2.5.2.xml'))).toMatchObject({
      form: 'searchRetrieveResponse',
      numberOfRecords: 412,
      nextRecordPosition: 3,
    });
    expect(readCatalogue(utf8('<ReadCatalogResult><numEntries>0</numEntries></ReadCatalogResult>')).records).toEqual(
      [],
    );
    const none =
      '<searchRetrieveResponse xmlns="http://www.loc.gov/zing/srw/"><version>1.2</version><numberOfRecords>0</numberOfRecords></searchRetrieveResponse>';
    expect(readCatalogue(utf8(none)).records).toEqual([]);
  });

  test('the identifier of an SRU record is kept', () => {
    expect(readCatalogue(example('01-sru-2.5.2.xml')).records[1]!.recordIdentifier).toBe(
      'zilvermeeuw:5b0c7a52-6f0d-4a55-9d60-0f4f0f6a1c02',
    );
  });

  test('blanks around values, comments and CDATA', () => {
    const product = taken({
      Title: '\n   <![CDATA[Getij & vloed]]>\n ',
      ProductId: ' <!-- id -->9789099990010\n',
      IsLicensed: '\n1\n',
      LicenseCount: ' 3 ',
    });
    expect(product).toMatchObject({
      title: 'Getij & vloed',
      productId: '9789099990010',
      licence: { licensed: true, count: 3 },
    });
  });

  test('fields nobody knows, and fields of another namespace', () => {
    expect(taken({ Shelf: 'A1' })).toMatchObject({ title: 'Getij Aardrijkskunde' });
    const other = result(entry()).replace('</Entry>', '<Title xmlns="urn:other">Elders</Title></Entry>');
    expect(toCore(readCatalogue(utf8(other))).products[0]!.title).toBe('Getij Aardrijkskunde');
  });

  test('a field that is empty or nil is not given', () => {
    expect(
      taken({ EndOfLifeDate: '', LicenseCount: '  ', Description: '', Authors: '', AccessLocation: '' }),
    ).toMatchObject({ availableUntil: '', authors: [] });
    const nil = result(entry()).replace(
      '</Entry>',
      '<EndOfLifeDate xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true">-</EndOfLifeDate></Entry>',
    );
    expect(toCore(readCatalogue(utf8(nil))).products[0]!.availableUntil).toBe('');
  });

  test('a record packed as a string, whatever encoding it says it had', () => {
    const packed = `<?xml version="1.0" encoding="ISO-8859-1"?>\n${entry({ Title: 'Café om de hoek' })}`.replaceAll(
      '<',
      '&lt;',
    );
    const answer = `<searchRetrieveResponse xmlns="http://www.loc.gov/zing/srw/"><records><record><recordSchema>eckcs2.4</recordSchema><recordPacking>string</recordPacking><recordData>${packed}</recordData></record></records></searchRetrieveResponse>`;
    const catalogue = readCatalogue(utf8(answer));
    expect(catalogue.records[0]).toMatchObject({ version: '2.4', line: 2 });
    expect(toCore(catalogue).products[0]!.title).toBe('Café om de hoek');
  });

  test('encodings other than UTF-8', () => {
    const text = result(entry({ Title: 'Café om de hoek' }));
    for (const bytes of [
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]),
      Buffer.from(`<?xml version="1.0" encoding="ISO-8859-1"?>${text}`, 'latin1'),
      Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]),
    ])
      expect(toCore(readCatalogue(bytes)).products[0]!.title).toBe('Café om de hoek');
  });
});

describe('a file that is refused whole', () => {
  const wrong: [string, Uint8Array, string][] = [
    ['nothing', utf8(''), 'wire.unreadable'],
    ['no XML', utf8('ProductId;Titel\n1;Geheim\n'), 'wire.unreadable'],
    ['a file that was cut off', example('01-sru-2.5.2.xml').subarray(0, 3000), 'wire.unreadable'],
    ['a DOCTYPE', utf8(`<!DOCTYPE r [<!ENTITY e "Geheim">]>${result(entry({ Title: '&e;' }))}`), 'wire.unreadable'],
    ['a DOCTYPE from elsewhere', utf8(`<!DOCTYPE r SYSTEM "file:///etc/passwd">${result(entry())}`), 'wire.unreadable'],
    [
      'bytes that are not their encoding',
      Buffer.concat([
        utf8('<?xml version="1.0" encoding="UTF-8"?><Entry><Title>Geheim'),
        Buffer.from([0xe9]),
        utf8('</Title></Entry>'),
      ]),
      'wire.unreadable',
    ],
    ['an encoding that is not read', utf8('<?xml version="1.0" encoding="EBCDIC-CP-NL"?><Entry/>'), 'wire.unreadable'],
    ['nesting too deep', utf8('<a>'.repeat(5000) + '</a>'.repeat(5000)), 'wire.unreadable'],
    ['another root', utf8('<Geheim><Entry/></Geheim>'), 'wire.invalid'],
    ['a request', utf8('<ReadCatalog xmlns="http://dt2.eck.nl/schema/catalogservice/v2.3"/>'), 'wire.invalid'],
    ['a later version', utf8(result(entry()).replace('v2.3', 'v3.0')), 'wire.version'],
    ['another standard', utf8('<Entry xmlns="http://www.w3.org/2005/Atom"/>'), 'wire.version'],
    [
      'a later SRU',
      utf8('<searchRetrieveResponse xmlns="http://docs.oasis-open.org/ns/search-ws/sruResponse"/>'),
      'wire.version',
    ],
    [
      'an SRU answer that says 2.0',
      utf8(
        '<searchRetrieveResponse xmlns="http://www.loc.gov/zing/srw/"><version>2.0</version><records/></searchRetrieveResponse>',
      ),
      'wire.version',
    ],
    [
      'an SRU diagnostic',
      utf8(
        '<searchRetrieveResponse xmlns="http://www.loc.gov/zing/srw/"><version>1.2</version><diagnostics/></searchRetrieveResponse>',
      ),
      'wire.invalid',
    ],
    [
      'an SRU answer without records',
      utf8(
        '<searchRetrieveResponse xmlns="http://www.loc.gov/zing/srw/"><version>1.2</version></searchRetrieveResponse>',
      ),
      'wire.invalid',
    ],
    [
      'a result without entries',
      utf8('<ReadCatalogResult><numEntries>3</numEntries></ReadCatalogResult>'),
      'wire.invalid',
    ],
    [
      'a SOAP fault',
      utf8(
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultstring>Geheim</faultstring></s:Fault></s:Body></s:Envelope>',
      ),
      'wire.invalid',
    ],
    [
      'an empty envelope',
      utf8('<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>'),
      'wire.invalid',
    ],
  ];
  for (const [what, bytes, fault] of wrong)
    test(`${what}: ${fault}`, () => {
      const error = caught(() => readCatalogue(bytes));
      expect(error.fault).toBe(fault);
      expect(eckdt.sayFault(error) + JSON.stringify(error.where)).not.toContain('Geheim');
      expect(openDocuments()).toBe(0);
    });

  test('more bytes than allowed: wire.too_large', () => {
    expect(caught(() => readCatalogue(example('01-sru-2.5.2.xml'), { maxBytes: 1000 })).fault).toBe('wire.too_large');
  });

  test('a fault is said with its places', () => {
    const error = caught(() => readCatalogue(utf8('\n<ReadCatalogResult/>')));
    expect(eckdt.sayFault(error)).toBe(
      'wire.invalid: The ReadCatalogResult has no Entries.\nReadCatalogResult/Entries (line 2)',
    );
  });
});

describe('a record that is refused by itself', () => {
  test('the others are taken, and counted on', () => {
    const { products, refusals } = toCore(
      readCatalogue(utf8(result(entry(), entry({ Title: undefined }), entry({ ProductId: 'getij-2' })))),
    );
    expect(products.map((it) => it.productId)).toEqual(['9789099990010', 'getij-2']);
    expect(refusals).toEqual([
      { index: 1, code: 'wire.invalid', where: [{ path: 'ReadCatalogResult/Entries/Entry[2]/Title', line: 14 }] },
    ]);
  });

  test('the line is that of the field', () => {
    const { refusals } = toCore(
      readCatalogue(
        utf8(
          result(
            entry(),
            entry({ ProductId: 'getij 2', SaleUnitSize: 'x' }),
            entry({ Edition: '', LicenseCount: '4294967296' }),
          ),
        ),
      ),
    );
    const lines = result(
      entry(),
      entry({ ProductId: 'getij 2', SaleUnitSize: 'x' }),
      entry({ Edition: '', LicenseCount: '4294967296' }),
    ).split('\n');
    expect(refusals.map((it) => it.where.map(({ line }) => lines[line! - 1]))).toEqual([
      ['<SaleUnitSize>x</SaleUnitSize>'],
      [expect.stringContaining('4294967296')],
    ]);
  });

  test('without what a product cannot do without', () => {
    expect(refusedAt({ ProductId: undefined, Publisher: '', Title: '\n', IsLicensed: undefined })).toEqual([
      'ProductId',
      'Publisher',
      'Title',
      'IsLicensed',
    ]);
  });

  test('of two titles nobody knows which', () => {
    const twice = result(entry()).replace('<Medium>', '<Title>Vloed</Title><Medium>');
    expect(toCore(readCatalogue(utf8(twice))).refusals[0]!.where[0]!.path).toMatch(/Title$/);
  });

  for (const [field, values] of Object.entries({
    EndOfLifeDate: [
      '2026-02-30',
      '2026-13-01',
      '30-06-2026',
      '2026-06-30T25:00:00Z',
      '2026-06-30T10:61:00',
      '2026-06-30 10:00:00',
      '0000-01-01',
      '12026-01-01',
      '2026-06-30+15:00',
      'morgen',
      '<day/>',
    ],
    IsLicensed: ['ja', '2', 'true false'],
    LicenseDuration: ['1 jaar', 'P', 'PT', 'P1', '-P1Y', 'P1.5Y'],
    LicenseCount: ['-1', '1.5', 'tien', '4294967296', '99999999999999999999'],
    PriceVATHigh: ['-100', '12,50', '12.50', '€ 12', '9223372036854775808'],
    Currency: ['USD', 'cent'],
    ProductId: ['getij 2', 'https://zilvermeeuw.example/?p=12', 'é'.repeat(3), 'x'.repeat(65)],
  }))
    for (const value of values)
      test(`${field} ${value.slice(0, 30)}`, () => {
        expect(refusedAt({ [field]: value })).toEqual([field]);
      });

  test('prices: below nothing, without tax, above all, in another currency', () => {
    const price = (amount: string, vat: string) =>
      `<Currency>EUR</Currency><Price><Amount>${amount}</Amount><VAT>${vat}</VAT></Price>`;
    expect(refusedAt({ Prices: price('-1', '9') })).toEqual(['Prices/Price[1]/Amount']);
    expect(refusedAt({ Prices: price('100', '-9') })).toEqual(['Prices/Price[1]/VAT']);
    expect(refusedAt({ Prices: price('100', '100.5') })).toEqual(['Prices/Price[1]/VAT']);
    expect(refusedAt({ Prices: price('100', '9%') })).toEqual(['Prices/Price[1]/VAT']);
    expect(
      refusedAt({ Prices: '<Price><Amount>5</Amount><VAT>9</VAT></Price><Price><Amount>5</Amount></Price>' }),
    ).toEqual(['Prices/Price[2]/VAT']);
    expect(refusedAt({ Prices: price('100', '9').replace('EUR', 'GBP') })).toEqual(['Prices/Currency']);
  });

  test('words where fields belong', () => {
    expect(refusedAt({ Prices: '12,50 euro', Authors: 'Wouter Duinker' })).toEqual(['Authors', 'Prices']);
  });

  test('two ways to say until when it must be activated', () => {
    expect(
      refusedAt({
        ActivationBefore:
          '<ActivationBeforeDays>3</ActivationBeforeDays><ActivationBeforeDate>2027-01-01</ActivationBeforeDate>',
      }),
    ).toEqual(['ActivationBefore']);
  });

  test('no refusal quotes a value', () => {
    const said = JSON.stringify(
      read({ ProductId: 'Geheim id', EndOfLifeDate: 'Geheim', Title: '<Geheim/>', Currency: 'Geheim' }).refusals,
    );
    expect(said).not.toContain('Geheim');
  });

  test('a record of nonsense is not answered with as much', () => {
    const { refusals } = read({ Prices: '<Price><Amount>x</Amount><VAT>x</VAT></Price>'.repeat(500) });
    expect(refusals[0]!.where).toHaveLength(20);
  });
});

describe('a record that is taken with a note', () => {
  test('an EAN whose last digit is wrong is an id all the same', () => {
    expect(taken({ ProductId: '9789099990011' }).productId).toBe('9789099990011');
    expect(notesOf({ ProductId: '9789099990011' })).toEqual(['ean.check_digit']);
    expect(notesOf({})).toEqual([]);
  });

  test('what the standard demands and the core does not', () => {
    const found = read({ PublisherThumbnailLocation: undefined, Authors: undefined, Medium: '' });
    expect(found.products).toHaveLength(1);
    expect(found.notes.map((it) => it.where.path.split('/').at(-1))).toEqual([
      'PublisherThumbnailLocation',
      'Authors',
      'Medium',
    ]);
  });

  test('addresses that nobody should follow', () => {
    for (const address of [
      'http://getij.example/',
      'javascript:alert(1)',
      'getij.example/start',
      'https://piet:geheim@getij.example/',
      'https://getij .example/',
    ]) {
      expect(taken({ AccessLocation: address }).accessUrl).toBe('');
      expect(notesOf({ AccessLocation: address })).toHaveLength(1);
    }
    expect(taken({ InformationLocation: 'http://getij.example/' }).informationUrl).toBe('http://getij.example/');
    expect(notesOf({ InformationLocation: 'ftp://getij.example/' })).toEqual(['link.unusable']);
  });

  test('references that are no id', () => {
    const parts = '<ProductId>getij-1</ProductId><ProductId>zie ook getij</ProductId><ProductId>getij-1</ProductId>';
    expect(taken({ SubProducts: parts, FollowupProduct: 'volgt nog' })).toMatchObject({
      partProductIds: ['getij-1'],
      followupProductId: '',
    });
    expect(notesOf({ SubProducts: parts, FollowupProduct: 'volgt nog' })).toEqual([
      'reference.unusable',
      'reference.unusable',
    ]);
  });

  test('a state nobody knows, and a day that stands for none', () => {
    expect(notesOf({ ProductState: 'Bijna' })).toEqual(['state.unknown']);
    expect(taken({ EndOfLifeDate: '0001-01-01T00:00:00', LastModifiedDate: '1900-01-01' })).toMatchObject({
      availableUntil: '',
      modifiedAt: '',
    });
  });

  test('every note is raised somewhere and has words', () => {
    const raised = new Set<string>(
      [
        {
          ProductId: '9789099990011',
          Medium: '',
          FollowupProduct: 'é',
          AccessLocation: 'http://a.example/',
          InformationLocation: 'x',
          ProductState: 'x',
        },
        { EndOfLifeDate: '1900-01-01', Prices: '<Currency>EUR</Currency><Consumerprice>5</Consumerprice>' },
      ].flatMap(notesOf),
    );
    expect([...raised].sort()).toEqual(Object.keys(notes).sort());
  });
});

test('bytes of any kind end in products, refusals or a fault, and free what they took', () => {
  const from = eckdt.exchanges.catalogue.examples.map((it) => example(it.file));
  const bytes = fc
    .tuple(
      fc.constantFrom(...from),
      fc.array(fc.tuple(fc.nat(8000), fc.constantFrom(...'<>/&"-x0 é')), { minLength: 1, maxLength: 4 }),
    )
    .map(([file, changes]) => {
      const broken = Buffer.from(file);
      for (const [at, letter] of changes) broken.write(letter, at % broken.length);
      return broken;
    });
  fc.assert(
    fc.property(bytes, (it) => {
      try {
        for (const { product } of outcomes(readCatalogue(it))) if (product) Product.encode(product).finish();
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(GatewayError);
        expect((thrown as GatewayError).fault).toMatch(/^wire[.]/);
      }
      expect(openDocuments()).toBe(0);
    }),
    { numRuns: 500 },
  );
});

describe('the tables', () => {
  const empty = Product.fromPartial({ licence: {} });

  test('name every field of the core once', () => {
    expect(productTable.map((it) => it.core)).toEqual(Object.keys(empty));
    expect(licenceTable.map((it) => it.core)).toEqual(Object.keys(empty.licence!));
  });

  test('name every field of the standard, as mapped or as left out', () => {
    const mapped = new Set([...productTable, ...licenceTable].flatMap((it) => it.eck));
    expect(leftOut.filter((it) => mapped.has(it))).toEqual([]);
    expect([...mapped, ...leftOut].sort()).toEqual(Object.keys(entryFields).sort());
  });

  test('stand in the README', () => {
    const lines = [
      ...productTable.map((it) => ({ ...it, core: `Product.${it.core}` })),
      ...licenceTable.map((it) => ({ ...it, core: `LicenceTerms.${it.core}` })),
    ].map((it) => `| \`${it.core}\` | ${it.eck.map((name) => `\`${name}\``).join(', ') || '–'} | ${it.how} |`);
    // Tables may be padded.
    const readme = readFileSync(join(here, 'README.md'), 'utf8').replace(/ {2,}/g, ' ');
    expect(readme.split('\n').filter((it) => /^\| `(Product|LicenceTerms)\./.test(it))).toEqual(lines);
    for (const [note, words] of Object.entries(notes)) expect(readme).toContain(`| \`${note}\` | ${words} |`);
    expect(readme).toContain(leftOut.map((it) => `\`${it}\``).join(', '));
  });
});

describe('a large catalogue', () => {
  test('5,000 records are read and mapped in seconds, one product at a time', () => {
    const many = example('01-sru-2.5.2.xml').toString();
    const record = many.slice(many.indexOf('<srw:record>'), many.indexOf('</srw:record>') + '</srw:record>'.length);
    const file = utf8(
      `<srw:searchRetrieveResponse xmlns:srw="http://www.loc.gov/zing/srw/"><srw:version>1.2</srw:version><srw:records>${Array.from({ length: 5000 }, (_, i) => record.replace('9789099990010', `getij-${i}`)).join('\n')}</srw:records></srw:searchRetrieveResponse>`,
    );
    const from = cpuMs();
    let products = 0;
    for (const { product } of outcomes(readCatalogue(file))) if (product?.productId === `getij-${products}`) products++;
    expect(products).toBe(5000);
    // Some tenfold of what it takes, so that only severe loss fails.
    expect(cpuMs() - from).toBeLessThan(20_000);
    expect(openDocuments()).toBe(0);
  });
});

test('the schemas are what the table says', async () => {
  for (const version of versions)
    await expect(catalogServiceXsd(version)).toMatchFileSnapshot(join(here, 'schemas', `eckcs-${version}.xsd`));
});

test('an Entry is known by its own namespace, whatever stands around it', () => {
  const mixed = result(
    entry({}, ' xmlns="http://dt2.eck.nl/schema/catalogservice/v2.2"'),
    entry({}, ' xmlns="http://dt2.eck.nl/schema/catalogservice/v9"'),
  );
  const catalogue = readCatalogue(utf8(mixed));
  expect(catalogue.records.map((it): Version | undefined => it.version)).toEqual(['2.2', undefined]);
  expect(toCore(catalogue).refusals.map((it) => it.code)).toEqual(['wire.version']);
});
