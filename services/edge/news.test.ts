import { expect, test } from 'vitest';
import { MandateChanged } from '#proto/eduk/events/v1/parties';
import { reasonOf } from './news.ts';

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
