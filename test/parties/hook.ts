/** A webhook as a party has it: takes what is signed with its secret, each event once. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { Message } from './wire.ts';

export interface Hook {
  url: string;
  /** The secret that the operator was given; before it is known nothing is taken. */
  trust(secret: string): void;
  /** Ids of all that came, in the order of their coming; of a repeat once more. */
  readonly arrived: readonly string[];
}

/** Listens on a free port; `told` gets each event at its first coming. */
export async function openHook(told: (event: Message) => void): Promise<Hook> {
  let webhook: Webhook | undefined;
  const seen = new Set<string>();
  const arrived: string[] = [];
  const server = createServer(async (request, response) => {
    try {
      const events = webhook!.verify(await textOf(request), request.headers as Record<string, string>) as Message[];
      for (const event of events) {
        arrived.push(event['id']);
        if (seen.has(event['id'])) continue;
        seen.add(event['id']);
        told(event);
      }
      response.writeHead(204).end();
    } catch {
      // Not signed, or not for us: whoever it is may learn nothing more.
      response.writeHead(401).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/eduk`,
    arrived,
    trust(secret) {
      webhook = new Webhook(secret);
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
