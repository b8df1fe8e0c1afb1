import { purposes } from './keys.ts';
import { type Decision, type Line, schoolToken } from './ledger.ts';
import { each } from './rows.ts';
import type { School, Shelf } from './shelf.ts';

/**
 * Who is to be forgotten, and the destroying. What is destroyed: the secret under which payloads, salts and all three
 * tables stand, their rows, and the index. What stays is the token, so that it is never given again and is known to be
 * nobody's. Decisions are on the ledger before the vault commits them.
 */
export class Forgetting {
  readonly #shelf: Shelf;
  #decided: Line[] = [];

  constructor(shelf: Shelf) {
    this.#shelf = shelf;
  }

  /** Decisions since this was last asked: for the ledger before the commit, or for nobody when the run counts for nothing. */
  takeDecided(): Line[] {
    const decided = this.#decided;
    this.#decided = [];
    return decided;
  }

  /** `atMs`: 0 or past = now; later = then, or sooner where that was decided before; -1 = not after all. */
  decide(oin: string, token: string, atMs: number): { known: boolean; destroyed: boolean } {
    const waits = this.#waitsOf(oin, token);
    return this.#decide(oin, token, atMs > 0 && waits !== undefined ? Math.min(waits, atMs) : atMs);
  }

  #waitsOf(oin: string, token: string): number | undefined {
    const school = this.#shelf.school(oin, false);
    return school && this.#shelf.byToken(school, token)?.waitsMs;
  }

  #decide(oin: string, token: string, atMs: number): { known: boolean; destroyed: boolean } {
    const shelf = this.#shelf;
    const school = shelf.school(oin, false);
    const learner = school && shelf.byToken(school, token);
    if (!learner) {
      const gone = school !== undefined && shelf.rows.learnerByToken(school.id, token)?.forgotten === true;
      return { known: gone, destroyed: gone };
    }
    const now = shelf.clock.now();
    if (atMs >= 0 && atMs <= now) {
      this.#destroy(school!, token);
      return { known: true, destroyed: true };
    }
    const waitsMs = atMs < 0 ? undefined : atMs;
    if (learner.waitsMs !== waitsMs) {
      shelf.rows.write.setWaiting(school!.id, learner.id, waitsMs);
      shelf.change(learner, { waitsMs });
      this.#note(oin, token, waitsMs === undefined ? 'kept' : 'waits', waitsMs ?? now);
    }
    return { known: true, destroyed: false };
  }

  #destroy(school: School, token: string): void {
    this.#shelf.destroy(school, this.#shelf.byToken(school, token)!);
    this.#note(school.oin, token, 'destroyed', this.#shelf.clock.now());
  }

  #note(school: string, token: string, decision: Decision, atMs: number): void {
    this.#decided.push({ school, token, decision, atMs });
  }

  /** People who left lose names, birth dates and contact; who is named again later has them again. Says of how many there were any. */
  endNames(oin: string, tokens: readonly string[]): number {
    const school = this.#shelf.school(oin, false);
    if (!school) return 0;
    return each(tokens, (token) => {
      const learner = this.#shelf.byToken(school, token);
      // Names that stand under a second token are names of the same person.
      const parts = learner === undefined ? [] : this.#shelf.parts(school, learner);
      return parts.map((part) => this.#shelf.endNames(school, part)).some(Boolean);
    }).filter(Boolean).length;
  }

  /**
   * Of a school that is forgotten since `atMs`: whether anything of before is left. The last that goes is its keys, so that a school
   * whose keys are all younger is done, whatever was taken in of it since.
   */
  isSchoolDone(oin: string, atMs: number): boolean {
    const row = this.#shelf.rows.school(oin);
    return !row || row.keys.every(({ madeMs }) => madeMs >= atMs);
  }

  /** Some people of a forgotten school, of either kind, and some of its texts. Says how many of each went. Needs no key. */
  destroyOfSchool(oin: string, tokens: readonly string[], texts: readonly string[]): { people: number; texts: number } {
    const school = this.#shelf.school(oin, false);
    if (!school) return { people: 0, texts: 0 };
    const people = each(tokens, (token) => this.#decide(oin, token, 0).destroyed).filter(Boolean).length;
    const gone = texts.filter((token) => this.#shelf.rows.text(school.id, token) !== undefined);
    for (const token of gone) this.#shelf.rows.write.dropText(school.id, token);
    return { people, texts: gone.length };
  }

  /**
   * Every key of the school is another from now on: what was sealed before, in events, in rows of services and in backups, is
   * sealed for good. Throws where its keys are held elsewhere and closed.
   */
  renewAfterSchool(oin: string, atMs: number): void {
    const school = this.#shelf.school(oin, false);
    if (!school || this.isSchoolDone(oin, atMs)) return;
    this.#shelf.renewKeys(school, purposes, atMs);
    this.#shelf.dropOlder(school, purposes);
    this.#note(oin, schoolToken(oin), 'destroyed', atMs);
  }

  /** Destroys one whose time has come, unless that was taken back meanwhile. Says whether. */
  destroyDue(oin: string, token: string): boolean {
    const waitsMs = this.#waitsOf(oin, token);
    if (waitsMs === undefined || waitsMs > this.#shelf.clock.now()) return false;
    this.#destroy(this.#shelf.school(oin, false)!, token);
    return true;
  }

  /** After a backup came back: what the ledger says and the vault does not know is decided again. Says whether. */
  decideAgain({ school: oin, token, decision, atMs }: Line): boolean {
    const school = this.#shelf.school(oin, false);
    const learner = school && this.#shelf.byToken(school, token);
    if (!learner) return false;
    if (decision === 'destroyed') this.#decide(oin, token, 0);
    else if (decision === 'waits' && learner.waitsMs !== atMs) this.#decide(oin, token, atMs);
    else if (decision === 'kept' && learner.waitsMs !== undefined) this.#decide(oin, token, -1);
    else return false;
    return true;
  }
}
