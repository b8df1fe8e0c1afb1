import { createReadStream, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { faults, isFault, type Who } from '#kernel';
import { siteCode as isSite, oin, schoolFlag, schoolYear } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { counted, isoTime, list, table } from '../print.ts';
import { errorJson, misuse, Problem, refusalIn } from '../problem.ts';
import { whoMustAct } from '../words.ts';
import { differenceJson, differenceWords, scopeWords } from './hold.ts';
import { named } from './mandate.ts';

/** Bytes of one part; the door takes messages of 4 MiB. */
const CHUNK = 1024 * 1024;

const file = [{ name: 'FILE', about: 'The file; - reads standard input.' }] as const;

/** The file in parts, read as they are taken. Throws `Problem` (exit 2) when it cannot be read. */
async function* chunks(call: Call): AsyncGenerator<Uint8Array> {
  const name = call.args('FILE')[0]!;
  if (name !== '-') checkFile(name);
  const stream = name === '-' ? call.streams.stdin : createReadStream(name, { highWaterMark: CHUNK });
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk as Uint8Array);
    for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
  }
}

/** Before anything is asked of the gateway: a wrong name is wrong use. */
function checkFile(name: string): void {
  try {
    if (!statSync(name).isDirectory()) return;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw misuse(`The file cannot be read: ${code === 'ENOENT' ? 'it is not there' : code}.`);
  }
  throw misuse('The file cannot be read: it is a folder.');
}

/** The whole file without personal numbers: they leave on this machine, before anything is sent. */
async function* stripped(call: Call): AsyncGenerator<Uint8Array> {
  const { stripPgn } = await import('#adapters/edexml');
  const name = call.args('FILE')[0]!;
  const parts: Uint8Array[] = [];
  if (name === '-') for await (const part of chunks(call)) parts.push(part);
  else {
    checkFile(name);
    parts.push(await readFile(name));
  }
  const bytes = stripPgn(Buffer.concat(parts));
  for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
}

async function* after<T>(first: T, parts: AsyncIterable<Uint8Array>): AsyncGenerator<T | { chunk: Uint8Array }> {
  yield first;
  for await (const chunk of parts) yield { chunk };
}

async function* alone<T>(one: T): AsyncGenerator<T> {
  yield one;
}

export const importRoster: Command = {
  name: 'roster import',
  about: 'Take in an EDEXML file of a school, or of one of its sites; registers the school.',
  arguments: file,
  flags: {
    school: schoolFlag('The school, when the file names none; a routing id names its administration too.'),
    schooljaar: { about: 'The school year, when the file names none.', value: 'YEAR', check: schoolYear },
    site: { about: 'The site (dependancecode), when the file names none.', value: 'CODE', check: isSite },
    'whole-school': { about: 'The file is of the whole school, whatever site it names.' },
    'strip-pgn': { about: 'Take personal numbers out of the file on this machine, before it is sent.' },
  },
  notes: [
    'A file of a site makes nobody of another site leave. Who is not in a file of the whole school leaves, of whatever site.',
    'A roster that is empty, cut off, or removes or renames many pupils waits for approval: exit status 1, code hold.pending, and the id for eduk hold approve.',
  ],
  async run(call): Promise<Result> {
    const settings = {
      schoolOin: call.one('school') ?? '',
      schoolYear: call.one('schooljaar') ?? '',
      siteCode: call.one('site') ?? '',
      wholeSchool: call.has('whole-school'),
    };
    if (settings.siteCode !== '' && settings.wholeSchool)
      throw misuse('A file is of one site or of the whole school: --site or --whole-school, not both.');
    if (call.args('FILE')[0] !== '-') checkFile(call.args('FILE')[0]!);
    const answer = await call
      .gateway()
      .send('importRoster', after(settings, call.has('strip-pgn') ? stripped(call) : chunks(call)));
    const { schoolOin, schoolYear: year, learners, groups, staff, flowId, decision, holdId, difference } = answer;
    const { siteCode, administration } = answer;
    const part = { siteCode: siteCode || null, administration: administration || null };
    const counts = { schoolOin, schoolYear: year, ...part, learners, groups, staff, flowId };
    const of = [year, scopeWords(answer)].filter(Boolean).join(', ');
    if (holdId !== '') {
      const words = differenceWords(difference);
      const problem = new Problem(
        'hold.pending',
        `The roster waits for approval${words ? ` (${words})` : ''}: eduk hold approve ${holdId}`,
      );
      return {
        json: { error: { ...errorJson(problem), holdId }, holdId, ...counts, difference: differenceJson(difference) },
        text: list([
          ['held', holdId],
          ['school', schoolOin],
          ['roster of', of],
          ['would change', words],
          ['flow', flowId],
        ]),
        said: `The roster waits for approval (hold.pending): eduk hold approve ${holdId}`,
        exit: 1,
      };
    }
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    return {
      json: { ...counts, outcome: decision?.outcome || null },
      text: list([
        ['school', schoolOin],
        ['roster of', of],
        ['learners', learners],
        ['groups', groups],
        ['staff', staff],
        ['flow', flowId],
      ]),
      said: decision?.outcome ? undefined : `Accepted, not decided yet; follow it with eduk flow show ${flowId}`,
    };
  },
};

/** What came of asking an administration, in words. */
const outcomes: Readonly<Record<string, string>> = {
  applied: 'taken in',
  sent: 'accepted, not decided yet',
  unchanged: 'nothing changed',
  nothing: 'has nobody',
  held: 'waits for approval',
  refused: 'refused',
  failed: 'failed',
};

