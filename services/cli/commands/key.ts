import { setTimeout as sleep } from 'node:timers/promises';
import type { ShowKeysResponse } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { age, counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { misuse } from '../problem.ts';

const kinds = ['master', 'data', 'index', 'pairwise'] as const;

/** How often --follow looks. Milliseconds. */
const LOOK_MS = 1_000;

const about: Record<string, string> = {
  master: 'wraps the keys of all schools',
  data: 'seal what rests in the vault',
  index: 'find numbers and texts, make salts',
  pairwise: 'make the pseudonyms of receivers',
};

const json = (keys: ShowKeysResponse) => ({
  master: keys.master,
  schools: keys.schools,
  rotating: keys.rotating,
  heldSince: isoTime(keys.heldMs),
  skipped: keys.skipped,
  keys: keys.keys.map(({ kind, askedMs, schoolsLeft, renewedMs }) => ({
    kind,
    asked: isoTime(askedMs),
    schoolsLeft,
    renewed: isoTime(renewedMs),
  })),
});

function text(keys: ShowKeysResponse, now: number): string {
  const words = [
    keys.heldMs > 0n
      ? `A process of the vault lacked the new master key ${age(keys.heldMs, now)} ago, which holds its use up: put it beside the old one there, under its name with .next.`
      : '',
    keys.skipped > 0
      ? `${counted(keys.skipped, 'school keeps its keys', 'schools keep their keys')}: a value did not open. The log of the vault names them (vault.rotation_failed).`
      : '',
  ].filter(Boolean);
  return [
    list([
      ['master key', `number ${keys.master}`],
      ['schools', keys.schools],
      ['renewing', keys.rotating ? 'under way' : 'nothing'],
    ]),
    table(
      ['keys', 'what they do', 'last renewed', 'schools to do', 'asked for'],
      keys.keys.map(({ kind, askedMs, schoolsLeft, renewedMs }) => [
        kind,
        about[kind] ?? '',
        renewedMs === 0n ? 'never' : dutchTime(renewedMs),
        schoolsLeft,
        dutchTime(askedMs),
      ]),
    ),
    ...words.map((one) => paragraph(one)),
  ].join('\n\n');
}

const result = (keys: ShowKeysResponse | undefined, call: Call): Result =>
  keys === undefined ? {} : { json: json(keys), text: text(keys, call.streams.now()) };

/** Says how many schools are left whenever that changes, until nothing is. */
async function follow(call: Call, begun: ShowKeysResponse | undefined): Promise<ShowKeysResponse | undefined> {
  let keys = begun;
  for (let said = ''; keys?.rotating; ) {
    const left = keys.keys.filter(({ schoolsLeft }) => schoolsLeft > 0);
    const words = left.map(({ kind, schoolsLeft }) => `${kind}: ${counted(schoolsLeft, 'school')} to do`).join(', ');
    if (words !== said && words !== '') call.streams.err(`${words}\n`);
    said = words;
    await sleep(LOOK_MS);
    ({ keys } = await call.gateway().ask('showKeys', {}));
  }
  return keys;
}

export const rotateKeys: Command = {
  name: 'key rotate',
  about: 'Renew keys of the vault while it works: the master key, or keys of all schools or of one.',
  arguments: [{ name: 'KIND', about: `Which: ${kinds.join(', ')}.`, many: true }],
  flags: {
    school: schoolFlag('Of this school only; not the master key.'),
    follow: { about: 'Wait until it is done, and say how far it is. It goes on without this command too.' },
  },
  notes: [
    'master: first put the new key beside the old one on every machine with a vault, under its name with .next (mode 0600). When it is done, put it in the place of the old one; keep the old one as long as the backups made under it.',
    'data, index: what rests under the old keys is sealed anew school by school, then the old keys are destroyed.',
    'pairwise: each receiver is told other pseudonyms from then on, and is still understood by the ones it knew.',
  ],
  async run(call): Promise<Result> {
    const asked = call.args('KIND');
    const wrong = asked.filter((kind) => !(kinds as readonly string[]).includes(kind));
    if (wrong.length > 0) throw misuse(`KIND is one of ${kinds.join(', ')}.`);
    const oin = call.one('school');
    if (oin !== undefined && asked.includes('master')) throw misuse('The master key is of all schools.');
    const { keys } = await call.gateway().ask('rotateKeys', { kinds: [...new Set(asked)], schoolOin: oin ?? '' });
    return result(call.has('follow') ? await follow(call, keys) : keys, call);
  },
};

export const listKeys: Command = {
  name: 'key list',
  about: 'Say which keys the vault has, when they were last renewed, and how far that is. No key is shown.',
  async run(call): Promise<Result> {
    const { keys } = await call.gateway().ask('showKeys', {});
    return result(keys, call);
  },
};
