/**
 * What every adapter owes the gateway, as a function from an adapter to what is wrong with it. Tests run it over the
 * registry, and over adapters that are wrong on purpose.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect, isDeepStrictEqual } from 'node:util';
import { decode } from '#adapters/xml';
import { describeError, GatewayError, isFault } from '#kernel';
import { fieldsOf } from '#proto/labels';
import type { Adapter, Exchange } from './index.ts';
import type { Meaning } from './registry.ts';

/** Labels from here on are identity (proto eduk.core.v1.Label). */
const IDENTIFYING = 20;
/** A word that stands in no document, table or schema: whoever shows it quotes the sender. */
const PLANTED = 'Zebedeus';

export interface BrokenForm {
  how: string;
  bytes: Uint8Array;
  /** Whether any reader must refuse it; the others may be forgiven, but never quoted. */
  refused: boolean;
}

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** Whether a document is JSON; others are XML. */
export const isJson = (document: Uint8Array): boolean => /^\s*[[{]/.test(Buffer.from(document).toString('latin1'));

/** Texts in JSON that are values, with where they begin and end, quotes included. */
export const valuesOfJson = (text: string): { value: string; from: number; to: number }[] =>
  [...text.matchAll(/"((?:[^"\\]|\\.)*)"(\s*:)?/g)].flatMap(({ 0: whole, 1: value, 2: isName, index }) =>
    isName ? [] : [{ value: value!, from: index, to: index + whole.length }],
  );

/** The same for JSON. */
function brokenJson(document: Uint8Array): BrokenForm[] {
  const text = Buffer.from(document).toString('latin1');
  const body = text.trim();
  const forms: BrokenForm[] = [];
  const must = (how: string, changed: string) => forms.push({ how, bytes: latin1(changed), refused: true });
  const may = (how: string, changed: string) => forms.push({ how, bytes: latin1(changed), refused: false });
  /** Members more, in the first object. */
  const inside = (added: string) => body.replace('{', `{${added},`);
  must('empty', '');
  for (const part of [0.1, 0.5, 0.9])
    must(`truncated at ${part * 100} %`, body.slice(0, Math.floor(body.length * part)));
  must('its last bracket missing', body.slice(0, -1));
  must('twice', body + body);
  must('text after the end', `${body}${PLANTED}`);
  must('a comment', `${body}/* ${PLANTED} */`);
  must('zero bytes', body.replaceAll(':', ':\0'));
  must('bytes that are not UTF-8', body.replace('"', '"\xff\xfe'));
  must('a byte order mark of UTF-16', `\xff\xfe${body}`);
  must('nested too deep', inside(`"x":${'['.repeat(20_000)}${']'.repeat(20_000)}`));
  must('another value', '17');
  must('nothing in it', 'null');
  must('a list of texts', `["${PLANTED}"]`);
  must('a text', `"${PLANTED}"`);
  must('XML', `<leerling>${PLANTED}</leerling>`);
  may('a member nobody knows', inside(`"${PLANTED}":"${PLANTED}"`));
  may('a member __proto__', inside(`"__proto__":{"status":"OK","start_date":"${PLANTED}"}`));
  for (const [i, { from, to }] of valuesOfJson(body).entries()) {
    may(`value ${i + 1} is another`, `${body.slice(0, from)}"${PLANTED}"${body.slice(to)}`);
    may(`value ${i + 1} is a number`, `${body.slice(0, from)}17${body.slice(to)}`);
    may(`value ${i + 1} is an object`, `${body.slice(0, from)}{"${PLANTED}":[]}${body.slice(to)}`);
  }
  return forms;
}

