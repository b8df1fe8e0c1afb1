/** What doors owe a sender whose calls come before the answers to the ones before. */
import { expect, test } from 'vitest';
import { systemClock, uuid7 } from '#kernel';
import type { Entry } from '#proto/eduk/bus/v1/bus';
import { Acceptor, type Backlog } from './accept.ts';
import { APPEND, type Ground } from './append.ts';
import type { Database, Send, Session } from './connection.ts';
import { textsOf } from './testing.ts';

const entry = (party: string, key: string): Entry => ({
  flowId: Buffer.from(uuid7()),
  partyOin: party,
  method: 'Probe/Ask',
  referenceKey: Buffer.alloc(0),
  digest: Buffer.alloc(0),
  digestVersion: 1,
  rememberDays: 35,
  events: [{ stream: 'asks', type: 'Asked', key, data: Buffer.alloc(0) }],
  answer: Buffer.alloc(0),
  schoolOin: '',
  traceparent: '',
  bulk: true,
});

/** A database whose transactions take as long as they are told; what they appended stands in `log` once committed. */
function slowDatabase(
  takes: (transaction: number) => number,
  { outboxMax = 1000, backlog = async (): Promise<Backlog> => ({ unread: 0, oldestMs: 0 }) } = {},
) {
  const log: string[] = [];
  const counts = { begun: 0, open: 0, mostOpen: 0 };
  const database = {
    async transaction<T>(work: (session: Session, send: Send) => Promise<T>): Promise<T> {
      const ms = takes(counts.begun++);
      counts.mostOpen = Math.max(counts.mostOpen, ++counts.open);
      const keys: string[] = [];
      const session = { query: async () => ({ rows: [] }) } as unknown as Session;
      const result = await work(session, ({ text, values }) => {
        if (text === APPEND) keys.push(...textsOf(values![4] as Buffer));
      });
      await new Promise((resolve) => setTimeout(resolve, ms));
      log.push(...keys);
      counts.open -= 1;
      return result;
    },
  } as unknown as Database;
  const acceptor = new Acceptor({
    database,
    ground: { have: async () => undefined } as unknown as Ground,
    clock: systemClock,
    outboxMax,
    backlog,
    accepted: () => undefined,
  });
  return { acceptor, log, counts };
}
const nextTurn = () => new Promise((resolve) => setTimeout(resolve, 2));

test('what one sender sends is committed in the order in which it came, whatever a group takes', async () => {
  const { acceptor, log, counts } = slowDatabase((transaction) => [300, 1, 100, 1][transaction] ?? 1);
  const calls: Promise<unknown>[] = [];
  for (let i = 0; i < 4; i++) {
    calls.push(acceptor.accept({ entries: [entry('a', `a${i}`)] }));
    await nextTurn();
    calls.push(acceptor.accept({ entries: [entry('b', `b${i}`)] }));
    await nextTurn();
  }
  await Promise.all(calls);
  for (const party of ['a', 'b'])
    expect(log.filter((key) => key.startsWith(party))).toEqual([0, 1, 2, 3].map((i) => `${party}${i}`));
  // Others do not wait for it.
  expect(counts.mostOpen).toBeGreaterThan(1);
  await acceptor.stop();
});

test('a look at the backlog that was long under way does not hide what was taken meanwhile', async () => {
  const { promise, resolve } = Promise.withResolvers<Backlog>();
  const { acceptor } = slowDatabase(() => 1, { outboxMax: 3, backlog: () => promise });
  const looking = acceptor.look();
  for (let i = 0; i < 4; i++) await acceptor.accept({ entries: [entry('a', 'a')] });
  resolve({ unread: 0, oldestMs: 0 });
  await looking;
  expect(() => acceptor.accept({ entries: [entry('a', 'a')] })).toThrow(
    expect.objectContaining({ fault: 'gateway.overloaded' }),
  );
  await acceptor.stop();
});

test('looks at the backlog do not pile up while the database is slow', async () => {
  let open = 0;
  let most = 0;
  let slow = false;
  const acceptor = new Acceptor({
    database: {} as Database,
    ground: {} as Ground,
    clock: systemClock,
    outboxMax: 1000,
    backlog: async () => {
      most = Math.max(most, ++open);
      if (slow) await new Promise((resolve) => setTimeout(resolve, 900));
      open -= 1;
      return { unread: 0, oldestMs: 0 };
    },
    accepted: () => undefined,
  });
  await acceptor.start();
  slow = true;
  const senders = setInterval(() => void acceptor.accept({ entries: [] }), 100);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  clearInterval(senders);
  expect(most).toBe(1);
  await acceptor.stop();
});

test('the backlog is looked at while messages come, also when they are refused', async () => {
  let looks = 0;
  let unread = 0;
  const acceptor = new Acceptor({
    database: {} as Database,
    ground: {} as Ground,
    clock: systemClock,
    outboxMax: 1000,
    backlog: async () => {
      looks += 1;
      return { unread, oldestMs: 0 };
    },
    accepted: () => undefined,
  });
  const turn = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  await acceptor.start();
  await turn(600);
  expect(looks).toBe(1);
  unread = 2000;
  await acceptor.accept({ entries: [] });
  while (looks === 1) await turn(10);
  unread = 0;
  await turn(1);
  expect(() => acceptor.accept({ entries: [] })).toThrow(expect.objectContaining({ fault: 'gateway.overloaded' }));
  while (looks === 2) await turn(10);
  await turn(1);
  await acceptor.accept({ entries: [] });
  await acceptor.stop();
});
