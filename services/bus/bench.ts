/**
 * How much the state thread alone carries: grants accepted in groups of 200 over the encoded call, a decider that makes
 * one row and one event of each, and a reader that keeps one row a flow up to date with both events. Durable.
 *
 *   node services/bus/bench.ts [grants] [folder]
 */
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dispatcher, log, logTo, uuid7 } from '#kernel';
import { AcceptRequest, AcceptResponse } from '#proto/eduk/bus/v1/bus';
import { EntitlementGranted, GrantSubmitted } from '#proto/eduk/events/v1/entitlements';
import { decoded, emit, openEngine, type ServiceModule, table } from './index.ts';

interface GrantRow {
  entitlementId: string;
  learner: string;
  productId: string;
  state: number;
  startsOn: string;
  endsOn: string;
}
const grants = table<GrantRow>({
  name: 'bench_grants',
  key: ['entitlementId'],
  columns: {
    entitlementId: 'text',
    learner: 'text',
    productId: 'text',
    state: 'int',
    startsOn: 'text',
    endsOn: 'text',
  },
  indexes: { learner: ['learner'] },
  retention: 'RETENTION_ORDER',
});
interface FlowRow {
  flowId: string;
  step: string;
  atMs: number;
}
const flows = table<FlowRow>({
  name: 'bench_flows',
  key: ['flowId'],
  columns: { flowId: 'text', step: 'text', atMs: 'int' },
  retention: 'RETENTION_ORDER',
});

const module: ServiceModule = {
  name: 'bench',
  tables: [grants, flows],
  consumers: [
    {
      name: 'grants',
      streams: ['entitlements'],
      types: ['GrantSubmitted'],
      handle(record, unit) {
        const { terms, schoolOin, holder, byOin } = decoded(record, 'GrantSubmitted');
        const { entitlementId, productId, startsOn, endsOn } = terms!;
        if (unit.get(grants, entitlementId)) return;
        unit.put(grants, { entitlementId, learner: holder!.learner, productId, state: 1, startsOn, endsOn });
        emit(
          unit,
          'EntitlementGranted',
          EntitlementGranted.fromPartial({ terms, schoolOin, holder, byOin }),
          record.key,
        );
      },
    },
    {
      name: 'flows',
      streams: ['entitlements'],
      types: ['GrantSubmitted', 'EntitlementGranted'],
      handle(record, unit) {
        unit.put(flows, { flowId: record.flowId, step: record.type, atMs: record.timeMs });
      },
    },
  ],
  serve: () => [],
};

const total = Number(process.argv[2] ?? 100_000);
const folder = process.argv[3] ?? mkdtempSync(join(tmpdir(), 'eduk-bus-bench-'));
const GROUP = 200;
const IN_FLIGHT = 6;

function request(from: number): Uint8Array {
  const entries = Array.from({ length: Math.min(GROUP, total - from) }, (_, i) => {
    const flowId = Buffer.from(uuid7());
    // As random as the vault makes them.
    const learner = `lt_${hash('sha256', `${from + i}`, 'base64url').slice(0, 22)}`;
    const data = GrantSubmitted.encode(
      GrantSubmitted.fromPartial({
        terms: {
          entitlementId: `ent-${flowId.toString('hex')}`,
          productId: '9789001234567',
          startsOn: '2026-08-01',
          endsOn: '2027-07-31',
        },
        schoolOin: '0000000700099ZZ00000',
        holder: { learner },
        byOin: '00000001800000000000',
      }),
    ).finish();
    return {
      flowId,
      partyOin: '00000001800000000000',
      method: 'EntitlementService/GrantEntitlements',
      referenceKey: hash('sha256', flowId, 'buffer').subarray(0, 16),
      digest: Buffer.alloc(32, i),
      digestVersion: 1,
      rememberDays: 400,
      events: [{ stream: 'entitlements', type: 'GrantSubmitted', key: learner, data: Buffer.from(data) }],
      answer: Buffer.alloc(70, i),
      schoolOin: '0000000700099ZZ00000',
      traceparent: '',
      bulk: true,
    };
  });
  return AcceptRequest.encode({ entries }).finish();
}

logTo((line) => process.stderr.write(`${line}\n`), 'warn');
const engine = openEngine({ file: join(folder, 'state.db'), modules: [module] });
const transport = dispatcher(engine.implementations);
engine.start();
let next = 0;
let accepted = 0;
let longest = 0;
let beat = performance.now();
const heart = setInterval(() => {
  const now = performance.now();
  longest = Math.max(longest, now - beat - 5);
  beat = now;
}, 5);
const started = performance.now();
const cpu = process.cpuUsage();
async function sender(): Promise<void> {
  while (next < total) {
    const from = next;
    next += GROUP;
    const { outcomes } = AcceptResponse.decode(await transport.call('eduk.bus.v1.LogService', 'accept', request(from)));
    accepted += outcomes.length;
  }
}
await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
const acceptedMs = performance.now() - started;
await engine.runToIdle();
const ms = performance.now() - started;
const used = process.cpuUsage(cpu);
clearInterval(heart);
const each = (us: number): string => `${(us / total).toFixed(1)} µs`;
log('warn', 'bench', {
  grants: accepted,
  accepted_per_s: Math.round((total / acceptedMs) * 1000),
  decided_per_s: Math.round((total / ms) * 1000),
  cpu_each: each(used.user + used.system),
  longest_block_ms: Math.round(longest),
  rss_mb: Math.round(process.memoryUsage.rss() / 1e6),
});
await engine.stop();
if (process.argv[3] === undefined) rmSync(folder, { recursive: true });
