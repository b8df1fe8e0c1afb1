import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { readXml, type XmlElement } from '#adapters/xml';
import { Roster, type RosterLearner } from '#proto/eduk/core/v1/learner';
import { isPresent, published, publishedSchema } from './compare.ts';
import { inventSchool } from './examples/invent.ts';
import {
  countLosses,
  fromCore,
  type Loss,
  read,
  stripPgn,
  take,
  toCore,
  type Version,
  versions,
  writeValid,
} from './index.ts';
import { lossTables, readRows, writtenRows } from './losses.ts';

const example = (file: string) => readFileSync(join(import.meta.dirname, 'examples', file));
const written = (roster: Roster, version: Version = '2.1') => {
  const { wire, losses } = fromCore(roster, version);
  const text = writeValid(wire!, 'De Proef');
  return { text, roster: unveiled(toCore(read(Buffer.from(text)))), losses };
};
const sorted = <One extends { key: string }>(some: readonly One[]): One[] =>
  [...some].sort((a, b) => (a.key < b.key ? -1 : 1));
const byKey = (roster: Roster): Roster => ({
  ...roster,
  groups: sorted(roster.groups),
  staff: roster.staff.map((one) => ({ ...one, groups: sorted(one.groups) })),
});

describe('a roster as a file', () => {
  for (const file of ['01-primary.xml', '02-as-in-1.03.xml', '03-secondary-windows-1252.xml'])
    test(`${file} is read, written and read again: the same roster`, () => {
      const roster = unveiled(toCore(read(example(file))));
      const again = written(roster);
      expect(byKey(again.roster)).toEqual(byKey(roster));
      expect(again.losses).toEqual([]);
    });

  test('what does not fit is left out whole and listed; the file is a good one', () => {
    const long = 'x'.repeat(300);
    const { roster, losses } = written(
      Roster.fromPartial({
        schoolOin: '0000000700099XX00000',
        schoolYear: '2026-2027',
        groups: [
          { key: 'g1', name: '', yearGroup: 'Z' },
          { key: 'g1', name: 'Nog een' },
          { key: 'plus', name: long, composite: true },
        ],
        learners: [
          {
            ref: { lasKey: 'a', eckId: 'https://ketenid.nl/pilot/1' },
            person: { familyName: 'Es & <Zn>', familyNamePrefix: 'van der allerlangste', initials: 'A.B.C.D.' },
            groupKey: 'weg',
            compositeGroupKeys: ['plus', 'g1'],
            entersOn: '2026-02-31',
          },
          { ref: { lasKey: 'b', eckId: 'https://ketenid.nl/pilot/1' }, person: { callName: `Zo\u0001e` } },
          { ref: { lasKey: '', eckId: 'https://ketenid.nl/pilot/2' } },
          { person: { callName: 'Kee' } },
        ],
        staff: [{ ref: { lasKey: 's' }, person: { callName: 'Jo' }, duties: ['LRK', 'BAAS'], groups: [{ key: 'g1' }] }],
      }),
    );
    expect(roster.groups).toMatchObject([
      { key: 'g1', name: 'g1', yearGroup: 'N', composite: false },
      { key: 'plus', name: 'plus', composite: true },
    ]);
    expect(roster.learners).toMatchObject([
      { ref: { lasKey: 'a' }, person: { familyName: 'Es & <Zn>', familyNamePrefix: '', initials: '' }, groupKey: '' },
      { ref: { lasKey: 'b', eckId: '' }, person: { callName: 'onbekend' } },
      { ref: { lasKey: '#https://ketenid.nl/pilot/2', eckId: 'https://ketenid.nl/pilot/2' } },
      { ref: { lasKey: '#4' }, person: { callName: 'Kee' } },
    ]);
    expect(roster.learners[0]!.compositeGroupKeys).toEqual(['plus']);
    expect(roster.staff).toMatchObject([{ duties: ['LRK'], groups: [{ key: 'g1' }] }]);
    expect(losses.map(({ path, reason }) => `${path} ${reason}`)).toEqual([
      'groepen/*[2] unfit',
      'groepen/*[1]/jaargroep unfit',
      'groepen/*[1]/naam stand_in',
      'groepen/*[3]/naam unfit',
      'groepen/*[3]/naam stand_in',
      'leerlingen/leerling[3]/@key stand_in',
      'leerlingen/leerling[4]/@key stand_in',
      'leerlingen/leerling[1]/groep unfit',
      'leerlingen/leerling[1]/instroomdatum unfit',
      'leerlingen/leerling[1]/voorvoegsel unfit',
      'leerlingen/leerling[1]/voorletters-1 unfit',
      'leerlingen/leerling[1]/samengestelde_groepen unfit',
      'leerlingen/leerling[2]/@eckid unfit',
      'leerlingen/leerling[2]/roepnaam unfit',
      'leerlingen/leerling[2]/roepnaam stand_in',
      'leerlingen/leerling[3]/roepnaam stand_in',
      'leerkrachten/leerkracht[1]/rol unfit',
    ]);
    // Why, never what.
    expect(JSON.stringify(losses)).not.toMatch(/Es &|allerlangste|BAAS/);
  });

  test('of a roster without pupils there is no file', () => {
    expect(fromCore(Roster.fromPartial({ schoolYear: '2026-2027' })).wire).toBeUndefined();
  });

  test('a school without BRIN: instellingsnummer, or how it is known here', () => {
    for (const version of versions)
      for (const schoolOin of ['00000007VL0000012345', '00000007SKABCDEFGHIJ']) {
        const { roster, text } = written(
          Roster.fromPartial({ schoolOin, schoolYear: '2026-2027', learners: [{ ref: { lasKey: 'a' } }] }),
          version,
        );
        expect(roster.schoolOin).toBe(schoolOin);
        expect(text.includes('<instellingsnummer>12345<')).toBe(version !== '1.03' && schoolOin.includes('VL'));
      }
  });
});

