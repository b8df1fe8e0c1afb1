/** The log of what was done: its heads, whether it is what it was, and who was given what of a school. */
import { readFileSync, writeFileSync } from 'node:fs';
import { keyIdOf } from '#kernel';
import { type Asked, headFile, hex, type KeptHead, readHead, verifyLog } from '../audit-log.ts';
import { day, schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';

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
    const verdict = await verifyLog(
      ({ from, limit, sinceSize, headsAbove }: Asked) =>
        gateway.ask('readAuditLog', { from, limit, sinceSize, ...(headsAbove === undefined ? {} : { headsAbove }) }),
      since,
    );
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
