/** For the tests here: what is missing for them, and what a run has left behind. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { missingHere } from './index.ts';

/** Why real servers cannot be run here; said once, and the tests are left out. */
export const missing = await missingHere();
if (missing) process.stderr.write(`Left out: tests with a real Kafka and PostgreSQL. ${missing}\n`);

/** Command lines of living processes that name the folder or work in it. */
export const left = (folder: string): string[] =>
  readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      if (/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${name}/stat`, 'utf8'))) return [];
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return line.includes(folder) || readlinkSync(`/proc/${name}/cwd`).startsWith(folder) ? [line] : [];
    } catch {
      return []; // Gone since the list was read.
    }
  });
