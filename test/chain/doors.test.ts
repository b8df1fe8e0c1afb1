/** Who may come in, and by which way: API keys, OAuth 2.0, addresses, proxies and hosts; health, metrics, descriptions. */
import { get } from 'node:http';
import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { credentials, Client as GrpcClient, Metadata, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { publicServices } from '../../services/edge/grpc/services.ts';
import { clientsOf, Fault, newSchool, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

let at: TestGateway;
let las: TestParty;
const school = newSchool();
const ask = (as: TestParty) => as.parties.getParty({ oin: las.oin });

beforeAll(async () => {
  at = await startTestGateway();
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER]);
});
afterAll(() => at?.stop());

async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return '';
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code) return thrown.code;
    throw thrown;
  }
}

/** One call with metadata of its own. */
const getParty = (metadata: Record<string, string>, client = at.channel): Promise<string> => {
  const given = new Metadata();
  for (const [name, value] of Object.entries(metadata)) given.set(name, value);
  return new Promise((resolve, reject) =>
    client.makeUnaryRequest(
      '/eduk.gateway.v1.PartyService/GetParty',
      (oin: string) => Buffer.from(new BinaryWriter().uint32(10).string(oin).finish()),
      (bytes: Buffer) => bytes,
      las.oin,
      given,
      (error: ServiceError | null) => {
        const fault = error?.metadata.get('eduk-fault')[0]?.toString();
        if (error && !fault) reject(error);
        else resolve(fault ?? '');
      },
    ),
  );
};

const token = (id: string, secret: string, body = 'grant_type=client_credentials', more: object = {}) =>
  fetch(`${at.http}/oauth2/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
      ...more,
    },
    body,
  });

describe('OAuth 2.0 client credentials', () => {
  test('a token is a Bearer, and lives on over a restart', async () => {
    const answer = await token(las.clientId, las.clientSecret);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const given = (await answer.json()) as { access_token: string; token_type: string; expires_in: number };
    expect(given).toMatchObject({ token_type: 'Bearer', expires_in: expect.any(Number) });
    expect(await getParty({ authorization: `Bearer ${given.access_token}` })).toBe('');
    const forged = `${given.access_token.slice(0, -4)}${given.access_token.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
    expect(await getParty({ authorization: `Bearer ${forged}` })).toBe('party.unknown');
    // A token is no API key: it may come through a proxy.
    expect(await getParty({ authorization: `Bearer ${given.access_token}`, 'x-forwarded-for': '192.0.2.1' })).toBe('');
  });

  test('a wrong secret, an unknown client, no secret: 401 and nothing more', async () => {
    const bodies = new Set<string>();
    for (const [id, secret] of [
      [las.clientId, 'wrong'],
      ['eduk-nobody', las.clientSecret],
      [las.clientId, ''],
    ] as const) {
      const answer = await token(id, secret);
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Basic/);
      bodies.add(await answer.text());
    }
    expect([...bodies]).toHaveLength(1);
    expect((await fetch(`${at.http}/oauth2/token`, { method: 'POST', body: '' })).status).toBe(401);
    expect((await token(las.clientId, las.clientSecret, 'grant_type=password')).status).toBe(400);
    expect((await fetch(`${at.http}/oauth2/token`)).status).toBe(405);
  });

  test("a browser's page of another origin gets none", async () => {
    const answer = await token(las.clientId, las.clientSecret, undefined, { origin: 'https://elsewhere.example' });
    expect(answer.status).toBeGreaterThanOrEqual(400);
  });
});

describe('API keys', () => {
  test('work on loopback without anybody between', async () => {
    expect(await codeOf(ask(las))).toBe('');
    for (const header of ['x-forwarded-for', 'x-forwarded-host', 'forwarded', 'via'])
      expect(await getParty({ authorization: `Bearer ${las.apiKey}`, [header]: '127.0.0.1' })).toBe('party.unknown');
    expect(await getParty({ authorization: `Basic ${las.apiKey}` })).toBe('party.unknown');
    expect(await getParty({})).toBe('party.unknown');
  });

  test('over HTTP too', async () => {
    const post = (headers: Record<string, string>) =>
      fetch(`${at.http}/edexml?school=${school}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${las.apiKey}`, 'content-type': 'application/xml', ...headers },
        body: '<EDEX/>',
      }).then(({ status }) => status);
    expect(await post({})).toBe(400);
    for (const header of ['x-forwarded-for', 'forwarded', 'via'])
      expect(await post({ [header]: '127.0.0.1' })).toBe(401);
  });
});

