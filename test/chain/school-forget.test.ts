/** A whole school is forgotten over the wire: seen first, closed at once, told to who had its data, and taken back. What its hour does: `later.test.ts`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
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

const YEAR = '2026-2027';
const school = newSchool();
const other = newSchool();
let at: TestGateway;
let las: TestParty;
let platform: TestParty;
let publisher: TestParty;
let asSchool: TestParty;
let references = 0;

async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}
const push = (schoolOin: string, from: number) =>
  sendAll(las.rosters.pushRoster(), [
    {
      reference: `roster-${++references}`,
      rosterId: `roster-${references}`,
      last: true,
      roster: {
        schoolOin,
        schoolYear: YEAR,
        asOf: '2026-10-01',
        groups: [{ key: 'g7', name: 'Groep 7', yearGroup: '7' }],
        learners: Array.from({ length: 15 }, (_, i) => ({
          ref: { eckId: eckId(from + i), lasKey: `k${from + i}` },
          person: { familyName: 'Beuk', callName: `Roep${i}` },
          yearGroup: '7',
          groupKey: 'g7',
        })),
      },
    },
  ]);
const keysOf = async (of: TestParty, schoolOin: string) => {
  const { roster } = await of.rosters.getRoster({ schoolOin, schoolYear: YEAR });
  return roster!.learners.map(({ ref }) => ref!.eckId).sort();
};
const eventually = (ask: () => Promise<unknown>) => expect.poll(ask, { interval: 100 });
const forget = async () => {
  const { check } = await at.operator.previewSchoolForget({ schoolOin: school });
  return at.operator.forgetSchool({ schoolOin: school, check });
};

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM], undefined, ['eck_id']);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  asSchool = await at.party('De Wilgenhof', [Role.ROLE_SCHOOL], school);
  for (const schoolOin of [school, other]) {
    await at.mandate(schoolOin, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
    await at.mandate(schoolOin, platform.oin, [Service.SERVICE_ROSTER], { attributes: ['eck_id'] });
    await at.mandate(schoolOin, publisher.oin, [Service.SERVICE_ENTITLEMENT]);
  }
  await push(school, 100);
  await push(other, 200);
  for (const schoolOin of [school, other])
    for (const until = Date.now() + 60_000; (await codeOf(keysOf(platform, schoolOin))) !== ''; await sleep(100))
      if (Date.now() > until) throw new Error('the roster was not there in time');
});
afterAll(() => at?.stop());

describe('a school that is forgotten', () => {
  test('is seen by numbers first, and not forgotten by others than these', async () => {
    const seen = await at.operator.previewSchoolForget({ schoolOin: school });
    expect(seen).toMatchObject({ learners: 15, staff: 0, mandates: 3, rosters: [{ schoolYear: YEAR, learners: 15 }] });
    expect(seen.receivers.map(({ partyOin }) => partyOin)).toEqual([las.oin, platform.oin, publisher.oin].sort());
    // Nothing that it reads here tells the platform to delete; the publisher was shown nobody.
    await eventually(async () => {
      const { receivers } = await at.operator.previewSchoolForget({ schoolOin: school });
      return receivers.filter(({ mustConfirm }) => mustConfirm).map(({ partyOin }) => partyOin);
    }).toEqual([platform.oin]);
    const { check } = await at.operator.previewSchoolForget({ schoolOin: school });
    const extra = await at.mandate(school, publisher.oin, [Service.SERVICE_RESULT]);
    expect(await codeOf(at.operator.forgetSchool({ schoolOin: school, check }))).toBe('state.conflict');
    await at.operator.changeMandate({ mandateId: extra.mandateId, change: 'stop' });
    expect(await keysOf(platform, school)).toHaveLength(15);
  });

  test('is closed to everyone at once, and its receivers are told whom they forget; another school notices nothing', async () => {
    const was = await keysOf(platform, school);
    const { decision, forgetting } = await forget();
    expect(decision).toMatchObject({ code: '' });
    expect(Number(forgetting!.destroyAtMs)).toBeGreaterThan(Date.now() + 71 * 3_600_000);
    for (const one of [las, platform, asSchool])
      expect(await codeOf(one.rosters.getRoster({ schoolOin: school, schoolYear: YEAR }))).toBe('mandate.ended');
    const [answer] = await push(school, 300);
    expect(
      (answer as { error?: { code: string } }).error?.code ??
        JSON.stringify(answer, (_, v) => (typeof v === 'bigint' ? Number(v) : v)),
    ).toContain('mandate.ended');
    const line = { terms: { lineId: '1', productId: 'p', quantity: 1 } };
    const order = { reference: 'o', orderId: 'o', schoolOin: school, lines: [line] };
    expect(await codeOf(las.orders.placeOrder(order))).toBe('mandate.ended');
    expect(await keysOf(platform, other)).toHaveLength(15);
    const told = await readUntil(
      platform.rosters.watchRosters({ schoolOin: school }),
      (all) => all.filter(({ change }) => change === 'learner_forgotten').length === 15,
    );
    // By number, so that each can be found; and nothing else of the school, old mail neither.
    expect(new Set(told.map(({ change }) => change))).toEqual(new Set(['learner_forgotten']));
    expect(JSON.stringify(told, (_, v) => (typeof v === 'bigint' ? Number(v) : v))).toContain(was[0]);
    const news = await readUntil(publisher.parties.watchMandates({}), (all) =>
      all.some(({ schoolForgetting }) => schoolForgetting?.state === 'waits'),
    );
    expect(news.at(-1)!.schoolForgetting).toMatchObject({ schoolOin: school, receivers: [] });
  });

  test('has a list of who must still be asked', async () => {
    const asked = { schoolOin: school, partyOin: platform.oin };
    const { forgetting } = await at.operator.confirmSchoolForget(asked);
    expect(forgetting!.receivers.filter(({ mustConfirm, confirmedMs }) => mustConfirm && confirmedMs === 0n)).toEqual(
      [],
    );
    const { decision } = await at.operator.confirmSchoolForget({ schoolOin: school, partyOin: other });
    expect(decision).toMatchObject({ code: 'state.missing' });
  });

  test('is kept after all, also after a restart: everything is where it was', async () => {
    await at.restart();
    las = { ...las, ...at.as(`Bearer ${las.apiKey}`) };
    platform = { ...platform, ...at.as(`Bearer ${platform.apiKey}`) };
    expect(await codeOf(platform.rosters.getRoster({ schoolOin: school, schoolYear: YEAR }))).toBe('mandate.ended');
    expect((await at.operator.keepSchool({ schoolOin: school })).forgetting).toMatchObject({ state: 'kept' });
    await eventually(() => keysOf(platform, school)).toEqual(
      Array.from({ length: 15 }, (_, i) => eckId(100 + i)).sort(),
    );
    await readUntil(
      platform.rosters.watchRosters({ schoolOin: school }),
      (all) => all.filter(({ change }) => change === 'learner_joined').length >= 15,
    );
    const [answer] = await push(school, 100);
    expect(JSON.stringify(answer, (_, v) => (typeof v === 'bigint' ? Number(v) : v))).not.toContain('mandate.ended');
  });

  test('stands in the log of what was done', async () => {
    await eventually(async () => {
      const { leaves } = await at.operator.readAuditLog({ from: 0n, limit: 1000 });
      return leaves
        .map(({ record }) => AuditRecord.decode(record))
        .filter(({ method, schoolOin }) => method === 'PartyStandingChanged' && schoolOin === school)
        .map(({ code }) => code);
    }).toEqual(['school_waits', 'school_confirmed', 'school_kept']);
  });
});
