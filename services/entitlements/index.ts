/** The right to use material: granted, counted, used, ended. */
import type { ServiceModule } from '#bus';
import { settings } from '#kernel';
import { consumer } from './consume.ts';
import type { Limits } from './hold.ts';
import { serve } from './serve.ts';
import * as tables from './tables.ts';

export const entitlementsWith = (limits: Limits): ServiceModule => ({
  name: 'entitlements',
  tables: [
    tables.entitlements,
    tables.fulfilments,
    tables.products,
    tables.lastDays,
    tables.productSchools,
    tables.forgotten,
    tables.aside,
    tables.merged,
    tables.taken,
    tables.holds,
    tables.held,
    tables.freezes,
    tables.holdRules,
    tables.ruleSpent,
  ],
  consumers: [consumer(limits)],
  serve,
});

/** With the settings as they are when nobody sets them. */
export const entitlements: ServiceModule = entitlementsWith({
  withdrawals: Number(settings.EDUK_HOLD_WITHDRAWALS.default),
  percent: Number(settings.EDUK_HOLD_THRESHOLD_PERCENT.default),
});
