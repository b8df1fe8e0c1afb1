/** What a refusal tells, read the same way from each door: gRPC status details, problem+json and a SOAP fault. */
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { BadRequest, ErrorInfo } from 'nice-grpc-error-details';
import { expect } from 'vitest';
import { type Fault as Code, faults } from '#kernel';
import { Fault } from './gateway.ts';

export interface Told {
  code: string;
  who: string;
  where: string[];
  /** HTTP status, or 0. */
  status: number;
  /** The whole answer, header lines included, to be searched for what must not be in it. */
  all: string;
}

/** What a call was refused with. Fails when it was not refused. */
export async function refusedCall(call: Promise<unknown>): Promise<Told> {
  const fault = await call.then(
    (answer) => {
      throw new Error(
        `not refused: ${JSON.stringify(answer, (_key, value) => (typeof value === 'bigint' ? `${value}` : value))}`,
      );
    },
    (thrown) => {
      if (thrown instanceof Fault) return thrown;
      throw thrown;
    },
  );
  return toldOf(fault);
}

export function toldOf(fault: Fault): Told {
  const told: Told = { code: fault.code, who: '', where: [], status: 0, all: `${fault.code} ${fault.details}` };
  for (const [name, value] of Object.entries(fault.metadata.getMap())) told.all += `\n${name}: ${value.toString()}`;
  const details = fault.metadata.get('grpc-status-details-bin')[0];
  if (!Buffer.isBuffer(details)) return told;
  // google.rpc.Status: 1 code, 2 message, 3 details, each an Any of 1 type_url and 2 value.
  for (const any of fieldsIn(details, 3)) {
    const type = Buffer.from(fieldsIn(any, 1)[0]!).toString();
    const value = fieldsIn(any, 2)[0]!;
    if (type.endsWith('google.rpc.ErrorInfo')) {
      const info = ErrorInfo.decode(value);
      told.who = info.metadata['who'] ?? '';
      expect(info.reason, 'the reason is the code').toBe(fault.code);
      told.all += `\n${JSON.stringify(info)}`;
    }
    if (type.endsWith('google.rpc.BadRequest')) {
      const bad = BadRequest.decode(value);
      told.where.push(...bad.fieldViolations.map(({ field }) => field));
      told.all += `\n${JSON.stringify(bad)}`;
    }
  }
  return told;
}

function fieldsIn(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === wanted && (tag & 7) === 2) found.push(reader.bytes());
    else reader.skip(tag & 7);
  }
  return found;
}

/** What an HTTP answer tells: problem+json, or a SOAP fault. */
export async function toldOver(response: Response): Promise<Told> {
  const text = await response.text();
  const all = `${[...response.headers].map((header) => header.join(': ')).join('\n')}\n${text}`;
  const type = response.headers.get('content-type') ?? '';
  if (type.startsWith('application/problem+json')) {
    const problem = JSON.parse(text) as { code: string; who: string; where: { path: string }[] };
    return { ...problem, where: problem.where.map(({ path }) => path), status: response.status, all };
  }
  const one = (name: string) => new RegExp(`<(?:\\w+:)?${name}>([^<]*)<`).exec(text)?.[1] ?? '';
  return {
    code: one('code'),
    who: one('who'),
    where: [...text.matchAll(/path="([^"]*)"|<(?:\w+:)?path>([^<]*)</g)].map((m) => m[1] ?? m[2] ?? ''),
    status: response.status,
    all,
  };
}

/** Names the code and who must act as the table has it, and holds none of the values. */
export function expectTold(told: Told, code: Code, values: readonly string[], path?: string | RegExp): void {
  expect({ code: told.code, who: told.who }, told.all).toEqual({ code, who: faults[code].who });
  if (path !== undefined)
    expect(
      told.where.some((place) => (typeof path === 'string' ? place === path : path.test(place))),
      `a path like ${path} in ${JSON.stringify(told.where)}`,
    ).toBe(true);
  expectNone(told.all, values);
}

export function expectNone(text: string, values: readonly string[]): void {
  for (const value of values) expect(text.includes(value), `holds ${value}`).toBe(false);
}
