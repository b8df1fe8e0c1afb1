import { describe, expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { inNameOf, requireOwnName } from './acting.ts';
import { type Caller, operator, whoCalls } from './caller.ts';
import type { Chain } from './chain.ts';
import { requireLoopback } from './operators.ts';

const SCHOOL = '0000000700099ZZ00000';
const OTHER = '0000000700099ZY00000';
const SUPPLIER = '00000099100000001000';
const caller: Caller = { kind: 'party', oin: SUPPLIER, roles: new Set([Role.ROLE_DISTRIBUTOR]) };
const chain = {
  judgeActing: (school: string) => ({ mandates: [], ...(school === SCHOOL ? {} : { fault: 'mandate.missing' }) }),
  party: () => undefined,
} as unknown as Chain;
const faultOf = (what: () => unknown): string => {
  try {
    what();
    return '';
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown.fault;
    throw thrown;
  }
};

describe('in the name of another', () => {
  test('nobody calls who names nobody, or itself', () => {
    for (const from of [undefined, '', SUPPLIER]) expect(inNameOf(caller, from, chain)).toBe(caller);
  });

  test('calls a party for a school that lets it, and is that school and no other', () => {
    const acting = inNameOf(caller, SCHOOL, chain);
    expect(acting).toMatchObject({ oin: SCHOOL, school: SCHOOL, actor: SUPPLIER });
    expect([...acting.roles]).toEqual([Role.ROLE_SCHOOL]);
    expect(whoCalls(acting)).toBe(SUPPLIER);
  });

  test.each([
    ['a school that gave no mandate', caller, OTHER, 'mandate.missing'],
    ['another supplier', caller, '00000099100000002000', 'mandate.missing'],
    ['no OIN', caller, 'school', 'wire.invalid'],
    ['a school that its token is not for', { ...caller, school: OTHER }, SCHOOL, 'party.forbidden'],
    ['anybody, as an operator', operator, SCHOOL, 'party.forbidden'],
  ] as const)('is refused of %s', (_, who, from, fault) =>
    expect(faultOf(() => inNameOf(who as Caller, from, chain))).toBe(fault),
  );

  test('what became of a message is read, and nothing else', () => {
    const acting = inNameOf(caller, SCHOOL, chain);
    expect(faultOf(() => requireOwnName(acting, 'flow', 'getFlow'))).toBe('');
    for (const [scope, key] of [
      ['flow', 'whyBlocked'],
      ['roster', 'getRoster'],
      ['order', 'watchOrders'],
    ] as const) {
      expect(faultOf(() => requireOwnName(acting, scope, key))).toBe('party.forbidden');
      expect(faultOf(() => requireOwnName(caller, scope, key))).toBe('');
    }
  });
});

test('an operator stands in for school and party on loopback only', () => {
  const asked: [string, object][] = [
    ['grantMandate', { confirm: true }],
    ['decideHold', { confirm: true }],
    ...['confirm', 'accept', 'refuse'].map((change): [string, object] => ['changeMandate', { change }]),
  ];
  for (const [key, request] of asked) {
    expect(faultOf(() => requireLoopback(key, request, false))).toBe('party.forbidden');
    expect(faultOf(() => requireLoopback(key, request, true))).toBe('');
  }
  for (const [key, request] of [
    ['grantMandate', { confirm: false }],
    ['decideHold', { confirm: false }],
    ['changeMandate', { change: 'stop' }],
  ] as [string, object][])
    expect(faultOf(() => requireLoopback(key, request, false))).toBe('');
});
