/** The chart as Kubernetes would get it, and what must be true of that. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, readConfig } from '#kernel';
import { missing, type RoleName, roles } from '../../services/roles.ts';
import { asksOrSends } from './compose.ts';
import { type Outcome, runTool } from './tools.ts';

export const chart = join(import.meta.dirname, '../helm/eduk-gateway');

/** Sets of values under values/, each as helm gets them: later files win. */
export const valueSets: Readonly<Record<string, readonly string[]>> = {
  smallest: ['smallest.yaml'],
  full: ['full.yaml'],
  'without network policies': ['smallest.yaml', 'open.yaml'],
};

export const RELEASE = 'eduk-gateway';
export const NAMESPACE = 'chain';
/** The oldest Kubernetes that the chart names, and the newest of which kubectl-validate carries the schemas. */
const KUBERNETES = '1.30';
/** Whoever wants helm to reach a cluster or a home folder is told so by an error. */
const env = { HOME: '/nonexistent', KUBECONFIG: '/nonexistent', HELM_CACHE_HOME: tmpdir(), HELM_CONFIG_HOME: tmpdir() };

const given = (files: readonly string[], set: readonly string[]): string[] => [
  ...files.flatMap((file) => ['--values', join(import.meta.dirname, 'values', file)]),
  ...set.flatMap((one) => ['--set', one]),
];

export const lint = (folder: string, files: readonly string[], set: readonly string[] = []): Promise<Outcome> =>
  runTool('helm', ['lint', '--strict', folder, '--namespace', NAMESPACE, ...given(files, set)], { env });

export const template = (folder: string, files: readonly string[], set: readonly string[] = []): Promise<Outcome> =>
  runTool(
    'helm',
    ['template', RELEASE, folder, '--namespace', NAMESPACE, '--kube-version', KUBERNETES, ...given(files, set)],
    { env },
  );

/** Whether the objects fit Kubernetes' own schemas; unknown fields do not. */
export async function validate(rendered: string): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-chart-'));
  try {
    const file = join(folder, 'rendered.yaml');
    writeFileSync(file, rendered);
    return await runTool('kubectl-validate', ['--version', KUBERNETES, file], { env });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As much of Kubernetes' objects as is looked at. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  spec?: any;
  automountServiceAccountToken?: boolean;
}

export const objectsIn = async (rendered: string): Promise<KubernetesObject[]> =>
  JSON.parse((await runTool('read', ['documents'], { input: rendered })).out) as KubernetesObject[];

const COMPONENT = 'app.kubernetes.io/component';
const roleOf = (object: KubernetesObject): string => object.metadata.labels?.[COMPONENT] ?? '';
const of = (objects: readonly KubernetesObject[], kind: string) => objects.filter((one) => one.kind === kind);
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

interface Container {
  name: string;
  args?: string[];
  env?: { name: string; value?: string }[];
  securityContext?: any;
  resources?: any;
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
  [probe: string]: any;
}

/** Environment of a container as its process sees it. */
export const environmentOf = ({ env = [] }: Container): Record<string, string> =>
  Object.fromEntries(
    env
      .filter(({ name }) => name.startsWith('EDUK_'))
      .map(({ name, value }) => [name, (value ?? '').replaceAll('$(POD_IP)', '10.0.0.7')]),
  );

/** Files that a pod is given, and folders with all of a secret: name → the secret that it comes from. */
export const filesOf = (pod: any): Map<string, string> =>
  new Map(
    (pod.volumes as any[]).flatMap(({ name, projected }) =>
      ((projected?.sources ?? []) as any[]).flatMap(({ secret }) =>
        ((secret.items ?? [{ path: name }]) as { path: string }[]).map(({ path }): [string, string] => [
          path,
          secret.name,
        ]),
      ),
    ),
  );