describe('hosts', () => {
  test('gRPC refuses an :authority that is not configured', async () => {
    const client = new GrpcClient(at.gateway.addresses.grpc, credentials.createInsecure(), {
      'grpc.default_authority': 'evil.example',
    });
    const as = clientsOf(client, `Bearer ${las.apiKey}`);
    expect(await codeOf(as.parties.getParty({ oin: las.oin }))).toBe('party.unknown');
    client.close();
  });

  test('HTTP refuses a Host that is not configured', async () => {
    const { port } = new URL(at.http);
    const status = await new Promise((resolve, reject) =>
      get({ host: '127.0.0.1', port, path: '/healthz', headers: { host: 'evil.example' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject),
    );
    expect(status).toBeGreaterThanOrEqual(400);
  });
});

describe('health, metrics, descriptions', () => {
  test('over HTTP', async () => {
    const json = async (path: string) => (await fetch(`${at.http}${path}`)).json();
    expect(await json('/healthz')).toEqual({ status: 'up' });
    expect(await json('/readyz')).toEqual({ status: 'ready' });
    const metrics = await (await fetch(`${at.http}/metrics`)).text();
    expect(metrics).toMatch(/^# TYPE \w+ /m);
    expect(metrics).not.toContain(las.apiKey);
    expect(await json('/edexml/openapi.json')).toMatchObject({ openapi: expect.stringMatching(/^3\./) });
    expect((await fetch(`${at.http}/nowhere`)).status).toBe(404);
  });

  test('an address of its own for health and metrics takes them off the public one', async () => {
    const probe = await startTestGateway({ EDUK_INTERNAL: '127.0.0.1:0' });
    expect((await fetch(`${probe.http}/healthz`)).status).toBe(404);
    expect((await fetch(`${probe.http}/metrics`)).status).toBe(404);
    await probe.stop();
  });

  const unary = (path: string, service = '') =>
    new Promise<Uint8Array>((resolve, reject) =>
      at.channel.makeUnaryRequest(
        path,
        (name: string) => Buffer.from(name ? new BinaryWriter().uint32(10).string(name).finish() : []),
        (bytes: Buffer) => bytes,
        service,
        (error, message) => (error ? reject(error) : resolve(message!)),
      ),
    );

  test('gRPC health, without credentials', async () => {
    for (const name of ['', ...publicServices.map(({ fullName }) => fullName)])
      expect([...(await unary('/grpc.health.v1.Health/Check', name))]).toEqual([8, 1]); // status = SERVING
    await expect(unary('/grpc.health.v1.Health/Check', 'eduk.none')).rejects.toMatchObject({ code: 5 });
  });

  /** Asks reflection one question: `field` of ServerReflectionRequest; gives the answer's fields by number. */
  const reflect = (field: number, value: string) =>
    new Promise<Map<number, Uint8Array>>((resolve, reject) => {
      const call = at.channel.makeBidiStreamRequest(
        '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes: Buffer) => bytes,
      );
      call.on('data', (bytes: Buffer) => {
        resolve(fieldsIn(bytes));
        call.end();
      });
      call.on('error', reject);
      call.write(
        new BinaryWriter()
          .uint32((field << 3) | 2)
          .string(value)
          .finish(),
      );
    });

  test('gRPC reflection names the services and describes all that a client meets', async () => {
    const listed = await reflect(7, '');
    const names = all(listed.get(6)!, 1).map((entry) => Buffer.from(fieldsIn(entry).get(1)!).toString());
    expect(names.sort()).toEqual([...publicServices.map(({ fullName }) => fullName), 'grpc.health.v1.Health'].sort());
    for (const symbol of [...names, 'google.rpc.ErrorInfo', 'google.rpc.BadRequest', 'google.rpc.RetryInfo']) {
      const files = all((await reflect(4, symbol)).get(4)!, 1).map((file) =>
        fromBinary(FileDescriptorProtoSchema, file),
      );
      const has = files.some(({ package: at, service, messageType }) =>
        [...service, ...messageType].some(({ name }) => `${at}.${name}` === symbol),
      );
      expect(has, symbol).toBe(true);
    }
  });
});

/** Last value of each length-delimited field. */
function fieldsIn(bytes: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === 2) found.set(field, reader.bytes());
    else reader.skip(type);
  }
  return found;
}

/** All values of one field. */
function all(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === wanted) found.push(reader.bytes());
    else reader.skip(type);
  }
  return found;
}
