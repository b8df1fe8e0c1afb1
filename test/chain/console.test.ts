/** The console over HTTP: who gets in, what a page of another can do, and that the doors judge what is read and done. */
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { makeConsoleLink, remedies } from '#kernel';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { actions, openDoor, PAGES, PATHS, PLACES, remediesNl } from '#services/console';
import { Browser, keyOf } from './console.ts';
import { newOin, newSchool, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';
import { type StandInProvider, startProvider } from './provider.ts';

let at: TestGateway;
let las: TestParty;
const school = newSchool();
beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
});
afterAll(() => at?.stop());

const browser = () => new Browser(at.gateway.addresses.console);
const link = () => makeConsoleLink(keyOf(at), Date.now());

describe('signing in by a link', () => {
  test('works once, and a session then reads and ends', async () => {
    const one = browser();
    expect((await one.get('/api/me')).body).toEqual({ ways: { link: true, provider: false } });
    expect((await one.get('/api/overview')).body).toMatchObject({ code: 'party.unknown' });
    const given = link();
    expect((await one.post('/api/sign-in', { link: given })).status).toBe(200);
    const me = (await one.get('/api/me')).body;
    expect(me).toMatchObject({ session: { duty: 'operator', token: expect.stringMatching(/^[\w-]{43}$/) } });
    expect((await one.get('/api/overview')).body).toMatchObject({ devKey: true, minutes: { length: 60 } });
    // Another browser with the same link is nobody.
    const other = browser();
    expect((await other.post('/api/sign-in', { link: given })).body).toMatchObject({ code: 'party.unknown' });
    expect((await one.post('/api/sign-out', {}, me.session.token)).status).toBe(200);
    expect((await one.get('/api/overview')).status).toBe(401);
  });

  test.each([
    ['made with another key', () => makeConsoleLink('eduk_operator_of-somebody-else', Date.now())],
    ['over', () => makeConsoleLink(keyOf(at), Date.now() - 301_000)],
    ['nothing', () => ''],
    ['no link', () => 'x'.repeat(72)],
  ])('a link that is %s does not', async (_what, make) => {
    const one = browser();
    const { status, body, cookies } = await one.post('/api/sign-in', { link: make() });
    expect([status, body.code, cookies]).toEqual([401, 'party.unknown', []]);
  });

  test('nor does a good one through somebody between', async () => {
    for (const header of ['forwarded', 'via', 'x-forwarded-for', 'x-real-ip']) {
      const one = browser();
      expect((await one.post('/api/sign-in', { link: link() }, '', { [header]: '127.0.0.1' })).body).toMatchObject({
        code: 'party.forbidden',
      });
    }
    // And a session is not good there either.
    const one = await browser().signedIn(keyOf(at));
    expect((await one.get('/api/overview', { via: '1.1 somebody' })).status).toBe(401);
    expect((await one.get('/api/overview')).status).toBe(200);
  });

  test('an id that a browser brought along is never taken over', async () => {
    const fixed = 'a'.repeat(43);
    const one = browser();
    one.cookies.set(one.sessionCookie, fixed);
    await one.post('/api/sign-in', { link: link() });
    const mine = one.cookies.get(one.sessionCookie)!;
    expect(mine).not.toBe(fixed);
    // Whoever signs in again has another, and the one before is over.
    const before = browser();
    before.cookies.set(one.sessionCookie, mine);
    expect((await before.get('/api/overview')).status).toBe(200);
    await one.post('/api/sign-in', { link: link() });
    expect(one.cookies.get(one.sessionCookie)).not.toBe(mine);
    expect((await before.get('/api/overview')).status).toBe(401);
    // Two cookies of the name are none.
    expect(
      (await one.get('/api/overview', { cookie: `${one.sessionCookie}=${fixed}; ${one.sessionCookie}=${mine}` }))
        .status,
    ).toBe(401);
  });

  test('its cookie is for this host alone, and for no script', async () => {
    const { cookies } = await browser().post('/api/sign-in', { link: link() });
    expect(cookies).toEqual([
      expect.stringMatching(/^__Host-eduk-console-\d+=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict$/),
    ]);
  });
});

