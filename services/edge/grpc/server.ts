import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import {
  type Address,
  asGatewayError,
  GatewayError,
  Gone,
  isLoopback,
  type MethodDefinition,
  type ServiceDefinition,
  stopIfLate,
  textOf,
  tooLate,
  within,
} from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import { PartyServiceDefinition } from '#proto/eduk/gateway/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { FROM, inNameOf, requireOwnName } from '../acting.ts';
import { type Caller, operator as operatorCaller, type Peer, whoCalls } from '../caller.ts';
import type { Certificates, Guard } from '../certificates.ts';
import type { Gate } from '../gate.ts';
import { checkGrammar } from '../labels.ts';
import { limits } from '../limits.ts';
import { asSeenBy, LINK } from '../links.ts';
import { isRead, requireDuty, requireEnding, requireLoopback } from '../operators.ts';
import { isOfProxy } from '../proxy.ts';
import { reads } from '../reads/index.ts';
import { requireScope, scopeOf, withinSchool } from '../scopes.ts';
import { signIn } from '../stages/authenticate.ts';
import { serveBulk } from './bulk.ts';
import { type Connections, guardConnections, serverOptions } from './connections.ts';
import { grpcDefinition } from './definition.ts';
import { operatorStreams, operatorUnary } from './operator.ts';
import { rebuildFlows } from './rebuild.ts';
import { addReflection } from './reflection.ts';
import { watchReplay } from './replays.ts';
import { publicServices } from './services.ts';
import { statusOf } from './status.ts';
import { Streams } from './streams.ts';
import { serveWatch, serveWatchFlow, watches, watchFlow } from './watch.ts';
import { bulks, serveWrite, writes } from './writes.ts';

type AnyCall =
  | ServerUnaryCall<Buffer, unknown>
  | ServerDuplexStream<Buffer, unknown>
  | ServerWritableStream<Buffer, unknown>
  | ServerReadableStream<Buffer, unknown>;

export interface GrpcDoor {
  port: number;
  /** Lets calls under way end for at most `graceMs`, then cuts them. */
  stop(graceMs: number): Promise<void>;
}

export async function startGrpc(address: Address, gate: Gate, tls?: Certificates): Promise<GrpcDoor> {
  const server = new Server(serverOptions);
  const connections = guardConnections(server, gate.unfinished, (path) => unaryPaths.has(path));
  const streams = new Streams();
  const onLoopback = isLoopback(address.host);
  const listener = tls && listenerOf(server, tls);
  const callerOf = (call: AnyCall): Promise<Caller> =>
    gate.door.chain.afresh(async () => {
      const peer = peerOf(call, onLoopback, gate, listener?.guard);
      const caller = await signIn(header(call.metadata, 'authorization'), peer, gate.proofs);
      const named = inNameOf(caller, header(call.metadata, FROM), gate.door.chain);
      return gate.links.narrowed(named, header(call.metadata, LINK));
    });
  for (const definition of [...publicServices, OperatorServiceDefinition]) {
    const handlers = Object.fromEntries(
      Object.entries(definition.methods as Record<string, MethodDefinition>).map(([key, method]) => [
        key,
        handlerOf(definition, key, method, { callerOf, gate, connections, streams, onLoopback }),
      ]),
    );
    server.addService(grpcDefinition(definition), handlers as never);
  }
  const health = await addReflection(server, onLoopback);
  const port = await (listener
    ? listen(listener.server, address)
    : new Promise<number>((resolve, reject) =>
        server.bindAsync(textOf(address), ServerCredentials.createInsecure(), (error, bound) =>
          error ? reject(error) : resolve(bound),
        ),
      ));
  return {
    port,
    stop: (graceMs) =>
      new Promise((resolve) => {
        health.leave();
        listener?.server.close();
        const cut = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          connections.stop();
          streams.stop();
          resolve();
        });
      }),
  };
}

/**
 * TLS in a server of our own, which hands its connections over: grpc-js takes no revocation list, and tells of no
 * connection that could be ended.
 */
function listenerOf(grpc: Server, tls: Certificates): { server: TlsServer; guard: Guard } {
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const server = createTlsServer({ ...tls.options(), ALPNProtocols: ['h2'] });
  server.maxConnections = limits.connections.at;
  const guard = tls.guard(server);
  server.on('secureConnection', (socket) => {
    if (socket.destroyed || socket.alpnProtocol !== 'h2') return void socket.destroy();
    socket.setNoDelay(true);
    injector.injectConnection(socket);
  });
  return { server, guard };
}

