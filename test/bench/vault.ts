/**
 * The vault alone, in a file, in one thread: per second of CPU, so that it is per core whatever else the machine does. Batches
 * of 500, as a roster sends them. Beside it the HMAC that each look-up cannot do without, on the same machine at the same time.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, connect, dispatcher, HmacKey, systemClock } from '#kernel';
import { Person } from '#proto/eduk/core/v1/learner';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { openVault } from '#services/pseudonyms';

const BATCH = 500;
const SCHOOL = '0000000700099XX00000';
const PARTY = '00000001234567890000';

export interface VaultRates {
  /** Bare HMAC-SHA-256 of an ECK iD. */
  hmac: number;
  /** An ECK iD to its token: in memory, and not. */
  cached: number;
  stored: number;
  /** A token to a pseudonym of a receiver, through `Reveal`. */
  pairwise: number;
  /** Learners with numbers, names and birth date whose keys are renewed, data and index. */
  renewed: number;
}

const eckId = (i: number): string => `https://ketenid.nl/pilot/${i.toString(16).padStart(128, '0')}`;

/** Per second of CPU, the best of `rounds`: what disturbs only takes. */
export async function vaultRates(learners = 20_000, rounds = 3): Promise<VaultRates> {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-bench-vault-'));
  const masterKey = randomBytes(32);
  const opened = (maxCached: number) => {
    const vault = openVault({ file: join(folder, 'vault.db'), masterKey, clock: systemClock, maxCached });
    return { vault, call: connect(VaultServiceDefinition, dispatcher(vault.implementations)) };
  };
  const rate = async (work: (from: number) => unknown, times = rounds): Promise<number> => {
    let best = 0;
    for (let round = 0; round < times; round++) {
      const before = process.cpuUsage();
      for (let from = 0; from < learners; from += BATCH) await work(from);
      const { user, system } = process.cpuUsage(before);
      best = Math.max(best, learners / ((user + system) / 1e6));
    }
    return best;
  };
  // What a caller has made is no work of the vault's.
  const batches = Array.from({ length: Math.ceil(learners / BATCH) }, (_, batch) =>
    Array.from({ length: BATCH }, (_, i) => ({
      kind: 'learner',
      eckId: eckId(batch * BATCH + i),
      lasKey: '',
      person: undefined,
      partyOin: '',
    })),
  );
  const identify = (call: Client<typeof VaultServiceDefinition>, from: number) =>
    call.identify({
      schoolOin: SCHOOL,
      sector: 'vo',
      create: false,
      saltFor: [],
      identities: batches[from / BATCH]!,
    });
  try {
    const bare = new HmacKey(randomBytes(32));
    const hmac = await rate((from) => {
      for (const { eckId } of batches[from / BATCH]!) bare.digest(eckId);
    });
    const large = opened(1e9);
    const tokens: string[] = [];
    for (const [batch, identities] of batches.entries()) {
      const made = identities.map((identity, i) => ({
        ...identity,
        lasKey: `${batch * BATCH + i}`,
        person: Person.fromPartial({ familyName: `Proef${i}`, callName: 'Sam', birthDate: '2012-03-04' }),
      }));
      const asked = { schoolOin: SCHOOL, sector: 'vo', create: true, saltFor: [], identities: made };
      tokens.push(...(await large.call.identify(asked)).identified.map(({ token }) => token));
    }
    const cached = await rate((from) => identify(large.call, from));
    const wanted = Array.from({ length: Math.ceil(learners / BATCH) }, (_, batch) =>
      tokens.slice(batch * BATCH, (batch + 1) * BATCH).map((token) => ({ token, nameMark: new Uint8Array() })),
    );
    const pairwise = await rate((from) =>
      large.call.reveal({
        schoolOin: SCHOOL,
        wanted: wanted[from / BATCH]!,
        numbers: true,
        names: false,
        contact: false,
        partyOin: PARTY,
        purpose: 'roster',
        pairwise: true,
      }),
    );
    await large.vault.stop();
    // Of one batch nothing is left in memory when the next has come.
    const small = opened(BATCH);
    const stored = await rate((from) => identify(small.call, from));
    await small.call.rotateKeys({ kinds: ['data', 'index'], schoolOin: '' });
    const before = process.cpuUsage();
    while ((await small.call.showKeys({})).rotating) await small.vault.tick();
    const { user, system } = process.cpuUsage(before);
    await small.vault.stop();
    return { hmac, cached, stored, pairwise, renewed: learners / ((user + system) / 1e6) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
