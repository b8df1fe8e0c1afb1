import { afterEach, expect, test } from 'vitest';
import { GatewayError, logTo } from '#kernel';
import { countedBeside } from './counted.ts';

const said: string[] = [];
logTo((line) => said.push(line));
afterEach(() => {
  said.length = 0;
});

test('what can be counted is told', async () => {
  expect(await countedBeside(async () => [1, 2])).toEqual({ found: [1, 2], uncounted: false });
  expect(said).toEqual([]);
});

test('who keeps it does not answer: the change goes on, and says that nobody counted', async () => {
  const away = () => Promise.reject(new GatewayError('peer.unavailable'));
  expect(await countedBeside(away)).toEqual({ found: [], uncounted: true });
  const broken = () => {
    throw new TypeError('a bug');
  };
  expect(await countedBeside(broken)).toEqual({ found: [], uncounted: true });
  expect(said.join()).toContain('change_not_counted');
});

test('a count that takes too long is not waited for', async () => {
  expect(await countedBeside(() => new Promise<never[]>(() => {}), 20)).toEqual({ found: [], uncounted: true });
  expect(said.join()).toContain('within_ms');
});
