/** Boards and schools that sign in: what they see and decide, and each way to cheat. */
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWTPayload } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { type Mandate, MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { newOin, newSchool, startTestGateway, type TestGateway } from './gateway.ts';
import { type Answered, type StandInProvider, startProvider } from './provider.ts';

const CLIENT = { id: 'eduk', secret: 'a secret: of & the tests' };
const LOA3 = 'urn:etoegang:core:assurance-class:loa3';
/** Under which the provider knows the door, wherever it listens. */
const PUBLIC_URL = 'https://gateway.example';
const SERVICE = '5f6d2f5e-6f0a-4b8c-9d3e-1a2b3c4d5e6f';
const SUBJECT = 'urn:etoegang:core:LegalSubjectID';
const QUALIFIER = 'urn:etoegang:1.9:EntityConcernedID:';
const EVIL = `<script>alert(1)</script>" onload='x' & ${'`'}\u202e<img src=x>`;
const { MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ACTIVE, MANDATE_STATE_RUN_OFF, MANDATE_STATE_ENDED } = MandateState;

let provider: StandInProvider;
let at: TestGateway;
let folder: string;
const said: string[] = [];
const [boardA, boardB] = [newOin(), newOin()];
const [schoolA1, schoolA2, schoolB] = [newSchool(), newSchool(), newSchool()];
const supplier = newOin();
const KVK = { [boardA]: '11111111', [boardB]: '22222222' };

/** As a broker of eHerkenning says it. */
const company = (kvk: string, more: JWTPayload = {}): Answered => ({
  claims: {
    [SUBJECT]: kvk,
    namequalifier: `${QUALIFIER}KvKnr`,
    'urn:etoegang:core:ServiceUUID': SERVICE,
    'urn:etoegang:core:ActingSubjectID': 'pseudonym-of-a-person',
    acr: LOA3,
    ...more,
  },
});

/** A browser as far as cookies and redirects go; it shows what it was told. */
class Browser {
  readonly jar = new Map<string, string>();
  lang = 'nl';
  last!: Response;
  async go(path: string, init: RequestInit = {}): Promise<string> {
    const response = await fetch(path.replace(PUBLIC_URL, '').replace(/^/, at.http), {
      redirect: 'manual',
      ...init,
      headers: {
        'accept-language': this.lang,
        ...(this.jar.size > 0 ? { cookie: [...this.jar].map((pair) => pair.join('=')).join('; ') } : {}),
        ...(init.headers as Record<string, string>),
      },
    });
    this.last = response;
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0]!.split('=', 2) as [string, string];
      if (value === '') this.jar.delete(name);
      else this.jar.set(name, value);
    }
    return response.text();
  }
  async statusOf(path: string): Promise<number> {
    await this.go(path);
    return this.last.status;
  }
  get to(): string {
    return this.last.headers.get('location') ?? '';
  }
  /** To the provider and back, up to the answer of the door. */
  async come(answered: Answered): Promise<string> {
    await this.go('/oidc/sign-in');
    return this.go(provider.consent(this.to, answered));
  }
  async signIn(kvk: string): Promise<this> {
    await this.come(company(kvk));
    expect([this.last.status, this.to]).toEqual([303, '/school']);
    return this;
  }
  send(path: string, fields: Record<string, string | string[]>, headers: Record<string, string> = {}): Promise<string> {
    const body = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) body.append(name, one);
    return this.go(path, { method: 'POST', body, headers: { origin: PUBLIC_URL, ...headers } });
  }
  /** The form of an action, as it comes. */
  async form(id: string, action: string): Promise<Record<string, string>> {
    const page = await this.go(`/school/change?id=${id}&do=${action}`);
    return Object.fromEntries(
      [...page.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)].map(([, name, value]) => [
        name!,
        value!,
      ]),
    );
  }
  async act(id: string, action: string, more: Record<string, string | string[]> = {}): Promise<string> {
    return this.send('/school/change', { ...(await this.form(id, action)), sure: 'yes', ...more });
  }
}

