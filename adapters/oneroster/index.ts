/** The core as OneRoster 1.2 would say it: a mapping with its losses and a check, no exchange. */
export { problemsIn } from './check.ts';
export { lossTables } from './losses.ts';
export { oneRosterOf } from './mapping.ts';
export type { OneRoster } from './wire.ts';
