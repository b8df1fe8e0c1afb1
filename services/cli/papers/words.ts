/** Words of the papers, in Dutch. What they say of one school comes from the gateway; here is only how it is called. */
import type { Mandate } from '#proto/eduk/core/v1/party';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import type { ProcessedRetention } from '#proto/eduk/operator/v1/operator';

/** What a service is for: the purpose of the processing, and the same as a parent reads it, after “Om”. */
export interface Purpose {
  name: string;
  purpose: string;
  plain: string;
  /** What goes with it besides the attributes of a person, as a category of data (AVG art. 30(1)(c)); empty = nothing. */
  carries: string;
  /** The same as a parent reads it, after “Daarbij hoort:”. */
  plainCarries: string;
  /** Whether that says how a learner works or does. */
  learning?: true;
  /** Whose data it is about. */
  people: readonly ('leerlingen' | 'medewerkers')[];
}

const unknownPurpose: Purpose = {
  name: 'onbekende dienst',
  purpose: 'Deze dienst is nieuwer dan dit overzicht.',
  plain: 'een nieuwe dienst te gebruiken',
  carries: 'niet bekend wat met deze dienst meegaat',
  plainCarries: 'gegevens van een dienst die nieuwer is dan deze pagina',
  people: ['leerlingen'],
};
export const purposes: Readonly<Record<number, Purpose>> = {
  [Service.SERVICE_ROSTER]: {
    name: 'leerlinggegevens',
    purpose: 'Leerlingen, groepen en leerkrachten bekend maken in digitaal leermateriaal.',
    plain: 'te weten wie in welke groep zit',
    carries: 'inschrijving op de school in een schooljaar',
    plainCarries: 'in welk schooljaar uw kind op de school zit',
    people: ['leerlingen', 'medewerkers'],
  },
  [Service.SERVICE_ORDER]: {
    name: 'bestellingen',
    purpose: 'Leermateriaal bestellen, leveren en terugnemen.',
    plain: 'leermateriaal te bestellen',
    carries: 'bestelde leermiddelen: product, aantal, koop of huur, wie betaalt, looptijd, en bevestiging of levering',
    plainCarries: 'welk leermateriaal voor uw kind is besteld en wanneer het komt',
    people: ['leerlingen'],
  },
  [Service.SERVICE_ENTITLEMENT]: {
    name: 'licenties',
    purpose: 'Licenties op leermateriaal toekennen, wijzigen en intrekken.',
    plain: 'te regelen wie welk leermateriaal mag gebruiken',
    carries: 'toegekende licenties: product, looptijd, staat, activatiecode en dag van eerste gebruik',
    plainCarries:
      'welk leermateriaal uw kind mag gebruiken, van wanneer tot wanneer, en wanneer het voor het eerst is gebruikt',
    people: ['leerlingen'],
  },
  [Service.SERVICE_ACCESS]: {
    name: 'toegang',
    purpose: 'Toegang geven tot leermateriaal waarvoor een licentie is.',
    plain: 'in te loggen bij leermateriaal',
    carries: 'starten van leermiddelen: licentie, product en tijdstip van starten',
    plainCarries: 'welk leermateriaal uw kind opent en wanneer',
    learning: true,
    people: ['leerlingen'],
  },
  [Service.SERVICE_RESULT]: {
    name: 'resultaten',
    purpose: 'Resultaten uit leermateriaal aan de school terugmelden.',
    plain: 'resultaten aan de school door te geven',
    carries: 'leer- en toetsresultaten (score, cijfer of niveau, per toets of opdracht), voortgang en tijdsbesteding',
    plainCarries: 'de cijfers en scores van uw kind, hoeveel werk af is en hoeveel tijd het kostte',
    learning: true,
    people: ['leerlingen'],
  },
  [Service.SERVICE_PROGRESS]: {
    name: 'voortgang',
    purpose: 'Voortgang over al het leermateriaal aan de school laten zien.',
    plain: 'te laten zien hoe het leren gaat',
    carries: 'voortgang, tijdsbesteding en de laatste leer- en toetsresultaten per leermiddel',
    plainCarries: 'hoeveel werk af is, hoeveel tijd het kostte en de laatste cijfers en scores van uw kind',
    learning: true,
    people: ['leerlingen'],
  },
  [Service.SERVICE_USAGE]: {
    name: 'gebruik',
    purpose: 'Melden dat een licentie in gebruik is genomen, voor de afrekening.',
    plain: 'bij te houden of leermateriaal wordt gebruikt',
    carries: 'gebruik van een licentie: dag en aantal keren',
    plainCarries: 'op welke dagen het leermateriaal van uw kind is gebruikt',
    learning: true,
    people: ['leerlingen'],
  },
  [Service.SERVICE_STAFF]: {
    name: 'medewerkers',
    purpose: 'Leerkrachten en hun groepen bekend maken in digitaal leermateriaal.',
    plain: 'te weten welke leerkracht bij welke groep hoort',
    carries: 'taken van medewerkers op de school en in groepen',
    plainCarries: 'welke taken een leerkracht op de school heeft',
    people: ['medewerkers'],
  },
  [Service.SERVICE_ACT]: {
    name: 'handelen namens de school',
    purpose: 'Namens de school gegevens aanleveren; het geeft zelf geen recht om gegevens te krijgen.',
    plain: 'namens de school gegevens door te geven',
    carries: '',
    plainCarries: '',
    people: ['leerlingen', 'medewerkers'],
  },
};
export const purposeOf = (service: Service): Purpose => purposes[service] ?? unknownPurpose;

