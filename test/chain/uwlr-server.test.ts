/**
 * The UWLR server whole: both versions, the staged way, sets of fields as mandates, what changed, an answer in pages; called by
 * requests as they stand on the wire, by captures of what toolkits put there, and by Python's zeep.
 */
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { brinOf, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { pull } from '../bench/pull.ts';
import { eckId, newSchool, readUntil, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const year = schoolYearOf(Date.now());
const ASK = 'http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens';
const AUT = 'http://www.edustandaard.nl/leerresultaten/2/autorisatie';

const captures = fileURLToPath(new URL('../../../shared/standards/uwlr/v2.2/client-captures/', import.meta.url));
const captured = existsSync(captures);
if (!captured) console.warn(`SKIPPED: no captured requests at ${captures}; the gateway is not called by them.`);

const python = [process.env['EDUK_PYTHON'], '.cache/python/bin/python', 'python3'].find(
  (command) => command && spawnSync(command, ['-c', 'import zeep'], { encoding: 'utf8' }).status === 0,
);
if (!python)
  console.warn('SKIPPED: no Python with zeep here (EDUK_PYTHON names one); the gateway is not called by it.');

interface Pupil {
  key: string;
  group: string;
  composite?: string;
  name?: string;
  born?: string;
}

/** A file of a school with two groups and a composite one. */
const edexml = (brin: string, pupils: readonly Pupil[]): string => `<?xml version="1.0" encoding="UTF-8"?>
<EDEX><school><schooljaar>${year}</schooljaar><brincode>${brin}</brincode><xsdversie>2.1</xsdversie></school>
<groepen><groep key="7a"><naam>Groep 7A</naam><jaargroep>7</jaargroep></groep><groep key="8b"><naam>Groep 8B</naam><jaargroep>8</jaargroep></groep><samengestelde_groep key="plus"><naam>Plus</naam></samengestelde_groep></groepen>
<leerlingen>${pupils
  .map(
    ({ key, group, composite, name = 'Populier', born = '2015-03-01' }) =>
      `<leerling key="${key}" eckid="${eckId(Number(key.slice(1)) + 7000)}"><achternaam>${name}</achternaam><voorletters-1>P.Q.</voorletters-1><roepnaam>Pim</roepnaam><geboortedatum>${born}</geboortedatum><geslacht>1</geslacht><jaargroep>7</jaargroep>${group && `<groep key="${group}"/>`}${composite ? `<samengestelde_groepen><samengestelde_groep key="${composite}"/></samengestelde_groepen>` : ''}</leerling>`,
  )
  .join('')}</leerlingen>
<leerkrachten><leerkracht key="M1"><achternaam>Berk</achternaam><groepen><groep key="7a"/></groepen></leerkracht><leerkracht key="M2"><achternaam>Els</achternaam></leerkracht></leerkrachten></EDEX>`;

const school = newSchool();
const brin = brinOf(school)!;
const large = newSchool();
const PUPILS = 620;
let at: TestGateway;
let las: TestParty;
let app: TestParty;
const sleutels = new Map<string, string>();

interface Ask {
  version?: string;
  school?: string;
  groups?: string;
  since?: string;
  set?: string;
  schoolYear?: string;
  by?: TestParty;
  ns?: string;
}

const question = (name: string, ask: Ask = {}): string => {
  const { by = app, school: of = school, ns = ASK } = ask;
  return `<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Header><h:autorisatie xmlns:h="${AUT}"><autorisatiesleutel>${sleutels.get(`${by.oin} ${of}`)}</autorisatiesleutel><klantcode>${by.klantcode}</klantcode><klantnaam>${by.klantnaam}</klantnaam></h:autorisatie></env:Header>
<env:Body><q:${name} xmlns:q="${ns}"><q:schooljaar>${ask.schoolYear ?? year}</q:schooljaar><q:brincode>${brinOf(of)}</q:brincode><q:xsdversie>${ask.version ?? '2.2'}</q:xsdversie>${ask.set ? `<q:gegevenssetid>${ask.set}</q:gegevenssetid>` : ''}${ask.since ? `<q:laatstontvangengegevens>${ask.since}</q:laatstontvangengegevens>` : ''}${ask.groups === undefined ? '' : `<q:groepen>${ask.groups}</q:groepen>`}</q:${name}></env:Body></env:Envelope>`;
};

async function post(body: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await fetch(
    `${at.http}/soap/uwlr/v2/${body.includes('leerresultaten_verzoek') ? 'leerresultaten' : 'leerlinggegevens'}`,
    {
      method: 'POST',
      headers: { 'content-type': 'text/xml', soapaction: 'whatever', ...headers },
      body,
    },
  );
  return answer.text();
}
const ask = (name: string, more: Ask = {}): Promise<string> => post(question(name, more));
const keysIn = (answer: string, name = 'leerling'): string[] =>
  [...answer.matchAll(new RegExp(`<${name} key="([^"]*)"`, 'g'))].map(([, key]) => key!).sort();
const madeAt = (answer: string): string => /<aanmaakdatum>([^<]*)</.exec(answer)![1]!;

async function submit(of: string, pupils: readonly Pupil[]): Promise<void> {
  const posted = await fetch(`${at.http}/edexml`, {
    method: 'POST',
    headers: { authorization: `Bearer ${las.apiKey}` },
    body: edexml(brinOf(of)!, pupils),
  });
  expect(await posted.json()).toMatchObject({ decision: 'RosterApplied' });
}

const pupils: Pupil[] = [
  { key: 'L1', group: '7a' },
  { key: 'L2', group: '7a', composite: 'plus' },
  { key: 'L3', group: '8b' },
  { key: 'L4', group: '' },
];

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  // It says that it can use more than the Smalle set, so that the mandates decide.
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER], undefined, ['lvs-set', 'email']);
  for (const [of, more] of [
    [school, {}],
    [large, { attributes: ['lvs-set'] }],
  ] as const) {
    await at.mandate(of, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT]);
    const given = await at.mandate(of, app.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT], more as object);
    sleutels.set(`${app.oin} ${of}`, given.autorisatiesleutel);
  }
  await submit(school, pupils);
  await submit(
    large,
    Array.from({ length: PUPILS }, (_, i) => ({ key: `L${i + 100}`, group: i % 2 ? '7a' : '8b', name: `Beuk${i}` })),
  );
});
afterAll(() => at?.stop());

