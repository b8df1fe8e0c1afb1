/** Something happened: whoever waits goes on, and whoever comes next does not wait. */
export class Signal {
  #raised = false;
  #waiting: (() => void)[] = [];

  raise(): void {
    this.#raised = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Until it is raised, `ms` have passed or `ended` aborts, whichever comes first; lowers it. */
  async within(ms: number, ended?: AbortSignal): Promise<void> {
    if (!this.#raised && !ended?.aborted)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          ended?.removeEventListener('abort', done);
          const at = this.#waiting.indexOf(done);
          if (at >= 0) this.#waiting.splice(at, 1);
          resolve();
        };
        const timer = setTimeout(done, Math.min(ms, 60_000));
        this.#waiting.push(done);
        ended?.addEventListener('abort', done, { once: true });
      });
    this.#raised = false;
  }
}