const listen = (server: TlsServer, { host, port }: Address): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve((server.address() as { port: number }).port);
    });
  });

const header = (metadata: Metadata, name: string): string | undefined => metadata.get(name)[0]?.toString();

/** Milliseconds that a caller waits, and no longer than a call may take. */
const waitOf = (deadline: Date | number): number => Math.min(Number(deadline) - Date.now(), limits.deadline.at);

/** Methods of one message each way: who calls them sends that message at once. */
const unaryPaths: ReadonlySet<string> = new Set(
  [...publicServices, OperatorServiceDefinition].flatMap(({ fullName, methods }) =>
    (Object.values(methods) as MethodDefinition[])
      .filter(({ requestStream }) => !requestStream)
      .map(({ name }) => `/${fullName}/${name}`),
  ),
);

const hostOf = (authority: string): string => authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');

const configuredHost = (publicUrl: string): string => new URL(publicUrl).hostname.replace(/^\[|\]$/g, '');

/** Refuses an :authority that was not configured (as every listener does with Host), and notes who stands between. */
function peerOf(call: AnyCall, listenerOnLoopback: boolean, gate: Gate, guard: Guard | undefined): Peer {
  const authority = hostOf(call.getHost() ?? '');
  if (authority !== '' && !isLoopback(authority) && authority !== configuredHost(gate.door.publicUrl()))
    throw new GatewayError('party.unknown', 'This host name is not configured here.');
  const names = Object.keys(call.metadata.getMap());
  const address = call
    .getPeer()
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');
  const text = (name: string): string | undefined => call.metadata.get(name).join(',') || undefined;
  const proxied = names.some(isOfProxy);
  const said = { certificate: text('client-cert'), chain: text('client-cert-chain'), proxied };
  return {
    address: gate.proxy.cameFrom(address, text('x-forwarded-for')),
    listenerOnLoopback,
    proxied,
    certificate: gate.proxy.shownTo(address, said, guard?.clientOf(call.getPeer())),
  };
}

const find = <T>(
  tables: readonly { definition: { fullName: string }; methods: Record<string, T> }[],
  fullName: string,
  key: string,
): T | undefined =>
  tables.find(({ definition, methods }) => definition.fullName === fullName && methods[key])?.methods[key];

/** What all methods of a listener share. */
interface Serving {
  callerOf: (call: AnyCall) => Promise<Caller>;
  gate: Gate;
  connections: Connections;
  streams: Streams;
  /** Whether the listener is on loopback. */
  onLoopback: boolean;
}

