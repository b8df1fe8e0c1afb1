import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { pemBlocks, readCertificate, readRevocationList } from '#kernel';
import { run } from './testing.ts';

const place = mkdtempSync(join(tmpdir(), 'eduk-certs-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));
const env = { EDUK_DATA: join(place, 'data') };
const oin = '00000099000000001000';
const facts = (file: string) => readCertificate(pemBlocks(readFileSync(file), 'CERTIFICATE')[0]!);

test('one command makes an authority, the doors’ certificate, parties’, and a list; again it keeps them', async () => {
  const { exit, json } = await run(`certs dev --oin ${oin} --json`, env);
  expect(exit).toBe(0);
  const [party] = json.parties;
  expect(json.folder).toBe(`${env.EDUK_DATA}.certs`);
  const authority = new X509Certificate(readFileSync(json.authority));
  for (const { certificate, privateKey } of [json.door, party]) {
    const one = new X509Certificate(readFileSync(certificate));
    expect(one.verify(authority.publicKey)).toBe(true);
    expect(one.checkPrivateKey((await import('node:crypto')).createPrivateKey(readFileSync(privateKey)))).toBe(true);
    expect(statSync(privateKey).mode & 0o077).toBe(0);
  }
  expect(facts(party.certificate).oin).toBe(oin);
  expect(new X509Certificate(readFileSync(json.door.certificate)).checkHost('localhost')).toBe('localhost');
  // Name constraints, critical: it speaks for this machine only.
  expect(authority.raw.includes(Buffer.from('551d1e0101ff', 'hex'))).toBe(true);

  const before = readFileSync(party.certificate, 'utf8');
  expect((await run(`certs dev --oin ${oin} --json`, env)).exit).toBe(0);
  expect(readFileSync(party.certificate, 'utf8')).toBe(before);

  const { serial } = facts(party.certificate);
  const revoked = async (): Promise<string[]> => [
    ...readRevocationList(pemBlocks(readFileSync(json.revocationList), 'X509 CRL')[0]!).revoked,
  ];
  expect(await revoked()).toEqual([]);
  expect((await run(`certs dev --revoke ${oin}`, env)).err).toContain(oin);
  expect(await revoked()).toEqual([serial]);
  // The next one for this party is another, and the list keeps the first.
  await run(`certs dev --oin ${oin}`, env);
  expect(facts(party.certificate).serial).not.toBe(serial);
  expect(await revoked()).toEqual([serial]);
});

test('what cannot be is told', async () => {
  expect((await run('certs dev --oin 123', env)).exit).toBe(2);
  expect((await run('certs dev --revoke 00000099000000002000', env)).exit).toBe(1);
  expect((await run('certs dev --folder /dev/null/x', env)).exit).toBe(1);
});

test.runIf(process.platform === 'linux')(
  'a place that makes nothing ends the command, of any that makes folders',
  () => {
    // In a process of its own: what never ends would take the tests with it.
    const eduk = (words: string, data = env.EDUK_DATA) => {
      const { status, stderr } = spawnSync(
        process.execPath,
        [join(import.meta.dirname, 'eduk.js'), ...words.split(' ')],
        {
          env: { ...process.env, EDUK_DATA: data },
          encoding: 'utf8',
          timeout: 20_000,
        },
      );
      return [status, stderr];
    };
    const nowhere = '/proc/eduk/here';
    expect(eduk(`certs dev --folder ${nowhere}`)).toEqual([
      1,
      expect.stringContaining(`${nowhere} cannot be used for certificates (ENOENT)`),
    ]);
    expect(eduk('start', nowhere)).toEqual([1, expect.stringContaining('cannot be made or read (ENOENT)')]);
  },
);
