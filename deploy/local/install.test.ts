import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { install, javaVersion } from './install.ts';

let folder: string;
let bin: string;
let cache: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-install-'));
  bin = join(folder, 'bin');
  cache = join(folder, 'cache');
  mkdirSync(bin);
  mkdirSync(join(folder, 'pg/bin'), { recursive: true });
  writeFileSync(join(folder, 'pg/bin/postgres'), 'x');
  execFileSync('tar', ['-cJf', join(folder, 'p.txz'), '-C', join(folder, 'pg'), 'bin']);
  vi.stubEnv('EDUK_DEPLOY_CACHE', cache);
  vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** Puts a program before those of the system. */
const program = (name: string, script: string, into = bin) => {
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(into, name), 0o755);
};
/** A Maven that brings a jar and an archive of its own, and counts how often it is asked. */
const maven = (before = '') =>
  program(
    'mvn',
    `${before}
echo run >> ${folder}/runs
for arg; do case $arg in -DoutputDirectory=*) to=\${arg#*=};; esac; done
case "$*" in
  *copy-dependencies*) mkdir -p $to; echo jar > $to/b.jar; echo jar > $to/a.jar; echo jar > $to/embedded-postgres-x.jar;;
  *) cp ${folder}/p.txz $to;;
esac`,
  );
const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable(),
    (error: unknown) => error,
  );

test('what Maven brings is fetched once', async () => {
  maven();
  const first = await install();
  expect(first.classpath).toBe(`${first.folder}/jars/a.jar:${first.folder}/jars/b.jar`);
  expect(readdirSync(first.postgresBin)).toEqual(['postgres']);
  program('mvn', 'exit 9');
  expect(await install()).toEqual(first);
  expect(readdirSync(cache)).toHaveLength(1);
});

test('a fetch that was cut off leaves nothing that looks whole, and is begun anew', async () => {
  maven('case "$*" in *unpack*) echo "no space left" >&2; exit 1;; esac');
  expect(await caught(install())).toMatchObject({ exitCode: 1, message: expect.stringContaining('no space left') });
  expect(readdirSync(cache)).toEqual([]);
  maven();
  const { folder: whole } = await install();
  // As a copy by hand may leave it: jars, but not the mark that is written last.
  rmSync(join(whole, 'complete'));
  rmSync(join(whole, 'jars/a.jar'));
  await install();
  expect(existsSync(join(whole, 'jars/a.jar'))).toBe(true);
});

test('two that fetch at once do no harm', async () => {
  maven();
  const [one, two] = await Promise.all([install(), install()]);
  expect(one).toEqual(two);
  expect(readdirSync(cache)).toHaveLength(1);
});

test('without Maven, without xz and without Java it says what to install', async () => {
  const { PATH } = process.env;
  vi.stubEnv('PATH', bin);
  expect(await caught(install())).toMatchObject({ exitCode: 3, message: expect.stringContaining('install maven') });
  expect(await caught(javaVersion())).toMatchObject({ exitCode: 3, message: expect.stringContaining('openjdk') });
  vi.stubEnv('PATH', PATH);
  maven();
  program('tar', 'case $1 in -xJf) echo "tar (child): xz: Cannot exec: No such file or directory" >&2; exit 2;; esac');
  expect(await caught(install())).toMatchObject({ exitCode: 3, message: expect.stringContaining('xz-utils') });
});

test('a Java that is too old is not taken', async () => {
  vi.stubEnv('JAVA_HOME', join(folder, 'jdk'));
  program('java', `echo 'openjdk version "11.0.2" 2019-01-15' >&2`, join(folder, 'jdk/bin'));
  expect(await caught(javaVersion())).toMatchObject({
    exitCode: 3,
    message: expect.stringContaining('this one is 11'),
  });
  program('java', `echo 'openjdk version "21.0.2" 2024-01-16' >&2`, join(folder, 'jdk/bin'));
  expect(await javaVersion()).toContain('21.0.2');
});
