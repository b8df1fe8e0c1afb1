export * from './attributes.ts';
export * from './held.ts';
export * from './progress.ts';
export * from './purposes.ts';
export * from './reveal.ts';
export * from './small-counts.ts';
export * from './words.ts';
