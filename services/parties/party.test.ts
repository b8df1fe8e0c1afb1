import { describe, expect, test } from 'vitest';
import { Party, Role } from '#proto/eduk/core/v1/party';
import { CredentialDigests, PartySubmitted } from '#proto/eduk/events/v1/parties';
import { decideParty, type StandingParty } from './party.ts';

const OIN = '00000003222222220000';
const bytes = (n: number) => new Uint8Array(32).fill(n);
const named = (party: Partial<Party>, credentials?: Partial<CredentialDigests>) =>
  PartySubmitted.fromPartial({ party: { oin: OIN, ...party }, credentials });
const nobody = () => false;
const code = ({ event }: ReturnType<typeof decideParty>) =>
  event.type === 'PartyChangeRefused' ? event.value.code : undefined;

const standing: StandingParty = {
  party: Party.fromPartial({
    oin: OIN,
    name: 'Uitgeverij',
    roles: [Role.ROLE_PUBLISHER],
    endpoints: [{ standard: 'uwlr', url: 'https://a.example/uwlr' }],
    sectors: ['vo'],
  }),
  credentials: CredentialDigests.fromPartial({
    clientId: 'c1',
    clientSecret: bytes(1),
    apiKey: bytes(2),
    klantcode: 'k1',
    klantnaam: 'Naam',
  }),
};