describe('versions', () => {
  test('2.2 and 2.3 side by side, each in its own words, whatever SOAPAction says', async () => {
    const old = await ask('leerlinggegevens_verzoek');
    expect(old).toContain('<xsdversie>2.2</xsdversie>');
    expect(old).toContain('<geboortedatum>');
    const fresh = await ask('leerlinggegevens_verzoek', { version: '2.3', set: 'Smalle-set-VO' });
    expect(fresh).toContain('<xsdversie>2.3</xsdversie>');
    expect(fresh).toMatch(/^<\?xml[^>]*>\n<s:Envelope xmlns:s="[^"]*"><s:Body><leerlinggegevens_antwoord xmlns="/);
    expect(fresh).not.toMatch(/geboortedatum|geslacht|voorletters/);
    expect(keysIn(fresh)).toEqual(['L1', 'L2', 'L3', 'L4']);
  });

  test('callers of 1.0 and 2.1 are told which version they speak', async () => {
    expect(await ask('leerlinggegevens_verzoek', { version: '2.1' })).toMatch(
      /<faultcode>Client.XsdVersieOngeldig<\/faultcode>.*UWLR 2.1, which is recognised/,
    );
    expect(await ask('leerlinggegevensverzoek', { ns: ASK.replace('/2/', '/1/') })).toMatch(
      /<faultcode>Client.XsdVersieOngeldig<\/faultcode><faultstring>UWLR 1.0 wordt hier niet meer gesproken/,
    );
  });

  test('no school year is the running one', async () => {
    for (const schoolYear of ['', '""'])
      expect(await ask('leerlinggegevens_verzoek', { schoolYear })).toContain(`<schooljaar>${year}</schooljaar>`);
  });

  test('descriptions: of each version, and in one document', async () => {
    const get = async (query: string) => (await fetch(`${at.http}/soap/uwlr/v2/leerlinggegevens?${query}`)).text();
    expect(await get('wsdl')).toContain('?xsd=leerlinggegevens"');
    expect(await get('WSDL=2.3')).toContain('?xsd=leerlinggegevens-2.3"');
    expect(await get('xsd=leerlinggegevens-2.3')).toContain('<xs:enumeration value="TAL"/>');
    expect(await get('singleWsdl=2.3')).toMatch(/<xs:enumeration value="TAL"\/>[\s\S]*element="t:structuur_verzoek"/);
  });
});

