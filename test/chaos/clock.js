// Loaded by the chaos run into the roles that it starts (node --import), and by nothing else: at SIGUSR2 the time of day
// jumps by as many milliseconds as the file in CHAOS_CLOCK says. The machine's clock and the monotonic one stay as they are,
// as when somebody sets a clock.
import { readFileSync } from 'node:fs';

const file = process.env['CHAOS_CLOCK'];
const Real = Date;
const now = Date.now;
let offset = 0;
process.on('SIGUSR2', () => {
  offset = Number(readFileSync(file, 'utf8'));
});
// What jumps with its process's start: one that is started again has the clock of its machine.
const jumped = () => now.call(Real) + offset;
globalThis.Date = new Proxy(Real, {
  construct: (target, args, own) => Reflect.construct(target, args.length === 0 ? [jumped()] : args, own),
  apply: () => new Real(jumped()).toString(),
  get: (target, name) => (name === 'now' ? jumped : target[name]),
});
