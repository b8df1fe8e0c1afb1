import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Gate } from '../gate.ts';
import { letThrough } from '../pgn.ts';

/** How late a timer of 10 ms comes: whether a call waits behind other work of this thread. */
const RESOLUTION_MS = 10;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
const lateness = (ns: number): number => Math.max(0, ns / 1e9 - RESOLUTION_MS / 1000);

/** Prometheus text: ages first, because they say whether anything is stuck. Labels are names of ours, never of a message. */
export async function metricsPage(gate: Gate): Promise<string> {
  const { ages, head, freeDiskBytes } = await gate.door.services.log.ages({});
  const lines = [
    '# HELP eduk_oldest_unread_seconds Age of the oldest event a consumer has not read.',
    '# TYPE eduk_oldest_unread_seconds gauge',
  ];
  const labels = ({ consumer, stream }: { consumer: string; stream: string }) =>
    `{consumer="${consumer}",stream="${stream}"}`;
  for (const age of ages) lines.push(`eduk_oldest_unread_seconds${labels(age)} ${Number(age.oldestUnreadMs) / 1000}`);
  lines.push('# HELP eduk_unread_events Events a consumer has not read.', '# TYPE eduk_unread_events gauge');
  for (const age of ages) lines.push(`eduk_unread_events${labels(age)} ${age.unread}`);
  lines.push(
    '# HELP eduk_parked_keys Keys that wait behind an event that could not be handled.',
    '# TYPE eduk_parked_keys gauge',
  );
  for (const age of ages) lines.push(`eduk_parked_keys${labels(age)} ${age.parkedKeys}`);
  lines.push('# HELP eduk_log_gap A lane that stopped because a number is missing.', '# TYPE eduk_log_gap gauge');
  for (const age of ages) lines.push(`eduk_log_gap${labels(age)} ${age.gap ? 1 : 0}`);
  lines.push('# TYPE eduk_log_events_total counter', `eduk_log_events_total ${head}`);
  lines.push('# TYPE eduk_free_disk_bytes gauge', `eduk_free_disk_bytes ${freeDiskBytes}`);
  lines.push(
    '# HELP eduk_keys_like_pgn_total Single keys that pass the eleven test and were taken.',
    '# TYPE eduk_keys_like_pgn_total counter',
    `eduk_keys_like_pgn_total ${letThrough.keys}`,
  );
  lines.push(
    "# HELP eduk_event_loop_delay_seconds How late the doors' thread is, since the last time this page was read.",
    '# TYPE eduk_event_loop_delay_seconds summary',
    `eduk_event_loop_delay_seconds{quantile="0.5"} ${lateness(delay.percentile(50))}`,
    `eduk_event_loop_delay_seconds{quantile="0.99"} ${lateness(delay.percentile(99))}`,
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    '',
  );
  delay.reset();
  return lines.join('\n');
}