/** Rosters as they may be held: any text in any field, keys that are told apart by white space only, codes of all versions. */
const text = (most: number) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.string({ maxLength: 12 }) },
    { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
    { weight: 1, arbitrary: fc.string({ minLength: most - 2, maxLength: most + 2 }) },
    { weight: 1, arbitrary: fc.constantFrom('', ' ', '\n', ' van ', ']]>', '&amp;', '<x/>', '\r\n', '\u0000') },
  );
const keyText = text(64).filter((it) => it !== '');
const anyRoster: fc.Arbitrary<Roster> = fc
  .record({
    groups: fc.uniqueArray(keyText, { maxLength: 6 }),
    pupils: fc.uniqueArray(keyText, { minLength: 1, maxLength: 6 }),
    sites: fc.uniqueArray(keyText, { maxLength: 3 }),
    teachers: fc.uniqueArray(keyText, { maxLength: 3 }),
  })
  .chain(({ groups, pupils, sites, teachers }) => {
    const composite = groups.map((_, i) => i % 3 === 2);
    const year = fc.constantFrom('', '0', '4', '8', '11', '16', 'B', 'C', 'H', 'N', 'S', 'Z');
    const day = fc.constantFrom('', '2026-08-01', '2012-02-29', '2026-02-31');
    const person = fc.record({
      familyName: text(200),
      familyNamePrefix: text(10),
      givenNames: text(200),
      initials: text(6),
      callName: text(64),
      birthDate: day,
      gender: fc.constantFrom('', '0', '1', '2', '9'),
      email: text(256),
      accountName: text(64),
    });
    const ref = (lasKey: string) =>
      fc.record({
        lasKey: fc.constantFrom(lasKey, lasKey, ''),
        eckId: fc.constantFrom('', `https://ketenid.nl/pilot/${Buffer.from(lasKey).toString('hex')}`),
      });
    const duties = fc.subarray(['LRK', 'TAL', 'VAK', 'BAAS']);
    return fc.record({
      schoolOin: fc.constantFrom('0000000700099XX00000', '00000007VL0000000012', '00000007SKABCDEFGHIJ', ''),
      schoolYear: fc.constantFrom('1991-1992', '2026-2027', '2031-2032'),
      asOf: day,
      madeAt: fc.constantFrom('', '2026-10-01T10:00:00Z', '2026-10-01T10:00:00+02:00', 'gisteren'),
      siteCode: fc.constantFrom('', '00', '07'),
      administration: fc.constantFrom('', '00002'),
      sites: fc.tuple(
        ...sites.map((key) => fc.record({ key: fc.constant(key), name: text(64), description: text(256) })),
      ),
      groups: fc.tuple(
        ...groups.map((key, i) =>
          fc.record({
            key: fc.constant(key),
            name: text(64),
            description: text(256),
            yearGroup: composite[i] ? fc.constant('') : year,
            composite: fc.constant(composite[i]!),
          }),
        ),
      ),
      learners: fc.tuple(
        ...pupils.map((key) =>
          fc.record({
            ref: ref(key),
            person: fc.option(person, { nil: undefined }),
            yearGroup: year,
            groupKey: fc.constantFrom('', ...groups.filter((_, i) => !composite[i])),
            compositeGroupKeys: fc.subarray(groups.filter((_, i) => composite[i])),
            siteKey: fc.constantFrom('', ...sites),
            entersOn: day,
            leavesOn: day,
            siteCodes: fc.subarray(['00', '07']),
          }),
        ),
      ),
      staff: fc.tuple(
        ...teachers.map((key) =>
          fc.record({
            ref: ref(key),
            person: fc.option(person, { nil: undefined }),
            groups: fc.array(fc.record({ key: fc.constantFrom('', ...groups), duties }), { maxLength: 2 }),
            duties,
          }),
        ),
      ),
    });
  });

