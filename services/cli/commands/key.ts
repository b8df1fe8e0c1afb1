import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError } from '#kernel';
import type { ShowKeysResponse } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { openToOthers } from '../place.ts';
import { age, counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { misuse, Problem } from '../problem.ts';
import { following } from '../progress.ts';
import { keeping } from './keep.ts';

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
  heldAt: keys.masterAt === '' ? null : keys.masterAt,
  holderAway: isoTime(keys.masterAwayMs),
  closed: keys.masterClosed,
  held: keys.held.map(({ schoolOin, at, open, awayMs, code }) => ({
    schoolOin,
    at,
    open,
    away: isoTime(awayMs),
    code: code === '' ? null : code,
  })),
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
    keys.masterAwayMs > 0n
      ? `The holder of the master key has not let the vault have it since ${dutchTime(keys.masterAwayMs)}${keys.masterClosed ? ': nothing can be found, sealed or shown until it does.' : '; what the vault has of it ends soon.'}`
      : '',
  ].filter(Boolean);
  return [
    list([
      ['master key', `number ${keys.master}, ${keys.masterAt === '' ? 'in a file' : `held at ${keys.masterAt}`}`],
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
    ...(keys.held.length === 0
      ? []
      : [
          table(
            ['school', 'its key is held at', 'state', 'since'],
            keys.held.map(({ schoolOin, at, open, awayMs, code }) => [
              schoolOin,
              at,
              standing(open, code),
              dutchTime(awayMs),
            ]),
          ),
        ]),
    ...words.map((one) => paragraph(one)),
  ].join('\n\n');
}

/** How the key of a school is, in words. */
const standing = (open: boolean, code: string): string =>
  [
    open ? 'open' : 'closed',
    code === '' ? '' : code === 'peer.refused' ? 'its holder says no' : 'its holder gives no answer',
  ]
    .filter(Boolean)
    .join(': ');

const result = (keys: ShowKeysResponse | undefined, call: Call): Result =>
  keys === undefined ? {} : { json: json(keys), text: text(keys, call.streams.now()) };

/** Says how many schools are left until nothing is: on a terminal over one line, elsewhere whenever that changes. */
async function follow(call: Call, begun: ShowKeysResponse | undefined): Promise<ShowKeysResponse | undefined> {
  let keys = begun;
  const leftOf = (now: ShowKeysResponse) => now.keys.filter(({ schoolsLeft }) => schoolsLeft > 0);
  await following(call, { words: 'keys of schools renewed' }, async (progress) => {
    // Of how many: what was left when it was first looked at, or later where more was asked for meanwhile.
    let all = 0;
    for (let said = ''; keys?.rotating; ) {
      const left = leftOf(keys);
      const sum = left.reduce((schools, { schoolsLeft }) => schools + schoolsLeft, 0);
      all = Math.max(all, sum);
      const words = left.map(({ kind, schoolsLeft }) => `${kind}: ${counted(schoolsLeft, 'school')} to do`).join(', ');
      if (call.streams.screen && all > 0) progress.set(all - sum, all, left.map(({ kind }) => kind).join(', '));
      else if (words !== said && words !== '') progress.say(words);
      said = words;
      await sleep(LOOK_MS);
      ({ keys } = await call.gateway().ask('showKeys', {}));
    }
  });
  return keys;
}

export const rotateKeys: Command = {
  name: 'key rotate',
  about: 'Renew keys of the vault while it works: the master key, or keys of all schools or of one.',
  arguments: [{ name: 'KIND', about: `Which: ${kinds.join(', ')}.`, many: true }],
  flags: {
    school: schoolFlag('Of this school only; not the master key.'),
    emergency: {
      about: 'Also while a freeze holds: what the case is called, such as leak-2027-05. It stands in the log.',
      value: 'CASE',
      check: (value) =>
        /^[\w.:/@+#-]{1,64}$/.test(value)
          ? undefined
          : 'must be one word of at most 64 characters, no name of a person',
    },
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
    const { keys } = await call.gateway().ask('rotateKeys', {
      kinds: [...new Set(asked)],
      schoolOin: oin ?? '',
      emergency: call.one('emergency') ?? '',
    });
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

/** The one line of a file that nobody else reads. */
function tokenIn(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (thrown) {
    throw misuse(`${file} cannot be read (${(thrown as NodeJS.ErrnoException).code}).`);
  }
  if (openToOthers(file)) throw misuse(`${file} can be read by others; chmod 600 ${file}`);
  if (!/^[\x21-\x7e]{1,4096}$/.test(text)) throw misuse(`${file} must hold one line without spaces.`);
  return text;
}

export const holdKey: Command = {
  name: 'key hold',
  about: 'Let a school, or whom it asks to, hold the key that wraps the keys to its data; or take that back.',
  flags: {
    school: { ...schoolFlag('Which school.'), required: true },
    at: {
      about: 'Its key at a Transit engine of HashiCorp Vault or OpenBao: https://HOST/v1/transit/keys/NAME.',
      value: 'URL',
    },
    'token-file': {
      about: 'File (mode 0600) with the token that lets the gateway encrypt and decrypt with that key.',
      value: 'FILE',
    },
    back: { about: 'The master key of the vault wraps them again. Only while their holder lets the vault have them.' },
  },
  notes: [
    'While the holder gives no answer, or says no, nothing of the school is taken in or shown: messages are told school.closed and come again, deliveries wait. When it does, all goes on, in order.',
    'The keys to its data and its index are renewed too. With the master key, an earlier copy of the database opens what it did, and payloads of learners whom it holds: docs/keys.md.',
  ],
  async run(call): Promise<Result> {
    const oin = call.one('school')!;
    const [at, file] = [call.one('at'), call.one('token-file')];
    if (call.has('back') ? at !== undefined || file !== undefined : at === undefined || file === undefined)
      throw misuse('Give --at and --token-file, or --back.');
    const { keys } = await call.gateway().ask('holdKeys', {
      schoolOin: oin,
      at: at ?? '',
      token: file === undefined ? '' : tokenIn(file),
    });
    return result(keys, call);
  },
};

export const makeKey: Command = {
  name: 'key make',
  about: 'Make a master key that a key service or a PKCS#11 module holds: a file that says where.',
  flags: {
    at: {
      about:
        'The key that wraps it: at a Transit engine of HashiCorp Vault or OpenBao, https://HOST/v1/transit/keys/NAME; or exec:/PATH, a program of this machine that asks a PKCS#11 module.',
      value: 'URL',
      required: true,
    },
    'token-file': {
      about: 'File (mode 0600) with the token or PIN for it, under the name that it has on each machine with a vault.',
      value: 'FILE',
      required: true,
    },
    to: {
      about: 'The file to write, which must not be there yet: a new EDUK_MASTER_KEY_FILE, or one with .next.',
      value: 'FILE',
      required: true,
    },
  },
  alone: true,
  notes: ['Nobody sees the key, and it rests nowhere in clear. Put the file on each machine with a vault.'],
  async run(call): Promise<Result> {
    const [at, file, to] = [call.one('at')!, call.one('token-file')!, call.one('to')!];
    tokenIn(file);
    const { makeKeyFile } = await keeping();
    const config = call.config();
    await makeKeyFile({ address: at, tokenFile: resolve(file), to: resolve(to) }, config).catch((thrown: unknown) => {
      throw thrown instanceof ConfigError
        ? new Problem('state.conflict', thrown.problems.join('\n'), { who: 'us' })
        : thrown;
    });
    return { json: { file: resolve(to), at }, text: paragraph(`${to} is a master key that is held at ${at}.`) };
  },
};