describe('the staged way', () => {
  test('groups, then pupils and teachers of some of them, and of those in none', async () => {
    const structure = await ask('structuur_verzoek');
    expect(keysIn(structure, 'groep')).toEqual(['7a', '8b']);
    expect(keysIn(structure, 'samengestelde_groep')).toEqual(['plus']);
    expect(structure).not.toMatch(/<leerling[ >]/);
    const of = async (groups: string) => keysIn(await ask('leerlingen_verzoek', { groups }));
    expect(await of('<q:groep key="7a"/>')).toEqual(['L1', 'L2']);
    expect(await of('<q:groep key="8b"/><q:samengestelde_groep key="plus"/>')).toEqual(['L2', 'L3']);
    expect(await of('<q:groep/>')).toEqual(['L4']);
    expect(await of('<q:samengestelde_groep/>')).toEqual(['L1', 'L3', 'L4']);
    expect(await ask('leerlingen_verzoek', { groups: '<q:groep key="9z"/>' })).toContain('<geengegevens/>');
    const staff = async (groups: string) => keysIn(await ask('leerkrachten_verzoek', { groups }), 'leerkracht');
    expect(await staff('<q:groep key="7a"/>')).toEqual(['M1']);
    expect(await staff('<q:groep/>')).toEqual(['M2']);
    expect(await ask('leerlingen_verzoek')).toContain('Client.OngeldigBericht');
  });
});

describe('sets of fields', () => {
  test('the mandate decides; asking for a set narrows, and never widens', async () => {
    const fields = (answer: string) =>
      ['voorletters-1', 'geboortedatum', 'geslacht', 'emailadres'].filter((name) => answer.includes(`<${name}>`));
    expect(fields(await ask('leerlinggegevens_verzoek', { set: 'LVS-set' }))).toEqual(['geboortedatum']);
    expect(fields(await ask('leerlinggegevens_verzoek', { school: large }))).toEqual([
      'voorletters-1',
      'geboortedatum',
      'geslacht',
    ]);
    expect(fields(await ask('leerlinggegevens_verzoek', { school: large, version: '2.3' }))).toEqual([
      'geboortedatum',
      'geslacht',
    ]);
    expect(fields(await ask('leerlinggegevens_verzoek', { school: large, set: 'Smalle-set' }))).toEqual([
      'geboortedatum',
    ]);
  });
});

describe('an answer in pages', () => {
  test('has everyone once, and comes in pieces that end', async () => {
    const { answer, inPieces, startedMs, endedMs } = await pull(
      at.http,
      question('leerlinggegevens_verzoek', { school: large }),
    );
    expect(inPieces).toBe(true);
    expect(startedMs).toBeLessThanOrEqual(endedMs);
    expect(new Set(keysIn(answer)).size).toBe(PUPILS);
    expect(answer).toMatch(
      /<\/leerkrachten><\/leerlinggegevens><\/leerlinggegevens_antwoord><\/s:Body><\/s:Envelope>$/,
    );
    // A school of one page has its length beforehand.
    const small = await fetch(`${at.http}/soap/uwlr/v2/leerlinggegevens`, {
      method: 'POST',
      body: question('leerlinggegevens_verzoek'),
    });
    expect(Number(small.headers.get('content-length'))).toBe((await small.text()).length);
  });

  test('ends without its end when the mandate does, however slowly it is read', async () => {
    const of = newSchool();
    const count = 3_000;
    await at.mandate(of, las.oin, [Service.SERVICE_ROSTER]);
    const { mandateId, autorisatiesleutel } = await at.mandate(of, app.oin, [Service.SERVICE_ROSTER]);
    sleutels.set(`${app.oin} ${of}`, autorisatiesleutel);
    // Long names, so that what the machine keeps between two sockets is not all of the answer.
    const name = 'Kastanje'.repeat(24);
    await submit(
      of,
      Array.from({ length: count }, (_, i) => ({ key: `L${i}`, group: '7a', name })),
    );
    const whole = () =>
      pull(at.http, question('leerlinggegevens_verzoek', { school: of })).then(({ answer }) => answer);
    expect(new Set(keysIn(await whole())).size).toBe(count);
    const body = question('leerlinggegevens_verzoek', { school: of });
    const { hostname, port } = new URL(at.http);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /soap/uwlr/v2/leerlinggegevens HTTP/1.1\r\nhost: ${hostname}:${port}\r\ncontent-type: text/xml\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    // Its beginning is there; nothing is read until nobody may have the rest.
    await once(socket, 'readable');
    await at.operator.changeMandate({ mandateId, change: 'stop' });
    for (let i = 0; i < 600 && !(await whole()).includes('AutorisatieOngeldig'); i++) await wait(50);
    let answer = '';
    for await (const part of socket.setEncoding('utf8')) answer += part;
    expect(answer).toMatch(/^HTTP\/1\.1 200/);
    const told = keysIn(answer).length;
    expect(told).toBeGreaterThan(200);
    expect(told).toBeLessThan(count);
    // No end, of the document or of the body: whoever reads it knows that it is cut off.
    expect(answer).not.toMatch(/<\/s:Envelope>|\r\n0\r\n\r\n$/);
    expect(answer).not.toContain('Berk');
  });
});

