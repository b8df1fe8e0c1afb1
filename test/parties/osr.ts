/**
 * OSR as it answers by what is known of it: schools, who is mandated on a day, endpoints. Speaks from the API's description and
 * refuses what that does not know, so that whoever asks wrongly is told here. It can be made to fail in several ways.
 */
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';

export interface OsrMandate {
  school: string;
  supplier: string;
  namespace: string;
  start: string;
  /** Empty = it does not end. */
  end?: string;
}

export interface OsrEndpoint {
  routing_id: string;
  namespace: string;
  url: string;
  attributes?: string;
  start?: string;
  end?: string;
  supplier?: string;
}

/** What it does instead of answering. */
export type OsrFault = 'slow' | 'error' | 'half' | 'garbage' | 'busy' | 'refuse' | 'empty' | 'elsewhere' | 'silent';

export interface OsrPeer {
  url: string;
  schools: Set<string>;
  mandates: OsrMandate[];
  endpoints: OsrEndpoint[];
  /** Shows the mandate itself, as to its supplier, instead of OK. */
  shows: boolean;
  /** The fault for a question; undefined = none. */
  fails: (path: string, query: URLSearchParams) => OsrFault | undefined;
  /** Questions so far, as path and query. */
  asked: string[];
  close(): Promise<void>;
}

/** Names of what may be asked, by path, as the description has them; of each which are needed. */
export const operations: Readonly<Record<string, { needs: readonly string[]; may: readonly string[] }>> = {
  '/schools': { needs: [], may: ['name', 'oin', 'brin', 'oa_id'] },
  '/mandates': {
    needs: ['school_oin', 'service_version_namespace'],
    may: ['school_oin', 'service_version_namespace', 'supplier_oin', 'reference_date'],
  },
  '/endpoints': {
    needs: ['service_version_namespace'],
    may: [
      'routing_id',
      'school_oin',
      'service_version_namespace',
      'attributes',
      'reference_date',
      'include_future_endpoints',
    ],
  },
};

export interface OsrSettings {
  /** Key that a question must carry, in this header. */
  key?: { name: string; value: string };
  /** Certificate, key and authorities of callers (PEM); absent = plain HTTP. */
  tls?: { cert: string; key: string; ca: string };
  /** Entries of one page. */
  page?: number;
}

const PREFIX = '/api/v2';

export async function openOsr({ key, tls, page = 2 }: OsrSettings = {}): Promise<OsrPeer> {
  const peer: OsrPeer = {
    url: '',
    schools: new Set(),
    mandates: [],
    endpoints: [],
    shows: false,
    fails: () => undefined,
    asked: [],
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  const answer: RequestListener = (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://osr');
    const path = pathname.slice(PREFIX.length);
    peer.asked.push(`${path}?${searchParams}`);
    const known = pathname.startsWith(PREFIX) ? operations[path] : undefined;
    if (request.method !== 'GET' || !known) return void response.writeHead(404).end();
    const isLetIn =
      (!key || request.headers[key.name.toLowerCase()] === key.value) &&
      (!tls || (request.socket as TLSSocket).authorized);
    if (!isLetIn) return void response.writeHead(401).end();
    const names = [...searchParams.keys()].filter((name) => name !== 'page');
    if (known.needs.some((name) => !searchParams.get(name)) || names.some((name) => !known.may.includes(name)))
      return void response.writeHead(400).end('{"message":"Validation error(s)"}');
    const fault = peer.fails(path, searchParams);
    if (fault) return void fail(fault, response);
    if (path === '/mandates') return void mandate(searchParams, response);
    const all = path === '/schools' ? schools(searchParams) : endpoints(searchParams);
    const from = Number(searchParams.get('page') ?? 0) * page;
    if (all.length > from + page) {
      const next = new URL(request.url!, peer.url);
      next.searchParams.set('page', String(from / page + 1));
      response.setHeader('link', `<${next.pathname}${next.search}>; rel="next"`);
    }
    say(response, all.slice(from, from + page));
  };
  const server = tls
    ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false }, answer)
    : createServer(answer);

  const on = (query: URLSearchParams): string => query.get('reference_date') ?? new Date().toISOString().slice(0, 10);
  const isIn = (day: string, start = '', end = ''): boolean => day >= start && (end === '' || day <= end);

  function mandate(query: URLSearchParams, response: ServerResponse): void {
    const found = peer.mandates.find(
      (one) =>
        one.school === query.get('school_oin') &&
        one.namespace === query.get('service_version_namespace') &&
        (!query.has('supplier_oin') || one.supplier === query.get('supplier_oin')) &&
        isIn(on(query), one.start, one.end),
    );
    if (!found) return void response.writeHead(404).end('{"message":"no mandate"}');
    say(
      response,
      peer.shows
        ? {
            token: '00000000-0000-4000-8000-00000000000a',
            start_date: found.start,
            end_date: found.end || null,
            _links: { self: { href: `${PREFIX}/mandates/1` }, school: { href: `${PREFIX}/schools/1` } },
          }
        : { status: 'OK' },
    );
  }
  const schools = (query: URLSearchParams): object[] =>
    [...peer.schools]
      .filter((oin) => !query.has('oin') || oin === query.get('oin'))
      .map((oin) => ({ name: 'Een school', oin, brin: oin.slice(11, 15), oa_id: null, _links: {} }));
  const endpoints = (query: URLSearchParams): object[] =>
    peer.endpoints
      .filter(
        ({ routing_id, namespace, start, end }) =>
          namespace === query.get('service_version_namespace') &&
          routing_id.slice(0, 15) === (query.get('school_oin') ?? '').slice(0, 15) &&
          (isIn(on(query), start, end) ||
            (query.get('include_future_endpoints') === 'true' && (start ?? '') > on(query))),
      )
      .map(({ routing_id, namespace, url, attributes, start, end, supplier }) => ({
        routing_id,
        service_version_namespace: namespace,
        url,
        attributes: attributes ?? null,
        start_date: start ?? '2020-01-01',
        end_date: end ?? null,
        ...(supplier ? { supplier_oin: supplier } : {}),
      }));

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  peer.url = `${tls ? 'https://localhost' : 'http://127.0.0.1'}:${(server.address() as AddressInfo).port}${PREFIX}`;
  return peer;
}

function say(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function fail(fault: OsrFault, response: ServerResponse): void {
  switch (fault) {
    case 'slow':
      return; // Never, as far as anybody waits.
    case 'error':
      return void response.writeHead(500).end('<html>Er ging iets mis</html>');
    case 'busy':
      return void response.writeHead(429, { 'retry-after': '7' }).end();
    case 'refuse':
      return void response.writeHead(403).end();
    case 'half':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '5000' });
      response.write('[{"name":"De');
      setTimeout(() => response.destroy(), 5);
      return;
    case 'garbage':
      return void response.writeHead(200, { 'content-type': 'application/json' }).end('<html>Onderhoud</html>');
    case 'empty':
      return void response.writeHead(200).end();
    case 'elsewhere':
      return void response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    case 'silent':
      return void response.destroy();
  }
}
