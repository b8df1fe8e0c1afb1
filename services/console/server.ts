/** The console over HTTP: built pages, what they show as JSON, what they do, and what changes as it changes. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import {
  type Address,
  asGatewayError,
  type Dialler,
  describeError,
  faults,
  GatewayError,
  isLoopback,
  log,
  readConsoleLink,
  Seals,
  textOf,
} from '#kernel';
import { act, actions, textIn } from './actions.ts';
import { readAssets } from './assets.ts';
import { type Ask, type OperatorDoor, openDoor } from './door.ts';
import { checkChange, checkHost, checkSite, checkToken, headers, isLocal, type Place } from './guard.ts';
import { Live } from './live.ts';
import { askedIn, PAGES, pageAsked } from './places.ts';
import { problemOf } from './problem.ts';
import { type ConsoleSignIn, OperatorProvider, PENDING_MS } from './provider.ts';
import * as reads from './reads.ts';
import { cookie, cookieIn, type Session, type SessionRows, Sessions } from './sessions.ts';
import { type LinkRows, pageOf, SharedLinks } from './shared.ts';
import type { Me, SettingView, SharedPage } from './types.ts';

export interface ConsoleOptions {
  address: Address;
  /** Where browsers reach it; undefined = at the address itself. */
  publicUrl: string | undefined;
  /** Undefined = plain HTTP, on loopback. Read again every minute. */
  tls: (() => { cert: Buffer; key: Buffer }) | undefined;
  /** The operator's side of the gRPC door, on loopback. */
  door: Address;
  operatorKey: string;
  sessions: SessionRows & LinkRows;
  signIn: ConsoleSignIn | undefined;
  dialler: Dialler;
  now: () => number;
  /** How it is set, for who signed in; no secret is in it. */
  settings: readonly SettingView[];
}

export interface Console {
  /** As it is bound: host:port. */
  address: string;
  stop(graceMs: number): Promise<void>;
}

/** What pages read, by path. */
const READS: Readonly<
  Record<
    string,
    (ask: Ask, query: URLSearchParams, now: number, options: Pick<ConsoleOptions, 'settings'>) => Promise<unknown>
  >
> = {
  '/api/overview': reads.overview,
  '/api/launches': reads.launches,
  '/api/readiness': reads.readiness,
  '/api/preflight': reads.preflight,
  '/api/flows': reads.flows,
  '/api/flow': reads.flow,
  '/api/holds': reads.holds,
  '/api/holds/rules': (ask) => reads.holdRules(ask),
  '/api/holds/rules/preview': reads.rulePreview,
  '/api/dead': reads.dead,
  '/api/replays': (ask) => reads.replays(ask),
  '/api/access': reads.access,
  '/api/audit': reads.audit,
  '/api/reconciled': reads.reconciled,
  '/api/freezes': reads.freezes,
  '/api/freezes/preview': reads.freezePreview,
  '/api/freezes/end/preview': reads.freezeEndPreview,
  '/api/links': (ask) => reads.links(ask),
  '/api/parties': reads.parties,
  '/api/party': reads.party,
  // Asked of the door first: a session that ended there is shown nothing here.
  '/api/settings': async (ask, _query, _now, { settings }) => (await ask('status', {})) && settings,
};

/** All paths that answer besides pages and what they are made of. */
export const PATHS: readonly string[] = [
  '/api/me',
  '/api/sign-in',
  '/api/sign-out',
  '/api/why',
  '/api/flows/of-learner',
  '/api/live',
  '/api/shared',
  '/api/shared/open',
  '/api/shared/read',
  '/api/shared/live',
  '/sign-in/provider',
  '/sign-in/callback',
  ...Object.keys(READS),
  ...Object.keys(actions),
];

const LONGEST_BODY = 16 * 1024;
const MOST_CONNECTIONS = 500;
const CERT_MS = 60_000;

interface Parts extends Omit<ConsoleOptions, 'sessions'> {
  rows: SessionRows & LinkRows;
  place: Place;
  sessions: Sessions;
  shared: SharedLinks;
  provider: OperatorProvider | undefined;
  opened: OperatorDoor;
  live: Live;
  assets: ReturnType<typeof readAssets>;
}