const FILES = '/run/secrets/eduk';
/** The doors, and whoever sends: nobody else may ask the vault who a learner is. */
const MAY_ASK_THE_VAULT: readonly string[] = ['door', 'delivery'];
/** Longest that `eduk start` takes to end after SIGTERM, seconds. */
const STOP_S = 10;

/** Deployment → the role that it starts. */
export const starts: Readonly<Record<string, RoleName>> = {
  door: 'door',
  desk: 'door',
  core: 'core',
  delivery: 'delivery',
  watch: 'watch',
  vault: 'vault',
};

const needs = (role: RoleName): readonly string[] => roles[role].needs;

/** Everything wrong with what the chart gives to Kubernetes, by our own rules. */
export function chartProblems(objects: readonly KubernetesObject[], policies: boolean): string[] {
  const deployments = of(objects, 'Deployment');
  return [
    ...deploymentsProblems(deployments),
    ...deployments.flatMap((one) => podProblems(one).map((problem) => `${roleOf(one)}: ${problem}`)),
    ...keysProblems(deployments),
    ...aroundProblems(objects, deployments),
    ...(policies ? policyProblems(objects) : []),
  ];
}

function deploymentsProblems(deployments: readonly KubernetesObject[]): string[] {
  const found = Object.fromEntries(
    deployments.map((one) => [roleOf(one), one.spec.template.spec.containers[0].args.join()]),
  );
  const sorted = (record: object) => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
  return same(sorted(found), sorted(starts)) ? [] : [`the deployments start ${JSON.stringify(found)}`];
}

function podProblems({ metadata, spec }: KubernetesObject): string[] {
  const problems: string[] = [];
  const demand = (fine: boolean, problem: string) => {
    if (!fine) problems.push(problem);
  };
  const pod = spec.template.spec;
  const [main] = pod.containers as [Container];
  demand(same(spec.strategy.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 }), 'a roll may leave too few');
  demand(pod.automountServiceAccountToken === false, 'it gets a token of the cluster');
  demand(pod.enableServiceLinks === false, 'Kubernetes sets EDUK_… of its own, which no start accepts');
  demand(pod.serviceAccountName === metadata.name, 'it has no account of its own');
  demand(pod.securityContext?.runAsNonRoot === true && pod.securityContext.runAsUser > 0, 'it may run as root');
  demand(pod.securityContext?.seccompProfile?.type === 'RuntimeDefault', 'every system call is open');
  for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) demand(!pod[key], `${key} is open`);
  demand(
    pod.volumes.every((volume: object) => 'emptyDir' in volume || 'projected' in volume),
    'it has a volume that outlives it',
  );
  for (const container of [...pod.initContainers, ...pod.containers] as Container[]) {
    const { securityContext: rights, resources, name } = container;
    demand(rights?.allowPrivilegeEscalation === false, `${name} may gain rights`);
    demand(rights?.readOnlyRootFilesystem === true, `${name} may write to its image`);
    demand(same(rights?.capabilities, { drop: ['ALL'] }), `${name} has capabilities`);
    demand(
      Boolean(resources?.limits?.memory && resources?.requests?.memory && resources?.requests?.cpu),
      `${name} has no bounds`,
    );
  }
  const drain = main['lifecycle']?.preStop?.sleep?.seconds ?? 0;
  demand(pod.terminationGracePeriodSeconds > drain + STOP_S, 'it is killed before it has ended');
  for (const [probe, path] of Object.entries({
    startupProbe: '/healthz',
    livenessProbe: '/healthz',
    readinessProbe: '/readyz',
  }))
    demand(same(main[probe]?.httpGet, { path, port: 'internal', scheme: 'HTTPS' }), `${probe} asks elsewhere`);
  return [...problems, ...settingsProblems(spec.template.spec, main)];
}

