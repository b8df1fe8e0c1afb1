/** A board gives a mandate for all its schools at once; a school narrows or withdraws its own, and that stays so. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { schoolOin } from '#kernel';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { type Fault, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const { MANDATE_STATE_ACTIVE: ACTIVE, MANDATE_STATE_ENDED: ENDED, MANDATE_STATE_RUN_OFF: RUN_OFF } = MandateState;
const { SERVICE_ROSTER: ROSTER, SERVICE_ACCESS: ACCESS } = Service;

let at: TestGateway;
let board: TestParty;
let platform: TestParty;
const oins = [schoolOin('11AA'), schoolOin('11AB'), schoolOin('11AC')] as const;
const schools: TestParty[] = [];

let count = 0;
const fresh = (): string => `ref-${++count}`;
const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => '',
    (fault: Fault) => fault.code,
  );
/** What each school says to the platform: empty = it may have the roster, of which there is none yet. */
const doors = () =>
  Promise.all(
    oins.map((school) =>
      codeOf(platform.rosters.getRoster({ schoolOin: school })).then((code) => (code === 'state.missing' ? '' : code)),
    ),
  );
const grant = (by: TestParty, school: string, services: Service[] = [ROSTER], more = {}) =>
  by.parties.grantMandate({ reference: fresh(), schoolOin: school, partyOin: platform.oin, services, ...more });

beforeAll(async () => {
  at = await startTestGateway();
  board = await at.party('Stichting Bos', [Role.ROLE_BOARD]);
  for (const [i, oin] of oins.entries()) schools.push(await at.party(`De Es ${i + 1}`, [Role.ROLE_SCHOOL], oin));
  for (const oin of oins)
    await at.operator.addParty({ party: { oin, name: 'De Es', roles: [Role.ROLE_SCHOOL], boardOin: board.oin } });
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
});
afterAll(() => at.stop());

