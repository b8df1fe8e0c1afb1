import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import { limits } from '../limits.ts';
import type { Arriving, Unfinished } from '../unfinished.ts';

/**
 * Limits of connections that `@grpc/grpc-js` has no options for: it is reached at the two places where it makes its HTTP/2
 * servers, which are private to it. Its version is pinned, and a test meets each limit over the wire, so that an upgrade
 * which moves them does not pass.
 */

export interface ConnectionLimits {
  connections: number;
  streams: number;
  metadata: number;
  metadataPairs: number;
  handshakeMs: number;
  ageMs: number;
  graceMs: number;
  pingsMs: number;
  resets: number;
  arrivalMs: number;
}

export const connectionLimits: ConnectionLimits = {
  connections: limits.connections.at,
  streams: limits.streams.at,
  metadata: limits.metadata.at,
  metadataPairs: limits.metadataPairs.at,
  handshakeMs: limits.handshake.at,
  ageMs: limits.connectionAge.at,
  graceMs: limits.connectionGrace.at,
  pingsMs: limits.pings.at,
  resets: limits.resets.at,
  arrivalMs: limits.arrival.at,
};

/** Options of the library that go with these. */
export const serverOptions = {
  'grpc.max_receive_message_length': limits.message.at,
  'grpc.max_send_message_length': limits.message.at,
  'grpc.max_concurrent_streams': limits.streams.at,
  'grpc.keepalive_time_ms': limits.keepalive.at,
  'grpc.keepalive_timeout_ms': limits.keepaliveAnswer.at,
  // Without it each connection and stream is noted in tables that nobody reads.
  'grpc.enable_channelz': 0,
} as const;

export interface Connections {
  readonly count: number;
  /** Aborts when the connection that a call came on (`call.getPeer()`) has its age and takes no more calls. */
  leaving(peer: string): AbortSignal | undefined;
  stop(): void;
}

/** Calls taken back that come back a second. */
const RESETS_PER_S = 50;
/** Pings that may come sooner than they should. */
const STRIKES = 2;
/** For the refusal of a message to arrive before its call is cut. */
const LINGER_MS = 1_000;
/** An answer to a ping, and TLS around it: who was sent no more than that was sent nothing. */
const PONG_BYTES = 100;

