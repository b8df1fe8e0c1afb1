import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  bytesUnder,
  codeProblems,
  dockerfileProblems,
  filesUnder,
  makeImage,
  readDockerfile,
  root,
  seal,
} from './image.ts';
import { BUILD_MS, missingHere } from './tools.ts';

const missing = await missingHere();
if (missing) process.stderr.write(`The image is not checked: ${missing}\n`);

/** What the gateway adds to its base. */
const MOST_BYTES = 40e6;
/** Who runs in the image, where we may choose. */
const USER = 10001;
const isRoot = process.getuid?.() === 0;

describe.skipIf(missing !== undefined)('the image', () => {
  const top = mkdtempSync(join(tmpdir(), 'eduk-image-'));
  const place = join(top, 'image');
  const eduk = join(place, 'eduk');
  const running: ChildProcess[] = [];
  beforeAll(async () => {
    const image = await readDockerfile();
    await makeImage(image, place);
    // The base has a node of the same version; a copy, because others may not pass the folders above ours.
    mkdirSync(join(place, 'bin'));
    cpSync(process.execPath, join(place, 'bin/node'));
    chmodSync(top, 0o755);
    seal(place);
  }, BUILD_MS);
  afterAll(() => {
    for (const child of running) child.kill('SIGKILL');
    spawnSync('chmod', ['-R', 'u+w', top]);
    rmSync(top, { recursive: true, force: true });
  });

  const environment = (more: Record<string, string>): Record<string, string> => ({
    PATH: [join(place, 'bin'), '/usr/bin', '/bin'].join(delimiter),
    NODE_ENV: 'production',
    EDUK_GRPC: '127.0.0.1:0',
    EDUK_HTTP: '127.0.0.1:0',
    ...more,
  });
  const options = (env: Record<string, string>) => ({
    cwd: eduk,
    env: environment(env),
    ...(isRoot ? { uid: USER, gid: USER } : {}),
  });
  /** A folder that only this user has, as /var/lib/eduk. */
  const dataFolder = (name: string): string => {
    const folder = join(top, name);
    mkdirSync(folder, { mode: 0o700 });
    if (isRoot) chownSync(folder, USER, USER);
    return folder;
  };

  test('is built as we promise, and Docker’s linter has nothing to say', async () => {
    expect(dockerfileProblems(await readDockerfile())).toEqual([]);
  });

  test('holds what runs, and nothing else', () => {
    expect(codeProblems(eduk)).toEqual([]);
    const files = filesUnder(eduk).filter((file) => !file.startsWith('node_modules/'));
    expect(files.length).toBeGreaterThan(150);
    const odd = files.filter(
      (file) =>
        !/^(package\.json|LICENSE|healthy\.ts)$|^(services|adapters)\/[\w/.-]+\.(ts|js|xsd)$|^proto\/gen\/[\w/]+\.(ts|binpb)$|^services\/console\/built\/[\w/-]+\.(html|css|svg)$/.test(
          file,
        ),
    );
    expect(odd).toEqual([]);
    expect(
      files.filter(
        (file) =>
          /test|demo|example|parties\//.test(file) && !file.startsWith('services/parties/') && !file.includes('/eduk/'),
      ),
    ).toEqual([]);
  });

  test('has packages of production only, and is small', () => {
    const { devDependencies, optionalDependencies, dependencies } = JSON.parse(
      readFileSync(join(root, 'package.json'), 'utf8'),
    ) as Record<string, Record<string, string>>;
    const modules = readdirSync(join(eduk, 'node_modules'));
    const there = (name: string) =>
      modules.includes(name.split('/')[0]!) &&
      readdirSync(join(eduk, 'node_modules', dirname(name))).includes(name.split('/').at(-1)!);
    expect(Object.keys(dependencies!).filter((name) => !there(name))).toEqual([]);
    // What production brings by itself is no fault.
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { dev?: boolean; optional?: boolean }>;
    };
    const dev = Object.keys({ ...devDependencies, ...optionalDependencies }).filter(
      (name) => lock.packages[`node_modules/${name}`]?.dev || lock.packages[`node_modules/${name}`]?.optional,
    );
    expect(dev.length).toBeGreaterThan(5);
    expect(dev.filter(there)).toEqual([]);
    const bytes = bytesUnder(eduk);
    expect(bytes).toBeLessThan(MOST_BYTES);
    expect(bytes).toBeGreaterThan(5e6);
  });

  test('loads both engines and both drivers without what only a developer has', () => {
    const modules = ['distributed', 'embedded', 'parts', 'bus/kafka/kafkajs', 'bus/kafka/platformatic'];
    const load = [
      ...modules.map((it) => `await import('./services/${it}.ts');`),
      "console.log('loaded');",
      'process.exit(0);',
    ];
    const { stdout, stderr } = spawnSync('node', ['--input-type=module', '--eval', load.join('\n')], {
      ...options({}),
      encoding: 'utf8',
    });
    expect([stdout, stderr.replace(/.*(ExperimentalWarning|--trace-warnings).*\n?/g, '')]).toEqual(['loaded\n', '']);
  });

  const start = (args: readonly string[], env: Record<string, string>) => {
    const child = spawn('node', [join(eduk, 'services/cli/eduk.js'), 'start', ...args], {
      ...options(env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.push(child);
    const said: string[] = [];
    child.stderr!.setEncoding('utf8').on('data', (text: string) => said.push(text));
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    const ready = new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout! }).once('line', resolve);
      ended.then((code) => reject(new Error(`ended with ${code}: ${said.join('')}`)));
    });
    ready.catch(() => undefined);
    return { child, ready, ended, said };
  };
  const healthy = (env: Record<string, string>): number | null =>
    spawnSync('node', [join(eduk, 'healthy.ts')], options(env)).status;

  test('starts as another user on a tree that it cannot write to, says that it is healthy, and ends when told', async () => {
    const data = dataFolder('data');
    const env = { EDUK_DATA: join(data, 'eduk'), EDUK_INTERNAL: `127.0.0.1:${20_000 + (process.pid % 10_000)}` };
    expect(healthy(env)).toBe(1);
    const { child, ready, ended } = start([], env);
    expect(await ready).toMatch(/^ready grpc=127\.0\.0\.1:\d+ http=/);
    expect(healthy(env)).toBe(0);
    const doctor = spawnSync('node', [join(eduk, 'services/cli/eduk.js'), 'doctor', '--json'], {
      ...options(env),
      encoding: 'utf8',
    });
    expect([doctor.status, doctor.stderr]).toEqual([0, expect.any(String)]);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(healthy(env)).toBe(1);
    const write = "try { require('fs').writeFileSync('services/x', ''); } catch (error) { console.log(error.code); }";
    expect(spawnSync('node', ['--eval', write], { ...options(env), encoding: 'utf8' }).stdout).toBe('EACCES\n');
  });

  test('takes the name of a role, and says at once all that the role lacks', async () => {
    const { ended, said } = start(['core'], { EDUK_DATA: dataFolder('core'), EDUK_ENGINE: 'kafka' });
    expect(await ended).toBe(2);
    expect(said.join('')).toMatch(/EDUK_DATABASE_URL[\s\S]*EDUK_KAFKA_BROKERS/);
  });

  describe('what is wrong is found', () => {
    const planted = async (from: string | RegExp, to: string): Promise<string> => {
      const folder = mkdtempSync(join(top, 'planted-'));
      const file = join(folder, 'Dockerfile');
      const text = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8');
      expect(text.replace(from, to)).not.toBe(text);
      writeFileSync(file, text.replace(from, to));
      cpSync(join(root, 'deploy/Dockerfile.dockerignore'), `${file}.dockerignore`);
      return dockerfileProblems(await readDockerfile(file)).join('\n');
    };
    test.each([
      ['root', /^USER .*$/m, 'USER 0:0', 'runs as root'],
      ['no user', /^USER .*$/m, '', 'runs as root'],
      ['another Node', /^ARG NODE=.*$/m, 'ARG NODE=node:lts', 'the base is'],
      ['whatever is there', 'COPY adapters adapters', 'COPY . .', 'whatever is there'],
      ['a secret', 'NODE_ENV=production', 'NODE_ENV=production EDUK_TOKEN=x', 'for all to read'],
      ['packages of the day', 'npm ci', 'npm install', 'otherwise than by npm ci'],
      ['no health', /^HEALTHCHECK .*$/m, '', 'whether it is healthy'],
      ['a shell between', 'ENTRYPOINT ["eduk", "start"]', 'ENTRYPOINT eduk start', 'starts something else'],
      ['a stage by another letter case', 'AS packages', 'As packages', 'FromAsCasing'],
    ])('%s', async (_, from, to, problem) => {
      expect(await planted(from, to)).toContain(problem);
    });

    test('an import that leads nowhere, a package of developers, a file too many', () => {
      const folder = mkdtempSync(join(top, 'code-'));
      mkdirSync(join(folder, 'services/cli'), { recursive: true });
      const write = (file: string, text: string) => writeFileSync(join(folder, 'services/cli', file), text);
      write('eduk.js', "import('./main.ts');\n");
      write(
        'main.ts',
        "import type { X } from './gone-types.ts';\nimport { it } from './gone.ts';\nimport vitest from 'vitest';\n",
      );
      write('left.test.ts', '');
      expect(codeProblems(folder)).toEqual([
        'services/cli/main.ts imports ./gone.ts, which is not there',
        'services/cli/main.ts imports vitest, which is no package of production',
        expect.stringContaining('services/cli/left.test.ts is reached by no start'),
      ]);
    });
  });
});
