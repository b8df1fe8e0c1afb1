/** Behind a proxy that ends TLS: Client-Cert (RFC 9440) is believed from its address, and from nobody else. */
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pemBlocks, readCertificate } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { PartyServiceDefinition } from '#proto/eduk/gateway/v1/party';
import { Certificates } from '#services/edge';
import { type Issued, testAuthority } from './authority.ts';
import { newOin, startTestGateway, type TestGateway, type TestParty } from './gateway.ts';

const authority = testAuthority();
const between = authority.under('Between CA');
const folder = mkdtempSync(join(tmpdir(), 'eduk-proxy-'));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const oin = newOin();
const shown = authority.issue({ serialNumber: oin });
const revoked = authority.issue({ serialNumber: oin });

let trusting: TestGateway;
let wary: TestGateway;
let party: TestParty;
beforeAll(async () => {
  const settings = {
    EDUK_TLS_CLIENT_CA: file('ca.pem', authority.ca),
    EDUK_TLS_CLIENT_CRL: file('lists.pem', authority.revokes([revoked.serial]) + between.revokes([])),
  };
  trusting = await startTestGateway({ ...settings, EDUK_TRUSTED_PROXY: '127.0.0.1/32' });
  wary = await startTestGateway({ ...settings, EDUK_TRUSTED_PROXY: '192.0.2.1/32' });
  for (const at of [trusting, wary]) party = await at.party('De Partij', [Role.ROLE_PUBLISHER], oin);
});
afterAll(async () => {
  await Promise.all([trusting?.stop(), wary?.stop()]);
  rmSync(folder, { recursive: true });
});

const said = (...certificates: (Issued | string)[]): string =>
  certificates
    .flatMap((one) => pemBlocks(typeof one === 'string' ? one : one.cert, 'CERTIFICATE'))
    .map((der) => `:${der.toString('base64')}:`)
    .join(', ');

const { path, encode } = (() => {
  const { name, requestType } = PartyServiceDefinition.methods.getParty;
  return {
    path: `/${PartyServiceDefinition.fullName}/${name}`,
    encode: (asked: string) => Buffer.from(requestType.encode({ oin: asked }).finish()),
  };
})();
/** Code of the fault over gRPC, and status over HTTP: 403 = known, and may not do this. */
async function told(at: TestGateway, headers: Record<string, string | string[]>): Promise<[string, number]> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) for (const one of [value].flat()) metadata.add(name, one);
  const code = await new Promise<string>((resolve, reject) =>
    at.channel.makeUnaryRequest(
      path,
      encode,
      (bytes: Buffer) => bytes,
      oin,
      metadata,
      (error: ServiceError | null) => {
        const fault = error?.metadata.get('eduk-fault')[0]?.toString();
        if (error && !fault) reject(error);
        else resolve(fault ?? '');
      },
    ),
  );
  const list = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((one): [string, string] => [name, one]),
  );
  const { status } = await fetch(`${at.http}/edexml`, { method: 'POST', body: '<EDEX/>', headers: list });
  return [code, status];
}

test('a certificate that a trusted proxy tells of names the party', async () => {
  expect(await told(trusting, { 'client-cert': said(shown) })).toEqual(['', 403]);
  const indirect = between.issue({ serialNumber: oin });
  expect(await told(trusting, { 'client-cert': said(indirect), 'client-cert-chain': said(between.ca) })).toEqual([
    '',
    403,
  ]);
});

test('an authority that is revoked is none, though it stands in the file of authorities', () => {
  const { serial } = readCertificate(pemBlocks(between.ca, 'CERTIFICATE')[0]!);
  const indirect = new X509Certificate(between.issue({ serialNumber: oin }).cert);
  const takes = (lists: string, chain: X509Certificate[] = []) =>
    new Certificates({
      read: () => ({ clientCa: Buffer.from(authority.ca + between.ca), clientCrl: Buffer.from(lists) }),
      files: [],
      ends: false,
      required: true,
    }).verify(indirect, chain)?.oin;
  expect(takes(authority.revokes([]) + between.revokes([]))).toBe(oin);
  expect(takes(authority.revokes([serial]) + between.revokes([]))).toBeUndefined();
  expect(takes(authority.revokes([serial]) + between.revokes([]), [new X509Certificate(between.ca)])).toBeUndefined();
});

