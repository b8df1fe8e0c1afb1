import { X509Certificate } from 'node:crypto';
import { BlockList, isIPv6 } from 'node:net';
import { addressIn, GatewayError } from '#kernel';
import type { Certificates, ClientCertificate } from './certificates.ts';

/**
 * A proxy that ends TLS before the doors tells whose certificate it saw (RFC 9440). It is believed by its address; anybody
 * else who says such a thing is refused, because who lets it pass would let it be believed one day.
 */
export class TrustedProxy {
  readonly #list = new BlockList();
  readonly #certificates: Certificates | undefined;

  /** `networks`: CIDR; none = nobody is trusted. */
  constructor(networks: readonly string[], certificates: Certificates | undefined) {
    this.#certificates = certificates;
    for (const network of networks) {
      const [address, bits] = network.split('/') as [string, string];
      this.#list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
    }
  }

  trusts(address: string): boolean {
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
    return plain !== '' && this.#list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
  }

  /**
   * Whose certificate was shown: what a proxy says, else the one of the connection, `own`. What a proxy passes on without a word
   * of a certificate is not the proxy's own. Faults: party.unknown.
   */
  shownTo(address: string, said: ProxySaid, own: ClientCertificate | undefined): ClientCertificate | undefined {
    const { certificate, chain, proxied } = said;
    if (certificate === undefined && chain === undefined) {
      if (!proxied || !this.trusts(address)) return own;
      if (this.#certificates?.required)
        throw new GatewayError('party.unknown', 'Show your certificate to the proxy, which says so in Client-Cert.');
      return undefined;
    }
    if (!this.trusts(address) || !this.#certificates)
      throw new GatewayError('party.unknown', 'Client-Cert is taken from a trusted proxy only (EDUK_TRUSTED_PROXY).');
    const wrong = new GatewayError('party.unknown', 'The certificate in Client-Cert is not one that is taken here.');
    const [shown, ...more] = certificate === undefined ? [] : bytesIn(certificate);
    const between = chain === undefined ? [] : bytesIn(chain);
    if (!shown || more.length > 0 || between.length > LONGEST || (between.length === 0 && chain !== undefined))
      throw wrong;
    let client: ClientCertificate | undefined;
    try {
      client = this.#certificates.verify(
        new X509Certificate(shown),
        between.map((one) => new X509Certificate(one)),
      );
    } catch {
      throw wrong; // What cannot be read is not told apart.
    }
    if (!client) throw wrong;
    this.#certificates.saw(client);
    return client;
  }

  /**
   * Where a call came from: behind a trusted proxy what it added last to X-Forwarded-For, without a port that it may add; the proxy itself
   * where that is no address.
   */
  cameFrom(address: string, forwardedFor: string | undefined): string {
    if (forwardedFor === undefined || !this.trusts(address)) return address;
    return addressIn(forwardedFor.split(',').at(-1)!) ?? address;
  }
}

/** Whether a header says that someone stands between. */
export const isOfProxy = (name: string): boolean =>
  name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-') || name.startsWith('client-cert');

/** What headers say; each as it came, several values of one header joined by commas. */
export interface ProxySaid {
  /** Whether any of them says that someone stands between. */
  proxied: boolean;
  certificate: string | undefined;
  chain: string | undefined;
}

const LONGEST = 8;

/** A list of byte sequences (RFC 8941 §3.3.5); empty = it is none. */
function bytesIn(text: string): Buffer[] {
  const parts = text.split(',').map((part) => /^[ \t]*:([A-Za-z0-9+/]+={0,2}):[ \t]*$/.exec(part)?.[1]);
  return parts.some((part) => part === undefined) ? [] : parts.map((part) => Buffer.from(part!, 'base64'));
}
