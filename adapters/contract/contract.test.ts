import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import osr from '#adapters/osr';
import uwlr from '#adapters/uwlr';
import { Clear, GatewayError } from '#kernel';
import { Roster } from '#proto/eduk/core/v1/learner';
import type { Adapter, Exchange } from './index.ts';
import { adapters, meanings, notRead } from './registry.ts';
import { adapterProblems, brokenForms, sourceProblems, valuesIn } from './suite.ts';

const folders = join(import.meta.dirname, '..');
const folderOf = (adapter: Adapter): string => join(folders, adapter.name);

describe('the registry', () => {
  test('names every adapter there is, once', () => {
    const there = readdirSync(folders)
      .filter((name) => existsSync(join(folders, name, 'examples')))
      .sort();
    expect(adapters.map(({ name }) => name)).toEqual(there);
  });
  test('tells of exchanges and files that exist', () => {
    const known = adapters.flatMap(({ name, exchanges }) =>
      Object.keys(exchanges).map((exchange) => `${name}/${exchange}`),
    );
    expect(Object.keys(meanings).sort()).toEqual(known.sort());
    for (const { adapter } of notRead) expect(adapters.map(({ name }) => name)).toContain(adapter);
  });
});

describe.each(adapters.map((adapter) => [adapter.name, adapter] as const))('adapter %s', (_, adapter) => {
  test('means what its examples say, refuses what is broken, quotes nobody, opens nothing', () => {
    expect(adapterProblems(adapter, folderOf(adapter), meanings, notRead)).toEqual([]);
  });
});

