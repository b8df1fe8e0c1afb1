/** What every process says of itself to an orchestrator and to Prometheus, the same for all roles. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Age } from '#proto/eduk/bus/v1/bus';

export interface Readiness {
  /** `waiting`: something that it needs does not answer. */
  status: 'ready' | 'waiting' | 'stopping';
  /** Names of ours: `database`, `broker`, a role. */
  missing: readonly string[];
}

export interface Health {
  ready(): Promise<Readiness>;
  /** Prometheus text. */
  metrics(): Promise<string>;
}

/** Answers /healthz, /readyz and /metrics; undefined for every other path. */
export async function answerHealth(
  path: string,
  health: Health,
): Promise<{ status: number; type: string; body: string } | undefined> {
  const json = (status: number, value: object) => ({ status, type: 'application/json', body: JSON.stringify(value) });
  switch (path) {
    case '/healthz':
      return json(200, { status: 'up' });
    case '/readyz': {
      const { status, missing } = await health.ready();
      return status === 'ready'
        ? json(200, { status })
        : json(503, missing.length > 0 ? { status, missing } : { status });
    }
    case '/metrics':
      return { status: 200, type: 'text/plain; version=0.0.4', body: await health.metrics() };
    default:
      return undefined;
  }
}

/** Ages first, because they say whether anything is stuck. Labels are names of ours, never of a message. */
export function agesLines(
  ages: readonly (Pick<Age, 'consumer' | 'stream' | 'parkedKeys' | 'gap'> & {
    unread: number | bigint;
    oldestUnreadMs: number | bigint;
  })[],
): string[] {
  const labels = ({ consumer, stream }: { consumer: string; stream: string }) =>
    `{consumer="${consumer}",stream="${stream}"}`;
  const gauge = (name: string, help: string, value: (age: (typeof ages)[number]) => number | bigint): string[] => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} gauge`,
    ...ages.map((age) => `${name}${labels(age)} ${value(age)}`),
  ];
  return [
    ...gauge(
      'eduk_oldest_unread_seconds',
      'Age of the oldest event a consumer has not read.',
      ({ oldestUnreadMs }) => Number(oldestUnreadMs) / 1000,
    ),
    ...gauge('eduk_unread_events', 'Events a consumer has not read.', ({ unread }) => unread),
    ...gauge(
      'eduk_parked_keys',
      'Keys that wait behind an event that could not be handled.',
      ({ parkedKeys }) => parkedKeys,
    ),
    ...gauge('eduk_log_gap', 'A lane that stopped because a number is missing.', ({ gap }) => (gap ? 1 : 0)),
  ];
}

/** How late a timer of 10 ms comes: whether a call waits behind other work of this thread. */
const RESOLUTION_MS = 10;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
const lateness = (ns: number): number => Math.max(0, ns / 1e9 - RESOLUTION_MS / 1000);

/** Of this process; the delay is that since these lines were asked for last. */
export function processLines(): string[] {
  // Begun by the first who asks, so that threads that nobody asks do not count.
  delay.enable();
  const lines = [
    '# HELP eduk_event_loop_delay_seconds How late the main thread is, since the last time this page was read.',
    '# TYPE eduk_event_loop_delay_seconds summary',
    `eduk_event_loop_delay_seconds{quantile="0.5"} ${lateness(delay.percentile(50))}`,
    `eduk_event_loop_delay_seconds{quantile="0.99"} ${lateness(delay.percentile(99))}`,
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    '# TYPE process_cpu_seconds_total counter',
    `process_cpu_seconds_total ${(process.cpuUsage().user + process.cpuUsage().system) / 1e6}`,
  ];
  delay.reset();
  return lines;
}
