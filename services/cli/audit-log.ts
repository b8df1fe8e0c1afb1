/** Heads and receipts as files, and what can be found out about the log of what was done by making its tree anew. */
import { headDigest, isSignedBy, keyIdOf, Peaks, provesConsistency, recordLeaf } from '#kernel';
import type { Leaf, Trunk } from '#proto/eduk/audit/v1/audit';
import { LogHead, LogKey } from '#proto/eduk/core/v1/audit';
import { Problem } from './problem.ts';

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A head that was kept, with the keys that were believed then. */
export interface KeptHead {
  head: LogHead;
  keys: readonly LogKey[];
}

export const headFile = ({ head, keys }: KeptHead): string =>
  `${JSON.stringify({ eduk: 'log-head-1', head: LogHead.toJSON(head), keys: keys.map((key) => LogKey.toJSON(key)) }, null, 2)}\n`;

/** What `/.well-known/eduk-log-keys` answers. */
interface WellKnown {
  logId: string;
  keys: { publicKey: string; from: string | null; until: string | null }[];
  head: { size: number; root: string; time: string; previous: string; keyId: string; signature: string };
}

function keptOf(known: WellKnown): KeptHead {
  const ms = (time: string | null): bigint => (time === null ? 0n : BigInt(Date.parse(time)));
  const { size, root, time, previous, keyId, signature } = known.head;
  const head = LogHead.fromPartial({
    logId: Buffer.from(known.logId, 'hex'),
    size: BigInt(size),
    root: Buffer.from(root, 'base64'),
    timeMs: ms(time),
    previous: Buffer.from(previous, 'base64'),
    keyId: Buffer.from(keyId, 'hex'),
    signature: Buffer.from(signature, 'base64'),
  });
  const keys = known.keys.map(({ publicKey, from, until }) =>
    LogKey.fromPartial({ publicKey: Buffer.from(publicKey, 'base64'), fromMs: ms(from), untilMs: ms(until) }),
  );
  return { head, keys };
}

/**
 * A head as somebody may hold one: a file of `eduk audit head`, the saved answer of `/.well-known/eduk-log-keys`, a receipt with
 * its proof, or a head as it came with an answer (bytes, or those in base64). Throws `Problem`.
 */
export function readHead(bytes: Buffer, name: string): KeptHead {
  const fail = (): never => {
    throw new Problem('wire.unreadable', `${name} holds no head of a log.`);
  };
  const text = bytes.toString('utf8').trim();
  let kept: KeptHead;
  try {
    if (text.startsWith('{')) {
      const read = JSON.parse(text) as { logId?: string; head?: unknown; keys?: unknown; proof?: { head?: unknown } };
      kept =
        typeof read.logId === 'string'
          ? keptOf(read as WellKnown)
          : {
              head: LogHead.fromJSON(read.head ?? read.proof?.head ?? {}),
              keys: Array.isArray(read.keys) ? read.keys.map((key) => LogKey.fromJSON(key)) : [],
            };
    } else
      kept = {
        head: LogHead.decode(/^[\w+/=-]+$/.test(text) ? Buffer.from(text, 'base64') : bytes),
        keys: [],
      };
  } catch {
    return fail(); // What the parser says may quote the file.
  }
  return kept.head.logId.length === 32 && kept.head.root.length === 32 ? kept : fail();
}

/** What was found wrong. */
export interface Finding {
  /**
   * `removed`, `changed` (leaves changed, added or taken out among those that stand under a head), `truncated`, `forked`, `other_log`, `signature`,
   * `key`, `head` (a head that does not follow from the one before), `proof` (the leaves are well, what the gateway stored of the tree is not),
   * `empty`.
   */
  kind: string;
  told: string;
}

export interface Verdict {
  head: LogHead | undefined;
  keys: readonly LogKey[];
  /** Leaves that were read and put together. */
  leaves: number;
  /** Leaves that are no longer kept, of which only what they are under stands. */
  past: number;
  findings: readonly Finding[];
}

