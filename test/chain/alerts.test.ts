/** What an operator is told of a whole gateway, by a webhook and by mail, with receivers that we did not write. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { testAuthority } from './authority.ts';
import { edexml } from './files.ts';
import { newSchool, startTestGateway, type TestGateway } from './gateway.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
const folder = mkdtempSync(join(tmpdir(), 'eduk-alerts-'));
const authority = testAuthority();
const posts: { type: string; data: { alerts: Record<string, any>[] } }[] = [];
const mails: { text: string; user: string; to: string[]; secure: boolean }[] = [];
let answers = 204;
let hook: Server;
let mail: SMTPServer;
let at: TestGateway;
let school: string;

beforeAll(async () => {
  hook = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const told = new Webhook(secret).verify(body, request.headers as Record<string, string>);
    if (answers < 300) posts.push(told as (typeof posts)[number]);
    response.writeHead(answers).end();
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  const { cert, key } = authority.issue({ commonName: 'localhost' }, { names: ['localhost'] });
  mail = new SMTPServer({
    key,
    cert,
    onAuth({ username, password }, _session, done) {
      if (username === 'alarm' && password === 'a:b c') done(null, { user: username });
      else done(new Error('no'));
    },
    onData(stream, session, done) {
      let text = '';
      stream.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      stream.on('end', () => {
        mails.push({
          text,
          user: String(session.user),
          to: session.envelope.rcptTo.map(({ address }) => address),
          secure: session.secure,
        });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => mail.listen(0, '127.0.0.1', resolve));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  at = await startTestGateway({
    EDUK_ALERT_WEBHOOK: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/alerts`,
    EDUK_ALERT_SECRET_FILE: file('secret', `${secret}\n`),
    EDUK_ALERT_MAIL: `localhost:${(mail.server.address() as AddressInfo).port}`,
    EDUK_ALERT_MAIL_FROM: 'gateway@school.example',
    EDUK_ALERT_MAIL_TO: 'wacht@beheer.example, dienst@beheer.example',
    EDUK_ALERT_MAIL_LOGIN_FILE: file('login', 'alarm:a:b c\n'),
    EDUK_ALERT_MAIL_CA: file('ca', authority.ca),
  });
});
afterAll(async () => {
  await at?.stop();
  hook?.close();
  await new Promise<void>((resolve) => (mail ? mail.close(resolve) : resolve()));
  rmSync(folder, { recursive: true, force: true });
});

/** 30 pupils become `count`. */
async function roster(count: number, asOf: string): Promise<void> {
  const pupils = Array.from({ length: count }, (_, i) => ({ key: `k${i}`, name: `Hazelaar${i}`, group: 'a' }));
  const chunk = Buffer.from(edexml({ school, year: '2026-2027', groups: ['a'], pupils, asOf }));
  await at.operator.importRoster([{ schoolOin: school, chunk }]);
}
const alertsOf = () => posts.flatMap(({ data }) => data.alerts);

describe('alerts', () => {
  test('a trial goes to both, signed, and over TLS with a password', async () => {
    const { channels } = await at.operator.testAlerts({});
    expect(channels).toEqual([
      { channel: 'webhook', code: '', status: 204 },
      { channel: 'mail', code: '', status: 250 },
    ]);
    expect(posts.map(({ type }) => type)).toEqual(['eduk.alerts.trial']);
    expect(mails).toMatchObject([
      { user: 'alarm', secure: true, to: ['wacht@beheer.example', 'dienst@beheer.example'] },
    ]);
    expect(mails[0]!.text).toContain('Auto-Submitted: auto-generated');
  });

  test('a roster that is held is told once by each, with school, remedy and nobody’s name', async () => {
    school = newSchool();
    const las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
    await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
    await roster(30, '2026-09-01');
    await roster(5, '2026-09-02');
    const [hold] = (await at.operator.listHolds({ schoolOin: school })).holds;
    await expect.poll(() => alertsOf().length, { interval: 200 }).toBe(1);
    expect(alertsOf()).toMatchObject([
      {
        what: 'opened',
        code: 'hold.pending',
        grade: 'warn',
        school,
        subject: hold!.holdId,
        who: 'school',
        see: 'eduk hold list',
      },
    ]);
    await expect.poll(() => mails.length).toBe(2);
    expect(mails[1]!.text).toContain('hold.pending');
    expect(JSON.stringify(posts) + mails.map(({ text }) => text).join()).not.toContain('Hazelaar');
    const { alerts, channels } = await at.operator.listAlerts({});
    expect(channels).toEqual(['webhook', 'mail']);
    expect(alerts).toMatchObject([{ alert: { code: 'hold.pending', schoolOin: school }, failures: 0 }]);
    expect(Number(alerts[0]!.toldMs)).toBeGreaterThan(0);
  });

  test('a restart tells nothing twice; what one channel does not take the other still tells', async () => {
    answers = 503;
    await at.restart();
    const other = newSchool();
    school = other;
    await roster(30, '2026-09-01');
    await roster(4, '2026-09-02');
    await expect.poll(() => mails.length, { interval: 200 }).toBe(3);
    expect(mails[2]!.text).toContain(other);
    expect(alertsOf()).toHaveLength(1);
    const tried = await at.operator.testAlerts({});
    expect(tried.channels).toMatchObject([
      { channel: 'webhook', code: 'peer.refused', status: 503 },
      { channel: 'mail', code: '' },
    ]);
  });

  test.each([
    ['EDUK_ALERT_SECRET_FILE', { EDUK_ALERT_SECRET_FILE: 'short' }, /EDUK_ALERT_SECRET_FILE/],
    ['EDUK_ALERT_MAIL_TO', { EDUK_ALERT_MAIL_TO: 'nobody' }, /EDUK_ALERT_MAIL_TO must be mail addresses/],
    [
      'EDUK_ALERT_MAIL_FROM',
      { EDUK_ALERT_MAIL_FROM: 'a@b\r\nBcc: c@d' },
      /EDUK_ALERT_MAIL_FROM must be a mail address/,
    ],
  ])('a setting that cannot be used stops the start, and is named: %s', async (_name, wrong, told) => {
    writeFileSync(join(folder, 'short'), 'whsec_abc', { mode: 0o600 });
    const settings = {
      EDUK_ALERT_WEBHOOK: 'https://alarm.example/',
      EDUK_ALERT_SECRET_FILE: join(folder, 'secret'),
      EDUK_ALERT_MAIL: 'localhost:25',
      EDUK_ALERT_MAIL_FROM: 'a@b.example',
      EDUK_ALERT_MAIL_TO: 'a@b.example',
      ...Object.fromEntries(
        Object.entries(wrong).map(([name, value]) => [name, value === 'short' ? join(folder, 'short') : value]),
      ),
    };
    await expect(startTestGateway(settings)).rejects.toThrow(told);
  });
});
