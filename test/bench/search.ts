/**
 * How quickly an operator finds one of the flows of a month while others come in, whether it is found at all, and whether the answer says that all was looked at.
 * Not asked is what is about one learner: those of the month are made up as flows only, so that no vault knows their numbers and no owner has what they hold.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import type { WireClient } from '../chain/gateway.ts';
import type { Month } from './month.ts';
import { nowMs } from './processes.ts';

/** Answers of one kind. */
export interface Group {
  name: string;
  /** One is meant; else the newest of many. */
  isExact: boolean;
  ms: number[];
  /** Answers that held all that was filled in and asked for, and nothing else. */
  found: number;
  /** Answers that said of themselves that everything was looked at, or that had as many as were asked for. */
  covered: number;
}

interface Answer {
  ids: readonly string[];
  covered: boolean;
}

interface Kind {
  name: string;
  isExact: boolean;
  ask(i: number): Promise<Answer>;
  /** Numbers of those that must be in the answer, newest first. */
  wanted(i: number): readonly number[];
}

const MOST = 50;
const REST_MS = 10;
/** Asked before anything is counted. */
const WARM = 3;

/** `each`: questions of each kind, about flows drawn from the whole month. */
export async function searchFigures(
  operator: WireClient<typeof OperatorServiceDefinition>,
  month: Month,
  each: number,
): Promise<Group[]> {
  const list = async (asked: Parameters<typeof operator.listFlows>[0]): Promise<Answer> => {
    const { flows, coveredFromMs, more } = await operator.listFlows({ limit: MOST, ...asked });
    const ids = flows.map(({ flowId }) => flowId);
    return { ids, covered: coveredFromMs === 0n || (more && ids.length === MOST) };
  };
  const show = async (asked: Parameters<typeof operator.showFlow>[0]): Promise<Answer> => {
    const { flow } = await operator.showFlow(asked).catch(() => ({ flow: undefined }));
    return { ids: flow ? [flow.flowId] : [], covered: true };
  };
  /** The newest that fit, of those that came with a flow or before it. */
  const newest = (last: number, fits: (i: number) => boolean, most = MOST): number[] => {
    const found: number[] = [];
    for (let i = last; i >= 0 && found.length < most; i--) if (fits(i)) found.push(i);
    return found;
  };
  const numbers = Array.from({ length: each + WARM }, () => Math.floor(Math.random() * month.count));
  /** One that was refused, so that there is something to find. */
  const refused = (i: number): number => newest(i, (one) => month.state(one) === 'refused', 1)[0] ?? i;
  const bySchool = flowsOf(month, new Set(numbers.flatMap((i) => [month.school(i), month.school(refused(i))])));
  const upTo = (i: number) => ({ beforeMs: BigInt(month.acceptedMs(i) + 1) });
  /** Several may have come in one millisecond. */
  const lastOf = (i: number): number => month.before(month.acceptedMs(i) + 1) - 1;
  const itself = (i: number) => [i];
  const exact = { isExact: true, wanted: itself };
  const kinds: Kind[] = [
    { ...exact, name: 'message id', ask: (i) => list({ text: month.flowId(i) }) },
    { ...exact, name: 'message id, with its steps', ask: (i) => show({ flowId: month.flowId(i) }) },
    {
      ...exact,
      name: 'order, licence, result, launch or product',
      ask: (i) => list({ text: month.subject(i) }),
    },
    {
      ...exact,
      name: 'order, licence, result, launch or product, with its sender',
      ask: (i) => list({ text: month.subject(i), partyOin: month.party(i) }),
    },
    {
      ...exact,
      name: 'reference of its sender',
      ask: (i) => list({ text: month.reference(i), partyOin: month.party(i) }),
    },
    {
      ...exact,
      name: 'reference of its sender, with its steps',
      ask: (i) => show({ reference: month.reference(i), partyOin: month.party(i) }),
    },
    {
      ...{ isExact: false, name: 'school and state' },
      ask: (i) => list({ schoolOin: month.school(refused(i)), state: 'refused' }),
      wanted: (i) =>
        bySchool
          .get(month.school(refused(i)))!
          .filter((one) => month.state(one) === 'refused')
          .slice(-MOST)
          .reverse(),
    },
    {
      ...{ isExact: false, name: 'BRIN and time' },
      ask: (i) => list({ text: month.school(i).slice(11, 15), ...upTo(i) }),
      wanted: (i) =>
        bySchool
          .get(month.school(i))!
          .filter((one) => one <= lastOf(i))
          .slice(-MOST)
          .reverse(),
    },
    {
      ...{ isExact: false, name: 'party and time' },
      ask: (i) => list({ partyOin: month.party(i), ...upTo(i) }),
      wanted: (i) => {
        const party = month.party(i);
        return newest(lastOf(i), (one) => month.party(one) === party);
      },
    },
    {
      ...{ isExact: false, name: 'time' },
      ask: (i) => list(upTo(i)),
      wanted: (i) => newest(lastOf(i), () => true),
    },
  ];
  const groups = kinds.map(({ name, isExact }): Group => ({ name, isExact, ms: [], found: 0, covered: 0 }));
  // Before the first question: who asks while it makes up the next one waits for its own collector, and counts that as ours.
  const expected = numbers.map((i) =>
    kinds.map(({ wanted }) =>
      wanted(i)
        .map((one) => month.flowId(one))
        .join(),
    ),
  );
  globalThis.gc?.();
  for (const [n, i] of numbers.entries())
    for (const [k, { ask }] of kinds.entries()) {
      const group = groups[k]!;
      const ids = expected[n]![k]!;
      const since = nowMs();
      const answer = await ask(i);
      const ms = nowMs() - since;
      if (n >= WARM) {
        group.ms.push(ms);
        if (ids !== '' && answer.ids.join() === ids) group.found += 1;
        if (answer.covered) group.covered += 1;
      }
      await sleep(REST_MS);
    }
  return groups;
}

/** Numbers of all flows of some schools, by school, rising. */
function flowsOf(month: Month, schools: ReadonlySet<string>): Map<string, number[]> {
  const found = new Map([...schools].map((school): [string, number[]] => [school, []]));
  for (let i = 0; i < month.count; i++) found.get(month.school(i))?.push(i);
  return found;
}
