import { type MessagePort, Worker, type WorkerOptions } from 'node:worker_threads';
import { asGatewayError, GatewayError, isFault } from './errors.ts';

/** Starts `entry`, a TypeScript file, in a thread of its own, with the compile cache on. */
export const startThread = (entry: URL, options: WorkerOptions): Worker =>
  new Worker(new URL('./thread-entry.js', import.meta.url), { ...options, argv: [entry.href] });

/** Has a thread copy its file, while it goes on answering calls. Rejects with what went wrong, or when the thread ends. */
export function backupInThread(worker: Worker, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (failed: string | undefined) => {
      worker.off('message', said);
      worker.off('exit', ended);
      if (failed === undefined) resolve();
      else reject(new GatewayError(isFault(failed) ? failed : 'gateway.bug'));
    };
    const said = (message: { backedUp?: string; failed?: string }) => {
      if (message.backedUp === file) settle(message.failed);
    };
    const ended = () => settle('gateway.stopping');
    worker.on('message', said);
    worker.once('exit', ended);
    worker.postMessage({ backup: file });
  });
}

/** The thread's side of `backupInThread`: `backup` makes the copy. */
export function answerBackups(port: MessagePort, backup: (file: string) => Promise<void>): void {
  port.on('message', async (message: { backup?: string }) => {
    if (message.backup === undefined) return;
    const failed = await backup(message.backup).then(
      () => undefined,
      (thrown: unknown) => asGatewayError(thrown).fault,
    );
    port.postMessage({ backedUp: message.backup, failed });
  });
}
