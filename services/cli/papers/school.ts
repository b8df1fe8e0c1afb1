/**
 * The papers of one school, in Dutch: register of processing (AVG art. 30), annex 1 of the processing agreement, input for a DPIA,
 * and a page for parents. Pure: what is said follows from what the gateway tells of agreements, configuration and use at one moment.
 * What nobody told it is said to be missing; nothing is filled in.
 */
import { brinOf, dutchDay } from '#kernel';
import { type Mandate, MandateState, Service } from '#proto/eduk/core/v1/party';
import type {
  ProcessedParty,
  ProcessedService,
  Processor,
  ShowProcessingResponse,
} from '#proto/eduk/operator/v1/operator';
import {
  agreementWords,
  cell,
  dutchDate,
  dutchNumber,
  html,
  kept,
  keptPlain,
  mandateWords,
  markdownTable,
  plainTermOf,
  purposeOf,
  roleWords,
  termOf,
} from './words.ts';

export interface Paper {
  file: string;
  text: string;
}

const MISSING = '**nog in te vullen**';

/** What is made of the facts, for all papers alike. */
interface Facts {
  it: ShowProcessingResponse;
  today: string;
  school: string;
  /** Parties that get something now, with the services by which they do. */
  running: { party: ProcessedParty; services: ProcessedService[] }[];
  /** Agreements that give nothing now, though they have not ended: not confirmed, not accepted, not begun, or stopped. */
  waiting: { party: ProcessedParty; mandate: Mandate }[];
  /** Name of an attribute → what it is. */
  about: ReadonlyMap<string, string>;
}

function factsOf(it: ShowProcessingResponse): Facts {
  const running = it.parties.flatMap((party) => {
    const services = party.services.filter(({ code }) => code === '');
    return services.length === 0 ? [] : [{ party, services }];
  });
  const giving = new Set(running.flatMap(({ services }) => services.flatMap(({ mandateIds }) => mandateIds)));
  const brin = brinOf(it.school!.oin);
  return {
    it,
    today: dutchDay(Number(it.atMs)),
    school: `${cell(it.school!.name)} (${brin ? `BRIN ${brin}, ` : ''}OIN ${it.school!.oin})`,
    running,
    waiting: it.parties.flatMap((party) =>
      party.mandates
        .filter(({ mandateId, state }) => state !== MandateState.MANDATE_STATE_ENDED && !giving.has(mandateId))
        .map((mandate) => ({ party, mandate })),
    ),
    about: new Map(it.attributes.map(({ name, about }) => [name, about.replace(/\.$/, '')])),
  };
}

/** By this service nothing is received: who acts for a school gets by its other services what it gets. */
const givesNothing = ({ service }: ProcessedService): boolean => service === Service.SERVICE_ACT;
/** Parties that get something now. */
const receiversOf = ({ running }: Facts) => running.filter(({ services }) => !services.every(givesNothing));

const nameOf = ({ name, oin }: ProcessedParty): string => name || `OIN ${oin}`;
const stamp = ({ today }: Facts): string => `Gemaakt op ${dutchDate(today)} uit wat toen gold in de gateway.`;

/** Who runs the gateway, and for whom. */
function processorWords({ it }: Facts): string[] {
  const { operator, processorFor } = it;
  const who = operator
    ? `${cell(operator.name)}${operator.address ? `, ${cell(operator.address)}` : ''}${operator.contact ? `, ${cell(operator.contact)}` : ''}`
    : `${MISSING} (instelling EDUK_PROCESSING_FILE)`;
  return processorFor
    ? [`Verwerker: ${cell(processorFor)}.`, `Subverwerker die de gateway beheert: ${who}.`]
    : [`Verwerker die de gateway beheert: ${who}.`];
}

const subprocessorRows = (of: readonly Processor[]): string[][] =>
  of.map(({ name, does, country, address, contact }) => [
    name,
    does,
    country,
    [address, contact].filter(Boolean).join(', ') || 'niet opgegeven',
  ]);

function subprocessorWords({ it }: Facts): string {
  if (!it.subprocessorsKnown)
    return `${MISSING}: de beheerder heeft niet opgegeven of er subverwerkers zijn (instelling EDUK_PROCESSING_FILE).`;
  if (it.subprocessors.length === 0) return 'De beheerder heeft opgegeven dat er geen subverwerkers zijn.';
  return markdownTable(['subverwerker', 'doet', 'land', 'bereikbaar'], subprocessorRows(it.subprocessors));
}

