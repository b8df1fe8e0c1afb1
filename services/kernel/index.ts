export * from './clear.ts';
export * from './clock.ts';
export * from './config.ts';
export * from './errors.ts';
export * from './ids.ts';
export * from './log.ts';
export * from './rpc.ts';
export * from './waiters.ts';
