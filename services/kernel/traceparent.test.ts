import { expect, test } from 'vitest';
import { traceparentOf } from './traceparent.ts';

const right = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

test('a traceparent of the standard is kept as it is', () => {
  expect(traceparentOf(right)).toBe(right);
});

test.each([
  ['nothing', undefined],
  ['no text', ''],
  ['a name', 'Van der Linde'],
  ['a name behind it', `${right} Linde`],
  ['a name in a later part', `01${right.slice(2)}-linde`],
  ['capitals', right.toUpperCase()],
  ['version ff', `ff${right.slice(2)}`],
  ['a trace of zeros', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`],
  ['a parent of zeros', `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`],
  ['two lines', `${right}\n`],
])('%s is not', (_, text) => {
  expect(traceparentOf(text)).toBe('');
});
