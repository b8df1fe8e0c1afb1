/** One run of the suite against one engine, from an empty gateway to what is left of it. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Adapter } from '#adapters/contract';
import { adapters } from '../../adapters/contract/registry.ts';
import { school } from '../../docs/grpc/seed.ts';
import { run as runCommand, sowAddresses, sowCommands } from './addresses.ts';
import { readConsole } from './console.ts';
import { sowDocuments } from './documents.ts';
import { type Setup, type Subject, startDistributed, startEmbedded } from './gateway.ts';
import { operation } from './operations.ts';
import type { EngineReport } from './report.ts';
import {
  lookAtFiles,
  lookAtProcesses,
  lookAtRows,
  lookAtSegments,
  lookAtTopics,
  lookAtWires,
  lookAtWords,
} from './rest.ts';
import { reveal } from './reveal.ts';
import { type Size, Sowing, until } from './sowing.ts';
import { gather, others, tell } from './story.ts';
import { sowWrong } from './wrong.ts';

export interface Options extends Setup {
  engine: 'embedded' | 'distributed';
  seed: number;
  size: Size;
  adapters?: readonly Adapter[];
  say?: (line: string) => void;
}

/** Where a run must have seen what happened, or it looked at the wrong thing. */
const REAL = {
  embedded: ['files of the gateway', 'backups', 'answers to who is entitled', 'sent to who is entitled'],
  distributed: [
    // Of files of its own it has keys and lists only.
    'backups',
    'files of Kafka and PostgreSQL',
    'records of Kafka',
    'rows of the state',
    'the wire to Kafka',
    'the wire to the database of the state',
    'the wire to the role core',
    'the wire to the role delivery',
  ],
};

/** Kinds that somebody entitled must have got, or the search had nothing to find. */
const MUST = [
  'ECK iD',
  'key of the administration',
  'family name',
  'call name',
  'birth date',
  'e-mail address',
  'account name',
  'text of a school',
  'activation code',
  'score',
] as const;

