import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { commands } from './commands/index.ts';
import { completion } from './completion.ts';

/** What bash offers where somebody has typed these words; the last one is not finished. */
function offered(...words: string[]): string[] {
  const typed = words.map((word) => `'${word}'`).join(' ');
  const script = `${completion('bash', commands)}\nCOMP_WORDS=(eduk ${typed}); COMP_CWORD=${words.length}; _eduk; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  expect([stderr, status]).toEqual(['', 0]);
  return stdout.split('\n').filter(Boolean);
}

describe('bash', () => {
  test('offers commands, word after word', () => {
    expect(offered('dea')).toEqual(['dead']);
    expect(offered('dead', '')).toEqual(expect.arrayContaining(['list', 'retry', 'stop', 'drop']));
    expect(offered('learner', 'reveal', 'ap')).toEqual(['approve']);
  });

  test('offers the flags of the command, also behind others, and the values that a flag may have', () => {
    expect(offered('dead', 'stop', '--p')).toEqual(['--party']);
    expect(offered('mandate', 'grant', '--school', '99AB', '--se')).toEqual(['--service']);
    expect(offered('mandate', 'grant', '--service', 'ro')).toEqual(['roster']);
    // Any text, or a file: the shell's own turn.
    expect(offered('mandate', 'grant', '--school', '')).toEqual([]);
    expect(offered('completion', 'z')).toEqual(['zsh']);
  });
});

test('each shell is told of every command, flag and value; fish says too what each is for', () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const script = completion(shell, commands);
    for (const { name, flags = {} } of commands) {
      expect(script).toContain(`eduk ${name}`);
      for (const [flag, { choices = [] }] of Object.entries(flags)) {
        expect(script).toContain(shell === 'fish' ? ` -l ${flag}` : `--${flag}`);
        expect(script).toContain(choices.join(' '));
      }
    }
  }
  expect(completion('fish', commands)).toContain("-l again -d 'Send also what the receiver said that it took.'");
  // Quotes and backslashes of what is said stay in it.
  const hostile = { name: 'x', about: "it's a \\ $(true)", run: async () => ({}) };
  expect(completion('fish', [hostile])).toContain("-d 'it\\'s a \\\\ $(true)'");
});
