/** Times in which nothing of a school or a party is taken away or disturbed. */
import type { Freeze } from '#proto/eduk/core/v1/party';
import type { FreezeView, PartyName } from '#proto/eduk/operator/v1/operator';
import { oin, schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
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
    const answer = await call.gateway().ask('setFreeze', {
      schoolOin,
      partyOin,
      all,
      from: call.one('from') ?? '',
      until: call.one('until')!,
      reason: call.one('reason')!,
    });
    const refusal = refusalIn(answer.decision);
    if (refusal) throw refusal;
    const { freeze, unchanged, flowId } = answer;
    return {
      json: { flowId, unchanged, freeze: freeze ? json(freeze) : null },
      ...(freeze ? { text: text(freeze) } : {}),
      said: freeze
        ? unchanged
          ? 'It was set already.'
          : `It ends by itself; earlier by eduk freeze end ${freeze.freezeId}.`
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
  flags: { confirm: { about: 'Stand in for the second person, on loopback.' } },
  notes: ['With EDUK_FREEZE_SECOND=yes it stands until a second person ends it too.'],
  async run(call): Promise<Result> {
    const asked = { freezeId: call.args('FREEZE')[0]!, confirm: call.has('confirm') };
    const { decision, flowId, freeze } = await call.gateway().ask('endFreeze', asked);
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    const isOver = (freeze?.endedMs ?? 0n) > 0n;
    return {
      json: { flowId, ended: isOver, freeze: freeze ? json(freeze) : null },
      ...(freeze ? { text: text(freeze) } : {}),
      said: !decision?.outcome
        ? `Accepted, not decided yet; follow it with eduk flow show ${flowId}`
        : isOver
          ? 'It is ended; what waited for it goes on, unless another freeze holds it.'
          : freeze?.endAskedBy
            ? 'It stands until a second person ends it too.'
            : 'It was over.',
    };
  },
};
