import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

/**
 * Settings are declared once, as data: meaning, type and default stand together, all problems are reported at once,
 * unknown names are refused, and `docs/configuration.md` is written from the same table.
 */
export interface Setting {
  about: string;
  /** The same in Dutch. */
  nl: string;
  type: 'text' | 'path' | 'address' | 'addresses' | 'networks' | 'url' | 'database' | 'integer' | 'choice';
  default?: string;
  choices?: readonly string[];
}

export const settings = {
  EDUK_DATA: {
    about: 'Folder that holds the log, all state and the vault of the embedded engine.',
    nl: 'Map met het logboek, alle stand en de kluis van de ingebouwde engine.',
    type: 'path',
    default: '.eduk',
  },
  EDUK_BACKUPS: {
    about:
      'Folder in which eduk backup makes its backups and eduk doctor --restore-drill finds the newest. Best on another machine’s disk. Default: beside EDUK_DATA, with .backups after its name.',
    nl: 'Map waarin eduk backup reservekopieën maakt en eduk doctor --restore-drill de nieuwste vindt. Het best op de schijf van een andere machine. Standaard: naast EDUK_DATA, met .backups achter de naam.',
    type: 'path',
  },
  EDUK_ENGINE: {
    about:
      'Which engine carries the log: embedded (one process, SQLite, no other software) or kafka (Apache Kafka and PostgreSQL, roles as processes).',
    nl: 'Welke engine het logboek draagt: embedded (één proces, SQLite, geen andere software) of kafka (Apache Kafka en PostgreSQL, rollen als processen).',
    type: 'choice',
    choices: ['embedded', 'kafka'],
    default: 'embedded',
  },
  EDUK_GRPC: {
    about: 'Where the gRPC door listens; port 0 takes a free one.',
    nl: 'Waar de gRPC-deur luistert; poort 0 neemt een vrije.',
    type: 'address',
    default: '127.0.0.1:50051',
  },
  EDUK_OPERATOR: {
    about:
      'Where the command line reaches the gRPC door when EDUK_GRPC is not on loopback, or speaks TLS: an address on loopback, without TLS. Else nothing listens there.',
    nl: 'Waar de opdrachtregel de gRPC-deur bereikt als EDUK_GRPC niet op loopback staat of TLS spreekt: een adres op loopback, zonder TLS. Anders luistert daar niets.',
    type: 'address',
    default: '127.0.0.1:50052',
  },
  EDUK_HTTP: {
    about: 'Where the HTTP door (SOAP, OAuth, files) listens.',
    nl: 'Waar de HTTP-deur (SOAP, OAuth, bestanden) luistert.',
    type: 'address',
    default: '127.0.0.1:8080',
  },
  EDUK_CONSOLE: {
    about:
      'Where the operator’s console listens, in the process of the doors. Default: 127.0.0.1:8081, or a free port where EDUK_HTTP asks for one. Another address than loopback needs EDUK_TLS_CERT, EDUK_CONSOLE_URL and EDUK_CONSOLE_CLIENT_ID: docs/console.md.',
    nl: 'Waar de console van de beheerder luistert, in het proces van de deuren. Standaard: 127.0.0.1:8081, of een vrije poort waar EDUK_HTTP daarom vraagt. Een ander adres dan loopback vraagt EDUK_TLS_CERT, EDUK_CONSOLE_URL en EDUK_CONSOLE_CLIENT_ID: docs/console.md.',
    type: 'address',
    default: '127.0.0.1:8081',
  },
  EDUK_CONSOLE_URL: {
    about: 'Under which address browsers reach the console, where that is not EDUK_CONSOLE itself.',
    nl: 'Op welk adres browsers de console bereiken, als dat niet EDUK_CONSOLE zelf is.',
    type: 'url',
  },
  EDUK_CONSOLE_CLIENT_ID: {
    about:
      'By which EDUK_OIDC_ISSUER knows the console. Set = operators sign in there; its access tokens must be for EDUK_OIDC_AUDIENCE.',
    nl: 'Waaraan EDUK_OIDC_ISSUER de console kent. Gezet = beheerders melden zich daar aan; de toegangstokens moeten voor EDUK_OIDC_AUDIENCE zijn.',
    type: 'text',
  },
  EDUK_CONSOLE_CLIENT_SECRET_FILE: {
    about: 'File (mode 0600) with the client secret of the console for EDUK_OIDC_ISSUER.',
    nl: 'Bestand (modus 0600) met het clientgeheim van de console bij EDUK_OIDC_ISSUER.',
    type: 'path',
  },
  EDUK_CONSOLE_SCOPE: {
    about: 'Scopes that the console asks of EDUK_OIDC_ISSUER, with spaces; openid is one of them.',
    nl: 'Scopes die de console aan EDUK_OIDC_ISSUER vraagt, met spaties; openid is er één van.',
    type: 'text',
    default: 'openid',
  },
  EDUK_INTERNAL: {
    about:
      'When set, health and metrics are served here and only here. On another address than loopback over TLS, with the certificate of EDUK_INNER_TLS_CERT, else EDUK_TLS_CERT.',
    nl: 'Gezet = hier, en alleen hier, staan gezondheid en metingen. Op een ander adres dan loopback over TLS, met het certificaat van EDUK_INNER_TLS_CERT, anders EDUK_TLS_CERT.',
    type: 'address',
  },
  EDUK_PUBLIC_URL: {
    about:
      'The only source of absolute addresses in answers, and what access tokens are for: the same for all doors of a gateway. Default on loopback: the bound EDUK_HTTP.',
    nl: 'De enige bron van volledige adressen in antwoorden, en waarvoor toegangstokens gelden: voor alle deuren van een gateway dezelfde. Standaard op loopback: het adres van EDUK_HTTP.',
    type: 'url',
  },
  EDUK_TLS_CERT: {
    about:
      'File with the certificate, and its chain, that the doors show (PEM). Needed on another address than loopback.',
    nl: 'Bestand met het certificaat dat de deuren tonen, met zijn keten (PEM). Nodig op een ander adres dan loopback.',
    type: 'path',
  },
  EDUK_TLS_KEY: {
    about: 'File with the key of EDUK_TLS_CERT (PEM).',
    nl: 'Bestand met de sleutel van EDUK_TLS_CERT (PEM).',
    type: 'path',
  },
  EDUK_TLS_CLIENT_CA: {
    about:
      'File with the authorities (PEM) one of which must have signed the certificate of whoever calls the doors. A certificate with an OIN in subject.serialNumber says which party calls.',
    nl: 'Bestand met certificaatautoriteiten (PEM), waarvan er één het certificaat van wie de deuren aanroept moet hebben ondertekend. Een certificaat met een OIN in subject.serialNumber zegt welke partij dat is.',
    type: 'path',
  },
  EDUK_TLS_CLIENT_CRL: {
    about:
      'File with the revocation lists (PEM) of each authority in EDUK_TLS_CLIENT_CA. A list that is over lets nobody in.',
    nl: 'Bestand met de intrekkingslijsten (PEM) van elke autoriteit in EDUK_TLS_CLIENT_CA. Een verlopen lijst laat niemand binnen.',
    type: 'path',
  },
  EDUK_TLS_CLIENT: {
    about:
      'Whether who calls the doors must show a certificate of EDUK_TLS_CLIENT_CA, or may come without one and prove itself by a token.',
    nl: 'Of wie de deuren aanroept een certificaat van EDUK_TLS_CLIENT_CA moet tonen (required), of zonder mag komen en zich met een token mag bewijzen (optional).',
    type: 'choice',
    choices: ['required', 'optional'],
    default: 'required',
  },
  EDUK_TRUSTED_PROXY: {
    about:
      'Networks of proxies that end TLS before the doors, comma-separated, such as 10.1.0.5/32: from these, and from nobody else, Client-Cert (RFC 9440) says whose certificate was shown. Needs EDUK_TLS_CLIENT_CA.',
    nl: 'Netwerken van proxy’s die TLS vóór de deuren beëindigen, met komma’s, zoals 10.1.0.5/32: van die, en van niemand anders, zegt Client-Cert (RFC 9440) wiens certificaat getoond is. Vraagt EDUK_TLS_CLIENT_CA.',
    type: 'networks',
  },
  EDUK_KAFKA_BROKERS: {
    about: 'Brokers by which the Kafka cluster is found, comma-separated host:port.',
    nl: 'Brokers waarlangs het Kafka-cluster gevonden wordt, host:poort met komma’s.',
    type: 'addresses',
  },
  EDUK_KAFKA_CLIENT: {
    about: 'Which library speaks to Kafka. Default: the one that docs/decisions gives reasons for.',
    nl: 'Welke bibliotheek met Kafka spreekt. Standaard: die waarvoor docs/decisions de redenen geeft.',
    type: 'choice',
    choices: ['kafkajs', 'platformatic'],
  },
  EDUK_KAFKA_SASL: {
    about: 'How the gateway signs in to Kafka. Needs EDUK_KAFKA_SASL_USERNAME and EDUK_KAFKA_SASL_PASSWORD_FILE.',
    nl: 'Hoe de gateway zich bij Kafka aanmeldt. Vraagt EDUK_KAFKA_SASL_USERNAME en EDUK_KAFKA_SASL_PASSWORD_FILE.',
    type: 'choice',
    choices: ['plain', 'scram-sha-256', 'scram-sha-512'],
  },
  EDUK_KAFKA_SASL_USERNAME: {
    about: 'Name to sign in to Kafka with.',
    nl: 'Naam om zich bij Kafka aan te melden.',
    type: 'text',
  },
  EDUK_KAFKA_SASL_PASSWORD_FILE: {
    about: 'File with the password to sign in to Kafka with.',
    nl: 'Bestand met het wachtwoord om zich bij Kafka aan te melden.',
    type: 'path',
  },
  EDUK_KAFKA_TLS_CA: {
    about: 'File with the authorities of the brokers’ certificates (PEM). Set = Kafka is spoken to over TLS.',
    nl: 'Bestand met de autoriteiten van de certificaten van de brokers (PEM). Gezet = Kafka wordt over TLS gesproken.',
    type: 'path',
  },
  EDUK_KAFKA_TLS_CERT: {
    about: 'File with the certificate that the gateway shows to Kafka (PEM).',
    nl: 'Bestand met het certificaat dat de gateway aan Kafka toont (PEM).',
    type: 'path',
  },
  EDUK_KAFKA_TLS_KEY: {
    about: 'File with the key of EDUK_KAFKA_TLS_CERT (PEM).',
    nl: 'Bestand met de sleutel van EDUK_KAFKA_TLS_CERT (PEM).',
    type: 'path',
  },
  EDUK_DATABASE_URL: {
    about: 'PostgreSQL database of the log and all state, postgres://… . Never printed: it may hold a password.',
    nl: 'PostgreSQL-database van het logboek en alle stand, postgres://… . Wordt nooit getoond: er kan een wachtwoord in staan.',
    type: 'database',
  },
  EDUK_DATABASE_PASSWORD_FILE: {
    about: 'File with the password for EDUK_DATABASE_URL, so that it need not stand there.',
    nl: 'Bestand met het wachtwoord voor EDUK_DATABASE_URL, zodat het daar niet hoeft te staan.',
    type: 'path',
  },
  EDUK_VAULT_DATABASE_URL: {
    about: 'PostgreSQL database of the vault, another than EDUK_DATABASE_URL. Only the role vault needs it.',
    nl: 'PostgreSQL-database van de kluis, een andere dan EDUK_DATABASE_URL. Alleen de rol vault heeft hem nodig.',
    type: 'database',
  },
  EDUK_VAULT_DATABASE_PASSWORD_FILE: {
    about: 'File with the password for EDUK_VAULT_DATABASE_URL.',
    nl: 'Bestand met het wachtwoord voor EDUK_VAULT_DATABASE_URL.',
    type: 'path',
  },
  EDUK_INNER: {
    about:
      'Where a role answers the others. Default: the first address that the role has by default below. Between machines it needs EDUK_INNER_TLS_CA, EDUK_INNER_TLS_CERT and EDUK_INNER_TLS_KEY.',
    nl: 'Waar een rol de andere antwoordt. Standaard: het eerste adres dat de rol hieronder heeft. Tussen machines vraagt dit EDUK_INNER_TLS_CA, EDUK_INNER_TLS_CERT en EDUK_INNER_TLS_KEY.',
    type: 'address',
  },
  EDUK_CORE: {
    about:
      'Where the role core answers, comma-separated host:port; a name with several addresses is several replicas. Where core is split into services, the addresses of all its parts.',
    nl: 'Waar de rol core antwoordt, host:poort met komma’s; een naam met meer adressen is meer replica’s. Is core in diensten gesplitst, dan de adressen van alle delen.',
    type: 'addresses',
    default: '127.0.0.1:50061',
  },
  EDUK_DELIVERY: {
    about: 'Where the role delivery answers, as EDUK_CORE.',
    nl: 'Waar de rol delivery antwoordt, zoals EDUK_CORE.',
    type: 'addresses',
    default: '127.0.0.1:50062',
  },
  EDUK_WATCH: {
    about: 'Where the role watch answers, as EDUK_CORE.',
    nl: 'Waar de rol watch antwoordt, zoals EDUK_CORE.',
    type: 'addresses',
    default: '127.0.0.1:50063',
  },
  EDUK_VAULT: {
    about: 'Where the role vault answers, as EDUK_CORE.',
    nl: 'Waar de rol vault antwoordt, zoals EDUK_CORE.',
    type: 'addresses',
    default: '127.0.0.1:50064',
  },
  EDUK_INNER_TLS_CA: {
    about: 'File with the authority (PEM) that signed the certificates of the roles. Who shows none of it is no role.',
    nl: 'Bestand met de autoriteit (PEM) die de certificaten van de rollen ondertekende. Wie er geen van toont, is geen rol.',
    type: 'path',
  },
  EDUK_INNER_TLS_CERT: {
    about:
      'File with the certificate that this role shows to the others (PEM), for the names they call it by. One of its names says which role it is (`door`, or `eduk-door.chain.svc`): a role answers only those that need it.',
    nl: 'Bestand met het certificaat dat deze rol de andere toont (PEM), voor de namen waaronder zij haar aanroepen. Een van die namen zegt welke rol het is (`door`, of `eduk-door.chain.svc`): een rol antwoordt alleen wie haar nodig heeft.',
    type: 'path',
  },
  EDUK_INNER_TLS_KEY: {
    about: 'File with the key of EDUK_INNER_TLS_CERT (PEM).',
    nl: 'Bestand met de sleutel van EDUK_INNER_TLS_CERT (PEM).',
    type: 'path',
  },
  EDUK_INNER_KEY_FILE: {
    about:
      'File (mode 0600) with the secret by which roles on one machine know each other without TLS. Default: inner.key in the data folder, made at the first start.',
    nl: 'Bestand (modus 0600) met het geheim waaraan rollen op één machine elkaar zonder TLS kennen. Standaard: inner.key in de gegevensmap, gemaakt bij de eerste start.',
    type: 'path',
  },
  EDUK_OPERATOR_KEY_FILE: {
    about:
      'File (mode 0600) with the operator’s key, the same for all doors. Default: operator.key in the data folder, made at the first start.',
    nl: 'Bestand (modus 0600) met de sleutel van de beheerder, voor alle deuren dezelfde. Standaard: operator.key in de gegevensmap, gemaakt bij de eerste start.',
    type: 'path',
  },
  EDUK_LOG_KEY_FILE: {
    about:
      'File (mode 0600) with the Ed25519 key (PEM) that signs heads of the log of what was done, the same for all replicas of the service audit. Default: log.key in the data folder, made at the first start.',
    nl: 'Bestand (modus 0600) met de Ed25519-sleutel (PEM) waarmee het logboek van handelingen ondertekend wordt, voor alle replica’s van de dienst audit dezelfde. Standaard: log.key in de gegevensmap, gemaakt bij de eerste start.',
    type: 'path',
  },
  EDUK_ALLOW_NETWORKS: {
    about:
      'Networks that the gateway may send to although they are not the Internet, comma-separated, such as 10.1.0.0/16; over plain HTTP too with http:// before it. Loopback may be sent to while the gateway listens there itself.',
    nl: 'Netwerken waarheen de gateway mag sturen hoewel ze niet het internet zijn, met komma’s, zoals 10.1.0.0/16; met http:// ervoor ook zonder TLS. Naar loopback mag worden gestuurd zolang de gateway daar zelf luistert.',
    type: 'networks',
  },
  EDUK_OIDC_ISSUER: {
    about:
      'Provider (OpenID Connect) at which operators sign in, as it writes itself in its tokens. Its tokens are then taken as Bearer at the doors.',
    nl: 'Aanmelddienst (OpenID Connect) waar beheerders zich aanmelden, zoals die zichzelf in tokens schrijft. Die tokens gelden dan als Bearer aan de deuren.',
    type: 'url',
  },
  EDUK_OIDC_AUDIENCE: {
    about: 'For whom tokens of EDUK_OIDC_ISSUER must be (`aud`).',
    nl: 'Voor wie tokens van EDUK_OIDC_ISSUER moeten zijn (`aud`).',
    type: 'text',
  },
  EDUK_OIDC_JWKS: {
    about: 'Where the keys of EDUK_OIDC_ISSUER are. Default: where its discovery document says.',
    nl: 'Waar de sleutels van EDUK_OIDC_ISSUER staan. Standaard: waar zijn discovery-document dat zegt.',
    type: 'url',
  },
  EDUK_OIDC_ROLE_CLAIM: {
    about: 'Claim of its tokens that holds roles; a dot leads into an object, such as realm_access.roles.',
    nl: 'Claim van die tokens waarin rollen staan; een punt leidt in een object, zoals realm_access.roles.',
    type: 'text',
    default: 'roles',
  },
  EDUK_OIDC_ROLES: {
    about:
      'Which of its roles may do what: operator=ROLE (everything but to export a school), privacy=ROLE (look, forget, end mandates, export a school), read=ROLE (look), comma-separated.',
    nl: 'Welke van die rollen wat mag: operator=ROL (alles behalve een school meegeven), privacy=ROL (kijken, vergeten, mandaten beëindigen, een school meegeven), read=ROL (kijken), met komma’s.',
    type: 'text',
  },
  EDUK_VERSION_ENDS: {
    about:
      'Last day on which endpoints of a standard are sent to in the version that is spoken now: STANDARD=YYYY-MM-DD, comma-separated. Scorecards of parties with such an endpoint say so from 90 days before.',
    nl: 'Laatste dag waarop adressen van een standaard in de huidige versie post krijgen: STANDAARD=JJJJ-MM-DD, met komma’s. Vanaf 90 dagen ervoor staat het bij partijen met zo’n adres onder Wat afloopt.',
    type: 'text',
  },
  EDUK_OSR_URL: {
    about:
      'Where OSR (Onderwijs Serviceregister) answers, up to and with /api/v2. Set = mandates and endpoints of schools are taken over from it.',
    nl: 'Waar het OSR (Onderwijs Serviceregister) antwoordt, tot en met /api/v2. Gezet = mandaten en adressen van scholen worden daaruit overgenomen.',
    type: 'url',
  },
  EDUK_OSR_SERVICES: {
    about:
      'Which services of OSR are which of a mandate: NAMESPACE=SERVICE+SERVICE, several comma-separated, such as http://example.org/schemas/roster/20260101=roster+result.',
    nl: 'Welke diensten van het OSR welke van een mandaat zijn: NAMESPACE=DIENST+DIENST, met komma’s, zoals http://example.org/schemas/roster/20260101=roster+result.',
    type: 'text',
  },
  EDUK_OSR_EVERY: {
    about: 'Minutes between two comparisons with OSR, made by one door of all. 0 = only by eduk osr sync.',
    nl: 'Minuten tussen twee vergelijkingen met het OSR, door één van alle deuren gedaan. 0 = alleen met eduk osr sync.',
    type: 'integer',
    default: '1440',
  },
  EDUK_OSR_TLS_CERT: {
    about: 'File with the certificate, and its chain, that is shown to OSR (PEM).',
    nl: 'Bestand met het certificaat dat het OSR te zien krijgt, met zijn keten (PEM).',
    type: 'path',
  },
  EDUK_OSR_TLS_KEY: {
    about: 'File with the key of EDUK_OSR_TLS_CERT (PEM).',
    nl: 'Bestand met de sleutel van EDUK_OSR_TLS_CERT (PEM).',
    type: 'path',
  },
  EDUK_OSR_TLS_CA: {
    about:
      'File with the authorities of OSR’s certificate (PEM), instead of the system’s: PKIoverheid’s private root is not among those.',
    nl: 'Bestand met de autoriteiten van het certificaat van het OSR (PEM), in plaats van die van het systeem: de private root van PKIoverheid hoort daar niet bij.',
    type: 'path',
  },
  EDUK_OSR_KEY_FILE: {
    about: 'File (mode 0600) with the API key for OSR: the key, or NAME: KEY where its header is not X-API-Key.',
    nl: 'Bestand (modus 0600) met de API-sleutel voor het OSR: de sleutel, of NAAM: SLEUTEL als de header niet X-API-Key is.',
    type: 'path',
  },
  EDUK_OSR_THRESHOLD_PERCENT: {
    about:
      'A comparison with OSR that would end or add more than this share of the mandates taken from it waits for approval, in percent. One may always end, unless OSR knows of no mandate at all; 25 may always be added.',
    nl: 'Een vergelijking met het OSR die meer dan dit deel van de overgenomen mandaten zou beëindigen of toevoegen, wacht op goedkeuring, in procenten. Eén mag altijd eindigen, tenzij het OSR geen enkel mandaat kent; 25 mogen er altijd bij.',
    type: 'integer',
    default: '10',
  },
  EDUK_OSR_RUN_OFF_DAYS: {
    about:
      'Days that a mandate runs off where OSR names another supplier of the same service. Where it names none, the mandate stops.',
    nl: 'Dagen dat een mandaat uitloopt als het OSR voor dezelfde dienst een andere leverancier noemt. Noemt het er geen, dan stopt het mandaat.',
    type: 'integer',
    default: '30',
  },
  EDUK_ADMINISTRATIONS: {
    about:
      'Folder with a file NAME.json for each administration that is asked for rosters over UWLR, or is sent results, and each dashboard that is: docs/administrations.md. What stands there is read again as it changes.',
    nl: 'Map met een bestand NAAM.json voor elke administratie waaraan over UWLR leerlinggegevens gevraagd worden of die resultaten krijgt, en voor elk dashboard dat die krijgt: docs/administrations.md. Wat er verandert, wordt vanzelf opnieuw gelezen.',
    type: 'path',
  },
  EDUK_ALERT_WEBHOOK: {
    about:
      'Address that is told of what an operator should know (docs/alerts.md), signed as Standard Webhooks with EDUK_ALERT_SECRET_FILE.',
    nl: 'Adres dat hoort wat een beheerder moet weten (docs/alerts.md), ondertekend volgens Standard Webhooks met EDUK_ALERT_SECRET_FILE.',
    type: 'url',
  },
  EDUK_ALERT_SECRET_FILE: {
    about: 'File (mode 0600) with the secret of EDUK_ALERT_WEBHOOK: whsec_ and at least 24 bytes in base64.',
    nl: 'Bestand (modus 0600) met het geheim van EDUK_ALERT_WEBHOOK: whsec_ en minstens 24 bytes in base64.',
    type: 'path',
  },
  EDUK_ALERT_MAIL: {
    about:
      'Mail server that takes mail about the same: HOST:PORT, spoken to over TLS (port 465 from the first byte, others by STARTTLS). Needs EDUK_ALERT_MAIL_FROM and EDUK_ALERT_MAIL_TO.',
    nl: 'Mailserver die mail over hetzelfde aanneemt: HOST:POORT, over TLS (poort 465 vanaf de eerste byte, andere met STARTTLS). Vraagt EDUK_ALERT_MAIL_FROM en EDUK_ALERT_MAIL_TO.',
    type: 'text',
  },
  EDUK_ALERT_MAIL_FROM: {
    about: 'Address from which that mail comes.',
    nl: 'Adres waarvan die mail komt.',
    type: 'text',
  },
  EDUK_ALERT_MAIL_TO: {
    about: 'Addresses to which it goes, comma-separated.',
    nl: 'Adressen waar die mail heen gaat, met komma’s.',
    type: 'text',
  },
  EDUK_ALERT_MAIL_LOGIN_FILE: {
    about: 'File (mode 0600) with NAME:PASSWORD for EDUK_ALERT_MAIL.',
    nl: 'Bestand (modus 0600) met NAAM:WACHTWOORD voor EDUK_ALERT_MAIL.',
    type: 'path',
  },
  EDUK_ALERT_MAIL_CA: {
    about: 'File with the authorities of the mail server’s certificate (PEM), instead of the system’s.',
    nl: 'Bestand met de autoriteiten van het certificaat van de mailserver (PEM), in plaats van die van het systeem.',
    type: 'path',
  },
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    about:
      'Collector (OTLP over HTTP) that is told traces at /v1/traces and metrics at /v1/metrics below this address, such as http://127.0.0.1:4318: docs/telemetry.md.',
    nl: 'Collector (OTLP over HTTP) die onder dit adres traces krijgt op /v1/traces en metingen op /v1/metrics, zoals http://127.0.0.1:4318: docs/telemetry.md.',
    type: 'url',
  },
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: {
    about: 'Where traces go, whole, instead of below OTEL_EXPORTER_OTLP_ENDPOINT.',
    nl: 'Het volledige adres waar traces heen gaan, in plaats van onder OTEL_EXPORTER_OTLP_ENDPOINT.',
    type: 'url',
  },
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: {
    about: 'Where metrics go, whole, instead of below OTEL_EXPORTER_OTLP_ENDPOINT.',
    nl: 'Het volledige adres waar metingen heen gaan, in plaats van onder OTEL_EXPORTER_OTLP_ENDPOINT.',
    type: 'url',
  },
  OTEL_EXPORTER_OTLP_PROTOCOL: {
    about: 'How they are written. A collector’s port for gRPC is another one.',
    nl: 'Hoe ze geschreven worden. De poort van een collector voor gRPC is een andere.',
    type: 'choice',
    choices: ['http/protobuf', 'http/json'],
    default: 'http/protobuf',
  },
  OTEL_SERVICE_NAME: {
    about: 'As what the gateway is known to the collector.',
    nl: 'Onder welke naam de collector de gateway kent.',
    type: 'text',
    default: 'eduk-gateway',
  },
  OTEL_TRACES_SAMPLER_ARG: {
    about: 'Share of flows whose traces are told, from 0 to 1. All spans of a flow are told, or none.',
    nl: 'Deel van de berichten waarvan traces gestuurd worden, van 0 tot 1. Van een bericht alle spans, of geen.',
    type: 'text',
    default: '1',
  },
  OTEL_METRIC_EXPORT_INTERVAL: {
    about: 'How often metrics are told, in milliseconds.',
    nl: 'Hoe vaak metingen gestuurd worden, in milliseconden.',
    type: 'integer',
    default: '60000',
  },
  EDUK_OTLP_HEADERS_FILE: {
    about: 'File (mode 0600) with headers for the collector, such as a key: NAME: VALUE, one a line.',
    nl: 'Bestand (modus 0600) met headers voor de collector, zoals een sleutel: NAAM: WAARDE, één per regel.',
    type: 'path',
  },
  EDUK_SIGNIN_ISSUER: {
    about:
      'Provider (OpenID Connect) at which authorised persons of boards and schools sign in, such as a broker of eHerkenning, as it writes itself. Set = the pages at /school are there: docs/sign-in.md.',
    nl: 'Aanmelddienst (OpenID Connect) waar bevoegden van besturen en scholen zich aanmelden, zoals een makelaar van eHerkenning, zoals die zichzelf schrijft. Gezet = de pagina’s op /school zijn er: docs/sign-in.md.',
    type: 'url',
  },
  EDUK_SAML_METADATA_FILE: {
    about:
      'File with the metadata of an identity provider (SAML 2.0) at which authorised persons of boards and schools sign in, instead of EDUK_SIGNIN_ISSUER. Read at start. The settings EDUK_SIGNIN_CLAIMS, _LEVEL, _LEVEL_WORDS and _SERVICE hold for it too: docs/sign-in.md.',
    nl: 'Bestand met de metadata van een identiteitsaanbieder (SAML 2.0) waar bevoegden van besturen en scholen zich aanmelden, in plaats van EDUK_SIGNIN_ISSUER. Gelezen bij de start. EDUK_SIGNIN_CLAIMS, _LEVEL, _LEVEL_WORDS en _SERVICE gelden ook hiervoor: docs/sign-in.md.',
    type: 'path',
  },
  EDUK_SAML_IDP: {
    about: 'Instead of EDUK_SAML_METADATA_FILE: entityID of the identity provider, as it writes itself.',
    nl: 'In plaats van EDUK_SAML_METADATA_FILE: de entityID van de identiteitsaanbieder, zoals die zichzelf schrijft.',
    type: 'text',
  },
  EDUK_SAML_URL: {
    about: 'Where a person is sent to EDUK_SAML_IDP (HTTP-Redirect).',
    nl: 'Waar iemand heen gestuurd wordt voor EDUK_SAML_IDP (HTTP-Redirect).',
    type: 'url',
  },
  EDUK_SAML_CERTIFICATE_FILE: {
    about: 'File with the certificates (PEM) that EDUK_SAML_IDP signs with; two while it renews one.',
    nl: 'Bestand met de certificaten (PEM) waarmee EDUK_SAML_IDP ondertekent; twee terwijl die er een vernieuwt.',
    type: 'path',
  },
  EDUK_SAML_ENTITY_ID: {
    about: 'entityID of the gateway itself. Without it: EDUK_PUBLIC_URL/saml/metadata, where its metadata is.',
    nl: 'De entityID van de gateway zelf. Anders: EDUK_PUBLIC_URL/saml/metadata, waar de metadata staat.',
    type: 'text',
  },
  EDUK_SAML_KEY_FILE: {
    about: 'File (mode 0600) with the RSA key (PEM) that requests to the identity provider are signed with.',
    nl: 'Bestand (modus 0600) met de RSA-sleutel (PEM) waarmee verzoeken aan de identiteitsaanbieder ondertekend worden.',
    type: 'path',
  },
  EDUK_SAML_KEY_CERTIFICATE_FILE: {
    about: 'File with the certificate (PEM) of EDUK_SAML_KEY_FILE, which stands in the metadata of the gateway.',
    nl: 'Bestand met het certificaat (PEM) van EDUK_SAML_KEY_FILE, dat in de metadata van de gateway staat.',
    type: 'path',
  },
  EDUK_SAML_REQUEST: {
    about:
      'What a request to the identity provider says besides, in the form of a query: context (least class of authentication), index (AttributeConsumingServiceIndex), force=true (sign in anew).',
    nl: 'Wat een verzoek aan de identiteitsaanbieder verder zegt, in de vorm van een query: context (minste klasse van aanmelden), index (AttributeConsumingServiceIndex), force=true (opnieuw aanmelden).',
    type: 'text',
  },
  EDUK_SIGNIN_CLIENT_ID: {
    about: 'By which EDUK_SIGNIN_ISSUER knows the gateway.',
    nl: 'Waaraan EDUK_SIGNIN_ISSUER de gateway kent.',
    type: 'text',
  },
  EDUK_SIGNIN_CLIENT_SECRET_FILE: {
    about: 'File (mode 0600) with the client secret for EDUK_SIGNIN_ISSUER, the same for all doors.',
    nl: 'Bestand (modus 0600) met het clientgeheim voor EDUK_SIGNIN_ISSUER, voor alle deuren hetzelfde.',
    type: 'path',
  },
  EDUK_SIGNIN_SCOPE: {
    about: 'Scopes that are asked of EDUK_SIGNIN_ISSUER, with spaces; openid is one of them.',
    nl: 'Scopes die aan EDUK_SIGNIN_ISSUER gevraagd worden, met spaties; openid is er één van.',
    type: 'text',
    default: 'openid',
  },
  EDUK_SIGNIN_PARAMETERS: {
    about:
      'What is sent along with a person to EDUK_SIGNIN_ISSUER, in the form of a query, such as acr_values=idp:eherkenning&prompt=login.',
    nl: 'Wat iemand meekrijgt naar EDUK_SIGNIN_ISSUER, in de vorm van een query, zoals acr_values=idp:eherkenning&prompt=login.',
    type: 'text',
  },
  EDUK_SIGNIN_CLAIMS: {
    about:
      'In which claims it stands for which organisation, at which level and for which service somebody signed in: KIND=CLAIM, comma-separated; a kind that is not named keeps its default. Kinds: subject (a number, of which kind says what it is), branch, intermediary, service, level; and kvk, rsin, oin, brin for providers with a claim for each.',
    nl: 'In welke claims staat voor welke organisatie, op welk niveau en voor welke dienst iemand zich aanmeldde: SOORT=CLAIM, met komma’s; een soort die niet genoemd is, houdt haar standaard. Soorten: subject (een nummer, waarvan kind zegt wat het is), branch, intermediary, service, level; en kvk, rsin, oin, brin voor aanbieders met een claim voor elk.',
    type: 'text',
    default:
      'subject=urn:etoegang:core:LegalSubjectID,kind=namequalifier,branch=urn:etoegang:1.9:ServiceRestriction:Vestigingsnr,intermediary=urn:etoegang:1.9:IntermediateEntityID:KvKnr,service=urn:etoegang:core:ServiceUUID,level=acr',
  },
  EDUK_SIGNIN_LEVEL: {
    about: 'Least level of assurance (eHerkenning) at which a board or school signs in.',
    nl: 'Laagste betrouwbaarheidsniveau (eHerkenning) waarop een bestuur of school zich aanmeldt.',
    type: 'choice',
    choices: ['loa2', 'loa2plus', 'loa3', 'loa4'],
    default: 'loa3',
  },
  EDUK_SIGNIN_LEVEL_WORDS: {
    about:
      'Words of EDUK_SIGNIN_ISSUER for levels, WORD=LEVEL, comma-separated. Those of eHerkenning and eIDAS are known without it.',
    nl: 'Woorden van EDUK_SIGNIN_ISSUER voor niveaus, WOORD=NIVEAU, met komma’s. Die van eHerkenning en eIDAS zijn al bekend.',
    type: 'text',
  },
  EDUK_SIGNIN_SERVICE: {
    about:
      'Service (its UUID in the catalogue of eHerkenning) for which somebody must be authorised. Without it any service of EDUK_SIGNIN_CLIENT_ID is enough.',
    nl: 'Dienst (zijn UUID in de catalogus van eHerkenning) waarvoor iemand gemachtigd moet zijn. Zonder is elke dienst van EDUK_SIGNIN_CLIENT_ID genoeg.',
    type: 'text',
  },
  EDUK_MASTER_KEY_FILE: {
    about:
      'File (mode 0600) with the 32-byte master key, in hexadecimal, or with where it is held (eduk key make). On loopback a development key is made beside the data folder when this is absent.',
    nl: 'Bestand (modus 0600) met de hoofdsleutel van 32 bytes, hexadecimaal, of met waar die bewaard wordt (eduk key make). Ontbreekt het, dan wordt op loopback naast de gegevensmap een ontwikkelsleutel gemaakt.',
    type: 'path',
  },
  EDUK_PROCESSOR_FOR: {
    about:
      'Name of the party whose subprocessor the operator of this gateway is, for the papers of schools. Not set = the operator is the schools’ processor itself.',
    nl: 'Naam van de partij waarvan de beheerder van deze gateway subverwerker is, voor de papieren van scholen. Niet gezet = de beheerder is zelf verwerker van de scholen.',
    type: 'text',
  },
  EDUK_PROCESSING_FILE: {
    about:
      'File (JSON) that says who operates the gateway and which subprocessors there are, for the papers of schools; read each time they are written. See docs/papers.md.',
    nl: 'Bestand (JSON) dat zegt wie de gateway beheert en welke subverwerkers er zijn, voor de papieren van scholen; elke keer gelezen als die geschreven worden. Zie docs/papers.md.',
    type: 'path',
  },
  EDUK_KEY_LEASE_S: {
    about:
      'How long, in seconds, a key that a key management service or a school holds stays in memory after its holder last let the gateway have it. Then what it opens is closed. See docs/keys.md.',
    nl: 'Hoeveel seconden een sleutel die een sleutelbeheerdienst of school bewaart, in het geheugen blijft nadat de gateway hem het laatst mocht hebben. Daarna is dicht wat hij opent. Zie docs/keys.md.',
    type: 'integer',
    default: '300',
  },
  EDUK_NAMES_HELD_S: {
    about:
      'How long, in seconds, names of a school that keeps none here stay in memory after its administration was asked for them; 900 at most. See docs/on-demand.md.',
    nl: 'Hoeveel seconden namen van een school die ze hier niet bewaart, in het geheugen blijven nadat de administratie ernaar gevraagd is; hoogstens 900. Zie docs/on-demand.md.',
    type: 'integer',
    default: '300',
  },
  EDUK_TOKEN_FILE: {
    about: 'File with the operator token that the command line uses instead of operator.key in the data folder.',
    nl: 'Bestand met het token van de beheerder dat de opdrachtregel gebruikt in plaats van operator.key in de gegevensmap.',
    type: 'path',
  },
  EDUK_OUTBOX_MAX: {
    about: 'Events that may wait unread by a service before the doors answer gateway.overloaded.',
    nl: 'Gebeurtenissen die ongelezen op een dienst mogen wachten voordat de deuren gateway.overloaded antwoorden.',
    type: 'integer',
    default: '500000',
  },
  EDUK_PARTY_CALLS: {
    about:
      'Calls a second that one party may make at one door, and twice as many at once; beyond it is told when to come back. 0 = without limit. See docs/limits.md.',
    nl: 'Verzoeken per seconde die één partij aan één deur mag doen, en twee keer zo veel ineens; daarboven hoort zij wanneer zij terug mag komen. 0 = zonder grens. Zie docs/limits.md.',
    type: 'integer',
    default: '5000',
  },
  EDUK_PARTY_ITEMS: {
    about:
      'Items a second that one party’s bulk streams may bring to one door, and twice as many at once; beyond they are read no faster. 0 = without limit.',
    nl: 'Regels per seconde die de bulkstromen van één partij aan één deur mogen brengen, en twee keer zo veel ineens; daarboven worden ze niet sneller gelezen. 0 = zonder grens.',
    type: 'integer',
    default: '50000',
  },
  EDUK_REVEALS_PER_HOUR: {
    about:
      'Learners whose identity one party may be shown in one hour of the clock before somebody is paged (vault.bulk_reveal in the log). Nothing is kept back. 0 = any number.',
    nl: 'Leerlingen van wie één partij in één klokuur de identiteit te zien mag krijgen voordat iemand wordt opgeroepen (vault.bulk_reveal in het logboek). Er wordt niets achtergehouden. 0 = elk aantal.',
    type: 'integer',
    default: '100000',
  },
  EDUK_HOLD_THRESHOLD_PERCENT: {
    about:
      'A roster that removes or renames more than this share of a school waits for approval, in percent. Below 20 pupils only one that leaves nobody waits.',
    nl: 'Een leerlinglijst die meer dan dit deel van een school verwijdert of een andere naam geeft, wacht op goedkeuring, in procenten. Onder 20 leerlingen wacht alleen een lijst die niemand overlaat.',
    type: 'integer',
    default: '10',
  },
  EDUK_HOLD_WITHDRAWALS: {
    about:
      'More withdrawals and blocks of entitlements than this by one party at one school within 24 hours wait for approval, where they are a greater share of what stands there of it than a roster may remove (docs/holds.md). 0 = none wait.',
    nl: 'Trekt één partij bij één school binnen 24 uur meer licenties in dan dit, of blokkeert zij er meer, dan wacht dat op goedkeuring, als het een groter deel is van wat daar van haar staat dan een leerlinglijst mag verwijderen (docs/holds.md). 0 = er wacht niets.',
    type: 'integer',
    default: '20',
  },
  EDUK_HOLD_SECOND_PERSON: {
    about:
      'Whether two persons approve a held roster, held withdrawals, a part of them, or a rule that lets them go (docs/holds.md). One is enough to reject.',
    nl: 'Of twee mensen een vastgehouden leerlinglijst, vastgehouden intrekkingen, een deel daarvan, of een regel die dat doorlaat goedkeuren (docs/holds.md). Voor afwijzen is één genoeg.',
    type: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
  },
  EDUK_REPLAY_SECOND_ABOVE: {
    about:
      'A replay of more messages than this waits until a second person begins it too (docs/replay.md). 0 = none does.',
    nl: 'Worden meer berichten dan dit opnieuw gestuurd, dan wacht dat tot een tweede persoon het ook laat beginnen (docs/replay.md). 0 = nooit.',
    type: 'integer',
    default: '0',
  },
  EDUK_FREEZE_SECOND: {
    about: 'Whether a second person must end a freeze early too (docs/freezes.md).',
    nl: 'Of een tweede persoon een bevriezing ook moet beëindigen voordat zij eerder ophoudt (docs/freezes.md).',
    type: 'choice',
    choices: ['no', 'yes'],
    default: 'no',
  },

  EDUK_RECONCILE_FROM: {
    about:
      'Hour of the Dutch day, 0 to 23, from which parties with an endpoint holdings are asked what they have (docs/reconciliation.md).',
    nl: 'Uur van de Nederlandse dag, 0 tot en met 23, vanaf wanneer partijen met een adres holdings gevraagd wordt wat zij hebben (docs/reconciliation.md).',
    type: 'integer',
    default: '1',
  },
  EDUK_RECONCILE_HOURS: {
    about:
      'Over how many hours these questions are spread, 1 to 24, each school once a day. 0 = nobody is asked unless an operator does.',
    nl: 'Over hoeveel uur die vragen gespreid worden, 1 tot en met 24, elke school één keer per dag. 0 = niemand wordt gevraagd, tenzij een beheerder dat doet.',
    type: 'integer',
    default: '4',
  },
  EDUK_RECONCILE_SETTLE_S: {
    about:
      'Seconds that a change must be old to count as a difference with what a party says: word of it may be on its way.',
    nl: 'Hoeveel seconden oud een wijziging moet zijn om als verschil te tellen met wat een partij zegt: het bericht kan nog onderweg zijn.',
    type: 'integer',
    default: '300',
  },
  EDUK_LOG: {
    about: 'Least level that is logged.',
    nl: 'Laagste niveau dat gelogd wordt.',
    type: 'choice',
    choices: ['debug', 'info', 'warn', 'error'],
    default: 'info',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;
export type Config = { [K in SettingName]: string | undefined } & {
  EDUK_DATA: string;
  EDUK_GRPC: string;
  EDUK_HTTP: string;
  EDUK_CONSOLE: string;
  EDUK_OPERATOR: string;
};

export interface Address {
  host: string;
  port: number;
}

export function parseAddress(text: string): Address | undefined {
  const m = /^(\[[0-9a-fA-F:.]+\]|[^:\s]+):(\d{1,5})$/.exec(text);
  if (!m || Number(m[2]) > 65535) return undefined;
  return { host: m[1]!.replace(/^\[|\]$/g, ''), port: Number(m[2]) };
}

export const textOf = ({ host, port }: Address): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

export const isLoopback = (host: string): boolean =>
  host === 'localhost' ||
  host === '::1' ||
  /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host) ||
  /^::ffff:127\./i.test(host);

