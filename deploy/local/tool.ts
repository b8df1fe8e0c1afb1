/** `node deploy/local/tool.ts kafka-topics …`: Kafka's own tools, without its scripts. */
import { spawnSync } from 'node:child_process';
import { kafkaTool, LocalProblem } from './index.ts';

try {
  const { command, args } = await kafkaTool(process.argv[2] ?? '', process.argv.slice(3));
  process.exitCode = spawnSync(command, args, { stdio: 'inherit' }).status ?? 1;
} catch (error) {
  if (!(error instanceof LocalProblem)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
