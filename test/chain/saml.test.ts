/** Boards and schools that sign in by SAML 2.0: the way there and back, and each way to cheat, over the wire. */
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import { newOin, newSchool, startTestGateway, type TestGateway } from './gateway.ts';
import {
  type Asked,
  assertionOf,
  DSIG,
  type How,
  metadataOf,
  newSigner,
  readRequest,
  responseOf,
  type Says,
  signatureOf,
  signedAssertion,
} from './saml-provider.ts';

const PUBLIC_URL = 'https://gateway.example';
const SUBJECT = 'urn:etoegang:core:LegalSubjectID';
const SERVICE = '5f6d2f5e-6f0a-4b8c-9d3e-1a2b3c4d5e6f';
const [signer, renewed, stranger, ours] = [newSigner(), newSigner(), newSigner(), newSigner()];
const how: How = { signer };
const [board, other] = [newOin(), newOin()];
const school = newSchool();
const [KVK, OTHER_KVK] = ['11111111', '22222222'];
let at: TestGateway;
let folder: string;
const said: string[] = [];

/** As a broker of eHerkenning says it. */
const company = (kvk: string, more: Says = {}): Says => ({
  level: 'urn:etoegang:core:assurance-class:loa3',
  attributes: { [SUBJECT]: kvk, 'urn:etoegang:core:ServiceUUID': SERVICE, ...more.attributes },
  qualifiers: { [SUBJECT]: 'urn:etoegang:1.9:EntityConcernedID:KvKnr' },
  ...Object.fromEntries(Object.entries(more).filter(([name]) => name !== 'attributes')),
});
/** Whoever holds an account at the same provider, and wants to be the board. */
const mine = company(OTHER_KVK);
const victim = company(KVK);

/** A browser as far as cookies and redirects go. */
class Browser {
  readonly jar = new Map<string, string>();
  last!: Response;
  async go(path: string, init: RequestInit = {}): Promise<string> {
    this.last = await fetch(at.http + path, {
      redirect: 'manual',
      ...init,
      headers: {
        'accept-language': 'nl',
        ...(this.jar.size > 0 ? { cookie: [...this.jar].map((pair) => pair.join('=')).join('; ') } : {}),
        ...(init.headers as Record<string, string>),
      },
    });
    for (const line of this.last.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0]!.split('=', 2) as [string, string];
      if (value === '') this.jar.delete(name);
      else this.jar.set(name, value);
    }
    return this.last.text();
  }
  async begin(): Promise<Asked> {
    await this.go('/saml/sign-in');
    return readRequest(this.last.headers.get('location')!, ours.certificate);
  }
  /** The form that a page of the provider posts. */
  post(xml: string | Buffer): Promise<string> {
    const body = new URLSearchParams({ SAMLResponse: Buffer.from(xml).toString('base64') });
    return this.go('/saml/acs', { method: 'POST', body, headers: { origin: 'https://idp.example' } });
  }
  /** There and back, with whatever the provider or somebody between makes of it. */
  async come(make: (asked: Asked) => string | Buffer): Promise<string> {
    return this.post(make(await this.begin()));
  }
  get isIn(): boolean {
    return this.last.status === 303 && this.jar.has('__Host-eduk-session');
  }
}

const signedIn =
  (says: Says, by: How = how) =>
  (asked: Asked) =>
    responseOf(asked, signedAssertion(asked, says, by).xml);

