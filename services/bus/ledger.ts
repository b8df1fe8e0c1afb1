/**
 * Records that a restore must not lose: what a school took back, and who is to be forgotten. They stand here beside the log,
 * and outside its backups, before they are committed; whoever restores a backup takes them in again. One record a line,
 * only ever appended to.
 */
import { closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { ConfigError, uuidBytes, uuidText } from '#kernel';
import type { LogRecord } from './port.ts';

/** A record without its place: a restored lane gives it another number. */
export type Remembered = Omit<LogRecord, 'number'>;
/** Which records are remembered. */
export type Wants = (record: Pick<LogRecord, 'type' | 'data'>) => boolean;

const LINE =
  /^([a-z_]+) (\d{1,2}) ([0-9a-f-]{36}) ([A-Za-z]+) (\S{36}) (\d{1,16}) (\S*) "([^"\\]*)" ([A-Za-z0-9+/]*={0,2})$/;

const lineOf = ({ stream, partition, id, type, flowId, timeMs, school, key, data }: Remembered): string =>
  `${stream} ${partition} ${uuidText(id)} ${type} ${flowId} ${timeMs} ${school} "${key}" ${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')}\n`;

/** All lines of a list; none where there is no file. A last line without an end was never committed. Throws `ConfigError` when it is damaged. */
export function readLedger(file: string): Remembered[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1)
    .map((line, i) => {
      const found = LINE.exec(line);
      if (!found)
        throw new ConfigError([
          `${file} line ${i + 1} is damaged; the list of what was withdrawn must be whole before a backup is restored`,
        ]);
      const [, stream, partition, id, type, flowId, timeMs, school, key, data] = found as unknown as string[];
      return {
        stream: stream!,
        partition: Number(partition),
        id: uuidBytes(id!)!,
        type: type!,
        flowId: flowId!,
        timeMs: Number(timeMs),
        school: school!,
        key: key!,
        traceparent: '',
        data: Buffer.from(data!, 'base64'),
      };
    });
}

/** Appends, and waits for the disk. */
export function appendToLedger(file: string, records: readonly Remembered[]): void {
  if (records.length === 0) return;
  cutTornLine(file);
  const descriptor = openSync(file, 'a', 0o600);
  try {
    const { size } = fstatSync(descriptor);
    const text = Buffer.from(records.map(lineOf).join(''));
    try {
      for (let done = 0; done < text.length; ) done += writeSync(descriptor, text, done);
      fsyncSync(descriptor);
    } catch (thrown) {
      // A full disk may have taken half a line, to which the next one would be glued.
      ftruncateSync(descriptor, size);
      throw thrown;
    }
  } finally {
    closeSync(descriptor);
  }
}

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

/** Where the embedded engine keeps the list, beside its file. */
export const ledgerOf = (stateFile: string): string => `${stateFile}.withdrawn`;
