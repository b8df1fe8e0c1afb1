/** Receipts: made whole by the gateway, checked without it. */
import { keyIdOf, type OfReceipt, type ProofProblem, proofProblem, receiptsIn, recordOf } from '#kernel';
import { AuditKind, type AuditRecord, LogKey, LogProof } from '#proto/eduk/core/v1/audit';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { hex } from '../audit-log.ts';
import type { Call, Command, Result } from '../command.ts';
import { isOfMessage } from '../messages.ts';
import { dutchTime, isoTime, list } from '../print.ts';
import { asProblem, misuse, Problem } from '../problem.ts';
import { readFileNamed, writeFileNamed } from './audit.ts';

/** What a file may hold: the answer of a write, that of GetReceipt, or both, as JSON. */
interface Kept {
  receipt: Receipt | undefined;
  proof: LogProof | undefined;
  /** Which of the receipts that the record is about; empty = not said. */
  receiptId: string;
}

const WAIT_MS = 15_000n;
/** How long messages of one record may have waited for each other: a call ends after that. */
const TOGETHER_MS = 60_000n;

function readKept(name: string): { kept: Kept; json: Record<string, unknown> } {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(readFileNamed(name).toString('utf8')) as Record<string, unknown>;
    const { receipt, proof, receiptId } = json;
    const kept: Kept = {
      receipt: receipt ? Receipt.fromJSON(receipt) : undefined,
      proof: proof ? LogProof.fromJSON(proof) : undefined,
      receiptId: typeof receiptId === 'string' ? receiptId : '',
    };
    kept.receiptId = kept.receipt?.receiptId || kept.receiptId;
    if (kept.receipt || kept.proof) return { kept, json };
  } catch (thrown) {
    if (thrown instanceof Problem) throw thrown;
    // What the parser says may quote the file.
  }
  throw new Problem(
    'wire.unreadable',
    `${name} holds neither a receipt nor a proof (JSON with \`receipt\` or \`proof\`).`,
  );
}

const problems: Record<ProofProblem, string> = {
  incomplete: 'The proof lacks a part.',
  signature: 'The head was not signed by the key in the proof.',
  path: 'The record is not proven to stand in the log of that head: record, salt, place or path was changed.',
};

/** Key ids in a file: of /.well-known/eduk-log-keys, of eduk audit head, or a public key in base64 or PEM. */
function keysIn(name: string): Set<string> {
  const text = readFileNamed(name).toString('utf8').trim();
  const bytes: Uint8Array[] = [];
  try {
    if (text.startsWith('{')) {
      const { keys } = JSON.parse(text) as { keys?: unknown[] };
      for (const key of keys ?? []) bytes.push(LogKey.fromJSON(key).publicKey);
    } else bytes.push(Buffer.from(text.replace(/-----[A-Z ]+-----/g, ''), 'base64'));
  } catch {
    // Told below.
  }
  if (bytes.length === 0 || bytes.some(({ length }) => length !== 44))
    throw new Problem('wire.unreadable', `${name} holds no Ed25519 public key.`);
  return new Set(bytes.map((key) => hex(keyIdOf(key))));
}

const kinds = new Map<number, string>(
  Object.entries(AuditKind).map(([name, number]) => [number, name.replace('AUDIT_KIND_', '').toLowerCase()]),
);

/** Asks the running gateway for the proof. `answered` = one is running; no proof then = no signed head holds it. */
async function askProof(call: Call, receiptId: string): Promise<{ answered: boolean; proof: LogProof | undefined }> {
  try {
    const { proof } = await call.gateway().ask('showReceipt', { receiptId, waitMs: WAIT_MS });
    return { answered: true, proof };
  } catch (thrown) {
    const { code } = asProblem(thrown);
    if (code === 'peer.unavailable') return { answered: false, proof: undefined };
    // A gateway that knows nothing of a receipt has no head that holds it either.
    if (code === 'state.missing') return { answered: true, proof: undefined };
    throw thrown;
  }
}

