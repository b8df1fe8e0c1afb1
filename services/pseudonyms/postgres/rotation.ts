import { emptied, type Rotation, rotations } from '../keys.ts';
import type { RotationStore } from '../rotation.ts';
import { Connection, type Statement } from './connection.ts';
import { RENEWED } from './schema.ts';

/** Of this kind those of which the older versions go. */
const emptiedOf = (kind: Rotation): string[] =>
  rotations[kind].filter((purpose) => (emptied as readonly string[]).includes(purpose));

const newest = (purpose: string): string =>
  `(SELECT max(version) FROM school_keys WHERE school = s.id AND purpose = '${purpose}')`;
/** The version that a sealed value names stands in its second and third byte. */
const stale = (sealed: string, purpose: string): string =>
  `get_byte(${sealed}, 1) * 256 + get_byte(${sealed}, 2) <> ${newest(purpose)}`;

const LEFTOVERS = `SELECT
  (SELECT count(*) FROM lookups k WHERE k.school = s.id AND k.key_version <> ${newest('index')})
  + (SELECT count(*) FROM texts t WHERE t.school = s.id AND ${stale('t.sealed', 'texts')})
  ${[
    ['secrets', 'wrapped', 'learners'],
    ['numbers', 'sealed', 'numbers'],
    ['names', 'sealed', 'names'],
    ['births', 'sealed', 'names'],
    ['contact', 'sealed', 'contact'],
  ]
    .map(
      ([table, column, purpose]) =>
        `+ (SELECT count(*) FROM learners l JOIN ${table} r ON r.learner = l.id
          WHERE l.school = s.id AND ${stale(`r.${column}`, purpose!)})`,
    )
    .join(' ')} AS rows
  FROM schools s WHERE s.oin = $1`;

const SEVERAL = `SELECT DISTINCT school FROM school_keys WHERE purpose = ANY($1)
  GROUP BY school, purpose HAVING count(*) > 1`;

/** What renewing keys asks of the database, over a connection of its own. */
export class PostgresRotation implements RotationStore {
  readonly run: RotationStore['run'];
  readonly #url: string;
  readonly #schema: string;
  #connection: Connection | undefined;

  constructor(url: string, schema: string, run: RotationStore['run']) {
    this.#url = url;
    this.#schema = schema;
    this.run = run;
  }

  close(): void {
    this.#connection?.close();
  }

  /** All at once; over the connection that the tick has for what is not a call. */
  async send(...statements: Statement[]): Promise<any[][]> {
    if (!this.#connection?.usable) {
      this.#connection?.close();
      this.#connection = await Connection.open(this.#url, this.#schema, 'keys', true);
    }
    return this.#connection.send(statements);
  }