const attributeList = (names: readonly string[], { about }: Facts): string =>
  names.length === 0 ? 'niets' : names.map((name) => about.get(name) ?? name).join('; ');

/** Who somebody is, and what goes with it. */
function dataWords(service: ProcessedService, facts: Facts): string {
  if (givesNothing(service)) return 'geen';
  const { carries } = purposeOf(service.service);
  if (service.attributes.length === 0) return `niets waarmee een persoon wordt genoemd; wel: ${carries}`;
  return `${attributeList(service.attributes, facts)}. Daarbij: ${carries}`;
}

const peopleOf = (service: ProcessedService): string[] => {
  const { people } = purposeOf(service.service);
  // Staff are released where the attribute is.
  return people.filter((one) => one === 'leerlingen' || service.attributes.includes('staff'));
};

const retentionTable = ({ it, today }: Facts): string =>
  markdownTable(
    ['soort gegevens', 'bewaard'],
    it.retention.map((one) => [kept[one.retention] ?? one.retention, termOf(one, today)]),
  );

const useWords = (service: ProcessedService, { it }: Facts): string =>
  service.lastUsedOn
    ? `laatst gebruikt op ${dutchDate(service.lastUsedOn)}`
    : it.countedSince
      ? `niet gebruikt sinds ${dutchDate(it.countedSince)}, toen het tellen begon`
      : 'gebruik wordt nog niet geteld';

/** The agreements by which a service runs, with their versions, and for which sites where they say so. */
const agreementsOf = (party: ProcessedParty, { mandateIds }: ProcessedService): string =>
  [...new Set(party.mandates.filter(({ mandateId }) => mandateIds.includes(mandateId)).map(agreementWords))].join('; ');

/** For what a service is, and for what the agreements say that it is. */
const purposesOf = ({ service, purposesTold }: ProcessedService): string =>
  purposesTold ? `${purposeOf(service).purpose} Volgens de afspraak: ${purposesTold}.` : purposeOf(service).purpose;

const pairwiseWords = ({ pairwise, linkableTold }: ProcessedService): string =>
  pairwise ? linkableTold || 'eigen pseudoniemen' : 'geen eigen pseudoniemen';

const serviceTable = (facts: Facts): string =>
  markdownTable(
    ['ontvanger', 'dienst', 'doel', 'wie', 'gegevens', 'afspraak', 'pseudoniemen', 'gebruik'],
    facts.running.flatMap(({ party, services }) =>
      services.map((service) => {
        return [
          `${nameOf(party)} (${roleWords(party.roles)})`,
          purposeOf(service.service).name,
          purposesOf(service),
          peopleOf(service).join(', ') || 'niemand',
          dataWords(service, facts),
          agreementsOf(party, service),
          pairwiseWords(service),
          useWords(service, facts),
        ];
      }),
    ),
  );

/** Agreements that give nothing now, so that nobody reads them as running. */
function waitingWords({ waiting }: Facts): string {
  if (waiting.length === 0) return 'Er zijn geen afspraken die nog niet of niet meer werken.';
  return `Deze afspraken bestaan, maar er gaat niets naar de ontvanger:

${markdownTable(
  ['ontvanger', 'mandaat', 'diensten', 'staat'],
  waiting.map(({ party, mandate }) => [
    nameOf(party),
    mandate.mandateId,
    [...new Set([...mandate.services, ...mandate.narrowed])].map((service) => purposeOf(service).name).join(', '),
    mandateWords(mandate),
  ]),
)}`;
}

const categories = (facts: Facts): string => {
  const people = [...new Set(facts.running.flatMap(({ services }) => services.flatMap(peopleOf)))];
  const all = facts.running.flatMap(({ services }) => services).filter((one) => !givesNothing(one));
  const names = [...new Set(all.flatMap((one) => one.attributes))];
  const carried = [...new Set(all.map(({ service }) => service))].sort((a, b) => a - b).map(purposeOf);
  return [
    `- Personen: ${people.join(', ') || 'geen'}.`,
    `- Gegevens over wie het is: ${attributeList(names, facts)}.`,
    ...carried.map(({ name, carries }) => `- Gegevens bij de dienst ${name}: ${carries}.`),
  ].join('\n');
};