beforeAll(async () => {
  logTo((line) => said.push(line), 'debug');
  folder = mkdtempSync(join(tmpdir(), 'eduk-saml-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  at = await startTestGateway({
    EDUK_PUBLIC_URL: PUBLIC_URL,
    EDUK_SAML_METADATA_FILE: file('metadata.xml', metadataOf([signer, renewed])),
    EDUK_SAML_KEY_FILE: file('key.pem', ours.key.export({ type: 'pkcs8', format: 'pem' }) as string),
    EDUK_SAML_KEY_CERTIFICATE_FILE: file('cert.pem', ours.certificate),
    EDUK_SAML_REQUEST: 'context=urn:etoegang:core:assurance-class:loa3&index=3&force=true',
    EDUK_SIGNIN_SERVICE: SERVICE,
    EDUK_SIGNIN_CLAIMS: 'rsin=nameid',
    EDUK_LOG: 'debug',
  });
  const party = (oin: string, name: string, role: Role, boardOin = '') =>
    at.operator.addParty({ party: { oin, name, roles: [role], boardOin } });
  await party(board, 'Stichting De Linde', Role.ROLE_BOARD);
  await party(other, 'Stichting De Beuk', Role.ROLE_BOARD);
  await party(school, 'De Eerste', Role.ROLE_SCHOOL, board);
  await at.operator.setSignIn({ oin: board, numbers: [`kvk:${KVK}`, 'rsin:123456782'] });
  await at.operator.setSignIn({ oin: other, numbers: [`kvk:${OTHER_KVK}`] });
});
afterAll(async () => {
  await at?.stop();
  rmSync(folder, { recursive: true, force: true });
});
/** Without the name of the person, which these rules would read as a number. */
const named = (says: Says): Says => ({ nameId: '', ...says });
// Failures are counted; who has shown that it can sign in may err again.
afterEach(async () => {
  const browser = new Browser();
  await browser.come(signedIn(named(mine)));
  expect([browser.last.status, browser.isIn]).toEqual([303, true]);
});

describe('signing in by SAML', () => {
  test('goes with a signed request of ours, comes back with what the provider signed, and decides', async () => {
    const { mandateId } = await at.operator.grantMandate({
      mandate: { schoolOin: school, partyOin: newOin(), services: [Service.SERVICE_ROSTER] },
    });
    const browser = new Browser();
    expect(await browser.go('/school')).toContain('href="/saml/sign-in"');
    const asked = await browser.begin();
    expect(new URL(browser.last.headers.get('location')!).searchParams.get('tenant')).toBe('1');
    const { root, recipient, issuer } = asked;
    expect([recipient, issuer]).toEqual([`${PUBLIC_URL}/saml/acs`, `${PUBLIC_URL}/saml/metadata`]);
    expect(root.attrs).toMatchObject({
      ForceAuthn: 'true',
      AttributeConsumingServiceIndex: '3',
      ProtocolBinding: 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST',
    });
    expect(root.children[1]).toMatchObject({ name: 'RequestedAuthnContext', attrs: { Comparison: 'minimum' } });
    const [line] = browser.last.headers.getSetCookie();
    expect(line).toMatch(/^__Host-eduk-sign-in=\S+; Path=\/; Secure; HttpOnly; SameSite=None; Max-Age=600$/);
    await browser.post(signedIn(named(victim))(asked));
    expect(browser.isIn).toBe(true);
    expect(browser.last.headers.getSetCookie().join()).toContain('; Secure; HttpOnly; SameSite=Lax');
    expect(await browser.go('/school')).toContain('Ingelogd voor Stichting De Linde');
    const form = await browser.go(`/school/change?id=${mandateId}&do=confirm`);
    const body = new URLSearchParams({ sure: 'yes' });
    for (const [, name, value] of form.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g))
      body.append(name!, value!);
    await browser.go('/school/change', { method: 'POST', body, headers: { origin: PUBLIC_URL } });
    expect(browser.last.status).toBe(303);
    const { mandates } = await at.operator.listMandates({ schoolOin: school });
    expect(mandates.map(({ state }) => state)).toEqual([MandateState.MANDATE_STATE_ACTIVE]);
  });

  test('takes a response that is signed as well, SHA-512, and the key that the provider renews to', async () => {
    const both = (asked: Asked) => {
      const { xml } = signedAssertion(asked, named(victim), how);
      const whole = responseOf(asked, xml, { id: '_whole' });
      return whole.replace(
        '</saml:Issuer><samlp:Status>',
        `</saml:Issuer>${signatureOf(whole, '_whole', how)}<samlp:Status>`,
      );
    };
    const strong = {
      signer: renewed,
      method: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
      digest: 'http://www.w3.org/2001/04/xmlenc#sha512',
    };
    for (const make of [both, signedIn(named(victim), strong)]) {
      const browser = new Browser();
      await browser.come(make);
      expect(browser.isIn).toBe(true);
    }
  });

  test('tells who we are, to be registered at the provider', async () => {
    const xml = await new Browser().go('/saml/metadata');
    expect(xml).toContain(`entityID="${PUBLIC_URL}/saml/metadata"`);
    expect(xml).toContain('WantAssertionsSigned="true"');
    expect(xml).toContain(`Location="${PUBLIC_URL}/saml/acs"`);
    expect(xml).toContain('X509Certificate');
    expect(xml).not.toContain('PRIVATE');
  });

  test.each<[string, number, Says, string]>([
    ['a level that is too low', 403, company(KVK, { level: 'urn:etoegang:core:assurance-class:loa2' }), 'betrouwbaar'],
    ['another service', 403, company(KVK, { attributes: { 'urn:etoegang:core:ServiceUUID': 'x' } }), 'machtiging'],
    ['an organisation that is not registered', 401, company('33333333'), 'niet bekend'],
    ['numbers of two organisations', 403, company('x', { attributes: { [SUBJECT]: [KVK, OTHER_KVK] } }), 'niet bekend'],
  ])('is refused with %s', async (_what, status, says, words) => {
    const browser = new Browser();
    const page = await browser.come(signedIn(named(says)));
    expect([browser.last.status, browser.isIn]).toEqual([status, false]);
    expect(page).toContain(words);
  });

  test('that was broken off is told so', async () => {
    const page = await new Browser().come((asked) =>
      responseOf(asked, '', { status: 'Responder', second: 'AuthnFailed' }),
    );
    expect(page).toContain('afgebroken');
  });

  test('nothing of a person is kept: not in the log of what was done, not in lines', async () => {
    const records = async () =>
      (await at.operator.readAuditLog({ limit: 2000 })).leaves.map(({ record }) => AuditRecord.decode(record));
    const signedInFor = { kind: AuditKind.AUDIT_KIND_SIGNED_IN, partyOin: board, method: 'SignIn/Begin' };
    await expect.poll(records).toContainEqual(expect.objectContaining(signedInFor));
    const all =
      said.join('\n') + JSON.stringify(await records(), (_, value) => (typeof value === 'bigint' ? '' : value));
    for (const secret of ['a-person-whom-nobody', KVK, SUBJECT]) expect(all).not.toContain(secret);
  });
});

