/** Receivers that others wrote: PHP's own SoapServer, led by the published description, takes what the gateway brings in 2.2 and 2.3. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { brinOf, dutchDay, schoolYearOf } from '#kernel';
import { ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, newOin, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { complaintsOf, publishedWsdl } from './published.ts';

const php = spawnSync('php', ['-m'], { encoding: 'utf8' });
const present = php.status === 0 && /^soap$/m.test(php.stdout) && publishedWsdl !== undefined;
if (!present) console.warn('SKIPPED: no php with its soap extension, or no published description, here.');

/** Writes down each message as it came and as PHP understands it; refuses one pupil. */
const server = `<?php
ini_set('soap.wsdl_cache_enabled', '0');
$came = file_get_contents('php://input');
if ($came === '') { http_response_code(405); exit; }
class Ontvanger {
  private $mag = false;
  function autorisatie($kop) { $this->mag = $kop->autorisatiesleutel === 'sleutel' && $kop->klantnaam === 'Schakel'; }
  function BrengLeerresultaten($v) {
    if (!$this->mag) throw new SoapFault('Client.AutorisatieOngeldig', 'Geen toegang');
    foreach ($v->toetsafnames->toetsafname as $afname)
      if ($afname->leerlingid === 'L2') throw new SoapFault('Client.LeerlingOngeldig', 'L2 is hier niet bekend');
    global $came;
    $at = getenv('CAME') . '/' . hrtime(true);
    file_put_contents("$at.xml", $came);
    file_put_contents("$at.json", json_encode($v));
    return new stdClass;
  }
}
$soap = new SoapServer(getenv('WSDL'), ['cache_wsdl' => WSDL_CACHE_NONE, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS]);
$soap->setClass('Ontvanger');
$soap->handle($came);
`;

