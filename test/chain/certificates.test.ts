/** Who a certificate says it is, whose are taken, and what becomes of open connections when that changes. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logTo, pemBlocks, readCertificate } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { Certificates } from '#services/edge';
import { type Gateway, startGateway } from '../../services/main.ts';
import { type Issued, testAuthority } from './authority.ts';
import { type Clients, clientsOf, Fault, newOin, wire } from './gateway.ts';

const authority = testAuthority();
const elsewhere = testAuthority('Another CA');
const folder = mkdtempSync(join(tmpdir(), 'eduk-certificates-'));
const file = (name: string) => join(folder, name);
/** As tools that renew certificates do: a new file takes the place of the old. */
const put = (name: string, text: string): string => {
  writeFileSync(`${file(name)}.new`, text, { mode: 0o600 });
  renameSync(`${file(name)}.new`, file(name));
  return file(name);
};
const door = (name = 'door') => authority.issue({ commonName: name }, { names: ['localhost', '127.0.0.1'] });
const [alpha, beta] = [newOin(), newOin()];
const certificates = {
  alpha: authority.issue({ serialNumber: alpha }),
  beta: authority.issue({ serialNumber: beta }),
};

let at: Gateway;
let operator: ReturnType<typeof wire<typeof OperatorServiceDefinition>>;
const opened: GrpcClient[] = [];

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

async function startWith(data: string, env: Record<string, string>): Promise<Gateway> {
  const shown = door();
  const port = await freePort();
  const gateway = await startGateway({
    EDUK_DATA: file(data),
    EDUK_GRPC: '127.0.0.1:0',
    EDUK_HTTP: '127.0.0.1:0',
    EDUK_OPERATOR: `127.0.0.1:${port}`,
    EDUK_LOG: 'error',
    EDUK_TLS_CERT: put(`${data}.cert`, shown.cert),
    EDUK_TLS_KEY: put(`${data}.key`, shown.key),
    EDUK_TLS_CLIENT_CA: put(`${data}.ca`, authority.ca),
    ...env,
  });
  const channel = new GrpcClient(`127.0.0.1:${port}`, credentials.createInsecure());
  opened.push(channel);
  operator = wire(
    OperatorServiceDefinition,
    channel,
    `Bearer ${readFileSync(join(file(data), 'operator.key'), 'utf8').trim()}`,
  );
  return gateway;
}

const secrets = new Map<string, { clientId: string; clientSecret: string; apiKey: string }>();
const lines: string[] = [];
beforeAll(async () => {
  logTo((line) => lines.push(line));
  at = await startWith('data', { EDUK_TLS_CLIENT_CRL: put('data.crl', authority.revokes([])) });
  for (const [oin, name] of [
    [alpha, 'Alpha'],
    [beta, 'Beta'],
  ] as const)
    secrets.set(oin, await operator.addParty({ party: { oin, name, roles: [Role.ROLE_PUBLISHER] } }));
});
afterAll(async () => {
  // What was told of certificates names parties by OIN, and nothing else of them.
  const told = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => /cert|crl/.test(String(event)));
  expect(new Set(told.map(({ event }) => event))).toEqual(
    new Set([
      'certificates_reloaded',
      'certificates_not_reloaded',
      'client_certificate_ended',
      'client_certificate_refused',
      'client_crl_expired',
    ]),
  );
  for (const channel of opened) channel.close();
  await at?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function over(shown: Issued | undefined, authorization?: string, gateway = at): Clients {
  const channel = new GrpcClient(
    gateway.addresses.grpc,
    credentials.createSsl(
      Buffer.from(authority.ca),
      ...(shown ? [Buffer.from(shown.key), Buffer.from(shown.cert)] : [null, null]),
    ),
    { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 200 },
  );
  opened.push(channel);
  return clientsOf(channel, authorization);
}

/** Code of the fault; `no way in` = there was no connection. */
async function told(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault)
      return thrown.code || (thrown.grpcCode === 14 ? 'no way in' : `gRPC ${thrown.grpcCode}`);
    throw thrown;
  }
}
const asks = (oin: string, shown: Issued | undefined, authorization?: string, gateway = at) =>
  told(over(shown, authorization, gateway).parties.getParty({ oin }));

