/** What a shell must know to complete `eduk`, as a script made from the table of commands: nothing is started while somebody types. */
import { type Command, everywhere, type Flag } from './command.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** A place that somebody can be at on a command line: `eduk`, `eduk party`, `eduk party add`. */
interface Place {
  at: string;
  /** Words that follow, with what they are for. */
  words: ReadonlyMap<string, string>;
  flags: Readonly<Record<string, Flag>>;
}

function placesOf(commands: readonly Command[]): Place[] {
  const places = new Map<string, { words: Map<string, string>; flags: Readonly<Record<string, Flag>> }>();
  const place = (at: string) => {
    const known = places.get(at) ?? { words: new Map<string, string>(), flags: everywhere };
    places.set(at, known);
    return known;
  };
  for (const { name, about, flags = {}, arguments: args = [] } of commands) {
    const words = name.split(' ');
    for (let i = 0; i < words.length; i++) {
      const { words: next } = place(['eduk', ...words.slice(0, i)].join(' '));
      if (i === words.length - 1 || !next.has(words[i]!)) next.set(words[i]!, i === words.length - 1 ? about : '');
    }
    const last = place(`eduk ${name}`);
    last.flags = { ...flags, ...everywhere };
    for (const { choices = [] } of args) for (const choice of choices) last.words.set(choice, '');
  }
  return [...places].map(([at, { words, flags }]) => ({ at, words, flags }));
}

const flagsOf = ({ flags }: Place): string[] => Object.keys(flags).map((name) => `--${name}`);

/** Words that are neither quoted nor escaped: names and choices of the table. */
const line = (words: Iterable<string>): string => [...words].join(' ');

/** For zsh too, which has the means of bash on demand. */
function forBash(places: readonly Place[]): string {
  const values = places.flatMap(({ at, flags }) =>
    Object.entries(flags).flatMap(([name, { value, offers, choices = offers }]) =>
      value === undefined ? [] : [`    "${at} --${name}") values="${line(choices ?? [])}"; isValue=1 ;;`],
    ),
  );
  return `_eduk() {
  local at=eduk values= isValue= words= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${places.map(({ at }) => `"${at}"`).join('|')}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at \${COMP_WORDS[COMP_CWORD-1]}" in
${values.join('\n')}
  esac
  case "$at" in
${places.map((one) => `    "${one.at}") words="${line([...one.words.keys(), ...flagsOf(one)])}" ;;`).join('\n')}
  esac
  [ -n "$isValue" ] && words=$values
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _eduk eduk`;
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function forFish(places: readonly Place[]): string {
  const rows = places.flatMap(({ at, words, flags }) => [
    ...[...words].map(
      ([word, about]) => `complete -c eduk -f -n ${quoted(`__eduk_at ${at}`)} -a ${word}${said(about)}`,
    ),
    ...Object.entries(flags).map(
      ([name, { about, value, offers, choices = offers }]) =>
        `complete -c eduk -n ${quoted(`__eduk_at ${at}`)} -l ${name}${
          value === undefined ? '' : choices ? ` -x -a ${quoted(line(choices))}` : ' -r'
        }${said(about)}`,
    ),
  ]);
  return `set -g __eduk_places ${places.map(({ at }) => quoted(at)).join(' ')}
function __eduk_at
  set -l at eduk
  for word in (commandline -opc)[2..-1]
    contains -- "$at $word" $__eduk_places; and set at "$at $word"
  end
  test "$at" = "$argv"
end
${rows.join('\n')}`;
}

const said = (about: string): string => (about === '' ? '' : ` -d ${quoted(about)}`);

export function completion(shell: Shell, commands: readonly Command[]): string {
  const places = placesOf(commands);
  if (shell === 'fish') return forFish(places);
  return shell === 'bash' ? forBash(places) : `autoload -U +X bashcompinit && bashcompinit\n${forBash(places)}`;
}
