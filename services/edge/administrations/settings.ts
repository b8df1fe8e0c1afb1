/**
 * Administrations that the gateway asks over UWLR: one file of JSON each, in one folder. How one differs from another stands
 * there and nowhere else, so a new one is a new file. Secrets stand in files of their own, and are read when they are used.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Autorisatie, Dialect } from '#adapters/uwlr';
import {
  Clear,
  ConfigError,
  GatewayError,
  isAdministration,
  isBrin,
  isPartyOin,
  isSchoolOin,
  isSiteCode,
  schoolOin,
} from '#kernel';
import { BY_OSR } from '../register/route.ts';

export type Protocol = 'alles-in-een' | 'getrapt';

/**
 * What `resultaat/@key` of a sender means from one message to the next: `message` = within its message only; `lasting` = one result
 * for good; `fresh` = nothing, since each message has new ones. The standard promises the first.
 */
export type ResultKeys = 'message' | 'lasting' | 'fresh';

/** A school as one administration has it. */
export interface SchoolAt {
  schoolOin: string;
  /** Empty = the whole school. */
  siteCode: string;
  /** Five digits; empty = the school has one. */
  administration: string;
  /** Instead of the BRIN, where the administration hands out keys of its own; else empty. */
  schoolkey: string;
  /** File with its autorisatiesleutel. */
  sleutel: string;
}

export interface AdministrationSettings {
  /** Name of the file, without `.json`. */
  name: string;
  partyOin: string;
  dialect: Dialect;
  protocol: Protocol;
  /** Addresses, or the name of its service in OSR behind `osr:`; empty = it has no such service. */
  leerlinggegevens: string;
  getrapt: string;
  klantcode: string;
  klantnaam: string;
  /** Further headers, each with the file that holds its value. */
  headers: ReadonlyMap<string, string>;
  /** Files (PEM); empty = none is shown, and the system's authorities count. */
  certificate: string;
  key: string;
  ca: string;
  /** Between two pulls of a school; 0 = only when somebody asks. */
  everyMs: number;
  /** One answer. */
  timeoutMs: number;
  mostBytes: number;
  /** Groups whose people one question of a staged pull names. */
  groupsAtOnce: number;
  /** Whether next year's roster is asked too, from May on. */
  nextYear: boolean;
  /** Of results that it sends here. */
  resultKeys: ResultKeys;
  schools: readonly SchoolAt[];
}

/** The folder as it stands: what can be used, and what cannot and why. */
export interface Administrations {
  list: readonly AdministrationSettings[];
  /** One sentence each: file, field and what it must be. No value. */
  problems: readonly string[];
}

const DEFAULTS = { everyMinutes: 1440, timeoutSeconds: 60, mostMegabytes: 32, groupsAtOnce: 10 };

/** Reads the folder. A file that is wrong is told and left out; the others go on. */
export function readAdministrations(folder: string): Administrations {
  const problems: string[] = [];
  const list: AdministrationSettings[] = [];
  let files: string[];
  try {
    files = readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .sort();
  } catch (thrown) {
    return { list, problems: [`EDUK_ADMINISTRATIONS names a folder that cannot be read (${codeOf(thrown)})`] };
  }
  for (const file of files) {
    const wrong: string[] = [];
    const read = readOne(folder, file, (text) => wrong.push(`${file}: ${text}`));
    const twice = list.find(({ partyOin }) => partyOin === read?.partyOin);
    if (twice) wrong.push(`${file}: party stands in ${twice.name}.json too`);
    if (read && wrong.length === 0) list.push(read);
    problems.push(...wrong);
  }
  return { list, problems };
}

/** How long a folder counts as it was read, where messages ask for it. */
const READ_MS = 5_000;

/** The folder as messages look into it: read again every few seconds. */
export class SettingsOnHand {
  readonly #folder: string | undefined;
  #list: readonly AdministrationSettings[] = [];
  #readMs = Number.NEGATIVE_INFINITY;

