/** What a freeze stops of what stands, and what goes on when it ends. Pure; what it is judged by is read around it. */
import { type FreezeAct, type FreezeFact, freezeEnd, frozen, startOfDutchDay } from '#kernel';
import type { Freeze } from '#proto/eduk/core/v1/party';
import type { ReplayJob } from '#proto/eduk/delivery/v1/delivery';
import type { ChangeHold } from '#proto/eduk/entitlements/v1/entitlements';
import { FrozenWork } from '#proto/eduk/operator/v1/operator';
import type { Hold, SchoolChange } from '#proto/eduk/rosters/v1/rosters';

/** What may be stopped, or is. */
export interface Work {
  replays: readonly ReplayJob[];
  changes: readonly SchoolChange[];
  /** Holds that wait. */
  rosters: readonly Hold[];
  withdrawals: readonly ChangeHold[];
}

/** Why a hold waits that a freeze keeps waiting. */
const FREEZE = 'freeze';

export const factOf = (freeze: Freeze): FreezeFact => ({
  ...freeze,
  fromMs: Number(freeze.fromMs),
  untilMs: Number(freeze.untilMs),
  endedMs: Number(freeze.endedMs),
});

type Act = Omit<FreezeAct, 'atMs'>;

const actOfReplay = ({ selection }: ReplayJob): Act => ({
  kind: 'replay',
  schools: selection!.schoolOin === '' ? [] : [selection!.schoolOin],
  parties: [selection!.partyOin],
});
const actOfChange = ({ schoolOin, toSchoolOin }: SchoolChange): Act => ({
  kind: 'move',
  schools: [schoolOin, toSchoolOin],
  parties: [],
});

const replayWork = ({ jobId, selection, toSend, released, leftOut }: ReplayJob): FrozenWork =>
  FrozenWork.fromPartial({
    ...{ kind: 'replay', id: jobId, schoolOin: selection!.schoolOin, partyOin: selection!.partyOin },
    count: BigInt(Math.max(0, Number(toSend) - Number(released) - Number(leftOut))),
  });
const changeWork = ({ changeId, schoolOin, toSchoolOin, onDay, waiting }: SchoolChange): FrozenWork =>
  FrozenWork.fromPartial({
    kind: 'school_change',
    id: changeId,
    schoolOin,
    toSchoolOin,
    onDay,
    count: BigInt(waiting),
  });

/** What runs, or is planned for its time, and would rest or wait. */
export const wouldStop = (fact: FreezeFact, { replays, changes }: Pick<Work, 'replays' | 'changes'>): FrozenWork[] => {
  const stops = (act: Act): boolean => frozen([fact], { ...act, atMs: fact.fromMs }) !== undefined;
  return [
    ...replays.filter((job) => job.state === 'running' && stops(actOfReplay(job))).map(replayWork),
    ...changes
      .filter((one) => one.state === 'planned' && startOfDutchDay(one.onDay) < fact.untilMs && stops(actOfChange(one)))
      .map(changeWork),
  ];
};

/** What waits for it now, and goes on when it ends at this moment, or waits on for another one. */
export function wouldGoOn(ends: FreezeFact, all: readonly FreezeFact[], work: Work, nowMs: number): FrozenWork[] {
  const others = all.filter(({ freezeId }) => freezeId !== ends.freezeId);
  const holds = (by: readonly FreezeFact[], act: Act): boolean => frozen(by, { ...act, atMs: nowMs }) !== undefined;
  const judged = (act: Act, of: FrozenWork): FrozenWork[] =>
    holds([ends], act) ? [{ ...of, waitsOn: holds(others, act) }] : [];
  return [
    ...work.replays
      .filter(({ state, cause }) => state === 'running' && cause === FREEZE)
      .flatMap((job) => judged(actOfReplay(job), replayWork(job))),
    ...work.changes
      .filter(({ frozenUntilMs }) => frozenUntilMs > 0n)
      .flatMap((one) => judged(actOfChange(one), changeWork(one))),
    ...work.rosters
      .filter(({ reason }) => reason === FREEZE)
      .flatMap(({ holdId, schoolOin, byOin, sinceMs, difference }) =>
        judged(
          { kind: 'rename', schools: [schoolOin], parties: [byOin] },
          FrozenWork.fromPartial({
            ...{ kind: 'roster', id: holdId, schoolOin, partyOin: byOin, sinceMs },
            count: BigInt((difference?.left ?? 0) + (difference?.renamed ?? 0)),
          }),
        ),
      ),
    ...work.withdrawals
      .filter(({ reason }) => reason === FREEZE)
      .flatMap(({ holdId, schoolOin, byOin, sinceMs, products }) => {
        const act = (parties: readonly string[]): Act => ({ kind: 'withdraw', schools: [schoolOin], parties });
        // Publisher and platform of each entitlement count too, and are not told here.
        const may = act(['*']);
        if (!holds([ends], may)) return [];
        const waitsOn = holds(others, act([byOin]));
        const about = !waitsOn && holds(others, may);
        const count = products.reduce((sum, { entitlements }) => sum + entitlements, 0);
        const of = { kind: 'withdrawal', id: holdId, schoolOin, partyOin: byOin, sinceMs, count: BigInt(count) };
        return [FrozenWork.fromPartial({ ...of, waitsOn, about })];
      }),
  ];
}

/** When what a freeze of this scope and time stops goes on: at its end, or that of another one. */
export function goesOnMs(fact: FreezeFact, all: readonly FreezeFact[]): number {
  const named = (oin: string): string[] => (oin === '' ? [] : [oin]);
  const act = { kind: 'withdraw', schools: named(fact.schoolOin), parties: named(fact.partyOin) } as const;
  return frozen([...all, fact], { ...act, atMs: fact.fromMs })?.untilMs ?? freezeEnd(fact);
}

/** Others that hold or come for the same, in its time. */
export const isBeside = (fact: FreezeFact, other: FreezeFact): boolean =>
  other.freezeId !== fact.freezeId &&
  meets(other.schoolOin, fact.schoolOin) &&
  meets(other.partyOin, fact.partyOin) &&
  other.fromMs < fact.untilMs &&
  freezeEnd(other) > fact.fromMs;

const meets = (scope: string, named: string): boolean => named === '' || scope === '' || scope === named;
