import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, readConfig } from '#kernel';
import type { SchoolSignIn } from '#services/edge';
import { alertsOf, schoolSignInOf, shownSettings, versionEndsOf } from './data.ts';

const folder = mkdtempSync(join(tmpdir(), 'eduk-data-'));
const secret = join(folder, 'secret');
writeFileSync(secret, 'the secret\n');
writeFileSync(join(folder, 'empty'), '\n');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const given = {
  EDUK_SIGNIN_ISSUER: 'https://broker.example',
  EDUK_SIGNIN_CLIENT_ID: 'eduk',
  EDUK_SIGNIN_CLIENT_SECRET_FILE: secret,
};
const of = (more: Record<string, string> = {}) =>
  schoolSignInOf(readConfig({ ...given, ...more })) as SchoolSignIn | undefined;

describe('where boards and schools sign in', () => {
  test('is nowhere until a provider is named', () => expect(schoolSignInOf(readConfig({}))).toBeUndefined());

  test('has the claims of eHerkenning, but for those that are named', () => {
    const signIn = of({
      EDUK_SIGNIN_CLAIMS: 'level=loa, kvk=kvk',
      EDUK_SIGNIN_LEVEL_WORDS: 'gold=loa4',
      EDUK_SIGNIN_PARAMETERS: 'acr_values=idp:eherkenning&prompt=login',
    })!;
    expect(signIn).toMatchObject({ clientSecret: 'the secret', scope: 'openid', least: 'loa3', service: undefined });
    expect(signIn.claims).toMatchObject({ subject: 'urn:etoegang:core:LegalSubjectID', level: 'loa', kvk: 'kvk' });
    expect(signIn.words.get('gold')).toBe('loa4');
    expect(signIn.parameters).toEqual({ acr_values: 'idp:eherkenning', prompt: 'login' });
  });

  test.each([
    [{ EDUK_SIGNIN_CLAIMS: 'naam=name' }, 'EDUK_SIGNIN_CLAIMS may name'],
    [{ EDUK_SIGNIN_CLAIMS: 'subject' }, 'EDUK_SIGNIN_CLAIMS must be NAME=VALUE'],
    [{ EDUK_SIGNIN_LEVEL: 'loa1' }, 'EDUK_SIGNIN_LEVEL must be one of'],
    [{ EDUK_SIGNIN_LEVEL_WORDS: 'gold=gold' }, 'EDUK_SIGNIN_LEVEL_WORDS must be'],
    [{ EDUK_SIGNIN_PARAMETERS: 'redirect_uri=https://elsewhere.example' }, 'what the gateway itself sends'],
    [{ EDUK_SIGNIN_PARAMETERS: 'code_challenge_method=plain' }, 'what the gateway itself sends'],
    [{ EDUK_SIGNIN_SCOPE: 'kvk' }, 'must hold openid'],
    [{ EDUK_SIGNIN_CLIENT_SECRET_FILE: join(folder, 'none') }, 'cannot be read'],
    [{ EDUK_SIGNIN_CLIENT_SECRET_FILE: join(folder, 'empty') }, 'is empty'],
    [{ EDUK_SIGNIN_CLIENT_ID: '' }, 'EDUK_SIGNIN_ISSUER needs EDUK_SIGNIN_CLIENT_ID'],
  ])('is told what is wrong: %o', (more, told) => {
    const read = (): unknown => of(more);
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(told);
    expect(read).not.toThrow('the secret');
  });
});

