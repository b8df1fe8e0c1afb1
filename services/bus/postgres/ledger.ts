/** The list of what a restore must not lose (`../ledger.ts`), in a schema of its own: leave it out of backups and restores. */
import type pg from 'pg';
import type { Remembered } from '../ledger.ts';
import type { Session } from './connection.ts';
import { asBuffer } from './load.ts';

type Asks = Pick<pg.ClientBase, 'query'>;

export async function makeLedger(session: Asks): Promise<void> {
  await session.query('CREATE SCHEMA IF NOT EXISTS state_ledger');
  await session.query(`CREATE TABLE IF NOT EXISTS state_ledger.withdrawn (
    place bigserial PRIMARY KEY, stream text NOT NULL, partition int NOT NULL, id bytea NOT NULL, type text NOT NULL, flow text NOT NULL,
    time_ms bigint NOT NULL, school text NOT NULL, key text NOT NULL, data bytea NOT NULL)`);
}

/** Within the transaction that puts them on the log. */
export async function noteInLedger(session: Session | Asks, records: readonly Remembered[]): Promise<void> {
  if (records.length === 0) return;
  await session.query(
    `INSERT INTO state_ledger.withdrawn (stream, partition, id, type, flow, time_ms, school, key, data)
     SELECT * FROM unnest($1::text[], $2::int[], $3::bytea[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bytea[])`,
    [
      records.map(({ stream }) => stream),
      records.map(({ partition }) => partition),
      records.map(({ id }) => asBuffer(id)),
      records.map(({ type }) => type),
      records.map(({ flowId }) => flowId),
      records.map(({ timeMs }) => timeMs),
      records.map(({ school }) => school),
      records.map(({ key }) => key),
      records.map(({ data }) => asBuffer(data)),
    ],
  );
}

/** In the order in which they were noted. */
export async function readLedgerIn(client: Asks): Promise<Remembered[]> {
  const { rows } = await client.query("SELECT to_regclass('state_ledger.withdrawn') IS NOT NULL AS made");
  if (!(rows[0] as { made: boolean }).made) return [];
  const found = await client.query(
    'SELECT stream, partition, id, type, flow, time_ms, school, key, data FROM state_ledger.withdrawn ORDER BY place',
  );
  return (found.rows as any[]).map(({ flow, time_ms, ...row }) => ({
    ...row,
    flowId: flow,
    timeMs: Number(time_ms),
    traceparent: '',
  }));
}
