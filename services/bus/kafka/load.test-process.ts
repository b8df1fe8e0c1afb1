/**
 * A process of its own, for `contract.ts`: writes and reads as fast as it can, closes in the middle of it, and says what is
 * left. `node load.test-process.ts <driver> <broker> <topic of 16 partitions>`
 */
import { setTimeout as rest, setImmediate as turn } from 'node:timers/promises';
import { openDriver } from './driver.ts';
import { fromEarliest, Ledger, lanesOf, write } from './ledger.ts';
import type { DriverName } from './port.ts';

const [, , name, broker, topic] = process.argv as [string, string, DriverName, string, string];
const from = Date.now();
const driver = await openDriver(name, { brokers: [broker], clientId: 'load' });
const lanes = lanesOf(topic);
const ledger = new Ledger();
const writing = write(driver.producer(), lanes, ledger, { batch: 50, paceMs: 0, bytes: 300 });
driver.reader({ lanes: fromEarliest(lanes), onRecords: ledger.onRecords, onGap: () => {} });
await rest(2000);
const closing = Date.now();
await driver.close();
const closedMs = Date.now() - closing;
await writing.stop();
const read = [...ledger.arrived.values()].reduce((sum, number) => sum + number, 0);
// What was to run once at the end of this turn runs; what asks for another turn each time is still there.
for (let i = 0; i < 5; i++) await turn();
const left = process.getActiveResourcesInfo();
process.stdout.write(JSON.stringify({ written: ledger.total, read, closedMs, left, openMs: Date.now() - from }));