/** Whatever is made of a response must be refused, with a word for the log that says which rule it broke. */
async function refused(make: (asked: Asked) => string | Buffer, why: string): Promise<void> {
  const browser = new Browser();
  const from = said.length;
  const page = await browser.come(make);
  expect([browser.last.status, browser.isIn]).toEqual([401, false]);
  expect(page).toContain('geldt niet of is al gebruikt');
  expect([...browser.jar.keys()]).toEqual([]);
  const lines = said.slice(from).filter((line) => line.includes('sign_in_refused'));
  expect(lines.map((line) => (JSON.parse(line) as { why: string }).why)).toEqual([why]);
}

describe('SAML: XML signature wrapping', () => {
  /** What an attacker has: an assertion about itself, well signed; and one about the board, by its own hand. */
  const both = (asked: Asked) => {
    const real = signedAssertion(asked, named(mine), how);
    const forged = assertionOf(asked, { ...named(victim), id: '_forged' });
    return { real, forged, bare: real.xml.replace(real.signature, '') };
  };
  const withSignature = (xml: string, signature: string) => xml.replace('</saml:Issuer>', `</saml:Issuer>${signature}`);

  test.each<[string, string, (asked: Asked) => string]>([
    [
      'a forged response around the whole signed one',
      'not_one_assertion',
      (asked) => {
        const { real, forged } = both(asked);
        return responseOf(asked, forged.xml + responseOf(asked, real.xml));
      },
    ],
    [
      'a forged assertion before the signed one',
      'not_one_assertion',
      (asked) => responseOf(asked, both(asked).forged.xml + both(asked).real.xml),
    ],
    [
      'a forged assertion behind the signed one',
      'not_one_assertion',
      (asked) => responseOf(asked, both(asked).real.xml + both(asked).forged.xml),
    ],
    [
      'the signed one within the forged one',
      'not_one_assertion',
      (asked) => {
        const { real, forged } = both(asked);
        return responseOf(
          asked,
          forged.xml.replace('<saml:Subject>', `<saml:Advice>${real.xml}</saml:Advice><saml:Subject>`),
        );
      },
    ],
    [
      'the signed one in an Object of its signature, which the forged one carries',
      'not_one_assertion',
      (asked) => {
        const { real, forged, bare } = both(asked);
        const holding = real.signature.replace('</ds:Signature>', `<ds:Object>${bare}</ds:Object></ds:Signature>`);
        return responseOf(asked, withSignature(forged.xml, holding));
      },
    ],
    [
      'the signed one in Extensions of the response',
      'not_one_assertion',
      (asked) => {
        const { real, forged } = both(asked);
        const whole = responseOf(asked, forged.xml);
        return whole.replace('<samlp:Status>', `<samlp:Extensions>${real.xml}</samlp:Extensions><samlp:Status>`);
      },
    ],
    [
      'the signature of the one in the other',
      'signs_something_else',
      (asked) => responseOf(asked, withSignature(both(asked).forged.xml, both(asked).real.signature)),
    ],
    [
      'the id of the signed one taken over by the forged one',
      'signature',
      (asked) => {
        const { real, forged } = both(asked);
        return responseOf(asked, withSignature(forged.xml.replace('_forged', real.id), real.signature));
      },
    ],
    [
      'the forged one beside the signed one, hidden in another namespace',
      'not_one_assertion',
      (asked) => {
        const { real, forged } = both(asked);
        return responseOf(asked, real.xml + forged.xml.replace('urn:oasis:names:tc:SAML:2.0:assertion', 'urn:x'));
      },
    ],
    [
      'an attribute with another case of ID',
      'ids',
      (asked) => {
        const { real } = both(asked);
        return responseOf(asked, real.xml.replace('<saml:Subject>', `<saml:Subject Id="${real.id}">`));
      },
    ],
    [
      'a second reference, to something else',
      'signature_form',
      (asked) => {
        const { real } = both(asked);
        const reference = /<ds:Reference.*<\/ds:Reference>/.exec(real.signature)![0];
        return responseOf(asked, real.xml.replace(reference, reference + reference));
      },
    ],
    [
      'a signature that stands twice',
      'unsigned',
      (asked) => responseOf(asked, both(asked).real.xml.replace(/(<ds:Signature .*<\/ds:Signature>)/, '$1$1')),
    ],
    [
      'a second SignedInfo within KeyInfo',
      'signature_form',
      (asked) => {
        const { real } = both(asked);
        const info = /<ds:SignedInfo.*<\/ds:SignedInfo>/.exec(real.signature)![0];
        return responseOf(asked, real.xml.replace('<ds:X509Data>', `${info}<ds:X509Data>`));
      },
    ],
    [
      'a crowd of signatures beside it',
      'signature_elsewhere',
      (asked) => responseOf(asked, both(asked).real.xml + `<ds:Signature xmlns:ds="${DSIG}"/>`.repeat(500)),
    ],
    [
      'a crowd of elements in KeyInfo, which is not read',
      'too_large',
      (asked) =>
        responseOf(
          asked,
          both(asked).real.xml.replace('<ds:X509Data>', `${'<x xmlns="urn:x"/>'.repeat(100)}<ds:X509Data>`),
        ),
    ],
    [
      'a crowd of elements anywhere, which a reader would search for long',
      'too_large',
      (asked) => responseOf(asked, both(asked).real.xml + '<x/>'.repeat(6000)),
    ],
    [
      'an assertion that says more than was signed',
      'signature',
      (asked) => responseOf(asked, both(asked).real.xml.replace(OTHER_KVK, KVK)),
    ],
    [
      'a response that is signed, and its assertion not',
      'unsigned',
      (asked) => {
        const whole = responseOf(asked, both(asked).bare, { id: '_whole' });
        return whole.replace(
          '</saml:Issuer><samlp:Status>',
          `</saml:Issuer>${signatureOf(whole, '_whole', how)}<samlp:Status>`,
        );
      },
    ],
    ['no signature at all', 'unsigned', (asked) => responseOf(asked, both(asked).forged.xml)],
    [
      'the signature beside the assertion',
      'unsigned',
      (asked) => responseOf(asked, both(asked).bare + both(asked).real.signature),
    ],
    [
      'an encrypted assertion',
      'encrypted',
      (asked) => responseOf(asked, '<saml:EncryptedAssertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"/>'),
    ],
  ])('%s', async (_what, why, make) => refused(make, why));
});

