import { type Config, isLoopback, makeConsoleLink, parseAddress } from '#kernel';
import type { PageLink } from '#proto/eduk/operator/v1/operator';
import { operatorKeyOf, writtenAddresses } from '../client.ts';
import type { Command, Result } from '../command.ts';
import { nearest } from '../parse.ts';
import { dutchTime, isoTime, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';

/** Where browsers reach the console: first what others are told, then where it listens. */
function originsOf(config: Config): [string, ...string[]] {
  const address = writtenAddresses(config)?.['console'] ?? config.EDUK_CONSOLE;
  const isHere = isLoopback(parseAddress(address)?.host ?? '');
  const bound = new URL(`${isHere ? 'http' : 'https'}://${address}`).origin;
  return config.EDUK_CONSOLE_URL === undefined ? [bound] : [new URL(config.EDUK_CONSOLE_URL).origin, bound];
}

/** On one machine the same place has three names. */
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])$/;
const placeOf = ({ protocol, hostname, port }: URL): string =>
  `${protocol}//${LOOPBACK.test(hostname) ? 'loopback' : hostname}:${port}`;

/** A path of the console, or one of its addresses as a browser shows it. Exits with 2 for another host's: its path alone would be another page. */
function placeIn(to: string, config: Config): URL {
  const origins = originsOf(config);
  const given = new URL(to, origins[0]);
  if (!origins.some((origin) => placeOf(new URL(origin)) === placeOf(given)))
    throw misuse(`--to is an address of another host: give a path such as /flow?id=…, or one under ${origins[0]}`);
  return given;
}

/** A link to a page that there is not opens the first one, and what a page does not know is left out: told before anybody follows it. Exits with 2. */
async function checkPage(page: string, query: URLSearchParams): Promise<void> {
  const pages = await (await import('../../main.ts')).consolePages();
  const parts = Object.hasOwn(pages, page) ? pages[page] : undefined;
  if (!parts) {
    const near = nearest(page, Object.keys(pages));
    const meant = near === '' ? '' : ` Did you mean ${near}?`;
    throw misuse(`The console has no such page.${meant} There are ${Object.keys(pages).join(', ')}.`);
  }
  const unknown = [...query.keys()].filter((name) => !parts.includes(name));
  if (unknown.length > 0)
    throw misuse(
      parts.length === 0
        ? `${page} takes nothing behind a ?.`
        : `${page} takes behind its ? no other parts than ${parts.join(', ')}.`,
    );
}

const isPlace = (text: string): string | undefined =>
  /^(\/(?![/\\])|https?:\/\/)/.test(text) && URL.canParse(text, 'http://console')
    ? undefined
    : 'must be a path that begins with /, or an address of this console';

export const openConsole: Command = {
  name: 'console',
  about: 'Print a link by which you sign in to the console on this machine, once, within five minutes.',
  flags: {
    to: {
      about: 'Leads to this page once you are in: a path such as /flow?id=…, or its address.',
      value: 'PATH',
      check: isPlace,
    },
  },
  notes: [
    'Open it in a browser on this machine. Whoever has the link before you signs in as you: it is for nobody else, and works once.',
    'Where the console is reached from elsewhere, operators sign in at their provider: docs/console.md.',
  ],
  async run(call): Promise<Result> {
    const config = call.config();
    const gateway = call.gateway();
    const asked = call.one('to');
    const { pathname, search, searchParams } = placeIn(asked ?? '/', config);
    if (asked !== undefined) await checkPage(pathname, searchParams);
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
    const to = asked === undefined ? '' : `?to=${encodeURIComponent(`${pathname}${search}`)}`;
    const url = `http://${address}/sign-in${to}#${makeConsoleLink(operatorKeyOf(config), call.streams.now())}`;
    return { json: { url }, text: url, said: 'Good for five minutes, once, in a browser on this machine.' };
  },
};

const pathOf = ({ page, query }: PageLink): string => {
  const asked = new URLSearchParams(query.map(({ name, value }): [string, string] => [name, value])).toString();
  return asked === '' ? page : `${page}?${asked}`;
};
const linkJson = (link: PageLink) => ({
  linkId: link.linkId,
  page: pathOf(link) || null,
  made: isoTime(link.madeMs),
  ends: isoTime(link.endsMs),
  opened: isoTime(link.openedMs),
});

export const linkToPage: Command = {
  name: 'console link',
  about: 'Make a link to one page of the console, for somebody who does not sign in: read-only, and it ends.',
  flags: {
    to: {
      about: 'The page, as the browser shows it: /flow?id=…, /flows, /readiness, /preflight, /launches or /party.',
      value: 'PATH',
      required: true,
      check: isPlace,
    },
    hours: {
      about: 'How long it holds: 24 unless told, at most 336 (14 days).',
      value: 'N',
      check: (text) =>
        /^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= 336 ? undefined : 'must be 1 to 336',
    },
  },
  notes: [
    'Whoever has the link sees that page as it changes, and no other page: send it to whom it is for, and to nobody else.',
    'Counts under ten are not shown on it. `eduk console links` lists links; `eduk console unlink ID` ends one at once.',
  ],
  async run(call): Promise<Result> {
    const config = call.config();
    const { pathname: page, searchParams } = placeIn(call.one('to')!, config);
    const query = [...searchParams].map(([name, value]) => ({ name, value }));
    const asked = { page, query, hours: Number(call.one('hours') ?? 0) };
    const { link, secret } = await call.gateway().ask('makeLink', asked);
    const [origin] = originsOf(config);
    const url = `${origin}/shared?link=${link!.linkId}#${secret}`;
    const until = `Good until ${dutchTime(link!.endsMs)}; end it with: npx eduk console unlink ${link!.linkId}`;
    const isHere = isLoopback(new URL(origin).hostname.replace(/^\[|\]$/g, ''));
    return {
      json: { url, ...linkJson(link!) },
      text: url,
      said: isHere
        ? `${until}\nIt opens on this machine only: set EDUK_CONSOLE_URL for others (docs/console.md).`
        : until,
    };
  },
};

export const listLinks: Command = {
  name: 'console links',
  about: 'List links to pages of the console that are not over, without their secrets.',
  async run(call): Promise<Result> {
    const { links } = await call.gateway().ask('listLinks', {});
    return {
      json: links.map(linkJson),
      text:
        links.length === 0
          ? 'No page of the console is shared.'
          : table(
              ['link', 'page', 'until', 'last opened'],
              links.map((link) => [
                link.linkId,
                pathOf(link) || 'made with another operator’s key',
                dutchTime(link.endsMs),
                dutchTime(link.openedMs) || 'never',
              ]),
            ),
    };
  },
};

export const endLink: Command = {
  name: 'console unlink',
  about: 'End a link to a page of the console at once, for everybody who has it.',
  arguments: [{ name: 'LINK', about: 'As `eduk console links` shows it.' }],
  async run(call): Promise<Result> {
    const [linkId = ''] = call.args('LINK');
    await call.gateway().ask('endLink', { linkId });
    return { json: { linkId, ended: true }, text: 'Nobody opens it any more.' };
  },
};
