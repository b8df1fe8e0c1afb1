import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { everywhere } from './command.ts';
import { commands, later } from './commands/index.ts';
import { overview } from './help.ts';
import { distance, parse, wantsJson } from './parse.ts';
import { Problem } from './problem.ts';

const read = (line: string) => parse(line.split(' ').filter(Boolean), commands, later);
const refused = (line: string): string => {
  try {
    read(line);
  } catch (error) {
    expect(error).toBeInstanceOf(Problem);
    expect((error as Problem).exit).toBe(2);
    return (error as Problem).message;
  }
  throw new Error(`not refused: ${line}`);
};
const given = (line: string) => {
  const asked = read(line);
  if (asked.kind !== 'run') throw new Error(`no run: ${line}`);
  return asked;
};

const flagNames = [
  ...new Set([...Object.keys(everywhere), ...commands.flatMap(({ flags = {} }) => Object.keys(flags))]),
];
const token = fc.oneof(
  fc.constantFrom(...commands.flatMap(({ name }) => name.split(' '))),
  fc.constantFrom(
    ...flagNames.map((name) => `--${name}`),
    '--',
    '-',
    '-h',
    '--json=',
    '--oin=',
    '--__proto__',
    'constructor',
  ),
  fc.string(),
  fc.constantFrom('00000001000000000001', 'roster', 'publisher', '2026-11-22', '2026-2027'),
);

describe('any command line', () => {
  test('is understood or refused as wrong use, and never crashes', () => {
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (argv) => {
        try {
          expect(['run', 'help', 'overview', 'version']).toContain(parse(argv, commands, later).kind);
        } catch (error) {
          expect(error).toBeInstanceOf(Problem);
          expect((error as Problem).exit).toBe(2);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('with a flag that the command does not have is refused', () => {
    const names = fc.stringMatching(/^[a-z][a-z-]{0,12}$/);
    fc.assert(
      fc.property(fc.constantFrom(...commands), names, (command, name) => {
        fc.pre(!Object.hasOwn({ ...command.flags, ...everywhere }, name));
        expect(refused(`${command.name} --${name}`)).toMatch(/has no flag|did you mean/);
      }),
    );
  });

  test('never has its values repeated in a refusal', () => {
    const secret = 'geheim0123456789';
    for (const command of commands)
      for (const line of [
        `${command.name} ${secret} ${secret} ${secret}`,
        `${command.name} --nothing=${secret}`,
        ...Object.keys(command.flags ?? {}).map((flag) => `${command.name} --${flag} ${secret}`),
      ])
        try {
          read(line);
        } catch (error) {
          expect((error as Problem).message).not.toContain(secret);
        }
  });
});

test('flags may be repeated, comma-separated, with = and before other words', () => {
  const { given: party } = given(
    '--json party add --role publisher,platform --role=platform --role dashboard --oin 00000001000000000001 --name X',
  );
  expect(party.all('role')).toEqual(['publisher', 'platform', 'dashboard']);
  expect(party.has('json')).toBe(true);
  const { given: place } = given(
    'party add --oin 00000001000000000001 --name X --role platform --endpoint uwlr=https://a/x?q=1,2,lti=https://b',
  );
  expect(place.all('endpoint')).toEqual(['uwlr=https://a/x?q=1,2', 'lti=https://b']);
});

test.each([
  ['party add', '--oin OIN is needed'],
  ['party add --oin 123 --name X --role publisher', 'must be an OIN'],
  ['party add --oin 00000001000000000001 --name X --role publishers', 'must be one of board, school'],
  ['party add --oin 00000001000000000001 --oin 00000001000000000002', 'given once'],
  [
    'mandate grant --school 0000000700001AB00000 --party 00000001000000000001 --service rosters',
    'must be one of roster',
  ],
  ['mandate withdraw m-1 --run-off-until 2026-02-30', 'must be a day'],
  ['roster import x.xml --schooljaar 2026-2028', 'must be a school year'],
  ['roster import x.xml --site 1', 'must be the two digits of a site'],
  ['roster import', 'FILE is needed'],
  ['mandate confirm --json', 'MANDATE is needed'],
  ['party list --role', 'needs a value'],
  ['party list --json=yes', 'takes no value'],
  ['hold approve a b', 'fewer arguments'],
])('eduk %s is refused: %s', (line, message) => expect(refused(line)).toContain(message));

test.each([
  ['party lst', 'party list'],
  ['prty list', 'party list'],
  ['mandat', 'mandate'],
  ['docter', 'doctor'],
  ['party add --oinn x', '--oin'],
])('eduk %s: did you mean %s?', (line, meant) => expect(refused(line)).toContain(`did you mean ${meant}?`));

test('what later versions have is said to be missing, not mistaken for another command', () => {
  for (const name of later) expect(refused(name)).toContain('This version does not have');
});

test('a group or nothing asks for an overview; help is found anywhere', () => {
  expect(read('')).toMatchObject({ kind: 'overview', asked: false });
  expect(read('party')).toMatchObject({ kind: 'overview', group: 'party', asked: false });
  for (const words of ['hold rule', 'help hold rule', 'hold rule --help'])
    expect(read(words)).toMatchObject({ kind: 'overview', group: 'hold rule' });
  expect(overview(commands, 'hold rule')).toContain('hold rule end');
  expect(refused('hold rule ad')).toContain('no command hold rule ad; did you mean hold rule add?');
  expect(overview(commands, 'hold rule')).not.toContain('hold list');
  expect(read('party --help')).toMatchObject({ kind: 'overview', group: 'party', asked: true });
  expect(read('help party add')).toMatchObject({ kind: 'help', command: { name: 'party add' } });
  expect(read('party add --oin --help')).toMatchObject({ kind: 'help', command: { name: 'party add' } });
  expect(read('--version')).toEqual({ kind: 'version' });
  expect(wantsJson(['party', '--', '--json'])).toBe(false);
});

test('the second word of a command may be written as a flag, as in replay --preview', () => {
  const { command, given: words } = given('replay --preview --party 00000001000000000001 --again');
  expect([command.name, words.one('party'), words.has('again')]).toEqual([
    'replay preview',
    '00000001000000000001',
    true,
  ]);
  expect(read('replay --preview --help')).toMatchObject({ kind: 'help', command: { name: 'replay preview' } });
  expect(read('replay --previews')).toMatchObject({ kind: 'overview', group: 'replay' });
});

test('distance counts letters to add, drop or change', () => {
  expect([distance('', 'abc'), distance('kitten', 'sitting'), distance('same', 'same')]).toEqual([3, 3, 0]);
});
