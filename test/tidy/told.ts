/** What stands in the words and places of errors, which go to other parties, into logs and into dead letters. */
import type { Source } from './arrows.ts';

/** Faults about ourselves, which name tables, columns and services of ours. */
const OURS = /^'(gateway\.bug|gateway\.unavailable|log\.gap)'$/;

/** What may be put into words: counts, lines, places, constants, and words of tables of ours. Each says why. */
const fine: readonly { what: RegExp; why: string }[] = [
  { what: /^[A-Z][A-Z_]+(\.\w+)*( \/ 1024)*$/, why: 'a constant' },
  {
    what: /(^|\.)(length|line|maxBytes|path|at|size)$/,
    why: 'a count, a line, a path, which are made of names and numbers',
  },
  {
    what: /^(i|index|at|path|place|where|problem|kind|more|told)( \+ 1)?$/,
    why: 'a number of an item, or words chosen from a table before',
  },
  { what: /^\w+\.told$/, why: 'the words of another fault, which were judged where they were made' },
  { what: /^faults\[\w+(\.\w+)*\]\.(en|nl)$/, why: 'words of the table of faults' },
  { what: /^\[\.\.\.known\w+\]\.join\('[^']*'\)$/, why: 'a list that is ours' },
  { what: /^versions(\[0\]|\.at\(-1\))$/, why: 'versions that are read' },
  { what: /^places\.length === 1 \? 'place' : 'places'$/, why: 'a word for a count' },
  { what: /^wrong\s*\.slice\(0, 10\)\s*\.map\(\(w\) => w\.path\)\s*\.join\(', '\)$/, why: 'paths' },
  { what: /^(at|where|path)\(.*\)$/s, why: 'a path, made by a function of its name' },
];

/** In a path also the name of a field, which a loop over names of ours has. */
const fineInPath = /^name$/;

/** Arguments of a call that begins at `from`, as they are written. */
function argumentsAt(text: string, from: number): string[] {
  const list: string[] = [];
  let depth = 0;
  let start = from;
  let quote = '';
  for (let i = from; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== '') {
      if (c === '\\') i += 1;
      else if (c === quote) quote = '';
      else if (quote === '`' && c === '$' && text[i + 1] === '{') {
        // Code within a template: skipped whole, templates in it too.
        let inner = 1;
        for (i += 2; i < text.length && inner > 0; i++) inner += text[i] === '{' ? 1 : text[i] === '}' ? -1 : 0;
        i -= 1;
      }
    } else if (c === "'" || c === '"' || c === '`') quote = c;
    else if ('([{'.includes(c)) depth += 1;
    else if (')]}'.includes(c)) {
      if (depth === 0) {
        list.push(text.slice(start, i).trim());
        return list.filter((one) => one !== '');
      }
      depth -= 1;
    } else if (c === ',' && depth === 0) {
      list.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  return list;
}

/** Expressions in the templates of a source; what is not text of our own and no template is one itself. */
function partsOf(argument: string): string[] {
  if (/^(undefined|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")$/.test(argument)) return [];
  if (!/^`(?:[^`\\]|\\.|\$\{[^`]*\}|\$\{[^}]*`[^`]*`[^}]*\})*`$/s.test(argument)) return [argument];
  return [...argument.matchAll(/\$\{((?:[^{}`]|\{[^{}]*\}|`[^`]*`)*)\}/gs)].map(([, inside]) => inside!.trim());
}

const isFine = (part: string): boolean =>
  fine.some(({ what }) => what.test(part)) ||
  // One of two texts, each judged by itself.
  (/^[^?]+\?[^:]+:.+$/s.test(part) &&
    part
      .slice(part.indexOf('?') + 1)
      .split(/:(?![^`]*`[^`]*$)/)
      .every((one) => partsOf(one.trim()).every((inner) => inner !== part && isFine(inner))));

/** Errors whose words or places are made of something that is not ours. */
export function toldProblems(code: readonly Source[]): string[] {
  return code.flatMap(({ path, text }) =>
    [...text.matchAll(/new GatewayError\(/g)].flatMap(({ index }) => {
      const [fault = '', told = 'undefined', more = ''] = argumentsAt(text, index + 'new GatewayError('.length);
      if (OURS.test(fault)) return [];
      const where = /\bwhere:\s*(`(?:[^`\\]|\$\{[^}]*\})*`)/s.exec(more)?.[1];
      const inPath = (where ? partsOf(where) : []).filter((part) => !fineInPath.test(part));
      const strange = [...partsOf(told), ...inPath].filter((part) => !isFine(part));
      const line = text.slice(0, index).split('\n').length;
      return strange.length === 0 ? [] : [`${path}, line ${line}: an error tells ${strange.join(' and ')}`];
    }),
  );
}
