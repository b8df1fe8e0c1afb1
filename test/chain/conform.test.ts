/**
 * The conformance check of others (`eduk conform uwlr`), tried on ourselves: our own server passes every case in both versions, and one
 * that is wrong in one thing fails the case of that thing and no other. What is planted stands between our server and the check.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  countsOf,
  type Got,
  htmlReport,
  type LasAccess,
  lasCases,
  markdownReport,
  parts,
  type Report,
  runLas,
  type Sent,
  type Transport,
} from '#adapters/uwlr/conform';
import { brinOf, Clear, diallerFor, networksOf, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newSchool, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const year = schoolYearOf(Date.now());
const school = newSchool();
const brin = brinOf(school)!;

const file = `<?xml version="1.0" encoding="UTF-8"?>
<EDEX><school><schooljaar>${year}</schooljaar><brincode>${brin}</brincode><xsdversie>2.1</xsdversie></school>
<groepen><groep key="7a"><naam>Groep 7A</naam><jaargroep>7</jaargroep></groep><groep key="8b"><naam>Groep 8B</naam><jaargroep>8</jaargroep></groep><samengestelde_groep key="plus"><naam>Plus</naam></samengestelde_groep></groepen>
<leerlingen>${['7a', '7a', '8b', '', '8b']
  .map(
    (group, i) =>
      `<leerling key="L${i}" eckid="${eckId(i + 9100)}"><achternaam>Populier</achternaam><roepnaam>Pim</roepnaam><geboortedatum>2015-03-01</geboortedatum><jaargroep>7</jaargroep>${group && `<groep key="${group}"/>`}${i === 1 ? '<samengestelde_groepen><samengestelde_groep key="plus"/></samengestelde_groepen>' : ''}</leerling>`,
  )
  .join('')}</leerlingen>
<leerkrachten><leerkracht key="M1"><achternaam>Berk</achternaam><groepen><groep key="7a"/></groepen></leerkracht><leerkracht key="M2"><achternaam>Els</achternaam></leerkracht></leerkrachten></EDEX>`;

let at: TestGateway;
let app: TestParty;
let sleutel = '';

beforeAll(async () => {
  at = await startTestGateway();
  const las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT]);
  ({ autorisatiesleutel: sleutel } = await at.mandate(school, app.oin, [
    Service.SERVICE_ROSTER,
    Service.SERVICE_RESULT,
  ]));
  const posted = await fetch(`${at.http}/edexml`, {
    method: 'POST',
    headers: { authorization: `Bearer ${las.apiKey}` },
    body: file,
  });
  expect(await posted.json()).toMatchObject({ decision: 'RosterApplied' });
});
afterAll(async () => {
  dialler.close();
  await at?.stop();
});

const access = (version: '2.2' | '2.3'): LasAccess => ({
  version,
  brincode: brin,
  dependancecode: '',
  schoolkey: '',
  schooljaar: year,
  gegevenssetid: '',
  isRunning: true,
  header: new Clear({ autorisatiesleutel: sleutel, klantcode: app.klantcode, klantnaam: app.klantnaam }),
  headers: {},
  addresses: {
    leerlinggegevens: `${at.http}/soap/uwlr/v2/leerlinggegevens`,
    getrapt: `${at.http}/soap/uwlr/v2/leerlinggegevens`,
    leerresultaten: `${at.http}/soap/uwlr/v2/leerresultaten`,
  },
  parts: new Set(parts),
  write: true,
  run: `proef-${version}`,
  now: new Date().toISOString(),
});

const accessed = new Map<string, LasAccess>();
/** The same moment in all runs, so that all send the same. */
const accessOf = (version: '2.2' | '2.3'): LasAccess => {
  if (!accessed.has(version)) accessed.set(version, access(version));
  return accessed.get(version)!;
};

const dialler = diallerFor(networksOf([], true));
const overHttp: Transport = async ({ url, method, headers, body }) => {
  const answer = await dialler.dial(url, {
    method,
    headers: { ...headers, connection: 'close' },
    body,
    timeoutMs: 60_000,
  });
  return { status: answer.status, contentType: answer.headers['content-type'] ?? '', body: answer.body };
};

