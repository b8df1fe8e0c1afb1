import { afterEach, beforeEach, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { newEndpoint } from './endpoint.ts';
import { EndpointLines } from './lines.ts';
import type { EndpointRow } from './tables.ts';

let lines: Record<string, unknown>[];
let now: number;
let told: EndpointLines;
let row: EndpointRow;
beforeEach(() => {
  lines = [];
  now = 0;
  logTo((line) => void lines.push(JSON.parse(line)));
  told = new EndpointLines(() => now);
  row = newEndpoint('00000001000000000003', 'webhook', 'https://a.example/hook?token=geheim');
});
afterEach(() => logTo((line) => void process.stderr.write(`${line}\n`), 'info'));

const becomes = (more: Partial<EndpointRow>) => {
  const after = { ...row, ...more };
  told.saw([{ before: row, after }]);
  row = after;
};
const events = () => lines.map(({ event }) => event);

test('the first failure, the rest, the end and the recovery of an endpoint are a line each, without its address', () => {
  becomes({ doubts: 1, status: 500 });
  becomes({ doubts: 2, status: 500 });
  becomes({ doubts: 3, rests: 1, status: 0, cause: 'timeout' });
  for (let rests = 2; rests < 50; rests++) becomes({ rests });
  now = 90_000;
  becomes({ doubts: 0, rests: 0, status: 0, cause: '' });
  becomes({});
  becomes({ gone: 1, status: 410 });
  expect(lines).toMatchObject([
    { level: 'warn', event: 'endpoint_failing', party_oin: row.party, standard: 'webhook', status: 500 },
    { level: 'warn', event: 'endpoint_resting', status: 0, cause: 'timeout' },
    { level: 'info', event: 'endpoint_recovered', party_oin: row.party, failed_ms: 90_000 },
    { level: 'warn', event: 'endpoint_gone', status: 410 },
  ]);
  expect(JSON.stringify(lines)).not.toMatch(/a\.example|geheim|hook\?/);
});

test('one that comes and goes is told of once a minute, and what the last line says is true in the end', () => {
  for (let second = 0; second < 59; second++) {
    now = second * 1000;
    becomes({ rests: 1, status: 503 });
    becomes({ rests: 0, status: 0 });
  }
  expect(events()).toEqual(['endpoint_resting', 'endpoint_recovered']);
  now = 59_000;
  becomes({ rests: 1, status: 503 });
  expect(events()).toHaveLength(2);
  now = 61_000;
  becomes({ rests: 2, status: 503 });
  expect(events()).toEqual(['endpoint_resting', 'endpoint_recovered', 'endpoint_resting']);
});

test('one that failed before a restart is told of once it recovers', () => {
  row = { ...row, rests: 4, status: 503 };
  becomes({ rests: 5 });
  becomes({ rests: 0, status: 0 });
  expect(events()).toEqual(['endpoint_recovered']);
});

test('keys that park are counted, a line a minute', () => {
  const parked = { parked: row, code: 'peer.refused', status: 422 };
  told.saw(Array.from({ length: 500 }, () => parked));
  now = 60_000;
  told.saw([parked]);
  expect(lines).toMatchObject([
    {
      event: 'endpoint_keys_parked',
      party_oin: row.party,
      standard: 'webhook',
      keys: 1,
      code: 'peer.refused',
      status: 422,
    },
    { event: 'endpoint_keys_parked', keys: 500 },
  ]);
});
