/** From the right to the open book: provisioning, launches, redemption. */
import type { ServiceModule } from '#bus';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import * as tables from './tables.ts';

export const access: ServiceModule = {
  name: 'access',
  tables: [
    tables.rights,
    tables.learners,
    tables.turns,
    tables.products,
    tables.launches,
    tables.launchDays,
    tables.endings,
    tables.forgotten,
    tables.aside,
    tables.merged,
    tables.tallies,
  ],
  consumers: [consumer],
  serve,
};
