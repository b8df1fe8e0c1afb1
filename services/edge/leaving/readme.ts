import { brinOf } from '#kernel';
import { type Table, tables } from './tables.ts';

export interface Told {
  schoolOin: string;
  /** As registered; empty = it is not. */
  name: string;
  madeAt: string;
  files: readonly { name: string; rows: number }[];
  losses: number;
  forgetting: number;
}

/** The page for whoever opens an export: what lies here, how it hangs together, what is not in it. Names nobody. */
export function readMe({ schoolOin, name, madeAt, files, losses, forgetting }: Told): string {
  const rowsOf = new Map(files.map((file) => [file.name, file.rows]));
  const rosters = files.filter((file) => file.name.endsWith('.xml'));
  const line = ({ file, about }: Table): string => `  ${file} (${rowsOf.get(file) ?? 0} rijen)\n      ${about}`;
  return `Alles wat de gateway van deze school bewaart
=============================================

School:   ${name === '' ? `${brinOf(schoolOin)}` : `${name} (${brinOf(schoolOin)})`}, OIN ${schoolOin}
Gemaakt:  ${madeAt} (UTC)

Deze map bevat persoonsgegevens van leerlingen en medewerkers. Zij is bestemd voor de school, die verwerkingsverantwoordelijk is.
Breng haar versleuteld over, geef haar aan niemand anders, en verwijder haar waar zij niet meer nodig is.

Wat er ligt
-----------
${rosters.map((file) => `  ${file.name} (${file.rows} personen)\n      Leerlingen, groepen en medewerkers van dat schooljaar, in EDEXML 2.1: in te lezen in elke administratie.`).join('\n')}
${Object.values(tables).map(line).join('\n')}
  beschrijving.json
      Wat elk bestand en elke kolom betekent (CSV on the Web, W3C).
  SHA256SUMS
      Om te zien dat alles heel is overgekomen: sha256sum -c SHA256SUMS

Hoe het samenhangt
------------------
- De tabellen zijn CSV volgens RFC 4180: UTF-8, komma's, aanhalingstekens waar het moet. Wat leeg is, is niet bekend.
- Een persoon heeft overal hetzelfde "kenmerk". Dat is van de gateway en betekent elders niets. sleutels.csv zegt welk ECK iD en welke
  sleutel in de administratie erbij horen; sleutels-per-ontvanger.csv onder welk pseudoniem een leverancier de persoon kent.
- In EDEXML staat het nieuwste ECK iD en de nieuwste sleutel. Een sleutel die met # begint is door de gateway gemaakt, omdat er geen was.
- verstrekkingen.csv zegt aan wie welke gegevens zijn gegeven, uit het logboek dat niemand ongezien kan veranderen. Deze export staat er zelf
  nog niet in; een volgende noemt haar als school_export.
- Open CSV in een rekenblad als tekst: een cel die met =, +, - of @ begint is een waarde van de school of van een leverancier, geen formule.

Wat er niet in staat
--------------------
- Een burgerservicenummer of een deel ervan: de gateway bewaart dat nooit.
- Wat een ouder of leerling zelf heeft gekocht: daarvan is de verkoper verwerkingsverantwoordelijk.
- Wie vergeten is${forgetting === 0 ? '.' : `, en wie daarop wacht: nu ${forgetting}.`}
- Eerdere namen van iemand: alleen de nieuwste.${losses === 0 ? '' : `\n- In EDEXML: ${losses} gegevens waarvoor die standaard geen plaats heeft. edexml-weggelaten.txt noemt ze; de tabellen hebben ze wel.`}
`;
}
