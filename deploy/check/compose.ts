/** The compose file as compose would run it, and what must be true of that. */
import { join } from 'node:path';
import { ConfigError, readConfig } from '#kernel';
import { missing, type RoleName, roles } from '../../services/roles.ts';
import { runTool } from './tools.ts';

const file = join(import.meta.dirname, '../compose.yaml');

export interface Service {
  image: string;
  build?: unknown;
  command?: string[] | null;
  user?: string;
  read_only?: boolean;
  privileged?: boolean;
  cap_drop?: string[];
  cap_add?: string[];
  security_opt?: string[];
  stop_grace_period?: string;
  healthcheck?: { test: string[] };
  environment: Record<string, string>;
  secrets?: { source: string; target: string }[];
  volumes?: { target: string; read_only?: boolean }[];
  ports?: { target: number; published: string }[];
  networks: Record<string, unknown>;
  depends_on?: Record<string, { condition: string }>;
}

export interface Compose {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean } | null>;
  secrets: Record<string, { file: string }>;
}

/** Throws what compose would say of it. */
export async function readCompose(
  path = file,
  env: Record<string, string> = { EDUK_PUBLIC_URL: 'https://gateway.example:8443' },
): Promise<Compose> {
  const { code, out, said } = await runTool('read', ['compose', path], { env });
  if (code !== 0) throw new Error(said.trim());
  return JSON.parse(out) as Compose;
}

/** Containers that run the gateway: by the role that they start. */
const ours = (compose: Compose): [string, Service, RoleName][] =>
  Object.entries(compose.services).flatMap(([name, service]) =>
    service.environment['EDUK_ENGINE'] ? [[name, service, service.command?.[0] as RoleName]] : [],
  );

/** Zone → who is in it. */
const zones: Readonly<Record<string, readonly string[]>> = {
  front: ['door'],
  outgoing: ['delivery', 'desk'],
  roles: ['core', 'delivery', 'desk', 'door', 'watch'],
  vault: ['delivery', 'desk', 'door', 'vault'],
  state: ['core', 'delivery', 'desk', 'door', 'postgres', 'watch'],
  log: ['core', 'delivery', 'kafka', 'watch'],
  identity: ['vault', 'vault-postgres'],
};
const openZones = ['front', 'outgoing'];
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export function composeProblems(compose: Compose): string[] {
  const problems: string[] = [];
  const demand = (fine: boolean, problem: string) => {
    if (!fine) problems.push(problem);
  };
  const all = Object.entries(compose.services);
  demand(
    same(
      ours(compose)
        .map(([name, , role]) => `${name} starts ${role}`)
        .sort(),
      [...Object.keys(roles).map((role) => `${role} starts ${role}`), 'desk starts door'].sort(),
    ),
    'not every role is run, or one under another name',
  );
  for (const [name, service] of all) {
    demand(name === 'door' || !service.ports?.length, `${name} is published`);
    demand((service.healthcheck?.test.length ?? 0) > 0, `nobody asks whether ${name} is healthy`);
    demand(service.security_opt?.includes('no-new-privileges:true') ?? false, `${name} may gain rights`);
    demand(!service.privileged && !service.cap_add?.length, `${name} has rights of the machine`);
    demand(
      service.image === 'eduk-gateway' || /:\d+(\.\d+)*(-\w+)?$/.test(service.image),
      `${name}: no version of ${service.image}`,
    );
    for (const [setting, value] of Object.entries(service.environment))
      demand(
        !/PASSWORD|SECRET|KEY/.test(setting) || value.startsWith('/run/secrets/'),
        `${name}: ${setting} is not a file`,
      );
  }
  for (const [zone, network] of Object.entries(compose.networks)) {
    const inside = all.flatMap(([name, { networks }]) => (zone in networks ? [name] : [])).sort();
    demand(same(inside, zones[zone]), `${zone} holds ${inside.join(' ')}`);
    demand((network?.internal ?? false) !== openZones.includes(zone), `${zone} is not closed, or not open`);
  }
  for (const [name, service, role] of ours(compose)) {
    demand(service.read_only === true, `${name} may write to its image`);
    demand(same(service.cap_drop, ['ALL']), `${name} has capabilities`);
    demand(service.user === '10001:10001', `${name} runs as ${service.user ?? 'whoever the image says'}`);
    demand(Number.parseInt(service.stop_grace_period ?? '10', 10) > 10, `${name} is killed before it has ended`);
    problems.push(...settingsProblems(name, service, role, compose));
  }
  for (const key of ['master-key', 'vault-database-password'])
    for (const [name, { secrets = [] }] of all)
      demand(
        !secrets.some(({ source }) => source === key) ||
          name === 'vault' ||
          (name === 'vault-postgres' && key !== 'master-key'),
        `${name} is given ${key}`,
      );
  return problems;
}

/** Doors ask administrations, delivery sends them results: nobody else is shown their keys. */
export const asksOrSends = (role: RoleName): boolean => role === 'door' || role === 'delivery';

function settingsProblems(name: string, service: Service, role: RoleName, compose: Compose): string[] {
  const problems: string[] = [];
  const env = service.environment;
  const folders = (service.volumes ?? []).filter(({ read_only }) => read_only === true);
  const there = new Set([...(service.secrets ?? []), ...folders].map(({ target }) => target.split('/').at(-1)!));
  const named = new Set<string>();
  for (const [setting, value] of Object.entries(env)) {
    if (!value.startsWith('/run/secrets/')) continue;
    named.add(value.split('/').at(-1)!);
    if (!there.has(value.split('/').at(-1)!)) problems.push(`${name}: ${setting} names a file that is not there`);
  }
  for (const file of there) if (!named.has(file)) problems.push(`${name} is given ${file}, which no setting names`);
  if ('EDUK_ADMINISTRATIONS' in env !== asksOrSends(role))
    problems.push(`${name}: what it knows of administrations is not what it needs`);
  try {
    readConfig(env, undefined, (config) => missing(config, [role]));
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    problems.push(...thrown.problems.map((problem) => `${name}: ${problem}`));
  }
  for (const need of roles[role].needs) {
    const at = (roles as Record<string, { at?: string }>)[need]?.at;
    if (at === undefined) continue;
    const callee = compose.services[need]!;
    const [host, port] = (env[at] ?? '').split(':');
    if (host !== need || callee.environment['EDUK_INNER'] !== `0.0.0.0:${port}`)
      problems.push(`${name}: ${at} is not where ${need} answers`);
    if (!Object.keys(callee.networks).some((zone) => zone in service.networks))
      problems.push(`${name} cannot reach ${need}`);
  }
  return problems;
}
