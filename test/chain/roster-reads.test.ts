/** What was read of a roster can be opened: who fetched it, when, what it got, and what had no place in it; counts only. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { uwlrQuestion } from './files.ts';
import { eckId, newSchool, sendAll, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const year = schoolYearOf(Date.now());
const school = newSchool();
let at: TestGateway;
let app: TestParty;
let stranger: TestParty;
let sleutel = '';

beforeAll(async () => {
  at = await startTestGateway();
  const las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  app = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  stranger = await at.party('Oefenhof', [Role.ROLE_PLATFORM]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
  ({ autorisatiesleutel: sleutel } = await at.mandate(school, app.oin, [Service.SERVICE_ROSTER]));
  const taken = await sendAll(las.rosters.pushRoster(), [
    {
      reference: 'roster',
      rosterId: 'roster',
      part: 0,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: year,
        groups: [{ key: '7a', name: 'Zeven', description: 'de grote zevende', yearGroup: '7' }],
        learners: [1, 2, 3].map((n) => ({
          ref: { lasKey: `L${n}`, eckId: eckId(n) },
          person: { callName: 'Zoë', birthDate: '2015-02-28' },
          yearGroup: '7',
          groupKey: '7a',
        })),
      },
    },
  ]);
  expect(taken.flatMap(({ refusals }) => refusals)).toEqual([]);
});
afterAll(() => at?.stop());

const fetchRoster = async (extra = ''): Promise<string> => {
  const { klantcode, klantnaam } = app;
  const answer = await fetch(`${at.http}/soap/uwlr/v2/leerlinggegevens`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body: uwlrQuestion({ sleutel, klantcode, klantnaam, school, year, site: '' }, extra),
  });
  return answer.text();
};
const readsOf = async (partyOin: string) =>
  (await at.operator.listFlows({ state: 'read', partyOin, schoolOin: school })).flows;
/** Doors tell of a read a moment after its answer. */
const until = async <T>(read: () => Promise<T>, enough: (value: T) => boolean): Promise<T> => {
  let value = await read();
  for (const end = Date.now() + 60_000; !enough(value) && Date.now() < end; value = await read())
    await new Promise((resolve) => setTimeout(resolve, 50));
  expect(enough(value)).toBe(true);
  return value;
};

test('a roster that was fetched over UWLR is a flow: when, by whom, how many, and what was left out; no names', async () => {
  let answer = '';
  await until(
    async () => (answer = await fetchRoster()),
    (text) => text.includes('leerlinggegevens_antwoord') && text.includes('<leerling '),
  );
  const [found] = await until(
    () => readsOf(app.oin),
    (flows) => flows.some(({ method }) => method === 'uwlr/HaalLeerlinggegevens'),
  );
  expect(found).toMatchObject({ partyOin: app.oin, schoolOin: school, subject: year, state: 'read' });
  const { flow, partyName } = await at.operator.showFlow({ flowId: found!.flowId });
  expect(partyName).toBe('Leerplein');
  const read = flow!.steps.find(({ step }) => step === 'RosterRead')!;
  expect(read.told).toContain('UWLR 2.2 Smalle set: ');
  expect(read.told).toContain('the last had 3 learners, 1 groups and 0 staff');
  expect(flow!.losses).toContainEqual({ element: 'groep/omschrijving', reason: 'minimised', count: 1 });
  const said = JSON.stringify([found, flow], (_, value) => (typeof value === 'bigint' ? String(value) : value));
  for (const secret of ['Zoë', 'L1', eckId(1), 'Zeven', '2015-02-28']) expect(said).not.toContain(secret);
  // Another party knows nothing of it; the one that read may see its own.
  await expect(stranger.flows.getFlow({ flowId: found!.flowId })).rejects.toMatchObject({ code: 'state.missing' });
  expect((await app.flows.getFlow({ flowId: found!.flowId })).flow).toMatchObject({ state: 'read', ended: true });
});

test('a file and a call are reads too, each in its form; a party that fetched nothing has none', async () => {
  const file = await fetch(`${at.http}/edexml?school=${school}&version=1.03`, {
    headers: { authorization: `Bearer ${app.apiKey}` },
  });
  expect(file.status).toBe(200);
  await app.rosters.getRoster({ schoolOin: school });
  const found = await until(
    () => readsOf(app.oin),
    (flows) => new Set(flows.map(({ method }) => method)).size === 3,
  );
  const of = found.find(({ method }) => method === 'edexml/export')!;
  const { flow } = await at.operator.showFlow({ flowId: of.flowId });
  expect(flow!.steps[0]!.told).toContain('EDEXML 1.03');
  expect(flow!.losses).toContainEqual(expect.objectContaining({ element: 'eckid', reason: 'no_place', count: 3 }));
  expect(file.headers.get('eduk-losses')).toContain('eckid;no_place;3');
  expect(await readsOf(stranger.oin)).toEqual([]);
  // They survive a restart: they are rows, and what the door still had is told before it ends.
  await fetchRoster(`<q:laatstontvangengegevens>${new Date().toISOString()}</q:laatstontvangengegevens>`);
  await at.restart();
  expect((await readsOf(app.oin)).length).toBe(found.length);
});
