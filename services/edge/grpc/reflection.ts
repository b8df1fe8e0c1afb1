import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { publicServices } from './server.ts';

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
    const files = image.file.map((file) => Buffer.from(toBinary(FileDescriptorProtoSchema, file)));
    const services = publicServices.map(({ fullName }) => fullName);
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
