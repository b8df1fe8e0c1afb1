import { faults, isFault } from '#kernel';
import type { Parked } from '#proto/eduk/bus/v1/bus';
import { oin } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { age, counted, isoTime, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';
import { services, whoMustAct } from '../words.ts';
import { named } from './mandate.ts';

const whoFor = (code: string): string => (isFault(code) ? faults[code].who : 'us');

export const listDead: Command = {
  name: 'dead list',
  about: 'List what waits because it failed: parked keys, and rows of mailboxes that may not be sent.',
  flags: { school: { about: 'Rows of this school only.', value: 'OIN', check: oin } },
  async run(call): Promise<Result> {
    const { keys, rows, names } = await call.gateway().ask('listParked', { schoolOin: call.one('school') ?? '' });
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
        service: services.word(row.service),
        code: row.code,
        rows: Number(row.rows),
        since: isoTime(row.sinceMs),
        who: whoFor(row.code),
      })),
    };
    const texts = [
      ...(keys.length === 0
        ? []
        : [
            `${counted(keys.length, 'key')} parked; eduk dead retry takes them up again.`,
            table(
              ['consumer', 'key', 'code', 'events', 'since', 'flow'],
              keys.map((key) => [
                `${key.consumer}\non ${key.stream}`,
                key.key,
                key.code,
                key.events,
                age(key.sinceMs, now),
                key.flowId,
              ]),
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
                services.word(row.service),
                row.code,
                row.rows,
                age(row.sinceMs, now),
                whoMustAct(whoFor(row.code)),
              ]),
            ),
          ]),
    ];
    return { json, text: texts.length === 0 ? 'Nothing waits.' : texts.join('\n\n') };
  },
};

export const retryDead: Command = {
  name: 'dead retry',
  about: 'Take parked keys up again, after the cause was mended.',
  arguments: [{ name: 'KEY', about: 'Keys, as eduk dead list shows them.', optional: true, many: true }],
  flags: {
    consumer: { about: 'Only keys of this consumer.', value: 'NAME' },
    stream: { about: 'Only keys of this stream.', value: 'NAME' },
    all: { about: 'Every parked key.' },
  },
  async run(call): Promise<Result> {
    const [named, consumer, stream] = [call.args('KEY'), call.one('consumer'), call.one('stream')];
    if (named.length === 0 && consumer === undefined && stream === undefined && !call.has('all'))
      throw misuse('Say which: keys, --consumer, --stream or --all.');
    const gateway = call.gateway();
    const { keys } = await gateway.ask('listParked', {});
    const wanted = keys.filter(
      (one) =>
        (named.length === 0 || named.includes(one.key)) &&
        (consumer === undefined || one.consumer === consumer) &&
        (stream === undefined || one.stream === stream),
    );
    if (wanted.length === 0 && !call.has('all')) throw new Problem('state.missing', 'Nothing like this is parked.');
    const retried: Parked[] = [];
    // One after the other: each is a unit of work of its own, and a key that parks again should not hide the next.
    for (const key of wanted) {
      const { found } = await gateway.ask('retryParked', { consumer: key.consumer, stream: key.stream, key: key.key });
      if (found) retried.push(key);
    }
    return {
      json: { retried: retried.map(({ consumer, stream, key }) => ({ consumer, stream, key })) },
      text:
        retried.length === 0
          ? 'Nothing was parked any more.'
          : `${counted(retried.length, 'key')} taken up again; eduk dead list shows what parks anew.`,
    };
  },
};
