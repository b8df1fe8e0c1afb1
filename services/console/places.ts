/** Addresses of pages, for both sides: which there are, what stands in their query, and which of them somebody asked for. */

/** By page, the parts of its query. */
export const PLACES: Readonly<Record<string, readonly string[]>> = {
  '/': [],
  '/launches': ['day'],
  '/readiness': ['school', 'first', 'party', 'cursor', 'product', 'by'],
  '/preflight': ['school', 'day', 'party', 'cursor'],
  '/flows': ['q', 'by', 'school', 'party', 'state', 'from', 'until', 'after'],
  '/flow': ['id', 'party', 'reference'],
  '/why': ['order', 'product', 'school', 'party'],
  '/holds': ['decided'],
  '/freezes': ['school', 'party', 'past'],
  '/dead': ['party', 'school', 'code', 'from', 'until'],
  '/replay': [],
  '/reconciled': ['party', 'school'],
  '/access': ['school', 'from', 'to'],
  '/audit': ['from', 'to', 'party', 'school', 'kind', 'method', 'before'],
  '/parties': ['q', 'role'],
  '/party': ['oin', 'from', 'to'],
  '/settings': [],
  '/links': [],
};

/** Addresses of pages: a link that a colleague opens. The page itself finds out what to show. */
export const PAGES: readonly string[] = [...Object.keys(PLACES), '/sign-in', '/shared'];

/** It travels in a cookie. Characters. */
const LONGEST = 1_000;

/**
 * The page that somebody asked for, of what an address says that it was: its path and the parts of a query that the page has. Whatever is
 * no page of ours (another host, however it is written, a path that is none) is the first page. `own`: where this console is, without a path.
 */
export function pageAsked(to: string | null | undefined, own: string): string {
  if (!to || to.length > LONGEST || !/^\/(?![/\\])/.test(to)) return '/';
  if (!URL.canParse(to, own)) return '/';
  const { origin, pathname, searchParams } = new URL(to, own);
  const parts = Object.hasOwn(PLACES, pathname) ? PLACES[pathname] : undefined;
  if (origin !== own || parts === undefined) return '/';
  const query = new URLSearchParams([...searchParams].filter(([name, value]) => parts.includes(name) && value !== ''));
  const asked = query.size > 0 ? `${pathname}?${query}` : pathname;
  return asked.length > LONGEST ? '/' : asked;
}

/** The same as part of the query of an address that leads to signing in; empty = the first page. */
export const askedIn = (to: string, before: '?' | '&'): string =>
  to === '/' ? '' : `${before}to=${encodeURIComponent(to)}`;
