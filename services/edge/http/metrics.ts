import { agesLines, processLines } from '#kernel';
import type { EndpointStatus } from '#proto/eduk/delivery/v1/delivery';
import type { Gate } from '../gate.ts';
import { letThrough } from '../pgn.ts';

/** What an operator asks of a door, as Prometheus reads it. */
export async function metricsPage(gate: Gate): Promise<string> {
  const [
    { ages, head, freeDiskBytes },
    { disks },
    { endpoints },
    { parked, dropped },
    { thisHour, tooMany },
    standing,
  ] = await Promise.all([
    gate.door.services.log.ages({}),
    gate.door.services.delivery.listDisks({}),
    gate.door.services.delivery.listEndpoints({ idle: false, partyOin: '' }),
    gate.door.services.delivery.listParkedRows({ schoolOin: '', partyOin: '' }),
    // Without the vault the rest is told.
    gate.door.services.vault.showReveals({}).catch(() => ({ thisHour: [], tooMany: [] })),
    gate.door.services.delivery.listAlerts({}),
  ]);
  const lines = agesLines(ages);
  lines.push('# TYPE eduk_log_events_total counter', `eduk_log_events_total ${head}`);
  lines.push('# TYPE eduk_free_disk_bytes gauge', `eduk_free_disk_bytes ${freeDiskBytes}`);
  const now = gate.door.clock.now();
  lines.push(
    '# HELP eduk_disk_used_bytes What a place for data holds.',
    '# TYPE eduk_disk_used_bytes gauge',
    ...disks.map(({ use }) => `eduk_disk_used_bytes{place="${use!.place}",disk="${use!.disk}"} ${use!.usedBytes}`),
    '# HELP eduk_disk_growth_bytes What it grows by in a day, less what is cleaned up; without it, it was measured for less than an hour.',
    '# TYPE eduk_disk_growth_bytes gauge',
    ...disks.flatMap(({ use, growsBytes }) =>
      growsBytes === undefined ? [] : [`eduk_disk_growth_bytes{place="${use!.place}"} ${growsBytes}`],
    ),
    '# HELP eduk_disk_full_seconds In how long the disk of a place is full at this rate; without it, it is not, or it is not known.',
    '# TYPE eduk_disk_full_seconds gauge',
    ...disks.flatMap(({ use, fullMs }) =>
      fullMs === undefined
        ? []
        : [`eduk_disk_full_seconds{place="${use!.place}"} ${Math.max(0, Number(fullMs) - now) / 1000}`],
    ),
  );
  const gauge = (name: string, about: string, value: (endpoint: EndpointStatus) => number) => {
    lines.push(`# HELP ${name} ${about}`, `# TYPE ${name} gauge`);
    for (const endpoint of endpoints)
      lines.push(`${name}{party="${endpoint.partyOin}",standard="${endpoint.standard}"} ${value(endpoint)}`);
  };
  gauge(
    'eduk_undelivered_seconds',
    'Age of the oldest mail that an endpoint should have and has not.',
    ({ oldestMs }) => (oldestMs === 0n ? 0 : Math.max(0, now - Number(oldestMs)) / 1000),
  );
  gauge('eduk_endpoint_failing', 'An endpoint that rests after a failure, or is gone.', ({ state }) =>
    state === 'up' ? 0 : 1,
  );
  gauge('eduk_endpoint_breaker', 'The breaker of an endpoint: 0 closed, 1 half open, 2 open.', ({ breaker }) =>
    breaker === 'open' ? 2 : breaker === 'half_open' ? 1 : 0,
  );
  gauge(
    'eduk_endpoint_width',
    'Requests that an endpoint may have at once, as its answers had it.',
    ({ width }) => width,
  );
  gauge('eduk_endpoint_under_way', 'Requests that an endpoint has now.', ({ underWay }) => underWay);
  gauge('eduk_endpoint_parked_keys', 'Keys that an endpoint did not take.', ({ parkedKeys }) => parkedKeys);
  const alerts = Map.groupBy(standing.alerts, ({ alert }) => `code="${alert!.code}",grade="${alert!.grade}"`);
  lines.push(
    '# HELP eduk_alerts What an operator should know, by what it is: eduk alert list says of whom, and what to do.',
    '# TYPE eduk_alerts gauge',
    ...[...alerts].map(([labels, some]) => `eduk_alerts{${labels}} ${some.length}`),
  );
  const rows = (of: readonly { rows: bigint; standard?: string }[]) => of.reduce((sum, one) => sum + one.rows, 0n);
  lines.push(
    '# HELP eduk_parked_messages Messages of mailboxes that may not be sent now, such as after a mandate stopped.',
    '# TYPE eduk_parked_messages gauge',
    `eduk_parked_messages ${rows(parked.filter(({ standard }) => standard === ''))}`,
    '# HELP eduk_dropped_messages_total Messages that were parked for thirty days and are gone.',
    '# TYPE eduk_dropped_messages_total counter',
    `eduk_dropped_messages_total ${rows(dropped)}`,
    '# HELP eduk_revealed_learners Learners whose identity a party was shown in this hour of the clock.',
    '# TYPE eduk_revealed_learners gauge',
    ...thisHour.map(({ partyOin, learners }) => `eduk_revealed_learners{party="${partyOin}"} ${learners}`),
    '# HELP eduk_bulk_reveals Hours of the last day in which a party was shown more than EDUK_REVEALS_PER_HOUR: look who, and why.',
    '# TYPE eduk_bulk_reveals gauge',
    `eduk_bulk_reveals ${tooMany.length}`,
  );
  lines.push(
    '# HELP eduk_keys_like_pgn_total Single keys that pass the eleven test and were taken.',
    '# TYPE eduk_keys_like_pgn_total counter',
    `eduk_keys_like_pgn_total ${letThrough.keys}`,
    ...(gate.door.telemetry?.lines() ?? []),
    ...processLines(),
    '',
  );
  return lines.join('\n');
}
