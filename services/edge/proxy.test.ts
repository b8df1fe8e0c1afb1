import { expect, test } from 'vitest';
import { TrustedProxy } from './proxy.ts';

/** Where a call came from decides who waits for whose guesses: a proxy that adds ports must not make each connection a place of its own. */

const proxy = new TrustedProxy(['192.0.2.1/32'], undefined);

test.each([
  ['198.51.100.7', '198.51.100.7'],
  ['203.0.113.9, 198.51.100.7', '198.51.100.7'],
  ['198.51.100.7:51234', '198.51.100.7'],
  [' "198.51.100.7:51234" ', '198.51.100.7'],
  ['[2001:DB8::1]:51234', '2001:db8::1'],
  ['[2001:db8:0:0::1]', '2001:db8::1'],
  ['2001:db8::1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['[fe80::1%25eth0]:443', 'fe80::1'],
  ['::ffff:198.51.100.7', '198.51.100.7'],
  ['::ffff:c633:6407', '198.51.100.7'],
  ['[::ffff:198.51.100.7]:51234', '198.51.100.7'],
  // No address: as if the proxy had come by itself, so that nobody makes up places.
  ['unknown', '192.0.2.1'],
  ['198.51.100.7, ', '192.0.2.1'],
  ['198.51.100.300', '192.0.2.1'],
  ['[198.51.100.7]:1', '192.0.2.1'],
  ['proxy.example:1', '192.0.2.1'],
])('behind a trusted proxy %j is %s', (said, place) => {
  expect(proxy.cameFrom('192.0.2.1', said)).toBe(place);
});

test('of anybody else it is not looked at', () => {
  expect(proxy.cameFrom('192.0.2.2', '198.51.100.7')).toBe('192.0.2.2');
});
