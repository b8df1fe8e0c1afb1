/**
 * What the gateway says, in Dutch: sentences that an operator meets on the way of a message and where something blocks. The gateway says
 * them in English, to programs too; what does not stand here is shown as it came, marked as English.
 */

import type { Blocker } from '../types.ts';
import { isWord, words } from './words.ts';

/** English, and Dutch. `{}` is a value, said as it is; `<>` is a phrase, which must stand here too; `[]` is services of a mandate. */
const sentences: readonly (readonly [string, string])[] = [
  // The way of a message.
  ['It waits for approval.', 'Wacht op goedkeuring.'],
  ['It would take much away: it waits for approval.', 'Zou veel wegnemen: wacht op goedkeuring.'],
  [
    'An earlier change of this entitlement waits for approval, and this waits behind it.',
    'Een eerdere wijziging van deze licentie wacht op goedkeuring, en dit wacht daarachter.',
  ],
  [
    'More learners than usual are to be forgotten: it waits for approval.',
    'Meer leerlingen dan gewoonlijk zouden vergeten worden: wacht op goedkeuring.',
  ],
  ['It waits for a second person.', 'Wacht op een tweede persoon.'],
  [
    'Approved by one person: another one approves the same too, and then it is carried out.',
    'Door één persoon goedgekeurd: keurt een ander hetzelfde goed, dan wordt het uitgevoerd.',
  ],
  ['It waited for approval and was rejected.', 'Wachtte op goedkeuring en is afgewezen.'],
  ['A freeze holds: it goes on by itself afterwards.', 'Er geldt een bevriezing: daarna gaat het vanzelf verder.'],
  [
    'A freeze holds until {}: approve it after that, or end the freeze first.',
    'Er geldt een bevriezing tot {}: keur het daarna goed, of beëindig eerst de bevriezing.',
  ],
  ['Released by rule {} ({}), set by <>, until {}.', 'Vrijgegeven door regel {} ({}), door <> gezet, tot {}.'],
  ['Nothing is held under this id.', 'Onder dit nummer wordt niets vastgehouden.'],
  ['This was decided before.', 'Hierover is al beslist.'],
  ['Nothing of what was named waits under this hold.', 'Niets van wat genoemd is, wacht hier nog.'],
  [
    'A newer roster of this school and school year has taken its place.',
    'Een nieuwere lijst van deze school en dit schooljaar is ervoor in de plaats gekomen.',
  ],
  [
    'The last part of the roster did not come within 24 hours.',
    'Het laatste deel van de lijst kwam niet binnen 24 uur.',
  ],
  [
    'A part of the roster is missing, or of another school year, site or administration.',
    'Een deel van de lijst ontbreekt, of is van een ander schooljaar, een andere vestiging of administratie.',
  ],
  [
    'No publisher has published this product; publish it, then send this again under a new reference.',
    'Geen uitgever publiceerde dit product; publiceer het, en stuur dit dan opnieuw onder een nieuw kenmerk.',
  ],
  [
    'No entitlement of yours is known under this id at this school.',
    'Onder dit nummer is bij deze school geen licentie van de afzender bekend.',
  ],
  ['It waits for a product that no publisher has offered yet.', 'Wacht op een product dat nog geen uitgever aanbood.'],
  ['It waits for its order.', 'Wacht op de bestelling.'],
  ['It waits for its launch.', 'Wacht op het openen.'],
  ['It waits for its entitlement.', 'Wacht op de licentie.'],
  ['It waits for something that is not known yet.', 'Wacht op iets dat nog niet bekend is.'],
  [
    'It waits for the counted entitlement that it is taken from, which is not known yet.',
    'Wacht op het aantal waarvan het afgaat, dat nog niet bekend is.',
  ],
  // What became of it at a receiver.
  ['{}: attempt {} was answered {}, the next after {}', '{}: poging {} werd beantwoord met {}, de volgende na {}'],
  ['{}: attempt {} was answered {}', '{}: poging {} werd beantwoord met {}'],
  ['{}: attempt {} had no answer, the next after {}', '{}: poging {} kreeg geen antwoord, de volgende na {}'],
  ['{}: attempt {} had no answer', '{}: poging {} kreeg geen antwoord'],
  ['{}: attempt {} is under way', '{}: poging {} is onderweg'],
  ['{}: waits to be sent', '{}: wacht op verzending'],
  ['{}: nothing in it is for this receiver', '{}: niets erin is voor deze ontvanger'],
  ['{}: dropped by an operator after {} attempt', '{}: door een beheerder opgegeven na {} poging'],
  ['{}: dropped by an operator after {} attempts', '{}: door een beheerder opgegeven na {} pogingen'],
  // What blocks.
  [
    'It waits for its product, which no publisher has published yet.',
    'Wacht op het product, dat nog geen uitgever publiceerde.',
  ],
  ['The seller blocked it.', 'De verkoper blokkeerde de licentie.'],
  ['The seller withdrew it.', 'De verkoper trok de licentie in.'],
  ['It went back because the learner left the school.', 'De licentie ging terug omdat de leerling van school ging.'],
  ['It starts on {}.', 'De licentie begint op {}.'],
  ['A roster of {} of site {} waits for approval: <>.', 'Een lijst van {} van vestiging {} wacht op goedkeuring: <>.'],
  ['A roster of {} waits for approval: <>.', 'Een lijst van {} wacht op goedkeuring: <>.'],
  ['A roster of {} of site {} waits: <>.', 'Een lijst van {} van vestiging {} wacht: <>.'],
  ['A roster of {} waits: <>.', 'Een lijst van {} wacht: <>.'],
  ['Withdrawals of {} entitlement wait for approval: <>.', 'Het intrekken van {} licentie wacht op goedkeuring: <>.'],
  ['Withdrawals of {} entitlements wait for approval: <>.', 'Het intrekken van {} licenties wacht op goedkeuring: <>.'],
  ['Withdrawals of entitlements wait for approval: <>.', 'Het intrekken van licenties wacht op goedkeuring: <>.'],
  ['Withdrawals of entitlements wait: <>.', 'Het intrekken van licenties wacht: <>.'],
  ['Withdrawals of {} entitlement wait: <>.', 'Het intrekken van {} licentie wacht: <>.'],
  ['Withdrawals of {} entitlements wait: <>.', 'Het intrekken van {} licenties wacht: <>.'],
  [
    '{} message of this waits for {}: its {} <> to attempt {}.',
    '{} bericht hiervan wacht voor {}: {} <> op poging {}.',
  ],
  [
    '{} messages of this wait for {}: its {} <> to attempt {}.',
    '{} berichten hiervan wachten voor {}: {} <> op poging {}.',
  ],
  [
    'The {} of {} <>; nothing is sent there any more.',
    'Het adres voor {} van {} <>; daar wordt niets meer heen gestuurd.',
  ],
  ['The {} of {} <>; it is tried again after {}.', 'Het adres voor {} van {} <>; na {} wordt het weer geprobeerd.'],
  ['{} event wait behind one that {} could not handle.', '{} gebeurtenis wacht achter een die {} niet kon verwerken.'],
  [
    '{} events wait behind one that {} could not handle.',
    '{} gebeurtenissen wachten achter een die {} niet kon verwerken.',
  ],
  [
    '{} may not have [] of this school: <> It has a mandate for [].',
    '{} mag [] van deze school niet hebben: <> Wel een mandaat voor [].',
  ],
  ['{} may not have [] of this school: <>', '{} mag [] van deze school niet hebben: <>'],
  ['{} may not have [] of {} yet: <>', '{} mag [] van {} nog niet hebben: <>'],
  [
    '{} is stopped everywhere: what it sends is refused, and what is for it waits.',
    '{} is overal stilgezet: wat zij stuurt wordt geweigerd, en wat voor haar is wacht.',
  ],
  ['{} message waits for {}: its {} <>.', '{} bericht wacht voor {}: {} <>.'],
  ['{} messages wait for {}: its {} <>.', '{} berichten wachten voor {}: {} <>.'],
  [
    '{} message waits for {}: its {} <>, and repeats were stopped.',
    '{} bericht wacht voor {}: {} <>, en het wordt niet meer herhaald.',
  ],
  [
    '{} messages wait for {}: its {} <>, and repeats were stopped.',
    '{} berichten wachten voor {}: {} <>, en ze worden niet meer herhaald.',
  ],
  ['{} message waits for {}: [] of {}. <>', '{} bericht wacht voor {}: [] van {}. <>'],
  ['{} messages wait for {}: [] of {}. <>', '{} berichten wachten voor {}: [] van {}. <>'],
  ['{} of {} was refused {} time in a day: <>', '{} van {} werd op één dag {} keer geweigerd: <>'],
  ['{} of {} was refused {} times in a day: <>', '{} van {} werd op één dag {} keer geweigerd: <>'],
  ['{} of {} was refused {} time: <>', '{} van {} werd {} keer geweigerd: <>'],
  ['{} of {} was refused {} times: <>', '{} van {} werd {} keer geweigerd: <>'],
  ['All licences of the counted entitlement are taken.', 'Alle licenties van het aantal zijn uitgegeven.'],
  ['Nothing was ordered or granted under this.', 'Hieronder is niets besteld of gegeven.'],
  [
    'Nothing blocks now; see what was refused or ended earlier.',
    'Nu blokkeert niets; zie wat eerder is geweigerd of beëindigd.',
  ],
  [
    'Nothing blocks: what was ordered is granted, and the parties may have it.',
    'Niets blokkeert: wat besteld is, is gegeven, en de partijen mogen het hebben.',
  ],
  // What there is besides.
  ['{} licence is active.', '{} licentie is actief.'],
  ['{} licences are active.', '{} licenties zijn actief.'],
  ['The learner has no active licence.', 'De leerling heeft geen actieve licentie.'],
  ['The learner has {} active licence and can open it.', 'De leerling heeft {} actieve licentie, en die is te openen.'],
  [
    'The learner has {} active licence and can open none.',
    'De leerling heeft {} actieve licentie, die niet te openen is.',
  ],
  [
    'The learner has {} active licences and can open all of them.',
    'De leerling heeft {} actieve licenties, en alle zijn te openen.',
  ],
  [
    'The learner has {} active licences and can open none.',
    'De leerling heeft {} actieve licenties, en geen daarvan is te openen.',
  ],
  [
    'The learner has {} active licences and can open {} of them.',
    'De leerling heeft {} actieve licenties, waarvan er {} te openen zijn.',
  ],
  ['There is one more cause.', 'Er is nog één oorzaak.'],
  ['There are {} more causes.', 'Er zijn nog {} oorzaken.'],
  [
    'There is more than could be looked at: ask by order or by learner.',
    'Er is meer dan bekeken kon worden: vraag naar een bestelling of een leerling.',
  ],
  // What is wrong with what was asked here.
  ['Too many pages are open.', 'Er zijn te veel pagina’s open.'],
  [
    'A link signs in on the gateway’s own machine only.',
    'Met een link meldt u zich alleen aan op de machine van de gateway zelf.',
  ],
  ['This host name is not configured here.', 'Deze hostnaam is hier niet ingesteld.'],
  ['This request comes from a page of another origin.', 'Dit verzoek komt van een pagina van elders.'],
  ['This request was not made by a page of this session.', 'Dit verzoek komt niet van een pagina van deze sessie.'],
  ['Sign in first.', 'Meld u eerst aan.'],
  ['The provider did not let you in, or you turned back.', 'De aanmelddienst liet u niet binnen, of u keerde terug.'],
  [
    'This link is over, or was taken back: ask for another.',
    'Deze link is verlopen of ingetrokken: vraag om een nieuwe.',
  ],
  [
    'This link was used before, or is over: eduk console prints another.',
    'Deze link is al gebruikt of verlopen: eduk console maakt een nieuwe.',
  ],
  ['This sign-in does not hold; begin anew.', 'Deze aanmelding geldt niet; begin opnieuw.'],
  ['This sign-in was not begun here, or was used before.', 'Deze aanmelding begon hier niet, of is al gebruikt.'],
  [
    'The operators’ provider does not answer as it should.',
    'De aanmelddienst van de beheerders antwoordt niet zoals het hoort.',
  ],
  ['The operators’ provider does not answer.', 'De aanmelddienst van de beheerders antwoordt niet.'],
  ['Nobody signs in at a provider here.', 'Hier meldt niemand zich bij een aanmelddienst aan.'],
  ['No party is registered under this number.', 'Onder dit nummer is geen partij bekend.'],
  ['No school is registered under this number.', 'Onder dit nummer is geen school bekend.'],
  ['No party has this OIN.', 'Geen partij heeft dit OIN.'],
  [
    'No party has this OIN: eduk party list shows those that are registered.',
    'Geen partij heeft dit OIN: zie Partijen voor wie er bekend is.',
  ],
  [
    'This school is not known here: name it by its OIN (00000007000, BRIN, five digits); the operator registers schools.',
    'Deze school is hier niet bekend: noem haar OIN (00000007000, BRIN, vijf cijfers); de beheerder registreert scholen.',
  ],
  ['Nobody is known under this OIN.', 'Onder dit OIN is niemand bekend.'],
  ['This is no school.', 'Dit is geen school.'],
  ['This is not an OIN.', 'Dit is geen OIN.'],
  [
    'These fields are not of the form their description in the contract asks: {}.',
    'Deze velden hebben niet de vorm die hun beschrijving vraagt: {}.',
  ],
  ['No order has this id.', 'Geen bestelling heeft dit nummer.'],
  ['Nothing is known under this id.', 'Onder dit nummer is niets bekend.'],
  ['Nothing answers here.', 'Hier antwoordt niets.'],
  ['Nothing is told live of this.', 'Hiervan loopt niets mee.'],
  ['This key is not parked any more.', 'Deze sleutel is niet meer gestrand.'],
  [
    'A freeze ends after it begins, and not in the past.',
    'Een bevriezing eindigt nadat ze begint, en niet in het verleden.',
  ],
  [
    'A freeze is of a school, of a party, of a party at a school, or of all.',
    'Een bevriezing is van een school, van een partij, van een partij bij een school, of van alle.',
  ],
  [
    'Say a day, YYYY-MM-DD, or a moment, YYYY-MM-DDTHH:MM, of the Netherlands.',
    'Noem een dag, JJJJ-MM-DD, of een moment, JJJJ-MM-DDTUU:MM, van Nederland.',
  ],
  ['No freeze has this id.', 'Geen bevriezing heeft dit nummer.'],
  [
    'Say what would be set, or which freeze would be ended.',
    'Zeg wat gezet zou worden, of welke bevriezing beëindigd.',
  ],
  ['Name it, such as {}: no spaces, 64 characters.', 'Geef een naam, zoals {}: zonder spaties, hoogstens 64 tekens.'],
  ['A freeze holds until {}: eduk freeze list names it.', 'Er geldt een bevriezing tot {}: zie Bevriezingen.'],
  ['A rule is of a school, or of all.', 'Een regel is van één school, of van alle.'],
  ['Say what it lets go: {}.', 'Zeg wat de regel doorlaat.'],
  ['Year groups are of leavers.', 'Leerjaren horen bij vertrekkende leerlingen.'],
  ['No year group has this code. There are {}.', 'Geen leerjaar heeft deze code. Er zijn {}.'],
  ['A rule lets go 1 to {} percent of a school.', 'Een regel laat 1 tot en met {} procent van een school door.'],
  ['A rule ends after it begins, and not in the past.', 'Een regel eindigt nadat hij begint, en niet in het verleden.'],
  ['A rule stands 60 days at most.', 'Een regel geldt hoogstens 60 dagen.'],
  ['No rule has this id.', 'Geen regel heeft dit nummer.'],
  ['Say the rule.', 'Zeg welke regel.'],
  ['A freeze lasts 92 days at most.', 'Een bevriezing duurt hoogstens 92 dagen.'],
  ['It is told by class.', 'Dit wordt per klas verteld.'],
  ['Name a party, a school or a code.', 'Noem een partij, een school of een code.'],
  ['Name the learner.', 'Noem de leerling.'],
  ['Name the party.', 'Noem de partij.'],
  ['Nothing is changed at this address.', 'Op dit adres verandert niets.'],
  ['Only GET, HEAD and POST are answered.', 'Alleen GET, HEAD en POST worden beantwoord.'],
  [
    'Say a day, YYYY-MM-DD, or a moment, YYYY-MM-DDTHH:MM.',
    'Noem een dag, JJJJ-MM-DD, of een moment, JJJJ-MM-DDTUU:MM.',
  ],
  ['This is no whole number.', 'Dit is geen geheel getal.'],
  ['This is a whole number.', 'Dit moet een geheel getal zijn.'],
  ['This is no leaf.', 'Dit is geen blad.'],
  ['Say whether it is approved.', 'Zeg of het wordt goedgekeurd.'],
  ['Send JSON.', 'Stuur JSON.'],
  ['There is no such kind.', 'Die soort is er niet.'],
  ['There is no such role.', 'Die rol is er niet.'],
  ['There is no such service.', 'Die dienst is er niet.'],
  ['These are words.', 'Dit moeten woorden zijn.'],
  ['This address takes what is sent by POST.', 'Dit adres neemt alleen aan wat met POST gestuurd wordt.'],
  ['This is no day and no moment.', 'Dit is geen dag en geen moment.'],
  ['This is no day.', 'Dit is geen dag.'],
  ['This is no page.', 'Dit is geen pagina.'],
  ['This is no short text.', 'Dit is geen korte tekst.'],
  ['This text is too long.', 'Deze tekst is te lang.'],
  ['A request may hold 16 KiB.', 'Een verzoek mag 16 KiB groot zijn.'],
  ['A request has one Host.', 'Een verzoek heeft één Host.'],
  ['This is no JSON object.', 'Dit is geen JSON-object.'],
  ['This is no JSON.', 'Dit is geen JSON.'],
  ['This is no address.', 'Dit is geen adres.'],
];

