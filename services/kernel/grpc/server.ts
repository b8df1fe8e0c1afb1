import { createHash, timingSafeEqual } from 'node:crypto';
import { Server, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { ExchangeRequest, ExchangeResponse } from '#proto/eduk/inner/v1/inner';
import { type Address, textOf } from '../config.ts';
import { log } from '../log.ts';
import { type Answer, type Call, type Port, serveOnPort, type Transport } from '../rpc.ts';
import { answerFrames, callsIn, exchange, LARGEST_FRAME } from './frames.ts';
import { type InnerProof, KEY_HEADER, serverCredentials } from './security.ts';

export interface GrpcServerOptions extends InnerProof {
  /** Port 0 takes a free one. */
  address: Address;
  /** With TLS: whether who has a certificate for these names (subject's CN, DNS names) may call. Without it every role may. */
  mayCall?: (names: readonly string[]) => boolean;
}

export interface GrpcServer {
  /** The bound port. */
  port: number;
  /**
   * Answers from now on; before, callers are told to come back. `target` is usually `dispatcher(…)`, `serves` holds the
   * full names of the services that it answers.
   */
  open(target: Transport, serves: readonly string[]): void;
  /** What grpc.health.v1 answers: not serving until told. */
  health(serving: boolean): void;
  /** Takes no new calls and tells the callers; what is under way is answered. */
  leave(): void;
  /** Leaves, then ends once everything is answered, after `graceMs` in any case. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Listens for other roles over gRPC. Rejects with `ConfigError` (an address that is not loopback without TLS) or the error of
 * the listener.
 */
export async function serveGrpc({ address, mayCall, ...proof }: GrpcServerOptions): Promise<GrpcServer> {
  const credentials = serverCredentials(address.host, proof);
  const expected = proof.key === undefined ? undefined : digestOf(proof.key);
  const server = new Server({
    'grpc.max_receive_message_length': LARGEST_FRAME,
    'grpc.max_send_message_length': LARGEST_FRAME,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc-node.flow_control_window': 4 << 20,
  });
  const streams = new Set<Stream>();
  let leaving = false;
  let opened: { target: Transport; serves: readonly string[] } | undefined;
  server.addService(exchange, {
    exchange: (call: ServerDuplexStream<ExchangeRequest, ExchangeResponse>) => {
      const given = call.metadata.get(KEY_HEADER)[0]?.toString() ?? '';
      if (expected && !timingSafeEqual(digestOf(given), expected))
        return void call.emit('error', { code: status.UNAUTHENTICATED, details: 'not a role of this gateway' });
      if (proof.tls && mayCall && !mayCall(namesOf(call))) {
        log('warn', 'role_refused', { names: namesOf(call).join(' ') });
        return void call.emit('error', { code: status.PERMISSION_DENIED, details: 'a role that has no business here' });
      }
      if (!opened || leaving) return void call.emit('error', { code: status.UNAVAILABLE, details: 'come back' });
      const stream = new Stream(call);
      streams.add(stream);
      call.on('close', () => streams.delete(stream));
      serveOnPort(stream, opened.target);
      call.write({ answers: [], serves: [...opened.serves], leaving: false });
    },
  });
  const health = new HealthImplementation({});
  const tell = (serving: boolean): void => {
    for (const name of ['', ...(opened?.serves ?? [])]) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  };
  tell(false);
  health.addToServer(server as never);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(textOf(address), credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  const leave = (): void => {
    if (leaving) return;
    leaving = true;
    tell(false);
    for (const stream of streams) stream.leave();
  };
  return {
    port,
    open(target, serves) {
      opened = { target, serves };
      tell(false);
    },
    health: (serving) => tell(serving && !leaving),
    leave,
    stop(graceMs) {
      leave();
      return new Promise((resolve) => {
        const cut = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      });
    },
  };
}

/** Whom the caller's certificate is for. It was verified when the connection was made. */
function namesOf(call: ServerDuplexStream<ExchangeRequest, ExchangeResponse>): string[] {
  const certificate = call.getAuthContext().sslPeerCertificate;
  const alternatives = (certificate?.subjectaltname ?? '')
    .split(', ')
    .flatMap((name) => /^DNS:(.+)$/.exec(name)?.[1] ?? []);
  return [...[certificate?.subject?.CN ?? []].flat(), ...alternatives];
}

const digestOf = (key: string): Buffer => createHash('sha256').update(key).digest();

/** One caller's stream as a port. */
class Stream implements Port {
  readonly #call: ServerDuplexStream<ExchangeRequest, ExchangeResponse>;
  #underWay = 0;
  #ended = false;
  #gone = false;

  constructor(call: ServerDuplexStream<ExchangeRequest, ExchangeResponse>) {
    this.#call = call;
    call.on('end', () => {
      this.#ended = true;
      this.#endWhenAnswered();
    });
    // The caller went away; it asks again where it needs to.
    call.on('cancelled', () => {
      this.#gone = true;
    });
    call.on('error', () => {
      this.#gone = true;
    });
  }

  on(_event: 'message', listener: (message: { calls: Call[]; cancels: number[] }) => void): void {
    this.#call.on('data', (frame: ExchangeRequest) => {
      const calls = callsIn(frame);
      this.#underWay += calls.length;
      listener({ calls, cancels: frame.cancels });
    });
  }

  postMessage(message: unknown): void {
    const { answers } = message as { answers: readonly Answer[] };
    this.#underWay -= answers.length;
    if (this.#gone) return;
    for (const { frame } of answerFrames(answers)) this.#call.write(frame);
    this.#endWhenAnswered();
  }

  leave(): void {
    if (!this.#gone) this.#call.write({ answers: [], serves: [], leaving: true });
  }

  #endWhenAnswered(): void {
    if (this.#ended && this.#underWay === 0 && !this.#gone) this.#call.end();
  }
}
