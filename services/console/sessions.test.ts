import type { IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { Seals } from '#kernel';
import { type SessionRows, Sessions } from './sessions.ts';

const NOW = Date.parse('2026-11-23T08:00:00Z');

/** Rows that all doors share. */
function rowsOf() {
  const rows = new Map<string, Uint8Array>();
  const names = new Set<string>();
  const name = (digest: Uint8Array) => Buffer.from(digest).toString('hex');
  const shared: SessionRows = {
    open: async (digest, sealed) => void rows.set(name(digest), sealed),
    find: async (digest) => rows.get(name(digest)) ?? new Uint8Array(),
    end: async (digest) => void rows.delete(name(digest)),
    once: async (one) => !names.has(one) && names.add(one) !== undefined,
  };
  return { rows, shared };
}

const withCookie = (cookie: string): IncomingMessage =>
  ({ headers: { cookie: cookie.split(';')[0] } }) as unknown as IncomingMessage;
const nobody = { headers: {} } as IncomingMessage;

test('a session that began at one door goes on at another, and ends at all of them', async () => {
  const { shared, rows } = rowsOf();
  const door = () => new Sessions(shared, new Seals('eduk_operator_one'), 8081, () => NOW);
  const [one, two] = [door(), door()];
  const browser = withCookie(await one.open(nobody, 'the bearer', false, NOW + 300_000));
  const session = await two.of(browser, false);
  expect(session).toMatchObject({ bearer: 'the bearer', untilMs: NOW + 300_000 });
  expect((await one.of(browser, false))!.token).toBe(session!.token);
  // What is kept says nothing to who reads it.
  for (const sealed of rows.values()) expect(Buffer.from(sealed).toString('latin1')).not.toContain('bearer');
  expect(await two.holds(session!)).toBe(true);
  await one.end(browser);
  expect([await two.of(browser, false), await two.holds(session!), rows.size]).toEqual([undefined, false, 0]);
});

test('nobody makes one without the key, by a row of another, or from elsewhere; a new one ends the one before', async () => {
  const { shared, rows } = rowsOf();
  const door = (key: string, now = NOW) => new Sessions(shared, new Seals(key), 8081, () => now);
  const one = door('eduk_operator_one');
  const browser = withCookie(await one.open(nobody, 'a', true, Number.MAX_SAFE_INTEGER));
  expect(await door('eduk_operator_other').of(browser, true)).toBeUndefined();
  expect(await one.of(browser, false)).toBeUndefined();
  expect(await one.of(browser, true)).toBeDefined();
  expect(await door('eduk_operator_one', NOW + 12 * 3_600_000).of(browser, true)).toBeUndefined();
  // Somebody who writes rows puts one in the place of another.
  const [mine] = [...rows.keys()];
  const next = withCookie(await one.open(browser, 'b', true, NOW + 1_000));
  expect(rows.has(mine!)).toBe(false);
  const [other, sealed] = [...rows][0]!;
  const third = withCookie(await one.open(nobody, 'c', true, NOW + 1_000));
  for (const name of rows.keys()) if (name !== other) rows.set(name, sealed);
  expect(await one.of(third, true)).toBeUndefined();
  expect(await one.of(next, true)).toMatchObject({ bearer: 'b' });
});
