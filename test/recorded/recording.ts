/** What a recording holds: one JSON object a line. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** The moment at which all of it happens. */
export const NOW = Date.parse('2026-08-17T08:00:00Z');

export interface Recorded {
  /** Of the invented chain; each is a log of its own. */
  seed: number;
  stream: string;
  type: string;
  key: string;
  flowId: string;
  school: string;
  /** A door wrote it; else a service of that release did. */
  submitted: boolean;
  /** The event as it stood on the log, base64. */
  data: string;
  /** The same as that release read it. */
  json: unknown;
}

const folder = join(import.meta.dirname, 'streams');

/** Releases of which there is a recording. */
export const releases = (): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl.gz'))
    .map((name) => name.slice(0, -'.jsonl.gz'.length))
    .sort();

export const recordingOf = (release: string): Recorded[] =>
  gunzipSync(readFileSync(join(folder, `${release}.jsonl.gz`)))
    .toString()
    .split('\n')
    .map((line) => JSON.parse(line) as Recorded);
