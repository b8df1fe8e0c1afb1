/**
 * The state thread of the embedded engine: SQLite, the log and every service's decider live here, where blocking on the
 * disk holds up nobody at the doors. It opens its file when told `{open: true}`, says `{ready: true}` or `{failed:
 * message}` once, then answers calls; `{reads: port}` shares the file with a thread that reads it, says `{shared: true}` to
 * that port and answers its calls as well; `{stop: true}` makes it finish, close its file and end.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { openEngine } from '#bus';
import {
  answerBackups,
  asGatewayError,
  type Config,
  ConfigError,
  describeError,
  dispatcher,
  log,
  recordBugs,
  serveOnPort,
} from '#kernel';
import { modulesOf, prepare, services } from './roles.ts';
import { takesBack } from './withdrawn.ts';

export interface StateData {
  file: string;
  config: Config;
}

const port = parentPort!;
const { file, config } = workerData as StateData;
try {
  const told = await new Promise<{ open?: true }>((resolve) => port.once('message', resolve));
  if (!told.open) throw new ConfigError(['the state was not opened']);
  const engine = openEngine({
    file,
    outboxMax: Number(config.EDUK_OUTBOX_MAX),
    modules: await modulesOf(services, config),
    remembers: takesBack,
  });
  // A folder that cannot be used is left as it is: only now something is made in it.
  await prepare(services, config).catch(async (thrown) => {
    await engine.stop();
    throw thrown;
  });
  recordBugs((error, service, method) => log('error', 'state_bug', { service, method, ...describeError(error) }));
  const answers = dispatcher(engine.implementations);
  serveOnPort(port, answers);
  port.on('message', async (message: { stop?: true; reads?: MessagePort }) => {
    if (message.reads) {
      engine.share();
      serveOnPort(message.reads, answers);
      message.reads.postMessage({ shared: true });
    }
    if (!message.stop) return;
    await engine.stop();
    port.close();
  });
  answerBackups(port, (copy) => engine.backup(copy));
  engine.start();
  port.postMessage({ ready: true });
} catch (error) {
  const message =
    error instanceof ConfigError ? error.message : `the state does not open: ${asGatewayError(error).fault}`;
  if (!(error instanceof ConfigError)) log('error', 'state_not_open', describeError(error));
  port.postMessage({ failed: message });
  port.close();
}
