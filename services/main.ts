/** The whole gateway in one process, embedded engine: doors in this thread, state and vault each in a thread of its own. */

import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stateFile } from '#bus';
import {
  ConfigError,
  GatewayError,
  isLoopback,
  log,
  parseAddress,
  portTransport,
  readConfig,
  startThread,
  systemClock,
  type Transport,
} from '#kernel';
import { startDoors } from '#services/edge';
import { findMasterKey, startVaultThread } from '#services/pseudonyms';
import type { StateData } from './state.ts';

export interface Addresses {
  grpc: string;
  http: string;
  console: string;
}

export interface Gateway {
  addresses: Addresses;
  /** Whether the master key is a development key; said at every start. */
  devKey: boolean;
  /** Ends within 10 s: no new messages, answers under way leave, files are closed. */
  stop(): Promise<void>;
  /** Called when a thread is lost: the process should end, and be started again. */
  onLost(listener: (error: GatewayError) => void): void;
}

const packageVersion = (
  JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { version: string }
).version;

/** Starts from `EDUK_*`. Rejects with `ConfigError` (settings, files) or the error of a listener (EADDRINUSE). */
export async function startGateway(env: Record<string, string | undefined>, configFile?: string): Promise<Gateway> {
  const config = readConfig(env, configFile);
  const folder = config.EDUK_DATA;
  makeFolder(folder);
  const addresses = {
    grpc: parseAddress(config.EDUK_GRPC)!,
    http: parseAddress(config.EDUK_HTTP)!,
    internal: config.EDUK_INTERNAL ? parseAddress(config.EDUK_INTERNAL) : undefined,
  };
  const onLoopback = isLoopback(addresses.grpc.host) && isLoopback(addresses.http.host);
  const vaultFile = join(folder, 'vault.db');
  const key = findMasterKey({ data: folder, keyFile: config.EDUK_MASTER_KEY_FILE, loopback: onLoopback, vaultFile });
  const addressFile = join(folder, 'addresses.json');
  const startVault = startVaultThread({ file: vaultFile, keyFile: key.file, devKey: key.devKey });
  const [vault, state] = await bothOrNone(
    startVault,
    startState(
      {
        file: stateFile(folder),
        outboxMax: Number(config.EDUK_OUTBOX_MAX),
        holdThresholdPercent: Number(config.EDUK_HOLD_THRESHOLD_PERCENT),
      },
      startVault,
    ),
  );
  let doors: Awaited<ReturnType<typeof startDoors>>;
  try {
    doors = await startDoors({
      ...addresses,
      publicUrl: config.EDUK_PUBLIC_URL?.replace(/\/+$/, ''),
      state: state.transport,
      vault: vault.transport,
      clock: systemClock,
      operatorKey: operatorKey(folder),
      devKey: vault.devKey,
      version: packageVersion,
    });
  } catch (thrown) {
    await Promise.all([vault.stop(), state.stop()]);
    throw thrown;
  }
  const bound: Addresses = { grpc: doors.grpc, http: doors.http, console: config.EDUK_CONSOLE };
  writeFileSync(addressFile, `${JSON.stringify(bound)}\n`);
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
        rmSync(addressFile, { force: true });
        await doors.stop(3_000);
        await Promise.all([state.stop(), vault.stop()]);
      })();
      return stopping;
    },
    onLost(listener) {
      lost = listener;
    },
  };
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    statfsSync(folder);
  } catch (thrown) {
    throw new ConfigError([
      `EDUK_DATA names a folder that cannot be made or read (${(thrown as { code?: string }).code ?? 'unknown'})`,
    ]);
  }
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

/** Made at the first start, 0600; the command line on this machine reads it. */
function operatorKey(folder: string): string {
  const file = join(folder, 'operator.key');
  if (!existsSync(file)) {
    writeFileSync(file, `eduk_operator_${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    chmodSync(file, 0o600);
  }
  const text = readFileSync(file, 'utf8').trim();
  if (!/^eduk_operator_[\w-]{32,}$/.test(text))
    throw new ConfigError([`${file} does not hold an operator's key; remove it and start again to have one made`]);
  return text;
}

interface Thread {
  transport: Transport;
  stop(): Promise<void>;
  onLost(listener: (error: GatewayError) => void): void;
}

/** The state opens its file only once the vault has opened its own: of a data folder that cannot be used nothing changes. */
async function startState(data: StateData, vault: Promise<unknown>): Promise<Thread> {
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
