/**
 * `node deploy/local/main.ts --folder F [--nodes 3]`: Kafka and PostgreSQL in the foreground. Prints one line of JSON with
 * their addresses when both serve, and ends them on SIGTERM and SIGINT.
 */
import { parseArgs } from 'node:util';
import { LocalProblem, localInfrastructure } from './index.ts';

function options(): { folder: string; nodes: 1 | 3 } {
  try {
    const { values } = parseArgs({ options: { folder: { type: 'string' }, nodes: { type: 'string', default: '1' } } });
    if (values.folder && (values.nodes === '1' || values.nodes === '3'))
      return { folder: values.folder, nodes: values.nodes === '3' ? 3 : 1 };
  } catch {
    // An option that there is not: the same answer.
  }
  throw new LocalProblem('Use: node deploy/local/main.ts --folder FOLDER [--nodes 1|3]', 2);
}

const told = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => told.abort());
// Told to end while it starts: what has been started ends with this process.
const onTold = () => process.exit(0);
told.signal.addEventListener('abort', onTold);
try {
  const { stop, ...addresses } = await localInfrastructure(options());
  told.signal.removeEventListener('abort', onTold);
  process.stdout.write(`${JSON.stringify(addresses)}\n`);
  // With addresses that were given nothing else would keep this process alive.
  const alive = setInterval(() => {}, 60_000);
  if (!told.signal.aborted) await new Promise((resolve) => told.signal.addEventListener('abort', resolve));
  clearInterval(alive);
  await stop();
} catch (error) {
  process.stderr.write(`${error instanceof LocalProblem ? error.message : String((error as Error).stack)}\n`);
  process.exitCode = error instanceof LocalProblem ? error.exitCode : 1;
}
