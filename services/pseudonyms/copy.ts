/**
 * The vault's rows as tables to copy, from the file or the database and to either: sealed as they are, under the same keys.
 * The master key is no part of it: who opens the copy must have it.
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import type { CopiedTable, PostgresWay, SqliteWay } from '#bus';
import { ConfigError, GatewayError } from '#kernel';
import { rotationKinds } from './keys.ts';
import { openLedger } from './ledger.ts';
import { Connection } from './postgres/connection.ts';
import { PostgresLedger } from './postgres/ledger.ts';
import { migrate, RENEWED } from './postgres/schema.ts';
import { openSqliteFile } from './sqlite.ts';

/** Where the vault stands in its database, unless it is told otherwise. */
const SCHEMA = 'vault';

type Column = CopiedTable['types'][number];
const copied = (name: string, keySize: number, columns: Readonly<Record<string, Column>>): CopiedTable => ({
  name,
  columns: Object.keys(columns),
  types: Object.values(columns),
  keySize,
});

const learners = copied('learners', 1, {
  id: 'int',
  token: 'text',
  school: 'int',
  kind: 'text',
  secret_version: 'int',
  wrapped: 'blob',
  forgotten_ms: 'int',
});
const meta = copied('meta', 1, { name: 'text', number: 'int', bytes: 'blob' });
const schools = copied('schools', 1, { id: 'int', oin: 'text', first_sector: 'text' });

/** In the order in which they are copied; what says whose vault it is comes last. */
export const vaultTables: readonly CopiedTable[] = [
  schools,
  copied('school_sectors', 2, { school: 'int', sector: 'text' }),
  copied('school_keys', 3, {
    school: 'int',
    purpose: 'text',
    version: 'int',
    wrapped_by: 'text',
    wrapped: 'blob',
    made_ms: 'int',
  }),
  learners,
  copied('lookups', 2, { school: 'int', hash: 'blob', learner: 'int', key_version: 'int' }),
  copied('numbers', 2, { learner: 'int', ordinal: 'int', eck_id_hash: 'blob', las_key_hash: 'blob', sealed: 'blob' }),
  copied('names', 2, { learner: 'int', mark: 'blob', rank: 'int', touched_ms: 'int', sealed: 'blob' }),
  copied('births', 1, { learner: 'int', content: 'blob', sealed: 'blob' }),
  copied('contact', 1, { learner: 'int', content: 'blob', touched_ms: 'int', sealed: 'blob' }),
  copied('texts', 2, { school: 'int', token: 'text', key_version: 'int', touched_ms: 'int', sealed: 'blob' }),
  copied('forgetting', 1, { learner: 'int', at_ms: 'int' }),
  copied('merged', 1, { learner: 'int', winner: 'int' }),
  meta,
];

/** What belongs to the vault and not to the file or database that it rests in. */
const KEPT_META = `(${[
  'check',
  'dev_key',
  'kept',
  'master',
  'master_ms',
  'next_check',
  'next_held_ms',
  'next_kept',
  'next_ms',
  'rotating',
  ...rotationKinds.map((kind) => `rotate_${kind}_ms`),
  'vault_id',
]
  .map((name) => `'${name}'`)
  .join(', ')}) OR name LIKE 'hold:%'`;

export const vaultSqliteWays: ReadonlyMap<string, SqliteWay> = new Map<string, SqliteWay>([
  [
    'merged',
    {
      // A file that no newer release has opened lacks it.
      selects: (db) =>
        db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'merged'").get()
          ? ['SELECT learner, winner FROM merged ORDER BY learner']
          : [],
    },
  ],
  [
    'meta',
    {
      selects: () => [
        `SELECT name, iif(typeof(value) = 'blob', NULL, value), iif(typeof(value) = 'blob', value, NULL) FROM meta WHERE name IN ${KEPT_META} ORDER BY name`,
      ],
      adder(db) {
        const add = db.prepare('INSERT INTO meta VALUES (?, ?)');
        return ([name, number, bytes]) => add.run(name as string, (number ?? bytes) as number | Uint8Array);
      },
    },
  ],
]);

const array: Readonly<Record<Column, string>> = {
  int: 'bigint[]',
  text: 'text[]',
  blob: 'bytea[]',
  real: 'float8[]',
  json: 'text[]',
};

