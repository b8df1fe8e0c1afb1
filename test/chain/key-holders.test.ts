/**
 * What every holder of a key owes the vault, whatever it is: a service that speaks Transit, a program of the operator's, a PKCS#11
 * module behind one. And a gateway whose master key goes from a file to a module and is closed while that is away.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { diallerFor, type GatewayError, networksOf, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type Holders, holdersOver, problemWithKeyAddress, problemWithOwnAddress } from '#services/pseudonyms';
import { keeping } from '../../services/main.ts';
import {
  eckId,
  type Fault,
  newSchool,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';
import { hasModule, testModule } from './softhsm.ts';
import { transitPeer } from './transit.ts';

interface TestHolder {
  address: string;
  token: string;
  /** Gives no answer, until `back`. */
  leave(): void;
  back(): void;
  close(): Promise<void>;
}

let folder: string;
let holders: Holders;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-holders-'));
  holders = holdersOver(diallerFor(networksOf([], true)));
});
afterEach(() => {
  holders.close();
  rmSync(folder, { recursive: true, force: true });
});

const faultOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => '',
    (thrown: GatewayError) => thrown.fault ?? String(thrown),
  );
const secret = randomBytes(32);

/** A program with a key in a file beside it. `body`: what it does when it is asked, in JavaScript. */
function programIn(body: string): string {
  const path = join(folder, `program-${randomBytes(4).toString('hex')}`);
  writeFileSync(path, `#!${process.execPath}\n${body}\n`, { mode: 0o755 });
  return path;
}
const KEEPER = `
const { createCipheriv, createDecipheriv, randomBytes } = require('node:crypto');
const { readFileSync } = require('node:fs');
const [pin, given] = readFileSync(0, 'utf8').split('\\n');
if (pin !== 'let-me-in') process.exit(77);
const key = Buffer.alloc(32, 7);
if (process.argv[2] === 'wrap') {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const sealed = Buffer.concat([nonce, cipher.update(given, 'base64'), cipher.final(), cipher.getAuthTag()]);
  console.log(sealed.toString('base64'));
} else {
  try {
    const sealed = Buffer.from(given, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12));
    decipher.setAuthTag(sealed.subarray(-16));
    console.log(Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('base64'));
  } catch {
    process.exit(65);
  }
}`;

const kinds: [string, () => Promise<TestHolder>][] = [
  [
    'a Transit engine',
    async () => {
      const peer = await transitPeer();
      return {
        address: peer.key,
        token: peer.token,
        leave: () => void (peer.mood = 'away'),
        back: () => void (peer.mood = 'yes'),
        close: () => peer.close(),
      };
    },
  ],
  [
    'a program',
    async () => {
      const path = programIn(KEEPER);
      return {
        address: `exec:${path}`,
        token: 'let-me-in',
        leave: () => writeFileSync(path, `#!${process.execPath}\nprocess.exit(75)\n`),
        back: () => writeFileSync(path, `#!${process.execPath}\n${KEEPER}\n`),
        close: async () => undefined,
      };
    },
  ],
  ...(hasModule
    ? ([
        [
          'a PKCS#11 module',
          async () => {
            const module = testModule(folder);
            return {
              address: module.address,
              token: module.pin,
              leave: module.unplug,
              back: module.plug,
              close: async () => undefined,
            };
          },
        ],
      ] as [string, () => Promise<TestHolder>][])
    : []),
];

