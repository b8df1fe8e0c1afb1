/**
 * Which part of a school a roster speaks for, and who names whom. A roster is of a site, of an administration, of both, or
 * of the whole school; each learner, group and member of staff keeps the rosters that name it as claims, and is gone only
 * when none is left. Pure. Why it is so: docs/decisions/0013-a-roster-is-of-a-site.md.
 */
import { MAIN_SITE } from '#kernel';

/** Of what a roster is; empty = all of them. */
export interface Scope {
  /** Two digits (dependancecode). */
  site: string;
  /** Five digits, the end of the routing id. */
  administration: string;
}

/** A scope as one word, as rows and claims hold it: `01`, `01/00002`, `/00002`; empty = the whole school. */
export const scopeWord = ({ site, administration }: Scope): string =>
  administration === '' ? site : `${site}/${administration}`;

export function scopeOf(word: string): Scope {
  if (word.length < 3) return { site: word, administration: '' };
  const [site = '', administration = ''] = word.split('/');
  return { site, administration };
}

export const WHOLE = '';
/** In place of a scope: no roster names it any more, but someone whom another roster names is still in it. */
export const IN_USE = '-';
/** What one roster says of someone or something. */
export interface Claim<E> {
  scope: string;
  entry: E;
}

/** How the scope of a roster stands to the others of its school and year. */
export interface Reach {
  word: string;
  /** It speaks for the whole school. */
  whole: boolean;
  /** It speaks for all of that scope. */
  covers(word: string): boolean;
  /** One of both speaks for all of the other. */
  comparable(word: string): boolean;
  /** It covers that scope and speaks for more. */
  exceeds(word: string): boolean;
}

/**
 * The reach of a scope. `seen`: scopes of which a roster came in that school year. `00` says the whole school until a roster
 * of another site has come, and the main site from then on.
 */
export function reachOf(scope: Scope, seen: Iterable<string>): Reach {
  const own = scopeWord(scope);
  const isOther = (word: string) => !['', MAIN_SITE, IN_USE].includes(scopeOf(word).site);
  const hasSites = isOther(own) || [...seen].some(isOther);
  const meant = (word: string): Scope => {
    const { site, administration } = scopeOf(word);
    return { site: site === MAIN_SITE && !hasSites ? '' : site, administration };
  };
  const covers = (a: Scope, b: Scope) =>
    (a.site === '' || a.site === b.site) && (a.administration === '' || a.administration === b.administration);
  const mine = meant(own);
  // A school has a handful of scopes and thousands of claims.
  const known = new Map<string, [covers: boolean, comparable: boolean, exceeds: boolean]>();
  const judge = (word: string) => {
    let told = known.get(word);
    if (!told) {
      const other = meant(word);
      const [down, up] = word === IN_USE ? [true, true] : [covers(mine, other), covers(other, mine)];
      known.set(word, (told = [down, down || up, down && !up]));
    }
    return told;
  };
  return {
    word: own,
    whole: mine.site === '' && mine.administration === '',
    covers: (word) => judge(word)[0],
    comparable: (word) => judge(word)[1],
    exceeds: (word) => judge(word)[2],
  };
}

/**
 * Claims after a roster names it. What it takes the place of goes; a roster of another site stays, behind it: who appears
 * at another site has moved there. First is what counts.
 */
export function claimed<E>(claims: readonly Claim<E>[], entry: E, reach: Reach): Claim<E>[] {
  const own: Claim<E> = { scope: reach.word, entry };
  const at = claims.findIndex(({ scope }) => reach.comparable(scope));
  if (at < 0) return [own, ...claims];
  return claims.flatMap((claim, i) => (i === at ? [own] : reach.comparable(claim.scope) ? [] : [claim]));
}

/** Codes of the sites in claims, sorted. */
export function siteCodesOf(claims: readonly Claim<unknown>[]): string[] {
  if (claims.length === 1) {
    const { site } = scopeOf(claims[0]!.scope);
    return site === '' || site === IN_USE ? [] : [site];
  }
  const codes = new Set<string>();
  for (const { scope } of claims) if (scope !== IN_USE) codes.add(scopeOf(scope).site);
  codes.delete('');
  return codes.size < 2 ? [...codes] : [...codes].sort();
}

/** No site and the main site alone are the same place: senders write `00` for none. */
export const sameSites = (a: readonly string[], b: readonly string[]): boolean =>
  isMainOnly(a) ? isMainOnly(b) : a.length === b.length && a.every((code, i) => code === b[i]);
const isMainOnly = (codes: readonly string[]): boolean =>
  codes.length === 0 || (codes.length === 1 && codes[0] === MAIN_SITE);

/** What a site's own roster says, where one names it; else what counts. */
export const ofSite = <E>(claims: readonly Claim<E>[], site: string): E | undefined =>
  claims.find(({ scope }) => scopeOf(scope).site === site)?.entry;
