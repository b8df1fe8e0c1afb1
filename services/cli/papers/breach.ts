/** What a school can use for its own notification of a breach at a party: facts, in Dutch. Pure. */
import { brinOf, dutchDay } from '#kernel';
import type { Mandate } from '#proto/eduk/core/v1/party';
import {
  agreementWords,
  carriedNamed,
  cell,
  dutchDate,
  dutchNumber,
  mandateWords,
  markdownTable,
  purposeOf,
  serviceNamed,
} from './words.ts';

/** What a party was given of one school in the days that were asked for. */
export interface Reached {
  schoolOin: string;
  firstDay: string;
  lastDay: string;
  days: number;
  /**
   * How often something was taken from the vault for it: for one answer or delivery learners, staff and results each by itself;
   * people in them, each time counted.
   */
  times: number;
  people: number;
  purposes: readonly string[];
  attributes: readonly string[];
  /** About how many different ones. */
  learners: number;
  staff: number;
  /** Days of which it is not known how many different people it was, and the last of them. */
  uncountedDays: number;
  uncountedUntil: string;
}

export interface Asked {
  partyOin: string;
  partyName: string;
  /** Empty = from the first day of which anything is kept. */
  fromDay: string;
  toDay: string;
  madeOn: string;
  /** 0 = it is not stopped. */
  stoppedMs: number;
  /** First day of which anything is kept; empty = nothing is. */
  keptFrom: string;
}

const partyWords = ({ partyName, partyOin }: Asked): string =>
  partyName ? `${cell(partyName)} (OIN ${partyOin})` : `OIN ${partyOin}`;

const period = ({ fromDay, keptFrom, toDay }: Asked): string => {
  const from = fromDay || keptFrom;
  return `${from ? dutchDate(from) : 'het begin'} tot en met ${dutchDate(toDay)}`;
};

/** What the log calls what is no attribute of a roster. */
const others: Readonly<Record<string, string>> = {
  result: 'Resultaten uit leermateriaal',
  numbers: 'Ketenidentificatie en sleutel in de administratie',
  names: 'Namen, geboortedatum en geslacht',
  contact: 'E-mailadres en accountnaam',
};

export const attributeWords = (name: string, words: ReadonlyMap<string, string>): string => {
  const about = words.get(name) ?? others[name];
  return about ? `${about.replace(/\.$/, '')} (\`${name}\`)` : `\`${name}\``;
};

/** Names of attributes, and what goes with the services by which they were given. */
const dataLines = (
  attributes: readonly string[],
  purposes: readonly string[],
  words: ReadonlyMap<string, string>,
): string =>
  bullets([
    ...attributes.map((name) => attributeWords(name, words)),
    ...purposes
      .filter((purpose) => carriedNamed(purpose) !== '')
      .map((purpose) => `Wat met de dienst ${serviceNamed(purpose)} meegaat: ${carriedNamed(purpose)}`),
  ]);

const learnersWords = ({ learners, uncountedDays }: Reached): string =>
  `${uncountedDays > 0 ? 'ten minste ' : ''}ongeveer ${dutchNumber(learners)}`;

/** What no source of ours can tell. */
function limits(asked: Asked, reached: readonly Reached[]): string[] {
  const { fromDay, keptFrom } = asked;
  const uncounted = reached.map(({ uncountedUntil }) => uncountedUntil).filter((day) => day !== '');
  return [
    'Dit zijn gegevens die via deze gateway zijn vrijgegeven of afgeleverd. Wat de partij op een andere manier kreeg, of zelf verzamelde (zoals antwoorden en resultaten in eigen leermateriaal), staat hier niet in.',
    'De gateway weet niet wat de partij met de gegevens deed, wat daar is gelekt, en of gegevens er al waren gewist.',
    'Wie het zijn staat hier niet: de gateway houdt geen lijst bij van wie is getoond. De school kan het in de eigen administratie nagaan.',
    'Aantallen verschillende personen zijn geteld zonder te bewaren wie het waren, en kunnen ongeveer twee procent afwijken.',
    'Een vrijgave is één keer gegevens uit de kluis halen. Eén antwoord of aflevering kan uit meer vrijgaven bestaan: leerlingen, medewerkers en resultaten tellen apart.',
    ...(keptFrom === '' || (fromDay !== '' && fromDay >= keptFrom)
      ? []
      : [
          `De verantwoording gaat terug tot en met ${dutchDate(keptFrom)}. Van wat daarvoor werd vrijgegeven is niets meer bekend.`,
        ]),
    ...(uncounted.length === 0
      ? []
      : [
          `Van dagen tot en met ${dutchDate(uncounted.sort().at(-1)!)} is deels niet bekend om hoeveel verschillende personen het ging.`,
        ]),
    'Als een proces van de gateway plotseling uitviel, kan de laatste seconde daarvoor ontbreken.',
  ];
}