  /** `folder`: EDUK_ADMINISTRATIONS; undefined = nobody has a file. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  of(partyOin: string): AdministrationSettings | undefined {
    if (this.#folder === undefined) return undefined;
    if (performance.now() - this.#readMs > READ_MS) {
      this.#list = readAdministrations(this.#folder).list;
      this.#readMs = performance.now();
    }
    return this.#list.find((one) => one.partyOin === partyOin);
  }
}

const codeOf = (thrown: unknown): string => (thrown as { code?: string }).code ?? 'unknown';

function readOne(folder: string, file: string, wrong: (text: string) => void): AdministrationSettings | undefined {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  } catch (thrown) {
    // What a parser says may quote the file.
    wrong((thrown as { code?: string }).code ? `cannot be read (${codeOf(thrown)})` : 'is not JSON');
    return undefined;
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    wrong('is not one object');
    return undefined;
  }
  const fields = new Fields(json as Record<string, unknown>, '', wrong);
  const pathOf = (text: string): string => (text === '' ? '' : resolve(folder, text));
  // Who only sends results is never asked anything, so it need not know us.
  const isSender = !['leerlinggegevens', 'getrapt', 'schools'].some((name) => Object.hasOwn(json, name));
  const settings: AdministrationSettings = {
    name: file.slice(0, -'.json'.length),
    partyOin: fields.text('party', { must: true, ok: isPartyOin, be: 'the OIN of the administration' }),
    dialect: {
      version: fields.choice('version', ['2.2', '2.3']),
      schooljaar: fields.choice('schooljaar', ['jaar', 'leeg']),
      soapAction: fields.choice('soapAction', ['quoted', 'bare']),
      gegevenssetid: fields.text('gegevenssetid', { ok: (text) => /^[\w.:-]{1,64}$/.test(text), be: 'a name' }),
    },
    protocol: fields.choice('protocol', ['alles-in-een', 'getrapt']),
    leerlinggegevens: fields.text('leerlinggegevens', ADDRESS),
    getrapt: fields.text('getrapt', ADDRESS),
    klantcode: fields.text('klantcode', { must: !isSender, ok: is64, be: 'text of at most 64 characters' }),
    klantnaam: fields.text('klantnaam', { must: !isSender, ok: is64, be: 'text of at most 64 characters' }),
    headers: new Map(
      Object.entries(fields.object('headers')).map(([name, value]) => {
        if (!/^[A-Za-z][\w-]{0,63}$/.test(name) || OURS.has(name.toLowerCase()))
          wrong('headers names one that may not be');
        if (typeof value !== 'string' || value === '') wrong('headers must name a file for each header');
        return [name, pathOf(String(value))];
      }),
    ),
    certificate: pathOf(fields.text('certificate')),
    key: pathOf(fields.text('key')),
    ca: pathOf(fields.text('ca')),
    everyMs: fields.number('everyMinutes', DEFAULTS.everyMinutes, 0, 525_600) * 60_000,
    timeoutMs: fields.number('timeoutSeconds', DEFAULTS.timeoutSeconds, 1, 600) * 1000,
    mostBytes: fields.number('mostMegabytes', DEFAULTS.mostMegabytes, 1, 32) << 20,
    groupsAtOnce: fields.number('groupsAtOnce', DEFAULTS.groupsAtOnce, 1, 1000),
    nextYear: fields.flag('nextYear'),
    resultKeys: fields.choice('resultKeys', ['message', 'lasting', 'fresh']),
    schools: fields.list('schools').map((one, i) => {
      const at = new Fields(one, `schools[${i}].`, wrong);
      const named = at.text('school', {
        must: true,
        ok: (text) => isSchoolOin(text) || isBrin(text),
        be: 'a BRIN or OIN',
      });
      const school: SchoolAt = {
        schoolOin: isBrin(named) ? schoolOin(named) : named,
        siteCode: at.text('dependancecode', { ok: isSiteCode, be: 'two digits' }),
        administration: at.text('administration', { ok: isAdministration, be: 'five digits' }),
        schoolkey: at.text('schoolkey', { ok: (text) => text.length <= 256, be: 'at most 256 characters' }),
        sleutel: pathOf(at.text('sleutel', { must: true, be: 'the name of a file' })),
      };
      at.done();
      return school;
    }),
  };
  fields.done();
  if (settings.protocol === 'alles-in-een' && settings.leerlinggegevens === '' && settings.getrapt !== '')
    wrong('protocol must be getrapt where leerlinggegevens has no address');
  if (settings.protocol === 'getrapt' && settings.getrapt === '')
    wrong('getrapt must have an address for that protocol');
  if ((settings.certificate === '') !== (settings.key === '')) wrong('certificate and key stand together');
  const seen = new Set<string>();
  for (const { schoolOin: oin, siteCode, administration } of settings.schools) {
    const id = `${oin}/${siteCode}/${administration}`;
    if (seen.has(id)) wrong('schools names a school twice, with the same site and administration');
    seen.add(id);
  }
  return settings;
}

/** Headers that are the request's own. */
const OURS: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'host',
  'soapaction',
  'accept',
  'connection',
  'transfer-encoding',
  'accept-encoding',
]);

const is64 = (text: string): boolean => text.length <= 64;
const isUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
const isByOsr = (text: string): boolean => text.startsWith(BY_OSR) && URL.canParse(text.slice(BY_OSR.length));

