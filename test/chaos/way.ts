/** A way through that can be made slow, cut, or dead: TCP on loopback, between the gateway and a server. */
import { createServer, type Server, Socket } from 'node:net';

export class Way {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #target: number;
  #delayMs = 0;
  #isDead = false;
  #isShut = false;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
  }

  /** Listens on `port`, 0 = a free one. */
  static async open(target: number, port = 0): Promise<Way> {
    const server = createServer();
    const way = new Way(server, target);
    server.on('connection', (socket) => way.#join(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return way;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Where it leads from now on, for connections that begin. */
  leadTo(target: number): void {
    this.#target = target;
  }

  /** Each piece is held back for so long, both ways, in order. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Cuts all connections, with a reset. */
  cut(): void {
    for (const [one, other] of this.#pairs) {
      one.resetAndDestroy();
      other.resetAndDestroy();
    }
  }

  /** Refuses new connections and cuts those that there are. */
  shut(isShut: boolean): void {
    this.#isShut = isShut;
    if (isShut) this.cut();
  }

  /** Connections stay open and nothing passes; what was under way then is lost, and they are cut when it ends. */
  dead(isDead: boolean): void {
    this.#isDead = isDead;
    if (!isDead) this.cut();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #join(client: Socket): void {
    if (this.#isShut) {
      client.resetAndDestroy();
      return;
    }
    const server = new Socket();
    server.connect(this.#target, '127.0.0.1');
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [server, client] as const]) {
      from.setNoDelay(true);
      // Whatever ends one side ends the other.
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#pairs.delete(pair);
        to.destroy();
      });
      from.on('end', () => to.end());
      from.on('data', this.#way(from, to));
    }
  }

  /** Passes pieces on in their order, each when it is due. */
  #way(from: Socket, to: Socket): (bytes: Buffer) => void {
    const held: { at: number; bytes: Buffer }[] = [];
    let isTimed = false;
    const write = (bytes: Buffer): void => {
      if (this.#isDead || to.destroyed || to.write(bytes)) return;
      from.pause();
      to.once('drain', () => from.resume());
    };
    const time = (ms: number): void => {
      if (!isTimed) setTimeout(release, ms);
      isTimed = true;
    };
    const release = (): void => {
      isTimed = false;
      while (held.length > 0 && held[0]!.at <= performance.now()) write(held.shift()!.bytes);
      if (held.length > 0) time(held[0]!.at - performance.now());
    };
    return (bytes) => {
      if (this.#isDead) return;
      if (this.#delayMs === 0 && held.length === 0) return write(bytes);
      held.push({ at: Math.max(held.at(-1)?.at ?? 0, performance.now() + this.#delayMs), bytes });
      time(this.#delayMs);
    };
  }
}
