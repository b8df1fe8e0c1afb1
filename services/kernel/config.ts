import { readFileSync } from 'node:fs';

/**
 * Settings are declared once, as data: meaning, type and default stand together, all problems are reported at once,
 * unknown names are refused, and `docs/configuration.md` is written from the same table.
 */
export interface Setting {
  about: string;
  type: 'text' | 'path' | 'address' | 'url' | 'integer' | 'choice' | 'list';
  default?: string;
  choices?: readonly string[];
  secret?: boolean;
}

export const settings = {
  EDUK_DATA: {
    about: 'Folder that holds the log, all state and the vault of the embedded engine.',
    type: 'path',
    default: '.eduk',
  },
  EDUK_ENGINE: { about: 'Which engine carries the log.', type: 'choice', choices: ['embedded'], default: 'embedded' },
  EDUK_GRPC: {
    about: 'Where the gRPC door listens; port 0 takes a free one.',
    type: 'address',
    default: '127.0.0.1:50051',
  },
  EDUK_HTTP: { about: 'Where the HTTP door (SOAP, OAuth, files) listens.', type: 'address', default: '127.0.0.1:8080' },
  EDUK_CONSOLE: {
    about: 'Where the operator console listens. There is no console yet; the address is reserved and printed.',
    type: 'address',
    default: '127.0.0.1:8081',
  },
  EDUK_INTERNAL: { about: 'When set, health and metrics are served here and only here.', type: 'address' },
  EDUK_PUBLIC_URL: {
    about: 'The only source of absolute addresses in answers. Default on loopback: http:// and the bound EDUK_HTTP.',
    type: 'url',
  },
  EDUK_MASTER_KEY_FILE: {
    about:
      'File (mode 0600) with the 32-byte master key, in hexadecimal. On loopback a development key is made beside the data folder when this is absent.',
    type: 'path',
  },
  EDUK_TOKEN_FILE: {
    about: 'File with the operator token that the command line uses instead of operator.key in the data folder.',
    type: 'path',
  },
  EDUK_OUTBOX_MAX: {
    about: 'Events that may wait unread by a service before the doors answer gateway.overloaded.',
    type: 'integer',
    default: '500000',
  },
  EDUK_HOLD_THRESHOLD_PERCENT: {
    about:
      'A roster that removes or renames more than this share of a school waits for approval, in percent. Below 20 pupils only one that leaves nobody waits.',
    type: 'integer',
    default: '10',
  },
  EDUK_LOG: {
    about: 'Least level that is logged.',
    type: 'choice',
    choices: ['debug', 'info', 'warn', 'error'],
    default: 'info',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;
export type Config = { [K in SettingName]: string | undefined } & {
  EDUK_DATA: string;
  EDUK_GRPC: string;
  EDUK_HTTP: string;
  EDUK_CONSOLE: string;
};

export interface Address {
  host: string;
  port: number;
}

export function parseAddress(text: string): Address | undefined {
  const m = /^(\[[0-9a-fA-F:.]+\]|[^:\s]+):(\d{1,5})$/.exec(text);
  if (!m || Number(m[2]) > 65535) return undefined;
  return { host: m[1]!.replace(/^\[|\]$/g, ''), port: Number(m[2]) };
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' ||
  host === '::1' ||
  /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host) ||
  /^::ffff:127\./i.test(host);

/** Reads `EDUK_*` from the environment and, if given, a file of NAME=value lines. Throws `ConfigError` with every problem. */
export function readConfig(env: Record<string, string | undefined>, file?: string): Config {
  const problems: string[] = [];
  const given = new Map<string, string>();
  if (file) {
    for (const [i, line] of readFileSync(file, 'utf8').split('\n').entries()) {
      const text = line.trim();
      if (text === '' || text.startsWith('#')) continue;
      const m = /^([A-Z_]+)=(.*)$/.exec(text);
      if (!m) problems.push(`${file} line ${i + 1} is not NAME=value`);
      else given.set(m[1]!, m[2]!);
    }
  }
  for (const [name, value] of Object.entries(env))
    if (name.startsWith('EDUK_') && value !== undefined && value !== '') given.set(name, value);
  const config: Record<string, string | undefined> = {};
  for (const name of given.keys())
    if (name.startsWith('EDUK_') && !Object.hasOwn(settings, name))
      problems.push(`${name} is not a setting; see docs/configuration.md`);
  for (const [name, setting] of Object.entries(settings) as [SettingName, Setting][]) {
    const value = given.get(name) ?? setting.default;
    config[name] = value;
    if (value === undefined) continue;
    if (setting.type === 'address' && !parseAddress(value)) problems.push(`${name} must be host:port`);
    if (setting.type === 'integer' && !/^\d+$/.test(value)) problems.push(`${name} must be a whole number`);
    if (setting.type === 'choice' && !setting.choices?.includes(value))
      problems.push(`${name} must be one of ${setting.choices?.join(', ')}`);
    if (setting.type === 'url' && !URL.canParse(value)) problems.push(`${name} must be a URL`);
  }
  for (const name of ['EDUK_GRPC', 'EDUK_HTTP', 'EDUK_CONSOLE', 'EDUK_INTERNAL'] as const) {
    const address = config[name] === undefined ? undefined : parseAddress(config[name]);
    if (address && !isLoopback(address.host))
      problems.push(`${name} names an address that is not loopback; without TLS the gateway listens on loopback only`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config as Config;
}

export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
