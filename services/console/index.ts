export { actions } from './actions.ts';
export { openDoor } from './door.ts';
export { PAGES, PLACES } from './places.ts';
export type { ConsoleSignIn } from './provider.ts';
export { remediesNl } from './remedies.ts';
export { type Console, type ConsoleOptions, PATHS, startConsole } from './server.ts';
export type { SessionRows } from './sessions.ts';
export type * from './types.ts';
