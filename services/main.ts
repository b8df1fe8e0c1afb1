/** The gateway as a program: all of it in one process, or the roles that are named. Which those are: roles.ts. */
import { type Config, readConfig } from '#kernel';
import type { Addresses, Gateway, Running } from './data.ts';
import { startEmbedded } from './embedded.ts';
import { missing, type RoleName } from './roles.ts';

export type { Addresses, Gateway } from './data.ts';
export { missing as missingSettings } from './roles.ts';

/** What runs, whatever it is. */
export interface Started extends Running {
  /** Undefined: all roles. */
  roles?: readonly RoleName[];
  inner?: string;
  addresses?: Addresses;
}

/**
 * Starts what `names` stands for, on the engine that the settings choose; no names = everything. Rejects with `ConfigError`
 * (settings, files) or the error of a listener (EADDRINUSE). `signal` gives up a start that still waits for other roles.
 */
export async function start(config: Config, names: readonly string[], signal?: AbortSignal): Promise<Started> {
  if (config.EDUK_ENGINE === 'embedded') return startEmbedded(config);
  const [{ startRoles }, { parts }] = await Promise.all([import('./distributed.ts'), import('./parts.ts')]);
  return startRoles(config, names, parts, signal);
}

/** Everything in one process, from `EDUK_*`: what `npm start` and the tests of the whole run. Rejects as `start`. */
export async function startGateway(env: Record<string, string | undefined>, configFile?: string): Promise<Gateway> {
  const started = await start(
    readConfig(env, configFile, (config) => missing(config, [])),
    [],
  );
  return started as Gateway;
}

/** `eduk move`, `backup`, `restore` and `key make`: loaded only by those who use them. */
export const keeping = () => import('./keeping.ts');

/** Pages of the console, by address, with the parts of their query: loaded only by who makes a link to one. */
export const consolePages = async (): Promise<Readonly<Record<string, readonly string[]>>> =>
  (await import('#services/console')).PLACES;
