/**
 * The reading thread of the embedded engine: answers what persons ask (`questions`) from the state's file, beside the state. It
 * opens the file once the state shares it, says `{ready: true}` or `{failed: true}` once, then answers calls; `{stop: true}`
 * makes it let go of the file and end.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { openBeside } from '#bus';
import { type Config, describeError, log, portTransport, recordBugs, serveOnPort } from '#kernel';
import { alongside, modulesOf, questions, services } from './roles.ts';

export interface ReadsData {
  file: string;
  config: Config;
  /** To the state. */
  state: MessagePort;
}

const port = parentPort!;
const { file, config, state } = workerData as ReadsData;
try {
  await new Promise((resolve) => state.once('message', resolve));
  const asked = services.filter(({ answers }) => answers !== undefined && isAsked(answers));
  const beside = openBeside({ file, modules: await modulesOf(asked, config), engine: portTransport(state) });
  recordBugs((error, service, method) => log('error', 'reads_bug', { service, method, ...describeError(error) }));
  serveOnPort(port, beside);
  port.on('message', (message: { stop?: true }) => {
    if (!message.stop) return;
    beside.close();
    state.close();
    port.close();
  });
  port.postMessage({ ready: true });
} catch (thrown) {
  log('error', 'reads_not_open', describeError(thrown));
  port.postMessage({ failed: true });
  state.close();
  port.close();
}

function isAsked(service: string): boolean {
  return [...questions, ...alongside].some((method) => method.startsWith(`${service}/`));
}
