/** Stretches of the log from a store that is at hand, for who reads what was taken once more. */
import type { LogRecord, Stretch } from './port.ts';

/** Records read of a lane in one go: one may be as large as a message. */
const PIECE = 16;

/** As `EngineView.log`: each lane has a like part of `bytes`, and one record at least. */
export function stretchesOf(
  of: readonly Stretch[],
  { most, bytes }: { most: number; bytes: number },
  read: (stream: string, partition: number, after: number, limit: number) => readonly LogRecord[],
): LogRecord[] {
  const found: LogRecord[] = [];
  const part = bytes / Math.max(1, of.length);
  for (const { stream, partition, after, through } of of) {
    let at = after;
    for (let count = 0, size = 0; at < through && count < most && size < part; ) {
      const piece = read(stream, partition, at, Math.min(PIECE, most - count)).filter(
        ({ number }) => number <= through,
      );
      if (piece.length === 0) break;
      found.push(...piece);
      count += piece.length;
      for (const { data } of piece) size += data.length;
      at = piece.at(-1)!.number;
    }
  }
  return found;
}
