import { faults, isFault } from '#kernel';
import type { Parked } from '#proto/eduk/bus/v1/bus';
import type { ParkedRows } from '#proto/eduk/delivery/v1/delivery';
import type { PartyName } from '#proto/eduk/operator/v1/operator';
import { oin, schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { age, counted, dutchTime, isoTime, paragraph, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';
import { following, type Stage } from '../progress.ts';
import { mailboxWord, whoMustAct } from '../words.ts';
import { named } from './mandate.ts';
import { moment, momentOf } from './replay.ts';

const whoFor = (code: string): string => (isFault(code) ? faults[code].who : 'us');

const code = (value: string): string | undefined =>
  isFault(value) ? undefined : 'must be a code, as eduk dead list shows it';
const since = {
  from: { about: 'Only what waits or fails since this moment or later.', value: 'TIME', check: moment },
  until: { about: 'Only what waits or fails since before this moment.', value: 'TIME', check: moment },
} as const;

/** What the command line chooses, by party, school, fault and time. */
const chosen = (call: Call) => ({
  partyOin: call.one('party') ?? '',
  schoolOin: call.one('school') ?? '',
  code: call.one('code') ?? '',
  fromMs: BigInt(call.one('from') === undefined ? 0 : momentOf(call.one('from')!)),
  untilMs: BigInt(call.one('until') === undefined ? 0 : momentOf(call.one('until')!)),
});

export const listDead: Command = {
  name: 'dead list',
  about: 'List what waits because it failed: parked keys, and rows of mailboxes that may not be sent.',
  flags: {
    party: { about: 'Only what is for this party.', value: 'OIN', check: oin },
    school: schoolFlag('Rows of this school only.'),
    code: { about: 'Only what waits or failed with this fault.', value: 'CODE', check: code },
    ...since,
  },
  notes: [
    'eduk dead retry, stop and drop take the same words: what is listed is what they are about.',
    'What is still sent again by itself is not listed: stop is about that too, and so is drop without --code, --from and --until.',
  ],
  async run(call): Promise<Result> {
    const answer = await call.gateway().ask('listParked', chosen(call));
    const { keys, names, endpoints, dropped } = answer;
    const rows = answer.rows.filter(({ standard }) => standard === '');
    const unsent = answer.rows.filter(({ standard }) => standard !== '');
    const now = call.streams.now();
    const nameOf = (oin: string) => names.find((one) => one.oin === oin)?.name ?? null;
    const json = {
      keys: keys.map((key) => ({
        consumer: key.consumer,
        stream: key.stream,
        key: key.key,
        code: key.code,
        since: isoTime(key.sinceMs),
        events: key.events,
        flowId: key.flowId || null,
      })),
      rows: rows.map((row) => ({
        partyOin: row.partyOin,
        partyName: nameOf(row.partyOin),
        schoolOin: row.schoolOin || null,
        schoolName: nameOf(row.schoolOin),
        service: mailboxWord(row.service),
        code: row.code,
        rows: Number(row.rows),
        since: isoTime(row.sinceMs),
        who: whoFor(row.code),
      })),
      deliveries: unsent.map((row) => ({
        partyOin: row.partyOin,
        partyName: nameOf(row.partyOin),
        schoolOin: row.schoolOin || null,
        service: mailboxWord(row.service),
        standard: row.standard,
        key: row.key,
        flowId: row.flowId || null,
        code: row.code,
        cause: row.cause || null,
        told: row.told || null,
        status: row.status || null,
        attempts: row.attempts,
        rows: Number(row.rows),
        since: isoTime(row.sinceMs),
        retryAt: row.nextMs === 0n ? null : isoTime(row.nextMs),
        ...(row.stopped ? { stopped: true } : {}),
        who: row.who || whoFor(row.code),
      })),
      endpoints: endpoints.map((one) => ({
        partyOin: one.partyOin,
        partyName: nameOf(one.partyOin),
        standard: one.standard,
        state: one.state,
        breaker: one.breaker || null,
        status: one.status || null,
        cause: one.cause || null,
        retryAt: one.state === 'gone' ? null : isoTime(one.restUntilMs),
        oldest: one.oldestMs === 0n ? null : isoTime(one.oldestMs),
      })),
      dropped: dropped.map((row) => ({
        partyOin: row.partyOin,
        partyName: nameOf(row.partyOin),
        schoolOin: row.schoolOin || null,
        schoolName: nameOf(row.schoolOin),
        service: mailboxWord(row.service),
        code: row.code,
        rows: Number(row.rows),
        from: isoTime(row.fromMs),
        until: isoTime(row.untilMs),
      })),
    };
    const texts = [
      ...(keys.length === 0
        ? []
        : [
            `${counted(keys.length, 'key')} parked; eduk dead retry takes them up again.`,
            // A line for each; what its flow is says --json.
            table(
              ['consumer', 'stream', 'key', 'code', 'events', 'since'],
              keys.map((key) => [key.consumer, key.stream, key.key, key.code, key.events, age(key.sinceMs, now)]),
            ),
          ]),
      ...(rows.length === 0
        ? []
        : [
            'Rows of mailboxes that wait; they go by themselves once the cause is gone.',
            table(
              ['party\nschool', 'service', 'code', 'rows', 'since', 'who must act'],
              rows.map((row) => [
                [named(row.partyOin, names), named(row.schoolOin, names)].filter(Boolean).join('\n'),
                mailboxWord(row.service),
                row.code,
                row.rows,
                age(row.sinceMs, now),
                whoMustAct(whoFor(row.code)),
              ]),
            ),
          ]),
    ];
    if (unsent.length > 0)
      texts.push(
        `${unsentWords(unsent)} that an endpoint did not take; eduk dead retry sends them again, eduk dead drop gives them up.`,
        ...unsentTables(unsent, names, now),
      );
    if (endpoints.length > 0)
      texts.push(
        'Endpoints that fail; those that are gone get nothing before eduk dead retry, or until the party is added with an address again.',
        table(
          ['party', 'endpoint', 'answer', 'oldest mail'],
          endpoints.map((one) => [
            named(one.partyOin, names),
            `${one.standard}\n${one.state}${one.state === 'gone' ? '' : ` until ${dutchTime(one.restUntilMs)}`}`,
            [one.status || '', one.cause].filter(Boolean).join(' '),
            one.oldestMs === 0n ? '' : age(one.oldestMs, now),
          ]),
        ),
      );
    if (texts.length === 0) texts.push('Nothing waits.');
    if (dropped.length > 0)
      texts.push(
        'Rows that were dropped, because they waited for thirty days.',
        table(
          ['party\nschool', 'service', 'code', 'rows', 'last'],
          dropped.map((row) => [
            [named(row.partyOin, names), named(row.schoolOin, names)].filter(Boolean).join('\n'),
            mailboxWord(row.service),
            row.code,
            row.rows,
            age(row.untilMs, now),
          ]),
        ),
      );
    return { json, text: texts.join('\n\n') };
  },
};

const unsentWords = (unsent: readonly ParkedRows[]): string => {
  const schools = unsent.filter(({ key }) => key === '').length;
  const keys = unsent.length - schools;
  return [...(keys > 0 ? [counted(keys, 'key')] : []), ...(schools > 0 ? [counted(schools, 'whole school')] : [])].join(
    ' and ',
  );
};

/** For each endpoint whose it is and who must act, and a line for each key. */
function unsentTables(unsent: readonly ParkedRows[], names: readonly PartyName[], now: number): string[] {
  const groups = new Map<string, ParkedRows[]>();
  for (const row of unsent) {
    const who = whoMustAct(row.who || whoFor(row.code));
    const said = row.told === '' ? '' : `. ${row.cause}: ${row.told}`;
    const head = `${named(row.partyOin, names).replace('\n', ', ')}, ${row.standard}; who must act: ${who}${said}`;
    groups.set(head, [...(groups.get(head) ?? []), row]);
  }
  return [...groups].map(
    ([head, rows]) =>
      `${paragraph(head)}\n${table(
        ['key', 'service', 'code', 'answer', 'tries', 'rows', 'since'],
        rows.map((row) => [
          // A school that is refused as a whole is asked again together.
          row.key || `all of ${row.schoolOin}`,
          mailboxWord(row.service),
          row.code,
          row.status || 'none',
          row.stopped ? `${row.attempts}, stopped` : row.attempts,
          row.rows,
          age(row.sinceMs, now),
        ]),
      )}`,
  );
}

const selection = {
  party: { about: 'Only what this party did not take.', value: 'OIN', check: oin },
  school: schoolFlag('Only deliveries of this school.'),
  code: { about: 'Only what failed with this fault.', value: 'CODE', check: code },
  ...since,
} as const;
const SELECTS = ['party', 'school', 'code', 'from', 'until'] as const;
const selects = (call: Call): boolean => SELECTS.some((flag) => call.one(flag) !== undefined);

const keysOf = (keys: readonly unknown[]): Stage => ({ words: 'keys', all: keys.length });

/** Deliveries that the command line names: by key, party, school, fault or time. */
async function resolve(call: Call, action: 'retry' | 'drop' | 'stop'): Promise<{ keys: number; rows: number }> {
  const which = { ...chosen(call), action };
  const named = call.args('KEY');
  const sum = { keys: 0, rows: 0 };
  const wanted = named.length === 0 ? [''] : named;
  await following(call, keysOf(wanted), async (progress) => {
    for (const key of wanted) {
      const { keys, rows } = await call.gateway().ask('resolveDeliveries', { ...which, key });
      sum.keys += keys;
      sum.rows += Number(rows);
      progress.add(1);
    }
  });
  return sum;
}

export const retryDead: Command = {
  name: 'dead retry',
  about: 'Take parked keys up again, after the cause was mended.',
  arguments: [{ name: 'KEY', about: 'Keys, as eduk dead list shows them.', optional: true, many: true }],
  flags: {
    consumer: { about: 'Only keys of this consumer.', value: 'NAME' },
    stream: { about: 'Only keys of this stream.', value: 'NAME' },
    ...selection,
    all: { about: 'Every parked key.' },
  },
  async run(call): Promise<Result> {
    const [named, consumer, stream] = [call.args('KEY'), call.one('consumer'), call.one('stream')];
    const isOfLog = consumer !== undefined || stream !== undefined;
    const isOfDelivery = call.one('party') !== undefined || call.one('school') !== undefined;
    if (named.length === 0 && !isOfLog && !selects(call) && !call.has('all'))
      throw misuse('Say which: keys, --consumer, --stream, --party, --school, --code, --from, --until or --all.');
    if (isOfLog && isOfDelivery)
      throw misuse(
        'A key is parked by a consumer, or at a party: not both --consumer or --stream and --party or --school.',
      );
    const gateway = call.gateway();
    const { keys, endpoints } = await gateway.ask('listParked', chosen(call));
    const wanted = keys.filter(
      (one) =>
        !isOfDelivery &&
        (named.length === 0 || named.includes(one.key)) &&
        (consumer === undefined || one.consumer === consumer) &&
        (stream === undefined || one.stream === stream),
    );
    const sent = isOfLog ? { keys: 0, rows: 0 } : await resolve(call, 'retry');
    // An endpoint that said 410 is sent to again, though no key of it had parked.
    const party = call.one('party') ?? '';
    const isNarrow = (['code', 'from', 'until'] as const).some((flag) => call.one(flag) !== undefined);
    const meant = endpoints.filter(
      (one) => !isOfLog && !isNarrow && named.length === 0 && (party === '' || one.partyOin === party),
    );
    const woken = meant.filter(({ state }) => state === 'gone');
    if (wanted.length === 0 && sent.keys === 0 && woken.length === 0 && !call.has('all'))
      throw new Problem(
        'state.missing',
        [
          'Nothing like this is parked.',
          ...meant.map(
            ({ partyOin, standard, restUntilMs }) =>
              `The ${standard} of ${partyOin} rests until ${dutchTime(restUntilMs)}, and is then tried again by itself.`,
          ),
        ].join(' '),
      );
    const retried: Parked[] = [];
    // One after the other: each is a unit of work of its own, and a key that parks again should not hide the next.
    await following(call, keysOf(wanted), async (progress) => {
      for (const key of wanted) {
        const { consumer: by, stream: of } = key;
        const { found } = await gateway.ask('retryParked', { consumer: by, stream: of, key: key.key });
        if (found) retried.push(key);
        progress.add(1);
      }
    });
    const all = retried.length + sent.keys;
    return {
      json: {
        retried: retried.map(({ consumer, stream, key }) => ({ consumer, stream, key })),
        deliveries: sent,
        endpoints: woken.map(({ partyOin, standard }) => ({ partyOin, standard })),
      },
      text:
        all === 0 && woken.length === 0
          ? 'Nothing was parked any more.'
          : `${[
              ...(all === 0 ? [] : [`${counted(all, 'key')} taken up again`]),
              ...(woken.length === 0 ? [] : [`${counted(woken.length, 'endpoint')} sent to again`]),
            ].join(', ')}; eduk dead list shows what fails anew.`,
    };
  },
};

export const stopDead: Command = {
  name: 'dead stop',
  about: 'Stop sending again what a party did not take; it stays so until eduk dead retry or eduk dead drop.',
  arguments: [{ name: 'KEY', about: 'Keys, as eduk dead list shows them.', optional: true, many: true }],
  flags: { ...selection, all: { about: 'Whatever is sent again to any party.' } },
  notes: [
    'What is under way is not called back; if it fails, it is not sent again. What was never sent is sent as before.',
  ],
  async run(call): Promise<Result> {
    if (call.args('KEY').length === 0 && !selects(call) && !call.has('all'))
      throw misuse('Say which: keys, --party, --school, --code, --from, --until or --all.');
    const stopped = await resolve(call, 'stop');
    if (stopped.keys === 0) throw new Problem('state.missing', 'Nothing like this is sent again.');
    return {
      json: { stopped },
      text: `${counted(stopped.rows, 'message')} of ${counted(stopped.keys, 'key')} stopped; eduk dead list shows them, eduk dead retry sends them again.`,
    };
  },
};

export const dropDead: Command = {
  name: 'dead drop',
  about: 'Give up what a party did not take: it is not sent any more, and its flows say so.',
  arguments: [{ name: 'KEY', about: 'Keys, as eduk dead list shows them.', optional: true, many: true }],
  flags: selection,
  async run(call): Promise<Result> {
    if (call.args('KEY').length === 0 && !selects(call))
      throw misuse('Say which: keys, --party, --school, --code, --from or --until.');
    const dropped = await resolve(call, 'drop');
    if (dropped.keys === 0) throw new Problem('state.missing', 'Nothing like this waits at an endpoint.');
    return {
      json: { dropped },
      text: `${counted(dropped.rows, 'message')} of ${counted(dropped.keys, 'key')} given up.`,
    };
  },
};
