import type { ServiceModule } from '#bus';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import { tables } from './tables.ts';

/** What was ordered of whom, and how far each line is. */
export const orders: ServiceModule = { name: 'orders', tables, consumers: [consumer], serve };
