/** Where alerts go: a webhook, a mail server. Each says what came of it, and never a word of who was asked. */
import { createTransport } from 'nodemailer';
import {
  type Address,
  asGatewayError,
  type Clock,
  DialError,
  type Dialler,
  isLoopback,
  newId,
  openSocket,
} from '#kernel';
import type { AlertNews } from '#proto/eduk/delivery/v1/delivery';
import { signed } from '../out/sign.ts';
import { alertKinds, isAlertCode } from './words.ts';

/** Settings of where they go. */
export interface AlertSettings {
  webhook?: { url: string; key: Buffer } | undefined;
  mail?:
    | {
        server: Address;
        from: string;
        to: readonly string[];
        login?: { user: string; pass: string } | undefined;
        ca?: Buffer | undefined;
      }
    | undefined;
}

/** What one message says. */
export interface Told {
  /** Of the gateway, as parties know it. */
  gateway: string;
  /** Empty = it is a trial. */
  news: readonly AlertNews[];
  nameOf(oin: string): string;
}

/** What came of it: `code` empty = it was taken. */
export interface Tried {
  channel: 'webhook' | 'mail';
  code: string;
  status: number;
}

export interface Channel {
  readonly name: Tried['channel'];
  tell(told: Told): Promise<Tried>;
}

const TIMEOUT_MS = 10_000;
/** Alerts in one message; the rest is counted. */
const MOST = 50;

export function channelsFor({ webhook, mail }: AlertSettings, dialler: Dialler, clock: Clock): Channel[] {
  const channels: Channel[] = [];
  if (webhook)
    channels.push({
      name: 'webhook',
      async tell(told) {
        const id = `alert_${newId()}`;
        const body = Buffer.from(JSON.stringify(jsonOf(told, clock.now())));
        try {
          const { status } = await dialler.dial(webhook.url, {
            method: 'POST',
            headers: {
              'content-type': 'application/json',
              ...signed(webhook.key, id, Math.floor(clock.now() / 1000), body),
            },
            body,
            timeoutMs: TIMEOUT_MS,
            mostBytes: 64 * 1024,
          });
          return { channel: 'webhook', code: status >= 200 && status < 300 ? '' : 'peer.refused', status };
        } catch (thrown) {
          return { channel: 'webhook', code: asGatewayError(thrown).fault, status: 0 };
        }
      },
    });
  if (mail)
    channels.push({
      name: 'mail',
      async tell(told) {
        const { host, port } = mail.server;
        const transport = createTransport({
          host,
          port,
          secure: port === 465,
          // A password and what is wrong with whom cross no network in the clear.
          requireTLS: !isLoopback(host),
          ...(mail.login ? { auth: mail.login } : {}),
          tls: { minVersion: 'TLSv1.2', ...(mail.ca ? { ca: mail.ca } : {}) },
          greetingTimeout: TIMEOUT_MS,
          socketTimeout: TIMEOUT_MS,
          disableFileAccess: true,
          disableUrlAccess: true,
          getSocket: (_options: unknown, done: (error: Error | null, socket?: { connection: unknown }) => void) => {
            openSocket(dialler.networks, mail.server, TIMEOUT_MS).then(
              (connection) => done(null, { connection }),
              (thrown: unknown) => done(thrown as Error),
            );
          },
        } as Parameters<typeof createTransport>[0]);
        try {
          await transport.sendMail({
            from: mail.from,
            to: [...mail.to],
            subject: subjectOf(told),
            text: textOf(told),
            headers: { 'auto-submitted': 'auto-generated' },
          });
          return { channel: 'mail', code: '', status: 250 };
        } catch (thrown) {
          const { responseCode = 0 } = thrown as { responseCode?: number };
          const code = thrown instanceof DialError || responseCode === 0 ? 'peer.unavailable' : 'peer.refused';
          return { channel: 'mail', code, status: responseCode };
        } finally {
          transport.close();
        }
      },
    });
  return channels;
}

/** The body of a webhook: docs/alerts.md. */
function jsonOf({ gateway, news, nameOf }: Told, nowMs: number) {
  const first = news.slice(0, MOST);
  return {
    type: news.length === 0 ? 'eduk.alerts.trial' : 'eduk.alerts',
    timestamp: new Date(nowMs).toISOString(),
    data: {
      gateway,
      alerts: first.map((one) => {
        const { code, partyOin, schoolOin, subject, grade, count, sinceMs } = one.alert!;
        const kind = isAlertCode(code) ? alertKinds[code] : undefined;
        return {
          what: one.what,
          code,
          grade,
          party: partyOin || null,
          partyName: (partyOin && nameOf(partyOin)) || null,
          school: schoolOin || null,
          schoolName: (schoolOin && nameOf(schoolOin)) || null,
          subject: subject || null,
          count: Number(count) || null,
          since: new Date(Number(sinceMs || one.openedMs)).toISOString(),
          who: kind?.who ?? 'operator',
          see: kind?.see ?? 'eduk alert list',
          told: { nl: kind?.nl ?? '', en: kind?.en ?? '' },
        };
      }),
      more: news.length - first.length,
    },
  };
}

const isNew = ({ what }: AlertNews): boolean => what !== 'ended';

export function subjectOf({ news }: Pick<Told, 'news'>): string {
  if (news.length === 0) return '[Edu-K] proefbericht / trial';
  const fresh = news.filter(isNew);
  const codes = [...new Set((fresh.length > 0 ? fresh : news).map(({ alert }) => alert!.code))];
  const ended = news.length - fresh.length;
  const parts = [
    ...(fresh.length > 0 ? [`${fresh.length} open`] : []),
    ...(ended > 0 ? [`${ended} voorbij / over`] : []),
  ];
  const page = fresh.some(({ alert }) => alert!.grade === 'page') ? ' NU / NOW' : '';
  return `[Edu-K]${page} ${parts.join(', ')}: ${codes.slice(0, 3).join(', ')}${codes.length > 3 ? ' …' : ''}`;
}

const whats: Readonly<Record<string, string>> = {
  opened: 'nieuw / new',
  worse: 'erger / worse',
  stands: 'nog steeds / still',
  ended: 'voorbij / over',
};

export function textOf({ gateway, news, nameOf }: Told): string {
  if (news.length === 0)
    return `${gateway}\n\nDit is een proefbericht van eduk alert test.\nThis is a trial, by eduk alert test.\n`;
  const about = (oin: string): string => (nameOf(oin) ? `${nameOf(oin)} (${oin})` : oin);
  const lines = news.slice(0, MOST).map(({ alert, what, openedMs }) => {
    const { code, partyOin, schoolOin, subject, grade, count, sinceMs } = alert!;
    const kind = isAlertCode(code) ? alertKinds[code] : undefined;
    const of = [partyOin && about(partyOin), schoolOin && about(schoolOin), subject].filter(Boolean).join(', ');
    return [
      `${whats[what] ?? what}: ${code}${grade === 'page' ? ' (!)' : ''}${of ? ` – ${of}` : ''}`,
      ...(count > 0n ? [`  ${count}`] : []),
      `  sinds / since ${new Date(Number(sinceMs || openedMs)).toISOString()}`,
      ...(kind && what !== 'ended' ? [`  ${kind.nl}`, `  ${kind.en}`, `  ${kind.see}`] : []),
    ].join('\n');
  });
  const more = news.length - Math.min(news.length, MOST);
  return [gateway, ...lines, ...(more > 0 ? [`… ${more}`] : []), ''].join('\n\n');
}
