/** A school goes to another board. The school, its OIN and everybody's tokens stay; what the board before gave does not travel. */
import { dutchDay, GatewayError, isDay, isSchoolOin } from '#kernel';
import { type Mandate, MandateState, Party, Role } from '#proto/eduk/core/v1/party';
import type * as op from '#proto/eduk/operator/v1/operator';
import { operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { addParty, operatorChange } from '../intake/parties.ts';
import { decisionOf } from './decision.ts';
import { requireThawed } from './freezes.ts';
import { take } from './writes.ts';

const DECIDE_MS = 10_000;
/** As long as results, credits and running licences of what was given go on where nobody names a day. */
const RUN_OFF_MS = 30 * 86_400_000;
const {
  MANDATE_STATE_ENDED: ENDED,
  MANDATE_STATE_RUN_OFF: RUN_OFF,
  MANDATE_STATE_UNCONFIRMED: UNCONFIRMED,
} = MandateState;

interface Asked {
  school: Party;
  board: string;
  until: string;
}

function asked({ door }: Gate, request: op.TransferSchoolRequest): Asked {
  const { schoolOin, boardOin, runOffUntil } = request;
  const { chain, clock } = door;
  if (!isSchoolOin(schoolOin)) throw new GatewayError('wire.invalid', 'This is no school.', { where: 'school_oin' });
  const school = chain.party(schoolOin);
  if (!school?.roles.includes(Role.ROLE_SCHOOL))
    throw new GatewayError('state.missing', 'No school is registered under this OIN.', { where: 'school_oin' });
  if (!chain.isBoard(boardOin))
    throw new GatewayError('state.missing', 'No board is registered under this OIN: eduk party add --role board.', {
      where: 'board_oin',
    });
  const today = dutchDay(clock.now());
  if (runOffUntil !== '' && (!isDay(runOffUntil) || runOffUntil < today))
    throw new GatewayError('wire.invalid', 'The last day is a day that is not past.', { where: 'run_off_until' });
  return { school, board: boardOin, until: runOffUntil || dutchDay(clock.now() + RUN_OFF_MS) };
}

/** Mandates that a board which is not this one gave, and has not ended. */
const ofOtherBoards = (mandates: readonly Mandate[], board: string): Mandate[] =>
  mandates.filter(({ boardOin, state }) => boardOin !== '' && boardOin !== board && state !== ENDED);

function linesOf({ door: { chain } }: Gate, { school, board }: Asked): op.TransferLine[] {
  const all = chain.mandates().filter(({ state }) => state !== ENDED);
  const own = all.filter(({ schoolOin }) => schoolOin === school.oin);
  const ending = ofOtherBoards(own, board);
  // What a school narrowed of what its board gave ends with that.
  const goesAlong = ({ boardOin, partyOin, services }: Mandate): boolean =>
    boardOin === '' &&
    ending.some((one) => one.partyOin === partyOin && one.services.some((service) => services.includes(service)));
  const ends = new Set([...ending, ...own.filter(goesAlong)]);
  const stays = own.filter((one) => !ends.has(one));
  const covered = ({ partyOin, services }: Mandate): boolean =>
    services.every((service) => stays.some((one) => one.partyOin === partyOin && one.services.includes(service)));
  const given = new Map<string, Mandate>();
  for (const one of all)
    if (one.boardOin === board && one.schoolOin !== school.oin)
      given.set(`${one.partyOin} ${one.boardMandateId || one.services.join()}`, one);
  const line = (outcome: string) => (mandate: Mandate) => ({ outcome, mandate, covered: covered(mandate) });
  const byId = (some: Iterable<Mandate>) => [...some].sort((a, b) => (a.mandateId < b.mandateId ? -1 : 1));
  return [
    ...byId(ends).map(line('ends')),
    ...byId(stays).map(line('stays')),
    ...byId(given.values())
      .map(line('lacks'))
      .filter((one) => !one.covered),
  ];
}

/**
 * Says what comes of each mandate; with `apply` the mandates of the board before run off, and then the school has the new one. Each step
 * changes nothing where it was done before, so who is killed between two asks again.
 * Faults: wire.invalid, state.missing (no such school, no such board).
 */
export async function transferAnswer(
  request: op.TransferSchoolRequest,
  gate: Gate,
): Promise<op.TransferSchoolResponse> {
  const change = asked(gate, request);
  const { school, board, until } = change;
  const { chain, dialler } = gate.door;
  const lines = linesOf(gate, change);
  const before = school.boardOin;
  const named = [school.oin, before, board, ...lines.map(({ mandate }) => mandate!.partyOin)];
  const answer: op.TransferSchoolResponse = {
    beforeOin: before,
    lines,
    runOffUntil: until,
    names: [...new Set(named)].flatMap((oin) => {
      const name = chain.party(oin)?.name;
      return name ? [{ oin, name }] : [];
    }),
    flowIds: [],
    decision: undefined,
  };
  if (!request.apply) return answer;
  requireThawed(gate.door, { kind: 'move', schools: [request.schoolOin], parties: [] });
  const done = async (flowId: string): Promise<boolean> => {
    answer.flowIds.push(flowId);
    answer.decision = await decisionOf(gate, flowId, DECIDE_MS);
    await chain.refresh();
    return answer.decision.code === '';
  };
  const running = ({ state, runOffUntil }: Mandate): boolean => state === RUN_OFF && runOffUntil <= until;
  for (const { mandateId } of ofOtherBoards(
    lines.map(({ mandate }) => mandate!),
    board,
  )) {
    // Another operator, or the end of one before it, may have been first.
    const now = chain.mandate(mandateId);
    if (!now || now.state === ENDED || now.schoolOin !== school.oin || running(now)) continue;
    // What was never confirmed has nothing to run off.
    const asks =
      now.state === UNCONFIRMED
        ? { mandateId, change: 'stop', runOffUntil: '' }
        : { mandateId, change: 'run_off', runOffUntil: until };
    const { flowId } = await take(operatorChange([now], ''), asks, operator, gate);
    if (!(await done(flowId))) return answer;
  }
  const party = Party.fromPartial({ oin: school.oin, name: school.name, roles: school.roles, boardOin: board });
  const { flowId } = await take(addParty(party, undefined, dialler.networks), { party }, operator, gate);
  await done(flowId);
  return answer;
}
