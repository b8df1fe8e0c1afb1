/** Something here is not as it must be, and a person can mend it: the message says how. */
export class LocalProblem extends Error {
  override name = 'LocalProblem';
  /** 3 = something must be installed, 2 = wrong use, 1 = anything else. */
  readonly exitCode: 1 | 2 | 3;
  constructor(message: string, exitCode: 1 | 2 | 3 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