/** Rejects with the error of a listener (EADDRINUSE). */
export async function startConsole(options: ConsoleOptions): Promise<Console> {
  const assets = readAssets();
  let parts: Parts | undefined;
  const most = { maxHeaderSize: 16_384, headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response, parts!).catch((thrown) => refuse(request, response, thrown));
  };
  const server = options.tls ? createTlsServer({ ...most, ...options.tls() }, listener) : createServer(most, listener);
  server.maxConnections = MOST_CONNECTIONS;
  await listen(server, options.address);
  const port = (server.address() as { port: number }).port;
  const scheme = options.tls ? 'https' : 'http';
  const origin = new URL(options.publicUrl ?? `${scheme}://${textOf({ ...options.address, port })}`).origin;
  const opened = openDoor(textOf(options.door));
  const seals = new Seals(options.operatorKey);
  const sessions = new Sessions(options.sessions, seals, port, options.now);
  const live = new Live();
  parts = {
    ...options,
    assets,
    opened,
    rows: options.sessions,
    sessions,
    shared: new SharedLinks(seals, port, options.now),
    live,
    place: { origin, port, onLoopback: isLoopback(options.address.host) },
    provider:
      options.signIn && new OperatorProvider(options.signIn, options.dialler, options.now, seals, options.sessions),
  };
  const renewing = options.tls && setInterval(() => renew(server, options.tls!), CERT_MS).unref();
  return {
    address: textOf({ ...options.address, port }),
    stop: (graceMs) =>
      new Promise((resolve) => {
        clearInterval(renewing);
        live.stop();
        const cut = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(cut);
          opened.close();
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/** A certificate that was renewed is shown to who connects from then on. */
function renew(server: Server, read: () => { cert: Buffer; key: Buffer }): void {
  try {
    (server as ReturnType<typeof createTlsServer>).setSecureContext(read());
  } catch (thrown) {
    log('error', 'console_certificate', describeError(thrown));
  }
}

const listen = (server: Server, { host, port }: Address): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });

async function answer(request: IncomingMessage, response: ServerResponse, parts: Parts): Promise<void> {
  const { place, assets, sessions } = parts;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (place.origin.startsWith('https:')) response.setHeader('strict-transport-security', 'max-age=31536000');
  checkHost(request, place);
  let url: URL;
  try {
    url = new URL(request.url ?? '/', place.origin);
  } catch (cause) {
    throw new GatewayError('wire.unreadable', 'This is no address.', { cause });
  }
  const { pathname: path } = url;
  const isPost = request.method === 'POST';
  if (!isPost && request.method !== 'GET' && request.method !== 'HEAD')
    throw new GatewayError('wire.invalid', 'Only GET, HEAD and POST are answered.', { where: 'method' });
  if (!isPost) {
    const file = assets.files.get(path);
    if (file) return send(response, 200, file.type, file.body, 'public, max-age=31536000, immutable');
    if (PAGES.includes(path)) return send(response, 200, 'text/html; charset=utf-8', assets.page);
    // A person who mistypes an address is told so by a page; what loads pages is told as before.
    if (!PATHS.includes(path) && !path.startsWith('/api/') && request.headers.accept?.includes('text/html'))
      return send(response, 404, 'text/html; charset=utf-8', assets.page);
    if (path === '/sign-in/provider') return beginAtProvider(response, parts, url);
    if (path === '/sign-in/callback') return finishAtProvider(request, response, parts, url);
  }
  if (SHARED.has(path)) return answerShared(request, response, parts, url);
  if (!PATHS.includes(path)) throw new GatewayError('state.missing', 'Nothing answers here.', { where: 'path' });
  const session = await sessions.of(request, isLocal(request, place));
  if (isPost) {
    checkChange(request, place);
    if (path === '/api/sign-in') return signIn(request, response, parts);
    if (!session) throw signedOut();
    checkToken(request, session);
    if (path === '/api/sign-out') {
      response.setHeader('set-cookie', await sessions.end(request));
      return sendJson(response, { ways: waysOf(request, parts) } satisfies Me);
    }
    const given = await bodyOf(request);
    const ask = parts.opened.as(session.bearer);
    if (path === '/api/why')
      return sendJson(
        response,
        await reads.why(ask, {
          school: textIn(given, 'school'),
          order: textIn(given, 'order'),
          product: textIn(given, 'product'),
          learner: textIn(given, 'learner'),
          party: textIn(given, 'party'),
        }),
      );
    if (path === '/api/flows/of-learner')
      return sendJson(response, await reads.flowsOfLearner(ask, (name) => textIn(given, name)));
    const action = actions[path];
    if (!action) throw new GatewayError('wire.invalid', 'Nothing is changed at this address.', { where: 'path' });
    const came = await act(action, ask, given);
    return sendJson(response, came.link ? { ...came, link: `${place.origin}${came.link}` } : came);
  }
  checkSite(request);
  if (path === '/api/me') return sendJson(response, await me(request, parts, session));
  if (!session) throw signedOut();
  const ask = parts.opened.as(session.bearer);
  if (path === '/api/live') {
    const read = READS[`/api/${url.searchParams.get('of') ?? ''}`];
    if (!read) throw new GatewayError('state.missing', 'Nothing is told live of this.', { where: 'of' });
    const holds = (): Promise<boolean> => sessions.holds(session);
    return parts.live.open(response, holds, () => read(ask, url.searchParams, parts.now(), parts));
  }
  const read = READS[path];
  if (!read) throw new GatewayError('wire.invalid', 'This address takes what is sent by POST.', { where: 'path' });
  return sendJson(response, await read(ask, url.searchParams, parts.now(), parts));
}

/** What somebody is answered who has a link to one page. */
const SHARED: ReadonlySet<string> = new Set(PATHS.filter((path) => /^\/api\/shared(\/|$)/.test(path)));

/**
 * Of a browser nothing is taken but which of its links it means: the page and its query are those that the link was made for, and the door
 * is asked as who has that link.
 */
async function answerShared(
  request: IncomingMessage,
  response: ServerResponse,
  { place, rows, shared, opened, operatorKey, now, live, settings }: Parts,
  url: URL,
): Promise<void> {
  const { pathname: path, searchParams } = url;
  if (request.method === 'POST') {
    checkChange(request, place);
    if (path !== '/api/shared/open') throw signedOut();
    const given = await bodyOf(request);
    const asked = { linkId: textIn(given, 'link'), secret: textIn(given, 'secret') };
    const { link } = await opened.as(operatorKey)('openLink', asked);
    response.setHeader('set-cookie', shared.open(pageOf(link!)));
    log('info', 'console_link_opened');
    return sendJson(response, {});
  }
  checkSite(request);
  const page = shared.of(request, searchParams.get('link') ?? '');
  if (!page) throw signedOut();
  const stands = async (): Promise<boolean> => now() < page.ends && (await rows.linkStands(page.id));
  // Not even which page it was is said of one that was taken back.
  if (!(await stands())) {
    response.setHeader('set-cookie', shared.forget(page));
    throw new GatewayError('party.unknown', 'This link is over, or was taken back: ask for another.', {
      where: 'link',
    });
  }
  const ask = opened.as(operatorKey, page.id);
  const read = READS[`/api${page.page}`]!;
  const query = new URLSearchParams(page.query.map(({ name, value }): [string, string] => [name, value]));
  // In which language it is told is the reader's own.
  if (searchParams.get('lang') === 'en') query.set('lang', 'en');
  const answer = (): Promise<unknown> => read(ask, query, now(), { settings });
  if (path === '/api/shared/live') {
    // A page that is read once still hears that its link is over.
    const isEndOnly = searchParams.get('only') === 'end';
    return live.open(response, stands, isEndOnly ? async () => ({ ends: page.ends }) : answer);
  }
  if (path === '/api/shared/read') return sendJson(response, await answer());
  if (path === '/api/shared/open')
    throw new GatewayError('wire.invalid', 'This address takes what is sent by POST.', { where: 'path' });
  return sendJson(response, { page: page.page, query: page.query, ends: page.ends } satisfies SharedPage);
}

const signedOut = (): GatewayError => new GatewayError('party.unknown', 'Sign in first.', { where: 'session' });

const waysOf = (request: IncomingMessage, { place, provider }: Parts): Me['ways'] => ({
  link: isLocal(request, place),
  provider: provider !== undefined,
});

/** What somebody may do the door says, and says again at every call. */
async function me(request: IncomingMessage, parts: Parts, session: Session | undefined): Promise<Me> {
  const ways = waysOf(request, parts);
  if (!session) return { ways };
  const { duty } = await parts.opened.as(session.bearer)('status', {});
  return {
    ways,
    session: {
      token: session.token,
      isLocal: session.isLocal,
      duty: duty === 'operator' || duty === 'privacy' ? duty : 'read',
    },
  };
}

/** By a link that `eduk console` printed on this machine: once. */
async function signIn(request: IncomingMessage, response: ServerResponse, parts: Parts): Promise<void> {
  const { place, operatorKey, now, rows, sessions } = parts;
  const given = await bodyOf(request);
  if (!isLocal(request, place))
    throw new GatewayError('party.forbidden', 'A link signs in on the gateway’s own machine only.');
  const link = readConsoleLink(operatorKey, textIn(given, 'link'), now());
  if (!link || !(await rows.once(link.nonce, link.untilMs)))
    throw new GatewayError('party.unknown', 'This link was used before, or is over: eduk console prints another.', {
      where: 'link',
    });
  response.setHeader('set-cookie', await sessions.open(request, operatorKey, true, Number.MAX_SAFE_INTEGER));
  log('info', 'console_signed_in_by_link');
  return sendJson(response, {});
}

const PENDING = '__Host-eduk-console-sign-in';
const callbackOf = ({ place }: Parts): string => `${place.origin}/sign-in/callback`;

/** `to` in the query: the page that was asked for; it goes along sealed in the browser, and the provider never sees it. */
async function beginAtProvider(response: ServerResponse, parts: Parts, { searchParams }: URL): Promise<void> {
  if (!parts.provider) throw new GatewayError('state.missing', 'Nobody signs in at a provider here.');
  const { url, browser } = await parts.provider.begin(
    callbackOf(parts),
    pageAsked(searchParams.get('to'), parts.place.origin),
  );
  redirect(response, url.href, [cookie(PENDING, browser, 'Lax', PENDING_MS / 1000)]);
}

/** Back from the provider: once, by the browser that went there. What went wrong the page says. */
async function finishAtProvider(
  request: IncomingMessage,
  response: ServerResponse,
  parts: Parts,
  url: URL,
): Promise<void> {
  const gone = cookie(PENDING, '', 'Lax', 0);
  const kept = cookieIn(request, PENDING);
  const to = pageAsked(parts.provider?.asked(kept), parts.place.origin);
  try {
    if (!parts.provider) throw new GatewayError('state.missing');
    const current = new URL(callbackOf(parts));
    current.search = url.search;
    const { bearer, untilMs } = await parts.provider.finish(current, kept);
    // Whoever has no role here is told so now, and has no session.
    await parts.opened.as(bearer)('status', {});
    redirect(response, to, [await parts.sessions.open(request, bearer, false, untilMs), gone]);
    log('info', 'console_signed_in_at_provider');
  } catch (thrown) {
    const { fault } = asGatewayError(thrown);
    redirect(response, `/sign-in?wrong=${fault}${askedIn(to, '&')}`, [gone]);
  }
}

function redirect(response: ServerResponse, to: string, cookies: readonly string[]): void {
  response.writeHead(303, { location: to, 'set-cookie': [...cookies], 'cache-control': 'no-store' });
  response.end();
}

/** A JSON object of at most 16 KiB. Faults: wire.too_large, wire.unreadable. */
async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LONGEST_BODY) throw new GatewayError('wire.too_large', 'A request may hold 16 KiB.');
    chunks.push(chunk);
  }
  let given: unknown;
  try {
    given = JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
  } catch {
    // The parser's message would quote what was sent.
    throw new GatewayError('wire.unreadable', 'This is no JSON.');
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new GatewayError('wire.unreadable', 'This is no JSON object.');
  return given as Record<string, unknown>;
}

function send(response: ServerResponse, status: number, type: string, body: Buffer, cache = 'no-store'): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': body.length,
    'cache-control': cache,
    vary: 'Cookie',
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

const sendJson = (response: ServerResponse, value: unknown): void =>
  send(response, 200, 'application/json; charset=utf-8', Buffer.from(JSON.stringify(value)));

function refuse(request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
  const error = asGatewayError(thrown);
  if (error.fault === 'gateway.bug') log('error', 'console_bug', describeError(error));
  if (response.headersSent) return void response.destroy();
  // A body that is not read to its end cannot be followed by another request.
  if (!request.complete) response.setHeader('connection', 'close');
  if (error.retryAfterS !== undefined) response.setHeader('retry-after', String(error.retryAfterS));
  send(
    response,
    faults[error.fault].http,
    'application/problem+json; charset=utf-8',
    Buffer.from(JSON.stringify(problemOf(error))),
  );
}