export const fetchReceipt: Command = {
  name: 'receipt fetch',
  about: 'Get the proof of a receipt: where its record stands in the log of what was done.',
  arguments: [{ name: 'RECEIPT', about: 'Its id (`receipt_id`); of a message that is its flow id.' }],
  flags: { out: { about: 'Write the proof to this file, for eduk receipt verify.', value: 'FILE' } },
  async run(call): Promise<Result> {
    const receiptId = call.args('RECEIPT')[0]!;
    const { proof } = await call.gateway().ask('showReceipt', { receiptId, waitMs: WAIT_MS });
    if (!proof)
      throw new Problem(
        'state.missing',
        'No signed head holds this receipt: it is not known, or was accepted less than a minute ago.',
      );
    const json = { receiptId, proof: LogProof.toJSON(proof) };
    const file = call.one('out');
    if (file !== undefined) writeFileNamed(file, `${JSON.stringify(json, null, 2)}\n`);
    // What the gateway keeps may have been changed; the file is evidence of that too.
    const problem = proofProblem(proof);
    if (problem)
      throw new Problem('state.conflict', `What the gateway gave proves nothing. ${problems[problem]}`, { who: 'us' });
    return { json, text: list(rowsOf(proof, receiptId)), said: file === undefined ? undefined : `Written to ${file}.` };
  },
};

/** What the record of a proof says of a receipt; where none is named, of the only one that it is about. */
function ofReceipt(record: AuditRecord, receiptId: string): OfReceipt | undefined {
  const all = receiptsIn(record);
  return receiptId === '' ? (all.length === 1 ? all[0] : undefined) : all.find((one) => one.receiptId === receiptId);
}

function rowsOf(proof: LogProof, receiptId: string): [string, string | bigint][] {
  const record = recordOf(proof);
  const of = ofReceipt(record, receiptId) ?? record;
  return [
    ['what', kinds.get(record.kind) ?? ''],
    ['when', dutchTime(record.atMs)],
    ['party', record.partyOin],
    ['school', of.schoolOin],
    ['method', of.method],
    ['receipt', of.receiptId],
    ['messages', of.times],
    ['leaf', `${proof.index} of ${proof.head?.size ?? 0n}`],
    ['signed at', dutchTime(proof.head?.timeMs ?? 0n)],
    ['key', hex(proof.head?.keyId ?? new Uint8Array(0))],
  ];
}

export const verifyReceipt: Command = {
  name: 'receipt verify',
  about: 'Check a receipt with nothing but its file; a promise is made whole first, by the running gateway.',
  arguments: [{ name: 'FILE', about: 'JSON: the answer of a write (`receipt`), of GetReceipt (`proof`), or both.' }],
  flags: {
    key: {
      about:
        'File with the key that is believed: /.well-known/eduk-log-keys as it was kept, a head of eduk audit head, or a public key.',
      value: 'FILE',
    },
    message: {
      about: 'File with the message as it was sent, JSON or encoded: check that the receipt is of it.',
      value: 'FILE',
    },
  },
  notes: [
    'Without --key it says by which key the head was signed: whoever made up the file could have made up the key.',
    'A promise that is made whole is written back to the file.',
    '--message needs the receipt in the file, for its salt. A group of a stream has none: its sender proves it.',
  ],
  alone: true,
  async run(call): Promise<Result> {
    const name = call.args('FILE')[0]!;
    const { kept, json } = readKept(name);
    const pinned = call.one('key') === undefined ? undefined : keysIn(call.one('key')!);
    let { proof } = kept;
    let completed = false;
    if (!proof) {
      const { receiptId, mergedByMs } = kept.receipt!;
      if (receiptId === '')
        throw misuse('This receipt is of a version without an id: nothing more can be proven of it.');
      const asked = await askProof(call, receiptId);
      proof = asked.proof;
      if (!proof) return promised(call, receiptId, mergedByMs, asked.answered);
      completed = true;
      writeFileNamed(name, `${JSON.stringify({ ...json, proof: LogProof.toJSON(proof) }, null, 2)}\n`);
    }
    const problem = proofProblem(proof);
    const wrong =
      (problem && problems[problem]) ??
      unlike(kept, proof) ??
      (pinned && !pinned.has(hex(proof.head!.keyId))
        ? 'The head was signed by another key than the one that is believed.'
        : undefined);
    if (wrong) throw new Problem('state.conflict', wrong, { who: 'us' });
    const record = recordOf(proof);
    const of = ofReceipt(record, kept.receiptId);
    const file = call.one('message');
    if (file !== undefined) await checkMessage(kept, (of ?? record).method, readFileNamed(file));
    return {
      json: {
        valid: true,
        messageChecked: file !== undefined,
        keyBelieved: pinned !== undefined,
        keyId: hex(proof.head!.keyId),
        completed,
        kind: kinds.get(record.kind) ?? '',
        at: isoTime(record.atMs),
        partyOin: record.partyOin,
        schoolOin: (of ?? record).schoolOin || null,
        method: (of ?? record).method,
        receiptId: of?.receiptId ?? null,
        messages: Number((of ?? record).times),
        leaf: of ? hex(of.content) : null,
        index: Number(proof.index),
        head: { logId: hex(proof.head!.logId), size: Number(proof.head!.size), time: isoTime(proof.head!.timeMs) },
      },
      text: `It is proven to stand in the log${file === undefined ? '' : ', and to be of this message'}.\n\n${list(rowsOf(proof, kept.receiptId))}`,
      said:
        [
          completed ? `The proof was asked of the gateway, and is in ${name} now.` : '',
          pinned === undefined
            ? 'The key stands in the file itself: compare it with the one that you kept, or name that with --key.'
            : '',
        ]
          .filter(Boolean)
          .join('\n') || undefined,
    };
  },
};

