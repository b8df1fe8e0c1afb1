import { withPaths, type XmlElement, type XmlRead } from '#adapters/xml';
import { GatewayError, type Where } from '#kernel';

/** Elements that hold the whole number of a person. */
export const wholeNumbers: ReadonlySet<string> = new Set([
  'bsn',
  'sofinummer',
  'onderwijsnummer',
  'rijksregisternummer',
]);

/** Names under which a private block might carry one as well. */
const inBlocks: ReadonlySet<string> = new Set([...wholeNumbers, 'pgn', 'burgerservicenummer']);

/** Places named in one refusal. */
const NAMED = 100;

/**
 * Second step: a file with whole numbers of persons is `wire.pgn`, naming path and line of up to 100 of them and saying how
 * many more there are. The part in `bsn_ondwnr-4` does not make a file refused; it is not taken in.
 */
export function refusePgn(file: XmlRead): void {
  const where = numbersIn(file);
  if (where.length === 0) return;
  const more = where.length > NAMED ? ` The first ${NAMED} are named, ${where.length - NAMED} more follow.` : '';
  throw new GatewayError(
    'wire.pgn',
    `Personal numbers in this file: ${where.length}.${more} Leave them out, or import with --strip-pgn.`,
    {
      where: where.slice(0, NAMED),
    },
  );
}

/** Where whole numbers stand. */
export function numbersIn({ root, dropped }: XmlRead): Where[] {
  const where: Where[] = [];
  const learners = root.children.find((it) => it.name === 'leerlingen')?.children ?? [];
  // The schema allows these elements in a pupil and nowhere else.
  for (const [i, learner] of learners.entries())
    for (const it of learner.children)
      if (wholeNumbers.has(it.name))
        where.push({
          path: `EDEX/leerlingen/leerling${learners.length > 1 ? `[${i + 1}]` : ''}/${it.name}`,
          line: it.line,
        });
  for (const block of dropped) for (const { element } of withPaths(block)) where.push(...inBlock(element));
  return where;
}

/** In a private block only what looks like a whole number counts, since its names are anyone's. */
function inBlock(element: XmlElement): Where[] {
  const { name, attrs, line } = element;
  const found: Where[] = [];
  if (inBlocks.has(name.toLowerCase()) && isWhole(allText(element)))
    found.push({ path: `toevoegingen/${name.toLowerCase()}`, line });
  for (const [key, value] of Object.entries(attrs))
    if (inBlocks.has(key.toLowerCase()) && isWhole(value))
      found.push({ path: `toevoegingen/@${key.toLowerCase()}`, line });
  return found;
}

/** Of an element and all within it: a number may stand in a wrapping of its own. */
const allText = ({ text, children }: XmlElement): string => [text, ...children.map(allText)].join('');

/** Eight digits too: some programs lose a leading zero. */
const isWhole = (text: string): boolean => /^\p{Nd}{8,11}$/u.test(text.replace(/[\s.-]/g, ''));
