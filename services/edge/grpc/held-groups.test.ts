import { expect, test } from 'vitest';
import { ChangeHold } from '#proto/eduk/entitlements/v1/entitlements';
import { changesHeld } from '../reads/why.ts';
import type { Door } from '../submission.ts';
import { heldClasses, heldProducts, messagesOf } from './held-groups.ts';

const SCHOOL = '0000000700012AB00000';

/** Learners of two classes, one without, and licences of a group and of the school. */
function school() {
  let [now, asked, isAway] = [1_000, 0, false];
  const classOf: Record<string, string> = {
    ...Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`a${i}`, 'A'])),
  };
  for (let i = 0; i < 11; i++) classOf[`b${i}`] = 'B';
  const holders = [...Object.keys(classOf).map((learner) => ({ learner, group: '' })), { learner: 'gone', group: '' }];
  const changes = [...holders, { learner: '', group: 'A' }, { learner: '', group: '' }].map((one, i) => ({
    ...one,
    nth: i + 1,
    productId: 'maths',
  }));
  const services = {
    entitlements: {
      listHeldChanges() {
        asked += 1;
        if (isAway) throw new Error('away');
        return { changes };
      },
    },
    rosters: {
      getLearners: ({ learners }: { learners: string[] }) => ({
        schoolYear: '2026-2027',
        learners: learners.flatMap((learner) =>
          classOf[learner] ? [{ learner, group: classOf[learner], yearGroup: '7' }] : [],
        ),
      }),
      getRoster: () => ({ groups: [{ group: 'A', name: '7a' }] }),
    },
    vault: { openTexts: ({ tokens }: { tokens: string[] }) => ({ texts: tokens.map((token) => `text ${token}`) }) },
  };
  const door = { clock: { now: () => now }, services } as unknown as Pick<Door, 'services' | 'clock'>;
  return {
    door,
    classOf,
    asked: () => asked,
    advance: (ms: number) => {
      now += ms;
    },
    away: (is: boolean) => {
      isAway = is;
    },
  };
}
const hold = (entitlements: number) =>
  ChangeHold.fromPartial({
    schoolOin: SCHOOL,
    holdId: 'change-h',
    products: [{ productId: 'maths', entitlements, learners: entitlements, messages: entitlements }],
  });

test('each class by name, else by key; what has no class or no learner by itself; no small count, and none that tells one', async () => {
  const { door } = school();
  const told = (await heldClasses(door, hold(26))).map(({ group, name, yearGroup, loses }) => [
    ...[group, name, yearGroup],
    ...loses.map(({ learners, licences }) => [learners!.count, learners!.underTen, learners!.hidden, licences]),
  ]);
  expect(told).toEqual([
    ['A', 'text 7a', '7', [12, false, false, 1]],
    ['B', 'text B', '7', [0, false, true, 0]],
    ['without-class', '', '', [0, true, false, 1]],
  ]);
});

test('once a part was decided by class, what is left reads as what is told of it, or more; decided whole, as nothing', async () => {
  const { door, classOf } = school();
  const of = (byClass: boolean) => ({ ...hold(26), byClass });
  const whole = heldProducts(of(false), await heldClasses(door, of(false)));
  expect(whole).toEqual([{ productId: 'maths', entitlements: 26, learners: 26, atLeast: false }]);
  const groups = await heldClasses(door, of(true));
  const told = groups.map(({ group, loses }) => [group, loses[0]!.learners!.count]);
  expect(told).toEqual([
    ['A', 12],
    ['B', 0],
    ['without-class', 0],
  ]);
  // With the licences of the class and of the school.
  expect(heldProducts(of(true), groups)).toEqual([
    { productId: 'maths', entitlements: 14, learners: 12, atLeast: true },
  ]);
  // The class whose count was hidden beside the small one stays hidden when that one went.
  classOf['gone'] = 'A';
  const after = (await heldClasses(door, { ...of(true), holdId: 'change-i' })).find(({ group }) => group === 'B');
  expect(after!.loses[0]!.learners).toMatchObject({ count: 0, hidden: true });
  const why = [false, true].map((byClass) => changesHeld(of(byClass), {} as never));
  expect(why).toMatchObject([
    { learners: 26, told: expect.stringContaining('26 entitlements') },
    { learners: 0, told: expect.stringMatching(/^\D+$/) },
  ]);
  expect(heldProducts(of(true), [])).toMatchObject([{ entitlements: 0, learners: 0, atLeast: true }]);
});

test('who looks on does not have all learners looked up each time; who decides does', async () => {
  const it = school();
  await heldClasses(it.door, hold(26));
  await heldClasses(it.door, hold(26));
  expect(it.asked()).toBe(1);
  await heldClasses(it.door, hold(25));
  expect(it.asked()).toBe(2);
  it.classOf['b0'] = 'A';
  expect((await messagesOf(it.door, hold(25), { groups: ['A'], productIds: [] })).length).toBe(14);
  it.advance(5_000);
  expect((await heldClasses(it.door, hold(25)))[0]!.loses[0]!.learners!.count).toBe(13);
  it.advance(5_000);
  it.away(true);
  await expect(heldClasses(it.door, hold(25))).rejects.toThrow('away');
  it.away(false);
  expect(await heldClasses(it.door, hold(25))).toHaveLength(3);
});
