import { parentPort } from 'node:worker_threads';
import { GatewayError } from '#kernel';
import type { Answer, Job } from './apart.ts';
import { readXml } from './read.ts';

parentPort!.on('message', ({ id, bytes, options }: Job) => {
  let answer: Answer;
  try {
    answer = { id, read: readXml(bytes, options) };
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
