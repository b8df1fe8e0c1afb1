/**
 * Messages that are right but for a few values: what the grammar lets through must be decided, never park a key, never be
 * our bug, and never keep a school's other messages from being decided. The seed is printed; EDUK_FUZZ_SEED repeats a run.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials, Client as GrpcClient, Metadata, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MethodDefinition } from '#kernel';
import { Audience } from '#proto/eduk/core/v1/ordering';
import { fieldsOf } from '#proto/labels';
import { parties, school } from '../../docs/grpc/seed.ts';
import { publicServices } from '../../services/edge/grpc/services.ts';
import { Label } from '../../services/edge/labels.ts';
import { randomFrom } from '../parties/random.ts';
import { Fault, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const SEED = Number(process.env['EDUK_FUZZ_SEED'] ?? 20261122);
const ROUNDS = Number(process.env['EDUK_FUZZ_ROUNDS'] ?? 41);
const folder = join(import.meta.dirname, '../../docs/grpc');

const { next } = randomFrom(SEED);
const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!;

const words = ['', '\0', 'a\0b', '🦉🦉', '\u202Eneerg', '\uFEFF', 'Noor\nBeuk', 'x'.repeat(199), 'é'.repeat(120)];
const ids = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '0',
  '-1',
  '|',
  '|||',
  "'",
  "';--",
  '%',
  '~',
  'a/b',
];
const moreIds = [
  'x'.repeat(64),
  '..',
  '#',
  'null',
  'undefined',
  '1e309',
  'l:x',
  'g:y',
  '=',
  '(',
  '[x',
  '@',
  'É',
  ' ',
  '\0',
];
const times = [
  '0001-01-01',
  '9999-12-31',
  '0000-01-01',
  '2026-02-30',
  '2024-02-29',
  '1969-12-31',
  '2026-12-31T23:59:59Z',
];
const moreTimes = [
  '0001-01-01T00:00',
  '9999-12-31T23:59:59.999Z',
  '2026-03-29T02:30:00',
  '2026-2027',
  '9999-0000',
  '0000-0001',
];
const years = ['9998-9999', '1899-1900', '2026-2028', '2026-02-30T00:00', '2026-11-22T10:00:00+14:00'];
const strings: Record<number, readonly string[]> = {
  [Label.ID]: [...ids, ...moreIds],
  [Label.TERM]: ['__proto__', 'constructor', '-1', '1e9', '', 'x'.repeat(64), '..', '0'],
  [Label.TIME]: [...times, ...moreTimes, ...years],
  [Label.NUMBER]: [...ids, ...words, 'x'.repeat(256)],
};
const numbers = [
  0,
  -1,
  1,
  2,
  99,
  1e6,
  2 ** 31 - 1,
  -(2 ** 31),
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1e308,
  -0,
  0.1,
  5e-324,
];
const bigs = [0n, -1n, 1n, 2n ** 63n - 1n, -(2n ** 63n), 1_000_000n];

/** Changes one value somewhere below; gives whether there was one to change. */
function spoil(message: Record<string, unknown>, type: string): void {
  const fields = (fieldsOf[type] ?? []).filter((field) => field.name !== 'reference' && field.name !== 'waitMs');
  if (fields.length === 0) return;
  const field = pick(fields);
  const value = message[field.name];
  if (field.kind === 'message') {
    const chance = next();
    if (field.repeated) {
      const list = value as Record<string, unknown>[];
      if (list.length === 0 || chance < 0.1) message[field.name] = [];
      else if (chance < 0.2) message[field.name] = [...list, ...list];
      else spoil(pick(list), field.of!);
    } else if (value === undefined || chance < 0.05) message[field.name] = undefined;
    else spoil(value as Record<string, unknown>, field.of!);
    return;
  }
  if (field.kind === 'string') {
    // What names the school is seldom spoilt: most else would be refused for that alone.
    if (field.name === 'schoolOin' && next() < 0.8) return;
    const bad = pick(strings[field.label] ?? words);
    message[field.name] = field.repeated ? pick([[], [bad], [bad, bad]]) : bad;
    return;
  }
  if (field.repeated) return;
  if (typeof value === 'bigint') message[field.name] = pick(bigs);
  else if (typeof value === 'boolean') message[field.name] = !value;
  else if (typeof value === 'number' || value === undefined) {
    if (field.name.endsWith('Spent') || field.name.startsWith('exercises')) message[field.name] = pick(bigs);
    else message[field.name] = pick(numbers);
  }
}

