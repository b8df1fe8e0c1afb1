import type { Command, Result } from '../command.ts';
import { completion, SHELLS, type Shell } from '../completion.ts';
import { misuse } from '../problem.ts';

/** `commands`: the table of which it is itself a row. */
export const completionFor = (commands: () => readonly Command[]): Command => ({
  name: 'completion',
  about: 'Print a script by which a shell completes commands, flags and their values.',
  arguments: [{ name: 'SHELL', about: `One of ${SHELLS.join(', ')}.`, choices: SHELLS }],
  notes: [
    'bash: source <(npx eduk completion bash). zsh, after compinit: source <(npx eduk completion zsh). fish: npx eduk completion fish | source.',
    'It completes the word eduk: where only npx eduk is there, say alias eduk="npx eduk" first.',
  ],
  alone: true,
  async run(call): Promise<Result> {
    const shell = SHELLS.find((one) => one === call.args('SHELL')[0]) as Shell | undefined;
    if (shell === undefined) throw misuse(`SHELL must be one of ${SHELLS.join(', ')}.`);
    const script = completion(shell, commands());
    return { json: { shell, script }, text: script };
  },
});
