import type { Command, Result } from '../command.ts';
import { age, counted, isoTime, paragraph, table } from '../print.ts';

const people: Readonly<Record<string, string>> = {
  operator: 'the operator',
  party: 'the party',
  school: 'the school',
};

export const listAlerts: Command = {
  name: 'alert list',
  about: 'List what stands in the way now: of whom, since when, who must act, and what shows more.',
  notes: ['Where it is told besides is set by EDUK_ALERT_WEBHOOK and EDUK_ALERT_MAIL: docs/alerts.md.'],
  async run(call): Promise<Result> {
    const { alerts, names, channels } = await call.gateway().ask('listAlerts', {});
    const now = call.streams.now();
    const nameOf = (oin: string) => names.find((one) => one.oin === oin)?.name ?? null;
    const rows = alerts.map(({ alert, openedMs, toldMs, failures, nl, en, who, see }) => {
      const { code, partyOin, schoolOin, subject, grade, count, sinceMs } = alert!;
      return {
        code,
        grade,
        partyOin: partyOin || null,
        partyName: nameOf(partyOin),
        schoolOin: schoolOin || null,
        schoolName: nameOf(schoolOin),
        subject: subject || null,
        count: Number(count) || null,
        since: isoTime(sinceMs || openedMs),
        told: toldMs === 0n ? null : isoTime(toldMs),
        failures,
        who,
        see,
        nl,
        en,
      };
    });
    const where =
      channels.length === 0
        ? 'Nobody is told of this elsewhere: EDUK_ALERT_WEBHOOK and EDUK_ALERT_MAIL are not set.'
        : `Told by ${channels.join(' and ')}.`;
    if (rows.length === 0) return { json: { alerts: [], channels }, text: 'Nothing stands in the way.', said: where };
    const kinds = Map.groupBy(rows, ({ code }) => code);
    return {
      json: { alerts: rows, channels },
      text: [
        table(
          ['alert', 'grade', 'of', 'how many', 'for', 'told'],
          rows.map((row, i) => [
            row.code,
            row.grade,
            [row.partyName ?? row.partyOin, row.schoolName ?? row.schoolOin, row.subject].filter(Boolean).join(', '),
            row.count ?? '',
            age(alerts[i]!.alert!.sinceMs || alerts[i]!.openedMs, now),
            row.told !== null ? 'yes' : row.failures > 0 ? `failed ${counted(row.failures, 'time')}` : 'no',
          ]),
        ),
        ...[...kinds].map(([code, [first]]) =>
          paragraph(`${code}: ${first!.en} Who must act: ${people[first!.who] ?? first!.who}. See ${first!.see}.`),
        ),
      ].join('\n\n'),
      said: where,
    };
  },
};

export const testAlerts: Command = {
  name: 'alert test',
  about: 'Send a trial message to each place where alerts go, and say what came of it.',
  notes: ['Exit status 1 when one of them did not take it, or when there is none.'],
  async run(call): Promise<Result> {
    const { channels } = await call.gateway().ask('testAlerts', {});
    const json = {
      channels: channels.map(({ channel, code, status }) => ({
        channel,
        ok: code === '',
        code: code || null,
        status: status || null,
      })),
    };
    if (channels.length === 0)
      return {
        json,
        text: 'There is nowhere to send it: set EDUK_ALERT_WEBHOOK or EDUK_ALERT_MAIL, and start the gateway again.',
        exit: 1,
      };
    return {
      json,
      text: table(
        ['channel', 'taken', 'answer'],
        channels.map(({ channel, code, status }) => [
          channel,
          code === '' ? 'yes' : 'no',
          code === '' ? status : `${code}${status ? ` (${status})` : ''}`,
        ]),
      ),
      exit: channels.every(({ code }) => code === '') ? 0 : 1,
    };
  },
};
