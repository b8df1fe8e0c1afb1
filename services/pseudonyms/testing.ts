/** Holders of keys for tests, in this process. */
import { randomBytes } from 'node:crypto';
import { GatewayError } from '#kernel';
import type { Holders } from './holder.ts';

/** What a holder does when it is asked: it answers, says no, or says nothing. */
export type Mood = 'yes' | 'no' | 'away';

export interface TestHolders extends Holders {
  mood: Mood;
  /** How often something was asked of it. */
  asked: number;
}

/** Each address is a key of its own, and takes the token `let-me-in`. What it wraps it keeps, and gives for the same words beside it. */
export function testHolders(): TestHolders {
  const kept = new Map<string, Buffer>();
  const holders: TestHolders = {
    mood: 'yes',
    asked: 0,
    at(address, token) {
      const ask = async () => {
        holders.asked += 1;
        if (holders.mood === 'away') throw new GatewayError('peer.unavailable');
        if (holders.mood === 'no' || token() !== 'let-me-in') throw new GatewayError('peer.refused');
      };
      return {
        at: address,
        async wrap(secret, about) {
          await ask();
          const wrapped = `vault:v1:${randomBytes(16).toString('base64')}`;
          kept.set([address, about, wrapped].join('|'), Buffer.from(secret));
          return wrapped;
        },
        async unwrap(wrapped, about) {
          await ask();
          const secret = kept.get([address, about, wrapped].join('|'));
          if (!secret) throw new GatewayError('peer.refused');
          return Buffer.from(secret);
        },
        stay: ask,
      };
    },
    own: (address, token) => holders.at(address, token),
    close: () => undefined,
  };
  return holders;
}
