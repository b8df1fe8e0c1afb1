import { inspect } from 'node:util';

/**
 * Something that identifies a person. It refuses to be printed, logged, cloned to another thread or serialised, so that
 * identity cannot leave by accident: an object that still holds one fails loudly or shows `[clear]`.
 */
export class Clear<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The only way out; every caller is listed in services/edge/README.md. */
  reveal<R>(use: (value: T) => R): R {
    return use(this.#value);
  }

  toJSON(): string {
    return '[clear]';
  }

  toString(): string {
    return '[clear]';
  }

  [Symbol.toPrimitive](): string {
    return '[clear]';
  }

  [inspect.custom](): string {
    return '[clear]';
  }
}

export const clear = <T>(value: T): Clear<T> => new Clear(value);
