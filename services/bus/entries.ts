/** What both engines do with a door's entries: check them, part them by party and class, answer in their order. */
import { GatewayError, lateness } from '#kernel';
import { type AcceptResponse, type Entry, type Outcome, Taken } from '#proto/eduk/bus/v1/bus';
import type { EntryOutcome } from './core.ts';
import type { AcceptQueue } from './queue.ts';

/** Throws `gateway.bug` when the door made something that no log could hold. */
export function checkEntry(entry: Entry, where: string): void {
  const wrong = (path: string): never => {
    throw new GatewayError('gateway.bug', 'a door made an entry that cannot be accepted', {
      where: `${where}.${path}`,
    });
  };
  if (entry.flowId.length !== 16) wrong('flow_id');
  if (entry.events.length === 0) wrong('events');
  for (const event of entry.events) {
    if (!/^[a-z][a-z0-9_]*$/.test(event.stream)) wrong('events.stream');
    if (event.type === '') wrong('events.type');
    if (event.key === '' || event.key.includes('\0')) wrong('events.key');
  }
}

/** Queues entries, those of one party and class together, and answers when all groups that took them are committed. */
export function gathered(entries: readonly Entry[], queue: AcceptQueue, kick: () => void): Promise<AcceptResponse> {
  if (entries.length === 0) return Promise.resolve({ outcomes: [] });
  return new Promise((resolve, reject) => {
    const outcomes: Outcome[] = new Array(entries.length);
    const parts = new Map<string, { entries: Entry[]; at: number[] }>();
    for (const [at, entry] of entries.entries()) {
      const id = `${entry.bulk ? 'b' : 'i'}${entry.partyOin}`;
      const part = parts.get(id);
      if (part === undefined) parts.set(id, { entries: [entry], at: [at] });
      else {
        part.entries.push(entry);
        part.at.push(at);
      }
    }
    let open = parts.size;
    const isLate = lateness();
    for (const part of parts.values())
      queue.add({
        party: part.entries[0]!.partyOin,
        isBulk: part.entries[0]!.bulk,
        entries: part.entries,
        done(results) {
          for (const [i, result] of results.entries()) outcomes[part.at[i]!] = outcomeOf(result);
          open -= 1;
          if (open === 0) resolve({ outcomes });
        },
        failed: reject,
        isLate,
      });
    kick();
  });
}

const taken = {
  accepted: Taken.TAKEN_ACCEPTED,
  repeated: Taken.TAKEN_REPEATED,
  conflict: Taken.TAKEN_CONFLICT,
} as const;
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const outcomeOf = (outcome: EntryOutcome): Outcome => ({
  taken: taken[outcome.taken],
  answer: asBuffer(outcome.answer),
  flowId: asBuffer(outcome.flowId),
});
