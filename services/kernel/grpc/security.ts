import { checkServerIdentity } from 'node:tls';
import { type ChannelCredentials, credentials, ServerCredentials } from '@grpc/grpc-js';
import { ConfigError, isLoopback } from '../config.ts';

/** Mutual TLS: both sides show a certificate of `ca`. PEM. */
export interface InnerTls {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

/** What proves that a caller is a role of this gateway: TLS anywhere, on loopback a key that only roles can read. */
export interface InnerProof {
  tls?: InnerTls | undefined;
  /** Sent with each stream; without TLS it is the proof. */
  key?: string | undefined;
}

/** Loopback is an address, not an identity: other users of this machine reach it too. Throws `ConfigError`. */
function check(host: string, { tls, key }: InnerProof): void {
  if (!tls && !isLoopback(host))
    throw new ConfigError([
      `${host} is not loopback: between machines roles need EDUK_INNER_TLS_CA, EDUK_INNER_TLS_CERT and EDUK_INNER_TLS_KEY, which the operator's certificate authority gives`,
    ]);
  if (!tls && !key) throw new ConfigError(['roles on loopback need a key that both sides know']);
}

/** `names`: the certificate of whoever answers may be for one of these instead of the host. */
export function clientCredentials(host: string, proof: InnerProof, names: readonly string[] = []): ChannelCredentials {
  check(host, proof);
  const { tls } = proof;
  if (!tls) return credentials.createInsecure();
  return credentials.createSsl(tls.ca, tls.key, tls.cert, {
    checkServerIdentity: (called, certificate) => {
      const wrong = checkServerIdentity(called, certificate);
      return names.some((name) => checkServerIdentity(name, certificate) === undefined) ? undefined : wrong;
    },
  });
}

export function serverCredentials(host: string, proof: InnerProof): ServerCredentials {
  check(host, proof);
  const { tls } = proof;
  return tls
    ? ServerCredentials.createSsl(tls.ca, [{ private_key: tls.key, cert_chain: tls.cert }], true)
    : ServerCredentials.createInsecure();
}

export const KEY_HEADER = 'eduk-inner-key';