describe.skipIf(!present)('an administration in 2.3 and a dashboard in 2.2, made with PHP', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-php-out-'));
  const versions = { las: '2.3', bord: '2.2' } as const;
  const children: ChildProcess[] = [];
  const school = newSchool();
  let at: TestGateway;
  let app: TestParty;
  const oins = { las: newOin(), bord: newOin() };

  /** What a receiver took: each message as it came, and as PHP read it. */
  const cameAt = (name: keyof typeof versions) =>
    readdirSync(join(folder, name))
      .filter((file) => file.endsWith('.json'))
      .sort()
      .map((file) => ({
        xml: readFileSync(join(folder, name, file.replace('.json', '.xml')), 'utf8'),
        read: JSON.parse(readFileSync(join(folder, name, file), 'utf8')),
      }));
  const resultsAt = (name: keyof typeof versions): unknown[] =>
    cameAt(name)
      .flatMap(({ read }) => read.toetsafnames.toetsafname)
      .flatMap((afname: any) =>
        afname.resultaten.resultaat.map((one: any) => ({
          who: afname.leerlingid,
          eckid: afname.eckid,
          key: one.key,
          day: one.afnamedatum,
          test: one.toetscode,
          part: one.toetsonderdeelcode,
          score: one.score,
          oso: one.osoresultaat,
        })),
      )
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  const until = async (enough: () => boolean | Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + 40_000; !(await enough()); await sleep(50))
      if (Date.now() > end)
        throw new Error(`not within 40 s: ${JSON.stringify([resultsAt('las'), resultsAt('bord')])}`);
  };

  beforeAll(async () => {
    writeFileSync(join(folder, 'sleutel'), 'sleutel', { mode: 0o600 });
    writeFileSync(join(folder, 'ontvanger.php'), server);
    at = await startTestGateway({ EDUK_ADMINISTRATIONS: folder });
    app = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
    const rooster = await at.party('Rooster', [Role.ROLE_ADMINISTRATION]);
    await at.mandate(school, app.oin, [Service.SERVICE_RESULT]);
    await at.mandate(school, rooster.oin, [Service.SERVICE_ROSTER]);
    for (const name of ['las', 'bord'] as const) {
      const port = await new Promise<number>((resolve) => {
        const free = createServer().listen(0, '127.0.0.1', () => {
          const { port: found } = free.address() as { port: number };
          free.close(() => resolve(found));
        });
      });
      spawnSync('mkdir', [join(folder, name)]);
      children.push(
        spawn('php', ['-S', `127.0.0.1:${port}`, join(folder, 'ontvanger.php')], {
          env: { ...process.env, WSDL: publishedWsdl, CAME: join(folder, name) },
          stdio: 'ignore',
        }),
      );
      for (let i = 0; i < 200; i++) {
        const isThere = await fetch(`http://127.0.0.1:${port}/`).then(
          () => true,
          () => false,
        );
        if (isThere) break;
        await sleep(100);
      }
      writeFileSync(
        join(folder, `${name}.json`),
        JSON.stringify({
          party: oins[name],
          klantcode: 'K',
          klantnaam: 'Schakel',
          version: versions[name],
          schools: [{ school: brinOf(school), sleutel: 'sleutel' }],
        }),
      );
      const role = name === 'las' ? Role.ROLE_ADMINISTRATION : Role.ROLE_DASHBOARD;
      const endpoints = [{ standard: 'uwlr', url: `http://127.0.0.1:${port}/`, fromMs: 0n }];
      await at.operator.addParty({ party: { oin: oins[name], name, roles: [role], endpoints } });
      await at.mandate(school, oins[name], [Service.SERVICE_RESULT]);
    }
    await sendAll(rooster.rosters.pushRoster(), [
      {
        reference: 'roster',
        rosterId: 'roster',
        part: 0,
        last: true,
        roster: {
          schoolOin: school,
          schoolYear: schoolYearOf(Date.now()),
          groups: [],
          learners: [1, 2, 3].map((i) => ({ ref: { lasKey: `L${i}`, eckId: eckId(400 + i) }, yearGroup: '7' })),
        },
      },
    ]);
  });
  afterAll(async () => {
    for (const child of children) child.kill();
    await at?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('both take the same, valid in their own version; what one pupil is refused for costs the others nothing', async () => {
    const today = dutchDay(Date.now());
    const result = (resultId: string, learner: number, payload: object) => ({
      reference: resultId,
      schoolOin: school,
      result: {
        resultId,
        learner: { eckId: eckId(400 + learner) },
        kind: ResultKind.RESULT_KIND_FINAL,
        payload: { activityId: 'T1', activityName: 'Toets één & twee', takenAt: today, ...payload },
      },
    });
    const norms = [{ term: 'V', from: 5, to: 10, colour: { red: 0, green: 255, blue: 0, opacity: 1 } }];
    const answers = await sendAll(app.results.returnResults(), [
      result('a', 1, { score: 8, test: { code: { value: 'T1' }, norming: { norms } } }),
      result('b', 2, { score: 3 }),
      result('c', 3, { activityId: 'T2', partId: 'lezen', score: 4 }),
      result('d', 3, { activityId: 'M8', monitor: { items: 40, correct: 31, ability: 212.5, abilityScale: 'reken' } }),
    ]);
    expect(answers.flatMap(({ refusals }) => refusals)).toEqual([]);
    await until(() => resultsAt('las').length >= 3 && resultsAt('bord').length >= 3);
    const keys = ['a', 'c', 'd'].map((id) => `${app.oin}.${id}`);
    expect(resultsAt('las')).toMatchObject([
      { key: keys[0], who: 'L1', eckid: eckId(401), day: today, test: 'T1', score: 8 },
      { key: keys[1], who: 'L3', test: 'T2', part: 'lezen', score: 4 },
      { key: keys[2], who: 'L3', test: 'M8', oso: { toetsscore: { aantalopgaven: 40, aantalgoed: 31 } } },
    ]);
    expect(resultsAt('bord')).toEqual(resultsAt('las'));
    for (const name of ['las', 'bord'] as const)
      for (const { xml, read } of cameAt(name)) {
        expect(read.school.xsdversie).toBe(versions[name]);
        expect(complaintsOf(versions[name], xml)).toEqual([]);
      }
    await until(async () => (await at.operator.listParked({ schoolOin: school })).rows.length === 2);
    const { rows } = await at.operator.listParked({ schoolOin: school });
    expect(rows.map(({ partyOin, cause, rows: n, who }) => [partyOin, cause, n, who]).sort()).toEqual(
      Object.values(oins)
        .map((oin) => [oin, 'Client.LeerlingOngeldig', 1n, 'school'])
        .sort(),
    );
  });
});
