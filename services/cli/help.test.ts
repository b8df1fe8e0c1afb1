import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { everywhere, type Flag } from './command.ts';
import { commands, later } from './commands/index.ts';
import { commandsPage, help, overview, usage } from './help.ts';
import { WIDTH } from './print.ts';

test('names are one to three words, used once, and never those of later versions', () => {
  const names = commands.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z]+( [a-z]+){0,2}$/);
  for (const name of later) expect(names).not.toContain(name);
});

test('every command names a school by BRIN or OIN', () => {
  const bySchool = commands.flatMap(({ name, flags }) => (flags?.['school'] ? [[name, flags['school'].value]] : []));
  expect(bySchool.length).toBeGreaterThan(10);
  expect(bySchool.filter(([, value]) => value !== 'BRIN|OIN')).toEqual([]);
});

test.each(commands.map((command) => [command.name, command] as const))(
  'help of %s says every argument and flag, within the width',
  (_, command) => {
    const text = help(command);
    const words = text.replaceAll(/\s+/g, ' ');
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(WIDTH);
    expect(words).toContain(usage(command).replaceAll(/\s+/g, ' '));
    for (const { name } of command.arguments ?? []) expect(text).toContain(name);
    for (const [name, flag] of Object.entries<Flag>({ ...command.flags, ...everywhere })) {
      expect(text).toContain(`--${name}`);
      expect(words).toContain(flag.about);
      for (const choice of flag.choices ?? []) expect(words).toContain(choice);
    }
  },
);

test('the overview names every command', () => {
  const text = overview(commands);
  for (const { name } of commands) expect(text).toContain(`  ${name} `);
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(WIDTH);
  expect(overview(commands, 'hold')).not.toContain('party add');
});

test('no flag takes a learner: identifiers come on standard input', () => {
  for (const { flags = {} } of commands) expect(flags['learner']?.value).toBeUndefined();
});

test('README.md holds the table of commands as it is', () => {
  const page = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
  // The formatter of this project gives the columns of a page one width.
  const narrow = page.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
  expect(narrow).toContain(commandsPage(commands));
});