export const pullRoster: Command = {
  name: 'roster pull',
  about: 'Ask an administration over UWLR for the roster of a school, and take it in.',
  flags: {
    school: schoolFlag('The school; without it every school of the administration.'),
    party: { about: 'The administration; without it the one that has the school.', value: 'OIN', check: oin },
    schooljaar: { about: 'The school year; without it the running one.', value: 'YEAR', check: schoolYear },
    whole: { about: 'Ask for everything, also where nothing changed.' },
    protocol: { about: 'Otherwise than its settings say.', value: 'PROTOCOL', choices: ['alles-in-een', 'getrapt'] },
  },
  notes: [
    'Which administrations there are, and how each is asked, stands in the folder of EDUK_ADMINISTRATIONS: docs/administrations.md.',
    'A roster that is empty, cut off, or removes or renames many pupils waits for approval, as one that was sent. Exit status 1 when one failed, was refused or waits.',
  ],
  async run(call): Promise<Result> {
    const asked = {
      schoolOin: call.one('school') ?? '',
      partyOin: call.one('party') ?? '',
      schoolYear: call.one('schooljaar') ?? '',
      whole: call.has('whole'),
      protocol: call.one('protocol') ?? '',
    };
    if (asked.schoolOin === '' && asked.partyOin === '')
      throw misuse('Name a school or an administration: --school, --party.');
    const { rosters, names } = await call.gateway().send('pullRoster', alone(asked));
    const lines = rosters.map(({ pull, told, where, holdId, difference, losses }) => ({
      pull: pull!,
      told,
      where,
      holdId,
      difference,
      losses,
    }));
    const wrong = lines.filter(({ pull }) => ['failed', 'refused', 'held', 'nothing'].includes(pull.outcome));
    const json = {
      rosters: lines.map(({ pull, told, where, holdId, difference, losses }) => ({
        partyOin: pull.partyOin,
        schoolOin: pull.schoolOin,
        schoolYear: pull.schoolYear,
        siteCode: pull.siteCode || null,
        administration: pull.administration || null,
        outcome: pull.outcome,
        learners: pull.learners,
        since: pull.since || null,
        flowId: pull.flowId || null,
        code: pull.code || null,
        faultcode: pull.faultcode || null,
        who: pull.who || null,
        told: told || null,
        where,
        holdId: holdId || null,
        difference: differenceJson(difference),
        losses,
        failures: pull.failures,
        next: isoTime(pull.dueMs),
      })),
    };
    const text = table(
      ['school', 'roster of', 'learners', 'what'],
      lines.map(({ pull, told, where, holdId, difference, losses }) => [
        named(pull.schoolOin, names),
        [pull.schoolYear, scopeWords(pull)].filter(Boolean).join(', '),
        pull.outcome === 'applied' || pull.outcome === 'held' ? pull.learners : '',
        [
          outcomes[pull.outcome] ?? pull.outcome,
          ...(pull.code ? [[pull.code, pull.faultcode].filter(Boolean).join(', ')] : []),
          told,
          ...where.slice(0, 5),
          differenceWords(difference),
          ...(holdId ? [`eduk hold approve ${holdId}`] : []),
          ...losses.map(({ field, count, why }) => `left out: ${count} × ${field}. ${why}`),
          ...(pull.who ? [`${whoMustAct(pull.who)} must act`] : []),
        ]
          .filter(Boolean)
          .join('\n'),
      ]),
    );
    const first = wrong[0];
    if (!first) return { json, text };
    const code = isFault(first.pull.code) ? first.pull.code : 'state.missing';
    const problem = new Problem(code, `${counted(wrong.length, 'roster')} of ${lines.length} did not come in.`, {
      who: first.pull.who as Who,
    });
    return { json: { error: errorJson(problem), ...json }, text, said: problem.message, exit: 1 };
  },
};

export const importCatalogue: Command = {
  name: 'catalogue import',
  about: 'Publish the records of an SRU answer or a ReadCatalogResult for a publisher.',
  arguments: file,
  flags: { party: { about: 'The publisher.', value: 'OIN', required: true, check: oin } },
  notes: [
    'Records that are refused are listed with their place in the file, counted from 0; the others are published. Exit status 1 when one was refused.',
  ],
  async run(call): Promise<Result> {
    if (call.args('FILE')[0] !== '-') checkFile(call.args('FILE')[0]!);
    const { records, published, unchanged, refusals } = await call
      .gateway()
      .send('importCatalogue', after({ partyOin: call.one('party')! }, chunks(call)));
    const refused = refusals.map(({ index, code, where, told }) => ({
      index: Number(index),
      code,
      where: where || null,
      told: told || (isFault(code) ? faults[code].en : null),
    }));
    const counts = list([
      ['records', records],
      ['published', published],
      ['unchanged', unchanged],
      ['refused', refused.length],
    ]);
    const json = { records, published, unchanged, refusals: refused };
    if (refused.length === 0) return { json, text: counts };
    const problem = new Problem('wire.invalid', `${refused.length} of ${records} records were refused.`, {
      who: 'sender',
    });
    return {
      json: { error: errorJson(problem), ...json },
      text: `${counts}\n\n${table(
        ['record', 'code', 'where', 'told'],
        refused.map(({ index, code, where, told }) => [index, code, where ?? '', told ?? '']),
      )}`,
      said: problem.message,
      exit: 1,
    };
  },
};
