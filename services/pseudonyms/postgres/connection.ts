/** One connection to PostgreSQL, with every wait bounded, and its errors as the vault deals with them. */
import type { Socket } from 'node:net';
import pg from 'pg';
import { ConfigError, GatewayError } from '#kernel';

/** How long the server works on a statement, waits for a lock, and keeps the locks of somebody who stopped halfway; ms. */
const STATEMENT_MS = 10_000;
const LOCK_MS = 5_000;
const ABANDONED_MS = 8_000;
/** How long an answer may take before the connection counts as lost, and a connection to come about; ms. */
const ANSWER_MS = 12_000;
/** How long what is done now and then may take, such as writing a part of a table anew; ms. */
const PATIENT_MS = 600_000;
const CONNECT_MS = 3_000;

/**
 * Everything is found by a key, so the planner is told to use indexes: what it guesses of arrays, and of tables that were
 * empty a minute ago, is worse. Commits wait for the disk, whatever the server's default.
 */
const settings = (schema: string, patient: boolean): string =>
  [
    `search_path = ${schema}`,
    'synchronous_commit = on',
    ...(patient ? [] : ['enable_seqscan = off', 'enable_hashjoin = off', 'enable_mergejoin = off']),
    'jit = off',
    `statement_timeout = ${patient ? PATIENT_MS : STATEMENT_MS}`,
    `lock_timeout = ${LOCK_MS}`,
    `idle_in_transaction_session_timeout = ${ABANDONED_MS}`,
  ]
    .map((setting) => `SET ${setting}`)
    .join('; ');

const INT8 = 20;
const types = {
  // Ids, times and versions stay below 2^53.
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

export interface Statement {
  /** Prepared once a connection under this name. */
  name?: string;
  text: string;
  values?: unknown[];
}

/** Somebody else was quicker; the same again has another outcome. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
}

export class Connection {
  readonly #client: pg.Client;
  /** False when it broke, or must not be used again because nobody knows in which state it is. */
  usable = true;

  private constructor(client: pg.Client) {
    this.#client = client;
    client.on('error', () => {
      this.usable = false; // Whoever waits for an answer is told by its own error.
    });
    client.on('end', () => {
      this.usable = false;
    });
  }

  /**
   * Rejects with `gateway.unavailable` when the database does not answer, and `ConfigError` when it does not let us in.
   * A `patient` one is for what reads whole tables now and then.
   */
  static async open(url: string, schema: string, name = 'calls', patient = false): Promise<Connection> {
    let client: pg.Client;
    try {
      client = new pg.Client({
        connectionString: url,
        application_name: `eduk vault ${name}`,
        pipeline: true,
        keepAlive: true,
        connectionTimeoutMillis: CONNECT_MS,
        query_timeout: patient ? PATIENT_MS + ANSWER_MS : ANSWER_MS,
        types,
      } as pg.ClientConfig);
    } catch {
      // The parser quotes what it was given, which holds a password.
      throw new ConfigError(['the address of the vault’s database is none that PostgreSQL knows']);
    }
    const connection = new Connection(client);
    try {
      await client.connect();
      await client.query(settings(schema, patient));
      return connection;
    } catch (error) {
      connection.close();
      throw databaseError(error);
    }
  }

  /**
   * Sends all at once and waits for all answers: one way there and back. Each statement's rows, in order. When one fails
   * the rest has failed or counts for nothing if they are one transaction, and the first error is thrown.
   */
  async send(statements: readonly Statement[]): Promise<any[][]> {
    // Written to the network in one piece as well: each write costs as much as a small statement.
    const { stream } = (this.#client as unknown as { connection: { stream: Socket } }).connection;
    stream.cork();
    const asked = statements.map((statement) => this.#client.query(statement));
    stream.uncork();
    const answers = await Promise.allSettled(asked);
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed) throw databaseError(failed.reason, () => this.close());
    return answers.map((answer) => (answer as PromiseFulfilledResult<pg.QueryResult>).value.rows);
  }

  /** Ends an open transaction without effect; where that fails the connection is not used again. */
  async rollback(): Promise<void> {
    if (!this.usable) return;
    try {
      await this.#client.query('ROLLBACK');
    } catch {
      this.usable = false; // The server ends what was open when the connection ends.
      this.close();
    }
  }

  /** Does not wait: what is under way fails. */
  close(): void {
    this.usable = false;
    this.#client.end().catch(() => undefined);
  }
}

/** Codes of PostgreSQL by what they mean to us; the rest of a class of two characters follows. */
const CONFLICTS = new Set(['23505', '40001', '40P01']);
const AWAY = new Set(['57P01', '57P02', '57P03', '57014', '55P03', '25P03', '25006', '53300', '53200', '53400']);
const REFUSED = new Set(['28000', '28P01', '3D000', '42501']);

/**
 * A server that is away, starting, full of connections or failing over is `gateway.unavailable`: it comes back by itself.
 * The words of PostgreSQL are kept from everyone: they may quote a row.
 */
export function databaseError(thrown: unknown, lost: () => void = () => undefined): Error {
  if (thrown instanceof GatewayError || thrown instanceof Conflict || thrown instanceof ConfigError) return thrown;
  const code = (thrown as { code?: unknown })?.code;
  const cause = new DatabaseFailure(typeof code === 'string' ? code : 'unknown');
  // PostgreSQL's codes have a digit; EPIPE, which is as long, is the system's.
  if (typeof code === 'string' && /^(?=.*\d)[0-9A-Z]{5}$/.test(code)) {
    if (CONFLICTS.has(code)) return new Conflict();
    if (code === '53100') return new GatewayError('gateway.disk_full', undefined, { cause });
    if (AWAY.has(code) || code.startsWith('08')) {
      lost();
      return new GatewayError('gateway.unavailable', undefined, { cause });
    }
    if (REFUSED.has(code)) {
      lost();
      return new ConfigError([`the vault’s database refuses us (PostgreSQL ${code})`]);
    }
    return new GatewayError('gateway.bug', undefined, { cause });
  }
  // No code of PostgreSQL: the connection itself (ECONNREFUSED, a cut, no answer in time).
  lost();
  return new GatewayError('gateway.unavailable', undefined, { cause });
}

/** Stands for an error of the driver: its code, and none of its words. */
class DatabaseFailure extends Error {
  override readonly name = 'DatabaseFailure';
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}
