/**
 * An administration that the gateway asks: it answers with what the suite gives it, one question after the other. Its settings
 * stand in the gateway's folder, its secrets elsewhere: these are looked for as well, and rest nowhere.
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
  close(): Promise<void>;
}

const YEAR = '2026-2027';

/** `folder`: EDUK_ADMINISTRATIONS of the gateway. */
export async function openAdministration(sowing: Sowing, folder: string, schoolOin: string): Promise<Administration> {
  const secrets = mkdtempSync(join(tmpdir(), 'eduk-canary-secrets-'));
  let says: { status: number; bytes: Uint8Array } = { status: 500, bytes: new Uint8Array() };
  let asked = 0;
  const server = createServer((request, response) => {
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
      schools: [{ school: schoolOin, dependancecode: '01', sleutel: secret('sleutel') }],
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
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(secrets, { recursive: true, force: true });
    },
  };
}
