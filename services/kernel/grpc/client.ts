import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientDuplexStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { ExchangeRequest, ExchangeResponse } from '#proto/eduk/inner/v1/inner';
import { type Address, ConfigError, parseAddress, textOf } from '../config.ts';
import { callerGone, timeLeft, tooLate } from '../deadline.ts';
import { GatewayError } from '../errors.ts';
import { log } from '../log.ts';
import { type Answer, type Call, type PortTransport, portTransport, type Transport } from '../rpc.ts';
import { answersIn, callFrames, exchange, LARGEST_FRAME } from './frames.ts';
import { clientCredentials, type InnerProof, KEY_HEADER } from './security.ts';

export interface GrpcTransportOptions extends InnerProof {
  /** `host:port` each. A name that stands for several addresses is that many replicas. */
  addresses: readonly string[];
  /**
   * Names that a replica's certificate may be for, instead of the host of its address: one replica among several is called by
   * an address that no certificate knows beforehand.
   */
  names?: readonly string[];
  /** Whether a second call has no second effect: only then is a call repeated whose outcome is unknown. */
  repeats(service: string, method: string): boolean;
  /** Longest that one call may take, milliseconds. Default 40,000: questions may wait 30 s for an answer. */
  callMs?: number;
  /** How long a call waits for a replica while none is there, milliseconds. Default 5,000. */
  patienceMs?: number;
  /**
   * How long a call is repeated that a replica answered with gateway.unavailable, milliseconds: what it needs itself (the
   * owner of the service, the database) may be on its way back. Only where a repeat has no second effect. Default 0.
   */
  persistMs?: number;
}

export interface GrpcTransport extends Transport {
  /** Whether a replica that answers this service is there now. */
  reaches(service: string): boolean;
  counts(): { calls: number; repeated: number; lost: number };
  /** Ends the streams; what is under way fails. */
  close(): void;
}

const CALL_MS = 40_000;
const PATIENCE_MS = 5_000;
/** A replica that has not said what it serves after so long is tried again. */
const HELLO_MS = 5_000;
/** Between attempts to reach one, first and last. */
const BACKOFF_MS = [50, 1_000] as const;
/** How often names are looked up again. */
const RESOLVE_MS = 5_000;
const SWEEP_MS = 250;
/** Between the repeats of a call that was told to come back, first and at most. */
const PAUSE_MS = [50, 400] as const;
/** Bytes that lie unsent at one replica before it counts as overloaded. */
const UNSENT = 32 << 20;

const away = (told?: string): GatewayError => new GatewayError('gateway.unavailable', told, { retryAfterS: 1 });
const late = (): GatewayError => away('A part of the gateway did not answer in time; come back.');

/**
 * Calls a role over gRPC, whatever number of replicas it has: the one with the fewest calls under way, in turn. A replica
 * that leaves gets no more calls; one that is lost fails what it had, which is repeated once where that has no second
 * effect. Faults of its own: gateway.unavailable, gateway.overloaded. Throws `ConfigError` for an address that is not
 * loopback without TLS.
 */
export function grpcTransport(options: GrpcTransportOptions): GrpcTransport {
  const problems = options.addresses.filter((address) => !parseAddress(address));
  if (problems.length > 0) throw new ConfigError(['an address of a role must be host:port']);
  return new Replicas(options);
}

class Replicas implements GrpcTransport {
  readonly #options: GrpcTransportOptions;
  readonly #places: readonly Address[];
  /** By `host|address:port`. */
  readonly #replicas = new Map<string, Replica>();
  readonly #timers: NodeJS.Timeout[];
  /** Chosen in this turn of the event loop, so that what belongs together crosses in one frame. */
  readonly #chosen = new Map<string, Replica>();
  #waiting: (() => void)[] = [];
  #next = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #closed = false;
  #calls = 0;
  #repeated = 0;
  #lost = 0;

