/**
 * What senders have sent of messages and bodies that are not whole yet. Each is small; ten thousand slow senders together
 * are not. Beyond a total the slowest is cut off, so that who sends slowly harms himself and not others.
 */
export class Unfinished {
  readonly #most: number;
  readonly #parts = new Set<Part>();
  #held = 0;

  /** `most`: bytes that all together may hold. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes held now. */
  get held(): number {
    return this.#held;
  }

  get count(): number {
    return this.#parts.size;
  }

  /** Something begins to arrive; `cut` ends it, at most once and never after `end`. */
  begin(cut: () => void): Arriving {
    const part: Part = { bytes: 0, since: performance.now(), cut };
    this.#parts.add(part);
    return {
      grow: (bytes) => {
        if (!this.#parts.has(part)) return;
        part.bytes += bytes;
        this.#held += bytes;
        while (this.#held > this.#most) {
          const slowest = this.#slowest();
          this.#drop(slowest);
          slowest.cut();
        }
      },
      rest: () => {
        part.since = performance.now();
      },
      msSince: () => performance.now() - part.since,
      end: () => this.#drop(part),
    };
  }

  #drop(part: Part): void {
    if (this.#parts.delete(part)) this.#held -= part.bytes;
  }

  /** Who brought least for the time it took; of those that hold nothing there is nothing to win. */
  #slowest(): Part {
    const now = performance.now();
    let slowest: Part | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const part of this.#parts) {
      const pace = part.bytes / (now - part.since + 1);
      if (part.bytes > 0 && pace < least) [slowest, least] = [part, pace];
    }
    return slowest!;
  }
}

interface Part {
  bytes: number;
  since: number;
  cut(): void;
}

export interface Arriving {
  /** More of it came. */
  grow(bytes: number): void;
  /** It is not read now, by our own wish: its time begins anew. */
  rest(): void;
  msSince(): number;
  /** It is whole, or nobody wants it any more. */
  end(): void;
}
