import { isDay, startOfDutchDay } from '#kernel';
import type { Service } from '#proto/eduk/core/v1/party';
import type { ReplayJob } from '#proto/eduk/delivery/v1/delivery';
import type { PartyName } from '#proto/eduk/operator/v1/operator';
import { oin, schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, paragraph, span, table } from '../print.ts';
import { Problem, refusalIn } from '../problem.ts';
import { following } from '../progress.ts';
import { mailboxWord, services } from '../words.ts';
import { named } from './mandate.ts';

/** What `eduk replay run` gives where nothing else is said. */
const RATE = 50;

/** A moment as a person types it: a Dutch day, or a time with its zone. */
export const momentOf = (text: string): number =>
  /^\d{4}-\d{2}-\d{2}$/.test(text) ? startOfDutchDay(text) : Date.parse(text);
export const moment = (text: string): string | undefined =>
  /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text) &&
  isDay(text.slice(0, 10)) &&
  !Number.isNaN(momentOf(text))
    ? undefined
    : 'must be a day, YYYY-MM-DD, or a time such as 2026-11-23T08:30:00+01:00';
const number = (text: string): string | undefined => (/^\d{1,6}$/.test(text) ? undefined : 'must be a whole number');

/** Why messages may not be sent now. */
const reasons: Readonly<Record<string, string>> = {
  'mandate.missing': 'no mandate allows it now',
  stopped: 'the party is stopped',
  closed: 'the school is closed, because it is forgotten',
  frozen: 'a freeze holds: eduk freeze list',
  forgotten: 'the learner is forgotten',
  route: 'the party is not told such things any more',
  refused: 'the endpoint takes nothing of the school',
  endpoint: 'no endpoint takes them',
  parked: 'parked until the mandate allows it, and then sent by itself',
};

const n = (count: bigint): number => Number(count);

export const jobJson = (job: ReplayJob) => {
  const { selection, forbidden } = job;
  const of = selection!;
  return {
    jobId: job.jobId,
    state: job.state,
    cause: job.cause || null,
    selection: {
      partyOin: of.partyOin,
      service: of.service === 0 ? null : services.word(of.service),
      schoolOin: of.schoolOin || null,
      key: of.key || null,
      about: of.about || null,
      flowId: of.flowId || null,
      events: of.types,
      from: isoTime(of.fromMs),
      until: isoTime(of.untilMs),
      again: of.again,
      outOfOrder: of.outOfOrder,
      reconciled: of.reconciled || null,
    },
    keptFrom: isoTime(job.keptFromMs),
    looked: n(job.looked),
    toLook: n(job.toLook),
    selected: n(job.selected),
    fresh: n(job.fresh),
    had: n(job.had),
    outOfOrder: n(job.outOfOrder),
    pending: n(job.pending),
    forbidden: Object.fromEntries(forbidden.map(({ reason, messages }) => [reason, n(messages)])),
    toSend: n(job.toSend),
    rate: job.rate,
    mostErrors: job.mostErrors,
    errors: n(job.errors),
    sent: n(job.sent),
    untold: n(job.untold),
    refused: n(job.refused),
    withheld: n(job.withheld),
    gone: n(job.gone),
    leftOut: n(job.leftOut),
    underWay: n(job.underWay),
    parked: n(job.parked),
    setBack: n(job.setBack),
    made: isoTime(job.madeMs),
    started: isoTime(job.startedMs),
    ended: isoTime(job.endedMs),
  };
};

/** What it comes to, as it was counted. */
export function countedText(job: ReplayJob): string {
  const { again, outOfOrder, fromMs } = job.selection!;
  const rows: [string, bigint, string][] = [
    ['the receiver does not have', job.fresh, 'sent'],
    ['the receiver has: would change nothing', job.had, again ? 'sent again' : 'not sent; --again sends them too'],
    [
      'out of order: later mail of their key is there',
      job.outOfOrder,
      outOfOrder ? 'sent' : 'not sent; --out-of-order sends them too',
    ],
    ['on their way, or waiting at the endpoint', job.pending, 'not sent here'],
    ...job.forbidden.map(({ reason, messages }): [string, bigint, string] => [
      `forbidden now: ${reasons[reason] ?? reason}`,
      messages,
      'not sent',
    ]),
  ];
  return [
    table(
      ['messages that', 'how many', 'what becomes of them'],
      [...rows.filter(([, many]) => many > 0n), ['selected', job.selected, `${job.toSend} to send`]],
    ),
    paragraph(
      job.keptFromMs === 0n
        ? 'Nothing is kept of this party.'
        : `Mail is kept since ${dutchTime(job.keptFromMs)}${fromMs > 0n && fromMs < job.keptFromMs ? ': of what was before, nothing can be sent' : ''}.`,
    ),
  ].join('\n\n');
}

