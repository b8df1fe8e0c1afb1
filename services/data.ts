/** What every start of a gateway has: its data folder, the files in it, and what is told of it. */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, linkSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Config,
  ConfigError,
  diallerFor,
  type GatewayError,
  isDay,
  isLoopback,
  makeFolders,
  networksOf,
  operatorAddress,
  parseAddress,
  parseNetworks,
  readSettingFile,
  type Setting,
  type SettingName,
  settings,
  systemClock,
} from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import type { ConsoleOptions, ConsoleSignIn, SettingView } from '#services/console';
import type {
  AlertSettings,
  ClaimKind,
  ClaimRules,
  Doors,
  DoorTls,
  Duty,
  Level,
  OperatorSignIn,
  ReconcileSettings,
  RegisterOptions,
  SamlSignIn,
  SchoolSignIn,
  TelemetrySettings,
} from '#services/edge';

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
    makeFolders(folder, 0o700);
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

/** Where an operator is told of what stands in the way. Throws `ConfigError`. */
export function alertsOf(config: Config): AlertSettings {
  const problems: string[] = [];
  const webhook = config.EDUK_ALERT_WEBHOOK;
  const [, secret] =
    webhook === undefined
      ? []
      : (/^whsec_([A-Za-z0-9+/]{32,}={0,2})$/.exec(
          readSettingFile(config, 'EDUK_ALERT_SECRET_FILE').toString('utf8').trim(),
        ) ?? []);
  if (webhook !== undefined && secret === undefined)
    problems.push('EDUK_ALERT_SECRET_FILE names a file that does not hold whsec_ and at least 24 bytes in base64');
  const server = config.EDUK_ALERT_MAIL === undefined ? undefined : parseAddress(config.EDUK_ALERT_MAIL);
  if (config.EDUK_ALERT_MAIL !== undefined && !server) problems.push('EDUK_ALERT_MAIL must be host:port');
  const to = (config.EDUK_ALERT_MAIL_TO ?? '').split(',').map((one) => one.trim());
  const isMail = (text: string): boolean => /^[^\s@<>,;"]{1,64}@[^\s@<>,;"]{1,255}$/.test(text);
  if (server && !to.every(isMail)) problems.push('EDUK_ALERT_MAIL_TO must be mail addresses, comma-separated');
  if (server && !isMail(config.EDUK_ALERT_MAIL_FROM ?? ''))
    problems.push('EDUK_ALERT_MAIL_FROM must be a mail address');
  const login =
    config.EDUK_ALERT_MAIL_LOGIN_FILE === undefined
      ? undefined
      : /^([^:]+):(.+)$/.exec(readSettingFile(config, 'EDUK_ALERT_MAIL_LOGIN_FILE').toString('utf8').trim());
  if (login === null) problems.push('EDUK_ALERT_MAIL_LOGIN_FILE names a file that does not hold NAME:PASSWORD');
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    webhook: webhook === undefined ? undefined : { url: webhook, key: Buffer.from(secret!, 'base64') },
    mail: server && {
      server,
      from: config.EDUK_ALERT_MAIL_FROM!,
      to,
      login: login ? { user: login[1]!, pass: login[2]! } : undefined,
      ca: config.EDUK_ALERT_MAIL_CA === undefined ? undefined : readSettingFile(config, 'EDUK_ALERT_MAIL_CA'),
    },
  };
}

