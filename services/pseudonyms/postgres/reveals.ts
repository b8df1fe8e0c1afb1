import type { RevealHour, RevealStore } from '../reveals.ts';
import type { Statement } from './connection.ts';

const HOUR = 'hour_ms AS "hourMs", party_oin AS "partyOin", learners';

/** Counts of reveals in the database: what all replicas have shown. */
export function postgresReveals(send: (...statements: Statement[]) => Promise<any[][]>): RevealStore {
  const rows = async (text: string, ...values: unknown[]) => (await send({ text, values }))[0] as RevealHour[];
  return {
    add: (hours) =>
      rows(
        `INSERT INTO reveal_hours SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[])
          ON CONFLICT (hour_ms, party_oin) DO UPDATE SET learners = reveal_hours.learners + excluded.learners
          RETURNING hour_ms AS "hourMs", party_oin AS "partyOin", learners`,
        hours.map(({ hourMs }) => hourMs),
        hours.map(({ partyOin }) => partyOin),
        hours.map(({ learners }) => learners),
      ),
    since: (hourMs) => rows(`SELECT ${HOUR} FROM reveal_hours WHERE hour_ms >= $1 ORDER BY hour_ms, party_oin`, hourMs),
    async sweep(hourMs) {
      await rows('DELETE FROM reveal_hours WHERE hour_ms < $1', hourMs);
    },
  };
}
