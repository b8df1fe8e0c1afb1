/** Answers eduk.audit.v1 from rows as of the last commit. */
import { callBegan, type EngineView } from '#bus';
import {
  consistencyPath,
  decodedWith,
  GatewayError,
  type Handlers,
  type Implementation,
  implement,
  inclusionPath,
  mergedSketch,
  type Waiters,
} from '#kernel';
import {
  type AccessRow as AccessAnswer,
  AuditServiceDefinition,
  type ReachRow as ReachAnswer,
  type Trunk,
} from '#proto/eduk/audit/v1/audit';
import { AuditRecord, type LogHead, type LogKey, type LogProof } from '#proto/eduk/core/v1/audit';
import { logOf } from './consume.ts';
import { searchLog } from './search.ts';
import {
  accessTable,
  type HeadRow,
  headsTable,
  keysTable,
  type LeafRow,
  leavesTable,
  reachTable,
  receiptsTable,
  useTable,
} from './tables.ts';
import { subtreesOf, TILE } from './tree.ts';

const LONGEST_WAIT_MS = 60_000;
const MOST_LEAVES = 2000;
const MOST_HEADS = 500;
const MOST_ROWS = 10_000;
/** Rows that one page of what a party was given, or of uses, is made from. */
const REACH_ROWS = 5000;
const USE_ROWS = 5000;
const NONE = new Uint8Array(0);
/** Behind every purpose. */
const LAST = '~';
/** Under which those wait who want a head. */
export const HEADS = 'heads';

const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

const emptyReach = {
  schoolOin: '',
  firstDay: '',
  lastDay: '',
  days: 0,
  times: 0n,
  people: 0n,
  learners: NONE,
  staff: NONE,
  uncountedDays: 0,
  uncountedUntil: '',
};