describe('a board', () => {
  let first: Awaited<ReturnType<typeof grant>>;
  const request = { reference: 'all', partyOin: '', services: [ROSTER, ACCESS], waitMs: 5000n };

  test('gives one grant, and each of its schools has a mandate and a key of its own', async () => {
    Object.assign(request, { schoolOin: board.oin, partyOin: platform.oin });
    first = await board.parties.grantMandate(request);
    expect(first.decision).toMatchObject({ outcome: 'MandateChanged', code: '' });
    expect(first.autorisatiesleutel).toBe('');
    expect(first.schools.map(({ mandate }) => mandate!.schoolOin)).toEqual([...oins]);
    for (const { mandate } of first.schools)
      expect(mandate).toMatchObject({
        state: ACTIVE,
        services: [ROSTER, ACCESS],
        boardOin: board.oin,
        boardMandateId: first.mandateId,
        enteredBy: board.oin,
      });
    expect(new Set(first.schools.map(({ autorisatiesleutel }) => autorisatiesleutel)).size).toBe(3);
    expect(first.schools.every(({ autorisatiesleutel }) => autorisatiesleutel.length === 43)).toBe(true);
    expect(await doors()).toEqual(['', '', '']);
    const { flow } = await board.flows.getFlow({ flowId: first.flowId, waitMs: 5000n });
    expect(flow).toMatchObject({ state: 'done', method: 'PartyService/GrantMandate' });
  });

  test('repeats it without effect', async () => {
    expect(await board.parties.grantMandate(request)).toEqual(first);
  });

  test('sees of each where it comes from; so does each school, its own only, and the party', async () => {
    const all = await board.parties.listMandates({ schoolOin: board.oin });
    expect(all.mandates).toHaveLength(3);
    expect(new Set(all.mandates.map((one) => one.boardMandateId))).toEqual(new Set([first.mandateId]));
    const own = await schools[1]!.parties.listMandates({});
    expect(own.mandates).toMatchObject([{ schoolOin: oins[1], boardOin: board.oin }]);
    expect((await platform.parties.listMandates({ schoolOin: oins[1] })).mandates).toHaveLength(1);
  });

  test('is not another board, nor a school with no board to speak of', async () => {
    const other = await at.party('Stichting Heide', [Role.ROLE_BOARD]);
    expect(await codeOf(grant(other, oins[0]))).toBe('state.missing');
    expect(await codeOf(grant(other, other.oin))).toBe('state.missing');
    const asked = { schoolOin: other.oin, mandateId: first.mandateId };
    expect(await codeOf(other.parties.withdrawMandate({ reference: fresh(), ...asked }))).toBe('state.missing');
    expect(
      await codeOf(
        schools[0]!.parties.withdrawMandate({ reference: fresh(), schoolOin: oins[0], mandateId: first.mandateId }),
      ),
    ).toBe('state.missing');
    expect(await doors()).toEqual(['', '', '']);
  });

  test('does not bring back what a school withdrew; the school itself does', async () => {
    const [, , third] = first.schools;
    const withdrawn = await schools[2]!.parties.withdrawMandate({
      reference: fresh(),
      schoolOin: oins[2],
      mandateId: third!.mandate!.mandateId,
      waitMs: 5000n,
    });
    expect(withdrawn.decision).toMatchObject({ outcome: 'MandateChanged', code: '' });
    expect(await doors()).toEqual(['', '', 'mandate.ended']);
    const later = await grant(board, board.oin, [ROSTER]);
    expect(later.schools.map(({ mandate }) => [mandate!.services, mandate!.narrowed])).toEqual([
      [[ROSTER], []],
      [[ROSTER], []],
      [[], [ROSTER]],
    ]);
    expect(await doors()).toEqual(['', '', 'mandate.ended']);
    const given = await grant(schools[2]!, oins[2]!, [ROSTER], { attributes: ['eck_id'], waitMs: 5000n });
    expect(given.decision!.code).toBe('');
    expect(await doors()).toEqual(['', '', '']);
    const { mandates } = await schools[2]!.parties.listMandates({});
    expect(mandates.filter(({ boardOin, state }) => boardOin === '' && state === ACTIVE)).toMatchObject([
      { services: [ROSTER], attributes: ['eck_id'], enteredBy: oins[2] },
    ]);
    await board.parties.withdrawMandate({
      reference: fresh(),
      schoolOin: board.oin,
      mandateId: later.mandateId,
      waitMs: 5000n,
    });
    // The first grant still holds for the two; what the school narrowed from the later one ends with it.
    expect(await doors()).toEqual(['', '', 'mandate.ended']);
  });

  test('lets it run off and ends it in all schools at once, and again without effect', async () => {
    const about = { schoolOin: board.oin, mandateId: first.mandateId, waitMs: 5000n };
    const until = new Date(Date.now() + 40 * 86_400_000).toISOString().slice(0, 10);
    await board.parties.withdrawMandate({ reference: fresh(), ...about, runOffUntil: until });
    const states = async () =>
      (await board.parties.listMandates({ schoolOin: board.oin })).mandates
        .filter(({ boardMandateId }) => boardMandateId === first.mandateId)
        .sort((a, b) => (a.schoolOin < b.schoolOin ? -1 : 1))
        .map(({ state }) => state);
    expect(await states()).toEqual([RUN_OFF, RUN_OFF, ENDED]);
    const stop = { reference: fresh(), ...about };
    const stopped = await board.parties.withdrawMandate(stop);
    expect(stopped.decision).toMatchObject({ outcome: 'MandateChanged', code: '' });
    expect(await states()).toEqual([ENDED, ENDED, ENDED]);
    expect(await doors()).toEqual(['mandate.ended', 'mandate.ended', 'mandate.ended']);
    expect(await board.parties.withdrawMandate(stop)).toEqual(stopped);
    const again = await board.parties.withdrawMandate({ ...about, reference: fresh() });
    expect(again.decision).toMatchObject({ code: 'mandate.ended' });
  });
});

