/**
 * A school with several sites under one BRIN: each site's roster is its own, over every door, at any size; and what the
 * receivers are told of it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { brinOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { WatchRostersResponse } from '#proto/eduk/gateway/v1/roster';
import { edexml, type Pupil, uwlrQuestion } from './files.ts';
import { newSchool, readUntil, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const year = '2026-2027';
let at: TestGateway;
let las: TestParty;
let app: TestParty;

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM], undefined, attributes);
});
afterAll(() => at?.stop());

/** All that a roster can hold of where somebody is. */
const attributes = [
  'las_key',
  'eck_id',
  'call_name',
  'family_name',
  'groups',
  'sites',
  'year_group',
  'period',
  'staff',
];

interface Place {
  school: string;
  sleutel: string;
}

/** A school whose administration may send, and whose platform may have all that a roster can hold. */
async function newPlace(): Promise<Place> {
  const school = newSchool();
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
  const { autorisatiesleutel } = await at.mandate(school, app.oin, [Service.SERVICE_ROSTER], { attributes });
  return { school, sleutel: autorisatiesleutel };
}

const keys = (from: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${from}-${i}`);
const pupils = (names: readonly string[], group: string): Pupil[] => names.map((key) => ({ key, group }));

/** How a roster comes in: `site` is the code of the site, empty = none. Answers what became of it. */
type Send = (
  school: string,
  site: string,
  names: readonly string[],
  more?: { group?: string; day?: string },
) => Promise<string>;

const file = (school: string, site: string, names: readonly string[], more: { group?: string; day?: string } = {}) => {
  const group = more.group ?? `g${site}`;
  return edexml({ school, site, groups: [group], asOf: more.day ?? '2026-10-01', pupils: pupils(names, group) });
};

const overEdexml: Send = async (school, site, names, more) => {
  const answer = await fetch(`${at.http}/edexml`, {
    method: 'POST',
    headers: { authorization: `Bearer ${las.apiKey}` },
    body: file(school, site, names, more),
  });
  const { decision, code } = (await answer.json()) as { decision?: string; code?: string };
  return code ?? decision ?? String(answer.status);
};

const overImport: Send = async (school, site, names, more) => {
  const taken = await at.operator.importRoster([{ chunk: Buffer.from(file(school, site, names, more)) }]);
  return taken.holdId === '' ? taken.decision!.code || taken.decision!.outcome : 'hold.pending';
};

let pushed = 0;
const push = async (
  school: string,
  site: string,
  names: readonly string[],
  more: { group?: string; day?: string; administration?: string; rosterId?: string } = {},
): Promise<string> => {
  const rosterId = more.rosterId ?? `sites-${++pushed}`;
  const group = more.group ?? `g${site}`;
  const size = 150;
  const parts = Math.max(1, Math.ceil(names.length / size));
  const reference = (part: number) => `${rosterId}.${site}.${more.administration ?? ''}.${part}`;
  const answers = await sendAll(
    las.rosters.pushRoster(),
    Array.from({ length: parts }, (_, part) => ({
      reference: reference(part),
      rosterId,
      part,
      last: part === parts - 1,
      roster: {
        schoolOin: school,
        schoolYear: year,
        siteCode: site,
        administration: more.administration ?? '',
        madeAt: `${more.day ?? '2026-10-01'}T14:30:00Z`,
        groups: part === 0 ? [{ key: group, name: group, yearGroup: '7' }] : [],
        learners: names.slice(part * size, (part + 1) * size).map((lasKey) => ({
          ref: { lasKey },
          person: { familyName: 'Plooistra', callName: 'Zoë' },
          groupKey: group,
        })),
      },
    })),
  );
  const refusal = answers.flatMap(({ refusals }) => refusals)[0];
  if (refusal) return refusal.code;
  for (;;) {
    const { flow } = await las.flows.getFlow({ reference: reference(parts - 1), method: 'RosterService/PushRoster' });
    const told = flow!.steps.map(({ step, code }) => code || step).find((word) => /^RosterA|\./.test(word));
    if (flow!.state === 'held') return 'hold.pending';
    if (told && flow!.ended) return told;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** Keys of the pupils that GetRoster tells. */
async function whoOf(place: Place, siteCode = '', party: TestParty = las): Promise<string[]> {
  const found: string[] = [];
  for (let cursor = ''; ; ) {
    const answer = await party.rosters.getRoster({
      schoolOin: place.school,
      schoolYear: year,
      limit: 1000,
      cursor,
      siteCode,
    });
    found.push(...answer.roster!.learners.map(({ ref }) => ref!.lasKey));
    if (answer.cursor === '') return found.sort();
    cursor = answer.cursor;
  }
}

/** Keys of the pupils in a UWLR answer; undefined = no data, or a fault. */
async function overUwlr({ school, sleutel }: Place, site: string): Promise<string[] | undefined> {
  const answer = await fetch(`${at.http}/soap/uwlr/v2/leerlinggegevens`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body: uwlrQuestion({ sleutel, klantcode: app.klantcode, klantnaam: app.klantnaam, school, year, site }),
  });
  const text = await answer.text();
  if (!text.includes('leerlingen')) return undefined;
  expect(/<dependancecode>(\d\d)<|$/.exec(text.replaceAll(/<\w+:/g, '<'))![1] ?? '').toBe(site);
  return [...text.matchAll(/leerling key="([^"]+)"/g)].map(([, key]) => key!).sort();
}

for (const [door, send] of [
  ['POST /edexml', overEdexml],
  ['roster import', overImport],
  ['PushRoster', push],
] as const)
  for (const size of [5, 500])
    for (const [one, two] of [
      ['01', '02'],
      ['00', '01'],
      ['', '01'],
    ] as const)
      test(`${door}: files of site ${one || '(none)'} and site ${two}, ${size} pupils each: both stay, night after night`, async () => {
        const place = await newPlace();
        const [at1, at2] = [keys('A', size), keys('B', size)];
        const all = [...at1, ...at2].sort();
        for (const day of ['2026-10-01', '2026-10-02']) {
          expect.soft(await send(place.school, one, at1, { day })).toBe('RosterApplied');
          // A file without a site is one of the whole school: it comes once, and the sites after it.
          expect.soft(await send(place.school, two, at2, { day })).toBe('RosterApplied');
          expect.soft(await whoOf(place)).toEqual(all);
          if (one === '') break;
        }
        expect.soft(await overUwlr(place, '')).toEqual(all);
        expect.soft(await whoOf(place, two)).toEqual([...at2].sort());
        expect.soft(await overUwlr(place, two)).toEqual([...at2].sort());
        expect.soft(await overUwlr(place, one || '00')).toEqual([...at1].sort());
        expect.soft(await whoOf(place, one || '00')).toEqual([...at1].sort());
        expect.soft(await overUwlr(place, '77')).toBeUndefined();
        expect.soft((await at.operator.listHolds({ schoolOin: place.school })).holds).toEqual([]);
        const told = await watched(app, place, 2 * size);
        expect(told.filter(({ change }) => change === 'learner_left')).toEqual([]);
      });

/** What a party is told of a school, once it was told of at least so many learners. */
async function watched(party: TestParty, { school }: Place, learners: number, siteCode = '') {
  const of = (all: WatchRostersResponse[]) => all.filter(({ learner }) => learner);
  return readUntil(party.rosters.watchRosters({ schoolOin: school, siteCode }), (all) => of(all).length >= learners);
}

describe('a pupil at more than one site', () => {
  test('who moves from one site to another stays; each site is told its part', async () => {
    const place = await newPlace();
    await overEdexml(place.school, '01', keys('A', 3));
    await overEdexml(place.school, '02', keys('B', 3));
    const { watchCursor } = await app.rosters.getRoster({
      schoolOin: place.school,
      schoolYear: year,
      siteCode: '01',
      limit: 1,
    });
    expect(watchCursor).not.toBe('');
    await overEdexml(place.school, '02', [...keys('B', 3), 'A-0'], { day: '2026-10-02' });
    expect(await whoOf(place, '01')).toContain('A-0'); // At both until the first site's roster leaves it out.
    expect(await whoOf(place, '02')).toContain('A-0');
    await overEdexml(place.school, '01', ['A-1', 'A-2'], { day: '2026-10-02' });
    expect(await whoOf(place)).toEqual(['A-0', 'A-1', 'A-2', 'B-0', 'B-1', 'B-2']);
    expect(await whoOf(place, '01')).toEqual(['A-1', 'A-2']);
    expect(await overUwlr(place, '02')).toEqual(['A-0', 'B-0', 'B-1', 'B-2']);

    // Learners have an order of their own; across them there is none.
    const summary = (all: WatchRostersResponse[]) =>
      all.flatMap(({ change, learner }) => (learner ? [`${learner.ref!.lasKey} ${change}`] : [])).sort();
    const joined = (list: readonly string[]) => list.map((key) => `${key} learner_joined`);
    // Those before, the move towards 02, the move away from 01.
    expect(summary(await watched(app, place, 8))).toEqual(
      [...joined(keys('A', 3)), ...joined(keys('B', 3)), 'A-0 learner_moved', 'A-0 learner_moved'].sort(),
    );
    expect(summary(await watched(app, place, 5, '01'))).toEqual(
      [...joined(keys('A', 3)), 'A-0 learner_moved', 'A-0 learner_left'].sort(),
    );
    expect(summary(await watched(app, place, 5, '02'))).toEqual(
      [...joined(keys('B', 3)), 'A-0 learner_joined', 'A-0 learner_moved'].sort(),
    );
    const since = readUntil(
      app.rosters.watchRosters({ schoolOin: place.school, siteCode: '01', cursor: watchCursor }),
      (all) => all.some(({ change }) => change === 'learner_left'),
    );
    expect(summary(await since)).toEqual(['A-0 learner_left', 'A-0 learner_moved']);
  });

  test('each site sees it as its own roster says; the codes of its sites stand beside it', async () => {
    const place = await newPlace();
    await overEdexml(place.school, '01', ['P', 'Q'], { group: 'oost-3' });
    await overEdexml(place.school, '02', ['P', 'R'], { group: 'west-3' });
    const groupOf = async (siteCode: string) => {
      const { roster } = await app.rosters.getRoster({ schoolOin: place.school, schoolYear: year, siteCode });
      const { groupKey, siteCodes } = roster!.learners.find(({ ref }) => ref!.lasKey === 'P')!;
      return { groupKey, siteCodes, groups: roster!.groups.map(({ key }) => key).sort() };
    };
    const siteCodes = ['01', '02'];
    expect(await groupOf('01')).toEqual({ groupKey: 'oost-3', siteCodes, groups: ['oost-3'] });
    expect(await groupOf('02')).toEqual({ groupKey: 'west-3', siteCodes, groups: ['west-3'] });
    expect(await groupOf('')).toEqual({ groupKey: 'west-3', siteCodes, groups: ['oost-3', 'west-3'] });
    await overEdexml(place.school, '01', ['Q'], { group: 'oost-3', day: '2026-10-02' });
    expect(await whoOf(place)).toEqual(['P', 'Q', 'R']);
    await overEdexml(place.school, '02', ['R'], { group: 'west-3', day: '2026-10-02' });
    expect(await whoOf(place)).toEqual(['Q', 'R']);
  });

  test('two rosters under one id, sent at once in parts, are two rosters', async () => {
    const place = await newPlace();
    const [a, b] = [keys('A', 320), keys('B', 320)];
    expect(
      await Promise.all([
        push(place.school, '01', a, { rosterId: 'nightly' }),
        push(place.school, '02', b, { rosterId: 'nightly' }),
      ]),
    ).toEqual(['RosterApplied', 'RosterApplied']);
    expect(await whoOf(place)).toEqual([...a, ...b].sort());
  });
});

/** What `flow why` says of rosters that wait. */
async function whyHeld({ school }: Place): Promise<string[]> {
  const { blockers } = await at.operator.whyBlocked({ schoolOin: school, productId: '9789000000019' });
  return blockers.filter(({ code }) => code === 'hold.pending').map(({ told }) => told);
}

describe('rosters of the whole school and of sites', () => {
  test('a file without a site after those of sites is of the whole school: who is not in it leaves', async () => {
    const place = await newPlace();
    await overEdexml(place.school, '01', keys('A', 5));
    await overEdexml(place.school, '02', keys('B', 5));
    expect(await overEdexml(place.school, '', [...keys('A', 4), ...keys('B', 5)], { day: '2026-10-02' })).toBe(
      'RosterApplied',
    );
    expect(await whoOf(place)).toEqual([...keys('A', 4), ...keys('B', 5)]);
    const { years } = await at.operator.listSites({ schoolOin: place.school });
    expect(years[0]!.sites.map(({ siteCode, endedMs, learners }) => [siteCode, endedMs > 0n, learners])).toEqual([
      ['', false, 9],
      ['01', true, 0],
      ['02', true, 0],
    ]);
  });

  test('one that lacks most of a site is held, however small the site, and approved it counts', async () => {
    const place = await newPlace();
    await overEdexml(place.school, '01', keys('A', 3));
    await overEdexml(place.school, '02', keys('B', 3));
    expect(await overEdexml(place.school, '', keys('B', 3), { day: '2026-10-02' })).toBe('hold.pending');
    expect(await whoOf(place)).toEqual([...keys('A', 3), ...keys('B', 3)]);
    const { holds } = await at.operator.listHolds({ schoolOin: place.school });
    expect(holds).toMatchObject([{ reason: 'leaves_out_site', siteCode: '', difference: { left: 3 } }]);
    expect(await whyHeld(place)).toEqual([expect.stringContaining('lacks most pupils of one')]);
    await at.operator.decideHold({ holdId: holds[0]!.holdId, approve: true });
    expect(await whoOf(place)).toEqual(keys('B', 3));
  });

  test('the hold of a site says its code, and stands beside that of another', async () => {
    const place = await newPlace();
    for (const [site, from] of [
      ['01', 'A'],
      ['02', 'B'],
    ] as const)
      await overEdexml(place.school, site, keys(from, 40));
    for (const [site, from] of [
      ['01', 'A'],
      ['02', 'B'],
    ] as const)
      expect(await overEdexml(place.school, site, keys(from, 10), { day: '2026-10-02' })).toBe('hold.pending');
    const { holds } = await at.operator.listHolds({ schoolOin: place.school });
    expect(
      holds.map(({ siteCode, reason, difference }) => [siteCode, reason, difference!.before, difference!.after]),
    ).toEqual([
      ['01', 'truncated', 40, 10],
      ['02', 'truncated', 40, 10],
    ]);
    expect((await whyHeld(place)).sort()).toEqual([
      expect.stringContaining('of site 01'),
      expect.stringContaining('of site 02'),
    ]);
    await at.operator.decideHold({ holdId: holds[0]!.holdId, approve: true });
    expect(await whoOf(place)).toHaveLength(50);
  });

  test('an import of the whole school, whatever site the file names, takes the place of all', async () => {
    const place = await newPlace();
    await overEdexml(place.school, '01', keys('A', 5));
    await overEdexml(place.school, '00', keys('B', 5));
    const again = [...keys('A', 4), ...keys('B', 4)];
    const taken = await at.operator.importRoster([
      { wholeSchool: true, chunk: Buffer.from(file(place.school, '00', again, { day: '2026-10-02' })) },
    ]);
    expect(taken).toMatchObject({ siteCode: '', decision: { outcome: 'RosterApplied' } });
    expect(await whoOf(place)).toEqual(again);
  });

  test('an import names the site where the file does not, and no other than the file', async () => {
    const place = await newPlace();
    const import1 = (site: string, siteCode: string) =>
      at.operator.importRoster([{ siteCode, chunk: Buffer.from(file(place.school, site, keys('A', 2))) }]);
    expect(await import1('', '03')).toMatchObject({ siteCode: '03' });
    expect(await whoOf(place, '03')).toEqual(keys('A', 2));
    await expect(import1('01', '02')).rejects.toMatchObject({ code: 'wire.invalid' });
  });
});

describe('administrations of one school', () => {
  test('two of them, named by routing id or by number, leave each other’s pupils alone', async () => {
    const place = await newPlace();
    const routing = (digits: string) => `${place.school.slice(0, -5)}${digits}`;
    for (const day of ['2026-10-01', '2026-10-02']) {
      expect(await push(routing('00001'), '', keys('A', 5), { day })).toBe('RosterApplied');
      expect(await push(place.school, '', keys('B', 5), { day, administration: '00002', group: 'h' })).toBe(
        'RosterApplied',
      );
      expect(await whoOf(place)).toEqual([...keys('A', 5), ...keys('B', 5)]);
    }
    const { years } = await at.operator.listSites({ schoolOin: place.school });
    expect(years[0]!.sites).toMatchObject([
      { siteCode: '', administration: '00001', learners: 5, byOin: las.oin },
      { siteCode: '', administration: '00002', learners: 5 },
    ]);
    expect(await push(routing('00001'), '', keys('A', 5), { administration: '00002' })).toBe('wire.invalid');
    expect(await push(place.school, '1', keys('A', 5))).toBe('wire.invalid');
    expect(await push(place.school, '', keys('A', 5), { administration: '12' })).toBe('wire.invalid');
  });

  test('a school key may be a routing id', async () => {
    const place = await newPlace();
    await overEdexml(place.school, '', keys('A', 2));
    const ask = { sleutel: place.sleutel, klantcode: app.klantcode, klantnaam: app.klantnaam, school: place.school };
    const body = uwlrQuestion({ ...ask, year, site: '' }).replace(
      `<q:brincode>${brinOf(place.school)}</q:brincode>`,
      `<q:schoolkey>${place.school.slice(0, -5)}00007</q:schoolkey>`,
    );
    const answer = await fetch(`${at.http}/soap/uwlr/v2/leerlinggegevens`, { method: 'POST', body });
    expect(await answer.text()).toContain('A-0');
  });
});

describe('what is asked of a site', () => {
  test('a code that is none, a site nobody sent, a watch of a site without its school', async () => {
    const place = await newPlace();
    await overEdexml(place.school, '01', keys('A', 2));
    const roster = (siteCode: string) => las.rosters.getRoster({ schoolOin: place.school, schoolYear: year, siteCode });
    await expect(roster('1')).rejects.toMatchObject({ code: 'wire.invalid' });
    await expect(roster('02')).rejects.toMatchObject({ code: 'state.missing' });
    for (const request of [{ siteCode: '01' }, { siteCode: 'x', schoolOin: place.school }])
      await expect(readUntil(las.rosters.watchRosters(request), () => false)).rejects.toMatchObject({
        code: 'wire.invalid',
      });
    // A cursor of one site is none of another.
    const { watchCursor } = await roster('01');
    await expect(
      readUntil(
        las.rosters.watchRosters({ schoolOin: place.school, siteCode: '02', cursor: watchCursor }),
        () => false,
      ),
    ).rejects.toThrow();
  });
});
