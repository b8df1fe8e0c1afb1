/** The programs that the deployment is checked with, built from Go once and kept: helm, kubectl-validate, and `read`. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '#deploy/local';

const run = promisify(execFile);

/** Folder here, with its own go.mod and go.sum, → what is built of it. Apart, because they need different versions of the same. */
const programs = {
  read: { folder: 'read', of: '.' },
  helm: { folder: 'helm', of: 'helm.sh/helm/v4/cmd/helm' },
  'kubectl-validate': { folder: 'validate', of: 'sigs.k8s.io/kubectl-validate' },
} as const;

export type Program = keyof typeof programs;

/** A cold build of all, on two cores that others use too. */
export const BUILD_MS = 15 * 60_000;

/** Go of this version can bring the newer one that go.mod names, from the proxy. */
const BRINGS_ITS_OWN = 21;

/** `behind`: lets others go first, for whom minutes of building would be a machine that does not answer. */
const go = async (args: readonly string[], folder: string, env: Record<string, string> = {}, behind = false) => {
  const [command, ...all] = [...(behind && process.platform !== 'win32' ? ['nice'] : []), 'go', ...args];
  const { stdout } = await run(command!, all, {
    cwd: folder,
    env: { ...process.env, CGO_ENABLED: '0', ...env },
    maxBuffer: 64 << 20,
  });
  return stdout.trim();
};

/** What keeps these programs from being built here, in words; undefined = nothing. */
export async function missingHere(): Promise<string | undefined> {
  const version = await go(['env', 'GOVERSION'], import.meta.dirname, { GOTOOLCHAIN: 'local' }).catch(() => '');
  const minor = Number(/^go1\.(\d+)/.exec(version)?.[1]);
  if (minor >= BRINGS_ITS_OWN) return undefined;
  const found = version === '' ? 'there is none' : `this is ${version}`;
  return `Go 1.${BRINGS_ITS_OWN} or newer is needed to build helm and kubectl-validate, and ${found}.`;
}

/** Named after all that decides what is built, so that versions never mix. */
function folderOf(program: Program): string {
  const from = join(import.meta.dirname, programs[program].folder);
  const digest = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const file of ['go.mod', 'go.sum', 'main.go'])
    if (existsSync(join(from, file))) digest.update(readFileSync(join(from, file)));
  return join(cacheFolder(), `${program}-${digest.digest('hex').slice(0, 12)}`);
}

/** Path of a program, built when it is not there yet. A folder takes its name only when it is whole. */
async function built(program: Program): Promise<string> {
  const folder = folderOf(program);
  const path = join(folder, program);
  if (existsSync(path)) return path;
  mkdirSync(cacheFolder(), { recursive: true, mode: 0o755 });
  const making = mkdtempSync(join(cacheFolder(), 'making-'));
  try {
    process.stderr.write(`Building ${program} from Go, once. All three take minutes.\n`);
    const from = join(import.meta.dirname, programs[program].folder);
    // As go.sum says, or not at all.
    const flags = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags=-s -w'];
    await go(
      ['build', ...flags, '-o', join(making, program), programs[program].of],
      from,
      { GOTOOLCHAIN: 'auto' },
      true,
    );
    renameSync(making, folder);
  } catch (thrown) {
    if (!existsSync(path)) throw thrown; // Else another run was faster.
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return path;
}

const building = new Map<Program, Promise<string>>();

/** Each is built at most once by a process, one after another: together they would need more memory than they save time. */
export async function tool(program: Program): Promise<string> {
  let path = building.get(program);
  if (path === undefined) {
    const before = [...building.values()];
    path = Promise.allSettled(before).then(() => built(program));
    building.set(program, path);
  }
  return path;
}

export interface Outcome {
  /** 0 = fine. */
  code: number;
  out: string;
  /** Both streams, as a person would see them. */
  said: string;
}

/** Runs one of the programs to its end, whatever it finds. Rejects when it cannot be built or started. */
export async function runTool(
  program: Program,
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string } = {},
): Promise<Outcome> {
  const path = await tool(program);
  return new Promise((resolve, reject) => {
    const child = execFile(
      path,
      [...args],
      { env: { ...process.env, ...options.env }, maxBuffer: 64 << 20 },
      (error, out, err) => {
        const code = error === null ? 0 : error.code;
        if (typeof code !== 'number') reject(error);
        else resolve({ code, out, said: `${out}${err}` });
      },
    );
    child.stdin?.end(options.input ?? '');
  });
}
