/** For tests: an empty database and topics of its own for each, on a server and a broker that are shared. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Clock } from '#kernel';
import type { DriverName } from '../kafka/index.ts';
import type { ServiceModule } from '../port.ts';
import { type DistributedEngine, openDistributedEngine } from './index.ts';

export interface Servers {
  brokers: readonly string[];
  databaseUrl: string;
}

export interface DatabasePlace {
  url: string;
  topicPrefix: string;
  open(options: {
    modules: readonly ServiceModule[];
    clock?: Clock;
    outboxMax?: number;
    replica?: string;
  }): Promise<DistributedEngine>;
  /** Takes a record off the log before it is published. */
  lose(stream: string, partition: number, number: number): Promise<void>;
  query(text: string, values?: unknown[]): Promise<any[]>;
  remove(): Promise<void>;
}

let made = 0;

export async function makePlace({ brokers, databaseUrl }: Servers, kafkaClient: DriverName): Promise<DatabasePlace> {
  const name = `t${process.pid}_${made++}_${randomBytes(3).toString('hex')}`;
  const admin = async (text: string): Promise<void> => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    await client.query(text).finally(() => client.end());
  };
  await admin(`CREATE DATABASE ${name}`);
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  const query = async (text: string, values: unknown[] = []): Promise<any[]> => {
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    return (await client.query(text, values).finally(() => client.end())).rows;
  };
  let opened = 0;
  return {
    url: url.href,
    topicPrefix: name,
    query,
    open: ({ replica, ...options }) =>
      openDistributedEngine({
        ...options,
        databaseUrl: url.href,
        kafka: { brokers, clientId: name },
        kafkaClient,
        topicPrefix: name,
        replica: replica ?? `${name}-${opened++}`,
      }),
    lose: async (stream, partition, number) => {
      await query('DELETE FROM bus.outbox WHERE stream = $1 AND partition = $2 AND number = $3', [
        stream,
        partition,
        number,
      ]);
    },
    remove: () => admin(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}
