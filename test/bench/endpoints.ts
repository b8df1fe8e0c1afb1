/**
 * Many endpoints in one process. `/e/KIND/N`: the endpoint N, which is `well`, `slow` (2 s), `away` (503), `busy` (429 with
 * Retry-After) or `hangs`; the sick ones take everything as long as they are not told to be sick. Who takes a message remembers when
 * it came first.
 *
 * POST /sick?on=1, /forget. GET /count: first arrivals, those at the well ones, and requests; /arrivals: of the well ones, as
 * [number of the message, when].
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { nowMs } from './processes.ts';

const ID = /"entitlementId":\s?"m-(\d{8})/g;
const SLOW_MS = 2_000;

let isSick = false;
let seen = new Set<string>();
let arrivals: [number, number][] = [];
let requests = 0;

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
    requests = 0;
    return answer({});
  }
  if (pathname === '/count') return answer({ distinct: seen.size, well: arrivals.length, requests });
  if (pathname === '/arrivals') return answer(arrivals);
  const [, , kind, name] = pathname.split('/');
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const at = nowMs();
  requests += 1;
  if (isSick && kind === 'hangs') return;
  if (isSick && kind === 'away') return response.writeHead(503).end();
  if (isSick && kind === 'busy') return response.writeHead(429, { 'retry-after': '5' }).end();
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
