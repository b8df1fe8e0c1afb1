import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { Roster } from '#proto/eduk/core/v1/learner';
import { fromCore, read, toCore, write } from './index.ts';

const example = (file: string) => readFileSync(join(import.meta.dirname, 'examples', file));
const written = (roster: Roster) => {
  const { wire, losses } = fromCore(roster);
  return { roster: unveiled(toCore(read(Buffer.from(write(wire!, 'De Proef'))))), losses };
};
const byKey = (roster: Roster): Roster => ({
  ...roster,
  groups: [...roster.groups].sort((a, b) => (a.key < b.key ? -1 : 1)),
  staff: roster.staff.map((one) => ({ ...one, groups: [...one.groups].sort((a, b) => (a.key < b.key ? -1 : 1)) })),
});

describe('a roster as a file', () => {
  // The third names a year group that its pupils have by their group.
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
    ]);
    expect(roster.learners[0]!.compositeGroupKeys).toEqual(['plus']);
    expect(roster.staff).toMatchObject([{ duties: ['LRK'], groups: [{ key: 'g1' }] }]);
    expect(losses.map(({ path }) => path)).toEqual([
      'groepen/*[2]',
      'groepen/*[1]/naam',
      'groepen/*[1]/jaargroep',
      'groepen/*[3]/naam',
      'groepen/*[3]/naam',
      'leerlingen/leerling[3]',
      'leerlingen/leerling[1]/groep',
      'leerlingen/leerling[1]/instroomdatum',
      'leerlingen/leerling[1]/voorvoegsel',
      'leerlingen/leerling[1]/voorletters-1',
      'leerlingen/leerling[1]/samengestelde_groepen',
      'leerlingen/leerling[2]/@eckid',
      'leerlingen/leerling[2]/roepnaam',
      'leerkrachten/leerkracht[1]/rol',
    ]);
    // Why, never what.
    expect(JSON.stringify(losses)).not.toMatch(/Es &|allerlangste|BAAS/);
  });

  test('of a roster without pupils there is no file', () => {
    expect(fromCore(Roster.fromPartial({ schoolYear: '2026-2027' })).wire).toBeUndefined();
  });
});
