/** What every start of a gateway has: its data folder, the files in it, and what is told of it. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  type Config,
  ConfigError,
  diallerFor,
  type GatewayError,
  isLoopback,
  networksOf,
  operatorAddress,
  parseAddress,
  parseNetworks,
  readSettingFile,
  type SettingName,
  settings,
  systemClock,
} from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import type { ConsoleOptions, ConsoleSignIn } from '#services/console';
import type { ClaimKind, DoorTls, Duty, Level, OperatorSignIn, RegisterOptions, SchoolSignIn } from '#services/edge';

export interface Addresses {
  grpc: string;
  http: string;
  console: string;
}

export interface Running {
  /** Whether the master key is a development key; said at every start. */
  devKey: boolean;
  /** Ends within 10 s: no new messages, answers under way leave, files are closed. */
  stop(): Promise<void>;
  /** Called when a part is lost: the process should end, and be started again. */
  onLost(listener: (error: GatewayError) => void): void;
}

/** A process with doors. */
export interface Gateway extends Running {
  addresses: Addresses;
}

export const packageVersion = (
  JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { version: string }
).version;

export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    statfsSync(folder);
  } catch (thrown) {
    throw new ConfigError([
      `EDUK_DATA names a folder that cannot be made or read (${(thrown as { code?: string }).code ?? 'unknown'})`,
    ]);
  }
}

