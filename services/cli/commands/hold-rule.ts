/** Rules that let go what would wait for approval, for a while and up to so much. */
import { holdRuleKinds } from '#kernel';
import type { HoldAsk, HoldRule } from '#proto/eduk/core/v1/party';
import type { HoldRuleUse, HoldRuleView, PartyName, RuledHold } from '#proto/eduk/operator/v1/operator';
import { schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, span, table } from '../print.ts';
import { misuse, refusalIn } from '../problem.ts';
import { heldBecause, whyNotWords } from './hold.ts';

const WORD = /^[\w.:/@+#-]{1,64}$/;
const MOMENT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d)?$/;

const moment = (value: string): string | undefined =>
  MOMENT.test(value) ? undefined : 'must be a day, YYYY-MM-DD, or a moment, YYYY-MM-DDTHH:MM';
const whole = (value: string): string | undefined => (/^\d{1,6}$/.test(value) ? undefined : 'must be a whole number');

const nameIn = (names: readonly PartyName[], of: string): string | null =>
  names.find((one) => one.oin === of)?.name ?? null;
const who = ({ byPerson, byOin }: HoldRule): string => (byPerson ? byPerson.slice(0, 8) : byOin);

const json = (rule: HoldRule, names: readonly PartyName[] = []) => ({
  ruleId: rule.ruleId,
  schoolOin: rule.schoolOin || null,
  schoolName: nameIn(names, rule.schoolOin),
  kinds: rule.kinds,
  yearGroups: rule.yearGroups,
  from: isoTime(rule.fromMs),
  until: isoTime(rule.untilMs),
  mostPercent: rule.mostPercent,
  mostCount: rule.mostCount || null,
  reason: rule.reason,
  by: who(rule),
  set: isoTime(rule.setMs),
  approved: isoTime(rule.approvedMs),
  ended: isoTime(rule.endedMs),
  waiting: rule.waiting,
});

/** `leavers of 8, at most 15 % and 90`. */
const boundWords = ({ kinds, yearGroups, mostPercent, mostCount }: HoldRule): string =>
  `${kinds.join(', ')}${yearGroups.length > 0 ? ` of ${yearGroups.join(', ')}` : ''}, at most ${mostPercent} %${mostCount > 0 ? ` and ${mostCount}` : ''}`;
const scopeWords = ({ schoolOin }: HoldRule, names: readonly PartyName[] = []): string =>
  schoolOin === '' ? 'all schools' : (nameIn(names, schoolOin) ?? schoolOin);

const text = (rule: HoldRule): string =>
  list([
    ['rule', rule.ruleId],
    ['of', scopeWords(rule)],
    ['lets go', boundWords(rule)],
    ['from', dutchTime(rule.fromMs)],
    ['until', dutchTime(rule.untilMs)],
    ['reason', rule.reason],
    ['set by', who(rule)],
  ]);

/** `90 of 600 learners (leavers)`. */
const askWords = (asks: readonly HoldAsk[]): string =>
  asks
    .map(({ kind, of, count, base }) => (of === '' ? heldBecause(kind) : `${count} of ${base} ${of} (${kind})`))
    .join('; ');

const ruledRow = ({ holdId, schoolName, schoolOin, state, asks, whyNot }: RuledHold): string[] => [
  schoolName || schoolOin,
  askWords(asks),
  state,
  whyNot === '' ? 'released' : `waits: ${whyNotWords(whyNot)}`,
  holdId,
];

const ruledTable = (title: string, holds: readonly RuledHold[]): string =>
  holds.length === 0
    ? `${title}: none.`
    : `${title}:\n${table(['school', 'what', 'state', 'by this rule', 'hold'], holds.map(ruledRow))}`;

const ruledJson = ({ holdId, schoolOin, reason, state, sinceMs, asks, whyNot }: RuledHold) => ({
  ...{ holdId, schoolOin, reason, state, since: isoTime(sinceMs), asks },
  released: whyNot === '',
  whyNot: whyNot || null,
});

