import { BinaryReader } from '@bufbuild/protobuf/wire';
import { RetryInfo } from 'nice-grpc-error-details';
import { describe, expect, test } from 'vitest';
import { type Fault, faults, GatewayError } from '#kernel';
import { sendProblem } from '../http/exchange.ts';
import { statusOf } from './status.ts';

/** Values of a length-delimited field. */
function fieldsIn(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === wanted && type === 2) found.push(reader.bytes());
    else reader.skip(type);
  }
  return found;
}

/** Seconds of the RetryInfo in the details of google.rpc.Status; undefined = none. */
function retryOf(thrown: GatewayError): number | undefined {
  const [details] = statusOf(thrown).metadata!.get('grpc-status-details-bin') as Buffer[];
  for (const any of fieldsIn(details!, 3))
    if (Buffer.from(fieldsIn(any, 1)[0]!).toString() === 'type.googleapis.com/google.rpc.RetryInfo')
      return RetryInfo.decode(fieldsIn(any, 2)[0]!).retryDelay!.seconds;
  return undefined;
}

/** What a response over HTTP says of when to come back. */
function retryAfterOf(thrown: GatewayError): string | undefined {
  let headers: Record<string, string> = {};
  const response = {
    req: { complete: true, headers: {} },
    writeHead: (_status: number, given: Record<string, string>) => {
      headers = given;
    },
    end: () => undefined,
  };
  sendProblem(response as never, thrown);
  return headers['retry-after'];
}

describe('when to come back', () => {
  const ours = (Object.keys(faults) as Fault[]).filter(
    (fault) => faults[fault].who === 'us' && faults[fault].retry === 'backoff',
  );

  test('is said wherever the gateway itself is why, over gRPC and HTTP', () => {
    expect(ours.length).toBeGreaterThan(4);
    for (const fault of ours) {
      const error = new GatewayError(fault);
      expect([fault, retryOf(error)]).toEqual([fault, expect.any(Number)]);
      expect(retryOf(error)).toBeGreaterThan(0);
      expect(retryAfterOf(error)).toBe(String(retryOf(error)));
    }
  });

  test('is what whoever refused knows, where he knows better', () => {
    const error = new GatewayError('gateway.overloaded', undefined, { retryAfterS: 17 });
    expect([retryOf(error), retryAfterOf(error)]).toEqual([17, '17']);
  });

  test('is not said where a repeat does not help', () => {
    expect([retryOf(new GatewayError('wire.invalid')), retryAfterOf(new GatewayError('wire.invalid'))]).toEqual([
      undefined,
      undefined,
    ]);
  });
});
