import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GroupEntry, LearnerEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import { decide, evolved, nothingKnown, type RosterDocument, type RosterEvent, type RosterState } from './roster.ts';
import { reachOf, scopeOf, scopeWord } from './scope.ts';

const school = '0000000700099XX00000';
const year = '2026-2027';
const now = Date.parse('2026-11-22T10:00:00Z');

const learner = (token: string, more: Partial<LearnerEntry> = {}): LearnerEntry => ({
  learner: token,
  yearGroup: '5',
  group: '',
  compositeGroups: [],
  site: '',
  entersOn: '',
  leavesOn: '',
  nameMark: Uint8Array.of(1),
  siteCodes: [],
  ...more,
});
const group = (token: string, name = token): GroupEntry => ({
  group: token,
  name,
  description: '',
  yearGroup: '5',
  composite: false,
  siteCodes: [],
});
const teacher = (token: string, ...groups: string[]): StaffEntry => ({
  staff: token,
  groups: groups.map((one) => ({ group: one, duties: ['LRK'] })),
  duties: [],
  nameMark: Uint8Array.of(2),
  siteCodes: [],
});
const pupils = (from: string, count: number): LearnerEntry[] =>
  Array.from({ length: count }, (_, i) => learner(`${from}${i}`));

/** A roster of a scope, written as its word: `01`, `/00002`, empty = the whole school. */
const roster = (scope: string, given: Partial<RosterDocument>): RosterDocument => ({
  rosterId: `r-${scope}`,
  schoolOin: school,
  schoolYear: year,
  asOf: '',
  madeMs: 0,
  partial: false,
  byOin: '00000001000000000001',
  siteCode: scopeOf(scope).site,
  administration: scopeOf(scope).administration,
  sites: [],
  groups: [],
  learners: [],
  staff: [],
  ...given,
});
const close = (state: RosterState, document: RosterDocument) =>
  decide(state, { type: 'CloseRoster', document, holdId: 'h1', thresholdPercent: 10, now });

/** The state after rosters that count. */
const known = (...documents: RosterDocument[]): RosterState =>
  documents.reduce((state, document) => evolved(state, close(state, document)), nothingKnown);

const told = ({ events }: { events: readonly RosterEvent[] }): string[] =>
  events.map((event) => {
    switch (event.name) {
      case 'RosterHeld':
        return `held ${event.value.reason}`;
      case 'RosterRefused':
        return `refused ${event.value.code}${event.value.holdId && ` ${event.value.holdId}`}`;
      case 'RosterApplied':
        return ['applied', ...event.value.sitesEnded].join(' ');
      case 'LearnerJoined':
      case 'LearnerMoved':
      case 'LearnerChanged':
        return `${event.name.slice(7).toLowerCase()} ${event.key} ${event.value.learner!.siteCodes.join('+')}`;
      case 'LearnerLeft':
        return `left ${event.key} ${event.value.siteCodes.join('+')}`;
      case 'GroupChanged':
        return `${event.value.change} ${event.value.group!.group} ${event.value.group!.siteCodes.join('+')}`;
      case 'StaffChanged':
        return `${event.value.change} ${event.key} ${event.value.staff!.siteCodes.join('+')}`;
      default:
        return event.name;
    }
  });
const given = (...documents: RosterDocument[]) => ({
  when: (document: RosterDocument) => ({
    // biome-ignore lint/suspicious/noThenProperty: given, when, then is how it reads; nobody awaits it.
    then: (...expected: string[]) => expect(told(close(known(...documents), document))).toEqual(expected),
  }),
});
const named = (...tokens: string[]) => ({ learners: tokens.map((token) => learner(token)) });

describe('what a roster speaks for', () => {
  test.each([
    ['', '01', true, false],
    ['', '01/00002', true, false],
    ['01', '01/00002', true, false],
    ['/00002', '01/00002', true, false],
    ['01', '02', false, false],
    ['01', '/00002', false, false],
    ['/00001', '/00002', false, false],
    ['01', '01', true, true],
    ['00', '01', false, false],
    ['01', '00', false, false],
  ])('%s covers %s: %s, and the reverse: %s', (one, other, covers, reverse) => {
    expect(reachOf(scopeOf(one), [other]).covers(other)).toBe(covers);
    expect(reachOf(scopeOf(other), [one]).covers(one)).toBe(reverse);
  });
  test('00 is the whole school until a roster of another site has come', () => {
    expect(reachOf(scopeOf('00'), ['', '00', '/00002'])).toMatchObject({ whole: true });
    expect(reachOf(scopeOf('00'), ['']).covers('')).toBe(true);
    expect(reachOf(scopeOf('00'), ['', '01'])).toMatchObject({ whole: false });
    expect(reachOf(scopeOf('00'), ['', '01']).covers('')).toBe(false);
    for (const word of ['', '01', '01/00002', '/00002']) expect(scopeWord(scopeOf(word))).toBe(word);
  });
});