const asked = (call: Call) => {
  const schoolOin = call.one('school') ?? '';
  if ((schoolOin === '') !== call.has('all')) throw misuse('Say --school, or --all for every school.');
  return {
    schoolOin,
    all: call.has('all'),
    kinds: [...call.all('kind')],
    yearGroups: [...call.all('year-group')],
    from: call.one('from') ?? '',
    until: call.one('until') ?? '',
    mostPercent: Number(call.one('percent')),
    mostCount: Number(call.one('count') ?? 0),
    reason: call.one('reason') ?? '',
    waiting: call.has('waiting'),
  };
};

export const addHoldRule: Command = {
  name: 'hold rule add',
  about: 'Let go by itself what would wait for approval, for a while and up to so much.',
  flags: {
    school: schoolFlag('At this school.'),
    all: { about: 'At every school, of each so much.' },
    kind: {
      about: 'What it lets go. A roster that also waits for something else waits on.',
      value: 'KIND',
      many: true,
      required: true,
      choices: holdRuleKinds,
    },
    'year-group': { about: 'Of leavers: only where all are of these year groups.', value: 'YEAR', many: true },
    percent: {
      about: 'In all while it stands: of what was there when it was first used, 1 to 50; of renames alone to 100.',
      value: 'N',
      required: true,
      check: whole,
    },
    count: { about: 'And no more than so many, in all.', value: 'N', check: whole },
    from: {
      about: 'From this Dutch day or moment on, YYYY-MM-DD or YYYY-MM-DDTHH:MM; without it from now.',
      value: 'DAY',
      check: moment,
    },
    until: {
      about: 'Through this Dutch day, or until this moment. At most 60 days.',
      value: 'DAY',
      required: true,
      check: moment,
    },
    reason: {
      about: 'What it is called, such as year-end-2027.',
      value: 'WORD',
      required: true,
      check: (value) =>
        WORD.test(value) ? undefined : 'must be one word of at most 64 characters, no name of a person',
    },
    waiting: { about: 'Look at what waits already too; without it that waits on.' },
    preview: { about: 'Only say what it would let go, now and of the last 30 days.' },
  },
  notes: [
    'Never by a rule: a roster that is empty or cut off, staff who leave, what was turned down before.',
    'With EDUK_HOLD_SECOND_PERSON=yes it stands once a second person approved it.',
  ],
  async run(call): Promise<Result> {
    const of = asked(call);
    if (call.has('preview')) {
      const { waiting, decided } = await call.gateway().ask('previewHoldRule', { asked: of });
      return {
        json: { waiting: waiting.map(ruledJson), decided: decided.map(ruledJson) },
        text: [ruledTable('What waits now', waiting), ruledTable('What was held in the last 30 days', decided)].join(
          '\n\n',
        ),
        said:
          of.waiting || waiting.every(({ whyNot }) => whyNot !== '')
            ? undefined
            : 'What waits now goes on only with --waiting.',
      };
    }
    const { decision, flowId, rule, unchanged } = await call.gateway().ask('setHoldRule', of);
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    return {
      json: { flowId, unchanged, rule: rule ? json(rule) : null },
      ...(rule ? { text: text(rule) } : {}),
      said: !rule
        ? `Accepted, not decided yet; follow it with eduk flow show ${flowId}`
        : rule.approvedMs === 0n
          ? `It stands once a second person approved it: eduk hold rule approve ${rule.ruleId}`
          : `${unchanged ? 'It stood already. ' : ''}It ends by itself; earlier by eduk hold rule end ${rule.ruleId}.`,
    };
  },
};

const states: Readonly<Record<string, string>> = {
  stands: 'stands',
  to_come: 'to come',
  asked: 'waits for a second person',
  over: 'over',
  ended: 'ended early',
};

/** `14 of 20 learners`, with what rules beside it let go: `(6 by others)`. */
const useWords = ({ kind, of, count, beside, most }: HoldRuleUse, kinds: readonly string[]): string =>
  `${count + beside} of ${most} ${of}${kinds.length > 1 ? ` (${kind})` : ''}${beside > 0 ? `, ${beside} by others` : ''}`;

