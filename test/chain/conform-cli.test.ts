/**
 * `eduk conform uwlr` as a person runs it, with no gateway of its own: against our server over HTTP, against one that is wrong, and
 * called by applications that others wrote (PHP's SoapClient, Python's zeep).
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { brinOf, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newSchool, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const year = schoolYearOf(Date.now());
const school = newSchool();
const folder = mkdtempSync(join(tmpdir(), 'eduk-conform-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

interface Ran {
  exit: number;
  out: string;
  err: string;
}

const bin = join(import.meta.dirname, '../../services/cli/eduk.js');
/** Without a data folder, so without a gateway that it could ask. */
const env = { PATH: process.env['PATH'], EDUK_DATA: at('none') };

function start(args: readonly string[]): { child: ChildProcess; err: () => string; ended: Promise<Ran> } {
  const child = spawn(process.execPath, [bin, 'conform', 'uwlr', ...args], { env });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const ended = new Promise<Ran>((done) => child.once('close', (exit) => done({ exit: exit ?? -1, out, err })));
  return { child, err: () => err, ended };
}
const run = (...args: string[]): Promise<Ran> => start(args).ended;

describe('an administration', () => {
  let gateway: TestGateway;
  let app: TestParty;
  let proxy: Server;
  /** What the server in between makes of an answer. */
  let spoil: (text: string, asked: string) => string = (text) => text;
  let proxied = '';

  beforeAll(async () => {
    gateway = await startTestGateway();
    const las = await gateway.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
    app = await gateway.party('Leerplein', [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER]);
    const services = [Service.SERVICE_ROSTER, Service.SERVICE_RESULT];
    await gateway.mandate(school, las.oin, services);
    const { autorisatiesleutel } = await gateway.mandate(school, app.oin, services);
    writeFileSync(at('sleutel'), autorisatiesleutel, { mode: 0o600 });
    writeFileSync(at('onjuist'), 'een-andere-sleutel', { mode: 0o600 });
    const posted = await fetch(`${gateway.http}/edexml`, {
      method: 'POST',
      headers: { authorization: `Bearer ${las.apiKey}` },
      body: `<EDEX><school><schooljaar>${year}</schooljaar><brincode>${brinOf(school)}</brincode></school><groepen><groep key="7a"><naam>7A</naam><jaargroep>7</jaargroep></groep></groepen><leerlingen>${[1, 2, 3].map((n) => `<leerling key="L${n}" eckid="${eckId(9300 + n)}"><achternaam>Populier</achternaam><roepnaam>Pim</roepnaam><jaargroep>7</jaargroep>${n < 3 ? '<groep key="7a"/>' : ''}</leerling>`).join('')}</leerlingen><leerkrachten><leerkracht key="M1"><achternaam>Berk</achternaam><groepen><groep key="7a"/></groepen></leerkracht></leerkrachten></EDEX>`,
    });
    expect(await posted.json()).toMatchObject({ decision: 'RosterApplied' });
    proxy = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', async () => {
        const asked = Buffer.concat(parts).toString();
        const headers: Record<string, string> = { connection: 'close' };
        for (const name of ['content-type', 'soapaction']) {
          const value = request.headers[name];
          if (value !== undefined) headers[name] = String(value);
        }
        const answer = await fetch(`${gateway.http}${request.url}`, {
          method: request.method!,
          headers: { 'content-type': headers['content-type'] ?? 'text/xml', soapaction: headers['soapaction'] ?? '' },
          ...(request.method === 'POST' ? { body: asked } : {}),
        });
        const text = spoil(await answer.text(), asked);
        response.writeHead(answer.status, { 'content-type': 'text/xml' }).end(text);
      });
    }).listen(0, '127.0.0.1');
    await new Promise((done) => proxy.once('listening', done));
    proxied = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    proxy?.close();
    await gateway?.stop();
  });

  const access = (base: string, sleutel = 'sleutel') => [
    '--las',
    `${base}/soap/uwlr/v2/leerlinggegevens`,
    '--results',
    `${base}/soap/uwlr/v2/leerresultaten`,
    '--school',
    brinOf(school)!,
    '--klantcode',
    app.klantcode,
    '--klantnaam',
    app.klantnaam,
    '--sleutel-file',
    at(sleutel),
  ];

  test.each(['2.2', '2.3'])('our own, in %s: clean, with every case judged', async (version) => {
    const ran = await run(...access(gateway.http), '--version', version, '--write', '--json');
    expect([ran.exit, ran.err]).toEqual([0, '']);
    const report = JSON.parse(ran.out);
    expect(report).toMatchObject({
      clean: true,
      versions: [version],
      wrote: true,
      counts: { mustFailed: 0, shouldFailed: 0, notJudged: 0 },
    });
    expect(report.counts.passed).toBeGreaterThan(90);
  });

  test('without --write nothing is delivered, and it is said; a file of settings does as flags do', async () => {
    const settings = {
      leerlinggegevens: `${gateway.http}/soap/uwlr/v2/leerlinggegevens`,
      leerresultaten: `${gateway.http}/soap/uwlr/v2/leerresultaten`,
      school,
      klantcode: app.klantcode,
      klantnaam: app.klantnaam,
      sleutel: 'sleutel',
      version: '2.3',
    };
    writeFileSync(at('las.json'), JSON.stringify(settings));
    const ran = await run('--settings', at('las.json'), '--las', settings.leerlinggegevens, '--report', at('r.md'));
    expect(ran).toMatchObject({ exit: 0, err: '' });
    expect(ran.out.replaceAll(/\s+/g, ' ')).toContain('18 cases: results are delivered only with --write');
    expect(ran.out).toContain('No rule that must be kept is broken.');
    expect(readFileSync(at('r.md'), 'utf8')).toContain('no results were delivered');
  });

  test('one that is wrong in five things: each is named, in the report too, and no pupil is', async () => {
    spoil = (text, asked) =>
      asked === ''
        ? text
        : text
            .replace(
              '</leerlingen>',
              '<leerling key="L1"><roepnaam>Fenna</roepnaam><jaargroep>7</jaargroep></leerling></leerlingen>',
            )
            .replace('<groep key="7a"/>', '<groep key="7a"/><bsn>123456782</bsn>')
            .replace(/<aanmaakdatum>[^<]*<\/aanmaakdatum>/, '')
            .replace(/<faultcode>[^<]*/, '<faultcode>s:Fenna')
            .replace(/<faultstring>[^<]*/, '<faultstring>Pim Populier mag dit niet');
    const ran = await run(...access(proxied), '--report', at('r.html'), '--report', at('r.json'));
    spoil = (text) => text;
    expect(ran.exit).toBe(1);
    const html = readFileSync(at('r.html'), 'utf8');
    const json = readFileSync(at('r.json'), 'utf8');
    for (const id of [
      'las.roster.keys',
      'las.roster.numbers',
      'las.roster.made',
      'las.fault.prefix',
      'las.auth.key.code',
    ])
      for (const text of [ran.out, html, json]) expect(text).toContain(id);
    const sleutel = readFileSync(at('sleutel'), 'utf8');
    for (const text of [ran.out, ran.err, html, json])
      for (const value of ['Fenna', 'Populier', 'Pim', '123456782', 'ketenid', '"L1"', sleutel, app.klantcode])
        expect(text).not.toContain(value);
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toMatch(/<script|src=|href=/);
    const failed = (JSON.parse(json).cases as { id: string; outcome: string; severity: string }[]).filter(
      ({ outcome }) => outcome === 'failed',
    );
    expect(failed.filter(({ severity }) => severity === 'must').map(({ id }) => id)).toEqual([
      'las.roster.keys',
      'las.roster.numbers',
    ]);
  });

  test('by another key it says that it was not let in, with status 2', async () => {
    const { exit, out, err } = await run(...access(gateway.http, 'onjuist'));
    expect([exit, out]).toEqual([2, '']);
    expect(err.replaceAll(/\s+/g, ' ')).toContain('does not let us in (Client.AutorisatieOngeldig)');
  });
});

