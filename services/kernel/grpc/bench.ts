/**
 * What one call between two processes costs: frames of `Exchange` beside a unary call of gRPC for each. Run it with
 * `node services/kernel/grpc/bench.ts`; it prints CPU of both processes for each call.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { portTransport, serveOnPort, type Transport } from '../index.ts';
import { grpcTransport, serveGrpc } from './index.ts';

const KEY = 'bench';
const SERVICE = 'eduk.bench.v1.Echo';
const unary = {
  echo: {
    path: `/${SERVICE}/Echo`,
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
} as const;
const echo: Transport = { call: async (_service, _method, request) => request };

interface Spent {
  user: number;
  system: number;
}

if (process.argv[2] === 'serve') {
  const inner = await serveGrpc({ address: { host: '127.0.0.1', port: 0 }, key: KEY });
  inner.open(echo, [SERVICE]);
  const server = new Server();
  server.addService(unary, {
    echo: (call: { request: Buffer }, answer: (error: null, bytes: Buffer) => void) => answer(null, call.request),
  });
  const plain = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  process.on('message', () => process.send!(process.cpuUsage()));
  process.on('disconnect', () => process.exit());
  process.send!({ port: inner.port, plain });
} else {
  const child = fork(import.meta.filename, ['serve']);
  const [{ port, plain }] = (await once(child, 'message')) as [{ port: number; plain: number }];
  const spent = async (): Promise<{ here: Spent; there: Spent }> => {
    child.send('cpu');
    const [there] = (await once(child, 'message')) as [Spent];
    return { here: process.cpuUsage(), there };
  };
  const exchange = grpcTransport({ addresses: [`127.0.0.1:${port}`], key: KEY, repeats: () => false });
  const client = new Client(`127.0.0.1:${plain}`, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = unary.echo;
  const { port1, port2 } = new MessageChannel();
  serveOnPort(port2 as never, echo);
  const overPort = portTransport({
    postMessage: (m, t) => port1.postMessage(m, t as never),
    on: port1.on.bind(port1) as never,
  });
  const ways: Record<string, (request: Buffer) => Promise<unknown>> = {
    exchange: (request) => exchange.call(SERVICE, 'echo', request),
    unary: (request) =>
      new Promise((resolve, reject) =>
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, answer) =>
          error ? reject(error) : resolve(answer),
        ),
      ),
    'message port, one thread': (request) => overPort.call(SERVICE, 'echo', request),
  };
  process.stdout.write('way | under way | bytes | calls/s | CPU here + there, µs a call\n');
  for (const bytes of [200, 4_000])
    for (const underWay of [1, 16, 200])
      for (const [name, call] of Object.entries(ways)) {
        const request = Buffer.alloc(bytes, 7);
        const run = async (calls: number): Promise<void> => {
          let left = calls;
          await Promise.all(
            Array.from({ length: underWay }, async () => {
              while (left-- > 0) await call(request);
            }),
          );
        };
        await run(3_000);
        const calls = 20_000;
        const from = await spent();
        const started = performance.now();
        await run(calls);
        const took = performance.now() - started;
        const to = await spent();
        const cost = (a: Spent, b: Spent): string => ((b.user + b.system - a.user - a.system) / calls).toFixed(0);
        process.stdout.write(
          `${name} | ${underWay} | ${bytes} | ${Math.round((calls / took) * 1000)} | ${cost(from.here, to.here)} + ${cost(from.there, to.there)}\n`,
        );
      }
  port1.close();
  exchange.close();
  client.close();
  child.disconnect();
}