describe.each(kinds)('%s', (_kind, make) => {
  let at: TestHolder;
  beforeEach(async () => {
    at = await make();
  });
  afterEach(() => at.close());

  test('wraps and opens, never twice the same, for one purpose only', async () => {
    const holder = holders.own(at.address, () => at.token);
    expect(holder.at).toBe(at.address);
    const [wrapped, again] = [await holder.wrap(secret, 'eduk school 1'), await holder.wrap(secret, 'eduk school 1')];
    expect(wrapped).not.toBe(again);
    expect(wrapped).toMatch(/^\S{1,4096}$/);
    expect(wrapped).not.toContain(secret.toString('base64').slice(0, 16));
    for (const one of [wrapped, again]) expect(await holder.unwrap(one, 'eduk school 1')).toEqual(secret);
    expect(await faultOf(holder.unwrap(wrapped, 'eduk school 2'))).toBe('peer.refused');
    await holder.stay();
  });

  test('says no to whoever has another token, and to what it did not wrap or is not whole; then opens all the same', async () => {
    const holder = holders.own(at.address, () => at.token);
    const wrapped = await holder.wrap(secret, 'x');
    expect(await faultOf(holders.own(at.address, () => 'another-1').wrap(secret, 'x'))).toBe('peer.refused');
    expect(await faultOf(holders.own(at.address, () => 'another-1').unwrap(wrapped, 'x'))).toBe('peer.refused');
    for (const place of [12, Math.floor(wrapped.length / 2), wrapped.length - 8]) {
      const other = wrapped[place] === 'a' ? 'b' : 'a';
      const changed = wrapped.slice(0, place) + other + wrapped.slice(place + 1);
      expect(await faultOf(holder.unwrap(changed, 'x'))).toMatch(/^peer\./);
    }
    expect(await holder.unwrap(wrapped, 'x')).toEqual(secret);
  });

  test('that is away gives no answer, and opens what it wrapped before when it is back', async () => {
    const holder = holders.own(at.address, () => at.token);
    const wrapped = await holder.wrap(secret, 'x');
    at.leave();
    expect(await faultOf(holder.unwrap(wrapped, 'x'))).toBe('peer.unavailable');
    expect(await faultOf(holder.wrap(secret, 'x'))).toBe('peer.unavailable');
    at.back();
    expect(await holder.unwrap(wrapped, 'x')).toEqual(secret);
  });
});

