/** Rosters that nobody made up by hand, for the tests of this folder. */
import fc from 'fast-check';
import type { Roster } from '#proto/eduk/core/v1/learner';

const word = (max: number) => fc.string({ unit: 'binary', maxLength: max });
const some = (max: number) =>
  fc.oneof(fc.constant(''), fc.string({ unit: 'grapheme', minLength: 1, maxLength: max }), word(max));
const key = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 40 });
const year = fc.constantFrom('', '1', '8', '11', '16', 'B', 'C', 'H', '9', 'groep 3');
const day = fc.constantFrom('', '2015-02-28', '2016-02-29', '2015-02-29', 'morgen');

const person = fc.option(
  fc.record({
    familyName: some(300),
    familyNamePrefix: some(20),
    givenNames: some(30),
    initials: some(9),
    callName: some(80),
    birthDate: day,
    gender: fc.constantFrom('', '0', '1', '2', '9'),
    email: some(300),
    accountName: some(70),
  }),
  { nil: undefined },
);

/** Any roster with sound keys; everything else as wild as a sender may make it. */
export function roster(
  schoolYear: fc.Arbitrary<string> = fc.constantFrom('2019-2020', '2024-2025', '2026-2027'),
): fc.Arbitrary<Roster> {
  const groups = fc.uniqueArray(
    fc.record({ key, name: some(80), description: some(20), yearGroup: year, composite: fc.boolean() }),
    { maxLength: 6, selector: (g) => g.key },
  );
  return groups.chain((given) => {
    const base = given.filter((g) => !g.composite).map((g) => g.key);
    const composite = given.filter((g) => g.composite).map((g) => g.key);
    const all = [...base, ...composite];
    const one = (list: string[]) => (list.length === 0 ? fc.constant('') : fc.constantFrom('', ...list));
    const people = <T>(rest: fc.Arbitrary<T>) =>
      fc.array(fc.tuple(fc.constantFrom('las', 'eck', 'both'), rest), { maxLength: 8 }).map((list) =>
        list.map(([kind, it], i) => ({
          ...it,
          ref: {
            lasKey: kind === 'eck' ? '' : `K ${i} & <"'>`,
            eckId: kind === 'las' ? '' : `https://ketenid.nl/pilot/${i.toString(16).padStart(128, 'a')}`,
          },
        })),
      );
    return fc.record({
      schoolOin: fc.constantFrom('0000000700088QP00000', '00000001234567890000', ''),
      schoolYear,
      asOf: day,
      madeAt: fc.constantFrom('', '2026-11-22T07:00:00Z', '2026-11-22T07:00:00.123+01:00', 'ooit'),
      siteCode: fc.constantFrom('', '00', '01'),
      administration: fc.constant(''),
      sites: fc.constant([{ key: 's', name: 'Zuid', description: '' }]),
      groups: fc.constant(given),
      learners: people(
        fc.record({
          person,
          yearGroup: year,
          groupKey: one(base),
          compositeGroupKeys: composite.length === 0 ? fc.constant([]) : fc.subarray(composite),
          siteKey: fc.constant('s'),
          entersOn: day,
          leavesOn: day,
          siteCodes: fc.constant<string[]>([]),
        }),
      ),
      staff: people(
        fc.record({
          person,
          duties: fc.subarray(['DIR', 'IB']),
          groups: fc.subarray(all).map((keys) => keys.map((k) => ({ key: k, duties: ['VAK', 'TAL', ''] }))),
        }),
      ),
    });
  });
}