const php = spawnSync('php', ['-m'], { encoding: 'utf8' });
const hasPhp = php.status === 0 && /^soap$/m.test(php.stdout);
if (!hasPhp) console.warn('SKIPPED: no php with its soap extension here; it is not tried as an application.');
const python = [process.env['EDUK_PYTHON'], '.cache/python/bin/python', 'python3'].find(
  (command) => command && spawnSync(command, ['-c', 'import zeep'], { encoding: 'utf8' }).status === 0,
);
if (!python)
  console.warn('SKIPPED: no Python with zeep here (EDUK_PYTHON names one); it is not tried as an application.');

/** The published description, wherever it is present: PHP's server is led by it. */
const published = join(import.meta.dirname, '../../../shared/standards/uwlr/v2.2/wsdl/UWLR_Leerlinggegevens_v2p2.wsdl');
const hasServer = hasPhp && existsSync(published);
if (!hasServer) console.warn('SKIPPED: no php, or no published description; it is not tried as an administration.');

/** An administration of somebody else: pupils are invented, and what it does not look at is its own. */
const phpServer = `<?php
ini_set('soap.wsdl_cache_enabled', '0');
if ($_SERVER['REQUEST_METHOD'] === 'GET') { header('content-type: text/xml'); readfile(getenv('WSDL')); exit; }
class Las {
  private $kop = null;
  function autorisatie($kop) { $this->kop = $kop; }
  private function school($v) {
    if (!$this->kop || trim($this->kop->autorisatiesleutel ?? '') !== 'sleutel') throw new SoapFault('Client.AutorisatieOngeldig', 'Els Beuk mag niet');
    if ($this->kop->klantcode !== 'K' || $this->kop->klantnaam !== 'Schakel') throw new SoapFault('Client.OngeldigeKlantIdentificatie', 'Onbekend');
    if (!in_array($v->xsdversie ?? '', ['2.2'])) throw new SoapFault('Client.XsdVersieOngeldig', 'Versie');
    if (isset($v->brincode) && !preg_match('/^\\d\\d[A-Z]{2}$/', $v->brincode) || !isset($v->brincode)) throw new SoapFault('Client.OngeldigBericht', 'brincode');
    if ($v->brincode !== '99ZX') throw new SoapFault('Client.AutorisatieOngeldig', 'school');
    return ['schooljaar' => $v->schooljaar, 'brincode' => $v->brincode, 'aanmaakdatum' => '2026-11-20T03:15:00Z', 'xsdversie' => '2.2'];
  }
  private $groepen = ['groep' => ['key' => 'g7', 'naam' => 'Zeven', 'jaargroep' => '7']];
  private function leerling($key, $groep) { return ['key' => $key, 'achternaam' => 'Beuk', 'roepnaam' => 'Els', 'jaargroep' => '7'] + ($groep ? ['groep' => ['key' => $groep]] : []); }
  function HaalLeerlinggegevens($v) { $school = $this->school($v);
    if (isset($v->laatstontvangengegevens) && strtotime($v->laatstontvangengegevens) >= strtotime('2026-11-20T03:15:00Z')) return ['geenwijzigingen' => new stdClass];
    return ['leerlinggegevens' => ['school' => $school, 'groepen' => $this->groepen, 'leerlingen' => ['leerling' => [$this->leerling('k1', 'g7'), $this->leerling('k2', null)]]]]; }
  function HaalStructuur($v) { return ['leerlinggegevens-structuur' => ['school' => $this->school($v), 'groepen' => $this->groepen]]; }
  function HaalLeerlingen($v) { $school = $this->school($v); $wie = [];
    foreach ((array) ($v->groepen->groep ?? []) as $g) { $key = is_object($g) ? ($g->key ?? '') : $g; if ($key === 'g7') $wie[] = $this->leerling('k1', 'g7'); elseif ($key === '') $wie[] = $this->leerling('k2', null); }
    return $wie ? ['leerlinggegevens-leerlingen' => ['school' => $school, 'leerlingen' => ['leerling' => $wie]]] : ['geengegevens' => new stdClass]; }
  function HaalLeerkrachten($v) { $this->school($v); return ['geengegevens' => new stdClass]; }
}
$soap = new SoapServer(getenv('WSDL'), ['cache_wsdl' => WSDL_CACHE_NONE, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS]);
$soap->setClass('Las');
$soap->handle();
`;

