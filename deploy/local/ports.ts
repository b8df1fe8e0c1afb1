import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { LocalProblem } from './problem.ts';

/** Below where systems take the ports of outgoing calls from, so that none takes the port of a server that is down for a while. */
const FROM = 20_000;
const TO = 32_000;

/** Whether a server can listen on the port of 127.0.0.1 now. */
export const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });

/** As many different free ports of 127.0.0.1. Drawn by chance, so that two programs that ask at once get others. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 1_000) throw new LocalProblem(`No ${count} free ports between ${FROM} and ${TO} on 127.0.0.1.`);
    const port = randomInt(FROM, TO);
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  return [...found];
}
