/** A receiver of webhooks as a party would write it: checks each signature with a library, honours ids, keeps a ledger. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Webhook } from 'standardwebhooks';

export interface Told {
  id: string;
  type: string;
  school: string;
  partitionkey: string;
  sequence: string;
  time: string;
  data: any;
}

export interface Request {
  webhookId: string;
  keyId: string;
  events: Told[];
  /** Bytes of the body, as text. */
  body: string;
}

/** What to do with a request: answer a status, or something else by hand. Undefined: take it, 204. */
export type Behaviour = (
  request: Request,
  response: ServerResponse,
  socket: Socket,
) => number | 'handled' | undefined | Promise<number | 'handled' | undefined>;

export class Receiver {
  readonly requests: Request[] = [];
  /** Events at their first arrival, in order. */
  readonly first: Told[] = [];
  /** How often each event came. */
  readonly times = new Map<string, number>();
  readonly problems: string[] = [];
  secret = '';
  behaviour: Behaviour = () => undefined;
  connections = 0;
  readonly #server: Server;
  readonly #last = new Map<string, string>();
  /** Events that were answered with 2xx, as far as this side knows. */
  readonly #answered = new Set<string>();
  repeatsAfterAnswer = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(port = 0): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server);
    server.on('request', (request, response) => receiver.#take(request, response));
    server.on('connection', () => {
      receiver.connections += 1;
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    const { headers } = request;
    let events: Told[];
    try {
      events = new Webhook(this.secret).verify(body, headers as Record<string, string>) as Told[];
    } catch (thrown) {
      this.problems.push(`a signature that does not fit: ${String(thrown)}`);
      response.writeHead(401).end();
      return;
    }
    if (headers['content-type'] !== 'application/cloudevents-batch+json; charset=utf-8')
      this.problems.push(`content type ${headers['content-type']}`);
    const told: Request = {
      webhookId: String(headers['webhook-id']),
      keyId: String(headers['eduk-key-id']),
      events,
      body,
    };
    this.requests.push(told);
    if (new Set(events.map(({ school }) => school)).size > 1) this.problems.push('two schools in one request');
    const status = (await this.behaviour(told, response, request.socket)) ?? 204;
    if (status === 'handled') return;
    if (status >= 200 && status < 300) {
      for (const event of events) this.#arrived(event);
      response.once('finish', () => {
        for (const { id } of events) this.#answered.add(id);
      });
    }
    response.writeHead(status).end();
  }

  /** For behaviours that answer by hand: the events count as taken. */
  arrived(request: Request): void {
    for (const event of request.events) this.#arrived(event);
  }

  #arrived(event: Told): void {
    const times = (this.times.get(event.id) ?? 0) + 1;
    this.times.set(event.id, times);
    if (times > 1) {
      if (this.#answered.has(event.id)) this.repeatsAfterAnswer += 1;
      return;
    }
    this.first.push(event);
    const before = this.#last.get(event.partitionkey);
    if (before !== undefined && before >= event.sequence)
      this.problems.push(`out of order: ${event.sequence} after ${before}`);
    this.#last.set(event.partitionkey, event.sequence);
  }

  get repeats(): number {
    let sum = 0;
    for (const times of this.times.values()) sum += times - 1;
    return sum;
  }

  /** Waits until so many events arrived for the first time. */
  async until(count: number, ms = 60_000): Promise<void> {
    const end = Date.now() + ms;
    while (this.first.length < count) {
      if (Date.now() > end)
        throw new Error(`${this.first.length} of ${count} arrived in ${ms} ms; ${this.problems.join('; ')}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}
