/**
 * What the gateway says, in Dutch: sentences that an operator meets on the way of a message and where something blocks. The gateway says
 * them in English, to programs too; what does not stand here is shown as it came, marked as English.
 */

/** English, and Dutch. `{}` is a value, said as it is; `<>` is a phrase, which must stand here too. */
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
    '{} may not have {} of this school: <> It has a mandate for {}.',
    '{} mag {} van deze school niet hebben: <> Wel een mandaat voor {}.',
  ],
  ['{} may not have {} of this school: <>', '{} mag {} van deze school niet hebben: <>'],
  ['Nothing was ordered or granted under this.', 'Hieronder is niets besteld of gegeven.'],
  [
    'Nothing blocks now; see what was refused or ended earlier.',
    'Nu blokkeert niets; zie wat eerder is geweigerd of beëindigd.',
  ],
  [
    'Nothing blocks: what was ordered is granted, and the parties may have it.',
    'Niets blokkeert: wat besteld is, is gegeven, en de partijen mogen het hebben.',
  ],
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

interface Rule {
  en: RegExp;
  nl: string;
  /** By place, which of what was found must be a phrase. */
  isPhrase: readonly boolean[];
}

const ruleOf = ([en, nl]: readonly [string, string]): Rule => ({
  en: new RegExp(`^${en.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&').replaceAll(/\{\}|<>/g, '(.+?)')}$`),
  nl,
  isPhrase: [...en.matchAll(/\{\}|<>/g)].map(([mark]) => mark === '<>'),
});
const rules = sentences.map(ruleOf);
const parts = phrases.map(ruleOf);

function said(text: string, known: readonly Rule[], more: (phrase: string) => string | undefined): string | undefined {
  for (const { en, nl, isPhrase } of known) {
    const found = en.exec(text);
    if (!found) continue;
    const values = isPhrase.map((is, i) => (is ? more(found[i + 1]!) : found[i + 1]!));
    if (values.includes(undefined)) continue;
    let next = 0;
    return nl.replaceAll(/\{\}|<>/g, () => values[next++]!);
  }
  return undefined;
}

/** A sentence in Dutch; undefined = it does not stand here. `title`: of its fault, which a sentence may quote. */
export function inDutch(told: string, title?: { nl: string; en: string }): string | undefined {
  const inner = (phrase: string): string | undefined =>
    title !== undefined && phrase === title.en ? title.nl : said(phrase, parts, inner);
  return said(told, rules, inner);
}

/** All that stands here in English, for the test that the gateway still says it. */
export const toldInEnglish: readonly string[] = [...sentences, ...phrases].map(([en]) => en);
