import { describe, expect, test } from 'vitest';
import type { Dialler } from '#kernel';
import { CompareEntitlementsRequest } from '#proto/eduk/gateway/v1/entitlement';
import { askedAt, pageOf } from './stated.ts';

const SCHOOL = '0000000700012AB00000';
const PARTY = '00000001000000000003';
const NOW = Date.parse('2026-11-23T12:00:00Z');
const DAY_MS = 86_400_000;

/** Asks an endpoint that answers as it is told until it says that it was the last, or an answer is none; says how often it was asked. */
async function askAll(answer: (after: string) => { ids: string[]; last: boolean }) {
  let asked = 0;
  const dialler = {
    async dial(_url: string, { body }: { body: Uint8Array }) {
      asked += 1;
      const { ids, last } = answer((JSON.parse(Buffer.from(body).toString()) as { after: string }).after);
      return {
        status: 200,
        body: Buffer.from(JSON.stringify({ held: ids.map((id) => ({ id, state: 'open' })), last })),
      };
    },
  } as unknown as Dialler;
  const of = {
    party: PARTY,
    school: SCHOOL,
    kind: 'entitlement',
    url: 'https://a.example/',
    keys: [Buffer.alloc(32, 1)] as [Buffer],
    id: 'c',
  };
  const stated = askedAt(of, dialler, () => NOW, new AbortController().signal);
  let [after, fault] = ['', ''];
  for (let i = 0; i < 5_000; i++)
    try {
      const { isLast, through } = await stated(after);
      if (isLast) break;
      after = through;
    } catch (thrown) {
      fault = (thrown as { fault: string }).fault;
      break;
    }
  return { asked, fault };
}

const idAfter = (after: string, step: number): string =>
  `e-${String(Number(after.slice(2) || 0) + step).padStart(9, '0')}`;

describe('an endpoint that is asked', () => {
  test('with one thing a page and no end is not asked for ever', async () => {
    expect(await askAll((after) => ({ ids: [idAfter(after, 1)], last: false }))).toEqual({
      asked: 11,
      fault: 'peer.unavailable',
    });
  });

  test('with a page of many and no end neither', async () => {
    const page = (after: string) => Array.from({ length: 100 }, (_one, i) => idAfter(after, i + 1));
    expect(await askAll((after) => ({ ids: page(after), last: false }))).toEqual({
      asked: 1_001,
      fault: 'peer.unavailable',
    });
  });

  test('may have some short pages, and a last one that is empty', async () => {
    let pages = 0;
    const answer = (after: string) =>
      ++pages > 10 ? { ids: [], last: true } : { ids: [idAfter(after, 1)], last: false };
    expect(await askAll(answer)).toEqual({ asked: 11, fault: '' });
  });
});

test('a list is of the last day: by an older one nothing would differ', () => {
  const said = (asOfMs: number) =>
    pageOf(
      CompareEntitlementsRequest.fromPartial({ schoolOin: SCHOOL, last: true, asOfMs: BigInt(asOfMs) }),
      PARTY,
      NOW,
    ).asOfMs;
  expect([said(0), said(NOW - DAY_MS), said(NOW + 1_000)]).toEqual([NOW, NOW - DAY_MS, NOW]);
  for (const asOfMs of [-1, 1, NOW - DAY_MS - 1, NOW + DAY_MS + 1])
    expect(() => said(asOfMs)).toThrow(expect.objectContaining({ fault: 'wire.invalid' }));
});
