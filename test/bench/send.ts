/**
 * A sender of the bench: so many messages a second, or as fast as they are taken, to us by gRPC or to a peer by HTTP. Prints
 * one line of JSON: when each was to be sent, and when it was answered (milliseconds since 1970).
 */
import { Agent, request as httpRequest } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { GrantEntitlementsRequest, GrantEntitlementsResponse } from '#proto/eduk/gateway/v1/entitlement';
import { PlaceOrderRequest, PlaceOrderResponse } from '#proto/eduk/gateway/v1/order';
import { nowMs } from './processes.ts';

export interface SendOptions {
  kind: 'http' | 'stream' | 'unary';
  /** An URL for HTTP, else `host:port`. */
  address: string;
  count: number;
  from: number;
  learners: number;
  /** 0 = as fast as they are taken. */
  perSecond: number;
  /** Calls under way at once, where there is no pace. */
  atOnce: number;
  /** One that failed is sent again until it is taken. */
  isStubborn: boolean;
  authorization: string;
  /** Messages go to them in turn. */
  schools: readonly string[];
  /** Ids as short as parties have them; else as long as they may be, which makes about a kilobyte. */
  isSmall: boolean;
  /** Of many millions the times are not told. */
  isSilent: boolean;
  product: string;
  /** Instead of that one, these in turn. */
  products?: readonly string[];
}

export interface Sent {
  due: number[];
  /** null = it was not taken. */
  answered: (number | null)[];
  failed: number;
  /** The first that failed, in words. */
  words: string;
}

const options = (await json(process.stdin)) as SendOptions;
const { count, from, learners, perSecond, schools, product } = options;
const productOf = (i: number): string => options.products?.[(from + i) % options.products.length] ?? product;
const schoolOf = (i: number): string => schools[(from + i) % schools.length]!;
const due: number[] = [];
const answered: (number | null)[] = new Array(count).fill(null);
let failed = 0;
let words = '';

const idOf = (i: number): string => `m-${String(from + i).padStart(8, '0')}`;
/** As long as an id may be, as far as that goes: messages of peers have a kilobyte. */
const longId = (i: number): string => (options.isSmall ? idOf(i) : `${idOf(i)}-${'x'.repeat(53)}`);
const eckId = (i: number): string =>
  `https://ketenid.nl/pilot/${((from + i) % learners).toString(16).padStart(128, '0')}`;
const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const grant = (i: number): GrantEntitlementsRequest =>
  GrantEntitlementsRequest.fromPartial({
    reference: longId(i),
    schoolOin: schoolOf(i),
    holder: { learner: { eckId: eckId(i) } },
    terms: {
      entitlementId: longId(i),
      productId: productOf(i),
      orderId: options.isSmall ? '' : `o-${'x'.repeat(62)}`,
      lineId: options.isSmall ? '' : `l-${'x'.repeat(62)}`,
      startsOn: '2026-08-01',
      endsOn: '2027-07-31',
      resultsReadableUntil: '2027-12-31',
    },
  });

const order = (i: number): PlaceOrderRequest =>
  PlaceOrderRequest.fromPartial({
    reference: longId(i),
    orderId: longId(i),
    schoolOin: schoolOf(i),
    lines: [{ terms: { lineId: '1', productId: product, quantity: 1 }, learner: { eckId: eckId(i) } }],
  });

/** Exactly 1,000 bytes. */
function message(i: number): string {
  const text = JSON.stringify({
    id: idOf(i),
    schoolOin: schoolOf(i),
    learner: String((from + i) % learners).padStart(22, '0'),
    productId: product,
    quantity: 1,
    startsOn: '2026-08-01',
    note: '',
  });
  return `${text.slice(0, -2)}${'x'.repeat(1000 - text.length)}"}`;
}

const client = options.kind === 'http' ? undefined : new Client(options.address, credentials.createInsecure());
const metadata = new Metadata();
metadata.set('authorization', options.authorization);
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

