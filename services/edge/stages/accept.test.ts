import { describe, expect, test } from 'vitest';
import { Clear, encoded, HmacKey, merkleRoot, newId, uuid7, uuidText } from '#kernel';
import { type Entry, type Outcome, Taken } from '#proto/eduk/bus/v1/bus';
import { AuditRecord } from '#proto/eduk/core/v1/audit';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { AuditSubmitted } from '#proto/eduk/events/v1/audit';
import type { Submission } from '../submission.ts';
import { accept, acceptTogether, type Made } from './accept.ts';

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

/** A log that remembers references, as both engines do, and every record of what was done that it took. */
function remembering() {
  const known = new Map<string, { digest: string; answer: Uint8Array; flowId: Uint8Array }>();
  const records: AuditRecord[] = [];
  let isDying = false;
  const one = (entry: Entry): Outcome => {
    const { flowId, answer, referenceKey } = entry;
    const digest = Buffer.from(entry.digest).toString('hex');
    const key = Buffer.from(referenceKey).toString('hex');
    const first = key === '' ? undefined : known.get(key);
    if (first) return { taken: first.digest === digest ? REPEATED : CONFLICT, ...first };
    if (key !== '') known.set(key, { digest, answer, flowId });
    for (const { type, data } of entry.events)
      if (type === 'AuditSubmitted')
        records.push(...AuditSubmitted.decode(data).items.map(({ record }) => AuditRecord.decode(record)));
    return { taken: ACCEPTED, answer, flowId };
  };
  const log = {
    async accept({ entries }: { entries: Entry[] }) {
      if (isDying && entries.length === 1) throw new Error('died');
      return { outcomes: entries.map(one) };
    },
  };
  return { log, records, dies: (now: boolean) => void (isDying = now) };
}

const digestKey = new HmacKey(Buffer.alloc(32, 7));
let time = NOW;

/** Sends a group of a stream, each item `reference=content`; gives the receipt that each was answered by, or its fault. */
async function sendGroup(log: object, items: readonly string[]) {
  time += 1000;
  const batch = items.map((item) => {
    const [reference, content] = item.split('=');
    const flow = uuid7();
    return {
      intake: { method: 'ResultService/ReturnResults', remember: 400, reference: () => reference, events: () => [] },
      caller: { kind: 'party', oin: PARTY, roles: new Set() },
      message: new Clear({}),
      bulk: true,
      traceparent: '',
      flow,
      flowId: uuidText(flow),
      school: 's-1',
      bytes: Buffer.from(content!),
      salt: Buffer.alloc(16),
      leaf: new HmacKey(flow).digest(content!),
    } as unknown as Submission;
  });
  await accept(batch, { services: { log }, digestKey, clock: { now: () => time } } as never);
  return batch.map(
    ({ refused, group }) => refused?.fault ?? { ...group, root: Buffer.from(group!.root).toString('hex') },
  );
}
type Answer = { receiptId: string; root: string };

describe('a group of a stream that comes again as it was has the receipt that it had', () => {
  test.each([
    ['all of it was new', [], ['a=1', 'b=1', 'c=1']],
    ['it held a repeat', ['a=1'], ['a=1', 'b=1', 'c=1']],
    ['it held a conflict', ['b=1'], ['a=1', 'b=2', 'c=1']],
    ['it held both', ['a=1', 'b=1'], ['a=1', 'b=2', 'c=1']],
    ['it held one item twice', [], ['a=1', 'b=1', 'a=1']],
  ])('%s', async (_, before, group) => {
    const { log, records } = remembering();
    if (before.length > 0) await sendGroup(log, before);
    const answered = await sendGroup(log, group);
    const again = await sendGroup(log, group);
    expect(again).toEqual(answered);
    expect(await sendGroup(log, group)).toEqual(answered);
    const { receiptId, root } = answered.find((one) => typeof one === 'object') as Answer;
    // Whichever record stands under that receipt, it is of what the receipt says.
    const under = records.filter((record) => record.receiptId === receiptId);
    expect(under.length).toBeGreaterThan(0);
    for (const { content } of under) expect(Buffer.from(content).toString('hex')).toBe(root);
    // Of records that stand for others each names one.
    for (const { replaces } of records)
      if (replaces !== '') expect(records.filter((record) => record.receiptId === replaces)).toHaveLength(1);
  });

  test('also where whoever took it in died before it had said what of it was new', async () => {
    const { log, records, dies } = remembering();
    await sendGroup(log, ['a=1']);
    dies(true);
    await expect(sendGroup(log, ['a=1', 'b=1'])).rejects.toThrow('died');
    dies(false);
    const [answered] = (await sendGroup(log, ['a=1', 'b=1'])) as [Answer];
    const [record] = records.filter(({ receiptId }) => receiptId === answered.receiptId);
    expect(Buffer.from(record!.content).toString('hex')).toBe(answered.root);
  });

  test('in another order, or with another item, it is another group', async () => {
    const { log } = remembering();
    const [first] = (await sendGroup(log, ['a=1', 'b=1'])) as [Answer];
    const others = [
      await sendGroup(log, ['b=1', 'a=1']),
      await sendGroup(log, ['a=1', 'b=1', 'c=1']),
      await sendGroup(log, ['a=1']),
    ] as [Answer][];
    expect(new Set([first, ...others.map(([one]) => one)].map(({ receiptId }) => receiptId)).size).toBe(4);
  });
});

test('the root of a group is that over the leaves with which its items stand', async () => {
  const { log, records } = remembering();
  await sendGroup(log, ['a=1']);
  const [{ root }] = (await sendGroup(log, ['a=1', 'b=1'])) as [Answer];
  const leaf = Buffer.from(records[0]!.content);
  expect(root).not.toBe(Buffer.from(merkleRoot([leaf])).toString('hex'));
  expect(records.at(-1)).toMatchObject({ times: 2n });
  expect(Buffer.from(records.at(-1)!.content).toString('hex')).toBe(root);
});
