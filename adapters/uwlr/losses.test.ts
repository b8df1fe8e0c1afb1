import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Clear } from '#kernel';
import { Roster, type RosterLearner, type RosterStaff } from '#proto/eduk/core/v1/learner';
import { RosterWriter } from './answer.ts';
import { lossTables } from './losses.ts';
import { RosterParts } from './mapping.ts';
import { roster } from './testing.ts';
import type { AnswerForm } from './versions.ts';
import type { Leerkracht, Leerling, Naam } from './wire.ts';

const form = fc.record({
  version: fc.constantFrom('2.2', '2.3'),
  fields: fc.constantFrom('smalle', 'lvs', 'whole'),
}) as fc.Arbitrary<AnswerForm>;
const setName = { smalle: 'Smalle set', lvs: 'LVS-set', whole: '' } as const;

/** Core and wire side by side: what of a person is not as it was said. */
const nameOf = (person: RosterLearner['person'], wire: Naam) => ({
  achternaam: [person?.familyName, wire.achternaam],
  voorvoegsel: [person?.familyNamePrefix, wire.voorvoegsel],
  voornamen: [person?.givenNames, wire.voornamen],
  'voorletters-1': [person?.initials, wire['voorletters-1']],
  roepnaam: [person?.callName, wire.roepnaam],
});
const ofLearner = (l: RosterLearner, w: Leerling) => ({
  ...nameOf(l.person, w),
  key: [l.ref?.lasKey, w.key],
  geboortedatum: [l.person?.birthDate, w.geboortedatum],
  geslacht: [l.person?.gender, w.geslacht],
  jaargroep: [l.yearGroup, w.jaargroep],
  vestiging: [l.siteKey, w.vestiging?.key],
  gebruikersnaam: [l.person?.accountName, w.gebruikersnaam],
  emailadres: [l.person?.email, w.emailadres],
  instroomdatum: [l.entersOn, w.instroomdatum],
  uitstroomdatum: [l.leavesOn, w.uitstroomdatum],
});
const ofTeacher = (s: RosterStaff, w: Leerkracht) => ({
  ...nameOf(s.person, w),
  key: [s.ref?.lasKey, w.key],
  gebruikersnaam: [s.person?.accountName, w.gebruikersnaam],
  emailadres: [s.person?.email, w.emailadres],
  geboortedatum: [s.person?.birthDate, undefined],
  geslacht: [s.person?.gender, undefined],
});
const otherwise = (pairs: Record<string, (string | undefined)[]>): string[] =>
  Object.entries(pairs).flatMap(([name, [core, wire]]) => ((core ?? '') === (wire ?? '') ? [] : [name]));
/** As an element of a person, whichever table names it. */
const bare = (element: string): string => element.replace(/^(leerling|leerkracht)\//, '');

test('what is not in an answer as it was said is counted, each time, and nothing else is', () => {
  fc.assert(
    fc.property(roster(), form, (given, form) => {
      for (const kind of ['learners', 'staff'] as const)
        for (const [i, one] of given[kind].entries()) {
          const parts = new RosterParts(form);
          parts.head(given);
          const before = new Map(parts.losses.list().map((loss) => [`${loss.reason} ${loss.element}`, loss.count]));
          const wire =
            kind === 'learners'
              ? otherwise(ofLearner(given.learners[i]!, parts.learners([one as RosterLearner])[0]!))
              : otherwise(ofTeacher(given.staff[i]!, parts.staff([one as RosterStaff])[0]!));
          const counted = parts.losses
            .list()
            .filter(({ reason, element, count }) => count > (before.get(`${reason} ${element}`) ?? 0))
            .map(({ element }) => bare(element))
            .filter((element) => element !== 'rol' && element !== 'rolomschrijving');
          // A long prefix goes before the family name, which is lost only where both are too long for it.
          const isMoved = [...(one.person?.familyNamePrefix ?? '')].length > 10;
          const seen = (names: string[]) =>
            [...new Set(names)].filter((name) => !isMoved || name !== 'achternaam').sort();
          expect(seen(counted)).toEqual(seen(wire));
        }
    }),
    { numRuns: 300 },
  );
});

test('everything that an answer counts has a row in the tables that are printed', () => {
  fc.assert(
    fc.property(roster(), form, (given, form) => {
      fc.pre(given.schoolYear !== '');
      const writer = new RosterWriter('HaalLeerlinggegevens', form);
      const page = (part: Partial<Roster>) => new Clear({ ...given, ...part } as Roster);
      writer.open(page({ learners: [], staff: [] }));
      writer.learners(page({}));
      writer.close(page({}));
      const rows = lossTables
        .filter(
          ({ from, to }) =>
            from === 'core' &&
            (to.includes('every set') || to === `UWLR ${form.version} leerlinggegevens (${setName[form.fields]})`),
        )
        .flatMap((table) => table.rows.map(({ element, reason }) => `${reason} ${element}`));
      for (const { element, reason } of writer.losses.list()) expect(rows).toContain(`${reason} ${element}`);
    }),
    { numRuns: 300 },
  );
});

test('a roster that fits loses nothing; of groups that an operation does not tell of nothing is lost', () => {
  const fits = Roster.fromPartial({
    schoolOin: '0000000700088QP00000',
    schoolYear: '2026-2027',
    groups: [{ key: '7a', name: '7a', yearGroup: '7' }],
    learners: [
      {
        ref: { lasKey: 'L1', eckId: 'https://ketenid.nl/pilot/1' },
        person: { familyName: 'Plooistra', callName: 'Zoë' },
        yearGroup: '7',
        groupKey: '7a',
      },
    ],
  });
  const lost = (given: Roster, operation: 'HaalLeerlinggegevens' | 'HaalLeerlingen' = 'HaalLeerlinggegevens') => {
    const writer = new RosterWriter(operation, { version: '2.2', fields: 'smalle' });
    writer.open(new Clear(given));
    writer.learners(new Clear(given));
    writer.close(new Clear(given));
    return writer.losses.list();
  };
  expect(lost(fits)).toEqual([]);
  const long = { ...fits, groups: [{ ...fits.groups[0]!, name: 'x'.repeat(65), description: 'de zevende' }] };
  expect(lost(long)).toEqual([
    { element: 'naam', reason: 'unfit', count: 1 },
    { element: 'groep/omschrijving', reason: 'minimised', count: 1 },
  ]);
  expect(lost(long, 'HaalLeerlingen')).toEqual([]);
});
