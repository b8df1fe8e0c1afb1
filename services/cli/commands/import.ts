import { createReadStream, existsSync, lstatSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { faults, isFault, makeFolders, type Who } from '#kernel';
import type { FileWarning, Loss } from '#proto/eduk/core/v1/receipt';
import { siteCode as isSite, oin, schoolFlag, schoolYear } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, paragraph, plain, table } from '../print.ts';
import { asProblem, errorJson, misuse, Problem, refusalIn } from '../problem.ts';
import { following, type Progress, type Stage, waiting } from '../progress.ts';
import { whoMustAct } from '../words.ts';
import { differenceJson, differenceWords, scopeWords } from './hold.ts';
import { named } from './mandate.ts';

/** Bytes of one part; the door takes messages of 4 MiB. */
const CHUNK = 1024 * 1024;

const file = [{ name: 'FILE', about: 'The file; - reads standard input.' }] as const;

/** The file in parts, read as they are taken. Throws `Problem` (exit 2) when it cannot be read. */
async function* chunks(call: Call, name: string): AsyncGenerator<Uint8Array> {
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
async function* stripped(call: Call, name: string, progress: Progress): AsyncGenerator<Uint8Array> {
  const { stripPgn } = await import('#adapters/edexml');
  const parts: Uint8Array[] = [];
  if (name === '-') for await (const part of chunks(call, name)) parts.push(part);
  else {
    checkFile(name);
    parts.push(await readFile(name));
  }
  const bytes = stripPgn(Buffer.concat(parts));
  progress.set(0, bytes.length);
  for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
}

/** Parts of a file behind what is said of it. What was taken is counted; then its answer is waited for. */
async function* after<T>(
  first: T,
  parts: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<T | { chunk: Uint8Array }> {
  yield first;
  for await (const chunk of parts) {
    yield { chunk };
    progress.add(chunk.length);
  }
  progress.stage(waiting('Sent; waiting for the gateway'));
}

/** Bytes of a file that are sent. Of standard input nobody knows how many there are. */
const sending = (name: string): Stage => ({
  words: 'sent',
  unit: 'bytes',
  all: name === '-' ? undefined : statSync(name).size,
});

async function* alone<T>(one: T): AsyncGenerator<T> {
  yield one;
}

/** What may be said beside a file. */
const settingFlags = {
  school: schoolFlag('The school, whatever the file says; a routing id names its administration too.'),
  schooljaar: { about: 'The school year, when the file names none.', value: 'YEAR', check: schoolYear },
  party: {
    about: 'Whose file it is: without BRIN and instellingsnummer a school is known by the schoolkey of that party.',
    value: 'OIN',
    check: oin,
  },
  site: { about: 'The site (dependancecode), when the file names none.', value: 'CODE', check: isSite },
  'whole-school': { about: 'The file is of the whole school, whatever site it names.' },
  'strip-pgn': { about: 'Take personal numbers out of the file on this machine, before it is sent.' },
} as const;

const settingsOf = (call: Call) => {
  const settings = {
    schoolOin: call.one('school') ?? '',
    schoolYear: call.one('schooljaar') ?? '',
    partyOin: call.one('party') ?? '',
    siteCode: call.one('site') ?? '',
    wholeSchool: call.has('whole-school'),
  };
  if (settings.siteCode !== '' && settings.wholeSchool)
    throw misuse('A file is of one site or of the whole school: --site or --whole-school, not both.');
  return settings;
};

const warningLines = (warnings: readonly FileWarning[]): string[] =>
  warnings.map(({ code, told, count, where }) => {
    const lines = where.flatMap(({ line }) => (line > 0 ? [line] : []));
    const named = lines.slice(0, LINES).join(', ');
    const more = count > Math.min(lines.length, LINES) ? ', …' : '';
    return paragraph(`${told} (${code}, ${counted(count, 'time')}${named && `; line ${named}${more}`})`);
  });

/** Lines of a warning that a person is shown; --json has more. */
const LINES = 10;

export const lossesJson = (losses: readonly Loss[]) =>
  losses.map(({ element, reason, count }) => ({ element, reason, count }));
export const lossTable = (losses: readonly Loss[]): string =>
  table(
    ['left out', 'how often', 'why'],
    losses.map(({ element, reason, count }) => [element, count, reason]),
  );

/** What of a file is not taken in, the most first; why is in the flow. */
function leftWords(losses: readonly Loss[]): string {
  const most = [...losses].sort((a, b) => b.count - a.count);
  const more = most.length - LEFT;
  const named = most.slice(0, LEFT).map(({ element, count }) => `${count} × ${element}`);
  return [...named, ...(more > 0 ? [`${more} more: eduk flow show`] : [])].join(', ');
}
const LEFT = 6;

/** Sends one file and says what came of it. Throws what refuses it. */
async function importFile(call: Call, name: string): Promise<Result> {
  const settings = settingsOf(call);
  if (name !== '-') checkFile(name);
  const gateway = call.gateway();
  const answer = await following(call, sending(name), (progress) => {
    const parts = call.has('strip-pgn') ? stripped(call, name, progress) : chunks(call, name);
    return gateway.send('importRoster', after(settings, parts, progress));
  });
  const { schoolOin, schoolYear: year, learners, groups, staff, flowId, decision, holdId, difference } = answer;
  const { siteCode, administration, warnings, losses } = answer;
  const part = { siteCode: siteCode || null, administration: administration || null };
  const counts = {
    schoolOin,
    schoolYear: year,
    ...part,
    learners,
    groups,
    staff,
    flowId,
    warnings: warnings.map(({ code, told, count, where }) => ({ code, told, count, where })),
    losses: lossesJson(losses),
  };
  const of = [year, scopeWords(answer)].filter(Boolean).join(', ');
  const notes = warnings.length === 0 ? '' : `\n\n${['Warnings:', ...warningLines(warnings)].join('\n')}`;
  if (holdId !== '') {
    const words = differenceWords(difference);
    const problem = new Problem(
      'hold.pending',
      `The roster waits for approval${words ? ` (${words})` : ''}: eduk hold approve ${holdId}`,
    );
    return {
      json: { error: { ...errorJson(problem), holdId }, holdId, ...counts, difference: differenceJson(difference) },
      text:
        list([
          ['held', holdId],
          ['school', schoolOin],
          ['roster of', of],
          ['would change', words],
          ['flow', flowId],
        ]) + notes,
      said: `The roster waits for approval (hold.pending): eduk hold approve ${holdId}`,
      exit: 1,
    };
  }
  const refusal = refusalIn(decision);
  if (refusal) throw refusal;
  return {
    json: { ...counts, outcome: decision?.outcome || null },
    text:
      list([
        ['school', schoolOin],
        ['roster of', of],
        ['learners', learners],
        ['groups', groups],
        ['staff', staff],
        ['left in the file', leftWords(losses)],
        ['flow', flowId],
      ]) + notes,
    said: decision?.outcome ? undefined : `Accepted, not decided yet; follow it with eduk flow show ${flowId}`,
  };
}

export const importRoster: Command = {
  name: 'roster import',
  about: 'Take in an EDEXML file of a school, or of one of its sites; registers the school.',
  arguments: file,
  flags: settingFlags,
  notes: [
    'Versions 1.03, 2.0 and 2.1. A file without a school needs --school and --schooljaar. What the handbook asks and the file does not do is a warning, with lines; what is wrong is told all at once, exit status 1.',
    'A file of a site makes nobody of another site leave. Who is not in a file of the whole school leaves, of whatever site.',
    'A roster that is empty, cut off, or removes or renames many pupils waits for approval: exit status 1, code hold.pending, and the id for eduk hold approve.',
  ],
  run: (call): Promise<Result> => importFile(call, call.args('FILE')[0]!),
};

/** Milliseconds between two looks at a folder; a file that did not change in between is whole. */
const LOOK_MS = 2_000;

/** What became of a file of a watched folder. */
interface Handled {
  file: string;
  /** Folder that it stands in now; empty = it is tried again. */
  to: 'done' | 'held' | 'refused' | '';
  result: object;
}

/** Files that may be taken: named .xml, no folder, and neither hidden nor a link that leads elsewhere. */
function filesIn(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isFile() || entry.name.startsWith('.') || !/\.xml$/i.test(entry.name)) continue;
    const mark = markOf(join(folder, entry.name));
    if (mark !== '') found.set(entry.name, mark);
  }
  return found;
}