/** Ways in which a document can be wrong, whatever its standard. */
export function brokenForms(document: Uint8Array): BrokenForm[] {
  if (isJson(document)) return brokenJson(document);
  // Byte by byte, so that whatever its encoding only what is meant changes.
  const text = Buffer.from(document).toString('latin1');
  const prolog = /^(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>)?\s*/.exec(text)![0];
  const body = text.slice(prolog.length).trimEnd();
  const root = /<([\w.:-]+)(?=[\s/>])/.exec(body.replace(/<!--.*?-->/gs, ''))![1]!;
  const forms: BrokenForm[] = [];
  const must = (how: string, changed: string) => forms.push({ how, bytes: latin1(changed), refused: true });
  const may = (how: string, changed: string) => forms.push({ how, bytes: latin1(changed), refused: false });
  const inside = (added: string) => prolog + body.replace(/<\/[\w.:-]+>$/, (close) => added + close);
  const renamed = (name: string) =>
    prolog + body.replaceAll(new RegExp(`(</?)${root.replaceAll('.', '\\.')}(?=[\\s/>])`, 'g'), `$1${name}`);

  must('empty', '');
  for (const part of [0.1, 0.5, 0.9])
    must(`truncated at ${part * 100} %`, prolog + body.slice(0, Math.floor(body.length * part)));
  must('its last tag missing', prolog + body.replace(/<\/[\w.:-]+>$/, ''));
  must('a DOCTYPE added', `${prolog}<!DOCTYPE ${root}>${body}`);
  must(
    'an entity that grows',
    `${prolog}<!DOCTYPE ${root} [<!ENTITY a "${PLANTED}"><!ENTITY b "&a;&a;">]>${inside('<x>&b;</x>').slice(prolog.length)}`,
  );
  must(
    'an entity from a file',
    `${prolog}<!DOCTYPE ${root} [<!ENTITY a SYSTEM "file:///etc/passwd">]>${inside('<x>&a;</x>').slice(prolog.length)}`,
  );
  must('an entity nobody declared', inside(`<x>&${PLANTED};</x>`));
  must('another root', renamed(PLANTED));
  must('the root twice', prolog + body + body);
  must('text after the root', `${prolog}${body}${PLANTED}`);
  must('null bytes', prolog + body.replaceAll(/>(?=[^<])/g, '>\0'));
  must('an encoding declared that nobody reads', `<?xml version="1.0" encoding="UTF-7"?>${body}`);
  must('UTF-16 declared of other bytes', `<?xml version="1.0" encoding="UTF-16"?>${body}`);
  must('bytes that are not UTF-8', `<?xml version="1.0" encoding="UTF-8"?>${body.replace(/>(?=[^<\s])/, '>\xff\xfe')}`);
  must('nested too deep', inside('<a>'.repeat(400) + '</a>'.repeat(400)));
  must('a tag that crosses another', inside('<a><b></a></b>'));
  must('not XML', `{"leerling": "${PLANTED}"}`);
  may('an element nobody knows', inside(`<${PLANTED}/>`));
  may('an attribute nobody knows', prolog + body.replace(`<${root}`, `<${root} ${PLANTED}="${PLANTED}"`));
  let at = 0;
  // Each value in turn is another, so that whatever is checked of it is checked here.
  for (const { index, 0: all } of [...body.matchAll(/>([^<>]*[^<>\s][^<>]*)<|\s[\w:.-]+="([^"]+)"/g)]) {
    const changed = all.startsWith('>') ? `>${PLANTED}<` : all.replace(/"[^"]*"/, `"${PLANTED}"`);
    if (/^\s(xmlns|xsi)/.test(all)) continue;
    may(`value ${++at} is another`, prolog + body.slice(0, index) + changed + body.slice(index + all.length));
  }
  return forms;
}

/** Values that a document holds: texts and attributes, long enough to be recognised, no names of its own vocabulary. */
export function valuesIn(document: Uint8Array): string[] {
  if (isJson(document)) {
    const body = Buffer.from(document).toString('utf8');
    return [...new Set(valuesOfJson(body).map(({ value }) => value))].filter((value) => value.length >= 4);
  }
  const text = new TextDecoder().decode(decode(document).utf8).replace(/^\s*<\?xml[^>]*\?>/, '');
  const names = new Set(
    [...text.matchAll(/<\/?([\w.:-]+)|\s([\w.:-]+)=/g)].map(([, element, attribute]) => element ?? attribute!),
  );
  const found = new Set<string>();
  for (const [, element, attribute] of text.matchAll(/>([^<>]+)<|\s(?!xmlns|xsi)[\w:.-]+="([^"]+)"/g)) {
    const value = (element ?? attribute ?? '').trim();
    if (value.length >= 4 && !names.has(value)) found.add(value);
  }
  return [...found];
}

/** Whether `value` stands in `text` by itself, not as a part of a longer word such as `goed` in `aantalgoed`. */
function holdsWord(text: string, value: string): boolean {
  for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + 1))
    if (!/[\p{L}\d_]$/u.test(text.slice(0, at)) && !/^[\p{L}\d_]/u.test(text.slice(at + value.length))) return true;
  return false;
}

/** Everything of an error that leaves: to the other party, or into the log. */
const shownOf = (adapter: Adapter, error: GatewayError): string =>
  [
    error.message,
    error.told,
    ...error.where.map(({ path }) => path),
    adapter.sayFault(error),
    JSON.stringify(describeError(error)),
  ].join('\n');

function identitiesIn(type: string, message: Record<string, unknown>): string[] {
  return (fieldsOf[type] ?? []).flatMap((field): string[] => {
    const values = [message[field.name]].flat().filter((value) => value !== undefined && value !== '');
    if (field.kind === 'string') return field.label >= IDENTIFYING ? (values as string[]) : [];
    return field.of === undefined
      ? []
      : values.flatMap((value) => identitiesIn(field.of!, value as Record<string, unknown>));
  });
}

