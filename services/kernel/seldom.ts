/** Log lines of what fails many times a second, such as every call while a database is away. */
import { type Field, type Level, log } from './log.ts';

/** As `log`, but each event once in `ms` milliseconds at most; its next line says how many were left out. */
export function logSeldom(ms = 5_000): (level: Level, event: string, fields?: Record<string, Field>) => void {
  const told = new Map<string, { at: number; leftOut: number }>();
  return (level, event, fields = {}) => {
    const now = performance.now();
    const before = told.get(event);
    if (before !== undefined && now - before.at < ms) {
      before.leftOut += 1;
      return;
    }
    told.set(event, { at: now, leftOut: 0 });
    log(level, event, before?.leftOut ? { ...fields, left_out: before.leftOut } : fields);
  };
}