/** Status of a request over HTTPS; 0 = there was no connection. */
const post = (path: string, shown: Issued | undefined, headers: Record<string, string> = {}, body = '', gateway = at) =>
  new Promise<{ status: number; body: string }>((resolve) => {
    const { port } = new URL(`https://${gateway.addresses.http}`);
    const asking = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: 'POST',
        ca: authority.ca,
        agent: false,
        headers,
        ...(shown ? { cert: shown.cert, key: shown.key } : {}),
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('end', () => resolve({ status: answer.statusCode!, body: Buffer.concat(chunks).toString() }));
      },
    );
    asking.on('error', () => resolve({ status: 0, body: '' }));
    asking.end(body);
  });
const edexml = (shown: Issued | undefined, headers: Record<string, string> = {}) =>
  post('/edexml', shown, headers, '<EDEX/>').then(({ status }) => status);

/** Opens a watch; with which code it ended. */
const watch = (shown: Issued): Promise<string> =>
  new Promise((resolve) => {
    const call = over(shown).catalogue.watchProducts({ cursor: '' });
    call.on('error', (error) => resolve(String((error as { code?: number }).code)));
    call.on('data', () => undefined);
  });

describe('a certificate', () => {
  test('names the party that calls, over gRPC and HTTP', async () => {
    expect(await asks(alpha, certificates.alpha)).toBe('');
    // Who may not import rosters is known, and told so.
    expect(await edexml(certificates.alpha)).toBe(403);
  });

  test('of somebody unknown, or without an OIN that is one, is nobody', async () => {
    for (const serialNumber of [
      newOin(),
      undefined,
      ` ${alpha}`,
      `${alpha} `,
      alpha.replaceAll('9', '٩'),
      alpha.replaceAll('9', '９'),
      `${alpha}0`,
    ]) {
      const shown = authority.issue({ serialNumber, serialNumberTag: 0x0c });
      expect(await asks(alpha, shown)).toBe('party.unknown');
      expect(await edexml(shown)).toBe(401);
    }
    expect(await asks(alpha, authority.issue({ commonName: alpha }))).toBe('party.unknown');
  });

  const now = Date.now();
  test.each([
    ['that is over', authority.issue({ serialNumber: alpha }, { notBeforeMs: now - 7e6, notAfterMs: now - 1e6 })],
    [
      'that is not valid yet',
      authority.issue({ serialNumber: alpha }, { notBeforeMs: now + 1e6, notAfterMs: now + 7e6 }),
    ],
    ['of another authority', elsewhere.issue({ serialNumber: alpha })],
    ['that was signed by a party', signedBy(certificates.beta, alpha)],
    ['that is missing', undefined],
  ] as const)('%s gets no connection', async (_what, shown) => {
    expect(await asks(alpha, shown)).toBe('no way in');
    expect((await post('/oauth2/token', shown)).status).toBe(0);
  });

  const token = async (shown: Issued, oin: string) => {
    const { clientId, clientSecret } = secrets.get(oin)!;
    const answer = await post(
      '/oauth2/token',
      shown,
      { authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}` },
      'grant_type=client_credentials',
    );
    return (JSON.parse(answer.body) as { access_token: string }).access_token;
  };

  test('binds the token that was asked with it: nobody else may use that, the same party’s other certificates included', async () => {
    const bearer = `Bearer ${await token(certificates.alpha, alpha)}`;
    expect(await asks(alpha, certificates.alpha, bearer)).toBe('');
    // Without an OIN in it a certificate says nothing of the party, but is the holder's all the same.
    for (const another of [authority.issue({ serialNumber: alpha }), authority.issue({})]) {
      expect(await asks(alpha, another, bearer)).toBe('party.unknown');
      expect(await edexml(another, { authorization: bearer })).toBe(401);
      expect(await asks(alpha, another, `Bearer ${await token(another, alpha)}`)).toBe('');
    }
  });

  test('is a proof at the token endpoint, for its own party only', async () => {
    const ask = (shown: Issued, client: string) =>
      post('/oauth2/token', shown, {}, `grant_type=client_credentials&client_id=${secrets.get(client)!.clientId}`);
    const { status, body } = await ask(certificates.alpha, alpha);
    expect(status).toBe(200);
    const bearer = `Bearer ${(JSON.parse(body) as { access_token: string }).access_token}`;
    expect(await asks(alpha, certificates.alpha, bearer)).toBe('');
    expect((await ask(certificates.alpha, beta)).status).toBe(401);
    expect((await ask(authority.issue({}), alpha)).status).toBe(401);
  });

  test('and a token, key or secret must be of the same party', async () => {
    const bearer = `Bearer ${await token(certificates.alpha, alpha)}`;
    expect(await asks(alpha, certificates.alpha, bearer)).toBe('');
    expect(await asks(alpha, certificates.beta, bearer)).toBe('party.unknown');
    expect(await edexml(certificates.beta, { authorization: bearer })).toBe(401);
    const key = `Bearer ${secrets.get(alpha)!.apiKey}`;
    expect(await asks(alpha, certificates.alpha, key)).toBe('');
    expect(await asks(alpha, certificates.beta, key)).toBe('party.unknown');
  });

  test('is looked at in every handshake: no session is taken up again', async () => {
    const { port } = new URL(`https://${at.addresses.http}`);
    const once = (session?: Buffer): Promise<{ session: Buffer | undefined; reused: boolean }> =>
      new Promise((resolve, reject) => {
        const { cert, key } = certificates.alpha;
        const how = { host: '127.0.0.1', port: Number(port), ca: authority.ca, cert, key };
        const socket: TLSSocket = connect({ ...how, ...(session ? { session } : {}) }, () => {
          socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
        });
        let ticket: Buffer | undefined;
        socket.on('session', (given) => {
          ticket = given;
        });
        socket.once('data', () => {
          resolve({ session: ticket ?? socket.getSession(), reused: socket.isSessionReused() });
          socket.destroy();
        });
        socket.once('error', reject);
      });
    const first = await once();
    expect((await once(first.session)).reused).toBe(false);
  });
});