/** The settings are given to the code that reads them. */
function settingsProblems(pod: any, main: Container): string[] {
  const env = environmentOf(main);
  const files = filesOf(pod);
  const problems: string[] = [];
  const named = new Set<string>();
  for (const [name, value] of Object.entries(env))
    for (const [path] of value.matchAll(/\/run\/secrets\/[^\s&]*/g)) {
      const file = path.slice(path.lastIndexOf('/') + 1);
      named.add(file);
      const isThere = path === `${FILES}/${file}` || main.volumeMounts.some(({ mountPath }) => mountPath === path);
      if (!isThere || !files.has(file)) problems.push(`${name} names a file that is not there`);
    }
  // What is to follow a file stands beside it.
  for (const file of files.keys())
    if (!named.has(file.replace(/\.next$/, ''))) problems.push(`it is given ${file}, which no setting names`);
  const port = (name: string) => (main['ports'] as any[]).find((one) => one.name === name)?.containerPort;
  const at = (setting: string) => Number(env[setting]?.split(':').at(-1) ?? Number.NaN);
  if (at('EDUK_INTERNAL') !== port('internal')) problems.push('health is not where the probes look');
  for (const [name, setting] of Object.entries({ inner: 'EDUK_INNER', grpc: 'EDUK_GRPC', http: 'EDUK_HTTP' }))
    if (env[setting] !== undefined && at(setting) !== port(name)) problems.push(`${setting} is not a port of it`);
  try {
    readConfig(env, undefined, (config) => missing(config, main.args ?? []));
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    problems.push(...thrown.problems);
  }
  // Defaults are this machine's own; what is needed must be said.
  for (const other of needs(starts[main.name]!)) {
    const setting = (roles as Record<string, { at?: string }>)[other]?.at;
    if (setting && env[setting] === undefined) problems.push(`it does not know where ${other} is`);
  }
  return problems;
}

/** Who holds which key. */
function keysProblems(deployments: readonly KubernetesObject[]): string[] {
  const holders = (file: string) =>
    deployments
      .filter((one) => filesOf(one.spec.template.spec).has(file))
      .map(roleOf)
      .sort();
  const expected: Record<string, string[]> = {
    'master-key': ['vault'],
    'master-key.next': ['vault'],
    'vault-database-password': ['vault'],
    'door.key': ['door'],
    'operator-key': ['desk', 'door'],
    'log-key': ['watch'],
    'database-password': ['core', 'delivery', 'desk', 'door', 'watch'],
    administrations: deployments.some((one) => filesOf(one.spec.template.spec).has('administrations'))
      ? Object.keys(starts)
          .filter((name) => asksOrSends(starts[name]!))
          .sort()
      : [],
  };
  const problems = Object.entries(expected).flatMap(([file, who]) =>
    same(holders(file), who) ? [] : [`${file} is held by ${holders(file).join(' ')}`],
  );
  const inner = deployments.map((one) => filesOf(one.spec.template.spec).get('inner.key'));
  if (new Set(inner).size !== deployments.length) problems.push('two deployments share a key between roles');
  const vault = deployments.find((one) => roleOf(one) === 'vault');
  const secrets = new Set(vault ? filesOf(vault.spec.template.spec).values() : []);
  for (const other of deployments)
    for (const secret of new Set(filesOf(other.spec.template.spec).values()))
      if (other !== vault && secrets.has(secret))
        problems.push(`${roleOf(other)} mounts ${secret}, which is the vault's`);
  return problems;
}

