import { createHash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { ConfigError } from '#kernel';
import { base32 } from './seal.ts';

/**
 * What was decided about forgetting, kept beside the vault and outside its backups: one line a decision, tokens and times
 * only, never rewritten. A vault that comes back from a backup reads it before it answers, so that nobody who was
 * forgotten returns. A line is on disk before the vault commits what it says.
 */
export type Decision = 'destroyed' | 'waits' | 'kept';

export interface Line {
  /** OIN. */
  school: string;
  token: string;
  decision: Decision;
  /** Unix milliseconds: of the destruction, or until when it waits, or of the taking back. */
  atMs: number;
}

/** Stands on the list for a school as a whole: for its texts and keys. Its people have lines of their own. */
export const schoolToken = (oin: string): string =>
  `sc_${base32(createHash('sha256').update(`school ${oin}`).digest().subarray(0, 16))}`;

const LINE = /^([a-z]{2}_[a-z2-7]{26}) (destroyed|waits|kept) (\d{1,16})$/;

export interface Ledger {
  /** The last decision on each token. The file does not say of which school a token is. */
  read(): Map<string, Omit<Line, 'school'>>;
  /** Appends and waits for the disk. */
  append(lines: readonly Line[]): void;
  close(): void;
}

export function openLedger(file: string): Ledger {
  cutTornLine(file);
  let descriptor: number | undefined;
  return {
    read() {
      const last = new Map<string, Omit<Line, 'school'>>();
      if (!existsSync(file)) return last;
      for (const [i, text] of readFileSync(file, 'utf8').split('\n').entries()) {
        if (text === '') continue;
        const m = LINE.exec(text);
        if (!m)
          throw new ConfigError([
            `${file} line ${i + 1} is damaged; the list of forgotten learners must be whole before the vault opens`,
          ]);
        last.set(m[1]!, { token: m[1]!, decision: m[2] as Decision, atMs: Number(m[3]) });
      }
      return last;
    },
    append(lines) {
      if (lines.length === 0) return;
      descriptor ??= openSync(file, 'a', 0o600);
      const { size } = fstatSync(descriptor);
      const text = Buffer.from(lines.map((line) => `${line.token} ${line.decision} ${line.atMs}\n`).join(''));
      try {
        for (let done = 0; done < text.length; ) done += writeSync(descriptor, text, done);
        fsyncSync(descriptor);
      } catch (error) {
        // A full disk may have taken half a line, to which the next one would be glued.
        ftruncateSync(descriptor, size);
        throw error;
      }
    },
    close() {
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
    },
  };
}

/** A process that died while writing leaves a line without an end. The vault had not committed it, so it may go. */
function cutTornLine(file: string): void {
  if (!existsSync(file)) return;
  const bytes = readFileSync(file);
  const end = bytes.lastIndexOf(10) + 1;
  if (end === bytes.length) return;
  const descriptor = openSync(file, 'r+');
  ftruncateSync(descriptor, end);
  fsyncSync(descriptor);
  closeSync(descriptor);
}
