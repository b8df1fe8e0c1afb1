import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, readConfig } from '#kernel';
import { schoolSignInOf } from './data.ts';

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
const of = (more: Record<string, string> = {}) => schoolSignInOf(readConfig({ ...given, ...more }));

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
