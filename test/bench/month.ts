/** A month of invented flows. Each is made of its number alone, so that who fills them in and who looks for them need no list. */
import { schoolOin } from '#kernel';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Schools send from seven to six. */
const OPENS_MS = 7 * HOUR_MS;
const OPEN_MS = 11 * HOUR_MS;
const SCHOOLS = 7_000;
const PARTIES_OF_KIND = 50;
/** Learners of a school. */
const LEARNERS = 400;
/** Of each hundred so many are refused, and so many not decided yet. */
const REFUSED = 2;
const UNDECIDED = 1;

interface Kind {
  /** Of each hundred flows. */
  share: number;
  type: string;
  method: string;
  outcome: string;
  says: 'decided' | 'done';
  refusal: string;
  code: string;
  told: string;
  /** Days for which the reference is remembered. */
  remember: number;
  subject(i: number): string;
}

const padded = (i: number, letter: string): string => `${letter}-${String(i).padStart(9, '0')}`;
const unknown = { code: 'product.unknown', told: 'No publisher offers this product.' };
const kinds: readonly Kind[] = [
  {
    ...{ share: 35, type: 'GrantSubmitted', method: 'EntitlementService/GrantEntitlements', remember: 400 },
    ...{ outcome: 'EntitlementGranted', says: 'decided', refusal: 'GrantRefused', ...unknown },
    subject: (i) => padded(i, 'licence'),
  },
  {
    ...{ share: 14, type: 'OrderSubmitted', method: 'OrderService/PlaceOrder', remember: 400 },
    ...{ outcome: 'OrderPlaced', says: 'decided', refusal: 'OrderRefused', ...unknown },
    subject: (i) => padded(i, 'order'),
  },
  {
    ...{ share: 30, type: 'ResultSubmitted', method: 'ResultService/ReturnResults', remember: 35 },
    ...{ outcome: 'ResultRecorded', says: 'decided', refusal: 'ResultRefused' },
    ...{ code: 'learner.unknown', told: 'This learner is not known at the school.' },
    subject: (i) => padded(i, 'result'),
  },
  {
    ...{ share: 20, type: 'LaunchSubmitted', method: 'AccessService/CreateLaunch', remember: 35 },
    ...{ outcome: 'LaunchCreated', says: 'done', refusal: 'AccessRefused' },
    ...{ code: 'entitlement.expired', told: 'The licence has ended.' },
    subject: (i) => padded(i, 'launch'),
  },
  {
    ...{ share: 1, type: 'ProductSubmitted', method: 'CatalogueService/PublishProducts', remember: 35 },
    ...{ outcome: 'ProductPublished', says: 'decided', refusal: 'ProductRefused' },
    ...{ code: 'wire.invalid', told: 'It ends before it starts.' },
    subject: (i) => String(9_780_000_000_000 + i),
  },
];
const ofHundred: readonly Kind[] = kinds.flatMap((kind) => Array<Kind>(kind.share).fill(kind));

/** 0 to 2^32; numbers that follow each other give what has nothing to do with each other. */
function mixed(i: number, salt: number): number {
  let h = Math.imul(i ^ (salt * 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16), 0x27d4eb2f);
  return (h ^ (h >>> 15)) >>> 0;
}
const share = (i: number, salt: number): number => mixed(i, salt) / 2 ** 32;
const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');

/** As of the schools of the country, and none of those that tests make. */
const schoolNumbered = (n: number): string => {
  const letter = (of: number): string => String.fromCharCode(65 + (of % 26));
  return schoolOin(`${10 + Math.floor(n / 676)}${letter(Math.floor(n / 26))}${letter(n)}`);
};
const schools: readonly string[] = Array.from({ length: SCHOOLS }, (_, n) => schoolNumbered(n));

export interface MonthOf {
  count: number;
  days: number;
  /** The midnight before which all of them came, Unix milliseconds. */
  untilMs: number;
}

export class Month {
  readonly count: number;
  readonly #days: number;
  readonly #perDay: number;
  readonly #fromMs: number;

  constructor({ count, days, untilMs }: MonthOf) {
    this.count = count;
    this.#days = days;
    this.#perDay = Math.ceil(count / days);
    this.#fromMs = untilMs - days * DAY_MS;
  }

  /** Numbers by day: the first of each, and behind the last. */
  *days(): Generator<readonly [number, number]> {
    for (let day = 0; day < this.#days; day++)
      yield [Math.min(this.count, day * this.#perDay), Math.min(this.count, (day + 1) * this.#perDay)];
  }

  /** Higher numbers came later. */
  acceptedMs(i: number): number {
    const day = Math.floor(i / this.#perDay);
    return this.#fromMs + day * DAY_MS + OPENS_MS + Math.floor(((i % this.#perDay) / this.#perDay) * OPEN_MS);
  }

  /** Rises with the number, as ids do. */
  flowId(i: number): string {
    const ms = hex(this.acceptedMs(i), 12);
    return `${ms.slice(0, 8)}-${ms.slice(8)}-7${hex(i % 0x1000, 3)}-8${hex(mixed(i, 1) >>> 20, 3)}-${hex(mixed(i, 2) >>> 16, 4)}${hex(i, 8)}`;
  }

  kind(i: number): Kind {
    return ofHundred[mixed(i, 3) % 100]!;
  }

  /** Some schools are twenty times as large as others. */
  school(i: number): string {
    return schools[Math.floor(SCHOOLS * share(i, 4) ** 1.4)]!;
  }

  /** Few parties send most. */
  party(i: number): string {
    const one = Math.floor(PARTIES_OF_KIND * share(i, 5) ** 2);
    return `000000098${hex(kinds.indexOf(this.kind(i)), 1)}${String(one).padStart(7, '0')}000`;
  }

  subject(i: number): string {
    return this.kind(i).subject(i);
  }

  reference(i: number): string {
    return `bericht-${i}`;
  }

  learner(i: number): string {
    const one = `${this.school(i).slice(11, 15)}${mixed(i, 6) % LEARNERS}`.toLowerCase();
    return `lt_${one.padEnd(26, 'a')}`;
  }

  state(i: number): 'accepted' | 'decided' | 'done' | 'refused' {
    const at = mixed(i, 7) % 100;
    return at < REFUSED ? 'refused' : at < REFUSED + UNDECIDED ? 'accepted' : this.kind(i).says;
  }

  /** The number behind the last that came before a moment. */
  before(ms: number): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.acceptedMs(middle) < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
