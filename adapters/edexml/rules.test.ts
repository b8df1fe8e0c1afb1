import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { GatewayError, keyedSchoolOin } from '#kernel';
import { type Given, read, take, toCore } from './index.ts';

const primary = readFileSync(join(import.meta.dirname, 'examples/01-primary.xml'), 'utf8');
const bytes = (text: string) => Buffer.from(text);
const lineOf = (text: string, part: string) => text.slice(0, text.indexOf(part)).split('\n').length;
function refused(text: string, given: Given = {}): GatewayError {
  try {
    read(bytes(text), given);
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error('was not refused');
}

describe('hard faults', () => {
  test('are told all at once, with their lines, of whatever kind', () => {
    const text = primary
      .replace('<schooljaar>2026-2027<', '<schooljaar>2026-2028<')
      .replace('<geslacht>2<', '<geslacht>5<')
      .replace('key="L-1002"', 'key=" L-1001"')
      .replace('<groep key="g12"/>', '<groep key="g13"/>')
      .replace('<bsn_ondwnr-4>0000</bsn_ondwnr-4>', '<bsn>123456780</bsn>');
    const error = refused(text);
    expect(error.fault).toBe('wire.invalid');
    const lines = error.where.map(({ line }) => line);
    for (const part of ['2026-2028', '<geslacht>5', 'key=" L-1001"', 'key="g13"', '<bsn>'])
      expect([part, lines.includes(lineOf(text, part))]).toEqual([part, true]);
    expect(lines).toEqual([...lines].sort((a, b) => a! - b!));
    expect(error.told).toMatch(/Places in all: 5\. Among them personal numbers: 1\.$/);
    // Of each it is said what is wrong there.
    expect(error.told.match(/, line \d+: (?=[^.]+\.)/g)).toHaveLength(5);
    for (const kind of [
      'this is no school year',
      'not in its list',
      'given twice',
      'refers to nothing',
      'a personal number',
    ])
      expect(error.told).toContain(kind);
    expect(error.told + JSON.stringify(error.where)).not.toMatch(/2026-2028|L-1001|g13|123456780/);
  });

  test('numbers alone are wire.pgn', () => {
    const text = primary.replace('<bsn_ondwnr-4>0000</bsn_ondwnr-4>', '<bsn>123456780</bsn>');
    expect(refused(text)).toMatchObject({ fault: 'wire.pgn', where: [{ line: lineOf(text, '<bsn>') }] });
  });

  test.each([
    ['a BRIN in digits of another script', primary.replace(/<brincode>\d\d/, '<brincode>٣٤'), 'EDEX/school/brincode'],
    [
      'an instellingsnummer in them',
      primary.replace(
        /<brincode>[\s\S]*<\/brincode>\s*(<dependancecode>\d+<\/dependancecode>)?/,
        '<instellingsnummer>٣٤</instellingsnummer>',
      ),
      'EDEX/school/instellingsnummer',
    ],
    [
      'an ECK iD twice but for a space',
      primary.replace(/eckid="([^"]*1001a)"([\s\S]*?)eckid="[^"]*0903a"/, 'eckid="$1"$2eckid="$1 "'),
      'EDEX/leerlingen/leerling',
    ],
  ])('%s', (_, text, path) => {
    expect(text).not.toBe(primary);
    const { fault, where } = refused(text);
    expect(fault).toBe('wire.invalid');
    expect(where[0]!.path).toContain(path);
  });
});

describe('a file without header', () => {
  const headless = primary.replace(/<school>[\s\S]*<\/school>/, '');
  test('is refused, and it is said what to give', () => {
    for (const given of [{}, { schoolOin: '0000000700099XX00000' }, { schoolYear: '2026-2027' }]) {
      const error = refused(headless, given);
      expect(error.told).toContain('name both with it (school, schooljaar)');
      expect(error.where[0]).toMatchObject({ path: 'EDEX/school' });
    }
  });
  test('is taken with both', () => {
    const given = { schoolOin: '0000000700099XX00000', schoolYear: '2026-2027' };
    expect(unveiled(toCore(read(bytes(headless), given), given))).toMatchObject(given);
  });
  test('with a header, another year than the one named is refused', () => {
    const given = { schoolOin: '0000000700099XX00000', schoolYear: '2025-2026' };
    expect(refused(primary, given).where[0]!.path).toBe('EDEX/school/schooljaar');
  });
});