/** Holds every connection of a server to the limits. To be called before it is bound. */
export function guardConnections(
  server: Server,
  unfinished: Unfinished,
  isUnary: (path: string) => boolean,
  most: ConnectionLimits = connectionLimits,
): Connections {
  const sessions = new Map<ServerHttp2Session, { peer: string; leaving: AbortController }>();
  const byPeer = new Map<string, AbortController>();
  const arrivals = new Set<Message>();
  const options = server['commonServerOptions'];
  Object.assign(options, {
    settings: { maxConcurrentStreams: most.streams, maxHeaderListSize: most.metadata },
    maxHeaderListPairs: most.metadataPairs,
    streamResetBurst: most.resets,
    streamResetRate: RESETS_PER_S,
    handshakeTimeout: most.handshakeMs,
    unknownProtocolTimeout: most.handshakeMs,
  });
  const make = server['createHttp2Server'].bind(server) as (credentials: unknown) => Http2Server;
  server['createHttp2Server'] = (credentials: unknown): Http2Server => {
    const made = make(credentials);
    made.maxConnections = most.connections;
    made.on('session', admit);
    made.on('stream', (stream: ServerHttp2Stream, headers) => follow(stream, String(headers[':path'] ?? '')));
    return made;
  };

  function admit(session: ServerHttp2Session): void {
    if (sessions.size >= most.connections) {
      session.destroy();
      return;
    }
    const { socket } = session;
    const leaving = new AbortController();
    const peer = `${socket?.remoteAddress}:${socket?.remotePort}`;
    sessions.set(session, { peer, leaving });
    byPeer.set(peer, leaving);
    const hello = setTimeout(() => session.destroy(), most.handshakeMs);
    session.once('remoteSettings', () => clearTimeout(hello));
    // Apart by a tenth, so that those who came together do not all come again together.
    const age = setTimeout(() => leave(session, leaving), most.ageMs * (0.9 + 0.2 * Math.random()));
    age.unref();
    limitPings(session);
    session.once('close', () => {
      clearTimeout(hello);
      clearTimeout(age);
      sessions.delete(session);
      if (byPeer.get(peer) === leaving) byPeer.delete(peer);
    });
  }

  function leave(session: ServerHttp2Session, leaving: AbortController): void {
    if (session.destroyed) return;
    leaving.abort();
    session.close();
    const cut = setTimeout(() => session.destroy(), most.graceMs);
    cut.unref();
    session.once('close', () => clearTimeout(cut));
  }

  function limitPings(session: ServerHttp2Session): void {
    let strikes = 0;
    let last = Number.NEGATIVE_INFINITY;
    let written = 0;
    session.on('ping', () => {
      // Several may lie there, behind the one that ended it.
      if (session.destroyed) return;
      const now = performance.now();
      const sent = session.socket?.bytesWritten ?? 0;
      // Who is sent something measures with pings how fast that is; it may.
      const isIdle = sent - written <= PONG_BYTES;
      strikes = isIdle && now - last < most.pingsMs ? strikes + 1 : 0;
      [last, written] = [now, sent];
      if (strikes <= STRIKES) return;
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from('too_many_pings'));
      session.destroy();
    });
  }

  /** Watches messages arrive. The data is the library's; it is looked at as it passes. */
  function follow(stream: ServerHttp2Stream, path: string): void {
    const message = new Message(stream, unfinished, isUnary(path));
    stream.on('data', (chunk: Buffer) => message.take(chunk));
    arrivals.add(message);
    stream.once('end', () => message.end());
    stream.once('close', () => {
      message.end();
      arrivals.delete(message);
    });
  }

  const sweep = setInterval(
    () => {
      for (const message of arrivals) message.check(most.arrivalMs);
    },
    Math.min(5_000, most.arrivalMs / 4),
  );
  sweep.unref();
  return {
    get count() {
      return sessions.size;
    },
    leaving: (peer) => byPeer.get(peer)?.signal,
    stop: () => clearInterval(sweep),
  };
}

/** One call's messages as they arrive: five bytes that say the length, then so many. */
class Message {
  readonly #stream: ServerHttp2Stream;
  readonly #unfinished: Unfinished;
  /** A call that is one message has to send it; a stream may wait with the next. */
  #isAwaited: boolean;
  readonly #head = Buffer.alloc(5);
  #have = 0;
  #left = 0;
  #arriving: Arriving | undefined;

  constructor(stream: ServerHttp2Stream, unfinished: Unfinished, isAwaited: boolean) {
    this.#stream = stream;
    this.#unfinished = unfinished;
    this.#isAwaited = isAwaited;
    if (isAwaited) this.#begin();
  }

  take(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left === 0) {
        if (!this.#arriving) this.#begin();
        this.#head[this.#have++] = chunk[at++]!;
        if (this.#have < 5) continue;
        this.#have = 0;
        this.#left = this.#head.readUInt32BE(1);
        // Refused by the library; what follows of it is not waited for.
        if (this.#left > limits.message.at) setTimeout(() => this.#cut(), LINGER_MS).unref();
      } else {
        const bytes = Math.min(this.#left, chunk.length - at);
        this.#left -= bytes;
        at += bytes;
        if (this.#left > 0 && this.#left + bytes <= limits.message.at) this.#arriving?.grow(bytes);
      }
      if (this.#left === 0 && this.#have === 0) this.end();
    }
  }

  end(): void {
    this.#isAwaited = false;
    this.#arriving?.end();
    this.#arriving = undefined;
  }

  check(mostMs: number): void {
    if (!this.#arriving) return;
    // What we do not read cannot arrive.
    if (this.#stream.isPaused() && !this.#isAwaited) this.#arriving.rest();
    else if (this.#arriving.msSince() > mostMs) this.#cut();
  }

  #begin(): void {
    this.#arriving = this.#unfinished.begin(() => this.#cut());
  }

  #cut(): void {
    this.end();
    this.#stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}
