import { MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH } from '#adapters/xml';
import type { SettingName } from '#kernel';

/**
 * What the doors take at most, in one table: the doors read it, and `docs/limits.md` is printed from it. Rows with a
 * setting have their default in the settings.
 */
export interface LimitRow {
  /** The limit; of a row with a setting its default. */
  at: number;
  unit: 'bytes' | 'ms' | 'count' | 'per second';
  what: string;
  /** What who meets it sees. */
  instead: string;
  setting?: SettingName;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const limits = {
  message: {
    at: 4 * MIB,
    unit: 'bytes',
    what: 'A gRPC message, also after it was decompressed',
    instead:
      'RESOURCE_EXHAUSTED, judged by the length that it announces; `wire.too_large` where the door judges itself',
  },
  item: {
    at: 256 * KIB,
    unit: 'bytes',
    what: 'An item of a bulk stream',
    instead: '`wire.too_large` for that item; the stream goes on',
  },
  body: {
    at: 32 * MIB,
    unit: 'bytes',
    what: 'A body over HTTP, which may not be compressed',
    instead: '`wire.too_large`, before it is read where its length is announced',
  },
  xmlDepth: { at: MAX_DEPTH, unit: 'count', what: 'Elements within each other in XML', instead: '`wire.unreadable`' },
  xmlAttributes: {
    at: MAX_ATTRIBUTES,
    unit: 'count',
    what: 'Attributes of one element in XML',
    instead: '`wire.too_large`',
  },
  metadata: {
    at: 16 * KIB,
    unit: 'bytes',
    what: 'Metadata of a gRPC call; the head of a request over HTTP',
    instead: 'the call ends with ENHANCE_YOUR_CALM, which gRPC shows as RESOURCE_EXHAUSTED; over HTTP 431',
  },
  metadataPairs: { at: 100, unit: 'count', what: 'Headers of one call or request', instead: 'as above' },
  streams: {
    at: 100,
    unit: 'count',
    what: 'gRPC calls at once on one connection',
    instead: 'the next waits in its client for one that ends',
  },
  connections: {
    at: 12_000,
    unit: 'count',
    what: 'Connections of one door, of gRPC and of HTTP each',
    instead: 'the next is closed at once',
  },
  connectionAge: {
    at: 30 * 60_000,
    unit: 'ms',
    what: 'Age of a gRPC connection, give or take a tenth',
    instead:
      'GOAWAY: new calls take another connection. Streams end with `gateway.unavailable` and RetryInfo; watches go on by cursor, bulk streams by reference',
  },
  connectionGrace: {
    at: 90_000,
    unit: 'ms',
    what: 'What is under way on a connection of that age may still take',
    instead: 'the connection is cut',
  },
  keepalive: {
    at: 30_000,
    unit: 'ms',
    what: 'Between our pings on a gRPC connection',
    instead: 'who does not answer within 10 s is cut off',
  },
  keepaliveAnswer: { at: 10_000, unit: 'ms', what: 'For an answer to our ping', instead: 'the connection is cut' },
  pings: {
    at: 10_000,
    unit: 'ms',
    what: 'Between pings of a caller to whom nothing was sent meanwhile; two may come sooner',
    instead: 'GOAWAY with ENHANCE_YOUR_CALM and `too_many_pings`',
  },
  resets: {
    at: 200,
    unit: 'count',
    what: 'Calls of one connection that are taken back at once; 50 a second come back',
    instead: 'GOAWAY, and the connection is closed',
  },
  handshake: {
    at: 10_000,
    unit: 'ms',
    what: 'From connecting to the end of the TLS handshake, and from there to the settings of HTTP/2 or the head of a request',
    instead: 'the connection is cut',
  },
  request: {
    at: 120_000,
    unit: 'ms',
    what: 'For a whole request over HTTP to arrive',
    instead: '408, and the connection is closed',
  },
  arrival: {
    at: 60_000,
    unit: 'ms',
    what: 'For a gRPC message to arrive once it began, while it is read',
    instead: 'the call ends with ENHANCE_YOUR_CALM',
  },
  unfinished: {
    at: 256 * MIB,
    unit: 'bytes',
    what: 'What all senders together have sent of messages and bodies that are not whole yet',
    instead: 'the slowest sender is cut off: `gateway.overloaded`, over gRPC RESOURCE_EXHAUSTED',
  },
  deadline: {
    at: 60_000,
    unit: 'ms',
    what: 'A unary call, whatever longer deadline it has',
    instead: '`gateway.late`; the same reference has no second effect',
  },
  waitMs: { at: 30_000, unit: 'ms', what: '`wait_ms`', instead: '`wire.invalid`' },
  calls: {
    at: 5_000,
    unit: 'per second',
    setting: 'EDUK_PARTY_CALLS',
    what: 'Calls of one party at one door; twice as many at once',
    instead: '`gateway.overloaded` with the time to wait',
  },
  items: {
    at: 50_000,
    unit: 'per second',
    setting: 'EDUK_PARTY_ITEMS',
    what: 'Items in the bulk streams of one party at one door; twice as many at once',
    instead: 'its streams are read no faster',
  },
  atOnce: {
    at: 500,
    unit: 'count',
    what: 'Calls of one party that are answered at the same time; more wait their turn',
    instead: 'they wait',
  },
  waiting: {
    at: 2_000,
    unit: 'count',
    what: 'Calls of one party that wait for their turn',
    instead: '`gateway.overloaded` with the time to wait',
  },
  openStreams: {
    at: 1_000,
    unit: 'count',
    what: 'Watches and bulk streams of one party at one door',
    instead: '`gateway.overloaded`',
  },
  turn: {
    at: 64,
    unit: 'count',
    what: 'Calls that begin before the door looks at anything else; of each party one in turn',
    instead: 'they wait for the next round',
  },
  failures: {
    at: 10,
    unit: 'count',
    what: 'Attempts of one client from one address that fail at `/oauth2/token`; one more each 6 s',
    instead: '429 with the time to wait, and the attempt is not looked at',
  },
  failuresOfPlace: {
    at: 100,
    unit: 'count',
    what: 'The same from one address (of IPv6 a /64), whichever the client; one more each 0.6 s',
    instead: 'as above',
  },
  comparedIds: {
    at: 1_000_000,
    unit: 'count',
    what: 'Ids that a party names in one comparison (`CompareEntitlements`, or asked at its endpoint `holdings`)',
    instead:
      '`wire.too_large`: the comparison has ended, nothing of that page is kept, and what was found before stands',
  },
  comparedPages: {
    at: 10_000,
    unit: 'count',
    what: 'Pages of one comparison',
    instead: 'as above',
  },
  recheck: {
    at: 2_000,
    unit: 'ms',
    what: 'Between two looks at whether the credential of an open stream still stands',
    instead: 'the stream ends with `party.unknown`; a mandate is judged anew for each item',
  },
} as const satisfies Record<string, LimitRow>;

export type Limit = keyof typeof limits;

/** Largest body that is read is what the XML reader takes. */
if (limits.body.at !== MAX_BYTES) throw new Error('the door and the XML reader disagree on the largest body');