describe('rosters of sites', () => {
  test('make nobody of another site leave', () => {
    given(roster('01', named('A', 'B')))
      .when(roster('02', named('C')))
      .then('applied', 'joined C 02');
    given(roster('01', named('A', 'B')), roster('02', named('C')))
      .when(roster('01', named('A')))
      .then('applied', 'left B 01');
    given(roster('00', named('A', 'B')), roster('01', named('C')))
      .when(roster('00', named('A')))
      .then('applied', 'left B 00');
  });
  test('of 500 pupils each are not held for one another, and each is measured by its own pupils', () => {
    const [a, b] = [pupils('A', 500), pupils('B', 30)];
    const both = [roster('01', { learners: a }), roster('02', { learners: b })];
    given(roster('01', { learners: a }))
      .when(roster('02', { learners: [] }))
      .then('applied');
    expect(known(...both).size).toBe(530);
    // 25 of 530 are few; of 30 they are many.
    given(...both)
      .when(roster('02', { learners: b.slice(25) }))
      .then('held truncated');
    expect(close(known(...both), roster('02', { learners: b.slice(25) })).changes!.difference).toMatchObject({
      before: 30,
      after: 5,
      left: 25,
    });
    given(...both)
      .when(roster('02', {}))
      .then('held empty');
  });
  test('that empty a site whose pupils are all at another are taken', () => {
    given(roster('01', named('A')), roster('02', named('A', 'B')))
      .when(roster('01', {}))
      .then('applied', 'moved A 02');
  });
  test('a pupil who moves is at both, then at the new one', () => {
    const before = [roster('01', named('A', 'B')), roster('02', named('C'))];
    const moving = roster('02', named('C', 'A'));
    given(...before)
      .when(moving)
      .then('applied', 'moved A 01+02');
    given(...before, moving)
      .when(roster('01', named('A', 'B')))
      .then('applied'); // The old site's next file says nothing new.
    given(...before, moving)
      .when(roster('01', named('B')))
      .then('applied', 'moved A 02');
    given(...before, moving, roster('01', named('B')))
      .when(roster('02', named('C')))
      .then('applied', 'left A 02');
  });
  test('a pupil at two sites is not told to move to and fro each night', () => {
    const one = roster('01', { groups: [group('g')], learners: [learner('A', { group: 'g' })] });
    const two = roster('02', { groups: [group('h')], learners: [learner('A', { group: 'h', yearGroup: '6' })] });
    given(one, two).when(one).then('applied');
    given(one, two, one).when(two).then('applied');
    expect(known(one, two).learners.get('A')).toMatchObject({ group: 'h', yearGroup: '6', siteCodes: ['01', '02'] });
    // The group goes with the last roster that names it.
    given(one, two)
      .when(roster('02', { groups: [group('k')] }))
      .then('applied', 'opened k 02', 'moved A 01', 'closed h 02');
  });
  test('a pupil says goodbye at one site and stays at the other', () => {
    const gone = { learners: [learner('A', { leavesOn: '2026-10-01' })] };
    given(roster('01', named('A')), roster('02', named('A')))
      .when(roster('01', gone))
      .then('applied', 'moved A 02');
    given(roster('', named('A', 'B')))
      .when(roster('01', gone))
      .then('applied', 'left A ');
  });
  test('a day of leaving that ends counts at its own site', () => {
    const state = known(
      roster('01', named('A')),
      roster('02', { learners: [learner('A', { leavesOn: '2027-02-01' })] }),
    );
    const later = Date.parse('2027-03-01T10:00:00Z');
    const end = (of: RosterState) =>
      decide(of, { type: 'EndDay', schoolOin: school, schoolYear: year, learner: 'A', now: later });
    expect(told(end(state))).toEqual(['moved A 01']);
    expect(told(end(known(roster('02', { learners: [learner('A', { leavesOn: '2027-02-01' })] }))))).toEqual([
      'left A 02',
    ]);
  });
  test('teachers of two sites keep the groups of both; a group of two sites closes with the last', () => {
    const one = roster('01', { groups: [group('g'), group('both')], staff: [teacher('T', 'g')], ...named('A') });
    const two = roster('02', { groups: [group('h'), group('both')], staff: [teacher('T', 'h')], ...named('B') });
    given(one).when(two).then('applied', 'opened h 02', 'changed both 01+02', 'joined B 02', 'changed T 01+02');
    given(one, two).when(one).then('applied');
    expect(
      known(one, two)
        .staff.get('T')!
        .groups.map((row) => row.group),
    ).toEqual(['g', 'h']);
    given(one, two)
      .when(roster('01', named('A')))
      .then('applied', 'changed both 02', 'changed T 02', 'closed g 01');
  });
  test('a group that the pupil of another roster is in stays until that roster lets go', () => {
    const whole = roster('', { groups: [group('g')], learners: ['A', 'B'].map((one) => learner(one, { group: 'g' })) });
    const site = roster('01', { groups: [group('g')], learners: [learner('A', { group: 'g' })] });
    const empty = roster('01', { groups: [group('k')], learners: [learner('A', { group: 'k' })] });
    given(whole, site).when(empty).then('applied', 'opened k 01', 'changed g ', 'moved A 01');
    given(whole, site, empty)
      .when(roster('01', { groups: [group('k')], learners: ['A', 'B'].map((one) => learner(one, { group: 'k' })) }))
      .then('applied', 'moved B 01', 'closed g ');
  });
});

