/** A learning application that others wrote (PHP's SoapClient) against a whole gateway: roster in by EDEXML, out by UWLR, results back. */
import { execFile, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { brinOf, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newSchool, readUntil, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const php = spawnSync('php', ['-m'], { encoding: 'utf8' });
const present = php.status === 0 && /^soap$/m.test(php.stdout);
if (!present) console.warn('SKIPPED: no php with its soap extension here; the gateway is not called by it.');

const year = schoolYearOf(Date.now());
const school = newSchool();
const brin = brinOf(school)!;

const file = (pupils: number) => `<?xml version="1.0" encoding="UTF-8"?>
<EDEX><school><schooljaar>${year}</schooljaar><brincode>${brin}</brincode><xsdversie>2.1</xsdversie></school>
<groepen><groep key="7a"><naam>Groep 7A</naam><jaargroep>7</jaargroep></groep></groepen>
<leerlingen>${Array.from({ length: pupils }, (_, i) => `<leerling key="L${i}" eckid="${eckId(500 + i)}"><achternaam>Populier${i}</achternaam><roepnaam>Pim${i}</roepnaam><geboortedatum>2015-03-0${1 + (i % 9)}</geboortedatum><jaargroep>7</jaargroep><groep key="7a"/></leerling>`).join('')}</leerlingen>
<leerkrachten><leerkracht key="M1"><achternaam>Berk</achternaam><roepnaam>Juf</roepnaam><groepen><groep key="7a"/></groepen></leerkracht></leerkrachten></EDEX>`;

const client = `<?php
[$script, $base, $klantcode, $klantnaam, $sleutel, $brin, $year, $what] = $argv;
$service = $what === 'results' ? 'leerresultaten' : 'leerlinggegevens';
try {
  $client = new SoapClient("$base/soap/uwlr/v2/$service?wsdl", ['cache_wsdl' => WSDL_CACHE_NONE, 'exceptions' => true]);
  $client->__setSoapHeaders(new SoapHeader('http://www.edustandaard.nl/leerresultaten/2/autorisatie', 'autorisatie',
    (object) ['autorisatiesleutel' => $sleutel, 'klantcode' => $klantcode, 'klantnaam' => $klantnaam]));
  $asked = ['schooljaar' => $year, 'brincode' => $brin, 'xsdversie' => '2.2'];
  if ($what === 'roster') $answer = $client->HaalLeerlinggegevens($asked);
  elseif ($what === 'unchanged') $answer = $client->HaalLeerlinggegevens($asked + ['laatstontvangengegevens' => date('c')]);
  else $answer = $client->BrengLeerresultaten(['school' => $asked + ['aanmaakdatum' => date('c')],
    'toetsafnames' => ['toetsafname' => [['leerlingid' => 'L0', 'resultaten' => ['resultaat' => [
      ['key' => 'r|1', 'afnamedatum' => date('Y-m-d'), 'toetscode' => 'T1', 'score' => 8]]]]]],
    'toetsen' => ['toets' => [['toetscode' => ['_' => 'T1']]]]]);
  echo json_encode($answer);
} catch (SoapFault $fault) {
  echo json_encode(['faultcode' => $fault->faultcode, 'faultstring' => $fault->faultstring]);
}
`;

describe.skipIf(!present)('php-soap against the gateway', () => {
  let at: TestGateway;
  let las: TestParty;
  let app: TestParty;
  let sleutel = '';

  const call = async (what: string, more: { sleutel?: string; klantcode?: string; brin?: string } = {}) => {
    const argv = [
      '-r',
      client.replace(/^<\?php/, ''),
      '--',
      at.http,
      more.klantcode ?? app.klantcode,
      app.klantnaam,
      more.sleutel ?? sleutel,
      more.brin ?? brin,
      year,
      what,
    ];
    // With -r PHP puts "Standard input code" first, as a script would.
    const { stdout } = await promisify(execFile)('php', argv, { maxBuffer: 1 << 26 });
    return JSON.parse(stdout);
  };

  beforeAll(async () => {
    at = await startTestGateway();
    las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
    app = await at.party('Leerplein', [Role.ROLE_PLATFORM, Role.ROLE_PUBLISHER]);
    await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT]);
    sleutel = (await at.mandate(school, app.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT])).autorisatiesleutel;
    const posted = await fetch(`${at.http}/edexml`, {
      method: 'POST',
      headers: { authorization: `Bearer ${las.apiKey}` },
      body: file(30),
    });
    expect(posted.status).toBe(202);
    expect(await posted.json()).toMatchObject({ learners: 30, groups: 1, staff: 1, decision: 'RosterApplied' });
  });
  afterAll(() => at?.stop());

  test('fetches the roster by the WSDL alone, in the Smalle set', async () => {
    const answer = await call('roster');
    const { leerlingen, groepen, leerkrachten } = answer.leerlinggegevens;
    expect(leerlingen.leerling).toHaveLength(30);
    const first = leerlingen.leerling.find((one: { key: string }) => one.key === 'L0');
    expect(first).toMatchObject({
      eckid: eckId(500),
      achternaam: 'Populier0',
      roepnaam: 'Pim0',
      jaargroep: '7',
      groep: { key: '7a' },
    });
    expect(JSON.stringify(groepen)).toContain('Groep 7A');
    expect(JSON.stringify(leerkrachten)).toContain('Berk');
  });

  test('is told when nothing changed', async () => {
    // Its clock tells whole seconds; in the second of the last change nobody can say.
    await sleep(1_100);
    expect(await call('unchanged')).toHaveProperty('geenwijzigingen');
  });

  test('returns a result once, whatever it repeats, and the administration gets it', async () => {
    const first = await call('results');
    expect(first.faultcode).toBeUndefined();
    await call('results');
    const [seen] = await readUntil(las.results.watchResults({}), (all) => all.length === 1);
    expect(seen!.record).toMatchObject({
      fromOin: app.oin,
      result: { learner: { lasKey: 'L0' }, payload: { activityId: 'T1', score: 8 } },
    });
    const { results } = await las.results.listResults({ schoolOin: school });
    expect(results).toHaveLength(1);
  });

  test('a wrong key, a wrong klantcode and another school are refused in the words of the standard', async () => {
    expect(await call('roster', { sleutel: 'verkeerd' })).toMatchObject({ faultcode: 'Client.AutorisatieOngeldig' });
    expect(await call('roster', { klantcode: 'onbekend' })).toMatchObject({
      faultcode: 'Client.OngeldigeKlantIdentificatie',
    });
    expect(await call('roster', { brin: '88QP' })).toMatchObject({ faultcode: 'Client.OngeldigeKlantIdentificatie' });
  });

  test('after the mandate has stopped, nothing is answered any more', async () => {
    const { mandates } = await at.operator.listMandates({ partyOin: app.oin });
    await at.operator.changeMandate({ mandateId: mandates[0]!.mandateId, change: 'stop' });
    expect(await call('roster')).toMatchObject({ faultcode: 'Client.AutorisatieOngeldig' });
    expect(await call('results')).toMatchObject({ faultcode: 'Client.AutorisatieOngeldig' });
  });
});

test('an empty bulk stream is answered by its end', async () => {
  const at = await startTestGateway();
  const publisher = await at.party('Uitgeverij Leeg', [Role.ROLE_PUBLISHER]);
  expect(await sendAll(publisher.catalogue.publishProducts(), [])).toEqual([]);
  await at.stop();
});