interface Body {
  name: string;
  type: string;
  path: string;
  method: MethodDefinition;
  caller: string;
  messages: Record<string, unknown>[];
}
const bodies: Body[] = [];
let at: TestGateway;
const callers = new Map<string, TestParty>();

function messagesIn(text: string): unknown[] {
  const messages: unknown[] = [];
  let from = 0;
  for (const end of text.matchAll(/^\}\s*$|^\{\}\s*$/gm)) {
    messages.push(JSON.parse(text.slice(from, end.index + end[0].length)));
    from = end.index + end[0].length;
  }
  return messages;
}

beforeAll(async () => {
  at = await startTestGateway();
  for (const { caller, oin, name, roles, services } of parties) {
    callers.set(caller, await at.party(name, roles, oin));
    if (services.length > 0) await at.mandate(school, oin, services);
  }
  const list = JSON.parse(readFileSync(join(folder, 'bodies.json'), 'utf8')) as { method: string; caller: string }[];
  for (const { method: name, caller } of list) {
    const definition = publicServices.find((one) => one.name === name.split('.')[0])!;
    const method = Object.values(definition.methods as Record<string, MethodDefinition>).find(
      (one) => one.name === name.split('.')[1],
    )!;
    const codec = method.requestType as unknown as { fromJSON(json: unknown): Record<string, unknown> };
    bodies.push({
      name,
      type: `eduk.gateway.v1.${method.name}Request`,
      path: `/${definition.fullName}/${method.name}`,
      method,
      caller,
      messages: messagesIn(readFileSync(join(folder, `${name}.json`), 'utf8')).map((json) => codec.fromJSON(json)),
    });
  }
  expect(readdirSync(folder).length).toBeGreaterThan(bodies.length);
});
afterAll(() => at?.stop());

/** Flows of what was accepted. */
const accepted: { caller: string; flowId: string; path: string }[] = [];

/** Sends as it is; gives the fault codes of the call and of its items. */
function send({ method, path, caller }: Body, messages: Record<string, unknown>[]): Promise<string[]> {
  const client = at.channel;
  const write = (message: unknown) => Buffer.from(method.requestType.encode(message).finish());
  const read = (bytes: Buffer) => method.responseType.decode(bytes);
  const md = new Metadata();
  md.set('authorization', `Bearer ${callers.get(caller)!.apiKey}`);
  return new Promise((resolve, reject) => {
    const codes: string[] = [];
    const failed = (error: ServiceError) => {
      const { code } = new Fault(error);
      if (code) resolve([...codes, code]);
      else if (error.code === 1) resolve(codes);
      else reject(new Error(`${path}: ${error.code} ${error.details}`));
    };
    if (method.requestStream) {
      const call = client.makeBidiStreamRequest(path, write, read, md);
      call.on('data', ({ refusals }: { refusals: { code: string }[] }) =>
        codes.push(...refusals.map(({ code }) => code)),
      );
      call.on('end', () => resolve(codes)).on('error', failed);
      for (const message of messages) call.write(message);
      call.end();
    } else if (method.responseStream) {
      // On a connection of its own: so many calls that are taken back would end the one of all others.
      const own = new GrpcClient(at.gateway.addresses.grpc, credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
      });
      const call = own.makeServerStreamRequest(path, write, read, messages[0], md);
      call
        .on('data', () => undefined)
        .on('error', (error: ServiceError) => {
          own.close();
          failed(error);
        });
      setTimeout(() => call.cancel(), 30);
    } else
      client.makeUnaryRequest(path, write, read, messages[0], md, (error, answer) => {
        if (error) return failed(error);
        const { flowId } = answer as { flowId?: string };
        if (flowId) accepted.push({ caller, flowId, path });
        resolve([]);
      });
  });
}

