import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diallerFor, type GatewayError, networksOf } from '#kernel';
import { type Holders, holdersOver, problemWithKeyAddress } from '#services/pseudonyms';
import { type TransitPeer, transitPeer } from './transit.ts';

/**
 * Against a peer of our own, written from the engine's documentation. The same calls against a real one: `EDUK_TEST_TRANSIT`
 * with the address of a key, `EDUK_TEST_TRANSIT_TOKEN` with its token.
 */
const real = process.env['EDUK_TEST_TRANSIT'];

let peer: TransitPeer;
let holders: Holders;
beforeEach(async () => {
  peer = await transitPeer();
  holders = holdersOver(diallerFor(networksOf([], true)));
});
afterEach(async () => {
  holders.close();
  await peer.close();
});
const faultOf = async (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => '',
    (thrown: GatewayError) => thrown.fault,
  );
const secret = randomBytes(32);

describe('a key at a Transit engine', () => {
  test.each([
    ['our peer', () => ({ address: peer.key, token: peer.token })],
    ...(real === undefined
      ? []
      : [['a real one', () => ({ address: real, token: process.env['EDUK_TEST_TRANSIT_TOKEN'] ?? '' })] as const]),
  ] as const)('wraps and opens, for one purpose only: %s', async (_whose, given) => {
    const { address, token } = given();
    const holder = holders.at(address, () => token);
    const wrapped = await holder.wrap(secret, 'eduk school 1');
    expect(wrapped).not.toContain(secret.toString('base64'));
    expect(await holder.unwrap(wrapped, 'eduk school 1')).toEqual(secret);
    expect(await faultOf(holder.unwrap(wrapped, 'eduk school 2'))).toBe('peer.refused');
    expect(await faultOf(holder.unwrap('vault:v1:AAAA', 'eduk school 1'))).toBe('peer.refused');
    expect(await faultOf(holders.at(address, () => 'another').wrap(secret, 'x'))).toBe('peer.refused');
    await holder.stay();
  });

  test('that is sealed, elsewhere, silent or in another form gives no answer; none of its words are repeated', async () => {
    const holder = holders.at(peer.key, () => peer.token);
    peer.mood = 'away';
    expect(await faultOf(holder.wrap(secret, 'x'))).toBe('peer.unavailable');
    peer.mood = 'yes';
    for (const answer of [
      { status: 307, headers: { location: peer.key }, body: '' },
      { status: 429, headers: {}, body: '{}' },
      { status: 473, headers: {}, body: '' },
      { status: 200, headers: {}, body: 'Anna Jansen' },
      { status: 200, headers: {}, body: '' },
      { status: 200, headers: {}, body: '{"data":{"plaintext":7}}' },
      { status: 200, headers: {}, body: '{"data":null}' },
    ]) {
      peer.answer = (_request, response) => {
        response.writeHead(answer.status, answer.headers).end(answer.body);
        return true;
      };
      const thrown = await holder.unwrap('vault:v1:AAAA', 'x').then(
        () => undefined,
        (error: GatewayError) => error,
      );
      expect(thrown).toMatchObject({ fault: 'peer.unavailable' });
      expect(thrown!.told).not.toContain('Anna');
    }
    const gone = peer.key;
    await peer.close();
    expect(await faultOf(holders.at(gone, () => 'x').wrap(secret, 'x'))).toBe('peer.unavailable');
  });

  test('has an address of one form, and is asked over HTTPS outside loopback', async () => {
    for (const address of [
      'ftp://a.example/v1/transit/keys/x',
      'https://a.example/v1/transit/x',
      'https://a.example/v1/transit/keys/../x/y',
      'https://a.example/v1/transit/keys/x?y=z',
      'https://me:secret@a.example/v1/transit/keys/x',
      'no address',
    ]) {
      expect(problemWithKeyAddress(address)).toBeDefined();
      expect(() => holders.at(address, () => 'x')).toThrow(/This /);
    }
    expect(problemWithKeyAddress('https://a.example:8200/v1/sites/one/transit/keys/school_1.x')).toBeUndefined();
    const away = holders.at('http://192.0.2.1:8200/v1/transit/keys/x', () => 'x');
    expect(await faultOf(away.wrap(secret, 'x'))).toBe('peer.unavailable');
  });
});
