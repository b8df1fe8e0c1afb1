/**
 * The suite on both engines, in a size that a test has time for, and the proof that it can fail: leaks that are planted are
 * found, each form of writing is found, and a report that was changed is not taken.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import edexml from '#adapters/edexml';
import { missingHere } from '#deploy/local';
import { adapters } from '../../adapters/contract/registry.ts';
import { type Canary, Identities, inAscii, type Kind, kinds, passesEleven } from './identities.ts';
import { reportOf } from './main.ts';
import { contracted, httpPaths, isKnown, operations } from './operations.ts';
import { plants } from './plants.ts';
import { type EngineReport, pageOf, type Signed, signatureProblems, signReport, verdictOf } from './report.ts';
import { runSuite } from './run.ts';
import { forms, Search } from './search.ts';

const SEED = Number(process.env['EDUK_CANARY_SEED'] ?? 20261122);
const missing = await missingHere();
const folder = mkdtempSync(join(tmpdir(), 'eduk-canary-test-'));
const compiled = join(folder, 'compiled');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a run of the suite must not say. */
const wrong = ({ findings, problems }: EngineReport): unknown[] => [...findings, ...problems];

describe('the suite', () => {
  test('finds nothing on the embedded engine', { timeout: 600_000 }, async () => {
    const report = await runSuite({ engine: 'embedded', seed: SEED, size: 'quick', compiled });
    expect(wrong(report), `seed ${SEED}`).toEqual([]);
    // Every method and every exchange was tried, each with something that does not belong there.
    const tried = new Map(report.tried.map((one) => [one.operation, one]));
    for (const { name } of operations) expect([name, tried.get(name)!.planted > 0]).toEqual([name, true]);
    for (const { name, exchanges } of adapters)
      for (const exchange of Object.keys(exchanges))
        expect(tried.get(`${name}/${exchange}`)!.calls).toBeGreaterThan(20);
  });

  test.skipIf(missing !== undefined)('finds nothing on the distributed engine', { timeout: 900_000 }, async () => {
    const report = await runSuite({ engine: 'distributed', seed: SEED, size: 'brief', compiled });
    expect(wrong(report), `seed ${SEED}`).toEqual([]);
    expect(report.searched.map(({ place }) => place)).toEqual(
      expect.arrayContaining(['records of Kafka', 'rows of the state', 'rows of the vault', 'the wire to Kafka']),
    );
  });

  test('finds every leak that is planted, and names what it does not know', { timeout: 600_000 }, async () => {
    const report = await runSuite({
      engine: 'embedded',
      seed: SEED,
      size: 'brief',
      compiled,
      plant: Object.keys(plants).join(','),
      adapters: [...adapters, { ...edexml, name: 'nieuw' }],
    });
    const places = new Set(report.findings.map(({ place }) => place));
    // Each of them by itself: what is found here is found nowhere without that plant.
    expect(places).toContain('answers to what was refused: POST /edexml'); // adapter
    expect(places).toContain('what processes wrote'); // log
    expect(places).toContain('answers: HTTP /metrics'); // metric
    expect(places).toContain('dead letters'); // dead-letter
    expect(places).toContain('traces and metrics'); // trace
    expect(places).toContain('answers to what was refused: OperatorService.FetchReveal'); // reveal
    expect(report.findings.some(({ place, kind }) => place === 'dead letters' && kind === 'words of a peer')).toBe(
      true,
    );
    expect(Object.keys(plants)).toEqual(['adapter', 'log', 'metric', 'dead-letter', 'trace', 'reveal']);
    expect(verdictOf([report])).toBe('leaks');
    expect(report.problems).toContainEqual(expect.stringContaining('nieuw/EDEX is in the registry'));
  });

  test('has leaks to plant that fit the sources of today', () => {
    for (const { changes } of Object.values(plants))
      for (const { file, from } of changes)
        expect(readFileSync(join(import.meta.dirname, '../..', file), 'utf8')).toContain(from);
  });

  test('knows the services of the doors apart from those of roles, and the paths of HTTP', () => {
    const others = contracted().filter(({ service }) => !isKnown(service));
    expect(others.map(({ service }) => service)).toContain('eduk.bus.v1.LogService');
    expect(others.every(({ service }) => !/^eduk\.(gateway|operator)\./.test(service))).toBe(true);
    expect(httpPaths()).toEqual(expect.arrayContaining(['/edexml', '/oauth2/token', '/metrics']));
  });
});

describe('invented identities', () => {
  const some = (seed: number): Canary[] => {
    const identities = new Identities(seed);
    return kinds
      .filter((kind) => kind !== 'id' && kind !== 'secret of a party')
      .map((kind) => identities.make(kind, 'here'));
  };
  test('are the same for the same seed, and unlike each other', () => {
    expect(some(1)).toEqual(some(1));
    const identities = new Identities(3);
    const all = Array.from({ length: 500 }, () => identities.make('family name', 'here').value);
    expect(new Set(all).size).toBe(500);
  });
  test('are of nobody: a BSN passes its test and was never given out', () => {
    const identities = new Identities(4);
    for (let i = 0; i < 50; i++) {
      const { value } = identities.make('BSN', 'here', true);
      expect([value, /^9\d{8}$/.test(value), passesEleven(value)]).toEqual([value, true, true]);
    }
    expect(passesEleven('123456789')).toBe(false);
  });
});