describe('rosters of administrations', () => {
  test('of one school leave each other alone; a site with none named is of all of them', () => {
    given(roster('/00001', named('A')))
      .when(roster('/00002', named('B')))
      .then('applied', 'joined B ');
    given(roster('01/00001', named('A')), roster('01/00002', named('B')))
      .when(roster('01', named('A')))
      .then('held leaves_out_site');
    given(roster('01/00001', named('A', 'B')), roster('01/00002', named('C')))
      .when(roster('01', named('A', 'C')))
      .then('applied 01', 'left B 01');
    given(roster('00/00001', named('A')), roster('00/00002', named('B')))
      .when(roster('00/00001', named('C')))
      .then('applied', 'joined C 00', 'left A 00');
  });
});

describe('rosters of the whole school', () => {
  test('are as they were where no site sent one', () => {
    given(roster('', named('A', 'B')))
      .when(roster('', named('B')))
      .then('applied', 'left A ');
    // None and 00 are one: nobody moves because a sender writes the code.
    given(roster('', named('A', 'B')))
      .when(roster('00', named('B')))
      .then('applied', 'left A ');
    given(roster('00', named('A', 'B')))
      .when(roster('', named('B')))
      .then('applied', 'left A 00');
  });
  test('after those of sites take their place, and say which', () => {
    given(roster('01', named('A', 'B')), roster('02', named('C', 'D')))
      .when(roster('', named('A', 'C', 'D')))
      .then('applied 01 02', 'moved A ', 'moved C ', 'moved D ', 'left B 01');
  });
  test('that lack most of a site are held, however small it is', () => {
    given(roster('01', named('A')), roster('02', named('C', 'D')))
      .when(roster('', named('C', 'D')))
      .then('held leaves_out_site');
  });
  test('before those of sites: a site takes its pupils over, and the others stay', () => {
    const whole = roster('', named('A', 'B', 'C'));
    given(whole)
      .when(roster('01', named('A')))
      .then('applied', 'moved A 01');
    given(whole, roster('01', named('A', 'B')))
      .when(roster('01', named('A')))
      .then('applied', 'left B 01');
    // 00 is the main site now: those whom nobody took over are not its to remove.
    given(whole, roster('01', named('A')))
      .when(roster('00', named('B')))
      .then('applied');
  });
});

describe('when a roster was made', () => {
  const made = (scope: string, ms: number, ...tokens: string[]) =>
    roster(scope, { ...named(...tokens), madeMs: now + ms });
  test('counts within its site', () => {
    given(made('01', 5, 'A'))
      .when(made('02', 1, 'B'))
      .then('applied', 'joined B 02');
    given(made('01', 5, 'A'))
      .when(made('01', 1, 'B'))
      .then('refused state.conflict');
    given(made('01', 5, 'A'), made('02', 1, 'B'))
      .when(made('02', 2, 'B'))
      .then('applied');
  });
  test('and against one of the whole school, both ways', () => {
    given(made('', 5, 'A'))
      .when(made('01', 1, 'B'))
      .then('refused state.conflict');
    given(made('01', 5, 'A'))
      .when(made('', 1, 'A', 'B'))
      .then('refused state.conflict');
    given(made('', 5, 'A'))
      .when(made('00', 1, 'A'))
      .then('refused state.conflict');
  });
});