export async function runSuite(options: Options): Promise<EngineReport> {
  const { engine, seed, size, say = () => undefined } = options;
  const started = performance.now();
  const subject: Subject = await (engine === 'embedded' ? startEmbedded(options) : startDistributed(options));
  const sowing = new Sowing(subject, seed, size);
  const { looking, problems } = sowing;
  let cast: Awaited<ReturnType<typeof gather>> | undefined;
  try {
    cast = await gather(sowing);
    say('the story');
    const story = await tell(sowing, cast);
    await reveal(sowing, story);
    say('identities where they do not belong: gRPC');
    await sowWrong(sowing, story);
    say('documents');
    await sowDocuments(sowing, cast, options.adapters ?? adapters);
    say('addresses and commands');
    await sowAddresses(sowing);
    const [home] = subject.folders;
    if (size !== 'brief') await sowCommands(sowing, home!.path);
    // What peers refuse becomes a dead letter, and stays one.
    if (!(await until(() => (sowing.administration?.brought().taken ?? 0) > 0, 60_000)))
      problems.push('no results went out over UWLR');
    if (!(await until(() => hasDeadLetters(sowing), 60_000))) problems.push('what a webhook refused is no dead letter');
    const dead = await runCommand(['dead', 'list', '--json'], '', subject.env);
    looking.at('dead letters', dead.said);
    if (dead.code !== 0) problems.push(`eduk dead list ended with ${dead.code}`);
    say('pages of the console');
    await readConsole(sowing);
    await story.end();
    await others(sowing, cast);
    await shownToOperators(sowing);
    // Refusals are noted once a second.
    await sleep(1_500);

    say('what rests and passes');
    const backup = await runCommand(['backup', '--json'], '', subject.env);
    looking.at('what commands say', backup.said);
    if (backup.code !== 0 || readdirSync(subject.env['EDUK_BACKUPS']!).length === 0)
      problems.push(`eduk backup ended with ${backup.code}`);
    await lookAtExport(sowing);
    const pieces = subject.collector.pieces();
    for (const piece of pieces) looking.at('traces and metrics', piece);
    for (const path of ['/v1/traces', '/v1/metrics'])
      if (!pieces.some((piece) => piece.includes(path))) problems.push(`nothing was told at ${path}`);
    lookAtProcesses(sowing);
    lookAtFiles(sowing, subject.folders, 1);
    if (subject.servers) {
      await lookAtTopics(sowing, subject.servers.brokers);
      for (const { place, url } of subject.servers.databases) await lookAtRows(sowing, place, url);
    }
    const died = subject.died();
    if (died.length > 0) problems.push(`ended by itself: ${died.join(', ')}`);
    await subject.end();
    lookAtFiles(sowing, subject.folders);
    if (subject.servers) lookAtSegments(sowing, subject.servers.kafkaData);
    lookAtWords(sowing);
    lookAtWires(sowing);
  } finally {
    await cast?.close();
    await subject.stop();
  }
  const story = sowing.identities.all.filter(
    ({ at, belongs }) =>
      belongs &&
      /^(RosterService\.PushRoster|EntitlementService\.GrantEntitlements|ResultService\.ReturnResults|edexml), /.test(
        at,
      ),
  );
  const must = MUST.map((kind) => ({ kind, got: story.some((one) => one.kind === kind && looking.told.has(one)) }));
  for (const { kind, got } of must)
    if (!got) problems.push(`nobody got a planted ${kind}, though somebody is entitled to it`);
  for (const place of REAL[engine])
    if (!looking.real.has(place)) problems.push(`${place}: what happened was not seen there`);
  const kindsOf: Record<string, number> = {};
  for (const { kind } of sowing.identities.all) kindsOf[kind] = (kindsOf[kind] ?? 0) + 1;
  const belonging = sowing.identities.all.filter(({ belongs }) => belongs);
  return {
    engine,
    seconds: Math.round((performance.now() - started) / 1000),
    identities: kindsOf,
    tried: sowing.tried,
    searched: looking.searched,
    entitled: [
      {
        receiver: 'who has a mandate with all attributes, and the one officer who asked and was approved',
        identities: belonging.length,
        got: looking.told.size,
      },
    ],
    findings: looking.findings,
    problems,
  };
}

/** Whether a webhook's refusal has become something that waits for a person. */
async function hasDeadLetters(sowing: Sowing): Promise<boolean> {
  const op = operation('OperatorService.ListParked');
  const { messages } = await sowing.call(op, 'operator', [Buffer.alloc(0)]);
  const { rows } = op.method.responseType.decode(messages[0]!) as { rows: unknown[] };
  return rows.length > 0;
}

/** What the operator may see: everything but persons. Names of groups that a roster would close are shown on purpose. */
async function shownToOperators(sowing: Sowing): Promise<void> {
  for (const name of ['Status', 'ListParties', 'ListMandates', 'ListParked', 'ListSites']) {
    const op = operation(`OperatorService.${name}`);
    await sowing.call(op, 'operator', [Buffer.alloc(0)]);
  }
}

/** What a school takes along is for that school; what the command says of it is for whoever reads the screen. */
async function lookAtExport({ subject, looking, problems }: Sowing): Promise<void> {
  const folder = join(subject.env['EDUK_BACKUPS']!, '..', 'export');
  const { code, said } = await runCommand(['school', 'export', '--school', school, '--out', folder], '', subject.env);
  looking.at('what commands say', said);
  if (code !== 0) {
    problems.push(`eduk school export ended with ${code}`);
    return;
  }
  let found = 0;
  for (const name of readdirSync(folder)) {
    looking.at('names of an export for a school', name);
    found += looking.at('an export for a school', readFileSync(join(folder, name)), 'entitled', name);
  }
  if (found === 0) problems.push('an export for a school holds nobody');
  // It is with the school from here on.
  rmSync(folder, { recursive: true });
}
