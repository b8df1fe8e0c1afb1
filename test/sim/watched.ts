/** Services as a simulation runs them: the real ones, watched, and made ill where the plan says so. */
import type { Consumer, LogRecord, ServiceModule } from '#bus';
import { access } from '#services/access';
import { catalogue } from '#services/catalogue';
import { delivery } from '#services/delivery';
import { entitlements } from '#services/entitlements';
import { flows } from '#services/flows';
import { orders } from '#services/orders';
import { parties } from '#services/parties';
import { readiness } from '#services/readiness';
import { results } from '#services/results';
import { rosters } from '#services/rosters';
import { FUTURE_STREAM, FUTURE_TYPE } from './messages.ts';

/** As services/roles.ts lists them, but audit: its rows stand in the order in which things came, which faults are there to change. */
export const services: readonly ServiceModule[] = [
  parties,
  catalogue,
  rosters,
  orders,
  entitlements,
  access,
  results,
  delivery,
  flows,
  readiness,
];

export const scopeOf = (consumer: Consumer, record: LogRecord): string =>
  consumer.scope?.(record) ?? `${record.stream}/${record.key}`;

/** What became of one handling of a record. `rests` = it waits or threw, so that nothing of it counts. */
export interface Handled {
  consumer: string;
  record: LogRecord;
  scope: string;
  outcome: 'done' | 'rests';
}

export interface Watch {
  handled(handled: Handled): void;
  /** Whether this service cannot handle this record in the release that runs. */
  isPoison(consumer: string, record: LogRecord): boolean;
}

export interface Release {
  absent: readonly string[];
  /** Knows the event that the first release does not. */
  isNewer: boolean;
}

/** The services of a release, in an order that begins with the `turned`th. */
export function watched(turned: number, release: Release, watch: Watch): ServiceModule[] {
  return [...services.slice(turned), ...services.slice(0, turned)]
    .filter(({ name }) => !release.absent.includes(name))
    .map((module) => ({
      ...module,
      consumers: module.consumers.map((consumer) => watchedConsumer(consumer, release, watch)),
    }));
}

function watchedConsumer(consumer: Consumer, { isNewer }: Release, watch: Watch): Consumer {
  const knows = isNewer && consumer.streams.includes(FUTURE_STREAM);
  const watching = (record: LogRecord, work: () => void): void => {
    let outcome: Handled['outcome'] = 'rests';
    try {
      if (watch.isPoison(consumer.name, record)) throw new Error('poison');
      work();
      outcome = 'done';
    } finally {
      watch.handled({ consumer: consumer.name, record, scope: scopeOf(consumer, record), outcome });
    }
  };
  return {
    ...consumer,
    types: knows ? [...consumer.types, FUTURE_TYPE] : consumer.types,
    handle(record, unit) {
      if (record.type === FUTURE_TYPE) return;
      watching(record, () => consumer.handle(record, unit));
    },
    ...(consumer.onDeadline && {
      onDeadline: (record, what, unit) => watching(record, () => consumer.onDeadline!(record, what, unit)),
    }),
    ...(consumer.scope && {
      scope: (record) => (record.type === FUTURE_TYPE ? record.key : consumer.scope!(record)),
    }),
  };
}
