import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rosterKinds } from '#kernel';
import type { GroupEntry, LearnerEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import { ALL_OF_IT, type Part } from './part.ts';
import {
  type Decided,
  decide,
  evolved,
  type HoldState,
  nothingKnown,
  type RosterDocument,
  type RosterEvent,
  type RosterState,
} from './roster.ts';

const schoolOin = '0000000700099XX00000';
const schoolYear = '2026-2027';
const now = Date.parse('2026-11-22T10:00:00Z');

const learner = (token: string, more: Partial<LearnerEntry> = {}): LearnerEntry => ({
  learner: token,
  yearGroup: '5',
  group: '',
  compositeGroups: [],
  site: '',
  entersOn: '',
  leavesOn: '',
  nameMark: Buffer.alloc(32, 'a'),
  siteCodes: [],
  ...more,
});
const group = (token: string, more: Partial<GroupEntry> = {}): GroupEntry => ({
  group: token,
  name: `n-${token}`,
  description: '',
  yearGroup: '5',
  composite: false,
  siteCodes: [],
  ...more,
});
const teacher = (token: string, more: Partial<StaffEntry> = {}): StaffEntry => ({
  staff: token,
  groups: [],
  duties: [],
  nameMark: Buffer.alloc(32, 't'),
  siteCodes: [],
  ...more,
});
const roster = (more: Partial<RosterDocument>): RosterDocument => ({
  rosterId: 'r',
  schoolOin,
  schoolYear,
  asOf: '',
  madeMs: 0,
  partial: false,
  byOin: '00000001000000000001',
  siteCode: '',
  administration: '',
  sites: [],
  groups: [],
  learners: [],
  staff: [],
  ...more,
});

/** Whatever the threshold: everything waits, or nothing does. */
const close = (state: RosterState, document: RosterDocument, thresholdPercent = 10): Decided =>
  decide(state, { type: 'CloseRoster', document, holdId: 'h1', thresholdPercent, now });
const taken = (state: RosterState, document: RosterDocument): RosterState => {
  // As an operator who approves all of it.
  const hold = holdOf(document);
  return evolved(state, decide(state, decision(hold, document, true)));
};
const holdOf = (document: RosterDocument): HoldState => ({
  holdId: 'h1',
  rosterId: document.rosterId,
  year: schoolYear,
  flowId: 'f1',
  state: 'waiting',
  madeMs: document.madeMs,
  partial: document.partial,
  siteCode: document.siteCode,
  administration: document.administration,
  reason: 'removes_many',
});
const decision = (hold: HoldState, document: RosterDocument, approve: boolean, part: Part = ALL_OF_IT) =>
  ({ type: 'DecideHold', schoolOin, holdId: hold.holdId, approve, hold, document, part, now }) as const;

/** Decides one after the other, until nothing waits any more. */
function inTurn(state: RosterState, document: RosterDocument, parts: readonly Part[], approve = true) {
  const events: RosterEvent[] = [];
  let [at, waits, last] = [state, true, undefined as Decided | undefined];
  for (const part of parts) {
    if (!waits) break;
    last = decide(at, decision(holdOf(document), document, approve, part));
    events.push(...last.events);
    at = evolved(at, last);
    if (last.events.some(({ name, value }) => name === 'HoldDecided' && !(value as { part: boolean }).part))
      waits = false;
  }
  return { state: at, events, waits, last: last! };
}

/** What somebody outside sees of it: who is where. */
const seen = ({ learners, groups, staff, claims, scopes }: RosterState) => ({
  learners: [...learners].sort(),
  groups: [...groups].sort(),
  staff: [...staff].sort(),
  claims: [claims.learners, claims.groups, claims.staff].map((of) => [...of].sort()),
  scopes: [...scopes].sort(),
});

/** An event that says what became of whom, without those that say how the roster stands. */
const changesIn = (events: readonly RosterEvent[]): string[] =>
  events
    .filter(({ name }) => !/^(Roster|Hold)/.test(name))
    .map(({ name, value }) => JSON.stringify([name, value]))
    .sort();

const places = ['', 'g1', 'g2', 'g3'];
const tokens = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'];
const anyRoster = fc
  .record({
    siteCode: fc.constantFrom('', '', '01', '02'),
    learners: fc.dictionary(
      fc.constantFrom(...tokens),
      fc.record({
        group: fc.constantFrom(...places),
        composite: fc.constantFrom('', 'c1'),
        mark: fc.constantFrom('a', 'b'),
        leavesOn: fc.constantFrom('', '', '2027-02-01'),
      }),
      { noNullPrototype: true },
    ),
    staff: fc.dictionary(fc.constantFrom('S', 'T'), fc.constantFrom(...places), { noNullPrototype: true }),
    name: fc.constantFrom('een', 'twee'),
    extra: fc.subarray(['g1', 'g2']),
  })
  .map(({ siteCode, learners, staff, name, extra }) => {
    const used = new Set(extra);
    for (const { group: one, composite } of Object.values(learners)) for (const of of [one, composite]) used.add(of);
    for (const one of Object.values(staff)) used.add(one);
    used.delete('');
    return roster({
      siteCode,
      groups: [...used].map((token) => group(token, { name, composite: token.startsWith('c') })),
      learners: Object.entries(learners).map(([token, { group: one, composite, mark, leavesOn }]) =>
        learner(token, {
          group: one,
          compositeGroups: composite === '' ? [] : [composite],
          nameMark: Buffer.alloc(32, mark),
          leavesOn,
        }),
      ),
      staff: Object.entries(staff).map(([token, of]) =>
        teacher(token, { groups: of === '' ? [] : [{ group: of, duties: ['LRK'] }] }),
      ),
    });
  });
const anyPart: fc.Arbitrary<Part> = fc.record({
  kinds: fc.subarray([...rosterKinds]),
  groups: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.subarray(['g1', 'g2', 'c1']) },
  ),
});
const anyStart = fc.array(anyRoster, { maxLength: 3 }).map((all) => all.reduce(taken, nothingKnown));

