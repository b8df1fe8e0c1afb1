/**
 * Many endpoints in one process. `/e/KIND/N`: the endpoint N, which is `well`, `slow` (2 s), `away` (503), `busy` (429 with
 * Retry-After) or `hangs`; the sick ones take everything as long as they are not told to be sick. Who takes a message remembers when
 * it came first. `/e/uwlr/N`: an administration that takes results over UWLR, and reads them only when it is asked for them, so that
 * reading takes no time of what is measured.
 *
 * POST /sick?on=1, /forget. GET /count: first arrivals, those at the well ones, and requests; /arrivals: of the well ones, as
 * [number of the message, when]; /results: of the administrations, by message.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { XmlDocument, type XmlElement } from 'libxml2-wasm';
import { nowMs } from './processes.ts';

/** What stood in one message of results. */
export interface Brought {
  bytes: number;
  results: { key: string; lasKey: string; eckId: string; score: string }[];
}

const ID = /"entitlementId":\s?"m-(\d{8})/g;
/** A result as it is counted when it comes; what it is, is read later. */
const RESULT = /<resultaat key="([^"]*)"/g;
const SOAP = 'http://schemas.xmlsoap.org/soap/envelope/';
const UWLR = 'http://www.edustandaard.nl/leerresultaten/2/leerresultaten';
const NAMES = { s: SOAP, u: UWLR };
const CONFIRMED = `<s:Envelope xmlns:s="${SOAP}"><s:Body><leerresultaten_bevestiging xmlns="${UWLR}"/></s:Body></s:Envelope>`;
const SLOW_MS = 2_000;

let isSick = false;
let seen = new Set<string>();
let arrivals: [number, number][] = [];
let messages: Buffer[] = [];
let requests = 0;

/** By its namespaces and places, with nothing of the gateway's own: what no administration would find is not counted. */
function broughtIn(message: Buffer): Brought {
  using document = XmlDocument.fromBuffer(message);
  const text = (of: XmlElement, path: string): string => of.get(path, NAMES)?.content ?? '';
  const takes = '/s:Envelope/s:Body/u:leerresultaten_verzoek/u:toetsafnames/u:toetsafname';
  const results = document.find(takes, NAMES).flatMap((node) => {
    const take = node as XmlElement;
    const pupil = { lasKey: text(take, 'u:leerlingid'), eckId: text(take, 'u:eckid') };
    return take.find('u:resultaten/u:resultaat', NAMES).map((found) => {
      const result = found as XmlElement;
      return { ...pupil, key: result.attr('key')?.value ?? '', score: text(result, 'u:score') };
    });
  });
  return { bytes: message.length, results };
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url!, 'http://endpoints');
  const answer = (told: unknown) => response.end(JSON.stringify(told));
  if (pathname === '/sick') {
    isSick = searchParams.get('on') === '1';
    return answer({});
  }
  if (pathname === '/forget') {
    seen = new Set();
    arrivals = [];
    messages = [];
    requests = 0;
    return answer({});
  }
  if (pathname === '/count') return answer({ distinct: seen.size, well: arrivals.length, requests });
  if (pathname === '/arrivals') return answer(arrivals);
  if (pathname === '/results') return answer(messages.map(broughtIn));
  const [, , kind, name] = pathname.split('/');
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const at = nowMs();
  requests += 1;
  if (isSick && kind === 'hangs') return;
  if (isSick && kind === 'away') return response.writeHead(503).end();
  if (isSick && kind === 'busy') return response.writeHead(429, { 'retry-after': '5' }).end();
  if (kind === 'uwlr') {
    const message = Buffer.concat(chunks);
    messages.push(message);
    for (const [, key] of message.toString('latin1').matchAll(RESULT)) seen.add(`${name}/${key}`);
    return response.writeHead(200, { 'content-type': 'text/xml; charset=utf-8' }).end(CONFIRMED);
  }
  for (const [, text] of Buffer.concat(chunks).toString('latin1').matchAll(ID)) {
    const id = `${name}/${text}`;
    if (seen.has(id)) continue;
    seen.add(id);
    if (kind === 'well') arrivals.push([Number(text), at]);
  }
  if (isSick && kind === 'slow') setTimeout(() => response.writeHead(204).end(), SLOW_MS);
  else response.writeHead(204).end();
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