describe('a program', () => {
  test('is named by its whole path, and for the operator’s own key only', () => {
    for (const wrong of ['exec:bin/hsm', 'exec:', 'exec:/a b', 'exec:/a;rm', 'file:/x'])
      expect(problemWithOwnAddress(wrong), wrong).toBeDefined();
    expect(problemWithOwnAddress('exec:/etc/eduk/hsm')).toBeUndefined();
    // A school's key is named over the wire.
    expect(problemWithKeyAddress('exec:/etc/eduk/hsm')).toBeDefined();
    expect(() => holders.at('exec:/etc/eduk/hsm', () => 'x')).toThrow(/no address of a key/);
  });

  test('that others can change, or that is not there, is not asked', async () => {
    const path = programIn(KEEPER);
    for (const mode of [0o775, 0o757]) {
      chmodSync(path, mode);
      expect(await faultOf(holders.own(`exec:${path}`, () => 'x').wrap(secret, 'x'))).toContain(
        'can be changed by others',
      );
    }
    expect(await faultOf(holders.own(`exec:${path}x`, () => 'x').wrap(secret, 'x'))).toContain('is not there');
    // Who can write the folder can put another in its place, under whichever of its names.
    chmodSync(path, 0o755);
    const open = join(folder, 'open');
    mkdirSync(open);
    copyFileSync(path, join(open, 'hsm'));
    chmodSync(join(open, 'hsm'), 0o755);
    symlinkSync(path, join(open, 'link'));
    const asked = (name: string) =>
      faultOf(holders.own(`exec:${join(open, name)}`, () => 'let-me-in').wrap(secret, 'x'));
    chmodSync(open, 0o777);
    for (const name of ['hsm', 'link']) expect(await asked(name), name).toContain('can be changed by others');
    // Where nobody may take away what is another's, it can stay.
    for (const mode of [0o1777, 0o775]) {
      chmodSync(open, mode);
      expect(await asked('link')).toBe('');
    }
  });

  test('that nobody may start is told to the operator, and is no holder that is away', async () => {
    const path = programIn(KEEPER);
    chmodSync(path, 0o644);
    expect(await faultOf(holders.own(`exec:${path}`, () => 'x').wrap(secret, 'x'))).toContain('may not be executed');
  });

  test('gets token and secret on its standard input, and nothing of our settings; its words about errors are not repeated', async () => {
    const seen = join(folder, 'seen');
    const path = programIn(
      `require('node:fs').writeFileSync(${JSON.stringify(seen)}, JSON.stringify([process.argv, Object.keys(process.env), require('node:fs').readFileSync(0, 'utf8')]));
       console.error('Anna Jansen'); console.log('no word of this'); process.exit(3)`,
    );
    process.env['EDUK_TEST_SECRET'] = 'x';
    const thrown = await holders
      .own(`exec:${path}`, () => 'let-me-in')
      .wrap(secret, 'x')
      .catch((error: GatewayError) => error);
    delete process.env['EDUK_TEST_SECRET'];
    expect(thrown).toMatchObject({ fault: 'peer.unavailable' });
    expect(JSON.stringify([String(thrown), (thrown as GatewayError).told])).not.toContain('Anna');
    const [argv, env, input] = JSON.parse(readFileSync(seen, 'utf8')) as [string[], string[], string];
    expect(argv.slice(2)).toEqual(['wrap']);
    expect(env.filter((name) => !['PATH', 'LANG'].includes(name) && !name.startsWith('_'))).toEqual([]);
    expect(input).toMatch(/^let-me-in\n[\w+/=]{88}\n$/);
  });

  test('that never ends is ended with what it began; one that says too much is no answer', async () => {
    const silent = programIn(
      `require('node:child_process').spawn('sleep', ['600'], { stdio: 'inherit' }); setInterval(() => 0, 1000)`,
    );
    const began = performance.now();
    expect(await faultOf(holders.own(`exec:${silent}`, () => 'x').wrap(secret, 'x'))).toBe('peer.unavailable');
    expect(performance.now() - began).toBeLessThan(20_000);
    const loud = programIn(`for (;;) require('node:fs').writeSync(1, 'x'.repeat(4096))`);
    expect(await faultOf(holders.own(`exec:${loud}`, () => 'x').wrap(secret, 'x'))).toBe('peer.unavailable');
  });

  test('that refused a PIN is not asked again with the same one: a module counts and locks', async () => {
    const count = join(folder, 'count');
    const path = programIn(`require('node:fs').appendFileSync(${JSON.stringify(count)}, 'x');${KEEPER}`);
    const asks = () => (existsSync(count) ? readFileSync(count, 'utf8').length : 0);
    for (let i = 0; i < 5; i++)
      expect(await faultOf(holders.own(`exec:${path}`, () => 'wrong').wrap(secret, 'x'))).toBe('peer.refused');
    expect(asks()).toBe(1);
    const holder = holders.own(`exec:${path}`, () => 'let-me-in');
    const wrapped = await holder.wrap(secret, 'x');
    // What it did not wrap says nothing of the PIN.
    expect(await faultOf(holder.unwrap('p1:AAAA', 'x'))).toBe('peer.refused');
    expect(await holder.unwrap(wrapped, 'x')).toEqual(secret);
  });
});

