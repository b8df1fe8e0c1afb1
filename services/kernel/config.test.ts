import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError, databaseUrl, readConfig, readSettingFile, settings } from './config.ts';

let place = '';
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'eduk-config-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const problems = (env: Record<string, string>): readonly string[] => {
  try {
    readConfig(env);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    return thrown.problems;
  }
};

describe('settings', () => {
  test('have their defaults, and nothing is wrong with those', () => {
    const config = readConfig({});
    for (const [name, setting] of Object.entries(settings))
      expect([name, config[name as keyof typeof settings]]).toEqual([
        name,
        'default' in setting ? setting.default : undefined,
      ]);
  });

  test('that are wrong are all told at once, and none with its value', () => {
    const secret = 'g3heim';
    const told = problems({
      EDUK_ENGINE: secret,
      EDUK_GRPC: secret,
      EDUK_CORE: `127.0.0.1:1,${secret}`,
      EDUK_KAFKA_BROKERS: `${secret}:x`,
      EDUK_DATABASE_URL: `mysql://eduk:${secret}@host/db`,
      EDUK_VAULT_DATABASE_URL: `postgres://eduk:${secret}@ho st/db`,
      EDUK_OUTBOX_MAX: secret,
      EDUK_NOTHING: secret,
    });
    expect(told.map((one) => one.split(' ')[0]).sort()).toEqual([
      'EDUK_CORE',
      'EDUK_DATABASE_URL',
      'EDUK_ENGINE',
      'EDUK_GRPC',
      'EDUK_KAFKA_BROKERS',
      'EDUK_NOTHING',
      'EDUK_OUTBOX_MAX',
      'EDUK_VAULT_DATABASE_URL',
    ]);
    expect(told.join(' ')).not.toContain(secret);
  });

  test.each([
    [{ EDUK_TLS_CERT: 'a' }, 'EDUK_TLS_CERT needs EDUK_TLS_KEY'],
    [{ EDUK_TLS_CLIENT_CA: 'a' }, 'EDUK_TLS_CLIENT_CA needs EDUK_TLS_CERT'],
    [{ EDUK_INNER_TLS_CERT: 'a', EDUK_INNER_TLS_KEY: 'b' }, 'EDUK_INNER_TLS_CERT needs EDUK_INNER_TLS_CA'],
    [{ EDUK_TRUSTED_PROXY: '10.1.0.5/32' }, 'EDUK_TRUSTED_PROXY needs EDUK_TLS_CLIENT_CA'],
    [
      { EDUK_TRUSTED_PROXY: 'http://10.1.0.0/16', EDUK_TLS_CLIENT_CA: 'a' },
      'EDUK_TRUSTED_PROXY must be networks such as 10.1.0.5/32',
    ],
    [{ EDUK_OIDC_ISSUER: 'https://a.example', EDUK_OIDC_AUDIENCE: 'b' }, 'EDUK_OIDC_ISSUER needs EDUK_OIDC_ROLES'],
    [{ EDUK_OIDC_ROLES: 'read=a' }, 'EDUK_OIDC_ROLES needs EDUK_OIDC_ISSUER'],
    [{ EDUK_KAFKA_SASL: 'plain' }, 'EDUK_KAFKA_SASL needs EDUK_KAFKA_SASL_PASSWORD_FILE'],
    [{ EDUK_KAFKA_TLS_CERT: 'a', EDUK_KAFKA_TLS_KEY: 'b' }, 'EDUK_KAFKA_TLS_CERT needs EDUK_KAFKA_TLS_CA'],
    [{ EDUK_DATABASE_PASSWORD_FILE: 'a' }, 'EDUK_DATABASE_PASSWORD_FILE needs EDUK_DATABASE_URL'],
  ])('%o is worth nothing alone', (env, problem) => {
    expect(problems(env)).toContain(problem);
  });

  test('keep identity in a database of its own', () => {
    const url = 'postgres://host/eduk';
    expect(problems({ EDUK_DATABASE_URL: url, EDUK_VAULT_DATABASE_URL: url })).toEqual([
      expect.stringMatching(/^EDUK_VAULT_DATABASE_URL must name another database/),
    ]);
  });

  test('let nobody else reach an address without TLS', () => {
    const away = {
      EDUK_GRPC: '0.0.0.0:50051',
      EDUK_HTTP: '10.0.0.1:443',
      EDUK_INTERNAL: '[::]:9090',
      EDUK_INNER: 'core.example:50061',
    };
    expect(problems(away).map((one) => one.split(' ')[0])).toEqual([
      'EDUK_GRPC',
      'EDUK_HTTP',
      'EDUK_HTTP', // Without EDUK_PUBLIC_URL nobody knows what it is called.
      'EDUK_INTERNAL',
      'EDUK_INNER',
    ]);
    const tls = {
      EDUK_TLS_CERT: 'a',
      EDUK_TLS_KEY: 'b',
      EDUK_INNER_TLS_CA: 'c',
      EDUK_INNER_TLS_CERT: 'd',
      EDUK_INNER_TLS_KEY: 'e',
      EDUK_PUBLIC_URL: 'https://gateway.example',
    };
    expect(problems({ ...away, ...tls })).toEqual([]);
  });

  test('take secrets from files, and say which one is not there', () => {
    const file = join(place, 'password');
    writeFileSync(file, 'p@ss/w%rd\n');
    const config = readConfig({
      EDUK_DATABASE_URL: 'postgres://eduk@host:5432/eduk?sslmode=verify-full',
      EDUK_DATABASE_PASSWORD_FILE: file,
      EDUK_TLS_CERT: join(place, 'none'),
      EDUK_TLS_KEY: join(place, 'none'),
    });
    const url = new URL(databaseUrl(config, 'EDUK_DATABASE'));
    expect(decodeURIComponent(url.password)).toBe('p@ss/w%rd');
    expect(url.search).toBe('?sslmode=verify-full');
    expect(() => readSettingFile(config, 'EDUK_TLS_CERT')).toThrow(
      /EDUK_TLS_CERT names a file .*ENOENT.*must put it there/,
    );
  });
});
