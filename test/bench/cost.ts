/**
 * What a run costs whatever else the machine does: CPU above what the gateway uses when nothing comes, and what the database
 * wrote and was asked. To compare two versions, run them by turns.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { between, type Country, type Servers, type Used } from './country.ts';
import { nowMs } from './processes.ts';
import { number } from './results.ts';

/** How long is looked at what is used when nothing comes, milliseconds. */
const IDLE_MS = 5_000;
/** Figures of the database are told by its processes when they are idle for a moment. */
const TOLD_MS = 1_500;

interface Written {
  records: number;
  bytes: number;
  /** Transactions, single questions among them. */
  transactions: number;
}

export interface Cost {
  /** Runs `work`, which handles `messages`; answers what each cost, in words. */
  of(messages: number, work: () => Promise<unknown>): Promise<string>;
  end(): Promise<void>;
}

const whole = ({ gateway, broker, database }: Used): number => gateway + broker + database;

/** Looks first what is used when nothing comes: begin when all is settled. */
export async function costOf(country: Country, { postgres }: Servers): Promise<Cost> {
  const client = new pg.Client({ connectionString: postgres.url });
  client.on('error', () => undefined);
  await client.connect();
  const written = async (): Promise<Written> => {
    const { rows } = await client.query<Written>(
      `SELECT w.wal_records::float8 AS records, w.wal_bytes::float8 AS bytes,
         (SELECT sum(xact_commit) FROM pg_stat_database)::float8 AS transactions FROM pg_stat_wal w`,
    );
    return rows[0]!;
  };
  const began = nowMs();
  const first = country.used();
  await sleep(IDLE_MS);
  const idle = between(first, country.used());
  const idleMs = nowMs() - began;
  return {
    async of(messages, work) {
      const before = country.used();
      const wrote = await written();
      const started = nowMs();
      await work();
      await sleep(TOLD_MS);
      const used = between(before, country.used());
      const share = (nowMs() - started) / idleMs;
      const now = await written();
      const ms = (of: (one: Used) => number): string => number(((of(used) - of(idle) * share) * 1000) / messages, 3);
      const each = (of: (one: Written) => number): string => number((of(now) - of(wrote)) / messages, 1);
      const roles = Object.keys(used.roles).map((name) => `${name} ${ms(({ roles }) => roles[name] ?? 0)}`);
      return [
        `CPU a message, above idle: ${ms(whole)} ms (${roles.join(', ')}, broker ${ms(({ broker }) => broker)}, database ${ms(({ database }) => database)})`,
        `journal ${each(({ bytes }) => bytes)} bytes in ${each(({ records }) => records)} records, ${number((now.transactions - wrote.transactions) / messages, 2)} transactions`,
      ].join('; ');
    },
    end: () => client.end(),
  };
}