test.skipIf(!hasServer)(
  'an administration made with PHP is told what it does not look at, and nothing else',
  async () => {
    const port = await new Promise<number>((done) => {
      const free = createServer().listen(0, '127.0.0.1', () => {
        const { port: it } = free.address() as AddressInfo;
        free.close(() => done(it));
      });
    });
    writeFileSync(at('las.php'), phpServer);
    writeFileSync(at('php-sleutel'), 'sleutel', { mode: 0o600 });
    const server = spawn('php', ['-S', `127.0.0.1:${port}`, at('las.php')], {
      env: { ...process.env, WSDL: published },
      stdio: 'ignore',
    });
    const address = `http://127.0.0.1:${port}/`;
    try {
      for (let i = 0; i < 200 && !(await fetch(`${address}?wsdl`).catch(() => undefined)); i++)
        await new Promise((done) => setTimeout(done, 50));
      const flags = [
        '--school',
        '99ZX',
        '--klantcode',
        'K',
        '--klantnaam',
        'Schakel',
        '--sleutel-file',
        at('php-sleutel'),
      ];
      const { exit, out } = await run('--las', address, ...flags, '--json');
      const failed = (JSON.parse(out).cases as { id: string; outcome: string; severity: string }[]).filter(
        ({ outcome }) => outcome === 'failed',
      );
      const of = (severity: string) => failed.filter((one) => one.severity === severity).map(({ id }) => id);
      expect(of('must')).toEqual(['las.message.year', 'las.message.moment']);
      expect(of('should')).toEqual([
        'las.roster.prefixes',
        'las.wsdl.schemas',
        'las.message.not-xml.code',
        'las.message.cut.code',
        'las.message.doctype.code',
        'las.message.element.code',
        'las.message.groups.code',
      ]);
      expect(exit).toBe(1);
      expect(out).not.toMatch(/Beuk|Els/);
    } finally {
      server.kill();
    }
  },
);

