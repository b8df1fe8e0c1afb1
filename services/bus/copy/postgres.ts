/** A PostgreSQL database as a place to copy from or to: one transaction, so that a target has all of it or nothing. */
import pg from 'pg';
import { ConfigError, GatewayError } from '#kernel';
import type { Cells } from '../cells.ts';
import { DatabaseError } from '../postgres/connection.ts';
import { arrayType, columnOf } from '../postgres/load.ts';
import { BATCH_ROWS, type CopiedTable, type CopyPlace } from './place.ts';

/** How rows of one table lie in the database. */
export interface PostgresWay {
  /** Gives the cells in order; what they are called does not matter. */
  select: string;
  /** Statements that take one array for each column. */
  adds: readonly { text: string; columns: readonly number[]; where?: (row: Cells) => boolean }[];
  /** Gives one number. */
  count: string;
}

export const quoted = (name: string): string => `"${name}"`;

/** The usual way: a table of these columns at a place such as `"orders"."orders_orders"`. */
export function tableAt(place: string, { columns, types, keySize }: CopiedTable): PostgresWay {
  const names = columns.map(quoted).join(', ');
  return {
    select: `SELECT ${names} FROM ${place} ORDER BY ${columns.slice(0, keySize).map(quoted).join(', ')}`,
    adds: [
      {
        text: `INSERT INTO ${place} (${names}) SELECT * FROM unnest(${types.map((type, at) => `$${at + 1}::${arrayType(type)}`).join(', ')})`,
        columns: columns.map((_, at) => at),
      },
    ],
    count: `SELECT count(*) FROM ${place}`,
  };
}

const INT8 = 20;
const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

/** Connects for a copy. Throws `ConfigError` for an address that is none or lets nobody in, else `gateway.unavailable`. */
export async function connectForCopy(url: string, what: string): Promise<pg.Client> {
  let client: pg.Client;
  try {
    client = new pg.Client({
      connectionString: url,
      application_name: COPIES,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      types: types as pg.CustomTypesConfig,
    });
  } catch {
    throw new ConfigError([`the address of ${what} is none that PostgreSQL knows`]);
  }
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SET statement_timeout = 0; SET synchronous_commit = on; SET cursor_tuple_fraction = 1');
    return client;
  } catch (thrown) {
    const { code } = thrown as { code?: string };
    if (typeof code === 'string' && /^(28|3D|42501)/.test(code))
      throw new ConfigError([`${what} refuses us (PostgreSQL ${code})`]);
    throw new GatewayError('gateway.unavailable', `${what} does not answer.`, { retryAfterS: 2 });
  }
}

/** By this name a copy is told apart from a gateway that is running. */
export const COPIES = 'copy of eduk';

/** Its words may quote a row, so only the code goes on. */
const failure = (thrown: unknown): unknown =>
  thrown instanceof GatewayError || thrown instanceof ConfigError
    ? thrown
    : new GatewayError('gateway.unavailable', undefined, {
        cause: new DatabaseError(String((thrown as { code?: unknown }).code ?? 'CONNECTION'), false),
      });

export class PostgresPlace implements CopyPlace {
  readonly #client: pg.Client;
  readonly #ways: ReadonlyMap<string, PostgresWay>;
  #cursors = 0;

  private constructor(client: pg.Client, ways: ReadonlyMap<string, PostgresWay>) {
    this.#client = client;
    this.#ways = ways;
  }

  /** As of now: what others write later is not seen. The client is the place's from here on. */
  static async open(
    client: pg.Client,
    use: 'source' | 'target',
    ways: ReadonlyMap<string, PostgresWay>,
  ): Promise<PostgresPlace> {
    const place = new PostgresPlace(client, ways);
    await place.query(use === 'source' ? 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' : 'BEGIN');
    return place;
  }

  async query(text: string, values: unknown[] = []): Promise<any[]> {
    try {
      return (await this.#client.query(text, values)).rows;
    } catch (thrown) {
      throw failure(thrown);
    }
  }

  #way(table: CopiedTable): PostgresWay {
    const way = this.#ways.get(table.name);
    if (way === undefined) throw new GatewayError('gateway.bug', `${table.name} has no place`);
    return way;
  }

  async *read(table: CopiedTable): AsyncIterable<readonly Cells[]> {
    const cursor = `c${this.#cursors++}`;
    await this.query(`DECLARE ${cursor} NO SCROLL CURSOR FOR ${this.#way(table).select}`);
    for (;;) {
      let rows: Cells[];
      try {
        ({ rows } = (await this.#client.query({
          text: `FETCH ${BATCH_ROWS} FROM ${cursor}`,
          rowMode: 'array',
        })) as unknown as {
          rows: Cells[];
        });
      } catch (thrown) {
        throw failure(thrown);
      }
      if (rows.length > 0) yield rows;
      if (rows.length < BATCH_ROWS) break;
    }
    await this.query(`CLOSE ${cursor}`);
  }

  async add(table: CopiedTable, rows: readonly Cells[]): Promise<void> {
    for (const { text, columns, where } of this.#way(table).adds) {
      const those = where ? rows.filter(where) : rows;
      if (those.length === 0) continue;
      await this.query(
        text,
        columns.map((at) => columnOf(those, at, table.types[at]!)),
      );
    }
  }

  async count(table: CopiedTable): Promise<number> {
    const [row] = await this.query(this.#way(table).count);
    return Number(Object.values(row as object)[0]);
  }

  /** What was added is durable when this resolves. */
  async finish(): Promise<void> {
    await this.query('COMMIT');
    await this.close();
  }

  /** Ends without changing anything. */
  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }
}
