import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '#kernel';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { startVaultThread } from './index.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function newData() {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-vault-thread-'));
  folders.push(folder);
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  return { file: join(folder, 'vault.db'), keyFile, devKey: true };
}
const SCHOOL = '0000000700099XX00000';
const ask = (lasKey: string, kind = 'learner') => ({
  schoolOin: SCHOOL,
  sector: '',
  create: true,
  saltFor: [],
  identities: [{ kind, eckId: '', lasKey, person: undefined, partyOin: '' }],
});

describe('the vault in a thread of its own', () => {
  test('answers over its port, passes faults on, and keeps everything over a stop', async () => {
    const data = newData();
    const first = await startVaultThread(data);
    expect(first.devKey).toBe(true);
    const call = connect(VaultServiceDefinition, first.transport);
    const answers = await Promise.all(['1', '2', '1'].map((key) => call.identify(ask(key))));
    const tokens = answers.map(({ identified }) => identified[0]!.token);
    expect(tokens[0]).toBe(tokens[2]);
    expect(tokens[0]).not.toBe(tokens[1]);
    await expect(call.identify(ask('x'.repeat(300)))).rejects.toMatchObject({
      fault: 'wire.invalid',
      where: [{ path: 'identities[0].las_key' }],
    });
    await first.stop();
    await expect(call.identify(ask('1'))).rejects.toMatchObject({ fault: 'gateway.stopping' });
    const second = await startVaultThread(data);
    const again = await connect(VaultServiceDefinition, second.transport).identify(ask('2'));
    expect(again.identified[0]).toMatchObject({ token: tokens[1], created: false });
    await second.stop();
  });

  test('replaces its master key by the file beside it, while it answers, and opens under either name', async () => {
    const data = newData();
    const first = await startVaultThread(data);
    const call = connect(VaultServiceDefinition, first.transport);
    const { token } = (await call.identify(ask('1'))).identified[0]!;
    const next = `${data.keyFile}.next`;
    writeFileSync(next, randomBytes(32).toString('hex'), { mode: 0o644 });
    const rotate = () => call.rotateKeys({ kinds: ['master', 'data', 'index'], schoolOin: '' });
    await expect(rotate()).rejects.toMatchObject({ fault: 'state.conflict' });
    chmodSync(next, 0o600);
    await rotate();
    await expect.poll(async () => (await call.showKeys({})).rotating, { interval: 50 }).toBe(false);
    expect((await call.identify(ask('1'))).identified[0]!.token).toBe(token);
    await first.stop();
    for (const renamed of [false, true]) {
      if (renamed) renameSync(next, data.keyFile);
      const again = await startVaultThread(data);
      // Somebody made this key on purpose.
      expect(again.devKey).toBe(false);
      const found = await connect(VaultServiceDefinition, again.transport).identify(ask('1'));
      expect(found.identified[0]).toMatchObject({ token, created: false });
      await again.stop();
    }
  });

  test('says why it does not open', async () => {
    const data = newData();
    await (await startVaultThread(data)).stop();
    writeFileSync(data.keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    await expect(startVaultThread(data)).rejects.toThrow(/master key is not the one/);
    await expect(startVaultThread({ ...data, keyFile: `${data.keyFile}.none` })).rejects.toThrow(/cannot be read/);
  });
});
