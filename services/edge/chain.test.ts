import { expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { MandateState, Service } from '#proto/eduk/core/v1/party';
import { Chain, type Parties } from './chain.ts';

const [SCHOOL, PARTY] = ['0000000700099ZX00000', '00000099100000009000'];

/** The owner of the parties as a door reaches it: answers what was decided up to now, and counts who asks. */
function owner() {
  let version = 0n;
  let asked = 0;
  let away = false;
  const mandates: { mandate: unknown; keyDigest: Uint8Array }[] = [];
  const client = {
    snapshot: async ({ since }: { since: bigint }) => {
      asked++;
      if (away) throw new GatewayError('gateway.unavailable');
      return { version, parties: [], mandates: since < version ? mandates : [], freezes: [], holdRules: [] };
    },
  };
  return {
    client: client as unknown as Parties,
    asked: () => asked,
    leave: () => {
      away = true;
    },
    grant: (state: MandateState = MandateState.MANDATE_STATE_ACTIVE) => {
      version++;
      mandates.push({
        mandate: {
          mandateId: 'm1',
          schoolOin: SCHOOL,
          partyOin: PARTY,
          services: [Service.SERVICE_ORDER],
          state,
          boardMandateId: '',
          siteCodes: [],
        },
        keyDigest: new Uint8Array(0),
      });
    },
  };
}

const ordering = (chain: Chain) => () => {
  const { fault } = chain.judge(SCHOOL, PARTY, Service.SERVICE_ORDER);
  if (fault) throw new GatewayError(fault);
  return 'allowed';
};

test('what another door took in a moment ago is not refused here', async () => {
  const parties = owner();
  const chain = new Chain(parties.client, { now: () => 1_800_000_000_000 });
  await chain.refresh();
  await expect(chain.afresh(ordering(chain))).rejects.toMatchObject({ fault: 'mandate.missing' });
  parties.grant(); // Through another door.
  expect(await chain.afresh(ordering(chain))).toBe('allowed');
});

test('a refusal of another kind is told as it is, and one that stays is judged twice at most', async () => {
  const parties = owner();
  const chain = new Chain(parties.client, { now: () => 1_800_000_000_000 });
  await chain.refresh();
  let judged = 0;
  const refuse = (fault: 'wire.invalid' | 'mandate.missing') => () => {
    judged++;
    throw new GatewayError(fault);
  };
  await expect(chain.afresh(refuse('wire.invalid'))).rejects.toMatchObject({ fault: 'wire.invalid' });
  expect([judged, parties.asked()]).toEqual([1, 1]);
  await expect(chain.afresh(refuse('mandate.missing'))).rejects.toMatchObject({ fault: 'mandate.missing' });
  expect(judged).toBe(2);
  parties.leave();
  await expect(chain.afresh(refuse('mandate.missing'))).rejects.toMatchObject({ fault: 'mandate.missing' });
});

test('a thousand refusals at once ask the owner a few times only', async () => {
  const parties = owner();
  const chain = new Chain(parties.client, { now: () => 1_800_000_000_000 });
  await chain.refresh();
  const outcomes = await Promise.allSettled(Array.from({ length: 1_000 }, () => chain.afresh(ordering(chain))));
  expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
  expect(parties.asked()).toBeLessThan(5);
});

test('what a person waits for is asked beside, and an older answer takes back nothing that a newer one brought', async () => {
  const [parties, beside] = [owner(), owner()];
  let answer = (): void => undefined;
  const late = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const slow: Parties = {
    async snapshot(asked) {
      const found = await parties.client.snapshot(asked);
      await late;
      return found;
    },
  };
  const chain = new Chain(slow, { now: () => 1_800_000_000_000 }, beside.client);
  for (const one of [parties, beside]) one.grant();
  const refreshed = chain.refresh();
  beside.grant(MandateState.MANDATE_STATE_ENDED);
  await chain.refreshBeside();
  expect(ordering(chain)).toThrow(expect.objectContaining({ fault: 'mandate.ended' }));
  answer();
  await refreshed;
  expect(ordering(chain)).toThrow(expect.objectContaining({ fault: 'mandate.ended' }));
});
