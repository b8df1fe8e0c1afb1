/** What school and party are told of a mandate that changes: the same to both, at an address of their own, by a watch, and in the list. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { dutchDay } from '#kernel';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { newOin, newSchool, readUntil, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { Receiver, type Told } from './receiver.ts';

const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_ENTITLEMENT } = Service;
const DAY_MS = 86_400_000;
const dayIn = (days: number): string => dutchDay(Date.now() + days * DAY_MS);
let at: TestGateway;
const open: Receiver[] = [];

beforeAll(async () => {
  at = await startTestGateway();
});
afterAll(() => at?.stop());
afterEach(async () => {
  for (const receiver of open.splice(0)) {
    expect(receiver.problems).toEqual([]);
    await receiver.close();
  }
});

interface Side {
  party: TestParty;
  hook: Receiver;
}

/** A party that has news of its mandates sent, and nothing else. */
async function side(name: string, role: Role, oin = newOin()): Promise<Side> {
  const party = await at.party(name, [role], oin);
  const hook = await Receiver.open();
  open.push(hook);
  const endpoints = [{ standard: 'webhook-mandates', url: hook.url }];
  const added = await at.operator.addParty({ party: { oin, name, roles: [role], endpoints } });
  expect(added.webhookSecret).toBe('');
  hook.secret = added.mandatesWebhookSecret;
  return { party, hook };
}

let sequence = 0;
const reference = (): string => `news-${++sequence}`;
const newsOf = ({ data }: Told) => ({
  change: data.change,
  reason: data.reason,
  by: data.byOin,
  routes: (data.routes as { service: string; state: string; day?: string; code?: string }[]).map(
    ({ service, state, day = '', code = '' }) => [service.replace('SERVICE_', ''), state, day, code].join(' ').trim(),
  ),
});

test('each change goes to both, with the reason, who it was, and what becomes of each service', async () => {
  const school = newSchool();
  const own = await side('De Wilgenhof', Role.ROLE_SCHOOL, school);
  const app = await side('Leerplein', Role.ROLE_PLATFORM);
  const { oin } = app.party;
  const given = await own.party.parties.grantMandate({
    reference: reference(),
    schoolOin: school,
    partyOin: oin,
    services: [SERVICE_ROSTER, SERVICE_ORDER],
    requiresAcceptance: true,
  });
  const { mandateId } = given;
  await Promise.all([own.hook.until(1), app.hook.until(1)]);
  await app.party.parties.acceptMandate({ reference: reference(), mandateId });
  await Promise.all([own.hook.until(2), app.hook.until(2)]);
  const until = dayIn(10);
  const withdraw = (runOffUntil: string) =>
    own.party.parties.withdrawMandate({ reference: reference(), schoolOin: school, mandateId, runOffUntil });
  await withdraw(until);
  await Promise.all([own.hook.until(3), app.hook.until(3)]);
  // Another one keeps one of the two open.
  await own.party.parties.grantMandate({
    reference: reference(),
    schoolOin: school,
    partyOin: oin,
    services: [SERVICE_ORDER],
    validUntil: dayIn(30),
  });
  await Promise.all([own.hook.until(4), app.hook.until(4)]);
  await withdraw('');
  await Promise.all([own.hook.until(5), app.hook.until(5)]);

  const told = app.hook.first;
  expect(told.map(newsOf)).toEqual([
    {
      change: 'entered',
      reason: 'given',
      by: school,
      routes: ['ROSTER waits  mandate.unaccepted', 'ORDER waits  mandate.unaccepted'],
    },
    { change: 'accepted', reason: 'agreed', by: oin, routes: ['ROSTER open', 'ORDER open'] },
    {
      change: 'run_off',
      reason: 'withdrawn',
      by: school,
      routes: [`ROSTER runs_off ${until}`, `ORDER runs_off ${until}`],
    },
    { change: 'entered', reason: 'given', by: school, routes: [`ORDER open ${dayIn(30)}`] },
    {
      change: 'ended',
      reason: 'withdrawn',
      by: school,
      routes: ['ROSTER closed  mandate.ended', `ORDER open ${dayIn(30)}`],
    },
  ]);
  expect(own.hook.first.map(({ id, ...event }) => [event.type, event.data])).toEqual(
    told.map(({ type, data }) => [type, data]),
  );
  expect(told[0]).toMatchObject({ type: 'eduk.parties.v1.MandateChanged', school });

  // Who watches is told the same; who asks has what stands.
  const watched = await readUntil(app.party.parties.watchMandates({}), (all) => all.length >= 5);
  expect(watched.map(({ change, reason, byOin }) => [change, reason, byOin])).toEqual(
    told.map(newsOf).map(({ change, reason, by }) => [change, reason, by]),
  );
  const { mandates } = await app.party.parties.listMandates({ schoolOin: school });
  expect(mandates.find((one) => one.mandateId === mandateId)?.state).toBe(MandateState.MANDATE_STATE_ENDED);
});

