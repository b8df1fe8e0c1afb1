/** Pseudonyms of one receiver, over the wire: what it is told, what it may say, and what others make of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Audience, ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  eckId,
  type Fault,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

const BOOK = '9789000000026';
const YEAR = '2026-2027';
const PSEUDONYM = /^pw1-[a-z2-7]{26}$/;
const { SERVICE_ROSTER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT, SERVICE_PROGRESS } = Service;
const school = newSchool();
const other = newSchool();
const attributes = ['eck_id', 'las_key', 'account_name', 'call_name', 'groups'];

let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let platform: TestParty;
let rival: TestParty;

let sequence = 0;
const fresh = (name: string): string => `${name}-${++sequence}`;
const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => '',
    (fault: Fault) => fault.code,
  );
async function eventually<T>(ask: () => Promise<T>, right: (value: T) => boolean, ms = 60_000): Promise<T> {
  for (const until = Date.now() + ms; ; ) {
    const value = await ask();
    if (right(value) || Date.now() > until) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const pupils = [1, 2, 3].map((n) => ({
  ref: { eckId: eckId(n), lasKey: `key-${n}` },
  person: { callName: `Noor${n}`, familyName: 'Beuk', accountName: `noor${n}` },
  yearGroup: '7',
  groupKey: '7a',
}));
const push = async (schoolOin: string) => {
  await sendAll(las.rosters.pushRoster(), [
    {
      reference: fresh('roster'),
      rosterId: fresh('roster-id'),
      last: true,
      roster: {
        schoolOin,
        schoolYear: YEAR,
        groups: [{ key: '7a', name: 'Groep 7A', yearGroup: '7' }],
        learners: pupils,
      },
    },
  ]);
  await eventually(
    () => codeOf(las.rosters.getRoster({ schoolOin, schoolYear: YEAR })),
    (code) => code === '',
  );
};
const rosterOf = async (party: TestParty, schoolOin = school) =>
  (await party.rosters.getRoster({ schoolOin, schoolYear: YEAR })).roster!;
/** Pseudonym of the pupil with this name, as a party is told it. */
const told = async (party: TestParty, n: number, schoolOin = school) =>
  (await rosterOf(party, schoolOin)).learners.find(({ person }) => person!.callName === `Noor${n}`)!.ref!;
const give = (schoolOin: string, partyOin: string, services: Service[], pairwise: boolean) =>
  at.operator.grantMandate({
    mandate: {
      schoolOin,
      partyOin,
      services,
      attributes: services.includes(SERVICE_ROSTER) ? attributes : [],
      pairwise,
    },
    confirm: true,
  });

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM], undefined, attributes);
  const roles = [Role.ROLE_PLATFORM, Role.ROLE_DASHBOARD, Role.ROLE_ADMINISTRATION];
  rival = await at.party('Leerhof', roles, undefined, attributes);
  for (const of of [school, other]) {
    await at.mandate(of, las.oin, [SERVICE_ROSTER]);
    // One of its mandates says so; it holds for all services.
    await give(of, platform.oin, [SERVICE_ROSTER], true);
    await give(of, rival.oin, [SERVICE_ROSTER, SERVICE_RESULT, SERVICE_PROGRESS], true);
    await push(of);
  }
  await give(school, platform.oin, [SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT], false);
  await at.mandate(school, publisher.oin, [SERVICE_ENTITLEMENT]);
  await sendAll(publisher.catalogue.publishProducts(), [
    {
      reference: fresh('product'),
      product: {
        productId: BOOK,
        title: 'Rekenen',
        accessUrl: 'https://wilg.example/r',
        licence: { licensed: true },
        platformOin: platform.oin,
      },
    },
  ]);
});
afterAll(() => at?.stop());

