import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { readCompose } from './compose.ts';
import { missingHere } from './tools.ts';

const script = join(import.meta.dirname, '../secrets.sh');
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const missingGo = await missingHere();
if (!hasOpenssl) process.stderr.write('secrets.sh is not checked: openssl is missing.\n');
const isRoot = process.getuid?.() === 0;

describe.skipIf(!hasOpenssl)('secrets.sh', () => {
  const top = mkdtempSync(join(tmpdir(), 'eduk-secrets-'));
  afterAll(() => rmSync(top, { recursive: true, force: true }));
  const make = (name: string, ...args: string[]): string => {
    const folder = join(top, name);
    const { status, stderr } = spawnSync('sh', [script, folder, ...args], { encoding: 'utf8' });
    expect([status, isRoot ? stderr : '']).toEqual([0, '']);
    return folder;
  };
  const text = (folder: string, file: string) => readFileSync(join(folder, file), 'utf8');

  test('makes what the gateway takes: forms, and rights of the files', () => {
    const folder = make('forms', 'gateway.example');
    expect(text(folder, 'master-key')).toMatch(/^[0-9a-f]{64}\n$/);
    expect(text(folder, 'operator-key')).toMatch(/^eduk_operator_[\w-]{32,}\n$/);
    for (const file of ['database-password', 'vault-database-password'])
      expect(text(folder, file)).toMatch(/^\w{32,}\n$/);
    for (const file of readdirSync(folder)) {
      const { mode, uid } = statSync(join(folder, file));
      expect([file, mode & 0o777, uid]).toEqual([file, 0o400, isRoot ? 10001 : uid]);
    }
    expect(new X509Certificate(text(folder, 'door.crt')).checkHost('gateway.example')).toBe('gateway.example');
  });

  test.skipIf(missingGo !== undefined)('makes every file that compose.yaml names', async () => {
    const folder = make('named', 'gateway.example');
    const { secrets } = await readCompose(undefined, {
      EDUK_PUBLIC_URL: 'https://gateway.example',
      EDUK_SECRETS: folder,
    });
    const named = Object.values(secrets).map(({ file }) => file.slice(folder.length + 1));
    // The key of the authority is given to nobody.
    expect(named.sort()).toEqual(
      readdirSync(folder)
        .filter((file) => file !== 'inner-ca.key')
        .sort(),
    );
  });

  test('changes nothing that is there, and makes what is gone', () => {
    const folder = make('again', 'gateway.example');
    const before = new Map(readdirSync(folder).map((file) => [file, text(folder, file)]));
    rmSync(join(folder, 'core.inner.crt'));
    make('again', 'other.example');
    const changed = [...before].filter(([file, was]) => text(folder, file) !== was).map(([file]) => file);
    expect(changed).toEqual(['core.inner.crt', 'core.inner.key']);
  });

  test('makes certificates by which roles know each other, under the names of a chart', async () => {
    const folder = make('names', 'gateway.example', 'eduk-gateway-%.chain.svc');
    const of = (role: string) => ({ cert: text(folder, `${role}.inner.crt`), key: text(folder, `${role}.inner.key`) });
    const ca = text(folder, 'inner-ca.crt');
    const server = createServer({ ...of('vault'), ca, requestCert: true, rejectUnauthorized: true }, (socket) =>
      socket.end('hello'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const ask = (servername: string, proof: object): Promise<string> =>
      new Promise((resolve) => {
        const socket: TLSSocket = connect({ host: '127.0.0.1', port, servername, ca, ...proof });
        socket.on('data', (bytes) => resolve(bytes.toString()));
        socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? 'error'));
        socket.on('close', () => resolve('closed'));
      });
    expect(await ask('eduk-gateway-vault.chain.svc', of('door'))).toBe('hello');
    expect(await ask('eduk-gateway-core.chain.svc', of('door'))).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await ask('eduk-gateway-vault.chain.svc', {})).not.toBe('hello');
    const stranger = { cert: text(folder, 'door.crt'), key: text(folder, 'door.key') };
    expect(await ask('eduk-gateway-vault.chain.svc', stranger)).not.toBe('hello');
    server.close();
  });

  test('says how it is used', () => {
    const { status, stderr } = spawnSync('sh', [script], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([2, expect.stringContaining('sh deploy/secrets.sh FOLDER PUBLIC_NAME')]);
  });
});
