/** The right to use material: granted, counted, used, ended. */
import type { ServiceModule } from '#bus';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import * as tables from './tables.ts';

export const entitlements: ServiceModule = {
  name: 'entitlements',
  tables: [
    tables.entitlements,
    tables.fulfilments,
    tables.products,
    tables.lastDays,
    tables.forgotten,
    tables.aside,
    tables.merged,
  ],
  consumers: [consumer],
  serve,
};