test('a party that has data sent gets no news of mandates there, unless it says so', async () => {
  const school = newSchool();
  const app = await side('Leeshoek', Role.ROLE_PLATFORM);
  const data = await Receiver.open();
  open.push(data);
  const party = { oin: app.party.oin, name: 'Leeshoek', roles: [Role.ROLE_PLATFORM] };
  const added = await at.operator.addParty({
    party: { ...party, endpoints: [{ standard: 'webhook', url: data.url }] },
  });
  data.secret = added.webhookSecret;
  expect(added.mandatesWebhookSecret).toBe('');
  const { mandateId } = await at.operator.grantMandate({
    mandate: { schoolOin: school, partyOin: app.party.oin, services: [SERVICE_ENTITLEMENT], validFrom: dayIn(5) },
    confirm: true,
  });
  await app.hook.until(1);
  expect(app.hook.first.map(newsOf)).toEqual([
    {
      change: 'entered',
      reason: 'operator',
      by: 'operator',
      routes: [`ENTITLEMENT opens ${dayIn(5)} mandate.unconfirmed`],
    },
  ]);
  await app.party.parties.refuseMandate({ reference: reference(), mandateId });
  await app.hook.until(2);
  expect(newsOf(app.hook.first[1]!)).toMatchObject({ change: 'ended', reason: 'refused', by: app.party.oin });
  expect(data.requests).toEqual([]);

  // The same address for both has the same secret, which is not told again.
  const both = await at.operator.addParty({
    party: { ...party, endpoints: [{ standard: 'webhook-mandates', url: data.url }] },
  });
  expect([both.webhookSecret, both.mandatesWebhookSecret]).toEqual(['', '']);
  // What it was not told there yet is sent, as to every new address, and goes nowhere else any more.
  await at.operator.changeMandate({
    mandateId: (
      await at.operator.grantMandate({
        mandate: { schoolOin: school, partyOin: app.party.oin, services: [SERVICE_ROSTER] },
        confirm: true,
      })
    ).mandateId,
    change: 'stop',
  });
  await data.until(2);
  expect(data.first.map(({ data: { change, reason } }) => [change, reason])).toEqual([
    ['entered', 'operator'],
    ['ended', 'operator'],
  ]);
  expect(app.hook.first.length).toBe(2);
});

test('of a party that is stopped everywhere the news waits, and comes in order when it goes on', async () => {
  const school = newSchool();
  const app = await side('Wijzer', Role.ROLE_PLATFORM);
  const own = await side('De Eik', Role.ROLE_SCHOOL, school);
  const { mandateId } = await own.party.parties.grantMandate({
    reference: reference(),
    schoolOin: school,
    partyOin: app.party.oin,
    services: [SERVICE_ROSTER],
  });
  await app.hook.until(1);
  await at.operator.stopParty({ oin: app.party.oin, reason: 'breach-2026-12' });
  const ends = (runOffUntil: string) =>
    own.party.parties.withdrawMandate({ reference: reference(), schoolOin: school, mandateId, runOffUntil });
  await ends(dayIn(3));
  await ends('');
  await own.hook.until(3);
  expect(newsOf(own.hook.first[1]!).routes).toEqual(['ROSTER closed  mandate.suspended']);
  await expect
    .poll(async () => (await at.operator.listParked({ schoolOin: school })).rows.map(({ rows }) => rows), {
      timeout: 60_000,
    })
    .toEqual([2n]);
  expect(app.hook.first).toHaveLength(1);
  const resumed = await at.operator.resumeParty({ oin: app.party.oin });
  app.hook.secret = resumed.mandatesWebhookSecret;
  await app.hook.until(3);
  // What was sent before this side knew its new secret, and came again.
  app.hook.problems.splice(0);
  expect(app.hook.first.map(({ data }) => data.change)).toEqual(['entered', 'run_off', 'ended']);
});

test('no news leaves for an address that the dialler may not reach', async () => {
  const oin = newOin();
  for (const url of ['http://10.0.0.1/hook', 'https://[fd00::1]/hook', 'ftp://leerplein.example/hook'])
    await expect(
      at.operator.addParty({
        party: { oin, name: 'Binnen', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'webhook-mandates', url }] },
      }),
    ).rejects.toMatchObject({ code: 'wire.invalid' });
});
