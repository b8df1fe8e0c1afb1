import { MandateState, type ProcessingPurpose } from '#proto/eduk/core/v1/party';
import { purposeWords } from '#services/release';

/** What the pages say, in Dutch and English: one table, so that no page says something in one of them only. */

export type Lang = 'nl' | 'en';
export type Action = 'confirm' | 'narrow' | 'run_off' | 'stop';
type Said = Readonly<Record<Lang, string>>;

const table = {
  product: { nl: 'Toestemmingen van uw school', en: 'What your school agrees to' },
  skip: { nl: 'Naar de inhoud', en: 'Skip to content' },
  sign_in: { nl: 'Inloggen', en: 'Sign in' },
  sign_out: { nl: 'Uitloggen', en: 'Sign out' },
  welcome: { nl: 'Beslis wie gegevens van uw school krijgt', en: 'Decide who gets data of your school' },
  welcome_how: {
    nl: 'Wie bevoegd is om voor een schoolbestuur of school te beslissen, logt hier in met eHerkenning of een gelijkwaardig middel. U ziet daarna welke partijen toestemming vragen of hebben, en u bevestigt, beperkt of beëindigt die.',
    en: 'Persons who are authorised to decide for a school board or school sign in here with eHerkenning or an equivalent. You then see which parties ask for consent or have it, and you confirm, narrow or end it.',
  },
  welcome_what: {
    nl: 'Wij bewaren niet wie u bent: alleen dat een bevoegd persoon van uw organisatie heeft gehandeld.',
    en: 'We do not keep who you are: only that an authorised person of your organisation acted.',
  },
  signed_in_for: { nl: 'Ingelogd voor', en: 'Signed in for' },
  pending: { nl: 'Wacht op uw besluit', en: 'Waits for your decision' },
  standing: { nl: 'Wat nu geldt', en: 'What holds now' },
  ended: { nl: 'Beëindigd', en: 'Ended' },
  none: { nl: 'Er zijn geen toestemmingen.', en: 'There is nothing agreed to.' },
  none_pending: { nl: 'Er wacht niets.', en: 'Nothing waits.' },
  more: { nl: 'Volgende', en: 'Next' },
  look: { nl: 'Bekijken', en: 'Look at it' },
  back: { nl: 'Terug naar het overzicht', en: 'Back to the overview' },
  back_one: { nl: 'Terug', en: 'Back' },
  who: { nl: 'Wie', en: 'Who' },
  for_school: { nl: 'Voor', en: 'For' },
  all_schools: { nl: 'al uw scholen', en: 'all your schools' },
  services: { nl: 'Waarvoor', en: 'Services' },
  attributes: { nl: 'Welke gegevens', en: 'Which data' },
  attributes_default: { nl: 'Wat bij de dienst hoort', en: 'What goes with the service' },
  nothing_of_persons: { nl: 'Geen gegevens van personen', en: 'No data of persons' },
  pairwise: { nl: 'Pseudoniemen', en: 'Pseudonyms' },
  pairwise_yes: {
    nl: 'Deze partij krijgt eigen pseudoniemen in plaats van ECK iD’s',
    en: 'This party gets pseudonyms of its own instead of ECK iDs',
  },
  purpose: { nl: 'Doel', en: 'Purpose' },
  agreement: { nl: 'Verwerkersovereenkomst', en: 'Processing agreement' },
  no_agreement: {
    nl: 'Niet genoemd: vraag ernaar voordat u bevestigt.',
    en: 'Not named: ask for it before you confirm.',
  },
  version: { nl: 'versie', en: 'version' },
  sites: { nl: 'Vestigingen', en: 'Sites' },
  valid: { nl: 'Geldt', en: 'Holds' },
  from: { nl: 'vanaf', en: 'from' },
  until: { nl: 'tot en met', en: 'until' },
  no_end: { nl: 'zonder einddatum', en: 'without an end' },
  entered_by: { nl: 'Ingevoerd door', en: 'Entered by' },
  of_board: { nl: 'Gegeven door het bestuur', en: 'Given by the board' },
  operator: { nl: 'de beheerder van het koppelpunt', en: 'the operator of the gateway' },
  state: { nl: 'Stand', en: 'State' },
  number: { nl: 'Nummer', en: 'Number' },
  schools: { nl: 'Scholen', en: 'Schools' },
  confirm: { nl: 'Bevestigen', en: 'Confirm' },
  narrow: { nl: 'Beperken', en: 'Narrow' },
  run_off: { nl: 'Laten aflopen', en: 'Let it run off' },
  stop: { nl: 'Nu stoppen', en: 'Stop now' },
  decline: { nl: 'Afwijzen', en: 'Decline' },
  confirm_means: {
    nl: 'U bevestigt dat deze partij de genoemde gegevens voor de genoemde diensten krijgt. Wat al klaarstaat, wordt dan verstuurd.',
    en: 'You confirm that this party gets the named data for the named services. What waits is then sent.',
  },
  narrow_means: {
    nl: 'Wat u hier uitzet, krijgt de partij niet meer. De oude toestemming eindigt, en een nieuwe met wat overblijft komt ervoor in de plaats.',
    en: 'What you switch off here the party gets no longer. The old consent ends, and a new one with what is left takes its place.',
  },
  run_off_means: {
    nl: 'Er komen geen nieuwe bestellingen of licenties meer bij. Wat loopt gaat door tot en met de dag die u kiest; daarna is het voorbij.',
    en: 'There are no new orders or grants. What runs goes on until the day that you choose; then it is over.',
  },
  stop_means: {
    nl: 'De partij krijgt binnen vijf seconden niets meer van uw school. Wat onderweg is blijft staan en wordt na dertig dagen weggegooid.',
    en: 'Within five seconds the party gets nothing more of your school. What is under way stays where it is, and is dropped after thirty days.',
  },
  sure: {
    nl: 'Ik ben bevoegd om dit te besluiten en heb gelezen wat het betekent.',
    en: 'I am authorised to decide this, and have read what it means.',
  },
  last_day: { nl: 'Laatste dag', en: 'Last day' },
  done: { nl: 'Uw besluit is vastgelegd.', en: 'Your decision is recorded.' },
  done_waits: {
    nl: 'Uw besluit is aangenomen en wordt nog verwerkt.',
    en: 'Your decision is taken in, and still being worked on.',
  },
  receipt: {
    nl: 'Kenmerk van uw bewijs (daarmee is later aan te tonen wat is besloten):',
    en: 'Number of your receipt (with it can be shown later what was decided):',
  },
  board_confirms: {
    nl: 'Dit is namens uw bestuur ingevoerd. Het bestuur bevestigt het; u kunt het voor uw school beperken of afwijzen.',
    en: 'This was entered for your board, which confirms it. For your school you may narrow or decline it.',
  },
  waits_for_party: {
    nl: 'Uw school heeft bevestigd. De partij moet nog instemmen.',
    en: 'Your school has confirmed. The party has still to accept.',
  },
  narrow_by_school: { nl: 'Beperken kan per school:', en: 'You narrow it by school:' },
  wrong: { nl: 'Dat is niet gelukt', en: 'That did not work' },
  who_must_act: {
    nl: 'Probeer het opnieuw, of neem contact op met de beheerder.',
    en: 'Try again, or ask the operator.',
  },
  wrong_level: {
    nl: 'U bent op een te laag betrouwbaarheidsniveau ingelogd. Log in met een hoger niveau van eHerkenning.',
    en: 'You signed in at a level of assurance that is too low. Use a higher level of eHerkenning.',
  },
  wrong_service: {
    nl: 'U bent voor deze dienst niet gemachtigd. Vraag de beheerder van eHerkenning in uw organisatie om een machtiging.',
    en: 'You are not authorised for this service. Ask who manages eHerkenning in your organisation.',
  },
  wrong_intermediary: {
    nl: 'U bent ingelogd als gemachtigde van een andere organisatie. Hier beslist alleen iemand van het bestuur of de school zelf.',
    en: 'You signed in on behalf of another organisation. Here only persons of the board or school itself decide.',
  },
  wrong_organisation: {
    nl: 'Uw organisatie is hier niet bekend als bestuur of school. De beheerder van het koppelpunt kan haar aanmelden.',
    en: 'Your organisation is not known here as a board or school. The operator of the gateway can register it.',
  },
  wrong_cancelled: { nl: 'Het inloggen is afgebroken.', en: 'Signing in was broken off.' },
  wrong_sign_in: {
    nl: 'Deze aanmelding geldt niet of is al gebruikt. Begin opnieuw.',
    en: 'This sign-in does not hold, or was used already. Begin anew.',
  },
  wrong_away: {
    nl: 'De aanbieder van het inloggen geeft geen antwoord. Probeer het over een minuut opnieuw.',
    en: 'The provider of sign-in does not answer. Try again in a minute.',
  },
  wrong_attempts: {
    nl: 'Te veel mislukte pogingen vanaf uw netwerk. Wacht even en probeer het opnieuw.',
    en: 'Too many attempts from your network failed. Wait a little and try again.',
  },
  wrong_form: {
    nl: 'Dit formulier hoort niet bij uw aanmelding. Open de pagina opnieuw.',
    en: 'This form does not belong to your session. Open the page anew.',
  },
  wrong_sure: {
    nl: 'Zet een vinkje bij de verklaring dat u bevoegd bent.',
    en: 'Tick the box that says that you are authorised.',
  },
  wrong_day: { nl: 'Kies een dag die niet voorbij is.', en: 'Choose a day that is not past.' },
  wrong_nothing_left: {
    nl: 'Voor een van de diensten blijft niets over. Zet die dienst ook uit, of kies Nu stoppen.',
    en: 'For one of the services nothing is left. Switch that service off too, or choose Stop now.',
  },
  wrong_missing: {
    nl: 'Deze toestemming is er niet, of is niet van uw school.',
    en: 'There is no such consent, or it is not of your school.',
  },
  wrong_may_not: {
    nl: 'Dit kan met deze toestemming niet, of niet meer.',
    en: 'This cannot be done with this consent, or no longer.',
  },
  wrong_signed_out: {
    nl: 'U bent niet (meer) ingelogd: na een half uur zonder gebruik eindigt uw aanmelding.',
    en: 'You are not signed in (any more): after half an hour without use your session ends.',
  },
  footer: {
    nl: 'Na een half uur zonder gebruik wordt u uitgelogd. Deze pagina’s gebruiken alleen een cookie die nodig is om ingelogd te blijven.',
    en: 'After half an hour without use you are signed out. These pages use only the cookie that keeps you signed in.',
  },
} as const satisfies Record<string, Said>;

