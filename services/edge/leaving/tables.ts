/**
 * What an export of a school holds, as one table: from it come the files, their description (CSV on the Web, W3C) and the
 * page for whoever opens them. Names and words are Dutch: the reader is a school.
 */

export interface Column {
  about: string;
  /** Of CSV on the Web; absent = text. */
  is?: 'date' | 'dateTime' | 'integer' | 'number' | 'boolean';
}

export interface Table {
  file: string;
  about: string;
  columns: Readonly<Record<string, Column>>;
  /** Columns that lead to a row of `personen.csv`. */
  people?: readonly string[];
}

const table = <const C extends Readonly<Record<string, Column>>>(
  file: string,
  about: string,
  columns: C,
  people: readonly (keyof C & string)[] = [],
) => ({ file, about, columns, people }) satisfies Table;

const person: Column = { about: 'Kenmerk van de persoon; zie personen.csv.' };
const product: Column = { about: 'Nummer van het leermiddel in de catalogus.' };
const group: Column = { about: 'Sleutel van de groep in de administratie.' };
const party = (who: string): { oin: Column; name: Column } => ({
  oin: { about: `OIN van ${who}.` },
  name: { about: `Naam van ${who}, zoals geregistreerd.` },
});

export const tables = {
  people: table('personen.csv', 'Wie er van de school bekend is: leerlingen en medewerkers.', {
    kenmerk: { about: 'Hoe deze export de persoon noemt; elders betekent het niets.' },
    soort: { about: 'leerling of medewerker.' },
    achternaam: { about: 'Achternaam.' },
    voorvoegsel: { about: 'Voorvoegsel.' },
    voornamen: { about: 'Voornamen.' },
    voorletters: { about: 'Voorletters.' },
    roepnaam: { about: 'Roepnaam.' },
    geboortedatum: { about: 'Geboortedatum.', is: 'date' },
    geslacht: { about: 'Code van EDEXML: 0 onbekend, 1 jongen, 2 meisje, 9 niet gespecificeerd.' },
    emailadres: { about: 'E-mailadres.' },
    gebruikersnaam: { about: 'Gebruikersnaam op school.' },
    zelfde_als: { about: 'Van wie dit een tweede kenmerk is: dezelfde leerling, die dubbel bekend was.' },
  }),
  keys: table(
    'sleutels.csv',
    'De sleuteltabel: onder welke nummers een persoon bekend is, het oudste eerst.',
    {
      kenmerk: person,
      volgorde: { about: 'Vanaf 1; wat ontvangers zien is het eerste ECK iD en de eerste sleutel.', is: 'integer' },
      eck_id: { about: 'ECK iD.' },
      sleutel: { about: 'Sleutel in de administratie.' },
    },
    ['kenmerk'],
  ),
  pseudonyms: table(
    'sleutels-per-ontvanger.csv',
    'Onder welk eigen pseudoniem een ontvanger een persoon kent, waar de afspraak dat zo wil. Als ECK iD staat er urn:eduk: voor.',
    {
      kenmerk: person,
      ontvanger_oin: party('de ontvanger').oin,
      ontvanger: party('de ontvanger').name,
      pseudoniem: { about: 'Pseudoniem, alleen voor deze ontvanger.' },
    },
    ['kenmerk'],
  ),
  groupPseudonyms: table(
    'groepssleutels-per-ontvanger.csv',
    'Onder welk eigen pseudoniem een ontvanger een groep of vestiging kent, waar de afspraak dat zo wil.',
    {
      sleutel: { about: 'Sleutel van de groep of vestiging in de administratie.' },
      ontvanger_oin: party('de ontvanger').oin,
      ontvanger: party('de ontvanger').name,
      pseudoniem: { about: 'Pseudoniem, alleen voor deze ontvanger.' },
    },
  ),
  groups: table('groepen.csv', 'Groepen per schooljaar.', {
    schooljaar: { about: 'Schooljaar.' },
    groep: group,
    naam: { about: 'Naam.' },
    omschrijving: { about: 'Omschrijving.' },
    jaargroep: { about: 'Code van EDEXML; leeg bij een samengestelde groep.' },
    samengesteld: { about: 'Of het een samengestelde groep is.', is: 'boolean' },
    vestigingscodes: { about: 'Codes (dependancecode) van vestigingen, gescheiden door |.' },
  }),
  enrolments: table(
    'inschrijvingen.csv',
    'Welke leerling in welk schooljaar waar zit.',
    {
      schooljaar: { about: 'Schooljaar.' },
      kenmerk: person,
      jaargroep: { about: 'Code van EDEXML.' },
      groep: { about: 'Sleutel van de stamgroep.' },
      samengestelde_groepen: { about: 'Sleutels, gescheiden door |.' },
      vestiging: { about: 'Sleutel van de vestiging.' },
      vestigingscodes: { about: 'Codes (dependancecode), gescheiden door |.' },
      instroomdatum: { about: 'Eerste dag.', is: 'date' },
      uitstroomdatum: { about: 'Laatste dag.', is: 'date' },
    },
    ['kenmerk'],
  ),
  duties: table(
    'aanstellingen.csv',
    'Welke medewerker in welk schooljaar welke groepen heeft. Zonder groep: voor de hele school.',
    {
      schooljaar: { about: 'Schooljaar.' },
      kenmerk: person,
      groep: group,
      rollen: { about: 'Codes van EDEXML, gescheiden door |.' },
    },
    ['kenmerk'],
  ),
  results: table(
    'resultaten.csv',
    'Resultaten en voortgang die leveranciers hebben teruggegeven.',
    {
      resultaat: { about: 'Nummer van het resultaat bij de leverancier.' },
      kenmerk: person,
      product,
      groep: group,
      soort: { about: 'progress (voortgang), interim (tussentijds) of final (eindresultaat).' },
      dag: { about: 'Dag van ontvangst.', is: 'date' },
      van_oin: party('de leverancier').oin,
      van: party('de leverancier').name,
      activiteit: { about: 'Code van toets, hoofdstuk of opgave bij de leverancier.' },
      activiteit_naam: { about: 'Naam ervan.' },
      onderdeel: { about: 'Onderdeel; leeg = het geheel.' },
      gedaan_procent: { about: 'Deel van het werk dat gedaan is, 0 tot 100.', is: 'number' },
      opgaven_gedaan: { about: 'Opgaven gedaan.', is: 'integer' },
      opgaven_totaal: { about: 'Opgaven in totaal.', is: 'integer' },
      seconden: { about: 'Tijd die eraan besteed is.', is: 'integer' },
      score: { about: 'Punten.', is: 'number' },
      score_max: { about: 'Punten die te halen waren.', is: 'number' },
      beoordeling: { about: 'Cijfer of niveau, in woorden van de leverancier.' },
      gemaakt_op: { about: 'Wanneer het gemaakt is: dag of tijdstip.' },
      definitie: { about: 'Code en versie van de toets in de standaard waarin het resultaat kwam.' },
    },
    ['kenmerk'],
  ),
  entitlements: table(
    'licenties.csv',
    'Gebruiksrechten. Zonder kenmerk en groep: voor de hele school.',
    {
      licentie: { about: 'Nummer van het gebruiksrecht.' },
      product,
      kenmerk: person,
      groep: group,
      bestelling: { about: 'Bestelling waaruit het komt.' },
      regel: { about: 'Regel daarvan.' },
      van: { about: 'Eerste dag.', is: 'date' },
      tot: { about: 'Laatste dag.', is: 'date' },
      resultaten_tot: { about: 'Tot wanneer resultaten te lezen zijn; leeg = tot en met de laatste dag.', is: 'date' },
      aantal: { about: 'Hoeveel leerlingen het mogen gebruiken; 0 = niet geteld.', is: 'integer' },
      gebruikt: { about: 'Hoeveel er daarvan vergeven zijn.', is: 'integer' },
      uit_licentie: { about: 'Geteld gebruiksrecht waaruit dit genomen is.' },
      stand: { about: 'granted, provisioned, used, expired, withdrawn, blocked; of waiting, refused.' },
      activeringscode: { about: 'Code waarmee het geactiveerd wordt.' },
      toegekend_door_oin: party('wie het toekende').oin,
      uitgever_oin: party('de uitgever').oin,
      platform_oin: party('het platform').oin,
      eerst_gebruikt: { about: 'Eerste dag van gebruik.', is: 'date' },
      oorzaak: { about: 'Waardoor het eindigde: withdrawn, swapped, left of forgotten.' },
    },
    ['kenmerk'],
  ),
  orders: table(
    'bestellingen.csv',
    'Regels van bestellingen. Wat een ouder of leerling zelf koopt staat er niet in: daarvan is de verkoper verwerkingsverantwoordelijk.',
    {
      bestelling: { about: 'Nummer van de bestelling.' },
      koper_oin: party('de koper').oin,
      geplaatst: { about: 'Wanneer.', is: 'dateTime' },
      uitkomst: { about: 'placed, refused of waiting.' },
      regel: { about: 'Nummer van de regel.' },
      product,
      aantal: { about: 'Exemplaren of licenties.', is: 'integer' },
      kenmerk: person,
      groep: group,
      fonds: { about: 'ibf (intern) of ebf (extern).' },
      betaler: { about: 'school, of leeg.' },
      vorm: { about: 'licence, folio of lifo.' },
      eigendom: { about: 'sale (koop) of rent (huur).' },
      verlenging: { about: 'ends of renews.' },
      opzeggen_voor: { about: 'Laatste dag om op te zeggen.', is: 'date' },
      terug_voor: { about: 'Dag waarop gehuurde boeken terug moeten zijn.', is: 'date' },
      van: { about: 'Eerste dag van gebruik.', is: 'date' },
      tot: { about: 'Laatste dag van gebruik.', is: 'date' },
      verkoper_oin: party('de verkoper').oin,
      stand: { about: 'placed, confirmed, refused, delivered, cancelled of credited.' },
      reden: { about: 'Reden van een weigering of creditering.' },
      dag: { about: 'Verwachte of werkelijke leverdag.', is: 'date' },
    },
    ['kenmerk'],
  ),
  launches: table(
    'toegang.csv',
    'Wanneer leermiddelen geopend zijn. Na dertig dagen is alleen de dag bekend: dan staat er het begin van die dag.',
    {
      start: { about: 'Nummer van de start.' },
      kenmerk: person,
      product,
      licentie: { about: 'Gebruiksrecht; leeg bij vrij materiaal.' },
      platform_oin: party('het platform').oin,
      moment: { about: 'Wanneer.', is: 'dateTime' },
      uitkomst: { about: 'created, redeemed, refused of waiting.' },
      reden: { about: 'Code van een weigering.' },
      ingewisseld_door_oin: party('wie de start inwisselde').oin,
    },
    ['kenmerk'],
  ),
  releases: table(
    'verstrekkingen.csv',
    'Aan wie welke gegevens zijn gegeven, per dag: uit het logboek van de gateway.',
    {
      dag: { about: 'Dag in Nederland.', is: 'date' },
      ontvanger_oin: party('de ontvanger').oin,
      ontvanger: party('de ontvanger').name,
      doel: { about: 'Dienst waarvoor; school_export is een export als deze.' },
      gegevens: { about: 'Namen van gegevens, gescheiden door |.' },
      keren: { about: 'Antwoorden en zendingen.', is: 'integer' },
      personen: { about: 'Personen daarin; wie twee keer getoond is telt twee keer.', is: 'integer' },
      blad: { about: 'Nieuwste blad van het logboek dat het zegt.', is: 'integer' },
    },
  ),
  mandates: table('afspraken.csv', 'Mandaten: wie wat van de school mag hebben, en mocht.', {
    mandaat: { about: 'Nummer.' },
    partij_oin: party('de partij').oin,
    partij: party('de partij').name,
    diensten: { about: 'Diensten, gescheiden door |.' },
    doelen: { about: 'Doelen, gescheiden door |.' },
    gegevens: { about: 'Gegevens, gescheiden door |; leeg = wat de dienst standaard geeft.' },
    vestigingscodes: { about: 'Codes van vestigingen, gescheiden door |; leeg = de hele school.' },
    stand: { about: 'unconfirmed, active, run_off of ended.' },
    van: { about: 'Eerste dag.', is: 'date' },
    tot: { about: 'Laatste dag.', is: 'date' },
    loopt_af_tot: { about: 'Laatste dag van het aflopen.', is: 'date' },
    overeenkomst: { about: 'Kenmerk van de verwerkersovereenkomst.' },
    versie: { about: 'Versie ervan.' },
    eigen_pseudoniemen: { about: 'Of de partij eigen pseudoniemen kreeg.', is: 'boolean' },
    bestuur_oin: party('het bestuur dat het gaf').oin,
    bevestigd_door_oin: party('wie het bevestigde').oin,
  }),
  texts: table('schoolteksten.csv', 'Eigen teksten van de school: sleutels en namen van groepen en vestigingen.', {
    kenmerk: { about: 'Hoe de gateway de tekst noemt.' },
    tekst: { about: 'De tekst.' },
  }),
} as const;

