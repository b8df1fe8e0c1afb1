/** A client that others wrote, PHP's own SoapClient, led by our WSDL alone. Skipped where PHP or its SOAP part is absent. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { asGatewayError, Clear, GatewayError } from '#kernel';
import { Roster } from '#proto/eduk/core/v1/learner';
import uwlr, {
  readRequest,
  resultsDelivery,
  rosterAnswer,
  rosterQuestion,
  type Service,
  type Verzoek,
  writeAnswer,
  wsdl,
  xsd,
} from './index.ts';

const { leerresultaten } = uwlr.exchanges;
const php = spawnSync('php', ['-m'], { encoding: 'utf8' });
const present = php.status === 0 && /^soap$/m.test(php.stdout);
if (!present) console.warn('SKIPPED: no php with its soap extension here; the services are not called by it.');

const client = `<?php
[$script, $address, $what] = $argv;
[$what, $query] = explode(' ', "$what wsdl");
$client = new SoapClient("$address?$query", ['cache_wsdl' => WSDL_CACHE_NONE, 'trace' => true, 'exceptions' => true]);
$client->__setSoapHeaders(new SoapHeader('http://www.edustandaard.nl/leerresultaten/2/autorisatie', 'autorisatie',
  (object) ['autorisatiesleutel' => 'sleutel', 'klantcode' => 'K-4711', 'klantnaam' => 'Leerplein']));
$school = ['schooljaar' => '2026-2027', 'brincode' => '88QP', 'dependancecode' => '01', 'xsdversie' => '2.2'];
try {
  if ($what === 'HaalLeerlinggegevens') $answer = $client->HaalLeerlinggegevens($school);
  elseif ($what === 'version') $answer = $client->HaalLeerlinggegevens(['xsdversie' => '2.1'] + $school);
  elseif ($what === '2.3') $answer = $client->HaalLeerlinggegevens(['xsdversie' => '2.3'] + $school);
  elseif ($what === 'HaalStructuur') $answer = $client->HaalStructuur($school);
  elseif ($what === 'HaalLeerlingen') $answer = $client->HaalLeerlingen($school + ['groepen' => [
    'groep' => [['key' => 'gr-5b'], []], 'samengestelde_groep' => ['key' => 'sg-viool']]]);
  elseif ($what === 'HaalLeerkrachten') $answer = $client->HaalLeerkrachten($school + ['groepen' => ['groep' => ['key' => 'gr-5b']]]);
  else $answer = $client->BrengLeerresultaten([
    'school' => $school + ['aanmaakdatum' => '2026-11-22T08:00:00Z'],
    'toetsafnames' => ['toetsafname' => [
      ['leerlingid' => 'LAS-301', 'eckid' => 'https://ketenid.nl/pilot/01', 'resultaten' => ['resultaat' => [
        ['key' => 'r1', 'afnamedatum' => '2026-11-20', 'toetscode' => 'T1', 'score' => 8],
        ['key' => 'r2', 'afnamedatum' => '2026-11-20', 'toetscode' => 'T2',
         'osoresultaat' => ['toetsscore' => ['aantalopgaven' => 20, 'aantalgoed' => 15]]]]]],
      ['leerlingid' => 'LAS-302', 'resultaten' => ['resultaat' => [
        ['key' => 'r3', 'afnamedatum' => '2026-11-20', 'toetscode' => 'T1', 'toetsonderdeelcode' => 'a', 'score' => 3]]]],
    ]],
    'toetsen' => ['toets' => [
      ['toetscode' => ['_' => 'T1', 'vocabulaire' => 'http://leerplein.example/lijst'], 'toetsonderdelen' => ['toetsonderdeel' => [
        ['toetsonderdeelvolgnummer' => 1, 'toetsonderdeelcode' => ['_' => 'a']]]]],
      ['toetscode' => ['_' => 'T2']]]],
  ]);
  echo json_encode(['functions' => $client->__getFunctions(), 'answer' => $answer]);
} catch (SoapFault $fault) {
  echo json_encode(['faultcode' => $fault->faultcode, 'faultstring' => $fault->faultstring, 'detail' => $fault->detail ?? null]);
}
`;

describe.skipIf(!present)('php-soap', () => {
  const taken: { request: Verzoek; action: string | undefined }[] = [];
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://x');
    const service = url.pathname.split('/').at(-1) as Service;
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}${url.pathname}`;
    response.setHeader('content-type', 'text/xml; charset=utf-8');
    if (request.method === 'GET') {
      const name = url.searchParams.get('xsd');
      const single = url.searchParams.has('singleWsdl');
      const version = url.searchParams.get('wsdl') === '2.3' ? '2.3' : '2.2';
      const text =
        single || url.searchParams.has('wsdl')
          ? wsdl(service, address, { version, single })
          : name === null
            ? undefined
            : xsd(service, name);
      response.writeHead(text === undefined ? 404 : 200).end(text);
      return;
    }
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      try {
        const read = readRequest(Buffer.concat(parts));
        taken.push({ request: read, action: request.headers.soapaction as string | undefined });
        response.end(answer(read));
      } catch (error) {
        response.writeHead(500).end(uwlr.sayFault(asGatewayError(error)));
      }
    });
  });
  const core = JSON.parse(readFileSync(new URL('./examples/20-answer.core.json', import.meta.url), 'utf8'));
  function answer(read: Verzoek): string {
    if (read.operation === 'BrengLeerresultaten') return leerresultaten.write();
    const { school, schoolYear, version } = rosterQuestion(read.body);
    if (school.schoolOin !== core.schoolOin) throw new GatewayError('state.missing');
    const it = Roster.fromJSON({ ...core, schoolYear });
    if (version === '2.3') for (const { ref } of it.learners) if (ref?.eckId) ref.lasKey = '';
    return writeAnswer(
      read.operation,
      rosterAnswer({ kind: 'roster', roster: new Clear(it) }, { version, fields: 'smalle' }),
    );
  }
  beforeAll(() => new Promise<void>((done) => void server.listen(0, '127.0.0.1', done)));
  afterAll(() => new Promise<void>((done) => void server.close(() => done())));

  async function call(service: Service, what: string) {
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/soap/uwlr/v2/${service}`;
    const run = promisify(execFile)('php', ['-d', 'display_errors=stderr', '--', address, what]);
    run.child.stdin!.end(client);
    const { stdout, stderr } = await run;
    expect(stderr).toBe('');
    return JSON.parse(stdout);
  }

  test('fetches a roster', async () => {
    const { answer, functions } = await call('leerlinggegevens', 'HaalLeerlinggegevens');
    expect(functions).toHaveLength(4);
    const { school, groepen, leerlingen, leerkrachten } = answer.leerlinggegevens;
    expect(school).toMatchObject({ schooljaar: '2026-2027', brincode: '88QP', dependancecode: '01', xsdversie: '2.2' });
    expect(groepen.groep.map((g: { key: string }) => g.key)).toEqual(['gr-5b', 'gr-56']);
    expect(leerlingen.leerling[0]).toMatchObject({
      key: 'LAS-301',
      achternaam: 'Waterkamp',
      roepnaam: 'Jörn',
      groep: { key: 'gr-5b' },
    });
    expect(leerlingen.leerling[1].roepnaam).toBe('Ilse <3');
    expect(leerkrachten.leerkracht).toMatchObject({ achternaam: 'Nachtegaal' });
    expect(taken.at(-1)!.action).toBe('"HaalLeerlinggegevens"');
    expect(unveiled(taken.at(-1)!.request.header).klantnaam).toBe('Leerplein');
  });

  test('fetches a roster in 2.3, by the description of 2.3: a pupil with an ECK iD and no key', async () => {
    const { answer } = await call('leerlinggegevens', '2.3 wsdl=2.3');
    const { school, leerlingen } = answer.leerlinggegevens;
    expect(school.xsdversie).toBe('2.3');
    const [first] = leerlingen.leerling;
    expect(first.eckid).toMatch(/^https:/);
    expect(first).not.toHaveProperty('key');
    expect(first).not.toHaveProperty('geboortedatum');
  });

  test('fetches a roster the staged way', async () => {
    const structure = (await call('leerlinggegevens', 'HaalStructuur')).answer['leerlinggegevens-structuur'];
    expect(structure.groepen.groep.map((g: { key: string }) => g.key)).toEqual(['gr-5b', 'gr-56']);
    expect(taken.at(-1)!.action).toBe(
      '"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens/structuur_verzoek"',
    );
    const pupils = (await call('leerlinggegevens', 'HaalLeerlingen')).answer['leerlinggegevens-leerlingen'];
    expect(pupils.leerlingen.leerling).toHaveLength(2);
    const { request } = taken.at(-1)!;
    if (request.operation !== 'HaalLeerlingen') throw new Error('another operation');
    expect(request.body.groepen).toEqual([
      { key: 'gr-5b', samengesteld: false },
      { samengesteld: false },
      { key: 'sg-viool', samengesteld: true },
    ]);
    const staff = (await call('leerlinggegevens', 'HaalLeerkrachten')).answer['leerlinggegevens-leerkrachten'];
    expect(staff.leerkrachten.leerkracht).toMatchObject({ achternaam: 'Nachtegaal' });
  });

  test('calls all of it by the one document, too', async () => {
    for (const what of ['HaalLeerlinggegevens', 'HaalStructuur', 'HaalLeerlingen', 'HaalLeerkrachten'])
      expect((await call('leerlinggegevens', `${what} singleWsdl`)).faultcode).toBeUndefined();
    expect((await call('leerresultaten', 'BrengLeerresultaten singleWsdl')).answer).toEqual({});
  });

  test('delivers results', async () => {
    const { answer } = await call('leerresultaten', 'BrengLeerresultaten');
    expect(answer).toEqual({});
    const { request } = taken.at(-1)!;
    if (request.operation !== 'BrengLeerresultaten') throw new Error('another operation');
    const results = unveiled(resultsDelivery(request.body).results);
    expect(results.map((r) => [r.resultId, r.learner?.lasKey, r.payload?.score, r.payload?.partId])).toEqual([
      ['r1', 'LAS-301', 8, ''],
      ['r2', 'LAS-301', 15, ''],
      ['r3', 'LAS-302', 3, 'a'],
    ]);
  });

  test('meets a fault in the words of the standard, with our code beside it', async () => {
    const fault = await call('leerlinggegevens', 'version');
    expect(fault).toMatchObject({
      faultcode: 'Client.XsdVersieOngeldig',
      faultstring: 'Deze xsdversie wordt hier niet gesproken; 2.2 en 2.3 wel.',
    });
    expect(fault.detail.fault).toMatchObject({ code: 'wire.version', who: 'sender' });
  });
});
