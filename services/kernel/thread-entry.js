// Entry of every thread of ours. Plain JavaScript, because it must run before the first TypeScript file is read: with the
// compile cache on, a thread that started once before takes its code from there and never loads the stripper of types,
// which would keep some 30 MB in each thread.
import { enableCompileCache } from 'node:module';

enableCompileCache();
await import(process.argv[2]);