/** One to three values changed; what no client could encode is tried again. */
function spoilt(message: Record<string, unknown>, { type, method }: Body): Record<string, unknown> {
  for (;;) {
    const copy = structuredClone(message);
    for (let i = 0; i < 1 + Math.floor(next() * 3); i++) spoil(copy, type);
    try {
      method.requestType.encode(copy).finish();
      return copy;
    } catch {
      // A number out of the range of its field: there are no such bytes.
    }
  }
}

async function within<T>(ms: number, what: Promise<T>, told: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms: ${told}`)), ms);
  });
  return Promise.race([what, late]).finally(() => clearTimeout(timer));
}

const toText = (value: unknown): string =>
  JSON.stringify(value, (_key, one) => (typeof one === 'bigint' ? `${one}n` : one));

let sequence = 0;
const fresh = (message: Record<string, unknown>): Record<string, unknown> => {
  const copy = structuredClone(message);
  if ('reference' in copy && copy['reference'] !== '') copy['reference'] = `fuzz-${++sequence}`;
  if ('waitMs' in copy) copy['waitMs'] = 0n;
  return copy;
};

test('what the grammar lets through is decided: no bug, no parked key, and the school goes on', async () => {
  console.log(`fuzz seed ${SEED}, ${ROUNDS} rounds`);
  const bugs: string[] = [];
  const codes = new Map<string, number>();
  const one = async (body: Body, round: number): Promise<void> => {
    // Mandates are withdrawn in the last round only: without one everything is refused.
    if (/WithdrawMandate|RefuseMandate|GrantMandate|ForgetLearner|AnswerReview/.test(body.name) && round < ROUNDS - 1)
      return;
    const messages = body.messages.map((message) => (round === 0 ? fresh(message) : spoilt(fresh(message), body)));
    const text = `${body.name} ${toText(messages)}`;
    for (const code of await within(20_000, send(body, messages), text)) {
      codes.set(code, (codes.get(code) ?? 0) + 1);
      if (code === 'gateway.bug' || code === 'gateway.clear_data') bugs.push(text);
    }
  };
  // In order first, so that there is something to spoil; then many at once, because what is not there is waited for.
  for (const body of bodies) await one(body, 0);
  for (let round = 1; round < ROUNDS; round += 4) {
    await Promise.all(
      [0, 1, 2, 3].flatMap((more) => bodies.map((body) => one(body, Math.min(round + more, ROUNDS - 1)))),
    );
  }
  console.log(Object.fromEntries(codes));
  expect(bugs).toEqual([]);
  const { keys } = await at.operator.listParked({});
  expect(keys).toEqual([]);
  await callers.get('dashboard')!.results.getProgress({ schoolOin: school, audience: Audience.AUDIENCE_SCHOOL });
  // Each has its decision, or waits for something that is named.
  expect(accepted.length).toBeGreaterThan(100);
  const open = await Promise.all(
    accepted.map(async ({ caller, flowId, path }) => {
      const { flow } = await callers.get(caller)!.flows.getFlow({ flowId });
      return flow!.ended || flow!.state === 'waiting' ? '' : `${path} ${flow!.state} ${toText(flow!.steps)}`;
    }),
  );
  expect(open.filter((text) => text !== '')).toEqual([]);
  const { ages } = await at.operator.status({});
  expect(ages.filter(({ gap, parkedKeys }) => gap || parkedKeys > 0)).toEqual([]);
});
