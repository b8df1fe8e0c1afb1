import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as TlsServer } from 'node:tls';
import { type Address, answerHealth, asGatewayError, describeError, GatewayError, isLoopback, log } from '#kernel';
import type { Certificates, Guard } from '../certificates.ts';
import type { Gate } from '../gate.ts';
import { limits } from '../limits.ts';
import { serveSchools } from '../signin/serve.ts';
import { serveEdexml } from './edexml.ts';
import { checkOrigin, isTooLong, languageOf, peerOfRequest, send, sendJson, sendProblem } from './exchange.ts';
import { serveLogKeys } from './log-keys.ts';
import { serveToken, tokenMetadata } from './oauth.ts';
import { openApi } from './openapi.ts';
import { serveUwlr } from './uwlr.ts';

export interface HttpDoor {
  port: number;
  stop(graceMs: number): Promise<void>;
}

/** Everything over HTTP; health and metrics too where they have no address of their own. */
export async function startHttp(
  address: Address,
  gate: Gate,
  { tls, servesHealth }: { tls: Certificates | undefined; servesHealth: boolean },
): Promise<HttpDoor> {
  const onLoopback = isLoopback(address.host);
  let port = address.port;
  const most = {
    maxHeaderSize: limits.metadata.at,
    headersTimeout: limits.handshake.at,
    requestTimeout: limits.request.at,
    // How often it is looked whether one of these is over.
    connectionsCheckingInterval: 2_000,
    keepAliveTimeout: 5_000,
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => handle(request, response);
  const server = tls ? createTlsServer({ ...most, ...tls.options() }, listener) : createServer(most, listener);
  const guard = tls?.guard(server as unknown as TlsServer);
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response, gate, { onLoopback, port, servesHealth, guard }).catch((thrown) => {
      const error = asGatewayError(thrown);
      if (error.fault === 'gateway.bug') log('error', 'http_bug', { path: pathOf(request), ...describeError(error) });
      if (!response.headersSent) sendProblem(response, error, languageOf(request));
    });
  };
  // Who asks before sending is told at once that it is too much.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (!isTooLong(request)) response.writeContinue();
    handle(request, response);
  });
  server.maxConnections = limits.connections.at;
  // Beyond its own count Node would drop headers silently, those that a proxy adds at the end among them.
  server.maxHeadersCount = 0;
  await listen(server, address);
  port = (server.address() as { port: number }).port;
  return {
    port,
    stop: (graceMs) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

const listen = (server: Server, { host, port }: Address): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });

/** For the log: an address of ours, or nothing of what was asked, which a sender may have put a name in. */
const pathOf = (request: IncomingMessage): string => {
  const path = (request.url ?? '/').split('?')[0]!;
  return ours.has(path) ? path : 'other';
};
const ours: ReadonlySet<string> = new Set([
  '/healthz',
  '/readyz',
  '/metrics',
  '/oauth2/token',
  '/.well-known/eduk-log-keys',
  '/.well-known/oauth-authorization-server',
  '/edexml',
  '/soap/uwlr/v2/leerlinggegevens',
  '/soap/uwlr/v2/leerresultaten',
  '/school',
  '/school/mandate',
  '/school/change',
  '/oidc/sign-in',
  '/oidc/callback',
  '/oidc/sign-out',
  '/saml/sign-in',
  '/saml/acs',
  '/saml/metadata',
]);

interface Listener {
  onLoopback: boolean;
  port: number;
  servesHealth: boolean;
  guard: Guard | undefined;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  gate: Gate,
  listener: Listener,
): Promise<void> {
  if (request.rawHeaders.length > 2 * limits.metadataPairs.at)
    throw new GatewayError('wire.too_large', `A request may have ${limits.metadataPairs.at} headers.`);
  // The provider's page posts its answer; what that is worth, its signature says.
  const fromElsewhere = gate.schools?.provider.crossSite === true && pathOf(request) === gate.schools.provider.back;
  checkOrigin(request, gate.door.publicUrl(), listener.port, fromElsewhere);
  let url: URL;
  try {
    url = new URL(request.url ?? '/', 'http://localhost');
  } catch (cause) {
    throw new GatewayError('wire.unreadable', 'This is no address.', { cause });
  }
  // Some configure an address with a slash at its end.
  const path = url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname;
  if (listener.servesHealth) {
    const health = await answerHealth(path, gate.health);
    if (health) return send(response, health.status, health.type, health.body);
  }
  switch (path) {
    case '/.well-known/eduk-log-keys':
      return serveLogKeys(request, response, gate.heads);
    case '/oauth2/token':
      return serveToken(
        request,
        response,
        gate,
        peerOfRequest(request, listener.onLoopback, gate.proxy, listener.guard),
      );
    case '/.well-known/oauth-authorization-server':
      return sendJson(response, 200, tokenMetadata(gate.door.publicUrl()));
    case '/edexml':
      return serveEdexml(
        request,
        response,
        gate,
        peerOfRequest(request, listener.onLoopback, gate.proxy, listener.guard),
        url,
      );
    case '/soap/uwlr/v2/leerlinggegevens':
      return serveUwlr(
        request,
        response,
        gate,
        'leerlinggegevens',
        url,
        peerOfRequest(request, listener.onLoopback, gate.proxy, listener.guard),
      );
    case '/soap/uwlr/v2/leerresultaten':
      return serveUwlr(
        request,
        response,
        gate,
        'leerresultaten',
        url,
        peerOfRequest(request, listener.onLoopback, gate.proxy, listener.guard),
      );
  }
  if (gate.schools) {
    switch (path) {
      case '/school':
      case '/school/mandate':
      case '/school/change':
      case '/oidc/sign-in':
      case '/oidc/callback':
      case '/oidc/sign-out':
      case '/saml/sign-in':
      case '/saml/acs':
      case '/saml/metadata': {
        const peer = peerOfRequest(request, listener.onLoopback, gate.proxy, listener.guard);
        return serveSchools({ request, response, gate, schools: gate.schools, url, peer });
      }
    }
  }
  const description = openApi(path, gate.door.publicUrl());
  if (description) return sendJson(response, 200, description);
  throw new GatewayError(
    'state.missing',
    'Nothing answers at this address. UWLR answers at /soap/uwlr/v2/leerlinggegevens and /soap/uwlr/v2/leerresultaten, files at /edexml, tokens at /oauth2/token.',
    { where: 'path' },
  );
}
