/** Remedies in Dutch, by fault; the gateway says them in English. */
export const remediesNl: Readonly<Record<string, string>> = {
  'school.closed':
    'De school, of wie zij vroeg haar sleutel te bewaren, laat de gateway die weer gebruiken; dan gaat alles vanzelf verder, op volgorde: eduk key list.',
  'mandate.missing': 'De school geeft deze partij een mandaat voor deze dienst.',
  'mandate.unconfirmed': 'De school bevestigt het mandaat; wat wacht wordt dan op volgorde gestuurd.',
  'mandate.unaccepted': 'De partij aanvaardt of weigert het mandaat; wat wacht wordt dan op volgorde gestuurd.',
  'mandate.ended': 'De school geeft een nieuw mandaat, of de bestelling gaat naar een andere leverancier.',
  'mandate.suspended':
    'De beheerder laat de partij weer doorgaan (eduk party resume); wat wacht wordt dan op volgorde gestuurd. Geen school hoeft iets te doen.',
  'product.unknown':
    'De uitgever publiceert het product, of de koper verbetert het productnummer; na 24 uur wordt het geweigerd.',
  'count.used_up': 'De koper bestelt meer licenties, of de verkoper trekt ongebruikte in.',
  'hold.pending': 'Iemand van de school bekijkt het verschil en keurt goed of wijst af.',
  'freeze.holds':
    'Niemand hoeft iets te doen: het gaat vanzelf verder als de bevriezing voorbij is. Eerder: beëindig de bevriezing op de pagina Bevriezingen, of met eduk freeze end.',
  'hold.operator': 'De beheerder van de gateway begint eraan: eduk replay run.',
  'gateway.bug': 'Wij kijken naar de vastgelopen sleutel en pakken hem weer op.',
  'gateway.clear_data': 'Wij kijken naar de vastgelopen sleutel.',
  'entitlement.not_started': 'Wacht op de eerste dag, of de verkoper laat eerder beginnen.',
  'entitlement.expired': 'De koper bestelt opnieuw.',
  'entitlement.blocked': 'De verkoper heft de blokkade op of geeft een nieuwe licentie.',
  'entitlement.missing': 'De verkoper geeft de licentie.',
  'entitlement.unassigned': 'Wie bestelt of geeft, wijst van het aantal aan elke leerling een licentie toe.',
  'access.unprovisioned': 'Het platform maakt plaats voor de leerling en meldt dat (ProvisionAccess).',
  'learner.no_eck_id': 'De administratie haalt het ECK iD van de leerling op en stuurt het in haar leerlinglijst.',
  'product.ended': 'De koper bestelt wat erop volgt, of een ander product.',
  'product.no_link': 'De uitgever publiceert het product met het adres waar het opent.',
  'order.unconfirmed': 'De verkoper bevestigt of weigert de regel.',
  'state.conflict': 'De afzender verbetert het bericht en stuurt het onder een nieuw nummer.',
  'state.missing': 'De afzender kijkt het nummer na.',
  'learner.unknown': 'De administratie stuurt de leerling in haar leerlinglijst.',
  'wire.invalid': 'De afzender verbetert het bericht.',
  'wire.pgn': 'De afzender haalt persoonsgebonden nummers eruit.',
  'party.forbidden': 'De beheerder geeft de partij de rol die nodig is.',
  'peer.unavailable': 'De ontvanger herstelt zijn adres; wat wacht wordt dan op volgorde gestuurd.',
  'peer.unknown_outcome': 'De ontvanger kijkt waarom er geen antwoord komt; daarna opnieuw sturen.',
  'peer.refused': 'De ontvanger kijkt waarom hij weigert, of noemt een ander adres; daarna opnieuw sturen of opgeven.',
};
