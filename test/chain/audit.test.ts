/**
 * The log of what was done, over the whole gateway: what stands in it, receipts that are checked by a process which has their file and
 * nothing else, heads that come with answers, and a log that somebody worked on while the gateway was stopped.
 */
import { execFile } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  HmacKey,
  headDigest,
  isSignedBy,
  keyIdOf,
  Peaks,
  proofProblem,
  publicKeyBytes,
  receiptsIn,
  recordLeaf,
  recordOf,
  signHead,
} from '#kernel';
import { AuditKind, AuditRecord, LogHead, LogKey, LogProof } from '#proto/eduk/core/v1/audit';
import { ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { OrderServiceDefinition, PlaceOrderRequest, PlaceOrderResponse } from '#proto/eduk/gateway/v1/order';
import type { ReturnResultsResponse } from '#proto/eduk/gateway/v1/result';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { edexml } from './files.ts';
import {
  eckId,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
  wire,
} from './gateway.ts';

const YEAR = '2026-2027';
const BOOK = '9789000000019';
const school = newSchool();
const WAIT = 20_000n;
let at: TestGateway;
let las: TestParty;
let platform: TestParty;
let stranger: TestParty;
let folder: string;

const eduk = join(import.meta.dirname, '../../services/cli/eduk.js');
/** The command line in a process of its own; without `env` it knows no gateway and no data folder. */
function cli(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ exit: number; json: any; err: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [eduk, ...args, '--json'],
      {
        cwd: folder,
        env: { PATH: process.env['PATH'], EDUK_DATA: join(folder, 'none'), EDUK_GRPC: '127.0.0.1:1', ...env },
      },
      (error, stdout, stderr) =>
        resolve({
          exit: error ? Number(error.code) : 0,
          json: stdout === '' ? undefined : JSON.parse(stdout),
          err: stderr,
        }),
    );
  });
}
const here = () => ({ EDUK_DATA: at.folder, EDUK_GRPC: at.gateway.addresses.grpc });
const file = (name: string, content: unknown): string => {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};

const both = (receipt: Receipt, proof: LogProof) => ({
  receipt: Receipt.toJSON(receipt),
  proof: LogProof.toJSON(proof),
});

let orders = 0;
const order = (more: object = {}) => {
  orders += 1;
  return {
    reference: `audit-${orders}`,
    orderId: `audit-${orders}`,
    schoolOin: school,
    lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 } }],
    ...more,
  };
};

/** Every record of the log, once a head holds all that was done before. */
async function records(): Promise<AuditRecord[]> {
  const { flowId } = await las.orders.placeOrder(order());
  await las.audit.getReceipt({ receiptId: flowId, waitMs: WAIT });
  const { leaves } = await at.operator.readAuditLog({ limit: 2000 });
  return leaves.map(({ record }) => AuditRecord.decode(record));
}
const only = (all: readonly AuditRecord[], wanted: Partial<AuditRecord>): AuditRecord[] =>
  all.filter((record) => Object.entries(wanted).every(([name, value]) => record[name as keyof AuditRecord] === value));

const item = (n: number, resultId = `res-${n}`) => ({
  reference: `res-${n}`,
  schoolOin: school,
  result: {
    resultId,
    learner: { eckId: eckId(9000 + (n % 24)) },
    productId: BOOK,
    kind: ResultKind.RESULT_KIND_PROGRESS,
    payload: { activityId: 'a' },
  },
});
const results = (...items: ReturnType<typeof item>[]) => sendAll(platform.results.returnResults(), items);

