import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asGatewayError, faults, GatewayError, sha256 } from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import type { Service } from '#proto/eduk/core/v1/party';
import type { Peer } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { bodyOf, send } from '../http/exchange.ts';
import { type ClaimRules, notTaken, organisationIn } from './claims.ts';
import { pageHeaders } from './html.ts';
import { act, actionsOf, itemNamed, itemsOf } from './mandates.ts';
import { changePage, listPage, mandatePage, type Viewer, welcomePage, wrongPage } from './pages.ts';
import { type Pending, Provider } from './provider.ts';
import { SamlProvider } from './saml/provider.ts';
import {
  callerBy,
  endSession,
  isOwnForm,
  noPendingCookie,
  openSession,
  pendingCookie,
  pendingOf,
  type Session,
  sessionOf,
} from './sessions.ts';
import { type Action, isWord, langOf, type Word } from './words.ts';

/** The pages on which boards and schools sign in and decide. */

/** What the HTTP door needs for them. */
export interface Schools {
  given: ClaimRules;
  provider: Provider | SamlProvider;
}

/** Longest form, bytes; that of a SAML response, encoded twice. */
const LONGEST_FORM = 64 * 1024;
const LONGEST_RESPONSE = 256 * 1024;
/** By which failures are counted: whoever fails has no name yet. */
const ATTEMPTS = 'sign-in';

type Headers = Record<string, string | string[]>;

interface Visit {
  request: IncomingMessage;
  response: ServerResponse;
  gate: Gate;
  schools: Schools;
  url: URL;
  peer: Peer;
}

export async function serveSchools(visit: Visit): Promise<void> {
  const { request, gate, url } = visit;
  const viewer: Viewer = { gate, lang: langOf(request.headers['accept-language']), session: undefined };
  try {
    const isPost = request.method === 'POST';
    const isGet = request.method === 'GET';
    if (!isPost && !isGet && request.method !== 'HEAD')
      throw new GatewayError('wire.invalid', 'Pages are read with GET, and forms sent with POST.', { where: 'method' });
    const { provider } = visit.schools;
    if (url.pathname === provider.start && isGet) return await beginSignIn(visit);
    if (url.pathname === provider.back && (provider instanceof SamlProvider ? isPost : isGet))
      return await finishSignIn(visit);
    if (url.pathname === '/saml/metadata' && isGet && provider instanceof SamlProvider)
      return send(visit.response, 200, 'application/samlmetadata+xml', provider.metadata());
    viewer.session = await sessionOf(request, gate);
    const session = viewer.session;
    if (!session) {
      if (url.pathname === '/school' && !isPost) return show(visit, welcomePage(viewer));
      throw new GatewayError('party.unknown', 'Sign in first.', { where: 'signed_out' });
    }
    if (isPost) return await onForm(visit, viewer, session, await formOf(request, gate));
    switch (url.pathname) {
      case '/school': {
        const from = Number(url.searchParams.get('from') ?? 0);
        await gate.door.chain.refresh();
        return show(
          visit,
          listPage(viewer, itemsOf(gate, session.caller), Number.isSafeInteger(from) ? Math.max(0, from) : 0),
        );
      }
      case '/school/mandate': {
        const item = await itemOf(visit, session);
        const flowId = url.searchParams.get('flow') ?? '';
        const done = FLOW.test(flowId) ? { flowId, decided: url.searchParams.get('decided') !== 'no' } : undefined;
        return show(visit, mandatePage(viewer, item, done));
      }
      case '/school/change': {
        const item = await itemOf(visit, session);
        const action = actionIn(url.searchParams);
        if (!actionsOf(gate, session.caller, item).includes(action))
          throw notTaken('may_not', 'Not with this mandate.');
        return show(visit, changePage(viewer, item, action, { reference: randomUUID() }));
      }
    }
    throw new GatewayError('state.missing', 'There is no such page.', { where: 'path' });
  } catch (thrown) {
    refuse(visit, viewer, asGatewayError(thrown));
    if (asGatewayError(thrown).fault === 'gateway.bug') throw thrown; // Answered; the server still has to record it.
  }
}

const FLOW = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const REFERENCE = /^[0-9a-f-]{36}$/;
const ACTIONS: readonly Action[] = ['confirm', 'narrow', 'run_off', 'stop'];

const itemOf = ({ gate, url }: Visit, { caller }: Session) =>
  gate.door.chain.afresh(() => itemNamed(gate, caller, url.searchParams.get('id') ?? ''));

function actionIn(form: URLSearchParams): Action {
  const action = ACTIONS.find((one) => one === form.get('do'));
  if (!action) throw new GatewayError('wire.invalid', 'There is no such action.', { where: 'do' });
  return action;
}