describe('settings as a page shows them', () => {
  const shown = (env: Record<string, string>) =>
    Object.fromEntries(
      shownSettings(readConfig(env)).map(({ name, value, isDefault }) => [name, { value, isDefault }]),
    );
  test('say what is set, and which are as they always are', () => {
    const all = shown({ EDUK_HOLD_THRESHOLD_PERCENT: '25' });
    expect(all['EDUK_HOLD_THRESHOLD_PERCENT']).toEqual({ value: '25', isDefault: false });
    expect(all['EDUK_ENGINE']).toEqual({ value: 'embedded', isDefault: true });
    expect(all['EDUK_OSR_URL']).toEqual({ value: '', isDefault: true });
  });
  test('hold no password, and no address that is a secret', () => {
    const all = JSON.stringify(
      shown({
        EDUK_DATABASE_URL: 'postgres://eduk:geheim@db/eduk',
        EDUK_VAULT_DATABASE_URL: 'postgres://eduk:geheim@db/vault',
        EDUK_ALERT_WEBHOOK: 'https://hooks.example/geheim',
        EDUK_ALERT_SECRET_FILE: secret,
      }),
    );
    expect(all).not.toContain('geheim');
    expect(all).toContain('"EDUK_DATABASE_URL":{"value":"…"');
  });
});

test('versions end on the days that are named', () => {
  const ends = (text: string) => versionEndsOf(readConfig({ EDUK_VERSION_ENDS: text }));
  expect([...ends('webhook=2027-01-31, uwlr=2027-08-01')]).toEqual([
    ['webhook', '2027-01-31'],
    ['uwlr', '2027-08-01'],
  ]);
  expect(versionEndsOf(readConfig({})).size).toBe(0);
  for (const wrong of ['uwlr', 'uwlr=soon', 'uwlr=2027-02-30', '=2027-01-01'])
    expect(() => ends(wrong)).toThrow(ConfigError);
});

test('alerts go nowhere until that is set', () => {
  expect(alertsOf(readConfig({}))).toEqual({ webhook: undefined, mail: undefined });
});

describe('where boards and schools sign in by SAML', () => {
  const values = {
    EDUK_SAML_IDP: 'https://idp.example/saml',
    EDUK_SAML_URL: 'https://idp.example/sso',
    EDUK_SAML_CERTIFICATE_FILE: secret,
  };
  const saml = (more: Record<string, string> = {}) => schoolSignInOf(readConfig({ ...values, ...more }));

  test('is what values or a file say, by the rules of every sign-in', () => {
    expect(saml({ EDUK_SAML_REQUEST: 'context=urn:x:loa3&index=2', EDUK_SIGNIN_LEVEL: 'loa2' })).toMatchObject({
      provider: { entityId: 'https://idp.example/saml', url: 'https://idp.example/sso' },
      ...{ context: 'urn:x:loa3', index: 2, force: false, key: undefined, least: 'loa2' },
    });
    expect(schoolSignInOf(readConfig({ EDUK_SAML_METADATA_FILE: secret }))).toMatchObject({
      provider: { metadata: Buffer.from('the secret\n') },
    });
  });

  test.each([
    [given, 'boards and schools sign in at one provider'],
    [{ EDUK_SAML_METADATA_FILE: secret }, 'boards and schools sign in at one provider'],
    [{ EDUK_SAML_REQUEST: 'forse=true' }, 'EDUK_SAML_REQUEST may name'],
    [{ EDUK_SAML_REQUEST: 'index=one' }, 'EDUK_SAML_REQUEST may name'],
    [{ EDUK_SAML_KEY_FILE: secret }, 'EDUK_SAML_KEY_FILE needs EDUK_SAML_KEY_CERTIFICATE_FILE'],
    [{ EDUK_SAML_KEY_FILE: secret, EDUK_SAML_KEY_CERTIFICATE_FILE: secret }, 'do not hold a key and its certificate'],
  ])('%o is told', (more, told) => {
    const problems = (): string[] => {
      try {
        saml(more);
        return [];
      } catch (thrown) {
        return (thrown as ConfigError).problems as string[];
      }
    };
    expect(problems().join('; ')).toContain(told);
  });

  test('nothing of it without a provider', () => {
    expect(() => readConfig({ EDUK_SAML_REQUEST: 'force=true' })).toThrow(ConfigError);
    expect(() => readConfig({ EDUK_SAML_URL: 'https://idp.example/sso' })).toThrow(ConfigError);
  });
});