test('a receiver is told pseudonyms and no number; other receivers, schools and days, other or the same ones', async () => {
  const mine = await rosterOf(platform);
  expect(mine.learners).toHaveLength(3);
  for (const { ref, person, groupKey } of mine.learners) {
    expect(ref!.lasKey).toMatch(PSEUDONYM);
    expect(ref!.eckId).toBe(`urn:eduk:${ref!.lasKey}`);
    expect(person!.accountName).toBe(ref!.lasKey);
    expect(groupKey).toBe(mine.groups[0]!.key);
  }
  expect(mine.groups).toMatchObject([{ key: expect.stringMatching(PSEUDONYM), name: 'Groep 7A' }]);
  expect(JSON.stringify(mine)).not.toMatch(/ketenid|key-\d|noor\d|"7a"/);
  const all = [mine, await rosterOf(rival), await rosterOf(platform, other), await rosterOf(rival, other)];
  const keys = all.flatMap(({ learners, groups }) => [...learners.map(({ ref }) => ref!.lasKey), groups[0]!.key]);
  expect(new Set(keys).size).toBe(16);
  // The administration is told what it sent, and a seller what its mandate names.
  expect((await rosterOf(las)).learners.map(({ ref }) => ref!.eckId)).toContain(eckId(1));
  await at.restart();
  for (const party of [las, publisher, platform, rival]) Object.assign(party, at.as(`Bearer ${party.apiKey}`));
  expect(await rosterOf(platform)).toEqual(mine);
});

test('what is granted, opened and returned under pseudonyms is of the pupil whom others know by number', async () => {
  const noor = await told(platform, 1);
  const entitlementId = fresh('ent');
  await sendAll(publisher.entitlements.grantEntitlements(), [
    {
      reference: fresh('grant'),
      schoolOin: school,
      holder: { learner: { eckId: eckId(1) } },
      terms: { entitlementId, productId: BOOK, startsOn: '2026-08-01', endsOn: '2036-07-31' },
    },
  ]);
  const asked = { schoolOin: school, learner: { eckId: noor.eckId } };
  const { entitlements } = await eventually(
    () => platform.entitlements.listEntitlements(asked),
    (list) => list.entitlements.length > 0,
  );
  expect(entitlements).toMatchObject([{ terms: { entitlementId }, holder: { learner: { eckId: noor.eckId } } }]);
  const watched = await readUntil(platform.entitlements.watchEntitlements({}), (seen) => seen.length > 0);
  expect(watched[0]!.entitlement!.holder!.learner!.eckId).toBe(noor.eckId);

  const launch = await platform.access.createLaunch({
    reference: fresh('launch'),
    schoolOin: school,
    learner: { lasKey: noor.lasKey },
    entitlementId,
  });
  const redeemed = await platform.access.redeemLaunch({ reference: fresh('redeem'), ticket: launch.ticket });
  expect(redeemed).toMatchObject({ learner: { eckId: noor.eckId }, person: { callName: 'Noor1' } });
  expect(redeemed.groupKeys).toEqual([(await rosterOf(platform)).groups[0]!.key]);

  const resultId = fresh('r');
  const [taken] = await sendAll(platform.results.returnResults(), [
    {
      reference: fresh('result'),
      schoolOin: school,
      result: {
        resultId,
        learner: { eckId: noor.eckId },
        groupKey: redeemed.groupKeys[0],
        productId: BOOK,
        kind: ResultKind.RESULT_KIND_FINAL,
        payload: { activityId: 'toets-1', score: 8, scoreMax: 10 },
      },
    },
  ]);
  expect(taken!.refusals).toEqual([]);
  const { results } = await eventually(
    () => rival.results.listResults({ schoolOin: school }),
    (list) => list.results.length > 0,
  );
  // Another receiver finds it under its own pseudonyms of the same pupil and group.
  const theirs = await rosterOf(rival);
  expect(results[0]!.result).toMatchObject({
    resultId,
    learner: await told(rival, 1),
    groupKey: theirs.groups[0]!.key,
  });
  const ofGroup = { schoolOin: school, groupKey: theirs.groups[0]!.key, audience: Audience.AUDIENCE_TEACHER };
  const { learners } = await rival.results.getProgress(ofGroup);
  expect(learners).toMatchObject([{ learner: await told(rival, 1), productId: BOOK }]);
  expect(await codeOf(rival.results.getProgress({ ...ofGroup, groupKey: redeemed.groupKeys[0]! }))).toBe(
    'state.missing',
  );
});

