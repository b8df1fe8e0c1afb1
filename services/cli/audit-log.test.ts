import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { consistencyPath, headDigest, keyIdOf, nodeHash, Peaks, publicKeyBytes, recordLeaf, signHead } from '#kernel';
import { type LogHead, LogKey } from '#proto/eduk/core/v1/audit';
import { type Asked, type LogPage, verifyLog } from './audit-log.ts';

/** One thing that is wrong is told once, by what it is: a leaf that was changed is no fork. */

const key = generateKeyPairSync('ed25519').privateKey;
const publicKey = publicKeyBytes(key);
const keys = [LogKey.fromPartial({ publicKey, fromMs: 1n })];
const salt = Buffer.alloc(16, 1);

/** A log of so many leaves with a head after each fifth, as its gateway would serve it. */
class Log {
  leaves: Uint8Array[];
  heads: LogHead[] = [];
  constructor(size: number, word = 'leaf') {
    this.leaves = Array.from({ length: size }, (_, n) => Buffer.from(n === 2 ? `${word} 2` : `leaf ${n}`));
    for (let end = 5; end <= size; end += 5) this.sign(end);
  }

  sign(size: number): void {
    const peaks = new Peaks();
    for (const record of this.leaves.slice(0, size)) peaks.add(recordLeaf(salt, record));
    const before = this.heads.at(-1);
    const previous = before ? headDigest(before) : Buffer.alloc(32);
    const of = { logId: Buffer.alloc(32, 9), size: BigInt(size), root: peaks.root(), timeMs: 1n, previous };
    this.heads.push(signHead({ ...of, keyId: keyIdOf(publicKey) }, key));
  }

  readonly ask = async ({ from, sinceSize, headsAbove }: Asked): Promise<LogPage> => {
    const subtree = (level: number, n: number): Uint8Array =>
      level === 0
        ? recordLeaf(salt, this.leaves[n] ?? Buffer.alloc(0))
        : nodeHash(subtree(level - 1, n * 2), subtree(level - 1, n * 2 + 1));
    const head = this.heads.at(-1)!;
    return {
      head,
      keys,
      leaves: this.leaves.flatMap((record, n) =>
        n >= Number(from) && record.length > 0 ? [{ index: BigInt(n), salt, record }] : [],
      ),
      trunks: [],
      consistency: sinceSize > 0n ? consistencyPath(Number(sinceSize), Number(head.size), subtree) : [],
      heads: headsAbove === undefined ? [] : this.heads.filter(({ size }) => size > headsAbove),
    };
  };
}

const since = { head: new Log(10).heads[1]!, keys };
const kindsOf = async (log: Log): Promise<string[]> =>
  (await verifyLog(log.ask, since)).findings.map(({ kind }) => kind);

test('a log that grew is well', async () => {
  expect(await kindsOf(new Log(20))).toEqual([]);
});

test('a leaf that was changed or taken out under an earlier head is that, and no fork', async () => {
  const changed = new Log(20);
  changed.leaves[3] = Buffer.from('other');
  expect(await kindsOf(changed)).toEqual(['changed']);
  const removed = new Log(20);
  removed.leaves[3] = Buffer.alloc(0);
  expect(await kindsOf(removed)).toEqual(['removed']);
});

test('a leaf that was taken out, with the others moved up, is told once too; the last ones that are gone, as removed', async () => {
  const moved = new Log(20);
  moved.leaves.splice(3, 1);
  expect(await kindsOf(moved)).toEqual(['changed']);
  const cut = new Log(20);
  cut.leaves.length = 18;
  expect(await kindsOf(cut)).toEqual(['removed']);
});

test('a log that was written anew and signed again is a fork, and nothing else', async () => {
  expect(await kindsOf(new Log(20, 'other'))).toEqual(['forked']);
  // With only its newest head.
  const bare = new Log(0);
  bare.leaves = new Log(20, 'other').leaves;
  bare.sign(20);
  expect(await kindsOf(bare)).toEqual(['forked']);
});

test('a fork in which a leaf was changed too is both', async () => {
  const both = new Log(20, 'other');
  both.leaves[12] = Buffer.from('changed');
  expect((await kindsOf(both)).sort()).toEqual(['changed', 'forked']);
});

test('a leaf that was changed above the earlier head is that', async () => {
  const above = new Log(20);
  above.leaves[12] = Buffer.from('changed');
  expect(await kindsOf(above)).toEqual(['changed']);
});
