/** Signed heads of the log of what was done, on their way to the parties: each gets every new one with an answer of its own. */
import { type Client, describeError, encoded, log } from '#kernel';
import type { AuditServiceDefinition } from '#proto/eduk/audit/v1/audit';
import { LogHead, type LogKey } from '#proto/eduk/core/v1/audit';

/** How often a newer head is asked for, milliseconds. */
const LOOK_MS = 1000;
/** Parties of whom it is remembered which head they have; a party that is forgotten gets a head twice. */
const MOST_PARTIES = 10_000;

export class Heads {
  readonly #audit: Pick<Client<typeof AuditServiceDefinition>, 'getHead'>;
  #timer: NodeJS.Timeout | undefined;
  #head: LogHead | undefined;
  #bytes: Buffer | undefined;
  #keys: readonly LogKey[] = [];
  /** The newest head that each party was given here. */
  readonly #given = new Map<string, LogHead>();
  #isLooking = false;
  #told = false;

  constructor(audit: Pick<Client<typeof AuditServiceDefinition>, 'getHead'>) {
    this.#audit = audit;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
    this.#timer.unref();
    void this.look();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Asks now; what cannot be asked is asked again. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const { head, keys } = await this.#audit.getHead({});
      this.#keys = keys;
      // After a restore the log may have as many leaves as before, and others: that is what parties are to see.
      if (head && !(this.#head && isSame(head, this.#head))) {
        this.#head = head;
        this.#bytes = Buffer.from(encoded(LogHead, head));
      }
      this.#told = false;
    } catch (thrown) {
      if (!this.#told) log('warn', 'log_head_not_read', describeError(thrown));
      this.#told = true;
    } finally {
      this.#isLooking = false;
    }
  }

  /** The newest, as it was last heard of. */
  get newest(): LogHead | undefined {
    return this.#head;
  }

  /** Every key that signed a head, the oldest first. */
  get keys(): readonly LogKey[] {
    return this.#keys;
  }

  /** The newest head, encoded, where this party was not given it here before. */
  newFor(party: string): Buffer | undefined {
    const head = this.#head;
    if (head === undefined || this.#given.get(party) === head) return undefined;
    if (this.#given.size >= MOST_PARTIES) this.#given.clear();
    this.#given.set(party, head);
    return this.#bytes;
  }
}

const isSame = (one: LogHead, other: LogHead): boolean =>
  one.size === other.size &&
  Buffer.from(one.root).equals(Buffer.from(other.root)) &&
  Buffer.from(one.logId).equals(Buffer.from(other.logId));
