/** Pages as the checks read them: their links, and whether these lead anywhere. */
import { posix } from 'node:path';
import type { Source } from './arrows.ts';

export interface Link {
  text: string;
  to: string;
}

/** Links of a page; what stands in blocks of code is none. */
export const linksOf = (text: string): Link[] =>
  [...text.replaceAll(/^```.*?^```/gms, '').matchAll(/\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)/g)].map(
    ([, label, to]) => ({
      text: label!,
      to: to!,
    }),
  );

const exportsName = (source: string, name: string): boolean =>
  new RegExp(`^export (?:default )?(?:async )?(?:function\\*?|const|class|interface|type) ${name}\\b`, 'm').test(
    source,
  ) ||
  [...source.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].some(([, names]) =>
    names!.split(',').some(
      (one) =>
        one
          .trim()
          .split(/\s+as\s+|\s+/)
          .at(-1) === name,
    ),
  );

/**
 * What is wrong with the links of pages: a file or folder that is not there, or a name such as [`accept`](accept.ts) that its
 * file does not export.
 */
export function linkProblems(
  pages: readonly Source[],
  paths: ReadonlySet<string>,
  read: (path: string) => string,
): string[] {
  const folders = new Set([...paths].flatMap((path) => path.split('/').map((_, i, all) => all.slice(0, i).join('/'))));
  return pages.flatMap(({ path, text }) =>
    linksOf(text).flatMap(({ text: label, to }) => {
      if (/^(https?:|mailto:|#)/.test(to)) return [];
      const target = posix.normalize(posix.join(posix.dirname(path), to.split('#')[0]!)).replace(/\/$/, '');
      if (!paths.has(target) && !folders.has(target)) return [`${path} links to ${to}, which is not there`];
      const name = /^`([A-Za-z_$][\w$]*)`$/.exec(label)?.[1];
      if (name && target.endsWith('.ts') && !exportsName(read(target), name))
        return [`${path} links to ${name} in ${to}, which does not export it`];
      return [];
    }),
  );
}
