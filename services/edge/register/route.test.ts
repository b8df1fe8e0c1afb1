import { describe, expect, test } from 'vitest';
import { Mandate, MandateState, type RegisteredEndpoint } from '#proto/eduk/core/v1/party';
import { registeredAddress } from './route.ts';

const NAMESPACE = 'http://example.org/schemas/roster/20260101';
const school = '0000000700099ZX00000';
const id = (digits: string): string => `${school.slice(0, 15)}${digits}`;
const endpoint = (routingId: string, url: string, more: Partial<RegisteredEndpoint> = {}): RegisteredEndpoint => ({
  ...{ routingId, url: `https://${url}.example/`, kind: '', validFrom: '', validUntil: '' },
  ...more,
});
const mandate = (endpoints: RegisteredEndpoint[], more: Partial<Mandate> = {}): Mandate =>
  Mandate.fromPartial({
    ...{ source: 'osr', sourceService: NAMESPACE, state: MandateState.MANDATE_STATE_ACTIVE, endpoints },
    ...more,
  });
const at = (mandates: Mandate[], administration = '', today = '2026-11-23'): string => {
  try {
    const url = registeredAddress(mandates, { namespace: NAMESPACE, school, administration, today });
    return new URL(url).hostname.replace('.example', '');
  } catch (thrown) {
    return (thrown as { told: string }).told.startsWith('OSR has no') ? 'none' : 'which';
  }
};

describe('of several addresses', () => {
  test('that of the administration', () => {
    const two = [mandate([endpoint(id('00001'), 'one'), endpoint(id('77707'), 'two')])];
    expect([at(two, '77707'), at(two, '00001'), at(two, '12345'), at(two)]).toEqual(['two', 'one', 'none', 'which']);
    expect(at([mandate([endpoint(id('00000'), 'whole'), endpoint(id('00001'), 'one')])])).toBe('whole');
    expect(at([mandate([endpoint(id('00001'), 'one')])])).toBe('one');
  });

  test('that of its service, as OSR names it, and of no other school', () => {
    expect(at([mandate([endpoint(id('00001'), 'one')], { sourceService: 'http://example.org/other' })])).toBe('none');
    expect(at([mandate([endpoint('0000000700099ZZ00000', 'elsewhere')])])).toBe('none');
    // What was given here has no addresses of a register.
    expect(at([mandate([endpoint(id('00001'), 'one')], { source: '' })])).toBe('none');
  });

  test('that of the day, to the day', () => {
    const moves = [
      mandate([
        endpoint(id('00001'), 'old', { validUntil: '2026-12-31' }),
        endpoint(id('00001'), 'new', { validFrom: '2027-01-01', validUntil: '2027-07-31' }),
      ]),
    ];
    expect([at(moves), at(moves, '', '2026-12-31'), at(moves, '', '2027-01-01')]).toEqual(['old', 'old', 'new']);
    expect(at(moves, '', '2027-08-01')).toBe('none');
    const overlap = [
      mandate([endpoint(id('00001'), 'old'), endpoint(id('00001'), 'new', { validFrom: '2026-11-01' })]),
    ];
    expect([at(overlap), at(overlap, '', '2026-10-31')]).toEqual(['new', 'old']);
  });

  test('none of a mandate that does not hold on the day', () => {
    const endpoints = [endpoint(id('00001'), 'one')];
    expect(at([mandate(endpoints, { state: MandateState.MANDATE_STATE_ENDED })])).toBe('none');
    expect(at([mandate(endpoints, { state: MandateState.MANDATE_STATE_UNCONFIRMED })])).toBe('none');
    expect(at([mandate(endpoints, { validFrom: '2026-12-01' })])).toBe('none');
    expect(at([mandate(endpoints, { validUntil: '2026-11-22' })])).toBe('none');
    const runsOff = [mandate(endpoints, { state: MandateState.MANDATE_STATE_RUN_OFF, runOffUntil: '2026-11-23' })];
    expect([at(runsOff), at(runsOff, '', '2026-11-24')]).toEqual(['one', 'none']);
  });
});
