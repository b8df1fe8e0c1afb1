/** Makes master keys that a key management service holds. */
import { writeFileSync } from 'node:fs';
import { type Config, ConfigError, diallerFor, networksOf, parseNetworks } from '#kernel';
import { heldKeyText, holdersOver, makeHeldKey } from '#services/pseudonyms';

/**
 * Writes the file of a new one (mode 0600). `tokenFile` is named in it as it is here. Throws `ConfigError` for a file that is
 * there or cannot be written, and what holders throw (`wire.invalid`, `peer.unavailable`, `peer.refused`).
 */
export async function makeKeyFile(
  { address, tokenFile, to }: { address: string; tokenFile: string; to: string },
  config: Pick<Config, 'EDUK_ALLOW_NETWORKS'>,
): Promise<void> {
  const holders = holdersOver(diallerFor(networksOf(parseNetworks(config.EDUK_ALLOW_NETWORKS ?? '') ?? [], true)));
  try {
    const text = heldKeyText(await makeHeldKey(address, tokenFile, holders));
    writeFileSync(to, text, { flag: 'wx', mode: 0o600, flush: true });
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (typeof code !== 'string') throw thrown;
    throw new ConfigError([code === 'EEXIST' ? `${to} is there already` : `${to} cannot be written (${code})`]);
  } finally {
    holders.close();
  }
}
