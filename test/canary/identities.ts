/**
 * Invented identities, each unlike any other and unlike anything else in a gateway, so that whatever holds one says which
 * it is and where it was put in.
 */
import { type Random, randomFrom } from '../parties/random.ts';

export const kinds = [
  'ECK iD',
  'BSN',
  'hashed PGN',
  'stampseudonym',
  'key of the administration',
  'family name',
  'call name',
  'birth date',
  'e-mail address',
  'account name',
  'address',
  'text of a school',
  'activation code',
  'score',
  'words of a peer',
  'secret of a party',
  'id',
] as const;
export type Kind = (typeof kinds)[number];

/** A part of a value that nothing else holds, by which it is found. */
export interface Part {
  text: string;
  /** It is found only where nothing of this stands beside it: a short number could be a part of a longer one. */
  apart?: 'digits' | 'letters and digits';
}

export interface Canary {
  kind: Kind;
  value: string;
  parts: readonly Part[];
  /** Where it was put: operation and place. */
  at: string;
  /** Whether that is where such a thing belongs: then who is entitled may be told it. */
  belongs: boolean;
  /** Whether it is a word of a question, which passes to who answers it, and rests nowhere. */
  asked?: boolean;
}

/** As who writes in ASCII only writes it; still found. `other` stands for what is neither a letter of a word nor allowed. */
export const inAscii = (value: string, allowed = /[\x20-\x7e]/, other = '-'): string =>
  [...value.replaceAll('ë', 'e').replaceAll('Ë', 'E')].map((one) => (allowed.test(one) ? one : other)).join('');

/** Kinds that the grammar of an id, a term or a time refuses: a value of that grammar would be an id to any gateway. */
export const misplaced = [
  'family name',
  'e-mail address',
  'ECK iD',
  'address',
  'BSN',
  'birth date',
  'stampseudonym',
  'text of a school',
] as const satisfies readonly Kind[];

const CONSONANTS = 'bdfghklmnprstvwz';
const VOWELS = 'aeiou';

/** Whether nine digits pass the eleven test of a BSN. */
export const passesEleven = (digits: string): boolean =>
  [...digits].reduce((sum, digit, i) => sum + Number(digit) * (i === 8 ? -1 : 9 - i), 0) % 11 === 0;

export class Identities {
  readonly all: Canary[] = [];
  readonly seed: number;
  readonly #random: Random;
  readonly #used = new Set<string>();

  /** The same seed invents the same, in the same order. */
  constructor(seed: number) {
    this.seed = seed;
    this.#random = randomFrom(seed);
  }

  /** One more. */
  make(kind: Kind, at: string, belongs = false): Canary {
    const { value, parts } = this.#invent(kind, belongs);
    const canary = { kind, value, parts, at, belongs };
    this.all.push(canary);
    return canary;
  }

  /** One that the gateway made itself. */
  given(value: string, at: string, belongs: boolean): Canary {
    const canary: Canary = { kind: 'secret of a party', value, parts: [{ text: value }], at, belongs };
    this.all.push(canary);
    return canary;
  }

  #below(count: number): number {
    return this.#random.between(0, count - 1);
  }

  #fresh(make: () => string): string {
    for (;;) {
      const made = make();
      if (this.#used.has(made)) continue;
      this.#used.add(made);
      return made;
    }
  }

  /** Twelve letters that can be spoken; every third time one of them is outside ASCII, which other forms write otherwise. */
  #word(): string {
    return this.#fresh(() => {
      let word = '';
      for (let i = 0; i < 6; i++)
        word += CONSONANTS[this.#below(CONSONANTS.length)]! + VOWELS[this.#below(VOWELS.length)]!;
      return this.#below(3) === 0 ? `${word.slice(0, 5)}ë${word.slice(6)}` : word;
    });
  }

  #hex(length: number): string {
    return this.#fresh(() => this.#random.hex(length));
  }

  /** A number that nobody has: BSNs begin with 0 to 2. */
  #bsn(): string {
    return this.#fresh(() => {
      for (;;) {
        const digits = `9${String(this.#below(100_000_000)).padStart(8, '0')}`;
        if (passesEleven(digits)) return digits;
      }
    });
  }

  #day(): string {
    return this.#fresh(() => {
      const day = new Date(Date.UTC(2004, 0, 1 + this.#below(365 * 14)));
      return day.toISOString().slice(0, 10);
    });
  }

  #invent(kind: Kind, belongs: boolean): Pick<Canary, 'value' | 'parts'> {
    switch (kind) {
      case 'ECK iD':
      case 'stampseudonym': {
        const hex = this.#hex(128);
        const path = kind === 'ECK iD' ? 'pilot' : 'pilot/stampseudoniem';
        return {
          value: `https://ketenid.nl/${path}/${hex}`,
          parts: [{ text: hex.slice(0, 40) }, { text: hex.slice(-40) }],
        };
      }
      case 'hashed PGN': {
        const hex = this.#hex(128);
        return { value: hex, parts: [{ text: hex.slice(0, 40) }, { text: hex.slice(-40) }] };
      }
      case 'BSN': {
        const digits = this.#bsn();
        const dotted = `${digits.slice(0, 4)}.${digits.slice(4, 6)}.${digits.slice(6)}`;
        return {
          value: belongs ? digits : `bsn ${digits}`,
          parts: [{ text: digits, apart: 'digits' }, { text: dotted }],
        };
      }
      case 'birth date': {
        const day = this.#day();
        const [year, month, of] = day.split('-');
        return {
          value: belongs ? day : `geboren op ${day}`,
          parts: [
            { text: day },
            { text: `${of}-${month}-${year}` },
            { text: `${year}${month}${of}`, apart: 'letters and digits' },
          ],
        };
      }
      case 'score': {
        const score = this.#fresh(() => `${700 + this.#below(99)}.${1000 + this.#below(8999)}`);
        return { value: score, parts: [{ text: score }] };
      }
    }
    const word = this.#word();
    const capital = word[0]!.toUpperCase() + word.slice(1);
    const found = { parts: [...new Set([word, inAscii(word)])].map((text) => ({ text })) };
    switch (kind) {
      case 'key of the administration':
        return { value: `kanarie-${word}`, ...found };
      case 'family name':
        return { value: `Van der ${capital}`, ...found };
      case 'call name':
        return { value: capital, ...found };
      // Longer than any id may be.
      case 'e-mail address':
        return { value: `${word}.kanarie.in.een.heel.lange.kooi.met.een.deur@leerling.school.example`, ...found };
      case 'account name':
        return { value: `${word} 2014`, ...found };
      case 'address':
        return { value: `${capital}straat 12 bis, 9999 ZZ Vogeldorp`, ...found };
      case 'activation code':
        return { value: `CODE-${word.toUpperCase()}-7`, ...found };
      case 'words of a peer':
        return { value: `${capital} staat niet in onze administratie`, ...found };
      default:
        return { value: `Groep van juf ${capital}`, ...found };
    }
  }
}
