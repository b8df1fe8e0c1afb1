/** What can be called at the doors, read from the contracts and the registry: what is new is here without being named. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '#kernel';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { publicServices } from '../../services/edge/grpc/services.ts';
import type { Codec, Message, Operation } from './sowing.ts';

const root = join(import.meta.dirname, '../..');
const bodies = join(root, 'docs/grpc');

const definitions: readonly ServiceDefinition[] = [...publicServices, OperatorServiceDefinition];

/** Every method of every service at the gRPC door that is known here. */
export const operations: readonly Operation[] = definitions.flatMap((definition) =>
  Object.values(definition.methods as Record<string, MethodDefinition>).map((method) => ({
    name: `${definition.name}.${method.name}`,
    path: `/${definition.fullName}/${method.name}`,
    method,
    type: `${definition.fullName.slice(0, definition.fullName.lastIndexOf('.'))}.${method.name}Request`,
    codec: method.requestType as unknown as Codec,
  })),
);

export const operation = (name: string): Operation => operations.find((one) => one.name === name)!;

/** What only asks: public words in it go nowhere. */
export const asks = ({ name }: Operation): boolean => /\.(Get|List|Watch|Search|Why|Show|Status|Preview)/.test(name);

/** Answers that tell a party of a person whom it may know, or give it a secret. The operator may know nobody. */
export const tells = (op: Operation): boolean =>
  op.path.startsWith('/eduk.gateway.') && (asks(op) || /\.(RedeemLaunch|CreateLaunch)$/.test(op.name));

/** Full names of services and one method of each, in all contracts: also of those that only roles call. */
export function contracted(): { service: string; method: string }[] {
  const found: { service: string; method: string }[] = [];
  for (const file of readdirSync(join(root, 'proto/eduk'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.proto')) continue;
    const text = readFileSync(join(root, 'proto/eduk', file), 'utf8');
    const name = /^package ([\w.]+);/m.exec(text)?.[1];
    for (const [, service, body] of text.matchAll(/^service (\w+) \{(.*?)^\}/gms)) {
      const method = /^\s*rpc (\w+)/m.exec(body!)?.[1];
      if (method) found.push({ service: `${name}.${service}`, method });
    }
  }
  return found;
}

export const isKnown = (service: string): boolean => definitions.some(({ fullName }) => fullName === service);

/** Paths that the HTTP doors answer, from their own sources. */
export function httpPaths(): string[] {
  const sources = ['services/edge/http/server.ts', 'services/kernel/health.ts'].map((file) =>
    readFileSync(join(root, file), 'utf8'),
  );
  const named = sources.flatMap((text) => [...text.matchAll(/case '(\/[^']*)'/g)].map(([, path]) => path!));
  return [...new Set([...named, '/edexml/openapi.json', '/'])];
}

export interface Body {
  operation: Operation;
  /** As in docs/grpc/seed.ts. */
  caller: string;
  messages(): Message[];
}

/** A working body of each public method, in an order that works. */
export function workingBodies(): Body[] {
  const list = JSON.parse(readFileSync(join(bodies, 'bodies.json'), 'utf8')) as { method: string; caller: string }[];
  return list.map(({ method, caller }) => ({
    operation: operation(method),
    caller,
    messages: () =>
      readFileSync(join(bodies, `${method}.json`), 'utf8')
        // One JSON value after the other, as grpcurl reads them.
        .split(/(?<=^\}\s*)$/m)
        .filter((text) => text.trim() !== '')
        .map((text) => operation(method).codec.fromJSON(JSON.parse(text))),
  }));
}
