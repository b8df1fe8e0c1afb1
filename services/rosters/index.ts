import type { ServiceModule } from '#bus';
import { settings } from '#kernel';
import { consumer, type RosterSettings } from './consume.ts';
import { serve } from './serve.ts';
import { tables } from './tables.ts';

export type { RosterSettings } from './consume.ts';

/** Who is at school, in which groups, per school and school year. */
export const rostersWith = (given: RosterSettings): ServiceModule => ({
  name: 'rosters',
  tables,
  consumers: [consumer(given)],
  serve,
});

/** With the settings as they are when nobody sets them. */
export const rosters: ServiceModule = rostersWith({
  holdThresholdPercent: Number(settings.EDUK_HOLD_THRESHOLD_PERCENT.default),
});
