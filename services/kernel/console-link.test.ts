import { expect, test } from 'vitest';
import { makeConsoleLink, readConsoleLink } from './console-link.ts';

const KEY = 'eduk_operator_of-this-test-and-of-nothing-else-at-all';
const NOW = Date.parse('2026-11-22T08:00:00Z');

test('a link holds for five minutes, for the key that it was made with', () => {
  const link = makeConsoleLink(KEY, NOW);
  const { nonce, untilMs } = readConsoleLink(KEY, link, NOW)!;
  expect(nonce).toMatch(/^[\w-]{22}$/);
  expect(untilMs).toBe(NOW + 300_000);
  expect(readConsoleLink(KEY, link, NOW + 299_999)?.nonce).toBe(nonce);
  expect(readConsoleLink(KEY, link, NOW + 300_000)).toBeUndefined();
  expect(readConsoleLink(`${KEY}x`, link, NOW)).toBeUndefined();
  // Made in what is the future by now.
  expect(readConsoleLink(KEY, link, NOW - 1)).toBeUndefined();
});

test('no two are alike, and none holds that was changed', () => {
  const link = makeConsoleLink(KEY, NOW);
  expect(makeConsoleLink(KEY, NOW)).not.toBe(link);
  for (let at = 0; at < link.length; at++) {
    const changed = `${link.slice(0, at)}${link[at] === 'A' ? 'B' : 'A'}${link.slice(at + 1)}`;
    expect(readConsoleLink(KEY, changed, NOW)).toBeUndefined();
  }
  for (const text of ['', 'x', `${link}A`, link.slice(1), `${link.slice(0, 71)}+`, 'a'.repeat(100_000)])
    expect(readConsoleLink(KEY, text, NOW)).toBeUndefined();
});