interface TextRule {
  must?: boolean;
  ok?: (text: string) => boolean;
  be?: string;
}

const ADDRESS: TextRule = {
  ok: (text) => isUrl(text) || isByOsr(text),
  be: `a URL, or ${BY_OSR} and the name that OSR gives the service`,
};

/** An object whose fields are read one by one; what was not asked for at the end is unknown. */
class Fields {
  readonly #of: Record<string, unknown>;
  readonly #at: string;
  readonly #wrong: (text: string) => void;
  readonly #asked = new Set<string>();
  constructor(of: Record<string, unknown>, at: string, wrong: (text: string) => void) {
    this.#of = of;
    this.#at = at;
    this.#wrong = wrong;
  }

  #get(name: string): unknown {
    this.#asked.add(name);
    return Object.hasOwn(this.#of, name) ? this.#of[name] : undefined;
  }

  #refuse(name: string, be: string): void {
    this.#wrong(`${this.#at}${name} must be ${be}`);
  }

  text(name: string, { must = false, ok = () => true, be = 'text' }: TextRule = {}): string {
    const value = this.#get(name);
    if (value === undefined || value === '') {
      if (must) this.#refuse(name, be);
      return '';
    }
    if (typeof value === 'string' && ok(value)) return value;
    this.#refuse(name, be);
    return '';
  }

  choice<C extends string>(name: string, choices: readonly [C, ...C[]]): C {
    const value = this.#get(name);
    if (value === undefined) return choices[0];
    const found = choices.find((one) => one === value);
    if (found === undefined) this.#refuse(name, `one of ${choices.join(', ')}`);
    return found ?? choices[0];
  }

  number(name: string, usual: number, least: number, most: number): number {
    const value = this.#get(name);
    if (value === undefined) return usual;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    this.#refuse(name, `a whole number from ${least} to ${most}`);
    return usual;
  }

  flag(name: string): boolean {
    const value = this.#get(name);
    if (value !== undefined && typeof value !== 'boolean') this.#refuse(name, 'true or false');
    return value === true;
  }

  object(name: string): Record<string, unknown> {
    const value = this.#get(name);
    if (value === undefined) return {};
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    this.#refuse(name, 'an object');
    return {};
  }

  list(name: string): Record<string, unknown>[] {
    const value = this.#get(name);
    if (value === undefined) return [];
    if (Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one)))
      return value as Record<string, unknown>[];
    this.#refuse(name, 'a list of objects');
    return [];
  }

  /** A name that nobody asked for may be one that was mistyped: it is told by its place alone, since it may be anything. */
  done(): void {
    const unknown = Object.keys(this.#of).filter((name) => !this.#asked.has(name));
    if (unknown.length > 0)
      this.#wrong(
        `${this.#at === '' ? 'it' : this.#at.slice(0, -1)} has ${unknown.length} ${unknown.length === 1 ? 'field' : 'fields'} that nobody knows; known are ${[...this.#asked].join(', ')}`,
      );
  }
}

/** A secret out of its file (mode 0600). Faults: gateway.unavailable, for the operator, without its text. */
export function secretIn(file: string, what: string): string {
  let text: string;
  try {
    if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0)
      throw new GatewayError(
        'gateway.unavailable',
        `The file with ${what} can be read by others; it must be 0600 or stricter.`,
      );
    text = readFileSync(file, 'utf8').trim();
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown;
    throw new GatewayError('gateway.unavailable', `The file with ${what} cannot be read (${codeOf(thrown)}).`);
  }
  if (!/^[\x21-\x7e]{1,4096}$/.test(text))
    throw new GatewayError('gateway.unavailable', `The file with ${what} does not hold it: one word.`);
  return text;
}

/** What is shown to an administration about a school (UWLR 2.2 §3.1). */
export const autorisatieFor = (settings: AdministrationSettings, { sleutel }: SchoolAt): Clear<Autorisatie> =>
  new Clear({
    autorisatiesleutel: secretIn(sleutel, 'the autorisatiesleutel'),
    klantcode: settings.klantcode,
    klantnaam: settings.klantnaam,
  });

/** Certificates of a connection. Throws `ConfigError` where a file cannot be read. */
export function tlsOf({ name, certificate, key, ca }: AdministrationSettings): {
  ca: Buffer | undefined;
  client: { cert: Buffer; key: Buffer } | undefined;
} {
  const read = (file: string, what: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (thrown) {
      throw new ConfigError([`${name}.json: ${what} names a file that cannot be read (${codeOf(thrown)})`]);
    }
  };
  return {
    ca: ca === '' ? undefined : read(ca, 'ca'),
    client: certificate === '' ? undefined : { cert: read(certificate, 'certificate'), key: read(key, 'key') },
  };
}
