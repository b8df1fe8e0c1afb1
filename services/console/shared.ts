/**
 * Who opened a link to one page: its browser keeps which page that is, sealed under the operator's key, in a cookie of that link alone. A
 * session of an operator in the same browser is another cookie, and each link is one of its own. Whether a link still stands its row says,
 * before a browser is told anything.
 */
import type { IncomingMessage } from 'node:http';
import type { Seals } from '#kernel';
import type { PageLink } from '#proto/eduk/operator/v1/operator';
import { cookie, cookieIn } from './sessions.ts';
import type { LinkView } from './types.ts';

const ID = /^[\w-]{16}$/;
const PURPOSE = 'shared page';

/** Where links are kept, so that one that is taken back is over at all doors. */
export interface LinkRows {
  /** Neither over nor taken back. */
  linkStands(linkId: string): Promise<boolean>;
}

export const pageOf = ({ linkId, page, query, madeMs, endsMs, openedMs }: PageLink): LinkView => ({
  id: linkId,
  page,
  query: query.map(({ name, value }) => ({ name, value })),
  made: Number(madeMs),
  ends: Number(endsMs),
  opened: Number(openedMs),
});

export class SharedLinks {
  readonly #seals: Seals;
  readonly #name: string;
  readonly #now: () => number;

  /** `port`: as of sessions. */
  constructor(seals: Seals, port: number, now: () => number) {
    this.#seals = seals;
    this.#name = `__Host-eduk-console-${port}-shared`;
    this.#now = now;
  }

  /** The cookie of who opened it just now; what a browser brought along is nothing. */
  open(link: LinkView): string {
    const sealed = Buffer.from(this.#seals.seal(PURPOSE, link.id, link)).toString('base64url');
    const lastsS = Math.max(1, Math.floor((link.ends - this.#now()) / 1000));
    return cookie(`${this.#name}-${link.id}`, sealed, 'Strict', lastsS);
  }

  /** The cookie that takes that of a link away, which is over. */
  forget(link: LinkView): string {
    return cookie(`${this.#name}-${link.id}`, '', 'Strict', 0);
  }

  /** Which page this browser opened by this link; undefined = it did not, or the link is over by its own time. */
  of(request: IncomingMessage, id: string): LinkView | undefined {
    if (!ID.test(id)) return undefined;
    const sealed = cookieIn(request, `${this.#name}-${id}`);
    const link = this.#seals.open(PURPOSE, id, Buffer.from(sealed ?? '', 'base64url')) as LinkView | undefined;
    return link && this.#now() < link.ends ? link : undefined;
  }
}
