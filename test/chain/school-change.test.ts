/** A school is split and merged: its pupils go on at another school, as others there, and nothing but the two schools' own keys says who was who. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dutchDay, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { ListSchoolChangesResponse, SchoolChangeAsked } from '#proto/eduk/operator/v1/operator';
import {
  eckId,
  Fault,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

const YEAR = schoolYearOf(Date.now());
const TODAY = dutchDay(Date.now());
const IN_A_YEAR = `${Number(TODAY.slice(0, 4)) + 1}-06-01`;
const BOOK = '9789000000019';
const [from, to] = [newSchool(), newSchool()];
let at: TestGateway;
const las: Record<string, TestParty> = {};
let publisher: TestParty;
let platform: TestParty;

beforeAll(async () => {
  at = await startTestGateway();
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  for (const school of [from, to]) {
    las[school] = await at.party(`Lijst ${school}`, [Role.ROLE_ADMINISTRATION]);
    await at.mandate(school, las[school].oin, [Service.SERVICE_ROSTER]);
    await at.mandate(school, publisher.oin, [Service.SERVICE_ENTITLEMENT]);
  }
  await at.mandate(from, platform.oin, [Service.SERVICE_ENTITLEMENT, Service.SERVICE_ROSTER]);
  await sendAll(publisher.catalogue.publishProducts(), [
    {
      reference: 'p',
      product: { productId: BOOK, title: 'Rekenen', licence: { licensed: true }, platformOin: platform.oin },
    },
  ]);
});
afterAll(() => at?.stop());

interface Pupil {
  ref: { eckId?: string; lasKey?: string };
  yearGroup: string;
}
const pupil = (i: number): Pupil => ({
  ref: { ...(i === 5 ? {} : { eckId: eckId(i) }), lasKey: `k${i}` },
  yearGroup: i < 3 ? '7' : '8',
});
const push = async (school: string, rosterId: string, learners: Pupil[]) => {
  const [ack] = await sendAll(las[school]!.rosters.pushRoster(), [
    {
      reference: rosterId,
      rosterId,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: YEAR,
        groups: [{ key: 'a', name: 'A', yearGroup: '7' }],
        learners: learners.map((one) => ({ ...one, groupKey: 'a', person: { callName: 'Wil' } })),
      },
    },
  ]);
  expect(ack!.refusals).toEqual([]);
};
/** Who is at a school, by ECK iD and key, with the year group. */
const roster = async (school: string) => {
  const { roster: of } = await las[school]!.rosters.getRoster({ schoolOin: school, schoolYear: YEAR });
  return of!.learners.map(({ ref, yearGroup }) => `${ref!.eckId.slice(-4)} ${ref!.lasKey} ${yearGroup}`).sort();
};
const shown = (i: number, key = `k${i}`, yearGroup = i < 3 ? '7' : '8') =>
  `${i === 5 ? '' : eckId(i).slice(-4)} ${key} ${yearGroup}`;
const until = async (seen: () => Promise<unknown>, wanted: unknown) => {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 30)))
    if (JSON.stringify(await seen()) === JSON.stringify(wanted)) break;
  expect(await seen()).toEqual(wanted);
};
const codeOf = async (answer: Promise<unknown>) => {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown.code;
    throw thrown;
  }
};
const grant = async (entitlementId: string, holder: object, more: object = {}) => {
  const terms = { entitlementId, productId: BOOK, startsOn: TODAY, endsOn: '2046-07-31', ...more };
  const [ack] = await sendAll(publisher.entitlements.grantEntitlements(), [
    { reference: entitlementId, schoolOin: from, holder, terms },
  ]);
  expect(ack!.refusals).toEqual([]);
};
const rights = async () =>
  (await publisher.entitlements.listEntitlements({ schoolOin: from })).entitlements
    .map(({ terms, taken, state }) => [terms!.entitlementId, state, taken] as const)
    .sort();
const changes = async () =>
  ((await at.operator.listSchoolChanges({ schoolOin: to })) as ListSchoolChangesResponse).changes;
const split = (more: Partial<SchoolChangeAsked> = {}) => ({
  schoolOin: from,
  toSchoolOin: to,
  onDay: TODAY,
  yearGroups: ['7'],
  ...more,
});
const preview = (asked: object) => at.operator.previewSchoolChange({ asked });
/** Asked with the check of now. */
const ask = async (asked: object) => {
  const { check } = await preview(asked);
  return at.operator.changeSchool({ asked, check });
};

