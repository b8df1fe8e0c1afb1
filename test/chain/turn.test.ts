/** A school that goes on to another school year, over the wire: what it comes to, who is told, and what an empty year means before and after. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { edexml, uwlrQuestion } from './files.ts';
import { newSchool, readUntil, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

/** The calendar of this process is in the second of these, so that the turn to it is due. */
const [year, next] = ['2025-2026', '2026-2027'];
let at: TestGateway;
let las: TestParty;
let app: TestParty;
const sleutels = new Map<string, string>();

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
});
afterAll(() => at?.stop());

async function newPlace(): Promise<string> {
  const school = newSchool();
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
  const { autorisatiesleutel } = await at.mandate(school, app.oin, [Service.SERVICE_ROSTER]);
  sleutels.set(school, autorisatiesleutel);
  return school;
}

async function roster(school: string, of: string, count: number, groups: string[]): Promise<void> {
  const pupils = Array.from({ length: count }, (_, i) => ({ key: `k${i}`, name: `Hazelaar${i}`, group: groups[0]! }));
  const chunk = Buffer.from(edexml({ school, year: of, groups, pupils, asOf: `${of.slice(0, 4)}-10-01` }));
  const { decision } = await at.operator.importRoster([{ schoolOin: school, chunk }]);
  expect(decision).toMatchObject({ outcome: 'RosterApplied', code: '' });
}

const yearOf = async (school: string) => (await las.rosters.getRoster({ schoolOin: school })).roster!.schoolYear;
const preview = async (school: string, schoolYear = '') =>
  (await at.operator.previewTurn({ schoolOin: school, schoolYear })).turn!;

/** What UWLR answers who asks for no year, since a moment. */
async function uwlr(school: string, since: string): Promise<string> {
  const ask = { sleutel: sleutels.get(school)!, klantcode: app.klantcode, klantnaam: app.klantnaam, school };
  const extra = `<q:laatstontvangengegevens>${since}</q:laatstontvangengegevens>`;
  const body = uwlrQuestion(ask, extra).replace(/<q:schooljaar>[^<]*<\/q:schooljaar>/, '');
  const answer = await fetch(`${at.http}/soap/uwlr/v2/leerlinggegevens`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body,
  });
  const text = await answer.text();
  return text.includes('geenwijzigingen') ? 'unchanged' : (/(\d{4}-\d{4})</.exec(text)?.[1] ?? text);
}

describe('the turn of the year', () => {
  test('comes by itself with the first whole roster after its day, as one event that receivers are told of', async () => {
    const school = await newPlace();
    await roster(school, year, 30, ['a', 'b']);
    expect(await yearOf(school)).toBe(year);
    await roster(school, next, 28, ['b', 'c', 'd']);
    expect(await yearOf(school)).toBe(next);
    const seen = await readUntil(app.rosters.watchRosters({ schoolOin: school }), (all) =>
      all.some(({ change }) => change === 'year_turned'),
    );
    const turns = seen.filter(({ change }) => change === 'year_turned');
    expect(turns).toMatchObject([{ schoolOin: school, schoolYear: next, learner: undefined, group: undefined }]);
    // Nobody left by it, and the year before can be asked for.
    expect(seen.filter(({ change }) => change === 'learner_left')).toEqual([]);
    const before = await las.rosters.getRoster({ schoolOin: school, schoolYear: year });
    expect(before.roster!.learners).toHaveLength(30);
    const { years } = await at.operator.listSites({ schoolOin: school });
    expect(years.map(({ schoolYear, running }) => [schoolYear, running])).toEqual([
      [next, true],
      [year, false],
    ]);
  });

  test('waits for somebody to look where the new roster is less than half; then it is asked, and who asked since is told all', async () => {
    const school = await newPlace();
    await roster(school, year, 30, ['a', 'b']);
    await roster(school, next, 12, ['b', 'c', 'd']);
    expect(await yearOf(school)).toBe(year);
    expect(await preview(school)).toMatchObject({
      running: year,
      schoolYear: next,
      onDay: '2026-08-01',
      planned: false,
      waits: 'cut_off',
      code: '',
      difference: {
        learnersBefore: 30,
        learnersAfter: 12,
        learnersStay: 12,
        groupsBefore: 2,
        groupsAfter: 3,
        groupsStay: 1,
      },
    });
    const late = async () => (await at.operator.status({})).turns.filter(({ schoolOin }) => schoolOin === school);
    expect(await late()).toMatchObject([{ running: year, schoolYear: next, onDay: '2026-08-01', why: 'cut_off' }]);
    // The new roster was there before this moment, and nothing in it changes any more.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const since = new Date().toISOString();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await uwlr(school, since)).toBe('unchanged');
    const { decision } = await at.operator.turnYear({ schoolOin: school, schoolYear: next });
    expect(decision).toMatchObject({ outcome: 'SchoolYearTurned', code: '' });
    expect(await yearOf(school)).toBe(next);
    expect(await late()).toEqual([]);
    expect(await uwlr(school, since)).toBe(next);
    // Asked twice it is refused, and to the year before it is too late.
    for (const schoolYear of [next, year])
      expect((await at.operator.turnYear({ schoolOin: school, schoolYear })).decision!.code).toBe('state.conflict');
  });

  test('is of what was there: pages that were begun go on in the year they began in, whatever turns meanwhile', async () => {
    const school = await newPlace();
    await roster(school, year, 30, ['a']);
    await roster(school, next, 12, ['a']);
    const first = await las.rosters.getRoster({ schoolOin: school, limit: 20 });
    await at.operator.turnYear({ schoolOin: school, schoolYear: next });
    const second = await las.rosters.getRoster({ schoolOin: school, limit: 20, cursor: first.cursor });
    expect([first, second].map(({ roster: it }) => [it!.schoolYear, it!.learners.length])).toEqual([
      [year, 20],
      [year, 10],
    ]);
    expect(await yearOf(school)).toBe(next);
  });

  test('a roster that takes away teachers or groups is held with its difference, by numbers and year groups', async () => {
    const school = await newPlace();
    const groups = ['a', 'b', 'c', 'd'];
    await roster(school, next, 30, groups);
    const body = {
      roster: {
        schoolOin: school,
        schoolYear: next,
        groups: [{ key: 'a', name: 'Zeven', yearGroup: '7' }],
        learners: Array.from({ length: 30 }, (_, i) => ({ ref: { lasKey: `k${i}` }, yearGroup: '7', groupKey: 'a' })),
      },
    };
    await sendAll(las.rosters.pushRoster(), [{ reference: 'r', rosterId: 'r', part: 0, last: true, ...body }]);
    const held = async () => (await at.operator.listHolds({ schoolOin: school })).holds;
    await expect.poll(held).toHaveLength(1);
    const [hold] = await held();
    expect(hold).toMatchObject({ reason: 'removes_groups', difference: { groupsBefore: 4, groupsClosed: 3, left: 0 } });
    expect(JSON.stringify(hold, (_, value) => (typeof value === 'bigint' ? String(value) : value))).not.toContain(
      'Hazelaar',
    );
  });
});
