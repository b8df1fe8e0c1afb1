/** The bodies of docs/grpc, sent as they stand: each is answered, in the order and by the callers of bodies.json. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ClientReadableStream } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MethodDefinition } from '#kernel';
import { parties, variableOf } from '../../docs/grpc/seed.ts';
import { publicServices } from '../../services/edge/grpc/services.ts';
import { Fault, readUntil, sendAll, startTestGateway, type TestGateway, wire } from './gateway.ts';

const folder = join(import.meta.dirname, '../../docs/grpc');
const bodies = JSON.parse(readFileSync(join(folder, 'bodies.json'), 'utf8')) as { method: string; caller: string }[];
const methods = publicServices.flatMap((definition) =>
  Object.entries(definition.methods as Record<string, MethodDefinition>).map(([key, method]) => ({
    name: `${definition.name}.${method.name}`,
    key,
    method,
    definition,
  })),
);

let at: TestGateway;
const keys = new Map<string, string>();
let ticket = '';

beforeAll(async () => {
  at = await startTestGateway();
  const seed = await promisify(execFile)(process.execPath, [join(folder, 'seed.ts')], {
    env: { PATH: process.env['PATH'], EDUK_DATA: at.folder },
  });
  for (const [, name, value] of seed.stdout.matchAll(/^export (\w+)=(\S+)$/gm)) keys.set(name!, value!);
});
afterAll(() => at?.stop());

/** One file may hold several messages of a stream, one JSON value after the other, as grpcurl reads them. */
function messagesIn(text: string): unknown[] {
  const messages: unknown[] = [];
  let from = 0;
  for (const end of text.matchAll(/^\}\s*$|^\{\}\s*$/gm)) {
    const to = end.index + end[0].length;
    messages.push(JSON.parse(text.slice(from, to)));
    from = to;
  }
  return messages;
}

test('every method has one body, and every body a method', () => {
  const names = methods.map(({ name }) => name).sort();
  expect(bodies.map(({ method }) => method).sort()).toEqual(names);
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.json') && name !== 'bodies.json')
    .map((name) => name.slice(0, -'.json'.length))
    .sort();
  expect(files).toEqual(names);
  expect([...keys.keys()].sort()).toEqual(parties.map(({ caller }) => variableOf(caller)).sort());
});

test('the page names the caller and the command of every body', () => {
  const page = readFileSync(join(folder, 'README.md'), 'utf8').replace(/ +/g, ' ');
  for (const { method, caller } of bodies) expect(page).toContain(`| \`${method}\` | ${caller} |`);
  for (const { method, caller } of bodies)
    if (method !== 'AccessService.RedeemLaunch') expect(page).toContain(`\`call "$${variableOf(caller)}" ${method}\``);
});

const flowIds = new Map<string, string>();

/** Sends one body as its caller; fails unless it is answered without a refusal. Gives the flow id of a unary write. */
async function send({ method: name, caller }: { method: string; caller: string }): Promise<string | undefined> {
  const { definition, key, method } = methods.find((one) => one.name === name)!;
  const text = readFileSync(join(folder, `${name}.json`), 'utf8');
  // The one thing that nobody can know beforehand.
  if (name !== 'AccessService.RedeemLaunch') expect(text).not.toContain('<');
  const fromJson = method.requestType as unknown as { fromJSON(json: unknown): Record<string, unknown> };
  const messages = messagesIn(text.replace('<ticket of CreateLaunch>', ticket)).map((json) => fromJson.fromJSON(json));
  const client = wire(definition, at.channel, `Bearer ${keys.get(variableOf(caller))}`) as unknown as Record<
    string,
    (request?: unknown) => unknown
  >;
  if (method.requestStream) {
    const answers = (await sendAll(client[key]!() as never, messages)) as { through: bigint; refusals: unknown[] }[];
    expect(answers.flatMap(({ refusals }) => refusals)).toEqual([]);
    expect(answers.at(-1)!.through).toBe(BigInt(messages.length - 1));
    return undefined;
  }
  if (method.responseStream) {
    const call = client[key]!(messages[0]) as ClientReadableStream<unknown>;
    expect(await readUntil(call, (all) => all.length > 0)).not.toEqual([]);
    return undefined;
  }
  const answer = (await unlessTooSoon(() => client[key]!(messages[0]) as Promise<unknown>)) as {
    flowId?: string;
    decision?: { outcome: string; code: string };
    ticket?: string;
  };
  if (answer.decision) expect(answer.decision).toMatchObject({ outcome: expect.stringMatching(/^\w+$/), code: '' });
  if (name === 'AccessService.CreateLaunch') ticket = answer.ticket!;
  return answer.flowId;
}

/** What was accepted a moment ago may not be there to be read yet. */
async function unlessTooSoon(ask: () => Promise<unknown>): Promise<unknown> {
  for (let tries = 0; ; tries++)
    try {
      return await ask();
    } catch (thrown) {
      if (tries === 300 || !(thrown instanceof Fault) || !/^(state.missing|product.unknown)$/.test(thrown.code))
        throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

test.each(bodies)('$method, as $caller', async (body) => {
  const flowId = await send(body);
  if (flowId) flowIds.set(body.method, flowId);
});

test.each(bodies)('$method once more: the same answer', async (body) => {
  expect(await send(body)).toBe(flowIds.get(body.method));
});
