/** The bounded part of a chaos run: each role killed once, the broker and the database once, and the ledger. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { missingHere } from '#deploy/local';
import { ROLES } from './cluster.ts';
import { chaos } from './run.ts';

const missing = await missingHere();
if (missing !== undefined) console.log(`skipped: servers cannot run here: ${missing}`);
/** EDUK_CHAOS_SEED repeats a run. */
const seed = Number(process.env['EDUK_CHAOS_SEED'] ?? Date.now() % 1_000_000);

test.skipIf(missing !== undefined)(
  'kill -9 of every role, of the broker and of the database: nothing lost, nothing out of order, nothing twice',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-chaos-'));
    const said: string[] = [`seed ${seed}`];
    try {
      const findings = await chaos({
        folder,
        seed,
        ms: 0,
        nodes: 1,
        replicas: 1,
        rate: 40,
        only: [...ROLES.map((role) => `kill ${role}`), 'kill broker', 'kill database'],
        isLong: false,
        // A busy machine may be slow; how quick it is well again is for runs that have one to themselves.
        patienceMs: 15_000,
        drainMs: 90_000,
        tell: (line) => said.push(line),
      });
      const { lost, outOfOrder, unexplained, secondEffects, strange, problems, examples } = findings;
      expect({ lost, outOfOrder, unexplained, secondEffects, strange, problems, examples }, said.join('\n')).toEqual({
        lost: 0,
        outOfOrder: 0,
        unexplained: 0,
        secondEffects: 0,
        strange: 0,
        problems: [],
        examples: [],
      });
      expect(findings.kills).toBe(7);
      expect(findings.grants).toBeGreaterThan(100);
      expect(findings.orders).toBeGreaterThan(5);
      console.log(
        `seed ${seed}: ${findings.kills} kills, ${findings.arrived} arrivals of ${findings.accepted} messages, ${findings.repeats} repeats`,
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  420_000,
);
