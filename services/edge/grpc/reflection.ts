import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label as FieldLabel,
  FieldDescriptorProto_Type as FieldType,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_duration,
} from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, service as healthService } from 'grpc-health-check';
import { publicServices } from './services.ts';

const HEALTH = 'grpc.health.v1.Health';

/** Health (grpc.health.v1) always; reflection, from the image that `buf build` writes, on loopback only. */
export async function addReflection(server: Server, onLoopback: boolean): Promise<{ leave(): void }> {
  const health = new HealthImplementation({ '': 'SERVING' });
  for (const { fullName } of publicServices) health.setStatus(fullName, 'SERVING');
  health.addToServer(server as never);
  if (onLoopback) {
    const image = fromBinary(
      FileDescriptorSetSchema,
      readFileSync(join(import.meta.dirname, '../../../proto/gen/image.binpb')),
    );
    const bytes = (file: FileDescriptorProto) => Buffer.from(toBinary(FileDescriptorProtoSchema, file));
    const files = [
      ...image.file.map(bytes),
      bytes(healthFile()),
      ...(image.file.some(({ name }) => name === file_google_protobuf_duration.proto.name)
        ? []
        : [bytes(file_google_protobuf_duration.proto)]),
      bytes(errorDetails()),
    ];
    const services = [...publicServices.map(({ fullName }) => fullName), HEALTH];
    new ReflectionService({ image: { fileDescriptorProtos: files } } as never, { services }).addToServer(
      server as never,
    );
  }
  return {
    leave: () => {
      health.setStatus('', 'NOT_SERVING');
      for (const { fullName } of publicServices) health.setStatus(fullName, 'NOT_SERVING');
    },
  };
}

/** As its package describes it, but for the name of a map's entry, which the language fixes and that description does not keep. */
function healthFile(): FileDescriptorProto {
  const { requestType } = healthService['Check'] as unknown as { requestType: { fileDescriptorProtos: Buffer[] } };
  const file = fromBinary(FileDescriptorProtoSchema, requestType.fileDescriptorProtos[0]!);
  for (const message of file.messageType)
    for (const entry of message.nestedType.filter(({ options }) => options?.mapEntry)) {
      const field = message.field.find(({ typeName }) => typeName.split('.').at(-1) === entry.name)!;
      entry.name = `${field.name[0]!.toUpperCase()}${field.name.slice(1)}Entry`;
      field.typeName = `.${file.package}.${message.name}.${entry.name}`;
    }
  return file;
}

/**
 * The messages of google/rpc/error_details.proto that refusals carry, so that a client which asks reflection for them
 * can print a refusal in words. Numbers and names are those of googleapis.
 */
function errorDetails(): FileDescriptorProto {
  const text = { type: FieldType.STRING, label: FieldLabel.OPTIONAL };
  const nested = (typeName: string, label: FieldLabel) => ({ type: FieldType.MESSAGE, typeName, label });
  return create(FileDescriptorProtoSchema, {
    name: 'google/rpc/error_details.proto',
    package: 'google.rpc',
    syntax: 'proto3',
    dependency: [file_google_protobuf_duration.proto.name],
    messageType: [
      {
        name: 'ErrorInfo',
        field: [
          { ...text, name: 'reason', number: 1 },
          { ...text, name: 'domain', number: 2 },
          { ...nested('.google.rpc.ErrorInfo.MetadataEntry', FieldLabel.REPEATED), name: 'metadata', number: 3 },
        ],
        nestedType: [
          {
            name: 'MetadataEntry',
            options: { mapEntry: true },
            field: [
              { ...text, name: 'key', number: 1 },
              { ...text, name: 'value', number: 2 },
            ],
          },
        ],
      },
      {
        name: 'RetryInfo',
        field: [{ ...nested('.google.protobuf.Duration', FieldLabel.OPTIONAL), name: 'retry_delay', number: 1 }],
      },
      {
        name: 'BadRequest',
        field: [
          {
            ...nested('.google.rpc.BadRequest.FieldViolation', FieldLabel.REPEATED),
            name: 'field_violations',
            number: 1,
          },
        ],
        nestedType: [
          {
            name: 'FieldViolation',
            field: [
              { ...text, name: 'field', number: 1 },
              { ...text, name: 'description', number: 2 },
            ],
          },
        ],
      },
    ],
  });
}
