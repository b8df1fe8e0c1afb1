/**
 * Which services there are, which role runs them, and what each role needs: the one list that `eduk start`, the embedded
 * engine and the doors' way to the others read. A service may also be started by itself, by its own name.
 */
import type { ServiceModule } from '#bus';
import { type Config, ConfigError, parseAddress, type SettingName } from '#kernel';

export type RoleName = 'door' | 'core' | 'delivery' | 'watch' | 'vault';

/** What a role cannot do without. `log` is the database alone: who only accepts does not speak to Kafka. */
type Need = 'log' | 'engine' | 'vault database' | RoleName;

export interface Role {
  about: string;
  needs: readonly Need[];
  /** Where others find it; undefined = it is not called by them. */
  at?: 'EDUK_CORE' | 'EDUK_DELIVERY' | 'EDUK_WATCH' | 'EDUK_VAULT';
}

export const roles: Readonly<Record<RoleName, Role>> = {
  door: {
    about: 'gRPC, SOAP, OAuth and files: takes messages in, answers pulls and watches',
    needs: ['log', 'core', 'delivery', 'watch', 'vault'],
  },
  core: {
    about: 'parties, catalogue, rosters, orders, entitlements, access, results',
    needs: ['engine'],
    at: 'EDUK_CORE',
  },
  delivery: {
    about: 'mailboxes, and what is sent from them',
    // Who sends asks owners what to tell, and the vault whom it is about.
    needs: ['engine', 'core', 'vault'],
    at: 'EDUK_DELIVERY',
  },
  watch: {
    about: 'where every message is, how ready schools are, and proof of what was done',
    needs: ['engine'],
    at: 'EDUK_WATCH',
  },
  vault: { about: 'keys and identities', needs: ['vault database'], at: 'EDUK_VAULT' },
};

export interface Service {
  name: string;
  role: RoleName;
  /** Full name of its proto service; undefined = no other process calls it. */
  answers?: string;
  /** What it brings to an engine; loaded only where it runs. */
  module?: (config: Config) => Promise<ServiceModule>;
  /** What is made or looked for before it runs. Rejects with `ConfigError`. */
  prepare?: (config: Config) => Promise<void>;
}

export const services: readonly Service[] = [
  { name: 'edge', role: 'door' },
  {
    name: 'parties',
    role: 'core',
    answers: 'eduk.parties.v1.PartiesService',
    module: async () => (await import('#services/parties')).parties,
  },
  {
    name: 'catalogue',
    role: 'core',
    answers: 'eduk.catalogue.v1.CatalogueService',
    module: async () => (await import('#services/catalogue')).catalogue,
  },
  {
    name: 'rosters',
    role: 'core',
    answers: 'eduk.rosters.v1.RostersService',
    module: async ({ EDUK_HOLD_THRESHOLD_PERCENT, EDUK_HOLD_SECOND_PERSON }) =>
      (await import('#services/rosters')).rostersWith({
        holdThresholdPercent: Number(EDUK_HOLD_THRESHOLD_PERCENT),
        holdSecondPerson: EDUK_HOLD_SECOND_PERSON === 'yes',
      }),
  },
  {
    name: 'orders',
    role: 'core',
    answers: 'eduk.orders.v1.OrdersService',
    module: async () => (await import('#services/orders')).orders,
  },
  {
    name: 'entitlements',
    role: 'core',
    answers: 'eduk.entitlements.v1.EntitlementsService',
    module: async ({ EDUK_HOLD_WITHDRAWALS, EDUK_HOLD_THRESHOLD_PERCENT, EDUK_HOLD_SECOND_PERSON }) =>
      (await import('#services/entitlements')).entitlementsWith({
        withdrawals: Number(EDUK_HOLD_WITHDRAWALS),
        percent: Number(EDUK_HOLD_THRESHOLD_PERCENT),
        byTwo: EDUK_HOLD_SECOND_PERSON === 'yes',
      }),
  },
  {
    name: 'access',
    role: 'core',
    answers: 'eduk.access.v1.AccessService',
    module: async () => (await import('#services/access')).access,
  },
  {
    name: 'results',
    role: 'core',
    answers: 'eduk.results.v1.ResultsService',
    module: async () => (await import('#services/results')).results,
  },
  {
    name: 'delivery',
    role: 'delivery',
    answers: 'eduk.delivery.v1.DeliveryService',
    module: async () => (await import('#services/delivery')).delivery,
  },
  {
    name: 'flows',
    role: 'watch',
    answers: 'eduk.flows.v1.FlowsService',
    module: async () => (await import('#services/flows')).flows,
  },
  {
    name: 'readiness',
    role: 'watch',
    answers: 'eduk.readiness.v1.ReadinessService',
    module: async () => (await import('#services/readiness')).readiness,
  },
  {
    name: 'audit',
    role: 'watch',
    answers: 'eduk.audit.v1.AuditService',
    module: async (config) => {
      const { auditWith, logKey } = await import('#services/audit');
      return auditWith({ key: () => logKey(config) });
    },
    prepare: async (config) => void (await import('#services/audit')).logKey(config),
  },
  { name: 'pseudonyms', role: 'vault', answers: 'eduk.pseudonyms.v1.VaultService' },
];