describe('a part of a hold', () => {
  test('approved part by part comes to the same as approved at once, each thing told once', () => {
    fc.assert(
      fc.property(anyStart, anyRoster, fc.array(anyPart, { maxLength: 4 }), (start, document, parts) => {
        const once = inTurn(start, document, [ALL_OF_IT]);
        const one = inTurn(start, document, [...parts, ALL_OF_IT]);
        expect(one.waits).toBe(false);
        expect(seen(one.state)).toEqual(seen(once.state));
        expect(changesIn(one.events)).toEqual(changesIn(once.events));
        expect(one.state.marked.size).toBe(0);
      }),
    );
  });

  test('whatever of it is approved: nobody is in a group that there is not', () => {
    fc.assert(
      fc.property(anyStart, anyRoster, fc.array(anyPart, { maxLength: 3 }), (start, document, parts) => {
        const { state } = inTurn(start, document, parts);
        for (const { group: one, compositeGroups } of state.learners.values())
          for (const token of [one, ...compositeGroups]) if (token !== '') expect(state.groups.has(token)).toBe(true);
        for (const { groups } of state.staff.values())
          for (const { group: token } of groups) expect(state.groups.has(token)).toBe(true);
      }),
    );
  });

  test('only what was meant happens, and what is left is the difference that remains', () => {
    fc.assert(
      fc.property(anyStart, anyRoster, anyPart, (start, document, part) => {
        const { events, last, state } = inTurn(start, document, [part]);
        const kinds = new Set(part.kinds);
        if (kinds.size > 0) {
          if (!kinds.has('left')) expect(events.filter(({ name }) => name === 'LearnerLeft')).toEqual([]);
          if (!kinds.has('joined')) expect(events.filter(({ name }) => name === 'LearnerJoined')).toEqual([]);
        }
        if (!last.rest) return;
        const { difference } = last.rest.changes;
        const after = inTurn(state, document, [ALL_OF_IT]);
        const count = (name: string) => after.events.filter((event) => event.name === name).length;
        expect([difference.joined, difference.left, difference.moved]).toEqual([
          count('LearnerJoined'),
          count('LearnerLeft'),
          count('LearnerMoved'),
        ]);
        expect(difference.before).toBe(document.siteCode === '' ? state.size : difference.before);
      }),
    );
  });

  test('rejected, in part or whole, and nothing approved: all stands as it stood', () => {
    fc.assert(
      fc.property(anyStart, anyRoster, fc.array(anyPart, { maxLength: 3 }), (start, document, parts) => {
        const one = inTurn(start, document, [...parts, ALL_OF_IT], false);
        expect(one.waits).toBe(false);
        expect(seen(one.state)).toEqual(seen(start));
        expect(changesIn(one.events)).toEqual([]);
      }),
    );
  });

  test('what was not approved is held when it is said again, however little it is, until it is approved or no longer said', () => {
    fc.assert(
      fc.property(anyStart, anyRoster, anyPart, (start, document, part) => {
        const { state, last } = inTurn(start, document, [part]);
        if (!last.rest) return;
        const again = close(state, document, 100);
        expect(again.events.map(({ name }) => name)).toContain('RosterHeld');
        // As it stood before, and as it is known: nobody says it any more.
        const done = taken(state, document);
        expect(done.marked.size).toBe(0);
      }),
    );
  });
});

