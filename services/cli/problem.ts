/** What goes wrong in a command: a code from the table of faults, words, who must act, and how the process ends. */
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type ServiceError, status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo } from 'nice-grpc-error-details';
import { ConfigError, type Fault, faults, GatewayError, isFault, type Where, type Who } from '#kernel';
import type { Decision } from '#proto/eduk/core/v1/receipt';

/** 0 fine, 1 refused or a negative answer, 2 wrong use. */
export type Exit = 0 | 1 | 2;

export class Problem extends Error {
  readonly code: Fault;
  readonly who: Who;
  readonly exit: Exit;
  readonly where: readonly Where[];

  constructor(code: Fault, message: string, more: { who?: Who; exit?: Exit; where?: readonly Where[] } = {}) {
    super(message);
    this.name = 'Problem';
    this.code = code;
    this.who = more.who ?? faults[code].who;
    this.exit = more.exit ?? 1;
    this.where = more.where ?? [];
  }
}

/** Wrong use of the command line. */
export const misuse = (message: string): Problem => new Problem('wire.invalid', message, { exit: 2 });

/**
 * With `--json`, what stands under `error`. `where` holds paths into the sender's message, never a value; `typed` is the flag or argument
 * that a path is of.
 */
export interface ErrorJson {
  code: string;
  message: string;
  who: string;
  where?: { path: string; line?: number; typed?: string }[];
}

export const errorJson = (
  { code, message, who, where }: Problem,
  named: (path: string) => string | undefined = () => undefined,
): ErrorJson => ({
  code,
  message,
  who,
  ...(where.length > 0
    ? {
        where: where.map(({ path, line }) => {
          const typed = line ? undefined : named(path);
          return { path, ...(line ? { line } : {}), ...(typed ? { typed } : {}) };
        }),
      }
    : {}),
});

/** The refusal in a decision, in its own words; undefined when it was no refusal. */
export function refusalIn(decision: Decision | undefined): Problem | undefined {
  if (!decision?.code) return undefined;
  const code = isFault(decision.code) ? decision.code : 'gateway.bug';
  return new Problem(code, decision.told || faults[code].en);
}

/** Anything thrown, as a `Problem`. Unknown errors show their class only: their text may hold a value. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  if (thrown instanceof ConfigError) return new Problem('wire.invalid', thrown.problems.join('\n'), { exit: 2 });
  if (thrown instanceof GatewayError) return new Problem(thrown.fault, thrown.told, { where: thrown.where });
  if (isServiceError(thrown)) return fromStatus(thrown);
  // A store that fails says why in its cause: a database that does not answer is no error of ours.
  if (thrown instanceof Error && thrown.cause instanceof GatewayError) return asProblem(thrown.cause);
  const kind = thrown instanceof Error ? ((thrown as NodeJS.ErrnoException).code ?? thrown.name) : typeof thrown;
  return new Problem('gateway.bug', `eduk made an error (${kind}).`);
}

const isServiceError = (thrown: unknown): thrown is ServiceError =>
  thrown instanceof Error && typeof (thrown as ServiceError).code === 'number' && 'details' in thrown;

/** Reads the status details that the gateway sends: google.rpc.Status with ErrorInfo and BadRequest. */
function fromStatus(error: ServiceError): Problem {
  const said = error.metadata?.get('eduk-fault')[0]?.toString() ?? '';
  const details = readDetails(error.metadata?.get('grpc-status-details-bin')[0]);
  const code = details.code ?? said;
  if (!isFault(code)) return withoutFault(error);
  const message = error.details.startsWith(`${code}: `) ? error.details.slice(code.length + 2) : error.details;
  return new Problem(code, message || faults[code].en, { who: details.who, where: details.where });
}

function withoutFault(error: ServiceError): Problem {
  if (error.code === status.UNAVAILABLE)
    return new Problem('peer.unavailable', 'The connection with the gateway broke.', { who: 'us' });
  if (error.code === status.DEADLINE_EXCEEDED)
    return new Problem('peer.unknown_outcome', 'The gateway did not answer in time; it may have done what was asked.', {
      who: 'us',
    });
  if (error.code === status.UNIMPLEMENTED)
    return new Problem('wire.version', 'The gateway that answers is of another version than this command.', {
      who: 'us',
    });
  return new Problem('gateway.bug', `The gateway answered without a code (gRPC status ${error.code}).`);
}

interface Details {
  code?: string;
  who?: Who;
  where: Where[];
}

function readDetails(trailer: string | Buffer | undefined): Details {
  const found: Details = { where: [] };
  if (!Buffer.isBuffer(trailer)) return found;
  try {
    for (const { type, value } of anys(trailer)) {
      if (type.endsWith('/google.rpc.ErrorInfo')) {
        const { reason, metadata } = ErrorInfo.decode(value);
        found.code = reason;
        const who = metadata['who'];
        if (isWho(who)) found.who = who;
      } else if (type.endsWith('/google.rpc.BadRequest'))
        for (const { field, description } of BadRequest.decode(value).fieldViolations) {
          const line = Number(/^line (\d+)$/.exec(description)?.[1] ?? 0);
          found.where.push(line > 0 ? { path: field, line } : { path: field });
        }
    }
  } catch {
    // Details that cannot be read leave the trailer `eduk-fault`, which says enough.
  }
  return found;
}

const isWho = (text: string | undefined): text is Who =>
  text !== undefined && ['sender', 'receiver', 'school', 'peer', 'us'].includes(text);

/** google.rpc.Status: int32 code = 1, string message = 2, repeated Any details = 3 {type_url = 1, value = 2}. */
function* anys(bytes: Uint8Array): Generator<{ type: string; value: Uint8Array }> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field !== 3) {
      reader.skip(wire);
      continue;
    }
    const inner = new BinaryReader(reader.bytes());
    let type = '';
    let value: Uint8Array = new Uint8Array(0);
    while (inner.pos < inner.len) {
      const [part, kind] = inner.tag();
      if (part === 1) type = inner.string();
      else if (part === 2) value = inner.bytes();
      else inner.skip(kind);
    }
    yield { type, value };
  }
}
