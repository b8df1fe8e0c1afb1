import { type LookupAddress, type LookupAllOptions, lookup } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { isLoopback } from './config.ts';

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
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
];
/** Of IPv6 only this was ever given out for the Internet (RFC 4291 §2.4); whatever lies outside is special too. */
const GIVEN_OUT = ['2000::/3'];

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address, bits] = network.split('/') as [string, string];
    list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return list;
}

const special = listOf(SPECIAL);
const givenOut = listOf(GIVEN_OUT);

/** IPv4 written as IPv6 (`::ffff:0:0/96`), and IPv4 behind a translator (NAT64, RFC 6052: `64:ff9b::/96`). */
const HOLDS_IPV4 = /^(?:::ffff:|64:ff9b::)(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/;

/** The address that is reached in the end: an IPv4 address that one of IPv6 stands for, however that is written. */
export function plain(address: string): string {
  if (!isIPv6(address) || address.includes('%')) return address;
  const held = HOLDS_IPV4.exec(new URL(`http://[${address}]/`).hostname.slice(1, -1));
  if (!held) return address;
  const number = Number.parseInt(held[1] ?? '0', 16) * 0x1_00_00 + Number.parseInt(held[2]!, 16);
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}

/**
 * The address in what a proxy or a socket says of where a call came from, written one way: without port, brackets, quotes and zone, IPv4 as
 * IPv4. Undefined = it is none (`unknown`, a name).
 */
export function addressIn(text: string): string | undefined {
  const bare = text.trim().replace(/^"(.*)"$/, '$1');
  const bracketed = /^\[([^[\]]*)\](?::\d{1,5})?$/.exec(bare)?.[1];
  const address = (bracketed ?? bare.replace(/^([\d.]+):\d{1,5}$/, '$1')).replace(/%.*$/s, '');
  const version = isIP(address);
  if (version === 0 || (bracketed !== undefined && version !== 6)) return undefined;
  const short = plain(address);
  return isIPv6(short) ? new URL(`http://[${short}]/`).hostname.slice(1, -1) : short;
}

const contains = (list: BlockList, address: string): boolean => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
const isInternet = (address: string): boolean =>
  !contains(special, address) && (!isIPv6(address) || contains(givenOut, address));

export interface Networks {
  /** Whether a request may go to an address. Over plain HTTP only to loopback, and to what was opened for it. */
  allows(address: string, protocol: string): boolean;
  /** What is wrong with an address that a party registers; undefined = nothing that shows before it is resolved. */
  problemWith(url: string): string | undefined;
}

const PLAIN = 'http://';

/**
 * `allowed`: networks (CIDR) that are special and may be reached nevertheless; over plain HTTP too with `http://` before
 * them. `onLoopback`: the gateway itself listens there.
 */
export function networksOf(allowed: readonly string[], onLoopback: boolean): Networks {
  const opened = listOf(allowed.map((one) => one.replace(PLAIN, '')));
  const unsafe = allowed.filter((one) => one.startsWith(PLAIN)).map((one) => one.slice(PLAIN.length));
  const openedPlain = listOf(unsafe);
  const allows = (given: string, protocol: string): boolean => {
    const address = plain(given);
    if (isIP(address) === 0 || address.includes('%')) return false;
    const isLocal = isLoopback(address);
    if (isLocal && onLoopback) return protocol === 'https:' || protocol === 'http:';
    if (protocol === 'http:') return contains(openedPlain, address);
    return protocol === 'https:' && (contains(opened, address) || isInternet(address));
  };
  return {
    allows,
    problemWith(url) {
      if (!URL.canParse(url)) return 'is no address';
      const { protocol, hostname, username, password } = new URL(url);
      if (protocol !== 'https:' && protocol !== 'http:') return 'must be https';
      if (username !== '' || password !== '') return 'may hold no name or password';
      const host = hostOf(hostname);
      // A name may lead into a network that is open for plain HTTP; whether it does shows when it is resolved.
      const mayBePlain =
        isLoopback(host) || (isIP(host) === 0 ? unsafe.length > 0 : contains(openedPlain, plain(host)));
      if (protocol === 'http:' && !mayBePlain) return 'must be https; http is for loopback only';
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

/** As `dns.lookup` with `all`; another one only in tests. */
export type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** Resolves a name to the addresses that may be reached; fails with NOT_ALLOWED where there is none. */
export const lookupIn =
  (networks: Networks, protocol: string, resolve: Resolve = lookup): LookupFunction =>
  (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, '', 0);
      const reachable = addresses.filter(({ address }) => networks.allows(address, protocol));
      const [first] = reachable;
      if (first === undefined) return done(notAllowed(), '', 0);
      if (options.all) done(null, reachable);
      else done(null, first.address, first.family);
    });
  };

export const notAllowed = (): Error => Object.assign(new Error(NOT_ALLOWED), { code: NOT_ALLOWED });
