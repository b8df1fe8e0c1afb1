import { parentPort, workerData } from 'node:worker_threads';
import {
  answerBackups,
  asGatewayError,
  ConfigError,
  describeError,
  diallerFor,
  dispatcher,
  log,
  networksOf,
  recordBugs,
  serveOnPort,
  systemClock,
} from '#kernel';
import { MasterSource, readAtStart } from './custody.ts';
import { holdersOver } from './holder.ts';
import { openVault } from './vault.ts';

/**
 * Entry of the vault's own thread: the only one that reads the master key. It says `{ready: true, devKey}` or
 * `{failed: message}` once, then answers calls; after `{stop: true}` it closes the file, says `{stopped: true}` and ends.
 */
export interface ThreadData {
  file: string;
  keyFile: string;
  /** Whether `keyFile` is a development key. */
  devKey: boolean;
  /** As in `VaultOptions`. */
  revealsPerHour?: number;
  /** Networks beyond the Internet where holders of keys may be. */
  allowNetworks?: readonly string[];
  /** Whether the gateway is on loopback, so that they may be. */
  onLoopback?: boolean;
  leaseMs?: number;
}

const port = parentPort!;
const {
  file,
  keyFile,
  devKey,
  revealsPerHour,
  allowNetworks = [],
  onLoopback = true,
  leaseMs,
} = workerData as ThreadData;
try {
  const holders = holdersOver(diallerFor(networksOf(allowNetworks, onLoopback)));
  const source = new MasterSource(keyFile, holders);
  const masterKey = await readAtStart(source);
  const vault = openVault({
    file,
    masterKey,
    nextKey: source.next,
    source,
    holders,
    devKey,
    clock: systemClock,
    ...(revealsPerHour === undefined ? {} : { revealsPerHour }),
    ...(leaseMs === undefined ? {} : { leaseMs }),
  });
  masterKey.fill(0);
  recordBugs((error, service, method) => log('error', 'vault.bug', { service, method, ...describeError(error) }));
  serveOnPort(port, dispatcher(vault.implementations));
  port.on('message', async (message: { stop?: true }) => {
    if (!message.stop) return;
    await vault.stop();
    port.postMessage({ stopped: true });
    port.close();
  });
  answerBackups(port, (copy) => vault.backup(copy));
  vault.start();
  port.postMessage({ ready: true, devKey: vault.devKey });
} catch (error) {
  // A ConfigError is written for the operator; anything else may quote what it should not.
  const message =
    error instanceof ConfigError ? error.message : `the vault does not open: ${asGatewayError(error).fault}`;
  if (!(error instanceof ConfigError)) log('error', 'vault.not_open', describeError(error));
  port.postMessage({ failed: message });
  port.close();
}
