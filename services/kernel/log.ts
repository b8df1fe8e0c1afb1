/**
 * Structured log lines on standard error: one JSON object a line. Fields are numbers, booleans, ids and fault codes;
 * text that a person or a sender wrote has no place here, and an Error shows only its fault or its class. What is text is
 * redacted unless its field is on the list below and it has the form that the list gives: a new field shows nothing until
 * somebody has said what it holds.
 */
import { GatewayError } from './errors.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Field = string | number | boolean | null | undefined;

let out: (line: string) => void = (line) => process.stderr.write(line + '\n');
let threshold: Level = (process.env['EDUK_LOG'] as Level) ?? 'info';
const order: Record<Level, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** A name, a code or an id of ours. */
const WORD = /^[\w.:/@+#=-]{0,200}$/;
/** Several, such as paths into a document, or a place in our own code. */
const WORDS = /^[\w.:/@+#=()<>[\]*,$ -]{0,4000}$/;

/** Fields that may hold text. */
const texts: Readonly<Record<string, RegExp>> = {
  fault: WORD,
  where: WORDS,
  cause: WORD,
  code: WORD,
  at_code: WORDS,
  consumer: WORD,
  stream: WORD,
  type: WORD,
  topic: WORD,
  flow_id: WORD,
  service: WORD,
  // By which an endpoint is sent to.
  standard: WORD,
  // By which an operator is told.
  channel: WORD,
  method: WORD,
  // Of an owner: the name of a service.
  name: WORD,
  // Of a certificate of a role.
  names: WORDS,
  role: WORD,
  roles: WORDS,
  missing: WORDS,
  path: WORD,
  port: WORD,
  status: WORD,
  why: WORD,
  day: WORD,
  // Of a school, never of a person.
  school_oin: WORD,
  party_oin: WORD,
  // Of keys.
  kinds: WORDS,
  // Of a question to another party: what came of it, its code of a standard (of a table), and who must act.
  outcome: WORD,
  faultcode: WORD,
  who: WORD,
};

/** What is shown of a field. Numbers and yes or no say nothing of a person by themselves. */
const shown = (name: string, value: Field): Field =>
  typeof value !== 'string' || (Object.hasOwn(texts, name) && texts[name]!.test(value)) ? value : '[redacted]';

/** Tests read what would be logged. */
export function logTo(write: (line: string) => void, level: Level = 'debug'): void {
  out = write;
  threshold = level;
}

export function log(level: Level, event: string, fields: Record<string, Field> = {}): void {
  if (order[level] < order[threshold]) return;
  const safe = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, shown(name, value)]));
  out(JSON.stringify({ at: new Date().toISOString(), level, event, ...safe }));
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
