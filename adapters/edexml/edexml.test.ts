import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { closeWorker, openDocuments, WORKER_BYTES } from '#adapters/xml';
import { GatewayError } from '#kernel';
import { Roster } from '#proto/eduk/core/v1/learner';
import { inventSchool } from './examples/invent.ts';
import adapter, { accept, type EDEX, read, readApart, refusePgn, stripPgn, toCore } from './index.ts';

const example = (file: string) => readFileSync(new URL(`./examples/${file}`, import.meta.url));
const utf8 = (text: string) => Buffer.from(text, 'utf8');
const primary = example('01-primary.xml').toString('utf8');

function refused(use: () => unknown): GatewayError {
  try {
    use();
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error('was not refused');
}

afterAll(async () => {
  await closeWorker();
  expect(openDocuments()).toBe(0);
});

describe('examples', () => {
  test.each(adapter.exchanges.EDEX.examples)('$file: $shows', ({ file }) => {
    const means = JSON.parse(example(file.replace('.xml', '.core.json')).toString('utf8'));
    expect(Roster.toJSON(unveiled(toCore(read(example(file)))))).toEqual(means);
  });

  test('what is never taken in, is not in the wire', () => {
    const all = JSON.stringify(read(utf8(primary)));
    expect(primary).toMatch(/fotourl/);
    expect(all).not.toMatch(/foto|9999XX|0000"|land|Kleurblok|groen|Leerlingadministratie/);
  });
});

describe('what is refused', () => {
  test.each([
    ['another root', '<EDEXX/>', 'wire.invalid'],
    ['a namespace', primary.replace('<EDEX ', '<EDEX xmlns="urn:x" '), 'wire.invalid'],
    ['no pupils', primary.replace(/<leerlingen>[\s\S]*<\/leerlingen>/, '<leerlingen/>'), 'wire.invalid'],
    ['a key given twice', primary.replace('key="L-1002"', 'key="L-1001"'), 'wire.invalid'],
    ['an ECK iD given twice', primary.replace('pilot/0903a', 'pilot/1001a'), 'wire.invalid'],
    ['a group that is not there', primary.replace('<groep key="g12"/>', '<groep key="g13"/>'), 'wire.invalid'],
    [
      'a composite group where a base group is meant',
      primary.replace('<groep key="g12"/>', '<groep key="plus"/>'),
      'wire.invalid',
    ],
    ['a site that is not there', primary.replace('<vestiging key="zuid"/>', '<vestiging key="oost"/>'), 'wire.invalid'],
    ['years that do not follow each other', primary.replace('2026-2027', '2026-2028'), 'wire.invalid'],
    ['a year before the standard', primary.replace('2026-2027', '1990-1991'), 'wire.invalid'],
    ['a DOCTYPE', primary.replace('<EDEX ', '<!DOCTYPE EDEX><EDEX '), 'wire.unreadable'],
    ['half a file', primary.slice(0, 2_000), 'wire.unreadable'],
  ])('%s', (_, text, fault) => {
    expect(text).not.toBe(primary);
    const error = refused(() => read(utf8(text)));
    expect(error.fault).toBe(fault);
    const said = adapter.sayFault(error) + error.message + error.stack;
    for (const value of ['Plooistra', 'Zoë', 'Gijs', 'L-1001', '1001a', '0903a', 'g13', '2026-2028', 'Fenna', 'zoe@'])
      expect(said).not.toContain(value);
  });

  test('keys that differ in white space only, when the meaning is taken', () => {
    const text = primary.replace('key="L-1002"', 'key=" L-1001"');
    expect(refused(() => toCore(read(utf8(text))))).toMatchObject({
      fault: 'wire.invalid',
      where: [{ path: 'EDEX/leerlingen/leerling[2]/@key' }],
    });
  });
});

describe('personal numbers', () => {
  // Not anyone's: none of these passes the eleven-test.
  const numbered = (element: string, number = '123456780') =>
    primary.replace('<bsn_ondwnr-4>0000</bsn_ondwnr-4>', `<${element}>${number}</${element}>`);

  test.each(['bsn', 'sofinummer', 'onderwijsnummer'])(
    '%s: the file is EDEXML, and refused with its place',
    (element) => {
      const bytes = utf8(numbered(element));
      const file = accept(bytes);
      const error = refused(() => refusePgn(file));
      expect(error).toMatchObject({
        fault: 'wire.pgn',
        where: [
          {
            path: `EDEX/leerlingen/leerling[1]/${element}`,
            line: primary.slice(0, primary.indexOf('<bsn_ondwnr-4>')).split('\n').length,
          },
        ],
      });
      expect(refused(() => read(bytes))).toEqual(error);
      expect(adapter.sayFault(error)).not.toContain('123456780');
    },
  );

  test('the Belgian number too', () => {
    expect(refused(() => read(utf8(numbered('rijksregisternummer', '12345678900')))).fault).toBe('wire.pgn');
  });

  test('a number in a private block', () => {
    const text = primary.replace(
      '<kleur>groen</kleur>',
      '<kind><BSN> 123456780 </BSN><x bsn="123.456.780"/><bsn/><pgn><waarde>123456</waarde><waarde>780</waarde></pgn></kind>',
    );
    expect(refused(() => read(utf8(text))).where).toEqual([
      { path: 'toevoegingen/bsn', line: 34 },
      { path: 'toevoegingen/@bsn', line: 34 },
      { path: 'toevoegingen/pgn', line: 34 },
    ]);
  });

  test('many: a hundred are named, the rest is counted', () => {
    const error = refused(() => read(utf8(inventSchool({ pupils: 600, numbers: true }))));
    expect(error.where.length).toBe(100);
    expect(error.told).toMatch(/: 200\. The first 100 are named, 100 more follow\./);
  });

  test('stripPgn takes them out and leaves every other byte', () => {
    const text = numbered('bsn')
      .replace('<kleur>', '<bsn x=">"><!-- a --><deel>12</deel>3456780</bsn><kleur>')
      .replace('</EDEX>', '<!-- <bsn>123456780</bsn> --></EDEX>\r\n');
    const stripped = Buffer.from(stripPgn(utf8(text))).toString('utf8');
    expect(stripped).toBe(primary.replace('<bsn_ondwnr-4>0000</bsn_ondwnr-4>', '').replace('</EDEX>', '</EDEX>\r\n'));
    read(utf8(stripped));
  });

  test.each<[string, (text: string) => Buffer]>([
    ['windows-1252', (text) => Buffer.from(text.replace('UTF-8', 'windows-1252'), 'latin1')],
    ['UTF-16', (text) => Buffer.from('\ufeff' + text.replace('UTF-8', 'UTF-16'), 'utf16le')],
    ['UTF-16, other byte order', (text) => Buffer.from('\ufeff' + text.replace('UTF-8', 'UTF-16'), 'utf16le').swap16()],
    ['UTF-8 with a mark', (text) => utf8('\ufeff' + text)],
  ])('stripPgn in %s', (_, encode) => {
    const without = primary.replace('<bsn_ondwnr-4>0000</bsn_ondwnr-4>', '');
    expect(Buffer.from(stripPgn(encode(numbered('sofinummer')))).equals(encode(without))).toBe(true);
  });

  test('stripPgn takes them out of attributes, comments and instructions too', () => {
    const own = (more: string) =>
      primary.replace('</EDEX>', `${more}</EDEX>`).replace('<school>', `<!-- p. 12 --><school>`);
    const block = (attrs: string) => `<toevoegingen${attrs}><rij${attrs} kop="bsn='1'" los="a > b"/></toevoegingen>`;
    const file = own('').replace(/(<leerling key="[^"]*"[^>]*>)/, `$1<?las 123456782?><!-- 1234.56.782 -->`);
    const withBlock = file.replace('</leerling>', `${block(` bsn="123456782" x:PGN = '123456782'`)}</leerling>`);
    const numbered = withBlock.replace('<EDEX', '<EDEX xmlns:x="urn:x"');
    expect(refused(() => read(utf8(numbered))).fault).toBe('wire.pgn');
    const stripped = Buffer.from(stripPgn(utf8(numbered))).toString('utf8');
    expect(stripped).not.toMatch(/123456782|1234\.56/);
    expect(stripped).toContain(`<toevoegingen><rij kop="bsn='1'" los="a > b"/></toevoegingen>`);
    expect(stripped).toContain('<!-- p. 12 -->');
    read(utf8(stripped));
  });

  test('stripPgn promises nothing about what is not XML', () => {
    expect(refused(() => stripPgn(utf8(numbered('bsn').slice(0, -10)))).fault).toBe('wire.unreadable');
  });
});

describe('mapping', () => {
  const key = fc.string({ minLength: 1, maxLength: 12 }).filter((it) => it.trim() === it && it !== '');
  const maybe = <T>(it: fc.Arbitrary<T>) => fc.option(it, { nil: undefined });
  const edex: fc.Arbitrary<EDEX> = fc
    .record({
      groups: fc.uniqueArray(key, { minLength: 1, maxLength: 6 }),
      pupils: fc.uniqueArray(key, { minLength: 1, maxLength: 8 }),
      sites: fc.uniqueArray(key, { maxLength: 3 }),
    })
    .chain(({ groups, pupils, sites }) => {
      const base = groups.filter((_, i) => i % 2 === 0);
      const composite = groups.filter((_, i) => i % 2 === 1);
      const some = (list: string[]) => (list.length > 0 ? maybe(fc.constantFrom(...list)) : fc.constant(undefined));
      return fc.record({
        school: fc.record({
          schooljaar: fc.constant('2026-2027'),
          brincode: maybe(fc.constant('99ZT')),
          peildatum: maybe(fc.constant('2026-10-01')),
        }),
        vestigingen: fc.constant(sites.map((it) => ({ key: it, naam: it }))),
        groepen: fc.constant(groups.map((it, i) => ({ key: it, naam: it, ...(i % 2 === 0 && { jaargroep: '4' }) }))),
        leerlingen: fc.tuple(
          ...pupils.map((it) =>
            fc.record({
              key: fc.constant(it),
              eckid: maybe(fc.constant(`https://ketenid.nl/pilot/${encodeURIComponent(it)}`)),
              roepnaam: maybe(fc.string({ minLength: 1 })),
              geslacht: maybe(fc.constantFrom('0', '1', '2', '9', '01', ' 2 ')),
              jaargroep: maybe(fc.constantFrom('4', 'C', 'H')),
              groep: some(base),
              vestiging: some(sites),
              samengestelde_groepen: fc.subarray(composite),
            }),
          ),
        ),
        leerkrachten: fc.array(
          fc.record({
            key,
            rol: fc.constant(['LRK']),
            groepen: fc.subarray(groups).map((them) => them.map((it) => ({ key: it, rol: [] }))),
          }),
          { maxLength: 1 },
        ),
      });
    });

  test('no key, group or reference is lost or invented, whatever the file', () => {
    fc.assert(
      fc.property(edex, (wire) => {
        const roster = unveiled(toCore(wire));
        expect(roster.sites.map((it) => it.key)).toEqual(wire.vestigingen.map((it) => it.key));
        expect(roster.groups.map((it) => [it.key, it.composite])).toEqual(
          wire.groepen.map((it) => [it.key, it.jaargroep === undefined]),
        );
        expect(
          roster.learners.map((it) => [it.ref!.lasKey, it.ref!.eckId, it.groupKey, it.siteKey, it.compositeGroupKeys]),
        ).toEqual(
          wire.leerlingen.map((it) => [
            it.key,
            it.eckid ?? '',
            it.groep ?? '',
            it.vestiging ?? '',
            it.samengestelde_groepen,
          ]),
        );
        expect(roster.staff.map((it) => it.groups.map((group) => group.key))).toEqual(
          wire.leerkrachten.map((it) => it.groepen.map((group) => group.key)),
        );
        for (const it of roster.learners) expect(['', '0', '1', '2', '9']).toContain(it.person!.gender);
        // It survives the core's own wire form.
        expect(Roster.decode(Roster.encode(roster).finish())).toEqual(roster);
      }),
    );
  });

  const moment = (aanmaakdatum: string) =>
    unveiled(
      toCore({
        school: { schooljaar: '2026-2027', aanmaakdatum },
        vestigingen: [],
        groepen: [],
        leerlingen: [],
        leerkrachten: [],
      }),
    ).madeAt;
  test.each([
    ['2026-07-01T12:00:00', '2026-07-01T10:00:00Z'],
    ['2026-12-01T00:30:00', '2026-11-30T23:30:00Z'],
    ['2026-03-29T01:59:59', '2026-03-29T00:59:59Z'],
    ['2026-03-29T03:00:00', '2026-03-29T01:00:00Z'],
    ['2026-10-25T03:00:00', '2026-10-25T02:00:00Z'],
    [' 2026-12-01T00:30:00.123+14:00 ', '2026-11-30T10:30:00Z'],
    ['2026-12-01T00:30:00Z', '2026-12-01T00:30:00Z'],
    ['12026-12-01T00:30:00Z', ''],
  ])('made at %s is %s', (wire, core) => expect(moment(wire)).toBe(core));
});

test('a large file is read in the worker, with the same outcome', async () => {
  const good = utf8(inventSchool({ pupils: 700 }));
  expect(good.length).toBeGreaterThan(WORKER_BYTES);
  expect(await readApart(good)).toEqual(read(good));
  const numbered = utf8(inventSchool({ pupils: 700, numbers: true }));
  expect(await readApart(numbered).catch((thrown) => thrown)).toEqual(refused(() => read(numbered)));
});