function exampleProblems(
  adapter: Adapter,
  exchange: Exchange,
  meaning: Meaning,
  open: (file: string) => Uint8Array,
  file: string,
): string[] {
  const problems: string[] = [];
  const bytes = open(file);
  const read = () => exchange.read!(bytes);
  const means = exchange.toCore!(read());
  const says: unknown = JSON.parse(Buffer.from(open(file.replace(/\.\w+$/, '.core.json'))).toString());
  const inJson = (value: unknown): unknown => JSON.parse(JSON.stringify(meaning.inJson(value)));
  if (!isDeepStrictEqual(inJson(means), says)) problems.push('does not mean what its .core.json says');
  if (!isDeepStrictEqual(inJson(exchange.toCore!(read())), says)) problems.push('means something else the second time');
  if (meaning.people) {
    const identities = meaning.people
      .of(means)
      .flatMap((one) => identitiesIn(meaning.people!.type, one as Record<string, unknown>));
    if (identities.length === 0) problems.push('shows no person, though the exchange names people');
    const printed = `${JSON.stringify(means)}\n${inspect(means, { depth: 20 })}\n${String(means)}`;
    if (identities.some((value) => value.length >= 3 && printed.includes(value)))
      problems.push('lets identity out of Clear');
  }
  const values = valuesIn(bytes);
  for (const { how, bytes: broken, refused } of brokenForms(bytes)) {
    let thrown: unknown;
    try {
      exchange.toCore!(exchange.read!(broken));
    } catch (error) {
      thrown = error;
    }
    if (thrown === undefined) {
      if (refused) problems.push(`${how}: is not refused`);
      continue;
    }
    if (!(thrown instanceof GatewayError)) {
      problems.push(`${how}: is refused by ${(thrown as Error)?.name ?? typeof thrown}, not by a GatewayError`);
      continue;
    }
    if (!isFault(thrown.fault) || thrown.row.who !== 'sender') problems.push(`${how}: is refused as ${thrown.fault}`);
    const shown = shownOf(adapter, thrown);
    if (shown.includes(PLANTED) || values.some((value) => holdsWord(shown, value)))
      problems.push(`${how}: its refusal quotes the document`);
  }
  return problems;
}

/** What an adapter's own code may not do: transport, retries and logging belong to the door that mounts it. */
const FORBIDDEN: readonly [RegExp, string][] = [
  [/from '(?:node:)?(?:http|https|http2|net|tls|dgram|dns)'/, 'imports a module of the network'],
  [/from '(?:@grpc\/|undici|ws\b)/, 'imports a module of the network'],
  [/\b(?:fetch|WebSocket|EventSource)\(/, 'opens a connection'],
  [/from '(?:node:)?child_process'/, 'starts processes'],
  [/\bconsole\.|\blog\('/, 'logs'],
  [/\bprocess\.env\b/, 'reads the environment'],
];

/** What is wrong with sources of an adapter, by file. */
export const sourceProblems = (sources: ReadonlyMap<string, string>): string[] =>
  [...sources].flatMap(([file, text]) =>
    FORBIDDEN.flatMap(([pattern, what]) => (pattern.test(text) ? [`${file} ${what}`] : [])),
  );

export function sourcesOf(folder: string): Map<string, string> {
  return new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.ts$/.test(file) && !/\.test\.ts$/.test(file))
      .map((file) => [file, readFileSync(join(folder, file), 'utf8')]),
  );
}

/** Runs the whole suite; empty = nothing is wrong. `folder` is the adapter's own. */
export function adapterProblems(
  adapter: Adapter,
  folder: string,
  meanings: Readonly<Record<string, Meaning>>,
  notRead: readonly { adapter: string; file: string }[],
): string[] {
  const problems: string[] = [];
  const open = (file: string): Uint8Array => readFileSync(join(folder, 'examples', file));
  if (!existsSync(join(folder, 'README.md'))) problems.push('has no README.md');
  const listed: string[] = [];
  for (const [name, exchange] of Object.entries(adapter.exchanges)) {
    const meaning = meanings[`${adapter.name}/${name}`];
    if (!meaning) {
      problems.push(`${name}: the registry does not say how its meaning is written down`);
      continue;
    }
    if (exchange.examples.length === 0) problems.push(`${name}: has no example`);
    for (const { file, shows } of exchange.examples) {
      listed.push(file);
      if (shows.trim() === '') problems.push(`${name}, ${file}: does not say what it shows`);
      if (
        !existsSync(join(folder, 'examples', file)) ||
        !existsSync(join(folder, 'examples', file.replace(/\.\w+$/, '.core.json')))
      ) {
        problems.push(`${name}, ${file}: is listed, but it or its .core.json is not there`);
        continue;
      }
      problems.push(
        ...exampleProblems(adapter, exchange, meaning, open, file).map((problem) => `${name}, ${file}: ${problem}`),
      );
    }
  }
  const aside = notRead.filter((one) => one.adapter === adapter.name).map(({ file }) => file);
  const there = existsSync(join(folder, 'examples'))
    ? readdirSync(join(folder, 'examples')).filter(
        (file) => /\.(?:xml|json)$/.test(file) && !file.endsWith('.core.json'),
      )
    : [];
  for (const file of there)
    if (!listed.includes(file) && !aside.includes(file)) problems.push(`${file} is among the examples, but not listed`);
  for (const file of aside)
    if (!there.includes(file) || listed.includes(file))
      problems.push(`${file} is set aside, but is not there or is read`);
  problems.push(...sourceProblems(sourcesOf(folder)));
  return problems;
}
