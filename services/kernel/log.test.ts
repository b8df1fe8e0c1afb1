import { afterEach, beforeEach, expect, test } from 'vitest';
import { GatewayError } from './errors.ts';
import { describeError, log, logTo } from './log.ts';

let lines: string[];
beforeEach(() => {
  lines = [];
  logTo((line) => lines.push(line));
});
afterEach(() => logTo((line) => process.stderr.write(`${line}\n`), 'info'));
const fieldsOf = (line: string) => {
  const { at, level, event, ...fields } = JSON.parse(line);
  expect([typeof at, typeof level, typeof event]).toEqual(['string', 'string', 'string']);
  return fields;
};

test('fields of ours are shown as they are', () => {
  const fields = {
    fault: 'log.gap',
    consumer: 'orders',
    stream: 'orders',
    partition: 3,
    flow_id: '0190-7f',
    where: 'roster.learners[0].ref.eck_id EDEX/leerlingen/leerling[2]/@key',
    at_code: 'OrderConsumer.handle (services/orders/consume.ts:12:3)',
    missing: 'database, broker',
    isLate: true,
    nothing: null,
  };
  log('error', 'x', fields);
  expect(fieldsOf(lines[0]!)).toEqual(fields);
});

test('text in a field that nobody has spoken for is redacted, also where its name would do elsewhere', () => {
  log('info', 'x', {
    first: 'Noor',
    told: 'Noor Beuk is unknown',
    __proto__: 'Noor',
    constructor: 'Noor',
    toString: 'x',
  });
  log('info', 'x', { [['learner', 'name'].join('_')]: 'Noor' });
  for (const line of lines) expect(line).not.toContain('Noor');
  expect(fieldsOf(lines[0]!)).toMatchObject({ first: '[redacted]', told: '[redacted]', constructor: '[redacted]' });
});

test('text that is not of the form of its field is redacted', () => {
  for (const [name, value] of [
    ['code', 'van der Beuk'],
    ['code', 'Zo\u00eb'],
    ['why', 'Zo\u00eb'],
    ['path', '/Noor Beuk'],
    ['type', 'x'.repeat(201)],
    ['where', 'a\nb'],
    ['cause', 'Error: Noor'],
  ] as const)
    log('info', 'x', { [name]: value });
  expect(lines.map(fieldsOf).map((fields) => Object.values(fields))).toEqual(lines.map(() => ['[redacted]']));
});

test('an error shows its fault and paths, or its class and where in our code it arose; never its words', () => {
  const cause = new TypeError('Noor');
  log('error', 'x', describeError(new GatewayError('wire.invalid', 'Noor', { where: [{ path: 'lines[0]' }], cause })));
  log('error', 'x', describeError(new SyntaxError('Noor is no number')));
  log('error', 'x', describeError('Noor'));
  log('error', 'x', describeError(Object.assign(new Error('x'), { code: 'Noor Beuk' })));
  for (const line of lines) expect(line).not.toContain('Noor');
  expect(fieldsOf(lines[0]!)).toMatchObject({ fault: 'wire.invalid', where: 'lines[0]', cause: 'TypeError' });
  expect(fieldsOf(lines[2]!)).toEqual({ cause: 'string' });
});
