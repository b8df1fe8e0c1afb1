/** For tests: a command line run in this process, and an operator's surface that answers as the test says. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js';
import { BadRequest, ErrorInfo } from 'nice-grpc-error-details';
import type { Fault, MethodDefinition } from '#kernel';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { eduk } from './main.ts';
import type { Exit } from './problem.ts';

export const NOW = Date.UTC(2026, 10, 22, 7, 30);

export interface Ran {
  exit: Exit;
  out: string;
  err: string;
  /** The one JSON value on standard output. */
  json: any;
}

/** Runs words split at spaces; `text` is standard input, of a person who types it where `types`. */
export async function run(
  line: string | readonly string[],
  env: Record<string, string | undefined>,
  text: string | Uint8Array = '',
  isTerminal = false,
  types = false,
): Promise<Ran> {
  let [out, err] = ['', ''];
  let looks = 0;
  const exit = await eduk(typeof line === 'string' ? line.split(' ') : line, {
    env,
    stdin: Object.assign(Readable.from([Buffer.from(text as Uint8Array)]), { isTTY: types }),
    out: (said) => {
      out += said;
    },
    err: (said) => {
      err += said;
    },
    // On a terminal time passes whenever somebody looks: bars are drawn only of what takes a while.
    now: () => (isTerminal ? NOW + 500 * looks++ : NOW),
    isTerminal,
    screen: isTerminal ? { columns: () => 100 } : undefined,
  });
  return {
    exit,
    out,
    err,
    get json() {
      return JSON.parse(out);
    },
  };
}

/** A refusal as the door sends it. */
export class Refusal {
  readonly fault: Fault;
  readonly told: string;
  readonly where: readonly { path: string; line?: number }[];
  readonly trailerOnly: boolean;
  constructor(fault: Fault, told: string, where: readonly { path: string; line?: number }[] = [], trailerOnly = false) {
    this.fault = fault;
    this.told = told;
    this.where = where;
    this.trailerOnly = trailerOnly;
  }
}

type Answer = (request: any, token: string | undefined) => unknown;

/** Serves what `answers` holds, on a free port, beside a data folder that names it. */
export async function fakeGateway(answers: Record<string, Answer>) {
  const data = mkdtempSync(join(tmpdir(), 'eduk-cli-'));
  const server = new Server();
  const table = Object.entries(OperatorServiceDefinition.methods as Record<string, MethodDefinition>);
  const definition = Object.fromEntries(
    table.map(([key, method]) => [
      key,
      {
        path: `/${OperatorServiceDefinition.fullName}/${method.name}`,
        requestStream: method.requestStream,
        responseStream: false,
        requestSerialize: (message: unknown) => Buffer.from(method.requestType.encode(message).finish()),
        requestDeserialize: (bytes: Buffer) => method.requestType.decode(bytes),
        responseSerialize: (message: any) =>
          Buffer.from(method.responseType.encode((method.responseType as any).fromPartial(message)).finish()),
        responseDeserialize: (bytes: Buffer) => method.responseType.decode(bytes),
      },
    ]),
  );
  const implementation = Object.fromEntries(
    table.map(([key, method]) => {
      const answer = (request: unknown, metadata: Metadata, callback: (error: unknown, message?: unknown) => void) => {
        const run = async () =>
          (answers[key] ?? (() => new Refusal('gateway.bug', 'not answered by this test')))(
            request,
            metadata.get('authorization')[0]?.toString(),
          );
        void run().then((said) => (said instanceof Refusal ? callback(statusOf(said)) : callback(null, said)));
      };
      const streamed = async (
        call: ServerReadableStream<any, any>,
        callback: (error: unknown, message?: unknown) => void,
      ) => {
        const parts: any[] = [];
        for await (const part of call) parts.push(part);
        answer(parts, call.metadata, callback);
      };
      return [
        key,
        method.requestStream
          ? streamed
          : (call: ServerUnaryCall<any, any>, callback: any) => answer(call.request, call.metadata, callback),
      ];
    }),
  );
  server.addService(definition, implementation as never);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const grpc = `127.0.0.1:${port}`;
  writeFileSync(
    join(data, 'addresses.json'),
    JSON.stringify({ grpc, http: '127.0.0.1:8080', console: '127.0.0.1:8081' }),
  );
  writeFileSync(join(data, 'operator.key'), 'eduk_operator_0123456789abcdef0123456789abcdef\n', { mode: 0o600 });
  return {
    grpc,
    data,
    env: { EDUK_DATA: data },
    /** From now on nobody answers, as after a kill. */
    kill: () => server.forceShutdown(),
    stop: () => {
      server.forceShutdown();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

function statusOf({ fault, told, where, trailerOnly }: Refusal) {
  const metadata = new Metadata();
  metadata.set('eduk-fault', fault);
  const any = (type: string, value: Uint8Array) =>
    new BinaryWriter().uint32(10).string(`type.googleapis.com/google.rpc.${type}`).uint32(18).bytes(value).finish();
  const writer = new BinaryWriter().uint32(8).int32(status.FAILED_PRECONDITION).uint32(18).string(told);
  const details = [
    any(
      'ErrorInfo',
      ErrorInfo.encode(ErrorInfo.fromPartial({ reason: fault, domain: 'eduk', metadata: { who: 'school' } })).finish(),
    ),
    any(
      'BadRequest',
      BadRequest.encode(
        BadRequest.fromPartial({
          fieldViolations: where.map(({ path, line }) => ({ field: path, description: line ? `line ${line}` : fault })),
        }),
      ).finish(),
    ),
  ];
  for (const detail of details) writer.uint32(26).bytes(detail);
  if (!trailerOnly) metadata.set('grpc-status-details-bin', Buffer.from(writer.finish()));
  return {
    code: fault === 'party.unknown' ? status.UNAUTHENTICATED : status.FAILED_PRECONDITION,
    details: `${fault}: ${told}`,
    metadata,
  };
}
