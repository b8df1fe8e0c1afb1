import { randomFillSync } from 'node:crypto';
import { sha256 } from './hmac.ts';

/** Ids, and the lane a key belongs to. */

const pool = Buffer.alloc(4096);
let used = pool.length;
let lastMs = 0;
let counter = 0;

/**
 * UUID version 7 (RFC 9562 §5.7) as 16 bytes: 48 bits of Unix milliseconds, then a 12-bit counter that keeps ids made by
 * this thread in the order of their making, then 62 random bits.
 */
export function uuid7(now = Date.now()): Uint8Array {
  if (used + 8 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  if (now > lastMs) {
    lastMs = now;
    counter = (pool[used]! << 3) & 0x7ff; // Start low enough to leave room to count.
  } else if (++counter > 0xfff) {
    lastMs += 1;
    counter = 0;
  }
  const id = new Uint8Array(16);
  const ms = lastMs;
  id[0] = ms / 2 ** 40;
  id[1] = ms / 2 ** 32;
  id[2] = ms >>> 24;
  id[3] = ms >>> 16;
  id[4] = ms >>> 8;
  id[5] = ms;
  id[6] = 0x70 | (counter >> 8);
  id[7] = counter;
  for (let i = 8; i < 16; i++) id[i] = pool[used++]!;
  id[8] = 0x80 | (id[8]! & 0x3f);
  return id;
}

/** Character codes of 0 to f, and their values by code; 255 = no such digit. */
const digits = Buffer.from('0123456789abcdef');
const values = new Uint8Array(128).fill(255);
for (let i = 0; i < 16; i++) values[digits[i]!] = values['0123456789ABCDEF'.charCodeAt(i)] = i;
const HYPHEN = 45;
/** Where a text is put together: sixteen pieces joined one by one would be as many strings. */
const desk = Buffer.alloc(36, HYPHEN);
const isHyphen = (at: number): boolean => at === 8 || at === 13 || at === 18 || at === 23;

/** The usual 36-character form. */
export function uuidText(id: Uint8Array): string {
  for (let i = 0, at = 0; i < 16; i++) {
    if (isHyphen(at)) at++;
    const byte = id[i]!;
    desk[at++] = digits[byte >> 4]!;
    desk[at++] = digits[byte & 15]!;
  }
  return desk.toString('latin1');
}

export const newId = (): string => uuidText(uuid7());

/** Back to 16 bytes; undefined when the text is no UUID. */
export function uuidBytes(text: string): Uint8Array | undefined {
  if (text.length !== 36) return undefined;
  const id = new Uint8Array(16);
  for (let i = 0, at = 0; i < 16; i++) {
    if (isHyphen(at) && text.charCodeAt(at++) !== HYPHEN) return undefined;
    const high = values[text.charCodeAt(at++)] ?? 255;
    const low = values[text.charCodeAt(at++)] ?? 255;
    if ((high | low) > 15) return undefined;
    id[i] = (high << 4) | low;
  }
  return id;
}

/** Lanes a stream has, on both engines. */
export const PARTITIONS = 16;

/** First 4 bytes, big-endian, of SHA-256(key), modulo the number of partitions. */
export function partitionOf(key: string): number {
  const digest = sha256(key);
  let first = 0;
  for (let i = 0; i < 4; i++) first = first * 256 + digest.charCodeAt(i);
  return first % PARTITIONS;
}

const OIN = /^\d{20}$/;
/** Organisatie-identificatienummer: 20 digits. */
export const isOin = (text: string): boolean => OIN.test(text);

const BRIN = /^\d{2}[A-Z]{2}$/;
export const isBrin = (text: string): boolean => BRIN.test(text);

/**
 * The OIN of an institution, from its BRIN: prefix 00000007, then 000, the four characters of the BRIN and 00000.
 * A BRIN ends in letters, so this OIN is not all digits; `isSchoolOin` knows the form.
 */
export const schoolOin = (brin: string): string => `00000007000${brin}00000`;

const SCHOOL_OIN = /^00000007000(\d{2}[A-Z]{2})\d{5}$/;
/** Of a school without BRIN; ours, in a form that no register gives out. */
const OWN_SCHOOL_OIN = /^00000007(?:VL0000(\d{6})|SK[A-Z2-7]{10})$/;
export const isSchoolOin = (text: string): boolean => SCHOOL_OIN.test(text) || OWN_SCHOOL_OIN.test(text);

/** How a school in Flanders, which has no BRIN, is known here: by its instellingsnummer, 2 to 6 digits. */
export const flemishSchoolOin = (number: string): string => `00000007VL${String(Number(number)).padStart(10, '0')}`;
/** The instellingsnummer in it; undefined of any other school. */
export const flemishNumberOf = (oin: string): string | undefined => {
  const digits = OWN_SCHOOL_OIN.exec(oin)?.[1];
  return digits === undefined ? undefined : String(Number(digits)).padStart(2, '0');
};
/** How a school with neither is known: by the key that one sender has for it, 50 bits of a digest, so that nothing is looked up. */
export function keyedSchoolOin(senderOin: string, schoolkey: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const digest = sha256(`eduk schoolkey|${senderOin}|${schoolkey.trim()}`);
  let bits = 0n;
  for (let i = 0; i < 8; i++) bits = bits * 256n + BigInt(digest.charCodeAt(i));
  let code = '';
  for (let i = 0; i < 10; i++, bits >>= 5n) code += letters[Number(bits & 31n)];
  return `00000007SK${code}`;
}
/** A routing id is the OIN of an institution whose last five digits are the number of one of its administrations. */
export interface Routing {
  schoolOin: string;
  /** Five digits; empty where none is named (`00000`). */
  administration: string;
}

/** What a routing id or the OIN of a school names; any other text as it is, without an administration. */
export function routingOf(text: string): Routing {
  const brin = brinOf(text);
  if (brin === undefined) return { schoolOin: text, administration: '' };
  return { schoolOin: schoolOin(brin), administration: administrationOf(text.slice(-5)) };
}
/** `00000` says none. */
export const administrationOf = (digits: string): string => (digits === '00000' ? '' : digits);
/** Five digits, or none. */
export const isAdministration = (text: string): boolean => /^(\d{5})?$/.test(text);

/** Dependancecode of the main site. UWLR 2.2 and EDEXML 2.1: also what stands there when no site is meant. */
export const MAIN_SITE = '00';
/** Two digits (dependancecode), or none. */
export const isSiteCode = (text: string): boolean => /^(\d{2})?$/.test(text);
/**
 * Whether what is named by rosters of these sites belongs to a site: to the main site also what no roster of another names.
 * Everything belongs to the whole school (no code).
 */
export const isAtSite = (codes: readonly string[], site: string): boolean =>
  site === '' || codes.includes(site) || (site === MAIN_SITE && codes.length === 0);

export const brinOf = (oin: string): string | undefined => SCHOOL_OIN.exec(oin)?.[1];

/** Any OIN that may name a party here: twenty digits, or the form of an institution. */
export const isPartyOin = (text: string): boolean => isOin(text) || isSchoolOin(text);

/** Holds of learners to be forgotten are known by their id: a restore takes their approval in again, and no other's. */
const FORGET_HOLD = 'forget-';
export const forgetHoldId = (id: string): string => FORGET_HOLD + id;
export const isForgetHold = (holdId: string): boolean => holdId.startsWith(FORGET_HOLD);
/** Holds of changes of entitlements are known by their id too: who decides about them is another service. */
const CHANGE_HOLD = 'change-';
export const changeHoldId = (id: string): string => CHANGE_HOLD + id;
export const isChangeHold = (holdId: string): boolean => holdId.startsWith(CHANGE_HOLD);
/**
 * Such a hold is shown with how many it had then: more may come while somebody looks, and a decision is about those that were seen.
 */
export const shownForgetHold = (holdId: string, forgets: number): string => `${holdId}.${forgets}`;
/** Back: the hold, and how many of it were seen; undefined = all that it has. */
export function seenForgetHold(shown: string): { holdId: string; seen: number | undefined } {
  const m = isForgetHold(shown) ? /^(.+)\.(\d{1,9})$/.exec(shown) : null;
  return m ? { holdId: m[1]!, seen: Number(m[2]) } : { holdId: shown, seen: undefined };
}

/** How long after the hour of its destruction nothing of a forgotten school is taken in, for what is on its way then; milliseconds. */
export const FORGOTTEN_CLOSED_MS = 3_600_000;
