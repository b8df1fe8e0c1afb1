import { hash, randomFillSync } from 'node:crypto';

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

const hex = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** The usual 36-character form. */
export function uuidText(id: Uint8Array): string {
  let text = '';
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
    text += hex[id[i]!];
  }
  return text;
}

export const newId = (): string => uuidText(uuid7());

/** Back to 16 bytes; undefined when the text is no UUID. */
export function uuidBytes(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)) return undefined;
  return Uint8Array.from(Buffer.from(text.replaceAll('-', ''), 'hex'));
}

/** Lanes a stream has, on both engines. */
export const PARTITIONS = 16;

/** First 4 bytes, big-endian, of SHA-256(key), modulo the number of partitions. */
export function partitionOf(key: string): number {
  return hash('sha256', key, 'buffer').readUInt32BE(0) % PARTITIONS;
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
export const isSchoolOin = (text: string): boolean => SCHOOL_OIN.test(text);
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