describe('the suite itself', () => {
  /** UWLR, with one exchange made wrong. */
  const wrong = (change: (exchange: Exchange) => Partial<Exchange>, more: Partial<Adapter> = {}): string[] => {
    const { leerresultaten } = uwlr.exchanges;
    const planted: Adapter = {
      ...uwlr,
      ...more,
      exchanges: {
        ...uwlr.exchanges,
        leerresultaten: { ...leerresultaten, ...change(leerresultaten as Exchange<any, any>) } as Exchange,
      },
    };
    return adapterProblems(planted, folderOf(uwlr), meanings, notRead);
  };
  const caught = (use: () => unknown): unknown => {
    try {
      return use();
    } catch (error) {
      return error;
    }
  };

  test('knows values and broken forms of JSON', () => {
    const example = Buffer.from(
      '[{"naam": "Fenna \\"de\\" Vries", "klas":"Noa", "groep": ["Waterkamp", null], "n": 3}]',
    );
    expect(valuesIn(example)).toEqual(['Fenna \\"de\\" Vries', 'Waterkamp']);
    const forms = brokenForms(example);
    expect(forms.filter(({ refused }) => refused).length).toBeGreaterThan(15);
    expect(forms.filter(({ how }) => how.startsWith('value '))).toHaveLength(9);
    for (const { how, bytes } of forms) expect([how, Buffer.compare(bytes, example) === 0]).toEqual([how, false]);
  });

  test('finds an adapter of JSON that lets the parser speak, or takes whatever comes', () => {
    const wrongly = (read: (bytes: Uint8Array) => unknown): string =>
      adapterProblems(
        { ...osr, exchanges: { ...osr.exchanges, schools: { ...osr.exchanges.schools, read } as Exchange } },
        folderOf(osr),
        meanings,
        notRead,
      ).join('\n');
    expect(wrongly((bytes) => JSON.parse(Buffer.from(bytes).toString()))).toMatch(/refused by SyntaxError/);
    expect(wrongly(() => [])).toMatch(/does not mean what its .core.json says[\s\S]*empty: is not refused/);
    const quoting = (bytes: Uint8Array): unknown => {
      throw new GatewayError('wire.invalid', Buffer.from(bytes).toString());
    };
    expect(() => wrongly(quoting)).toThrow(GatewayError);
    let first = 2;
    expect(wrongly((bytes) => (first-- > 0 ? osr.exchanges.schools.read(bytes) : quoting(bytes)))).toMatch(
      /its refusal quotes the document/,
    );
  });

  test('tries every kind of broken form on a document with values', () => {
    const example = Buffer.from('<?xml version="1.0"?>\n<klas key="Fenna"><b>Waterkamp</b><c>Noa</c></klas>');
    expect(valuesIn(example)).toEqual(['Fenna', 'Waterkamp']);
    const forms = brokenForms(example);
    expect(forms.filter(({ refused }) => refused)).toHaveLength(19);
    expect(forms.filter(({ how }) => how.startsWith('value'))).toHaveLength(3);
    expect(new Set(forms.map(({ bytes }) => Buffer.from(bytes).toString('latin1'))).size).toBe(forms.length);
  });

  test('finds an adapter that quotes what it refuses', () => {
    const problems = wrong(({ read }) => ({
      read: (bytes) => {
        const result = caught(() => read!(bytes));
        if (result instanceof GatewayError)
          throw new GatewayError(result.fault, `Could not read: ${Buffer.from(bytes).toString('latin1')}`);
        return result;
      },
    }));
    expect(problems.some((it) => it.includes('truncated at 50 %: its refusal quotes the document'))).toBe(true);
  });
  test('finds a value in a path, and in the words of the standard', () => {
    expect(
      wrong(({ read }) => ({
        read: (bytes) => {
          const result = caught(() => read!(bytes));
          if (result instanceof GatewayError) {
            const name = /LAS-\d+/.exec(Buffer.from(bytes).toString())?.[0];
            throw new GatewayError(result.fault, result.told, { where: `toetsafname[${name}]` });
          }
          return result;
        },
      })).some((it) => it.endsWith('quotes the document')),
    ).toBe(true);
    expect(
      wrong(() => ({}), { sayFault: () => 'LAS-301 is niet bekend' }).some((it) => it.endsWith('quotes the document')),
    ).toBe(true);
  });
  test('finds an adapter that takes what is broken, or fails in another way', () => {
    const taken = wrong(({ read }) => ({
      read: (bytes) => {
        const result = caught(() => read!(bytes));
        return result instanceof GatewayError ? read!(Buffer.from(exampleBytes)) : result;
      },
    }));
    expect(taken.some((it) => it.endsWith('a DOCTYPE added: is not refused'))).toBe(true);
    const failing = wrong(() => ({
      read: () => {
        throw new TypeError('x');
      },
      toCore: uwlr.exchanges.leerresultaten.toCore as Exchange['toCore'],
      examples: [],
    }));
    expect(failing).toContain('leerresultaten: has no example');
    const rude = wrong(({ read }) => ({
      read: (bytes) => {
        const result = caught(() => read!(bytes));
        if (result instanceof GatewayError) throw new TypeError('x');
        return result;
      },
    }));
    expect(rude.some((it) => it.endsWith('empty: is refused by TypeError, not by a GatewayError'))).toBe(true);
    const ours = wrong(({ read }) => ({
      read: (bytes) => {
        const result = caught(() => read!(bytes));
        if (result instanceof GatewayError) throw new GatewayError('gateway.bug');
        return result;
      },
    }));
    expect(ours.some((it) => it.endsWith('empty: is refused as gateway.bug'))).toBe(true);
  });
  test('finds identity outside Clear', () => {
    const problems = wrong(({ toCore }) => ({
      toCore: (wire) => {
        const means = toCore!(wire) as { results: Clear<{ learner: unknown }[]> };
        return { ...means, losses: means.results.reveal((list) => list.map(({ learner }) => learner)) };
      },
    }));
    expect(problems).toContain('leerresultaten, 10-results.xml: lets identity out of Clear');
    expect(problems).toContain('leerresultaten, 10-results.xml: does not mean what its .core.json says');
    expect(JSON.stringify(new Clear(Roster.fromPartial({ schoolOin: 'x' })))).toBe('"[clear]"');
  });
  test('finds an example that is not listed, not there, or set aside for nothing', () => {
    const examples = [{ file: '99-none.xml', shows: 'nothing' }];
    const problems = wrong(() => ({ examples }));
    expect(problems).toContain('leerresultaten, 99-none.xml: is listed, but it or its .core.json is not there');
    expect(problems).toContain('10-results.xml is among the examples, but not listed');
    expect(
      adapterProblems(uwlr, folderOf(uwlr), meanings, [...notRead, { adapter: 'uwlr', file: '98-gone.xml' }]),
    ).toEqual(['98-gone.xml is set aside, but is not there or is read']);
    expect(adapterProblems(uwlr, folderOf(uwlr), {}, notRead)).toContain(
      'leerlinggegevens: the registry does not say how its meaning is written down',
    );
  });
  test('finds sources that open sockets, log or read the environment', () => {
    const planted = [
      "import { request } from 'node:http';",
      "import net from 'net';",
      "import { Client } from '@grpc/grpc-js';",
      'await fetch(url);',
      "import { spawn } from 'node:child_process';",
      "console.log('x');",
      "log('info', 'x');",
      "process.env['X'];",
    ];
    for (const line of planted) expect([line, sourceProblems(new Map([['x.ts', line]])).length]).toEqual([line, 1]);
    expect(sourceProblems(new Map([['x.ts', "import { readFileSync } from 'node:fs';"]]))).toEqual([]);
  });
});

const exampleBytes = await import('node:fs').then(({ readFileSync }) =>
  readFileSync(join(folders, 'uwlr/examples/10-results.xml')),
);