describe('a party', () => {
  test('is registered as it was named', () => {
    const { event, standing: next } = decideParty(
      undefined,
      named({ name: 'Uitgeverij', roles: [Role.ROLE_PUBLISHER, Role.ROLE_PUBLISHER] }, { clientId: 'c1' }),
      nobody,
    );
    expect(event).toMatchObject({
      type: 'PartyRegistered',
      value: { party: { oin: OIN, roles: [Role.ROLE_PUBLISHER] } },
    });
    expect(next?.credentials.clientId).toBe('c1');
    expect(JSON.stringify(event)).not.toContain('c1');
  });

  test('has numbers by which persons sign in only as a board or school, and none of another', () => {
    const board = decideParty(
      undefined,
      named({ name: 'Bestuur', roles: [Role.ROLE_BOARD] }, { clientId: 'c2' }),
      nobody,
    ).standing!;
    const numbered = (...numbers: string[]) => named({}, { signIn: { numbers } });
    const next = decideParty(board, numbered('rsin:123456782', 'kvk:12345678', 'kvk:12345678'), nobody).standing!;
    expect(next.credentials.signIn!.numbers).toEqual(['kvk:12345678', 'rsin:123456782']);
    expect(next.credentials.clientId).toBe('c2');
    // What is not said stays; none is none.
    expect(decideParty(next, named({ name: 'Ander' }), nobody).standing!.credentials.signIn!.numbers).toHaveLength(2);
    expect(decideParty(next, named({}, { clientId: 'c3' }), nobody).standing!.credentials.signIn!.numbers).toHaveLength(
      2,
    );
    expect(decideParty(next, numbered(), nobody).standing!.credentials.signIn!.numbers).toEqual([]);
    const taken = (credential: string, value: string) => credential === 'signIn' && value === 'kvk:12345678';
    expect(code(decideParty(board, numbered('kvk:12345678'), taken))).toBe('state.conflict');
    expect(code(decideParty(standing, numbered('kvk:12345678'), nobody))).toBe('wire.invalid');
    expect(decideParty(standing, numbered(), nobody).event.type).toBe('PartyRegistered');
    for (const wrong of [
      '12345678',
      'kvk:1234567',
      'kvk:12345678/1',
      'bsn:123456782',
      'kvk:12345678\n',
      'KVK:12345678',
    ])
      expect(code(decideParty(board, numbered(wrong), nobody))).toBe('wire.invalid');
    expect(
      code(decideParty(board, numbered(...Array.from({ length: 21 }, (_, i) => `kvk:${10_000_000 + i}`)), nobody)),
    ).toBe('wire.invalid');
  });

  test('declares the attributes that it was last given, and leaves an endpoint that it no longer has', () => {
    const first = decideParty(standing, named({ attributes: ['groups', 'eck_id', 'groups'] }), nobody).standing!;
    expect(first.party.attributes).toEqual(['eck_id', 'groups']);
    expect(decideParty(first, named({}), nobody).standing!.party.attributes).toEqual(['eck_id', 'groups']);
    expect(decideParty(first, named({ attributes: ['eck_id'] }), nobody).standing!.party.attributes).toEqual([
      'eck_id',
    ]);
    const without = PartySubmitted.fromPartial({ party: { oin: OIN }, withoutEndpoints: ['uwlr', 'none'] });
    expect(decideParty(standing, without, nobody)).toMatchObject({
      event: { type: 'PartyRegistered', value: { party: { endpoints: [], name: 'Uitgeverij' } } },
      standing: { party: { endpoints: [] }, credentials: standing.credentials },
    });
    expect(code(decideParty(undefined, without, nobody))).toBe('wire.invalid');
  });

  test('loses an endpoint, and the others only begin where it says: none comes back that was taken away meanwhile', () => {
    const [hook, order, roster] = ['webhook', 'webhook-order', 'webhook-roster'].map((standard) => ({
      standard,
      url: 'https://a.example/new',
    }));
    const named = PartySubmitted.fromPartial({
      party: { oin: OIN, name: 'X', roles: [Role.ROLE_PLATFORM], endpoints: [order!, roster!] },
    });
    const { standing: first } = decideParty(undefined, named, nobody);
    // As a door knew it a moment ago.
    const asked = PartySubmitted.fromPartial({
      party: {
        oin: OIN,
        endpoints: [hook!, { ...roster!, url: 'https://a.example/old' }].map((one) => ({ ...one, fromMs: 5n })),
      },
      withoutEndpoints: ['webhook-order'],
    });
    expect(decideParty(first, asked, nobody).standing?.party.endpoints).toEqual([{ ...roster, fromMs: 5n }]);
  });

  test('named again gains roles, sectors and endpoints, and keeps what is not given', () => {
    const again = named({
      roles: [Role.ROLE_PLATFORM],
      sectors: ['po'],
      endpoints: [
        { standard: 'webhook', url: 'https://b.example/hook' },
        { standard: 'uwlr', url: 'https://b.example/uwlr' },
      ],
    });
    expect(decideParty(standing, again, nobody).standing).toEqual({
      party: Party.fromPartial({
        oin: OIN,
        name: 'Uitgeverij',
        roles: [Role.ROLE_PUBLISHER, Role.ROLE_PLATFORM],
        endpoints: [
          { standard: 'uwlr', url: 'https://b.example/uwlr' },
          { standard: 'webhook', url: 'https://b.example/hook' },
        ],
        sectors: ['po', 'vo'],
      }),
      credentials: standing.credentials,
    });
  });

  test('gets each credential that is given, and keeps the others', () => {
    const { standing: next } = decideParty(standing, named({}, { apiKey: bytes(9), klantcode: 'k2' }), nobody);
    expect(next!.credentials).toEqual({ ...standing.credentials, apiKey: bytes(9), klantcode: 'k2' });
  });

  test('whose secrets are renewed keeps the old beside them until the moment that is named, and none before those', () => {
    const renewed = (before: StandingParty, n: number, beforeUntilMs: bigint) =>
      decideParty(before, named({}, { clientSecret: bytes(n), apiKey: bytes(n + 1), beforeUntilMs }), nobody).standing!;
    const once = renewed(standing, 3, 1_000n);
    expect(once.credentials).toMatchObject({
      clientId: 'c1',
      clientSecret: bytes(3),
      apiKey: bytes(4),
      clientSecretBefore: bytes(1),
      apiKeyBefore: bytes(2),
      beforeUntilMs: 1_000n,
    });
    // What is named otherwise changes nothing of it.
    const kept = decideParty(once, named({ name: 'Anders' }, { klantcode: 'k2' }), nobody).standing!;
    expect(kept.credentials).toEqual({ ...once.credentials, klantcode: 'k2' });
    const leaked = renewed(once, 5, 0n).credentials;
    expect([leaked.clientSecret, leaked.apiKey]).toEqual([bytes(5), bytes(6)]);
    expect([leaked.clientSecretBefore, leaked.apiKeyBefore, leaked.beforeUntilMs]).toEqual([
      new Uint8Array(0),
      new Uint8Array(0),
      0n,
    ]);
  });

  test('whose webhooks get other secrets keeps what signs before beside it until the moment that is named', () => {
    const renewed = (before: StandingParty, webhookSalt: string, webhookBeforeUntilMs: bigint) =>
      decideParty(before, named({}, { webhookSalt, webhookBeforeUntilMs }), nobody).standing!;
    const once = renewed(standing, 'one', 1_000n);
    const of = ({ credentials: { webhookSalt, webhookSaltBefore, webhookBeforeUntilMs } }: StandingParty) => [
      webhookSalt,
      webhookSaltBefore,
      webhookBeforeUntilMs,
    ];
    expect(of(once)).toEqual(['one', '', 1_000n]);
    expect([once.credentials.apiKey, once.credentials.beforeUntilMs]).toEqual([
      standing.credentials.apiKey,
      standing.credentials.beforeUntilMs,
    ]);
    const twice = renewed(once, 'two', 2_000n);
    expect(of(twice)).toEqual(['two', 'one', 2_000n]);
    // What is named otherwise changes nothing of it, and its own secrets neither.
    expect(of(decideParty(twice, named({ name: 'Anders' }, { apiKey: bytes(9) }), nobody).standing!)).toEqual(
      of(twice),
    );
    expect(of(renewed(twice, 'three', 0n))).toEqual(['three', undefined, undefined]);
  });

  test('has one set of keys: an address or the keys themselves, whichever was given last', () => {
    const at = (before: StandingParty, keys: Partial<CredentialDigests>) =>
      decideParty(before, named({}, keys), nobody).standing!;
    const byAddress = at(standing, { jwksUrl: 'https://keys.example/' });
    expect(byAddress.credentials).toEqual({ ...standing.credentials, jwksUrl: 'https://keys.example/' });
    const byFile = at(byAddress, { jwks: bytes(7) });
    expect(byFile.credentials).toEqual({ ...standing.credentials, jwks: bytes(7) });
    expect(at(byFile, { klantnaam: 'Anders' }).credentials.jwks).toEqual(bytes(7));
  });

  test('named twice alike is the same', () => {
    const once = decideParty(undefined, named({ ...standing.party }, standing.credentials), nobody).standing!;
    expect(decideParty(once, named({ ...standing.party }, standing.credentials), nobody).standing).toEqual(once);
  });

  test.each([
    ['no OIN', { oin: '123', name: 'X', roles: [Role.ROLE_SCHOOL] }],
    ['no name', { roles: [Role.ROLE_SCHOOL] }],
    ['no role', { name: 'X' }],
    ['a role that is none', { name: 'X', roles: [99 as Role] }],
    ['a board that is none', { name: 'X', roles: [Role.ROLE_SCHOOL], boardOin: '7' }],
    [
      'an endpoint without address',
      { name: 'X', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'uwlr', url: 'there' }] },
    ],
    [
      'an endpoint on a file',
      { name: 'X', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'uwlr', url: 'file:///etc/passwd' }] },
    ],
    [
      'a password in an address',
      { name: 'X', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: 'uwlr', url: 'https://u:p@a.example' }] },
    ],
    [
      'an endpoint without standard',
      { name: 'X', roles: [Role.ROLE_PLATFORM], endpoints: [{ standard: '', url: 'https://a.example' }] },
    ],
  ])('with %s is refused', (_, party) =>
    expect(code(decideParty(undefined, named(party), nobody))).toBe('wire.invalid'),
  );

  test('with another party’s credentials is refused', () => {
    for (const credential of ['clientId', 'klantcode'] as const)
      expect(code(decideParty(standing, named({}, { [credential]: 'taken' }), (_, value) => value === 'taken'))).toBe(
        'state.conflict',
      );
  });

  test('of a school has an OIN with letters', () => {
    expect(
      decideParty(undefined, named({ oin: '0000000700001AB00000', name: 'School', roles: [Role.ROLE_SCHOOL] }), nobody)
        .event.type,
    ).toBe('PartyRegistered');
  });
});
