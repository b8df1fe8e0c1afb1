import { expect, test } from 'vitest';
import { newId } from './ids.ts';
import { mergedSketch, Sketch } from './sketch.ts';

const of = (things: Iterable<string>): Sketch => {
  const sketch = new Sketch();
  for (const thing of things) sketch.add(thing);
  return sketch;
};
const things = (count: number, prefix = newId()): string[] =>
  Array.from({ length: count }, (_, i) => `lt_${prefix}_${i}`);

test('counts few exactly, nothing as nothing', () => {
  expect(new Sketch().count()).toBe(0);
  expect(new Sketch().bytes()).toHaveLength(0);
  expect(of(things(1, 'a')).count()).toBe(1);
  expect(of(things(7, 'b')).count()).toBe(7);
});

test.each([25, 300, 1_200, 6_000, 40_000])('counts %i different things, each seen often, within a tenth', (count) => {
  for (const seed of ['p', 'q', 'r']) {
    const once = things(count, seed);
    const counted = of([...once, ...once, ...once.slice(0, count / 2)]).count();
    expect(Math.abs(counted - count) / count).toBeLessThan(0.1);
  }
});

test('what is put together counts as if it had been one, in any order and again', () => {
  const [a, b] = [things(400, 'x'), things(400, 'y')];
  const both = [...a, ...b.slice(100)];
  const [first, second] = [of(a).bytes(), of(b.slice(100)).bytes()];
  const whole = of(both);
  expect(mergedSketch(first, second)).toEqual(whole.bytes());
  expect(mergedSketch(second, first, first, new Uint8Array(0))).toEqual(whole.bytes());
  expect(new Sketch().merge(whole.bytes()).count()).toBe(whole.count());
});

test('keeps two bytes of a thing and takes nothing else for a sketch', () => {
  expect(of(things(1, 'z')).bytes()).toHaveLength(2);
  expect(() => new Sketch().merge(new Uint8Array(3))).toThrow(RangeError);
  expect(() => new Sketch().merge(new Uint8Array(4098))).toThrow(RangeError);
});
