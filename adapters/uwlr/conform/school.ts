/** The school that an educational application is given when it is tried: invented, the same every time. */
import { createHash } from 'node:crypto';
import { schoolOin } from '#kernel';
import { Roster } from '#proto/eduk/core/v1/learner';

export const BRIN = '99ED';

/** In the form of ECK iDs for trials. */
const eckId = (name: string): string =>
  `https://ketenid.nl/pilot/${createHash('sha512').update(`eduk conform ${name}`).digest('hex')}`;

interface Invented {
  key: string;
  name: readonly [family: string, prefix: string, call: string];
  year: string;
  group: string;
  composite?: string;
  /** A pupil whose ECK iD the school does not have yet. */
  isWithoutEckId?: boolean;
}

const pupils: readonly Invented[] = [
  { key: 'LL-1', name: ['Waterkamp', 'van de', 'Jörn'], year: '7', group: 'gr-7a', composite: 'sg-viool' },
  { key: 'LL-2', name: ['Zomerdijk', '', 'Sterre'], year: '7', group: 'gr-7a' },
  { key: 'LL-3', name: ["'t Hooft & Zoon", '', 'Aïsha'], year: '8', group: 'gr-78' },
  // The standard lets a pupil have nothing but a first name.
  { key: 'LL-4', name: ['', '', 'Bo'], year: '7', group: 'gr-78' },
  { key: 'LL-5', name: ['Esdoorn', '', 'Noé'], year: '8', group: '' },
  { key: 'LL-6', name: ['Lindeman', '', 'Mila'], year: '8', group: 'gr-78', isWithoutEckId: true },
];

/** Its roster in a school year; `madeAt` is RFC 3339. */
export const inventedRoster = (schoolYear: string, madeAt: string): Roster =>
  Roster.fromPartial({
    schoolOin: schoolOin(BRIN),
    schoolYear,
    asOf: madeAt.slice(0, 10),
    madeAt,
    groups: [
      { key: 'gr-7a', name: '7A', yearGroup: '7' },
      { key: 'gr-78', name: '7/8 groen', yearGroup: 'C' },
      { key: 'sg-viool', name: 'Vioolles & samenspel', composite: true },
    ],
    learners: pupils.map(({ key, name: [familyName, familyNamePrefix, callName], year, group, composite, ...it }) => ({
      ref: { lasKey: key, eckId: it.isWithoutEckId ? '' : eckId(key) },
      person: { familyName, familyNamePrefix, callName, birthDate: '2015-05-09' },
      yearGroup: year,
      groupKey: group,
      compositeGroupKeys: composite ? [composite] : [],
    })),
    staff: [
      {
        ref: { lasKey: 'MW-1', eckId: eckId('MW-1') },
        person: { familyName: 'Nachtegaal', callName: 'Mo' },
        groups: [
          { key: 'gr-7a', duties: ['LRK'] },
          { key: 'sg-viool', duties: ['VAK'] },
        ],
      },
      {
        ref: { lasKey: 'MW-2', eckId: eckId('MW-2') },
        person: { familyName: 'Meerkoet', callName: 'Jet' },
        groups: [],
      },
    ],
  });
