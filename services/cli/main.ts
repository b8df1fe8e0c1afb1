/** The `eduk` command: finds the command in the table, runs it, and prints what came of it. */
import { readFileSync } from 'node:fs';
import { type Config, ConfigError, readConfig } from '#kernel';
import { connectGateway, type Gateway } from './client.ts';
import type { Command, Streams } from './command.ts';
import { commands, later } from './commands/index.ts';
import { help, overview } from './help.ts';
import { parse, wantsJson } from './parse.ts';
import { paragraph } from './print.ts';
import { asProblem, type Exit, errorJson, misuse, type Problem } from './problem.ts';
import { following, GATEWAY } from './progress.ts';
import { typed } from './typed.ts';
import { whoMustAct } from './words.ts';

/** Runs one command line and says how the process ends. Never rejects. */
export async function eduk(argv: readonly string[], streams: Streams): Promise<Exit> {
  const json = wantsJson(argv);
  let gateway: Gateway | undefined;
  let ran: Command | undefined;
  try {
    const asked = parse(argv, commands, later);
    if (asked.kind !== 'run') return explain(asked, json, streams);
    const { command, given } = asked;
    ran = command;
    const result = await command.run({
      ...given,
      streams,
      json,
      config: (demands) => settingsFor(given.one('config'), streams, demands),
      gateway: () => {
        gateway ??= patient(connectGateway(settingsFor(given.one('config'), streams)), { streams, json });
        return gateway;
      },
    });
    if (result.said) streams.err(`${result.said}\n`);
    if (json) {
      if (result.json !== undefined) streams.out(`${JSON.stringify(result.json)}\n`);
    } else if (result.text) streams.out(`${result.text}\n`);
    return result.exit ?? 0;
  } catch (thrown) {
    const problem = asProblem(thrown);
    const named = (path: string): string | undefined => ran && typed(ran, path);
    if (json) streams.out(`${JSON.stringify({ error: errorJson(problem, named) })}\n`);
    else streams.err(`${say(problem, named)}\n`);
    return problem.exit;
  } finally {
    gateway?.close();
  }
}

function explain(asked: Exclude<ReturnType<typeof parse>, { kind: 'run' }>, json: boolean, streams: Streams): Exit {
  if (asked.kind === 'version') {
    streams.out(json ? `${JSON.stringify({ version: version() })}\n` : `${version()}\n`);
    return 0;
  }
  if (asked.kind === 'overview' && !asked.asked) {
    if (json) throw misuse('Name a command; see eduk --help.');
    streams.err(`${overview(commands, asked.group)}\n`);
    return 2;
  }
  const text = asked.kind === 'help' ? help(asked.command) : overview(commands, asked.group);
  streams.out(json ? `${JSON.stringify({ help: text })}\n` : `${text}\n`);
  return 0;
}

function settingsFor(
  file: string | undefined,
  streams: Streams,
  demands?: (config: Config) => readonly string[],
): Config {
  try {
    return readConfig(streams.env, file, demands);
  } catch (error) {
    if (error instanceof ConfigError || file === undefined) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw misuse(`--config names a file that ${code === 'ENOENT' ? 'is not there' : `cannot be read (${code})`}.`);
  }
}

/** Whatever is asked: who waits for the answer is told so, unless the command itself says how far it is. */
const patient = (gateway: Gateway, call: { streams: Streams; json: boolean }): Gateway => ({
  ...gateway,
  ask: (method, request, withinMs) => following(call, GATEWAY, () => gateway.ask(method, request, withinMs)),
  send: (method, parts) => following(call, GATEWAY, () => gateway.send(method, parts)),
});

const version = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

/** Places in a file that a person is shown at once. */
const PLACES = 10;

/** A problem in words for a person, who knows fields by what was `named` on the command line, and is the sender of what the command sent. Wrong use needs no code: there is nothing to look up. */
function say(problem: Problem, named: (path: string) => string | undefined): string {
  const words = problem.message.split('\n').map((line) => paragraph(line));
  if (problem.exit === 2) return words.join('\n');
  const all = problem.where
    .map(({ path, line }) =>
      line ? [path, path ? `(line ${line})` : `line ${line}`].filter(Boolean).join(' ') : (named(path) ?? path),
    )
    .filter((place) => place !== '');
  const places = [...new Set(all)];
  return [
    ...words,
    `  ${problem.code}; who must act: ${problem.who === 'sender' ? 'you' : whoMustAct(problem.who)}`,
    ...places.slice(0, PLACES).map((place) => `  at ${place}`),
    ...(places.length > PLACES ? [`  and ${places.length - PLACES} places more; --json names them`] : []),
  ].join('\n');
}

/** The process: called by eduk.js. */
export async function run(argv: readonly string[] = process.argv.slice(2)): Promise<void> {
  // A reader such as `head` may leave early; that is no error.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  const written: Promise<void>[] = [];
  const write = (stream: NodeJS.WriteStream) => (text: string) => {
    written.push(new Promise((resolve) => stream.write(text, () => resolve())));
  };
  const exit = await eduk(argv, {
    env: process.env,
    stdin: process.stdin,
    out: write(process.stdout),
    isTerminal: process.stdout.isTTY === true,
    err: write(process.stderr),
    screen:
      process.stderr.isTTY && process.env['TERM'] !== 'dumb'
        ? { columns: () => process.stderr.columns || 80 }
        : undefined,
    now: () => Date.now(),
  });
  await Promise.all(written);
  // What a command left open (a terminal that was read, a stopped gateway's sockets) must not keep the process.
  process.exit(exit);
}
