import { timingSafeEqual } from 'node:crypto';
import { ConfigError } from '#kernel';
import { type MasterKeys, MasterRing, masterKeys } from './keys.ts';

/** What the vault says of itself, by name. */
export type Meta = ReadonlyMap<string, number | Uint8Array>;

/** Reads the master key that is to follow, 32 bytes, which the caller wipes; undefined = there is none. Throws `ConfigError`. */
export type NextKey = () => Uint8Array | undefined;

/** The number of the master key that the vault was made under, or that has come after it. */
export const masterNumber = (meta: Meta): number => Number(meta.get('master') ?? 1);
const bytesIn = (meta: Meta, name: string): Uint8Array | undefined => meta.get(name) as Uint8Array | undefined;

const opens = (keys: MasterKeys | undefined, check: Uint8Array | undefined): keys is MasterKeys =>
  keys !== undefined && check !== undefined && timingSafeEqual(keys.check, check);

/** The key that is to follow, if it is there. */
export function readNext(nextKey: NextKey, vaultId: Uint8Array, number: number): MasterKeys | undefined {
  const bytes = nextKey();
  if (!bytes) return undefined;
  try {
    return masterKeys(bytes, vaultId, number);
  } finally {
    bytes.fill(0);
  }
}

/**
 * The master keys with which this vault opens: the one that it names or, while that is being replaced, the one that follows.
 * Both are looked for under both names, so that it does not matter when the files are renamed. Throws `ConfigError` in words
 * for the operator; `where` says whose key it is not.
 */
export function openRing(meta: Meta, masterKey: Uint8Array, nextKey: NextKey, where: string): MasterRing {
  const vaultId = bytesIn(meta, 'vault_id')!;
  const number = masterNumber(meta);
  const check = bytesIn(meta, 'check');
  const given = masterKeys(masterKey, vaultId, number);
  const nextCheck = bytesIn(meta, 'next_check');
  if (!nextCheck) {
    // It was replaced, and nobody has put the new key in the place of the old one yet.
    const current = opens(given, check) ? given : readNext(nextKey, vaultId, number);
    if (!opens(current, check)) throw wrongKey(where);
    const kept = bytesIn(meta, 'kept');
    const handed = kept && current.takeOver(kept);
    if (kept && !handed) throw new ConfigError([`what ${where} keeps of its former master key does not open`]);
    return new MasterRing(current, undefined, handed?.doors ?? current.doors, handed?.former);
  }
  const candidates = [masterKeys(masterKey, vaultId, number + 1), readNext(nextKey, vaultId, number + 1)];
  const next = candidates.find((one) => opens(one, nextCheck));
  if (!next) {
    if (opens(given, check) || opens(readNext(nextKey, vaultId, number), check))
      throw new ConfigError([
        `the master key of ${where} is being replaced, and the new one is not there: put it beside the old one, under its name with .next`,
      ]);
    throw wrongKey(where);
  }
  const handed = next.takeOver(bytesIn(meta, 'next_kept')!);
  if (!handed) throw new ConfigError([`what ${where} keeps of its former master key does not open`]);
  if (!opens(given, check)) return new MasterRing(undefined, next, handed.doors, handed.former);
  const kept = bytesIn(meta, 'kept');
  return new MasterRing(given, next, handed.doors, kept && given.takeOver(kept)?.former);
}

const wrongKey = (where: string): ConfigError =>
  new ConfigError([
    `the master key is not the one that ${where} was made under; nothing was changed. Put the right key back: without it no identity can be opened`,
  ]);

/**
 * Brings a ring up to what the vault says now, for another process may have begun or ended the replacing. False = it needs a
 * key that is not there.
 */
export function keepUp(ring: MasterRing, meta: Meta, nextKey: NextKey): boolean {
  const number = masterNumber(meta);
  const vaultId = bytesIn(meta, 'vault_id')!;
  const find = (numberOf: number, check: Uint8Array): boolean => {
    if (opens(ring.wraps, check)) return true;
    let found: MasterKeys | undefined;
    try {
      found = readNext(nextKey, vaultId, numberOf);
    } catch (thrown) {
      if (!(thrown instanceof ConfigError)) throw thrown;
    }
    if (!opens(found, check)) return false;
    ring.next = found;
    return true;
  };
  const nextCheck = bytesIn(meta, 'next_check');
  if (nextCheck) return find(number + 1, nextCheck);
  if (!find(number, bytesIn(meta, 'check')!)) return false;
  if (ring.next) ring.advance();
  return true;
}
