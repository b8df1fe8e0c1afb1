import { createHash, randomBytes } from 'node:crypto';
import type { Services } from './submission.ts';

/** Rows of sessions of the operators' console and of links to its pages, and what was taken once; the console is in this process, the rows are anywhere. */
export interface ConsoleSessions {
  open(digest: Uint8Array, sealed: Uint8Array, endsMs: number): Promise<void>;
  find(digest: Uint8Array, look: boolean): Promise<Uint8Array>;
  end(digest: Uint8Array): Promise<void>;
  once(name: string, untilMs: number): Promise<boolean>;
  /** Whether this link to a page is neither over nor taken back. */
  linkStands(linkId: string): Promise<boolean>;
}

/** Under which single-use names of the console stand beside those of parties. */
const CONSOLE = 'console';

export const consoleSessions = (parties: Services['parties']): ConsoleSessions => ({
  async open(digest, sealed, endsMs) {
    await parties.openSession({ digest, partyOin: '', number: '', sealed, endsMs: BigInt(endsMs) });
  },
  async find(digest, look) {
    return (await parties.findSession({ digest, look })).sealed;
  },
  async end(digest) {
    await parties.endSession({ digest });
  },
  async once(name, untilMs) {
    const digest = createHash('sha256').update(name).digest();
    const { taken } = await parties.claimAssertion({
      partyOin: CONSOLE,
      digest,
      expiresMs: BigInt(untilMs),
      claim: randomBytes(16),
    });
    return taken;
  },
  async linkStands(linkId) {
    return (await parties.findLink({ linkId, digest: new Uint8Array() })).link !== undefined;
  },
});
