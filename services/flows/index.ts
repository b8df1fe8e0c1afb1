import type { ServiceModule } from '#bus';
import { Waiters } from '#kernel';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import { tables } from './tables.ts';

/** Callers that may wait for decisions at once. */
const MOST_WAITING = 50_000;

const waiters = new Waiters(MOST_WAITING);

/** Where every message is, what keeps it, and what never came in. */
export const flows: ServiceModule = {
  name: 'flows',
  tables,
  consumers: [consumer((flowId) => waiters.hint(flowId))],
  serve: (engine) => serve(engine, waiters),
};
