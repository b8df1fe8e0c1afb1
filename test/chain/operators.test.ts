/** Operators who sign in at a provider: whose tokens are taken, and what each duty may do. */
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import type { JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MandateState, Service } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { Fault, newOin, newSchool, startTestGateway, type TestGateway, wire } from './gateway.ts';
import { type StandInProvider, startProvider } from './provider.ts';

let provider: StandInProvider;
let issuer: string;
let at: TestGateway;

beforeAll(async () => {
  provider = await startProvider();
  issuer = provider.issuer;
  at = await startTestGateway({
    EDUK_OIDC_ISSUER: issuer,
    EDUK_OIDC_AUDIENCE: 'eduk',
    EDUK_OIDC_ROLES: 'operator=admins,privacy=officers,read=helpdesk',
    EDUK_OIDC_ROLE_CLAIM: 'realm_access.roles',
  });
});
afterAll(async () => {
  await at?.stop();
  provider.stop();
});

const seconds = () => Math.floor(Date.now() / 1000);
const claims = (roles: unknown, more: JWTPayload = {}): JWTPayload => ({
  iss: issuer,
  aud: 'eduk',
  sub: 'somebody',
  exp: seconds() + 300,
  realm_access: { roles },
  ...more,
});
const signed = (payload: JWTPayload, key?: KeyObject) => provider.signed(payload, key);
const as = (token: string) => wire(OperatorServiceDefinition, at.channel, `Bearer ${token}`);
async function told(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}

/** The end of what is told one after the other. */
const endOf = (call: ClientReadableStream<unknown>): Promise<void> =>
  new Promise((resolve, reject) => {
    call
      .on('data', () => undefined)
      .on('error', (error: ServiceError) => reject(new Fault(error)))
      .on('end', () => resolve());
  });

describe('what is refused', () => {
  const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const forger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  test.each<[string, string, () => Promise<string> | string]>([
    ['alg none', 'party.unknown', () => `${base64({ alg: 'none' })}.${base64(claims(['admins']))}.`],
    [
      'a public key as the secret of an HMAC',
      'party.unknown',
      () => {
        const body = `${base64({ alg: 'HS256', kid: 'one' })}.${base64(claims(['admins']))}`;
        const pem = provider.publicKey.export({ type: 'spki', format: 'pem' });
        return `${body}.${createHmac('sha256', pem).update(body).digest('base64url')}`;
      },
    ],
    ['another key', 'party.unknown', () => signed(claims(['admins']), forger.privateKey)],
    ['another issuer', 'party.unknown', () => signed(claims(['admins'], { iss: 'https://elsewhere.example' }))],
    ['another audience', 'party.unknown', () => signed(claims(['admins'], { aud: 'another' }))],
    ['what is over', 'party.unknown', () => signed(claims(['admins'], { exp: seconds() - 60 }))],
    ['what holds for a year', 'party.unknown', () => signed(claims(['admins'], { exp: seconds() + 31_536_000 }))],
    ['what has no end', 'party.unknown', () => signed(claims(['admins'], { exp: undefined as never }))],
    ['what names nobody', 'party.unknown', () => signed(claims(['admins'], { sub: undefined as never }))],
    ['no role', 'party.forbidden', () => signed(claims([]))],
    ['a role of no meaning here', 'party.forbidden', () => signed(claims(['admin', 'Admins', 'operator']))],
    ['roles that are no list', 'party.forbidden', () => signed(claims({ admins: true }))],
    ['roles elsewhere', 'party.forbidden', () => signed(claims([], { roles: ['admins'] }))],
  ])('%s', async (_what, code, make) => {
    expect(await told(as(await make()).status({}))).toBe(code);
  });

  test('any of it where no provider is named', async () => {
    const plain = await startTestGateway();
    const client = wire(OperatorServiceDefinition, plain.channel, `Bearer ${await signed(claims(['admins']))}`);
    expect(await told(client.status({}))).toBe('party.unknown');
    await plain.stop();
  });
});

describe('what each may do', () => {
  test('read: look, and nothing else of all there is', async () => {
    const reader = as(await signed(claims(['helpdesk']))) as unknown as Record<
      string,
      (request?: unknown) => Promise<unknown>
    >;
    const may: string[] = [];
    for (const [key, { requestStream, responseStream }] of Object.entries(OperatorServiceDefinition.methods)) {
      const given = reader[key]!(requestStream ? [] : {});
      const code = await told(responseStream ? endOf(given as never) : given).catch(() => 'another');
      if (code !== 'party.forbidden') may.push(key);
    }
    for (const key of may) expect(key).toMatch(/^(list|show|why|status|preview|read|search|watch)/);
    expect(may).toEqual(expect.arrayContaining(['listParties', 'listMandates', 'showFlow', 'whyBlocked', 'status']));
    const edexml = await fetch(`${at.http}/edexml`, {
      method: 'POST',
      body: '<EDEX/>',
      headers: { authorization: `Bearer ${await signed(claims(['helpdesk']))}` },
    });
    expect(edexml.status).toBe(403);
  });

  test('privacy: end what was agreed, never make it', async () => {
    const officer = as(await signed(claims(['helpdesk', 'officers'])));
    const party = { oin: newOin(), name: 'Een Partij', roles: [5 as const] };
    expect(await told(officer.addParty({ party }))).toBe('party.forbidden');
    const admin = as(await signed(claims(['admins'])));
    await admin.addParty({ party });
    const mandate = { schoolOin: newSchool(), partyOin: party.oin, services: [Service.SERVICE_ORDER] };
    const { mandateId } = await admin.grantMandate({ mandate, confirm: true });
    expect(await told(officer.grantMandate({ mandate, confirm: true }))).toBe('party.forbidden');
    for (const change of ['confirm', 'key'])
      expect(await told(officer.changeMandate({ mandateId, change }))).toBe('party.forbidden');
    const runOff = (as: typeof officer, runOffUntil: string) =>
      told(as.changeMandate({ mandateId, change: 'run_off', runOffUntil }));
    expect(await runOff(officer, '2099-07-31')).toBe('');
    expect(await runOff(officer, '2098-07-31')).toBe('');
    // Longer than it runs would be to give.
    expect(await runOff(officer, '2099-07-31')).toBe('party.forbidden');
    expect(await runOff(admin, '2099-07-31')).toBe('');
    expect((await officer.changeMandate({ mandateId, change: 'stop' })).state).toBe(MandateState.MANDATE_STATE_ENDED);
    // What takes people out of the gateway is not for who runs it.
    const file = { schoolOin: mandate.schoolOin, partyOin: party.oin, file: 'relative.xml' };
    expect(await told(admin.exportRoster(file))).toBe('party.forbidden');
    expect(await told(officer.exportRoster(file))).toMatch(/^(mandate|state)\./);
    // No operator calls as a party.
    expect(await told(at.as(`Bearer ${await signed(claims(['admins']))}`).parties.getParty({ oin: party.oin }))).toBe(
      'party.forbidden',
    );
  });
});