export type TableName = keyof typeof tables;
type Cell = string | number | bigint | boolean | undefined;
/** A row of a table: every column, by its name. */
export type RowOf<N extends TableName> = { readonly [C in keyof (typeof tables)[N]['columns']]: Cell };
export type RowsOf = { readonly [N in TableName]: readonly RowOf<N>[] };

/** Several codes or keys in one cell. */
export const joined = (some: readonly string[]): string => some.join('|');

const quoted = (cell: Cell): string => {
  const text = cell === undefined ? '' : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** A table as RFC 4180 has it, in UTF-8: a head, every row ends with CR LF. */
export function csvOf({ columns }: Table, rows: readonly Readonly<Record<string, Cell>>[]): string {
  const names = Object.keys(columns);
  return [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((cells) => `${cells.map(quoted).join(',')}\r\n`)
    .join('');
}

/** Metadata for tabular data (W3C, 2015): what each file and column is. */
export function descriptionOf(madeAt: string): object {
  return {
    '@context': ['http://www.w3.org/ns/csvw', { '@language': 'nl' }],
    'dc:created': madeAt,
    dialect: { encoding: 'utf-8', lineTerminators: ['\r\n'], quoteChar: '"', delimiter: ',', header: true },
    tables: Object.values(tables).map(({ file, about, columns, people }: Table) => ({
      url: file,
      'dc:description': about,
      tableSchema: {
        columns: Object.entries(columns).map(([name, { about: told, is }]: [string, Column]) => ({
          name,
          titles: name,
          'dc:description': told,
          datatype: is ?? 'string',
        })),
        ...(file === tables.people.file ? { primaryKey: ['kenmerk'] } : {}),
        ...(people && people.length > 0
          ? {
              foreignKeys: people.map((name) => ({
                columnReference: [name],
                reference: { resource: tables.people.file, columnReference: ['kenmerk'] },
              })),
            }
          : {}),
      },
    })),
  };
}
