/** One replica of delivery with its sender, under a name that its test chose: by that name it is drawn who owns the service. Argument: the name. */
import { readConfig } from '#kernel';
import { startRoles } from '../../services/distributed.ts';
import { parts } from '../../services/parts.ts';

const replica = process.argv[2]!;
const running = await startRoles(readConfig(process.env), ['delivery'], {
  ...parts,
  engine: (options) => parts.engine({ ...options, replica }),
});
process.once('SIGTERM', async () => {
  await running.stop();
  process.exit();
});
// Whoever started it is gone.
process.once('disconnect', () => process.exit());
process.send!('ready');
