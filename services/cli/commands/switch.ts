import type { PartyName, SwitchLine, SwitchStep } from '#proto/eduk/operator/v1/operator';
import { day, oin, school, schoolNamed } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { counted, list, paragraph, table } from '../print.ts';
import { errorJson, refusalIn } from '../problem.ts';
import { mandateStates, services } from '../words.ts';
import { mandateJson, named, wantsAcceptance } from './mandate.ts';

/** Parts of a preview, in order, with what they are called. */
const parts: Readonly<Record<string, string>> = {
  running: 'Left running at the old party',
  twice: 'Ordered, granted or told twice',
  dropped: 'Dropped between',
  mandate: 'To arrange',
};

const actors = (names: readonly PartyName[], from: string, to: string): Readonly<Record<string, string>> => {
  const name = (of: string, otherwise: string) => names.find((one) => one.oin === of)?.name ?? otherwise;
  return { from: name(from, 'the old party'), to: name(to, 'the new party'), school: 'the school', us: 'the operator' };
};

const lineJson = (line: SwitchLine) => ({
  part: line.part,
  what: line.what,
  count: Number(line.count),
  service: line.service ? services.word(line.service) : null,
  productId: line.productId || null,
  title: line.title || null,
  mandateId: line.mandateId || null,
  until: line.until || null,
  who: line.who || null,
  told: line.told,
  partial: line.partial,
});

const partTable = (lines: readonly SwitchLine[], who: Readonly<Record<string, string>>): string =>
  table(
    ['what', 'count', 'until', 'who', 'told'],
    lines.map((line) => [
      [
        line.what.replaceAll('_', ' '),
        line.service ? services.word(line.service) : '',
        line.title,
        line.productId,
        line.mandateId,
      ]
        .filter(Boolean)
        .join('\n'),
      `${line.partial ? 'at least ' : ''}${line.count}`,
      line.until,
      who[line.who] ?? '',
      line.told,
    ]),
  );

const stepJson = ({ step, mandate, flowId, decision }: SwitchStep) => ({
  step,
  mandate: mandate ? mandateJson(mandate) : null,
  flowId: flowId || null,
  changed: flowId !== '',
  code: decision?.code || null,
});

export const switchParty: Command = {
  name: 'switch',
  about: 'Say what a change of supplier leaves running, orders twice or drops between; with --apply make it.',
  flags: {
    school: { about: 'The school.', value: 'BRIN|OIN', required: true, check: school },
    from: { about: 'The old party.', value: 'OIN', required: true, check: oin },
    to: { about: 'The new party.', value: 'OIN', required: true, check: oin },
    on: { about: 'First Dutch day of the new party.', value: 'DAY', required: true, check: day },
    service: {
      about: 'For these services; without it all that the old party has.',
      value: 'SERVICE',
      many: true,
      choices: services.all,
    },
    'run-off-until': {
      about: 'Last day of the old party; without it the day of the change.',
      value: 'DAY',
      check: day,
    },
    apply: { about: 'Give the new mandate from the day on, and let the old one run off.' },
    confirm: { about: 'With --apply: confirm the new mandate at once, standing in for the school.' },
  },
  notes: [
    'Without --apply nothing is changed. The same change applied again changes nothing.',
    'A run-off refuses new orders and grants from the moment it is made; returns, credits, usage and results go on until its last day.',
    'Counts only: no learner is named, and sensitive titles are counted together.',
  ],
  async run(call): Promise<Result> {
    const change = {
      schoolOin: schoolNamed(call.one('school')!),
      fromOin: call.one('from')!,
      toOin: call.one('to')!,
      services: call.all('service').map(services.value),
      day: call.one('on')!,
      runOffUntil: call.one('run-off-until') ?? '',
    };
    const preview = await call.gateway().ask('previewSwitch', change, 60_000);
    const { lines, names, runOffUntil } = preview;
    const who = actors(names, change.fromOin, change.toOin);
    const facts = list([
      ['school', named(change.schoolOin, names).replace('\n', ', ')],
      ['from', named(change.fromOin, names).replace('\n', ', ')],
      ['to', named(change.toOin, names).replace('\n', ', ')],
      ['services', preview.services.map(services.word).join(', ')],
      ['first day of the new', change.day],
      ['last day of the old', runOffUntil],
    ]);
    const told = Object.entries(parts).flatMap(([part, title]) => {
      const some = lines.filter((line) => line.part === part);
      return some.length === 0 ? [] : [`${paragraph(title)}\n\n${partTable(some, who)}`];
    });
    const json = {
      schoolOin: change.schoolOin,
      fromOin: change.fromOin,
      toOin: change.toOin,
      services: preview.services.map(services.word),
      day: change.day,
      runOffUntil,
      lines: lines.map(lineJson),
    };
    if (!call.has('apply'))
      return {
        json: { ...json, applied: false },
        text: [facts, ...told].join('\n\n'),
        said: 'Nothing was changed; --apply makes this change.',
      };
    const done = await call.gateway().ask('applySwitch', { change, confirm: call.has('confirm') }, 60_000);
    const refused = done.steps.map(({ decision }) => refusalIn(decision)).find((one) => one !== undefined);
    const made = done.steps.filter(({ flowId }) => flowId !== '').length;
    const unconfirmed = done.steps.filter(
      ({ step, mandate }) => step === 'grant' && mandate && mandateStates.word(mandate.state) === 'unconfirmed',
    );
    const steps = table(
      ['step', 'mandate', 'services', 'state'],
      done.steps.map(({ step, mandate, flowId, decision }) => [
        step === 'grant' ? 'given to the new' : 'runs off at the old',
        mandate?.mandateId ?? '',
        (mandate?.services ?? []).map(services.word).join(', '),
        decision?.code ||
          `${mandate ? mandateStates.word(mandate.state) : 'not decided yet'}${flowId ? '' : ' (as before)'}`,
      ]),
    );
    const all = {
      ...json,
      applied: !refused,
      steps: done.steps.map(stepJson),
      autorisatiesleutel: done.autorisatiesleutel || null,
    };
    const text = [
      facts,
      ...told,
      steps,
      ...(done.autorisatiesleutel ? [list([['autorisatiesleutel', done.autorisatiesleutel]])] : []),
    ].join('\n\n');
    if (refused) return { json: { error: errorJson(refused), ...all }, text, said: refused.message, exit: 1 };
    const said = [
      made === 0 ? 'It was so already; nothing was changed.' : `${counted(made, 'step')} made.`,
      ...unconfirmed.map(({ mandate }) =>
        mandate!.confirmedBy !== ''
          ? wantsAcceptance(mandate!.mandateId)
          : `The new party gets nothing until it is confirmed: eduk mandate confirm ${mandate!.mandateId}`,
      ),
    ];
    return { json: all, text, said: said.join('\n') };
  },
};
