export * from './attributes.ts';
export * from './reveal.ts';
