/** The papers of a school, from what is agreed, configured and used now. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dutchDay } from '#kernel';
import { school, schoolNamed } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { schoolPapers } from '../papers/school.ts';
import { list } from '../print.ts';
import { misuse } from '../problem.ts';
import { folderNamed } from './breach.ts';

export const papers: Command = {
  name: 'papers',
  about: 'Write the privacy papers of a school in Dutch, from what is agreed, configured and used now.',
  flags: {
    school: { about: 'The school, by its BRIN or OIN.', value: 'BRIN|OIN', required: true, check: school },
    out: { about: 'Folder for the papers; made where it is not there.', value: 'FOLDER', required: true },
    force: { about: 'Write over papers that are there already, also where they were changed by hand.' },
  },
  notes: [
    'Register of processing (AVG art. 30), annex 1 of the processing agreement, input for a DPIA, a page for parents.',
    'Nothing is filled in that nobody told the gateway: who operates it and its subprocessors stand in EDUK_PROCESSING_FILE, for whom it works in EDUK_PROCESSOR_FOR.',
    'Papers that are there already and say something else stay as they are, since a school fills them in by hand: name another folder, or --force.',
    'The same state on the same day gives the same bytes. No person is looked up for them.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = schoolNamed(call.one('school')!);
    const facts = await call.gateway().ask('showProcessing', { schoolOin });
    const madeOn = dutchDay(Number(facts.atMs));
    const folder = call.one('out')!;
    const write = folderNamed(folder);
    const made = schoolPapers(facts);
    const changed = made.filter(({ file, text }) => ![undefined, text].includes(textOf(join(folder, file))));
    if (changed.length > 0 && !call.has('force'))
      throw misuse(
        `${changed.map(({ file }) => join(folder, file)).join(', ')}: there already, and may have been filled in by hand. Nothing was written. Name another --out, or write over with --force.`,
      );
    for (const { file, text } of made) write(file, text);
    const missing = [
      ...(facts.operator ? [] : ['who operates the gateway']),
      ...(facts.subprocessorsKnown ? [] : ['whether there are subprocessors']),
      ...(facts.board ? [] : ['the board of the school']),
    ];
    return {
      json: {
        schoolOin,
        date: madeOn,
        files: made.map(({ file }) => join(folder, file)),
        parties: facts.parties.length,
        missing,
      },
      text: list(made.map(({ file }) => ['written', join(folder, file)])),
      ...(missing.length > 0 ? { said: `Nobody told the gateway ${missing.join(', ')}: the papers say so.` } : {}),
    };
  },
};

/** What a file holds; undefined = there is none. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw misuse(`${path} cannot be read (${code}).`);
  }
}