/** What the software does for every school, whatever is configured. */
const measures = ({
  it,
}: Facts): string => `- Het persoonsgebonden nummer (PGN, BSN) wordt geweigerd en nergens bewaard.
- ${
  it.identity === 'on-demand'
    ? 'Namen, geboortedatum en contactgegevens worden voor deze school niet bewaard: ze worden opgevraagd bij de administratie van de school wanneer een ontvanger ze mag hebben, en blijven enkele minuten in het geheugen. De nummers waaraan een leerling wordt herkend staan apart, versleuteld onder sleutels van deze school; al het andere staat onder een pseudoniem.'
    : 'Wie een leerling is staat apart, versleuteld onder sleutels van deze school; al het andere staat onder een pseudoniem.'
}
- Gegevens over wie iemand is krijgt een ontvanger alleen als ze bij de rol van de ontvanger passen, de ontvanger heeft opgegeven ze nodig te hebben en de school ze heeft toegestaan; dat wordt bij elke vrijgave opnieuw bepaald. Heeft de ontvanger niets opgegeven, of noemt de afspraak van de school geen gegevens, dan geldt daarvoor de standaardlijst van de dienst. Wat bij een dienst hoort, zoals resultaten, gaat alleen mee onder een afspraak voor die dienst.
- Elke vrijgave staat in een logboek dat niet ongemerkt kan worden veranderd.
- ${
  it.revealsPerHour > 0n
    ? `Krijgt een ontvanger in een uur meer dan ${dutchNumber(it.revealsPerHour)} leerlingen te zien, dan wordt de beheerder gewaarschuwd.`
    : 'Er staat geen grens waarboven de beheerder wordt gewaarschuwd als een ontvanger veel leerlingen te zien krijgt.'
}`;

function register(facts: Facts): string {
  const { it } = facts;
  return `# Verwerkingsregister: uitwisseling in de leermiddelenketen

Bijdrage aan het register van ${facts.school}, AVG artikel 30. ${stamp(facts)}

## Wie

- Verwerkingsverantwoordelijke: ${it.board ? `${cell(it.board.name)} (OIN ${it.board.oin}), voor ${facts.school}` : `het bevoegd gezag van ${facts.school}; het bestuur is niet in de gateway geregistreerd: ${MISSING}`}.
${processorWords(facts)
  .map((line) => `- ${line}`)
  .join('\n')}
- Functionaris gegevensbescherming van de school: ${MISSING}.

## Verwerkingen

${facts.running.length === 0 ? 'Er gaat nu van deze school niets naar een ontvanger.' : serviceTable(facts)}

${waitingWords(facts)}

## Categorieën

${categories(facts)}

## Bewaartermijnen

${retentionTable(facts)}

## Subverwerkers en doorgifte

${subprocessorWords(facts)}

## Beveiliging

${measures(facts)}
`;
}

function annex(facts: Facts): string {
  const { running } = facts;
  const each = running.map(({ party, services }) => {
    const { name, oin, roles, endpoints } = party;
    return `## ${cell(name || oin)}

- OIN ${oin}, ${roleWords(roles)}.
- Hoe: ${endpoints.length > 0 ? `de gateway stuurt zelf (${endpoints.map(cell).join(', ')}), of de ontvanger haalt op` : 'de ontvanger haalt op'}.

${markdownTable(
  ['dienst', 'doel', 'personen', 'persoonsgegevens', 'overeenkomst'],
  services.map((service) => [
    purposeOf(service.service).name,
    purposesOf(service),
    peopleOf(service).join(', ') || 'niemand',
    dataWords(service, facts),
    agreementsOf(party, service),
  ]),
)}

${services.some(({ pairwise }) => pairwise) ? `Pseudoniemen: ${services.filter(({ pairwise }) => pairwise).map(pairwiseWords)[0]}` : 'Pseudoniemen: deze ontvanger krijgt geen eigen pseudoniemen.'}`;
  });
  return `# Bijlage 1: wat er met persoonsgegevens gebeurt

Bij de verwerkersovereenkomst voor ${facts.school}. ${stamp(facts)}

## Partijen

${processorWords(facts)
  .map((line) => `- ${line}`)
  .join('\n')}
- Ontvangers die nu iets krijgen: ${
    receiversOf(facts)
      .map(({ party }) => cell(nameOf(party)))
      .join(', ') || 'geen'
  }.

${each.length > 0 ? each.join('\n\n') : 'Er gaat nu van deze school niets naar een ontvanger.'}

## Nog niet of niet meer in gebruik

${waitingWords(facts)}

## Subverwerkers

${subprocessorWords(facts)}

## Bewaartermijnen

${retentionTable(facts)}
`;
}