/** A server behind a guard, whose files are looked at when the test says so, and whose clock the test moves. */
async function guarded(name: string) {
  const names = ['cert', 'key', 'ca', 'crl'].map((kind) => `${name}.${kind}`) as [string, string, string, string];
  const [cert, key, ca, crl] = names;
  const shown = door();
  put(cert, shown.cert);
  put(key, shown.key);
  put(ca, authority.ca);
  put(crl, authority.revokes([]));
  let ahead = 0;
  const read = (one: string) => readFileSync(file(one));
  const certificates = new Certificates(
    {
      read: () => ({ cert: read(cert), key: read(key), clientCa: read(ca), clientCrl: read(crl) }),
      files: names.map(file),
      ends: true,
      required: true,
    },
    () => Date.now() + ahead,
  );
  const server = createTlsServer(certificates.options(), (socket) => socket.on('data', (data) => socket.write(data)));
  certificates.guard(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const sockets: TLSSocket[] = [];
  /** Undefined = there was no way in. */
  const come = (as: Issued): Promise<Visitor | undefined> =>
    new Promise((resolve) => {
      const how = { host: '127.0.0.1', port, ca: authority.ca, cert: as.cert, key: as.key };
      const socket = connect(how, () => socket.write('in?'));
      sockets.push(socket);
      const ended = new Promise<void>((over) => socket.once('close', () => over()));
      socket.on('error', () => undefined);
      socket.once('data', () =>
        resolve({
          ended,
          shown: String(socket.getPeerCertificate().subject['CN']),
          isHeard: () =>
            new Promise((heard) => {
              socket.once('data', () => heard(true));
              socket.once('close', () => heard(false));
              socket.write('still?');
            }),
        }),
      );
      void ended.then(() => resolve(undefined));
    });
  return {
    come,
    /** Puts files in place, and has the gateway look. */
    change(files: { cert?: string; key?: string; ca?: string; crl?: string }): void {
      for (const [kind, text] of Object.entries(files)) put(`${name}.${kind}`, text);
      certificates.look();
    },
    pass(ms: number): void {
      ahead += ms;
      certificates.look();
    },
    stop(): void {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
interface Visitor {
  ended: Promise<void>;
  /** Name in the certificate of the door. */
  shown: string;
  isHeard(): Promise<boolean>;
}

describe('without a restart', () => {
  test('who is revoked loses open connections, and gets no other; the rest stays', async () => {
    const { come, change, stop } = await guarded('revoked');
    const revoked = authority.issue({ serialNumber: alpha });
    const [lost, kept] = [await come(revoked), await come(certificates.alpha)];
    change({ crl: authority.revokes([revoked.serial]) });
    await lost!.ended;
    expect(await come(revoked)).toBeUndefined();
    expect(await kept!.isHeard()).toBe(true);
    stop();
  });

  test('who expires meanwhile is put out', async () => {
    const { come, pass, stop } = await guarded('expired');
    const brief = authority.issue({ serialNumber: alpha }, { notAfterMs: Date.now() + 600_000 });
    const [lost, kept] = [await come(brief), await come(certificates.alpha)];
    pass(590_000);
    expect(await lost!.isHeard()).toBe(true);
    pass(11_000);
    await lost!.ended;
    expect(await kept!.isHeard()).toBe(true);
    stop();
  });

  test('doors show a renewed certificate; files that do not fit together change nothing', async () => {
    const { come, change, stop } = await guarded('renewed');
    const renewed = door('renewed');
    change({ cert: renewed.cert }); // Its key comes later.
    expect((await come(certificates.alpha))!.shown).toBe('door');
    change({ key: renewed.key });
    expect((await come(certificates.alpha))!.shown).toBe('renewed');
    stop();
  });

  test('an authority that is taken out of the file takes its connections along', async () => {
    const { come, change, stop } = await guarded('authority');
    const other = elsewhere.issue({ serialNumber: alpha });
    expect(await come(other)).toBeUndefined();
    change({ ca: authority.ca + elsewhere.ca }); // Without its list it changes nothing.
    expect(await come(other)).toBeUndefined();
    change({ crl: authority.revokes([]) + elsewhere.revokes([]) });
    const [lost, kept] = [await come(other), await come(certificates.alpha)];
    change({ ca: authority.ca });
    await lost!.ended;
    expect(await come(other)).toBeUndefined();
    expect(await kept!.isHeard()).toBe(true);
    stop();
  });

  test('an authority between is verified, and may be revoked as well', async () => {
    const { come, change, stop } = await guarded('between');
    const between = authority.under('Between CA');
    const issued = between.issue({ serialNumber: alpha });
    const shown = { ...issued, cert: issued.cert + between.ca };
    // There is no list of the authority between, so nobody knows whom it revoked.
    expect(await come(shown)).toBeUndefined();
    change({ crl: authority.revokes([]) + between.revokes([]) });
    const lost = await come(shown);
    change({ crl: authority.revokes([]) + between.revokes(['0102']) });
    expect(await lost!.isHeard()).toBe(true);
    const { serial } = readCertificate(pemBlocks(between.ca, 'CERTIFICATE')[0]!);
    change({ crl: authority.revokes([serial]) + between.revokes([]) });
    await lost!.ended;
    expect(await come(shown)).toBeUndefined();
    stop();
  });

  test('nor does it help an authority that is revoked that it stands in the file of authorities', async () => {
    const { come, change, stop } = await guarded('named');
    const between = authority.under('Between CA');
    const issued = between.issue({ serialNumber: alpha });
    change({ ca: authority.ca + between.ca, crl: authority.revokes([]) + between.revokes([]) });
    const [lost, kept] = [await come(issued), await come(certificates.alpha)];
    expect(await lost!.isHeard()).toBe(true);
    const { serial } = readCertificate(pemBlocks(between.ca, 'CERTIFICATE')[0]!);
    change({ crl: authority.revokes([serial]) + between.revokes([]) });
    await lost!.ended;
    expect(await come(issued)).toBeUndefined();
    expect(await kept!.isHeard()).toBe(true);
    stop();
  });

  test('a revocation list that is over lets nobody in', async () => {
    const { come, change, stop } = await guarded('over');
    change({ crl: authority.revokes([], Date.now() - 1_000) });
    expect(await come(certificates.alpha)).toBeUndefined();
    change({ crl: authority.revokes([]) });
    expect(await come(certificates.alpha)).toBeDefined();
    stop();
  });

  test('all of it by itself, within five seconds: a watch ends, and the next call gets no connection', async () => {
    const revoked = authority.issue({ serialNumber: alpha });
    const lost = watch(revoked);
    expect(await asks(alpha, revoked)).toBe('');
    // Time that this machine gave to others is not counted.
    let last = performance.now();
    let lag = 0;
    const clock = setInterval(() => {
      const now = performance.now();
      lag += Math.max(0, now - last - 50);
      last = now;
    }, 50);
    const since = performance.now();
    put('data.crl', authority.revokes([revoked.serial]));
    expect(await lost).toBe('14');
    expect(performance.now() - since - lag).toBeLessThan(5_000);
    clearInterval(clock);
    expect(await asks(alpha, revoked)).toBe('no way in');
    expect((await post('/oauth2/token', revoked)).status).toBe(0);
  });
});

describe('the operator reads why a certificate was refused, and of which party where that is sure', () => {
  const last = (event: string) =>
    lines.map((line) => JSON.parse(line) as Record<string, unknown>).findLast((line) => line['event'] === event);
  test('in the handshake', async () => {
    const before = lines.length;
    await expect
      .poll(
        async () => {
          expect((await post('/oauth2/token', elsewhere.issue({ serialNumber: beta }))).status).toBe(0);
          return lines.slice(before).some((line) => line.includes('client_certificate_refused'));
        },
        { timeout: 60_000, interval: 500 },
      )
      .toBe(true);
    expect(last('client_certificate_refused')).toMatchObject({
      level: 'warn',
      why: expect.stringMatching(/^[A-Z_]+$/),
    });
  });

  test('on an open connection', () => {
    expect(last('client_certificate_ended')).toMatchObject({ party_oin: expect.stringMatching(/^\d{20}$/) });
  });
});

test('where certificates are optional, none needs to be shown, and a bad one is refused all the same', async () => {
  const gateway = await startWith('optional', { EDUK_TLS_CLIENT: 'optional' });
  try {
    const { apiKey } = await operator.addParty({ party: { oin: alpha, name: 'Alpha', roles: [Role.ROLE_PUBLISHER] } });
    expect(await asks(alpha, undefined, `Bearer ${apiKey}`, gateway)).toBe('');
    expect(await asks(alpha, undefined, undefined, gateway)).toBe('party.unknown');
    expect(await asks(alpha, certificates.alpha, undefined, gateway)).toBe('');
    expect(await asks(alpha, elsewhere.issue({ serialNumber: alpha }), `Bearer ${apiKey}`, gateway)).toBe('no way in');
    const over = authority.issue({ serialNumber: alpha }, { notAfterMs: Date.now() - 1_000 });
    expect(await asks(alpha, over, `Bearer ${apiKey}`, gateway)).toBe('no way in');
    expect((await post('/oauth2/token', elsewhere.issue({}), {}, '', gateway)).status).toBe(0);
  } finally {
    await gateway.stop();
  }
});

/** As somebody would try who has a certificate: it is no authority. */
function signedBy(issuer: Issued, serialNumber: string): Issued {
  const forger = testAuthority('one of a test');
  const forged = forger.issue({ serialNumber });
  return { ...forged, cert: forged.cert + issuer.cert };
}