describe('SAML: documents', () => {
  const right = signedIn(named(victim));
  test.each<[string, string, (xml: string) => string | Buffer]>([
    ['XXE', 'markup', (xml) => `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>${xml}`],
    [
      'an entity bomb',
      'markup',
      (xml) => `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>${xml.replace('loa3', '&b;')}`,
    ],
    ['an entity that nobody defined', 'not_xml', (xml) => xml.replace('loa3', '&b;')],
    ['a comment', 'markup', (xml) => xml.replace('loa3', 'loa3<!-- -->')],
    ['CDATA', 'markup', (xml) => xml.replace('loa3', '<![CDATA[loa3]]>')],
    ['an instruction', 'markup', (xml) => xml.replace('<samlp:Status>', '<?x y?><samlp:Status>')],
    ['another encoding', 'not_utf8', (xml) => Buffer.from(`<?xml version="1.0" encoding="ISO-8859-1"?>${xml}`)],
    ['UTF-16', 'not_utf8', (xml) => Buffer.from(`\ufeff${xml}`, 'utf16le')],
    ['no XML', 'not_xml', () => 'SAMLResponse'],
    ['too much of it', 'too_large', (xml) => xml + ' '.repeat(140_000)],
  ])('%s', async (_what, why, make) => refused((asked) => make(right(asked)), why));

  test.each([
    'SHA-1',
    'none',
    'HMAC with the public key',
    'a digest by SHA-1',
    'canonical form with comments',
    'a transform that chooses',
  ])('algorithm downgrade: %s', async (what) => {
    const by: Record<string, Partial<How>> = {
      'SHA-1': { method: `${DSIG}rsa-sha1` },
      none: { method: 'http://www.w3.org/2000/09/xmldsig#none' },
      'HMAC with the public key': { method: `${DSIG}hmac-sha1` },
      'a digest by SHA-1': { digest: `${DSIG}sha1` },
      'canonical form with comments': { canonical: 'http://www.w3.org/2001/10/xml-exc-c14n#WithComments' },
      'a transform that chooses': {
        transforms: ['http://www.w3.org/TR/1999/REC-xpath-19991116', `${DSIG}enveloped-signature`],
      },
    };
    const why = what === 'a transform that chooses' ? 'transforms' : 'algorithm';
    await refused((asked) => {
      const xml = signedIn(named(victim), { ...how, ...by[what] })(asked);
      if (what !== 'HMAC with the public key') return xml;
      const info = /<ds:SignedInfo.*<\/ds:SignedInfo>/.exec(xml)![0];
      const mac = createHmac('sha1', signer.certificate).update(info).digest('base64');
      return xml.replace(/<ds:SignatureValue>.*<\/ds:SignatureValue>/, `<ds:SignatureValue>${mac}</ds:SignatureValue>`);
    }, why);
  });

  test('comment injection: a comment in a NameID neither cuts it short nor goes through', async () => {
    // Signed by the provider for an account with a longer name; a reader that stops at the comment would see the board’s number.
    const make = (asked: Asked) => {
      const { xml } = signedAssertion(asked, { ...mine, attributes: {}, nameId: '123456782.evil.example' }, how);
      return responseOf(asked, xml.replace('123456782.evil', '123456782<!---->.evil'));
    };
    await refused(make, 'markup');
    const whole = new Browser();
    await whole.come((asked) =>
      responseOf(asked, signedAssertion(asked, { ...mine, attributes: {}, nameId: '123456782.evil.example' }, how).xml),
    );
    expect([whole.last.status, whole.isIn]).toEqual([403, false]);
  });
});

