import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalPostgres, startPostgres } from '#deploy/local';
import { arrayOf } from './arrays.ts';
import { Database } from './connection.ts';

let folder: string;
let postgres: LocalPostgres;
let database: Database;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-arrays-'));
  postgres = await startPostgres({ folder });
  database = new Database({ url: postgres.url, application: 'eduk test', most: 1 });
});
afterAll(async () => {
  await database?.close();
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const whole = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(0, -1, 2 ** 31, -(2 ** 32), Number.MIN_SAFE_INTEGER));
const column = <T>(one: fc.Arbitrary<T>) => fc.array(fc.option(one), { maxLength: 20 });
const columns = fc.record({
  texts: column(
    fc
      .oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '{}', 'NULL', '"\\"', 'x'.repeat(70_000)))
      .map((text) => text.replaceAll('\0', '').toWellFormed()),
  ),
  wholes: column(whole),
  small: column(fc.integer()),
  reals: column(fc.double({ noNaN: true })),
  bytes: column(fc.uint8Array({ maxLength: 300 })),
});

test('what is sent is what arrives, absent values and empty lists too', async () => {
  await fc.assert(
    fc.asyncProperty(columns, async ({ texts, wholes, small, reals, bytes }) => {
      const [row] = await database.cells(
        'SELECT $1::text[], (SELECT array_agg(n::text ORDER BY i) FROM unnest($2::bigint[]) WITH ORDINALITY u (n, i)), $3::int[], $4::float8[], $5::bytea[]',
        [
          arrayOf('text', texts),
          arrayOf('bigint', wholes),
          arrayOf('int', small),
          arrayOf('float8', reals),
          arrayOf('bytea', bytes),
        ],
      );
      expect(row).toEqual([
        texts,
        wholes.length === 0 ? null : wholes.map((one) => (one === null ? null : String(one))),
        small,
        reals.map((real) => real),
        bytes.map((one) => (one === null ? null : Buffer.from(one))),
      ]);
    }),
    { numRuns: 200 },
  );
});
