import type { ServiceModule } from '#bus';
import { Waiters } from '#kernel';
import { consumer } from './consume.ts';
import { serve } from './serve.ts';
import { tables } from './tables.ts';

/** Callers that may wait for mail at once. */
const MOST_WAITING = 20_000;

const waiters = new Waiters(MOST_WAITING);

/** The mailboxes: who is told what, and what may be read now. */
export const delivery: ServiceModule = {
  name: 'delivery',
  tables,
  consumers: [consumer((mailbox) => waiters.hint(mailbox))],
  serve: (engine) => serve(engine, waiters),
};
