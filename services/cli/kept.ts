/** From when an endpoint is sent to, where mail of before is kept: told and chosen before anything is sent. */
import type { KeptMail } from '#proto/eduk/delivery/v1/delivery';
import type { PreviewEndpointsResponse } from '#proto/eduk/operator/v1/operator';
import type { Call, Flag } from './command.ts';
import { moment, momentOf } from './commands/replay.ts';
import { answerTo, UNCHANGED } from './going.ts';
import { counted, dutchTime, isoTime, table } from './print.ts';
import { misuse, Problem } from './problem.ts';
import { mailboxWord } from './words.ts';

const CHOICES = ['kept', 'now'];

export const fromFlag: Flag = {
  about:
    'Where mail of before is kept that was not sent: send all that is kept, only what comes from now on, or what arrived since a moment.',
  value: 'kept|now|TIME',
  offers: CHOICES,
  check: (value) => {
    const wrong = CHOICES.includes(value) ? undefined : moment(value);
    return wrong && `must be kept or now, or ${wrong.replace('must be ', '')}`;
  },
};

export const keptJson = (kept: readonly KeptMail[]) =>
  kept.length === 0
    ? {}
    : {
        kept: kept.map(({ service, standard, messages, left, more, oldestMs }) => ({
          service: mailboxWord(service),
          standard,
          messages: Number(messages),
          notSent: Number(left),
          more,
          oldest: isoTime(oldestMs),
        })),
      };

export const keptTable = (kept: readonly KeptMail[]): string =>
  table(
    ['kept of', 'goes to', 'messages', 'oldest'],
    kept.map(({ service, standard, messages, more, oldestMs }) => [
      mailboxWord(service),
      standard,
      `${more ? 'about ' : ''}${messages}`,
      dutchTime(oldestMs),
    ]),
  );

/** Messages that are sent, and those that are not, by a choice that was made. */
export function keptSaid(kept: readonly KeptMail[]): string {
  const all = kept.reduce((sum, { messages }) => sum + Number(messages), 0);
  const left = kept.reduce((sum, { left: some }) => sum + Number(some), 0);
  if (all === 0) return '';
  return `${counted(all - left, 'message')} of before ${all - left === 1 ? 'is' : 'are'} sent${
    left === 0
      ? ''
      : `; ${counted(left, 'message')} ${left === 1 ? 'stays' : 'stay'} in the mailbox: eduk replay preview sends them after all`
  }.`;
}

/**
 * From when on mail is sent, Unix milliseconds; 0 = all that is kept; undefined = nothing is kept, and nothing was said. Asks on a terminal;
 * else throws where something is kept and nothing was said.
 */
export async function chosenFrom(
  call: Call,
  preview: () => Promise<PreviewEndpointsResponse>,
): Promise<bigint | undefined> {
  const said = call.one('from');
  if (said === 'kept') return 0n;
  if (said !== undefined && said !== 'now') return BigInt(momentOf(said));
  const { kept, nowMs } = await preview();
  if (said === 'now') return nowMs;
  if (kept.length === 0) return undefined;
  if (!call.streams.stdin.isTTY || call.json) {
    const services = kept.map((one) => `${one.more ? 'about ' : ''}${one.messages} of ${mailboxWord(one.service)}`);
    throw misuse(
      `Mail of before is kept that was not sent (${services.join(', ')}; the oldest of ${dutchTime(oldest(kept))}). Say --from kept to send it, --from now not to, or since when: --from TIME.`,
    );
  }
  const answer = await answerTo(
    call,
    `${keptTable(kept)}\n\nSend it? kept: all of it; now: only what comes from now on; else nothing changes: `,
  );
  if (answer === 'kept') return 0n;
  if (answer === 'now') return nowMs;
  throw new Problem('wire.invalid', UNCHANGED, { exit: 2 });
}

const oldest = (kept: readonly KeptMail[]): bigint =>
  kept.map(({ oldestMs }) => oldestMs).reduce((a, b) => (b > 0n && (a === 0n || b < a) ? b : a), 0n);
