// Loaded before anything else by a gateway under test, in each of its threads: its clock is as far ahead as AHEAD_MS in its
// surroundings says. Plain JavaScript, for it runs before types are stripped. Timers go at the machine's pace.
const ahead = Number(process.env['AHEAD_MS'] ?? 0);
const Real = Date;
const now = () => Real.now() + ahead;
globalThis.Date = class extends Real {
  constructor(...given) {
    if (given.length === 0) super(now());
    else super(...given);
  }
  static now = now;
};
