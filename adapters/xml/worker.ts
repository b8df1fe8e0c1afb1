import { parentPort } from 'node:worker_threads';
import { GatewayError } from '#kernel';
import type { Answer, Job, Step } from './apart.ts';
import { readXml } from './read.ts';

parentPort!.on('message', async ({ id, bytes, options, step }: Job) => {
  let answer: Answer;
  try {
    const { make } = ((await import(step.module)) as Record<string, Step<unknown, unknown>>)[step.name]!;
    answer = { id, made: make(readXml(bytes, options), step.given) };
  } catch (thrown) {
    // After a trap the parser's memory cannot be trusted: end, so that the next document gets a new worker.
    if (thrown instanceof Error && thrown.name === 'RuntimeError') throw new Error('the parser trapped');
    answer =
      thrown instanceof GatewayError
        ? { id, fault: thrown.fault, told: thrown.told, where: thrown.where }
        : { id, bug: thrown instanceof Error ? thrown.name : typeof thrown };
  }
  parentPort!.postMessage(answer);
});
