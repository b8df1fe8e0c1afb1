/**
 * The state thread of the embedded engine: SQLite, the log and every service's decider live here, where blocking on the
 * disk holds up nobody at the doors. It opens its file when told `{open: true}`, says `{ready: true}` or `{failed:
 * message}` once, then answers calls; `{stop: true}` makes it finish, close its file and end.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { openEngine } from '#bus';
import { asGatewayError, ConfigError, describeError, dispatcher, log, recordBugs, serveOnPort } from '#kernel';
import { access } from '#services/access';
import { catalogue } from '#services/catalogue';
import { delivery } from '#services/delivery';
import { entitlements } from '#services/entitlements';
import { flows } from '#services/flows';
import { orders } from '#services/orders';
import { parties } from '#services/parties';
import { results } from '#services/results';
import { rostersWith } from '#services/rosters';

export interface StateData {
  file: string;
  outboxMax: number;
  /** Share of a school, percent. */
  holdThresholdPercent: number;
}

const port = parentPort!;
const { file, outboxMax, holdThresholdPercent } = workerData as StateData;
try {
  const told = await new Promise<{ open?: true }>((resolve) => port.once('message', resolve));
  if (!told.open) throw new ConfigError(['the state was not opened']);
  const engine = openEngine({
    file,
    outboxMax,
    modules: [
      parties,
      catalogue,
      rostersWith({ holdThresholdPercent }),
      orders,
      entitlements,
      access,
      results,
      delivery,
      flows,
    ],
  });
  recordBugs((error, service, method) => log('error', 'state_bug', { service, method, ...describeError(error) }));
  serveOnPort(port, dispatcher(engine.implementations));
  port.on('message', async (message: { stop?: true }) => {
    if (!message.stop) return;
    await engine.stop();
    port.close();
  });
  engine.start();
  port.postMessage({ ready: true });
} catch (error) {
  const message =
    error instanceof ConfigError ? error.message : `the state does not open: ${asGatewayError(error).fault}`;
  if (!(error instanceof ConfigError)) log('error', 'state_not_open', describeError(error));
  port.postMessage({ failed: message });
  port.close();
}
