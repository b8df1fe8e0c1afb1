import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import type { FetchRevealResponse, LearnerReveal, ShownLearner } from '#proto/eduk/operator/v1/operator';
import { schoolFlag } from '../checks.ts';
import type { Argument, Call, Command, Result } from '../command.ts';
import { readTokens } from '../learners.ts';
import { counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { misuse } from '../problem.ts';

const REQUEST: Argument = { name: 'ID', about: 'The request: eduk learner reveal list.' };
const TWO =
  'Needs operators who sign in (EDUK_OIDC_ISSUER): put your own token of the provider into a file of mode 0600, and name that with EDUK_TOKEN_FILE.';

/** A person, so that two can be told apart; who it is stands at the provider only. */
const mark = (digest: Uint8Array): string => Buffer.from(digest).toString('hex').slice(0, 12);
const orNull = (text: string): string | null => (text === '' ? null : text);

const json = ({ asked: given, mine }: LearnerReveal) => {
  const asked = given!;
  return {
    id: asked.requestId,
    school: asked.schoolOin,
    reason: asked.reason,
    state: asked.state,
    learners: asked.learners,
    tokens: asked.tokens,
    flow: orNull(asked.flowId),
    attributes: asked.attributes,
    mine,
    askedBy: mark(asked.askedBy),
    asked: isoTime(asked.askedMs),
    decidedBy: orNull(mark(asked.decidedBy)),
    decided: isoTime(asked.decidedMs),
    until: isoTime(asked.untilMs),
    fetched: isoTime(asked.takenMs),
    shown: asked.shown,
  };
};

const text = ({ asked: given, mine }: LearnerReveal): string => {
  const asked = given!;
  return list([
    ['request', asked.requestId],
    ['school', asked.schoolOin],
    ['reason', asked.reason],
    ['learners', asked.flowId === '' ? `${asked.learners}` : `${asked.learners}, of flow ${asked.flowId}`],
    ['of them', asked.attributes.join(', ')],
    ['asked', `${dutchTime(asked.askedMs)} by ${mine ? 'you' : mark(asked.askedBy)}`],
    ['state', asked.state],
    ...(asked.untilMs > 0n ? [['until', dutchTime(asked.untilMs)] as [string, string]] : []),
  ]);
};

const one = (reveal: LearnerReveal | undefined, said: string): Result => ({
  json: json(reveal!),
  text: text(reveal!),
  said: paragraph(said),
});

export const askReveal: Command = {
  name: 'learner reveal',
  about: 'Ask who learners are, outside of any delivery: for a privacy officer; another person approves.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    reason: { about: 'What the case is called: letters, digits and . _ - /, no names.', value: 'CASE', required: true },
    flow: { about: 'The learners of this message, instead of tokens.', value: 'ID' },
    attributes: {
      about: 'What of them: eck_id, las_key, call_name, family_name … Without it las_key, call_name, family_name.',
      value: 'NAME',
      many: true,
    },
  },
  notes: [
    'Give tokens of learners (lt_…) on standard input, one a line, 50 at most; or --flow.',
    'Nobody is shown yet. Another person decides within 24 hours (eduk learner reveal approve|refuse), then you have one hour: eduk learner reveal fetch.',
    TWO,
  ],
  async run(call): Promise<Result> {
    const flowId = call.one('flow') ?? '';
    const tokens = flowId === '' ? await readTokens(call.streams) : [];
    const { asked } = await call.gateway().ask('askReveal', {
      schoolOin: call.one('school')!,
      reason: call.one('reason')!,
      flowId,
      tokens,
      attributes: [...call.all('attributes')],
    });
    return one(asked, 'Another person who signs in decides now; the log of what was done holds that you asked.');
  },
};

export const listReveals: Command = {
  name: 'learner reveal list',
  about: 'Say who asked to be told who learners are, in the last 30 days, and what became of it.',
  flags: { school: schoolFlag('Of this school only.') },
  async run(call): Promise<Result> {
    const { reveals } = await call.gateway().ask('listReveals', { schoolOin: call.one('school') ?? '' });
    return {
      json: { requests: reveals.map(json) },
      text:
        reveals.length === 0
          ? 'Nobody asked in the last 30 days.'
          : table(
              ['request', 'school', 'reason', 'learners', 'of them', 'asked', 'by', 'state', 'until'],
              reveals.map(({ asked, mine }) => [
                asked!.requestId,
                asked!.schoolOin,
                asked!.reason,
                asked!.learners,
                asked!.attributes.join(' '),
                dutchTime(asked!.askedMs),
                mine ? 'you' : mark(asked!.askedBy),
                asked!.state,
                asked!.untilMs === 0n ? '' : dutchTime(asked!.untilMs),
              ]),
            ),
    };
  },
};

