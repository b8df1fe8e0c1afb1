/** The distributed engine, loaded only where it is used: its libraries cost the embedded one nothing. */
import type {
  DistributedEngine,
  DistributedEngineSettings,
  DistributedLog,
  DistributedLogSettings,
} from './postgres/index.ts';

export type {
  DistributedEngine,
  DistributedEngineSettings,
  DistributedLog,
  DistributedLogSettings,
  Health,
} from './postgres/index.ts';

/** Makes or widens the tables and topics that these modules need, and opens the engine on them. Throws `ConfigError`, `GatewayError`, `KafkaError`. */
export const openDistributedEngine = async (settings: DistributedEngineSettings): Promise<DistributedEngine> =>
  (await import('./postgres/index.ts')).openDistributedEngine(settings);

/** The log for a door: it needs the database only. Throws `ConfigError`, `GatewayError`. */
export const openDistributedLog = async (settings: DistributedLogSettings): Promise<DistributedLog> =>
  (await import('./postgres/index.ts')).openDistributedLog(settings);

/** What copies a state between a file and a database: loaded by `eduk move`, `backup` and `restore` only. */
export const copying = () => import('./copy/index.ts');

/** Which failures a set-up survives; asks its databases and brokers. Loaded by `eduk doctor` only. */
export const survival = () => import('./survival.ts');
