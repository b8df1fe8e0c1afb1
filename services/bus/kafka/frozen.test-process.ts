/**
 * A process of its own, for `faults.test.ts`, so that it can be frozen: writes and reads, says every 100 ms how far it is, and
 * once more when it is asked to end. `node frozen.test-process.ts <driver> <broker> <topic of 4 partitions> <request timeout>`
 */
import { setTimeout as rest } from 'node:timers/promises';
import { openDriver } from './driver.ts';
import { fromEarliest, Ledger, lanesOf, until, write } from './ledger.ts';
import type { DriverName } from './port.ts';

const [, , name, broker, topic, timeout] = process.argv as [string, string, DriverName, string, string, string];
const driver = await openDriver(name, { brokers: [broker], clientId: 'frozen', requestTimeoutMs: Number(timeout) });
const lanes = lanesOf(topic, 4);
const ledger = new Ledger();
const writing = write(driver.producer(), lanes, ledger);
driver.reader({
  lanes: fromEarliest(lanes),
  onRecords: ledger.onRecords,
  onGap: ({ partition }) => ledger.wrong.push(`gap in ${partition}`),
});
let going = true;
process.once('SIGTERM', () => {
  going = false;
});
const say = () => {
  const arrived = [...ledger.arrived.values()].reduce((sum, number) => sum + number, 0);
  process.stdout.write(
    `${JSON.stringify({ acknowledged: ledger.total, arrived, missing: ledger.missing(), wrong: ledger.wrong })}\n`,
  );
};
while (going) {
  say();
  await rest(100);
}
await writing.stop();
await until('all came', () => ledger.missing().length === 0, 10_000).catch(() => {});
say();
await driver.close();
