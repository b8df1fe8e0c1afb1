/** The whole gateway in one process, embedded engine: doors in this thread, state and vault each in a thread of its own. */
import { statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import { refuseFolder, stateFile } from '#bus';
import {
  backupInThread,
  type Config,
  ConfigError,
  GatewayError,
  isLoopback,
  log,
  operatorAddress,
  parseAddress,
  parseNetworks,
  portTransport,
  startThread,
  systemClock,
  type Transport,
} from '#kernel';
import { type Console, startConsole } from '#services/console';
import { type Sender, startDoors, startOutbound } from '#services/edge';
import { findMasterKey, startVaultThread } from '#services/pseudonyms';
import {
  alertsOf,
  consoleOf,
  type Gateway,
  makeFolder,
  operatorKey,
  packageVersion,
  processingOf,
  reconcileOf,
  registerOf,
  schoolSignInOf,
  signInOf,
  telemetryOf,
  tlsOfDoors,
  versionEndsOf,
  writeAddresses,
} from './data.ts';
import { serveInternal } from './internal.ts';
import { Reading } from './reading.ts';
import type { StateData } from './state.ts';

/** Starts it. Rejects with `ConfigError` (settings, files) or the error of a listener (EADDRINUSE). */
export async function startEmbedded(config: Config): Promise<Gateway> {
  const folder = config.EDUK_DATA;
  makeFolder(folder);
  refuseFolder(folder);
  const tls = tlsOfDoors(config);
  const register = registerOf(config);
  const addresses = { grpc: parseAddress(config.EDUK_GRPC)!, http: parseAddress(config.EDUK_HTTP)! };
  const onLoopback = isLoopback(addresses.grpc.host) && isLoopback(addresses.http.host);
  const vaultFile = join(folder, 'vault.db');
  const key = findMasterKey({ data: folder, keyFile: config.EDUK_MASTER_KEY_FILE, loopback: onLoopback, vaultFile });
  const allowNetworks = parseNetworks(config.EDUK_ALLOW_NETWORKS ?? '') ?? [];
  const startVault = startVaultThread({
    file: vaultFile,
    keyFile: key.file,
    devKey: key.devKey,
    revealsPerHour: Number(config.EDUK_REVEALS_PER_HOUR),
    allowNetworks,
    onLoopback,
    leaseMs: Number(config.EDUK_KEY_LEASE_S) * 1000,
  });
  const [vault, state] = await bothOrNone(startVault, startState({ file: stateFile(folder), config }, startVault));
  const reads = new Reading(state, { file: stateFile(folder), config });
  let doors: Awaited<ReturnType<typeof startDoors>>;
  let internal: Awaited<ReturnType<typeof serveInternal>> | undefined;
  let outbound: Sender;
  let console: Console | undefined;
  try {
    doors = await startDoors({
      ...addresses,
      tls,
      operator: operatorAddress(config),
      servesHealth: config.EDUK_INTERNAL === undefined,
      publicUrl: config.EDUK_PUBLIC_URL?.replace(/\/+$/, ''),
      state: state.transport,
      questions: reads,
      vault: vault.transport,
      clock: systemClock,
      operatorKey: operatorKey(config),
      signIn: signInOf(config),
      register,
      administrations: config.EDUK_ADMINISTRATIONS,
      namesHeldMs: Number(config.EDUK_NAMES_HELD_S) * 1000,
      alerts: alertsOf(config),
      telemetry: telemetryOf(config),
      replaySecondAbove: Number(config.EDUK_REPLAY_SECOND_ABOVE),
      holdSecond: config.EDUK_HOLD_SECOND_PERSON === 'yes',
      freezeSecond: config.EDUK_FREEZE_SECOND === 'yes',
      reconcile: reconcileOf(config),
      schools: schoolSignInOf(config),
      version: packageVersion,
      processing: processingOf(config),
      versionEnds: versionEndsOf(config),
      allowNetworks,
      pace: { calls: Number(config.EDUK_PARTY_CALLS), items: Number(config.EDUK_PARTY_ITEMS) },
      trustedProxies: parseNetworks(config.EDUK_TRUSTED_PROXY ?? '') ?? [],
      disk: async () => {
        const { bavail, bsize } = await statfs(folder);
        const places = [
          ['state', stateFile(folder)],
          ['vault', vaultFile],
        ] as const;
        return places.map(([place, file]) => ({
          place,
          disk: 'data',
          // Without the journal, which comes and goes.
          usedBytes: BigInt(statSync(file, { throwIfNoEntry: false })?.size ?? 0),
          freeBytes: BigInt(bavail * bsize),
        }));
      },
      async backup(to) {
        // The state first: the vault that is copied after it knows every token in it.
        await state.backup(join(to, 'state.db'));
        await vault.backup(join(to, 'vault.db'));
      },
    });
    const close = async (thrown: unknown): Promise<never> => {
      await doors.stop(0);
      throw thrown;
    };
    outbound = await startOutbound({
      state: state.transport,
      vault: vault.transport,
      clock: systemClock,
      allowNetworks,
      onLoopback,
      // The folder is this process's alone.
      alone: true,
      administrations: config.EDUK_ADMINISTRATIONS,
      telemetry: telemetryOf(config),
      namesHeldMs: Number(config.EDUK_NAMES_HELD_S) * 1000,
      version: packageVersion,
    }).catch(close);
    try {
      console = await startConsole(consoleOf(config, doors));
      internal = await serveInternal(config, doors.health);
    } catch (thrown) {
      await Promise.all([outbound.stop(0), console?.stop(0)]);
      return await close(thrown);
    }
  } catch (thrown) {
    await Promise.all([vault.stop(), reads.stop().then(() => state.stop())]);
    throw thrown;
  }
  const shown = console;
  const bound = { grpc: doors.grpc, http: doors.http, console: shown.address };
  const forget = writeAddresses(folder, bound);
  let stopping: Promise<void> | undefined;
  let lost: (error: GatewayError) => void = (error) => log('error', 'thread_lost', { fault: error.fault });
  vault.onLost((error) => lost(error));
  state.onLost((error) => lost(error));
  // A folder that was removed or replaced under us would take in messages that are gone at the stop.
  const stopWatching = watchFiles([stateFile(folder), vaultFile], () => {
    log('error', 'data_folder_gone');
    doors.close();
    lost(new GatewayError('gateway.bug', 'The data folder was taken away.'));
  });
  return {
    addresses: bound,
    devKey: vault.devKey,
    stop() {
      stopping ??= (async () => {
        stopWatching();
        forget();
        await Promise.all([shown.stop(1_000), doors.stop(3_000), outbound.stop(3_000)]);
        // The state writes its journal into the file only where nobody reads it any more.
        await Promise.all([reads.stop().then(() => state.stop()), vault.stop(), internal?.stop()]);
      })();
      return stopping;
    },
    onLost(listener) {
      lost = listener;
    },
  };
}

/** How often the files are looked for, milliseconds. */
const WATCH_MS = 2_000;

/** Calls `gone` once when a file is no longer the one that was opened. */
function watchFiles(files: readonly string[], gone: () => void): () => void {
  const opened = files.map(inode);
  const timer = setInterval(() => {
    if (files.every((file, i) => inode(file) === opened[i])) return;
    clearInterval(timer);
    gone();
  }, WATCH_MS);
  timer.unref();
  return () => clearInterval(timer);
}

const inode = (file: string): number => statSync(file, { throwIfNoEntry: false })?.ino ?? -1;

interface Thread {
  transport: Transport;
  /** Copies the file into a new one, as of one moment. */
  backup(file: string): Promise<void>;
  stop(): Promise<void>;
  onLost(listener: (error: GatewayError) => void): void;
}

interface StateThread extends Thread {
  /** Has the state share its file, and answer calls on this port too. */
  share(port: MessagePort): void;
}

/** The state opens its file only once the vault has opened its own: of a data folder that cannot be used nothing changes. */
async function startState(data: StateData, vault: Promise<unknown>): Promise<StateThread> {
  const worker = startThread(new URL('./state.ts', import.meta.url), {
    workerData: data,
    name: 'state',
    // Unbounded, the young objects of a busy hour would keep 100 MB.
    resourceLimits: { maxYoungGenerationSizeMb: 24 },
  });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  vault.then(
    () => worker.postMessage({ open: true }),
    () => worker.postMessage({ stop: true }),
  );
  const said = await new Promise<{ ready?: true; failed?: string }>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => resolve({ failed: 'the state ended before it was ready' }));
  });
  if (said.failed !== undefined) {
    await exited;
    throw new ConfigError([said.failed]);
  }
  const transport = portTransport(worker);
  let stopping = false;
  let lost: (error: GatewayError) => void = () => undefined;
  worker.on('error', (thrown) =>
    log('error', 'state_lost', { cause: thrown instanceof Error ? thrown.name : typeof thrown }),
  );
  worker.once('exit', () => {
    const error = stopping
      ? new GatewayError('gateway.stopping')
      : new GatewayError('gateway.bug', 'The state has ended.');
    transport.fail(error);
    if (!stopping) lost(error);
  });
  return {
    transport,
    backup: (file) => backupInThread(worker, file),
    share: (port) => worker.postMessage({ reads: port }, [port]),
    async stop() {
      if (!stopping) {
        stopping = true;
        worker.postMessage({ stop: true });
      }
      await exited;
    },
    onLost(listener) {
      lost = listener;
    },
  };
}

/** Starts two threads side by side; when one does not start, the other is stopped before the error is told. */
async function bothOrNone<A extends { stop(): Promise<void> }, B extends { stop(): Promise<void> }>(
  a: Promise<A>,
  b: Promise<B>,
): Promise<[A, B]> {
  const settled = await Promise.allSettled([a, b]);
  const failed = settled.find((one) => one.status === 'rejected');
  if (!failed)
    return [(settled[0] as PromiseFulfilledResult<A>).value, (settled[1] as PromiseFulfilledResult<B>).value];
  for (const one of settled) if (one.status === 'fulfilled') await one.value.stop();
  throw failed.reason;
}
