import type { Worker } from 'node:worker_threads';
import { type Fault, GatewayError, startThread, type Where } from '#kernel';
import { type ReadOptions, readXml, type XmlRead } from './read.ts';

/** Documents larger than this are read in a worker, so that a thread that answers others is not held up. */
export const WORKER_BYTES = 256 * 1024;

/** Longer than any one document within `MAX_BYTES` takes; what waits its turn does not count. */
const JOB_MS = 60_000;

/**
 * What is made of a document where it was read, so that its tree, the largest thing there is of it, never crosses threads.
 * Its own module exports it under `name`. What goes in and what comes out is plain data.
 */
export interface Step<Given, Made> {
  readonly module: string;
  readonly name: string;
  make(read: XmlRead, given: Given): Made;
}

export interface Job {
  id: number;
  bytes: Uint8Array;
  options: ReadOptions;
  step: { module: string; name: string; given: unknown };
}
export type Answer = { id: number } & (
  | { made: unknown }
  | { fault: Fault; told: string; where: readonly Where[] }
  | { bug: string }
);

interface Waiting {
  done(made: unknown): void;
  failed(error: GatewayError): void;
}

let worker: Worker | undefined;
let waiting = new Map<number, Waiting>();
let overdue: NodeJS.Timeout | undefined;
let lastId = 0;

/** The whole tree. */
export const wholeTree: Step<undefined, XmlRead> = { module: import.meta.url, name: 'wholeTree', make: (read) => read };

/**
 * `readXml`, in the one worker of this thread when the document is large. Answers and errors are the same. What comes back is
 * plain data: identity in it is wrapped by the caller.
 */
export const readXmlApart = (bytes: Uint8Array, options: ReadOptions = {}): Promise<XmlRead> =>
  makeApart(bytes, options, wholeTree, undefined);

/**
 * `readXml` and a step after it, both in the worker when the document is large. When the worker dies, everything it was
 * reading fails with `gateway.bug`, and the next call starts a new one.
 */
export async function makeApart<Given, Made>(
  bytes: Uint8Array,
  options: ReadOptions,
  step: Step<Given, Made>,
  given: Given,
): Promise<Made> {
  if (bytes.length <= WORKER_BYTES || bytes.length > (options.maxBytes ?? Number.POSITIVE_INFINITY))
    return step.make(readXml(bytes, options), given);
  const at = start();
  const jobs = waiting;
  const id = ++lastId;
  return new Promise<Made>((done, failed) => {
    jobs.set(id, { done: (made) => done(made as Made), failed });
    if (jobs.size === 1) watch(at);
    at.ref();
    // A copy of our own, which is then handed over instead of copied again.
    const copy = new Uint8Array(bytes);
    const job: Job = { id, bytes: copy, options, step: { module: step.module, name: step.name, given } };
    at.postMessage(job, [copy.buffer as ArrayBuffer]);
  });
}

/** Ends the worker; for a service that stops and for tests. */
export async function closeWorker(): Promise<void> {
  await worker?.terminate();
}

/** Gives the document that is read now its time. */
function watch(at: Worker): void {
  clearTimeout(overdue);
  overdue = setTimeout(() => void at.terminate(), JOB_MS);
}

function start(): Worker {
  if (worker) return worker;
  const it = startThread(new URL('./worker.ts', import.meta.url), {});
  const jobs = new Map<number, Waiting>();
  const gone = (cause?: unknown) => {
    if (worker === it) {
      worker = undefined;
      clearTimeout(overdue);
    }
    for (const { failed } of jobs.values())
      failed(new GatewayError('gateway.bug', 'Reading the message failed.', { cause }));
    jobs.clear();
  };
  it.on('message', (answer: Answer) => {
    const job = jobs.get(answer.id);
    jobs.delete(answer.id);
    if (jobs.size > 0) watch(it);
    else {
      clearTimeout(overdue);
      it.unref();
    }
    if (!job) return;
    if ('made' in answer) job.done(answer.made);
    else if ('fault' in answer) job.failed(new GatewayError(answer.fault, answer.told, { where: answer.where }));
    else job.failed(new GatewayError('gateway.bug', undefined, { cause: new Error(answer.bug) }));
  });
  it.on('error', gone);
  it.on('exit', () => gone());
  it.unref();
  worker = it;
  waiting = jobs;
  return it;
}
