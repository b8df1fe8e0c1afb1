export { callBegan } from './calls.ts';
export * from './distributed.ts';
export * from './engine.ts';
export * from './memory.ts';
export * from './port.ts';
export { leavesOn, type Term, terms, unclassed } from './retention.ts';
export * from './stepped.ts';
export * from './stepped-elsewhere.ts';
export type { Store } from './store.ts';
