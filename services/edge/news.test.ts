import { expect, test } from 'vitest';
import { Mandate, MandateState, Service } from '#proto/eduk/core/v1/party';
import { MandateChanged } from '#proto/eduk/events/v1/parties';
import type { Chain } from './chain.ts';
import { reasonOf, routesOf } from './news.ts';

const [school, board, party] = ['0000000700099ZZ00000', '00000003111111110000', '00000099100000005000'];

test.each<[string, string, string, { reason?: string; source?: string }?]>([
  ['entered', school, 'given'],
  ['entered', board, 'given'],
  ['entered', 'operator', 'operator'],
  ['entered', 'osr', 'register', { source: 'osr' }],
  ['confirmed', school, 'agreed'],
  ['accepted', party, 'agreed'],
  ['narrowed', school, 'own_instead'],
  ['run_off', school, 'withdrawn'],
  ['run_off', 'osr', 'register', { source: 'osr' }],
  ['ended', school, 'withdrawn'],
  ['ended', board, 'withdrawn_by_board'],
  ['ended', party, 'refused'],
  ['ended', 'operator', 'operator'],
  // Of a register's too: whoever ended it here is named.
  ['ended', school, 'withdrawn', { source: 'osr' }],
  ['ended', '', 'days_over'],
  ['ended', school, 'review_unanswered', { reason: 'review_unanswered' }],
  ['ended', school, 'school_forgotten', { reason: 'school_forgotten' }],
  ['changed', 'osr', 'register', { source: 'osr' }],
  ['changed', school, 'key_renewed'],
])('%s by %s: %s', (change, byOin, told, { reason = '', source = '' } = {}) => {
  const mandate = { schoolOin: school, partyOin: party, boardOin: board, source };
  expect(reasonOf(MandateChanged.fromPartial({ mandate, byOin, change, reason }))).toBe(told);
});

test('a service is open until the last day of the mandates that hold, and without a last day where one has none', () => {
  const { MANDATE_STATE_ACTIVE: active, MANDATE_STATE_RUN_OFF: runOff } = MandateState;
  const about = Mandate.fromPartial({ schoolOin: school, partyOin: party, services: [Service.SERVICE_ORDER] });
  const told = (...mandates: Partial<Mandate>[]) => {
    const chain = { judge: () => ({ mandates: mandates.map((one) => Mandate.fromPartial(one)), fault: undefined }) };
    return routesOf(chain as unknown as Chain, about).map(({ state, day }) => [state, day]);
  };
  const [june, july] = ['2027-06-30', '2027-07-31'];
  expect(told({ state: active, validUntil: july }, { state: active, validUntil: june })).toEqual([['open', july]]);
  expect(told({ state: active, validUntil: july }, { state: active })).toEqual([['open', '']]);
  expect(told({ state: runOff, runOffUntil: july, validUntil: june })).toEqual([['runs_off', june]]);
  expect(told({ state: runOff, runOffUntil: july }, { state: active, validUntil: june })).toEqual([['open', june]]);
});