const AUT = 'http://www.edustandaard.nl/leerresultaten/2/autorisatie';

const phpClient = (version: string) => `
[$script, $base, $year] = $argv;
$kop = new SoapHeader('${AUT}', 'autorisatie', (object) ['autorisatiesleutel' => 'eduk-conform-proef', 'klantcode' => 'EDUK-CONFORM', 'klantnaam' => 'Proef']);
$school = ['schooljaar' => $year, 'brincode' => '99ED', 'xsdversie' => '${version}'];
$om = ['cache_wsdl' => WSDL_CACHE_NONE, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS];
$rooster = new SoapClient("$base/leerlinggegevens?wsdl${version === '2.3' ? '=2.3' : ''}", $om);
$rooster->__setSoapHeaders($kop);
$antwoord = $rooster->HaalLeerlinggegevens($school)->leerlinggegevens;
$rooster->HaalLeerlinggegevens($school + ['laatstontvangengegevens' => $antwoord->school->aanmaakdatum]);
$groepen = $rooster->HaalStructuur($school)->{'leerlinggegevens-structuur'}->groepen;
$van = ['groepen' => ['groep' => array_merge(array_map(fn($g) => ['key' => $g->key], $groepen->groep), [[]]),
  'samengestelde_groep' => array_map(fn($g) => ['key' => $g->key], $groepen->samengestelde_groep)]];
$rooster->HaalLeerlingen($school + $van);
$rooster->HaalLeerkrachten($school + $van);
$leerling = $antwoord->leerlingen->leerling[0];
$resultaten = new SoapClient("$base/leerresultaten?wsdl", $om);
$resultaten->__setSoapHeaders($kop);
$bericht = ['school' => ['schooljaar' => $year, 'brincode' => '99ED', 'aanmaakdatum' => date('c'), 'xsdversie' => '${version}'],
  'toetsafnames' => ['toetsafname' => [['leerlingid' => $leerling->key, 'eckid' => $leerling->eckid, 'resultaten' => ['resultaat' => [
    ['key' => 'php-1', 'afnamedatum' => date('Y-m-d'), 'toetscode' => 'T1', 'score' => 8]]]]]],
  'toetsen' => ['toets' => [['toetscode' => ['_' => 'T1']]]]];
$resultaten->BrengLeerresultaten($bericht);
$resultaten->BrengLeerresultaten($bericht);
`;

const zeepClient = `
import sys, datetime
from zeep import Client, Settings
base, year = sys.argv[1:]
raw = Settings(raw_response=True)
def at(name, query='wsdl', service=None, port=None):
    client = Client('%s/%s?%s' % (base, name, query), settings=raw)
    head = client.get_element('{${AUT}}autorisatie')(autorisatiesleutel='eduk-conform-proef', klantcode='EDUK-CONFORM', klantnaam='Proef')
    return (client.bind(service, port) if port else client.service), {'_soapheaders': [head]}
school = dict(schooljaar=year, brincode='99ED', xsdversie='2.2')
one, h = at('leerlinggegevens')
one.HaalLeerlinggegevens(**school, **h)
one.HaalLeerlinggegevens(**school, laatstontvangengegevens=datetime.datetime.now(datetime.timezone.utc), **h)
two, h = at('leerlinggegevens', 'singleWsdl', 'LeerlinggegevensService', 'prtLeerlinggegevensService-getrapt')
two.HaalStructuur(**school, **h)
groepen = {'_value_1': [{'groep': {'key': 'gr-7a'}}, {'groep': {'key': 'gr-78'}}, {'groep': {}}, {'samengestelde_groep': {'key': 'sg-viool'}}]}
two.HaalLeerlingen(**school, groepen=groepen, **h)
two.HaalLeerkrachten(**school, groepen=groepen, **h)
res, h = at('leerresultaten')
for _ in range(2):
    res.BrengLeerresultaten(school=dict(school, aanmaakdatum=datetime.datetime(2026, 11, 20, 8)),
        toetsafnames={'toetsafname': [{'leerlingid': 'LL-6', 'resultaten': {'resultaat': [
            {'key': 'z1', 'afnamedatum': datetime.date(2026, 11, 20), 'toetscode': 'T1', 'score': 8}]}}]},
        toetsen={'toets': [{'toetscode': {'_value_1': 'T1'}}]}, **h)
`;

