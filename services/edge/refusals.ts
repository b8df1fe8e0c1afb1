import { type GatewayError, log } from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import type { RefusalNote } from '#proto/eduk/flows/v1/flows';
import type { AuditNotes } from './audit.ts';
import type { Services, Submission } from './submission.ts';

/** What doors refuse is counted and told to flows once a second, so that an operator finds what never was accepted. */
export class RefusalNotes {
  readonly #flows: Services['flows'];
  readonly #audit: AuditNotes;
  readonly #notes = new Map<string, RefusalNote>();
  readonly #noted = new WeakSet<GatewayError>();
  readonly #timer: NodeJS.Timeout;

  constructor(flows: Services['flows'], audit: AuditNotes) {
    this.#flows = flows;
    this.#audit = audit;
    this.#timer = setInterval(() => void this.flush(), 1000);
    this.#timer.unref();
  }

  /** Whether an error was noted as what refused a message: then nobody notes it of the call too. */
  has(error: GatewayError): boolean {
    return this.#noted.has(error);
  }

  /** Says that what an error tells of was noted message by message. */
  noted(error: GatewayError): GatewayError {
    this.#noted.add(error);
    return error;
  }

  note(submission: Submission, error: GatewayError): void {
    this.#noted.add(error);
    const about = submission.message.reveal((request) => submission.intake.about?.(request)) ?? {};
    this.#audit.note({
      kind: AuditKind.AUDIT_KIND_REFUSED,
      partyOin: submission.caller.oin,
      actedBy: submission.caller.actor ?? '',
      schoolOin: idOr(submission.school),
      method: submission.intake.method,
      code: error.fault,
    });
    const note: RefusalNote = {
      partyOin: submission.caller.oin,
      method: submission.intake.method,
      schoolOin: submission.school ?? '',
      code: error.fault,
      // Ids only where their form was checked: a refused message may hold anything in them.
      orderId: idOr(about.orderId),
      productId: idOr(about.productId),
      entitlementId: idOr(about.entitlementId),
      times: 1,
      atMs: BigInt(Date.now()),
    };
    const key = [
      note.partyOin,
      note.method,
      note.schoolOin,
      note.code,
      note.orderId,
      note.productId,
      note.entitlementId,
    ].join('|');
    const known = this.#notes.get(key);
    if (known) {
      known.times += 1;
      known.atMs = note.atMs;
    } else if (this.#notes.size < 10_000) this.#notes.set(key, note);
  }

  async flush(): Promise<void> {
    if (this.#notes.size === 0) return;
    const notes = [...this.#notes.values()];
    this.#notes.clear();
    try {
      await this.#flows.noteRefusals({ notes });
    } catch {
      log('warn', 'refusal_notes_lost', { notes: notes.length }); // Counters only; the sender was told itself.
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

const idOr = (value: string | undefined): string =>
  value !== undefined && /^[\w.:/+#=~-]{1,64}$/.test(value) ? value : '';
