/** Times in which nothing of a school or a party is taken away or disturbed: set, listed, ended early; and what a door refuses for them. */
import {
  dutchMinute,
  dutchMoment,
  endOfDutchDay,
  type FreezeAct,
  freezeEnd,
  GatewayError,
  isDay,
  isPartyOin,
  isSchoolOin,
  LONGEST_FREEZE_MS,
  newId,
  startOfDutchDay,
} from '#kernel';
import { Freeze } from '#proto/eduk/core/v1/party';
import type * as op from '#proto/eduk/operator/v1/operator';
import { type Caller, operator } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { endFreeze, setFreeze } from '../intake/freezes.ts';
import { countedBeside } from '../reads/counted.ts';
import { factOf, goesOnMs, isBeside, wouldGoOn, wouldStop } from '../reads/freezes.ts';
import { requireNamed } from '../reads/known.ts';
import { SCHOOL_UNKNOWN } from '../stages/authorise.ts';
import type { Door } from '../submission.ts';
import { decisionOf } from './decision.ts';
import { personOf } from './merges.ts';
import { take } from './writes.ts';

const WAIT_MS = 10_000;

const wrong = (told: string, where: string): GatewayError => new GatewayError('wire.invalid', told, { where });

/** The moment that a Dutch day or moment begins or ends with. Faults: wire.invalid. */
export function momentOf(text: string, where: 'from' | 'until', now: number): number {
  if (text === '' && where === 'from') return now;
  const ms = isDay(text)
    ? (where === 'from' ? startOfDutchDay : endOfDutchDay)(text)
    : dutchMoment(text, where === 'until');
  if (ms === undefined) throw wrong('Say a day, YYYY-MM-DD, or a moment, YYYY-MM-DDTHH:MM, of the Netherlands.', where);
  return ms;
}

/** Faults: wire.invalid, state.missing (who is not known here would be guarded by nothing). */
async function checkScope({ schoolOin, partyOin, all }: op.SetFreezeRequest, { chain }: Door): Promise<void> {
  if (all === (schoolOin !== '' || partyOin !== ''))
    throw wrong('A freeze is of a school, of a party, of a party at a school, or of all.', 'all');
  if (schoolOin !== '' && !isSchoolOin(schoolOin)) throw wrong('This is no school.', 'school_oin');
  if (partyOin !== '' && !isPartyOin(partyOin)) throw wrong('This is not an OIN.', 'party_oin');
  const isKnown = () =>
    (schoolOin === '' || chain.knowsSchool(schoolOin)) && (partyOin === '' || chain.party(partyOin) !== undefined);
  if (!isKnown()) await chain.refresh();
  if (isKnown()) return;
  const where = schoolOin !== '' && !chain.knowsSchool(schoolOin) ? 'school_oin' : 'party_oin';
  const isSchool = where === 'school_oin';
  throw new GatewayError('state.missing', isSchool ? SCHOOL_UNKNOWN : 'Nobody is known under this OIN.', { where });
}

const stateOf = (freeze: Freeze, now: number): string => {
  const times = { untilMs: Number(freeze.untilMs), endedMs: Number(freeze.endedMs) };
  if (freezeEnd(times) <= now) return freeze.endedMs > 0n ? 'ended' : 'over';
  return Number(freeze.fromMs) <= now ? 'holds' : 'to_come';
};

async function decided(gate: Gate, flowId: string) {
  const decision = await decisionOf(gate, flowId, WAIT_MS);
  await gate.door.chain.refresh();
  return decision;
}

const isOf = (scope: string, named: string): boolean => named === '' || scope === '' || scope === named;

/** A freeze as it would be set. Faults: wire.invalid, state.missing. */
async function askedFreeze(asked: op.SetFreezeRequest, { door }: Gate): Promise<Freeze> {
  await checkScope(asked, door);
  const now = door.clock.now();
  const { schoolOin, partyOin, reason } = asked;
  const fromMs = Math.max(now, momentOf(asked.from, 'from', now));
  const untilMs = momentOf(asked.until, 'until', now);
  if (untilMs <= fromMs) throw wrong('A freeze ends after it begins, and not in the past.', 'until');
  if (untilMs - fromMs > LONGEST_FREEZE_MS) throw wrong('A freeze lasts 92 days at most.', 'until');
  return Freeze.fromPartial({ schoolOin, partyOin, reason, fromMs: BigInt(fromMs), untilMs: BigInt(untilMs) });
}

/** Faults: state.missing. */
async function knownFreeze({ chain }: Door, freezeId: string): Promise<Freeze> {
  if (!chain.freeze(freezeId)) await chain.refresh();
  const freeze = chain.freeze(freezeId);
  if (!freeze) throw new GatewayError('state.missing', 'No freeze has this id.', { where: 'freeze_id' });
  return freeze;
}

/** What runs or is planned, and would rest or wait for a freeze. */
async function setsWork({ door }: Gate, freeze: Freeze): Promise<op.FrozenWork[]> {
  const [{ replays }, { changes }] = await Promise.all([
    door.services.delivery.listReplays({ partyOin: freeze.partyOin, jobId: '' }),
    door.services.rosters.listSchoolChanges({ schoolOin: '', underWay: false }),
  ]);
  return wouldStop(factOf(freeze), { replays, changes });
}

