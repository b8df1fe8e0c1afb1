import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HmacKey, keyIdOf, Peaks, publicKeyBytes, recordLeaf, signHead } from '#kernel';
import { AuditKind, AuditRecord, LogProof } from '#proto/eduk/core/v1/audit';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { PlaceOrderRequest } from '#proto/eduk/gateway/v1/order';
import { run } from './testing.ts';

/** A receipt and its proof, made as the gateway makes them, and what is bent in it: nothing answers anywhere. */

const AT = 1_800_000_000_000n;
const key = generateKeyPairSync('ed25519').privateKey;
const publicKey = publicKeyBytes(key);
const salt = Buffer.alloc(16, 3);
const order = PlaceOrderRequest.fromPartial({
  reference: 'r-1',
  orderId: 'o-1',
  schoolOin: '0000000700099ZX00000',
  lines: [{ terms: { lineId: '1', productId: 'p-1', quantity: 1 } }],
});
const leaf = new HmacKey(salt).digest(PlaceOrderRequest.encode(order).finish());
const receipt = Receipt.fromPartial({
  version: 1,
  leaf,
  salt,
  acceptedMs: AT,
  receiptId: 'receipt-1',
  mergedByMs: AT + 60_000n,
});

/** Proof of a record as the only leaf of a log. */
function proofOf(more: Partial<AuditRecord> = {}): LogProof {
  const record = AuditRecord.encode(
    AuditRecord.fromPartial({
      kind: AuditKind.AUDIT_KIND_ACCEPTED,
      atMs: AT,
      partyOin: '00000099100000009000',
      schoolOin: '0000000700099ZX00000',
      method: 'OrderService/PlaceOrder',
      receiptId: 'receipt-1',
      content: leaf,
      times: 1n,
      ...more,
    }),
  ).finish();
  const recordSalt = Buffer.alloc(16, 4);
  const peaks = new Peaks();
  peaks.add(recordLeaf(recordSalt, record));
  const of = { logId: Buffer.alloc(32, 9), size: 1n, root: peaks.root(), timeMs: AT, previous: Buffer.alloc(32) };
  const head = signHead({ ...of, keyId: keyIdOf(publicKey) }, key);
  return LogProof.fromPartial({ record, recordSalt, index: 0n, path: [], head, key: { publicKey, fromMs: 1n } });
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-receipt-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const verify = (of: Receipt | undefined, proof: LogProof, ...more: string[]) =>
  run(
    [
      ...['receipt', 'verify', '--json'],
      file(
        'receipt.json',
        JSON.stringify({
          ...(of ? { receipt: Receipt.toJSON(of) } : { receiptId: 'receipt-1' }),
          proof: LogProof.toJSON(proof),
        }),
      ),
      ...more,
    ],
    { EDUK_DATA: join(folder, 'none'), EDUK_GRPC: '127.0.0.1:1' },
  );

describe('the moment in a receipt', () => {
  test.each<[string, bigint, Partial<AuditRecord>, boolean]>([
    ['is that of its record', AT, {}, true],
    ['is none other', AT - 1n, {}, false],
    ['and not a later one', AT + 1n, {}, false],
    [
      'of messages that share a record is a little earlier',
      AT - 40n,
      { receiptId: '', messages: [{ receiptId: 'receipt-1', content: leaf, schoolOin: '', method: '' }] },
      true,
    ],
    [
      'and no day',
      AT - 86_400_000n,
      { receiptId: '', messages: [{ receiptId: 'receipt-1', content: leaf, schoolOin: '', method: '' }] },
      false,
    ],
    ['of a group that held repeats is that of the last of them', AT - 86_400_000n, { replaces: 'receipt-0' }, true],
    ['and not later than the record', AT + 1n, { replaces: 'receipt-0' }, false],
  ])('%s', async (_, acceptedMs, record, isTrue) => {
    const { exit, json } = await verify({ ...receipt, acceptedMs }, proofOf(record));
    expect(exit).toBe(isTrue ? 0 : 1);
    if (!isTrue) expect(json.error).toMatchObject({ code: 'state.conflict', message: expect.stringMatching(/moment/) });
  });
});

describe('a receipt and a message', () => {
  const json = (more: object = {}) => JSON.stringify({ ...(PlaceOrderRequest.toJSON(order) as object), ...more });

  test.each<[string, () => string | Uint8Array]>([
    ['as JSON', () => json()],
    ['as JSON, with how long its sender would wait', () => json({ waitMs: '5000' })],
    ['encoded', () => PlaceOrderRequest.encode(order).finish()],
  ])('that is its own, %s', async (_, content) => {
    const said = await verify(receipt, proofOf(), '--message', file('message', content()));
    expect([said.exit, said.json.messageChecked]).toEqual([0, true]);
  });

  test('that is another is refused, without a word of it', async () => {
    const said = await verify(receipt, proofOf(), '--message', file('message', json({ orderId: 'o-geheim' })));
    expect(said.json.error).toMatchObject({
      code: 'state.conflict',
      message: expect.stringMatching(/another message/),
    });
    expect(said.out).not.toContain('geheim');
    const none = await verify(receipt, proofOf(), '--message', file('message', '{"orderId":"o-geheim'));
    expect(none.json.error.code).toBe('wire.unreadable');
    expect(none.out).not.toContain('geheim');
  });

  test('cannot be compared without a salt, or where the contract has no such message', async () => {
    const message = file('message', json());
    expect((await verify(undefined, proofOf(), '--message', message)).exit).toBe(2);
    const group = { ...receipt, salt: new Uint8Array(0) };
    expect((await verify(group, proofOf(), '--message', message)).exit).toBe(2);
    const other = await verify(receipt, proofOf({ method: 'uwlr/BrengLeerresultaten' }), '--message', message);
    expect(other.json.error.code).toBe('wire.invalid');
    expect((await verify(receipt, proofOf())).json.messageChecked).toBe(false);
  });
});
