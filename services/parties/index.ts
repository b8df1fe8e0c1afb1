import type { ServiceModule } from '#bus';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import { tables } from './tables.ts';

/** Who is in the chain, what they speak, where they answer, and what schools agreed to. */
export const parties: ServiceModule = { name: 'parties', tables, consumers: [consumer], serve };
