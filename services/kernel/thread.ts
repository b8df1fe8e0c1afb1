import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Starts `entry`, a TypeScript file, in a thread of its own, with the compile cache on. */
export const startThread = (entry: URL, options: WorkerOptions): Worker =>
  new Worker(new URL('./thread-entry.js', import.meta.url), { ...options, argv: [entry.href] });