export interface LogPage {
  head?: LogHead | undefined;
  keys: readonly LogKey[];
  leaves: readonly Leaf[];
  trunks: readonly Trunk[];
  consistency: readonly Uint8Array[];
  heads: readonly LogHead[];
}

export interface Asked {
  from: bigint;
  limit: number;
  sinceSize: bigint;
  headsAbove?: bigint;
}

const PAGE = 2000;
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b);

/** Hears how far it is: heads that were looked at, and leaves of all that the tree was made of. */
export interface Told {
  heads(looked: number): void;
  leaves(put: number, all: number): void;
}

/**
 * Reads the whole log, makes its tree anew, and compares it with its newest head, with every head on the way, and with one that was kept
 * since. Without that a log that was written anew from its beginning looks like any other.
 */
export async function verifyLog(
  ask: (asked: Asked) => Promise<LogPage>,
  since: KeptHead | undefined,
  told: Told = { heads: () => undefined, leaves: () => undefined },
): Promise<Verdict> {
  const findings: Finding[] = [];
  const find = (kind: string, told: string): void => void findings.push({ kind, told });
  const first = await ask({ from: 0n, limit: 0, sinceSize: since?.head.size ?? 0n });
  const { head, keys } = first;
  if (head === undefined) {
    if (since) find('truncated', `The log has no head; it had ${since.head.size} leaves.`);
    else find('empty', 'Nothing was signed yet.');
    return { head, keys, leaves: 0, past: 0, findings };
  }
  const signer = keys.find(({ publicKey }) => same(keyIdOf(publicKey), head.keyId));
  if (!signer || !isSignedBy(head, signer.publicKey))
    find('signature', 'The newest head is not signed by a key of the log.');
  if (since) against(since, head, keys, find);

  const heads = await allHeads(ask, head, keys, find, told);
  const made = await makeAnew(ask, head, since, heads, find, told);
  if (since && same(since.head.logId, head.logId) && since.head.size <= head.size) {
    const proven = provesConsistency(
      Number(since.head.size),
      since.head.root,
      Number(head.size),
      head.root,
      since.head.size === head.size ? [] : first.consistency,
    );
    // Where leaves are not what the log itself signed, nothing that is made of them says whether the earlier head is one of its own: its heads do.
    const own = heads.get(Number(since.head.size));
    if (own && !same(own.root, since.head.root))
      find('forked', `Of its first ${since.head.size} leaves the log signed another head than the earlier one.`);
    else if (made.newest && made.since === false)
      find('forked', `The first ${since.head.size} leaves are not those that the earlier head was signed over.`);
    else if (made.newest && made.since && !proven)
      find(
        'proof',
        'The leaves are those of both heads, but the proof that the gateway gave is not: what it stores of the tree is damaged.',
      );
    else if (!own && !proven) find('forked', 'The earlier head is not proven to be the beginning of the log.');
  }
  return { head, keys, leaves: made.leaves, past: made.past, findings };
}

/** What two heads alone say of each other. */
function against(
  since: KeptHead,
  head: LogHead,
  keys: readonly LogKey[],
  find: (kind: string, told: string) => void,
): void {
  const believed = since.keys.length > 0 ? since.keys : keys;
  const by = believed.find(({ publicKey }) => same(keyIdOf(publicKey), since.head.keyId));
  if (!by || !isSignedBy(since.head, by.publicKey))
    find('signature', 'The earlier head is not signed by the key it names.');
  for (const key of since.keys)
    if (!keys.some(({ publicKey }) => same(publicKey, key.publicKey)))
      find('key', `The key ${hex(keyIdOf(key.publicKey))} is no longer in the history.`);
  if (!same(since.head.logId, head.logId)) find('other_log', 'This is another log than that of the earlier head.');
  else if (head.size < since.head.size)
    find('truncated', `The log has ${head.size} leaves; it had ${since.head.size} before.`);
}

