import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RetryInfo } from 'nice-grpc-error-details';
import { asGatewayError, describeError, faults, log } from '#kernel';

/** The gateway's faults in gRPC's words: a status with ErrorInfo, BadRequest and RetryInfo (google.rpc.error_details). */

const DOMAIN = 'eduk';

function any(type: string, value: Uint8Array): Uint8Array {
  return new BinaryWriter()
    .uint32(10)
    .string(`type.googleapis.com/google.rpc.${type}`)
    .uint32(18)
    .bytes(value)
    .finish();
}

export function statusOf(thrown: unknown): StatusObject & Partial<ServiceError> {
  const error = asGatewayError(thrown);
  const row = faults[error.fault];
  if (error.fault === 'gateway.bug' || error.fault === 'gateway.clear_data')
    log('error', 'door_bug', describeError(error));
  const details = [
    any(
      'ErrorInfo',
      ErrorInfo.encode(
        ErrorInfo.fromPartial({
          reason: error.fault,
          domain: DOMAIN,
          metadata: { who: row.who, retry: row.retry, nl: row.nl },
        }),
      ).finish(),
    ),
  ];
  if (error.where.length > 0)
    details.push(
      any(
        'BadRequest',
        BadRequest.encode(
          BadRequest.fromPartial({
            fieldViolations: error.where
              .slice(0, 50)
              .map((where) => ({ field: where.path, description: where.line ? `line ${where.line}` : error.fault })),
          }),
        ).finish(),
      ),
    );
  if (error.retryAfterS !== undefined)
    details.push(
      any(
        'RetryInfo',
        RetryInfo.encode(RetryInfo.fromPartial({ retryDelay: { seconds: error.retryAfterS, nanos: 0 } })).finish(),
      ),
    );
  const code = status[row.grpc];
  const message = `${error.fault}: ${error.told}`;
  // google.rpc.Status: code, message, details.
  const writer = new BinaryWriter().uint32(8).int32(code).uint32(18).string(message);
  for (const detail of details) writer.uint32(26).bytes(detail);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(writer.finish()));
  metadata.set('eduk-fault', error.fault);
  return { code, details: message, metadata };
}
