/**
 * The receiver of the bench, the same for us and for peers: takes everything that is posted, and remembers when it saw
 * which message first, how often, and whether it came in the order of its learner.
 *
 * GET /seen: counts. GET /times: first arrivals, by number. POST /forget?learners=N: begins anew.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { nowMs } from './processes.ts';

/** Sender's ids, wherever they stand: in one message of a peer, or in a set of our events. */
const ID = /"(?:id|entitlementId|orderId)":\s?"m-(\d{8})/g;

let learners = 1;
let first: number[] = [];
let last: number[] = [];
let arrivals = 0;
let distinct = 0;
let requests = 0;
let bytes = 0;
let disorder = 0;

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url!, 'http://sink');
  const answer = (told: unknown) => response.end(JSON.stringify(told));
  if (pathname === '/seen') return answer({ arrivals, distinct, requests, bytes, disorder });
  if (pathname === '/times') return answer(first.map((time) => time ?? null));
  if (pathname === '/forget') {
    learners = Number(searchParams.get('learners'));
    first = [];
    last = [];
    arrivals = distinct = requests = bytes = disorder = 0;
    return answer({});
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const at = nowMs();
  requests += 1;
  bytes += body.length;
  for (const [, text] of body.toString('latin1').matchAll(ID)) {
    const i = Number(text);
    arrivals += 1;
    if (first[i] !== undefined) continue;
    first[i] = at;
    distinct += 1;
    const learner = i % learners;
    if ((last[learner] ?? -1) > i) disorder += 1;
    else last[learner] = i;
  }
  response.writeHead(204).end();
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
