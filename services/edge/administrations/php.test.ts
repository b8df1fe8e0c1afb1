/** An administration that others wrote: PHP's own SoapServer, led by the published description where that is present. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { PeerFault } from '#adapters/uwlr';
import { Clear, diallerFor, networksOf } from '#kernel';
import { type Ask, pullFrom } from './client.ts';
import type { AdministrationSettings } from './settings.ts';

const published = join(
  import.meta.dirname,
  '../../../../shared/standards/uwlr/v2.2/wsdl/UWLR_Leerlinggegevens_v2p2.wsdl',
);
const php = spawnSync('php', ['-m'], { encoding: 'utf8' });
const present = php.status === 0 && /^soap$/m.test(php.stdout) && existsSync(published);
if (!present) console.warn('SKIPPED: no php with its soap extension, or no published description, here.');

/** Answers by the description alone; pupils are invented. */
const server = `<?php
ini_set('soap.wsdl_cache_enabled', '0');
class Las {
  private $mag = false;
  function autorisatie($kop) { $this->mag = $kop->autorisatiesleutel === 'sleutel' && $kop->klantnaam === 'Schakel'; }
  private function school($v) { if (!$this->mag) throw new SoapFault('Client.AutorisatieOngeldig', 'Els Beuk mag niet'); 
    return ['schooljaar' => '2024-2025', 'brincode' => $v->brincode, 'dependancecode' => $v->dependancecode ?? null, 'aanmaakdatum' => '2024-11-20T03:15:00Z', 'xsdversie' => '2.2']; }
  private $groepen = ['groep' => ['key' => 'g7', 'naam' => 'Zeven', 'jaargroep' => '7']];
  private function leerling($key, $naam, $groep) { return ['key' => $key, 'achternaam' => $naam, 'roepnaam' => 'Zoë <3', 'jaargroep' => '7'] + ($groep ? ['groep' => ['key' => $groep]] : []); }
  function HaalLeerlinggegevens($v) { $school = $this->school($v);
    if (isset($v->laatstontvangengegevens)) return ['geenwijzigingen' => new stdClass];
    return ['leerlinggegevens' => ['school' => $school, 'groepen' => $this->groepen, 'leerlingen' => ['leerling' => [$this->leerling('k1', 'Els', 'g7'), $this->leerling('k2', 'Den', null)]]]]; }
  function HaalStructuur($v) { return ['leerlinggegevens-structuur' => ['school' => $this->school($v), 'groepen' => $this->groepen]]; }
  function HaalLeerlingen($v) { $school = $this->school($v); $wie = [];
    foreach ((array) ($v->groepen->groep ?? []) as $g) { $key = is_object($g) ? ($g->key ?? '') : $g; $wie[] = $key === 'g7' ? $this->leerling('k1', 'Els', 'g7') : $this->leerling('k2', 'Den', null); }
    return $wie ? ['leerlinggegevens-leerlingen' => ['school' => $school, 'leerlingen' => ['leerling' => $wie]]] : ['geengegevens' => new stdClass]; }
  function HaalLeerkrachten($v) { $this->school($v); return ['geengegevens' => new stdClass]; }
}
$soap = new SoapServer(getenv('WSDL'), ['cache_wsdl' => WSDL_CACHE_NONE, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS]);
$soap->setClass('Las');
$soap->handle();
`;

describe.skipIf(!present)('an administration made with PHP', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-php-'));
  let address = '';
  let child: ReturnType<typeof spawn>;
  const dialler = diallerFor(networksOf(['http://127.0.0.1/32'], false));
  beforeAll(async () => {
    const port = await new Promise<number>((resolve) => {
      const free = createServer().listen(0, '127.0.0.1', () => {
        const at = (free.address() as { port: number }).port;
        free.close(() => resolve(at));
      });
    });
    writeFileSync(join(folder, 'las.php'), server);
    child = spawn('php', ['-S', `127.0.0.1:${port}`, join(folder, 'las.php')], {
      env: { ...process.env, WSDL: published },
      stdio: 'ignore',
    });
    address = `http://127.0.0.1:${port}/`;
    for (let i = 0; i < 100; i++) {
      if (
        await dialler.dial(address).then(
          () => true,
          () => false,
        )
      )
        break;
      await sleep(100);
    }
  });
  afterAll(() => {
    child?.kill();
    dialler.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (more: Partial<Ask> = {}): Promise<Awaited<ReturnType<typeof pullFrom>>> =>
    pullFrom(
      {
        dialect: { version: '2.2', schooljaar: 'jaar', soapAction: 'quoted', gegevenssetid: '' },
        leerlinggegevens: address,
        getrapt: address,
        timeoutMs: 20_000,
        mostBytes: 1 << 20,
        groupsAtOnce: 5,
      } as AdministrationSettings,
      dialler,
      {
        school: { schoolOin: '0000000700088QP00000', siteCode: '01', administration: '', schoolkey: '', sleutel: '' },
        schoolYear: '2024-2025',
        isRunning: false,
        since: '',
        protocol: 'alles-in-een',
        header: new Clear({ autorisatiesleutel: 'sleutel', klantcode: 'K', klantnaam: 'Schakel' }),
        headers: {},
        signal: AbortSignal.timeout(60_000),
        ...more,
      },
    );

  test.each(['alles-in-een', 'getrapt'] as const)(
    'is asked %s',
    async (protocol) => {
      const answer = await ask({ protocol });
      if (answer.kind !== 'roster') throw new Error(answer.kind);
      expect(answer).toMatchObject({ learners: 2, madeAt: '2024-11-20T03:15:00Z' });
      const { learners, groups, siteCode } = unveiled(answer.roster);
      expect(siteCode).toBe('01');
      expect(groups.map(({ key, composite }) => [key, composite])).toEqual([['g7', false]]);
      expect(learners.map(({ ref, groupKey, person }) => [ref!.lasKey, groupKey, person!.callName])).toEqual([
        ['k1', 'g7', 'Zoë <3'],
        ['k2', '', 'Zoë <3'],
      ]);
    },
    60_000,
  );

  test('says that nothing changed', async () => {
    expect(await ask({ since: '2024-11-20T03:15:00Z' })).toEqual({ kind: 'unchanged' });
  });

  test('refuses a key, and its words stay there', async () => {
    const header = new Clear({ autorisatiesleutel: 'fout', klantcode: 'K', klantnaam: 'Schakel' });
    const error = await ask({ header }).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(PeerFault);
    expect(error.of).toMatchObject({ faultcode: 'Client.AutorisatieOngeldig', who: 'school', reach: 'school' });
    expect(JSON.stringify([error.message, error.told])).not.toContain('Els');
  });
});
