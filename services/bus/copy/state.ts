/** The state as tables to copy: rows of services and engine, the log with its lanes, references with their answers. */
import type { DatabaseSync } from 'node:sqlite';
import { uuidText } from '#kernel';
import { type Cells, layoutOf } from '../cells.ts';
import type { ServiceModule } from '../port.ts';
import { arrayType } from '../postgres/load.ts';
import { placeOf } from '../postgres/schema.ts';
import { flowCell, LOG_TABLE, laneName, placeOfAnswer } from '../sqlite.ts';
import { engineTables } from '../tables.ts';
import type { CopiedTable } from './place.ts';
import { type PostgresWay, quoted, tableAt } from './postgres.ts';
import type { SqliteWay } from './sqlite.ts';

export const lanesTable: CopiedTable = {
  name: 'lanes',
  columns: ['stream', 'partition', 'head', 'first'],
  types: ['text', 'int', 'int', 'int'],
  keySize: 2,
};

export const logTable: CopiedTable = {
  name: 'log',
  columns: [
    'stream',
    'partition',
    'number',
    'id',
    'key',
    'type',
    'flow',
    'school',
    'traceparent',
    'time_ms',
    'data',
    'claim',
    'digest',
    'digest_version',
  ],
  types: ['text', 'int', 'int', 'blob', 'text', 'text', 'text', 'text', 'text', 'int', 'blob', 'blob', 'blob', 'int'],
  keySize: 3,
};

export const referencesTable: CopiedTable = {
  name: 'references',
  columns: ['claim', 'digest', 'digest_version', 'answer', 'flow', 'until_ms'],
  types: ['blob', 'blob', 'int', 'blob', 'blob', 'int'],
  keySize: 1,
};

const own = [lanesTable, logTable, referencesTable];

/** Everything, in the order in which it is copied. */
export const stateTables = (modules: readonly ServiceModule[]): CopiedTable[] => [
  ...own,
  ...[...engineTables, ...modules.flatMap(({ tables }) => tables)].map((table) => {
    const { name, columns, types, keySize } = layoutOf(table);
    return { name, columns, types, keySize };
  }),
];

interface Lane {
  stream: string;
  partition: number;
}

/** Lanes that have a table, in order. One that only ever gave numbers elsewhere has none. */
export function lanesIn(db: DatabaseSync): Lane[] {
  const made = new Set(
    (db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all() as { name: string }[]).map(
      ({ name }) => name,
    ),
  );
  const lanes = db.prepare('SELECT stream, partition FROM bus_lanes ORDER BY stream, partition').all();
  return (lanes as unknown as Lane[]).filter(({ stream, partition }) => made.has(laneName(stream, partition)));
}

/** Cells of the log: the file leaves out what can be told from the rest. */
function readLog(cells: Cells): Cells {
  const row = [...cells];
  const [id, flow] = [row[3] as Uint8Array, row[6]];
  row[6] = flow === null ? uuidText(id) : typeof flow === 'string' ? flow : uuidText(flow as Uint8Array);
  row[7] ??= '';
  row[8] ??= '';
  return row;
}

export const sqliteWays: ReadonlyMap<string, SqliteWay> = new Map<string, SqliteWay>([
  [
    'lanes',
    {
      selects: () => ['SELECT stream, partition, head, first FROM bus_lanes WHERE head > 0 ORDER BY stream, partition'],
      adder(db) {
        const add = db.prepare('INSERT INTO bus_lanes (stream, partition, head, first) VALUES (?, ?, ?, ?)');
        return (row) => add.run(...(row as [string, number, number, number]));
      },
    },
  ],
  [
    'log',
    {
      selects: (db) =>
        lanesIn(db).map(
          ({ stream, partition }) =>
            `SELECT '${stream}', ${partition}, number, id, key, type, flow, school, trace, time_ms, data, claim, digest, digest_version FROM ${laneName(stream, partition)} ORDER BY number`,
        ),
      read: readLog,
      adder(db) {
        const lanes = new Map<string, (row: Cells) => void>();
        return (row) => {
          const [stream, partition, number, id, key, type, flow, school, trace, timeMs, data, claim, digest, version] =
            row as [string, number, number, Uint8Array, string, string, string, string, string, number, ...any[]];
          const name = laneName(stream, partition);
          let add = lanes.get(name);
          if (add === undefined) {
            db.exec(`CREATE TABLE IF NOT EXISTS ${name} ${LOG_TABLE}`);
            const insert = db.prepare(`INSERT INTO ${name} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
            add = (cells) => insert.run(...(cells as never[]));
            lanes.set(name, add);
          }
          const flowKept = flowCell({ flowId: flow, id });
          add([number, id, key, type, flowKept, school || null, trace || null, timeMs, data, claim, digest, version]);
        };
      },
      counted: (db) => lanesIn(db).map(({ stream, partition }) => laneName(stream, partition)),
    },
  ],
  [
    'references',
    {
      selects: () => [
        'SELECT r.claim, a.digest, a.digest_version, a.answer, a.flow, a.until_ms FROM bus_references r JOIN bus_answers a ON a.id = r.answer ORDER BY r.claim',
      ],
      adder(db) {
        const refer = db.prepare('INSERT INTO bus_references (claim, answer) VALUES (?, ?)');
        const answer = db.prepare('INSERT INTO bus_answers VALUES (?, ?, ?, ?, ?, ?, ?)');
        const next = new Map<number, number>();
        return (row) => {
          const [claim, digest, version, said, flow, untilMs] = row as [any, any, any, any, any, number];
          const first = placeOfAnswer(untilMs);
          const id = next.get(first) ?? first;
          next.set(first, id + 1);
          refer.run(claim, id);
          answer.run(id, claim, digest, version, said, flow, untilMs);
        };
      },
      counted: () => ['bus_references'],
    },
  ],
]);

export function postgresWays(modules: readonly ServiceModule[]): ReadonlyMap<string, PostgresWay> {
  const ways = new Map<string, PostgresWay>([
    [
      'lanes',
      {
        select: 'SELECT stream, partition, head, first FROM bus.lanes WHERE head > 0 ORDER BY stream, partition',
        adds: [
          {
            text: `INSERT INTO bus.lanes (stream, partition, head, first) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
              ON CONFLICT (stream, partition) DO UPDATE SET head = excluded.head, first = excluded.first`,
            columns: [0, 1, 2, 3],
          },
        ],
        count: 'SELECT count(*) FROM bus.lanes WHERE head > 0',
      },
    ],
    [
      'log',
      {
        select: `SELECT ${logTable.columns.map(quoted).join(', ')} FROM bus.outbox ORDER BY stream, partition, number`,
        adds: [
          {
            text: `INSERT INTO bus.outbox (${logTable.columns.map(quoted).join(', ')}, day) SELECT *, floor(u.t / 86400000)::int
              FROM unnest(${logTable.types.map((type, at) => `$${at + 1}::${arrayType(type)}`).join(', ')}) u (a, b, c, d, e, f, g, h, i, t)`,
            columns: logTable.columns.map((_, at) => at),
          },
        ],
        count: 'SELECT count(*) FROM bus.outbox',
      },
    ],
    ['references', tableAt('bus.references', referencesTable)],
  ]);
  for (const table of engineTables) ways.set(table.name, tableAt(placeOf('', table), layoutOf(table)));
  for (const module of modules)
    for (const table of module.tables) ways.set(table.name, tableAt(placeOf(module.name, table), layoutOf(table)));
  return ways;
}
