/** A school that leaves: all that is held of it, for the school itself. */
import { resolve } from 'node:path';
import { schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { bytes, list } from '../print.ts';

export const exportSchool: Command = {
  name: 'school export',
  about: 'Write all that is held of a school for that school, in open standards, and who was given what.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    out: {
      about: 'Folder on the gateway’s own machine; made, and must not be there yet.',
      value: 'FOLDER',
      required: true,
    },
  },
  notes: [
    'Rosters in EDEXML 2.1, the rest in CSV with a description (CSV on the Web), and LEESMIJ.txt in Dutch.',
    'Only the user that the gateway runs as can read it. For who guards privacy: another role is refused.',
    'The log of what was done shows it as a release to the school.',
    'Who waits to be forgotten is left out, and so is what parents or pupils bought themselves.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const folder = resolve(call.one('out')!);
    const asked = async function* () {
      yield { schoolOin, folder };
    };
    const { files, forgetting, losses } = await call.gateway().send('exportSchool', asked());
    return {
      json: {
        schoolOin,
        folder,
        files: files.map((file) => ({ name: file.name, rows: Number(file.rows), bytes: Number(file.bytes) })),
        leftOut: { forgetting: Number(forgetting), edexml: Number(losses) },
      },
      text: list([
        ['folder', folder],
        ...files.map((file): [string, string] => [
          file.name,
          file.rows === 0n ? bytes(Number(file.bytes)) : `${file.rows} rows, ${bytes(Number(file.bytes))}`,
        ]),
        ['wait to be forgotten', `${forgetting}, left out`],
        ['no room in EDEXML', losses === 0n ? 'nothing' : `${losses}, in edexml-weggelaten.txt`],
      ]),
      said: 'It holds personal data of everybody at the school: hand it over encrypted, and remove it here.',
    };
  },
};