/** Parts of those. */
const phrases: readonly (readonly [string, string])[] = [
  ['it is empty', 'ze is leeg'],
  ['it seems cut off', 'ze lijkt afgebroken'],
  ['it names no site, and lacks most pupils of one', 'ze noemt geen vestiging, en mist de meeste leerlingen van één'],
  ['it removes many learners', 'veel leerlingen zouden verdwijnen'],
  ['it renames many learners or groups', 'veel leerlingen of groepen zouden anders heten'],
  ['it closes many groups', 'veel groepen zouden verdwijnen'],
  ['it removes many staff', 'veel medewerkers zouden verdwijnen'],
  ['it renames many staff', 'veel medewerkers zouden anders heten'],
  ['it names a day on which most learners leave', 'ze noemt een dag waarop de meeste leerlingen weggaan'],
  ['it says again what was not approved before', 'ze vraagt weer wat eerder niet is goedgekeurd'],
  ['they take much away at once', 'er wordt veel tegelijk weggenomen'],
  ['freeze {}, set by <> on {}, holds until {}', 'bevriezing {}, door <> gezet op {}, geldt tot {}'],
  ['operator', 'de beheerder'],
  ['a freeze held it, and it goes on now', 'een bevriezing hield het tegen, en het gaat nu verder'],
  ['gave no answer', 'gaf geen antwoord'],
  ['answered {}', 'antwoordde {}'],
];