/** Throws `Problem` where a receipt is not of this message. */
async function checkMessage({ receipt }: Kept, method: string, file: Uint8Array): Promise<void> {
  if (receipt === undefined)
    throw misuse('--message needs the receipt in the file beside the proof: its salt stands in no proof.');
  const { salt, leaf } = receipt;
  if (salt.length === 0)
    throw misuse('This receipt is of a group of a stream: it has no salt, and no message of its own.');
  if (!(await isOfMessage(file, { method, salt, leaf })))
    throw new Problem('state.conflict', 'The receipt is of another message than the one in the file.', {
      who: 'sender',
    });
}

/**
 * Whether a receipt may say this moment: that of its record, or as much earlier as messages wait for each other. What of a group was
 * accepted before, was that long ago.
 */
function mayBeAt(acceptedMs: bigint, { atMs, messages, replaces }: AuditRecord): boolean {
  if (messages.length > 0) return acceptedMs <= atMs && atMs - acceptedMs <= TOGETHER_MS;
  return replaces === '' ? acceptedMs === atMs : acceptedMs <= atMs;
}

/** What a receipt says otherwise than the record that was proven. */
function unlike({ receipt, receiptId }: Kept, proof: LogProof): string | undefined {
  const record = recordOf(proof);
  const isIts = ({ content }: OfReceipt): boolean =>
    receipt === undefined || Buffer.from(content).equals(Buffer.from(receipt.leaf));
  // A receipt that does not say its id is known by its leaf alone.
  if (receiptId === '')
    return receipt === undefined || receiptsIn(record).some(isIts) ? undefined : 'The proof is of another receipt.';
  const of = ofReceipt(record, receiptId);
  if (of === undefined) return 'The proof is of another receipt.';
  if (!isIts(of))
    return 'The log holds another leaf for this receipt: the message that was accepted is not the one that was answered.';
  if (receipt !== undefined && !mayBeAt(receipt.acceptedMs, record))
    return 'The receipt says another moment than the log: it was changed since it was given.';
  return undefined;
}

function promised(call: Call, receiptId: string, mergedByMs: bigint, answered: boolean): Result {
  const by = dutchTime(mergedByMs);
  const late = Number(mergedByMs) < call.streams.now();
  if (!answered)
    // Whether the promise was kept cannot be known here, and its holder is the one who can ask.
    throw new Problem(
      'state.missing',
      `This is a promise ${late ? 'that a signed head would hold it by' : 'until'} ${by}, and no gateway answers here: fetch its proof with AuditService.GetReceipt.`,
      { who: 'sender' },
    );
  throw new Problem(
    'state.missing',
    late
      ? `This was promised for ${by}, and the gateway that answers here has no signed head that holds receipt ${receiptId}: it is of another gateway, or the promise is broken.`
      : `This is a promise until ${by}: ask again then.`,
    { who: 'us' },
  );
}
