import fc from 'fast-check';
import { expect, test } from 'vitest';
import { events } from '#proto/events';
import { meanings } from './events.ts';
import { type Fact, withFact } from './facts.ts';
import { begun } from './flow.ts';
import { columnsThatDiffer, madeOf, mended } from './made.ts';
import type { FlowTableRow } from './tables.ts';

const FLOW = '0198b1f0-0000-7000-8000-000000000001';
const BEGAN = Number.parseInt(FLOW.replace('-', '').slice(0, 12), 16);

const types = Object.entries(meanings) as [Fact['type'], { kind: 'asked' | 'answer'; to?: readonly string[] }][];
const asks = types.filter(([, { kind }]) => kind === 'asked').map(([type]) => type);
const answersTo = (asked: string) => types.filter(([, { to }]) => to?.includes(asked)).map(([type]) => type);
const others = types.filter(([, { kind }]) => kind === 'answer').map(([type]) => type);

/** All of a school's rosters is one order; of others each learner's is one. */
const keyOf = (type: Fact['type'], ...keys: string[]): fc.Arbitrary<string> =>
  events[type].stream === 'rosters' ? fc.constant('x') : fc.constantFrom(...keys);
const laneOf = ({ type, key }: Fact): string => `${events[type].stream} ${key}`;

const lossy = fc.array(
  fc.record({ element: fc.constantFrom('a', 'b'), reason: fc.constantFrom('x', 'y'), count: fc.nat(3) }),
  { maxLength: 2 },
);
const askOf = (type: Fact['type']): fc.Arbitrary<Fact> =>
  fc.record({
    asks: fc.constant(true as const),
    type: fc.constant(type),
    method: fc.constant(`Service/${type}`),
    party: fc.constant('p'),
    subject: fc.constantFrom('s1', 's2', 's3'),
    school: fc.constant('x'),
    key: keyOf(type, 'lt_1', 'lt_2'),
    atMs: fc.nat(3).map((ms) => BEGAN + ms),
    losses: lossy,
  });
const whyOf = (says: string): { code: fc.Arbitrary<string>; told: fc.Arbitrary<string> } =>
  says === 'refused'
    ? { code: fc.constantFrom('state.missing', 'state.conflict'), told: fc.constantFrom('So it is.', 'And so.') }
    : { code: fc.constant(says === 'held' ? 'hold.pending' : ''), told: fc.constant('') };
const answerOf = (type: Fact['type'], says: readonly string[]): fc.Arbitrary<Fact> =>
  fc.constantFrom(...says).chain((said) =>
    fc.record({
      asks: fc.constant(false as const),
      type: fc.constant(type),
      says: fc.constant(said as 'done'),
      partial: fc.constant(type === 'RosterPartTaken'),
      ...whyOf(said),
      school: fc.constant('x'),
      key: keyOf(type, 'lt_1', 'lt_2', 'lt_3'),
      atMs: fc.integer({ min: 1, max: 40 }).map((ms) => BEGAN + ms),
    }),
  );
/** Several parts, several decisions, and what followed; in the order of time. */
const facts: fc.Arbitrary<Fact[]> = fc.constantFrom(...asks).chain((asked) => {
  const saying = (type: Fact['type']): fc.Arbitrary<Fact> =>
    answerOf(type, type.endsWith('Held') ? ['held'] : type.endsWith('Refused') ? ['refused'] : ['done', 'decided']);
  const own = answersTo(asked);
  const rest = others.filter((name) => !own.includes(name) && !name.endsWith('Held'));
  return (
    fc
      .tuple(
        fc.array(askOf(asked), { maxLength: 4 }),
        own.length === 0 ? fc.constant([]) : fc.array(fc.constantFrom(...own).chain(saying), { maxLength: 4 }),
        fc.array(fc.constantFrom(...rest).chain(saying), { maxLength: 3 }),
      )
      .map((all) => all.flat().sort((a, b) => a.atMs - b.atMs))
      // What is held is so in the order of the part that asked for it.
      .map((all) =>
        all.filter((fact, i) =>
          fact.asks || fact.says !== 'held'
            ? true
            : all.slice(0, i).some((one) => one.asks && laneOf(one) === laneOf(fact)),
        ),
      )
      .filter((all) => all.length > 0)
  );
});
/** As they may have been read: each lane in its order, lanes in any. */
const readIn = (all: readonly Fact[], order: readonly Fact[]): Fact[] => {
  const lanes = Map.groupBy(all, laneOf);
  return order.map((fact) => lanes.get(laneOf(fact))!.shift()!);
};

const folded = (all: readonly Fact[]): FlowTableRow =>
  all.reduce((row, fact) => withFact(row, fact), begun(FLOW, all[0]!.atMs));

/** All that happened to a flow, and its row as it may stand. */
const flows = facts.chain((all) =>
  fc
    .shuffledSubarray(all, { minLength: all.length, maxLength: all.length })
    .map((order) => ({ all, stands: folded(readIn(all, order)) })),
);

test('what is made anew is what stands, whatever order its events came in', () => {
  fc.assert(
    fc.property(flows, ({ all, stands }) => {
      expect(columnsThatDiffer(stands, madeOf(FLOW, all)!)).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

const spoilt: { [C in keyof FlowTableRow]?: FlowTableRow[C] } = {
  type: 'Another',
  method: 'Another',
  party: 'another',
  school: 'another',
  key: 'another',
  subject: 'another',
  asked: 77,
  answered: 77,
  refused: 77,
  outcome: 'Another',
  code: 'gateway.bug',
  told: 'Another.',
  acceptedMs: 1,
  decidedMs: 1,
  steps: [{ step: 'Another', atMs: 1, state: 'done' }],
  losses: [{ element: 'another', reason: 'another', count: 1 }],
};

const NAMES: ReadonlySet<string> = new Set(['type', 'method', 'party', 'school', 'key', 'subject', 'acceptedMs']);

test('what was changed in a row is found by its column, and mended; what only the order of lanes decided stays', () => {
  const columns = Object.keys(spoilt) as (keyof typeof spoilt)[];
  fc.assert(
    fc.property(flows, fc.constantFrom(...columns), ({ all, stands }, column) => {
      const made = madeOf(FLOW, all)!;
      const other = { ...stands, [column]: spoilt[column] };
      const differ = columnsThatDiffer(other, made);
      expect(differ.length).toBeGreaterThan(0);
      const again = mended(other, made);
      expect(columnsThatDiffer(again, made)).toEqual([]);
      // What was right is as it was.
      if (column === 'losses') expect(differ).toEqual([column]);
      if (column === 'losses' || NAMES.has(column)) expect(again.steps).toEqual(stands.steps);
      if (!NAMES.has(column)) expect(again.subject).toBe(stands.subject);
    }),
    { numRuns: 500 },
  );
});

test('a row of which the log says nothing is made of nothing; an answer that comes after a day brings none back', () => {
  const [late] = fc.sample(answerOf('EntitlementChanged', ['decided']), { numRuns: 1, seed: 1 });
  expect(madeOf(FLOW, [{ ...late!, atMs: BEGAN + 86_400_001 }])).toBeUndefined();
  expect(madeOf(FLOW, [{ ...late!, atMs: BEGAN + 86_399_999 }])?.row.outcome).toBe('EntitlementChanged');
});