/** By what a file is known to be the same as before; empty = there is none, which happens where somebody takes it away. */
function markOf(file: string): string {
  const stat = lstatSync(file, { bigint: true, throwIfNoEntry: false });
  return stat?.isFile() ? `${stat.ino}|${stat.size}|${stat.mtimeNs}` : '';
}

/** Sends one file and moves it away, with what came of it beside it. One that could not be judged, or became another meanwhile, stays. */
async function handle(call: Call, folder: string, name: string, mark: string): Promise<Handled> {
  const file = join(folder, name);
  let to: Handled['to'];
  let result: object;
  try {
    const { json, exit } = await importFile(call, file);
    [to, result] = [exit === 1 ? 'held' : 'done', json as object];
  } catch (thrown) {
    const problem = asProblem(thrown);
    // Who comes back later is answered then; so is a file that was still being written.
    const isLater = faults[problem.code].retry === 'backoff' || problem.code === 'peer.unknown_outcome';
    [to, result] = [isLater || markOf(file) !== mark ? '' : 'refused', { error: errorJson(problem) }];
  }
  if (to === '') return { file: name, to, result };
  const into = join(folder, to);
  makeFolders(into, 0o700);
  // A file of the same name came before, and both stay.
  const stamp = new Date(call.streams.now()).toISOString().replaceAll(':', '-');
  const kept = existsSync(join(into, name)) || existsSync(join(into, `${name}.json`)) ? `${stamp}-${name}` : name;
  moveAway(file, join(into, kept), mark);
  writeFileSync(join(into, `${kept}.json`), `${JSON.stringify(result, null, 2)}\n`, { mode: 0o600 });
  return { file: kept, to, result };
}

