/** Connections to PostgreSQL, with every wait bounded, and its errors as this gateway names them. */
import type { Socket } from 'node:net';
import pg from 'pg';
import { GatewayError } from '#kernel';
import { Missing, StoreFailure } from '../store.ts';

export interface DatabaseOptions {
  /** `postgres://…`; never printed: it may hold a password. */
  url: string;
  /** Shown in `pg_stat_activity`. */
  application: string;
  /** Connections at once. Default 8. */
  most?: number;
}

/** How long a statement may run on the server, milliseconds. */
const STATEMENT_MS = 10_000;
/** How long an answer may take before the connection counts as lost, milliseconds. */
const ANSWER_MS = 15_000;
const CONNECT_MS = 5_000;
/** How long the server keeps the locks of somebody who stopped in the middle of a transaction, milliseconds. */
export const ABANDONED_MS = 8_000;

const INT8 = 20;
const parsers: Pick<typeof pg.types, 'getTypeParser'> = {
  // Whole numbers are below 2^53 by contract (cells.ts).
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

/**
 * All rows are found by key or index, so the planner is told to use them: its guesses for arrays, and for tables that were
 * empty a minute ago, are worse.
 */
const SESSION = [
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  'jit=off',
  'synchronous_commit=on',
  `statement_timeout=${STATEMENT_MS}`,
  `idle_in_transaction_session_timeout=${ABANDONED_MS}`,
  'tcp_keepalives_idle=5',
  'tcp_keepalives_interval=2',
  'tcp_keepalives_count=3',
];

export type Session = pg.PoolClient;

/**
 * Sends a statement of a transaction whose outcome nobody needs before the commit. It goes out together with what is asked
 * for in the same moment, the commit too: where it fails, PostgreSQL commits nothing and the transaction rejects with that.
 */
export type Send = (statement: pg.QueryConfig) => void;

const names = new Map<string, string>();
/** PostgreSQL keeps 63 letters of a name: so it is a number. */
export function statementName(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `s${names.size}`;
    names.set(text, name);
  }
  return name;
}

/** Looks at one moment, over one connection; `end` gives it back. */
export interface Pinned {
  /** Rows as arrays of cells. Throws `StoreFailure`. */
  cells(text: string, values: readonly unknown[]): Promise<unknown[][]>;
  end(): void;
}

/** A pool; the connection of a transaction that failed is thrown away, never used again. */
export class Database {
  readonly #pool: pg.Pool;

