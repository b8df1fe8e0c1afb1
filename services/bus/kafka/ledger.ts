/**
 * For tests: writers that count up in each lane, as a relay does, and a reader that compares what comes with what was
 * acknowledged. Its checks are those of the log: nothing acknowledged is lost, no first arrival out of order.
 */
import { setTimeout as rest } from 'node:timers/promises';
import type { FetchedRecord, KafkaProducer, Lane, LaneStart, ProducedRecord } from './port.ts';

const keyOf = ({ topic, partition }: Lane): string => `${topic}/${partition}`;

export class Ledger {
  /** Highest number of each lane that a broker acknowledged. */
  readonly acknowledged = new Map<string, number>();
  /** Highest number of each lane that came. */
  readonly arrived = new Map<string, number>();
  repeats = 0;
  /** Numbers that came before those ahead of them. */
  readonly wrong: string[] = [];

  acknowledge(lane: Lane, number: number): void {
    this.acknowledged.set(keyOf(lane), number);
  }

  arrive(lane: Lane, number: number): void {
    const before = this.arrived.get(keyOf(lane)) ?? 0;
    if (number <= before) this.repeats++;
    else {
      if (number > before + 1) this.wrong.push(`${keyOf(lane)}: ${number} after ${before}`);
      this.arrived.set(keyOf(lane), number);
    }
  }

  /** Lanes of which something acknowledged has not arrived. */
  missing(): string[] {
    return [...this.acknowledged]
      .filter(([lane, number]) => (this.arrived.get(lane) ?? 0) < number)
      .map(([lane, number]) => `${lane}: ${this.arrived.get(lane) ?? 0} of ${number}`);
  }

  /** How far writing and reading are in each lane; a lane of which nothing is known yet is not in it. */
  marks(): Map<string, number> {
    const of = (what: string, numbers: ReadonlyMap<string, number>) =>
      [...numbers].map(([lane, number]) => [`${lane} ${what}`, number] as const);
    return new Map([...of('written', this.acknowledged), ...of('read', this.arrived)]);
  }

  /** What has not gone on by `least` since these marks. What has no mark then, or none now, counts from nothing. */
  behind(since: ReadonlyMap<string, number>, least = 40): string[] {
    const now = this.marks();
    return [...new Set([...since.keys(), ...now.keys()])]
      .map((mark) => [mark, since.get(mark) ?? 0, now.get(mark) ?? 0] as const)
      .filter(([, before, after]) => after <= before + least)
      .map(([mark, before, after]) => `${mark}: ${before}, now ${after}`);
  }

  get total(): number {
    return [...this.acknowledged.values()].reduce((sum, number) => sum + number, 0);
  }

  onRecords = (lane: Lane, records: readonly FetchedRecord[]): void => {
    for (const { value } of records) this.arrive(lane, Number(Buffer.from(value!).toString()));
  };
}

export const numbered = (number: number, bytes = 0): ProducedRecord => ({
  key: Buffer.from('key'),
  value: Buffer.from(String(number).padStart(bytes, '0')),
  headers: [['eduk-number', Buffer.from(String(number))]],
  timestampMs: Date.now(),
});

export interface WriterReport {
  /** Outcomes by code: `none` and `unknown` written apart. */
  failures: Map<string, number>;
  /** Longest time without an acknowledgement, milliseconds. */
  longestMs: number;
}

/** Writes until told otherwise, one request at a time a lane; what has no good outcome is sent again as it was. */
export function write(
  producer: KafkaProducer,
  lanes: readonly Lane[],
  ledger: Ledger,
  { batch = 20, paceMs = 5, bytes = 0 }: { batch?: number; paceMs?: number; bytes?: number } = {},
): { report: WriterReport; stop(): Promise<WriterReport> } {
  const report: WriterReport = { failures: new Map(), longestMs: 0 };
  let going = true;
  const each = async (lane: Lane): Promise<void> => {
    let next = (ledger.acknowledged.get(keyOf(lane)) ?? 0) + 1;
    let lastMs = Date.now();
    while (going) {
      const records = Array.from({ length: batch }, (_, at) => numbered(next + at, bytes));
      const failed = (code: string) => report.failures.set(code, (report.failures.get(code) ?? 0) + 1);
      try {
        const [outcome] = await producer.send([{ ...lane, records }]);
        if (outcome!.error === undefined) {
          next += batch;
          ledger.acknowledge(lane, next - 1);
          report.longestMs = Math.max(report.longestMs, Date.now() - lastMs);
          lastMs = Date.now();
          await rest(paceMs);
          continue;
        }
        failed(`${outcome!.error.code} ${outcome!.error.written}`);
      } catch (error) {
        failed((error as { code: string }).code);
      }
      await rest(50);
    }
    report.longestMs = Math.max(report.longestMs, Date.now() - lastMs);
  };
  const writing = Promise.all(lanes.map(each));
  return {
    report,
    async stop() {
      going = false;
      await writing;
      return report;
    },
  };
}

export const lanesOf = (topic: string, count = 16): Lane[] =>
  Array.from({ length: count }, (_, partition) => ({ topic, partition }));
export const fromEarliest = (lanes: readonly Lane[]): LaneStart[] =>
  lanes.map((lane) => ({ ...lane, offset: 'earliest' }));

/** Waits until it is so. */
export async function until(what: string, so: () => boolean, withinMs = 30_000): Promise<void> {
  for (const from = performance.now(); !so(); await rest(10)) {
    if (performance.now() - from > withinMs) throw new Error(`after ${withinMs} ms it was not so: ${what}`);
  }
}
