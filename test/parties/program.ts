/**
 * What simulated parties have in common as programs. The first line on standard input is the settings, each later line a
 * command `{id, do, with}`; standard output has one JSON line for each answer: `{id, did}` or `{id, refused: {code, told}}`.
 * A party ends when its standard input does.
 */
import { createInterface } from 'node:readline';
import { type Message, Refused, type Wire, wireTo } from './wire.ts';

export interface Settings {
  /** Host and port of the gateway's gRPC. */
  grpc: string;
  /** Base of the gateway's HTTP, such as `http://127.0.0.1:8080`. */
  http: string;
  oin: string;
  apiKey: string;
  /** OIN of the school. */
  school: string;
  /** What this party is told to do wrong, to see that it shows in the end. */
  plant?: string;
  /** How this party is known over UWLR, and the version that it speaks. */
  uwlr?: { klantcode: string; klantnaam: string; autorisatiesleutel: string; version: '2.2' | '2.3' };
}

export type Commands = Record<string, (given: any) => Promise<unknown> | unknown>;

/** Reads settings, lets `role` build its commands, then obeys until the input ends. */
export async function runParty(role: (settings: Settings, wire: Wire) => Commands): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) throw new Error('Give the settings as the first line on standard input.');
  const settings = JSON.parse(first.value) as Settings;
  const wire = wireTo(settings.grpc, settings.apiKey);
  const commands = role(settings, wire);
  // Whoever reads us may be gone: then there is nobody to tell.
  process.stdout.on('error', () => process.exit(0));
  const say = (line: Message): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
  say({ ready: true });
  for (;;) {
    const line = await lines.next();
    if (line.done) break;
    const { id, do: name, with: given } = JSON.parse(line.value) as { id: number; do: string; with: unknown };
    const command = commands[name];
    // Commands run side by side: a watch goes on while a stream is sent.
    Promise.resolve()
      .then(() => (command ? command(given) : Promise.reject(new Error(`No command is called ${name}.`))))
      .then((did) => say({ id, did: did ?? null }))
      .catch((thrown) =>
        say({
          id,
          refused: {
            code: thrown instanceof Refused ? thrown.code : 'party.failed',
            told: thrown instanceof Error ? thrown.message : String(thrown),
          },
        }),
      );
  }
  wire.close();
  process.exit(0);
}
