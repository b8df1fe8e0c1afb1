import type { ServiceModule } from '#bus';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import { tables } from './tables.ts';

/** What can be ordered. */
export const catalogue: ServiceModule = { name: 'catalogue', tables, consumers: [consumer], serve };