/** Every head that is kept: each signed, each following from the one before. */
async function allHeads(
  ask: (asked: Asked) => Promise<LogPage>,
  newest: LogHead,
  keys: readonly LogKey[],
  find: (kind: string, told: string) => void,
  { heads: looked }: Told,
): Promise<ReadonlyMap<number, LogHead>> {
  const heads = new Map<number, LogHead>();
  let before: LogHead | undefined;
  let isTold = false;
  const tell = (kind: string, told: string): void => {
    if (!isTold) find(kind, told);
    isTold = true;
  };
  for (let above = 0n; ; ) {
    const { heads: page } = await ask({ from: 0n, limit: 0, sinceSize: 0n, headsAbove: above });
    for (const head of page) {
      if (head.size > newest.size) break;
      const by = keys.find(({ publicKey }) => same(keyIdOf(publicKey), head.keyId));
      if (!by || !isSignedBy(head, by.publicKey))
        tell('signature', `The head of ${head.size} leaves is not signed by a key of the log.`);
      if (before && !same(head.previous, headDigest(before)))
        tell(
          'head',
          `The head of ${head.size} leaves does not follow from that of ${before.size}: one between them was taken out or changed.`,
        );
      before = head;
      heads.set(Number(head.size), head);
    }
    looked(heads.size);
    const last = page.at(-1);
    if (!last || last.size >= newest.size) break;
    above = last.size;
  }
  if (!before || before.size !== newest.size || !same(before.root, newest.root))
    tell('head', 'The newest head is not among the heads that are kept.');
  return heads;
}

/** `since`, `newest`: whether the root at that size is the one that was signed; undefined = it was not come to. */
async function makeAnew(
  ask: (asked: Asked) => Promise<LogPage>,
  head: LogHead,
  kept: KeptHead | undefined,
  heads: ReadonlyMap<number, LogHead>,
  find: (kind: string, told: string) => void,
  { leaves: put }: Told,
): Promise<{ leaves: number; past: number; since?: boolean; newest?: boolean }> {
  const peaks = new Peaks();
  const size = Number(head.size);
  const sinceSize = kept && kept.head.size <= head.size ? Number(kept.head.size) : -1;
  let leaves = 0;
  let past = 0;
  let good = 0;
  let since: boolean | undefined;
  let newest: boolean | undefined;
  /** Compares with what was signed at this size. */
  const look = (): void => {
    const at = peaks.size;
    const signed = heads.get(at);
    const isEnd = at === size;
    if (signed === undefined && at !== sinceSize && !isEnd) return;
    const root = peaks.root();
    if (at === sinceSize) since = same(root, kept!.head.root);
    if (isEnd) newest = same(root, head.root);
    if (signed && same(root, signed.root)) good = at;
    else if ((signed || isEnd) && !wrong) {
      wrong = true;
      find(
        'changed',
        `Among the leaves from ${good} up to ${at} something was changed, added or taken out: they do not give the root that was signed.`,
      );
    }
  };
  let wrong = false;
  look();
  while (peaks.size < size) {
    const page = await ask({ from: BigInt(peaks.size), limit: PAGE, sinceSize: 0n });
    for (const { level, index, hash } of page.trunks) {
      if (Number(index) * 2 ** level !== peaks.size || peaks.size + 2 ** level > size) break;
      peaks.addWhole(level, hash);
      past += 2 ** level;
      look();
    }
    for (const { index, salt, record } of page.leaves) {
      if (Number(index) >= size) break;
      if (Number(index) !== peaks.size) {
        find('removed', `Leaf ${peaks.size} is not there.`);
        return { leaves, past, ...(since === undefined ? {} : { since }), newest: false };
      }
      peaks.add(recordLeaf(salt, record));
      leaves += 1;
      look();
    }
    put(peaks.size, size);
    if (page.leaves.length === 0 && page.trunks.length === 0) {
      // Where one was taken out further back and the others moved up, that is told already.
      if (!wrong) find('removed', `Leaves from ${peaks.size} up to ${size} are not there.`);
      return { leaves, past, ...(since === undefined ? {} : { since }), newest: false };
    }
  }
  return { leaves, past, ...(since === undefined ? {} : { since }), ...(newest === undefined ? {} : { newest }) };
}