describe('an operator', () => {
  test('enters it for a board unconfirmed, confirms and withdraws it in all its schools', async () => {
    const reader = await at.party('Kijkglas', [Role.ROLE_PLATFORM]);
    const doorsOf = () => Promise.all(oins.map((school) => codeOf(reader.rosters.getRoster({ schoolOin: school }))));
    const given = await at.operator.grantMandate({
      mandate: { schoolOin: board.oin, partyOin: reader.oin, services: [ROSTER] },
    });
    expect(given).toMatchObject({ state: MandateState.MANDATE_STATE_UNCONFIRMED, autorisatiesleutel: '' });
    expect(given.schools).toHaveLength(3);
    expect(await doorsOf()).toEqual(['mandate.unconfirmed', 'mandate.unconfirmed', 'mandate.unconfirmed']);
    const confirmed = await at.operator.changeMandate({ mandateId: given.mandateId, change: 'confirm' });
    expect(confirmed.state).toBe(ACTIVE);
    expect(await doorsOf()).toEqual(['state.missing', 'state.missing', 'state.missing']);
    expect(await codeOf(at.operator.changeMandate({ mandateId: given.mandateId, change: 'key' }))).toBe('wire.invalid');
    const { mandates, names } = await at.operator.listMandates({ schoolOin: board.oin, partyOin: reader.oin });
    expect(mandates.map(({ enteredBy, boardOin }) => [enteredBy, boardOin])).toEqual(
      oins.map(() => ['operator', board.oin]),
    );
    expect(names.find(({ oin }) => oin === board.oin)?.name).toBe('Stichting Bos');
    // Of one school: it stands in for that school, and only there.
    const [one] = given.schools;
    await at.operator.changeMandate({ mandateId: one!.mandate!.mandateId, change: 'stop' });
    expect(await doorsOf()).toEqual(['mandate.ended', 'state.missing', 'state.missing']);
    const stopped = await at.operator.changeMandate({ mandateId: given.mandateId, change: 'stop' });
    expect(stopped.state).toBe(ENDED);
    expect(await doorsOf()).toEqual(['mandate.ended', 'mandate.ended', 'mandate.ended']);
  });

  test('a school that goes to another board takes no mandate along: who gave it can still end it', async () => {
    const given = await grant(board, board.oin, [ROSTER], { waitMs: 5000n });
    const asker = await at.party('Wie wacht', [Role.ROLE_PLATFORM]);
    const asked = await at.operator.grantMandate({
      mandate: { schoolOin: board.oin, partyOin: asker.oin, services: [ROSTER] },
      confirm: false,
    });
    const next = await at.party('Stichting Heide', [Role.ROLE_BOARD]);
    await at.operator.addParty({
      party: { oin: oins[1]!, name: 'De Es', roles: [Role.ROLE_SCHOOL], boardOin: next.oin },
    });
    const later = await grant(next, next.oin, [ACCESS], { waitMs: 5000n });
    expect(later.schools.map(({ mandate }) => mandate!.schoolOin)).toEqual([oins[1]]);
    await board.parties.withdrawMandate({
      reference: fresh(),
      schoolOin: board.oin,
      mandateId: given.mandateId,
      waitMs: 5000n,
    });
    expect(
      (await at.operator.listMandates({ schoolOin: next.oin })).mandates
        .filter(({ boardMandateId }) => boardMandateId === later.mandateId)
        .map(({ state }) => state),
    ).toEqual([ACTIVE]);
    expect((await doors())[1]).toBe('mandate.ended');
    // To what waits for a yes it says that for its own schools only.
    const word = { reference: fresh(), schoolOin: board.oin, mandateId: asked.mandateId, waitMs: 5000n };
    await board.parties.confirmMandate(word);
    const { mandates } = await at.operator.listMandates({ partyOin: asker.oin });
    expect(mandates.find(({ schoolOin }) => schoolOin === oins[1])!.state).toBe(MandateState.MANDATE_STATE_UNCONFIRMED);
    expect(mandates.filter(({ state }) => state === ACTIVE)).toHaveLength(mandates.length - 1);
  });
});
