import type { ServiceDefinition as GrpcDefinition } from '@grpc/grpc-js';
import type { ServiceDefinition } from '#kernel';

/** A definition as ts-proto writes it, in the form that @grpc/grpc-js serves (and calls: a client never deserialises requests). */
export function grpcDefinition(definition: ServiceDefinition): GrpcDefinition {
  return Object.fromEntries(
    Object.entries(definition.methods).map(([key, method]) => [
      key,
      {
        path: `/${definition.fullName}/${method.name}`,
        requestStream: method.requestStream,
        responseStream: method.responseStream,
        requestSerialize: (message: unknown) => Buffer.from(method.requestType.encode(message).finish()),
        // The server gets bytes: it must know their number, and say in its own words when they cannot be decoded.
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (message: unknown) => toBuffer(method.responseType.encode(message).finish()),
        responseDeserialize: (bytes: Buffer) => method.responseType.decode(bytes),
      },
    ]),
  );
}

const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