const post = (i: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const body = message(i);
    const call = httpRequest(
      options.address,
      { agent, method: 'POST', headers: { 'content-type': 'application/json', 'content-length': body.length } },
      (response) => {
        response.resume();
        response.once('error', reject);
        response.once('end', () => {
          if (response.statusCode! < 300) resolve();
          else reject(new Error(`status ${response.statusCode}`));
        });
      },
    );
    call.once('error', reject);
    call.setTimeout(20_000, () => call.destroy(new Error('no answer')));
    call.end(body);
  });

const place = (i: number): Promise<void> =>
  new Promise((resolve, reject) => {
    client!.makeUnaryRequest(
      '/eduk.gateway.v1.OrderService/PlaceOrder',
      (m: PlaceOrderRequest) => toBuffer(PlaceOrderRequest.encode(m).finish()),
      (b: Buffer) => PlaceOrderResponse.decode(b),
      order(i),
      metadata,
      { deadline: Date.now() + 20_000 },
      (error) => (error ? reject(error) : resolve()),
    );
  });

async function one(i: number): Promise<void> {
  for (;;) {
    try {
      await (options.kind === 'http' ? post(i) : place(i));
      answered[i] = nowMs();
      return;
    } catch (thrown) {
      failed += 1;
      words ||= (thrown as Error).message;
      if (!options.isStubborn) return;
      await sleep(200);
    }
  }
}

/** Calls `send` for each number when its time has come. */
async function paced(send: (i: number) => void): Promise<void> {
  const began = nowMs();
  for (let i = 0; i < count; await sleep(5))
    for (; i < count && nowMs() >= began + (i * 1000) / perSecond; i++) {
      due[i] = began + (i * 1000) / perSecond;
      send(i);
    }
}

/** Of a stream: all before it are answered. */
let through = 0;

/** One stream, of all that are not answered yet. Rejects when it breaks. */
async function stream(): Promise<void> {
  const start = through;
  const call = client!.makeBidiStreamRequest(
    '/eduk.gateway.v1.EntitlementService/GrantEntitlements',
    (m: GrantEntitlementsRequest) => toBuffer(GrantEntitlementsRequest.encode(m).finish()),
    (b: Buffer) => GrantEntitlementsResponse.decode(b),
    metadata,
  );
  call.on('data', (answer: GrantEntitlementsResponse) => {
    if (answer.refusals.length > 0) {
      failed += answer.refusals.length;
      words ||= answer.refusals[0]!.code;
      if (options.isStubborn) return call.cancel();
    }
    const at = nowMs();
    for (const to = start + Number(answer.through) + 1; through < to; through++) answered[through] = at;
  });
  const done = new Promise<void>((resolve, reject) => {
    call.on('end', resolve);
    call.on('error', reject);
  });
  // Who awaits it comes only after everything is written.
  done.catch(() => undefined);
  if (perSecond > 0) await paced((i) => void call.write(grant(i)));
  else
    for (let i = start; i < count; i++) {
      due[i] ??= nowMs();
      if (!call.write(grant(i))) await Promise.race([new Promise((resolve) => call.once('drain', resolve)), done]);
    }
  call.end();
  await done;
}

async function streams(): Promise<void> {
  while (through < count)
    try {
      await stream();
    } catch (thrown) {
      failed += 1;
      words ||= (thrown as Error).message;
      if (!options.isStubborn) throw thrown;
      await sleep(200);
    }
}

if (options.kind === 'stream') await streams();
else if (perSecond > 0) {
  const all: Promise<void>[] = [];
  await paced((i) => void all.push(one(i)));
  await Promise.all(all);
} else {
  let next = 0;
  await Promise.all(
    Array.from({ length: options.atOnce }, async () => {
      while (next < count) {
        const i = next++;
        due[i] = nowMs();
        await one(i);
      }
    }),
  );
}
client?.close();
agent.destroy();
const told: Sent = options.isSilent ? { due: [], answered: [], failed, words } : { due, answered, failed, words };
process.stdout.write(`${JSON.stringify(told)}\n`);
