import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { randomFrom } from '../parties/random.ts';
import { type Clients, clientsOf, eckId, newOin, newSchool, sendAll } from './gateway.ts';
import { KilledGateway } from './killed.ts';

const SEED = Number(process.env['EDUK_CRASH_SEED'] ?? Date.now() % 1e6);
const ROUNDS = Number(process.env['EDUK_CRASH_ROUNDS'] ?? 10);
/** Pupils who are there twice. */
const PAIRS = 24;
const PER_ROUND = 8;
const BOOK = '9789000000019';
const YEAR = '2026-2027';
const school = newSchool();

const { next } = randomFrom(SEED);

const gateway = new KilledGateway('merge-crash');

afterAll(async () => {
  await gateway.close();
});

const operator = () => gateway.operator;
const keys: Record<string, string> = {};
const as = (name: string): Clients => clientsOf(gateway.channel, `Bearer ${keys[name]}`);

const first = (i: number) => ({ lasKey: `first-${i}` });
const second = (i: number) => ({ eckId: eckId(i) });
const taken = async (answers: Promise<unknown[]>) =>
  expect(((await answers) as { refusals: unknown[] }[]).flatMap(({ refusals }) => refusals)).toEqual([]);

async function fill(): Promise<void> {
  for (const [name, role, services] of [
    ['las', Role.ROLE_ADMINISTRATION, [Service.SERVICE_ROSTER]],
    ['publisher', Role.ROLE_PUBLISHER, [Service.SERVICE_ENTITLEMENT, Service.SERVICE_RESULT]],
  ] as const) {
    const oin = newOin();
    keys[name] = (await operator().addParty({ party: { oin, name, roles: [role] } })).apiKey;
    const mandate = { schoolOin: school, partyOin: oin, services: [...services] };
    await operator().grantMandate({ mandate, confirm: true });
  }
  await taken(
    sendAll(as('publisher').catalogue.publishProducts(), [
      { reference: 'p', product: { productId: BOOK, title: 'Wilg', licence: { licensed: true } } },
    ]),
  );
  const pairs = Array.from({ length: PAIRS }, (_, i) => i);
  await taken(
    sendAll(as('las').rosters.pushRoster(), [
      {
        reference: 'roster',
        rosterId: 'roster',
        last: true,
        roster: {
          schoolOin: school,
          schoolYear: YEAR,
          groups: [{ key: '7a', name: 'Zeven', yearGroup: '7' }],
          learners: pairs.flatMap((i) => [
            { ref: first(i), groupKey: '7a', yearGroup: '7' },
            { ref: { ...second(i), lasKey: `second-${i}` }, groupKey: '7a', yearGroup: '7' },
          ]),
        },
      },
    ]),
  );
  const both = pairs.flatMap((i) => [
    { id: `a-${i}`, learner: first(i) },
    { id: `b-${i}`, learner: second(i) },
  ]);
  await taken(
    sendAll(
      as('publisher').entitlements.grantEntitlements(),
      both.map(({ id, learner }) => ({
        reference: id,
        schoolOin: school,
        holder: { learner },
        terms: { entitlementId: id, productId: BOOK, startsOn: '2026-08-01', endsOn: '2036-07-31' },
      })),
    ),
  );
  await taken(
    sendAll(
      as('publisher').results.returnResults(),
      both.map(({ id, learner }) => ({
        reference: id,
        schoolOin: school,
        result: {
          resultId: id,
          learner,
          productId: BOOK,
          kind: ResultKind.RESULT_KIND_FINAL,
          payload: { activityId: 'a', score: 1, scoreMax: 10, takenAt: '2026-11-20' },
        },
      })),
    ),
  );
}

