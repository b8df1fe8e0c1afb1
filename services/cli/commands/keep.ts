/** What a whole gateway holds: moved to another engine, backed up, restored. */
import { existsSync } from 'node:fs';
import { type Config, ConfigError } from '#kernel';
import type { Call, Command, Result } from '../command.ts';
import { bytes, counted, list, span } from '../print.ts';
import { asProblem, misuse, Problem } from '../problem.ts';
import { following, type Stage, waiting } from '../progress.ts';

/** What works on a gateway's holdings; loaded only by those commands. */
export const keeping = async () => (await import('../../main.ts')).keeping();

/** A setting or a place that stands in the way is a refusal here, not wrong use of the command line. */
const refused = (thrown: unknown): unknown =>
  thrown instanceof ConfigError ? new Problem('state.conflict', thrown.problems.join('\n'), { who: 'us' }) : thrown;

/** Settings of the databases, and of Kafka, that are missing. */
const unset = (config: Config, databases: boolean, kafka: boolean): string[] =>
  [
    ...(databases ? (['EDUK_DATABASE_URL', 'EDUK_VAULT_DATABASE_URL'] as const) : []),
    ...(kafka ? (['EDUK_KAFKA_BROKERS'] as const) : []),
  ].flatMap((name) => (config[name] === undefined ? [`${name} is needed`] : []));

/** Before anything is counted. */
const LOOKING: Stage = waiting('Looking at what is there');

export const move: Command = {
  name: 'move',
  about: 'Move everything that a stopped gateway holds to the other engine, or back.',
  flags: {
    to: {
      about:
        'kafka: from the folder EDUK_DATA into the databases that the settings name; embedded: from those into the folder.',
      value: 'ENGINE',
      choices: ['kafka', 'embedded'],
    },
    resume: {
      about: 'Take the move back: the source may be started again. Until the other side accepted anything.',
    },
    force: { about: 'With --resume: also when the other side cannot be asked.' },
  },
  notes: [
    'Says beforehand how long no messages are taken in. Counts and digests of every table are compared at the end.',
    'The source stays as it is and does not start any more. The master key is not copied: both sides need the same one.',
    '--resume reads EDUK_ENGINE: the engine that the move was from.',
  ],
  alone: true,
  async run(call): Promise<Result> {
    const [to, resumes] = [call.one('to') as 'kafka' | 'embedded' | undefined, call.has('resume')];
    if (resumes === (to !== undefined)) throw misuse('Say either --to kafka, --to embedded, or --resume.');
    if (call.has('force') && !resumes) throw misuse('--force goes with --resume.');
    const config = call.config((read) => unset(read, to !== undefined || read.EDUK_ENGINE === 'kafka', to === 'kafka'));
    const { move, resume } = await keeping();
    try {
      if (to === undefined) {
        const { engine, asked } = await resume(config, call.has('force'), call.streams.now);
        return {
          json: { resumed: engine, otherSideAsked: asked },
          text: `The ${engine === 'embedded' ? 'folder' : 'databases'} may be used again; start the gateway.`,
          said: asked
            ? undefined
            : 'The other side was not asked: what it may have accepted is not here. See that nobody starts it again.',
        };
      }
      const moved = await following(call, LOOKING, (progress) => move(config, to, progress, call.streams.now));
      return {
        json: moved,
        text: list([
          ['moved', counted(moved.rows, 'row')],
          ['tables', `${moved.tables}, the same on both sides`],
          ['took', span(moved.tookMs)],
          ['next', `EDUK_ENGINE=${to} eduk start; or eduk move --resume to take it back before anything is accepted`],
        ]),
      };
    } catch (thrown) {
      throw refused(thrown);
    }
  },
};

/** Of a running embedded gateway its own threads copy the files; undefined = none is running. */
async function runningGateway(call: Call, config: Config): Promise<((folder: string) => Promise<void>) | undefined> {
  if (config.EDUK_ENGINE !== 'embedded') return undefined;
  const gateway = call.gateway();
  try {
    await gateway.ask('status', {});
  } catch (thrown) {
    if (asProblem(thrown).code === 'peer.unavailable') return undefined;
    throw thrown;
  }
  return async (folder) => {
    await gateway.ask('backup', { folder }, BACKUP_MS);
  };
}

/** How long a running gateway may take to copy its files, milliseconds. */
const BACKUP_MS = 3_600_000;

export const backup: Command = {
  name: 'backup',
  about: 'Back up log, state and vault, while the gateway runs.',
  flags: {
    to: { about: 'Folder of backups; a new one is made in it. Default: EDUK_BACKUPS.', value: 'FOLDER' },
  },
  notes: [
    'Never holds a key: keep the master key elsewhere, or nobody can open the backup.',
    'The lists of who was forgotten and what was withdrawn (vault.db.forgotten, state.db.withdrawn in EDUK_DATA) are left out: copy them elsewhere at all times.',
  ],
  alone: true,
  async run(call): Promise<Result> {
    const config = call.config((read) => unset(read, read.EDUK_ENGINE === 'kafka', false));
    const { backup, backupsFolder } = await keeping();
    try {
      const ask = await runningGateway(call, config);
      const to = call.one('to') ?? backupsFolder(config);
      const made = await following(call, LOOKING, (progress) => backup(config, to, ask, progress, call.streams.now));
      return {
        json: made,
        text: list([
          ['backup', made.folder],
          ['taken at', made.takenAt],
          ['rows', made.rows],
          ['size', bytes(made.bytes)],
          ['took', span(made.tookMs)],
        ]),
      };
    } catch (thrown) {
      throw refused(thrown);
    }
  },
};

export const restore: Command = {
  name: 'restore',
  about: 'Restore a backup into an empty data folder, or with EDUK_ENGINE=kafka into empty databases.',
  arguments: [{ name: 'FROM', about: 'The folder of one backup.' }],
  flags: {
    lists: {
      about: 'Folder with the lists vault.db.forgotten and state.db.withdrawn, such as the data folder that was.',
      value: 'FOLDER',
    },
    'without-lists': { about: 'There are no such lists: nobody was forgotten and nothing withdrawn since.' },
  },
  notes: [
    'Before anything can be asked, every forget and every withdrawal since the backup is done again, by the lists of the place itself and of --lists.',
    'With Kafka, messages that were accepted since and are found there are taken in again; numbers that are nowhere are listed.',
  ],
  alone: true,
  async run(call): Promise<Result> {
    const from = call.args('FROM')[0]!;
    if (!existsSync(from)) throw misuse('FROM is not there.');
    const config = call.config((read) => unset(read, read.EDUK_ENGINE === 'kafka', false));
    const { restore } = await keeping();
    try {
      const options = { lists: call.one('lists'), withoutLists: call.has('without-lists') };
      const done = await following(call, LOOKING, (progress) =>
        restore(config, from, options, progress, call.streams.now),
      );
      const lost = done.lost.map(
        ({ stream, partition, from, through }) => `${stream} ${partition}: ${from} to ${through}`,
      );
      return {
        json: done,
        text: list([
          ['backup of', done.takenAt],
          ['rows', done.rows],
          ['withdrawn or forgotten again', done.reapplied],
          ['taken in again from Kafka', done.retaken],
          ['lost', lost.length === 0 ? 'nothing that Kafka knows of' : lost.join('\n')],
          ['took', span(done.tookMs)],
        ]),
        said:
          done.engine === 'embedded'
            ? `What was accepted after ${done.takenAt} is not here: senders that had a receipt since then send again.`
            : undefined,
      };
    } catch (thrown) {
      throw refused(thrown);
    }
  },
};