describe('SAML: who it is for, and when', () => {
  test.each<[string, string, Says]>([
    ['wrong audience', 'audience', { audience: 'https://elsewhere.example/saml' }],
    ['wrong recipient', 'recipient', { recipient: 'https://elsewhere.example/saml/acs' }],
    ['expired', 'too_late', { until: -60 }],
    ['confirmed for a time that is over', 'too_late', { confirmedUntil: -60 }],
    ['confirmed without an end', 'times', { confirmedUntil: undefined }],
    ['not yet valid', 'too_early', { notBefore: 120 }],
    ['of another issuer', 'issuer', { issuer: 'https://elsewhere.example/saml' }],
    ['in answer to another request', 'inresponseto', { inResponseTo: '_another' }],
    ['not by its bearer', 'method', { method: 'urn:oasis:names:tc:SAML:2.0:cm:sender-vouches' }],
  ])('%s', async (_what, why, more) => refused(signedIn(named({ ...victim, ...more })), why));

  test.each<[string, How]>([
    ['another identity provider’s certificate', { signer: stranger }],
    ['another key under the certificate of the right one', { signer: stranger, shows: signer }],
    ['our own key', { signer: ours }],
  ])('%s', async (_what, by) => refused(signedIn(named(victim), by), 'signature'));

  test('unsolicited: an assertion that answers no request is refused, whatever its response says', async () => {
    // Held by whoever got hold of an assertion that the provider began by itself.
    await refused((asked) => {
      const { id, xml } = assertionOf(asked, named(victim));
      const bare = xml.replace(/ InResponseTo="[^"]*"/, '');
      return responseOf(asked, bare.replace('</saml:Issuer>', `</saml:Issuer>${signatureOf(bare, id, how)}`));
    }, 'inresponseto');
    const browser = new Browser();
    const asked = await new Browser().begin();
    await browser.post(signedIn(named(victim))(asked));
    expect([browser.last.status, browser.isIn]).toEqual([401, false]);
  });

  test('a response that another browser asked for is refused (login CSRF)', async () => {
    const [mineToo, theirs] = [new Browser(), new Browser()];
    const asked = await mineToo.begin();
    await theirs.begin();
    await theirs.post(signedIn(named(mine))(asked));
    expect([theirs.last.status, theirs.isIn]).toEqual([401, false]);
  });

  test('replay: a response is taken once, also with the cookie that it came with, and at any door', async () => {
    const browser = new Browser();
    const asked = await browser.begin();
    const jar = new Map(browser.jar);
    const response = signedIn(named(victim))(asked);
    await browser.post(response);
    expect(browser.isIn).toBe(true);
    const thief = new Browser();
    for (const [name, value] of jar) thief.jar.set(name, value);
    await thief.post(response);
    expect([thief.last.status, thief.isIn]).toEqual([401, false]);
    await at.restart();
    for (const [name, value] of jar) thief.jar.set(name, value);
    await thief.post(response);
    expect([thief.last.status, thief.isIn]).toEqual([401, false]);
  });

  test('replay: the id of an assertion is taken once, whatever request it answers', async () => {
    const says = { ...named(victim), id: '_once-and-for-all' };
    const first = new Browser();
    await first.come(signedIn(says));
    expect(first.isIn).toBe(true);
    const second = new Browser();
    await second.come(signedIn(says));
    expect([second.last.status, second.isIn]).toEqual([401, false]);
  });

  test('nothing is begun or finished by another method, and no page of OpenID Connect is there', async () => {
    const browser = new Browser();
    const asked = await browser.begin();
    const packed = encodeURIComponent(Buffer.from(signedIn(named(victim))(asked)).toString('base64'));
    await browser.go(`/saml/acs?SAMLResponse=${packed}`);
    expect(browser.isIn).toBe(false);
    await browser.go('/oidc/sign-in');
    expect(browser.isIn).toBe(false);
    expect(browser.last.headers.get('location')).toBeNull();
    // Of all that is posted only this comes from elsewhere.
    const body = new URLSearchParams({ token: 'x' });
    await browser.go('/school/change', { method: 'POST', body, headers: { origin: 'https://idp.example' } });
    expect(browser.last.status).toBe(403);
  });
});

test('a certificate with a weak key, or metadata that is over, does not start', async () => {
  const starts = (metadata: string) => {
    const file = join(folder, 'other.xml');
    writeFileSync(file, metadata);
    return startTestGateway({ EDUK_PUBLIC_URL: PUBLIC_URL, EDUK_SAML_METADATA_FILE: file });
  };
  await expect(starts(metadataOf([newSigner(1024)]))).rejects.toThrow('RSA of at least 2048 bits');
  await expect(starts(metadataOf([signer], ' validUntil="2020-01-01T00:00:00Z"'))).rejects.toThrow('validUntil');
  await expect(starts(metadataOf([]))).rejects.toThrow('no certificate');
  await expect(starts(`<!DOCTYPE x>${metadataOf([signer])}`)).rejects.toThrow('not XML');
});
