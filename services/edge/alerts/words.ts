/** What an operator should know, as one table: docs/alerts.md is written from it, and every channel speaks by it. */

/** Who must act before it ends. */
export type AlertWho = 'operator' | 'party' | 'school';

export interface AlertKind {
  /** `page`: somebody is called, also at night. `warn`: somebody looks today. One that varies says its worst. */
  grade: 'page' | 'warn';
  who: AlertWho;
  /** It is told when it has stood for so long. */
  patienceMs: number;
  /** The command that shows more. */
  see: string;
  nl: string;
  en: string;
}

const S = 1_000;
const MIN = 60 * S;

export const alertKinds = {
  'launches.theirs': {
    grade: 'page',
    who: 'party',
    patienceMs: 2 * MIN,
    see: 'eduk launches',
    nl: 'Bij één platform komen veel minder leerlingen binnen dan op deze weekdag gebruikelijk is, en het ligt aan hen.',
    en: 'On one platform far fewer learners get in than is usual on this weekday, and it is them.',
  },
  'launches.ours': {
    grade: 'page',
    who: 'operator',
    patienceMs: 2 * MIN,
    see: 'eduk launches',
    nl: 'Veel minder leerlingen komen binnen dan op deze weekdag gebruikelijk is, en het ligt aan ons.',
    en: 'Far fewer learners get in than is usual on this weekday, and it is us.',
  },
  'part.missing': {
    grade: 'page',
    who: 'operator',
    patienceMs: MIN,
    see: 'eduk doctor',
    nl: 'Een onderdeel van de gateway antwoordt niet. Berichten worden geweigerd of blijven wachten; er gaat niets verloren.',
    en: 'A part of the gateway gives no answer. Messages are refused or wait; nothing is lost.',
  },
  'log.gap': {
    grade: 'page',
    who: 'operator',
    patienceMs: 0,
    see: 'eduk doctor',
    nl: 'In het logboek van gebeurtenissen ontbreekt een nummer; wie het leest staat stil. Zet een reservekopie terug.',
    en: 'A number is missing on the log; who reads it has stopped. Restore a backup.',
  },
  'consumer.behind': {
    grade: 'page',
    who: 'operator',
    patienceMs: MIN,
    see: 'eduk doctor',
    nl: 'Een onderdeel loopt achter: wat binnenkomt, wordt nog niet verwerkt of bezorgd.',
    en: 'A part is behind: what comes in is not yet decided or delivered.',
  },
  'consumer.parked': {
    grade: 'warn',
    who: 'operator',
    patienceMs: MIN,
    see: 'eduk dead list',
    nl: 'Gebeurtenissen zijn terzijde gezet omdat een onderdeel ze niet kon verwerken.',
    en: 'Events were set aside because a part could not take them.',
  },
  'endpoint.failing': {
    grade: 'warn',
    who: 'party',
    patienceMs: 5 * MIN,
    see: 'eduk dead list',
    nl: 'Het adres van een partij neemt niets aan. Haar berichten wachten, in volgorde; die van anderen gaan door.',
    en: 'The address of a party takes nothing. Its messages wait, in order; those of others go on.',
  },
  'endpoint.parked': {
    grade: 'warn',
    who: 'party',
    patienceMs: MIN,
    see: 'eduk dead list',
    nl: 'Een partij heeft berichten geweigerd; ze zijn terzijde gezet en wachten op een besluit.',
    en: 'A party refused messages; they are set aside and wait for a decision.',
  },
  'hold.pending': {
    grade: 'warn',
    who: 'school',
    patienceMs: 0,
    see: 'eduk hold list',
    nl: 'Een leerlingbestand, intrekkingen van licenties, of het vergeten of samenvoegen van leerlingen wacht op goedkeuring.',
    en: 'A roster, withdrawals of entitlements, or learners to be forgotten or to become one, wait for approval.',
  },
  'rule.ends': {
    grade: 'warn',
    who: 'operator',
    patienceMs: 0,
    see: 'eduk hold rule list',
    nl: 'Een regel die vrijgeeft wat zou wachten loopt binnenkort af, en er komt nog steeds iets binnen. Daarna wacht het.',
    en: 'A rule that lets go what would wait ends soon, and something still comes in. After that it waits.',
  },
  'rule.used': {
    grade: 'warn',
    who: 'operator',
    patienceMs: 0,
    see: 'eduk hold rule list',
    nl: 'Van een regel die vrijgeeft wat zou wachten is bij scholen 80 procent of meer gebruikt. Wat meer is, wacht.',
    en: 'Of a rule that lets go what would wait, 80 percent or more is used at schools. What goes beyond it waits.',
  },
  'disk.little': {
    grade: 'page',
    who: 'operator',
    patienceMs: 0,
    see: 'eduk doctor',
    nl: 'De schijf raakt vol. Is hij vol, dan wordt er niets meer aangenomen.',
    en: 'The disk fills up. Once it is full, nothing more is taken in.',
  },
  'disk.filling': {
    grade: 'warn',
    who: 'operator',
    // A moment of much is no rate yet.
    patienceMs: 15 * MIN,
    see: 'eduk doctor',
    nl: 'Zoals de gegevens nu groeien, is de schijf binnen zeven dagen vol. Maak ruimte of geef hem meer.',
    en: 'As data grow now, the disk is full within seven days. Make room, or give it more.',
  },
  'reveals.many': {
    grade: 'page',
    who: 'operator',
    patienceMs: 0,
    see: 'eduk doctor',
    nl: 'Een partij kreeg in een uur meer leerlingen te zien dan afgesproken. Kijk wie, en waarom.',
    en: 'A party was shown more learners in one hour than was set. Look who, and why.',
  },
  'vault.closed': {
    grade: 'page',
    who: 'operator',
    patienceMs: 0,
    see: 'eduk key list',
    nl: 'Een sleutel van de kluis is er niet meer: wat eronder ligt, kan niemand krijgen. Vraag wie hem beheert.',
    en: 'A key of the vault is away: nobody is given what rests under it. Ask who holds it.',
  },
  'certificate.ends': {
    grade: 'page',
    who: 'party',
    patienceMs: 0,
    see: 'eduk doctor',
    nl: 'Een certificaat loopt binnen 30 dagen af; daarna komt die partij er niet meer in.',
    en: 'A certificate ends within 30 days; after that its party does not come in.',
  },
  'mandate.ends': {
    grade: 'warn',
    who: 'school',
    patienceMs: 0,
    see: 'eduk mandate list',
    nl: 'Mandaten van scholen lopen binnen 14 dagen af; daarna krijgt de partij niets meer van die scholen.',
    en: 'Mandates of schools end within 14 days; after that the party is given nothing of those schools.',
  },
  'register.failing': {
    grade: 'warn',
    who: 'operator',
    patienceMs: 0,
    see: 'eduk osr sync --dry-run',
    nl: 'De vergelijking met een register mislukte of wacht op goedkeuring.',
    en: 'Comparing with a register failed, or waits for approval.',
  },
  'roster.unanswered': {
    grade: 'warn',
    who: 'operator',
    patienceMs: 15 * MIN,
    see: 'eduk roster pulls --failing',
    nl: 'Leerlinggegevens van scholen komen niet binnen van een administratie. Per school staat erbij wie iets moet doen.',
    en: 'Rosters of schools do not come in from an administration. For each it is said who must act.',
  },
  'holdings.differ': {
    grade: 'warn',
    who: 'operator',
    patienceMs: 0,
    see: 'eduk reconcile show --differing',
    nl: 'Een partij heeft andere licenties dan hier staan: zij mist er, heeft er te veel, of in een andere toestand.',
    en: 'A party has other licences than stand here: it lacks some, has too many, or in another state.',
  },
  'holdings.unanswered': {
    grade: 'warn',
    who: 'party',
    patienceMs: 0,
    see: 'eduk reconcile show --differing',
    nl: 'Een partij zegt niet, of niet bruikbaar, wat zij heeft, terwijl ernaar wordt gevraagd.',
    en: 'A party is asked what it has, and gives no answer, or none that can be used.',
  },
  'traffic.silent': {
    grade: 'warn',
    who: 'party',
    patienceMs: 10 * MIN,
    see: 'eduk console',
    nl: 'Van een partij kwam een uur lang niets, terwijl er vorige weken op dit uur wel berichten kwamen.',
    en: 'Nothing came from a party for an hour, in which messages came in the weeks before.',
  },
} as const satisfies Record<string, AlertKind>;

export type AlertCode = keyof typeof alertKinds;
export const isAlertCode = (code: string): code is AlertCode => Object.hasOwn(alertKinds, code);