/** Addresses of a comma-separated list; undefined = one of them is none. */
export function parseAddresses(text: string): Address[] | undefined {
  const addresses = text.split(',').map((one) => parseAddress(one.trim()));
  return addresses.some((one) => one === undefined) ? undefined : (addresses as Address[]);
}

/** Networks (CIDR, `http://` before those for plain HTTP) of a comma-separated list; undefined = one of them is none. */
export function parseNetworks(text: string): string[] | undefined {
  const networks = text.split(',').map((one) => one.trim());
  const isNetwork = (given: string): boolean => {
    const one = given.replace(/^http:\/\//, '');
    const [address, bits, ...more] = one.split('/') as [string, string?];
    return (
      isIP(address) !== 0 &&
      more.length === 0 &&
      /^\d{1,3}$/.test(bits ?? '') &&
      Number(bits) <= [0, 0, 0, 0, 32, 0, 128][isIP(address)]!
    );
  };
  return networks.every(isNetwork) ? networks : undefined;
}

/** What is wrong with the form of one value, to follow the setting's name; never the value, which may be a secret. */
function wrongForm({ type, choices }: Setting, value: string): string | undefined {
  switch (type) {
    case 'address':
      return parseAddress(value) ? undefined : 'must be host:port';
    case 'addresses':
      return parseAddresses(value) ? undefined : 'must be host:port, several comma-separated';
    case 'networks':
      return parseNetworks(value) ? undefined : 'must be networks such as 10.1.0.0/16, several comma-separated';
    case 'integer':
      return /^\d+$/.test(value) ? undefined : 'must be a whole number';
    case 'choice':
      return choices?.includes(value) ? undefined : `must be one of ${choices?.join(', ')}`;
    case 'url':
      return URL.canParse(value) ? undefined : 'must be a URL';
    case 'database':
      return /^postgres(ql)?:\/\//.test(value) && URL.canParse(value) ? undefined : 'must be a URL postgres://…';
    default:
      return undefined;
  }
}

/** Settings that are worth nothing without others, as sentences of what is missing. */
function incomplete(config: Config): string[] {
  const problems: string[] = [];
  const need = (given: SettingName, needed: SettingName) => {
    if (config[given] !== undefined && config[needed] === undefined) problems.push(`${given} needs ${needed}`);
  };
  const pair = (one: SettingName, other: SettingName) => {
    need(one, other);
    need(other, one);
  };
  pair('EDUK_TLS_CERT', 'EDUK_TLS_KEY');
  if (config.EDUK_TRUSTED_PROXY === undefined) need('EDUK_TLS_CLIENT_CA', 'EDUK_TLS_CERT');
  need('EDUK_TRUSTED_PROXY', 'EDUK_TLS_CLIENT_CA');
  if (config.EDUK_TRUSTED_PROXY?.includes('http'))
    problems.push('EDUK_TRUSTED_PROXY must be networks such as 10.1.0.5/32');
  need('EDUK_TLS_CLIENT_CRL', 'EDUK_TLS_CLIENT_CA');
  pair('EDUK_OIDC_ISSUER', 'EDUK_OIDC_AUDIENCE');
  pair('EDUK_OIDC_ISSUER', 'EDUK_OIDC_ROLES');
  need('EDUK_OIDC_JWKS', 'EDUK_OIDC_ISSUER');
  pair('EDUK_OSR_URL', 'EDUK_OSR_SERVICES');
  pair('EDUK_OSR_TLS_CERT', 'EDUK_OSR_TLS_KEY');
  for (const name of ['EDUK_OSR_TLS_CERT', 'EDUK_OSR_TLS_CA', 'EDUK_OSR_KEY_FILE'] as const) need(name, 'EDUK_OSR_URL');
  pair('EDUK_CONSOLE_CLIENT_ID', 'EDUK_CONSOLE_CLIENT_SECRET_FILE');
  need('EDUK_CONSOLE_CLIENT_ID', 'EDUK_OIDC_ISSUER');
  pair('EDUK_ALERT_WEBHOOK', 'EDUK_ALERT_SECRET_FILE');
  pair('EDUK_ALERT_MAIL', 'EDUK_ALERT_MAIL_FROM');
  pair('EDUK_ALERT_MAIL', 'EDUK_ALERT_MAIL_TO');
  need('EDUK_ALERT_MAIL_LOGIN_FILE', 'EDUK_ALERT_MAIL');
  need('EDUK_ALERT_MAIL_CA', 'EDUK_ALERT_MAIL');
  if (
    config.EDUK_OTLP_HEADERS_FILE !== undefined &&
    config.OTEL_EXPORTER_OTLP_ENDPOINT === undefined &&
    config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT === undefined &&
    config.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT === undefined
  )
    problems.push('EDUK_OTLP_HEADERS_FILE needs OTEL_EXPORTER_OTLP_ENDPOINT');
  pair('EDUK_SIGNIN_ISSUER', 'EDUK_SIGNIN_CLIENT_ID');
  pair('EDUK_SIGNIN_ISSUER', 'EDUK_SIGNIN_CLIENT_SECRET_FILE');
  pair('EDUK_SAML_IDP', 'EDUK_SAML_URL');
  pair('EDUK_SAML_IDP', 'EDUK_SAML_CERTIFICATE_FILE');
  pair('EDUK_SAML_KEY_FILE', 'EDUK_SAML_KEY_CERTIFICATE_FILE');
  const ways = (['EDUK_SIGNIN_ISSUER', 'EDUK_SAML_METADATA_FILE', 'EDUK_SAML_IDP'] as const).filter(
    (name) => config[name] !== undefined,
  );
  if (ways.length > 1) problems.push(`${ways.join(' and ')} are set: boards and schools sign in at one provider`);
  for (const name of ['EDUK_SAML_ENTITY_ID', 'EDUK_SAML_KEY_FILE', 'EDUK_SAML_REQUEST'] as const)
    if (
      config[name] !== undefined &&
      config.EDUK_SAML_METADATA_FILE === undefined &&
      config.EDUK_SAML_IDP === undefined
    )
      problems.push(`${name} needs EDUK_SAML_METADATA_FILE or EDUK_SAML_IDP`);
  pair('EDUK_INNER_TLS_CERT', 'EDUK_INNER_TLS_KEY');
  pair('EDUK_INNER_TLS_CERT', 'EDUK_INNER_TLS_CA');
  need('EDUK_KAFKA_SASL', 'EDUK_KAFKA_SASL_USERNAME');
  need('EDUK_KAFKA_SASL', 'EDUK_KAFKA_SASL_PASSWORD_FILE');
  need('EDUK_KAFKA_SASL_USERNAME', 'EDUK_KAFKA_SASL');
  need('EDUK_KAFKA_SASL_PASSWORD_FILE', 'EDUK_KAFKA_SASL');
  pair('EDUK_KAFKA_TLS_CERT', 'EDUK_KAFKA_TLS_KEY');
  need('EDUK_KAFKA_TLS_CERT', 'EDUK_KAFKA_TLS_CA');
  need('EDUK_DATABASE_PASSWORD_FILE', 'EDUK_DATABASE_URL');
  need('EDUK_VAULT_DATABASE_PASSWORD_FILE', 'EDUK_VAULT_DATABASE_URL');
  if (config.EDUK_VAULT_DATABASE_URL !== undefined && config.EDUK_VAULT_DATABASE_URL === config.EDUK_DATABASE_URL)
    problems.push('EDUK_VAULT_DATABASE_URL must name another database than EDUK_DATABASE_URL: identity rests apart');
  return problems;
}

/** An address that others can reach is served over TLS only. */
function exposed(config: Config): string[] {
  const problems: string[] = [];
  const away = (name: SettingName): boolean => {
    const address = config[name] === undefined ? undefined : parseAddress(config[name]);
    return address !== undefined && !isLoopback(address.host);
  };
  for (const name of ['EDUK_GRPC', 'EDUK_HTTP'] as const)
    if (away(name) && config.EDUK_TLS_CERT === undefined)
      problems.push(
        `${name} names an address that is not loopback; without TLS the gateway listens on loopback only: set EDUK_TLS_CERT and EDUK_TLS_KEY`,
      );
  if (away('EDUK_HTTP') && config.EDUK_PUBLIC_URL === undefined)
    problems.push('EDUK_HTTP names an address that is not loopback; set EDUK_PUBLIC_URL to what parties call it by');
  if (away('EDUK_OPERATOR'))
    problems.push('EDUK_OPERATOR names an address that is not loopback; the operator’s key does not leave the machine');
  for (const needed of ['EDUK_TLS_CERT', 'EDUK_CONSOLE_URL', 'EDUK_CONSOLE_CLIENT_ID'] as const)
    if (away('EDUK_CONSOLE') && config[needed] === undefined)
      problems.push(
        `EDUK_CONSOLE names an address that is not loopback; there it needs ${needed}, because nobody signs in by a link`,
      );
  if (away('EDUK_INTERNAL') && config.EDUK_INNER_TLS_CERT === undefined && config.EDUK_TLS_CERT === undefined)
    problems.push(
      'EDUK_INTERNAL names an address that is not loopback; without TLS the gateway listens on loopback only: set EDUK_INNER_TLS_CERT or EDUK_TLS_CERT',
    );
  if (away('EDUK_INNER') && config.EDUK_INNER_TLS_CERT === undefined)
    problems.push(
      'EDUK_INNER names an address that is not loopback; between machines roles need EDUK_INNER_TLS_CA, EDUK_INNER_TLS_CERT and EDUK_INNER_TLS_KEY, which the operator’s certificate authority gives',
    );
  return problems;
}

/**
 * Reads `EDUK_*`, and the names of others that are settings here, from the environment and, if given, a file of NAME=value lines. Throws `ConfigError` with every problem;
 * `demands` says what else the caller finds wrong.
 */
export function readConfig(
  env: Record<string, string | undefined>,
  file?: string,
  demands: (config: Config) => readonly string[] = () => [],
): Config {
  const problems: string[] = [];
  const given = new Map<string, string>();
  if (file) {
    for (const [i, line] of readFileSync(file, 'utf8').split('\n').entries()) {
      const text = line.trim();
      if (text === '' || text.startsWith('#')) continue;
      const m = /^([A-Z_]+)=(.*)$/.exec(text);
      if (!m) problems.push(`${file} line ${i + 1} is not NAME=value`);
      else given.set(m[1]!, m[2]!);
    }
  }
  for (const [name, value] of Object.entries(env))
    if ((name.startsWith('EDUK_') || Object.hasOwn(settings, name)) && value !== undefined && value !== '')
      given.set(name, value);
  const config: Record<string, string | undefined> = {};
  for (const name of given.keys())
    if (name.startsWith('EDUK_') && !Object.hasOwn(settings, name))
      problems.push(`${name} is not a setting; see docs/configuration.md`);
  for (const [name, setting] of Object.entries(settings) as [SettingName, Setting][]) {
    const value = given.get(name) ?? setting.default;
    config[name] = value;
    const wrong = value === undefined ? undefined : wrongForm(setting, value);
    if (wrong) problems.push(`${name} ${wrong}`);
  }
  // Who asks for free ports has several gateways on one machine.
  if (!given.has('EDUK_CONSOLE') && parseAddress(config['EDUK_HTTP'] ?? '')?.port === 0)
    config['EDUK_CONSOLE'] = '127.0.0.1:0';
  const read = config as Config;
  problems.push(...incomplete(read), ...exposed(read), ...demands(read));
  if (problems.length > 0) throw new ConfigError(problems);
  return read;
}

export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Where the command line reaches the doors of this machine; undefined = at EDUK_GRPC itself. */
export function operatorAddress(config: Config): Address | undefined {
  const grpc = parseAddress(config.EDUK_GRPC);
  const isPlain = grpc && isLoopback(grpc.host) && config.EDUK_TLS_CERT === undefined;
  return isPlain ? undefined : parseAddress(config.EDUK_OPERATOR);
}

/** What a file holds that a setting names. Throws `ConfigError`, never with content. */
export function readSettingFile(config: Config, name: SettingName): Buffer {
  try {
    return readFileSync(config[name]!);
  } catch (thrown) {
    throw new ConfigError([
      `${name} names a file that cannot be read (${(thrown as { code?: string }).code ?? 'unknown'}); whoever runs the gateway must put it there`,
    ]);
  }
}

/** The URL of a database with the password from its file, where one is named. Never to be printed. */
export function databaseUrl(config: Config, which: 'EDUK_DATABASE' | 'EDUK_VAULT_DATABASE'): string {
  const url = config[`${which}_URL`]!;
  const file = `${which}_PASSWORD_FILE` as const;
  if (config[file] === undefined) return url;
  const withPassword = new URL(url);
  withPassword.password = encodeURIComponent(readSettingFile(config, file).toString('utf8').trim());
  return withPassword.href;
}