const bullets = (lines: readonly string[]): string => lines.map((line) => `- ${line}`).join('\n');

/** The file of one school. */
export function schoolPaper(
  asked: Asked,
  reached: Reached,
  schoolName: string,
  mandates: readonly Mandate[],
  words: ReadonlyMap<string, string>,
): string {
  const { schoolOin, firstDay, lastDay, days, times, people, purposes, attributes, staff } = reached;
  const brin = brinOf(schoolOin);
  const school = `${schoolName ? `${cell(schoolName)}, ` : ''}${brin ? `BRIN ${brin}, ` : ''}OIN ${schoolOin}`;
  return `# Feiten voor een melding: gegevens bij ${asked.partyName ? cell(asked.partyName) : asked.partyOin}

Voor: ${school}. Gemaakt op ${dutchDate(asked.madeOn)}, over ${period(asked)}.

Dit zijn feiten uit de verantwoording van de gateway. Of er een datalek is, en of de school het meldt, beslist de school (AVG artikel 33 en 34).

## Wat is vrijgegeven

${markdownTable(
  ['feit', ''],
  [
    ['ontvanger', asked.partyName ? `${asked.partyName}, OIN ${asked.partyOin}` : `OIN ${asked.partyOin}`],
    ['sinds (eerste dag in deze periode)', dutchDate(firstDay)],
    ['laatste dag in deze periode', dutchDate(lastDay)],
    ['dagen met vrijgave of aflevering', dutchNumber(days)],
    ['leerlingen', learnersWords(reached)],
    ['medewerkers', staff === 0 ? 'geen' : `ongeveer ${dutchNumber(staff)}`],
    ['vrijgaven (leerlingen, medewerkers en resultaten apart geteld)', dutchNumber(times)],
    ['personen daarin, elke keer geteld', dutchNumber(people)],
    ['doelen', purposes.map(serviceNamed).join(', ')],
    [
      'de partij',
      asked.stoppedMs > 0
        ? `is op ${dutchDate(dutchDay(asked.stoppedMs))} overal stilgezet: er gaat niets meer naartoe`
        : 'is niet stilgezet',
    ],
  ],
)}

## Welke gegevens

${dataLines(attributes, purposes, words)}

Onder een mandaat met eigen pseudoniemen kreeg de partij die in plaats van nummers en sleutels.

## Afspraken van de school met deze partij

${
  mandates.length === 0
    ? 'Er zijn geen afspraken meer bekend.'
    : markdownTable(
        ['mandaat', 'diensten', 'staat', 'overeenkomst', 'pseudoniemen'],
        mandates.map((mandate) => [
          mandate.mandateId,
          [...new Set([...mandate.services, ...mandate.narrowed])].map((service) => purposeOf(service).name).join(', '),
          mandateWords(mandate),
          agreementWords(mandate),
          mandate.pairwise ? 'eigen' : 'geen',
        ]),
      )
}

## Wat deze bron niet kan zeggen

${bullets(limits(asked, [reached]))}
`;
}

/** All schools, for the operator and the party that coordinates. */
export function summaryPaper(
  asked: Asked,
  rows: readonly (Reached & { name: string; file: string })[],
  words: ReadonlyMap<string, string>,
): string {
  const attributes = [...new Set(rows.flatMap((row) => row.attributes))].sort();
  const first = rows.map(({ firstDay }) => firstDay).sort()[0];
  const learners = rows.reduce((sum, row) => sum + row.learners, 0);
  return `# Gegevens bij ${partyWords(asked)}

Gemaakt op ${dutchDate(asked.madeOn)}, over ${period(asked)}.

${
  rows.length === 0
    ? 'In deze periode is deze partij van geen school iets vrijgegeven.'
    : `Van ${dutchNumber(rows.length)} ${rows.length === 1 ? 'school' : 'scholen'}, sinds ${dutchDate(first!)}: opgeteld over de scholen ongeveer ${dutchNumber(learners)} leerlingen (wie op twee scholen staat telt twee keer).

${markdownTable(
  ['school', 'OIN', 'leerlingen', 'medewerkers', 'sinds', 'tot en met', 'bestand'],
  rows.map((row) => [
    row.name || (brinOf(row.schoolOin) ?? ''),
    row.schoolOin,
    learnersWords(row),
    dutchNumber(row.staff),
    row.firstDay,
    row.lastDay,
    row.file,
  ]),
)}

## Welke gegevens

${dataLines(attributes, [...new Set(rows.flatMap((row) => row.purposes))].sort(), words)}`
}

## Wat deze bron niet kan zeggen

${bullets(limits(asked, rows))}
`;
}
