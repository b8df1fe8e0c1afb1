import { backupInThread, ConfigError, GatewayError, portTransport, startThread, type Transport } from '#kernel';
import type { ThreadData } from './thread.ts';

export interface VaultThread {
  /** Carries calls of `VaultServiceDefinition`. */
  transport: Transport;
  /** Whether the vault was made under a development key. */
  devKey: boolean;
  /** Copies the file into a new one, as of one moment. */
  backup(file: string): Promise<void>;
  /** Resolves when the file is closed. */
  stop(): Promise<void>;
  /** Called once if the thread ends without `stop`; every call under way has failed then. */
  onLost(listener: (error: GatewayError) => void): void;
}

/** Starts the vault in a thread of its own. Rejects with `ConfigError` when it does not open. */
export async function startVaultThread(data: ThreadData): Promise<VaultThread> {
  const worker = startThread(new URL('./thread.ts', import.meta.url), {
    workerData: data,
    name: 'vault',
    resourceLimits: { maxYoungGenerationSizeMb: 12 },
  });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const said = await new Promise<{ ready?: true; devKey?: boolean; failed?: string }>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => resolve({ failed: 'the vault ended before it was ready' }));
  });
  if (said.failed !== undefined) {
    await exited;
    throw new ConfigError([said.failed]);
  }
  const transport = portTransport(worker);
  let stopping = false;
  let lost: (error: GatewayError) => void = () => undefined;
  worker.on('error', () => undefined); // The exit that follows says it.
  worker.once('exit', () => {
    const error = new GatewayError(
      stopping ? 'gateway.stopping' : 'gateway.bug',
      stopping ? undefined : 'The vault has ended.',
    );
    transport.fail(error);
    if (!stopping) lost(error);
  });
  return {
    transport,
    devKey: said.devKey === true,
    backup: (file) => backupInThread(worker, file),
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
