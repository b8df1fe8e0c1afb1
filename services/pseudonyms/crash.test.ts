import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from 'vitest';
import { connect, dispatcher, systemClock } from '#kernel';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { readMasterKey } from './master.ts';
import { openVault } from './vault.ts';

const SCHOOL = '0000000700099XX00000';
let folder: string | undefined;
let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill('SIGKILL');
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** A process that tells each answer only after it has it: `+ key token salt` and `- token`; meanwhile it renews its keys. */
const PROGRAM = `
import { connect, dispatcher, systemClock } from '#kernel';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { openVault, readMasterKey } from '#services/pseudonyms';
const [file, keyFile, round] = process.argv.slice(-3);
const vault = openVault({ file, masterKey: readMasterKey(keyFile), clock: systemClock });
const call = connect(VaultServiceDefinition, dispatcher(vault.implementations));
await call.rotateKeys({ kinds: ['data', 'index'], schoolOin: '' });
void (async () => {
  for (;;) {
    await vault.tick();
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
})();
for (let i = 0; ; i++)
  await Promise.all(Array.from({ length: 8 }, async (_, j) => {
    const lasKey = round + '-' + i + '-' + j;
    const identities = [{ kind: 'learner', eckId: '', lasKey, person: undefined, partyOin: '' }];
    const { identified } = await call.identify({ schoolOin: '${SCHOOL}', sector: '', create: true, saltFor: [Buffer.from(lasKey)], identities });
    const { token, salt } = identified[0];
    process.stdout.write('+ ' + lasKey + ' ' + token + ' ' + Buffer.from(salt).toString('hex') + '\\n');
    if (j > 0) return;
    await call.forget({ schoolOin: '${SCHOOL}', token, atMs: 0n });
    process.stdout.write('- ' + token + '\\n');
  }));
`;

test('killed at any moment: every token that was answered resolves, nobody who was forgotten returns, and keys that were being renewed go on being so', async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-vault-crash-'));
  const file = join(folder, 'vault.db');
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  const answered = new Map<string, { key: string; salt: string }>();
  const forgotten = new Set<string>();
  for (let round = 0; round < 12; round++) {
    const seen = answered.size;
    child = spawn(process.execPath, ['--input-type=module-typescript', '-e', PROGRAM, file, keyFile, `r${round}`], {
      cwd: join(import.meta.dirname, '..', '..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout! });
    const ended = new Promise((resolve) => lines.once('close', resolve));
    const wanted = 5 + ((round * 37) % 90);
    lines.on('line', (line) => {
      const [sign, ...words] = line.split(' ') as [string, string, string, string];
      if (sign === '+') answered.set(words[1]!, { key: words[0]!, salt: words[2]! });
      else forgotten.add(words[0]!);
      if (answered.size - seen >= wanted) child?.kill('SIGKILL');
    });
    await ended;
    expect(answered.size).toBeGreaterThan(seen);
  }
  expect(forgotten.size).toBeGreaterThan(12);

  const vault = openVault({ file, masterKey: readMasterKey(keyFile), clock: systemClock });
  const call = connect(VaultServiceDefinition, dispatcher(vault.implementations));
  while ((await call.showKeys({})).rotating) await vault.tick();
  const ledger = readFileSync(`${file}.forgotten`, 'utf8');
  for (const [token, { key, salt }] of answered) {
    const identities = [{ kind: 'learner', eckId: '', lasKey: key, person: undefined, partyOin: '' }];
    const saltFor = [Buffer.from(key)];
    const { identified } = await call.identify({ schoolOin: SCHOOL, sector: '', create: false, saltFor, identities });
    const found = identified[0]!;
    // A forget that was asked and not answered may have happened; the ledger knows.
    if (ledger.includes(token)) expect(found.token).toBe('');
    else {
      expect(found.token).toBe(token);
      expect(Buffer.from(found.salt).toString('hex')).toBe(salt);
      expect(forgotten.has(token)).toBe(false);
    }
  }
  for (const token of forgotten) expect(ledger).toContain(`${token} destroyed`);
  await vault.stop();
  const db = new DatabaseSync(file);
  const keys = db.prepare("SELECT version FROM school_keys WHERE purpose IN ('index', 'numbers')").all();
  db.close();
  expect(keys).toHaveLength(2);
  for (const { version } of keys) expect(version).toBeGreaterThan(3);
});
