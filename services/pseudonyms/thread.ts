import { parentPort, workerData } from 'node:worker_threads';
import {
  answerBackups,
  asGatewayError,
  ConfigError,
  describeError,
  dispatcher,
  log,
  recordBugs,
  serveOnPort,
  systemClock,
} from '#kernel';
import { readMasterKey, readNextKey } from './master.ts';
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
}

const port = parentPort!;
const { file, keyFile, devKey, revealsPerHour } = workerData as ThreadData;
try {
  const masterKey = readMasterKey(keyFile);
  const vault = openVault({
    file,
    masterKey,
    nextKey: () => readNextKey(keyFile),
    devKey,
    clock: systemClock,
    ...(revealsPerHour === undefined ? {} : { revealsPerHour }),
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
