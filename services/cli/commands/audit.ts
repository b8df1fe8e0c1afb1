/** The log of what was done: its heads, whether it is what it was, and who was given what of a school. */
import { readFileSync, writeFileSync } from 'node:fs';
import { keyIdOf } from '#kernel';
import type { LogRow, SearchLogResponse } from '#proto/eduk/audit/v1/audit';
import { type AuditKind, auditKindFromJSON, auditKindToJSON } from '#proto/eduk/core/v1/audit';
import { type Asked, headFile, hex, type KeptHead, readHead, verifyLog } from '../audit-log.ts';
import { day, oin, schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';
import { following } from '../progress.ts';

/** A file that is named on the command line; wrong use where it cannot be read. */
export function readFileNamed(name: string): Buffer {
  try {
    return readFileSync(name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw misuse(`${name} cannot be read: ${code === 'ENOENT' ? 'it is not there' : code}.`);
  }
}

export function writeFileNamed(name: string, text: string): void {
  try {
    writeFileSync(name, text);
  } catch (error) {
    throw misuse(`${name} cannot be written (${(error as NodeJS.ErrnoException).code}).`);
  }
}

const NO_EARLIER =
  'Without an earlier head (--since-head) this cannot show that the log was not written anew as a whole, or cut off and signed again: only that it is one with its own heads. Keep a head elsewhere with eduk audit head --out FILE.';

const out = { about: 'Keep the head in this file, for --since-head another time.', value: 'FILE' } as const;

export const auditHead: Command = {
  name: 'audit head',
  about: 'Show the newest signed head of the log of what was done, and its keys; keep it.',
  flags: { out },
  async run(call): Promise<Result> {
    const { head, keys } = await call.gateway().ask('readAuditLog', {});
    if (head === undefined)
      throw new Problem('state.missing', 'Nothing was signed yet: nothing was done, or just now.');
    const file = call.one('out');
    if (file !== undefined) writeFileNamed(file, headFile({ head, keys }));
    return {
      json: {
        logId: hex(head.logId),
        size: Number(head.size),
        root: hex(head.root),
        time: isoTime(head.timeMs),
        previous: hex(head.previous),
        keyId: hex(head.keyId),
        signature: hex(head.signature),
        keys: keys.map(({ publicKey, fromMs, untilMs }) => ({
          keyId: hex(keyIdOf(publicKey)),
          publicKey: Buffer.from(publicKey).toString('base64'),
          from: isoTime(fromMs),
          until: isoTime(untilMs),
        })),
      },
      text: list([
        ['log', hex(head.logId)],
        ['leaves', head.size],
        ['root', hex(head.root)],
        ['signed at', dutchTime(head.timeMs)],
        ['key', hex(head.keyId)],
      ]),
      said: file === undefined ? undefined : `Kept in ${file}; keep it where this machine's operator cannot change it.`,
    };
  },
};

export const auditVerify: Command = {
  name: 'audit verify',
  about: 'Make the tree of the log of what was done anew; compare it with its heads and a kept one.',
  flags: {
    'since-head': {
      about: 'File with a head that was kept before, or that a party got with an answer.',
      value: 'FILE',
    },
    out,
  },
  notes: [
    'Finds leaves that were removed, changed or put in, a log that was cut off, and one that forked since the earlier head.',
    'Without an earlier head it says what it cannot find.',
  ],
  async run(call): Promise<Result> {
    const kept = call.one('since-head');
    const since = kept === undefined ? undefined : readHead(readFileNamed(kept), kept);
    const gateway = call.gateway();
    const ask = ({ from, limit, sinceSize, headsAbove }: Asked) =>
      gateway.ask('readAuditLog', { from, limit, sinceSize, ...(headsAbove === undefined ? {} : { headsAbove }) });
    const verdict = await following(call, { words: 'heads looked at' }, (progress) => {
      let isLeaves = false;
      return verifyLog(ask, since, {
        heads: (looked) => progress.set(looked),
        leaves: (put, all) => {
          if (!isLeaves) progress.stage({ words: 'leaves put together', all });
          isLeaves = true;
          progress.set(put);
        },
      });
    });
    const { head, keys, leaves, past, findings } = verdict;
    const fine = findings.length === 0;
    const file = call.one('out');
    if (fine && head && file !== undefined) writeFileNamed(file, headFile({ head, keys }));
    return {
      exit: fine ? 0 : 1,
      json: {
        ok: fine,
        size: Number(head?.size ?? 0n),
        head: head ? hex(head.root) : null,
        time: head ? isoTime(head.timeMs) : null,
        leavesRead: leaves,
        leavesNoLongerKept: past,
        since: since ? Number(since.head.size) : null,
        cannotSee: since ? null : NO_EARLIER,
        findings,
      },
      text: [
        verdictWords(verdict.findings),
        list(since ? sinceRows(since, head?.size ?? 0n, leaves, past) : rows(head?.size ?? 0n, leaves, past)),
      ]
        .filter((part) => part !== '')
        .join('\n\n'),
      said: since ? undefined : paragraph(NO_EARLIER),
    };
  },
};

const rows = (size: bigint, leaves: number, past: number): [string, string | bigint][] => [
  ['leaves', size],
  ['made anew from', `${counted(leaves, 'leaf', 'leaves')}${past > 0 ? `, and ${past} that are no longer kept` : ''}`],
];
const sinceRows = (since: KeptHead, size: bigint, leaves: number, past: number): [string, string | bigint][] => [
  ...rows(size, leaves, past),
  ['earlier head', `${counted(since.head.size, 'leaf', 'leaves')}, signed ${dutchTime(since.head.timeMs)}`],
];

const verdictWords = (findings: readonly { kind: string; told: string }[]): string =>
  findings.length === 0
    ? 'The log is what its heads say.'
    : findings.map(({ kind, told }) => paragraph(`${kind}: ${told}`)).join('\n');

export const auditAccess: Command = {
  name: 'audit access',
  about: 'List who was given data of a school’s people, for which purpose, and how often.',
  flags: {
    school: { ...schoolFlag('The school whose people it is about.'), required: true },
    from: { about: 'From this day.', value: 'DAY', check: day },
    to: { about: 'Up to and with this day.', value: 'DAY', check: day },
  },
  notes: ['Each answer and delivery counts its people: who was shown twice counts twice. Days are Dutch.'],
  async run(call: Call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const [from, to] = [call.one('from'), call.one('to')];
    if (from !== undefined && to !== undefined && from > to) throw misuse('--from is a later day than --to.');
    const { rows: given, names } = await call.gateway().ask('listAccess', {
      schoolOin,
      fromDay: from ?? '',
      toDay: to ?? '',
    });
    const nameOf = new Map(names.map(({ oin: of, name }) => [of, name]));
    // A slip in the number must not read as a school that nobody was shown.
    if (given.length === 0 && !nameOf.has(schoolOin))
      throw new Problem('state.missing', 'No school is registered under this OIN.');
    return {
      json: given.map(({ partyOin, purpose, day: on, attributes, times, people, lastIndex }) => ({
        partyOin,
        partyName: nameOf.get(partyOin) ?? null,
        purpose,
        day: on,
        attributes,
        times: Number(times),
        people: Number(people),
        leaf: Number(lastIndex),
      })),
      text:
        given.length === 0
          ? 'Nobody was given anything of this school’s people.'
          : table(
              ['day', 'party', 'purpose', 'attributes', 'times', 'people'],
              given.map(({ partyOin, purpose, day: on, attributes, times, people }) => [
                on,
                nameOf.get(partyOin) ?? partyOin,
                purpose,
                attributes.join(', '),
                times,
                people,
              ]),
            ),
    };
  },
};

const kinds = ['accepted', 'refused', 'released', 'revealed', 'mandate', 'operator', 'signed_in'] as const;
const kindWord = (kind: AuditKind): string => auditKindToJSON(kind).replace('AUDIT_KIND_', '').toLowerCase();
const whole = (value: string): string | undefined => (/^\d{1,15}$/.test(value) ? undefined : 'must be a whole number');
/** Pages of which one answer is made, at most: of what is found the first stand there, and how to go on. */
const PAGES = 20;

export const auditSearch: Command = {
  name: 'audit search',
  about: 'Search the log of what was done by day, party, school, kind and method, newest first.',
  flags: {
    from: { about: 'From this day.', value: 'DAY', check: day },
    to: { about: 'Up to and with this day.', value: 'DAY', check: day },
    party: { about: 'Whose it is, or who acted for another.', value: 'OIN', check: oin },
    school: schoolFlag('About this school.'),
    kind: { about: 'What kind of thing was done.', value: 'KIND', choices: kinds },
    method: { about: 'By this method, such as OrderService/PlaceOrder.', value: 'METHOD' },
    limit: { about: 'So many at most, up to 200; without it 50.', value: 'N', check: whole },
    before: { about: 'Only before this leaf, as the answer before said.', value: 'LEAF', check: whole },
  },
  notes: ['Days are Dutch. By their place in the log, which may differ a little from when they were done.'],
  async run(call: Call): Promise<Result> {
    const [from, to] = [call.one('from') ?? '', call.one('to') ?? ''];
    if (from !== '' && to !== '' && from > to) throw misuse('--from is a later day than --to.');
    const limit = Number(call.one('limit') ?? 50);
    if (limit < 1 || limit > 200) throw misuse('--limit is from 1 to 200.');
    const kind = call.one('kind');
    const gateway = call.gateway();
    const names = new Map<string, string>();
    const rows: LogRow[] = [];
    const start = call.one('before');
    let before = start === undefined ? undefined : BigInt(start);
    let last: SearchLogResponse | undefined;
    let first: SearchLogResponse | undefined;
    const look = async (): Promise<void> => {
      const { found, names: named } = await gateway.ask('searchAuditLog', {
        asked: {
          fromDay: from,
          toDay: to,
          partyOin: call.one('party') ?? '',
          schoolOin: call.one('school') ?? '',
          kind: kind === undefined ? 0 : auditKindFromJSON(`AUDIT_KIND_${kind.toUpperCase()}`),
          method: call.one('method') ?? '',
          limit: limit - rows.length,
          before,
        },
      });
      for (const { oin: of, name } of named) names.set(of, name);
      rows.push(...(found?.rows ?? []));
      last = found;
      first ??= found;
      before = found?.before;
    };
    await following(call, { words: 'pages of the log looked through' }, async (progress) => {
      for (let pages = 0; pages < PAGES && (pages === 0 || before !== undefined) && rows.length < limit; pages++) {
        await look();
        progress.add(1);
      }
    });
    const size = Number(last?.head?.size ?? 0n);
    const nameOf = (of: string): string => names.get(of) ?? of;
    const covered = last && first && first.coveredTo > last.coveredFrom;
    const told = [
      covered
        ? `Looked at leaves ${last!.coveredFrom} to ${first!.coveredTo - 1n}, of ${dutchTime(last!.coveredFromMs)} to ${dutchTime(first!.coveredToMs)}.`
        : 'The log has no leaves of these days.',
      before === undefined
        ? last && last.keptFromMs > 0n
          ? `That is all that was asked for; the log is kept from ${dutchTime(last.keptFromMs)}.`
          : ''
        : `There is more to look at: go on with --before ${before}.`,
      last?.head
        ? `A head signed ${dutchTime(last.head.timeMs)} holds the first ${counted(last.head.size, 'leaf', 'leaves')}; whether they are what they were: eduk audit verify.`
        : 'Nothing was signed yet.',
    ];
    return {
      json: {
        rows: rows.map((row) => ({
          leaf: Number(row.index),
          time: isoTime(row.atMs),
          kind: kindWord(row.kind),
          partyOin: row.partyOin || null,
          partyName: names.get(row.partyOin) ?? null,
          actedBy: row.actedBy || null,
          schoolOins: row.schoolOins,
          methods: row.methods,
          code: row.code || null,
          purpose: row.purpose || null,
          attributes: row.attributes,
          times: Number(row.times),
          people: Number(row.people),
          flowId: row.receiptId || null,
          signed: Number(row.index) < size,
        })),
        covered: covered
          ? {
              fromLeaf: Number(last!.coveredFrom),
              toLeaf: Number(first!.coveredTo) - 1,
              from: isoTime(last!.coveredFromMs),
              to: isoTime(first!.coveredToMs),
            }
          : null,
        before: before === undefined ? null : Number(before),
        keptFrom: last && last.keptFromMs > 0n ? isoTime(last.keptFromMs) : null,
        head: last?.head ? { size, root: hex(last.head.root), time: isoTime(last.head.timeMs) } : null,
      },
      text:
        rows.length === 0
          ? 'Nothing was found.'
          : table(
              ['leaf', 'time', 'kind', 'party', 'school', 'what', 'times', 'people'],
              rows.map((row) => [
                `${row.index}${Number(row.index) < size ? '' : ' *'}`,
                dutchTime(row.atMs),
                kindWord(row.kind),
                [nameOf(row.partyOin), row.actedBy && `by ${nameOf(row.actedBy)}`].filter(Boolean).join('\n'),
                row.schoolOins.map(nameOf).join('\n'),
                [...row.methods, row.purpose, row.code].filter(Boolean).join('\n'),
                row.times,
                row.people,
              ]),
            ),
      said: [...told, ...(rows.some(({ index }) => Number(index) >= size) ? ['* = no head holds it yet.'] : [])]
        .filter(Boolean)
        .map((one) => paragraph(one))
        .join('\n'),
    };
  },
};