/** Answers of the real server, kept by what was asked; none that says that it has no time, since it is asked again. */
const kept = new Map<string, Got>();
/** What the server said last to the first question, which every run begins with. */
let sound = '';
const remembered: Transport = async (sent) => {
  const key = JSON.stringify([sent.url, sent.headers, sent.body]);
  const got = kept.get(key) ?? (await overHttp(sent));
  const text = Buffer.from(got.body).toString();
  if (!text.includes('Server.TijdelijkNietBeschikbaar')) kept.set(key, got);
  if (FIRST(sent)) sound = text;
  return got;
};

const failed = ({ cases }: Report) => cases.filter(({ outcome }) => outcome === 'failed').map(({ id }) => id);

describe.each(['2.2', '2.3'] as const)('UWLR %s', (version) => {
  const the = () => accessOf(version);

  test('our own server passes every case', async () => {
    const report = await runLas(the(), remembered);
    expect(report.cases.filter(({ outcome }) => outcome !== 'passed')).toEqual([]);
    expect(report.cases.map(({ id }) => id)).toEqual(
      lasCases.filter(({ versions }) => versions.includes(version)).map(({ id }) => id),
    );
    expect(report.wrote).toBe(true);
  });

  test.each(lasCases.filter(({ versions }) => versions.includes(version)).map(({ id }) => id))(
    'a server that is wrong in %s alone fails that case alone',
    async (id) => {
      const plant = plants.find((one) => one.id === id);
      if (!plant) throw new Error(`nothing is planted for ${id}`);
      let planted = 0;
      const report = await runLas(the(), async (sent) => {
        const got = await remembered(sent);
        if (!(plant.on ?? ((it: Sent) => it.of === id))(sent)) return got;
        planted++;
        const text = Buffer.from(got.body).toString();
        const { status, contentType } = got;
        const was: Answer = { status, contentType, text };
        const changed = plant.plant(was, sent);
        expect(changed).not.toEqual(was);
        return { status: changed.status, contentType: changed.contentType, body: Buffer.from(changed.text) };
      });
      expect(planted).toBeGreaterThan(0);
      expect(failed(report), JSON.stringify(report.cases.filter(({ outcome }) => outcome === 'failed'))).toEqual([id]);
      const [one] = report.cases.filter(({ outcome }) => outcome === 'failed');
      expect(one!.found.length).toBeGreaterThan(0);
      for (const text of [JSON.stringify(report), markdownReport(report), htmlReport(report)])
        for (const value of [sleutel, app.klantcode, 'Populier', 'Pim', 'ketenid.nl', 'Berk', '"L1"', '2015-03-01'])
          expect(text).not.toContain(value);
    },
  );
});

test('everything that is planted is of a case', () => {
  expect(plants.map(({ id }) => id).sort()).toEqual(lasCases.map(({ id }) => id).sort());
});

interface Answer {
  status: number;
  contentType: string;
  text: string;
}
interface Plant {
  id: string;
  /** Which requests; default: those that this case asks first. */
  on?: (sent: Sent) => boolean;
  plant: (answer: Answer, sent: Sent) => Answer;
}

const FIRST = (sent: Sent) => sent.of === 'las.roster.answered';
/** A change of the text of an answer. */
const text =
  (from: string | RegExp, to: string) =>
  (answer: Answer): Answer => ({ ...answer, text: answer.text.replace(from, to) });
const first = (id: string, from: string | RegExp, to: string): Plant => ({ id, on: FIRST, plant: text(from, to) });
const fault = (code: string): string =>
  `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>${code}</faultcode><faultstring>Pim Populier mag niet</faultstring></s:Fault></s:Body></s:Envelope>`;
const saysFault =
  (code: string) =>
  (answer: Answer): Answer => ({ ...answer, status: 500, text: fault(code) });

const LL = 'http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens';
const LR = 'http://www.edustandaard.nl/leerresultaten/2/leerresultaten';
const empty = (operation: string, why: string): string =>
  `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><${operation}_antwoord xmlns="${LL}"><${why}/></${operation}_antwoord></s:Body></s:Envelope>`;
const confirmation = (within = ''): string =>
  `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><leerresultaten_bevestiging xmlns="${LR}">${within}</leerresultaten_bevestiging></s:Body></s:Envelope>`;

/** What the server says to a sound question, to whoever asks whatever. */
function soundly(sent: Sent): Answer {
  if (sent.url.endsWith('/leerresultaten')) return { status: 200, contentType: 'text/xml', text: confirmation() };
  return { status: 200, contentType: 'text/xml', text: sound };
}