describe('holds', () => {
  const both = known(roster('01', { learners: pupils('A', 40) }), roster('02', { learners: pupils('B', 40) }));
  const hold = (holdId: string, scope: string, madeMs = 0) => ({
    holdId,
    rosterId: `r-${holdId}`,
    year,
    flowId: `f-${holdId}`,
    state: 'waiting',
    madeMs,
    partial: false,
    siteCode: scopeOf(scope).site,
    administration: scopeOf(scope).administration,
  });
  const waiting = { ...both, waiting: [hold('a', '01'), hold('b', '02')] };
  test('of another site stay; that of the same site makes room', () => {
    expect(told(close(waiting, roster('01', { learners: pupils('A', 40) })))).toEqual([
      'refused state.conflict a',
      'applied',
    ]);
    expect(told(close(waiting, roster('01', { learners: pupils('A', 5) })))).toEqual([
      'refused state.conflict a',
      'held truncated',
    ]);
  });
  test('of sites make room for a roster of the whole school that counts, and stand beside one that waits', () => {
    const all = { learners: [...pupils('A', 40), ...pupils('B', 40)] };
    expect(told(close(waiting, roster('', all))).slice(0, 3)).toEqual([
      'refused state.conflict a',
      'refused state.conflict b',
      'applied 01 02',
    ]);
    expect(told(close(waiting, roster('', { learners: pupils('A', 40) })))).toEqual(['held leaves_out_site']);
  });
  test('of the whole school is too old once a site sent a newer roster', () => {
    const state = known(roster('01', { ...named('A'), madeMs: now }));
    const document = roster('', { ...named('A', 'B'), madeMs: now - 5 });
    const of = { ...hold('w', '', now - 5) };
    const decided = decide(state, {
      type: 'DecideHold',
      schoolOin: school,
      holdId: 'w',
      approve: true,
      hold: of,
      document,
      now,
    });
    expect(told(decided)).toEqual(['refused state.conflict w', 'refused state.conflict w']);
  });
});

describe('any sequence', () => {
  const tokens = ['A', 'B', 'C', 'D', 'E', 'F'];
  const some = fc.subarray(tokens);
  const leaving = fc.subarray(tokens, { maxLength: 2 });
  const step = (scopes: string[]) => fc.record({ scope: fc.constantFrom(...scopes), some, leaving });
  const document = ({ scope, some, leaving }: { scope: string; some: string[]; leaving: string[] }) =>
    roster(scope, {
      learners: some.map((token) => learner(token, { leavesOn: leaving.includes(token) ? '2026-11-01' : '' })),
    });
  const isApplied = ({ events }: { events: readonly RosterEvent[] }) =>
    events.some(({ name }) => name === 'RosterApplied');

  test('of sites and administrations never removes whom the latest roster of any of them names', () => {
    fc.assert(
      fc.property(fc.array(step(['00', '01', '02', '03/00001', '03/00002']), { maxLength: 15 }), (steps) => {
        const latest = new Map<string, Set<string>>();
        let state = nothingKnown;
        for (const one of steps) {
          const decided = close(state, document(one));
          if (isApplied(decided))
            latest.set(one.scope, new Set(one.some.filter((token) => !one.leaving.includes(token))));
          state = evolved(state, decided);
          const anywhere = new Set([...latest.values()].flatMap((names) => [...names]));
          for (const event of decided.events)
            if (event.name === 'LearnerLeft') expect(anywhere.has(event.key)).toBe(false);
          expect(new Set(state.learners.keys())).toEqual(anywhere);
          expect(state.size).toBe(anywhere.size);
          for (const [token, { siteCodes }] of state.learners) {
            const codes = [...latest].filter(([, names]) => names.has(token)).map(([word]) => scopeOf(word).site);
            expect(siteCodes).toEqual([...new Set(codes)].sort());
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('with rosters of the whole school between them: it takes the place of all, a site takes its own over', () => {
    fc.assert(
      fc.property(fc.array(step(['', '', '00', '01', '02']), { maxLength: 15 }), (steps) => {
        let names = new Map<string, Set<string>>();
        let hasSites = false;
        let state = nothingKnown;
        for (const one of steps) {
          const decided = close(state, document(one));
          if (isApplied(decided)) {
            const present = new Set(one.some.filter((token) => !one.leaving.includes(token)));
            hasSites ||= one.scope === '01' || one.scope === '02';
            if (one.scope === '' || (one.scope === '00' && !hasSites)) names = new Map();
            // Whom a site names, also as having left, the roster of the whole school names no longer.
            const whole = names.get('');
            if (one.scope !== '') for (const token of one.some) whole?.delete(token);
            names.set(one.scope, present);
          } else expect(decided.events.map(({ name }) => name)).toEqual(['RosterHeld']);
          state = evolved(state, decided);
          expect([...state.learners.keys()].sort()).toEqual(
            [...new Set([...names.values()].flatMap((of) => [...of]))].sort(),
          );
        }
      }),
      { numRuns: 500 },
    );
  });
});