/** What became of it, and what cannot be undone. */
function ranText(job: ReplayJob): string {
  return list([
    ['replay', job.jobId],
    ['state', job.cause === '' ? job.state : `${job.state}: ${causes[job.cause] ?? job.cause}`],
    ['sent', `${job.sent} of ${job.toSend}${job.sent > 0n ? ', which cannot be undone' : ''}`],
    ['under way', job.underWay > 0n ? `${job.underWay}, which may still arrive` : ''],
    [
      'waits for',
      job.state === 'waiting'
        ? `keys that are parked, ${counted(job.parked, 'message')} of it: eduk dead retry --party ${job.selection!.partyOin} goes on, eduk dead drop gives them up, eduk replay stop ${job.jobId} ends it`
        : '',
    ],
    ['set back', job.setBack > 0n ? `${job.setBack}, which never left` : ''],
    ['nothing to tell', job.untold || ''],
    ['refused by the receiver', job.refused || ''],
    ['not allowed any more', job.withheld || ''],
    ['gone from the mailbox', job.gone || ''],
    [
      'left out',
      job.leftOut > 0n ? `${job.leftOut}: newer mail of their key went out, or they may not be sent now` : '',
    ],
    ['requests that failed', `${job.errors} of ${job.mostErrors} that may`],
    ['messages a second', job.rate],
    ['began', dutchTime(job.startedMs)],
    ['ended', dutchTime(job.endedMs)],
  ]);
}

const causes: Readonly<Record<string, string>> = {
  operator: 'by an operator',
  party: 'by the party itself',
  errors: 'too many requests failed',
  endpoint: 'the party has no endpoint any more',
  parked: 'all that is left of it stands at keys that are parked',
  freeze: 'it waits until a freeze ends, eduk freeze list',
};

const isBegun = ({ startedMs }: ReplayJob): boolean => startedMs > 0n;

const COUNTING = { words: 'looked at' };
const SENDING = { words: 'sent' };

/** Follows it until it rests, and shows how far it is. */
export async function follow(call: Call, jobId: string): Promise<ReplayJob> {
  let last: ReplayJob | undefined;
  await following(call, COUNTING, async (progress) => {
    let isCounting = true;
    for await (const { replay } of call.gateway().watch('watchReplay', { jobId })) {
      const job = replay!;
      last = job;
      if (isCounting && job.state !== 'counting') progress.stage(SENDING);
      isCounting = job.state === 'counting';
      const settled = job.sent + job.untold + job.refused + job.withheld + job.gone + job.leftOut;
      if (isCounting) progress.set(n(job.looked), n(job.toLook));
      else progress.set(n(settled), n(job.toSend), job.errors > 0n ? counted(job.errors, 'failure') : '');
    }
  });
  if (!last)
    throw new Problem('peer.unavailable', 'The gateway stopped telling of the replay; eduk replay status shows it.');
  return last;
}

const JOB = [{ name: 'REPLAY', about: 'Its id, as eduk replay preview and status show it.' }] as const;

export const previewReplay: Command = {
  name: 'replay preview',
  about: 'Count what sending mail of a party again would come to now; nothing is sent.',
  flags: {
    party: { about: 'To this party.', value: 'OIN', check: oin, required: true },
    service: { about: 'Of this service.', value: 'SERVICE', choices: services.all },
    school: schoolFlag('Of this school.'),
    about: { about: 'About this order, entitlement, result, product or mandate.', value: 'ID' },
    key: { about: 'Of this key, as eduk dead list shows it.', value: 'KEY' },
    flow: { about: 'Of this flow.', value: 'FLOW' },
    event: { about: 'Of this kind, such as EntitlementGranted: docs/routes.md.', value: 'NAME', many: true },
    from: { about: 'Of this moment or later.', value: 'TIME', check: moment },
    until: { about: 'Of before this moment; without it, of before now.', value: 'TIME', check: moment },
    again: { about: 'Send also what the receiver said that it took.' },
    'out-of-order': { about: 'Send also what would come after later mail of its key.' },
  },
  notes: ['eduk replay run begins what was counted, within an hour. What that does, and its dangers: docs/replay.md.'],
  async run(call): Promise<Result> {
    const time = (flag: string) => BigInt(call.one(flag) === undefined ? 0 : momentOf(call.one(flag)!));
    const service = call.one('service');
    const { jobId, decision } = await call.gateway().ask('previewReplay', {
      selection: {
        partyOin: call.one('party')!,
        service: (service === undefined ? 0 : services.value(service)) as Service,
        schoolOin: call.one('school') ?? '',
        about: call.one('about') ?? '',
        key: call.one('key') ?? '',
        flowId: call.one('flow') ?? '',
        types: [...call.all('event')],
        fromMs: time('from'),
        untilMs: time('until'),
        again: call.has('again'),
        outOfOrder: call.has('out-of-order'),
        reconciled: '',
      },
    });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    const job = await follow(call, jobId);
    const takes =
      job.toSend === 0n ? '' : ` It takes about ${span((n(job.toSend) / RATE) * 1000)} at ${RATE} a second.`;
    return {
      json: jobJson(job),
      text: countedText(job),
      said:
        job.toSend === 0n
          ? 'There is nothing to send.'
          : `Begin it with eduk replay run ${jobId}.${takes} What was sent cannot be undone.`,
    };
  },
};

