/**
 * What was read of rosters, for the flows: a read leaves no message, so the door counts it and tells it now and then. One party's reads
 * of one roster by one method in one form are one flow a day.
 */
import { createHash } from 'node:crypto';
import { dutchDay, log, startOfDutchDay } from '#kernel';
import type { Loss } from '#proto/eduk/core/v1/receipt';
import { ReadNote } from '#proto/eduk/flows/v1/flows';
import type { Services } from './submission.ts';

/** Who read what, and how it was written. */
export interface RosterRead {
  partyOin: string;
  method: string;
  schoolOin: string;
  /** `2026-2027`. */
  schoolYear: string;
  /** Empty = the whole school. */
  siteCode: string;
  /** Standard, version and set of fields. */
  form: string;
}

/** What the answer was. */
export type ReadOutcome =
  | { kind: 'roster'; learners: number; groups: number; staff: number; losses: readonly Loss[] }
  | { kind: 'unchanged' }
  | { kind: 'nothing' };

const LOOK_MS = 1_000;
/** What a kind of read told a moment ago rests so long before it tells again: what is asked each minute is one small write a minute. */
const REST_MS = 60_000;
/** So long where nothing changed: of that nobody needs to know at once. */
const UNCHANGED_MS = 5 * 60_000;
/** Kinds that wait to be told, or rest. */
const MOST = 50_000;

interface Waiting {
  note: ReadNote;
  /** Has an answer that is no "nothing changed". */
  isNews: boolean;
  sinceMs: number;
}

export class RosterReads {
  readonly #flows: Pick<Services['flows'], 'noteReads'>;
  readonly #now: () => number;
  readonly #waiting = new Map<string, Waiting>();
  /** When each kind told last. */
  readonly #told = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #lost = 0;

  constructor(flows: Pick<Services['flows'], 'noteReads'>, now: () => number) {
    this.#flows = flows;
    this.#now = now;
    this.#timer = setInterval(() => void this.flush(), LOOK_MS);
    this.#timer.unref();
  }

  note(read: RosterRead, outcome: ReadOutcome): void {
    const now = this.#now();
    const flowId = readFlowId(read, now);
    let waiting = this.#waiting.get(flowId);
    if (!waiting) {
      if (this.#waiting.size >= MOST) {
        this.#lost += 1;
        return;
      }
      const { partyOin, method, schoolOin, schoolYear, siteCode, form } = read;
      const subject = siteCode === '' ? schoolYear : `${schoolYear}.${siteCode}`;
      const about = { flowId, partyOin, method, schoolOin, subject, form, firstMs: BigInt(now) };
      waiting = { note: ReadNote.fromPartial(about), isNews: false, sinceMs: now };
      this.#waiting.set(flowId, waiting);
    }
    const { note } = waiting;
    note.lastMs = BigInt(now);
    if (outcome.kind === 'unchanged') {
      note.unchanged += 1;
      return;
    }
    waiting.isNews = true;
    if (outcome.kind === 'nothing') {
      note.nothing += 1;
      return;
    }
    note.answered += 1;
    const { learners, groups, staff, losses } = outcome;
    Object.assign(note, { gotMs: BigInt(now), learners, groups, staff, losses: [...losses] });
  }

  /** Tells what is due; `all`: whatever waits. */
  async flush(all = false): Promise<void> {
    const now = this.#now();
    for (const [flowId, at] of this.#told) {
      if (now - at < UNCHANGED_MS) break;
      this.#told.delete(flowId);
    }
    const notes: ReadNote[] = [];
    for (const [flowId, { note, isNews, sinceMs }] of this.#waiting) {
      const told = this.#told.get(flowId);
      // The first of a day is told at once, whatever it was.
      const isDue = told === undefined || (isNews ? now - told >= REST_MS : now - sinceMs >= UNCHANGED_MS);
      if (!all && !isDue) continue;
      this.#waiting.delete(flowId);
      // At the end, so that the oldest stand first.
      this.#told.delete(flowId);
      if (this.#told.size < MOST) this.#told.set(flowId, now);
      notes.push(note);
    }
    const lost = this.#lost;
    this.#lost = 0;
    try {
      if (notes.length > 0) await this.#flows.noteReads({ notes });
      if (lost > 0) log('warn', 'read_notes_lost', { notes: lost });
    } catch {
      // Counters only; who read has its answer.
      log('warn', 'read_notes_lost', { notes: notes.length + lost });
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** The same at every door: a UUID of version 7 of the start of the day, and who reads what how. */
function readFlowId({ partyOin, method, schoolOin, schoolYear, siteCode, form }: RosterRead, nowMs: number): string {
  const day = dutchDay(nowMs);
  const what = JSON.stringify([day, partyOin, method, schoolOin, schoolYear, siteCode, form]);
  const id = createHash('sha256').update(`roster read|${what}`).digest().subarray(0, 16);
  id.writeUIntBE(startOfDutchDay(day), 0, 6);
  id[6] = 0x70 | (id[6]! & 0x0f);
  id[8] = 0x80 | (id[8]! & 0x3f);
  const hex = id.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