describe('pages of others', () => {
  test('change nothing: origin, type and token are those of a page of this session', async () => {
    const one = await browser().signedIn(keyOf(at));
    const changes = [...Object.keys(actions), '/api/why', '/api/flows/of-learner', '/api/sign-out'];
    expect(changes.length).toBeGreaterThan(10);
    for (const path of changes) {
      const codeOf = async (more: Record<string, string>, token = one.token) =>
        (await one.post(path, {}, token, more)).body.code;
      for (const origin of ['http://evil.example', 'null', 'http://127.0.0.1:1', ''])
        expect(await codeOf({ origin })).toBe('party.forbidden');
      expect(await codeOf({ 'sec-fetch-site': 'cross-site' })).toBe('party.forbidden');
      expect(await codeOf({ 'sec-fetch-site': 'same-site' })).toBe('party.forbidden');
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'])
        expect(await codeOf({ 'content-type': type })).toBe('wire.invalid');
      for (const token of ['', 'x', one.token.slice(1)]) expect(await codeOf({}, token)).toBe('party.forbidden');
    }
    // It is still signed in: none of that ended the session.
    expect((await one.get('/api/overview')).status).toBe(200);
    for (const path of ['/api/overview', '/api/me', '/api/flows'])
      expect((await one.get(path, { 'sec-fetch-site': 'cross-site' })).body.code).toBe('party.forbidden');
  });

  test('show it in no frame, and it loads nothing from elsewhere', async () => {
    for (const path of [...PAGES, ...PATHS, '/nothing', '/assets/nothing.js']) {
      const { headers } = await browser().get(path);
      const policy = String(headers['content-security-policy']);
      for (const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"])
        expect([path, policy]).toEqual([path, expect.stringContaining(rule)]);
      expect(policy).not.toMatch(/unsafe|http|\*|data:/);
      expect(headers).toMatchObject({
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
      });
    }
    const page = (await browser().get('/')).text;
    expect(page).not.toMatch(/<script(?![^>]* src="\/assets\/)|<style|\sstyle=|\son\w+=|https?:/);
    const [, script] = /src="([^"]+\.js)"/.exec(page)!;
    const built = await browser().get(script!);
    expect([built.status, built.headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable']);
  });

  test('a host name that was not configured is refused, and so are two', async () => {
    for (const host of ['evil.example', 'localhost:1', `evil.example:${at.gateway.addresses.console.split(':')[1]}`])
      expect((await browser().get('/', { host })).status).toBe(403);
    expect((await browser().get('/', { host: `localhost:${at.gateway.addresses.console.split(':')[1]}` })).status).toBe(
      200,
    );
  });
});

describe('what is asked', () => {
  test('is refused without a session at every address but those that sign in', async () => {
    for (const path of PATHS.filter((one) => one.startsWith('/api/'))) {
      if (['/api/me', '/api/sign-in'].includes(path)) continue;
      expect([path, (await browser().get(path)).body.code]).toEqual([path, 'party.unknown']);
      expect([path, (await browser().post(path, {})).body.code]).toEqual([path, 'party.unknown']);
    }
  });

  test('that is no page is told to a person by a page, and to a program as before', async () => {
    const page = await browser().get('/nergens', { accept: 'text/html,*/*' });
    expect([page.status, page.headers['content-type']]).toEqual([404, 'text/html; charset=utf-8']);
    expect(String(page.headers['content-security-policy'])).toContain("default-src 'none'");
    expect(page.text).not.toContain('nergens');
    for (const [path, accept] of [
      ['/nergens', '*/*'],
      ['/assets/nergens.js', '*/*'],
      ['/api/nergens', 'text/html'],
    ] as const)
      expect([path, (await browser().get(path, { accept })).body.code]).toEqual([path, 'state.missing']);
  });

  test('may be broken in any way, and is told without being quoted', async () => {
    const one = await browser().signedIn(keyOf(at));
    const secret = 'Zoë-Plooistra-123';
    const bodies = ['', '[]', '"x"', '{', `{"learner": ${JSON.stringify(secret)}`, `{"learner": {"x": "${secret}"}}`];
    for (const body of [...bodies, `{"learner": "${secret.repeat(2_000)}"}`]) {
      const { status, text } = await one.raw('POST', '/api/why', body, one.token);
      expect([400, 404, 413]).toContain(status);
      expect(text).not.toContain(secret);
    }
    for (const query of [`q=${'x'.repeat(5_000)}`, 'before=-1', 'before=x', 'q=%00', 'state=%F0%9F%98%80'])
      expect([200, 400]).toContain((await one.get(`/api/flows?${query}`)).status);
    for (const path of ['//', '/%', '/../../etc/passwd', '/assets/../../package.json', '/api/flow?id=%ZZ'])
      expect([400, 404]).toContain((await one.get(path)).status);
    for (const method of ['PUT', 'DELETE', 'PATCH', 'TRACE'])
      expect([400, 405]).toContain((await one.raw(method, '/api/holds/decide', '', one.token)).status);
    expect((await one.get('/api/flow?id=nothing')).body).toMatchObject({ code: 'state.missing' });
  });

  test('a learner is asked for in a body, is found by the school’s own key, and is not in the answer', async () => {
    const one = await browser().signedIn(keyOf(at));
    const nowhere = await one.post('/api/why', { school: newSchool(), learner: 'sleutel-van-Zoë' }, one.token);
    expect(nowhere.body.code).toBe('state.missing');
    expect(nowhere.text).not.toContain('sleutel');
    await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
    const { status, body, text } = await one.post('/api/why', { school, learner: 'sleutel-van-Zoë' }, one.token);
    expect([status, body.blockers[0].code]).toEqual([200, 'learner.unknown']);
    expect(text).not.toContain('sleutel');
    // Nor is there a question that takes it in an address.
    expect((await one.get('/api/why?learner=sleutel')).body.code).toBe('wire.invalid');
    const path = '/api/flows/of-learner';
    const asked = { school, learner: 'sleutel-van-Zoë' };
    for (const [given, code] of [
      [asked, 'learner.unknown'],
      [{ ...asked, pseudonymOf: '00000001234567890000' }, 'state.missing'],
      [{ ...asked, school: '' }, 'wire.invalid'],
      [{ ...asked, learner: ' ' }, 'wire.invalid'],
      [{ ...asked, state: 'é' }, 'wire.invalid'],
    ] as const) {
      const answer = await one.post(path, given, one.token);
      expect(answer.body.code).toBe(code);
      expect(answer.text).not.toContain('sleutel');
    }
    expect((await one.get(`${path}?learner=sleutel`)).body.code).toBe('wire.invalid');
    expect((await one.post(path, asked, 'x')).status).toBe(403);
  });

  test('is told as it changes', async () => {
    const one = await browser().signedIn(keyOf(at));
    const stream = one.stream('/api/live?of=flows');
    expect((await stream.next()).value).toMatchObject({ event: 'now' });
    const began = performance.now();
    const { flowId } = await las.orders
      .placeOrder({
        reference: 'live-1',
        orderId: 'live-1',
        schoolOin: school,
        lines: [{ terms: { lineId: '1', productId: 'nog-niet', quantity: 1 } }],
        waitMs: 0n,
      })
      .catch(() => ({ flowId: '' }));
    await at.operator.addParty({ party: { oin: newOin(), name: 'Nieuw', roles: [Role.ROLE_PLATFORM] } });
    const { value } = await stream.next();
    expect((value!.data as { flows: unknown[] }).flows.length).toBeGreaterThan(0);
    expect(flowId).toBeDefined();
    // A second at most, on a machine that has time; here it is only known to come.
    expect(performance.now() - began).toBeLessThan(20_000);
    // Whoever signs out is told no more.
    await one.post('/api/sign-out', {}, one.token);
    for (;;) {
      const told = await stream.next();
      if (told.done || told.value.event === 'ended') break;
    }
  });
});

describe('a link to one page', () => {
  /** What a browser has from an address: the link, and the secret behind its #. */
  const parts = (url: string) => {
    const { pathname, searchParams, hash, origin } = new URL(url);
    return { at: `${origin}${pathname}`, link: searchParams.get('link')!, secret: hash.slice(1) };
  };
  async function made(to: string, hours = '1') {
    const operator = await browser().signedIn(keyOf(at));
    const { body } = await operator.post('/api/links/make', { to, hours }, operator.token);
    return { operator, ...parts(body.link) };
  }
  test('carries ids, days and states, and nothing that somebody wrote', async () => {
    const operator = await browser().signedIn(keyOf(at));
    for (const to of [
      '/flows?q=Jan',
      '/flows?q=123456782',
      '/flows?q=bsn123456782',
      '/flow?id=1&reference=123456782',
      // Classes, and the log of what was done, are for who signs in.
      `/readiness?school=${school}&by=class`,
      '/audit',
    ])
      expect((await operator.post('/api/links/make', { to, hours: '1' }, operator.token)).body.code).toBe(
        'wire.invalid',
      );
    expect(
      (await operator.post('/api/links/make', { to: '/flows?q=order-1', hours: '1' }, operator.token)).status,
    ).toBe(200);
  });

  test('carries every part of a query that its page has, but who is looked for and classes', async () => {
    const operator = await browser().signedIn(keyOf(at));
    const code = async (page: string, names: readonly string[]): Promise<string | undefined> => {
      const to = `${page}?${names.map((name) => `${name}=1`).join('&')}`;
      return (await operator.post('/api/links/make', { to, hours: '1' }, operator.token)).body.code;
    };
    const all = [...new Set(Object.values(PLACES).flat())];
    for (const page of ['/flow', '/flows', '/readiness', '/preflight', '/launches', '/party']) {
      const own = PLACES[page]!.filter((name) => name !== 'by');
      expect([page, await code(page, own)]).toEqual([page, undefined]);
      for (const name of all.filter((one) => !own.includes(one)))
        expect([page, name, await code(page, [name])]).toEqual([page, name, 'wire.invalid']);
    }
  });

  const opened = async (given: { link: string; secret: string }) => {
    const one = browser();
    const answer = await one.post('/api/shared/open', { link: given.link, secret: given.secret });
    return { one, answer };
  };

  test('shows that page with that query, and nothing else, until it is taken back', async () => {
    const link = await made('/flows?q=ord-1&state=');
    expect(link.at).toBe(`http://${at.gateway.addresses.console}/shared`);
    const { one, answer } = await opened(link);
    expect([answer.status, answer.text]).toEqual([200, '{}']);
    expect(answer.cookies).toEqual([
      expect.stringMatching(
        /^__Host-eduk-console-\d+-shared-[\w-]{16}=[\w-]+; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=3[56]\d\d$/,
      ),
    ]);
    // The secret is in no cookie, and another opening gives another one.
    expect(answer.cookies[0]).not.toContain(link.secret);
    expect((await opened(link)).answer.cookies[0]).not.toBe(answer.cookies[0]);
    const { body } = await one.get(`/api/shared?link=${link.link}`);
    expect(body).toEqual({ page: '/flows', query: [{ name: 'q', value: 'ord-1' }], ends: expect.any(Number) });
    // Whatever a browser asks beside it, it is read as the link says.
    const read = (more = '') => one.get(`/api/shared/read?link=${link.link}${more}`);
    expect((await read('&q=&party=operator&of=overview')).body).toMatchObject({ flows: [], next: '' });
    const stream = one.stream(`/api/shared/live?link=${link.link}&of=overview`);
    expect((await stream.next()).value).toMatchObject({ event: 'now', data: { flows: [] } });
    // It is no session: nothing else is read, and nothing is done.
    for (const path of PATHS.filter(
      (path) => path.startsWith('/api/') && !/^\/api\/(me|sign-in|shared.*)$/.test(path),
    )) {
      expect([path, (await one.get(path)).body.code]).toEqual([path, 'party.unknown']);
      expect([path, (await one.post(path, {})).body.code]).toEqual([path, 'party.unknown']);
    }
    expect((await one.get('/api/me')).body.session).toBeUndefined();
    for (const path of ['/api/shared', '/api/shared/read', '/api/shared/live'])
      expect([path, (await one.post(path, {})).body.code]).toEqual([path, 'party.unknown']);
    // Taken back, it is over for who has it open too.
    const { operator } = link;
    const [listed] = (await operator.get('/api/links')).body.filter(({ id }: { id: string }) => id === link.link);
    expect(listed).toMatchObject({ page: '/flows', opened: expect.any(Number) });
    expect(JSON.stringify(listed)).not.toContain(link.secret);
    expect((await operator.post('/api/links/end', { link: link.link }, operator.token)).status).toBe(200);
    // A page that is open is told so, and its stream ends.
    const last: string[] = [];
    for await (const { event } of stream) last.push(event);
    expect(last.at(-1)).toBe('ended');
    // Nor is its own browser told any more which page it was; it forgets the link.
    const asked = await one.get(`/api/shared?link=${link.link}`);
    expect([asked.status, asked.body.code, asked.text]).toEqual([
      401,
      'party.unknown',
      expect.not.stringContaining('ord-1'),
    ]);
    expect(asked.cookies).toEqual([expect.stringMatching(/-shared-[\w-]{16}=; .*Max-Age=0$/)]);
    expect((await read()).status).toBe(401);
    expect((await opened(link)).answer.body.code).toBe('party.unknown');
  });

  test('is opened by its own secret only, and its cookie opens no other', async () => {
    const [mine, other] = [await made('/launches'), await made('/readiness')];
    for (const secret of ['', 'x'.repeat(43), other.secret, `${mine.secret}x`]) {
      const { answer } = await opened({ link: mine.link, secret });
      expect([answer.status, answer.cookies]).toEqual([401, []]);
    }
    const { one } = await opened(mine);
    const [[name, value]] = [...one.cookies] as [[string, string]];
    const thief = browser();
    // Under the name of another, changed, or twice: it is none.
    thief.cookies.set(name.replace(mine.link, other.link), value);
    expect((await thief.get(`/api/shared?link=${other.link}`)).status).toBe(401);
    thief.cookies.set(name, `A${value.slice(1)}`);
    expect((await thief.get(`/api/shared?link=${mine.link}`)).status).toBe(401);
    const twice = `${name}=${value}; ${name}=${value}`;
    expect((await one.get(`/api/shared?link=${mine.link}`, { cookie: twice })).status).toBe(401);
    // What a browser brought along is not taken over, and a session of an operator beside it stays.
    const fixed = await browser().signedIn(keyOf(at));
    fixed.cookies.set(name, 'a'.repeat(60));
    await fixed.post('/api/shared/open', { link: mine.link, secret: mine.secret });
    expect(fixed.cookies.get(name)).not.toBe('a'.repeat(60));
    expect((await fixed.get('/api/overview')).status).toBe(200);
    expect((await fixed.get(`/api/shared/read?link=${mine.link}`)).status).toBe(200);
  });

  test('is read and opened by no page of another', async () => {
    const link = await made('/launches');
    const { one } = await opened(link);
    const body = { link: link.link, secret: link.secret };
    const elsewhere: Record<string, string>[] = [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: '' },
      { 'sec-fetch-site': 'cross-site' },
    ];
    for (const more of elsewhere)
      expect((await browser().post('/api/shared/open', body, '', more)).body.code).toBe('party.forbidden');
    expect((await browser().post('/api/shared/open', body, '', { 'content-type': 'text/plain' })).body.code).toBe(
      'wire.invalid',
    );
    for (const path of ['/api/shared', '/api/shared/read', '/api/shared/live'])
      expect((await one.get(`${path}?link=${link.link}`, { 'sec-fetch-site': 'cross-site' })).body.code).toBe(
        'party.forbidden',
      );
  });

  test('is for the door one who looks at that page: it says so itself, and which link it was stands in the log', async () => {
    const link = await made(`/flow?id=${'0'.repeat(8)}-0000-7000-8000-${'0'.repeat(12)}`);
    const door = openDoor(at.gateway.addresses.grpc);
    onTestFinished(() => door.close());
    const as = door.as(keyOf(at), link.link);
    await expect(as('showFlow', { flowId: 'nothing' })).rejects.toMatchObject({ fault: 'state.missing' });
    const asked: (() => Promise<unknown>)[] = [
      () => as('showOverview', {}),
      () => as('listHolds', {}),
      () => as('listAccess', { schoolOin: school }),
      () => as('listLinks', {}),
      () => as('makeLink', { page: '/launches' }),
      () => as('endLink', { linkId: link.link }),
      () => as('resolveDeliveries', { partyOin: las.oin, action: 'drop' }),
    ];
    for (const one of asked) await expect(one()).rejects.toMatchObject({ fault: 'party.forbidden' });
    // Of a party's proofs nothing leaves by a link.
    const page = await made(`/party?oin=${las.oin}`);
    const seen = await door.as(keyOf(at), page.link)('listParties', { oin: las.oin });
    expect([seen.parties.length, seen.proofs, seen.signIns]).toEqual([1, undefined, []]);
    // Who has no operator's key is nobody with a link either.
    const stranger = door.as(las.apiKey, link.link);
    await expect(stranger('showFlow', { flowId: 'nothing' })).rejects.toMatchObject({ fault: 'party.forbidden' });
    await expect
      .poll(
        async () => {
          const { leaves } = await at.operator.readAuditLog({ limit: 2000 });
          return leaves
            .map(({ record }) => AuditRecord.decode(record))
            .filter(({ method, actedBy }) => method === 'OperatorService/ShowFlow' && actedBy === `link:${link.link}`)
            .length;
        },
        { timeout: 60_000 },
      )
      .toBeGreaterThan(0);
  });
});

test('a session is where all doors find it: a gateway that starts anew knows it, and signing out ends it there', async () => {
  const one = await browser().signedIn(keyOf(at));
  const given = (await one.post('/api/links/make', { to: '/launches', hours: '' }, one.token)).body.link;
  const id = one.cookies.get(one.sessionCookie)!;
  await at.restart();
  const again = browser();
  again.cookies.set(again.sessionCookie, id);
  expect((await again.get('/api/me')).body.session.token).toBe(one.token);
  // A link is a row too.
  const link = new URL(given).searchParams.get('link');
  await again.post('/api/shared/open', { link, secret: new URL(given).hash.slice(1) });
  expect((await again.get(`/api/shared?link=${link}`)).body.page).toBe('/launches');
  await again.post('/api/sign-out', {}, one.token);
  again.cookies.set(again.sessionCookie, id);
  expect((await again.get('/api/overview')).status).toBe(401);
});

describe('operators of a provider', () => {
  let provider: StandInProvider;
  beforeAll(async () => {
    provider = await startProvider({ id: 'console', secret: 'of the console' });
    const { writeFileSync } = await import('node:fs');
    const file = `${at.folder}.console.secret`;
    writeFileSync(file, 'of the console', { mode: 0o600 });
    await at.restart(undefined, {
      EDUK_OIDC_ISSUER: provider.issuer,
      EDUK_OIDC_AUDIENCE: 'eduk',
      EDUK_OIDC_ROLES: 'operator=admins,privacy=officers,read=helpdesk',
      EDUK_OIDC_ROLE_CLAIM: 'roles',
      EDUK_CONSOLE_CLIENT_ID: 'console',
      EDUK_CONSOLE_CLIENT_SECRET_FILE: file,
    });
  });
  afterAll(() => provider?.stop());

  const seconds = () => Math.floor(Date.now() / 1000);
  const token = (roles: string[]) =>
    provider.signed({ iss: provider.issuer, aud: 'eduk', sub: 'somebody', exp: seconds() + 300, roles });
  /** As far as the address to come back to. */
  async function atProvider(one: Browser, roles: string[], to?: string): Promise<string> {
    const asked = to === undefined ? '' : `?to=${encodeURIComponent(to)}`;
    const { status, headers } = await one.get(`/sign-in/provider${asked}`);
    expect(status).toBe(303);
    // The provider is told nothing of the page.
    expect(decodeURIComponent(String(headers['location']))).not.toMatch(/flow|evil/);
    const back = provider.consent(String(headers['location']), { access: await token(roles) });
    return `${new URL(back).pathname}${new URL(back).search}`;
  }
  const signedIn = async (roles: string[]): Promise<Browser> => {
    const one = browser();
    const { headers } = await one.get(await atProvider(one, roles));
    expect(headers['location']).toBe('/');
    one.token = (await one.get('/api/me')).body.session?.token ?? '';
    return one;
  };

  test.each([
    ['admins', 'operator'],
    ['officers', 'privacy'],
    ['helpdesk', 'read'],
  ])('%s has the duty %s', async (role, duty) => {
    const one = await signedIn([role]);
    expect((await one.get('/api/me')).body).toMatchObject({ session: { duty }, ways: { provider: true } });
    expect((await one.get('/api/overview')).status).toBe(200);
  });

  test('who may look cannot act, whatever is sent; the doors say so', async () => {
    const one = await signedIn(['helpdesk']);
    for (const [path, body] of [
      ['/api/holds/decide', { hold: 'x', approve: true }],
      ['/api/dead/retry', { party: las.oin }],
      ['/api/dead/drop', { party: las.oin }],
      ['/api/dead/take-up', { consumer: 'orders', stream: 'orders', key: 'x' }],
      ['/api/replays/preview', { party: las.oin }],
      ['/api/replays/run', { replay: 'x' }],
      ['/api/replays/stop', { replay: 'x' }],
      ['/api/freezes/set', { all: true, until: '2099-01-01', reason: 'x' }],
      ['/api/freezes/end', { freeze: 'x' }],
      ['/api/holds/rules/set', { all: true, kinds: 'leavers', percent: '15', until: '2099-01-01', reason: 'x' }],
      ['/api/holds/rules/approve', { rule: 'x' }],
      ['/api/holds/rules/end', { rule: 'x' }],
    ] as const)
      expect([path, (await one.post(path, body, one.token)).body.code]).toEqual([path, 'party.forbidden']);
    const admin = await signedIn(['admins']);
    expect((await admin.post('/api/holds/decide', { hold: 'x', approve: true }, admin.token)).body.code).toBe(
      'state.missing',
    );
  });

  test('who asked for a page is led to it, and to no page of another', async () => {
    const page = '/flow?id=0192f3a1-0000-7000-8000-000000000000';
    const ledTo = async (to: string, roles = ['admins']) => {
      const one = browser();
      const { headers } = await one.get(await atProvider(one, roles, to));
      return headers['location'];
    };
    expect(await ledTo(page)).toBe(page);
    expect(await ledTo(`${page}&learner=sleutel#geheim`)).toBe(page);
    for (const to of [
      '//evil.example/flow',
      '/\\evil.example',
      'https://evil.example',
      '/%2F/evil.example',
      '%2F%2Fevil',
    ])
      expect([to, await ledTo(to)]).toEqual([to, '/']);
    // Who is not let in still knows where to go, and begins anew from there.
    expect(await ledTo(page, ['students'])).toBe(`/sign-in?wrong=party.forbidden&to=${encodeURIComponent(page)}`);
    // Only the browser that began: what another brings along leads nowhere.
    const [mine, other] = [browser(), browser()];
    const back = await atProvider(mine, ['admins'], page);
    await atProvider(other, ['admins'], '/flows');
    expect((await other.get(`${back}&to=//evil.example`)).headers['location']).toBe(
      `/sign-in?wrong=party.unknown&to=${encodeURIComponent('/flows')}`,
    );
    expect((await mine.get(`${back}&to=//evil.example`)).headers['location']).toBe(page);
  });

  test('nobody without a role, by another’s browser, or twice', async () => {
    const one = browser();
    const { headers } = await one.get(await atProvider(one, ['students']));
    expect(headers['location']).toBe('/sign-in?wrong=party.forbidden');
    expect((await one.get('/api/me')).body.session).toBeUndefined();
    // Somebody sends a victim the way back of their own sign-in.
    const attacker = browser();
    const back = await atProvider(attacker, ['admins']);
    const victim = browser();
    expect((await victim.get(back)).headers['location']).toBe('/sign-in?wrong=party.unknown');
    expect((await victim.get('/api/me')).body.session).toBeUndefined();
    expect((await attacker.get(back)).headers['location']).toBe('/');
    expect((await attacker.get(back)).headers['location']).toBe('/sign-in?wrong=party.unknown');
    for (const query of ['', '?code=x', '?state=x&code=y', '?error=access_denied'])
      expect((await browser().get(`/sign-in/callback${query}`)).headers['location']).toBe(
        '/sign-in?wrong=party.unknown',
      );
  });
});

test('what the gateway says that helps, the pages say in Dutch too', () => {
  expect(Object.keys(remedies).filter((code) => remediesNl[code] === undefined)).toEqual([]);
});

test('what is not finished is let go of', async () => {
  const [host, port] = at.gateway.addresses.console.split(':');
  const one = httpRequest({ host, port: Number(port), method: 'POST', path: '/api/sign-in' });
  one.on('error', () => undefined);
  one.setHeader('content-length', '100');
  one.write('{');
  one.destroy();
  expect((await browser().get('/api/me')).status).toBe(200);
});