/** What was done before the tests, and what the log then held. */
const sent = order();
let first: PlaceOrderResponse;
let proof: LogProof;
let acks: { whole: ReturnResultsResponse[]; partly: ReturnResultsResponse[]; conflict: ReturnResultsResponse[] };
let all: AuditRecord[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-receipts-'));
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  platform = await at.party('Leerplein', [Role.ROLE_PLATFORM]);
  stranger = await at.party('Vreemdeling', [Role.ROLE_ADMINISTRATION]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
  await at.mandate(school, platform.oin, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT], {
    attributes: ['eck_id', 'groups'],
  });
  const pupils = Array.from({ length: 24 }, (_, i) => ({ key: `k${i}`, eckId: eckId(9000 + i), name: 'Esdoorn' }));
  await at.operator.importRoster([
    { schoolOin: school, schoolYear: YEAR, chunk: Buffer.from(edexml({ school, asOf: '2026-08-20', pupils })) },
  ]);

  first = await las.orders.placeOrder(sent);
  expect((await las.orders.placeOrder(sent)).receipt).toEqual(first.receipt);
  acks = {
    whole: await results(item(1), item(2), item(3)),
    partly: await results(item(1), item(2), item(3), item(4)),
    conflict: await results(item(4, 'other')),
  };
  const refused = await Promise.allSettled([
    stranger.orders.placeOrder(order()),
    stranger.orders.placeOrder(order()),
    stranger.rosters.getRoster({ schoolOin: school, schoolYear: YEAR }),
    at.as('Bearer eduk_key_nobody').orders.placeOrder(order()),
    stranger.orders.placeOrder(order({ waitMs: -1n })),
    wire(OperatorServiceDefinition, at.channel, `Bearer ${stranger.apiKey}`).status({}),
    sendAll(at.as('Bearer eduk_key_nobody').results.returnResults(), [item(1)]),
  ]);
  expect(refused.map(({ status }) => status)).toEqual(Array(7).fill('rejected'));
  const watch = stranger.rosters.watchRosters({ siteCode: 'none' });
  watch.resume();
  await new Promise((resolve) => watch.once('error', resolve));
  const authorization = `Basic ${Buffer.from('nobody:nothing').toString('base64')}`;
  const body = new URLSearchParams({ grant_type: 'client_credentials' });
  expect((await fetch(`${at.http}/oauth2/token`, { method: 'POST', headers: { authorization }, body })).status).toBe(
    401,
  );
  expect((await fetch(`${at.http}/edexml`, { method: 'POST', headers: { authorization: 'Bearer x' } })).status).toBe(
    401,
  );
  await platform.rosters.getRoster({ schoolOin: school, schoolYear: YEAR });
  await readUntil(platform.rosters.watchRosters({}), (seen) => seen.length >= 24);
  const { mandateId } = await at.mandate(school, stranger.oin, [Service.SERVICE_ORDER]);
  await at.operator.changeMandate({ mandateId, change: 'stop' });
  // Doors note what was refused and shown once a second, each in its own time.
  const isWhole = () =>
    only(all, { kind: AuditKind.AUDIT_KIND_RELEASED, partyOin: platform.oin }).reduce(
      (n, { people }) => n + people,
      0n,
    ) >= 48n &&
    only(all, { kind: AuditKind.AUDIT_KIND_REFUSED, method: 'edexml' }).length > 0 &&
    only(all, { kind: AuditKind.AUDIT_KIND_MANDATE, partyOin: stranger.oin, code: 'ended' }).length > 0 &&
    only(all, { kind: AuditKind.AUDIT_KIND_OPERATOR, method: 'OperatorService/ChangeMandate' }).length > 0;
  all = await records();
  for (const end = Date.now() + 60_000; !isWhole() && Date.now() < end; all = await records())
    await new Promise((resolve) => setTimeout(resolve, 300));
  proof = (await las.audit.getReceipt({ receiptId: first.flowId })).proof!;
});
afterAll(async () => {
  await at?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('in the log stands', () => {
  test('what was accepted: once, with the leaf that its receipt has', () => {
    const mine = only(all, { receiptId: first.flowId, kind: AuditKind.AUDIT_KIND_ACCEPTED });
    expect(mine).toHaveLength(1);
    expect(mine[0]).toMatchObject({
      partyOin: las.oin,
      schoolOin: school,
      method: 'OrderService/PlaceOrder',
      times: 1n,
    });
    const receipt = first.receipt!;
    expect(Buffer.from(mine[0]!.content)).toEqual(Buffer.from(receipt.leaf));
    expect(receipt.mergedByMs).toBe(receipt.acceptedMs + 60_000n);
    const message = PlaceOrderRequest.encode(PlaceOrderRequest.fromPartial({ ...sent, waitMs: 0n })).finish();
    expect(new HmacKey(receipt.salt).digest(message)).toEqual(Buffer.from(receipt.leaf));
  });
  test('a group of a stream: one leaf, the root over its items; of one that came again in part another, for the first', async () => {
    const recordOf = ({ receipt }: ReturnResultsResponse): AuditRecord => {
      const found = only(all, { receiptId: receipt!.receiptId });
      expect(found).toHaveLength(1);
      expect(Buffer.from(found[0]!.content)).toEqual(Buffer.from(receipt!.leaf));
      return found[0]!;
    };
    const sum = (list: readonly AuditRecord[]) => list.reduce((n, { times }) => n + times, 0n);
    const whole = acks.whole.map(recordOf);
    expect([sum(whole), whole.map(({ replaces, schoolOin }) => [replaces, schoolOin])]).toEqual([
      3n,
      whole.map(() => ['', school]),
    ]);
    const partly = acks.partly.map(recordOf);
    expect(sum(partly)).toBe(4n);
    const instead = partly.filter(({ replaces }) => replaces !== '');
    expect(instead.length).toBeGreaterThan(0);
    for (const { replaces } of instead) expect(only(all, { receiptId: replaces })).toHaveLength(1);
    expect(acks.conflict.flatMap(({ refusals }) => refusals)).toMatchObject([{ code: 'state.conflict' }]);
    // Nothing of the last was taken, and the record that says so stands for the one that could not know.
    const nothing = all.filter(
      ({ replaces, times, content }) => replaces !== '' && times === 0n && content.length === 0,
    );
    expect(nothing.length).toBeGreaterThan(0);
    for (const { replaces } of nothing) expect(only(all, { receiptId: replaces })).toHaveLength(1);
    // A group that comes again as it was has the receipt that it had.
    expect(await results(item(77))).toEqual(await results(item(77)));
    const { receiptId } = acks.whole[0]!.receipt!;
    expect(proofProblem((await platform.audit.getReceipt({ receiptId })).proof!)).toBeUndefined();
    await expect(las.audit.getReceipt({ receiptId })).rejects.toMatchObject({ code: 'state.missing' });
  });
  test('messages that came at once: one leaf for several, each found under its own receipt', async () => {
    const sent = Array.from({ length: 40 }, () => order());
    const answers = await Promise.all(sent.map((message) => las.orders.placeOrder(message)));
    // Some of them again, among others; and one reference with other content.
    const more = await Promise.all([
      ...sent.slice(0, 3).map((message) => las.orders.placeOrder(message)),
      ...Array.from({ length: 5 }, () => las.orders.placeOrder(order())),
    ]);
    expect(more.slice(0, 3).map(({ receipt }) => receipt)).toEqual(answers.slice(0, 3).map(({ receipt }) => receipt));
    const [conflict, beside] = await Promise.allSettled([
      las.orders.placeOrder({ ...order(), reference: sent[0]!.reference }),
      las.orders.placeOrder(order()),
    ]);
    expect([conflict!.status, beside!.status]).toEqual(['rejected', 'fulfilled']);
    const now = await records();
    const taken = [...answers, ...more.slice(3), (beside as PromiseFulfilledResult<PlaceOrderResponse>).value];
    const leaves = now.filter(({ kind, partyOin }) => kind === AuditKind.AUDIT_KIND_ACCEPTED && partyOin === las.oin);
    expect(Math.max(...leaves.map(({ messages }) => messages.length))).toBeGreaterThan(1);
    for (const { messages, times } of leaves) if (messages.length > 0) expect(times).toBe(BigInt(messages.length));
    const proofs = await Promise.all(taken.map(({ flowId }) => las.audit.getReceipt({ receiptId: flowId })));
    for (const [i, { flowId, receipt }] of taken.entries()) {
      const { proof, receiptId } = proofs[i]!;
      expect([receiptId, proofProblem(proof!)]).toEqual([flowId, undefined]);
      const of = receiptsIn(recordOf(proof!)).find((one) => one.receiptId === flowId)!;
      expect(Buffer.from(of.content)).toEqual(Buffer.from(receipt!.leaf));
      expect([of.schoolOin, of.method]).toEqual([school, 'OrderService/PlaceOrder']);
    }
    const [one, other] = leaves.find(({ messages, replaces }) => messages.length > 1 && replaces === '')!.messages;
    const { proof } = await las.audit.getReceipt({ receiptId: one!.receiptId });
    const mine = taken.find(({ flowId }) => flowId === one!.receiptId)!.receipt!;
    // The same proof is one of the other's too, of nobody else's, and of no other content.
    const theirs = taken.find(({ flowId }) => flowId === other!.receiptId)!.receipt!;
    const said = await Promise.all(
      [mine, theirs, first.receipt!, { ...mine, leaf: theirs.leaf }].map((receipt, i) =>
        cli(['receipt', 'verify', file(`shared-${i}.json`, both(receipt, proof!))]),
      ),
    );
    expect(said[0]!.json).toMatchObject({ valid: true, receiptId: one!.receiptId, messages: 1, schoolOin: school });
    expect(said.map(({ exit }) => exit)).toEqual([0, 0, 1, 1]);
    expect(said[2]!.json.error.message).toContain('another receipt');
    expect(said[3]!.json.error.message).toContain('another leaf');
  });
  test('what was refused, at writes, reads and to nobody we know, counted', () => {
    const refused = only(all, { kind: AuditKind.AUDIT_KIND_REFUSED });
    const writes = only(refused, {
      partyOin: stranger.oin,
      method: 'OrderService/PlaceOrder',
      code: 'mandate.missing',
    });
    expect(writes.reduce((sum, { times }) => sum + times, 0n)).toBe(2n);
    expect(writes[0]!.schoolOin).toBe(school);
    expect(only(refused, { partyOin: stranger.oin, method: 'RosterService/GetRoster' })).toHaveLength(1);
    expect(only(refused, { partyOin: '', code: 'party.unknown', method: 'OrderService/PlaceOrder' })).toHaveLength(1);
    // And before a message is looked at: what is the operator's, streams, files and tokens.
    for (const [partyOin, method, code] of [
      [stranger.oin, 'OperatorService/Status', 'party.forbidden'],
      [stranger.oin, 'OrderService/PlaceOrder', 'wire.invalid'],
      [stranger.oin, 'RosterService/WatchRosters', 'wire.invalid'],
      ['', 'ResultService/ReturnResults', 'party.unknown'],
      ['', 'edexml', 'party.unknown'],
      ['', 'oauth2/token', 'party.unknown'],
    ] as const)
      expect(only(refused, { partyOin, method, code }), method).toHaveLength(1);
  });
  test('whom was shown whose data: by pull and by watch, answered for the school', async () => {
    const released = only(all, { kind: AuditKind.AUDIT_KIND_RELEASED, partyOin: platform.oin });
    expect(released.reduce((sum, { people }) => sum + people, 0n)).toBeGreaterThanOrEqual(48n);
    for (const { attributes, purpose, schoolOin } of released) {
      expect([...attributes].sort()).toEqual(['eck_id', 'groups']);
      expect([purpose, schoolOin]).toEqual(['roster', school]);
    }
    const { exit, json } = await cli(['audit', 'access', '--school', school], here());
    expect(exit).toBe(0);
    const row = json.find(({ partyOin }: { partyOin: string }) => partyOin === platform.oin);
    expect(row).toMatchObject({ partyName: 'Leerplein', purpose: 'roster', attributes: ['eck_id', 'groups'] });
    expect(row.people).toBeGreaterThanOrEqual(48);
  });
  test('mandates in each state, and what the operator did', () => {
    const states = only(all, { kind: AuditKind.AUDIT_KIND_MANDATE, partyOin: stranger.oin, schoolOin: school });
    expect(states.map(({ code }) => code)).toEqual(['active', 'ended']);
    const did = only(all, { kind: AuditKind.AUDIT_KIND_OPERATOR }).map(({ method }) => method);
    for (const method of ['AddParty', 'GrantMandate', 'ChangeMandate', 'ImportRoster'])
      expect(did).toContain(`OperatorService/${method}`);
  });
  test('nobody: no name, number or key of a learner, and no reference', () => {
    const bytes = Buffer.concat(all.map((record) => AuditRecord.encode(record).finish())).toString('latin1');
    for (const value of ['Esdoorn', eckId(9001).slice(-40), 'lt_', 'audit-1', 'res-1'])
      expect(bytes).not.toContain(value);
  });
});

describe('a receipt', () => {
  let keys: string;
  beforeAll(async () => {
    keys = file('keys.json', await (await fetch(`${at.http}/.well-known/eduk-log-keys`)).json());
  });

  test('is checked by a process that has its file and nothing else', async () => {
    const path = file('receipt.json', { receipt: Receipt.toJSON(first.receipt!), proof: LogProof.toJSON(proof) });
    const alone = await cli(['receipt', 'verify', path]);
    expect(alone.err).toContain('The key stands in the file itself');
    expect(alone.exit).toBe(0);
    expect(alone.json).toMatchObject({ valid: true, keyBelieved: false, receiptId: first.flowId, partyOin: las.oin });
    // With the key as anybody reads it at the well-known address, kept before.
    expect((await cli(['receipt', 'verify', path, '--key', keys])).json).toMatchObject({ keyBelieved: true });
    const bare = file('key.txt', JSON.parse(readFileSync(keys, 'utf8')).keys[0].publicKey);
    expect((await cli(['receipt', 'verify', path, '--key', bare])).exit).toBe(0);
  });
  const withRecord = (of: LogProof, more: Partial<AuditRecord>): LogProof => ({
    ...of,
    record: AuditRecord.encode({ ...recordOf(of), ...more }).finish(),
  });
  test.each<[string, (of: LogProof) => LogProof]>([
    ['of another message', (of) => withRecord(of, { content: Buffer.alloc(32) })],
    ['at another time', (of) => withRecord(of, { atMs: 1n })],
    ['of another party', (of) => withRecord(of, { partyOin: '' })],
    ['with another salt', (of) => ({ ...of, recordSalt: Buffer.alloc(16) })],
    ['at another place', (of) => ({ ...of, index: of.index - 1n })],
    ['with another path', (of) => ({ ...of, path: of.path.slice(1) })],
    ['under another root', (of) => ({ ...of, head: { ...of.head!, root: Buffer.alloc(32) } })],
    ['under a head of another time', (of) => ({ ...of, head: { ...of.head!, timeMs: 5n } })],
    ['without a head', (of) => ({ ...of, head: undefined })],
  ])('%s is refused', (_, change) => {
    expect(proofProblem(proof)).toBeUndefined();
    expect(proofProblem(change(proof))).toBeDefined();
  });
  test('that was made up under a key of its own is refused by who kept the key; one that is bent, by anybody', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const publicKey = publicKeyBytes(privateKey);
    const madeUp = {
      ...proof,
      head: signHead({ ...proof.head!, keyId: keyIdOf(publicKey) }, privateKey),
      key: { publicKey, fromMs: 0n, untilMs: 0n },
    };
    const path = file('made-up.json', { proof: LogProof.toJSON(madeUp) });
    expect((await cli(['receipt', 'verify', path])).json).toMatchObject({ keyBelieved: false });
    const refused = await cli(['receipt', 'verify', path, '--key', keys]);
    expect([refused.exit, refused.json.error.code]).toEqual([1, 'state.conflict']);
    const bent = file('bent.json', {
      receipt: Receipt.toJSON({ ...first.receipt!, leaf: Buffer.alloc(32, 7) }),
      proof: LogProof.toJSON(proof),
    });
    expect((await cli(['receipt', 'verify', bent])).json.error.message).toContain('another leaf');
    // One that does not say its id is held to its leaf all the same.
    const nameless = (leaf: Uint8Array) =>
      file(`nameless-${leaf[0]}.json`, {
        receipt: Receipt.toJSON({ ...first.receipt!, receiptId: '', leaf }),
        proof: LogProof.toJSON(proof),
      });
    expect((await cli(['receipt', 'verify', nameless(first.receipt!.leaf)])).json).toMatchObject({ valid: true });
    expect((await cli(['receipt', 'verify', nameless(Buffer.alloc(32, 7))])).exit).toBe(1);
    expect((await cli(['receipt', 'verify', file('not.json', 'nothing')])).json.error.code).toBe('wire.unreadable');
  });
  test('that is a promise is made whole where the gateway answers, and said to be one elsewhere', async () => {
    const { receipt, flowId } = await las.orders.placeOrder(order());
    const path = file('promise.json', { receipt: Receipt.toJSON(receipt!) });
    const away = await cli(['receipt', 'verify', path]);
    expect([away.exit, away.json.error.code]).toEqual([1, 'state.missing']);
    expect(away.json.error.message).toContain('promise until');
    // Where no gateway answers, a promise whose time is over is not said to be broken: nobody was asked.
    const over = file('over.json', { receipt: Receipt.toJSON({ ...receipt!, mergedByMs: 1n }) });
    const { error } = (await cli(['receipt', 'verify', over])).json;
    expect([error.code, error.who]).toEqual(['state.missing', 'sender']);
    expect(error.message).toMatch(/no gateway answers here: fetch its proof/);
    expect(error.message).not.toContain('broken');
    expect((await cli(['receipt', 'verify', path], here())).json).toMatchObject({ valid: true, completed: true });
    expect((await cli(['receipt', 'verify', path])).json).toMatchObject({ valid: true, completed: false });
    const fetched = join(folder, 'fetched.json');
    expect((await cli(['receipt', 'fetch', flowId, '--out', fetched], here())).exit).toBe(0);
    expect((await cli(['receipt', 'verify', fetched])).json).toMatchObject({ valid: true, receiptId: flowId });
    expect((await cli(['receipt', 'fetch', 'unknown'], here())).json.error).toMatchObject({
      code: 'state.missing',
      where: [{ path: 'receipt_id' }],
    });
  });
});

test('each new head goes to a party once, with whatever it is answered', async () => {
  const { path, requestSerialize, responseDeserialize } = {
    path: `/${OrderServiceDefinition.fullName}/PlaceOrder`,
    requestSerialize: (message: unknown) =>
      Buffer.from(PlaceOrderRequest.encode(PlaceOrderRequest.fromPartial(message as never)).finish()),
    responseDeserialize: (bytes: Buffer) => PlaceOrderResponse.decode(bytes),
  };
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${las.apiKey}`);
  const heads: LogHead[] = [];
  const place = () =>
    new Promise<void>((resolve, reject) => {
      const call = at.channel.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        order(),
        metadata,
        (error) => (error ? reject(error) : undefined),
      );
      call.on('status', (status) => {
        for (const bytes of status.metadata.get('eduk-log-head-bin')) heads.push(LogHead.decode(bytes as Buffer));
        resolve();
      });
    });
  for (let i = 0; i < 40 && heads.length < 2; i++) {
    await place();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  expect(heads.length).toBeGreaterThanOrEqual(2);
  expect(new Set(heads.map(({ size }) => size)).size).toBe(heads.length);
  const { keys } = await las.audit.getLogHead({});
  for (const head of heads) expect(isSignedBy(head, keys[0]!.publicKey)).toBe(true);
  // Over HTTP, whatever the answer is.
  const { apiKey } = await at.party('Schriftje', [Role.ROLE_ADMINISTRATION]);
  const post = () =>
    fetch(`${at.http}/edexml`, { method: 'POST', headers: { authorization: `Bearer ${apiKey}` }, body: 'none' });
  const answered = await post();
  expect(answered.ok).toBe(false);
  const head = LogHead.decode(Buffer.from(answered.headers.get('eduk-log-head')!, 'base64'));
  expect(isSignedBy(head, keys[0]!.publicKey)).toBe(true);
  // With one that a party kept, as bytes in base64, the log is checked.
  const kept = file('head.txt', Buffer.from(LogHead.encode(heads[0]!).finish()).toString('base64'));
  const { exit, json } = await cli(['audit', 'verify', '--since-head', kept], here());
  expect([exit, json.ok, json.cannotSee]).toEqual([0, true, null]);
  // Or as it stands at the well-known address, or in a receipt with its proof.
  const published = file('published.json', await (await fetch(`${at.http}/.well-known/eduk-log-keys`)).json());
  const { flowId } = await las.orders.placeOrder(order());
  await las.audit.getReceipt({ receiptId: flowId, waitMs: WAIT });
  const proven = join(folder, 'proven.json');
  expect((await cli(['receipt', 'fetch', flowId, '--out', proven], here())).exit).toBe(0);
  for (const held of [published, proven]) {
    const { exit, json } = await cli(['audit', 'verify', '--since-head', held], here());
    expect([held, exit, json.ok, json.cannotSee]).toEqual([held, 0, true, null]);
  }
});

describe('a log that somebody worked on', () => {
  let kept: string;
  let whole: Buffer;
  const state = () => join(at.folder, 'state.db');
  /** Stops the gateway, puts its file back as it was, changes it, starts it again, and verifies. */
  async function worked(change: (database: DatabaseSync) => void, since = kept) {
    await at.restart(() => {
      for (const end of ['-wal', '-shm']) rmSync(`${state()}${end}`, { force: true });
      writeFileSync(state(), whole);
      const database = new DatabaseSync(state());
      change(database);
      database.close();
    });
    const said = await cli(['audit', 'verify', ...(since ? ['--since-head', since] : [])], here());
    return { ...said, kinds: (said.json?.findings ?? []).map(({ kind }: { kind: string }) => kind) as string[] };
  }

  beforeAll(async () => {
    kept = join(folder, 'kept.json');
    expect((await cli(['audit', 'head', '--out', kept], here())).exit).toBe(0);
    await records();
    await at.restart(() => {
      whole = readFileSync(state());
    });
  });

  test('is told from one that nobody did', async () => {
    const { exit, json, kinds } = await worked(() => undefined);
    expect([exit, kinds]).toEqual([0, []]);
    expect(json.size).toBeGreaterThan(json.since);
    const blind = await worked(() => undefined, '');
    expect(blind.exit).toBe(0);
    expect(blind.json.cannotSee).toContain('Without an earlier head');
    expect(blind.err).toContain('Without an earlier head');
  });
  test('a leaf that was taken out', async () => {
    const { exit, kinds } = await worked((database) => database.exec('DELETE FROM audit_leaves WHERE n = 3'));
    expect(exit).toBe(1);
    expect(kinds).toEqual(['removed']);
  });
  test('a leaf that was taken out, the others moved up', async () => {
    const { exit, kinds } = await worked((database) => {
      database.exec('DELETE FROM audit_leaves WHERE n = 3');
      database.exec('UPDATE audit_leaves SET n = -n WHERE n > 3');
      database.exec('UPDATE audit_leaves SET n = -n - 1 WHERE n < 0');
    });
    expect(exit).toBe(1);
    expect(kinds).toEqual(['changed']);
  });
  test('a leaf that was changed', async () => {
    const { exit, kinds, json } = await worked((database) => {
      const row = database.prepare('SELECT record FROM audit_leaves WHERE n = 2').get() as { record: Uint8Array };
      const record = AuditRecord.encode({
        ...AuditRecord.decode(row.record),
        partyOin: '00000099000000009000',
      }).finish();
      database.prepare('UPDATE audit_leaves SET record = ? WHERE n = 2').run(record);
    });
    expect(exit).toBe(1);
    expect(kinds).toEqual(['changed']);
    expect(JSON.stringify(json)).not.toContain('00000099000000009000');
  });
  test('a leaf that was put in', async () => {
    const { exit, kinds } = await worked((database) => {
      database.exec('UPDATE audit_leaves SET n = -n WHERE n >= 2');
      database.exec('UPDATE audit_leaves SET n = -n + 1 WHERE n < 0');
      database.exec(
        'INSERT INTO audit_leaves (n, atMs, salt, record) SELECT 2, atMs, salt, record FROM audit_leaves WHERE n = 1',
      );
    });
    expect(exit).toBe(1);
    expect(kinds).toEqual(['changed']);
  });

  /** Writes the log anew up to a size, and signs it with the gateway's own key: what its operator could do. */
  function resign(database: DatabaseSync, size: number, more: (row: any) => any = (row) => row): void {
    const key = createPrivateKey(readFileSync(join(at.folder, 'log.key')));
    const rows = (database.prepare('SELECT * FROM audit_leaves WHERE n < ? ORDER BY n').all(size) as any[]).map(more);
    const peaks = new Peaks();
    for (const { salt, record } of rows) peaks.add(recordLeaf(salt, record));
    const log = database.prepare('SELECT * FROM audit_log').get() as any;
    const keyId = keyIdOf(publicKeyBytes(key));
    const head = signHead(
      {
        logId: log.logId,
        size: BigInt(size),
        root: peaks.root(),
        timeMs: BigInt(Date.now()),
        previous: Buffer.alloc(32),
        keyId,
      },
      key,
    );
    database.exec('DELETE FROM audit_leaves');
    database.exec('DELETE FROM audit_heads');
    for (const { n, atMs, salt, record } of rows)
      database
        .prepare('INSERT INTO audit_leaves (n, atMs, salt, record) VALUES (?, ?, ?, ?)')
        .run(n, atMs, salt, record);
    database
      .prepare('INSERT INTO audit_heads (size, timeMs, root, previous, keyId, signature) VALUES (?, ?, ?, ?, ?, ?)')
      .run(size, Number(head.timeMs), head.root, head.previous, Buffer.from(keyId).toString('hex'), head.signature);
    database
      .prepare('UPDATE audit_log SET size = ?, peaks = ?, headSize = ?, previous = ?, headDueMs = 0')
      .run(size, peaks.bytes(), size, headDigest(head));
  }
  const sizeOf = (database: DatabaseSync): number =>
    (database.prepare('SELECT headSize FROM audit_log').get() as { headSize: number }).headSize;

  test('one that was cut off and signed again', async () => {
    const since = JSON.parse(readFileSync(kept, 'utf8')).head.size as string;
    const { exit, kinds } = await worked((database) => resign(database, Number(since) - 5));
    expect(exit).toBe(1);
    expect(kinds).toContain('truncated');
    // Nobody could see it without the head of then.
    const blind = await worked((database) => resign(database, Number(since) - 5), '');
    expect([blind.exit, blind.kinds]).toEqual([0, []]);
    expect(blind.json.cannotSee).not.toBeNull();
  });
  test('one that was written anew from an early leaf and signed again', async () => {
    const change = (row: any) =>
      row.n === 2
        ? { ...row, record: AuditRecord.encode({ ...AuditRecord.decode(row.record), times: 9n }).finish() }
        : row;
    const { exit, kinds } = await worked((database) => resign(database, sizeOf(database), change));
    expect(exit).toBe(1);
    expect(kinds).toEqual(['forked']);
  });
  test('a head that was signed by another key, or taken out from between others', async () => {
    const other = await worked((database) => database.exec('UPDATE audit_heads SET signature = zeroblob(64)'));
    expect(other.exit).toBe(1);
    expect(other.kinds).toContain('signature');
    const gap = await worked((database) =>
      database.exec(
        'DELETE FROM audit_heads WHERE size = (SELECT size FROM audit_heads ORDER BY size LIMIT 1 OFFSET 1)',
      ),
    );
    expect(gap.kinds).toContain('head');
  });
  test('another log', async () => {
    const elsewhere = JSON.parse(readFileSync(kept, 'utf8'));
    const key = LogKey.fromJSON(elsewhere.keys[0]);
    expect(key.publicKey).toHaveLength(44);
    elsewhere.head.logId = Buffer.alloc(32, 1).toString('base64');
    const { exit, json } = await cli(['audit', 'verify', '--since-head', file('elsewhere.json', elsewhere)], here());
    expect(exit).toBe(1);
    expect(json.findings.map(({ kind }: { kind: string }) => kind)).toContain('other_log');
  });
});

test('the key is in the data folder, for its owner only, and neither in the file of the state nor in what is told of it', () => {
  const path = join(at.folder, 'log.key');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const secret = createPrivateKey(readFileSync(path)).export({ type: 'pkcs8', format: 'der' }).subarray(-32);
  expect(readFileSync(join(at.folder, 'state.db')).includes(secret)).toBe(false);
});