export const vaultPostgresWays: ReadonlyMap<string, PostgresWay> = new Map(
  vaultTables.map((table): [string, PostgresWay] => {
    const { name, columns, types, keySize } = table;
    const place = `${SCHEMA}.${name}`;
    const order = columns.slice(0, keySize).join(', ');
    const insert = (to: string, at: readonly number[], more = '', moreValues = '') =>
      `INSERT INTO ${to} (${at.map((i) => columns[i] ?? '').join(', ')}${more}) SELECT *${moreValues} FROM unnest(${at
        .map((i, n) => `$${n + 1}::${array[types[i]!]}`)
        .join(', ')})`;
    const all = columns.map((_, at) => at);
    if (table === learners) {
      const stays = [0, 1, 2, 3, 4, 6];
      return [
        name,
        {
          select: `SELECT l.id, l.token, l.school, l.kind, l.secret_version, s.wrapped, l.forgotten_ms FROM ${place} l
            LEFT JOIN ${SCHEMA}.secrets s ON s.learner = l.id ORDER BY l.id`,
          adds: [
            { text: insert(place, stays), columns: stays },
            {
              text: `INSERT INTO ${SCHEMA}.secrets (learner, wrapped) SELECT * FROM unnest($1::bigint[], $2::bytea[])`,
              columns: [0, 5],
              where: (row) => row[5] !== null,
            },
          ],
          count: `SELECT count(*) FROM ${place}`,
        },
      ];
    }
    const which = table === meta ? ` WHERE name IN ${KEPT_META}` : '';
    return [
      name,
      {
        select: `SELECT ${columns.join(', ')} FROM ${place}${which} ORDER BY ${order}${table === meta ? ' COLLATE "C"' : ''}`,
        adds: [
          // Any version: it only tells one state of a school from another.
          { text: table === schools ? insert(place, all, ', version', ', 1') : insert(place, all), columns: all },
        ],
        count: `SELECT count(*) FROM ${place}${which}`,
      },
    ];
  }),
);

/** Makes a file with the vault's tables and nothing in them. Throws `ConfigError` when something is there. */
export function makeVaultFile(file: string): void {
  if (existsSync(file)) throw new ConfigError([`${file} is there already`]);
  closeSync(openSync(file, 'wx', 0o600));
  const rows = openSqliteFile(file);
  // What is copied may hold renewed keys.
  rows.prepareRenewing();
  rows.commit();
  rows.close();
}

/** Makes the vault's tables in a database, where they are not yet, also for renewed keys. */
export async function makeVaultTables(url: string): Promise<void> {
  await migrate(url, SCHEMA);
  const connection = await Connection.open(url, SCHEMA, 'copy');
  try {
    await connection.send([{ text: RENEWED }]);
  } finally {
    connection.close();
  }
}

/** After a copy: ids that are given from now on are above those that there are. */
export const VAULT_SETTLED = `SELECT setval('${SCHEMA}.ids', greatest(1, (SELECT max(id) FROM ${SCHEMA}.schools), (SELECT max(id) FROM ${SCHEMA}.learners)))`;
/** Removes the vault, and leaves the list of who was forgotten. */
export const VAULT_DROPPED = `DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`;
/** Whether a vault is there. */
export const VAULT_THERE = `SELECT to_regclass('${SCHEMA}.meta') IS NOT NULL AS there`;

/** A list of who was forgotten, as the vault keeps it beside its rows. */
export interface ForgottenList {
  /** The last decision on each token; `school` where the list knows it. */
  read(): Promise<{ token: string; decision: string; atMs: number; school?: string }[]>;
  /** Adds decisions; `schoolOf` is asked where the list needs to know the school. */
  add(
    lines: readonly { token: string; decision: string; atMs: number; school?: string }[],
    schoolOf: (token: string) => string | undefined,
    nowMs: number,
  ): Promise<void>;
}

/** The list beside a vault's file. */
export const forgottenInFile = (file: string): ForgottenList => ({
  async read() {
    const ledger = openLedger(file);
    return [...ledger.read().values()];
  },
  async add(lines) {
    const ledger = openLedger(file);
    ledger.append(lines.map((line) => ({ ...line, school: line.school ?? '' })) as Parameters<typeof ledger.append>[0]);
    ledger.close();
  },
});

/** The list in a database. */
export const forgottenInDatabase = (url: string): ForgottenList => ({
  async read() {
    const connection = await Connection.open(url, `${SCHEMA}_ledger`, 'copy');
    try {
      const [[found]] = (await connection.send([
        { text: `SELECT to_regclass('${SCHEMA}_ledger.forgotten') IS NOT NULL AS there` },
      ])) as [[{ there: boolean }]];
      if (!found.there) return [];
      const ledger = new PostgresLedger(url, `${SCHEMA}_ledger`);
      try {
        return await ledger.since(0);
      } finally {
        await ledger.close();
      }
    } finally {
      connection.close();
    }
  },
  async add(lines, schoolOf, nowMs) {
    const ledger = new PostgresLedger(url, `${SCHEMA}_ledger`);
    try {
      await ledger.prepare();
      const told = lines.flatMap((line) => {
        const school = line.school ?? schoolOf(line.token);
        // A learner that this vault never had: nobody to forget.
        return school === undefined ? [] : [{ ...line, school }];
      });
      await ledger.append(told as Parameters<PostgresLedger['append']>[0], nowMs);
    } catch (thrown) {
      if (thrown instanceof ConfigError || thrown instanceof GatewayError) throw thrown;
      throw new GatewayError('gateway.unavailable', undefined, { cause: thrown });
    } finally {
      await ledger.close();
    }
  },
});
