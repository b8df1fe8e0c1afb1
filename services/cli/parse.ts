import { type Argument, type Command, everywhere, type Flag, type Given } from './command.ts';
import { misuse, type Problem } from './problem.ts';

/** What a command line asks for. */
export type Asked =
  | { kind: 'run'; command: Command; given: Given }
  | { kind: 'help'; command: Command }
  /** Of all commands, or of those that begin with a word. */
  | { kind: 'overview'; group: string | undefined; asked: boolean }
  | { kind: 'version' };

/** Whether errors are to be JSON, known before anything else is understood. */
export function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json');
}

/**
 * Reads a command line against the table. `later` names commands that other versions have. Throws `Problem` (exit 2) for
 * what it does not know; no value is repeated in the message.
 */
export function parse(argv: readonly string[], commands: readonly Command[], later: readonly string[] = []): Asked {
  const { words, rest } = commandWords(argv);
  const groups = new Set(commands.map(({ name }) => name.split(' ')[0]!));
  if (words[0] === 'help' && !groups.has('help')) return { ...parse([...words.slice(1), '--help'], commands, later) };
  const helped = rest.includes('--help') || rest.includes('-h');
  const [first, second] = words;
  if (first === undefined) {
    if (rest.includes('--version')) return { kind: 'version' };
    refuseUnknown(rest);
    return { kind: 'overview', group: undefined, asked: helped };
  }
  // The longest name that the words begin with.
  const named = [3, 2, 1]
    .filter((count) => count <= words.length)
    .map((count) => ({ count, command: commands.find(({ name }) => name === words.slice(0, count).join(' ')) }))
    .find((found) => found.command !== undefined);
  const command = named?.command;
  if (!command) {
    if (!groups.has(first)) throw unknownCommand(second === undefined ? first : `${first} ${second}`, commands, later);
    if (second === undefined) {
      // `eduk replay --preview`: what a command does may be written as a flag of what it does it with.
      const at = rest.findIndex(
        (flag) => flag.startsWith('--') && commands.some(({ name }) => name === `${first} ${flag.slice(2)}`),
      );
      if (at >= 0) return parse([first, rest[at]!.slice(2), ...rest.toSpliced(at, 1)], commands, later);
      return { kind: 'overview', group: first, asked: helped };
    }
    // Words that begin commands are a group too: `eduk hold rule`.
    const group = `${first} ${second}`;
    if (!commands.some(({ name }) => name.startsWith(`${group} `))) throw unknownCommand(group, commands, later);
    if (words.length === 2) return { kind: 'overview', group, asked: helped };
    throw unknownCommand(`${group} ${words[2]}`, commands, later);
  }
  if (helped) return { kind: 'help', command };
  return {
    kind: 'run',
    command,
    given: give(command, [...words.slice(named!.count), ...rest], words.length - named!.count),
  };
}

/** The words before the first flag; flags that every command has may stand before them. */
function commandWords(argv: readonly string[]): { words: string[]; rest: string[] } {
  const before: string[] = [];
  let at = 0;
  while (at < argv.length && argv[at]!.startsWith('-')) {
    const flag = argv[at]!;
    before.push(flag);
    at++;
    if (flag === '--config' && at < argv.length) before.push(argv[at++]!);
    if (flag === '--') break;
  }
  const words: string[] = [];
  while (at < argv.length && !argv[at]!.startsWith('-')) words.push(argv[at++]!);
  return { words, rest: [...before, ...argv.slice(at)] };
}

function refuseUnknown(rest: readonly string[]): void {
  for (let i = 0; i < rest.length; i++) {
    const flag = rest[i]!;
    if (flag === '--config') i++;
    else if (flag !== '-h' && !(flag.startsWith('--') && Object.hasOwn(everywhere, flag.slice(2))))
      throw misuse(`There is no flag ${shown(flag)}; see eduk --help.`);
  }
}