export type Word = keyof typeof table;
export const say = (word: Word, lang: Lang): string => table[word][lang];
export const isWord = (word: string): word is Word => Object.hasOwn(table, word);

/** By the number of a service: one of a newer version is told by its number. */
const services: Readonly<Record<number, Said>> = {
  1: { nl: 'Leerlingen, groepen en medewerkers', en: 'Learners, groups and staff' },
  2: { nl: 'Leermiddelen bestellen', en: 'Ordering learning material' },
  3: { nl: 'Licenties geven', en: 'Granting licences' },
  4: { nl: 'Toegang tot leermiddelen', en: 'Access to learning material' },
  5: { nl: 'Resultaten teruggeven', en: 'Giving results back' },
  6: { nl: 'Voortgang laten zien', en: 'Showing progress' },
  7: { nl: 'Gebruik melden', en: 'Reporting use' },
  8: { nl: 'Medewerkers', en: 'Staff' },
  9: { nl: 'Namens de school berichten sturen', en: 'Sending messages in the name of the school' },
};
export const sayService = (service: number, lang: Lang): string =>
  services[service]?.[lang] ?? (lang === 'nl' ? `Dienst ${service}` : `Service ${service}`);

const states: Readonly<Record<number, Said>> = {
  [MandateState.MANDATE_STATE_UNCONFIRMED]: {
    nl: 'Nog niet bevestigd: er gaat niets',
    en: 'Not confirmed: nothing goes',
  },
  [MandateState.MANDATE_STATE_ACTIVE]: { nl: 'Geldt', en: 'Holds' },
  [MandateState.MANDATE_STATE_RUN_OFF]: { nl: 'Loopt af', en: 'Runs off' },
  [MandateState.MANDATE_STATE_ENDED]: { nl: 'Beëindigd', en: 'Ended' },
};
export const sayState = (state: number, lang: Lang): string =>
  states[state]?.[lang] ?? (lang === 'nl' ? 'Onbekend' : 'Unknown');