describe.skipIf(!hasModule)('a gateway whose master key goes into a PKCS#11 module', () => {
  const LEASE_S = 4;
  const schoolYear = schoolYearOf(Date.now());
  const school = newSchool();
  let own: string;
  let at: TestGateway;
  let las: TestParty;
  let pushes = 0;
  beforeAll(async () => {
    own = mkdtempSync(join(tmpdir(), 'eduk-module-'));
    writeFileSync(join(own, 'master.key'), randomBytes(32).toString('hex'), { mode: 0o600 });
    at = await startTestGateway({ EDUK_MASTER_KEY_FILE: join(own, 'master.key'), EDUK_KEY_LEASE_S: String(LEASE_S) });
    las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION], undefined, ['eck_id', 'family_name']);
    await at.mandate(school, las.oin, [Service.SERVICE_ROSTER], { attributes: ['eck_id', 'family_name'] });
  });
  afterAll(async () => {
    await at?.stop();
    rmSync(own, { recursive: true, force: true });
  });

  /** Faults of taking in a roster of so many pupils; empty = taken. */
  const push = async (learners: number): Promise<string[]> => {
    const reference = `r${++pushes}`;
    const people = Array.from({ length: learners }, (_, i) => ({
      ref: { eckId: eckId(i) },
      person: { familyName: `Achter${i}` },
    }));
    const roster = { schoolOin: school, schoolYear, learners: people };
    const acks = await sendAll(las.rosters.pushRoster(), [{ reference, rosterId: reference, last: true, roster }]);
    return acks.flatMap(({ refusals }) => refusals.map(({ code }) => code));
  };
  const names = async () => {
    const { roster } = await las.rosters.getRoster({ schoolOin: school, schoolYear });
    return roster!.learners.map(({ person }) => person!.familyName).sort();
  };
  const codeOf = (asked: Promise<unknown>) =>
    asked.then(
      () => '',
      (thrown: Fault) => thrown.code,
    );
  const keys = async () => (await at.operator.showKeys({})).keys!;

  test('without a stop: everything is taken in and shown meanwhile; while the module is away it holds its lease, closes, says who must act, and loses nothing', async () => {
    const module = testModule(own);
    expect(await push(3)).toEqual([]);
    await expect.poll(() => names().catch(() => [])).toEqual(['Achter0', 'Achter1', 'Achter2']);

    // The ceremony of docs/keys.md: made in the module, laid beside the file, rotated.
    const { makeKeyFile } = await keeping();
    const [tokenFile, to] = [join(own, 'pin'), join(own, 'master.key.next')];
    writeFileSync(tokenFile, `${module.pin}\n`, { mode: 0o600 });
    await makeKeyFile({ address: module.address, tokenFile, to }, { EDUK_ALLOW_NETWORKS: undefined });
    expect(statSync(to).mode & 0o777).toBe(0o600);
    expect(readFileSync(to, 'utf8')).toMatch(/^wrapped: p1:\S+$/m);
    await at.operator.rotateKeys({ kinds: ['master'] });
    const faults: string[] = [];
    for (let rotating = true; rotating; ) {
      faults.push(...(await push(4)), await codeOf(names()));
      ({ rotating } = await keys());
    }
    expect(faults.filter((code) => code !== '')).toEqual([]);
    expect((await keys()).master).toBe(2);
    // The old file may go; the next start opens by the module alone.
    await at.restart(() => renameSync(to, join(own, 'master.key')));
    las = { ...las, ...at.as(`Bearer ${las.apiKey}`) };
    expect(await keys()).toMatchObject({ masterAt: module.address, masterClosed: false });
    expect(await names()).toHaveLength(4);

    module.unplug();
    // What was lent holds; who looks is told at the first failure.
    expect(await push(5)).toEqual([]);
    await expect.poll(async () => (await keys()).masterAwayMs > 0n).toBe(true);
    await expect.poll(async () => (await keys()).masterClosed).toBe(true);
    expect(await codeOf(push(6))).toBe('gateway.unavailable');
    expect(await codeOf(names())).toBe('gateway.unavailable');

    module.plug();
    await expect.poll(async () => (await keys()).masterClosed).toBe(false);
    expect(await push(6)).toEqual([]);
    await expect.poll(names).toHaveLength(6);

    // A PIN that was changed at the module and not here: a start says so, in words, and asks once.
    writeFileSync(tokenFile, '111111\n', { mode: 0o600 });
    await expect(at.restart()).rejects.toThrow(/is held at exec:.*says no: look at its token/);
    writeFileSync(tokenFile, `${module.pin}\n`, { mode: 0o600 });
    await at.restart();
    las = { ...las, ...at.as(`Bearer ${las.apiKey}`) };
    expect(await names()).toHaveLength(6);
  });
});
