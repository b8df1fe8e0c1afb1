/** Calls and answers of a port in the frames of `eduk.inner.v1.InnerService`, and the one method that carries them. */
import type { ServiceDefinition as GrpcDefinition } from '@grpc/grpc-js';
import { ExchangeRequest, ExchangeResponse, InnerServiceDefinition } from '#proto/eduk/inner/v1/inner';
import { decodedWith, type Encoder, encoded } from '../codec.ts';
import type { Answer, Call } from '../rpc.ts';

const { fullName, methods } = InnerServiceDefinition;

/** The form that @grpc/grpc-js serves and calls. */
export const exchange = {
  exchange: {
    path: `/${fullName}/${methods.exchange.name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (frame: ExchangeRequest) => toBuffer(ExchangeRequest, frame),
    requestDeserialize: (bytes: Buffer) => decodedWith(ExchangeRequest, bytes),
    responseSerialize: (frame: ExchangeResponse) => toBuffer(ExchangeResponse, frame),
    responseDeserialize: (bytes: Buffer) => decodedWith(ExchangeResponse, bytes),
  },
} as const satisfies GrpcDefinition;

function toBuffer<T>(codec: Encoder<T>, frame: T): Buffer {
  const bytes = encoded(codec, frame);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Largest frame, bytes. What the doors take in is far smaller; an answer may be a whole page of a roster. */
export const LARGEST_FRAME = 64 << 20;
/** A frame is closed once it holds so much, so that a long one does not stand before others. */
const FULL_FRAME = 1 << 20;

/** Parts a turn's calls or answers into frames, in their order. */
function* parted<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
): Generator<{ items: readonly T[]; size: number }> {
  let from = 0;
  let size = 0;
  for (const [i, item] of items.entries()) {
    const more = sizeOf(item);
    if (size > 0 && size + more > FULL_FRAME) {
      yield { items: items.slice(from, i), size };
      [from, size] = [i, 0];
    }
    size += more;
  }
  if (from < items.length) yield { items: from === 0 ? items : items.slice(from), size };
}

/** Bytes that a call or an answer has besides its message, about. */
const AROUND = 64;
const sizeOf = ({ bytes }: { bytes?: Uint8Array }): number => AROUND + (bytes?.length ?? 0);

export function* callFrames(calls: readonly Call[]): Generator<{ frame: ExchangeRequest; size: number }> {
  for (const { items, size } of parted(calls, sizeOf))
    yield {
      frame: {
        calls: items.map(({ id, service, method, bytes, timeoutMs }) => ({
          id,
          service,
          method,
          request: bytes as Buffer,
          // Rounded up: 0 means that nothing was said.
          timeoutMs: timeoutMs === undefined ? 0 : Math.max(1, Math.ceil(timeoutMs)),
        })),
        cancels: [],
      },
      size,
    };
}

export const callsIn = ({ calls }: ExchangeRequest): Call[] =>
  calls.map(({ id, service, method, request, timeoutMs }) => ({
    id,
    service,
    method,
    bytes: request,
    timeoutMs: timeoutMs === 0 ? undefined : timeoutMs,
  }));

const nothing = Buffer.alloc(0);

export function* answerFrames(answers: readonly Answer[]): Generator<{ frame: ExchangeResponse; size: number }> {
  for (const { items, size } of parted(answers, sizeOf))
    yield {
      frame: {
        answers: items.map(({ id, bytes, error }) => ({
          id,
          response: (bytes as Buffer | undefined) ?? nothing,
          failure: error && {
            fault: error.fault,
            told: error.told,
            where: error.where.map(({ path, line }) => ({ path, line: line ?? 0 })),
            retryAfterS: error.retryAfterS,
          },
        })),
        serves: [],
        leaving: false,
      },
      size,
    };
}

export const answersIn = ({ answers }: ExchangeResponse): Answer[] =>
  answers.map(({ id, response, failure }) =>
    failure
      ? {
          id,
          error: {
            fault: failure.fault,
            told: failure.told,
            where: failure.where.map(({ path, line }) => (line ? { path, line } : { path })),
            retryAfterS: failure.retryAfterS,
          },
        }
      : { id, bytes: response },
  );