/** Roles that a certificate is for: by its service's or role's name, alone or at the end of a name (`eduk-gateway-door.chain.svc`). */
function rolesNamed(names: readonly string[]): Set<RoleName> {
  // The desk is a door that listens to itself only.
  const known = new Map<string, RoleName>([
    ['desk', 'door'],
    ...services.map(({ name, role }) => [name, role] as const),
  ]);
  for (const role of Object.keys(roles) as RoleName[]) known.set(role, role);
  const found = new Set<RoleName>();
  for (const name of names) {
    const label = name.split('.')[0]!;
    const role = known.get(label) ?? known.get(label.slice(label.lastIndexOf('-') + 1));
    if (role !== undefined) found.add(role);
  }
  return found;
}

/** Whether somebody with a certificate for these names may call a process of these roles: only who cannot do without one of them. */
export function mayCall(called: readonly RoleName[], names: readonly string[]): boolean {
  for (const role of rolesNamed(names)) if (called.some((one) => roles[role].needs.includes(one))) return true;
  return false;
}

/**
 * Methods of which a second call has a second effect: not repeated when an answer is lost. All others read, or leave what
 * they have done once. A method that is new must be named here or in the test that lists those.
 */
export const once: ReadonlySet<string> = new Set([
  // Counts.
  'eduk.flows.v1.FlowsService/noteRefusals',
  'eduk.flows.v1.FlowsService/noteReads',
  // Starts attempts; a repeat would start others, and the first would rest until their lease ends.
  'eduk.delivery.v1.DeliveryService/claimAttempts',
  // Each time is another request.
  'eduk.pseudonyms.v1.VaultService/askReveal',
  // Told once: a repeat is refused, and who asked would not know why.
  'eduk.pseudonyms.v1.VaultService/takeReveal',
  // Each time makes new keys.
  'eduk.pseudonyms.v1.VaultService/holdKeys',
  'eduk.pseudonyms.v1.VaultService/rotateKeys',
]);

/**
 * What persons ask: methods that read a few rows, and neither write nor wait. The embedded engine answers them beside the state,
 * so that nobody at a page waits for what is being decided.
 */
export const questions: ReadonlySet<string> = new Set([
  'eduk.flows.v1.FlowsService/getFlow',
  'eduk.flows.v1.FlowsService/findReferences',
  'eduk.flows.v1.FlowsService/findFlows',
  'eduk.flows.v1.FlowsService/countFlows',
  'eduk.flows.v1.FlowsService/listRefusals',
  'eduk.flows.v1.FlowsService/listScores',
  // A rebuild reads the log and all flows: beside the state it takes nothing of its thread.
  'eduk.flows.v1.FlowsService/stepRebuild',
  'eduk.orders.v1.OrdersService/listOrders',
  'eduk.orders.v1.OrdersService/listSubjects',
  'eduk.entitlements.v1.EntitlementsService/listEntitlements',
  'eduk.entitlements.v1.EntitlementsService/listSubjects',
  'eduk.entitlements.v1.EntitlementsService/listProductSchools',
  'eduk.access.v1.AccessService/listSubjects',
  'eduk.results.v1.ResultsService/listSubjects',
  'eduk.delivery.v1.DeliveryService/flowRows',
  'eduk.delivery.v1.DeliveryService/findDelivered',
  'eduk.delivery.v1.DeliveryService/listScores',
  'eduk.readiness.v1.ReadinessService/listNeeds',
]);

