import { hkdfSync, type KeyObject } from 'node:crypto';
import { GatewayError, HmacKey } from '#kernel';
import { keyOf, mac, open, seal } from './seal.ts';

/** What wraps the data keys of schools: one for each master key that a wrapped key may still name. */
export interface Wrapper {
  /** `master:1`; each master key that follows counts one more. */
  readonly name: string;
  /** Wraps the data keys of one school. */
  wrapping(schoolOin: string): KeyObject;
  /**
   * The first key of a school for pairwise pseudonyms. Made, not drawn: a backup from before the school had one gives the
   * same one again, and what a receiver has once been shown stays.
   */
  pairwise(schoolOin: string): Buffer;
}

/** 32 bytes each, for the doors. They stay when the master key is replaced: what parties were told is made with them. */
export interface DoorKeys {
  readonly digestKey: Buffer;
  readonly cursorKey: Buffer;
  readonly tokenKey: Buffer;
}

/**
 * The top of the key hierarchy: everything that comes straight from a master key, by HKDF-SHA-256 under the vault's own
 * random id and a label each. The master key itself seals nothing and is not kept: it may be wiped once this has been made.
 */
export interface MasterKeys extends Wrapper {
  /** Says whether this is the key the vault was made under; says nothing about the key. */
  readonly check: Buffer;
  readonly doors: DoorKeys;
  /** What has to outlive this master key, sealed under the one that follows it. */
  handOver(to: Pick<MasterKeys, 'keep'>, doors: DoorKeys): Buffer;
  /** Seals what the master key before this one hands over. */
  keep(handed: Uint8Array): Buffer;
  /** What was handed over. Undefined when it was not to this key. */
  takeOver(kept: Uint8Array): { former: Wrapper; doors: DoorKeys } | undefined;
}

export const wrapperName = (number: number): string => `master:${number}`;

export function masterKeys(master: Uint8Array, vaultId: Uint8Array, number = 1): MasterKeys {
  const derive = (label: string): Buffer => Buffer.from(hkdfSync('sha256', master, vaultId, `eduk vault ${label}`, 32));
  const [schools, pairwise] = [derive('schools 1'), derive('pairwise 1')];
  const own = keyOf(derive('handed over 1'));
  const place = ['meta', 'kept', wrapperName(number)];
  return {
    ...wrapper(number, schools, pairwise, vaultId),
    check: mac(new HmacKey(derive('check 1')), 'check', vaultId),
    doors: {
      digestKey: derive('door digest 1'),
      cursorKey: derive('door cursor 1'),
      tokenKey: derive('door token 1'),
    },
    handOver(to, { digestKey, cursorKey, tokenKey }) {
      const plain = Buffer.concat([schools, pairwise, digestKey, cursorKey, tokenKey]);
      try {
        return to.keep(plain);
      } finally {
        plain.fill(0);
      }
    },
    takeOver(kept) {
      const plain = open(own, place, kept);
      if (plain?.length !== 160) return undefined;
      const [formerSchools, formerPairwise, digestKey, cursorKey, tokenKey] = [0, 32, 64, 96, 128].map((at) =>
        Buffer.from(plain.subarray(at, at + 32)),
      ) as [Buffer, Buffer, Buffer, Buffer, Buffer];
      plain.fill(0);
      return {
        former: wrapper(number - 1, formerSchools, formerPairwise, vaultId),
        doors: { digestKey, cursorKey, tokenKey },
      };
    },
    keep: (handed) => seal(own, { school: 0, learner: 0 }, place, handed),
  };
}

function wrapper(number: number, schoolsKey: Uint8Array, pairwise: Uint8Array, vaultId: Uint8Array): Wrapper {
  const schools = new HmacKey(schoolsKey);
  const name = wrapperName(number);
  return {
    name,
    wrapping: (schoolOin) => keyOf(mac(schools, name, schoolOin)),
    pairwise: (schoolOin) => Buffer.from(hkdfSync('sha256', pairwise, vaultId, `eduk vault pairwise ${schoolOin}`, 32)),
  };
}

export const masterClosed = (): GatewayError =>
  new GatewayError('gateway.unavailable', 'The key of the vault is held elsewhere, where nobody answers.');

