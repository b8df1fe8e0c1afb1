import type { Command } from './command.ts';

/**
 * A refusal names a field of the gateway's API; whoever typed a command knows its flags and arguments. Which of them a field is follows
 * from the command's own table.
 */

/** Names of flags and arguments that are not that of their field, by the field without its ending. */
const OTHERWISE: Readonly<Record<string, readonly string[]>> = {
  before: ['until'],
  check: ['confirm'],
  day: ['on'],
  job: ['replay'],
  most_count: ['count'],
  most_errors: ['errors'],
  most_percent: ['percent'],
  oin: ['party'],
  party: ['oin'],
  request: ['id'],
  run_off_until: ['run_off'],
  school: ['oin'],
  school_year: ['schooljaar', 'year'],
  text: ['flow'],
  to_school: ['to'],
  types: ['event'],
  without: ['standard'],
};
/** What a field says beside its name: that it is a number of somebody, a moment, one of several. */
const ENDING = /_(?:oins?|ids?|days?|ms|s|on|codes?|keys?)$/;
/** A path into a message of ours; what is in a file that was sent is named in the words of that file. */
const PATH = /^[a-z][a-z0-9_]*(?:\[\d+\])?(?:\.[a-z][a-z0-9_]*(?:\[\d+\])?)*$/;

/** The flag or argument that a field is of, as it is typed: `--school`, `MANDATE`. Undefined: what was typed has none. */
export function typed(command: Pick<Command, 'flags' | 'arguments'>, path: string): string | undefined {
  if (!PATH.test(path)) return undefined;
  const parts = path.split('.');
  // What is in one of several is no flag, but the several may be.
  const listed = parts.findIndex((part) => part.endsWith(']'));
  const names = (listed < 0 ? parts : parts.slice(0, listed + 1)).map((part) => part.replace(/\[\d+\]$/, ''));
  return names.reverse().flatMap((name) => namesOf(name).flatMap((one) => named(command, one) ?? []))[0];
}

/** Under which names a field may be typed, the likeliest first. */
function namesOf(field: string): string[] {
  const stem = field.replace(ENDING, '');
  const names = [field, stem, ...(OTHERWISE[field] ?? []), ...(OTHERWISE[stem] ?? [])];
  return [...new Set(names.flatMap((name) => [name, name.replace(/s$/, ''), `${name}s`]))];
}

function named({ flags = {}, arguments: args = [] }: Pick<Command, 'flags' | 'arguments'>, name: string) {
  const flag = name.replaceAll('_', '-');
  if (flags[flag]?.value !== undefined) return `--${flag}`;
  return args.find((one) => one.name === name.toUpperCase())?.name;
}