  async #rows<T>(text: string, ...values: unknown[]): Promise<T[]> {
    const [rows] = await this.send({ text, values });
    return rows as T[];
  }

  async meta(): ReturnType<RotationStore['meta']> {
    const rows = await this.#rows<{ name: string; number: number | null; bytes: Uint8Array | null }>(
      'SELECT name, number, bytes FROM meta',
    );
    return new Map(rows.map(({ name, number, bytes }) => [name, (bytes ?? number)!]));
  }

  async putMeta(values: Parameters<RotationStore['putMeta']>[0]): Promise<void> {
    await this.send(
      { text: 'BEGIN' },
      ...Object.entries(values).map(([name, value]) =>
        value === undefined
          ? { text: 'DELETE FROM meta WHERE name = $1', values: [name] }
          : {
              text: `INSERT INTO meta (name, number, bytes) VALUES ($1, $2, $3)
                ON CONFLICT (name) DO UPDATE SET number = excluded.number, bytes = excluded.bytes`,
              values: typeof value === 'number' ? [name, value, null] : [name, null, value],
            },
      ),
      { text: 'COMMIT' },
    );
  }

  async settle(rotating: number): Promise<void> {
    await this.send({ text: "DELETE FROM meta WHERE name = 'rotating' AND number = $1", values: [rotating] });
  }

  async prepare(): Promise<void> {
    await this.send({ text: RENEWED });
  }

  async countSchools(wrapper: string): Promise<{ schools: number; otherwise: number }> {
    const [found] = await this.#rows<{ schools: number; otherwise: number }>(
      `SELECT (SELECT count(*) FROM schools) AS schools,
        (SELECT count(DISTINCT school) FROM school_keys WHERE wrapped_by <> $1 AND wrapped_by NOT LIKE 'held:%') AS otherwise`,
      wrapper,
    );
    return found!;
  }

  async wrappedOtherwise(wrapper: string, limit: number): Promise<string[]> {
    const found = await this.#rows<{ oin: string }>(
      `SELECT oin FROM schools WHERE id IN (SELECT school FROM school_keys WHERE wrapped_by <> $1
        AND wrapped_by NOT LIKE 'held:%') ORDER BY id LIMIT $2`,
      wrapper,
      limit,
    );
    return found.map(({ oin }) => oin);
  }

  async several(kind: Rotation, limit: number): Promise<{ count: number; oins: string[] }> {
    const [counted] = await this.#rows<{ count: number }>(`SELECT count(*) FROM (${SEVERAL}) d`, emptiedOf(kind));
    const found = await this.#rows<{ oin: string }>(
      `SELECT oin FROM schools WHERE id IN (${SEVERAL}) ORDER BY id LIMIT $2`,
      emptiedOf(kind),
      limit,
    );
    return { count: counted!.count, oins: found.map(({ oin }) => oin) };
  }

  async madeBefore(
    kind: Rotation,
    ms: number,
    except: readonly string[],
  ): Promise<{ count: number; oin: string | undefined }> {
    const [found] = await this.#rows<{ count: number; oin: string | null }>(
      `SELECT count(*), min(s.oin) FILTER (WHERE s.oin <> ALL($3)) AS oin FROM schools s WHERE NOT EXISTS (
        SELECT 1 FROM school_keys k WHERE k.school = s.id AND k.purpose = $1 AND k.made_ms >= $2)`,
      rotations[kind][0],
      ms,
      except,
    );
    return { count: found!.count, oin: found!.oin ?? undefined };
  }

  async renewedMs(kind: Rotation): Promise<number> {
    const [found] = await this.#rows<{ ms: number | bigint | string | null }>(
      'SELECT max(made_ms) AS ms FROM school_keys WHERE purpose = $1 AND version > 1',
      rotations[kind][0],
    );
    return Number(found!.ms ?? 0);
  }

  held(): Promise<{ oin: string; name: string }[]> {
    return this.#rows(
      `SELECT DISTINCT s.oin, k.wrapped_by AS name FROM school_keys k JOIN schools s ON s.id = k.school
        WHERE k.wrapped_by LIKE 'held:%' ORDER BY s.oin`,
    );
  }

  learnersAfter(oin: string, id: number, limit: number): Promise<{ id: number; token: string }[]> {
    return this.#rows(
      `SELECT id, token FROM learners WHERE school = (SELECT id FROM schools WHERE oin = $1) AND id > $2
        AND forgotten_ms IS NULL ORDER BY id LIMIT $3`,
      oin,
      id,
      limit,
    );
  }

  async textsAfter(oin: string, token: string, limit: number): Promise<string[]> {
    const found = await this.#rows<{ token: string }>(
      'SELECT token FROM texts WHERE school = (SELECT id FROM schools WHERE oin = $1) AND token > $2 ORDER BY token LIMIT $3',
      oin,
      token,
      limit,
    );
    return found.map((row) => row.token);
  }

  async leftovers(oin: string): Promise<number> {
    const [found] = await this.#rows<{ rows: number }>(LEFTOVERS, oin);
    return found!.rows;
  }

  async alone(work: () => Promise<void>): Promise<boolean> {
    const name = `${this.#schema} keys`;
    const [lock] = await this.#rows<{ mine: boolean }>('SELECT pg_try_advisory_lock(hashtext($1)) AS mine', name);
    if (!lock!.mine) return false;
    try {
      await work();
    } finally {
      await this.#rows('SELECT pg_advisory_unlock(hashtext($1))', name);
    }
    return true;
  }
}