/** Of a rule of all schools where most of it is used, and at how many others. */
function usedWords({ rule, used, schools }: HoldRuleView, names: readonly PartyName[]): string {
  const { schoolOin, kinds } = rule!;
  if (used.length === 0) return '-';
  if (schoolOin !== '') return used.map((one) => useWords(one, kinds)).join('\n');
  const [most] = used;
  const rest = schools > 1 ? `, less at ${counted(schools - 1, 'other')}` : '';
  return `${useWords(most!, kinds)} at ${nameIn(names, most!.schoolOin) ?? most!.schoolOin}${rest}`;
}

const row =
  (names: readonly PartyName[], now: number) =>
  (view: HoldRuleView): string[] => {
    const { rule, state, released, endsSoon } = view;
    const until = rule!.endedMs || rule!.untilMs;
    return [
      `${rule!.ruleId}\n${rule!.reason}`,
      scopeWords(rule!, names),
      boundWords(rule!),
      usedWords(view, names),
      `${dutchTime(until)}${endsSoon ? `\nends in ${span(Number(until) - now)}` : ''}`,
      states[state] ?? state,
      String(released),
    ];
  };

export const listHoldRules: Command = {
  name: 'hold rule list',
  about: 'List the rules that let go what would wait for approval, with how much of each is used.',
  flags: {
    school: schoolFlag('That are about this school.'),
    past: { about: 'Those that are over too.' },
  },
  async run(call): Promise<Result> {
    const of = { schoolOin: call.one('school') ?? '', past: call.has('past') };
    const { rules, names } = await call.gateway().ask('listHoldRules', of);
    return {
      json: {
        rules: rules.map(({ rule, state, released, used, schools, endsSoon }) => ({
          ...{ state, released, endsSoon, schools },
          used: used.map((one) => ({ ...one, schoolName: nameIn(names, one.schoolOin) })),
          ...json(rule!, names),
        })),
      },
      text:
        rules.length === 0
          ? 'No rule lets anything go.'
          : table(
              ['rule', 'of', 'lets go', 'used', 'until', 'state', 'released'],
              rules.map(row(names, call.streams.now())),
            ),
    };
  },
};

const which = [{ name: 'RULE', about: 'Its id, from eduk hold rule list.' }] as const;

export const approveHoldRule: Command = {
  name: 'hold rule approve',
  about: 'Say as a second person that a rule may stand.',
  arguments: which,
  flags: { confirm: { about: 'Stand in for the second person, on loopback.' } },
  async run(call): Promise<Result> {
    const of = { ruleId: call.args('RULE')[0]!, confirm: call.has('confirm') };
    const { decision, flowId, rule } = await call.gateway().ask('approveHoldRule', of);
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    return {
      json: { flowId, approved: (rule?.approvedMs ?? 0n) > 0n, rule: rule ? json(rule) : null },
      ...(rule ? { text: text(rule) } : {}),
      said: decision?.outcome ? 'It stands.' : `Accepted, not decided yet; follow it with eduk flow show ${flowId}`,
    };
  },
};

export const endHoldRule: Command = {
  name: 'hold rule end',
  about: 'End a rule at once: what comes from now on waits for approval again.',
  arguments: which,
  flags: {},
  async run(call): Promise<Result> {
    const { decision, flowId, rule } = await call.gateway().ask('endHoldRule', { ruleId: call.args('RULE')[0]! });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    const isEnded = (rule?.endedMs ?? 0n) > 0n;
    return {
      json: { flowId, ended: isEnded, rule: rule ? json(rule) : null },
      ...(rule ? { text: text(rule) } : {}),
      said: !decision?.outcome
        ? `Accepted, not decided yet; follow it with eduk flow show ${flowId}`
        : isEnded
          ? 'It is ended: what comes from now on waits for approval.'
          : 'It was over.',
    };
  },
};
