/** Health and metrics at an address of their own (EDUK_INTERNAL), the same for every role. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { isIP } from 'node:net';
import {
  answerHealth,
  type Config,
  ConfigError,
  describeError,
  type Health,
  isLoopback,
  log,
  parseAddress,
  readSettingFile,
} from '#kernel';

export interface Internal {
  port: number;
  stop(): Promise<void>;
}

/** Listens where EDUK_INTERNAL says; undefined = nothing was said. Rejects with the error of the listener. */
export async function serveInternal(config: Config, health: Health): Promise<Internal | undefined> {
  const address = config.EDUK_INTERNAL === undefined ? undefined : parseAddress(config.EDUK_INTERNAL);
  if (!address) return undefined;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, health).catch((thrown) => {
      log('error', 'internal_failed', describeError(thrown));
      if (!response.headersSent) response.writeHead(503).end();
    });
  };
  const limits = { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 10_000 };
  const server = isLoopback(address.host)
    ? createServer(limits, answer)
    : createTlsServer({ ...limits, ...certificate(config) }, answer);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, () => resolve());
  });
  return {
    port: (server.address() as { port: number }).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function certificate(config: Config): { cert: Buffer; key: Buffer } {
  const inner = config.EDUK_INNER_TLS_CERT !== undefined;
  if (!inner && config.EDUK_TLS_CERT === undefined)
    throw new ConfigError(['EDUK_INTERNAL names an address that is not loopback, and there is no certificate for it']);
  return inner
    ? { cert: readSettingFile(config, 'EDUK_INNER_TLS_CERT'), key: readSettingFile(config, 'EDUK_INNER_TLS_KEY') }
    : { cert: readSettingFile(config, 'EDUK_TLS_CERT'), key: readSettingFile(config, 'EDUK_TLS_KEY') };
}

async function serve(request: IncomingMessage, response: ServerResponse, health: Health): Promise<void> {
  const end = (status: number, type: string, body: string) =>
    void response
      .writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
      .end(body);
  // A page that a browser was led to by a name of its own may not read this; probes come by address.
  const host = (request.headers.host ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  if (host !== 'localhost' && isIP(host) === 0)
    return end(403, 'text/plain', 'This host name is not configured here.\n');
  const path = (request.url ?? '/').split('?')[0]!;
  const known = request.method === 'GET' || request.method === 'HEAD' ? await answerHealth(path, health) : undefined;
  if (!known) return end(404, 'text/plain', 'Nothing answers at this address.\n');
  end(known.status, known.type, known.body);
}
