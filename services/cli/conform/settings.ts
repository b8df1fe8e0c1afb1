/** What a party handed out so that it can be tried: from flags, and from a file of JSON that flags go before. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { brinOf, isSiteCode } from '#kernel';
import { school as isSchool, schoolYear as isYear, schoolNamed } from '../checks.ts';
import type { Call } from '../command.ts';
import { openToOthers } from '../place.ts';
import { misuse } from '../problem.ts';

export interface LasSettings {
  leerlinggegevens: string;
  getrapt: string;
  leerresultaten: string;
  version: '2.2' | '2.3';
  brincode: string;
  dependancecode: string;
  schoolkey: string;
  /** Empty = the running one. */
  schooljaar: string;
  klantcode: string;
  klantnaam: string;
  autorisatiesleutel: string;
  gegevenssetid: string;
  headers: Record<string, string>;
  ca: Buffer | undefined;
  client: { cert: Buffer; key: Buffer } | undefined;
  timeoutMs: number;
}

/** Seconds that one answer may take. */
const TIMEOUT_S = 30;

const FIELDS = [
  'leerlinggegevens',
  'getrapt',
  'leerresultaten',
  'version',
  'school',
  'dependancecode',
  'schoolkey',
  'schooljaar',
  'klantcode',
  'klantnaam',
  'sleutel',
  'gegevenssetid',
  'certificate',
  'key',
  'ca',
  'timeoutSeconds',
] as const;
type Field = (typeof FIELDS)[number];

/** The flag that goes before a field. */
export const flagOf: Readonly<Record<Field, string>> = {
  leerlinggegevens: 'las',
  getrapt: 'getrapt',
  leerresultaten: 'results',
  version: 'version',
  school: 'school',
  dependancecode: 'site',
  schoolkey: 'schoolkey',
  schooljaar: 'schooljaar',
  klantcode: 'klantcode',
  klantnaam: 'klantnaam',
  sleutel: 'sleutel-file',
  gegevenssetid: 'gegevenssetid',
  certificate: 'certificate',
  key: 'certificate-key',
  ca: 'ca',
  timeoutSeconds: 'timeout',
};

const code = (thrown: unknown): string => (thrown as NodeJS.ErrnoException).code ?? 'unknown';

/** A file, whatever is in it. Throws wrong use. */
export function fileNamed(name: string, what: string): Buffer {
  try {
    return readFileSync(name);
  } catch (thrown) {
    throw misuse(`The file of ${what} cannot be read (${code(thrown)}).`);
  }
}

/** The one word of a file that nobody else reads. */
export function secretIn(name: string, what: string): string {
  const text = fileNamed(name, what).toString('utf8').trim();
  if (openToOthers(name)) throw misuse(`The file of ${what} can be read by others; chmod 600 ${name}`);
  if (!/^[\x21-\x7e]{1,4096}$/.test(text)) throw misuse(`The file of ${what} must hold one line without spaces.`);
  return text;
}

export interface Pair {
  cert: Buffer;
  key: Buffer;
}

export function pairNamed(certificate: string, key: string): Pair | undefined {
  if ((certificate === '') !== (key === '')) throw misuse('A certificate and its key are given together.');
  return certificate === ''
    ? undefined
    : { cert: fileNamed(certificate, 'the certificate'), key: fileNamed(key, 'the certificate’s key') };
}

interface Read {
  values: Partial<Record<Field, string>>;
  headers: Record<string, string>;
  folder: string;
}