/** What each owner says of a pair: `one`, `two`, or what is neither. */
async function saidOf(i: number): Promise<Record<string, string>> {
  const say = (isOne: boolean, isTwo: boolean, rest: unknown) =>
    isOne ? 'one' : isTwo ? 'two' : (JSON.stringify(rest) ?? '?');
  const refs = [first(i), second(i)];
  const lists = (ids: string[][], all = `a-${i} b-${i}`) => {
    const [a, b] = ids.map((some) => some.sort().join(' '));
    return say(a === all && b === all, a === `a-${i}` && b === `b-${i}`, ids);
  };
  const rights = await Promise.all(
    refs.map(async (learner) => {
      const { entitlements } = await as('publisher').entitlements.listEntitlements({ schoolOin: school, learner });
      return entitlements.map(({ terms }) => terms!.entitlementId);
    }),
  );
  const results = await Promise.all(
    refs.map(async (learner) => {
      const listed = await as('publisher').results.listResults({ schoolOin: school, learner });
      return listed.results.map(({ result }) => result!.resultId);
    }),
  );
  const { roster } = await as('las').rosters.getRoster({ schoolOin: school, schoolYear: YEAR, limit: 1000 });
  const there = roster!.learners.map(({ ref }) => ref!.lasKey);
  const seen = ['first', 'second'].map((which) => there.includes(`${which}-${i}`));
  const vault = await operator().mergeLearners({ schoolOin: school, winner: first(i), loser: second(i) });
  return {
    entitlements: lists(rights),
    results: lists(results),
    rosters: say(seen[0]! && !seen[1], seen[0]! && seen[1]!, seen),
    vault: say(vault.outcome === 'merged', vault.outcome === 'merges', vault.outcome),
  };
}

const agree = (said: Record<string, string>): string | undefined => {
  const [one, ...others] = new Set(Object.values(said));
  return others.length === 0 ? one : undefined;
};

/** Of all pairs, once every owner says the same of each. */
async function settled(): Promise<string[]> {
  for (const until = Date.now() + 60_000; ; await sleep(50)) {
    const said: Record<string, string>[] = [];
    for (let i = 0; i < PAIRS; i++) said.push(await saidOf(i));
    const wrong = said.findIndex((one) => agree(one) === undefined);
    if (wrong === -1) return said.map((one) => agree(one)!);
    if (Date.now() > until) throw new Error(`pair ${wrong}: ${JSON.stringify(said[wrong])}`);
  }
}

test(`killed ${ROUNDS} times while learners are merged and parted: all agree on who is one`, async () => {
  console.log(`crash seed ${SEED}`);
  await gateway.start();
  await fill();
  let stand = await settled();
  expect(new Set(stand)).toEqual(new Set(['two']));
  let cut = 0;
  const changed = { one: 0, two: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const some = new Set(Array.from({ length: PER_ROUND }, () => Math.floor(next() * PAIRS)));
    /** What was answered, by pair; those that are asked and not answered may be either. */
    const answered = new Map<number, string>();
    const ask = operator();
    const work = Promise.all(
      [...some].map(async (i) => {
        const two = { schoolOin: school, winner: first(i), loser: second(i) };
        const isOne = stand[i] === 'one';
        try {
          const { decision, holdId } = await ask.mergeLearners({ ...two, apply: true, undo: isOne });
          if (isOne) {
            if (decision?.outcome === 'LearnersMergeUndone') answered.set(i, 'two');
            return;
          }
          const done = await ask.decideHold({ holdId, approve: true, confirm: true });
          if (done.decision?.outcome === 'HoldDecided') answered.set(i, 'one');
        } catch {
          // Cut off; asked again in a later round.
        }
      }),
    );
    await Promise.race([work, sleep(next() * 160)]);
    await gateway.kill();
    await work;
    await gateway.start();
    const now = await settled();
    for (let i = 0; i < PAIRS; i++) {
      if (!some.has(i)) expect([i, now[i]]).toEqual([i, stand[i]]);
      else if (answered.has(i)) expect([i, now[i]]).toEqual([i, answered.get(i)]);
      else cut++;
      if (now[i] !== stand[i]) changed[now[i] as 'one' | 'two']++;
    }
    stand = now;
  }
  console.log(`merged ${changed.one}, parted ${changed.two}, cut off before an answer ${cut}`);
  expect(changed.one).toBeGreaterThan(0);
  expect(cut).toBeGreaterThan(0);
}, 600_000);