export function serve(engine: EngineView, waiters: Waiters): readonly Implementation[] {
  engine.onCommit((_touched, elsewhere) => waiters.settled(elsewhere));
  const headOf = (row: Readonly<HeadRow>): LogHead => ({
    logId: logOf(engine).logId,
    size: BigInt(row.size),
    root: row.root,
    timeMs: BigInt(row.timeMs),
    previous: row.previous,
    keyId: bytesOf(row.keyId),
    signature: row.signature,
  });
  const newest = (): LogHead | undefined => {
    const row = engine.get(headsTable, logOf(engine).headSize);
    return row && headOf(row);
  };
  const keys = (): LogKey[] =>
    engine
      .list(keysTable, { equals: [] })
      .map(({ publicKey, fromMs, untilMs }) => ({ publicKey, fromMs: BigInt(fromMs), untilMs: BigInt(untilMs) }))
      .sort((a, b) => Number(a.fromMs - b.fromMs));
  const leafOf = (receiptId: string, partyOin: string): Readonly<LeafRow> | undefined => {
    const row = engine.get(receiptsTable, receiptId);
    const leaf = row && engine.get(leavesTable, row.n);
    if (!leaf || partyOin === '') return leaf;
    return decodedWith(AuditRecord, leaf.record).partyOin === partyOin ? leaf : undefined;
  };
  /** Once a head holds its leaf. */
  const proofOf = (receiptId: string, partyOin: string): LogProof | undefined => {
    const leaf = leafOf(receiptId, partyOin);
    const { headSize } = logOf(engine);
    const row = engine.get(headsTable, headSize);
    if (!leaf || !row || leaf.n >= headSize) return undefined;
    const { publicKey, fromMs, untilMs } = engine.get(keysTable, row.keyId)!;
    return {
      record: leaf.record,
      recordSalt: leaf.salt,
      index: BigInt(leaf.n),
      path: inclusionPath(leaf.n, headSize, subtreesOf(engine)),
      head: headOf(row),
      key: { publicKey, fromMs: BigInt(fromMs), untilMs: BigInt(untilMs) },
    };
  };

  const handlers: Handlers<typeof AuditServiceDefinition> = {
    async getProof({ receiptId, partyOin, waitMs }) {
      if (receiptId === '') throw new GatewayError('wire.invalid', 'Name a receipt.', { where: 'receipt_id' });
      const ms = callBegan() + Math.min(Number(waitMs), LONGEST_WAIT_MS) - performance.now();
      if (ms > 0) engine.mayWait();
      const proof = await waiters.until(HEADS, ms, () => proofOf(receiptId, partyOin));
      return { proof, known: proof !== undefined || leafOf(receiptId, partyOin) !== undefined };
    },
    getHead: () => ({ head: newest(), keys: keys() }),
    getConsistency({ fromSize, toSize }) {
      const [from, to] = [Number(fromSize), Number(toSize)];
      if (from > to || to > logOf(engine).size)
        throw new GatewayError('wire.invalid', 'The log has not that many leaves, or the earlier size is the larger.', {
          where: 'from_size',
        });
      return { path: consistencyPath(from, to, subtreesOf(engine)) };
    },
    listHeads: ({ aboveSize, limit }) => ({
      heads: engine
        .list(headsTable, { equals: [], after: [Number(aboveSize)], limit: Math.min(limit || MOST_HEADS, MOST_HEADS) })
        .map(headOf),
    }),
    listLeaves({ from, limit }) {
      const { size, firstKept } = logOf(engine);
      const first = Number(from);
      const trunks: Trunk[] = [];
      const subtree = subtreesOf(engine);
      if (first < firstKept) {
        if (first % TILE !== 0)
          throw new GatewayError('wire.invalid', 'Of what is no longer kept begin at a multiple of 256.', {
            where: 'from',
          });
        for (let at = first; at < firstKept && trunks.length < MOST_HEADS; at += TILE)
          trunks.push({ level: 8, index: BigInt(at / TILE), hash: subtree(8, at / TILE) });
        return { leaves: [], trunks, size: BigInt(size) };
      }
      const leaves = engine.list(leavesTable, {
        equals: [],
        after: [first - 1],
        limit: Math.min(limit || MOST_LEAVES, MOST_LEAVES),
      });
      return {
        leaves: leaves.map(({ n, salt, record }) => ({ index: BigInt(n), salt, record })),
        trunks,
        size: BigInt(size),
      };
    },
    searchLog: (asked) => ({ ...searchLog(engine, asked), head: newest() }),
    listAccess({ schoolOin, fromDay, toDay }) {
      if (schoolOin === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
      const rows = engine
        // Each row has a party, so that the first of its day is behind none.
        .list(accessTable, { equals: [schoolOin], after: [fromDay, ''], limit: MOST_ROWS + 1 })
        .filter(({ day }) => toDay === '' || day <= toDay);
      // The first of them alone would look like all.
      if (rows.length > MOST_ROWS)
        throw new GatewayError('wire.invalid', `These are more than ${MOST_ROWS} rows: name fewer days.`, {
          where: 'to_day',
        });
      return {
        rows: rows.map(
          ({ school, party, purpose, day, attributes, times, people, lastLeaf }): AccessAnswer => ({
            schoolOin: school,
            partyOin: party,
            purpose,
            day,
            attributes: attributes === '' ? [] : attributes.split(','),
            times: BigInt(times),
            people: BigInt(people),
            lastIndex: BigInt(lastLeaf),
          }),
        ),
      };
    },
    listReach({ partyOin, fromDay, toDay, schoolOin, afterSchool, afterDay }) {
      if (partyOin === '') throw new GatewayError('wire.invalid', 'Name the party.', { where: 'party_oin' });
      const [oldest] = engine.list(accessTable, { index: 'by_day', equals: [], limit: 1 });
      const equals = schoolOin === '' ? [partyOin] : [partyOin, schoolOin];
      const place = afterSchool === '' ? [] : schoolOin === '' ? [afterSchool, afterDay, LAST] : [afterDay, LAST];
      const start = schoolOin !== '' && afterDay === '' && fromDay !== '' ? [fromDay, ''] : undefined;
      const read = engine.list(accessTable, {
        index: 'by_party',
        equals,
        ...(place.length > 0 ? { after: place } : start ? { after: start } : {}),
        limit: REACH_ROWS,
      });
      // A day stands in one page, so that what is known of it by day is told once.
      const last = read.at(-1);
      const isWhole = read.length < REACH_ROWS;
      const ofLast = (row: (typeof read)[number]) => row.school === last!.school && row.day === last!.day;
      const cut = isWhole || read.every(ofLast) ? read : read.filter((row) => !ofLast(row));
      const end = cut.at(-1);
      const found = new Map<string, ReachAnswer>();
      const days = new Set<string>();
      for (const { school, day, purpose, attributes, times, people } of cut) {
        if ((fromDay !== '' && day < fromDay) || (toDay !== '' && day > toDay)) continue;
        let row = found.get(school);
        if (!row) {
          row = { ...emptyReach, schoolOin: school, firstDay: day, purposes: [], attributes: [] };
          found.set(school, row);
        }
        row.lastDay = day;
        row.times += BigInt(times);
        row.people += BigInt(people);
        if (!row.purposes.includes(purpose)) row.purposes.push(purpose);
        for (const name of attributes.split(','))
          if (name !== '' && !row.attributes.includes(name)) row.attributes.push(name);
        if (days.has(`${school} ${day}`)) continue;
        days.add(`${school} ${day}`);
        row.days += 1;
        const reach = engine.get(reachTable, partyOin, school, day);
        if (reach) {
          row.learners = mergedSketch(row.learners, reach.learners);
          row.staff = mergedSketch(row.staff, reach.staff);
        } else {
          row.uncountedDays += 1;
          row.uncountedUntil = day;
        }
      }
      return {
        rows: [...found.values()],
        afterSchool: isWhole ? '' : (end?.school ?? ''),
        afterDay: isWhole ? '' : (end?.day ?? ''),
        keptFrom: oldest?.day ?? '',
      };
    },
    listUse({ schoolOin, afterSchool, afterParty, afterWhat }) {
      const began = afterParty !== '' || afterWhat !== '';
      const rows = engine.list(useTable, {
        equals: schoolOin === '' ? [] : [schoolOin],
        ...(began ? { after: schoolOin === '' ? [afterSchool, afterParty, afterWhat] : [afterParty, afterWhat] } : {}),
        limit: USE_ROWS,
      });
      const last = rows.length < USE_ROWS ? undefined : rows.at(-1);
      return {
        rows: rows
          .filter(({ party }) => party !== '')
          .map(({ school, party, what, firstDay, lastDay, days }) => ({
            schoolOin: school,
            partyOin: party,
            what,
            firstDay,
            lastDay,
            days,
          })),
        afterSchool: last?.school ?? '',
        afterParty: last?.party ?? '',
        afterWhat: last?.what ?? '',
        countedSince: engine.get(useTable, '', '', '')?.firstDay ?? '',
      };
    },
  };
  return [implement(AuditServiceDefinition, handlers)];
}
