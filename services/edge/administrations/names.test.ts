import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { Clear, networksOf, timeLeft, within } from '#kernel';
import { Roster } from '#proto/eduk/core/v1/learner';
import { AskedNames } from './names.ts';

/** Moments (monotonic milliseconds) at which the administration was asked. */
const pulls: number[] = [];
vi.mock('./client.ts', async (original) => ({
  ...(await original<typeof import('./client.ts')>()),
  pullFrom: async () => {
    pulls.push(performance.now());
    const learners = [{ ref: { lasKey: 'k1' }, person: { familyName: 'Quizelaar' } }];
    return { kind: 'roster', roster: new Clear(Roster.fromPartial({ learners })) };
  },
}));

const folder = mkdtempSync(join(tmpdir(), 'eduk-names-'));
writeFileSync(join(folder, 'sleutel'), 'sleutel', { mode: 0o600 });
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
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.useRealTimers());

const SCHOOL = '0000000700099ZX00000';
const asked = [{ token: 'l1', nameMark: new Uint8Array() }];
/** One school, of one pupil; `getRoster`: what rosters know of it. */
function asking(heldMs: number, getRoster: () => Promise<unknown>): AskedNames {
  const needs = {
    clock: { now: () => Date.parse('2026-09-14T08:00:00Z') },
    chain: { judge: () => ({ mandates: [], fault: undefined }) },
    services: {
      rosters: { listSchools: async () => ({ rosters: [] }), getRoster },
      vault: { identify: async () => ({ identified: [{ token: 'l1', merged: '', nameMark: new Uint8Array() }] }) },
    },
  };
  return new AskedNames(needs as never, { folder, networks: networksOf([], true), waitMs: 60_000, heldMs });
}

test('a question that others share does not hurry for whoever was first to ask', async () => {
  const left: (number | undefined)[] = [];
  const names = asking(1_000, () => {
    left.push(timeLeft());
    return Promise.reject(new Error('away'));
  });
  await expect(within(60_000, () => names.of(SCHOOL, asked))).rejects.toThrow();
  names.close();
  expect(left).toEqual([undefined]);
});

test.each([
  ['as is set', 300_000, 300_000],
  ['15 minutes, whatever is set', 86_400_000, 900_000],
])('names stay in memory so long, and are asked for again: %s', async (_, set, stays) => {
  vi.useFakeTimers({ toFake: ['performance'] });
  pulls.length = 0;
  const names = asking(set, async () => ({ learners: [], staff: [], next: '' }));
  const shown = async () => (await names.of(SCHOOL, asked)).reveal((people) => people.get('l1')?.familyName);
  const began = performance.now();
  expect(await shown()).toBe('Quizelaar');
  vi.advanceTimersByTime(stays - 1);
  expect(await shown()).toBe('Quizelaar');
  expect(pulls).toEqual([began]);
  vi.advanceTimersByTime(1);
  expect(await shown()).toBe('Quizelaar');
  expect(pulls).toEqual([began, began + stays]);
  names.close();
});
