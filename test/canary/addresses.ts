/** Identities in what HTTP has besides bodies: paths, queries, headers, names of files, credentials; and on the command line. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { school } from '../../docs/grpc/seed.ts';
import { cli } from './gateway.ts';
import { inAscii, type Kind, misplaced } from './identities.ts';
import { httpPaths } from './operations.ts';
import type { Sowing } from './sowing.ts';

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** A signed assertion (RFC 7523) of nobody, with words in all of its names. */
const assertion = (text: () => string): string =>
  [
    { alg: 'ES256', typ: 'JWT', kid: text() },
    { iss: text(), sub: text(), aud: text(), jti: text(), exp: 4_000_000_000, leerling: text() },
    {},
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');

export async function sowAddresses(sowing: Sowing): Promise<void> {
  let turn = 0;
  const next = (): Kind => misplaced[turn++ % misplaced.length]!;
  for (const path of httpPaths()) {
    const name = `HTTP ${path}`;
    const ascii = (place: string): string => inAscii(sowing.plant(next(), name, place).value);
    const query = (): string =>
      ['school', 'schooljaar', 'naam', 'wsdl', 'xsd']
        .map((one) => `${one}=${encodeURIComponent(sowing.plant(next(), name, `query ${one}`).value)}`)
        .join('&');
    const headers = (): Record<string, string> => ({
      'user-agent': ascii('header user-agent'),
      referer: `https://las.example/${encodeURIComponent(ascii('header referer'))}`,
      cookie: `naam=${ascii('header cookie')}`,
      traceparent: ascii('header traceparent'),
      'x-leerling': ascii('header x-leerling'),
      'accept-language': ascii('header accept-language'),
      'content-disposition': `attachment; filename="${ascii('name of a file')}.xml"`,
    });
    const bearer = { authorization: `Bearer ${sowing.keys.get('administration')}` };
    const text = (): string => sowing.plant(next(), name, 'body').value;
    for (const init of [
      { method: 'GET', headers: { ...headers(), ...bearer } },
      { method: 'GET', headers: { authorization: ascii('header authorization') } },
      {
        method: inAscii(sowing.plant('family name', name, 'method').value, /[a-z]/i, '').toUpperCase(),
      },
      { method: 'POST', headers: { ...headers(), ...bearer }, body: text() },
      {
        method: 'POST',
        headers: { ...bearer, 'content-type': 'application/json' },
        body: JSON.stringify({ leerling: text() }),
      },
      { method: 'POST', headers: { ...bearer, 'content-encoding': 'gzip' }, body: text() },
      {
        method: 'POST',
        headers: { ...bearer, 'content-type': `multipart/form-data; boundary=x` },
        body: `--x\r\nContent-Disposition: form-data; name="${text()}"; filename="${text()}.xml"\r\n\r\n${text()}\r\n--x--\r\n`,
      },
      {
        method: 'POST',
        headers: {
          authorization: `Basic ${Buffer.from(`${text()}:${text()}`).toString('base64')}`,
          'content-type': 'application/x-www-form-urlencoded',
        },
        body: `grant_type=${encodeURIComponent(text())}&scope=${encodeURIComponent(text())}`,
      },
      {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: `grant_type=client_credentials&client_id=${encodeURIComponent(text())}&client_secret=${encodeURIComponent(text())}`,
      },
      {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: `grant_type=client_credentials&client_assertion_type=${encodeURIComponent(ASSERTION)}&client_assertion=${assertion(text)}`,
      },
    ] as RequestInit[])
      await sowing.fetch(name, `${path}?${query()}`, init);
    await sowing.fetch(
      name,
      `${path === '/' ? '' : path}/${encodeURIComponent(sowing.plant(next(), name, 'path').value)}`,
      { headers: bearer },
    );
  }
  for (const [at, address] of sowing.subject.internal.entries()) {
    const name = 'health and metrics';
    for (const path of [
      '/metrics',
      '/readyz',
      '/healthz',
      `/${encodeURIComponent(sowing.plant(next(), name, 'path').value)}`,
    ])
      await sowing
        .fetch(name, `${address}${path}?naam=${encodeURIComponent(sowing.plant(next(), name, 'query').value)}`, {})
        .catch((thrown: unknown) => {
          // The console has a browser of its own: console.ts.
          if (at === 0) throw thrown;
        });
  }
}

/** What a command says of a file, of a name of a file, and of what stands on its standard input. */
export async function sowCommands(sowing: Sowing, folder: string): Promise<void> {
  const files = join(folder, 'sent');
  mkdirSync(files, { recursive: true });
  const made = (): string => {
    // Its name is the sender's own, and so is what the command is told; neither comes to the gateway.
    const name = sowing.plant('family name', 'eduk', 'name of a file').value.replaceAll(' ', '-');
    const file = join(files, `${name}.xml`);
    writeFileSync(file, `<EDEX><leerling>${sowing.plant('address', 'eduk', 'a file').value}`);
    return file;
  };
  const learner = (): string =>
    `${sowing.plant('ECK iD', 'eduk', 'standard input').value}\n${sowing.plant('family name', 'eduk', 'standard input').value}\n`;
  const publisher = '00000099100000003000';
  for (const [args, input] of [
    [['roster', 'import', made(), '--school', school], ''],
    [['roster', 'import', made(), '--strip-pgn', '--json'], ''],
    [['catalogue', 'import', made(), '--party', publisher], ''],
    [['learner', 'forget', '--school', school], learner()],
    [['learner', 'reveal', '--school', school, '--reason', 'canary-case'], learner()],
    [['flow', 'why', '--learner', '--school', school, '--json'], learner()],
    [['flow', 'list', '--learner', '--school', school], learner().split('\n')[0]!],
    [['flow', 'list', '--learner', '--pseudonym-of', publisher, '--school', school, '--json'], learner()],
  ] as const) {
    const { code, said } = await run(args, input, sowing.subject.env);
    sowing.hear(`eduk ${args.slice(0, 2).join(' ')}`, {
      code: code === 0 ? '' : `exit ${code}`,
      messages: [],
      words: [],
    });
    sowing.looking.at('what commands say', said);
  }
}

export const run = (
  args: readonly string[],
  input: string,
  env: Record<string, string>,
): Promise<{ code: number; said: string }> =>
  new Promise((resolve) => {
    const own = Object.fromEntries(Object.entries(process.env).filter(([one]) => !one.startsWith('EDUK_')));
    const child = execFile(process.execPath, [cli, ...args], { env: { ...own, ...env } }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, said: `${out}\n${err}` }),
    );
    child.stdin!.end(input);
  });