/** Attributes by which somebody is known at once, or that say more of them than a key. */
const direct: ReadonlySet<string> = new Set([
  'call_name',
  'family_name',
  'given_names',
  'birth_date',
  'gender',
  'email',
  'account_name',
]);

function dpia(facts: Facts): string {
  const { it, running } = facts;
  const all = running.flatMap(({ party, services }) => services.map((service) => ({ party, service })));
  const known = all.filter(
    ({ service }) => !givesNothing(service) && service.attributes.some((name) => direct.has(name)),
  );
  const named = all.filter(({ service }) => !givesNothing(service) && service.attributes.length > 0);
  const linkable = named.filter(({ service }) => !service.pairwise);
  const hidden = named.filter(({ service }) => service.pairwise);
  const learning = all.filter(({ service }) => purposeOf(service.service).learning);
  const unused = all.filter(({ service }) => service.lastUsedOn === '' && it.countedSince !== '');
  const line = ({ party, service }: (typeof all)[number], what: string): string =>
    `- ${cell(nameOf(party))}, ${purposeOf(service.service).name}: ${what}`;
  const points = (of: typeof all, none: string, what: (one: (typeof all)[number]) => string): string =>
    of.length === 0 ? none : of.map((one) => line(one, what(one))).join('\n');
  return `# Invoer voor een DPIA

Over ${facts.school}. ${stamp(facts)} Dit zijn feiten; of een DPIA nodig is en welk risico aanvaardbaar is, beoordeelt de school.

## Omvang

- Schooljaren waarvan leerlinggegevens aanwezig zijn: ${it.schoolYears.join(', ') || 'geen'}.
- Ontvangers die nu iets krijgen: ${receiversOf(facts).length}. Diensten: ${new Set(all.map(({ service }) => service.service)).size}.
${categories(facts)}

## Waar direct herkenbare gegevens naartoe gaan

${points(known, '- Nergens.', ({ service }) =>
  attributeList(
    service.attributes.filter((name) => direct.has(name)),
    facts,
  ),
)}

## Bij wie gegevens over het leren zijn

Resultaten, voortgang, en wanneer en hoe vaak leermateriaal wordt gebruikt: bij wie ze krijgt of aanlevert.

${points(learning, '- Bij niemand.', ({ service }) => purposeOf(service.service).carries)}

## Waar ontvangers leerlingen naast elkaar kunnen leggen

${[
  linkable.length > 0
    ? points(linkable, '', () => 'krijgt geen eigen pseudoniemen')
    : hidden.length > 0
      ? '- Nergens: elke ontvanger krijgt eigen pseudoniemen.'
      : '- Nergens: geen ontvanger krijgt gegevens over wie iemand is.',
  ...hidden.map((one) => line(one, one.service.linkableTold || 'eigen pseudoniemen')),
].join('\n')}

## Afspraken zonder gebruik

${it.countedSince === '' ? 'Gebruik wordt nog niet geteld.' : points(unused, '- Geen.', () => `niet gebruikt sinds ${dutchDate(it.countedSince)}, toen het tellen begon`)}

## Afspraken waar niets uit volgt

${waitingWords(facts)}

## Verwerkers

${processorWords(facts)
  .map((text) => `- ${text}`)
  .join('\n')}

${subprocessorWords(facts)}

## Bewaartermijnen

${retentionTable(facts)}

## Maatregelen in de software

${measures(facts)}

## Wat de gateway niet weet

- Wat een ontvanger met de gegevens doet, hoe lang die ze bewaart en wie er daar bij kan.
- Op welke grondslag de school verwerkt, en wat met ouders en medezeggenschap is afgesproken.
- Of ouders of leerlingen bezwaar hebben gemaakt.
`;
}

/** Attributes as a parent reads them. */
const plainWords: Readonly<Record<string, string>> = {
  eck_id: 'een nummer dat alleen voor leermateriaal is (geen BSN)',
  las_key: 'een nummer uit de administratie van de school',
  call_name: 'de roepnaam',
  family_name: 'de achternaam',
  given_names: 'de voornamen',
  initials: 'de voorletters',
  birth_date: 'de geboortedatum',
  gender: 'het geslacht',
  email: 'het e-mailadres',
  account_name: 'de naam waarmee uw kind op school inlogt',
  year_group: 'het leerjaar',
  groups: 'de groep of klas',
  sites: 'de vestiging van de school',
  period: 'de eerste en de laatste dag op school',
  staff: 'de leerkrachten van de groep',
};

const pseudonymWords = 'Deze organisatie krijgt een eigen schuilnaam in plaats van een nummer.';

