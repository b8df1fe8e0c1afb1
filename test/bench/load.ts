/** The load: one process that streams grants or places orders, over TCP, and prints one line of JSON with what it saw. */
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { GrantEntitlementsRequest, GrantEntitlementsResponse } from '#proto/eduk/gateway/v1/entitlement';
import { PlaceOrderRequest, PlaceOrderResponse } from '#proto/eduk/gateway/v1/order';

export interface LoadOptions {
  address: string;
  path: string;
  authorization: string;
  kind: 'stream' | 'unary';
  count: number;
  /** Calls under way at once, for unary. */
  atOnce: number;
  school: string;
  product: string;
  /** First number, so that ids of several runs differ. */
  from: number;
  /** Learners the items are spread over. */
  learners: number;
  waitMs: number;
  /** Stop after this long, milliseconds; 0 = when all are sent. */
  forMs: number;
}

const options = JSON.parse(process.argv[2]!) as LoadOptions;
const client = new Client(options.address, credentials.createInsecure());
const metadata = new Metadata();
metadata.set('authorization', options.authorization);
const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const eckId = (n: number): string => `https://ketenid.nl/pilot/${n.toString(16).padStart(128, '0')}`;

const grant = (i: number): GrantEntitlementsRequest => ({
  reference: `bench-${options.from + i}`,
  schoolOin: options.school,
  holder: { learner: { eckId: eckId(i % options.learners), lasKey: '' }, groupKey: '' },
  terms: {
    entitlementId: `bench-${options.from + i}`,
    productId: options.product,
    orderId: '',
    lineId: '',
    startsOn: '',
    endsOn: '',
    resultsReadableUntil: '',
    count: 0,
    fromEntitlementId: '',
  },
  activationCode: '',
});

const order = (i: number): PlaceOrderRequest =>
  PlaceOrderRequest.fromPartial({
    reference: `bench-${options.from + i}`,
    orderId: `bench-${options.from + i}`,
    schoolOin: options.school,
    lines: [
      {
        terms: { lineId: '1', productId: options.product, quantity: 1 },
        learner: { eckId: eckId(i % options.learners) },
      },
    ],
    waitMs: BigInt(options.waitMs),
  });

const say = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};

if (options.kind === 'stream') {
  const call = client.makeBidiStreamRequest(
    options.path,
    (m: GrantEntitlementsRequest) => toBuffer(GrantEntitlementsRequest.encode(m).finish()),
    (b: Buffer) => GrantEntitlementsResponse.decode(b),
    metadata,
  );
  let refused = 0;
  let through = -1;
  let first = '';
  const marks: number[] = [];
  const started = performance.now();
  call.on('data', (answer: GrantEntitlementsResponse) => {
    refused += answer.refusals.length;
    first ||= answer.refusals[0]?.code ?? '';
    through = Number(answer.through);
    if (Math.floor(((through + 1) * 10) / options.count) > marks.length) {
      marks.push(performance.now() - started);
      if (options.count >= 100_000) say({ tenth: marks.length, ms: Math.round(marks.at(-1)!) });
    }
  });
  const done = new Promise<void>((resolve, reject) => {
    call.on('end', resolve);
    call.on('error', reject);
  });
  let i = 0;
  const pump = (): void => {
    while (i < options.count) {
      if (!call.write(grant(i++))) {
        call.once('drain', pump);
        return;
      }
    }
    call.end();
  };
  pump();
  await done;
  const ms = performance.now() - started;
  say({ count: through + 1, ms, perSecond: ((through + 1) / ms) * 1000, refused, first });
} else {
  const times: number[] = [];
  let next = 0;
  let failed = 0;
  let first = '';
  let undecided = 0;
  const started = performance.now();
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const sent = performance.now();
      client.makeUnaryRequest(
        options.path,
        (m: PlaceOrderRequest) => toBuffer(PlaceOrderRequest.encode(m).finish()),
        (b: Buffer) => (options.path === '/bare/echo' ? b : PlaceOrderResponse.decode(b)),
        order(next++),
        metadata,
        (error, answer) => {
          if (error) {
            failed++;
            first ||= error.details;
          } else if (options.waitMs > 0 && !(answer as PlaceOrderResponse).decision?.outcome) undecided++;
          times.push(performance.now() - sent);
          resolve();
        },
      );
    });
  const going = () => (options.forMs > 0 ? performance.now() - started < options.forMs : next < options.count);
  await Promise.all(
    Array.from({ length: options.atOnce }, async () => {
      while (going()) await one();
    }),
  );
  const ms = performance.now() - started;
  times.sort((a, b) => a - b);
  say({
    count: times.length,
    ms,
    perSecond: (times.length / ms) * 1000,
    p50: times[Math.floor(times.length * 0.5)],
    p99: times[Math.floor(times.length * 0.99)],
    failed,
    undecided,
    first,
  });
}
client.close();
