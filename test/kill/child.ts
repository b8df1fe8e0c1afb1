/** The process that is killed: an engine on a file, called over the channel to its parent. Arguments: file, plant. */
import { flushCompileCache } from 'node:module';
import { engineOver, openStore } from '#bus';
import { dispatcher } from '#kernel';
import { module } from './deciders.ts';
import { type Plant, plants } from './plants.ts';

const [file, plant] = process.argv.slice(2) as [string, Plant];
const engine = engineOver(plants[plant](openStore(file, [module])), { modules: [module] });
const transport = dispatcher(engine.implementations);

process.on('message', async ({ id, method, bytes }: { id: number; method: string; bytes: Uint8Array }) => {
  if (method === 'idle') {
    await engine.runToIdle();
    process.send!({ id, bytes: new Uint8Array() });
  } else if (method === 'stop') {
    await engine.stop();
    process.send!({ id, bytes: new Uint8Array() }, () => process.disconnect());
  } else process.send!({ id, bytes: await transport.call('eduk.bus.v1.LogService', method, bytes) });
});
engine.start();
process.send!({ id: 0, bytes: new Uint8Array() });
// Whoever is killed saves no compiled code, and each start would compile again.
flushCompileCache();
