import type { Decision, Line } from '../ledger.ts';
import { Connection } from './connection.ts';

/**
 * The list of who was forgotten, as `<file>.forgotten` is beside a file: appended to, never changed, and outside the backups
 * of the vault. It is a table in a schema of its own, in the vault's database or, where that is backed up as a whole, in
 * another. A line is committed here before the vault commits what it says.
 */
export class PostgresLedger {
  readonly #url: string;
  readonly #schema: string;
  #open: Promise<Connection> | undefined;

  constructor(url: string, schema: string) {
    this.#url = url;
    this.#schema = schema;
  }

  /** Makes the table where it is not yet. */
  async prepare(): Promise<void> {
    const connection = await this.#connection();
    await connection.send([
      { text: 'BEGIN' },
      { text: 'SELECT pg_advisory_xact_lock(hashtext($1))', values: [this.#schema] },
      { text: `CREATE SCHEMA IF NOT EXISTS ${this.#schema}` },
      {
        text: `CREATE TABLE IF NOT EXISTS forgotten (
          number bigserial PRIMARY KEY, school text NOT NULL, token text NOT NULL, decision text NOT NULL,
          at_ms bigint NOT NULL, noted_ms bigint NOT NULL)`,
      },
      { text: 'CREATE INDEX IF NOT EXISTS forgotten_noted ON forgotten (noted_ms)' },
      { text: 'COMMIT' },
    ]);
  }

  /** Returns when the lines are on disk. */
  async append(lines: readonly Line[], nowMs: number): Promise<void> {
    if (lines.length === 0) return;
    const connection = await this.#connection();
    await connection.send([
      {
        name: 'ledger append',
        text: `INSERT INTO forgotten (school, token, decision, at_ms, noted_ms)
          SELECT school, token, decision, at_ms, $5
          FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS w(school, token, decision, at_ms)`,
        values: [
          lines.map(({ school }) => school),
          lines.map(({ token }) => token),
          lines.map(({ decision }) => decision),
          lines.map(({ atMs }) => atMs),
          nowMs,
        ],
      },
    ]);
  }

  /** The last decision on each token among what was noted since. */
  async since(notedMs: number): Promise<Line[]> {
    const connection = await this.#connection();
    const [rows] = await connection.send([
      {
        text: `SELECT DISTINCT ON (token) school, token, decision, at_ms AS "atMs"
          FROM forgotten WHERE noted_ms >= $1 ORDER BY token, number DESC`,
        values: [notedMs],
      },
    ]);
    return rows as (Line & { decision: Decision })[];
  }

  async #connection(): Promise<Connection> {
    const open = await this.#open?.catch(() => undefined);
    if (open?.usable) return open;
    open?.close();
    this.#open = Connection.open(this.#url, this.#schema, 'ledger');
    return this.#open;
  }

  async close(): Promise<void> {
    (await this.#open?.catch(() => undefined))?.close();
  }
}