test('a token that was asked with it is for its holder', async () => {
  const { clientId } = (await trusting.operator.renewSecret({ oin, overlapS: 3600 })) as { clientId: string };
  const answer = await fetch(`${trusting.http}/oauth2/token`, {
    method: 'POST',
    headers: { 'client-cert': said(shown) },
    body: new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId }),
  });
  const authorization = `Bearer ${((await answer.json()) as { access_token: string }).access_token}`;
  expect(await told(trusting, { 'client-cert': said(shown), authorization })).toEqual(['', 403]);
  const another = said(authority.issue({ serialNumber: oin }));
  expect(await told(trusting, { 'client-cert': another, authorization })).toEqual(['party.unknown', 401]);
  // Nor is it what the proxy passes on without a word of a certificate.
  expect(await told(trusting, { 'x-forwarded-for': '192.0.2.7', authorization })).toEqual(['party.unknown', 401]);
});

describe('refused', () => {
  const refused = ['party.unknown', 401];
  const now = Date.now();
  const elsewhere = testAuthority('Another CA');
  test.each<[string, () => Record<string, string | string[]>]>([
    [
      'that is over',
      () => ({ 'client-cert': said(authority.issue({ serialNumber: oin }, { notAfterMs: now - 1_000 })) }),
    ],
    [
      'that is not valid yet',
      () => ({ 'client-cert': said(authority.issue({ serialNumber: oin }, { notBeforeMs: now + 3_600_000 })) }),
    ],
    ['that is revoked', () => ({ 'client-cert': said(revoked) })],
    ['of another authority', () => ({ 'client-cert': said(elsewhere.issue({ serialNumber: oin })) })],
    [
      'of another authority that comes along',
      () => ({ 'client-cert': said(elsewhere.issue({ serialNumber: oin })), 'client-cert-chain': said(elsewhere.ca) }),
    ],
    ['of an authority between that does not', () => ({ 'client-cert': said(between.issue({ serialNumber: oin })) })],
    ['of the authority itself', () => ({ 'client-cert': said(authority.ca) })],
    ['signed by a party', () => ({ 'client-cert': said(byAParty()), 'client-cert-chain': said(shown) })],
    ['without an OIN', () => ({ 'client-cert': said(authority.issue({})) })],
    ['of two', () => ({ 'client-cert': said(shown, shown) })],
    ['said twice', () => ({ 'client-cert': [said(shown), said(shown)] })],
    [
      'that is no byte sequence',
      () => ({ 'client-cert': pemBlocks(shown.cert, 'CERTIFICATE')[0]!.toString('base64') }),
    ],
    ['that is no certificate', () => ({ 'client-cert': ':AAAA:' })],
    ['that is empty', () => ({ 'client-cert': '::' })],
    ['that is only a chain', () => ({ 'client-cert-chain': said(shown) })],
  ])('a certificate %s', async (_what, headers) => {
    expect(await told(trusting, headers())).toEqual(refused);
  });

  test('from any other address, whatever else proves who it is', async () => {
    expect(await told(wary, { 'client-cert': said(shown) })).toEqual(refused);
    const authorization = `Bearer ${party.apiKey}`;
    expect(await told(wary, { authorization })).toEqual(['', 403]);
    expect(await told(wary, { authorization, 'client-cert': said(shown) })).toEqual(refused);
    expect(await told(wary, { authorization, 'client-cert-chain': said(shown) })).toEqual(refused);
  });

  test('keys of this machine, which somebody stands before', async () => {
    const { apiKey } = await trusting.operator.renewSecret({ oin, overlapS: 0 });
    const authorization = `Bearer ${apiKey}`;
    expect(await told(trusting, { authorization })).toEqual(['', 403]);
    expect(await told(trusting, { authorization, 'client-cert': said(shown) })).toEqual(refused);
    expect(await told(trusting, { authorization, 'x-forwarded-for': '127.0.0.1' })).toEqual(refused);
  });
});

/** As somebody would try who has a certificate: it is no authority. */
function byAParty(): Issued {
  return testAuthority('one of a test').issue({ serialNumber: oin });
}