/** A secret in the data folder, 0600, made at the first start; or the one in the file that a setting names. */
function secretFile(config: Config, setting: SettingName, name: string, prefix: string, what: string): string {
  const named = config[setting];
  const file = named ?? join(config.EDUK_DATA, name);
  if (named === undefined && !existsSync(file)) {
    // Of several processes that start at once on one folder, one makes it, and none sees it half written.
    const written = `${file}.${process.pid}`;
    writeFileSync(written, `${prefix}${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    chmodSync(written, 0o600);
    try {
      linkSync(written, file);
    } catch (thrown) {
      if ((thrown as { code?: string }).code !== 'EEXIST') throw thrown;
    } finally {
      rmSync(written);
    }
  }
  const text = (named === undefined ? readFileSync(file, 'utf8') : readSettingFile(config, setting).toString()).trim();
  if (!new RegExp(`^${prefix}[\\w-]{32,}$`).test(text))
    throw new ConfigError([
      named === undefined
        ? `${file} does not hold ${what}; remove it and start again to have one made`
        : `${setting} names a file that does not hold ${what}: ${prefix} and at least 32 letters, digits, - or _`,
    ]);
  if (named !== undefined && process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0)
    throw new ConfigError([`${setting} names a file that others can read; it must be 0600 or stricter`]);
  return text;
}

/** What the command line shows to the doors. */
export const operatorKey = (config: Config): string =>
  secretFile(config, 'EDUK_OPERATOR_KEY_FILE', 'operator.key', 'eduk_operator_', "an operator's key");

/** What roles on one machine show to each other. */
export const innerKey = (config: Config): string =>
  secretFile(config, 'EDUK_INNER_KEY_FILE', 'inner.key', 'eduk_inner_', 'a key of roles');

/** Certificate and key of the doors, and whose they take; undefined = they know of no certificates, on loopback. */
export function tlsOfDoors(config: Config): DoorTls | undefined {
  if (config.EDUK_TLS_CERT === undefined && config.EDUK_TLS_CLIENT_CA === undefined) return undefined;
  const named = ['EDUK_TLS_CERT', 'EDUK_TLS_KEY', 'EDUK_TLS_CLIENT_CA', 'EDUK_TLS_CLIENT_CRL'] as const;
  const file = (name: (typeof named)[number]) =>
    config[name] === undefined ? undefined : readSettingFile(config, name);
  return {
    read: () => ({
      cert: file('EDUK_TLS_CERT'),
      key: file('EDUK_TLS_KEY'),
      clientCa: file('EDUK_TLS_CLIENT_CA'),
      clientCrl: file('EDUK_TLS_CLIENT_CRL'),
    }),
    files: named.flatMap((name) => config[name] ?? []),
    ends: config.EDUK_TLS_CERT !== undefined,
    required: config.EDUK_TLS_CLIENT !== 'optional',
  };
}

/** Where operators sign in; undefined = with the operator's key only. Throws `ConfigError`. */
export function signInOf(config: Config): OperatorSignIn | undefined {
  if (config.EDUK_OIDC_ISSUER === undefined) return undefined;
  const parts = config
    .EDUK_OIDC_ROLES!.split(',')
    .map((part) => /^(operator|privacy|read)=(\S{1,128})$/.exec(part.trim()));
  if (parts.some((part) => part === null))
    throw new ConfigError(['EDUK_OIDC_ROLES must be operator=ROLE, privacy=ROLE, read=ROLE, several comma-separated']);
  const duties = parts.map((part): [string, Duty] => [part![2]!, part![1] as Duty]);
  if (new Set(duties.map(([role]) => role)).size < duties.length)
    throw new ConfigError(['EDUK_OIDC_ROLES names a role twice']);
  return {
    issuer: config.EDUK_OIDC_ISSUER,
    audience: config.EDUK_OIDC_AUDIENCE!,
    jwksUrl: config.EDUK_OIDC_JWKS,
    roleClaim: config.EDUK_OIDC_ROLE_CLAIM!,
    duties: new Map(duties),
  };
}

/** Where mandates of OSR are taken from; undefined = nowhere. Throws `ConfigError`. */
export function registerOf(config: Config): RegisterOptions | undefined {
  if (config.EDUK_OSR_URL === undefined) return undefined;
  const optional = (name: SettingName) => (config[name] === undefined ? undefined : readSettingFile(config, name));
  const key = optional('EDUK_OSR_KEY_FILE')?.toString('utf8').trim();
  const named = key === undefined ? undefined : /^(?:([A-Za-z][\w-]{0,63}):\s*)?([\x21-\x7e]{1,4096})$/.exec(key);
  if (named === null)
    throw new ConfigError(['EDUK_OSR_KEY_FILE names a file that does not hold an API key: the key, or NAME: KEY']);
  const cert = optional('EDUK_OSR_TLS_CERT');
  return {
    address: {
      url: config.EDUK_OSR_URL.replace(/\/+$/, ''),
      key: named && { name: named[1] ?? 'X-API-Key', value: named[2]! },
    },
    ca: optional('EDUK_OSR_TLS_CA'),
    client: cert && { cert, key: readSettingFile(config, 'EDUK_OSR_TLS_KEY') },
    services: registerServices(config.EDUK_OSR_SERVICES!),
    everyMs: Number(config.EDUK_OSR_EVERY) * 60_000,
    thresholdPercent: Number(config.EDUK_OSR_THRESHOLD_PERCENT),
    runOffDays: Number(config.EDUK_OSR_RUN_OFF_DAYS),
  };
}

/** `NAMESPACE=SERVICE+SERVICE`, several comma-separated. A namespace may hold `=`: the last one counts. */
function registerServices(text: string): Map<string, Service[]> {
  const found = new Map<string, Service[]>();
  for (const part of text.split(',')) {
    const [, namespace, words] = /^(\S{1,512})=([a-z+]+)$/.exec(part.trim()) ?? [];
    const services = words
      ?.split('+')
      .map((word) => (Service as Record<string, Service>)[`SERVICE_${word.toUpperCase()}`] ?? 0);
    if (!namespace || !services || services.some((service) => service <= 0) || found.has(namespace))
      throw new ConfigError([
        'EDUK_OSR_SERVICES must be NAMESPACE=SERVICE+SERVICE, several comma-separated, each namespace once; services: roster, order, entitlement, access, result, progress, usage, staff',
      ]);
    found.set(namespace, [...new Set(services)]);
  }
  return found;
}

/** What papers tell of who operates the gateway. */
export const processingOf = (config: Config): { processorFor: string; file: string | undefined; engine: string } => ({
  processorFor: config.EDUK_PROCESSOR_FOR ?? '',
  file: config.EDUK_PROCESSING_FILE,
  engine: config.EDUK_ENGINE ?? 'embedded',
});

/** Where boards and schools sign in; undefined = nowhere. Throws `ConfigError`. */
export function schoolSignInOf(config: Config): SchoolSignIn | undefined {
  if (config.EDUK_SIGNIN_ISSUER === undefined) return undefined;
  const problems: string[] = [];
  const pairs = (name: SettingName): [string, string][] =>
    (config[name] ?? '').split(',').flatMap((part): [string, string][] => {
      const m = /^([^=]{1,256})=(\S{1,256})$/.exec(part.trim());
      if (!m && part.trim() !== '') problems.push(`${name} must be NAME=VALUE, several comma-separated`);
      return m ? [[m[1]!, m[2]!]] : [];
    });
  // Those of eHerkenning hold as long as none is named in their place.
  const usual = settings.EDUK_SIGNIN_CLAIMS.default.split(',').map((part) => part.split('=', 2) as [ClaimKind, string]);
  const kinds: readonly ClaimKind[] = [...usual.map(([kind]) => kind), 'kvk', 'rsin', 'oin', 'brin'];
  const claims: Partial<Record<ClaimKind, string>> = Object.fromEntries([...usual, ...pairs('EDUK_SIGNIN_CLAIMS')]);
  if (Object.keys(claims).some((kind) => !kinds.includes(kind as ClaimKind)))
    problems.push(`EDUK_SIGNIN_CLAIMS may name ${kinds.join(', ')}`);
  const levels: readonly Level[] = settings.EDUK_SIGNIN_LEVEL.choices;
  const words = pairs('EDUK_SIGNIN_LEVEL_WORDS').map(([word, level]): [string, Level] => [word, level as Level]);
  if (words.some(([, level]) => !levels.includes(level)))
    problems.push(`EDUK_SIGNIN_LEVEL_WORDS must be WORD=LEVEL with a level of ${levels.join(', ')}`);
  const parameters = Object.fromEntries(new URLSearchParams(config.EDUK_SIGNIN_PARAMETERS ?? ''));
  const ours = /^(response_type|response_mode|client_id|redirect_uri|scope|state|nonce|code_challenge.*|request.*)$/;
  if (Object.keys(parameters).some((name) => ours.test(name)))
    problems.push('EDUK_SIGNIN_PARAMETERS names what the gateway itself sends');
  const scope = config.EDUK_SIGNIN_SCOPE!;
  if (!scope.split(' ').includes('openid')) problems.push('EDUK_SIGNIN_SCOPE must hold openid');
  const clientSecret = readSettingFile(config, 'EDUK_SIGNIN_CLIENT_SECRET_FILE').toString('utf8').trim();
  if (clientSecret === '') problems.push('EDUK_SIGNIN_CLIENT_SECRET_FILE names a file that is empty');
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    issuer: config.EDUK_SIGNIN_ISSUER,
    clientId: config.EDUK_SIGNIN_CLIENT_ID!,
    clientSecret,
    scope,
    parameters,
    claims,
    least: config.EDUK_SIGNIN_LEVEL as Level,
    words: new Map(words),
    service: config.EDUK_SIGNIN_SERVICE,
  };
}

/** Where operators sign in to the console at their provider; undefined = by a link on this machine only. Throws `ConfigError`. */
function consoleSignInOf(config: Config): ConsoleSignIn | undefined {
  if (config.EDUK_CONSOLE_CLIENT_ID === undefined) return undefined;
  const problems: string[] = [];
  const scope = config.EDUK_CONSOLE_SCOPE!;
  if (!scope.split(' ').includes('openid')) problems.push('EDUK_CONSOLE_SCOPE must hold openid');
  const clientSecret = readSettingFile(config, 'EDUK_CONSOLE_CLIENT_SECRET_FILE').toString('utf8').trim();
  if (clientSecret === '') problems.push('EDUK_CONSOLE_CLIENT_SECRET_FILE names a file that is empty');
  if (problems.length > 0) throw new ConfigError(problems);
  return { issuer: config.EDUK_OIDC_ISSUER!, clientId: config.EDUK_CONSOLE_CLIENT_ID, clientSecret, scope };
}

/** What the console is started with beside doors whose gRPC listens at `grpc`. Throws `ConfigError`. */
export function consoleOf(config: Config, grpc: string): ConsoleOptions {
  const address = parseAddress(config.EDUK_CONSOLE)!;
  const onLoopback = isLoopback(address.host);
  return {
    address,
    publicUrl: config.EDUK_CONSOLE_URL,
    tls: onLoopback
      ? undefined
      : () => ({ cert: readSettingFile(config, 'EDUK_TLS_CERT'), key: readSettingFile(config, 'EDUK_TLS_KEY') }),
    door: operatorAddress(config) ?? parseAddress(grpc)!,
    operatorKey: operatorKey(config),
    signIn: consoleSignInOf(config),
    dialler: diallerFor(networksOf(parseNetworks(config.EDUK_ALLOW_NETWORKS ?? '') ?? [], onLoopback)),
    now: () => systemClock.now(),
  };
}

/** Certificate, key and authority of the roles; undefined = they call each other on loopback. */
export function tlsOfRoles(config: Config): { ca: Buffer; cert: Buffer; key: Buffer } | undefined {
  if (config.EDUK_INNER_TLS_CERT === undefined) return undefined;
  return {
    ca: readSettingFile(config, 'EDUK_INNER_TLS_CA'),
    cert: readSettingFile(config, 'EDUK_INNER_TLS_CERT'),
    key: readSettingFile(config, 'EDUK_INNER_TLS_KEY'),
  };
}

/** Says where the doors are, for the command line; what it answers takes that back. */
export function writeAddresses(folder: string, addresses: Addresses): () => void {
  const file = join(folder, 'addresses.json');
  writeFileSync(file, `${JSON.stringify(addresses)}\n`);
  return () => rmSync(file, { force: true });
}