describe('what changed', () => {
  test('is data where something changed in what is asked, and nowhere else', async () => {
    const since = madeAt(await ask('leerlinggegevens_verzoek'));
    const everything = () => ask('leerlinggegevens_verzoek', { since });
    const of = (key: string) => ask('leerlingen_verzoek', { since, groups: `<q:groep key="${key}"/>` });
    const unchanged = '<geenwijzigingen/>';
    expect([await everything(), await of('7a'), await of('8b')].map((it) => it.includes(unchanged))).toEqual([
      true,
      true,
      true,
    ]);
    await submit(school, pupils);
    expect(await everything()).toContain(unchanged);

    await submit(
      school,
      pupils.map((one) => (one.key === 'L3' ? { ...one, name: 'Es' } : one)),
    );
    expect(keysIn(await everything())).toEqual(['L1', 'L2', 'L3', 'L4']);
    expect(await of('7a')).toContain(unchanged);
    expect(await of('8b')).toContain('<achternaam>Es</achternaam>');
    expect(await ask('structuur_verzoek', { since })).toContain(unchanged);
    expect(await ask('leerkrachten_verzoek', { since, groups: '<q:groep key="7a"/>' })).toContain(unchanged);

    const later = madeAt(await everything());
    expect(await ask('leerlinggegevens_verzoek', { since: later })).toContain(unchanged);
    await submit(
      school,
      pupils.filter(({ key }) => key !== 'L2').map((one) => (one.key === 'L3' ? { ...one, name: 'Es' } : one)),
    );
    const left = (groups: string) => ask('leerlingen_verzoek', { since: later, groups });
    expect(keysIn(await left('<q:groep key="7a"/>'))).toEqual(['L1']);
    expect(await left('<q:samengestelde_groep key="plus"/>')).toContain('<geengegevens/>');
    expect(await left('<q:groep key="8b"/>')).toContain(unchanged);
  });

  test('is also a birth date that was wrong: for the group of that pupil, and told to who watches', async () => {
    const born = (day: string) => pupils.map((one) => (one.key === 'L1' ? { ...one, born: day } : one));
    await submit(school, born('2015-03-01'));
    const since = madeAt(await ask('leerlinggegevens_verzoek'));
    await submit(school, born('2014-12-31'));
    const of = (key: string) => ask('leerlingen_verzoek', { since, groups: `<q:groep key="${key}"/>` });
    expect(await of('7a')).toContain('<geboortedatum>2014-12-31</geboortedatum>');
    expect(await of('8b')).toContain('<geenwijzigingen/>');
    const seen = await readUntil(app.rosters.watchRosters({ schoolOin: school }), (all) =>
      all.some(({ change, learner }) => change === 'learner_changed' && learner?.person?.birthDate === '2014-12-31'),
    );
    expect(seen.length).toBeGreaterThan(0);
    await submit(school, born('2014-12-31'));
    const later = madeAt(await ask('leerlinggegevens_verzoek'));
    expect(await ask('leerlinggegevens_verzoek', { since: later })).toContain('<geenwijzigingen/>');
  });

  test('is asked in any zone, and since a day to come everything', async () => {
    const since = madeAt(await ask('leerlinggegevens_verzoek'));
    const inZone = (hours: number, ms = 0): string => {
      const wall = new Date(Date.parse(since) + hours * 3_600_000 + ms).toISOString().replace('Z', '');
      return `${wall}${hours < 0 ? '-' : '+'}${String(Math.abs(hours)).padStart(2, '0')}:00`;
    };
    const isUnchanged = async (moment: string) =>
      (await ask('leerlinggegevens_verzoek', { since: moment })).includes('<geenwijzigingen/>');
    for (const hours of [0, 1, 2, 14, -11]) {
      expect(await isUnchanged(inZone(hours))).toBe(true);
      expect(await isUnchanged(inZone(hours, -1))).toBe(false);
    }
    // Without a zone it is the earlier of the two that a Dutch clock may mean.
    expect(await isUnchanged(inZone(2).slice(0, -6))).toBe(true);
    expect(await isUnchanged(inZone(2, -1).slice(0, -6))).toBe(false);
    for (const ahead of [3_600_000, 86_400_000, 9e11])
      expect(await isUnchanged(new Date(Date.now() + ahead).toISOString())).toBe(false);
  });
});