/** Chooses what answers a method; one without an answer stops the start, so that nothing is UNIMPLEMENTED. */
function handlerOf(
  definition: ServiceDefinition,
  key: string,
  method: MethodDefinition,
  { callerOf, gate, connections, streams, onLoopback }: Serving,
): unknown {
  const { fullName } = definition;
  const isOperators = fullName === OperatorServiceDefinition.fullName;
  const type = `${fullName.slice(0, fullName.lastIndexOf('.'))}.${method.name}Request`;
  const decode = (bytes: Buffer): any => {
    let request: unknown;
    try {
      request = method.requestType.decode(bytes);
    } catch (cause) {
      throw new GatewayError('wire.unreadable', 'These bytes are no message of this type.', { cause });
    }
    return request;
  };
  /** Notes what was refused to who called, or to somebody who is not known, unless that was done where it was refused. */
  const refused = (caller: Caller | undefined, thrown: unknown): void => {
    const error = asGatewayError(thrown);
    // What the operator does is noted with how it ended.
    if (noRefusal.has(error.fault) || gate.notes.has(error) || (caller?.kind === 'operator' && isOperators)) return;
    gate.door.audit.note({
      kind: AuditKind.AUDIT_KIND_REFUSED,
      partyOin: caller?.oin ?? '',
      actedBy: caller?.actor ?? '',
      method: `${definition.name}/${method.name}`,
      code: error.fault,
    });
  };
  const unary =
    (
      answer: (request: any, caller: Caller, traceparent: string) => Promise<unknown>,
    ): handleUnaryCall<Buffer, unknown> =>
    (call, callback) => {
      const gone = new Gone();
      let caller: Caller | undefined;
      let isAnswered = false;
      const say: typeof callback = (error, message, trailer) => {
        if (isAnswered) return;
        isAnswered = true;
        clearTimeout(cut);
        callback(error, message, trailer);
      };
      const cut = setTimeout(() => {
        say(statusOf(tooLate()));
        gone.leave();
      }, limits.deadline.at).unref();
      call.once('cancelled', () => {
        clearTimeout(cut);
        gone.leave();
      });
      const run = async () => {
        // Who calls comes first: nothing is decoded for somebody unknown.
        const known = await callerOf(call);
        caller = known;
        const work = () => {
          stopIfLate();
          return answer(decode(call.request), known, header(call.metadata, 'traceparent') ?? '');
        };
        return known.kind === 'operator' ? work() : gate.turns.call(whoCalls(known), work);
      };
      within(waitOf(call.getDeadline()), run, gone).then(
        (message) => say(null, message, headFor(gate, caller)),
        (thrown) => {
          refused(caller, thrown);
          say(statusOf(thrown));
        },
      );
    };
  /** Notes a stream that stays open: it ends when its credential, its connection or the gateway does. */
  const kept = (call: AnyCall, caller: Caller): AbortSignal =>
    streams.add(call, caller, () => callerOf(call), [gate.door.closing, connections.leaving(call.getPeer())]);
  const scope = scopeOf(fullName);
  const party = (caller: Caller): Caller => {
    if (caller.kind !== 'party') throw new GatewayError('party.forbidden', 'The operator uses eduk.operator.v1.');
    requireScope(caller, scope);
    return caller;
  };
  const write = find(writes, fullName, key);
  if (write)
    return unary(async (request, caller, traceparent) => serveWrite(write, request, party(caller), gate, traceparent));
  const read = find(reads, fullName, key);
  if (read)
    return unary(async (request, caller) => {
      checkGrammar(type, request);
      // Its answers are this copy; they hold what the caller did through another door.
      if (fullName === PartyServiceDefinition.fullName) await gate.door.chain.refresh();
      requireOwnName(party(caller), scope, key);
      // What may be read in somebody's name is about a message that was sent so.
      const asked = caller.actor === undefined ? withinSchool(request, caller, scope, key) : request;
      return gate.door.chain.afresh(() => read(asked, caller, gate));
    });
  const intake = find(bulks, fullName, key);
  if (intake)
    return ((call) => {
      let caller: Caller | undefined;
      callerOf(call)
        .then((known) => {
          caller = known;
          if (call.cancelled) return;
          giveHead(call, gate, known);
          serveBulk(call as never, intake, party(known), gate, kept(call, known));
        })
        .catch((thrown) => {
          refused(caller, thrown);
          call.emit('error', statusOf(thrown));
        });
    }) satisfies handleBidiStreamingCall<Buffer, unknown>;
  const mailbox = find(watches, fullName, key);
  const flow = watchFlow.definition.fullName === fullName && watchFlow.key === key;
  if (mailbox || flow)
    return ((call) => {
      let caller: Caller | undefined;
      const run = async () => {
        caller = await callerOf(call);
        const known = party(caller);
        requireOwnName(known, scope, key);
        const request = decode(call.request);
        checkGrammar(type, request);
        giveHead(call, gate, known);
        const over = kept(call, known);
        await (mailbox
          ? serveWatch(call, mailbox, request, known, gate, over)
          : serveWatchFlow(call, request, known, gate, over));
        call.end();
      };
      run().catch((thrown) => {
        refused(caller, thrown);
        call.emit('error', statusOf(thrown));
      });
    }) satisfies handleServerStreamingCall<Buffer, unknown>;
  if (isOperators) {
    const operator = (caller: Caller, request = {}): Caller => {
      if (caller.kind !== 'operator') throw new GatewayError('party.forbidden', 'Only the operator may do this.');
      requireDuty(caller, key, request);
      return caller;
    };
    const answer = operatorUnary[key];
    if (answer)
      return unary(async (request, caller) => {
        operator(caller, request);
        requireLoopback(key, request, onLoopback);
        return operated(gate, method.name, request?.schoolOin, caller, async () => {
          checkGrammar(type, request);
          const { chain } = gate.door;
          await chain.refreshBeside();
          requireEnding(caller, key, request, () => {
            const one = chain.mandate(request.mandateId);
            return one ? [one] : chain.partsOf(request.mandateId);
          });
          return asSeenBy(caller, key, await answer(request, gate, caller));
        });
      });
    const watch = operatorWatches[key];
    if (watch)
      return ((call) => {
        let caller: Caller | undefined;
        const run = async () => {
          caller = await callerOf(call);
          operator(caller);
          const request = decode(call.request);
          checkGrammar(type, request);
          const over = kept(call, caller);
          await operated(gate, method.name, '', caller, () => watch(call, request, gate, over));
          call.end();
        };
        run().catch((thrown) => {
          refused(caller, thrown);
          call.emit('error', statusOf(thrown));
        });
      }) satisfies handleServerStreamingCall<Buffer, unknown>;
    const stream = operatorStreams[key];
    if (stream)
      return ((call: ServerReadableStream<Buffer, unknown>, callback: (error: unknown, message?: unknown) => void) => {
        let caller: Caller | undefined;
        const run = async () => {
          caller = await callerOf(call);
          operator(caller);
          return operated(gate, method.name, '', caller, async () => {
            await gate.door.chain.refresh();
            return stream(requests(call, decode), gate);
          });
        };
        run().then(
          (message) => callback(null, message),
          (thrown) => {
            refused(caller, thrown);
            call.resume(); // What still comes is read and dropped, so that the answer arrives.
            callback(statusOf(thrown));
          },
        );
      }) as unknown;
  }
  throw new Error(`${fullName}/${method.name} has no answer`);
}

