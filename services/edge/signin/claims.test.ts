import { describe, expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { type ClaimRules, organisationIn } from './claims.ts';

const usual: ClaimRules = {
  claims: { subject: 'org', kind: 'org_kind', branch: 'branch', intermediary: 'by', service: 'service', level: 'acr' },
  least: 'loa3',
  words: new Map(),
  service: undefined,
};
const KVK = 'urn:etoegang:1.9:EntityConcernedID:KvKnr';
const RSIN = 'urn:etoegang:1.9:EntityConcernedID:RSIN';
const from = (said: Record<string, unknown>, rules: Partial<ClaimRules> = {}): readonly string[] | string => {
  try {
    return organisationIn({ acr: 'loa3', ...said }, { ...usual, ...rules });
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown;
    // Nothing that was said is said again.
    for (const value of Object.values(said))
      if (typeof value === 'string' && /\d{4}/.test(value)) expect(thrown.told).not.toContain(value);
    return thrown.where[0]!.path;
  }
};

describe('of whoever signed in is read', () => {
  test.each<[string, Record<string, unknown>, readonly string[]]>([
    ['a KvK number', { org: '12345678', org_kind: KVK }, ['kvk:12345678']],
    ['a KvK number of which nobody says what it is', { org: '12345678' }, ['kvk:12345678']],
    ['an RSIN', { org: '123456782', org_kind: RSIN }, ['rsin:123456782']],
    ['a branch', { org: '12345678', branch: '000012345678' }, ['kvk:12345678/000012345678']],
    ['a list of one', { org: ['12345678'] }, ['kvk:12345678']],
  ])('%s', (_what, said, numbers) => expect(from(said)).toEqual(numbers));

  test('numbers in claims of their own, by name or by path', () => {
    const claims = { level: 'acr', kvk: 'org.kvk', rsin: 'a.b', oin: 'oin', brin: 'brin' };
    const said = { org: { kvk: '12345678' }, 'a.b': '123456782', oin: '00000003123456780000', brin: '99AA' };
    expect(from(said, { claims })).toEqual(['kvk:12345678', 'rsin:123456782', 'oin:00000003123456780000', 'brin:99AA']);
  });
});

test.each<[string, Record<string, unknown>, string]>([
  ['no organisation', {}, 'organisation'],
  ['nine digits of which nobody says what they are', { org: '123456782' }, 'organisation'],
  [
    'a kind of number that is not known',
    { org: '12345678', org_kind: 'urn:etoegang:1.9:EntityConcernedID:BSN' },
    'organisation',
  ],
  ['a kind that its number is not', { org: '12345678', org_kind: RSIN }, 'organisation'],
  ['digits of another script', { org: '1234567８' }, 'organisation'],
  ['a number with something behind it', { org: '12345678\n' }, 'organisation'],
  ['several', { org: ['12345678', '87654321'] }, 'organisation'],
  ['an object', { org: { toString: '12345678' } }, 'organisation'],
  ['a branch that is none', { org: '12345678', branch: '1' }, 'organisation'],
  ['a branch of an RSIN', { org: '123456782', org_kind: RSIN, branch: '000012345678' }, 'organisation'],
  ['another that acts for it', { org: '12345678', by: '87654321' }, 'intermediary'],
  ['no level', { org: '12345678', acr: '' }, 'level'],
  ['a level that is no word', { org: '12345678', acr: 3 }, 'level'],
  ['a level of another kind', { org: '12345678', acr: 'constructor' }, 'level'],
])('%s is refused', (_what, said, where) => expect(from(said)).toBe(where));

describe('the level', () => {
  test.each([
    ['loa2', 0],
    ['urn:etoegang:core:assurance-class:loa2plus', 1],
    ['http://eidas.europa.eu/LoA/substantial', 2],
    ['urn:etoegang:core:assurance-class:loa3', 2],
    ['loa4', 3],
    ['http://eidas.europa.eu/LoA/high', 3],
  ])('%s is enough where no more is asked', (acr, rank) => {
    for (const [i, least] of (['loa2', 'loa2plus', 'loa3', 'loa4'] as const).entries())
      expect([least, from({ org: '12345678', acr }, { least })]).toEqual([
        least,
        i <= rank ? ['kvk:12345678'] : 'level',
      ]);
  });
  test('has words of the provider', () => {
    const words = new Map([['gold', 'loa3' as const]]);
    expect(from({ org: '12345678', acr: 'gold' }, { words })).toEqual(['kvk:12345678']);
    expect(from({ org: '12345678', acr: 'gold' }, { words, least: 'loa4' })).toBe('level');
  });
});

test('the service is the one that is named, where one is', () => {
  const service = 'uuid-1';
  expect(from({ org: '12345678', service }, { service })).toEqual(['kvk:12345678']);
  expect(from({ org: '12345678', service: 'uuid-2' }, { service })).toBe('service');
  expect(from({ org: '12345678' }, { service })).toBe('service');
});