describe('the search', () => {
  const identities = new Identities(5);
  const search = new Search();
  const planted = new Map<Kind, Canary>();
  for (const kind of kinds) {
    if (kind === 'id' || kind === 'secret of a party') continue;
    const canary = identities.make(kind, 'here', true);
    planted.set(kind, canary);
    search.add(canary);
  }
  const name = planted.get('family name')!;
  const found = (bytes: Uint8Array | string): Kind[] => [...new Set(search.in(bytes).map(({ canary }) => canary.kind))];
  const reference = (text: string, write: (code: number) => string): string =>
    Array.from({ length: text.length }, (_, i) => write(text.charCodeAt(i))).join('');
  const swap = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();

  const ways: [string, (text: string) => Uint8Array | string][] = [
    ['plain', (text) => text],
    ['among other bytes', (text) => Buffer.concat([Buffer.of(1, 2, 0xff), Buffer.from(text), Buffer.of(0, 0xfe)])],
    ['Latin-1', (text) => Buffer.from(text, 'latin1')],
    ['UTF-16 LE', (text) => Buffer.from(text, 'utf16le')],
    ['UTF-16 BE', swap],
    ['ASCII', (text) => inAscii(text)],
    ['base64 of ASCII in capitals', (text) => Buffer.from(inAscii(text).toUpperCase()).toString('base64')],
    ['UTF-16 of capitals', (text) => Buffer.from(text.toUpperCase(), 'utf16le')],
    ['hexadecimal', (text) => Buffer.from(text).toString('hex')],
    ['hexadecimal of capitals', (text) => Buffer.from(text.toUpperCase()).toString('hex')],
    ['hexadecimal in capitals', (text) => Buffer.from(text).toString('hex').toUpperCase()],
    ...[0, 1, 2].map((before): [string, (text: string) => string] => [
      `base64, ${before} bytes in`,
      (text) => Buffer.from(`${'x'.repeat(before)}${text}y`).toString('base64'),
    ]),
    ['base64url', (text) => Buffer.from(`{"x":"${text}"}`).toString('base64url')],
    ['URL-encoded', (text) => encodeURIComponent(text)],
    [
      'URL-encoded throughout',
      (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase()}`).join(''),
    ],
    ['JSON', (text) => JSON.stringify({ text })],
    ['JSON-escaped', (text) => reference(text, (code) => `\\u${code.toString(16).padStart(4, '0')}`)],
    ['XML references', (text) => reference(text, (code) => `&#${code};`)],
    ['XML references in hexadecimal', (text) => reference(text, (code) => `&#x${code.toString(16).toUpperCase()};`)],
    ['gzip', (text) => Buffer.concat([Buffer.from('before'), gzipSync(`x ${text} y`), Buffer.from('after')])],
    [
      'gzip with the name of a file',
      (text) => {
        const [head, rest] = [gzipSync(`x ${text} y`).subarray(0, 10), gzipSync(`x ${text} y`).subarray(10)];
        head[3] = 8;
        return Buffer.concat([head, Buffer.from('roster.xml\0'), rest, Buffer.from('after')]);
      },
    ],
    ['gzip that was cut off', (text) => gzipSync(`x ${text} y${'z'.repeat(500)}`).subarray(0, -12)],
    ['deflate', (text) => deflateSync(`x ${text} y`)],
    ['zstd', (text) => zstdCompressSync(`x ${text} y`)],
    ['gzip in gzip', (text) => gzipSync(gzipSync(`x ${text} y`))],
    ['hexadecimal in zstd', (text) => zstdCompressSync(Buffer.from(text).toString('hex'))],
  ];
  test.each(ways)('finds each kind written as %s', (_, write) => {
    for (const { kind, value } of planted.values()) expect(found(write(value)), `${kind} ${value}`).toContain(kind);
  });
  test('finds capitals, digests that need no key, and a number in binary', async () => {
    const { createHash } = await import('node:crypto');
    expect(found(name.value.toUpperCase())).toEqual(['family name']);
    const bsn = planted.get('BSN')!;
    for (const algorithm of ['md5', 'sha1', 'sha256', 'sha512'])
      for (const digest of [
        createHash(algorithm).update(bsn.value).digest(),
        createHash(algorithm).update(bsn.value).digest('hex'),
        createHash(algorithm).update(bsn.value).digest('base64'),
      ])
        expect(found(digest)).toEqual(['BSN']);
    const score = Buffer.alloc(12);
    score.writeDoubleLE(Number(planted.get('score')!.value), 3);
    expect(found(score)).toEqual(['score']);
  });
  test('does not find a short number in a longer one, or what is not there', () => {
    const bsn = planted.get('BSN')!.value;
    expect(found(`1${bsn}`)).toEqual([]);
    expect(found(`a ${bsn}, b`)).toEqual(['BSN']);
    const day = planted.get('birth date')!.value.replaceAll('-', '');
    expect(found(`a${day}f`)).toEqual([]);
    expect(found(JSON.stringify(identities.make('family name', 'elsewhere')))).toEqual([]);
  });
  test('looks through files of any size, and across the pieces in which they are read', () => {
    const file = join(folder, 'large');
    const bytes = Buffer.alloc(66 * 1024 * 1024);
    const at = 64 * 1024 * 1024 - 4;
    bytes.write(name.value, at);
    bytes.write(planted.get('call name')!.value, bytes.length - 40);
    writeFileSync(file, bytes);
    expect(new Set(search.inFile(file).map(({ canary }) => canary.kind))).toEqual(
      new Set(['family name', 'call name']),
    );
  });
  test('says as what it was found', () => {
    const hits = search.in(gzipSync(Buffer.from(name.value).toString('base64')));
    expect(hits.map(({ form, inside }) => [...inside, form])).toContainEqual(['gzip', 'base64']);
    for (const form of hits.map(({ form }) => form)) expect(forms).toContain(form);
  });
});

describe('the report', () => {
  const run: EngineReport = {
    engine: 'embedded',
    seconds: 3,
    identities: { 'family name': 2 },
    tried: [{ operation: 'OrderService.PlaceOrder', calls: 4, refused: 3, planted: 2 }],
    searched: [{ place: 'files of the gateway', pieces: 5, bytes: 1_000_000, found: 0 }],
    entitled: [{ receiver: 'who may', identities: 1, got: 1 }],
    findings: [],
    problems: [],
  };
  const leak = { place: 'a | b', kind: 'family name', put: 'here', form: 'plain', times: 1 };
  const signed = signReport(reportOf([run], 1, new Date()));
  const copy = (): Signed => structuredClone(signed);

  test('says what it proves', () => {
    expect(signed.report.verdict).toBe('clean');
    expect(verdictOf([run, { ...run, findings: [leak] }])).toBe('leaks');
    expect(verdictOf([{ ...run, problems: ['not tried'] }])).toBe('unproven');
    expect(verdictOf([])).toBe('unproven');
  });
  test('is taken as it was signed, also after its names changed their order', () => {
    expect(signatureProblems(copy())).toEqual([]);
    expect(
      signatureProblems(JSON.parse(JSON.stringify({ signature: signed.signature, report: signed.report }))),
    ).toEqual([]);
    expect(signed.signature.key).toBe('made for this run');
  });
  test.each<[string, (one: any) => void]>([
    [
      'its verdict',
      (one) => {
        one.report.verdict = 'leaks';
      },
    ],
    [
      'a count',
      (one) => {
        one.report.engines[0].tried[0].calls = 5;
      },
    ],
    [
      'something left out',
      (one) => {
        one.report.engines.pop();
      },
    ],
    [
      'something added',
      (one) => {
        one.report.more = 1;
      },
    ],
    [
      'the id of the key',
      (one) => {
        one.signature.keyId = '0'.repeat(16);
      },
    ],
    [
      'the key',
      (one) => {
        one.signature.publicKey = signReport(one.report).signature.publicKey;
      },
    ],
    [
      'the signature',
      (one) => {
        one.signature.value = Buffer.alloc(64).toString('base64');
      },
    ],
    [
      'no key',
      (one) => {
        one.signature.publicKey = 'x';
      },
    ],
  ])('is not taken with %s changed', (_, change) => {
    const changed = copy();
    change(changed);
    expect(signatureProblems(changed)).not.toEqual([]);
  });
  test('is not taken from another key than the one that was given, nor when it is no report', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const file = join(folder, 'report-key');
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
    const given = signReport(signed.report, file);
    expect(given.signature.key).toBe('given');
    expect(signatureProblems(given, pem)).toEqual([]);
    expect(signatureProblems(signed, pem)).toEqual(['It was signed with another key than the one that was given.']);
    expect(signatureProblems({ report: {} })).toEqual(['This is no report of the canary suite.']);
    expect(signatureProblems(null)).toHaveLength(1);
  });
  test('has a page that a person can read', () => {
    const page = pageOf(
      signReport({
        ...signed.report,
        engines: [{ ...run, findings: [leak], problems: ['not tried'] }],
        verdict: 'leaks',
      }),
    );
    for (const text of [
      'It leaks',
      'OrderService.PlaceOrder | 4 | 3 | 2',
      'a \\| b',
      'not tried',
      'Ed25519',
      '## Limits',
    ])
      expect(page).toContain(text);
    expect(pageOf(signed)).toContain('Nothing.');
  });
});