/** Where traces and metrics are told; undefined = nowhere. Throws `ConfigError`. */
export function telemetryOf(config: Config): TelemetrySettings | undefined {
  const base = config.OTEL_EXPORTER_OTLP_ENDPOINT?.replace(/\/+$/, '');
  const traces = config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? (base && `${base}/v1/traces`);
  const metrics = config.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT ?? (base && `${base}/v1/metrics`);
  if (traces === undefined && metrics === undefined) return undefined;
  const problems: string[] = [];
  const share = /^(0|1)(\.\d{1,9})?$/.test(config.OTEL_TRACES_SAMPLER_ARG!)
    ? Number(config.OTEL_TRACES_SAMPLER_ARG)
    : 2;
  if (share > 1) problems.push('OTEL_TRACES_SAMPLER_ARG must be a share from 0 to 1');
  const metricsEveryMs = Number(config.OTEL_METRIC_EXPORT_INTERVAL);
  if (metricsEveryMs < 100) problems.push('OTEL_METRIC_EXPORT_INTERVAL must be 100 milliseconds at least');
  const lines =
    config.EDUK_OTLP_HEADERS_FILE === undefined
      ? []
      : readSettingFile(config, 'EDUK_OTLP_HEADERS_FILE')
          .toString('utf8')
          .split('\n')
          .filter((line) => line.trim() !== '');
  const headers = lines.map((line) => /^([A-Za-z][\w-]{0,63}):\s*([\x21-\x7e][\x20-\x7e]{0,4095})$/.exec(line.trim()));
  if (headers.includes(null)) problems.push('EDUK_OTLP_HEADERS_FILE names a file with a line that is not NAME: VALUE');
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    traces,
    metrics,
    protocol: config.OTEL_EXPORTER_OTLP_PROTOCOL as TelemetrySettings['protocol'],
    headers: Object.fromEntries(headers.map((one) => [one![1]!.toLowerCase(), one![2]!])),
    service: config.OTEL_SERVICE_NAME!,
    share,
    metricsEveryMs,
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

/** When parties are asked what they have. Throws `ConfigError`. */
export function reconcileOf(config: Config): ReconcileSettings {
  const [from, over] = [Number(config.EDUK_RECONCILE_FROM), Number(config.EDUK_RECONCILE_HOURS)];
  const problems = [
    ...(from > 23 ? ['EDUK_RECONCILE_FROM must be an hour, 0 to 23'] : []),
    ...(over > 24 ? ['EDUK_RECONCILE_HOURS must be 0 to 24'] : []),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
  return { hours: { from, over }, settleMs: Number(config.EDUK_RECONCILE_SETTLE_S) * 1000 };
}

/** What papers tell of who operates the gateway. */
export const processingOf = (config: Config): { processorFor: string; file: string | undefined; engine: string } => ({
  processorFor: config.EDUK_PROCESSOR_FOR ?? '',
  file: config.EDUK_PROCESSING_FILE,
  engine: config.EDUK_ENGINE ?? 'embedded',
});

/** Where boards and schools sign in; undefined = nowhere. Throws `ConfigError`. */
export function schoolSignInOf(config: Config): SchoolSignIn | SamlSignIn | undefined {
  const isSaml = config.EDUK_SAML_METADATA_FILE !== undefined || config.EDUK_SAML_IDP !== undefined;
  if (config.EDUK_SIGNIN_ISSUER === undefined && !isSaml) return undefined;
  const problems: string[] = [];
  const rules = claimRulesOf(config, problems);
  const given = isSaml ? samlOf(config, rules, problems) : oidcOf(config, rules, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return given;
}

function claimRulesOf(config: Config, problems: string[]): ClaimRules {
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
  return {
    claims,
    least: config.EDUK_SIGNIN_LEVEL as Level,
    words: new Map(words),
    service: config.EDUK_SIGNIN_SERVICE,
  };
}

function oidcOf(config: Config, rules: ClaimRules, problems: string[]): SchoolSignIn {
  const parameters = Object.fromEntries(new URLSearchParams(config.EDUK_SIGNIN_PARAMETERS ?? ''));
  const ours = /^(response_type|response_mode|client_id|redirect_uri|scope|state|nonce|code_challenge.*|request.*)$/;
  if (Object.keys(parameters).some((name) => ours.test(name)))
    problems.push('EDUK_SIGNIN_PARAMETERS names what the gateway itself sends');
  const scope = config.EDUK_SIGNIN_SCOPE!;
  if (!scope.split(' ').includes('openid')) problems.push('EDUK_SIGNIN_SCOPE must hold openid');
  const clientSecret = readSettingFile(config, 'EDUK_SIGNIN_CLIENT_SECRET_FILE').toString('utf8').trim();
  if (clientSecret === '') problems.push('EDUK_SIGNIN_CLIENT_SECRET_FILE names a file that is empty');
  return {
    ...rules,
    issuer: config.EDUK_SIGNIN_ISSUER!,
    clientId: config.EDUK_SIGNIN_CLIENT_ID!,
    clientSecret,
    scope,
    parameters,
  };
}

function samlOf(config: Config, rules: ClaimRules, problems: string[]): SamlSignIn {
  const provider: SamlSignIn['provider'] =
    config.EDUK_SAML_METADATA_FILE !== undefined
      ? { metadata: readSettingFile(config, 'EDUK_SAML_METADATA_FILE') }
      : {
          entityId: config.EDUK_SAML_IDP!,
          url: config.EDUK_SAML_URL!,
          certificates: readSettingFile(config, 'EDUK_SAML_CERTIFICATE_FILE'),
        };
  let key: SamlSignIn['key'];
  if (config.EDUK_SAML_KEY_FILE !== undefined) {
    const certificate = readSettingFile(config, 'EDUK_SAML_KEY_CERTIFICATE_FILE').toString('latin1');
    try {
      const privateKey = createPrivateKey(readSettingFile(config, 'EDUK_SAML_KEY_FILE'));
      if (privateKey.asymmetricKeyType !== 'rsa' || !new X509Certificate(certificate).checkPrivateKey(privateKey))
        problems.push('EDUK_SAML_KEY_FILE is not the RSA key of the certificate in EDUK_SAML_KEY_CERTIFICATE_FILE');
      key = { privateKey, certificate };
    } catch {
      problems.push(
        'EDUK_SAML_KEY_FILE and EDUK_SAML_KEY_CERTIFICATE_FILE do not hold a key and its certificate (PEM)',
      );
    }
    if (process.platform !== 'win32' && (statSync(config.EDUK_SAML_KEY_FILE).mode & 0o077) !== 0)
      problems.push('EDUK_SAML_KEY_FILE names a file that others can read; it must be 0600 or stricter');
  }
  const { context, index, force, ...others } = Object.fromEntries(new URLSearchParams(config.EDUK_SAML_REQUEST ?? ''));
  if (
    Object.keys(others).length > 0 ||
    (index !== undefined && !/^\d{1,5}$/.test(index)) ||
    (force !== undefined && !['true', 'false'].includes(force))
  )
    problems.push('EDUK_SAML_REQUEST may name context, index (a number) and force (true or false)');
  return {
    ...rules,
    provider,
    entityId: config.EDUK_SAML_ENTITY_ID,
    key,
    context,
    index: index === undefined ? undefined : Number(index),
    force: force === 'true',
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
export function consoleOf(config: Config, { grpc, sessions }: Pick<Doors, 'grpc' | 'sessions'>): ConsoleOptions {
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
    sessions,
    signIn: consoleSignInOf(config),
    dialler: diallerFor(networksOf(parseNetworks(config.EDUK_ALLOW_NETWORKS ?? '') ?? [], onLoopback)),
    now: () => systemClock.now(),
    settings: shownSettings(config),
  };
}

/** Until which day a standard is spoken in its version of now, by standard. */
export function versionEndsOf(config: Config): ReadonlyMap<string, string> {
  const given = (config.EDUK_VERSION_ENDS ?? '').split(',').filter((one) => one.trim() !== '');
  const pairs = given.map((one): [string, string] => {
    const [, standard, last] = /^([a-z][\w.-]*)=(\S+)$/.exec(one.trim()) ?? [];
    if (standard === undefined || last === undefined || !isDay(last))
      throw new ConfigError(['EDUK_VERSION_ENDS must be STANDARD=YYYY-MM-DD, several comma-separated']);
    return [standard, last];
  });
  return new Map(pairs);
}

/** Addresses whose path or query may be a secret of its own. */
const secretive: ReadonlySet<string> = new Set(['EDUK_ALERT_WEBHOOK', 'EDUK_SIGNIN_PARAMETERS']);

/** Every setting as it is, for a page that operators see: of those that may hold a secret, that they are set. */
export const shownSettings = (config: Config): SettingView[] =>
  (Object.entries(settings) as [SettingName, Setting][]).map(([name, { about, nl, type, default: usual }]) => {
    const value = config[name] ?? '';
    const isHidden = value !== '' && (type === 'database' || secretive.has(name));
    return { name, about: { nl, en: about }, value: isHidden ? '…' : value, isDefault: value === (usual ?? '') };
  });

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