  constructor(options: GrpcTransportOptions) {
    this.#options = options;
    this.#places = options.addresses.map((address) => parseAddress(address)!);
    for (const { host } of this.#places) clientCredentials(host, options); // Throws now, not at the first call.
    this.#timers = [
      setInterval(() => void this.#resolve(), RESOLVE_MS),
      setInterval(() => {
        for (const replica of this.#replicas.values()) replica.expire();
      }, SWEEP_MS),
    ];
    for (const timer of this.#timers) timer.unref();
    void this.#resolve();
  }

  async call(service: string, method: string, request: Uint8Array): Promise<Uint8Array> {
    this.#calls++;
    if (callerGone()?.isGone) throw tooLate();
    const until = performance.now() + Math.min(timeLeft() ?? Number.POSITIVE_INFINITY, this.#options.callMs ?? CALL_MS);
    const persist = Math.min(until, performance.now() + (this.#options.persistMs ?? 0));
    let pauseMs = PAUSE_MS[0] as number;
    for (let attempt = 0; ; ) {
      const replica = this.#pick(service) ?? (await this.#comes(service, until));
      const left = until - performance.now();
      if (replica === undefined || left <= 0) {
        this.#tell(service, method, replica ? 'late' : 'nobody');
        throw replica ? late() : away();
      }
      try {
        return await replica.call(service, method, request, left);
      } catch (thrown) {
        if (!(thrown instanceof Lost)) {
          if (!(thrown instanceof GatewayError) || thrown.fault !== 'gateway.unavailable') throw thrown;
          if (performance.now() + pauseMs > persist || !this.#options.repeats(service, method)) {
            this.#tell(service, method, 'told');
            throw thrown;
          }
          await sleep(pauseMs);
          pauseMs = Math.min(PAUSE_MS[1], pauseMs * 2);
          continue;
        }
        this.#lost++;
        // It may have been done. Where doing it twice is doing it once, another is asked, or the same when it is back.
        if (attempt++ > 0 || this.#closed || !this.#options.repeats(service, method)) {
          this.#tell(service, method, 'lost');
          throw away();
        }
        this.#repeated++;
      }
    }
  }

  reaches(service: string): boolean {
    for (const replica of this.#replicas.values()) if (replica.serves(service)) return true;
    return false;
  }

  counts() {
    return { calls: this.#calls, repeated: this.#repeated, lost: this.#lost };
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const replica of this.#replicas.values()) replica.close();
    this.#replicas.clear();
    this.#changed();
  }

  /** The replica with the fewest calls under way, in turn where several have. */
  #pick(service: string): Replica | undefined {
    const chosen = this.#chosen.get(service);
    if (chosen?.serves(service)) return chosen;
    const all = [...this.#replicas.values()];
    let best: Replica | undefined;
    this.#next = (this.#next + 1) % Math.max(1, all.length);
    for (let i = 0; i < all.length; i++) {
      const replica = all[(this.#next + i) % all.length]!;
      if (replica.serves(service) && (best === undefined || replica.underWay < best.underWay)) best = replica;
    }
    if (best !== undefined) {
      if (this.#chosen.size === 0) queueMicrotask(() => this.#chosen.clear());
      this.#chosen.set(service, best);
    }
    return best;
  }

  /** Nothing was sent yet, so waiting for a replica is safe whatever the method does. */
  async #comes(service: string, until: number): Promise<Replica | undefined> {
    const patience = Math.min(until, performance.now() + (this.#options.patienceMs ?? PATIENCE_MS));
    for (;;) {
      if (this.#closed) throw new GatewayError('gateway.stopping');
      const left = patience - performance.now();
      if (left <= 0) return undefined;
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(done, left);
        this.#waiting.push(done);
      });
      const replica = this.#pick(service);
      if (replica) return replica;
    }
  }

  /** Why a caller hears gateway.unavailable, once a second at most. */
  #tell(service: string, method: string, why: 'nobody' | 'late' | 'lost' | 'told'): void {
    const now = performance.now();
    if (now - this.#toldAt < 1_000) return;
    this.#toldAt = now;
    log('warn', 'role_call_failed', { service, method, why });
  }

  #changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Looks up every name; new addresses are connected, those that are gone get no more calls. */
  async #resolve(): Promise<void> {
    const seen = new Set<string>();
    let failed = false;
    await Promise.all(
      this.#places.map(async ({ host, port }) => {
        try {
          const found = isIP(host) ? [{ address: host }] : await lookup(host, { all: true });
          for (const { address } of found) {
            const name = `${host}|${address}:${port}`;
            seen.add(name);
            if (this.#closed || this.#replicas.has(name)) continue;
            const replica = new Replica({ host: address, port }, host, this.#options, () => this.#changed());
            this.#replicas.set(name, replica);
          }
        } catch {
          failed = true; // The name server is away: those we know stay.
        }
      }),
    );
    if (failed) return;
    for (const [name, replica] of this.#replicas)
      if (!seen.has(name)) {
        this.#replicas.delete(name);
        replica.retire();
      }
  }
}

/** The stream broke with this call under way: nobody here knows whether it was done. */
class Lost extends GatewayError {
  constructor() {
    super('gateway.unavailable');
  }
}

/** One process that answers. Connects by itself, again and again, until it is closed. */
class Replica {
  readonly #address: Address;
  readonly #host: string;
  readonly #proof: InnerProof;
  readonly #names: readonly string[] | undefined;
  readonly #changed: () => void;
  #client: Client | undefined;
  #stream: ClientDuplexStream<ExchangeRequest, ExchangeResponse> | undefined;
  #transport: PortTransport | undefined;
  #serves: ReadonlySet<string> = new Set();
  #state: 'connecting' | 'open' | 'leaving' | 'closed' = 'connecting';
  #retired = false;
  #unsent = 0;
  #backoffMs: number = BACKOFF_MS[0];
  #timer: NodeJS.Timeout | undefined;
  #told = '';

  constructor(
    address: Address,
    host: string,
    proof: InnerProof & Pick<GrpcTransportOptions, 'names'>,
    changed: () => void,
  ) {
    this.#address = address;
    this.#host = host;
    this.#proof = proof;
    this.#names = proof.names;
    this.#changed = changed;
    this.#connect();
  }

  serves(service: string): boolean {
    return this.#state === 'open' && this.#serves.has(service);
  }

  get underWay(): number {
    return this.#transport?.underWay ?? 0;
  }

  async call(service: string, method: string, request: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#unsent > UNSENT) throw new GatewayError('gateway.overloaded', undefined, { retryAfterS: 1 });
    try {
      return await this.#transport!.call(service, method, request, timeoutMs);
    } finally {
      if (this.#state === 'leaving') this.#endWhenAnswered();
    }
  }

  expire(): void {
    this.#transport?.expire(late);
  }

  /** Its address is gone: what is under way may end. */
  retire(): void {
    this.#retired = true;
    if (this.underWay === 0) this.close();
    else {
      this.#state = 'leaving';
      this.#endWhenAnswered();
    }
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#drop();
  }

  #connect(): void {
    const { host, port } = this.#address;
    const target = textOf(this.#address);
    // A client of its own for each attempt: what grpc-js remembers of failures would keep us from a replica that is back.
    const client = new Client(target, clientCredentials(this.#host, this.#proof, this.#names), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
      'grpc.max_receive_message_length': LARGEST_FRAME,
      'grpc.max_send_message_length': LARGEST_FRAME,
      // A process that was stopped, or a machine that is gone, is noticed within these.
      'grpc.keepalive_time_ms': 3_000,
      'grpc.keepalive_timeout_ms': 4_000,
      'grpc.keepalive_permit_without_calls': 1,
      'grpc-node.flow_control_window': 4 << 20,
      ...(this.#proof.tls && host !== this.#host
        ? { 'grpc.ssl_target_name_override': this.#host, 'grpc.default_authority': this.#host }
        : {}),
    });
    const metadata = new Metadata();
    if (this.#proof.key !== undefined) metadata.set(KEY_HEADER, this.#proof.key);
    const { path, requestSerialize, responseDeserialize } = exchange.exchange;
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    this.#client = client;
    this.#stream = stream;
    this.#unsent = 0;
    let deliver: (message: { answers: Answer[] }) => void = () => undefined;
    this.#transport = portTransport({
      postMessage: (message) => {
        const { calls, cancels } = message as { calls: readonly Call[]; cancels?: number[] };
        this.#send(stream, calls, cancels);
      },
      on: (_event, listener) => {
        deliver = listener;
      },
    });
    const hello = setTimeout(() => stream.cancel(), HELLO_MS);
    hello.unref();
    let over = false;
    const lost = (error?: ServiceError): void => {
      clearTimeout(hello);
      if (over || stream !== this.#stream) return;
      over = true;
      this.#lost(error);
    };
    stream.on('data', (frame: ExchangeResponse) => {
      if (frame.serves.length > 0 && this.#state === 'connecting') {
        clearTimeout(hello);
        this.#serves = new Set(frame.serves);
        this.#state = 'open';
        this.#backoffMs = BACKOFF_MS[0];
        if (this.#told !== '') log('info', 'role_reached', { port });
        this.#told = '';
        this.#changed();
      }
      if (frame.answers.length > 0) deliver({ answers: answersIn(frame) });
      if (frame.leaving && this.#state === 'open') {
        this.#state = 'leaving';
        this.#endWhenAnswered();
      }
    });
    stream.on('error', lost);
    stream.on('end', () => lost());
  }

  #send(
    stream: ClientDuplexStream<ExchangeRequest, ExchangeResponse>,
    calls: readonly Call[],
    cancels: number[] | undefined,
  ): void {
    if (stream !== this.#stream) return; // Lost in this very turn; the callers were told.
    for (const { frame, size } of callFrames(calls)) {
      this.#unsent += size;
      stream.write(frame, () => {
        this.#unsent -= size;
      });
    }
    if (cancels) stream.write({ calls: [], cancels });
  }

  #endWhenAnswered(): void {
    // In the next turn, for the answers of this one.
    setImmediate(() => {
      if (this.#state === 'leaving' && this.underWay === 0) this.#stream?.end();
    });
  }

  #lost(error?: ServiceError): void {
    const wasOpen = this.#state === 'open';
    this.#drop();
    if (this.#retired) this.#state = 'closed';
    if (this.#state === 'closed') return;
    this.#state = 'connecting';
    const code = status[error?.code ?? status.OK];
    // Said once for each cause: a role that is away is tried every second.
    if (code !== this.#told && (wasOpen || code !== 'UNAVAILABLE')) {
      this.#told = code;
      log('warn', 'role_lost', { port: this.#address.port, status: code });
    }
    this.#timer = setTimeout(() => this.#connect(), this.#backoffMs * (0.5 + Math.random() / 2));
    this.#timer.unref();
    this.#backoffMs = Math.min(BACKOFF_MS[1], this.#backoffMs * 2);
  }

  /** Lets go of the stream; whoever waits on it is told. */
  #drop(): void {
    clearTimeout(this.#timer);
    const [stream, client, transport] = [this.#stream, this.#client, this.#transport];
    this.#stream = undefined;
    this.#client = undefined;
    this.#transport = undefined;
    transport?.fail(new Lost());
    stream?.cancel();
    client?.close();
  }
}