function parents(facts: Facts): string {
  const { it, running } = facts;
  const plain = (service: ProcessedService): string => {
    if (givesNothing(service)) return 'geen gegevens.';
    const names = service.attributes.map((name) => plainWords[name] ?? facts.about.get(name) ?? name);
    return `${names.join(', ') || 'niets over wie uw kind is'}. Daarbij hoort: ${purposeOf(service.service).plainCarries}.`;
  };
  const list = (items: readonly string[]): string => `<ul>\n${items.map((one) => `<li>${one}</li>`).join('\n')}\n</ul>`;
  const parties = running.map(
    ({ party, services }) => `<h3>${html(nameOf(party))}</h3>
<p>${html(roleWords(party.roles))}</p>
${list(services.map((service) => `Om ${html(plainPurpose(service.service))}: ${html(plain(service))}`))}${
  services.some(({ pairwise }) => pairwise) ? `\n<p>${pseudonymWords}</p>` : ''
}`,
  );
  const others = it.subprocessorsKnown
    ? it.subprocessors.length === 0
      ? '<p>De beheerder gebruikt geen andere bedrijven om dit te doen.</p>'
      : `<p>De beheerder gebruikt ook:</p>\n${list(it.subprocessors.map(({ name, does, country }) => `${html(name)}: ${html(does)} (${html(country)})`))}`
    : '<p>De beheerder heeft nog niet gezegd of hij andere bedrijven gebruikt.</p>';
  return `<!doctype html>
<html lang="nl">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gegevens van uw kind en leermateriaal</title>
<style>
body { font: 1.1rem/1.5 sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color: #111; background: #fff; }
</style>
</head>
<body>
<h1>Gegevens van uw kind en leermateriaal</h1>
<p>${html(it.school!.name)}. Deze pagina is van ${dutchDate(facts.today)}.</p>
<p>Uw kind gebruikt op school digitaal leermateriaal. Daarvoor geeft de school gegevens door. Hier leest u welke gegevens, aan wie en waarom.</p>
<h2>Aan wie geeft de school gegevens?</h2>
${parties.length > 0 ? parties.join('\n') : '<p>De school geeft nu op deze manier aan niemand gegevens.</p>'}
<h2>Wie regelt dit voor de school?</h2>
<p>De school is de baas over de gegevens.${it.processorFor ? ` Voor de school werkt ${html(it.processorFor)}.` : ''} ${
    it.operator
      ? `De gegevens gaan via ${html(it.operator.name)}.`
      : 'Wie het doorgeven beheert, vraagt u aan de school.'
  }</p>
${others}
<h2>Hoe wordt uw kind beschermd?</h2>
${list([
  'Het BSN van uw kind wordt niet doorgegeven.',
  it.identity === 'on-demand'
    ? 'De naam van uw kind wordt niet bewaard. Die wordt alleen opgehaald bij de school als het nodig is.'
    : 'De naam van uw kind wordt apart en op slot bewaard.',
  'Een organisatie krijgt alleen wat hierboven staat.',
  'Wat is doorgegeven, wordt opgeschreven in een logboek.',
])}
<h2>Hoe lang blijven gegevens bewaard?</h2>
<p>Staat er een dag bij? Die geldt voor gegevens die op ${dutchDate(facts.today)} zijn opgeslagen.</p>
${list(it.retention.map((one) => `${html(keptPlain[one.retention] ?? kept[one.retention] ?? one.retention)}: ${html(plainTermOf(one))}.`))}
<h2>Wat kunt u doen?</h2>
<p>U mag de school vragen welke gegevens van uw kind er zijn. U mag vragen om gegevens te verbeteren of weg te halen. U mag bezwaar maken. Is uw kind 16 jaar of ouder? Dan mag uw kind dat zelf. Vraag het aan de school.</p>
<p>Bent u het niet eens met de school? Dan kunt u naar de Autoriteit Persoonsgegevens.</p>
</body>
</html>
`;
}

const plainPurpose = (service: Service): string => purposeOf(service).plain;

/** All papers of a school, by the names of their files. The same facts give the same bytes. */
export function schoolPapers(it: ShowProcessingResponse): Paper[] {
  const facts = factsOf(it);
  return [
    { file: 'verwerkingsregister.md', text: register(facts) },
    { file: 'bijlage-1.md', text: annex(facts) },
    { file: 'dpia-invoer.md', text: dpia(facts) },
    { file: 'ouders.html', text: parents(facts) },
  ];
}
