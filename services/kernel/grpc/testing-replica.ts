/** A replica for tests, in a process of its own: echoes, `slow` after 200 ms. Prints its port. */
import { setTimeout as sleep } from 'node:timers/promises';
import { serveGrpc } from './index.ts';

const [key, port] = process.argv.slice(2);
const server = await serveGrpc({ address: { host: '127.0.0.1', port: Number(port) }, key });
server.open(
  {
    async call(_service, method, request) {
      if (method !== 'echo') await sleep(200);
      return request;
    },
  },
  ['eduk.test.v1.Echo'],
);
process.stdout.write(`${server.port}\n`);
