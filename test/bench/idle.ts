/** `npm run bench -- connections`: 10,000 idle and 1,000 slow connections to one gateway, and what its memory says of them. */
import { connectionFigures } from './connections.ts';

const figures = await connectionFigures(10_000, 1_000);
process.stdout.write(
  `${JSON.stringify(figures, (_key, value) => (typeof value === 'number' ? Math.round(value) : value))}\n`,
);