/** Moves the file that was sent. One that took its place meanwhile was not: it goes back to where it is taken from. */
function moveAway(file: string, to: string, mark: string): void {
  if (markOf(file) !== mark) return;
  renameSync(file, to);
  // Only now nobody replaces it any more, so that it can be known for certain.
  if (markOf(to) !== mark && !existsSync(file)) renameSync(to, file);
}

const lineOf = ({ file: name, to }: Handled): string => `${plain(name).replaceAll('\n', ' ')}: ${to || 'not yet'}`;

export const watchRoster: Command = {
  name: 'roster watch',
  about: 'Take in every EDEXML file that is put into a folder of this machine.',
  arguments: [{ name: 'FOLDER', about: 'The folder; only files whose name ends in .xml.' }],
  flags: { ...settingFlags, once: { about: 'Take what is there, and end.' } },
  notes: [
    'A file is taken once it did not change between two looks, 2 seconds apart, and then moved to done, held (it waits for approval) or refused in that folder, with a .json beside it that says what came of it. While the gateway does not answer, files stay; so does one that was replaced or written on meanwhile, and is taken again.',
    'Without --once it goes on until it is interrupted; --json needs --once. Exit status 1 when a file was refused or held.',
  ],
  async run(call): Promise<Result> {
    const folder = call.args('FOLDER')[0]!;
    settingsOf(call);
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw misuse('There is no such folder.');
    if (call.json && !call.has('once')) throw misuse('--json says one thing at the end: give --once too.');
    // Who waits for files waits for the gateway too; who does not is told at once that there is none.
    if (call.has('once')) await call.gateway().ask('status', {});
    const stop = new AbortController();
    const end = () => stop.abort();
    process.once('SIGINT', end).once('SIGTERM', end);
    const handled: Handled[] = [];
    let badly = 0;
    try {
      for (let before = filesIn(folder); ; ) {
        await sleep(LOOK_MS, undefined, { signal: stop.signal });
        const now = filesIn(folder);
        for (const [name, mark] of now) {
          if (before.get(name) !== mark || stop.signal.aborted) continue;
          const one = await handle(call, folder, name, mark);
          if (one.to !== 'done') badly++;
          if (call.has('once')) handled.push(one);
          else call.streams.out(`${lineOf(one)}\n`);
        }
        if (call.has('once')) break;
        before = now;
      }
    } catch (thrown) {
      if (!stop.signal.aborted) throw thrown;
    } finally {
      process.off('SIGINT', end).off('SIGTERM', end);
    }
    return {
      json: { files: handled },
      text: handled.map(lineOf).join('\n'),
      exit: badly > 0 ? 1 : 0,
    };
  },
};

