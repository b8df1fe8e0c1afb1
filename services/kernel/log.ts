/**
 * Structured log lines on standard error: one JSON object a line. Fields are numbers, booleans, ids and fault codes;
 * text that a person or a sender wrote has no place here, and an Error shows only its fault or its class.
 */
import { GatewayError } from './errors.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Field = string | number | boolean | null | undefined;

let out: (line: string) => void = (line) => process.stderr.write(line + '\n');
let threshold: Level = (process.env['EDUK_LOG'] as Level) ?? 'info';
const order: Record<Level, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Tests read what would be logged. */
export function logTo(write: (line: string) => void, level: Level = 'debug'): void {
  out = write;
  threshold = level;
}

export function log(level: Level, event: string, fields: Record<string, Field> = {}): void {
  if (order[level] < order[threshold]) return;
  out(JSON.stringify({ at: new Date().toISOString(), level, event, ...fields }));
}

/** What may be said of a thrown thing: its fault, or its class and where in our own code it arose. */
export function describeError(thrown: unknown): Record<string, Field> {
  if (thrown instanceof GatewayError) {
    const cause = thrown.cause === undefined ? {} : describeCause(thrown.cause);
    return { fault: thrown.fault, where: thrown.where.map((w) => w.path).join(' ') || undefined, ...cause };
  }
  return describeCause(thrown);
}

function describeCause(cause: unknown): Record<string, Field> {
  if (!(cause instanceof Error)) return { cause: typeof cause };
  const frame = cause.stack?.split('\n').find((line) => /^\s+at .*(services|adapters|proto)\//.test(line));
  return {
    cause: cause.name,
    code:
      typeof (cause as { code?: unknown }).code === 'string' ? (cause as unknown as { code: string }).code : undefined,
    at_code: frame
      ?.trim()
      .replace(/^at /, '')
      .replace(/\(?(file:\/\/)?\/.*\/(services|adapters|proto)\//, '$2/'),
  };
}