const purposeNamed = (name: string): Purpose | undefined => {
  const service = (Service as Record<string, number>)[`SERVICE_${name.toUpperCase()}`];
  return service === undefined ? undefined : purposeOf(service as Service);
};
/** Of the name of a service as the log of what was done has it. */
export const serviceNamed = (name: string): string => purposeNamed(name)?.name ?? name;
/** What goes with a service of that name; empty = nothing, or it is no service. */
export const carriedNamed = (name: string): string => purposeNamed(name)?.carries ?? '';

export const roles: Readonly<Record<number, string>> = {
  [Role.ROLE_BOARD]: 'schoolbestuur',
  [Role.ROLE_SCHOOL]: 'school',
  [Role.ROLE_ADMINISTRATION]: 'leerlingadministratie',
  [Role.ROLE_DISTRIBUTOR]: 'distributeur van leermateriaal',
  [Role.ROLE_PUBLISHER]: 'uitgever van leermateriaal',
  [Role.ROLE_PLATFORM]: 'leerplatform',
  [Role.ROLE_DASHBOARD]: 'dashboard',
  [Role.ROLE_FEDERATION]: 'inlogdienst',
  [Role.ROLE_OPERATOR]: 'beheerder',
};
export const roleWords = (of: readonly Role[]): string =>
  of.map((role) => roles[role] ?? 'onbekende rol').join(', ') || 'niet geregistreerd';

/** By which agreement a mandate is, and for which sites where it says so. */
export const agreementWords = ({ mandateId, agreement, agreementVersion, siteCodes }: Mandate): string =>
  [
    agreement || `mandaat ${mandateId}, overeenkomst niet opgegeven`,
    ...(agreementVersion ? [`versie ${agreementVersion}`] : []),
    ...(siteCodes.length > 0 ? [`alleen vestiging ${siteCodes.join(', ')}`] : []),
  ].join(', ');

/** What kind of record has a term, by its class. */
export const kept: Readonly<Record<string, string>> = {
  VAULT: 'Identificerende gegevens (ketenidentificatie, namen, contactgegevens), versleuteld en apart bewaard',
  VAULT_NO_NAMES:
    'Ketenidentificatie en sleutel in de administratie, versleuteld en apart bewaard; namen, geboortedatum en contactgegevens worden niet bewaard',
  RETENTION_PUBLIC: 'Openbare gegevens over leermateriaal en partijen',
  RETENTION_ROSTER: 'Groepsindeling en inschrijving, onder pseudoniem',
  RETENTION_ORDER:
    'Bestellingen en licenties (wie de leerling is staat er niet meer bij als het schooljaar van het gebruik voorbij is en resultaten niet meer leesbaar hoeven te zijn)',
  RETENTION_RESULT: 'Resultaten en voortgang, onder pseudoniem en versleuteld',
  RETENTION_ACCESS: 'Starten van leermateriaal',
  RETENTION_AUDIT: 'Afspraken, en verantwoording van wat is gedaan, zonder inhoud',
  RETENTION_DELIVERY: 'Berichten die op een ontvanger wachten, onder pseudoniem',
  RETENTION_FLOW: 'De weg van een bericht, zonder inhoud',
};