type Mark = '{}' | '<>' | '[]';
const MARK = /\{\}|<>|\[\]/g;
const marksOf = (text: string): Mark[] => (text.match(MARK) ?? []) as Mark[];

interface Rule {
  /** With the phrases that stand here in their places, so that a name of two words does not lend one to a phrase; then with any. */
  en: readonly RegExp[];
  nl: string;
  marks: readonly Mark[];
}

const patternOf = (en: string, value: string, phrase: string): string =>
  en
    .split(MARK)
    .map((piece) => piece.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&'))
    .reduce((so, piece, i) => `${so}${marksOf(en)[i - 1] === '<>' ? phrase : value}${piece}`);

const ruleOf = ([en, nl]: readonly [string, string]): Rule => ({
  en: [...new Set([`(${anyPhrase})`, '(.+?)'])].map((phrase) => new RegExp(`^${patternOf(en, '(.+?)', phrase)}$`)),
  nl,
  marks: marksOf(en),
});
const anyPhrase = phrases.map(([en]) => patternOf(en, '.+?', '.+?')).join('|');
const rules = sentences.map(ruleOf);
const parts = phrases.map(ruleOf);

/** Services of a mandate, as the gateway lists them. */
const servicesIn = (list: string): string =>
  list.replaceAll(/[a-z]+/g, (one) => {
    const word = `service_${one}`;
    return isWord(word) ? words[word][0] : one === 'and' ? 'en' : one;
  });

function said(text: string, known: readonly Rule[], more: (phrase: string) => string | undefined): string | undefined {
  for (const { en, nl, marks } of known)
    for (const form of en) {
      const found = form.exec(text);
      if (!found) continue;
      const values = marks.map((mark, i) => {
        const value = found[i + 1]!;
        return mark === '<>' ? more(value) : mark === '[]' ? servicesIn(value) : value;
      });
      if (values.includes(undefined)) continue;
      let next = 0;
      return nl.replaceAll(MARK, () => values[next++]!);
    }
  return undefined;
}

/** A sentence in Dutch; undefined = it does not stand here. `title`: of its fault, which a sentence may quote. */
export function inDutch(told: string, title?: { nl: string; en: string }): string | undefined {
  const inner = (phrase: string): string | undefined =>
    title !== undefined && phrase === title.en ? title.nl : said(phrase, parts, inner);
  return told === title?.en ? title.nl : said(told, rules, inner);
}

/**
 * What an answer to "why not" says in all, in Dutch: what is active, the first cause, who must act, what helps, and how many causes more.
 * Undefined = a part of it does not stand here. `remedy`: of the first cause, in Dutch.
 */
export function allInDutch(
  told: string,
  first: Pick<Blocker, 'told' | 'title' | 'remedy'> | undefined,
  remedy: string | undefined,
): string | undefined {
  const found =
    /^((?:\d+ licences? (?:is|are) active|The learner has [^.]+)\. )?(.*?)( There (?:is one|are \d+) more causes?\.)?( There is more than .*)?$/s.exec(
      told,
    )!;
  const [before, rest, ...after] = found.slice(1).map((part) => part?.trim() ?? '') as [string, string, string, string];
  const about = [before, ...after].map((part) => (part === '' ? '' : inDutch(part)));
  const main = first === undefined ? inDutch(rest) : causeInDutch(rest, first, remedy);
  if (main === undefined || about.includes(undefined)) return undefined;
  return [about[0], main, ...about.slice(1)].filter(Boolean).join(' ');
}

function causeInDutch(
  told: string,
  first: Pick<Blocker, 'told' | 'title' | 'remedy'>,
  remedy: string | undefined,
): string | undefined {
  const cause = inDutch(first.told, first.title);
  const end = ` must act: ${first.remedy}`;
  if (cause === undefined || remedy === undefined || !told.startsWith(`${first.told} `) || !told.endsWith(end))
    return undefined;
  const who = told.slice(first.told.length + 1, -end.length);
  const role = `who_${who.replace(/^The /, '')}`;
  const name = isWord(role) ? words[role][0].replace(/^./, (letter) => letter.toUpperCase()) : who;
  return `${cause} ${who === 'We' ? 'Wij moeten' : `${name} moet`} iets doen: ${remedy}`;
}

/** All that stands here in English, for the test that the gateway still says it. */
export const toldInEnglish: readonly string[] = [...sentences, ...phrases].map(([en]) => en);