/** Flags and arguments of one command. `free` leading tokens are certainly no flags. */
function give(command: Command, tokens: readonly string[], free: number): Given {
  const flags: Readonly<Record<string, Flag>> = { ...command.flags, ...everywhere };
  const values = new Map<string, string[]>();
  const loose: string[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (i < free || token === '-' || !token.startsWith('-')) {
      loose.push(token);
      continue;
    }
    if (token === '--') {
      loose.push(...tokens.slice(i + 1));
      break;
    }
    const equals = token.indexOf('=');
    const name = token.slice(2, equals < 0 ? undefined : equals);
    const flag = token.startsWith('--') && Object.hasOwn(flags, name) ? flags[name]! : undefined;
    if (!flag)
      throw misuse(
        `eduk ${command.name} has no flag ${shown(token)}${suggestion(
          nearest(
            `--${name}`,
            Object.keys(flags).map((known) => `--${known}`),
          ),
        )}`,
      );
    if (flag.value === undefined) {
      if (equals >= 0) throw misuse(`--${name} takes no value.`);
      values.set(name, []);
      continue;
    }
    let value = equals < 0 ? undefined : token.slice(equals + 1);
    if (value === undefined && i + 1 < tokens.length && !tokens[i + 1]!.startsWith('--')) value = tokens[++i]!;
    if (value === undefined || value === '') throw misuse(`--${name} needs a value: --${name} ${flag.value}`);
    if (values.has(name) && !flag.many) throw misuse(`--${name} may be given once.`);
    const several = flag.many
      ? value
          .split(flag.split ?? ',')
          .map((one) => one.trim())
          .filter((one) => one !== '')
      : [value];
    values.set(name, [...(values.get(name) ?? []), ...several]);
  }
  checkFlags(command.flags ?? {}, values);
  for (const [name, { as }] of Object.entries(command.flags ?? {})) {
    const given = values.get(name);
    if (as && given) values.set(name, given.map(as));
  }
  const args = place(command, loose);
  return {
    one: (flag) => values.get(flag)?.[0],
    all: (flag) => [...new Set(values.get(flag) ?? [])],
    has: (flag) => values.has(flag),
    args: (name) => args.get(name) ?? [],
  };
}

function checkFlags(flags: Readonly<Record<string, Flag>>, values: ReadonlyMap<string, readonly string[]>): void {
  for (const [name, flag] of Object.entries(flags)) {
    const given = values.get(name);
    if (flag.required && (given === undefined || given.length === 0))
      throw misuse(`--${name} ${flag.value ?? ''} is needed: ${flag.about}`);
    for (const value of given ?? []) {
      if (flag.choices && !flag.choices.includes(value))
        throw misuse(`--${name} must be one of ${flag.choices.join(', ')}.`);
      const wrong = flag.check?.(value);
      if (wrong) throw misuse(`--${name} ${wrong}.`);
    }
  }
}

function place(command: Command, loose: readonly string[]): Map<string, string[]> {
  const args = new Map<string, string[]>();
  const left = [...loose];
  for (const argument of command.arguments ?? []) {
    const taken = argument.many ? left.splice(0) : left.splice(0, 1);
    if (taken.length === 0 && !argument.optional)
      throw misuse(`${argument.name} is needed: eduk ${command.name} ${usageOf(argument)}`);
    args.set(argument.name, taken);
  }
  if (left.length > 0)
    // What stands there may be a pupil's key, so it is not repeated.
    throw misuse(
      `eduk ${command.name} takes ${(command.arguments ?? []).length === 0 ? 'no arguments' : 'fewer arguments'}; see eduk ${command.name} --help.`,
    );
  return args;
}

export const usageOf = ({ name, optional, many }: Argument): string => {
  const text = many ? `${name}…` : name;
  return optional ? `[${text}]` : text;
};

/** The name of a flag as typed, without its value and without what a terminal would obey. */
const shown = (token: string): string =>
  token
    .split('=')[0]!
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 40);

function unknownCommand(typed: string, commands: readonly Command[], later: readonly string[]): Problem {
  const first = typed.split(' ')[0]!;
  const known = later.find((name) => name === typed || name === first);
  if (known !== undefined) return misuse(`This version does not have eduk ${known} yet; see eduk --help.`);
  const groups = [...new Set(commands.map(({ name }) => name.split(' ')[0]!))];
  // Of three words the first two begin a command.
  const inner = typed.split(' ').slice(0, 2).join(' ');
  const within = inner === typed ? undefined : commands.find(({ name }) => name.startsWith(`${inner} `));
  // The second word may be an argument, so it counts only where a group of this name has commands.
  const near = groups.includes(first)
    ? nearest(
        typed,
        commands.map(({ name }) => name).filter((name) => name.startsWith(`${first} `)),
      )
    : nearest(
        typed,
        commands.map(({ name }) => name),
      ) || nearest(first, groups);
  return misuse(
    `There is no command ${shown(groups.includes(first) ? typed : first)}${suggestion(near || (within?.name ?? ''))}`,
  );
}

const suggestion = (near: string): string => (near === '' ? '; see eduk --help.' : `; did you mean ${near}?`);

/** The nearest of what there is, when it is near; else empty. */
export function nearest(typed: string, names: readonly string[]): string {
  let best = { name: '', away: 4 };
  for (const name of names) {
    const away = distance(typed, name);
    if (away < best.away && away < Math.max(typed.length, name.length) / 2) best = { name, away };
  }
  return best.name;
}

/** Levenshtein's, over at most 40 characters. */
export function distance(a: string, b: string): number {
  const [from, to] = [a.slice(0, 40), b.slice(0, 40)];
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[to.length]!;
}
