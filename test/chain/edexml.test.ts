/** EDEXML over the doors: what is refused and what is told of a file, which school it is of, what it lost, and files for receivers. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { flemishSchoolOin, keyedSchoolOin } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { edexml, uwlrResults } from './files.ts';
import { eckId, newSchool, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const year = '2026-2027';
let at: TestGateway;
let las: TestParty;
let app: TestParty;
let other: TestParty;

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  other = await at.party('Ander', [Role.ROLE_PLATFORM]);
});
afterAll(() => at?.stop());

const post = async (body: string, query = '', of = las) => {
  const answer = await fetch(`${at.http}/edexml${query}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${of.apiKey}` },
    body,
  });
  return { status: answer.status, json: (await answer.json()) as any };
};
const get = (query: string, of = app) =>
  fetch(`${at.http}/edexml?${query}`, { headers: { authorization: `Bearer ${of.apiKey}` } });

const pupil = (n: number, extra = '') => ({ key: `L-${n}`, eckId: eckId(4200 + n), name: 'Plooistra', extra });
const place = async () => {
  const school = newSchool();
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
  return school;
};
const withPhoto = (n: number) => pupil(n, '<fotourl>https://foto.example/x</fotourl>');

describe('a file', () => {
  test('is taken with its warnings; what it lost stands in its flow, counted and without values', async () => {
    const school = await place();
    const text = edexml({ school, pupils: [withPhoto(1), withPhoto(2)] }).replace(
      '<jaargroep>7</jaargroep><groep',
      '<groep',
    );
    const { status, json } = await post(text);
    expect([status, json.decision]).toEqual([202, 'RosterApplied']);
    expect(json.warnings).toMatchObject([{ code: 'year_group_missing', count: 1, where: [{ line: 5 }] }]);
    expect(json.losses).toContainEqual({ element: 'fotourl', reason: 'minimised', count: 2 });
    const { flow } = await at.operator.showFlow({ flowId: json.flowId });
    expect(flow!.losses).toEqual(json.losses);
    expect((await las.flows.getFlow({ flowId: json.flowId })).flow!.losses).toEqual(json.losses);
    expect(JSON.stringify(flow!.losses)).not.toMatch(/foto\.example|Plooistra|Proef/);
  });

  test('with several faults is refused with all of them, and their lines', async () => {
    const school = await place();
    const text = edexml({
      school,
      pupils: [pupil(1), pupil(2, '<bsn>123456782</bsn>'), { ...pupil(3), group: 'weg' }],
    });
    const { status, json } = await post(text.replace('key="L-3"', 'key=" L-1"'));
    expect([status, json.code]).toEqual([400, 'wire.invalid']);
    expect(json.where.map(({ line }: any) => line)).toEqual(expect.arrayContaining([6, 7]));
    expect(json.detail).toContain('Among them personal numbers: 1');
  });

  test('without header needs school and year', async () => {
    const school = await place();
    const headless = edexml({ school, pupils: [pupil(1)] }).replace(/<school>.*<\/school>/, '');
    expect((await post(headless, `?school=${school}`)).json.code).toBe('wire.invalid');
    const { json } = await post(headless, `?school=${school}&schooljaar=${year}`);
    expect(json).toMatchObject({ school, schooljaar: year, decision: 'RosterApplied' });
  });

  test('of a school without BRIN: by instellingsnummer, else by the schoolkey of its sender; who names it decides', async () => {
    const flemish = flemishSchoolOin('4321');
    const keyed = keyedSchoolOin(las.oin, 'sk 7');
    for (const school of [flemish, keyed]) await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
    const said = (what: string) =>
      edexml({ school: newSchool(), site: '', pupils: [pupil(1)] }).replace(/<brincode>.*<\/brincode>/, what);
    expect((await post(said('<instellingsnummer>4321</instellingsnummer>'))).json.school).toBe(flemish);
    expect((await post(said('<schoolkey>sk 7</schoolkey>'))).json.school).toBe(keyed);
    const school = await place();
    expect((await post(said('<schoolkey>sk 7</schoolkey>'), `?school=${school}`)).json.school).toBe(school);
    // The operator says whose key it is.
    const chunk = Buffer.from(said('<schoolkey>sk 7</schoolkey>'));
    expect((await at.operator.importRoster([{ partyOin: las.oin, chunk }])).schoolOin).toBe(keyed);
    await expect(at.operator.importRoster([{ chunk }])).rejects.toThrow();
  });

  test('of another school than the one named: the operator’s word goes before it, with a warning; a program is refused', async () => {
    const [school, written] = [await place(), await place()];
    const text = edexml({ school: written, pupils: [pupil(1)] });
    const refused = await post(text, `?school=${school}`);
    expect([refused.status, refused.json.where[0].path]).toEqual([400, 'EDEX/school/brincode']);
    const taken = await at.operator.importRoster([{ schoolOin: school, chunk: Buffer.from(text) }]);
    expect(taken).toMatchObject({ schoolOin: school, decision: { outcome: 'RosterApplied' } });
    expect(taken.warnings.map(({ code }) => code)).toContain('other_school');
    const listed = async (schoolOin: string) => (await at.operator.listSites({ schoolOin })).years.length;
    expect([await listed(school), await listed(written)]).toEqual([1, 0]);
  });
});

describe('a file for a receiver', () => {
  let school: string;
  beforeAll(async () => {
    school = await place();
    await at.mandate(school, app.oin, [Service.SERVICE_ROSTER], { attributes: ['call_name', 'las_key', 'groups'] });
    const extra = '<geboortedatum>2014-05-06</geboortedatum>';
    const text = edexml({ school, pupils: [pupil(1), pupil(2)] }).replaceAll(
      '<jaargroep>7</jaargroep><groep',
      `${extra}<jaargroep>7</jaargroep><groep`,
    );
    expect((await post(text)).json.decision).toBe('RosterApplied');
  });

  test.each(['1.03', '2.0', '2.1'])('holds in %s what its mandate names, and no more', async (version) => {
    const answer = await get(`school=${school}&schooljaar=${year}&version=${version}`);
    const text = await answer.text();
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/xml; charset=utf-8']);
    expect(text).toContain(`<xsdversie>${version}</xsdversie>`);
    expect(text).toContain('<roepnaam>Zoë</roepnaam>');
    expect(text).toContain('key="L-1"');
    expect(text).not.toMatch(/Plooistra|2014-05-06|eckid/);
  });

  test('says in a header what it has no place for', async () => {
    await at.mandate(school, other.oin, [Service.SERVICE_ROSTER], { attributes: ['eck_id', 'las_key', 'call_name'] });
    const answer = await get(`school=${school}&schooljaar=${year}&version=2.0`, other);
    expect(answer.headers.get('eduk-losses')).toContain('eckid;no_place;2');
  });

  test('is refused without mandate, of another version, and of a year of which there is nothing', async () => {
    const stranger = await at.party('Niemand', [Role.ROLE_PLATFORM]);
    const code = async (answer: Response) => ((await answer.json()) as { code: string }).code;
    expect(await code(await get(`school=${school}`, stranger))).toBe('mandate.missing');
    expect(await code(await get(`school=${school}&version=3`))).toBe('wire.version');
    expect(await code(await get(`school=${school}&schooljaar=2019-2020`))).toBe('state.missing');
    expect(await code(await get('school=x'))).toBe('wire.invalid');
  });

  test('is written on the gateway’s machine for the operator, the same, and who was shown is noted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-edexml-'));
    try {
      const file = join(folder, 'out.xml');
      const told = await at.operator.exportRoster({ schoolOin: school, partyOin: app.oin, schoolYear: year, file });
      expect(told).toMatchObject({ learners: 2, groups: 1, schoolYear: year });
      expect([...told.attributes].sort()).toEqual(['call_name', 'groups', 'las_key']);
      const own = await (await get(`school=${school}&schooljaar=${year}`)).text();
      expect(readFileSync(file, 'utf8')).toBe(own);
      // An operator is never answered with people.
      const token = {
        headers: { authorization: `Bearer ${readFileSync(join(at.folder, 'operator.key'), 'utf8').trim()}` },
      };
      expect((await fetch(`${at.http}/edexml?school=${school}`, token)).status).toBe(403);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

test('what a message of UWLR lost stands in the flow of its first result', async () => {
  const school = await place();
  await post(edexml({ school, pupils: [pupil(1)] }));
  const { autorisatiesleutel } = await at.mandate(school, app.oin, [Service.SERVICE_RESULT, Service.SERVICE_PROGRESS]);
  const ask = { sleutel: autorisatiesleutel, klantcode: app.oin, klantnaam: 'Leerplein', school };
  const answer = await fetch(`${at.http}/soap/uwlr/v2/leerresultaten`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body: uwlrResults(ask, [{ key: 'r-1', leerlingid: 'L-1' }]),
  });
  expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('bevestiging')]);
  await expect.poll(async () => (await app.results.listResults({ schoolOin: school })).results.length).toBe(1);
  // The message has no reference, so the flow is found in a copy of where it rests.
  const copy = mkdtempSync(join(tmpdir(), 'eduk-edexml-'));
  try {
    await at.operator.backup({ folder: copy });
    const rows = new DatabaseSync(join(copy, 'state.db'));
    const { flowId } = rows
      .prepare("SELECT flowId FROM flows_flows WHERE school = ? AND type = 'ResultSubmitted'")
      .get(school) as { flowId: string };
    rows.close();
    const { flow } = await at.operator.showFlow({ flowId });
    expect(flow!.losses).toEqual([{ element: 'auteur', reason: 'no_place', count: 1 }]);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});