test('a pseudonym says nothing to whoever was not told it', async () => {
  const [noor, group] = [await told(platform, 1), (await rosterOf(platform)).groups[0]!.key];
  const send = async (party: TestParty, learner: object, groupKey = '') => {
    const [answer] = await sendAll(party.results.returnResults(), [
      {
        reference: fresh('result'),
        schoolOin: school,
        result: {
          resultId: fresh('r'),
          learner,
          groupKey,
          productId: BOOK,
          kind: ResultKind.RESULT_KIND_FINAL,
          payload: { activityId: 'toets-1', score: 8, scoreMax: 10 },
        },
      },
    ]);
    return answer!.refusals[0]?.code ?? '';
  };
  expect(await send(rival, { eckId: noor.eckId })).toBe('learner.unknown');
  expect(await send(rival, await told(rival, 2), group)).toBe('state.missing');
  expect(await send(platform, await told(platform, 2), group)).toBe('');
  expect(
    await codeOf(platform.entitlements.listEntitlements({ schoolOin: school, learner: await told(rival, 1) })),
  ).toBe('learner.unknown');
  // Nobody is made for one that is sent where a new number would be somebody new.
  const [granted] = await sendAll(publisher.entitlements.grantEntitlements(), [
    {
      reference: fresh('grant'),
      schoolOin: school,
      holder: { learner: { eckId: noor.eckId } },
      terms: { entitlementId: fresh('ent'), productId: BOOK, startsOn: '2026-08-01', endsOn: '2036-07-31' },
    },
  ]);
  expect(granted!.refusals).toMatchObject([{ code: 'learner.unknown' }]);
});

test('a preview names them, and says by what they can be linked all the same', async () => {
  const { services } = await at.operator.previewRelease({ partyOin: platform.oin, schoolOin: school });
  const of = (service: Service) => services.find((one) => one.service === service)!;
  expect(of(SERVICE_ROSTER)).toMatchObject({ pairwise: true, linkableBy: ['call_name', 'groups', 'earlier'] });
  expect(of(SERVICE_ENTITLEMENT).linkableBy).toEqual(['entitlement_id', 'order_id', 'earlier']);
  expect(of(SERVICE_ENTITLEMENT).linkableTold).toMatch(/linkable by ids of entitlements, ids of orders/);
  const pseudonyms = of(SERVICE_ROSTER).attributes.filter(({ pairwise }) => pairwise);
  expect(pseudonyms.map(({ name }) => name)).toEqual(['eck_id', 'las_key', 'account_name', 'groups']);
  const rivals = await at.operator.previewRelease({ partyOin: rival.oin, schoolOin: school, lang: 'nl' });
  const roster = rivals.services.find(({ service }) => service === SERVICE_ROSTER)!;
  expect(roster.linkableTold).toBe('De partij krijgt eigen pseudoniemen, te koppelen via call_name, groups.');
});

test('no token of the gateway is told as one, and no pseudonym rests anywhere', async () => {
  const seen = (await rosterOf(platform)).learners.map(({ ref }) => ref!.lasKey.slice(4));
  for (const file of ['state.db', 'state.db-wal', 'vault.db', 'vault.db-wal']) {
    let bytes: Buffer;
    try {
      bytes = readFileSync(join(at.folder, file));
    } catch {
      continue; // A log that was just emptied.
    }
    for (const characters of seen) expect(bytes.includes(characters), file).toBe(false);
  }
});