/** What waits for a freeze now and goes on, or waits on, when it ends. */
async function endsWork({ door }: Gate, freeze: Freeze): Promise<op.FrozenWork[]> {
  const { chain, clock, services } = door;
  const of = { schoolOin: freeze.schoolOin };
  const [{ replays }, { changes }, { holds: rosters }, { holds: withdrawals }] = await Promise.all([
    services.delivery.listReplays({ partyOin: freeze.partyOin, jobId: '' }),
    services.rosters.listSchoolChanges({ schoolOin: '', underWay: false }),
    services.rosters.listHolds({ ...of, decided: false }),
    services.entitlements.listChangeHolds({ ...of, decided: false }),
  ]);
  const work = { replays, changes, rosters, withdrawals };
  return wouldGoOn(factOf(freeze), chain.freezes().map(factOf), work, clock.now());
}

export const freezeUnary = {
  previewFreeze: async (request: op.PreviewFreezeRequest, gate: Gate): Promise<op.PreviewFreezeResponse> => {
    const { asked, freezeId } = request;
    if ((asked === undefined) === (freezeId === ''))
      throw wrong('Say what would be set, or which freeze would be ended.', 'asked');
    const { chain, clock } = gate.door;
    const freeze = asked ? await askedFreeze(asked, gate) : await knownFreeze(gate.door, freezeId);
    const fact = factOf(freeze);
    const found = await (asked ? setsWork(gate, freeze) : endsWork(gate, freeze));
    const others = chain.freezes();
    const now = clock.now();
    const beside = others
      .filter((one) => isBeside(asked ? fact : { ...fact, fromMs: Math.max(fact.fromMs, now) }, factOf(one)))
      .map((one) => ({ freeze: one, state: stateOf(one, now) }));
    const named = new Set([
      ...[freeze, ...beside.map((one) => one.freeze)].flatMap(({ schoolOin, partyOin }) => [schoolOin, partyOin]),
      ...found.flatMap(({ schoolOin, toSchoolOin, partyOin }) => [schoolOin, toSchoolOin, partyOin]),
    ]);
    return {
      ...{ freeze, beside, works: found },
      goesOnMs: BigInt(goesOnMs(fact, others.map(factOf))),
      names: [...named].flatMap((oin) => {
        const name = chain.party(oin)?.name;
        return name ? [{ oin, name }] : [];
      }),
    };
  },
  setFreeze: async (request: op.SetFreezeRequest, gate: Gate, caller: Caller): Promise<op.SetFreezeResponse> => {
    const { chain, clock } = gate.door;
    await checkScope(request, gate.door);
    const { schoolOin, partyOin, reason } = request;
    if (reason === '') throw wrong('Name it, such as exams-2027: no spaces, 64 characters.', 'reason');
    const fromMs = BigInt(momentOf(request.from, 'from', clock.now()));
    const untilMs = BigInt(momentOf(request.until, 'until', clock.now()));
    const freezeId = newId();
    const freeze = Freeze.fromPartial({ freezeId, schoolOin, partyOin, fromMs, untilMs, reason });
    const byPerson = personOf(caller);
    const submitted = { freeze, change: 'set', byPerson, second: false, confirmed: false };
    const { found: works, uncounted } = await countedBeside(() => setsWork(gate, freeze));
    const { flowId } = await take(setFreeze(submitted), request, operator, gate);
    const decision = await decided(gate, flowId);
    const set = chain.freeze(freezeId);
    if (set || decision?.outcome !== 'FreezeChanged')
      return { flowId, decision, freeze: set, unchanged: false, works: set ? works : [], uncounted };
    const same = chain
      .freezes()
      .find(
        (one) =>
          one.schoolOin === schoolOin &&
          one.partyOin === partyOin &&
          one.reason === reason &&
          one.untilMs === untilMs &&
          one.endedMs === 0n,
      );
    return { flowId, decision, freeze: same, unchanged: true, works: [], uncounted: false };
  },
  listFreezes: async (request: op.ListFreezesRequest, { door }: Gate): Promise<op.ListFreezesResponse> => {
    const { chain, clock } = door;
    const freezes = chain
      .freezes()
      .map((freeze) => ({ freeze, state: stateOf(freeze, clock.now()) }))
      .filter(
        ({ freeze, state }) =>
          (request.past || state === 'holds' || state === 'to_come') &&
          isOf(freeze.schoolOin, request.schoolOin) &&
          isOf(freeze.partyOin, request.partyOin),
      );
    const named = new Set(freezes.flatMap(({ freeze }) => [freeze.schoolOin, freeze.partyOin]));
    await requireNamed({ door }, request, named);
    const names = [...named].flatMap((oin) => {
      const name = chain.party(oin)?.name;
      return name ? [{ oin, name }] : [];
    });
    return { freezes, names };
  },
  endFreeze: async (
    { freezeId, confirm }: op.EndFreezeRequest,
    gate: Gate,
    caller: Caller,
  ): Promise<op.EndFreezeResponse> => {
    const { chain } = gate.door;
    const freeze = await knownFreeze(gate.door, freezeId);
    const byPerson = personOf(caller);
    const order = { byPerson, second: gate.freezeSecond, confirmed: byPerson === '' && confirm };
    const submitted = { freeze, change: 'end', ...order };
    const { found: works, uncounted } = await countedBeside(() => endsWork(gate, freeze));
    const { flowId } = await take(endFreeze(submitted), { freezeId, confirm }, operator, gate);
    const decision = await decided(gate, flowId);
    const ended = chain.freeze(freezeId);
    return { flowId, decision, freeze: ended, works: (ended?.endedMs ?? 0n) > 0n ? works : [], uncounted };
  },
};

/** Refuses what a freeze stops. Faults: freeze.holds. */
export function requireThawed({ chain }: Pick<Door, 'chain'>, act: Omit<FreezeAct, 'atMs'>): void {
  const held = chain.frozen(act);
  if (held === undefined) return;
  const at = dutchMinute(held.untilMs);
  throw new GatewayError('freeze.holds', `A freeze holds until ${at}: eduk freeze list names it.`);
}