describe('which school', () => {
  const sender = '00000003123456780000';
  const school = (said: string, as: { sender?: string; schoolOin?: string } = {}) =>
    unveiled(
      toCore(
        read(bytes(primary.replace(/<brincode>[\s\S]*<\/brincode>\s*(<dependancecode>\d+<\/dependancecode>)?/, said))),
        as,
      ),
    ).schoolOin;
  const key = '<schoolkey> 41323 </schoolkey>';
  test('in Flanders by its instellingsnummer, else by the schoolkey of that sender, else by none', () => {
    expect(school(`<instellingsnummer>01234</instellingsnummer>${key}`, { sender })).toBe('00000007VL0000001234');
    expect(school(key, { sender })).toBe(keyedSchoolOin(sender, '41323'));
    expect(school(key, { sender: '00000003876543210000' })).not.toBe(keyedSchoolOin(sender, '41323'));
    expect(school(key)).toBe('');
    expect(school('<schoolkey>0000000700099ZY00000</schoolkey>')).toBe('0000000700099ZY00000');
  });
  test('who names it decides', () => {
    const as = { sender, schoolOin: '0000000700099ZZ00000' };
    expect(school('<instellingsnummer>1234</instellingsnummer>', as)).toBe(as.schoolOin);
    expect(school(key, as)).toBe(as.schoolOin);
    expect(school('<brincode>99ZA</brincode>', as)).toBe(as.schoolOin);
    expect(school('<brincode>99ZA</brincode>')).toBe('0000000700099ZA00000');
  });
  test('where the file names another one it is warned of, with its line', () => {
    const warned = (schoolOin?: string, text = primary) =>
      take(bytes(text), schoolOin === undefined ? {} : { schoolOin }).warnings.filter(
        ({ code }) => code === 'other_school',
      );
    expect(warned()).toEqual([]);
    expect(warned('0000000700099ZX00000')).toEqual([]);
    expect(warned('0000000700099ZZ00000')).toMatchObject([
      { count: 1, where: [{ path: 'EDEX/school/brincode', line: lineOf(primary, '<brincode>') }] },
    ]);
    const flemish = primary.replace(
      /<brincode>[\s\S]*<\/brincode>\s*(<dependancecode>\d+<\/dependancecode>)?/,
      '<instellingsnummer>01234</instellingsnummer>',
    );
    expect(warned('00000007VL0000001234', flemish)).toEqual([]);
    expect(warned('0000000700099ZZ00000', flemish)).toMatchObject([
      { where: [{ path: 'EDEX/school/instellingsnummer' }] },
    ]);
  });
});

describe('soft rules', () => {
  const nowMs = Date.parse('2026-11-22T12:00:00Z');
  const codes = (text: string) => take(bytes(text), { nowMs }).warnings.map(({ code }) => code);
  test.each([
    ['year_group_missing', primary.replace(/<jaargroep>7<\/jaargroep>(?=\s*<groep key)/, ''), /<leerling key/],
    [
      'year_group_unclear',
      primary.replace(/(<naam>[^<]*<\/naam>\s*)<jaargroep>\d<\/jaargroep>/, '$1<jaargroep>C</jaargroep>'),
      /<jaargroep>C/,
    ],
    [
      'past_pupil_without_end',
      primary.replace(/<jaargroep>7<\/jaargroep>(?=\s*<groep key)/, '<jaargroep>H</jaargroep>'),
      /<leerling key/,
    ],
    ['year_past', primary.replace('2026-2027', '2025-2026'), /<schooljaar>/],
    ['version_missing', primary.replace(/<xsdversie>[^<]*<\/xsdversie>/, ''), /<school>/],
    ['key_spaces', primary.replace('key="L-1002"', 'key="L-1002 "'), /key="L-1002 "/],
    ['key_dummy', primary.replace('key="L-1002"', 'key="#2"'), /key="#2"/],
    [
      'prefix_in_name',
      primary.replace(
        /<achternaam>Plooistra<\/achternaam>\s*<voorvoegsel>[^<]*<\/voorvoegsel>/,
        '<achternaam>van der Plooistra</achternaam>',
      ),
      /<achternaam>van/,
    ],
  ])('%s is a warning with its line, and the file is taken', (code, text, at) => {
    expect(text).not.toBe(primary);
    const before = codes(primary);
    const { warnings } = take(bytes(text), { nowMs });
    const warning = warnings.find((one) => one.code === code)!;
    expect(warning).toMatchObject({ code, count: warning.where.length });
    expect(codes(text).length).toBeGreaterThanOrEqual(before.length);
    const line = text.slice(0, text.search(at)).split('\n').length;
    expect(warning.where.map(({ line }) => line)).toContain(line);
    expect(JSON.stringify(warnings)).not.toMatch(/Plooistra|L-100/);
  });

  test('a pupil of 1.03 has a group or a year group, and that is no fault', () => {
    expect(codes(readFileSync(join(import.meta.dirname, 'examples/02-as-in-1.03.xml'), 'utf8'))).toEqual([
      'year_past',
      'key_spaces',
    ]);
  });

  test('a hundred places are named, all are counted', () => {
    const text = primary.replace(
      '</leerlingen>',
      `${Array.from({ length: 150 }, (_, i) => `<leerling key="x${i}"><roepnaam>x</roepnaam></leerling>`).join('\n')}</leerlingen>`,
    );
    const warning = take(bytes(text)).warnings.find(({ code }) => code === 'year_group_missing')!;
    expect(warning.count).toBeGreaterThanOrEqual(150);
    expect(warning.where).toHaveLength(100);
  });
});

test('what is left in a file is counted by element, and lines are known of who is in it', () => {
  const { losses, lines, wire } = take(bytes(primary));
  expect(losses).toContainEqual({ element: 'fotourl', reason: 'minimised', count: 1 });
  expect(losses).toContainEqual({ element: 'bsn_ondwnr-4', reason: 'minimised', count: 1 });
  expect(losses.find(({ element }) => element === 'toevoegingen')).toMatchObject({ reason: 'minimised' });
  expect(lines.learners).toHaveLength(wire.leerlingen.length);
  expect(lines.learners[0]).toBe(lineOf(primary, '<leerling key'));
});
