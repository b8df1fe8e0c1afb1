import { Buffer } from 'node:buffer';
import { type MessageType, type ServiceModule, table } from '#bus';

/** What the sender asks: the `seq`th message of its key, under a reference. */
export interface Ask {
  seq: number;
  reference: string;
}
export const ask: MessageType<Ask> & { decode(bytes: Uint8Array): Ask } = {
  encode: (value) => ({ finish: () => Buffer.from(JSON.stringify(value)) }),
  decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as Ask,
};

export const counts = table<{ key: string; count: number; lastSeq: number; outOfOrder: number }>({
  name: 'kill_counts',
  key: ['key'],
  columns: { key: 'text', count: 'int', lastSeq: 'int', outOfOrder: 'int' },
  retention: 'RETENTION_AUDIT',
});
export const totals = table<{ key: string; counted: number; last: number; outOfOrder: number }>({
  name: 'kill_totals',
  key: ['key'],
  columns: { key: 'text', counted: 'int', last: 'int', outOfOrder: 'int' },
  retention: 'RETENTION_AUDIT',
});
/** How often a reader took each number of each lane. */
export const taken = table<{ lane: string; number: number; times: number }>({
  name: 'kill_taken',
  key: ['lane', 'number'],
  columns: { lane: 'text', number: 'int', times: 'int' },
  retention: 'RETENTION_AUDIT',
});

/** One service counts per key and says so; another reads both streams. */
export const module: ServiceModule = {
  name: 'kill',
  tables: [counts, totals, taken],
  consumers: [
    {
      name: 'counter',
      streams: ['asked'],
      types: ['Asked'],
      handle(record, unit) {
        const { seq, reference } = ask.decode(record.data);
        const row = unit.get(counts, record.key) ?? { key: record.key, count: 0, lastSeq: 0, outOfOrder: 0 };
        const count = row.count + 1;
        unit.put(counts, {
          key: record.key,
          count,
          lastSeq: seq,
          outOfOrder: row.outOfOrder + (seq === row.lastSeq + 1 ? 0 : 1),
        });
        unit.append('counted', 'Counted', ask, { seq: count, reference }, record.key);
      },
    },
    {
      name: 'reader',
      streams: ['asked', 'counted'],
      types: ['Asked', 'Counted'],
      handle(record, unit) {
        const lane = `log_${record.stream}_${String(record.partition).padStart(2, '0')}`;
        unit.put(taken, { lane, number: record.number, times: (unit.get(taken, lane, record.number)?.times ?? 0) + 1 });
        if (record.type !== 'Counted') return;
        const { seq } = ask.decode(record.data);
        const row = unit.get(totals, record.key) ?? { key: record.key, counted: 0, last: 0, outOfOrder: 0 };
        unit.put(totals, {
          key: record.key,
          counted: row.counted + 1,
          last: seq,
          outOfOrder: row.outOfOrder + (seq === row.last + 1 ? 0 : 1),
        });
      },
    },
  ],
  serve: () => [],
};