/** The master keys of one vault as one process knows them: while one follows another there are two. */
export class MasterRing {
  /** The one whose check the vault shows. */
  current: MasterKeys | undefined;
  /** The one that is to be the current. */
  next: MasterKeys | undefined;
  readonly doors: DoorKeys;
  readonly #former = new Map<string, Wrapper>();
  #isClosed = false;

  constructor(current: MasterKeys | undefined, next: MasterKeys | undefined, doors: DoorKeys, former?: Wrapper) {
    this.current = current;
    this.next = next;
    this.doors = doors;
    if (former) this.#former.set(former.name, former);
  }

  /** What wraps from now on. */
  get wraps(): MasterKeys {
    this.#requireOpen();
    return (this.next ?? this.current)!;
  }

  /** By the name that a wrapped key gives. */
  of(name: string): Wrapper | undefined {
    this.#requireOpen();
    return [this.next, this.current].find((one) => one?.name === name) ?? this.#former.get(name);
  }

  /** Whether whoever holds the master key lets us have it no longer. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  #requireOpen(): void {
    if (this.#isClosed) throw masterClosed();
  }

  /** Nothing of a master key stays here. The keys of the doors do: nothing of a person stands under them. */
  close(): void {
    this.#isClosed = true;
    this.current = undefined;
    this.next = undefined;
    this.#former.clear();
  }

  /** As it was opened anew. */
  adopt(ring: MasterRing): void {
    this.current = ring.current;
    this.next = ring.next;
    for (const [name, wrapper] of ring.#former) this.#former.set(name, wrapper);
    this.#isClosed = false;
  }

  /** The next is the current; what the current has wrapped can still be opened. */
  advance(): void {
    if (this.current) this.#former.set(this.current.name, this.current);
    this.current = this.next;
    this.next = undefined;
  }
}

/** What wraps the keys of one school while whoever holds it lets us. */
export interface SchoolLease {
  /** `held:…`, as a wrapped key gives it. */
  readonly name: string;
  readonly wrapping: KeyObject;
  readonly isOpen: boolean;
  /** It was needed: it is asked for again before its time is over. */
  use(): void;
}

/** Keys that schools hold. */
export interface SchoolWrappers {
  /** By the name that a wrapped key gives, while it is open. */
  lease(name: string): SchoolLease | undefined;
}

export const isHeld = (name: string): boolean => name.startsWith('held:');

/** The keys of a school are wrapped by one that is held elsewhere and is not open here. */
export class ClosedSchool extends GatewayError {
  readonly oin: string;
  readonly wrapper: string;
  constructor(oin: string, wrapper: string) {
    super('school.closed');
    this.oin = oin;
    this.wrapper = wrapper;
  }
}

/** The data keys of a school: random but for `pairwise`, one for each use, each with versions of its own. */
export const purposes = [
  /** HMAC: finds a number without holding it. */
  'index',
  /** The three tables. */
  'numbers',
  'names',
  'contact',
  /** Text a school wrote, and the tokens for it. */
  'texts',
  'text_tokens',
  /** What concerns no learner. */
  'payloads',
  'salts',
  /** Wraps the secrets of learners. */
  'learners',
  /** Pseudonyms of one receiver each; keys of receivers are made from it. */
  'pairwise',
] as const;
export type Purpose = (typeof purposes)[number];

/** What an operator renews together. */
export const rotations = {
  /** Under which values rest. */
  data: ['numbers', 'names', 'contact', 'texts', 'learners', 'payloads'],
  /** By which numbers and texts are found, and salts are made. */
  index: ['index', 'text_tokens', 'salts'],
  /** Pseudonyms: each receiver is told other ones from then on. */
  pairwise: ['pairwise'],
} as const satisfies Record<string, readonly Purpose[]>;
export type Rotation = keyof typeof rotations;
export const rotationKinds = Object.keys(rotations) as Rotation[];

/**
 * What rests here under these keys is sealed anew, and the key before goes. The others stay readable for good: what they
 * sealed rests in the log, and what they made stands in proofs and at receivers.
 */
export const emptied = ['index', 'numbers', 'names', 'contact', 'texts', 'learners'] as const satisfies Purpose[];
/** Salts of a flow are made again under the same key, so a new one counts for flows that begin when all know of it. */
export const SALTS_AFTER_MS = 3_600_000;
