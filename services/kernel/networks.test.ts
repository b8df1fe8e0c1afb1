import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lookupIn, NOT_ALLOWED, networksOf, plain } from './networks.ts';

const outside = networksOf([], false);
const onLoopback = networksOf([], true);

describe('addresses', () => {
  test.each([
    '0.0.0.0',
    '10.0.0.1',
    '100.64.1.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '192.0.2.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'fc00::1',
    'fd12::1',
    'fe80::1',
    'ff02::1',
    '::ffff:10.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::a00:1',
    '64:ff9b::10.0.0.1',
    '0064:ff9b:0:0:0:0:7f00:1',
    '64:ff9b:1::1.1.1.1',
    '0:0:0:0:0:ffff:a9fe:a9fe',
    '::10.0.0.1',
    '::ffff:0:10.0.0.1',
    'fe80::1%eth0',
    '2001:db8::1%lo',
    '4000::1',
    '2002:a00:1::',
    '2001:db8::1',
    '2001::1',
  ])('%s is not the Internet', (address) => expect(outside.allows(address, 'https:')).toBe(false));

  test.each([
    '1.1.1.1',
    '93.184.216.34',
    '172.15.0.1',
    '172.32.0.1',
    '192.169.0.1',
    '2a00:1450::1',
    '2606:4700::1111',
    '::ffff:1.1.1.1',
    '::ffff:101:101',
    '64:ff9b::1.1.1.1',
  ])('%s is', (address) => {
    expect(outside.allows(address, 'https:')).toBe(true);
    expect(outside.allows(address, 'http:')).toBe(false);
  });

  test('loopback is for a gateway on loopback', () => {
    for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) {
      for (const protocol of ['http:', 'https:']) expect(onLoopback.allows(address, protocol)).toBe(true);
      expect(outside.allows(address, 'https:')).toBe(false);
    }
  });

  test('a network that is allowed may be reached, over TLS, and its neighbours not', () => {
    const networks = networksOf(['10.1.0.0/16', 'fd00:1::/32'], false);
    expect(networks.allows('10.1.2.3', 'https:')).toBe(true);
    expect(networks.allows('::ffff:10.1.2.3', 'https:')).toBe(true);
    expect(networks.allows('10.1.2.3', 'http:')).toBe(false);
    expect(networks.allows('10.2.2.3', 'https:')).toBe(false);
    expect(networks.allows('fd00:1::5', 'https:')).toBe(true);
    expect(networks.allows('fd00:2::5', 'https:')).toBe(false);
  });

  test('a network is reached over plain HTTP only where that is said of it', () => {
    const networks = networksOf(['http://10.1.0.0/16', '10.2.0.0/16'], false);
    expect(networks.allows('10.1.2.3', 'http:')).toBe(true);
    expect(networks.allows('::ffff:10.1.2.3', 'http:')).toBe(true);
    expect(networks.allows('10.1.2.3', 'https:')).toBe(true);
    expect(networks.allows('10.2.2.3', 'http:')).toBe(false);
    expect(networks.allows('1.1.1.1', 'http:')).toBe(false);
    expect(networks.problemWith('http://10.1.2.3/hook')).toBeUndefined();
    expect(networks.problemWith('http://las.school.example/hook')).toBeUndefined();
    expect(networks.problemWith('http://10.2.2.3/hook')).toBe('must be https; http is for loopback only');
    expect(networks.problemWith('http://1.1.1.1/hook')).toBe('must be https; http is for loopback only');
  });

  test('what stands for an address of IPv4 is judged as that', () => {
    for (const [written, means] of [
      ['::ffff:7f00:1', '127.0.0.1'],
      ['::FFFF:10.0.0.1', '10.0.0.1'],
      ['64:ff9b::c0a8:1', '192.168.0.1'],
      ['64:ff9b::1', '0.0.0.1'],
      ['::1', '::1'],
      ['2a00:1450::1', '2a00:1450::1'],
    ])
      expect(plain(written!)).toBe(means);
  });

  test('no private address of IPv4 is ever allowed, however it is written', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.nat(255), fc.nat(255), (b, c, d) => {
        for (const address of [`10.${b}.${c}.${d}`, `192.168.${c}.${d}`, `169.254.${c}.${d}`])
          for (const written of [
            address,
            `::ffff:${address}`,
            `64:ff9b::${address}`,
            new URL(`http://[::ffff:${address}]/`).hostname.slice(1, -1),
          ])
            expect(outside.allows(written, 'https:')).toBe(false);
      }),
    );
  });

  test('what is no address is not allowed', () => {
    for (const text of ['', 'a.example', '1.2.3', '1.2.3.4.5', '::g'])
      expect(onLoopback.allows(text, 'https:')).toBe(false);
  });
});

describe('an address that is registered', () => {
  test.each([
    ['https://a.example/hook', undefined],
    ['https://a.example:8443/hook?key=1', undefined],
    ['http://127.0.0.1:9000/hook', undefined],
    ['http://localhost:9000/hook', undefined],
    ['https://[::1]/hook', undefined],
    ['http://a.example/hook', 'must be https; http is for loopback only'],
    ['ftp://a.example/hook', 'must be https'],
    ['https://u:p@a.example/', 'may hold no name or password'],
    ['https://192.168.0.1/', 'names a network that the gateway may not reach: see EDUK_ALLOW_NETWORKS'],
    ['https://0x7f.1/', undefined], // Loopback, as a browser reads it.
    ['there', 'is no address'],
  ])('%s', (url, problem) => expect(onLoopback.problemWith(url)).toBe(problem));

  test('on loopback is refused by a gateway that is elsewhere', () => {
    for (const url of ['https://127.0.0.1/', 'https://localhost/', 'https://[::1]/', 'https://2130706433/'])
      expect(outside.problemWith(url)).toBeDefined();
  });
});

test('a name that leads to what is behind us leads nowhere', async () => {
  const look = (networks: ReturnType<typeof networksOf>, all: boolean) =>
    new Promise((resolve) =>
      lookupIn(networks, 'https:')('localhost', { all }, (error, address) => resolve(error?.code ?? address)),
    );
  expect(await look(outside, true)).toBe(NOT_ALLOWED);
  expect(await look(outside, false)).toBe(NOT_ALLOWED);
  expect(await look(onLoopback, false)).toMatch(/^(127\.|::1)/);
});