export function sayPurpose(purpose: ProcessingPurpose, lang: Lang): string {
  const words = purposeWords[purpose]?.[lang] ?? (lang === 'nl' ? `doel ${purpose}` : `purpose ${purpose}`);
  return words[0]!.toUpperCase() + words.slice(1);
}

/** A day as people write it. */
export function sayDay(day: string, lang: Lang): string {
  const [year, month, date] = day.split('-').map(Number);
  if (!year || !month || !date) return '';
  const form = new Intl.DateTimeFormat(lang === 'nl' ? 'nl-NL' : 'en-GB', { dateStyle: 'long', timeZone: 'UTC' });
  return form.format(Date.UTC(year, month - 1, date));
}

/** Dutch, unless the browser would rather have English. */
export function langOf(accepted: string | undefined): Lang {
  const weight = (lang: string): number =>
    Math.max(
      0,
      ...(accepted ?? '').split(',').map((one) => {
        const [name = '', ...rest] = one.trim().toLowerCase().split(';');
        if (name !== lang && !name.startsWith(`${lang}-`)) return 0;
        const q = rest.map((part) => /^\s*q=([\d.]+)\s*$/.exec(part)?.[1]).find((value) => value !== undefined);
        return q === undefined ? 1 : Number(q) || 0;
      }),
    );
  return weight('en') > weight('nl') ? 'en' : 'nl';
}