/** What an operator is told as it goes on. */
const operatorWatches: Readonly<
  Record<
    string,
    (call: ServerWritableStream<Buffer, unknown>, request: any, gate: Gate, over: AbortSignal) => Promise<void>
  >
> = { watchReplay, rebuildFlows };

/** In which metadata a party gets a head of the log of what was done. */
const HEAD = 'eduk-log-head-bin';

/** A head that this party has not got yet, to go with its answer. */
function headFor(gate: Gate, caller: Caller | undefined): Metadata | undefined {
  const head = caller?.kind === 'party' ? gate.heads.newFor(whoCalls(caller)) : undefined;
  if (head === undefined) return undefined;
  const metadata = new Metadata();
  metadata.set(HEAD, head);
  return metadata;
}

/** The same at the beginning of a stream. */
function giveHead(call: { sendMetadata(metadata: Metadata): void }, gate: Gate, caller: Caller): void {
  const metadata = headFor(gate, caller);
  if (metadata) call.sendMetadata(metadata);
}

/** What says nothing of who called: the call took too long or was left, or the gateway stops. */
const noRefusal: ReadonlySet<string> = new Set(['gateway.late', 'gateway.stopping']);

/** What a looking operator does not do. */
const looks: ReadonlySet<string> = new Set([
  'Status',
  'ReadAuditLog',
  'ListReplays',
  'WatchReplay',
  'ListFreezes',
  'ListHoldRules',
]);
/** What says itself what was done, and by which persons, before it answers; here only that it was refused. */
const sayThemselves: ReadonlySet<string> = new Set(['AskReveal', 'DecideReveal', 'FetchReveal']);

/** Notes what the operator did, or who has a link of the operator's, and whether it was refused. */
async function operated<T>(
  gate: Gate,
  method: string,
  school: unknown,
  { link }: Caller,
  answer: () => Promise<T>,
): Promise<T> {
  if (looks.has(method)) return answer();
  const { audit } = gate.door;
  const note = (code: string): void => {
    const done = {
      kind: AuditKind.AUDIT_KIND_OPERATOR,
      partyOin: operatorCaller.oin,
      schoolOin: typeof school === 'string' && /^\d{20}$/.test(school) ? school : '',
      method: `OperatorService/${method}`,
      code,
      ...(link ? { actedBy: `link:${link.id}` } : {}),
    };
    if (code === '' && isRead(method)) audit.read(done);
    else audit.note(done);
  };
  try {
    const given = await answer();
    if (!sayThemselves.has(method)) note('');
    return given;
  } catch (thrown) {
    note(asGatewayError(thrown).fault);
    throw thrown;
  }
}

async function* requests(
  call: ServerReadableStream<Buffer, unknown>,
  decode: (bytes: Buffer) => unknown,
): AsyncGenerator<unknown> {
  for await (const bytes of call) yield decode(bytes as Buffer);
}