const callbackOf = ({ gate, schools }: Visit): string => `${gate.door.publicUrl()}${schools.provider.back}`;

async function beginSignIn(visit: Visit): Promise<void> {
  mayTry(visit);
  const { provider } = visit.schools;
  const { url, pending } = await provider.begin(callbackOf(visit));
  redirect(visit, url.href, [pendingCookie(visit.gate, pending, provider.crossSite)]);
}

/** Back from the provider: once, by the browser that went there. */
async function finishSignIn(visit: Visit): Promise<void> {
  const { request, gate, schools } = visit;
  mayTry(visit);
  const again = (): GatewayError =>
    new GatewayError('party.unknown', 'This sign-in was not begun here, or was used before.', { where: 'sign_in' });
  try {
    const pending = pendingOf<Pending>(request, gate);
    if (!pending) throw again();
    const once = async (name: string): Promise<void> => {
      const { taken } = await gate.door.services.parties.claimAssertion({
        partyOin: ATTEMPTS,
        digest: Buffer.from(sha256(name), 'latin1'),
        expiresMs: BigInt(pending.untilMs),
        claim: randomBytes(16),
      });
      if (!taken) throw again();
    };
    // Whatever comes of it, it is not taken twice, at whichever door.
    await once(pending.state);
    const numbers = organisationIn(await saidOf(visit, pending, once), schools.given);
    // A session that the browser had before is over, whoever put it there.
    await endSession(request, gate);
    const { caller, number } = await gate.door.chain.afresh(() => knownBy(gate, numbers));
    const session = await openSession(gate, caller.oin, number);
    gate.attempts.succeeded(ATTEMPTS, visit.peer.address);
    gate.door.audit.note({ kind: AuditKind.AUDIT_KIND_SIGNED_IN, partyOin: caller.oin, method: 'SignIn/Begin' });
    redirect(visit, '/school', [session, noPendingCookie()]);
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown;
    gate.attempts.failed(ATTEMPTS, visit.peer.address);
    throw thrown;
  }
}

/** What the provider says of whoever came back. `once`: takes a name of what it was said by, and throws where it was taken before. */
async function saidOf(visit: Visit, pending: Pending, once: (name: string) => Promise<void>) {
  const { request, gate, schools, url } = visit;
  const { provider } = schools;
  if (provider instanceof Provider) {
    const current = new URL(callbackOf(visit));
    current.search = url.search;
    return provider.finish(current, pending);
  }
  const form = await formOf(request, gate, LONGEST_RESPONSE);
  const [response = '', ...more] = form.getAll('SAMLResponse');
  if (more.length > 0) throw new GatewayError('wire.invalid', 'A form has one SAMLResponse.', { where: 'form' });
  const { said, once: name } = await provider.finish(response, pending);
  // No longer than the request that it answers could be finished.
  await once(name);
  return said;
}

/** For whom these numbers of one organisation are registered. Those of two parties are nobody's. */
function knownBy(gate: Gate, numbers: readonly string[]) {
  const found = numbers.flatMap((number) => {
    const caller = callerBy(gate, number);
    return caller ? [{ caller, number }] : [];
  });
  const [first] = found;
  if (!first || found.some(({ caller }) => caller.oin !== first.caller.oin))
    throw new GatewayError('party.unknown', 'This organisation is not registered here.', { where: 'organisation' });
  return first;
}

/** Faults: gateway.overloaded, with the seconds to wait. */
function mayTry({ gate, peer }: Visit): void {
  const waitMs = gate.attempts.waitMs(ATTEMPTS, peer.address);
  if (waitMs > 0)
    throw new GatewayError('gateway.overloaded', 'Too many attempts failed; wait.', {
      where: 'attempts',
      retryAfterS: Math.ceil(waitMs / 1000),
    });
}

async function formOf(request: IncomingMessage, gate: Gate, longest = LONGEST_FORM): Promise<URLSearchParams> {
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  const tooLong = (): GatewayError => new GatewayError('wire.too_large', 'This form is larger than it may be.');
  if (type !== 'application/x-www-form-urlencoded')
    throw new GatewayError('wire.invalid', 'A form is sent as application/x-www-form-urlencoded.', { where: 'form' });
  if (Number(request.headers['content-length'] ?? 0) > longest) throw tooLong();
  const bytes = await bodyOf(request, gate.unfinished);
  if (bytes.length > longest) throw tooLong();
  return new URLSearchParams(Buffer.from(bytes).toString('utf8'));
}

