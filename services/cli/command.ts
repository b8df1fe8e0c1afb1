/** Commands are data: from the same table come parsing, help and the page in README.md. */
import type { Config } from '#kernel';
import type { Gateway } from './client.ts';
import type { Exit } from './problem.ts';

export interface Flag {
  about: string;
  /** What stands for its value in help; a flag without one is a switch. */
  value?: string;
  required?: boolean;
  /** May be repeated or comma-separated. */
  many?: boolean;
  choices?: readonly string[];
  /** What a shell offers for its value, where others will do as well. */
  offers?: readonly string[];
  /** What is wrong with a value, to follow the flag's name; the value itself is not repeated. */
  check?: (value: string) => string | undefined;
  /** What the command gets of a value that was checked, where it may be written in several ways. */
  as?: (value: string) => string;
  /** Where one comma-separated value ends, when a value may hold commas itself. */
  split?: RegExp;
}

export interface Argument {
  name: string;
  about: string;
  optional?: boolean;
  many?: boolean;
  /** What a shell offers there. */
  choices?: readonly string[];
}

/** What was given on the command line, checked against the table. */
export interface Given {
  /** The only value of a flag. */
  one(flag: string): string | undefined;
  /** All values of a flag that may be repeated. */
  all(flag: string): readonly string[];
  /** Whether a flag was given. */
  has(flag: string): boolean;
  /** Values in the place of an argument. */
  args(name: string): readonly string[];
}

/** Where a command reads and writes, so that tests own it. */
export interface Streams {
  env: Record<string, string | undefined>;
  stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  /** Standard output: the result, or with --json exactly one JSON value. */
  out(text: string): void;
  /** Whether standard output is a person's terminal. */
  isTerminal?: boolean;
  /** Standard error: words for people. */
  err(text: string): void;
  /** The terminal that standard error is; absent where a line cannot be written over. */
  screen?: { columns(): number } | undefined;
  now(): number;
}

export interface Call extends Given {
  streams: Streams;
  /** `demands` says what else is wrong with the settings, so that all of it is told at once. */
  config(demands?: (config: Config) => readonly string[]): Config;
  /** The running gateway; the connection is closed after the command. */
  gateway(): Gateway;
  json: boolean;
}

export interface Result {
  /** What `--json` prints. Undefined: the command wrote for itself. */
  json?: unknown;
  /** What is printed otherwise. */
  text?: string;
  /** Words beside it, on standard error. */
  said?: string;
  exit?: Exit;
}

export interface Command {
  /** One to three words; the first says which kind of thing it is about. */
  name: string;
  about: string;
  arguments?: readonly Argument[];
  flags?: Readonly<Record<string, Flag>>;
  /** More to say in its help. */
  notes?: readonly string[];
  /** Works with no gateway running. */
  alone?: boolean;
  run(call: Call): Promise<Result>;
}

/** Flags that every command has. */
export const everywhere = {
  json: { about: 'Print exactly one JSON value on standard output, errors too.' },
  config: { about: 'File of NAME=value lines with settings; the environment goes before it.', value: 'FILE' },
  help: { about: 'Say how the command is used.' },
} as const satisfies Record<string, Flag>;
