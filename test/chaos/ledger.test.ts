/** The judge is judged: what each planted fault makes it say. */
import { expect, test } from 'vitest';
import { faultsOf, Ledger } from './ledger.ts';

const RECEIVER = 'hook';
/** Six items of two keys, offered and accepted. */
function begun(): Ledger {
  const ledger = new Ledger();
  for (let seq = 1; seq <= 3; seq++)
    for (const key of ['a', 'b']) {
      ledger.offered({ id: `${key}${seq}`, key, seq, receivers: [RECEIVER] });
      ledger.accepted(`${key}${seq}`);
    }
  return ledger;
}
const come = (ledger: Ledger, item: string, more: { delivery?: string; request?: string; digest?: string } = {}) =>
  ledger.arrived({ receiver: RECEIVER, item, delivery: `d-${item}`, request: `r-${item}`, digest: item, ...more });
const comeAll = (ledger: Ledger, items: readonly string[]) => {
  for (const item of items) come(ledger, item);
};

test('all of it, in order: nothing is wrong', () => {
  const ledger = begun();
  expect(ledger.age()).toBeGreaterThanOrEqual(0);
  comeAll(ledger, ['a1', 'b1', 'b2', 'a2', 'a3', 'b3']);
  expect(ledger.verdict()).toMatchObject({ offered: 6, accepted: 6, arrived: 6, repeats: 0, examples: [] });
  expect(faultsOf(ledger.verdict())).toBe(0);
  expect([ledger.open, ledger.age()]).toEqual([0, 0]);
});

test('a delivery that is dropped is lost', () => {
  const ledger = begun();
  comeAll(ledger, ['a1', 'b1', 'b2', 'a3', 'b3']);
  expect(ledger.verdict()).toMatchObject({ lost: 1, outOfOrder: 0, examples: ['lost: a2 at hook'] });
  expect(ledger.oldest()).toBe('a2 of a; missing at hook');
});

test('what was never answered is not lost', () => {
  const ledger = begun();
  ledger.offered({ id: 'a4', key: 'a', seq: 4, receivers: [RECEIVER] });
  comeAll(ledger, ['a1', 'b1', 'b2', 'a2', 'a3', 'b3']);
  expect(faultsOf(ledger.verdict())).toBe(0);
  expect(ledger.open).toBe(1);
});

test('two that were swapped are out of order', () => {
  const ledger = begun();
  comeAll(ledger, ['a1', 'b1', 'a3', 'a2', 'b2', 'b3']);
  expect(ledger.verdict()).toMatchObject({ lost: 0, outOfOrder: 1 });
});

test('an effect that comes again under another id is a second effect', () => {
  const ledger = begun();
  comeAll(ledger, ['a1', 'b1', 'b2', 'a2', 'a3', 'b3']);
  expect(come(ledger, 'b2', { delivery: 'd-other' })).toBe(true);
  expect(ledger.verdict()).toMatchObject({ secondEffects: 1, repeats: 0 });
});

test('an id that says something else the second time is a second effect', () => {
  const ledger = begun();
  come(ledger, 'a1');
  come(ledger, 'a1', { digest: 'else' });
  come(ledger, 'a2', { delivery: 'd-a1' });
  expect(ledger.verdict()).toMatchObject({ secondEffects: 2, repeats: 2 });
});

test('a repeat without an answer, or of the same attempt, is counted and right', () => {
  const ledger = begun();
  come(ledger, 'a1', { request: 'r1' });
  expect(come(ledger, 'a1', { request: 'r2' })).toBe(false);
  ledger.answered(RECEIVER, 'd-a1', 'r2');
  come(ledger, 'a1', { request: 'r2' });
  expect(ledger.verdict()).toMatchObject({ repeats: 2, unexplained: 0, secondEffects: 0 });
});

test('a repeat of what was answered, in another attempt, has no reason', () => {
  const ledger = begun();
  come(ledger, 'a1', { request: 'r1' });
  ledger.answered(RECEIVER, 'd-a1', 'r1');
  come(ledger, 'a1', { request: 'r2' });
  expect(ledger.verdict()).toMatchObject({ repeats: 1, unexplained: 1 });
});

test('a sender that could not read the answer has an excuse, for what was answered then', () => {
  const ledger = begun();
  const isOver = ledger.excuse();
  come(ledger, 'a1', { request: 'r1' });
  ledger.answered(RECEIVER, 'd-a1', 'r1');
  isOver();
  come(ledger, 'a1', { request: 'r2' });
  expect(ledger.verdict()).toMatchObject({ repeats: 1, unexplained: 0 });
});

