import { isLoopback, makeConsoleLink, parseAddress } from '#kernel';
import { operatorKeyOf, writtenAddresses } from '../client.ts';
import type { Command, Result } from '../command.ts';
import { Problem } from '../problem.ts';

export const openConsole: Command = {
  name: 'console',
  about: 'Print a link by which you sign in to the console on this machine, once, within five minutes.',
  notes: [
    'Open it in a browser on this machine. Whoever has the link before you signs in as you: it is for nobody else, and works once.',
    'Where the console is reached from elsewhere, operators sign in at their provider: docs/console.md.',
  ],
  async run(call): Promise<Result> {
    const config = call.config();
    const gateway = call.gateway();
    // Without a gateway that knows this key a link would lead nowhere.
    await gateway.ask('status', {});
    const address = writtenAddresses(config)?.['console'] ?? config.EDUK_CONSOLE;
    const place = parseAddress(address);
    if (!place || !isLoopback(place.host) || place.port === 0)
      throw new Problem(
        'party.forbidden',
        `The console at ${config.EDUK_CONSOLE_URL ?? address} is not on loopback: sign in there at your provider.`,
        { who: 'us' },
      );
    const url = `http://${address}/sign-in#${makeConsoleLink(operatorKeyOf(config), call.streams.now())}`;
    return { json: { url }, text: url, said: 'Good for five minutes, once, in a browser on this machine.' };
  },
};
