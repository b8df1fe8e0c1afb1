import type { ServiceModule } from '#bus';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import { tables } from './tables.ts';

/** What learners did, over all suppliers. */
export const results: ServiceModule = { name: 'results', tables, consumers: [consumer], serve };