/** Fields of a pupil, and under which elements their loss stands. */
const pupilFields: readonly [name: string, value: (of: RosterLearner) => unknown, elements: readonly string[]][] = [
  ['eckId', (it) => it.ref?.eckId, ['eckid']],
  ['lasKey', (it) => it.ref?.lasKey.trim(), ['key']],
  ['familyName', (it) => it.person?.familyName ?? '', ['achternaam']],
  ['familyNamePrefix', (it) => it.person?.familyNamePrefix ?? '', ['voorvoegsel']],
  ['givenNames', (it) => it.person?.givenNames ?? '', ['voornamen']],
  ['initials', (it) => it.person?.initials ?? '', ['voorletters-1']],
  ['callName', (it) => it.person?.callName ?? '', ['roepnaam']],
  ['birthDate', (it) => it.person?.birthDate ?? '', ['geboortedatum']],
  ['gender', (it) => it.person?.gender ?? '', ['geslacht']],
  ['email', (it) => it.person?.email ?? '', ['emailadres']],
  ['accountName', (it) => it.person?.accountName ?? '', ['gebruikersnaam']],
  ['entersOn', (it) => it.entersOn, ['instroomdatum']],
  ['leavesOn', (it) => it.leavesOn, ['uitstroomdatum']],
];

describe.each(versions)('any roster that can be held, as EDEXML %s', (version) => {
  const rows = writtenRows(version);

  test('is written, is valid, and is read back; every difference is a listed loss', () => {
    fc.assert(
      fc.property(anyRoster, (roster) => {
        const { wire, losses } = fromCore(roster, version);
        const text = writeValid(wire!);
        const again = unveiled(toCore(read(Buffer.from(text))));
        for (const { element, reason } of losses)
          expect(rows.some((row) => row.element === element && row.reason === reason)).toBe(true);
        const lost = (path: string, ...elements: string[]): Loss[] =>
          losses.filter((loss) => loss.path.startsWith(path) && elements.includes(loss.element));
        expect(again.learners).toHaveLength(roster.learners.length);
        expect(again.staff).toHaveLength(roster.staff.length);
        expect(again.schoolOin).toBe(roster.schoolOin);
        expect(again.schoolYear).toBe(roster.schoolYear);
        if (again.madeAt === '') expect(roster.madeAt === '' || lost('school', 'aanmaakdatum').length > 0).toBe(true);
        else expect(Date.parse(again.madeAt)).toBe(Date.parse(roster.madeAt));
        if (again.asOf !== roster.asOf) expect(lost('school', 'peildatum')).not.toEqual([]);
        if (again.siteCode !== roster.siteCode) expect(lost('school', 'dependancecode')).not.toEqual([]);
        const gone = lost('groepen/*', 'groep', 'samengestelde_groep').length;
        expect(again.groups).toHaveLength(roster.groups.length - gone);
        expect(again.sites).toHaveLength(version === '1.03' ? 0 : roster.sites.length);
        for (const [i, pupil] of roster.learners.entries()) {
          const path = `leerlingen/leerling[${i + 1}]/`;
          for (const [name, value, elements] of pupilFields)
            if (value(again.learners[i]!) !== value(pupil))
              expect([name, lost(path, ...elements).length > 0]).toEqual([name, true]);
          if ((again.learners[i]!.groupKey === '') !== (pupil.groupKey.trim() === ''))
            expect(lost(path, 'groep')).not.toEqual([]);
          if ((again.learners[i]!.siteKey === '') !== (pupil.siteKey.trim() === ''))
            expect(lost(path, 'vestiging')).not.toEqual([]);
          if (again.learners[i]!.yearGroup !== pupil.yearGroup) {
            // Who has none is told that of its group.
            const group = again.groups.find(({ key }) => key === again.learners[i]!.groupKey);
            const isTold = pupil.yearGroup === '' && again.learners[i]!.yearGroup === group?.yearGroup;
            expect(isTold || lost(path, 'jaargroep').length > 0).toBe(true);
          }
          expect(again.learners[i]!.compositeGroupKeys.length).toBe(
            pupil.compositeGroupKeys.filter((key) => key.trim() !== '').length -
              lost(path, 'samengestelde_groep').length,
          );
        }
        for (const [i, one] of roster.staff.entries()) {
          const path = `leerkrachten/leerkracht[${i + 1}]/`;
          const duties = (all: readonly string[]) => all.length;
          const before = duties(one.duties) + one.groups.reduce((sum, group) => sum + duties(group.duties), 0);
          const after =
            duties(again.staff[i]!.duties) +
            again.staff[i]!.groups.reduce((sum, group) => sum + duties(group.duties), 0);
          if (before !== after)
            expect(
              lost(path, 'rol', 'groep', 'samengestelde_groep').length > 0 ||
                one.groups.some(({ key }) => key.trim() === ''),
            ).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  test.skipIf(!isPresent())('a file is valid by the published schema too', () => {
    const roster = unveiled(toCore(read(Buffer.from(inventSchool({ pupils: 60, schooljaar: '2018-2019' })))));
    const { text, losses } = written(roster, version);
    expect(text).toContain(`<xsdversie>${version}</xsdversie>`);
    readXml(Buffer.from(text), { schema: publishedSchema(version) });
    if (version === '2.1') expect(losses).toEqual([]);
    for (const { element, reason } of countLosses(losses))
      expect(lossTables.find(({ to }) => to.endsWith(version))!.rows).toContainEqual(
        expect.objectContaining({ element, reason }),
      );
  });
});

describe.skipIf(!isPresent())('EDEXML → core → EDEXML', () => {
  const left = new Set<string>(readRows.map(({ element }) => element));
  /** Leaves and attributes of a file with where they stand, but for what the table lists. */
  const facts = (element: XmlElement, at = ''): string[] => {
    if (left.has(element.name)) return [];
    const key = element.attrs['key']?.trim() ?? '';
    const path = `${at}/${element.name}${key && `(${key})`}`;
    const eckid = element.attrs['eckid'] === undefined ? [] : [`${path}/@eckid=${element.attrs['eckid']}`];
    const own = element.children.every(({ name }) => left.has(name)) ? [`${path}=${element.text.trim()}`] : [];
    return [...eckid, ...own, ...element.children.flatMap((it) => facts(it, path))];
  };
  /** A moment without zone is Dutch, and is written in UTC; who has no year group has that of its group. */
  const comparable = (root: XmlElement): string[] =>
    facts(root)
      .filter((fact) => !/aanmaakdatum|jaargroep/.test(fact) || /groepen\/groep.*jaargroep/.test(fact))
      .sort();

  const files = [
    ...(isPresent() ? readdirSync(new URL('examples/', published)) : []).map((name) => [name, published] as const),
    ...['01-primary.xml', '02-as-in-1.03.xml'].map((name) => [name, undefined] as const),
  ];
  test.each(files)('%s: equal up to what the tables list', (name, from) => {
    const bytes = stripPgn(from ? readFileSync(new URL(`examples/${name}`, from)) : example(name));
    const { wire, losses } = take(bytes, {});
    const { wire: back, losses: lostAgain } = fromCore(unveiled(toCore(wire)));
    expect(comparable(readXml(Buffer.from(writeValid(back!))).root)).toEqual(comparable(readXml(bytes).root));
    expect(lostAgain).toEqual([]);
    for (const { element } of losses) expect(left.has(element)).toBe(true);
  });
});
