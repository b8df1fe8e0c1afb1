/** Rules and dashboard, by Prometheus' own tool: they are read, fire where they should, and ask for nothing that /metrics does not tell. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { alertKinds, expressions } from './observe.ts';

const run = promisify(execFile);
const rules = join(import.meta.dirname, '../deploy/observe/rules.yaml');
const has = await run('promtool', ['--version']).then(
  () => true,
  () => false,
);
if (!has) console.warn('skipped: promtool is not installed (Debian’s package prometheus)');
const folder = mkdtempSync(join(tmpdir(), 'eduk-observe-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Exit code and words of promtool. */
const promtool = (...args: string[]): Promise<{ code: number; said: string }> =>
  run('promtool', args).then(
    ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
    ({ code, stdout, stderr }) => ({ code, said: stdout + stderr }),
  );

describe.skipIf(!has)('rules', () => {
  test('are read', async () => {
    const { code, said } = await promtool('check', 'rules', rules);
    expect([code, said]).toEqual([0, expect.stringMatching(/SUCCESS: \d+ rules found/)]);
  });

  test('fire for each kind of alert by its grade, once for all doors, and not for what is gone', async () => {
    const file = join(folder, 'rules.test.yaml');
    const codes = Object.entries(alertKinds);
    const series = codes.flatMap(([code, { grade }]) =>
      ['a', 'b'].map(
        (door) =>
          `      - {series: 'eduk_alerts{code="${code}",grade="${grade}",instance="${door}"}', values: "1 1 1 _ _ _ _ _ _ _ _ _"}`,
      ),
    );
    const named = (code: string) =>
      `Eduk${code
        .split('.')
        .map((word) => word[0]!.toUpperCase() + word.slice(1))
        .join('')}`;
    const cases = codes.flatMap(([code, { grade, nl, en, see }]) => [
      `      - eval_time: 2m`,
      `        alertname: ${named(code)}`,
      `        exp_alerts:`,
      `          - exp_labels: {severity: ${grade}, code: ${code}}`,
      `            exp_annotations: {summary: ${JSON.stringify(en)}, summary_nl: ${JSON.stringify(nl)}, see: ${JSON.stringify(see)}}`,
      `      - eval_time: 10m`,
      `        alertname: ${named(code)}`,
      `        exp_alerts: []`,
    ]);
    const down = [
      `      - eval_time: 2m`,
      `        alertname: EdukDown`,
      `        exp_alerts:`,
      `          - exp_labels: {severity: page, job: eduk-gateway, instance: c}`,
      `            exp_annotations: {summary: "A process of the gateway gives no answer at /metrics.", summary_nl: "Een proces van de gateway antwoordt niet op /metrics.", see: "eduk doctor"}`,
    ];
    writeFileSync(
      file,
      [
        `rule_files: [${JSON.stringify(rules)}]`,
        'evaluation_interval: 1m',
        'tests:',
        '  - interval: 1m',
        '    input_series:',
        ...series,
        `      - {series: 'up{job="eduk-gateway",instance="c"}', values: "1 0 0 0 0 0"}`,
        '    alert_rule_test:',
        ...cases,
        ...down,
        '',
      ].join('\n'),
    );
    const { code, said } = await promtool('test', 'rules', file);
    expect([code, said]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });

  test('a rule that is wrong is found', async () => {
    const file = join(folder, 'wrong.yaml');
    const text = readFileSync(rules, 'utf8');
    writeFileSync(file, text.replace('max by (code)', 'max by code)'));
    expect((await promtool('check', 'rules', file)).code).not.toBe(0);
  });
});

test('rules and dashboard ask for nothing that /metrics does not tell', () => {
  const told = ['../services/kernel/health.ts', '../services/edge/http/metrics.ts']
    .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
    .join('\n');
  const names = new Set(expressions().flatMap((expr) => expr.match(/\b(?:eduk|process)_[a-z_]+/g) ?? []));
  expect(names.size).toBeGreaterThan(10);
  for (const name of names) expect(told).toContain(name);
  const dashboard = JSON.parse(readFileSync(join(import.meta.dirname, '../deploy/observe/dashboard.json'), 'utf8'));
  expect(dashboard.panels.length).toBeGreaterThan(8);
  for (const { targets } of dashboard.panels) for (const { expr } of targets) expect(expressions()).toContain(expr);
});