/** What belongs to each deployment. */
function aroundProblems(objects: readonly KubernetesObject[], deployments: readonly KubernetesObject[]): string[] {
  const problems: string[] = [];
  for (const { metadata, spec } of deployments) {
    const role = metadata.labels![COMPONENT]!;
    const selector = spec.selector.matchLabels;
    const budget = of(objects, 'PodDisruptionBudget').find((one) => same(one.spec.selector.matchLabels, selector));
    if (budget?.spec.maxUnavailable !== 1) problems.push(`${role}: no budget keeps it while nodes are emptied`);
    const account = of(objects, 'ServiceAccount').find((one) => one.metadata.name === metadata.name);
    if (account?.automountServiceAccountToken !== false) problems.push(`${role}: its account is not closed`);
    const scaler = of(objects, 'HorizontalPodAutoscaler').find((one) => one.spec.scaleTargetRef.name === metadata.name);
    if ((scaler === undefined) === (spec.replicas === undefined))
      problems.push(`${role}: its number is said by nobody, or by two`);
    const { at } = roles[starts[role]!];
    if (at === undefined) continue;
    const service = of(objects, 'Service').find((one) => one.metadata.name === metadata.name);
    const port = spec.template.spec.containers[0].ports.find(({ name }: { name: string }) => name === 'inner');
    if (service?.spec.clusterIP !== 'None' || !same(service.spec.selector, selector))
      problems.push(`${role}: callers cannot see its replicas`);
    const address = `${metadata.name}.${NAMESPACE}.svc:${port?.containerPort}`;
    for (const other of deployments) {
      const told = environmentOf(other.spec.template.spec.containers[0])[at];
      if (told !== undefined && told !== address) problems.push(`${roleOf(other)}: ${at} is not ${address}`);
    }
  }
  const [door] = of(objects, 'Service').filter((one) => one.spec.clusterIP !== 'None');
  if (door?.spec.selector[COMPONENT] !== 'door') problems.push('something else than the door is offered to parties');
  return problems;
}

/** Who may speak to whom, from the rules as they are written: `from>to:port`. */
export function openings(objects: readonly KubernetesObject[], direction: 'ingress' | 'egress'): string[] {
  return of(objects, 'NetworkPolicy')
    .flatMap((one) =>
      ((one.spec[direction] ?? []) as any[]).flatMap((rule) =>
        (rule.ports ?? [{ port: '*' }]).flatMap(({ port }: { port: unknown }) =>
          (rule[direction === 'ingress' ? 'from' : 'to'] ?? [undefined]).map((peer: any) => {
            const own = peer?.podSelector?.matchLabels?.[COMPONENT];
            const who = own ?? (peer === undefined ? 'anyone' : JSON.stringify(Object.values(peer)[0]));
            return direction === 'ingress' ? `${who}>${roleOf(one)}:${port}` : `${roleOf(one)}>${who}:${port}`;
          }),
        ),
      ),
    )
    .sort();
}

function policyProblems(objects: readonly KubernetesObject[]): string[] {
  const problems: string[] = [];
  const closed = of(objects, 'NetworkPolicy').find((one) => roleOf(one) === 'all');
  if (!closed || closed.spec.ingress || closed.spec.egress || !same(closed.spec.policyTypes, ['Ingress', 'Egress']))
    problems.push('what is not opened is not closed');
  const between = (name: string, opened: readonly string[]): string[] =>
    opened.filter((one) => /^[a-z]+>[a-z]+:/.test(one) && (name === '' || one.includes(name)));
  // From the list of roles: a deployment calls what its role needs, and its like where one of them decides.
  const expected = Object.entries(starts)
    .flatMap(([from, role]) =>
      Object.keys(starts)
        .filter((to) => to !== 'door' && to !== 'desk')
        .filter((to) => needs(role).includes(to) || (to === from && needs(role).includes('engine')))
        .map((to) => `${from}>${to}`),
    )
    .sort();
  const entering = between(':inner', openings(objects, 'ingress')).map((one) => one.replace(':inner', ''));
  const leaving = between('', openings(objects, 'egress')).map((one) => one.replace(/:\d+$/, ''));
  if (!same(entering, expected)) problems.push(`roles may be called so: ${entering.join(' ')}`);
  if (!same(leaving, expected)) problems.push(`roles may call so: ${leaving.join(' ')}`);
  for (const one of entering.filter((way) => way.endsWith('>vault')))
    if (!MAY_ASK_THE_VAULT.includes(starts[one.split('>')[0]!]!)) problems.push(`${one}: the vault is open to it`);
  return problems;
}
