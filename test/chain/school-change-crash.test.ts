import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { dutchDay, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { randomFrom } from '../parties/random.ts';
import { clientsOf, eckId, newOin, newSchool, sendAll } from './gateway.ts';
import { KilledGateway } from './killed.ts';

const SEED = Number(process.env['EDUK_CRASH_SEED'] ?? Date.now() % 1e6);
const ROUNDS = Number(process.env['EDUK_CRASH_ROUNDS'] ?? 2);
const PUPILS = 40;
const PER_ROUND = 10;
const YEAR = schoolYearOf(Date.now());
const schools = [newSchool(), newSchool()] as const;

const { next } = randomFrom(SEED);

const gateway = new KilledGateway('school-crash');
let lasKey = '';

afterAll(async () => {
  await gateway.close();
});

const operator = () => gateway.operator;
const las = () => clientsOf(gateway.channel, `Bearer ${lasKey}`);

async function fill(): Promise<void> {
  const oin = newOin();
  lasKey = (await operator().addParty({ party: { oin, name: 'Lijst', roles: [Role.ROLE_ADMINISTRATION] } })).apiKey;
  for (const [at, schoolOin] of schools.entries()) {
    const mandate = { schoolOin, partyOin: oin, services: [Service.SERVICE_ROSTER] };
    await operator().grantMandate({ mandate, confirm: true });
    const learners = Array.from({ length: PUPILS / 2 }, (_, i) => {
      const n = at * (PUPILS / 2) + i;
      return { ref: { eckId: eckId(n), lasKey: `k${n}` }, yearGroup: '7' };
    });
    const [ack] = await sendAll(las().rosters.pushRoster(), [
      { reference: `r${at}`, rosterId: `r${at}`, last: true, roster: { schoolOin, schoolYear: YEAR, learners } },
    ]);
    expect(ack!.refusals).toEqual([]);
  }
}

/** Of each pupil, the school; -1 = none, 2 = both. */
async function whereAll(): Promise<number[]> {
  const there = await Promise.all(
    schools.map(async (schoolOin) => {
      const { roster } = await las().rosters.getRoster({ schoolOin, schoolYear: YEAR, limit: 1000 });
      return new Set(roster?.learners.map(({ ref }) => ref!.eckId));
    }),
  );
  return Array.from({ length: PUPILS }, (_, i) => {
    const at = there.map((some) => some.has(eckId(i)));
    return at[0] && at[1] ? 2 : at[0] ? 0 : at[1] ? 1 : -1;
  });
}

/** Once no change is under way; those that nobody approved are taken back. */
async function settled(): Promise<number[]> {
  let said = '';
  for (const until = Date.now() + 60_000; Date.now() < until; await sleep(50)) {
    const { changes } = await operator().listSchoolChanges({});
    for (const { state: of, changeId } of changes) if (of === 'held') await operator().undoSchoolChange({ changeId });
    const open = changes.filter(({ state: of }) => of === 'held' || of === 'planned' || of === 'under_way');
    const where = await whereAll();
    if (open.length === 0 && where.every((at) => at === 0 || at === 1)) return where;
    said = JSON.stringify([open.map((one) => [one.state, one.waiting]), where]);
  }
  throw new Error(`not settled: ${said}`);
}

test(`killed ${ROUNDS} times while pupils cross: each is at one school`, async () => {
  console.log(`crash seed ${SEED}`);
  await gateway.start();
  await fill();
  let stand = await settled();
  expect([...new Set(stand)].sort()).toEqual([0, 1]);
  let [moved, cut] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const ask = operator();
    /** Some of each school go to the other. */
    const groups = [0, 1].map((at) => ({
      at,
      of: new Set(Array.from({ length: PER_ROUND }, () => Math.floor(next() * PUPILS)).filter((i) => stand[i] === at)),
      isTold: false,
    }));
    const asked = await Promise.all(
      groups.map(async ({ at, of }) => {
        if (of.size === 0) return '';
        const learners = [...of].map((i) => ({ eckId: eckId(i) }));
        const [schoolOin, toSchoolOin] = [schools[at]!, schools[1 - at]!];
        const change = { schoolOin, toSchoolOin, onDay: dutchDay(Date.now()), learners };
        const { check } = await ask.previewSchoolChange({ asked: change });
        return (await ask.changeSchool({ asked: change, check })).changeId;
      }),
    );
    const work = Promise.all(
      asked.map(async (holdId, i) => {
        if (holdId === '') return;
        try {
          const { decision } = await ask.decideHold({ holdId, approve: true, confirm: true });
          groups[i]!.isTold = decision?.outcome === 'HoldDecided';
          // They cross a moment after it was approved.
          await sleep(1_000);
        } catch {
          // Cut off: whether it was approved shows afterwards.
        }
      }),
    );
    await Promise.race([work, sleep(20 + next() * 450)]);
    await gateway.kill();
    await work;
    await gateway.start();
    const now = await settled();
    for (const { at, of, isTold } of groups)
      for (const i of of) {
        if (isTold) expect([i, now[i]]).toEqual([i, 1 - at]);
        else cut++;
        if (now[i] !== at) moved++;
      }
    for (let i = 0; i < PUPILS; i++)
      if (groups.every(({ of }) => !of.has(i))) expect([i, now[i]]).toEqual([i, stand[i]]);
    stand = now;
  }
  console.log(`went ${moved}, cut off before an answer ${cut}`);
  expect(moved).toBeGreaterThan(0);
}, 600_000);
