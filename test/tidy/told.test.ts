// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source.
import { describe, expect, test } from 'vitest';
import { toldProblems } from './told.ts';
import { read, sources } from './tree.ts';

const code = sources((path) => /^(services|adapters)\/.*\.ts$/.test(path) && !path.endsWith('.test.ts'));

describe('what an error tells', () => {
  test('holds no value of a message: only counts, lines, paths and names of ours are put into its words', () => {
    expect(toldProblems(code)).toEqual([]);
  });

  test.each([
    ['a value', "throw new GatewayError('wire.invalid', `${value} is no year.`);"],
    ['a field of a message', "throw new GatewayError('learner.unknown', `No learner ${request.learner.eckId}.`);"],
    [
      'words of another error',
      "throw new GatewayError('wire.unreadable', `Not readable: ${error.message}`, { cause });",
    ],
    ['a text that is joined', "throw new GatewayError('wire.invalid', 'No year: ' + year.text);"],
    ['a variable by itself', "throw new GatewayError('wire.invalid', year.text, { where });"],
    ['a call over lines', "throw new GatewayError(\n  'wire.invalid',\n  `This is ${name}, whom nobody knows.`,\n);"],
    ['a value in a path', "throw new GatewayError('wire.invalid', 'x', { where: `leerling[${key.value}]` });"],
  ])('with %s is found', (_, text) => {
    expect(toldProblems([{ path: 'services/edge/planted.ts', text }])).toHaveLength(1);
  });

  test.each([
    "throw new GatewayError('wire.invalid', 'This is no year.');",
    "throw new GatewayError('wire.invalid');",
    "throw new GatewayError('wire.invalid', undefined, { where: `lines[${i}].product_id` });",
    "throw new GatewayError('wire.too_large', `At most ${MAX_LINES} lines.`);",
    "throw new GatewayError('wire.invalid', `${wrong.length} places, the first in line ${first.line}.`);",
    "throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });",
  ])('%s is fine', (text) => {
    expect(toldProblems([{ path: 'services/edge/planted.ts', text }])).toEqual([]);
  });
});

describe('traces', () => {
  const exporter = /setAttribute\(|startSpan\(|@opentelemetry\//;
  test('go out from one place alone, where what a span may say is a list', () => {
    expect(
      code.filter(({ path, text }) => exporter.test(text) && !path.startsWith('services/edge/telemetry/')),
    ).toEqual([]);
    // Of OpenTelemetry there is what writes its forms; what would look into modules, or send by itself, is not.
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    const tracing = /opentelemetry|dd-trace|zipkin|jaeger|sentry|newrelic/;
    expect(Object.keys(dependencies).filter((name) => tracing.test(name))).toEqual([
      '@opentelemetry/api',
      '@opentelemetry/otlp-transformer',
      '@opentelemetry/resources',
      '@opentelemetry/sdk-metrics',
    ]);
  });
});