/** What goes along with questions: answered beside the state where somebody asked before, and the reason for nobody to begin that. */
export const alongside: ReadonlySet<string> = new Set(['eduk.parties.v1.PartiesService/snapshot']);

/** Modules of some services, in the order of the list. */
export const modulesOf = (some: readonly Service[], config: Config): Promise<ServiceModule[]> =>
  Promise.all(some.flatMap(({ module }) => (module ? [module(config)] : [])));

/** Before some services run in this process. Rejects with `ConfigError`. */
export async function prepare(some: readonly Service[], config: Config): Promise<void> {
  for (const { prepare: own } of some) await own?.(config);
}

/**
 * The services that some names of roles or services stand for; no names = all. Throws `ConfigError` for an unknown name.
 */
export function servicesOf(names: readonly string[]): readonly Service[] {
  const unknown = names.filter(
    (name) => !Object.hasOwn(roles, name) && !services.some((service) => service.name === name),
  );
  if (unknown.length > 0)
    throw new ConfigError([
      `${unknown.join(', ')}: no such role or service. Roles: ${Object.keys(roles).join(', ')}; services: ${services.map(({ name }) => name).join(', ')}`,
    ]);
  if (names.length === 0) return services;
  return services.filter(({ name, role }) => names.includes(name) || names.includes(role));
}

/** What the named roles or services miss in the settings, as sentences. */
export function missing(config: Config, names: readonly string[]): string[] {
  if (config.EDUK_ENGINE === 'embedded')
    return names.length === 0
      ? []
      : [
          'The embedded engine is one file and one process: start it without names, or set EDUK_ENGINE=kafka to run roles as processes',
        ];
  let mine: readonly Service[];
  try {
    mine = servicesOf(names);
  } catch (thrown) {
    if (thrown instanceof ConfigError) return [...thrown.problems];
    throw thrown;
  }
  const needs = new Set(mine.flatMap(({ role }) => roles[role].needs));
  const problems: string[] = [];
  const demand = (name: SettingName, why: string) => {
    if (config[name] === undefined) problems.push(`${name} is needed: ${why}`);
  };
  if (needs.has('log') || needs.has('engine'))
    demand('EDUK_DATABASE_URL', 'the PostgreSQL database that holds the log and all state');
  if (needs.has('engine')) demand('EDUK_KAFKA_BROKERS', 'the brokers that carry the log between roles');
  if (needs.has('vault database'))
    demand('EDUK_VAULT_DATABASE_URL', 'the PostgreSQL database that holds identities, apart from the rest');
  if (config.EDUK_INNER === undefined && answersOthers(mine, names) && innerAddress(config, mine) === undefined)
    problems.push(
      'EDUK_INNER is needed: where this process answers the others, who look for its roles at several addresses',
    );
  return problems;
}

/** Whether other processes call this one: not where everything runs together. */
export const answersOthers = (mine: readonly Service[], names: readonly string[]): boolean =>
  names.length > 0 && mine.some(({ answers }) => answers !== undefined);

/** Where a process answers others: as set, else where its roles are looked for when that is one address. */
export function innerAddress(config: Config, mine: readonly Service[]): string | undefined {
  if (config.EDUK_INNER !== undefined) return config.EDUK_INNER;
  const looked = new Set(
    mine.flatMap(({ role }) => {
      const { at } = roles[role];
      return at === undefined ? [] : [config[at]!];
    }),
  );
  const [address, ...others] = looked;
  return address !== undefined && others.length === 0 && parseAddress(address) ? address : undefined;
}

/** Roles of some services, in the order of the list. */
export const rolesOf = (some: readonly Service[]): RoleName[] =>
  (Object.keys(roles) as RoleName[]).filter((role) => some.some((service) => service.role === role));