describe('an application', () => {
  /** Listens, lets somebody call, and ends. */
  async function tried(call: (base: string) => Promise<unknown>, ...args: string[]): Promise<Ran & { report: any }> {
    const { child, err, ended } = start(['--ea', '--json', '--for', '90', ...args]);
    const began = Date.now();
    while (!/http:\/\/127[^/\s]*/.test(err())) {
      if (Date.now() - began > 30_000) throw new Error(`it does not listen: ${err()}`);
      await new Promise((done) => setTimeout(done, 20));
    }
    const base = /http:\/\/127[^/\s]*/.exec(err())![0];
    try {
      await call(base);
    } finally {
      child.kill('SIGINT');
    }
    const ran = await ended;
    return { ...ran, report: JSON.parse(ran.out) };
  }
  const wrong = (report: any) => report.cases.filter(({ outcome }: { outcome: string }) => outcome === 'failed');

  test.skipIf(!hasPhp).each(['2.2', '2.3'])(
    'made with PHP, in %s, follows every rule that it meets',
    async (version) => {
      const { report, exit } = await tried((base) =>
        promisify(execFile)('php', ['-r', phpClient(version), '--', base, year]),
      );
      expect(wrong(report)).toEqual([]);
      expect([exit, report.calls, report.versions]).toEqual([0, 7, [version]]);
      const left = report.cases.filter(({ outcome }: { outcome: string }) => outcome === 'not judged');
      expect(left.map(({ id }: { id: string }) => id)).toEqual(version === '2.2' ? ['ea.results.eckid'] : []);
    },
  );

  test.skipIf(!python)('made with zeep follows every rule that it meets', async () => {
    const { report, exit } = await tried((base) => promisify(execFile)(python!, ['-c', zeepClient, base, year]));
    expect(wrong(report)).toEqual([]);
    expect([exit, report.calls]).toEqual([0, 7]);
  });

  test('that is wrong is told so, and gets an answer all the same', async () => {
    const body = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><autorisatie xmlns="${AUT}"><klantnaam xmlns="">Proef</klantnaam><klantcode xmlns="">EDUK-CONFORM</klantcode><autorisatiesleutel xmlns="">eduk-conform-proef</autorisatiesleutel></autorisatie></s:Header><s:Body><leerlinggegevens_verzoek xmlns="http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens"><xsdversie>2.2</xsdversie><brincode>99ED</brincode><schooljaar/></leerlinggegevens_verzoek></s:Body></s:Envelope>`;
    const { report, exit, out, err } = await tried(async (base) => {
      const answer = await fetch(`${base}/leerlinggegevens`, {
        method: 'POST',
        headers: { 'content-type': 'text/xml', soapaction: 'HaalLeerlinggegevens' },
        body,
      });
      expect(await answer.text()).toContain('<leerlinggegevens>');
      const large = await fetch(`${base}/leerlinggegevens`, { method: 'POST', body: 'x'.repeat(9 << 20) }).catch(
        () => undefined,
      );
      expect([undefined, 413]).toContain(large?.status);
      expect((await fetch(`${base}/ergens`)).status).toBe(404);
    });
    expect(exit).toBe(1);
    expect(wrong(report).map(({ id }: { id: string }) => id)).toEqual([
      'ea.action.quoted',
      'ea.header.namespace',
      'ea.header.form',
      'ea.year',
      'ea.question.form',
    ]);
    expect(out).not.toContain('eduk-conform-proef');
    expect(err).toContain('99ED');
  });
});
