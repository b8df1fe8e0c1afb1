import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { networksOf, timeLeft, within } from '#kernel';
import { AskedNames } from './names.ts';

const folder = mkdtempSync(join(tmpdir(), 'eduk-names-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a question that others share does not hurry for whoever was first to ask', async () => {
  writeFileSync(
    join(folder, 'leerlijst.json'),
    JSON.stringify({
      party: '00000099000000001000',
      klantcode: 'k',
      klantnaam: 'k',
      leerlinggegevens: 'http://127.0.0.1:1/',
      schools: [{ school: '99ZX', sleutel: 'sleutel' }],
    }),
  );
  const left: (number | undefined)[] = [];
  const needs = {
    clock: { now: () => Date.parse('2026-09-14T08:00:00Z') },
    services: {
      rosters: {
        listSchools: () => Promise.resolve({ rosters: [] }),
        getRoster: () => {
          left.push(timeLeft());
          return Promise.reject(new Error('away'));
        },
      },
    },
  };
  const names = new AskedNames(needs as never, {
    folder,
    networks: networksOf([], true),
    waitMs: 60_000,
    heldMs: 1_000,
  });
  const asked = [{ token: 'l1', nameMark: new Uint8Array() }];
  await expect(within(60_000, () => names.of('0000000700099ZX00000', asked))).rejects.toThrow();
  names.close();
  expect(left).toEqual([undefined]);
});
