import { lookup as resolve } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { isLoopback } from '#kernel';

/**
 * Where requests may go. An address that a party registered is not trusted: it must not reach the machines behind us. What
 * counts is the address that is connected to, after the name was resolved: a name that leads elsewhere later changes nothing.
 */

/** Special-purpose addresses (IANA registries, RFC 6890): none of them is a party's endpoint on the Internet. */
const SPECIAL = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/127',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address, bits] = network.split('/') as [string, string];
    list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return list;
}

const special = listOf(SPECIAL);

/** Loopback, or an IPv4 address written as one of IPv6: what it stands for. */
const plain = (address: string): string => /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;

const contains = (list: BlockList, address: string): boolean => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

export interface Networks {
  /** Whether a request may go to an address. Over plain HTTP only to loopback. */
  allows(address: string, protocol: string): boolean;
  /** What is wrong with an address that a party registers; undefined = nothing that shows before it is resolved. */
  problemWith(url: string): string | undefined;
}

/** `allowed`: networks (CIDR) that are special and may be reached nevertheless. `onLoopback`: the gateway itself listens there. */
export function networksOf(allowed: readonly string[], onLoopback: boolean): Networks {
  const opened = listOf(allowed);
  const allows = (given: string, protocol: string): boolean => {
    const address = plain(given);
    if (isIP(address) === 0) return false;
    // What is written as IPv6 and is none of ours to take apart, goes nowhere.
    if (/^::ffff:/i.test(address)) return false;
    const isLocal = isLoopback(address);
    if (protocol !== 'https:' && !isLocal) return false;
    if (isLocal && onLoopback) return true;
    return contains(opened, address) || !contains(special, address);
  };
  return {
    allows,
    problemWith(url) {
      if (!URL.canParse(url)) return 'is no address';
      const { protocol, hostname, username, password } = new URL(url);
      if (protocol !== 'https:' && protocol !== 'http:') return 'must be https';
      if (username !== '' || password !== '') return 'may hold no name or password';
      const host = hostOf(hostname);
      if (protocol === 'http:' && !isLoopback(host)) return 'must be https; http is for loopback only';
      if (isIP(host) !== 0 && !allows(host, protocol))
        return 'names a network that the gateway may not reach: see EDUK_ALLOW_NETWORKS';
      if (host === 'localhost' && !onLoopback) return 'names loopback, and the gateway is elsewhere';
      return undefined;
    },
  };
}

/** The host of a URL, without the brackets of IPv6. */
export const hostOf = (hostname: string): string => hostname.replace(/^\[|\]$/g, '');

/** Code of the error where a name leads to no address that may be reached. */
export const NOT_ALLOWED = 'EDUK_ADDRESS';

/** Resolves a name to the addresses that may be reached; fails with NOT_ALLOWED where there is none. */
export const lookupIn =
  (networks: Networks, protocol: string): LookupFunction =>
  (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, '', 0);
      const reachable = addresses.filter(({ address }) => networks.allows(address, protocol));
      const [first] = reachable;
      if (first === undefined) return done(Object.assign(new Error(NOT_ALLOWED), { code: NOT_ALLOWED }), '', 0);
      if (options.all) done(null, reachable);
      else done(null, first.address, first.family);
    });
  };