  constructor({ url, application, most = 8 }: DatabaseOptions) {
    this.#pool = new pg.Pool({
      connectionString: url,
      application_name: application,
      max: most,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: ANSWER_MS,
      idleTimeoutMillis: 30_000,
      // Statements of a transaction do not wait for each other's answers.
      pipeline: true,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
      options: SESSION.map((setting) => `-c ${setting}`).join(' '),
      types: parsers as pg.CustomTypesConfig,
    });
    // A connection that ends while nobody asks, or between two statements of a transaction, is told by the next statement;
    // without these listeners it would end the process.
    this.#pool.on('error', () => undefined);
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
  }

  /** One statement, prepared once per connection: for texts of which there are few. Throws `StoreFailure`. */
  async query<Row extends object = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    try {
      const { rows } = await this.#pool.query<Row & pg.QueryResultRow>({
        text,
        values: values as unknown[],
        name: statementName(text),
      });
      return rows;
    } catch (thrown) {
      throw failure(thrown);
    }
  }

  /** Rows as arrays of cells. Throws `StoreFailure`. */
  async cells(text: string, values: readonly unknown[]): Promise<unknown[][]> {
    try {
      const { rows } = await this.#pool.query({
        text,
        values: values as unknown[],
        name: statementName(text),
        rowMode: 'array',
      });
      return rows as unknown[][];
    } catch (thrown) {
      throw failure(thrown);
    }
  }

  /** Rows as they are at one moment, however long one looks: nothing that is committed from now on. Throws `StoreFailure`. */
  async pinned(): Promise<Pinned> {
    let session: Session | undefined;
    try {
      session = await this.#pool.connect();
      await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    } catch (thrown) {
      session?.release(true);
      throw failure(thrown);
    }
    const own = session;
    let failed = false;
    return {
      async cells(text, values) {
        try {
          const query = { text, values: values as unknown[], name: statementName(text), rowMode: 'array' as const };
          return (await own.query(query)).rows as unknown[][];
        } catch (thrown) {
          failed = true;
          throw failure(thrown);
        }
      },
      end() {
        if (failed) own.release(true);
        else
          own.query('COMMIT').then(
            () => own.release(),
            () => own.release(true),
          );
      },
    };
  }

  /**
   * What `work` does in one transaction: committed when this resolves; when it rejects, undone or, after a lost connection,
   * unknown. What it sends counts like what it awaits.
   */
  async transaction<T>(work: (session: Session, send: Send) => T | Promise<T>): Promise<T> {
    let session: Session | undefined;
    try {
      session = await this.#pool.connect();
      const own = session;
      const sent: Promise<unknown>[] = [];
      const send = (statement: pg.QueryConfig | string): void => {
        const answer = own.query(statement);
        // Told below, or by what fails before.
        answer.catch(() => undefined);
        sent.push(answer);
      };
      inOnePiece(own);
      send('BEGIN');
      const result = await work(own, send);
      inOnePiece(own);
      send('COMMIT');
      await Promise.all(sent);
      own.release();
      return result;
    } catch (thrown) {
      session?.release(true);
      throw thrown instanceof GatewayError || thrown instanceof Missing ? thrown : failure(thrown);
    }
  }

  /** Waits for what is under way at most a second; then connections are cut. */
  async close(): Promise<void> {
    const ended = this.#pool.end();
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1000).unref())]);
  }
}

/** What is written until this moment is over goes to the network in one piece. */
function inOnePiece(session: Session): void {
  const { stream } = (session as unknown as { connection: { stream: Socket } }).connection;
  stream.cork();
  process.nextTick(() => stream.uncork());
}

/**
 * A statement that failed, without its values: PostgreSQL's own messages quote rows. What is left is its five-letter code
 * (`57P01` …) or the network's (`ECONNREFUSED`).
 */
function failure(thrown: unknown): StoreFailure {
  if (thrown instanceof StoreFailure) return thrown;
  const { code, message } = (thrown ?? {}) as { code?: unknown; message?: unknown };
  const known = typeof code === 'string' && /^[A-Z0-9_]{2,40}$/.test(code) ? code : '';
  // 53100 disk_full; a server without room for its journal stops altogether.
  if (known === '53100') return new StoreFailure(new GatewayError('gateway.disk_full', undefined, { retryAfterS: 60 }));
  if (isOurFault(known)) return new StoreFailure(new DatabaseError(known, true));
  const lost = known || (typeof message === 'string' && /timeout/i.test(message) ? 'TIMEOUT' : 'CONNECTION');
  return new StoreFailure(
    new GatewayError('gateway.unavailable', undefined, { retryAfterS: 2, cause: new DatabaseError(lost, false) }),
  );
}

/**
 * 25P03: this process was kept from going on in a transaction for so long that PostgreSQL took its locks away. 25006: the server
 * only reads, as one that another has taken over from. Either goes by.
 */
const NOT_OURS = new Set(['25P03', '25P04', '25006']);

/** A statement that PostgreSQL refuses as such: classes 22, 23, 42 and the like. */
const isOurFault = (code: string): boolean =>
  !NOT_OURS.has(code) && /^(0A|21|22|23|25|26|2B|34|3D|3F|42)[0-9A-Z]{3}$/.test(code);

/** What PostgreSQL or the way to it said, as a code only. */
export class DatabaseError extends Error {
  readonly code: string;
  readonly isBug: boolean;
  constructor(code: string, isBug: boolean) {
    super(`database: ${code}`);
    this.name = 'DatabaseError';
    this.code = code;
    this.isBug = isBug;
  }
}
