/**
 * How many different things were seen, without keeping which: a HyperLogLog of 2,048 ranks. Of each thing it keeps eleven bits
 * that choose a place, and how many zeros follow, so that sketches of days, answers and processes can be put together and still
 * count everything once. Estimated as Ertl does (2017, improved estimator), without a seam between few and many: off by about
 * 1.6 % at 500 things, 2.3 % at thousands (standard error), and mostly exact below 30.
 */
const PLACES = 2048;
const PLACE_BITS = 11;
/** Bits behind those that choose the place; ranks are 1 to one more. */
const REST_BITS = 30;
const MOST_RANK = REST_BITS + 1;
/** Bytes of one place in the written form: eleven bits of place, five of rank. */
const CELL = 2;

/** A 32-bit mix of a text; two seeds give two that have nothing to do with each other. */
function mix(text: string, seed: number): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export class Sketch {
  readonly #ranks = new Uint8Array(PLACES);

  /** `thing`: a token. It is not kept. */
  add(thing: string): void {
    const place = mix(thing, 0x811c9dc5) >>> (32 - PLACE_BITS);
    const rest = mix(thing, 0x9e3779b1) >>> (32 - REST_BITS);
    this.#raise(place, rest === 0 ? MOST_RANK : Math.clz32(rest) - (32 - REST_BITS) + 1);
  }

  #raise(place: number, rank: number): void {
    if (rank > this.#ranks[place]!) this.#ranks[place] = rank;
  }

  /** Takes another one in, as `bytes` wrote it. Throws a RangeError for what is none. */
  merge(written: Uint8Array): this {
    if (written.length % CELL !== 0 || written.length > PLACES * CELL) throw new RangeError('This is no sketch.');
    for (let i = 0; i < written.length; i += CELL) {
      const cell = (written[i]! << 8) | written[i + 1]!;
      this.#raise(cell >>> 5, cell & 31);
    }
    return this;
  }

  /** Two bytes for each place that was hit, in their order; nothing = nothing was seen. */
  bytes(): Uint8Array {
    const cells: number[] = [];
    for (let place = 0; place < PLACES; place++) {
      const rank = this.#ranks[place]!;
      if (rank > 0) cells.push((place << 5) | rank);
    }
    const written = new Uint8Array(cells.length * CELL);
    for (const [i, cell] of cells.entries()) {
      written[i * CELL] = cell >>> 8;
      written[i * CELL + 1] = cell & 255;
    }
    return written;
  }

  /** About how many different things were added. */
  count(): number {
    const of = new Array<number>(MOST_RANK + 1).fill(0);
    for (const rank of this.#ranks) of[rank]! += 1;
    let z = PLACES * tau(1 - of[MOST_RANK]! / PLACES);
    for (let rank = REST_BITS; rank >= 1; rank--) z = 0.5 * (z + of[rank]!);
    z += PLACES * sigma(of[0]! / PLACES);
    return Math.round((PLACES * PLACES) / (2 * Math.LN2 * z));
  }
}

function sigma(x: number): number {
  if (x === 1) return Infinity;
  let [power, y, z] = [x, 1, x];
  for (let before = -1; z !== before; ) {
    power *= power;
    before = z;
    z += power * y;
    y += y;
  }
  return z;
}

function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let [root, y, z] = [x, 1, 1 - x];
  for (let before = -1; z !== before; ) {
    root = Math.sqrt(root);
    before = z;
    y *= 0.5;
    z -= (1 - root) ** 2 * y;
  }
  return z / 3;
}

/** Sketches put together; nothing of nothing. */
export const mergedSketch = (...written: readonly Uint8Array[]): Uint8Array => {
  const some = written.filter(({ length }) => length > 0);
  if (some.length <= 1) return some[0] ?? new Uint8Array(0);
  return some.reduce((sketch, one) => sketch.merge(one), new Sketch()).bytes();
};
