/**
 * An administration that the gateway asks: it answers with what the suite gives it, one question after the other. Results that
 * it is sent it refuses, as a rule, with what it was sent; each fourth message it takes. Its settings stand in the gateway's folder,
 * its secrets elsewhere: these are looked for as well, and rest nowhere.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parties } from '../../docs/grpc/seed.ts';
import { operation } from './operations.ts';
import { encodedAs, type Sowing } from './sowing.ts';

export interface Administration {
  /** Has the gateway ask for a roster and be answered so. */
  answer(sowing: Sowing, bytes: Uint8Array, status?: number): Promise<void>;
  /** How often it was asked. */
  asked(): number;
  /** Where it takes results. */
  results: string;
  /** Messages of results that came, and that it took. */
  brought(): { came: number; taken: number };
  close(): Promise<void>;
}

const YEAR = '2026-2027';
const RESULTS = '/leerresultaten';
const SOAP = 'http://schemas.xmlsoap.org/soap/envelope/';
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** What it says to a message of results: mostly what stood in it, in every place that a fault has. */
function refusal(sowing: Sowing, message: string, times: number): { status: number; text: string } {
  if (times % 4 === 2)
    return {
      status: 200,
      text: `<s:Envelope xmlns:s="${SOAP}"><s:Body><leerresultaten_bevestiging xmlns="http://www.edustandaard.nl/leerresultaten/2/leerresultaten"/></s:Body></s:Envelope>`,
    };
  const own = escaped(sowing.plant('words of a peer', 'uwlr', 'an answer to results').value);
  const said = escaped(message);
  if (times % 4 === 0) return { status: 500, text: `${own} ${message}` };
  const code = times % 4 === 3 ? 'Client.LeerlingOngeldig' : own;
  return {
    status: 500,
    text: `<s:Envelope xmlns:s="${SOAP}"><s:Body><s:Fault><faultcode>${code}</faultcode><faultstring>${own} ${said}</faultstring><detail><x y="${own}">${said}</x></detail></s:Fault></s:Body></s:Envelope>`,
  };
}

/** `folder`: EDUK_ADMINISTRATIONS of the gateway. `schoolOin` is asked for; of `others` it has results only. */
export async function openAdministration(
  sowing: Sowing,
  folder: string,
  schoolOin: string,
  others: readonly string[],
): Promise<Administration> {
  const secrets = mkdtempSync(join(tmpdir(), 'eduk-canary-secrets-'));
  let says: { status: number; bytes: Uint8Array } = { status: 500, bytes: new Uint8Array() };
  let asked = 0;
  const brought = { came: 0, taken: 0 };
  const server = createServer((request, response) => {
    if (request.url === RESULTS) {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const { status, text } = refusal(sowing, Buffer.concat(parts).toString('utf8'), brought.came);
        brought.came += 1;
        if (status === 200) brought.taken += 1;
        response.writeHead(status, { 'content-type': 'text/xml' }).end(text);
      });
      return;
    }
    asked += 1;
    request.resume().on('end', () => {
      response.writeHead(says.status, { 'content-type': 'text/xml' }).end(says.bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const secret = (name: string): string => {
    const text = `canary-${name}-4c1f0a77e2b94d`;
    sowing.keep(text, `the administration, ${name}`);
    const file = join(secrets, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'las.json'),
    JSON.stringify({
      party: parties.find(({ caller }) => caller === 'administration')!.oin,
      klantcode: 'K-1',
      klantnaam: 'Schakel',
      leerlinggegevens: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      headers: { 'Hub-Key': secret('header') },
      everyMinutes: 0,
      schools: [
        { school: schoolOin, dependancecode: '01', sleutel: secret('sleutel') },
        ...others.map((school, i) => ({ school, sleutel: secret(`sleutel-${i}`) })),
      ],
    }),
  );
  const op = operation('OperatorService.PullRoster');
  let turn: Promise<unknown> = Promise.resolve();
  return {
    answer(of, bytes, status = 200) {
      // One answer belongs to one question.
      const mine = turn.then(async () => {
        says = { status, bytes };
        await of.call(op, 'operator', [
          encodedAs(op, op.codec.fromPartial({ schoolOin, schoolYear: YEAR, whole: true })),
        ]);
      });
      turn = mine.catch(() => undefined);
      return mine as Promise<void>;
    },
    asked: () => asked,
    results: `http://127.0.0.1:${(server.address() as AddressInfo).port}${RESULTS}`,
    brought: () => brought,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(secrets, { recursive: true, force: true });
    },
  };
}
