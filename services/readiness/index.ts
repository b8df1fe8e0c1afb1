import type { ServiceModule } from '#bus';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import { tables } from './tables.ts';

/** How far what schools need for their first school day has come, as counts. */
export const readiness: ServiceModule = { name: 'readiness', tables, consumers: [consumer], serve };