test('a split: seen by numbers, approved by another, and on the day each pupil is at one school', async () => {
  await push(from, 'from-1', [0, 1, 2, 3, 4, 5].map(pupil));
  // One pupil is at both schools already, in another year group there, and key k0 is somebody else's there.
  await push(to, 'to-1', [
    { ref: { eckId: eckId(1), lasKey: 'n1' }, yearGroup: '6' },
    { ref: { eckId: eckId(90), lasKey: 'k0' }, yearGroup: '5' },
  ]);
  await until(async () => [(await roster(from)).length, (await roster(to)).length], [6, 2]);
  await grant('count', {}, { count: 2 });
  await grant('personal', { learner: pupil(0).ref });
  await grant('counted', { learner: pupil(1).ref }, { fromEntitlementId: 'count' });
  await grant('stays', { learner: pupil(3).ref });
  await until(async () => (await rights()).length, 4);

  const seen = await preview(split());
  expect(seen).toMatchObject({
    schoolYear: YEAR,
    toSchoolYear: YEAR,
    learners: [{ yearGroup: '7', learners: 3 }],
    known: 1,
    staying: 0,
    rights: [{ productId: BOOK, title: 'Rekenen', sellerOin: publisher.oin, personal: 1, counted: 1 }],
    unknown: 0,
  });
  expect(seen.parties.find(({ partyOin }) => partyOin === platform.oin)).toMatchObject({
    had: [Service.SERVICE_ROSTER, Service.SERVICE_ENTITLEMENT],
    has: [],
  });
  expect(seen.parties.find(({ partyOin }) => partyOin === publisher.oin)).toMatchObject({
    has: [Service.SERVICE_ENTITLEMENT],
  });
  expect(JSON.stringify(seen, (_, value) => (typeof value === 'bigint' ? `${value}` : value))).not.toMatch(
    /lt_|ketenid/,
  );

  expect(await codeOf(at.operator.changeSchool({ asked: split(), check: '0000-0000' }))).toBe('state.conflict');
  const asked = await at.operator.changeSchool({ asked: split(), check: seen.check });
  expect(asked.decision).toMatchObject({ outcome: 'SchoolChangeHeld', code: 'hold.pending' });
  // Asked again, it is the same that waits.
  expect((await ask(split())).changeId).toBe(asked.changeId);
  expect((await at.operator.listHolds({ schoolOin: from })).holds).toMatchObject([
    { holdId: asked.changeId, reason: 'school_change', toSchoolOin: to, onDay: TODAY },
  ]);
  const alone = await at.operator.decideHold({ holdId: asked.changeId, approve: true });
  expect(alone.decision).toMatchObject({ code: 'party.forbidden' });
  expect(await roster(from)).toHaveLength(6);
  await at.operator.decideHold({ holdId: asked.changeId, approve: true, confirm: true });

  await until(
    async () => (await changes()).map(({ state, went, stayed, waiting }) => [state, went, stayed, waiting]),
    [['done', 3, 0, 0]],
  );
  expect(await roster(from)).toEqual([3, 4, 5].map((i) => shown(i)).sort());
  // By ECK iD, without the key that another school gave; whom the school's own roster has is as that says.
  expect(await roster(to)).toEqual([shown(0, ''), shown(1, 'n1', '6'), shown(2, ''), shown(90, 'k0', '5')].sort());
  // The administration that goes on naming them for some nights brings nobody back.
  await push(from, 'from-2', [0, 1, 2, 3, 4, 5].map(pupil));
  await push(to, 'to-2', [
    ...[0, 2].map((i) => ({ ref: { eckId: eckId(i), lasKey: `n${i}` }, yearGroup: '7' })),
    { ref: { eckId: eckId(1), lasKey: 'n1' }, yearGroup: '7' },
    { ref: { eckId: eckId(90), lasKey: 'k0' }, yearGroup: '5' },
  ]);
  await until(() => roster(to), [shown(0, 'n0'), shown(1, 'n1'), shown(2, 'n2'), shown(90, 'k0', '5')].sort());
  expect(await roster(from)).toEqual([3, 4, 5].map((i) => shown(i)).sort());
});

test('who gave a personal licence is told where the pupil goes on, and only who may have rights there; what was counted returns', async () => {
  const told = async (party: TestParty) =>
    (
      (await readUntil(
        party.entitlements.watchEntitlements({}),
        (rows) => rows.some((row: any) => row.cause === 'school_changed'),
        60_000,
      )) as any[]
    ).filter(({ cause }) => cause === 'school_changed');
  const [seller] = await told(publisher);
  expect(seller).toMatchObject({ change: 'changed', toSchoolOin: to });
  expect(seller.entitlement).toMatchObject({ schoolOin: from, terms: { entitlementId: 'personal' } });
  expect(seller.entitlement.holder.learner.eckId).toBe(eckId(0));
  expect((await told(platform)).map(({ toSchoolOin }) => toSchoolOin)).toEqual(['']);
  const after = await rights();
  const stateOf = (id: string) => after.find(([of]) => of === id)!;
  expect(stateOf('count')[2]).toBe(0);
  expect(stateOf('personal')[1]).toBe(stateOf('stays')[1]);
  expect(stateOf('counted')[1]).not.toBe(stateOf('stays')[1]);
  const left = (await readUntil(
    platform.rosters.watchRosters({}),
    (rows) => rows.filter((row: any) => row.change === 'learner_left').length === 3,
    60_000,
  )) as any[];
  expect(left.every((row) => JSON.stringify(row, (_, v) => (typeof v === 'bigint' ? `${v}` : v)).includes(to))).toBe(
    false,
  );
});

