/** The way to what persons ask: to the reading thread beside the state, which starts with the first question; until it is there, to the state. */
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { GatewayError, log, type PortTransport, portTransport, startThread, type Transport } from '#kernel';
import type { ReadsData } from './reads.ts';
import { alongside, questions } from './roles.ts';

/** After a thread that ended by itself the next one is not started at once, milliseconds. */
const REST_MS = 30_000;
const lost = new GatewayError('gateway.bug', 'The reading thread has ended.');

interface State {
  transport: Transport;
  share(port: MessagePort): void;
}

export class Reading implements Transport {
  readonly #state: State;
  readonly #data: Omit<ReadsData, 'state'>;
  #worker: Worker | undefined;
  #exited: Promise<void> = Promise.resolve();
  /** Once it is ready. */
  #transport: PortTransport | undefined;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(state: State, data: Omit<ReadsData, 'state'>) {
    this.#state = state;
    this.#data = data;
  }

  async call(service: string, method: string, request: Uint8Array): Promise<Uint8Array> {
    const name = `${service}/${method}`;
    const isQuestion = questions.has(name);
    if (isQuestion || alongside.has(name)) {
      if (this.#transport)
        try {
          // A copy: what crosses to a thread may move there, and then there is nothing left to ask the state by.
          return await this.#transport.call(service, method, Uint8Array.from(request));
        } catch (thrown) {
          // Whoever asked does not notice: a question may be asked twice.
          if (thrown !== lost) throw thrown;
        }
      else if (isQuestion) this.#start();
    }
    return this.#state.transport.call(service, method, request);
  }

  #start(): void {
    if (this.#worker || performance.now() < this.#notBefore) return;
    const { port1, port2 } = new MessageChannel();
    const data: ReadsData = { ...this.#data, state: port2 };
    const worker = startThread(new URL('./reads.ts', import.meta.url), {
      workerData: data,
      transferList: [port2],
      name: 'reads',
      // It holds what one answer needs.
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    });
    this.#worker = worker;
    this.#state.share(port1);
    worker.once('message', ({ ready }: { ready?: true }) => {
      if (ready && this.#worker === worker) this.#transport = portTransport(worker);
    });
    worker.on('error', (thrown) =>
      log('error', 'reads_lost', { cause: thrown instanceof Error ? thrown.name : typeof thrown }),
    );
    this.#exited = new Promise((resolve) =>
      worker.once('exit', () => {
        this.#transport?.fail(lost);
        this.#transport = undefined;
        this.#worker = undefined;
        this.#notBefore = performance.now() + REST_MS;
        resolve();
      }),
    );
  }

  /** Lets go of the file. Questions go to the state from then on. */
  async stop(): Promise<void> {
    this.#notBefore = Number.POSITIVE_INFINITY;
    this.#worker?.postMessage({ stop: true });
    await this.#exited;
  }
}