test('more repeats than attempts were begun have no reason', () => {
  const ledger = begun();
  for (let times = 0; times < 3; times++) come(ledger, 'a1');
  expect(ledger.repeated(RECEIVER)).toEqual(new Map([['d-a1', 3]]));
  ledger.started(RECEIVER, new Map([['d-a1', 3]]));
  expect(ledger.verdict().unexplained).toBe(0);
  ledger.started(RECEIVER, new Map([['d-a1', 2]]));
  expect(ledger.verdict().unexplained).toBe(1);
});

test('what nobody sent, or sent to another, is strange', () => {
  const ledger = begun();
  come(ledger, 'c1');
  ledger.arrived({ receiver: 'another', item: 'a1', delivery: 'd', request: 'r', digest: 'a1' });
  expect(ledger.verdict()).toMatchObject({ strange: 2, arrived: 0 });
});

test('an attempt that is made again as it was had an answer that nobody saw: another one after it has a reason, unless it was answered too', () => {
  for (const [isAnsweredAgain, unexplained] of [
    [false, 0],
    [true, 1],
  ] as const) {
    const ledger = begun();
    comeAll(ledger, ['a1', 'b1', 'b2', 'a2', 'a3', 'b3']);
    ledger.answered(RECEIVER, 'd-a1', 'r-a1');
    come(ledger, 'a1');
    if (isAnsweredAgain) ledger.answered(RECEIVER, 'd-a1', 'r-a1');
    come(ledger, 'a1', { request: 'r-another' });
    expect(ledger.verdict()).toMatchObject({ unexplained, repeats: 2 });
  }
});

test('a span has the times of what was offered in it, whenever that arrives', () => {
  const ledger = new Ledger();
  const offer = (id: string) => {
    ledger.offered({ id, key: id, seq: 1, receivers: [RECEIVER] });
    ledger.accepted(id);
  };
  offer('a');
  const timing = ledger.time();
  offer('b');
  offer('c');
  come(ledger, 'b');
  timing.end();
  expect([timing.isOpen, timing.tookMs.length]).toEqual([true, 1]);
  offer('d');
  comeAll(ledger, ['a', 'c', 'd']);
  expect([timing.isOpen, timing.tookMs.length]).toEqual([false, 2]);
});

test('an attempt that was answered and is made again may come in parts; one that is not made again may not', () => {
  for (const isAsked of [true, false]) {
    const ledger = begun();
    comeAll(ledger, ['b1', 'b2', 'a2', 'a3', 'b3']);
    come(ledger, 'a1', { request: 'both' });
    ledger.answered(RECEIVER, 'd-a1', 'both');
    if (isAsked) ledger.asked(RECEIVER, 'd-a1', 'both');
    come(ledger, 'a1', { request: 'part' });
    expect(ledger.verdict().unexplained).toBe(isAsked ? 0 : 1);
  }
});

test('who is ill by itself makes nothing late, and loses nothing either', () => {
  const ledger = new Ledger(['ill']);
  ledger.offered({ id: 'a', key: 'a', seq: 1, receivers: ['ill', RECEIVER] }, performance.now() - 5_000);
  expect(ledger.age()).toBeGreaterThanOrEqual(5_000);
  ledger.accepted('a');
  expect(ledger.age()).toBeGreaterThanOrEqual(5_000);
  come(ledger, 'a');
  expect([ledger.age(), ledger.open, ledger.verdict().lost]).toEqual([0, 1, 1]);
});

test('what a receiver takes long after it was asked is judged by when it was asked', () => {
  for (const isSlow of [true, false]) {
    const ledger = begun();
    comeAll(ledger, ['b1', 'b2', 'a2', 'a3', 'b3']);
    if (isSlow) ledger.asked(RECEIVER, 'd-a1', 'both');
    ledger.asked(RECEIVER, 'd-a1', 'part');
    come(ledger, 'a1', { request: 'part' });
    ledger.answered(RECEIVER, 'd-a1', 'part');
    if (!isSlow) ledger.asked(RECEIVER, 'd-a1', 'both');
    come(ledger, 'a1', { request: 'both' });
    expect(ledger.verdict()).toMatchObject({ repeats: 1, unexplained: isSlow ? 0 : 1 });
  }
});