describe.skipIf(!captured)('requests that toolkits put on the wire', () => {
  for (const file of captured ? readdirSync(captures).filter((name) => name.endsWith('.xml')) : [])
    test(file, async () => {
      const head = readFileSync(`${captures}${file.replace(/xml$/, 'http')}`, 'utf8');
      const body = readFileSync(captures + file, 'utf8')
        .replace(/(autorisatiesleutel>)[^<]*/, `$1${sleutels.get(`${app.oin} ${school}`)}`)
        .replace(/(klantcode>)[^<]*/, `$1${app.klantcode}`)
        .replace(/(klantnaam>)[^<]*/, `$1${app.klantnaam}`)
        .replace(/(brincode>)[^<]*/, `$1${brin}`)
        .replace(/(schooljaar>)[^<]*/, `$1${year}`)
        .replaceAll('key="G1"', 'key="7a"')
        .replace(/<ns1:eckid>.*<\/ns1:eckid>/, '');
      const action = /^SOAPAction: (.*?)\r?$/im.exec(head)![1]!;
      const answer = await post(body, { 'content-type': 'text/xml; charset=utf-8', soapaction: action });
      expect(answer).not.toContain('Fault');
      expect(answer).toMatch(/<(leerlinggegevens|leerlinggegevens-leerlingen)>|<leerresultaten_bevestiging /);
    });
});

const client = `
import sys, json, datetime
from zeep import Client, Settings
from zeep.transports import Transport
base, sleutel, code, naam, brin, year = sys.argv[1:]
def service(name, query, port=None):
    client = Client('%s/soap/uwlr/v2/%s?%s' % (base, name, query), settings=Settings(raw_response=True))
    header = client.get_element('{${AUT}}autorisatie')(autorisatiesleutel=sleutel, klantcode=code, klantnaam=naam)
    return client.bind(port_name=port) if port else client.service, {'_soapheaders': [header]}
school = dict(schooljaar=year, brincode=brin, xsdversie='2.2')
staged = 'prtLeerlinggegevensService-getrapt'
out = {}
for query in ('wsdl', 'singleWsdl'):
    one, h = service('leerlinggegevens', query)
    out[query + ' HaalLeerlinggegevens'] = one.HaalLeerlinggegevens(**school, **h).text
    two = Client('%s/soap/uwlr/v2/leerlinggegevens?%s' % (base, query), settings=Settings(raw_response=True)).bind('LeerlinggegevensService', staged)
    out[query + ' HaalStructuur'] = two.HaalStructuur(**school, **h).text
    groepen = {'groepen': {'_value_1': [{'groep': {'key': '7a'}}]}}
    out[query + ' HaalLeerlingen'] = two.HaalLeerlingen(**school, **groepen, **h).text
    out[query + ' HaalLeerkrachten'] = two.HaalLeerkrachten(**school, **groepen, **h).text
    res, h = service('leerresultaten', query)
    out[query + ' BrengLeerresultaten'] = res.BrengLeerresultaten(
        school=dict(school, aanmaakdatum=datetime.datetime.now()),
        toetsafnames={'toetsafname': [{'leerlingid': 'L1', 'resultaten': {'resultaat': [
            {'key': 'z1', 'afnamedatum': datetime.date.today(), 'toetscode': 'T1', 'score': 8}]}}]},
        toetsen={'toets': [{'toetscode': {'_value_1': 'T1'}}]}, **h).text
one, h = service('leerlinggegevens', 'wsdl=2.3')
out['2.3'] = one.HaalLeerlinggegevens(**dict(school, xsdversie='2.3'), **h).text
print(json.dumps(out))
`;

test.skipIf(!python)(
  'zeep calls all of it by the descriptions alone',
  async () => {
    const argv = [
      '-c',
      client,
      at.http,
      sleutels.get(`${app.oin} ${school}`)!,
      app.klantcode,
      app.klantnaam,
      brin,
      year,
    ];
    const { stdout } = await promisify(execFile)(python!, argv, { maxBuffer: 1 << 24 });
    const told = JSON.parse(stdout) as Record<string, string>;
    expect(Object.keys(told)).toHaveLength(11);
    for (const [call, answer] of Object.entries(told)) {
      expect([call, answer]).toEqual([call, expect.not.stringContaining('Fault')]);
      expect([call, answer]).toEqual([
        call,
        expect.stringContaining(/Breng/.test(call) ? 'leerresultaten_bevestiging' : '<leerlinggegevens'),
      ]);
    }
  },
  60_000,
);
