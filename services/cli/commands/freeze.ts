/** Times in which nothing of a school or a party is taken away or disturbed. */
import type { Freeze } from '#proto/eduk/core/v1/party';
import type { FreezeView, FrozenWork, PartyName } from '#proto/eduk/operator/v1/operator';
import { oin, schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { asks, goingFlags, previewed, sure, UNCHANGED, UNCOUNTED } from '../going.ts';
import { dutchTime, isoTime, list, table } from '../print.ts';
import { misuse, refusalIn } from '../problem.ts';

const WORD = /^[\w.:/@+#-]{1,64}$/;
const MOMENT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d)?$/;

const moment = (value: string): string | undefined =>
  MOMENT.test(value) ? undefined : 'must be a day, YYYY-MM-DD, or a moment, YYYY-MM-DDTHH:MM';

const nameIn = (names: readonly PartyName[], of: string): string | null =>
  names.find((one) => one.oin === of)?.name ?? null;

const json = (freeze: Freeze, names: readonly PartyName[] = []) => ({
  freezeId: freeze.freezeId,
  schoolOin: freeze.schoolOin || null,
  schoolName: nameIn(names, freeze.schoolOin),
  partyOin: freeze.partyOin || null,
  partyName: nameIn(names, freeze.partyOin),
  from: isoTime(freeze.fromMs),
  until: isoTime(freeze.untilMs),
  reason: freeze.reason,
  by: freeze.byPerson ? freeze.byPerson.slice(0, 8) : freeze.byOin,
  set: isoTime(freeze.setMs),
  ended: isoTime(freeze.endedMs),
  endAsked: freeze.endAskedBy !== '',
});

export const scope = ({ schoolOin, partyOin }: Freeze, names: readonly PartyName[] = []): string => {
  const named = (of: string) => nameIn(names, of) ?? of;
  if (schoolOin === '' && partyOin === '') return 'all schools and parties';
  return [schoolOin, partyOin].filter(Boolean).map(named).join(', ');
};

const kinds: Readonly<Record<string, [one: string, many: string, of: string]>> = {
  replay: ['replay', 'replays', 'messages'],
  school_change: ['change of school', 'changes of school', 'learners'],
  roster: ['roster', 'rosters', 'leave or renamed'],
  withdrawal: ['lot of withdrawals or blocks', 'lots of withdrawals or blocks', 'licences'],
};

const workJson = (work: FrozenWork, names: readonly PartyName[] = []) => ({
  kind: work.kind,
  id: work.id,
  schoolOin: work.schoolOin || null,
  schoolName: nameIn(names, work.schoolOin),
  toSchoolOin: work.toSchoolOin || null,
  onDay: work.onDay || null,
  partyOin: work.partyOin || null,
  partyName: nameIn(names, work.partyOin),
  count: Number(work.count),
  since: isoTime(work.sinceMs),
  waitsOn: work.waitsOn,
  about: work.about,
});

const worksTable = (works: readonly FrozenWork[], names: readonly PartyName[]): string => {
  const named = (of: string) => nameIn(names, of) ?? of;
  const isOnward = works.some(({ waitsOn }) => waitsOn);
  return table(
    ['what', 'of', 'how many', 'since', ...(isOnward ? ['then'] : [])],
    works.map(({ kind, schoolOin, toSchoolOin, partyOin, onDay, count, about, sinceMs, waitsOn }) => [
      kinds[kind]?.[0] ?? kind,
      [
        partyOin && named(partyOin),
        toSchoolOin ? `${named(schoolOin)} to ${named(toSchoolOin)}` : named(schoolOin),
        onDay,
      ]
        .filter(Boolean)
        .join('\n'),
      count === 0n ? '' : `${about ? 'about ' : ''}${count} ${kinds[kind]?.[2] ?? ''}`,
      dutchTime(sinceMs),
      ...(isOnward ? [waitsOn ? 'waits on' : 'goes on'] : []),
    ]),
  );
};

/** In one sentence: `2 replays and 1 roster rest`; empty = there are none. */
function worksSaid(works: readonly FrozenWork[], how: (isOne: boolean) => string): string {
  const by = Map.groupBy(works, ({ kind }) => kind);
  const parts = [...by].map(([kind, of]) => `${of.length} ${kinds[kind]?.[of.length === 1 ? 0 : 1] ?? kind}`);
  if (parts.length === 0) return '';
  const since = works.map(({ sinceMs }) => sinceMs).reduce((a, b) => (b > 0n && (a === 0n || b < a) ? b : a), 0n);
  const oldest = since > 0n ? `, the oldest since ${dutchTime(since)}` : '';
  const all = parts.length === 1 ? parts[0]! : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
  return `${all} ${how(works.length === 1)}${oldest}.`;
}

const goOnSaid = (works: readonly FrozenWork[]): string => {
  const goesOn = worksSaid(
    works.filter(({ waitsOn }) => !waitsOn),
    (isOne) => (isOne ? 'goes on' : 'go on'),
  );
  const waitsOn = worksSaid(
    works.filter((one) => one.waitsOn),
    (isOne) => (isOne ? 'waits on for another freeze' : 'wait on for another freeze'),
  );
  return [goesOn, waitsOn].filter(Boolean).join(' ');
};

const text = (freeze: Freeze): string =>
  list([
    ['freeze', freeze.freezeId],
    ['of', scope(freeze)],
    ['from', dutchTime(freeze.fromMs)],
    ['until', dutchTime(freeze.untilMs)],
    ['reason', freeze.reason],
  ]);

export const setFreeze: Command = {
  name: 'freeze set',
  about: 'Set a freeze: until it ends nothing of a school or a party is taken away or disturbed.',
  flags: {
    school: schoolFlag('Of this school.'),
    party: { about: 'Of what this party sends or receives.', value: 'OIN', check: oin },
    all: { about: 'Of all schools and parties.' },
    from: {
      about: 'From this Dutch day or moment on, YYYY-MM-DD or YYYY-MM-DDTHH:MM; without it from now.',
      value: 'DAY',
      check: moment,
    },
    until: {
      about: 'Through this Dutch day, or until this moment. At most 92 days.',
      value: 'DAY',
      required: true,
      check: moment,
    },
    reason: {
      about: 'What it is called, such as exams-2027.',
      value: 'WORD',
      required: true,
      check: (value) =>
        WORD.test(value) ? undefined : 'must be one word of at most 64 characters, no name of a person',
    },
    preview: { about: 'Only say what it would stop of what stands now; nothing is changed.' },
    yes: goingFlags.yes,
  },
  notes: [
    'Withdrawals, blocks, rosters that take away or rename, school changes and replays wait, and go on by themselves when it ends. Keys are not rotated meanwhile.',
    'Sign-in, launch, grants and results pass.',
    'Where freezes overlap, each holds until its own end.',
  ],
  async run(call): Promise<Result> {
    const [schoolOin = '', partyOin = ''] = [call.one('school'), call.one('party')];
    const all = call.has('all');
    if (all === (schoolOin !== '' || partyOin !== ''))
      throw misuse('Say of what: --school, --party, both (a party at a school), or --all.');
    const asked = {
      ...{ schoolOin, partyOin, all, from: call.one('from') ?? '' },
      ...{ until: call.one('until')!, reason: call.one('reason')! },
    };
    const preview = () => call.gateway().ask('previewFreeze', { asked });
    if (call.has('preview')) {
      const { freeze, goesOnMs, beside, works, names } = await preview();
      const later =
        goesOnMs > freeze!.untilMs ? `What waits goes on at ${dutchTime(goesOnMs)}: others hold until then. ` : '';
      const sooner = beside.some(({ freeze: other, state }) => state === 'holds' && other!.untilMs < freeze!.untilMs)
        ? 'Others that hold now end sooner: what of this waits for them waits until this one ends. '
        : '';
      return {
        json: {
          freeze: { ...json(freeze!, names), freezeId: null, set: null },
          goesOn: isoTime(goesOnMs),
          beside: beside.map(({ freeze: other, state }) => ({ state, ...json(other!, names) })),
          works: works.map((work) => workJson(work, names)),
        },
        text: works.length === 0 ? 'It stops nothing that runs or is planned.' : worksTable(works, names),
        said: `${later}${sooner}${UNCHANGED}`,
      };
    }
    if (asks(call)) {
      const seen = await previewed(preview);
      if (seen === undefined) await sure(call, UNCOUNTED);
      else if (seen.works.length > 0) await sure(call, worksTable(seen.works, seen.names));
    }
    const answer = await call.gateway().ask('setFreeze', asked);
    const refusal = refusalIn(answer.decision);
    if (refusal) throw refusal;
    const { freeze, unchanged, flowId, works, uncounted } = answer;
    const stops = uncounted ? UNCOUNTED : worksSaid(works, (isOne) => (isOne ? 'waits for it' : 'wait for it'));
    return {
      json: {
        ...{ flowId, unchanged, freeze: freeze ? json(freeze) : null },
        ...(works.length > 0 ? { works: works.map((work) => workJson(work)) } : {}),
        ...(uncounted ? { uncounted } : {}),
      },
      ...(freeze ? { text: text(freeze) } : {}),
      said: freeze
        ? unchanged
          ? 'It was set already.'
          : `${stops === '' ? '' : `${stops}\n`}It ends by itself; earlier by eduk freeze end ${freeze.freezeId}.`
        : `Accepted, not decided yet; follow it with eduk flow show ${flowId}`,
    };
  },
};

const states: Readonly<Record<string, string>> = {
  holds: 'holds',
  to_come: 'to come',
  over: 'over',
  ended: 'ended early',
};

const row = (names: readonly PartyName[]) => (view: FreezeView) => {
  const { freeze, state } = view;
  const { freezeId, fromMs, untilMs, endedMs, reason, endAskedBy } = freeze!;
  const word = `${states[state] ?? state}${endAskedBy !== '' && endedMs === 0n ? '\nits end is asked' : ''}`;
  return [reason, scope(freeze!, names), dutchTime(fromMs), dutchTime(endedMs || untilMs), word, freezeId];
};

export const listFreezes: Command = {
  name: 'freeze list',
  about: 'List the freezes that hold or are to come.',
  flags: {
    school: schoolFlag('That are about this school.'),
    party: { about: 'That are about this party.', value: 'OIN', check: oin },
    past: { about: 'Those that are over too.' },
  },
  async run(call): Promise<Result> {
    const { freezes, names } = await call.gateway().ask('listFreezes', {
      schoolOin: call.one('school') ?? '',
      partyOin: call.one('party') ?? '',
      past: call.has('past'),
    });
    return {
      json: { freezes: freezes.map(({ freeze, state }) => ({ state, ...json(freeze!, names) })) },
      text:
        freezes.length === 0
          ? 'Nothing is frozen.'
          : table(['freeze', 'of', 'from', 'until', 'state', 'id'], freezes.map(row(names))),
    };
  },
};

export const endFreeze: Command = {
  name: 'freeze end',
  about: 'End a freeze early: what waited for it goes on.',
  arguments: [{ name: 'FREEZE', about: 'Its id, from eduk freeze list.' }],
  flags: { confirm: { about: 'Stand in for the second person, on loopback.' }, ...goingFlags },
  notes: ['With EDUK_FREEZE_SECOND=yes it stands until a second person ends it too.'],
  async run(call): Promise<Result> {
    const asked = { freezeId: call.args('FREEZE')[0]!, confirm: call.has('confirm') };
    const preview = () => call.gateway().ask('previewFreeze', { freezeId: asked.freezeId });
    if (call.has('preview')) {
      const { freeze, works, names } = await preview();
      return {
        json: { freeze: json(freeze!, names), works: works.map((work) => workJson(work, names)) },
        text: works.length === 0 ? 'Nothing waits for it now.' : worksTable(works, names),
        said: UNCHANGED,
      };
    }
    if (asks(call)) {
      const seen = await previewed(preview);
      if (seen === undefined) await sure(call, UNCOUNTED);
      else if (seen.works.length > 0) await sure(call, worksTable(seen.works, seen.names));
    }
    const { decision, flowId, freeze, works, uncounted } = await call.gateway().ask('endFreeze', asked);
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    const isOver = (freeze?.endedMs ?? 0n) > 0n;
    return {
      json: {
        ...{ flowId, ended: isOver, freeze: freeze ? json(freeze) : null },
        ...(works.length > 0 ? { works: works.map((work) => workJson(work)) } : {}),
        ...(uncounted ? { uncounted } : {}),
      },
      ...(freeze ? { text: text(freeze) } : {}),
      said: !decision?.outcome
        ? `Accepted, not decided yet; follow it with eduk flow show ${flowId}`
        : isOver
          ? [
              'It is ended; what waited for it goes on, unless another freeze holds it.',
              uncounted ? UNCOUNTED : goOnSaid(works),
            ]
              .filter(Boolean)
              .join('\n')
          : freeze?.endAskedBy
            ? 'It stands until a second person ends it too.'
            : 'It was over.',
    };
  },
};
