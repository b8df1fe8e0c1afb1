import { expect, test } from 'vitest';
import { Party, Role } from '#proto/eduk/core/v1/party';
import { CredentialDigests, type PartyStandingChanged, PartyStandingSubmitted } from '#proto/eduk/events/v1/parties';
import type { PartyRow } from '#proto/eduk/parties/v1/parties';
import { decideNames, decideStanding } from './standing.ts';

const OIN = '00000003123456780000';
const NOW = Date.UTC(2026, 10, 22, 12);
const bytes = (n: number) => new Uint8Array(32).fill(n);
const row = (more: Partial<PartyRow> = {}): PartyRow => ({
  party: Party.fromPartial({ oin: OIN, name: 'Plein', roles: [Role.ROLE_PLATFORM] }),
  credentials: CredentialDigests.fromPartial({
    clientId: 'plein',
    clientSecret: bytes(1),
    apiKey: bytes(2),
    apiKeyBefore: bytes(3),
    beforeUntilMs: BigInt(NOW + 1000),
    klantcode: OIN,
    jwksUrl: 'https://keys.example/',
  }),
  standing: undefined,
  ...more,
});
const ask = (change: string, more: Partial<PartyStandingSubmitted> = {}) =>
  PartyStandingSubmitted.fromPartial({ oin: OIN, change, reason: change === 'stop' ? 'case-7' : '', ...more });
const told = ({ event }: ReturnType<typeof decideStanding>) => event.value as PartyStandingChanged;

test('a stop holds from now on and renews the pseudonyms; a second one changes nothing', () => {
  const first = decideStanding(row(), ask('stop'), NOW);
  expect(first.next!.standing).toEqual({ stoppedMs: BigInt(NOW), reason: 'case-7', tokensFromMs: 0n, pseudonyms: 1 });
  expect(first.next!.credentials).toEqual(row().credentials);
  expect(told(first)).toEqual({ oin: OIN, standing: first.next!.standing, unchanged: false, change: '' });
  const again = decideStanding(first.next, ask('stop', { reason: 'case-8' }), NOW + 5);
  expect(again.next).toBeUndefined();
  expect(told(again)).toEqual({ oin: OIN, standing: first.next!.standing, unchanged: true, change: '' });
});

test('who goes on has new secrets only, keeps its other proofs, and no token of before', () => {
  const stopped = decideStanding(row(), ask('stop'), NOW).next!;
  const credentials = CredentialDigests.fromPartial({ clientSecret: bytes(7), apiKey: bytes(8) });
  const { next } = decideStanding(stopped, ask('resume', { credentials }), NOW + 9000);
  expect(next!.standing).toEqual({ stoppedMs: 0n, reason: '', tokensFromMs: BigInt(NOW + 9000), pseudonyms: 1 });
  expect(next!.credentials).toEqual({
    ...row().credentials!,
    clientSecret: bytes(7),
    apiKey: bytes(8),
    apiKeyBefore: new Uint8Array(0),
    beforeUntilMs: 0n,
  });
  // Stopped anew, the pseudonyms are renewed anew.
  expect(decideStanding(next, ask('stop'), NOW + 10_000).next!.standing!.pseudonyms).toBe(2);
});

test('who was not stopped keeps its secrets', () => {
  const { event, next } = decideStanding(row(), ask('resume', { credentials: CredentialDigests.fromPartial({}) }), NOW);
  expect(next).toBeUndefined();
  expect(event).toMatchObject({ type: 'PartyStandingChanged', value: { unchanged: true } });
});

test.each([
  ['a party that is not registered', undefined, ask('stop'), 'state.missing'],
  ['no OIN', row(), ask('stop', { oin: '12' }), 'wire.invalid'],
  ['a stop without a reason', row(), ask('stop', { reason: '' }), 'wire.invalid'],
  ['another change', row(), ask('forget'), 'wire.invalid'],
])('%s is refused', (_name, standing, submitted, code) => {
  const { event, next } = decideStanding(standing, submitted, NOW);
  expect(next).toBeUndefined();
  expect(event).toMatchObject({ type: 'PartyChangeRefused', value: { subject: submitted.oin, code } });
});

test('names of a school are asked when they are needed from a moment on, said twice is said once, and nothing else changes', () => {
  const school = '0000000700099ZX00000';
  const decide = (before: PartyRow | undefined, change: string, atMs: number) =>
    decideNames(before, PartyStandingSubmitted.fromPartial({ oin: school, change }), atMs);
  // A school that only mandates named becomes a party by it.
  const first = decide(undefined, 'names_on_demand', NOW);
  expect(first.next).toMatchObject({
    party: { oin: school, roles: [Role.ROLE_SCHOOL] },
    standing: { identity: 'on-demand', identityMs: BigInt(NOW), stoppedMs: 0n },
  });
  expect(told(first)).toMatchObject({ unchanged: false, change: 'names_on_demand' });
  const again = decide(first.next, 'names_on_demand', NOW + 5);
  expect(again.next).toBeUndefined();
  expect(told(again)).toMatchObject({ unchanged: true, standing: { identityMs: BigInt(NOW) } });
  const back = decide(first.next, 'names_kept', NOW + 9);
  expect(back.next!.standing).toEqual({
    ...first.next!.standing,
    identity: undefined,
    identityMs: BigInt(NOW + 9),
  });
  expect(decide(back.next, 'names_kept', NOW + 10).next).toBeUndefined();
  expect(decideNames(row(), ask('names_on_demand'), NOW).event).toMatchObject({
    type: 'PartyChangeRefused',
    value: { code: 'wire.invalid' },
  });
});