async function entered(
  school: string,
  more: { services?: Service[]; attributes?: string[]; confirm?: boolean; agreement?: string; party?: string } = {},
): Promise<string> {
  const {
    services = [Service.SERVICE_ROSTER, Service.SERVICE_ORDER],
    attributes = [],
    confirm = false,
    party = supplier,
  } = more;
  const mandate = { schoolOin: school, partyOin: party, services, attributes, agreement: more.agreement ?? '' };
  return (await at.operator.grantMandate({ mandate, confirm })).mandateId;
}
const mandates = async (schoolOin: string): Promise<Mandate[]> =>
  (await at.operator.listMandates({ schoolOin })).mandates;
const stateOf = async (school: string, id: string) =>
  (await mandates(school)).find(({ mandateId }) => mandateId === id)?.state;

beforeAll(async () => {
  logTo((line) => said.push(line), 'debug');
  folder = mkdtempSync(join(tmpdir(), 'eduk-sign-in-'));
  const secret = join(folder, 'secret');
  writeFileSync(secret, `${CLIENT.secret}\n`, { mode: 0o600 });
  provider = await startProvider(CLIENT);
  at = await startTestGateway({
    EDUK_PUBLIC_URL: PUBLIC_URL,
    EDUK_SIGNIN_ISSUER: provider.issuer,
    EDUK_SIGNIN_CLIENT_ID: CLIENT.id,
    EDUK_SIGNIN_CLIENT_SECRET_FILE: secret,
    EDUK_SIGNIN_SERVICE: SERVICE,
    EDUK_SIGNIN_CLAIMS: 'rsin=rsin',
    EDUK_SIGNIN_PARAMETERS: 'acr_values=idp:eherkenning',
    EDUK_LOG: 'debug',
  });
  const party = (oin: string, name: string, role: Role, boardOin = '') =>
    at.operator.addParty({ party: { oin, name, roles: [role], boardOin } });
  await party(boardA, 'Stichting De Linde', Role.ROLE_BOARD);
  await party(boardB, 'Stichting De Beuk', Role.ROLE_BOARD);
  await party(schoolA1, 'De Eerste', Role.ROLE_SCHOOL, boardA);
  await party(schoolA2, 'De Tweede', Role.ROLE_SCHOOL, boardA);
  await party(schoolB, 'De Andere', Role.ROLE_SCHOOL, boardB);
  await party(supplier, EVIL, Role.ROLE_PLATFORM);
  for (const [oin, kvk] of Object.entries(KVK)) await at.operator.setSignIn({ oin, numbers: [`kvk:${kvk}`] });
  await at.operator.setSignIn({ oin: boardB, numbers: [`kvk:${KVK[boardB]}`, 'rsin:123456782'] });
  await at.operator.setSignIn({ oin: schoolA1, numbers: [`kvk:${KVK[boardA]}/000012345678`] });
});
afterAll(async () => {
  await at?.stop();
  provider?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('signing in', () => {
  // Failures are counted; who has shown that it can sign in may err again.
  afterEach(async () => void (await new Browser().signIn(KVK[boardA]!)));

  test('a person of a board sees what waits first, in Dutch, or in English where the browser asks', async () => {
    const waiting = await entered(schoolA1, { agreement: 'VO-2026/4' });
    await entered(schoolB);
    const browser = new Browser();
    expect(await browser.go('/school')).toContain('eHerkenning');
    await browser.signIn(KVK[boardA]!);
    const page = await browser.go('/school');
    expect(page).toContain('<html lang="nl">');
    expect(page).toContain('Stichting De Linde');
    expect(page).toContain('Wacht op uw besluit');
    expect(page).toContain(`/school/mandate?id=${waiting}`);
    expect(page).not.toContain('De Andere');
    const one = await browser.go(`/school/mandate?id=${waiting}`);
    for (const words of [
      'De Eerste',
      'Leermiddelen bestellen',
      'Roepnaam',
      'VO-2026/4',
      'zonder einddatum',
      'Nog niet bevestigd',
    ])
      expect(one).toContain(words);
    browser.lang = 'en-GB,en;q=0.9,nl;q=0.5';
    const english = await browser.go(`/school/mandate?id=${waiting}`);
    expect(english).toContain('<html lang="en">');
    expect(english).toContain('Ordering learning material');
    expect(provider.asked.at(-1)!.form.get('grant_type')).toBe('authorization_code');
  });

  test('goes with PKCE, state and nonce, and with what the operator sends along', async () => {
    const browser = new Browser();
    await browser.go('/oidc/sign-in');
    const query = new URL(browser.to).searchParams;
    expect(query.get('redirect_uri')).toBe(`${PUBLIC_URL}/oidc/callback`);
    expect(query.get('acr_values')).toBe('idp:eherkenning');
    const again = new Browser();
    await again.go('/oidc/sign-in');
    for (const name of ['state', 'nonce', 'code_challenge'])
      expect(new URL(again.to).searchParams.get(name)).not.toBe(query.get(name));
  });

  test('what userinfo says holds too, and the token goes before it', async () => {
    const { claims } = company(KVK[boardB]!);
    const browser = new Browser();
    await browser.come({ userinfo: claims! });
    expect(browser.to).toBe('/school');
    const bent = new Browser();
    await bent.come({ claims: { acr: 'loa2' }, userinfo: claims! });
    expect(bent.last.status).toBe(403);
  });

  test('who is authorised for one branch sees that school alone', async () => {
    const browser = new Browser();
    await browser.come(company(KVK[boardA]!, { 'urn:etoegang:1.9:ServiceRestriction:Vestigingsnr': '000012345678' }));
    expect(browser.to).toBe('/school');
    expect(await browser.go('/school')).toContain('Ingelogd voor De Eerste');
    await browser.come(company(KVK[boardA]!, { 'urn:etoegang:1.9:ServiceRestriction:Vestigingsnr': '000087654321' }));
    expect(browser.last.status).toBe(401);
  });

  test.each<[string, number, Answered, string]>([
    [
      'a level that is too low',
      403,
      company('11111111', { acr: 'urn:etoegang:core:assurance-class:loa2plus' }),
      'betrouwbaarheidsniveau',
    ],
    ['no level', 403, company('11111111', { acr: undefined as never }), 'betrouwbaarheidsniveau'],
    ['a level that nobody knows', 403, company('11111111', { acr: 'toString' }), 'betrouwbaarheidsniveau'],
    ['another service', 403, company('11111111', { 'urn:etoegang:core:ServiceUUID': 'another' }), 'machtiging'],
    ['an organisation that is not registered', 401, company('33333333'), 'niet bekend'],
    ['no organisation', 403, company('', {}), 'niet bekend'],
    ['a number of a person', 403, company('123456782', { namequalifier: undefined as never }), 'niet bekend'],
    ['a list of organisations', 403, company('x', { [SUBJECT]: ['11111111', '22222222'] }), 'niet bekend'],
    ['numbers of two boards', 401, company('11111111', { rsin: '123456782' }), 'niet bekend'],
    [
      'a supplier that acts by a chain of authorisations',
      403,
      company('11111111', { 'urn:etoegang:1.9:IntermediateEntityID:KvKnr': '99999999' }),
      'bestuur of de school zelf',
    ],
  ])('is refused with %s', async (_what, status, answered, words) => {
    const browser = new Browser();
    const page = await browser.come(answered);
    expect(browser.last.status).toBe(status);
    expect(page).toContain(words);
    expect([...browser.jar.keys()]).toEqual([]);
    expect(page).not.toContain('11111111');
  });

  const forger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  test.each<[string, Answered]>([
    ['alg none', { token: (payload) => `${base64({ alg: 'none' })}.${base64(payload)}.` }],
    [
      'a public key as the secret of an HMAC',
      {
        token: (payload) => {
          const body = `${base64({ alg: 'HS256', kid: 'one' })}.${base64(payload)}`;
          const pem = provider.publicKey.export({ type: 'spki', format: 'pem' });
          return `${body}.${createHmac('sha256', pem).update(body).digest('base64url')}`;
        },
      },
    ],
    ['another key', { token: (payload) => provider.signed(payload, forger.privateKey) }],
    ['wrong audience', { claims: { aud: 'another' } }],
    ['another issuer', { claims: { iss: 'https://elsewhere.example' } }],
    ['wrong nonce', { claims: { nonce: 'of-another-sign-in' } }],
    ['no nonce', { claims: { nonce: undefined as never } }],
    ['a token that is over', { claims: { exp: Math.floor(Date.now() / 1000) - 120 } }],
  ])('%s is refused', async (_what, { claims, token }) => {
    const browser = new Browser();
    const page = await browser.come({
      claims: { ...company('11111111').claims, ...claims },
      ...(token ? { token } : {}),
    });
    expect(browser.last.status).toBe(401);
    expect(page).toContain('geldt niet of is al gebruikt');
    expect(browser.jar.has('__Host-eduk-session')).toBe(false);
  });

  test('wrong state, or that of another browser, is refused before the provider is asked', async () => {
    const [mine, other] = [new Browser(), new Browser()];
    await mine.go('/oidc/sign-in');
    const back = new URL(provider.consent(mine.to, company('11111111')));
    await other.go('/oidc/sign-in');
    const asked = provider.asked.length;
    await other.go(back.href);
    expect(other.last.status).toBe(401);
    await new Browser().go(back.href);
    back.searchParams.set('state', 'x'.repeat(43));
    await mine.go(back.href);
    expect([mine.last.status, provider.asked.length]).toEqual([401, asked]);
  });

  test('a replayed code is refused, also with the cookie that it came with, and at any door', async () => {
    const browser = new Browser();
    await browser.go('/oidc/sign-in');
    const back = provider.consent(browser.to, company('11111111'));
    const jar = new Map(browser.jar);
    await browser.go(back);
    expect(browser.to).toBe('/school');
    const thief = new Browser();
    for (const [name, value] of jar) thief.jar.set(name, value);
    const asked = provider.asked.length;
    await thief.go(back);
    expect([thief.last.status, provider.asked.length]).toEqual([401, asked]);
  });

  test('that was broken off, or whose provider is away, is told so', async () => {
    const browser = new Browser();
    await browser.go('/oidc/sign-in');
    const state = new URL(browser.to).searchParams.get('state')!;
    expect(await browser.go(`/oidc/callback?error=access_denied&state=${state}`)).toContain('afgebroken');
    provider.away = true;
    const page = await new Browser().come(company('11111111'));
    provider.away = false;
    expect(page).toMatch(/geldt niet|geeft geen antwoord/);
  });
});

describe('a session', () => {
  test('session fixation: an id that was there before is never taken over, and ends', async () => {
    const attacker = await new Browser().signIn(KVK[boardB]!);
    const planted = attacker.jar.get('__Host-eduk-session')!;
    const victim = new Browser();
    victim.jar.set('__Host-eduk-session', planted);
    await victim.signIn(KVK[boardA]!);
    expect(victim.jar.get('__Host-eduk-session')).not.toBe(planted);
    expect(await attacker.go('/school')).not.toContain('Ingelogd voor');
    const made = new Browser();
    made.jar.set('__Host-eduk-session', 'A'.repeat(43));
    expect(await made.go('/school')).toContain('Inloggen');
  });

  test('is an opaque id in a cookie of this host alone, that no script reads', async () => {
    const browser = new Browser();
    await browser.come(company('11111111'));
    const [line] = browser.last.headers.getSetCookie().filter((one) => one.startsWith('__Host-eduk-session='));
    expect(line).toMatch(/^__Host-eduk-session=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
  });

  test('and a sign-in that was begun are known to every door, and outlive them', async () => {
    const browser = await new Browser().signIn(KVK[boardA]!);
    const begun = new Browser();
    await begun.go('/oidc/sign-in');
    const back = provider.consent(begun.to, company(KVK[boardA]!));
    // Another door of the same gateway: of the one before it nothing is in its memory.
    await at.restart();
    expect(await browser.go('/school')).toContain('Ingelogd voor Stichting De Linde');
    await begun.go(back);
    expect([begun.last.status, begun.to]).toEqual([303, '/school']);
    await at.restart();
    await begun.go(back);
    expect(begun.last.status).toBe(401);
  });

  test('ends when its person signs out, and stays ended', async () => {
    const browser = await new Browser().signIn(KVK[boardA]!);
    const jar = new Map(browser.jar);
    const token = /name="token" value="([^"]+)"/.exec(await browser.go('/school'))![1]!;
    await browser.send('/oidc/sign-out', { token });
    expect([browser.last.status, browser.jar.size]).toEqual([303, 0]);
    for (const [name, value] of jar) browser.jar.set(name, value);
    expect(await browser.go('/school')).not.toContain('Ingelogd voor');
    expect(await browser.statusOf('/school/mandate?id=x')).toBe(401);
  });

  test('ends when the number by which it came is taken away', async () => {
    await at.operator.setSignIn({ oin: schoolA2, numbers: ['brin:99ZZ', 'kvk:44444444'] });
    const browser = await new Browser().signIn('44444444');
    expect(await browser.go('/school')).toContain('Ingelogd voor De Tweede');
    await at.operator.setSignIn({ oin: schoolA2, numbers: [] });
    expect(await browser.go('/school')).not.toContain('Ingelogd voor');
  });
});

describe('a board that is stopped everywhere', () => {
  test('has no session and signs in nowhere until it goes on', async () => {
    const browser = await new Browser().signIn(KVK[boardB]!);
    expect(await browser.go('/school')).toContain('Ingelogd voor Stichting De Beuk');
    await at.operator.stopParty({ oin: boardB, reason: 'breach-2026-11' });
    try {
      await expect.poll(async () => (await browser.go('/school')).includes('Ingelogd voor')).toBe(false);
      const other = new Browser();
      await other.come(company(KVK[boardB]!));
      expect(other.last.status).toBe(401);
    } finally {
      await at.operator.resumeParty({ oin: boardB });
    }
    const later = await new Browser().signIn(KVK[boardB]!);
    expect(await later.go('/school')).toContain('Ingelogd voor Stichting De Beuk');
  });
});

describe('what a person decides', () => {
  test('confirms: it holds, with a receipt, and again changes nothing', async () => {
    const id = await entered(schoolA1);
    const browser = await new Browser().signIn(KVK[boardA]!);
    const fields = { ...(await browser.form(id, 'confirm')), sure: 'yes' };
    await browser.send('/school/change', fields);
    expect(browser.last.status).toBe(303);
    const first = browser.to;
    const flowId = new URL(first, PUBLIC_URL).searchParams.get('flow')!;
    expect(await browser.go(first)).toContain(flowId);
    expect(await stateOf(schoolA1, id)).toBe(MANDATE_STATE_ACTIVE);
    // A form that is sent twice is one decision.
    await browser.send('/school/change', fields);
    expect(browser.to).toBe(first);
    const { flow } = await at.operator.showFlow({ flowId });
    expect(flow!.flowId).toBe(flowId);
  });

  test('narrows services and data: the old one ends, and less holds', async () => {
    const id = await entered(schoolA2, { attributes: ['eck_id', 'call_name', 'birth_date'], agreement: 'VO-7' });
    const browser = await new Browser().signIn(KVK[boardA]!);
    await browser.act(id, 'narrow', {
      service: [String(Service.SERVICE_ROSTER)],
      attribute: ['eck_id', 'call_name', 'email'],
    });
    expect(browser.last.status).toBe(303);
    const now = new URL(browser.to, PUBLIC_URL).searchParams.get('id')!;
    expect(await stateOf(schoolA2, id)).toBe(MANDATE_STATE_ENDED);
    // What was entered for a school and narrowed by its board is the board's; a school's own its board only ends.
    const own = await entered(schoolA1, { services: [Service.SERVICE_ENTITLEMENT], confirm: true, party: newOin() });
    expect(await browser.statusOf(`/school/change?id=${own}&do=narrow`)).toBe(403);
    expect(await browser.statusOf(`/school/change?id=${own}&do=stop`)).toBe(200);
    expect((await mandates(schoolA2)).find(({ mandateId }) => mandateId === now)).toMatchObject({
      services: [Service.SERVICE_ROSTER],
      // E-mail was never asked for: to narrow never gives more.
      attributes: ['call_name', 'eck_id'],
      state: MANDATE_STATE_ACTIVE,
      agreement: 'VO-7',
      enteredBy: boardA,
    });
  });

  test('lets run off and stops; a day that is past, and no declaration, is told with the form', async () => {
    const id = await entered(schoolA1, { confirm: true, services: [Service.SERVICE_ACCESS] });
    const browser = await new Browser().signIn(KVK[boardA]!);
    const fields = await browser.form(id, 'run_off');
    expect(await browser.send('/school/change', { ...fields, day: '2099-07-31' })).toContain('Zet een vinkje');
    expect(await browser.send('/school/change', { ...fields, sure: 'yes', day: '2020-01-01' })).toContain(
      'niet voorbij',
    );
    expect(browser.last.status).toBe(422);
    await browser.send('/school/change', { ...fields, sure: 'yes', day: '2099-07-31' });
    expect(await stateOf(schoolA1, id)).toBe(MANDATE_STATE_RUN_OFF);
    expect(await browser.go(`/school/mandate?id=${id}`)).toContain('31 juli 2099');
    await browser.act(id, 'stop');
    expect(await stateOf(schoolA1, id)).toBe(MANDATE_STATE_ENDED);
    expect(await browser.statusOf(`/school/change?id=${id}&do=stop`)).toBe(403);
  });

  test('for all schools of a board at once, and a school for itself', async () => {
    const id = await entered(boardA, { services: [Service.SERVICE_USAGE], party: newOin() });
    await at.operator.setSignIn({ oin: schoolA2, numbers: ['kvk:44444444'] });
    const school = await new Browser().signIn('44444444');
    const part = (await mandates(schoolA2)).find(({ boardMandateId }) => boardMandateId === id)!.mandateId;
    // What was entered for a board its school does not confirm.
    expect(await school.go(`/school/mandate?id=${part}`)).toContain('Het bestuur bevestigt het');
    const fields = { ...(await school.form(part, 'stop')), do: 'confirm', sure: 'yes' };
    await school.send('/school/change', fields);
    expect(school.last.status).toBe(403);
    expect(await stateOf(schoolA2, part)).toBe(MANDATE_STATE_UNCONFIRMED);
    const board = await new Browser().signIn(KVK[boardA]!);
    expect(await board.go('/school')).toContain('al uw scholen (2)');
    await board.act(id, 'confirm');
    for (const oin of [schoolA1, schoolA2])
      expect((await mandates(oin)).find(({ boardMandateId }) => boardMandateId === id)!.state).toBe(
        MANDATE_STATE_ACTIVE,
      );
    await school.act(part, 'stop');
    expect(await stateOf(schoolA2, part)).toBe(MANDATE_STATE_ENDED);
    await board.act(id, 'run_off', { day: '2099-07-31' });
    expect((await mandates(schoolA1)).find(({ boardMandateId }) => boardMandateId === id)!.state).toBe(
      MANDATE_STATE_RUN_OFF,
    );
  });

  test('a person of board A cannot see or decide for a school of board B', async () => {
    const id = await entered(schoolB);
    const browser = await new Browser().signIn(KVK[boardA]!);
    for (const path of [
      `/school/mandate?id=${id}`,
      `/school/change?id=${id}&do=confirm`,
      '/school/mandate?id=m-of-nobody',
    ])
      expect(await browser.statusOf(path)).toBe(404);
    const own = await entered(schoolA1, { services: [Service.SERVICE_PROGRESS] });
    const fields = { ...(await browser.form(own, 'confirm')), sure: 'yes' };
    for (const action of ['confirm', 'narrow', 'run_off', 'stop']) {
      await browser.send('/school/change', { ...fields, id, do: action, day: '2099-07-31', service: ['1'] });
      expect(browser.last.status).toBe(404);
    }
    expect(await stateOf(schoolB, id)).toBe(MANDATE_STATE_UNCONFIRMED);
  });
});

describe('attacks on the pages', () => {
  test('XSS: names of parties and agreements are text, whatever they hold', async () => {
    const id = await entered(schoolA1, { services: [Service.SERVICE_STAFF] });
    const browser = await new Browser().signIn(KVK[boardA]!);
    const pages = [
      await browser.go('/school'),
      await browser.go(`/school/mandate?id=${id}`),
      await browser.go(`/school/change?id=${id}&do=confirm`),
      await browser.go(`/school/mandate?id=${id}&flow=%22%3E%3Cscript%3E`),
      await browser.go('/school/mandate?id=%3Cscript%3E'),
      await browser.go(`/school?from=%22%3E%3Cscript%3E`),
    ];
    expect(pages[0]).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39; &amp; &#96;');
    expect(pages[2]).toContain('name="token"');
    for (const page of pages) {
      expect(page).not.toMatch(/<script|<img|onload='|\u202e/);
      expect(page).not.toMatch(/\son\w+="|javascript:|style="/);
      // Nothing is asked elsewhere.
      expect(page).not.toMatch(/(?:src|href|action)="(?:https?:)?\/\//);
    }
  });

  test('CSRF: a form without the token of its session, or of another origin, does nothing', async () => {
    const id = await entered(schoolA1, { services: [Service.SERVICE_RESULT] });
    const [browser, other] = [await new Browser().signIn(KVK[boardA]!), await new Browser().signIn(KVK[boardA]!)];
    const fields = { ...(await browser.form(id, 'confirm')), sure: 'yes' };
    const foreign = (await other.form(id, 'confirm'))['token']!;
    for (const token of ['', 'x', foreign]) {
      await browser.send('/school/change', { ...fields, token });
      expect(browser.last.status).toBe(403);
    }
    await browser.send('/school/change', fields, { origin: 'https://elsewhere.example' });
    expect(browser.last.status).toBe(403);
    await browser.send('/school/change', fields, { origin: 'null' });
    expect(browser.last.status).toBe(403);
    await browser.send('/oidc/sign-out', { token: foreign });
    expect(browser.last.status).toBe(403);
    await browser.go(`/school/change?${new URLSearchParams(fields)}`);
    expect(await stateOf(schoolA1, id)).toBe(MANDATE_STATE_UNCONFIRMED);
  });

  test('clickjacking: no page is shown in a frame, none runs a script or asks elsewhere, none is kept', async () => {
    const id = await entered(schoolA1, { services: [Service.SERVICE_ENTITLEMENT] });
    const browser = await new Browser().signIn(KVK[boardA]!);
    for (const path of [
      '/school',
      `/school/mandate?id=${id}`,
      `/school/change?id=${id}&do=stop`,
      '/school/none',
      '/oidc/callback',
    ]) {
      await browser.go(path);
      if (path === '/school/none') continue;
      const { headers } = browser.last;
      expect(headers.get('x-frame-options')).toBe('DENY');
      const policy = headers.get('content-security-policy')!;
      for (const rule of ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"])
        expect(policy).toContain(rule);
      expect(policy).not.toMatch(/unsafe|script-src|https?:/);
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
    }
  });
});

test('pages are for everybody: language, title, one first heading, a way past the header, a name for each field', async () => {
  const id = await entered(schoolA1, { services: [Service.SERVICE_ROSTER, Service.SERVICE_RESULT], confirm: true });
  const browser = await new Browser().signIn(KVK[boardA]!);
  const paths = [
    '',
    `/mandate?id=${id}`,
    ...['narrow', 'run_off', 'stop'].map((action) => `/change?id=${id}&do=${action}`),
  ];
  const pages = [await new Browser().go('/school'), await new Browser().go('/school/mandate?id=x')];
  for (const path of paths) pages.push(await browser.go(`/school${path}`));
  for (const page of pages) {
    expect(page).toMatch(/^<!DOCTYPE html>\n<html lang="nl">/);
    expect(page).toMatch(/<title>[^<]+<\/title>/);
    expect(page.match(/<h1>/g)).toHaveLength(1);
    expect(page.indexOf('<a class="skip" href="#main">')).toBeLessThan(page.indexOf('<header>'));
    expect(page).toContain('<main id="main">');
    expect(page).toContain('width=device-width, initial-scale=1');
    // Headings follow each other without a gap.
    const ranks = [...page.matchAll(/<h([1-6])/g)].map(([, rank]) => Number(rank));
    for (const [i, rank] of ranks.entries()) expect(rank - (ranks[i - 1] ?? 0)).toBeLessThanOrEqual(1);
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, one]) => one);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [input] of page.matchAll(/<input type="(?!hidden)[^>]*>/g)) {
      const own = / id="([^"]+)"/.exec(input)?.[1];
      const named = own ? page.includes(`<label for="${own}">`) : page.includes(`<label class="check">${input} <span>`);
      expect([input, named]).toEqual([input, true]);
    }
    for (const [, button] of page.matchAll(/<(?:button|a)[^>]*>([^<]*)</g)) expect(button!.trim()).not.toBe('');
  }
});

