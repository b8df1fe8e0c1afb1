import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { ConfigError } from '#kernel';
import { devKeyFile, findMasterKey, readMasterKey } from './master.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-master-'));
  folders.push(folder);
  return folder;
};
const HEX = 'ab'.repeat(32);

describe('the master key', () => {
  test('is read from a file that only its owner can read', () => {
    const file = join(newFolder(), 'key');
    writeFileSync(file, `${HEX}\n`, { mode: 0o600 });
    expect(Buffer.from(readMasterKey(file)).toString('hex')).toBe(HEX);
    chmodSync(file, 0o400);
    expect(readMasterKey(file)).toHaveLength(32);
    for (const mode of [0o640, 0o604, 0o620, 0o700]) {
      chmodSync(file, mode);
      expect(() => readMasterKey(file)).toThrow(/must be 0600 or stricter/);
    }
  });

  test.each([
    ['too short', 'ab'.repeat(31)],
    ['too long', 'ab'.repeat(33)],
    ['no hexadecimal', 'zz'.repeat(32)],
    ['empty', ''],
  ])('%s is refused without being quoted', (_, text) => {
    const file = join(newFolder(), 'key');
    writeFileSync(file, text, { mode: 0o600 });
    const refuse = () => readMasterKey(file);
    expect(refuse).toThrow(ConfigError);
    if (text !== '') expect(refuse).not.toThrow(text.slice(0, 8));
  });

  test('a file that is not there is named', () => {
    expect(() => readMasterKey(join(newFolder(), 'none'))).toThrow(/cannot be read \(ENOENT\)/);
  });

  test('on loopback without one, a development key is made beside the data folder, once', () => {
    const data = join(newFolder(), '.eduk');
    const settings = { data, keyFile: undefined, loopback: true, vaultFile: join(data, 'vault.db') };
    const first = findMasterKey(settings);
    expect(first).toEqual({ file: `${data}.dev.key`, devKey: true, made: true });
    expect(statSync(first.file).mode & 0o777).toBe(0o600);
    const key = readFileSync(first.file, 'utf8');
    expect(findMasterKey(settings)).toEqual({ ...first, made: false });
    expect(readFileSync(first.file, 'utf8')).toBe(key);
    expect(devKeyFile(`${data}/`)).toBe(first.file);
    expect(findMasterKey({ ...settings, data: join(newFolder(), 'other') }).file).not.toBe(first.file);
  });

  test('of first starts at once one makes it, and all have the same', async () => {
    const data = join(newFolder(), 'data');
    const from = JSON.stringify(join(import.meta.dirname, 'master.ts'));
    const run = `const { findMasterKey } = await import(${from});
      while (Date.now() < Number(process.argv[1]));
      console.log(findMasterKey({ data: ${JSON.stringify(data)}, keyFile: undefined, loopback: true, vaultFile: '' }).made);`;
    const at = String(Date.now() + 1_500);
    const starts = Array.from({ length: 4 }, () =>
      promisify(execFile)(process.execPath, ['--input-type=module', '-e', run, at]),
    );
    const made = (await Promise.all(starts)).map(({ stdout }) => stdout.trim()).sort();
    expect(made).toEqual(['false', 'false', 'false', 'true']);
    expect(readMasterKey(devKeyFile(data))).toHaveLength(32);
    expect(readdirSync(join(data, '..'))).toEqual(['data.dev.key']);
  });

  test('a named file is used as it is; elsewhere than on loopback one must be named', () => {
    const folder = newFolder();
    const settings = { data: join(folder, '.eduk'), loopback: false, vaultFile: join(folder, '.eduk', 'vault.db') };
    const keyFile = join(folder, 'key');
    writeFileSync(keyFile, HEX, { mode: 0o600 });
    expect(findMasterKey({ ...settings, keyFile })).toEqual({ file: keyFile, devKey: false, made: false });
    expect(() => findMasterKey({ ...settings, keyFile: undefined })).toThrow(/EDUK_MASTER_KEY_FILE is needed/);
    expect(existsSync(devKeyFile(settings.data))).toBe(false);
  });

  test('no new development key for a vault that exists', () => {
    const folder = newFolder();
    const vaultFile = join(folder, 'vault.db');
    writeFileSync(vaultFile, '');
    const settings = { data: join(folder, '.eduk'), keyFile: undefined, loopback: true, vaultFile };
    expect(() => findMasterKey(settings)).toThrow(/is gone/);
    expect(existsSync(devKeyFile(settings.data))).toBe(false);
  });
});