const pupil = (inside: string, attributes = 'key="X9"') =>
  `<leerling ${attributes}><roepnaam>Pim</roepnaam><jaargroep>7</jaargroep>${inside}</leerling></leerlingen>`;

const refused = lasCases.filter(({ id }) => lasCases.some((other) => other.id === `${id}.code`)).map(({ id }) => id);

const plants: readonly Plant[] = [
  first('las.roster.answered', /leerlinggegevens_antwoord/g, 'leerlinggegevens_iets'),
  { id: 'las.roster.type', on: FIRST, plant: (it) => ({ ...it, contentType: 'application/soap+xml' }) },
  {
    id: 'las.roster.prefixes',
    on: FIRST,
    plant: ({ text: it, ...rest }) => ({
      ...rest,
      text: it
        .replace(/<(\/?)(?=[a-z][a-z_]|voorletters)/g, '<$1lg:')
        .replace(`xmlns="${LL}"`, `xmlns:lg="${LL}"`)
        .replace('<s:Body><leer', '<s:Body><lg:leer'),
    }),
  },
  first('las.roster.schema', /(<achternaam>[^<]*<\/achternaam>)(<roepnaam>[^<]*<\/roepnaam>)/, '$2$1'),
  first('las.roster.school', /<brincode>[^<]*/, '<brincode>88XX'),
  first('las.roster.year', /<schooljaar>[^<]*/, '<schooljaar>2019-2020'),
  first('las.roster.version', /<xsdversie>[^<]*/, '<xsdversie>2.1'),
  {
    id: 'las.roster.made',
    on: FIRST,
    plant: text(/<aanmaakdatum>[^<]*<\/aanmaakdatum>/, ''),
  },
  first('las.roster.keys', '</leerlingen>', pupil('', 'key="L3"')),
  first(
    'las.roster.references',
    '<samengestelde_groepen><samengestelde_groep key="plus"/>',
    '<samengestelde_groepen><samengestelde_groep key="weg"/>',
  ),
  first('las.roster.identified', '</leerlingen>', pupil('', '')),
  first('las.roster.numbers', /(<\/jaargroep>)(<groep key="7a"\/>)/, '$1$2<bsn>123456782</bsn>'),
  first('las.roster.bsn4', /(<\/jaargroep>)(<groep key="7a"\/>)/, '$1$2<bsn_ondwnr-4>6782</bsn_ondwnr-4>'),
  first('las.roster.jaargroep', /<jaargroep>7<\/jaargroep>(<groep key="7a"\/>)/, '$1'),
  ...['las.wsdl', 'las.wsdl.results'].flatMap((id): Plant[] => [
    { id, plant: (it) => ({ ...it, status: 404, text: 'Pim' }) },
    { id: `${id}.actions`, on: (it) => it.of === id, plant: text(/soapAction="[^"]*"/, 'soapAction="urn:Populier"') },
    {
      id: `${id}.schemas`,
      on: (it) => it.method === 'GET' && it.url.includes('xsd=') && it.of === `${id}.schemas`,
      plant: (it) => ({ ...it, status: 404 }),
    },
  ]),
  ...lasCases
    .filter(({ id }) => id.startsWith('las.reads.'))
    .map(({ id }): Plant => ({ id, plant: saysFault('Client.OngeldigBericht') })),
  { id: 'las.since.unchanged', plant: (_, sent) => soundly(sent) },
  {
    id: 'las.since.long-ago',
    plant: (it) => ({ ...it, text: empty('leerlinggegevens', 'geenwijzigingen') }),
  },
  { id: 'las.year.other', plant: (_, sent) => soundly(sent) },
  { id: 'las.set.smalle', plant: text('<groep key="8b"/>', '<groep key="8b"/><gebruikersnaam>Pim</gebruikersnaam>') },
  ...refused.flatMap((id): Plant[] => [
    { id, plant: (_, sent) => soundly(sent) },
    {
      id: `${id}.code`,
      on: (it) => it.of === id,
      // A code of the agreement, which says something else.
      plant: text(/<faultcode>[^<]*/, '<faultcode>Client.VocabulaireTermOngeldig'),
    },
  ]),
  { id: 'las.fault.status', plant: (it) => ({ ...it, status: 200 }) },
  {
    id: 'las.fault.form',
    on: (it) => it.of === 'las.fault.status',
    plant: text(/<(\/?)faultstring/g, '<$1s:faultstring'),
  },
  { id: 'las.fault.prefix', on: (it) => it.of === 'las.fault.status', plant: text('<faultcode>', '<faultcode>s:') },
  {
    id: 'las.fault.secret',
    on: (it) => it.of === 'las.fault.status',
    plant: (it, sent) => ({
      ...it,
      text: it.text.replace('<faultstring>', `<faultstring>${/<autorisatiesleutel>([^<]*)/.exec(sent.body!)![1]} `),
    }),
  },
  { id: 'las.structure.answered', plant: saysFault('Server.InterneFout') },
  {
    id: 'las.structure.schema',
    on: (it) => it.of === 'las.structure.answered',
    plant: text('<naam>Groep 7A</naam><jaargroep>7</jaargroep>', '<jaargroep>7</jaargroep><naam>Groep 7A</naam>'),
  },
  {
    id: 'las.structure.school',
    on: (it) => it.of === 'las.structure.answered',
    plant: text(/<brincode>[^<]*/, '<brincode>88XX'),
  },
  {
    id: 'las.structure.groups',
    on: (it) => it.of === 'las.structure.answered',
    plant: text(/<groep key="8b">.*?<\/groep>/, ''),
  },
  ...(['las.pupils', 'las.teachers'] as const).flatMap((id): Plant[] => {
    const on = (it: Sent) => it.of === `${id}.answered`;
    const person = id === 'las.pupils' ? 'leerling' : 'leerkracht';
    return [
      { id: `${id}.answered`, plant: saysFault('Server.InterneFout') },
      { id: `${id}.schema`, on, plant: text('<achternaam>', '<lievelingskleur>groen</lievelingskleur><achternaam>') },
      {
        id: `${id}.group`,
        on,
        plant: text(new RegExp(`(<${person} )key="[^"]*"(?: eckid="[^"]*")?`), '$1key="X8"'),
      },
    ];
  }),
  { id: 'las.pupils.none', plant: (it) => ({ ...it, text: empty('leerlingen', 'geengegevens') }) },
  {
    id: 'las.pupils.unknown',
    plant: (it) => ({
      ...it,
      text: it.text.replace(
        '<geengegevens/>',
        '<leerlinggegevens-leerlingen><leerlingen><leerling key="L0"/></leerlingen></leerlinggegevens-leerlingen>',
      ),
    }),
  },
  {
    id: 'las.results.confirmed',
    on: (it) => it.of === 'las.results.confirmed',
    plant: saysFault('Client.OngeldigBericht'),
  },
  {
    id: 'las.results.empty',
    on: (it) => it.of === 'las.results.confirmed',
    plant: (it) => ({ ...it, text: confirmation('<leerling>Pim</leerling>') }),
  },
  { id: 'las.results.again', plant: saysFault('Client.OngeldigBericht') },
  { id: 'las.results.full', plant: saysFault('Client.OngeldigBericht') },
];

test('who has no time now is asked again, as late as it says, and no more than three times', async () => {
  const waits: number[] = [];
  const pause = async (ms: number) => void waits.push(ms);
  let times = 0;
  const busy = (sent: Sent, most: number): boolean => sent.of === 'las.since.long-ago' && times++ < most;
  const with503 = (most: number) =>
    runLas(
      accessOf('2.2'),
      async (sent) =>
        busy(sent, most)
          ? {
              status: 500,
              contentType: 'text/xml',
              body: Buffer.from(fault('Server.TijdelijkNietBeschikbaar')),
              retryAfterS: 7,
            }
          : remembered(sent),
      pause,
    );
  expect(failed(await with503(2))).toEqual([]);
  expect(waits).toEqual([7000, 7000]);
  times = 0;
  expect(failed(await with503(99))).toEqual(['las.since.long-ago']);
  expect(times).toBe(3);
});

test('counts tell must from should', async () => {
  const report = await runLas(accessOf('2.2'), async (sent) => {
    const got = await remembered(sent);
    return sent.of === 'las.fault.status' ? { ...got, status: 200 } : got;
  });
  expect(countsOf(report)).toMatchObject({ mustFailed: 1, shouldFailed: 0, notJudged: 0 });
});
