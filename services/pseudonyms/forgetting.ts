import type { Decision, Ledger, Line } from './ledger.ts';
import { textOf } from './seal.ts';
import type { School, Shelf } from './shelf.ts';

interface Waiting {
  token: string;
  oin: string;
  atMs: number;
}

/**
 * Who is to be forgotten, and the destroying. What is destroyed: the secret under which payloads, salts and all three
 * tables stand, their rows, and the index. What stays is the token, so that it is never given again and is known to be
 * nobody's. Decisions are on the ledger before the vault commits them.
 */
export class Forgetting {
  readonly #shelf: Shelf;
  readonly #ledger: Ledger;
  readonly #waiting = new Map<number, Waiting>();
  /** Decisions of the transaction that is open. */
  #undecided: Line[] = [];
  /** Whether something was destroyed since the file was last wiped; stays so until a wipe has succeeded. */
  #unwiped = false;

  constructor(shelf: Shelf, ledger: Ledger) {
    this.#shelf = shelf;
    this.#ledger = ledger;
    this.#load();
  }

  #load(): void {
    this.#waiting.clear();
    for (const row of this.#shelf.store.run.allWaiting.all() as unknown as (Waiting & { learner: number })[])
      this.#waiting.set(row.learner, { token: row.token, oin: row.oin, atMs: row.atMs });
  }

  waits(learner: number): boolean {
    return this.#waiting.has(learner);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** `atMs`: 0 or past = now; later = then; -1 = not after all. */
  decide(schoolOin: string, token: string, atMs: number): { known: boolean; destroyed: boolean } {
    const shelf = this.#shelf;
    const school = shelf.school(schoolOin, false);
    const learner = school && shelf.byToken(school, token);
    if (!learner) {
      const gone = school !== undefined && shelf.store.run.tombstone.get(token, school.id) !== undefined;
      return { known: gone, destroyed: gone };
    }
    const now = shelf.clock.now();
    if (atMs < 0) {
      if (this.#waiting.delete(learner.id)) {
        shelf.write.dropWaiting.run(learner.id);
        this.#note(token, 'kept', now);
      }
      return { known: true, destroyed: false };
    }
    if (atMs > now) {
      if (this.#waiting.get(learner.id)?.atMs !== atMs) {
        shelf.write.putWaiting.run(learner.id, atMs);
        this.#waiting.set(learner.id, { token, oin: schoolOin, atMs });
        this.#note(token, 'waits', atMs);
      }
      return { known: true, destroyed: false };
    }
    this.#destroy(school!, token, now);
    return { known: true, destroyed: true };
  }

  #destroy(school: School, token: string, now: number): void {
    const { write } = this.#shelf;
    const learner = this.#shelf.byToken(school, token)!;
    const rows = write.hashesOf.all(learner.id) as { eckId: Uint8Array | null; lasKey: Uint8Array | null }[];
    const hashes = rows.flatMap(({ eckId, lasKey }) => [eckId, lasKey]).filter((hash) => hash !== null);
    for (const hash of hashes) write.dropLookup.run(school.id, hash);
    write.dropNumbers.run(learner.id);
    write.dropNames.run(learner.id);
    write.dropBirth.run(learner.id);
    write.dropContact.run(learner.id);
    write.dropWaiting.run(learner.id);
    write.entomb.run(now, learner.id);
    const count = Number((write.getMeta.get('unvacuumed') as { value: number } | undefined)?.value ?? 0);
    write.putMeta.run('unvacuumed', count + 1);
    this.#waiting.delete(learner.id);
    this.#shelf.drop(school, learner, hashes.map(textOf));
    this.#unwiped = true;
    this.#note(token, 'destroyed', now);
  }

  #note(token: string, decision: Decision, atMs: number): void {
    this.#undecided.push({ token, decision, atMs });
  }

  /** Before the transaction commits. Should it then fail, the ledger is right all the same: this was asked for. */
  beforeCommit(): void {
    this.#ledger.append(this.#undecided);
    this.#undecided = [];
  }

  /** The transaction counts: what was deleted leaves the write-ahead log too. */
  afterCommit(): void {
    if (!this.#unwiped) return;
    this.#shelf.store.checkpoint();
    this.#unwiped = false;
  }

  afterRollback(): void {
    this.#undecided = [];
    this.#load();
  }

  /** Destroys what is due. Returns how many. */
  runDue(): number {
    const now = this.#shelf.clock.now();
    let destroyed = 0;
    for (const { token, oin, atMs } of [...this.#waiting.values()])
      if (atMs <= now) {
        this.#destroy(this.#shelf.school(oin, true), token, now);
        destroyed++;
      }
    return destroyed;
  }

  /** After a backup came back: what the ledger says and the vault does not know is decided again. */
  catchUp(): number {
    let changed = 0;
    for (const { token, decision, atMs } of this.#ledger.read().values()) {
      const row = this.#shelf.store.run.schoolOfToken.get(token) as
        | { id: number; oin: string; forgottenMs: number | null }
        | undefined;
      if (!row || row.forgottenMs !== null) continue;
      const waits = this.#waiting.get(row.id)?.atMs;
      if (decision === 'destroyed') this.decide(row.oin, token, 0);
      else if (decision === 'waits' && waits !== atMs) this.decide(row.oin, token, atMs);
      else if (decision === 'kept' && waits !== undefined) this.decide(row.oin, token, -1);
      else continue;
      changed++;
    }
    return changed;
  }
}
