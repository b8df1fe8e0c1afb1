import { constants, createHash, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import {
  type CertificateFacts,
  ConfigError,
  describeError,
  log,
  logSeldom,
  pem,
  pemBlocks,
  type RevocationList,
  readCertificate,
  readRevocationList,
} from '#kernel';

/**
 * TLS of the doors: which certificate they show, and whose they take. OpenSSL verifies each handshake (chain, validity, use,
 * revocation); what is read here besides decides which open connections end when the files change, or time does.
 */

/** PEM. */
export interface DoorPem {
  /** Neither: somebody else ends TLS before the doors. */
  cert?: Buffer | undefined;
  key?: Buffer | undefined;
  /** Given: who shows a certificate must show one of these. */
  clientCa?: Buffer | undefined;
  /** Lists of every one of these authorities; without it none is asked for. */
  clientCrl?: Buffer | undefined;
}

export interface DoorTls {
  /** Reads the files. Throws `ConfigError`. */
  read(): DoorPem;
  /** Whose change is a reason to read again. */
  files: readonly string[];
  /** Whether the doors end TLS themselves; else a proxy does, on loopback. */
  ends: boolean;
  /** Whether who shows no certificate is turned away. */
  required: boolean;
}

/** Who is at the other end of a connection, as its certificate says. */
export interface ClientCertificate {
  /** Undefined = the certificate names no organisation; it is then no more than a way in. */
  oin: string | undefined;
  /** `x5t#S256`. */
  thumbprint: string;
  notAfterMs: number;
}

interface Authority {
  facts: CertificateFacts;
  x509: X509Certificate;
}

interface Loaded {
  context: SecureContextOptions;
  authorities: readonly Authority[];
  /** Those of them that no list revokes. */
  standing: readonly Authority[];
  lists: readonly RevocationList[];
  /** `basisOf`, by issuer. */
  basis: Map<string, string>;
}

/** How often files and open connections are looked at, ms: what is revoked is gone well within five seconds. */
const LOOK_MS = 1_000;
/** Parties of which the end of their certificate is remembered. */
const MOST_SEEN = 10_000;
/** Issuers of which `basisOf` is remembered. */
const MOST_ISSUERS = 100;
/** Extended key usage: to be shown by a client. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** Longest handshake, ms. */
export const HANDSHAKE_MS = 10_000;

/** Why a certificate that was good is not any more. */
export type Ended = 'expired' | 'not_yet' | 'revoked' | 'authority';

export class Certificates {
  readonly #tls: DoorTls;
  readonly #now: () => number;
  readonly required: boolean;
  #loaded: Loaded;
  #state: string;
  #timer: NodeJS.Timeout | undefined;
  #toldExpired = false;
  readonly #guarded = new Set<Guard>();
  /** By OIN: when the certificate that it showed last ends, Unix ms. */
  readonly #seen = new Map<string, number>();

  /** Reads the files. Throws `ConfigError`. */
  constructor(tls: DoorTls, now: () => number = Date.now) {
    this.#tls = tls;
    this.#now = now;
    this.required = tls.required;
    this.#state = stateOf(tls.files);
    this.#loaded = load(tls.read());
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** What a TLS server is made with. */
  options() {
    const asks = this.#loaded.authorities.length > 0;
    return {
      ...this.#loaded.context,
      handshakeTimeout: HANDSHAKE_MS,
      requestCert: asks,
      // Where none need be shown, a bad one is refused by the guard.
      rejectUnauthorized: asks && this.required,
    };
  }

  /** From now on its connections are known, renewed certificates are shown, and who may stay no longer is put out. */
  guard(server: Server): Guard {
    const guard = new Guard(this, server);
    this.#guarded.add(guard);
    server.once('close', () => this.#guarded.delete(guard));
    return guard;
  }

  /** Reads the files again where they changed, and ends connections that may not last. Called every second. */
  look(): void {
    const state = stateOf(this.#tls.files);
    if (state !== this.#state) this.#reload(state);
    for (const guard of this.#guarded) guard.sweep();
    const now = this.#now();
    const isExpired = this.#loaded.lists.some(({ nextUpdateMs }) => nextUpdateMs !== undefined && nextUpdateMs < now);
    if (isExpired && !this.#toldExpired) log('error', 'client_crl_expired');
    this.#toldExpired = isExpired;
  }

  /** Files that cannot be used, such as a key that is not yet that of its certificate, change nothing until they can be. */
  #reload(state: string): void {
    try {
      this.#loaded = load(this.#tls.read());
      for (const guard of this.#guarded) guard.renew(this.#loaded.context);
      log('info', 'certificates_reloaded');
    } catch (thrown) {
      log('error', 'certificates_not_reloaded', describeError(thrown));
    }
    this.#state = state;
  }

  /** Why a certificate that the handshake took is good no more; undefined = it is. */
  problemWith(shown: Shown): Ended | undefined {
    const { facts, x509, basis } = shown;
    const { standing, lists } = this.#loaded;
    const now = this.#now();
    if (facts.notAfterMs < now) return 'expired';
    if (facts.notBeforeMs > now) return 'not_yet';
    if (lists.some(({ issuer, revoked }) => issuer === facts.issuer && revoked.has(facts.serial))) return 'revoked';
    // Signatures are looked at once for each reading of the files.
    if (shown.judgedBy === this.#loaded) return undefined;
    const isDirect = standing.some((one) => x509.checkIssued(one.x509) && x509.verify(one.x509.publicKey));
    if (!isDirect && basis !== this.basisOf(facts.issuer)) return 'authority';
    shown.judgedBy = this.#loaded;
    return undefined;
  }

  /**
   * What it rested on that somebody may be trusted whom an authority between has signed: node tells no server of such
   * authorities, so when this changes, its connections end, and the next handshake verifies them anew.
   */
  basisOf(issuer: string): string {
    const { authorities, lists, basis } = this.#loaded;
    const known = basis.get(issuer);
    if (known !== undefined) return known;
    const above = lists.filter((list) => list.issuer !== issuer).map((list) => [list.issuer, [...list.revoked].sort()]);
    const made = createHash('sha256')
      .update(JSON.stringify([authorities.map(({ facts }) => facts.thumbprint).sort(), above.sort()]))
      .digest('base64');
    if (basis.size < MOST_ISSUERS) basis.set(issuer, made);
    return made;
  }

  /**
   * Who shows a certificate that somebody else saw in a handshake: verified here too, without names that its authorities are
   * limited to, which whoever saw it has to look at. Undefined = it is not taken.
   */
  verify(shown: X509Certificate, between: readonly X509Certificate[]): ClientCertificate | undefined {
    const { standing, lists } = this.#loaded;
    const now = this.#now();
    const isGood = (one: X509Certificate): boolean => {
      const { issuer, serial, notBeforeMs, notAfterMs } = readCertificate(one.raw);
      if (notBeforeMs > now || notAfterMs < now) return false;
      const own = lists.filter((list) => list.issuer === issuer);
      if (own.some(({ revoked }) => revoked.has(serial))) return false;
      return lists.length === 0 || own.some(({ nextUpdateMs }) => nextUpdateMs === undefined || nextUpdateMs > now);
    };
    const uses = shown.keyUsage as string[] | undefined;
    if (shown.ca || (uses && !uses.includes(CLIENT_AUTH))) return undefined;
    const left = [...between];
    for (let one: X509Certificate | undefined = shown; one && isGood(one); ) {
      const below: X509Certificate = one;
      const signs = (above: X509Certificate) => above.ca && below.checkIssued(above) && below.verify(above.publicKey);
      const anchor = standing.find(({ x509 }) => signs(x509));
      if (anchor) {
        const { oin, thumbprint, notAfterMs } = readCertificate(shown.raw);
        return anchor.facts.notAfterMs < now ? undefined : { oin, thumbprint, notAfterMs };
      }
      const next = left.findIndex(signs);
      one = next < 0 ? undefined : left.splice(next, 1)[0];
    }
    return undefined;
  }

  saw({ oin, notAfterMs }: ClientCertificate): void {
    if (oin === undefined) return;
    this.#seen.delete(oin);
    this.#seen.set(oin, notAfterMs);
    if (this.#seen.size > MOST_SEEN) this.#seen.delete(this.#seen.keys().next().value!);
  }

  /** When the certificates end that parties showed here, Unix ms by OIN. */
  seen(): ReadonlyMap<string, number> {
    return this.#seen;
  }

  /** When what the doors themselves show ends: each certificate of the chain, by its setting and place. */
  own(): { name: string; notAfterMs: number }[] {
    const { cert } = this.#loaded.context;
    if (!Buffer.isBuffer(cert)) return [];
    return pemBlocks(cert, 'CERTIFICATE').map((der, i) => ({
      name: i === 0 ? 'EDUK_TLS_CERT' : `EDUK_TLS_CERT/${i + 1}`,
      notAfterMs: readCertificate(der).notAfterMs,
    }));
  }
}

interface Shown {
  facts: CertificateFacts;
  x509: X509Certificate;
  /** `basisOf` its issuer when it was taken. */
  basis: string;
  /** The reading of the files by which its signature was last good. */
  judgedBy?: object | undefined;
}

interface Open extends Shown {
  socket: TLSSocket;
  client: ClientCertificate;
}

/** The connections of one TLS server. */
export class Guard {
  readonly #certificates: Certificates;
  readonly #server: Server;
  /** By address and port of the other end. */
  readonly #open = new Map<string, Open>();
  readonly #tell = logSeldom();

  constructor(certificates: Certificates, server: Server) {
    this.#certificates = certificates;
    this.#server = server;
    // Before anybody reads of it.
    server.prependListener('secureConnection', (socket) => this.#take(socket));
    // Whoever is refused in the handshake sees a connection that ends: only here can be read why.
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      const why = socket.authorizationError as unknown;
      if (why) this.#refused(codeOf(why));
      else if (error.code !== 'ECONNRESET') this.#tell('info', 'tls_handshake_failed', { why: error.code });
    });
  }

  #refused(why: string, partyOin?: string): void {
    this.#tell('warn', 'client_certificate_refused', { why, party_oin: partyOin });
  }

  renew(context: SecureContextOptions): void {
    this.#server.setSecureContext(context);
  }

  #take(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const x509 = socket.getPeerX509Certificate();
    if (!x509) return;
    try {
      const facts = readCertificate(x509.raw);
      const { oin, thumbprint, notAfterMs } = facts;
      const basis = this.#certificates.basisOf(facts.issuer);
      const open: Open = { socket, facts, x509, basis, client: { oin, thumbprint, notAfterMs } };
      const why = socket.authorized ? this.#certificates.problemWith(open) : codeOf(socket.authorizationError);
      if (why) {
        this.#refused(why, oin);
        return void socket.destroy();
      }
      const key = keyOf(socket.remoteAddress, socket.remotePort);
      this.#open.set(key, open);
      socket.once('close', () => {
        if (this.#open.get(key) === open) this.#open.delete(key);
      });
      this.#certificates.saw(open.client);
    } catch (thrown) {
      log('error', 'client_certificate_unreadable', describeError(thrown));
      socket.destroy();
    }
  }

  /** Puts out whose certificate is good no more. */
  sweep(): void {
    for (const open of this.#open.values()) {
      const why = this.#certificates.problemWith(open);
      if (!why) continue;
      log('warn', 'client_certificate_ended', { why, party_oin: open.client.oin });
      open.socket.destroy();
    }
  }

  /** Who is at the other end; undefined = nobody who showed a certificate. */
  clientAt(address: string | undefined, port: number | undefined): ClientCertificate | undefined {
    return this.#open.get(keyOf(address, port))?.client;
  }

  /** The same, by what gRPC says of the other end. */
  clientOf(peer: string): ClientCertificate | undefined {
    return this.#open.get(peer)?.client;
  }
}

/** Node's code of what is wrong with a certificate, such as CERT_REVOKED: text or error, whatever the types say. */
const codeOf = (why: unknown): string =>
  typeof why === 'string' ? why : ((why as { code?: string } | null)?.code ?? 'unverified');

const keyOf = (address: string | undefined, port: number | undefined): string => `${address}:${port}`;

/** Changes when any of the files does, also where a link comes to lead elsewhere. */
const stateOf = (files: readonly string[]): string =>
  files
    .map((file) => {
      const stat = statSync(file, { throwIfNoEntry: false });
      return stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : 'none';
    })
    .join();

/** Throws `ConfigError` where the files cannot be used together. */
function load({ cert, key, clientCa, clientCrl }: DoorPem): Loaded {
  const problems: string[] = [];
  const read = <T>(setting: string, what: string, pem: Buffer | undefined, label: string, one: (der: Buffer) => T) => {
    if (pem === undefined) return [];
    const blocks = pemBlocks(pem, label);
    try {
      if (blocks.length > 0) return blocks.map(one);
    } catch {
      // Told below: what stands in the file is not repeated.
    }
    problems.push(`${setting} names a file that holds no ${what} (PEM)`);
    return [];
  };
  const authorities = read('EDUK_TLS_CLIENT_CA', 'certificate', clientCa, 'CERTIFICATE', (der) => ({
    facts: readCertificate(der),
    x509: new X509Certificate(der),
  }));
  const lists = read('EDUK_TLS_CLIENT_CRL', 'revocation list', clientCrl, 'X509 CRL', readRevocationList);
  if (clientCrl !== undefined && problems.length === 0)
    for (const { facts } of authorities)
      if (!lists.some(({ issuer }) => issuer === facts.subject)) {
        problems.push('EDUK_TLS_CLIENT_CRL holds no list of one of the authorities in EDUK_TLS_CLIENT_CA');
        break;
      }
  if (problems.length > 0) throw new ConfigError(problems);
  const context: SecureContextOptions = {
    ...(cert ? { cert, key } : {}),
    minVersion: 'TLSv1.2',
    ...(clientCa
      ? {
          ca: pems(clientCa, 'CERTIFICATE'),
          // A session that is taken up again is not verified again.
          secureOptions: constants.SSL_OP_NO_TICKET,
        }
      : {}),
    ...(clientCrl ? { crl: pems(clientCrl, 'X509 CRL') } : {}),
  };
  try {
    createSecureContext(context);
  } catch (thrown) {
    throw new ConfigError([
      `EDUK_TLS_CERT and EDUK_TLS_KEY cannot be used (${(thrown as { code?: string }).code ?? 'unreadable'}): they must be a certificate and its own key, in PEM`,
    ]);
  }
  return { context, authorities, standing: standingOf(authorities, lists), lists, basis: new Map() };
}

/**
 * Without those that a list of another revokes, and without whom only these have signed: OpenSSL asks the lists of the whole
 * chain, whichever of it stands in the file of authorities.
 */
function standingOf(all: readonly Authority[], lists: readonly RevocationList[]): readonly Authority[] {
  let standing = all.filter(
    ({ facts }) => !lists.some(({ issuer, revoked }) => issuer === facts.issuer && revoked.has(facts.serial)),
  );
  for (;;) {
    const left = standing.filter((one) => {
      if (one.facts.subject === one.facts.issuer) return true;
      const above = all.filter(({ x509 }) => one.x509.checkIssued(x509));
      return above.length === 0 || above.some((other) => standing.includes(other));
    });
    if (left.length === standing.length) return left;
    standing = left;
  }
}

/** Each in a text of its own: of several lists in one, only the first is read. */
const pems = (file: Buffer, label: string): string[] => pemBlocks(file, label).map((der) => pem(label, der));