test('a change that is to come is taken back; one whose day has come is not', async () => {
  const { changeId } = await ask(split({ onDay: IN_A_YEAR, yearGroups: ['8'] }));
  // Before it is approved, and after.
  expect((await at.operator.undoSchoolChange({ changeId })).decision).toMatchObject({ outcome: 'SchoolChangeUndone' });
  expect((await at.operator.listHolds({ schoolOin: from })).holds).toEqual([]);
  const again = await ask(split({ onDay: IN_A_YEAR, yearGroups: ['8'] }));
  expect(again.changeId).not.toBe(changeId);
  await at.operator.decideHold({ holdId: again.changeId, approve: true, confirm: true });
  await until(async () => (await changes()).map(({ state }) => state), ['done', 'undone', 'planned']);
  const undone = await at.operator.undoSchoolChange({ changeId: again.changeId });
  expect(undone.decision).toMatchObject({ outcome: 'SchoolChangeUndone', code: '' });
  const [done] = await changes();
  const late = await at.operator.undoSchoolChange({ changeId: done!.changeId });
  expect(late.decision).toMatchObject({ code: 'state.conflict' });
  expect(await codeOf(at.operator.undoSchoolChange({ changeId: 'none' }))).toBe('state.missing');
  expect(await roster(from)).toHaveLength(3);
  for (const [more, code] of [
    [{ toSchoolOin: from }, 'wire.invalid'],
    [{ toSchoolOin: newSchool() }, 'state.missing'],
    [{ onDay: '2026-02-30' }, 'wire.invalid'],
    [{ yearGroups: [] }, 'wire.invalid'],
    [{ whole: true }, 'wire.invalid'],
    [{ learners: [{}] }, 'wire.invalid'],
  ] as const)
    expect(await codeOf(preview(split(more as never)))).toBe(code);
  // Nobody goes, so there is nothing to approve.
  expect(await codeOf(ask(split({ yearGroups: ['1'] })))).toBe('state.conflict');
});

test('some go back, by a list; then the rest of the school is merged, but for whom nothing names elsewhere', async () => {
  const back = {
    schoolOin: to,
    toSchoolOin: from,
    onDay: TODAY,
    learners: [{ eckId: eckId(2) }, { lasKey: 'nobody' }],
  };
  expect(await preview(back)).toMatchObject({ learners: [{ yearGroup: '7', learners: 1 }], known: 1, unknown: 1 });
  const { changeId } = await ask(back);
  await at.operator.decideHold({ holdId: changeId, approve: true, confirm: true });
  await until(() => roster(from), [2, 3, 4, 5].map((i) => shown(i)).sort());
  await until(async () => (await roster(to)).length, 3);

  const whole = { schoolOin: from, toSchoolOin: to, onDay: TODAY, whole: true };
  expect(await preview(whole)).toMatchObject({ known: 1, staying: 1 });
  const merge = await ask(whole);
  await at.operator.decideHold({ holdId: merge.changeId, approve: true, confirm: true });
  await until(() => roster(from), [shown(5)]);
  await until(
    () => roster(to),
    [shown(0, 'n0'), shown(1, 'n1'), shown(2, 'n2'), shown(3, ''), shown(4, ''), shown(90, 'k0', '5')].sort(),
  );
  expect((await changes()).at(-1)).toMatchObject({ state: 'done', whole: true, went: 3, stayed: 1, waiting: 0 });
});

test('no row and no record holds the tokens of one pupil at both schools', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-school-change-'));
  await at.operator.backup({ folder });
  const db = new DatabaseSync(join(folder, 'state.db'));
  try {
    const school = new Map<string, string>();
    const texts: [table: string, text: string][] = [];
    for (const { name } of db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as any[])
      for (const row of db.prepare(`SELECT * FROM "${name}"`).all() as any[]) {
        const values = Object.values(row).map((value) =>
          value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value),
        );
        texts.push([name, values.join(' ')]);
        if (/^rosters_(learners|left|crossers)$/.test(name)) school.set(row.learner ?? row.person, row.school);
      }
    expect(new Set(school.values())).toEqual(new Set([from, to]));
    const found = (text: string) =>
      new Set([...text.matchAll(/lt_[a-z2-7]{26}/g)].flatMap(([token]) => school.get(token) ?? []));
    // It would be seen.
    expect(found([...school.keys()].join(' ')).size).toBe(2);
    expect(texts.filter(([, text]) => found(text).size > 1)).toEqual([]);
    expect(texts.filter(([, text]) => found(text).size === 1).length).toBeGreaterThan(30);
  } finally {
    db.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
