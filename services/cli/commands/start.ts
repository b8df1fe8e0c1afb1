import { setTimeout as wait } from 'node:timers/promises';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { ConfigError } from '#kernel';
import type { Command, Result, Streams } from '../command.ts';
import { masterKeyFile } from '../place.ts';
import { Problem } from '../problem.ts';

/** SIGTERM to a start ends every process within this time. Milliseconds. */
const STOP_MS = 10_000;

/** The last line; what a stop leaves behind is nothing but the data folder. */
const STOPPED = 'Stopped.';

export const start: Command = {
  name: 'start',
  about: 'Start the gateway, or some of its roles, in this process and stay until it is told to stop.',
  arguments: [
    {
      name: 'ROLE',
      about: 'door, core, delivery, watch, vault, or a single service; none = everything. Needs EDUK_ENGINE=kafka.',
      optional: true,
      many: true,
    },
  ],
  notes: [
    'Prints one line `ready grpc=… http=… console=…` and writes addresses.json in the data folder.',
    'Roles without doors print `ready ROLE inner=…`. They may be started in any order; doors wait 60 s for the others.',
    'SIGTERM and SIGINT stop it within 10 s; it says on standard error that it stops, and that it has stopped.',
  ],
  alone: true,
  async run(call): Promise<Result> {
    const names = call.args('ROLE');
    const { missingSettings, start: startGateway } = await import('../../main.ts');
    // Settings are wrong use (2); what the machine or the data folder refuses afterwards is a refusal (1).
    const config = call.config((read) => missingSettings(read, names));
    // What the library would print about a port in use, we say in our own words.
    if (call.streams.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE);
    const stopped = whenStopped();
    const givenUp = new AbortController();
    stopped.signal.then(() => {
      call.streams.err('Stopping: what is under way is finished, and nothing new is taken in.\n');
      givenUp.abort();
    });
    try {
      const gateway = await startGateway(config, names, givenUp.signal).catch((thrown) => {
        if (givenUp.signal.aborted) return undefined;
        throw refused(thrown, config);
      });
      if (!gateway) return { exit: 0, said: STOPPED };
      if (gateway.devKey)
        call.streams.err(
          `This gateway runs on a development key (${masterKeyFile(config).file}): for trying out, never for real pupils.\n`,
        );
      const { addresses, inner } = gateway;
      const ready: Record<string, string> = {
        ...(addresses ? { grpc: addresses.grpc, http: addresses.http, console: addresses.console } : {}),
        ...(inner ? { inner } : {}),
      };
      call.streams.out(
        call.json
          ? `${JSON.stringify({ ready: addresses ? ready : { roles: names, ...ready } })}\n`
          : `${['ready', ...(addresses ? [] : names), ...Object.entries(ready).map(([name, at]) => `${name}=${at}`)].join(' ')}\n`,
      );
      const lost = new Promise<'lost'>((resolve) => gateway.onLost(() => resolve('lost')));
      const ended = await Promise.race([stopped.signal, lost]);
      const inTime = await stopWithin(gateway.stop(), call.streams);
      if (ended === 'lost')
        call.streams.err('A part of the gateway was lost; start it again. Nothing accepted is lost.\n');
      else if (inTime) return { exit: 0, said: STOPPED };
      return { exit: 1 };
    } finally {
      stopped.forget();
    }
  },
};

/** From now on signals are remembered: one that comes during the start stops it as soon as it is ready. Repeats change nothing. */
function whenStopped() {
  let heard = (_: 'stopped') => {};
  const signal = new Promise<'stopped'>((resolve) => {
    heard = resolve;
  });
  const listener = () => heard('stopped');
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, listener);
  // Who started us over a channel and is gone does not want us any more.
  process.on('disconnect', listener);
  // `npx` puts a shell in between that dies of SIGTERM without passing it on: the loss of the parent says the same.
  const parent = process.ppid;
  const watch =
    process.env['npm_command'] === 'exec' ? setInterval(() => process.ppid !== parent && listener(), 250) : undefined;
  return {
    signal,
    forget: () => {
      clearInterval(watch);
      process.off('disconnect', listener);
      for (const name of signals) process.off(name, listener);
    },
  };
}

async function stopWithin(stopping: Promise<void>, streams: Streams): Promise<boolean> {
  // A little less, so that the process is gone in time.
  const late = await Promise.race([stopping.then(() => false), wait(STOP_MS - 500, true, { ref: false })]);
  if (late) streams.err('The gateway did not stop in time and is ended; what it had accepted is kept.\n');
  return !late;
}

type Settings = Record<string, string | undefined> & { EDUK_DATA: string };

/** What keeps a gateway from starting, in words that name the setting. */
export function refused(thrown: unknown, config: Settings): unknown {
  if (thrown instanceof ConfigError) return new Problem('state.conflict', thrown.problems.join('\n'), { who: 'us' });
  const system = listenError(thrown);
  if (!system) return thrown;
  const { code, port } = system;
  const names = (['EDUK_GRPC', 'EDUK_HTTP', 'EDUK_CONSOLE', 'EDUK_INTERNAL', 'EDUK_INNER'] as const).filter((name) =>
    config[name]?.endsWith(`:${port}`),
  );
  const named = names.length > 0 ? names.map((name) => `${name} (${config[name]})`).join(' or ') : 'a setting';
  const why: Record<string, string> = {
    EADDRINUSE: `${named} names a port that another program uses: is a gateway running already? Stop it, or choose another port (0 takes a free one).`,
    EACCES: `${named} names a port that this user may not use; choose one above 1023.`,
    EADDRNOTAVAIL: `${named} names an address that this machine does not have.`,
  };
  return new Problem('state.conflict', why[code]!, { who: 'us' });
}

/** A listener's error; grpc-js only says it in words. */
function listenError(thrown: unknown): { code: string; port: string } | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code, port } = error as NodeJS.ErrnoException & { port?: number };
    const said = /\b(EADDRINUSE|EACCES|EADDRNOTAVAIL)\b/.exec(`${code ?? ''} ${error.message}`)?.[1];
    if (said) return { code: said, port: String(port ?? /:(\d{1,5})\b(?!.*:\d)/s.exec(error.message)?.[1] ?? '') };
  }
  return undefined;
}
