/** Help and the page in README.md, written from the table of commands. */
import { type Command, everywhere, type Flag } from './command.ts';
import { usageOf } from './parse.ts';
import { paragraph, WIDTH, wrap } from './print.ts';

/** `eduk party add --oin OIN … [--json]` */
export function usage({ name, arguments: args = [], flags = {} }: Command): string {
  const parts = [...args.map(usageOf), ...Object.entries(flags).map(([flag, about]) => flagUsage(flag, about))];
  return ['eduk', name, ...parts].join(' ');
}

function flagUsage(name: string, { value, required, many }: Flag): string {
  const text = value === undefined ? `--${name}` : `--${name} ${value}`;
  const once = required ? text : `[${text}]`;
  return many ? `${once}…` : once;
}

/** All commands, or those of one group. */
export function overview(commands: readonly Command[], group?: string): string {
  const shown = commands.filter(({ name }) => group === undefined || name === group || name.startsWith(`${group} `));
  return [
    group === undefined ? 'eduk: operate the Edu-K chain integration gateway.' : `eduk ${group}:`,
    '',
    columns(shown.map(({ name, about }) => [name, about])),
    '',
    'Every command takes:',
    columns(Object.entries(everywhere).map(([name, flag]) => [flagText(name, flag), flag.about])),
    '',
    'Say eduk COMMAND --help for one command.',
    'Exit status: 0 fine, 1 refused or a negative answer, 2 wrong use.',
  ].join('\n');
}

export function help(command: Command): string {
  const { about, arguments: args = [], flags = {}, notes = [], alone } = command;
  const rows: [string, string][] = [
    ...args.map(({ name, about: said }): [string, string] => [name, said]),
    ...Object.entries({ ...flags, ...everywhere }).map(([name, flag]): [string, string] => [
      flagText(name, flag),
      flagAbout(flag),
    ]),
  ];
  return [
    about,
    '',
    ...wrap(usage(command), WIDTH - 4).map((line, i) => (i === 0 ? `  ${line}` : `    ${line}`)),
    '',
    columns(rows),
    ...(notes.length > 0 ? ['', ...notes.map((note) => paragraph(note))] : []),
    '',
    alone ? 'Works with no gateway running.' : 'Asks the running gateway.',
  ].join('\n');
}

const flagText = (name: string, { value }: Flag): string => (value === undefined ? `--${name}` : `--${name} ${value}`);

function flagAbout({ about, choices, required, many }: Flag): string {
  const more = [
    ...(choices ? [`One of ${choices.join(', ')}.`] : []),
    ...(many ? ['May be repeated or comma-separated.'] : []),
    ...(required ? ['Needed.'] : []),
  ];
  return [about, ...more].join(' ');
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const wide = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows
    .flatMap(([left, right]) =>
      wrap(right, WIDTH - wide - 2).map((line, i) => `  ${(i === 0 ? left : '').padEnd(wide)}${line}`),
    )
    .join('\n');
}

/** The table in README.md; a test compares it. */
export function commandsPage(commands: readonly Command[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  return [
    '| command | what it does | without a gateway |',
    '| --- | --- | --- |',
    ...commands.map(
      (command) => `| \`${cell(usage(command))}\` | ${cell(command.about)} | ${command.alone ? 'yes' : 'no'} |`,
    ),
  ].join('\n');
}
