import { expect, test } from 'vitest';
import { testBench } from '#bus';
import { GatewayError } from '#kernel';
import { SchoolForgetting } from '#proto/eduk/core/v1/party';
import { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
// The owner of the answer, so that the page and its order are the real ones.
import { rosters } from '#services/rosters';
import { ForgetWatch } from './forgetting.ts';

const now = Date.parse('2026-11-22T09:00:00Z');

test('what the log decided reaches the vault after a restart, in pages, and an old word is not repeated', async () => {
  const bench = testBench(rosters, { now });
  bench.submit(
    'LearnerForgetSubmitted',
    { schoolOin: 's', learner: 'lt_old', destroyAtMs: BigInt(now - 30 * 86_400_000), byOin: 'x' },
    'lt_old',
    { school: 's' },
  );
  for (let i = 0; i < 1500; i++)
    bench.submit(
      'LearnerForgetSubmitted',
      { schoolOin: 's', learner: `lt_${i}`, destroyAtMs: BigInt(now + i), byOin: 'x' },
      `lt_${i}`,
      { school: 's' },
    );
  // So many at once wait for approval.
  const [hold] = (await bench.client(RostersServiceDefinition).listHolds({ schoolOin: 's', decided: false })).holds;
  const decision = { schoolOin: 's', holdId: hold!.holdId, approve: true, byOin: 'x' };
  bench.submit('HoldDecisionSubmitted', decision, 's', { school: 's' });
  const told = new Map<string, bigint>();
  const vault = {
    forget: async ({ token, atMs }: { token: string; atMs: bigint }) => {
      told.set(token, atMs);
      return { known: true, destroyed: false };
    },
  };
  const watch = new ForgetWatch({ rosters: bench.client(RostersServiceDefinition), vault } as never, () => now);
  await watch.start();
  watch.stop();
  expect(told.size).toBe(1500);
  expect(told.get('lt_7')).toBe(BigInt(now + 7));
  expect(told.has('lt_old')).toBe(false);
});

test('so it does of more than a page whose hour is the same, and of those after them', async () => {
  const bench = testBench(rosters, { now });
  const forget = (learner: string, destroyAtMs: number) => {
    const value = { schoolOin: 's', learner, destroyAtMs: BigInt(destroyAtMs), byOin: 'x' };
    bench.submit('LearnerForgetSubmitted', value, learner, { school: 's' });
  };
  for (let i = 0; i < 1500; i++) forget(`lt_${i}`, now + 259_200_000);
  const [hold] = (await bench.client(RostersServiceDefinition).listHolds({ schoolOin: 's', decided: false })).holds;
  const decision = { schoolOin: 's', holdId: hold!.holdId, approve: true, byOin: 'x' };
  bench.submit('HoldDecisionSubmitted', decision, 's', { school: 's' });
  const after = { schoolOin: 't', learner: 'lt_after', destroyAtMs: BigInt(now + 300_000_000), byOin: 'x' };
  bench.submit('LearnerForgetSubmitted', after, 'lt_after', { school: 't' });
  const told = new Set<string>();
  const vault = {
    forget: async ({ token }: { token: string }) => {
      told.add(token);
      return { known: true, destroyed: false };
    },
  };
  await new ForgetWatch({ rosters: bench.client(RostersServiceDefinition), vault } as never, () => now).tell();
  expect(told.size).toBe(1501);
});

test('who is kept after all is not destroyed, also where the door ended before it told the vault', async () => {
  const bench = testBench(rosters, { now });
  const about = { schoolOin: 's', learner: 'lt_a', byOin: 'x' };
  bench.submit('LearnerForgetSubmitted', { ...about, destroyAtMs: BigInt(now + 86_400_000) }, 'lt_a', { school: 's' });
  bench.submit('LearnerKeepSubmitted', about, 'lt_a', { school: 's' });
  const told: bigint[] = [];
  const forget = async ({ atMs }: { atMs: bigint }) => {
    told.push(atMs);
    return { known: true, destroyed: false };
  };
  const services = { rosters: bench.client(RostersServiceDefinition), vault: { forget } };
  await new ForgetWatch(services as never, () => now).tell();
  expect(told).toEqual([-1n]);
});

test('a school whose hour has passed is told until it is done, and one that cannot be destroyed yet keeps no other from it', async () => {
  const bench = testBench(rosters, { now });
  const school = (schoolOin: string, state: string) =>
    SchoolForgetting.fromPartial({ schoolOin, state, destroyAtMs: 5n });
  const told: string[] = [];
  const vault = {
    forgetSchool: async ({ schoolOin }: { schoolOin: string }) => {
      if (schoolOin === 'closed') throw new GatewayError('school.closed');
      told.push(schoolOin);
      const done = told.filter((one) => one === schoolOin).length > 1;
      return { people: done ? 0 : 64, texts: 0, done, renewed: done };
    },
  };
  const destroyed: [string, number][] = [];
  const services = { rosters: bench.client(RostersServiceDefinition), vault } as never;
  const watch = new ForgetWatch(services, () => now, {
    forgettings: () => [
      school('closed', 'destroyed'),
      school('waits', 'waits'),
      school('kept', 'kept'),
      school('s', 'destroyed'),
    ],
    destroyed: (schoolOin, { people }) => void destroyed.push([schoolOin, people]),
    namesEnded: () => undefined,
  });
  await watch.tell();
  expect(told).toEqual(['s', 's']);
  expect(destroyed).toEqual([
    ['s', 64],
    ['s', 0],
  ]);
});

test('whose token a second one is reaches the vault where the door ended before it told; who asked does not approve', async () => {
  const bench = testBench(rosters, { now });
  const two = { schoolOin: 's', winner: 'lt_a', loser: 'lt_b', byOin: 'x' };
  bench.submit('LearnersMergeSubmitted', { ...two, byPerson: 'p1' }, 's', { school: 's' });
  const client = bench.client(RostersServiceDefinition);
  const [hold] = (await client.listHolds({ schoolOin: 's', decided: false })).holds;
  const told: unknown[] = [];
  const vault = {
    forget: async () => ({ known: true, destroyed: false }),
    mergeTokens: async ({
      schoolOin,
      winner,
      loser,
      undo,
    }: Record<'schoolOin' | 'winner' | 'loser', string> & { undo: boolean }) => {
      if (schoolOin === 'closed') throw new GatewayError('school.closed');
      told.push([winner, loser, undo]);
      return { code: '', changed: true };
    },
  };
  const tell = async (days = 0) => {
    told.splice(0);
    await new ForgetWatch({ rosters: client, vault } as never, () => now + days * 86_400_000).tell();
    return told;
  };
  const decide = (byPerson: string, confirmed = false) =>
    bench.submit(
      'HoldDecisionSubmitted',
      { schoolOin: 's', holdId: hold!.holdId, approve: true, byOin: 'x', byPerson, confirmed },
      's',
      { school: 's' },
    );
  // The same person, also where they say that they stand in; and a key that does not say so.
  decide('p1');
  decide('p1', true);
  decide('');
  expect(await tell()).toEqual([]);
  decide('p2');
  for (let times = 0; times < 2; times++) expect(await tell()).toEqual([['lt_a', 'lt_b', false]]);
  // Parting tells the vault before the log: where the door ended in between, the vault is told again what stands, for as long as they can be parted.
  expect(await tell(30)).toEqual([['lt_a', 'lt_b', false]]);
  // Of a school that has closed its keys nothing is told for now, and others do not wait for it.
  const closed = { schoolOin: 'closed', winner: 'lt_c', loser: 'lt_d', byOin: 'x', byPerson: 'p1' };
  bench.submit('LearnersMergeSubmitted', closed, 'closed', { school: 'closed' });
  const [other] = (await client.listHolds({ schoolOin: 'closed', decided: false })).holds;
  const approval = { schoolOin: 'closed', holdId: other!.holdId, approve: true, byOin: 'x', byPerson: 'p2' };
  bench.submit('HoldDecisionSubmitted', approval, 'closed', { school: 'closed' });
  expect(await tell()).toEqual([['lt_a', 'lt_b', false]]);
  bench.submit('LearnersMergeUndoSubmitted', two, 's', { school: 's' });
  for (let times = 0; times < 2; times++) expect(await tell()).toEqual([['lt_a', 'lt_b', true]]);
});

test('whose names go the vault is told once, from the beginning after a start, and what it does not take is told again and known', async () => {
  const bench = testBench(rosters, { now });
  const left = rosters.tables.find(({ name }) => name === 'rosters_left')!;
  const end = (school: string, person: string, endedMs: number) =>
    bench.view.note((unit) =>
      unit.put(left, { school, person, isStaff: 0, leftOn: '2026-01-01', dueMs: now, endedMs }),
    );
  for (let i = 0; i < 1200; i++) end('s', `lt_${i}`, now - 50 * 86_400_000);
  end('t', 'lt_t', now - 3_600_000);
  end('t', 'lt_waits', 0);
  let isAway = true;
  const told: string[] = [];
  const vault = {
    endNames: async ({ schoolOin, tokens }: { schoolOin: string; tokens: string[] }) => {
      if (schoolOin === 't' && isAway) throw new GatewayError('gateway.unavailable');
      told.push(...tokens);
      return { people: tokens.length - 1 };
    },
  };
  const noted: [string, number][] = [];
  const schools = {
    forgettings: () => [],
    destroyed: () => undefined,
    namesEnded: (schoolOin: string, people: number) => void noted.push([schoolOin, people]),
  };
  const services = { rosters: bench.client(RostersServiceDefinition), vault } as never;
  const watch = new ForgetWatch(services, () => now, schools);
  await watch.tellNames();
  expect(told).toHaveLength(1200);
  expect(watch.untold()).toEqual({ schools: 1, sinceMs: now });
  isAway = false;
  told.length = 0;
  await watch.tellNames();
  expect(told).toHaveLength(1201);
  expect(told).not.toContain('lt_waits');
  expect(watch.untold()).toEqual({ schools: 0, sinceMs: 0 });
  // Nothing of it changed: who was told long ago is not told again.
  told.length = 0;
  await watch.tellNames();
  expect(told).toEqual(['lt_t']);
  expect(noted.filter(([, people]) => people > 0)).toEqual([
    ['s', 1199],
    ['s', 1199],
  ]);
});