test('nothing of a person is kept: not in the log of what was done, not in lines, not in files', async () => {
  // What was noted last stands under the next head.
  const find = async (): Promise<AuditRecord[]> => {
    const found: AuditRecord[] = [];
    for (let from = 0n; ; ) {
      const { leaves } = await at.operator.readAuditLog({ from, limit: 1000 });
      if (leaves.length === 0) return found;
      found.push(...leaves.map(({ record }) => AuditRecord.decode(record)));
      from += BigInt(leaves.length);
    }
  };
  const isSignedIn = ({ kind }: AuditRecord): boolean => kind === AuditKind.AUDIT_KIND_SIGNED_IN;
  const isConfirmed = ({ kind, method }: AuditRecord): boolean =>
    kind === AuditKind.AUDIT_KIND_ACCEPTED && method === 'SignIn/ConfirmMandate';
  const isRefused = ({ kind, method }: AuditRecord): boolean =>
    kind === AuditKind.AUDIT_KIND_REFUSED && method === 'SignIn/Finish';
  // A head may stand between them: what was done first being there says nothing of the rest.
  const all = [isSignedIn, isConfirmed, isRefused];
  let records = await find();
  for (let i = 0; i < 150 && !all.every((is) => records.some(is)); i++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    records = await find();
  }
  expect(new Set(records.filter(isSignedIn).map(({ partyOin }) => partyOin))).toContain(boardA);
  expect(records.some(isConfirmed)).toBe(true);
  expect(records.some(isRefused)).toBe(true);
  const kept = [JSON.stringify(records, (_k, value) => (typeof value === 'bigint' ? String(value) : value)), ...said];
  await at.restart(() => {
    for (const name of ['state.db', 'vault.db']) kept.push(readFileSync(join(at.folder, name), 'latin1'));
  });
  expect(kept.join('\n')).toContain('kvk:11111111');
  for (const person of ['a-person-whom-nobody-may-keep', 'pseudonym-of-a-person'])
    expect(kept.join('\n')).not.toContain(person);
});

// At the end: it is this address that waits.
test('who fails to sign in again and again waits, and is told so', async () => {
  const browser = new Browser();
  for (let i = 0; i < 30 && browser.last?.status !== 429; i++) await browser.go('/oidc/callback?code=x&state=y');
  expect([browser.last.status, Number(browser.last.headers.get('retry-after')) > 0]).toEqual([429, true]);
});
