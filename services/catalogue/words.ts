/**
 * Terms under which products are found, and an index of them in memory. Memory, because a table of words would cost
 * some fifty rows for each product written and be read only here; the index is read from the products' rows, so it is
 * lost and rebuilt without harm.
 */

import type { SearchProductsRequest } from '#proto/eduk/catalogue/v1/catalogue';
import type { Product } from '#proto/eduk/core/v1/product';

/** Lower case without diacritics: `Één` is `een`. */
const fold = (text: string): string =>
  text
    .normalize('NFD')
    .replace(/\p{Mn}/gu, '')
    .toLowerCase();

/** The words of a text, folded. */
export const wordsOf = (text: string): string[] => fold(text).match(/[\p{L}\p{N}]+/gu) ?? [];

/** Each kind of term has its own first character, so that a level `havo` and a word `havo` differ. */
const term = { word: 'w', subject: 's', level: 'l', year: 'y', goal: 'g', sector: 'c', publisher: 'p' } as const;

const value = (kind: keyof typeof term, text: string): string => term[kind] + fold(text.trim());

/** All terms of a product, each once. */
export function termsOf(product: Product): string[] {
  const terms = new Set<string>();
  for (const text of [product.title, ...product.authors, product.publisher, product.description])
    for (const word of wordsOf(text)) terms.add(term.word + word);
  for (const text of product.subjects) terms.add(value('subject', text));
  for (const text of product.levels) terms.add(value('level', text));
  for (const text of product.years) terms.add(value('year', text));
  for (const text of product.goals) terms.add(value('goal', text));
  for (const text of product.sectors) terms.add(value('sector', text));
  terms.add(value('publisher', product.publisherOin));
  return [...terms];
}

/** All terms that a product must have to be found. */
export function termsAsked(filter: SearchProductsRequest): string[] {
  const terms = wordsOf(filter.words).map((word) => term.word + word);
  for (const kind of ['subject', 'level', 'year', 'goal', 'sector'] as const)
    if (filter[kind] !== '') terms.push(value(kind, filter[kind]));
  if (filter.publisherOin !== '') terms.push(value('publisher', filter.publisherOin));
  return [...new Set(terms)];
}

/** Below this many products with the rarest term, they are collected and sorted; above it, ids are walked in order. */
const COLLECT_AT_MOST = 2_000;

/** Which products have which terms. Answers product ids in order of id. */
export class WordIndex {
  /** Term → its number; numbers make a product's terms a short sorted array. */
  readonly #numbers = new Map<string, number>();
  /** By term number: slots of the products that have it. */
  readonly #postings: number[][] = [];
  readonly #slots = new Map<string, number>();
  /** By slot. */
  readonly #ids: string[] = [];
  readonly #terms: Uint32Array[] = [];
  /** Slots in order of product id; undefined after a new product, until the next search. */
  #ordered: Uint32Array | undefined = new Uint32Array();

  get size(): number {
    return this.#ids.length;
  }

  /** Inserts or replaces the terms of a product. */
  set(productId: string, terms: readonly string[]): void {
    const numbers = Uint32Array.from(terms, (text) => this.#number(text)).sort();
    let slot = this.#slots.get(productId);
    if (slot === undefined) {
      slot = this.#ids.push(productId) - 1;
      this.#slots.set(productId, slot);
      this.#ordered = undefined;
    }
    const before = new Set(this.#terms[slot]);
    for (const number of numbers) if (!before.delete(number)) this.#postings[number]!.push(slot);
    for (const number of before) this.#postings[number]!.splice(this.#postings[number]!.indexOf(slot), 1);
    this.#terms[slot] = numbers;
  }

  /** At most `limit` ids after `after` of products that have every term. */
  find(terms: readonly string[], after: string, limit: number): string[] {
    const numbers: number[] = [];
    for (const text of terms) {
      const number = this.#numbers.get(text);
      if (number === undefined) return [];
      numbers.push(number);
    }
    const rarest = numbers.reduce(
      (least, n) => (this.#postings[n]!.length < this.#postings[least]!.length ? n : least),
      numbers[0] ?? -1,
    );
    if (rarest !== -1 && this.#postings[rarest]!.length <= COLLECT_AT_MOST) {
      const found: string[] = [];
      for (const slot of this.#postings[rarest]!)
        if (this.#ids[slot]! > after && this.#hasAll(slot, numbers)) found.push(this.#ids[slot]!);
      return found.sort().slice(0, limit);
    }
    const found: string[] = [];
    const ordered = this.#inOrder();
    for (let i = this.#firstAfter(ordered, after); i < ordered.length && found.length < limit; i++)
      if (this.#hasAll(ordered[i]!, numbers)) found.push(this.#ids[ordered[i]!]!);
    return found;
  }

  #number(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#postings.push([]) - 1;
      this.#numbers.set(text, number);
    }
    return number;
  }

  #hasAll(slot: number, numbers: readonly number[]): boolean {
    const terms = this.#terms[slot]!;
    for (const number of numbers) {
      let low = 0;
      let high = terms.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (terms[middle]! < number) low = middle + 1;
        else high = middle;
      }
      if (terms[low] !== number) return false;
    }
    return true;
  }

  #inOrder(): Uint32Array {
    const ids = this.#ids;
    this.#ordered ??= Uint32Array.from([...ids.keys()].sort((a, b) => (ids[a]! < ids[b]! ? -1 : 1)));
    return this.#ordered;
  }

  #firstAfter(ordered: Uint32Array, after: string): number {
    let low = 0;
    let high = ordered.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ids[ordered[middle]!]! <= after) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
