import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Setting, settings } from '#kernel';
import {
  chart,
  chartProblems,
  type KubernetesObject,
  lint,
  objectsIn,
  openings,
  template,
  validate,
  valueSets,
} from './chart.ts';
import { BUILD_MS, missingHere, tool } from './tools.ts';

/** The console and the operator listen to one machine; the rest is nothing without a file of its own, which the chart has none of. */
const NO_PLACE = /^EDUK_(OPERATOR|CONSOLE|TLS_CLIENT$|TRUSTED_PROXY|OSR|ALERT_WEBHOOK|SAML|SIGNIN)/;

const missing = await missingHere();
if (missing) process.stderr.write(`The chart is not checked: ${missing}\n`);

describe.skipIf(missing !== undefined)('the chart', () => {
  const rendered = new Map<string, string>();
  const objects = new Map<string, KubernetesObject[]>();
  beforeAll(async () => {
    for (const program of ['helm', 'read', 'kubectl-validate'] as const) await tool(program);
    for (const [name, files] of Object.entries(valueSets)) {
      const { code, out, said } = await template(chart, files);
      expect([name, code, code === 0 ? '' : said]).toEqual([name, 0, '']);
      rendered.set(name, out);
      objects.set(name, await objectsIn(out));
    }
  }, BUILD_MS);

  const names = Object.keys(valueSets);
  test.each(names)('%s: helm finds nothing to say', async (name) => {
    const { code, said } = await lint(chart, valueSets[name]!);
    expect([code, said]).toEqual([0, expect.stringContaining('0 chart(s) failed')]);
    expect(said).not.toContain('[WARNING]');
  });

  test.each(names)("%s: fits Kubernetes' schemas", async (name) => {
    const { code, said } = await validate(rendered.get(name)!);
    expect([code, code === 0 ? '' : said]).toEqual([0, '']);
  });

  test.each(names)('%s: is what we promise', (name) => {
    expect(objects.get(name)!.length).toBeGreaterThan(20);
    expect(chartProblems(objects.get(name)!, name !== 'without network policies')).toEqual([]);
  });

  test('every way that is open is one of these', () => {
    expect(openings(objects.get('full')!, 'ingress')).toEqual(
      [
        ...['core>core', 'delivery>core', 'desk>core', 'door>core'],
        ...['delivery>delivery', 'desk>delivery', 'door>delivery'],
        ...['desk>watch', 'door>watch', 'watch>watch'],
        ...['delivery>vault', 'desk>vault', 'door>vault'],
      ]
        .map((way) => `${way}:inner`)
        .concat(
          ['http', 'grpc'].map((port) => `{"cidr":"198.51.100.0/24"}>door:${port}`),
          ['core', 'delivery', 'desk', 'door', 'vault', 'watch'].map(
            (role) => `{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}>${role}:internal`,
          ),
        )
        .sort(),
    );
    const away = openings(objects.get('full')!, 'egress').filter((way) => way.includes('"cidr"'));
    const [kafka, database, vaultDatabase] = [1, 2, 3].map((net) => `{"cidr":"10.${net}.0.0/24"}`);
    const internet = away.filter((way) => /0\.0\.0\.0\/0|::\/0/.test(way));
    expect(away.filter((way) => !internet.includes(way))).toEqual(
      [
        ...['core', 'delivery', 'watch'].map((role) => `${role}>${kafka}:9093`),
        ...['core', 'delivery', 'desk', 'door', 'watch'].map((role) => `${role}>${database}:5432`),
        `vault>${vaultDatabase}:5432`,
        'delivery>{"cidr":"10.20.0.0/16"}:*',
        'delivery>{"cidr":"fd00:20::/32"}:*',
      ].sort(),
    );
    expect(new Set(internet.map((way) => way.split('>')[0]))).toEqual(new Set(['delivery']));
    for (const inside of ['10.0.0.0/8', '169.254.0.0/16', '127.0.0.0/8'])
      expect(internet.some((way) => way.includes('"0.0.0.0/0"') && way.includes(inside))).toBe(true);
  });

  test('the doors call out where that is set, by the same rules as webhooks', async () => {
    const { code, out } = await template(chart, valueSets['full']!, ['networkPolicies.doorsCallOut=true']);
    expect(code).toBe(0);
    const away = openings(await objectsIn(out), 'egress').filter((way) => /0\.0\.0\.0\/0|::\/0|10\.20\./.test(way));
    const of = (role: string) =>
      away
        .filter((way) => way.startsWith(`${role}>`))
        .map((way) => way.slice(role.length))
        .sort();
    expect(of('door')).toEqual(of('delivery'));
    // The operator's commands ask from there.
    expect(of('desk')).toEqual(of('delivery'));
    expect(of('door').length).toBeGreaterThan(2);
    expect(of('vault')).toEqual([]);
  });

  test('each setting can be set, is set by the chart, or is known to have no place here', () => {
    const schema = JSON.parse(readFileSync(join(chart, 'values.schema.json'), 'utf8')) as any;
    const open = schema.properties.settings.propertyNames.enum as string[];
    const own = objects
      .get('full')!
      .filter(({ kind }) => kind === 'Deployment')
      .flatMap(({ spec }) => spec.template.spec.containers[0].env as { name: string }[])
      .map(({ name }) => name);
    const without = Object.entries(settings as Record<string, Setting>).flatMap(([name, { type }]) =>
      type === 'path' || open.includes(name) || own.includes(name) ? [] : [name],
    );
    expect(without.filter((name) => !NO_PLACE.test(name))).toEqual([]);
    expect(open.filter((name) => !Object.hasOwn(settings, name) || NO_PLACE.test(name))).toEqual([]);
  });

  test('grows by figures that the gateway tells', () => {
    const told = ['../../services/kernel/health.ts', '../../services/edge/http/metrics.ts']
      .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
      .join('\n');
    const metrics = objects
      .get('full')!
      .filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
      .flatMap(({ spec }) => spec.metrics as { pods?: any; external?: any; resource?: any }[])
      .map(({ pods, external, resource }) => (pods ?? external)?.metric.name ?? resource.name);
    expect(new Set(metrics)).toEqual(new Set(['cpu', 'eduk_oldest_unread_seconds', 'eduk_undelivered_seconds']));
    for (const name of metrics) if (name !== 'cpu') expect(told).toContain(`'${name}'`);
  });

  describe('what is wrong is found', () => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-planted-'));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    /** A copy of the chart in which one thing is otherwise. */
    const planted = (name: string, file: string, from: string | RegExp, to: string): string => {
      const copy = join(folder, name);
      cpSync(chart, copy, { recursive: true });
      const path = join(copy, file);
      const text = readFileSync(path, 'utf8');
      const changed = text.replace(from, to);
      expect(changed).not.toBe(text);
      writeFileSync(path, changed);
      return copy;
    };
    const deployments = 'templates/deployments.yaml';

    test.each([
      [
        'the master key in every pod',
        deployments,
        '{{- if $role.vault }}\n              - secret',
        '{{- if true }}\n              - secret',
        'master-key is held by',
      ],
      ['root', deployments, 'runAsNonRoot: true\n        runAsUser: 10001', 'runAsUser: 0', 'may run as root'],
      [
        'an image that can be written to',
        deployments,
        'readOnlyRootFilesystem: true',
        'readOnlyRootFilesystem: false',
        'may write to its image',
      ],
      [
        'keys of administrations in every pod',
        deployments,
        '$asks := and $role.administrations',
        '$asks := and true',
        'administrations is held by core',
      ],
      ['a setting that is none', deployments, 'name: EDUK_ENGINE', 'name: EDUK_MOTOR', 'EDUK_MOTOR is not a setting'],
      ['service links', deployments, 'enableServiceLinks: false', 'enableServiceLinks: true', 'no start accepts'],
      [
        'a probe at the door',
        deployments,
        '{path: /readyz, port: internal',
        '{path: /readyz, port: http',
        'readinessProbe asks elsewhere',
      ],
      ['no budget', 'templates/disruption.yaml', 'maxUnavailable: 1', 'maxUnavailable: 100%', 'no budget'],
      [
        'a vault that watch may call',
        'templates/_roles.tpl',
        'watch: {start: watch,',
        'watch: {start: watch, calls: [vault],',
        'the vault is open to it',
      ],
      [
        'a door that does not know the vault',
        'templates/_roles.tpl',
        'door: {start: door, calls: [core, delivery, watch, vault]',
        'door: {start: door, calls: [core, delivery, watch]',
        'does not know where vault is',
      ],
      [
        'everything open',
        'templates/network.yaml',
        'policyTypes: [Ingress, Egress]\n{{- range',
        'policyTypes: [Ingress]\n{{- range',
        'is not closed',
      ],
      ['a roll that leaves none', deployments, 'maxUnavailable: 0', 'maxUnavailable: 1', 'leave too few'],
      ['an end by force', deployments, '(add $values.drainSeconds 15)', '0', 'killed before'],
    ])('%s', async (name, file, from, to, problem) => {
      const copy = planted(name, file, from, to);
      // A role that drains longer than the whole of the grace.
      const { out } = await template(copy, ['full.yaml'], ['terminationGraceSeconds=15']);
      const problems = chartProblems(await objectsIn(out), true);
      expect(problems.join('\n')).toContain(problem);
    });

    test('a field that Kubernetes does not know, and a value that it does not take', async () => {
      for (const [name, from, to, said] of [
        ['unknown', 'minReadySeconds:', 'minimumReadySeconds:', 'minimumReadySeconds'],
        ['type', 'revisionHistoryLimit: 5', 'revisionHistoryLimit: five', 'revisionHistoryLimit'],
        ['enum', 'whenUnsatisfiable: ScheduleAnyway', 'whenUnsatisfiable: 7', 'whenUnsatisfiable'],
      ] as const) {
        const { out } = await template(planted(name, deployments, from, to), ['smallest.yaml']);
        const found = await validate(out);
        expect([name, found.code === 0, found.said.includes(said)]).toEqual([name, false, true]);
      }
    });

    test('a template that does not end', async () => {
      const copy = planted('open end', deployments, '{{- end }}', '');
      expect((await lint(copy, ['smallest.yaml'])).code).not.toBe(0);
    });

    test.each([
      ['no public address', 'publicUrl=', 'publicUrl'],
      ['a public address without TLS', 'publicUrl=http://gateway.example', 'publicUrl'],
      ['a password in a URL', 'database.url=postgres://eduk:secret@db/eduk', 'without a password'],
      ['no broker', 'kafka.brokers=null', 'brokers'],
      ['a setting of ours', 'settings.EDUK_MASTER_KEY_FILE=/x', 'EDUK_MASTER_KEY_FILE'],
      ['a value that is misspelt', 'networkPolicy.enabled=false', 'networkPolicy'],
      [
        'no word about where the database is',
        'networkPolicies.database.to=null',
        'networkPolicies.database.to is needed',
      ],
      ['a sign-in without a name', 'kafka.sasl.mechanism=plain', 'username'],
      ['no replica', 'roles.core.replicas=0', 'replicas'],
      [
        'fewer replicas at most than at least',
        'roles.watch.autoscaling.enabled=true,roles.watch.autoscaling.maxReplicas=1',
        'maxReplicas',
      ],
    ])('values: %s', async (_, set, said) => {
      const outcome = await template(chart, ['smallest.yaml'], [set]);
      expect([outcome.code === 0, outcome.said]).toEqual([false, expect.stringContaining(said)]);
      expect(outcome.said).not.toContain('secret@');
    });
  });
});