/** The file of settings. Throws wrong use; a value is never repeated, since it may be a secret that was put in the wrong place. */
function read(name: string): Read {
  let json: unknown;
  try {
    json = JSON.parse(fileNamed(name, '--settings').toString('utf8'));
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown;
    throw misuse('The file of --settings is not JSON.');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw misuse('The file of --settings is not one object.');
  const { headers = {}, ...rest } = json as Record<string, unknown>;
  const values: Read['values'] = {};
  for (const [field, value] of Object.entries(rest)) {
    if (!(FIELDS as readonly string[]).includes(field))
      throw misuse(`The file of --settings has a field that is not known; known are ${FIELDS.join(', ')}, headers.`);
    if (typeof value !== 'string' && typeof value !== 'number')
      throw misuse(`${field} in the file of --settings must be text.`);
    values[field as Field] = String(value);
  }
  const isNamed = typeof headers === 'object' && headers !== null && !Array.isArray(headers);
  if (!isNamed || !Object.values(headers).every((value) => typeof value === 'string' && value !== ''))
    throw misuse('headers in the file of --settings must name a file for each header.');
  return { values, headers: headers as Record<string, string>, folder: dirname(resolve(name)) };
}

/** Headers that the request has of its own. */
const OWN =
  /^(content-(type|length|encoding)|host|soapaction|accept|accept-encoding|connection|transfer-encoding|te|upgrade)$/i;

const isUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

/** Everything that is needed to try an administration. Throws wrong use, which says what is missing. */
export function lasSettings(call: Call): LasSettings {
  const file: Read = call.has('settings') ? read(call.one('settings')!) : { values: {}, headers: {}, folder: '' };
  const text = (field: Field): string => call.one(flagOf[field]) ?? file.values[field] ?? '';
  /** Files of the settings are named from their folder, those of flags from here. */
  const path = (field: Field): string => {
    const given = call.one(flagOf[field]);
    const named = given ?? file.values[field] ?? '';
    return named === '' || given !== undefined ? named : resolve(file.folder, named);
  };
  const need = (field: Field): string => {
    const value = text(field);
    if (value === '') throw misuse(`--${flagOf[field]} is needed, or ${field} in the file of --settings.`);
    return value;
  };
  const address = (field: Field, value: string): string => {
    if (value === '' || isUrl(value)) return value;
    throw misuse(`--${flagOf[field]} must be an address such as https://las.example/uwlr.`);
  };
  const check = (field: Field, wrong: string | undefined): void => {
    if (wrong !== undefined) throw misuse(`--${flagOf[field]} ${wrong}.`);
  };
  const leerlinggegevens = address('leerlinggegevens', need('leerlinggegevens'));
  const version = text('version') || '2.2';
  if (version !== '2.2' && version !== '2.3') throw misuse('--version must be one of 2.2, 2.3.');
  const school = text('school');
  const schoolkey = text('schoolkey');
  if ((school === '') === (schoolkey === '')) throw misuse('Name the school by --school or by --schoolkey.');
  check('school', school === '' ? undefined : isSchool(school));
  const brincode = school === '' ? '' : brinOf(schoolNamed(school));
  if (brincode === undefined) throw misuse('--school must be of a school with a BRIN; others have a --schoolkey.');
  const dependancecode = text('dependancecode');
  if (dependancecode !== '' && !isSiteCode(dependancecode)) check('dependancecode', 'must be two digits');
  const schooljaar = text('schooljaar');
  check('schooljaar', schooljaar === '' ? undefined : isYear(schooljaar));
  const [klantcode, klantnaam] = [need('klantcode'), need('klantnaam')];
  need('sleutel');
  const seconds = Number(text('timeoutSeconds') || TIMEOUT_S);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 600)
    check('timeoutSeconds', 'must be a whole number from 1 to 600');
  const headers = Object.fromEntries(
    Object.entries(file.headers).map(([name, of]) => {
      if (!/^[A-Za-z][\w-]{0,63}$/.test(name) || OWN.test(name))
        throw misuse('headers in the file of --settings names one that may not be.');
      return [name, secretIn(resolve(file.folder, of), 'a header')];
    }),
  );
  const ca = path('ca');
  return {
    leerlinggegevens,
    getrapt: address('getrapt', text('getrapt')) || leerlinggegevens,
    leerresultaten: address('leerresultaten', text('leerresultaten')),
    version,
    brincode,
    dependancecode,
    schoolkey,
    schooljaar,
    klantcode,
    klantnaam,
    autorisatiesleutel: secretIn(path('sleutel'), 'the autorisatiesleutel'),
    gegevenssetid: text('gegevenssetid'),
    headers,
    ca: ca === '' ? undefined : fileNamed(ca, '--ca'),
    client: pairNamed(path('certificate'), path('key')),
    timeoutMs: seconds * 1000,
  };
}