const pupils = (from: number, to: number, more: Partial<LearnerEntry> = {}): LearnerEntry[] =>
  Array.from({ length: to - from }, (_, i) => learner(`L${from + i}`, more));
const hundred = taken(nothingKnown, roster({ learners: pupils(0, 100) }));

test('those who leave are kept, the others go on; the next roster that says it again is held, one that does not is not', () => {
  const half = roster({ learners: [...pupils(0, 95), learner('N')] });
  const kept = inTurn(hundred, half, [{ kinds: ['joined'], groups: [] }]);
  expect([kept.waits, kept.state.size, kept.last.rest?.changes.difference]).toMatchObject([
    true,
    101,
    { joined: 0, left: 5, before: 101, after: 96 },
  ]);
  const rejected = inTurn(kept.state, half, [ALL_OF_IT], false).state;
  expect(rejected.size).toBe(101);
  // Five of a hundred are few, but somebody said no.
  expect(close(rejected, half).events).toMatchObject([{ name: 'RosterHeld', value: { reason: 'said_again' } }]);
  const back = close(rejected, roster({ learners: [...pupils(0, 100), learner('N')] }));
  expect(back.events.map(({ name }) => name)).toEqual(['RosterApplied']);
  const later = evolved(rejected, back);
  expect(close(later, half).events.map(({ name }) => name)).toContain('LearnerLeft');
});

test('a roster rejected whole: who it would take away is held when it is said again, who it would add is not', () => {
  const cut = roster({ learners: [...pupils(0, 40), learner('N')] });
  const state = inTurn(hundred, cut, [ALL_OF_IT], false).state;
  expect(close(state, roster({ learners: [...pupils(0, 99), learner('N')] })).events).toMatchObject([
    { name: 'RosterHeld', value: { reason: 'said_again', difference: { left: 1, joined: 1 } } },
  ]);
  const whole = close(state, roster({ learners: [...pupils(0, 100), learner('N')] }));
  expect(whole.events.map(({ name }) => name)).toEqual(['RosterApplied', 'LearnerJoined']);
});

test('of one class: its pupils, and the class; a class does not close while somebody stays in it', () => {
  const before = taken(
    nothingKnown,
    roster({
      groups: [group('a'), group('b')],
      learners: [...pupils(0, 15, { group: 'a' }), ...pupils(15, 30, { group: 'b' })],
    }),
  );
  const empty = roster({ learners: [learner('L0')] });
  const closing = decide(before, decision(holdOf(empty), empty, true, { kinds: ['groupsClosed'], groups: [] }));
  expect(closing.events).toMatchObject([{ name: 'RosterRefused', value: { holdId: '', code: 'state.conflict' } }]);
  const ofB = inTurn(before, empty, [{ kinds: [], groups: ['b'] }]);
  expect([ofB.state.size, [...ofB.state.groups.keys()]]).toEqual([15, ['a']]);
  const none = decide(ofB.state, decision(holdOf(empty), empty, true, { kinds: [], groups: ['b'] }));
  expect(none.events).toMatchObject([{ name: 'RosterRefused', value: { holdId: '', code: 'state.missing' } }]);
});
