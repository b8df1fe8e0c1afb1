/** Where a gateway of the suite tells its traces and metrics: what came is kept, to be searched. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Collector {
  /** With which a gateway tells it, soon and in a form that can be read. */
  env: Record<string, string>;
  pieces(): Buffer[];
  stop(): void;
}

export async function startCollector(): Promise<Collector> {
  const pieces: Buffer[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [Buffer.from(JSON.stringify([request.url, request.rawHeaders]))];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      pieces.push(Buffer.concat(parts));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
    },
    pieces: () => pieces,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
