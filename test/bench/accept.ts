/** Accepting alone: the engine with no deciders, entries as the doors make them, groups of 200, durable. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEngine } from '#bus';
import { connect, dispatcher, uuid7 } from '#kernel';
import { LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import { GrantSubmitted } from '#proto/eduk/events/v1/entitlements';

/** Entries a second. */
export async function acceptAlone(count: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-accept-'));
  const engine = openEngine({ file: join(folder, 'state.db'), modules: [], outboxMax: count * 2 });
  engine.start();
  const log = connect(LogServiceDefinition, dispatcher(engine.implementations));
  const data = GrantSubmitted.encode(
    GrantSubmitted.fromPartial({
      terms: { entitlementId: 'bench-1', productId: '9789000000019' },
      schoolOin: '0000000700099ZZ00000',
      holder: { learner: 'lt_abcdefghijklmnopqrstuvwxyz' },
      byOin: '00000099100000001000',
    }),
  ).finish();
  const group = (from: number) => ({
    entries: Array.from({ length: 200 }, (_, i) => ({
      flowId: uuid7(),
      partyOin: '00000099100000001000',
      method: 'EntitlementService/GrantEntitlements',
      referenceKey: randomBytes(16),
      digest: randomBytes(16),
      digestVersion: 1,
      rememberDays: 400,
      events: [{ stream: 'entitlements', type: 'GrantSubmitted', key: `lt_${(from + i) % 1200}`, data }],
      answer: randomBytes(32),
      schoolOin: '0000000700099ZZ00000',
      traceparent: '',
      bulk: true,
    })),
  });
  await log.accept(group(0));
  const started = performance.now();
  for (let done = 0; done < count; ) {
    // As the doors do: three groups under way.
    await Promise.all([0, 1, 2].map((i) => log.accept(group(done + i * 200))));
    done += 600;
  }
  const perSecond = (count / (performance.now() - started)) * 1000;
  await engine.stop();
  rmSync(folder, { recursive: true, force: true });
  return perSecond;
}
