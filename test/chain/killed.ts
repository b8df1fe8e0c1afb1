import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { type WireClient, wire } from './gateway.ts';

const ROOT = join(import.meta.dirname, '../..');
const ANY = '127.0.0.1:0';

/** A gateway in a process of its own, to be killed at any moment and started again on what it left. */
export class KilledGateway {
  /** A folder of the test, removed by `close`. */
  readonly parent: string;
  readonly folder: string;
  readonly #env: Record<string, string>;
  #child: ChildProcess | undefined;
  #channel: GrpcClient | undefined;

  constructor(name: string, env: (parent: string) => Record<string, string> = () => ({})) {
    this.parent = mkdtempSync(join(tmpdir(), `eduk-${name}-`));
    this.folder = join(this.parent, 'data');
    this.#env = env(this.parent);
  }

  /** Of the process that runs now. */
  get channel(): GrpcClient {
    return this.#channel!;
  }

  get operator(): WireClient<typeof OperatorServiceDefinition> {
    const key = readFileSync(join(this.folder, 'operator.key'), 'utf8').trim();
    return wire(OperatorServiceDefinition, this.channel, `Bearer ${key}`);
  }

  /** Until it says that it is ready. */
  async start(): Promise<void> {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDUK_')));
    this.#child = spawn(process.execPath, [join(ROOT, 'services/cli/eduk.js'), 'start'], {
      env: { ...env, EDUK_DATA: this.folder, EDUK_GRPC: ANY, EDUK_HTTP: ANY, EDUK_CONSOLE: ANY, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    this.#child.stderr!.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    for await (const line of createInterface({ input: this.#child.stdout! })) {
      const grpc = /^ready grpc=(\S+)/.exec(line)?.[1];
      if (!grpc) continue;
      this.#channel = new GrpcClient(grpc, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
      return;
    }
    throw new Error(`the gateway did not start: ${said}`);
  }

  async kill(): Promise<void> {
    const gone = once(this.#child!, 'exit');
    this.#child!.kill('SIGKILL');
    await gone;
    this.channel.close();
  }

  /** Ends what still runs, and removes all that it wrote. */
  async close(): Promise<void> {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
    rmSync(this.parent, { recursive: true, force: true });
  }
}
