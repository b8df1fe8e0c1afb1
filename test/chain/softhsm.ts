/** A PKCS#11 module for tests, SoftHSM, with a token and a key of its own, and the program by which the vault asks it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
];
const module = MODULES.find((file) => existsSync(file));
/** Whether this machine has the packages softhsm2 and opensc. */
export const hasModule =
  module !== undefined &&
  ['softhsm2-util', 'pkcs11-tool'].every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0);
if (!hasModule) console.warn('SKIPPED: no softhsm2 and opensc here; no key is asked of a PKCS#11 module.');

export interface TestModule {
  /** `exec:` and the program. */
  address: string;
  pin: string;
  /** The module's tokens are gone, as when it is unplugged; and there again. */
  unplug(): void;
  plug(): void;
}

export function testModule(folder: string): TestModule {
  const [tokens, conf, program] = ['tokens', 'softhsm2.conf', 'hsm'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(tokens);
  writeFileSync(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  const pin = '648219';
  const env = { ...process.env, SOFTHSM2_CONF: conf, PIN: pin };
  const run = (tool: string, ...given: string[]) => execFileSync(tool, given, { env, stdio: 'pipe' });
  run('softhsm2-util', '--init-token', '--free', '--label', 'eduk', '--so-pin', '97531864', '--pin', pin);
  // As docs/keys.md says it is done.
  run(
    'pkcs11-tool',
    ...['--module', module!, '--token-label', 'eduk', '--login', '--pin', 'env:PIN'],
    ...['--keygen', '--key-type', 'AES:32', '--label', 'master', '--usage-decrypt', '--sensitive', '--private'],
  );
  writeFileSync(
    program,
    [
      '#!/bin/sh',
      `export SOFTHSM2_CONF=${conf} EDUK_PKCS11_MODULE=${module} EDUK_PKCS11_TOKEN=eduk EDUK_PKCS11_KEY=master`,
      `exec ${join(import.meta.dirname, '../../deploy/pkcs11/eduk-pkcs11')} "$@"`,
      '',
    ].join('\n'),
    { mode: 0o755 },
  );
  return {
    address: `exec:${program}`,
    pin,
    unplug: () => renameSync(tokens, `${tokens}.away`),
    plug: () => {
      rmSync(tokens, { recursive: true, force: true });
      renameSync(`${tokens}.away`, tokens);
    },
  };
}
