/**
 * Answers of OSR, read: JSON in the standard's own names. Only what is used is looked at, and only as what it must be; a
 * mandate's token, which lets its holder register endpoints, is never taken over.
 */
import { isUtf8 } from 'node:buffer';
import { GatewayError, isDay, isPartyOin } from '#kernel';

/** An institution, as `/schools` lists it. */
export interface School {
  name: string;
  oin: string;
  brin: string;
}

/** Whether a supplier is mandated on the day that was asked about, and from when to when where OSR says so. */
export interface Mandate {
  ok: boolean;
  /** Empty = not said. */
  start_date: string;
  end_date: string;
  school_oin: string;
  supplier_oin: string;
}

/** Where the supplier of one administration (routing id) answers. */
export interface Endpoint {
  routing_id: string;
  url: string;
  attributes: string;
  start_date: string;
  end_date: string;
  /** Empty = not said. */
  supplier_oin: string;
}

/** Largest answer, bytes; values within each other; entries of one list. */
export const MOST_BYTES = 1 << 20;
const MOST_DEPTH = 16;
const MOST_ENTRIES = 10_000;
const MOST_TEXT = 2048;

const invalid = (path: string): GatewayError =>
  new GatewayError('wire.invalid', 'The answer of OSR is not as it should be.', { where: path });
const unreadable = (): GatewayError => new GatewayError('wire.unreadable', 'The answer of OSR is no JSON.');

/** Bytes as received → a JSON value. */
function json(bytes: Uint8Array): unknown {
  if (bytes.length > MOST_BYTES) throw new GatewayError('wire.too_large', 'The answer of OSR is too large.');
  // RFC 8259: UTF-8 without a byte order mark; a zero byte is of another encoding.
  if (bytes.length === 0 || !isUtf8(bytes) || bytes.includes(0)) throw unreadable();
  const text = Buffer.from(bytes).toString('utf8');
  if (tooDeep(text)) throw unreadable();
  try {
    return JSON.parse(text);
  } catch {
    // What cannot be parsed stands in the parser's message.
    throw unreadable();
  }
}

/** Looked at before it is parsed, so that nothing is built that is then refused. */
function tooDeep(text: string): boolean {
  let depth = 0;
  let inText = false;
  for (let i = 0; i < text.length; i++) {
    const at = text[i];
    if (inText) {
      if (at === '\\') i++;
      else if (at === '"') inText = false;
    } else if (at === '"') inText = true;
    else if (at === '{' || at === '[') {
      if (++depth > MOST_DEPTH) return true;
    } else if (at === '}' || at === ']') depth--;
  }
  return false;
}

type Members = ReadonlyMap<string, unknown>;

/** An object's own members: what is inherited is none of the sender's. */
function members(value: unknown, path: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(path);
  return new Map(Object.entries(value));
}

function list(value: unknown, path: string): unknown[] {
  if (!Array.isArray(value) || value.length > MOST_ENTRIES) throw invalid(path);
  return value;
}

/** A text; absent and null = empty. */
function text(of: Members, name: string, path: string, isNeeded = false): string {
  const value = of.get(name) ?? '';
  if (typeof value !== 'string' || value.length > MOST_TEXT || (isNeeded && value === ''))
    throw invalid(`${path}.${name}`);
  return value;
}

/** A day, also where a time follows it; absent and null = empty. */
function day(of: Members, name: string, path: string): string {
  const value = text(of, name, path);
  const found = /^(\d{4}-\d{2}-\d{2})(?:[T ].*)?$/.exec(value)?.[1];
  if (value === '') return '';
  if (!found || !isDay(found)) throw invalid(`${path}.${name}`);
  return found;
}

function oin(of: Members, name: string, path: string, isNeeded = false): string {
  const value = text(of, name, path, isNeeded);
  if (value !== '' && !isPartyOin(value)) throw invalid(`${path}.${name}`);
  return value;
}

/** `GET /schools`: 0, 1 or more institutions. */
export const readSchools = (bytes: Uint8Array): School[] =>
  list(json(bytes), '$').map((one, i) => {
    const of = members(one, `$[${i}]`);
    return {
      name: text(of, 'name', `$[${i}]`, true),
      oin: oin(of, 'oin', `$[${i}]`, true),
      brin: text(of, 'brin', `$[${i}]`),
    };
  });

/** What a word says of a mandate. */
const words: ReadonlyMap<string, boolean> = new Map([
  ['OK', true],
  ['NOK', false],
]);
/** Names under which such a word may stand: which of them OSR uses is not published. */
const WORD_IN = ['status', 'result', 'message'];

/**
 * `GET /mandates`, answered with 200. Others than the supplier are told OK or NOK only; the supplier itself is shown the
 * mandate. Anything else is refused: an answer that says nothing must not give anybody a right.
 */
export function readMandate(bytes: Uint8Array): Mandate {
  const value = json(bytes);
  const none = { start_date: '', end_date: '', school_oin: '', supplier_oin: '' };
  if (typeof value === 'string') {
    const ok = words.get(value);
    if (ok === undefined) throw invalid('$');
    return { ok, ...none };
  }
  const of = members(value, '$');
  const parties = { school_oin: oin(of, 'school_oin', '$'), supplier_oin: oin(of, 'supplier_oin', '$') };
  if (of.has('start_date')) {
    const start_date = day(of, 'start_date', '$');
    const end_date = day(of, 'end_date', '$');
    if (start_date === '') throw invalid('$.start_date');
    if (end_date !== '' && end_date < start_date) throw invalid('$.end_date');
    return { ok: true, start_date, end_date, ...parties };
  }
  const said = WORD_IN.filter((name) => of.has(name));
  const ok = said.length === 1 ? words.get(text(of, said[0]!, '$')) : undefined;
  if (ok === undefined) throw invalid('$');
  return { ok, ...none, ...parties };
}

/** `GET /endpoints`. */
export const readEndpoints = (bytes: Uint8Array): Endpoint[] =>
  list(json(bytes), '$').map((one, i) => {
    const path = `$[${i}]`;
    const of = members(one, path);
    const endpoint = {
      routing_id: oin(of, 'routing_id', path, true),
      url: text(of, 'url', path, true),
      attributes: text(of, 'attributes', path),
      start_date: day(of, 'start_date', path),
      end_date: day(of, 'end_date', path),
      supplier_oin: oin(of, 'supplier_oin', path),
    };
    if (!URL.canParse(endpoint.url)) throw invalid(`${path}.url`);
    return endpoint;
  });