/** The same kinds as a parent reads them. */
export const keptPlain: Readonly<Record<string, string>> = {
  VAULT: 'De naam, het nummer en de contactgegevens van uw kind',
  VAULT_NO_NAMES: 'Het nummer van uw kind; de naam wordt niet bewaard',
  RETENTION_PUBLIC: 'Informatie over leermateriaal en bedrijven (niet over uw kind)',
  RETENTION_ROSTER: 'In welke groep uw kind zit',
  RETENTION_ORDER: 'Bestellingen en licenties (na het gebruik staat er niet meer bij dat het om uw kind gaat)',
  RETENTION_RESULT: 'De cijfers en het werk van uw kind',
  RETENTION_ACCESS: 'Wanneer uw kind leermateriaal opende',
  RETENTION_AUDIT: 'De afspraken van de school, en het logboek van wat is doorgegeven',
  RETENTION_DELIVERY: 'Berichten die nog naar een organisatie moeten',
  RETENTION_FLOW: 'Welke weg een bericht ging (niet wat erin staat)',
};

const months = [
  'januari',
  'februari',
  'maart',
  'april',
  'mei',
  'juni',
  'juli',
  'augustus',
  'september',
  'oktober',
  'november',
  'december',
];
/** 2026-11-22 → 22 november 2026. */
export function dutchDate(day: string): string {
  const [year, month, date] = day.split('-').map(Number);
  return `${date} ${months[month! - 1]} ${year}`;
}

/** The term of access is of exact times: the day of a launch goes with the school year. */
const ACCESS_DAY = 'de dag blijft tot 1 oktober na het schooljaar';

/** How long something rests, from the day that the gateway reckons with. */
export const termOf = ({ retention, leavesOn }: ProcessedRetention, today: string): string =>
  retention.startsWith('VAULT')
    ? 'tot de school opdracht geeft om de leerling te vergeten'
    : leavesOn === ''
      ? 'tot het wordt vervangen'
      : retention === 'RETENTION_ACCESS'
        ? `van wat op ${dutchDate(today)} wordt vastgelegd, is het tijdstip na ${dutchDate(leavesOn)} weg; ${ACCESS_DAY}`
        : `wat op ${dutchDate(today)} wordt vastgelegd, is na ${dutchDate(leavesOn)} weg`;

/** The same as a parent reads it, after what is kept. */
export const plainTermOf = ({ retention, leavesOn }: ProcessedRetention): string =>
  retention.startsWith('VAULT')
    ? 'tot de school zegt dat de gegevens weg moeten'
    : leavesOn === ''
      ? 'tot er iets nieuws voor in de plaats komt'
      : retention === 'RETENTION_ACCESS'
        ? `het tijdstip tot en met ${dutchDate(leavesOn)}, ${ACCESS_DAY}`
        : `tot en met ${dutchDate(leavesOn)}`;

/** 100000 → 100.000. */
export const dutchNumber = (number: number | bigint): string => String(number).replace(/\B(?=(\d{3})+$)/g, '.');

/** What became of a mandate, for people. */
export function mandateWords(mandate: Mandate): string {
  const { state, validFrom, validUntil, runOffUntil, partyStopped } = mandate;
  const days = [
    ...(validFrom ? [`vanaf ${dutchDate(validFrom)}`] : []),
    ...(validUntil ? [`tot en met ${dutchDate(validUntil)}`] : []),
  ].join(' ');
  const stopped = partyStopped ? ' (de partij is stilgezet: er gaat niets naartoe)' : '';
  switch (state) {
    case MandateState.MANDATE_STATE_UNCONFIRMED:
      return mandate.requiresAcceptance && mandate.confirmedBy !== ''
        ? `bevestigd, nog niet aanvaard door de partij: werkt niet${stopped}`
        : `ingevoerd, niet bevestigd: werkt niet${stopped}`;
    case MandateState.MANDATE_STATE_ACTIVE:
      return `bevestigd${days ? `, ${days}` : ''}${stopped}`;
    case MandateState.MANDATE_STATE_RUN_OFF:
      return `loopt af tot en met ${dutchDate(runOffUntil)}: niets nieuws${stopped}`;
    case MandateState.MANDATE_STATE_ENDED:
      return 'beëindigd';
    default:
      return 'onbekend';
  }
}

/** One line of a table cannot hold a line break or a bar; what others call themselves may, and also a link or a picture from elsewhere. */
export const cell = (text: string): string =>
  text
    .replace(/[\r\n\t]+/g, ' ')
    .replaceAll('\\', '\\\\')
    .replaceAll('|', '\\|')
    .replaceAll('[', '\\[')
    .replaceAll('<', '&lt;');

/** A table in Markdown. */
export const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows.map((row) => row.map(cell))].map((row) => `| ${row.join(' | ')} |`).join('\n');

/** Text in HTML. */
export const html = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