async function onForm(visit: Visit, viewer: Viewer, session: Session, form: URLSearchParams): Promise<void> {
  const { request, gate, url } = visit;
  if (!isOwnForm(session, form))
    throw new GatewayError('party.forbidden', 'This form was not made for this session.', { where: 'form' });
  if (url.pathname === '/oidc/sign-out') return redirect(visit, '/school', [await endSession(request, gate)]);
  if (url.pathname !== '/school/change')
    throw new GatewayError('wire.invalid', 'No form is sent to this address.', { where: 'path' });
  const { caller } = session;
  const id = form.get('id') ?? '';
  const item = await gate.door.chain.afresh(() => itemNamed(gate, caller, id));
  const action = actionIn(form);
  const reference = form.get('reference') ?? '';
  if (!REFERENCE.test(reference))
    throw new GatewayError('wire.invalid', 'This form is not one of ours.', { where: 'form' });
  const choice = {
    reference,
    services: form.getAll('service').map((service) => Number(service) as Service),
    attributes: form.getAll('attribute'),
    runOffUntil: form.get('day') ?? '',
  };
  const again = (wrong: Word): void =>
    show(visit, changePage(viewer, item, action, { reference, wrong, runOffUntil: dayOr(choice.runOffUntil) }), 422);
  if (form.get('sure') !== 'yes') return again('wrong_sure');
  try {
    const {
      flowId,
      decided,
      id: at,
    } = await gate.turns.call(caller.oin, () => act(gate, caller, item, action, choice));
    redirect(
      visit,
      `/school/mandate?${new URLSearchParams({ id: at, flow: flowId, decided: decided ? 'yes' : 'no' })}`,
    );
  } catch (thrown) {
    const where = thrown instanceof GatewayError ? thrown.where[0]?.path : undefined;
    if (where === 'day') return again('wrong_day');
    if (where === 'nothing_left') return again('wrong_nothing_left');
    throw thrown;
  }
}

const dayOr = (text: string): string => (/^\d{4}-\d\d-\d\d$/.test(text) ? text : '');

/** Who came over TLS once comes over TLS from then on. */
const always = ({ gate }: Visit): Headers =>
  gate.door.publicUrl().startsWith('https:') ? { 'strict-transport-security': 'max-age=31536000' } : {};

function show(visit: Visit, body: string, status = 200, headers: Headers = {}): void {
  const { request, response } = visit;
  setAll(response, { ...pageHeaders, ...always(visit), vary: 'Accept-Language, Cookie', ...headers });
  send(response, status, 'text/html; charset=utf-8', request.method === 'HEAD' ? '' : body);
}

function redirect(visit: Visit, to: string, cookies: readonly string[] = []): void {
  const { response } = visit;
  setAll(response, {
    ...pageHeaders,
    ...always(visit),
    location: to,
    ...(cookies.length > 0 ? { 'set-cookie': [...cookies] } : {}),
  });
  send(response, 303, 'text/plain; charset=utf-8', '');
}

function setAll(response: ServerResponse, headers: Headers): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

/** Tells it in words of ours, and notes it in the log of what was done. */
function refuse(visit: Visit, viewer: Viewer, error: GatewayError): void {
  const { gate, url, response } = visit;
  const at = error.where[0]?.path ?? '';
  // That nobody is signed in is no attempt at anything.
  if (at !== 'signed_out' && !gate.notes.has(error))
    gate.door.audit.note({
      kind: AuditKind.AUDIT_KIND_REFUSED,
      partyOin: viewer.session?.caller.oin ?? '',
      method: `SignIn${METHODS[url.pathname] ?? ''}`,
      code: error.fault,
    });
  const headers: Headers = {};
  if (error.retryAfterS !== undefined) headers['retry-after'] = String(error.retryAfterS);
  if (url.pathname === visit.schools.provider.back) headers['set-cookie'] = [noPendingCookie()];
  if (response.headersSent) return;
  const back = viewer.session ? '/school' : visit.schools.provider.start;
  show(visit, wrongPage(viewer, wordOf(error, at), back), faults[error.fault].http, headers);
}

const METHODS: Readonly<Record<string, string>> = {
  '/oidc/sign-in': '/Begin',
  '/oidc/callback': '/Finish',
  '/oidc/sign-out': '/End',
  '/saml/sign-in': '/Begin',
  '/saml/acs': '/Finish',
  '/saml/metadata': '/Metadata',
  '/school': '/List',
  '/school/mandate': '/Show',
  '/school/change': '/Change',
};

function wordOf({ fault }: GatewayError, at: string): Word {
  const named = `wrong_${at}`;
  if (isWord(named)) return named;
  if (fault === 'peer.unavailable') return 'wrong_away';
  if (fault === 'state.missing') return 'wrong_missing';
  if (fault.startsWith('mandate.') || fault === 'state.conflict') return 'wrong_may_not';
  return 'who_must_act';
}
