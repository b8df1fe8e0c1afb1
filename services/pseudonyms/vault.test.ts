import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from 'vitest';
import { connect, dispatcher } from '#kernel';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { type Place, vaultContract } from './vault.contract.ts';
import { openVault, type Vault } from './vault.ts';

const onDisk = (file: string): Buffer =>
  Buffer.concat([file, `${file}-wal`, `${file}-shm`, `${file}-journal`].filter(existsSync).map((f) => readFileSync(f)));

const newFile = (): string => join(mkdtempSync(join(tmpdir(), 'eduk-vault-')), 'vault.db');

async function newPlace(): Promise<Place> {
  const file = newFile();
  return {
    open: async (options) => openVault({ ...options, file }),
    async sql(statement) {
      const db = new DatabaseSync(file);
      try {
        return db.prepare(statement).all() as Record<string, unknown>[];
      } finally {
        db.close();
      }
    },
    async backup() {
      const whole = readFileSync(file);
      return async () => writeFileSync(file, whole);
    },
    bytes: async () => onDisk(file),
    forgotten: async () =>
      readFileSync(`${file}.forgotten`, 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split(' ').slice(0, 2).join(' ')),
    remove: async () => rmSync(join(file, '..'), { recursive: true }),
  };
}

describe('the vault in SQLite', () =>
  vaultContract(newPlace, {
    secrets: { table: 'learners', learner: 'id' },
    bytesInSql: (hex) => `x'${hex}'`,
    modelRuns: 60,
  }));

describe('a file', () => {
  const SCHOOL = '0000000700099XX00000';
  const clock = { now: () => Date.UTC(2026, 10, 22) };
  const masterKey = randomBytes(32);
  let file = '';
  let vaults: Vault[] = [];
  const open = (options: { file?: string; masterKey?: Uint8Array } = {}) => {
    file = options.file ?? newFile();
    const vault = openVault({ file, clock, masterKey: options.masterKey ?? masterKey });
    vaults.push(vault);
    return vault;
  };
  afterEach(async () => {
    for (const vault of vaults) await vault.stop();
    vaults = [];
    rmSync(join(file, '..'), { recursive: true, force: true });
  });
  const callOf = (vault: Vault) => connect(VaultServiceDefinition, dispatcher(vault.implementations));
  const identify = async (vault: Vault, lasKey: string) => {
    const identities = [{ kind: 'learner', eckId: '', lasKey, person: undefined, partyOin: '' }];
    const asked = { schoolOin: SCHOOL, sector: '', create: true, saltFor: [], identities };
    return (await callOf(vault).identify(asked)).identified[0]!.token;
  };

  test('a newer form, a damaged one, one in use: refused in words, and left alone', async () => {
    const vault = open();
    await identify(vault, '1');
    expect(() => open({ file })).toThrow(/in use by another process/);
    await vault.stop();
    const whole = readFileSync(file);
    expect(() => open({ file, masterKey: randomBytes(32) })).toThrow(/master key is not the one/);
    expect(readFileSync(file)).toEqual(whole);
    const db = new DatabaseSync(file);
    db.exec("UPDATE meta SET value = 3 WHERE name = 'form'");
    db.close();
    expect(() => open({ file })).toThrow(/newer release/);
    writeFileSync(file, 'not a database, but long enough to be looked at '.repeat(40));
    expect(() => open({ file })).toThrow(/damaged or no vault/);
    expect(() => open({ file: join(file, 'vault.db') })).toThrow(/cannot be opened \((ENOTDIR|EEXIST)\)/);
    const stranger = newFile();
    const other = new DatabaseSync(stranger);
    other.exec('CREATE TABLE pupils (name TEXT)');
    other.close();
    expect(() => open({ file: stranger })).toThrow(/is no vault/);
  });

  test('is readable by its owner only; what is forgotten has left its write-ahead log when the answer comes', async () => {
    const vault = open();
    const token = await identify(vault, '1');
    expect(statSync(file).mode & 0o077).toBe(0);
    expect(statSync(`${file}-wal`).size).toBeGreaterThan(0);
    const wrapped = (db: DatabaseSync) => db.prepare('SELECT wrapped FROM learners').get()!['wrapped'] as Uint8Array;
    await vault.stop();
    const db = new DatabaseSync(file);
    const secret = wrapped(db);
    db.close();
    const again = open({ file });
    expect(onDisk(file).indexOf(secret)).toBeGreaterThan(0);
    await callOf(again).forget({ schoolOin: SCHOOL, token, atMs: 0n });
    expect(statSync(`${file}-wal`).size).toBe(0);
    expect(onDisk(file).indexOf(secret)).toBe(-1);
  });

  test('a list of forgotten learners that ends within a line is mended, one with a damaged line is refused', async () => {
    const vault = open();
    const token = await identify(vault, '1');
    await callOf(vault).forget({ schoolOin: SCHOOL, token, atMs: 0n });
    await vault.stop();
    const list = readFileSync(`${file}.forgotten`, 'utf8');
    // The process that wrote it died within a line.
    writeFileSync(`${file}.forgotten`, 'lt_half', { flag: 'a' });
    await open({ file }).stop();
    expect(readFileSync(`${file}.forgotten`, 'utf8')).toBe(list);
    writeFileSync(`${file}.forgotten`, `damaged\n${list}`);
    expect(() => open({ file })).toThrow(/line 1 is damaged/);
  });
});