export const exportRoster: Command = {
  name: 'roster export',
  about: 'Write the roster of a school, as one party may have it, as EDEXML.',
  flags: {
    party: { about: 'For whom: its mandate decides what is in the file.', value: 'OIN', required: true, check: oin },
    school: { ...schoolFlag('The school.'), required: true },
    schooljaar: { about: 'The school year; else the running one.', value: 'YEAR', check: schoolYear },
    site: { about: 'One site (dependancecode).', value: 'CODE', check: isSite },
    version: {
      about: 'Of EDEXML: 1.03, 2.0 or 2.1 (default).',
      value: 'VERSION',
      check: (value) => (/^(?:1\.03|2\.[01])$/.test(value) ? undefined : 'must be 1.03, 2.0 or 2.1'),
    },
    out: { about: 'The file, on the machine of the gateway; it must not be there yet.', value: 'FILE', required: true },
  },
  notes: [
    'What the version has no place for is left out and counted. A party gets the same file itself with GET /edexml.',
    'Only for who guards privacy, or with the key of the gateway’s own machine.',
  ],
  async run(call): Promise<Result> {
    const out = resolve(call.one('out')!);
    const written = await call.gateway().ask('exportRoster', {
      partyOin: call.one('party')!,
      schoolOin: call.one('school')!,
      schoolYear: call.one('schooljaar') ?? '',
      siteCode: call.one('site') ?? '',
      version: call.one('version') ?? '',
      file: out,
    });
    const { schoolYear: year, learners, groups, staff, bytes, attributes, losses } = written;
    const json = { file: out, schoolYear: year, learners, groups, staff, bytes: Number(bytes), attributes };
    const facts = list([
      ['file', out],
      ['school year', year],
      ['learners', learners],
      ['groups', groups],
      ['staff', staff],
      ['bytes', Number(bytes)],
      ['attributes', attributes.join(', ')],
    ]);
    return {
      json: { ...json, losses: lossesJson(losses) },
      text: losses.length === 0 ? facts : `${facts}\n\n${lossTable(losses)}`,
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
    const gateway = call.gateway();
    const { rosters, names } = await following(call, waiting('Asking the administration'), () =>
      gateway.send('pullRoster', alone(asked)),
    );
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

export const listPulls: Command = {
  name: 'roster pulls',
  about: 'List the rosters that are asked of administrations: what came of it, and when they are next.',
  flags: {
    school: schoolFlag('One school.'),
    party: { about: 'One administration.', value: 'OIN', check: oin },
    failing: { about: 'Only those for which somebody must act.' },
  },
  notes: ['eduk roster pull asks one now. What is wrong with a file of EDUK_ADMINISTRATIONS is said too.'],
  async run(call): Promise<Result> {
    const { pulls, names, problems } = await call.gateway().ask('listPulls', {
      schoolOin: call.one('school') ?? '',
      partyOin: call.one('party') ?? '',
      failing: call.has('failing'),
    });
    const lines = pulls.map(({ pull, scheduled }) => ({ pull: pull!, scheduled }));
    const rows = lines.map(({ pull, scheduled }) => [
      named(pull.partyOin, names),
      pull.schoolOin === '' ? 'all its schools' : named(pull.schoolOin, names),
      [pull.schoolYear, scopeWords(pull)].filter(Boolean).join(', '),
      pull.lastMs === 0n ? '' : dutchTime(pull.lastMs),
      [
        pull.lastMs === 0n
          ? 'not asked yet'
          : pull.schoolOin === ''
            ? 'rests'
            : (outcomes[pull.outcome] ?? pull.outcome),
        [pull.code, pull.faultcode].filter(Boolean).join(', '),
        pull.told,
        pull.who && `${whoMustAct(pull.who)} must act`,
      ]
        .filter(Boolean)
        .join('\n'),
      scheduled ? (pull.dueMs === 0n ? 'soon' : dutchTime(pull.dueMs)) : 'by hand',
    ]);
    return {
      json: {
        rosters: lines.map(({ pull, scheduled }) => ({
          partyOin: pull.partyOin,
          schoolOin: pull.schoolOin || null,
          schoolYear: pull.schoolYear || null,
          siteCode: pull.siteCode || null,
          administration: pull.administration || null,
          outcome: pull.outcome || null,
          learners: pull.learners,
          since: pull.since || null,
          flowId: pull.flowId || null,
          code: pull.code || null,
          faultcode: pull.faultcode || null,
          who: pull.who || null,
          told: pull.told || null,
          failures: pull.failures,
          last: isoTime(pull.lastMs),
          answered: isoTime(pull.answeredMs),
          scheduled,
          next: scheduled ? isoTime(pull.dueMs) : null,
        })),
        problems,
      },
      text:
        [
          ...(rows.length === 0
            ? []
            : [table(['administration', 'school', 'roster of', 'asked', 'what came of it', 'asked again'], rows)]),
          ...problems.map((problem) => paragraph(problem)),
        ].join('\n\n') || 'No roster is asked of any administration.',
    };
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
    const name = call.args('FILE')[0]!;
    if (name !== '-') checkFile(name);
    const gateway = call.gateway();
    const { records, published, unchanged, refusals } = await following(call, sending(name), (progress) =>
      gateway.send('importCatalogue', after({ partyOin: call.one('party')! }, chunks(call, name), progress)),
    );
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