export const runReplay: Command = {
  name: 'replay run',
  about: 'Begin to send what was counted, and follow it.',
  arguments: JOB,
  flags: {
    rate: { about: `Messages a second, 1 to 5000; without it ${RATE}.`, value: 'N', check: number },
    errors: { about: 'Requests that may fail before it stops by itself; without it 10.', value: 'N', check: number },
    detach: { about: 'Do not wait for its end: eduk replay status shows it.' },
    confirm: { about: 'Stand in for the second person whom a large one needs, on this machine only.' },
  },
  notes: ['Ended with Ctrl-C, the command ends and the replay goes on: eduk replay stop stops it.'],
  async run(call): Promise<Result> {
    const [jobId] = call.args('REPLAY');
    const errors = call.one('errors');
    const { replay, decision } = await call.gateway().ask('runReplay', {
      jobId: jobId!,
      rate: Number(call.one('rate') ?? 0),
      ...(errors === undefined ? {} : { mostErrors: Number(errors) }),
      confirm: call.has('confirm'),
    });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    if (replay?.state === 'asked')
      throw new Problem(
        'hold.pending',
        `It is ${counted(replay.toSend, 'message')}: another person begins it too, with eduk replay run ${jobId}.`,
      );
    const job = call.has('detach') ? replay! : await follow(call, jobId!);
    return { json: jobJson(job), text: ranText(job), exit: job.state === 'stopped' || job.state === 'waiting' ? 1 : 0 };
  },
};

export const stopReplay: Command = {
  name: 'replay stop',
  about: 'Stop a replay at once: what has not left is set back.',
  arguments: JOB,
  notes: ['What the receiver was sent, it has: that cannot be undone.'],
  async run(call): Promise<Result> {
    const [jobId] = call.args('REPLAY');
    const { replay, decision } = await call.gateway().ask('stopReplay', { jobId: jobId! });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    return { json: jobJson(replay!), text: ranText(replay!) };
  },
};

const lineOf = (job: ReplayJob, names: readonly PartyName[]): string[] => {
  const { partyOin, service } = job.selection!;
  return [
    job.jobId,
    named(partyOin, names),
    service === 0 ? 'all' : mailboxWord(service),
    job.cause === '' ? job.state : `${job.state}: ${causes[job.cause] ?? job.cause}`,
    isBegun(job) ? `${job.sent} of ${job.toSend}` : `0 of ${job.toSend}`,
    dutchTime(job.startedMs || job.madeMs),
  ];
};

export const listReplays: Command = {
  name: 'replay status',
  about: 'Show replays of the last thirty days, or one of them.',
  arguments: [{ ...JOB[0], optional: true }],
  flags: { party: { about: 'To this party.', value: 'OIN', check: oin } },
  async run(call): Promise<Result> {
    const [jobId = ''] = call.args('REPLAY');
    const { replays, names } = await call.gateway().ask('listReplays', { jobId, partyOin: call.one('party') ?? '' });
    const json = { replays: replays.map(jobJson) };
    if (jobId !== '') {
      const [job] = replays;
      if (!job) throw new Problem('state.missing', 'No replay has this id.');
      return { json, text: [ranText(job), countedText(job)].join('\n\n') };
    }
    if (replays.length === 0) return { json, text: 'Nothing was sent again in the last thirty days.' };
    return {
      json,
      text: table(
        ['replay', 'party', 'service', 'state', 'sent', 'since'],
        replays.map((job) => lineOf(job, names)),
      ),
    };
  },
};
