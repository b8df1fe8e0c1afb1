/** The call that is being answered, for what its handler must know although it may be run more than once. */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface RunningCall {
  /** When it came, monotonic milliseconds. */
  began: number;
  /** Loads what it lacks; undefined, or answers undefined = whoever runs it does. */
  fetch?(): Promise<void> | undefined;
}

export const runningCall = new AsyncLocalStorage<RunningCall>();

/** When the call that is being answered came, monotonic milliseconds: a handler that waits counts from here. */
export const callBegan = (): number => runningCall.getStore()?.began ?? performance.now();
