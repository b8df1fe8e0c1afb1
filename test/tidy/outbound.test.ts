import { expect, test } from 'vitest';
import { connectsBy, inner, outboundProblems } from './outbound.ts';
import { sources } from './tree.ts';

// Pages run in a browser, and may speak to their own server only: test/chain/console-pages.test.ts looks whether they do.
const ofPages = /^services\/console\/(web|built)\//;
const code = sources(
  (path) => /^(services|adapters)\/.*\.(ts|js)$/.test(path) && !path.endsWith('.test.ts') && !ofPages.test(path),
);

test('nothing in services and adapters connects to somebody but through the dialler', () => {
  expect(code.length).toBeGreaterThan(150);
  expect(outboundProblems(code, inner)).toEqual([]);
  for (const { why } of inner) expect(why.length).toBeGreaterThan(15);
});

test.each([
  "import { request } from 'node:http';",
  "import { type IncomingMessage, get as ask } from 'https';",
  "import {\n  Agent,\n} from 'node:https';",
  "import http from 'node:http';",
  "import * as net from 'node:net';",
  "import { connect } from 'node:tls';",
  "import { Socket } from 'node:net';",
  "import { lookup } from 'node:dns/promises';",
  "import { connect } from 'node:http2';",
  "import { Pool } from 'undici';",
  "import { Client } from '@grpc/grpc-js';",
  "export { request } from 'node:http';",
  "const { connect } = await import('node:net');",
  "const http = process.getBuiltinModule('http');",
  'const answer = await fetch(url);',
  'return cached ? cached : fetch(where, { signal });',
  'const ask = globalThis.fetch;',
  "new WebSocket('wss://x.example');",
])('it is found: %s', (text) => {
  const path = 'services/orders/planted.ts';
  expect(outboundProblems([{ path, text }], [])).toEqual([expect.stringContaining(`${path} connects by`)]);
});

test.each([
  "import type { request } from 'node:http';",
  "import { createServer, type Socket } from 'node:net';",
  "import { createServer, type ClientRequest } from 'node:http';",
  "import { status } from '@grpc/grpc-js';",
  "import { checkServerIdentity } from 'node:tls';",
  'await door.dialler.fetch(url);',
  'await link.fetch({ lanes });',
  '  async fetch({ lanes, most }) {\n    return lanes;\n  }',
  '  fetch(url: string | URL, init?: RequestInit): Promise<Response> {\n  }',
  '  async #fetch(link) {',
  '// await fetch(url) was here',
])('nothing is: %s', (text) => expect(connectsBy(text)).toEqual([]));

test('an inner way that is gone is told', () => {
  const gone = { path: 'services/orders/order.ts', by: 'node:net', why: 'Nothing.' };
  expect(outboundProblems(code, [...inner, gone])).toEqual(['services/orders/order.ts no longer connects by node:net']);
});
