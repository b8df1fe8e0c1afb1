import { setImmediate as breath, setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { GatewayError, Gone, timeLeft, within } from '#kernel';
import { Together } from './together.ts';

/** What was taken, call by call, each of which ends when the test says. */
function opened(answer: (these: readonly string[]) => Promise<void> | void = () => undefined) {
  const taken: string[][] = [];
  const together = new Together<string>(async (these) => {
    taken.push([...these]);
    await answer(these);
  });
  return { together, taken };
}
const late = { fault: 'gateway.late' };

test('what one party sends in one turn is taken by one call, in its order, and nobody else’s with it', async () => {
  const { together, taken } = opened();
  const first = ['a1', 'b1', 'a2', 'b2', 'a3'].map((one) => together.add(one[0]!, one, 10));
  await Promise.all(first);
  await together.add('a', 'a4', 10);
  expect(taken).toEqual([['a1', 'a2', 'a3'], ['b1', 'b2'], ['a4']]);
});

test('no more than a hundred, and no more than 256 kB, are taken at once', async () => {
  const many = opened();
  await Promise.all(Array.from({ length: 250 }, (_, i) => many.together.add('a', String(i), 10)));
  expect(many.taken.map(({ length }) => length)).toEqual([100, 100, 50]);
  expect(many.taken.flat()).toEqual(Array.from({ length: 250 }, (_, i) => String(i)));
  const large = opened();
  await Promise.all(Array.from({ length: 5 }, (_, i) => large.together.add('a', String(i), 100_000)));
  expect(large.taken.map(({ length }) => length)).toEqual([2, 2, 1]);
});

test('what fails is told to those that were in it, and to nobody else', async () => {
  const { together } = opened((these) => {
    if (these.includes('bad')) throw new GatewayError('gateway.overloaded');
  });
  const [a, bad, b] = await Promise.allSettled([
    together.add('p', 'a', 1),
    together.add('p', 'bad', 1),
    together.add('q', 'b', 1),
  ]);
  expect([a, bad]).toMatchObject(Array(2).fill({ reason: { fault: 'gateway.overloaded' } }));
  expect(b!.status).toBe('fulfilled');
});

test('who left before it began is not taken; who leaves later is told at once, and the others go on', async () => {
  let end = () => {};
  const { together, taken } = opened(
    () =>
      new Promise((resolve) => {
        end = resolve;
      }),
  );
  const [early, later, stays] = [new Gone(), new Gone(), new Gone()];
  const all = [early, later, stays].map((gone, i) => within(60_000, () => together.add('p', String(i), 1), gone));
  const ends = Promise.allSettled(all);
  early.leave();
  await breath();
  await sleep(1);
  expect(taken).toEqual([['1', '2']]);
  later.leave();
  await expect(all[1]).rejects.toMatchObject(late);
  end();
  expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
});

test('the call waits as long as the most patient of them, and is left once all have left', async () => {
  const seen: (number | undefined)[] = [];
  let end = () => {};
  const { together } = opened(() => {
    seen.push(timeLeft());
    return new Promise((resolve) => {
      end = () => {
        seen.push(timeLeft());
        resolve();
      };
    });
  });
  const gone = [new Gone(), new Gone()];
  const all = gone.map((one, i) => within((i + 1) * 10_000, () => together.add('p', String(i), 1), one));
  const ends = Promise.allSettled(all);
  await breath();
  await sleep(1);
  expect(seen[0]).toBeGreaterThan(15_000);
  for (const one of gone) one.leave();
  end();
  await ends;
  // One that does not say how long it waits waits as long as it takes.
  const patient = [together.add('p', 'x', 1), within(10, () => together.add('p', 'y', 1), new Gone())];
  await breath();
  await sleep(1);
  expect(seen.at(-1)).toBeUndefined();
  end();
  await Promise.all(patient);
});