const decision = (name: string, approve: boolean, about: string, said: string): Command => ({
  name: `learner reveal ${name}`,
  about,
  arguments: [REQUEST],
  notes: ['For a privacy officer or an operator, but not the person who asked.', TWO],
  async run(call): Promise<Result> {
    const [requestId] = call.args('ID');
    const { asked } = await call.gateway().ask('decideReveal', { requestId: requestId!, approve });
    return one(asked, said);
  },
});

export const approveReveal = decision(
  'approve',
  true,
  'Approve what another person asked: that they are told who these learners are.',
  'Who asked has one hour to fetch it, once. You are not told.',
);
export const refuseReveal = decision(
  'refuse',
  false,
  'Refuse what another person asked: nobody is told who these learners are.',
  'Nobody is told.',
);

const learner = ({ token, known, ref, person }: ShownLearner) => ({
  token,
  known,
  ...Object.fromEntries(Object.entries({ ...ref, ...person }).filter(([, value]) => value !== '')),
});

/** Only a person's own eyes, or a file of theirs: a pipe leads anywhere. */
const NOWHERE = 'This shows who learners are: on your terminal, or with --to FILE in a file that only you can read.';

export const fetchReveal: Command = {
  name: 'learner reveal fetch',
  about: 'Be told, once, who the learners of a request are that another person approved.',
  arguments: [REQUEST],
  flags: {
    to: {
      about: 'A file to write, which must not be there yet (JSON, mode 0600); without it your terminal.',
      value: 'FILE',
    },
  },
  notes: [
    'For the person who asked, within one hour of the approval. It is told once: what is lost on the way is asked for anew.',
    'Who was forgotten, or is to be, is shown as nobody.',
    TWO,
  ],
  async run(call): Promise<Result> {
    const [requestId] = call.args('ID');
    const to = call.one('to');
    if (to === undefined && call.streams.isTerminal !== true) throw misuse(NOWHERE);
    // Before it is asked: it is told once, and must have somewhere to go.
    const file = to === undefined ? undefined : newFile(to);
    let told: FetchRevealResponse;
    try {
      told = await call.gateway().ask('fetchReveal', { requestId: requestId! });
      if (file !== undefined) writeAll(file, `${JSON.stringify(shown(told), undefined, 2)}\n`);
    } catch (thrown) {
      if (to !== undefined) rmSync(to, { force: true });
      throw thrown;
    } finally {
      if (file !== undefined) closeSync(file);
    }
    return to === undefined ? onTerminal(told, call) : inFile(told, to);
  },
};

const shown = ({ asked, learners }: FetchRevealResponse) => ({
  request: json(asked!),
  learners: learners.map(learner),
});

function onTerminal(told: FetchRevealResponse, call: Call): Result {
  const words = 'This is told once, and counted. Leave no copy where others read.';
  if (call.json) return { json: shown(told), said: words };
  const rows = told.learners.map(learner);
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== 'known');
  const cells = rows.map(
    (row) => columns.map((name) => (row as Record<string, unknown>)[name] ?? (row.known ? '' : 'nobody')) as string[],
  );
  return { text: table(columns, cells), said: words };
}

const inFile = ({ asked, learners }: FetchRevealResponse, to: string): Result => ({
  json: { file: to, request: json(asked!), learners: learners.length, shown: asked!.asked!.shown },
  text: paragraph(
    `${to} holds who ${counted(asked!.asked!.shown, 'learner is', 'learners are')}. Only you can read it; remove it when the case is closed.`,
  ),
});

/** Throws `Problem` where it is there, or cannot be made. */
function newFile(name: string): number {
  try {
    return openSync(name, 'wx', 0o600);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    throw misuse(
      code === 'EEXIST' ? 'The file of --to is there already.' : `The file of --to cannot be made (${code}).`,
    );
  }
}

function writeAll(file: number, content: string): void {
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}
