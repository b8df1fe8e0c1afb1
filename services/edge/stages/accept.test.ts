import { expect, test } from 'vitest';
import { encoded, newId, uuid7, uuidText } from '#kernel';
import { type Entry, type Outcome, Taken } from '#proto/eduk/bus/v1/bus';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { AuditSubmitted } from '#proto/eduk/events/v1/audit';
import type { Submission } from '../submission.ts';
import { acceptTogether, type Made } from './accept.ts';

const NOW = 1_800_000_000_000;
const PARTY = '00000099000000001000';

function made(school = 's-1', method = 'OrderService/PlaceOrder'): Made {
  const flow = uuid7();
  const submission = {
    intake: { method, remember: 400 },
    caller: { kind: 'party', oin: PARTY, roles: new Set() },
    bulk: false,
    traceparent: '',
    flow,
    flowId: uuidText(flow),
    school,
    leaf: Buffer.from(newId().padEnd(32).slice(0, 32)),
    acceptedMs: NOW,
  } as unknown as Submission;
  const entry = {
    flowId: flow,
    partyOin: PARTY,
    method,
    events: [{ stream: 'orders', type: 'x', key: 'k', data: new Uint8Array(0) }],
  };
  return { submission, entry: entry as unknown as Entry };
}

const first = {
  flowId: uuid7(),
  answer: encoded(Receipt, Receipt.fromPartial({ acceptedMs: 5n, salt: Buffer.alloc(16) })),
};

/** Hands these to a log that says so of them; gives what it was asked, call by call, and the records in it. */
async function taken(these: readonly Made[], said: readonly Taken[]) {
  const calls: { entries: Entry[]; records: AuditRecord[] }[] = [];
  const accept = async ({ entries }: { entries: Entry[] }) => {
    const events = entries.flatMap((entry) => entry.events).filter(({ type }) => type === 'AuditSubmitted');
    calls.push({
      entries: [...entries],
      records: events.flatMap(({ data }) =>
        AuditSubmitted.decode(data).items.map(({ record }) => AuditRecord.decode(record)),
      ),
    });
    const outcomes = entries.map(
      (_, i): Outcome => ({ taken: (calls.length === 1 && said[i]) || Taken.TAKEN_ACCEPTED, ...first }),
    );
    return { outcomes };
  };
  await acceptTogether(these, { services: { log: { accept } } } as never);
  return calls;
}
const ids = ({ messages }: AuditRecord) => messages.map(({ receiptId }) => receiptId);
const { TAKEN_ACCEPTED: ACCEPTED, TAKEN_REPEATED: REPEATED, TAKEN_CONFLICT: CONFLICT } = Taken;

test('a message that is alone says it itself, so that a repeat says nothing', async () => {
  const one = made();
  const { flowId } = one.submission;
  const calls = await taken([one], [REPEATED]);
  expect(calls).toHaveLength(1);
  expect(calls[0]!.entries).toHaveLength(1);
  expect(calls[0]!.records).toMatchObject([{ receiptId: flowId, times: 1n, schoolOin: 's-1', messages: [] }]);
  expect(one.submission).toMatchObject({ repeated: true, flowId: uuidText(first.flowId), acceptedMs: 5 });
});

test('several have one record, which lists them; a school or method that is not that of all stands with each', async () => {
  const same = [made(), made(), made()];
  const [call] = await taken(same, []);
  expect(call!.entries).toHaveLength(4);
  const [record] = call!.records;
  expect(record).toMatchObject({ receiptId: '', times: 3n, schoolOin: 's-1', method: 'OrderService/PlaceOrder' });
  expect(ids(record!)).toEqual(same.map(({ submission }) => submission.flowId));
  expect(record!.messages.map(({ content }) => Buffer.from(content))).toEqual(
    same.map(({ submission }) => submission.leaf),
  );
  expect(record!.messages.map(({ schoolOin, method }) => schoolOin + method)).toEqual(['', '', '']);
  const [mixed] = (await taken([made(), made('s-2', 'OrderService/CancelOrder')], []))[0]!.records;
  expect([mixed!.schoolOin, mixed!.method]).toEqual(['', '']);
  expect(mixed!.messages.map(({ schoolOin, method }) => `${schoolOin} ${method}`)).toEqual([
    's-1 OrderService/PlaceOrder',
    's-2 OrderService/CancelOrder',
  ]);
});

test('where some were repeats or refused another record lists those that are new, before anybody is answered', async () => {
  const four = [made(), made(), made(), made()];
  const flows = four.map(({ submission }) => submission.flowId);
  const calls = await taken(four, [REPEATED, ACCEPTED, CONFLICT, ACCEPTED]);
  expect(calls).toHaveLength(2);
  expect(ids(calls[0]!.records[0]!)).toEqual(flows);
  expect(calls[1]!.records).toMatchObject([{ replaces: flows[0], times: 2n }]);
  expect(ids(calls[1]!.records[0]!)).toEqual([flows[1], flows[3]]);
  expect(four.map(({ submission }) => submission.refused?.fault)).toEqual([
    undefined,
    undefined,
    'state.conflict',
    undefined,
  ]);
  expect(four.map(({ submission }) => submission.repeated ?? false)).toEqual([true, false, false, false]);
});

test.each([
  ['repeats', [REPEATED, REPEATED]],
  ['refused', [CONFLICT, CONFLICT]],
])('where all were %s it lists none', async (_, said) => {
  const two = [made(), made()];
  const { flowId } = two[0]!.submission;
  const calls = await taken(two, said);
  expect(calls[1]!.records).toMatchObject([{ replaces: flowId, times: 0n, messages: [] }]);
});
